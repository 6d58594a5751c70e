"""Compile the steps of a search while the package is built; without a C compiler it is built without them."""

from __future__ import annotations

import itertools
import os
import platform
import shlex
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from packaging.tags import sys_tags

FOLDER = Path("fgr_retriever", "model", "kernel")
LIBRARY = "_kernel.so"
LEVELS = {"base": ()}
if platform.machine() in ("x86_64", "AMD64"):
    LEVELS["avx2"] = ("-mavx2", "-mfma")
    LEVELS["avx512"] = ("-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mfma")


class KernelHook(BuildHookInterface):
    """Puts the library beside its source, and into the wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile; called before a wheel is built, an editable one (`version`) too."""
        library = Path(self.root) / FOLDER / LIBRARY
        try:
            compile_library(library)
        except (OSError, subprocess.CalledProcessError) as error:
            library.unlink(missing_ok=True)
            self.app.display_warning(f"Built without compiled search, which is slower: {error}")
            return
        build_data["artifacts"].append((FOLDER / LIBRARY).as_posix())
        build_data["pure_python"] = False
        # Plain C without Python's headers: one wheel a platform.
        tag = next(tag for tag in sys_tags() if "linux" not in tag.platform or tag.platform.startswith("linux"))
        build_data["tag"] = f"py3-none-{tag.platform}"


def compile_library(library: Path) -> None:
    """Compile each source once for each level of processor, and link all into one library.

    Raises:
        OSError: There is no compiler.
        subprocess.CalledProcessError: The compiler failed.
    """
    compiler = [*shlex.split(os.environ.get("CC", "cc")), *shlex.split(os.environ.get("CFLAGS", ""))]
    with tempfile.TemporaryDirectory() as folder:
        objects = []
        for (level, flags), source in itertools.product(LEVELS.items(), sorted(library.parent.glob("*.c"))):
            objects.append(str(Path(folder, f"{source.stem}-{level}.o")))
            how = ["-std=c11", "-ffp-contract=fast", "-O3", "-fPIC", "-fvisibility=hidden", f"-DLEVEL={level}", *flags]
            subprocess.run([*compiler, *how, "-c", str(source), "-o", objects[-1]], check=True)
        built = library.with_suffix(".unfinished")
        subprocess.run([*compiler, "-shared", "-o", str(built), *objects, "-lm"], check=True)
        built.replace(library)  # never written in place: a process that runs it would crash


if __name__ == "__main__":  # beside the sources, for those who change them
    compile_library(Path(__file__).parent / FOLDER / LIBRARY)
