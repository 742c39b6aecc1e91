"""Datasets and models from the Hugging Face Hub, at one revision, and what to do when it fails.

All files are in the hub's own cache, so HF_HOME, HF_ENDPOINT, HF_TOKEN and the stored login mean
what they mean everywhere. Large files are fetched by `download.fetch`, which resumes, into the
place where `snapshot_download` looks for them; it brings the rest.
"""

from __future__ import annotations

import glob
import json
import os
import urllib.error
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import huggingface_hub as hf
from huggingface_hub import constants, errors
from huggingface_hub.utils import build_hf_headers, disable_progress_bars

from deltatune.core import disk
from deltatune.core.errors import UserError
from deltatune.core.nested import without_fillers
from deltatune.core.text import did_you_mean, file_size
from deltatune.fetch import download, upstream

_UNREACHABLE = (
    download.ConnectionBroken,
    httpx2.TransportError,
    errors.LocalEntryNotFoundError,
    errors.RevisionResolutionError,
    ConnectionError,
    TimeoutError,
)

Progress = Callable[[str], None]


def model(
    id: str,
    revision: str,
    choose: Callable[[list[str]], list[str]],
    check: Callable[[Path], None],
    where: str,
    progress: Progress,
) -> tuple[Path, dict[str, Any]]:
    """Fetch a model's files into the cache.

    choose: which of the files at the top of the repository are wanted; it raises UserError where
    one is missing. check: called with a folder that has the config.json, before anything else is
    fetched; it raises UserError for a model that cannot be used. where: path of the model in
    config.yaml, for messages.
    Returns the snapshot's folder, and for the manifest {"commit": ..., "bytes": ...}.
    Raises UserError that says what to do, see `_advice`.
    """
    with _advised("model", id, revision, where):
        commit, files = _listing("model", id, revision)
        names = choose([name for name in files if "/" not in name])
        if "config.json" in names:
            check(_snapshot("model", id, commit, [files["config.json"]], progress))
        folder = _snapshot("model", id, commit, [files[name] for name in names], progress)
        return folder, {"commit": commit, "bytes": sum(files[name].size for name in names)}


def dataset(
    id: str,
    config: str | None,
    splits: Sequence[str],
    revision: str,
    where: str,
    progress: Progress,
) -> tuple[list[Records], dict[str, Any]]:
    """Fetch the files of splits of a dataset into the cache.

    Returns the records of each split as `read.read_rows` takes them, and for the manifest
    {"commit": ..., "files": {name: sha256 or, for small ones, git's id}}.
    Raises UserError that says what to do.
    """
    with _advised("dataset", id, revision, where):
        commit, files = _listing("dataset", id, revision)
        script = f"{id.rpartition('/')[2]}.py"
        if script in files:
            raise UserError(_is_a_program(id, script, where))
        # A gated repository lists its files to everybody. `datasets` would hide why it fails.
        _locate("dataset", id, commit, min(files, default=".gitattributes"))()
        builder = upstream.dataset_builder(id, config, commit)
        there = dict(builder.config.data_files)
        for split in splits:
            if split not in there:
                raise UserError(_no_split(id, split, list(there), where))
        prefix = f"hf://datasets/{id}@{commit}/"
        names = {split: [path.removeprefix(prefix) for path in there[split]] for split in splits}
        every = [name for of_split in names.values() for name in of_split]
        folder = _snapshot("dataset", id, commit, [files[name] for name in every], progress)
        streams = [
            upstream.stream_from_disk(builder, split, [folder / name for name in names[split]])
            for split in splits
        ]
        hashes = {name: _identity(files[name]) for name in every}
        facts = {"commit": commit, "files": hashes}
        return [Records(stream, id, where) for stream in streams], facts


class Records:
    """The records of a split, one after the other, as a source for `read.read_rows`."""

    def __init__(self, stream: Any, id: str, where: str) -> None:
        self.stream, self.id, self.where = stream, id, where
        self.classes = upstream.class_names(stream)
        """Column -> the names of the classes whose indices it has."""

    def names(self) -> list[str]:
        with self._readable():
            # Unknown before the first record where the repository does not declare its columns.
            return list(self.stream.column_names or next(iter(self.stream), {}))

    def rows(self, wanted: list[str]) -> Iterator[list[Any]]:
        with self._readable():
            for record in self.stream.select_columns(wanted):
                yield [without_fillers(record[name]) for name in wanted]

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except (UserError, OSError):
            raise
        except Exception as error:  # each format has its own
            raise UserError(
                f"{self.where}.id: the files of '{self.id}' cannot be read: "
                f"{type(error).__name__}: {str(error)[:300]}"
            ) from None


# ---------------------------------------------------------------- files


def _listing(kind: str, id: str, revision: str) -> tuple[str, dict[str, hf.hf_api.RepoFile]]:
    """The commit that a revision is now, and its files by name; from the cache when offline."""
    api = hf.HfApi(library_name="deltatune")
    commit = api.resolve_revision(id, repo_type=kind, revision=revision).resolved
    try:
        entries: Iterable[Any] = list(
            api.list_repo_tree(id, recursive=True, revision=commit, repo_type=kind)
        )
    except (httpx2.TransportError, errors.OfflineModeIsEnabled) as error:
        try:
            entries = hf.get_cached_repo_tree(id, repo_type=kind, revision=commit)
        except errors.CachedRepoTreeNotFoundError:
            raise error from None
    return commit, {file.path: file for file in entries if isinstance(file, hf.hf_api.RepoFile)}


def _snapshot(
    kind: str, id: str, commit: str, files: list[hf.hf_api.RepoFile], progress: Progress
) -> Path:
    """The folder in the cache that holds these files, fetched where they are not there yet."""
    disable_progress_bars()
    for file in files:
        if file.lfs is None:  # a small one, or listed by the cache alone
            continue
        with upstream.locked_blob(kind, id, file.lfs.sha256) as blob:
            if not blob.exists():
                progress(f"{id}: {file.path}, {file_size(file.size)}")
                locate = _locate(kind, id, commit, file.path)
                download.fetch(locate, blob, progress, file.lfs.sha256)
    names = [glob.escape(file.path) for file in files]
    return Path(
        hf.snapshot_download(
            id, repo_type=kind, revision=commit, allow_patterns=names, library_name="deltatune"
        )
    )


def _locate(kind: str, id: str, commit: str, name: str) -> Callable[[], download.Address]:
    """Where a file is served from at the moment, and the headers for that host."""

    def locate() -> download.Address:
        url = hf.hf_hub_url(id, name, repo_type=kind, revision=commit)
        location = hf.get_hf_file_metadata(url).location
        own = urlsplit(location).netloc == urlsplit(url).netloc
        # The storage behind the hub has its key in the address; the token stays here.
        return location, build_hf_headers(library_name="deltatune") if own else {}

    return locate


def _identity(file: hf.hf_api.RepoFile) -> str:
    return file.lfs.sha256 if file.lfs else file.blob_id


# ---------------------------------------------------------------- what to do


@contextmanager
def _advised(kind: str, id: str, revision: str, where: str) -> Iterator[None]:
    """Whatever goes wrong with the hub becomes a UserError."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        message = _advice(error, kind, id, revision, where)
        if message is None:
            raise
        raise UserError(message) from None


def _advice(error: Exception, kind: str, id: str, revision: str, where: str) -> str | None:
    """What was wrong and what to do, or None for an error that is none of the hub's."""
    page = f"{constants.ENDPOINT}/{'datasets/' if kind == 'dataset' else ''}{id}"
    causes = list(_causes(error))

    def cause(*types: type[BaseException]) -> Any:
        return next((e for e in causes if isinstance(e, types)), None)

    if cause(errors.GatedRepoError):
        return f"{where}.id: '{id}' is gated: its owner decides who has access. {_open(page)}"
    if cause(errors.RevisionNotFoundError):
        return (
            f"{where}.revision: '{id}' has no revision '{revision}'; its commits are listed at "
            f"{page}/commits/main."
        )
    if hidden := cause(errors.RepositoryNotFoundError):
        # With a token that is good the answer would be 404.
        if hidden.response.status_code == 401 and hf.get_token():
            return _answered(401, id, where)
        return (
            f"{where}.id: there is no {kind} '{id}' at {constants.ENDPOINT} that is visible "
            f"{'with the token that was sent' if hf.get_token() else 'without a token'}. Check the "
            "name; if it is private, use a token that may read it (`hf auth login` or HF_TOKEN)."
        )
    if answer := cause(errors.HfHubHTTPError, urllib.error.HTTPError):
        return _answered(_status(answer), id, where)
    if reason := disk.full(error):
        return (
            f"{where}: {reason}. Free some space in {constants.HF_HUB_CACHE}, or set HF_HOME to a "
            "folder on a larger disk. The next run resumes the download."
        )
    if wrong := cause(download.WrongContent):
        return (
            f"{where}: a file of '{id}' has arrived damaged ({wrong}) and was deleted. Run "
            "again; if it stays so, a proxy changes what it passes on."
        )
    if cause(errors.OfflineModeIsEnabled):
        return (
            f"{where}: HF_HUB_OFFLINE forbids fetching '{id}', and {constants.HF_HUB_CACHE} lacks "
            "some of its files. Unset HF_HUB_OFFLINE, or fetch it with network access."
        )
    if cause(json.JSONDecodeError, errors.FileMetadataError):
        return (
            f"{where}: {constants.ENDPOINT} does not answer as a hub; perhaps it is the login page "
            "of a network or a proxy. Check the network, HTTPS_PROXY and HF_ENDPOINT."
        )
    if cut := cause(*_UNREACHABLE):
        why = cause(download.ConnectionBroken, httpx2.TransportError) or cut
        return (
            f"{where}: the connection to {constants.ENDPOINT} failed: "
            f"{str(why).splitlines()[0] or type(why).__name__}. Check the network and the proxy "
            "(HTTPS_PROXY), then run again: the next run resumes the download."
        )
    if kind == "dataset" and (unreadable := cause(ValueError, FileNotFoundError)):
        key, reason = upstream.unreadable(unreadable)
        return f"{where}.{key}: '{id}' cannot be read as a dataset: {reason}"
    return None


def _open(page: str) -> str:
    if hf.get_token():
        return (
            f"The token that was sent ({_token_source()}) has no access. Open {page} with the "
            "account of that token and accept the terms or ask for access; a fine-grained token "
            "also needs the permission to read public gated repositories."
        )
    return (
        f"Open {page}, log in and accept the terms; then run `hf auth login` here, or set "
        "HF_TOKEN to a token that may read."
    )


def _answered(status: int, id: str, where: str) -> str:
    if status == 401:
        return (
            f"{where}: the hub refuses the token ({_token_source()}) as wrong or expired. Make a "
            f"new one at {constants.ENDPOINT}/settings/tokens and give it to `hf auth login`, or "
            "to HF_TOKEN; for public repositories none is needed."
        )
    if status == 403:
        return (
            f"{where}.id: access to '{id}' is forbidden for the token that was sent "
            f"({_token_source()}); use one that may read this repository."
        )
    if status == 429:
        return (
            f"{where}: too many requests to the hub (HTTP 429). Wait some minutes and run again: "
            "the partial download is kept. With a token (`hf auth login`) the limit is higher."
        )
    trouble = "is in trouble" if status >= 500 else "did not give what it lists"
    return (
        f"{where}: {constants.ENDPOINT} {trouble} (HTTP {status}). Run again later: the partial "
        "download is kept."
    )


def _is_a_program(id: str, script: str, where: str) -> str:
    parquet = f"{constants.ENDPOINT}/datasets/{id}/tree/refs%2Fconvert%2Fparquet"
    return (
        f"{where}.id: '{id}' needs a dataset script ({script}), and code from the hub is never "
        f"run. The hub often keeps a copy as Parquet: open {parquet} and give the commit that it "
        "shows as `revision`."
    )


def _no_split(id: str, split: str, splits: list[str], where: str) -> str:
    return (
        f"{where}.split: '{id}' has no split '{split}'{did_you_mean(split, splits)}; it has "
        f"{', '.join(splits)}"
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what it came from."""
    while error is not None:
        yield error
        hidden = error.__suppress_context__
        error = error.__cause__ or (None if hidden else error.__context__)


def _status(error: Any) -> int:
    return error.code if isinstance(error, urllib.error.HTTPError) else error.response.status_code


def _token_source() -> str:
    """Where the token comes from; never the token."""
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        if os.environ.get(name):
            return f"from {name}"
    return "from the stored login" if hf.get_token() else "none"
