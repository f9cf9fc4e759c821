"""The paper's combination of caching with quantisation: EfficientDM, and routers trained with the
quantised model as teacher and student. DiT-XL/2 256, PixArt-alpha 256 and 512 at T = 20; at digits
scale T = 10 on DiT-digits and PixArt-digits.
"""

from dataclasses import dataclass

from harmonica.lab.makings import SAMPLERS

from .. import paper_scale, paper_scale_text, small_scale
from ..compressed import form, quantised, row
from ..pixart_alpha.paper import BATCH, model
from ..small_scale import HARMONICA, search, training

TITLE = "Quantisation, {}"
BOTH = "EfficientDM + HarmoniCa"


@dataclass(frozen=True, kw_only=True)
class Block:
    """A model at one sampler, and the CUR in percent of the paper's row."""

    label: str
    prefix: str
    sampler: str = "ddim"
    cur_percent: float


BLOCKS = {
    "digits": (
        Block(label="DiT-digits 16 tokens", prefix="dit-digits", cur_percent=26.25),
        Block(
            label="PixArt-digits 16 tokens",
            prefix="pixart-digits",
            sampler="dpm++",
            cur_percent=53.34,
        ),
    ),
    "smoke": (
        Block(label="smoke", prefix="smoke", cur_percent=26.25),
        Block(label="smoke-pixart", prefix="smoke-pixart", sampler="dpm++", cur_percent=53.34),
    ),
}
STEPS = {"smoke": 4, "digits": 10, "paper": 20}
PAPER_CUR = {256: 53.34, 512: 53.11}
PAPER_BETA, PAPER_BETA_CUR = 4e-8, 26.25


def table(scale, rows="core", num_seeds=1):
    """core: models with 8-bit weights uncached and under a router, DiT under a searched schedule
    too; DiT with 4-bit weights uncached. all: every combination, and a router of the plain model.
    """
    if scale == "paper":
        return _paper(rows, num_seeds)
    blocks = BLOCKS.get(scale, ())
    return [line for block in blocks for line in _rows(block, scale, rows, num_seeds)]


def _rows(block, scale, rows, num_seeds):
    suffix = "" if block.sampler == "ddim" else f", {SAMPLERS[block.sampler]}"
    group = small_scale.group(
        scale,
        block.prefix,
        block.label,
        STEPS[scale],
        num_seeds,
        title=TITLE + suffix,
        sampler=block.sampler,
    )
    cur, core = block.cur_percent, rows == "core"
    harmonica = training(scale, HARMONICA, cur)
    text = block.sampler != "ddim"
    table_rows = [group.uncached()]
    if not core:
        table_rows.append(group.learned("HarmoniCa", harmonica))
    for weight_bits in (8,) if core and text else (8, 4):
        compressed = quantised(group, "efficientdm", weight_bits)
        table_rows.append(row(compressed, "EfficientDM"))
        if weight_bits == 8 or not core:
            table_rows.append(compressed.learned(BOTH, harmonica, form=form(compressed)))
        if not core or weight_bits == 8 and not text:
            settings = search(scale, predict=False)
            options = {"settings": settings, "form": form(compressed)}
            table_rows.append(compressed.made("EfficientDM + search", "search", cur, **options))
    return table_rows


def _paper(rows, num_seeds):
    """The six rows of the paper, each block below its uncached model. all: DiT's router with the
    published beta (of the released lambda) as well.
    """
    budget = paper_scale.Budget()
    group = budget.group(paper_scale.dit_xl2_256(), STEPS["paper"], num_seeds, title=TITLE)
    table_rows = _pair(
        group, paper_scale.harmonica(budget, STEPS["paper"], cur_percent=PAPER_BETA_CUR)
    )
    if rows == "all":
        target = {"objective": "cumulative", "beta": PAPER_BETA}
        published = paper_scale.harmonica(budget, STEPS["paper"], **target)
        compressed = quantised(group, "efficientdm")
        table_rows.append(compressed.learned(BOTH, published, form="published beta"))
    for pixels, cur in PAPER_CUR.items():
        budget = paper_scale_text.budget(BATCH[pixels])
        group = budget.group(
            model(pixels),
            STEPS["paper"],
            num_seeds,
            title=TITLE,
            sampler=paper_scale_text.OWN["dpm++"],
            guidance=paper_scale_text.GUIDANCE,
        )
        table_rows += _pair(group, paper_scale.harmonica(budget, STEPS["paper"], cur_percent=cur))
    return table_rows


def _pair(group, training):
    compressed = quantised(group, "efficientdm")
    return [
        group.uncached(),
        row(compressed, "EfficientDM"),
        compressed.learned(BOTH, training, form=form(compressed)),
    ]
