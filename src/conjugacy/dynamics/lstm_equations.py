"""An LSTM in closed form: its step, derivatives, residual and box."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from conjugacy.dynamics.cell_weights import rows, weights_of


class LSTMEquations:
    """The equations of an LSTM on states x = [h, c], with p = W h + b + V u + c_0 split into four gates::

        i = sigmoid(p_i),  f = sigmoid(p_f),  g = tanh(p_g),  o = sigmoid(p_o)
        c' = f c + i g,    h' = o tanh(c')

    At fixed points c = i g / (1 - f), so that they are the zeros of o tanh(c(h)) - h in h alone.
    """

    def __init__(self, cell: nn.LSTMCell):
        self.d = d = cell.hidden_size
        self.w, self.v, self.b_h, self.b_i = weights_of(cell)
        self.w_i, self.w_f, self.w_g, self.w_o = self.w.split(d)

    def gates(self, h: Tensor, u: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """i, p_f, g and o."""
        i, f, g, o = (h @ self.w.T + self.b_h + u @ self.v.T + self.b_i).split(self.d, -1)
        return torch.sigmoid(i), f, torch.tanh(g), torch.sigmoid(o)

    def hidden(self, x: Tensor) -> Tensor:
        """Of [h, c] the part h."""
        return x[..., : self.d]

    def step(self, x: Tensor, u: Tensor) -> Tensor:
        """[h', c']."""
        h, c = x.split(self.d, -1)
        i, f, g, o = self.gates(h, u)
        c = torch.sigmoid(f) * c + i * g
        return torch.cat([o * torch.tanh(c), c], -1)

    def jacobian(self, x: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        """The derivatives of c' by the product rule, then those of h' = o tanh(c'), with respect to h, c and u."""
        h, c = x.split(self.d, -1)
        i, f_in, g, o = self.gates(h, u)
        f = torch.sigmoid(f_in)
        tanh_c = torch.tanh(f * c + i * g)
        d_i, d_f, d_g = g * i * (1 - i), c * f * (1 - f), i * (1 - g * g)
        out, d_o = o * (1 - tanh_c**2), tanh_c * o * (1 - o)
        m = rows(d_f, self.w_f) + rows(d_g, self.w_g) + rows(d_i, self.w_i)
        top = torch.cat([rows(d_o, self.w_o) + out[..., None] * m, torch.diag_embed(out * f)], -1)
        dx = torch.cat([top, torch.cat([m, torch.diag_embed(f)], -1)], -2)
        v_i, v_f, v_g, v_o = self.v.split(self.d)
        k = rows(d_f, v_f) + rows(d_g, v_g) + rows(d_i, v_i)
        return dx, torch.cat([rows(d_o, v_o) + out[..., None] * k, k], -2)

    def displacement(self, x: Tensor, u: Tensor) -> Tensor:
        """[h' - h, c' - c], with c' - c = i g - (1 - f) c and 1 - f = sigmoid(-p_f): exact where f rounds to one."""
        h, c = x.split(self.d, -1)
        i, f_in, g, o = self.gates(h, u)
        moved = i * g - torch.sigmoid(-f_in) * c
        return torch.cat([o * torch.tanh(c + moved) - h, moved], -1)

    def leak(self, x: Tensor, u: Tensor) -> Tensor:
        """1 - f = sigmoid(-p_f), without cancellation."""
        return torch.sigmoid(-self.gates(self.hidden(x), u)[1])

    def memory(self, h: Tensor, u: Tensor) -> tuple[Tensor, ...]:
        """i, p_f, g, o, 1 - f, and the c = i g / (1 - f) that stays as it is."""
        i, f_in, g, o = self.gates(h, u)
        keep = torch.sigmoid(-f_in)
        return i, f_in, g, o, keep, i * g / keep

    def lift(self, h: Tensor, u: Tensor) -> Tensor:
        """[h, c] with the c that stays."""
        return torch.cat([h, self.memory(h, u)[-1]], -1)

    def residual(self, h: Tensor, u: Tensor) -> Tensor:
        """The difference o tanh(c(h)) - h, whose zeros are the fixed points."""
        _, _, _, o, _, c = self.memory(h, u)
        return o * torch.tanh(c) - h

    def residual_jacobian(self, h: Tensor, u: Tensor) -> Tensor:
        """Its derivative: of c(h) by i, g and f, then of o."""
        i, f_in, g, o, keep, c = self.memory(h, u)
        tanh_c, out = torch.tanh(c), o * (1 - torch.tanh(c) ** 2)
        dx = rows(out * g * i * (1 - i) / keep, self.w_i)
        dx += rows(out * i * (1 - g * g) / keep, self.w_g)
        dx += rows(out * c * torch.sigmoid(f_in), self.w_f)
        dx += rows(tanh_c * o * (1 - o), self.w_o)
        dx.diagonal(dim1=-2, dim2=-1).sub_(1)
        return dx

    def box(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """|h| <= 1, and |c| <= i / (1 - f) at the largest i and f that such h allow."""
        d = self.d
        high = self.b_h + u @ self.v.T + self.b_i + self.w.abs().sum(1)
        c = torch.sigmoid(high[:d]) / torch.sigmoid(-high[d : 2 * d])
        upper = torch.cat([torch.ones(d, dtype=torch.float64), c])
        return -upper, upper
