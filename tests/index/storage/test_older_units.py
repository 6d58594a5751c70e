"""An index whose borders older rules made opens, verifies and works; it keeps the cuts that it had."""

import numpy as np
import pytest

from fgr_retriever.config import TrimConfig
from fgr_retriever.engine import Engine
from fgr_retriever.testing import WordEncoder
from fgr_retriever.text.units import Units, as_ranges
from fgr_retriever.types import Passage

pytest.importorskip("faiss")
ROWS = "name;job;salary\nOmar;porter, nights;2150\nLena;cook, days;1980"


def cut_at_commas(text):
    """Make units as rules did that knew no rows."""
    places = [0, *(place + 2 for place in range(len(text)) if text.startswith(", ", place)), len(text)]
    pieces = as_ranges(list(zip(places[:-1], (place - 1 for place in places[1:]), strict=True)))
    pieces[-1, 1] = len(text)
    return Units(as_ranges([(0, len(text))]), pieces, np.zeros(0, dtype=np.int64))


def test_an_index_with_borders_of_older_rules_works(tmp_path, monkeypatch):
    folder, config = tmp_path / "index", TrimConfig(threshold=0.5, merge_gap=0)
    with monkeypatch.context() as patch:
        patch.setattr(Units, "of", classmethod(lambda cls, text: cut_at_commas(text)))
        with Engine.open(folder, encoder=WordEncoder()) as engine:
            engine.add([Passage("rows", ROWS)])
    with Engine.open(folder, encoder=WordEncoder()) as engine:
        engine.verify()
        (found,) = engine.search("nights", trim=config)
        (stored,) = [ROWS[span.start : span.end] for span in found.spans]
        assert stored == "nights;2150\nLena;cook"  # as it was cut when it was added
        engine.add([Passage("rows", ROWS), Passage("new", ROWS + "\n")])
        new = {hit.passage.id: hit for hit in engine.search("nights", trim=config)}["new"]
        assert [new.passage.text[span.start : span.end] for span in new.spans] == ["Omar;porter, nights;2150"]
        engine.verify()
