"""Evidence from a GPU, in ten minutes: what `make bench` and the tests cannot show without one.

    python -m tools.gpu_evidence --wheels FOLDER

There are five parts, in this order: a. every backend is exact on CUDA; b. speed of the published
shapes; c. an SDT update, lambda and a linearisation of the search at the published size; d. images
per second of the whole chain; e. a small experiment that must give the same as on the CPU. Each
runs in its own process and writes its JSON after every item. An item that fails, or for which no
time is left, is recorded with the reason, and the others go on. Weights are random, except in e, so
nothing is downloaded.
"""
