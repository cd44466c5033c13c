"""Network: a cell, a readout and a trainable initial state.

    x_t = cell(u_t, x_{t-1}),    y_t = readout(x_t),    x_0 = latent_ics

Training and analyses need three members only: ``step(x, u)``, ``readout(x)``, and ``rollout(inputs)`` over sequences.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from conjugacy._check import check_axes, check_int, check_last, check_number
from conjugacy.networks.rollout_noise import draw_noise
from conjugacy.networks.sequence import check_rollout, plain_sequence, sequence

MAX_UNITS = 1_000_000  # a million units have 10^12 recurrent weights: more is a mistake, not a network
MAX_WEIGHT_SCALE = 1e6


class Network(nn.Module, ABC):
    """The base class of all networks; a subclass makes the cell and the readout.

    Parameters
    ----------
    latent_size : int
        Number of units, >= 1.
    noise_level : float
        Standard deviation of the Gaussian noise added to every new state when noise is on, >= 0.
    ic_noise : float
        Standard deviation of the noise on the initial state when noise is on, >= 0.

    Attributes
    ----------
    cell : Module
        ``cell(u, x) -> x_next``; made by `init_model`.
    readout : Module
        ``readout(x) -> y``; made by `init_model`.
    latent_ics : Parameter (state,)
        Initial state, trained with the rest.
    state_size : int
        Number of state variables: `latent_size`, twice that for the LSTM.

    Notes
    -----
    A network may have ``model_loss(latents)``, what training adds to the task's loss for its activity (trial, time,
    state).
    """

    cell: nn.Module
    readout: nn.Module
    latent_ics: nn.Parameter

    def __init__(self, latent_size: int, noise_level: float = 0.0, ic_noise: float = 0.05):
        super().__init__()
        self.latent_size = check_int("latent_size", latent_size, 1, hint="It is the number of units.", limit=MAX_UNITS)
        self.noise_level = check_weight_scale("noise_level", noise_level, hint="It is a standard deviation.")
        self.ic_noise = check_weight_scale("ic_noise", ic_noise, hint="It is a standard deviation.")
        self.input_size = 0  # 0: not built yet
        self.output_size = 0

    @classmethod
    def small(cls) -> Network:
        """A small instance, used in tables of all networks."""
        return cls(latent_size=12)

    @property
    def state_size(self) -> int:
        """Number of state variables."""
        return self.latent_size

    @property
    def recurrent_weights(self) -> list[str]:
        """Names of the weights by which units act on units: those that the cell calls `weight_hh`, as torch does.

        Low-rank networks and neural ODEs have none: what stands in their place are factors and layers.
        """
        self._check_built()
        return [name for name, _ in self.cell.named_parameters(prefix="cell") if name.endswith("weight_hh")]

    @abstractmethod
    def make_cell(self, input_size: int, generator: torch.Generator) -> nn.Module:
        """A new cell with its initial weights drawn from `generator`."""

    @abstractmethod
    def make_readout(self, output_size: int, generator: torch.Generator) -> nn.Module:
        """A new readout with its initial weights drawn from `generator`."""

    def init_model(self, input_size: int, output_size: int, seed: int = 0) -> None:
        """Make the weights for that many inputs and outputs, drawn from `seed`; the initial state is 0."""
        self.input_size = check_int("input_size", input_size, 1, limit=MAX_UNITS)
        self.output_size = check_int("output_size", output_size, 1, limit=MAX_UNITS)
        generator = torch.Generator().manual_seed(check_int("seed", seed, 0, limit=2**64 - 1))
        # torch's layers draw from the global generator while they are made: they are made elsewhere, then filled
        with torch.random.fork_rng(devices=[]):
            self.cell = self.make_cell(input_size, generator)
            self.readout = self.make_readout(output_size, generator)
        self.latent_ics = nn.Parameter(torch.zeros(self.state_size))

    def step(self, x: Tensor, u: Tensor) -> Tensor:
        """The state after input u (..., input) in state x (..., state); no noise, and NaN where x or u hold NaN."""
        self._check_built()
        check_last("x", x, self.state_size, f"The states of this network have {self.state_size} variables.")
        check_last("u", u, self.input_size, f"This network was built for {self.input_size} inputs.")
        weight = next(self.cell.parameters(), None)
        for name, value in (("x", x), ("u", u)):
            if weight is not None and value.dtype != weight.dtype:
                raise TypeError(f"`{name}`: expected {weight.dtype}, as the weights have, got {value.dtype}.")
        # torch's own cells take one leading axis, analyses have any number
        try:
            lead = torch.broadcast_shapes(x.shape[:-1], u.shape[:-1])
        except RuntimeError:
            raise ValueError(
                f"`u`: expected leading axes that go with those of `x`, {tuple(x.shape)}, got {tuple(u.shape)}."
            ) from None
        flat_u, flat_x = (v.expand(*lead, v.shape[-1]).reshape(lead.numel(), v.shape[-1]) for v in (u, x))
        return self.cell(flat_u, flat_x).reshape(x.shape if x.shape[:-1] == lead else (*lead, x.shape[-1]))

    def forward(self, inputs: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """One step as (inputs (trial, input), hidden (trial, state)) -> (output, new hidden); no noise."""
        hidden = self.step(hidden, inputs)
        return self.readout(hidden), hidden

    def init_hidden(self, batch_size: int) -> Tensor:
        """The initial state of every trial, (trial, state); no noise."""
        self._check_built()
        return self.latent_ics.expand(batch_size, -1)

    def rollout(
        self,
        inputs: Tensor,
        x0: Tensor | None = None,
        noise: torch.Generator | None = None,
        rollout: str = "auto",
    ) -> tuple[Tensor, Tensor]:
        """States and outputs over whole sequences.

        Parameters
        ----------
        inputs : Tensor (trial, time, input)
        x0 : Tensor (trial, state), optional
            Initial states; `latent_ics` (with noise, if it is on) by default.
        noise : torch.Generator, optional
            Source of the noise of the network; without it there is none.
        rollout : {"auto", "plain"}
            "auto" takes the fastest way there is for this cell, "plain" one step after the other.

        Returns
        -------
        Tensor (trial, time, state), Tensor (trial, time, output)
            State and output after each input.
        """
        self._check_built()
        check_rollout(rollout)
        n = check_axes(
            "inputs",
            inputs,
            "trial time input",
            input=self.input_size,
            hint=f"This network was built for {self.input_size} inputs; see init_model(input_size=).",
        )[0]
        first, of_states = None, None
        if noise is not None:
            first, drawn = draw_noise(self, n, inputs.shape[1], noise, inputs, start=x0 is None)
            of_states = drawn.states
        if x0 is None:
            x0 = self.init_hidden(n) if first is None else self.init_hidden(n) + first
        check_axes("x0", x0, "trial state", trial=n, state=self.state_size)
        if of_states is not None:
            states = plain_sequence(self.cell, inputs, x0, of_states)
        else:
            states = (plain_sequence if rollout == "plain" else sequence)(self.cell, inputs, x0)
        return states, self.readout(states)

    def _check_built(self) -> None:
        if not self.input_size:
            raise RuntimeError(f"{type(self).__name__} has no weights yet: call init_model(input_size, output_size).")


def check_weight_scale(name: str, value: Any, low: float = 0.0, hint: str = "") -> float:
    """Return `value` as a float >= `low`, or say what is wrong; beyond 1e6 states in float32 overflow within a step."""
    return check_number(name, value, low, hint=hint, limit=MAX_WEIGHT_SCALE)


def linear_readout(n_in: int, n_out: int, generator: torch.Generator) -> nn.Linear:
    """A linear layer y = W x + b with W, b uniform in +-1/sqrt(n_in), as torch draws them."""
    layer: Any = nn.utils.skip_init(nn.Linear, n_in, n_out)  # torch's own draw would use its global generator
    fill_uniform(layer, n_in, generator)
    return layer


def fill_uniform(module: nn.Module, fan_in: int, generator: torch.Generator) -> None:
    """Draw every parameter from U(-1/sqrt(fan_in), 1/sqrt(fan_in)), in place."""
    bound = fan_in**-0.5
    for parameter in module.parameters():
        nn.init.uniform_(parameter, -bound, bound, generator=generator)
