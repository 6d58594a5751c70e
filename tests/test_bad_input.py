"""What the engine and the trimmer refuse: always by name, never half stored."""

import asyncio
import copy
import inspect
import json
import pickle
from dataclasses import replace
from enum import Enum
from pathlib import Path

import numpy as np
import pytest

from fgr_retriever.agents.evidence_search import EvidenceSearch
from fgr_retriever.config import Calibration, IndexConfig, SearchConfig, TrimConfig
from fgr_retriever.engine import Engine
from fgr_retriever.errors import ConfigError, FgrError, InputError
from fgr_retriever.model.encoder import Encoder
from fgr_retriever.serve.config import ServeConfig
from fgr_retriever.trim.trimmer import Trimmer
from fgr_retriever.types import Passage


@pytest.fixture
def engine(tmp_path, word_encoder, passages):
    with Engine.open(tmp_path / "index", encoder=word_encoder) as opened:
        opened.add(passages)
        yield opened
        assert len(opened) == 3
        opened.verify()


@pytest.fixture
def trimmer(word_encoder):
    return Trimmer(word_encoder)


circle: dict = {}
circle["self"] = circle
deep: list = []
for _ in range(100_000):
    deep = [deep]


class Colour(Enum):
    RED = 1


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        float("inf"),
        (1, 2),
        {1, 2},
        b"bytes",
        Path("path"),
        np.int64(3),
        np.zeros(2),
        Colour.RED,
        object(),
        circle,
        deep,
        10**5000,
        {1: "key"},
        [{"ok": [{None: 1}]}],
    ],
    ids=lambda value: type(value).__name__,
)
def test_metadata_that_is_not_json_is_refused(engine, value):
    with pytest.raises(InputError, match=r"passage 'bad': metadata.*") as caught:
        engine.add([Passage("good", "text"), Passage("bad", "text", {"the key": value})])
    assert len(str(caught.value)) < 3_000
    assert "good" not in engine


def test_the_message_names_the_key(engine):
    with pytest.raises(InputError, match=r"\['outer'\]\[1\]\['inner'\] is nan"):
        engine.add([Passage("bad", "text", {"outer": [1, {"inner": float("nan")}]})])


@pytest.mark.parametrize("metadata", [None, [("a", 1)], "text"])
def test_metadata_must_be_a_mapping(engine, metadata):
    with pytest.raises(InputError, match=r"'bad'.*mapping"):
        engine.add([Passage("bad", "text", metadata)])


@pytest.mark.parametrize("id", ["", None, 3, b"id", "\ud800", "ok\udfff"])
def test_ids_must_be_strings(engine, id):
    with pytest.raises(InputError, match="id"):
        engine.add([Passage(id, "text")])


@pytest.mark.parametrize("text", [None, b"bytes", 3, ["text"]])
def test_texts_must_be_strings(engine, text):
    with pytest.raises(InputError, match="'bad': text"):
        engine.add([Passage("bad", text)])


@pytest.mark.parametrize("wrong", [None, 3, "text", Passage("a", "b"), ["text"], [None], [{"id": "a", "text": "b"}]])
def test_passages_must_be_passages(engine, wrong):
    with pytest.raises(InputError, match="Passage"):
        engine.add(wrong)


@pytest.mark.parametrize("query", ["", " \n\t", None, 3, b"radium", ["radium"]])
def test_queries_must_be_strings_that_are_not_blank(engine, trimmer, query):
    calls = (
        lambda: engine.search(query),
        lambda: engine.search_batch(["radium", query]),
        lambda: engine.retrieve(query, count_tokens=len),
        lambda: trimmer.trim(query, ["text"]),
        lambda: trimmer.evidence(query, []),
    )
    for call in calls:
        with pytest.raises(InputError, match="query"):
            call()


def test_a_batch_is_not_a_string(engine):
    with pytest.raises(InputError, match="queries"):
        engine.search_batch("radium")


@pytest.mark.parametrize("k", [0, -3, 2.0, "3", None, True])
def test_k(engine, k):
    with pytest.raises(ConfigError, match="k="):
        engine.search("radium", k=k)
    with pytest.raises(FgrError, match="k="):
        engine.retrieve("radium", k=k, count_tokens=len)


def test_integers_of_numpy_are_integers(engine, trimmer):
    two = np.int64(2)
    found = engine.retrieve("radium", k=two, trim=TrimConfig(max_tokens=np.int32(9)), count_tokens=len)
    assert len(found.hits) == 2
    assert (engine.rank("radium", two), len(engine.search_batch(["radium"], k=two)[0])) == (engine.rank("radium", 2), 2)
    assert len(trimmer.context("radium", [Passage("a", "radium"), Passage("b", "gold")], top_n=np.uint8(1)).hits) == 1
    search = EvidenceSearch.of(engine, k=two, start=np.int64(7), trim=TrimConfig(first_number=two), count_tokens=len)
    assert [one["number"] for one in json.loads(json.dumps(search.search("radium")[1]))["sources"]] == [7, 8]
    for config in (SearchConfig(nprobe=two), TrimConfig(max_tokens=two), IndexConfig(nbits=two)):
        assert type(config).from_json(config.to_json()) == config
    for wrong in (np.float64(2), np.bool_(True), np.array([2])):
        with pytest.raises(ConfigError, match="k="):
            engine.search("radium", k=wrong)


@pytest.mark.parametrize("filter", ["year", ["year"], {"year": {"$near": 1}}, {"$where": "1"}])
def test_filters(engine, filter):
    with pytest.raises(InputError, match="filter"):
        engine.search("radium", filter=filter)


@pytest.mark.parametrize("ids", ["radium", None, 3, [3], [None]])
def test_ids_to_get_and_delete(engine, ids):
    for call in (engine.get, engine.delete):
        with pytest.raises(InputError, match="id"):
            call(ids)


def test_ids_that_no_passage_can_have_are_unknown(engine):
    assert engine.get(["", "\ud800"]) == []
    assert engine.delete(["", "\ud800"]) == 0
    assert "\ud800" not in engine
    assert "" not in engine


@pytest.mark.parametrize("trim", [["max_tokens"], (), 50, 0, "sentence"])
def test_the_settings_of_the_trim(engine, word_encoder, trim):
    told = r"=.*: must be None, a TrimConfig, such as TrimConfig\(max_tokens=50\), or a dict of its fields"
    for call in (engine.search, engine.retrieve, lambda query, trim: engine.search_batch([query], trim=trim)):
        with pytest.raises(ConfigError, match=f"trim{told}"):
            call("radium", trim=trim)
    with pytest.raises(ConfigError, match=f"config{told}"):
        Trimmer(word_encoder, trim)
    with pytest.raises(ConfigError, match=f"trim{told}"):
        EvidenceSearch.of(engine, trim=trim)


@pytest.mark.parametrize("index", ["my.index", Path("my.index")])
def test_an_engine_is_made_by_open(index, word_encoder):
    for given in ([index], [index, word_encoder], [object()]):
        with pytest.raises(InputError, match=r"open the index with Engine\.open\(path\)"):
            Engine(*given)


@pytest.mark.parametrize("texts", ["text", None, 3, iter(["text"])])
def test_the_trimmer_takes_a_sequence(trimmer, texts):
    with pytest.raises(InputError, match="texts"):
        trimmer.trim("radium", texts)


@pytest.mark.parametrize("text", [None, b"bytes", 3])
def test_the_trimmer_names_the_text(trimmer, text):
    with pytest.raises(InputError, match="text 1:"):
        trimmer.trim("radium", ["fine", text])


@pytest.mark.parametrize("max_tokens", [-1, 1.5, "9", True])
def test_the_budget(trimmer, max_tokens):
    with pytest.raises(ConfigError, match="max_tokens"):
        trimmer.trim("radium", ["text"], max_tokens=max_tokens)


@pytest.mark.parametrize("text", ["a\0b radium", "\ud800 radium", "radium\r\n", "\u200d\u0301", "?!", "\n" * 1000])
def test_difficult_texts_pass(trimmer, text):
    (trimmed,) = trimmer.trim("radium", [text])
    assert all(text[span.start : span.end] in trimmed.text for span in trimmed.spans)
    assert trimmed.text or trimmed.reason


@pytest.mark.parametrize("query", ["caf\udce9", "\ud83d", "radium \udfff?"])
def test_a_question_with_half_a_character_is_refused_everywhere(engine, trimmer, query):
    for ask in (
        engine.search,
        engine.rank,
        engine.retrieve,
        lambda query: engine.search_batch(["radium", query]),
        lambda query: trimmer.trim(query, ["radium"]),
        lambda query: trimmer.context(query, []),
        lambda query: trimmer.evidence(query, ["radium"]),
    ):
        with pytest.raises(InputError, match="lone surrogate at position"):
            ask(query)


def test_a_question_with_a_whole_emoji_is_welcome(engine):
    assert engine.search("radium \U0001f600")


@pytest.mark.parametrize(
    ("kind", "wrong", "meant"),
    [
        (TrimConfig, "max_token", "max_tokens"),
        (SearchConfig, "n_probe", "nprobe"),
        (IndexConfig, "bits", "nbits"),
        (Calibration, "treshold", "threshold"),
        (ServeConfig, "timeout_limit", "time_limit"),
    ],
)
def test_a_wrong_name_of_a_setting_names_the_nearest(kind, wrong, meant):
    for make in (lambda: kind(**{wrong: 5}), lambda: replace(kind(), **{wrong: 5})):
        with pytest.raises(
            ConfigError, match=rf"^{kind.__name__} takes no '{wrong}': did you mean '{meant}'\? It takes "
        ):
            make()
    with pytest.raises(ConfigError, match=rf"^{kind.__name__}: too many positional arguments\. It takes by name: "):
        kind(5)
    assert pickle.loads(pickle.dumps(kind())) == copy.deepcopy(kind()) == kind()
    assert meant in inspect.signature(kind).parameters


@pytest.mark.parametrize(
    ("method", "given", "message"),
    [
        (
            "retrieve",
            {"max_tokens": 50},
            r"retrieve takes no 'max_tokens': .* `trim`: trim=TrimConfig\(max_tokens=\.\.\.\)",
        ),
        ("search", {"top_k": 3}, "search takes no 'top_k': did you mean 'k'"),
        ("asearch", {"top_k": 3}, "asearch takes no 'top_k': did you mean 'k'"),
        ("rank", {"filters": {}}, "rank takes no 'filters': did you mean 'filter'"),
        ("search_batch", {"query": "q"}, "search_batch takes no 'query': did you mean 'queries'"),
        (
            "add",
            {"delete_missing": True},
            r"add takes .*replacing=engine\.ids\(\) .*; Engine\.refresh takes 'delete_missing'",
        ),
        ("aadd", {"delete_missing": True}, r"aadd takes .*replacing=engine\.ids\(\) .*; Engine\.refresh takes"),
        (
            "search",
            {"count_tokens": len},
            r"search takes no 'count_tokens': Engine\.retrieve takes 'count_tokens'\. It",
        ),
        ("add", {"progress": True}, "add takes no 'progress': did you mean 'show_progress'"),
        ("delete", {"id": "a"}, "delete takes no 'id': did you mean 'ids'"),
    ],
)
def test_a_wrong_name_of_an_argument_names_the_nearest(engine, method, given, message):
    call = getattr(engine, method)
    with pytest.raises(InputError, match=f"^Engine.{message}"):
        asyncio.run(call("q", **given)) if inspect.iscoroutinefunction(call) else call("q", **given)
    with pytest.raises(InputError, match=rf"^Engine\.{method}: .*\. It takes in order: "):
        asyncio.run(call()) if inspect.iscoroutinefunction(call) else call()
    assert not set(given) & set(inspect.signature(call).parameters)


def test_settings_of_an_index_are_no_arguments_of_open(tmp_path, word_encoder):
    with pytest.raises(InputError, match=r"^Engine\.open takes no 'nbits': .* config=IndexConfig\(nbits="):
        Engine.open(tmp_path / "other", encoder=word_encoder, nbits=4)
    with pytest.raises(InputError, match=r"^Engine\.aopen takes no 'nprobe': .* search=SearchConfig\(nprobe="):
        asyncio.run(Engine.aopen(tmp_path / "other", encoder=word_encoder, nprobe=4))
    assert not (tmp_path / "other").exists()


def test_a_trimmer_refuses_what_is_no_model(word_encoder):
    for wrong in (TrimConfig(), "a/folder", None, type(word_encoder), Encoder):
        with pytest.raises(InputError, match=r"^encoder=.*must be an open model, such as Encoder\.default\(\)"):
            Trimmer(wrong)
    with pytest.raises(InputError, match=r"^Trimmer takes no 'max_tokens': .* config=TrimConfig\(max_tokens="):
        Trimmer(word_encoder, max_tokens=50)
    with pytest.raises(InputError, match=r"^Trimmer\.acontext takes no 'topn': did you mean 'top_n'"):
        asyncio.run(Trimmer(word_encoder).acontext("q", [], topn=3))


@pytest.mark.parametrize(
    ("passages", "told"),
    [
        (["a text"], r"^passage 0: must be a Passage, got str: texts go to Trimmer\.trim, or .*Passage\('1', text\)"),
        ([Passage("1", "a"), None], "^passage 1: must be a Passage, got NoneType"),
        ([Passage("1", 3)], "^text 0: must be a string, got int"),
        ("a text", r"got str: the question comes first, .*Trimmer\.trim"),
        (Passage("1", "a"), "got Passage: .*one passage goes into a list"),
        (None, "got NoneType"),
        ({"1": "a"}, "got dict"),
        (iter([Passage("1", "a")]), "got list_iterator"),
    ],
)
def test_a_trimmer_refuses_what_are_no_passages(trimmer, passages, told):
    with pytest.raises(InputError, match=told):
        trimmer.context("q?", passages)
    with pytest.raises(InputError, match=told):
        asyncio.run(trimmer.acontext("q?", passages, top_n=1))


def test_a_trimmer_whose_arguments_are_swapped_says_so(trimmer):
    with pytest.raises(InputError, match="the question comes first"):
        trimmer.context([Passage("1", "a")], "q?")
    with pytest.raises(InputError, match=r"^Trimmer\.trim takes no 'top_n': Trimmer\.context takes 'top_n'"):
        trimmer.trim("q?", ["a"], top_n=1)


def test_an_id_that_comes_twice_is_told_as_a_program_needs_it(engine):
    with pytest.raises(InputError, match=r"'z' comes twice: ids must be unique: give each one of its own$"):
        engine.add([Passage("z", "One."), Passage("z", "Two.")])


def test_settings_of_a_trim_may_be_a_dict(engine, word_encoder):
    settings = {"unit": "sentence", "citation": "[{number}] "}
    asked, passages = "found", engine.get(engine.ids())
    assert engine.retrieve(asked, trim=settings).text == engine.retrieve(asked, trim=TrimConfig(**settings)).text != ""
    assert [hit.spans for hit in engine.search(asked, trim=settings)] == [
        hit.spans for hit in engine.search(asked, trim=TrimConfig(**settings))
    ]
    texts = [Trimmer(word_encoder, one).context(asked, passages).text for one in (settings, TrimConfig(**settings))]
    assert texts[0] == texts[1] != ""
    assert EvidenceSearch.of(engine, trim=settings, count_tokens=len).trim.unit == "sentence"
    for use in (lambda trim: engine.retrieve(asked, trim=trim), lambda trim: Trimmer(word_encoder, trim)):
        with pytest.raises(ConfigError, match="TrimConfig takes no 'units': did you mean 'unit'"):
            use({"units": "sentence"})
        with pytest.raises(ConfigError, match=r"must be None, a TrimConfig, .* or a dict of its fields"):
            use(50)
