"""
When are the memories born?
===========================

Weights are kept on the way, and the fixed points are followed from snapshot to snapshot.
"""

import conjugacy as cj

task = cj.tasks.NBitFlipFlop(n=2, n_timesteps=200)
gru = cj.train(
    task, cj.networks.GRU(latent_size=16), seed=0, steps=200, keep="log", out="runs/learning", progress=False
)

curve = cj.learning_curve(gru, ["cka", "dsa"], n_trials=50, seed=0, progress=False)
figure = curve.plot()
