#!/usr/bin/env bash
# lancedb 0.40.0: in a column of several vectors a row, searching all partitions of an index finds fewer of the best rows than 4 of 64.
#
# Expected: recall grows with `nprobes`, and with all partitions and a refine factor of 10 it comes close to what is found without an
# index, since then only the ten times as many rows that product quantisation ranks highest are compared exactly.
# Seen: 2,000 rows of 16 vectors, 60 queries of 8 vectors, IVF_PQ with 64 partitions, refine factor 10. Recall of the ten best by MaxSim
# rises from 1 to 4 partitions and then falls: with all 64 it is 0.06 to 0.1 lower than with 4 in five runs of five. A refine
# factor of 100 comes close to what is found without an index. So "more probes" is no way to more recall here; the refine factor is. The same
# was seen on 61,520 passages of text (0.59 with 4 probes, 0.56 with 16, without refining), where it first looked like a fault of the
# benchmark.
#
# Output seen (recall varies by some 0.03 from run to run, as the index is trained anew):
#   without an index 1.00
#   1 partition 0.57, 4 partitions 0.71, 64 of 64 partitions 0.62
#   64 of 64 partitions, refine factor 100: 0.99
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check lancedb==0.40.0 numpy==2.2.6 pyarrow

cat > "$folder/recall.py" <<'PYTHON'
import sys

import lancedb
import numpy as np
import pyarrow as pa
from lancedb.index import IvfPq

ROWS, QUERIES, DIM = 2_000, 60, 64
random = np.random.default_rng(0)
topics = random.standard_normal((400, DIM))


def drawn(vectors, noise):
    """Vectors of one passage: a topic of its own, and one for each vector."""
    found = 0.6 * topics[random.integers(400)] + topics[random.integers(0, 400, vectors)]
    found += noise * random.standard_normal((vectors, DIM))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


rows, queries = [drawn(16, 0.5) for _ in range(ROWS)], [drawn(8, 0.3) for _ in range(QUERIES)]
best = [set(np.argsort([-(row @ query.T).max(axis=0).sum() for row in rows])[:10].tolist()) for query in queries]
schema = pa.schema([("id", pa.int64()), ("vector", pa.list_(pa.list_(pa.float32(), DIM)))])
data = pa.table({"id": list(range(ROWS)), "vector": [row.tolist() for row in rows]}, schema=schema)
table = lancedb.connect(sys.argv[1]).create_table("rows", data=data, schema=schema)


def recall(settings):
    shares = []
    for query, wanted in zip(queries, best):
        search = table.search(query, vector_column_name="vector").distance_type("cosine").limit(10)
        found = settings(search).select(["id", "_distance"]).to_list()
        shares.append(len(wanted & {row["id"] for row in found}) / 10)
    return float(np.mean(shares))


exact = recall(lambda search: search)
table.create_index("vector", config=IvfPq(distance_type="cosine", num_partitions=64, num_sub_vectors=16))
one, four, all_of_them = (recall(lambda s, n=n: s.nprobes(n).refine_factor(10)) for n in (1, 4, 64))
refined = recall(lambda search: search.nprobes(64).refine_factor(100))
print(f"without an index {exact:.2f}")
print(f"1 partition {one:.2f}, 4 partitions {four:.2f}, 64 of 64 partitions {all_of_them:.2f}")
print(f"64 of 64 partitions, refine factor 100: {refined:.2f}")
as_seen = exact == 1 and all_of_them < four - 0.03 and refined > all_of_them + 0.15
sys.exit(0 if as_seen else 1)
PYTHON
"$folder/venv/bin/python" "$folder/recall.py" "$folder/data" 2>/dev/null || { echo "changed"; exit 1; }
echo "as described"
