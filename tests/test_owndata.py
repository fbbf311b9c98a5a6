"""Own data: files as people have them are read or refused in words, split without leaks, kept for their owner and a time, and work as tasks."""
from __future__ import annotations

import csv
import io
import json
import random
import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as some

from lab.contracts import LabError
from lab.events import fold
from lab.owndata import columns, entry, making, reading
from lab.owndata.shelf import EXPIRED, MOST_SETS, REMOVED, Shelf
from lab.spec import RunSpec
from lab.tasks._splits import letters

MINE, YOURS = "m" * 24, "y" * 24
ROWS = [(f"the film number {number} was {'good' if number % 3 else 'bad'}", "pos" if number % 3 else "neg") for number in range(90)]


def as_csv(rows: list[tuple[str, ...]], header: tuple[str, ...] = ("text", "label"), delimiter: str = ",") -> str:
    written = io.StringIO()
    csv.writer(written, delimiter=delimiter).writerows([header, *rows])
    return written.getvalue()


def made_of(content: str | bytes, name: str = "", **choice: object) -> making.Made:
    table = reading.read(content.encode() if isinstance(content, str) else content, name)
    return making.made(table, columns.Choice.parse(choice, table))


def items_of(made: making.Made) -> dict[str, list[tuple[str, str]]]:
    return {split: [(item.text, made.labels[item.label]) for item in getattr(made.splits, split)] for split in ("train", "validation", "test")}


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shelf:
    """In a data folder that the whole process knows, as page, workers and command line do."""
    monkeypatch.setenv("LAB_DATA", str(tmp_path))
    return Shelf()


# ── reading ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252", "utf-32"])
@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_encoding_delimiter_and_line_end_gives_the_same_table(encoding: str, delimiter: str, end: str) -> None:
    rows = [('she said "schön", and left', "good"), ("über; alles | mit\tTab, Komma", "bad"), ("two\nlines", "good"), ("plain", "bad")]
    text = as_csv(rows, delimiter=delimiter).replace("\r\n", end)
    table = reading.read(text.encode(encoding))
    assert table.columns == ("text", "label") and [tuple(cell.replace("\r", "\n") for cell in row) for row in table.rows] == rows
    assert any("guess" in note for note in table.notes) == (encoding in ("cp1252", "utf-16-le", "utf-16-be"))


def test_json_lines_and_a_list_of_objects_are_read_with_numbers_as_they_stand() -> None:
    rows = [{"text": "a {b} ${c}", "label": 1}, {"label": True, "text": "x"}, {"text": None, "label": 0.5, "more": [1]}]
    for content in ("\n\n".join(map(json.dumps, rows)), json.dumps(rows)):
        table = reading.read(content.encode(), "x.jsonl")
        assert table.columns == ("text", "label", "more") and table.rows == (("a {b} ${c}", "1", ""), ("x", "true", ""), ("", "0.5", "[1]"))


def test_a_file_without_names_of_columns_is_seen_to_be_one() -> None:
    text = as_csv(ROWS).partition("\r\n")[2]
    table = reading.read(text.encode())
    assert table.columns == ("column 1", "column 2") and len(table.rows) == 90 and not table.header
    assert reading.read(text.encode(), header=True).columns == ROWS[0]


def test_blank_lines_and_empty_cells_at_the_end_are_no_rows() -> None:
    assert reading.read(b"\n\ntext,label\n\na,x,,\n  ,\nb,y\n,\n").rows == (("a", "x"), ("b", "y"))


def test_tabs_leave_quotes_as_they_stand() -> None:
    table = reading.read(b'text\tlabel\nhe said "no\tx\nit is 5" wide\ty\n')
    assert table.rows == (('he said "no', "x"), ('it is 5" wide', "y"))
    assert reading.read(b'text\tlabel\n"unclosed\tx\nb\ty\n').rows[0] == ('"unclosed', "x")


@pytest.mark.parametrize(("content", "said"), [
    (b"", "empty"), (b" \n\t\n", "empty"), (b"\xef\xbb\xbf", "empty"),
    (b"text\na\nb\n", "only one column"), (b'{"text": "a"}\n{"text": "b"}', "only one column"),
    (b'text,label\n"abc,x\nd,y\n', "line 2 is never closed"), (b'text,label\n"a"b,x\n', "after line 2 are broken"),
    (b"text,label\na,b,x\n", "line 2 has 3 cells and the header 2"), (b"text,label\na\n", "line 2 has 1 cell and the header 2"),
    (b"text,text\na,b\n", "two columns are called"), (b"text,label\n", "one row only"),
    (b"PK\x03\x04" + b"x" * 99, "Excel"), (b"%PDF-1.7", "PDF"), (b"\xff\xfea", "UTF-16"), (bytes(range(256)) * 40, "no text"), (b"\0" * 999, "no text"),
    (b'{"text": "a", "label": 1}\n{"text": ', "line 2 is not JSON"), (b'{"text": "a"}\n[1]', "line 2 is [1]"), (b"[{}]", "rows without anything"),
    (b"[" * 100_000, "nested too deeply"),
    (b'{"text": "\\ud800", "label": 1}', "half of a sign"), (b'{"a": ' + b"9" * 9999 + b"}", "too long a number"),
    (b"text,label\n" + b"a" * (reading.LONGEST_TEXT + 1) + b",x\n", "line 2 has 10,001 characters: at most 10,000"),
    (b"text,label\n" + b"a,x\n" * (reading.MOST_ROWS + 1), "more than 20,000 rows"), (b"a,b\n" + b"x" * 200_000 + b",y", "characters"),
    (b",".join(b"c%d" % place for place in range(99)) + b"\n" + b"," * 98, "99 columns"),
])
def test_a_file_that_is_none_is_refused_in_words(content: bytes, said: str) -> None:
    with pytest.raises(LabError) as refused:
        reading.read(content)
    assert said in str(refused.value), refused.value


def test_200_megabytes_are_refused_by_their_size() -> None:
    with pytest.raises(LabError, match=r"the file has 200\.0 MB: at most 5 MB"):
        reading.check_size(200_000_000)
    with pytest.raises(LabError, match="at most 5 MB"):
        reading.read(b"x" * (reading.LARGEST_BYTES + 1))


@settings(max_examples=300, deadline=None)
@given(some.binary(max_size=400) | some.text(max_size=400).map(lambda text: text.encode("utf-8", "replace")))
@example(b",")
@example(b";;\n;;\n")
@pytest.mark.slow
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    for name in ("x.csv", "x.jsonl"):
        try:
            table = reading.read(content, name)
            making.made(table, columns.Choice.parse({}, table))
        except LabError as refused:
            assert 15 < len(str(refused)) < 600


CELLS = some.text(some.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1, max_size=30).filter(str.strip)


@settings(max_examples=150, deadline=None)
@given(some.lists(some.tuples(CELLS, CELLS), min_size=2, max_size=30), some.sampled_from(",;\t|"))
def test_what_a_csv_writer_wrote_is_what_is_read(rows: list[tuple[str, str]], delimiter: str) -> None:
    """Where each record has two cells by this delimiter and by no other, there is one way to read it."""
    text = as_csv(rows, delimiter=delimiter)
    if any(sign in cell for row in rows for cell in row for sign in ",;\t|\"\u2028\u2029\x85"):
        return
    assert reading.read(text.encode(), header=True).rows == tuple(rows)


# ── columns, labels, splits ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("header", "row", "text", "answer", "kind"), [
    (("id", "review", "sentiment"), ("7", "a rather long text about a film", "pos"), "review", "sentiment", "labels"),
    (("sentiment", "x", "y2"), ("pos", "a rather long text about a film", "z"), "x", "sentiment", "labels"),
    (("Label", "Sentence"), ("pos", "a rather long text"), "Sentence", "Label", "labels"),
    (("question", "answer"), ("what is the capital of the country {}?", "the town number {}"), "question", "answer", "answers"),
    (("a", "b"), ("what is the capital of the country {}?", "the town {}"), "a", "b", "answers"),
    (("a", "opinion"), ("a rather long text about a film", "always"), "a", "opinion", "answers"),
])
def test_columns_are_guessed_from_names_and_values(header: tuple[str, ...], row: tuple[str, ...], text: str, answer: str, kind: str) -> None:
    def filled(cell: str, number: int) -> str:
        return cell.replace("{}", str(number)) if "{}" in cell else f"{cell}{number % 2}" if cell in ("pos", "z", "7") else f"{cell} {number}"

    rows = [tuple(filled(cell, number) for cell in row) for number in range(50)]
    table = reading.read(as_csv(rows, header).encode())
    guessed = columns.guess(table)
    assert (guessed.text, guessed.answer, guessed.kind) == (text, answer, kind)


def test_a_choice_that_does_not_fit_the_file_is_refused() -> None:
    table = reading.read(as_csv(ROWS).encode())
    for choice, said in (({"text": "none"}, 'text is column "none": there are text, label'), ({"text": "text", "answer": "text"}, "chosen twice"),
                         ({"kind": "images"}, "must be labels or answers"), ({"names": [1]}, "no mapping"), ("x", "is an object"),
                         ({"split": "when"}, 'split is column "when"')):
        with pytest.raises(LabError) as refused:
            columns.Choice.parse(choice, table)
        assert said in str(refused.value)


def test_splits_are_stratified_reproducible_and_share_no_text() -> None:
    made, again = made_of(as_csv(ROWS)), made_of(as_csv(ROWS[::-1]))
    assert made.counts == {"train": {"neg": 18, "pos": 36}, "validation": {"neg": 4, "pos": 9}, "test": {"neg": 8, "pos": 15}}
    assert {split: sorted(part) for split, part in items_of(made).items()} == {split: sorted(part) for split, part in items_of(again).items()}
    parts = [{letters(text) for text, _ in part} for part in items_of(made).values()]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 90
    shares = {split: counts["pos"] / sum(counts.values()) for split, counts in made.counts.items()}
    assert all(abs(share - 2 / 3) < 0.05 for share in shares.values()), shares
    assert {item.label for item in made.splits.train[:2]} == {0, 1}, "a beginning of the training texts holds every label"
    assert abs(made.majority - shares["test"]) < 1e-9


def test_the_same_text_never_stands_on_both_sides_of_a_split_column() -> None:
    rows = [(text, label, "train" if number < 60 else "test") for number, (text, label) in enumerate(ROWS)]
    leaking = [*rows, (ROWS[80][0].upper() + "!", ROWS[80][1], "train"), (ROWS[5][0], ROWS[5][1], "train"),
               ("both ways", "pos", "train"), ("Both ways", "neg", "train")]
    made = made_of(as_csv(leaking, ("text", "label", "split")))
    parts = {split: {letters(text) for text, _ in part} for split, part in items_of(made).items()}
    assert not parts["train"] & parts["test"] and not parts["train"] & parts["validation"] and letters(ROWS[80][0]) in parts["test"]
    assert len(parts["test"]) == 30 and len(parts["train"]) + len(parts["validation"]) == 60
    said = " ".join(made.notes)
    assert "1 train row was left out: the same text stands among the validation or test rows" in said
    assert "1 row was left out: the same text comes more than once" in said and "2 rows were left out: the same text comes with different labels" in said
    assert "No row is marked validation: 9 of the training rows were taken for it" in said
    with pytest.raises(LabError, match=r'line 2 has the split "later"'):
        made_of(as_csv([("a", "x", "later"), ("b", "y", "train")], ("text", "label", "split")), split="split")


def test_labels_can_be_renamed_joined_and_left_out() -> None:
    rows = [(f"text {number}", ("1", "2", "3", "4", "?")[number % 5]) for number in range(100)]
    made = made_of(as_csv(rows), names={"1": "bad", "2": "bad", "3": "good", "4": "good", "?": ""})
    assert made.labels == ("bad", "good") and sum(count for counts in made.counts.values() for count in counts.values()) == 80
    assert made.words == (" bad", " good") and dict(made.found) == dict.fromkeys("1234?", 20)
    with pytest.raises(LabError, match="1 label would be left"):
        made_of(as_csv(rows), names=dict.fromkeys("1234", "same") | {"?": ""})


@pytest.mark.parametrize(("rows", "said"), [
    ([(f"t{number}", "x") for number in range(30)], 'one label only, "x"'),
    ([(f"t{number}", f"label {number}") for number in range(30)], "30 different values: at most 20 labels"),
    ([(f"t{number}", "x") for number in range(30)] + [("a", "y")], 'label "y" has 1 different texts: at least 5'),
    ([("same", "x"), ("same!", "x"), ("SAME", "x"), ("other", "y")] * 9, "different texts: at least 5"),
    ([(f"t{number}", "x" * 41 if number % 2 else "y") for number in range(30)], "has 41 characters: at most 40"),
    ([(" ", "x"), ("a", "")] * 9, "no row has something in both"),
])
def test_labels_that_cannot_be_learned_are_refused(rows: list[tuple[str, str]], said: str) -> None:
    with pytest.raises(LabError) as refused:
        made_of(as_csv(rows), text="text", answer="label", kind="labels")
    assert said in str(refused.value), refused.value


def test_what_a_student_should_know_is_said() -> None:
    rows = [(f"write to a{number}@b.org or +49 (0)30 1234 567{number % 10}, number {number}", "yes" if number % 10 else "no") for number in range(120)]
    rows += [(f"{'very long words follow each other ' * 40}{number}", "yes") for number in range(3)]
    said = " ".join(made_of(as_csv(rows)).notes)
    assert 'Few texts of "no": fewer than 20' in said and '"yes" is the answer to 90% of the test texts' in said
    assert "email address in 120 and a telephone number in 120" in said and "longer than the 32 tokens" in said
    assert "standard error of up to 0.09" in said
    balanced = made_of(as_csv([(f"a text on {number * 17 % 997} things", "yes" if number % 2 else "no") for number in range(800)]))
    assert balanced.notes == ()


@pytest.mark.parametrize(("labels", "words"), [
    (("neg", "pos"), (" neg", " pos")), (("1", "2"), (" a", " b")), (("very bad", "very good"), (" a", " b")), (("ärgerlich", "ok"), (" a", " b")),
    (("bad", "very good"), (" bad", " very good")),
])
def test_label_words_begin_differently(labels: tuple[str, ...], words: tuple[str, ...]) -> None:
    assert making.words_of(labels) == words


def test_prompts_and_answers_become_a_task_of_writing() -> None:
    rows = [(f"capital of country {number % 40}", f"town {number % 40}" if number < 40 else f"the town\nof {number}") for number in range(60)]
    made = made_of(as_csv(rows, ("prompt", "answer")))
    items = [item for split in ("train", "validation", "test") for item in getattr(made.splits, split)]
    assert made.choice.kind == "answers" and len(items) == 40 and made.metric == "exact match" and made.labels == ()
    assert {len(item.answers) for item in items} == {1, 2} and all("\n" not in answer for item in items for answer in item.answers)
    assert "20 rows were put to an earlier row with the same prompt" in " ".join(made.notes)
    with pytest.raises(LabError, match="at least 10"):
        made_of(as_csv(rows[:9], ("prompt", "answer")), kind="answers")
    with pytest.raises(LabError, match="the same answer in every row"):
        made_of(as_csv([(f"say {number}", "yes") for number in range(30)], ("prompt", "answer")), kind="answers")
    with pytest.raises(LabError, match="one label only"):
        made_of(as_csv([(f"say {number}", "yes") for number in range(30)], ("one", "other")))


@settings(max_examples=120, deadline=None)
@given(some.integers(0, 2**32), some.integers(2, 6), some.integers(12, 200), some.booleans())
@pytest.mark.slow
def test_no_text_leaks_and_nothing_is_lost_whatever_the_rows(seed: int, labels: int, count: int, marked: bool) -> None:
    draw = random.Random(seed)
    rows = [(f"text {draw.randrange(count)}{draw.choice(['', '!', ' '])}", f"l{draw.randrange(labels)}",
             *([draw.choice(["train", "train", "test", "validation"])] if marked else [])) for _ in range(count)]
    try:
        made = made_of(as_csv(rows, ("text", "label", "split")[:2 + marked]), text="text", answer="label", kind="labels", split="split" if marked else "")
    except LabError:
        return
    parts = [[letters(text) for text, _ in part] for part in items_of(made).values()]
    together = Counter(text for part in parts for text in part)
    assert max(together.values()) == 1 and all(parts)
    agreeing = {text for text in {letters(row[0]) for row in rows} if len({row[1] for row in rows if letters(row[0]) == text}) == 1}
    assert set(together) == agreeing
    assert {item.label for item in made.splits.train} == set(range(len(made.labels)))


# ── the shelf ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_set_is_its_owners_alone(shelf: Shelf) -> None:
    made = made_of(as_csv(ROWS))
    kept, other = shelf.keep(made, "Films", MINE), shelf.keep(made, "Films", YOURS)
    assert kept.key != other.key and shelf.keep(made, "Films again", MINE).key == kept.key, "the same items of the same owner are the same set"
    assert [each.key for each in shelf.of(MINE)] == [kept.key] and shelf.of("") == [] and shelf.of("nobody") == []
    shelf.check(kept.key, MINE)
    shelf.check("movies", "")
    for owner in (YOURS, "", MINE[:-1], MINE + "m"):
        with pytest.raises(LabError, match="somebody's own data"):
            shelf.check(kept.key, owner)
        with pytest.raises(LabError, match="somebody's own data"):
            shelf.remove(kept.key, owner)
    assert shelf.splits(kept.key) == made.splits


def test_keys_cannot_be_told_from_the_data(tmp_path: Path) -> None:
    """The same file of the same owner in another lab has another key: a salt of the folder is in it."""
    made = made_of(as_csv(ROWS))
    assert Shelf(tmp_path / "one").keep(made, "x", MINE).key != Shelf(tmp_path / "two").keep(made, "x", MINE).key


@pytest.mark.parametrize("key", ["own-", "own-../../etc", "own-" + "g" * 24, "own-" + "a" * 24 + "/..", "own-" + "a" * 23, None, 7, "own-" + "A" * 24])
def test_no_key_leads_out_of_the_folder(shelf: Shelf, key: object) -> None:
    with pytest.raises(LabError):
        shelf.find(key)


def test_a_removed_set_leaves_its_name_and_no_text(shelf: Shelf, tmp_path: Path) -> None:
    kept = shelf.keep(made_of(as_csv(ROWS)), "Films", MINE)
    shelf.notes(kept.key).mkdir(parents=True)
    (shelf.notes(kept.key) / "x.json").write_text("what a model said")
    assert any(b"number 7 " in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert shelf.remove(kept.key, MINE).gone == REMOVED and shelf.of(MINE) == []
    assert not any(b"number 7 " in path.read_bytes() or b"model said" in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    with pytest.raises(LabError, match=r'the texts of "Films" were removed by its owner: upload the file again'):
        shelf.splits(kept.key)
    assert entry.task(kept.key).labels == ("neg", "pos") and "removed" in entry.task(kept.key).gone, "runs made with it can still be read"
    with pytest.raises(LabError, match="task is gone"):
        shelf.check(kept.key, MINE)
    assert shelf.keep(made_of(as_csv(ROWS)), "Films", MINE).key == kept.key and shelf.splits(kept.key), "uploaded again, it is there again"


def test_time_runs_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1_000_000.0]
    shelf = Shelf(tmp_path, clock=lambda: now[0])
    monkeypatch.setenv("LAB_KEEP_DATA", "2")
    kept = shelf.keep(made_of(as_csv(ROWS)), "Films", MINE)
    assert kept.expires - kept.created == 2 * 86_400
    now[0] += 2 * 86_400 - 1
    assert shelf.splits(kept.key) and shelf.sweep() == 1
    now[0] += 2
    assert shelf.sweep() == 0 and not (tmp_path / "uploads" / kept.key / "items.jsonl").exists() and shelf.find(kept.key).gone == EXPIRED
    for wrong in ("never", "0", "-1", "inf", "nan", "1000"):
        monkeypatch.setenv("LAB_KEEP_DATA", wrong)
        with pytest.raises(LabError, match="LAB_KEEP_DATA is"):
            shelf.keep(made_of(as_csv(ROWS)), "Films", MINE)


def test_there_is_a_limit_of_sets(shelf: Shelf) -> None:
    for number in range(MOST_SETS):
        shelf.keep(made_of(as_csv([(f"{text} {number}", label) for text, label in ROWS])), f"set {number}", MINE)
    with pytest.raises(LabError, match="remove one"):
        shelf.keep(made_of(as_csv(ROWS)), "one more", MINE)
    assert shelf.keep(made_of(as_csv(ROWS)), "of another", YOURS)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "uploads").write_text("in the way")
    with pytest.raises(LabError, match=r"uploads cannot be written .*--data"):
        Shelf(tmp_path).keep(made_of(as_csv(ROWS)), "x", MINE)


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"key": 1}', "\x00"])
def test_a_damaged_set_is_said_and_hides_no_other(shelf: Shelf, damage: str) -> None:
    kept, other = shelf.keep(made_of(as_csv(ROWS)), "Films", MINE), shelf.keep(made_of(as_csv(ROWS[:60])), "Few", MINE)
    (shelf.root / kept.key / "about.json").write_text(damage)
    with pytest.raises(LabError, match="cannot be read"):
        shelf.find(kept.key)
    assert [each.key for each in shelf.of(MINE)] == [other.key]


def test_a_title_holds_nothing_that_a_script_or_a_page_could_run(shelf: Shelf) -> None:
    kept = shelf.keep(made_of(as_csv(ROWS)), '<img src=x onerror=alert(1)>"""\n${evil} `x`' + "long " * 40, MINE)
    assert not set(kept.title) & set("<>\"'`${}\n=") and len(kept.title) <= 60
    assert shelf.keep(made_of(as_csv(ROWS)), "${}", MINE).title == "Own data"


# ── as a task ─────────────────────────────────────────────────────────────────────────────────────────────────────────


HOSTILE = "<script>alert(1)</script> ${alert(2)} {text} =1+1 %s"


@pytest.mark.parametrize("model", ["seed-bert", "seed-llama"])
def test_a_run_with_own_labels_trains_scores_and_says_its_hash(shelf: Shelf, model: str, workshop_of_own: object, tmp_path: Path) -> None:
    from lab.engine import train

    kept = shelf.keep(made_of(as_csv([*ROWS, (HOSTILE, "neg")])), "Films", MINE)
    spec = RunSpec.parse({"model": model, "task": kept.key, "method": "lora", "steps": 4, "batch": 4})
    result = fold(train(spec, workshop_of_own, out=tmp_path / "run"))
    assert result.state == "finished" and result.started.data_sha256 and kept.key in spec.to_json()
    sizes = kept.sizes
    assert result.started.items == {"train": sizes["train"], "validation": min(20, sizes["validation"]), "test": sizes["test"]}
    assert result.scores["majority"].score == pytest.approx(max(kept.counts["test"].values()) / sizes["test"])
    other = shelf.keep(made_of(as_csv(ROWS[:60])), "Films", MINE)
    assert RunSpec.parse({**spec.to_dict(), "task": other.key}).fingerprint != spec.fingerprint
    shelf.remove(kept.key, MINE)
    gone = fold(train(RunSpec.parse(spec.to_dict()), workshop_of_own))
    assert gone.state == "failed" and "removed by its owner" in gone.reason


@pytest.mark.slow
def test_labels_that_do_not_belong_to_their_texts_are_doubted(shelf: Shelf, workshop_of_own: object) -> None:
    """No setting tells of it: the same texts with labels drawn at random, and with those that belong to them."""
    from lab.diagnosed import diagnose
    from lab.engine import train

    draw, texts = random.Random(0), [(f"the {noun} {number} was {word}", word) for number in range(75) for noun in ("film", "song")
                                     for word in ("good", "great", "bad", "awful")]
    found = {}
    for name, rows in (("drawn", [(text, draw.choice(("pos", "neg"))) for text, _ in texts]),
                       ("own", [(text, "pos" if word in ("good", "great") else "neg") for text, word in texts])):
        kept = shelf.keep(made_of(as_csv(rows)), name, MINE)
        result = fold(train(RunSpec.parse({"model": "seed-bert", "task": kept.key, "method": "lora", "steps": 120, "batch": 8}), workshop_of_own))
        found[name] = {each.key: each.says for each in diagnose(result)}
    assert "Perhaps labels and texts do not belong together" in found["drawn"]["nothing-to-learn"] and not found["own"]


def test_a_run_with_own_answers_writes(shelf: Shelf, workshop_of_own: object) -> None:
    from lab.engine import train

    kept = shelf.keep(made_of(as_csv([(f"capital of {number}", f"town {number}") for number in range(40)], ("prompt", "answer"))), "Towns", MINE)
    spec = RunSpec.parse({"model": "seed-llama", "task": kept.key, "method": "lora", "steps": 2, "eval_items": 4})
    result = fold(train(spec, workshop_of_own))
    assert result.state == "finished" and result.scores["tuned"].metric == "exact match" and spec.goal.writes
    with pytest.raises(LabError, match="an encoder writes none"):
        RunSpec.parse({"model": "seed-bert", "task": kept.key, "method": "lora"})


def test_what_untouched_models_said_goes_with_the_set(shelf: Shelf, workshop_of_own: object) -> None:
    from lab.engine import train

    kept = shelf.keep(made_of(as_csv(ROWS)), "Films", MINE)
    spec = RunSpec.parse({"model": "seed-llama", "task": kept.key, "method": "lora", "steps": 1})
    before = set(workshop_of_own.notes.folder.rglob("untouched/*"))
    assert fold(train(spec, workshop_of_own)).state == "finished"
    assert any(shelf.notes(kept.key).rglob("*.json")) and set(workshop_of_own.notes.folder.rglob("untouched/*")) == before
    shelf.remove(kept.key, MINE)
    assert not shelf.notes(kept.key).exists()


def test_examples_in_front_of_a_text_are_drawn_from_unequal_labels(shelf: Shelf, workshop_of_own: object) -> None:
    """The rarer label has fewer texts than an equal share of all would be."""
    from lab.engine import train

    kept = shelf.keep(made_of(as_csv([(f"a text {number}", "rare" if number % 20 == 0 else "usual") for number in range(160)])), "Unequal", MINE)
    spec = RunSpec.parse({"model": "seed-llama", "task": kept.key, "method": {"name": "in_context", "shots": 4}, "eval_items": 8, "tokens": 32})
    assert fold(train(spec, workshop_of_own)).state == "finished"


@pytest.mark.slow
def test_a_run_with_own_data_is_looked_into_and_asked(shelf: Shelf, workshop_of_own: object, tmp_path: Path) -> None:
    """Also when its texts are gone: what needs none of them still answers, and what needs them says why it cannot."""
    from lab.engine import Shelf as Bases
    from lab.engine import answer, look, train
    from lab.lens import Look
    from lab.serving import Question

    kept = shelf.keep(made_of(as_csv([*ROWS, (HOSTILE, "neg")])), "Films", MINE)
    runs = {model: tmp_path / model for model in ("seed-bert", "seed-llama")}
    for model, folder in runs.items():
        spec = RunSpec.parse({"model": model, "task": kept.key, "method": "lora", "steps": 2, "batch": 4})
        (folder / "adapter").mkdir(parents=True)
        assert fold(train(spec, workshop_of_own, out=folder)).state == "finished"

    def seen(model: str) -> object:
        return fold(look(Look.parse({"run": "x", "lens": "representations"}), runs[model], workshop_of_own))

    def said(model: str) -> object:
        return fold(answer(Question.parse({"run": "x", "text": HOSTILE}), runs[model], Bases(workshop_of_own)))

    for model in runs:
        assert seen(model).state == "finished" and said(model).state == "finished"
        assert said(model).seen("answer")["labels"] == ["neg", "pos"]
    shelf.remove(kept.key, MINE)
    assert said("seed-llama").state == "finished"
    for gone in (seen("seed-bert"), seen("seed-llama"), said("seed-bert")):
        assert gone.state == "failed" and "removed by its owner" in gone.reason
    assert said("seed-bert").seen("answer")["who"] == "tuned", "the trained model has answered before"


def test_label_words_that_begin_alike_in_a_vocabulary_say_what_to_do(shelf: Shelf, workshop_of_own: object) -> None:
    """The small vocabulary spells words that it does not know letter by letter, and some letters only without the space in front."""
    from lab.engine import train

    kept = shelf.keep(made_of(as_csv([(text, {"pos": "Xenon", "neg": "Ypsilon"}[label]) for text, label in ROWS])), "Letters", MINE)
    failed = fold(train(RunSpec.parse({"model": "seed-llama", "task": kept.key, "method": "lora", "steps": 1}), workshop_of_own))
    assert failed.state == "failed" and "give the labels other names where you upload them" in failed.reason + failed.advice


def test_an_unknown_set_is_an_error_with_a_way_out(shelf: Shelf) -> None:
    with pytest.raises(LabError, match="uploaded to another lab"):
        RunSpec.parse({"model": "seed-bert", "task": "own-" + "0" * 24, "method": "lora"})


@pytest.fixture(scope="module")
def workshop_of_own(tmp_path_factory: pytest.TempPathFactory) -> object:
    from lab.engine import Workshop

    return Workshop(tmp_path_factory.mktemp("cache"), offline=True)


def test_long_words_do_not_hold_everybody_up() -> None:
    """A column of base64 or of DNA: looking for addresses in it takes as long as it is, not as long as its square."""
    texts, began = ["a" * 10_000] * 500, time.process_time()
    assert making.personal(texts) == []
    assert time.process_time() - began < 2
    assert "an email address in 2" in making.personal(["write to a.b+c@example.org", "<x-y@host.example>", "a @ b"])[0]
