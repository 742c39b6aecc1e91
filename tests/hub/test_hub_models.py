"""Models from the hub: what is taken, what a failure says, and that the next run resumes."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest
from fetch_process import CANARY

ID = "maker/small"
WEIGHTS = "model.safetensors"
SIZE = 3_000_000


@pytest.fixture
def folder(tmp_path) -> Path:
    """A model's files; nothing here looks into the weights."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text(
        json.dumps({"architectures": ["MistralForCausalLM"], "model_type": "mistral"})
    )
    (folder / "tokenizer.json").write_text("{}")
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    (folder / WEIGHTS).write_bytes(os.urandom(SIZE))
    return folder


@pytest.fixture
def repo(hub, folder):
    return hub.add("model", ID, folder, tags=("v1.0",))


def asked(repo, **changed) -> dict:
    return {"source": "hub", "id": repo.id, "revision": repo.commit, **changed}


def made(fetch) -> dict[str, bytes]:
    folder = fetch.folder / "results/models/x/model"
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_weights_configuration_and_tokenizer_are_fetched_and_nothing_else(fetch, hub, folder):
    wanted = sorted(path.name for path in folder.iterdir())
    (folder / "original").mkdir()
    for name in ("pytorch_model.bin", "consolidated.safetensors", "modeling_x.py", "README.md"):
        (folder / name).write_bytes(b"not wanted")
    (folder / "original/config.json").write_bytes(b"not wanted")
    repo = hub.add("model", ID, folder)
    fetch.model(**asked(repo))
    assert made(fetch) == {name: repo.files[name] for name in wanted}
    manifest = fetch.manifest("models")
    assert manifest["commit"] == repo.commit
    assert manifest["architecture"] == "MistralForCausalLM"
    assert manifest["weight_bytes"] == SIZE
    sha256 = hashlib.sha256(repo.files[WEIGHTS]).hexdigest()
    assert manifest["hashes"][f"model/{WEIGHTS}"] == sha256
    assert {r.status for r in hub.requests if r.storage} == {200}
    assert len(hub.got(WEIGHTS)) == 1


def test_a_tag_is_written_down_as_its_commit(fetch, repo):
    fetch.model(**asked(repo, revision="v1.0"))
    assert fetch.manifest("models")["commit"] == repo.commit


def test_shards_are_all_taken(fetch, hub, folder):
    (folder / WEIGHTS).unlink()
    names = [f"model-0000{n}-of-00002.safetensors" for n in (1, 2)]
    for name in names:
        (folder / name).write_bytes(os.urandom(1000))
    index = {"weight_map": {f"tensor {n}": name for n, name in enumerate(names)}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    fetch.model(**asked(hub.add("model", ID, folder)))
    assert {*names, "model.safetensors.index.json"} <= made(fetch).keys()


def test_a_pickle_alone_is_refused_before_it_is_fetched(fetch, hub, folder):
    (folder / WEIGHTS).rename(folder / "pytorch_model.bin")
    repo = hub.add("model", ID, folder)
    output = fetch.model(fails=True, **asked(repo))
    assert "models.x.id" in output and "pytorch_model.bin, which can run code" in output
    assert not [r for r in hub.requests if "/resolve/" in r.path or r.storage]


def test_the_second_run_needs_no_network(fetch, hub, repo, closed):
    fetch.model(**asked(repo))
    before = made(fetch)
    for environment in ({"HF_HUB_OFFLINE": "1"}, {"HF_ENDPOINT": closed}):
        fetch.environment = environment
        seen = len(hub.requests)
        fetch.model(**asked(repo))
        assert made(fetch) == before and len(hub.requests) == seen


# ---------------------------------------------------------------- tokens


@pytest.mark.parametrize("stored", [False, True])
def test_the_token_opens_a_gated_model_and_is_shown_to_nobody_else(fetch, hub, repo, stored):
    repo.gated = repo.private = True
    hub.accounts[CANARY] = {ID}
    if stored:
        fetch.cache.mkdir()
        (fetch.cache / "token").write_text(CANARY)
    else:
        fetch.token = CANARY
    output = fetch.model(**asked(repo))
    assert made(fetch)[WEIGHTS] == repo.files[WEIGHTS]
    assert CANARY in {r.token for r in hub.requests if not r.storage}
    assert {r.token for r in hub.requests if r.storage} == {None}
    assert CANARY not in output and fetch.secrets() == []


def test_the_token_is_in_no_message_and_no_file_when_it_is_refused(fetch, hub, repo):
    fetch.token = CANARY
    for account in ({}, {CANARY: set()}):
        hub.accounts, repo.gated = account, True
        output = fetch.model(fails=True, **asked(repo))
        assert "(from HF_TOKEN)" in output
        assert CANARY not in output and fetch.secrets() == []


# ---------------------------------------------------------------- failures, and the run after


def gated(fetch, hub, repo):
    repo.gated = True
    return lambda: setattr(repo, "gated", False)


def gated_for_this_token(fetch, hub, repo):
    repo.gated, fetch.token = True, CANARY
    hub.accounts[CANARY] = set()
    return lambda: hub.accounts[CANARY].add(ID)


def wrong_token(fetch, hub, repo):
    fetch.token = CANARY
    return lambda: setattr(fetch, "token", None)


def wrong_token_for_a_private_one(fetch, hub, repo):
    fetch.token, repo.private = CANARY, True
    return lambda: hub.accounts.update({CANARY: {ID}})


def no_such_repository(fetch, hub, repo):
    removed = hub.repos.pop(("model", ID))
    return lambda: hub.repos.update({("model", ID): removed})


def private_for_this_token(fetch, hub, repo):
    repo.private, fetch.token = True, CANARY
    hub.accounts[CANARY] = set()
    return lambda: hub.accounts[CANARY].add(ID)


def no_such_revision(fetch, hub, repo):
    repo.tags = ("v0.9",)
    return lambda: setattr(repo, "tags", ("v1.0",))


def no_network(fetch, hub, repo):
    fetch.environment = {"HF_ENDPOINT": "http://127.0.0.1:9"}
    return fetch.environment.clear


def offline(fetch, hub, repo):
    fetch.environment = {"HF_HUB_OFFLINE": "1"}
    return fetch.environment.clear


def refused_with(status):
    def refuse(fetch, hub, repo):
        hub.refuse = status
        return lambda: setattr(hub, "refuse", None)

    return refuse


def connection_cut(fetch, hub, repo):
    hub.cut[WEIGHTS] = 2_000_000
    return hub.cut.clear


def damaged(fetch, hub, repo):
    hub.damaged.add(WEIGHTS)
    return hub.damaged.clear


def disk_full(fetch, hub, repo):
    sha256 = hashlib.sha256(repo.files[WEIGHTS]).hexdigest()
    part = fetch.cache / f"hub/models--maker--small/blobs/{sha256}.incomplete"
    part.parent.mkdir(parents=True)
    part.symlink_to("/dev/full")
    return part.unlink


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (gated, ["models.x.id", "is gated", "accept the terms", "hf auth login"]),
        (gated_for_this_token, ["models.x.id", "is gated", "has no access", "from HF_TOKEN"]),
        (wrong_token, ["refuses the token (from HF_TOKEN)", "/settings/tokens"]),
        (wrong_token_for_a_private_one, ["refuses the token (from HF_TOKEN)"]),
        (no_such_repository, ["models.x.id", f"no model '{ID}'", "Check the name"]),
        (private_for_this_token, ["models.x.id", f"no model '{ID}'", "with the token"]),
        (no_such_revision, ["models.x.revision", "no revision 'v1.0'", "/commits/main"]),
        (no_network, ["http://127.0.0.1:9", "refused", "Check the network", "run again"]),
        (offline, ["HF_HUB_OFFLINE", "Unset HF_HUB_OFFLINE"]),
        (refused_with(403), ["models.x.id", "forbidden for the token", "from HF_TOKEN"]),
        (refused_with(429), ["too many requests", "429", "Wait some minutes"]),
        (refused_with(503), ["is in trouble (HTTP 503)", "Run again later"]),
        (refused_with(200), ["does not answer as a hub", "login page", "HF_ENDPOINT"]),
        (connection_cut, ["broke off at 2.0 MB of 3.0 MB", "resumes the download"]),
        (damaged, ["arrived damaged", "Run again"]),
        pytest.param(
            disk_full,
            ["the disk is full", "HF_HOME"],
            marks=pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here"),
        ),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_failure_says_what_to_do_and_the_next_run_succeeds(fetch, hub, repo, fault, expected):
    if fault.__name__ in ("no_network", "refuse", "connection_cut", "damaged", "disk_full"):
        # Whatever goes wrong, the token is not in what is said or kept of it.
        fetch.token, hub.accounts[CANARY] = CANARY, {ID}
    repair = fault(fetch, hub, repo)
    shown = fetch.model(fails=True, **asked(repo, revision="v1.0"))
    for text in expected:
        assert text in shown, shown
    assert CANARY not in shown and fetch.secrets() == []
    repair()
    fetch.model(**asked(repo, revision="v1.0"))
    assert made(fetch)[WEIGHTS] == repo.files[WEIGHTS]


def test_a_run_after_a_cut_fetches_the_rest_alone(fetch, hub, repo):
    hub.cut[WEIGHTS] = 2_000_000
    fetch.model(fails=True, **asked(repo))
    # It was tried again at once, each time from where it was.
    assert [r.range for r in hub.got(WEIGHTS)] == [None, *["bytes=2000000-"] * 3]
    assert fetch.secrets() == []
    hub.cut.clear()
    hub.requests.clear()
    fetch.model(**asked(repo))
    assert [(r.range, r.status) for r in hub.got(WEIGHTS)] == [("bytes=2000000-", 206)]
    assert made(fetch)[WEIGHTS] == repo.files[WEIGHTS]
    assert sorted(path.suffix for path in fetch.blobs) == [""] * len(repo.files)
