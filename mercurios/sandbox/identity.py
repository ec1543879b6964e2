"""Identifiers and pseudo-random numbers that are the same on every machine and in every version.

    uuids("north/sale", keys)        # one UUID a row
    mixed("north/sale", keys)        # one 64-bit number a row

Polars' and Python's own hashes may change between versions; these may not, because a warehouse merges by `id`.
"""

import hashlib
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

Keys = npt.NDArray[np.uint64]

_DASHES = (8, 13, 18, 23)
_DIGITS = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)


def mixed(salt: str, keys: Keys) -> Keys:
    """Spread whole numbers over 64 bits (the finaliser of SplitMix64, a bijection for every salt)."""
    seed: Keys = np.frombuffer(hashlib.blake2b(salt.encode(), digest_size=8).digest(), dtype="<u8")
    spread = (keys ^ seed) * np.uint64(0x9E3779B97F4A7C15)
    spread = (spread ^ (spread >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    spread = (spread ^ (spread >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return spread ^ (spread >> np.uint64(31))


def uuids(salt: str, keys: Keys) -> pl.Series:
    """Version 4 shaped UUIDs, one a key, in lower case with dashes."""
    halves = np.stack([mixed(salt + "/high", keys), mixed(salt + "/low", keys)], axis=1)
    octets = halves.astype(">u8").view(np.uint8).reshape(-1, 16)
    octets[:, 6] = octets[:, 6] & 0x0F | 0x40
    octets[:, 8] = octets[:, 8] & 0x3F | 0x80
    text = np.full((len(keys), 36), ord("-"), dtype=np.uint8)
    columns = [column for column in range(36) if column not in _DASHES]
    text[:, columns[0::2]] = _DIGITS[octets >> 4]
    text[:, columns[1::2]] = _DIGITS[octets & 0x0F]
    return _strings(text)


def keys_of(texts: Iterable[str]) -> Keys:
    """One key for each text, equal for equal texts."""
    digests = [hashlib.blake2b(text.encode(), digest_size=8).digest() for text in texts]
    return np.frombuffer(b"".join(digests), dtype="<u8")


def _strings(text: npt.NDArray[np.uint8]) -> pl.Series:
    rows, width = text.shape
    offsets = np.arange(0, (rows + 1) * width, width, dtype=np.int64)
    buffers = [None, pa.py_buffer(offsets.tobytes()), pa.py_buffer(text.tobytes())]
    return pl.Series("id", pl.from_arrow(pa.Array.from_buffers(pa.large_string(), rows, buffers)))
