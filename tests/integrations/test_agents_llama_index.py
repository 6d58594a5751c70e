"""The evidence tool inside LlamaIndex: on its own, and in agent workflows with a scripted LLM."""

import json
from collections.abc import Callable

import pytest

pytest.importorskip("llama_index.core")

from llama_index.core.agent.workflow import AgentWorkflow, FunctionAgent, ReActAgent, ToolCallResult
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, CompletionResponse, LLMMetadata, MessageRole
from llama_index.core.llms import MockLLM
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.llm import ToolSelection
from llama_index.core.node_parser import MarkdownNodeParser
from llama_index.core.schema import Document
from llama_index.core.tools import AsyncBaseTool, ToolOutput
from llama_index.core.tools.calling import acall_tool, call_tool
from llama_index.core.vector_stores.types import MetadataFilter, MetadataFilters
from pydantic import PrivateAttr

from fgr_retriever import TrimConfig, verify_citations
from fgr_retriever.errors import ConfigError, InputError
from fgr_retriever.testing import WordEncoder
from llama_index.retrievers.fgr import FGRRetriever
from llama_index.tools.fgr import EvidenceTool, evidence_tool
from llama_index.vector_stores.fgr import FGRVectorStore


@pytest.fixture
def tool(engine, counter):
    return evidence_tool(FGRRetriever(engine, similarity_top_k=2, count_tokens=counter))


def test_nodes_of_the_markdown_parser_have_the_file_and_the_headings_as_title(counter):
    text = "# Gold plans\n\n## Silver\n\nThe fee is 65 EUR.\n\n## Platinum\n\nThe response time is 2 hours.\n"
    document = Document(text=text, metadata={"file_name": "plans.md"})
    nodes = MarkdownNodeParser().get_nodes_from_documents([document])
    made = FGRRetriever.from_nodes(nodes, encoder=WordEncoder(), similarity_top_k=1, count_tokens=counter)
    found = evidence_tool(made).call(query="response time")
    assert found.raw_output["sources"][0]["title"] == "plans.md > Gold plans > Platinum"


async def one_piece(answer):
    """Stream in one piece: the agents of llama-index-core 0.13 always stream."""
    yield answer


class ScriptedLLM(FunctionCallingLLM):
    """Answers by a function of what was said so far: the query of a search, or the last answer in a list."""

    _script: Callable[[list[ChatMessage]], str | list[str]] = PrivateAttr()

    def __init__(self, script):
        super().__init__()
        self._script = script

    @property
    def metadata(self):
        return LLMMetadata(is_function_calling_model=True, is_chat_model=True)

    def _prepare_chat_with_tools(self, tools, user_msg=None, chat_history=None, **kwargs):
        return {"messages": [*(chat_history or []), *([user_msg] if user_msg else [])]}

    def get_tool_calls_from_response(self, response, error_on_no_tool_call=False, **kwargs):
        return response.message.additional_kwargs.get("tool_calls", [])

    def chat(self, messages, **kwargs):
        said = self._script(list(messages))
        if isinstance(said, list):
            return ChatResponse(message=ChatMessage(said[0], role=MessageRole.ASSISTANT))
        place = str(len(messages))
        calls = [ToolSelection(tool_id=place, tool_name="search_evidence", tool_kwargs={"query": said})]
        message = ChatMessage("", role=MessageRole.ASSISTANT, additional_kwargs={"tool_calls": calls})
        return ChatResponse(message=message)

    async def achat(self, messages, **kwargs):
        return self.chat(messages, **kwargs)

    def complete(self, prompt, formatted=False, **kwargs):
        return CompletionResponse(text=prompt)

    async def acomplete(self, prompt, formatted=False, **kwargs):
        return CompletionResponse(text=prompt)

    def stream_chat(self, messages, **kwargs):
        yield self.chat(messages)

    def stream_complete(self, prompt, formatted=False, **kwargs):
        raise NotImplementedError

    async def astream_chat(self, messages, **kwargs):
        return one_piece(self.chat(messages))

    async def astream_complete(self, prompt, formatted=False, **kwargs):
        raise NotImplementedError


ANSWER = "Marie Curie found radium in 1898 [1]. Fleming found radium [2], too [7]."


def search_until_strong(messages: list[ChatMessage]) -> str | list[str]:
    """Err once, search badly once, search well, answer."""
    results = [message.content for message in messages if message.role == MessageRole.TOOL]
    if not results:
        return " "
    if "not blank" in results[-1]:
        return "zeppelin"
    return "found radium" if "Note:" in results[-1] else [ANSWER]


async def run(agent, **options) -> tuple[str, list[ToolCallResult]]:
    handler = agent.run("Who found radium?", **options)
    results = [event async for event in handler.stream_events() if isinstance(event, ToolCallResult)]
    return str(await handler), results


def test_it_is_a_tool_with_a_name_and_one_argument(tool):
    assert isinstance(tool, EvidenceTool)
    assert isinstance(tool, AsyncBaseTool)
    assert tool.metadata.name == "search_evidence"
    assert tool.metadata.get_parameters_dict()["required"] == ["query"]
    assert "Note:" in tool.metadata.description


async def test_content_is_for_the_model_and_raw_output_for_the_program(tool, texts):
    found = tool(query="found radium")
    assert not found.is_error
    assert found.tool_name == "search_evidence"
    assert found.raw_input == {"query": "found radium"}
    assert found.content.startswith("[1] curie\n> Marie Curie found radium in 1898.\n\n[2] fleming\n> ")
    span = found.raw_output["sources"][0]["spans"][0]
    assert texts["curie"][span["start"] : span["end"]] == span["text"]
    assert span["source_start"] == span["start"] + 1000
    assert json.loads(json.dumps(found.raw_output, allow_nan=False)) == found.raw_output
    again = await tool.acall("found radium")
    assert again.content == found.content


def test_the_signal_to_search_again_is_in_both(tool):
    found = tool(query="zeppelin")
    assert found.content.splitlines()[-1] == found.raw_output["note"]
    assert found.raw_output["note"].startswith("Note: the evidence is weak")
    assert (found.raw_output["weak"], found.raw_output["uncovered"]) == (True, ["zeppelin"])


async def test_a_blank_query_is_an_error_that_the_model_reads(tool):
    for found in (tool(query=" "), await tool.acall(query=" "), call_tool(tool, {"query": " "})):
        assert found.is_error
        assert "must be a string that is not blank" in found.content
    assert (await acall_tool(tool, {"query": "radium"})).content == tool("radium").content


def test_settings_come_from_the_retriever_unless_given(engine, counter):
    filters = MetadataFilters(filters=[MetadataFilter(key="year", value=1928)])
    retriever = FGRRetriever(engine, similarity_top_k=1, filters=filters, count_tokens=counter)
    (source,) = evidence_tool(retriever)("found radium").raw_output["sources"]
    assert source["title"] == "fleming"
    assert len(evidence_tool(engine, k=3)("found radium").raw_output["sources"]) == 3
    short = evidence_tool(FGRRetriever(engine, count_tokens=counter), trim=TrimConfig(max_tokens=9))("found radium")
    assert short.content == "[1] curie\n> Marie Curie found radium in 1898."


def test_wrong_settings_fail_when_the_tool_is_made(engine):
    with pytest.raises(ConfigError, match=r"must have \{number\}"):
        evidence_tool(engine, trim=TrimConfig(citation="- "))
    with pytest.raises(InputError, match="got str"):
        evidence_tool("my.index")


async def test_a_function_agent_recovers_searches_again_and_is_checked(tool):
    agent = FunctionAgent(tools=[tool], llm=ScriptedLLM(search_until_strong), streaming=False)
    answer, results = await run(agent)
    assert answer == ANSWER
    assert [result.tool_output.is_error for result in results] == [True, False, False]
    assert [result.tool_output.raw_output["weak"] for result in results[1:]] == [True, False]
    checked = verify_citations(answer, results[-1].tool_output.raw_output, encoder=WordEncoder())
    assert [(citation.number, citation.supported) for citation in checked] == [(1, True), (2, None), (7, False)]


async def test_an_agent_workflow_runs_and_its_tool_outputs_can_be_saved(tool):
    agent = FunctionAgent(tools=[tool], llm=ScriptedLLM(search_until_strong), streaming=False)
    answer, results = await run(AgentWorkflow(agents=[agent], root_agent=agent.name))
    assert answer == ANSWER
    saved = ToolOutput.model_validate_json(results[-1].tool_output.model_dump_json())
    assert saved.raw_output == results[-1].tool_output.raw_output


async def test_a_react_agent_runs(tool):
    class ReActLLM(MockLLM):
        async def achat(self, messages, **kwargs):
            observed = [message.content for message in messages if "Observation:" in (message.content or "")]
            said = "Thought: I need a tool.\nAction: search_evidence\nAction Input: {'query': 'found radium'}"
            if any("[1] curie" in text for text in observed):
                said = "Thought: I can answer without using any more tools.\nAnswer: Marie Curie [1]."
            return ChatResponse(message=ChatMessage(said, role=MessageRole.ASSISTANT))

        async def astream_chat(self, messages, **kwargs):
            return one_piece(await self.achat(messages))

    answer, results = await run(ReActAgent(tools=[tool], llm=ReActLLM(), streaming=False))
    assert answer == "Marie Curie [1]."
    assert len(results) == 1


def test_a_budget_is_counted_by_the_function_that_is_given(engine, counter):
    retriever = FGRRetriever(engine, similarity_top_k=2, count_tokens=counter)
    trim = TrimConfig(max_tokens=8)
    for source in (engine, retriever):
        found = evidence_tool(source, trim=trim, count_tokens=lambda text: 9 * counter(text))
        assert found("found radium").content.startswith("Note:")  # nothing fits
        free = evidence_tool(source, trim=trim, count_tokens=lambda text: 0)
        assert free("found radium").content.startswith("[1]")  # all fits, as by no real tokenizer


def test_a_question_with_half_a_character_is_an_error_that_the_model_reads(tool):
    found = tool("radium \ud83d")
    assert found.is_error
    assert "lone surrogate" in found.content


def test_a_setting_of_the_trim_is_named_as_one(engine):
    with pytest.raises(InputError, match=r"takes no 'max_tokens': .*trim=TrimConfig\(max_tokens=\.\.\.\)"):
        evidence_tool(engine, max_tokens=50)


def test_a_vector_store_will_do_and_numbers_go_on(engine, counter):
    made = evidence_tool(FGRVectorStore(engine=engine), k=2, count_tokens=counter, start=3)
    first, second = (made(query=query).raw_output for query in ("found radium", "found penicillin"))
    assert [source["number"] for one in (first, second) for source in one["sources"]] == [3, 4, 5, 6]
    answer = "Marie Curie found radium in 1898 [3]."
    assert [one.supported for one in verify_citations(answer, [first, second], encoder=engine)] == [True]
