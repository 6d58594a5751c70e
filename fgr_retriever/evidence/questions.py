"""Encode questions, and remember the last ones: agents ask again, and several lists are trimmed for one question."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from fgr_retriever.evidence.token_evidence import Question, check_query
from fgr_retriever.model.tokens import TokenEncoder

REMEMBERED = 64  # questions, at most 8 MB of vectors 128 wide


class Questions:
    """Encodes questions; safe to use from several threads.

    Args:
        encoder: The model.
    """

    def __init__(self, encoder: TokenEncoder) -> None:
        """Remember nothing yet."""
        self._encoder = encoder
        self._recent: dict[str, Question] = {}  # the last one that was asked for comes last
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type[Questions], tuple[TokenEncoder]]:
        """Copy and pickle the model alone."""
        return Questions, (self._encoder,)

    def encode(self, texts: Sequence[str]) -> list[Question]:
        """Encode questions that are not remembered, each once.

        Raises:
            InputError: A question is not a string or is blank.
        """
        for text in texts:
            check_query(text)
        different = list(dict.fromkeys(texts))
        with self._lock:
            found = {text: self._recent.pop(text) for text in different if text in self._recent}
        missing = [text for text in different if text not in found]
        if missing:
            found |= zip(missing, Question.encode(self._encoder, missing), strict=True)
        with self._lock:
            self._recent |= {text: found[text] for text in different}
            for text in list(self._recent)[:-REMEMBERED]:
                del self._recent[text]
        return [found[text] for text in texts]
