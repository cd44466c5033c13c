"""
How does context select evidence?
=================================

A network weighs one of two streams of evidence, as a cue tells it. Three mechanisms can do that (Pagan et al. 2025);
each network lies somewhere between their corners.
"""

import conjugacy as cj

task = cj.tasks.ContextualIntegration()
run = cj.train(
    task, cj.networks.LowRankRNN(latent_size=64, rank=2), seed=0, steps=400, out="runs/context", progress=False
)
mechanism = cj.context_mechanism(run, seed=0)
figure = cj.plots.context_triangle(mechanism)
print(mechanism)
