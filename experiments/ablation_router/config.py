"""How a router is initialised, how fast it learns and how beta is found, each beside what the
tables use; and the paper's Lagrangian with a given beta, over a range of betas.
"""

from ..ablation import HARMONICA, group_of, learned
from ..ablation_threshold.config import SETTINGS

CUR = 50
FACTORS = (0.1, 0.3, 1, 3, 10)  # of the beta that ablation_threshold has
CHANGED = {
    "all begin at 0.5": {"initial": 0.0},
    "all begin at 0.88": {"initial": 2.0},
    "beta as a multiplier": {"dual": True},
}
RATES = {"smoke": (0.03, 0.3), "digits": (0.03, 0.3), "paper": (0.003, 0.03)}


def table(scale, rows="core", num_seeds=1):
    """At one CUR; then one row for each beta, whose CUR its scores give."""
    group = group_of("router", scale, num_seeds)
    changed = {f"learning rate {lr:g}": {"lr": lr} for lr in RATES[scale]} | CHANGED
    table_rows = [group.uncached(), learned(group, HARMONICA, CUR)]
    table_rows += [
        learned(group, HARMONICA, CUR, name=f"HarmoniCa, {change}", **settings)
        for change, settings in changed.items()
    ]
    beta_group = group_of("beta given", scale, num_seeds)
    threshold_settings = SETTINGS[scale]
    table_rows.append(beta_group.uncached())
    for factor in FACTORS:
        beta = float(f"{factor * threshold_settings['beta']:.3g}")
        name = f"HarmoniCa, beta = {beta:g}"
        table_rows.append(
            learned(beta_group, HARMONICA, name=name, **{**threshold_settings, "beta": beta})
        )
    return table_rows
