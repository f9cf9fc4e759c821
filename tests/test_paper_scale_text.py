"""The text-to-image chain of the paper scale on a CPU: tiny pipelines and a tiny CLIP as real
folders, counts changed.
"""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from analysis import paper_scale
from analysis.paper_numbers import published
from analysis.tables import TABLE2
from experiments.paper_scale import Base, Budget
from experiments.paper_scale_text import PaperSampler, rows_of
from harmonica import weights
from harmonica.__main__ import main
from harmonica.errors import BadInput
from harmonica.lab.makings import ModelSpec
from harmonica.lab.models import load_model
from harmonica.lab.needed import missing_files
from harmonica.lab.sampling import blocks_of
from harmonica.lab.specs import RunSpec
from harmonica.method.denoise import run_all
from harmonica.metrics import adm
from harmonica.metrics.clip import clip_score
from harmonica.metrics.images import open_images, write_npz
from harmonica.search.settings import Settings
from harmonica.weights import extractors
from harmonica.weights.prompts import NULL, Prompts, prepare
from harmonica.weights.specs import FileSpec, ImageSpec, PromptSpec

CAPTIONS = [
    "a red cube",
    "two dogs on a beach",
    "",
    "the moon",
    "a very long caption about nothing at all",
]
PIXELS = 64  # latents of 8 x 8
PIPELINES = {"alpha": "alpha-sizes", "sigma": "sigma"}
TOKENS, WIDTH = {"alpha": 120, "sigma": 300}, 16
SETTINGS = [
    PaperSampler(sampler="dpm++", num_steps=3, fewer=2, cur_percent=50, fora=True),
    PaperSampler(sampler="iddpm", num_steps=3, cur_percent=50),
    PaperSampler(sampler="sa-solver", num_steps=3, cur_percent=50),
]
QUICK = Settings(images=2, check_images=2, window=2, stages=(1.0,), rounds=0)
BUDGET = Budget(num_images=6, block=4, iterations=6, refresh=3, sdt_batch=2, search=QUICK)


@pytest.fixture(scope="module")
def place(tmp_path_factory, tiny_pipe, tiny_vae, tiny_clip, random_weights, few_features):
    """A folder of weights: two pipelines in diffusers' format, the checkpoints of PixArt's own code
    that they come from, their captions embedded by the command line, a reference.

    alpha's has size conditions, as at 1024 px.
    """
    root = tmp_path_factory.mktemp("text")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARMONICA_WEIGHTS", str(root))
        patch.setattr("harmonica.weights.prompts.PART", 4)
        (root / "captions.txt").write_text("\n".join(CAPTIONS))
        for kind, made in PIPELINES.items():
            tiny_pipe(made).save_pretrained(root / kind)
            null = torch.randn(TOKENS[kind], WIDTH, generator=torch.Generator().manual_seed(4))
            torch.save({"state_dict": {NULL: null}, "epoch": 3}, root / f"{kind}.pth")
            assert (
                main(
                    [
                        "prompts",
                        "prepare",
                        str(root / "captions.txt"),
                        "--model",
                        str(root / kind),
                        "--out",
                        str(root / f"embeddings-{kind}"),
                    ]
                )
                == 0
            )
        for name, path in (
            ("vae", tiny_vae),
            ("clip", tiny_clip),
            ("inception.pth", random_weights),
        ):
            (root / name).symlink_to(path)
        rng = np.random.default_rng(0)
        write_npz(
            root / "real.npz", [rng.integers(256, size=(12, 3, PIXELS, PIXELS), dtype=np.uint8)], 12
        )
        adm.write_reference(root / "quick.npz", open_images(root / "real.npz"), few_features)
        yield root


def file(name):
    return FileSpec(name=name, sha256=weights.sha256(weights.find(name)))


def model_of(kind, null=None):
    prompts = PromptSpec(
        **vars(file("captions.txt")), embeddings=f"embeddings-{kind}", pixels=PIXELS, null=null
    )
    return ModelSpec(name=kind, sha256=file(kind).sha256, scale="paper", prompts=prompts)


@pytest.fixture(scope="module", params=PIPELINES)
def made(request, place, all_made):
    """-> rows and a store where every one of them is made."""
    images = ImageSpec(
        decoder=file("vae"),
        reference="quick.npz",
        inception=file("inception.pth"),
        clip=file("clip"),
    )
    null = file(f"{request.param}.pth")
    base = Base(label=request.param, model=model_of(request.param, null), images=images)
    rows = [row for setting in SETTINGS for row in rows_of(base, setting, BUDGET)]
    return rows, all_made(rows)


def test_every_row_is_made(made):
    rows, store = made
    assert [row.method for row in rows] == [
        "DPM-Solver++",
        "DPM-Solver++",
        "FORA",
        "HarmoniCa",
        "Search + prediction",
        "IDDPM",
        "HarmoniCa",
        "Search + prediction",
        "SA-Solver",
        "HarmoniCa",
        "Search + prediction",
    ]
    for row in rows:
        record = store.record(row.runs[0])
        metrics = record["metrics"]
        assert (
            all(np.isfinite(metrics[name]) for name in ("CLIP", "FID", "sFID"))
            and 0 <= metrics["CLIP"] <= 100
        )
        assert metrics["clip_checkpoint"] == "clip" and record["config"]["images"]["clip"]["sha256"]
        assert (
            record["cost"]["macs"] > 0
            and record["config"]["model"]["prompts"]["sha256"] == file("captions.txt").sha256
        )
        for block in blocks_of(row.runs[0], store):
            assert block.shape[1:] == (3, PIXELS, PIXELS) and block.dtype == np.uint8
        config = record["config"]
        assert config["precision"] == "float16" and config["model"]["prompts"]["null"]["sha256"]
        # PixArt's own forms: its IDDPM guides three channels, as DiT does
        iddpm = config["sampler"] == "iddpm"
        assert iddpm or config["sampler"] in ("dpm++-pixart", "sa-solver-pixart")
        assert config["model"]["prompts"].get("guided_channels") == (3 if iddpm else None)
    curs = {row.method: store.record(row.runs[0])["cost"]["cur_percent"] for row in rows[2:4]}
    assert curs["HarmoniCa"] == 50 and curs["FORA"] == pytest.approx(100 / 3)


def test_the_rows_are_rendered_without_a_column_of_the_paper_mixed_in(made, tmp_path):
    rows, store = made
    (csv, document), text = paper_scale.render(store.root, tmp_path, rows, TABLE2)
    header, *lines = csv.read_text().splitlines()
    assert (
        csv.name == "table2.paper.csv" and len(lines) == len(rows) and ",CLIP,FID,sFID," in header
    )
    assert "CLIP: clip." in text and "PixArt-alpha 256x256" in document.read_text()


def test_each_row_stands_beside_its_own_in_the_paper():
    rows = [row for row in TABLE2.rows("paper") if row.method != "Search + prediction"]
    found = [paper_scale._in_paper(row, TABLE2) for row in rows]
    assert (
        found == [line["FID"] for line in published("table2_text_to_image")] + [""] * 4
    )  # none known of Sigma


def test_the_clip_score_of_a_row_is_that_of_its_images_and_captions(made):
    rows, store = made
    run, clip = rows[0].runs[0], extractors.clip(file("clip"))
    captions = [caption for caption in CAPTIONS if caption]  # empty lines are none
    images = np.concatenate(list(blocks_of(run, store)))[:6]
    cosines = clip.cosines(images, [captions[k % 4] for k in range(6)])
    assert store.record(run)["metrics"]["CLIP"] == pytest.approx(
        100 * float(cosines.clamp(min=0).mean()), abs=1e-4
    )
    assert clip_score([images[:1], images[1:4], images[4:]], captions, clip, 6) == pytest.approx(
        clip_score([images], captions, clip, 6), abs=1e-4
    )
    for wrong in ([images[:5]], [images, images[:1]], []):
        with pytest.raises(BadInput, match="num_images: 6 is not possible; there are"):
            clip_score(wrong, captions, clip, 6)


@torch.no_grad()
@pytest.mark.parametrize("kind", PIPELINES)
def test_embeddings_on_disk_are_those_of_the_pipeline(place, tiny_pipe, kind):
    prompts, pipe = Prompts(model_of(kind).prompts), tiny_pipe(PIPELINES[kind])
    captions = [caption for caption in CAPTIONS if caption]
    embeds, mask, null, null_mask = pipe.encode_prompt(captions, device="cpu")
    cond = prompts.cond([0, 1, 2, 3, 4])  # round and round
    assert (
        prompts.count == 4
        and torch.equal(cond.mask[:4], mask)
        and torch.equal(cond.mask[4], mask[0])
    )
    assert torch.equal(cond.null_mask, null_mask[:1])
    text = mask[..., None] > 0
    assert torch.equal(cond.embeds[:4], torch.where(text, embeds, 0.0).half().float())
    loaded, sizes = (
        load_model(model_of(kind)),
        {"resolution": torch.full((4, 2), 64.0), "aspect_ratio": torch.ones(4, 1)},
    )
    assert pipe.transformer.use_additional_conditions == (kind == "alpha")
    x, t = (
        torch.randn(4, 4, 8, 8, generator=torch.Generator().manual_seed(0)),
        torch.full((4,), 500),
    )
    got = run_all(loaded.backbone, x, t, loaded.backbone.prepare(loaded.cond(range(4))))
    expected = pipe.transformer(x, embeds, t, sizes, encoder_attention_mask=mask).sample
    assert (got - expected).abs().max() < 1e-2 * expected.abs().max()  # float16 on the disk


@torch.no_grad()
@pytest.mark.parametrize("kind", PIPELINES)
def test_the_null_prompt_is_the_stored_one_cut_with_each_prompts_mask(place, kind):
    """As PixArt's code has it: of a prompt of n tokens the null half sees the first n rows of the
    stored one, and nothing else. Guidance may act on fewer channels.
    """
    spec = model_of(kind, file(f"{kind}.pth"))
    loaded = load_model(replace(spec, prompts=replace(spec.prompts, guided_channels=3)))
    backbone, cond = loaded.backbone, loaded.cond(range(4))
    assert backbone.guided_channels == 3 and load_model(spec).backbone.guided_channels == 4
    counts, stored = cond.mask.sum(1).tolist(), torch.load(place / f"{kind}.pth")["state_dict"]
    assert len(set(counts)) > 1
    x = torch.randn(4, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    t = torch.full((8,), 949.05)
    both = run_all(backbone, x.repeat(2, 1, 1, 1), t, backbone.prepare(backbone.with_null(cond)))
    for k, count in enumerate(counts):
        one = loaded.cond([k])
        alone = replace(one, embeds=stored[NULL][None, :count], mask=None)
        expected = run_all(backbone, x[k : k + 1], t[:1], backbone.prepare(alone))
        torch.testing.assert_close(both[4 + k : 5 + k], expected, rtol=1e-4, atol=1e-5)


def test_a_checkpoint_without_the_null_prompt_or_of_another_shape_is_named(place):
    for content in ({"bias": torch.ones(3)}, {NULL: torch.ones(120, 15)}):
        torch.save({"state_dict": content}, place / "other.pth")
        with pytest.raises(BadInput, match="null prompt: .*other.pth.* 120 x 16 is expected"):
            load_model(model_of("alpha", file("other.pth")))
    with pytest.raises(BadInput, match="null prompt: .*nowhere.pth does not exist"):
        load_model(model_of("alpha", FileSpec(name="nowhere.pth", sha256="0" * 64)))
    with pytest.raises(BadInput, match="guided_channels: 0 is not possible"):
        replace(model_of("alpha").prompts, guided_channels=0)


def test_no_text_encoder_is_read_when_a_model_is_loaded(place, monkeypatch):
    monkeypatch.setattr("transformers.T5EncoderModel.from_pretrained", None)
    assert load_model(model_of("alpha")).num_conds == 4


def test_what_is_missing_or_another_is_named(place, capsys):
    spec = model_of("alpha")

    def changed(**prompts):
        return ModelSpec(
            name=spec.name,
            sha256=spec.sha256,
            scale="paper",
            prompts=PromptSpec(**{**vars(spec.prompts), **prompts}),
        )

    for prompts, words in (
        ({"embeddings": "none"}, "embeddings: .*none holds none that are whole; `python -m harm"),
        ({"sha256": "0" * 64}, "they are of other captions than those of captions.txt"),
        ({"pixels": 512}, "pixels: 512 is not possible; alpha was trained for 64"),
    ):
        with pytest.raises(BadInput, match=words):
            load_model(changed(**prompts))
    about = json.loads((place / "embeddings-alpha" / "about.json").read_text())
    assert about["count"] == 4 and about["tokens"] == 120
    again = [
        "prompts",
        "prepare",
        str(place / "captions.txt"),
        "--model",
        str(place / "alpha"),
        "--out",
    ]
    before = (place / "embeddings-alpha" / "part-00000.npy").stat().st_mtime_ns
    assert main([*again, str(place / "embeddings-alpha")]) == 0  # nothing is done again
    assert (place / "embeddings-alpha" / "part-00000.npy").stat().st_mtime_ns == before
    assert (
        main([*again, str(place / "embeddings-sigma")]) == 2
        and "it holds embeddings of other" in capsys.readouterr().err
    )


def cut(path):
    path.write_bytes(path.read_bytes()[:-3])


def rewritten(change):
    return lambda path: np.save(path, change(np.load(path)))


DAMAGES = {
    "a part cut off": ("part-00000.npy", cut),
    "a part that is empty": ("part-00000.npy", lambda path: path.write_bytes(b"")),
    "a part missing": ("part-00001.npy", lambda path: path.unlink()),
    "counts cut off": ("part-00000.counts.npy", cut),
    "a part too short": ("part-00000.npy", rewritten(lambda packed: packed[:-1])),
    "a part of one number a token": ("part-00000.npy", rewritten(lambda packed: packed[:, 0])),
    "a caption too few": ("part-00000.counts.npy", rewritten(lambda counts: counts[:-1])),
    "more tokens than there are": (
        "part-00000.counts.npy",
        rewritten(lambda counts: counts + 1000),
    ),
    "not JSON": ("about.json", cut),
    "nothing said": ("about.json", lambda path: path.write_text("{}")),
}


@pytest.mark.parametrize("name, damage", DAMAGES.values(), ids=DAMAGES)
def test_damaged_embeddings_are_named_and_made_again(place, tmp_path, monkeypatch, name, damage):
    monkeypatch.setattr("harmonica.weights.prompts.PART", 4)
    folder = shutil.copytree(place / "embeddings-alpha", tmp_path / "copy")
    damage(folder / name)
    spec = PromptSpec(**vars(file("captions.txt")), embeddings=str(folder), pixels=PIXELS)
    with pytest.raises(
        BadInput, match=f"{folder}/{name.replace('.counts', '(.counts)?')}.* delete it"
    ) as said:
        Prompts(spec).cond(range(4))
    assert "\n" not in str(said.value)


def test_a_deleted_part_is_made_again(place, tmp_path, monkeypatch):
    monkeypatch.setattr("harmonica.weights.prompts.PART", 4)
    folder = shutil.copytree(place / "embeddings-alpha", tmp_path / "copy")
    for name in ("part-00000.npy", "about.json"):
        (folder / name).unlink()
    captions, model = str(place / "captions.txt"), str(place / "alpha")
    assert main(["prompts", "prepare", captions, "--model", model, "--out", str(folder)]) == 0
    for path in (place / "embeddings-alpha").iterdir():
        assert path.read_bytes() == (folder / path.name).read_bytes()


def test_embeddings_of_another_width_are_refused(place, tmp_path):
    def encode(prompts):
        return torch.ones(len(prompts), 9, 2), torch.ones(len(prompts), 9, dtype=torch.long)

    captions = file("captions.txt")
    prepare(encode, ["a"], {"captions_sha256": captions.sha256}, tmp_path / "narrow")
    prompts = PromptSpec(**vars(captions), embeddings=str(tmp_path / "narrow"), pixels=PIXELS)
    with pytest.raises(
        BadInput, match="embeddings: '2 wide in .*narrow' is not possible; alpha takes 16"
    ):
        load_model(replace(model_of("alpha"), prompts=prompts))


def test_a_killed_embedding_goes_on_and_mixes_nothing(place, tmp_path, monkeypatch):
    """The same bytes as without the kill; other captions are refused in a folder that was begun."""
    calls = []

    def encode(prompts):
        calls.append(len(prompts))
        if len(calls) == 3:
            raise KeyboardInterrupt
        lengths = torch.tensor([len(prompt) + 1 for prompt in prompts])
        return lengths[:, None, None] * torch.ones(1, 9, 2), (
            torch.arange(9) < lengths[:, None]
        ).long()

    monkeypatch.setattr("harmonica.weights.prompts.PART", 2)
    captions, about = list("abcde"), {"captions_sha256": "0" * 64}
    with pytest.raises(KeyboardInterrupt):
        prepare(encode, captions, about, tmp_path / "killed", batch=2)
    with pytest.raises(BadInput, match="it holds embeddings of other captions"):
        prepare(encode, captions, {"captions_sha256": "1" * 64}, tmp_path / "killed")
    prepare(encode, captions, about, tmp_path / "killed", batch=2)
    prepare(encode, captions, about, tmp_path / "whole", batch=1)
    files = sorted(path.name for path in (tmp_path / "whole").iterdir())
    assert (
        files == sorted(path.name for path in (tmp_path / "killed").iterdir()) and len(files) == 8
    )
    assert all(
        (tmp_path / "whole" / name).read_bytes() == (tmp_path / "killed" / name).read_bytes()
        for name in files
    )


def test_fewer_captions_than_images_are_named_before_anything_runs(place):
    run = RunSpec(model=model_of("alpha"), num_steps=2, against=2, num_images=4)
    assert missing_files([run]) == []
    (sentence,) = missing_files([replace(run, num_images=30_000)])
    assert sentence.startswith("captions: 4 is not possible; 30000 images need as many")
