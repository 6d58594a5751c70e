"""A budget holds for the text that callers make of what adapters return, in whatever order they return it."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.documents import Document
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode

from fgr_retriever.testing import WordEncoder
from langchain_fgr import FGRCompressor
from llama_index.postprocessor.fgr import FGRPostprocessor

WORDS = ["radium", "glows", "kiln", "clay", "mill", "1931", "green", "bread", "sea."]
texts = st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=12).map(" ".join), min_size=2, max_size=5)


def count(text):
    """Count as a byte-pair encoding does: what follows decides where a token ends, so that the order counts."""
    return len(re.findall(r"[.]\n\n|\w+|\n|\S", text))


def compressed(passages, query, budget, settings):
    compressor = FGRCompressor(encoder=WordEncoder(), max_tokens=budget, trim=settings, count_tokens=count)
    found = compressor.compress_documents([Document(text) for text in passages], query)
    return [one.page_content for one in found]


def postprocessed(passages, query, budget, settings):
    processor = FGRPostprocessor(encoder=WordEncoder(), max_tokens=budget, trim=settings, count_tokens=count)
    nodes = [NodeWithScore(node=TextNode(text=text), score=1.0) for text in passages]
    return [one.node.get_content() for one in processor.postprocess_nodes(nodes, QueryBundle(query))]


@pytest.mark.parametrize("adapter", [compressed, postprocessed])
@given(texts, st.integers(3, 30), st.booleans(), st.sampled_from(["radium glows", "clay kiln 1931"]))
def test_what_is_returned_and_joined_is_within_the_budget(adapter, passages, budget, fill, query):
    found = adapter(passages, query, budget, {"fill": fill})
    assert count("\n\n".join(found)) <= budget
