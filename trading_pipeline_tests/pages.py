"""Follows a page of the documentation: writes its files, applies its edits, runs its commands.

- A block with a title is a file: it is written, or put at the end of a file that is there.
- A `diff` block with a title edits a file: the lines without `+` must be in it, once.
- The lines of a `console` block that begin with `$` are commands, and the lines below one what it
  says; so is a `text` block after it. `...` stands for whatever is between.
- `sh` blocks are shown and not run: they need a network, a GPU, Docker or another machine, or go on
  for ever. A test may do in their place what a reader would see.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from typer.testing import CliRunner

from trading_pipeline.cli.main import app

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
_BLOCK = re.compile(r"^```(\w+)(?: title=\"(.+?)\")?\n(.*?)^```$", re.M | re.S)
_EXIT = re.compile(r"# exit code (\d+)")
_SHIM = '#!/bin/sh\nexec "{python}" -m trading_pipeline.cli "$@"\n'


@dataclass
class Page:
    """A page that is followed in a folder.

    `apart`: every command is a process of its own, on the package that the folder holds; else those
    of `trading-pipeline` run in this one, which saves the seconds of their imports.
    """

    name: str
    folder: Path
    apart: bool = False
    said: str = ""  # by the last command
    ran: list[str] = field(default_factory=list)

    def follow(
        self,
        instead: Mapping[str, Callable[[], None]] | None = None,
        but: Mapping[str, str] | None = None,
    ) -> list[str]:
        """Do all that the page says, in its order; the commands that were run.

        Args:
            instead: what to do for an `sh` block, by a line of it.
            but: words of the page, and those that a shorter way says in their place.
        """
        text = (DOCS / self.name).read_text(encoding="utf-8")
        for words, others in (but or {}).items():
            assert text.count(words) == 1, f"{self.name} has {text.count(words)} times: {words}"
            text = text.replace(words, others)
        for kind, title, body in _BLOCK.findall(text):
            if kind == "diff":
                self._edit(self.folder / title, body)
            elif kind == "console":
                self._run_all(body)
            elif kind == "sh":
                for line in body.splitlines():
                    (instead or {}).get(line, _nothing)()
            elif kind == "text" and self.ran:
                self._expect(body)
            elif title:
                with self._there(title).open("a", encoding="utf-8") as file:
                    file.write(body)
        assert self.ran, f"{self.name} has no command that is run"
        return self.ran

    def _there(self, title: str) -> Path:
        path = self.folder / title
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    @staticmethod
    def _edit(path: Path, body: str) -> None:
        lines = body.splitlines(keepends=True)
        old = "".join(line[1:] for line in lines if not line.startswith("+"))
        new = "".join(line[1:] for line in lines if not line.startswith("-"))
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{path} has {text.count(old)} times:\n{old}"
        path.write_text(text.replace(old, new), encoding="utf-8")

    def _run_all(self, body: str) -> None:
        for part in re.split(r"^\$ ", body, flags=re.M)[1:]:
            line, _, output = part.partition("\n")
            self._run(line)
            if output.strip():
                self._expect(output)

    def _run(self, line: str) -> None:
        asked = _EXIT.search(line)
        command = re.sub(r"\s# .*$", "", line).strip()
        words = shlex.split(command)
        ours = words[0] == "trading-pipeline" and not set(words) & {"|", ">", "&&"}
        code, self.said = self._inside(words[1:]) if ours and not self.apart else self._by(command)
        expected = int(asked[1]) if asked else 0
        assert code == expected, f"{command}: exit code {code}\n{self.said}"
        self.ran.append(command)

    @staticmethod
    def _inside(arguments: list[str]) -> tuple[int, str]:
        done = CliRunner().invoke(app, arguments, prog_name="trading-pipeline")
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
        return done.exit_code, done.output

    def _by(self, command: str) -> tuple[int, str]:
        """A shell in the folder, with a `trading-pipeline` and a `python` that are this one's."""
        tools = self.folder / ".tools"
        if not tools.exists():
            tools.mkdir()
            for name, text in {
                "trading-pipeline": _SHIM.format(python=sys.executable),
                "python": f'#!/bin/sh\nexec "{sys.executable}" "$@"\n',
            }.items():
                (tools / name).write_text(text)
                (tools / name).chmod(0o755)
        given = {
            "PATH": f"{tools}:{os.environ['PATH']}",
            "PYTHONPATH": str(self.folder if self.apart else ROOT),
        }
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=self.folder,
            # Commands in this process have set it: the shell of a reader has not.
            env={k: v for k, v in os.environ.items() if k != "DAGSTER_HOME"} | given,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    def _expect(self, output: str) -> None:
        """The lines are in what was said, in this order; blanks and borders count as one blank."""
        said = re.sub(r"[\s│]+", " ", self.said)
        for part in re.split(r"\.\.\.", output):
            words = " ".join(part.split())
            place = said.find(words)
            assert place >= 0, f"{self.ran[-1]} did not say:\n{words}\nbut:\n{self.said}"
            said = said[place + len(words) :]


def _nothing() -> None:
    """What is done for a line that is only shown."""


def clone(folder: Path, *edited: str) -> Path:
    """The repository as links, so that nothing compiled is compiled again, but for what is edited:
    files, of which copies are made, or folders, in which files can be added."""
    for path in ROOT.iterdir():
        if path.name in ("trading_pipeline", "trading_pipeline_tests", "pyproject.toml"):
            (folder / path.name).symlink_to(path)
    for each in edited:
        _unlink(folder, each)
    return folder


def _unlink(folder: Path, edited: str) -> None:
    """Make the folders above a file real, with links to all else that is in them."""
    parts = Path(edited).parts
    for depth in range(1, len(parts) + 1):
        path = folder.joinpath(*parts[:depth])
        if not path.is_symlink():
            continue
        real = path.resolve()
        path.unlink()
        if real.is_file():
            path.write_bytes(real.read_bytes())
            continue
        path.mkdir()
        for each in real.iterdir():
            if each.name != "__pycache__":
                (path / each.name).symlink_to(each)
        if compiled := list(real.glob("__pycache__/*.nb?")):  # by numba, of files as old as these
            (path / "__pycache__").mkdir()
            for each in compiled:
                shutil.copy2(each, path / "__pycache__")
