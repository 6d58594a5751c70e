"""A tool that lets LlamaIndex agents search for evidence.

from llama_index.tools.fgr import evidence_tool

tool = evidence_tool(retriever)
agent = FunctionAgent(tools=[tool], llm=llm)
"""

from fgr_retriever.errors import MissingExtraError

try:
    from llama_index.tools.fgr.base import EvidenceTool, evidence_tool
    from llama_index.tools.fgr.sources import numbered_sources
except ModuleNotFoundError as error:
    if not (error.name or "").startswith("llama_index.core"):
        raise
    raise MissingExtraError("llama_index.tools.fgr", "llama-index") from error

__all__ = ["EvidenceTool", "evidence_tool", "numbered_sources"]
