"""An experiment whose training and shards last for seconds, so that they can be killed on the way.
Runs of 300 blocks.
"""

from experiments.rows import Row
from harmonica.digits.manifest import manifest
from harmonica.lab.makings import ModelSpec, RouterSpec
from harmonica.lab.specs import RunSpec
from harmonica.method.settings import RouterTraining


def table(scale, rows="core", num_seeds=1):
    model = ModelSpec(name="smoke-s0", sha256=manifest()["smoke-s0"]["sha256"], scale="smoke")
    router = RouterSpec(
        model=model,
        num_steps=3,
        training=RouterTraining(
            walk="sdt",
            objective="mse",
            trajectories=200,
            batch=4,
            lr=0.01,
            adam_eps=1e-12,
            tau=0.1,
            cur_percent=50,
        ),
    )
    full = RunSpec(model=model, num_steps=3, against=3, num_images=300, batch=1)
    routed = RunSpec(
        model=model,
        num_steps=3,
        against=3,
        num_images=300,
        batch=1,
        schedule="router",
        cur_percent=50,
        router=router,
    )
    return [
        Row(
            group="small",
            model="smoke",
            method=method,
            num_steps=3,
            cur_percent=run.cur_percent,
            runs=(run,),
        )
        for method, run in (("DDIM", full), ("HarmoniCa", routed))
    ]
