"""`make audit`: ask the public advisory services about every version in constraints.txt.

pip-audit calls a package that the service does not know skipped, and ends well when all of them
were: behind a mirror that has no advisories it finds nothing wrong with anything. Here what was
not audited is counted, and nothing audited is no success.

Exit status 0: every package was audited and none is vulnerable; 1: some are; 2: some, or all,
could not be audited.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PIP_AUDIT = Path(sys.executable).with_name("pip-audit")
SERVICES = ("pypi", "osv")


def ask(service: str) -> tuple[list[dict[str, Any]], str]:
    """(what pip-audit reports of each package, "") or ([], why there is no answer)."""
    done = subprocess.run(
        [
            str(PIP_AUDIT), "--requirement", str(ROOT / "constraints.txt"), "--no-deps",
            "--disable-pip", "--vulnerability-service", service, "--format", "json",
            "--progress-spinner", "off",
        ],
        capture_output=True,
        text=True,
    )  # fmt: skip
    try:
        return json.loads(done.stdout)["dependencies"], ""
    except (ValueError, KeyError):
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        return [], lines[-1][:300]


def summarize(packages: list[dict[str, Any]]) -> tuple[int, list[str]]:
    """(exit status, lines to print) from what pip-audit reports of each package."""
    audited = [package for package in packages if "vulns" in package]
    skipped = [package["name"] for package in packages if "vulns" not in package]
    lines = []
    for package in audited:
        for advisory in package["vulns"]:
            fixed = ", ".join(advisory.get("fix_versions") or ["no version yet"])
            known = " ".join([advisory["id"], *advisory.get("aliases", [])])
            lines.append(f"{package['name']} {package['version']}: {known}; fixed in {fixed}")
    vulnerable = len({line.split(":")[0] for line in lines})
    lines.append(
        f"{len(audited)} packages audited, {vulnerable} vulnerable, {len(skipped)} unknown"
    )
    if skipped:
        shown = ", ".join(skipped[:10]) + (", ..." if len(skipped) > 10 else "")
        lines.append(f"The service knows nothing of {shown}: these were NOT audited.")
    return 1 if vulnerable else 2 if skipped else 0, lines


def main() -> int:
    reasons = []
    for service in SERVICES:
        packages, reason = ask(service)
        if any("vulns" in package for package in packages):
            status, lines = summarize(packages)
            print("\n".join([f"Asked {service}.", *lines]))
            return status
        reasons.append(f"{service}: {reason or 'it knows none of the packages'}")
    print("Nothing was audited: no advisory service could be reached from here.", file=sys.stderr)
    print("\n".join(f"  {reason}" for reason in reasons), file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
