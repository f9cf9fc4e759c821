"""Runs the parts: each in its own process, item by item, as long as the part has time left."""

import gc
import multiprocessing
import time
import traceback
from dataclasses import dataclass
from functools import cached_property

import torch

from harmonica.bench.report import line
from harmonica.files import read_json, write_json
from harmonica.lab.provenance import device_name, provenance
from harmonica.lab.words import duration
from tools.gpu_evidence import chain, digits, exactness, speed, training

PARTS = {"a": exactness, "b": speed, "c": training, "d": chain, "e": digits}
GRACE_S = 30  # seconds beyond a part's time in which its current item may finish


@dataclass(frozen=True)
class Sizes:
    """The sizes of what is measured. tiny: toy sizes, which take seconds on a CPU. router: the path
    of a published router to time, or None.
    """

    tiny: bool = False
    repeats: int = 5
    router: str | None = None

    @cached_property
    def device(self):
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")

    @property
    def graph(self):
        """The fastest backend for a plan on this device."""
        return "cudagraph" if self.device.type == "cuda" else "eager"


def in_process(part, sizes, out, seconds):
    """Run one part in its own process, so that an error of the GPU does not affect other parts."""
    process = multiprocessing.get_context("spawn").Process(
        target=run, args=(part, sizes, out, seconds)
    )
    process.start()
    process.join(seconds + GRACE_S)
    if process.is_alive():
        process.kill()
        process.join()
        _note(part, out, f"stopped after {duration(seconds + GRACE_S)}")
        print(f"  stopped after {duration(seconds + GRACE_S)}", flush=True)
    elif process.exitcode:
        print(f"  ended by itself, exit code {process.exitcode}", flush=True)


def _note(part, out, reason):
    """Note in the part's file that the current item and those after it are missing."""
    path = out / f"{part}.json"
    if path.exists():
        content = read_json(path)
        content["items"]["what follows"] = {"left_out": reason}
        write_json(path, content)


def run(part, sizes, out, seconds):
    """Run all items of a part, and write out/<part>.json again after each."""
    end = time.monotonic() + seconds
    items = {}
    for name, function in PARTS[part].items(sizes):
        begin = time.monotonic()
        if begin > end:
            items[name] = {"left_out": f"no time: the part has {duration(seconds)}"}
        else:
            items[name] = _tried(function)
            items[name]["seconds"] = round(time.monotonic() - begin, 1)
        print(f"  {name}: {brief(items[name])}", flush=True)
        gc.collect()
        if sizes.device.type == "cuda":
            torch.cuda.empty_cache()
        content = {"device": device_name(), "items": items, "provenance": provenance()}
        write_json(out / f"{part}.json", content)


def _tried(function):
    try:
        return {"rows": list(function())}
    except Exception as error:  # after any error the other items are still to be measured
        traceback.print_exc()
        return {"failed": f"{type(error).__name__}: {str(error).splitlines()[0][:300]}"}


def brief(item):
    """The lines that are printed for an item."""
    for reason in ("left_out", "failed"):
        if reason in item:
            return f"{reason.replace('_', ' ')}: {item[reason]}"
    return "\n    ".join([f"{item['seconds']:g} s", *map(line, item["rows"])])
