"""What the arm has to obey whoever computes it: energy, orders of convergence, geometry, activation, curves."""

import math

import pytest
import torch

from conjugacy.arm import (
    ArmState,
    MujocoHillMuscle,
    ReluMuscle,
    RigidTendonArm26,
    RigidTendonHillMuscle,
    TwoJointSkeleton,
)

F64 = torch.float64
Q = torch.tensor([1.0, 1.2], dtype=F64)
QD = torch.tensor([0.4, -0.6], dtype=F64)


def after(arm, seconds, action, qd=QD, load=None):
    state = arm.rest(Q, qd)
    for _ in range(round(seconds / arm.dt)):
        state = arm.step(state, action, load)
    return torch.cat([state.q, state.qd])


def observed_order(seconds, action, load, *muscle_and, **options):
    """From three steps, each half of the one before: errors shrink by 2^order, and so do the differences."""
    coarse, middle, fine = (
        after(RigidTendonArm26(*muscle_and, timestep=dt, **options), seconds, action, load=load)
        for dt in (0.005, 0.0025, 0.00125)
    )
    return math.log2((coarse - middle).norm() / (middle - fine).norm())


@pytest.mark.parametrize("muscle", [ReluMuscle, RigidTendonHillMuscle])
def test_orders_of_convergence(muscle):
    # constant light commands from rest of the muscles, a short time, far from the limits
    action = torch.tensor([0.02, 0.03, 0.015, 0.02, 0.02, 0.03], dtype=F64)
    load = torch.tensor([1.0, -0.5], dtype=F64)
    assert observed_order(0.1, action, load, muscle()) == pytest.approx(1, abs=0.2)
    exact = {"physics": "exact"}
    assert observed_order(0.1, action, load, muscle(), **exact, integration_method="euler") == pytest.approx(1, abs=0.2)
    # 30 ms: later, a Hill muscle passes from shortening to lengthening, where its curve's slope jumps, and orders drop
    assert observed_order(0.03, action, load, muscle(), **exact) == pytest.approx(4, abs=0.4)


def test_energy_without_torque():
    drifts = {"euler": [], "rk4": []}
    for method, found in drifts.items():
        for dt in (0.004, 0.002):
            arm = RigidTendonArm26(ReluMuscle(), physics="exact", integration_method=method, timestep=dt)
            x = after(arm, 0.2, torch.zeros(6, dtype=F64), qd=2 * QD)
            before = arm.skeleton.kinetic_energy(Q, 2 * QD)
            found.append(float((arm.skeleton.kinetic_energy(x[:2], x[2:]) / before - 1).abs()))
    assert math.log2(drifts["euler"][0] / drifts["euler"][1]) == pytest.approx(1, abs=0.2)
    assert drifts["euler"][1] < 0.02 and drifts["rk4"][1] < 1e-9


def test_friction_takes_energy_and_loads_give_it():
    arm = RigidTendonArm26(ReluMuscle(), damping=0.2, skeleton=TwoJointSkeleton(viscosity=0.1), timestep=0.002)
    x = after(arm, 0.2, torch.zeros(6, dtype=F64))
    assert arm.skeleton.kinetic_energy(x[:2], x[2:]) < 0.9 * arm.skeleton.kinetic_energy(Q, QD)
    # work of a force on the hand = what the kinetic energy gains
    arm = RigidTendonArm26(ReluMuscle(), physics="exact", timestep=0.002)
    force = torch.tensor([1.5, -1.0], dtype=F64)
    x = after(arm, 0.2, torch.zeros(6, dtype=F64), load=force)
    gained = arm.skeleton.kinetic_energy(x[:2], x[2:]) - arm.skeleton.kinetic_energy(Q, QD)
    torch.testing.assert_close(gained, (arm.hand(x[:2]) - arm.hand(Q)) @ force, rtol=1e-8, atol=1e-10)


def test_ministeps_are_smaller_steps():
    action = torch.full((6,), 0.1, dtype=F64)
    for physics in ("motornet", "exact"):
        coarse = RigidTendonArm26(timestep=0.01, n_ministeps=4, physics=physics)
        fine = RigidTendonArm26(timestep=0.0025, physics=physics)
        torch.testing.assert_close(after(coarse, 0.1, action), after(fine, 0.1, action))


def test_a_command_takes_three_steps_to_move_the_arm_of_motornet_and_one_of_the_exact_one():
    def first_change(physics):
        arm = RigidTendonArm26(physics=physics)
        a, b = arm.rest(Q), arm.rest(Q)
        for k in range(1, 6):
            a = arm.step(a, torch.full((6,), 0.2 if k == 1 else 0.1, dtype=F64))
            b = arm.step(b, torch.full((6,), 0.1, dtype=F64))
            if not torch.equal(a.q, b.q):
                return k
        return None

    assert first_change("motornet") == 3 and first_change("exact") == 1
    assert RigidTendonArm26().proprioception_lag == 1 and RigidTendonArm26(physics="exact").proprioception_lag == 0


def test_the_exact_force_is_that_of_the_state_and_motornets_that_of_the_state_before():
    action = torch.full((6,), 0.3, dtype=F64)
    for physics, geometry in (("exact", 1), ("motornet", 0)):
        arm = RigidTendonArm26(physics=physics)
        states = [arm.rest(Q, QD)]
        states.append(arm.step(states[0], action))
        # with this muscle, what is sensed is what the force is made of
        seen = arm.observe(states[geometry])
        fmax = torch.tensor(arm.max_isometric_force, dtype=F64)
        want = fmax * arm.muscle.force(states[1].activation, seen[:6], seen[6:])
        torch.testing.assert_close(states[1].force, want)


def test_moment_arms_are_slopes_of_lengths():
    arm = RigidTendonArm26()
    slopes = torch.func.jacrev(arm.muscle_lengths)(Q)
    torch.testing.assert_close(arm.moment_arms(Q), slopes.T)
    # published range over the elbow's movement, in m (brachioradialis and biceps flex)
    elbow = torch.stack([torch.zeros(2), torch.tensor([0.0, math.radians(155)])], 1)
    arms = arm.moment_arms(elbow)[:, 1]
    want = torch.tensor([[-0.014, 0.025, -0.016, 0.03], [-0.0356, 0.0131, -0.0468, 0.0127]])
    torch.testing.assert_close(arms[:, 2:], want, atol=1e-4, rtol=0)


def test_exact_velocities_are_in_optimal_lengths():
    state = ArmState(Q, QD, Q, Q)
    seen = [RigidTendonArm26(physics=p).observe(state) for p in ("motornet", "exact")]
    optimal = torch.tensor(RigidTendonArm26().optimal_muscle_length, dtype=F64)
    torch.testing.assert_close(seen[0][:6], seen[1][:6])
    torch.testing.assert_close(seen[0][6:], seen[1][6:] * optimal)
    # what the other muscles sense is the same in both
    for muscle in (RigidTendonHillMuscle, ReluMuscle):
        seen = [RigidTendonArm26(muscle(), physics=p).observe(state) for p in ("motornet", "exact")]
        torch.testing.assert_close(*seen)


def test_limits_stop_the_arm():
    for physics in ("motornet", "exact"):
        arm = RigidTendonArm26(ReluMuscle(), physics=physics)
        state = arm.rest(Q)
        for _ in range(60):
            state = arm.step(state, torch.zeros(6, dtype=F64), joint_load=torch.tensor([20.0, 20.0], dtype=F64))
        torch.testing.assert_close(state.q, arm.joint_limits[:, 1])
        assert torch.equal(state.qd, torch.zeros(2, dtype=F64))


@pytest.mark.parametrize("u, a", [(0.2, 0.0), (1.0, 0.0), (0.3, 0.9), (0.0, 1.0), (0.5, 0.5), (0.7, 0.69)])
def test_exact_activation_solves_its_equation(u, a):
    muscle = MujocoHillMuscle()
    u, a = torch.tensor(u, dtype=F64), torch.tensor(a, dtype=F64)
    fine = a
    for _ in range(10_000):  # Euler at 1 us, whose error is of that order
        w = 0.5 + 1.5 * float(fine)
        fine = float(fine) + 1e-6 * (float(u) - float(fine)) * (1 / (0.01 * w) if u > fine else w / 0.04)
    exact = muscle.activate_exactly(a, u, 0.01)
    assert float(exact) == pytest.approx(fine, abs=2e-4)
    assert min(a, u) <= exact <= max(a, u)
    halves = muscle.activate_exactly(muscle.activate_exactly(a, u, 0.004), u, 0.006)
    torch.testing.assert_close(halves, exact, rtol=0, atol=1e-14)
    # while one Euler step from 0 to 0.2 lands on 0.4
    euler = muscle.activate(torch.zeros((), dtype=F64), torch.tensor(0.2, dtype=F64), 0.01)
    assert float(euler) == pytest.approx(0.4)


def test_curves_of_mujocos_muscle():
    muscle = MujocoHillMuscle()

    def fl(x):  # FLV.m of MuJoCo 3.2.1, branch by branch
        def bump(x, low, mid, high):
            left, right = (low + mid) / 2, (mid + high) / 2
            if x <= low or x >= high:
                return 0.0
            if x < left:
                return 0.5 * ((x - low) / (left - low)) ** 2
            if x < mid:
                return 1 - 0.5 * ((mid - x) / (mid - left)) ** 2
            if x < right:
                return 1 - 0.5 * ((x - mid) / (right - mid)) ** 2
            return 0.5 * ((high - x) / (high - right)) ** 2

        return bump(x, 0.5, 1, 1.6) + 0.15 * bump(x, 0.5, 0.725, 0.95)

    def fv(v):
        if v <= -1:
            return 0.0
        if v <= 0:
            return (v + 1) ** 2
        return 1.2 - (0.2 - v) ** 2 / 0.2 if v <= 0.2 else 1.2

    def fp(x):
        if x <= 1:
            return 0.0
        y = (x - 1) / 0.3
        return 0.25 * 1.3 * y**3 if x <= 1.3 else 0.25 * 1.3 * (1 + 3 * (x - 1.3) / 0.3)

    x = torch.linspace(0.3, 1.9, 801, dtype=F64)
    v = torch.linspace(-1.5, 0.6, 801, dtype=F64)
    for curve, formula, at in (
        (muscle.force_length, fl, x),
        (muscle.force_velocity, fv, v),
        (muscle.passive, fp, x),
    ):
        torch.testing.assert_close(
            curve(at), torch.tensor([formula(float(z)) for z in at], dtype=F64), atol=1e-12, rtol=0
        )
    at_rest = torch.zeros((), dtype=F64, requires_grad=True)
    (slope,) = torch.autograd.grad(muscle.force_velocity(at_rest), at_rest)
    assert float(slope) == 2.0  # the same from both sides; at every fixed point of an arm


def test_curves_of_the_hill_muscle():
    muscle = RigidTendonHillMuscle()
    a = torch.tensor([0.05, 0.3, 0.7, 1.0], dtype=F64)
    one, zero = torch.ones(4, dtype=F64), torch.zeros(4, dtype=F64)
    torch.testing.assert_close(muscle.force(a, one, zero), a)  # isometric, at the optimal length
    torch.testing.assert_close(muscle.force(a, one, zero - 1e-9), muscle.force(a, one, zero + 1e-9), atol=1e-6, rtol=0)
    slopes = [torch.func.grad(lambda v: muscle.force(a, one, v).sum())(zero + s) for s in (-1e-9, 1e-9)]
    torch.testing.assert_close(slopes[1], 2 * slopes[0], rtol=0.02, atol=0)  # twice as steep in lengthening
    # it shortens at b/a = 12.7 optimal lengths per second without force; in MotorNet's units, ten times as fast
    tendon, optimal = torch.tensor([0.127, 0.11], dtype=F64)
    fastest = torch.tensor(-5.2 / 0.41, dtype=F64) * optimal
    _, v = muscle.normalise_exactly(tendon, fastest, tendon, optimal)
    torch.testing.assert_close(muscle.force(a, one, v.expand(4))[1:], zero[1:])
    _, v = muscle.normalise(tendon, fastest, tendon, optimal)
    assert (muscle.force(a, one, v.expand(4)) > 0.5 * a)[1:].all()
    # stretched, it has a passive force of 1 at 1.66 optimal lengths
    torch.testing.assert_close(
        muscle.passive(torch.tensor([1.4, 1.66], dtype=F64)), torch.tensor([0.0, 1.0], dtype=F64)
    )
