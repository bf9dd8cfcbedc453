"""Philox against the published vectors, and what the streams made from it promise."""

import numpy as np
import pytest
from fastcnn_kernels.random.reference import normal, permutation, philox, truncated_normal, uniform, words

# kat_vectors of the Random123 library: philox4x32, 10 rounds.
KNOWN = (
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
)
STREAMS = (words, uniform, normal, truncated_normal)


def numbers(text: str) -> tuple[int, ...]:
    return tuple(int(word, 16) for word in text.split())


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN)
def test_philox_gives_the_published_words(counter, key, expected):
    assert tuple(int(word) for word in philox(numbers(counter), numbers(key))) == numbers(expected)


def test_words_are_the_words_of_consecutive_counters():
    seed, step, stream = (0xA4093822 | 0x299F31D0 << 32), 0x13198A2E, 0x03707344
    expected = [philox((block, 0, step, stream), (0xA4093822, 0x299F31D0)) for block in range(3)]
    assert words(seed, step, stream, 11).tolist() == np.ravel(expected)[:11].tolist()


@pytest.mark.parametrize("draw", STREAMS)
def test_a_longer_draw_begins_with_the_shorter_one(draw):
    assert draw(3, 1, 4, 1000)[:123].tolist() == draw(3, 1, 4, 123).tolist()


@pytest.mark.parametrize("draw", [*STREAMS, permutation])
def test_seed_step_and_stream_each_change_everything(draw):
    drawn = {draw(*key, 50).tobytes() for key in ((0, 0, 0), (1, 0, 0), (1 << 32, 0, 0), (0, 1, 0), (0, 0, 1))}
    assert len(drawn) == 5


@pytest.mark.parametrize("draw", [*STREAMS, permutation])
def test_nothing_is_drawn_where_nothing_is_asked_for(draw):
    assert draw(0, 0, 0, 0).shape == (0,)


def test_a_negative_seed_is_its_64_bits():
    assert words(-1, 0, 0, 4).tolist() == words(2**64 - 1, 0, 0, 4).tolist()


def test_uniform_fills_the_half_open_unit_interval_evenly():
    u = uniform(7, 0, 0, 1 << 18)
    assert u.dtype == np.float32
    assert u.min() >= 0
    assert u.max() < 1
    assert np.all(u * 2**24 == np.floor(u * 2**24))
    counts = np.histogram(u, 64, (0, 1))[0]
    # Chi-square with 63 degrees of freedom: mean 63, standard deviation 11.2.
    assert 20 < np.sum((counts - 4096.0) ** 2 / 4096) < 120


def test_normal_has_the_moments_and_the_tails_of_the_normal_distribution():
    z = normal(7, 0, 0, 1 << 18).astype(np.float64)
    # Standard errors at n = 2^18: mean 0.002, variance 0.0028, kurtosis 0.0096.
    assert abs(z.mean()) < 0.01
    assert abs(z.var() - 1) < 0.014
    assert abs((z**4).mean() - 3) < 0.05
    assert abs(np.mean(np.abs(z) > 2) - 0.0455) < 0.002
    assert abs(np.mean(z[0::2] * z[1::2])) < 0.01


def test_truncated_normal_stays_within_two_standard_deviations():
    z = truncated_normal(7, 0, 0, 1 << 18)
    assert np.abs(z).max() <= 2
    assert abs(float(z.astype(np.float64).std()) - 0.8796) < 0.005


def test_truncated_normal_is_the_normal_stream_without_its_tails():
    z = normal(3, 0, 9, 400)
    assert truncated_normal(3, 0, 9, 300).tolist() == z[np.abs(z) <= 2][:300].tolist()


@pytest.mark.parametrize("count", [1, 2, 1000])
def test_permutation_holds_every_number_once(count):
    assert sorted(permutation(1, 2, 3, count).tolist()) == list(range(count))


def test_every_position_of_a_permutation_is_equally_likely():
    firsts = [int(permutation(0, 0, stream, 5)[0]) for stream in range(2000)]
    assert all(320 < count < 480 for count in np.bincount(firsts, minlength=5))
