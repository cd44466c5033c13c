"""Models of recordings: networks that infer their states from spikes."""

from conjugacy.models.autoencoder import SequentialAutoencoder
from conjugacy.models.linear import StableLinear

__all__ = ["SequentialAutoencoder", "StableLinear"]
