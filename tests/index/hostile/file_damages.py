"""Damaged folders: files that are missing, changed, swapped, linked, or no files at all."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import struct
from pathlib import Path

from tests.index.hostile.place import DATABASE, Damage, Place

UNPLAYABLE_JOURNAL = b"no journal" + bytes.fromhex("d9d505f920a163d7")  # the mark after a name, but no head before it
_PAGE = 4096


def missing(place: Place) -> str:
    """Remove a file or a folder."""
    path = place.drawn.choice([place.file(), place.array().parent, place.array().parent.parent])
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    return f"{path.name} is missing"


def extra(place: Place) -> str:
    """Put more files and folders there."""
    parent = place.drawn.choice([place.folder, place.array().parent, place.array().parent.parent])
    name = place.drawn.choice(
        ["notes.txt", "0" * 32, "..hidden", "a\nb", "%00", "manifest.json.1.tmp", "dense", "é" * 60]
    )
    path = parent / name
    if place.drawn.random() < 0.5:
        path.mkdir()
        path = path / "more"
    path.write_bytes(place.bytes(100))
    return f"{name!r} is there, too"


def shorter(place: Place) -> str:
    """Cut the end of a file off."""
    path = place.file()
    kept = place.drawn.choice([0, 1, path.stat().st_size // 2, max(0, path.stat().st_size - 1)])
    os.truncate(path, kept)
    return f"{path.name} has {kept} bytes"


def longer(place: Place) -> str:
    """Add bytes to a file, or a hole of gigabytes."""
    path = place.file()
    more = place.drawn.choice([1, 7, _PAGE, 1 << 20, 1 << 33])
    if more > 1 << 20:
        os.truncate(path, path.stat().st_size + more)
    else:
        with path.open("ab") as file:
            file.write(place.bytes(more))
    return f"{path.name} has {more} bytes more"


def bits(place: Place) -> str:
    """Flip some bits of a file."""
    path, count = place.file(), place.drawn.choice([1, 1, 3, 64])
    content = bytearray(path.read_bytes())
    for _ in range(count):
        content[place.drawn.randrange(len(content))] ^= 1 << place.drawn.randrange(8)
    path.write_bytes(content)
    return f"{count} bits of {path.name}"


def overwritten(place: Place) -> str:
    """Overwrite a part of a file by zeros, ones or noise."""
    path = place.file()
    content = bytearray(path.read_bytes())
    start = place.drawn.randrange(len(content))
    size = min(place.drawn.choice([8, 100, _PAGE]), len(content) - start)
    content[start : start + size] = place.drawn.choice([bytes(size), b"\xff" * size, place.bytes(size)])
    path.write_bytes(content)
    return f"{size} bytes of {path.name} from {start} on"


def swapped_within(place: Place) -> str:
    """Swap two files of the index."""
    first, second = place.file(), place.file()
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)
    return f"{first.parent.name[:4]}/{first.name} for {second.parent.name[:4]}/{second.name}"


def swapped_with_other(place: Place) -> str:
    """Take a file or a whole folder of another index."""
    path = place.file()
    fellow = place.fellow(path)
    if place.drawn.random() < 0.3 and path.parent != place.folder:
        shutil.rmtree(path.parent)
        shutil.copytree(fellow.parent, path.parent)
        return f"the folder of {path.name} is of another index"
    shutil.copyfile(fellow, path)
    return f"{path.name} is of another index"


def linked(place: Place) -> str:
    """Put a link in the place of a file or a folder."""
    path = place.drawn.choice([place.file(), place.array(), place.array().parent, place.array().parent.parent])
    kept = place.outside / f"moved from {place.folder.name}" / path.name
    targets = [place.outside, place.outside / "precious.txt", Path("/dev/zero"), Path("nowhere"), path, kept]
    target = place.drawn.choice(targets)
    if target == kept:  # the right content behind a link: an honest move
        kept.parent.mkdir(exist_ok=True)
        shutil.move(path, kept)
    else:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    path.symlink_to(target)
    return f"{path.name} is a link to {target.name}"


def linked_files(place: Place) -> str:
    """Put links in the place of the temporary files that SQLite or we would write."""
    name = place.drawn.choice([f"{DATABASE}-wal", f"{DATABASE}-shm", f"{DATABASE}-journal", "writer.lock", "lost.jsonl",
                               "writer.lock-journal", "writer.lock-wal"])  # fmt: skip
    (place.folder / name).unlink(missing_ok=True)
    (place.folder / name).symlink_to(place.outside / place.drawn.choice(["precious.txt", "new"]))
    return f"{name} is a link"


def no_file(place: Place) -> str:
    """Put something else in the place of a file."""
    path = place.drawn.choice([place.file(), place.folder / "writer.lock", place.folder / f"{DATABASE}-wal",
                               place.folder / f"{DATABASE}-shm", place.folder / "lost.jsonl"])  # fmt: skip
    path.unlink(missing_ok=True)
    kind = place.drawn.choice(["pipe", "folder", "socket", "device"])
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
        (path / "precious.txt").write_text("mine")
    elif kind == "device" and os.getuid() == 0:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5))  # /dev/zero
    else:
        with socket.socket(socket.AF_UNIX) as listening:
            here = os.open(path.parent, os.O_RDONLY)  # the whole path may be too long for a socket
            listening.bind(f"/proc/self/fd/{here}/{path.name}")
            os.close(here)
    return f"{path.name} is a {kind}"


def no_folder(place: Place) -> str:
    """Put a file in the place of a folder."""
    path = place.drawn.choice([place.array().parent, place.array().parent.parent])
    shutil.rmtree(path)
    path.write_bytes(place.bytes(100))
    return f"{path.name} is a file"


def database_header(place: Place) -> str:
    """Write odd numbers into the header of the database."""
    path = place.folder / DATABASE
    content = bytearray(path.read_bytes())
    start, size = place.drawn.choice([(16, 2), (18, 1), (19, 1), (20, 1), (24, 4), (28, 4), (32, 4), (36, 4), (40, 4),
                                      (44, 4), (52, 4), (56, 4), (60, 4), (92, 4)])  # fmt: skip
    value = place.drawn.choice([0, 1, 2, 3, 512, 0x10000, (1 << 31) - 1, (1 << 32) - 1]) % (1 << 8 * size)
    content[start : start + size] = value.to_bytes(size, "big")
    path.write_bytes(content)
    return f"{value} at {start} of the database"


def wrong_page(place: Place) -> str:
    """Swap two pages of the database, or copy one over another."""
    path = place.folder / DATABASE
    content = bytearray(path.read_bytes())
    first, second = (_PAGE * place.drawn.randrange(1, len(content) // _PAGE) for _ in range(2))
    page = content[first : first + _PAGE]
    if place.drawn.random() < 0.5:
        content[first : first + _PAGE] = content[second : second + _PAGE]
    content[second : second + _PAGE] = page
    path.write_bytes(content)
    return f"pages {first // _PAGE} and {second // _PAGE}"


def log(place: Place) -> str:
    """Leave a log, its index or a journal that somebody made."""
    end = place.drawn.choice(["-wal", "-shm", "-journal"])
    path = place.folder / f"{place.drawn.choice([DATABASE, DATABASE, 'writer.lock'])}{end}"
    if place.drawn.random() < 0.3:
        path.write_bytes(b"SQLite format 3\0" + place.bytes(_PAGE))
    elif end == "-wal":  # one frame with a whole page of noise, with the checksums of the format
        path.write_bytes(_wal(place.bytes(_PAGE), place.drawn.randrange(1, 40)))
    elif end == "-journal":
        path.write_bytes(place.bytes(_PAGE))
    else:
        path.write_bytes(place.bytes(1 << 15))
    return f"{path.name} of somebody else"


def forged_journal(place: Place) -> str:
    """Leave something that ends like a journal of several databases; SQLite itself could not play it back."""
    name = place.drawn.choice([DATABASE, "writer.lock"])
    (place.folder / f"{name}-journal").write_bytes(UNPLAYABLE_JOURNAL)
    if place.drawn.random() < 0.5:  # as if the index had not been finished
        (place.folder / "manifest.json").unlink()
    return f"{name}-journal names a file"


def _wal(page: bytes, number: int) -> bytes:
    """Make a log with one page, as https://sqlite.org/fileformat2.html gives it."""

    def summed(data: bytes, first: int = 0, second: int = 0) -> tuple[int, int]:
        for one, two in struct.iter_unpack("<II", data):
            first = (first + one + second) & 0xFFFFFFFF
            second = (second + two + first) & 0xFFFFFFFF
        return first, second

    head = struct.pack(">IIIIII", 0x377F0682, 3007000, _PAGE, 0, 7, 9)
    sums = summed(head)
    frame = struct.pack(">II", number, 40)
    last = summed(frame + page, *sums)
    return head + struct.pack(">II", *sums) + frame + struct.pack(">IIII", 7, 9, *last) + page


DAMAGES: dict[str, Damage] = {
    "missing file": missing,
    "extra file": extra,
    "cut file": shorter,
    "grown file": longer,
    "flipped bits": bits,
    "overwritten": overwritten,
    "swapped files": swapped_within,
    "file of another index": swapped_with_other,
    "link": linked,
    "link for a log": linked_files,
    "no plain file": no_file,
    "no folder": no_folder,
    "SQLite: header": database_header,
    "SQLite: wrong page": wrong_page,
    "SQLite: log or journal": log,
    "SQLite: journal that names a file": forged_journal,
}
