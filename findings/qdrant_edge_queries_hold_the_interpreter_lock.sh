#!/usr/bin/env bash
# qdrant-edge-py 0.9.0 (Qdrant's core in the process): a query holds Python's interpreter lock until it has its answer.
#
# Expected: EdgeShard.query runs in Rust alone, so that it lets other Python threads run meanwhile, as numpy and torch do. Two
# threads on two processors then answer nearly twice as many queries, at least of two shards.
# Seen: two threads answer no more than one, of one shard or of two. A thread that wakes every 0.5 ms wakes some ten times as
# seldom while another one queries. So a server with threads over the embedded core searches on one processor, and its
# event loop waits for every query.
#
# Output seen (2 processors; figures vary):
#   queries a second: one thread 777, two threads of one shard 783, of two shards 732
#   a query takes 1.3 ms; another thread wakes every 0.57 ms alone, every 6.38 ms beside queries
#   two threads are faster: False, others wait: True
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check qdrant-edge-py==0.9.0

cat > "$folder/threads.py" <<'PYTHON'
import random
import sys
import threading
import time
from pathlib import Path
from statistics import median

import qdrant_edge as edge

POINTS, WIDTH, SECONDS = 50_000, 128, 3.0


def made(folder):
    folder.mkdir()
    shard = edge.EdgeShard.create(
        str(folder), edge.EdgeConfig(vectors={"v": edge.EdgeVectorParams(WIDTH, edge.Distance.Dot)})
    )
    dice = random.Random(0)
    points = [edge.Point(number, {"v": [dice.random() for _ in range(WIDTH)]}, {}) for number in range(POINTS)]
    shard.update(edge.UpdateOperation.upsert_points(points))
    return shard


shards = [made(Path(sys.argv[1]) / str(number)) for number in range(2)]
query = edge.QueryRequest(
    10, query=edge.Query.Nearest([0.1] * WIDTH, "v"), params=edge.SearchParams(exact=True), filter=None
)


def rate(asked):
    counts, end = [0] * len(asked), time.perf_counter() + SECONDS

    def run(number, shard):
        while time.perf_counter() < end:
            shard.query(query)
            counts[number] += 1

    threads = [threading.Thread(target=run, args=one) for one in enumerate(asked)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    return sum(counts) / SECONDS


one, same, two = rate(shards[:1]), rate([shards[0]] * 2), rate(shards)
print(f"queries a second: one thread {one:.0f}, two threads of one shard {same:.0f}, of two shards {two:.0f}")

gaps, ended = [], threading.Event()


def wake():
    last = time.perf_counter()
    while not ended.is_set():
        time.sleep(0.0005)
        now = time.perf_counter()
        gaps.append(now - last)
        last = now


waking = threading.Thread(target=wake)
waking.start()
time.sleep(1)
alone = median(gaps)
gaps.clear()
count, start = 0, time.perf_counter()
while time.perf_counter() - start < SECONDS:
    shards[0].query(query)
    count += 1
took, beside = SECONDS / count, median(gaps)
ended.set()
waking.join()
told = f"another thread wakes every {1000 * alone:.2f} ms alone, every {1000 * beside:.2f} ms beside queries"
print(f"a query takes {1000 * took:.1f} ms; {told}")
print(f"two threads are faster: {max(same, two) > 1.5 * one}, others wait: {beside > 3 * alone}")
PYTHON
mkdir "$folder/shards"
seen=$("$folder/venv/bin/python" "$folder/threads.py" "$folder/shards")
echo "$seen"

[ "$(tail -n 1 <<< "$seen")" = "two threads are faster: False, others wait: True" ] || { echo "changed"; exit 1; }
echo "as described"
