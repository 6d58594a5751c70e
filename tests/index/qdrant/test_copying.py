"""From a folder into a collection and back: the same passages, tokens and hits, and nothing is encoded."""

import numpy as np
import pytest

from fgr_retriever import Engine, IndexConfig, Passage
from fgr_retriever.cli import main
from fgr_retriever.config import Calibration
from fgr_retriever.errors import ConfigError, IndexNotFoundError, ModelMismatchError
from fgr_retriever.index.copying import copy
from fgr_retriever.index.opening import config_of, open_stored
from fgr_retriever.testing import WordEncoder
from tests.index.qdrant.conftest import QUESTIONS, corpus
from tests.index.qdrant.serving import served


def hits(engine, k=50):
    return {
        question: [(one.passage, one.rank, [(span.start, span.end) for span in one.spans]) for one in found]
        for question in QUESTIONS
        for found in [engine.search(question, k=k)]
    }


def stored(place):
    opened = open_stored(place)
    found = [(passage, tokens) for passage, tokens in opened.contents().passages]
    opened.close()
    return found


def test_there_and_back_gives_the_same(folder, place, tmp_path):
    done = copy(folder.folder, place)
    assert (done.added, done.updated, done.unchanged) == (41, 0, 0)
    assert copy(folder.folder, place).unchanged == 41
    assert copy(place, tmp_path / "back", IndexConfig(nbits=16)).added == 41
    for passages in (stored(place), stored(tmp_path / "back")):
        for (passage, tokens), (expected, kept) in zip(passages, stored(folder.folder), strict=True):
            assert passage == expected
            assert np.array_equal(tokens.vectors, kept.vectors)
            assert np.array_equal(tokens.offsets, kept.offsets)
            assert np.array_equal(tokens.evidence, kept.evidence)
    with (
        Engine.open(place, encoder=WordEncoder(), create=False) as there,
        Engine.open(tmp_path / "back", encoder=WordEncoder(), create=False) as back,
    ):
        assert hits(there) == hits(back) == hits(folder)
        there.verify()
        back.verify()


def test_a_coded_folder_takes_its_centroids_along(tmp_path, place, monkeypatch):
    monkeypatch.setattr("fgr_retriever.index.storage.growth.FLUSH_TOKENS", 500)
    with Engine.open(tmp_path / "coded", encoder=WordEncoder(), config=IndexConfig(segment_tokens=300)) as coded:
        coded.add([Passage(str(number), f"{one.text} {one.text}") for number, one in enumerate(corpus(90))])
        coded.compact()
        assert coded.info().coded_segments
        copy(coded.folder, place)
        with Engine.open(place, encoder=WordEncoder()) as there:
            assert there.info().centroids == coded.info().centroids > 1
            assert there._index._facts.told
            assert [score for _, score in there.rank("radium kiln", k=20)] == pytest.approx(
                [score for _, score in coded.rank("radium kiln", k=20)], abs=2e-3
            )


def test_importance_and_calibration_come_along(tmp_path, place):
    config = IndexConfig(importance=True)
    with Engine.open(tmp_path / "index", encoder=WordEncoder(), config=config) as engine:
        engine.add([Passage("a", "Radium glows"), Passage("b", "")])
        engine._index.calibrate(Calibration(threshold=0.25))
    copy(tmp_path / "index", place)
    copy(place, tmp_path / "back")
    with Engine.open(tmp_path / "back", encoder=WordEncoder()) as back:
        assert back.calibration.threshold == 0.25
        assert back._index.config.importance
    ((_, tokens), _) = stored(tmp_path / "back")
    assert tokens.importance[0] > tokens.importance[1]


def test_words_and_importance_come_along_whatever_else_is_asked(tmp_path, place):
    config = IndexConfig(importance=True, words="plain")
    with Engine.open(tmp_path / "index", encoder=WordEncoder(), config=config) as engine:
        engine.add([Passage("a", "The KX-200 kiln glows")])
    copy(tmp_path / "index", place, IndexConfig())
    back = IndexConfig(nbits=16)
    assert copy(place, tmp_path / "back", back).added == copy(place, tmp_path / "back", back).unchanged == 1
    assert config_of(tmp_path / "back") == IndexConfig(nbits=16, importance=True, words="plain")
    copy(tmp_path / "back", tmp_path / "other", IndexConfig(nbits=4, words="english"))
    assert config_of(tmp_path / "other") == IndexConfig(nbits=4, importance=True, words="english")


def test_an_interrupted_copy_is_finished(folder, place, monkeypatch):
    taken = []

    class Full(Exception):
        pass

    client, upsert = place.client, place.client.upsert

    def failing(*args, **options):
        if len(taken) == 3:
            raise Full
        taken.append(1)
        return upsert(*args, **options)

    monkeypatch.setattr("fgr_retriever.index.qdrant.writing._POINTS", 9)
    with monkeypatch.context() as broken:
        broken.setattr(client, "upsert", failing)
        with pytest.raises(Full):
            copy(folder.folder, place)
    done = copy(folder.folder, place)
    assert done.added + done.unchanged == 41
    assert done.unchanged >= 9


def test_what_does_not_fit_is_refused(folder, place, tmp_path):
    class Other(WordEncoder):
        fingerprint = "another"

    with pytest.raises(ConfigError, match="a config is for a folder"):
        copy(folder.folder, place, IndexConfig(nbits=16))
    with pytest.raises(IndexNotFoundError):
        copy(tmp_path / "none", place)
    with pytest.raises(IndexNotFoundError, match="no such collection"):
        copy(place, tmp_path / "back")
    Engine.open(place, encoder=Other()).close()
    Engine.open(tmp_path / "other", encoder=Other()).close()
    for target in (place, tmp_path / "other"):
        with pytest.raises(ModelMismatchError, match="another"):
            copy(folder.folder, target)


def test_a_folder_that_is_there_is_not_another_one(folder, tmp_path, capsys):
    source, target = str(folder.folder), str(tmp_path / "copy")
    assert main(["copy", source, target, "--nbits", "16"]) == 0
    assert main(["copy", source, target, "--nbits", "16"]) == main(["copy", source, target]) == 0
    capsys.readouterr()
    for option in (["--nbits", "4"], ["--words", "english"]):
        assert main(["copy", source, target, *option]) == 2
        told = capsys.readouterr().err
        assert "was created with IndexConfig(segment_tokens=2000000, nbits=16, words=''" in told
        assert "copy into a new folder" in told
    with pytest.raises(ConfigError, match="nbits=2"):
        copy(source, target, IndexConfig())
    assert main(["copy", source, str(tmp_path / "with words"), "--words", "english", "--nbits", "4"]) == 0
    assert config_of(tmp_path / "with words") == IndexConfig(words="english", nbits=4)


@pytest.fixture
def url(client):
    """A URL that leads to a server in this process."""
    with served(client):
        yield "qdrant://localhost/passages?storage=exact"


def test_commands_take_a_url(url, folder, tmp_path, capsys):
    file = tmp_path / "notes.jsonl"
    file.write_text('{"id": "a", "text": "Radium glows."}\n{"id": "b", "text": "A kiln is hot."}\n', encoding="utf-8")
    assert main(["copy", str(folder.folder), url]) == 0
    assert "41 passages copied" in capsys.readouterr().err
    assert main(["info", url, "--json"]) == 0
    assert '"passages": 41' in capsys.readouterr().out
    assert main(["delete", url, "files", "blank"]) == 0
    assert "deleted 41 passages; qdrant://localhost/passages?storage=exact has 0" in capsys.readouterr().err
    assert main(["index", str(file), "--out", url, "--dry-run"]) == 0
    assert "would add 2 passages" in capsys.readouterr().err
    assert main(["verify", url]) == 0
    assert main(["copy", url, str(tmp_path / "back"), "--nbits", "16"]) == 0
    assert main(["info", "qdrant://localhost/passages?key=x"]) == 1
    assert main(["search", str(tmp_path / "none"), "radium"]) == 3


@pytest.mark.golden
def test_index_and_search_take_a_url(url, tmp_path, capsys):
    file = tmp_path / "notes.jsonl"
    file.write_text('{"id": "a", "text": "Radium glows."}\n{"id": "b", "text": "A kiln is hot."}\n', encoding="utf-8")
    place = url.replace("passages", "embedded")
    assert main(["search", place, "what glows?"]) == 3
    assert main(["index", str(file), "--out", place]) == 0
    assert main(["index", str(file), "--out", place]) == 0
    assert "2 were stored already" in capsys.readouterr().err
    assert main(["search", place, "what glows?", "-k", "1", "--json"]) == 0
    assert '"id": "a"' in capsys.readouterr().out
