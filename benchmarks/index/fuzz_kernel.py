"""Give the compiled search damaged input, under AddressSanitizer and UndefinedBehaviorSanitizer.

    python -m benchmarks.index.fuzz_kernel [--rounds N] [--seed N]

Compiles the kernel with both, and calls every step at every level with codes, ranges and lists as a damaged file may
have them. Every call must return, with scores or with an error; a sanitizer that finds something ends the process.
Needs gcc or clang with its sanitizers.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from fgr_retriever.errors import IndexCorruptError
from fgr_retriever.model.kernel.library import levels
from fgr_retriever.model.kernel.steps import Kernel
from fgr_retriever.model.kernel.stored import CodedTokens, Lists
from fgr_retriever.model.light_head import LightConfig, LightHead
from hatch_build import FOLDER, compile_library

FLAGS = "-g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer"
INSIDE = "FGR_FUZZED_LIBRARY"
EDGES = np.array([-(2**63), -(2**31), -2, -1, 0, 1, 2, 2**31, 2**62, 2**63 - 1])


class Damage:
    """Draws arrays that mostly fit, and sometimes hold anything."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)

    def integers(self, least: int, most: int, count: int, share: float) -> np.ndarray:
        """Draw int64 from `least` to `most`, some of which are replaced by others."""
        found = self.random.integers(least, most + 1, count)
        wrong = self.random.random(count) < share
        found[wrong] = self.random.choice(np.append(EDGES, [most + 1, least - 1]), int(wrong.sum()))
        return found

    def floats(self, *shape: int) -> np.ndarray:
        """Draw float32, now and then infinite or not a number."""
        found = self.random.standard_normal(shape).astype(np.float32)
        found[self.random.random(shape) < 0.001] = self.random.choice(np.array([np.inf, np.nan, 3e38, 0], np.float32))
        return found


def segments(damage: Damage, arrays: tuple[np.ndarray, ...]) -> CodedTokens:
    """Cut tokens into segments at any places, with one between them that is not coded."""
    cuts = np.sort(damage.random.integers(0, len(arrays[0]) + 1, 2)).tolist()
    parts = list(zip(*(np.split(array, cuts) for array in arrays), strict=True))
    return CodedTokens([*parts[:2], (), parts[2]], [len(parts[0][0]), len(parts[1][0]), 5, len(parts[2][0])])


def one_round(kernel: Kernel, damage: Damage) -> int:
    """Call every step once; how many of them refused."""
    random, refused = damage.random, 0
    share = float(random.choice([0, 0.02, 0.3]))
    each = int(random.choice([1, 2, 4, 8]))
    query_tokens, places, count = (int(random.integers(1, most)) for most in (40, 20, 70))
    dim, tokens, passages = places * each, int(random.integers(0, 300)), int(random.integers(0, 30))
    query, centroids, table = (
        damage.floats(query_tokens, dim),
        damage.floats(count, dim),
        damage.floats(places * 256, each),
    )
    codes = damage.integers(0, count - 1, tokens, share)
    residuals = random.integers(0, 256, (tokens, places), np.uint8)
    ranges = damage.integers(0, max(tokens - 9, 0), passages, share), damage.integers(0, 9, passages, share)
    near = random.random(count) < random.random()
    bounds = np.sort(damage.integers(0, 50, count + 1, 0))
    bounds[random.random(count + 1) < share] = random.choice(EDGES)
    slots = damage.integers(0, max(passages - 1, 0), 50, share).astype(np.uint16)
    probed = damage.integers(0, count - 1, query_tokens * 3, share).reshape(query_tokens, 3)
    code, width, layers = 2 * int(random.integers(1, 9)), 16 * int(random.integers(1, 3)), int(random.integers(1, 3))
    head = LightHead(LightConfig(dim=dim, hidden=4, code=code, width=width, layers=layers)).weights().numpy()
    lengths = random.multinomial(max(tokens - 5, 0), np.ones(5) / 5) + 1
    lengths[random.random(5) < share] = random.choice(EDGES)
    vectors, bytes_of = damage.floats(int(tokens), dim), random.integers(0, 256, (tokens, code // 2), np.uint8)
    sizes = code, width, layers + int(random.random() < share), float(random.choice([0.5, 1, 3]))
    encoded = codes.astype(random.choice([np.uint16, np.uint32])), residuals
    layers = (encoded[0], *np.split(residuals, [places // 2], axis=1)) if each < 8 and places % 2 == 0 else encoded
    several, two = segments(damage, encoded), segments(damage, layers)
    some = slice(*np.sort(random.integers(0, 2 * passages + 4, 2)).tolist())
    lists = Lists([(bounds, slots), (), (bounds, slots)], [passages, 3, passages])
    for step in (
        lambda: kernel.nearest(query, centroids, int(random.integers(1, count + 1))),
        lambda: kernel.gains(lists, probed, damage.floats(query_tokens, 3), some),
        lambda: kernel.decode(centroids, table, codes.astype(np.uint32), residuals, bool(random.integers(2))),
        lambda: kernel.maxsim(query, centroids, table, several, ranges),
        lambda: kernel.maxsim(query, centroids, table, two, ranges),
        lambda: kernel.near(query, centroids, table, several, ranges, near),
        lambda: kernel.evidence(query, vectors, lengths, bytes_of if near[0] else None, head, sizes),
        lambda: kernel.maxsim16(query, damage.floats(tokens, dim).astype(np.float16), ranges),
    ):
        try:
            step()
        except IndexCorruptError:
            refused += 1
    return refused


def main() -> None:
    """Compile, and start again under the sanitizers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    if INSIDE in os.environ:
        np.seterr(all="ignore")
        library, damage = ctypes.CDLL(os.environ[INSIDE]), Damage(asked.seed)
        kernels = [Kernel(library, level) for level in levels()]
        refused = sum(one_round(kernels[number % len(kernels)], damage) for number in range(asked.rounds))
        print(f"{asked.rounds} rounds of 8 steps at {', '.join(levels())}: {refused} refused, nothing else found")
        return
    with tempfile.TemporaryDirectory() as folder:
        sources = Path(__file__).parents[2] / FOLDER
        for source in sources.glob("*.[ch]"):
            Path(folder, source.name).write_bytes(source.read_bytes())
        os.environ["CFLAGS"] = FLAGS
        compile_library(Path(folder, "fuzzed.so"))
        asan, ubsan = (
            subprocess.run(
                ["cc", f"-print-file-name={name}"], capture_output=True, text=True, check=True
            ).stdout.strip()
            for name in ("libasan.so", "libubsan.so")
        )
        environment = os.environ | {
            INSIDE: str(Path(folder, "fuzzed.so")),
            "LD_PRELOAD": f"{asan}:{ubsan}",
            "ASAN_OPTIONS": "detect_leaks=0",  # Python keeps memory until it ends
        }
        given = ["--rounds", str(asked.rounds), "--seed", str(asked.seed)]
        sys.exit(
            subprocess.run([sys.executable, "-m", "benchmarks.index.fuzz_kernel", *given], env=environment).returncode
        )


if __name__ == "__main__":
    main()
