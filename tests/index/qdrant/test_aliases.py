"""A collection is retrained or upgraded into a new one, and an alias is switched: readers keep the old one."""

import numpy as np
import pytest
from qdrant_client import QdrantClient

from fgr_retriever import Engine, Passage, QdrantCollection
from fgr_retriever.cli import main
from fgr_retriever.config import Calibration
from fgr_retriever.errors import ConfigError, IndexServerError, InputError
from fgr_retriever.index.copying import copy
from fgr_retriever.index.qdrant import aliases, centroids
from fgr_retriever.index.qdrant.server import Server
from fgr_retriever.testing import WordEncoder
from tests.index.qdrant.conftest import QUESTIONS, corpus
from tests.index.qdrant.serving import served


@pytest.fixture
def client():
    made = QdrantClient(":memory:")
    yield made
    made.close()


@pytest.fixture
def places(client):
    """An alias, and two collections of which the first is filled, with centroids, and has the alias."""
    alias, old, new = (QdrantCollection(client, name, storage="exact") for name in ("notes", "old", "new"))
    with pytest.MonkeyPatch.context() as early, Engine.open(old, encoder=WordEncoder()) as engine:
        early.setattr(centroids, "LEARNED_FROM", 10)
        engine.add(corpus()[:10])
        engine.add(corpus()[10:])
    aliases.switch(Server(old, owned=False), "notes")
    return alias, old, new


def opened(place):
    return Engine.open(place, encoder=WordEncoder(), create=False)


def names(client):
    return {one.alias_name: one.collection_name for one in client.get_aliases().aliases}


def test_readers_keep_the_old_collection_until_they_open_the_alias_again(client, places):
    alias, old, new = places
    with opened(alias) as reader:
        before = [reader.rank(question, k=50) for question in QUESTIONS]
        assert copy(alias, new, retrain=True, alias="notes").added == 41
        assert names(client) == {"notes": "new"}
        with opened(alias) as again:
            assert [again.rank(question, k=50) for question in QUESTIONS] == before
            again.delete(["p0"])
        assert "p0" not in opened(new)
        assert "p0" in opened(old)
        assert [reader.rank(question, k=50) for question in QUESTIONS] == before


def test_who_opened_the_alias_before_a_switch_cannot_write_into_the_old_collection(places):
    alias, old, new = places
    with opened(alias) as writer:
        copy(alias, new, alias="notes")
        for write in (
            lambda: writer.add([Passage("x", "radium")]),
            lambda: writer.delete(["p0"]),
            lambda: writer._index.calibrate(Calibration(threshold=0.25)),
        ):
            with pytest.raises(InputError, match="is 'new' now, and was 'old': open it again to write"):
                write()
    for place in (alias, old, new):
        assert len(opened(place)) == 41


def test_retraining_learns_from_what_is_there_now(places):
    alias, _, new = places
    with opened(alias) as engine:
        first = engine._index._centroids.get()
        copy(alias, new, retrain=True)
        assert np.array_equal(engine._index._centroids.get(), first)  # the old one keeps its own
    with opened(new) as engine:
        second = engine._index._centroids.get()
        assert len(second) > len(first)  # learned from 41 passages, not from ten
        points, _ = new.client.scroll("new", limit=99, with_payload=["id"], with_vectors=["cen"])
        told = {index for one in points if one.vector for index in one.vector["cen"].indices}
        assert max(told) >= len(first)
        engine.verify()


def test_without_retraining_the_centroids_are_taken_along(places):
    alias, _, new = places
    copy(alias, new)
    with opened(alias) as first, opened(new) as second:
        assert np.array_equal(first._index._centroids.get(), second._index._centroids.get())


def test_a_collection_gets_codes_of_another_head_by_way_of_a_folder(client, places, tmp_path):
    class Other(WordEncoder):
        evidence_code = type(WordEncoder().evidence_code)("another", 4)

    alias, _, new = places
    copy(alias, tmp_path / "folder")
    with Engine.open(tmp_path / "folder", encoder=Other()) as engine:
        assert engine.upgrade()
    assert copy(tmp_path / "folder", new, alias="notes").added == 41
    assert names(client) == {"notes": "new"}
    with Engine.open(alias, encoder=Other()) as engine:
        assert engine._index.lacks() == ()
        (match,) = engine._index.score(engine._encoder.encode_queries(["radium"])[0], ["p0"])
        assert match.tokens.evidence.shape == (len(match.tokens.vectors), 4)


def test_the_commands(client, places, capsys):
    with served(client):
        source, target = "qdrant://localhost/notes", "qdrant://localhost/new?storage=exact"
        assert main(["copy", source, target, "--retrain", "--alias", "notes"]) == 0
        assert names(client) == {"notes": "new"}
        assert main(["copy", source, "folder", "--retrain"]) == 2
        assert main(["copy", source, target, "--alias", "old"]) == 2
        assert "a collection has this name" in capsys.readouterr().err


def test_what_is_for_collections(places, tmp_path):
    alias, _, new = places
    with opened(alias) as engine:
        copy(alias, tmp_path / "folder")
        assert len(engine) == 41
    for wrong in (
        lambda: copy(alias, tmp_path / "other", alias="notes"),
        lambda: copy(alias, tmp_path / "other", retrain=True),
        lambda: copy(tmp_path / "folder", new, retrain=True),
    ):
        with pytest.raises(ConfigError, match="retrain is for"):
            wrong()
    with pytest.raises(ConfigError, match="alias 'old': a collection has this name"):
        copy(alias, new, alias="old")
    assert not new.client.collection_exists("new")
    assert not (tmp_path / "other").exists()


def test_a_key_that_may_not_list_aliases_opens_them(places, monkeypatch):
    call = Server.anywhere

    def denied(self, method, **arguments):
        if method == "get_aliases":
            raise IndexServerError("no")
        return call(self, method, **arguments)

    monkeypatch.setattr(Server, "anywhere", denied)
    with opened(places[0]) as engine:
        engine.add([Passage("x", "radium")])
        assert engine.rank("radium", k=50)
