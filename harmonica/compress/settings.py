"""How a model is compressed, as data. Imports no torch."""

from dataclasses import dataclass

from harmonica.errors import check

UPDATE = 6  # cost of one update of a quantised model (teacher, student, backward), in forwards
EDGE_BITS = 8  # the fewest bits in layers before and after the transformer's blocks


@dataclass(frozen=True, kw_only=True)
class AdaRound:
    """Settings of AdaRound (Nagel et al., 2020): each layer's weights are rounded so that the
    layer's own output changes least. The ranges are those of least rounding error
    (rounding.search); inputs have one range for all steps. iterations: updates per layer, each on
    `batch` rows of its inputs. pull: weight of the loss term that makes each weight decide between
    up and down.
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
        """About how many forwards of one image learning costs: an update of a layer takes several
        matrix products.
        """
        return UPDATE * self.iterations * self.batch / tokens


@dataclass(frozen=True, kw_only=True)
class EfficientDM:
    """Settings of EfficientDM (He et al., 2024): quantised weights are fine-tuned by a low-rank
    update, over `trajectories` walks from `batch` noises each, with one update at each step. The
    learning rates are AdamW's and fall to 0. factor_rate: of the low-rank factors, as a share of
    the layer's mean weight scale. scale_rate: of the weight scales. input_rate: of the inputs'
    scales and zero points. The defaults are the published ones.
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
    """Settings of a quantised model: weights are rounded per output channel, inputs per tensor,
    both asymmetrically. rounding: how the weights are rounded. The ranges of inputs are found on
    one walk from `images` noises with this sampler, number of steps and guidance, from `rows`
    inputs of each layer at each step.
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
        """The bits of weights and inputs within the blocks, as tables print them."""
        return f"W{self.weight_bits}A{self.activation_bits}"

    timed, on_images = False, False
    work = 2.0  # cost of a forward relative to the base model's: more, as rounding is simulated

    def forwards(self, tokens):
        """What making the model costs, in forwards of the base model for one image."""
        copies = 1 if self.guidance == 1 else 2
        of_rounding = self.rounding.forwards(self.num_steps, tokens)
        return copies * (self.images * self.num_steps + of_rounding)


@dataclass(frozen=True, kw_only=True)
class Pruning:
    """Settings of a pruned model: heads and feed-forward units are removed by Diff-Pruning's
    criterion (Fang et al., 2023) until `removed_percent` of the blocks' multiply-accumulates are
    gone; then the model is fine-tuned on the training images by `steps` updates of `batch` images.
    threshold: the criterion's gradients are summed over the timesteps 0, 1, ... until the loss
    falls below this share of its maximum. score_batch: how many images they are computed on.
    label_dropout: the share of fine-tuning images that are shown without their label.
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
        """The cost of a forward relative to the base model's."""
        return 1 - self.removed_percent / 100

    def forwards(self, tokens):
        """What making the model costs, in forwards of the base model for one image; an update
        counts as three. The number of timesteps that the scores need is not known beforehand: 100,
        a tenth of all, is assumed.
        """
        return 3 * (self.steps * self.batch * self.work + 100 * self.score_batch)


def _at_least_one(settings, *fields):
    for field in fields:
        check(getattr(settings, field) >= 1, field, getattr(settings, field), "at least 1")


def _positive(settings, *fields):
    for field in fields:
        check(getattr(settings, field) > 0, field, getattr(settings, field), "it must be positive")
