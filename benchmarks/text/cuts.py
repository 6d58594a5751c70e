"""How many marked cuts are met, by kind of text: by the units alone, and by the spans of the embedded model.

    python -m benchmarks.text.cuts [--failed] [--spans]

Writes a Markdown table. The first figure needs no model: a question is met if one phrase (and one sentence) holds
what its answer must keep whole, and nothing that it must leave out. With `--spans` come the spans that the embedded
model finds: how often one of them holds it, and how often none begins or ends inside it.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator

from fgr_retriever import Encoder, TrimConfig, Trimmer
from fgr_retriever.text.units import Units
from tests.text.marked_cuts import MarkedText, Question, is_met, marked_texts


def main() -> None:
    """Measure all texts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--failed", action="store_true", help="also write what is not met")
    parser.add_argument("--spans", action="store_true", help="also measure the spans of the embedded model")
    given = parser.parse_args()
    found: dict[str, list[tuple[bool, ...]]] = defaultdict(list)
    trimmer = Trimmer(Encoder.default(), TrimConfig()) if given.spans else None
    for one in marked_texts():
        for question, met in _judged(one, trimmer):
            found[one.kind].append(met)
            if given.failed and not all(met[:2]):
                units = [one.text[start:end] for start, end in Units.of(one.text).phrases.tolist()]
                print(f"{one.kind}/{one.name}: {question.ask}\n  {question.whole!r}\n  {units}\n")
    print(
        "| kind | questions | by phrases | by sentences |" + (" in a span | never cut by a span |" if trimmer else "")
    )
    print("|---|---|---|---|" + ("---|---|" if trimmer else ""))
    rows = [*sorted(found.items()), ("**all**", [met for mets in found.values() for met in mets])]
    for kind, mets in rows:
        shares = (f"{sum(column) / len(mets):.0%}" for column in zip(*mets, strict=True))
        print(f"| {kind} | {len(mets)} | " + " | ".join(shares) + " |")


def _judged(one: MarkedText, trimmer: Trimmer | None) -> Iterator[tuple[Question, tuple[bool, ...]]]:
    """Yield each question of a text, and what is met: by phrases, by sentences, by the spans of the model."""
    units = Units.of(one.text)
    for question in one.questions:
        met = [is_met(one.text, question, ranges.tolist()) for ranges in (units.phrases, units.sentences)]
        if trimmer:
            (trimmed,) = trimmer.trim(question.ask, [one.text])
            start = one.text.index(question.whole)
            end = start + len(question.whole)
            met.append(any(span.start <= start and end <= span.end for span in trimmed.spans))
            met.append(not any(start < cut < end for span in trimmed.spans for cut in (span.start, span.end)))
        yield question, tuple(met)


if __name__ == "__main__":
    main()
