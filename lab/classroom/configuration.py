"""The configuration is read from one YAML file and from environment variables of the same names, strictly: what is wrong is said with file and key.

    limits:
      running: 2          the same as LAB_LIMITS_RUNNING=2, which goes before the file
"""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from lab.classroom import translation
from lab.classroom.settings import SHORTEST_CODE, SHORTEST_SECRET, Settings
from lab.contracts import LabError, explain, shorten
from lab.lessons.front import Front, checked, whole

PREFIX = "LAB_"
LARGEST_BYTES = 100_000
SECRET = {"class_code": SHORTEST_CODE, "instructor_secret": SHORTEST_SECRET}  # never shown, not even in an error
LONGEST_SECRET = 200
PATHS = ("lessons", "translation")
EMPTY = ("", "none", "all")
Place = tuple[str, ...]


def read(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """Raises LabError with the file, or the variable, the key and what is allowed."""
    found = _file(path) if path else Front({}, {(): 1}, "", 1)
    name = path.name if path else "the environment"
    for key in SECRET:
        _check_secret(f"{name}, line {found.line(key)}: {key}", key, found.data.get(key))
    for group, kind in _groups().items():
        if group in found.data:
            _check_group(found, name, group, kind)
    settings = checked(found, name, Settings, lambda place: Settings)
    if path:  # paths in a file are meant from where it lies
        named = {key: getattr(settings, key) for key in PATHS}
        settings = settings.model_copy(update={key: path.parent / value for key, value in named.items() if value is not None})
    data = settings.model_dump(exclude_unset=True)
    for name_of, place in _variables(environ):
        data = _with(data, place, _value(name_of, place, environ[name_of]))
        _check_variable(name_of, place, data)
    settings = Settings.model_validate(data)
    if settings.lessons and not settings.lessons.is_dir():
        raise LabError(f"{name}: lessons is {settings.lessons}: there is no such folder; name one with lessons in it, or leave the key out")
    if settings.translation:
        try:
            translation.read(settings.translation)
        except ValueError as error:
            raise LabError(f"{name}: {error}") from None
    return settings


def _file(path: Path) -> Front:
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise LabError(f"{path} has {path.stat().st_size:,} bytes: a configuration has at most {LARGEST_BYTES:,}")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise LabError(f"cannot read the configuration {path}: {error.strerror}; name another file with --config or LAB_CONFIG") from None
    except UnicodeDecodeError:
        raise LabError(f"{path} is not text in UTF-8: save it as such") from None
    said = any(line.strip() and not line.lstrip().startswith("#") for line in text.splitlines())
    return whole(text, path.name) if said else Front({}, {(): 1}, "", 1)


def _check_group(found: Front, name: str, group: str, kind: type[BaseModel]) -> None:
    values = found.data[group]
    if not isinstance(values, Mapping):
        example = f"{next(iter(kind.model_fields))}: 2"
        raise LabError(f"{name}, line {found.line(group)}: {group} is {shorten(values)}: write keys and values below it, like `{example}`")
    lines = {(): found.line(group), **{(key,): found.line(group, key) for key in values}}
    checked(Front(values, lines, "", 1), f"{name}, {group}", kind, lambda place: kind)


def _check_variable(name: str, place: Place, data: Mapping[str, Any]) -> None:
    kind, values = (Settings, data) if len(place) == 1 else (_groups()[place[0]], data[place[0]])
    try:
        kind.model_validate(values)
    except ValidationError as error:
        raise LabError(f"{name}: {explain(error, kind)}") from None


def _groups() -> dict[str, type[BaseModel]]:
    """{key: model} of the settings that have settings of their own."""
    kinds = {name: field.annotation for name, field in Settings.model_fields.items()}
    return {name: kind for name, kind in kinds.items() if isinstance(kind, type) and issubclass(kind, BaseModel)}


def places() -> Iterator[tuple[Place, Any]]:
    """(key, or group and key; its field) of everything that can be set."""
    groups = _groups()
    for name, field in Settings.model_fields.items():
        if name in groups:
            yield from (((name, inner), each) for inner, each in groups[name].model_fields.items())
        else:
            yield (name,), field


def variable(place: Place) -> str:
    return PREFIX + "_".join(place).upper()


def _variables(environ: Mapping[str, str]) -> Iterator[tuple[str, Place]]:
    """Those that are set. Raises LabError for one that looks like ours and is none."""
    known = {variable(place): place for place, _ in places()}
    groups = tuple(variable((group,)) + "_" for group in _groups())
    for name in sorted(environ):
        if name in known:
            yield name, known[name]
        elif name.startswith(groups):
            raise LabError(f"unknown variable {name}: there are {', '.join(each for each in known if each.startswith(groups))}")


def _value(name: str, place: Place, text: str) -> Any:
    """A variable's text as the value that YAML would have made of it. Raises LabError."""
    kind = dict(places())[place].annotation
    optional = type(None) in get_args(kind)
    kinds = [each for each in get_args(kind) if each is not type(None)] if isinstance(kind, UnionType) else [kind]
    if place[0] in SECRET:
        _check_secret(name, place[0], text or None)
        return text or None
    if optional and text.strip().lower() in EMPTY:
        return None
    if any(get_origin(each) is list for each in kinds):
        return [part.strip() for part in text.split(",") if part.strip()]
    if bool in kinds:
        said = text.strip().lower()
        if said not in ("true", "false", "1", "0", "yes", "no"):
            raise LabError(f"{name} is {shorten(text)}: must be true or false")
        return said in ("true", "1", "yes")
    for number in (int, float):
        if number in kinds:
            try:
                return number(text)
            except ValueError:
                raise LabError(f"{name} is {shorten(text)}: must be a {'whole ' if number is int else ''}number") from None
    return text


def _with(data: dict[str, Any], place: Place, value: Any) -> dict[str, Any]:
    return {**data, place[0]: value if len(place) == 1 else {**data.get(place[0], {}), place[1]: value}}


def _check_secret(where: str, key: str, value: Any) -> None:
    """Before anything else looks at it: an error about it says how long it is, and not what it is."""
    if value is None:
        return
    if not isinstance(value, str):
        raise LabError(f"{where} is not a text: put it in quotes")
    if not SECRET[key] <= len(value) <= LONGEST_SECRET:
        raise LabError(f"{where} has {len(value)} characters: must have {SECRET[key]} to {LONGEST_SECRET}")
