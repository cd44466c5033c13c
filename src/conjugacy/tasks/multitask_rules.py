"""The fifteen rules of `MultiTask`: their durations, and the inputs and targets of each epoch of a trial.

Yang et al. (2019), Nature Neuroscience 22:297, in the form of Driscoll et al. (2024), Nature Neuroscience 27:1349, with
the durations, angles and coherences of CtDB. A trial is a row of six epochs (some of no length), and within an epoch
inputs and targets are constant: a `TrialPlan` holds these levels, and `MultiTask` writes them out in time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

RULES = (
    *("DelayPro", "DelayAnti", "MemoryPro", "MemoryAnti", "ReactPro", "ReactAnti"),
    *("IntMod1", "IntMod2", "ContextIntMod1", "ContextIntMod2", "ContextIntMultimodal"),
    *("Match2Sample", "NonMatch2Sample", "MatchCatPro", "MatchCatAnti"),
)
EPOCHS = ("context", "stim1", "mem1", "stim2", "mem2", "response")
RESPONSE = EPOCHS.index("response")
MEANS = (0.8, 1.2)  # of the strengths of two stimuli that are compared
COHERENCES = (0.08, 0.16, 0.32)  # half their difference

N_INPUTS, N_OUTPUTS = (
    5 + len(RULES),
    3,
)  # fixation, cos and sin of two modalities, one channel a rule; fixation, cos, sin

# shortest and longest duration of each epoch in ms; in steps, the longest one is excluded
_DURATIONS = {
    "Delay": ((300, 700), (200, 1500), None, None, None, (300, 700)),
    "Memory": ((300, 700), (200, 1600), (200, 1600), None, None, (300, 700)),
    "React": ((500, 2500), None, None, None, None, (300, 1700)),
    "Int": ((200, 600), (200, 1600), (200, 1600), (200, 1600), (100, 300), (300, 700)),
    "Match": ((200, 600), (200, 1600), (200, 1600), None, None, (300, 700)),
}
_FAMILIES = tuple(_DURATIONS)
_CTDB_NEVER_FIXATES = ("NonMatch2Sample", "MatchCatPro", "MatchCatAnti")


def family(rule: str) -> str:
    """The family that a rule shares its durations with: "Delay", "Memory", "React", "Int" or "Match"."""
    return next(f for f in _FAMILIES if f in rule)


def step_ranges(rule: str, bin_size: float) -> np.ndarray:
    """Fewest and most steps of each epoch, both included, (epoch, 2); epochs that the rule lacks have none."""
    spans = [(0, 0) if ms is None else (int(ms[0] / bin_size), int(ms[1] / bin_size) - 1) for ms in _durations(rule)]
    return np.array(spans)


def _durations(rule: str):
    return _DURATIONS[family(rule)]


def coherence_pairs(multimodal: bool, ctdb: bool) -> np.ndarray:
    """The signed coherences of modality 1 and 2 that occur, all equally often, (pair, 2).

    With `ctdb`, both modalities favour the same stimulus, as in the version that the published network has learned.
    Where the sum of both modalities counts, coherences that cancel would have no right answer and do not occur.
    """
    signed = np.array([sign * size for sign in (-1, 1) for size in COHERENCES])
    pairs = np.stack(np.meshgrid(signed, signed, indexing="ij"), -1).reshape(-1, 2)
    if ctdb:
        pairs = pairs[pairs.prod(1) > 0]
    return pairs[pairs.sum(1) != 0] if multimodal else pairs


@dataclass(frozen=True, eq=False)
class TrialPlan:
    """Trials by epoch, before they are expanded into steps.

    Attributes
    ----------
    rule : array (trial,), int
        Index of the rule in `RULES`.
    steps : array (trial, epoch), int
        Length of each epoch.
    inputs : array (trial, epoch, input), float32
        What is shown in each epoch, without noise.
    targets : array (trial, epoch, output), float32
        What is wanted in each epoch.
    """

    rule: np.ndarray
    steps: np.ndarray
    inputs: np.ndarray
    targets: np.ndarray

    def __getitem__(self, which: np.ndarray) -> TrialPlan:
        return TrialPlan(self.rule[which], self.steps[which], self.inputs[which], self.targets[which])


def draw_plan(rule: np.ndarray, bin_size: float, num_targets: int, ctdb: bool, rng: np.random.Generator) -> TrialPlan:
    """Plans of trials of the rules (trial,) named by their index.

    With `ctdb`, CtDB's targets are kept: none for fixation in the rules `_CTDB_NEVER_FIXATES`, nor in the response
    epoch of trials without a response; and both modalities favour the same stimulus.
    """
    n, names = len(rule), np.array(RULES)[rule]
    is_family = {f: np.isin(rule, [i for i, r in enumerate(RULES) if family(r) == f]) for f in _FAMILIES}
    low, high = np.moveaxis(np.stack([step_ranges(r, bin_size) for r in RULES])[rule], 2, 0)
    steps = rng.integers(low, high + 1)

    ring = np.linspace(-np.pi, np.pi, num_targets, endpoint=False)
    angle1 = ring[rng.integers(0, num_targets, n)]
    angle2 = _second_angles(names, angle1, ring, rng)
    strength = np.ones((n, 2, 2))  # (trial, modality, stimulus)
    strength[:, 1] = 0  # one modality, unless stated otherwise below
    strength[is_family["Int"]] = _strengths(names[is_family["Int"]], ctdb, rng)

    responds, answer = np.ones(n, bool), np.where(np.char.endswith(names, "Anti"), angle1 + np.pi, angle1)
    evidence = strength.sum(1)  # of the modalities that are shown; a context rule attends to one of the two
    for k, attended in ((0, "ContextIntMod1"), (1, "ContextIntMod2")):
        evidence[names == attended] = strength[names == attended, k]
    second_wins = is_family["Int"] & (evidence[:, 1] > evidence[:, 0])
    answer[second_wins] = angle2[second_wins]
    match = is_family["Match"]
    answer[match] = angle2[match]
    same = {
        "Match2Sample": angle1 == angle2,
        "NonMatch2Sample": angle1 + np.pi == angle2,
        "MatchCatPro": (angle1 < 0) == (angle2 < 0),
        "MatchCatAnti": (angle1 < 0) != (angle2 < 0),
    }
    for name, due in same.items():
        responds[names == name] = due[names == name]

    # the two stimuli: cos and sin in each modality
    angles = np.stack([angle1, angle2], 1)
    shown = strength[..., None] * np.stack([np.cos(angles), np.sin(angles)], -1)[:, None]
    shown = shown.transpose(0, 2, 1, 3).reshape(n, 2, 4)
    inputs, targets = np.zeros((n, 6, N_INPUTS), np.float32), np.zeros((n, 6, N_OUTPUTS), np.float32)
    inputs[:, :RESPONSE, 0] = 1
    inputs[is_family["React"] | match, RESPONSE, 0] = 1
    inputs[np.arange(n), :, 5 + rule] = 1
    inputs[:, 1, 1:5] = shown[:, 0]
    inputs[:, 3, 1:5] = shown[:, 1]
    still_there = is_family["Delay"] | is_family["React"]
    inputs[still_there, RESPONSE, 1:5] = shown[still_there, 0]
    inputs[match, RESPONSE, 1:5] = shown[match, 1]
    for empty in (1, 3):  # a stimulus of no duration is shown nowhere
        inputs[steps[:, empty] == 0, empty, 1:5] = 0
    targets[:, :RESPONSE, 0] = 1
    targets[~responds, RESPONSE, 0] = 1
    targets[responds, RESPONSE, 1] = np.cos(answer[responds])
    targets[responds, RESPONSE, 2] = np.sin(answer[responds])
    if ctdb:
        targets[np.isin(names, _CTDB_NEVER_FIXATES), :, 0] = 0
        targets[:, RESPONSE, 0] = 0
    return TrialPlan(rule, steps, inputs, targets)


def _second_angles(names: np.ndarray, angle1: np.ndarray, ring: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Angle of the second stimulus, not wrapped: integration 90 to 270 degrees away, matches as their rule says."""
    n = len(names)
    away = np.deg2rad(rng.uniform(90, 270, n))
    due = rng.random(n) < 0.5
    apart = np.where(due, 0.0, np.deg2rad(rng.integers(10, 350, n)))
    anywhere = ring[rng.integers(0, len(ring), n)]
    angle2 = angle1 + away
    for name, its in (("Match2Sample", angle1 + apart), ("NonMatch2Sample", angle1 + np.pi + apart)):
        angle2 = np.where(names == name, its, angle2)
    return np.where(np.char.startswith(names, "MatchCat"), anywhere, angle2)


def _strengths(names: np.ndarray, ctdb: bool, rng: np.random.Generator) -> np.ndarray:
    """Strength of both stimuli in both modalities, (trial, modality, stimulus): mean +- coherence."""
    n = len(names)
    mean = rng.uniform(*MEANS, (n, 2))
    coherence = np.empty((n, 2))
    for multimodal in (False, True):
        pairs = coherence_pairs(multimodal, ctdb)
        its = (names == "ContextIntMultimodal") == multimodal
        coherence[its] = pairs[rng.integers(0, len(pairs), its.sum())]
    strength = mean[..., None] + coherence[..., None] * np.array([1, -1])
    strength[names == "IntMod1", 1] = 0
    strength[names == "IntMod2", 0] = 0
    return strength
