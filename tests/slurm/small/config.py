"""An experiment whose training and shards last for seconds, so that they can be killed on the way.
Runs of 300 blocks.
"""

from dataclasses import replace

from experiments.ablation import HARMONICA, SDT_MSE, group_of, training


def table(scale, rows="core", num_seeds=1):
    of_smoke = group_of("small", scale, num_seeds)
    group = replace(of_smoke, num_steps=3, images={"num_images": 300, "batch": 1})
    learned = training(scale, SDT_MSE, 50, trajectories=200, batch=4, lr=0.01)
    return [group.uncached(), group.learned(HARMONICA, learned)]
