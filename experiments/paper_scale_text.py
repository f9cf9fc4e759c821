"""The rows of Table 2 with the published PixArts: SCALE=paper. Files are given by name and hash;
nothing is downloaded here.

core: the rows that the paper prints, and our search at HarmoniCa's CUR. all: FORA in every block,
and fewer steps by HarmoniCa's CUR. Images are sampled as PixArt's own inference script does it:
with its timesteps, null prompt, guided channels and float16 weights. How the paper trained these
routers is not published; here SDT and IEPO as for DiT-XL/2, beta steered to the row's CUR.
"""

from dataclasses import dataclass, replace

from harmonica.lab.makings import SAMPLERS, ModelSpec
from harmonica.search.settings import Settings
from harmonica.weights import published_sha256
from harmonica.weights.specs import FileSpec, ImageSpec, PromptSpec

from .paper_scale import Base, Budget, harmonica
from .rows import CURS_STEPS

GUIDANCE = 4.5
PRECISION = "float16"  # of the weights; timesteps, guidance and samplers are in float32
# PixArt's own forms of these samplers
OWN = {"dpm++": "dpm++-pixart", "sa-solver": "sa-solver-pixart", "iddpm": "iddpm"}
GUIDED = {"iddpm": 3}  # of the four channels; other samplers guide all
CAPTIONS = "coco/captions.txt"  # 30 000 of MS-COCO's, one on each line
CLIP = "openai/clip-vit-large-patch14"  # the paper does not say which


def budget(prompts, search=True):
    """A Budget with `prompts` prompts in an update, which are twice as many samples under guidance.
    A search holds the features of whole walks, so it walks fewer images at once. search: whether
    the features of even one walk fit.
    """
    settings = Settings(batch=max(1, prompts // 16)) if search else None
    return Budget(num_images=30_000, block=10, sdt_batch=prompts, search=settings)


@dataclass(frozen=True, kw_only=True)
class PaperSampler:
    """One sampler of the paper's table, in PixArt's own form: T, its row of fewer steps (if any),
    HarmoniCa's CUR in percent (if known).
    """

    sampler: str
    num_steps: int
    fewer: int | None = None
    cur_percent: float | None = None
    fora: bool = False  # whether the paper prints a row of it


def base(label, name, pixels, *, decoder, embeddings):
    """A model by its hub id. embeddings: the folder of the captions' embeddings by its text
    encoder. The null prompt is read from the checkpoint of the same name for PixArt's own code.
    """

    def file(name):
        return FileSpec(name=name, sha256=published_sha256(name))

    prompts = PromptSpec(
        name=CAPTIONS,
        sha256=published_sha256(CAPTIONS),
        embeddings=embeddings,
        pixels=pixels,
        null=file(name.split("/")[1] + ".pth"),
    )
    return Base(
        label=label,
        model=ModelSpec(name=name, sha256=published_sha256(name), scale="paper", prompts=prompts),
        images=ImageSpec(
            decoder=file(decoder), reference=f"coco/reference-{pixels}.npz", clip=file(CLIP)
        ),
    )


def rows_of(base, setting, budget, rows="core", num_seeds=1):
    """All rows of one sampler -> [Row], each with `num_seeds` evaluation noises."""
    steps, cur = setting.num_steps, setting.cur_percent
    guided = replace(base.model.prompts, guided_channels=GUIDED.get(setting.sampler))
    group = budget.group(
        replace(base, model=replace(base.model, prompts=guided)),
        steps,
        num_seeds,
        title="{}, " + SAMPLERS[setting.sampler],
        sampler=OWN[setting.sampler],
        guidance=GUIDANCE,
        precision=PRECISION,
    )
    table_rows = [group.uncached()]
    if setting.fewer:
        table_rows.append(group.uncached(setting.fewer))
    if setting.fora or rows == "all":
        table_rows.append(group.fora())
    if cur:
        training = harmonica(budget, steps, cur_percent=cur)
        table_rows.append(group.learned("HarmoniCa", training, form="trained here"))
        table_rows += budget.searched(group, cur)
        if rows == "all":
            table_rows.append(group.uncached(round(steps * (1 - cur / 100)), form=CURS_STEPS))
    return table_rows
