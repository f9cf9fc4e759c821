"""Evidence from a GPU: what `make bench` and the tests cannot tell without one, in ten minutes.

    python -m tools.gpu_evidence --wheels FOLDER

Five parts in this order, each in a process of its own that writes its JSON after every item: a.
every backend is exact on CUDA; b. speed of the published shapes; c. an SDT update, lambda and a
linearisation of the search at the published size; d. images per second of the whole chain; e.
a small experiment that must come out as on the CPU. What fails or has no time left is written down
with the reason, and the rest goes on. Random weights everywhere but in e: nothing is downloaded.
"""
