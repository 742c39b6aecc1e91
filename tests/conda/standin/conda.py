"""Stands in for conda where no channel is reached: builds an environment from its file, for real.

It answers the calls that snakemake makes and refuses all others. An environment is a Python virtual
environment of the version that the file asks for, with the packages of the file's `pip` list and
nothing else: nothing of the system or of the calling environment is seen in it. Of conda's own
packages it knows python and pip alone. Python's byte code is left to be written at the first
import, which is most of the time that an installation takes.
"""

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

VERSION = "24.11.0"
#: What would let an installation see more than the file, or stop it.
NOT_PASSED_ON = ("PYTHONPATH", "PYTHONHOME", "PIP_CONSTRAINT", "PIP_REQUIRE_VIRTUALENV", "PIP_USER")


def main(arguments):
    if arguments == ["--version"]:
        print(f"conda {VERSION}")
    elif arguments == ["info", "--json"]:
        prefix = str(Path(__file__).resolve().parent)
        system = {"Linux": "linux", "Darwin": "osx"}[platform.system()]
        kind = {"x86_64": "64", "aarch64": "aarch64", "arm64": "arm64"}[platform.machine()]
        facts = {"conda_prefix": prefix, "platform": f"{system}-{kind}", "conda_version": VERSION}
        print(json.dumps(facts))
    elif arguments == ["config", "--get", "channel_priority", "--json"]:
        print(json.dumps({"get": {"channel_priority": "strict"}, "success": True}))
    elif arguments[:2] == ["env", "create"]:
        create(arguments[2:])
    elif arguments == ["clean", "-y", "--tarballs"]:
        pass
    else:
        sys.exit(f"the stand-in for conda does not know this call: conda {' '.join(arguments)}")


def create(arguments):
    parser = argparse.ArgumentParser("conda env create", allow_abbrev=False)
    parser.add_argument("--quiet", action="store_true", required=True)
    parser.add_argument("--no-default-packages", action="store_true", required=True)
    parser.add_argument("--file", type=Path, required=True)
    parser.add_argument("--prefix", type=Path, required=True)
    chosen = parser.parse_args(arguments)
    version, pins = read(chosen.file)
    environment = {k: v for k, v in os.environ.items() if k not in NOT_PASSED_ON}

    def run(*command):
        subprocess.run([str(part) for part in command], check=True, env=environment)

    run(python(version), "-m", "venv", "--without-pip", chosen.prefix)
    with tempfile.TemporaryDirectory() as folder:
        requirements = Path(folder, "requirements.txt")
        requirements.write_text("".join(f"{pin}\n" for pin in pins))
        pip = [sys.executable, "-m", "pip", "--python", chosen.prefix / "bin" / "python"]
        run(*pip, "install", "--quiet", "--no-compile", "--requirement", requirements)


def read(file):
    """(version of Python, list of pins) of an environment's file; stops at what it cannot build."""
    content = yaml.safe_load(file.read_text())
    if set(content) != {"channels", "dependencies"}:
        sys.exit(f"{file}: the stand-in for conda knows channels and dependencies, no other key")
    version, pins = None, []
    for part in content["dependencies"]:
        if isinstance(part, dict) and set(part) == {"pip"}:
            pins += part["pip"]
        elif isinstance(part, str) and (match := re.fullmatch(r"python =(3\.\d+)", part)):
            version = match[1]
        elif part != "pip":
            sys.exit(f"{file}: the stand-in for conda cannot install {part!r}")
    if version is None or not pins:
        sys.exit(f"{file}: it names no version of Python, or no package of pip's")
    loose = [pin for pin in pins if not re.fullmatch(r"[A-Za-z0-9_.-]+==[^*,;\s]+", pin)]
    if loose:
        sys.exit(f"{file}: no exact version of {', '.join(loose)}")
    return version, pins


def python(version):
    """An interpreter of this version: the one that runs this, or one on the path."""
    if version == f"{sys.version_info.major}.{sys.version_info.minor}":
        return sys._base_executable
    interpreter = shutil.which(f"python{version}")
    if not interpreter:
        sys.exit(f"the stand-in for conda finds no python{version}")
    return interpreter


if __name__ == "__main__":
    main(sys.argv[1:])
