"""Pictures of what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fgr_retriever.errors import MissingExtraError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from fgr_retriever.evaluation.curve import AnswerCurve

# Okabe and Ito's palette, which colour-blind people can tell apart; markers and dashes say the same without colour.
BLUE, VERMILION, GREY = "#0072B2", "#D55E00", "#666666"
_EVALUATION = ("plots of an evaluation", "eval")


def panels(needed: tuple[str, str], rows: int = 1, columns: int = 1) -> tuple[Any, list[Axes]]:
    """Make a figure and its panels, row by row; save it with `savefig`.

    Args:
        needed: The subject of the picture, and the extra that brings matplotlib.
        rows: Number of rows of panels.
        columns: Number of columns of panels.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure  # drawn with Agg: no display, and no global state as in pyplot
    except ImportError as error:
        raise MissingExtraError(*needed) from error
    figure = Figure(figsize=(5.2 * columns, 3.4 * rows), dpi=80, layout="constrained")
    made = list(figure.subplots(rows, columns, squeeze=False).flat)
    for panel in made:
        panel.spines[["top", "right"]].set_visible(False)
        panel.grid(alpha=0.25)
    return figure, made


def draw_curve(curve: AnswerCurve, file: Path) -> None:
    """Draw the answers that are kept against the tokens that are saved.

    There is one line by threshold, one by budget, and the model's own cut.

    Args:
        curve: The measured curve.
        file: The picture to write; its ending decides the format.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    figure, (panel,) = panels(_EVALUATION)
    styles = {
        "threshold": ("by threshold", BLUE, "-", "o"),
        "budget": ("by budget", VERMILION, "--", "s"),
        "own": ("the model's own cut", GREY, "", "*"),
    }
    for kind, (label, colour, dashes, marker) in styles.items():
        points = sorted((one.tokens_saved, one.answer_kept) for one in curve.points if one.kind == kind)
        if points:
            saved, kept = ([100 * value for value in values] for values in zip(*points, strict=True))
            size = 10 if kind == "own" else 4
            panel.plot(saved, kept, color=colour, linestyle=dashes, marker=marker, markersize=size, label=label)
    panel.set(title=f"{curve.answerable:,} questions", xlabel="tokens saved (%)", ylabel="answers kept (%)")
    panel.legend(frameon=False)
    figure.savefig(file)


def draw_trade(points: Mapping[str, tuple[float, float]], labels: Sequence[str], file: Path) -> None:
    """Draw systems by latency, on a logarithmic axis, and quality.

    Args:
        points: Milliseconds and quality by name.
        labels: Labels of the two axes.
        file: The picture to write; its ending decides the format.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    figure, (panel,) = panels(_EVALUATION)
    figure.set_size_inches(9, 4.8)
    for number, (name, (milliseconds, quality)) in enumerate(points.items(), start=1):
        marker = f"${number}$"  # names beside the points would cover each other
        panel.plot([milliseconds], [quality], color=BLUE, marker=marker, markersize=9, linestyle="", label=name)
    panel.set(xscale="log", xlabel=labels[0], ylabel=labels[1])
    figure.legend(loc="outside right upper", frameon=False, fontsize=8)
    figure.savefig(file)
