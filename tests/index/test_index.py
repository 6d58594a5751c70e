"""The persistent index: search against brute force, transactions, readers and writers, damage."""

import json
import os
import random
import sqlite3
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fgr_retriever.config import IndexConfig, SearchConfig
from fgr_retriever.errors import (
    ConfigError,
    IndexCorruptError,
    IndexFormatError,
    IndexLockedError,
    IndexNotFoundError,
    IndexWriteError,
    InputError,
    ModelMismatchError,
)
from fgr_retriever.index.index import Index
from fgr_retriever.index.storage.store import Store
from fgr_retriever.model.maxsim import maxsim_ragged
from fgr_retriever.model.tokens import TokenBlock
from fgr_retriever.testing import WordEncoder
from fgr_retriever.types import Passage
from tests.index.processes import run_python

ENCODER = WordEncoder()
WORDS = ["radium", "curie", "paris", "mould", "dish", "nobel", "dynamite", "stockholm", "ship", "sea"]


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "index"


@pytest.fixture
def index(folder, passages):
    with_three = Index.open(folder, ENCODER)
    with_three.add(passages)
    yield with_three
    with_three.close()


def ids(index, query="radium", k=10, **kwargs):
    return [match.passage.id for match in index.search(ENCODER.encode_queries([query]), k, **kwargs)[0]]


def stored(index, names):
    return {passage.id: passage for passage in index.get(names)}


def snapshot_files(folder):
    return {path.name for path in folder.rglob("*") if path.suffix not in (".sqlite-wal", ".sqlite-shm")}


# --- search -----------------------------------------------------------------------------------


def test_finds_passages_with_their_vectors(index, passages):
    (match,) = index.search(ENCODER.encode_queries(["who found radium"]), 1)[0]
    (block,) = ENCODER.encode_passages([passages[0].text])
    assert match.passage == passages[0]
    assert match.score == pytest.approx(2, abs=0.3)
    np.testing.assert_array_equal(match.tokens.vectors, block.vectors)
    np.testing.assert_array_equal(match.tokens.offsets, block.offsets)


texts = st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join)


@settings(max_examples=15, deadline=None)
@given(
    st.lists(texts, min_size=1, max_size=12),
    st.lists(texts, min_size=1, max_size=4),
    st.integers(1, 15),
    st.integers(1, 20),
    st.integers(5, 60),
)
def test_equals_brute_force_for_any_chunks_and_segments(tmp_path_factory, corpus, queries, k, chunk, segment):
    """Passages cut by chunks, several segments, empty passages and batches of queries: same results."""
    index = Index.open(tmp_path_factory.mktemp("index"), ENCODER, IndexConfig(segment_tokens=segment))
    index.add(Passage(str(number), text) for number, text in enumerate(corpus))
    vectors = ENCODER.encode_queries(queries)
    found = index.search(vectors, k, config=SearchConfig(chunk_tokens=chunk))
    passages = [torch.from_numpy(block.vectors) for block in ENCODER.encode_passages(corpus)]
    lengths = torch.tensor([len(passage) for passage in passages])
    for query, matches in zip(vectors, found, strict=True):
        scores = maxsim_ragged(query, torch.cat(passages), lengths)
        best = sorted((score for score in scores.tolist() if score > -np.inf), reverse=True) if len(query) else []
        np.testing.assert_allclose([match.score for match in matches], best[:k], atol=1e-4)
        for match in matches:
            assert match.score == pytest.approx(float(scores[int(match.passage.id)]), abs=1e-4)
    index.close()


def test_equals_come_in_the_order_of_adding(folder):
    index = Index.open(folder, ENCODER, IndexConfig(segment_tokens=5))
    names = [str(number) for number in np.random.default_rng(1).permutation(40)]
    index.add(Passage(name, "radium shines") for name in names)
    assert ids(index, k=7) == names[:7]
    assert ids(index, k=100) == names
    index.delete([names[3]])
    index.compact()
    assert ids(index, k=7) == names[:3] + names[4:8]


def test_a_passage_without_tokens_is_stored_but_never_found(folder):
    index = Index.open(folder, ENCODER)
    index.add([Passage("empty", ""), Passage("marks", "?!"), Passage("radium", "radium")])
    assert ids(index) == ["radium"]
    assert len(index) == 3
    index.delete(["radium"])
    assert ids(index) == []
    assert index.search(ENCODER.encode_queries(["?!", "radium"]), 3) == [[], []]
    index.verify()


def test_filters_apply_before_the_top_k(index):
    assert ids(index, "found", k=1, filter={"lang": "de"}) == ["dynamit"]
    assert ids(index, "found", filter={"year": {"$gte": 1890}, "lang": "en"}) == ["radium", "penicillin"]
    assert ids(index, "found", filter={"year": 3}) == []
    with pytest.raises(InputError, match=r"\$near"):
        ids(index, filter={"year": {"$near": 3}})


@pytest.mark.parametrize("k", [0, -1, 1.0, True, None, "3"])
def test_k_must_be_a_count(index, k):
    with pytest.raises(ConfigError, match="k="):
        ids(index, k=k)


def test_no_queries_no_results(index):
    assert index.search([], 3) == []


# --- writing ----------------------------------------------------------------------------------

operations = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.dictionaries(st.sampled_from("abcde"), texts, min_size=1)),
        st.tuples(st.just("delete"), st.lists(st.sampled_from("abcde"))),
        st.tuples(st.sampled_from(["compact", "reopen"]), st.none()),
    ),
    max_size=8,
)


@settings(max_examples=15, deadline=None)
@given(operations)
def test_behaves_like_a_dict(tmp_path_factory, operations):
    folder, model = tmp_path_factory.mktemp("index"), {}
    index = Index.open(folder, ENCODER, IndexConfig(segment_tokens=10))
    for operation, value in operations:
        if operation == "add":
            assert index.add(Passage(id, text) for id, text in value.items()) == len(value)
            for id, text in value.items():
                if model.get(id) != text:
                    model.pop(id, None)  # another text counts as added last, the same one stays where it is
                model[id] = text
        elif operation == "delete":
            assert index.delete(value) == len(set(value) & model.keys())
            model = {id: text for id, text in model.items() if id not in value}
        elif operation == "compact":
            index.compact()
        else:
            index.close()
            index = Index.open(folder, ENCODER)
        assert {id: passage.text for id, passage in stored(index, list("abcde")).items()} == model
        assert [id in index for id in "abcde"] == [id in model for id in "abcde"]
        assert len(index) == len(model)
        radium = [id for id, text in model.items() if "radium" in text.split()]
        assert ids(index, "radium", k=len(radium) or 1) == (radium or ids(index, "radium", k=1))
        index.verify()
    index.close()


@settings(max_examples=30, deadline=None)
@given(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
    st.text(st.characters(), max_size=50),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=6,
    ),
)
def test_every_character_and_value_survives(tmp_path_factory, id, text, value):
    folder = tmp_path_factory.mktemp("index")
    Index.open(folder, ENCODER).add([Passage(id, text, {"key": value})])
    assert Index.open(folder, ENCODER).get([id]) == [Passage(id, text, {"key": value})]


@pytest.mark.parametrize(
    "text", ["a\0b", "\ud800 lone", "a\r\nb\rc\n", "e\u0301\u200d\ufeff", "\U0001f469\u200d\U0001f52c"]
)
def test_difficult_texts_survive(folder, text):
    index = Index.open(folder, ENCODER)
    index.add([Passage("a\0b", text, {"text": text, text: 1, "big": 10**30})])
    assert index.get(["a\0b"]) == [Passage("a\0b", text, {"text": text, text: 1, "big": 10**30})]
    index.verify()


def test_a_passage_of_ten_million_characters(folder):
    text = "radium " + ("sea" * 25 + " ") * 131_580 + "end"
    assert len(text) > 10_000_000
    index = Index.open(folder, ENCODER)
    index.add([Passage("long", text), Passage("short", "radium end")])
    matches = index.search(ENCODER.encode_queries(["radium end"]), 2)[0]
    assert {match.passage.id for match in matches} == {"long", "short"}
    assert [match.score for match in matches] == pytest.approx([matches[0].score] * 2, abs=0.5)
    long = next(match for match in matches if match.passage.id == "long")
    assert long.passage.text == text
    assert text[slice(*long.tokens.offsets[-1])] == "end"


def test_a_write_with_a_repeated_id_stores_nothing(index, passages):
    with pytest.raises(InputError, match="'new'"):
        index.add([Passage("new", "one"), Passage("radium", "changed"), Passage("new", "two")])
    assert "new" not in index
    assert index.get(["radium"]) == [passages[0]]
    index.verify()


def test_an_error_of_the_caller_comes_through_and_stores_nothing(index, folder, passages):
    before = snapshot_files(folder)

    def broken():
        yield Passage("new", "sea " * 50_000)
        raise FileNotFoundError("the caller's own file")

    with pytest.raises(FileNotFoundError, match="the caller's own file") as caught:
        index.add(broken())
    assert not isinstance(caught.value, IndexWriteError)
    assert snapshot_files(folder) == before
    assert len(index) == 3
    assert index.add(passages) == 3


def test_adding_nothing(index, folder):
    before = snapshot_files(folder)
    assert index.add([]) == 0
    assert index.delete([]) == 0
    assert index.delete(["unknown"]) == 0
    assert snapshot_files(folder) == before


def test_vectors_stream_to_disk(folder):
    """While passages come in, those before them are on disk already, not in memory."""
    index, sizes = Index.open(folder, ENCODER), []

    def passages():
        for number in range(30):
            sizes.append(sum(path.stat().st_size for path in folder.rglob("vectors.f16")))
            yield Passage(str(number), "sea " * 1000)

    index.add(passages())
    written = 1000 * ENCODER.dim * 2
    assert all(size >= (number - 3) * written for number, size in enumerate(sizes))


class _FaultyEncoder(WordEncoder):
    evidence_code = None

    def __init__(self, blocks):
        self.blocks = blocks

    def encode_passages(self, texts, *, show_progress=False):
        list(texts)
        return iter(self.blocks)


@pytest.mark.parametrize(
    "block",
    [
        TokenBlock(0, np.full((1, 128), np.nan, np.float16), np.zeros((1, 2), np.int32), True),
        TokenBlock(0, np.zeros((1, 64), np.float16), np.zeros((1, 2), np.int32), True),
        TokenBlock(0, np.zeros((1, 128), np.float16), np.zeros((2, 2), np.int32), True),
        TokenBlock(0, np.zeros((1, 128), np.float16), np.zeros((1, 2), np.int32), False),
    ],
    ids=["nan", "dim", "offsets", "unfinished"],
)
def test_what_an_encoder_must_not_give_is_refused(folder, block):
    index = Index.open(folder, _FaultyEncoder([block]))
    with pytest.raises(InputError, match="encoder"):
        index.add([Passage("a", "radium")])
    assert len(index) == 0


def test_compact_frees_what_was_deleted(index, folder):
    index.add(Passage(str(number), "sea " * 100) for number in range(50))
    index.delete(str(number) for number in range(49))
    before, hits = index.info(), ids(index, "sea found")
    index.compact()
    after = index.info()
    assert (after.passages, after.tokens) == (before.passages, before.tokens) == (4, after.tokens)
    assert after.bytes < before.bytes - 49 * 100 * ENCODER.dim * 2
    assert ids(index, "sea found") == hits
    assert len(list((folder / "segments").iterdir())) == 1
    index.verify()


def test_info_is_json(index):
    info = index.info()
    assert (info.passages, info.nbits, info.model, info.format_version) == (3, 16, ENCODER.fingerprint, 3)
    assert info.tokens == sum(
        len(match.tokens.vectors) for match in index.search(ENCODER.encode_queries(["found"]), 3)[0]
    )
    assert info.bytes_per_token == pytest.approx(2 * 128 + 2 + 4 + 4 * 3 / info.tokens)  # vector, offset, code; lengths
    assert (info.raw_segments, info.coded_segments, info.centroids) == (1, 0, 0)
    assert info.quantisation_error is info.drift is None
    json.dumps({name: getattr(info, name) for name in info.__slots__})


# --- many readers, one writer -----------------------------------------------------------------


def test_other_handles_see_commits_at_the_next_search(index, folder):
    other = Index.open(folder, ENCODER)
    assert ids(other, k=1) == ["radium"]
    index.delete(["radium"])
    assert "radium" not in ids(other)
    index.add([Passage("new", "radium radium")])
    assert ids(other, k=1) == ["new"]
    index.compact()
    assert ids(other, k=1) == ["new"]


def test_compact_shrinks_the_database_while_others_read(folder):
    index = Index.open(folder, ENCODER, IndexConfig(words="plain"))
    random_ = random.Random(0)
    index.add(Passage(str(number), " ".join(random_.choices(WORDS, k=200))) for number in range(300))
    size = (folder / "passages.sqlite").stat().st_size
    index.delete(str(number) for number in range(300) if number % 10)
    with index.reading() as (snapshot, _):
        index.compact()
        assert int(snapshot.alive.sum()) == 30
    index.compact()  # nobody reads any more: the log is folded in
    assert (folder / "passages.sqlite").stat().st_size < size / 4
    index.verify()
    assert len(index.words("radium", 100)) == 30
    assert ids(index, k=100, config=SearchConfig(exact=True)) == [str(number) for number in range(0, 300, 10)]


@pytest.mark.parametrize("length", [5, 5000])
def test_a_deleted_text_is_nowhere_in_the_folder(index, folder, length):
    secret = " ".join(["classified"] * length)
    index.add([Passage("secret", secret, {"level": "classified"})])
    assert any(b"classified" in path.read_bytes() for path in folder.rglob("*") if path.is_file())
    index.delete(["secret"])
    assert not any(b"classified" in path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_another_process_reads_and_writes(index, folder):
    code = """
        from fgr_retriever.index.index import Index
        from fgr_retriever.testing import WordEncoder
        from fgr_retriever.types import Passage
        index = Index.open(folder, WordEncoder())
        print(index.search(WordEncoder().encode_queries(["radium"]), 1)[0][0].passage.id)
        index.add([Passage("theirs", "written elsewhere")])
    """
    assert run_python(code, folder) == (0, "radium\n")
    assert ids(index, "elsewhere", k=1) == ["theirs"]


def test_a_second_writer_is_refused_at_once_and_readers_go_on(index, folder):
    other = Index.open(folder, ENCODER)
    seen = []

    def passages():
        yield Passage("new", "radium")
        for write in (lambda: other.add([Passage("x", "y")]), lambda: other.delete(["radium"]), other.compact):
            with pytest.raises(IndexLockedError, match="retry"):
                write()
        seen.append((len(other), ids(other, k=1), "new" in other))

    index.add(passages())
    assert seen == [(3, ["radium"], False)]
    assert other.add([Passage("x", "y")]) == 1


def test_writes_of_one_index_queue(index):
    """The first write goes on only when the second one is at the door, or has been refused."""
    begun, knocked = threading.Event(), threading.Event()

    def first():
        yield Passage("first", "radium")
        begun.set()
        knocked.wait(0.5)  # longer than a writer of another process waits
        assert "first" not in index  # who reads within a write is not stuck

    def second():
        assert begun.wait(10)
        try:
            return index.add([Passage("second", "radium")])
        finally:
            knocked.set()

    with ThreadPoolExecutor(2) as pool:
        assert [one.result() for one in (pool.submit(index.add, first()), pool.submit(second))] == [1, 1]
    assert index.delete(["first", "second"]) == 2


def test_a_write_within_a_write_of_the_same_thread_is_refused(index):
    def passages():
        yield Passage("new", "radium")
        with pytest.raises(IndexLockedError, match="retry"):
            index.delete(["radium"])

    assert index.add(passages()) == 1
    assert index.delete(["radium"]) == 1


def test_nobody_writes_while_the_log_is_folded_in(index, folder):
    """SQLite before 3.51.3 may lose pages when one process commits while another one checkpoints."""
    other, refused = Index.open(folder, ENCODER), []

    def trace(statement):
        if "wal_checkpoint" in statement:
            with pytest.raises(IndexLockedError, match="retry"):
                other.add([Passage("x", "y")])
            refused.append(statement)

    len(index)  # leaves a connection, which the next write takes
    index._store._database._connections._idle[-1][1].set_trace_callback(trace)
    index.delete(["radium"])
    assert len(refused) == 1
    assert other.add([Passage("x", "y")]) == 1


@pytest.mark.parametrize("error", [TypeError, FileNotFoundError])
def test_an_error_of_who_reads_is_not_called_damage(index, error):
    """A stage runs its own model while it reads the index."""
    with pytest.raises(error, match="mine"), index.reading():
        raise error("mine")


def test_verify_sees_a_database_without_its_last_byte(index, folder):
    index.close()
    database = folder / "passages.sqlite"
    os.truncate(database, database.stat().st_size - 1)
    with closing(Index.open(folder, ENCODER)) as cut, pytest.raises(IndexCorruptError, match="cut off"):
        cut.verify()


class Overtaken(Store):
    """Once, just when a thread has kept its snapshot, lets something else happen."""

    meanwhile = None

    def __setattr__(self, name, value):
        super().__setattr__(name, value)
        if name == "_latest" and self.meanwhile:
            meanwhile, self.meanwhile = self.meanwhile, None
            meanwhile()


def test_a_thread_keeps_its_own_snapshot_when_another_one_keeps_a_later_one(index, folder):
    store = Overtaken(folder)

    def read():
        with store.reading():
            pass

    def write_and_read():
        index.add([Passage("later", "sea ship")])
        thread = threading.Thread(target=read)
        thread.start()
        thread.join()

    index.delete(["einstein"])
    store.meanwhile = write_and_read
    with store.reading() as (snapshot, connection):
        (generation,) = connection.execute("SELECT value FROM state WHERE name = 'generation'").fetchone()
    assert store.meanwhile is None
    assert snapshot.generation == generation
    store.close()


def test_threads_search_while_one_adds(index):
    """Each batch of ten is seen whole or not at all, and no search fails."""
    stop, failures = threading.Event(), []

    def search():
        try:
            while not stop.is_set():
                found = [match.passage for match in index.search(ENCODER.encode_queries(["batch"]), 1000)[0]]
                batches = [passage.metadata.get("batch") for passage in found if "batch" in passage.metadata]
                assert all(batches.count(batch) == 10 for batch in set(batches))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=search) for _ in range(4)]
    for thread in threads:
        thread.start()
    for batch in range(12):
        index.add(Passage(f"{batch % 3}-{part}", "batch sea", {"batch": batch}) for part in range(10))
        if batch % 4 == 3:
            index.compact()
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(index) == 33


def test_a_writer_killed_midway_leaves_the_index_as_it_was(index, folder, passages):
    code = """
        import os
        from fgr_retriever.config import IndexConfig
        from fgr_retriever.index.index import Index
        from fgr_retriever.testing import WordEncoder
        from fgr_retriever.types import Passage

        def passages():
            yield Passage("radium", "changed")
            yield from (Passage(str(number), "sea " * 5000) for number in range(20))
            os._exit(9)

        Index.open(folder, WordEncoder()).add(passages())
    """
    before = snapshot_files(folder)
    assert run_python(code, folder) == (9, "")
    assert snapshot_files(folder) > before
    reopened = Index.open(folder, ENCODER)
    assert len(reopened) == 3
    assert reopened.get(["radium"]) == [passages[0]]
    reopened.verify()
    reopened.add([Passage("next", "the next writer cleans up")])
    assert len(snapshot_files(folder)) == len(before) + 1
    assert len(list((folder / "segments").iterdir())) == 2


@pytest.mark.skipif(sys.platform == "win32", reason="the limit on file sizes is a POSIX one")
def test_a_full_disk_changes_nothing(index, folder):
    code = """
        import resource
        from fgr_retriever.errors import IndexWriteError
        from fgr_retriever.index.index import Index
        from fgr_retriever.testing import WordEncoder
        from fgr_retriever.types import Passage

        index = Index.open(folder, WordEncoder())
        for text in ("sea " * 20_000, " " * 3_000_000):  # too much for the vectors, then for the database
            resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, resource.RLIM_INFINITY))
            try:
                index.add([Passage("radium", "changed"), Passage("new", text)])
            except IndexWriteError as error:
                print("refused", error.__cause__ is not None)
            print(len(index), index.search(WordEncoder().encode_queries(["radium"]), 1)[0][0].passage.text[:5])
            index.verify()
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        print(index.add([Passage("later", "usable")]))
        index.verify()
    """
    assert run_python(code, folder) == (0, "refused True\n3 Marie\n" * 2 + "1\n")
    assert len(list((folder / "segments").iterdir())) == 2


# --- opening and damage -----------------------------------------------------------------------


def test_opening_what_is_not_there(tmp_path, folder):
    with pytest.raises(IndexNotFoundError, match="no such folder"):
        Index.open(folder, ENCODER, create=False)
    assert not folder.exists()
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(IndexNotFoundError, match=r"notes\.txt"):
        Index.open(tmp_path, ENCODER)
    with pytest.raises(IndexNotFoundError, match="file"):
        Index.open(tmp_path / "notes.txt", ENCODER)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    tmp_path.joinpath("empty", "deeper").mkdir(parents=True)
    assert len(Index.open(tmp_path / "empty" / "deeper", ENCODER)) == 0


def test_an_interrupted_creation_is_finished(folder):
    Index.open(folder, ENCODER).close()
    (folder / "manifest.json").rename(folder / "manifest.json.123.tmp")
    assert Index.open(folder, ENCODER).add([Passage("a", "b")]) == 1


def test_an_index_without_its_manifest_is_not_made_anew(index, folder):
    (folder / "manifest.json").unlink()
    with pytest.raises(IndexNotFoundError, match="manifest"):
        Index.open(folder, ENCODER)


def test_another_model_is_refused(index, folder):
    class Other(WordEncoder):
        fingerprint = "other"

    class Wider(WordEncoder):
        dim = 256

    for encoder in (Other(), Wider()):
        with pytest.raises(ModelMismatchError, match="word-encoder-1"):
            Index.open(folder, encoder)


def test_the_config_is_kept_and_another_one_is_refused(folder):
    Index.open(folder, ENCODER, IndexConfig(segment_tokens=7)).close()
    Index.open(folder, ENCODER).close()
    Index.open(folder, ENCODER, IndexConfig(segment_tokens=7)).close()
    with pytest.raises(ConfigError, match="segment_tokens=7"):
        Index.open(folder, ENCODER, IndexConfig(segment_tokens=8))


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda manifest: {**manifest, "format_version": 99}, IndexFormatError),
        (lambda manifest: {**manifest, "format_version": "1"}, IndexFormatError),
        (lambda manifest: {**manifest, "config": {}}, IndexCorruptError),
        (lambda manifest: {**manifest, "more": 1}, IndexCorruptError),
        (lambda manifest: {key: value for key, value in manifest.items() if key != "model"}, IndexCorruptError),
        (lambda manifest: [manifest], IndexCorruptError),
    ],
)
def test_a_manifest_that_cannot_be_read(index, folder, change, error):
    path = folder / "manifest.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    with pytest.raises(error, match="manifest"):
        Index.open(folder, ENCODER)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe"])
def test_a_broken_manifest(index, folder, content):
    (folder / "manifest.json").write_bytes(content)
    with pytest.raises(IndexCorruptError, match="manifest"):
        Index.open(folder, ENCODER)


FILES = ["passages.sqlite", "vectors.f16", "gaps.i8", "widths.u8", "lengths.i32"]


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("damage", ["missing", "short", "empty"])
def test_missing_and_short_files_are_seen_when_opening(index, folder, file, damage):
    index.close()
    (path,) = folder.rglob(file)
    if damage == "missing":
        path.unlink()
    else:
        os.truncate(path, path.stat().st_size // 2 if damage == "short" else 0)
    with pytest.raises(IndexCorruptError, match=file):
        Index.open(folder, ENCODER)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_hit_whose_vectors_are_no_numbers_is_corruption(folder, wrong):
    with closing(Index.open(folder, ENCODER)) as index:
        index.add([Passage("a", "radium in the sea")])
    (path,) = folder.rglob("vectors.f16")
    vectors = np.fromfile(path, np.float16)
    vectors[-1] = wrong
    vectors.tofile(path)
    with closing(Index.open(folder, ENCODER)) as index, pytest.raises(IndexCorruptError, match=r"fgr verify.*copy"):
        index.search(ENCODER.encode_queries(["radium"]), 1)


@pytest.mark.parametrize("file", [*FILES[1:], "manifest.json"])
@settings(max_examples=8, deadline=None)
@given(random=st.randoms(use_true_random=False))
def test_verify_sees_any_flipped_bit(tmp_path_factory, file, random: random.Random):
    folder = tmp_path_factory.mktemp("index")
    index = Index.open(folder, ENCODER)
    index.add([Passage("a", "radium in the sea"), Passage("b", "mould")])
    (path,) = folder.rglob(file)
    content = bytearray(path.read_bytes())
    content[random.randrange(len(content))] ^= 1 << random.randrange(8)
    path.write_bytes(content)
    with pytest.raises(IndexCorruptError, match=file):
        index.verify()
    index.close()


@settings(max_examples=40, deadline=None)
@given(random=st.randoms(use_true_random=False))
def test_a_flipped_bit_of_the_database_is_seen_or_harmless(tmp_path_factory, random: random.Random):
    folder = tmp_path_factory.mktemp("index")
    index = Index.open(folder, ENCODER)
    index.add([Passage(str(number), f"radium {number} " * 10, {"n": number}) for number in range(8)])
    index.delete(["3"])
    names = [str(number) for number in range(9)]
    before = index.get(names)
    index.close()
    path = folder / "passages.sqlite"
    content = bytearray(path.read_bytes())
    content[random.randrange(len(content))] ^= 1 << random.randrange(8)
    path.write_bytes(content)
    try:
        reopened = Index.open(folder, ENCODER)
        reopened.verify()
    except IndexCorruptError:
        return
    assert reopened.get(names) == before
    assert sorted(ids(reopened)) == sorted(passage.id for passage in before)
    reopened.close()


def test_a_flipped_bit_of_the_schema_that_loses_the_rows_numbers_is_corruption(index, folder):
    """INTEGER becomes INTEGDR: the column is no longer the row's number, and reads as NULL."""
    index.close()
    path = folder / "passages.sqlite"
    content = path.read_bytes()
    assert content.count(b"row INTEGER PRIMARY KEY") >= 1
    path.write_bytes(content.replace(b"row INTEGER PRIMARY KEY", b"row INTEGDR PRIMARY KEY"))
    for call in (
        lambda damaged: damaged.verify(),
        lambda damaged: damaged.search(ENCODER.encode_queries(["radium"]), 1, {"lang": "en"}),
        lambda damaged: damaged.score(ENCODER.encode_queries(["radium"])[0], ["radium"]),
        lambda damaged: damaged.add([Passage("radium", "new")]),
    ):
        with pytest.raises(IndexCorruptError), Index.open(folder, ENCODER) as damaged:
            call(damaged)


def test_verify_compares_passages_with_segments(index, folder):
    with sqlite3.connect(folder / "passages.sqlite") as connection:
        connection.execute("DELETE FROM passages WHERE id = 'radium'")
    with pytest.raises(IndexCorruptError, match="do not match"):
        index.verify()
    with pytest.raises(IndexCorruptError, match="row 0"):
        ids(index)


def test_an_index_can_be_copied_and_moved(index, folder, tmp_path):
    index.close()
    moved = folder.rename(Path(tmp_path, "a b %20 #ü"))
    assert ids(Index.open(moved, ENCODER), k=1) == ["radium"]


def test_a_closed_index_says_so(index):
    index.close()
    index.close()
    for call in (lambda: len(index), lambda: ids(index), lambda: index.add([Passage("a", "b")]), index.verify):
        with pytest.raises(InputError, match="closed"):
            call()
