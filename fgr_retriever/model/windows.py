"""Texts to model-sized windows of token ids that remember their characters.

A text is tokenized piece by piece (cut at white space, so memory stays bounded for any length) and
laid out in overlapping windows. Each token belongs to exactly one window, the one in which it has
more context on both sides, so a long text is still one passage with one vector a token.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fgr_retriever.errors import CheckpointError
from fgr_retriever.model.token_model import Tokenizer
from fgr_retriever.text.valid import without_surrogates

# Characters tokenized at once: large enough to be fast, small enough to bound memory.
_PIECE_CHARS = 100_000
_SPACES = re.compile(r"\s+")
_SPACE_CODES = np.array([code for code in range(0x3001) if chr(code).isspace()], dtype=np.uint32)


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """One input of the model.

    Args:
        ids: Token ids with special tokens and marker, (n,) int64.
        offsets: Characters of each token in the original text, (n, 2) int32; special tokens and
            marker have empty ranges.
        owned: True where the token's vector is taken from this window, (n,) bool.
        first: True for the first window of its text.
        last: True for the last window of its text.
    """

    ids: NDArray[np.int64]
    offsets: NDArray[np.int32]
    owned: NDArray[np.bool_]
    first: bool
    last: bool


class Windows:
    """Cuts texts into windows for one model.

    Args:
        tokenizer: A fast Hugging Face tokenizer.
        marker: The passage marker, such as `[D] `; may be empty.
        maxlen: Most tokens in a window, special tokens and marker included.
    """

    def __init__(self, tokenizer: Tokenizer, marker: str, maxlen: int) -> None:
        # A copy: truncation and padding are settings of the tokenizer object, which the model shares.
        backend = type(tokenizer.backend_tokenizer).from_str(tokenizer.backend_tokenizer.to_str())
        backend.no_truncation()
        backend.no_padding()
        probe = backend.encode("a")
        special = np.array(probe.special_tokens_mask, dtype=bool)
        inner = np.flatnonzero(~special)
        first, after = (inner[0], inner[-1] + 1) if len(inner) else (len(special), len(special))
        marker_ids = backend.encode(marker, add_special_tokens=False).ids if marker else []
        self._backend = backend
        self._head = np.array([*probe.ids[:first], *marker_ids], dtype=np.int64)
        self._tail = np.array(probe.ids[after:], dtype=np.int64)
        self._room = maxlen - len(self._head) - len(self._tail)
        if self._room < 2:
            raise CheckpointError(
                f"document length {maxlen} leaves no room for text beside {maxlen - self._room} special tokens"
            )
        self._overlap = self._room // 4

    def tokens(self, text: str) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Tokenize one short text with its special tokens, whose ranges are empty.

        Args:
            text: Any text; it is tokenized at once and never cut.

        Returns:
            Token ids, (n,) int64, and their character ranges without white space, (n, 2) int32.
        """
        known = without_surrogates(text)
        encoding = self._backend.encode(known)
        offsets = _without_spaces(known, np.array(encoding.offsets, dtype=np.int32).reshape(-1, 2))
        offsets[np.array(encoding.special_tokens_mask, dtype=bool)] = 0
        return np.array(encoding.ids, dtype=np.int64), offsets

    def of(self, text: str) -> Iterator[Window]:
        """Cut one text; an empty text gives one window of special tokens only."""
        ids, offsets = np.zeros(0, np.int64), np.zeros((0, 2), np.int32)
        first = True
        for piece_ids, piece_offsets in self._tokenize(text):
            ids, offsets = np.concatenate([ids, piece_ids]), np.concatenate([offsets, piece_offsets])
            start = 0
            while len(ids) - start > self._room:
                stop = start + self._room
                yield self._window(ids[start:stop], offsets[start:stop], len(text), first, last=False)
                start, first = stop - self._overlap, False
            ids, offsets = ids[start:], offsets[start:]
        yield self._window(ids, offsets, len(text), first, last=True)

    def _window(
        self, ids: NDArray[np.int64], offsets: NDArray[np.int32], end: int, first: bool, *, last: bool
    ) -> Window:
        owned = np.ones(len(ids), dtype=bool)
        # Of an overlap, the earlier window owns the first half and the later one the rest.
        if not first:
            owned[: self._overlap // 2] = False
        if not last:
            owned[len(ids) - (self._overlap - self._overlap // 2) :] = False
        return Window(
            np.concatenate([self._head, ids, self._tail]),
            np.concatenate([_empty(len(self._head), 0), offsets, _empty(len(self._tail), end)]),
            # Special tokens count once in a passage: the leading ones first, the trailing ones last.
            np.concatenate([np.full(len(self._head), first), owned, np.full(len(self._tail), last)]),
            first,
            last,
        )

    def _tokenize(self, text: str) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int32]]]:
        for start, stop in _pieces(text):
            piece = without_surrogates(text[start:stop])
            encoding = self._backend.encode(piece, add_special_tokens=False)
            offsets = np.array(encoding.offsets, dtype=np.int32).reshape(-1, 2)
            yield np.array(encoding.ids, dtype=np.int64), _without_spaces(piece, offsets) + np.int32(start)


def model_input(windows: Sequence[Window], tokenizer: Tokenizer) -> dict[str, Any]:
    """Pad windows to what a model takes, (b, t)."""
    longest = max(len(window.ids) for window in windows)
    ids = np.full((len(windows), longest), tokenizer.pad_token_id or 0, dtype=np.int64)
    mask = np.zeros((len(windows), longest), dtype=np.int64)
    for row, window in enumerate(windows):
        ids[row, : len(window.ids)] = window.ids
        mask[row, : len(window.ids)] = 1
    features: dict[str, Any] = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}
    if "token_type_ids" in tokenizer.model_input_names:
        features["token_type_ids"] = torch.zeros_like(features["input_ids"])
    return {**features, "modality": "text"}


def aligned(
    ids: NDArray[np.int64], attended: NDArray[np.bool_], expected: NDArray[np.int64], places: NDArray[np.int32]
) -> NDArray[np.int32]:
    """Give the characters of the tokens of one row of model input, (t, 2); empty for what the text does not have.

    Args:
        ids: The row, (t,).
        attended: True where it is no padding, (t,).
        expected: Tokens of the whole text, (n,).
        places: Their characters, (n, 2).
    """
    first = int(attended.argmax())  # some tokenizers pad on the left
    size = min(len(expected), len(ids) - first)
    # A query that was cut is the same up to there.
    same = np.logical_and.accumulate(ids[first : first + size] == expected[:size])
    found = np.zeros((len(ids), 2), np.int32)
    found[first : first + size][same] = places[:size][same]
    return found


def batches(lengths: NDArray[np.int64], batch_tokens: int) -> Iterator[list[int]]:
    """Group rows of similar length, longest first, so that a padded batch has few wasted tokens."""
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        size = max(1, batch_tokens // int(lengths[order[start]]))
        yield [int(i) for i in order[start : start + size]]
        start += size


def _pieces(text: str) -> Iterator[tuple[int, int]]:
    """Cut a text at white space into ranges of about `_PIECE_CHARS` characters."""
    start = 0
    while len(text) - start > _PIECE_CHARS:
        space = _SPACES.search(text, start + _PIECE_CHARS, start + 2 * _PIECE_CHARS)
        stop = space.start() if space else start + _PIECE_CHARS
        yield start, stop
        start = stop
    if start < len(text):
        yield start, len(text)


def _without_spaces(piece: str, offsets: NDArray[np.int32]) -> NDArray[np.int32]:
    """Leave out the space that byte-level and SentencePiece tokenizers count to the next word."""
    if not len(offsets):
        return offsets
    size = len(piece)
    codes = np.frombuffer(piece.encode("utf-32-le"), dtype=np.uint32)
    at = np.arange(size, dtype=np.int32)
    space = np.isin(codes, _SPACE_CODES)
    # For each position the next character that is no space, and one past the last before it.
    following = np.append(np.minimum.accumulate(np.where(space, size, at)[::-1])[::-1], size)
    preceding = np.insert(np.maximum.accumulate(np.where(space, 0, at + 1)), 0, 0)
    starts, ends = offsets[:, 0], offsets[:, 1]
    new_starts = np.minimum(following[starts], ends)
    return np.stack([new_starts, np.maximum(preceding[ends], new_starts)], axis=1).astype(np.int32)


def _empty(count: int, at: int) -> NDArray[np.int32]:
    return np.full((count, 2), at, dtype=np.int32)
