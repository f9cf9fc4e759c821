"""Starts, queries and stops the daemons of local_cluster's one-node Slurm.

Standard library only. Every function takes the cluster's folder; no state is kept elsewhere.
"""

import os
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
START_S, CANCEL_S, STOP_S, CLIENT_S = 30, 20, 10, 15  # seconds to wait at most


def start(folder):
    """Start the daemons and wait until the node is idle. -> None, or what went wrong."""
    munge = {
        "socket": "sock/munge",
        "key-file": "key/munge.key",
        "seed-file": "key/seed",
        "pid-file": "munged.pid",
        "log-file": "munged.log",
    }
    fresh = ("-c", "-f", f"{folder}/slurm.conf")  # -c: ignore saved state
    for command in (
        ("munged", *(f"--{option}={folder}/{name}" for option, name in munge.items())),
        ("slurmctld", *fresh),
        ("slurmd", *fresh, "-d", shutil.which("slurmstepd", path=PATH)),
    ):
        # output goes to a file: a pipe would be kept open by the daemon, and run() would not return
        with open(folder / "start.log", "ab") as log:
            process = subprocess.run(
                command,
                env=environment(folder),
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        if process.returncode:
            return f"{command[0]} did not start{ends_of_logs(folder)}"
    if not wait(START_S, lambda: state(folder)):
        return f"the node is not idle after {START_S} s{ends_of_logs(folder)}"


def ends_of_logs(folder):
    return "".join(
        f"\n{path}:\n{path.read_text(errors='replace')[-800:]}"
        for path in sorted(folder.glob("*.log"))
    )


def halt(folder):
    """Cancel all jobs, stop the daemons, kill what a crash has left over -> whether
    anything ran.
    """
    if state(folder) and (jobs := client(folder, "squeue", "--noheader", "--format=%A").split()):
        client(folder, "scancel", *set(jobs))
        wait(CANCEL_S, lambda: not client(folder, "squeue", "--noheader"))
    running = [name for name in DAEMONS if pid_of(folder, name)]
    for name, number in product(running, (signal.SIGTERM, signal.SIGKILL)):
        if pid := pid_of(folder, name):
            os.kill(pid, number)
            wait(STOP_S, lambda: not pid_of(folder, name))
    step_pids = [pid for step in step_daemons(folder) for pid in family(step)]
    for pid in step_pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return bool(running or step_pids)


def state(folder):
    """The node's state as sinfo prints it; "" where the cluster is not up, because a daemon has
    ended, gives no answer, or the node is down.
    """
    if not all(pid_of(folder, name) for name in DAEMONS) or not client(folder, "scontrol", "ping"):
        # ping comes first: without a controller it fails at once, where other clients hang
        return ""
    answer = client(folder, "sinfo", "--noheader", "--partition=ci", "--format=%T")
    return "" if answer.startswith(("down", "unknown")) or answer.endswith("*") else answer


def client(folder, *command):
    """The stdout of a Slurm client command; "" where it fails or hangs."""
    try:
        process = subprocess.run(
            command,
            env=environment(folder),
            capture_output=True,
            text=True,
            timeout=CLIENT_S,
            check=True,
        )
        return process.stdout.strip()
    except subprocess.SubprocessError:
        return ""


def environment(folder):
    """This process's environment with the cluster's configuration, and without the variables of a
    Slurm job that this process may run in.
    """
    outside = {key: value for key, value in os.environ.items() if not key.startswith("SLURM")}
    return {**outside, "PATH": PATH, "SLURM_CONF": f"{folder}/slurm.conf"}


def pid_of(folder, name):
    """The daemon's process id, from its pid file; None where it does not run, or where that id now
    belongs to another process.
    """
    try:
        pid = int((folder / f"{name}.pid").read_text())
        return pid if f"{folder}/" in Path(f"/proc/{pid}/cmdline").read_text() else None
    except (OSError, ValueError):
        return None


def step_daemons(folder):
    """-> the process ids of slurmstepd processes that listen in the cluster's spool folder; they
    outlive the other daemons.
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
    return [pid, *(descendant for child in children for descendant in family(child))]


def wait(seconds, condition):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True
