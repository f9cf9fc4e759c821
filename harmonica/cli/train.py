"""`python -m harmonica train`: train a router for a user's own diffusers pipeline."""

from pathlib import Path

from harmonica.cli.command import whole
from harmonica.cli.pipelines import (
    add_cur,
    add_options,
    call_words,
    check_out,
    chosen_device,
    load,
    settings,
    shared,
)
from harmonica.errors import check

SAMPLERS = ("ddim", "ddpm", "dpm++", "sa-solver")


def add(commands):
    train = commands.add_parser(
        "train", help="train a router for a diffusers pipeline of your own; needs no images"
    )
    add_options(train, "router", guidance=1)
    add_cur(train)
    train.add_argument(
        "--steps", required=True, type=whole(2, 10_000), help="number of denoising steps, T"
    )
    train.add_argument(
        "--sampler",
        choices=SAMPLERS,
        help="another scheduler, for a DiT or PixArt; default the pipeline's own",
    )
    train.add_argument(
        "--trajectories",
        type=whole(1, 10_000_000),
        default=100,
        help="length of the training in trajectories, with T - 1 updates each; default 100",
    )
    train.add_argument(
        "--batch",
        type=whole(1, 65_536),
        default=8,
        help="images per trajectory (with guidance the model sees each twice); default 8",
    )
    train.set_defaults(function=_train)


def _train(arguments):
    from harmonica.pipeline.loading import CAPTIONS, PIPELINES, class_name
    from harmonica.pipeline.train import router_training
    from harmonica.weights.prompts import read_captions

    check_out(arguments)
    device = chosen_device(arguments.device)
    captions = arguments.captions or CAPTIONS
    prompts = read_captions(captions)  # before anything is loaded
    training = router_training(
        arguments.steps, arguments.cur, arguments.trajectories, arguments.batch, arguments.seed
    )
    kind = class_name(arguments.model)
    if kind in PIPELINES and not (arguments.set or arguments.dtype or arguments.offload):
        return _by_backbone(arguments, device, captions, training)
    right = f"a {kind} is trained by its own call, on its own scheduler"
    check(arguments.sampler is None, "sampler", arguments.sampler, right)
    _by_call(arguments, device, prompts if arguments.captions else None)


def _by_call(arguments, device, prompts):
    """Train for any pipeline, by its own call."""
    from harmonica.pipeline.train import train

    options, found = settings(arguments.set), _is_finished(arguments.out)
    pipe = load(arguments.model, device, arguments.dtype, arguments.offload)
    trained = train(
        pipe,
        prompts,
        steps=arguments.steps,
        cur=arguments.cur,
        trajectories=arguments.trajectories,
        out=arguments.out,
        **shared(arguments),
        **options,
    )
    if trained is not None:
        _print_result(arguments, trained, pipe, options, found)


def _by_backbone(arguments, device, captions, training):
    """Train for a DiT or PixArt by this package's own backbones and loop, which are faster."""
    from tqdm import tqdm

    from harmonica.method.precision import float32_products
    from harmonica.pipeline.loading import load_pipeline
    from harmonica.pipeline.train_by_backbone import cost, describe, train_router

    found = _is_finished(arguments.out)
    loaded, pipe = load_pipeline(arguments.model, arguments.sampler, captions, device)
    most = pipe.scheduler.config.num_train_timesteps
    right = "the scheduler's num_train_timesteps"
    check(arguments.steps <= most, "steps", arguments.steps, f"{right} is {most}")
    router = describe(
        arguments.model,
        loaded,
        pipe,
        captions,
        num_steps=arguments.steps,
        guidance=arguments.guidance,
        training=training,
    )
    with float32_products("tf32"):
        _print_cost(loaded, router, cost(loaded, router))
        if arguments.dry_run:
            return
        trained = train_router(
            loaded,
            router,
            arguments.out,
            lambda trajectories: tqdm(trajectories, unit="trajectory"),
        )
    _print_result(arguments, trained, pipe, {}, found)


def _print_cost(loaded, router, cost):
    print(
        f"model      {router.model}, N = {loaded.backbone.num_blocks} blocks, {router.conds}\n"
        f"scheduler  {router.sampler}, T = {router.num_steps}, guidance {router.guidance:g}\n"
        f"work       {cost['updates']} updates and {cost['lambda_forwards']} forwards, "
        f"batch {router.training.batch}\n"
        f"measured   an update {cost['update_s']:.3g} s, a forward {cost['forward_s']:.3g} s: "
        f"about {cost['seconds'] / 60:.1f} min in all; "
        f"{cost['peak_bytes'] / 2**30:.2g} GiB of memory at its peak",
        flush=True,
    )


def _is_finished(out):
    """Whether a router is in this folder already."""
    from harmonica.method.router import FILE

    return out is not None and (Path(out) / FILE).exists()


def _print_result(arguments, trained, pipe, options, found):
    from harmonica.method.masks import cur_percent
    from harmonica.method.schedule import counted
    from harmonica.pipeline.about import ended_words
    from harmonica.pipeline.loading import SCHEDULERS

    out, cur = arguments.out, arguments.cur
    natural = cur_percent(trained.keep()[:, counted(trained.about, trained.num_blocks)])
    print(
        f"{ended_words(out, found)}: with cur={cur:g} it reuses exactly that, "
        f"its scores alone {natural:.1f} %"
    )
    if arguments.sampler:
        scheduler, changed = SCHEDULERS[arguments.sampler]
        changes = "".join(f", {name}={value!r}" for name, value in changed.items())
        print(
            f"use        pipe.scheduler = diffusers.{scheduler.__name__}"
            f".from_config(pipe.scheduler.config{changes})"
        )
    call = call_words(pipe, arguments.steps, arguments.guidance, options)
    print(f"use        with harmonica.apply_router(pipe, {out!r}, cur={cur:g}): {call}")
