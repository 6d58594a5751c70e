"""Hostile databases, manifests and arrays: odd values in every column, and files whose checksums were forged, too."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from typing import Any

import numpy as np

from fgr_retriever.index.storage import passage_row
from fgr_retriever.index.storage.segments import dtype_of
from tests.index.hostile.place import Damage, Place

_COLUMNS = {
    "state": ("name", "value"),
    "segments": ("first_row", "name", "passages", "tokens", "files"),
    "codecs": ("name", "files", "tokens", "error", "added", "added_error"),
    "passages": ("row", "id", "metadata", "text", "checksum", "units"),
    "tombstones": ("row",),
    "words_data": ("id", "block"),
    "words_idx": ("segid", "term", "pgno"),
    "words_docsize": ("id", "sz"),
    "words_config": ("k", "v"),
}
# SQLite lets nothing else into these.
_INTEGER_KEYS = {
    "segments": "first_row",
    "passages": "row",
    "tombstones": "row",
    "words_data": "id",
    "words_docsize": "id",
}
_DEEP = "[" * 50_000
_HUGE = 60_000_000  # bytes: far more than a column of a few bytes holds, few enough to be written 500 times
_ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i AS row FROM n"
_VALUES: tuple[Any, ...] = (
    -1, 0, 1, 7, 1 << 31, (1 << 63) - 1, -(1 << 63), 1e308, -0.5, float("inf"), "", "x", "\0", "a\0b", "../..",
    b"", b"\xff", b"\0" * 48, "9" * 400, "-1", "1e999", "NaN", "null", "{}", "[]", _DEEP, '{"a": NaN}', "é" * 70_000,
)  # fmt: skip
_JSON: tuple[Any, ...] = (
    None, True, False, -1, 0, 1, 3, 1.5, 1e308, float("nan"), float("inf"), 10**30, 1 << 62, "", "x", "../../x", "\0",
    "9" * 5_000, [], {}, [[1]], {"a": {}}, [1, "x"], "plain", "english", "klingon",
)  # fmt: skip
_PASSAGES: dict[str, tuple[Any, ...]] = {
    "id": ("", "a\0b", "x" * 100_000, "\x1b[2J"),
    "metadata": (
        "", "[1]", "7", "null", "{", _DEEP, '{"a":' * 5_000, '{"call": ' + "9" * 5_000 + "}", '{"call": NaN}',
    ),
    "text": (b"", b"\xff\xfe", b"\xed\xa0\x80", b"a", b"radium " * 20_000, b"\0" * 9, "é".encode() * 99),
    "units": (
        b"", b"\x01", b"\x01\x00\x00", b"\x02\x00\x00", b"\xff" * 50, b"\x01\x01\x00\x01\x7f",
        b"\x01" + b"\xff\xff\xff\xff\x7f" * 2,
    ),
}  # fmt: skip


def odd_value(place: Place) -> str:
    """Put an odd value into a column, in one row or in all."""
    table = place.drawn.choice(list(_COLUMNS))
    column, value = place.drawn.choice(_COLUMNS[table]), place.drawn.choice(_VALUES)
    return _put(place, table, column, value)


def huge_value(place: Place) -> str:
    """Put a huge value into a column that holds few bytes."""
    table = place.drawn.choice([table for table in _COLUMNS if table != "tombstones"])
    column = place.drawn.choice([one for one in _COLUMNS[table] if one != _INTEGER_KEYS.get(table)])
    value = f"zeroblob({_HUGE})" if place.drawn.random() < 0.5 else f"replace(hex(zeroblob({_HUGE // 2})), '0', '[')"
    where = f"{_COLUMNS[table][0]} = (SELECT max({_COLUMNS[table][0]}) FROM {table})"
    if table == "state":
        where = f"name = '{place.drawn.choice(['manifest', 'words', 'calibration', 'generation'])}'"
    place.sql(f"UPDATE OR REPLACE {table} SET {column} = {value} WHERE {where}")
    return f"{value[:8]} of {_HUGE} bytes in {table}.{column}"


def null(place: Place) -> str:
    """Put NULL where it is not allowed."""
    table = place.drawn.choice(["state", "segments", "codecs", "passages"])
    column = place.drawn.choice(_COLUMNS[table][1:])
    (sql,) = place.rows("SELECT sql FROM sqlite_master WHERE name = ?", table)[0]
    loose = sql.replace("NOT NULL", "")
    place.sql(("UPDATE sqlite_master SET sql = ? WHERE name = ?", (loose, table)))
    place.sql(f"UPDATE {table} SET {column} = NULL", ("UPDATE sqlite_master SET sql = ? WHERE name = ?", (sql, table)))
    return f"NULL in {table}.{column}"


def rows(place: Place) -> str:
    """Remove, double or renumber rows."""
    table = place.drawn.choice([table for table in _COLUMNS if table != "words_config"])
    key = _COLUMNS[table][0]
    do = place.drawn.choice(["remove one", "remove all", "renumber", "add"])
    if do == "add":
        number = place.drawn.choice([-5, 70, 10_000, 1 << 40, (1 << 63) - 1])
        values = [
            number if one in (_INTEGER_KEYS.get(table), "segid") else place.drawn.choice(_VALUES)
            for one in _COLUMNS[table]
        ]
        marks = ", ".join("?" for _ in values)
        place.sql((f"INSERT OR REPLACE INTO {table} ({', '.join(_COLUMNS[table])}) VALUES ({marks})", tuple(values)))
    elif do == "renumber":
        shift = place.drawn.choice([1, -1, 1 << 40])
        place.sql(f"UPDATE OR REPLACE {table} SET {key} = {key} + {shift} WHERE typeof({key}) = 'integer'")
    else:
        place.sql(
            f"DELETE FROM {table}" + (f" WHERE {key} = (SELECT max({key}) FROM {table})" if do == "remove one" else "")
        )
    return f"{do}: {table}"


def schema(place: Place) -> str:
    """Put views, triggers, tables, indexes and odd statements into the schema."""
    statements: list[tuple[str, ...]] = [
        ("DROP TABLE tombstones", f"CREATE VIEW tombstones AS {_ENDLESS}"),
        ("DROP TABLE codecs", f"CREATE VIEW codecs AS {_ENDLESS}"),
        ("CREATE TRIGGER t AFTER INSERT ON passages BEGIN DELETE FROM passages WHERE row < new.row; END",),
        ("CREATE TRIGGER t BEFORE UPDATE ON state BEGIN SELECT RAISE(IGNORE); END",),
        ("CREATE TABLE more (x)",),
        ("CREATE INDEX more ON passages (lower(text))",),
        ("ALTER TABLE passages ADD COLUMN more AS (zeroblob(1000000000))",),
        ("DROP TABLE words",),
        ("DROP TRIGGER words_insert",),
        ("DROP TRIGGER words_delete",),
        ("ALTER TABLE passages RENAME COLUMN text TO txt",),
        ("ANALYZE", "UPDATE sqlite_stat1 SET stat = '-1 x 0 999999999999'"),
        ("UPDATE sqlite_master SET sql = 'CREATE TABLE passages (row)' WHERE name = 'passages'",),
        ("UPDATE sqlite_master SET sql = NULL WHERE name = 'segments'",),
        ("UPDATE sqlite_master SET sql = zeroblob(60000000) WHERE name = 'segments'",),
        ("UPDATE sqlite_master SET name = 'x', tbl_name = 'x' WHERE name = 'tombstones'",),
        ("PRAGMA user_version = 77", "PRAGMA application_id = 77"),
        ("PRAGMA journal_mode = DELETE",),
    ]
    chosen = place.drawn.choice(statements)
    place.sql(*chosen)
    return "; ".join(chosen)[:80]


def roots(place: Place) -> str:
    """Let tables begin at pages of other tables, or nowhere."""
    first, second = place.drawn.sample(["state", "segments", "codecs", "passages", "tombstones", "words_data"], 2)
    numbers = dict(place.rows("SELECT name, rootpage FROM sqlite_master"))
    set_root = "UPDATE sqlite_master SET rootpage = ? WHERE name = ?"
    if place.drawn.random() < 0.3:
        place.sql((set_root, (place.drawn.choice([0, 1, 1 << 20, (1 << 31) - 1]), first)))
    else:
        place.sql((set_root, (numbers[second], first)), (set_root, (numbers[first], second)))
    return f"{first} begins where {second} does, or nowhere"


def manifest(place: Place) -> str:
    """Put an odd value into the manifest, in the file and in its copy."""
    values = json.loads((place.folder / "manifest.json").read_text())
    inside = place.drawn.random() < 0.4
    part = values["config"] if inside else values
    key = place.drawn.choice([*part, "more"])
    part[key] = place.drawn.choice(_JSON)
    text = place.drawn.choice([json.dumps(values)] * 6 + [_DEEP, json.dumps(values)[:-1], '{"a":' * 20_000])
    if place.drawn.random() < 0.8:
        place.sql(("UPDATE state SET value = ? WHERE name = 'manifest'", (text,)))
    if place.drawn.random() < 0.8:
        (place.folder / "manifest.json").write_text(text)
    return f"{key} is {part[key]!r:.40}"


def stored_json(place: Place) -> str:
    """Put odd values into the JSON of the database: the files of a segment or codec, or the calibration."""
    value = place.drawn.choice(_JSON)
    if place.drawn.random() < 0.3:
        text = json.dumps(
            {"calibration": {"threshold": value, "temperature": place.drawn.choice(_JSON)}, "head": value}
        )
        record = json.dumps({"stored": text, "checksum": passage_row.hashlib.sha256(text.encode()).hexdigest()})
        place.sql(("INSERT OR REPLACE INTO state VALUES ('calibration', ?)", (record,)))
        return f"the calibration has {value!r:.40}"
    path = place.array()
    size = path.stat().st_size
    entry = place.drawn.choice(
        [value, [value, "x"], [size, value], [-size, "x"], [1 << 62, "x"], [size + 1, "x"], [size, "x", 1]]
    )
    name = place.drawn.choice(
        [path.name, path.name, "more.u8", "../../../outside/precious.txt", "/etc/passwd", "a" * 300]
    )
    place.change_files(path.parent.parent.name, path.parent.name, {name: entry})
    return f"{name:.40} has {entry!r:.40}"


def forged_array(place: Place) -> str:
    """Put odd numbers into an array, with its checksum."""
    path = place.array()
    if path.suffix in (".json", ".safetensors"):
        return _forged_codec(place)
    array = np.fromfile(path, dtype_of(path.name))
    whole = np.iinfo(array.dtype) if array.dtype.kind in "iu" else np.finfo(array.dtype)
    odd = place.drawn.choice([whole.min, whole.max, 0, 1, np.nan if array.dtype.kind == "f" else 3])
    do = place.drawn.choice(["one", "all", "shuffled", "sum kept", "cut", "grown"])
    if not len(array):
        array = np.array([odd, 1, 2], array.dtype)
    elif do == "one":
        array[place.drawn.randrange(len(array))] = odd
    elif do == "all":
        array[:] = odd
    elif do == "shuffled":
        array = np.random.default_rng(place.drawn.randrange(1 << 30)).permutation(array)
    elif do == "sum kept" and len(array) > 1:
        with np.errstate(over="ignore"):
            array[0] += array.dtype.type(100)
            array[-1] -= array.dtype.type(100)
    else:
        array = array[: len(array) // 2] if do == "cut" else np.concatenate([array, array])
    array.tofile(path)
    place.reseal(path)
    return f"{do} {odd} in {path.name}"


def forged_numbers(place: Place) -> str:
    """Let the database tell other numbers of passages and tokens, which add up."""
    first, second = place.rows("SELECT first_row, passages, tokens FROM segments ORDER BY first_row")[:2]
    do = place.drawn.choice(["overlap", "gap", "far", "below"])
    row = {"overlap": first[0] + 1, "gap": second[0] + 5, "far": (1 << 63) - second[1] - 1, "below": -second[1]}[do]
    place.sql(f"UPDATE OR REPLACE segments SET first_row = {row} WHERE first_row = {second[0]}")
    return f"{do}: a segment from row {row} on"


def forged_row(place: Place) -> str:
    """Change a column of a passage, with its checksum."""
    number, *columns = place.drawn.choice(place.rows("SELECT row, id, metadata, text, checksum, units FROM passages"))
    row = passage_row.Row(*columns)
    column = place.drawn.choice(list(_PASSAGES))
    row = row._replace(**{column: place.drawn.choice(_PASSAGES[column])})
    text = row.text if isinstance(row.text, bytes) else b""
    checksum = passage_row._checksum(row.id, row.metadata, text) + passage_row._units_checksum(row.units or b"")
    kept = (row.id, row.metadata, row.text, checksum, row.units, number)
    place.sql(("UPDATE OR REPLACE passages SET id=?, metadata=?, text=?, checksum=?, units=? WHERE row=?", kept))
    return f"{column} {getattr(row, column)!r:.40}"


def _forged_codec(place: Place) -> str:
    """Change the header of a codec's tensors or its config, with the checksums."""
    (path,) = place.folder.glob("codecs/*/codec.safetensors")
    data = path.read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    header, body = json.loads(data[8 : 8 + size]), data[8 + size :]
    name = place.drawn.choice([one for one in header if one != "__metadata__"])
    changes: list[Callable[[], Any]] = [
        lambda: header[name].update(shape=[1 << 40, 1 << 40]),
        lambda: header[name].update(shape=[-1]),
        lambda: header[name].update(data_offsets=[0, 1 << 60]),
        lambda: header[name].update(data_offsets=[8, 0]),
        lambda: header[name].update(dtype="F64"),
        lambda: header[name].update(dtype="odd"),
        lambda: header.update({"more": header[name]}),
        lambda: header.pop(name),
        lambda: header[name].update(shape=list(reversed(header[name]["shape"]))),
    ]
    number = place.drawn.randrange(len(changes) + 3)
    if number < len(changes):
        changes[number]()
        text = json.dumps(header).encode()
        path.write_bytes(struct.pack("<Q", len(text)) + text + body)
    elif number == len(changes):
        path.write_bytes(struct.pack("<Q", (1 << 63) - 1) + data[8:])
    elif number == len(changes) + 1:
        path.write_bytes(data[: 8 + size] + place.drawn.choice([b"\0" * len(body), b"\xff" * len(body)]))
    else:
        path = path.with_name("config.json")
        path.write_text(place.drawn.choice([json.dumps(one) for one in _JSON] + [_DEEP, '{"nbits": NaN}']))
    place.reseal(path)
    return f"forged {path.name}, change {number} of {name}"


def _put(place: Place, table: str, column: str, value: Any) -> str:
    where = place.drawn.choice(["1", f"{_COLUMNS[table][0]} = (SELECT max({_COLUMNS[table][0]}) FROM {table})"])
    if column == _INTEGER_KEYS.get(table) and not isinstance(value, int):
        value = place.drawn.choice([-1, 0, 1 << 40, (1 << 63) - 1])
    place.sql((f"UPDATE OR REPLACE {table} SET {column} = ? WHERE {where}", (value,)))
    return f"{value!r:.30} in {table}.{column}"


DAMAGES: dict[str, Damage] = {
    "odd value in a column": odd_value,
    "huge value in a column": huge_value,
    "NULL in a column": null,
    "rows": rows,
    "schema": schema,
    "root pages": roots,
    "manifest": manifest,
    "JSON in the database": stored_json,
}
# Who forges checksums can write any text: then only what the index does with it is judged.
FORGED: dict[str, Damage] = {
    "forged array": forged_array,
    "forged codec": _forged_codec,
    "forged rows of a segment": forged_numbers,
    "forged passage": forged_row,
}
