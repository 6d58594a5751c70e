"""What a disk holds of files that a process wrote, if the power goes at some moment.

The calls of a process, as `strace` saw them, are replayed on a model that knows which bytes and which
names are durable: the bytes of a file since its last `fsync`, the names in a folder since the folder's.
SQLite writes in C, so that nothing less than the calls to the kernel shows what it does.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Cut = Literal["strict", "torn", "written"]
CALLS = (
    "openat,open,creat,close,dup,dup2,dup3,fcntl,lseek,write,pwrite64,writev,pwritev,ftruncate,fsync,fdatasync,"
    "rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,rmdir"
)
_SECTOR = 512
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?')
_CALL = re.compile(r"^\d+ +(\w+)\((.*)\) += (\d+)(?:<.*>)?(?:\(deleted\))?(?: \(flags .*\))?$")
_PARTED = re.compile(r"^(\d+) +(\w+\(.*) <unfinished \.\.\.>$")
_RESUMED = re.compile(r"^(\d+) +<\.\.\. \w+ resumed>(.*)$")


@dataclass(frozen=True)
class SystemCall:
    """One successful call to the kernel.

    Args:
        name: Its name.
        args: Its arguments as `strace -y -xx` prints them.
        texts: Every string among them.
        result: What it returned.
    """

    name: str
    args: tuple[str, ...]
    texts: tuple[bytes, ...]
    result: int

    @property
    def descriptor(self) -> int:
        """The first argument, where it is an open file."""
        return int(self.args[0].split("<")[0])


def parse(log: Path) -> Iterator[SystemCall]:
    """Read what `strace -f -y -xx -e trace=CALLS` wrote, without the calls that failed."""
    begun: dict[str, str] = {}
    for line in log.read_text(encoding="ascii").splitlines():
        if parted := _PARTED.match(line):
            begun[parted[1]] = parted[2]
            continue
        resumed = _RESUMED.match(line)
        found = _CALL.match(f"{resumed[1]} {begun.pop(resumed[1])}{resumed[2]}" if resumed else line)
        if found is None:
            continue
        texts = _TEXT.findall(found[2])
        if any(cut for _, cut in texts):
            raise ValueError(f"strace cut a {found[1]} short: give it a longer -s")
        plain = tuple(bytes.fromhex(text.replace("\\x", "")) for text, _ in texts)
        yield SystemCall(found[1], tuple(_TEXT.sub('""', found[2]).split(", ")), plain, int(found[3]))


@dataclass(eq=False)
class _File:
    """A file: its bytes as written, as they were at the last fsync, and the writes since."""

    now: bytearray = field(default_factory=bytearray)
    durable: bytes = b""
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)  # None: cut to that size

    def write(self, where: int, data: bytes | None) -> None:
        _put(self.now, where, data)
        self.pending.append((where, data))

    def sync(self) -> None:
        if self.pending:
            self.durable = bytes(self.now)
            self.pending.clear()


@dataclass(eq=False)
class _Opened:
    """An open file, which copies of a descriptor share."""

    path: str
    node: _File | None  # None: a folder
    position: int = 0


@dataclass(frozen=True)
class _Change:
    """A name that appears, or with no node disappears."""

    path: str
    node: _File | Literal["folder"] | None


class Disk:
    """The model: replay calls, and ask at any moment what would be left.

    Args:
        root: The folder whose content is followed; it is there before and durable.
    """

    def __init__(self, root: Path) -> None:
        """Begin with nothing in the folder."""
        self._root = f"{root}/"
        self._names: dict[str, _File | Literal["folder"]] = {}
        self._durable: dict[str, _File | Literal["folder"]] = {}
        self._pending: list[_Change] = []
        self._journalled = 0  # of the pending changes, those before the last fsync of anything
        self._opened: dict[int, _Opened] = {}

    def replay(self, call: SystemCall) -> bool:
        """Follow one call; False when it does not concern the folder."""
        if call.name in ("open", "openat", "creat"):
            return self._open(call)
        if call.name in ("mkdir", "mkdirat"):
            return self._change(self._path(call), "folder")
        if call.name in ("unlink", "unlinkat", "rmdir"):
            return self._change(self._path(call), None)
        if call.name.startswith("rename"):
            return self._rename(call)
        if call.descriptor not in self._opened:
            return False
        self._use(call, self._opened[call.descriptor])
        return True

    def left(self, cut: Cut, drawn: random.Random) -> dict[str, bytes | None]:
        """Say what is left if the power goes now: paths below the root, None for a folder.

        Args:
            cut: `strict` leaves what fsync made durable, as POSIX promises; `torn` besides, at random,
                some sectors and the first of the changed names, as a journalling file system may;
                `written` everything.
            drawn: Decides what is random.
        """
        names, wanted = dict(self._durable), 0
        if cut != "strict":
            wanted = len(self._pending) if cut == "written" else drawn.randint(self._journalled, len(self._pending))
        for change in self._pending[:wanted]:
            _apply(names, change)
        there = {path: node for path, node in names.items() if all(above in names for above in _above(path))}
        share = drawn.choice([0.0, 0.5, 0.9])
        return {path: self._content(node, cut, share, drawn) for path, node in sorted(there.items())}

    def _content(self, node: _File | Literal["folder"], cut: Cut, share: float, drawn: random.Random) -> bytes | None:
        if node == "folder":
            return None
        if cut == "strict":
            return node.durable
        if cut == "written":
            return bytes(node.now)
        torn = bytearray(node.durable)
        for where, data in node.pending:
            if data is None:
                if drawn.random() < share:
                    _put(torn, where, None)
                continue
            for start in range(0, len(data), _SECTOR):
                if drawn.random() < share:
                    _put(torn, where + start, data[start : start + _SECTOR])
        return bytes(torn)

    def _open(self, call: SystemCall) -> bool:
        self._opened.pop(call.result, None)
        path = self._path(call)
        if path is None:
            return False
        flags = next(argument for argument in call.args if argument.startswith("O_"))
        node = self._names.get(path)
        if node is None and path and "O_CREAT" in flags:
            node = _File()
            self._change(path, node)
        if isinstance(node, _File) and "O_TRUNC" in flags:
            node.write(0, None)
        file = node if isinstance(node, _File) else None
        position = len(file.now) if file is not None and "O_APPEND" in flags else 0
        self._opened[call.result] = _Opened(path, file, position)
        return True

    def _use(self, call: SystemCall, opened: _Opened) -> None:
        """Follow a call on an open file."""
        if call.name == "close":
            del self._opened[call.descriptor]
        elif call.name.startswith("dup") or (call.name == "fcntl" and "F_DUPFD" in call.args[1]):
            self._opened[call.result] = opened
        elif call.name == "lseek":
            opened.position = call.result
        elif call.name in ("fsync", "fdatasync"):
            self._sync(opened)
        elif opened.node is not None and call.name == "ftruncate":
            opened.node.write(int(call.args[1]), None)
        elif opened.node is not None and call.name.startswith("pwrite"):
            opened.node.write(int(call.args[-1]), b"".join(call.texts)[: call.result])
        elif opened.node is not None and call.name.startswith("write"):
            opened.node.write(opened.position, b"".join(call.texts)[: call.result])
            opened.position += call.result

    def _sync(self, opened: _Opened) -> None:
        self._journalled = len(self._pending)
        if opened.node is not None:
            opened.node.sync()
            return
        waiting = []
        for change in self._pending:
            if change.path.rpartition("/")[0] == opened.path:
                _apply(self._durable, change)
            else:
                waiting.append(change)
        self._pending = waiting
        self._journalled = len(waiting)

    def _rename(self, call: SystemCall) -> bool:
        old, new = (self._relative(text.decode()) for text in call.texts)
        if old is None or new is None:
            return False
        node = self._names[old]
        return self._change(new, node) and self._change(old, None)

    def _change(self, path: str | None, node: _File | Literal["folder"] | None) -> bool:
        if path is None:
            return False
        self._pending.append(_Change(path, node))
        _apply(self._names, self._pending[-1])
        return True

    def _path(self, call: SystemCall) -> str | None:
        """Find the path below the root that a call names; an empty one is the root."""
        name = call.texts[-1].decode(errors="surrogateescape")
        if not name.startswith("/") and "<" in call.args[0]:
            at = re.sub(r"\\x([0-9a-f]{2})", lambda pair: chr(int(pair[1], 16)), call.args[0])
            name = f"{at.split('<', 1)[1].rsplit('>', 1)[0]}/{name}"
        return self._relative(name)

    def _relative(self, path: str) -> str | None:
        path = f"{path.rstrip('/')}/"
        return path[len(self._root) : -1] if path.startswith(self._root) else None


def _above(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:depth]) for depth in range(1, len(parts))]


def _apply(names: dict[str, _File | Literal["folder"]], change: _Change) -> None:
    if change.node is None:
        names.pop(change.path, None)
    else:
        names[change.path] = change.node


def _put(content: bytearray, where: int, data: bytes | None) -> None:
    """Write data at a place, or cut or lengthen to it."""
    if data is None:
        del content[where:]
    if len(content) < where:
        content.extend(bytes(where - len(content)))
    if data is not None:
        content[where : where + len(data)] = data
