"""A server on this machine that answers as the Hugging Face Hub does, as far as huggingface_hub asks it."""

import base64
import hashlib
import json
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit


class FakeHub:
    """Repositories by name, each {file: content}.  `token`: that may write. `gated`: names that no token may read."""

    def __init__(self):
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.gated: set[str] = set()
        self.private: set[str] = set()
        self.token = "hf_writer"
        self.downloads: list[str] = []
        self.large: dict[str, bytes] = {}
        self.url = ""

    def commit_of(self, repository):
        content = self.repositories[repository]
        return hashlib.sha1(repr(sorted(content.items())).encode()).hexdigest()


@contextmanager
def serving(hub: FakeHub):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def answer(self, content=b"", status=200, **headers):
            body = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(body)))
            # A kept connection may be closed by one side just when the other uses it.
            self.send_header("Connection", "close")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def refuse(self, status, code):
            self.answer({"error": code}, status, X_Error_Code=code, X_Error_Message=code)

        def body(self):
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))

        def may_write(self):
            return self.headers.get("Authorization") == f"Bearer {hub.token}"

        def do_GET(self):
            path = unquote(urlsplit(self.path).path)
            match = re.fullmatch(
                r"(?:/api/models)?/([\w.-]+/[\w.-]+)(?:/(revision|tree|resolve)/([^/]+)(?:/(.+))?)?", path
            )
            if match is None or match[1] not in hub.repositories:
                return self.refuse(404, "RepoNotFound")
            repository, what, revision, name = match.groups()
            if repository in hub.gated:
                return self.refuse(403, "GatedRepo")
            files, commit = hub.repositories[repository], hub.commit_of(repository)
            if revision not in (None, "main", commit):
                return self.refuse(404, "RevisionNotFound")
            if what == "tree":
                return self.answer(
                    [
                        {"type": "file", "path": n, "size": len(c), "oid": hashlib.sha1(c).hexdigest()}
                        for n, c in files.items()
                    ]
                )
            if what == "resolve":
                if name not in files:
                    return self.refuse(404, "EntryNotFound")
                if self.command == "GET":
                    hub.downloads.append(name)
                etag = f'"{hashlib.sha1(files[name]).hexdigest()}"'
                return self.answer(files[name], ETag=etag, X_Repo_Commit=commit)
            siblings = [{"rfilename": name} for name in files]
            return self.answer(
                {"id": repository, "modelId": repository, "sha": commit, "siblings": siblings, "tags": []}
            )

        do_HEAD = do_GET

        def do_PUT(self):
            hub.large[self.path.rsplit("/", 1)[1]] = self.body()
            self.answer(b"")

        def do_POST(self):
            body, path = self.body(), urlsplit(self.path).path
            if path == "/api/validate-yaml":
                return self.answer({"errors": [], "warnings": []})
            if not self.may_write():
                return self.refuse(403, "Forbidden")
            if path == "/api/repos/create":
                asked = json.loads(body)
                name = f"{asked['organization']}/{asked['name']}"
                if name in hub.repositories:
                    return self.answer({"error": "exists", "url": f"{hub.url}/{name}"}, 409)
                hub.repositories[name] = {".gitattributes": b""}
                if asked.get("visibility") == "private" or asked.get("private"):
                    hub.private.add(name)
                return self.answer({"url": f"{hub.url}/{name}", "id": name, "name": name})
            if "/preupload/" in path:
                files = [
                    {
                        "path": file["path"],
                        "uploadMode": "lfs" if file["path"].endswith(".safetensors") else "regular",
                        "shouldIgnore": False,
                    }
                    for file in json.loads(body)["files"]
                ]
                return self.answer({"files": files})
            if path.endswith("/info/lfs/objects/batch"):
                objects = [
                    {**one, "actions": {"upload": {"href": f"{hub.url}/store/{one['oid']}"}}}
                    for one in json.loads(body)["objects"]
                ]
                return self.answer({"transfer": "basic", "objects": objects})
            repository = re.fullmatch(r"/api/models/([\w.-]+/[\w.-]+)/commit/main", path)[1]
            for line in map(json.loads, body.splitlines()):
                value = line["value"]
                if line["key"] == "file":
                    hub.repositories[repository][value["path"]] = base64.b64decode(value["content"])
                if line["key"] == "lfsFile":
                    hub.repositories[repository][value["path"]] = hub.large[value["oid"]]
            commit = hub.commit_of(repository)
            return self.answer({"commitUrl": f"{hub.url}/{repository}/commit/{commit}", "commitOid": commit})

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
