"""
What can be read from a population?
===================================

Spikes of a trained network, drawn with a known truth. What the network holds is decoded from them, on trials that the
decoder has not seen, and from the network's own states beside.
"""

import numpy as np
import torch
from matplotlib.figure import Figure

import conjugacy as cj

task = cj.tasks.NBitFlipFlop(n=2, n_timesteps=200)
gru = cj.train(task, cj.networks.GRU(latent_size=32), seed=0, out="runs/gru", progress=False)
recording = cj.simulate_spikes(gru, n_units=40, n_trials=60, mean_rate=10, seed=0)
print(recording)

# %%
# How well can the network's outputs be read from single trials, from its states and from spikes smoothed by 50 ms?
outputs = gru.network.readout(torch.as_tensor(recording.truth.latents, dtype=torch.float32)).detach().numpy()
r2 = {
    "states": cj.recordings.decode(cj.System.from_arrays("states", recording.truth.latents, dt=0.01), outputs).r2,
    "spikes": cj.recordings.decode(recording.smooth(0.05), outputs).r2,
}
figure = Figure(figsize=(4.5, 3.0), layout="constrained")
ax = figure.subplots()
ax.bar(list(r2), [np.mean(value) for value in r2.values()])
ax.set(ylabel="R2 of held-out trials", ylim=(0, 1))
