"""What the paper scale takes is arithmetic over counted quantities: they agree with what small models show."""
from importlib import import_module

import pytest
import torch

from harmonica import BadInput, outlook, sdt, weights
from harmonica.backbones.dit import attention_macs, feed_forward_macs
from harmonica.denoise import Denoiser
from harmonica.runs import ModelSpec
from harmonica.samplers import DDIM
from harmonica.training import Learner, initial_logits

MODEL = ModelSpec(name="DiT-XL-2-512x512.pt", sha256="absent", scale="paper")


@pytest.fixture(autouse=True)
def no_weights(tmp_path, monkeypatch):
    for name in ("HARMONICA_WEIGHTS", "HARMONICA_ROUTERS", "HF_HUB_CACHE"):
        monkeypatch.setenv(name, str(tmp_path / "weights"))


def table(name="dit_xl2_256", rows="core"):
    return import_module(f"experiments.{name}.config").table("paper", rows)


def test_a_forward_is_its_blocks():
    units = 28 * (attention_macs(1024, 1152) + feed_forward_macs(1024, 1152, 4 * 1152))
    assert outlook.forward_macs(MODEL) == units


def test_saved_activations_are_what_autograd_saves(tiny_dit):
    """Of one update, in numbers per image half, token, channel and layer."""
    backbone, batch = tiny_dit(dtype=torch.float32, width=64, heads=4, depth=4, sample_size=16), 4
    denoiser = Denoiser(backbone, DDIM(), DDIM().timesteps(4), torch.arange(batch), scale=1.5)
    point = denoiser.advance(denoiser.begin(torch.randn(batch, 4, 16, 16)), denoiser.computed)
    learner, sizes = Learner(initial_logits(4, 8, 0), tau=0.1, lr=0.01), {}
    own = {p.untyped_storage().data_ptr() for p in backbone.parameters()}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            sizes[storage.data_ptr()] = storage.nbytes()
        return tensor
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        denoiser.advance(point, sdt.update_by(denoiser, learner))
    assert 0.9 * outlook.SAVED_PER_LAYER < sum(sizes.values()) / (4 * 2 * batch * 64 * 64 * 4) < outlook.SAVED_PER_LAYER


def test_batch_64_fits_one_gpu_at_256_px_and_four_at_512():
    largest = {name: max(outlook.training_bytes(row.runs[0].router, gpus) for row in table(name) if row.runs[0].router)
               for name, gpus in (("dit_xl2_256", 1), ("dit_xl2_512", 4))}
    assert all(size < 80e9 for size in largest.values())
    assert largest["dit_xl2_512"] == pytest.approx(largest["dit_xl2_256"], rel=0.01)     # four times the tokens


def test_the_dry_run_says_what_is_needed(refused_here, cli):
    said = cli("run", "dit_xl2_256", "--scale", "paper", "--dry-run").stdout
    for words in ("GPU-hours of sampling", "ASSUMING", "GB of images", "on each of 4 (estimate)", "DiT-XL-2-256x256.pt does not exist",
                  "VIRTUAL_imagenet256_labeled.npz", "stabilityai/sd-vae-ft-ema", "latents prepare", "DDIM50_router.pt"):
        assert words in said, words
    refused_here("run", "dit_xl2_sanity", "--scale", "paper", words=["DiT-XL-2-256x256.pt does not exist", "github.com/facebookresearch/DiT",
                                                                    "more are missing, listed above"])


def test_images_on_disk():
    uncached = table()[0].runs[0]
    assert outlook.disk_bytes(uncached) == 50_000 * 3 * 256 * 256


def test_a_file_that_came_between_is_not_taken_for_another(tmp_path):
    """A spec that was named before its file was there has no hash; it is refused rather than run under such an id."""
    model = table("dit_xl2_512")[0].runs[0].model
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / model.name).write_bytes(b"here now")
    assert model.sha256 == weights.ABSENT
    with pytest.raises(BadInput, match="give the command again"):
        weights.checked(model.name, model.sha256)
