"""The stage `cross_encoder`: what a model that reads question and passage together makes of candidates."""

from dataclasses import replace

import pytest
import torch
from sentence_transformers import CrossEncoder as Model
from sentence_transformers import SentenceTransformer

from fgr_retriever import Engine, Passage, TrimConfig
from fgr_retriever.errors import CheckpointError, ConfigError
from fgr_retriever.search.pipeline import Pipeline
from fgr_retriever.search.stages import cross_encoder
from fgr_retriever.search.stages.cross_encoder import CrossEncoder
from fgr_retriever.search.stages.late import Late
from fgr_retriever.testing import WordEncoder, tiny_bert, tiny_checkpoint

QUESTION = "who found radium"
TEXTS = {
    "curie": "Marie Curie found radium. She lived in Paris, where the rain fell on her roof.",
    "notes": "Radium glows in the dark. Her notes are kept in a box of lead.",
    "fleming": "Fleming found a mould. He had been on a holiday by the sea.",
    "weather": "The weather was fine. Nothing of note took place all week.",
}


@pytest.fixture(scope="module")
def reranker(tmp_path_factory):
    """A folder with a tiny cross-encoder whose random weights are large, so that its scores differ."""
    folder = tmp_path_factory.mktemp("reranker")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        tiny_bert(folder / "bert")
        model = Model(str(folder / "bert"), num_labels=1, max_length=64, device="cpu")
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(4)
        model.model.classifier.weight.mul_(40)
    model.save_pretrained(str(folder / "model"))
    return str(folder / "model")


@pytest.fixture(autouse=True)
def _fresh():
    cross_encoder._open.cache_clear()


@pytest.fixture
def open_engine(tmp_path):
    def open_engine(*stages):
        return Engine.open(tmp_path / "index", encoder=WordEncoder(), pipeline=Pipeline((Late(), *stages)))

    with open_engine() as engine:
        engine.add(Passage(id, text) for id, text in TEXTS.items())
    return open_engine


@pytest.fixture
def pairs(monkeypatch):
    """What the model was asked to read."""
    seen = []
    original = Model.predict

    def predict(self, inputs, **options):
        seen.extend(inputs)
        return original(self, inputs, **options)

    monkeypatch.setattr(Model, "predict", predict)
    return seen


def ids(hits):
    return [hit.passage.id for hit in hits]


def test_order_and_scores_are_those_of_the_model(open_engine, reranker):
    pairs = [(QUESTION, text) for text in TEXTS.values()]
    expected = dict(zip(TEXTS, Model(reranker, device="cpu").predict(pairs), strict=True))
    assert max(expected.values()) - min(expected.values()) > 0.1
    hits = open_engine(CrossEncoder(model=reranker)).search(QUESTION, k=4)
    assert ids(hits) == sorted(expected, key=expected.get, reverse=True)
    assert {hit.passage.id: hit.score for hit in hits} == pytest.approx(expected, abs=0.05)
    late = {hit.passage.id: hit.score for hit in open_engine().search(QUESTION, k=4)}
    for hit in hits:
        assert hit.scores == {"late": late[hit.passage.id], "cross_encoder": hit.score}


def test_only_the_best_are_read_and_passed_on(open_engine, reranker, pairs):
    engine = open_engine(CrossEncoder(model=reranker, count=2))
    assert set(ids(engine.search(QUESTION, k=1))) < {"curie", "notes", "fleming"}
    assert len(pairs) == 2
    assert len(engine.search(QUESTION, k=3)) == 3  # more hits are wanted than are usually read
    assert len(pairs) == 5


def test_the_trimmed_text_is_what_the_engine_keeps(open_engine, reranker, pairs):
    stages = (CrossEncoder(model=reranker, text="trimmed"),)
    for trim in (TrimConfig(), TrimConfig(unit="sentence"), TrimConfig(max_tokens=3), TrimConfig(on_empty="drop")):
        pairs.clear()
        open_engine(*stages).search(QUESTION, k=4, trim=trim)
        alone = open_engine().retrieve(
            QUESTION, k=4, trim=replace(trim, max_tokens=None, merge=False, on_empty="best_span")
        )
        assert [text for _, text in pairs] == [one.text for one in alone.trimmed]
        assert all(text and len(text) < len(hit.passage.text) for (_, text), hit in zip(pairs, alone.hits, strict=True))
    pairs.clear()
    open_engine(*stages).search(QUESTION, k=4, trim=TrimConfig(on_empty="keep"))
    assert TEXTS["weather"] in [text for _, text in pairs]


def test_batches_make_no_difference(open_engine, reranker):
    found = [
        [(hit.passage.id, round(hit.score, 2)) for hit in open_engine(stage).search(QUESTION, k=4)]
        for stage in (CrossEncoder(model=reranker, batch_size=size) for size in (1, 3, 32))
    ]
    assert found[0] == found[1] == found[2]


def test_the_report_tells_the_time_and_adapters_get_the_scores(open_engine, reranker):
    context = open_engine(CrossEncoder(model=reranker)).retrieve(QUESTION, k=2)
    assert {"late", "cross_encoder"} <= set(context.report.times_ms)
    assert context.report.notes == ()
    assert set(context.trimmed[0].to_metadata()["fgr_scores"]) == {"late", "cross_encoder"}


def test_nothing_found_is_nothing_to_read(tmp_path, reranker, pairs):
    pipeline = Pipeline((Late(), CrossEncoder(model=reranker)))
    with Engine.open(tmp_path / "empty", encoder=WordEncoder(), pipeline=pipeline) as engine:
        assert engine.search(QUESTION) == []
    assert pairs == []


def test_lone_surrogates_do_no_harm(open_engine, reranker):
    engine = open_engine(CrossEncoder(model=reranker))
    engine.add([Passage("odd", "Half a pair: \ud83e, radium.")])
    assert "odd" in ids(engine.search("radium", k=9))


def test_as_the_first_stage_it_is_refused(tmp_path, reranker):
    pipeline = Pipeline((CrossEncoder(model=reranker),))
    engine = Engine.open(tmp_path / "index", encoder=WordEncoder(), pipeline=pipeline)
    with engine, pytest.raises(ConfigError, match="put one before it"):
        engine.search(QUESTION)


def bert(folder):
    tiny_bert(folder)


def bi_encoder(folder):
    tiny_bert(folder)
    SentenceTransformer(str(folder), device="cpu").save_pretrained(str(folder))


def two_scores(folder):
    tiny_bert(folder)
    Model(str(folder), num_labels=2, device="cpu").save_pretrained(str(folder))


def without_weights(folder):
    tiny_bert(folder)
    Model(str(folder), num_labels=1, device="cpu").save_pretrained(str(folder))
    (folder / "model.safetensors").write_bytes(b"{}")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (bert, "no cross-encoder"),
        (bi_encoder, "no cross-encoder"),
        (tiny_checkpoint, "no cross-encoder"),
        (two_scores, "2 scores"),
        (without_weights, "cannot open"),
        (lambda folder: folder.mkdir(), "no cross-encoder"),
    ],
)
def test_what_gives_no_trained_score_is_refused(tmp_path, open_engine, make, message):
    make(tmp_path / "model")
    with pytest.raises(CheckpointError, match=message):
        open_engine(CrossEncoder(model=str(tmp_path / "model"))).search(QUESTION)


def test_settings_go_through_json_and_are_checked():
    stage = CrossEncoder(model="some/model", count=7, text="trimmed", batch_size=4)
    assert Pipeline.from_json(Pipeline((stage,)).to_json()) == Pipeline((stage,))
    for wrong in ({"model": ""}, {"text": "half"}, {"batch_size": 0}, {"count": 0}):
        with pytest.raises(ConfigError):
            replace(stage, **wrong)
