"""The results as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def markdown(report: Mapping[str, Any]) -> str:
    """Write the tables: kept at each budget, set by set and on average, then the tools as shipped.

    Args:
        report: What `benchmarks.trimming` writes as JSON.
    """
    sets = report["sets"]
    first = next(iter(sets.values()))
    budgets = list(next(iter(first["budgets"].values())))
    parts = [_kept_at(sets, budget) for budget in budgets]
    return "\n\n".join([*parts, _used(sets, budgets), _shipped(sets)]) + "\n"


def _kept_at(sets: Mapping[str, Any], budget: str) -> str:
    """Tabulate answers kept, or evidence where nobody marked answers, at one budget."""
    labels = list(next(iter(sets.values()))["budgets"])
    kept = {label: [_kept(one["budgets"][label][budget]) for one in sets.values()] for label in labels}
    measures = [_measure(one["budgets"][labels[0]][budget]) for one in sets.values()]
    heads = [f"{name} ({measure}, n={one['n']})" for (name, one), measure in zip(sets.items(), measures, strict=True)]
    best = [max(column) for column in zip(*kept.values(), strict=True)]
    rows = [
        [
            label,
            *(_bold(value, value == top) for value, top in zip(values, best, strict=True)),
            f"{100 * sum(values) / len(values):.1f}",
        ]
        for label, values in kept.items()
    ]
    return f"**Kept at {budget} of the tokens, in percent**\n\n" + _table(["", *heads, "mean"], rows)


def _used(sets: Mapping[str, Any], budgets: Sequence[str]) -> str:
    """Tabulate what share of the tokens was used, the checks, and the time, over all sets."""
    rows = []
    for label in next(iter(sets.values()))["budgets"]:
        found = [[one["budgets"][label][budget] for one in sets.values()] for budget in budgets]
        every = [row for rows in found for row in rows]
        checks = [f"{100 * _mean(every, key):.0f}" for key in ("verbatim", "ordered")]
        rows.append(
            [label, *(f"{100 * _mean(row, 'tokens'):.0f}" for row in found), *checks, f"{_mean(every, 'ms'):.1f}"]
        )
    heads = ["", *(f"used of {budget}" for budget in budgets), "verbatim", "in order", "ms a passage"]
    return "**Tokens used, checks (percent) and time under a budget**\n\n" + _table(heads, rows)


def _shipped(sets: Mapping[str, Any]) -> str:
    """Tabulate the tools with their own settings, over all sets."""
    rows = []
    for label in next(iter(sets.values()))["shipped"]:
        found = [one["shipped"][label] for one in sets.values()]
        kept = [_kept(row) for row in found if "evidence" in row]
        keys = ("tokens", "verbatim", "ordered", "metadata", "id", "failed")
        percents = [f"{100 * _mean(found, key):.0f}" for key in keys]
        rows.append([label, f"{100 * sum(kept) / max(len(kept), 1):.1f}", *percents, f"{_mean(found, 'ms'):.1f}"])
    heads = ["", "kept", "tokens", "verbatim", "in order", "metadata", "id", "failed", "ms a passage"]
    return "**As shipped, mean over the sets, in percent**\n\n" + _table(heads, rows)


def _measure(row: Mapping[str, float]) -> str:
    return "answer" if "answer" in row else "evidence"


def _kept(row: Mapping[str, float]) -> float:
    return row[_measure(row)]


def _mean(rows: Iterable[Mapping[str, float]], key: str) -> float:
    values = [row[key] for row in rows if key in row]
    return sum(values) / len(values) if values else float("nan")


def _bold(value: float, best: bool) -> str:
    shown = f"{100 * value:.1f}"
    return f"**{shown}**" if best else shown


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---", *("---:" for _ in heads[1:])], *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
