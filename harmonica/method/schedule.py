"""A cache schedule: which blocks are computed at which step, and how skipped ones are predicted.

Every method ends in one: a trained router, FORA, SmoothCache, TaylorSeer, a search. It is saved as
one safetensors file with JSON metadata.
"""

import json
import re
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from safetensors import SafetensorError, safe_open

from harmonica.errors import BadInput, check
from harmonica.files import atomic, save_tensors
from harmonica.method import masks

FILE = "schedule.safetensors"  # in a folder of save_pretrained
CARD = "README.md"
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True, kw_only=True, eq=False)
class Schedule:
    """keep (T, N) bool: row = step in sampling order, True = compute; the first row computes all.

    weights: for skipped entries (step, block) a float16 tensor (K + 1, channels). Such an entry
    adds w_1 f_1 + ... + w_K f_K + bias per channel, where f_1 is the block's last computed feature,
    f_2 the one computed before it, and so on; the last row is the bias. A skipped entry without
    weights reuses f_1, which w = (1, 0, ..., 0) does too, bit for bit.
    timesteps: T model timesteps in sampling order, or None if not recorded.
    about: where it comes from (model, model_sha256, sampler, guidance, kinds, method, error, ...),
    JSON-serialisable.
    """

    keep: torch.Tensor
    weights: dict = field(default_factory=dict)
    timesteps: tuple | None = None
    about: dict = field(default_factory=dict)

    def __post_init__(self):
        right = "keep must be a tensor of torch.bool of the shape (steps, blocks)"
        is_tensor = isinstance(self.keep, torch.Tensor)
        check(is_tensor, "schedule", type(self.keep).__name__, right)
        shape = tuple(self.keep.shape)
        valid = self.keep.dtype == torch.bool and len(shape) == 2 and self.keep.numel() > 0
        check(valid, "schedule", f"{self.keep.dtype} {shape}", right)
        check(
            bool(self.keep[0].all()),
            "schedule",
            "a first row that skips",
            "nothing can be reused at the first step",
        )
        timesteps = numbers(self.timesteps, self.num_steps, "schedule")
        object.__setattr__(self, "timesteps", timesteps)
        tensors = isinstance(self.weights, dict) and (
            all(isinstance(weights, torch.Tensor) for weights in self.weights.values())
        )
        right = "they are a dict of tensors, {(step, block): weights}"
        check(tensors, "weights", type(self.weights).__name__, right)
        self._check_weights()

    def _check_weights(self):
        """The number of channels may differ between blocks, but K is the same for all entries."""
        computed = self.keep.cumsum(0).tolist()  # how often a block was computed, up to each step
        channels = {}
        for (step, i), weights in self.weights.items():
            entry = f"weights of step {step}, block {i}"
            check(
                0 < step < self.num_steps and 0 <= i < self.num_blocks and not self.keep[step, i],
                "schedule",
                entry,
                "only a skipped entry has weights",
            )
            check(
                weights.dtype == torch.float16
                and weights.ndim == 2
                and len(weights) == self.features + 1
                and channels.setdefault(i, weights.shape[1]) == weights.shape[1],
                "schedule",
                f"{entry}: {weights.dtype} {tuple(weights.shape)}",
                f"they must be torch.float16 ({self.features + 1}, channels), "
                "the same for a whole block",
            )
            check(
                bool(torch.isfinite(weights).all()),
                "schedule",
                f"{entry}: NaN or infinite",
                "every weight must be finite",
            )
            check(
                not weights[computed[step][i] : -1].any(),
                "schedule",
                entry,
                f"only {computed[step][i]} features of the block are there by then: "
                "the other weights must be 0",
            )

    @property
    def num_steps(self) -> int:
        return self.keep.shape[0]

    @property
    def num_blocks(self) -> int:
        return self.keep.shape[1]

    @property
    def features(self) -> int:
        """K: how many computed features of a block a prediction may use (1 where none is made)."""
        first = next(iter(self.weights.values()), None)
        return 1 if first is None else max(1, len(first) - 1)

    @property
    def cur_percent(self) -> float:
        """The percentage of entries that are skipped, among the units that reach the image."""
        return masks.cur_percent(self.keep[:, counted(self.about, self.num_blocks)])

    def save(self, path: str | Path) -> None:
        tensors = {"keep": self.keep.cpu()}
        if self.weights:
            predicted = torch.zeros_like(tensors["keep"])
            for entry in self.weights:
                predicted[entry] = True
            tensors["predicted"] = predicted
        for i in sorted({i for _, i in self.weights}):
            steps = sorted(step for step, block in self.weights if block == i)
            tensors[f"weights.{i}"] = torch.stack([self.weights[s, i].cpu() for s in steps])
        save_tensors(path, tensors, {**self.about, "timesteps": self.timesteps})

    @classmethod
    def load(cls, path: str | Path) -> "Schedule":
        """Read a file of `save`. BadInput where it is missing, cut off or not a schedule."""
        with reading(path, "schedule") as (tensors, about, timesteps):
            weights = _by_entry(tensors)
            return cls(keep=tensors["keep"], weights=weights, timesteps=timesteps, about=about)

    def save_pretrained(self, folder: str | Path) -> None:
        """Save as folder/schedule.safetensors, with a model card; a README.md that is no such card
        stays as it is. `hf upload ID folder` publishes the folder on the hub.
        """
        from harmonica.method.card import card, is_card

        self.save(Path(folder) / FILE)
        path = Path(folder) / CARD
        if path.exists() and not is_card(path):
            return
        with atomic(path) as temporary:
            temporary.write_text(card(self))

    @classmethod
    def from_pretrained(cls, source: str | Path, *, revision: str | None = None) -> "Schedule":
        """The schedule of a folder or of a hub repository. BadInput where there is none."""
        return cls.load(pretrained_file(source, FILE, "schedule", revision))


def numbers(timesteps, count, kind):
    """-> the timesteps of a schedule or router (`kind`) as a tuple, from a tensor, array or list;
    None for None. BadInput where they are not `count` numbers.
    """
    values = timesteps.tolist() if hasattr(timesteps, "tolist") else timesteps
    if isinstance(values, (list, tuple, range)):
        values = tuple(t.item() if getattr(t, "ndim", None) == 0 else t for t in values)
        valid = len(values) == count and all(isinstance(t, (int, float)) for t in values)
    else:
        valid = values is None
    check(valid, "timesteps", values, f"a {kind} of {count} rows needs as many numbers")
    return values


def counted(about, num_blocks):
    """The columns of the units that reach the image; about["free"] names the units that do not."""
    free = set(about.get("free", ()))
    units = about.get("units", ())
    return [i for i in range(num_blocks) if i >= len(units) or units[i] not in free]


@contextmanager
def reading(path, kind):
    """Open the file of a "schedule" or "router" -> tensors, about without timesteps, timesteps.
    Whatever is wrong with it, also within the context, is a BadInput.
    """
    try:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}
            about = json.loads((file.metadata() or {})["about"])
        if not isinstance(about, dict):
            raise TypeError("what it says about itself is no JSON object")
        timesteps = about.pop("timesteps")
        yield tensors, about, None if timesteps is None else tuple(timesteps)
    except FileNotFoundError:
        raise BadInput(f"{kind}: {path} does not exist") from None
    except BadInput as error:
        raise BadInput(f"{kind}: {path}: {str(error).removeprefix(f'{kind}: ')}") from None
    except (
        SafetensorError,
        KeyError,
        TypeError,
        AttributeError,
        IndexError,
        ValueError,
        RecursionError,
    ) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise BadInput(
            f"{kind}: {path} is not a whole {kind} file of this package ({reason})"
        ) from None


def _by_entry(tensors):
    """The prediction weights in a file's tensors: {(step, block): (K + 1, channels)}."""
    if "predicted" not in tensors:
        return {}
    weights = {}
    for i, column in enumerate(tensors["predicted"].T):
        steps = column.nonzero().flatten().tolist()
        if steps:
            rows = tensors[f"weights.{i}"]
            weights |= {(step, i): rows[k] for k, step in enumerate(steps)}
    return weights


def pretrained_file(source, file, label, revision=None):
    """-> the path of a local file, of `file` in a local folder, or of that in a hub repository
    (downloaded). BadInput where there is none. label: what the file is called in the message.
    """
    path = Path(source).expanduser()
    if path.exists():
        return path / file if path.is_dir() else path
    right = f"no file or folder here, and no hub id (owner/name) of a repository with a {file}"
    check(HUB_ID.fullmatch(str(source)), label, str(source), right)
    try:
        return hf_hub_download(str(source), file, revision=revision)
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError) as error:
        raise BadInput(
            f"{label}: {source} is no file or folder here, and no hub repository with a {file} "
            f"that could be reached ({str(error).strip().splitlines()[0]})"
        ) from None
