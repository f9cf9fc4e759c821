"""The verbs of the command line, one module each. `add(commands)` declares a verb's options; torch
is imported only when a verb runs.
"""
