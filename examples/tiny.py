"""What the examples of large models run on with --tiny: the same pipeline, a few random weights.

No text encoder is there: a prompt's embedding is made of random numbers.
"""

import inspect
import sys
import tempfile
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

STEPS = 4
QUICK = {"images": 2, "rounds": 0, "quiet": True}  # of the search


def tiny(name):
    """-> a pipeline, few steps, arguments of its calls, and how to search it in seconds, in a folder
    for this run.
    """
    from tiny_pipelines import PIPELINES

    pipe, inputs = PIPELINES[name][0]()
    embeddings = {key: inputs.pop(key) for key in list(inputs) if "prompt" in key}
    guidance = [key for key in inputs if "guidance" in key or "cfg" in key]
    for key in ("num_inference_steps", *guidance):
        del inputs[key]
    pipe.encode_prompt = Embedding(pipe.encode_prompt, embeddings)
    return pipe, STEPS, inputs, QUICK | {"out": tempfile.mkdtemp()}


class Embedding:
    """A pipeline's encode_prompt, of these embeddings: each prompt has them in a size of its own."""

    def __init__(self, encode, embeddings):
        self.encode, self.embeddings = encode, embeddings
        self.signature = inspect.signature(encode)

    def __call__(self, *args, **kwargs):
        given = self.signature.bind(*args, **kwargs).arguments
        prompts = given.pop("prompt")
        prompts = [prompts] if isinstance(prompts, str) else prompts
        sizes = [1 + len(prompt) % 7 for prompt in prompts]
        for name, value in self.embeddings.items():
            if name in self.signature.parameters and value is not None:
                parts = [value * size if value.is_floating_point() else value for size in sizes]
                given[name] = torch.cat(parts)
        return self.encode(prompt=None, **given)
