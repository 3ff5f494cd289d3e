"""A Kubernetes API as far as Dagster asks one: batch/v1 jobs and their pods, on loopback.

The container of a job's pod is a process of this machine: it has the variables, secrets and volumes
of the job's specification and nothing else. What the cluster was not told of (image, secret, config
map, namespace) it does not know, as a real one would not.
"""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlparse

import yaml

_BINARIES = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
_JOBS = re.compile(r"/apis/batch/v1/namespaces/([\w-]+)/jobs(?:/([\w-]+))?(/status)?")
_PODS = re.compile(r"/api/v1/namespaces/([\w-]+)/pods(?:/([\w-]+))?")


@dataclass
class Cluster:
    """What a cluster knows, and the processes of its pods.

    Args:
        folder: where volumes are: a folder for each, by the path that it is mounted on.
        common: variables that its images have of themselves.
    """

    folder: Path
    namespace: str
    images: set[str]
    secrets: dict[str, dict[str, str]]
    common: dict[str, str]
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    pods: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def create(self, job: dict[str, Any]) -> dict[str, Any]:
        name = job["metadata"]["name"]
        self.jobs[name] = job
        (container,) = job["spec"]["template"]["spec"]["containers"]
        if container["image"] in self.images:
            with (self.folder / f"{name}.log").open("w") as log:
                self.pods[name] = subprocess.Popen(
                    [self.local(each) for each in container["args"]],
                    env=self._environment(container),
                    cwd=self.folder,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
        return self.status(name)

    def status(self, name: str) -> dict[str, Any]:
        """A job whose image is unknown waits for ever, as it would in a cluster."""
        pod = self.pods.get(name)
        code = None if pod is None else pod.poll()
        known = {"active": 1} if code is None else {"succeeded" if code == 0 else "failed": 1}
        return {**self.jobs[name], "status": known}

    def delete(self, name: str) -> None:
        del self.jobs[name]
        with suppress(KeyError, ProcessLookupError):
            os.killpg(self.pods[name].pid, signal.SIGTERM)

    def local(self, text: str) -> str:
        """Paths of volumes as they are on this machine."""
        return re.sub(r"(?<![\w/])/(data|opt)(?=/|$|\W)", rf"{self.folder}/\1", text)

    def _environment(self, container: dict[str, Any]) -> dict[str, str]:
        said = {}
        for source in container.get("envFrom") or []:
            said |= self.secrets[source["secretRef"]["name"]]
        said |= {each["name"]: each.get("value") or "" for each in container["env"]}
        return {**self.common, **{name: self.local(text) for name, text in said.items()}}

    def close(self) -> None:
        for pod in self.pods.values():
            with suppress(ProcessLookupError):
                os.killpg(pod.pid, signal.SIGKILL)
            pod.wait()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "_Server"

    def do_GET(self) -> None:
        cluster, (path, query) = self.server.cluster, self._asked()
        if (match := _JOBS.fullmatch(path)) and match[1] == cluster.namespace:
            if match[2] is None:
                items = [cluster.status(name) for name in cluster.jobs]
                return self._answer(200, {"kind": "JobList", "items": items})
            if match[2] in cluster.jobs:
                return self._answer(200, cluster.status(match[2]))
        if (match := _PODS.fullmatch(path)) and match[1] == cluster.namespace:
            asked = query.get("labelSelector", [""])[0].removeprefix("job-name=")
            items = [{"metadata": {"name": name}} for name in cluster.pods if name == asked]
            return self._answer(200, {"kind": "PodList", "items": items})
        return self._answer(404, {"kind": "Status", "status": "Failure", "code": 404})

    def do_POST(self) -> None:
        path, _ = self._asked()
        job = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        match = _JOBS.fullmatch(path)
        if match is None or match[1] != self.server.cluster.namespace:
            return self._answer(404, {"kind": "Status", "status": "Failure", "code": 404})
        return self._answer(201, self.server.cluster.create(job))

    def do_DELETE(self) -> None:
        path, _ = self._asked()
        if (match := _JOBS.fullmatch(path)) and match[2] in self.server.cluster.jobs:
            self.server.cluster.delete(match[2])
        return self._answer(200, {"kind": "Status", "status": "Success"})

    def log_message(self, *_: Any) -> None:
        """Nobody reads it."""

    def _asked(self) -> tuple[str, Mapping[str, list[str]]]:
        url = urlparse(self.path)
        return url.path, parse_qs(url.query)

    def _answer(self, status: int, content: Any) -> None:
        text = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    cluster: Cluster


@contextmanager
def kubernetes(cluster: Cluster) -> Iterator[Path]:
    """The cluster's API; a kubeconfig file that says where it is."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.cluster = cluster
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        place = {"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}
        context = {"cluster": "c", "user": "u", "namespace": cluster.namespace}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [place],
            "users": [{"name": "u", "user": {}}],
            "contexts": [{"name": "x", "context": context}],
            "current-context": "x",
        }
        path = cluster.folder / "kubeconfig"
        path.write_text(yaml.safe_dump(config))
        try:
            yield path
        finally:
            server.shutdown()
            thread.join()
            cluster.close()
