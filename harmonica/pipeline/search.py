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
from harmonica.method.schedule import Schedule
from harmonica.pipeline import folders
from harmonica.pipeline.about import OWN, REFITTED, ended_words, found_words, origin
from harmonica.pipeline.arguments import check_steps, curs_of, folder_of, whole
from harmonica.pipeline.calls import draw_of
from harmonica.pipeline.estimate import duration, gibibytes, timed
from harmonica.pipeline.walk import walking
from harmonica.search.refit import refitted
from harmonica.search.search import Search
from harmonica.search.settings import Settings

MORE_ON_A_GPU = 3  # how many times as long a search may take there (results/bench/nvidia-h200.md)
PIPED_S = 10  # seconds between two lines of the progress bar, where it goes to a file


@torch.inference_mode(False)  # gradients are needed, also where the caller switched them off
def search(
    pipe: DiffusionPipeline,
    prompts: Sequence[str | int] | None = None,
    steps: int = 20,
    cur: float | Sequence[float] = 50,
    guidance: float | None = None,
    *,
    images: int = 48,
    predict: bool = True,
    refit: bool = True,
    seed: int = 0,
    call: Callable | None = None,
    out: str | Path | None = None,
    batch: int | None = None,
    rounds: int = 4,
    offload: bool = False,
    dry_run: bool = False,
    quiet: bool = False,
    **arguments,
) -> Schedule | dict[float, Schedule] | None:
    """Search a schedule for `pipe` -> Schedule, for harmonica.apply.

        schedule = harmonica.search(pipe, prompts, steps=20, cur=50)

    pipe: any diffusers pipeline over a transformer whose units are found (`python -m harmonica
    families` lists them). prompts: a list of captions, or of class labels for a DiT; by default the
    64 captions of this package, or all classes. steps: num_inference_steps. cur: the share of unit
    computations that is skipped, in percent; a list of shares is searched in one go -> {cur:
    Schedule}, and `out` holds a folder for each (cur35, cur50, ...). guidance: the scale; None for
    the pipeline's default. images: how many the search looks at. predict: skipped units are
    predicted from their last two computed features; otherwise they reuse the last one. refit: at
    the end the weights of these predictions, if there are any, are refitted to the error of the
    final image, which takes about half as long again (not done with offload). seed: of the noise.
    out: a folder for the schedule; a killed search is resumed there. arguments: further ones of the
    pipeline's call (height=, width=, num_frames=, ...).

    call(pipe, seed, count) -> latents (count, ...): replaces prompts, steps and arguments, for a
    pipeline that is called differently. It must call `pipe` and return its latents; give also the
    guidance that it uses.

    batch: images that are walked at once, by default as many as fit in memory. rounds: how often,
    at most, the schedule is improved by swaps that are then checked; fewer are quicker. offload:
    for models that hardly fit in memory: one image at a time, features in CPU memory, blocks
    checkpointed. dry_run: print what it would cost, and return None. quiet: print nothing.
    """
    curs, several = curs_of(cur)
    if call is None:
        steps = check_steps(steps)
        budget(curs[-1], steps, num_blocks=1)  # refuses a cur that no schedule can have
    images, rounds = whole("images", images, 1), whole("rounds", rounds, 0)
    batch = None if batch is None else whole("batch", batch, 1)
    seed, out = whole("seed", seed, 0), folder_of(out)
    for name, value in {"predict": predict, "refit": refit}.items():
        check(isinstance(value, bool), name, value, "give True or False")
    refit = refit and predict and not offload
    names = folders.folder_names(curs, several)
    if out:
        folders.check_free(out, names.values())
        batch = batch or folders.stored_batch(out, images)
    draw = draw_of(pipe, call, prompts, steps, guidance, arguments)
    tell(quiet, "measuring  one step, then a walk over all steps")
    with walking(pipe, draw, offload) as (walk, memory):
        settings = {"predict": predict, "seed": seed, "rounds": rounds}
        work = PipelineSearch(walk, memory, names, images, batch, refit, **settings)
        found = folders.finished(out, names, work.about()) if out and not dry_run else {}
        ended = len(found) == len(names)
        if not ended:
            tell(quiet, work.cost_words())
        if dry_run:
            return None
        schedules = found if ended else work.run(out, found, quiet)
        for schedule in schedules.values():
            tell(quiet, found_words(schedule))
        if out:
            tell(quiet, ended_words(out, ended))
        return schedules if several else schedules[curs[0]]


def tell(quiet, words):
    if not quiet:
        print(words, file=sys.stderr, flush=True)


class PipelineSearch:
    """A search on one pipeline. walk: a walk.PipelineWalk; memory: that of one call. names: {share
    to skip, in percent, rising: the name of its folder}.
    """

    def __init__(self, walk, memory, names, images, batch=None, refit=False, **settings):
        first = batch or min(images, 2)
        _, seconds = timed(lambda: walk.learn(0, range(first)))
        self.walk, self.names, self.refit = walk, names, refit
        self.budgets = {cur: walk.budget(cur) for cur in names}
        right = f"two of these shares are equally many of {walk.num_steps * walk.num_blocks} units"
        check(len(set(self.budgets.values())) == len(names), "cur", list(names), right)
        self.forward_s = seconds / walk.num_steps / first
        predicted = settings["predict"] * max(names) / 100
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
        forwards = self.searching().forwards() + len(self.budgets) * self.ending()
        seconds, forward_s = forwards * self.forward_s, self.forward_s
        time = f"at most {duration(seconds)}"
        if memory.device.type != "cpu":  # a linearisation takes more walks there than are counted
            time = f"about {duration(seconds)}, up to {MORE_ON_A_GPU} times that"
        *first, last = map(str, self.budgets.values())
        budgets = f"{', '.join(first)} and {last}" if first else last
        refits = f"; {settings.refits} updates refit the predictions" if self.refit else ""
        return (
            f"{self.walk.words()}\n"
            f"search     {budgets} of {steps * self.walk.num_blocks} unit computations "
            f"are to be skipped; {settings.images} images, {settings.batch} at once{refits}\n"
            f"memory     about {gibibytes(memory.on_device(settings.batch))} on {memory.device}"
            f"{memory.in_cpu_memory()}\n"
            f"time       {time} ({forward_s:.2g} s for a step of one image)"
        )

    def searching(self, **options):
        """The Search for all shares. options: of its state and its bar."""
        budgets, fixed = list(self.budgets.values()), self.walk.fixed
        return Search(self.walk, budgets, self.settings, fixed=fixed, **options)

    def run(self, out, found, quiet=False):
        """-> {cur: Schedule}, each saved below `out`, if there is one, as soon as it is whole.
        found: those that a killed search has saved.
        """
        often = 0.1 if sys.stderr.isatty() else PIPED_S
        with tqdm(disable=quiet, unit="forward", smoothing=0.05, mininterval=often) as bar:
            path = out / "state.safetensors" if out else None
            search = self.searching(state_path=path, bar=bar)
            searched = search.run()
            schedules = dict(found)
            # a search mostly ends before it has computed all that it may
            bar.total = bar.n + (len(self.names) - len(found)) * self.ending()
            for cur, target in self.budgets.items():
                if cur not in found:
                    schedules[cur] = self.ended(search, searched[target], cur)
                    if out:
                        schedules[cur].save_pretrained(out / self.names[cur])
            bar.total = bar.n
            bar.refresh()
        if out:
            path.unlink(missing_ok=True)
        return {cur: schedules[cur] for cur in self.names}

    def ending(self):
        """The number of forwards of one image that `ended` takes at most."""
        settings, steps = self.settings, self.walk.num_steps
        return self.refit * settings.refitting(steps) + 4 * settings.check_images * steps

    def ended(self, search, searched, cur):
        """The Schedule for a share: the one that was found, refitted and measured."""
        best = refitted(search.measure, searched) if self.refit else searched
        errors = self.errors(search, best, self.budgets[cur])
        return self.whole(best, {**self.about_one(cur, best is not searched), "error": errors})

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

    def about_one(self, cur, refit):
        """What the schedule for one share was made for, and how. refit: whether the refitted
        weights were better.
        """
        return {**self.about(), "method": self.method(refit), "cur_percent": cur}

    def method(self, refit):
        method = "search, skipped units predicted" if self.settings.predict else "search"
        return method + REFITTED * refit

    def about(self):
        """What the search is for, by which its folder is recognised."""
        walk, settings, curs = self.walk, self.settings, list(self.names)
        return {
            "method": self.method(self.refit),
            **origin(walk),
            "cur_percent": curs if len(curs) > 1 else curs[0],
            "search": {
                "images": settings.images,
                "batch": settings.batch,
                "seed": settings.seed,
                "rounds": settings.rounds,
                **({"refit": True} if self.refit else {}),
                **({"curs": curs} if any(self.names.values()) else {}),
                "steps": walk.num_steps,
                "prompts": walk.draw.described(),
            },
        }
