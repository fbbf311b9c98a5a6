"""What a soft prompt does: each measure against the same thing done by hand, on seeded models; end to end on the real ones."""
from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from lab.contracts import LabError
from lab.engine import look
from lab.engine.job import prepare
from lab.engine.scoring import finished
from lab.engine.specimen import Opened
from lab.events import Failed, fold
from lab.lens import Look, Probe, made, of_kind
from lab.lenses import _attention, _effect, _prompt, _ranked
from lab.lenses._vocabulary import vocabulary
from lab.lenses.cliff_walk import half
from lab.spec import RunSpec

DECODERS = ("seed-llama", "seed-gpt2", "seed-neox", "seed-opt", "seed-qwen2")
PLACES = ("front", "middle", "end")
N = 3
KNOBS: dict[str, dict[str, Any]] = {
    "cliff_walk": {"points": 3, "items": 10}, "knock_out": {"items": 10, "shuffles": 3}, "label_words": {"sets": 50}, "attention_mass": {"items": 5},
    "prefix_norms": {"items": 5}, "blind_reader": {},
}


@pytest.fixture
def opened(workshop: Any) -> Callable[..., Opened]:
    """A run that trains, as a lens meets it, with its trained tensors moved away from their start."""

    def make(model: str, method: Any = "prompt_tuning", moved: bool = True, **changes: Any) -> Opened:
        method = {"name": method, "virtual_tokens": N} if isinstance(method, str) else method
        spec = RunSpec.parse({"model": model, "task": "toy", "method": method, "dtype": "float32", "eval_items": 24, **changes})
        job = finished(prepare(spec, workshop, plainly=True))
        draw = torch.Generator().manual_seed(1)
        for weight in job.trained() if moved else ():
            weight.data += 0.3 * torch.randn(weight.shape, generator=draw)
        return Opened(job)

    return make


def seen(specimen: Opened, key: str, **knobs: Any) -> Any:
    return finished(made(key, {**KNOBS[key], **knobs}, Probe).look(specimen))


def at(position: str) -> dict[str, Any]:
    return {"name": "prompt_tuning", "virtual_tokens": N, "position": position}


# ── attention ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def by_hand(specimen: Opened, position: str) -> tuple[Any, int]:
    """What the untouched base makes of the first text with the vectors put in where they belong, and where the first of them stands."""
    ids = torch.tensor(specimen.texts(1)[0].ids)
    where = {"front": 0, "middle": len(ids) // 2, "end": len(ids)}[position]
    words, prompt = specimen.base.get_input_embeddings()(ids), _prompt.vectors(specimen.module)
    together = torch.cat([words[:where], prompt, words[where:]]).unsqueeze(0)
    base = copy.deepcopy(specimen.base).eval()
    base.set_attn_implementation("eager")
    with torch.no_grad():
        return base(inputs_embeds=together, attention_mask=torch.ones(together.shape[:2], dtype=torch.long),
                    output_attentions=True, output_hidden_states=True), where


@pytest.mark.parametrize("position", PLACES)
@pytest.mark.parametrize("model", DECODERS)
def test_a_decoders_attention_is_that_of_the_sequence_put_together_by_hand(model: str, position: str, opened: Any) -> None:
    specimen = opened(model, at(position))
    output, where = by_hand(specimen, position)
    found = seen(specimen, "attention_mass", items=1)
    for layer, (told, weights) in enumerate(zip(found["layers"], output.attentions, strict=True)):
        expected = weights[0].mean(0)[-1]
        assert told["layer"] == layer and told["mass"] == pytest.approx(expected[where:where + N].tolist(), rel=1e-2)
        assert told["words"] == pytest.approx(float(expected.sum() - expected[where:where + N].sum()), rel=1e-2)
    assert found["even"] == pytest.approx(1 / output.attentions[0].shape[-1], rel=1e-3)


@pytest.mark.parametrize("position", PLACES)
@pytest.mark.parametrize("model", ["seed-bert", "seed-distilbert"])
def test_an_encoders_attention_is_the_mean_over_its_real_words(model: str, position: str, opened: Any) -> None:
    specimen = opened(model, at(position))
    output, where = by_hand(specimen, position)
    real = [place for place in range(output.attentions[0].shape[-1]) if not where <= place < where + N]
    for told, weights in zip(seen(specimen, "attention_mass", items=1)["layers"], output.attentions, strict=True):
        assert told["mass"] == pytest.approx(weights[0].mean(0)[real].mean(0)[where:where + N].tolist(), rel=1e-2)


def test_an_encoder_decoders_answer_looks_at_the_prompt_across_the_stacks(opened: Any) -> None:
    specimen = opened("seed-t5")
    base, prompt = specimen.base, _prompt.vectors(specimen.module)
    words = base.get_input_embeddings()(torch.tensor(specimen.texts(1)[0].ids))
    with torch.no_grad():
        output = base(inputs_embeds=torch.cat([prompt, words]).unsqueeze(0), decoder_input_ids=torch.tensor([[base.config.decoder_start_token_id]]),
                      output_attentions=True)
    layers = seen(specimen, "attention_mass", items=1)["layers"]
    assert [told["layer"] for told in layers] == list(range(specimen.shape.encoder_layers, specimen.shape.layers))
    for told, weights in zip(layers, output.cross_attentions, strict=True):
        assert told["mass"] == pytest.approx(weights[0].mean(0)[0, :N].tolist(), rel=1e-2)


@pytest.mark.parametrize("model", ["seed-llama", "seed-gpt2", "seed-qwen2"])
def test_a_prefix_that_is_a_text_is_looked_at_as_the_text_would_be(model: str, opened: Any) -> None:
    """Such a prefix starts as the keys and values of its words, so the base that reads these words first has the same attention."""
    words = "good or bad"
    specimen = opened(model, {"name": "prefix_tuning", "virtual_tokens": N, "init": "text", "text": words}, moved=False)
    ids = specimen.tokenizer(words, add_special_tokens=False)["input_ids"][:N] + list(specimen.texts(1)[0].ids)
    base = copy.deepcopy(specimen.base).eval()
    base.set_attn_implementation("eager")
    with torch.no_grad():
        output = base(input_ids=torch.tensor([ids]), output_attentions=True)
    for told, weights in zip(seen(specimen, "attention_mass", items=1)["layers"], output.attentions, strict=True):
        assert told["mass"] == pytest.approx(weights[0].mean(0)[-1, :N].tolist(), rel=1e-2)


@pytest.mark.parametrize("model", ["seed-llama", "seed-bert", "seed-opt"])
def test_fused_attention_is_written_out_for_the_look_only(model: str, opened: Any) -> None:
    fused, eager = (opened(model, attention=how) for how in ("sdpa", "eager"))
    both = [seen(specimen, "attention_mass")["layers"] for specimen in (fused, eager)]
    for one, other in zip(*both, strict=True):
        assert one["mass"] == pytest.approx(other["mass"], rel=2e-2)
    assert {part.config._attn_implementation for part in fused.module.modules() if hasattr(getattr(part, "config", None), "_attn_implementation")} == {"sdpa"}


def test_padding_takes_no_part(opened: Any) -> None:
    """Texts of different length in one batch have the mean of what each has alone."""
    specimen = opened("seed-llama", at("end"))
    rows = [min(specimen.texts(24), key=lambda row: len(row.ids)), max(specimen.texts(24), key=lambda row: len(row.ids))]
    assert len(rows[0].ids) < len(rows[1].ids)
    together = _attention.add(None, specimen, specimen.module, next(specimen.batches(rows)))
    alone = [_attention.add(None, specimen, specimen.module, next(specimen.batches([row]))) for row in rows]
    torch.testing.assert_close(together.mean, (alone[0].mean + alone[1].mean) / 2)
    assert together.even == pytest.approx(alone[0].even + alone[1].even)


# ── words at the places of a prompt ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("position", PLACES)
@pytest.mark.parametrize("model", DECODERS)
def test_behind_the_last_block_the_lens_says_what_the_model_says(model: str, position: str, opened: Any) -> None:
    specimen = opened(model, at(position))
    batch = next(specimen.batches(specimen.texts(1 if position == "front" else _attention.LENS_TEXTS)))
    chances = specimen.run(specimen.module, batch).logits.float().softmax(-1)
    rows, places = torch.arange(len(chances)).unsqueeze(1), _attention.virtual(specimen, batch)
    expected = chances[rows, places].mean(0).max(1)
    last = [line[-1] for line in _attention.words_at_places(specimen, specimen.module)]
    assert [token for _, token, _ in last] == expected.indices.tolist()
    assert [chance for *_, chance in last] == pytest.approx(expected.values.tolist(), rel=1e-4)


def test_behind_the_first_block_it_says_what_a_model_of_one_block_would(opened: Any) -> None:
    specimen = opened("seed-llama")
    short = copy.deepcopy(specimen.base).eval()
    short.model.layers = short.model.layers[:1]
    with torch.no_grad():
        chances = short(inputs_embeds=_prompt.vectors(specimen.module).unsqueeze(0)).logits[0].softmax(-1)
    first = [line[0] for line in _attention.words_at_places(specimen, specimen.module)]
    assert [layer for layer, *_ in first] == [0] * N
    assert [token for _, token, _ in first] == chances.argmax(1).tolist()
    assert [chance for *_, chance in first] == pytest.approx(chances.max(1).values.tolist(), rel=1e-4)


def test_many_vectors_are_told_of_fewer_blocks(opened: Any) -> None:
    assert _attention._spaced(30, 20) == list(range(30))
    few = _attention._spaced(30, 200)
    assert len(few) == 4 and few[0] == 0 and few[-1] == 29
    lens = seen(opened("seed-llama", {"name": "prompt_tuning", "virtual_tokens": 200}), "attention_mass", items=2)["lens"]
    assert len(lens) == 200 and len(lens[0]["layers"]) == 2


# ── prefixes ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_lengths_of_words_are_those_of_what_the_layers_give(opened: Any) -> None:
    """Keys are turned by their position in a Llama, which keeps their length."""
    specimen = opened("seed-llama", "prefix_tuning")
    rows, given = specimen.texts(5), {}
    handles = [part.register_forward_hook(lambda layer, inputs, output, name=name: given.setdefault(name, []).append(output))
               for name, part in specimen.base.named_modules() if name.endswith(("k_proj", "v_proj"))]
    batch = next(specimen.batches(rows))
    specimen.run(specimen.base, batch)
    for handle in handles:
        handle.remove()
    for cell in seen(specimen, "prefix_norms")["cells"]:
        outputs = given[f"model.layers.{cell['layer']}.self_attn.{'k' if cell['role'] == 'key' else 'v'}_proj"]
        assert cell["base_norm"] == pytest.approx(float(outputs[0][batch.mask.bool()].norm(dim=1).mean()), rel=1e-3)


@pytest.mark.parametrize("model", ["seed-bert", "seed-llama", "seed-gpt2", "seed-t5"])
def test_a_prefix_of_known_lengths_is_told_so(model: str, opened: Any) -> None:
    specimen = opened(model, "prefix_tuning")
    table = specimen.module.prompt_encoder["default"].embedding.weight
    blocks = specimen.shape.layers - specimen.shape.encoder_layers
    lengths = torch.arange(1, 2 * blocks + 1).float()
    width = table.shape[1] // len(lengths)
    table.data = (lengths / width ** 0.5).repeat_interleave(width).expand(N, -1).clone()
    cells = seen(specimen, "prefix_norms")["cells"]
    assert [cell["norm"] for cell in cells] == pytest.approx(lengths.tolist(), rel=1e-3)
    assert [cell["role"] for cell in cells] == ["key", "value"] * blocks
    assert all(cell["before"] != pytest.approx(cell["norm"], rel=1e-2) for cell in cells[1:]) and all(cell["base_norm"] > 0 for cell in cells)


@pytest.mark.parametrize("which", ["lower", "upper"])
@pytest.mark.parametrize("model", ["seed-bert", "seed-llama"])
def test_a_prefix_in_half_of_the_blocks_is_seen_there_only(model: str, which: str, opened: Any) -> None:
    specimen = opened(model, {"name": "prefix_tuning", "virtual_tokens": N, "which": which})
    chosen, layers = list(specimen.spec.method.blocks(specimen.shape)), specimen.shape.layers
    assert sorted({cell["layer"] for cell in seen(specimen, "prefix_norms")["cells"]}) == chosen and len(chosen) < layers
    for layer in seen(specimen, "attention_mass")["layers"]:
        assert (sum(layer["mass"]) > 0) == (layer["layer"] in chosen)


# ── with other vectors, and with none ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("position", PLACES)
def test_the_walk_goes_from_the_words_to_the_prompt(position: str, opened: Any) -> None:
    specimen = opened("seed-llama", at(position))
    kept = [weight.clone() for weight in specimen.module.parameters()]
    found = seen(specimen, "cliff_walk", points=5)
    prompt, words = _prompt.vectors(specimen.module), vocabulary(specimen)
    near = torch.stack([words.rows([line[0].token])[0] for line in words.nearest(prompt, 1, ("centred",))["centred"]])
    for place, given in ((0, near), (2, (near + prompt) / 2), (4, prompt)):
        with _prompt.replaced(specimen.module, given):
            assert found["walk"][place]["loss"] == pytest.approx(finished(specimen.scored(items=10)).loss, abs=1e-4)
    assert found["none"]["loss"] == pytest.approx(finished(specimen.scored(specimen.base, 10)).loss, abs=1e-4)
    assert found["gain"]["loss"] == pytest.approx(found["none"]["loss"] - found["walk"][-1]["loss"], abs=2e-4)
    assert all(torch.equal(one, other) for one, other in zip(kept, specimen.module.parameters(), strict=True))


@pytest.mark.parametrize(("losses", "none", "expected"), [
    ([1.0, 1.0, 0.5, 0.0], 1.0, 2 / 3), ([1.0, 0.25, 0.0], 1.0, 1 / 3), ([0.2, 0.1, 0.0], 1.0, None), ([0.0, 0.0, 1.0], 0.5, None),
    ([0.0, 9.0, 0.0, 0.0], 1.0, 2 / 3 - 0.5 / 9 / 3)])
def test_half_of_the_gain_is_found_from_the_trained_end(losses: list[float], none: float, expected: float | None) -> None:
    walk = [{"a": place / (len(losses) - 1), "loss": loss} for place, loss in enumerate(losses)]
    assert half(walk, none) == (None if expected is None else pytest.approx(expected, abs=1e-3))


def test_a_prompt_of_words_stands_on_no_cliff(opened: Any) -> None:
    specimen = opened("seed-llama")
    words = vocabulary(specimen)
    with _prompt.replaced(specimen.module, words.rows(words.ids[:N])):
        found = seen(specimen, "cliff_walk")
    assert len({place["loss"] for place in found["walk"]}) == 1 and found["words"] == [words.shown(int(token)) for token in words.ids[:N]]


@pytest.mark.parametrize("position", ["front", "end", "added"])
@pytest.mark.parametrize("model", ["seed-llama", "seed-bert"])
def test_without_the_prompt_the_other_parts_stay(model: str, position: str, opened: Any) -> None:
    """A combination's LoRA alone, put together from the combination's own matrices."""
    both = opened(model, {"name": "stack", "parts": [at(position), {"name": "lora", "rank": 2}]})
    alone = opened(model, {"name": "lora", "rank": 2}, moved=False)
    matrices = [weight for name, weight in both.module.named_parameters() if "lora_" in name]
    for own, other in zip([weight for name, weight in alone.module.named_parameters() if "lora_" in name], matrices, strict=True):
        own.data = other.data.clone()
    if both.head is not None:
        alone.head.load_state_dict(both.head.state_dict())
    whole, lora, base = finished(both.scored()).logits, finished(alone.scored()).logits, finished(both.scored(both.base)).logits
    with _effect.unprompted(both) as module:
        torch.testing.assert_close(finished(both.scored(module)).logits, lora)
    assert not torch.allclose(lora, base, atol=1e-4) and not torch.allclose(lora, whole, atol=1e-4)
    torch.testing.assert_close(finished(both.scored()).logits, whole)


@pytest.mark.parametrize("method", [at("front"), at("middle"), at("added"), "p_tuning", "multitask_prompt"], ids=str)
@pytest.mark.parametrize("model", ["seed-llama", "seed-bert"])
def test_a_vector_that_says_nothing_already_is_not_missed(model: str, method: Any, opened: Any) -> None:
    specimen = opened(model, method)
    prompt = _prompt.vectors(specimen.module)
    nothing = torch.zeros(prompt.shape[1]) if isinstance(method, dict) and method["position"] == "added" else vocabulary(specimen).mean
    changed = prompt.clone()
    changed[1] = nothing
    with _prompt.replaced(specimen.module, changed):
        found = seen(specimen, "knock_out")
        told = found["positions"]
        assert [each["position"] for each in told] == list(range(N))
        assert told[1]["rise"] == 0 and told[1]["standard_error"] == 0
    changed[0] = nothing
    with _prompt.replaced(specimen.module, changed):
        scored = finished(specimen.scored(items=10))
    assert told[0]["loss"] == pytest.approx(scored.loss, abs=1e-4)
    assert told[0]["loss"] != found["loss"]


def test_random_orders_are_orders_of_the_same_vectors(opened: Any) -> None:
    """With equal vectors every order is the trained one."""
    specimen = opened("seed-llama")
    prompt = _prompt.vectors(specimen.module)
    assert len(set(seen(specimen, "knock_out", shuffles=12)["shuffled"]["losses"])) > 1
    with _prompt.replaced(specimen.module, prompt[:1].expand(N, -1)):
        found = seen(specimen, "knock_out")
    assert set(found["shuffled"]["losses"]) == {found["loss"]} and found["shuffled"]["low"] == found["shuffled"]["high"] == found["loss"]


def test_one_vector_has_no_order(opened: Any) -> None:
    found = seen(opened("seed-llama", {"name": "prompt_tuning", "virtual_tokens": 1}), "knock_out")
    assert found["shuffled"] == {"mean": None, "low": None, "high": None, "losses": []} and len(found["positions"]) == 1
    assert len(made("knock_out", {}).says(found)) == 1


# ── label words ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_reciprocal_ranks_are_those_of_a_full_sort(opened: Any) -> None:
    specimen = opened("seed-bert")
    words, prompt = vocabulary(specimen), _prompt.vectors(specimen.module)
    rows = words.table[words.allowed]
    centred = torch.nn.functional.cosine_similarity((prompt - rows.mean(0)).unsqueeze(1), (rows - rows.mean(0)).unsqueeze(0), dim=2)
    expected = 1 / ((centred.unsqueeze(1) > centred.unsqueeze(2)).sum(2) + 1)  # (n, considered)
    found = _ranked.closeness(words, prompt, torch.arange(len(rows)))
    assert float((found - expected).abs().max()) < 1e-3


@pytest.mark.parametrize("model", ["seed-bert", "seed-llama"])
def test_a_prompt_of_label_words_is_recognised_and_one_of_others_is_not(model: str, opened: Any) -> None:
    specimen = opened(model, {"name": "prompt_tuning", "virtual_tokens": 4})
    words, task = vocabulary(specimen), specimen.spec.goal
    tokens = [specimen.tokenizer(word if specimen.shape.writes else word.strip(), add_special_tokens=False)["input_ids"][0] for word in task.words]
    with _prompt.replaced(specimen.module, words.rows(tokens * 2)):
        found = seen(specimen, "label_words", sets=200)
    assert [line[place] for line, place in zip(found["heat"], (0, 1, 0, 1), strict=True)] == [1.0] * 4
    assert found["percentile"] > 99 and found["p"] <= 0.05 and found["mean"] > found["before"] and found["words"] == [words.shown(token) for token in tokens]
    with _prompt.replaced(specimen.module, -words.offsets(words.rows(tokens * 2)) + words.mean):  # as far from them as can be
        heat = seen(specimen, "label_words", sets=200)["heat"]
    assert [line[place] for line, place in zip(heat, (0, 1, 0, 1), strict=True)] == pytest.approx([1 / words.considered] * 4, rel=1e-2)


def test_equally_common_words_are_near_in_the_vocabulary_and_not_the_labels(opened: Any) -> None:
    words = vocabulary(opened("seed-bert"))
    own = [20, 40]
    drawn = _ranked.as_common(words, own, 300, torch.Generator().manual_seed(0))
    assert drawn.shape == (300, 2) and not set(drawn.flatten().tolist()) & set(own)
    assert int((drawn - torch.tensor(own)).abs().max()) <= _ranked.WINDOW


def test_a_task_without_label_words_is_refused() -> None:
    spec = RunSpec.parse({"model": "smollm2-135m", "task": "headline", "method": "prompt_tuning"})
    fits = of_kind(Probe)["label_words"].applies(spec)
    assert not fits.ok and "no label words" in fits.reason


# ── blind reader ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_right_list_is_the_prompts_own_and_its_place_is_drawn(opened: Any) -> None:
    specimen = opened("seed-llama", {"name": "prompt_tuning", "virtual_tokens": 12})
    words, prompt = vocabulary(specimen), _prompt.vectors(specimen.module)
    own = [line[0].text for line in words.nearest(prompt, 1, ("centred",))["centred"]]
    before = [line[0].text for line in words.nearest(_prompt.vectors(specimen.before), 1, ("centred",))["centred"]]
    rounds = [seen(specimen, "blind_reader", seed=seed) for seed in range(12)]
    for found in rounds:
        assert sorted(found["kinds"]) == ["direction", "init", "noise", "permuted", "trained"] and found["kinds"][found["answer"]] == "trained"
        assert found["lists"][found["answer"]] == own and found["lists"][found["kinds"].index("init")] == before
        assert all(len(line) == 12 for line in found["lists"])
        assert found["alike"] == [found["answer"]]
    assert len({found["answer"] for found in rounds}) > 2
    assert seen(specimen, "blind_reader", seed=3) == rounds[3]


def test_a_prompt_that_still_reads_as_it_began_has_two_right_answers(opened: Any) -> None:
    specimen = opened("seed-llama", moved=False)
    found = seen(specimen, "blind_reader")
    assert found["same"] == 1 and sorted(found["kinds"][place] for place in found["alike"]) == ["init", "trained"]
    assert "either is right" in made("blind_reader", {}).says(found)[0] and "2 in 5" in made("blind_reader", {}).says(found)[0]


def test_words_that_do_worse_than_no_prompt_keep_nothing() -> None:
    value = {"walk": [{"a": 0.0, "loss": 0.9}, {"a": 1.0, "loss": 0.4}], "half": 0.3, "gain": {"loss": 0.1, "standard_error": 0.01}, "none": {"loss": 0.5},
             "items": 100}
    assert "no better than without a prompt" in made("cliff_walk", {}).says(value)[0]
    assert "keep 50% of it" in made("cliff_walk", {}).says({**value, "walk": [{"a": 0.0, "loss": 0.45}, {"a": 1.0, "loss": 0.4}]})[0]
    assert "cannot tell from nothing" in made("cliff_walk", {}).says({**value, "gain": {"loss": 0.1, "standard_error": 0.1}})[0]


# ── all of them ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def folders(workshop: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str, str], Path]]:
    """Finished runs, each trained once."""
    from lab.engine import train

    made_already: dict[str, Path] = {}

    def folder(model: str, method: str) -> Path:
        settings = {"name": method, "virtual_tokens": 4}
        spec = RunSpec.parse({"model": model, "task": "toy", "method": settings, "steps": 2, "batch": 4, "eval_items": 12, "eval_every": 0, "dtype": "float32"})
        if spec.fingerprint not in made_already:
            made_already[spec.fingerprint] = tmp_path_factory.mktemp("run")
            events = list(train(spec, workshop, out=made_already[spec.fingerprint]))
            assert not isinstance(events[-1], Failed), events[-1].detail
        return made_already[spec.fingerprint]

    yield folder


RUNS = [(model, method) for model in ("seed-bert", "seed-llama", "seed-t5") for method in ("prompt_tuning", "p_tuning", "multitask_prompt", "prefix_tuning")
        if (model, method) != ("seed-t5", "multitask_prompt")]


@pytest.mark.parametrize(("model", "method"), [
    pytest.param(*pair, marks=[] if pair in (("seed-llama", "prompt_tuning"), ("seed-bert", "prefix_tuning")) else pytest.mark.slow) for pair in RUNS])
@pytest.mark.parametrize("key", KNOBS)
def test_a_finished_run_is_looked_at_or_the_reason_told(key: str, model: str, method: str, folders: Any, workshop: Any) -> None:
    kind = of_kind(Probe)[key]
    ended = fold(look(Look(run="x", lens=key, knobs=KNOBS[key]), folders(model, method), workshop))
    value = ended.seen(key)
    if key == "prefix_norms" if method != "prefix_tuning" else key not in ("prefix_norms", "attention_mass"):
        assert value is None and ("no nearest token" in ended.reason or "no prefix" in ended.reason)
        return
    assert ended.state == "finished" and json.loads(json.dumps(value)) == value
    table = kind.table(value)
    assert table.rows and all(len(row) == len(table.columns) for row in table.rows)
    assert kind.says(value) and all(sentence.endswith(".") for sentence in kind.says(value))


def test_a_method_without_a_prompt_is_told_why() -> None:
    spec = RunSpec.parse({"model": "seed-bert", "method": "lora"})
    for key in KNOBS:
        fits = of_kind(Probe)[key].applies(spec)
        assert not fits.ok and ("no soft prompt" in fits.reason or "no prefix" in fits.reason)


def test_a_label_that_no_word_stands_behind_is_refused(opened: Any) -> None:
    specimen = opened("seed-bert")
    vocabulary(specimen).allowed[:] = False
    with pytest.raises(LabError, match="no word stands behind"):
        seen(specimen, "label_words")
