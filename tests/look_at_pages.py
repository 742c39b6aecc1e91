"""Pictures of pages, and what overlaps, is clipped, or is too pale in them.

python tests/look_at_pages.py PAGE.html [...] --to FOLDER [--browser firefox] [--whole]
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import browsers
from browsers import PHONE, WIDE

VIEWS: dict[str, tuple[tuple[int, int], dict]] = {
    "light": (WIDE, {}),
    "dark": (WIDE, {"scheme": "dark"}),
    "phone": (PHONE, {}),
    "phone-dark": (PHONE, {"scheme": "dark"}),
    # The width of A4 between margins of a centimeter.
    "print": ((718, 1000), {"print": True}),
}
FIREFOX_VIEWS = ("light", "phone")


def faults(page: browsers.Page) -> list[str]:
    return page.evaluate("layout.js") + page.evaluate("contrast.js")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pages", type=Path, nargs="+")
    parser.add_argument("--to", type=Path, required=True, help="folder for the pictures")
    parser.add_argument("--browser", choices=browsers.EXECUTABLES, default="chromium")
    parser.add_argument("--whole", action="store_true", help="the whole page, not a screen of it")
    arguments = parser.parse_args()
    views = VIEWS if arguments.browser == "chromium" else FIREFOX_VIEWS
    driver = browsers.Driver()
    with tempfile.TemporaryDirectory() as downloads:
        browser = browsers.launch(arguments.browser, driver, Path(downloads))
        for path in arguments.pages:
            for view in views:
                size, options = VIEWS[view]
                with browser.open(path, size, **options) as page:
                    page.screenshot(arguments.to / f"{path.stem}-{view}.png", arguments.whole)
                    for fault in [*page.problems(), *faults(page)]:
                        print(f"{path.stem}, {view}: {fault}")
        driver.close()


if __name__ == "__main__":
    main()
