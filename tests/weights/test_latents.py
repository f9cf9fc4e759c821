"""Images become latents once: from folders or tars alike, in any number of sittings, read back by
index.
"""

import io
import tarfile

import numpy as np
import pytest
import torch
from PIL import Image

from harmonica import weights
from harmonica.errors import BadInput
from harmonica.weights import class_folders, latents
from harmonica.weights.specs import FileSpec
from harmonica.weights.vae import Vae

CLASSES = {"n01": [(40, 33), (64, 70)], "n02": [(32, 32), (130, 90), (50, 40)]}


@pytest.fixture(scope="module")
def vae(tiny_vae):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARMONICA_WEIGHTS", str(tiny_vae.parent))
        return Vae(FileSpec(name=tiny_vae.name, sha256=weights.sha256(tiny_vae)))


def png(size, seed):
    content = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(256, size=(size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(content, "png")
    return content.getvalue()


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """The same images as class folders, as ImageNet's class tars, and as WebDataset shards."""
    root = tmp_path_factory.mktemp("images")
    for kind in ("folders", "tars", "shards"):
        (root / kind).mkdir()
    shard = tarfile.open(root / "shards" / "00000.tar", "w")
    for label, (name, sizes) in enumerate(CLASSES.items()):
        (root / "folders" / name).mkdir()
        with tarfile.open(root / "tars" / f"{name}.tar", "w") as tar:
            for i, size in enumerate(sizes):
                content = png(size, 10 * label + i)
                (root / "folders" / name / f"{i}.png").write_bytes(content)
                _add(tar, f"{name}_{i}.png", content)
                _add(shard, f"{label}{i}.png", content)
                _add(shard, f"{label}{i}.cls", str(label).encode())
    shard.close()
    return root


def _add(tar, name, content):
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))


def all_of(folder):
    images, left_out = class_folders.below(folder)
    assert left_out is None
    return images


def read(out, monkeypatch):
    monkeypatch.setenv("HARMONICA_LATENTS", str(out))
    images, labels = latents.training_images(4, 4)
    return images[np.arange(len(images))], labels


def test_folders_tars_and_shards_give_the_same_latents(folders, vae, tmp_path, monkeypatch):
    for kind in ("folders", "tars", "shards"):
        about = latents.prepare(all_of(folders / kind), tmp_path / kind, vae, size=32)
        assert (about["num_images"], about["num_classes"], about["mode"]) == (5, 2, "sample")
    found = [read(tmp_path / kind, monkeypatch) for kind in ("folders", "tars", "shards")]
    assert all(
        torch.equal(found[0][0], other[0]) and other[1].tolist() == [0, 0, 1, 1, 1]
        for other in found
    )
    assert found[0][0].shape == (5, 4, 4, 4) and found[0][0].dtype == torch.float32


def test_a_killed_preparation_goes_on_to_the_same_bytes(folders, vae, tmp_path, monkeypatch):
    monkeypatch.setattr(latents, "PART", 2)
    latents.prepare(all_of(folders / "folders"), tmp_path / "whole", vae, size=32)
    monkeypatch.setattr(latents, "BATCH", 1)

    def killed(parts):
        yield from list(parts)[:2]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        latents.prepare(
            all_of(folders / "folders"), tmp_path / "cut", vae, size=32, progress=killed
        )
    with pytest.raises(BadInput, match="missing or damaged .* latents prepare"):
        read(tmp_path / "cut", monkeypatch)
    before = (tmp_path / "cut" / "latents-00001.npy").stat().st_mtime_ns
    latents.prepare(all_of(folders / "folders"), tmp_path / "cut", vae, size=32)
    assert (tmp_path / "cut" / "latents-00001.npy").stat().st_mtime_ns == before
    for part in sorted((tmp_path / "whole").iterdir()):
        assert part.read_bytes() == (tmp_path / "cut" / part.name).read_bytes()
    with pytest.raises(BadInput, match="begun with another size"):
        latents.prepare(all_of(folders / "folders"), tmp_path / "cut", vae, size=64)


def test_noise_is_scaled_by_the_posterior_and_the_decoder_inverts_the_scale(folders, vae):
    pixels = np.stack(
        [
            latents.center_crop(Image.open(path), 32)
            for path in sorted((folders / "folders").rglob("*.png"))
        ]
    )
    mean, sample = (vae.encode(pixels, make(5, 4, 4, 4)) for make in (torch.zeros, torch.ones))
    posterior = vae.model.encode(torch.from_numpy(pixels).float() / 127.5 - 1).latent_dist
    assert np.allclose(mean, 0.18215 * posterior.mean, atol=1e-6) and np.allclose(
        sample - mean, 0.18215 * posterior.std, atol=1e-5
    )
    images = vae.decode(torch.from_numpy(sample))
    assert images.shape == (5, 3, 32, 32) and images.dtype == np.uint8
    assert np.array_equal(
        images[1:3], vae.decode(torch.from_numpy(sample[1:3]))
    )  # an image does not depend on its batch


def test_cropping_takes_the_middle():
    image = Image.new("RGB", (96, 32))
    image.paste((255, 255, 255), (32, 0, 64, 32))
    assert (latents.center_crop(image, 32) == 255).all()
    assert latents.center_crop(Image.new("RGB", (515, 300)), 256).shape == (3, 256, 256)


def test_what_is_not_there_is_said(vae, tmp_path, monkeypatch, refused_here):
    monkeypatch.setenv("HARMONICA_WEIGHTS", str(tmp_path))
    assert latents.training_images(4, 32) is None
    with pytest.raises(BadInput, match="no class folders"):
        class_folders.below(tmp_path)
    refused_here("latents", "prepare", tmp_path, words=["images: ", "no class folders"])
    refused_here(
        "latents", "prepare", tmp_path, "--size", "100", words=["size: 100", "multiple of 8"]
    )
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.png").write_bytes(b"no image")
    refused_here(
        "latents", "prepare", tmp_path, words=["vae: ", "stabilityai/sd-vae-ft-ema", "hf download"]
    )
    with pytest.raises(BadInput, match="x.png cannot be read as an image"):
        latents.prepare(class_folders.below(tmp_path)[0], tmp_path / "out", vae, size=32)
