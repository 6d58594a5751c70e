#!/usr/bin/env bash
# qdrant-edge-py 0.9.0 (Qdrant's core in the process) beside the local mode of qdrant-client 1.20.0: after a deletion, the same
# points have other BM25 scores.
#
# Expected: the modifier IDF of a sparse vector counts the points that are there. Ten points, of which seven have a word; six of
# these are deleted. The word is then rarer, in one point of four, so its score rises; in both alike, also after optimize().
# Seen: the local mode counts what is left. In the core the score stays as it was before the deletion, and optimize() changes
# nothing. So scores of words, and thresholds on them, depend on what was deleted or replaced, and a test in the local mode
# does not show it.
#
# Output seen:
#   before: core 0.383, local 0.383
#   after deleting 6 of 10: core 0.383, local 1.204
#   after optimize: core 0.383
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check qdrant-edge-py==0.9.0 qdrant-client==1.20.0

cat > "$folder/idf.py" <<'PYTHON'
import sys
import warnings

import qdrant_edge as edge
from qdrant_client import QdrantClient, models

warnings.simplefilter("ignore")
WORDS = {number: 1 if number <= 7 else 2 for number in range(1, 11)}  # seven points have word 1
GONE = [1, 2, 3, 4, 5, 6]

shard = edge.EdgeShard.create(
    sys.argv[1],
    edge.EdgeConfig(vectors={}, sparse_vectors={"words": edge.EdgeSparseVectorParams(modifier=edge.Modifier.Idf)}),
)
points = [edge.Point(number, {"words": edge.SparseVector([word], [1.0])}, {}) for number, word in WORDS.items()]
shard.update(edge.UpdateOperation.upsert_points(points))

local = QdrantClient(":memory:")
local.create_collection(
    "c", vectors_config={}, sparse_vectors_config={"words": models.SparseVectorParams(modifier=models.Modifier.IDF)}
)
stored = [
    models.PointStruct(id=number, vector={"words": models.SparseVector(indices=[word], values=[1.0])})
    for number, word in WORDS.items()
]
local.upsert("c", stored)


def core():
    query = edge.Query.Nearest(edge.SparseVector([1], [1.0]), "words")
    return next(one.score for one in shard.query(edge.QueryRequest(10, query=query)) if one.id == 7)


def client():
    query = models.SparseVector(indices=[1], values=[1.0])
    return next(one.score for one in local.query_points("c", query=query, using="words").points if one.id == 7)


print(f"before: core {core():.3f}, local {client():.3f}")
shard.update(edge.UpdateOperation.delete_points(GONE))
local.delete("c", points_selector=GONE)
print(f"after deleting 6 of 10: core {core():.3f}, local {client():.3f}")
shard.optimize()
print(f"after optimize: core {core():.3f}")
PYTHON
mkdir "$folder/shard"
seen=$("$folder/venv/bin/python" "$folder/idf.py" "$folder/shard")
echo "$seen"

[ "$seen" = "before: core 0.383, local 0.383
after deleting 6 of 10: core 0.383, local 1.204
after optimize: core 0.383" ] || { echo "changed"; exit 1; }
echo "as described"
