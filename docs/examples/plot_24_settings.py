"""
Does the answer hang on a setting?
==================================

DSA has a rank and a number of delays. The same pair over a grid of both: an answer that holds on one corner only is
none.
"""

import conjugacy as cj

task = cj.tasks.NBitFlipFlop(n=2, n_timesteps=200)
gru = cj.train(task, cj.networks.GRU(latent_size=32), seed=0, out="runs/gru", progress=False)
other = cj.train(task, cj.networks.GRU(latent_size=32), seed=1, out="runs/gru1", progress=False)

trials = task.trials(100, seed=1)
systems = [gru.system(trials), other.system(trials)]
grid = cj.similarity.surface(systems, "dsa", ranks=[2, 4, 6, 8], n_delays=[1, 2, 5, 10], progress=False)
figure = cj.plots.parameter_surface(grid)
