"""The arm against MotorNet itself, where it is there: installed, or in the folders of CONJUGACY_MOTORNET.

pip install --no-deps --target /tmp/motornet020 motornet==0.2.0
CONJUGACY_MOTORNET=/tmp/motornet020:/tmp/motornet030 pytest tests/arm -m "slow or not slow"
"""

import importlib
import os
import sys
import warnings

import pytest
import torch

from conjugacy import arm as arms
from conjugacy._config import describe
from conjugacy.arm import ArmState, RigidTendonArm26, from_motornet
from conjugacy.arm.stepped import SteppedEffector

FOLDERS = [f for f in os.environ.get("CONJUGACY_MOTORNET", "").split(os.pathsep) if f] or [None]
MUSCLES = ["MujocoHillMuscle", "RigidTendonHillMuscle", "ReluMuscle"]


@pytest.fixture(scope="module", params=FOLDERS, ids=lambda f: "installed" if f is None else os.path.basename(f))
def motornet(request):
    ours = {name for name in sys.modules if name.split(".")[0] == "motornet"}
    if request.param:
        sys.path.insert(0, request.param)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield importlib.import_module("motornet")
    except ImportError:
        pytest.skip("motornet is not there")
    finally:
        if request.param:
            sys.path.remove(request.param)
        for name in {name for name in sys.modules if name.split(".")[0] == "motornet"} - ours:
            del sys.modules[name]


class Pair:
    """The same arm twice, and random trials with bumps on hand and joints."""

    def __init__(self, motornet, muscle, n, steps, n_ministeps=1, damping=0.0):
        options = {"n_ministeps": n_ministeps, "damping": damping}
        kind = getattr(motornet.muscle, muscle)
        self.theirs = motornet.effector.RigidTendonArm26(muscle=kind(), **options)
        self.ours = RigidTendonArm26(getattr(arms, muscle)(), **options)
        g = torch.Generator().manual_seed(0)
        low, high = self.ours.joint_limits.float().unbind(1)
        self.q = low + (high - low) * torch.rand(n, 2, generator=g)
        held = 0.6 * torch.rand(-(-steps // 10), n, 6, generator=g) - 0.1
        self.commands = held.repeat_interleave(10, 0)[:steps].requires_grad_()
        self.load, self.torque = torch.zeros(2, steps, n, 2)
        self.load[steps // 5 : steps // 2] = 5 * torch.randn(n, 2, generator=g)
        self.torque[steps // 2 : 3 * steps // 5] = 0.5 * torch.randn(n, 2, generator=g)
        self.weight = torch.randn(steps, n, 2, generator=g)

    def their_state(self):
        joint, muscle = self.theirs.states["joint"], self.theirs.states["muscle"]
        force = self.theirs.muscle.state_name.index("force")
        return ArmState(joint[:, :2], joint[:, 2:], muscle[:, 0], muscle[:, force])

    def their_path(self):
        joint = torch.cat([self.q, torch.zeros_like(self.q)], 1)
        self.theirs.reset(options={"batch_size": len(joint), "joint_state": joint})
        path = [self.their_state()]
        for u, load, torque in zip(self.commands.unbind(), self.load, self.torque):
            self.theirs.step(u, endpoint_load=load, joint_load=torque)
            path.append(self.their_state())
        return path

    def our_path(self):
        path = [self.ours.rest(self.q)]
        for u, load, torque in zip(self.commands.unbind(), self.load, self.torque):
            path.append(self.ours.step(path[-1], u, load, torque))
        return path

    def gradient(self, path):
        hands = self.ours.hand(torch.stack([s.q for s in path[1:]]))
        return torch.autograd.grad((hands * self.weight).sum(), self.commands)[0]


def apart(a, b):
    """Largest difference of each trial over 1 + |value|: joints and activations in their units, forces in 1000 N."""
    worst = [(x - y).detach().abs().div(unit + y.detach().abs()).amax(1) for x, y, unit in zip(a, b, (1, 1, 1, 1000))]
    return torch.stack(worst).amax(0)


def compare(pair):
    theirs, ours = pair.their_path(), pair.our_path()
    limits = pair.ours.joint_limits.float()
    assert any(bool((s.q == limits[:, 1]).any()) for s in theirs)  # arms do hit their limits
    # where an arm just about touches a limit, rounding decides in which step it stops, and velocities part: MotorNet's
    # float32 is itself that far from our float64 in 1 to 3 of 256 trials (Hill muscle, damping 0.1)
    parted = torch.stack([apart(a, b) for a, b in zip(ours, theirs)]).amax(0) > 1e-4
    assert parted.sum() <= len(parted) // 100
    for old, new, u, load, torque in zip(theirs, theirs[1:], pair.commands.unbind(), pair.load, pair.torque):
        with torch.no_grad():
            # float32 rounding of torques of tens of N m, which accelerate by hundreds of rad/s^2
            assert apart(pair.ours.step(old, u, load, torque), new).max() <= 5e-6
    return pair.gradient(ours), pair.gradient(theirs)


@pytest.mark.parametrize("muscle", MUSCLES)
def test_short_trials(motornet, muscle):
    ours, theirs = compare(Pair(motornet, muscle, 64, 20))
    assert (ours - theirs).norm() <= 1e-5 * theirs.norm()


@pytest.mark.slow
@pytest.mark.parametrize("damping", [0.0, 0.1])
@pytest.mark.parametrize("n_ministeps", [1, 2])
@pytest.mark.parametrize("muscle", MUSCLES)
def test_256_trials_of_100_steps(motornet, muscle, n_ministeps, damping):
    ours, theirs = compare(Pair(motornet, muscle, 256, 100, n_ministeps, damping))
    # trial by trial: a stop that float32 rounding moves by a step changes a trial's gradient for good
    relative = (ours - theirs).norm(dim=(0, 2)) / theirs.norm(dim=(0, 2))
    assert relative.median() <= 2e-6 and relative.quantile(0.95) <= 1e-5


@pytest.mark.parametrize("muscle", MUSCLES)
def test_known_effectors_are_read(motornet, muscle):
    theirs = motornet.effector.RigidTendonArm26(
        muscle=getattr(motornet.muscle, muscle)(tau_activation=0.02), timestep=0.005, n_ministeps=2, damping=0.1
    )
    arm = from_motornet(theirs)
    want = RigidTendonArm26(
        getattr(arms, muscle)(tau_activation=0.02),
        timestep=0.005,
        n_ministeps=2,
        damping=0.1,
        pos_upper_bound=arm.pos_upper_bound,
    )
    assert describe(arm) == describe(want)
    torch.testing.assert_close(arm.joint_limits, want.joint_limits)


def test_other_effectors_are_stepped_as_they_are(motornet):
    class Mine(motornet.effector.RigidTendonArm26):
        pass

    relu, arm26 = motornet.muscle.ReluMuscle, motornet.effector.RigidTendonArm26
    heavy = arm26(muscle=relu(), skeleton=motornet.skeleton.TwoDofArm(m1=2.0, l1=0.309, l2=0.333))
    patched = arm26(muscle=relu())
    patched.step = patched.step
    for effector, why in (
        (Mine(muscle=relu()), "Mine is not one of"),
        (arm26(muscle=motornet.muscle.RigidTendonHillMuscleThelen()), "Thelen is not one of"),
        (arm26(muscle=relu(), integration_method="rk4"), "'rk4', not 'euler'"),
        (patched, "has a step of its own"),
    ):
        with pytest.warns(UserWarning, match=why) as caught:
            stepped = from_motornet(effector)
        assert isinstance(stepped, SteppedEffector) and len(caught) == 1
    assert from_motornet(heavy).skeleton.m1 == 2.0  # another skeleton of the same class is read
    with pytest.raises(TypeError, match=r"^`effector`: expected an effector of motornet, got ReluMuscle"):
        from_motornet(arms.ReluMuscle())
