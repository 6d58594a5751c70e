"""Sentences that say something else than their source, in nearly the same words."""

import json

import pytest

from benchmarks.agents.citations import FOLDER, measure, shares
from fgr_retriever import verify_citations
from fgr_retriever.agents.evidence import EvidenceSource
from fgr_retriever.model.encoder import Encoder
from fgr_retriever.testing import WordEncoder


def source(text: str) -> EvidenceSource:
    """Describe one whole passage as a source."""
    span = {"passage": "p", "start": 0, "end": len(text), "source_start": None, "source_end": None, "score": 1.0}
    return {"number": 1, "title": "p", "also_in": [], "passages": [], "spans": [{**span, "text": text}]}


def judged(sentence, passage, encoder):
    (citation,) = verify_citations(f"{sentence} [1].", {"sources": [source(passage)]}, encoder=encoder)
    return citation.supported, citation.reason


MANUAL = (
    "The timeout is five seconds. Compression is not enabled by default. The cache reduces the load of the server. "
    "Only administrators may delete users. Logs are kept for at least 30 days. The agent calls the server twice a day."
)


@pytest.mark.golden
@pytest.mark.parametrize(
    "sentence",
    [
        "The timeout is not five seconds",
        "Compression is enabled by default",
        "The cache increases the load of the server",
        "The timeout is six seconds",
        "Logs are kept for at most 30 days",
        "The server calls the agent twice a day",
    ],
)
def test_contradictions_are_never_supported(sentence):
    assert judged(sentence, MANUAL, Encoder.default())[0] is not True


@pytest.mark.golden
@pytest.mark.parametrize(
    "sentence",
    [
        "The timeout is 5 seconds",
        "The timeout is five seconds",
        "Compression is disabled by default",
        "By default, compression is not enabled",
        "The load of the server is reduced by the cache",
        "Logs are kept for a minimum of thirty days",
        "The server is called by the agent two times a day",
    ],
)
def test_the_same_in_other_words_is_supported(sentence):
    assert judged(sentence, MANUAL, Encoder.default()) == (True, "")


@pytest.mark.golden
@pytest.mark.parametrize(
    ("sentence", "supported"),
    [
        ("At most five days of leave that were not taken may be moved into the next year", True),
        ("At most six days of leave that were not taken may be moved into the next year", False),
        ("At least five days of leave that were not taken may be moved into the next year", False),
        ("Up to five days cannot be carried over", False),
    ],
)
def test_a_negated_word_may_be_one_with_un(sentence, supported):
    passage = "Up to five unused days can be carried over, and they expire on 31 March of the following year."
    assert judged(sentence, passage, Encoder.default())[0] is supported


@pytest.mark.golden
@pytest.mark.slow
@pytest.mark.parametrize(
    ("part", "caught", "kept"),
    [
        ("development", 0.86, 0.93),
        ("development_2", 0.65, 0.88),
        ("held_out", 0.64, 0.82),
        ("held_out_2", 0.63, 0.8),
    ],
)
def test_most_false_sentences_are_caught_and_most_true_ones_kept(part, caught, kept):
    found = shares(measure(FOLDER / f"{part}.jsonl", Encoder.default()))
    assert found["caught"] >= caught
    assert found["kept"] >= kept


def test_no_passage_is_in_two_parts():
    passages = [
        {json.loads(line)["passage"] for line in (FOLDER / f"{part}.jsonl").read_text(encoding="utf-8").splitlines()}
        for part in ("development", "development_2", "held_out", "held_out_2")
    ]
    assert [len(part) for part in passages] == [86, 10, 10, 74]
    assert len(set().union(*passages)) == 86 + 10 + 10 + 74


@pytest.mark.golden
@pytest.mark.parametrize(
    ("sentence", "passage"),
    [
        ("The pump fails to switch off when the tank is empty", "If the tank is empty, the pump switches off."),
        ("Plugins written for 4.x no longer load", "Plugins written for 4.x still load but print a warning."),
        ("The clients lack fixed stations on the reef", "Its clients wait at fixed stations on the reef."),
        ("The beans are boiled without water", "Boil the beans in fresh water without salt for an hour."),
        ("The choice is not binding", "No fee is due. The choice binds the trader for five years."),
        ("The buyer is not entitled to withdraw if both fail", "If both fail, the buyer can withdraw."),
        ("Damage need not be reported before repairs begin", "Damage must be reported before repairs begin."),
    ],
)
def test_a_negation_in_any_words_needs_one_in_the_source(sentence, passage):
    assert judged(sentence, passage, Encoder.default())[0] is not True


@pytest.mark.golden
@pytest.mark.parametrize(
    ("sentence", "passage"),
    [
        ("The exporter does not skip empty rows any longer", "A bug that made the exporter skip empty rows was fixed."),
        ("The museum is not open on Mondays", "The museum is closed on Mondays."),
        ("You must not drive while you take the tablets", "Driving is not allowed while you take the tablets."),
        ("Python 3.8 is not supported any more", "Support for Python 3.8 was dropped."),
        ("The machines are delivered no later than 15 March", "Harlow delivers the machines by 15 March."),
    ],
)
def test_a_negation_may_be_one_in_other_words(sentence, passage):
    assert judged(sentence, passage, Encoder.default()) == (True, "")


BARBECUES = "Barbecues with charcoal are prohibited on the balconies, electric ones are allowed."


@pytest.mark.golden
@pytest.mark.parametrize(
    ("sentence", "passage", "supported"),
    [
        ("The pump switches on when the tank is empty", "If the tank is empty, the pump switches off.", False),
        ("The canal has since been narrowed by forty metres", "The canal has since been widened by 40 metres.", False),
        ("You may use a charcoal barbecue on the balcony", BARBECUES, False),
        ("Skin rash is an uncommon side effect", "Headache is a common side effect, skin rash a rare one.", True),
    ],
)
def test_an_antonym_counts_where_it_stands_in_the_place_of_the_other(sentence, passage, supported):
    assert judged(sentence, passage, Encoder.default())[0] is supported


@pytest.mark.golden
def test_what_is_said_of_it_may_be_said_of_what_the_sentence_before_names():
    passage = "The web console no longer stores passwords; it asks the identity server for a token instead."
    assert judged("The web console gets a token from the identity server", passage, Encoder.default()) == (True, "")


@pytest.mark.parametrize(
    ("passage", "sentence", "reason"),
    [
        ("The door is open at night.", "The door is not open at night", 'only the sentence says "not"'),
        ("The door is not open at night.", "The door is open at night", 'only the source says "not"'),
        ("The door isn't open at night.", "The door is open at night", 'only the source says "isn\'t"'),
        ("The water in the tank is hot.", "The water in the tank is cold", '"hot" where the sentence says "cold"'),
        ("Old wooden boards are suitable.", "Old wooden boards are unsuitable", '"suitable" where the sentence says'),
        ("It opens in May and closes in June.", "It opens in July", 'the cited spans have nothing for "July"'),
        ("The fee is due in May. It opens in June.", "The fee is due in June", '"May" where the sentence says "June"'),
        ("It holds 5 kg when full. It costs 9 kg.", "It holds 9 kg when full", '"5 kg" where the sentence says "9 kg"'),
        ("It takes at most 5 days.", "It takes at least 5 days", '"at most" where the sentence says "at least"'),
        ("It takes no more than 5 days.", "It takes more than 5 days", '"no more than" where the sentence says'),
        ("Most doors are locked.", "All doors are locked", '"most" where the sentence says "all"'),
    ],
)
def test_what_contradicts_is_false_and_named(passage, sentence, reason):
    supported, told = judged(sentence, passage, WordEncoder())
    assert supported is False
    assert reason in told


@pytest.mark.parametrize(
    ("passage", "sentence", "reason"),
    [
        ("Anna left in May. Bob left in June.", "Anna left in June", "stands in the source of something else"),
        ("Acme sued Globex.", "Globex sued Acme", "its words stand in the source in the reverse order"),
        (
            "The landlord pays for repairs of the roof. The tenant pays the rent.",
            "The tenant pays for repairs of the roof",
            "what it says stands in the source of something else",
        ),
        ("Anna sold the old red house.", "Anna sold the old red house, gladly smiling", "hardly anything in the cited"),
    ],
)
def test_what_the_rules_cannot_tell_is_neither_true_nor_false(passage, sentence, reason):
    supported, told = judged(sentence, passage, WordEncoder())
    assert supported is None
    assert reason in told


@pytest.mark.parametrize(
    ("passage", "sentence"),
    [
        ("The water is not cold.", "The water is hot"),
        ("The water isn't hot.", "The water is not hot"),
        ("Doors are never locked without a key.", "Doors are locked with a key"),
        ("The hall will not open until 2027.", "The hall will open in 2027"),
        ("Acme sued Globex.", "Globex was sued by Acme"),
        ("It takes no more than 5 days.", "It takes at most five days"),
        ("Nobody should wait longer than 5 days.", "Nobody should wait more than 5 days"),
        ("Anna waits 5 days, Bob nine.", "Bob waits 9 days"),
        ("The fee is 5 % of the price.", "The fee is five percent of the price"),
        ("Value added tax is due in May.", "VAT is due in May"),
    ],
)
def test_what_says_the_same_is_no_contradiction(passage, sentence):
    """The encoder knows equal words only, so it may lack one; the rules have nothing to object."""
    _, reason = judged(sentence, passage, WordEncoder())
    assert reason == "" or reason.startswith(("the cited spans have nothing", "no span", "hardly anything"))
