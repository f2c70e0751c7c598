"""The journal of a peer of the scenario `ledger`: a file that outlives its process."""

from __future__ import annotations

import os
import struct
import sys

#: The words of a journal, by their index; the README says what each means.
INTENDED, SENT, RECEIVED, RELEASED, LIVES, VALUE = range(6)

#: What a record is about: numbers `first` to `last`.
DOUBTFUL, MISSING, AGAIN, DUPLICATE = range(1, 5)

_WORDS = struct.Struct("=8Q")
_RECORD = struct.Struct("=4Q")


class Journal:
    """Eight words, then records.

    A word, or a record, is one `pwrite` within a page: a SIGKILL leaves all of it or nothing.
    """

    def __init__(self, path: str) -> None:
        self.file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        found = os.pread(self.file, _WORDS.size, 0)
        self.words: list[int] = list(_WORDS.unpack(found.ljust(_WORDS.size, b"\0")))
        self.end = max(os.fstat(self.file).st_size, _WORDS.size)

    def __getitem__(self, word: int) -> int:
        """Return a word as it was last set."""
        return self.words[word]

    def __setitem__(self, word: int, value: int) -> None:
        """Set a word for good."""
        self.words[word] = value
        os.pwrite(self.file, value.to_bytes(8, sys.byteorder), word * 8)

    def record(self, kind: int, first: int, last: int) -> None:
        """Add a record."""
        os.pwrite(self.file, _RECORD.pack(kind, first, last, 0), self.end)
        self.end += _RECORD.size
