"""LFADS: latent factor analysis via dynamical systems, an autoencoder whose dynamics receive inferred inputs.

    g_0 ~ q(g_0 | all spikes),   f_t = W g_t,   log r_t = C f_t + d
    s_t = GRU([e_t, f_{t-1}], s_{t-1}),   u_t ~ q(u_t | s_t),   g_t = cell([given inputs, u_t], g_{t-1})

An encoder reads all spikes of a trial into the distribution of the first state g_0. A second one, which at bin t has
read the spikes before t and those after t, tells the controller s what happens (e_t); the controller sees the factors
f that the dynamics predict, and infers the inputs u that they need to go on as the spikes do. Inferred inputs pay for
what they say: their prior is an autoregressive process u_t ~ N(a u_{t-1}, v) with trained a = exp(-1/tau) and v, of
stationary variance at the start, and the first state's is N(m, 0.1) with trained m. The weights of both divergences
grow from 0 in the first half of the fit. Spikes are left out at random, and the likelihood is that of those left out
(coordinated dropout, Keshtkaran & Pandarinath 2019), since a controller could pass spikes on.

Written from Sussillo, Jozefowicz, Abbott & Pandarinath 2016 (arXiv:1608.06315) and Pandarinath et al. 2018 (Nat Methods
15:805). Differences: GRUs as torch has them, and any network for the dynamics.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from conjugacy._check import check_int, check_number
from conjugacy.models.spike_model import (
    HIGHEST_LOG_RATE,
    Inferred,
    SpikeModel,
    both_ways,
    dropped,
    encoder_cell,
    normal_divergence,
    normal_draw,
)
from conjugacy.networks.network import MAX_UNITS, Network, linear_readout

_PRIOR_VARIANCE = 0.1  # of the first state, and of what drives the inputs at first
_FIRST_TAU = 10.0  # bins


class FactorReadout(nn.Module):
    """Log rates from states through factors: f = W g with rows of length 1, log r = C f + d."""

    def __init__(self, state_size: int, n_factors: int, output_size: int, generator: torch.Generator):
        super().__init__()
        self.factors = nn.Parameter(torch.empty(n_factors, state_size))
        nn.init.normal_(self.factors, std=state_size**-0.5, generator=generator)
        self.rates = linear_readout(n_factors, output_size, generator)

    def weight(self) -> Tensor:
        """W (factor, state)."""
        return self.factors / self.factors.norm(dim=1, keepdim=True)

    def forward(self, x: Tensor) -> Tensor:
        """Log rates (..., unit) of states (..., state)."""
        return self.rates(x @ self.weight().T)


class LFADS(SpikeModel):
    """LFADS with the dynamics of any network; see the module.

    Parameters
    ----------
    decoder : Network
        Its cell is the generator: GRU(64), NODE(8), ... It is copied.
    inferred : int
        Number of inputs to infer, >= 0; 0: no controller.
    factors : int
        Number of factors, >= 1.
    encoder_size, controller_size : int
        Units of each direction of the encoders, and of the controller.
    dropout : float
        Share of encoder and generator states left out in training, in [0, 1).
    coordinated : float
        Share of counts that the encoders do not see and that are scored, in [0, 1); 0: all are seen and scored.
    kl_scale, input_kl_scale : float
        Weights of the divergences of the first state and of the inputs, >= 0; 1 makes the loss a bound on the
        likelihood.
    """

    readout: FactorReadout

    def __init__(
        self,
        decoder: Network,
        inferred: int = 1,
        factors: int = 8,
        encoder_size: int = 64,
        controller_size: int = 32,
        dropout: float = 0.05,
        coordinated: float = 0.3,
        kl_scale: float = 1.0,
        input_kl_scale: float = 1.0,
    ):
        super().__init__(decoder, encoder_size, dropout, kl_scale)
        self.inferred = check_int("inferred", inferred, 0, limit=MAX_UNITS)
        self.factors = check_int("factors", factors, 1, limit=MAX_UNITS)
        self.controller_size = check_int("controller_size", controller_size, 1, limit=MAX_UNITS)
        self.coordinated = check_number("coordinated", coordinated, 0, 1 - 1e-6)
        self.input_kl_scale = check_number("input_kl_scale", input_kl_scale, 0)

    @property
    def kind(self) -> str:
        """Its name in tables: that of the decoder's class, and LFADS."""
        return f"{type(self.decoder).__name__}-LFADS"

    @classmethod
    def small(cls) -> LFADS:
        """A small instance."""
        from conjugacy.networks.gru import GRU

        return cls(GRU(6), 1, 3, 5, 4)

    @property
    def external_size(self) -> int:
        """Number of inputs that are given to it."""
        return self.input_size - self.inferred

    @property
    def varies(self) -> bool:
        """Whether its loss has divergences."""
        return True

    def make_readout(self, output_size: int, generator: torch.Generator) -> FactorReadout:
        """Factors, and log rates of all units."""
        return FactorReadout(self.state_size, self.factors, output_size, generator)

    def init_model(self, input_size: int, output_size: int, seed: int = 0) -> None:
        """Make all weights, drawn from `seed`; `input_size` is the number of inputs that are given."""
        super().init_model(check_int("input_size", input_size, 1, limit=MAX_UNITS) + self.inferred, output_size, seed)
        generator = torch.Generator().manual_seed(seed ^ 0x1FAD5)
        size = self.encoder_size
        self.forward_encoder = encoder_cell(output_size, size, generator)
        self.backward_encoder = encoder_cell(output_size, size, generator)
        self.to_state = linear_readout(2 * size, 2 * self.state_size, generator)
        self.prior_mean = nn.Parameter(torch.zeros(self.state_size))
        if self.inferred:
            self.forward_watcher = encoder_cell(output_size, size, generator)
            self.backward_watcher = encoder_cell(output_size, size, generator)
            self.controller = encoder_cell(2 * size + self.factors, self.controller_size, generator)
            self.to_input = linear_readout(self.controller_size, 2 * self.inferred, generator)
            self.log_tau = nn.Parameter(torch.full((self.inferred,), math.log(_FIRST_TAU)))
            self.log_drive = nn.Parameter(torch.full((self.inferred,), math.log(_PRIOR_VARIANCE)))

    def infer(self, counts: Tensor, inputs: Tensor, noise: torch.Generator | None = None) -> Inferred:
        """States and log rates of trials; see `SpikeModel.infer`."""
        seen, scored = self._hidden(counts, noise)
        ahead, back = both_ways(self.forward_encoder, self.backward_encoder, seen)
        code = self.to_state(dropped(torch.cat([ahead[:, -1], back[:, 0]], 1), self.dropout, noise))
        mean, log_variance = code.chunk(2, 1)
        state, variance = normal_draw(mean, log_variance, noise)
        divergence = self.kl_scale * normal_divergence(mean, variance, self.prior_mean, _PRIOR_VARIANCE)
        watched = self._watched(seen, noise)
        control = counts.new_zeros(len(counts), self.controller_size)
        weight, states, drawn, means, variances = self.readout.weight().T, [], [], [], []
        for t in range(counts.shape[1]):
            u = inputs[:, t]
            if watched is not None:
                factors = dropped(state, self.dropout, noise) @ weight
                control = self.controller(torch.cat([watched[:, t], factors], 1), control)
                m, v = self.to_input(control).chunk(2, 1)
                sample, v = normal_draw(m, v, noise)
                for kept, x in ((drawn, sample), (means, m), (variances, v)):
                    kept.append(x)
                u = torch.cat([u, sample], 1)
            state = self.cell(u, state)
            states.append(state)
        found = None
        if drawn:
            found, m, v = (torch.stack(x, 1) for x in (drawn, means, variances))
            divergence = divergence + self.input_kl_scale * self._input_divergence(found, m, v)
        x = torch.stack(states, 1)
        log_rates = self.readout(dropped(x, self.dropout, noise)).clamp(max=HIGHEST_LOG_RATE)
        return Inferred(x, log_rates, divergence, found, scored)

    def forecast(self, counts: Tensor, inputs: Tensor, n_seen: int) -> Tensor:
        """Log rates of the bins from `n_seen` on, inferred inputs going on as their prior has it."""
        begun = self.infer(counts[:, :n_seen], inputs[:, :n_seen])
        state, states = begun.states[:, -1], []
        u = None if begun.inputs is None else begun.inputs[:, -1]
        for t in range(n_seen, inputs.shape[1]):
            given = inputs[:, t]
            if u is not None:
                u = u * self._memory()
                given = torch.cat([given, u], 1)
            state = self.cell(given, state)
            states.append(state)
        return self.readout(torch.stack(states, 1)).clamp(max=HIGHEST_LOG_RATE)

    def start_at_rates(self, counts_per_bin: Tensor) -> None:
        """Set the readout's bias so that the rates begin near these means (unit,)."""
        self.readout.rates.bias.data.copy_(counts_per_bin.clamp_min(1e-4).log())

    def _hidden(self, counts: Tensor, noise: torch.Generator | None) -> tuple[Tensor, Tensor | None]:
        """Counts as the encoders see them, and which are scored."""
        if not self.coordinated or noise is None:
            return counts, None
        out = (torch.rand(counts.shape, generator=noise, dtype=counts.dtype) < self.coordinated).to(counts.dtype)
        return counts * (1 - out) / (1 - self.coordinated), out

    def _watched(self, seen: Tensor, noise: torch.Generator | None) -> Tensor | None:
        """What the controller is told at each bin (trial, time, 2 size): of the bins before it, and of those after."""
        if not self.inferred:
            return None
        ahead, back = both_ways(self.forward_watcher, self.backward_watcher, seen)
        none = torch.zeros_like(ahead[:, :1])
        shifted = torch.cat([torch.cat([none, ahead[:, :-1]], 1), torch.cat([back[:, 1:], none], 1)], 2)
        return dropped(shifted, self.dropout, noise)

    def _memory(self) -> Tensor:
        """A (input,): what is left of an input a bin later."""
        return torch.exp(-torch.exp(-self.log_tau))

    def _input_divergence(self, u: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
        """Divergence (trial,) of the inputs from their prior: log q(u) - log p(u) at the draw u."""
        a, drive = self._memory(), self.log_drive.exp()
        before = torch.cat([torch.zeros_like(u[:, :1]), a * u[:, :-1]], 1)
        spread = drive.expand(u.shape[1], -1)
        spread = torch.cat([(drive / (1 - a**2))[None], spread[1:]])
        q = variance.log() + (u - mean).square() / variance
        p = spread.log() + (u - before).square() / spread
        return 0.5 * (p - q).sum((1, 2))
