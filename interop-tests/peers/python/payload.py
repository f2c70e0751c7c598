"""Numbered, seeded messages whose every byte can be checked. Every language creates the same ones."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

#: The shortest numbered message: its number and its seed.
SHORTEST = 16
_MASK = (1 << 64) - 1


def words(state: int) -> Iterator[int]:
    """SplitMix64: the words of the stream that starts after `state`."""
    while True:
        state = (state + 0x9E37_79B9_7F4A_7C15) & _MASK
        word = ((state ^ (state >> 30)) * 0xBF58_476D_1CE4_E5B9) & _MASK
        word = ((word ^ (word >> 27)) * 0x94D0_49BB_1331_11EB) & _MASK
        yield word ^ (word >> 31)


def payload(seed: int, number: int, longest: int) -> bytes:
    """Message `number` of the series `seed`, SHORTEST to `longest` bytes: both, then pseudo-random bytes."""
    stream = words(next(words(seed)) ^ number)
    length = SHORTEST + next(stream) % (longest - SHORTEST + 1)
    count = (length - SHORTEST + 7) // 8
    return struct.pack(f"<{2 + count}Q", number, seed, *(next(stream) for _ in range(count)))[:length]


def check(message: bytes, longest: int) -> tuple[int, int]:
    """Return the seed and the number of a message, after comparing all of it with what they imply."""
    if len(message) < SHORTEST:
        raise ValueError(f"a numbered message has {len(message)} bytes, expected {SHORTEST} or more")
    number, seed = struct.unpack_from("<2Q", message)
    expected = payload(seed, number, longest)
    if message != expected:
        pairs = zip(message, expected)
        at = next((index for index, (a, b) in enumerate(pairs) if a != b), min(len(message), len(expected)))
        raise ValueError(
            f"message {number} of series {seed} is torn at byte {at}: "
            f"{len(message)} bytes, expected {len(expected)}"
        )
    return seed, number
