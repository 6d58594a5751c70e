"""Trust reports for LlamaIndex's instrumentation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llama_index.core.instrumentation.events import BaseEvent
from llama_index_instrumentation import get_dispatcher

if TYPE_CHECKING:
    from fgr_retriever import Context

_dispatcher = get_dispatcher(__name__)


class TrustReportEvent(BaseEvent):
    """What a retriever or a postprocessor of this library kept and dropped, and how long it took."""

    report: dict[str, Any]
    """`TrustReport.to_dict()`: `mass_kept`, `uncovered`, `weak`, `times_ms`, ..."""

    @classmethod
    def class_name(cls) -> str:
        """Name the class, for serialisation."""
        return "TrustReportEvent"


def send_report(context: Context) -> None:
    """Send the trust report of a context to the event handlers."""
    _dispatcher.event(TrustReportEvent(report=context.report.to_dict()))
