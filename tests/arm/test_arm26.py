"""One step of the arm: MotorNet's published discrete map, and what a pure function owes its users."""

import copy
import pickle

import pytest
import torch
from torch.func import jacfwd, jacrev, vmap

from conjugacy.arm import ArmState, MujocoHillMuscle, ReluMuscle, RigidTendonArm26, RigidTendonHillMuscle

MUSCLES = [MujocoHillMuscle, RigidTendonHillMuscle, ReluMuscle]
# from MotorNet 0.2.0 and 0.3.0, which print the same: q0 = (0.9, 1.2) at rest, constant command and load
GOLDEN = {
    MujocoHillMuscle: {
        0: {"force": (0, 1.187724, 0, 0, 0, 0), "hand": (0.023964, 0.529497)},
        1: {
            "q": (0.9, 1.2),
            "qd": (-0.028102, -0.006563),
            "activation": (0.6, 0.2, 0.4, 0.1, 0.2, 0.3),
            "force": (502.012, 240.062, 568.566, 126.775, 76.3513, 106.033),
        },
        2: {"q": (0.899719, 1.199934), "qd": (-0.374475, 1.520428)},
        3: {
            "q": (0.895974, 1.215139),
            "qd": (-0.703827, 2.860068),
            "activation": (0.434428, 0.1646, 0.308116, 0.085198, 0.1646, 0.238739),
            "force": (368.828, 194.848, 417.259, 112.108, 60.0350, 86.7960),
        },
        5: {"q": (0.879381, 1.282948), "qd": (-1.139693, 4.771698)},
        10: {"q": (0.813647, 1.580760), "qd": (-1.390214, 7.309734), "hand": (-0.032053, 0.450879)},
        20: {"q": (0.726725, 2.40608), "qd": (0.19223, 8.621277)},
        50: {"q": (1.191616, 2.172992), "qd": (1.72529, -2.284103)},
    },
    RigidTendonHillMuscle: {
        1: {"qd": (-0.027459, -0.006735)},
        10: {"q": (0.829588, 1.478579), "qd": (-1.418387, 6.165262)},
        50: {"q": (0.759911, 2.70526), "qd": (0.602043, 0)},
    },
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("muscle", GOLDEN, ids=lambda m: m.__name__)
def test_golden_table(muscle, dtype):
    arm = RigidTendonArm26(muscle())
    state = arm.rest(torch.tensor([0.9, 1.2], dtype=dtype))
    action = torch.tensor([0.3, 0.1, 0.2, 0.05, 0.1, 0.15], dtype=dtype)
    load = torch.tensor([2.0, -1.0], dtype=dtype)
    for t in range(51):
        for name, want in GOLDEN[muscle].get(t, {}).items():
            got = arm.hand(state.q) if name == "hand" else getattr(state, name)
            torch.testing.assert_close(got.double(), torch.tensor(want, dtype=torch.float64), atol=2e-5, rtol=2e-5)
        state = arm.step(state, action, load)


def test_the_arm_does_not_stay_put_without_commands():
    arm = RigidTendonArm26()
    state = arm.rest(torch.deg2rad(torch.tensor([67.5, 77.5], dtype=torch.float64)))
    for _ in range(100):
        state = arm.step(state, torch.zeros(6, dtype=torch.float64))
    torch.testing.assert_close(
        torch.rad2deg(state.q), torch.tensor([33.6, 109.4], dtype=torch.float64), atol=0.06, rtol=0
    )


# torch's own forward derivatives are scripted where they are first used
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
@pytest.mark.parametrize("physics", ["motornet", "exact"])
@pytest.mark.parametrize("muscle", MUSCLES)
def test_transforms_of_functions(muscle, physics, random_state):
    arm = RigidTendonArm26(muscle(), physics=physics)
    state, action, load = random_state(arm, 5)

    def flat_step(x, u, f):
        return arm.step(ArmState.unpack(x), u, f).pack()

    x = state.pack()
    torch.testing.assert_close(vmap(flat_step)(x, action, load), flat_step(x, action, load))
    reverse, forward = (vmap(d(flat_step, argnums=(0, 1, 2)))(x, action, load) for d in (jacrev, jacfwd))
    for r, f in zip(reverse, forward):
        torch.testing.assert_close(r, f)
    # a transform leaves nothing behind
    arm.step(state, action, load)


def test_state_round_trip_and_sizes(random_state):
    arm = RigidTendonArm26()
    state, _, _ = random_state(arm, 3)
    assert all(torch.equal(a, b) for a, b in zip(ArmState.unpack(state.pack()), state))
    assert (arm.n_muscles, arm.state_size, arm.dt) == (6, 16, 0.01)
    assert arm.observe(state).shape == (3, 12) and len(arm.muscle_names) == 6
    with pytest.raises(ValueError, match=r"^`flat`: expected shape \(\.\.\., 16\), got \(3, 4\)"):
        ArmState.unpack(torch.zeros(3, 4))


def test_hand_and_its_inverse(random_state):
    arm = RigidTendonArm26()
    state, _, _ = random_state(arm, 200)
    torch.testing.assert_close(arm.inverse(arm.hand(state.q)), state.q)
    _, moved = torch.func.jvp(arm.hand, (state.q,), (state.qd,))
    torch.testing.assert_close(arm.hand_velocity(state.q, state.qd), moved)
    with pytest.raises(ValueError, match=r"^`xy`: 1 of 2 points cannot be reached, the first is \(1, 0\) m"):
        arm.inverse(torch.tensor([[0.1, 0.4], [1.0, 0.0]]))
    with pytest.raises(ValueError, match="`xy`: 1 of 1 points cannot be reached"):
        arm.inverse(torch.tensor([0.3, -0.3]))  # near enough, but behind the shoulder's limit


def test_copies_after_a_gradient_step(random_state):
    arm = RigidTendonArm26()
    state, action, load = random_state(arm, 2)
    action.requires_grad_()
    arm.step(arm.step(state, action, load), action).pack().sum().backward()
    for again in (copy.deepcopy(arm), pickle.loads(pickle.dumps(arm))):
        assert torch.equal(again.step(state, action, load).pack(), arm.step(state, action, load).pack())


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda a, s: a.rest(torch.tensor([[0.5, 0.5], [0.5, 90.0]])),
            r"^`q`: .* got \(0\.5, 90\)\. Angles are in rad",
        ),
        (lambda a, s: a.rest(torch.tensor([0.5, float("nan")])), r"^`q`: expected finite"),
        (lambda a, s: a.rest(torch.zeros(3)), r"^`q`: expected shape \(\.\.\., 2\), got \(3,\)"),
        (lambda a, s: a.step(s, torch.zeros(1, 5)), r"^`action`: expected shape \(\.\.\., 6\).*got \(1, 5\)"),
        (lambda a, s: a.step(s, torch.zeros(1, 6), torch.zeros(1, 3)), r"^`endpoint_load`: .*got \(1, 3\)"),
        (
            lambda a, s: a.step(s, torch.zeros(1, 6), None, torch.full((1, 2), torch.nan)),
            r"^`joint_load`: expected finite",
        ),
        (lambda a, s: a.step(s[::-1], torch.zeros(1, 6)), r"^`state`: expected an ArmState"),
        (lambda a, s: RigidTendonArm26("hill"), r"^`muscle`: expected a Muscle, got 'hill'"),
        (lambda a, s: RigidTendonArm26(timestep=0), r"^`timestep`: expected a number"),
        (lambda a, s: RigidTendonArm26(n_ministeps=0), r"^`n_ministeps`: expected an integer"),
        (lambda a, s: RigidTendonArm26(integration_method="rk4"), r"^`integration_method`: .*physics='exact'"),
        (lambda a, s: RigidTendonArm26(physics="exakt"), r"^`physics`: .*Did you mean 'exact'"),
        (lambda a, s: RigidTendonHillMuscle(min_activation=0), r"^`min_activation`: .*\(0, 0.999\]"),
    ],
)
def test_bad_input(call, message):
    arm = RigidTendonArm26()
    with pytest.raises((ValueError, TypeError), match=message):
        call(arm, arm.rest(torch.tensor([[0.9, 1.2]])))
