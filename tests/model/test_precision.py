"""Which precision a processor is asked to compute in, and that nothing which is kept depends on it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.nn.functional import normalize

from fgr_retriever import Encoder, Engine, IndexConfig, Passage
from fgr_retriever.errors import ConfigError
from fgr_retriever.index.codec.kmeans import nearest
from fgr_retriever.index.storage import growth
from fgr_retriever.model.precision import VARIABLE, _multiplies_bfloat16, autocast, best_dtype, machine
from fgr_retriever.testing import tiny_checkpoint

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")
AMX = {"amx_bf16": True, "avx512_bf16": True}
DTYPES = [torch.float32, torch.bfloat16]


@pytest.fixture(params=DTYPES, ids=["float32", "bfloat16"])
def dtype(request, monkeypatch):
    """Either precision, whatever the processor has."""
    monkeypatch.setenv(VARIABLE, str(request.param).removeprefix("torch."))
    return request.param


@pytest.mark.parametrize(
    ("capabilities", "environment", "expected"),
    [
        (AMX, {}, True),
        ({"amx_bf16": False, "avx512_bf16": True}, {}, True),
        ({"avx2": True, "avx512_bf16": False}, {}, False),
        ({"architecture": "aarch64", "bf16": True}, {}, False),  # not measured there
        ({}, {}, False),  # an older torch
        (AMX, {"ONEDNN_MAX_CPU_ISA": "avx2"}, False),
        (AMX, {"ONEDNN_MAX_CPU_ISA": "AVX2_VNNI_2"}, False),
        (AMX, {"DNNL_MAX_CPU_ISA": "AVX512_CORE_VNNI"}, False),
        (AMX, {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_BF16"}, True),
        (AMX, {"ONEDNN_MAX_CPU_ISA": "AVX10_1_512_AMX"}, True),
        (AMX, {"ONEDNN_MAX_CPU_ISA": ""}, True),
    ],
)
def test_bfloat16_is_for_processors_with_units_for_it(capabilities, environment, expected):
    assert _multiplies_bfloat16(capabilities, environment) is expected


def test_the_variable_overrules(dtype):
    assert best_dtype(CPU) is dtype
    assert machine().endswith(f", {str(dtype).removeprefix('torch.')}")
    layer = torch.nn.Linear(4, 4)
    with torch.inference_mode(), autocast(CPU):  # a warning would be an error
        assert layer(torch.ones(1, 4)).dtype is dtype


def test_another_value_is_refused(monkeypatch):
    monkeypatch.setenv(VARIABLE, "float64")
    with pytest.raises(ConfigError, match="FGR_DTYPE='float64': must be one of float32, bfloat16"):
        best_dtype(CPU)


def test_encoder_and_head_ask(dtype, tmp_path):
    encoder = Encoder.from_pretrained(tiny_checkpoint(tmp_path), device="cpu")
    assert encoder.dtype is dtype
    assert {parameter.dtype for parameter in encoder.model.parameters()} == {dtype}


def test_the_nearest_centroid_is_as_near_in_either_precision(dtype):
    generator = torch.Generator().manual_seed(3)
    vectors, centroids = (normalize(torch.randn(n, 64, generator=generator), dim=1) for n in (500, 40))
    cosines = vectors @ centroids.T
    found = cosines.gather(1, nearest(vectors, centroids)[:, None])[:, 0]
    # Both sides are rounded to 8 bits: a cosine is off by 2 ** -8 at most.
    assert (cosines.amax(dim=1) - found).max() <= 2 * 2**-8


FLUSH_TOKENS = 2_000
_WRITE = """
import sys
from fgr_retriever.index.storage import growth
from tests.model.test_precision import FLUSH_TOKENS, write

growth.FLUSH_TOKENS = FLUSH_TOKENS
write(*sys.argv[1:], "old")
"""


def write(place, model, name):
    """Store a hundred passages of that name and code them, as this process computes."""
    texts = {f"{name} {i}": f"Radium was found {i} times in Paris." for i in range(100)}
    encoder = Encoder.from_pretrained(model, device="cpu")
    with Engine.open(place, encoder=encoder, config=IndexConfig(nbits=2)) as engine:
        engine.add(Passage(id, text) for id, text in texts.items())
        engine.compact()


def test_an_index_of_one_processor_is_searched_and_verified_on_another(tmp_path, monkeypatch):
    """Written by an old processor in float32, extended and coded by a new one in bfloat16, read by this one."""
    model, place = tiny_checkpoint(tmp_path / "model"), tmp_path / "index"
    old = {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41", "FAISS_OPT_LEVEL": "generic"}
    modules = {"PYTHONPATH": os.pathsep.join(path for path in [*sys.path, str(ROOT)] if path)}
    command = [sys.executable, "-c", _WRITE, str(place), str(model)]
    subprocess.run(command, env=os.environ | modules | old | {VARIABLE: "float32"}, check=True)
    with monkeypatch.context() as new:
        new.setenv(VARIABLE, "bfloat16")
        new.setattr(growth, "FLUSH_TOKENS", FLUSH_TOKENS)
        write(place, model, "new")
    with Engine.open(place, encoder=Encoder.from_pretrained(model, device="cpu")) as engine:
        assert len(engine) == 200
        assert engine.info().coded_segments > 0
        engine.verify()
        hits = engine.search("Radium was found 7 times in Paris.", k=200)
        assert {hit.passage.id for hit in hits} == {f"{name} {i}" for name in ("old", "new") for i in range(100)}
        # Of one text, both processors stored about the same vectors.
        scores = {hit.passage.id: hit.score for hit in hits}
        assert scores["old 7"] == pytest.approx(scores["new 7"], rel=0.1)
