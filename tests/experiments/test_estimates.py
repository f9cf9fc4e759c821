"""What the paper scale takes is arithmetic over counted quantities: they agree with what small
models show.
"""

from dataclasses import replace
from importlib import import_module

import pytest
import torch

from harmonica import weights
from harmonica.errors import BadInput
from harmonica.fast.training import fast_pair
from harmonica.lab import estimates
from harmonica.lab.makings import ModelSpec, ScheduleSpec
from harmonica.method import sdt
from harmonica.method.denoise import Denoiser
from harmonica.method.learner import Learner
from harmonica.method.train import initial_logits
from harmonica.samplers import DDIM
from harmonica.search.settings import Settings
from harmonica.weights import catalogue
from harmonica.weights.specs import PromptSpec

MODEL = ModelSpec(name="DiT-XL-2-512x512.pt", sha256="absent", scale="paper")


@pytest.fixture(autouse=True)
def no_weights(tmp_path, monkeypatch):
    for name in ("HARMONICA_WEIGHTS", "HARMONICA_ROUTERS", "HF_HUB_CACHE"):
        monkeypatch.setenv(name, str(tmp_path / "weights"))


def table(name="dit_xl2_256", rows="core"):
    return import_module(f"experiments.{name}.config").table("paper", rows)


def test_a_forward_is_its_blocks():
    units = 28 * (12 * 1024 * 1152**2 + 2 * 1024**2 * 1152)
    assert estimates.forward_macs(MODEL) == units


@pytest.mark.parametrize("checkpointed", [False, True])
def test_saved_activations_are_what_autograd_saves(tiny_dit, checkpointed):
    """Of one update, in numbers per image half, token, channel and layer."""
    backbone, batch = tiny_dit(dtype=torch.float32, width=64, heads=4, depth=8, sample_size=16), 4
    denoiser = Denoiser(backbone, DDIM(), DDIM().timesteps(4), torch.arange(batch), scale=1.5)
    point = denoiser.advance(denoiser.begin(torch.randn(batch, 4, 16, 16)), denoiser.computed)
    learner, kept = Learner(initial_logits(4, 16, 0), tau=0.1, lr=0.01), {}
    own = {p.untyped_storage().data_ptr() for p in backbone.parameters()}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage  # held, so that no address is used twice
        return tensor

    def counted(step, r, data_loss):
        found.append(
            sum(storage.nbytes() for storage in kept.values()) / (4 * 2 * batch * 64 * 64 * 8)
        )
        raise InterruptedError  # before the backward pass, which checkpointing lets compute again

    learner.update, found = counted, []
    with (
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
        pytest.raises(InterruptedError),
    ):
        denoiser.advance(point, sdt.update_by(denoiser, learner, fast_pair(backbone, checkpointed)))
    assert (
        0.9 * estimates.SAVED_PER_LAYER[checkpointed]
        < found[0]
        < estimates.SAVED_PER_LAYER[checkpointed]
    )


def test_batch_64_fits_one_gpu_of_80_gb():
    """At 512 px by checkpointing alone."""
    routers = [
        row.runs[0].router
        for name in ("dit_xl2_256", "dit_xl2_512")
        for row in table(name)
        if row.runs[0].router
    ]
    assert all(estimates.training_bytes(router) < 80e9 for router in routers)
    assert (
        estimates.training_bytes(
            replace(routers[-1], training=replace(routers[-1].training, checkpoint=False))
        )
        > 80e9
    )


def test_a_search_fits_one_gpu_of_80_gb():
    searches = [
        row.runs[0].made
        for name in ("dit_xl2_256", "dit_xl2_512")
        for row in table(name)
        if row.runs[0].made
    ]
    assert len(searches) == 4 and {spec.num_steps for spec in searches} == {10, 20, 50}
    assert all(estimates.search_bytes(spec) < 80e9 for spec in searches)
    whole = replace(searches[0], settings=replace(searches[0].settings, batch=None))
    assert estimates.search_bytes(whole) > 80e9


def test_memory_follows_the_family_of_the_model():
    """A U-ViT has a middle block, a PixArt a third unit in each layer; only a DiT's modulations are
    copied.
    """
    router = next(row.runs[0].router for row in table() if row.runs[0].router)
    search = next(row.runs[0].made for row in table() if row.runs[0].made)
    texts = PromptSpec(name="c", sha256="absent", embeddings="e", pixels=256)
    uvit = replace(router.model, name=catalogue.UVIT)
    pixart = replace(router.model, name="PixArt-alpha/unknown", prompts=texts)
    for bytes_of, spec in ((estimates.training_bytes, router), (estimates.search_bytes, search)):
        dit = spec.model
        batches = [replace(spec, model=model) for model in (dit, uvit, pixart)]
        features = [bytes_of(one) - 4 * estimates._parameters(one.model) for one in batches]
        assert features[1] / features[0] == pytest.approx(29 / 28)
        assert features[2] / features[0] == pytest.approx(3 / 2)
        assert estimates._parameters(uvit) < estimates._parameters(pixart)
        assert estimates._parameters(pixart) < estimates._parameters(dit)


def test_weights_by_a_formula_take_no_forwards():
    fields = {"model": MODEL, "num_steps": 20, "interval": 2, "settings": Settings()}
    fitted = ScheduleSpec(making="fitted", **fields)
    assert estimates.seconds(ScheduleSpec(making="taylor", order=1, **fields)) == 0
    assert estimates.seconds(fitted) > 0


def test_the_dry_run_says_what_is_needed(refused_here, cli):
    said = cli("run", "dit_xl2_256", "--scale", "paper", "--dry-run").stdout
    for words in (
        "of one GPU for sampling",
        "ASSUMING",
        "GB of images",
        "on each of 4 (estimate)",
        "for searches",
        "largest search",
        "DiT-XL-2-256x256.pt does not exist",
        "VIRTUAL_imagenet256_labeled.npz",
        "stabilityai/sd-vae-ft-ema",
        "latents prepare",
        "DDIM50_router.pt",
    ):
        assert words in said, words
    refused_here(
        "run",
        "dit_xl2_sanity",
        "--scale",
        "paper",
        words=[
            "DiT-XL-2-256x256.pt does not exist",
            "github.com/facebookresearch/DiT",
            "more are missing, listed above",
        ],
    )


def test_images_on_disk():
    uncached = table()[0].runs[0]
    assert estimates.disk_bytes(uncached) == 50_000 * 3 * 256 * 256


def test_a_file_that_came_between_is_not_taken_for_another(tmp_path):
    """A spec that was named before its file was there has no hash; it is refused rather than run
    under such an id.
    """
    model = table("dit_xl2_512")[0].runs[0].model
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / model.name).write_bytes(b"here now")
    assert model.sha256 == weights.ABSENT
    with pytest.raises(BadInput, match="give the command again"):
        weights.checked(model.name, model.sha256)
