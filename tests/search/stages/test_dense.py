"""The stage `dense`: what a bi-encoder finds, and the files that keep its vectors."""

import logging
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sentence_transformers import SentenceTransformer

from fgr_retriever import Engine, Passage
from fgr_retriever.errors import CheckpointError, ConfigError, MissingExtraError
from fgr_retriever.index.storage.repair import repair
from fgr_retriever.search.pipeline import Pipeline
from fgr_retriever.search.stages import dense
from fgr_retriever.search.stages._kept_vectors import PooledVectors
from fgr_retriever.search.stages.dense import Dense
from fgr_retriever.search.stages.late import Late
from fgr_retriever.testing import WordEncoder, tiny_bert, tiny_checkpoint

QUESTION = "who found radium"
TEXTS = {
    "curie": "Marie Curie found radium in 1898.",
    "fleming": "Fleming found penicillin in a dish.",
    "nobel": "Nobel mixed a clay with nitroglycerin.",
    "weather": "The weather was fine all week.",
}


@pytest.fixture(scope="module")
def bi_encoder(tmp_path_factory):
    """A folder with a tiny bi-encoder: mean pooling, random weights."""
    folder = tmp_path_factory.mktemp("bi")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        tiny_bert(folder / "bert")
    SentenceTransformer(str(folder / "bert"), device="cpu").save_pretrained(str(folder / "model"))
    return str(folder / "model")


@pytest.fixture(scope="module")
def model(bi_encoder):
    return SentenceTransformer(bi_encoder, device="cpu")


@pytest.fixture(autouse=True)
def _fresh():
    """Every test opens its models anew, as another process would."""
    dense._open.cache_clear()


@pytest.fixture
def encoded(monkeypatch):
    """The texts that were encoded as passages, in order."""
    seen = []
    original = SentenceTransformer.encode_document

    def encode(self, texts, **options):
        seen.extend(texts)
        return original(self, texts, **options)

    monkeypatch.setattr(SentenceTransformer, "encode_document", encode)
    return seen


@pytest.fixture
def open_engine(tmp_path, bi_encoder):
    def open_engine(*stages, path=tmp_path / "index"):
        pipeline = Pipeline(stages or (Dense(model=bi_encoder),))
        return Engine.open(path, encoder=WordEncoder(), pipeline=pipeline)

    with open_engine() as engine:
        engine.add(Passage(id, text, {"length": len(text)}) for id, text in TEXTS.items())
    return open_engine


def files(engine):
    return sorted((engine.folder / dense.FOLDER).rglob("*.*"))


def ids(hits):
    return [hit.passage.id for hit in hits]


def cosines(model, question, texts):
    """By the library's own code, in float32: the reference."""
    return model.similarity(model.encode_query([question]), model.encode_document(texts))[0].numpy()


def test_order_and_scores_are_those_of_the_model(open_engine, model):
    expected = dict(zip(TEXTS, cosines(model, QUESTION, list(TEXTS.values())), strict=True))
    hits = open_engine().search(QUESTION, k=4)
    # Vectors are made in the fastest precision and kept in half precision.
    assert {hit.passage.id: hit.score for hit in hits} == pytest.approx(expected, abs=0.01)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert all(hit.scores["dense"] == hit.score for hit in hits)
    assert hits[ids(hits).index("curie")].scores["late"] == pytest.approx(2, abs=0.5)  # MaxSim: found, radium
    assert [hit.rank for hit in hits] == [1, 2, 3, 4]


def test_a_bar_is_drawn_only_where_it_is_asked_for(open_engine, bi_encoder, tmp_path, capsys):
    open_engine().search(QUESTION)
    assert capsys.readouterr().err == ""
    with open_engine(Dense(model=bi_encoder, show_progress=True)) as engine:
        engine.add([Passage("new", "Something that has no vector yet.")])
        engine.search(QUESTION)
    assert "pooling" in capsys.readouterr().err


def test_as_the_first_stage_it_proposes_what_late_interaction_ranks(open_engine, bi_encoder, model):
    stages = Dense(model=bi_encoder, count=2), Late()
    (best, second) = open_engine(*stages).search(QUESTION, k=2)
    order = np.argsort(-cosines(model, QUESTION, list(TEXTS.values())))
    assert {best.passage.id, second.passage.id} == {list(TEXTS)[place] for place in order[:2]}
    assert best.score == best.scores["late"] >= second.score
    assert set(best.scores) == {"dense", "late"}
    assert best.spans or second.spans or "curie" not in (best.passage.id, second.passage.id)


def test_after_another_stage_it_ranks_the_candidates(open_engine, bi_encoder):
    alone = open_engine().search(QUESTION, k=4)
    late = open_engine(Late(count=2)).search(QUESTION, k=2)
    both = open_engine(Late(count=2), Dense(model=bi_encoder)).search(QUESTION, k=2)
    assert set(ids(both)) == set(ids(late))
    assert ids(both) == [id for id in ids(alone) if id in ids(late)]


def test_filters_are_exact(open_engine):
    engine = open_engine()
    every = ids(engine.search(QUESTION, k=4))
    for least in (0, 31, 34, 36, 38, 99):
        expected = [id for id in every if len(TEXTS[id]) >= least]
        for k in (1, 2, 4):
            assert ids(engine.search(QUESTION, k=k, filter={"length": {"$gte": least}})) == expected[:k]


def test_vectors_are_made_once_and_kept(open_engine, encoded):
    first = open_engine()
    before = first.search(QUESTION, k=4)
    assert sorted(encoded) == sorted(TEXTS.values())
    assert len(files(first)) == 1
    first.search("another question", k=1)
    dense._open.cache_clear()
    again = open_engine().search(QUESTION, k=4)
    assert len(encoded) == 4
    assert [(hit.passage.id, hit.score) for hit in again] == [(hit.passage.id, hit.score) for hit in before]


def test_only_what_is_new_is_made_after_a_change(open_engine, encoded):
    engine = open_engine()
    engine.search(QUESTION, k=1)
    encoded.clear()
    engine.add([Passage("radon", "Radon is a gas."), Passage("nobel", "Nobel made dynamite.")])
    engine.delete(["weather"])
    assert set(ids(engine.search(QUESTION, k=9))) == {"curie", "fleming", "nobel", "radon"}
    assert sorted(encoded) == ["Nobel made dynamite.", "Radon is a gas."]
    encoded.clear()
    engine.add([Passage("curie", TEXTS["curie"], {"new": True}), Passage("copy", TEXTS["curie"])])
    engine.compact()  # gives every passage another number
    hits = engine.search(QUESTION, k=9)
    assert encoded == []
    scores = {hit.passage.id: hit.score for hit in hits}
    assert scores["copy"] == scores["curie"]
    assert ids(hits).index("curie") < ids(hits).index("copy")  # added earlier
    engine.verify()


def test_searches_at_the_same_time_make_the_vectors_once(open_engine, encoded):
    engine = open_engine()
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: ids(engine.search(QUESTION, k=4)), range(8)))
    assert found == [found[0]] * 8
    assert len(encoded) == 4


def test_many_small_files_become_one(open_engine, encoded):
    engine = open_engine()
    for number in range(20):
        engine.add([Passage("n", f"Number {number}.")])
        engine.search(QUESTION, k=1)
    assert len(encoded) == 4 + 20
    assert len(files(engine)) <= 16
    engine.delete(["n", "curie", "nobel", "fleming"])
    assert ids(engine.search(QUESTION)) == ["weather"]
    assert len(files(engine)) == 1
    assert files(engine)[0].stat().st_size < 500  # one vector: 2 * 32 bytes, its digest and a header
    engine.delete(["weather"])
    assert engine.search(QUESTION) == []
    assert files(engine) == []


def test_a_copy_of_the_folder_has_the_vectors(open_engine, encoded, tmp_path):
    with open_engine() as engine:
        before = ids(engine.search(QUESTION, k=4))
    shutil.copytree(tmp_path / "index", tmp_path / "copy")
    encoded.clear()
    with open_engine(path=tmp_path / "copy") as copy:
        assert ids(copy.search(QUESTION, k=4)) == before
        copy.verify()
    assert encoded == []


def test_damaged_vectors_are_made_anew(open_engine, encoded, caplog):
    engine = open_engine()
    before = ids(engine.search(QUESTION, k=4))
    (file,) = files(engine)
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    encoded.clear()
    with caplog.at_level(logging.WARNING):
        assert ids(open_engine().search(QUESTION, k=4)) == before
    assert "is damaged" in caplog.text
    assert len(encoded) == 4
    assert len(files(engine)) == 1


def test_a_killed_write_leaves_what_was_there(open_engine, encoded, monkeypatch):
    engine = open_engine()
    engine.search(QUESTION, k=1)
    kept = files(engine)
    engine.add([Passage("radon", "Radon is a gas.")])

    def killed(path):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", killed)
    with pytest.raises(KeyboardInterrupt):
        engine.search(QUESTION, k=1)
    monkeypatch.undo()
    assert [path for path in files(engine) if path.suffix == ".safetensors"] == kept
    assert "radon" in ids(open_engine().search(QUESTION, k=9))


def test_a_disk_that_refuses_costs_time_but_no_result(open_engine, monkeypatch, caplog):
    def refuse(path):
        raise OSError("no space left on device")

    with monkeypatch.context() as broken, caplog.at_level(logging.WARNING):
        broken.setattr("os.fsync", refuse)
        assert len(open_engine().search(QUESTION, k=4)) == 4
    assert "no space left" in caplog.text


def test_two_files_with_the_same_text_are_no_harm(tmp_path):
    """As two processes leave them that met the same new text."""
    digests = [bytes([number]) * 16 for number in range(3)]
    table = np.arange(6, dtype=np.float16).reshape(3, 2)
    store = PooledVectors(tmp_path, 2)
    store._write(digests[:2], table[:2])
    store._write(digests[1:], table[1:])

    def none(places):
        raise AssertionError(places)

    assert (store.of(digests, none) == table).all()
    assert (store.of(digests[::-1], none) == table[::-1]).all()
    assert store.of([], none).shape == (0, 2)


@given(st.lists(st.lists(st.integers(0, 40)), max_size=25))
@settings(max_examples=30)
def test_every_text_has_its_vector_after_any_changes(states):
    """Whatever comes and goes, in any order and more than once, over many files and their merging."""
    with TemporaryDirectory() as folder:
        for texts in states:
            store = PooledVectors(Path(folder), 1)
            digests = [bytes([text]) * 16 for text in texts]
            found = store.of(digests, lambda places, texts=texts: np.float16([[texts[place]] for place in places]))
            assert found[:, 0].tolist() == texts
            assert len(list(Path(folder).iterdir())) <= 16


def test_a_repair_leaves_the_vectors(open_engine, encoded, tmp_path):
    with open_engine() as engine:
        before = ids(engine.search(QUESTION, k=4))
        kept = files(engine)
    (tmp_path / "index" / "manifest.json").write_text("{}")
    repair(tmp_path / "index")
    encoded.clear()
    with open_engine() as engine:
        assert ids(engine.search(QUESTION, k=4)) == before
        assert files(engine) == kept
    assert encoded == []


def test_an_index_without_passages_finds_nothing(tmp_path, bi_encoder):
    with Engine.open(tmp_path / "empty", encoder=WordEncoder(), pipeline=Pipeline((Dense(model=bi_encoder),))) as one:
        assert one.search(QUESTION) == []


def test_without_faiss_the_extra_is_named(open_engine, monkeypatch):
    engine = open_engine()
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(MissingExtraError, match=r"fgr-retriever\[cpu\]"):
        engine.search(QUESTION)


def test_lone_surrogates_do_no_harm(open_engine):
    engine = open_engine()
    engine.add([Passage("odd", "Half a pair: \ud83e, radium.")])
    assert "odd" in ids(engine.search("radium", k=9))


@pytest.mark.parametrize("make", [tiny_checkpoint, Path.mkdir])
def test_what_is_no_bi_encoder_is_refused(tmp_path, open_engine, make):
    folder = tmp_path / "model"
    make(folder)
    with pytest.raises(CheckpointError, match="model"):
        open_engine(Dense(model=str(folder))).search(QUESTION)


def test_a_model_that_measures_distances_is_refused(tmp_path, open_engine, bi_encoder):
    model = SentenceTransformer(bi_encoder, device="cpu", similarity_fn_name="euclidean")
    model.save_pretrained(str(tmp_path / "far"))
    with pytest.raises(CheckpointError, match="euclidean"):
        open_engine(Dense(model=str(tmp_path / "far"))).search(QUESTION)


def test_a_dot_product_model_is_not_normalised(tmp_path, open_engine, bi_encoder):
    model = SentenceTransformer(bi_encoder, device="cpu", similarity_fn_name="dot")
    model.save_pretrained(str(tmp_path / "dot"))
    expected = dict(zip(TEXTS, cosines(model, QUESTION, list(TEXTS.values())), strict=True))
    hits = open_engine(Dense(model=str(tmp_path / "dot"))).search(QUESTION, k=4)
    assert {hit.passage.id: hit.score for hit in hits} == pytest.approx(expected, rel=0.02)


def test_another_model_has_vectors_of_its_own(tmp_path, open_engine, bi_encoder, encoded):
    engine = open_engine()
    engine.search(QUESTION)
    other = SentenceTransformer(bi_encoder, device="cpu")
    other.max_seq_length = 8
    other.save_pretrained(str(tmp_path / "short"))
    open_engine(Dense(model=str(tmp_path / "short"))).search(QUESTION)
    assert len(encoded) == 8
    assert len(files(engine)) == 2
    shutil.copytree(bi_encoder, tmp_path / "elsewhere")
    open_engine(Dense(model=str(tmp_path / "elsewhere"))).search(QUESTION)
    assert len(encoded) == 8  # the same weights, wherever they are


def test_settings_go_through_json_and_are_checked():
    stage = Dense(model="some/model", count=7)
    assert Pipeline.from_json(Pipeline((stage,)).to_json()) == Pipeline((stage,))
    for wrong in ({"model": ""}, {"model": 3}, {"count": 0}):
        with pytest.raises(ConfigError):
            replace(stage, **wrong)


def test_files_in_the_folder_of_vectors_that_are_not_ours_stay(open_engine, tmp_path):
    with open_engine() as engine:
        engine.search(QUESTION)
        foreign = files(engine)[0].parent / "model.safetensors"
        foreign.write_bytes(b"somebody else's")
    with open_engine() as engine:
        engine.search(QUESTION)
    assert foreign.read_bytes() == b"somebody else's"


@pytest.mark.skipif(sys.platform == "win32", reason="symbolic links need rights")
def test_a_linked_folder_of_vectors_is_left_alone(open_engine, tmp_path, caplog):
    (tmp_path / "disk").mkdir()
    engine = open_engine()
    (engine.folder / dense.FOLDER).symlink_to(tmp_path / "disk", target_is_directory=True)
    assert len(engine.search(QUESTION, k=4)) == 4
    assert not list((tmp_path / "disk").iterdir())
    assert "is a link" in caplog.text
