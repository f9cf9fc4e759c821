"""Running the parts: one process each, item by item, with what is left of its time."""

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
from tools.gpu_evidence import chain, digits, exactness, integers, speed, training

PARTS = {"a": exactness, "b": speed, "c": training, "d": chain, "e": digits, "f": integers}
GRACE_S = 30  # beyond a part's time, for the item at work


@dataclass(frozen=True)
class Sizes:
    """How large everything is. tiny: seconds on a CPU. router: a published one's path, or None."""

    tiny: bool = False
    repeats: int = 5
    router: str | None = None

    @cached_property
    def device(self):
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")

    @property
    def graph(self):
        """The quickest backend of a plan on this device."""
        return "cudagraph" if self.device.type == "cuda" else "eager"


def in_process(part, sizes, out, seconds):
    """Run one part in a process of its own: an error of the GPU spoils no other part."""
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


def _note(part, out, words):
    """Into the part's file: the item at work and those after it are missing."""
    path = out / f"{part}.json"
    if path.exists():
        content = read_json(path)
        content["items"]["what follows"] = {"left_out": words}
        write_json(path, content)


def run(part, sizes, out, seconds):
    """All items of a part -> out/<part>.json, written anew after each item."""
    end, items = time.monotonic() + seconds, {}
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
    except Exception as error:  # whatever it is, the other items are worth their time
        traceback.print_exc()
        return {"failed": f"{type(error).__name__}: {str(error).splitlines()[0][:300]}"}


def brief(item):
    """An item in a line or a few."""
    for reason in ("left_out", "failed"):
        if reason in item:
            return f"{reason.replace('_', ' ')}: {item[reason]}"
    return "\n    ".join([f"{item['seconds']:g} s", *map(line, item["rows"])])
