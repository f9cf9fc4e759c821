"""Runs on a Slurm cluster. tools/local_cluster starts a real one-node Slurm to rehearse on."""
