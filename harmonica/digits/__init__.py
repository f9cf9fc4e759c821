"""The digits scale: scikit-learn's bundled 8x8 handwritten digits, small diffusion transformers and
a judge CNN.

No download, no GPU. Images are 8x8 and stay so; model "dit-digits" has 16 tokens (patch 2) and
stands for the 256 px block of Table 1, "dit-digits-fine" has 64 tokens (patch 1) and stands for the
512 px block, as 256 and 1024 tokens do.
"""
