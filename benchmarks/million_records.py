"""Memory and time of the data stages on many short records, each stage in a process of its own.

    python benchmarks/million_records.py                   a million records of each kind
    python benchmarks/million_records.py --records 100000  fewer
    python benchmarks/million_records.py --before df2a72a  an earlier version too, from a worktree

One record in fifty is a duplicate of an earlier one, one in fifty a near duplicate. The scripts of
the pipeline run as Snakemake runs them, without its startup. benchmarks/README.md has the output.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import random
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WORDS = [f"{start}{end}" for start in ("am", "ber", "co", "du", "el", "fir") for end in (
    "birch", "cedar", "dune", "ember", "fjord", "grove", "heath", "islet")]  # fmt: skip
LABELS = ["World", "Sports", "Business", "Sci/Tech"]
RUN = """
import json, runpy, sys, types
job = json.loads(sys.argv[1])
sys.path.insert(0, job["scripts"])
class Input(dict):
    __getattr__ = dict.__getitem__
snakemake = types.SimpleNamespace(
    log=[job["log"]], wildcards=Input(split="train", model="tiny"), rule=job["script"],
    params=types.SimpleNamespace(settings=job["settings"]),
    input=Input(job["input"]), output=Input(job["output"]), threads=1,
    resources=types.SimpleNamespace(cache_mb=0),
)
runpy.run_path(f"{job['scripts']}/{job['script']}.py", init_globals={"snakemake": snakemake})
"""

# A process inherits the peak memory of its parent, so that a small one starts each script.
MEASURE = """
import json, os, resource, subprocess, sys
memory = int(sys.argv[4])
limit = lambda: resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
command = [sys.executable, "-c", *sys.argv[1:3]]
process = subprocess.Popen(command, preexec_fn=limit if memory else None)
_, status, usage = os.wait4(process.pid, 0)
with open(sys.argv[3], "w") as file:
    json.dump([usage.ru_utime + usage.ru_stime, usage.ru_maxrss], file)
sys.exit(1 if status else 0)
"""


def sentence(rng: random.Random, words: int) -> str:
    return " ".join(rng.choices(WORDS, k=words))


def write_records(path: Path, count: int, seed: int = 0) -> None:
    """A csv of texts of 17 words and labels."""
    rng = random.Random(seed)
    earlier: list[str] = []
    with path.open("w", encoding="utf-8") as file:
        file.write("text,label\n")
        for i in range(count):
            text = f"{sentence(rng, 16)} {i}"
            if earlier and i % 50 == 0:
                text = rng.choice(earlier)
            elif earlier and i % 50 == 25:
                text = f"{rng.choice(earlier)} {i}"
            elif i % 1000 == 1:
                earlier.append(text)
            file.write(f"{text},{LABELS[sum(map(ord, text)) % 4]}\n")


def write_as(path: Path, source: Path) -> None:
    """The same records in another format."""
    sys.path.insert(0, str(ROOT / "scripts"))
    import pandas as pd

    frame = pd.read_csv(source)
    if path.suffix == ".parquet":
        frame.to_parquet(path, index=False)
    else:
        frame.to_json(path, orient="records", lines=path.suffix == ".jsonl")


def run(folder: Path, script: str, settings: dict, input: dict, output: dict, memory: int | None):
    """(seconds, seconds of CPU, peak resident bytes) of one script; memory: limit of its address
    space."""
    job = {
        "scripts": str(ROOT / "scripts"),
        "script": script,
        "settings": settings,
        "input": {key: str(value) for key, value in input.items()},
        "output": {key: str(value) for key, value in output.items()},
        "log": f"logs/{script}.log",
    }
    start = time.monotonic()
    measured = folder / "measured.json"
    process = subprocess.run(
        [sys.executable, "-c", MEASURE, RUN, json.dumps(job), str(measured), str(memory or 0)],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    )
    if process.returncode:
        log = folder / job["log"]
        raise RuntimeError(f"{script}: {log.read_text()[-3000:] if log.exists() else 'no log'}")
    cpu, peak = json.loads(measured.read_text())
    return time.monotonic() - start, cpu, peak * (1 if sys.platform == "darwin" else 1024)


def _in_process(function, *arguments) -> None:
    """Run in a process of its own, so that this one stays small."""
    process = multiprocessing.get_context("spawn").Process(target=function, args=arguments)
    process.start()
    process.join()
    if process.exitcode:
        raise RuntimeError(f"{function.__name__} failed")


def write_tokenizer(folder: Path) -> None:
    sys.path.insert(0, str(ROOT / "scripts"))
    from deltatune.models.pretrain import train_tokenizer

    rng = random.Random(1)
    train_tokenizer([sentence(rng, 40) for _ in range(200)], 600).save_pretrained(folder)
    # What tokenizing asks of a model: how long its rows may be.
    config = {"model_type": "mistral", "max_position_embeddings": 4096, "vocab_size": 600}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")


def measure(folder: Path, count: int, formats: list[str], memory: int | None = None) -> list[dict]:
    """Rows of stage, seconds, cpu, peak_gb: reading each format, then splitting and tokenizing."""
    sys.path.insert(0, str(ROOT / "scripts"))
    from deltatune.data.split_settings import SplitSettings
    from deltatune.fetch.dataset_settings import DatasetSettings, FileSource
    from deltatune.tasks.registry import load_kind
    from deltatune.tokens.settings import TokenizeSettings

    kind = load_kind("classify")
    task = kind.Settings(kind="classify", dataset="d", labels=LABELS)
    used, asks = kind.Records.part_of(task), kind.Prompts.part_of(task)
    splitting = SplitSettings[kind.Records].part_of(task, task="t", records=used)
    splitting = splitting.model_dump(mode="json")
    tokenizing = TokenizeSettings[kind.Prompts].part_of(task, task="t", prompts=asks)
    tokenizing = tokenizing.model_dump(mode="json")
    source = folder / "d.csv"
    _in_process(write_records, source, count)
    rows = []

    def add(stage: str, script: str, settings: dict, input: dict, output: dict) -> None:
        seconds, cpu, peak = run(folder, script, settings, input, output, memory)
        rows.append({"stage": stage, "seconds": seconds, "cpu": cpu, "peak_gb": peak / 1e9})
        print(f"{stage}: {seconds:.1f} s, CPU {cpu:.1f} s, {peak / 1e9:.2f} GB", flush=True)

    for format in formats:
        path = source.with_suffix(f".{format}")
        if format != "csv":
            _in_process(write_as, path, source)
        chosen = FileSource(source="file", format=format)
        settings = DatasetSettings(
            dataset="d", source=chosen, text=False, columns={}, groups=[], used=["label", "text"]
        )
        names = {n: folder / f"{format}-{n}" for n in ("records", "rejects", "manifest")}
        add(f"fetch_dataset, {format}", "fetch_dataset", settings.model_dump(mode="json"),
            {"source": path}, names)  # fmt: skip
    parts = {n: folder / f"{n}.parquet" for n in ("train", "validation", "test")}
    labels = {"labels": folder / "labels.json"}
    facts = {"excluded": folder / "excluded.csv", "manifest": folder / "split.json"} | labels
    records = {name: folder / f"{formats[0]}-{name}" for name in ("records", "rejects")}
    add("split_dataset", "split_dataset", splitting, records, parts | facts)
    _in_process(write_tokenizer, folder / "tokenizer")
    add("tokenize_split", "tokenize_split", tokenizing,
        {"records": parts["train"], "model": folder / "tokenizer"} | labels,
        {"shards": folder / "shards", "hashes": folder / "t.sha256",
         "pieces": folder / "pieces.parquet", "excluded": folder / "tokens.excluded.csv",
         "manifest": folder / "tokens.json"})  # fmt: skip
    return rows


def printed_by(project: Path, count: int) -> dict[str, tuple[float, float, float]]:
    """Stage -> (seconds, of CPU, peak in GB) that a version of this file prints in a process of
    its own, with the scripts beside it."""
    script = project / "benchmarks" / "million_records.py"
    command = [sys.executable, str(script), "--records", str(count), "--formats", "csv"]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    lines = re.findall(r"^(.+): ([\d.]+) s, CPU ([\d.]+) s, ([\d.]+) GB$", output, re.MULTILINE)
    return {stage: tuple(map(float, figures)) for stage, *figures in lines}


def compare(revision: str, count: int) -> None:
    """An earlier version and this one, one after the other, and the table of both.

    How many times as fast is by the CPU time, which other work on the machine changes less."""
    cores, load = os.cpu_count(), os.getloadavg()[2]
    machine = f"{platform.platform()}, Python {platform.python_version()}, {cores} cores"
    print(f"{machine}; {load:.0f} processes at work in the 15 minutes before", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        worktree = Path(folder, "before")
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "--quiet", "--detach", str(worktree), revision], check=True)
        try:
            before = printed_by(worktree, count)
        finally:
            subprocess.run([*git, "remove", "--force", str(worktree)], check=True)
    now = printed_by(ROOT, count)
    print(f"| {count:,} records | version | seconds | of CPU | times as fast | peak memory, GB |")
    print("|---|---|---|---|---|---|")
    for stage, (seconds, cpu, peak) in before.items():
        print(f"| {stage} | {revision} | {seconds:.0f} | {cpu:.1f} | 1 | {peak:.2f} |")
        seconds, of_cpu, peak = now[stage]
        times = cpu / of_cpu
        print(f"| {stage} | this one | {seconds:.0f} | {of_cpu:.1f} | {times:.1f} | {peak:.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--formats", nargs="+", default=["csv", "jsonl", "json", "parquet"])
    parser.add_argument("--before", metavar="REVISION")
    options = parser.parse_args()
    if options.before:
        compare(options.before, options.records)
        return
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(Path(folder), options.records, options.formats)
        for name in ("split", "tokens"):
            facts = json.loads((Path(folder) / f"{name}.json").read_text())
            facts = {k: v for k, v in facts.items() if isinstance(v, int | float | dict)}
            facts.pop("settings", None), facts.pop("versions", None), facts.pop("hashes", None)
            print(f"{name}: {json.dumps(facts)}")
    print(f"\n| stage, {options.records:,} records | seconds | of CPU | peak memory, GB |")
    print("|---|---|---|---|")
    for row in rows:
        figures = f"{row['seconds']:.0f} | {row['cpu']:.0f} | {row['peak_gb']:.2f}"
        print(f"| {row['stage']} | {figures} |")


if __name__ == "__main__":
    main()
