"""PixArt-Sigma 1024 and 2048 (SCALE=paper). Of its numbers we know only the speedup at 2048."""

from ..paper_scale_text import PaperSampler, base, budget, rows_of

MODELS = {
    1024: "PixArt-alpha/PixArt-Sigma-XL-2-1024-MS",
    2048: "PixArt-alpha/PixArt-Sigma-XL-2-2K-MS",
}
# The paper's CURs are not known. 55 is about that of PixArt-alpha 1024, and gives the speedup of
# 2.2 in theory if all blocks are reused equally often.
CUR_PERCENT = 55.0
BATCH = {1024: 4, 2048: 1}
SEARCHED = (1024,)  # at 2048 px the features of one walk are 390 GB


def table(scale, rows="core", num_seeds=1):
    """Uncached and HarmoniCa at each resolution, our search at 1024 px; with rows = "all" also FORA
    and fewer steps. None at other scales.
    """
    if scale != "paper":
        return []
    table_rows = []
    for pixels, name in MODELS.items():
        model = base(
            f"PixArt-Sigma {pixels}x{pixels}",
            name,
            pixels,
            decoder="stabilityai/sdxl-vae",
            embeddings="coco/sigma",
        )
        setting = PaperSampler(sampler="dpm++", num_steps=20, cur_percent=CUR_PERCENT)
        table_rows += rows_of(
            model, setting, budget(BATCH[pixels], search=pixels in SEARCHED), rows, num_seeds
        )
    return table_rows
