"""Names at the beginning of a sentence, where every word has a capital."""

import pytest

from tests.agents.judging import judged

TOOL = "SAP is approved by the finance controller. Laptops are ready on day one."
BREACH = "Brightwave Sensors pays EUR 75,000 for each breach. Notice is 60 days."
ONE_WORD = "Brightwave pays EUR 75,000 for each breach."
TABLE = "## Software\n\n| Tool | Approver | Seats |\n|---|---|---|\n| SAP | Finance controller | 40 |"
RADIUM = "Marie Curie discovered radium in 1898."


@pytest.mark.golden
@pytest.mark.parametrize(
    ("text", "sentence", "name"),
    [
        (TOOL, "MATLAB is approved by the finance controller", "MATLAB"),
        (TOOL, "AutoCAD is approved by the finance controller", "AutoCAD"),
        (TOOL, "**JIRA** needs the approval of the finance controller", "JIRA"),
        (TOOL, "Photoshop is approved by the finance controller", "Photoshop"),
        (BREACH, "Halvorsen pays EUR 75,000 for each breach", "Halvorsen"),
        (RADIUM, "Halvorsen discovered radium in 1898", "Halvorsen"),
    ],
)
def test_a_name_that_no_source_has_is_false(text, sentence, name):
    assert judged(sentence, text) == (False, f'the cited spans have nothing for "{name}"')


@pytest.mark.golden
@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (TOOL, "Slack is approved by the finance controller"),  # is an ordinary word as well
        (TOOL, "Teamcenter needs approval of the finance controller"),
        (BREACH, "Siemens pays EUR 75,000 for each breach"),
        (ONE_WORD, "Halvorsen pays EUR 75,000 for each breach"),  # may be an ordinary word, there
        (TABLE, "Photoshop is approved by the finance controller"),
        (TABLE, "Photoshop has 40 seats"),
        (RADIUM, "Einstein discovered radium in 1898"),
    ],
)
def test_what_may_be_a_name_that_no_source_has_is_not_supported(text, sentence):
    supported, reason = judged(sentence, text)
    assert (supported, reason.split()[-1]) == (None, f'"{sentence.split()[0]}"')


@pytest.mark.golden
@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (TOOL, "SAP's approval is given by the finance controller"),
        (TOOL, "NOTE: SAP is approved by the finance controller"),
        (TOOL, "Approval of SAP lies with the finance controller"),
        (TOOL, "Computers are ready on day one"),
        (BREACH, "Breaches cost Brightwave Sensors EUR 75,000 each"),
        (BREACH, "Contract breaches cost Brightwave EUR 75,000 each"),
        (RADIUM, "Chemist Marie Curie discovered radium in 1898"),
        (RADIUM, "Discovery of radium by Marie Curie happened in 1898"),
        ("Staff receive 25 days of leave.", "Employees get 25 days of leave"),
        ("Staff receive 25 days of leave.", "Personnel get 25 days of leave"),
        ("Lufthansa refunds tickets within 7 days.", "Tickets are refunded by Lufthansa within 7 days"),
        ("Dr Berg closed the clinic in Oslo in 2019.", "Oslo's clinic was closed by Dr Berg in 2019"),
        ("Tesco sells the bread for 2 pounds.", "Customers pay 2 pounds for the bread at Tesco"),
        ("PDF files are kept for 10 years.", "PDFs are kept for 10 years"),
        ("ALL STAFF WEAR HELMETS.", "EVERYBODY WEARS A HELMET"),
    ],
)
def test_an_ordinary_word_may_begin_a_sentence(text, sentence):
    assert judged(sentence, text) == (True, "")
