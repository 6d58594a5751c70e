"""The borders of a text's sentences, phrases and paragraphs, and their bytes beside it in an index.

What is never evidence, such as front matter, lies in no unit, unless the text has nothing else.
The borders are worked out once, when a text is indexed. In bytes they are a row of numbers, each in
seven bits a byte, the lowest first, where a set eighth bit says that the number goes on (LEB128).
The numbers are: the version; how many phrases and how many breaks there are; for each phrase the
distance from the end of the one before, times two, plus one if a sentence begins with it, and its
length; for each break the distance from the one before. A text of 100 tokens takes about 30 bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import regex
from numpy.typing import NDArray
from typing_extensions import Self

from fgr_retriever.errors import IndexCorruptError
from fgr_retriever.text.sentences import Segment, paragraph_breaks, phrases, segments

Ranges: TypeAlias = NDArray[np.int64]  # (n, 2): start and end, ascending

_VERSION = 1
_WORD = regex.compile(r"[\w\p{S}]")
_HEAD = 3  # numbers before the first phrase
_LONGEST = 5  # bytes of a number: 35 bits, more than any text has characters


@dataclass(frozen=True, slots=True, eq=False)
class Units:
    """Where the sentences, phrases and paragraphs of a text begin and end.

    Args:
        sentences: Character range of each sentence, (n, 2) int64, ascending and disjoint.
        phrases: Character range of each phrase, (m, 2) int64, likewise. Every sentence begins where
            its first phrase begins and ends where its last phrase ends.
        breaks: Where the line breaks around each run of blank lines begin, (b,) int64, ascending.
    """

    sentences: Ranges
    phrases: Ranges
    breaks: NDArray[np.int64]

    @classmethod
    def of(cls, text: str) -> Self:
        """Work out the units of a text."""
        return cls._of(text, _audible(text, segments(text)))

    @classmethod
    def near(cls, text: str, positions: NDArray[np.int64]) -> Self:
        """Work out the units of a text, but the phrases only of the sentences that hold some positions.

        Args:
            text: Any text.
            positions: Characters of it, (n,). One between two sentences counts to the one before it.
        """
        return cls._of(text, _audible(text, segments(text)), positions)

    @classmethod
    def holding(cls, text: str, positions: NDArray[np.int64]) -> Self:
        """Work out only the sentences that hold some positions, and their phrases; the others may be one.

        Args:
            text: Any text.
            positions: Characters of it, (n,), ascending.
        """
        return cls._of(text, _audible(text, segments(text, positions.tolist())), positions)

    @classmethod
    def _of(cls, text: str, found: Sequence[Segment], positions: NDArray[np.int64] | None = None) -> Self:
        """Make the units of some segments, the phrases only of those that hold some positions if these are given."""
        wholes = as_ranges([(one.start, one.end) for one in found])
        near = found if positions is None else [found[place] for place in _owners(wholes, positions)]
        clauses = [unit for one in near for unit in phrases(text, *one[:3])]
        return cls(wholes, as_ranges(clauses), np.array(paragraph_breaks(text), dtype=np.int64))

    def to_bytes(self) -> bytes:
        """Encode the units for an index."""
        gaps = self.phrases[:, 0] - np.concatenate([[0], self.phrases[:-1, 1]])
        opens = np.isin(self.phrases[:, 0], self.sentences[:, 0])
        pairs = np.stack([2 * gaps + opens, self.phrases[:, 1] - self.phrases[:, 0]], axis=1)
        steps = np.diff(self.breaks, prepend=0)
        return _encoded([_VERSION, len(pairs), len(steps), *pairs.ravel().tolist(), *steps.tolist()])

    @classmethod
    def from_bytes(cls, data: bytes, size: int) -> Self:
        """Decode the units of one text.

        Args:
            data: What `to_bytes` gave.
            size: Length of the text in characters.

        Raises:
            IndexCorruptError: The bytes are no units, or none of a text of this length.
        """
        return cls.read([data], [size])[0]

    @classmethod
    def read(cls, data: Sequence[bytes], sizes: Sequence[int]) -> list[Self]:
        """Decode the units of some texts, all at once.

        Args:
            data: For each text what `to_bytes` gave.
            sizes: Length of each text in characters.

        Raises:
            IndexCorruptError: The bytes of a text are no units, or none of a text of this length.
        """
        if not data:
            return []
        values, counts = _decoded(data)
        if int(counts.min()) < _HEAD:
            raise _damaged("there are too few numbers")
        first = counts.cumsum() - counts
        version, phrases, breaks = values[first], values[first + 1], values[first + 2]
        if (version != _VERSION).any():
            raise _damaged(f"they are not of version {_VERSION}")
        if (counts != _HEAD + 2 * phrases + breaks).any():
            raise _damaged("there are not as many numbers as there should be")
        borders = list(zip((first + _HEAD).tolist(), (2 * phrases).tolist(), (first + counts).tolist(), strict=True))
        pairs = np.concatenate([values[start : start + number] for start, number, _ in borders]).reshape(-1, 2)
        steps = np.concatenate([values[start + number : end] for start, number, end in borders])
        return cls._made(pairs, phrases, steps, breaks, np.array(sizes, dtype=np.int64))

    @classmethod
    def _made(
        cls,
        pairs: NDArray[np.int64],
        phrases: NDArray[np.int64],
        steps: NDArray[np.int64],
        breaks: NDArray[np.int64],
        sizes: NDArray[np.int64],
    ) -> list[Self]:
        """Make units of the numbers of all texts, of which each has `phrases` pairs and `breaks` steps."""
        opens, lengths = pairs[:, 0] & 1, pairs[:, 1]
        ranges = np.empty_like(pairs)
        ranges[:, 1] = _sums_within((pairs[:, 0] >> 1) + lengths, phrases)
        ranges[:, 0] = ranges[:, 1] - lengths
        places = _sums_within(steps, breaks)
        last, last_break = phrases.cumsum(), breaks.cumsum()
        steps[(last_break - breaks)[breaks > 0]] += 1  # the first one may lie at 0
        wrong = (lengths == 0) | (ranges[:, 1] > sizes.repeat(phrases))
        wrong[(last - phrases)[phrases > 0]] |= opens[(last - phrases)[phrases > 0]] == 0
        if wrong.any() or ((steps == 0) | (places >= sizes.repeat(breaks))).any():
            raise _damaged("they do not fit the text")
        (firsts,) = opens.nonzero()
        wholes = ranges[firsts]
        if len(wholes):
            wholes[:-1, 1] = ranges[firsts[1:] - 1, 1]
            wholes[-1, 1] = ranges[-1, 1]
        cuts = (firsts.searchsorted(last).tolist(), last.tolist(), last_break.tolist())
        pieces = zip(*map(_pieces, (wholes, ranges, places), cuts), strict=True)
        return [cls(*piece) for piece in pieces]


def _audible(text: str, found: list[Segment]) -> list[Segment]:
    """Leave out what is never evidence, unless nothing else has a word."""
    heard = [one for one in found if not one.silent]
    return heard if any(_WORD.search(text, one.start, one.end) for one in heard) else found


def _owners(wholes: Ranges, positions: NDArray[np.int64]) -> list[int]:
    """Number the ranges that hold some positions, or are the last before them."""
    owners = wholes[:, 0].searchsorted(positions, "right") - 1
    found: list[int] = np.unique(np.maximum(owners, 0)).tolist() if len(wholes) else []
    return found


def as_ranges(pairs: Sequence[tuple[int, int]]) -> Ranges:
    """Make an array of starts and ends, (n, 2), also from an empty list."""
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def _pieces(values: NDArray[np.int64], ends: list[int]) -> Iterable[NDArray[np.int64]]:
    """Cut an array into the parts of each text."""
    return [values[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def _sums_within(values: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Sum up the numbers of each text from its first on."""
    sums = np.zeros(len(values) + 1, dtype=np.int64)
    np.cumsum(values, out=sums[1:])
    found: NDArray[np.int64] = sums[1:] - sums[counts.cumsum() - counts].repeat(counts)
    return found


def _encoded(values: Iterable[int]) -> bytes:
    found = bytearray()
    for value in values:
        while value > 0x7F:
            found.append(value & 0x7F | 0x80)
            value >>= 7
        found.append(value)
    return bytes(found)


def _decoded(data: Sequence[bytes]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Read the numbers in the bytes of some texts.

    Returns:
        The numbers, and how many each text has.
    """
    joined = b"".join(data)
    counts = np.array([len(one) for one in data])
    if joined.isascii():
        return np.frombuffer(joined, dtype=np.uint8).astype(np.int64), counts
    read = np.frombuffer(joined, dtype=np.uint8)
    goes_on = read >= 0x80
    borders = counts.cumsum()
    if goes_on[borders[counts > 0] - 1].any():
        raise _damaged("the last number goes on")
    (ends,) = (~goes_on).nonzero()
    starts = np.zeros_like(ends)
    starts[1:] = ends[:-1] + 1
    lengths = ends + 1 - starts
    if int(lengths.max()) > _LONGEST:
        raise _damaged("a number is too large")
    shifts = 7 * (np.arange(len(read)) - starts.repeat(lengths))
    values: NDArray[np.int64] = np.add.reduceat((read & 0x7F).astype(np.int64) << shifts, starts)
    return values, np.diff(ends.searchsorted(borders), prepend=0)


def _damaged(why: str) -> IndexCorruptError:
    return IndexCorruptError(
        f"the borders of a passage's sentences and phrases are damaged ({why}): restore the index from a copy"
    )
