"""The stage `attention`: which passages it ranks, how, and what it needs."""

import math

import pytest
import torch

from fgr_retriever.calls import Stopwatch
from fgr_retriever.config import IndexConfig, TrimConfig
from fgr_retriever.engine import Engine
from fgr_retriever.errors import ConfigError
from fgr_retriever.index.index import Index
from fgr_retriever.model.encoder import Encoder
from fgr_retriever.search.pipeline import Pipeline
from fgr_retriever.search.stages import Candidate, Request
from fgr_retriever.search.stages.attention import Attention
from fgr_retriever.search.stages.late import Late
from fgr_retriever.testing import WordEncoder, tiny_checkpoint
from fgr_retriever.types import Passage

ENCODER = WordEncoder()
IMPORTANT = IndexConfig(importance=True)
# Both questions' words are in one passage each; `Radium` is what the question is about.
TEXTS = {"radium": "she found radium", "dish": "who washed the dish", "Paris": "Radium in Paris", "empty": "..."}
PLAIN = Attention(query_weight=0, passage_weight=0)


@pytest.fixture
def index(tmp_path):
    made = Index.open(tmp_path / "index", ENCODER, IMPORTANT)
    made.add(Passage(id, text) for id, text in TEXTS.items())
    yield made
    made.close()


def request(index, query, k=10, encoder=ENCODER, filter=None):
    (vectors,) = encoder.encode_queries([query])
    return Request(query, vectors, filter, index, encoder, k, TrimConfig(), Stopwatch())


def cosine(first, second):
    one, other = ENCODER.encode_queries([f"{first} {second}"])[0]
    return float(one @ other)


def test_scores_are_worked_out_by_hand(index):
    # a = ln 2 doubles what a capitalised query word finds, b = ln 3 triples capitalised passage words.
    stage = Attention(query_weight=math.log(2), passage_weight=math.log(3))
    found = {one.id: one.score for one in stage.run(request(index, "Radium who"), None)}
    assert "empty" not in found
    who = max(cosine("who", word) for word in ("she", "found", "radium"))
    assert found["radium"] == pytest.approx(2 * 1 + max(who, who), abs=2e-3)
    assert who > 0
    radium = max(cosine("radium", word) for word in ("who", "washed", "the", "dish"))
    assert found["dish"] == pytest.approx(2 * radium + 1, abs=2e-3)
    loud = {"radium": 3, "in": 1, "paris": 3}
    who = max(cosine("who", word) * (times if cosine("who", word) > 0 else 1 / times) for word, times in loud.items())
    assert found["Paris"] == pytest.approx(2 * 3 * 1 + who, abs=4e-3)


def test_importance_decides_between_equals(index):
    """Each passage has one of the two words; the important one of the query wins."""
    asked = Attention(query_weight=0.5)
    assert asked.run(request(index, "Dish radium"), None)[0].id == "dish"
    assert asked.run(request(index, "dish Radium"), None)[0].id != "dish"


def test_without_weights_it_ranks_and_scores_as_maxsim(index):
    asked = request(index, "who found Radium")
    plain, late = PLAIN.run(asked, None), Late().run(asked, None)
    assert [one.id for one in plain] == [one.id for one in late]
    assert [one.score for one in plain] == pytest.approx([one.score for one in late], abs=1e-4)


def test_candidates_keep_their_scores_and_those_without_tokens_are_left_out(index):
    asked = request(index, "Radium")
    candidates = [Candidate(id, 1.0, {"words": 1.0}) for id in ("dish", "gone", "empty", "radium")]
    found = Attention().run(asked, candidates)
    assert [one.id for one in found] == ["radium", "dish"]
    for one in found:
        assert one.scores == {"words": 1.0, "attention": one.score}
    assert candidates[0].scores == {"words": 1.0}


def test_nothing_found_is_no_error(index):
    assert Attention().run(request(index, "radium", filter={"year": 1}), None) == []
    assert Attention().run(request(index, "radium"), []) == []


def test_as_the_first_stage_it_looks_at_twice_as_many(tmp_path):
    """The fourth best by MaxSim becomes the first; the fifth is not looked at."""
    index = Index.open(tmp_path / "index", ENCODER, IMPORTANT)
    index.add(Passage(str(number), f"radium {'found ' * (number < 3)}") for number in range(3))
    index.add([Passage("loud", "RADIUM alone"), Passage("loudest", "RADIUM beside")])
    found = Pipeline((Attention(count=2, passage_weight=1),)).run(request(index, "radium found", k=2))
    assert [one.id for one in found] == ["loud", "0"]
    index.close()


def test_an_index_without_importance_says_what_to_do(tmp_path):
    index = Index.open(tmp_path / "index", ENCODER)
    index.add([Passage("a", "radium")])
    with pytest.raises(ConfigError, match=r"IndexConfig\(importance=True\)"):
        Attention(passage_weight=0.02).run(request(index, "radium"), None)
    assert [one.id for one in Attention().run(request(index, "radium"), None)] == ["a"]  # of the query only
    index.close()


@pytest.mark.parametrize("value", [-0.1, math.inf, math.nan, True, "1", None])
@pytest.mark.parametrize("name", ["query_weight", "passage_weight"])
def test_weights_are_checked(name, value):
    with pytest.raises(ConfigError, match=name):
        Attention(**{name: value})


def test_settings_go_through_json():
    pipeline = Pipeline((Late(count=50), Attention(count=20, query_weight=0.3, passage_weight=0.02)))
    assert Pipeline.from_json(pipeline.to_json()) == pipeline


def test_in_an_engine_with_a_real_model(tmp_path):
    encoder = Encoder.from_pretrained(tiny_checkpoint(tmp_path / "model"), device="cpu", dtype=torch.float32)
    pipeline = Pipeline((Late(), Attention(query_weight=0.5, passage_weight=0.1)))
    with Engine.open(tmp_path / "index", encoder=encoder, config=IMPORTANT, pipeline=pipeline) as engine:
        engine.add(Passage(id, text) for id, text in TEXTS.items())
        hits = engine.search("who found radium", k=2)
        context = engine.retrieve("who found radium", k=2)
    assert len(hits) == 2
    assert hits[0].score >= hits[1].score
    for hit in hits:
        assert set(hit.scores) == {"late", "attention"}
        assert hit.score == hit.scores["attention"]
    assert context.report.times_ms["attention"] > 0
