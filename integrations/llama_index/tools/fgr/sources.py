"""The nodes of a response as numbered sources."""

from __future__ import annotations

import re
from collections.abc import Iterable

from llama_index.core.schema import BaseNode, NodeWithScore

from fgr_retriever import Passage
from fgr_retriever.agents.evidence import NumberedSources
from fgr_retriever.agents.results import numbered
from llama_index.postprocessor.fgr.nodes import to_passage
from llama_index.retrievers.fgr.given import given_nodes

_AS_CITED = re.compile(r"Source [0-9]+:\n(.*)\n", re.DOTALL)  # what `CitationQueryEngine` makes of a text


def numbered_sources(nodes: Iterable[NodeWithScore | BaseNode]) -> NumberedSources:
    """Number the nodes of a response, so that `verify_citations` can check an answer that was made of them.

    The first node is source 1. `CitationQueryEngine` numbers them so in its prompt, too; a prompt of your own must.

    Args:
        nodes: `response.source_nodes`, or what a retriever or postprocessor returned. The spans of a node are those
            in its metadata. If it has none, or its text was cut since, its text is one span, a range of itself.

    Raises:
        InputError: One is no node.
    """
    listed = given_nodes([one.node if isinstance(one, NodeWithScore) else one for one in nodes])
    return numbered(map(_passage, listed))


def _passage(node: BaseNode) -> Passage:
    """Make the passage of a node, without what `CitationQueryEngine` writes around its text."""
    passage = to_passage(node)
    cited = _AS_CITED.fullmatch(passage.text)
    return Passage(passage.id, cited[1], passage.metadata) if cited else passage
