"""Chromium and Firefox from Python: one process of node drives both, see browser/driver.js."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "browser"
MODULES = Path(sys.prefix) / "node" / "node_modules"
"""What package.json lists; `make test` installs it."""
EXECUTABLES = {
    "chromium": ("chromium", "chromium-browser", "google-chrome"),
    **dict.fromkeys(["firefox", "firefox-dark", "firefox-forced"], ("firefox-esr", "firefox")),
}
"""Browser → its commands; dark and with forced colors, Firefox is a browser of its own."""
WIDE, PHONE = (1280, 900), (390, 844)
"""Width and height of a screen, in CSS pixels."""


def executable(browser: str) -> str | None:
    return next(filter(None, map(shutil.which, EXECUTABLES[browser])), None)


def missing(browser: str) -> str | None:
    """Why a browser cannot be driven here; None where it can."""
    if executable(browser) is None:
        return f"{EXECUTABLES[browser][0]} is not installed"
    if shutil.which("node") is None:
        return "node is not installed"
    if not (MODULES / "puppeteer-core").is_dir():
        return f"the packages of tests/browser/package.json are not in {MODULES.parent}"
    return None


class Driver:
    """The process that drives the browsers: a request and its answer at a time."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            ["node", str(FOLDER / "driver.js")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "NODE_PATH": str(MODULES)},
            text=True,
            encoding="utf-8",
        )

    def ask(self, action: str, **request: Any) -> Any:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps({"action": action, **request}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the browsers' driver ended at {action}")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(f"{action}: {answer['error']}")
        return answer["value"]

    def close(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()


class Page:
    """An open page."""

    def __init__(self, driver: Driver, number: int, url: str) -> None:
        self._driver, self._number, self.url = driver, number, url

    def _ask(self, action: str, **request: Any) -> Any:
        return self._driver.ask(action, page=self._number, **request)

    def evaluate(self, code: str, argument: Any = None, framed: bool = False) -> Any:
        """What a function of JavaScript returns, or the function in a file of `FOLDER`.

        code: 'layout.js', or the text of a function of one argument; an expression will do.
        framed: in the frame that was added last to the page; None where there is none.
        """
        if code.endswith(".js"):
            code = (FOLDER / code).read_text(encoding="utf-8").strip().removesuffix(";")
        elif "=>" not in code:
            code = f"() => ({code})"
        return self._ask("evaluate", code=code, argument=argument, framed=framed)

    def wait(
        self, code: str, argument: Any = None, seconds: float = 20, framed: bool = False
    ) -> Any:
        """What a function returns, once it is true in JavaScript."""
        end = time.monotonic() + seconds
        while not (value := self.evaluate(code, argument, framed)):
            if time.monotonic() > end:
                raise AssertionError(f"never true: {code} ({argument})")
            time.sleep(0.05)
        return value

    def count(self, selector: str) -> int:
        """Elements that are shown."""
        return self.evaluate(
            "(css) => [...document.querySelectorAll(css)]"
            ".filter((one) => one.checkVisibility()).length",
            selector,
        )

    def text(self, selector: str = "body") -> str:
        """What is shown of the first such element."""
        return self.evaluate("(css) => document.querySelector(css)?.innerText ?? ''", selector)

    def click(self, selector: str) -> None:
        self._ask("click", selector=selector)

    def type(self, selector: str, text: str) -> None:
        self._ask("type", selector=selector, text=text)

    def press(self, key: str, shift: bool = False) -> None:
        self._ask("press", key=key, shift=shift)

    def resize(self, size: tuple[int, int]) -> None:
        self._ask("resize", width=size[0], height=size[1])

    def reload(self) -> None:
        self._ask("reload")

    def screenshot(self, path: Path, whole: bool = False) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._ask("screenshot", path=str(path), whole=whole)

    def pdf(self, path: Path) -> None:
        self._ask("pdf", path=str(path))

    def axe(self, within: str | None = None) -> list[str]:
        """Violations of accessibility, a line for each rule with the elements that break it."""
        violations = self._ask("axe", within=within)
        return [f"{one['rule']}: {one['help']}: {one['nodes']}" for one in violations]

    def problems(self) -> list[str]:
        """Errors and warnings of the console."""
        return self._ask("problems")

    def requests(self) -> list[str]:
        """What the page has asked for besides itself and what it carries."""
        asked = self._ask("requests")
        own = self.url.partition("#")[0]
        return [one for one in asked if not one.startswith(("data:", "blob:", own))]

    def close(self) -> None:
        self._ask("close")


@dataclass(frozen=True)
class Browser:
    name: str
    downloads: Path
    """Folder into which the browser writes what a page offers."""
    driver: Driver

    @contextmanager
    def open(
        self,
        path: Path,
        size: tuple[int, int] = WIDE,
        *,
        fragment: str = "",
        scheme: str = "light",
        js: bool = True,
        forced_colors: bool = False,
        print: bool = False,
    ) -> Iterator[Page]:
        """A page of its own, with nothing stored.

        fragment: what follows the address, with its '#'. scheme, forced_colors and print are
        Chromium's alone: Firefox is a screen, and as its name in `EXECUTABLES` says.
        """
        url = path.resolve().as_uri() + fragment
        number = self.driver.ask(
            "open",
            **{"browser": self.name, "url": url, "width": size[0], "height": size[1]},
            **{"scheme": scheme, "js": js, "forced_colors": forced_colors, "print": print},
        )
        page = Page(self.driver, number, url)
        try:
            yield page
        finally:
            page.close()

    def quit(self) -> None:
        self.driver.ask("quit", browser=self.name)

    def downloaded(self, start: Callable[[], object], seconds: float = 20) -> Path:
        """The file that comes of a click."""
        for old in self.downloads.iterdir():
            old.unlink()
        start()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            files = list(self.downloads.iterdir())
            done = not any(one.suffix in (".part", ".crdownload") for one in files)
            if done and (written := [one for one in files if one.stat().st_size]):
                return written[0]
            time.sleep(0.05)
        raise AssertionError("nothing was downloaded")


def launch(name: str, driver: Driver, downloads: Path) -> Browser:
    downloads.mkdir(parents=True, exist_ok=True)
    driver.ask("launch", browser=name, executable=executable(name), downloads=str(downloads))
    return Browser(name, downloads, driver)
