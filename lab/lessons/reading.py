"""A lesson read from its file, strictly: what is wrong is said with file, line and way out."""
from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from lab import catalogue
from lab.compare import Comparison
from lab.contracts import LabError, shorten
from lab.lessons import lesson as values
from lab.lessons.front import Front, at, checked, front
from lab.lessons.lesson import KINDS, Lesson, Matter, Place, Step, Words
from lab.lessons.whole import KEY, check
from lab.spec import RunSpec

NAME = re.compile(r"\d\d-[a-z0-9]+(-[a-z0-9]+)*")
PLACE = re.compile(r"\*\*([A-Z][a-z]+)\*\* `([^`]*)`")
PICTURE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*\.(svg|png|jpg|jpeg|gif|webp)")
LARGEST_BYTES = 400_000


def folders(ours: Path) -> list[Path]:
    """Ours, and the one that LAB_LESSONS names."""
    own = os.environ.get("LAB_LESSONS")
    return [ours, *([Path(own)] if own else [])]


def lessons(folders: list[Path], comparisons: Path) -> dict[str, Lesson]:
    """All lessons of these folders by key, in order; a later folder may not take a key of an earlier one. Raises LabError for the first that is wrong."""
    found: dict[str, Lesson] = {}
    for folder in folders:
        for path in sorted(folder.glob("[0-9]*.md")):
            if path.stem in found:
                raise LabError(f"{path}: there is a lesson {path.stem} already; give the file another name")
            found[path.stem] = read(path, comparisons)
    for lesson in found.values():
        unknown = next((key for key in lesson.matter.needs if key not in found), None)
        if unknown is not None:
            raise LabError(f'{lesson.key}.md: needs the lesson "{unknown}", but there are {", ".join(found)}')
    return dict(sorted(found.items()))


def read(path: Path, comparisons: Path) -> Lesson:
    """`comparisons` is the folder of those that lessons name; pictures lie in `figures` beside the lesson, ours beside that folder. Raises LabError."""
    name = path.name
    if not NAME.fullmatch(path.stem):
        raise LabError(f"{name}: a lesson's file is called like 05-lora.md: two digits, then words of a to z and 0 to 9 with - between them")
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise LabError(f"{name} has {path.stat().st_size:,} bytes: at most {LARGEST_BYTES:,}")
        found = front(path.read_text(encoding="utf-8"), name)
    except OSError as error:
        raise LabError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise LabError(f"{name} is not text in UTF-8: save it as such") from None
    matter = checked(found, name, Matter, _owner)
    runs = {key: at(found, name, ("runs", key), lambda spec=spec: _run(spec)) for key, spec in matter.runs.items()}
    compared = {key: at(found, name, ("comparisons", key), lambda said=said: _comparison(said, comparisons)) for key, said in matter.comparisons.items()}
    for key, measured in matter.measurements.items():
        at(found, name, ("measurements", key), lambda measured=measured: catalogue.find("measurements", measured.name).made(measured.knobs))
    rooms = (path.parent / "figures", comparisons.parent / "figures" / "lessons")
    pictures = {figure.file: at(found, name, ("figures", key, "file"), lambda file=figure.file: _picture(file, rooms))
                for key, figure in matter.figures.items() if figure.kind == "picture"}
    opening, steps = _steps(found, name)
    lesson = Lesson(path.stem, matter, runs, compared, steps, opening, pictures)
    check(lesson, found, name)
    return lesson


def _run(spec: Mapping[str, Any]) -> RunSpec:
    made = RunSpec.parse(spec)
    made.base, made.goal  # noqa: B018  a bare config cannot be run
    return made


def _comparison(said: str | Mapping[str, Any], folder: Path) -> Comparison:
    if not isinstance(said, str):
        return Comparison.parse(said)
    if not KEY.fullmatch(said) or not (folder / f"{said}.json").is_file():
        raise LabError(f'unknown comparison "{shorten(said)}": there are {", ".join(path.stem for path in sorted(folder.glob("*.json")))}')
    return Comparison.read(folder / f"{said}.json")


def _picture(file: str, rooms: tuple[Path, ...]) -> Path:
    """Where it lies. Raises LabError for a name that could lead elsewhere, and for a file that is not there."""
    if not PICTURE.fullmatch(file):
        raise LabError(f'file is "{shorten(file)}": a picture is called like adapter-places.svg: letters, digits, - and _, then .svg, .png, .jpg, .jpeg, .gif '
                       "or .webp")
    found = next((room / file for room in rooms if _lies(room / file, room)), None)
    if found is None:
        there = ", ".join(sorted(each.name for each in rooms[0].glob("*") if PICTURE.fullmatch(each.name) and _lies(each, rooms[0]))) or "no picture"
        raise LabError(f'there is no picture "{file}": put it into {rooms[0]} (there: {there}), or name another one')
    return found


def _lies(file: Path, room: Path) -> bool:
    """Whether it is a file of this folder; a link that leads out of it is none."""
    return file.is_file() and file.resolve().is_relative_to(room.resolve())


# ── the front matter ──────────────────────────────────────────────────────────────────────────────────────────────────


def _owner(place: tuple[Any, ...]) -> type[BaseModel]:
    """Whose keys are meant at a place: of what stands in each part of the front matter."""
    parts = {"observations": values.Observation, "figures": values.Figure, "claims": values.Claim, "explore": values.Explore, "quiz": values.Quiz,
             "measurements": values.Measured}
    return parts.get(place[0], Matter) if len(place) > 1 else Matter


# ── the text ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _steps(found: Front, name: str) -> tuple[str, tuple[Step, ...]]:
    opening: list[str] = []
    steps: list[Step] = []
    heading, blocks, words = "", [], []
    fenced = False

    def close(line: int) -> None:
        if any(each.strip() for each in words):
            blocks.append(Words("\n".join(words).strip(), line - len(words)))
        words.clear()

    for number, line in enumerate(found.body.splitlines(), found.body_line):
        fenced ^= line.startswith("```")
        if line.startswith("## ") and not fenced:
            close(number)
            if heading:
                steps.append(Step(heading, tuple(blocks)))
            heading, blocks = line[3:].strip(), []
        elif not heading:
            opening.append(line)
        elif (place := PLACE.fullmatch(line.strip())) and not fenced:
            close(number)
            if place[1] not in KINDS:
                raise LabError(f'{name}, line {number}: unknown kind "{place[1]}": there are {", ".join(KINDS)}')
            blocks.append(Place(place[1], place[2], number))
        else:
            words.append(line)
    close(found.body_line + len(found.body.splitlines()))
    if heading:
        steps.append(Step(heading, tuple(blocks)))
    if len(steps) < 2:
        raise LabError(f"{name}, line {found.body_line}: has {len(steps)} steps: begin each with a line `## Its heading`, 2 at least")
    return "\n".join(opening).strip(), tuple(steps)
