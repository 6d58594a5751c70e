"""What the adapters of LangChain say of wrong input."""

import pytest
from langchain_core.documents import Document

from fgr_retriever.errors import ConfigError, InputError
from fgr_retriever.testing import WordEncoder
from langchain_fgr import FGRCompressor, FGRRetriever, evidence_tool

DOCUMENTS = [Document("Marie Curie found radium.")]


@pytest.mark.parametrize(
    ("documents", "query", "told"),
    [
        (["radium"], "radium", r"Document\(page_content"),
        ("radium", DOCUMENTS, "the documents come first"),
        (DOCUMENTS[0], "radium", "put one document into a list"),
    ],
)
async def test_documents_must_be_documents(documents, query, told):
    compressor = FGRCompressor(encoder=WordEncoder())
    with pytest.raises(InputError, match=told):
        compressor.compress_documents(documents, query)
    with pytest.raises(InputError, match=told):
        await compressor.acompress_documents(documents, query)


@pytest.mark.parametrize("given", [{"docs": DOCUMENTS, "query": "radium"}, "radium"])
async def test_the_runnable_names_its_keys(given):
    runnable = FGRCompressor(encoder=WordEncoder()).as_runnable()
    with pytest.raises(InputError, match=r'"documents": .*"query"'):
        runnable.invoke(given)
    with pytest.raises(InputError, match=r'"documents": .*"query"'):
        await runnable.ainvoke(given)


@pytest.mark.parametrize("field", [{"top_n": 0}, {"top_n": "1"}, {"max_tokens": "10"}])
def test_numbers_are_checked_at_once(field):
    with pytest.raises(ConfigError, match=next(iter(field))):
        FGRCompressor(encoder=WordEncoder(), **field)


def test_one_document_goes_into_a_list():
    with pytest.raises(InputError, match="put it into a list"):
        FGRRetriever.from_documents(DOCUMENTS[0], encoder=WordEncoder())


def test_a_tool_for_a_path_names_what_opens_it():
    with pytest.raises(InputError, match=r"Engine\.open"):
        evidence_tool("my.index")
