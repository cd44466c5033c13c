"""
What carries the computation?
=============================

Take units or directions away and look at what the network still does, beside random lesions of the same size.
"""

import conjugacy as cj

task = cj.tasks.NBitFlipFlop(n=2, n_timesteps=200)
gru = cj.train(task, cj.networks.GRU(latent_size=32), seed=0, out="runs/gru", progress=False)

readout = gru.network.readout.weight.detach()
effects = cj.lesion_effects(gru, {"both directions that are read out": {"directions": readout}}, n_random=19, seed=0)
figure = effects.plot()
