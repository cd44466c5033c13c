"""One step of the arm on the CPU and its gradient, compiled; ``physics="motornet"`` only.

The arrays hold one row a variable and one column a trial, so that each row is a loop that the compiler vectorises. A
step forward keeps the derivatives that the step back needs (its tape). With l = M^-1 (dt g), g what arrives at the new
velocity where no limit stopped it, the chain rule gives what leaves at the old state; the lines of `step_back` follow
the order of the variables. Branches and the order of operations are those of the plain step, which is the reference:
tests/arm/test_compiled_arm.py compares both, benchmarks/arm.py times them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from conjugacy._check import check_finite
from conjugacy._jit import njit
from conjugacy.arm.muscles import MujocoHillMuscle, ReluMuscle, RigidTendonHillMuscle
from conjugacy.arm.state import ArmState

if TYPE_CHECKING:
    from conjugacy.arm.arm26 import RigidTendonArm26

N_STATE = 16  # rows of a state: q 0-1, qd 2-3, activation 4-9, force 10-15
N_OUTSIDE = 10  # of what acts on it: action 0-5, endpoint load 6-7, joint load 8-9
N_TAPE = 42
# rows of the tape: sines and cosines of q1, q1 + q2, q2; acceleration; what passes the limits; then six rows each
_S1, _C1, _S12, _C12, _S2, _C2, _QDD, _Q_PASS, _V_PASS = 0, 1, 2, 3, 4, 5, 6, 8, 10
_F_A, _F_L, _F_V, _A_A, _A_U = 12, 18, 24, 30, 36

_MUJOCO, _HILL, _RELU = 0, 1, 2
_KINDS = {MujocoHillMuscle: _MUJOCO, RigidTendonHillMuscle: _HILL, ReluMuscle: _RELU}


class Constants(NamedTuple):
    """The constants of an arm that the compiled step needs, all in one dtype.

    Attributes
    ----------
    kind : int
        Which muscle.
    six : array (7, 6)
        The arm's table of muscles.
    body : array (11,)
        A, B, C of the inertia, lengths of the links, damping + viscosity, limits (low 1, low 2, high 1, high 2), dt.
    muscle : array (9,)
        Lower bound of activation, its two time constants, parameters of the curves.
    n_ministeps : int
    """

    kind: int
    six: np.ndarray
    body: np.ndarray
    muscle: np.ndarray
    n_ministeps: int


def constants(arm: RigidTendonArm26, dtype: type) -> Constants | None:
    """The constants of an arm, or None if the kernel has not got its muscle or physics."""
    muscle, skeleton = arm.muscle, arm.skeleton
    kind = _KINDS.get(type(muscle))
    if kind is None or arm.physics != "motornet":
        return None
    friction = arm.damping + skeleton.viscosity
    limits = (*arm.pos_lower_bound, *arm.pos_upper_bound)
    body = (*skeleton.inertia, skeleton.l1, skeleton.l2, friction, *limits, arm.timestep / arm.n_ministeps)
    curves: tuple[float, ...] = ()
    if isinstance(muscle, MujocoHillMuscle):
        fpmax = muscle.normalized_slack_muscle_length
        curves = (muscle.passive_forces, muscle.lmin, muscle.lmax, muscle.vmax, muscle.fvmax - 1, fpmax)
    elif isinstance(muscle, RigidTendonHillMuscle):
        curves = (muscle.normalized_slack_muscle_length,)
    law = (muscle.min_activation, muscle.tau_activation, muscle.tau_deactivation, *curves)
    row = np.zeros(9)
    row[: len(law)] = law
    return Constants(kind, arm._six.table.astype(dtype), np.array(body, dtype), row.astype(dtype), arm.n_ministeps)


def compiled_step(arm: RigidTendonArm26, known: Constants, parts: Sequence[Tensor | None]) -> tuple[Tensor, ...]:
    """The parts of the state after a step.

    Parameters
    ----------
    arm, known : RigidTendonArm26, Constants
        The arm, and what `constants` returned for it.
    parts : sequence
        q, qd, activation, force, action, endpoint load, joint load: (trial, .) tensors on the CPU in the dtype of
        `known`; either load may be None.
    """
    return _Step.apply(arm, known, *parts)  # pyright: ignore[reportReturnType]


class _Step(torch.autograd.Function):
    @staticmethod
    def forward(ctx, arm: RigidTendonArm26, known: Constants, *parts: Tensor | None):
        q = parts[0]
        n, dtype = len(q), known.six.dtype  # pyright: ignore[reportArgumentType]
        whole = [x if x is not None else q.new_zeros(n, 2) for x in parts]  # pyright: ignore[reportOptionalMemberAccess]
        rows = torch.cat([x.detach() for x in whole], 1).T.contiguous()
        state, outside = rows.numpy()[:N_STATE], rows.numpy()[N_STATE:]
        if not math.isfinite(rows[N_STATE + 6 :].sum().item()):
            for name, load in zip(("endpoint_load", "joint_load"), parts[5:]):
                if load is not None:
                    check_finite(name, load)
        states, tapes, scratch = [state], [], np.empty((2, n), dtype)
        for _ in range(known.n_ministeps):
            states.append(np.empty((N_STATE, n), dtype))
            tapes.append(np.empty((N_TAPE, n), dtype))
            step_forward(*known[:4], states[-2], outside, states[-1], tapes[-1], scratch)
        if any(ctx.needs_input_grad):
            ctx.save_for_backward(*parts)
            ctx.record = arm, known, states, outside, tapes
        return torch.from_numpy(states[-1]).T.split((2, 2, 6, 6), 1)

    @staticmethod
    def backward(ctx, *grads):
        arm, known, states, outside, tapes = ctx.record
        if torch.is_grad_enabled():  # create_graph=True: the gradient has to be differentiable itself
            return None, None, *_differentiable_gradient(arm, ctx.saved_tensors, grads)
        grad = torch.cat(grads, 1).T.contiguous().numpy()
        other, scratch = np.empty_like(grad), np.empty((2, grad.shape[1]), grad.dtype)
        toward = np.zeros_like(outside)
        for state, tape in zip(reversed(states[:-1]), reversed(tapes)):
            step_back(known.six, known.body, state, outside, tape, grad, other, toward, scratch)
            grad, other = other, grad
        parts = [*torch.from_numpy(grad).T.split((2, 2, 6, 6), 1), *torch.from_numpy(toward).T.split((6, 2, 2), 1)]
        return None, None, *(x if needed else None for x, needed in zip(parts, ctx.needs_input_grad[2:]))


def _differentiable_gradient(arm: RigidTendonArm26, parts: Sequence[Tensor | None], grads) -> list[Tensor | None]:
    # by way of aliases: a part may have been made from another one
    parts = [None if x is None else x.view_as(x) for x in parts]
    new = arm.plain_step(ArmState(*parts[:4]), *parts[4:])  # pyright: ignore
    wanted = [x for x in parts if x is not None and x.requires_grad]
    reached, arriving = zip(*((x, g) for x, g in zip(new, grads) if x.requires_grad))
    found = iter(torch.autograd.grad(reached, wanted, arriving, create_graph=True, allow_unused=True))
    return [next(found) if x is not None and x.requires_grad else None for x in parts]


@njit(error_model="numpy", cache=True)
def step_forward(kind, six, body, muscle, x, outside, out, tape, scratch):
    """One Euler step: state x (16, trial), `outside` (10, trial) = action, endpoint load, joint load."""
    num = x.dtype.type
    one, two, half_pi = num(1), num(2), num(math.pi / 2)
    _skeleton(six, body, x, outside, out, tape, scratch[0], scratch[1])
    length, velocity = scratch[0], scratch[1]
    q1, q2, v1, v2 = x[0], x[1], x[2], x[3]
    for m in range(6):
        _activate(x[4 + m], outside[m], muscle, body[10], out[4 + m], tape[_A_A + m], tape[_A_U + m])
        a0, shoulder, elbow, elbow2, fmax = six[0, m], six[1, m], six[2, m], six[3, m], six[4, m]
        for b in range(len(length)):
            bend = elbow2 * q2[b]
            length[b] = a0 + shoulder * (q1[b] - half_pi) + (elbow + bend) * q2[b]
            velocity[b] = shoulder * v1[b] + (elbow + two * bend) * v2[b]
        a, force = out[4 + m], out[10 + m]
        f_a, f_l, f_v = tape[_F_A + m], tape[_F_L + m], tape[_F_V + m]
        if kind == _MUJOCO:
            _mujoco(a, length, velocity, six[5, m], six[6, m], muscle, force, f_a, f_l, f_v)
        elif kind == _HILL:
            _hill(a, length, velocity, six[5, m], six[6, m], muscle, force, f_a, f_l, f_v)
        else:
            for b in range(len(a)):
                force[b], f_a[b], f_l[b], f_v[b] = a[b], one, num(0), num(0)
        for b in range(len(a)):
            force[b] *= fmax
            f_a[b] *= fmax
            f_l[b] *= fmax
            f_v[b] *= fmax


@njit(error_model="numpy", cache=True)
def _skeleton(six, body, x, outside, out, tape, t1, t2):
    """Angles and velocities after the step, from the old forces."""
    num = x.dtype.type
    zero, half, one, two, fastest = num(0), num(0.5), num(1), num(2), num(1000)
    a, b_, c, len1, len2, friction = body[0], body[1], body[2], body[3], body[4], body[5]
    low1, low2, high1, high2, dt = body[6], body[7], body[8], body[9], body[10]
    q1, q2, v1, v2 = x[0], x[1], x[2], x[3]
    s1, c1, s12, c12, s2, c2 = tape[_S1], tape[_C1], tape[_S12], tape[_C12], tape[_S2], tape[_C2]
    n = len(q1)
    for b in range(n):
        s1[b] = math.sin(q1[b])
        c1[b] = math.cos(q1[b])
        s2[b] = math.sin(q2[b])
        c2[b] = math.cos(q2[b])
    fx, fy, j1, j2 = outside[6], outside[7], outside[8], outside[9]
    for b in range(n):
        s12[b] = s1[b] * c2[b] + c1[b] * s2[b]
        c12[b] = c1[b] * c2[b] - s1[b] * s2[b]
        by_forearm = len2 * (c12[b] * fy[b] - s12[b] * fx[b])
        t1[b] = j1[b] - friction * v1[b] + by_forearm + len1 * (c1[b] * fy[b] - s1[b] * fx[b])
        t2[b] = j2[b] - friction * v2[b] + by_forearm
    for m in range(6):
        force, shoulder, elbow, elbow2 = x[10 + m], six[1, m], six[2, m], six[3, m]
        for b in range(n):
            t1[b] -= force[b] * shoulder
            t2[b] -= force[b] * (elbow + two * elbow2 * q2[b])
    w1, w2 = tape[_QDD], tape[_QDD + 1]
    for b in range(n):
        bs, bc = b_ * s2[b], b_ * c2[b]
        r1 = t1[b] + bs * v2[b] * (two * v1[b] + v2[b])
        r2 = t2[b] - bs * v1[b] * v1[b]
        m11, m12 = a + two * bc, c + bc
        per_d = one / (m11 * c - m12 * m12)
        w1[b] = (c * r1 - m12 * r2) * per_d
        w2[b] = (m11 * r2 - m12 * r1) * per_d
    for joint in range(2):
        low, high = (low1, high1) if joint == 0 else (low2, high2)
        q, v, w, q_out, v_out = x[joint], x[2 + joint], tape[_QDD + joint], out[joint], out[2 + joint]
        q_pass, v_pass = tape[_Q_PASS + joint], tape[_V_PASS + joint]
        for b in range(n):
            angle = q[b] + dt * v[b]
            speed = v[b] + dt * w[b]
            speed_pass = zero if (speed < -fastest) | (speed > fastest) else one
            speed = -fastest if speed < -fastest else speed
            speed = fastest if speed > fastest else speed
            stopped = ((speed < zero) & (angle <= low)) | ((speed > zero) & (angle >= high))
            v_out[b] = zero if stopped else speed
            v_pass[b] = zero if stopped else speed_pass
            # torch's maximum and minimum halve the gradient on a tie, and an arm at a limit is one
            passed = zero if (angle < low) | (angle > high) else one
            q_pass[b] = half if (angle == low) | (angle == high) else passed
            angle = low if angle < low else angle
            q_out[b] = high if angle > high else angle


@njit(error_model="numpy", cache=True)
def _activate(a, action, muscle, dt, out, by_a, by_u):
    num = a.dtype.type
    zero, half, one, slope = num(0), num(0.5), num(1), num(1.5)
    low, tau_up, tau_down = muscle[0], muscle[1], muscle[2]
    for b in range(len(a)):
        u, old = action[b], a[b]
        u_in = (u >= low) & (u <= one)
        a_in = (old >= low) & (old <= one)
        u = low if u < low else u
        u = one if u > one else u
        old = low if old < low else old
        old = one if old > one else old
        w = half + slope * old
        rising = u > old
        tau = tau_up * w if rising else tau_down / w
        new = old + (u - old) / tau * dt
        inside = (new >= low) & (new <= one)
        k = dt / tau
        bend = slope * k / w
        bend = -bend if rising else bend
        by_a[b] = one - k + (u - old) * bend if inside & a_in else zero
        by_u[b] = k if inside & u_in else zero
        new = low if new < low else new
        out[b] = one if new > one else new


@njit(error_model="numpy", cache=True)
def _bump(rise, fall, up, down, weight):
    """Value and slope of a bump times `weight`: a quadratic spline of the share of its rise or fall that is done.

    `rise` and `fall` are those shares, 0 at the foot and 1 at the peak; `up` and `down` are their slopes.
    """
    zero, one, two, four = type(rise)(0), type(rise)(1), type(rise)(2), type(rise)(4)
    rising = rise < fall
    h = rise if rising else fall
    slope = up if rising else -down
    flat = (h <= zero) | (h >= one)
    h = zero if h < zero else h
    h = one if h > one else h
    bend = two * h - one
    bend = zero if bend < zero else bend
    return weight * (two * h * h - bend * bend), zero if flat else weight * four * (h - bend) * slope


@njit(error_model="numpy", cache=True)
def _mujoco(a, length, velocity, tendon, optimal, muscle, force, by_a, by_l, by_v):
    num = a.dtype.type
    zero, half, one, two, three = num(0), num(0.5), num(1), num(2), num(3)
    shortest, shoulder, quarter = num(0.001), num(0.15), num(0.25)
    passive, low, high, vmax, c, fpmax = muscle[3], muscle[4], muscle[5], muscle[6], muscle[7], muscle[8]
    middle, end = half * (low + num(0.95)), num(0.95)
    up, down = one / (one - low), one / (high - one)
    up2, down2 = one / (middle - low), one / (end - middle)
    per_knee = one / (half * (high - one))
    per_l, per_v, per_c = one / optimal, one / vmax, one / c
    fpmax = quarter * fpmax * passive
    for b in range(len(a)):
        stretch = length[b] - tendon
        slack = stretch < shortest
        ln = (shortest if slack else stretch) * per_l
        # the active force is a bump with its peak at 1 and a lower one, the shoulder, on its rise
        fl, fl_l = _bump((ln - low) * up, (high - ln) * down, up, down, one)
        more, more_l = _bump((ln - low) * up2, (end - ln) * down2, up2, down2, shoulder)
        fl += more
        fl_l += more_l
        v = velocity[b] * per_v
        lengthening = v > zero
        s = v + one
        s = zero if s < zero else s
        e = c - v
        e = zero if e < zero else e
        fv = one + c - e * e * per_c if lengthening else s * s
        fv_v = two * (e * per_c if lengthening else s)
        y = (ln - one) * per_knee
        y = zero if y < zero else y
        z = y - one
        z = zero if z < zero else z
        y = one if y > one else y
        fp = fpmax * (y * y * y + three * z)
        fp_l = fpmax * three * y * y * per_knee
        force[b] = a[b] * fl * fv + fp
        by_a[b] = fl * fv
        by_l[b] = zero if slack else (a[b] * fl_l * fv + fp_l) * per_l
        by_v[b] = a[b] * fl * fv_v * per_v


@njit(error_model="numpy", cache=True)
def _hill(a, length, velocity, tendon, optimal, muscle, force, by_a, by_l, by_v):
    num = a.dtype.type
    zero, half, one, two, floor, a_rel, b_rel = num(0), num(0.5), num(1), num(2), num(0.01), num(0.41), num(5.2)
    per_width, critical, ramp = num(1 / 0.66**2), num(0.3), num(0.9 / (0.005 - 0.3))
    ecc, three_halves, quarter = num(0.001), num(1.5), num(0.25)
    slack_length = muscle[3]
    k_pe = one / ((num(1.66) - slack_length) * (num(1.66) - slack_length))
    per_l, per_v = one / optimal, one / (num(10) * optimal)
    for b in range(len(a)):
        act = a[b]
        stretch = length[b] - tendon
        slack = stretch < zero
        ln = (zero if slack else stretch) * per_l
        v = velocity[b] * per_v
        fl = one - (ln - one) * (ln - one) * per_width
        on_floor = fl < floor
        fl = floor if on_floor else fl
        fl_l = zero if on_floor else -two * (ln - one) * per_width
        long = ln > one
        ar = a_rel * fl if long else a_rel
        ar_l = a_rel * fl_l if long else zero
        weak = act < critical
        root = one - ramp * (act - critical) if weak else one
        br = b_rel * root * root
        br_a = -two * b_rel * root * ramp if weak else zero
        x, x_a, x_l = fl * act, fl, fl_l * act
        shortening = v < zero
        # shortening: f = s_num / s_den
        vs = v if shortening else zero
        per_den = one / (br - vs)
        f_short = (vs * act * ar + x * br) * per_den
        short_a = (vs * ar + x_a * br + (x - f_short) * br_a) * per_den
        short_l = (vs * act * ar_l + x_l * br) * per_den
        short_v = (act * ar + f_short) * per_den
        # lengthening: f = l_num / (p1 + v), with p1, p2, p3 of x and the slope of the asymptote
        ve = zero if shortening else v
        per_br = one / br
        d = act * (fl + ar) * per_br
        d_a = (fl + ar - d * br_a) * per_br
        d_l = act * (fl_l + ar_l) * per_br
        per_pd = one / (ecc - two * d)
        p1 = -half * x * per_pd
        p1_a = (-half * x_a + two * p1 * d_a) * per_pd
        p1_l = (-half * x_l + two * p1 * d_l) * per_pd
        p2 = quarter * x * x * per_pd
        p2_a = (half * x * x_a + two * p2 * d_a) * per_pd
        p2_l = (half * x * x_l + two * p2 * d_l) * per_pd
        per_den = one / (p1 + ve)
        # -p3 = 1.5 x
        lead = three_halves * x + ecc * ve
        f_long = (p1 * lead + p2 + ve * lead) * per_den
        long_a = (p1_a * lead + (p1 + ve) * three_halves * x_a + p2_a - f_long * p1_a) * per_den
        long_l = (p1_l * lead + (p1 + ve) * three_halves * x_l + p2_l - f_long * p1_l) * per_den
        long_v = (p1 * ecc + lead + ve * ecc - f_long) * per_den
        f = f_short if shortening else f_long
        off = f <= zero
        passive = ln - slack_length
        passive = zero if passive < zero else passive
        force[b] = (zero if off else f) + k_pe * passive * passive
        by_a[b] = zero if off else (short_a if shortening else long_a)
        f_l = zero if off else (short_l if shortening else long_l)
        by_l[b] = zero if slack else (f_l + two * k_pe * passive) * per_l
        by_v[b] = zero if off else (short_v if shortening else long_v) * per_v


@njit(error_model="numpy", cache=True)
def step_back(six, body, x, outside, tape, arriving, leaving, toward, scratch):
    """The step back: gradients `arriving` (16, trial) at the new state, `leaving` at the old; adds to `toward`."""
    two = x.dtype.type(2)
    a, b_, c, len1, len2, friction, dt = body[0], body[1], body[2], body[3], body[4], body[5], body[10]
    q2, v1, v2 = x[1], x[2], x[3]
    s1, c1, s12, c12, s2, c2 = tape[_S1], tape[_C1], tape[_S12], tape[_C12], tape[_S2], tape[_C2]
    w1, w2 = tape[_QDD], tape[_QDD + 1]
    fx, fy = outside[6], outside[7]
    n = len(q2)
    l1, l2, by_q1, by_q2, by_v1, by_v2 = scratch[0], scratch[1], leaving[0], leaving[1], leaving[2], leaving[3]
    for b in range(n):
        g1, g2 = arriving[2, b] * tape[_V_PASS, b], arriving[3, b] * tape[_V_PASS + 1, b]
        k1, k2 = arriving[0, b] * tape[_Q_PASS, b], arriving[1, b] * tape[_Q_PASS + 1, b]
        bs, bc = b_ * s2[b], b_ * c2[b]
        m11, m12 = a + two * bc, c + bc
        scale = dt / (m11 * c - m12 * m12)
        i1, i2 = (c * g1 - m12 * g2) * scale, (m11 * g2 - m12 * g1) * scale
        l1[b], l2[b] = i1, i2
        turned = (i1 + i2) * len2
        by_load = -turned * (s12[b] * fy[b] + c12[b] * fx[b])
        by_q1[b] = k1 + by_load - i1 * len1 * (s1[b] * fy[b] + c1[b] * fx[b])
        coriolis = i1 * v2[b] * (two * v1[b] + v2[b]) - i2 * v1[b] * v1[b]
        by_q2[b] = k2 + by_load + bc * coriolis + bs * (i1 * (two * w1[b] + w2[b]) + i2 * w1[b])
        by_v1[b] = g1 + dt * k1 + two * bs * (i1 * v2[b] - i2 * v1[b]) - friction * i1
        by_v2[b] = g2 + dt * k2 + two * bs * i1 * (v1[b] + v2[b]) - friction * i2
        toward[6, b] -= i1 * len1 * s1[b] + turned * s12[b]
        toward[7, b] += i1 * len1 * c1[b] + turned * c12[b]
        toward[8, b] += i1
        toward[9, b] += i2
    for m in range(6):
        shoulder, elbow, elbow2 = six[1, m], six[2, m], six[3, m]
        f_a, f_l, f_v, a_a, a_u = (
            tape[_F_A + m],
            tape[_F_L + m],
            tape[_F_V + m],
            tape[_A_A + m],
            tape[_A_U + m],
        )
        by_a, by_u, by_force, force = leaving[4 + m], toward[m], leaving[10 + m], x[10 + m]
        g_a, g_force = arriving[4 + m], arriving[10 + m]
        for b in range(n):
            g = g_a[b] + g_force[b] * f_a[b]
            by_a[b] = g * a_a[b]
            by_u[b] += g * a_u[b]
            arm = elbow + two * elbow2 * q2[b]
            by_force[b] = -l1[b] * shoulder - l2[b] * arm
            by_l, by_v = g_force[b] * f_l[b], g_force[b] * f_v[b]
            by_q1[b] += by_l * shoulder
            by_q2[b] += by_l * arm + two * elbow2 * (by_v * v2[b] - l2[b] * force[b])
            by_v1[b] += by_v * shoulder
            by_v2[b] += by_v * arm
