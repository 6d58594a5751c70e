"""What a LlamaIndex user may assign to a retriever, and wrong values, which show at once."""

import pytest
from llama_index.core.schema import TextNode
from llama_index.core.vector_stores import MetadataFilter, MetadataFilters

from fgr_retriever import TrimConfig
from fgr_retriever.errors import ConfigError, InputError
from llama_index.retrievers.fgr import FGRRetriever
from llama_index.tools.fgr import evidence_tool

TEXT = "Radium was found in a shed in 1898. It glows. Curie found it there, and nobody else was in the shed."


@pytest.fixture
def retriever():
    found = FGRRetriever.from_nodes([TextNode(id_="a", text=TEXT, metadata={"year": 1898})], count_tokens=_words)
    yield found
    found.engine.close()


def _words(text):
    return len(text.split())


def test_a_limit_that_is_assigned_holds(retriever):
    assert retriever.max_tokens is None
    retriever.max_tokens = 3
    assert retriever.max_tokens == retriever.trim.max_tokens == 3
    assert 0 < sum(_words(one.text) for one in retriever.retrieve("Who found radium?")) <= 3
    retriever.max_tokens = None
    assert retriever.trim == TrimConfig()
    retriever.trim = None
    assert retriever.max_tokens is None
    with pytest.raises(ConfigError, match="max_tokens=3 with trim=None"):
        retriever.max_tokens = 3


def test_trim_may_be_assigned_as_a_dict(retriever):
    retriever.trim = {"max_tokens": 3}
    assert retriever.trim == TrimConfig(max_tokens=3)
    with pytest.raises(InputError, match="did you mean 'max_tokens'"):
        retriever.trim = {"max_token": 3}
    assert retriever.trim == TrimConfig(max_tokens=3)


def test_filters_of_another_kind_are_refused_at_once(retriever):
    for asked in ({"year": 1898}, [MetadataFilter(key="year", value=1898)]):
        with pytest.raises(InputError, match=r"must be MetadataFilters\(filters"):
            retriever.filters = asked
        with pytest.raises(InputError, match=r"must be MetadataFilters\(filters"):
            FGRRetriever(retriever.engine, filters=asked)
        with pytest.raises(InputError, match=r"must be MetadataFilters\(filters"):
            evidence_tool(retriever, filters=asked)(query="radium")
    assert retriever.filters is None
    retriever.filters = MetadataFilters(filters=[MetadataFilter(key="year", value=1900)])
    assert not retriever.retrieve("radium")
