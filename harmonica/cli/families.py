"""`python -m harmonica families`: print which transformer classes of the installed diffusers can be
cached, and their units, as a page in Markdown.
"""

HEAD = """# The transformers of diffusers {version}

`python -m harmonica families` prints this page for the diffusers that is installed.

A unit is one attention or feed-forward of a block: what a schedule keeps or reuses. The tests run
every class of this table with tiny random weights: with everything computed the output is the
untouched model's, bit for bit; reused units are not computed; gradients reach every unit; removal
leaves nothing behind. `proj_out`, `down_proj` and `ff_out` stand for several modules whose results
only they read.

Calls: how often the pipeline calls its transformer in one step with guidance and all its variants
switched on. Every call of a step has a cache of its own. "-": the steps of that pipeline cannot be
told apart (it steps other schedulers than its own, or leaves the loop to others).

| class | units of one block | pipelines: calls |
|---|---|---|
"""
TAIL = "\nNot tried:\n\n"


def add(commands):
    verb = commands.add_parser("families", help="the transformers of diffusers that can be cached")
    verb.set_defaults(function=lambda arguments: print(page(), end=""))


def page():
    import diffusers

    from harmonica.pipeline.families import NOT_TRIED, families

    classes = families()
    rows = [row(family) for family in classes if family.units]
    reasons = [
        f"- {family.name}: {NOT_TRIED[family.name]}\n" for family in classes if not family.units
    ]
    head = HEAD.format(version=diffusers.__version__)
    return head + "".join(rows) + TAIL + "".join(reasons)


def row(family):
    stacks = [f"{stack}: {', '.join(units)}" for stack, units in family.units.items()]
    calls = [
        f"{name.removesuffix('Pipeline')}: {calls or '-'}"
        for name, calls in family.pipelines.items()
    ]
    return f"| {family.name} | {'<br>'.join(stacks)} | {', '.join(calls)} |\n"
