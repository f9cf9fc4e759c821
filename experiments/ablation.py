"""What the ablations share: one group of rows on one model, whose methods differ in a setting or
two, at any scale.
"""

from dataclasses import dataclass

from harmonica.lab.runs import RouterSpec, RunSpec
from harmonica.lab.specs import ModelSpec
from harmonica.method.settings import RouterTraining

from . import Row, paper_scale, table1

RELEASED = "Learning-to-Cache, released"
ALL_PAIRS = "Learning-to-Cache, all pairs"
SDT_MSE = "SDT + MSE"
HARMONICA = "HarmoniCa"  # SDT + IEPO: leave-one-out, soft scores
METHODS = {
    RELEASED: {"walk": "ltc", "ltc_form": "released", "objective": "mse"},
    ALL_PAIRS: {"walk": "ltc", "ltc_form": "all-pairs", "objective": "mse"},
    SDT_MSE: {"walk": "sdt", "objective": "mse"},
    HARMONICA: {"walk": "sdt", "objective": "leave-one-out", "lambda_scores": "soft"},
    "SDT + IEPO, cumulative": {"walk": "sdt", "objective": "cumulative", "lambda_scores": "soft"},
    "SDT + IEPO, hard scores": {
        "walk": "sdt",
        "objective": "leave-one-out",
        "lambda_scores": "hard",
    },
    "SDT + IEPO, cumulative, hard scores": {
        "walk": "sdt",
        "objective": "cumulative",
        "lambda_scores": "hard",
    },
}
IEPO_VARIANTS = tuple(METHODS)[3:]
SAMPLERS = {"ddim": "DDIM", "dpm++": "DPM-Solver++"}
STEPS = {"smoke": 4, "digits": 10, "paper": 10}


@dataclass(frozen=True, kw_only=True)
class Group:
    """Rows that share an uncached model. seeds: base models and evaluation noises at digits scale,
    noises at paper scale.
    """

    name: str
    scale: str
    seeds: int
    sampler: str = "ddim"

    @property
    def num_steps(self):
        return STEPS[self.scale]

    @property
    def models(self):
        """All base models, of which the first `seeds` are evaluated."""
        return _models(self.scale)

    def uncached(self, num_steps=None):
        return self._row(SAMPLERS[self.sampler], num_steps=num_steps or self.num_steps)

    def fora(self, interval=2):
        method = "FORA" if interval == 2 else f"FORA, interval {interval}"
        return self._row(method, schedule="fora", interval=None if interval == 2 else interval)

    def learned(
        self, method, cur=None, *, name=None, of=0, sampler=None, reuse_last_step=None, **settings
    ):
        """A row of routers trained as METHODS[method] says, `settings` changed. name: of the row.
        of: how many base models further on the router comes from; sampler: of its training, where
        that is not the group's.
        """
        foreign = True if of or sampler else None

        def how(index):
            router = self.router(
                method,
                cur,
                model=self.models[(index + of) % len(self.models)],
                sampler=sampler,
                **settings,
            )
            return {
                "schedule": "router",
                "router": router,
                "transferred": foreign,
                "reuse_last_step": reuse_last_step,
            }

        return self._row(name or method, cur, how=how)

    def router(self, method, cur, *, model=None, sampler=None, **settings):
        training = _training(
            self.scale, self.num_steps, METHODS[method]["walk"], METHODS[method]["objective"]
        )
        return RouterSpec(
            model=model or self.models[0],
            sampler=sampler or self.sampler,
            num_steps=self.num_steps,
            guidance=_guidance(self.scale),
            training=RouterTraining(
                **{**training, "cur_percent": cur, **METHODS[method], **settings}
            ),
        )

    def _row(self, method, cur=None, *, num_steps=None, how=lambda index: {}, **schedule):
        steps = num_steps or self.num_steps
        runs = tuple(
            RunSpec(
                model=model,
                sampler=self.sampler,
                num_steps=steps,
                against=self.num_steps,
                cur_percent=cur,
                seed=noise,
                guidance=_guidance(self.scale),
                **_sampling(self.scale),
                **schedule,
                **how(index),
            )
            for index, model in enumerate(self.models[: self.seeds])
            for noise in range(self.seeds)
        )
        return Row(
            group=f"{self.name}, T = {self.num_steps}",
            model=_label(self.scale),
            method=method,
            num_steps=steps,
            cur_percent=cur,
            sampler=SAMPLERS[self.sampler],
            runs=runs,
        )


def base_refresh(scale):
    """Trajectories between two measurements of lambda, as Tables 1 and 2 have them."""
    return _training(scale, STEPS[scale], "sdt", "leave-one-out")["refresh"]


def _label(scale):
    if scale == "paper":
        return paper_scale.dit_xl2_256().label
    return {"digits": "DiT-digits 16 tokens", "smoke": "smoke"}[scale]


def _models(scale) -> list[ModelSpec]:
    if scale == "paper":
        return [paper_scale.dit_xl2_256().model]
    return table1.base_models(scale, "smoke" if scale == "smoke" else "dit-digits")


def _guidance(scale):
    return paper_scale.GUIDANCE if scale == "paper" else 1.0


def _sampling(scale):
    if scale != "paper":
        return table1.SAMPLING[scale]
    budget = paper_scale.Budget()
    return {
        "num_images": budget.num_images,
        "batch": budget.block,
        "images": paper_scale.dit_xl2_256().images,
    }


def _training(scale, num_steps, walk, objective):
    """What Tables 1 and 2 train with. At paper scale every trained row gets as many updates,
    whatever the method.
    """
    if scale != "paper":
        iepo = {key: table1.IEPO[key] for key in ("refresh", "lambda_batch")}
        return {
            "trajectories": table1.TRAJECTORIES[scale],
            **table1.TRAINING,
            **({} if objective == "mse" else iepo),
        }
    budget, own = (
        paper_scale.Budget(),
        paper_scale.HARMONICA if walk == "sdt" else paper_scale.LEARNING_TO_CACHE,
    )
    iepo = {"refresh": budget.refresh // num_steps, "lambda_batch": budget.sdt_batch}
    return {
        "lr": own["lr"],
        "adam_eps": paper_scale.ADAM_EPS,
        "tau": paper_scale.TAU,
        "batch": budget.sdt_batch if walk == "sdt" else budget.ltc_batch,
        "trajectories": budget.iterations // num_steps,
        **({} if objective == "mse" else iepo),
    }
