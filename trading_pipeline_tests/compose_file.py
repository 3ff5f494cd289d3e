"""What docker-compose.yml, files on top of it, and the Dockerfile say."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
_DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")


def read_compose(names: Sequence[str], variables: Mapping[str, str]) -> dict[str, Any]:
    """Compose files, each on top of the one before it, with the variables filled in."""
    whole: dict[str, Any] = {}
    for name in names:
        text = (ROOT / name).read_text(encoding="utf-8")
        whole = merged(whole, interpolated(yaml.safe_load(text), variables))
    return whole


def interpolated(value: Any, variables: Mapping[str, str]) -> Any:
    """A compose file's ${NAME}, ${NAME:-default} and ${NAME:?refusal}, filled in.

    Raises:
        ValueError: a variable that has to be set is not.
    """

    def filled(match: re.Match[str]) -> str:
        name, sign, text = match.groups()
        if found := variables.get(name):
            return found
        if sign == "?":
            raise ValueError(f"{name}: {text}")
        return text or ""

    if isinstance(value, dict):
        return {key: interpolated(each, variables) for key, each in value.items()}
    if isinstance(value, list):
        return [interpolated(each, variables) for each in value]
    if isinstance(value, str):
        return re.sub(r"\$\{(\w+)(?::([-?])([^}]*))?\}", filled, value)
    return value


def merged(first: Any, second: Any) -> Any:
    """A compose file with another on top: mappings are merged, lists are added up."""
    if isinstance(first, dict) and isinstance(second, dict):
        both = {key: merged(first[key], second[key]) for key in first.keys() & second.keys()}
        return {**first, **second, **both}
    if isinstance(first, list) and isinstance(second, list):
        return [*first, *second]
    return second


def in_order(specs: Mapping[str, dict[str, Any]]) -> list[str]:
    """Names of services, each after those that it depends on."""
    order: list[str] = []
    while len(order) < len(specs):
        ready = [
            name
            for name, spec in specs.items()
            if name not in order and set(spec.get("depends_on", {})) <= set(order)
        ]
        assert ready, "services wait for each other"
        order += ready
    return order


def said_in_dockerfile(instruction: str) -> str:
    """What an instruction of the Dockerfile says, with its first word."""
    (line,) = re.findall(rf"^{instruction}.*$", _DOCKERFILE, re.MULTILINE)
    return str(line.partition(" ")[2])


def copied_by_dockerfile() -> list[tuple[str, str]]:
    """Files that are copied to a folder of their own, and that folder."""
    return re.findall(r"^COPY (.+) (/\S+)/$", _DOCKERFILE, re.MULTILINE)
