"""CoupledMap: a network and the arm that it moves as one map, with its Jacobian and the equation of its rest states.

The state z = (x, s) is that of the network, x, and of its plant, s, after a step; the input u holds what comes from
outside: context, force on the hand. With the loop of `conjugacy.arm.plant`,

    z_t = (x_t, s_{t+1}) = F(z_{t-1}, u_t),    x_t = cell([observe(s_t), c_t], x_{t-1}),
                                               s_{t+1} = step(s_t, command(readout(x_t)), f_t)

Rest. At a fixed point joints do not move, a muscle's activation is its command, its force is that of a held arm, and
the delay lines hold what is sensed. What is left are the network's states and the two angles, in

    cell([observe(q), c], x) = x,    clip(q + tau^2 q''(q, x, f)) = q

with q'' the joints' acceleration from rest and clip to their limits: the arm may also rest against a stop. This
equation is searched and certified. It is smooth where F itself is not: at rest each command equals its activation,
where muscles change between the time constants of rising and falling, so the Jacobian of F has two values for each
muscle; see `rest_spectra`.
"""

from __future__ import annotations

import copy
from functools import cached_property
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn

from conjugacy._check import check_axes, check_finite, check_instance, shown
from conjugacy.arm import ArmState, RigidTendonArm26
from conjugacy.arm.plant import Plant, PlantState
from conjugacy.dynamics._as_map import as_map
from conjugacy.dynamics.jacobian import autodiff_jacobian
from conjugacy.dynamics.map import Map, Reduced
from conjugacy.networks.network import Network
from conjugacy.system import System
from conjugacy.trials import Trials

_TAU = 0.1  # s: makes a displacement of an acceleration; about the time in which a muscle's spring moves the arm
_SAME = 1e-9  # activations this near to their command are at rest


class CoupledMap(nn.Module):
    """The map of a network and its plant, in float64, without noise.

    It is a cell, ``loop(u, z) -> z_next``, with `jacobian`, `box` and `reduced` for `conjugacy.dynamics`.

    Parameters
    ----------
    network : Network
        A copy is used.
    plant : Plant
        With a `RigidTendonArm26`.

    Attributes
    ----------
    parts : dict of str to slice
        Where in a state z there is what: "network" (its state variables), "q" (angles, rad), "qd" (velocities, rad/s),
        "activation", "force" (of the maximal isometric force), and, if the senses lag, "vision" (hand positions, m)
        and "proprioception" (normalised muscle lengths and velocities), the oldest first.
    inputs : dict of str to slice
        Where in an input u: "context" (target x, y, go cue), "load" (force on the hand, N), and, if vision is rotated,
        "origin" (the point about which, m).
    hidden_size, input_size : int
        Sizes of z and u.
    """

    def __init__(self, network: Network, plant: Plant):
        super().__init__()
        check_instance("network", network, Network)
        if not network.input_size:
            raise ValueError(f"`network`: expected one with weights, got {shown(network)}. Call init_model() first.")
        arm = getattr(plant, "arm", None)
        if isinstance(plant, type) or not isinstance(arm, RigidTendonArm26):
            raise TypeError(
                "`plant`: expected one with a RigidTendonArm26 of conjugacy.arm, got "
                f"{shown(plant) if arm is None else type(arm).__name__}. The steps of other effectors have no Jacobian."
            )
        self.network = copy.deepcopy(network).double().cpu().eval().requires_grad_(False)
        self.plant = plant
        arm, m = plant.arm, plant.n_actions
        unit = torch.tensor(arm.max_isometric_force, dtype=torch.float64)
        self._force_unit = torch.where(unit > 0, unit, 1.0)
        lines = {"vision": 2 * plant.vision_lag, "proprioception": 2 * m * plant.proprioception_lag}
        sizes = {"network": network.state_size, "q": 2, "qd": 2, "activation": m, "force": m, **lines}
        self.parts = _slices({name: size for name, size in sizes.items() if size})
        n_context = network.input_size - plant.n_observations
        self.inputs = _slices({"context": n_context, "load": 2, **({"origin": 2} if plant.rotation else {})})
        self.hidden_size, self.input_size = sum(sizes.values()), sum(s.stop - s.start for s in self.inputs.values())
        self._n = network.state_size
        # the same senses without delays: what they deliver once nothing moves
        self._prompt = copy.copy(plant)
        self._prompt.vision_lag = self._prompt.proprioception_lag = 0

    def pack(self, x: Tensor, plant_state: PlantState) -> Tensor:
        """The state z (..., state) of network states x (..., unit) and a state of the plant."""
        return torch.cat([x, self._packed(plant_state)], -1)

    def unpack(self, z: Tensor, u: Tensor | None = None) -> tuple[Tensor, PlantState]:
        """Network states and plant state that `pack` put into z; u gives the origin of a rotation, if there is one."""
        x, s = z[..., : self._n], z[..., self._n :]
        origin = s[..., :0]
        if "origin" in self.inputs:
            origin = torch.zeros_like(s[..., :2]) if u is None else u[..., self.inputs["origin"]].expand_as(s[..., :2])
        return x, self._unpacked(s, origin)

    def forward(self, u: Tensor, z: Tensor) -> Tensor:
        """One step; u (..., input), z (..., state)."""
        x, state = self.unpack(z, u)
        seen = torch.cat([self.plant.observe(state), u[..., self.inputs["context"]]], -1)
        x = self.network.step(x, seen)
        state = self.plant.step(state, self.commands(x), u[..., self.inputs["load"]])
        return self.pack(x, state)

    def step(self, z: Tensor, u: Tensor) -> Tensor:
        """`forward` with the arguments of `System.step`."""
        return self(u, z)

    def commands(self, z: Tensor) -> Tensor:
        """Muscle commands (..., muscle) of the network's part of states z (..., state), or of network states alone."""
        return self.plant.command(self.network.readout(z[..., : self._n]))

    def hand(self, z: Tensor) -> Tensor:
        """Where the hand is in states z, (..., 2), m."""
        return self.plant.arm.hand(z[..., self.parts["q"]])

    def held(self, context: Any, load: Any = (0.0, 0.0), origin: Any = None) -> Tensor:
        """The input (input,) that holds a context (target x, y, go cue) and a force on the hand (N).

        Parameters
        ----------
        context : array (context,)
        load : array (2,)
        origin : array (2,), optional
            The point about which vision is rotated, m; only, and necessarily, if it is.
        """
        parts = {"context": context, "load": load, "origin": origin}
        if (origin is not None) != ("origin" in self.inputs):
            what = "the point about which vision is rotated" if "origin" in self.inputs else "None without a rotation"
            raise ValueError(f"`origin`: expected {what}, got {origin!r}.")
        u = torch.zeros(self.input_size, dtype=torch.float64)
        for name, where in self.inputs.items():
            value = torch.as_tensor(parts[name], dtype=torch.float64)
            u[where] = check_finite(
                name, value.reshape(check_axes(name, value, "input", input=where.stop - where.start))
            )
        return u

    @torch.no_grad()
    def rollout(self, trials: Trials) -> tuple[Tensor, Tensor]:
        """States (trial, time, state) and inputs (trial, time, input) of trials, float64, one step after the other."""
        start = self.plant.reset(trials.ics.double())
        u = torch.cat([trials.inputs, trials.loads], -1).double()
        if "origin" in self.inputs:
            u = torch.cat([u, start.origin[:, None].expand(-1, u.shape[1], -1)], -1)
        z, states = self.pack(self.network.init_hidden(len(trials)), start), []
        for held in u.unbind(1):
            z = self(held, z)
            states.append(z)
        return torch.stack(states, 1), u

    def jacobian(self, u: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """dF/dz (B, state, state) and dF/du (B, state, input) by the chain rule.

        Where command and activation of a muscle are equal, the derivative is that of falling activation (of rising
        where the command is cut to 1).
        """
        return self._jacobian(u, z, torch.zeros(len(z), self.plant.n_actions, dtype=torch.bool))

    @property
    def box(self) -> tuple[Tensor, Tensor] | None:
        """A box that the map takes into itself, where the network keeps one whatever its input; loose elsewhere."""
        if self._network_box is None:
            return None
        lower, upper = self._network_box
        low, high = self.plant.arm.joint_limits.T
        size = torch.full((self.hidden_size,), 1e3, dtype=torch.float64)
        sides = [-size, size]
        for side, x, q, least in zip(sides, (lower, upper), (low, high), (0.0, 1.0)):
            side[self.parts["network"]], side[self.parts["q"]], side[self.parts["activation"]] = x, q, least
        return sides[0], sides[1]

    def reduced(self) -> Reduced:
        """The equation of rest states, in the network's state and the angles; see the module."""
        return Reduced(self._projected, self._lifted, self._rest_residual, self._rest_jacobian)

    def rest_state(self, x: Tensor, q: Tensor, u: Tensor) -> Tensor:
        """The state z in which the arm is held at angles q by what the network commands in state x."""
        return self._lifted(torch.cat([x, q], -1), u)

    def rest_spectra(self, z: Tensor, u: Tensor) -> Tensor:
        """Eigenvalues of all derivatives that F has at rest states, (point, branch, state), largest modulus first.

        At rest each muscle may be rising or falling in activation, with its own time constant for each: 2^m branches,
        the first with all falling (that of `jacobian`); a muscle whose command is clipped has only one side, and equal
        branches. Decay in every branch does not prove stability, which depends on how they alternate; growth of a
        direction that stays in its branch disproves it.

        Parameters
        ----------
        z : Tensor (point, state)
            Fixed points.
        u : Tensor (input,) or (point, input)
            Their held inputs.
        """
        m, d = self.plant.n_actions, self.hidden_size
        command = self.commands(z)
        low = self.plant.arm.muscle.min_activation
        two_sided = (command > low) & (command < 1)
        spectra = []
        for p in range(len(z)):
            # what a muscle's side changes adds to what the others' change: activations do not act on each other
            sides = torch.cat([torch.zeros(1, m, dtype=torch.bool), torch.eye(m, dtype=torch.bool)]) & two_sided[p]
            falling, *rising = self._jacobian(u.expand(len(z), -1)[p].expand(m + 1, -1), z[p].expand(m + 1, -1), sides)[
                0
            ]
            change = (torch.stack(rising) - falling).reshape(m, -1)
            patterns = torch.tensor(list(product((0.0, 1.0), repeat=m)), dtype=torch.float64)
            values = torch.linalg.eigvals(falling + (patterns @ change).reshape(-1, d, d))
            spectra.append(values.gather(1, values.abs().argsort(1, descending=True)))
        return torch.stack(spectra) if spectra else torch.zeros(0, 2**m, d, dtype=torch.complex128)

    @cached_property
    def _network_box(self) -> tuple[Tensor, Tensor] | None:
        """The box that the network keeps whatever its input, if there is one."""
        theirs = self._network_map.box
        if theirs is None:
            return None
        no, some = (torch.full((self.network.input_size,), value, dtype=torch.float64) for value in (0.0, 1.0))
        box, other = theirs(no), theirs(some)
        return box if torch.equal(box[0], other[0]) and torch.equal(box[1], other[1]) else None

    @cached_property
    def _network_map(self) -> Map:
        n, i = self._n, self.network.input_size
        nothing = torch.zeros(1, 1, n, dtype=torch.float64), torch.zeros(1, 1, i, dtype=torch.float64)
        one = torch.ones(1, dtype=torch.int64)
        return as_map(System("network", *nothing, one, step=self.network.step, cell=self.network.cell))

    def _packed(self, state: PlantState) -> Tensor:
        arm = state.arm._replace(force=state.arm.force / self._force_unit)
        return torch.cat([arm.pack(), state.vision.flatten(-2), state.proprioception.flatten(-2)], -1)

    def _unpacked(self, s: Tensor, origin: Tensor) -> PlantState:
        state = self.plant.unpack(torch.cat([s, origin], -1))
        return state._replace(arm=state.arm._replace(force=state.arm.force * self._force_unit))

    def _observed(self, s: Tensor, outside: Tensor) -> Tensor:
        return self.plant.observe(self._unpacked(s, outside[..., 2:]))

    def _moved(self, s: Tensor, drive: Tensor) -> Tensor:
        command, load, origin = drive.tensor_split((self.plant.n_actions, self.plant.n_actions + 2), -1)
        return self._packed(self.plant.step(self._unpacked(s, origin), command, load))

    def _activation(self, x: Tensor) -> Tensor:
        return self.commands(x).clamp(self.plant.arm.muscle.min_activation, 1.0)

    def _jacobian(self, u: Tensor, z: Tensor, rising: Tensor) -> tuple[Tensor, Tensor]:
        """`jacobian`, with those muscles at rest taken as rising that `rising` (B, muscle) names."""
        n, k = self._n, self.inputs["context"].stop
        x, s, outside = z[..., :n], z[..., n:], u[..., k:]
        with torch.no_grad():
            seen = torch.cat([self._observed(s, outside), u[..., :k]], -1)
            new = self.network.step(x, seen)
            command = self.commands(new)
            s = self._off_the_kink(s, command, rising)
        dx, di = self._network_map.jacobians(x, seen)
        o_s, o_r = autodiff_jacobian(self._observed, s, outside)
        c_x = autodiff_jacobian(lambda x, _: self.commands(x), new, outside)[0]
        p_s, p_i = autodiff_jacobian(self._moved, s, torch.cat([command, outside], -1))
        m = self.plant.n_observations
        x_z = torch.cat([dx, di[..., :m] @ o_s], -1)
        x_u = torch.cat([di[..., m:], di[..., :m] @ o_r], -1)
        p_x = p_i[..., : command.shape[-1]] @ c_x
        s_z, s_u = p_x @ x_z, p_x @ x_u
        s_z[..., n:] += p_s
        s_u[..., k:] += p_i[..., command.shape[-1] :]
        return torch.cat([x_z, s_z], -2), torch.cat([x_u, s_u], -2)

    def _off_the_kink(self, s: Tensor, command: Tensor, rising: Tensor) -> Tensor:
        """Plant states in which activations at rest, equal to their commands but for rounding, are on one side."""
        where = slice(self.parts["activation"].start - self._n, self.parts["activation"].stop - self._n)
        target = command.clamp(self.plant.arm.muscle.min_activation, 1.0)
        near = (s[..., where] - target).abs() <= _SAME
        s = s.clone()
        side = torch.where(rising | (command > 1), target - _SAME, target)
        s[..., where] = torch.where(near, side, s[..., where])
        return s

    def _held_arm(self, q: Tensor, activation: Tensor) -> ArmState:
        still = torch.zeros_like(q)
        return ArmState(q, still, activation, self.plant.arm.muscle_force(activation, q, still))

    def _sensed(self, arm: ArmState, origin: Tensor) -> Tensor:
        """What is observed of an arm at rest, whatever the delays."""
        nothing = arm.q[..., None, :0]
        return self._prompt.observe(PlantState(arm, nothing, nothing, origin))

    def _projected(self, z: Tensor) -> Tensor:
        return torch.cat([z[..., self.parts["network"]], z[..., self.parts["q"]]], -1)

    def _lifted(self, y: Tensor, u: Tensor) -> Tensor:
        x, q = y[..., : self._n], y[..., self._n :]
        arm = self._held_arm(q, self._activation(x))
        seen = self._sensed(arm, u[..., self.inputs["load"].stop :])
        lines = seen[..., :2].tile(self.plant.vision_lag), seen[..., 2:].tile(self.plant.proprioception_lag)
        return torch.cat([x, q, arm.qd, arm.activation, arm.force / self._force_unit, *lines], -1)

    def _rest_observed(self, q: Tensor, outside: Tensor) -> Tensor:
        # what is sensed does not depend on activation
        arm = ArmState(q, torch.zeros_like(q), *(2 * (q.new_zeros(*q.shape[:-1], self.plant.n_actions),)))
        return self._sensed(arm, outside[..., 2:])

    def _rest_displacement(self, q: Tensor, drive: Tensor) -> Tensor:
        """clip(q + tau^2 q'') - q for activation and load `drive`."""
        activation, load = drive.tensor_split((self.plant.n_actions,), -1)
        qdd = self.plant.arm.acceleration(self._held_arm(q, activation), load)
        low, high = self.plant.arm.joint_limits.T
        return torch.minimum(torch.maximum(q + _TAU**2 * qdd, low), high) - q

    def _rest_residual(self, y: Tensor, u: Tensor) -> Tensor:
        with torch.no_grad():
            x, q = y[..., : self._n], y[..., self._n :]
            inside, seen, push = self._rest_drives(x, q, u)
            return torch.cat([self.network.step(inside, seen) - x, self._rest_displacement(q, push)], -1)

    def _rest_jacobian(self, y: Tensor, u: Tensor) -> Tensor:
        n, k, m = self._n, self.inputs["context"].stop, self.plant.n_observations
        x, q = y[..., :n], y[..., n:]
        with torch.no_grad():
            inside, seen, push = self._rest_drives(x, q, u)
        dx, di = self._network_map.jacobians(inside, seen)
        free = (inside == x).double()[:, None, :]
        dx = dx * free - torch.eye(n, dtype=torch.float64)
        o_q = autodiff_jacobian(self._rest_observed, q, u[..., k:])[0]
        a_x = autodiff_jacobian(lambda x, _: self._activation(x), inside, u)[0] * free
        g_q, g_a = autodiff_jacobian(self._rest_displacement, q, push)
        rows = torch.cat([dx, di[..., :m] @ o_q], -1), torch.cat([g_a[..., : self.plant.n_actions] @ a_x, g_q], -1)
        return torch.cat(rows, -2)

    def _rest_drives(self, x: Tensor, q: Tensor, u: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Network states within their box, what the network sees, and what moves the arm: activations and load."""
        if self._network_box is not None:
            # far outside, gates saturate and F(x) = x to rounding, though there are no fixed points
            x = x.clamp(*self._network_box)
        seen = torch.cat(
            [self._rest_observed(q, u[..., self.inputs["load"].start :]), u[..., self.inputs["context"]]], -1
        )
        return x, seen, torch.cat([self._activation(x), u[..., self.inputs["load"]]], -1)


def _slices(sizes: dict[str, int]) -> dict[str, slice]:
    found, start = {}, 0
    for name, size in sizes.items():
        found[name] = slice(start, start + size)
        start += size
    return found
