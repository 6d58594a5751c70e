"""Every rule over text takes linear time: growth is measured by ratios, in the processor time of this thread alone."""

import time

import numpy as np
import pytest
import regex

from fgr_retriever import TrimConfig, Trimmer
from fgr_retriever.evidence.named_entries import by_name
from fgr_retriever.evidence.spans import best_span, find_spans, other_units
from fgr_retriever.testing import WordEncoder
from fgr_retriever.text.atoms import cuts, is_table_row, snap_to_atoms, spaced_atoms
from fgr_retriever.text.headers import headers
from fgr_retriever.text.html import escaped
from fgr_retriever.text.query_words import content_stems, stems
from fgr_retriever.text.sentences import paragraph_breaks, phrases, sentences, title
from fgr_retriever.text.surroundings import widen
from fgr_retriever.text.tables import tables
from fgr_retriever.text.units import Units
from fgr_retriever.text.valid import without_surrogates
from fgr_retriever.types import TokenEvidence
from tests.text.patterns import NESTED, nested, patterns

SIZE = 2_000  # characters of the smallest text
MOST = 4 * 2.5  # growth of the time when the text grows by 4: linear, and slack for a busy machine
DOUBLINGS = 4  # how often a text that looks slow is doubled before it counts as slow
FLOOR = 0.002  # below this share of a second nothing can be told from noise; slower texts follow by doubling
TOKEN = regex.compile(r"\w+|\p{S}")
TRIMMER = Trimmer(WordEncoder(), TrimConfig(keep_title=True), count_tokens=len)


def evidence_of(text):
    offsets = np.array([token.span() for token in TOKEN.finditer(text)], dtype=np.int32).reshape(-1, 2)
    return TokenEvidence(offsets, np.where(np.arange(len(offsets)) % 7, 0.1, 0.9).astype(np.float32))


def spans(unit):
    config = TrimConfig(unit=unit)
    return lambda text, evidence: find_spans(text, evidence, config, 0.5)


RULES = {
    "sentences": lambda text, _: sentences(text),
    "phrases": lambda text, _: phrases(text, 0, len(text)),
    "paragraph_breaks": lambda text, _: paragraph_breaks(text),
    "title": lambda text, _: title(text),
    "cuts": lambda text, _: cuts(text, 0, len(text)),
    "snap_to_atoms": lambda text, _: snap_to_atoms(text, len(text) // 2, len(text) // 2 + 1),
    "spaced_atoms": lambda text, _: spaced_atoms(text, 0, len(text)),
    "is_table_row": lambda text, _: is_table_row(text),
    "tables": lambda text, _: tables(text),
    "units": lambda text, _: Units.of(text),
    "widen": lambda text, _: widen(text, 0, 1, 1),
    "escaped": lambda text, _: escaped(text),
    "without_surrogates": lambda text, _: without_surrogates(text),
    "by_name": lambda text, evidence: by_name(text, evidence, frozenset(stems(text[:40]))),
    "headers": lambda text, _: headers(text, frozenset(stems(text[:40]))),
    "content_stems": lambda text, _: content_stems(text),
    "find_spans of tokens": spans("token"),
    "find_spans of phrases": spans("phrase"),
    "find_spans of sentences": spans("sentence"),
    "best_span": lambda text, evidence: best_span(text, evidence, TrimConfig()),
    "other_units": lambda text, evidence: other_units(text, evidence, "phrase", ()),
}


def seconds(rule, text, repeats=2):
    evidence = evidence_of(text)

    def once():
        start = time.thread_time()
        rule(text, evidence)
        return time.thread_time() - start

    return min(once() for _ in range(repeats))


def grows_too_fast(rule, make, size=SIZE):
    """Compare n and 4n; a text that looks slow is doubled until it is sure, since noise does not grow with it."""
    for _ in range(DOUBLINGS):
        small, large = (seconds(rule, make(factor * size)) for factor in (1, 4))
        if large < FLOOR or large <= MOST * small:
            return False
        size *= 2
    return True


def texts():
    for before, piece in patterns():
        yield ascii(before + piece), lambda size, before=before, piece=piece: (before + piece * size)[:size]
    for opening, closing in NESTED:
        yield (
            f"nested {opening}{closing}",
            lambda size, opening=opening, closing=closing: nested(opening, closing, size),
        )


@pytest.mark.parametrize("name", RULES)
def test_no_pattern_takes_more_than_linear_time(name):
    assert [text for text, make in texts() if grows_too_fast(RULES[name], make)] == []


@pytest.mark.parametrize("budget", [None, 40])
def test_trimming_takes_linear_time(budget):
    def rule(text, _):
        TRIMMER.trim("radium sea", [f"radium {text} sea"], max_tokens=budget)

    chosen = list(texts())[::3]
    assert [text for text, make in chosen if grows_too_fast(rule, make)] == []


@pytest.mark.parametrize("end", ["", "a"])
def test_one_long_line_takes_linear_time(end):
    assert not grows_too_fast(RULES["find_spans of phrases"], lambda size: "b. " * (size // 3) + end, size=60_000)


def test_trimming_many_tables_takes_linear_time():
    def rule(text, _):
        TRIMMER.trim("radium sea", [text], max_tokens=len(text) // 2)

    chosen = [(text, make) for text, make in texts() if "radium" in text]
    assert len(chosen) == 3
    assert [text for text, make in chosen if grows_too_fast(rule, make, size=24_000)] == []


def test_the_measure_sees_quadratic_time():
    def quadratic(text, _):  # its steps are so dear that nothing else shows beside them
        return [character for end in range(0, len(text), 20) for character in text[:end]]

    assert grows_too_fast(quadratic, lambda n: "a" * n)
    assert not grows_too_fast(lambda text, _: text.count("b"), lambda n: "a" * n)
