#!/usr/bin/env bash
# llama-index-core 0.14.25: the leaves of HierarchicalNodeParser have the place in their parent, and the id of the
# document.
#
# Expected: start_char_idx and end_char_idx are a range of the document that ref_doc_id names, as after any other
# parser: document.text[start:end] is the text of the node.
# Seen: for nodes below the first level the range is one of the parent node. ref_doc_id still names the document. So
# whoever shows or highlights a leaf by its range shows other text of the document. Those of the first parent are right by
# chance: it begins where the document begins.
#
# Output seen:
#   level 1: 3 nodes, 3 with their own text at their place
#   level 2: 5 nodes, 2 with their own text at their place
#   all name the document: True
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check llama-index-core==0.14.25

cat > "$folder/parse.py" <<'PYTHON'
from llama_index.core import Document
from llama_index.core.node_parser import HierarchicalNodeParser

document = Document(text=" ".join(f"Sentence {number} has words of its own." for number in range(1, 31)), id_="document")
parser = HierarchicalNodeParser.from_defaults(chunk_sizes=[128, 64], chunk_overlap=0)
nodes = parser.get_nodes_from_documents([document])
for level, of_level in ((1, [n for n in nodes if not n.parent_node]), (2, [n for n in nodes if n.parent_node])):
    right = sum(document.text[n.start_char_idx : n.end_char_idx] == n.text for n in of_level)
    print(f"level {level}: {len(of_level)} nodes, {right} with their own text at their place")
print("all name the document:", {node.ref_doc_id for node in nodes} == {"document"})
PYTHON
# The tokenizer that llama-index-core ships in its package: nothing is downloaded.
seen=$("$folder/venv/bin/python" "$folder/parse.py")
echo "$seen"

expected="level 1: 3 nodes, 3 with their own text at their place
level 2: 5 nodes, 2 with their own text at their place
all name the document: True"
[ "$seen" = "$expected" ] || { echo "changed"; exit 1; }
echo "as described"
