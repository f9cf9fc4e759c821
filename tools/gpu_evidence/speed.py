"""Speed of the published shapes, random weights, bfloat16: the benchmark's forward and sampling.

forward: one uncached step against diffusers' own, at so many images (no guidance). sampling: cached
against uncached sampling by the same backend, with guidance; achieved = measured / theoretical.
"""

from dataclasses import replace
from functools import partial

from harmonica.bench import cases, forward, sampling
from harmonica.bench.bench import Bench
from harmonica.errors import check
from harmonica.method.schedule import Schedule
from harmonica.weights import formats

SAMPLED = {"DiT-XL/2 512": 4, "PixArt 512": 4, "PixArt 1024": 1}  # images, before guidance


class One(Bench):
    """The benchmark with one case only."""

    def __init__(self, case, batches, backends, compiled=()):
        super().__init__("dit-digits-s0", case.repeats, backends)
        self.case, self.batches, self.compiled = case, batches, compiled

    def forward_cases(self):
        return [(self.case, self.batches)]

    def sampling_cases(self):
        return [(self.case, self.batches)]


def shapes(tiny):
    if tiny:
        small = partial(cases.dit, 64, depth=1, heads=2, sample_size=4, num_steps=3)
        return {name: small for name in ("DiT-XL/2 256", *SAMPLED)}
    return {
        "DiT-XL/2 256": cases.dit_xl2,
        "DiT-XL/2 512": partial(cases.dit_xl2, 64),
        "PixArt 512": partial(cases.pixart, 64),
        "PixArt 1024": partial(cases.pixart, 128),
    }


def items(sizes):
    graph = sizes.graph
    makers = shapes(sizes.tiny)
    first, *others = list(makers)[:2] if sizes.tiny else makers
    backends = ["eager", graph]
    yield f"forward {first}", partial(_forward, makers[first], (8, 1), backends, (8, 1), sizes)
    yield f"sampling {first}", partial(_sampling, makers[first], 8, graph, sizes)
    yield f"sampling {first}, one image", partial(_sampling, makers[first], 1, graph, sizes)
    for name in others:
        yield f"sampling {name}", partial(_sampling, makers[name], SAMPLED[name], graph, sizes)
        yield f"forward {name}", partial(_forward, makers[name], (8, 1), backends, (8,), sizes)
    yield f"sampling {first}, eager", partial(_sampling, makers[first], 8, "eager", sizes)


def _forward(make, batches, backends, compiled, sizes):
    case = sized(make, sizes)
    backends = list(dict.fromkeys(backends))
    return (row for row, _ in forward.rows(One(case, batches, backends, compiled)))


def _sampling(make, batch, backend, sizes):
    case = sized(make, sizes)
    return (row for row, _ in sampling.rows(One(case, (batch,), [backend])))


def sized(make, sizes):
    case = make()
    more = {}
    if sizes.router and case.name.startswith("DiT-XL/2 256"):
        router = formats.read(sizes.router)
        check(len(router.logits) == case.num_steps, "router", sizes.router, "it must have 20 steps")
        more["published router"] = Schedule(keep=router.keep())
    return replace(case, repeats=sizes.repeats, more=more)
