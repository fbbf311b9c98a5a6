"""The exported script: short, plain, true to every knob, and with the same numbers as the lab when it runs."""
from __future__ import annotations

import ast
import io
import json
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import nbformat
import pytest

from lab import catalogue, cli, export
from lab.contracts import LabError, Method
from lab.export import _names
from lab.spec import RunSpec
from lab.ui import code
from tests._breadth import WHOLE, spread

METHODS = catalogue.entries("methods")
MODELS = catalogue.entries("models")
NO_PEFT = {"dylora", "houlsby", "intrinsic", "longlora", "parallel", "pfeiffer", "sparse", "stack"}  # modules of the lab's own
TASK = {"seed-vit": "digits"}
NOT_IN_IT = {"model", "task", "method", "eval_items", "eval_every", "tested_on", "mistake"}  # a script does not ask test texts
OTHER = {"steps": 7, "batch": 3, "tokens": 16, "lr": 0.5, "warmup": 0.5, "weight_decay": 0.25, "clip": 0.0, "optimizer": "sgd", "dtype": "bfloat16", "seed": 5,
         "checkpointing": True, "quantization": "int8", "attention": "sdpa", "adapter_dtype": "bfloat16", "device": "cuda",
         "train_items": 30, "shuffle_labels": True}


def outcome(**spec: Any) -> str:
    """The script, or the reason why there is none."""
    try:
        return export.script(RunSpec.parse(spec)).text
    except LabError as error:
        return str(error)


def fitting(models: Any = MODELS) -> Iterator[RunSpec]:
    """Each method on each model that takes it, at its defaults."""
    for model in models:
        for method, kind in METHODS.items():
            if kind().supports(RunSpec.parse({"model": model, "method": "full"}).shape).ok:
                yield RunSpec.parse({"model": model, "method": method})


# ── the text ──────────────────────────────────────────────────────────────────────────────────────────────────────────


QUICK = ("minilm-l6", "smollm2-135m", "seed-bert", "seed-llama", "seed-gpt2", "seed-t5", "seed-vit")


@pytest.mark.parametrize("models", [QUICK, pytest.param(tuple(set(MODELS) - set(QUICK)), marks=pytest.mark.slow)], ids=["some", "the others"])
def test_every_method_has_a_short_script_or_a_reason_that_names_its_file(models: tuple[str, ...]) -> None:
    refused = set()
    for spec in fitting(models):
        try:
            script = export.script(spec)
        except LabError as error:
            refused.add(spec.method.key)
            assert f"lab/methods/{catalogue.file_name(spec.method.key)}.py" in str(error) or spec.method.key == "in_context", error
            continue
        where = f"{spec.method.key} on {spec.model}"
        lines = script.text.rstrip("\n").split("\n")
        assert len(lines) == script.lines <= 40 and max(map(len, lines)) <= 120, where
        imported = {name for node in ast.walk(ast.parse(script.text)) if isinstance(node, ast.Import | ast.ImportFrom)
                    for name in ([node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names])}
        assert {name.split(".")[0] for name in imported} <= {"json", "sys", "types", "torch", "peft", "transformers"}, where
        assert "".join(text for line in script.spans() for text, *_ in line) == script.text.replace("\n", ""), where
    assert refused == {*NO_PEFT, "in_context"}


def values(kind: type[Method], name: str) -> list[Any]:
    """Other values of a knob that may be allowed."""
    field = kind.model_fields[name]
    usual, choices = field.get_default(call_default_factory=True), get_args(field.annotation)
    if isinstance(usual, bool):
        return [not usual]
    if isinstance(usual, int | float):
        return [usual * 2, usual / 2 if isinstance(usual, float) else usual // 2, usual + 2, usual + 1, usual + 0.25]
    if isinstance(usual, tuple):
        return [["output"], ["key"]]
    return [choice for choice in choices if choice != usual] or ["0", "some other words for it"]


@pytest.mark.parametrize("method", sorted(set(METHODS) - NO_PEFT - {"in_context"}))
def test_the_script_changes_with_every_knob(method: str) -> None:
    kind = METHODS[method]
    model = "seed-llama" if method == "llama_adapter" else "seed-bert"
    for name in kind.model_fields:
        others = {"text": {"init": "text"}, "which": {"layers": 1}, "chosen": {"which": "chosen", "chosen": "1"},
                  "pull": {"pull_text": "good"}, "pull_text": {"pull": 1.0}}.get(name, {})
        settings = {"name": method, **(others if set(others) <= set(kind.model_fields) else {})}
        usual = outcome(model=model, method=settings)
        told = [outcome(model=model, method={**settings, name: value}) for value in values(kind, name)]
        assert any(text != usual and "cannot be used here" not in text and "must be" not in text for text in told), f"{method}.{name} does not show"


def test_the_script_changes_with_the_settings_of_the_run() -> None:
    assert set(OTHER) == set(RunSpec.model_fields) - NOT_IN_IT
    for model in ("seed-bert", "seed-llama"):
        usual = outcome(model=model, method="lora")
        for name, value in OTHER.items():
            text = outcome(model=model, method="lora", **{name: value})
            assert text.startswith('"""'), text
            assert text != usual or (name == "tokens" and model == "seed-llama"), name  # a decoder's texts come cut to length, with their prompt around


def test_what_was_typed_stays_text() -> None:
    words = 'a "quoted" \\ word,\n{braces} and \u2028 éß 漢字'
    text = outcome(model="seed-bert", method={"name": "prompt_tuning", "init": "text", "text": words})
    assert words in [node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant)]
    long = "Say of every review whether it likes the film or not, and think of irony. " * 4
    text = outcome(model="seed-llama", method={"name": "prompt_tuning", "init": "text", "text": long})
    assert long in [node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant)]
    assert max(map(len, text.split("\n"))) <= 120


@pytest.mark.parametrize("model", MODELS)
def test_short_names_stand_for_the_chosen_modules_and_no_other(model: str) -> None:
    shape = RunSpec.parse({"model": model, "method": "lora"}).shape
    known = _names.modules(shape)
    roles = sorted({linear.role for linear in shape.linears if linear.layer is not None})
    for targets in (*((role,) for role in roles if role != "qkv"), ("attention",), ("ffn",), ("all",), ("query", "ffn_out"), (shape.linears[0].module,)):
        try:
            chosen = {linear.module for linear in shape.select(targets)}
        except LabError:
            continue
        names = eval(f"[{', '.join(export._marks.plain(item) for item in _names.listed(chosen, known))}]")
        assert {module for module in known if any(_names.ends_with(module, name) for name in names)} == chosen, targets
        assert len(names) <= shape.layers + len(roles), targets


def test_parts_of_the_model_are_marked() -> None:
    marked = {(text, roles) for line in export.script(RunSpec.parse({"model": "minilm-l6", "method": "ia3"})).spans() for text, _, roles in line if roles}
    assert ('"key"', "key") in marked and ('f"{i}.output.dense"', "ffn_out") in marked and ("head", "head") in marked
    marked = {roles for line in export.script(RunSpec.parse({"model": "smollm2-135m", "method": "prompt_tuning"})).spans() for _, _, roles in line if roles}
    assert marked == {"prompt"}


def test_an_exhibit_lies_beside_its_method() -> None:
    """Every file of lab/exhibits is shown somewhere, with the first line of its docstring; the page tells it with the script and without."""
    shown = {key: export.exhibit(kind()) for key, kind in METHODS.items()}
    files = (Path(cli.__file__).parents[1] / "exhibits").glob("[!_]*.py")
    assert {source.path for source in shown.values() if source} == {f"lab/exhibits/{file.name}" for file in files}
    assert shown["lora"].about.startswith("LoRA in plain torch") and shown["dora"] is None
    for model, method in (("seed-bert", "lora"), ("seed-bert", "houlsby")):
        told = code.shown(RunSpec.parse({"model": model, "method": method}))
        assert told["exhibit"]["text"] == shown[method].text and ("lines" in told) != ("reason" in told)


def test_a_refusal_shows_the_labs_own_files() -> None:
    files = export.sources(METHODS["houlsby"]())
    assert [file.path for file in files] == ["lab/methods/houlsby.py", "lab/methods/_bottleneck.py", "lab/methods/_bottleneck_format.py"]
    assert all(file.lines == len(file.text.splitlines()) for file in files)


# ── run beside the lab ────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Both:
    """A count and the losses, from the lab and from its script."""

    lab: tuple[int, list[float]]
    script: tuple[int, list[float]]

    def same(self, tolerance: float = 1e-5) -> bool:
        (count, losses), (other, others) = self.lab, self.script
        return count == other and len(losses) == len(others) and all(
            abs(losses[step] - others[step]) <= tolerance * max(1, abs(losses[step])) for step in (0, -1))


@pytest.fixture(scope="module")
def own_workshop(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Bases whose dropout is 0: masks are drawn by the lab in another way than by torch."""
    from lab.engine import Workshop

    return Workshop(tmp_path_factory.mktemp("cache"), offline=True)


@pytest.fixture(scope="module")
def fetched_workshop() -> Any:
    """The same with fetched data, and the real pretrained models for tests that are marked so; no other test sees these bases."""
    from lab.engine import Workshop
    from lab.supply import default_cache

    return Workshop(default_cache())


@pytest.fixture
def compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Both]:
    def compare(workshop: Any, **spec: Any) -> Both:
        return both(RunSpec.parse({"steps": 10, "batch": 4, "eval_items": 4, "eval_every": 0, "dtype": "float32", **spec}), workshop, tmp_path, monkeypatch)

    return compare


def both(spec: RunSpec, workshop: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Both:
    import torch

    from lab.engine import train
    from lab.engine.feeding import fed
    from lab.engine.job import attention
    from lab.engine.scoring import finished
    from lab.events import Failed, fold

    kept = torch.bfloat16 if spec.dtype == "bfloat16" and not spec.method.needs_float32() else torch.float32
    base = finished(workshop.base(spec.base, kept, attention(spec, "cpu"), "cpu", spec.quantization))
    for part in base.module.modules():
        for name in ("p", "dropout", "attention_dropout"):
            if isinstance(getattr(part, name, None), float):
                setattr(part, name, 0.0)
    events = list(train(spec, workshop))
    assert not isinstance(events[-1], Failed), events[-1].detail
    losses = [loss for _, loss in fold(events).losses]
    files, batches = finished(fed(spec, workshop))
    export.write(folder, spec, export.script(spec), batches, files.folder)
    without_dropout(files.folder, folder / "still")
    monkeypatch.chdir(folder)
    monkeypatch.setattr("sys.argv", ["train.py", "still"])
    said = io.StringIO()
    with redirect_stdout(said), torch.random.fork_rng():
        runpy.run_path("train.py", run_name="__main__")
    count, *steps = said.getvalue().strip().split("\n")
    assert [int(line.split()[0]) for line in steps] == list(range(1, spec.steps + 1))
    return Both((spec.counts.trainable, losses), (int(count.split()[1]), [float(line.split()[1]) for line in steps]))


def without_dropout(base: Path, folder: Path) -> None:
    """A copy of a model whose config drops nothing."""
    shutil.copytree(base, folder, dirs_exist_ok=True)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {name: 0.0 for name in config if "drop" in name}))


@pytest.mark.parametrize(("method", "model"), [("lora", "seed-bert"), ("prompt_tuning", "seed-llama")])
def test_the_notebook_does_what_the_script_does(method: str, model: str, own_workshop: Any, compared: Callable[..., Both], tmp_path: Path) -> None:
    found = compared(own_workshop, model=model, method=method)
    book = nbformat.read(tmp_path / export.NOTEBOOK, as_version=4)
    nbformat.validate(book)
    assert book.cells[0].cell_type == "markdown" and book.cells[0].source.startswith("# ") and book.cells[1].source.startswith("%pip install")
    cells, said, names = [cell.source for cell in book.cells[2:]], io.StringIO(), {}
    assert len(cells) >= 5 and not any("sys" in cell for cell in cells)
    shutil.rmtree(tmp_path / "base")  # its weights drop units out, which draws other masks than in the lab
    (tmp_path / "still").rename(tmp_path / "base")
    with redirect_stdout(said):
        for cell in cells:
            exec(compile(cell, "a cell", "exec"), names)
    count, *steps = said.getvalue().strip().split("\n")
    assert (int(count.split()[1]), [float(line.split()[1]) for line in steps]) == found.script


@pytest.mark.parametrize(("method", "model"), [("lora", "seed-bert"), ("prompt_tuning", "seed-llama"), ("bitfit", "seed-bert")])
def test_the_script_counts_and_learns_as_the_lab_does(method: str, model: str, own_workshop: Any, compared: Callable[..., Both]) -> None:
    found = compared(own_workshop, model=model, method=method)
    assert found.same(), found


def test_the_script_keeps_vectors_in_32_bits_beside_matrices_in_16(own_workshop: Any, compared: Callable[..., Both]) -> None:
    """Steps this small would be lost in 16 bits: no gain near 1 would ever move."""
    found = compared(own_workshop, model="seed-llama", method="norms", dtype="bfloat16", lr=1.5e-3)
    assert found.same(1e-3), found


@pytest.mark.slow
def test_the_script_does_so_in_a_process_of_its_own(own_workshop: Any, compared: Callable[..., Both], tmp_path: Path) -> None:
    """As a student starts it: a fresh Python in the folder that was written, with the data file that lies there. A copy of the base drops nothing."""
    found = compared(own_workshop, model="seed-llama", method="lora")
    alone = tmp_path / "alone"
    alone.mkdir()
    for path in tmp_path.iterdir():
        if path.is_file() or path.name == "still":
            (shutil.copytree if path.is_dir() else shutil.copy)(path, alone / path.name)
    done = subprocess.run([sys.executable, "train.py", "still"], cwd=alone, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    count, *steps = done.stdout.strip().split("\n")
    other = Both(found.lab, (int(count.split()[1]), [float(line.split()[1]) for line in steps]))
    assert other.same(), other
    assert (alone / export.DATA).exists() and len(steps) == len(found.lab[1])


SEEDED = [model for model, entry in MODELS.items() if entry.seeded]
PAIRS = spread((spec.method.key, spec.model) for spec in fitting(SEEDED) if spec.method.key not in NO_PEFT | {"in_context"})


@pytest.mark.slow
@pytest.mark.parametrize(("method", "model"), PAIRS)
def test_every_script_counts_and_learns_as_the_lab_does(method: str, model: str, fetched_workshop: Any, compared: Callable[..., Both]) -> None:
    found = compared(fetched_workshop, model=model, method=method)
    assert found.same(1e-4), found


def test_every_method_of_peft_is_among_them() -> None:
    assert {method for method, _ in PAIRS} == set(METHODS) - NO_PEFT - {"in_context"}


TAKING = ("seed-bert", "seed-llama", "seed-t5")
TURNED: list[dict[str, Any]] = [
    *({"method": {"name": "lora", "init": init}} for init in ("gaussian", "orthogonal", "zero_a")), {"method": {"name": "lora", "targets": ["ffn_out"]}},
    {"method": {"name": "lora", "rank": 3, "alpha": 5.5, "targets": "all"}, "weight_decay": 0.1, "clip": 0.1, "warmup": 0.0, "optimizer": "sgd"},
    {"method": {"name": "lora_fa", "gradient": "plain"}}, {"method": {"name": "lora_plus", "ratio": 4.0}},
    {"method": {"name": "pissa", "init": "pissa_niter_4"}},
    {"method": {"name": "adalora", "orthogonality": 0.0}}, {"method": {"name": "adalora", "before": 0.2, "after": 0.2, "every": 2}},
    *({"method": {"name": "prompt_tuning", "init": init, "virtual_tokens": 7}} for init in ("random", "norm_matched", "text", "labels")),
    *({"method": {"name": "prompt_tuning", "init": init, "pull": 0.5, "pull_text": "a good film"}} for init in ("random", "vocabulary")),
    {"method": {"name": "prompt_tuning", "virtual_tokens": 150}}, {"method": {"name": "multitask_prompt", "rank": 3}},
    {"method": {"name": "multitask_prompt", "init": "random"}}, {"method": {"name": "p_tuning", "encoder": "lstm"}},
    {"method": {"name": "prefix_tuning", "init": "zero"}}, {"method": {"name": "prefix_tuning", "init": "random", "projection": True}},
    {"method": {"name": "oft", "block_size": 8, "share": True, "approximate": False}}, {"method": {"name": "lokr", "factor": 4}},
    {"method": {"name": "fourierft", "init": "gaussian"}, "lr": 1e-4},
    {"method": {"name": "ia3", "targets": "all"}}, {"method": {"name": "vblora", "vector_length": 8}},
    {"method": {"name": "full", "decay": 0.5}}, {"method": {"name": "top_layers", "which": "bottom", "layers": 1, "decay": 0.5}},
    {"method": {"name": "top_layers", "layers": 2, "unfreeze_every": 4}}, {"method": {"name": "top_layers", "which": "chosen", "chosen": "0"}},
    {"method": {"name": "norms", "which": "scales"}}, {"method": {"name": "bitfit", "biases": "query_and_ffn_in"}},
    {"method": "lora", "checkpointing": True}, {"method": "lora", "shuffle_labels": True}, {"method": "lora", "train_items": 30},
    {"method": "lora", "optimizer": "adafactor"}, {"method": "lora", "optimizer": "adamw_foreach", "attention": "sdpa", "seed": 3},
    {"method": "lora", "quantization": "int8"},
]


@pytest.mark.slow
@pytest.mark.parametrize(("change", "model"), [(change, model) for place, change in enumerate(TURNED) for turn, model in enumerate(TAKING)
                                               if WHOLE or (place + turn) % 3 == 0], ids=json.dumps)
def test_turned_knobs_do_the_same_as_in_the_lab(change: dict[str, Any], model: str, fetched_workshop: Any, compared: Callable[..., Both]) -> None:
    try:
        found = compared(fetched_workshop, model=model, **change)
    except LabError as error:  # this model does not take it
        assert "cannot be used here" in str(error) or "lines" in str(error), error
        return
    assert found.same(1e-4), found


@pytest.mark.slow
@pytest.mark.parametrize(("model", "task", "method"), [
    ("seed-llama", "short_qa", "lora"), ("seed-t5", "table_to_text", "lora"), ("seed-llama", "new_facts", "prefix_tuning"), ("seed-vit", "digits", "full"),
    ("seed-llama", "headline", "ia3")])
def test_written_answers_and_images_are_learned_as_in_the_lab(model: str, task: str, method: str, fetched_workshop: Any, compared: Callable[..., Both]) -> None:
    found = compared(fetched_workshop, model=model, task=task, method=method, shuffle_labels=task == "short_qa")
    assert found.same(1e-4), found


@pytest.mark.slow
@pytest.mark.real
@pytest.mark.parametrize(("model", "method"), [
    ("minilm-l6", "lora"), ("smollm2-135m", "lora"), *([("minilm-l6", "prompt_tuning"), ("minilm-l6", "full"), ("smollm2-135m", "prefix_tuning")]
                                                     if WHOLE else [])])
def test_scripts_on_real_weights(model: str, method: str, fetched_workshop: Any, compared: Callable[..., Both]) -> None:
    found = compared(fetched_workshop, model=model, method=method, batch=8 if model == "minilm-l6" else 2)
    assert found.same(1e-3), found


# ── the command ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_command_writes_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "spec.json").write_text(json.dumps({"model": "seed-bert", "method": "lora", "steps": 3, "batch": 5}))
    out = tmp_path / "out"
    assert cli.main(["export", str(tmp_path / "spec.json"), "--out", str(out), "--cache", str(tmp_path / "cache"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["lines"] == len((out / "train.py").read_text().splitlines())
    batches = [json.loads(line) for line in (out / "data.jsonl").read_text().splitlines()]
    assert len(batches) == 3 and all(len(batch["texts"]) == len(batch["labels"]) == 5 for batch in batches)
    assert (out / "requirements.txt").read_text().startswith("torch==") and (out / "base" / "config.json").exists()


def test_the_command_refuses_before_torch_is_loaded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "spec.json").write_text(json.dumps({"model": "seed-bert", "method": "houlsby"}))
    assert cli.main(["export", str(tmp_path / "spec.json"), "--out", str(tmp_path / "out")]) == 2
    assert "lab/methods/houlsby.py" in capsys.readouterr().err and not (tmp_path / "out").exists()
