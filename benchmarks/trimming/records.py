"""Measure what budgets of 10 to 60 tokens keep of records, for other values of the constants by which these are cut.

    python -m benchmarks.trimming.records [--grid]

Twelve shapes of records (tables, separated values, logs, sheets of keys, JSON, lists, pages of sections) are filled
with eight invented topics, and each of the 96 texts is asked for three cells. A cell counts as kept if it is kept
whole, and as named if the name of its row is kept, too. Without `--grid` only the constants in use are measured; with
it each is varied alone, and then the two that help most together. Tokens are those of o200k_base.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import product
from types import ModuleType
from unittest.mock import patch

from fgr_retriever import Encoder, TrimConfig, Trimmer
from fgr_retriever.evaluation.spans import Range
from fgr_retriever.evidence.token_evidence import resolve_cut
from fgr_retriever.text import parts
from fgr_retriever.trim import record_parts
from fgr_retriever.trim.budget import TokenCounter, token_counter
from fgr_retriever.trim.choice import trim
from fgr_retriever.trim.layout import Scored
from fgr_retriever.types import Span

BUDGETS = (10, 15, 20, 30, 40, 60)
GRID: dict[tuple[ModuleType, str], Sequence[float]] = {
    (record_parts, "_CELLS"): (0.2, 0.35, 0.5, 0.65, 0.8),
    (record_parts, "_OF_ROW"): (0.0, 0.25, 0.5, 1.0, 1.5),
    (record_parts, "_PIECES_TRIED"): (4, 8, 12, 24, 48),
    (parts, "_SHORT_CELL"): (20, 40, 60, 90, 150),
    (parts, "_LINES_AROUND"): (1, 3, 5, 8, 12),
}
Row = list[str]
Setting = Mapping[tuple[ModuleType, str], float]
_NOTES = (
    "checked in spring, needs no repair before the next inspection",
    "replaced after the flood, the old part is kept in the cellar for the museum",
    "on loan to the school until the end of term; the caretaker has the second key and the papers",
    "out of use",
    "shared with the neighbours, who pay a third of the costs and may use it on Sundays and on public holidays",
    "new",
)
# Of each topic: what a row is, its columns, and the names of its rows.
_TOPICS: tuple[tuple[str, Row, Row], ...] = (
    ("pump", ["model", "flow rate", "price", "notes"], ["Arden", "Brook", "Calder", "Derwent", "Esk", "Frome"]),
    ("station", ["line", "platforms", "opened", "notes"], ["Hallow", "Ingle", "Jarrow", "Kelso", "Larkhill", "Morden"]),
    ("patient", ["ward", "doctor", "admitted", "notes"], ["Novak", "Olsen", "Petrov", "Quist", "Rossi", "Santos"]),
    ("server", ["address", "memory", "owner", "notes"], ["atlas", "boreas", "chronos", "delphi", "electra", "fauna"]),
    ("wine", ["region", "vintage", "alcohol", "notes"], ["Amaro", "Bellis", "Corvo", "Dolce", "Ermita", "Fino"]),
    ("ship", ["captain", "tonnage", "cargo", "notes"], ["Gannet", "Heron", "Ibis", "Jackdaw", "Kestrel", "Linnet"]),
    ("course", ["teacher", "room", "credits", "notes"], ["Algebra", "Botany", "Civics", "Drama", "Ethics", "French"]),
    ("parcel", ["sender", "weight", "arrival", "notes"], ["PX-104", "PX-219", "PX-377", "PX-450", "PX-568", "PX-612"]),
)
_WORDS = "Tarn Weld Ostra Pell Quarr Rind Selva Tove Ulm Varga Wick Yarrow Zell Brandt Corrin Dahl Eyre Fenn".split()  # noqa: SIM905
_UNITS = {"flow rate": "l/min", "price": "euros", "memory": "GB", "alcohol": "%", "tonnage": "tons", "weight": "kg"}
_NUMBERS = frozenset(("platforms", "opened", "admitted", "vintage", "room", "credits", "arrival"))


@dataclass(frozen=True, slots=True)
class Asked:
    """A text of records, a question for one of its cells, and the ranges of this cell and of the name of its row."""

    text: str
    question: str
    cell: Range
    name: Range


def records() -> Iterator[Asked]:
    """Make all texts with their questions, always the same ones."""
    chance = random.Random(0)
    for (kind, columns, names), shape in product(_TOPICS, _SHAPES):
        rows = [[name, *(_cell(column, chance) for column in columns)] for name in names]
        text = shape([kind, *columns], rows)
        for row, place in zip(chance.sample(rows, 3), chance.sample(range(1, len(columns) + 1), 3), strict=True):
            start = text.index(row[0])
            at = text.index(row[place], start + len(row[0]))
            question = f"What is the {columns[place - 1]} of the {kind} {row[0]}?"
            yield Asked(text, question, (at, at + len(row[place])), (start, start + len(row[0])))


def _cell(column: str, chance: random.Random) -> str:
    if column == "notes":
        return chance.choice(_NOTES)
    if column in _UNITS:
        return f"{chance.randrange(11, 990)} {_UNITS[column]}"
    return str(chance.randrange(1900, 2020)) if column in _NUMBERS else " ".join(chance.sample(_WORDS, 2))


def _separated(mark: str, head: Row, rows: list[Row]) -> str:
    return "\n".join(mark.join(f'"{one}"' if mark in one else one for one in row) for row in [head, *rows])


def _piped(head: Row, rows: list[Row]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in lines)


def _sheet(mark: str, head: Row, rows: list[Row]) -> str:
    return "\n\n".join("\n".join(f"{key}{mark}{one}" for key, one in zip(head, row, strict=True)) for row in rows)


def _sections(head: Row, rows: list[Row]) -> str:
    blocks = [[f"[{row[0]}]", *(f"{key} = {one}" for key, one in zip(head[1:], row[1:], strict=True))] for row in rows]
    return "\n\n".join("\n".join(block) for block in blocks)


def _log(head: Row, rows: list[Row]) -> str:
    pairs = [" ".join(f'{key.replace(" ", "_")}="{one}"' for key, one in zip(head, row, strict=True)) for row in rows]
    return "\n".join(f"2024-03-0{day} 0{day}:12:45 INFO registry {one}" for day, one in enumerate(pairs, start=1))


def _json_lines(head: Row, rows: list[Row]) -> str:
    return "\n".join(json.dumps(dict(zip(head, row, strict=True))) for row in rows)


def _json_list(head: Row, rows: list[Row]) -> str:
    return json.dumps([dict(zip(head, row, strict=True)) for row in rows], indent=2)


def _items(head: Row, rows: list[Row]) -> str:
    found = [", ".join(f"{key} {one}" for key, one in zip(head[1:], row[1:], strict=True)) for row in rows]
    return "\n".join(f"- {row[0]}: {one}" for row, one in zip(rows, found, strict=True))


def _page(head: Row, rows: list[Row]) -> str:
    blocks = [" ".join(f"The {key} is {one}." for key, one in zip(head[1:], row[1:], strict=True)) for row in rows]
    return "\n\n".join(f"## {head[0].title()} {row[0]}\n\n{block}" for row, block in zip(rows, blocks, strict=True))


def _page_of_lists(head: Row, rows: list[Row]) -> str:
    blocks = ["\n".join(f"- {key}: {one}" for key, one in zip(head[1:], row[1:], strict=True)) for row in rows]
    return "\n\n".join(f"## {row[0]}\n\n{block}" for row, block in zip(rows, blocks, strict=True))


_SHAPES = (
    _piped,
    lambda head, rows: _separated(",", head, rows),
    lambda head, rows: _separated(";", head, rows),
    lambda head, rows: _separated("\t", head, rows),
    lambda head, rows: _sheet(": ", head, rows),
    _sections,
    _log,
    _json_lines,
    _json_list,
    _items,
    _page,
    _page_of_lists,
)


def _is_kept(one: Range, spans: Sequence[Span]) -> bool:
    return any(span.start <= one[0] and one[1] <= span.end for span in spans)


class Bench:
    """The evidence of all texts, computed once."""

    def __init__(self) -> None:
        """Compute it."""
        encoder = Encoder.default()
        self.count: TokenCounter = token_counter("o200k_base")
        self._asked = list(records())
        trimmer = Trimmer(encoder)
        scores = [trimmer.evidence(one.question, [one.text])[0] for one in self._asked]
        self._scored = [Scored(one.text, found, 1.0) for one, found in zip(self._asked, scores, strict=True)]
        self._config, self._threshold = resolve_cut(encoder.calibration, TrimConfig())

    def measure(self, setting: Setting, budget: int) -> tuple[float, float, float]:
        """Give the share of cells kept and of cells named, in percent, and the mean number of tokens."""
        kept = named = tokens = 0
        config = replace(self._config, max_tokens=budget)
        with ExitStack() as stack:
            for (module, name), value in setting.items():
                stack.enter_context(patch.object(module, name, value))
            for asked, scored in zip(self._asked, self._scored, strict=True):
                (cut,) = trim([scored], config, self._threshold, self.count, asked.question).trimmed
                cell, name = (_is_kept(one, cut.spans) for one in (asked.cell, asked.name))
                kept, named, tokens = kept + cell, named + (cell and name), tokens + (cut.tokens or 0)
        return 100 * kept / len(self._asked), 100 * named / len(self._asked), tokens / len(self._asked)

    def row(self, label: str, setting: Setting) -> float:
        """Print a row for a setting, and give the mean of cells kept and cells named over the budgets."""
        found = [self.measure(setting, budget) for budget in BUDGETS]
        cells = " | ".join(f"{kept:.1f}/{named:.1f} ({tokens:.0f})" for kept, named, tokens in found)
        mean = sum(kept + named for kept, named, _ in found) / len(found) / 2
        print(f"| {label} | {cells} | {mean:.2f} |", flush=True)
        return mean


def main() -> None:
    """Measure the constants in use, and others beside them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--grid", action="store_true", help="vary the constants")
    asked = parser.parse_args()
    bench = Bench()
    print(f"| kept/named % (tokens) at | {' | '.join(map(str, BUDGETS))} | mean |\n|---{'|---' * (len(BUDGETS) + 1)}|")
    bench.row("in use", {})
    if not asked.grid:
        return
    best: list[tuple[float, tuple[ModuleType, str], float]] = []
    for key, values in GRID.items():
        others = [value for value in values if value != getattr(*key)]
        means = [(bench.row(f"{key[1]} {value:g}", {key: value}), value) for value in others]
        best.append((max(means)[0], key, max(means)[1]))
    (_, one, first), (_, other, second) = sorted(best, key=lambda found: -found[0])[:2]
    bench.row(f"{one[1]} {first:g}, {other[1]} {second:g}", {one: first, other: second})


if __name__ == "__main__":
    main()
