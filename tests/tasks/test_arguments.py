"""What tasks refuse, and how they say it: all tasks alike."""

import numpy as np
import pytest
import torch

import conjugacy as cj
from conjugacy import tasks

SMALL = {name: getattr(kind, "small", kind) for name, kind in vars(tasks).items() if name in tasks.__all__}
ALL = ["NBitFlipFlop", "ContextualIntegration", "MultiTask", "RandomTarget", "PathIntegration", "PhaseCodedMemory"]


@pytest.fixture(scope="module", params=ALL)
def task(request):
    return SMALL[request.param]()


@pytest.mark.parametrize("n", [0, "3", 2.5, None, True, 10**30, float("nan"), np.ones((2, 3)), torch.float16])
def test_numbers_of_trials(task, n):
    with pytest.raises(ValueError, match=r"^`n`: expected .*, got .*It is the number of trials.$"):
        task.trials(n, 0)


@pytest.mark.parametrize("seed", [-1, "0", 1.5, None, False, torch.zeros(2, 2), task])
def test_seeds(task, seed):
    with pytest.raises(ValueError, match=r"^`seed`: expected an integer >= 0, got "):
        task.trials(2, seed)


def test_outputs_and_rollouts_that_are_not_of_the_trials(task):
    trials = task.trials(3, 0)
    good = torch.zeros_like(trials.targets)
    for wrong in (good[..., :-1], good[:, :-1], good[:2], good[None], good[:0]):
        with pytest.raises(ValueError, match=r"^`outputs`: expected the shape of the targets of `trials`, .*, got \("):
            task.success_rate(wrong, trials)
        with pytest.raises(ValueError, match=r"^`rollout.outputs`: expected the shape"):
            task.loss(cj.Rollout(wrong, wrong, wrong), trials)
    for wrong in (None, "x", good.numpy(), 3.0):
        with pytest.raises(TypeError, match=r"^`outputs`: expected a tensor "):
            task.success_rate(wrong, trials)
        with pytest.raises(TypeError, match=r"^`rollout`: expected a Rollout, got "):
            task.loss(wrong, trials)
        with pytest.raises(TypeError, match=r"^`trials`: expected a Trials, got "):
            task.success_rate(good, wrong)
    with pytest.raises(TypeError, match=r"^`trials`: expected a Trials, got the class Trials"):
        task.success_rate(good, cj.Trials)


@pytest.mark.parametrize("wrong", [None, 3, "NBitFlipFlop", tasks.NBitFlipFlop, {1, 2}, float("inf")])
def test_what_is_no_task(wrong):
    for size in (tasks.input_size, tasks.output_size):
        with pytest.raises(TypeError, match=r"^`task`: expected a task, got "):
            size(wrong)


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        ("PathIntegration", {"position": "False"}, "`position`: expected True or False, got 'False'"),
        ("RandomTarget", {"bump_inside": "no"}, "`bump_inside`: expected True or False, got 'no'"),
        ("RandomTarget", {"effector": cj.arm.RigidTendonArm26}, "`effector`: expected an arm of .*got the class"),
        ("RandomTarget", {"target_onset": [0.1, "x"]}, r"`target_onset\[1\]`: expected a number in .*, got 'x'"),
        ("RandomTarget", {"target_onset": torch.full((2, 3), 1.0)}, "`target_onset`: .*got Tensor of shape"),
        ("RandomTarget", {"max_ep_duration": "1"}, "`max_ep_duration`: expected a number in .*, got '1'"),
        ("RandomTarget", {"n_directions": 10**30}, "`n_directions`: expected at most 10000, got 1000"),
        ("ContextualIntegration", {"coherences": "0.1"}, "`coherences`: expected a sequence of numbers, got '0.1'"),
        ("ContextualIntegration", {"coherences": 0.1}, "`coherences`: expected a sequence of numbers, got 0.1"),
        ("ContextualIntegration", {"coherences": {0.1}}, "`coherences`: expected a sequence of numbers, got {0.1}"),
        ("ContextualIntegration", {"coherences": np.array([0.1, np.nan])}, r"`coherences\[1\]`: .*got nan"),
        ("ContextualIntegration", {"dt": 0.5}, "`dt`: expected a time step of which .* got 0.5 s"),
        ("ContextualIntegration", {"duration": 1e300}, "`duration`: expected fewer than 10000000 steps .* got 1e.300"),
        ("PhaseCodedMemory", {"cue": (0.1, None)}, r"`cue\[1\]`: expected a number in .*, got None"),
        ("PhaseCodedMemory", {"cue": (0.1, 0.2, 0.3)}, r"`cue`: expected a number or a pair .*, got 3, \(0.1"),
        (
            "PoissonClicks",
            {"noise": np.ones((2, 2))},
            r"`noise`: expected a number in .*, got ndarray of shape \(2, 2\)",
        ),
        ("PoissonClicks", {"noise": 1e300}, r"`noise`: expected at most 1e\+06, got 1e\+300"),
        ("MultiTask", {"batches": np.array(["mixed"])}, r"`batches`: expected one of .*, got ndarray of shape \(1,\)"),
        ("MultiTask", {"rules": 3}, "`rules`: expected a list of names, got 3"),
        ("MultiTask", {"latent_l2": torch.float16}, r"`latent_l2`: .*, got torch.float16 \(dtype\)"),
    ],
)
def test_settings(kind, arguments, message):
    with pytest.raises((TypeError, ValueError), match=rf"^{message}") as refused:
        getattr(tasks, kind)(**arguments)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("pair", [(0.1, 0.2), [0.1, 0.2], np.array([0.1, 0.2])])
def test_a_pair_may_be_any_sequence_and_one_number_stands_for_two(pair):
    assert tasks.RandomTarget(target_onset=pair).target_onset == [0.1, 0.2]
    assert tasks.RandomTarget(bump_force=np.float64(7)).bump_force == [7.0, 7.0]
