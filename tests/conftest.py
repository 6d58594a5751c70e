"""Fixtures that more than one test file uses."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"  # before anything imports huggingface_hub: no test needs the network

# Tests run side by side and start processes of their own: with a thread for each core these would wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch
from hypothesis import settings

from fgr_retriever.testing import WordEncoder
from fgr_retriever.types import Passage

# The models of the tests are tiny: a second thread costs more in waiting than it gives.
torch.set_num_threads(1)

settings.register_profile("fgr", deadline=None)  # a busy machine is no failure
settings.load_profile("fgr")


def pytest_generate_tests(metafunc):
    """Run each test that uses `kept_in` twice, unless it is about folders."""
    if "kept_in" in metafunc.fixturenames:
        kinds = ("folder",) if metafunc.definition.get_closest_marker("folders") else ("folder", "collection")
        metafunc.parametrize("kept_in", kinds, indirect=True, scope="module")


@pytest.fixture(scope="module")
def kept_in(request, tmp_path_factory):
    """What an index is: a folder, or a collection of Qdrant's own core in the place of every folder."""
    if request.param == "folder":
        yield
        return
    pytest.importorskip("qdrant_edge")
    from tests.index.qdrant.serving import moved

    with moved(tmp_path_factory.mktemp("moved")):
        yield


@pytest.fixture
def word_encoder() -> WordEncoder:
    """A predictable encoder: one vector per word."""
    return WordEncoder()


@pytest.fixture
def passages() -> list[Passage]:
    """Three short passages with metadata."""
    return [
        Passage("radium", "Marie Curie found radium in 1898. She worked in Paris.", {"year": 1898, "lang": "en"}),
        Passage("penicillin", "Fleming found penicillin in a dish. It was mould.", {"year": 1928, "lang": "en"}),
        Passage("dynamit", "Nobel erfand das Dynamit. Er kam aus Stockholm.", {"year": 1867, "lang": "de"}),
    ]
