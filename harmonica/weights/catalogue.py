"""The published files that the paper scale needs: their names, and where they come from."""

from dataclasses import dataclass

DIT = "the DiT authors' repository, github.com/facebookresearch/DiT, section Sampling"
HUB = "the Hugging Face hub"
PIXART_OWN = {  # checkpoints of PixArt's own code, by repository; only their null prompt is used
    "PixArt-alpha/PixArt-alpha": (
        "PixArt-XL-2-256x256.pth",
        "PixArt-XL-2-512x512.pth",
        "PixArt-XL-2-1024-MS.pth",
    ),
    "PixArt-alpha/PixArt-Sigma": ("PixArt-Sigma-XL-2-1024-MS.pth", "PixArt-Sigma-XL-2-2K-MS.pth"),
}
ADM = "github.com/openai/guided-diffusion, folder evaluations"
INCEPTION = "weights-inception-2015-12-05-6726825d.pth"
CLEAN_INCEPTION = "inception-2015-12-05.pt"
LTC = "github.com/horseee/learning-to-cache, folder DiT/ckpt"
LTC_UVIT = "github.com/horseee/learning-to-cache, folder U-ViT/ckpt"
UVIT = "imagenet256_uvit_huge.pth"


@dataclass(frozen=True, kw_only=True)
class Published:
    """A published file: its name below weights.folder(), who publishes it, and its sha256 if a
    public source gives it.
    """

    name: str
    source: str
    sha256: str | None = None
    tokens: int | None = None  # patches in an image, for a DiT, PixArt or U-ViT


# Hashes come from public scripts that check them; those of the routers were computed from the files
# in their repository.
PUBLISHED = {
    published.name: published
    for published in (
        Published(
            name="DiT-XL-2-256x256.pt",
            source=DIT,
            tokens=256,
            sha256="9ec1876e4c03471bca126663a30e2d1b20610b6d2f87850a39a36f25cc685521",
        ),
        Published(name="DiT-XL-2-512x512.pt", source=DIT, tokens=1024),
        Published(
            name=UVIT,
            source="the U-ViT authors' repository, github.com/baofff/U-ViT, section Pretrained "
            "Models: ImageNet 256x256 (U-ViT-H/2)",
            tokens=256,
        ),
        Published(name="facebook/DiT-XL-2-256", source=HUB, tokens=256),
        Published(name="facebook/DiT-XL-2-512", source=HUB, tokens=1024),
        Published(name="PixArt-alpha/PixArt-XL-2-256x256", source=HUB, tokens=256),
        Published(name="PixArt-alpha/PixArt-XL-2-512x512", source=HUB, tokens=1024),
        Published(name="PixArt-alpha/PixArt-XL-2-1024-MS", source=HUB, tokens=4096),
        Published(name="PixArt-alpha/PixArt-Sigma-XL-2-1024-MS", source=HUB, tokens=4096),
        Published(name="PixArt-alpha/PixArt-Sigma-XL-2-2K-MS", source=HUB, tokens=16384),
        *(
            Published(name=name, source=f"{HUB}, repository {repository}")
            for repository, names in PIXART_OWN.items()
            for name in names
        ),
        Published(name="stabilityai/sdxl-vae", source=HUB),
        Published(name="openai/clip-vit-large-patch14", source=HUB),
        *(
            Published(
                name=f"coco/{name}",
                source="cocodataset.org; experiments/pixart_alpha/README.md says how to make it",
            )
            for name in (
                "captions.txt",
                *(f"reference-{pixels}.npz" for pixels in (256, 512, 1024, 2048)),
            )
        ),
        Published(name="stabilityai/sd-vae-ft-ema", source=HUB),
        Published(
            name="stabilityai/sd-vae-ft-mse",
            source=HUB,
            sha256="a1d993488569e928462932c8c38a0760b874d166399b14414135bd9c42df5815",
        ),
        Published(name="VIRTUAL_imagenet256_labeled.npz", source=ADM),
        Published(name="VIRTUAL_imagenet512.npz", source=ADM),
        Published(
            name=INCEPTION,
            source="torch-fidelity's v0.2.0 GitHub release",
            sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
        ),
        Published(
            name=CLEAN_INCEPTION,
            source="NVIDIA's stylegan2-ada-pytorch (pretrained/metrics)",
            sha256="f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4",
        ),
        Published(
            name="DDIM50_router.pt",
            source=LTC,
            sha256="fd83c172f77ad71f8695d5972497d1a4d113119e0e0415861812ca8eea9f60b2",
        ),
        Published(
            name="DDIM20_router.pt",
            source=LTC,
            sha256="c3134cfe7a69e31f188ac3d8ace7f6b586db92daa30c99f17e46d3f24e7408c7",
        ),
        Published(
            name="dpm20_router.pth",
            source=LTC_UVIT,
            sha256="836ee44bd212985cc7e03e619691cd5530677dcbd0121b2558674fdca9bf59a1",
        ),
        Published(
            name="dpm50_router.pth",
            source=LTC_UVIT,
            sha256="6778122d7b4ac1816d98d7c0de18727f42956bb6de0233a30215bfebf91c8578",
        ),
    )
}
