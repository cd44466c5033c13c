"""
What a network is asked to do
=============================

The flip-flop: pulses come in on two channels, and each output has to stay where the last pulse of its channel put it.
"""

import conjugacy as cj

task = cj.tasks.NBitFlipFlop(n=2, n_timesteps=200)
gru = cj.train(task, cj.networks.GRU(latent_size=32), seed=0, out="runs/gru", progress=False)
print(gru)

# %%
# Inputs, targets, and what the trained network puts out, on trials that it was not trained on.
figure = cj.plots.trial_io(gru, num_trials=2)
