"""Here the command line is `python -m experiments`."""

from functools import partial

import pytest


@pytest.fixture
def cli(cli):
    return partial(cli, module="experiments")


@pytest.fixture
def main():
    from experiments.__main__ import main

    return main
