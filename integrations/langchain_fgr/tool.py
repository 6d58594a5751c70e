"""A LangChain tool that lets an agent search for evidence."""

from __future__ import annotations

from collections.abc import Mapping
from types import EllipsisType
from typing import TYPE_CHECKING, Annotated, Any

from langchain_core.tools import StructuredTool, ToolException
from pydantic import BaseModel, Field, ValidationError

from fgr_retriever import TrimConfig
from fgr_retriever.adapters import trim_config, with_limit_of
from fgr_retriever.adapters.names import takes
from fgr_retriever.agents.evidence import Evidence
from fgr_retriever.agents.evidence_search import DESCRIPTION, NAME, QUERY, EvidenceSearch
from fgr_retriever.errors import InputError
from langchain_fgr.retriever import FGRRetriever
from langchain_fgr.vector_store import FGRVectorStore

if TYPE_CHECKING:
    from fgr_retriever import Engine
    from fgr_retriever.trim.budget import TokenCounter


class _Arguments(BaseModel):
    """What the model gives."""

    query: Annotated[str, Field(description=QUERY)]


@takes()
def evidence_tool(
    source: Engine | FGRRetriever | FGRVectorStore,
    *,
    k: int | None = None,
    filter: dict[str, Any] | EllipsisType | None = ...,
    trim: TrimConfig | Mapping[str, Any] | None = None,
    count_tokens: TokenCounter | None = None,
    start: int | None = None,
    name: str = NAME,
    description: str = DESCRIPTION,
) -> StructuredTool:
    """Make a tool that searches for evidence, for any agent that calls tools.

    The model reads numbered sources, each trimmed to its evidence, within the budget of `trim`. A last
    line follows if the evidence is weak or if words of the question are not supported. The artifact of
    the tool message is `fgr_retriever.agents.evidence.Evidence`: the same in JSON-safe values with
    offsets, which `fgr_retriever.verify_citations` takes. A blank query or wrong arguments come back
    as a message with `status="error"`; any other error is raised.

    Args:
        source: The open index, a vector store, or a retriever whose index, filter and settings are used.
        k: How many passages to find at most; None uses the retriever's number, or 5.
        filter: Which documents count, by their metadata: `{"year": {"$gte": 1900}}`. None means no filter;
            left out, it is that of the retriever, if any.
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
    search = _search(source, k, filter, trim_config(trim), count_tokens, start)

    def run(query: str) -> tuple[str, Evidence]:
        try:
            return search.search(query)
        except InputError as error:
            raise ToolException(str(error)) from error

    async def arun(query: str) -> tuple[str, Evidence]:
        try:
            return await search.asearch(query)
        except InputError as error:
            raise ToolException(str(error)) from error

    return StructuredTool.from_function(
        run,
        arun,
        name=name,
        description=description,
        args_schema=_Arguments,
        response_format="content_and_artifact",
        handle_tool_error=True,
        handle_validation_error=_explain,
    )


def _search(
    source: Engine | FGRRetriever | FGRVectorStore,
    k: int | None,
    filter: dict[str, Any] | EllipsisType | None,
    trim: TrimConfig | None,
    count_tokens: TokenCounter | None,
    start: int | None,
) -> EvidenceSearch:
    """Take from a retriever what was not given."""
    if isinstance(source, FGRRetriever):
        k = source.k if k is None else k
        filter = source.filter if filter is ... else filter
        trim, count_tokens = with_limit_of(trim, source.trim), count_tokens or source.count_tokens
    engine = source.engine if isinstance(source, (FGRRetriever, FGRVectorStore)) else source
    k, filter = 5 if k is None else k, None if filter is ... else filter
    return EvidenceSearch.of(engine, k=k, trim=trim, filter=filter, count_tokens=count_tokens, start=start)


def _explain(error: ValidationError) -> str:
    """Tell the model which arguments were wrong."""
    wrong = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
    return f"Wrong arguments: {wrong}. Call the tool with a query, a string that is not blank."
