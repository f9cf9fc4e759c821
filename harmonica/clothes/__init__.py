"""The clothes scale: Fashion-MNIST (Xiao, Rasul & Vollgraf, 2017), photographs of garments, 28 x 28
pixels, and a small diffusion transformer that shows what a method does to a picture.

"dit-clothes" is a DiT of 12 layers (N = 24), 49 tokens (patch 4), 3.5 million parameters. How it is
trained, sampled and measured is the digits' code; here is what differs. weights/ is for what ships.
"""
