"""GRU with an L2 penalty on its latents: NoisyGRU_LatentL2 of CtDB."""

from __future__ import annotations

from torch import Tensor

from conjugacy._check import check_number
from conjugacy.networks.gru import GRU


class NoisyGRULatentL2(GRU):
    """The GRU with noise in its state and a penalty on its latents while it is trained.

    Parameters
    ----------
    latent_size, update_bias, noise_level, ic_noise, gain
        See `GRU`.
    l2_weight : float
        Weight of the mean over trials of the norm of all latents of a trial, >= 0.
    """

    def __init__(
        self,
        latent_size: int,
        l2_weight: float = 1e-2,
        update_bias: float | None = None,
        noise_level: float = 0.05,
        ic_noise: float = 0.05,
        gain: float = 1.0,
    ):
        super().__init__(latent_size, update_bias, noise_level, ic_noise, gain)
        self.l2_weight = check_number("l2_weight", l2_weight, 0, hint="It is the weight of a penalty.")

    @classmethod
    def small(cls) -> NoisyGRULatentL2:
        """A small instance, used in tables of all networks."""
        return cls(latent_size=12, l2_weight=1e-5)

    def model_loss(self, latents: Tensor) -> Tensor:
        """l2_weight * mean over trials of sqrt(sum over steps and units of x^2), latents (trial, time, unit)."""
        return self.l2_weight * latents.flatten(1).norm(dim=1).mean()
