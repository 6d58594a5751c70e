"""On which processor a model runs, and which precision that multiplies fastest."""

from __future__ import annotations

from typing import Any

import torch

from fgr_retriever.errors import ConfigError


def best_dtype(device: torch.device) -> torch.dtype:
    """Choose bfloat16 where the processor multiplies it faster than float32 (cosine 0.9999 to it)."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    if device.type == "cpu":
        # Older torch cannot tell; then float32 is right, only slower.
        capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
        if capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"):
            return torch.bfloat16
    return torch.float32


def open_device(name: str | None) -> torch.device:
    """Find a device: `cpu`, `cuda`, `cuda:1`, `mps`; None takes the best that the machine has.

    Raises:
        ConfigError: There is no such device.
    """
    try:
        device = torch.device(name or _best_device())
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # torch without CUDA raises AssertionError
        raise ConfigError(f"device={name!r} cannot be used: {error}") from error
    return device


def _best_device() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"
