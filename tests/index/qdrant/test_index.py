"""An engine over a collection does what it does over a folder."""

import pickle

import numpy as np
import pytest
from qdrant_client import models

from fgr_retriever import Engine, IndexConfig, Passage, Pipeline, QdrantCollection, SearchConfig
from fgr_retriever.config import Calibration
from fgr_retriever.errors import (
    ConfigError,
    IndexCorruptError,
    IndexFormatError,
    IndexNotFoundError,
    InputError,
    ModelMismatchError,
)
from fgr_retriever.index.index import Index
from fgr_retriever.index.qdrant import centroids, writing
from fgr_retriever.index.qdrant import facts as facts_module
from fgr_retriever.index.qdrant.index import QdrantIndex
from fgr_retriever.index.qdrant.layout import point_id
from fgr_retriever.index.qdrant.search import candidates_of
from fgr_retriever.index.seam import PassageIndex
from fgr_retriever.search.stages.attention import Attention
from fgr_retriever.search.stages.dense import Dense
from fgr_retriever.search.stages.late import Late
from fgr_retriever.testing import WordEncoder
from tests.index.qdrant.conftest import QUESTIONS, corpus
from tests.index.qdrant.serving import served

FACTS = str(facts_module._id("fgr"))
FILTERS = (None, {"year": {"$gte": 1930}}, {"lang": "en", "kept": True}, {"$not": {"kept": False}}, {"year": 1})


def seen(hits):
    return [
        (one.passage, pytest.approx(one.score, abs=2e-4), one.rank, [(span.start, span.end) for span in one.spans])
        for one in hits
    ]


class TestLikeAFolder:
    @pytest.mark.parametrize("filter", FILTERS, ids=repr)
    def test_hits_and_evidence(self, filled, folder, filter):
        for question in QUESTIONS:
            assert seen(filled.search(question, k=50, filter=filter)) == seen(
                folder.search(question, k=50, filter=filter)
            )

    @pytest.mark.parametrize("question", QUESTIONS)
    def test_ranks(self, filled, folder, question):
        found = folder.rank(question, k=50)
        assert filled.rank(question, k=50) == [(id, pytest.approx(score, abs=2e-4)) for id, score in found]
        assert len(found) == 40

    def test_contexts(self, filled, folder):
        for question in QUESTIONS:
            ours, theirs = (
                filled.retrieve(question, filter={"lang": "de"}, k=50),
                folder.retrieve(question, filter={"lang": "de"}, k=50),
            )
            assert ours.text == theirs.text

    def test_passages(self, filled, folder):
        assert filled.ids() == folder.ids()
        assert filled.ids({"year": {"$lt": 1903}}) == folder.ids({"year": {"$lt": 1903}}) == ["p0", "p1", "p2", "blank"]
        wanted = ["p3", "nobody", "p0", "p3", "blank"]
        assert filled.get(wanted) == folder.get(wanted)
        assert len(filled) == len(folder) == 41
        assert filled.sources() == folder.sources()
        assert "p3" in filled
        assert "nobody" not in filled
        assert "" not in filled

    def test_keys_that_no_passage_has(self, filled):
        (note,) = filled.retrieve("radium", filter={"colour": "red"}).report.notes
        assert "no passage has the metadata 'colour'" in note

    def test_stages(self, filled, folder):
        pipelines = [Pipeline((Late(count=50), Attention(count=50))), Pipeline((Attention(count=50), Late(count=50)))]
        for pipeline in pipelines:
            ours = Engine(filled._index, filled._index.encoder, SearchConfig(), pipeline)
            theirs = Engine(folder._index, folder._index.encoder, SearchConfig(), pipeline)
            assert [one.passage.id for one in ours.search(QUESTIONS[0], k=50)] == [
                one.passage.id for one in theirs.search(QUESTIONS[0], k=50)
            ]

    def test_a_stage_that_needs_a_folder_says_so(self, filled):
        piped = Engine(filled._index, filled._index.encoder, SearchConfig(), Pipeline((Dense(model="never opened"),)))
        with pytest.raises(ConfigError, match="lies in no folder"):
            piped.search("radium")

    def test_it_fulfils_the_seam(self, filled, folder):
        both: tuple[PassageIndex, ...] = (filled._index, folder._index)
        assert [type(one) for one in both] == [QdrantIndex, Index]

    def test_verify_and_info(self, filled):
        filled.verify()
        filled.compact()
        info = filled.info()
        assert (info.passages, info.nbits, info.bytes_per_token, info.evidence) == (41, 16, 256.0, "present")
        assert info.tokens == sum(len(one.text.replace(".", " ").split()) for one in corpus())
        assert info.bytes == 256 * info.tokens


class TestAdding:
    def test_only_what_changed_is_encoded(self, place):
        met = []

        class Counting(WordEncoder):
            def encode_passages(self, texts, **options):
                return super().encode_passages((met.append(text) or text for text in texts), **options)

        with Engine.open(place, encoder=Counting()) as engine:
            assert engine.add([Passage("a", "one", {"n": 1}), Passage("b", "two")]).added == 2
            met.clear()
            done = engine.add([Passage("b", "two"), Passage("a", "one", {"n": 2, "m": 1}), Passage("c", "three")])
            assert (done.added, done.updated, done.unchanged, done.deleted) == (1, 1, 1, 0)
            assert met == ["three"]
            assert engine.ids({"n": 2}) == ["a"]
            assert engine.ids({"n": 1}) == []
            assert engine.ids() == ["a", "b", "c"]
            assert engine.get(["a"])[0].metadata == {"n": 2, "m": 1}
            done = engine.add([Passage("a", "another", {})])
            assert (done.added, done.updated) == (0, 1)
            assert engine.ids() == ["b", "c", "a"]
            assert engine.ids({"n": {"$exists": True}}) == []
            assert [id for id, _ in engine.rank("another")][:1] == ["a"]
            engine.verify()

    def test_a_text_that_loses_its_words_is_no_longer_found(self, engine):
        engine.add([Passage("a", "radium"), Passage("b", "kiln")])
        engine.add([Passage("a", " ")])
        assert [id for id, _ in engine.rank("radium")] == ["b"]
        assert engine.search("radium", k=1)[0].passage.id == "b"
        engine.verify()

    def test_replacing_and_refreshing(self, engine):
        engine.add(corpus(8))
        done = engine.add([Passage("p1", "kept"), Passage("new", "kiln")], replacing=["p0", "p1", "nobody"])
        assert (done.added, done.updated, done.unchanged, done.deleted) == (1, 1, 0, 1)
        assert "p0" not in engine
        planned = engine.refresh([Passage("n", "quartz", {"source": "files/2.md"})], "files", dry_run=True)
        assert counts_of(planned) == (1, 0, 0, 6)
        assert counts_of(engine.refresh([Passage("n", "quartz", {"source": "files/2.md"})], "files")) == (1, 0, 0, 6)
        assert engine.ids() == ["blank", "p1", "new", "n"]
        assert engine.delete(["n", "n", "nobody"]) == 1
        with pytest.raises(InputError, match="nothing to add, and all 3 stored passages"):
            engine.add([], replacing=engine.ids())
        assert engine.ids() == ["blank", "p1", "new"]

    @pytest.mark.parametrize(
        "text", ["", "\n", "nul \0 inside", "half \ud83d emoji", "\uffff", "e\u0301 日本語", "word " * 400], ids=ascii
    )
    def test_any_text_and_metadata_come_back(self, engine, text):
        metadata = {"1": 10**30, "x": 1.0, "\ud800": "\ud800", "deep": {"list": [None, True, {"": []}]}, "long": text}
        engine.add([Passage("é \U0001f600", text, metadata)])
        (found,) = engine.get(["é \U0001f600"])
        assert found == Passage("é \U0001f600", text, metadata)
        assert list(found.metadata) == list(metadata)
        assert isinstance(found.metadata["x"], float)
        engine.verify()

    def test_an_id_that_comes_twice(self, engine):
        with pytest.raises(InputError, match="'a' comes twice"):
            engine.add([Passage("a", "one"), Passage("a", "two")])

    @pytest.mark.parametrize("bad", [Passage("a", 1), Passage("", "x"), Passage("a", "x", {"k": float("nan")}), "text"])
    def test_what_cannot_be_stored(self, engine, bad):
        with pytest.raises(InputError):
            engine.add([bad])
        assert len(engine) == 0

    def test_an_encoder_that_gives_other_vectors(self, place):
        class Long(WordEncoder):
            def encode_passages(self, texts, **options):
                for block in super().encode_passages(texts, **options):
                    yield type(block)(block.passage, block.vectors * 2, block.offsets, block.last, None, block.evidence)

        with Engine.open(place, encoder=Long()) as engine, pytest.raises(InputError, match="L2-normalised"):
            engine.add([Passage("a", "one")])

    def test_many_batches(self, engine, monkeypatch):
        monkeypatch.setattr(writing, "_POINTS", 3)
        monkeypatch.setattr(writing, "_LOOKED_UP", 5)
        assert engine.add(corpus(20)).added == 21
        assert engine.ids() == [one.id for one in corpus(20)]

    def test_an_error_keeps_what_was_acknowledged_and_the_next_call_adds_the_rest(self, engine, monkeypatch):
        monkeypatch.setattr(writing, "_POINTS", 3)
        monkeypatch.setattr(writing, "_LOOKED_UP", 3)

        def broken():
            yield from corpus(20)[:10]
            raise OSError("the disk is gone")

        with pytest.raises(OSError, match="is gone"):
            engine.add(broken())
        kept = len(engine)
        assert 6 <= kept <= 9
        done = engine.add(corpus(20))
        assert (done.added, done.unchanged) == (21 - kept, kept)

    def test_importance_is_kept(self, place):
        config = IndexConfig(importance=True)
        with Engine.open(place, encoder=WordEncoder(), config=config) as engine:
            engine.add([Passage("a", "Radium glows")])
            (match,) = engine._index.score(engine._encoder.encode_queries(["radium"])[0], ["a"])
            assert len(match.tokens.importance) == 2
            assert match.tokens.importance[0] > match.tokens.importance[1]
        with pytest.raises(ConfigError, match="importance=True"):
            Engine.open(place, encoder=WordEncoder(), config=IndexConfig())


def counts_of(added):
    return added.added, added.updated, added.unchanged, added.deleted


class TestCandidates:
    @pytest.fixture
    def learned(self, engine, monkeypatch):
        monkeypatch.setattr(centroids, "LEARNED_FROM", 30)
        monkeypatch.setattr(writing, "_POINTS", 16)
        engine.add(corpus()[:20])
        assert engine.info().centroids == 0
        engine.add(corpus()[20:])
        return engine

    def test_centroids_are_learned_when_they_are_due_and_told_to_all(self, learned, place):
        assert learned.info().centroids > 1
        lacking = models.Filter(must_not=[models.HasVectorCondition(has_vector="cen")])
        points, _ = place.client.scroll(
            "passages", scroll_filter=lacking, limit=99, offset=None, with_payload=["id"], with_vectors=False
        )
        assert [one.payload["id"] for one in points if "id" in one.payload] == ["blank"]
        learned.verify()

    def test_few_candidates_hold_the_best(self, learned, folder, place):
        with Engine.open(place, encoder=WordEncoder(), search=SearchConfig(candidates=12)) as few:
            for question in QUESTIONS:
                ((_, best), *_), ((_, found), *_) = folder.rank(question, k=1), few.rank(question, k=1)
                assert found == pytest.approx(best, abs=2e-4)
                filtered = few.rank(question, k=30, filter={"lang": "de"})
                assert len(filtered) == 26
                assert {id for id, _ in filtered} <= set(folder.ids({"lang": "de"}))

    def test_another_process_sees_centroids_that_were_learned_since(self, engine, place, monkeypatch):
        monkeypatch.setattr(centroids, "LEARNED_FROM", 30)
        with Engine.open(place, encoder=WordEncoder()) as other:
            engine.add(corpus())
            other.add([Passage("x", "a violin")])
            assert other._index._centroids.get() is not None
        point = place.client.retrieve("passages", [point_id("x")], with_payload=["id"], with_vectors=["cen"])[0]
        assert point.vector["cen"] is not None

    def test_an_interrupted_telling_is_finished_by_the_next_write(self, engine, place, monkeypatch):
        monkeypatch.setattr(centroids, "LEARNED_FROM", 30)
        with monkeypatch.context() as broken:
            broken.setattr(centroids, "_told", lambda *_: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                engine.add(corpus())
        with Engine.open(place, encoder=WordEncoder()) as again:
            again.add([Passage("x", "a violin")])
        point = place.client.retrieve("passages", [point_id("p1")], with_payload=["id"], with_vectors=["cen"])[0]
        assert point.vector["cen"] is not None

    def test_how_many_there_are(self):
        config = SearchConfig(candidates=400)
        assert [candidates_of(10**power, 10, config) for power in (0, 3, 4, 5, 8)] == [400, 400, 400, 800, 2000]
        assert candidates_of(10, 900, config) == 900


class TestOpening:
    def test_another_model_is_refused(self, engine, place):
        class Other(WordEncoder):
            fingerprint = "another"

        with pytest.raises(ModelMismatchError, match="word-encoder-1"):
            Engine.open(place, encoder=Other())

    def test_none_is_made_unless_wanted(self, place):
        with pytest.raises(IndexNotFoundError, match="no such collection"):
            Engine.open(place, encoder=WordEncoder(), create=False)
        assert not place.client.collection_exists("passages")

    def test_another_storage_or_a_setting_of_folders_is_refused(self, engine, place):
        with pytest.raises(ConfigError, match="created with storage='exact', not 'small'"):
            Engine.open(QdrantCollection(place.client, "passages", storage="small"), encoder=WordEncoder())
        with pytest.raises(ConfigError, match="knows `importance` and `words`"):
            Engine.open(place, encoder=WordEncoder(), config=IndexConfig(nbits=4))

    def test_encoded_shards_go_into_a_folder_first(self, engine, tmp_path):
        with pytest.raises(ConfigError, match=r"fgr index --from-encoded.*fgr copy"):
            engine.add_encoded(tmp_path)

    def test_a_collection_of_somebody_else_is_left_alone(self, engine, place):
        place.client.delete("passages", models.PointIdsList(points=[FACTS]), wait=True)
        engine.add([Passage("a", "one")])
        with pytest.raises(IndexFormatError, match="was not made by fgr-retriever"):
            Engine.open(place, encoder=WordEncoder())

    def test_an_interrupted_creation_is_finished(self, engine, place):
        place.client.delete("passages", models.PointIdsList(points=[FACTS]), wait=True)
        with Engine.open(place, encoder=WordEncoder()) as again:
            again.add([Passage("a", "one")])
            assert len(again) == 1

    def test_another_format_is_refused(self, engine, place):
        facts = place.client.retrieve("passages", [FACTS], with_payload=True, with_vectors=False)[0].payload["fgr"]
        newer = facts.replace('"format_version": 1', '"format_version": 2')
        place.client.set_payload("passages", payload={"fgr": newer}, points=[FACTS], wait=True)
        with pytest.raises(IndexFormatError, match="has format 2"):
            Engine.open(place, encoder=WordEncoder())
        place.client.set_payload("passages", payload={"fgr": "{"}, points=[FACTS], wait=True)
        with pytest.raises(IndexCorruptError, match="what it is is damaged"):
            Engine.open(place, encoder=WordEncoder())

    def test_a_calibration_is_kept_and_used(self, engine, place):
        engine._index.calibrate(Calibration(threshold=0.25, cut="threshold"))
        with Engine.open(place, encoder=WordEncoder()) as again:
            assert again.calibration.threshold == 0.25
            again._index.calibrate(None)
        with Engine.open(place, encoder=WordEncoder()) as again:
            assert again.calibration == WordEncoder().calibration
            assert again.info().calibration is None

    def test_a_model_with_other_codes_does_without_and_says_so(self, engine, place, caplog):
        class Other(WordEncoder):
            evidence_code = type(WordEncoder().evidence_code)("another", 4)

        engine.add([Passage("a", "radium")])
        with Engine.open(place, encoder=Other()) as again:
            assert "has no evidence codes" in caplog.text
            (match,) = again._index.score(again._encoder.encode_queries(["radium"])[0], ["a"])
            assert match.tokens.evidence is None
            with pytest.raises(ConfigError, match="fgr copy"):
                again.upgrade()
        assert engine.upgrade() is False

    def test_it_is_pickled_only_where_a_url_names_it(self, engine):
        with pytest.raises(InputError, match="your own client"):
            pickle.dumps(engine)
        with pytest.raises(InputError, match="lies in no folder"):
            engine.folder  # noqa: B018

    async def test_twins(self, place):
        async with await Engine.aopen(place, encoder=WordEncoder()) as engine:
            assert (await engine.aadd(corpus(3))).added == 4
            assert (await engine.asearch("number1"))[0].passage.id == "p1"
            assert (await engine.aretrieve("number1", k=1)).text
            assert (await engine.ainfo()).passages == 4


class TestDamage:
    @pytest.mark.parametrize(
        ("payload", "named"),
        [
            ({"text": "changed"}, "differs from what was written"),
            ({"metadata": "{}"}, "differs from what was written"),
            ({"tokens": 1}, "is damaged"),
            ({"offsets": "AA==.AA==."}, "is damaged"),
            ({"evidence": "!"}, "is damaged"),
            ({"units": "AA=="}, "differ from what was written"),
        ],
    )
    def test_verify_and_search_name_it(self, engine, place, payload, named):
        engine.add([Passage("a", "radium glows in the dark", {"n": 1}), Passage("b", "kiln")])
        place.client.set_payload("passages", payload=payload, points=[point_id("a")], wait=True)
        for call in (engine.verify, lambda: engine.search("radium")):
            with pytest.raises(IndexCorruptError, match=rf"passage 'a'.*{named}"):
                call()

    def test_vectors_that_are_others(self, engine, place):
        engine.add([Passage("a", "radium")])
        vector = {"tok": np.full((1, 128), 0.5).tolist()}
        place.client.update_vectors("passages", [models.PointVectors(id=point_id("a"), vector=vector)], wait=True)
        with pytest.raises(IndexCorruptError, match="passage 'a'"):
            engine.verify()


def test_stores_of_both_frameworks_write_and_delete_by_url(client):
    documents, nodes = pytest.importorskip("langchain_core.documents"), pytest.importorskip("llama_index.core.schema")
    langchain_fgr = pytest.importorskip("langchain_fgr")
    from llama_index.vector_stores.fgr import FGRVectorStore

    url = "qdrant://localhost/passages?storage=exact"
    with served(client):
        store = langchain_fgr.FGRVectorStore.from_texts(["Radium glows."], ids=["a"], path=url, encoder=WordEncoder())
        store.add_documents([documents.Document("A kiln is hot.", id="b", metadata={"year": 1900})])
        other = FGRVectorStore.from_path(url, encoder=WordEncoder())
        other.add([nodes.TextNode(id_="c", text="A violin of copper.")])
        assert [one.id for one in store.similarity_search("violin", k=1)] == ["c"]
        assert [one.id for one in store.similarity_search("hot", k=3, filter={"year": {"$lt": 1950}})] == ["b"]
        store.delete(["a"])
        assert other.engine.ids() == ["b", "c"]
