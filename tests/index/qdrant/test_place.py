"""URLs of collections: what they say, and what they must not."""

import pytest

from fgr_retriever import QdrantCollection
from fgr_retriever.errors import ConfigError, InputError
from fgr_retriever.index.qdrant.place import is_url

SECRET = "hunter2"


def test_a_url_says_all():
    place = QdrantCollection.at(
        "qdrants://db.example:7000/my%20passages?storage=small&fields=year,a.b&shards=6&replicas=2&consistency=1&timeout=9"
    )
    assert (place.name, place.storage, place.fields) == ("my passages", "small", ("year", "a.b"))
    assert (place.shards, place.replicas, place.consistency) == (6, 2, 1)
    assert dict(place._options) == {
        "host": "db.example", "https": True, "prefer_grpc": True, "grpc_port": 7000, "timeout": 9,
    }  # fmt: skip


def test_a_url_says_little():
    place = QdrantCollection.at("qdrant://localhost/p")
    assert (place.name, place.storage, place.fields, place.shards) == ("p", None, (), None)
    assert dict(place._options) == {
        "host": "localhost", "https": False, "prefer_grpc": True, "grpc_port": 6334, "timeout": None,
    }  # fmt: skip
    assert dict(QdrantCollection.at("qdrant://localhost/p?protocol=rest")._options)["port"] == 6333


@pytest.mark.parametrize(
    "url",
    [
        f"qdrant://me:{SECRET}@host/p",
        f"qdrant://{SECRET}@host/p",
        f"qdrant://host/p?api_key={SECRET}",
        f"qdrant://host/p?key={SECRET}&storage=small",
        f"qdrant://host?api_key={SECRET}",
        f"qdrant://host/p#{SECRET}",
        "qdrant://host",
        "qdrant://host/",
        "qdrant:///p",
        "qdrant://host/a/b",
        f"qdrant://host:{SECRET}/p",
        "qdrant://host:99999/p",
        "qdrant://host/p#part",
    ],
)
def test_other_urls_are_refused_and_no_secret_is_told(url):
    with pytest.raises(InputError) as told:
        QdrantCollection.at(url)
    assert SECRET not in str(told.value)
    assert told.value.__cause__ is None


@pytest.mark.parametrize("option", ["shards=0", "shards=two", "replicas=-1", "timeout=²", "storage=tiny", "protocol=x"])
def test_settings_out_of_range_are_refused(option):
    with pytest.raises(ConfigError, match=option.partition("=")[0]):
        QdrantCollection.at(f"qdrant://host/p?{option}")


@pytest.mark.parametrize(("name", "value"), [("name", ""), ("fields", ["a"]), ("fields", (1,)), ("shards", True)])
def test_settings_of_a_collection_are_checked(name, value):
    with pytest.raises(ConfigError, match=name):
        QdrantCollection(**{"client": None, "name": "p", name: value})


def test_the_key_comes_from_the_environment_and_is_told_nobody(monkeypatch, caplog):
    pytest.importorskip("qdrant_client")
    monkeypatch.setenv("QDRANT_API_KEY", SECRET)
    place, owned = QdrantCollection.at("qdrants://localhost:1/p").connected()
    assert owned
    assert place.client.init_options["api_key"] == SECRET
    assert SECRET not in f"{place!r} {place.location} {caplog.text}"
    place.client.close()


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("qdrant://h/p", True),
        ("qdrants://h/p", True),
        ("qdrant", False),
        ("my.index", False),
        ("qdrant:/h", False),
        (None, False),
    ],
)
def test_what_is_a_url(place, expected):
    assert is_url(place) is expected
