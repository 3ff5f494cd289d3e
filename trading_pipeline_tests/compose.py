"""docker-compose.yml without Docker: every service is a process of this machine.

A service runs its own command with its own environment and no other, its health check says when
those that wait for it may start, and its restart policy starts it again when it dies. What a
container has of its own is mapped: hosts are 127.0.0.1, ports are free ones, folders are below a
temporary one; each service sees what it mounts and nothing of the others. PostgreSQL's image is
played by Debian's programs.
"""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
import yaml
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
)

from trading_pipeline_tests.compose_file import (
    ROOT,
    copied_by_dockerfile,
    in_order,
    read_compose,
    said_in_dockerfile,
)
from trading_pipeline_tests.postgres import as_image, free_port, need_postgres

_PORTS = (3000, 4000, 5432, 8711)
_FOLDERS = ("/data", "/opt/", "/run/secrets", "/var/lib/postgresql", "/var/run/")
_SOCKET = "/var/run/docker.sock"
_BINARIES = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
_PATIENCE = 600  # seconds, for a service to be healthy on a machine that does much else
_LAUNCH = """mutation ($run: ExecutionParams!) { launchRun(executionParams: $run) {
    __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
_RANGE = (ASSET_PARTITION_RANGE_START_TAG, ASSET_PARTITION_RANGE_END_TAG)
_TERMINATE = "mutation ($run: String!) { terminateRun(runId: $run) { __typename } }"
_STATUS = "query ($run: ID!) { runOrError(runId: $run) { ... on Run { status } } }"


@dataclass
class Service:
    """One of the services, and the process that plays its container."""

    name: str
    spec: dict[str, Any]
    command: list[str]
    environment: dict[str, str]
    folder: Path  # where it starts
    log: Path
    user: str | None = None  # who runs it; None: whoever runs the tests
    starts: int = 0
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def start(self) -> None:
        with self.log.open("a") as output:
            self.process = self._run(self.command, output)
        self.starts += 1

    def died(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def kill(self) -> None:
        """All at once, as the kernel ends a container."""
        process = self.process  # by its restart policy there may soon be another
        assert process is not None
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def stop(self, seconds: float) -> None:
        """Asked first, and killed when its time is over."""
        if self.process is not None and not self.died():
            self.process.send_signal(signal.SIGINT if self.user else signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(seconds)
            self.kill()

    def healthy(self) -> bool:
        """What its health check says now."""
        check = self.spec["healthcheck"]
        with self.log.open("a") as output:
            asked = self._run(check["test"][1:], output)
            try:
                return asked.wait(max(60, _seconds(check["timeout"]))) == 0
            except subprocess.TimeoutExpired:
                os.killpg(asked.pid, signal.SIGKILL)
                return asked.wait() == 0

    def _run(self, command: list[str], output: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.environment,
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            user=self.user,
            start_new_session=True,
        )


class Stack:
    """The services of the compose file in a folder, each a process.

    Args:
        folder: where volumes and the images' own folders are; its `project` holds what the
            compose file mounts from beside itself, such as pipeline.toml.
        variables: of the shell that starts it, and of .env.
        overrides: compose files that go on top of the first.
    """

    def __init__(self, folder: Path, variables: Mapping[str, str], *overrides: str) -> None:
        self.folder = folder
        self.socket = folder / "docker.sock"  # of the machine's engine
        self.ports = {port: free_port() for port in _PORTS}
        self._file = read_compose(("docker-compose.yml", *overrides), variables)
        names = in_order(self._file["services"])
        self.services = {name: self._service(name) for name in names}
        self._down = threading.Event()
        self._keeper = threading.Thread(target=self._restart_the_dead, daemon=True)
        self._keeper.start()

    def up(self) -> None:
        """Start one after the other, each when those that it waits for are healthy."""
        for service in self.services.values():
            for needed in service.spec.get("depends_on", {}):
                self.wait_healthy(needed)
            service.start()
        self.wait_healthy(service.name)

    def kill(self, name: str) -> None:
        """Kill a service, and wait until it is there again by its restart policy."""
        service = self.services[name]
        before = service.starts
        service.kill()
        self._until(lambda: service.starts > before, service)
        self.wait_healthy(name)

    @property
    def images(self) -> set[str]:
        return {each.spec["image"] for each in self.services.values()}

    @property
    def networks(self) -> set[str]:
        return {each["name"] for each in self._file.get("networks", {}).values()}

    @property
    def containers(self) -> dict[str, str]:
        """Names that the file gives to containers, and the services they are of."""
        named = self._file["services"].items()
        return {spec["container_name"]: name for name, spec in named if "container_name" in spec}

    def container(
        self, name: str, command: list[str], environment: list[str], *, volumes_of: str
    ) -> Service:
        """A container beside those of the services, which one of them told an engine to make; its
        folders are its own, whatever the teller's are called."""
        asked = {"command": command, "environment": dict(e.split("=", 1) for e in environment)}
        for teller in self.services:
            asked = _renamed(asked, f"{self.folder / teller}/", f"{self.folder / name}/")
        inherited = self._file["services"][volumes_of]
        asked |= {key: inherited[key] for key in ("image", "build", "volumes", "secrets")}
        self._file["services"][name] = asked
        self.services[name] = self._service(name)
        return self.services[name]

    def down(self) -> None:
        self._down.set()
        self._keeper.join()
        for service in reversed(self.services.values()):
            service.stop(_seconds(service.spec.get("stop_grace_period", "10s")))

    def wait_healthy(self, name: str) -> None:
        service = self.services[name]
        self._until(service.healthy, service)

    def launch(self, job: str, asset: list[str], check: str, days: tuple[str, str]) -> str:
        """Have an asset of a job made and checked, as the web UI has it; the run's id."""
        selector = {
            "repositoryLocationName": "trading_pipeline",
            "repositoryName": "__repository__",
            "jobName": job,
            "assetSelection": [{"path": asset}],
            "assetCheckSelection": [{"assetKey": {"path": asset}, "name": check}],
        }
        tags = [{"key": key, "value": day} for key, day in zip(_RANGE, days, strict=True)]
        asked = {"selector": selector, "executionMetadata": {"tags": tags}}
        told = self.ask(_LAUNCH, run=asked)["launchRun"]
        assert told["__typename"] == "LaunchRunSuccess", told
        return str(told["run"]["runId"])

    def end_of(self, run: str) -> str:
        """Wait for a run's end; how it ended."""
        status, deadline = "", time.monotonic() + _PATIENCE
        while status not in ("SUCCESS", "FAILURE", "CANCELED"):
            assert time.monotonic() < deadline, f"run {run} is {status}\n{self.logs()}"
            time.sleep(1)
            status = self.ask(_STATUS, run=run)["runOrError"]["status"]
        return str(status)

    def terminate(self, run: str) -> str:
        """Stop a run, as the web UI does; the kind of its answer."""
        return str(self.ask(_TERMINATE, run=run)["terminateRun"]["__typename"])

    def ask(self, question: str, **variables: Any) -> dict[str, Any]:
        """The web server's answer to a question in GraphQL."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.ports[3000]}/graphql",
            json.dumps({"query": question, "variables": variables}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=120) as answer:
            told = json.load(answer)
        assert "errors" not in told, told
        return dict(told["data"])

    def page(self, port: int, path: str) -> bytes:
        """What is published at a port of the compose file."""
        url = f"http://127.0.0.1:{self.ports[port]}/{path}"
        with urllib.request.urlopen(url, timeout=60) as answer:
            return bytes(answer.read())

    def processes(self) -> list[psutil.Process]:
        """All that were started here and still live, whoever their parent is by now."""
        return [each for each in psutil.process_iter() if self._is_of(each)]

    def logs(self) -> str:
        """The end of what each service said."""
        said = [(each.name, each.log.read_text(errors="replace")) for each in self._started()]
        return "\n".join(f"--- {name}\n{text[-3000:]}" for name, text in said)

    def volume(self, name: str) -> Path:
        """Where a named volume is."""
        path = self.folder / "volumes" / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def _started(self) -> list[Service]:
        return [each for each in [*self.services.values()] if each.starts]

    def _is_of(self, process: psutil.Process) -> bool:
        try:
            return process.environ().get("COMPOSE_TEST") == str(self.folder)
        except psutil.Error:
            return False

    def _restart_the_dead(self) -> None:
        while not self._down.wait(0.2):
            for service in self._started():
                if service.died() and service.spec.get("restart") in ("always", "unless-stopped"):
                    service.kill()  # what its first process left behind
                    service.start()

    def _until(self, holds: Any, service: Service) -> None:
        deadline = time.monotonic() + _PATIENCE
        while not holds():
            assert time.monotonic() < deadline, f"{service.name} is not healthy\n{self.logs()}"
            time.sleep(2)

    def _service(self, name: str) -> Service:
        root = self.folder / name
        spec = self._local(self._file["services"][name], root)
        for source, target in self._mounts(spec, root):
            assert target.is_relative_to(root), target
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(source)
        environment = {"PATH": _BINARIES, "COMPOSE_TEST": str(self.folder)} | spec["environment"]
        play = self._ours if "build" in spec else self._postgres
        return play(name, spec, environment, root)

    def _mounts(self, spec: dict[str, Any], root: Path) -> Iterator[tuple[Path, Path]]:
        """What a service sees of others, and where it sees it."""
        for volume in spec["volumes"]:
            source, target = volume.split(":")[:2]
            if source.startswith("./"):
                place = self.folder / "project" / source
            else:
                place = self.socket if source.endswith(_SOCKET) else self.volume(source)
            yield place, Path(target)
        for secret in spec.get("secrets", []):
            file = self._file["secrets"][secret]["file"]
            yield self.folder / "project" / file, root / "run" / "secrets" / secret

    def _ours(
        self, name: str, spec: dict[str, Any], environment: dict[str, str], root: Path
    ) -> Service:
        """A container of our image: what the Dockerfile puts beside the package, and how it
        starts."""
        home, workdir = root / "home", root / said_in_dockerfile("WORKDIR").strip("/")
        for folder in (home, workdir):
            folder.mkdir(parents=True, exist_ok=True)
        for sources, target in copied_by_dockerfile():
            for source in map(ROOT.joinpath, sources.split()):
                self._copy(source, root / target.strip("/") / source.name, root)
        command = self._local(said_in_dockerfile("RUN mkdir /opt/dagster"), root)
        subprocess.run(["sh", "-c", command], check=True)
        of_image = dict(
            each.split("=", 1) for each in said_in_dockerfile("ENV DAGSTER_HOME").split()
        )
        environment = {
            "HOME": str(home),
            "PYTHONPATH": str(ROOT),
            "DOCKER_HOST": f"unix://{root}{_SOCKET}",  # its place without this variable
            "OMP_NUM_THREADS": "1",
            **self._local(of_image, root),
            **environment,
        }
        command = [
            *self._local(json.loads(said_in_dockerfile("ENTRYPOINT")), root),
            *spec["command"],
        ]
        return Service(name, spec, command, environment, workdir, self.folder / f"{name}.log")

    def _postgres(
        self, name: str, spec: dict[str, Any], environment: dict[str, str], root: Path
    ) -> Service:
        home, port = root / "server", self.ports[5432]
        command, user = as_image(home, port, environment)
        environment |= {"PGHOST": str(home), "PGPORT": str(port)}  # as the image's client has it
        environment["PATH"] = f"{need_postgres()}:{_BINARIES}"
        return Service(name, spec, command, environment, home, self.folder / f"{name}.log", user)

    def _copy(self, source: Path, target: Path, root: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        text = source.read_text(encoding="utf-8")
        if source.suffix == ".yaml":
            text = yaml.safe_dump(self._local(yaml.safe_load(text), root), sort_keys=False)
        target.write_text(text, encoding="utf-8")
        target.chmod(source.stat().st_mode)

    def _local(self, value: Any, root: Path) -> Any:
        """Hosts, ports and folders of a container as they are on this machine."""
        if isinstance(value, dict):
            return {key: self._local(each, root) for key, each in value.items()}
        if isinstance(value, list):
            return [self._local(each, root) for each in value]
        if isinstance(value, int) and not isinstance(value, bool):
            return self.ports.get(value, value)
        if not isinstance(value, str):
            return value
        if value in ("postgres", "code", "0.0.0.0"):
            return "127.0.0.1"
        text = value.replace("@postgres:", "@127.0.0.1:")
        for folder in _FOLDERS:
            text = re.sub(rf"(?<![\w.]){folder}", f"{root}{folder}", text)
        for port, moved in self.ports.items():
            text = re.sub(rf"\b{port}\b", str(moved), text)
        return text


@contextmanager
def stack(
    variables: Mapping[str, str], files: Mapping[str, str], *overrides: str
) -> Iterator[Stack]:
    """The services, not yet started; `files` has texts of what is beside the compose file."""
    with TemporaryDirectory(prefix="compose-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # PostgreSQL is somebody else
        for file, text in files.items():
            path = folder / "project" / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        made = Stack(folder, variables, *overrides)
        try:
            yield made
        finally:
            made.down()


def _renamed(value: Any, old: str, new: str) -> Any:
    """A text instead of another, wherever it is."""
    return json.loads(json.dumps(value).replace(old, new))


def _seconds(duration: str) -> float:
    return float(duration.removesuffix("s"))
