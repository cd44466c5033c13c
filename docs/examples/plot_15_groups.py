"""
Do two kinds differ more than copies do?
========================================

Retrained copies of one kind differ, too. The network is the unit of the test: labels are shuffled between networks.
"""

import conjugacy as cj

task = cj.tasks.NBitFlipFlop(n=2, n_timesteps=60)
settings = {"seeds": range(5), "steps": 120, "workers": 1, "progress": False}
grus = cj.train_population(task, cj.networks.GRU(latent_size=8), out="runs/kinds/gru", **settings)
plain = cj.train_population(task, cj.networks.VanillaRNN(latent_size=8), out="runs/kinds/vanilla", **settings)

found = cj.compare_groups({"GRU": grus, "vanilla": plain}, ["cka", "dsa"], seed=0)
print(found)
figure = cj.plots.group_map(found, "dsa")
