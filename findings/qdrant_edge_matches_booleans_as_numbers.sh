#!/usr/bin/env bash
# qdrant-edge-py 0.9.0 (Qdrant's core in the process): a filter for True finds the number 1, and no boolean.
#
# Expected: MatchValue(True) finds the points whose payload is true, as a Qdrant server and the in-memory stand-in of
# qdrant-client do, and MatchValue(False) those whose payload is false.
# Seen: the value is taken for an integer. True finds points with the number 1, False those with 0, and no filter finds
# a boolean, with an index of the kind Bool as well as without. No error is raised. So a flag that was written as a boolean
# cannot be filtered by; written as a keyword it can.
#
# Output seen:
#   edge, no index: True finds [3], False finds [4]
#   edge, Bool index: True finds [3], False finds [4]
#   client :memory: True finds [1], False finds [2]
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check qdrant-edge-py==0.9.0 qdrant-client==1.20.0

cat > "$folder/match.py" <<'PYTHON'
import sys

import qdrant_edge as edge
from qdrant_client import QdrantClient, models

payloads = {1: True, 2: False, 3: 1, 4: 0}

shard = edge.EdgeShard.create(sys.argv[1], edge.EdgeConfig(vectors={"v": edge.EdgeVectorParams(2, edge.Distance.Dot)}))
points = [edge.Point(number, {"v": [1.0, 0.0]}, {"flag": flag}) for number, flag in payloads.items()]
shard.update(edge.UpdateOperation.upsert_points(points))


def in_edge(flag):
    condition = edge.FieldCondition("flag", match=edge.MatchValue(flag))
    found, _ = shard.scroll(edge.ScrollRequest(limit=9, filter=edge.Filter(must=[condition])))
    return sorted(point.id for point in found)


print(f"edge, no index: True finds {in_edge(True)}, False finds {in_edge(False)}")
shard.update(edge.UpdateOperation.create_field_index("flag", edge.PayloadSchemaType.Bool))
print(f"edge, Bool index: True finds {in_edge(True)}, False finds {in_edge(False)}")

client = QdrantClient(":memory:")
client.create_collection("flags", vectors_config=models.VectorParams(size=2, distance=models.Distance.DOT))
client.upsert(
    "flags",
    [models.PointStruct(id=number, vector=[1.0, 0.0], payload={"flag": flag}) for number, flag in payloads.items()],
)


def in_client(flag):
    condition = models.FieldCondition(key="flag", match=models.MatchValue(value=flag))
    return sorted(point.id for point in client.scroll("flags", models.Filter(must=[condition]))[0])


print(f"client :memory: True finds {in_client(True)}, False finds {in_client(False)}")
PYTHON
mkdir "$folder/shard"
seen=$("$folder/venv/bin/python" "$folder/match.py" "$folder/shard")
echo "$seen"

expected="edge, no index: True finds [3], False finds [4]
edge, Bool index: True finds [3], False finds [4]
client :memory: True finds [1], False finds [2]"
[ "$seen" = "$expected" ] || { echo "changed"; exit 1; }
echo "as described"
