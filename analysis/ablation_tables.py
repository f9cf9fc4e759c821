"""The tables of the ablations: their experiments, and the questions asked of each."""

from .compare import PUBLISHED
from .methods import (
    ALL_PAIRS,
    AS_AUTHORS,
    BOTH,
    CUMULATIVE,
    DIRECT,
    EVOLUTION,
    FEWER,
    FORA,
    FORA_PREDICTION,
    FORA_REFITTED,
    HARD,
    HARMONICA,
    RELEASED,
    SDT_MSE,
    SEARCH,
    SEARCH_PREDICTION,
    SEARCH_REFITTED,
)
from .spec import Table, ask


def _ablation(name, title, *questions, of_all=(), committed="core", **fields):
    """of_all: questions about rows that only ROWS=all has."""
    return Table(
        name=name,
        title=f"Ablation: {title}",
        experiments=(name,),
        target="reproduce-ablations",
        committed=committed,
        questions=ask(*questions) + ask(*of_all, core=False),
        **fields,
    )


ANOTHERS, DDIMS = "HarmoniCa, another model's router", "HarmoniCa, DDIM's router"
LTC_ANOTHERS = "Learning-to-Cache, another model's router"
LONGER = "HarmoniCa, ten times longer"
ABLATIONS = (
    _ablation(
        "ablation_sdt_vs_standard",
        "SDT against standard training",
        (SDT_MSE, PUBLISHED, "SDT with MSE beats Learning-to-Cache as released"),
        (SDT_MSE, ALL_PAIRS, "SDT beats standard training of all pairs, both with MSE"),
        about="Standard training draws x_t from real images and keeps the cache for a single step; "
        "SDT walks the whole trajectory from noise. Both minimise MSE here. "
        'Learning-to-Cache\'s "all pairs" form takes its loss over all neighbouring steps; '
        "as released it reuses only at every second step.",
    ),
    _ablation(
        "ablation_iepo_vs_mse",
        "IEPO against MSE",
        (HARMONICA, SDT_MSE, "IEPO beats MSE, both with SDT"),
        (
            HARMONICA,
            CUMULATIVE,
            "lambda by leave-one-out (the paper) beats cumulative (the released code), soft scores",
        ),
        (HARD, BOTH, "lambda by leave-one-out beats cumulative, hard scores"),
        (HARMONICA, HARD, "lambda with soft scores beats hard, leave-one-out"),
        (CUMULATIVE, BOTH, "lambda with soft scores beats hard, cumulative"),
        (SDT_MSE, ALL_PAIRS, "SDT beats standard training of all pairs, both with MSE"),
        about="Much depends on whether a router reuses the last step: this causes a large error of "
        "the model's output, but hardly any error of the image. So all methods are shown a second "
        "time at the same CUR, with the last step forced to reuse.",
    ),
    _ablation(
        "ablation_refresh",
        "how often lambda is measured again",
        *(
            (
                HARMONICA,
                f"HarmoniCa, C = {c}",
                f"lambda measured every 10 trajectories beats {change}",
            )
            for c, change in ((2, "every 2"), (50, "every 50"), (100, "once, before training"))
        ),
        about="C is the number of trajectories after which lambda is measured again. A training "
        "has 100 trajectories; the row named HarmoniCa has C = 10.",
        about_paper="C is the number of trajectories after which lambda is measured again. A "
        "training has 2000 trajectories; the row named HarmoniCa has C = 50.",
    ),
    _ablation(
        "ablation_lambda",
        "by what lambda compares images",
        *(
            (
                HARMONICA,
                f"HarmoniCa, lambda {change}",
                f"lambda by the squared norm beats {measure}",
            )
            for change, measure in {
                "by absolute differences": "the sum of absolute differences",
                "relative to the image": "the squared norm relative to the image's",
                "by its logarithm": "the logarithm of lambda",
                "by the judge's features": "the judge's features of the images",
            }.items()
        ),
        about="The row named HarmoniCa uses the paper's squared norm.",
    ),
    _ablation(
        "ablation_router",
        "how a router begins, how fast it learns, how beta is found",
        *(
            (HARMONICA, f"HarmoniCa, {change}", f"HarmoniCa as in all tables beats {other}")
            for change, other in {
                "learning rate 0.03": "a third of the learning rate",
                "learning rate 0.3": "three times the learning rate",
                "all begin at 0.5": "scores that all begin at 0.5",
                "all begin at 0.88": "scores that all begin at 0.88",
                "beta as a multiplier": "beta as a multiplier",
            }.items()
        ),
        about="The row named HarmoniCa begins with standard normal logits, learns at a rate of "
        "0.1, and has its beta steered by quantiles. In the second group beta is given, as in the "
        "paper's Lagrangian, and the scores alone decide the masks, so CUR differs from row to "
        "row. Beta as a multiplier overshot: its scores reuse far more than was asked for (CUR "
        "natural) and were then cut back, so its row is evidence against these settings more "
        "than against the idea.",
        about_paper="The row named HarmoniCa begins with standard normal logits, learns at a rate "
        "of 0.01, and has its beta steered by quantiles.",
    ),
    _ablation(
        "ablation_threshold",
        "the threshold tau",
        about="All rows have the same beta, and the scores above tau alone decide the masks, so "
        "CUR differs from row to row.",
    ),
    _ablation(
        "ablation_beta",
        "CUR and quality",
        (
            HARMONICA,
            PUBLISHED,
            "HarmoniCa beats Learning-to-Cache as published, which at CUR 50 % is FORA",
        ),
        (HARMONICA, ALL_PAIRS, "HarmoniCa beats Learning-to-Cache's all-pairs form"),
        (HARMONICA, SDT_MSE, "HarmoniCa beats SDT with MSE"),
        (SDT_MSE, ALL_PAIRS, "SDT beats standard training of all pairs, both with MSE"),
        (HARMONICA, "FORA, interval 3", "HarmoniCa beats FORA at interval 3"),
        (HARMONICA, FEWER, "HarmoniCa beats fewer steps at nearly equal compute"),
        published="figure_speedup_vs_quality_T10",
        frontier=True,
        plain_wins="A plain baseline (FORA, fewer steps) beats a trained method",
        about="beta is steered to reach each CUR; FORA's CUR follows from its interval. FORA at "
        "interval 3 spends one of its four computed steps on the last step, and is worse than at "
        "interval 4, which reuses more, so a win against it says little.",
    ),
    _ablation(
        "ablation_transfer",
        "routers used where they were not trained",
        (HARMONICA, ANOTHERS, "HarmoniCa's own router beats another base model's"),
        (
            ALL_PAIRS,
            LTC_ANOTHERS,
            "Learning-to-Cache's own router (all pairs) beats another base model's",
        ),
        (
            ANOTHERS,
            LTC_ANOTHERS,
            "HarmoniCa's router of another base model beats Learning-to-Cache's (all pairs)",
        ),
        (HARMONICA, DDIMS, "HarmoniCa's router for the sampler beats DDIM's router"),
        (DDIMS, FORA, "DDIM's router beats FORA, under a sampler that it was not trained for"),
        (
            DDIMS,
            FEWER,
            "DDIM's router beats fewer steps, under a sampler that it was not trained for",
        ),
        plain_wins="A plain baseline (FORA, fewer steps) beats a trained method",
    ),
    _ablation(
        "ablation_search",
        "what our own search needs, and where its schedules carry over",
        *(
            (
                SEARCH_PREDICTION,
                f"{SEARCH_PREDICTION}, {changed}",
                f"Search + prediction beats {description}",
            )
            for changed, description in (
                ("12 images", "a linearisation with 12 images instead of 48"),
                ("24 images", "a linearisation with 24 images instead of 48"),
                ("without stages", "a linearisation only at the full schedule, then polish"),
                ("without polish", "stages without polish"),
                ("window 3", "features of up to 3 steps before instead of 6"),
                ("other search noise", "the same from other search noise"),
                ("another model's", "a schedule of another base model"),
                ("searched at guidance 1", "a schedule that was searched at guidance 1"),
            )
        ),
        (SEARCH_PREDICTION, SEARCH, "Search + prediction beats search for reuse"),
        (
            SEARCH_PREDICTION,
            f"{SEARCH}, then predictions",
            "A search that knows of predictions beats predictions fitted after a search for reuse",
        ),
        (f"{SEARCH}, then predictions", SEARCH, "Predictions fitted after a search beat reuse"),
        (f"{SEARCH}, then Taylor", SEARCH, "Taylor's extrapolation after a search beats reuse"),
        (SEARCH, HARMONICA, "Search beats HarmoniCa"),
        (
            SEARCH_PREDICTION,
            FORA_PREDICTION,
            "Search + prediction beats FORA's mask with prediction",
        ),
        of_all=(
            *(
                (
                    SEARCH_PREDICTION,
                    f"{SEARCH_PREDICTION}, searched on {few}",
                    f"Search + prediction beats a schedule that was searched on {few} of {all_}",
                )
                for few, all_ in (("5 classes", 10), ("20 captions", 200))
            ),
            (
                SEARCH_REFITTED,
                SEARCH_PREDICTION,
                "Predictions refitted to the final image beat those fitted to each block's feature",
            ),
            (
                SEARCH_REFITTED,
                FORA_REFITTED,
                "A searched schedule beats FORA's mask, both with refitted predictions",
            ),
            (
                f"{SEARCH_PREDICTION}, 96 images",
                SEARCH_PREDICTION,
                "A linearisation with 96 images beats one with 48",
            ),
            (
                f"{SEARCH_PREDICTION}, 2 directions",
                SEARCH_PREDICTION,
                "Two directions for each image beat one",
            ),
            (SEARCH, EVOLUTION, "Search beats evolution of masks with as many forwards"),
            (
                SEARCH,
                f"{EVOLUTION}, ten times longer",
                "Search beats evolution of masks with ten times as many forwards",
            ),
            (LONGER, HARMONICA, "HarmoniCa trained ten times longer beats HarmoniCa"),
            (SEARCH, LONGER, "Search beats HarmoniCa trained ten times longer"),
        ),
        committed="all",
        plain_wins="A plain baseline (FORA, with or without predictions) "
        "beats a trained or searched method",
        about="Everything here is ours, not the paper's, except HarmoniCa, FORA, and evolution, "
        "which is how ECAD finds masks. The row named Search + prediction is the default; each "
        'row below it changes what its name says. "Then predictions" and "then Taylor" have the '
        'same masks as Search. "Share of MACs" skips half of the multiply-accumulates instead of '
        "half of the entries.",
    ),
    _ablation(
        "ablation_ltc_training",
        "Learning-to-Cache's training",
        (
            RELEASED,
            AS_AUTHORS,
            "Learning-to-Cache trained as everywhere here beats training as its authors do it",
        ),
        about="Its authors drop a tenth of the labels, and each of their GPUs (here 4) draws a "
        "step of its own. Everywhere else here, no labels are dropped, and the trained steps "
        "take turns.",
    ),
    _ablation(
        "ablation_objective",
        "what a router is trained for",
        (HARMONICA, DIRECT, "IEPO's proxy beats the final image itself"),
        (DIRECT, SDT_MSE, "The final image itself beats MSE of the model's output"),
        about='"x_0 itself" walks once with soft scores, takes the squared difference of its '
        "image to the uncached one, and makes one backward pass through the whole walk. "
        "Each row of the router has as many updates, with as many images, as with SDT.",
    ),
    _ablation("ablation_training_cost", "what training costs", published="table_training_cost"),
    _ablation("ablation_objective_cost", "what the objective costs"),
)
