"""Recurrent networks, under the names and with the arguments of CtDB."""

from __future__ import annotations

from typing import Any

from conjugacy.networks import EIRNN, GRU, LeakyRNN, NoisyGRULatentL2, VanillaRNN
from conjugacy.networks import ChaoticRateRNN as _ChaoticRateRNN
from conjugacy.networks import ChaoticVanillaRNN as _ChaoticVanillaRNN
from conjugacy.networks import NoisyGRU as _NoisyGRU


def GRU_RNN(
    latent_size: int,
    input_size: int | None = None,
    output_size: int | None = None,
    latent_ic_var: float = 0.05,
) -> GRU:
    """A GRU; `latent_ic_var` is, as in CtDB, the standard deviation of the noise on the initial state."""
    return _built(GRU(latent_size, ic_noise=latent_ic_var), input_size, output_size)


def NoisyGRU(
    latent_size: int,
    input_size: int | None = None,
    output_size: int | None = None,
    noise_level: float = 0.05,
    latent_ic_var: float = 0.05,
) -> _NoisyGRU:
    """A GRU with noise in its state while it is trained."""
    return _built(_NoisyGRU(latent_size, noise_level=noise_level, ic_noise=latent_ic_var), input_size, output_size)


NoisyGRU_RNN = NoisyGRU


def NoisyGRU_LatentL2(
    latent_size: int,
    input_size: int | None = None,
    output_size: int | None = None,
    noise_level: float = 0.05,
    latent_ic_var: float = 0.05,
    l2_wt: float = 1e-2,
) -> NoisyGRULatentL2:
    """The same with a penalty on its latents, `l2_wt` times the mean norm of a trial."""
    return _built(
        NoisyGRULatentL2(latent_size, l2_wt, noise_level=noise_level, ic_noise=latent_ic_var), input_size, output_size
    )


def Vanilla_RNN(latent_size: int, input_size: int | None = None, output_size: int | None = None) -> VanillaRNN:
    """A vanilla network."""
    return _built(VanillaRNN(latent_size), input_size, output_size)


def DriscollRNN(
    latent_size: int,
    input_size: int | None = None,
    output_size: int | None = None,
    noise_level: float = 0.05,
    gamma: float = 0.2,
) -> LeakyRNN:
    """A leaky network that leaks its state, where CtDB's leaks W times its state and dies (docs/differences.md)."""
    return _built(LeakyRNN(latent_size, alpha=gamma, noise_level=noise_level), input_size, output_size)


def ChaoticVanillaRNN(
    latent_size: int, input_size: int | None = None, output_size: int | None = None, gain: float = 1.5
) -> _ChaoticVanillaRNN:
    """A vanilla network with Gaussian weights of that gain; the name is of CtDB's successor."""
    return _built(_ChaoticVanillaRNN(latent_size, gain), input_size, output_size)


def ChaoticRateRNN(
    latent_size: int,
    input_size: int | None = None,
    output_size: int | None = None,
    gain: float = 1.5,
    alpha: float = 0.2,
    noise_level: float = 0.0,
) -> _ChaoticRateRNN:
    """A leaky rate network with Gaussian weights of that gain; the name is of CtDB's successor."""
    return _built(_ChaoticRateRNN(latent_size, gain, alpha, noise_level=noise_level), input_size, output_size)


def EIChaoticRNN(
    latent_size: int,
    input_size: int | None = None,
    output_size: int | None = None,
    gain: float = 1.5,
    alpha: float = 0.2,
    noise_level: float = 0.0,
) -> EIRNN:
    """A network of 80 % excitatory and 20 % inhibitory units; the name is of CtDB's successor."""
    return _built(EIRNN(latent_size, gain=gain, alpha=alpha, noise_level=noise_level), input_size, output_size)


def _built(network: Any, input_size: int | None, output_size: int | None) -> Any:
    if input_size is not None and output_size is not None:
        network.init_model(input_size, output_size)
    return network
