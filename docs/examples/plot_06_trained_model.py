"""
I have a trained PyTorch model
==============================

Any function of state and input is searched, torch's own modules as they are. Here is a GRU whose weights could have
come from a file: it is neither trained nor known to this package.
"""

import torch

import conjugacy as cj

torch.manual_seed(0)
model = torch.nn.GRU(input_size=2, hidden_size=24, batch_first=True)
with torch.no_grad():
    model.weight_hh_l0 *= 3.0

points = cj.fixed_points(model, x0=torch.randn(500, 24), inputs=[0.0, 0.0], seed=0)
print(points.summary())

# %%
# Where do orbits end that start anywhere? This counts them.
print(points.attractors().summary())
figure = cj.plots.hits(points)
