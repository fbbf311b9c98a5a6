"""The front matter of a lesson: YAML between two lines of three dashes, with the line of every value, so that an error can say where it stands."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from lab.contracts import LabError, explain, first_complaint, shorten

FENCE = "---"
MOST_CHARACTERS = 200_000  # of a lesson file
DEEPEST = 12
Kind = TypeVar("Kind", bound=BaseModel)


class Front:
    """`data` is the front matter as plain values, `body` the Markdown after it, `body_line` the line on which it begins."""

    def __init__(self, data: Mapping[str, Any], lines: Mapping[tuple[str | int, ...], int], body: str, body_line: int) -> None:
        self.data, self._lines, self.body, self.body_line = data, lines, body, body_line

    def line(self, *place: Any) -> int:
        """Where a value stands: of a place that is not there, where the last part that is begins."""
        found, known = (), self._lines[()]
        for part in place:
            if (*found, part) in self._lines:
                found = (*found, part)
                known = self._lines[found]
        return known


def front(text: str, name: str) -> Front:
    """Raises LabError with the name of the file and the line."""
    if len(text) > MOST_CHARACTERS:
        raise LabError(f"{name} has {len(text):,} characters: a lesson may have {MOST_CHARACTERS:,}, split it")
    lines = text.removeprefix("\ufeff").splitlines()
    if not lines or lines[0].rstrip() != FENCE:
        raise LabError(f"{name}, line 1: a lesson begins with a line {FENCE}, its front matter, and another line {FENCE}")
    end = next((place for place, line in enumerate(lines[1:], 1) if line.rstrip() == FENCE), None)
    if end is None:
        raise LabError(f"{name}, line 1: the front matter has no end; close it with a line {FENCE}")
    data, places = _values("\n".join(lines[1:end]) + "\n", name, 2, "the front matter")
    return Front(data, places, "\n".join(lines[end + 1:]), end + 2)


def whole(text: str, name: str) -> Front:
    """Of a file that is YAML from its first line to its last."""
    if len(text) > MOST_CHARACTERS:
        raise LabError(f"{name} has {len(text):,} characters: it may have {MOST_CHARACTERS:,}")
    return Front(*_values(text.removeprefix("\ufeff"), name, 1, "the file"), "", 1)


def checked(found: Front, name: str, kind: type[Kind], owner: Callable[[tuple[Any, ...]], type[BaseModel]]) -> Kind:
    """The values as their kind; `owner` says whose keys are meant at a place. Raises LabError with file and line."""
    try:
        return kind.model_validate(found.data)
    except ValidationError as error:
        place = _place(first_complaint(error)["loc"], found.data)
        where = " ".join(str(part) for part in place[:2])
        raise LabError(f"{name}, line {found.line(*place)}{', ' if where else ''}{where}: {explain(error, owner(place))}") from None


def _place(location: tuple[Any, ...], data: Any) -> tuple[Any, ...]:
    """pydantic's place without the names of alternatives, as it is in the file; a missing key is left at its owner."""
    place = []
    for part in location:
        if (isinstance(data, Mapping) and part in data) or (isinstance(data, list) and isinstance(part, int) and part < len(data)):
            place.append(part)
            data = data[part]
    return tuple(place)


def _values(text: str, name: str, first: int, what: str) -> tuple[dict[str, Any], dict[tuple[str | int, ...], int]]:
    """`first` is the line of the file on which the text begins, `what` it is called."""
    import yaml

    try:
        node, data = _read(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + first if mark else 1
        raise LabError(f"{name}, line {line}: {what} is not YAML: {error.problem}; quote a text that has : or # in it") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise LabError(f"{name}: {what} is not YAML: {str(error).splitlines()[0]}") from None
    if not isinstance(data, dict):
        raise LabError(f"{name}, line {first}: {what} is {shorten(data)}: write keys and values, like `title: A first lesson`")
    places: dict[tuple[str | int, ...], int] = {(): first}
    _places(node, (), places, name, first)
    return data, places


def _read(text: str) -> tuple[Any, Any]:
    """The nodes, which know their lines, and the values. Read ten times as fast in C, where PyYAML has it; what is wrong is told in the words of the
    reader in Python."""
    import yaml

    try:
        return yaml.compose(text, Loader=yaml.CSafeLoader), yaml.CSafeLoader(text).get_single_data()
    except (AttributeError, yaml.YAMLError, ValueError, RecursionError):
        return yaml.compose(text, Loader=yaml.SafeLoader), yaml.safe_load(text)


def _places(node: Any, path: tuple[str | int, ...], places: dict[tuple[str | int, ...], int], name: str, first: int) -> None:
    import yaml

    if len(path) > DEEPEST:
        raise LabError(f"{name}, line {node.start_mark.line + first}: nested too deeply: a lesson has {DEEPEST} levels at most")
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            place = (*path, key.value)
            if place in places:
                raise LabError(f'{name}, line {key.start_mark.line + first}: "{shorten(key.value)}" stands here twice: give each its own name')
            places[place] = key.start_mark.line + first
            _places(value, place, places, name, first)
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            places[*path, number] = value.start_mark.line + first
            _places(value, (*path, number), places, name, first)


def at(found: Front, name: str, place: tuple[Any, ...], make: Callable[[], Any]) -> Any:
    """What `make` gives; its LabError with file and line."""
    try:
        return make()
    except LabError as error:
        raise LabError(f"{name}, line {found.line(*place)}, {' '.join(map(str, place))}: {error}") from None
