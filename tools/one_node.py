"""The daemons and the private folder behind local_cluster: how a one-node Slurm is laid out,
started and stopped.

Standard library only. Every function takes the folder; nothing is kept elsewhere.
"""

import os
import pwd
import shutil
import signal
import socket
import struct
import subprocess
import time
from contextlib import suppress
from itertools import product
from pathlib import Path

DAEMONS = ("slurmd", "slurmctld", "munged")  # in the order of stopping
PROGRAMS = (*DAEMONS, "slurmstepd", "scontrol", "sinfo", "squeue", "scancel", "sbatch", "srun")
PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
START_S, CANCEL_S, STOP_S, CLIENT_S = 30, 20, 10, 15  # how long to wait
MARK = "# local_cluster: "  # begins every slurm.conf of ours

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
    """Whether a folder may be wiped: it is new, or ours and empty or laid out by `prepare`."""
    if not folder.exists():
        return True
    return folder.stat().st_uid == os.getuid() and bool(
        described(folder) or not any(folder.iterdir())
    )


def described(folder):
    """The node as `prepare` was given it; None where the folder has no slurm.conf of ours."""
    with suppress(OSError):
        line = (folder / "slurm.conf").read_text().partition("\n")[0]
        return line.removeprefix(MARK) if line.startswith(MARK) else None


def prepare(folder, node, num_gpus):
    """Lay out the folder anew: configuration, key, fake GPUs and the sacct stand-in. node: its
    claims, as in slurm.conf.
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
    # No cgroup is used. But a slurmd that may choose its plugin exits where it finds no cgroups,
    # or (22.05) only cgroup v2.
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


def start(folder):
    """Start the daemons and wait until the node is idle. -> None, or what went wrong."""
    munge = {
        "socket": "sock/munge",
        "key-file": "key/munge.key",
        "seed-file": "key/seed",
        "pid-file": "munged.pid",
        "log-file": "munged.log",
    }
    fresh = ("-c", "-f", f"{folder}/slurm.conf")  # -c: take over no state
    for command in (
        ("munged", *(f"--{option}={folder}/{name}" for option, name in munge.items())),
        ("slurmctld", *fresh),
        ("slurmd", *fresh, "-d", shutil.which("slurmstepd", path=PATH)),
    ):
        with open(folder / "start.log", "ab") as log:  # a file: the daemon would keep a pipe open
            done = subprocess.run(
                command,
                env=environment(folder),
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        if done.returncode:
            return f"{command[0]} did not start{ends_of_logs(folder)}"
    if not wait(START_S, lambda: state(folder)):
        return f"the node is not idle after {START_S} s{ends_of_logs(folder)}"


def ends_of_logs(folder):
    return "".join(
        f"\n{path}:\n{path.read_text(errors='replace')[-800:]}"
        for path in sorted(folder.glob("*.log"))
    )


def halt(folder):
    """Cancel all jobs, stop the daemons, kill what a crash left. -> whether anything ran."""
    if state(folder) and (jobs := client(folder, "squeue", "--noheader", "--format=%A").split()):
        client(folder, "scancel", *set(jobs))
        wait(CANCEL_S, lambda: not client(folder, "squeue", "--noheader"))
    running = [name for name in DAEMONS if pid_of(folder, name)]
    for name, number in product(running, (signal.SIGTERM, signal.SIGKILL)):
        if pid := pid_of(folder, name):
            os.kill(pid, number)
            wait(STOP_S, lambda: not pid_of(folder, name))
    left = [pid for step in step_daemons(folder) for pid in family(step)]
    for pid in left:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return bool(running or left)


def state(folder):
    """The node's state as sinfo has it; "" where the cluster is not up: a daemon gone, no answer,
    or the node down.
    """
    if not all(pid_of(folder, name) for name in DAEMONS) or not client(folder, "scontrol", "ping"):
        # ping first: without a controller it gives up at once, other clients hang for seconds
        return ""
    found = client(folder, "sinfo", "--noheader", "--partition=ci", "--format=%T")
    return "" if found.startswith(("down", "unknown")) or found.endswith("*") else found


def client(folder, *command):
    """stdout of a Slurm client, "" where it fails or hangs."""
    try:
        done = subprocess.run(
            command,
            env=environment(folder),
            capture_output=True,
            text=True,
            timeout=CLIENT_S,
            check=True,
        )
        return done.stdout.strip()
    except subprocess.SubprocessError:
        return ""


def environment(folder):
    """This process's environment with our configuration, and without the job that it may be part
    of.
    """
    outside = {key: value for key, value in os.environ.items() if not key.startswith("SLURM")}
    return {**outside, "PATH": PATH, "SLURM_CONF": f"{folder}/slurm.conf"}


def pid_of(folder, name):
    """The daemon's process id by its pid file; None where it does not run, or another process has
    that id now.
    """
    try:
        pid = int((folder / f"{name}.pid").read_text())
        return pid if f"{folder}/" in Path(f"/proc/{pid}/cmdline").read_text() else None
    except (OSError, ValueError):
        return None


def step_daemons(folder):
    """-> process ids of the slurmstepd that listen in our spool folder; they outlive the other
    daemons.
    """
    for path in folder.glob("spool/localhost_*"):
        with socket.socket(socket.AF_UNIX) as link, suppress(OSError):
            link.connect(str(path))
            yield struct.unpack("iII", link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[
                0
            ]


def family(pid):
    """-> pid and all its descendants."""
    children = []
    with suppress(OSError):  # it may end meanwhile
        for path in Path(f"/proc/{pid}/task").glob("*/children"):
            children += map(int, path.read_text().split())
    return [pid, *(one for child in children for one in family(child))]


def two_free_ports():
    with (
        socket.create_server(("127.0.0.1", 0)) as one,
        socket.create_server(("127.0.0.1", 0)) as other,
    ):
        return one.getsockname()[1], other.getsockname()[1]


def wait(seconds, condition):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True
