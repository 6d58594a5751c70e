"""How well `verify_citations` tells sentences that a passage supports from those that it does not.

    python -m benchmarks.agents.citations [FILE...] [--wrong]

Reads the sentences in tests/agents/citations/: passages of our own with true and false sentences about them. The
rules were made while looking at `development.jsonl` and `development_2.jsonl`; who wrote the other files knew no rule.
Prints a line for each file and each kind of fault; with `--wrong`, also the sentences that were judged wrongly.
"""

import json
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fgr_retriever import Encoder, verify_citations
from fgr_retriever.agents.evidence import Evidence

FOLDER = Path(__file__).parents[2] / "tests/agents/citations"
TRUE = "true"


@dataclass(frozen=True, slots=True)
class Judged:
    """A sentence about a passage, and how it was judged.

    Args:
        kind: `true`, or the kind of fault.
        sentence: The sentence.
        supported: What `verify_citations` says of it.
        reason: Why.
    """

    kind: str
    sentence: str
    supported: bool | None
    reason: str


def measure(path: Path, encoder: Encoder) -> list[Judged]:
    """Judge every sentence of a file, each citing its own passage."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [judged for line in lines for judged in _judge(json.loads(line), encoder)]


def shares(judged: list[Judged]) -> dict[str, float]:
    """Give the share of false sentences that are not called True, and of true ones that are; in [0, 1]."""
    false = [one.supported is not True for one in judged if one.kind != TRUE]
    true = [one.supported is True for one in judged if one.kind == TRUE]
    return {"caught": sum(false) / len(false), "kept": sum(true) / len(true)}


def _judge(case: dict, encoder: Encoder) -> Iterator[Judged]:
    sentences = [(TRUE, text) for text in case["true"]]
    sentences += [(fault["kind"], fault["sentence"]) for fault in case["false"]]
    answer = "\n\n".join(f"{text.rstrip('.')} [1]." for _, text in sentences)
    judged = verify_citations(answer, _evidence(case["passage"]), encoder=encoder)
    for (kind, text), one in zip(sentences, judged, strict=True):
        yield Judged(kind, text, one.supported, one.reason)


def _evidence(passage: str) -> Evidence:
    """Describe one whole passage as what an agent read."""
    span = {"passage": "p", "start": 0, "end": len(passage), "source_start": None, "source_end": None, "score": 1.0}
    source = {
        "number": 1,
        "title": "p",
        "also_in": [],
        "passages": [{"id": "p", "metadata": {}}],
        "spans": [{**span, "text": passage}],
    }
    return {"query": "", "sources": [source], "weak": False, "uncovered": [], "note": "", "report": {}}


def main(arguments: list[str]) -> None:
    """Measure and print."""
    paths = [Path(one) for one in arguments if not one.startswith("--")] or sorted(FOLDER.glob("*.jsonl"))
    for path in paths:
        judged = measure(path, Encoder.default())
        found = shares(judged)
        print(f"{path.stem}: false ones caught {found['caught']:.1%}, true ones kept {found['kept']:.1%}")
        for kind in dict.fromkeys(one.kind for one in judged):
            said = Counter(str(one.supported) for one in judged if one.kind == kind)
            print(f"  {kind:9}" + "".join(f"  {answer} {said[answer]:3}" for answer in ("True", "False", "None")))
        if "--wrong" in arguments:
            for one in judged:
                if (one.supported is True) != (one.kind == TRUE):
                    print(f"  {one.kind:9} {one.supported!s:5} {one.sentence}  ({one.reason})")


if __name__ == "__main__":
    main(sys.argv[1:])
