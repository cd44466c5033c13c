"""Adam (Kingma & Ba 2015, arXiv:1412.6980) and clipping by norm for many networks at once, each with its own settings.

The same numbers as torch.optim.Adam, torch.nn.utils.clip_grad_norm_ and the decay of `train` on each network by itself
(tests/training/test_population.py).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
from torch import Tensor

_BETAS, _EPS = (0.9, 0.999), 1e-8  # torch's defaults
_SMALL = 1e-6  # what clip_grad_norm_ adds to the norm


class StackedAdam:
    """Adam over parameters (network, ...).

    Parameters
    ----------
    parameters : mapping of str to Tensor (network, ...)
    weight_decay : Tensor (network,)
        L2 penalty.
    step : int
        Steps taken so far by every network.
    moments : mapping of str to (Tensor, Tensor), optional
        Means of the gradient and of its square so far, shaped as the parameters; 0 by default.
    decay : Tensor (network,), optional
        Decoupled decay, times the learning rate, of the parameters named in `decaying`; 0 by default.
    decaying : collection of str
        Names of parameters.
    """

    def __init__(
        self,
        parameters: Mapping[str, Tensor],
        weight_decay: Tensor,
        step: int = 0,
        moments: Mapping[str, tuple[Tensor, Tensor]] | None = None,
        decay: Tensor | None = None,
        decaying: Collection[str] = (),
    ):
        self.decay = torch.zeros_like(weight_decay) if decay is None else decay
        self.decaying = frozenset(decaying)
        self.parameters = parameters
        self.weight_decay = weight_decay
        self.n_steps = step
        moments = moments or {}
        self.moments = {k: moments.get(k, (torch.zeros_like(p), torch.zeros_like(p))) for k, p in parameters.items()}

    @torch.no_grad()
    def step(self, learning_rate: Tensor, clip: Tensor, which: Tensor) -> None:
        """One step from the parameters' gradients, which are used up.

        Parameters
        ----------
        learning_rate, clip : Tensor (network,)
            Of each network; `clip` is the largest norm of its gradient.
        which : Tensor (network,), bool
            Networks to change; the others stay as they are.
        """
        got = {k: p.grad for k, p in self.parameters.items() if p.grad is not None}
        norms = [torch.linalg.vector_norm(g.flatten(1), dim=1) for g in got.values()]
        scale = (clip / (torch.linalg.vector_norm(torch.stack(norms), dim=0) + _SMALL)).clamp(max=1.0)
        self.n_steps += 1
        first, second = (1 - beta**self.n_steps for beta in _BETAS)
        for name, g in got.items():
            p, (mean, square) = self.parameters[name], self.moments[name]

            def along(x: Tensor, like: Tensor = p) -> Tensor:
                return x.view(-1, *[1] * (like.ndim - 1))

            if name in self.decaying:
                p.mul_(1 - torch.where(along(which), along(learning_rate * self.decay), 0))
            g = g * along(scale) + along(self.weight_decay) * p
            g = torch.where(along(which), g, 0)
            mean.lerp_(g, 1 - _BETAS[0])
            square.mul_(_BETAS[1]).addcmul_(g, g, value=1 - _BETAS[1])
            change = mean / (square.sqrt() / second**0.5 + _EPS) * along(learning_rate / first)
            p.sub_(torch.where(along(which), change, 0))
            p.grad = None
