"""Seed + name -> an independent random stream, and identifiers that say nothing.

Each mechanism draws from a stream of its own, so that toggling one leaves everything else as it was.
"""

import string
import zlib

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

_ALPHABET = np.frombuffer((string.digits + string.ascii_letters).encode(), dtype=np.uint8)
ID_LENGTH = 10


def stream(seed: int, name: str) -> np.random.Generator:
    """Open the random stream of one mechanism of one world."""
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


def make_ids(generator: np.random.Generator, prefix: str, count: int) -> list[str]:
    """Make identifiers shaped like Stripe's: `txn_` and random letters and digits; order and time are not in them."""
    letters = _ALPHABET[generator.integers(0, _ALPHABET.size, size=(count, ID_LENGTH))]
    return [f"{prefix}{tail}" for tail in np.ascontiguousarray(letters).view(f"S{ID_LENGTH}").ravel().astype(str).tolist()] if count else []


def half_up(values: Floats) -> Integers:
    """Round half up to whole minor units; for amounts that are zero or more."""
    return np.floor(values + 0.5).astype(np.int64)
