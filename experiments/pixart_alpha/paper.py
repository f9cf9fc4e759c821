"""Table 2 at paper scale: PixArt-alpha 256, 512, 1024, as the paper prints it (SCALE=paper)."""

from ..paper_scale_text import PaperSampler, base, budget, rows_of

DPM = {"sampler": "dpm++", "num_steps": 20, "fewer": 15}
SA = {"sampler": "sa-solver", "num_steps": 25, "fewer": 20}
SETTINGS = {
    256: [
        PaperSampler(**DPM, cur_percent=56.01, fora=True),
        PaperSampler(sampler="iddpm", num_steps=100, fewer=75, cur_percent=53.24, fora=True),
        PaperSampler(**SA, cur_percent=54.19),
    ],
    512: [PaperSampler(**DPM, cur_percent=54.64), PaperSampler(**SA, cur_percent=54.24)],
    1024: [PaperSampler(**DPM, cur_percent=55.06), PaperSampler(**SA, cur_percent=53.98)],
}
MODELS = {
    256: "PixArt-alpha/PixArt-XL-2-256x256",
    512: "PixArt-alpha/PixArt-XL-2-512x512",
    1024: "PixArt-alpha/PixArt-XL-2-1024-MS",
}
BATCH = {256: 32, 512: 16, 1024: 4}  # prompts in an update, for one GPU of 80 GB: an estimate


def model(pixels):
    return base(
        f"PixArt-alpha {pixels}x{pixels}",
        MODELS[pixels],
        pixels,
        decoder="stabilityai/sd-vae-ft-ema",
        embeddings="coco/alpha",
    )


def rows(rows="core", num_seeds=1):
    """The 23 rows that the paper prints, block by block; more with rows = "all"."""
    return [
        row
        for pixels, settings in SETTINGS.items()
        for setting in settings
        for row in rows_of(model(pixels), setting, budget(BATCH[pixels]), rows, num_seeds)
    ]
