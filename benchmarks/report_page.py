"""How long the report takes until it can be used: python benchmarks/report_page.py [TEXT ...]

A page of 5,000 examples, each of 1,000 tokens over prompt, reference and the answers of base and
tuned, with the words of files that are given (or words made up), in Chromium. It prints bytes and
nodes of the page, the seconds until the list is there, and those of filters, orders and the search.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

from deltatune.report import examples, page  # noqa: E402
from deltatune.report.data import ReportData  # noqa: E402
from deltatune.report.examples import ExampleTable  # noqa: E402

CHARACTERS = 4400
"""Of 1,000 tokens of English."""
PARTS = {"prompt": 0.55, "reference": 0.15, "base": 0.15, "tuned": 0.15}
"""Of an example, their shares of its tokens."""
LIMITS = {"MB": 12, "nodes": 5000, "load, s": 1.5, "filters, ms": 200}


def corpus_of(files: Sequence[Path]) -> str:
    """The texts of the files, of JSON its strings alone; or, without files, words made up."""
    texts = []
    for file in files:
        text = file.read_text(encoding="utf-8")
        records = json.loads(text) if file.suffix == ".json" else []
        texts.append("\n".join(" ".join(record.values()) for record in records) or text)
    if texts:
        return "\n".join(texts)
    draw = np.random.default_rng(0)
    letters = np.array(list("etaoinshrdlucmfwypvbgk"))
    made = ["".join(draw.choice(letters, draw.integers(2, 10))) for _ in range(20_000)]
    return " ".join(made[n] for n in np.minimum(draw.zipf(1.3, 400_000), len(made)) - 1)


def table(corpus: str, count: int) -> ExampleTable:
    """Examples whose texts are runs of the corpus; tuned is right a little more often.

    A run may come twice, but hardly within the 32 kB in which gzip would find it again.
    """
    draw = np.random.default_rng(1)
    texts = {
        name: [
            corpus[start : start + int(CHARACTERS * share)]
            for start in draw.integers(0, len(corpus) - CHARACTERS, count)
        ]
        for name, share in PARTS.items()
    }
    right = draw.random((2, count)) < [[0.1], [0.3]]
    systems = {
        name: pd.DataFrame(
            {
                **{"output": texts[name], "score": np.where(right[n], 1, draw.random(count))},
                **{"right": right[n], "truncated": draw.random(count) < 0.1, "empty": False},
            }
        )
        for n, name in enumerate(("base", "tuned"))
    }
    columns = {"prompt": texts["prompt"], "reference": texts["reference"]}
    return ExampleTable(
        **{"task": "questions", "outputs": "answers", "metric": "rouge_l"},
        **{"higher_is_better": True, "title": "ROUGE-L F1", "unit": "examples"},
        records=pd.DataFrame({"id": range(1, count + 1), **columns}),
        base=systems["base"],
        tuned={"questions-lora": {1: systems["tuned"]}},
        tested=count,
        counts={"questions-lora": examples.count(systems["base"], [systems["tuned"]], True)},
    )


def write_page(files: Sequence[Path], count: int, path: Path) -> ReportData:
    made = table(corpus_of(files), count)
    experiment = {"task": "questions", "outputs": "answers", "main_metric": "rouge_l", "seeds": [1]}
    data = ReportData(facts=[], experiments={"questions-lora": experiment}, examples=[made])
    path.write_text(page.render(data, ROOT / "report" / "page.html.j2"), encoding="utf-8")
    return data


class Chromium:
    """A browser without a window, driven by its debugging protocol over two pipes."""

    def __init__(self, folder: Path) -> None:
        program = shutil.which("chromium") or shutil.which("chromium-browser")
        if program is None:
            raise SystemExit("This needs Chromium.")
        (theirs_in, self._write), (self._read, theirs_out) = os.pipe(), os.pipe()

        def pipes() -> None:
            # Chromium reads from 3 and writes to 4; copies, since these may be the numbers here.
            ends = os.dup(theirs_in), os.dup(theirs_out)
            os.dup2(ends[0], 3)
            os.dup2(ends[1], 4)

        options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run"]
        self._process = subprocess.Popen(
            [
                program,
                *options,
                "--remote-debugging-pipe",
                f"--user-data-dir={folder}",
                "--window-size=1280,900",
                "about:blank",
            ],
            preexec_fn=pipes,
            close_fds=False,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._number, self._rest, self._session = 0, b"", None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = session["sessionId"]
        self.version = self.call("Browser.getVersion")["product"]

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session and not method.startswith("Browser."):
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            while b"\0" not in self._rest:
                self._rest += os.read(self._read, 1 << 20)
            line, self._rest = self._rest.split(b"\0", 1)
            answer = json.loads(line)
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]

    def ask(self, script: str) -> Any:
        """The value of a script in the page, waited for."""
        answer = self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"])
        return answer["result"].get("value")

    def close(self) -> None:
        self.call("Browser.close")
        self._process.wait(timeout=20)


USABLE = """new Promise((done) => {
  const look = () => {
    const root = document.getElementById("browser");
    if (root?.dataset.ready && root.querySelector(".head")) {
      requestAnimationFrame(() => setTimeout(() => done(performance.now() / 1000)));
    } else setTimeout(look, 5);
  };
  look();
})"""
"""Seconds from the begin of the navigation until the list is drawn."""

# From the event of a control to the picture after it.
ACT = """new Promise((done) => {
  const form = document.querySelector("#browser form");
  const begin = performance.now();
  %s
  requestAnimationFrame(() => setTimeout(() => done(performance.now() - begin)));
})"""


def setting(name: str, value: str) -> str:
    """A script that chooses a value as a reader does."""
    return ACT % (
        f'const control = form.elements["{name}"]; control.value = {json.dumps(value)};'
        'control.dispatchEvent(new Event("input", {bubbles: true}));'
    )


FIRST_SEARCHES = (("search as soon as the page is there", 0), ("first search, a second later", 1))
"""Of a word that few texts have, so that all are looked at; and seconds to wait before: texts are
prepared for the search while nothing else is to be done."""
ACTIONS = {
    "filter: better": ACT % "form.querySelector('[value=better]').click();",
    "filter: all": ACT % "form.querySelector('[name=outcome]').click();",
    "filter: exact": setting("right", "right"),
    "filter: any": setting("right", ""),
    "filter: longer than 600": setting("shortest", "600"),
    "filter: any length": setting("shortest", ""),
    "sort: loss": setting("sort", "loss"),
    "sort: length": setting("sort", "length"),
    "sort: id": setting("sort", "id"),
    "search: one word": setting("q", "the"),
    "search: two words": setting("q", "the nothing"),
    "search: none": setting("q", ""),
    "open": ACT % "document.querySelector('#browser .head').click();",
}


def measure(path: Path, rounds: int) -> dict[str, Any]:
    """Medians over rounds, each in a fresh page."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        chromium = Chromium(Path(folder))
        loads: list[float] = []
        times: dict[str, list[float]] = {name: [] for name in ACTIONS}
        first_searches: dict[str, float] = {}
        nodes, carried = 0, ""
        for number in range(rounds):
            chromium.call("Page.navigate", url=path.as_uri())
            loads.append(chromium.ask(USABLE))
            nodes = chromium.ask("document.getElementsByTagName('*').length")
            carried = chromium.ask("document.querySelector('#browser output').textContent")
            if number < len(FIRST_SEARCHES):
                title, seconds = FIRST_SEARCHES[number]
                chromium.ask(f"new Promise((done) => setTimeout(done, {1000 * seconds}))")
                first_searches[title] = chromium.ask(setting("q", "zebra"))
                chromium.ask(setting("q", ""))
            for name, script in ACTIONS.items():
                times[name].append(chromium.ask(script))
        opened = chromium.ask("document.getElementsByTagName('*').length")
        version = chromium.version
        chromium.close()
    return {
        "version": version,
        "load": statistics.median(loads),
        "nodes": max(nodes, opened),
        "carried": carried,
        "first searches": first_searches,
        "times": {name: statistics.median(values) for name, values in times.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("texts", nargs="*", type=Path, help="files whose words the texts have")
    parser.add_argument("--examples", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--keep", type=Path, help="where to leave the page")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        path = options.keep or Path(folder) / "report.html"
        write_page(options.texts, options.examples, path)
        megabytes = path.stat().st_size / 1e6
        figures = measure(path.resolve(), options.rounds)
    filters = max(figures["times"].values())
    print(f"{platform.machine()}, {os.cpu_count()} cores, {figures['version']}")
    print(
        f"{options.examples:,} examples of 1,000 tokens, medians of {options.rounds} loads; shown: "
        f"{figures['carried']}"
    )
    rows = {"MB": megabytes, "nodes": figures["nodes"], "load, s": figures["load"]}
    rows["filters, ms"] = filters
    for name, value in rows.items():
        verdict = "below" if value < LIMITS[name] else "NOT below"
        print(f"{name:12} {value:10.2f}   {verdict} {LIMITS[name]}")
    for name, value in [*figures["first searches"].items(), *figures["times"].items()]:
        print(f"{name:42} {value:8.1f}")


if __name__ == "__main__":
    main()
