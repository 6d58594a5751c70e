#!/usr/bin/env bash
# llama-index-core 0.14.25: IngestionPipeline hands a vector store only the nodes that have an embedding, and remembers
# all documents as done.
#
# Expected: a run without an embedding step stores the nodes (some vector stores embed texts themselves), or raises; or at
# least a later run with an embedding step stores what is not stored yet.
# Seen: the first run returns all nodes, stores none and says nothing. Its document store has the documents, so the second
# run, now with an embedding step, finds nothing to do: it returns no node and stores none. The documents can only be
# stored after they were changed or removed from the document store.
#
# Output seen:
#   without an embedding step: 3 nodes returned, 0 in the vector store, 3 documents remembered
#   with an embedding step: 0 nodes returned, 0 in the vector store, 3 documents remembered
#   with an embedding step, nothing remembered: 3 nodes returned, 3 in the vector store, 3 documents remembered
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check llama-index-core==0.14.25

cat > "$folder/ingest.py" <<'PYTHON'
from llama_index.core import Document, MockEmbedding
from llama_index.core.ingestion import DocstoreStrategy, IngestionPipeline
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.storage.docstore import SimpleDocumentStore
from llama_index.core.vector_stores import SimpleVectorStore

documents = [Document(text=f"Note {number}.", id_=str(number)) for number in range(3)]
vectors = SimpleVectorStore()


def run(name, remembered, *steps):
    pipeline = IngestionPipeline(
        transformations=[SentenceSplitter(), *steps],
        docstore=remembered,
        vector_store=vectors,
        docstore_strategy=DocstoreStrategy.UPSERTS,
    )
    returned = len(pipeline.run(documents=documents))
    stored = len(vectors.data.embedding_dict)
    print(f"{name}: {returned} nodes returned, {stored} in the vector store, {len(remembered.docs)} documents remembered")


embedding, remembered = MockEmbedding(embed_dim=4), SimpleDocumentStore()
run("without an embedding step", remembered)
run("with an embedding step", remembered, embedding)
run("with an embedding step, nothing remembered", SimpleDocumentStore(), embedding)
PYTHON
# The tokenizer that llama-index-core ships in its package: nothing is downloaded.
seen=$("$folder/venv/bin/python" "$folder/ingest.py")
echo "$seen"

expected="without an embedding step: 3 nodes returned, 0 in the vector store, 3 documents remembered
with an embedding step: 0 nodes returned, 0 in the vector store, 3 documents remembered
with an embedding step, nothing remembered: 3 nodes returned, 3 in the vector store, 3 documents remembered"
[ "$seen" = "$expected" ] || { echo "changed"; exit 1; }
echo "as described"
