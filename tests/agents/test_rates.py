"""What a price is for may stand in a cell of its own, in the name of a column, or in front."""

import pytest

from fgr_retriever import verify_citations
from fgr_retriever.model.encoder import Encoder

PIPED = "| Charge | Unit | EUR |\n|---|---|---|\n| Waiting time | hour | 71 |\n| Storage | day | 12 |"
COMMAS = "Charge,Unit,EUR\nWaiting time,1 hour,71\nStorage,1 day,12"
RECORD = "Charge: Waiting time\nUnit: hour\nEUR: 71"
COLUMN = "Charge,EUR/hour\nWaiting time,71\nLoading,48"
PROSE = "Waiting time is billed by the hour at a rate of EUR 71."


def judged(sentence, text):
    span = {"passage": "p", "start": 0, "end": len(text), "source_start": None, "source_end": None, "score": 1.0}
    source = {"number": 1, "title": "p", "also_in": [], "passages": [], "spans": [{**span, "text": text}]}
    (citation,) = verify_citations(f"{sentence} [1].", {"sources": [source]}, encoder=Encoder.default())
    return citation.supported


@pytest.mark.golden
@pytest.mark.parametrize("text", [PIPED, COMMAS, RECORD, COLUMN, PROSE])
def test_a_rate_is_supported_wherever_its_unit_stands(text):
    assert judged("Waiting costs 71 EUR per hour", text) is True


@pytest.mark.golden
@pytest.mark.parametrize("text", [PIPED, COMMAS, RECORD, COLUMN, PROSE])
def test_the_rate_of_another_thing_is_not(text):
    assert judged("Waiting time costs 12 EUR per hour", text) is not True


@pytest.mark.golden
@pytest.mark.parametrize("text", [RECORD, COLUMN, PROSE])
def test_nor_is_another_unit(text):
    assert judged("Waiting time costs 71 EUR per day", text) is False
