"""The evidence tool inside LangChain: its own contract, and a LangGraph agent with a scripted model."""

import asyncio
import json
from collections.abc import Callable

import pytest

pytest.importorskip("langchain_tests")
pytest.importorskip("langchain.agents")

from langchain.agents import create_agent
from langchain_core.documents import Document
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.utils.function_calling import convert_to_openai_tool
from langchain_tests.integration_tests import ToolsIntegrationTests
from langchain_tests.unit_tests import ToolsUnitTests
from langchain_text_splitters import MarkdownHeaderTextSplitter
from langgraph.checkpoint.memory import InMemorySaver

from fgr_retriever import Engine, TrimConfig, verify_citations
from fgr_retriever.errors import ConfigError, InputError
from fgr_retriever.testing import WordEncoder
from fgr_retriever.trim.budget import token_counter
from langchain_fgr import FGRRetriever, FGRVectorStore, evidence_tool


def search(query: str, id: str = "1") -> AIMessage:
    return AIMessage("", tool_calls=[{"name": "search_evidence", "args": {"query": query}, "id": id}])


class ScriptedModel(BaseChatModel):
    """Answers by a function of what was said so far."""

    script: Callable[[list[BaseMessage]], AIMessage]

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools, **kwargs):
        return self

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        return ChatResult(generations=[ChatGeneration(message=self.script(messages))])


@pytest.fixture
def tool(engine, counter):
    return evidence_tool(FGRRetriever(engine=engine, k=2, count_tokens=counter))


def call(tool, query: str) -> ToolMessage:
    return tool.invoke({"name": tool.name, "args": {"query": query}, "id": "1", "type": "tool_call"})


class ToolUnderTest:
    @pytest.fixture(autouse=True)
    def _make(self, engine, counter):
        self.made = evidence_tool(FGRRetriever(engine=engine, k=2, count_tokens=counter))

    @property
    def tool_constructor(self):
        return self.made

    @property
    def tool_invoke_params_example(self):
        return {"query": "who found radium"}


class TestUnit(ToolUnderTest, ToolsUnitTests):
    """LangChain's own contract for tools."""


class TestIntegration(ToolUnderTest, ToolsIntegrationTests):
    """LangChain's own contract for calls of tools."""


def test_the_model_reads_numbered_evidence_and_the_artifact_has_its_place(tool, texts):
    message = call(tool, "found radium")
    assert message.status == "success"
    assert message.content.startswith("[1] curie\n> Marie Curie found radium in 1898.\n\n[2] fleming\n> ")
    assert "Note:" not in message.content
    span = message.artifact["sources"][0]["spans"][0]
    assert texts["curie"][span["start"] : span["end"]] == span["text"] == "Marie Curie found radium in 1898."
    assert span["source_start"] == span["start"] + 1000
    assert json.loads(json.dumps(message.artifact, allow_nan=False)) == message.artifact


def test_ids_that_only_machines_read_cost_the_model_no_tokens(texts):
    """As LangChain's loaders and splitters give documents, without ids, or a vector store with UUIDs."""
    words, budget = "found radium", TrimConfig(max_tokens=60)
    for id in (None, "0b9f5f6e-3c1d-4a7e-9b2a-5d1c8e7f6a90"):
        documents = [Document(texts["curie"], id=id), Document(texts["fleming"], metadata={"source": "f/fleming.txt"})]
        made = FGRRetriever.from_documents(documents, encoder=WordEncoder(), k=2, trim=budget)
        message = call(evidence_tool(made), words)
        assert message.content.startswith("[1]\n> Marie Curie found radium in 1898.\n\n[2] fleming.txt\n> ")
        first, *_ = message.artifact["sources"]
        (stored,) = [one for one in made.engine.ids() if one == first["passages"][0]["id"]]
        assert (first["title"], first["spans"][0]["passage"]) == ("", stored)
        count = token_counter(budget.tokenizer)
        named = message.content.replace("[1]\n", f"[1] {stored}\n")
        assert count(message.content) + 15 <= count(named)
        assert message.artifact["report"]["tokens_after"] < count(named)
        (cited,) = verify_citations("Marie Curie found radium in 1898 [1].", message.artifact, encoder=WordEncoder())
        assert (cited.supported, cited.spans[0]["passage"]) == (True, stored)


PLANS = "# Gold plans\n\n## Silver\n\nThe fee is 65 EUR.\n\n## Platinum\n\nThe response time is 2 hours.\n"


def test_pieces_of_langchains_splitter_have_the_file_and_the_headings_as_title():
    pieces = MarkdownHeaderTextSplitter([("#", "Header 1"), ("##", "Header 2")]).split_text(PLANS)
    for piece in pieces:
        piece.metadata["source"] = "docs/plans.md"
    message = call(evidence_tool(FGRRetriever.from_documents(pieces, encoder=WordEncoder(), k=1)), "response time")
    assert message.content.startswith("[1] plans.md > Gold plans > Platinum\n> ")
    (cited,) = verify_citations("Platinum has a response time of 2 hours [1].", message.artifact, encoder=WordEncoder())
    assert cited.supported


def test_the_last_line_names_what_nothing_supports(tool):
    message = call(tool, "who found radium by zeppelin")
    assert message.content.splitlines()[-1].startswith('Note: nothing above supports "zeppelin". Search again')
    assert message.artifact["uncovered"] == ["zeppelin"]
    assert message.artifact["weak"] is False


def test_weak_evidence_is_called_so(tool):
    message = call(tool, "zeppelin")
    assert message.content.splitlines()[-1].startswith("Note: the evidence is weak")
    assert message.artifact["weak"] is True
    assert message.artifact["note"] == message.content.splitlines()[-1]


def test_an_empty_library_says_that_nothing_was_found(tmp_path, counter):
    engine = Engine.open(tmp_path / "empty", encoder=WordEncoder())
    message = call(evidence_tool(FGRRetriever(engine=engine, count_tokens=counter)), "radium")
    assert message.content.startswith("Note: there is nothing to show: no passage was found. Search again")
    assert message.artifact["sources"] == []


def test_a_filter_that_lets_nothing_through_is_not_for_the_model_to_mend(engine, counter):
    retriever = FGRRetriever(engine=engine, count_tokens=counter)
    message = call(evidence_tool(retriever, filter={"sorce": "x"}), "radium")
    assert message.content == (
        "Note: there is nothing to show: the filter lets nothing through: no passage has the metadata 'sorce'. "
        "Say that whoever set up this tool must correct its filter."
    )
    assert message.artifact["note"] == message.content


def test_sources_without_evidence_can_be_left_out(engine, counter):
    retriever = FGRRetriever(engine=engine, trim=TrimConfig(on_empty="drop"), count_tokens=counter)
    message = call(evidence_tool(retriever), "radium")
    assert [source["title"] for source in message.artifact["sources"]] == ["curie"]
    message = call(evidence_tool(retriever), "zeppelin")
    assert message.content.startswith("Note: there is nothing to show: no evidence reaches the threshold")
    assert message.artifact["weak"] is True


def test_the_budget_holds_for_the_evidence(engine, counter):
    retriever = FGRRetriever(engine=engine, count_tokens=counter)
    message = call(evidence_tool(retriever, trim=TrimConfig(max_tokens=9)), "found radium")
    assert message.content == "[1] curie\n> Marie Curie found radium in 1898."
    assert counter(message.content) == 9
    assert message.artifact["report"]["tokens_after"] == 9


def test_a_budget_without_room_is_told_with_the_one_that_it_takes(engine, counter):
    retriever = FGRRetriever(engine=engine, count_tokens=counter, k=2)
    message = call(evidence_tool(retriever, trim=TrimConfig(max_tokens=2)), "found radium")
    needed = message.artifact["report"]["needed"]
    assert message.content == (
        "Note: the budget of this tool (max_tokens) is too small to show any of the evidence that was found: it must "
        f"be at least {needed}. Say that whoever set up this tool must raise max_tokens."
    )
    assert message.artifact["weak"] is False
    held = call(evidence_tool(retriever, trim=TrimConfig(max_tokens=needed)), "found radium")
    assert held.artifact["sources"]
    weak = call(evidence_tool(retriever, trim=TrimConfig(max_tokens=2)), "zeppelin")
    assert "max_tokens" in weak.content
    assert "the evidence is weak" in weak.content


def test_what_only_the_budget_left_out_is_not_called_unsupported(engine, counter):
    retriever = FGRRetriever(engine=engine, count_tokens=counter, k=2)
    tight = evidence_tool(retriever, trim=TrimConfig(max_tokens=9))
    message = call(tight, "radium and dynamite by zeppelin")
    *_, note = message.content.splitlines()
    assert 'nothing above supports "zeppelin"; the budget' in note
    assert '(max_tokens) left out what was found about "radium". Search again in other words' in note
    assert note.endswith("Search for what was left out alone, in a narrower question.")
    note = call(tight, "radium and dynamite").content.splitlines()[-1]
    assert 'left out what was found about "radium"' in note
    assert "in other words" not in note
    assert "radium" in call(tight, "radium").content.splitlines()[1]


def test_settings_come_from_the_retriever_unless_given(engine, counter):
    trim = TrimConfig(max_tokens=50, citation="({number}) ")
    retriever = FGRRetriever(engine=engine, k=1, filter={"year": 1928}, trim=trim, count_tokens=counter)
    content = call(evidence_tool(retriever), "found radium").content
    assert content.startswith("(1) ")
    assert "penicillin" in content
    assert "(2)" not in content
    assert len(call(evidence_tool(engine, k=3), "found radium").artifact["sources"]) == 3


@pytest.mark.parametrize("query", ["", " \n"])
def test_a_blank_query_comes_back_as_a_message(tool, query):
    message = call(tool, query)
    assert message.status == "error"
    assert "must be a string that is not blank" in message.content
    again = asyncio.run(tool.ainvoke({"name": tool.name, "args": {"query": query}, "id": "1", "type": "tool_call"}))
    assert again == message


def test_wrong_arguments_come_back_as_a_message(tool):
    message = tool.invoke({"name": tool.name, "args": {"question": "radium"}, "id": "1", "type": "tool_call"})
    assert message.status == "error"
    assert message.content.startswith("Wrong arguments: query: Field required.")


def test_wrong_settings_fail_when_the_tool_is_made(engine):
    with pytest.raises(ConfigError, match=r"must have \{number\}"):
        evidence_tool(engine, trim=TrimConfig(citation="- "))
    with pytest.raises(ConfigError, match="k=0"):
        evidence_tool(engine, k=0)
    with pytest.raises(InputError, match="got str"):
        evidence_tool("my.index")


def test_what_the_model_is_told(engine):
    tool = evidence_tool(engine, name="search_letters", description="Letters.")
    assert convert_to_openai_tool(tool)["function"] == {
        "name": "search_letters",
        "description": "Letters.",
        "parameters": {
            "type": "object",
            "properties": {
                "query": {"type": "string", "description": "One self-contained question or topic, in plain words."}
            },
            "required": ["query"],
        },
    }


def search_until_strong(messages: list[BaseMessage]) -> AIMessage:
    """Err once, search badly once, search well, answer."""
    results = [message for message in messages if isinstance(message, ToolMessage)]
    if not results:
        return search(" ", "blank")
    if results[-1].status == "error":
        return search("zeppelin", "weak")
    if "Note:" in results[-1].content:
        return search("found radium", "strong")
    return AIMessage("Marie Curie found radium in 1898 [1]. Fleming found radium [2], too [7].")


async def test_an_agent_recovers_searches_again_and_is_checked(tool):
    agent = create_agent(ScriptedModel(script=search_until_strong), [tool], checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "1"}}
    await agent.ainvoke({"messages": [("user", "Who found radium?")]}, config)
    messages = (await agent.aget_state(config)).values["messages"]  # what went through the checkpoint
    results = [message for message in messages if isinstance(message, ToolMessage)]
    assert [message.status for message in results] == ["error", "success", "success"]
    assert [message.artifact["weak"] for message in results[1:]] == [True, False]
    checked = verify_citations(messages[-1].content, results[-1].artifact, encoder=WordEncoder())
    assert [(citation.number, citation.supported) for citation in checked] == [(1, True), (2, None), (7, False)]
    assert checked[0].spans[0]["source_start"] == 1000


def test_an_agent_runs_without_an_event_loop(tool):
    agent = create_agent(ScriptedModel(script=search_until_strong), [tool])
    messages = agent.invoke({"messages": [("user", "Who found radium?")]})["messages"]
    assert messages[-1].content.startswith("Marie Curie")


async def test_searches_of_several_calls_run_side_by_side(tool):
    def script(messages):
        if isinstance(messages[-1], ToolMessage):
            return AIMessage("done")
        calls = [search(query, str(i)).tool_calls[0] for i, query in enumerate(["radium", "dynamite", "penicillin"])]
        return AIMessage("", tool_calls=calls)

    found = await create_agent(ScriptedModel(script=script), [tool]).ainvoke({"messages": [("user", "Who?")]})
    first = [message.artifact["sources"][0]["title"] for message in found["messages"] if message.type == "tool"]
    assert first == ["curie", "nobel", "fleming"]


def test_a_budget_is_counted_by_the_function_that_is_given(engine, counter):
    retriever = FGRRetriever(engine=engine, k=2, count_tokens=counter)
    trim = TrimConfig(max_tokens=8)
    for source in (engine, retriever):
        found = evidence_tool(source, trim=trim, count_tokens=lambda text: 9 * counter(text))
        assert call(found, "found radium").content.startswith("Note:")  # nothing fits
        free = evidence_tool(source, trim=trim, count_tokens=lambda text: 0)
        assert call(free, "found radium").content.startswith("[1]")  # all fits, as by no real tokenizer


def test_a_question_with_half_a_character_is_an_error_that_the_model_reads(tool):
    found = call(tool, "radium \ud83d")
    assert found.status == "error"
    assert "lone surrogate" in found.content


def test_a_setting_of_the_trim_is_named_as_one(engine):
    with pytest.raises(InputError, match=r"takes no 'max_tokens': .*trim=TrimConfig\(max_tokens=\.\.\.\)"):
        evidence_tool(engine, max_tokens=50)


def test_a_vector_store_will_do(engine, counter):
    made = evidence_tool(FGRVectorStore(engine), k=2, count_tokens=counter)
    other = evidence_tool(engine, k=2, count_tokens=counter)
    assert call(made, "found radium").content == call(other, "found radium").content


def test_an_answer_from_several_searches_is_checked(engine, counter):
    asked = [search("found radium", "1"), search("found penicillin", "2")]
    asked[0].tool_calls.extend(search("radium", "3").tool_calls)  # two at once
    answer = AIMessage("Marie Curie found radium in 1898 [1]. Marie Curie found radium in 1899 [1].")
    agent = create_agent(
        ScriptedModel(script=lambda said: [*asked, answer][sum(one.type == "ai" for one in said)]),
        [evidence_tool(engine, k=2, count_tokens=counter, start=1)],
    )
    said = agent.invoke({"messages": [("user", "Who found what?")]})["messages"]
    artifacts = [one.artifact for one in said if isinstance(one, ToolMessage) and one.artifact]
    numbers = [source["number"] for one in artifacts for source in one["sources"]]
    assert len(artifacts) == 3
    assert len(set(numbers)) == len(numbers)
    (radium,) = {one["number"] for one in artifacts[0]["sources"] if one["title"] == "curie"}
    text = said[-1].text.replace("[1]", f"[{radium}]")
    assert [one.supported for one in verify_citations(text, artifacts, encoder=engine)] == [True, False]
