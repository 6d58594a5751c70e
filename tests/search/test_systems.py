"""The benchmark of all systems, on a handful of passages with a tiny model."""

import json

import pytest
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Transformer
from sentence_transformers.sentence_transformer.modules import Pooling

from benchmarks.systems.catalogue import BASELINE, BM25, entries
from benchmarks.systems.indexes import Indexes, random_cross_encoder
from benchmarks.systems.report import comparisons, plot, table
from benchmarks.systems.trial import measure_bm25, measure_entry
from fgr_retriever import Encoder
from fgr_retriever.evaluation import Beir, read_run
from fgr_retriever.search.pipeline import Pipeline
from fgr_retriever.testing import tiny_bert, tiny_checkpoint

TEXTS = {
    "1": "Marie Curie found radium with Pierre.",
    "2": "Cats sleep most of the day.",
    "3": "A telescope gathers light from stars.",
    "4": "Bread rises because yeast makes gas.",
}
DATA = Beir(TEXTS, {"q": "Curie radium", "r": "telescope stars"}, {"q": {"1": 1}, "r": {"3": 2}})


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Folders of a bi-encoder with 32 dimensions and of a cross-encoder, both random."""
    bert, bi_encoder = tmp_path_factory.mktemp("bert"), tmp_path_factory.mktemp("bi-encoder")
    tiny_bert(bert)
    SentenceTransformer(modules=[Transformer(str(bert)), Pooling(32)], device="cpu").save_pretrained(str(bi_encoder))
    return str(bi_encoder), random_cross_encoder(str(bert), tmp_path_factory.mktemp("cross-encoder"))


@pytest.fixture(scope="module")
def indexes(tmp_path_factory, models):
    encoder = Encoder.from_pretrained(tiny_checkpoint(tmp_path_factory.mktemp("model")), device="cpu")
    return Indexes(DATA, tmp_path_factory.mktemp("work"), encoder, models[0])


def test_a_system_is_a_pipeline_that_can_be_written_down(models):
    for name, entry in entries(*models).items():
        assert Pipeline.from_json(entry.pipeline.to_json()) == entry.pipeline, name
        assert entry.random == (name == "cross_encoder")


def test_every_system_is_measured_and_reported(models, indexes, tmp_path):
    systems = {name: one for name, one in entries(*models).items() if name != "bi_encoder"}  # needs 128 dimensions
    found = {BM25: measure_bm25(BM25, DATA, tmp_path)}
    found |= {name: measure_entry(name, one, DATA, indexes, tmp_path) for name, one in systems.items()}

    assert json.loads(json.dumps(found)) == found
    assert "ndcg@10" not in found["cross_encoder"]  # noise is never quoted
    assert not (tmp_path / "cross_encoder.run").exists()
    assert found["attention"]["bytes_per_token"] == found[BASELINE]["bytes_per_token"]
    assert 0 < found["sbert"]["bytes_per_token"] < found["sbert_late"]["bytes_per_token"]
    assert read_run(tmp_path / "fgr.run").rankings == read_run(tmp_path / f"{BASELINE}.run").rankings

    text = table({"data": found}, {name: name for name in found}, "")
    assert len(text.splitlines()) == 2 + len(found) + 1
    assert "not run" in text
    compared = comparisons({"data": (DATA.qrels, tmp_path)})
    assert compared.index(f"| {BASELINE} |") < compared.index("| attention |")
    plot({"data": found}, {name: name for name in found}, tmp_path / "img" / "plot.svg")
    assert (tmp_path / "img" / "plot.svg").exists()


def test_what_is_played_back_is_what_was_stored(indexes):
    (exact, _), (coded, _) = indexes.open("float16"), indexes.open("coded")
    with exact.reading() as (one, _), coded.reading() as (other, _):
        pairs = zip(one.tokens_at(one.rows), other.tokens_at(other.rows), strict=True)
        for first, second in pairs:
            assert first.vectors.tolist() == second.vectors.tolist()
            assert first.offsets.tolist() == second.offsets.tolist()
    exact.close()
    coded.close()
