"""On which processor a model runs, and which precision that multiplies fastest: the one place that decides.

Encoding, the evidence head, k-means, training and other stages' models all ask here.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from fgr_retriever.errors import ConfigError

VARIABLE = "FGR_DTYPE"
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
_UNITS = ("amx_bf16", "avx512_bf16")
_ISA_VARIABLES = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")  # the library that multiplies bfloat16 for torch


def best_dtype(device: torch.device) -> torch.dtype:
    """Choose bfloat16 where the processor multiplies it faster than float32 (cosine 0.9999 to it).

    A processor without units for bfloat16 gives the same numbers, but several times more slowly than
    in float32. So torch is asked for these units; nothing is timed, since on a busy machine a first
    float32 product can take longer than an emulated one.

    The environment variable `FGR_DTYPE`, `float32` or `bfloat16`, overrules all of this.

    Args:
        device: Where the model runs.

    Raises:
        ConfigError: The environment variable has another value.
    """
    if chosen := os.environ.get(VARIABLE):
        if chosen not in _DTYPES:
            raise ConfigError(f"{VARIABLE}={chosen!r}: must be one of {', '.join(_DTYPES)}, or not be set")
        return _DTYPES[chosen]
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported()
    else:
        fast = device.type == "cpu" and _multiplies_bfloat16(_capabilities(), os.environ)
    return torch.bfloat16 if fast else torch.float32


def autocast(device: torch.device) -> AbstractContextManager[object]:
    """Run float32 weights in the best precision of a device; where that is float32, change nothing."""
    dtype = best_dtype(device)
    return nullcontext() if dtype is torch.float32 else torch.autocast(device.type, dtype)


def machine() -> str:
    """Describe the device that a model runs on by default and its precision: what belongs beside every time."""
    name = _capabilities().get("cpu_name") or platform.processor() or "unknown processor"
    found = f"{name}, {os.cpu_count()} cores ({platform.machine()})"
    if torch.cuda.is_available():
        found = f"{torch.cuda.get_device_name()} beside {found}"
    return f"{found}, {best_dtype(torch.device(_best_device()))}".replace("torch.", "")


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


def _capabilities() -> Mapping[str, Any]:
    """Ask torch what the processor has; older versions cannot tell, then float32 is right, only slower."""
    found: Mapping[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return found


def _multiplies_bfloat16(capabilities: Mapping[str, Any], environment: Mapping[str, str]) -> bool:
    """Say whether there are units for bfloat16 that the user has not switched off.

    Only units of x86 count: on ARM nobody has measured that bfloat16 is faster in torch.
    """
    allowed = next((environment[name].upper() for name in _ISA_VARIABLES if environment.get(name)), "DEFAULT")
    if allowed.startswith(("SSE", "AVX2")) or allowed in {"AVX", "AVX512_CORE", "AVX512_CORE_VNNI"}:
        return False
    return any(capabilities.get(unit) for unit in _UNITS)
