"""Words of a question that the kept text does not have: strangers, and those that it may say in other words."""

import pytest

from fgr_retriever import Encoder, Engine, Passage
from fgr_retriever.agents.evidence_search import EvidenceSearch
from fgr_retriever.text.query_words import query_words
from fgr_retriever.trim.missing import reworded

FOLDER = {
    "forklift.md": "Fault codes. E21: the oil is above 85 °C. Let the truck cool down. E22: the battery is low.",
    "visitors.md": "Visitors under 16 must stay outside the cold stores. Children wait in the canteen.",
    "contract.md": "Total liability of a party in a year shall not exceed 125 % of the charges of 1,250 EUR.",
    "travel.md": "| Country | Hotel limit |\n|---|---|\n| Denmark | 180 EUR |\n| Norway | 200 EUR |",
}


@pytest.fixture(scope="module")
def search(tmp_path_factory):
    with Engine.open(tmp_path_factory.mktemp("folder") / "index", encoder=Encoder.default()) as engine:
        engine.add([Passage(name, text, {"source": name}) for name, text in FOLDER.items()])
        yield EvidenceSearch.of(engine, k=2)


@pytest.mark.golden
@pytest.mark.parametrize(
    "question",
    [
        "Which oil temperature causes E21?",
        "By how much is total liability capped?",
        "May children enter the cold stores?",
        "What is the hotel limit in Denmark?",
        "How much above 1250 EUR may liability be?",
        "What does E-22 mean?",
    ],
)
def test_a_full_answer_sends_nobody_to_search_again(search, question):
    assert "Search again" not in search.search(question)[1]["note"]


@pytest.mark.golden
@pytest.mark.parametrize(
    ("question", "word"),
    [
        ("What is the hotel limit in Finland?", "Finland"),
        ("Which oil temperature causes E44?", "E44"),
        ("What does E2 mean?", "E2"),
        ("Is liability capped at 2250 EUR?", "2250"),
        ("When was the solar roof above the canteen installed?", "roof"),
    ],
)
def test_a_name_a_number_or_a_stranger_does(search, question, word):
    _, found = search.search(question)
    assert word in found["uncovered"]
    assert f'"{word}"' in found["note"]
    assert "Search again" in found["note"]


@pytest.mark.golden
def test_a_common_word_is_told_softly(search):
    _, found = search.search("By how much is total liability capped?")
    assert found["report"]["reworded"] == found["uncovered"] == ["capped"]
    assert found["note"] == (
        'Note: the sources above do not have the word "capped". See whether they say the same in others.'
    )


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("What causes leaks in Oslo?", ["causes", "leaks"]),
        ("Causes of leaks", ["Causes", "leaks"]),
        ("What Causes Leaks?", ["Causes", "Leaks"]),
        ("the iPhone of SAP", []),
        ("rates in 2026 for a 4x4", ["rates"]),
        ("漏れ の 原因", []),
    ],
)
def test_names_and_numbers_are_never_in_other_words(question, expected):
    words = [word for word in query_words(question) if word.is_content]
    assert list(reworded(question, dict.fromkeys(words, 0.5))) == expected
    assert reworded(question, dict.fromkeys(words, 0.2)) == ()
