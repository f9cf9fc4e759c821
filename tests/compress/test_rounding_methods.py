"""How weights are rounded: AdaRound and EfficientDM beat the nearest code, and resume."""

from dataclasses import replace

import pytest
import torch

from harmonica.compress import adaround, efficientdm, transform
from harmonica.compress.observe import Seen, inputs, walk
from harmonica.compress.quantise import install, layers
from harmonica.compress.rounding import rounded
from harmonica.compress.settings import AdaRound, EfficientDM
from harmonica.errors import BadInput


def test_adaround_changes_a_layers_output_less_than_the_nearest_codes(quantisation, tmp_path):
    torch.manual_seed(0)
    layer = torch.nn.Linear(24, 12).requires_grad_(False)
    rows = torch.randn(4, 100, 6) @ torch.randn(6, 24)  # inputs that are correlated
    seen = Seen(rows, rows.amin((1, 2)), rows.amax((1, 2)))
    settings = replace(
        quantisation(3, 8), rounding=AdaRound(iterations=300, batch=64, lr=0.05, pull=0.1)
    )
    name = "transformer_blocks.0.ff.net.2"
    begin = {name: adaround.nearest(layer.weight, 3, adaround.ranges(seen, name, 8, False))}
    learned = adaround.learn({name: layer}, {name: seen}, begin, settings, tmp_path / "state")

    def error(own):
        return (rows @ (own.weight() - layer.weight).T).square().mean()

    assert error(learned[name]) < 0.7 * error(begin[name])
    steps = (learned[name].weight() - layer.weight).abs() / begin[name].range.scale[:, None]
    inside = rounded(layer.weight, begin[name].range) - layer.weight
    whole = inside.abs() <= 0.5 * begin[name].range.scale[:, None]
    assert (steps[whole] <= 1.0001).all()  # up or down, no further


def test_before_the_blocks_more_noise_fits_in_than_was_seen():
    """A value cut off there is an image lost: rare, as 64 000 more numbers show."""
    rng = torch.Generator().manual_seed(0)
    rows = torch.randn(2, 128, 64, generator=rng)
    seen = Seen(rows, rows.amin((1, 2)), rows.amax((1, 2)))
    wide = adaround.ranges(seen, "pos_embed.proj", 8, True)
    assert len(wide.scale) == len(wide.zero) == 2  # a row for each step
    alike = adaround.ranges(seen, "pos_embed.proj", 8, False)
    assert alike.scale[0] == alike.scale[1] and len(alike.scale) == len(alike.zero) == 2
    noise = torch.randn(2, 64_000, generator=rng)
    apart = (rounded(noise, wide) - noise).abs().amax(1)
    assert (apart < 0.51 * wide.scale).all()


def nearest(loaded, settings):
    seen, own = inputs(loaded, settings), layers(loaded.backbone)
    return {
        name: adaround.nearest(layer.weight, 4, adaround.ranges(seen[name], name, 8, True))
        for name, layer in own.items()
    }


def error(loaded, rounded, settings):
    """Of the model's output along the plain model's walk."""
    teacher, x = walk(loaded, settings, 99, 4)
    own = install(loaded, rounded, teacher.timesteps)
    student, _ = walk(own, settings, 99, 4)
    point, total = teacher.begin(x), 0.0
    with torch.no_grad():
        while point.step < len(teacher.timesteps):
            wanted, _ = teacher.computed(point.step, point.x, point.cache)
            found, _ = student.computed(point.step, point.x, point.cache)
            total += float((found - wanted).square().sum())
            point = teacher.advance(point, teacher.computed)
    return total


def test_efficientdm_begins_with_the_nearest_codes_and_lowers_the_error(
    tiny_model, quantisation, tmp_path
):
    settings = quantisation(4, 8)
    begin = nearest(tiny_model, settings)
    none = replace(
        settings,
        rounding=EfficientDM(
            trajectories=1, batch=1, rank=2, factor_rate=1e-20, scale_rate=1e-20, input_rate=1e-20
        ),
    )
    same = efficientdm.learn(tiny_model, begin, none, tmp_path / "none")
    for name, own in begin.items():
        assert torch.equal(same[name].codes, own.codes)
        assert torch.equal(same[name].inputs.zero, own.inputs.zero)
    more = EfficientDM(trajectories=30, batch=8, rank=8, factor_rate=0.01, input_rate=1e-5)
    learned = efficientdm.learn(
        tiny_model, begin, replace(settings, rounding=more), tmp_path / "more"
    )
    assert error(tiny_model, learned, settings) < 0.8 * error(tiny_model, begin, settings)


@pytest.mark.parametrize("what", ["efficientdm", "pruning"])
def test_a_killed_training_resumes_to_the_same_bits(
    tiny_model, quantisation, pruning, tmp_path, killed_after, monkeypatch, what
):
    settings = quantisation(4, 8) if what == "efficientdm" else pruning
    module = {"efficientdm": "efficientdm", "pruning": "finetune"}[what]
    monkeypatch.setattr(f"harmonica.compress.{module}.SAVE_EVERY", 1)  # trajectory or step
    whole, _ = transform.compress(tiny_model, settings, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        transform.compress(tiny_model, settings, tmp_path / "killed", killed_after(2))
    resumed, _ = transform.compress(tiny_model, settings, tmp_path / "killed")
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())


def test_a_lost_file_is_named(tiny_model, tmp_path):
    with pytest.raises(BadInput, match="does not exist"):
        transform.restore(tiny_model, tmp_path / "none.safetensors")
    (tmp_path / "cut.safetensors").write_bytes(b"cut")
    with pytest.raises(BadInput, match="not a whole compressed model"):
        transform.restore(tiny_model, tmp_path / "cut.safetensors")
