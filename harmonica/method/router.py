"""A trained router: logits (T, N), the threshold and what it was trained for, in one file.

Row = step in sampling order, as everywhere in this package. Published formats count the other way;
weights/formats.py converts them when they are read or written.
"""

from dataclasses import dataclass, field
from pathlib import Path

import torch

from harmonica.errors import check
from harmonica.files import save_tensors
from harmonica.method import masks
from harmonica.method.schedule import Schedule, counted, numbers, pretrained_file, reading

FILE = "router.safetensors"  # in a folder of save_pretrained
KINDS = ("attn", "mlp")  # the alternating kinds of block, where a router records none: DiT's
CLAMP = 5.0  # logits lie in [-CLAMP, CLAMP]; the first row is fixed at CLAMP


@dataclass(frozen=True, kw_only=True)
class Router:
    """logits (T, N), held as float32; tau in (0, 1); timesteps: T model timesteps in sampling
    order, or None if not recorded.

    about: what else is known of its origin (model name and sha256, sampler, training config),
    JSON-serialisable. about["kinds"] names the kinds of block that alternate in the columns, where
    they are not attn and mlp.
    """

    logits: torch.Tensor
    tau: float = 0.1
    timesteps: tuple[int, ...] | None = None
    about: dict = field(default_factory=dict)

    def __post_init__(self):
        right = "logits must be a tensor of the shape (steps, blocks)"
        is_tensor = isinstance(self.logits, torch.Tensor)
        check(is_tensor, "router", type(self.logits).__name__, right)
        valid = self.logits.ndim == 2 and self.logits.numel() > 0
        check(valid, "router", tuple(self.logits.shape), right)
        check(
            bool(torch.isfinite(self.logits).all()),
            "router",
            "NaN or infinite logits",
            "every logit must be finite",
        )
        # files hold float32: in another precision the mask could differ from that of the saved file
        object.__setattr__(self, "logits", self.logits.detach().float())
        check(0 < self.tau < 1, "tau", self.tau, "it must lie between 0 and 1")
        object.__setattr__(self, "timesteps", numbers(self.timesteps, self.num_steps, "router"))
        kinds = self.about.get("kinds", KINDS)
        named = isinstance(kinds, (list, tuple)) and all(isinstance(kind, str) for kind in kinds)
        check(
            named and kinds and len(set(kinds)) == len(kinds),
            "kinds",
            kinds,
            "names of blocks are needed, each once",
        )

    @property
    def num_steps(self) -> int:
        return self.logits.shape[0]

    @property
    def num_blocks(self) -> int:
        return self.logits.shape[1]

    @property
    def scores(self) -> torch.Tensor:
        """r = sigmoid(logits), (T, N)."""
        return torch.sigmoid(self.logits)

    @property
    def kinds(self):
        """The kinds of block that alternate in the columns, or None where that is not known."""
        dit = "training" in self.about and "units" not in self.about
        named = self.about.get("kinds") or (KINDS if dit else None)
        return named and tuple(named)

    @property
    def cur_percent(self):
        """The CUR in percent that it was trained for, or None."""
        training = self.about.get("training")
        cur = training.get("cur_percent") if isinstance(training, dict) else None
        return cur if isinstance(cur, (int, float)) else None

    @property
    def is_mask(self) -> bool:
        """Whether it was made from a mask: its logits, all -CLAMP or CLAMP, rank nothing."""
        return bool((self.logits.abs() == CLAMP).all())

    def keep(self, cur_percent: float | None = None) -> torch.Tensor:
        """The mask (T, N). Without a CUR the natural one, r > tau; else exactly round(CUR T N)
        entries are reused, those of lowest score. Units that never reach the image
        (schedule.counted) are not counted. BadInput where another CUR is asked of a mask.
        """
        natural = self.scores > self.tau
        natural[0] = True
        if cur_percent is None:
            return natural
        columns = counted(self.about, self.num_blocks)
        keep = natural.clone()
        reused = masks.budget(cur_percent, self.num_steps, len(columns))
        natural_cur = masks.cur_percent(natural[:, columns])
        right = f"it is a schedule without scores, and reuses {natural_cur:g} percent"
        natural_reused = int((~natural[:, columns]).sum())
        check(not self.is_mask or reused == natural_reused, "cur", cur_percent, right)
        keep[:, columns] = masks.lowest(self.scores[:, columns], reused)
        return keep

    def schedule(self, cur_percent: float | None = None) -> Schedule:
        """The Schedule for this CUR, else for the one it was trained for, else the natural one."""
        kinds = {"kinds": self.kinds} if self.kinds else {}
        return Schedule(
            keep=self.keep(self.cur_percent if cur_percent is None else cur_percent),
            timesteps=self.timesteps,
            about={"method": "mask" if self.is_mask else "router", **self.about, **kinds},
        )

    def save(self, path: str | Path) -> None:
        about = {**self.about, "tau": self.tau, "timesteps": self.timesteps}
        save_tensors(path, {"logits": self.logits}, about)

    @classmethod
    def load(cls, path: str | Path) -> "Router":
        """Read a file of `save`. BadInput where it is missing, cut off or something else."""
        with reading(path, "router") as (tensors, about, timesteps):
            tau = about.pop("tau")
            return cls(logits=tensors["logits"], tau=tau, timesteps=timesteps, about=about)

    def save_pretrained(self, folder: str | Path) -> None:
        """Save as folder/router.safetensors. `hf upload ID folder` publishes it on the hub."""
        self.save(Path(folder) / FILE)

    @classmethod
    def from_pretrained(cls, source: str | Path, *, revision: str | None = None) -> "Router":
        """The router of a folder or of a hub repository. BadInput where there is none."""
        return cls.load(pretrained_file(source, FILE, "router", revision))


def from_keep(keep, **fields):
    """A router whose natural mask is `keep`: every logit is CLAMP or -CLAMP.

    BadInput where tau does not lie between the scores of these two, or the first row reuses.
    """
    router = Router(logits=torch.where(keep, CLAMP, -CLAMP), **fields)
    low, high = (torch.sigmoid(torch.tensor([-CLAMP, CLAMP]))).tolist()
    check(low < router.tau < high, "tau", router.tau, f"a schedule takes {low:.4f} to {high:.4f}")
    right = "at the first step nothing is there to reuse: compute everything"
    check(bool(keep[0].all()), "router", "a first step that reuses", right)
    return router
