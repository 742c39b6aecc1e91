"""`fetch.py ASKED` runs scripts/fetch_*.py as Snakemake does, and waits for nothing.

ASKED: a JSON object {"scripts", "rule", "name", "config"}.
"""

import importlib
import json
import runpy
import shutil
import sys
import time
from pathlib import Path
from types import SimpleNamespace

asked = json.loads(sys.argv[1])
rule, name = asked["rule"], asked["name"]
sleep, time.sleep = time.sleep, lambda seconds: sleep(min(seconds, 0.01))
sys.path.insert(0, asked["scripts"])
flow = importlib.import_module("deltatune.workflow.flow").Flow(asked["config"])
if rule == "fetch_dataset":
    folder, files = Path("results/datasets") / name, ["records.parquet", "rejects.csv"]
    job = SimpleNamespace(dataset=name)
    settings, source = flow.params.fetch_dataset(job), flow.inputs.fetch_dataset(job)
else:
    folder, files = Path("results/models") / name, ["model", "weights.sha256", "tokenizer.sha256"]
    settings, source = flow.params.fetch_model(SimpleNamespace(model=name)), []
shutil.rmtree(folder, ignore_errors=True)
folder.mkdir(parents=True)
outputs = {Path(file).stem: str(folder / file) for file in [*files, "manifest.json"]}
# As Snakemake gives it: a list whose members have names.
made = type("Files", (list,), {})(outputs.values())
vars(made).update(outputs)
snakemake = SimpleNamespace(
    log=[f"results/logs/{rule}/{name}.log"],
    wildcards=[name],
    rule=rule,
    params=SimpleNamespace(settings=settings),
    input={"source": source},
    output=made,
    threads=1,
    resources=None,
)
runpy.run_path(f"{asked['scripts']}/{rule}.py", init_globals={"snakemake": snakemake})
