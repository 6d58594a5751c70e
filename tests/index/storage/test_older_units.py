"""An index whose borders older rules made opens, verifies and works; it keeps the cuts that it had."""

import sqlite3
from contextlib import closing

import pytest

from fgr_retriever.config import IndexConfig
from fgr_retriever.engine import Engine
from fgr_retriever.index.storage import passage_row
from fgr_retriever.testing import WordEncoder
from fgr_retriever.text.units import Units
from fgr_retriever.types import Passage

pytest.importorskip("faiss")
TEXT = "name,salary\nOmar,2150\nLena,1980"


def old_rules(text: str) -> Units:
    """Cut at every line end, as no present rule does with rows that are long enough."""
    return Units.of(text.replace("2150", "2,150"[:4]).replace("\n", " "))


def test_units_of_older_rules_are_kept_and_read(tmp_path, monkeypatch):
    folder = tmp_path / "index"
    with monkeypatch.context() as patch:
        patch.setattr(passage_row.Units, "of", classmethod(lambda cls, text: old_rules(text)))
        engine = Engine.create(folder, encoder=WordEncoder(), config=IndexConfig())
        engine.add([Passage("staff", TEXT), Passage("other", "Bread is made of flour.")])
        engine.close()
