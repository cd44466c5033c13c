"""Closed forms of torch's own cells: Jacobians, invariant boxes, Lipschitz bounds, smaller equations and gates.

All in float64, from detached copies of the weights, so that the caller's cell stays as it is and trainable.

GRU (gates r, z, candidate n, a = W_n h + b_n): h' = (1 - z) n + z h has the fixed points of n(h) = h, because z < 1.
LSTM: c' = f c + i g and h' = o tanh(c') have the fixed points of o tanh(i g / (1 - f)) = h, because f < 1.
The smaller equations are better conditioned (a gate near one makes F(x) - x tiny everywhere) and cheaper.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from conjugacy.dynamics.map import Map, Reduced

_SIGMOID_CURVATURE = 1 / (6 * 3**0.5)  # max |sigma''|


def gru_map(cell: nn.GRUCell) -> Map:
    """The map of an ``nn.GRUCell``; it keeps the box [-1, 1]^D, and every fixed point lies inside."""
    d = cell.hidden_size
    w, v, b_h, b_i = _weights(cell)
    w_r, w_z, w_n = w.split(d)
    norm_r, norm_n = w_r.norm(dim=1), w_n.norm(dim=1)
    spectral_r, spectral_n = _spectral(w_r), _spectral(w_n)

    def gates(h, u):
        i_r, i_z, i_n = (u @ v.T + b_i).split(d, -1)
        h_r, h_z, a = (h @ w.T + b_h).split(d, -1)
        r, z = torch.sigmoid(i_r + h_r), torch.sigmoid(i_z + h_z)
        return r, z, torch.tanh(i_n + r * a), a

    def candidate(h, u):
        # without the update gate: two thirds of the work
        i_r, _, i_n = (u @ v.T + b_i).split(d, -1)
        r = torch.sigmoid(i_r + h @ w_r.T + b_h[:d])
        a = h @ w_n.T + b_h[2 * d :]
        return r, torch.tanh(i_n + r * a), a

    def step(h, u):
        # as few calls as will do: orbits of few states are followed for thousands of steps
        drive, own = torch.addmm(b_i, u, v.T), torch.addmm(b_h, h, w.T)
        gate = torch.sigmoid(drive[:, : 2 * d] + own[:, : 2 * d])
        n = torch.tanh(torch.addcmul(drive[:, 2 * d :], gate[:, :d], own[:, 2 * d :]))
        return torch.lerp(n, h, gate[:, d:])

    def jacobian(h, u):
        r, z, n, a = gates(h, u)
        t, s = (1 - z) * (1 - n * n), (h - n) * z * (1 - z)
        dr = t * a * r * (1 - r)
        dx = _rows(s, w_z) + _rows(t * r, w_n) + _rows(dr, w_r)
        dx.diagonal(dim1=-2, dim2=-1).add_(z)
        v_r, v_z, v_n = v.split(d)
        return dx, _rows(s, v_z) + _rows(t, v_n) + _rows(dr, v_r)

    def displacement(h, u):
        # (1 - z)(n - h) with 1 - z as a sigmoid of its own: exact where z rounds to one
        i_r, i_z, i_n = (u @ v.T + b_i).split(d, -1)
        h_r, h_z, a = (h @ w.T + b_h).split(d, -1)
        return torch.sigmoid(-i_z - h_z) * (torch.tanh(i_n + torch.sigmoid(i_r + h_r) * a) - h)

    def displacement_jacobian(h, u):
        i_r, i_z, i_n = (u @ v.T + b_i).split(d, -1)
        h_r, h_z, a = (h @ w.T + b_h).split(d, -1)
        r, z, keep = torch.sigmoid(i_r + h_r), torch.sigmoid(i_z + h_z), torch.sigmoid(-i_z - h_z)
        n = torch.tanh(i_n + r * a)
        t = keep * (1 - n * n)
        dx = _rows((h - n) * z * keep, w_z)
        dx.addcmul_((t * r)[..., None], w_n).addcmul_((t * a * r * (1 - r))[..., None], w_r)
        dx.diagonal(dim1=-2, dim2=-1).sub_(keep)
        return dx

    def residual(h, u):
        return candidate(h, u)[1] - h

    def residual_jacobian(h, u):
        r, n, a = candidate(h, u)
        t = 1 - n * n
        dx = _rows(t * r, w_n).add_(_rows(t * a * r * (1 - r), w_r))
        dx.diagonal(dim1=-2, dim2=-1).sub_(1)
        return dx

    def leak(h, u):
        # 1 - z without cancellation
        return torch.sigmoid(-(u @ v[d : 2 * d].T + b_i[d : 2 * d] + h @ w_z.T + b_h[d : 2 * d]))

    def times(h, u, v_):
        r, n, a = candidate(h, u)
        t = 1 - n * n
        return _rows(t * r, w_n @ v_).add_(_rows(t * a * r * (1 - r), w_r @ v_)).sub_(v_)

    def lipschitz(h, u, radius):
        # bounds over the ball of each factor of diag((1-n^2) r) W_n + diag((1-n^2) a r(1-r)) W_r, by the product rule
        i_r, _, i_n = (u @ v.T + b_i).split(d, -1)
        p_r, a = i_r + h @ w_r.T + b_h[:d], h @ w_n.T + b_h[2 * d :]
        rho = radius[:, None]
        r_up = torch.sigmoid(p_r + rho * norm_r)
        slope = _sup_sigmoid_slope(p_r, rho * norm_r)
        a_up = a.abs() + rho * norm_n
        gradient = r_up * norm_n + a_up * slope * norm_r  # of the argument of tanh
        n_low, n_up = _tanh_range(i_n + torch.sigmoid(p_r) * a, rho * gradient)
        bend, flat = 2 * n_up * (1 - n_low**2), 1 - n_low**2
        c_n = bend * gradient * r_up + flat * slope * norm_r
        c_r = bend * gradient * a_up * slope + flat * (norm_n * slope + a_up * _SIGMOID_CURVATURE * norm_r)
        return c_n.amax(-1) * spectral_n + c_r.amax(-1) * spectral_r

    def box(u):
        one = torch.ones(d, dtype=torch.float64)
        return -one, one

    reduced = Reduced(_same, _same_lift, residual, residual_jacobian, lipschitz, times)
    return Map(
        step,
        d,
        cell.input_size,
        jacobian=jacobian,
        box=box,
        reduced=reduced,
        leak=leak,
        displacement=displacement,
        displacement_jacobian=displacement_jacobian,
        name="GRU",
    )


def rnn_map(cell: nn.RNNCell) -> Map:
    """The map of an ``nn.RNNCell``; with tanh it keeps [-1, 1]^D, with relu no box is known."""
    d = cell.hidden_size
    w, v, b_h, b_i = _weights(cell)
    rows, spectral = w.norm(dim=1), _spectral(w)
    relu = cell.nonlinearity == "relu"

    def drive(x, u):
        return x @ w.T + b_h + u @ v.T + b_i

    def step(x, u):
        return drive(x, u).relu() if relu else drive(x, u).tanh()

    def jacobian(x, u):
        a = drive(x, u)
        slope = (a > 0).double() if relu else 1 - a.tanh() ** 2
        return _rows(slope, w), _rows(slope, v)

    def lipschitz(x, u, radius):
        a = drive(x, u)
        if relu:
            # no unit changes sides within the ball: the map is affine there
            return torch.where((a.abs() > radius[:, None] * rows).all(-1), 0.0, torch.inf)
        n_low, n_up = _tanh_range(a, radius[:, None] * rows)
        return (2 * n_up * (1 - n_low**2) * rows).amax(-1) * spectral

    def box(u):
        one = torch.ones(d, dtype=torch.float64)
        return -one, one

    return Map(
        step,
        d,
        cell.input_size,
        jacobian=jacobian,
        box=None if relu else box,
        lipschitz=lipschitz,
        name="RNN (relu)" if relu else "RNN (tanh)",
    )


def lstm_map(cell: nn.LSTMCell) -> Map:
    """The map of an ``nn.LSTMCell`` on states [h, c]; |h| <= 1 bounds the forget gate, hence c: a box is kept."""
    d = cell.hidden_size
    w, v, b_h, b_i = _weights(cell)
    w_i, w_f, w_g, w_o = w.split(d)

    def gates(h, u):
        i, f, g, o = (h @ w.T + b_h + u @ v.T + b_i).split(d, -1)
        return torch.sigmoid(i), f, torch.tanh(g), torch.sigmoid(o)

    def step(x, u):
        h, c = x.split(d, -1)
        i, f, g, o = gates(h, u)
        c = torch.sigmoid(f) * c + i * g
        return torch.cat([o * torch.tanh(c), c], -1)

    def jacobian(x, u):
        h, c = x.split(d, -1)
        i, f_in, g, o = gates(h, u)
        f = torch.sigmoid(f_in)
        tanh_c = torch.tanh(f * c + i * g)
        d_i, d_f, d_g = g * i * (1 - i), c * f * (1 - f), i * (1 - g * g)
        out, d_o = o * (1 - tanh_c**2), tanh_c * o * (1 - o)
        m = _rows(d_f, w_f) + _rows(d_g, w_g) + _rows(d_i, w_i)
        top = torch.cat([_rows(d_o, w_o) + out[..., None] * m, torch.diag_embed(out * f)], -1)
        dx = torch.cat([top, torch.cat([m, torch.diag_embed(f)], -1)], -2)
        v_i, v_f, v_g, v_o = v.split(d)
        k = _rows(d_f, v_f) + _rows(d_g, v_g) + _rows(d_i, v_i)
        return dx, torch.cat([_rows(d_o, v_o) + out[..., None] * k, k], -2)

    def leak(x, u):
        return torch.sigmoid(-gates(x[..., :d], u)[1])  # 1 - f without cancellation

    def memory(h, u):
        i, f_in, g, o = gates(h, u)
        keep = torch.sigmoid(-f_in)  # 1 - f without cancellation
        return i, f_in, g, o, keep, i * g / keep

    def lift(h, u):
        return torch.cat([h, memory(h, u)[-1]], -1)

    def displacement(x, u):
        h, c = x.split(d, -1)
        i, f_in, g, o = gates(h, u)
        moved = i * g - torch.sigmoid(-f_in) * c
        return torch.cat([o * torch.tanh(c + moved) - h, moved], -1)

    def residual(h, u):
        _, _, _, o, _, c = memory(h, u)
        return o * torch.tanh(c) - h

    def residual_jacobian(h, u):
        i, f_in, g, o, keep, c = memory(h, u)
        tanh_c, out = torch.tanh(c), o * (1 - torch.tanh(c) ** 2)
        dx = _rows(out * g * i * (1 - i) / keep, w_i)
        dx += _rows(out * i * (1 - g * g) / keep, w_g)
        dx += _rows(out * c * torch.sigmoid(f_in), w_f)
        dx += _rows(tanh_c * o * (1 - o), w_o)
        dx.diagonal(dim1=-2, dim2=-1).sub_(1)
        return dx

    def box(u):
        drive = b_h + u @ v.T + b_i
        high = drive + w.abs().sum(1)
        i_up, f_up = torch.sigmoid(high[:d]), high[d : 2 * d]
        one = torch.ones(d, dtype=torch.float64)
        c = i_up / torch.sigmoid(-f_up)
        upper = torch.cat([one, c])
        return -upper, upper

    reduced = Reduced(lambda x: x[..., :d], lift, residual, residual_jacobian, None)
    return Map(
        step,
        2 * d,
        cell.input_size,
        jacobian=jacobian,
        box=box,
        reduced=reduced,
        leak=leak,
        displacement=displacement,
        name="LSTM",
    )


def _weights(cell: nn.RNNCellBase) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    w, v = (p.detach().cpu().double().clone() for p in (cell.weight_hh, cell.weight_ih))
    if not cell.bias:
        zero = torch.zeros(len(w), dtype=torch.float64)
        return w, v, zero, zero
    return w, v, cell.bias_hh.detach().cpu().double().clone(), cell.bias_ih.detach().cpu().double().clone()


def _rows(scale: Tensor, matrix: Tensor) -> Tensor:
    """diag(scale) @ matrix for a batch of diagonals."""
    return scale[..., None] * matrix


def _spectral(matrix: Tensor) -> Tensor:
    return torch.linalg.matrix_norm(matrix, ord=2)


def _sup_sigmoid_slope(centre: Tensor, shift: Tensor) -> Tensor:
    nearest = (centre.abs() - shift).clamp_min(0)
    s = torch.sigmoid(nearest)
    return s * (1 - s)


def _tanh_range(centre: Tensor, shift: Tensor) -> tuple[Tensor, Tensor]:
    """Least and largest |tanh| of an argument within `shift` of `centre`."""
    return torch.tanh((centre.abs() - shift).clamp_min(0)), torch.tanh(centre.abs() + shift)


def _same(x: Tensor) -> Tensor:
    return x


def _same_lift(x: Tensor, u: Tensor) -> Tensor:
    return x
