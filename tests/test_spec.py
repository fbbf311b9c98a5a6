"""RunSpec: one value, one dict form, and bad input in words."""
from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab import catalogue
from lab.contracts import LabError
from lab.spec import RunSpec

LORA = {"model": "minilm-l6", "method": {"name": "lora"}}


def spec(**changes: object) -> RunSpec:
    return RunSpec.parse({**LORA, **changes})


def test_defaults_are_filled_in_from_model_and_method() -> None:
    made = spec()
    assert (made.task, made.steps, made.batch, made.lr) == ("movies", 100, 16, 3e-3)
    assert RunSpec.parse({**LORA, "model": "smollm2-135m"}).steps == 60


def test_equal_specs_have_equal_fingerprints_however_they_were_written() -> None:
    again = RunSpec.from_json(spec().to_json())
    assert again == spec() and again.fingerprint == spec().fingerprint
    assert spec(steps=100, lr=0.003, method={"rank": 8, "name": "lora"}).fingerprint == spec().fingerprint
    assert spec(seed=1).fingerprint != spec().fingerprint
    assert spec(method={"name": "lora", "rank": 9}).fingerprint != spec().fingerprint


def test_a_spec_is_frozen_and_hashable() -> None:
    assert len({spec(), spec()}) == 1
    with pytest.raises(Exception, match="frozen"):
        spec().steps = 5


@pytest.mark.parametrize("name", catalogue.entries("methods"))
def test_every_method_has_one_dict_form(name: str) -> None:
    for model in ("minilm-l6", "smollm2-135m"):
        try:
            made = RunSpec.parse({"model": model, "method": {"name": name}})
        except LabError as error:
            assert "cannot be used here" in str(error)
            continue
        assert RunSpec.from_json(json.dumps(made.to_dict())) == made


@pytest.mark.parametrize(("changes", "words"), [
    ({"method": {"name": "lora", "rank": 0}}, "rank is 0: must be 1 to 256"),
    ({"method": {"name": "lora", "rank": 1000}}, "rank is 1000: must be 1 to 256"),
    ({"method": {"name": "lora", "rank": "eight"}}, 'rank is "eight": must be a whole number, 1 to 256'),
    ({"method": {"name": "lora", "rank": 8.5}}, 'rank is "8.5": must be a whole number'),
    ({"method": {"name": "lora", "rank": True}}, "must be a whole number"),
    ({"method": {"name": "lora", "alpha": float("nan")}}, "alpha is nan: must be a finite number"),
    ({"method": {"name": "lora", "alpha": float("inf")}}, "alpha is inf"),
    ({"method": {"name": "lora", "ranks": 8}}, 'unknown key "ranks": there are rank, alpha'),
    ({"method": {"name": "lora", "init": "zeros"}}, 'init is "zeros": must be one of kaiming, gaussian'),
    ({"method": {"name": "lora", "targets": ["qeury"]}}, 'targets has "qeury", which names nothing in a bert model: use query, key'),
    ({"method": {"name": "lora", "targets": []}}, "targets is []"),
    ({"method": {"name": "lora", "targets": 3}}, "targets is 3"),
    ({"method": {"name": "prompt_tuning", "virtual_tokens": 201}}, "virtual_tokens is 201: must be 1 to 200"),
    ({"method": {"name": "top_layers", "layers": 7}}, "layers is 7: this model has 6"),
    ({"method": {"name": "in_context"}}, "an encoder does not continue a text"),
    ({"method": {"name": "gtp"}}, 'unknown method "gtp": there are'),
    ({"method": 5}, "method is 5: give its name and knobs"),
    ({"model": "gtp2"}, 'unknown model "gtp2": there are bert-mini'),
    ({"model": ["a"]}, "unknown model"),
    ({"task": "movie"}, 'unknown task "movie": there are'),
    ({"steps": 0}, "steps is 0: must be 1 to 5,000"),
    ({"steps": -1}, "steps is -1: must be 0 to 5,000"),
    ({"steps": 10**9}, "steps is 1000000000: must be"),
    ({"batch": 0}, "batch is 0: must be 1 to 256"),
    ({"batch": "16"}, 'batch is "16": must be a whole number'),
    ({"lr": float("nan")}, "lr is nan: must be a finite number"),
    ({"lr": -1.0}, "lr is -1.0: must be"),
    ({"lr": "fast"}, 'lr is "fast": must be a number'),
    ({"warmup": 2.0}, "warmup is 2.0: must be 0 to 1"),
    ({"tokens": 600}, "tokens"),
    ({"seed": -1}, "seed is -1"),
    ({"dtype": "float64"}, 'dtype is "float64": must be one of auto, float32'),
    ({"optimizer": "adam"}, 'optimizer is "adam": must be one of adamw'),
    ({"trust_remote_code": True}, 'unknown key "trust_remote_code"'),
    ({"learning_rate": 1e-3}, 'unknown key "learning_rate"'),
])
def test_bad_input_names_the_value_and_the_way_out(changes: dict[str, object], words: str) -> None:
    with pytest.raises(LabError) as caught:
        spec(**changes)
    assert words in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "null", "3", '{"model": "minilm-l6"}', '{"method": "lora"}', "{", "[" * 100_000, "\ud800" * 3])
def test_broken_json_is_said(text: str) -> None:
    with pytest.raises((LabError, UnicodeEncodeError)) as caught:
        RunSpec.from_json(text)
    assert str(caught.value)


def test_a_huge_spec_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "spec.json"
    path.write_bytes(b'{"model": "' + b"x" * 10_000_000 + b'"}')
    with pytest.raises(LabError, match="at most 64,000"):
        RunSpec.read(path)
    with pytest.raises(LabError, match="cannot read"):
        RunSpec.read(tmp_path / "missing.json")
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(LabError, match="not text"):
        RunSpec.read(path)


def test_a_method_may_fix_keys_of_the_spec() -> None:
    made = RunSpec.parse({"model": "smollm2-135m", "method": "in_context"})
    assert made.steps == 0
    with pytest.raises(LabError, match="steps is 60: In-context learning fixes it at 0"):
        RunSpec.parse({"model": "smollm2-135m", "method": "in_context", "steps": 60})


VALUES = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
                      lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3), max_leaves=6)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from([*RunSpec.model_fields, "x"]), VALUES, max_size=5),
       st.dictionaries(st.sampled_from(["rank", "targets", "alpha", "y"]), VALUES))
@pytest.mark.slow
def test_anything_at_all_is_a_spec_or_a_clear_error(data: dict[str, object], knobs: dict[str, object]) -> None:
    for tried in (data, {**LORA, **data}, {**LORA, "method": {"name": "lora", **knobs}}):
        try:
            RunSpec.parse(tried)
        except LabError as error:
            assert str(error) and "Traceback" not in str(error)


@pytest.mark.parametrize(("task", "words"), [("movies", "Classify the sentiment"), ("headline", "Classify the sentiment"), ("short_qa", "Answer the question"),
                                             ("new_facts", "Complete the sentence")])
def test_a_prefix_starts_from_words_that_fit_the_task_where_none_was_recorded(task: str, words: str) -> None:
    """Runs on headlines were recorded from the sentiment's words: equal runs stay equal."""
    asked = {"model": "seed-llama", "task": task}
    spec = RunSpec.parse({**asked, "method": "prefix_tuning"})
    assert spec.method.text.startswith(words) and RunSpec.from_json(spec.to_json()) == spec
    assert RunSpec.parse({**asked, "method": {"name": "prefix_tuning", "text": "mine"}}).method.text == "mine"
    assert RunSpec.parse({**asked, "method": {"name": "prompt_tuning", "init": "text"}}).method.text.startswith(words)
    untold = RunSpec.parse({**asked, "method": {"name": "prompt_tuning", "init": "random"}}).method
    assert untold.text == type(untold)().text, "what counts for nothing stays as it was"
