"""The facade and the trimmer: search with evidence, retrieve to a budget, async twins."""

import asyncio
import dataclasses
import inspect
import json

import numpy as np
import pytest

from fgr_retriever.config import IndexConfig, SearchConfig, TrimConfig
from fgr_retriever.engine import Engine
from fgr_retriever.errors import ConfigError, IndexNotFoundError, InputError
from fgr_retriever.model.encoder import Encoder
from fgr_retriever.testing import WordEncoder, tiny_checkpoint
from fgr_retriever.trim.trimmer import Trimmer
from fgr_retriever.types import Passage


def count_words(text):
    return len(text.split())


@pytest.fixture
def engine(tmp_path, word_encoder, passages):
    with Engine.open(tmp_path / "index", encoder=word_encoder) as opened:
        opened.add(passages)
        yield opened


# --- engine -----------------------------------------------------------------------------------


def test_a_hit_shows_its_evidence(engine, passages):
    hits = engine.search("Who found radium?", k=2)
    assert [(hit.rank, hit.passage.id) for hit in hits] == [(1, "radium"), (2, "penicillin")]
    best = hits[0]
    assert best.passage == passages[0]
    assert best.score > hits[1].score
    evident = best.token_scores.offsets[best.token_scores.probabilities >= 0.5]
    assert [best.passage.text[start:end] for start, end in evident] == ["found", "radium"]
    kept = " ".join(best.passage.text[span.start : span.end] for span in best.spans)
    assert "found radium" in kept
    assert "Paris" not in kept


def test_spans_follow_the_trim_config(engine):
    def spans(**settings):
        hit = engine.search("radium", k=1, trim=TrimConfig(**settings))[0]
        return [hit.passage.text[span.start : span.end] for span in hit.spans]

    assert spans(unit="token") == ["radium"]
    assert spans(unit="sentence") == ["Marie Curie found radium in 1898."]
    assert spans(threshold=1.0, unit="token") in ([], ["radium"])
    assert engine.search("radium", k=1, trim=TrimConfig(threshold=0.0, unit="token"))[0].spans[-1].end > 50


def test_a_batch_is_the_same_as_one_by_one(engine):
    queries = ["found radium", "Dynamit", "mould in a dish", "radium"]
    together = engine.search_batch(queries, k=3)
    for query, hits in zip(queries, together, strict=True):
        for one, other in zip(engine.search(query, k=3), hits, strict=True):
            assert (one.passage, one.rank, one.spans) == (other.passage, other.rank, other.spans)
            assert one.score == pytest.approx(other.score, abs=1e-5)
            np.testing.assert_array_equal(one.token_scores.offsets, other.token_scores.offsets)
    assert engine.search_batch([]) == []


def test_the_number_of_hits_may_be_the_second_argument(engine):
    assert len(engine.search("radium", 2)) == len(engine.search_batch(["radium"], 2)[0]) == 2
    assert engine.rank("radium", 2) == engine.rank("radium", k=2)
    assert engine.retrieve("radium", 2).text == engine.retrieve("radium", k=2).text
    with pytest.raises(ConfigError, match=r"k='penicillin'.*integer"):
        engine.search("radium", "penicillin")


def test_rank_gives_ids_and_scores_of_the_hits_without_reading_texts(engine, monkeypatch):
    hits = engine.search("who found radium in 1898", k=3)
    monkeypatch.setattr("fgr_retriever.index.storage.rows.fetch_with_units", None)  # what reads a text
    with pytest.raises(TypeError):
        engine.search("who found radium in 1898")
    assert engine.rank("who found radium in 1898", k=3) == [(hit.passage.id, hit.score) for hit in hits]
    assert [id for id, _ in engine.rank("found", filter={"year": {"$gte": 1928}})] == ["penicillin"]
    with pytest.raises(InputError, match="blank"):
        engine.rank(" ")


def test_filter(engine):
    assert [hit.passage.id for hit in engine.search("found", filter={"lang": "de"})] == ["dynamit"]


def test_retrieve_keeps_to_the_budget_and_counts_tokens(engine, passages):
    config = TrimConfig(max_tokens=9, citation="[{number}] ")
    context = engine.retrieve("found radium", k=2, trim=config, count_tokens=count_words)
    assert context.query == "found radium"
    assert [hit.passage.id for hit in context.hits] == ["radium", "penicillin"]
    assert len(context.trimmed) == 2
    assert context.tokens_before == sum(count_words(passage.text) for passage in passages[:2])
    assert context.tokens_after == count_words(context.text) <= 9
    assert context.text.startswith("[1] ")
    for hit, trimmed in zip(context.hits, context.trimmed, strict=True):
        pieces = [hit.passage.text[span.start : span.end] for span in trimmed.spans]
        assert trimmed.text == config.separator.join(pieces)
        assert trimmed.score == hit.score


def test_retrieve_from_an_empty_index(tmp_path, word_encoder):
    context = Engine.open(tmp_path / "new", encoder=word_encoder).retrieve("anything", count_tokens=count_words)
    assert (context.hits, context.trimmed, context.text) == ((), (), "")
    assert (context.tokens_before, context.tokens_after) == (0, 0)


def test_get_delete_len_contains(engine, passages):
    assert engine.get(["dynamit", "unknown", "radium"]) == [passages[2], passages[0]]
    assert (len(engine), "radium" in engine, "unknown" in engine, 3 in engine) == (3, True, False, False)
    assert engine.delete(["radium", "radium", "unknown"]) == 1
    assert (len(engine), "radium" in engine) == (2, False)
    engine.compact()
    engine.verify()
    assert engine.info().passages == 2
    json.dumps(dataclasses.asdict(engine.info()))


def test_adding_an_id_again_replaces_the_passage(engine):
    engine.add([Passage("radium", "something else", {"new": True})])
    assert len(engine) == 3
    assert engine.get(["radium"]) == [Passage("radium", "something else", {"new": True})]
    assert engine.search("1898", k=1)[0].score < 0.5


def test_what_is_stored_is_there_after_opening_again(tmp_path, word_encoder, passages):
    with Engine.open(str(tmp_path / "index"), encoder=word_encoder, config=IndexConfig(segment_tokens=5)) as first:
        first.add(iter(passages))
        before = [(hit.passage, hit.score, hit.spans) for hit in first.search("found mould")]
    with Engine.open(tmp_path / "index", encoder=word_encoder, search=SearchConfig(chunk_tokens=3)) as second:
        after = [(hit.passage, hit.score, hit.spans) for hit in second.search("found mould")]
    assert [hit[::2] for hit in after] == [hit[::2] for hit in before]
    assert [hit[1] for hit in after] == pytest.approx([hit[1] for hit in before], abs=1e-5)


def test_open_without_creating(tmp_path, word_encoder):
    with pytest.raises(IndexNotFoundError):
        Engine.open(tmp_path / "none", encoder=word_encoder, create=False)


def test_a_closed_engine_says_so(engine):
    engine.close()
    for call in (lambda: engine.search("radium"), lambda: len(engine), lambda: engine.add([Passage("a", "b")])):
        with pytest.raises(InputError, match="closed"):
            call()


# --- async twins ------------------------------------------------------------------------------


async def test_async_twins_do_the_same(tmp_path, word_encoder, passages):
    async with await Engine.aopen(tmp_path / "index", encoder=word_encoder) as engine:
        assert await engine.aadd(passages) == 3
        found = await asyncio.gather(*(engine.asearch(query, k=1) for query in ["radium", "Dynamit"] * 5))
        assert [hits[0].passage.id for hits in found] == ["radium", "dynamit"] * 5
        assert (await engine.asearch_batch(["radium"], k=1))[0][0].spans == found[0][0].spans
        context = await engine.aretrieve("radium", k=1, count_tokens=count_words)
        assert context.text == engine.retrieve("radium", k=1, count_tokens=count_words).text
        assert await engine.aget(["radium"]) == passages[:1]
        assert await engine.adelete(["radium"]) == 1
        await engine.acompact()
        await engine.averify()
        assert (await engine.ainfo()).passages == 2
    with pytest.raises(InputError, match="closed"):
        await engine.asearch("radium")
    await engine.aclose()


def test_every_public_method_has_an_async_twin_with_the_same_parameters():
    names = [name for name, _ in inspect.getmembers(Engine, callable) if not name.startswith("_")]
    methods = [name for name in names if not inspect.iscoroutinefunction(getattr(Engine, name))]
    assert {f"a{name}" for name in methods} == set(names) - set(methods)
    for name in methods:
        twin = getattr(Engine, f"a{name}")
        assert inspect.signature(twin).parameters == inspect.signature(getattr(Engine, name)).parameters
        assert twin.__name__ == f"a{name}"


# --- trimmer ----------------------------------------------------------------------------------


def test_the_trimmer_gives_what_the_engine_gives(engine, word_encoder):
    config = TrimConfig(unit="sentence")
    context = engine.retrieve("found radium", k=3, trim=config, count_tokens=count_words)
    texts = [hit.passage.text for hit in context.hits]
    trimmed = Trimmer(word_encoder, config).trim("found radium", texts)
    assert [one.text for one in trimmed] == [one.text for one in context.trimmed]
    assert [one.spans for one in trimmed] == [one.spans for one in context.trimmed]
    assert [one.score for one in trimmed] == pytest.approx([hit.score for hit in context.hits], abs=1e-5)


def test_the_trimmer_keeps_order_and_number(word_encoder, passages):
    texts = [passages[1].text, "", passages[0].text]
    trimmed = Trimmer(word_encoder).trim("who found radium", texts)
    assert len(trimmed) == 3
    assert (trimmed[1].text, trimmed[1].spans) == ("", ())
    assert trimmed[1].reason
    assert "radium" in trimmed[2].text
    json.dumps([one.to_metadata() for one in trimmed], allow_nan=False)
    assert Trimmer(word_encoder).trim("radium", []) == []


def test_the_trimmer_keeps_to_its_budget(word_encoder, passages):
    texts = [passage.text for passage in passages]
    trimmer = Trimmer(word_encoder, TrimConfig(max_tokens=100), count_tokens=count_words)
    assert sum(count_words(one.text) for one in trimmer.trim("found", texts, max_tokens=6)) <= 6
    assert all(one.tokens is not None for one in trimmer.trim("found", texts))


def test_no_tokenizer_is_loaded_without_a_budget(word_encoder, passages):
    trimmer = Trimmer(word_encoder, TrimConfig(tokenizer="no-such-tokenizer"))
    assert "radium" in trimmer.trim("radium", [passages[0].text])[0].text


def test_a_text_in_many_blocks_is_one_text(word_encoder):
    """The word encoder cuts texts into blocks of 10,000 tokens."""
    text = "sea " * 25_000 + "radium"
    (evidence,) = Trimmer(word_encoder).evidence("radium", [text])
    assert len(evidence) == 25_001
    assert text[slice(*evidence.offsets[-1])] == "radium"
    assert evidence.probabilities[-1] > 0.99
    assert evidence.probabilities[:-1].max() < 0.5


async def test_atrim(word_encoder, passages):
    trimmer = Trimmer(word_encoder)
    assert await trimmer.atrim("radium", [passages[0].text]) == trimmer.trim("radium", [passages[0].text])


def test_texts_are_not_changed(word_encoder):
    texts = ["found radium"]
    Trimmer(word_encoder).trim("radium", texts)
    assert texts == ["found radium"]
    assert isinstance(WordEncoder().calibration.threshold, float)


def test_trimmer_and_engine_find_the_same_evidence_in_a_long_text(tmp_path):
    """A real checkpoint reads stored vectors the same way, whether they come from disk or fresh."""
    encoder = Encoder.from_pretrained(tiny_checkpoint(tmp_path / "model"))
    text = " ".join(f"sentence {i} is about thing{i % 7}." for i in range(200))
    engine = Engine.open(tmp_path / "index", encoder=encoder)
    engine.add([Passage("long", text)])
    (hit,) = engine.search("about thing5", k=1)
    (evidence,) = Trimmer(encoder).evidence("about thing5", [text])
    np.testing.assert_array_equal(hit.token_scores.offsets, evidence.offsets)
    np.testing.assert_allclose(hit.token_scores.probabilities, evidence.probabilities, atol=1e-5)
    assert all(end > start for start, end in evidence.offsets)
