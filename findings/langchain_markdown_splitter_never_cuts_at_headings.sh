#!/usr/bin/env bash
# langchain-text-splitters 1.1.3: MarkdownTextSplitter cuts as if a heading were any other line.
#
# Expected: the splitter that is named for Markdown begins a chunk with a heading, as RecursiveCharacterTextSplitter does
# if it is made by from_language("markdown"): both have the same list of separators.
# Seen: the separators are patterns, and only from_language says so. The class takes them literally, so the one for
# headings matches nothing. The chunks of MarkdownTextSplitter are those of the plain splitter, to the character. A heading
# is short, so it mostly fits into the chunk before its section: 23 of 24 chunks end with the heading of the next one, and
# what is said there is found under another name. is_separator_regex=True mends it.
#
# Output seen:
#   MarkdownTextSplitter: 24 chunks, 23 end with the heading of the next section, same as the plain splitter: True
#   from_language: 24 chunks, 0 end with the heading of the next section, same as the plain splitter: False
#   is_separator_regex=True: 24 chunks, 0 end with the heading of the next section, same as the plain splitter: False
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check langchain-text-splitters==1.1.3

cat > "$folder/split.py" <<'PYTHON'
from langchain_text_splitters import MarkdownTextSplitter, RecursiveCharacterTextSplitter

SIZES = {"chunk_size": 300, "chunk_overlap": 0}
SENTENCES = "Orders before noon leave on the same day. Complaints go to the purchasing desk, which answers within a week."
TEXT = "\n\n".join(f"## Number {number}\n\nSupplier {number}. {SENTENCES} {SENTENCES}" for number in range(24))


def tell(name, splitter):
    chunks = splitter.split_text(TEXT)
    ends = sum(chunk.splitlines()[-1].startswith("#") for chunk in chunks)
    same = chunks == RecursiveCharacterTextSplitter(**SIZES).split_text(TEXT)
    print(f"{name}: {len(chunks)} chunks, {ends} end with the heading of the next section, same as the plain splitter: {same}")


tell("MarkdownTextSplitter", MarkdownTextSplitter(**SIZES))
tell("from_language", RecursiveCharacterTextSplitter.from_language("markdown", **SIZES))
tell("is_separator_regex=True", MarkdownTextSplitter(is_separator_regex=True, **SIZES))
PYTHON
seen=$("$folder/venv/bin/python" "$folder/split.py")
echo "$seen"

expected="MarkdownTextSplitter: 24 chunks, 23 end with the heading of the next section, same as the plain splitter: True
from_language: 24 chunks, 0 end with the heading of the next section, same as the plain splitter: False
is_separator_regex=True: 24 chunks, 0 end with the heading of the next section, same as the plain splitter: False"
[ "$seen" = "$expected" ] || { echo "changed"; exit 1; }
echo "as described"
