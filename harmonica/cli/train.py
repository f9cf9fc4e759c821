"""`python -m harmonica train`: a router for a diffusers pipeline of the user's own."""

from inspect import signature

from harmonica.cli.command import out_folder, real, text, whole
from harmonica.errors import check

SAMPLERS = ("ddim", "ddpm", "dpm++", "sa-solver")
BINNED = (32, 64, 128)  # latent sides for which PixArt's pipelines have a table of image sizes


def add(commands):
    train = commands.add_parser(
        "train", help="train a router for a DiT or PixArt pipeline of your own, without images"
    )
    train.add_argument(
        "--model",
        required=True,
        type=text,
        metavar="PATH_OR_ID",
        help="folder or hub id of a diffusers pipeline",
    )
    train.add_argument(
        "--steps", required=True, type=whole(2, 10_000), help="number of denoising steps, T"
    )
    train.add_argument(
        "--cur",
        required=True,
        type=real(0, 100, ends=False),
        metavar="PERCENT",
        help="share of block computations to reuse",
    )
    train.add_argument(
        "--out",
        required=True,
        type=out_folder,
        metavar="DIR",
        help="folder for the router; a killed training goes on there",
    )
    train.add_argument(
        "--sampler",
        choices=SAMPLERS,
        help=f"{', '.join(SAMPLERS)}; default the pipeline's own scheduler",
    )
    train.add_argument(
        "--guidance", type=real(1, 1000), help="guidance scale, 1 for none; default the pipeline's"
    )
    train.add_argument(
        "--captions",
        type=text,
        metavar="FILE",
        help="text to train with, a caption a line; default 64 of our own",
    )
    train.add_argument(
        "--trajectories",
        type=whole(1, 10_000_000),
        default=100,
        help="of training, T - 1 updates each; default 100",
    )
    train.add_argument(
        "--batch",
        type=whole(1, 65_536),
        default=8,
        help="images per trajectory, under guidance twice; default 8",
    )
    train.add_argument(
        "--seed",
        type=whole(0, 2**32 - 1),
        default=0,
        help="of noise, captions and initial scores; default 0",
    )
    train.add_argument(
        "--device", type=text, help="cpu, cuda, cuda:1, ...; default a GPU if there is one"
    )
    train.add_argument(
        "--dry-run", action="store_true", help="only measure and print what it would cost"
    )
    train.set_defaults(function=_train)


def _train(arguments):
    from tqdm import tqdm

    from harmonica.method.precision import float32_products
    from harmonica.pipeline.loading import CAPTIONS, load_pipeline
    from harmonica.pipeline.train import cost, describe, router_training, train_router
    from harmonica.weights.prompts import read_captions

    device, captions = chosen_device(arguments.device), arguments.captions or CAPTIONS
    read_captions(captions)  # before anything is loaded
    training = router_training(
        arguments.steps, arguments.cur, arguments.trajectories, arguments.batch, arguments.seed
    )
    loaded, pipe = load_pipeline(arguments.model, arguments.sampler, captions, device)
    most, right = pipe.scheduler.config.num_train_timesteps, "the scheduler's num_train_timesteps"
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
    _print_result(arguments, trained, pipe)


def chosen_device(name):
    import torch

    name = name or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.empty(0, device=name).device
    except Exception:  # of devices that torch was not built for it raises almost anything
        device = None
    right = "choose cpu, or a GPU that is here"
    check(device and device.type in ("cpu", "cuda", "mps"), "device", name, right)
    return str(device)


def _print_cost(loaded, router, cost):
    print(
        f"model      {router.model}, N = {loaded.backbone.num_blocks} blocks, {router.conds}\n"
        f"scheduler  {router.sampler}, T = {router.num_steps}, guidance {router.guidance:g}\n"
        f"work       {cost['updates']} updates and {cost['lambda_forwards']} forwards, batch "
        f"{router.training.batch}\n"
        f"measured   an update {cost['update_s']:.3g} s, a forward {cost['forward_s']:.3g} s: "
        "about "
        f"{cost['seconds'] / 60:.1f} min in all; {cost['peak_bytes'] / 2**30:.2g} GiB of memory at "
        "its peak",
        flush=True,
    )


def _print_result(arguments, trained, pipe):
    from harmonica.method.schedules import cur_percent
    from harmonica.pipeline.loading import SCHEDULERS

    out, cur = arguments.out, arguments.cur
    natural = cur_percent(trained.keep())
    print(
        f"wrote      {out}: with cur={cur:g} it reuses exactly that, its scores alone "
        f"{natural:.1f} %"
    )
    if arguments.sampler:
        scheduler, options = SCHEDULERS[arguments.sampler]
        said = "".join(f", {name}={value!r}" for name, value in options.items())
        print(
            f"use        pipe.scheduler = diffusers.{scheduler.__name__}"
            f".from_config(pipe.scheduler.config{said})"
        )
    print(
        f"use        with harmonica.apply_router(pipe, {out!r}, cur={cur:g}): "
        f"pipe(..., num_inference_steps={arguments.steps}{_besides(pipe)})"
    )


def _besides(pipe):
    """What the call of this pipeline needs besides: PixArt's look for a table of sizes that there is
    for some models only.
    """
    binning = "use_resolution_binning" in signature(pipe.__call__).parameters
    without = pipe.transformer.config.sample_size not in BINNED
    return ", use_resolution_binning=False" if binning and without else ""
