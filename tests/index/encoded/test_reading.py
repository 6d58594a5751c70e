"""An index of encoded files: the same as one of the passages, or an error of ours and nothing stored."""

import json
import sqlite3

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fgr_retriever import Engine, IndexConfig, Passage
from fgr_retriever.errors import FgrError, IndexCorruptError, IndexFormatError, InputError, ModelMismatchError
from fgr_retriever.index.encoded import arrays, writing
from fgr_retriever.index.encoded.arrays import read_arrays, write_arrays
from fgr_retriever.index.encoded.passage_file import PassageFile
from fgr_retriever.index.encoded.reading import EncodedCorpus
from fgr_retriever.index.encoded.shard import Shard
from fgr_retriever.index.storage import growth
from fgr_retriever.testing import WordEncoder
from tests.index.encoded.corpus import Counting, Other, contents, corpus, encode_all

SMALL = [Passage("a", "clay and ash", {"n": 1}), Passage("b", "salt"), Passage("c", "a kiln \ud800")]


class NoCodes(WordEncoder):
    """The same vectors without evidence codes."""

    evidence_code = None


@pytest.fixture(autouse=True)
def small_files(monkeypatch):
    """Files of about four passages."""
    monkeypatch.setattr(writing, "_ENDS", 4)


@pytest.fixture(scope="module")
def encoded(tmp_path_factory):
    """The corpus in three shards."""
    folder = tmp_path_factory.mktemp("encoded")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writing, "_ENDS", 4)
        encode_all(folder, importance=True)
    return folder


@pytest.fixture
def small(tmp_path):
    """Three passages in one shard and one file, and the path of that file."""
    folder = tmp_path / "small"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writing, "_ENDS", 10**9)
        encode_all(folder, 1, SMALL)
    (path,) = (path for path in folder.iterdir() if path != Shard(0, 1).list_in(folder))
    return path


def stored(folder):
    """All that an index has, but for what is made up anew each time: rows, and the arrays of segments."""
    with sqlite3.connect(folder / "passages.sqlite") as connection:
        rows = connection.execute("SELECT * FROM passages ORDER BY row").fetchall()
    segments = [path.read_bytes() for path in sorted(folder.glob("segments/*/*"), key=lambda path: path.name)]
    return rows, segments


def refused(path, error, match):
    """Check that a folder is refused, and that nothing of it is stored."""
    with Engine.open(path / "index", encoder=WordEncoder()) as engine:
        with pytest.raises(error, match=match):
            engine.add_encoded(path / "small")
        assert len(engine) == 0


@pytest.mark.parametrize(
    "config",
    [IndexConfig(), IndexConfig(nbits=16, importance=True), IndexConfig(words="plain")],
    ids=["defaults", "importance", "words"],
)
def test_the_index_is_the_same_as_of_the_passages(tmp_path, encoded, config):
    encoder = Counting()
    with (
        Engine.open(tmp_path / "direct", encoder=WordEncoder(), config=config) as direct,
        Engine.open(tmp_path / "index", encoder=encoder, config=config) as engine,
    ):
        direct.add(corpus())
        found = engine.add_encoded(encoded)
        assert (found.added, found.updated, found.unchanged) == (60, 0, 0)
        assert encoder.texts == 0
        engine.verify()
        assert engine.get(engine.ids()) == list(corpus())
        for query in ("clay ash", "Which kiln is salt?", "31"):
            hits, expected = (one.search(query, k=20) for one in (engine, direct))
            assert [(hit.passage, hit.score, hit.spans) for hit in hits] == [
                (hit.passage, hit.score, hit.spans) for hit in expected
            ]
    assert stored(tmp_path / "index") == stored(tmp_path / "direct")


def test_the_codes_of_the_codec_are_the_same_as_of_the_passages(tmp_path, encoded, monkeypatch):
    pytest.importorskip("faiss")
    monkeypatch.setattr(growth, "FLUSH_TOKENS", 1000)
    with (
        Engine.open(tmp_path / "direct", encoder=WordEncoder()) as direct,
        Engine.open(tmp_path / "index", encoder=WordEncoder()) as engine,
    ):
        direct.add(corpus())
        engine.add_encoded([encoded])
        assert next((tmp_path / "index").glob("segments/*/codes.u16"))
    assert stored(tmp_path / "index") == stored(tmp_path / "direct")


def test_an_index_without_the_codes_of_the_model_takes_the_vectors(tmp_path, encoded):
    with (
        Engine.open(tmp_path / "direct", encoder=NoCodes()) as direct,
        Engine.open(tmp_path / "index", encoder=NoCodes()) as engine,
    ):
        direct.add(corpus())
        engine.add_encoded(encoded)
        assert engine.info().evidence == direct.info().evidence
    assert stored(tmp_path / "index") == stored(tmp_path / "direct")


def test_shards_may_lie_in_several_folders(tmp_path, encoded):
    folders = [tmp_path / str(number) for number in range(3)]
    for number, folder in enumerate(folders):
        folder.mkdir()
        for path in encoded.glob(f"shard-{number:06}-*"):
            (folder / path.name).write_bytes(path.read_bytes())
    assert [passage.id for passage in EncodedCorpus(folders[::-1]).passages()] == [one.id for one in corpus()]
    with pytest.raises(InputError, match=r"shard 1/3 is in .* and in .*: give each shard once"):
        EncodedCorpus([*folders, folders[1]])


def test_what_is_stored_already_stays(tmp_path, small):
    with Engine.open(tmp_path / "index", encoder=WordEncoder()) as engine:
        engine.add([SMALL[0], Passage("b", "another text"), Passage("old", "ash")])
        found = engine.add_encoded(str(small.parent))
        assert (found.added, found.updated, found.unchanged, found.deleted) == (1, 1, 1, 0)
        found = engine.add_encoded(small.parent, replacing=engine.ids())
        assert (found.unchanged, found.deleted) == (3, 1)
        assert sorted(engine.ids()) == ["a", "b", "c"]


def test_an_empty_corpus_does_not_take_the_place_of_all(tmp_path):
    encode_all(tmp_path / "nothing", 1, [])
    with Engine.open(tmp_path / "index", encoder=WordEncoder()) as engine:
        engine.add(SMALL)
        with pytest.raises(InputError, match="nothing to add, and all 3 stored"):
            engine.add_encoded(tmp_path / "nothing", replacing=engine.ids())
        assert engine.ids() == ["a", "b", "c"]
        assert engine.add_encoded(tmp_path / "nothing", replacing=["a"]).deleted == 1


async def test_the_async_twin_does_the_same(tmp_path, small):
    with Engine.open(tmp_path / "index", encoder=WordEncoder()) as engine:
        assert (await engine.aadd_encoded(small.parent)).added == 3
        assert engine.last_added.added == 3


def test_a_missing_shard_is_named(tmp_path):
    encode_all(tmp_path / "encoded", 12)
    for number in (2, 7):
        Shard(number, 12).list_in(tmp_path / "encoded").unlink()
    with pytest.raises(InputError, match=r"of 12 shards, 2 are not finished: 2/12, 7/12\. Run"):
        EncodedCorpus([tmp_path / "encoded"])
    with Engine.open(tmp_path / "index", encoder=WordEncoder()) as engine:
        engine.add_encoded(tmp_path / "encoded", incomplete=True)
        missing = [one.id for one in corpus() if Shard(2, 12).has(one.id) or Shard(7, 12).has(one.id)]
        assert missing
        assert engine.ids() == [one.id for one in corpus() if one.id not in missing]


def test_shards_of_different_passages_are_refused(tmp_path):
    encode_all(tmp_path, 2)
    changed = [*corpus()[:-1], Passage("p59", "Shorter.")]
    numbers = [number for number in range(2) if not Shard(number, 2).has("p59")]
    writing.encode_shard(changed, WordEncoder(), tmp_path, f"{numbers[0]}/2")  # its own passages are as they were
    with pytest.raises(InputError, match="were made of different passages"):
        EncodedCorpus([tmp_path])


def test_shards_of_different_numbers_are_refused(tmp_path):
    encode_all(tmp_path, 1, SMALL)
    encode_all(tmp_path, 2, SMALL)
    with pytest.raises(InputError, match="give each number a folder of its own"):
        EncodedCorpus([tmp_path])


def test_shards_of_different_models_are_refused(tmp_path):
    writing.encode_shard(SMALL, WordEncoder(), tmp_path, "0/2")
    writing.encode_shard(SMALL, Other(), tmp_path, "1/2")
    with pytest.raises(ModelMismatchError, match="another-model"):
        EncodedCorpus([tmp_path])


def test_an_index_of_another_model_refuses(tmp_path, small):
    with Engine.open(tmp_path / "index", encoder=Other()) as engine:
        with pytest.raises(ModelMismatchError, match="word-encoder-1"):
            engine.add_encoded(small.parent)
        assert len(engine) == 0


def test_an_index_with_importance_refuses_what_has_none(tmp_path, small):
    config = IndexConfig(importance=True)
    with (
        Engine.open(tmp_path / "index", encoder=WordEncoder(), config=config) as engine,
        pytest.raises(InputError, match="--importance"),
    ):
        engine.add_encoded(small.parent)


@pytest.mark.parametrize("folder", ["", "nothing"])
def test_a_folder_without_shards_is_refused(tmp_path, folder):
    with pytest.raises(InputError, match=r"run `fgr encode`|is no folder"):
        EncodedCorpus([tmp_path / folder])


@settings(max_examples=30)
@given(st.data())
def test_no_damaged_file_is_used(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("damaged")
    encode_all(folder, 1, SMALL)
    before = contents(folder)
    name = data.draw(st.sampled_from(sorted(before)))
    size = len(before[name])
    if data.draw(st.booleans()):
        damaged = before[name][: data.draw(st.integers(0, size - 1))]
    else:
        place = data.draw(st.integers(0, size - 1) | st.integers(0, 40))
        damaged = before[name][:place] + bytes([before[name][place] ^ data.draw(st.integers(1, 255))])
        damaged += before[name][place + 1 :]
    (folder / name).write_bytes(damaged)
    try:
        found = list(EncodedCorpus([folder]).passages())
    except FgrError:
        found = []
    assert found in ([], SMALL)  # a blank of the header may have changed
    encode_all(folder, 1, SMALL)  # mends it
    assert list(EncodedCorpus([folder]).passages()) == SMALL


def test_a_file_that_is_damaged_later_stores_nothing(tmp_path):
    encode_all(tmp_path / "small", 1)
    last = EncodedCorpus([tmp_path / "small"])._lists[0][1].files[-1]
    path = tmp_path / "small" / last
    path.write_bytes(path.read_bytes()[:-1])
    refused(tmp_path, IndexCorruptError, f"{last} cannot be used .*run `fgr encode` again")
    path.unlink()
    refused(tmp_path, IndexCorruptError, "there is no such file")
    path.mkdir()
    refused(tmp_path, IndexCorruptError, "there is no such file")


def forge(path, change):
    """Write a file again with other arrays, and a checksum that is right."""
    header, found = read_arrays(path)
    found = {name: array.copy() for name, array in found.items()}
    change(found)
    write_arrays(path, header, found)


def set_line(found, number, **values):
    """Change a line of the passages."""
    lines = [json.loads(line) for line in found["lines"].tobytes().splitlines()]
    lines[number] = {**lines[number], **values}
    made = [json.dumps(line).encode() + b"\n" for line in lines]
    found["lines"] = np.frombuffer(b"".join(made), np.uint8)
    found["line_ends"] = np.cumsum([len(line) for line in made])


FORGERIES = {
    "negative lengths": lambda found: found.update(lengths=np.array([5, -1, 2], np.int32)),
    "too many tokens": lambda found: found.update(lengths=found["lengths"] + np.int32(1)),
    "lines that go back": lambda found: found["line_ends"].__setitem__(0, -1),
    "lines that end early": lambda found: found["line_ends"].__setitem__(-1, 3),
    "no lengths": lambda found: found.pop("lengths"),
    "no codes": lambda found: found.pop("evidence"),
    "another array": lambda found: found.update(more=np.zeros(3, np.uint8)),
    "another width": lambda found: found.update(vectors=found["vectors"][:, :64].copy()),
    "another type": lambda found: found.update(vectors=found["vectors"].astype(np.float16).view(np.uint8)),
    "no vectors": lambda found: found.update(vectors=found["vectors"][:0]),
    "vectors of no length": lambda found: found["vectors"].fill(0),
    "vectors of NaN": lambda found: found["vectors"].fill(np.nan),
    "tokens outside": lambda found: found["offsets"].__setitem__((0, 1), 1000),
    "tokens before": lambda found: found["offsets"].__setitem__((0, 0), -1),
    "tokens backwards": lambda found: found["offsets"].__setitem__(0, (3, 1)),
    "a list": lambda found: set_line(found, 1, metadata=[]),
    "a number": lambda found: set_line(found, 1, text=7),
    "no name": lambda found: set_line(found, 1, id=""),
    "a name twice": lambda found: set_line(found, 1, id="a"),
    "units of nothing": lambda found: set_line(found, 1, units=""),
    "units of a longer text": lambda found: set_line(found, 1, units="0101000109"),
    "units that are no hex": lambda found: set_line(found, 1, units="x"),
    "units that are missing": lambda found: set_line(found, 1, units=None),
    "no JSON": lambda found: found.update(lines=np.full_like(found["lines"], ord("["))),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_what_does_not_fit_is_refused(tmp_path, small, name):
    forge(small, FORGERIES[name])
    refused(tmp_path, (IndexCorruptError, InputError), ".")


@pytest.mark.parametrize(
    "change",
    [{"files": ["../../passwd"]}, {"files": [3]}, {"files": "x"}, {"corpus": 3}, {"manifest": "{}"}, {"files": []}],
)
def test_a_list_that_is_none_is_refused(tmp_path, small, change):
    path = Shard(0, 1).list_in(small.parent)
    header, found = read_arrays(path)
    write_arrays(path, {**header, **change}, found)
    refused(tmp_path, IndexCorruptError, "shard-000000-of-000001.safetensors")


@pytest.mark.parametrize("positions", [[0, 1], [0, 1, 1], [2, 1, 0], [-1, 0, 1], [0, 1, 2, 3], [[0, 1, 2]]])
def test_places_that_do_not_fit_are_refused(tmp_path, small, positions):
    forge(Shard(0, 1).list_in(small.parent), lambda found: found.update(positions=np.array(positions, np.int64)))
    refused(tmp_path, IndexCorruptError, "shard-000000-of-000001.safetensors")


def test_a_file_in_the_place_of_a_list_and_the_other_way_round(tmp_path, small):
    listed = Shard(0, 1).list_in(small.parent)
    kept = listed.read_bytes(), small.read_bytes()
    listed.write_bytes(kept[1])
    refused(tmp_path, IndexCorruptError, "lists no files")
    listed.write_bytes(kept[0])
    small.write_bytes(kept[0])
    refused(tmp_path, IndexCorruptError, "arrays do not fit")


def test_a_file_of_another_model_than_its_list_is_refused(tmp_path, small):
    header, found = read_arrays(small)
    write_arrays(small, {"manifest": header["manifest"].replace("word-encoder-1", "other")}, found)
    refused(tmp_path, ModelMismatchError, "not encoded with the model of its list")


def test_a_later_format_is_said_to_be_one(tmp_path, small, monkeypatch):
    header, found = read_arrays(small)
    monkeypatch.setattr(arrays, "FORMAT_VERSION", 2)
    write_arrays(small, header, found)
    monkeypatch.undo()
    refused(tmp_path, IndexFormatError, "has format 2 of encoded files, this version reads 1")


def test_a_file_can_be_read_by_slots(small):
    file = PassageFile(small)
    assert [file.read(slot).passage for slot in (2, 0, 1)] == [SMALL[2], SMALL[0], SMALL[1]]
    assert file.read(1).tokens.offsets.tolist() == [[0, 4]]
