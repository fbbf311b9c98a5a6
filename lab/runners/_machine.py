"""What this machine can give to workers: cores, GPUs and memory, asked of the operating system without torch."""
from __future__ import annotations

import os
import subprocess
from pathlib import Path

from lab.waiting import allowed_cores

CGROUP = "/sys/fs/cgroup"


def cores() -> int:
    """Cores that this process may use: a container often shows all of its host's and allows fewer."""
    allowed = allowed_cores()
    quota = _read(f"{CGROUP}/cpu.max").split()
    if len(quota) == 2 and quota[0].isdigit():
        allowed = min(allowed, max(1, int(quota[0]) // int(quota[1])))
    return allowed


def gpus() -> tuple[str, ...]:
    """Names that CUDA_VISIBLE_DEVICES understands, one for each NVIDIA GPU."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return tuple(name for name in visible.split(",") if name.strip() and name.strip() != "-1")
    return tuple(str(number) for number in range(len(list(Path("/proc/driver/nvidia/gpus").glob("*"))) or _told_by_driver()))


def _told_by_driver() -> int:
    """GPUs that its own program lists: under WSL and in some containers /proc has none."""
    try:
        told = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=5, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return 0
    return sum(line.startswith("GPU ") for line in told.splitlines())


def available_bytes() -> int | None:
    """Memory that could be taken without swapping, the container's limit included; None where the system does not say."""
    free = [_kilobytes("/proc/meminfo", "MemAvailable")]
    limit, used = _read(f"{CGROUP}/memory.max"), _read(f"{CGROUP}/memory.current")
    if limit.isdigit() and used.isdigit():
        free.append(int(limit) - int(used))
    known = [amount for amount in free if amount is not None]
    return min(known) if known else None


def data_bytes() -> int | None:
    """Memory that this process has asked for, of the kind `limit_memory` limits; None where the system does not say."""
    return _kilobytes("/proc/self/status", "VmData")


def limit_memory(budget_bytes: int) -> int | None:
    """Let this process take `budget_bytes` more than it has now; more becomes an error that can be explained, not the system's kill.

    RLIMIT_DATA and not RLIMIT_AS: address space also counts what is only reserved. Between two small runs of a warm worker it grew by
    139 MB while data grew by 13 MB, and CUDA reserves more address space than any machine has memory. Returns the limit, None where
    the system has none.
    """
    try:
        import resource
    except ImportError:
        return None
    used = data_bytes()
    if used is None:
        return None
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = used + budget_bytes if hard == resource.RLIM_INFINITY else min(used + budget_bytes, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
    return limit


def _kilobytes(path: str, name: str) -> int | None:
    """Bytes of a `Name:  123 kB` line of /proc."""
    found = next((line for line in _read(path).splitlines() if line.startswith(name + ":")), None)
    return int(found.split()[1]) * 1024 if found else None


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""
