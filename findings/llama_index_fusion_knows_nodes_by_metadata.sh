#!/usr/bin/env bash
# llama-index-core 0.14.25: QueryFusionRetriever does not know a node again if any metadata of it differs.
#
# Expected: two retrievers that both return node "a" (same node_id) first give it two votes, 2/60, and it is in the
# result once, beside other nodes up to similarity_top_k.
# Seen: votes are counted by node.hash, which covers text and metadata. If one retriever adds a score to the metadata,
# "a" has two hashes with one vote each and falls behind a node with two second places. The list is cut to
# similarity_top_k before copies with the same node_id are dropped, so fewer nodes than asked for come back.
#
# Output seen:
#   equal metadata: [('a', 0.0333), ('b', 0.0328)]
#   one has a score in it: [('b', 0.0328), ('a', 0.0167)]
#   both retrievers, two nodes asked for, all with scores: [('a', 0.0167)]
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check llama-index-core==0.14.25

cat > "$folder/fuse.py" <<'PYTHON'
from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.llms import MockLLM
from llama_index.core.retrievers import QueryFusionRetriever
from llama_index.core.schema import NodeWithScore, TextNode


class Fixed(BaseRetriever):
    def __init__(self, *nodes):
        super().__init__()
        self.nodes = nodes

    def _retrieve(self, query_bundle):
        return [NodeWithScore(node=node, score=1 / rank) for rank, node in enumerate(self.nodes, start=1)]


def node(name, **metadata):
    return TextNode(id_=name, text=f"Text of {name}.", metadata=metadata)


def fused(*retrievers):
    fusion = QueryFusionRetriever(
        list(retrievers), llm=MockLLM(), mode="reciprocal_rerank", num_queries=1, similarity_top_k=2, use_async=False
    )
    return [(found.node_id, round(found.score, 4)) for found in fusion.retrieve("?")]


print("equal metadata:", fused(Fixed(node("a"), node("b")), Fixed(node("a"), node("b"))))
print("one has a score in it:", fused(Fixed(node("a"), node("b")), Fixed(node("a", score=0.9), node("b"))))
scored = [Fixed(node("a", score=score), node("b", score=score)) for score in (0.8, 0.9)]
print("both retrievers, two nodes asked for, all with scores:", fused(*scored))
PYTHON
seen=$("$folder/venv/bin/python" "$folder/fuse.py")
echo "$seen"

expected="equal metadata: [('a', 0.0333), ('b', 0.0328)]
one has a score in it: [('b', 0.0328), ('a', 0.0167)]
both retrievers, two nodes asked for, all with scores: [('a', 0.0167)]"
[ "$seen" = "$expected" ] || { echo "changed"; exit 1; }
echo "as described"
