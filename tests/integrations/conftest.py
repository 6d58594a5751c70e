"""A small library of texts that the tests of all adapters share."""

import copy

import pytest

from fgr_retriever import Engine, Passage
from fgr_retriever.testing import WordEncoder

TEXTS = {
    "curie": "Marie Curie found radium in 1898. She was born in Warsaw. Her notebooks are still radioactive today.",
    "fleming": "A dish grew mould over the summer. Fleming found penicillin in it. He published a short note.",
    "nobel": "Nobel mixed a clay with nitroglycerin. He called it dynamite. Prizes are given in his name.",
    "röntgen": "Röntgen saw bones on a screen. He named the rays X. His wife was the first patient 🦴.",
    "empty-handed": "The weather was fine all week. Nothing of note happened.",
}
METADATA = {
    "curie": {"year": 1898, "field": "chemistry", "start_index": 1000, "tags": ["a", "b"]},
    "fleming": {"year": 1928, "field": "medicine", "start_index": 0},
    "nobel": {"year": 1867, "field": "chemistry"},
    "röntgen": {"year": 1895, "field": "physics", "nested": {"deep": [1, 2.5, None]}},
    "empty-handed": {"year": 2000, "field": "none"},
}


def count_words(text: str) -> int:
    """Count white-space separated words: a token counter that needs no download."""
    return len(text.split())


@pytest.fixture(scope="module", autouse=True)
def _in_folders_and_collections(kept_in):
    """Run every test over both."""


@pytest.fixture(scope="session")
def texts() -> dict[str, str]:
    return TEXTS


@pytest.fixture(scope="session")
def metadata() -> dict[str, dict]:
    return METADATA


@pytest.fixture(scope="session")
def counter():
    return count_words


@pytest.fixture
def engine(tmp_path, texts, metadata):
    """An index of the library."""
    engine = Engine.open(tmp_path / "index", encoder=WordEncoder())
    engine.add(Passage(id, text, metadata[id]) for id, text in texts.items())
    return engine


@pytest.fixture
def documents(texts, metadata):
    """The library as documents of LangChain, whose metadata a test may change."""
    from langchain_core.documents import Document

    return [Document(text, id=id, metadata=copy.deepcopy(metadata[id])) for id, text in texts.items()]
