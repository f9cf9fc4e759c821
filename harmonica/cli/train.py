"""`python -m harmonica train`: a router for a diffusers pipeline of the user's own."""

from harmonica.errors import BadInput, check


def add(commands):
    train = commands.add_parser(
        "train", help="train a router for a DiT or PixArt pipeline of your own, without images"
    )
    train.add_argument(
        "--model",
        required=True,
        metavar="PATH_OR_ID",
        help="folder or hub id of a diffusers pipeline",
    )
    train.add_argument("--steps", required=True, type=int, help="number of denoising steps, T")
    train.add_argument(
        "--cur",
        required=True,
        type=float,
        metavar="PERCENT",
        help="share of block computations to reuse",
    )
    train.add_argument(
        "--out",
        required=True,
        metavar="DIR",
        help="folder for the router; a killed training goes on there",
    )
    train.add_argument(
        "--sampler", help="ddim, ddpm, dpm++ or sa-solver; default the pipeline's own scheduler"
    )
    train.add_argument(
        "--guidance", type=float, help="guidance scale, 1 for none; default the pipeline's"
    )
    train.add_argument(
        "--captions",
        metavar="FILE",
        help="text to train with, a caption a line; default 64 of our own",
    )
    train.add_argument(
        "--trajectories", type=int, default=100, help="of training, T - 1 updates each; default 100"
    )
    train.add_argument(
        "--batch",
        type=int,
        default=8,
        help="images per trajectory, under guidance twice; default 8",
    )
    train.add_argument(
        "--seed", type=int, default=0, help="of noise, captions and initial scores; default 0"
    )
    train.add_argument("--device", help="cpu, cuda, cuda:1, ...; default a GPU if there is one")
    train.add_argument(
        "--dry-run", action="store_true", help="only measure and print what it would cost"
    )
    train.set_defaults(function=_train)


def _train(arguments):
    from tqdm import tqdm

    from harmonica.method.precision import float32_products
    from harmonica.pipeline.loading import CAPTIONS, load_pipeline
    from harmonica.pipeline.train import cost, describe, router_training, train_router

    device, captions = _device(arguments.device), arguments.captions or CAPTIONS
    check(
        arguments.guidance is None or arguments.guidance >= 1,
        "guidance",
        arguments.guidance,
        "it must be at least 1",
    )
    training = router_training(
        arguments.steps, arguments.cur, arguments.trajectories, arguments.batch, arguments.seed
    )
    loaded, pipe = load_pipeline(arguments.model, arguments.sampler, captions, device)
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
    _print_result(arguments, trained)


def _device(name):
    import torch

    name = name or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return str(torch.empty(0, device=name).device)
    except (RuntimeError, AssertionError):
        raise BadInput(
            f"device: {name!r} is not possible; choose cpu, or a GPU that is here"
        ) from None


def _print_cost(loaded, router, cost):
    print(
        f"model      {router.model}, N = {loaded.backbone.num_blocks} blocks, {router.conds}\n"
        f"scheduler  {router.sampler}, T = {router.num_steps}, guidance {router.guidance:g}\n"
        f"work       {cost['updates']} updates and {cost['lambda_forwards']} forwards, batch {router.training.batch}\n"
        f"measured   an update {cost['update_s']:.3g} s, a forward {cost['forward_s']:.3g} s: about "
        f"{cost['seconds'] / 60:.1f} min in all; {cost['peak_bytes'] / 2**30:.2g} GiB of memory at its peak",
        flush=True,
    )


def _print_result(arguments, trained):
    from harmonica.method.schedules import cur_percent
    from harmonica.pipeline.loading import SCHEDULERS

    out, cur = arguments.out, arguments.cur
    print(
        f"wrote      {out}: its scores alone reuse {cur_percent(trained.keep()):.1f} %, with cur={cur:g} exactly that"
    )
    if arguments.sampler:
        scheduler, options = SCHEDULERS[arguments.sampler]
        said = "".join(f", {name}={value!r}" for name, value in options.items())
        print(
            f"use        pipe.scheduler = diffusers.{scheduler.__name__}.from_config(pipe.scheduler.config{said})"
        )
    print(
        f"use        with harmonica.apply_router(pipe, {out!r}, cur={cur:g}): "
        f"pipe(..., num_inference_steps={arguments.steps})"
    )
