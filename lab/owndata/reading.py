"""Read an uploaded file: bytes become a table of texts, or a LabError that names the line and the way out."""
from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lab.contracts import LabError, shorten

LARGEST_BYTES = 5_000_000
MOST_ROWS = 20_000
MOST_COLUMNS = 60
LONGEST_TEXT = 10_000  # characters of a cell
TRIED = 60  # records by which the delimiter is told
LONG_HEADER = 60  # no column is called by a longer name
MANY_LINES = 40  # of one cell: probably a quote that was never closed

OTHER_FILES = {
    b"PK\x03\x04": "an Excel or zip file", b"\xd0\xcf\x11\xe0": "an old Excel file", b"%PDF": "a PDF", b"\x1f\x8b": "a gzip file", b"PAR1": "a Parquet file",
    b"\x89PNG": "an image", b"\xff\xd8\xff": "an image", b"SQLite format 3": "a database",
}
MARKS = {  # the longest first
    b"\xff\xfe\x00\x00": "utf-32", b"\x00\x00\xfe\xff": "utf-32", b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16",
}
DELIMITERS = {",": "comma", "\t": "tab", ";": "semicolon", "|": "bar"}
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
SAVE_AS = "save it as CSV (UTF-8) and upload that"


@dataclass(frozen=True)
class Table:
    """Columns and rows of texts, how they were read, and `notes` on what was guessed or left out. `lines` says where each row begins in the file."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    lines: tuple[int, ...]
    how: str
    header: bool
    notes: tuple[str, ...] = ()


def read(content: bytes, name: str = "", header: bool | None = None) -> Table:
    """`header` says whether a CSV's first row names the columns; None leaves it to a guess."""
    check_size(len(content))
    text, notes = decoded(content)
    if not text.strip():
        raise LabError("the file is empty: choose one with a row for each text")
    if _is_json(text, name):
        return _from_json(text, notes)
    return _from_csv(text, notes, header)


def check_size(amount: int) -> None:
    """Before a byte of it is read."""
    if amount > LARGEST_BYTES:
        raise LabError(f"the file has {amount / 1e6:,.1f} MB: at most {LARGEST_BYTES / 1e6:.0f} MB; keep fewer rows, or only the columns that are needed")


# ── letters ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def decoded(content: bytes) -> tuple[str, list[str]]:
    """The text without marks and control signs, and what was guessed."""
    for start, what in OTHER_FILES.items():
        if content.startswith(start):
            raise LabError(f"the file is {what}, not a text: {SAVE_AS}")
    encoding, guessed = _encoding(content)
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise LabError(f"the file says that it is {encoding.upper()}, and byte {error.start:,} is not: {SAVE_AS}") from None
    notes = [f"The letters were read as {guessed}, which is a guess: look whether they are right below, else save the file as UTF-8."] if guessed else []
    odd = len(CONTROL.findall(text))
    if odd > max(20, len(text) // 100):
        raise LabError(f"the file holds {odd:,} control signs, so it is no text: {SAVE_AS}")
    if odd:
        text = CONTROL.sub("", text)
        notes.append(f"{odd:,} control sign{'s' * (odd > 1)} (such as NUL) {'were' if odd > 1 else 'was'} left out.")
    return text, notes


def _encoding(content: bytes) -> tuple[str, str]:
    """Its name, and what to call it where it is a guess."""
    for mark, name in MARKS.items():
        if content.startswith(mark):
            return name, ""
    if guess := _without_mark(content):
        return guess, "UTF-16"
    try:
        content.decode("utf-8")
        return "utf-8", ""
    except UnicodeDecodeError:
        pass
    try:
        content.decode("cp1252")
        return "cp1252", "Windows-1252 (Latin-1)"
    except UnicodeDecodeError:
        return "latin-1", "Latin-1"


def _without_mark(content: bytes) -> str:
    """UTF-16 of mostly Latin text has a NUL in every second place."""
    even, odd = content[0:4000:2], content[1:4000:2]
    if len(odd) > 4 and odd.count(0) > 0.4 * len(odd) and even.count(0) < 0.1 * len(even):
        return "utf-16-le"
    return "utf-16-be" if len(even) > 4 and even.count(0) > 0.4 * len(even) and odd.count(0) < 0.1 * len(odd) else ""


# ── JSON lines ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _is_json(text: str, name: str) -> bool:
    """By its name, or by a first line that is an object."""
    start = text.lstrip()[:1]
    if name.lower().endswith((".jsonl", ".ndjson", ".json")):
        return True
    if start not in ("{", "["):
        return False
    try:
        return isinstance(json.loads(text.strip() if start == "[" else text.lstrip().split("\n", 1)[0]), dict | list)
    except json.JSONDecodeError:
        return False
    except (ValueError, RecursionError):  # JSON, but none that is taken
        return True


def _from_json(text: str, notes: list[str]) -> Table:
    found = _whole(text) if text.lstrip()[:1] == "[" else _lines(text)
    if not found:
        raise LabError("the file has no rows: write one JSON object a line")
    columns = tuple(dict.fromkeys(str(key) for _, row in found for key in row))
    _check_columns(columns)
    rows = tuple(tuple(_cell(row.get(column), line) for column in columns) for line, row in found)
    return _checked(Table(columns, rows, tuple(line for line, _ in found), "JSON lines", True, tuple(notes)))


def _lines(text: str) -> list[tuple[int, dict[str, Any]]]:
    found = []
    for number, line in enumerate(re.split(r"\r\n|\n|\r", text), 1):
        if not line.strip():
            continue
        found.append((number, _row(_parsed(line, f"line {number}"), f"line {number}")))
        _check_rows(len(found))
    return found


def _whole(text: str) -> list[tuple[int, dict[str, Any]]]:
    found = _parsed(text, "the file")
    _check_rows(len(found))
    return [(number, _row(row, f"entry {number}")) for number, row in enumerate(found, 1)]


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise LabError(f"{where} is not JSON ({error.msg} at column {error.colno}): write one object a line, like {{\"text\": …, \"label\": …}}") from None
    except (RecursionError, ValueError):
        raise LabError(f"{where} is nested too deeply or holds too long a number: a row has texts and numbers only") from None


def _row(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise LabError(f"{where} is {shorten(value)}: must be an object, like {{\"text\": …, \"label\": …}}")
    return value


def _cell(value: Any, line: int) -> str:
    """Numbers and truth values as JSON writes them; what is nested stays JSON."""
    if value is None:
        return ""
    try:
        return value.encode("utf-8").decode() if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    except UnicodeEncodeError:
        raise LabError(f"line {line} holds half of a sign (a lone surrogate): write it as UTF-8") from None


# ── comma, tab, semicolon ─────────────────────────────────────────────────────────────────────────────────────────────


def _from_csv(text: str, notes: list[str], header: bool | None) -> Table:
    delimiter = _delimiter(text)
    how = f"{DELIMITERS[delimiter]}-separated"
    try:
        records = _records(text, delimiter, csv.QUOTE_MINIMAL)
    except LabError:
        if delimiter != "\t":
            raise
        records = _records(text, delimiter, csv.QUOTE_NONE)
        notes = [*notes, "Quotes were taken as they stand, as is usual where tabs part the cells."]
    if not records:
        raise LabError("all cells of the file are empty: put a text and its label into each row")
    named = _names_columns(records) if header is None else header
    columns = tuple(cell.strip() for cell in records[0][1]) if named else tuple(f"column {place}" for place in range(1, len(records[0][1]) + 1))
    rest = records[1:] if named else records
    _check_columns(columns)
    if not rest:
        raise LabError("the file has one row only: put one row for each text below the names of the columns")
    for line, cells in rest:
        if len(cells) != len(columns):
            raise LabError(f"line {line} has {len(cells)} cell{'s' * (len(cells) != 1)} and {'the first row' if not named else 'the header'} {len(columns)}: "
                           f"put texts that hold a {DELIMITERS[delimiter]} in double quotes")
    return _checked(Table(columns, tuple(cells for _, cells in rest), tuple(line for line, _ in rest), how, named, tuple(notes)))


def _delimiter(text: str) -> str:
    """The sign that parts the first records into equally many cells, more than one; of several the one that makes the most records alike."""
    best, most = ",", (0.0, 0)
    head = text[:200_000]
    for sign in DELIMITERS:
        widths = _widths(head, sign)
        usual = max(set(widths), key=widths.count) if widths else 1
        alike = (widths.count(usual) / len(widths), usual) if usual > 1 else (0.0, 0)
        if alike > most:
            best, most = sign, alike
    return best


def _widths(text: str, sign: str) -> list[int]:
    widths: list[int] = []
    quoting = csv.QUOTE_NONE if sign == "\t" else csv.QUOTE_MINIMAL  # beside tabs a quote is often only a quote
    try:
        for cells in csv.reader(io.StringIO(text, newline=""), delimiter=sign, quoting=quoting):
            if any(cell.strip() for cell in cells):
                widths.append(len(cells))
            if len(widths) >= TRIED:
                break
    except csv.Error:
        pass
    return widths


def _records(text: str, delimiter: str, quoting: Any) -> list[tuple[int, tuple[str, ...]]]:
    """(line, cells) of every record that is not blank; empty cells at the end, as spreadsheets leave them, are dropped where the first record has none."""
    found: list[tuple[int, tuple[str, ...]]] = []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quoting=quoting, strict=True)
    begin = 1
    try:
        for cells in reader:
            line, begin = begin, reader.line_num + 1
            if not any(cell.strip() for cell in cells):
                continue
            width = len(found[0][1]) if found else len(cells)
            while len(cells) > width and not cells[-1].strip():
                cells.pop()
            found.append((line, tuple(cells)))
            _check_rows(len(found) - 1)
    except csv.Error as error:
        raise LabError(_said(str(error), begin)) from None
    return found


def _said(error: str, line: int) -> str:
    if "unexpected end" in error:
        return f"the quote that opens in or after line {line} is never closed: close it, and write a quote inside a quoted text twice"
    if "field larger" in error:
        return f"a cell in or after line {line} has more than {csv.field_size_limit():,} characters: at most {LONGEST_TEXT:,}; a quote may be missing"
    return f"the quotes in or after line {line} are broken ({error}): write a quote inside a quoted text twice"


def _names_columns(records: Sequence[tuple[int, tuple[str, ...]]]) -> bool:
    """Whether the first record names the columns: short, no number, and no cell of it comes again below."""
    first, rest = records[0][1], [cells for _, cells in records[1:]]
    if not all(0 < len(cell.strip()) <= LONG_HEADER for cell in first):
        return False
    if any(re.fullmatch(r"[-+]?\d+([.,]\d+)?", cell.strip()) for cell in first):
        return False
    return not any(len(cells) > place and cells[place].strip() == cell.strip() for place, cell in enumerate(first) for cells in rest)


# ── both ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _check_rows(count: int) -> None:
    if count > MOST_ROWS:
        raise LabError(f"the file has more than {MOST_ROWS:,} rows: keep at most so many; a run reads far fewer")


def _check_columns(columns: Sequence[str]) -> None:
    if not columns:
        raise LabError("the file has rows without anything in them: each needs a text and its label, or its answer")
    if len(columns) == 1:
        raise LabError(f'only one column was found, "{shorten(columns[0])}": a text and its label (or its answer) are needed, parted by commas, tabs or '
                       "semicolons")
    if len(columns) > MOST_COLUMNS:
        raise LabError(f"the file has {len(columns)} columns: at most {MOST_COLUMNS}; keep the text and the label")
    twice = next((name for place, name in enumerate(columns) if name in columns[:place]), None)
    if twice is not None:
        raise LabError(f'two columns are called "{shorten(twice)}": give each a name of its own')
    if any(len(name) > 200 for name in columns):
        raise LabError("a column has a name of more than 200 characters: the first row should name the columns, shortly")


def _checked(table: Table) -> Table:
    """No cell is too long; one that spans many lines is pointed out."""
    for line, row in zip(table.lines, table.rows, strict=True):
        longest = max(map(len, row))
        if longest > LONGEST_TEXT:
            raise LabError(f"a cell in line {line} has {longest:,} characters: at most {LONGEST_TEXT:,}; shorten the text, or look for a quote that is missing")
    long = next((line for line, row in zip(table.lines, table.rows, strict=True) if any(cell.count("\n") > MANY_LINES for cell in row)), None)
    if long is None:
        return table
    note = f"A cell that begins in line {long} goes on over more than {MANY_LINES} lines: a closing quote may be missing."
    return Table(table.columns, table.rows, table.lines, table.how, table.header, (*table.notes, note))
