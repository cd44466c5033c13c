"""
Do they compute the same thing?
===============================

The question in words, level by level, each with its evidence. "Same" and "different" are tests against retrained
copies; what they leave open is "cannot tell".
"""

import conjugacy as cj

task = cj.tasks.NBitFlipFlop(n=2, n_timesteps=200)
gru = cj.train(task, cj.networks.GRU(latent_size=32), seed=0, out="runs/gru", progress=False)
other = cj.train(task, cj.networks.GRU(latent_size=32), seed=1, out="runs/gru1", progress=False)

verdict = cj.compare([gru, other], ["portrait"], seed=0, progress=False).verdict()
print(verdict)
