"""Samplers as functions over explicit state: `init(timesteps) -> state`, `step(state, out, step, x,
noise) -> (x, state)`.

`step` counts 0..T-1 from the noise end; `timesteps[step]` is the model's timestep. State is plain
numbers and tensors, never changed in place, so a trajectory is forked by keeping a reference. No
sampler draws noise; a `stochastic` one gets it as an argument. `calls` consecutive steps make one
update of x (mostly one), and a walk may begin only where an update begins.
"""

from diffusers import DDPMScheduler, DPMSolverMultistepScheduler, SASolverScheduler

from harmonica.samplers import pixart
from harmonica.samplers.ddim import DDIM
from harmonica.samplers.scheduled import LINEAR, Scheduled
from harmonica.samplers.singlestep import Singlestep


def load(name):
    """A sampler by the name that configs use: "ddim", "ddim-diffusers", "dpm++", "iddpm",
    "sa-solver", "dpm-singlestep"; or the variants of PixArt's own code, "dpm++-pixart" and
    "sa-solver-pixart" (its IDDPM is the same as "iddpm"). ValueError for another name.
    """
    to_least_sigma = {"final_sigmas_type": "sigma_min"}
    samplers = {
        "ddim": lambda: DDIM("official"),
        "ddim-diffusers": lambda: DDIM("diffusers"),
        "dpm++": lambda: Scheduled(_dpm_solver()),
        "iddpm": _iddpm,
        "sa-solver": lambda: Scheduled(_sa_solver()),
        "dpm-singlestep": Singlestep,
        "dpm++-pixart": lambda: Scheduled(_dpm_solver(**to_least_sigma), pixart.of_dpm_solver),
        "sa-solver-pixart": lambda: Scheduled(_sa_solver(), pixart.of_sa_solver),
    }
    if name not in samplers:
        raise ValueError(f"sampler: {name!r} is not known; choose one of {sorted(samplers)}")
    return samplers[name]()


def _dpm_solver(**options):
    """DPM-Solver++ (Lu et al., 2022), multistep, second order. Without options it has an Euler step
    at the end: the default of diffusers' PixArt pipelines.
    """
    return DPMSolverMultistepScheduler(
        algorithm_type="dpmsolver++", solver_order=2, **options, **LINEAR
    )


def _sa_solver():
    """SA-Solver (Xue et al., 2023) with diffusers' defaults: predictor and corrector of order 2,
    tau = 1 for 200 <= t <= 800.
    """
    return SASolverScheduler(
        predictor_order=2, corrector_order=2, algorithm_type="data_prediction", **LINEAR
    )


def _iddpm():
    """IDDPM (Nichol and Dhariwal, 2021): ancestral sampling with learned variance. The timesteps
    are spaced evenly over 999 .. 0 as in the official code, the same as in DDIM("official").
    """

    def prepare(scheduler, num_steps):
        scheduler.set_timesteps(timesteps=DDIM().timesteps(num_steps))

    return Scheduled(
        DDPMScheduler(variance_type="learned_range", clip_sample=False, **LINEAR), prepare
    )
