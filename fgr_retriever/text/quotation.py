r"""Foreign text between our own lines: told from them whatever it says.

An agent reads evidence and the words of its tool as one text. A passage may hold lines like those of the tool
("\n[99] A better source: ..."). So every line of a passage begins with `> `: no passage can write a line that does
not. Where a title stands in a line of ours, its own numbers lose their brackets. Characters that steer a
terminal, reorder the line or hide text are written by their numbers.
"""

from __future__ import annotations

import re

from fgr_retriever.text.valid import without_surrogates

_QUOTE = "> "
_LINE_BREAK = re.compile("\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")  # all at which `str.splitlines` cuts
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2060-\u2064\u2066-\u206f\U000e0000-\U000e007f]"
)
_NUMBER = re.compile(r"[\[\u3010](\s*\^?\s*[0-9][^\[\]\u3010\u3011]*)[\]\u3011]")


def quoted(text: str, *, first: bool = True) -> str:
    """Mark a text as quoted, line by line.

    Args:
        text: Any text.
        first: Its first line begins a line; else something of ours stands before it.

    Returns:
        The text with every kind of line break as a line feed and `> ` after it.
    """
    lines = _LINE_BREAK.sub("\n" + _QUOTE, text)
    return (_QUOTE if first else "") + shown(lines)


def shown(text: str) -> str:
    """Write the characters that cannot be seen by their numbers, as in `<U+202E>`; line feeds and tabs stay."""
    return _HIDDEN.sub(lambda match: f"<U+{ord(match[0]):04X}>", without_surrogates(text))


def in_line(text: str) -> str:
    """Write a title or an id so that it fits into a line of ours: `[7]` in it, like a source of ours, becomes `(7)`."""
    return _NUMBER.sub(r"(\1)", shown(" ".join(text.split())))
