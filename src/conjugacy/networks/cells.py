"""Recurrent cells: modules ``cell(u, x) -> x_next`` that hold the weights of one step.

torch's own cells serve for the vanilla, GRU and LSTM networks; here are the others. A cell whose derivatives have
a closed form has ``jacobian(u, x)``, and one that maps a box into itself has ``box``; `conjugacy.dynamics` uses both.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

_TANH_BEND = 4 / (3 * 3**0.5)  # largest second derivative of tanh


class LeakyCell(nn.Module):
    """x' = (1 - alpha) x + alpha tanh(W x + V u + b), an Euler step of tau dx/dt = -x + tanh(W x + V u + b).

    Parameters
    ----------
    input_size, latent_size : int
        Numbers of inputs and of units.
    alpha : float
        dt / tau, in (0, 1]; with 1 it is the vanilla network.
    """

    def __init__(self, input_size: int, latent_size: int, alpha: float):
        super().__init__()
        self.alpha = alpha
        self.weight_hh = nn.Parameter(torch.empty(latent_size, latent_size))
        self.weight_ih = nn.Parameter(torch.empty(latent_size, input_size))
        self.bias = nn.Parameter(torch.zeros(latent_size))

    def forward(self, u: Tensor, x: Tensor) -> Tensor:
        """One step; u (..., input), x (..., unit)."""
        return (1 - self.alpha) * x + self.alpha * torch.tanh(x @ self.weight_hh.T + u @ self.weight_ih.T + self.bias)

    def jacobian(self, u: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """(dx'/dx, dx'/du) = ((1 - alpha) I + alpha S W, alpha S V) with S = diag(1 - tanh^2)."""
        slope = 1 - torch.tanh(x @ self.weight_hh.T + u @ self.weight_ih.T + self.bias).square()
        leak = (1 - self.alpha) * torch.eye(x.shape[-1], dtype=x.dtype, device=x.device)
        gain = self.alpha * slope[..., None]
        return leak + gain * self.weight_hh, gain * self.weight_ih

    @property
    def box(self) -> tuple[Tensor, Tensor]:
        """[-1, 1] in every unit: x' is a mean of x and a tanh."""
        one = torch.ones_like(self.bias).detach()
        return -one, one

    def jacobian_lipschitz(self, u: Tensor, x: Tensor, radius: Tensor) -> Tensor:
        """Lipschitz constant of dx'/dx anywhere: alpha c |W| max_i |W_i|, with |tanh''| <= c."""
        w = self.weight_hh.detach()
        bound = self.alpha * _TANH_BEND * torch.linalg.matrix_norm(w, 2) * torch.linalg.vector_norm(w, dim=1).max()
        return bound.expand_as(radius)

    def step_bounds(self, u, x):
        """The step on a set of states, see `conjugacy.dynamics.step_bounds`."""
        drive = x.matmul(self.weight_hh).add_product(self.weight_ih, u, self.bias)
        return x * (1 - self.alpha) + drive.tanh() * self.alpha


class LowRankCell(nn.Module):
    """x' = (1 - alpha) x + alpha (M N^T tanh(x) / D + V u + b): recurrent connectivity of a given rank.

    Parameters
    ----------
    input_size, latent_size : int
        Numbers of inputs and of units D.
    rank : int
        Columns of M and N, in [1, D].
    alpha : float
        dt / tau, in (0, 1].
    """

    def __init__(self, input_size: int, latent_size: int, rank: int, alpha: float):
        super().__init__()
        self.alpha = alpha
        self.m = nn.Parameter(torch.empty(latent_size, rank))
        self.n = nn.Parameter(torch.empty(latent_size, rank))
        self.weight_ih = nn.Parameter(torch.empty(latent_size, input_size))
        self.bias = nn.Parameter(torch.zeros(latent_size))

    def forward(self, u: Tensor, x: Tensor) -> Tensor:
        """One step; u (..., input), x (..., unit)."""
        recurrent = (torch.tanh(x) @ self.n / x.shape[-1]) @ self.m.T
        return (1 - self.alpha) * x + self.alpha * (recurrent + u @ self.weight_ih.T + self.bias)

    def jacobian(self, u: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """(dx'/dx, dx'/du) = ((1 - alpha) I + alpha M N^T diag(1 - tanh^2) / D, alpha V)."""
        d = x.shape[-1]
        leak = (1 - self.alpha) * torch.eye(d, dtype=x.dtype, device=x.device)
        slope = 1 - torch.tanh(x).square()
        by_input = (self.alpha * self.weight_ih).expand(*x.shape, -1)
        return leak + self.alpha / d * (self.m @ self.n.T) * slope[..., None, :], by_input

    def box(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """Bounds of M N^T tanh(x) / D + V u + b, unit by unit: x' is a mean of x and that."""
        reach = (self.m @ self.n.T).abs().sum(1).detach() / len(self.m)
        drive = (u @ self.weight_ih.T + self.bias).detach()
        return drive - reach, drive + reach

    def jacobian_lipschitz(self, u: Tensor, x: Tensor, radius: Tensor) -> Tensor:
        """Lipschitz constant of dx'/dx anywhere: alpha c |M N^T| / D, with |tanh''| <= c."""
        weight = (self.m @ self.n.T).detach() / len(self.m)
        return (self.alpha * _TANH_BEND * torch.linalg.matrix_norm(weight, 2)).expand_as(radius)

    def step_bounds(self, u, x):
        """The step on a set of states, see `conjugacy.dynamics.step_bounds`."""
        # M N^T tanh(x) / D; dividing by D is a product with 1 / D up to a rounding that `*` counts
        recurrent = (x.tanh().matmul(self.n.T) * (1 / len(self.m))).matmul(self.m)
        return x * (1 - self.alpha) + recurrent.add_product(self.weight_ih, u, self.bias) * self.alpha


class RateCell(nn.Module):
    """x' = (1 - alpha) x + alpha (W tanh(x) + V u + b), an Euler step of tau dx/dt = -x + W tanh(x) + V u + b.

    Parameters
    ----------
    input_size, latent_size : int
        Numbers of inputs and of units.
    alpha : float
        dt / tau, in (0, 1].
    """

    def __init__(self, input_size: int, latent_size: int, alpha: float):
        super().__init__()
        self.alpha = alpha
        self.weight_hh = nn.Parameter(torch.empty(latent_size, latent_size))
        self.weight_ih = nn.Parameter(torch.empty(latent_size, input_size))
        self.bias = nn.Parameter(torch.zeros(latent_size))

    def forward(self, u: Tensor, x: Tensor) -> Tensor:
        """One step; u (..., input), x (..., unit)."""
        drive = torch.tanh(x) @ self.weight_hh.T + u @ self.weight_ih.T + self.bias
        return (1 - self.alpha) * x + self.alpha * drive

    def jacobian(self, u: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """(dx'/dx, dx'/du) = ((1 - alpha) I + alpha W diag(1 - tanh^2), alpha V)."""
        slope = 1 - torch.tanh(x).square()
        leak = (1 - self.alpha) * torch.eye(x.shape[-1], dtype=x.dtype, device=x.device)
        by_input = (self.alpha * self.weight_ih).expand(*x.shape, -1)
        return leak + self.alpha * self.weight_hh * slope[..., None, :], by_input

    def box(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """Bounds of W tanh(x) + V u + b, unit by unit: x' is a mean of x and that."""
        reach = self.weight_hh.abs().sum(1).detach()
        drive = (u @ self.weight_ih.T + self.bias).detach()
        return drive - reach, drive + reach

    def jacobian_lipschitz(self, u: Tensor, x: Tensor, radius: Tensor) -> Tensor:
        """Lipschitz constant of dx'/dx anywhere: alpha c |W|, with |tanh''| <= c."""
        bound = self.alpha * _TANH_BEND * torch.linalg.matrix_norm(self.weight_hh.detach(), 2)
        return bound.expand_as(radius)

    def step_bounds(self, u, x):
        """The step on a set of states, see `conjugacy.dynamics.step_bounds`."""
        drive = x.tanh().matmul(self.weight_hh).add_product(self.weight_ih, u, self.bias)
        return x * (1 - self.alpha) + drive * self.alpha


class DaleCell(nn.Module):
    """x' = (1 - alpha) x + alpha (W [x]+ + V u + b) with W = |w| diag(sign): every unit excites, or every one inhibits.

    Parameters
    ----------
    input_size, latent_size : int
        Numbers of inputs and of units.
    n_excitatory : int
        The first so many units excite, the others inhibit.
    alpha : float
        dt / tau, in (0, 1].
    """

    sign: Tensor

    def __init__(self, input_size: int, latent_size: int, n_excitatory: int, alpha: float):
        super().__init__()
        self.alpha = alpha
        self.raw_weight_hh = nn.Parameter(torch.empty(latent_size, latent_size))
        self.weight_ih = nn.Parameter(torch.empty(latent_size, input_size))
        self.bias = nn.Parameter(torch.zeros(latent_size))
        sign = torch.ones(latent_size)
        sign[n_excitatory:] = -1
        self.register_buffer("sign", sign)

    @property
    def weight_hh(self) -> Tensor:
        """W (unit, unit): column j has the sign of unit j, no unit drives itself."""
        signed = self.raw_weight_hh.abs() * self.sign
        return signed.tril(-1) + signed.triu(1)

    def forward(self, u: Tensor, x: Tensor) -> Tensor:
        """One step; u (..., input), x (..., unit)."""
        drive = x.relu() @ self.weight_hh.T + u @ self.weight_ih.T + self.bias
        return (1 - self.alpha) * x + self.alpha * drive

    def jacobian(self, u: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """(dx'/dx, dx'/du) = ((1 - alpha) I + alpha W diag(x > 0), alpha V)."""
        leak = (1 - self.alpha) * torch.eye(x.shape[-1], dtype=x.dtype, device=x.device)
        by_input = (self.alpha * self.weight_ih).expand(*x.shape, -1)
        return leak + self.alpha * self.weight_hh * (x > 0).to(x.dtype)[..., None, :], by_input

    def jacobian_lipschitz(self, u: Tensor, x: Tensor, radius: Tensor) -> Tensor:
        """0 where no unit changes sides within the ball, and the map is affine there; else no bound."""
        return torch.where((x.abs() > radius[..., None]).all(-1), 0.0, torch.inf).to(x.dtype)

    def step_bounds(self, u, x):
        """The step on a set of states, see `conjugacy.dynamics.step_bounds`."""
        drive = x.relu().matmul(self.weight_hh).add_product(self.weight_ih, u, self.bias)
        return x * (1 - self.alpha) + drive * self.alpha


class FlowCell(nn.Module):
    """x' = x + step MLP([x, u]): an Euler step of a neural ODE dx/dt = MLP([x, u]) with ReLU layers.

    Parameters
    ----------
    input_size, latent_size : int
        Numbers of inputs and of latents.
    num_layers : int
        Linear layers of the MLP, >= 1.
    layer_hidden_size : int
        Units of each layer but the last.
    step : float
        The Euler step, in units of the ODE's time.
    """

    def __init__(self, input_size: int, latent_size: int, num_layers: int, layer_hidden_size: int, step: float):
        super().__init__()
        self.step = step
        widths = [latent_size + input_size, *[layer_hidden_size] * (num_layers - 1), latent_size]
        layers: list[nn.Module] = []
        for wide_in, wide_out in pairwise(widths):
            layers += [nn.Linear(wide_in, wide_out), nn.ReLU()]
        self.field = nn.Sequential(*layers[:-1])

    def forward(self, u: Tensor, x: Tensor) -> Tensor:
        """One step; u (..., input), x (..., latent)."""
        return x + self.step * self.field(torch.cat([x, u], -1))

    def jacobian(self, u: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """(dx'/dx, dx'/du) = (I + step J_x, step J_u), J = W_n D_(n-1) W_(n-1) ... D_1 W_1, D = diag(drive > 0)."""
        _, slopes = self._drives_and_slopes(u, x)
        d = x.shape[-1]
        eye = torch.eye(d, dtype=x.dtype, device=x.device)
        return eye + self.step * slopes[-1][..., :d], self.step * slopes[-1][..., d:]

    def jacobian_lipschitz(self, u: Tensor, x: Tensor, radius: Tensor) -> Tensor:
        """0 where no unit changes sides within the ball, and the map is affine there; else no bound."""
        drives, slopes = self._drives_and_slopes(u, x)
        affine = torch.ones_like(radius, dtype=torch.bool)
        for drive, slope in zip(drives[:-1], slopes[:-1]):
            # as long as the layers below keep their sides, this one is affine in x
            reach = radius[..., None] * slope[..., : x.shape[-1]].norm(dim=-1)
            affine &= (drive.abs() > reach).all(-1)
        return torch.where(affine, 0.0, torch.inf).to(x.dtype)

    def _drives_and_slopes(self, u: Tensor, x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """What drives each layer (..., unit), and its derivative by [x, u] (..., unit, latent + input)."""
        drives: list[Tensor] = []
        slopes: list[Tensor] = []
        below = torch.cat([x, u], -1)
        for layer in self.field:
            if not isinstance(layer, nn.Linear):
                continue
            if drives:
                on = drives[-1] > 0
                below, slope = drives[-1] * on, layer.weight @ (slopes[-1] * on[..., None])
            else:
                slope = layer.weight.expand(*x.shape[:-1], -1, -1)
            drives.append(below @ layer.weight.T + layer.bias)
            slopes.append(slope)
        return drives, slopes

    def step_bounds(self, u, x):
        """The step on a set of states, see `conjugacy.dynamics.step_bounds`."""
        first, *others = [layer for layer in self.field if isinstance(layer, nn.Linear)]
        n = first.in_features - len(u)
        y = x.matmul(first.weight[:, :n]).add_product(first.weight[:, n:], u, first.bias)
        for layer in others:
            y = y.relu().matmul(layer.weight, layer.bias)
        return x + y * self.step


class LSTMStateCell(nn.Module):
    """torch's LSTM cell with its hidden and cell state in one vector x = [h, c], so that it is a map of x.

    i, f, o = sigma(W_i [h, u] + b_i), ..., g = tanh(W_g [h, u] + b_g), c' = f c + i g, h' = o tanh(c').
    """

    def __init__(self, input_size: int, latent_size: int):
        super().__init__()
        self.lstm = nn.LSTMCell(input_size, latent_size)

    def forward(self, u: Tensor, x: Tensor) -> Tensor:
        """One step; u (..., input), x (..., 2 * hidden)."""
        flat = x.reshape(-1, x.shape[-1])
        h, c = self.lstm(u.reshape(-1, u.shape[-1]), tuple(flat.chunk(2, -1)))
        return torch.cat([h, c], -1).reshape(x.shape)
