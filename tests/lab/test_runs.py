"""Ids: stable over time, sensitive to everything that changes the outcome, and to nothing else. And
range checks.
"""

import json
import re
from dataclasses import fields, replace

import pytest

from harmonica.compress.settings import Pruning
from harmonica.errors import BadInput
from harmonica.lab.ids import canonical, with_needs
from harmonica.lab.makings import ModelSpec, RouterSpec, ScheduleSpec
from harmonica.lab.specs import LatencySpec, RunSpec, TrainingCostSpec
from harmonica.method.settings import RouterTraining
from harmonica.search.settings import Settings
from harmonica.weights.specs import FileSpec, ImageSpec, PromptSpec, PublishedRouter

MODEL = ModelSpec(name="m", sha256="0" * 64, scale="digits")
TRAINING = RouterTraining(
    walk="sdt",
    objective="leave-one-out",
    lambda_scores="soft",
    trajectories=100,
    batch=16,
    refresh=10,
    lambda_batch=16,
    lr=0.1,
    adam_eps=1e-12,
    tau=0.1,
    cur_percent=37.5,
)
ROUTER = RouterSpec(model=MODEL, num_steps=10, training=TRAINING)
UNCACHED = RunSpec(model=MODEL, num_steps=10, num_images=2000, against=10)
RANDOM = replace(UNCACHED, schedule="random", cur_percent=37.5)
CACHED = replace(RANDOM, schedule="router", router=ROUTER)
FEWER = replace(UNCACHED, num_steps=6)
PUBLISHED = PublishedRouter(name="theirs.pt", sha256="2" * 64)
MADE = ScheduleSpec(
    model=MODEL, num_steps=10, making="search", cur_percent=37.5, settings=Settings()
)
IMAGES = ImageSpec(decoder=FileSpec(name="vae", sha256="3" * 64), reference="some.npz")
THEIRS = replace(UNCACHED, schedule="router", published=PUBLISHED, images=IMAGES)


def test_ids_are_what_they_were():
    """Records are found by these; a change of them orphans every record that was ever made."""
    assert [artefact.id for artefact in (ROUTER, UNCACHED, FEWER, RANDOM, CACHED)] == [
        "m-t10-sdt-leave-one-out-cur37.5-b99746f8",
        "m-t10-full-e0-f73a7542",
        "m-t6of10-full-e0-b7555f6b",
        "m-t10-random-cur37.5-e0-1f7a0f77",
        "m-t10-sdt-leave-one-out-cur37.5-e0-1d784397",
    ]
    assert (
        LatencySpec(group="DiT-XL/2, T = 10", runs=(UNCACHED, CACHED)).id
        == "dit-xl-2-t-10-latency-38be90f6"
    )
    assert (
        TrainingCostSpec(group="cost, T = 10", rows=(("HarmoniCa", ROUTER),)).id
        == "cost-t-10-training-745016ed"
    )


CHANGES = (
    [
        (MODEL, f)
        for f in (
            {"name": "n"},
            {"sha256": "1" * 64},
            {"scale": "smoke"},
            {"numerics": "diffusers"},
            {"heads": 4},
            {"prompts": PromptSpec(name="captions", sha256="2" * 64, embeddings="e", pixels=256)},
            {"compression": Pruning(removed_percent=25.0, steps=1, lr=1e-3)},
        )
    ]
    + [
        (TRAINING, f)
        for f in (
            {"walk": "ltc", "ltc_form": "released"},
            {"walk": "ltc", "ltc_form": "all-pairs"},
            {"objective": "cumulative"},
            {"lambda_scores": "hard"},
            {"trajectories": 99},
            {"batch": 8},
            {"refresh": 5},
            {"lambda_batch": 8},
            {"lr": 0.01},
            {"adam_eps": 1e-8},
            {"tau": 0.2},
            {"cur_percent": 40},
            {"seed": 1},
            {"beta": 1e-6, "cur_percent": None},
            {"checkpoint": True},
            {"lambda_distance": "absolute"},
            {"initial": 1.0},
            {"dual": True},
            {"walk": "ltc", "ltc_form": "all-pairs", "label_dropout": 0.1},
            {"walk": "ltc", "ltc_form": "all-pairs", "drawn_steps": 2},
        )
    ]
    + [(ROUTER, f) for f in ({"sampler": "ddim-diffusers"}, {"num_steps": 9}, {"guidance": 1.5})]
    + [
        (RANDOM, f)
        for f in (
            {"sampler": "ddim-diffusers"},
            {"guidance": 1.5},
            {"cur_percent": 50},
            {"noise": "reference"},
            {"seed": 1},
            {"num_images": 1000},
            {"batch": 50},
            {"against": 20},
            {"num_steps": 9},
            {"schedule": "fora", "cur_percent": None},
            {"schedule": "fora", "interval": 3, "cur_percent": None},
            {"schedule": "router", "router": ROUTER},
            {"schedule": "router", "cur_percent": None, "published": PUBLISHED},
            {"schedule": "made", "cur_percent": None, "made": MADE},
            {"images": IMAGES},
            {"images": replace(IMAGES, reference="other.npz")},
            {"precision": "tf32"},
            {"precision": "bfloat16"},
            {"schedule": "router", "router": ROUTER, "reuse_last_step": True},
            {"schedule": "router", "router": replace(ROUTER, sampler="dpm++"), "transferred": True},
        )
    ]
)


def changed(owner, change):
    """The cached run with a part of it replaced -> an artefact that carries the change, and the one
    without.
    """
    if owner is MODEL:
        return replace(UNCACHED, model=replace(MODEL, **change)), UNCACHED
    if owner is TRAINING:
        return replace(ROUTER, training=replace(TRAINING, **change)), ROUTER
    return replace(owner, **change), owner


@pytest.mark.parametrize(
    "owner, change",
    CHANGES,
    ids=[f"{type(o).__name__} {' '.join(c)} {next(iter(c.values()))}" for o, c in CHANGES],
)
def test_every_field_enters_the_id(owner, change):
    new, old = changed(owner, change)
    assert new.id != old.id and re.fullmatch(r"[a-z0-9.-]+-[0-9a-f]{8}", new.id)


def test_no_field_was_forgotten_above():
    for owner, names in (
        (MODEL, {"name", "sha256", "scale"}),
        (TRAINING, set()),
        (ROUTER, {"model", "training"}),
        (RANDOM, {"model"}),
    ):
        covered = names.union(*(change for o, change in CHANGES if o is owner))
        assert {field.name for field in fields(owner)} == covered


def test_a_routers_change_is_a_change_of_its_run():
    other = replace(ROUTER, training=replace(TRAINING, seed=1))
    assert replace(CACHED, router=other).id != CACHED.id
    assert (
        LatencySpec(group="g", runs=(CACHED,)).id
        != LatencySpec(group="g", runs=(replace(CACHED, router=other),)).id
    )
    assert (
        TrainingCostSpec(group="g", rows=(("a", ROUTER),)).id
        != TrainingCostSpec(group="g", rows=(("a", other),)).id
    )


def test_the_uncached_run_of_any_schedule_is_the_same():
    forced, foreign = (
        replace(CACHED, reuse_last_step=True),
        replace(CACHED, transferred=True, router=replace(ROUTER, sampler="dpm++")),
    )
    assert forced.baseline() == foreign.baseline() == UNCACHED


def test_the_canonical_config_is_plain_json_without_unused_options():
    config = json.loads(canonical(CACHED))
    assert (
        config["router"]["training"]["cur_percent"] == 37.5
        and "beta" not in config["router"]["training"]
    )
    assert "null" not in canonical(CACHED) and canonical(CACHED) == json.dumps(
        config, sort_keys=True, separators=(",", ":")
    )


def test_what_a_run_rests_on():
    """Its uncached run, the independent one, its router: each once, needs first."""
    ordered = with_needs([CACHED, RANDOM, FEWER, UNCACHED])
    assert len(ordered) == len({a.id for a in ordered}) == 6
    for artefact in ordered:
        assert all(ordered.index(need) < ordered.index(artefact) for need in artefact.needs())
    assert CACHED.baseline() == FEWER.baseline() == UNCACHED.baseline() == UNCACHED
    assert FEWER.reference() == CACHED.reference() == replace(UNCACHED, noise="reference")
    assert UNCACHED.needs() == [UNCACHED.reference()] and UNCACHED.reference().needs() == []


def test_a_run_at_paper_scale_needs_no_independent_images():
    assert THEIRS.needs() == [THEIRS.baseline()] and THEIRS.baseline() == replace(
        UNCACHED, images=IMAGES
    )
    assert THEIRS.baseline().needs() == [] and "published" in THEIRS.id
    given = replace(ROUTER, training=replace(TRAINING, beta=1e-6, cur_percent=None))
    assert replace(CACHED, router=given, cur_percent=None).id != replace(CACHED, router=given).id


WRONG = [
    (MODEL, {"scale": "big"}),
    (MODEL, {"numerics": "offical"}),
    (TRAINING, {"walk": "stroll"}),
    (TRAINING, {"objective": "l1"}),
    (TRAINING, {"ltc_form": "released"}),
    (TRAINING, {"walk": "ltc"}),
    (TRAINING, {"lambda_scores": None}),
    (TRAINING, {"lambda_scores": "firm"}),
    (TRAINING, {"objective": "mse"}),
    (TRAINING, {"trajectories": 0}),
    (TRAINING, {"batch": -1}),
    (TRAINING, {"refresh": None}),
    (TRAINING, {"lambda_batch": 0}),
    (TRAINING, {"lr": 0}),
    (TRAINING, {"adam_eps": -1e-8}),
    (TRAINING, {"tau": 1}),
    (TRAINING, {"tau": 0}),
    (TRAINING, {"beta": -1e-6, "cur_percent": None}),
    (TRAINING, {"cur_percent": 120}),
    (TRAINING, {"cur_percent": -1}),
    (TRAINING, {"cur_percent": None}),
    (TRAINING, {"beta": 1e-6}),
    (ROUTER, {"sampler": "ddmi"}),
    (ROUTER, {"num_steps": 0}),
    (ROUTER, {"guidance": 0.5}),
    (ROUTER, {"num_steps": 1}),
    (RANDOM, {"schedule": "fasst"}),
    (RANDOM, {"cur_percent": 120}),
    (RANDOM, {"cur_percent": 91}),
    (RANDOM, {"cur_percent": -5}),
    (RANDOM, {"cur_percent": None}),
    (RANDOM, {"router": ROUTER}),
    (RANDOM, {"num_images": 0}),
    (RANDOM, {"batch": 0}),
    (RANDOM, {"against": 0}),
    (UNCACHED, {"cur_percent": 50}),
    (UNCACHED, {"schedule": "fora", "interval": 2}),
    (UNCACHED, {"schedule": "deepcache", "interval": 3}),
    (CACHED, {"router": None}),
    (CACHED, {"num_steps": 20}),
    (CACHED, {"published": PUBLISHED}),
    (CACHED, {"cur_percent": None}),
    (THEIRS, {"cur_percent": 25}),
    (THEIRS, {"schedule": "full"}),
    (PUBLISHED, {"tau": 1}),
    (UNCACHED, {"precision": "half"}),
    (RANDOM, {"reuse_last_step": True}),
    (CACHED, {"reuse_last_step": 1}),
    (replace(CACHED, cur_percent=9), {"reuse_last_step": True}),
    (CACHED, {"transferred": True}),
    (UNCACHED, {"transferred": True}),
    (CACHED, {"model": replace(MODEL, sha256="1" * 64)}),
]


@pytest.mark.parametrize(
    "artefact, change", WRONG, ids=[f"{type(a).__name__} {c}"[:60] for a, c in WRONG]
)
def test_impossible_values_are_refused_before_anything_starts(artefact, change):
    with pytest.raises(BadInput, match=r"(is not possible; .+)"):
        replace(artefact, **change)


def test_a_typo_is_an_error():
    with pytest.raises(TypeError, match="trajectorys"):
        replace(TRAINING, trajectorys=3)
