"""What the ablations share: one group of rows on one model, whose methods differ in a setting or
two, at any scale.
"""

from dataclasses import replace

from harmonica.method.settings import RouterTraining

from . import paper_scale, small_scale

RELEASED = "Learning-to-Cache, released"  # as published: it reuses at every second step alone
ALL_PAIRS = "Learning-to-Cache, all pairs"  # this repository's form: it may reuse at every step
SDT_MSE = "SDT + MSE"
DIRECT = "x_0 itself"  # trained through the whole walk
HARMONICA = "HarmoniCa"  # SDT + IEPO: leave-one-out, soft scores
CUMULATIVE = "SDT + IEPO, cumulative"
HARD = "SDT + IEPO, hard scores"
BOTH = "SDT + IEPO, cumulative, hard scores"
IEPO_VARIANTS = (HARMONICA, CUMULATIVE, HARD, BOTH)
METHODS = {
    RELEASED: {"walk": "ltc", "ltc_form": "released", "objective": "mse"},
    ALL_PAIRS: {"walk": "ltc", "ltc_form": "all-pairs", "objective": "mse"},
    SDT_MSE: {"walk": "sdt", "objective": "mse"},
    DIRECT: {"walk": "direct", "objective": "mse"},
    HARMONICA: small_scale.HARMONICA,
    CUMULATIVE: {**small_scale.HARMONICA, "objective": "cumulative"},
    HARD: {**small_scale.HARMONICA, "lambda_scores": "hard"},
    BOTH: {"walk": "sdt", "objective": "cumulative", "lambda_scores": "hard"},
}
STEPS = {"smoke": 4, "digits": 10, "paper": 10}


def group_of(name, scale, seeds, sampler="ddim", guidance=1.0):
    """The Group of an ablation. seeds: how many replicates, which at paper scale share one base
    model. guidance: of small scales; at paper scale it is the paper's.
    """
    small_scale.check_scale(scale, *STEPS)
    if scale == "paper":
        base, budget = paper_scale.dit_xl2_256(), paper_scale.Budget()
        return budget.group(base, STEPS[scale], seeds, title=name, sampler=sampler)
    label, models = {
        "digits": ("DiT-digits 16 tokens", "dit-digits"),
        "smoke": ("smoke", "smoke"),
    }[scale]
    group = small_scale.group(
        scale, models, label, STEPS[scale], seeds, title=name, sampler=sampler
    )
    return replace(group, guidance=guidance)  # its label leaves it out: the group's name says it


def learned(group, method, cur=None, *, name=None, of=0, sampler=None, last=False, **settings):
    """A row of routers trained as METHODS[method] says, with `settings` changed.

    name: of the row, by default the method. of, sampler: to use the router of another model or
    sampler, see Group.learned. last: whether the last step reuses every block.
    """
    trained = training(group.scale, method, cur, **settings)
    return group.learned(name or method, trained, of=of, sampler=sampler, reuse_last_step=last)


def training(scale, method, cur, **settings):
    """The RouterTraining of a method as in Tables 1 and 2, with `settings` changed. At paper scale
    every trained row of a router gets equally many updates, whatever the method.
    """
    fields = METHODS[method]
    if scale != "paper":
        return small_scale.training(scale, fields, cur, **settings)
    budget, num_steps = paper_scale.Budget(), STEPS[scale]
    sdt = fields["walk"] != "ltc"
    published = paper_scale.HARMONICA if sdt else paper_scale.LEARNING_TO_CACHE
    refreshed = {"refresh": budget.refresh // num_steps, "lambda_batch": budget.sdt_batch}
    common = {
        **paper_scale.COMMON,
        "lr": published["lr"],
        "batch": budget.sdt_batch if sdt else budget.ltc_batch,
        "trajectories": budget.iterations // num_steps,
        **({} if fields["objective"] == "mse" else refreshed),
    }
    return RouterTraining(**{**common, "cur_percent": cur, **fields, **settings})
