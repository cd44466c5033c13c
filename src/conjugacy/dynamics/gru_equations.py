"""A GRU in closed form: its step, derivatives, residuals and bounds."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from conjugacy.dynamics.cell_weights import rows, spectral, sup_sigmoid_slope, tanh_range, weights_of

_SIGMOID_CURVATURE = 1 / (6 * 3**0.5)  # max |sigma''|


class GRUEquations:
    """The equations of a GRU with recurrent weights W, input weights V and biases b (of W) and c (of V).

    With p_k = V_k u + c_k + W_k h + b_k of the gates k = r, z, and a = W_n h + b_n::

        r = sigmoid(p_r),  z = sigmoid(p_z),  n = tanh(V_n u + c_n + r a),  h' = (1 - z) n + z h

    The derivative of n is diag(t r) W_n + diag(t a r (1 - r)) W_r with t = 1 - n^2.
    """

    def __init__(self, cell: nn.GRUCell):
        self.d = d = cell.hidden_size
        self.w, self.v, self.b_h, self.b_i = weights_of(cell)
        self.w_r, self.w_z, self.w_n = self.w.split(d)
        self.norm_r, self.norm_n = self.w_r.norm(dim=1), self.w_n.norm(dim=1)
        self.spectral_r, self.spectral_n = spectral(self.w_r), spectral(self.w_n)

    def arguments(self, h: Tensor, u: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """p_r, p_z, V_n u + c_n and a."""
        i_r, i_z, i_n = (u @ self.v.T + self.b_i).split(self.d, -1)
        h_r, h_z, a = (h @ self.w.T + self.b_h).split(self.d, -1)
        return i_r + h_r, i_z + h_z, i_n, a

    def candidate_arguments(self, h: Tensor, u: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """p_r, V_n u + c_n and a: without the update gate, two thirds of the work."""
        d = self.d
        i_r, _, i_n = (u @ self.v.T + self.b_i).split(d, -1)
        return i_r + h @ self.w_r.T + self.b_h[:d], i_n, h @ self.w_n.T + self.b_h[2 * d :]

    def candidate(self, h: Tensor, u: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The factors t r and t a r (1 - r) of its derivative, and n itself."""
        p_r, i_n, a = self.candidate_arguments(h, u)
        r = torch.sigmoid(p_r)
        n = torch.tanh(i_n + r * a)
        t = 1 - n * n
        return t * r, t * a * r * (1 - r), n

    def step(self, h: Tensor, u: Tensor) -> Tensor:
        """h', in as few calls as will do: orbits of few states are followed for thousands of steps."""
        d = self.d
        drive, own = torch.addmm(self.b_i, u, self.v.T), torch.addmm(self.b_h, h, self.w.T)
        gate = torch.sigmoid(drive[:, : 2 * d] + own[:, : 2 * d])
        n = torch.tanh(torch.addcmul(drive[:, 2 * d :], gate[:, :d], own[:, 2 * d :]))
        return torch.lerp(n, h, gate[:, d:])

    def jacobian(self, h: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        """dh'/dh = diag(z) + diag((h - n) z (1 - z)) W_z + diag(1 - z) dn/dh, and dh'/du in the same way."""
        p_r, p_z, i_n, a = self.arguments(h, u)
        r, z = torch.sigmoid(p_r), torch.sigmoid(p_z)
        n = torch.tanh(i_n + r * a)
        t, s = (1 - z) * (1 - n * n), (h - n) * z * (1 - z)
        dr = t * a * r * (1 - r)
        dx = rows(s, self.w_z) + rows(t * r, self.w_n) + rows(dr, self.w_r)
        dx.diagonal(dim1=-2, dim2=-1).add_(z)
        v_r, v_z, v_n = self.v.split(self.d)
        return dx, rows(s, v_z) + rows(t, v_n) + rows(dr, v_r)

    def displacement(self, h: Tensor, u: Tensor) -> Tensor:
        """The move h' - h = (1 - z)(n - h), with 1 - z = sigmoid(-p_z): exact where z rounds to one."""
        p_r, p_z, i_n, a = self.arguments(h, u)
        return torch.sigmoid(-p_z) * (torch.tanh(i_n + torch.sigmoid(p_r) * a) - h)

    def displacement_jacobian(self, h: Tensor, u: Tensor) -> Tensor:
        """Its derivative: diag((h - n) z (1 - z)) W_z + diag(1 - z) (dn/dh - I)."""
        p_r, p_z, i_n, a = self.arguments(h, u)
        r, z, keep = torch.sigmoid(p_r), torch.sigmoid(p_z), torch.sigmoid(-p_z)
        n = torch.tanh(i_n + r * a)
        t = keep * (1 - n * n)
        dx = rows((h - n) * z * keep, self.w_z)
        dx.addcmul_((t * r)[..., None], self.w_n).addcmul_((t * a * r * (1 - r))[..., None], self.w_r)
        dx.diagonal(dim1=-2, dim2=-1).sub_(keep)
        return dx

    def residual(self, h: Tensor, u: Tensor) -> Tensor:
        """n(h) - h, whose zeros are the fixed points."""
        return self.candidate(h, u)[2] - h

    def residual_jacobian(self, h: Tensor, u: Tensor) -> Tensor:
        """dn/dh - I."""
        by_n, by_r, _ = self.candidate(h, u)
        dx = rows(by_n, self.w_n).add_(rows(by_r, self.w_r))
        dx.diagonal(dim1=-2, dim2=-1).sub_(1)
        return dx

    def residual_times(self, h: Tensor, u: Tensor, directions: Tensor) -> Tensor:
        """(dn/dh - I) times the columns of `directions` (D, k), without making the D by D matrices."""
        by_n, by_r, _ = self.candidate(h, u)
        return rows(by_n, self.w_n @ directions).add_(rows(by_r, self.w_r @ directions)).sub_(directions)

    def leak(self, h: Tensor, u: Tensor) -> Tensor:
        """1 - z = sigmoid(-p_z), without cancellation."""
        part = slice(self.d, 2 * self.d)
        return torch.sigmoid(-(u @ self.v[part].T + self.b_i[part] + h @ self.w_z.T + self.b_h[part]))

    def lipschitz(self, h: Tensor, u: Tensor, radius: Tensor) -> Tensor:
        """A Lipschitz bound of dn/dh over the ball of `radius` about h, by the product rule.

        Bounded over the ball is each factor of diag(t r) W_n + diag(t a r (1 - r)) W_r and its derivative.
        """
        p_r, i_n, a = self.candidate_arguments(h, u)
        rho, norm_r, norm_n = radius[:, None], self.norm_r, self.norm_n
        r_up = torch.sigmoid(p_r + rho * norm_r)
        slope = sup_sigmoid_slope(p_r, rho * norm_r)
        a_up = a.abs() + rho * norm_n
        gradient = r_up * norm_n + a_up * slope * norm_r  # of the argument of tanh
        n_low, n_up = tanh_range(i_n + torch.sigmoid(p_r) * a, rho * gradient)
        bend, flat = 2 * n_up * (1 - n_low**2), 1 - n_low**2
        c_n = bend * gradient * r_up + flat * slope * norm_r
        c_r = bend * gradient * a_up * slope + flat * (norm_n * slope + a_up * _SIGMOID_CURVATURE * norm_r)
        return c_n.amax(-1) * self.spectral_n + c_r.amax(-1) * self.spectral_r
