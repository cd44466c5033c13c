"""
I have recordings
=================

Spike times and events become trials of states: counted, smoothed, averaged. Every step is written down with the data.
"""

import numpy as np
from matplotlib.figure import Figure

import conjugacy as cj

rng = np.random.default_rng(0)
events = np.arange(1.0, 61.0)
preferred = rng.uniform(0, 0.8, 30)
spikes = []
for peak in preferred:
    n = rng.poisson(6, len(events))
    spikes.append(np.sort(np.concatenate([e + rng.normal(peak, 0.08, k) for e, k in zip(events, n)])))

recording = cj.Recording.from_spikes(spikes, events, window=(0.0, 0.8), bin_size=0.02, name="thirty units")
smooth = recording.smooth(0.03)
print(smooth.provenance)

# %%
# Rates of all units, averaged over the trials, in the order of their peaks.
rates = smooth.rates.mean(0).T
figure = Figure(figsize=(5.5, 3.2), layout="constrained")
ax = figure.subplots()
image = ax.imshow(rates[rates.argmax(1).argsort()], aspect="auto", extent=(0, 0.8, 30, 0))
ax.set(xlabel="time from the event (s)", ylabel="unit, by its peak")
figure.colorbar(image, label="spikes per second")
