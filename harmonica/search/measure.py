"""What a search learns by walks: the weights of predictions, true errors, and linearisations.

All noise follows from the search's seed and a key that says what it is for. Several ranks each walk
their part of the images.
"""

import hashlib

import numpy as np
import torch

from harmonica.method import ranks
from harmonica.method.schedule import Schedule
from harmonica.search.predict import fit
from harmonica.search.probe import probe
from harmonica.search.walks import follow, uncached

FIT, CHECK, FINAL, LINEAR, REFIT = range(5)  # purposes of noise; each has seeds of its own
KNOWN = 8  # how many fitted schedules are remembered: more than one round evaluates
OUTLIERS = 0.5  # images with large derivatives get a smaller weight, by this power


class Measure:
    """Measures schedules on one walk, and counts the forwards in the State of a search."""

    def __init__(self, walk, settings, state, bar=None):
        self.walk, self.settings, self.state, self.bar = walk, settings, state, bar
        self.exact, self.fits, self.told = {}, {}, None

    def schedule(self, keep, predict=True):
        """-> the Schedule of keep, with fitted prediction weights where the search predicts."""
        mask, key = torch.from_numpy(keep), keep.tobytes()
        if not (predict and self.settings.predict) or keep.all():
            return Schedule(keep=mask)
        images = self.settings.fit_images
        self.count_once("fitted", hashlib.sha256(key).hexdigest(), images, KNOWN)
        if key not in self.fits:
            fitted = fit(self.walk, mask, self.noise(FIT), *self.batches(images))
            self.fits = dict([*self.fits.items(), (key, fitted)][-KNOWN:])
        return self.fits[key]

    def error(self, schedule, purpose=CHECK):
        """Mean squared difference of the final latents from the uncached ones."""
        policy, errors = follow(schedule), []
        for number, indices in enumerate(self.batches(self.settings.check_images)):
            seed = self.noise(purpose)
            self.count_once("uncached", f"{purpose} {number}", len(indices) * ranks.count())
            if (purpose, indices) not in self.exact:
                self.exact[purpose, indices] = self.walk(uncached, seed, indices)
            x = self.walk(policy, seed, indices)
            errors.append((x - self.exact[purpose, indices]).square().mean())
        self.count(self.settings.check_images)
        return float(ranks.mean(torch.stack(errors).mean()))

    def linearise(self, keep, key, predict):
        """-> r (S,), Q (S, T, options, N) over the images of all ranks, as numpy arrays."""
        settings, schedule, parts = self.settings, self.schedule(keep, predict), []
        for indices in self.batches(settings.images):
            r, Q = probe(
                self.walk,
                schedule,
                self.noise(LINEAR, *key),
                indices,
                directions=settings.directions,
                window=settings.window,
                paired=predict,
            )
            parts.append((ranks.gather(r), ranks.gather(Q)))
        r, Q = (torch.cat(part).flatten(0, 1).float().cpu().numpy() for part in zip(*parts))
        self.count(settings.linearisation())
        size = np.sqrt(np.square(Q).mean((1, 2, 3)))
        weight = (size / np.median(size)) ** -OUTLIERS
        return r * weight, Q * weight[:, None, None, None]

    def batches(self, images):
        """This rank's part of every batch -> [range of image indices]."""
        at_once = self.settings.at_once(images)
        part = ranks.part(at_once)
        return [range(first + part.start, first + part.stop) for first in range(0, images, at_once)]

    def noise(self, *key):
        """A seed for walks, from the search's seed and a key that says what it is for."""
        return int(np.random.SeedSequence([self.settings.seed, *key]).generate_state(1)[0])

    def tell(self, text, error=None):
        """Say on the bar what is at work, and the error that it has reached: at once where the text
        is new, else when the bar is drawn next.
        """
        if self.bar is not None:
            new, self.told = self.told != text, text
            self.bar.set_description(text, refresh=new)
            if error is not None:
                self.bar.set_postfix(error=f"{error:.2e}", refresh=new)

    def count(self, walks):
        """Note that so many walks of one image were made."""
        forwards = walks * self.walk.num_steps
        self.state.values["forwards"] += forwards
        if self.bar is not None:
            self.bar.update(forwards)

    def count_once(self, kind, name, walks, most=0):
        """Note walks whose result is kept, unless a process that was killed had noted them: a
        resumed search counts what one in a single run does. most: how many results are kept, 0 for
        all of them.
        """
        known = self.state.values.setdefault(kind, [])
        if name not in known:
            self.count(walks)
            self.state.values[kind] = [*known, name][-most:]
