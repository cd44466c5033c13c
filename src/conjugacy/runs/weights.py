"""The weights of a network as bytes, and back, with every tensor checked."""

from __future__ import annotations

import os

import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from conjugacy._notes import one_line
from conjugacy.networks.network import Network


def weight_bytes(network: Network) -> bytes:
    """The parameters of a network as a safetensors file."""
    return save_tensors({k: v.contiguous() for k, v in network.state_dict().items()})


def load_weights(network: Network, data: bytes, source: str | os.PathLike) -> None:
    """Fill a network with the parameters in safetensors `data`, or say which one of `source` does not fit."""
    try:
        weights = load_tensors(data)
    except Exception as error:
        raise ValueError(f"{source}: not a whole safetensors file ({one_line(error)}). Save the run again.") from None
    wanted = network.state_dict()
    for name in sorted(set(wanted) ^ set(weights)):
        where = "is missing" if name in wanted else "is not part of the network"
        raise ValueError(f"{source}: the weight {name!r} {where}. It was saved from another network.")
    for name, value in wanted.items():
        if value.shape != weights[name].shape:
            raise ValueError(
                f"{source}: the weight {name!r} has shape {tuple(weights[name].shape)}, "
                f"the network takes {tuple(value.shape)}. It was saved from another network."
            )
        if value.is_floating_point() != weights[name].is_floating_point():
            raise ValueError(
                f"{source}: the weight {name!r} is {weights[name].dtype}, the network takes {value.dtype}."
            )
        if not bool(torch.isfinite(weights[name]).all()):
            raise ValueError(f"{source}: the weight {name!r} holds NaN or infinite values. Train the network again.")
    kinds = {weights[name].dtype for name, value in wanted.items() if value.is_floating_point()}
    if len(kinds) == 1:
        network.to(kinds.pop())  # saved in double precision, say
    network.load_state_dict(weights)
