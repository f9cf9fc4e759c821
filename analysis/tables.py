"""Which tables there are: Tables 1 and 2 of the paper and the ablations, with their experiments and
the questions that each is asked.
"""

from dataclasses import dataclass, replace
from importlib import import_module

from .claims import Question
from .compare import PUBLISHED
from .methods import (
    ALL_PAIRS,
    BOTH,
    CUMULATIVE,
    DEEPCACHE,
    DIRECT,
    EFFICIENTDM,
    FASTER_DIFFUSION,
    FEWER,
    FORA,
    FORA_PREDICTION,
    HARD,
    HARMONICA,
    PRUNING,
    PTQ,
    QUANTISED_HARMONICA,
    QUANTISED_SEARCH,
    RELEASED,
    SDT,
    SEARCH,
    SEARCH_PREDICTION,
    UNCACHED,
)

SCALE, NUM_SEEDS = "digits", 3  # of what is committed, but for CLOTHES


@dataclass(frozen=True, kw_only=True)
class Table:
    """One table.

    target: make's. committed: which rows are, core or all (ablations have one set). questions: what
    the rows are compared for. plain_wins: the title of where a plain baseline wins, in a table that
    has some. published: the file of the paper's own numbers in results/paper. measured: the metrics
    at paper scale, in the order of the paper's columns. about, about_paper: what a reader must know
    of this table alone, at digits and at paper scale. frontier: whether it has a picture of error
    against speedup over all its groups. scale: of what is committed of it.
    """

    name: str
    title: str
    experiments: tuple[str, ...]
    target: str
    questions: tuple[Question, ...] = ()
    plain_wins: str = ""
    published: str | None = None
    measured: tuple[str, ...] = ("IS", "FID", "sFID", "precision", "recall")
    about: str = ""
    about_paper: str = ""
    committed: str = "all"
    frontier: bool = False
    scale: str = SCALE

    @property
    def called(self):
        """Its title, with the scale where that is not the usual one."""
        return self.title + (f" at {self.scale} scale" if self.scale != SCALE else "")

    def rows(self, scale, which="core", num_seeds=1):
        """[experiments.Row] of all blocks of the table."""
        return [row for config in self._configs() for row in config.table(scale, which, num_seeds)]

    def costs(self, scale):
        """[TrainingCostSpec]: what a table of training costs shows, which has no rows."""
        configs = [config for config in self._configs() if hasattr(config, "costs")]
        return [spec for config in configs for spec in config.costs(scale)]

    def committed_command(self):
        return self.command(self.committed, NUM_SEEDS, self.scale)

    def command(self, which="core", num_seeds=1, scale=SCALE):
        """The make command behind the table, with what differs from the defaults."""
        options = {"SCALE": (scale, SCALE), "ROWS": (which, "core"), "SEEDS": (num_seeds, 1)}
        given = [f"{name}={value}" for name, (value, usual) in options.items() if value != usual]
        return " ".join([f"make {self.target}", *given])

    def _configs(self):
        return [import_module(f"experiments.{name}.config") for name in self.experiments]


def _ask(*questions, core=True):
    """core: whether the table's core rows have the methods of these questions."""
    return tuple(
        Question(left=left, right=right, title=title, core=core) for left, right, title in questions
    )


OURS = (
    (SEARCH, HARMONICA, "Ours, not the paper's: search over HarmoniCa at the same CUR"),
    (
        SEARCH_PREDICTION,
        HARMONICA,
        "Ours, not the paper's: search with prediction over HarmoniCa at the same CUR",
    ),
    (SEARCH, FORA, "Ours, not the paper's: search over FORA"),
)
LOSSLESS = (HARMONICA, UNCACHED, "HarmoniCa is nearly lossless")
TABLE1 = Table(
    name="table1",
    title="Table 1",
    experiments=("dit_xl2_256", "dit_xl2_512"),
    published="table1_class_conditional",
    target="reproduce-table1",
    frontier=True,
    plain_wins="A plain baseline (FORA, fewer steps, random) ahead of a trained method",
    questions=_ask(
        (
            HARMONICA,
            PUBLISHED,
            "HarmoniCa over Learning-to-Cache as published, which at CUR 50 % is FORA",
        ),
        (HARMONICA, ALL_PAIRS, "HarmoniCa over Learning-to-Cache's all-pairs form, which is ours"),
        (HARMONICA, FEWER, "HarmoniCa over fewer steps at nearly equal compute"),
        LOSSLESS,
    ),
    about_paper="Published router, published beta: as their authors give them, the scores over tau "
    "decide. Search + prediction is ours, not the paper's.",
)
TABLE2 = Table(
    name="table2",
    title="Table 2",
    experiments=("pixart_alpha", "pixart_sigma"),
    published="table2_text_to_image",
    target="reproduce-table2",
    frontier=True,
    plain_wins="A plain baseline (FORA, fewer steps) ahead of HarmoniCa",
    measured=("CLIP", "FID", "sFID"),
    questions=_ask(
        (
            HARMONICA,
            FEWER,
            "HarmoniCa over fewer steps, which here, as in the paper, compute more than it does",
        ),
        (HARMONICA, FORA, "HarmoniCa at the paper's CUR over FORA at 50 %"),
        LOSSLESS,
    ),
    about="Agreement takes the place of the paper's CLIP score: the percentage of images that "
    "the judge CNN reads as the digit that their caption names. Where guidance is above 1, FID "
    "and agreement mislead: guidance over-sharpens, and errors of a cache can undo some of that.",
    about_paper="CLIP score: 100 x the cosine of image and caption under the checkpoint that "
    "stands below each block; the paper does not say which it used. Of PixArt-Sigma it prints a "
    "speedup alone. "
    "Search + prediction is ours, not the paper's.",
)
FRONTIER = Table(
    name="frontier",
    title="Frontier",
    experiments=("frontier",),
    target="reproduce-frontier",
    committed="core",
    frontier=True,
    plain_wins="A plain baseline (FORA, with or without predictions, fewer steps) ahead of a method "
    "that is trained or searched",
    questions=_ask(
        *OURS,
        (
            SEARCH_PREDICTION,
            FORA_PREDICTION,
            "Ours, not the paper's: search with prediction over FORA's mask with prediction",
        ),
    ),
    about="Search, prediction and evolution are not the paper's. Prediction: a skipped block's "
    "feature is a weighted sum of the last two that were computed, by weights that are fitted.",
)
UVIT = Table(
    name="uvit",
    title="U-ViT",
    experiments=("uvit",),
    published="table_uvit",
    target="reproduce-uvit",
    committed="core",
    frontier=True,
    plain_wins="A plain baseline (FORA, Faster Diffusion, DeepCache, fewer steps) ahead of a method "
    "that is trained or searched",
    measured=("IS", "FID", "sFID"),
    questions=_ask(
        (HARMONICA, DEEPCACHE, "HarmoniCa over DeepCache at the same CUR"),
        (HARMONICA, FASTER_DIFFUSION, "HarmoniCa over Faster Diffusion, which computes more"),
        (HARMONICA, RELEASED, "HarmoniCa over Learning-to-Cache as published, at the same CUR"),
        (HARMONICA, FEWER, "HarmoniCa over fewer steps at nearly equal compute"),
        *OURS[:2],
    ),
    about="T counts calls of the model, of which the singlestep solver makes two for one update. "
    "Faster Diffusion and DeepCache are masks here: what blocks added is reused, not the stream "
    "itself; all long skips run. Both compute everything at every second call; the paper does not "
    "say which calls it chose, nor how many outer blocks DeepCache keeps (here one in, one out). "
    "Search and prediction are ours, not the paper's.",
)


W8, W4 = "W8A8", "W4A8"
COMPRESSION = Table(
    name="compression",
    title="Compression",
    experiments=("compression",),
    target="reproduce-compression",
    published="table_compression",
    measured=("IS", "FID", "sFID"),
    questions=_ask(
        (HARMONICA, PRUNING, "HarmoniCa over a model pruned to equal compute (Diff-Pruning)"),
        (HARMONICA, f"{PTQ}, {W8}", "HarmoniCa over W8A8 quantisation after training"),
        (HARMONICA, f"{EFFICIENTDM}, {W8}", "HarmoniCa over W8A8 quantisation by EfficientDM"),
    )
    + _ask(
        (HARMONICA, f"{EFFICIENTDM}, {W4}", "HarmoniCa over W4A8 quantisation by EfficientDM"),
        (SEARCH, PRUNING, "Ours, not the paper's: search over a model pruned to equal compute"),
        core=False,
    ),
    about="Quantisation is simulated: its multiply-accumulates are counted as the plain model's, "
    "no latency is given, and W8A8 says how many bits weights and inputs of the blocks' layers "
    "have. Sizes are of all that is stored, against the model in float32. PTQ: ranges of least "
    "error and AdaRound. Diff-Pruning: fine-tuned by as many steps as its record says.",
)
QUANTISATION = Table(
    name="quantisation",
    title="Caching with quantisation",
    experiments=("quantisation",),
    target="reproduce-compression",
    published="table_quantization",
    measured=("IS", "CLIP", "FID", "sFID"),
    questions=_ask(
        (
            f"{QUANTISED_HARMONICA}, {W8}",
            f"{EFFICIENTDM}, {W8}",
            "HarmoniCa over the quantised model (W8A8) against the quantised model alone, which "
            "computes more",
        ),
        (
            f"{QUANTISED_SEARCH}, {W8}",
            f"{QUANTISED_HARMONICA}, {W8}",
            "Ours, not the paper's: search over HarmoniCa, both on the quantised model (W8A8)",
        ),
    )
    + _ask(
        (
            f"{QUANTISED_HARMONICA}, {W4}",
            f"{EFFICIENTDM}, {W4}",
            "The same with 4-bit weights (W4A8)",
        ),
        (
            f"{QUANTISED_HARMONICA}, {W8}",
            HARMONICA,
            "HarmoniCa on the quantised model (W8A8) against HarmoniCa on the plain one",
        ),
        core=False,
    ),
    about="The quantised model is teacher and student of its routers, and what its schedules are "
    "searched on. All errors are against the plain uncached model, so quantisation's are part of "
    "them. Quantisation is simulated: no latency is given.",
)


def _ablation(name, title, *questions, committed="core", **told):
    return Table(
        name=name,
        title=f"Ablation: {title}",
        experiments=(name,),
        target="reproduce-ablations",
        committed=committed,
        questions=_ask(*questions),
        **told,
    )


ANOTHERS, DDIMS = "HarmoniCa, another model's router", "HarmoniCa, DDIM's router"
LTC_ANOTHERS = "Learning-to-Cache, another model's router"
ABLATIONS = (
    _ablation(
        "ablation_sdt_vs_standard",
        "SDT against standard training",
        (SDT, PUBLISHED, "SDT with MSE over Learning-to-Cache as released"),
        (SDT, ALL_PAIRS, "SDT over standard training of all pairs, both with MSE"),
        about="Standard training draws x_t from real images and lets the cache live for one "
        "step; SDT walks the whole trajectory from noise. Both minimise MSE here. All pairs: "
        "Learning-to-Cache's loss over all neighbouring steps; as released it reuses in every "
        "second step alone.",
    ),
    _ablation(
        "ablation_iepo_vs_mse",
        "IEPO against MSE",
        (HARMONICA, SDT, "IEPO over MSE, both with SDT"),
        (
            HARMONICA,
            CUMULATIVE,
            "lambda by leave-one-out (the paper) over cumulative (the released code), soft scores",
        ),
        (HARD, BOTH, "lambda by leave-one-out over cumulative, hard scores"),
        (HARMONICA, HARD, "lambda with soft scores over hard, leave-one-out"),
        (CUMULATIVE, BOTH, "lambda with soft scores over hard, cumulative"),
        (SDT, ALL_PAIRS, "SDT over standard training of all pairs, both with MSE"),
        about="Whether a router reuses the last step's row decides much by itself: reusing it "
        "costs a large error of the model's output and hardly any of the image. So all methods "
        "stand a second time with that row forced to reuse, at the same CUR.",
    ),
    _ablation(
        "ablation_refresh",
        "how often lambda is measured again",
        *(
            (
                HARMONICA,
                f"HarmoniCa, C = {c}",
                f"lambda measured every 10 trajectories over {words}",
            )
            for c, words in ((2, "every 2"), (50, "every 50"), (100, "once, before training"))
        ),
        about="C counts trajectories, of which a training has 100; the row named HarmoniCa has "
        "C = 10.",
        about_paper="C counts trajectories, of which a training has 2000; the row named "
        "HarmoniCa has C = 50.",
    ),
    _ablation(
        "ablation_lambda",
        "by what lambda compares images",
        *(
            (HARMONICA, f"HarmoniCa, lambda {words}", f"lambda by the squared norm over {words}")
            for words in (
                "by absolute differences",
                "relative to the image",
                "by its logarithm",
                "by the judge's features",
            )
        ),
        about="The row named HarmoniCa has the paper's squared norm.",
    ),
    _ablation(
        "ablation_router",
        "how a router begins, how fast it learns, how beta is found",
        *(
            (HARMONICA, f"HarmoniCa, {words}", f"HarmoniCa as everywhere here over {words}")
            for words in (
                "learning rate 0.03",
                "learning rate 0.3",
                "all begin at 0.5",
                "all begin at 0.88",
                "beta as a multiplier",
            )
        ),
        about="The row named HarmoniCa begins with standard normal logits, learns at a rate of 0.1 "
        "and has beta steered by quantiles. The second group has beta given, as the paper's "
        "Lagrangian, and masks as the scores give them: CUR differs from row to row.",
        about_paper="The row named HarmoniCa begins with standard normal logits, learns at a rate "
        "of 0.01 and has beta steered by quantiles.",
    ),
    _ablation(
        "ablation_threshold",
        "the threshold tau",
        about="One beta for all, masks as the scores over tau give them: CUR differs from row to "
        "row.",
    ),
    _ablation(
        "ablation_beta",
        "CUR and quality",
        (HARMONICA, ALL_PAIRS, "HarmoniCa over Learning-to-Cache's all-pairs form"),
        (HARMONICA, SDT, "HarmoniCa over SDT with MSE"),
        (SDT, ALL_PAIRS, "SDT over standard training of all pairs, both with MSE"),
        (HARMONICA, FORA, "HarmoniCa over FORA"),
        (HARMONICA, "FORA, interval 3", "HarmoniCa over FORA at interval 3"),
        (HARMONICA, FEWER, "HarmoniCa over fewer steps at nearly equal compute"),
        published="figure_speedup_vs_quality_T10",
        frontier=True,
        plain_wins="A plain baseline (FORA, fewer steps) ahead of a trained method",
        about="beta is steered to each CUR; FORA's CUR follows from its interval.",
    ),
    _ablation(
        "ablation_transfer",
        "routers used where they were not trained",
        (HARMONICA, ANOTHERS, "HarmoniCa's own router over another base model's"),
        (ALL_PAIRS, LTC_ANOTHERS, "Learning-to-Cache's own router over another base model's"),
        (
            ANOTHERS,
            LTC_ANOTHERS,
            "HarmoniCa's router of another base model over Learning-to-Cache's",
        ),
        (HARMONICA, DDIMS, "HarmoniCa's router for the sampler over DDIM's router"),
        (DDIMS, FORA, "DDIM's router over FORA, under a sampler that it was not trained for"),
        (
            DDIMS,
            FEWER,
            "DDIM's router over fewer steps, under a sampler that it was not trained for",
        ),
        plain_wins="A plain baseline (FORA, fewer steps) ahead of a trained method",
    ),
    _ablation(
        "ablation_search",
        "what our own search needs, and where its schedules carry over",
        *(
            (
                SEARCH_PREDICTION,
                f"{SEARCH_PREDICTION}, {changed}",
                f"Search + prediction over {words}",
            )
            for changed, words in (
                ("12 images", "a linearisation by 12 images in place of 48"),
                ("24 images", "a linearisation by 24 images in place of 48"),
                ("without stages", "a linearisation at the full schedule alone, then polish"),
                ("without polish", "stages without polish"),
                ("window 3", "features of up to 3 steps before in place of 6"),
                ("other search noise", "the same from other search noise"),
                ("another model's", "a schedule of another base model"),
                ("searched at guidance 1", "a schedule that was searched at guidance 1"),
            )
        ),
        (SEARCH_PREDICTION, SEARCH, "Search + prediction over search for reuse"),
        (
            SEARCH_PREDICTION,
            f"{SEARCH}, then predictions",
            "A search that knows of predictions over predictions fitted after a search for reuse",
        ),
        (f"{SEARCH}, then predictions", SEARCH, "Predictions fitted after a search over reuse"),
        (f"{SEARCH}, then Taylor", SEARCH, "Taylor's extrapolation after a search over reuse"),
        (SEARCH, HARMONICA, "Search over HarmoniCa"),
        (
            SEARCH_PREDICTION,
            FORA_PREDICTION,
            "Search + prediction over FORA's mask with prediction",
        ),
        committed="all",
        plain_wins="A plain baseline (FORA, with or without predictions) ahead of a trained or "
        "searched method",
        about="Everything here is ours, not the paper's, but HarmoniCa and FORA. The row named Search "
        "+ prediction is the default; each row below it changes what its name says. Then predictions, "
        "then Taylor: of the same masks as Search.",
    ),
    _ablation(
        "ablation_ltc_training",
        "Learning-to-Cache's training",
        (
            RELEASED,
            "Learning-to-Cache, labels dropped and steps drawn",
            "Learning-to-Cache trained as everywhere here over as its authors do",
        ),
        about="Its authors drop a tenth of the labels, and each of their GPUs draws a step of its "
        "own, here 4; everywhere else here labels stay and each trained step has its turn.",
    ),
    _ablation(
        "ablation_objective",
        "what a router is trained for",
        (HARMONICA, DIRECT, "IEPO's proxy over the final image itself"),
        (DIRECT, SDT, "The final image itself over MSE of the model's output"),
        about="x_0 itself: one walk with soft scores, the squared difference of its image to the "
        "uncached one, and one backward pass through all of it. As many updates of each row, of "
        "as many images, as SDT's.",
    ),
    _ablation("ablation_training_cost", "what training costs", published="table_training_cost"),
    _ablation("ablation_objective_cost", "what the objective costs"),
)
TABLES = {
    table.name: table
    for table in (TABLE1, TABLE2, UVIT, FRONTIER, COMPRESSION, QUANTISATION, *ABLATIONS)
}
CLOTHES = {
    "table1": replace(
        TABLE1, scale="clothes", committed="core", questions=TABLE1.questions + _ask(*OURS)
    ),
    "frontier": replace(FRONTIER, scale="clothes"),
}
COMMITTED = tuple(TABLES.values())


def table_of(name, scale):
    """The Table of this name, as it is at this scale."""
    return (CLOTHES if scale == "clothes" else {}).get(name, TABLES[name])
