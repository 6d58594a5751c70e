"""The settings of a persisted retriever, in a file beside its index."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from llama_index.core.vector_stores.types import MetadataFilters

from fgr_retriever import QdrantCollection, TrimConfig
from fgr_retriever.errors import ConfigError
from llama_index.retrievers.fgr.given import Place
from llama_index.retrievers.fgr.options import RetrieverOptions

SETTINGS = "llama_index.json"
"""Name of the file."""


def written(settings: RetrieverOptions) -> str:
    """Write settings as JSON."""
    return json.dumps(settings, indent=2, default=_plain)


def read_settings(path: Place) -> RetrieverOptions:
    """Read what `persist` wrote; nothing when another program made the index.

    Raises:
        ConfigError: The file is damaged.
    """
    if isinstance(path, QdrantCollection):
        return {}
    file = Path(path) / SETTINGS
    if not file.exists():
        return {}
    try:
        settings = json.loads(file.read_text(encoding="utf-8"))
        filters = settings["filters"]
        found = {
            "similarity_top_k": settings["similarity_top_k"],
            "filters": None if filters is None else MetadataFilters.model_validate(filters),
            "trim": None if settings["trim"] is None else TrimConfig.from_json(json.dumps(settings["trim"])),
            "full_text": settings["full_text"],
            "split_spans": settings.get("split_spans", False),
        }
        if model := settings.get("model"):  # the first files had none
            found["model"] = str(model)
        return cast("RetrieverOptions", found)
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{file} is damaged ({error!r}): delete it to take the defaults") from error


def _plain(value: TrimConfig | MetadataFilters) -> Any:
    """Turn a value that JSON does not know into one that it knows."""
    return value.model_dump(mode="json") if isinstance(value, MetadataFilters) else asdict(value)
