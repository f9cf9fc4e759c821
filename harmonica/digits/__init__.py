"""The digits scale: scikit-learn's bundled 8x8 handwritten digits, small diffusion transformers,
and a small classifier (the judge) in the place of Inception.

It needs no download and no GPU. The model "dit-digits" has 16 tokens (patch 2) and stands for the
256 px block of Table 1; "dit-digits-fine" has 64 tokens (patch 1) and stands for the 512 px block.
The paper's models have 256 and 1024 tokens there, the same ratio.
"""
