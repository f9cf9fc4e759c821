"""Finds the residual branches of a diffusers transformer: the attention and feed-forward children
of its repeated blocks, recognised by the names of their classes and attributes.

A unit is one call of such a branch. Most branches are one module. Where a block computes attention
and feed-forward side by side and projects both at once (Flux's single blocks), or writes its
feed-forward out as linear layers (PRX), a branch is several modules: the last one gives the
feature, and only it reads the outputs of those before.
"""

import re
from collections import Counter
from typing import NamedTuple

from torch import nn

from harmonica.errors import BadInput

BRANCH_CLASS = re.compile(r"Attention|FeedForward|GLUMB|SwiGLU|MoE|MLP|Mlp")
BRANCH_NAME = re.compile(r"(^|_)(attn|attention|ff|ffn|mlp|feed_forward)\d?$")
NO_BRANCH = re.compile(
    r"norm|modul|_mod$|embed|adaln|processor|fuser|gatedself|dropout", re.IGNORECASE
)
# Stacks of blocks that only prepare inputs of the image's blocks (the prompt, a reference, a face),
# or that belong to a U-Net.
NO_STACK = re.compile(
    r"context|token_refiner|perceiver|text|txt|caption|siglip|embed|adapter|extractor|encoder"
    r"|control|guidance|projector|up_|down_|mid_|codec"
)
# Branches of several modules, children of one block: (those that only the last one reads, the last)
TOGETHER = (
    (("attn", "proj_mlp"), "proj_out"),
    (("gate_proj", "up_proj"), "down_proj"),
    (("ff_in",), "ff_out"),
)


class Branch(NamedTuple):
    """block: the block's path in the model; name: the branch's path in the block; module: returns
    the feature; before: the modules whose outputs only this module reads.
    """

    block: str
    name: str
    module: nn.Module
    before: tuple


def branches(model):
    """All branches of a model, in the order of its modules. BadInput where it has none."""
    model_branches = [
        Branch(path, *branch) for path, block in blocks(model) for branch in branches_of(block)
    ]
    if not model_branches:
        stacks = ", ".join(without_units(model, {})) or "there is none"
        raise BadInput(
            f"transformer: {type(model).__name__} has no repeated transformer blocks "
            f"(stacks: {stacks}) in which an attention or feed-forward is recognised; "
            "models that serve are listed by python -m harmonica families"
        )
    return model_branches


def blocks(model, path=""):
    """Yield (path, block) for every member of the model's module lists that has a branch."""
    for name, child in model.named_children():
        child_path = f"{path}{name}"
        if NO_STACK.search(name):
            continue
        members = child.named_children() if isinstance(child, nn.ModuleList) else ()
        pairs = [
            (f"{child_path}.{index}", member) for index, member in members if branches_of(member)
        ]
        yield from pairs or blocks(child, f"{child_path}.")


def by_stack(units):
    """{path of a stack of blocks: Counter of the units of one block}, from (path of the block, name
    of the unit) pairs.
    """
    by_block = {}
    for block, name in units:
        by_block.setdefault(block, []).append(name)
    stacks = {}
    for block, names in by_block.items():
        stacks.setdefault(block.rpartition(".")[0], Counter())[tuple(names)] += 1
    return stacks


def without_units(model, stacks):
    """The paths of the model's other lists of two or more modules that have parts, and in which no
    unit was recognised. Left out are lists inside of `stacks` or around them, and NO_STACK.
    """
    return [
        path
        for path, child in model.named_modules()
        if isinstance(child, nn.ModuleList)
        and len(child) > 1
        and any(list(block.children()) for block in child)
        and not any(_within(path, stack) or _within(stack, path) for stack in stacks)
        and not NO_STACK.search(path)
    ]


def described(model, units):
    """Which units the blocks of a model have, in words. units: as for by_stack."""
    stacks = by_stack(units)
    words = []
    for stack, kinds in stacks.items():
        sets = [
            ", ".join(names) + f" ({count} of {kinds.total()} blocks)" * (len(kinds) > 1)
            for names, count in kinds.items()
        ]
        words.append(f"{stack}: {' and '.join(sets)}")
    words += [f"{stack}: none recognised" for stack in without_units(model, stacks)]
    return "; ".join(words)


def _within(path, other):
    return f"{path}.".startswith(f"{other}.")


def branches_of(block, path=""):
    """[(name, module, before)] of one block."""
    children = dict(block.named_children())
    triples = []
    groups = {last: before for before, last in TOGETHER if {*before, last} <= set(children)}
    grouped = {name for before in groups.values() for name in before}
    for name, child in children.items():
        kind = type(child).__name__
        if name in groups:
            triples.append(
                (path + name, child, tuple(children[earlier] for earlier in groups[name]))
            )
        elif name in grouped or NO_BRANCH.search(f"{kind} {name}") or not list(child.children()):
            continue
        elif BRANCH_CLASS.search(kind) or BRANCH_NAME.search(name):
            triples.append((path + name, child, ()))
        else:
            triples.extend(branches_of(child, f"{path}{name}."))
    return triples
