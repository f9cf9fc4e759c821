"""How a model is compressed, as data. Imports no torch."""

from dataclasses import dataclass

from harmonica.errors import check

UPDATE = 6  # forwards that an update of a quantised model takes: teacher, student, backward
EDGE_BITS = 8  # at least, in the layers before and behind the transformer's blocks


@dataclass(frozen=True, kw_only=True)
class AdaRound:
    """Rounding of each layer's weights learned on the layer's own output (Nagel et al., 2020), the
    ranges being those of least squared error; inputs have one range for all steps. iterations:
    updates per layer, each on `batch` rows of its inputs. pull: weight of the term that pushes
    every rounding to one side.
    """

    iterations: int
    batch: int = 256
    lr: float = 1e-2
    pull: float = 0.01

    name = "adaround"

    def __post_init__(self):
        _at_least_one(self, "iterations", "batch")
        _positive(self, "lr", "pull")

    def forwards(self, num_steps, tokens):
        """Of one image, of about so much work: an update of a layer takes several products."""
        return UPDATE * self.iterations * self.batch / tokens


@dataclass(frozen=True, kw_only=True)
class EfficientDM:
    """Fine-tuning of quantised weights by a low-rank update (He et al., 2024): trajectories of
    `batch` noises, one update at each step. Rates are AdamW's and fall to 0: of the low-rank
    factors as a share of the layer's mean weight scale, of weight scales, and of the inputs' scales
    and zero points. The defaults are the published ones.
    """

    trajectories: int
    batch: int
    rank: int = 32
    factor_rate: float = 1 / 2500
    scale_rate: float = 1e-6
    input_rate: float = 5e-4

    name = "efficientdm"

    def __post_init__(self):
        _at_least_one(self, "trajectories", "batch", "rank")
        _positive(self, "factor_rate", "scale_rate", "input_rate")

    def forwards(self, num_steps, tokens):
        return UPDATE * self.trajectories * self.batch * num_steps


@dataclass(frozen=True, kw_only=True)
class Quantisation:
    """Weights rounded per output channel, inputs per tensor, asymmetric. rounding: how. The ranges
    of inputs are found on one walk of `images` noises with this sampler, number of steps and
    guidance; `rows` inputs of each layer and step are looked at.
    """

    weight_bits: int
    activation_bits: int
    rounding: AdaRound | EfficientDM
    sampler: str = "ddim"
    num_steps: int
    guidance: float = 1.0
    images: int = 32
    rows: int = 256
    seed: int = 0

    def __post_init__(self):
        for field in ("weight_bits", "activation_bits"):
            value = getattr(self, field)
            check(2 <= value <= 16, field, value, "it lies in 2..16")
        _at_least_one(self, "num_steps", "images", "rows")

    @property
    def label(self):
        return f"{self.rounding.name}-w{self.weight_bits}a{self.activation_bits}"

    @property
    def bits(self):
        """Of weights and inputs within the blocks, as tables print them."""
        return f"W{self.weight_bits}A{self.activation_bits}"

    timed, on_images = False, False
    work = 2.0  # of a forward, over the base model's: rounding is simulated

    def forwards(self, tokens):
        """Work of making it, in the base model's forwards of one image."""
        halves = 1 if self.guidance == 1 else 2
        of_rounding = self.rounding.forwards(self.num_steps, tokens)
        return halves * (self.images * self.num_steps + of_rounding)


@dataclass(frozen=True, kw_only=True)
class Pruning:
    """Heads and feed-forward units removed by Diff-Pruning's criterion (Fang et al., 2023) until
    `removed_percent` of the blocks' multiply-accumulates are gone, then fine-tuned on the training
    images: `steps` updates of `batch` images. threshold: gradients are summed over the timesteps
    0, 1, ... until the loss falls below this share of its maximum. score_batch: images they are
    taken on. label_dropout: share of fine-tuning images that are shown without their label.
    """

    removed_percent: float
    steps: int
    batch: int = 64
    lr: float
    threshold: float = 0.05
    score_batch: int = 64
    label_dropout: float = 0.1
    seed: int = 0

    def __post_init__(self):
        removed = self.removed_percent
        check(0 < removed < 100, "removed_percent", removed, "it must lie between 0 and 100")
        _at_least_one(self, "steps", "batch", "score_batch")
        _positive(self, "lr", "threshold")

    @property
    def label(self):
        return f"pruned{self.removed_percent:g}"

    bits, timed, on_images = "W32A32", True, True

    @property
    def work(self):
        """Of a forward, over the base model's."""
        return 1 - self.removed_percent / 100

    def forwards(self, tokens):
        """Work of making it, in the base model's forwards of one image: an update is three. How
        many timesteps the scores take is not known beforehand; a tenth of all is meant.
        """
        return 3 * (self.steps * self.batch * self.work + 100 * self.score_batch)


def _at_least_one(settings, *fields):
    for field in fields:
        check(getattr(settings, field) >= 1, field, getattr(settings, field), "at least 1")


def _positive(settings, *fields):
    for field in fields:
        check(getattr(settings, field) > 0, field, getattr(settings, field), "it must be positive")
