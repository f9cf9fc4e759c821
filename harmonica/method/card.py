"""The model card (README.md) of a schedule that is shared, as a folder or on the hub."""

USE = """## How to use it

```python
import harmonica

schedule = harmonica.Schedule.from_pretrained("THIS_FOLDER_OR_ID")
with harmonica.apply(pipe, schedule):
    images = pipe(..., num_inference_steps={steps}{guidance}).images
```
"""
HEAD = ["---", "library_name: harmonica"]


def is_card(path):
    """Whether the file at `path` is such a card, and not a text of somebody's own."""
    return path.read_bytes().splitlines()[: len(HEAD)] == [line.encode() for line in HEAD]


def card(schedule):
    """-> Markdown that says what the schedule is, what it was made for and how good it is."""
    about, steps = schedule.about, schedule.num_steps
    model = about.get("model") or "a diffusion transformer"
    predicted, all_skipped = len(schedule.weights), int((~schedule.keep).sum())
    skipped = "predicted" if predicted == all_skipped else "predicted or reused"
    skipped = skipped if predicted else "reused"
    guidance = about.get("guidance")
    lines = [
        *HEAD,
        "tags: [diffusion, feature-caching]",
        "---",
        f"# Cache schedule for {model}",
        "",
        f"At each of {steps} sampling steps it says which blocks of the transformer are computed; "
        f"the others are {skipped} from features of earlier steps. "
        f"{schedule.cur_percent:.4g} % of all {schedule.keep.numel()} block calls "
        f"({steps} steps, {schedule.num_blocks} blocks) are skipped. "
        "Use it with this model, sampler, number of steps and guidance only.",
        "",
        *_table(schedule, model, guidance),
        "",
        *_errors(about.get("error")),
        USE.format(
            steps=steps,
            guidance="" if guidance is None else f", guidance_scale={guidance:g}",
        ),
    ]
    return "\n".join(lines)


def _table(schedule, model, guidance):
    about = schedule.about
    rows = {
        "model": model,
        "model's sha256": about.get("model_sha256"),
        "sampler": about.get("sampler"),
        "steps": schedule.num_steps,
        "guidance": guidance,
        "timesteps": schedule.timesteps and ", ".join(f"{t:g}" for t in schedule.timesteps),
        "computed / skipped": f"{int(schedule.keep.sum())} / {int((~schedule.keep).sum())}",
        "features held per block": schedule.features,
        "made by": about.get("method"),
    }
    lines = [f"| {name} | {value} |" for name, value in rows.items() if value is not None]
    return ["| | |", "| --- | --- |", *lines]


def _errors(error):
    """The lines on measured errors, none where there are none. error: {"of": {name of a schedule:
    mean squared error}, "images": how many}.
    """
    if not error:
        return []
    rows = [f"| {name} | {value:.3e} |" for name, value in error["of"].items()]
    return [
        "## How good it is",
        "",
        "Mean squared difference of the final latents from those of the uncached model, over "
        f"{error['images']} images from noise that was not used to make the schedule:",
        "",
        "| schedule | error |",
        "| --- | --- |",
        *rows,
        "",
    ]
