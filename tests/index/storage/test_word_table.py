"""BM25 in the index: worked examples, the same state as a fresh index after any writes, damage, repair."""

import json
import math
import sqlite3
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import bm25s
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fgr_retriever.config import IndexConfig
from fgr_retriever.errors import ConfigError, IndexCorruptError, InputError, MissingExtraError
from fgr_retriever.index.index import Index
from fgr_retriever.index.storage import word_table as words
from fgr_retriever.index.storage.lexicon import Lexicon
from fgr_retriever.index.storage.repair import repair
from fgr_retriever.testing import WordEncoder
from fgr_retriever.types import Passage
from tests.index.processes import run_python

ENCODER = WordEncoder()
TEXTS = {
    "kiln": "A kiln fires clay until it is hard. Kilns burn wood or gas.",
    "glaze": "Glazes melt in the kiln and run down the pot.",
    "wheel": "The potter centres the clay on the wheel.",
    "slip": "Slip is clay stirred into water, thin as cream.",
    "bread": "Bakers fire their ovens with wood, too.",
}


@pytest.fixture
def opened(tmp_path):
    """Open an index that keeps words, with some texts."""
    folders = []

    def build(texts=TEXTS, language="english"):
        folders.append(tmp_path / f"index-{len(folders)}")
        index = Index.open(folders[-1], ENCODER, IndexConfig(words=language))
        index.add(Passage(id, text) for id, text in texts.items())
        return index

    return build


def raw(index):
    return closing(sqlite3.connect(index.folder / "passages.sqlite", isolation_level=None))


# --- words ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("english", "Who was RUNNING from the Kilns?", ["run", "kiln"]),
        ("english", "\ufb01re \uff12\uff10", ["fire", "20"]),  # a ligature, full-width digits
        ("plain", "Who was running?", ["who", "was", "running"]),
        ("plain", "snake_case, x-ray; C3PO!", ["snake_case", "x", "ray", "c3po"]),
        ("plain", "Stra\u00dfe", ["strasse"]),
        ("german", "Die Öfen brannten", ["die", "ofen", "brannt"]),
        ("plain", "ラジウムの発見 1898", [*"ラジウムの発見", "1898"]),
        ("plain", "a\x00b \ud800 c", ["a", "b", "c"]),
        ("english", "?! \U0001f525", []),
    ],
)
def test_words_of_a_text(language, text, expected):
    assert Lexicon(language).words(text) == expected


# --- ranking ----------------------------------------------------------------------------------


def test_a_score_by_hand(opened):
    index = opened({"a": "radium radium glow", "b": "mould in a dish here", "c": "ship at sea", "d": "a"}, "plain")
    # In 1 of 4 passages, so idf = ln(3.5 / 1.5); twice in one as long as the mean of 12 / 4 words.
    ((id, score),) = index.words("Radium?", 5)
    assert (id, score) == ("a", pytest.approx(math.log(7 / 3) * 2 * 2.2 / (2 + 1.2)))
    # The word of two passages, whose idf is ln(2.5 / 2.5), has the floor of FTS5; the shorter one is first.
    assert [id for id, _ in index.words("a", 5)] == ["d", "b"]


def test_the_same_scores_as_bm25s(opened):
    random = np.random.default_rng(3)
    vocabulary = np.array([f"w{number}" for number in range(40)])
    texts = {str(row): " ".join(random.choice(vocabulary, random.integers(1, 12))) for row in range(120)}
    index = opened(texts, "plain")
    baseline = bm25s.BM25(method="robertson", k1=1.2, b=0.75)
    baseline.index([text.split() for text in texts.values()], show_progress=False)
    for query in (["w1"], ["w2", "w3", "w5"], ["w8", "w13", "w21", "w34"]):
        expected = baseline.get_scores(query) * 2.2  # bm25s leaves out the constant k1 + 1
        found = dict(index.words(" ".join(query), 200))
        assert found == {str(row): pytest.approx(expected[row], rel=1e-5) for row in np.flatnonzero(expected).tolist()}


def test_stemming_finds_other_forms(opened):
    assert {id for id, _ in opened().words("firing a kiln", 9)} == {"kiln", "glaze", "bread"}
    assert {id for id, _ in opened(language="plain").words("firing kiln", 9)} == {"kiln", "glaze"}


def test_equals_come_in_the_order_in_which_they_were_added(opened):
    index = opened({id: "same words" for id in "zkbx"} | {str(n): "else" for n in range(9)})
    assert [id for id, _ in index.words("same words", 3)] == ["z", "k", "b"]


def test_a_question_without_words_finds_nothing(opened):
    index = opened()
    for query in ("?!", "who is it", "zirconium"):
        assert index.words(query, 3) == []
    assert index.words('clay" OR NEAR(kiln) - * ^', 9) == index.words("clay or near kiln", 9)


def test_a_very_long_question(opened):
    query = " ".join(f"w{number}" for number in range(5_000)) + " glaze"
    assert [id for id, _ in opened().words(query, 3)] == ["glaze"]


def test_filters_and_ids_are_exact(opened):
    index = opened({})
    index.add(Passage(str(number), "clay and water", {"n": number}) for number in range(300))
    index.add([Passage("other", "bread", {"n": 7})])
    assert [id for id, _ in index.words("clay", 5, {"n": {"$gte": 298}})] == ["298", "299"]
    assert [id for id, _ in index.words("clay", 5, {"n": 7})] == ["7"]
    assert [id for id, _ in index.words("clay", 5, {"n": {"$lt": 9}}, ids=["8", "9", "unknown"])] == ["8"]
    assert index.words("clay", 5, {"n": -1}) == []
    with pytest.raises(InputError, match="unknown filter operator"):
        index.words("clay", 5, {"$what": 1})
    with pytest.raises(ConfigError, match="k=0"):
        index.words("clay", 0)
    with pytest.raises(InputError, match="query None"):
        index.words(None, 5)


# --- writes -----------------------------------------------------------------------------------

_ids = st.sampled_from("abcdef")
_texts = st.lists(st.sampled_from(["clay", "kilns", "firing", "wheel", "the", "水"]), max_size=6).map(" ".join)
_writes = st.one_of(
    st.tuples(st.just("add"), st.dictionaries(_ids, _texts, max_size=4)),
    st.tuples(st.just("delete"), st.lists(_ids, max_size=3)),
    st.tuples(st.just("compact"), st.none()),
)


@settings(max_examples=25)
@given(st.lists(_writes, max_size=8))
def test_after_any_writes_the_words_are_those_of_a_fresh_index(tmp_path_factory, writes):
    folder = tmp_path_factory.mktemp("written")
    config = IndexConfig(words="english")
    with closing(Index.open(folder / "one", ENCODER, config)) as index:
        live = {}
        for kind, given in writes:
            if kind == "add":
                index.add(Passage(id, text) for id, text in given.items())
                # Another text counts as added last, the same one stays where it is.
                live = {id: text for id, text in live.items() if given.get(id, text) == text} | given
            elif kind == "delete":
                index.delete(given)
                live = {id: text for id, text in live.items() if id not in given}
            else:
                index.compact()
        index.verify()
        with closing(Index.open(folder / "two", ENCODER, config)) as fresh:
            fresh.add(Passage(id, text) for id, text in live.items())
            for query in ("clay kiln", "fired wheels", "水 clay"):
                assert index.words(query, 9) == fresh.words(query, 9)


def test_an_add_that_fails_leaves_no_words(opened):
    index = opened()
    before = index.words("clay kiln wood", 9)

    def broken():
        yield Passage("new", "clay clay clay kiln")
        yield Passage("kiln", "replaced")
        raise RuntimeError("the source broke")

    with pytest.raises(RuntimeError):
        index.add(broken())
    assert index.words("clay kiln wood", 9) == before
    assert index.words("replaced", 9) == []
    index.verify()


def test_a_writer_that_dies_leaves_no_words(opened):
    index = opened()
    before = index.words("clay kiln wood", 9)
    code = """
        import os
        from fgr_retriever.index.index import Index
        from fgr_retriever.testing import WordEncoder
        from fgr_retriever.types import Passage

        def passages():
            yield from (Passage(f"new-{number}", "clay kiln wood") for number in range(2_000))
            yield Passage("kiln", "replaced")
            os._exit(9)

        Index.open(folder, WordEncoder()).add(passages())
    """
    assert run_python(code, index.folder) == (9, "")
    assert index.words("clay kiln wood", 9) == before
    index.verify()


def test_many_threads_search_words_while_one_writes(opened):
    index = opened()

    def search(number):
        return {id for id, _ in index.words("kiln", 99) if not id.startswith("new")}

    with ThreadPoolExecutor(4) as pool:
        found = [pool.submit(search, number) for number in range(40)]
        for number in range(5):
            index.add([Passage(f"new-{number}", "a kiln")])
        assert all(one.result() == {"kiln", "glaze"} for one in found)
    assert len(index.words("kiln", 99)) == 7


def test_readers_see_words_of_their_own_state(opened):
    index = opened()
    with index._store.reading() as (_, connection):
        index.add([Passage("new", "zirconium")])
        assert index._store.words.search(connection, "zirconium", 9, None) == []
    assert [id for id, _ in index.words("zirconium", 9)] == ["new"]


def test_words_of_another_stemmer_are_prepared_anew_by_the_next_write(opened):
    index = opened()
    before = index.words("clay kiln", 9)
    with raw(index) as connection:  # as if an older stemmer had cut off more
        connection.execute("UPDATE state SET value = 'older' WHERE name = 'words'")
        connection.execute("INSERT INTO words (words) VALUES ('delete-all')")
        connection.execute("INSERT INTO words (rowid, text) SELECT row, 'cl kil' FROM passages")
    index.verify()
    index.delete(["unknown"])
    index.verify()
    assert index.words("cl kil", 9) == []
    assert index.words("clay kiln", 9) == before


# --- damage -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "damage",
    [
        "INSERT INTO words (words, rowid, text) VALUES ('delete', 1, 'melt')",
        "INSERT INTO words (rowid, text) VALUES (77, 'clay')",
        "DELETE FROM words_docsize WHERE id = 2",
        "UPDATE words_docsize SET sz = x'09' WHERE id = 2",
        "UPDATE words_data SET block = x'0509' WHERE id = 1",
    ],
)
def test_verify_compares_words_with_texts_and_repair_restores_them(opened, damage):
    index = opened()
    before = index.words("clay kiln", 9)
    index.close()
    with raw(index) as connection:
        connection.execute(damage)
    with closing(Index.open(index.folder, ENCODER)) as again, pytest.raises(IndexCorruptError, match="words"):
        again.verify()
    assert repair(index.folder).saved == len(TEXTS)
    with closing(Index.open(index.folder, ENCODER)) as again:
        again.verify()
        assert again.words("clay kiln", 9) == before


def test_every_byte_of_the_stored_words_counts(opened):
    index = opened()
    index.close()
    with raw(index) as connection:
        (leaf, block) = connection.execute("SELECT id, block FROM words_data WHERE instr(block, 'baker')").fetchone()
        at = block.index(b"baker")
        connection.execute("UPDATE words_data SET block = ? WHERE id = ?", (block[:at] + b"a" + block[at + 1 :], leaf))
    with closing(Index.open(index.folder, ENCODER)) as again, pytest.raises(IndexCorruptError):
        again.verify()


# --- with and without -------------------------------------------------------------------------


def test_an_index_keeps_no_words_unless_it_is_asked_to(tmp_path):
    with closing(Index.open(tmp_path / "index", ENCODER)) as index:
        index.add([Passage("a", "clay")])
        index.verify()
        assert index.info().words == ""
        with pytest.raises(ConfigError, match="keeps no words"):
            index.words("clay", 1)
        with raw(index) as connection:
            assert not connection.execute("SELECT * FROM sqlite_master WHERE name LIKE 'words%'").fetchall()
    with pytest.raises(ConfigError, match="was created with"):
        Index.open(tmp_path / "index", ENCODER, IndexConfig(words="english"))


def test_an_index_from_before_there_were_words_opens(tmp_path):
    folder = tmp_path / "index"
    Index.open(folder, ENCODER).close()
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["config"]["words"]
    text = json.dumps(manifest, indent=2)
    (folder / "manifest.json").write_text(text)
    with closing(sqlite3.connect(folder / "passages.sqlite", isolation_level=None)) as connection:
        connection.execute("UPDATE state SET value = ? WHERE name = 'manifest'", (text,))
    with closing(Index.open(folder, ENCODER)) as index:
        index.add([Passage("a", "clay")])
        index.verify()
        assert index.info().words == ""


def test_an_unknown_language_makes_no_index(tmp_path):
    with pytest.raises(ConfigError, match="words='klingon': must be empty or one of"):
        Index.open(tmp_path / "index", ENCODER, IndexConfig(words="klingon"))
    assert not (tmp_path / "index").exists()


def test_without_the_stemmer_words_cannot_be_had_but_all_else_can(opened, monkeypatch):
    index = opened()
    monkeypatch.setitem(sys.modules, "Stemmer", None)
    assert index.search(ENCODER.encode_queries(["clay"]), 1)[0][0].passage.id in TEXTS
    for call in (lambda: index.words("clay", 1), lambda: index.add([Passage("a", "clay")]), index.verify):
        with pytest.raises(MissingExtraError, match=r"fgr-retriever\[hybrid\]"):
            call()
    assert "a" not in index
    assert [id for id, _ in opened(language="plain").words("wheel", 3)] == ["wheel"]


def test_a_sqlite_without_fts5_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(words, "SCHEMA", ("CREATE VIRTUAL TABLE words USING fts5_that_is_missing(text)",))
    Index.open(tmp_path / "without", ENCODER).close()
    with pytest.raises(ConfigError, match="has no FTS5"):
        Index.open(tmp_path / "with", ENCODER, IndexConfig(words="plain"))


def test_verify_shows_how_far_it_is(opened, capsys):
    index = opened()
    index.verify()
    assert capsys.readouterr().err == ""
    index.verify(show_progress=True)
    shown = capsys.readouterr().err
    assert [name for name in ("segments: 100%", "texts: 100%", "words: 100%") if name not in shown] == []
