"""`python -m harmonica families` and the page that it prints."""

from collections import defaultdict
from pathlib import Path

import diffusers
import pytest
from tiny_transformers import TINY, tiny

from harmonica.backbones.generic import Units
from harmonica.cli.families import page
from harmonica.method.cache import compute_all
from harmonica.pipeline.families import NOT_TRIED, transformer_classes, units_per_block

PAGE = Path(__file__).resolve().parents[2] / "docs" / "families.md"


def test_every_transformer_of_diffusers_is_tried_or_listed():
    assert set(transformer_classes()) == {*TINY, *NOT_TRIED}


@pytest.mark.parametrize("name", TINY)
def test_listed_units_are_those_that_a_forward_calls(name):
    model, inputs = tiny(name)
    with Units(model) as units:
        units.run(compute_all, **inputs)
    called = defaultdict(set)
    for path, block in zip(units.names, units.blocks):
        unit = path.removeprefix(block + ".")
        called[block.rpartition(".")[0]].add(unit)
    listed = units_per_block(getattr(diffusers, name))
    for stack, names in called.items():
        plain = {unit.replace(" (twice)", "") for unit in listed[stack]}
        again = {unit.replace(" (twice)", " (call 2)") for unit in listed[stack] if "(" in unit}
        assert names == plain | again


def test_the_page_in_docs_is_what_the_command_prints():
    committed = PAGE.read_text()
    if f"diffusers {diffusers.__version__}\n" not in committed:
        pytest.skip("docs/families.md is of another diffusers")
    assert page() == committed
