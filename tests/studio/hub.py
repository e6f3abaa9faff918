"""A local fake of the Hugging Face Hub: the endpoints that create and fill a Space.

Like the Hub, it requires a token, sends binary and large files to LFS, and rejects commits that contain such files
directly, refer to objects that were not uploaded, or delete missing files.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "hf_of_the_tests"
LARGEST = 10_000_000
_REPOSITORY = r"/api/spaces/(?P<space>[^/]+/[^/]+)"


class RefusedError(Exception):
    """An error response: (status, message), and further fields."""


class Hub:
    """The server and its repositories."""

    def __init__(self):
        self.spaces: dict[str, dict[str, bytes]] = {}
        self.objects: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.created: list[dict[str, Any]] = []
        self.commits: list[list[dict[str, Any]]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self}))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, method: str, path: str, body: bytes) -> Any:
        """Answer a request with JSON.

        Raises:
            RefusedError: (status, message).
        """
        for wanted, pattern, work in (
            ("POST", "/api/repos/create", self._create),
            ("POST", "/api/validate-yaml", self._validate),
            ("GET", rf"{_REPOSITORY}/tree/main", self._tree),
            ("POST", rf"{_REPOSITORY}/preupload/main", self._preupload),
            ("POST", r"/spaces/(?P<space>[^/]+/[^/]+)\.git/info/lfs/objects/batch", self._batch),
            ("PUT", r"/objects/(?P<oid>[0-9a-f]{64})", self._put),
            ("POST", r"/verify", self._verify),
            ("POST", rf"{_REPOSITORY}/commit/main", self._commit),
        ):
            match = re.fullmatch(pattern, path)
            if match and method == wanted:
                found = match.groupdict()
                if found.get("space", "") not in {"", *self.spaces}:
                    raise RefusedError(404, "Repository not found")
                self.asked.append(work.__name__.strip("_"))
                return work(body, **found)
        raise RefusedError(404, f"no {method} {path} here")

    def _create(self, body: bytes) -> Any:
        said = json.loads(body)
        space = f"{said['organization']}/{said['name']}"
        if space.startswith("somebody-else/"):
            raise RefusedError(403, "Forbidden")
        self.created.append(said)
        url = {"url": f"{self.url}/spaces/{space}"}
        if space in self.spaces:
            raise RefusedError(409, "You already created this space repo", url)
        self.spaces[space] = {".gitattributes": b"*.npz filter=lfs\n", "README.md": b"---\nsdk: gradio\n---\n"}
        return url

    def _validate(self, body: bytes) -> Any:
        assert json.loads(body)["content"].startswith("---\n")
        return {"errors": [], "warnings": []}

    def _tree(self, _: bytes, space: str) -> Any:
        return [{"type": "file", "path": path, "size": 1, "oid": "0" * 40} for path in self.spaces[space]]

    def _preupload(self, body: bytes, space: str) -> Any:
        answers = []
        for file in json.loads(body)["files"]:
            is_large = file["size"] > LARGEST or b"\0" in base64.b64decode(file["sample"])
            mode = "lfs" if is_large else "regular"
            answers.append({"path": file["path"], "uploadMode": mode, "shouldIgnore": False, "oid": None})
        return {"files": answers}

    def _batch(self, body: bytes, space: str) -> Any:
        said = json.loads(body)
        assert said["operation"] == "upload"
        assert said["hash_algo"] == "sha256"
        actions = [
            {
                "upload": {"href": f"{self.url}/objects/{one['oid']}", "header": {}},
                "verify": {"href": f"{self.url}/verify", "header": {}},
            }
            for one in said["objects"]
        ]
        objects = [one | {"actions": action} for one, action in zip(said["objects"], actions, strict=True)]
        return {"transfer": "basic", "objects": objects}

    def _put(self, body: bytes, oid: str) -> Any:
        if hashlib.sha256(body).hexdigest() != oid:
            raise RefusedError(400, "these bytes have another hash")
        self.objects[oid] = body
        return {}

    def _verify(self, body: bytes) -> Any:
        said = json.loads(body)
        if len(self.objects.get(said["oid"], b"")) != said["size"]:
            raise RefusedError(404, "this object did not arrive")
        return {}

    def _commit(self, body: bytes, space: str) -> Any:
        lines = [json.loads(line) for line in body.splitlines()]
        files = dict(self.spaces[space])
        assert lines[0]["key"] == "header"
        for line in lines[1:]:
            value = line["value"]
            if line["key"] == "file":
                content = base64.b64decode(value["content"])
                if b"\0" in content or len(content) > LARGEST:
                    raise RefusedError(400, f"{value['path']}: binary files belong into LFS or Xet")
                files[value["path"]] = content
            elif line["key"] == "lfsFile":
                if value["oid"] not in self.objects:
                    raise RefusedError(400, f"{value['path']}: no such object")
                files[value["path"]] = self.objects[value["oid"]]
            elif line["key"] == "deletedFile":
                if files.pop(value["path"], None) is None:
                    raise RefusedError(404, f"{value['path']}: A file with this name doesn't exist")
            else:
                raise RefusedError(400, f"{line['key']}?")
        self.spaces[space] = files
        self.commits.append(lines)
        return {"commitUrl": f"{self.url}/spaces/{space}/commit/{'1' * 40}", "commitOid": "1" * 40}


class _Handler(BaseHTTPRequestHandler):
    hub: Hub

    def _do(self) -> None:
        # Clients send either a length or chunks.
        if length := self.headers.get("Content-Length"):
            body = self.rfile.read(int(length))
        elif self.headers.get("Transfer-Encoding") == "chunked":
            body = b"".join(iter(self._chunk, b""))
        else:
            body = b""
        path = self.path.partition("?")[0]
        # Objects are downloaded from a secret address.
        is_free = path.startswith("/objects/")
        try:
            if not is_free and self.headers.get("Authorization") != f"Bearer {TOKEN}":
                raise RefusedError(401, "Invalid credentials in Authorization header")
            self._say(200, self.hub.answer(self.command, path, body))
        except RefusedError as refused:
            status, why, *more = refused.args
            self._say(status, {"error": why} | dict(*more))

    do_GET = do_POST = do_PUT = _do  # noqa: N815

    def _chunk(self) -> bytes:
        size = int(self.rfile.readline(), 16)
        content = self.rfile.read(size)
        self.rfile.readline()
        return content

    def _say(self, status: int, what: Any) -> None:
        content = json.dumps(what).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Print nothing."""
