"""Trust reports for LangChain's callbacks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_core.callbacks import Callbacks
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import (
    ensure_config,
    get_async_callback_manager_for_config,
    get_callback_manager_for_config,
)

if TYPE_CHECKING:
    from fgr_retriever import Context

EVENT = "fgr_report"
"""Name of the custom event."""


def send_report(context: Context, callbacks: Callbacks) -> None:
    """Send the trust report of a context as a custom event.

    Args:
        context: What was retrieved or trimmed.
        callbacks: Callbacks of the run that the event belongs to. None uses the callbacks of the run
            around this call, if there is one.
    """
    manager = get_callback_manager_for_config(_config(callbacks))
    manager.on_custom_event(EVENT, context.report.to_dict(), run_id=manager.parent_run_id)


async def asend_report(context: Context, callbacks: Callbacks) -> None:
    """Send the trust report of a context as a custom event; see `send_report`."""
    manager = get_async_callback_manager_for_config(_config(callbacks))
    await manager.on_custom_event(EVENT, context.report.to_dict(), run_id=manager.parent_run_id)


def _config(callbacks: Callbacks) -> RunnableConfig:
    return ensure_config(None if callbacks is None else {"callbacks": callbacks})
