"""Agreement with the released code: every quantity of every released_*.safetensors, as
golden/README.md says.

The folder is HARMONICA_GOLDEN, by default tests/golden; other files of the same two kinds can be
put in its place.
"""

import os
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from harmonica.backbones.dit import DiT
from harmonica.backbones.dit_official import from_official
from harmonica.method import iepo, ltc, sdt
from harmonica.method.denoise import Denoiser
from harmonica.method.learner import Learner
from harmonica.samplers import DDIM

FOLDER = Path(os.environ.get("HARMONICA_GOLDEN") or Path(__file__).parent / "golden")
FILES = sorted(FOLDER.glob("released_*.safetensors"))
TRAJECTORY, OTHER, LAMBDA, LOSS = 1e-6, 1e-5, 1e-5, 1e-3

pytestmark = pytest.mark.golden


@pytest.mark.parametrize("path", FILES or [FOLDER], ids=lambda path: path.stem)
def test_golden(path):
    if path == FOLDER:
        pytest.fail(f"no released_*.safetensors in {FOLDER}")
    with safe_open(path, "pt") as file:
        g, hyper = {name: file.get_tensor(name) for name in file.keys()}, file.metadata()
    backbone = DiT(
        from_official(
            {name[4:]: g[name] for name in g if name.startswith("dit.")}, heads=int(hyper["heads"])
        )
    )
    for parameter in backbone.parameters():
        parameter.requires_grad_(False)
    timesteps = g["timestep_map"].flip(0).tolist()
    compare = walks if "trajectory_full" in g else learning_to_cache
    errors = {
        "timesteps": (
            max(abs(a - b) for a, b in zip(DDIM().timesteps(len(timesteps)), timesteps)),
            1.5,
        )
    }
    errors.update(compare(g, hyper, backbone, timesteps))
    wrong = {
        name: f"{error:.2e} > {most:g}"
        for name, (error, most) in errors.items()
        if not error < most
    }
    assert not wrong
    assert backbone.num_classes == int(hyper["num_classes"])


def walks(g, hyper, backbone, timesteps):
    """Full and cached trajectories, both lambdas, the SDT walk -> quantity: (error, tolerance)."""
    tau, logits = (
        float(hyper["threshold"]),
        g["router_logits"].flip(0),
    )  # row = step in sampling order
    # the reference walks both guidance halves whatever the scale
    denoiser = Denoiser(
        backbone, DDIM(), timesteps, g["labels"], scale=max(float(hyper["cfg"]), 1 + 1e-9)
    )
    scores = torch.sigmoid(logits)
    keep = scores > tau
    keep[0] = True
    lambda_, paper = (
        measure(denoiser, g["noise"], scores, tau).flip(0)
        for measure in (iepo.cumulative, iepo.leave_one_out)
    )
    pixels = g["noise"][0].numel()
    with torch.no_grad():
        soft = trajectory(denoiser, g["noise"], denoiser.soft(scores, tau))
        errors = {
            "trajectory_full": (
                relative(trajectory(denoiser, g["noise"], denoiser.computed), g["trajectory_full"]),
                TRAJECTORY,
            ),
            "trajectory_cached": (
                relative(
                    trajectory(denoiser, g["noise"], denoiser.hard(keep)), g["trajectory_cached"]
                ),
                TRAJECTORY,
            ),
        }
    return errors | {
        "x0_soft": (relative(soft[-1], g["x0_soft"]), TRAJECTORY),
        "lambda_released": (
            absolute(lambda_[:-1].sqrt(), g["lambda_released"][:-1].sqrt()),
            LAMBDA,
        ),
        "lambda_released, first step": (
            float(not (lambda_[-1].isnan() and g["lambda_released"][-1].isnan())),
            1,
        ),
        "lambda_paper_soft": (
            absolute((paper / pixels).sqrt(), (g["lambda_paper_soft"] / pixels).sqrt()),
            LAMBDA,
        ),
        "lambda_paper_soft, first step": (float(paper[-1]), LAMBDA),
        **step_wise(g, hyper, denoiser, logits, tau),
    }


def step_wise(g, hyper, denoiser, logits, tau):
    """One SDT walk with its T - 1 updates."""
    learner = Recorder(logits, tau=tau, lr=float(hyper["lr"]), beta=float(hyper["beta"]))
    learner.lambda_ = g["lambda_released"].flip(0)
    points, advance = [], denoiser.advance
    denoiser.advance = lambda point, forward: points.append(advance(point, forward)) or points[-1]
    sdt.walk(denoiser, g["noise"], learner)
    assert learner.steps == list(range(1, len(logits)))
    return {
        "sdt_data_loss": (entrywise(torch.stack(learner.data_losses), g["sdt_data_loss"]), LOSS),
        "sdt_router_grad": (relative(torch.stack(learner.grads), g["sdt_router_grad"]), OTHER),
        "sdt_router_logits": (
            relative(torch.stack(learner.updated), g["sdt_router_logits"]),
            OTHER,
        ),
        "sdt_trajectory": (
            relative(torch.stack([denoiser.images(p) for p in points]), g["sdt_trajectory"]),
            TRAJECTORY,
        ),
    }


def learning_to_cache(g, hyper, backbone, timesteps):
    """Every update of Learning-to-Cache -> quantity: (error, tolerance). tau decides nothing: the
    filled cache is dropped.
    """
    num_steps = len(timesteps)
    learner = Recorder(
        g["router_logits"].flip(0), tau=0.1, lr=float(hyper["lr"]), beta=float(hyper["beta"])
    )
    logits = []
    for x_start, noise, labels, i in zip(g["x_start"], g["noise"], g["labels"], g["step"].tolist()):
        step = num_steps - i  # row i - 1 of the reference, which counts from the last step
        assert step in ltc.trained_steps(num_steps, "released", 1)
        ltc.update_pair(
            Denoiser(backbone, DDIM(), timesteps, labels), x_start, noise, step, learner
        )
        assert learner.steps[-1] == step
        logits.append(learner.logits().flip(0))
    return {
        "loss_mse": (relative(torch.stack(learner.data_losses), g["loss_mse"]), OTHER),
        "loss_l1": (relative(torch.stack(learner.sums), g["loss_l1"]), OTHER),
        "grad": (relative(torch.stack(learner.grads), g["grad"]), OTHER),
        "logits": (relative(torch.stack(logits), g["logits"]), OTHER),
    }


class Recorder(Learner):
    """A Learner that remembers, per update: the step, sum r, the row's gradient and the row
    afterwards.
    """

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.steps, self.sums, self.grads, self.updated = [], [], [], []
        self.optimizer.register_step_pre_hook(self._before)

    def _before(self, *_):
        (grad,) = [row.grad for row in self.rows if row.grad is not None]
        self.grads.append(grad.clone())

    def update(self, step, r, data_loss):
        super().update(step, r, data_loss)
        self.steps.append(step)
        self.sums.append(r.detach().sum())
        self.updated.append(self.rows[step].detach().clone())


def trajectory(denoiser, x, forward):
    """x (B, C, H, W) after every step, first half. -> (T, B, C, H, W)"""
    point, images = denoiser.begin(x), []
    while point.step < len(denoiser.timesteps):
        point = denoiser.advance(point, forward)
        images.append(denoiser.images(point))
    return torch.stack(images)


def relative(own, reference):
    """Largest difference over the reference's largest value."""
    return float((own - reference).abs().max() / reference.abs().max())


def absolute(own, reference):
    return float((own - reference).abs().max())


def entrywise(own, reference):
    return float(((own - reference) / reference).abs().max())
