"""What a router is trained for: IEPO's proxy of the image error, or the final image itself."""

from ..ablation import DIRECT, HARMONICA, SDT_MSE, group_of, learned

CURS = (35, 50)


def table(scale, rows="core", num_seeds=1):
    """SDT with MSE, SDT with IEPO, and training through the whole walk, at equal CUR and with
    equally many updates of each row.
    """
    group = group_of("what a router is trained for", scale, num_seeds)
    return [
        group.uncached(),
        *(learned(group, method, cur) for cur in CURS for method in (SDT_MSE, HARMONICA, DIRECT)),
    ]
