"""Modules outside the digest: an edit to one asks its author whether a result depends on it."""

import json
import shutil
from pathlib import Path

import pytest
from deltatune.workflow import digest

LIBRARY = Path(__file__).resolve().parents[2] / "scripts" / "deltatune"
RECORDED = Path(__file__).with_name("outside_digest.json")


def undecided(library: Path, recorded: dict[str, dict]) -> list[str]:
    """What there is to decide, a message for each module."""
    messages = []
    for place, outside in digest.OUTSIDE.items():
        current = {
            "version": outside.version,
            "sha256": digest.tree_hash((library / place).read_text(encoding="utf-8")),
        }
        if recorded.get(place) != current:
            messages.append(
                f"{place} has changed, and the digests of stages see its version alone. If a "
                "result may be another now, raise its version in OUTSIDE of "
                "scripts/deltatune/workflow/digest.py: every stage that reaches it runs again. If "
                "no result depends on the edit, leave the version. Record which by "
                f'"{place}": {json.dumps(current)} in tests/unit/{RECORDED.name}.'
            )
    messages += [f"{place} is not outside: remove it" for place in recorded.keys() - digest.OUTSIDE]
    return messages


def recorded() -> dict[str, dict]:
    return json.loads(RECORDED.read_text(encoding="utf-8"))


def test_every_edit_to_a_module_outside_has_been_decided_on():
    assert undecided(LIBRARY, recorded()) == []


@pytest.mark.parametrize("place", digest.OUTSIDE)
def test_an_edit_is_refused_until_it_is_decided_on(tmp_path, monkeypatch, place):
    for folder in {Path(place).parent for place in digest.OUTSIDE}:
        shutil.copytree(LIBRARY / folder, tmp_path / folder)
    file = tmp_path / place
    text = file.read_text(encoding="utf-8")
    file.write_text(f"# A comment.\n{text}", encoding="utf-8")
    assert undecided(tmp_path, recorded()) == []
    file.write_text(f"{text}\nEDITED = 1\n", encoding="utf-8")
    (message,) = undecided(tmp_path, recorded())
    assert message.startswith(f"{place} has changed") and "raise its version" in message
    # No result depends on it: the new hash is recorded, under the same version.
    written = json.loads("{" + message.partition(" by ")[2].partition(" in tests/")[0] + "}")
    assert undecided(tmp_path, recorded() | written) == []
    # A result does: the version is raised and recorded too.
    monkeypatch.setitem(digest.OUTSIDE, place, digest.Outside(2, "a test"))
    assert len(undecided(tmp_path, recorded() | written)) == 1


def test_what_is_recorded_of_a_module_inside_is_refused():
    (message,) = undecided(LIBRARY, recorded() | {"core/stage.py": {}})
    assert message == "core/stage.py is not outside: remove it"
