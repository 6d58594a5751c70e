"""Index format 2 as it grows: flush, merge, compact, damage. Token blocks go straight into the store: no model."""

import json
import os
import sys
from contextlib import closing

import numpy as np
import pytest

from fgr_retriever.config import IndexConfig
from fgr_retriever.errors import ConfigError, IndexCorruptError, IndexLockedError, IndexNotFoundError, InputError
from fgr_retriever.index.info import describe
from fgr_retriever.index.storage import growth
from fgr_retriever.index.storage.creation import create_store
from fgr_retriever.index.storage.manifest import Manifest
from fgr_retriever.index.storage.repair import repair
from fgr_retriever.index.storage.rewrite import mergeable, sample_vectors
from fgr_retriever.index.storage.salvage import LOST
from fgr_retriever.index.storage.segments import SegmentInfo
from fgr_retriever.index.storage.store import Store
from fgr_retriever.model.tokens import TokenBlock
from fgr_retriever.types import Passage

pytest.importorskip("faiss")
DIM = 16
TOPICS = np.random.default_rng(7).standard_normal((20, DIM))


class Shelf:
    """A store, and what it must give back."""

    def __init__(self, folder, config):
        create_store(folder, Manifest("none", DIM, config))
        self.folder, self.store, self.truth = folder, Store(folder), {}
        self.random, self.round = np.random.default_rng(1), 0

    def add(self, *names, tokens=40):
        blocks = {name: self._tokens(tokens) for name in names}
        self.round += 1  # a text of its own in every round: what is stored already would not be encoded

        def encode(texts):
            for number, text in enumerate(texts):
                vectors, offsets = blocks[text.split()[0]]
                yield TokenBlock(number, vectors[:7], offsets[:7], last=False)
                yield TokenBlock(number, vectors[7:], offsets[7:], last=True)

        assert self.store.add(map(self.passage, names), encode) == len(names)
        self.truth |= blocks

    def passage(self, name):
        return Passage(name, f"{name} {self.round}", {"name": name})

    def delete(self, *names):
        self.store.delete(names)
        for name in names:
            del self.truth[name]

    def _tokens(self, count):
        vectors = TOPICS[self.random.integers(0, len(TOPICS), count)] + 0.2 * self.random.standard_normal((count, DIM))
        starts = np.cumsum(self.random.integers(0, 200, count))  # some gaps do not fit a byte
        offsets = np.stack([starts, starts + self.random.integers(0, 9, count)], axis=1).astype(np.int32)
        return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16), offsets

    def check(self):
        """Every passage has its own offsets exactly and its own vectors nearly; gives the worst error."""
        self.store.verify()
        worst = 0.0
        with self.store.reading() as (snapshot, connection):
            stored = dict(connection.execute("SELECT row, id FROM passages"))
            assert sorted(stored.values()) == sorted(self.truth)
            for position in np.flatnonzero(snapshot.alive):
                vectors, offsets = self.truth[stored[int(snapshot.rows[position])]]
                tokens = snapshot.tokens_at(np.array([position]))[0]
                assert tokens.vectors.dtype == np.float16
                np.testing.assert_array_equal(tokens.offsets, offsets)
                differences = tokens.vectors.astype(np.float32) - vectors
                worst = max(worst, float(np.square(differences).sum(axis=1).mean()) if len(vectors) else 0.0)
        return worst

    def segments(self):
        with self.store.reading() as (snapshot, _):
            return [("coded" if segment.codec else "raw", segment.info.passages) for segment in snapshot.segments]

    def folders(self):
        return [len(list((self.folder / root).glob("*"))) for root in ("segments", "codecs")]


@pytest.fixture(params=[False, True], ids=["one layer", "two layers"])
def shelf(request, tmp_path, monkeypatch):
    """Flushes from 1,000 tokens on, which is 25 passages; full segments have 2,000."""
    monkeypatch.setattr(growth, "FLUSH_TOKENS", 1000)
    made = Shelf(tmp_path / "index", IndexConfig(segment_tokens=2000, refine=request.param))
    yield made
    made.store.close()


def names(start, stop):
    return [f"p{number}" for number in range(start, stop)]


def test_raw_below_the_limit_and_coded_from_it_on(shelf):
    shelf.add(*names(0, 24))
    assert (shelf.segments(), shelf.check()) == ([("raw", 24)], 0)
    assert describe(shelf.store).nbits == 16
    shelf.add("p24")
    assert shelf.segments() == [("coded", 25)]
    assert 0 < shelf.check() < 0.3
    assert shelf.folders() == [1, 1]
    info = describe(shelf.store)
    assert (info.nbits, info.raw_segments, info.coded_segments, info.centroids) == (2, 0, 1, 16)  # 1000 / 39 -> 16
    assert info.drift is None
    with shelf.store.reading() as (snapshot, _):
        (segment,) = snapshot.segments
        tokens = np.array([3, 999, 3])
        assert segment.decode(tokens).shape == (3, DIM)
        assert (segment.decode(tokens) == segment.decode(slice(None))[tokens]).all()
        entries = int(segment.lists.bounds[-1])
        files = {path.name: path.stat().st_size for path in segment.folder.iterdir()}
    sizes = {"codes.u16": 2000, "residuals.u8": 4000, "lists.u16": 2 * entries, "bounds.i64": 17 * 8}
    sizes |= {"residuals2.u8": 4000} if info.refine else {}
    sizes |= {"lengths.i32": 100, "gaps.i8": 1000, "widths.u8": 1000, "wide.i32": files["wide.i32"]}
    assert files == sizes
    codec_bytes = sum(path.stat().st_size for path in (shelf.folder / "codecs").rglob("*.*"))
    assert info.bytes_per_token == pytest.approx((sum(sizes.values()) + codec_bytes) / 1000)


def test_later_tokens_go_through_the_same_codec_and_are_accounted_for(shelf):
    shelf.add(*names(0, 25))
    error = describe(shelf.store).quantisation_error
    shelf.add("again", tokens=100)
    shelf.add(*names(30, 55), "p3")
    assert shelf.segments() == [("coded", 25), ("coded", 27)]  # together they would be more than full
    info = describe(shelf.store)
    assert info.quantisation_error == error
    assert info.drift == pytest.approx(1, abs=0.5)
    assert shelf.check() < 0.3
    assert shelf.folders() == [2, 1]


def test_small_segments_merge_and_rows_keep_their_numbers(shelf):
    for name in names(0, 20):
        shelf.add(name)
        assert len(shelf.segments()) <= 5  # 1 + log2(20)
        assert shelf.folders()[0] == len(shelf.segments())
    shelf.delete("p0", "p19")
    shelf.add(*names(20, 25), tokens=0)  # without a token
    shelf.add(*names(5, 10))
    with shelf.store.reading() as (snapshot, connection):
        rows = [row for (row,) in connection.execute("SELECT row FROM passages WHERE id IN ('p1', 'p24', 'p9')")]
        assert sorted(rows) == [1, 24, 29]
        assert snapshot.rows.tolist() == list(range(30))
    assert shelf.check() == 0


def test_no_codec_at_16_bits(tmp_path, monkeypatch):
    monkeypatch.setattr(growth, "FLUSH_TOKENS", 100)
    shelf = Shelf(tmp_path / "index", IndexConfig(nbits=16))
    shelf.add(*names(0, 9))
    shelf.store.compact()
    assert (shelf.segments(), shelf.check(), shelf.folders()) == ([("raw", 9)], 0, [1, 0])


def test_without_faiss_the_index_stays_raw_and_says_so(shelf, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "faiss", None)
    shelf.add(*names(0, 30))
    assert "fgr-retriever[cpu]" in caplog.text
    assert (shelf.segments(), shelf.check()) == ([("raw", 30)], 0)
    monkeypatch.undo()
    monkeypatch.setattr(growth, "FLUSH_TOKENS", 1000)
    shelf.store.compact()
    assert shelf.segments() == [("coded", 30)]


def test_compact_copies_codes_and_encodes_the_rest(shelf):
    shelf.add(*names(0, 30))
    shelf.add(*names(30, 40))
    shelf.delete(*names(0, 5))
    with shelf.store.reading() as (snapshot, _):
        before = snapshot.tokens_at(np.array([7]))[0]
    shelf.store.compact()
    assert shelf.segments() == [("coded", 35)]
    assert shelf.folders() == [1, 1]
    with shelf.store.reading() as (snapshot, connection):
        assert snapshot.alive.all()
        assert connection.execute("SELECT count(*) FROM tombstones").fetchone() == (0,)
        np.testing.assert_array_equal(snapshot.tokens_at(np.array([2]))[0].vectors, before.vectors)
    shelf.check()
    generation = [path.name for path in (shelf.folder / "segments").iterdir()]
    shelf.store.compact()  # nothing to do
    assert [path.name for path in (shelf.folder / "segments").iterdir()] == generation


def test_compact_trains_a_new_codec_for_an_index_that_has_grown(shelf):
    shelf.add(*names(0, 25))
    (codec,) = (shelf.folder / "codecs").iterdir()
    for start in range(25, 100, 25):
        shelf.add(*names(start, start + 25))
    shelf.store.compact()
    assert (shelf.folder / "codecs").is_dir()
    assert codec in (shelf.folder / "codecs").iterdir()  # 4 times is not more than 4 times
    shelf.add(*names(100, 101))
    shelf.store.compact()
    (other,) = (shelf.folder / "codecs").iterdir()
    assert other != codec
    info = describe(shelf.store)
    assert (info.drift, info.raw_segments) == (None, 0)
    assert info.centroids == 64
    assert shelf.check() < 0.5


def test_compact_trains_a_new_codec_for_other_texts(shelf):
    shelf.add(*names(0, 40))
    shelf.random = np.random.default_rng(2)
    topics = TOPICS.copy()
    try:
        TOPICS[:] = np.random.default_rng(3).standard_normal(TOPICS.shape)
        shelf.add(*names(40, 70))
    finally:
        TOPICS[:] = topics
    assert describe(shelf.store).drift > 1.25
    (codec,) = (shelf.folder / "codecs").iterdir()
    shelf.store.compact()
    assert not codec.exists()
    assert describe(shelf.store).drift is None


def test_everything_deleted_leaves_nothing(shelf):
    shelf.add(*names(0, 30))
    shelf.delete(*names(0, 30))
    shelf.store.compact()
    assert (shelf.segments(), shelf.folders()) == ([], [0, 0])
    assert describe(shelf.store).bytes_per_token == 0
    shelf.add("next")
    shelf.check()


def test_an_error_in_a_flush_stores_nothing(shelf, monkeypatch):
    shelf.add(*names(0, 20))
    monkeypatch.setattr(growth, "save_codec", lambda *_: (_ for _ in ()).throw(OSError("no space")))
    with pytest.raises(OSError, match="no space"):
        shelf.add(*names(20, 40))
    assert (shelf.segments(), shelf.check(), shelf.folders()[0]) == ([("raw", 20)], 0, 1)


def test_a_reader_keeps_what_a_flush_replaces(shelf):
    shelf.add(*names(0, 20))
    other = Store(shelf.folder)
    with other.reading() as (snapshot, _):
        shelf.add(*names(20, 40))
        np.testing.assert_array_equal(snapshot.tokens_at(np.array([4]))[0].vectors, shelf.truth["p4"][0])
        assert snapshot.segments[0].codec is None
    with other.reading() as (snapshot, _):
        assert snapshot.segments[0].codec is not None
    other.close()


def test_vectors_must_be_normalised(shelf):
    vectors = np.full((1, DIM), 0.5, np.float16)  # of length 2
    with pytest.raises(InputError, match="not L2-normalised"):
        shelf.store.add(
            [Passage("a", "a")], lambda texts: (TokenBlock(0, vectors, np.zeros((1, 2), np.int32), True) for _ in texts)
        )


def test_bits_that_do_not_suit_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="nbits=3"):
        IndexConfig(nbits=3)
    with pytest.raises(ConfigError, match="width 6"):
        create_store(tmp_path / "index", Manifest("none", 6, IndexConfig(nbits=2)))
    assert not (tmp_path / "index").exists()


def test_mergeable_by_hand():
    def info(tokens, coded=False):
        return SegmentInfo("", 0, tokens, {} if coded else {"vectors.f16": (0, "")})

    def count(*sizes):
        return mergeable([info(size) for size in sizes], 100)

    assert count() == 0
    assert count(10) == 1
    assert count(10, 5) == 1  # twice as large
    assert count(9, 5) == 2
    assert count(50, 9, 5) == 2
    assert count(27, 9, 5) == 3
    assert count(27, 9, 5, 99) == 1  # would be full
    assert count(27, 9, 5, 100) == 0  # full
    assert mergeable([info(5), info(5, coded=True)], 100) == 1


def test_the_sample_is_of_live_tokens_and_even(shelf):
    shelf.add(*names(0, 10))
    shelf.add(*names(10, 14))
    shelf.delete(*names(0, 9))
    with shelf.store.reading() as (snapshot, _):
        parts = [(segment, snapshot.alive[part]) for segment, part in snapshot.parts()]
        assert sample_vectors(parts, 200, DIM).shape == (200, DIM)
        sample = {row.tobytes() for row in sample_vectors(parts, 100, DIM).numpy()}
    live = {row.tobytes() for vectors, _ in shelf.truth.values() for row in vectors}
    assert len(sample) == 100
    assert sample <= live
    assert sum(row.tobytes() in sample for row in shelf.truth["p9"][0]) == 20  # half of each segment


# --- damage -----------------------------------------------------------------------------------

CODED = ["codes.u16", "residuals.u8", "lists.u16", "bounds.i64", "lengths.i32", "gaps.i8", "widths.u8", "wide.i32"]
CODEC = ["config.json", "codec.safetensors"]


def damage(path, how):
    if how == "missing":
        path.unlink()
    elif how == "short":
        os.truncate(path, path.stat().st_size // 2)
    else:
        content = bytearray(path.read_bytes())
        content[len(content) // 3] ^= 8
        path.write_bytes(content)


@pytest.mark.parametrize("how", ["missing", "short", "flipped"])
@pytest.mark.parametrize("file", [*CODED, *CODEC])
def test_damage_is_seen_and_repaired(shelf, file, how):
    """A damaged segment or codec takes its passages along; their texts are kept, and everything else is saved."""
    shelf.add(*names(0, 25))
    shelf.add(*names(25, 35), "p0")
    shelf.store.close()
    damage(next(path for path in shelf.folder.rglob(file) if not path.with_name("vectors.f16").exists()), how)
    with pytest.raises(IndexCorruptError), closing(Store(shelf.folder)) as store:
        store.verify()
    report = repair(shelf.folder)
    assert (report.saved, len(report.lost)) == (11, 24)
    assert {lost.id for lost in report.lost} == set(names(1, 25))
    assert all(lost.kept for lost in report.lost)
    assert len(report.notes) == (file in CODEC)
    kept = [json.loads(line) for line in (shelf.folder / LOST).read_text().splitlines()]
    assert [(record["id"], record["text"], record["name"]) for record in kept] == [
        (name, f"{name} 1", name) for name in names(1, 25)
    ]
    shelf.truth = {name: shelf.truth[name] for name in (*names(25, 35), "p0")}
    shelf.store = Store(shelf.folder)
    assert shelf.check() == 0
    shelf.add(*names(1, 25))  # again
    shelf.check()


def test_repair_keeps_the_rows_of_what_lies_around_a_lost_segment(shelf):
    for start in (0, 50, 100):
        shelf.add(*names(start, start + 50))  # a full segment each
    shelf.add("raw")
    with shelf.store.reading() as (snapshot, _):
        middle = snapshot.segments[1].folder
    shelf.store.close()
    damage(middle / "gaps.i8", "flipped")
    report = repair(shelf.folder)
    assert (report.saved, {lost.id for lost in report.lost}) == (101, set(names(50, 100)))
    shelf.truth = {name: shelf.truth[name] for name in (*names(0, 50), *names(100, 150), "raw")}
    shelf.store = Store(shelf.folder)
    assert shelf.segments() == [("coded", 50), ("coded", 50), ("coded", 50), ("raw", 1)]
    shelf.check()
    shelf.store.compact()
    shelf.check()


def test_repair_leaves_an_intact_index_alone(shelf):
    shelf.add(*names(0, 30))
    before = {path: path.stat().st_mtime_ns for path in shelf.folder.rglob("*.*")}
    report = repair(shelf.folder)
    assert (report.saved, report.lost, report.notes) == (30, [], [])
    assert {path: path.stat().st_mtime_ns for path in shelf.folder.rglob("*.*") if "sqlite-" not in path.name} == {
        path: time for path, time in before.items() if "sqlite-" not in path.name
    }


def test_repair_drops_a_damaged_row_and_restores_the_manifest(shelf):
    shelf.add(*names(0, 10))
    with shelf.store._database.writing() as connection:
        connection.execute("UPDATE passages SET text = x'00' WHERE id = 'p3'")
    shelf.store.close()
    (shelf.folder / "manifest.json").write_text("{")
    report = repair(shelf.folder)
    assert report.saved == 9
    assert [(lost.row, lost.id, lost.kept) for lost in report.lost] == [(3, "p3", False)]
    assert report.notes == ["manifest.json was written anew"]
    del shelf.truth["p3"]
    shelf.store = Store(shelf.folder)
    assert shelf.check() == 0


def test_repair_needs_a_database_and_the_index_for_itself(shelf, tmp_path):
    with pytest.raises(IndexNotFoundError):
        repair(tmp_path)
    shelf.add(*names(0, 3))
    damage(next(shelf.folder.rglob("lengths.i32")), "flipped")
    with pytest.raises(IndexLockedError, match="close it"):
        repair(shelf.folder)
    shelf.store.close()
    (shelf.folder / "passages.sqlite").write_bytes(b"no database" * 1000)
    with pytest.raises(IndexCorruptError, match="cannot be read at all"):
        repair(shelf.folder)
