"""Image metrics by the protocol of ADM's evaluator (Dhariwal & Nichol, 2021, guided-diffusion), as
in the paper: IS, FID, sFID, precision and recall, all computed by torch-fidelity.

IS is the mean over splits of 5000 images in their order. FID is on pooled features, sFID on 7
channels of an intermediate feature map. Precision and recall use the 3 nearest neighbours in pooled
features. features.py turns images into features, by Inception at the paper scale and by the judge
(a small classifier) at the digits scale; scores.py turns features into numbers. adm.py is the whole
protocol at the paper scale, over the files that images.py reads and writes. clip.py is the CLIP
score.
"""
