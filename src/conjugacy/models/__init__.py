"""Models of recordings: networks that infer their states from spikes."""

from conjugacy.models.autoencoder import SequentialAutoencoder
from conjugacy.models.lfads import LFADS
from conjugacy.models.linear import StableLinear

__all__ = ["LFADS", "SequentialAutoencoder", "StableLinear"]
