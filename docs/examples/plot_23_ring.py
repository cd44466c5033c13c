"""
Different parts of a trial
==========================

Fifteen rules in one network, trials in named parts. Here two rules only: states of each part, on the memory of an
angle.
"""

import conjugacy as cj

task = cj.tasks.MultiTask(rules=["DelayPro", "MemoryPro"])
run = cj.train(task, cj.networks.GRU(latent_size=32), seed=0, steps=300, out="runs/multitask", progress=False)
epochs = cj.Analysis(run).epochs()

figure = cj.plots.trajectories_by_epoch(epochs, ["MemoryPro"], num_trials=10)
