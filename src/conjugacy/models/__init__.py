"""Models of recordings: networks that infer their states from spikes."""

from conjugacy.models.autoencoder import SequentialAutoencoder
from conjugacy.models.lfads import LFADS
from conjugacy.models.linear import StableLinear
from conjugacy.models.piecewise_linear import PiecewiseLinear

__all__ = ["LFADS", "PiecewiseLinear", "SequentialAutoencoder", "StableLinear"]
