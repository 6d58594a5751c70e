#!/usr/bin/env bash
# torch 2.13.0: random normal numbers for a tensor without memory import torch's compiler.
#
# Expected: building a module under torch.device("meta"), as is done before a checkpoint is assigned to it, computes
# nothing and imports nothing, whatever fills its parameters first.
# Seen: uniform_ (which nn.Linear starts with) imports nothing. torch.randn imports sympy and torch.fx's symbolic shapes,
# some 480 modules; normal_ and nn.init.normal_ import torch._dynamo as well, some 340 more. Together they take about
# as much processor time as `import torch` itself (0.8 and 0.9 s where this was seen), once in each process.
#
# Output seen:
#   uniform_: nothing
#   randn: sympy
#   normal_: sympy, torch._dynamo
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check torch==2.13.0 numpy==2.3.5

cat > "$folder/imported.py" <<'PYTHON'
import sys

import torch


def imported(name, make):
    with torch.device("meta"):
        make()
    print(f"{name}:", ", ".join(one for one in ("sympy", "torch._dynamo") if one in sys.modules) or "nothing")


imported("uniform_", lambda: torch.nn.init.uniform_(torch.empty(2, 3)))
imported("randn", lambda: torch.randn(2, 3))
imported("normal_", lambda: torch.nn.init.normal_(torch.empty(2, 3)))
PYTHON
seen=$("$folder/venv/bin/python" "$folder/imported.py")
echo "$seen"

expected="uniform_: nothing
randn: sympy
normal_: sympy, torch._dynamo"
[ "$seen" = "$expected" ] || { echo "changed"; exit 1; }
echo "as described"
