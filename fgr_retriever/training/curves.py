"""The curves of a run: what every stage logged, as data and as pictures."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import TrainerState

from fgr_retriever.evaluation.plots import BLUE, GREY, VERMILION, panels
from fgr_retriever.training.stage import STATE_FILE, last_checkpoint

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LOSSES_PICTURE, THRESHOLDS_PICTURE = "losses.png", "thresholds.png"
_STAGES = ("labeller/coarse", "labeller/exact", "joint", "head")
_CURVES = ("the curves of a training run", "train")


@dataclass(frozen=True, slots=True)
class StageLog:
    """What a stage did.

    Args:
        name: Its folder in the run.
        steps: Steps that it took.
        planned_steps: Steps that it would have taken without early stopping.
        kept_step: The step whose weights were kept.
        seconds: What it took, over all interruptions, without steps that were lost and done again;
            None where it was not measured.
        log: One mapping a line, with `step` and some of `loss` and its parts (means since the line
            before), `eval_loss` (the evidence loss on held-out examples) and `learning_rate`.
    """

    name: str
    steps: int
    planned_steps: int
    kept_step: int
    seconds: float | None
    log: Sequence[Mapping[str, float]]

    def points(self, key: str) -> tuple[list[float], list[float]]:
        """Give the steps at which something was logged, and its values."""
        lines = [line for line in self.log if key in line]
        return [line["step"] for line in lines], [line[key] for line in lines]


def read_stages(out: Path) -> list[StageLog]:
    """Read the logs of the stages that a run has finished.

    Args:
        out: Folder of the run.
    """
    return [_read(name, last) for name in _STAGES if (last := last_checkpoint(out / name))]


def _read(name: str, checkpoint: Path) -> StageLog:
    state = TrainerState.load_from_json(str(checkpoint / STATE_FILE))
    seconds = state.log_history[-1].get("seconds") if state.log_history else None
    kept = state.best_global_step or state.global_step
    return StageLog(name, state.global_step, state.max_steps, kept, seconds, state.log_history)


def write_curves(stages: Iterable[StageLog], file: Path) -> None:
    """Write the logs of all stages into one JSON file, by the name of the stage."""
    curves: dict[str, dict[str, Any]] = {stage.name: asdict(stage) for stage in stages}
    file.write_text(json.dumps(curves, indent=1) + "\n", encoding="utf-8")


def draw_losses(stages: Sequence[StageLog], file: Path) -> None:
    """Draw the training and held-out loss of each stage by step, one panel a stage.

    Args:
        stages: At least one.
        file: The PNG file to write.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    columns = min(len(stages), 2)
    figure, drawn = panels(_CURVES, -(-len(stages) // columns), columns)
    for panel, stage in zip(drawn, stages, strict=False):
        _draw_stage(panel, stage)
    for unused in drawn[len(stages) :]:
        unused.remove()
    figure.savefig(file)


def draw_thresholds(f1_by_threshold: Mapping[float, float], chosen: float, file: Path) -> None:
    """Draw the F1 of every threshold and mark the chosen one.

    Args:
        f1_by_threshold: Word F1 in [0, 1] of each threshold.
        chosen: One of them.
        file: The PNG file to write.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    figure, (panel,) = panels(_CURVES)
    panel.plot(list(f1_by_threshold), [100 * f1 for f1 in f1_by_threshold.values()], color=BLUE)
    panel.axvline(chosen, color=GREY, linestyle=":", label=f"chosen: {chosen:g}")
    panel.set(title="Calibration on held-out examples", xlabel="evidence threshold (probability)", ylabel="word F1 (%)")
    panel.legend(frameon=False)
    figure.savefig(file)


def _draw_stage(panel: Axes, stage: StageLog) -> None:
    """Draw one stage; where the evidence loss is one of several, only that: it is what held-out examples are for."""
    part = "evidence" if stage.points("evidence")[0] else "loss"
    panel.plot(*stage.points(part), color=BLUE, label="training")
    judged = stage.points("eval_loss")
    if judged[0]:
        panel.plot(*judged, color=VERMILION, linestyle="--", marker="o", markersize=4, label="held out")
        panel.axvline(stage.kept_step, color=GREY, linestyle=":", label=f"kept: step {stage.kept_step:,}")
    panel.set(title=stage.name, xlabel="training steps (batches)", ylabel="evidence loss (nats a token)")
    panel.locator_params(axis="x", integer=True)
    panel.legend(frameon=False)
