"""A LlamaIndex tool that lets an agent search for evidence."""

from __future__ import annotations

from collections.abc import Mapping
from types import EllipsisType
from typing import TYPE_CHECKING, Any

from llama_index.core.bridge.pydantic import BaseModel, Field
from llama_index.core.tools import AsyncBaseTool, ToolMetadata, ToolOutput
from llama_index.core.vector_stores.types import MetadataFilters

from fgr_retriever import TrimConfig
from fgr_retriever.adapters import trim_config, with_limit_of
from fgr_retriever.adapters.names import takes
from fgr_retriever.agents.evidence import Evidence
from fgr_retriever.agents.evidence_search import DESCRIPTION, NAME, QUERY, EvidenceSearch
from fgr_retriever.errors import InputError
from llama_index.retrievers.fgr import FGRRetriever
from llama_index.retrievers.fgr.filters import to_filter
from llama_index.vector_stores.fgr import FGRVectorStore

if TYPE_CHECKING:
    from fgr_retriever import Engine
    from fgr_retriever.trim.budget import TokenCounter


class _Arguments(BaseModel):
    """What the model gives."""

    query: str = Field(description=QUERY)


class EvidenceTool(AsyncBaseTool):
    """Searches for evidence. Make one with `evidence_tool`.

    The content of its `ToolOutput` is the text for the model: numbered sources, each trimmed to its
    evidence, within the budget. A last line follows if the evidence is weak or if words of the question
    are not supported. `raw_output` is `fgr_retriever.agents.evidence.Evidence`: the same in JSON-safe
    values with offsets, which `fgr_retriever.verify_citations` takes. A blank query comes back as an
    output with `is_error`; any other error is raised.

    Args:
        search: The search with its settings.
        metadata: Name, description and arguments, as the model sees them.
    """

    def __init__(self, search: EvidenceSearch, metadata: ToolMetadata) -> None:
        """Keep search and metadata."""
        self._search = search
        self._metadata = metadata

    @property
    def metadata(self) -> ToolMetadata:
        """Name, description and arguments, as the model sees them."""
        return self._metadata

    def call(self, query: str) -> ToolOutput:
        """Search for evidence.

        Args:
            query: The question, not blank.
        """
        try:
            return self._output(query, *self._search.search(query))
        except InputError as error:
            return self._refusal(query, error)

    async def acall(self, query: str) -> ToolOutput:
        """Search without blocking the event loop; see `call`."""
        try:
            return self._output(query, *await self._search.asearch(query))
        except InputError as error:
            return self._refusal(query, error)

    def _output(self, query: str, content: str, evidence: Evidence) -> ToolOutput:
        return ToolOutput(
            tool_name=self.metadata.get_name(), content=content, raw_input={"query": query}, raw_output=evidence
        )

    def _refusal(self, query: str, error: InputError) -> ToolOutput:
        """Tell the model what was wrong with its query."""
        return ToolOutput(
            tool_name=self.metadata.get_name(),
            content=str(error),
            raw_input={"query": query},
            raw_output=str(error),
            is_error=True,
        )


@takes()
def evidence_tool(
    source: Engine | FGRRetriever | FGRVectorStore,
    *,
    k: int | None = None,
    filters: MetadataFilters | EllipsisType | None = ...,
    trim: TrimConfig | Mapping[str, Any] | None = None,
    count_tokens: TokenCounter | None = None,
    start: int | None = None,
    name: str = NAME,
    description: str = DESCRIPTION,
) -> EvidenceTool:
    """Make a tool that searches for evidence, for any agent that calls tools.

    Args:
        source: The open index, a vector store, or a retriever whose index, filters and settings are used.
        k: How many passages to find at most; None uses the retriever's number, or 5.
        filters: Conditions on the metadata of the nodes. None means no filter; left out, they are those of
            the retriever, if any.
        trim: How passages are trimmed, a `TrimConfig` or a dict of its fields; None uses the retriever's
            settings, if any. Without a limit it gets the retriever's, or else 1,000 tokens. The last line is not
            counted in the budget.
        count_tokens: Function that counts the tokens of the budget; None uses the retriever's, or else
            the tokenizer of `trim`.
        start: Number of the first source of the first call. Each further call goes on counting, so that a
            number stands for one source in a whole conversation: make a tool for each. With None, each call
            counts from 1.
        name: Name of the tool for the model.
        description: Description of the tool for the model.

    Raises:
        InputError: `source` is no index, vector store or retriever, or there is no such argument.
        ConfigError: `k` or `start` is below 1, `count_tokens` is no function, or the citation mark of `trim` has no
            `{number}`.
        TokenCounterError: The tokenizer of the budget is not available.
    """
    metadata = ToolMetadata(description=description, name=name, fn_schema=_Arguments)
    return EvidenceTool(_search(source, k, filters, trim_config(trim), count_tokens, start), metadata)


def _search(
    source: Engine | FGRRetriever | FGRVectorStore,
    k: int | None,
    filters: MetadataFilters | EllipsisType | None,
    trim: TrimConfig | None,
    count_tokens: TokenCounter | None,
    start: int | None,
) -> EvidenceSearch:
    """Take from a retriever what was not given."""
    if isinstance(source, FGRRetriever):
        k = source.similarity_top_k if k is None else k
        filters = source.filters if filters is ... else filters
        trim, count_tokens = with_limit_of(trim, source.trim), count_tokens or source.count_tokens
    engine = source.engine if isinstance(source, (FGRRetriever, FGRVectorStore)) else source
    k, filter = 5 if k is None else k, None if filters is ... else to_filter(filters)
    return EvidenceSearch.of(engine, k=k, trim=trim, filter=filter, count_tokens=count_tokens, start=start)
