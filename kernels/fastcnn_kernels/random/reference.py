"""Random numbers from a counter: element i of a stream is a function of (seed, step, stream, i) and of nothing else.

    philox(counter, key)                            Philox4x32-10: four random words for each counter
    words, uniform, normal, truncated_normal        the first `count` elements of a stream
    permutation                                     a shuffle of 0 .. count-1

Every backend's weights and shuffles come from here, and kernels draw the same `uniform` numbers in place. Because element i
depends on i only, a longer draw begins with the shorter one, and the order of drawing does not matter. `stream` tells uses
apart: the op_id of a dropout, the number of a weight.

Source: Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", 2011.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
"""Added to the key every round: the golden ratio and sqrt(3) - 1, as fractions of 2^32."""
ROUNDS = 10
WORD = 0xFFFFFFFF


def philox(counter: tuple[Any, Any, Any, Any], key: tuple[int, int]) -> tuple[Array, Array, Array, Array]:
    """Four uint32 words a counter: (c0, c1, c2, c3) and (k0, k1) are 32-bit numbers, the c may be arrays.

    A round multiplies c0 and c2 by constants and mixes the high halves of the products with c1, c3 and the key.
    """
    c0, c1, c2, c3 = np.broadcast_arrays(*(np.asarray(c, np.uint64) for c in counter))
    k0, k1 = key
    for _ in range(ROUNDS):
        product_0, product_1 = MULTIPLIERS[0] * c0, MULTIPLIERS[1] * c2
        c0, c1, c2, c3 = (
            _high(product_1) ^ c1 ^ np.uint64(k0),
            _low(product_1),
            _high(product_0) ^ c3 ^ np.uint64(k1),
            _low(product_0),
        )
        k0, k1 = (k0 + KEY_STEPS[0]) & WORD, (k1 + KEY_STEPS[1]) & WORD
    return tuple(c.astype(np.uint32) for c in (c0, c1, c2, c3))  # type: ignore[return-value]


def words(seed: int, step: int, stream: int, count: int) -> NDArray[np.uint32]:
    """`count` random words. Word i is word i % 4 of the counter (i//4 low, i//4 high, step low, stream) under the seed."""
    block = np.arange(-(-count // 4), dtype=np.uint64)
    counter = (_low(block), _high(block), step & WORD, stream & WORD)
    drawn = philox(counter, (seed & WORD, seed >> 32 & WORD))
    return np.stack(drawn, axis=-1).reshape(-1)[:count]


def uniform(seed: int, step: int, stream: int, count: int) -> NDArray[np.float32]:
    """`count` numbers in [0, 1): the upper 24 bits of each word, all that a float32 holds."""
    return (words(seed, step, stream, count) >> np.uint32(8)).astype(np.float32) * np.float32(2**-24)


def uniform_limit(rate: float) -> int:
    """The least integer m with m * 2^-24 >= rate as float32: uniform >= rate where the upper 24 bits of the word are >= m."""
    return math.ceil(float(np.float32(rate)) * 2**24)


def normal(seed: int, step: int, stream: int, count: int) -> NDArray[np.float32]:
    """`count` numbers from the standard normal distribution (Box and Muller 1958): two from each pair of words."""
    pairs = words(seed, step, stream, 2 * -(-count // 2)).reshape(-1, 2).astype(np.float64)
    radius = np.sqrt(-2 * np.log((pairs[:, 0] + 1) * 2**-32))
    angle = 2 * np.pi * 2**-32 * pairs[:, 1]
    drawn = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)
    return drawn.reshape(-1)[:count].astype(np.float32)


def truncated_normal(seed: int, step: int, stream: int, count: int) -> NDArray[np.float32]:
    """The first `count` of the stream's normal numbers that lie within two standard deviations (95.4 % of them do).

    Their own standard deviation is 0.8796: an initializer that wants another one scales them.
    """
    drawn = count
    while True:
        drawn += drawn // 8 + 16
        numbers = normal(seed, step, stream, drawn)
        inside = numbers[np.abs(numbers) <= 2]
        if len(inside) >= count:
            return inside[:count]


def permutation(seed: int, step: int, stream: int, count: int) -> NDArray[np.int64]:
    """0 .. count-1 in random order: sorted by 64-bit random keys, equal keys in their original order."""
    pairs = words(seed, step, stream, 2 * count).reshape(-1, 2).astype(np.uint64)
    keys = pairs[:, 0] << np.uint64(32) | pairs[:, 1]
    return np.argsort(keys, kind="stable")


def _low(x: Array) -> Array:
    return x & np.uint64(WORD)


def _high(x: Array) -> Array:
    return x >> np.uint64(32)
