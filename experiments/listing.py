"""What `--dry-run` and `--status` print where nothing is submitted: every artefact, how many are
there, and what the others will take.
"""

from harmonica.lab import estimates
from harmonica.lab.needed import missing_files
from harmonica.lab.store import LOCAL
from harmonica.lab.words import count, duration, size


def show(artefacts, missing, scale, num_processes):
    """missing: those of the artefacts that would be made."""
    width = max((len(artefact.kind) for artefact in artefacts), default=0)
    for artefact in artefacts:
        state = "missing" if artefact in missing else "done   "
        print(f"{state} {artefact.kind:{width}} {artefact.id}")
    print(f"{count(len(artefacts), 'artefact')}: {len(artefacts) - len(missing)} done")
    if missing:
        print("\n".join(_outlook(missing, scale, num_processes)))


def _outlook(missing, scale, num_processes):
    """Lines on what it takes to make what is missing."""
    if scale != "paper":
        # timings run one at a time, alone on the machine
        alone = sum(estimates.seconds(a) for a in missing if a.kind in ("latency", "training"))
        total = sum(map(estimates.seconds, missing))
        needed = alone + (total - alone) / num_processes
        processes = count(num_processes, "process")
        return [f"{len(missing)} missing: about {duration(needed)} with {processes}"]
    hours = {
        kind: duration(sum(estimates.seconds(a) for a in missing if a.kind == kind))
        for kind in ("router", "schedule", "run", "compressed")
    }
    compressing = f", and {hours['compressed']} for compressing models"
    rate = estimates.GPU.macs_per_second[None] / 1e12
    disk = size(sum(map(estimates.disk_bytes, missing)))
    lines = [
        f"{len(missing)} missing: about {hours['run']} of one GPU for sampling and "
        f"{hours['router']} for training routers and {hours['schedule']} for searches"
        f"{compressing * any(a.kind == 'compressed' for a in missing)}, ASSUMING {rate:.0f} T "
        "multiply-accumulates per second in float32 (not measured); metrics left out",
        f"{disk} of images below {LOCAL}/samples",
    ]
    if routers := [artefact for artefact in missing if artefact.kind == "router"]:
        most = max(routers, key=estimates.training_bytes)
        lines.append(
            f"largest router training: batch {most.training.batch}, "
            f"about {size(estimates.training_bytes(most))} on one GPU "
            f"or {size(estimates.training_bytes(most, 4))} on each of 4 (estimate)"
        )
    schedules = [artefact for artefact in missing if artefact.kind == "schedule"]
    if searches := [schedule for schedule in schedules if schedule.making == "search"]:
        most = max(searches, key=estimates.search_bytes)
        lines.append(
            f"largest search: {most.id}, batch {most.settings.batch}, "
            f"about {size(estimates.search_bytes(most))} (estimate); "
            "what does not fit the GPU is kept in CPU memory"
        )
    return lines + [f"missing {sentence}" for sentence in missing_files(missing)]
