"""What a price is for may stand in a cell of its own, in the name of a column, or in front."""

import pytest

from tests.agents.judging import judged

PIPED = "| Charge | Unit | EUR |\n|---|---|---|\n| Waiting time | hour | 71 |\n| Storage | day | 12 |"
COMMAS = "Charge,Unit,EUR\nWaiting time,1 hour,71\nStorage,1 day,12"
RECORD = "Charge: Waiting time\nUnit: hour\nEUR: 71"
COLUMN = "Charge,EUR/hour\nWaiting time,71\nLoading,48"
PROSE = "Waiting time is billed by the hour at a rate of EUR 71."


@pytest.mark.golden
@pytest.mark.parametrize("text", [PIPED, COMMAS, RECORD, COLUMN, PROSE])
def test_a_rate_is_supported_wherever_its_unit_stands(text):
    assert judged("Waiting costs 71 EUR per hour", text)[0] is True


@pytest.mark.golden
@pytest.mark.parametrize("text", [PIPED, COMMAS, RECORD, COLUMN, PROSE])
def test_the_rate_of_another_thing_is_not(text):
    assert judged("Waiting time costs 12 EUR per hour", text)[0] is not True


@pytest.mark.golden
@pytest.mark.parametrize("text", [RECORD, COLUMN, PROSE])
def test_nor_is_another_unit(text):
    assert judged("Waiting time costs 71 EUR per day", text)[0] is False
