"""The methods of tables, figures and claims: names, colours, markers and order, in one list.

A new method is one line in METHODS. "X, Y" is a variant of X (another interval, another model's
router) and needs no line: it takes X's look with an open marker. A row whose method has no line is
an error, so a name that changes in an experiment cannot drop out of figures and claims unseen.
"""

import re
from dataclasses import dataclass, replace

from experiments.ablation import (
    ALL_PAIRS,
    BOTH,
    CUMULATIVE,
    DIRECT,
    HARD,
    HARMONICA,
    RELEASED,
    SDT_MSE,
)
from harmonica.errors import check

FEWER = "fewer steps"  # the uncached model with fewer steps
UNCACHED = "uncached"
RANDOM, FORA = "random", "FORA"
LEARNING_TO_CACHE = "Learning-to-Cache"
AS_AUTHORS = "Learning-to-Cache, labels dropped and steps drawn"
SEARCH, SEARCH_PREDICTION = "Search", "Search + prediction"
SEARCH_REFITTED = f"{SEARCH_PREDICTION}, refitted"
OURS = SEARCH, SEARCH_PREDICTION, SEARCH_REFITTED
FORA_PREDICTION, HARMONICA_PREDICTION = "FORA + prediction", "HarmoniCa + prediction"
FORA_REFITTED = f"{FORA_PREDICTION}, refitted"
RELEASED_PREDICTION = f"{LEARNING_TO_CACHE} + prediction, released"
EVOLUTION = "Evolution"
PRUNING, PTQ, EFFICIENTDM = "Diff-Pruning", "PTQ", "EfficientDM"  # compressed models
QUANTISED_HARMONICA, QUANTISED_SEARCH = "EfficientDM + HarmoniCa", "EfficientDM + search"
USUAL = "W8A8"  # form of quantisation
FASTER_DIFFUSION, DEEPCACHE = "Faster Diffusion", "DeepCache"


@dataclass(frozen=True, kw_only=True)
class Method:
    """How a method is called and drawn. plain: it needs neither training nor a search, so a method
    that does must beat it. marker: as matplotlib's. open: its markers are not filled.
    """

    name: str
    color: str
    marker: str | tuple
    line: str = "-"
    open: bool = False
    plain: bool = False

    @property
    def look(self):
        """Keywords of matplotlib's plot."""
        keywords = {"color": self.color, "marker": self.marker, "linestyle": self.line}
        return keywords | ({"markerfacecolor": "none"} if self.open else {})


# In the order of legends. Colours tell families apart; markers and lines tell all of them apart, in
# grey too. Of the lambdas: diamond is leave-one-out, circle cumulative; open is hard scores.
BLACK, GREY, SKY, ORANGE, BLUE = "#000000", "#999999", "#56b4e9", "#e69f00", "#0072b2"
GREEN, RED, PURPLE = "#009e73", "#d55e00", "#aa3377"
METHODS = {
    method.name: method
    for method in (
        Method(name=FEWER, color=BLACK, marker="o", plain=True),
        Method(name=FORA, color=SKY, marker="s", plain=True),
        Method(name="FORA, interval 3", color=SKY, marker="s", line="--", plain=True),
        Method(name="FORA, interval 4", color=SKY, marker="s", line="-.", plain=True),
        Method(name="FORA, interval 5", color=SKY, marker="s", line=":", plain=True),
        Method(name="FORA + Taylor", color=SKY, marker="<", line="--", plain=True),
        Method(name="FORA + Taylor 2", color=SKY, marker="P", line=":", plain=True),
        Method(name=FORA_PREDICTION, color=SKY, marker=">", plain=True),
        Method(name=FORA_REFITTED, color=SKY, marker=(6, 1, 0), line="-."),
        Method(name=FASTER_DIFFUSION, color=ORANGE, marker="^", line="-.", plain=True),
        Method(name=DEEPCACHE, color=ORANGE, marker="v", line="--", plain=True),
        Method(name="SmoothCache", color=ORANGE, marker="h", plain=True),
        Method(name=RANDOM, color=GREY, marker="x", line=":", plain=True),
        Method(name=EVOLUTION, color=ORANGE, marker="1", line="--"),
        Method(name=LEARNING_TO_CACHE, color=BLUE, marker="^", line="--"),
        Method(name=ALL_PAIRS, color=BLUE, marker="^", line="--"),
        Method(
            name=f"{LEARNING_TO_CACHE} + prediction, all pairs", color=BLUE, marker="p", line="-."
        ),
        Method(name=RELEASED, color=BLUE, marker="v", line=":"),
        Method(name=RELEASED_PREDICTION, color=BLUE, marker="8", line=":"),
        Method(name=f"{LEARNING_TO_CACHE}, labels dropped", color=BLUE, marker="<", line=":"),
        Method(name=f"{LEARNING_TO_CACHE}, steps drawn", color=BLUE, marker=">", line="-."),
        Method(name=AS_AUTHORS, color=BLUE, marker="d"),
        Method(name=SDT_MSE, color=GREEN, marker="P", line="-."),
        Method(name=DIRECT, color=GREEN, marker="H", line="--"),
        Method(name=HARMONICA, color=RED, marker="D"),
        Method(name=HARMONICA_PREDICTION, color=RED, marker="d", line="--"),
        Method(name=CUMULATIVE, color=RED, marker="o", line="--"),
        Method(name=HARD, color=RED, marker="D", open=True),
        Method(name=BOTH, color=RED, marker="o", line="--", open=True),
        Method(name=SEARCH, color=PURPLE, marker="*", line="-."),
        Method(name=SEARCH_PREDICTION, color=PURPLE, marker="X"),
        Method(name=SEARCH_REFITTED, color=PURPLE, marker=(4, 1, 0), line="--"),
        Method(name=PRUNING, color=GREY, marker="P", line="--"),
        Method(name=PTQ, color=GREY, marker="v", line="-."),
        Method(name=EFFICIENTDM, color=GREY, marker="8"),
        Method(name=QUANTISED_HARMONICA, color=RED, marker="8", line="--"),
        Method(name=QUANTISED_SEARCH, color=PURPLE, marker="8", line="-."),
    )
}


def method(name):
    """The Method of this name. A variant ("family, form") looks like its family with an open
    marker; the usual form, W8A8, keeps the family's own. BadInput where neither has a line here.
    """
    family, *form = name.split(", ")
    check(
        name in METHODS or family in METHODS,
        "method",
        name,
        "analysis/methods.py has no line for it; add one, or take one of its names",
    )
    return METHODS.get(name) or replace(METHODS[family], name=name, open=form != [USUAL])


def name(row):
    """A row's method as legends and claims call it: with its form, and one name for every number of
    fewer steps.
    """
    if row.uncached:
        return FEWER
    return f"{row.method}, {row.form.replace('-', ' ')}" if row.form else row.method


def label(row):
    """A row's method as tables call it: the uncached rows by their sampler."""
    if not row.uncached:
        return row.method
    return UNCACHED if is_uncached(row) else f"{row.sampler}, {row.num_steps} steps"


def called(row):
    """A row's method as comparisons call it: `label` for uncached rows, else `name`."""
    return label(row) if row.uncached else name(row)


def marked(name):
    """A method's name, with a mark where it is ours and not the paper's."""
    return f"{name} (ours)" if name in OURS else name


def is_uncached(row):
    """Whether a row is the model that all others are compared with."""
    return row.uncached and row.num_steps == row.runs[0].against


def series(row):
    """The line of a figure that a row belongs to: all intervals of one method are one line."""
    return re.sub(r", interval \d+$", "", name(row))


def place_of(name):
    """Where a name stands in the order of METHODS: its own place, else that of the method it is a
    form of; before all of them what is no method. Round brackets at its end make no difference.
    """
    order = [*METHODS]
    bare = name.split(" (")[0]
    names = [known for known in (bare, bare.split(", ")[0]) if known in order]
    return order.index(names[0]) if names else -1


def look(name):
    return method(name).look
