"""The compiled writing of trials, against published vectors and plain loops."""

import numpy as np
import pytest
from scipy import stats

from conjugacy.tasks.multitask_compiled import add_noise, philox, write_levels


# known answers of Random123 (Salmon et al. 2011), file kat_vectors
@pytest.mark.parametrize(
    ("counter", "key", "answer"),
    [
        ([0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
        (
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
            [0xA4093822, 0x299F31D0],
            [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
        ),
    ],
)
def test_random_words_are_philox(counter, key, answer):
    words = [np.array([c, c], np.uint32) for c in counter]
    philox(*(np.uint32(k) for k in key), *words)
    assert [list(w) for w in words] == [[a, a] for a in answer]


def noise(n, t, channels, key, lengths=None, sd=1.0):
    clean, out = np.zeros((n, t, channels), np.float32), np.zeros((n, t, channels), np.float32)
    add_noise(clean, np.full(n, t) if lengths is None else lengths, np.float32(sd), np.uint64(key), out)
    return out


def test_noise_is_normal_to_the_tails():
    z = noise(300, 250, 20, key=7).ravel().astype(float)
    n = len(z)
    assert stats.kstest(z, "norm").pvalue > 1e-3
    for beyond in (2.0, 3.0, 4.0):
        share = 2 * stats.norm.sf(beyond)
        assert abs((abs(z) > beyond).sum() - n * share) < 5 * np.sqrt(n * share)
    assert 4.7 < abs(z).max() < 6.8


def test_noise_is_independent_between_steps_channels_trials_and_keys():
    z = noise(200, 100, 20, key=7).astype(float)
    other = noise(200, 100, 20, key=8).astype(float)
    for a, b in (
        (z[:, 1:], z[:, :-1]),
        (z[:, 25:], z[:, :-25]),
        (z[:, 50:], z[:, :-50]),
        (z[..., 1:], z[..., :-1]),
        (z[1:], z[:-1]),
        (z, other),
    ):
        assert abs((a * b).mean()) < 5 / np.sqrt(a.size)
        assert abs((a**2 * b**2).mean() - 1) < 5 * 3 / np.sqrt(a.size)
    assert len(np.unique(z)) > 0.9 * z.size


def test_noise_of_a_trial_does_not_depend_on_the_others_and_stops_at_its_end():
    lengths = np.array([7, 3, 11])
    z = noise(3, 11, 5, key=9, lengths=lengths, sd=0.5)
    for k, n in enumerate(lengths):
        assert z[k, :n].all() and not z[k, n:].any()
    np.testing.assert_array_equal(z[:2], noise(2, 11, 5, key=9, lengths=lengths[:2], sd=0.5))
    np.testing.assert_allclose(z, 0.5 * noise(3, 11, 5, key=9, lengths=lengths), rtol=1e-6)
    with_levels = np.full((3, 11, 5), 2, np.float32)
    out = np.zeros_like(with_levels)
    add_noise(with_levels, lengths, np.float32(0.5), np.uint64(9), out)
    inside = np.arange(11) < lengths[:, None]
    np.testing.assert_allclose(out[inside] - 2, z[inside], atol=1e-6)


def test_levels_are_written_epoch_after_epoch():
    rng = np.random.default_rng(0)
    levels = rng.standard_normal((4, 3, 5)).astype(np.float32)
    steps = np.array([[2, 0, 3], [1, 1, 1], [0, 0, 0], [4, 2, 1]])
    out = np.zeros((4, 7, 5), np.float32)
    write_levels(levels, steps, out)
    for k in range(4):
        want = np.repeat(levels[k], steps[k], axis=0)
        np.testing.assert_array_equal(out[k, : len(want)], want)
        assert not out[k, len(want) :].any()
