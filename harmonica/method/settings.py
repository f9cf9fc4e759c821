"""How one router is trained, as data. Imports no torch."""

from dataclasses import dataclass

from harmonica.errors import check

WALKS = ("sdt", "ltc", "direct")
LTC_FORMS = ("released", "all-pairs")
OBJECTIVES = ("mse", "leave-one-out", "cumulative")
LAMBDA_DISTANCES = ("absolute", "relative", "log", "features")


@dataclass(frozen=True, kw_only=True)
class RouterTraining:
    """How one router is trained. Rates and counts as in the paper; a trajectory updates every
    trainable row once.

    walk: sdt, ltc (ltc_form: released or all-pairs) or direct (one backward pass from the final
    image; objective mse). objective: mse, leave-one-out or cumulative. The last two are IEPO's
    lambda, measured every `refresh` trajectories on lambda_batch images with soft or hard scores.
    Either beta is given, or cur_percent: then beta is adjusted
    until that CUR is reached. checkpoint: the student's activations are computed again in the
    backward pass.

    lambda_distance, in place of the paper's squared norm: absolute; relative, to the size of the
    image; log, log(1 + lambda / mean lambda); features, squared norm between the features of the
    model's judge. initial: the value at which all logits begin, in place of standard normals. dual:
    beta is adjusted as a Lagrange multiplier: it rises while the CUR is too low, else it falls.

    For walk ltc only, as its authors run it. label_dropout: the share of images that are given the
    null label, the same images in all passes of an update. drawn_steps: every update draws this
    many steps at random, each for an equal part of the batch (theirs: one per GPU); without it
    every trained step takes its turn.
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
    checkpoint: bool = False
    label_dropout: float | None = None
    drawn_steps: int | None = None
    lambda_distance: str | None = None
    initial: float | None = None
    dual: bool = False

    def __post_init__(self):
        self._check_walk()
        self._check_lambda()
        for field in ("trajectories", "batch"):
            self._check((getattr(self, field) or 0) >= 1, field, "it must be at least 1")
        for field in ("lr", "adam_eps"):
            self._check(getattr(self, field) > 0, field, "it must be positive")
        self._check(isinstance(self.checkpoint, bool), "checkpoint", "it is True or False")
        right = "it lies between -5 and 5"
        self._check(self.initial is None or -5 <= self.initial <= 5, "initial", right)
        self._check_reuse()
        self._check_ltc()

    def _check(self, ok, field, right):
        check(ok, field, getattr(self, field), right)

    def _check_walk(self):
        self._check(self.walk in WALKS, "walk", f"choose one of {', '.join(WALKS)}")
        right = f"choose one of {', '.join(OBJECTIVES)}"
        self._check(self.objective in OBJECTIVES, "objective", right)
        direct = self.walk == "direct" and self.objective != "mse"
        right = "walk direct is by the final image: it takes mse"
        self._check(not direct, "objective", right)
        forms = LTC_FORMS if self.walk == "ltc" else (None,)
        right = f"walk ltc takes one of {', '.join(LTC_FORMS)}, the others take none"
        self._check(self.ltc_form in forms, "ltc_form", right)

    def _check_lambda(self):
        """The fields that only IEPO's objectives use."""
        iepo, of_paper = self.objective != "mse", self.objective == "leave-one-out"
        scores = ("soft", "hard") if iepo else (None,)
        right = "objectives with a lambda take soft or hard, mse takes none"
        self._check(self.lambda_scores in scores, "lambda_scores", right)
        for field in ("refresh", "lambda_batch"):
            self._check(
                not iepo or (getattr(self, field) or 0) >= 1, field, "it must be at least 1"
            )
        distance = self.lambda_distance
        right = f"leave-one-out takes {', '.join(LAMBDA_DISTANCES)}, other objectives none"
        allowed = distance is None or of_paper and distance in LAMBDA_DISTANCES
        self._check(allowed, "lambda_distance", right)

    def _check_reuse(self):
        """tau, and what decides how much is reused."""
        beta, cur = self.beta, self.cur_percent
        self._check(0 < self.tau < 1, "tau", "it must lie between 0 and 1")
        self._check(beta is None or beta >= 0, "beta", "it must not be negative")
        self._check(cur is None or 0 <= cur < 100, "cur_percent", "it must lie in 0..100")
        right = "it is True or False, and True where beta is steered to a cur_percent"
        steered = self.dual is True and cur is not None
        self._check(self.dual is False or steered, "dual", right)
        self._check((beta is None) != (cur is None), "beta", "give either beta or cur_percent")

    def _check_ltc(self):
        """The fields that only walk ltc uses."""
        ltc, share, drawn = self.walk == "ltc", self.label_dropout, self.drawn_steps
        right = "it lies between 0 and 1, and only walk ltc takes it"
        self._check(share is None or ltc and 0 < share < 1, "label_dropout", right)
        right = f"it must divide the batch of {self.batch}, and only walk ltc takes it"
        divides = drawn is None or ltc and drawn >= 1 and self.batch % drawn == 0
        self._check(divides, "drawn_steps", right)

    @property
    def method(self):
        return (f"ltc-{self.ltc_form}" if self.walk == "ltc" else self.walk) + f"-{self.objective}"
