"""The GPUs that this process may use, found without torch: that takes seconds to load, and what it
sees is settled then."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

NVIDIA, AMD = "CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES"
"""What a process may use of the machine's GPUs, as a list: a variable for each maker."""

_GPU = re.compile(r"GPU (\d+):.*\(UUID: (\S+)\)")
_MIG = re.compile(r"\s+MIG .*Device\s+(\d+): \(UUID: (\S+)\)")


@dataclass(frozen=True)
class Device:
    """number: as nvidia-smi counts, "0"; of a part of one (MIG) "0:1". uuid: the same device in
    every process of the machine. visible: what `NVIDIA` or `AMD` names it by."""

    number: str
    uuid: str
    visible: str


def find(root: Path = Path("/")) -> tuple[str, list[Device]]:
    """The variable of their maker, and all GPUs of this machine or container; none where there are
    none. root: of the file system, for tests."""
    if devices := _from_nvidia_smi() or _from_nvidia_driver(root):
        return NVIDIA, devices
    return AMD, _from_amd_driver(root)


def usable(
    environment: Mapping[str, str] = os.environ,
    all_devices: Callable[[], tuple[str, list[Device]]] = find,
) -> tuple[str, list[Device]]:
    """The same, of those that a person or a scheduler left to this process. A device that their
    list has twice is there twice."""
    variable, devices = all_devices()
    # These are counted in what another variable left over, in an order that is not known here.
    others = ("ROCR_VISIBLE_DEVICES", NVIDIA) if variable == AMD else ()
    if any(name in environment for name in others):
        return variable, []
    if variable in environment:
        return variable, listed(environment[variable], devices)
    # A job of SLURM without a list was given no GPU.
    return variable, [] if "SLURM_JOB_ID" in environment else devices


def listed(names: str, devices: list[Device]) -> list[Device]:
    """The devices of "2,3" or "GPU-8932f937,MIG-5c89852c". As CUDA reads it: the beginning of a
    UUID is enough, and the list ends at the first name that no device has."""
    chosen = []
    for name in (part.strip() for part in names.split(",")):
        matching = [
            device
            for device in devices
            if name == device.number
            or (name.startswith(("GPU-", "MIG-")) and device.uuid.startswith(name))
        ]
        if len(matching) != 1:
            break
        chosen.append(Device(matching[0].number, matching[0].uuid, name))
    return chosen


def _from_nvidia_smi() -> list[Device]:
    try:
        done = subprocess.run(
            ["nvidia-smi", "-L"], capture_output=True, text=True, check=True, timeout=60
        )
    except (OSError, subprocess.SubprocessError):
        return []
    devices: list[Device] = []
    gpu = None
    for line in done.stdout.splitlines():
        if match := _GPU.match(line):
            gpu = Device(match[1], match[2], match[2])
            devices.append(gpu)
        elif gpu and (match := _MIG.match(line)):
            if devices[-1] is gpu:
                devices.pop()  # what is divided is used by its parts
            devices.append(Device(f"{gpu.number}:{match[1]}", match[2], match[2]))
    return devices


def _from_nvidia_driver(root: Path) -> list[Device]:
    """Of a container without nvidia-smi. The driver lists those of the whole machine; /dev has
    those that were given to it."""
    devices = []
    for folder in sorted((root / "proc/driver/nvidia/gpus").glob("*")):
        facts = _facts(folder / "information", ":")
        if (root / f"dev/nvidia{facts.get('Device Minor')}").exists():
            number, uuid = str(len(devices)), facts.get("GPU UUID", "?")
            known = "?" not in uuid  # of a device that was not used yet
            devices.append(Device(number, uuid if known else number, uuid if known else number))
    return devices


def _from_amd_driver(root: Path) -> list[Device]:
    devices = []
    nodes = (root / "sys/class/kfd/kfd/topology/nodes").glob("*")
    for folder in sorted(nodes, key=lambda path: (len(path.name), path.name)):
        facts = _facts(folder / "properties", " ")
        is_gpu = facts.get("simd_count", "0") != "0"  # the others are processors
        if is_gpu and (root / f"dev/dri/renderD{facts.get('drm_render_minor')}").exists():
            number = str(len(devices))
            devices.append(Device(number, f"AMD-{facts.get('unique_id', number)}", number))
    return devices


def _facts(file: Path, separator: str) -> dict[str, str]:
    """The lines "name: value" of a file; none of one that cannot be read."""
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    pairs = (line.partition(separator) for line in lines)
    return {name.strip(): value.strip() for name, _, value in pairs}
