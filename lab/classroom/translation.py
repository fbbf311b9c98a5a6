"""Other words for the page: one JSON file, its keys the page's English, as in gettext. Numbers in a sentence are written `{}`.

Where their order changes, they are `{1}`, `{2}`.
"""
from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

LARGEST = 4_000_000  # bytes
PLACE = re.compile(r"\{(\d*)\}")


@dataclass(frozen=True)
class Translation:
    language: str  # as in <html lang>
    words: dict[str, str]


def read(path: Path) -> Translation:
    """Raises ValueError that names the file, what is wrong with it, and the form that is wanted."""
    form = 'write {"language": "de", "words": {"Train": "Trainieren", "{} runs": "{} Läufe"}}'
    try:
        if path.stat().st_size > LARGEST:
            raise ValueError(f"{path} is larger than {LARGEST:,} bytes")
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"the translation {path} cannot be read ({error.strerror or error})") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"the translation {path} is no JSON in UTF-8 ({error}): {form}") from None
    if not (isinstance(found, dict) and set(found) == {"language", "words"} and isinstance(found["language"], str) and isinstance(found["words"], dict)
            and re.fullmatch(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*", found["language"])):
        raise ValueError(f"the translation {path} is not of the form it needs: {form}")
    for english, other in found["words"].items():
        if not isinstance(other, str):
            raise ValueError(f"the translation {path}: {english!r} has no text in its place but {other!r}")
        numbers = len(PLACE.findall(english))
        places = PLACE.findall(other)
        if sorted(int(place or position) for position, place in enumerate(places, 1)) != list(range(1, numbers + 1)):
            raise ValueError(f"the translation {path}: {english!r} has {numbers} numbers, and {other!r} does not have each of them once")
    return Translation(found["language"], found["words"])
