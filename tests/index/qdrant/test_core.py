"""What only Qdrant's real core can show: kinds of storage, kills; and a real server, where there is one."""

import os
import uuid

import numpy as np
import pytest
from qdrant_client import models

from fgr_retriever import Engine, IndexConfig, QdrantCollection, SearchConfig
from fgr_retriever.testing import WordEncoder
from tests.index.qdrant.conftest import QUESTIONS, corpus, make_client
from tests.index.qdrant.kills import lost_after

URL = os.environ.get("FGR_QDRANT_URL")
"""A server to test with, such as `qdrant://localhost:6334`; collections of a random name are made and deleted."""


@pytest.mark.parametrize(
    ("storage", "cosine", "size", "same"),
    [("exact", 0.9999999, 256, 1.0), ("balanced", 0.9999, 132, 1.0), ("small", 0.985, 68, 0.85)],
)
def test_kinds_of_storage(tmp_path, folder, storage, cosine, size, same):
    client = make_client("core", tmp_path / "core")
    with Engine.open(QdrantCollection(client, "p", storage=storage), encoder=WordEncoder()) as engine:
        engine.add(corpus())
        engine.verify()
        assert engine.info().bytes_per_token == size
        query = WordEncoder().encode_queries(["radium"])[0]
        ids = [f"p{number}" for number in range(20)]
        ours, theirs = engine._index.score(query, ids), folder._index.score(query, ids)
        pairs = [
            (a.tokens.vectors.astype(float), b.tokens.vectors.astype(float)) for a, b in zip(ours, theirs, strict=True)
        ]
        lengths = [np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1) for a, b in pairs]
        cosines = np.concatenate([(a * b).sum(axis=1) / length for (a, b), length in zip(pairs, lengths, strict=True)])
        assert cosines.min() > cosine
        if storage != "exact":
            assert cosines.max() < 0.9999999  # the core did not simply keep the vectors as they are
        spans = [
            [(span.start, span.end) for span in a.spans] == [(span.start, span.end) for span in b.spans]
            for question in QUESTIONS
            for b in folder.search(question, k=50)
            for a in engine.search(question, k=50)
            if a.passage.id == b.passage.id
        ]
        assert len(spans) == 160
        assert np.mean(spans) >= same
    client.close()


def test_nothing_acknowledged_is_lost_when_a_writer_is_killed(tmp_path):
    acknowledged, missing = lost_after(2, tmp_path / "core")
    assert acknowledged >= 14
    assert missing == set()


@pytest.mark.skipif(URL is None, reason="no Qdrant server: set FGR_QDRANT_URL, such as qdrant://localhost:6334")
@pytest.mark.parametrize("options", ["", "&storage=exact", "&shards=3", "&protocol=rest"])
def test_a_real_server(folder, options):
    name = f"fgr-test-{uuid.uuid4().hex[:8]}"
    url = f"{URL.rstrip('/')}/{name}?fields=year{options}"
    if "rest" in options:
        url = url.replace(":6334", ":6333")
    with Engine.open(url, encoder=WordEncoder(), config=IndexConfig(words="english")) as engine:
        client = engine._index._server.place.client
        try:
            assert engine.add(corpus()).added == 41
            assert engine.add(corpus()).unchanged == 41
            engine.verify()
            assert engine.ids() == folder.ids()
            for filter in (
                None,
                {"year": {"$gte": 1930}},
                {"lang": {"$contains": "e"}},
                {"source": {"$gt": "files/1"}},
            ):
                assert engine.ids(filter) == folder.ids(filter)
                for question in QUESTIONS:
                    found = dict(folder.rank(question, k=50, filter=filter))
                    assert dict(engine.rank(question, k=50, filter=filter)) == pytest.approx(found, abs=5e-3)
                    assert {id for id, _ in engine._index.words(question, 50)} >= {engine.rank(question, k=1)[0][0]}
            few = Engine(engine._index, engine._index.encoder, SearchConfig(candidates=10))
            assert few.rank(QUESTIONS[1], k=1)[0][0] == "p7"
            assert engine.delete(["p7"]) == 1
        finally:
            client.delete_collection(name)


def test_the_core_and_the_client_agree_on_what_is_empty(tmp_path):
    """Filters rest on this: a string without characters is a value, a missing key is none."""
    for kind in ("memory", "core"):
        client = make_client(kind, tmp_path / kind)
        Engine.open(QdrantCollection(client, "p", storage="exact"), encoder=WordEncoder())
        points = [
            models.PointStruct(id=str(uuid.UUID(int=row)), vector={}, payload={"row": row, "f": value})
            for row, value in enumerate([{"a": ""}, {"a": None}, {}])
        ]
        client.upsert("p", points=points, wait=True)
        empty = models.IsEmptyCondition(is_empty=models.PayloadField(key="f.a"))
        rows = models.FieldCondition(key="row", range=models.Range(gte=0))
        assert client.count("p", count_filter=models.Filter(must=[empty, rows]), exact=True).count == 2
        client.close()
