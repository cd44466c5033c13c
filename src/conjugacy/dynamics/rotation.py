"""Averages over quasi-periodic orbits that converge fast, rotation numbers, and the frequencies of a torus.

Weighted Birkhoff averages: with the weights exp(-1 / (s (1 - s))) of the times s in (0, 1), means over a smooth
quasi-periodic orbit converge faster than any power of its length, those over a chaotic one like its inverse square root
(Das, Saiki, Sander & Yorke 2017, Nonlinearity 30:4111). So the average tells a frequency to many digits, and the number
of digits on which two halves of an orbit agree tells quasi-periodic motion from chaos (Sander & Meiss 2020, Physica D
411:132569).
"""

from __future__ import annotations

import numpy as np


def weights(n: int) -> np.ndarray:
    """Weights (n,) of a weighted Birkhoff average, of sum 1."""
    s = (np.arange(n) + 1) / (n + 1)
    w = np.exp(-1 / (s * (1 - s)))
    return w / w.sum()


def birkhoff(values: np.ndarray) -> np.ndarray:
    """Weighted Birkhoff averages of series (n, ..) along their first axis."""
    return np.tensordot(weights(len(values)), values, 1)


def digits(path: np.ndarray) -> float:
    """Decimal digits to which averages over the two halves of orbits (B, n, D) agree, the median over orbits.

    Smooth functions of the state are averaged; digits are relative to their spread.
    """
    half = path.shape[1] // 2
    spread = np.sqrt(path.var(1).sum(-1)).mean() + 1e-300
    waves = np.cos(3 * (path - path.mean((0, 1))) / spread)
    first = np.stack([birkhoff(o[:half]) for o in waves])
    second = np.stack([birkhoff(o[half : 2 * half]) for o in waves])
    off = np.abs(first - second).max(-1)
    return float(np.median(-np.log10(np.maximum(off, 1e-16))))


def rotation_number(phases: np.ndarray) -> tuple[float, float]:
    """Mean advance of a phase (in turns, (B, n) or (n,)) per step, in (0, 1), and its error.

    The advance is made a continuous function of the phase first: only then are a step back by a little and one ahead by
    nearly a turn told apart. The error is the difference between halves and between orbits.
    """
    phases = np.atleast_2d(phases)
    ahead = (phases[:, 1:] - phases[:, :-1]) % 1.0
    start = phases[:, :-1]
    order = np.argsort(start, axis=None)
    flat = ahead.reshape(-1)
    flat[order] = np.unwrap(flat[order], period=1.0)
    ahead = flat.reshape(ahead.shape)
    half = len(ahead[0]) // 2
    whole = np.array([birkhoff(row) for row in ahead])
    parts = np.array([[birkhoff(row[:half]), birkhoff(row[half : 2 * half])] for row in ahead])
    # halves are half as long, so they overstate the error of the whole
    error = max(float(np.ptp(whole)), float(np.abs(parts - whole[:, None]).max()) / 4)
    return float(whole.mean()), error


def frequencies(path: np.ndarray, n_lines: int = 12) -> np.ndarray:
    """The strongest frequencies (cycles a step, in (0, 1/2]) of an orbit (n, D), refined, strongest first."""
    n = len(path)
    centred = path - path.mean(0)
    axes = np.linalg.svd(centred[:: max(1, n // 2000)], full_matrices=False)[2][:3]
    window = np.hanning(n)[:, None] ** 2
    spectrum = np.fft.rfft(window * (centred @ axes.T), axis=0)
    power = (np.abs(spectrum) ** 2).sum(1)
    peak = (power[1:-1] > power[:-2]) & (power[1:-1] >= power[2:])
    places = 1 + np.nonzero(peak)[0]
    places = places[np.argsort(-power[places])][:n_lines]
    places = places[power[places] > 1e-8 * power[places[0]]] if len(places) else places
    log = np.log(power + 1e-300)
    a, b, c = log[places - 1], log[places], log[places + 1]
    shift = 0.5 * (a - c) / np.minimum(a - 2 * b + c, -1e-12)
    return (places + np.clip(shift, -0.5, 0.5)) / n


def independent(lines: np.ndarray, n: int, most: int = 3, highest: int = 12) -> list[float]:
    """Frequencies of which the strong `lines` are whole combinations (modulo 1), strongest first, at most `most`.

    n : int
        Length of the orbit: lines are told apart from 1 / n on.
    """
    chosen: list[float] = []
    for line in lines:
        if len(chosen) == most:
            break
        orders = np.arange(-highest, highest + 1)
        sums = np.zeros(1)
        for f in chosen:
            sums = (sums[:, None] + f * orders).ravel()
        off = np.abs((sums - line + 0.5) % 1.0 - 0.5).min()
        if off > 2.0 / n:
            chosen.append(float(line))
    return chosen
