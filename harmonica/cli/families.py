"""`python -m harmonica families`: print which transformer classes of the installed diffusers can be
cached, and their units, as a page in Markdown.
"""

import sys
import warnings

HEAD = """# The transformers of diffusers {version}

`python -m harmonica families` prints this page for the diffusers that is installed.

A unit is one attention or feed-forward of a block: a schedule decides at each step whether it is
computed or skipped. The tests run every class of this table with tiny random weights. They check
that the output is that of the untouched model, bit for bit, if everything is computed, that reused
units are not computed, that gradients reach every unit, and that removing the cache leaves nothing
behind. `proj_out`, `down_proj` and `ff_out` each stand for several modules whose results only they
read.

The last column lists the pipelines of each class, and how often a pipeline calls its transformer in
one step, with guidance and all its variants switched on. Every call of a step has its own cache.
"-" means that the steps of this pipeline cannot be told apart: it steps schedulers other than its
own, or leaves the loop to others.

| class | units of one block | pipelines: calls |
|---|---|---|
"""
TAIL = "\nNot tried, for these reasons:\n\n"


def add(commands):
    verb = commands.add_parser(
        "families", help="list the transformers of diffusers that can be cached"
    )
    verb.set_defaults(function=_print)


def _print(arguments):
    print("reading the transformers of diffusers, about ten seconds", file=sys.stderr, flush=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of diffusers, about classes that it will rename
        text = page()
    print(text, end="")


def page():
    import diffusers

    from harmonica.pipeline.families import (
        NOT_TRIED,
        pipelines_of,
        transformer_classes,
        units_per_block,
    )

    classes, pipelines = transformer_classes(), pipelines_of()
    rows = [
        row(name, units_per_block(kind), pipelines[name])
        for name, kind in classes.items()
        if name not in NOT_TRIED
    ]
    reasons = [f"- {name}: {NOT_TRIED[name]}\n" for name in classes if name in NOT_TRIED]
    head = HEAD.format(version=diffusers.__version__)
    return head + "".join(rows) + TAIL + "".join(reasons)


def row(name, units, pipelines):
    stacks = [f"{stack}: {', '.join(names)}" for stack, names in units.items()]
    calls = [
        f"{pipeline.removesuffix('Pipeline')}: {count or '-'}"
        for pipeline, count in pipelines.items()
    ]
    return f"| {name} | {'<br>'.join(stacks)} | {', '.join(calls)} |\n"
