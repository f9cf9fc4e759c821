"""What a job asks Slurm for: submitit's executor and its parameters, in the site's syntax."""

import tempfile
from pathlib import Path

import submitit

from harmonica.errors import BadInput

from .squeue import client


def new_executor(folder, site, kind):
    # a measurement of time does not go on from a file: it would only time out again
    time_outs = 0 if kind == "latency" else site.time_outs
    options = {"slurm_max_num_timeout": time_outs, "local_max_num_timeout": time_outs}
    return submitit.AutoExecutor(
        folder,
        cluster=site.cluster,
        **{key: value for key, value in options.items() if key.startswith(site.cluster)},
    )


def parameters(resources, site, processes=1):
    """submitit's parameters for a job of so many processes, each with a share of the GPUs."""
    texts = {
        f"slurm_{key}": getattr(resources, key)
        for key in ("partition", "account", "qos", "constraint", "setup", "exclusive")
        if getattr(resources, key)
    }
    gpus, srun_args = _gpus(min(resources.gpus, processes), processes, site)
    memory = {"mem_gb": resources.memory_gb} if resources.memory_gb else {}
    return {
        "timeout_min": resources.minutes,
        **memory,
        "cpus_per_task": resources.cpus,
        "nodes": 1,
        "tasks_per_node": processes,
        **texts,
        **gpus,
        "slurm_array_parallelism": resources.parallel,
        "slurm_signal_delay_s": site.warning_s,
        "slurm_use_srun": site.srun,
        "slurm_srun_args": [
            f"--cpus-per-task={resources.cpus}",
            "--kill-on-bad-exit=1",
            *srun_args,
        ],
        "slurm_additional_parameters": {
            "kill-on-invalid-dep": "yes",
            "requeue": True,
            **resources.sbatch,
        },
    }


def _gpus(gpus, processes, site):
    """-> parameters that ask for GPUs in the site's syntax, and srun's arguments that repeat it."""
    if not gpus:
        return {}, []
    if site.cluster != "slurm" or site.gpu_syntax == "gpus-per-node" and not site.gpu_type:
        return {"gpus_per_node": gpus}, []
    typed = f"{site.gpu_type}:" if site.gpu_type else ""
    if site.gpu_syntax == "gpus-per-task":
        return {"slurm_gpus_per_task": f"{typed}{gpus // processes}"}, [
            f"--gpus-per-task={typed}{gpus // processes}"
        ]
    if site.gpu_syntax == "gres":
        return {"slurm_gres": f"gpu:{typed}{gpus}"}, []
    return {"slurm_gpus_per_node": f"{typed}{gpus}"}, []


def start_again(marks, retries):
    """Lines of the batch script after the work, which requeue a job that died without giving a
    reason (in the file that `marks` calls by a job's id), at most `retries` times.
    """
    job_id = "${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}${SLURM_ARRAY_TASK_ID:+_$SLURM_ARRAY_TASK_ID}"
    silent, again = (
        f'[ ! -e "{marks(job_id)}" ]',
        f'[ "${{SLURM_RESTART_COUNT:-0}}" -lt {retries} ]',
    )
    return [
        "code=$?",
        f"if [ $code -ne 0 ] && {silent} && {again}; then",
        '    scontrol requeue "$SLURM_JOB_ID"',
        "fi",
        "exit $code",
    ]


def check_accepted(kind, resources, site, cluster_file):
    """Ask Slurm whether it would accept such a job. BadInput with its answer if not."""
    with tempfile.TemporaryDirectory() as folder:
        executor = new_executor(folder, site, kind)
        executor.update_parameters(name="check", **parameters(resources, site, resources.processes))
        script = Path(folder) / "job.sh"
        script.write_text(executor._executor._make_submission_file_text("true", "check"))
        try:
            client(["sbatch", "--test-only", str(script)])
        except BadInput as error:
            raise BadInput(
                f"{cluster_file}: [{kind}]: this cluster refuses such a job ({error}); "
                "nothing was submitted"
            ) from None
