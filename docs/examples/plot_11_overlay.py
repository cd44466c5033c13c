"""
One network in another's space
==============================

The states of one network, mapped linearly into the space of the other, over the same trials. Where the lines lie on
each other the geometry is the same.
"""

import conjugacy as cj

task = cj.tasks.NBitFlipFlop(n=2, n_timesteps=200)
gru = cj.train(task, cj.networks.GRU(latent_size=32), seed=0, out="runs/gru", progress=False)
node = cj.train(
    task, cj.networks.NODE(latent_size=3, num_layers=2, layer_hidden_size=32), seed=0, out="runs/node", progress=False
)

figure = cj.compare([gru, node], "state_r2", seed=0, progress=False).plot_trials_3d_reference()
