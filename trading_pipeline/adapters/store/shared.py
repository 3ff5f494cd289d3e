"""A home that several machines share: every machine's folder is a copy of what an object store has.

    objects/SHA[:2]/SHA         the content of a file, named by its SHA-256; never changed
    heads/UNIT/00000042.json    {"files": {path: SHA}}: a unit's files since its 42nd change
    heads/versions/home/00000002.json   the files are of version 2 of a home: older code stays away

A unit is what changes together and has one writer: a market's bars, the model of a fold, its
predictions, a report. Its newest head says what it is. An object store has no rename and no lock,
but it does put one object whole or not at all, and it does refuse to put one that is there
already. So a change uploads its objects first and its head last, under the next number: whoever
reads sees all of it or nothing of it, and of two that change a unit at once, one is refused.

`sync` brings both sides together. What a machine was last equal to is noted in `.shared/` of its
home, so that it can tell its own changes from those of others.
"""

import hashlib
import json
import logging
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path, PurePosixPath
from typing import Any

from trading_pipeline.adapters.store.commit import Writer, commit, read_whole, writing
from trading_pipeline.adapters.store.files import one_writer, readers, replace_file
from trading_pipeline.adapters.store.home_version import (
    newer_text,
    newest,
    read_stamp,
    stamp_text,
)
from trading_pipeline.errors import StoreError

_LOG = logging.getLogger(__name__)
_BELIEVED = 5.0  # seconds for which a listing of heads is believed, if nothing is to be written
_BACK = "bring it back from a copy, or remove what names it and make it again"
_DIGEST = re.compile("[0-9a-f]{64}")
Files = dict[str, str]  # SHA-256 by path relative to the folder
Stats = dict[str, list[int]]  # by the same, what tells that a file was not changed


@dataclass(frozen=True)
class Head:
    """What a unit is since its last change."""

    number: int
    files: Files


_NOTHING = Head(0, {})


def not_shared() -> None:
    """What a store is told of a write with, where the home is this machine's alone."""


@dataclass(frozen=True)
class SharedStore:
    """The object store of a home.

    Args:
        root: of the home. url: as fsspec has them, such as "s3://BUCKET/PREFIX"; who may use it,
            the variables of its service say.

    Every method raises StoreError where the store does not answer or refuses.
    """

    root: Path
    url: str
    _listed: dict[str, tuple[float, dict[str, int]]] = field(default_factory=dict, compare=False)

    def sync(self, area: str, *, whole: bool, wrote: bool = False) -> None:
        """Bring the files of a folder of the home, and the store's, together.

        What others changed is fetched, what was changed here is put. Of what both changed, theirs
        holds: files here can be made again from it, and others have seen theirs.

        Args:
            area: path below the home, such as "models/sample".
            whole: all of its files are one unit, those in folders below it too; else each name up
                to its first dot, directly in it, is one.
            wrote: something was written here just now; theirs is then an error that says so.
        """
        folder = self.root / area
        with _naming(self.url), one_writer(self.root / ".shared" / area):
            self._refuse_newer()
            heads = self._newest(area, afresh=wrote)
            here = self._here(area, whole)
            # A folder that is gone was moved away, or a kill came between: others keep theirs.
            gone = not folder.is_dir()
            for unit in sorted({*heads, *here}):
                known = _NOTHING if gone else _noted(self._note(area, unit))[0]
                found = here.get(unit, ({}, {}))
                self._sync_unit(area, unit, known, heads.get(unit, 0), *found, wrote=wrote)

    def _refuse_newer(self) -> None:
        """Stay away from files of a newer version; of an older one, say that they are of ours from
        now on: this home was migrated, and what it has is put next. One without a word is of 1."""
        unit = "versions/home"
        number = self._newest("versions", afresh=False).get("home", 1)
        if number > newest():
            said = self._files.cat_file(self._head_place(unit, number))
            raise StoreError(newer_text(self.url, *read_stamp(said)))
        if number < newest():
            with suppress(FileExistsError):  # another machine was as fast
                self._put_head(unit, newest(), stamp_text(newest()))

    def ask(self) -> None:
        """Ask the store for what it has, to know that it answers."""
        with _naming(self.url):
            self._newest("raw", afresh=True)

    def _here(self, area: str, whole: bool) -> dict[str, tuple[Files, Stats]]:
        """The files of this machine by unit, while none of its writers is in between; what a
        killed one left is finished."""
        folder = self.root / area

        def hashed() -> dict[str, tuple[Files, Stats]]:
            return {
                unit: _hashed(folder, paths, *_noted(self._note(area, unit)))
                for unit, paths in _units_of(folder, whole).items()
            }

        # A folder that is replaced as a whole is locked in the one above it.
        with readers(folder.parent) if whole else nullcontext():
            return read_whole(folder, hashed)

    def _note(self, area: str, unit: str) -> Path:
        return self.root / ".shared" / area / f"{unit}.json"

    def _sync_unit(
        self, area: str, unit: str, known: Head, latest: int, files: Files, seen: Stats, *,
        wrote: bool,
    ) -> None:  # fmt: skip
        folder, note = self.root / area, self._note(area, unit)
        changed = files != known.files
        if latest > known.number:
            theirs = self._head(f"{area}/{unit}", latest)
            if changed and files != theirs.files:
                if wrote:
                    _note(note, Head(known.number, files), seen)  # so that theirs is taken next
                    raise self._refusal(area, unit)
                self._give_way(area, unit, known)
            if files != theirs.files:
                with writing(folder):
                    commit(folder, self._brought(files, theirs.files))
                seen = _stats(folder, theirs.files)
            _note(note, theirs, seen)
        elif changed:
            head = Head(known.number + 1, files)
            try:
                self._put(area, unit, head)
            except FileExistsError as error:
                _note(note, Head(known.number, files), seen)
                raise self._refusal(area, unit) from error
            _note(note, head, seen)

    def _give_way(self, area: str, unit: str, known: Head) -> None:
        """Say that what was changed here is lost, or refuse to lose what was never shared."""
        if known.number == 0:
            raise StoreError(
                f"{self.root / area} has files of its own, and {self.url} has others of {unit}; "
                "move the folder away to take those, or set TP_STORAGE to another prefix"
            )
        _LOG.warning("%s (%s) was changed here and elsewhere; theirs is taken", area, unit)

    def _refusal(self, area: str, unit: str) -> StoreError:
        return StoreError(
            f"another machine changed {area} ({unit}) in {self.url} at the same time, and was "
            "first; run it again: it goes on from what that one wrote"
        )

    def _brought(self, files: Files, theirs: Files) -> dict[str, Writer]:
        """What makes the files here theirs."""
        wanted = {name: digest for name, digest in theirs.items() if files.get(name) != digest}
        brought: dict[str, Writer] = {
            name: partial(self._fetch, digest) for name, digest in wanted.items()
        }
        return brought | dict.fromkeys(set(files) - set(theirs))

    def _fetch(self, digest: str, path: Path) -> None:
        self._files.get_file(self._object(digest), str(path))
        if _sha256(path) != digest:
            raise StoreError(f"{self.url}: object {digest[:12]}... was altered; {_BACK}")

    def _put(self, area: str, unit: str, head: Head) -> None:
        """Objects first, the head last.

        Raises:
            FileExistsError: somebody has put one of its number.
        """
        for name, digest in head.files.items():
            path, place = self.root / area / name, self._object(digest)
            if not self._has(place, path.stat().st_size):
                self._files.makedirs(str(PurePosixPath(place).parent), exist_ok=True)
                self._files.put_file(str(path), place)
        self._listed.pop(area, None)
        text = json.dumps({"files": head.files}, sort_keys=True)
        self._put_head(f"{area}/{unit}", head.number, text)

    def _put_head(self, unit: str, number: int, text: str) -> None:
        place = self._head_place(unit, number)
        self._files.makedirs(str(PurePosixPath(place).parent), exist_ok=True)
        self._files.pipe_file(place, text.encode(), mode="create")

    def _has(self, place: str, size: int) -> bool:
        """Whether an object is there, all of it."""
        try:
            return int(self._files.info(place)["size"]) == size
        except FileNotFoundError:
            return False

    def _newest(self, area: str, afresh: bool) -> dict[str, int]:
        """The number of the newest head of every unit of an area: a request for a thousand."""
        at, known = self._listed.get(area, (-_BELIEVED, {}))
        if not afresh and time.monotonic() - at < _BELIEVED:
            return known
        self._files.invalidate_cache()
        top, heads = self._place(f"heads/{area}"), dict[str, int]()
        for place in map(PurePosixPath, self._files.find(top)):
            if place.parent.parent == PurePosixPath(top) and place.stem.isdecimal():
                unit = place.parent.name
                heads[unit] = max(heads.get(unit, 0), int(place.stem))
        self._listed[area] = time.monotonic(), heads
        return heads

    def _head(self, unit: str, number: int) -> Head:
        place = self._head_place(unit, number)
        try:
            files = json.loads(self._files.cat_file(place))["files"]
            if all(_stays_within(name) and _DIGEST.fullmatch(files[name]) for name in files):
                return Head(number, dict(files))
        except (ValueError, LookupError, TypeError) as error:
            raise StoreError(f"{self.url}: {place} is damaged ({error!r}); {_BACK}") from error
        raise StoreError(f"{self.url}: {place} names files that no home of ours has; {_BACK}")

    def _head_place(self, unit: str, number: int) -> str:
        return self._place(f"heads/{unit}/{number:08d}.json")

    def _object(self, digest: str) -> str:
        return self._place(f"objects/{digest[:2]}/{digest}")

    def _place(self, name: str) -> str:
        return f"{self._base.rstrip('/')}/{name}"

    @cached_property
    def _opened(self) -> tuple[Any, str]:
        import fsspec

        try:
            files, base = fsspec.core.url_to_fs(self.url, use_listings_cache=False)
        except (ValueError, ImportError) as error:
            raise StoreError(
                f"TP_STORAGE is {self.url!r}, which cannot be used: {error}. For s3:// addresses: "
                "pip install 'trading-pipeline[s3]'"
            ) from error
        return files, str(base)

    @property
    def _files(self) -> Any:
        return self._opened[0]

    @property
    def _base(self) -> str:
        return self._opened[1]


def _stays_within(name: str) -> bool:
    """Whether a name from the store is one of a file below a folder of ours, and not hidden."""
    path = PurePosixPath(name)
    hidden = any(part.startswith(".") for part in path.parts)
    return bool(path.parts) and not path.is_absolute() and not hidden


def _units_of(folder: Path, whole: bool) -> dict[str, list[Path]]:
    """The files of a folder by unit; hidden ones, and folders of what is unfinished, are nobody's
    business but this machine's."""
    if not folder.is_dir():
        return {}
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*") if whole else folder.iterdir()):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        # A commit takes an empty file for one that is to go; nobody writes any.
        if path.is_file() and path.stat().st_size and not hidden:
            found.setdefault("all" if whole else path.name.partition(".")[0], []).append(path)
    return found


def _hashed(folder: Path, paths: list[Path], known: Head, stats: Stats) -> tuple[Files, Stats]:
    """Digests of files, and by what to tell that they are the same; those that are not changed
    since they were noted are not read."""
    files, seen = Files(), Stats()
    for path in paths:
        name, stat = path.relative_to(folder).as_posix(), _stat(path)
        same = stats.get(name) == stat and name in known.files
        files[name], seen[name] = known.files[name] if same else _sha256(path), stat
    return files, seen


def _stats(folder: Path, files: Files) -> Stats:
    return {name: _stat(folder / name) for name in files}


def _stat(path: Path) -> list[int]:
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns, stat.st_ino]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _noted(note: Path) -> tuple[Head, Stats]:
    try:
        said = json.loads(note.read_bytes())
    except FileNotFoundError:
        return _NOTHING, {}
    return Head(said["number"], said["files"]), said["stats"]


def _note(note: Path, head: Head, stats: Stats) -> None:
    text = json.dumps({"number": head.number, "files": head.files, "stats": stats})
    replace_file(note, lambda draft: draft.write_text(text))


@contextmanager
def _naming(url: str) -> Iterator[None]:
    """Turn what the store's client raises into an error that names the store and a way out."""
    try:
        yield
    except _remote_errors() as error:
        raise StoreError(
            f"the shared storage {url} cannot be used ({type(error).__name__}: {error}). What is "
            "in TP_HOME is whole: see that the store answers, and that its keys (for s3://: "
            "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL) are set, and run it again"
        ) from error


def _remote_errors() -> tuple[type[Exception], ...]:
    try:
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError:
        return (OSError,)
    return OSError, BotoCoreError, ClientError
