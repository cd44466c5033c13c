"""
The skeleton of a computation
=============================

A portrait has a node for each place where orbits end or hesitate, and an edge where an orbit leads from one to the
other. Two networks with one portrait compute alike, whatever their units do.
"""

import conjugacy as cj

task = cj.tasks.NBitFlipFlop(n=2, n_timesteps=200)
gru = cj.train(task, cj.networks.GRU(latent_size=32), seed=0, out="runs/gru", progress=False)
points = cj.fixed_points(gru, inputs=[0, 0], seed=0)

figure = cj.plots.portrait_graph(points.portrait())

# %%
# How fast do states come back to a memory, and leave a saddle? The eigenvalues of each point:
spectrum = cj.plots.spectrum(points)
