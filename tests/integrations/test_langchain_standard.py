"""LangChain's own contract for retrievers."""

import pytest

pytest.importorskip("langchain_tests")

from langchain_tests.integration_tests import RetrieversIntegrationTests

from fgr_retriever import TrimConfig
from fgr_retriever.adapters import open_engine
from fgr_retriever.testing import WordEncoder
from fgr_retriever.types import Passage
from langchain_fgr import FGRRetriever

_SENTENCES = [
    "Radium glows in the dark.",
    "Radium was found in Paris.",
    "Snow fell on the roofs.",
    "Radium is rare.",
    "Trains ran late.",
]


class TestStandard(RetrieversIntegrationTests):
    """Default settings: a passage without evidence gives its best span."""

    trim = TrimConfig()

    @pytest.fixture(autouse=True)
    def _index(self, tmp_path):
        self.path = tmp_path / "index"
        engine = open_engine(self.path, encoder=WordEncoder())
        engine.add(Passage(str(number), text) for number, text in enumerate(_SENTENCES))

    @property
    def retriever_constructor(self):
        return FGRRetriever

    @property
    def retriever_constructor_params(self):
        engine = open_engine(self.path, encoder=WordEncoder(), create=False)
        return {"engine": engine, "trim": self.trim, "count_tokens": len}

    @property
    def retriever_query_example(self):
        return "where was radium found"


class TestStandardDropping(TestStandard):
    """Dropped passages are made up for: three of the five have evidence, and three come back."""

    trim = TrimConfig(on_empty="drop")
