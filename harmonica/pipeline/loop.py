"""Follows one loop over the steps of a diffusers pipeline: its beginning, steps and end."""

import functools
from contextlib import contextmanager

from harmonica.errors import check


@contextmanager
def replaced(holder, name, function):
    """Within the `with` block, a method of this instance is replaced by `function`."""
    earlier = put(holder, name, function)
    try:
        yield
    finally:
        put_back(holder, name, earlier)


def put(holder, name, function):
    """Replace a method of this instance -> what it had in its place before, for `put_back`."""
    earlier = vars(holder).get(name)
    setattr(holder, name, functools.update_wrapper(function, getattr(holder, name)))
    return earlier


def put_back(holder, name, earlier):
    """Give an instance its attribute of before again; None: it had none of its own."""
    if earlier is None:
        vars(holder).pop(name, None)
    else:
        setattr(holder, name, earlier)


class Bar:
    """Stands in for a pipeline's progress bar. When the loop over the steps ends, however it ends,
    it calls ended(self, whole). whole: whether the loop ran to its end. It may do so twice.
    advanced(): called each time that the pipeline moves its bar on, which is at the end of a step.
    """

    def __init__(self, bar, ended, advanced=None):
        self.bar, self.ended, self.advanced = bar, ended, advanced or (lambda: None)

    def __enter__(self):
        self.bar.__enter__()
        return self

    def __exit__(self, *error):
        try:
            self.ended(self, whole=error[0] is None)
        finally:
            self.bar.__exit__(*error)

    def __iter__(self):
        whole = False
        try:
            for item in self.bar:
                yield item
                self.advanced()
            whole = True
        finally:
            self.ended(self, whole)

    def update(self, *args, **kwargs):
        self.advanced()
        return self.bar.update(*args, **kwargs)

    def close(self):
        """For pipelines that neither enter nor iterate their bar, but close it."""
        self.ended(self, whole=False)
        self.bar.close()

    def __getattr__(self, name):
        return getattr(self.bar, name)


class Loop:
    """One loop over the steps of a pipeline. It counts the steps, and the calls of the transformer
    in each, until release(). total: how often the loop's bar is to be moved on, None if that is not
    known.

    After begin(), timesteps are all that the scheduler has set, and first is the index of the first
    one that runs; it is above 0 for image to image, which leaves out the noisiest.
    """

    def __init__(self, pipe, total=None):
        self.pipe, self.scheduler, self.total = pipe, pipe.scheduler, total
        self.step, self.calls, self.steps, self.advances = 0, 0, 0, 0
        step = functools.partial(self._step, self.scheduler.step)
        self.earlier = put(self.scheduler, "step", step)

    def release(self):
        """Put the scheduler's own step back."""
        put_back(self.scheduler, "step", self.earlier)

    def begin(self):
        """To be called before the transformer's first call: only then is it known which steps the
        loop leaves out.
        """
        self.timesteps = self.scheduler.timesteps
        self.first = getattr(self.scheduler, "begin_index", None)
        if self.first is None:  # the scheduler does not know: the pipeline's own count tells
            count = len(self.timesteps)
            self.first = count - getattr(self.pipe, "_num_timesteps", count)
        self.step = self.first

    def count(self):
        """-> the step that a call of the transformer belongs to, and its place in that step."""
        self.calls += 1
        return self.step, self.calls - 1

    def _step(self, inner, *args, **kwargs):
        out = inner(*args, **kwargs)
        if self.calls:  # else the step was counted: some pipelines step several latents in one
            self.step, self.calls, self.steps = self.step + 1, 0, self.steps + 1
        return out

    def check_advanced(self):
        """check_stepped as soon as it is certain: when a bar that counts the scheduler's timesteps
        has been moved on twice, which pipelines do after the scheduler's step.
        """
        self.advances += 1
        if self.advances >= 2 and self.total == len(self.scheduler.timesteps):
            self.check_stepped()

    def check_stepped(self):
        """BadInput where the transformer was called several times without a scheduler step."""
        check(
            self.steps or self.calls < 2,
            "pipe",
            type(self.pipe).__name__,
            "its loop does not step pipe.scheduler, so that its steps cannot be told apart",
        )
