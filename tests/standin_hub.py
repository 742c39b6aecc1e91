"""A small Hugging Face Hub on loopback, so that the real clients run without a network.

It serves folders as repositories, with what the clients of huggingface_hub 2.4 and datasets 5.2
were seen to ask for: revisions, trees, paths-info, HEAD and GET of files, redirects of large files
to a storage host that must never see a token, ranges, ETags, and the hub's ways to refuse.
`files` are served as an ordinary web server would. Faults are set by the test, see `Hub`.
"""

from __future__ import annotations

import hashlib
import json
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

LARGE = (".safetensors", ".parquet", ".bin", ".model")
"""What the hub keeps in its storage (LFS), whatever its size; the rest comes from git."""
KINDS = {"models": "model", "datasets": "dataset"}


@dataclass
class Repo:
    kind: str
    id: str
    files: dict[str, bytes]
    tags: tuple[str, ...] = ()
    gated: bool = False
    private: bool = False
    pinned: str | None = None
    """The commit that it is said to be; without one, the files decide."""

    @property
    def commit(self) -> str:
        if self.pinned:
            return self.pinned
        digest = hashlib.sha1()
        for name, data in sorted(self.files.items()):
            digest.update(name.encode() + data)
        return digest.hexdigest()

    def entry(self, name: str) -> dict:
        data = self.files[name]
        entry = {"type": "file", "path": name, "size": len(data), "oid": git_id(data)}
        if name.endswith(LARGE):
            sha256 = hashlib.sha256(data).hexdigest()
            entry["lfs"] = {"oid": sha256, "size": len(data), "pointerSize": 134}
            entry["xetHash"] = sha256
        return entry

    def tree(self, under: str, recursive: bool) -> list[dict] | None:
        prefix = f"{under}/" if under else ""
        names = [name for name in sorted(self.files) if name.startswith(prefix)]
        if under and not names:
            return None
        rests = [name.removeprefix(prefix) for name in names]
        folders = sorted({prefix + rest.split("/")[0] for rest in rests if "/" in rest})
        return [folder_entry(path) for path in folders] + [
            self.entry(prefix + rest) for rest in rests if recursive or "/" not in rest
        ]


def folder_entry(path: str) -> dict:
    return {"type": "directory", "path": path, "oid": "0" * 40, "size": 0}


def git_id(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


@dataclass
class Request:
    method: str
    path: str
    range: str | None
    token: str | None
    storage: bool
    status: int = 0


@dataclass
class Hub:
    """What is served, and its faults.

    accounts: token -> the gated and private repositories that it may read. files: name -> content,
    under /files/; moved: name -> the address that it is at instead. cut: name of a file -> its
    connections break off after so many bytes of it; drip: after so many bytes of each connection.
    damaged: names of files that arrive with a wrong byte. refuse: the status that every request
    gets. ranges: whether requests for a range of bytes are served.
    """

    accounts: dict[str, set[str]] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    moved: dict[str, str] = field(default_factory=dict)
    cut: dict[str, int] = field(default_factory=dict)
    drip: dict[str, int] = field(default_factory=dict)
    damaged: set[str] = field(default_factory=set)
    refuse: int | None = None
    ranges: bool = True
    requests: list[Request] = field(default_factory=list)
    repos: dict[tuple[str, str], Repo] = field(default_factory=dict)

    def __enter__(self) -> Hub:
        self._servers = [self._serve(storage) for storage in (False, True)]
        self.url, self.storage = (
            f"http://127.0.0.1:{server.server_address[1]}" for server in self._servers
        )
        return self

    def __exit__(self, *_: object) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def _serve(self, storage: bool) -> ThreadingHTTPServer:
        handler = type("Handler", (_Handler,), {"hub": self, "storage": storage})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return server

    def add(self, kind: str, id: str, folder: Path, **more) -> Repo:
        """Serve a folder as a repository of one commit."""
        files = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }
        self.repos[kind, id] = Repo(kind, id, files, **more)
        return self.repos[kind, id]

    def got(self, name: str, method: str = "GET") -> list[Request]:
        """The requests for the content of one file, those to the storage by its hash."""
        hashes = {
            hashlib.sha256(data).hexdigest()
            for repo in self.repos.values()
            for path, data in repo.files.items()
            if path == name
        }
        wanted = {name, *hashes}
        return [
            r
            for r in self.requests
            if r.method == method and 200 <= r.status < 300 and r.path.rsplit("/", 1)[-1] in wanted
        ]


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    storage: bool
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer()

    do_HEAD = do_POST = do_GET

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        self.body = self.rfile.read(length)
        url = urlsplit(self.path)
        self.query = parse_qs(url.query)
        path = unquote(url.path)
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ") or None
        self.request_ = Request(self.command, path, self.headers.get("Range"), token, self.storage)
        self.hub.requests.append(self.request_)
        if self.hub.refuse:
            page = b"<html>Not now.</html>"
            return self._send(self.hub.refuse, page, {"Content-Type": "text/html"})
        if self.storage:
            return self._from_storage(path.removeprefix("/"), token)
        if path.startswith("/files/"):
            name = path.removeprefix("/files/")
            if name in self.hub.moved:
                return self._send(302, b"", {"Location": self.hub.moved[name]})
            if name not in self.hub.files:
                return self._send(404, b"not here")
            data = self.hub.files[name]
            etag = f'"{hashlib.md5(data).hexdigest()}"'
            return self._content(name, data, {"ETag": etag})
        if token and token not in self.hub.accounts:
            message = "Invalid credentials in Authorization header"
            return self._error(401, "", message)
        self.token = token
        parts = path.removeprefix("/").split("/")
        if parts[0] == "api" and parts[1] in KINDS and len(parts) > 5:
            repo = self._repo(KINDS[parts[1]], f"{parts[2]}/{parts[3]}")
            return repo and self._api(repo, parts[4], parts[5], "/".join(parts[6:]))
        kind = "dataset" if parts[0] == "datasets" else "model"
        parts = parts[kind == "dataset" :]
        if len(parts) > 4 and parts[2] == "resolve":
            repo = self._repo(kind, f"{parts[0]}/{parts[1]}")
            return repo and self._file(repo, parts[3], "/".join(parts[4:]))
        return self._send(404, b"no such route")

    def _repo(self, kind: str, id: str) -> Repo | None:
        repo = self.hub.repos.get((kind, id))
        if repo and not (repo.private and id not in self.hub.accounts.get(self.token, ())):
            return repo
        # Who is not logged in is not told whether it is there.
        self._error(404 if self.token else 401, "RepoNotFound", "Repository not found")
        return None

    def _api(self, repo: Repo, route: str, revision: str, path: str) -> None:
        if revision not in (repo.commit, "main", *repo.tags):
            return self._error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        if route == "revision":
            siblings = [{"rfilename": name} for name in sorted(repo.files)]
            return self._json({"id": repo.id, "sha": repo.commit, "siblings": siblings})
        if route == "tree":
            recursive = self.query.get("recursive", ["false"])[0].lower() == "true"
            tree = repo.tree(path, recursive)
            if tree is None:
                return self._error(404, "EntryNotFound", f"{path} does not exist")
            return self._json(tree)
        if route == "paths-info":
            asked = json.loads(self.body)["paths"] if self.body[:1] == b"{" else None
            asked = asked or parse_qs(self.body.decode())["paths"]
            entries = [repo.entry(name) for name in asked if name in repo.files]
            entries += [
                folder_entry(name)
                for name in asked
                if any(other.startswith(f"{name}/") for other in repo.files)
            ]
            return self._json(entries)
        return self._send(404, b"no such route")

    def _file(self, repo: Repo, revision: str, name: str) -> None:
        if revision not in (repo.commit, "main", *repo.tags):
            return self._error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        if repo.gated and repo.id not in self.hub.accounts.get(self.token, ()):
            return self._error(403 if self.token else 401, "GatedRepo", f"{repo.id} is restricted")
        commit = {"X-Repo-Commit": repo.commit}
        if name not in repo.files:
            return self._error(404, "EntryNotFound", "Entry not found", commit)
        data, entry = repo.files[name], repo.entry(name)
        if "lfs" not in entry:
            return self._content(name, data, commit | {"ETag": f'"{entry["oid"]}"'})
        sha256 = entry["lfs"]["oid"]
        about = {
            "X-Linked-Etag": f'"{sha256}"',
            "X-Linked-Size": str(len(data)),
            "X-Xet-Hash": sha256,
            "Link": f'<{self.hub.url}/api/xet>; rel="xet-auth"',
            "Location": f"{self.hub.storage}/{sha256}?Signature=short-lived",
        }
        return self._send(302, b"", commit | about)

    def _from_storage(self, sha256: str, token: str | None) -> None:
        if token:
            return self._send(400, b"Only one auth mechanism allowed")
        for repo in self.hub.repos.values():
            for name, data in repo.files.items():
                if hashlib.sha256(data).hexdigest() == sha256:
                    return self._content(name, data, {"ETag": f'"{sha256}"'})
        return self._send(403, b"expired")

    # ------------------------------------------------------------ answers

    def _content(self, name: str, data: bytes, headers: dict[str, str]) -> None:
        begin, status = 0, 200
        asked, unchanged = self.headers.get("Range"), self.headers.get("If-Range")
        if asked and self.hub.ranges and unchanged in (None, headers["ETag"]):
            begin, status = int(asked.removeprefix("bytes=").split("-")[0]), 206
            if begin >= len(data):
                return self._send(416, b"", {"Content-Range": f"bytes */{len(data)}"})
            last = len(data) - 1
            headers = headers | {"Content-Range": f"bytes {begin}-{last}/{len(data)}"}
        if name in self.hub.damaged:
            data = bytes([data[0] ^ 1]) + data[1:]
        end = len(data)
        if self.command == "GET":
            end = max(begin, min(end, self.hub.cut.get(name, end)))
            end = min(end, begin + self.hub.drip.get(name, end))
        headers = headers | {"Accept-Ranges": "bytes"}
        self._send(status, data[begin:end], headers, length=len(data) - begin)
        if end < len(data) and self.command == "GET":
            self.wfile.flush()
            self.close_connection = True

    def _json(self, content: object) -> None:
        self._send(200, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def _error(
        self, status: int, code: str, message: str, more: dict[str, str] | None = None
    ) -> None:
        headers = {"X-Error-Message": message, "Content-Type": "application/json"}
        if code:
            headers["X-Error-Code"] = code
        self._send(status, json.dumps({"error": message}).encode(), headers | (more or {}))

    def _send(
        self,
        status: int,
        body: bytes,
        headers: dict[str, str] | None = None,
        length: int | None = None,
    ) -> None:
        self.request_.status = status
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            with suppress(ConnectionError):  # a client may have seen enough
                self.wfile.write(body)
