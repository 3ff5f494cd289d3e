"""Do the files around the package agree with it, and with each other?"""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib import import_module, metadata
from pathlib import Path

import pytest
import yaml
from dagster_docker.container_context import DockerContainerContext
from docker.models.containers import RUN_CREATE_KWARGS, RUN_HOST_CONFIG_KWARGS
from docker.types import DeviceRequest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from sqlalchemy import make_url

from trading_pipeline.adapters.dashboard_page import REPORTS_PORT
from trading_pipeline.adapters.store.ledger import Ledger
from trading_pipeline.defs.instance import BATCH_SIZE, BATCH_VARIABLE, prepare_home
from trading_pipeline.settings import Settings

ROOT = Path(__file__).parents[1]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES = COMPOSE["services"]
OURS = ("code", "webserver", "daemon")
GPU = yaml.safe_load((ROOT / "docker-compose.gpu.yml").read_text(encoding="utf-8"))
CONTAINERS = yaml.safe_load((ROOT / "docker-compose.containers.yml").read_text(encoding="utf-8"))
LAUNCHER = yaml.safe_load((ROOT / "docker" / "run_launcher.yaml").read_text(encoding="utf-8"))[
    "run_launcher"
]["config"]
DAGSTER = yaml.safe_load((ROOT / "docker" / "dagster.yaml").read_text(encoding="utf-8"))
EXTRAS = {  # modules that an extra brings, and which
    "botocore": "s3",
    "dagster_k8s": "kubernetes",
    "dagster_ray": "ray",
    "onnxscript": "onnx",
    "ray": "ray",
}
LOCKED = dict(
    line.split("==")
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
)


def pyproject() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_every_package_that_is_imported_is_declared():
    """What comes with another package alone goes with it, too. An extra is only for what needs it:
    its module is named here."""
    project, installed = pyproject()["project"], metadata.packages_distributions()
    declared = {canonicalize_name(Requirement(line).name) for line in project["dependencies"]}
    imported = imports_of(ROOT / "trading_pipeline")
    for name, files in imported.items():
        wanted = {canonicalize_name(each) for each in installed[name]}
        extra = project["optional-dependencies"].get(EXTRAS.get(name, ""), [])
        known = declared | {canonicalize_name(Requirement(line).name) for line in extra}
        assert wanted & known, f"{name} of {files[0]} is not declared"
    assert set(EXTRAS) <= set(imported)


def imports_of(folder: Path) -> dict[str, list[Path]]:
    """The modules of others that a package imports, and in which files."""
    found: dict[str, list[Path]] = {}
    for file in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [each.name for each in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module]
            for name in {each.partition(".")[0] for each in names}:
                if name not in sys.stdlib_module_names and name != folder.name:
                    found.setdefault(name, []).append(file)
    return found


# --- constraints.txt ------------------------------------------------------------------------------


def test_every_dependency_is_locked_to_a_version_it_allows():
    project = pyproject()["project"]
    locked = {canonicalize_name(name): version for name, version in LOCKED.items()}
    extras = [line for lines in project["optional-dependencies"].values() for line in lines]
    for line in project["dependencies"] + extras:
        requirement = Requirement(line)
        if requirement.name == project["name"]:  # an extra that takes in another
            continue
        assert locked[canonicalize_name(requirement.name)] in requirement.specifier, line


def test_the_lock_suits_every_machine():
    """No local path or build; and torch's CUDA libraries are the business of its GPU build."""
    for name, version in LOCKED.items():
        assert re.fullmatch(r"[A-Za-z0-9._-]+", name), name
        assert re.fullmatch(r"[0-9][0-9a-z.]*", version), f"{name}=={version}"
        assert not name.startswith(("nvidia", "triton", "trading"))


def test_the_lock_has_nothing_that_nobody_asks_for():
    """It is installed as it is, so what was dropped would stay in it for ever."""
    project = pyproject()["project"]
    extras = [line for lines in project["optional-dependencies"].values() for line in lines]
    left, seen = [*map(Requirement, project["dependencies"] + extras)], set()
    while left:
        asked = left.pop()
        if (known := (canonicalize_name(asked.name), frozenset(asked.extras))) not in seen:
            seen.add(known)
            left += below(asked)
    assert {canonicalize_name(name) for name in LOCKED} <= {name for name, _ in seen}


def below(asked: Requirement) -> list[Requirement]:
    """What a requirement needs with its extras, on whatever platform and Python."""
    try:
        lines = metadata.requires(asked.name) or []
    except metadata.PackageNotFoundError:  # of another platform, or this project in its own extra
        return []
    return [
        each
        for each in map(Requirement, lines)
        if "extra" not in str(each.marker)
        or any(each.marker.evaluate({"extra": extra}) for extra in asked.extras)
    ]


def test_makefile_and_image_install_the_same_torch():
    (chosen,) = re.findall(r"^TORCH \?= (.+)$", MAKEFILE, re.MULTILINE)
    assert chosen.split()[0] == f"torch=={LOCKED['torch']}"
    assert re.findall(r'^ARG TORCH="(.+)"$', DOCKERFILE, re.MULTILINE) == [chosen]


# --- Makefile and .ci/run -------------------------------------------------------------------------

# Stands in for Python: makes a .venv whose own Python is this script again, and writes down what
# pip and uv were asked for. PIP_FAILS is a word of commands that are to, UV_FAILS of those of uv.
FAKE_PYTHON = """#!/bin/sh
case "$*" in
    *"-m venv"*) mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
    *"pip --disable-pip-version-check wheel"*) echo "$SOURCE_DATE_EPOCH $*" >> pip.log ;;
    *"pip --disable-pip-version-check install"*)
        echo "$*" >> pip.log
        case "$*" in *"${PIP_FAILS:-nothing}"*) exit 1 ;; esac ;;
    *"-m uv pip install"*)
        echo "$*" >> pip.log
        case "$*" in *"${PIP_FAILS:-nothing}"* | *"${UV_FAILS:-nothing}"*) exit 1 ;; esac ;;
    *version_info*) exit "${TOO_OLD:-0}" ;;
    *--version*) echo "Python 3.9.1" ;;
esac
"""


@pytest.fixture
def clone(tmp_path):
    """A folder with what an installation depends on, and a Python that only pretends."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    python = tmp_path / "python"
    python.write_text(FAKE_PYTHON)
    python.chmod(0o755)
    return tmp_path


def make(
    folder: Path, *arguments: str, python: str = "./python", **variables: str
) -> subprocess.CompletedProcess:
    environment = {"PATH": os.environ["PATH"], "PYTHON": python, **variables}
    command = ["make", "--no-print-directory", *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def pip_calls(folder: Path) -> list[str]:
    return (folder / "pip.log").read_text().splitlines()


def test_a_second_run_installs_nothing(clone):
    assert make(clone, "install").returncode == 0
    uv, locked, torch, ours = pip_calls(clone)
    assert uv.endswith("--no-deps --constraint constraints.txt uv")
    assert locked.startswith("-m uv pip install")
    assert locked.endswith("--requirement .venv/locked.txt")
    assert "--no-deps --constraint constraints.txt torch==" in torch
    assert ours.endswith("--constraint constraints.txt --editable .[dev]")
    rest = {f"{name}=={version}" for name, version in LOCKED.items() if name != "torch"}
    assert set((clone / ".venv" / "locked.txt").read_text().split()) == rest
    assert make(clone, "install").returncode == 0
    assert len(pip_calls(clone)) == 4


@pytest.mark.parametrize("changed", ["pyproject.toml", "constraints.txt"])
def test_a_changed_lock_or_project_is_installed(clone, changed):
    make(clone, "install")
    stamp = (clone / ".venv" / ".installed").stat().st_mtime
    os.utime(clone / changed, (stamp + 1, stamp + 1))
    assert make(clone, "install").returncode == 0
    assert len(pip_calls(clone)) == 8


@pytest.mark.parametrize("fails", ["torch", "requirement", "editable"])
def test_an_installation_that_broke_off_is_done_again(clone, fails):
    assert make(clone, "install", PIP_FAILS=fails).returncode != 0
    assert not (clone / ".venv" / ".installed").exists()
    before = len(pip_calls(clone))
    assert make(clone, "install").returncode == 0
    assert len(pip_calls(clone)) == before + 4


@pytest.mark.parametrize("fails", ["requirement", "editable"])
def test_where_uv_finds_no_index_pip_installs(clone, fails):
    assert make(clone, "install", UV_FAILS=fails).returncode == 0
    by_uv, by_pip = (each.split() for each in pip_calls(clone) if fails in each)
    assert (by_uv[1], by_pip[1]) == ("uv", "pip")
    assert by_uv[-2:] == by_pip[-2:]


def test_a_reinstallation_that_broke_off_takes_the_stamp_away(clone):
    make(clone, "install")
    assert make(clone, "install", "TORCH=torch==9", PIP_FAILS="editable").returncode != 0
    assert not (clone / ".venv" / ".installed").exists()


def test_choosing_a_build_of_torch_installs_it_over_another(clone):
    make(clone, "install")
    make(clone, "install", "TORCH=torch==2.13.0+cu130 --index-url https://example.org/cu130")
    asked = "torch==2.13.0+cu130 --index-url https://example.org/cu130"
    assert [each for each in pip_calls(clone)[4:] if each.endswith(asked)]


def test_an_old_python_is_refused_by_name(clone):
    done = make(clone, "install", TOO_OLD="1")
    assert done.returncode != 0
    assert "./python is Python 3.9.1; Python 3.11 or newer is needed" in done.stderr
    assert not (clone / ".venv").exists()


def test_a_machine_without_a_new_enough_python_is_told(clone):
    done = make(clone, "install", "PYTHON=")
    assert done.returncode != 0
    assert "Python 3.11 or newer is needed, and none was found" in done.stderr


def test_a_wheel_is_of_the_last_commit_and_dated_by_it(clone):
    """What is not committed is not in it; the date makes it the same file each time."""
    make(clone, "install")
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org"]
    dated = {**os.environ, "GIT_COMMITTER_DATE": "@1700000000 +0000"}
    for command in (["init"], ["add", "Makefile"], ["commit", "-m", "first"]):
        subprocess.run([*git, *command], cwd=clone, env=dated, check=True, capture_output=True)
    make(clone, "wheel")
    assert [path.name for path in (clone / ".venv/export").iterdir()] == ["Makefile"]
    asked = "-m pip --disable-pip-version-check wheel --quiet --no-deps --wheel-dir dist"
    assert pip_calls(clone)[-1] == f"1700000000 {asked} .venv/export"


def test_help_is_the_default_and_names_every_target(clone):
    targets = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE)) - {"always"}
    assert targets == set(re.findall(r"^  make ([a-z-]+) ", make(clone).stdout, re.MULTILINE))
    assert {
        "demo",
        "ui",
        "install",
        "test",
        "test-slow",
        "test-all",
        "check",
        "bench",
        "clean",
    } <= targets


def test_check_is_format_lint_types_imports_fast_tests_definitions_and_pages(clone):
    make(clone, "install")
    script = make(clone, "--dry-run", "check").stdout
    steps = [
        "ruff format --check",
        "ruff check",
        "mypy",
        "lint-imports",
        "pytest",
        "definitions",
        "zensical",
    ]
    assert [step for line in script.splitlines() for step in steps if step in line] == steps
    assert "-m 'not slow'" in script


def test_clean_leaves_data_and_settings(clone):
    (clone / ".venv").mkdir()
    (clone / "data_storage").mkdir()
    (clone / ".env").touch()
    make(clone, "clean")
    assert not (clone / ".venv").exists()
    assert (clone / "data_storage").exists()
    assert (clone / ".env").exists()


def test_ci_runs_check_and_then_the_slow_tests():
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert subprocess.run(["bash", "-n", script], check=False).returncode == 0
    lines = script.read_text(encoding="utf-8").splitlines()
    assert lines[-2:] == ["make --jobs=2 --output-sync check", "make test-slow"]
    assert "set -euo pipefail" in lines
    assert "export CI=true" in lines


# --- Docker ---------------------------------------------------------------------------------------


def variables_of(value: object) -> set[str]:
    """Names of the environment variables that a dagster.yaml refers to."""
    if isinstance(value, list):
        return set().union(*map(variables_of, value))
    if not isinstance(value, dict):
        return set()
    if set(value) == {"env"}:
        return {value["env"]}
    return variables_of(list(value.values()))


def test_the_image_copies_only_what_exists_and_is_not_ignored():
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in ignored  # so that no .env, data or .venv slips in
    for sources in re.findall(r"^COPY (.+) \S+$", DOCKERFILE, re.MULTILINE):
        for source in sources.split():
            assert (ROOT / source).exists(), source
            assert f"!{source}" in ignored, source


def test_only_the_web_ui_is_published_and_only_to_this_machine():
    published = {name: service.get("ports") for name, service in SERVICES.items()}
    assert published.pop("webserver") == ["${WEB_ADDRESS:-127.0.0.1}:3000:3000"]
    port = f"{REPORTS_PORT}:{REPORTS_PORT}"  # where assets link to
    assert published.pop("reports") == [f"${{WEB_ADDRESS:-127.0.0.1}}:{port}"]
    assert str(REPORTS_PORT) in SERVICES["reports"]["command"]
    assert SERVICES["reports"]["volumes"] == ["data:/data:ro"]
    assert set(published.values()) == {None}


def test_no_password_is_written_down():
    for name, service in SERVICES.items():
        for variable, value in service["environment"].items():
            if re.search("PASSWORD|KEY|SECRET$|ALERT_URLS", variable):
                secret = rf"/run/secrets/postgres_password|\$\{{{variable}:-\}}"
                assert re.fullmatch(secret, value), f"{name}: {variable}"
            assert not re.search(r"://\w+:\w+@", value), f"{name}: {variable}"
    for part in ("run_storage", "event_log_storage", "schedule_storage"):
        assert DAGSTER[part]["config"] == {"postgres_url": {"env": "POSTGRES_URL"}}


def test_secrets_are_files_that_neither_git_nor_the_image_has():
    (secret,) = COMPOSE["secrets"].values()
    assert secret == {"file": "./secrets/postgres_password"}  # which nobody makes by default
    assert "/secrets/" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert "secrets" not in (ROOT / ".dockerignore").read_text(encoding="utf-8")
    with_keys = {name for name, each in SERVICES.items() if "TP_SECRETS" in each["environment"]}
    assert with_keys == {"code"}
    assert "./secrets:/run/secrets:ro" in SERVICES["code"]["volumes"]
    assert SERVICES["reports"]["secrets"] == []
    for name in {*SERVICES} - with_keys - {"reports"}:
        assert SERVICES[name]["secrets"] == ["postgres_password"], name


@pytest.mark.parametrize(
    "password", ["plain", "with : and \\ and * and $HOME", " blanks  ", "größe"]
)
def test_the_entry_point_hands_the_password_to_the_clients_of_postgresql(tmp_path, password):
    """As libpq reads it: one line, fields with colons between, those in a field escaped."""
    (tmp_path / "secret").write_text(f"{password}\nsecond line\n")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "POSTGRES_PASSWORD_FILE": str(tmp_path / "secret"),
    }
    command = [ROOT / "docker" / "entrypoint.sh", "echo", "a b", "*"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "a b *\n"
    written = tmp_path / ".pgpass"
    assert written.stat().st_mode & 0o777 == 0o600  # or libpq ignores it
    fields = re.split(r"(?<!\\):", written.read_text().removesuffix("\n"), maxsplit=4)
    assert fields[:4] == ["*"] * 4
    assert re.sub(r"\\(.)", r"\1", fields[4]) == password
    (tmp_path / "secret").unlink()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "secret" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    "file", sorted(ROOT.glob("docker-compose*.yml")), ids=lambda path: path.name
)
@pytest.mark.slow
def test_compose_files_obey_the_specification_of_compose(file):
    command = [sys.executable, "-m", "check_jsonschema"]
    command += ["--builtin-schema", "vendor.compose-spec", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_name_that_a_service_uses_is_one_of_the_file():
    """The schema knows nothing of them."""
    for name, service in SERVICES.items():
        for volume in service["volumes"]:
            source = volume.split(":")[0]
            assert source.startswith("./") or source in COMPOSE["volumes"], f"{name}: {volume}"
        assert set(service.get("secrets", [])) <= set(COMPOSE["secrets"]), name


def test_services_are_confined_and_come_back():
    """The image has a user of its own; that of PostgreSQL steps down by itself."""
    for name, service in SERVICES.items():
        assert service["restart"] == "unless-stopped", name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert not {"privileged", "network_mode", "pid", "ipc", "user"} & set(service), name
    assert all(SERVICES[name]["cap_drop"] == ["ALL"] for name in (*OURS, "reports"))
    assert all(each["logging"] == {"driver": "local"} for each in SERVICES.values())
    assert re.findall(r"^USER (\S+)$", DOCKERFILE, re.MULTILINE) == ["trader"]


def test_the_gpu_file_changes_the_build_of_torch_and_asks_for_a_gpu():
    """Where runs are, and with a build of the version that is locked."""
    (name,) = GPU["services"]
    service = GPU["services"][name]
    assert name == "code"
    assert service["image"] != SERVICES["code"]["image"]  # or the other services would take it
    assert service["build"]["args"]["TORCH"].startswith(f"torch=={LOCKED['torch']}+cu")
    (device,) = service["deploy"]["resources"]["reservations"]["devices"]
    assert device["capabilities"] == ["gpu"]
    # Runs in containers of their own have the same.
    assert service["environment"]["DAGSTER_CURRENT_IMAGE"] == service["image"]
    context = json.loads(service["environment"]["DAGSTER_CONTAINER_CONTEXT"])
    asked = DockerContainerContext.create_from_config(context).container_kwargs["device_requests"]
    assert [DeviceRequest(**each) for each in asked] == [
        DeviceRequest(driver="nvidia", count=-1, capabilities=[["gpu"]])
    ]


def test_a_run_in_a_container_has_image_network_and_volumes_that_there_are():
    assert LAUNCHER["image"] == SERVICES["code"]["image"]
    assert LAUNCHER["network"] == CONTAINERS["networks"]["default"]["name"]
    containers = {
        name: service["container_name"]
        for name, service in CONTAINERS["services"].items()
        if "container_name" in service
    }
    assert containers == {"code": LAUNCHER["container_kwargs"]["volumes_from"][0]}
    assert "DockerRunLauncher" in (ROOT / "docker" / "run_launcher.yaml").read_text()


def test_a_run_in_a_container_has_the_variables_and_bounds_of_the_code_server(tmp_path):
    """The daemon hands them on, so it has to have them; and the engine has to know the options."""
    override = {name: each["environment"] for name, each in CONTAINERS["services"].items()}
    code = SERVICES["code"]["environment"] | override["code"]
    daemon = SERVICES["daemon"]["environment"] | override["daemon"]
    assert {name: daemon[name] for name in LAUNCHER["env_vars"]} == code
    options = LAUNCHER["container_kwargs"]
    assert options["cap_drop"] == SERVICES["code"]["cap_drop"]
    assert options["security_opt"] == SERVICES["code"]["security_opt"]
    assert f"{options.pop('stop_timeout')}s" == SERVICES["code"]["stop_grace_period"]
    assert set(options) <= {*RUN_CREATE_KWARGS, *RUN_HOST_CONFIG_KWARGS}
    home = override["daemon"]["DAGSTER_HOME"]
    assert {each["DAGSTER_HOME"] for each in override.values()} == {home}
    made = re.search(rf"^RUN (mkdir {home} && .+)$", DOCKERFILE, re.MULTILINE)
    here = made[1].replace(str(Path(home).parent), str(tmp_path))
    for name in ("dagster.yaml", "run_launcher.yaml"):
        shutil.copy(ROOT / "docker" / name, tmp_path)
    subprocess.run(["sh", "-c", here], check=True)
    text = (tmp_path / Path(home).name / "dagster.yaml").read_text()
    launcher = yaml.safe_load((ROOT / "docker" / "run_launcher.yaml").read_text())
    assert yaml.safe_load(text) == DAGSTER | launcher
    assert text.count("run_launcher:") == 1


def test_only_who_starts_or_stops_containers_has_the_engine():
    socket = "/var/run/docker.sock:/var/run/docker.sock"
    given = {
        name for name, each in CONTAINERS["services"].items() if socket in each.get("volumes", [])
    }
    assert given == {"webserver", "daemon"}
    assert "docker.sock" not in str(SERVICES)


def test_every_service_says_when_it_is_healthy_and_waits_for_those_it_needs():
    assert set(SERVICES) == {"postgres", "reports", *OURS}
    for name, service in SERVICES.items():
        assert service["healthcheck"]["test"][0] == "CMD", name
        for needed, how in service.get("depends_on", {}).items():
            assert needed in SERVICES
            assert how == {"condition": "service_healthy"}
    assert all("depends_on" in SERVICES[name] for name in OURS)


def test_our_services_share_one_image_one_environment_and_one_volume():
    first, *others = [SERVICES[name] for name in OURS]
    for key in ("image", "build", "init", "cap_drop"):
        assert all(other[key] == first[key] for other in others), key
    for key in ("environment", "volumes"):  # the code server has keys and settings besides
        assert all(set(other[key]) <= set(first[key]) for other in others), key
    for variable in others[0]["environment"]:
        assert all(
            each["environment"][variable] == first["environment"][variable] for each in others
        )
    home = re.search(r"TP_HOME=(\S+)", DOCKERFILE)[1]
    assert f"data:{home}" in first["volumes"]
    assert {volume.split(":")[0] for volume in ("data:", "postgres:")} == set(COMPOSE["volumes"])
    for kept in ("local_artifact_storage", "compute_logs"):
        assert DAGSTER[kept]["config"]["base_dir"].startswith(f"{home}/")


def test_compose_sets_every_variable_that_dagster_asks_for_and_no_unknown_one():
    environment = SERVICES["code"]["environment"]
    asked = variables_of(DAGSTER)
    assert {"POSTGRES_URL"} == asked <= set(SERVICES["webserver"]["environment"])
    assert environment["TP_LEDGER_URL"] == environment["POSTGRES_URL"]
    server, url = SERVICES["postgres"]["environment"], make_url(environment["POSTGRES_URL"])
    assert (url.host, url.username) == ("postgres", server["POSTGRES_USER"])
    assert url.database == server["POSTGRES_DB"]
    assert environment[BATCH_VARIABLE] == BATCH_SIZE
    known = {f"TP_{name.upper()}" for name in Settings.model_fields} | {"TP_CONFIG", "TP_SECRETS"}
    in_files = (ROOT / ".env.example").read_text(encoding="utf-8") + DOCKERFILE + str(environment)
    for variable in re.findall(r"TP_[A-Z]\w*", in_files):
        assert variable.split("__")[0] in known, variable


def test_the_code_server_is_where_the_others_look_for_it():
    (server,) = yaml.safe_load((ROOT / "docker" / "workspace.yaml").read_text())["load_from"]
    (local,) = yaml.safe_load((ROOT / "workspace.yaml").read_text())["load_from"]
    served, here = server["grpc_server"], local["python_module"]
    command = SERVICES[served["host"]]["command"]
    assert command[command.index("--port") + 1] == str(served["port"])
    assert command[command.index("--module-name") + 1] == here["module_name"]
    assert served["location_name"] == here["location_name"]  # or schedules start anew in compose
    folder = re.search(
        r"^COPY docker/dagster.yaml docker/workspace.yaml .* (/\S+)/$", DOCKERFILE, re.M
    )
    assert re.search(r"DAGSTER_HOME=(\S+)", DOCKERFILE)[1] == folder[1]
    for name in ("webserver", "daemon"):
        assert SERVICES[name]["command"][-1] == f"{folder[1]}/workspace.yaml"


def test_compose_has_the_limits_of_the_local_instance(tmp_path):
    local = yaml.safe_load((prepare_home(tmp_path) / "dagster.yaml").read_text())
    for section in ("event_log_storage", "compute_logs"):  # at places of their own
        assert local[section]["module"] == DAGSTER[section]["module"]
    for section in DAGSTER.keys() & local.keys() - {"event_log_storage", "compute_logs"}:
        assert DAGSTER[section] == local[section], section
    assert local.keys() <= DAGSTER.keys()


@pytest.mark.parametrize("section", ["local_artifact_storage", "compute_logs"])
def test_the_classes_that_compose_names_exist(section):
    assert hasattr(import_module(DAGSTER[section]["module"]), DAGSTER[section]["class"])


@pytest.mark.slow
def test_dagster_starts_on_postgresql_with_the_file_of_compose(tmp_path, monkeypatch, postgres):
    """A new database gets its tables, and a run with a pool is kept in it."""
    import dagster as dg

    @dg.asset(pool="duckdb")
    def one() -> int:
        return 1

    text = (ROOT / "docker" / "dagster.yaml").read_text(encoding="utf-8")
    (tmp_path / "dagster.yaml").write_text(text.replace("/data/", f"{tmp_path}/"), encoding="utf-8")
    url = postgres.empty_database()
    monkeypatch.setenv("POSTGRES_URL", url.replace("postgresql:", "postgresql+psycopg2:"))
    for _ in range(2):
        with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
            assert dg.materialize([one], instance=instance).success
    with Ledger(url) as ledger:  # in compose the two share a database
        assert ledger.streams() == []
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert len(instance.get_runs()) == 2
        assert instance.event_log_storage.get_pool_limits() is not None


# --- documents ------------------------------------------------------------------------------------


def test_the_newest_version_of_the_changelog_is_that_of_the_project():
    """Above it may be what comes next. The chart of the cluster and its page name it, too."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    version, *headings = pyproject()["project"]["version"], *re.findall(r"^## (.+)$", text, re.M)
    released = [each for each in headings if each != "Unreleased"]
    assert headings.index(released[0]) <= 1
    assert all(re.fullmatch(r"\d+\.\d+\.\d+ \(\d{4}-\d\d-\d\d\)", each) for each in released)
    assert released[0].split()[0] == version
    for name in ("kubernetes/values.yaml", "docs/scale-out.md"):
        assert version in (ROOT / name).read_text(encoding="utf-8"), name


def test_every_decision_is_indexed_and_whole():
    folder = ROOT / "docs" / "decisions"
    index = (folder / "README.md").read_text(encoding="utf-8")
    records = sorted(folder.glob("[0-9]*.md"))
    assert [path.name for path in records] == re.findall(r"\]\((.+?\.md)\)", index)
    for path in records:
        text = path.read_text(encoding="utf-8")
        number, title = re.match(r"# (\d{4})  (.+)\n", text).groups()
        assert path.name.startswith(number)
        assert title in index
        for heading in ("Status: ", "## Context", "## Decision", "## Consequences"):
            assert heading in text, f"{path.name} lacks {heading}"


# --- these tests ----------------------------------------------------------------------------------


def imported(source: str) -> set[str]:
    """Full names of all that a module imports, also within functions."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{each.name}" for each in node.names}
    return names


@pytest.mark.slow
def test_no_test_module_imports_another_one():
    """What tests share is in fixtures, and in modules with a name of their own."""
    test = re.compile(r"trading_pipeline_tests\.(\w+\.)*(test_\w+|conftest)\b")
    wrong = {}
    for path in sorted((ROOT / "trading_pipeline_tests").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        # Some hand a program to another process as a text.
        names = imported(text) | set(re.findall(r"^from (\S+)", text, re.M))
        if found := sorted(filter(test.match, names)):
            wrong[path.name] = found
    assert not wrong
