"""Analysis of networks trained to reach, under the names of CtDB."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from conjugacy.ctd.comparison.analysis.tt.tt import Analysis_TT
from conjugacy.dynamics import FixedPoints


class Analysis_TT_RandomTarget(Analysis_TT):
    """An `Analysis_TT` in closed loop: latents, observations, commands, joints and the hand's path are in its outputs.

    CtDB's passes targets as forces on the hand; here the bumps are the trials' own.
    """

    def get_latents_aligned(self, pre_align: int = 20, post_align: int = 20, phase: str = "val") -> Tensor:
        """Latents around the go cue, (trial, time, unit), of the trials in which it comes and the window fits."""
        trials = self.trials(phase)
        cue, end = trials.epochs["reach"].unbind(1)
        kept = (cue >= pre_align) & (cue + post_align <= end)
        window = cue[kept, None] + torch.arange(-pre_align, post_align)
        return self.latents(phase)[kept.nonzero(), window]

    def compute_FPs(self, *, inputs: Any = None, **options: Any) -> FixedPoints:
        """Fixed points of the network alone, at held inputs: by default what it sees, on average, as trials end.

        `inputs` are observations (14) then target x, y and go cue; for the other options see `Analysis_TT`.
        """
        if inputs is None:
            system = self.system("val")
            assert system.inputs is not None
            inputs = system.inputs[:, -1].mean(0)
        return super().compute_FPs(inputs=inputs, **options)


TT_RandomTarget = Analysis_TT_RandomTarget
