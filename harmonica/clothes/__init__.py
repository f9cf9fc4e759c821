"""The clothes scale: Fashion-MNIST (Xiao, Rasul & Vollgraf, 2017), photographs of garments, 28 x 28
pixels, with a small diffusion transformer that shows what a method does to a picture.

"dit-clothes" is a DiT with 12 layers (N = 24), 49 tokens (patch 4) and 3.7 million parameters. It
is trained, sampled and measured by the digits' code; this folder has what differs. weights/
holds its base models, and what they are measured with.
"""
