"""Evidence trimming for LlamaIndex: cuts the nodes of any retriever down to what supports the query.

from llama_index.postprocessor.fgr import FGRPostprocessor

engine = index.as_query_engine(node_postprocessors=[FGRPostprocessor()])
"""

from fgr_retriever.errors import MissingExtraError

try:
    from llama_index.postprocessor.fgr.base import FGRPostprocessor
    from llama_index.postprocessor.fgr.events import TrustReportEvent
except ModuleNotFoundError as error:
    if not (error.name or "").startswith("llama_index.core"):
        raise
    raise MissingExtraError("llama_index.postprocessor.fgr", "llama-index") from error

__all__ = ["FGRPostprocessor", "TrustReportEvent"]
