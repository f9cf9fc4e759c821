"""Samplers as functions over explicit state: `init(timesteps) -> state`, `step(state, out, step, x,
noise) -> (x, state)`.

`step` counts 0..T-1 from the noise end; `timesteps[step]` is the model's timestep. State is plain
numbers and tensors, never changed in place, so a trajectory forks by keeping a reference. No
sampler draws noise: where `stochastic`, it is passed in. `calls` steps make one update of x (most
often one), and a walk may begin where such an update does.
"""

from harmonica.samplers.ddim import DDIM, TRAIN_STEPS
from harmonica.samplers.scheduled import from_scheduler
from harmonica.samplers.singlestep import Singlestep

# as the scheduler_config.json of the published PixArt pipelines has them; DiT has the same betas
LINEAR = {
    "num_train_timesteps": TRAIN_STEPS,
    "beta_schedule": "linear",
    "beta_start": 1e-4,
    "beta_end": 0.02,
}


def load(name):
    """A sampler by the name that configs use: "ddim", "ddim-diffusers", "dpm++", "iddpm",
    "sa-solver" or "dpm-singlestep".
    """
    known = {
        "ddim": lambda: DDIM("official"),
        "ddim-diffusers": lambda: DDIM("diffusers"),
        "dpm++": _dpm_solver,
        "iddpm": _iddpm,
        "sa-solver": _sa_solver,
        "dpm-singlestep": Singlestep,
    }
    if name not in known:
        raise ValueError(f"sampler: {name!r} is not known; choose one of {sorted(known)}")
    return known[name]()


def _dpm_solver():
    """DPM-Solver++ (Lu et al., 2022), multistep, second order, an Euler step at the end: PixArt's
    default.
    """
    from diffusers import DPMSolverMultistepScheduler

    return from_scheduler(
        DPMSolverMultistepScheduler(algorithm_type="dpmsolver++", solver_order=2, **LINEAR)
    )


def _iddpm():
    """IDDPM (Nichol and Dhariwal, 2021): ancestral sampling with learned variance, timesteps
    respaced evenly to 999 .. 0.
    """
    from diffusers import DDPMScheduler

    return from_scheduler(
        DDPMScheduler(
            variance_type="learned_range", timestep_spacing="linspace", clip_sample=False, **LINEAR
        )
    )


def _sa_solver():
    """SA-Solver (Xue et al., 2023), predictor and corrector of order 2, tau = 1 for 200 <= t <=
    800: diffusers' defaults.
    """
    from diffusers import SASolverScheduler

    return from_scheduler(
        SASolverScheduler(
            predictor_order=2, corrector_order=2, algorithm_type="data_prediction", **LINEAR
        )
    )
