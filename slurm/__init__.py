"""Runs on a Slurm cluster, or on a rehearsal of one: `local_cluster` starts a real one-node Slurm
on this machine.
"""
