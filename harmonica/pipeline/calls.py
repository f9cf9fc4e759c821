"""Calls a pipeline so that a seed decides the images: with prompts or classes, and with any further
arguments that the user gives.
"""

import hashlib
import inspect
import json
import re
from contextlib import suppress

import numpy as np
import torch
from diffusers.utils import is_bs4_available, is_ftfy_available
from torch.utils._pytree import tree_leaves

from harmonica.errors import BadInput, check
from harmonica.pipeline.about import by_content
from harmonica.pipeline.apply import check_free
from harmonica.pipeline.arguments import (
    check_guidance,
    check_own_call,
    passed_on,
    prompts_of,
    texts_of,
)
from harmonica.pipeline.loading import CAPTIONS
from harmonica.pipeline.loop import replaced
from harmonica.pipeline.passes import transformers_of
from harmonica.weights.prompts import read_captions

GUIDANCE = ("guidance_scale", "true_cfg_scale")


def draw_of(pipe, call, prompts, steps, guidance, arguments):
    """The user's own call where there is one, else that of the pipeline with these arguments."""
    check_guidance(guidance)
    check_free(pipe)
    transformers_of(pipe)  # refuses what is no pipeline over a transformer
    if call is not None:
        check_own_call(call, prompts, arguments)
        return OwnCall(pipe, call, guidance)
    return Call(pipe, prompts, steps, guidance, arguments)


class OwnCall:
    """draw(seed, indices) -> latents, by the user's own function call(pipe, seed, count). guidance:
    the scale that this function uses, None if it is not known.
    """

    def __init__(self, pipe, call, guidance=None):
        self.pipe, self.call, self.guidance = pipe, call, guidance

    def described(self):
        """The words by which a resumed search recognises this call; its code is not compared."""
        return "a call of the user's own"

    def __call__(self, seed, indices):
        return self.call(self.pipe, noise_seed(seed, indices[0]), len(indices))


class Call:
    """draw(seed, indices) -> latents. Image k has prompt (or class) k, beginning again after the
    last one; its noise depends on seed and k alone.

    prompts: captions, or class labels for a DiT. None: the captions of this package, or all
    classes. guidance: None for the pipeline's default. arguments: further arguments of the
    pipeline's call.
    """

    def __init__(self, pipe, prompts, steps, guidance, arguments):
        self.pipe, self.parameters = pipe, parameters_of(pipe)
        arguments = passed_on(type(pipe), self.parameters, arguments)
        self.cond_argument = "prompt" if "prompt" in self.parameters else "class_labels"
        right = (
            "its call takes neither prompt nor class_labels; "
            "give call(pipe, seed, count) -> latents"
        )
        check(self.cond_argument in self.parameters, "pipe", type(pipe).__name__, right)
        prompts = self._default() if prompts is None else prompts
        self.prompts = prompts_of(prompts, self.cond_argument)
        self._check_classes()
        self.arguments = {"num_inference_steps": steps, **self._fixed(), **arguments}
        self.guidance = self._guide(guidance)
        self.texts = texts_of(self.arguments, len(self.prompts))

    def __call__(self, seed, indices):
        chosen = [self.prompts[k % len(self.prompts)] for k in indices]
        generators = [torch.Generator().manual_seed(noise_seed(seed, k)) for k in indices]
        texts = {name: [own[k % len(own)] for k in indices] for name, own in self.texts.items()}
        arguments = {**self.arguments, **texts, self.cond_argument: chosen, "generator": generators}
        if self.arguments.get("output_type") != "latent":
            return last_latents(self.pipe, arguments, len(chosen))
        return self.pipe(**arguments, return_dict=False)[0]

    def described(self):
        """A hash of the prompts and arguments, by which a resumed search recognises this call."""
        content = json.dumps([self.prompts, self.arguments], default=_described, sort_keys=True)
        digest = hashlib.sha256(content.encode()).hexdigest()[:12]
        return f"{len(self.prompts)} {self.cond_argument}, sha256 {digest} with the arguments"

    def _default(self):
        """The captions that come with this package, or all classes in random order."""
        if self.cond_argument == "prompt":
            return read_captions(CAPTIONS)
        right = "it does not say how many classes there are; give prompts=, a list of labels"
        check(self._classes(), "transformer", type(self.pipe.transformer).__name__, right)
        order = np.random.default_rng(0).permutation(self._classes())
        return [int(label) for label in order]

    def _classes(self):
        """How many classes the transformer knows; None where it does not say."""
        return getattr(self.pipe.transformer.config, "num_embeds_ada_norm", None)

    def _check_classes(self):
        if self.cond_argument == "class_labels" and (count := self._classes()):
            for label in self.prompts:
                check(0 <= label < count, "prompts", label, f"class labels lie in 0..{count - 1}")

    def _fixed(self):
        """The arguments that make the pipeline return its latents unchanged, at any image size."""
        source = inspect.getsource(inspect.unwrap(type(self.pipe).__call__))
        fixed = {}
        if "output_type" in self.parameters and '"latent"' in source:
            fixed["output_type"] = "latent"
        if "use_resolution_binning" in self.parameters:
            fixed["use_resolution_binning"] = False  # no effect at the sizes the model was made for
        if "clean_caption" in self.parameters and not (is_bs4_available() and is_ftfy_available()):
            fixed["clean_caption"] = False  # the pipeline's own fallback, without its warnings
        return fixed

    def _guide(self, guidance):
        """Set the guidance -> its scale, or None where the pipeline has no guidance."""
        name = guidance_name(self.pipe, self.parameters)
        if name is None:
            right = f"the call of a {type(self.pipe).__name__} takes none"
            check(guidance is None, "guidance", guidance, right)
            return None
        if guidance is not None:
            right = f"guidance={guidance} gives it already"
            check(name not in self.arguments, name, self.arguments.get(name), right)
            self.arguments[name] = guidance
            if name == "true_cfg_scale" and guidance > 1:
                self.arguments.setdefault("negative_prompt", " ")
        scale = self.arguments.get(name, self.parameters[name].default)
        return scale if isinstance(scale, (int, float)) else None


def guidance_name(pipe, parameters):
    """The name of the argument that sets the guidance scale. Some pipelines have both of GUIDANCE;
    then it is the one that has an effect with their transformer. None where there is neither.
    """
    names = [name for name in GUIDANCE if name in parameters]
    distilled = getattr(pipe.transformer.config, "guidance_embeds", True)
    return names[-1 if not distilled else 0] if names else None


def parameters_of(pipe):
    parameters = dict(inspect.signature(inspect.unwrap(type(pipe).__call__)).parameters)
    return {
        name: value
        for name, value in parameters.items()
        if name != "self" and value.kind is not value.VAR_KEYWORD
    }


def noise_seed(seed, index):
    """The seed of an image's generator, from the walk's seed and the image's index."""
    return int(np.random.SeedSequence([seed, index]).generate_state(1)[0])


def last_latents(pipe, arguments, count):
    """The latents after a pipeline's last step, for pipelines that would decode them."""
    scheduler, step = pipe.scheduler, pipe.scheduler.step
    last = []

    def stepped(*args, **kwargs):
        out = step(*args, **kwargs)
        last[:] = [out[0] if isinstance(out, tuple) else out.prev_sample]
        return out

    def decode(*args, **kwargs):
        raise _Decoding

    with replaced(scheduler, "step", stepped), replaced(pipe.vae, "decode", decode):
        with suppress(_Decoding):
            pipe(**arguments)
    check(last, "pipe", type(pipe).__name__, "its call ended without a step of its scheduler")
    return last[0][:count]


def latents_of(out, count):
    """The latents (count, ...) in the result of a call: a tensor, one tensor for each image, or the
    output object of a pipeline.
    """
    tensors = [leaf for leaf in tree_leaves(out) if isinstance(leaf, torch.Tensor)]
    if not tensors:
        raise BadInput(f"call: a {type(out).__name__} without tensors; return the latents")
    shapes = {tensor.shape for tensor in tensors}
    x = tensors[0]
    if len(tensors) == count != len(x) and len(shapes) == 1:
        x = torch.stack(tensors)
    check(len(x) == count, "call", tuple(x.shape), f"latents of {count} images are needed")
    return x


def _described(value):
    """by_content without the address in memory by which a function or an object is shown: it is
    another one in the process that resumes. What a function does is not compared.
    """
    return re.sub(r" at 0x[0-9a-f]+", "", by_content(value))


class _Decoding(BaseException):
    """Ends a pipeline's call where it would decode its latents."""
