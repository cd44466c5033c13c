import math

import pytest
import torch

from conjugacy.arm import RigidTendonArm26
from conjugacy.arm.plant import Plant, rotated

ARM = RigidTendonArm26()
EXACT = RigidTendonArm26(physics="exact")
ICS = torch.tensor([[0.9, 1.2, 0.0, 0.0], [1.3, 0.8, 0.5, -1.0]], dtype=torch.float64)
U = torch.tensor([0.3, 0.1, 0.2, 0.05, 0.1, 0.15], dtype=torch.float64).expand(2, 6)


def course(plant, n, action=U, load=None):
    """States of the plant at steps 0 ... n."""
    states = [plant.reset(ICS)]
    for _ in range(n):
        states.append(plant.step(states[-1], action, load))
    return states


@pytest.mark.parametrize("arm", [ARM, EXACT])
@pytest.mark.parametrize(("vision_lag", "proprioception_lag"), [(0, 0), (1, 2), (5, 1)])
def test_senses_lag_by_exactly_the_steps_that_are_said(arm, vision_lag, proprioception_lag):
    plant = Plant(arm, vision_lag=vision_lag, proprioception_lag=proprioception_lag)
    states = course(plant, 12)
    for t, state in enumerate(states):
        seen = plant.observe(state)
        then = states[max(0, t - vision_lag)].arm
        torch.testing.assert_close(seen[:, :2], arm.hand(then.q))
        then = states[max(0, t - proprioception_lag - arm.proprioception_lag)].arm
        torch.testing.assert_close(seen[:, 2:], arm.observe(then))


def test_a_state_is_a_vector_and_back():
    plant = Plant(ARM, vision_lag=3, proprioception_lag=2, rotation=20.0)
    state = course(plant, 4)[-1]
    vector = plant.pack(state)
    assert vector.shape == (2, plant.state_size) == (2, 16 + 3 * 2 + 3 * 12 + 2)
    torch.testing.assert_close(plant.pack(plant.unpack(vector)), vector, rtol=0, atol=0)
    torch.testing.assert_close(plant.observe(plant.unpack(vector)), plant.observe(state), rtol=0, atol=0)
    with pytest.raises(ValueError, match=r"`vector`: expected shape \(sample, state=60\)"):
        plant.unpack(vector[:, 1:])


def test_the_step_of_the_packed_state_has_the_jacobian_of_differences():
    plant = Plant(ARM, vision_lag=2, force_field="curl", field_strength=5.0)
    load = torch.tensor([2.0, -1.0], dtype=torch.float64)

    def step(vector):
        return plant.pack(plant.step(plant.unpack(vector), U[0], load))

    at = plant.pack(course(plant, 6)[-1])
    jacobian = torch.func.vmap(torch.func.jacrev(step))(at)
    for column in range(plant.state_size):
        e = torch.zeros_like(at)
        e[:, column] = 1e-6 * at[:, column].abs().clamp(min=1)
        slope = (step(at + e) - step(at - e)) / (2 * e[:, column, None])
        torch.testing.assert_close(jacobian[:, :, column], slope, rtol=1e-5, atol=1e-5)


def test_the_fields_are_forces_on_the_hand_that_depend_on_its_velocity():
    v = ARM.hand_velocity(*(x[1:] for x in ICS.split(2, -1)))
    want = {"curl": 7.0 * torch.stack([v[:, 1], -v[:, 0]], -1), "viscous": -7.0 * v}
    # a curl field turns the hand without work, a viscous one takes power b v^2
    power = {name: float((force * v).sum()) for name, force in want.items()}
    assert abs(power["curl"]) < 1e-12
    assert power["viscous"] == pytest.approx(-7 * float(v.square().sum()))
    for field, force in want.items():
        plant, plain = Plant(ARM, force_field=field, field_strength=7.0), Plant(ARM)
        state = plant.reset(ICS[1:])
        for load in (None, torch.tensor([[1.0, 2.0]], dtype=torch.float64)):
            by_hand = force if load is None else force + load
            torch.testing.assert_close(
                plant.step(state, U[1:], load).arm, plain.step(state, U[1:], by_hand).arm, rtol=0, atol=0
            )


def test_a_rotation_turns_what_is_seen_about_the_start():
    plant = Plant(ARM, rotation=30.0, vision_lag=2)
    states = course(plant, 8)
    start = plant.hand(states[0])
    torch.testing.assert_close(plant.observe(states[0])[:, :2], start)
    moved, seen = plant.hand(states[6]) - start, plant.observe(states[8])[:, :2] - start
    angle = torch.atan2(seen[:, 1], seen[:, 0]) - torch.atan2(moved[:, 1], moved[:, 0])
    torch.testing.assert_close(torch.cos(angle), torch.full((2,), math.cos(math.radians(30)), dtype=torch.float64))
    torch.testing.assert_close(seen.norm(dim=1), moved.norm(dim=1))
    x, y = torch.eye(2)
    torch.testing.assert_close(rotated(x, 90.0), y)


def test_commands():
    y = torch.tensor([-40.0, 0.0, 2.0, 40.0])
    torch.testing.assert_close(Plant(ARM).command(y), torch.sigmoid(y - 2))
    assert Plant(ARM, command="clip").command(y) is y
    # the muscles clip: commands beyond 0 and 1 do what 0 and 1 do
    state = Plant(ARM).reset(ICS)
    for beyond, limit in ((-3.0, 0.0), (4.0, 1.0)):
        a, b = (Plant(ARM).step(state, torch.full_like(U, u)).arm for u in (beyond, limit))
        torch.testing.assert_close(a, b, rtol=0, atol=0)


def test_noise_is_independent_between_channels_seeded_and_of_the_size_said():
    plant = Plant(ARM, vision_noise=0.01, proprioception_noise=0.02, action_noise=0.03)
    noise = plant.draw_noise(200, 50, torch.Generator().manual_seed(1), torch.float64)
    again = plant.draw_noise(200, 50, torch.Generator().manual_seed(1), torch.float64)
    assert torch.equal(noise.observations, again.observations) and torch.equal(noise.actions, again.actions)
    both = torch.cat([noise.observations, noise.actions], -1).reshape(-1, 20)
    size = torch.tensor([0.01] * 2 + [0.02] * 12 + [0.03] * 6, dtype=torch.float64)
    torch.testing.assert_close(both.std(0), size, rtol=0.04, atol=0)
    correlations = torch.corrcoef(both.T) - torch.eye(20)
    assert correlations.abs().max() < 5 / math.sqrt(len(both))
    none = Plant(ARM).draw_noise(2, 3, torch.Generator(), torch.float32)
    assert none == (None, None, None) and not Plant(ARM).noisy


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"command": "tanh"}, "`command`: expected one of 'sigmoid', 'clip', got 'tanh'"),
        ({"vision_lag": -1}, "`vision_lag`: expected an integer >= 0, got -1. It is a number of steps"),
        ({"proprioception_lag": 1.5}, "`proprioception_lag`: expected an integer >= 0, got 1.5"),
        ({"vision_noise": -0.1}, "`vision_noise`: expected a number in"),
        ({"action_noise": float("nan")}, "`action_noise`"),
        ({"force_field": "curll"}, "Did you mean 'curl'"),
        ({"rotation": float("inf")}, "`rotation`"),
    ],
)
def test_bad_settings_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        Plant(ARM, **settings)


def test_bad_steps_are_named():
    plant = Plant(ARM)
    state = plant.reset(ICS)
    with pytest.raises(ValueError, match=r"`action`: expected shape \(\.\.\., 6\)"):
        plant.step(state, U[:, :5])
    with pytest.raises(ValueError, match="`endpoint_load`: expected finite values, got 1 NaN"):
        plant.step(state, U, torch.tensor([[1.0, float("nan")]], dtype=torch.float64))
    with pytest.raises(ValueError, match="`q`: expected shoulder and elbow in"):
        plant.reset(ICS + 3)
