"""What a job asks Slurm for: submitit's executor and its parameters, in the site's syntax."""

import tempfile
from pathlib import Path

import submitit

from harmonica.errors import BadInput

from .squeue import client


def new_executor(folder, site):
    options = {"slurm_max_num_timeout": site.time_outs, "local_max_num_timeout": site.time_outs}
    return submitit.AutoExecutor(
        folder,
        cluster=site.cluster,
        **{key: value for key, value in options.items() if key.startswith(site.cluster)},
    )


def parameters(kind, resources, site):
    """submitit's parameters for one kind of job."""
    processes = resources.processes if kind == "train" else 1
    texts = {
        f"slurm_{key}": getattr(resources, key)
        for key in ("partition", "account", "qos", "constraint", "setup", "exclusive")
        if getattr(resources, key)
    }
    gpus, srun_args = _gpus(resources.gpus, processes, site)
    return {
        "timeout_min": resources.minutes,
        "mem_gb": resources.memory_gb,
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


def start_again(mark, retries):
    """Lines of the batch script after the work, which requeue a job that died without giving a
    reason (in the file `mark`), at most `retries` times.
    """
    silent, again = f'[ ! -e "{mark}" ]', f'[ "${{SLURM_RESTART_COUNT:-0}}" -lt {retries} ]'
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
        executor = new_executor(folder, site)
        executor.update_parameters(name="check", **parameters(kind, resources, site))
        script = Path(folder) / "job.sh"
        script.write_text(executor._executor._make_submission_file_text("true", "check"))
        try:
            client(["sbatch", "--test-only", str(script)])
        except BadInput as error:
            raise BadInput(
                f"{cluster_file}: [{kind}]: this cluster refuses such a job ({error}); nothing was "
                "submitted"
            ) from None
