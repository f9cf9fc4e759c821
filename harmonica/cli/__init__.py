"""The verbs of the command line. `add(commands)` of a module declares its verbs and their options;
torch is imported only when a verb runs.
"""
