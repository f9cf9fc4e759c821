"""The distance by which lambda compares the image with reuse and without: the paper's squared norm
or another one.
"""

from ..ablation import HARMONICA, group_of, learned

CUR = 50
DISTANCES = {
    "lambda by absolute differences": "absolute",
    "lambda relative to the image": "relative",
    "lambda by its logarithm": "log",
    "lambda by the judge's features": "features",
}


def table(scale, rows="core", num_seeds=1):
    """At paper scale no judge of latents is known: its row is left out."""
    group = group_of("distance of lambda", scale, num_seeds)
    distances = {
        name: distance
        for name, distance in DISTANCES.items()
        if scale != "paper" or distance != "features"
    }
    return [
        group.uncached(),
        learned(group, HARMONICA, CUR),
        *(
            learned(group, HARMONICA, CUR, name=f"HarmoniCa, {name}", lambda_distance=distance)
            for name, distance in distances.items()
        ),
    ]
