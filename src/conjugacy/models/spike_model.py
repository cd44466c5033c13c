"""SpikeModel: a network that infers its states from spikes, and what such models share."""

from __future__ import annotations

import copy
from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from conjugacy._check import check_instance, check_int, check_number
from conjugacy.networks.network import MAX_UNITS, Network, fill_uniform
from conjugacy.networks.sequence import sequence

HIGHEST_LOG_RATE = 10.0  # counts per bin of e^10 are no spikes; beyond, a step of training overflows
_LOWEST_VARIANCE = 1e-4


@dataclass(frozen=True, eq=False)
class Inferred:
    """What a model makes of counts.

    Attributes
    ----------
    states : Tensor (trial, time, state)
    log_rates : Tensor (trial, time, unit)
        Logarithms of expected counts per bin.
    divergence : Tensor (trial,)
        What is added to the negative log-likelihood (nats) of each trial: divergences from priors, times their weights.
    inputs : Tensor (trial, time, input) or None
        Of models that infer their inputs.
    scored : Tensor (trial, time, unit) or None
        1 for the counts that the model did not see, where it is trained on these alone.
    """

    states: Tensor
    log_rates: Tensor
    divergence: Tensor
    inputs: Tensor | None = None
    scored: Tensor | None = None


class SpikeModel(Network):
    """The base class of models of spikes: encoders infer the states of a decoder, whose cell is the dynamics.

    Parameters
    ----------
    decoder : Network
        It is copied.
    encoder_size : int
        Units of each direction of an encoder, >= 1.
    dropout : float
        Share that is left out in training, in [0, 1).
    kl_scale : float
        Weight of the divergence of the first state's distribution, >= 0.
    """

    decoder: Network

    def __init__(self, decoder: Network, encoder_size: int, dropout: float, kl_scale: float):
        check_instance("decoder", decoder, Network)
        super().__init__(decoder.latent_size, decoder.noise_level, decoder.ic_noise)
        # kept out of the modules: its weights are made anew, as `cell`
        object.__setattr__(self, "decoder", decoder)
        self.encoder_size = check_int("encoder_size", encoder_size, 1, limit=MAX_UNITS)
        self.dropout = check_number("dropout", dropout, 0, 1 - 1e-6)
        self.kl_scale = check_number("kl_scale", kl_scale, 0)

    @property
    def state_size(self) -> int:
        """Number of state variables of the decoder."""
        return self.decoder.state_size

    def make_cell(self, input_size: int, generator: torch.Generator) -> nn.Module:
        """The decoder's cell."""
        return copy.deepcopy(self.decoder).make_cell(input_size, generator)

    @property
    def external_size(self) -> int:
        """Number of inputs that are given to it; inferred ones come on top."""
        return self.input_size

    @property
    def varies(self) -> bool:
        """Whether its loss has divergences."""
        return False

    @abstractmethod
    def infer(self, counts: Tensor, inputs: Tensor, noise: torch.Generator | None = None) -> Inferred:
        """States and log rates of trials.

        Parameters
        ----------
        counts : Tensor (trial, time, unit)
            Spikes per bin; zero for units that are held out.
        inputs : Tensor (trial, time, input)
            Those that are given.
        noise : torch.Generator, optional
            Source of dropout and of draws from distributions; without it there is neither.
        """

    @abstractmethod
    def forecast(self, counts: Tensor, inputs: Tensor, n_seen: int) -> Tensor:
        """Log rates (trial, time, unit) of the bins from `n_seen` on, of which and after which nothing is seen.

        Inputs (trial, time, input) are those of all bins: known inputs go on.
        """

    def start_at_rates(self, counts_per_bin: Tensor) -> None:
        """Set the readout's bias so that the rates begin near these means (unit,)."""
        last = [m for m in self.readout.modules() if isinstance(m, nn.Linear)][-1]
        last.bias.data.copy_(counts_per_bin.clamp_min(1e-4).log())


def encoder_cell(input_size: int, size: int, generator: torch.Generator) -> nn.GRUCell:
    """A GRU whose recurrent weights start orthogonal, gate by gate."""
    with torch.random.fork_rng(devices=[]):
        cell = nn.GRUCell(input_size, size)
    fill_uniform(cell, size, generator)
    for gate in cell.weight_hh.detach().chunk(3):
        nn.init.orthogonal_(gate, generator=generator)
    return cell


def both_ways(forward: nn.GRUCell, backward: nn.GRUCell, seen: Tensor) -> tuple[Tensor, Tensor]:
    """States (trial, time, size) of one encoder that reads from the start, and of one that reads from the end."""
    empty = seen.new_zeros(len(seen), forward.hidden_size)
    return sequence(forward, seen, empty), sequence(backward, seen.flip(1), empty).flip(1)


def dropped(x: Tensor, share: float, noise: torch.Generator | None) -> Tensor:
    """`x` with a share of its entries set to 0 and the others scaled up; as it is without `noise`."""
    if not share or noise is None:
        return x
    return x * (torch.rand(x.shape, generator=noise, dtype=x.dtype) >= share) / (1 - share)


def normal_draw(mean: Tensor, log_variance: Tensor, noise: torch.Generator | None) -> tuple[Tensor, Tensor]:
    """A draw from normal distributions, their means without `noise`; and their variances."""
    variance = log_variance.exp() + _LOWEST_VARIANCE
    if noise is None:
        return mean, variance
    return mean + variance.sqrt() * torch.randn(mean.shape, generator=noise, dtype=mean.dtype), variance


def normal_divergence(mean: Tensor, variance: Tensor, prior_mean: Tensor, prior_variance: float) -> Tensor:
    """Kullback-Leibler divergence (trial,) of normal distributions (trial, variable) from the prior."""
    ratio = variance / prior_variance
    return 0.5 * (ratio + (mean - prior_mean).square() / prior_variance - 1 - ratio.log()).sum(1)
