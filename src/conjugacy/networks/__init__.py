"""Networks, one kind a file, all with the members of `Network`."""

from conjugacy.networks.chaotic_rate import ChaoticRateRNN
from conjugacy.networks.chaotic_vanilla import ChaoticVanillaRNN
from conjugacy.networks.excitatory_inhibitory import EIRNN
from conjugacy.networks.from_cell import CellNetwork, from_cell
from conjugacy.networks.gru import GRU, NoisyGRU
from conjugacy.networks.latent_l2 import NoisyGRULatentL2
from conjugacy.networks.leaky import LeakyRNN
from conjugacy.networks.low_rank import LowRankRNN
from conjugacy.networks.lstm import LSTM
from conjugacy.networks.network import Network
from conjugacy.networks.node import NODE
from conjugacy.networks.sequence import plain_sequence, sequence
from conjugacy.networks.vanilla import VanillaRNN

__all__ = [
    "EIRNN",
    "GRU",
    "LSTM",
    "NODE",
    "CellNetwork",
    "ChaoticRateRNN",
    "ChaoticVanillaRNN",
    "LeakyRNN",
    "LowRankRNN",
    "Network",
    "NoisyGRU",
    "NoisyGRULatentL2",
    "VanillaRNN",
    "from_cell",
    "plain_sequence",
    "sequence",
]
