"""The compiled step against the plain one: values, gradients, and when it is chosen."""

import pytest
import torch

from conjugacy.arm import (
    ArmState,
    MujocoHillMuscle,
    ReluMuscle,
    RigidTendonArm26,
    RigidTendonHillMuscle,
    TwoJointSkeleton,
    kernel,
)

MUSCLES = [MujocoHillMuscle, RigidTendonHillMuscle, ReluMuscle]


def gradients(step, parts, weights):
    parts = [x.clone().requires_grad_() for x in parts]
    new = step(ArmState(*parts[:4]), *parts[4:])
    loss = sum((x * w).sum() for x, w in zip(new, weights))
    return new, torch.autograd.grad(loss, parts)


def relative(a, b):
    return float((a - b).abs().max() / b.abs().max())


@pytest.mark.parametrize("n_ministeps", [1, 2])
@pytest.mark.parametrize("dtype, tolerance", [(torch.float64, 1e-13), (torch.float32, 3e-6)])
@pytest.mark.parametrize("muscle", MUSCLES)
def test_values_and_gradients(muscle, dtype, tolerance, n_ministeps, random_state):
    body = TwoJointSkeleton(m2=1.6, viscosity=0.05)
    arm = RigidTendonArm26(muscle(), body, n_ministeps=n_ministeps, damping=0.1)
    state, action, load = random_state(arm, 600, dtype=dtype)
    # some at the limits, on their way out and in, some with no velocity, some commands out of range
    low, high = arm.joint_limits.to(dtype).unbind(1)
    state.q[:50], state.q[50:100] = low, high
    state.qd[100:150] = 0
    state.qd[40:60] = 0
    action[:100] = 3 * action[:100] - 1
    torque = 0.3 * load.flip(1)
    g = torch.Generator().manual_seed(1)
    weights = [
        torch.randn(x.shape, generator=g, dtype=torch.float64).to(dtype) / s for x, s in zip(state, (1, 1, 1, 500))
    ]
    fast, fast_grads = gradients(arm.step, (*state, action, load, torque), weights)
    plain, plain_grads = gradients(arm.plain_step, (*state, action, load, torque), weights)
    assert "_Step" in type(fast.q.grad_fn).__name__ and "_Step" not in type(plain.q.grad_fn).__name__
    assert max(relative(a.detach(), b.detach()) for a, b in zip(fast, plain)) < tolerance
    assert max(relative(a, b) for a, b in zip(fast_grads, plain_grads)) < tolerance


@pytest.mark.parametrize("muscle", MUSCLES)
def test_gradcheck(muscle, random_state):
    arm = RigidTendonArm26(muscle(), n_ministeps=2, damping=0.1)
    state, action, load = random_state(arm, 3, seed=4)
    known = kernel.constants(arm, "float64")
    parts = [x.clone().requires_grad_() for x in (*state, action, load, 0.1 * load)]
    assert torch.autograd.gradcheck(lambda *x: kernel.compiled_step(arm, known, x), parts)


def test_rollouts_with_limit_hits():
    arm = RigidTendonArm26()
    g = torch.Generator().manual_seed(0)
    low, high = arm.joint_limits.float().unbind(1)
    q = low + (high - low) * torch.rand(64, 2, generator=g)
    actions = 0.4 * torch.rand(60, 64, 6, generator=g)

    def run(step):
        u = actions.clone().requires_grad_()
        state, path = arm.rest(q), []
        for command in u.unbind():
            state = step(state, command)
            path.append(state.q)
        path = torch.stack(path)
        return path.detach(), torch.autograd.grad(arm.hand(path).square().sum(), u)[0]

    (fast, fast_grad), (plain, plain_grad) = run(arm.step), run(arm.plain_step)
    assert (fast == high).any()
    assert (fast - plain).abs().max() < 1e-4
    assert float((fast_grad - plain_grad).norm() / plain_grad.norm()) < 1e-5


def test_what_it_is_chosen_for(random_state):
    arm = RigidTendonArm26()
    state, action, load = random_state(arm, 40)
    action.requires_grad_()

    def compiled(*given, arm=arm):
        return "_Step" in str(arm.step(*given).q.grad_fn)

    assert compiled(state, action, load)
    assert not compiled(ArmState(*(x[:5] for x in state)), action[:5])  # few
    assert not compiled(state, action.float())  # of two dtypes
    assert not compiled(state, action, arm=RigidTendonArm26(physics="exact"))
    assert torch.func.vmap(lambda u: arm.step(ArmState(*(x[0] for x in state)), u).qd)(action).shape == (40, 2)
    # any leading axes, and parts that are spread over them
    deep = ArmState(*(x.view(4, 10, -1) for x in state))
    new = arm.step(deep, action[:10], load[0])
    want = arm.plain_step(deep, action[:10], load[0])
    assert "_Step" in str(new.force.grad_fn.next_functions) and new.q.shape == (4, 10, 2)
    torch.testing.assert_close(new.pack(), want.pack())

    class MyMuscle(ReluMuscle):
        pass

    assert not compiled(state, action, arm=RigidTendonArm26(MyMuscle()))


def test_second_derivatives_are_those_of_the_plain_step(random_state):
    arm = RigidTendonArm26()
    state, action, load = random_state(arm, 40)

    def curvature(step):
        u = action.clone().requires_grad_()
        new = step(step(state, u, load), u)
        (grad,) = torch.autograd.grad(new.qd.square().sum() + new.force.sum(), u, create_graph=True)
        return torch.autograd.grad(grad.square().sum(), u)[0]

    torch.testing.assert_close(curvature(arm.step), curvature(arm.plain_step))


def test_bad_loads(random_state):
    arm = RigidTendonArm26()
    state, action, load = random_state(arm, 40)
    load[3, 1] = torch.nan
    with pytest.raises(ValueError, match=r"^`endpoint_load`: expected finite values, got 1 NaN or infinite.*\(3, 1\)"):
        arm.step(state, action, load)
    with pytest.raises(ValueError, match=r"^`joint_load`: expected finite values"):
        arm.step(state, action, None, load / 0)
