"""search(pipe) finds, for a user's own pipeline, the schedule whose images are closest to the
uncached ones. It runs the pipeline's own call, scheduler and guidance, and needs no images.
"""

import sys
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path

import torch
from tqdm import tqdm

from harmonica.errors import check
from harmonica.method.masks import budget
from harmonica.method.schedule import FILE, Schedule
from harmonica.pipeline.about import agreed, gibibytes, minutes, origin
from harmonica.pipeline.calls import Call, OwnCall
from harmonica.pipeline.estimate import measure, timed
from harmonica.pipeline.sampling import Sampling, differentiable
from harmonica.pipeline.walk import survey_of, transformers_of
from harmonica.search.search import Search
from harmonica.search.settings import Settings

PIPED_S = 10  # seconds between two lines of the progress bar, where it goes to a file


def search(
    pipe,
    prompts=None,
    steps=20,
    cur=50,
    guidance=None,
    *,
    images=48,
    predict=True,
    seed=0,
    call=None,
    out=None,
    batch=None,
    rounds=4,
    offload=False,
    dry_run=False,
    quiet=False,
    **arguments,
):
    """Search a schedule for `pipe` -> Schedule, for harmonica.apply.

        schedule = harmonica.search(pipe, prompts, steps=20, cur=50)

    pipe: any diffusers pipeline over a transformer whose units are found (`python -m harmonica
    families` lists them). prompts: a list of captions, or of class labels for a DiT; by default the
    64 captions of this package, or all classes. steps: num_inference_steps. cur: the share of unit
    computations that is skipped, in percent. guidance: the scale; None for the pipeline's default.
    images: how many the search looks at. predict: skipped units are predicted from their last two
    computed features; otherwise they reuse the last one. seed: of the noise. out: a folder for the
    schedule; a killed search is resumed there. arguments: further ones of the pipeline's call
    (height=, width=, num_frames=, ...).

    call(pipe, seed, count) -> latents (count, ...): replaces prompts, steps and arguments, for a
    pipeline that is called differently. It must call `pipe` and return its latents; give also the
    guidance that it uses.

    batch: images that are walked at once, by default as many as fit in memory. rounds: how often,
    at most, the schedule is improved by swaps that are then checked; fewer are quicker. offload:
    for models that hardly fit in memory: one image at a time, features in CPU memory, blocks
    checkpointed. dry_run: print what it would cost, and return None. quiet: print nothing.
    """
    check(images >= 1, "images", images, "it must be at least 1")
    check(0 < cur < 100, "cur", cur, "the share in percent that is skipped lies between 0 and 100")
    check(call is not None or steps >= 2, "steps", steps, "the first step computes all: at least 2")
    draw = (
        OwnCall(pipe, call, guidance) if call else Call(pipe, prompts, steps, guidance, arguments)
    )
    tell = (
        (lambda *_: None) if quiet else (lambda *lines: print(*lines, file=sys.stderr, flush=True))
    )
    with ExitStack() as stack:
        stack.enter_context(checkpointed(pipe) if offload else nullcontext())
        work = PipelineSearch(pipe, draw, cur, offload)
        stack.enter_context(work)
        work.learn(tell, images, batch, predict=predict, seed=seed, rounds=rounds)
        if dry_run:
            return None
        return work.run(out, quiet)


class PipelineSearch:
    """A search on one pipeline: learn() its steps and units, then run() the search."""

    def __init__(self, pipe, draw, cur, offload=False):
        self.pipe, self.draw, self.cur, self.offload = pipe, draw, cur, offload
        self.model = next(iter(transformers_of(pipe).values()))

    def __enter__(self):
        draw_one = lambda: self.draw(0, range(1))  # noqa: E731
        with differentiable(self.pipe), torch.no_grad():
            self.survey = survey_of(self.pipe, draw_one)
            self.memory = measure(self.pipe, draw_one, self.offload)
        self.walk = Sampling(self.pipe, self.draw, self.survey.free, self.offload)
        self.walk.__enter__()
        return self

    def __exit__(self, *error):
        self.walk.__exit__(*error)

    def learn(self, tell, images, batch=None, **settings):
        """Walk once, then tell what was found and what the search will cost. tell: prints words."""
        first = batch or min(images, 2)
        _, seconds = timed(lambda: self.walk.learn(0, range(first)))
        T, N = self.walk.num_steps, self.walk.num_blocks
        self.budget = budget(self.cur, T, N)
        most = (T - len(self.walk.fixed)) * N
        right = f"{len(self.walk.fixed)} of {T} steps compute everything"
        check(self.budget <= most, "cur", self.cur, right)
        twice = settings["predict"] * self.cur / 100
        self.memory = self.memory.of_walk(T, self.walk.passes, twice)
        batch = batch or self.memory.batch(images, self.model.device)
        self.settings = Settings(
            images=images,
            batch=batch,
            check_images=2 * images,
            window=min(Settings.window, T),
            **settings,
        )
        forward = seconds / T / first
        self.seconds = self.settings.forwards(T) * forward
        free = f", {len(self.survey.free)} more that reach nothing" if self.survey.free else ""
        tell(
            f"pipeline   {type(self.pipe).__name__}, {type(self.pipe.scheduler).__name__}, T = "
            f"{T}, "
            f"N = {N} units{free}, {self.walk.passes:g} calls a step\n"
            f"search     {self.budget} of {T * N} unit computations are to be skipped; {images} "
            "images, "
            f"{batch} at once\n"
            f"memory     about {gibibytes(self.memory.on_device(batch))} on {self.model.device}"
            f"{self.memory.in_cpu_memory()}\n"
            f"time       at most {minutes(self.seconds)} ({forward:.2g} s for a step of one image)"
        )

    def run(self, out, quiet=False):
        out = out and Path(out)
        about = self.about()
        known = out and agreed(about, out / "search.json", "search", "search")
        if known and (out / FILE).exists():
            return Schedule.from_pretrained(out)
        target, fixed = self.budget, self.walk.fixed
        often = 0.1 if sys.stderr.isatty() else PIPED_S
        with tqdm(disable=quiet, unit="forward", smoothing=0.05, mininterval=often) as bar:
            path = out / "state.safetensors" if out else None
            search = Search(
                self.walk, [target], self.settings, state_path=path, bar=bar, fixed=fixed
            )
            best = search.run()[target]
            bar.total = bar.n  # a search mostly ends before it has computed all that it may
            bar.refresh()
        schedule = self.whole(best, {**about, "error": self.errors(search, best, target)})
        if out:
            schedule.save_pretrained(out)
            (out / "state.safetensors").unlink(missing_ok=True)
        return schedule

    def errors(self, search, best, target):
        """The errors of the found schedule and of FORA, on noise that the search has not used."""
        fora = search.fora(target)
        share = 100 * search.saved(fora) / fora.size
        reuse = Schedule(keep=torch.from_numpy(fora))
        fitted = search.schedule(fora)
        schedules = {"this schedule": best, f"FORA, {share:.3g} % reused": reuse}
        if self.settings.predict:
            schedules[f"FORA, {share:.3g} % predicted"] = fitted
        errors = {name: search.held_back(schedule) for name, schedule in schedules.items()}
        return {"images": self.settings.check_images, "of": errors}

    def whole(self, best, about):
        """Extend a schedule of the searched units to all units. Those that no output depends on are
        skipped after the first step.
        """
        walk, T = self.walk, self.walk.num_steps
        keep = torch.zeros(T, len(walk.names), dtype=torch.bool)
        keep[0] = True
        for i, k in walk.place.items():
            keep[:, i] = best.keep[:, k]
        at = {k: i for i, k in walk.place.items()}
        weights = {
            (step, at[k]): entry_weights.cpu() for (step, k), entry_weights in best.weights.items()
        }
        return Schedule(keep=keep, weights=weights, timesteps=walk.timesteps, about=about)

    def about(self):
        """What the schedule was made for, and how."""
        walk, settings = self.walk, self.settings
        return {
            "method": "search, skipped units predicted" if settings.predict else "search",
            **origin(self.pipe, walk),
            "cur_percent": self.cur,
            "search": {
                "images": settings.images,
                "batch": settings.batch,
                "seed": settings.seed,
                "rounds": settings.rounds,
                "steps": walk.num_steps,
                "prompts": self.draw.described(),
            },
        }


@contextmanager
def checkpointed(pipe):
    """Within the `with` block, the pipeline's transformers use gradient checkpointing if they
    can.
    """
    models = [
        model
        for model in transformers_of(pipe).values()
        if model._supports_gradient_checkpointing and not model.is_gradient_checkpointing
    ]
    try:
        for model in models:
            model.enable_gradient_checkpointing()
        yield
    finally:
        for model in models:
            model.disable_gradient_checkpointing()
