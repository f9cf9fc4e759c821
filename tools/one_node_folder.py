"""The private folder of local_cluster's one-node Slurm: its configuration, keys, state and logs.

Standard library only.
"""

import os
import pwd
import shutil
import socket
import time
from contextlib import suppress

MARK = "# local_cluster: "  # the beginning of every slurm.conf written here

SLURM_CONF = (
    MARK
    + """{node}
ClusterName=rehearsal
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
SlurmctldPort={ctld_port}
SlurmdPort={slurmd_port}
# Job ids start beyond those of an earlier controller: with a reused id, submitit would read an old
# job's result.
FirstJobId={first_job_id}
# 5 is the least that is honoured; a requeued job starts again about 6 s later.
AuthInfo=socket={folder}/sock/munge,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
MailProg=/bin/true
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
SchedulerParameters=bf_interval=1,sched_interval=1,sched_min_interval=100000
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmctldParameters=preempt_send_user_signal
EnforcePartLimits=ALL
ReturnToService=2
MinJobAge=86400
KillWait=5
GresTypes=gpu
NodeName=localhost NodeHostName={host} NodeAddr=127.0.0.1 {node} State=UNKNOWN
PartitionName=ci Nodes=ALL Default=YES PriorityTier=1 GraceTime=10
PartitionName=hi Nodes=ALL PriorityTier=10 PreemptMode=OFF
"""
)
SACCT = """#!/bin/sh
# REHEARSAL SCAFFOLDING of tools/local_cluster, not sacct: answers submitit's one query from the
# controller's memory.
ids=
case "$*" in
    "-o JobID,State,NodeList --parsable2 -j "*) shift 3 ;;
    *) echo "sacct stand-in: cannot answer: $*" >&2; exit 2 ;;
esac
while [ "$1" = -j ]; do ids="$ids${ids:+,}$2"; shift 2; done
echo 'JobID|State|NodeList'
squeue --noheader --array --states=all --jobs="$ids" --format='%i|%T|%N' 2>/dev/null ||
    scontrol ping >/dev/null
"""


def is_ours(folder):
    """Whether a folder may be wiped: it does not exist, or belongs to this user and is empty or was
    laid out by `prepare`.
    """
    if not folder.exists():
        return True
    return folder.stat().st_uid == os.getuid() and bool(
        described(folder) or not any(folder.iterdir())
    )


def described(folder):
    """The `node` that `prepare` was given; None where the folder has no slurm.conf
    written by it.
    """
    with suppress(OSError):
        line = (folder / "slurm.conf").read_text().partition("\n")[0]
        return line.removeprefix(MARK) if line.startswith(MARK) else None


def prepare(folder, node, num_gpus):
    """Lay out the folder anew: configuration, key, fake GPUs and the stand-in for sacct. node: the
    resources the node claims to have, in the syntax of slurm.conf.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    folder.chmod(0o755)  # munged: socket open to all users, key to the owner alone
    ctld_port, slurmd_port = two_free_ports()
    (folder / "slurm.conf").write_text(
        SLURM_CONF.format(
            node=node,
            folder=folder,
            host=socket.gethostname().split(".")[0],
            user=pwd.getpwuid(os.getuid()).pw_name,
            ctld_port=ctld_port,
            slurmd_port=slurmd_port,
            first_job_id=int(5 * time.time()) % 60_000_000 + 1,
        )
    )
    (folder / "gres.conf").write_text(
        f"NodeName=localhost Name=gpu File={folder}/gpu/fake[0-{num_gpus - 1}]\n"
    )
    # No cgroup is used, but the plugin must be named: left to choose, slurmd exits where it finds
    # no cgroups, or (22.05) only cgroup v2.
    (folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")
    for name, mode in {
        "key": 0o700,
        "state": 0o700,
        "sock": 0o755,
        "spool": 0o755,
        "gpu": 0o755,
        "bin": 0o755,
    }.items():
        (folder / name).mkdir()
        (folder / name).chmod(mode)  # whatever the umask
    for i in range(num_gpus):
        (folder / f"gpu/fake{i}").symlink_to("/dev/null")  # slurmd wants a device file for each GPU
    (folder / "key/munge.key").touch(0o600)
    (folder / "key/munge.key").write_bytes(os.urandom(128))
    (folder / "bin/sacct").write_text(SACCT)
    (folder / "bin/sacct").chmod(0o755)


def two_free_ports():
    with (
        socket.create_server(("127.0.0.1", 0)) as first,
        socket.create_server(("127.0.0.1", 0)) as second,
    ):
        return first.getsockname()[1], second.getsockname()[1]
