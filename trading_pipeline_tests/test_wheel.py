"""Does the wheel hold what it has to, and work where there is no checkout?"""

import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

from trading_pipeline.adapters.code_version import code_version

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[1]
PACKAGE = "trading_pipeline"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
SMALL = {  # what costs a minute and not five: few symbols, one fold, one look at each window
    "TP_MARKETS__SYNTHETIC__SYMBOLS": '["SYN01", "SYN02", "SYN03", "SYN04"]',
    "TP_MARKETS__SYNTHETIC__END": "2019-01-01",
    "TP_MARKETS__SYNTHETIC__EPOCHS": "1",
}
OF_EVERY_WHEEL = {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "top_level.txt"}


def files_of_the_project() -> list[str]:
    """Those that git knows, or would take."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [name for name in listed.split("\0") if (ROOT / name).is_file()]


def built(folder: Path) -> Path:
    """The wheel of a copy of the project."""
    for name in files_of_the_project():
        (folder / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / "source" / name)
    program = "from setuptools import build_meta; build_meta.build_wheel('..')"
    subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder / "source",
        env={**os.environ, "SOURCE_DATE_EPOCH": "1700000000"},
        check=True,
        capture_output=True,
    )
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return built(tmp_path_factory.mktemp("wheel"))


def test_the_wheel_has_the_files_of_the_package_and_no_others(wheel):
    """No tests, benchmarks or tools; templates, settings and migrations are there."""
    about = f"{PACKAGE}-{PROJECT['version']}.dist-info"
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        assert archive.read(f"{PACKAGE}/pipeline.toml") == (ROOT / "pipeline.toml").read_bytes()
    ours = {name for name in files_of_the_project() if name.startswith(f"{PACKAGE}/")}
    usual = {f"{about}/{name}" for name in OF_EVERY_WHEEL} | {f"{about}/licenses/LICENSE"}
    assert names == ours | usual


def test_the_wheel_says_what_it_is(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (place,) = [name for name in archive.namelist() if name.endswith("/METADATA")]
        said = Parser().parsestr(archive.read(place).decode())
    assert (said["Name"], said["Version"]) == (PROJECT["name"], PROJECT["version"])
    assert (said["License-Expression"], said["Requires-Python"]) == ("MIT", ">=3.11")
    assert said["Description-Content-Type"] == "text/markdown"
    assert said.get_payload() == (ROOT / "README.md").read_text(encoding="utf-8")


def test_building_twice_gives_the_same_bytes(wheel, tmp_path):
    assert built(tmp_path).read_bytes() == wheel.read_bytes()


@pytest.fixture(scope="module")
def shell(wheel, tmp_path_factory):
    """Runs a command of the installed wheel in an empty folder: its exit code and what it said.

    The environment is new but for the libraries, which are those of these tests: the folder of
    an editable installation is not among them, for that is named by a file that is not read here.
    """
    place = tmp_path_factory.mktemp("installed")
    venv.create(place / "env", with_pip=False, symlinks=True)
    pip = [sys.executable, "-m", "pip", "--python", place / "env/bin/python", "install"]
    options = ["--quiet", "--no-deps", "--no-index", "--no-compile"]
    subprocess.run([*pip, *options, wheel], check=True)
    (libraries,) = (place / "env/lib").glob("python*/site-packages")
    (libraries / "libraries.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    folder = place / "empty"
    folder.mkdir()

    def command(*words: str, **variables: str) -> tuple[int, str]:
        done = subprocess.run(
            [place / "env/bin" / words[0], *words[1:]],
            cwd=folder,
            env={"PATH": f"{place}/env/bin:/usr/bin:/bin", "HOME": str(place), **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout

    command.folder = folder
    return command


def test_what_is_installed_is_the_wheel_and_whole(shell):
    """The version has a checksum of all of the code in it."""
    where = "import trading_pipeline; print(trading_pipeline.__file__)"
    assert "installed" in shell("python", "-c", where)[1]
    assert shell("python", "-c", "import trading_pipeline_tests")[0] != 0
    assert shell("trading-pipeline", "--version") == (0, f"trading-pipeline {code_version()}\n")


def test_doctor_finds_nothing_to_mend(shell):
    code, said = shell("trading-pipeline", "doctor", "--offline")
    assert code == 0, said
    assert "`demo` makes one where there is none" in said


@pytest.mark.long
def test_the_demo_goes_to_its_end_outside_a_checkout(shell):
    code, said = shell("trading-pipeline", "demo", "--market=synthetic", "--model=ridge", **SMALL)
    assert code == 0, said
    assert "1. The planted edge: " in said
    assert "make " not in said.split("What next:")[1]
    assert (shell.folder / "data_storage/reports/synthetic/report.html").exists()
