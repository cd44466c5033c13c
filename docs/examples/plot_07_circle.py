"""
Orbits that never rest
======================

Not all dynamics end in a point. A map that turns by an irrational angle has an attracting circle, which never closes;
its period is no whole number of steps.
"""

import torch

import conjugacy as cj


def turn(x, u):
    """Turn by a radian and pull the radius towards one."""
    angle = torch.tensor(1.0, dtype=x.dtype)
    matrix = torch.stack([torch.stack([angle.cos(), -angle.sin()]), torch.stack([angle.sin(), angle.cos()])])
    return (x @ matrix.T) * (1.5 - 0.5 * (x**2).sum(-1, keepdim=True))


starts = torch.randn(200, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 0.5
found = cj.attractors(turn, x0=starts, inputs=[0.0], seed=0)
print(found.summary())
found.table()
