"""The verbs of the command line, one module each: `add(commands)` declares its options; torch is
imported when it runs.
"""
