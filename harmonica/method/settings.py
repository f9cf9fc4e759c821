"""How one router is trained, as data. Imports no torch."""

from dataclasses import dataclass

from harmonica.errors import check

WALKS = ("sdt", "ltc", "direct")
LTC_FORMS = ("released", "all-pairs")
OBJECTIVES = ("mse", "leave-one-out", "cumulative")
DISTANCES = ("absolute", "relative", "log", "features")


@dataclass(frozen=True, kw_only=True)
class RouterTraining:
    """How one router is trained. Rates and counts as in the paper; a trajectory updates every
    trainable row once.

    walk sdt | ltc (in the form released | all-pairs) | direct (through the whole walk, by the final
    image: objective mse); objective mse | leave-one-out | cumulative
    (the latter two are IEPO's lambda, measured on lambda_batch images with soft or hard scores,
    every `refresh` trajectories, by lambda_forks suffixes at a time). Either beta is given, or
    cur_percent: then beta is steered to reach it. precision bfloat16: the model under autocast,
    router and loss in float32. checkpoint: the student's activations are computed again for the
    backward pass. compile: teacher and student as one graph of torch.compile.

    lambda_distance: of images, where it is not the paper's squared norm: absolute; relative to the
    image; log, of 1 + lambda over its mean; features, by those of the model's judge. initial: what
    all logits begin at, instead of standard normals. dual: beta is steered as a multiplier that
    rises while the CUR is too low and falls while it is too high.

    Of walk ltc alone, as its authors run it: label_dropout, the share of images that are given the
    null label, the same ones in all passes of an update; drawn_steps, how many steps are drawn per
    update, each for an equal part of the batch (theirs: one per GPU), where not every trained step
    has its turn.
    """

    walk: str
    ltc_form: str | None = None
    objective: str
    lambda_scores: str | None = None
    trajectories: int
    batch: int
    refresh: int | None = None
    lambda_batch: int | None = None
    lr: float
    adam_eps: float
    tau: float
    beta: float | None = None
    cur_percent: float | None = None
    seed: int = 0
    precision: str | None = None
    checkpoint: bool = False
    compile: bool = False
    lambda_forks: int | None = None
    label_dropout: float | None = None
    drawn_steps: int | None = None
    lambda_distance: str | None = None
    initial: float | None = None
    dual: bool = False

    def __post_init__(self):
        check(self.walk in WALKS, "walk", self.walk, f"choose one of {', '.join(WALKS)}")
        check(
            self.objective in OBJECTIVES,
            "objective",
            self.objective,
            f"choose one of {', '.join(OBJECTIVES)}",
        )
        check(
            self.ltc_form in (LTC_FORMS if self.walk == "ltc" else (None,)),
            "ltc_form",
            self.ltc_form,
            f"walk ltc takes one of {', '.join(LTC_FORMS)}, the others take none",
        )
        iepo = self.objective != "mse"
        right = "walk direct is by the final image: it takes mse"
        check(not (iepo and self.walk == "direct"), "objective", self.objective, right)
        check(
            self.lambda_scores in (("soft", "hard") if iepo else (None,)),
            "lambda_scores",
            self.lambda_scores,
            "objectives with a lambda take soft or hard, mse takes none",
        )
        for field in ("trajectories", "batch") + (("refresh", "lambda_batch") if iepo else ()):
            check(
                (getattr(self, field) or 0) >= 1,
                field,
                getattr(self, field),
                "it must be at least 1",
            )
        check(
            self.precision in (None, "bfloat16"),
            "precision",
            self.precision,
            "choose bfloat16, or leave it out",
        )
        for field in ("checkpoint", "compile"):
            check(
                isinstance(getattr(self, field), bool),
                field,
                getattr(self, field),
                "it is True or False",
            )
        check(
            self.lambda_forks is None or iepo and self.lambda_forks >= 1,
            "lambda_forks",
            self.lambda_forks,
            "it must be at least 1, and only objectives with a lambda take it",
        )
        self._check_ltc()
        distance, of_paper = self.lambda_distance, self.objective == "leave-one-out"
        right = f"leave-one-out takes {', '.join(DISTANCES)}, other objectives none"
        check(
            distance is None or of_paper and distance in DISTANCES,
            "lambda_distance",
            distance,
            right,
        )
        right = "it lies between -5 and 5"
        check(self.initial is None or -5 <= self.initial <= 5, "initial", self.initial, right)
        for field in ("lr", "adam_eps"):
            check(getattr(self, field) > 0, field, getattr(self, field), "it must be positive")
        check(0 < self.tau < 1, "tau", self.tau, "it must lie between 0 and 1")
        check(self.beta is None or self.beta >= 0, "beta", self.beta, "it must not be negative")
        check(
            self.cur_percent is None or 0 <= self.cur_percent < 100,
            "cur_percent",
            self.cur_percent,
            "it must lie in 0..100",
        )
        right = "it is True or False, and True where beta is steered to a cur_percent"
        steered = self.cur_percent is not None
        check(self.dual is False or self.dual is True and steered, "dual", self.dual, right)
        check(
            (self.beta is None) != (self.cur_percent is None),
            "beta",
            self.beta,
            "give either beta or cur_percent",
        )

    def _check_ltc(self):
        share, drawn = self.label_dropout, self.drawn_steps
        right = "it lies between 0 and 1, and only walk ltc takes it"
        check(share is None or self.walk == "ltc" and 0 < share < 1, "label_dropout", share, right)
        right = f"it must divide the batch of {self.batch}, and only walk ltc takes it"
        check(
            drawn is None or self.walk == "ltc" and drawn >= 1 and self.batch % drawn == 0,
            "drawn_steps",
            drawn,
            right,
        )

    @property
    def method(self):
        return (f"ltc-{self.ltc_form}" if self.walk == "ltc" else self.walk) + f"-{self.objective}"
