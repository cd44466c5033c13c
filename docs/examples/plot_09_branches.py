"""
What an input does to the memories
==================================

Turn on an input slowly: memories move, meet saddles and vanish. That is how a pulse switches a bit.
"""

import conjugacy as cj

task = cj.tasks.NBitFlipFlop(n=2, n_timesteps=200)
gru = cj.train(task, cj.networks.GRU(latent_size=32), seed=0, out="runs/gru", progress=False)

path = cj.input_path(gru, start=[0, 0], stop=[1, 0], seed=0, progress=False)
figure = cj.plots.branches(path, labels=("no input", "pulse on channel 1"))
