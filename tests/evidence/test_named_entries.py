"""In tables and lists of keys, the entry that the question names is the evidence, and those beside it are not."""

import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fgr_retriever import Encoder, Trimmer
from fgr_retriever.evidence.named_entries import by_name
from fgr_retriever.text.entries import entries
from fgr_retriever.text.query_words import content_stems
from fgr_retriever.text.sentences import sentences
from fgr_retriever.text.units import Units
from fgr_retriever.types import TokenEvidence
from tests.evidence.test_spans import evidence_for

BEFORE = (
    "# Sub-processors\n\nWe use the following companies to process personal data on our behalf. The list is kept up to "
    "date, and we tell you thirty days before we add another one. You may object within that time.\n\n"
)
BEHIND = "\n\n## Contact\n\nWrite to us if you have a question. We answer within ten working days.\n"


def markdown(header, *rows):
    return "\n".join("| " + " | ".join(row) + " |" for row in (header, ["---"] * len(header), *rows))


PURPOSES = ("Purpose", "Place of processing", "Data")
AWS = markdown(
    PURPOSES,
    ("Hosting", "Frankfurt, Germany", "all customer data"),
    ("Backup", "Dublin, Ireland", "encrypted copies"),
)
GOOGLE = markdown(
    PURPOSES, ("Analytics", "Eemshaven, Netherlands", "usage events"), ("Maps", "Hamina, Finland", "addresses")
)
AZURE = markdown(
    PURPOSES, ("Mail", "Amsterdam, Netherlands", "addresses and messages"), ("Speech", "Paris, France", "recordings")
)
SECTIONS = (
    f"{BEFORE}## Amazon Web Services\n\n{AWS}\n\n## Google Cloud Platform\n\n{GOOGLE}\n\n## Microsoft Azure\n\n{AZURE}"
    f"{BEHIND}"
)
COMPANIES = markdown(
    ("Company", *PURPOSES),
    ("Amazon Web Services", "Hosting", "Frankfurt, Germany", "all customer data"),
    ("Google Cloud Platform", "Analytics", "Eemshaven, Netherlands", "usage events"),
    ("Microsoft Azure", "Mail", "Amsterdam, Netherlands", "addresses and messages"),
    ("Twilio", "Text messages", "Dublin, Ireland", "telephone numbers"),
    ("Stripe", "Payment", "Dublin, Ireland", "card data"),
)
ONE_TABLE = f"{BEFORE}{COMPANIES}{BEHIND}"
STAFF = "name,role,salary,hired\nAna Lima,Baker,2300,2019\nOmar Reyes,Reception,2150,2021\nTom Berg,Baker,2250,2020\n"
SERVERS = """# Servers

## Production

host: alpha.example.org
memory: 64 GB
region: Oslo

## Staging

host: beta.example.org
memory: 16 GB
region: Turin

## Development

host: gamma.example.org
memory: 8 GB
region: Porto
"""
TARIFE = "Tarif;Preis;Kündigung\nBasis;5 EUR;1 Monat\nKomfort;9 EUR;3 Monate\nFamilie;15 EUR;6 Monate\n"
PLANS = "# Service plans\n\n" + "\n\n".join(
    f"## {name}\n\nFor sites with {n} visits a year. The monthly fee is {n}5 EUR. Spare parts are billed at cost. "
    f"The response time is {hours} hours."
    for name, n, hours in (("Bronze", 2, 48), ("Silver", 4, 24), ("Gold", 8, 12), ("Platinum", 9, 6))
)
DEPOTS = "# Depots\n\n" + "\n\n".join(
    f"## Depot {city}\n\nThe depot opens at {n}:00. It has {n}2 docks. The manager is {who}."
    for city, n, who in (("Rotterdam", 5, "Ms Visser"), ("Aarhus", 6, "Mr Holm"), ("Gdynia", 7, "Ms Nowak"))
)
MACHINES = "# Machines\n\n" + "\n\n".join(
    f"## Model {name}\n\n- Weight: {n}0 kg\n- Refrigerant: R{n}\n- Warranty: {n} months"
    for name, n in (("Condor", 12), ("Heron", 24), ("Kestrel", 36))
)
STATIONS = [
    {"station": name, "line": line, "opened": year, "notes": "checked in spring"}
    for name, line, year in (("Hallow", "Tarn", 1911), ("Ingle", "Weld", 1946), ("Larkhill", "Ostra", 1926))
]
LINES = "\n".join(map(json.dumps, STATIONS))
ARRAY = json.dumps(STATIONS, indent=2)
YAML = "".join(f"- station: {one['station']}\n  line: {one['line']}\n  opened: {one['opened']}\n" for one in STATIONS)
LOG = "\n".join(
    f'2024-03-0{day} 08:12:45 INFO station="{one["station"]}" line="{one["line"]}" opened="{one["opened"]}"'
    for day, one in enumerate(STATIONS, start=1)
)
ITEMS = "\n".join(f"- {one['station']}: line {one['line']}, opened {one['opened']}, rooms new" for one in STATIONS)
INI = "\n\n".join(f"[{one['station']}]\nline = {one['line']}\nopened = {one['opened']}" for one in STATIONS)
FEES = (
    "Fees\n\nKey card, lost or broken: 25 EUR\nRadio, lost or broken: 340 EUR\nLogger, lost or broken: 85 EUR\n"
    "Lost pallets are charged at cost."
)
CODES = (
    "| E14 | Battery below 15 % | Charge for 3 hours |\n| E27 | Oil hotter than 85 °C | Stop and wait |\n"
    "| E44 | Seat switch open | Replace switch S9 |"
)
CLASSES = markdown(
    ("Class", "Who decides", "Cargo"),
    ("A", "shift lead", "is delivered"),
    ("B", "quality manager", "is held for inspection"),
    ("D", "claims desk", "is destroyed"),
)
LOADED = "name: Boiler\nplace: cellar\nserviced: May\n\nname: Lift\nplace: hall\nserviced: July\n"


@pytest.fixture(scope="module")
def trimmer():
    return Trimmer(Encoder.default())


@pytest.mark.golden
@pytest.mark.parametrize(
    ("text", "question", "kept", "others"),
    [
        (SECTIONS, "Where does Google Cloud Platform process data?", "Eemshaven", "Frankfurt Dublin Amsterdam Paris"),
        (SECTIONS, "Where does Amazon Web Services process data?", "Frankfurt", "Eemshaven Hamina Amsterdam Paris"),
        (SECTIONS, "Where does Microsoft Azure process data?", "Amsterdam", "Frankfurt Dublin Eemshaven Hamina"),
        (SECTIONS, "What data does Google Cloud Platform get for maps?", "| Maps | Hamina", "Frankfurt Amsterdam"),
        (ONE_TABLE, "Where does Google Cloud Platform process data?", "Eemshaven", "Frankfurt Dublin Amsterdam"),
        (ONE_TABLE, "Where does Stripe process data?", "| Stripe | Payment | Dublin", "Twilio Frankfurt"),
        (ONE_TABLE, "What is Twilio used for?", "Text messages", "Amsterdam Stripe"),
        (STAFF, "What is the salary of Omar Reyes?", "2150", "2300 2250"),
        (STAFF, "When was Tom Berg hired?", "2020", "2019 2021"),
        (SERVERS, "How much memory does the staging server have?", "## Staging", "64 8"),
        (SERVERS, "In which region is the development server?", "## Development", "Oslo Turin"),
        (TARIFE, "Was kostet der Tarif Komfort?", "9 EUR", "5 15"),
        (LOADED, "When was the lift serviced?", "July", "May"),
        (PLANS, "What is the response time of Platinum?", "6 hours", "48 24 12"),
        (PLANS, "What is the monthly fee of Silver?", "45 EUR", "25 85 95"),
        (DEPOTS, "Who manages Aarhus?", "Mr Holm", "Visser. Nowak."),
        (DEPOTS, "When does the Gdynia depot open?", "7:00", "5:00. 6:00."),
        (FEES, "What does a lost logger cost?", "Logger, lost or broken: 85 EUR", "340"),
        (FEES, "What is the fee for a radio?", "Radio, lost or broken: 340 EUR", "85"),
        (CODES, "What does E44 mean?", "| E44 | Seat switch open", "E14"),
        (CODES, "What to do at E27?", "Stop and wait", "Replace Charge"),
        (CLASSES, "What happens to class B cargo?", "held for inspection", "delivered destroyed"),
        (CLASSES, "Who decides about class D?", "claims desk", "shift quality"),
        (MACHINES, "How long is the warranty of the Heron?", "24 months", "12 36"),
        *(
            (text, "When was the station Ingle opened?", "1946", "1911 1926")
            for text in (LINES, ARRAY, YAML, LOG, ITEMS, INI)
        ),
    ],
)
def test_what_the_question_names_is_kept_and_not_what_stands_beside_it(trimmer, text, question, kept, others):
    (found,) = trimmer.trim(question, [text])
    assert kept in found.text
    words = found.text.replace(",", " ").replace('"', " ").split()
    assert [other for other in others.split() if other in words] == []


def means(text, question, *likely):
    known = by_name(text, evidence_for(text, *likely), content_stems(question))
    return {
        text[one.start : one.end]: known.mean(one.start, one.end)
        for one in entries(text, content_stems(question), lambda: sentences(text))
    }


def test_an_entry_has_the_words_of_its_header_and_of_the_headings_above():
    found = {
        one.words
        for one in entries(SECTIONS, frozenset(), lambda: sentences(SECTIONS))
        if SECTIONS[one.start : one.end].startswith("| Maps")
    }
    assert {*found} == {
        frozenset(
            content_stems(
                "Sub-processors Google Cloud Platform place processing purpose data maps Hamina Finland addresses"
            )
        )
        | {"of"}
    }


def test_a_name_in_no_entry_or_in_all_changes_nothing():
    evidence = evidence_for(STAFF, "2150")
    for question in ("What does Ida Holm earn?", "What is the salary?", "?"):
        assert by_name(STAFF, evidence, content_stems(question)) is evidence


def test_prose_is_left_as_it_is():
    text = f"{BEFORE}Omar sells bread. Ana bakes it, and Tom cleans.\n\nOmar: baker, and more."
    evidence = evidence_for(text, "bakes")
    assert entries(text, content_stems("What does Ana do?"), lambda: sentences(text)) == []
    assert by_name(text, evidence, content_stems("What does Ana do?")) is evidence


def test_text_beside_a_table_is_left_as_it_is():
    text = f"We pay Omar well.\n\n{STAFF}\nOmar is kind."
    evidence = evidence_for(text, "kind", "Baker")
    changed = by_name(text, evidence, content_stems("What is the salary of Omar Reyes?"))
    for part in ("We pay Omar well.", "Omar is kind."):
        start = text.index(part)
        assert changed.mean(start, start + len(part)) == evidence.mean(start, start + len(part))


def test_a_row_with_the_name_comes_before_likelier_ones():
    found = means(STAFF, "What is the salary of Omar Reyes?", "Ana", "Lima,Baker,2300,2019")
    assert max((row for row in found if "name" not in row), key=found.get).startswith("Omar")


def test_what_the_model_finds_in_the_section_before_counts_for_the_one_with_the_name():
    """Right before a heading with the name stands what is asked, but of something else."""
    found = by_name(
        PLANS, evidence_for(PLANS, {"12": 0.9, "hours": 0.2}), content_stems("What is the response time of Platinum?")
    )
    asked, other = (PLANS.index(part) for part in ("response time is 6", "response time is 12"))
    assert found.mean(asked, asked + 24) > 0.3 > found.mean(other, other + 25)


def test_sections_that_are_not_alike_are_no_entries():
    text = (
        "# Handbook\n\n## Holidays\n\nStaff have 26 days off, of which ten may be kept for a later year.\n\n"
        "## Travel\n\nHotels cost up to 145 euros; trains come before planes.\n\n"
        "- Lunch: at noon in building C\n- Tea: whenever you like"
    )
    evidence = evidence_for(text, "26")
    assert (
        by_name(text, evidence, content_stems("How much may a hotel cost on holidays, and when is lunch?")) is evidence
    )


def test_every_row_that_has_a_part_of_the_name_stays():
    found = means(STAFF, "Compare the salaries of Omar and Tom.", "Omar", "Tom")
    evidence = means(STAFF, "", "Omar", "Tom")
    for row in ("Omar Reyes,Reception,2150,2021", "Tom Berg,Baker,2250,2020"):
        assert found[row] >= evidence[row]


@given(st.lists(st.lists(st.sampled_from(["oak", "elm", "3", "fir 2"]), min_size=2, max_size=2), max_size=5), st.data())
def test_probabilities_stay_in_their_range_and_the_given_ones_are_not_changed(rows, data):
    text = f"# oak\n\n{markdown(('tree', 'height'), *rows)}\n\nkey: elm\nother: oak\n\nkey: fir\nother: 3\n"
    given_ = evidence_for(text, *data.draw(st.lists(st.sampled_from(text.split()), max_size=4)))
    before = given_.probabilities.copy()
    known = content_stems(data.draw(st.sampled_from(["oak height", "elm", "fir and oak", "tree"])))
    found = by_name(text, given_, known)
    assert np.array_equal(given_.probabilities, before)
    assert np.array_equal(found.offsets, given_.offsets)
    assert found.probabilities.dtype == np.float32
    assert ((found.probabilities >= 0) & (found.probabilities <= 1)).all()
    ranges = [(one.start, one.end) for one in entries(text, known, lambda: sentences(text))]
    assert all(end <= start for (_, end), (start, _) in pairwise(ranges))


def test_a_text_without_tokens():
    nothing = TokenEvidence(np.zeros((0, 2), np.int32), np.zeros(0, np.float32))
    assert by_name(STAFF, nothing, content_stems("Omar")) is nothing


def test_a_year_puts_no_row_behind_the_others():
    """ "Since 2018" asks for the rows from that year on; so the row of 2018 may gain, but the others must not lose."""
    text = markdown(("Year", "Revenue"), ("2018", "4 million"), ("2019", "6 million"), ("2020", "9 million"))
    evidence = evidence_for(text, dict.fromkeys(("4", "6", "9"), 0.6))
    found = by_name(text, evidence, content_stems("How has revenue grown since 2018?"))
    assert (found.probabilities >= evidence.probabilities - 1e-6).all()
    assert (found.probabilities > evidence.probabilities + 0.1).any()


def test_a_year_or_a_small_number_is_no_identifier():
    text = "The mill burned in 1932.\nIt had 14 stones.\nIn 1951 it was rebuilt, with 12 of them."
    evidence = evidence_for(text, "burned", "rebuilt")
    for question in ("What happened in 1951?", "Which mill had 12 stones?"):
        assert by_name(text, evidence, content_stems(question)) is evidence


def test_what_has_the_identifier_of_the_question_comes_before_others_of_its_kind():
    text = "Container 4711 went to Oslo, with seal 1075.\nContainer 4712 went to Turin.\nBoth are empty."
    evidence = evidence_for(text, "4711", "Oslo", "Turin")
    found = by_name(text, evidence, content_stems("Where did container 4712 go?"))
    asked, other = text.index("Container 4712"), text.index("Both")
    assert found.mean(asked, other) > evidence.mean(asked, other)
    assert found.mean(other, len(text)) == evidence.mean(other, len(text))


@pytest.mark.parametrize("text", [SECTIONS, ONE_TABLE, STAFF, SERVERS, PLANS, MACHINES, ARRAY, YAML, LOG, ITEMS, INI])
def test_borders_that_an_index_keeps_give_the_same_entries(text):
    known = content_stems("Where is the salary of the staging server of Google, Stripe, Omar, Gold, Heron or Ingle?")
    kept = [tuple(one) for one in Units.of(text).sentences.tolist()]
    assert entries(text, known, lambda: kept) == entries(text, known, lambda: sentences(text))
