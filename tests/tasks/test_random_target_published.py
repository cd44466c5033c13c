"""The network that CtDB's authors trained, in our arm and task; and MotorNet itself where it is installed."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

import conjugacy as cj
from conjugacy.arm import RigidTendonArm26
from conjugacy.networks import GRU
from conjugacy.tasks import RandomTarget
from conjugacy.trials import Rollout

REPOSITORY = Path(__file__).parents[2]
PLACES = [p / "shared" / "reference" / "pretrained" / "randomtarget.npz" for p in (REPOSITORY, REPOSITORY.parent)]


@pytest.fixture(scope="module")
def published():
    path = next((p for p in PLACES if p.exists()), None)
    if path is None:
        pytest.skip("the published weights (shared/reference/pretrained/randomtarget.npz) are not here")
    network = GRU(64)
    network.init_model(17, 6)
    with np.load(path) as weights:
        network.load_state_dict({k: torch.from_numpy(weights[k]) for k in network.state_dict()})
    return network


def end_and_hold(task, network, trials):
    """Distance over the last 20 steps of reaches cued before 2 s, a trial each; mean distance before the cue."""
    with torch.no_grad():
        out = Rollout.cat([cj.rollout(network, task, trials[k : k + 250]) for k in range(0, len(trials), 250)])
    distance = (out.outputs - trials.targets).norm(dim=-1)
    cue = trials.epochs["reach"][:, 0]
    holding = (torch.arange(trials.n_timesteps) < cue[:, None]) & (cue < trials.n_timesteps)[:, None]
    return distance[cue < 200][:, -20:].mean(1), distance[holding].mean(), out


@pytest.mark.slow
def test_the_published_network_does_in_our_arm_what_it_did_in_motornets(published):
    task = RandomTarget(variant="neuromatch", max_ep_duration=3.0)
    ends, hold, out = end_and_hold(task, published, task.trials(2000, 1))
    # measured by others on 200 trials: mean 2.26 cm, median 1.25 cm, hold 3.0 cm, mean squared action 0.00086
    assert float(ends.mean()) == pytest.approx(0.0226, rel=0.1)
    assert float(hold) == pytest.approx(0.030, rel=0.1)
    assert float(out.actions.square().mean()) == pytest.approx(0.00086, rel=0.1)
    # the median of some 110 reaches scatters by 0.19 cm: theirs is one that samples of ours give
    rng = np.random.default_rng(0)
    medians = [np.median(rng.choice(ends.numpy(), 110)) for _ in range(2000)]
    low, high = np.quantile(medians, (0.025, 0.975))
    assert low < 0.0125 < high


def motornet_or_skip():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("motornet")
        from motornet import effector, environment, muscle
    return effector, environment, muscle


@pytest.mark.parametrize(("vision", "proprioception"), [(None, None), (0.05, 0.02), (0.01, 0.04)])
@pytest.mark.filterwarnings("ignore")
def test_observations_are_those_of_motornets_environment(published, vision, proprioception):
    effector, environment, muscle = motornet_or_skip()

    class Senses(environment.Environment):
        """What CtDB's environment observes: no goal, no actions."""

        def get_obs(self, action=None, deterministic=False):
            self.update_obs_buffer(action=action)
            return torch.cat([self.obs_buffer["vision"][0], self.obs_buffer["proprioception"][0]], -1)

    arm = effector.RigidTendonArm26(muscle=muscle.MujocoHillMuscle())
    theirs = Senses(arm, vision_delay=vision, proprioception_delay=proprioception, obs_noise=[0.0] * 14)
    task = RandomTarget(variant="neuromatch", vision_delay=vision or 0.0, proprioception_delay=proprioception or 0.0)
    trials = task.trials(32, 5)
    with torch.no_grad():
        out = cj.rollout(published, task, trials)
        theirs.reset(options={"batch_size": 32, "joint_state": trials.ics})
        seen = torch.cat([theirs.obs_buffer["vision"][0], theirs.obs_buffer["proprioception"][0]], -1)
        for t in range(task.n_timesteps):
            torch.testing.assert_close(out.observations[:, t], seen, rtol=0, atol=1e-4)
            seen = theirs.step(out.actions[:, t], endpoint_load=trials.loads[:, t])[0]
            torch.testing.assert_close(out.outputs[:, t], theirs.states["fingertip"], rtol=0, atol=1e-4)


@pytest.mark.filterwarnings("ignore")
def test_effectors_of_motornet_are_read_or_stepped_by_their_own_code(published):
    effector, _, muscle = motornet_or_skip()

    class Mine(effector.RigidTendonArm26):
        """A user's own effector, of which we cannot know what it does."""

    known = RandomTarget(effector.RigidTendonArm26(muscle=muscle.MujocoHillMuscle()), "neuromatch")
    assert type(known.effector) is RigidTendonArm26
    with pytest.warns(UserWarning, match="Mine is stepped by MotorNet's own code") as caught:
        unknown = RandomTarget(Mine(muscle=muscle.MujocoHillMuscle()), "neuromatch")
    assert len([w for w in caught if "stepped by" in str(w.message)]) == 1
    trials = known.trials(8, 2)
    runs = [cj.rollout(published, task, trials) for task in (known, unknown)]
    for part in ("outputs", "observations", "actions"):
        torch.testing.assert_close(*(getattr(r, part) for r in runs), rtol=0, atol=1e-4)
    torch.testing.assert_close(runs[0].plant.force, runs[1].plant.force, rtol=1e-4, atol=1e-2)
    grads = []
    for task, run in zip((known, unknown), runs):
        published.zero_grad()
        task.loss(run, trials).backward()
        grads.append(published.cell.weight_hh.grad.clone())
    torch.testing.assert_close(*grads, rtol=1e-3, atol=1e-6)
    with pytest.raises(TypeError, match=r"a run with Mine of .* cannot be saved"):
        cj.training.train(unknown, GRU(2), steps=1, batch_size=2, progress=False).config()
