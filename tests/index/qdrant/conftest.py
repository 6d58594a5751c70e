"""The same passages in a folder and in collections: in the client's own copy of a server, and in the real core."""

import warnings
from pathlib import Path

import pytest
from qdrant_client import QdrantClient

from fgr_retriever import Engine, QdrantCollection
from fgr_retriever.testing import WordEncoder
from fgr_retriever.types import Passage
from tests.index.qdrant.core import CoreClient

HERE = Path(__file__).parent
# The client says so of every call that it takes and ignores when it stands in for a server.
LOCAL_IGNORES = ("ignore:Local mode performs exact", "ignore:Payload indexes have no effect")
KINDS = ("memory", "core", "three shards")


def pytest_collection_modifyitems(items):
    for item in items:
        if HERE not in item.path.parents:
            continue
        for warning in LOCAL_IGNORES:
            item.add_marker(pytest.mark.filterwarnings(warning))


def make_client(kind, folder):
    """Make an empty server of a kind."""
    if kind == "memory":
        return QdrantClient(":memory:")
    return CoreClient(folder, 3 if kind == "three shards" else 1)


@pytest.fixture(params=KINDS[:2])
def client(request, tmp_path):
    """An empty server."""
    made = make_client(request.param, tmp_path / "core")
    yield made
    made.close()


@pytest.fixture
def place(client):
    """A collection that is not made yet; float16, so that nothing is lost."""
    return QdrantCollection(client, "passages", storage="exact")


@pytest.fixture
def engine(place):
    """An empty collection."""
    with Engine.open(place, encoder=WordEncoder()) as opened:
        yield opened


WORDS = ("radium", "kiln", "glacier", "tariff", "enzyme", "violin", "harbour", "lantern", "quartz", "saffron", "meadow")


def corpus(count=40):
    """Passages of which each has other words, some with a source, and one without any word."""
    made = []
    for number in range(count):
        words = [WORDS[(number * step + step) % len(WORDS)] for step in (1, 3, 5, 7)]
        text = (
            f"The {words[0]} of number{number} is near a {words[1]}. A {words[2]}, {words[3]} lie in row{number % 7}."
        )
        metadata = {"year": 1900 + number, "lang": "de" if number % 3 else "en", "kept": number % 2 == 0}
        made.append(Passage(f"p{number}", text, {**metadata, "source": f"files/{number % 4}.md"}))
    return [*made, Passage("blank", " \n", {"year": 1900})]


QUESTIONS = ("radium near a violin", "number7", "enzyme in row3", "harbour lantern quartz")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The passages in a folder, in float16."""
    with Engine.open(tmp_path_factory.mktemp("index") / "folder", encoder=WordEncoder()) as opened:
        opened.add(corpus())
        yield opened


@pytest.fixture(scope="module", params=KINDS)
def filled(request, tmp_path_factory):
    """The same passages in a collection, in float16."""
    client = make_client(request.param, tmp_path_factory.mktemp("core") / "core")
    place = QdrantCollection(client, "passages", storage="exact", fields=("year",))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        opened = Engine.open(place, encoder=WordEncoder())
        opened.add(corpus())
    yield opened
    client.close()
