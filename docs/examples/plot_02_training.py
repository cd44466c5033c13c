"""
How training went
=================

Two kinds of network on one task: how soon do they learn it, and how well?
"""

import conjugacy as cj

task = cj.tasks.NBitFlipFlop(n=2, n_timesteps=200)
gru = cj.train(task, cj.networks.GRU(latent_size=32), seed=0, out="runs/gru", progress=False)
node = cj.train(
    task, cj.networks.NODE(latent_size=3, num_layers=2, layer_hidden_size=32), seed=0, out="runs/node", progress=False
)

figure = cj.plots.training_curves([gru, node])
