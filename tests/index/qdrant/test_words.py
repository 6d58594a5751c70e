"""BM25 in a collection: by hand, beside bm25s and beside a folder, after any write, and who keeps no words."""

import json
import math
import random
import sys

import bm25s
import numpy as np
import pytest
from qdrant_client import QdrantClient

from fgr_retriever import Engine, IndexConfig, Passage, QdrantCollection
from fgr_retriever.cli import main
from fgr_retriever.errors import ConfigError, IndexCorruptError, InputError, MissingExtraError
from fgr_retriever.index.copying import copy
from fgr_retriever.index.qdrant import words
from fgr_retriever.index.qdrant.layout import point_id
from fgr_retriever.search.pipeline import Pipeline
from fgr_retriever.search.stages.fuse import Fuse
from fgr_retriever.search.stages.late import Late
from fgr_retriever.search.stages.words import Words
from fgr_retriever.testing import WordEncoder
from tests.index.qdrant.conftest import corpus, make_client
from tests.index.qdrant.serving import served

KEPT = IndexConfig(words="english")
FEW = {"a": "radium radium glow", "b": "mould in a dish here", "c": "ship at sea", "d": "a"}


def opened(place, config=None, **options):
    return Engine.open(place, encoder=WordEncoder(), config=config, **options)


def of(texts):
    return [Passage(id, text) for id, text in texts.items()]


def found(engine, question, k=99, **options):
    return engine._index.words(question, k, **options)


@pytest.fixture
def other(client, tmp_path):
    """Another collection; the core needs another client for it."""
    client = client if isinstance(client, QdrantClient) else make_client("core", tmp_path / "other")
    return QdrantCollection(client, "other", storage="exact")


@pytest.fixture(scope="module")
def zipfian():
    """Sixty passages of three to forty words, some common and most rare, in three fields."""
    chance = random.Random(3)
    vocabulary = [f"w{number}" for number in range(150)]
    weights = [1 / (number + 8) for number in range(150)]
    texts = [" ".join(chance.choices(vocabulary, weights, k=chance.randint(3, 40))) for _ in range(60)]
    return [Passage(f"p{number}", text, {"part": number % 3}) for number, text in enumerate(texts)]


def test_a_score_by_hand(place):
    with opened(place, IndexConfig(words="plain")) as engine:
        engine.add(of(FEW))
        # In 1 of 4 passages, so idf = ln(1 + 3.5 / 1.5); twice in one as long as the mean of 12 / 4 words.
        assert found(engine, "Radium?") == [("a", pytest.approx(math.log(10 / 3) * 2 * 2.2 / (2 + 1.2), rel=1e-4))]
        assert found(engine, "radium radium")[0][1] == pytest.approx(2 * found(engine, "radium")[0][1], rel=1e-4)
        assert [id for id, _ in found(engine, "a")] == ["d", "b"]  # the shorter one is first
        assert found(engine, "nobody") == found(engine, "?!") == []
        engine.verify()


def test_the_same_scores_as_bm25s_and_nearly_those_of_a_folder(place, zipfian, tmp_path):
    with (
        opened(place, IndexConfig(words="plain")) as engine,
        opened(tmp_path / "f", IndexConfig(words="plain")) as kept,
    ):
        engine.add(zipfian)
        kept.add(zipfian)
        split = [one.text.split() for one in zipfian]
        baseline = bm25s.BM25(method="lucene", k1=1.2, b=0.75)
        baseline.index(split, show_progress=False)
        rare = [word for word in baseline.vocab_dict if word and sum(word in one for one in split) <= 5]
        assert len(rare) > 60
        for number in range(0, 60, 3):
            query = rare[number : number + 3]
            ours, theirs = dict(found(engine, " ".join(query))), dict(found(kept, " ".join(query)))
            expected = baseline.get_scores(query) * 2.2  # bm25s leaves out the constant k1 + 1
            assert ours == {f"p{place}": pytest.approx(expected[place], rel=1e-3) for place in np.nonzero(expected)[0]}
            # Words of at most a twelfth of the passages weigh up to 5 % more than in a folder; nothing else differs.
            assert ours.keys() == theirs.keys()
            assert all(theirs[id] * 0.999 <= ours[id] <= theirs[id] * 1.05 for id in ours)
            for filter in ({"part": 1}, {"part": {"$in": [0, 2]}}):
                narrowed = dict(found(engine, " ".join(query), filter=filter))
                assert narrowed == {id: ours[id] for id in found_ids(kept, " ".join(query), filter)}


def test_shards_find_the_same_though_each_knows_only_how_rare_a_word_is_in_itself(zipfian, tmp_path):
    made = [
        QdrantCollection(make_client(kind, tmp_path / kind), "p", storage="exact") for kind in ("core", "three shards")
    ]
    one, three = (opened(place, IndexConfig(words="plain")) for place in made)
    for engine in (one, three):
        engine.add(zipfian)
    for question in ("w90 w41 w17", "w3", "w120 w7"):
        ours, theirs = dict(found(three, question)), dict(found(one, question))
        assert ours.keys() == theirs.keys()
        assert ours != pytest.approx(theirs, rel=1e-3)


def found_ids(engine, question, filter):
    return [id for id, _ in found(engine, question, filter=filter)]


def test_filters_and_ids_narrow_what_is_found(place):
    with opened(place, IndexConfig(words="plain")) as engine:
        engine.add(Passage(f"p{number}", "radium", {"n": number}) for number in range(6))
        assert found_ids(engine, "radium", None) == [f"p{number}" for number in range(6)]  # equals: as they were added
        assert found_ids(engine, "radium", {"n": {"$gte": 4}}) == ["p4", "p5"]
        among = found(engine, "radium", filter={"n": {"$gte": 1}}, ids=["p5", "gone", "p0", "p2"])
        assert [id for id, _ in among] == ["p2", "p5"]
        assert found(engine, "radium", ids=[]) == []
        assert len(found(engine, "radium", k=2)) == 2
        for wrong, error in (
            ({"k": 0}, ConfigError),
            ({"filter": {"$what": 1}}, InputError),
            ({"ids": "p1"}, InputError),
        ):
            with pytest.raises(error):
                found(engine, "radium", **wrong)
        with pytest.raises(InputError, match="query 3"):
            found(engine, 3)


def test_words_follow_every_write(place):
    with opened(place, KEPT) as engine:
        engine.add(of(FEW))
        engine.add([Passage("a", "a kiln", {"n": 1}), Passage("b", "?!"), Passage("e", "kilns, firing")])
        assert found(engine, "radium") == found(engine, "mould") == []
        assert {id for id, _ in found(engine, "kiln fired")} == {"a", "e"}
        engine.add([Passage("a", "a kiln", {"n": 2})])
        assert found_ids(engine, "kiln", {"n": 2}) == ["a"]
        engine.delete(["e"])
        assert [id for id, _ in found(engine, "kiln fired")] == ["a"]
        assert engine.info().words == engine._index.config.words == "english"
        engine.verify()
    with opened(place, KEPT) as engine:
        assert [id for id, _ in found(engine, "kilns")] == ["a"]
    with pytest.raises(ConfigError, match="words='english'"):
        opened(place, IndexConfig(words="german"))


def test_the_mean_length_is_settled_by_all_when_there_are_many(client, place, monkeypatch):
    monkeypatch.setattr(words, "LEARNED_FROM", 8)
    short, long = of({"one": "radium", "two": "kiln"}), of({f"p{n}": f"radium {'word ' * n}" for n in range(9)})
    with opened(place, IndexConfig(words="plain")) as engine:
        engine.add(short)
        assert (engine._index._words._kept.mean_length, engine._index._words._kept.passages) == (1, 2)
        stop, call = [2], client.update_vectors

        def failing(**arguments):
            if any("bm25" in one.vector for one in arguments["points"]):
                stop[0] -= 1
                if stop[0] <= 0:
                    raise KeyboardInterrupt
            return call(**arguments)

        monkeypatch.setattr(words, "_TOLD", 4)
        with monkeypatch.context() as broken:
            broken.setattr(client, "update_vectors", failing)
            with pytest.raises(KeyboardInterrupt):
                engine.add(long)
        engine.add([Passage("last", "radium word")])  # what was broken off is done again
        kept = engine._index._words._kept
        lengths = [len(one.text.split()) for one in (*short, *long)]
        assert (kept.mean_length, kept.passages) == (pytest.approx((sum(lengths) + 2) / 12), 12)
        (_, first), *_ = found(engine, "radium", ids=["one"])
        norm = 1.2 * (0.25 + 0.75 / kept.mean_length)
        (_, last), *_ = found(engine, "radium", ids=["last"])
        assert first / last == pytest.approx((1 + 1.2 * (0.25 + 0.75 * 2 / kept.mean_length)) / (1 + norm), rel=1e-3)
        engine.add([Passage("more", "radium " * 40)])
        assert engine._index._words._kept == kept
        engine.verify()


def test_another_process_takes_the_mean_length_that_was_settled(place):
    with opened(place, IndexConfig(words="plain")) as first, opened(place) as second:
        first.add(of({"a": "radium glows green"}))
        second.add(of({"b": "kiln"}))
        assert second._index._words._kept.mean_length == first._index._words._kept.mean_length == 3


def test_there_and_back_keeps_words(place, tmp_path, zipfian):
    with opened(tmp_path / "folder", IndexConfig(words="plain")) as engine:
        engine.add(zipfian)
        expected = found(engine, "w90 w41 w17")
    copy(tmp_path / "folder", place)
    copy(place, tmp_path / "back", IndexConfig(words="plain", nbits=16))
    copy(place, tmp_path / "compressed")
    for back in ("back", "compressed"):
        with opened(tmp_path / back) as engine:
            assert found(engine, "w90 w41 w17") == expected
    with opened(place) as engine:
        kept = engine._index._words._kept
        assert (kept.language, kept.passages) == ("plain", 60)
        assert kept.mean_length == pytest.approx(np.mean([len(one.text.split()) for one in zipfian]))
        assert {id for id, _ in found(engine, "w90 w41 w17")} == {id for id, _ in expected}


def test_who_keeps_no_words_says_how_to_get_them(place, other):
    hybrid = Pipeline((Fuse(stages=(Late(), Words())),))
    with opened(place, pipeline=hybrid) as engine:
        engine.add(corpus())
        with pytest.raises(ConfigError, match=r"keeps no words for BM25: `fgr copy` .* --words english"):
            engine.search("radium")
    with pytest.raises(ConfigError, match=r"words=''.*`fgr copy` with --words"):
        opened(place, KEPT)
    with pytest.raises(ConfigError, match="words=''"):
        copy(place, place, KEPT)
    copy(place, other, KEPT)
    copy(place, other, KEPT)
    with opened(other, KEPT, pipeline=hybrid) as engine:
        assert "words" in engine.search("radium")[0].scores
    with pytest.raises(ConfigError, match="words='english'"):
        copy(place, other, IndexConfig(words="german"))


def test_retraining_measures_the_mean_length_again(place, other):
    with opened(place, IndexConfig(words="plain")) as engine:
        engine.add(of({"a": "radium"}))
        engine.add(of({"b": "kiln and wood and gas"}))
    copy(place, other, retrain=True)
    with opened(other) as engine:
        assert engine._index._words._kept.mean_length == 3


def test_commands_keep_words(client, tmp_path, capsys):
    file = tmp_path / "notes.jsonl"
    file.write_text('{"id": "a", "text": "Radium glows."}\n{"id": "b", "text": "A kiln is hot."}\n', encoding="utf-8")
    with opened(tmp_path / "folder") as engine:
        engine.add(of(FEW))
    with served(client):
        url, back = "qdrant://localhost/passages?storage=exact", str(tmp_path / "back")
        assert main(["copy", str(tmp_path / "folder"), url, "--words", "english"]) == 0
        assert main(["copy", str(tmp_path / "folder"), url, "--words", "english"]) == 0
        assert main(["copy", str(tmp_path / "folder"), url, "--words", "german"]) == 2
        assert "words='english'" in capsys.readouterr().err
        assert main(["info", url, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["words"] == "english"
        assert main(["verify", url]) == 0
        assert main(["copy", url, back]) == 0
        assert main(["info", back, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["words"] == "english"


def test_words_that_are_not_those_of_the_text_are_found(client, place):
    with opened(place, KEPT) as engine:
        engine.add(of(FEW))
        other = words._weighted(["ship"], 1.0)
        client.update_vectors(
            collection_name="passages",
            points=[words.models.PointVectors(id=point_id("a"), vector={"bm25": other})],
            wait=True,
        )
        with pytest.raises(IndexCorruptError, match="its words are others"):
            engine.verify()


def test_without_the_stemmer(place, monkeypatch):
    with opened(place, KEPT) as engine:
        engine.add(of(FEW))
        monkeypatch.setitem(sys.modules, "Stemmer", None)  # as if it were not installed
        assert len(engine.search("radium", k=1)) == 1
        for call in (lambda: found(engine, "radium"), engine.verify, lambda: engine.add([Passage("e", "more")])):
            with pytest.raises(MissingExtraError, match="hybrid"):
                call()


def test_another_version_of_the_stemmer_warns_once(place, monkeypatch, caplog):
    with opened(place, KEPT) as engine:
        engine.add(of(FEW))
        monkeypatch.setattr(words, "fingerprint", lambda language: "another")
        assert found(engine, "radium") == found(engine, "radium") != []
        engine.verify()  # nothing to compare with
    assert [one.message for one in caplog.records if "prepared by another version" in one.message][1:] == []
    assert "--alias" in caplog.text


def test_words_of_the_same_hash_are_one_word(monkeypatch):
    monkeypatch.setattr(words, "_dimension", lambda word: 7)
    assert words._weighted(["one", "two"], 2.0) == words._weighted(["one", "one"], 2.0)
