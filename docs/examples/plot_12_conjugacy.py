"""
The map from one network to another
===================================

A conjugacy is a change of coordinates under which two networks are one: h(F(x, u)) = G(h(x), u). Here it is
learned, and tried on trials and on states that it has not seen.
"""

import conjugacy as cj

task = cj.tasks.NBitFlipFlop(n=2, n_timesteps=200)
gru = cj.train(task, cj.networks.GRU(latent_size=32), seed=0, out="runs/gru", progress=False)
node = cj.train(
    task, cj.networks.NODE(latent_size=3, num_layers=2, layer_hidden_size=32), seed=0, out="runs/node", progress=False
)

found = cj.find_conjugacy(gru, node, seed=0, progress=False)
print(found)
figure = cj.plots.conjugacy(found)
