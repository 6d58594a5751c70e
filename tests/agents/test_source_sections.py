"""A value of one section does not support a sentence about another one that is built like it."""

import pytest

from fgr_retriever import Engine, Passage, TrimConfig, verify_citations
from fgr_retriever.agents.source_sections import heading_above, without_sections
from fgr_retriever.model.encoder import Encoder

PLANS = "# Service plans\n\n" + "\n\n".join(
    f"## {name}\n\nFor sites with {n} visits a year. The monthly fee is {fee} EUR. The response time is {hours} hours."
    for name, n, fee, hours in (("Bronze", 2, 40, 48), ("Silver", 4, 65, 24), ("Gold", 9, 98, 12))
)
MACHINES = "\n\n".join(
    f"## {name}\n\n- Weight: {n}0 kg\n- Warranty: {n} months"
    for name, n in (("Condor", 12), ("Heron", 24), ("Kite", 36))
)


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    with Engine.open(tmp_path_factory.mktemp("plans") / "index", encoder=Encoder.default()) as engine:
        engine.add([Passage("plans", PLANS, {"source": "plans.md"}), Passage("machines", MACHINES)])
        yield engine


@pytest.mark.golden
@pytest.mark.parametrize(
    ("sentence", "supported"),
    [
        ("The monthly fee of Gold is 98 EUR", True),
        ("Silver costs 65 EUR a month", True),
        ("The response time of Silver is 24 hours", True),
        ("The monthly fee of Gold is 65 EUR", False),
        ("The response time of Bronze is 12 hours", False),
        ("Silver costs 98 EUR a month", False),
    ],
)
@pytest.mark.parametrize("question", ["What do Bronze, Silver and Gold cost?", "Fees and response times of all plans"])
def test_a_value_of_another_section_is_no_support(engine, question, sentence, supported):
    context = engine.retrieve(question, k=1, trim=TrimConfig(citation="[{number}] ", threshold=0.0))
    assert str(98) in context.text
    (citation,) = verify_citations(f"{sentence} [1].", context, encoder=engine)
    assert citation.supported is supported
    assert supported or "the source says" in citation.reason


@pytest.mark.golden
def test_lists_below_headings_too(engine):
    context = engine.retrieve(
        "How long is the warranty of the Heron and the Condor?", k=1, trim=TrimConfig(threshold=0.0)
    )
    found = [
        verify_citations(f"The warranty of the Heron is {months} months [1].", context, encoder=engine)[0].supported
        for months in (24, 12)
    ]
    assert found == [True, False]


def test_sections_are_the_rows_of_a_table():
    rest, ((bronze, silver, gold),) = without_sections(PLANS)
    assert rest == "# Service plans\n\n" + "\n\n" * 2
    assert (bronze.label, silver.label, gold.label) == ("Bronze", "Silver", "Gold")
    assert "65 EUR" in silver.cells[1].text


def test_what_stands_in_two_places_below_one_heading_is_one_row():
    twice = "\n\n".join(
        f"## {name}\n\nThe fee is {n} EUR.\n\n## {name}\n\nCalls cost {n} cents." for name, n in (("A", 1), ("B", 2))
    )
    (rows,) = without_sections(twice)[1]
    assert [row.cells[1].text for row in rows] == [
        "The fee is 1 EUR.\n\nCalls cost 1 cents.",
        "The fee is 2 EUR.\n\nCalls cost 2 cents.",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "## Travel\n\nHotels cost up to 145 EUR.\n\n## Leave\n\nStaff have 26 days, and may keep ten of them.",
        "## Gold\n\nThe fee is 98 EUR.",
        "The fee is 98 EUR.",
        "## Gold\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n## Silver\n\n| a | b |\n|---|---|\n| 1 | 3 |",
    ],
)
def test_other_texts_stay_as_they_are(text):
    assert without_sections(text) == (text, [])


def test_the_heading_above_a_place():
    assert heading_above(PLANS, PLANS.index("65 EUR")) == "## Silver"
    assert heading_above(PLANS, PLANS.index("## Silver")) == "# Service plans"
    assert heading_above(PLANS, 0) == ""
