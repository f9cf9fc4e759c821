"""What tests of pipelines share."""

import pytest


@pytest.fixture
def pipe(tiny_pipe, kind):
    """A tiny pipeline of the `kind` that the test is parametrized by (see dit_and_pixart)."""
    return tiny_pipe(kind)
