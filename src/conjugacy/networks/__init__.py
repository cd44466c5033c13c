"""Networks, one kind a file, all with the members of `Network`."""

from conjugacy.networks.from_cell import CellNetwork, from_cell
from conjugacy.networks.gru import GRU, NoisyGRU
from conjugacy.networks.leaky import LeakyRNN
from conjugacy.networks.low_rank import LowRankRNN
from conjugacy.networks.lstm import LSTM
from conjugacy.networks.network import Network
from conjugacy.networks.node import NODE
from conjugacy.networks.sequence import plain_sequence, sequence
from conjugacy.networks.vanilla import VanillaRNN

__all__ = [
    "GRU",
    "LSTM",
    "NODE",
    "CellNetwork",
    "LeakyRNN",
    "LowRankRNN",
    "Network",
    "NoisyGRU",
    "VanillaRNN",
    "from_cell",
    "plain_sequence",
    "sequence",
]
