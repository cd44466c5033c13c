"""The compiled closed loop against the plain one, and when it is chosen."""

import pytest
import torch

from conjugacy import networks, rollout
from conjugacy.arm import ReluMuscle, RigidTendonArm26, RigidTendonHillMuscle
from conjugacy.tasks import RandomTarget

SHORT = {"max_ep_duration": 0.4, "target_onset": (0.05, 0.1), "min_reach": 0.1, "bump_duration": (0.05, 0.1)}
CASES = {
    "documented": (RandomTarget(**SHORT), False),
    "clipped commands": (RandomTarget(variant="neuromatch", **SHORT), False),
    "delays": (RandomTarget(vision_delay=0.05, proprioception_delay=0.02, **SHORT), False),
    "noise": (RandomTarget(vision_delay=0.02, vision_noise=0.01, proprioception_noise=0.01, action_noise=0.05), True),
    "ministeps": (RandomTarget(RigidTendonArm26(RigidTendonHillMuscle(), n_ministeps=2, damping=0.1), **SHORT), False),
    "relu": (RandomTarget(RigidTendonArm26(ReluMuscle()), **SHORT), False),
}


def built(kind=networks.GRU, n=12):
    network = kind(n)
    network.init_model(17, 6, seed=1)
    return network


def parts(r):
    return [r.latents, r.outputs, r.actions, r.observations, *r.plant]


def compiled(r):
    return "_Loop" in str(r.actions.grad_fn)


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients(name):
    task, noisy = CASES[name]
    network = built(networks.NoisyGRU if noisy else networks.GRU)
    trials, found = task.trials(40, seed=3), {}
    for loop in ("auto", "plain"):
        r = rollout(network, task, trials, noise=noisy, rollout=loop)
        assert compiled(r) == (loop == "auto")
        g = torch.Generator().manual_seed(0)
        loss = sum((x * torch.randn(x.shape, generator=g)).sum() / x.detach().abs().max() for x in parts(r))
        found[loop] = [x.detach() for x in parts(r)], torch.autograd.grad(loss, list(network.parameters()))
    for fast, plain in zip(found["auto"][0], found["plain"][0]):
        assert (fast - plain).abs().max() <= 1e-5 * max(1, plain.abs().max())
    for fast, plain in zip(found["auto"][1], found["plain"][1]):
        assert (fast - plain).norm() <= 1e-5 * plain.norm()


def test_one_output_alone_and_buffers_used_again():
    task, _ = CASES["documented"]
    network, trials = built(), task.trials(40, seed=0)
    for pick in ("outputs", "actions", "latents", "observations"):
        grads = []
        for loop in ("auto", "plain", "auto"):  # the last one gets the buffers of the first
            loss = getattr(rollout(network, task, trials, rollout=loop), pick).square().mean()
            grads.append(torch.autograd.grad(loss, list(network.parameters()), allow_unused=True))
        for first, plain, again in zip(*grads):
            want = torch.zeros_like(first) if plain is None else plain
            assert (first - want).norm() <= 1e-5 * want.norm() + 1e-9 and torch.equal(first, again)


def test_without_gradients():
    task, _ = CASES["delays"]
    network, trials = built(), task.trials(40, seed=2)
    with torch.no_grad():
        fast, plain = (rollout(network, task, trials, rollout=loop) for loop in ("auto", "plain"))
    for a, b in zip(parts(fast), parts(plain)):
        assert (a - b).abs().max() <= 1e-5 * max(1, b.abs().max())
    h0 = 0.1 * torch.randn(12, generator=torch.Generator().manual_seed(1))
    moved, want = (rollout(network, task, trials, h0=h0, rollout=loop) for loop in ("auto", "plain"))
    assert compiled(moved) and (moved.outputs - want.outputs).abs().max() < 1e-5


def test_what_it_is_chosen_for():
    task, _ = CASES["documented"]
    trials = task.trials(40, seed=0)
    assert compiled(rollout(built(), task, trials))
    assert not compiled(rollout(built(), task, trials[:3]))
    assert not compiled(rollout(built(networks.VanillaRNN), task, trials))
    windy = RandomTarget(force_field="curl", field_strength=10.0, **SHORT)
    assert not compiled(rollout(built(), windy, windy.trials(40, seed=0)))
    with pytest.raises(ValueError, match=r"^`rollout`: expected one of 'auto', 'plain', got 'slow'"):
        rollout(built(), task, trials, rollout="slow")


def test_differentiable_once_and_says_so():
    task, _ = CASES["documented"]
    network = built()
    loss = rollout(network, task, task.trials(40, seed=0)).outputs.square().mean()
    with pytest.raises(RuntimeError, match=r"differentiable once: .* rollout='plain'"):
        torch.autograd.grad(loss, list(network.parameters()), create_graph=True)
