"""A small experiment as on the CPU: DiT-digits, T = 20, CUR 50 %.

x_0 error on the device and on the CPU, against the uncached model from the same noise. The router
of HarmoniCa is a committed one, and FORA's mask is the same everywhere; the weights of FORA's
predictions, and the search (of a few images, with prediction), are made on each of the two.
"""

import time
from functools import partial
from pathlib import Path

from harmonica import samplers
from harmonica.digits.manifest import manifest
from harmonica.digits.models import on_device
from harmonica.lab.makings import ModelSpec
from harmonica.lab.models import load_model
from harmonica.method import masks
from harmonica.method.precision import float32_products
from harmonica.method.router import Router
from harmonica.method.schedule import Schedule
from harmonica.search.predict import fit
from harmonica.search.search import Search
from harmonica.search.settings import Settings
from harmonica.search.walks import ModelWalk, follow, uncached

MODEL, ROUTERS = "dit-digits-s0", "dit-digits-s0-t20-sdt-leave-one-out-cur50-*.safetensors"


def items(sizes):
    yield "x_0 error", partial(_errors, sizes)


def _errors(sizes):
    devices = ("cpu", sizes.device.type)
    images = range(4 if sizes.tiny else 64)
    settings = Settings(
        predict=not sizes.tiny,
        images=2 if sizes.tiny else 12,
        check_images=2 if sizes.tiny else 12,
        rounds=0,
    )
    errors = {}
    with float32_products("ieee"):
        for device in dict.fromkeys(devices):
            walk = ModelWalk(on(device), samplers.load("ddim"), 20)
            exact = walk(uncached, 1, images)
            by_name = {"HarmoniCa": router(), "FORA 2": masks.fora(20, walk.num_blocks)}
            by_name = {name: Schedule(keep=keep) for name, keep in by_name.items()}
            by_name["FORA 2, predicted"] = fit(walk, by_name["FORA 2"].keep, 2, images)
            begin = time.perf_counter()
            target = masks.budget(50, 20, walk.num_blocks)
            by_name["search"] = Search(walk, [target], settings).run()[target]
            seconds = time.perf_counter() - begin
            errors[device] = {
                name: float((walk(follow(schedule), 1, images) - exact).square().mean())
                for name, schedule in by_name.items()
            } | {"seconds": seconds}
    cpu, device_errors = errors["cpu"], errors[sizes.device.type]
    for name in cpu:
        yield {
            "what": name,
            "CPU": cpu[name],
            "device": device_errors[name],
            "ratio": device_errors[name] / cpu[name],
        }


def on(device):
    spec = ModelSpec(name=MODEL, sha256=manifest()[MODEL]["sha256"], scale="digits")
    return on_device(load_model(spec), device)


def router():
    """The mask of the committed router."""
    (path,) = Path("results/routers").glob(ROUTERS)
    return Router.load(path).keep(50)
