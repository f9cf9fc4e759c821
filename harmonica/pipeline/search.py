"""search(pipe) finds, for a user's own pipeline, the schedule whose images are closest to the
uncached ones. It runs the pipeline's own call, scheduler and guidance, and needs no images.
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from diffusers import DiffusionPipeline
from tqdm import tqdm

from harmonica.errors import check
from harmonica.method.masks import budget
from harmonica.method.schedule import FILE, Schedule
from harmonica.pipeline.about import agreed, ended_words, origin, stored_batch
from harmonica.pipeline.arguments import check_cur, check_steps, folder_of, whole
from harmonica.pipeline.calls import draw_of
from harmonica.pipeline.estimate import duration, gibibytes, timed
from harmonica.pipeline.walk import walking
from harmonica.search.refit import refitted
from harmonica.search.search import Search
from harmonica.search.settings import Settings

SETTINGS = "search.json"  # what a search in a folder is for
OWN = "this schedule"  # beside FORA's, in the errors that a search reports
MORE_ON_A_GPU = 3  # how many times as long a search may take there (results/bench/nvidia-h200.md)
PIPED_S = 10  # seconds between two lines of the progress bar, where it goes to a file


@torch.inference_mode(False)  # gradients are needed, also where the caller switched them off
def search(
    pipe: DiffusionPipeline,
    prompts: Sequence[str | int] | None = None,
    steps: int = 20,
    cur: float = 50,
    guidance: float | None = None,
    *,
    images: int = 48,
    predict: bool = True,
    refit: bool = False,
    seed: int = 0,
    call: Callable | None = None,
    out: str | Path | None = None,
    batch: int | None = None,
    rounds: int = 4,
    offload: bool = False,
    dry_run: bool = False,
    quiet: bool = False,
    **arguments,
) -> Schedule | None:
    """Search a schedule for `pipe` -> Schedule, for harmonica.apply.

        schedule = harmonica.search(pipe, prompts, steps=20, cur=50)

    pipe: any diffusers pipeline over a transformer whose units are found (`python -m harmonica
    families` lists them). prompts: a list of captions, or of class labels for a DiT; by default the
    64 captions of this package, or all classes. steps: num_inference_steps. cur: the share of unit
    computations that is skipped, in percent. guidance: the scale; None for the pipeline's default.
    images: how many the search looks at. predict: skipped units are predicted from their last two
    computed features; otherwise they reuse the last one. refit: at the end the weights of the
    predictions are refitted to the error of the final image, which takes up to half as long again
    with 48 images (not with offload). seed: of the noise. out: a folder for the schedule; a killed
    search is resumed there. arguments: further ones of the pipeline's call (height=, width=,
    num_frames=, ...).

    call(pipe, seed, count) -> latents (count, ...): replaces prompts, steps and arguments, for a
    pipeline that is called differently. It must call `pipe` and return its latents; give also the
    guidance that it uses.

    batch: images that are walked at once, by default as many as fit in memory. rounds: how often,
    at most, the schedule is improved by swaps that are then checked; fewer are quicker. offload:
    for models that hardly fit in memory: one image at a time, features in CPU memory, blocks
    checkpointed. dry_run: print what it would cost, and return None. quiet: print nothing.
    """
    check_cur(cur)
    if call is None:
        steps = check_steps(steps)
        budget(cur, steps, num_blocks=1)  # refuses a cur that no schedule can have
    images, rounds = whole("images", images, 1), whole("rounds", rounds, 0)
    batch = None if batch is None else whole("batch", batch, 1)
    seed, out = whole("seed", seed, 0), folder_of(out)
    for name, value in {"predict": predict, "refit": refit}.items():
        check(isinstance(value, bool), name, value, "give True or False")
    check(predict or not refit, "refit", refit, "without predictions there are no weights")
    check(not (refit and offload), "refit", refit, "with offload it is not possible")
    if out:
        check_one(out)
        batch = batch or stored_batch(out / SETTINGS, images)
    draw = draw_of(pipe, call, prompts, steps, guidance, arguments)
    tell(quiet, "measuring  one step, then a walk over all steps")
    with walking(pipe, draw, offload) as (walk, memory):
        settings = {"predict": predict, "seed": seed, "rounds": rounds}
        work = PipelineSearch(walk, memory, cur, images, batch, refit, **settings)
        found = None if dry_run else work.finished(out)
        if found is None:
            tell(quiet, work.cost_words())
        if dry_run:
            return None
        schedule = found or work.run(out, quiet)
        tell(quiet, found_words(schedule))
        if out:
            tell(quiet, ended_words(out, found))
        return schedule


def tell(quiet, words):
    if not quiet:
        print(words, file=sys.stderr, flush=True)


def check_one(out):
    """BadInput where a folder holds schedules for several numbers of steps in folders of their own,
    which one for a single number of steps would hide.
    """
    found = sorted(path.parent.name for path in out.glob(f"*/{FILE}"))
    right = f"it holds folders with schedules ({', '.join(found)}); choose another folder"
    check(not found, "out", str(out), right)


def found_words(schedule):
    """The words that tell how good a searched schedule is, by what PipelineSearch.errors found."""
    error = schedule.about["error"]
    others = dict(error["of"])
    own = others.pop(OWN)
    named = {f"{OWN}, {schedule.cur_percent:.3g} % skipped": own, **others}
    rows = "; ".join(f"{name} {value:.3g}" for name, value in named.items())
    words = f"error      of {error['images']} images on held-back noise: {rows}"
    if own in others.values():
        words += (
            "\n           none better than FORA's was found; with more images or rounds one may be"
        )
    return words


class PipelineSearch:
    """A search on one pipeline. walk: a walk.PipelineWalk; memory: that of one call."""

    def __init__(self, walk, memory, cur, images, batch=None, refit=False, **settings):
        first = batch or min(images, 2)
        _, seconds = timed(lambda: walk.learn(0, range(first)))
        self.walk, self.cur, self.budget, self.refit = walk, cur, walk.budget(cur), refit
        self.forward_s = seconds / walk.num_steps / first
        predicted = settings["predict"] * cur / 100
        self.memory = memory.of_walk(walk.num_steps, walk.passes, predicted)
        self.settings = Settings(
            images=images,
            batch=batch or self.memory.batch(images),
            check_images=2 * images,
            window=min(Settings.window, walk.num_steps),
            **settings,
        )

    def cost_words(self):
        """The words that tell what was found and what the search will take."""
        settings, steps, memory = self.settings, self.walk.num_steps, self.memory
        forwards = settings.forwards(steps) + self.refit * settings.refitting(steps)
        seconds, forward_s = forwards * self.forward_s, self.forward_s
        time = f"at most {duration(seconds)}"
        if memory.device.type != "cpu":  # a linearisation takes more walks there than are counted
            time = f"about {duration(seconds)}, up to {MORE_ON_A_GPU} times that"
        return (
            f"{self.walk.words()}\n"
            f"search     {self.budget} of {steps * self.walk.num_blocks} unit computations "
            f"are to be skipped; {settings.images} images, {settings.batch} at once\n"
            f"memory     about {gibibytes(memory.on_device(settings.batch))} on {memory.device}"
            f"{memory.in_cpu_memory()}\n"
            f"time       {time} ({forward_s:.2g} s for a step of one image)"
        )

    def finished(self, out):
        """The schedule that a search left in this folder, or None. BadInput if that was another."""
        known = out and agreed(self.about(), out / SETTINGS, "search", FILE)
        return Schedule.from_pretrained(out) if known and (out / FILE).exists() else None

    def run(self, out, quiet=False):
        target, fixed = self.budget, self.walk.fixed
        often = 0.1 if sys.stderr.isatty() else PIPED_S
        with tqdm(disable=quiet, unit="forward", smoothing=0.05, mininterval=often) as bar:
            path = out / "state.safetensors" if out else None
            search = Search(
                self.walk, [target], self.settings, state_path=path, bar=bar, fixed=fixed
            )
            best = search.run()[target]
            bar.total = bar.n  # a search mostly ends before it has computed all that it may
            if self.refit:
                bar.total += self.settings.refitting(self.walk.num_steps)
                best = refitted(search.measure, best)
            bar.refresh()
        schedule = self.whole(best, {**self.about(), "error": self.errors(search, best, target)})
        if out:
            schedule.save_pretrained(out)
            (out / "state.safetensors").unlink(missing_ok=True)
        return schedule

    def errors(self, search, best, target):
        """The errors of the found schedule and of FORA, on noise that the search has not used."""
        fora = search.fora(target)
        share = 100 * search.saved(fora) / fora.size
        reuse = Schedule(keep=torch.from_numpy(fora))
        schedules = {OWN: best, f"FORA, {share:.3g} % reused": reuse}
        if self.settings.predict:
            schedules[f"FORA, {share:.3g} % predicted"] = search.measure.schedule(fora)
        errors = {name: search.held_back(schedule) for name, schedule in schedules.items()}
        return {"images": self.settings.check_images, "of": errors}

    def whole(self, best, about):
        """Extend a schedule of the searched units to all units. Those that no output depends on are
        skipped after the first step.
        """
        walk, unit = self.walk, list(self.walk.place)
        keep = torch.zeros(walk.num_steps, len(walk.names), dtype=torch.bool)
        keep[0] = True
        keep[:, unit] = best.keep
        weights = {(step, unit[k]): values.cpu() for (step, k), values in best.weights.items()}
        return Schedule(keep=keep, weights=weights, timesteps=walk.timesteps, about=about)

    def about(self):
        """What the schedule was made for, and how."""
        walk, settings = self.walk, self.settings
        method = "search, skipped units predicted" if settings.predict else "search"
        return {
            "method": method + ", weights refitted" * self.refit,
            **origin(walk),
            "cur_percent": self.cur,
            "search": {
                "images": settings.images,
                "batch": settings.batch,
                "seed": settings.seed,
                "rounds": settings.rounds,
                **({"refit": True} if self.refit else {}),
                "steps": walk.num_steps,
                "prompts": walk.draw.described(),
            },
        }
