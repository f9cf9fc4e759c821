"""Tiny pipelines, on which the examples of large models run with --tiny: the same classes with a
few random weights.

There is no text encoder: a prompt's embedding is made of random numbers.
"""

import argparse
import inspect
import sys
import tempfile
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

STEPS = 4
# arguments of a search that takes seconds
QUICK = {"images": 2, "rounds": 0, "refit": False, "quiet": True}


def is_tiny(docstring):
    """Whether an example is called with --tiny. --help prints the first lines of its docstring; any
    other option is refused.
    """
    parser = argparse.ArgumentParser(description=docstring.partition("\n\n")[0], allow_abbrev=False)
    parser.add_argument("--tiny", action="store_true", help="a few random weights, no download")
    return parser.parse_args().tiny


def tiny(name):
    """-> a pipeline, a small number of steps, further arguments of its call, and the arguments of a
    quick search into a temporary folder.
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
    """In place of a pipeline's encode_prompt: gives fixed embeddings, scaled differently for each
    prompt.
    """

    def __init__(self, encode, embeddings):
        self.encode, self.embeddings = encode, embeddings
        self.signature = inspect.signature(encode)

    def __call__(self, *args, **kwargs):
        arguments = self.signature.bind(*args, **kwargs).arguments
        prompts = arguments.pop("prompt")
        prompts = [prompts] if isinstance(prompts, str) else prompts
        sizes = [1 + len(prompt) % 7 for prompt in prompts]
        for name, value in self.embeddings.items():
            if name in self.signature.parameters and value is not None:
                parts = [value * size if value.is_floating_point() else value for size in sizes]
                arguments[name] = torch.cat(parts)
        return self.encode(prompt=None, **arguments)
