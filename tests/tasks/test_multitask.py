import re
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure

from conjugacy.tasks import MultiTask, validate
from conjugacy.trials import Rollout

RULES = MultiTask.RULES
BINS = "It is in milliseconds; the shortest response takes 300."
EPOCHS = ("context", "stim1", "mem1", "stim2", "mem2", "response")
# durations in ms, written down once more: CtDB's, the upper end excluded in whole bins
MS = {
    "Delay": [(300, 700), (200, 1500), (0, 0), (0, 0), (0, 0), (300, 700)],
    "Memory": [(300, 700), (200, 1600), (200, 1600), (0, 0), (0, 0), (300, 700)],
    "React": [(500, 2500), (0, 0), (0, 0), (0, 0), (0, 0), (300, 1700)],
    "Int": [(200, 600), (200, 1600), (200, 1600), (200, 1600), (100, 300), (300, 700)],
    "Match": [(200, 600), (200, 1600), (200, 1600), (0, 0), (0, 0), (300, 700)],
}
FAMILY = {rule: next(f for f in MS if f in rule) for rule in RULES}


def one(trials, k):
    """A trial as NumPy arrays: noiseless inputs, targets, spans of the epochs."""
    return (
        trials.true_inputs[k].numpy(),
        trials.targets[k].numpy(),
        {n: e[k].tolist() for n, e in trials.epochs.items()},
    )


def shown(inputs, span, modality):
    """The constant (cos, sin) of a modality in an epoch."""
    block = inputs[slice(*span), 2 * modality - 1 : 2 * modality + 1]
    assert (block == block[0]).all()
    return block[0].astype(float)


def angle(xy):
    return float(np.arctan2(xy[1], xy[0]))


def apart(a, b):
    """Degrees between two angles, in [0, 180]."""
    return abs(np.degrees((a - b + np.pi) % (2 * np.pi) - np.pi))


def expected_answer(rule, inputs, span):
    """Angle of the response that the stimuli of a trial ask for, or None: the rules in words, one trial at a time."""
    family = FAMILY[rule]
    if family in ("Delay", "React", "Memory"):
        first = angle(shown(inputs, span["response"] if family == "React" else span["stim1"], 1))
        return first + np.pi if rule.endswith("Anti") else first
    if family == "Int":
        by_rule = {"IntMod1": [1], "IntMod2": [2], "ContextIntMod1": [1], "ContextIntMod2": [2]}
        attended = by_rule.get(rule, [1, 2])
        strength = [sum(np.hypot(*shown(inputs, span[s], m)) for m in attended) for s in ("stim1", "stim2")]
        assert abs(strength[0] - strength[1]) > 0.15
        return angle(shown(inputs, span["stim1" if strength[0] > strength[1] else "stim2"], attended[0]))
    first, second = angle(shown(inputs, span["stim1"], 1)), angle(shown(inputs, span["response"], 1))
    tiny = 1e-5
    # -pi belongs to the angles below 0, and comes back from arctan2 as +pi
    below = [x < -tiny or x > np.pi - tiny for x in (first, second)]
    alike = below[0] == below[1]
    due = {
        "Match2Sample": apart(first, second) < 0.01,
        "NonMatch2Sample": apart(first, second) > 179.99,
        "MatchCatPro": alike,
        "MatchCatAnti": not alike,
    }[rule]
    return second if due else None


@settings(max_examples=12, deadline=None)
@given(
    rule=st.sampled_from(RULES),
    bin_size=st.sampled_from([10, 20, 25, 33.3, 50, 75]),
    seed=st.integers(0, 2**31),
    variant=st.sampled_from(["standard", "ctdb"]),
)
def test_every_channel_of_every_trial_is_what_its_rule_says(rule, bin_size, seed, variant):
    task = MultiTask([rule], bin_size=bin_size, variant=variant)
    trials = task.trials(20, seed)
    family, index = FAMILY[rule], RULES.index(rule)
    assert (trials.conditions == index).all()
    silent = variant == "ctdb" and rule in ("NonMatch2Sample", "MatchCatPro", "MatchCatAnti")
    for k in range(len(trials)):
        inputs, targets, span = one(trials, k)
        length = span["response"][1]
        # epochs follow one another and have the durations of the rule
        edges = [0] + [span[name][1] for name in EPOCHS]
        assert [span[name][0] for name in EPOCHS] == edges[:-1] and edges[-1] == length <= task.n_timesteps
        for (low, high), name in zip(MS[family], EPOCHS):
            steps = span[name][1] - span[name][0]
            assert int(low / bin_size) <= steps <= max(int(high / bin_size) - 1, 0)
        go, step = span["response"][0], np.arange(task.n_timesteps)
        inside, before = step < length, step < go
        # fixation, rule, and nothing on other rules or after the end
        held_on = inside if family in ("React", "Match") else before
        np.testing.assert_array_equal(inputs[:, 0], held_on)
        np.testing.assert_array_equal(inputs[:, 5:], inside[:, None] & (np.arange(15) == index))
        assert not inputs[length:].any() and not targets[length:].any()
        # stimuli: which modality in which epoch, and nowhere else
        where = {
            "Delay": {1: ["stim1", "response"]},
            "Memory": {1: ["stim1"]},
            "React": {1: ["response"]},
            "Match": {1: ["stim1", "response"]},
            "Int": {m: ["stim1", "stim2"] for m in (1, 2) if rule not in (f"IntMod{3 - m}",)},
        }[family]
        for modality in (1, 2):
            on = np.zeros(task.n_timesteps, bool)
            for name in where.get(modality, []):
                on[slice(*span[name])] = True
                assert np.hypot(*shown(inputs, span[name], modality)) > 0.4
            assert not inputs[~on, 2 * modality - 1 : 2 * modality + 1].any()
        # targets
        answer = expected_answer(rule, inputs, span)
        fixate = before & (not silent)
        if answer is None and variant == "standard":
            fixate = inside
        np.testing.assert_array_equal(targets[:, 0], fixate)
        assert not targets[:go, 1:].any()
        wanted = (0, 0) if answer is None else (np.cos(answer), np.sin(answer))
        np.testing.assert_allclose(targets[go:length, 1:] - np.array(wanted), 0, atol=1e-5)
        # mask: all but five steps, 100 ms of the response and the padding
        counts = inside & (step >= 5) & (before | (step >= go + int(100 / bin_size)))
        np.testing.assert_array_equal(trials.mask[k], np.repeat(counts[:, None], 3, 1))


@pytest.fixture(scope="module")
def many():
    return MultiTask(noise=0).trials(15 * 400, seed=5)


def of(trials, rule):
    return trials[trials.conditions == RULES.index(rule)]


def uniform(counts, total):
    """Counts of equally likely outcomes, within 5 standard errors each."""
    p = 1 / len(counts)
    return (abs(counts - total * p) <= 5 * np.sqrt(total * p * (1 - p))).all()


@pytest.mark.parametrize("rule", RULES)
def test_durations_are_uniform_over_their_whole_bins(many, rule):
    trials = of(many, rule)
    for (low, high), name in zip(MS[FAMILY[rule]], EPOCHS):
        steps = (trials.epochs[name][:, 1] - trials.epochs[name][:, 0]).numpy()
        outcomes = np.arange(low // 20, max(high // 20, 1))
        counts = (steps[:, None] == outcomes).sum(0)
        assert counts.sum() == len(trials) == 400
        assert uniform(counts, 400)


@pytest.mark.parametrize("rule", RULES)
def test_first_angles_are_uniform_on_the_ring(many, rule):
    trials = of(many, rule)
    name, modality = ("response" if FAMILY[rule] == "React" else "stim1"), (2 if rule == "IntMod2" else 1)
    angles = [angle(shown(x, e[name], modality)) for x, _, e in (one(trials, k) for k in range(len(trials)))]
    places = (np.array(angles) + np.pi) / (2 * np.pi / 32)
    assert np.allclose(places, places.round(), atol=1e-4)
    assert uniform(np.bincount(places.round().astype(int) % 32, minlength=32), 400)


@pytest.mark.parametrize("variant", ["standard", "ctdb"])
@pytest.mark.parametrize("rule", [r for r in RULES if "Int" in r])
def test_strengths_are_a_mean_and_a_coherence_for_each_modality(rule, variant):
    trials = MultiTask([rule], noise=0, variant=variant).trials(900, 3)
    modalities = {"IntMod1": [1], "IntMod2": [2]}.get(rule, [1, 2])
    signed = {}
    for modality in modalities:
        pairs = np.array(
            [
                [np.hypot(*shown(x, e[s], modality)) for s in ("stim1", "stim2")]
                for x, _, e in (one(trials, k) for k in range(len(trials)))
            ]
        )
        mean, coherence = pairs.mean(1), (pairs[:, 0] - pairs[:, 1]) / 2
        assert 0.8 <= mean.min() < 0.81 and 1.19 < mean.max() <= 1.2
        assert abs(mean.mean() - 1) < 5 * 0.4 / np.sqrt(12 * 900)
        kinds = np.array([-0.32, -0.16, -0.08, 0.08, 0.16, 0.32])
        nearest = abs(coherence[:, None] - kinds).argmin(1)
        assert abs(coherence - kinds[nearest]).max() < 1e-5
        assert uniform(np.bincount(nearest, minlength=6), 900)
        signed[modality] = kinds[nearest]
    if len(modalities) == 2:
        agree = (np.sign(signed[1]) == np.sign(signed[2])).mean()
        if variant == "ctdb":
            assert agree == 1
        elif rule == "ContextIntMultimodal":
            assert abs(signed[1] + signed[2]).min() > 0.07  # one stimulus is stronger
            assert abs(agree - 18 / 30) < 5 * 0.5 / 30
        else:
            assert abs(agree - 0.5) < 5 * 0.5 / 30


def test_the_second_stimulus_of_integration_is_90_to_270_degrees_away(many):
    for rule in (r for r in RULES if "Int" in r):
        trials, modality = of(many, rule), 2 if rule == "IntMod2" else 1
        seen = (one(trials, k) for k in range(len(trials)))
        turns = [angle(shown(x, e["stim2"], modality)) - angle(shown(x, e["stim1"], modality)) for x, _, e in seen]
        turns = np.degrees(np.array(turns)) % 360
        assert 89.99 < turns.min() < 95 and 265 < turns.max() < 270.01
        assert abs(turns.mean() - 180) < 5 * 180 / np.sqrt(12 * 400)


@pytest.mark.parametrize("rule", ["Match2Sample", "NonMatch2Sample", "MatchCatPro", "MatchCatAnti"])
def test_half_of_the_match_trials_ask_for_a_response_and_the_others_are_as_far_off_as_stated(many, rule):
    trials = of(many, rule)
    due = trials.targets[torch.arange(400), trials.epochs["response"][:, 0], 1:].norm(dim=1) > 0.5
    assert abs(due.float().mean() - 0.5) < 5 * 0.5 / 20
    if rule.endswith("Sample"):
        seen = (one(trials, k) for k in np.flatnonzero(~due))
        turns = [angle(shown(x, e["response"], 1)) - angle(shown(x, e["stim1"], 1)) for x, _, e in seen]
        turns = np.degrees(np.array(turns) - (np.pi if rule.startswith("Non") else 0)) % 360
        assert np.allclose(turns, turns.round(), atol=1e-3)
        assert 10 <= turns.round().min() < 40 and 320 < turns.round().max() <= 349


def test_noise_is_on_all_channels_and_not_in_the_padding():
    trials = MultiTask(noise=0.3).trials(300, 2)
    noise = trials.inputs - trials.true_inputs
    inside = torch.arange(trials.n_timesteps) < trials.epochs["response"][:, 1:]
    assert not noise[~inside].any()
    its = noise[inside]
    assert abs(its.mean(0)).max() < 5 * 0.3 / np.sqrt(len(its))
    assert abs(its.std(0) - 0.3).max() < 5 * 0.3 / np.sqrt(2 * len(its))
    correlation = np.corrcoef(its.T.numpy()) - np.eye(20)
    assert abs(correlation).max() < 5 / np.sqrt(len(its))
    after = (noise[:, 1:] * noise[:, :-1])[inside[:, 1:]]
    assert abs(after.mean()) < 5 * 0.09 / np.sqrt(after.numel())
    kurtosis = (its / 0.3).pow(4).mean() - 3
    assert abs(kurtosis) < 5 * np.sqrt(24 / its.numel())


def test_same_seed_same_trials_other_seed_others():
    task = MultiTask()
    assert task.trials(20, 3).digest() == task.trials(20, 3).digest() == MultiTask().trials(20, 3).digest()
    assert task.trials(20, 3).digest() != task.trials(20, 4).digest()
    assert task.trials(20, 3).digest() != MultiTask(variant="ctdb").trials(20, 3).digest()
    assert task.training_trials(8, 3, 5, 1.0).digest() == MultiTask().training_trials(8, 3, 5, 1.0).digest()


@settings(max_examples=20, deadline=None)
@given(rules=st.lists(st.sampled_from(RULES), min_size=1, max_size=15, unique=True), seed=st.integers(0, 99))
def test_any_subset_is_dealt_evenly_over_every_slice(rules, seed):
    conditions = MultiTask(rules, noise=0).trials(3 * len(rules) + 1, seed).conditions.numpy()
    for deal in range(3):
        got = conditions[deal * len(rules) : (deal + 1) * len(rules)]
        assert sorted(got) == sorted(RULES.index(r) for r in rules)


@pytest.mark.parametrize("variant", ["standard", "ctdb"])
@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_is_a_valid_task_whatever_rules_it_has(noise, variant):
    validate(MultiTask(noise=noise, variant=variant))
    validate(MultiTask(["IntMod2"], noise=noise, variant=variant, bin_size=50))
    assert MultiTask(["ReactPro"]).observation_space.shape == (20,)


def test_lengths_follow_from_the_rules_and_the_bins():
    assert MultiTask().n_timesteps == 29 + 79 + 79 + 79 + 14 + 34
    assert MultiTask(["DelayPro"]).n_timesteps == 34 + 74 + 34
    assert MultiTask(n_timesteps=640).trials(2, 0).n_timesteps == 640


def test_training_batches_hold_trials_of_like_length_and_all_rules_alike_over_a_pool():
    task = MultiTask()
    pool = [task.training_trials(30, 1, step, 0.5) for step in range(8)]
    counts = sum(np.bincount(b.conditions, minlength=15) for b in pool)
    np.testing.assert_array_equal(counts, [24 if "Int" in rule else 12 for rule in RULES])
    spans = sorted((int(b.epochs["response"][:, 1].min()), int(b.epochs["response"][:, 1].max())) for b in pool)
    assert all(before[1] <= after[0] for before, after in pairwise(spans))
    assert [b.last_counted_step() for b in pool] != sorted(b.last_counted_step() for b in pool)


def test_the_noise_of_training_trials_grows_to_its_size():
    task = MultiTask(noise=0.3)
    for progress, sd in ((0.0, 0.1), (0.15, 0.2), (0.3, 0.3), (1.0, 0.3)):
        trials = task.training_trials(64, 1, 3, progress)
        inside = torch.arange(trials.n_timesteps) < trials.epochs["response"][:, 1:]
        its = (trials.inputs - trials.true_inputs)[inside]
        assert abs(its.std() - sd) < 5 * sd / np.sqrt(2 * its.numel())


def test_grouped_batches_take_the_rules_in_turn():
    task = MultiTask(batches="grouped")
    batches = [task.training_trials(4, 1, step, 0.5) for step in range(30)]
    assert all(len(b.conditions.unique()) == 1 for b in batches)
    first, second = (sorted(int(b.conditions[0]) for b in batches[k : k + 15]) for k in (0, 15))
    assert first == second == list(range(15))
    assert batches[0].digest() != batches[15].digest()


def reference_loss(task, outputs, trials):
    """One trial and one step after the other, as the docstring says it."""
    total = weights = 0.0
    for k in range(len(trials)):
        go, end = trials.epochs["response"][k].tolist()
        for t in range(end):
            weight = 1.0 if t < go else task.response_weight
            if t < 5 or go <= t < go + 5:
                weight = 0.0
            total += weight * float((outputs[k, t] - trials.targets[k, t]).double().square().sum())
            weights += 3 * weight
    return total / weights


def test_loss_equals_a_plain_loop_and_ignores_the_padding():
    task = MultiTask(response_weight=3.0)
    trials = task.trials(7, 1)
    outputs = torch.randn(trials.targets.shape, generator=torch.Generator().manual_seed(0))
    loss = task.loss(Rollout(outputs, outputs), trials)
    assert loss.item() == pytest.approx(reference_loss(task, outputs, trials), rel=1e-5)
    changed = outputs.clone()
    changed[torch.arange(trials.n_timesteps) >= trials.epochs["response"][:, 1:]] = 1e3
    assert task.loss(Rollout(changed, changed), trials) == loss
    longer = MultiTask(response_weight=3.0, n_timesteps=400).trials(7, 1)
    padded = torch.nn.functional.pad(outputs, (0, 0, 0, 400 - trials.n_timesteps))
    assert task.loss(Rollout(padded, padded), longer).item() == pytest.approx(loss.item(), rel=1e-6)


def test_latent_penalty_is_the_mean_square_within_the_trials():
    task = MultiTask(["DelayPro"], latent_l2=0.5)
    trials = task.trials(3, 1)
    latents = torch.full((3, trials.n_timesteps, 7), 2.0)
    latents[torch.arange(trials.n_timesteps) >= trials.epochs["response"][:, 1:]] = 9.0
    assert task.loss(Rollout(latents, trials.targets), trials).item() == pytest.approx(0.5 * 4)


def turned(targets, degrees):
    """Targets with the response turned by an angle."""
    a = np.radians(degrees)
    out = targets.clone()
    out[..., 1], out[..., 2] = (
        np.cos(a) * targets[..., 1] - np.sin(a) * targets[..., 2],
        np.sin(a) * targets[..., 1] + np.cos(a) * targets[..., 2],
    )
    return out


def test_success_needs_the_direction_within_18_degrees():
    task = MultiTask()
    trials = task.trials(150, 4)
    assert task.success_rate(trials.targets, trials) == {"accuracy": 1.0, **{f"accuracy/{r}": 1.0 for r in RULES}}
    assert task.success_rate(turned(trials.targets, 17.9), trials)["accuracy"] == 1
    assert task.success_rate(turned(trials.targets, -17.9), trials)["accuracy"] == 1
    rates = task.success_rate(turned(trials.targets, 18.1), trials)
    assert all(rates[f"accuracy/{rule}"] == 0 for rule in RULES[:11])
    still = of(trials, "Match2Sample").targets[:, :, 1:].norm(dim=2).amax(1) < 0.5
    assert rates["accuracy/Match2Sample"] == pytest.approx(still.float().mean())


def test_success_where_no_response_is_due_needs_stillness_and_fixation():
    trials = MultiTask(["Match2Sample"]).trials(60, 4)
    task = MultiTask(["Match2Sample"])
    still = trials.targets[:, :, 1:].norm(dim=2).amax(1) < 0.5
    assert 0 < still.sum() < 60
    quiet = torch.zeros_like(trials.targets)
    quiet[..., 0] = 1
    assert task.success_rate(quiet, trials)["accuracy"] == pytest.approx(still.float().mean())
    small = quiet.clone()
    small[..., 1] = -0.29  # a response of either sign counts, unlike in CtDB's signed sum
    assert task.success_rate(small, trials)["accuracy"] == pytest.approx(still.float().mean())
    small[..., 1] = -0.31
    assert task.success_rate(small, trials)["accuracy"] == 0
    let_go = trials.targets.clone()
    let_go[..., 0] = 0
    assert task.success_rate(let_go, trials)["accuracy"] == 0
    ctdb = MultiTask(["Match2Sample"], variant="ctdb")
    assert ctdb.success_rate(let_go, trials)["accuracy"] == 1


def test_breaking_fixation_before_the_response_fails_the_trial():
    task = MultiTask()
    trials = task.trials(30, 4)
    early = trials.targets.clone()
    early[torch.arange(trials.n_timesteps) < trials.epochs["response"][:, :1]] = 0
    assert task.success_rate(early, trials)["accuracy"] == 0
    right = task.successes(early, trials)
    assert right["response"].all() and right["moved"].all() and not right["fixation"].any()


def test_renders_a_figure_of_each_rule():
    figures = MultiTask(["IntMod1", "ReactAnti"]).render(seed=1)
    assert len(figures) == 2 and all(isinstance(f, Figure) for f in figures)
    assert [f.get_suptitle().split(":")[0] for f in figures] == ["IntMod1", "ReactAnti"]
    from conjugacy.plots.multitask import trial

    task = MultiTask()
    trials = task.trials(2, 0)
    assert trial(task, trials, 1, outputs=trials.targets).get_suptitle().startswith(RULES[trials.conditions[1]])


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"rules": []}, "`rules`: expected at least one rule, got []. Leave it out for all fifteen."),
        (
            {"rules": "IntMod1"},
            "`rules`: expected a list of names, got 'IntMod1'. Write ['IntMod1'] for a single rule.",
        ),
        ({"num_targets": 0}, "`num_targets`: expected an integer >= 1, got 0. It is the number of angles on the ring."),
        ({"noise": -1}, "`noise`: expected a number in [0, inf), got -1. It is a standard deviation."),
        ({"bin_size": 0}, f"`bin_size`: expected a number in [1, 75], got 0. {BINS}"),
        ({"bin_size": 100}, f"`bin_size`: expected a number in [1, 75], got 100. {BINS}"),
        (
            {"n_timesteps": 100, "rules": ["DelayPro"]},
            "`n_timesteps`: expected an integer >= 142, got 100. These rules have trials of up to 142 steps of 20 ms.",
        ),
        ({"variant": "yang"}, "`variant`: expected one of 'standard', 'ctdb', got 'yang'."),
        ({"batches": "group"}, "`batches`: expected one of 'mixed', 'grouped', got 'group'. Did you mean 'grouped'?"),
        (
            {"response_weight": 0},
            "`response_weight`: expected a number in (0, inf), got 0. It is a weight in the loss.",
        ),
        ({"latent_l2": -1}, "`latent_l2`: expected a number in [0, inf), got -1. It is a weight in the loss."),
    ],
)
def test_bad_arguments_are_named(args, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        MultiTask(**args)


def test_an_unknown_rule_is_named_with_the_nearest_one():
    with pytest.raises(
        ValueError, match=r"^`rules`: expected one of 'DelayPro', .*, got 'DelayPo'\. Did you mean 'DelayPro'\?$"
    ):
        MultiTask(["DelayPo"])
    with pytest.raises(ValueError, match=r"^`n`: expected an integer >= 1, got 0\. It is the number of trials\.$"):
        MultiTask().trials(0, 0)
    with pytest.raises(
        ValueError,
        match=r"^`outputs`: expected the shape of the targets of `trials`, \(3, 314, 3\), got \(3, 314, 2\)\.",
    ):
        MultiTask().success_rate(torch.zeros(3, 314, 2), MultiTask().trials(3, 0))
