"""Index format 3: evidence codes and units beside what was there, indexes that lack them, and the upgrade."""

import json
import logging
import sqlite3
from contextlib import closing

import numpy as np
import pytest

from fgr_retriever.config import IndexConfig, SearchConfig
from fgr_retriever.engine import Engine
from fgr_retriever.errors import ConfigError, IndexCorruptError, InputError
from fgr_retriever.index.index import Index
from fgr_retriever.index.storage import database, growth
from fgr_retriever.index.storage.creation import create_store
from fgr_retriever.index.storage.manifest import Manifest
from fgr_retriever.index.storage.repair import repair
from fgr_retriever.model.tokens import EvidenceCode, EvidenceCodeEncoder
from fgr_retriever.testing import WordEncoder
from fgr_retriever.text.units import Units
from fgr_retriever.types import Passage

pytest.importorskip("faiss")
ENCODER = WordEncoder()
ALL_KEPT = IndexConfig(segment_tokens=3000, words="plain", importance=True)
ODD = ["", " \n\n ", "a lone \ud800 surrogate. And NUL \0 in it.", "One. Two; three.\n\n日本語。Fin"]


class Other(WordEncoder):
    """The same vectors, other codes."""

    evidence_code = EvidenceCode("other", 3)


class Codeless(WordEncoder):
    """The same vectors, no codes."""

    evidence_code = None


class Counting(WordEncoder):
    """Counts the texts that it encodes."""

    def __init__(self):
        self.texts = 0

    def encode_passages(self, texts, **kwargs):
        for block in super().encode_passages(texts, **kwargs):
            self.texts += block.last
            yield block


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where an index goes that codes its segments from 1,000 tokens on."""
    monkeypatch.setattr(growth, "FLUSH_TOKENS", 1000)
    return tmp_path / "index"


def passages(start, stop):
    texts = [f"Word{n} is a word. It follows word{n - 1}, and {'so on ' * (n % 9)}ends." for n in range(start, stop)]
    return [Passage(str(n), text, {"n": n}) for n, text in enumerate(texts, start)]


def old_index(folder, config=ALL_KEPT):
    """Make an index of format 2 with coded and raw segments, dead rows and odd texts, and what it holds."""
    create_store(folder, Manifest(ENCODER.fingerprint, ENCODER.dim, config, format_version=2))
    with closing(Index.open(folder, ENCODER)) as index:
        return fill(index)


def fill(index):
    index.add(passages(0, 90))
    index.add(passages(90, 100))
    index.delete(["3", "95"])
    index.add([Passage(f"odd {n}", text) for n, text in enumerate(ODD)])
    index.add([Passage("7", "A new text. It replaces word7.")])
    ids = [str(n) for n in range(100)] + [f"odd {n}" for n in range(len(ODD))]
    return {passage.id: passage for passage in index.get(ids)}


def kept(index, count=200):
    """Read all passages that have tokens, by id."""
    found = index.search(ENCODER.encode_queries(["word"]), count, config=SearchConfig(exact=True))[0]
    return {match.passage.id: match for match in found}


def check(index, stored, encoder=ENCODER):
    """Every passage has the codes and the units of its text, and all bytes are right."""
    index.verify()
    found = kept(index)
    assert {id: match.passage for id, match in found.items()} == {
        id: passage for id, passage in stored.items() if any(char.isalnum() for char in passage.text)
    }
    for match in found.values():
        (block,) = encoder.encode_passages([match.passage.text], evidence=True)
        np.testing.assert_array_equal(match.tokens.evidence, block.evidence)
        assert match.units.to_bytes() == Units.of(match.passage.text).to_bytes()


def manifest_of(folder):
    return json.loads((folder / "manifest.json").read_text())


def tokens_of(index):
    return {id: match.tokens for id, match in kept(index).items()}


def test_codes_and_units_go_through_everything_that_an_index_does(folder):
    assert isinstance(ENCODER, EvidenceCodeEncoder)
    with closing(Index.open(folder, ENCODER, ALL_KEPT)) as index:
        stored = fill(index)
        assert index.info().coded_segments == 1 < index.info().coded_segments + index.info().raw_segments
        check(index, stored)
        index.add(passages(200, 280))  # flush and merge
        stored |= {passage.id: passage for passage in passages(200, 280)}
        check(index, stored)
        index.delete([str(n) for n in range(0, 80)])
        index.compact()
        check(index, {id: one for id, one in stored.items() if id not in {str(n) for n in range(80)}})
        info = index.info()
        assert (info.format_version, info.evidence, info.units) == (3, "present", True)
        assert index.lacks() == ()
    assert (manifest_of(folder)["evidence"], manifest_of(folder)["evidence_bytes"]) == ("word-encoder-1", 4)


def test_an_encoder_without_codes_makes_an_index_without(folder):
    with closing(Index.open(folder, Codeless())) as index:
        index.add(passages(0, 100))
        assert {match.tokens.evidence for match in kept(index).values()} == {None}
        assert (index.info().evidence, index.info().units, index.lacks()) == ("missing", True, ())
        assert index.upgrade() is False
    assert not [*folder.rglob("evidence.u8")]
    with closing(Index.open(folder, ENCODER)) as index:
        assert index.lacks() == ("evidence codes of this model",)


def test_an_old_index_works_and_stays_as_it_is(folder):
    stored = old_index(folder)
    text = (folder / "manifest.json").read_text()
    assert not {"evidence", "evidence_bytes"} & manifest_of(folder).keys()
    with closing(Index.open(folder, ENCODER)) as index:
        index.add(passages(100, 200))
        index.delete(["101"])
        index.compact()
        index.verify()
        found = kept(index)
        stored |= {passage.id: passage for passage in passages(100, 200) if passage.id != "101"}
        assert {id: match.passage for id, match in found.items()}.items() <= stored.items()
        assert len(found) == 98 + 99 + 2  # of the odd texts two have no words
        assert {(match.tokens.evidence, match.units) for match in found.values()} == {(None, None)}
        info = index.info()
        assert (info.format_version, info.evidence, info.units) == (2, "missing", False)
        assert index.lacks() == ("evidence codes of this model", "borders of sentences and phrases")
    assert (folder / "manifest.json").read_text() == text
    assert not [*folder.rglob("evidence.u8")]
    with closing(sqlite3.connect(folder / "passages.sqlite")) as connection:
        assert "units" not in {name for _, name, *_ in connection.execute("PRAGMA table_info(passages)")}


def test_the_upgrade_adds_what_is_missing_and_keeps_the_rest(folder):
    stored = old_index(folder)
    with closing(Index.open(folder, ENCODER)) as index:
        before, calibration = tokens_of(index), index.calibrated_model().calibration
        assert index.upgrade() is True
        check(index, stored)
        for id, tokens in tokens_of(index).items():
            for name in ("vectors", "offsets", "importance"):
                np.testing.assert_array_equal(getattr(tokens, name), getattr(before[id], name))
        assert index.calibrated_model().calibration == calibration
        assert (index.info().format_version, index.info().evidence, index.info().units) == (3, "present", True)
        assert [id for id, _ in index.words("word7", 5)] == ["7", "8"]
        index.add(passages(100, 200))
        check(index, stored | {passage.id: passage for passage in passages(100, 200)})
    assert manifest_of(folder)["format_version"] == 3


def test_an_upgrade_of_what_lacks_nothing_does_nothing(folder):
    old_index(folder)
    counting = Counting()
    with closing(Index.open(folder, counting)) as index:
        assert index.upgrade() is True
        assert counting.texts == 98 + len(ODD)
        files = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
        with index.reading() as (before, _):
            assert index.upgrade() is False
        with index.reading() as (after, _):
            assert after.generation == before.generation
        assert counting.texts == 98 + len(ODD)
        assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == files


def test_only_segments_without_codes_are_encoded_once_more(folder):
    with closing(Index.open(folder, ENCODER)) as index:
        stored = fill(index)
    with closing(Index.open(folder, Codeless())) as index:
        index.add([Passage("late", "a late word")])
        assert index.info().evidence == "partial"
    counting = Counting()
    with closing(Index.open(folder, counting)) as index:
        assert {match.tokens.evidence for match in kept(index).values()} == {None}
        index.verify()
        assert index.upgrade() is True
        assert 1 <= counting.texts < 30
        check(index, stored | {"late": Passage("late", "a late word")})


def test_codes_of_another_model_are_never_read_nor_mixed(folder):
    other = Other()
    with closing(Index.open(folder, ENCODER)) as index:
        stored = fill(index)
    with closing(Index.open(folder, other)) as index:
        assert index.info().evidence == "of another model"
        assert {match.tokens.evidence for match in kept(index).values()} == {None}
        index.add(passages(100, 101))  # goes on, without codes
        stored |= {passage.id: passage for passage in passages(100, 101)}
        index.add(passages(101, 200))
        stored |= {passage.id: passage for passage in passages(101, 200)}
        index.compact()
        index.verify()
        assert index.upgrade() is True
        check(index, stored, other)
        assert manifest_of(folder)["evidence_bytes"] == 3
    with closing(Index.open(folder, ENCODER)) as index:
        assert index.info().evidence == "of another model"
        assert {match.tokens.evidence for match in kept(index).values()} == {None}
        assert index.upgrade() is True
        check(index, stored)


def test_a_passage_with_another_number_of_tokens_is_named_and_nothing_changes(folder):
    class Longer(WordEncoder):
        def encode_passages(self, texts, **kwargs):
            yield from super().encode_passages((text.replace("word50,", "word 50,") for text in texts), **kwargs)

    old_index(folder)
    files = {path.relative_to(folder) for path in folder.rglob("*")}
    with closing(Index.open(folder, Longer())) as index:
        with pytest.raises(IndexCorruptError, match=r"passage '51' has \d+ tokens in the index, but the model gives"):
            index.upgrade()
        index.verify()
        assert index.info().format_version == 2
    assert {path.relative_to(folder) for path in folder.rglob("*")} == files


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda blocks: blocks[:20], "took 98 texts and gave 20 passages"),
        (lambda blocks: [Codeless().encode_passages(["a"]).__next__()], r"evidence None: must be \(1, 4\) uint8"),
    ],
)
def test_an_encoder_that_fails_changes_nothing(folder, change, message):
    class Broken(WordEncoder):
        def encode_passages(self, texts, **kwargs):
            return iter(change([*super().encode_passages(texts, **kwargs)]))

    create_store(folder, Manifest(ENCODER.fingerprint, ENCODER.dim, IndexConfig(), format_version=2))
    with closing(Index.open(folder, ENCODER)) as index:
        index.add(passages(0, 98))
    with closing(Index.open(folder, Broken())) as index:
        with pytest.raises(InputError, match=message):
            index.upgrade()
        index.verify()
        assert index.lacks()


def test_a_stop_between_commit_and_manifest_is_healed_by_the_next_write(folder, monkeypatch):
    stored = old_index(folder)

    def stop(*args):
        raise OSError("no space left")

    with closing(Index.open(folder, ENCODER)) as index, monkeypatch.context() as patched:
        patched.setattr(database, "settle_manifest", stop)
        assert index.upgrade() is True
    assert manifest_of(folder)["format_version"] == 2
    for write in (lambda index: index.delete(["1"]), lambda index: index.upgrade()):
        text = (folder / "manifest.json").read_text()
        with closing(Index.open(folder, ENCODER)) as index:
            check(index, stored)
            assert index.info().format_version == 3
            write(index)
            stored.pop("1", None)
            index.verify()
        assert manifest_of(folder)["format_version"] == 3
        (folder / "manifest.json").write_text(text)
    (folder / "manifest.json").write_text(text.replace("plain", "other"))
    with (
        closing(Index.open(folder, ENCODER, create=False)) as index,
        pytest.raises(IndexCorruptError, match="manifest"),
    ):
        index.verify()


def test_readers_go_on_and_see_the_upgrade_at_the_next_search(folder):
    stored = old_index(folder)
    with closing(Index.open(folder, ENCODER)) as reader, closing(Index.open(folder, ENCODER)) as writer:
        with reader.reading() as (snapshot, connection):
            writer.upgrade()
            assert not snapshot.manifest.units
            assert len(snapshot.tokens_at(np.flatnonzero(snapshot.alive))) == len(stored)
            assert connection.execute("SELECT count(*) FROM passages").fetchone() == (len(stored),)
        check(reader, stored)
        reader.add(passages(100, 200))  # as the index is now, not as it was opened
        check(writer, stored | {passage.id: passage for passage in passages(100, 200)})


def test_a_creation_that_an_older_version_left_unfinished_is_finished(folder):
    create_store(folder, Manifest(ENCODER.fingerprint, ENCODER.dim, ALL_KEPT, format_version=2))
    (folder / "manifest.json").unlink()
    with closing(sqlite3.connect(folder / "passages.sqlite")) as connection, connection:
        connection.execute("DELETE FROM state")
        connection.execute("DROP TABLE words")
    with closing(Index.open(folder, ENCODER, ALL_KEPT)) as index:
        check(index, fill(index))


def test_changed_units_are_seen_and_worked_out_anew(folder):
    with closing(Index.open(folder, ENCODER)) as index:
        stored = fill(index)
    units = Units.of(stored["50"].text).to_bytes()
    with closing(sqlite3.connect(folder / "passages.sqlite")) as connection, connection:
        connection.execute("UPDATE passages SET units = ? WHERE id = '50'", (bytes([*units[:-1], units[-1] ^ 1]),))
        connection.execute("UPDATE passages SET units = NULL WHERE id = '51'")
    with closing(Index.open(folder, ENCODER)) as index:
        for query in ("word50", "word51"):
            with pytest.raises(IndexCorruptError, match=r"units of passage '5[01]' differ"):
                index.search(ENCODER.encode_queries([query]), 1)
        with pytest.raises(IndexCorruptError, match="units of passage '50' differ"):
            index.verify()
        assert index.get(["50"]) == [stored["50"]]  # the text itself is right
    report = repair(folder)
    assert (report.saved, report.lost) == (len(stored), [])
    assert report.notes == [f"the units of passage '{id}' were worked out anew" for id in ("50", "51")]
    with closing(Index.open(folder, ENCODER)) as index:
        check(index, stored)


def test_damaged_codes_cost_no_passage(folder):
    with closing(Index.open(folder, ENCODER)) as index:
        stored = fill(index)
    damaged = max(folder.rglob("evidence.u8"), key=lambda path: path.stat().st_size)
    content = bytearray(damaged.read_bytes())
    content[7] ^= 1
    damaged.write_bytes(content)
    with closing(Index.open(folder, ENCODER)) as index, pytest.raises(IndexCorruptError, match=r"evidence\.u8"):
        index.verify()
    report = repair(folder)
    assert (report.saved, report.lost) == (len(stored), [])
    assert "fgr upgrade" in report.notes[0]
    with closing(Index.open(folder, ENCODER)) as index:
        assert index.info().evidence == "partial"
        index.upgrade()
        check(index, stored)


def test_an_old_index_is_repaired_as_one(folder):
    stored = old_index(folder)
    with closing(sqlite3.connect(folder / "passages.sqlite")) as connection, connection:
        connection.execute("UPDATE passages SET text = ? WHERE id = '50'", (b"other",))
    report = repair(folder)
    assert [lost.id for lost in report.lost] == ["50"]
    with closing(Index.open(folder, ENCODER)) as index:
        index.verify()
        assert index.info().format_version == 2
        index.upgrade()
        check(index, {id: passage for id, passage in stored.items() if id != "50"})


def test_wrong_codes_are_never_stored(folder):
    class Wide(WordEncoder):
        def encode_passages(self, texts, **kwargs):
            return Other().encode_passages(texts, **kwargs)

    with closing(Index.open(folder, Wide())) as index:
        with pytest.raises(InputError, match=r"evidence \(\d+, 3\) uint8: must be \(\d+, 4\) uint8"):
            index.add(passages(0, 3))
        assert len(index) == 0


@pytest.mark.parametrize("given", [("", 8), (None, 8), ("a", 0), ("a", 1.0), ("a", True)])
def test_a_code_must_have_a_name_and_bytes(given):
    with pytest.raises(ConfigError, match=r"fingerprint|nbytes"):
        EvidenceCode(*given)


@pytest.mark.parametrize("change", [{"evidence_bytes": 0}, {"evidence_bytes": "4"}, {"evidence": 5}])
def test_a_manifest_with_impossible_codes_is_damaged(folder, change):
    Index.open(folder, ENCODER).close()
    (folder / "manifest.json").write_text(json.dumps(manifest_of(folder) | change))
    with pytest.raises(IndexCorruptError, match="evidence codes"):
        Index.open(folder, ENCODER)


async def test_the_engine_says_once_what_is_missing_and_adds_it(folder, caplog):
    stored = old_index(folder)
    with caplog.at_level(logging.WARNING), Engine.open(folder, encoder=ENCODER) as engine:
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        assert "no evidence codes of this model and no borders of sentences and phrases" in caplog.text
        assert "fgr upgrade" in caplog.text
        assert engine.info().evidence == "missing"
        before = [(hit.passage, hit.spans) for hit in engine.search("word50")]
        assert await engine.aupgrade() is True
        assert engine.upgrade() is False
        assert [(hit.passage, hit.spans) for hit in engine.search("word50")] == before
        assert len(engine) == len(stored)
        caplog.clear()
    with caplog.at_level(logging.WARNING), Engine.open(folder, encoder=ENCODER) as engine:
        assert not caplog.records
