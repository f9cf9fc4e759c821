"""Image metrics by the protocol of ADM's evaluator (Dhariwal & Nichol, 2021, guided-diffusion),
which the paper's IS, FID, sFID, precision and recall follow: every number is torch-fidelity's, none
is computed by code of ours.

IS is over splits of 5000 unshuffled images; FID is on pooled features; sFID is FID on 7 channels of
a middle map; precision and recall are k-nearest-neighbour ones (k = 3) on pooled features.
features.py turns images into those features, by Inception at the paper scale and by the judge at
the digits scale; scores.py turns features into numbers. adm.py is the whole protocol at the paper
scale, over the files that images.py reads and writes; clean.py is clean-fid's second opinion.
"""
