"""Beyond the paper: search the schedule whose final image is closest to the uncached one.

Everything here runs over a walk, one whole sampling of a few images by a model:

    walk.num_steps, walk.num_blocks                       T, N
    latents = walk(policy, seed, indices, grad=False)     the final latents (len(indices), ...)

Noise and condition of an image depend on `seed` and its index alone. At every call of the model the
walk asks its policy, policy(step, call, state) -> (output, state): call(at) runs the model, which
asks at(i, compute) for the feature of each block (harmonica.backbones), and returns its guided
output. state is the policy's own, None at the first step; it carries what the policy keeps of
earlier steps and is never changed in place. Where guidance is a second call per step, each of the
two has its own state. Under `grad` the latents have a graph. Where a feature has
more samples than there are images (both halves of guidance), k, k + images, ... belong to image k;
then a walk may have `guided`, what guidance makes of such samples: (2 B, ...) -> (B, ...).

A walk with `offload = True` has the probe keep features in CPU memory between steps.
"""
