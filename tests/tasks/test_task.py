import numpy as np
import pytest
import torch
from gymnasium.spaces import Box

from conjugacy.tasks import Task, validate
from conjugacy.trials import Trials


class Echo:
    """The smallest task: say what you hear. It inherits from nothing."""

    name, n_timesteps, dt = "echo", 7, 0.02
    observation_space = Box(-np.inf, np.inf, (2,), np.float32)
    context_inputs = Box(-1, 1, (0,), np.float32)
    action_space = Box(-np.inf, np.inf, (2,), np.float32)
    input_labels, output_labels = ["left", "right"], ["left", "right"]

    def trials(self, n, seed):
        x = torch.randn(n, self.n_timesteps, 2, generator=torch.Generator().manual_seed(seed))
        return Trials.from_tensors(x, x)

    def loss(self, rollout, trials):
        return (rollout.outputs - trials.targets).square().mean()

    def success_rate(self, outputs, trials):
        return {"accuracy": float((outputs - trials.targets).abs().lt(0.1).float().mean())}


def test_a_task_of_ones_own_need_not_inherit():
    validate(Echo())
    assert isinstance(Echo(), Task)


def broken(**members):
    return type("Broken", (Echo,), members)()


def test_missing_members_are_all_named():
    class Half:
        name, n_timesteps, dt = "half", 7, 0.02

        def trials(self, n, seed): ...

    with pytest.raises(TypeError) as error:
        validate(Half())
    assert str(error.value).startswith(
        "`task`: Half: a task needs `observation_space`, `context_inputs`, `action_space`, `input_labels`, "
        "`output_labels`, `loss`, `success_rate`, which "
    )


def transposed(self, n, seed):
    t = Echo.trials(self, n, seed)
    return Trials.from_tensors(t.inputs, t.targets[:, :, :1])


def unseeded(self, n, seed):
    generator = torch.Generator()
    generator.seed()
    x = torch.randn(n, 7, 2, generator=generator)
    return Trials.from_tensors(x, x)


def constant(self, n, seed):
    return Trials.from_tensors(torch.ones(n, 7, 2), torch.ones(n, 7, 2))


def double(self, n, seed):
    t = Echo.trials(self, n, seed)
    return Trials.from_tensors(t.inputs.double(), t.targets)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"n_timesteps": 0}, r"^Broken\.n_timesteps: expected an integer >= 1, got 0\.$"),
        ({"dt": 0.0}, r"^Broken\.dt: expected seconds > 0, got 0\.0\.$"),
        ({"action_space": 3}, r"^Broken\.action_space: expected a gymnasium Box of shape \(n,\), got 3\.$"),
        ({"input_labels": ["a"]}, r"^Broken\.input_labels: expected 2 names, one a channel, got 1\.$"),
        ({"trials": lambda *_: 3}, r"^Broken\.trials: expected a conjugacy.Trials, got int\.$"),
        (
            {"trials": transposed},
            r"^Broken\.trials: `targets` has the wrong shape: expected \(4, 7, 2\), got \(4, 7, 1\)\.$",
        ),
        ({"trials": double}, r"^Broken\.trials: expected `inputs` in float32, got torch\.float64\.$"),
        ({"trials": unseeded}, r"the same seed gave other trials"),
        ({"trials": constant}, r"another seed gave the same trials"),
        (
            {"observation_space": Box(-0.1, 0.1, (2,), np.float32)},
            r"observation_space: `inputs` reach .* outside its bounds\. Widen them\.",
        ),
        ({"loss": lambda *_: 0.5}, r"^Broken\.loss: expected a finite, differentiable scalar tensor, got 0\.5\.$"),
        (
            {"success_rate": lambda *_: {"accuracy": 1.5}},
            r"^Broken\.success_rate: expected figures in \[0, 1\], got \{'accuracy': 1\.5\}\.$",
        ),
        (
            {"success_rate": lambda *_: {"hits": 1.0}},
            r"^Broken\.success_rate: expected a dict with the entry 'accuracy', got \{'hits': 1\.0\}\.$",
        ),
    ],
)
def test_what_is_wrong_is_named(members, message):
    with pytest.raises(ValueError, match=message):
        validate(broken(**members))


def test_drawing_from_the_global_generator_is_found():
    def careless(self, n, seed):
        x = torch.randn(n, 7, 2)
        return Trials.from_tensors(x, x)

    with torch.random.fork_rng(), pytest.raises(ValueError, match="changed torch's global random state"):
        validate(broken(trials=careless))
