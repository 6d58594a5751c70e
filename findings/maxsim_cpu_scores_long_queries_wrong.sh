#!/usr/bin/env bash
# maxsim-cpu 0.1.0: MaxSim of a query with more than 32 tokens is wrong, without an error.
#
# Expected: maxsim_scores and maxsim_scores_variable give the sum, over the query's tokens, of the best dot product with a token
# of the passage, for a query of any length: the documentation names no bound. numpy gives the same to 1e-5.
# Seen: right up to 32 tokens of the query. With 33 and more, scores of passages of 64 tokens are off by more than the score itself
# can be (a sum of 33 cosines of random vectors is about 8), in both functions; passages of 16 tokens are still right. The same
# with LIBXSMM_TARGET=wsm and hsw, so it does not depend on the processor. 32 is ColBERT's usual length of a query; models
# that do not cut queries there, and ColPali, have longer ones. MaxSim is a sum over the query's tokens, so adding the
# scores of pieces of 32 tokens helps.
#
# Output seen:
#   32 query tokens, passages of 16: right, right
#   32 query tokens, passages of 64: right, right
#   33 query tokens, passages of 16: right, right
#   33 query tokens, passages of 64: wrong, wrong
#   64 query tokens in two pieces of 32, passages of 64: right, right
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check maxsim-cpu==0.1.0 numpy==2.2.6

cat > "$folder/scores.py" <<'PYTHON'
import numpy as np
from maxsim_cpu import maxsim_scores, maxsim_scores_variable

random = np.random.default_rng(0)


def unit(rows):
    drawn = random.standard_normal((rows, 128)).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def judged(parts, passages):
    right = sum(np.array([(one @ part.T).max(axis=0).sum() for one in passages]) for part in parts)
    variable = sum(maxsim_scores_variable(part, passages) for part in parts)
    uniform = sum(maxsim_scores(part, np.stack(passages)) for part in parts)
    return ", ".join("right" if abs(found - right).max() < 1e-3 else "wrong" for found in (variable, uniform))


for tokens in (32, 33):
    for length in (16, 64):
        passages = [unit(length) for _ in range(30)]
        print(f"{tokens} query tokens, passages of {length}: {judged([unit(tokens)], passages)}")
query = unit(64)
passages = [unit(64) for _ in range(30)]
print("64 query tokens in two pieces of 32, passages of 64:", judged([query[:32], query[32:]], passages))
PYTHON
seen=$("$folder/venv/bin/python" "$folder/scores.py" 2>/dev/null)
echo "$seen"

[ "$seen" = "32 query tokens, passages of 16: right, right
32 query tokens, passages of 64: right, right
33 query tokens, passages of 16: right, right
33 query tokens, passages of 64: wrong, wrong
64 query tokens in two pieces of 32, passages of 64: right, right" ] || { echo "changed"; exit 1; }
echo "as described"
