"""Sequential autoencoder: an encoder reads the spikes of a trial into the state with which a decoder starts.

    x_0 = W [forward GRU(n), backward GRU(n)] + b,   x_t = cell(u_t, x_{t-1}),   log r_t = C x_t + d

After that the decoder runs by itself, driven by the known inputs u: what it predicts is the work of its dynamics
(Pandarinath et al. 2018, Nat Methods 15:805, without controller and noise; Versteeg et al. 2025 for decoders of few
latents). With `kl_scale` > 0 the first state is drawn from a normal distribution that the encoder gives, and its
divergence from the prior N(m, 0.1) is part of the loss: a variational autoencoder (Sussillo et al. 2016,
arXiv:1608.06315).
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from conjugacy._check import check_number
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
from conjugacy.networks.network import Network, linear_readout
from conjugacy.networks.sequence import sequence

_PRIOR_VARIANCE = 0.1


class SequentialAutoencoder(SpikeModel):
    """A model of spikes with the dynamics of any network.

    Parameters
    ----------
    decoder : Network
        Its cell is the dynamics: NODE(3), GRU(128), VanillaRNN, LowRankRNN, StableLinear, ... It is copied.
    encoder_size : int
        Units of each direction of the encoder, >= 1.
    dropout : float
        Share of spikes, and of encoder states, left out in training, in [0, 1).
    kl_scale : float
        Weight of the divergence of the first state's distribution, >= 0; 0: no distribution, one state.
    readout_gain : float
        Factor on the first weights of the readout, so that rates start near the means of the units.
    """

    def __init__(
        self,
        decoder: Network,
        encoder_size: int = 64,
        dropout: float = 0.05,
        kl_scale: float = 0.0,
        readout_gain: float = 0.1,
    ):
        super().__init__(decoder, encoder_size, dropout, kl_scale)
        self.readout_gain = check_number("readout_gain", readout_gain, 0)

    @property
    def kind(self) -> str:
        """Its name in tables: that of the decoder's class, and SAE."""
        return f"{type(self.decoder).__name__}-SAE"

    @classmethod
    def small(cls) -> SequentialAutoencoder:
        """A small instance."""
        from conjugacy.networks.gru import GRU

        return cls(GRU(6), 6)

    def make_readout(self, output_size: int, generator: torch.Generator) -> nn.Module:
        """Log rates of all units, linear in what the decoder's own readout reads."""
        readout = copy.deepcopy(self.decoder).make_readout(output_size, generator)
        last = [m for m in readout.modules() if isinstance(m, nn.Linear)][-1]
        last.weight.data *= self.readout_gain
        nn.init.zeros_(last.bias)
        return readout

    def init_model(self, input_size: int, output_size: int, seed: int = 0) -> None:
        """Make the weights of decoder, readout and encoder, drawn from `seed`."""
        super().init_model(input_size, output_size, seed)
        generator = torch.Generator().manual_seed(seed ^ 0x5AE)
        self.forward_encoder = encoder_cell(output_size, self.encoder_size, generator)
        self.backward_encoder = encoder_cell(output_size, self.encoder_size, generator)
        wide = self.state_size * (2 if self.varies else 1)
        self.to_state = linear_readout(2 * self.encoder_size, wide, generator)
        self.prior_mean = nn.Parameter(torch.zeros(self.state_size))

    @property
    def varies(self) -> bool:
        """Whether its loss has divergences."""
        return self.kl_scale > 0

    def infer(self, counts: Tensor, inputs: Tensor, noise: torch.Generator | None = None) -> Inferred:
        """States and log rates of trials; see `SpikeModel.infer`."""
        seen = dropped(counts, self.dropout, noise)
        ahead, back = both_ways(self.forward_encoder, self.backward_encoder, seen)
        code = self.to_state(dropped(torch.cat([ahead[:, -1], back[:, 0]], 1), self.dropout, noise))
        divergence = counts.new_zeros(len(counts))
        if self.varies:
            mean, log_variance = code.chunk(2, 1)
            code, variance = normal_draw(mean, log_variance, noise)
            divergence = self.kl_scale * normal_divergence(mean, variance, self.prior_mean, _PRIOR_VARIANCE)
        states = sequence(self.cell, inputs, code)
        return Inferred(states, self.readout(states).clamp(max=HIGHEST_LOG_RATE), divergence)

    def forecast(self, counts: Tensor, inputs: Tensor, n_seen: int) -> Tensor:
        """Log rates of the bins from `n_seen` on; see `SpikeModel.forecast`."""
        begun = self.infer(counts[:, :n_seen], inputs[:, :n_seen]).states[:, -1]
        states = sequence(self.cell, inputs[:, n_seen:], begun)
        return self.readout(states).clamp(max=HIGHEST_LOG_RATE)
