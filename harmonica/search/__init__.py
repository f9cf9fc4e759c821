"""Beyond the paper: search the schedule whose final images are closest to the uncached ones.

All of it works on a walk, a function that samples a few images from noise to the end:

    walk.num_steps, walk.num_blocks                       T, N
    latents = walk(policy, seed, indices, grad=False)     the final latents (len(indices), ...)

Noise and conditioning of an image depend on `seed` and its index alone. For every call of the model
the walk calls its policy, policy(step, call, state) -> (output, state). The policy calls call(at),
which runs the model and returns its guided output; the model asks at(i, compute) for the feature of
each block (harmonica.backbones). state holds what the policy keeps of earlier steps: None at the
first step, never changed in place. Where guidance is a second call of the model per step, each of
the two calls has its own state. With `grad` the latents have a graph.

Features may have more samples than there are images B (the two halves under guidance): samples k,
k + B, ... then belong to image k. Such a walk may have an attribute `guided`, a function that
applies guidance to them: (2 B, ...) -> (B, ...). A walk with `offload = True` makes the probe keep
features in CPU memory between steps.
"""
