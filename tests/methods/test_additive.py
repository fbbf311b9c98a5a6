"""Methods that put something new into a frozen model, each against the paper's equation in plain torch."""
from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from lab.contracts import Base, LabError
from lab.engine import bases
from lab.engine.job import Job, prepare
from lab.exhibits import bottleneck as bottleneck_exhibit
from lab.exhibits import prompt_tuning as prompt_exhibit
from lab.spec import RunSpec

MODELS = ("seed-bert", "seed-llama")


@pytest.fixture
def made(workshop: Any, finish: Any) -> Any:
    """A job with the method attached to a seeded model, in eval mode, its trained tensors moved a little from their start."""

    def make(method: Any, model: str, moved: bool = True, **changes: Any) -> Job:
        spec = RunSpec.parse({"model": model, "task": "toy", "method": method, "dtype": "float32", **changes})
        job = finish(prepare(spec, workshop))[1]
        job.module.eval()
        if moved:
            draw = torch.Generator().manual_seed(1)
            for weight in job.trained():
                weight.data += 0.1 * torch.randn(weight.shape, generator=draw)
        return job

    return make


@torch.no_grad()
def asked(module: Any, job: Job, rows: int = 6) -> torch.Tensor:
    """(rows, tokens, …) features or logits at the texts' own positions, padding cut to 0."""
    batch = job.batch(job.texts.test[:rows])
    out = module(input_ids=batch.ids, attention_mask=batch.mask)[0]
    return out[:, -batch.mask.shape[1]:] * batch.mask.unsqueeze(-1)


def pristine(job: Job) -> Any:
    """A copy of the base that may be written to."""
    module = bases.fresh(job.pristine)
    bases.unshare(module, job.pristine, everything=True)
    return module


# ── bottleneck adapters ───────────────────────────────────────────────────────────────────────────────────────────────


def adapters(job: Job) -> dict[str, Any]:
    return {name.removesuffix(".adapter"): part for name, part in job.module.named_modules() if name.endswith(".adapter")}


def exhibit_of(adapter: Any) -> bottleneck_exhibit.Bottleneck:
    found = bottleneck_exhibit.Bottleneck(adapter.down.in_features, adapter.down.out_features)
    found.load_state_dict(adapter.state_dict())
    return found


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("method", ["houlsby", "pfeiffer"])
def test_the_exhibit_behind_its_layers_is_what_the_lab_runs(method: str, model: str, made: Any) -> None:
    job = made({"name": method, "activation": "gelu"}, model)
    plain, places = pristine(job), adapters(job)
    assert len(places) == {"houlsby": 2, "pfeiffer": 1}[method] * job.spec.shape.layers
    for name, adapter in places.items():
        bottleneck_exhibit.behind(plain.get_submodule(name), exhibit_of(adapter))
    torch.testing.assert_close(asked(plain, job), asked(job.module, job))


@pytest.mark.parametrize("model", MODELS)
def test_the_exhibit_beside_the_feed_forward_part_is_the_parallel_adapter(model: str, made: Any) -> None:
    job = made({"name": "parallel", "activation": "gelu", "scale": 2.5}, model)
    plain, first = pristine(job), {linear.layer: linear.module for linear in job.spec.shape.select(("ffn_in",))}
    for last in job.spec.shape.select(("ffn_out",)):
        bottleneck_exhibit.beside(plain.get_submodule(first[last.layer]), plain.get_submodule(last.module), exhibit_of(adapters(job)[last.module]), 2.5)
    torch.testing.assert_close(asked(plain, job), asked(job.module, job))


def test_one_block_with_a_parallel_adapter_by_hand(made: Any) -> None:
    """He et al. 2022, table 1: h ← FFN(x) + s · ReLU(x W_down) W_up, computed with matrices alone."""
    job = made("parallel", "seed-bert")
    block, x = job.module.encoder.layer[1], torch.randn(3, 5, job.spec.shape.width, generator=torch.Generator().manual_seed(2))
    adapter = block.output.dense.adapter
    middle = torch.relu(x @ adapter.down.weight.T + adapter.down.bias)
    ffn = torch.nn.functional.gelu(x @ block.intermediate.dense.weight.T + block.intermediate.dense.bias) @ block.output.dense.weight.T
    expected = ffn + block.output.dense.bias + 4 * (middle @ adapter.up.weight.T + adapter.up.bias)
    found = block.output.dense(block.intermediate(x))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("model", [*MODELS, "seed-gpt2"])
@pytest.mark.parametrize("name", ["houlsby", "pfeiffer", "parallel"])
def test_trained_norms_are_counted_copies_and_come_back(name: str, model: str, made: Any, tmp_path: Path) -> None:
    method = {"name": name, "norms": True, "bottleneck": 3}
    at_first = made(method, model, moved=False)
    assert torch.equal(asked(at_first.module, at_first), asked(at_first.pristine.module, at_first))
    job = made(method, model)
    spec, plain = job.spec, made({**method, "norms": False}, model).spec
    blocks = sum(weight.count for weight in spec.shape.weights if weight.role == "norm" and weight.layer is not None)
    assert spec.counts.by_role["norm"] == blocks and spec.counts.method == plain.counts.method + blocks
    assert sorted(tuple(weight.shape) for weight in job.trained()) == sorted(
        tuple(sizes) for place in spec.method.places(spec.shape) for _, sizes in place.tensors)
    assert plain.fingerprint == made({"name": name, "bottleneck": 3}, model).spec.fingerprint != spec.fingerprint
    everything = {weight.data_ptr(): weight.numel() for weight in job.module.parameters()}
    head = job.learner.head
    assert sum(everything.values()) + (sum(weight.numel() for weight in head.parameters()) if head else 0) == spec.counts.total
    spec.method.format.save(job.module, tmp_path)
    loaded = spec.method.format.load(pristine(job), tmp_path).eval()
    torch.testing.assert_close(asked(loaded, job), asked(job.module, job))
    assert job.pristine.intact


def test_norms_train_in_float32_on_a_base_in_16_bits(made: Any) -> None:
    job = made({"name": "houlsby", "norms": True}, "seed-llama", moved=False, dtype="bfloat16")
    assert {weight.dtype for weight in job.trained()} == {torch.float32}
    assert torch.equal(asked(job.module, job), asked(job.pristine.module, job))


def test_a_copied_model_has_adapters_of_its_own(made: Any) -> None:
    """Hooks of a copy must not call the first model's adapters."""
    job = made("parallel", "seed-llama")
    twin = copy.deepcopy(job.module)
    before = asked(twin, job)
    for weight in job.trained():
        weight.data.zero_()
    assert torch.equal(asked(twin, job), before) and not torch.equal(asked(job.module, job), before)


def test_the_folder_says_where_each_adapter_stands(made: Any, tmp_path: Path) -> None:
    job = made("parallel", "seed-bert")
    job.spec.method.format.save(job.module, tmp_path)
    about = json.loads((tmp_path / "adapters.json").read_text())
    assert about["scale"] == 4 and about["places"]["encoder.layer.0.output.dense"] == "encoder.layer.0.intermediate.dense"


# ── soft prompts ──────────────────────────────────────────────────────────────────────────────────────────────────────


READING = ("seed-bert", "seed-llama", "seed-gpt2", "seed-opt")


def learner_scores(job: Job, rows: Any) -> torch.Tensor:
    with torch.no_grad():
        return job.learner.scores(job.batch(list(rows)))


@pytest.mark.parametrize("model", MODELS)
def test_the_exhibit_is_what_the_lab_runs_for_a_prompt_in_front(model: str, made: Any) -> None:
    job = made({"name": "prompt_tuning", "virtual_tokens": 5}, model)
    batch = job.batch(job.texts.test[:6])
    exhibit = prompt_exhibit.PromptTuning(pristine(job), job.trained()[0])
    with torch.no_grad():
        found = exhibit(batch.ids, batch.mask) * batch.mask.unsqueeze(-1)
    torch.testing.assert_close(found, asked(job.module, job))


@pytest.mark.parametrize("model", ["seed-bert", "seed-llama", "seed-t5"])
def test_vectors_at_random_can_have_the_length_of_words(model: str, made: Any) -> None:
    job = made({"name": "prompt_tuning", "virtual_tokens": 8, "init": "norm_matched"}, model, moved=False)
    table, vectors = job.pristine.module.get_input_embeddings().weight.detach(), job.trained()[0].detach()
    special = set(job.reader.tokenizer.all_special_ids)
    lengths = torch.stack([row.norm() for place, row in enumerate(table[:len(job.reader.tokenizer)]) if place not in special])
    assert torch.allclose(vectors.norm(dim=1), lengths.median(), rtol=1e-4), "as long as the word in the middle"
    alike = torch.nn.functional.cosine_similarity(vectors.unsqueeze(1), vectors.unsqueeze(0), dim=2) - torch.eye(len(vectors))
    assert alike.abs().max() < 0.95, "each points elsewhere"
    twin = made({"name": "prompt_tuning", "virtual_tokens": 8, "init": "norm_matched"}, model, moved=False)
    assert torch.equal(twin.trained()[0], job.trained()[0])


@pytest.mark.parametrize("position", ["middle", "end", "added"])
@pytest.mark.parametrize("model", READING)
def test_a_prompt_elsewhere_is_the_sequence_put_together_by_hand(position: str, model: str, made: Any) -> None:
    """Row by row, without padding: embeddings and vectors in their order through the untouched model."""
    job = made({"name": "prompt_tuning", "virtual_tokens": 4, "position": position}, model)
    base, vectors = job.pristine.module, job.trained()[0].detach()
    expected = []
    for row in job.texts.test[:6]:
        words = base.get_input_embeddings()(torch.tensor(row.ids))
        at = {"middle": len(row.ids) // 2, "end": len(row.ids), "added": 0}[position]
        words = torch.cat([words[:4] + vectors, words[4:]] if position == "added" else [words[:at], vectors, words[at:]])
        with torch.no_grad():
            out = base(inputs_embeds=words.unsqueeze(0))[0][0]
        if job.spec.shape.kind == "decoder":
            expected.append(out[-1, job.learner.answers])
        else:
            text = out if position == "added" else torch.cat([out[:at], out[at + 4:]])
            expected.append(job.learner.head.linear(text.mean(0)).detach())
    torch.testing.assert_close(learner_scores(job, job.texts.test[:6]), torch.stack(expected), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("position", ["middle", "end", "added"])
@pytest.mark.parametrize("model", ["seed-llama", "seed-gpt2", "seed-opt"])
def test_a_decoder_writes_the_same_alone_and_padded_on_the_left(position: str, model: str, made: Any) -> None:
    job = made({"name": "prompt_tuning", "virtual_tokens": 4, "position": position}, model)
    rows = [list(row.ids)[number:] for number, row in enumerate(job.texts.test[:3])]
    longest, pad = max(map(len, rows)), job.pad
    ids = torch.tensor([[*[pad] * (longest - len(row)), *row] for row in rows])
    mask = torch.tensor([[*[0] * (longest - len(row)), *[1] * len(row)] for row in rows])
    how = {"max_new_tokens": 4, "min_new_tokens": 4, "do_sample": False, "use_cache": True, "return_dict_in_generate": True, "output_logits": True,
           "pad_token_id": pad}
    together = torch.stack(job.module.generate(input_ids=ids, attention_mask=mask, **how).logits, 1)
    alone = [torch.stack(job.module.generate(input_ids=torch.tensor([row]), **how).logits, 1) for row in rows]
    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("model", "position"), [(model, position) for model in (*MODELS, "seed-t5") for position in ("middle", "end", "added")
                                                 if (model, position) not in (("seed-t5", "middle"), ("seed-t5", "end"))])
def test_a_prompt_elsewhere_comes_back_from_its_folder(model: str, position: str, made: Any, tmp_path: Path) -> None:
    job = made({"name": "prompt_tuning", "virtual_tokens": 4, "position": position}, model)
    assert sum(weight.numel() for weight in job.trained()) == job.spec.counts.method == 4 * job.spec.shape.width
    expected = learner_scores(job, job.texts.test[:6])
    job.spec.method.format.save(job.module, tmp_path)
    job.learner.module = job.spec.method.format.load(pristine(job), tmp_path).eval()
    torch.testing.assert_close(learner_scores(job, job.texts.test[:6]), expected, rtol=1e-4, atol=1e-6)


def test_added_vectors_start_at_the_base_and_take_no_position(made: Any) -> None:
    for model in MODELS:
        job = made({"name": "prompt_tuning", "position": "added"}, model, moved=False)
        assert torch.equal(asked(job.module, job), asked(job.pristine.module, job))
        assert job.spec.method.virtual_tokens_used() == 0


def test_a_place_that_an_encoder_decoder_does_not_have_is_refused() -> None:
    with pytest.raises(LabError, match="choose front or added"):
        RunSpec.parse({"model": "seed-t5", "task": "toy", "method": {"name": "prompt_tuning", "position": "end"}})


@pytest.mark.parametrize("encoder", ["mlp", "lstm"])
@pytest.mark.parametrize("model", MODELS)
def test_p_tuning_counts_its_network_and_keeps_only_the_vectors(encoder: str, model: str, made: Any, tmp_path: Path) -> None:
    job = made({"name": "p_tuning", "virtual_tokens": 5, "hidden": 6, "encoder": encoder}, model)
    assert sorted(tuple(weight.shape) for weight in job.trained()) == sorted(
        tuple(sizes) for place in job.spec.method.places(job.spec.shape) for _, sizes in place.tensors)
    job.spec.method.format.save(job.module, tmp_path)
    assert {name: tuple(tensor.shape) for name, tensor in load_file(tmp_path / "adapter_model.safetensors").items()} == {
        "prompt_embeddings": (5, job.spec.shape.width)}
    loaded = job.spec.method.format.load(pristine(job), tmp_path).eval()
    torch.testing.assert_close(asked(loaded, job), asked(job.module, job))


def test_a_multitask_prompt_is_the_product_of_its_parts(made: Any) -> None:
    """Wang et al. 2023, equation 2: the shared prompt times u v of the task, number by number."""
    job = made({"name": "multitask_prompt", "virtual_tokens": 5, "rank": 2}, "seed-bert")
    parts = job.module.prompt_encoder["default"]
    prompt = parts.embedding.weight * (parts.prefix_task_cols[0] @ parts.prefix_task_rows[0])
    batch = job.batch(job.texts.test[:6])
    with torch.no_grad():
        found = prompt_exhibit.PromptTuning(pristine(job), prompt.detach())(batch.ids, batch.mask) * batch.mask.unsqueeze(-1)
    torch.testing.assert_close(found, asked(job.module, job))


# ── prefixes ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("projection", [False, True])
@pytest.mark.parametrize("model", ["seed-llama", "seed-gpt2", "seed-opt", "seed-qwen2"])
def test_a_prefix_from_a_text_is_the_model_having_read_it(model: str, projection: bool, made: Any) -> None:
    """The keys and values of a real text: a decoder answers as if the text stood in front; grouped key heads included."""
    method = {"name": "prefix_tuning", "virtual_tokens": 6, "text": "good or bad", "projection": projection, "hidden": 16}
    job = made(method, model, moved=False)
    words = job.reader.tokenizer("good or bad", add_special_tokens=False)["input_ids"]
    read = (words * 6)[:6]
    expected = []
    for row in job.texts.test[:4]:
        with torch.no_grad():
            expected.append(job.pristine.module(input_ids=torch.tensor([[*read, *row.ids]])).logits[0, -1, job.learner.answers])
    torch.testing.assert_close(learner_scores(job, job.texts.test[:4]), torch.stack(expected), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("init", ["zero", "random", "text"])
@pytest.mark.parametrize("projection", [False, True])
def test_every_prefix_counts_what_it_trains_and_comes_back(init: str, projection: bool, made: Any, tmp_path: Path) -> None:
    for model in MODELS:
        folder = tmp_path / model
        folder.mkdir()
        job = made({"name": "prefix_tuning", "init": init, "projection": projection, "virtual_tokens": 3, "hidden": 5}, model)
        assert sorted(tuple(weight.shape) for weight in job.trained()) == sorted(
            tuple(sizes) for place in job.spec.method.places(job.spec.shape) for _, sizes in place.tensors)
        job.spec.method.format.save(job.module, folder)
        loaded = job.spec.method.format.load(pristine(job), folder).eval()
        torch.testing.assert_close(asked(loaded, job), asked(job.module, job))


HALVES = [(model, which) for model in ("seed-bert", "seed-llama", "seed-gpt2", "seed-neox", "seed-opt", "seed-qwen2") for which in ("lower", "upper")]


def cut_off(chosen: Any, n: int) -> Any:
    """Attention that in all other blocks does without the first n keys and values: they are cut off, not masked."""
    def attention(part: Any, query: Any, key: Any, value: Any, mask: Any, scaling: float | None = None, **others: Any) -> Any:
        if part.layer_idx not in chosen:
            key, value, mask = key[:, :, n:], value[:, :, n:], None if mask is None else mask[..., n:]
        found = torch.nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=scaling, enable_gqa=True)
        return found.transpose(1, 2).contiguous(), None

    return attention


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize(("model", "which"), HALVES)
def test_a_prefix_in_half_of_the_blocks_is_one_in_all_that_the_others_do_not_see(model: str, which: str, attention: str, made: Any) -> None:
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import eager_mask

    n = 4
    half = made({"name": "prefix_tuning", "which": which, "virtual_tokens": n}, model, attention=attention)
    job = made({"name": "prefix_tuning", "virtual_tokens": n, "init": "random"}, model)
    layers, chosen = job.spec.shape.layers, half.spec.method.blocks(job.spec.shape)
    assert list(chosen) == list(range(layers))[slice(None, layers // 2) if which == "lower" else slice(layers // 2, None)]
    own, (whole,) = half.trained()[0], job.trained()
    with torch.no_grad():
        whole.view(n, layers, -1)[:, list(chosen)] = own.view(n, len(chosen), -1)
    AttentionInterface.register("cut_off", cut_off(chosen, n))
    AttentionMaskInterface.register("cut_off", eager_mask)
    for part in job.module.modules():
        if hasattr(getattr(part, "config", None), "_attn_implementation"):
            part.config._attn_implementation = "cut_off"
    expected = asked(job.module, job)
    torch.testing.assert_close(asked(half.module, half), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(asked(half.module, half, 1), asked(job.module, job, 1), rtol=1e-4, atol=1e-5, msg="one text, of which nothing is padding")
    whole.data.view(n, layers, -1)[:, [layer for layer in range(layers) if layer not in chosen]] += 1.0
    assert torch.equal(asked(job.module, job), expected), "the reference does not see the other blocks' prefix"


@pytest.mark.parametrize("model", MODELS)
def test_a_prefix_in_half_of_the_blocks_is_counted_moves_and_comes_back(model: str, made: Any, tmp_path: Path) -> None:
    answers = {}
    for which in ("all", "lower", "upper"):
        job = made({"name": "prefix_tuning", "which": which, "virtual_tokens": 3}, model, moved=False)
        shape = job.spec.shape
        share = len(job.spec.method.blocks(shape)) / shape.layers
        whole = RunSpec.parse({**job.spec.to_dict(), "method": {"name": "prefix_tuning", "virtual_tokens": 3}})
        assert job.spec.counts.method == sum(weight.numel() for weight in job.trained()) == share * whole.counts.method
        job.learner.loss(job.batch(job.texts.train[:8])).backward()
        (weight,) = job.trained()
        assert weight.grad.abs().sum(0).all(), "every number of every chosen block is reached"
        with torch.no_grad():
            weight += 0.5 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1))
        answers[which] = asked(job.module, job)
        (tmp_path / which).mkdir()
        job.spec.method.format.save(job.module, tmp_path / which)
        loaded = job.spec.method.format.load(pristine(job), tmp_path / which).eval()
        torch.testing.assert_close(asked(loaded, job), answers[which])
        torch.testing.assert_close(asked(copy.deepcopy(job.module), job), answers[which])
        assert torch.equal(asked(job.module.get_base_model(), job), asked(job.pristine.module, job)), "without the prefix the blocks are the base's"
        assert job.pristine.intact
    assert not torch.allclose(answers["lower"], answers["upper"]) and not torch.allclose(answers["lower"], answers["all"])


def test_a_default_that_came_later_changes_no_fingerprint() -> None:
    usual = RunSpec.parse({"model": "seed-llama", "task": "toy", "method": "prefix_tuning"})
    said = RunSpec.parse({"model": "seed-llama", "task": "toy", "method": {"name": "prefix_tuning", "which": "all"}})
    assert usual.fingerprint == said.fingerprint and "which" not in usual.to_dict()["method"] and usual.method.settings()["which"] == "all"
    half = RunSpec.parse({"model": "seed-llama", "task": "toy", "method": {"name": "prefix_tuning", "which": "lower"}})
    assert half.fingerprint != usual.fingerprint and RunSpec.from_json(half.to_json()) == half and half.to_dict()["method"]["which"] == "lower"


@pytest.mark.parametrize(("model", "knobs", "reason"), [
    ("seed-t5", {}, "hand one table of places and masks"), ("seed-llama", {"projection": True}, "puts out keys and values for all blocks")])
def test_where_half_of_the_blocks_cannot_be_had_it_says_why(model: str, knobs: Any, reason: str) -> None:
    with pytest.raises(LabError, match=reason):
        RunSpec.parse({"model": model, "task": "toy", "method": {"name": "prefix_tuning", "which": "lower", **knobs}})


def test_a_prefix_and_recomputed_blocks_do_not_go_together() -> None:
    with pytest.raises(LabError, match="checkpointing"):
        RunSpec.parse({"model": "seed-llama", "task": "toy", "method": "prefix_tuning", "checkpointing": True})


# ── LLaMA-Adapter ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_gate_of_the_last_block_by_hand(made: Any) -> None:
    """Zhang et al., equations 6 to 8, with the prompt's own softmax times the gate, for the last block of a Llama."""
    job = made({"name": "llama_adapter", "virtual_tokens": 3, "layers": 1}, "seed-llama")
    block = job.module.get_base_model().model.layers[-1]
    part, seen = block.self_attn, {}
    part.register_forward_pre_hook(lambda _, args, inputs: seen.update(inputs), with_kwargs=True)
    part.register_forward_hook(lambda _, args, inputs, out: seen.update(found=out[0]), with_kwargs=True)
    asked(job.module, job)
    inner, x = part.model, seen["hidden_states"]
    with torch.no_grad():
        plain = inner(**{key: value for key, value in seen.items() if key != "found"})[0]
        heads, head = inner.config.num_attention_heads, inner.head_dim
        cos, sin = (turn.unsqueeze(1) for turn in seen["position_embeddings"])
        q = inner.q_proj(x).view(*x.shape[:2], heads, head).transpose(1, 2)
        q = q * cos + torch.cat([-q[..., head // 2:], q[..., :head // 2]], -1) * sin
        k, v = (side(part.adaption_prompt[0]).view(3, -1, head).transpose(0, 1).repeat_interleave(2, 0) for side in (inner.k_proj, inner.v_proj))
        weights = torch.softmax(q @ k.transpose(1, 2) / head ** 0.5, -1)
        expected = plain + part.adaption_gate * inner.o_proj((weights @ v).transpose(1, 2).reshape(x.shape))
    torch.testing.assert_close(seen["found"], expected, rtol=1e-4, atol=1e-5)


def test_gates_train_in_float32_on_a_base_in_16_bits_and_come_back(made: Any, tmp_path: Path) -> None:
    job = made("llama_adapter", "seed-llama", dtype="bfloat16")
    assert {weight.dtype for weight in job.trained()} == {torch.float32}
    job.spec.method.format.save(job.module, tmp_path)
    loaded = job.spec.method.format.load(pristine(job), tmp_path).eval()
    torch.testing.assert_close(asked(loaded, job), asked(job.module, job), rtol=2e-2, atol=2e-2)


# ── combinations ──────────────────────────────────────────────────────────────────────────────────────────────────────


PAIRS = {
    "prompt and lora": ["prompt_tuning", {"name": "lora", "rank": 2}],
    "end prompt and lora": [{"name": "prompt_tuning", "position": "end"}, {"name": "lora", "targets": ["all"]}],
    "prompt and bottleneck": [{"name": "houlsby", "norms": True}, "p_tuning"],
    "bottleneck and lora": [{"name": "parallel", "bottleneck": 3}, {"name": "lora", "targets": ["all"]}],
    "ia3 and bottleneck": ["ia3", "pfeiffer"],
    "all three": [{"name": "multitask_prompt", "rank": 2}, "houlsby", {"name": "lora", "targets": ["output"]}],
}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("parts", PAIRS.values(), ids=PAIRS)
def test_a_combination_adds_up_and_comes_back(parts: list[Any], model: str, made: Any, tmp_path: Path) -> None:
    job = made({"name": "stack", "parts": parts}, model)
    alone = [made(part, model).spec.counts.method for part in parts]
    assert sum(weight.numel() for weight in job.trained()) == job.spec.counts.method == sum(alone)
    loss = job.learner.loss(job.batch(job.texts.train[:8]))
    loss.backward()
    assert all(weight.grad is not None and weight.grad.any() for weight in job.trained())
    expected = learner_scores(job, job.texts.test[:6])
    job.spec.method.format.save(job.module, tmp_path)
    job.learner.module = job.spec.method.format.load(pristine(job), tmp_path).eval()
    torch.testing.assert_close(learner_scores(job, job.texts.test[:6]), expected, rtol=1e-4, atol=1e-5)
    assert job.pristine.intact


def test_each_part_learns_at_its_own_rate(made: Any) -> None:
    job = made({"name": "stack", "parts": ["prompt_tuning", "lora"]}, "seed-bert")
    groups = {len(group["params"]): group["lr"] for group in job.spec.method.groups(job.module, job.spec.lr)}
    own = {1: "prompt_tuning", 2 * 2 * job.spec.shape.layers: "lora"}
    assert groups == pytest.approx({count: made(name, "seed-bert").spec.lr for count, name in own.items()})


@pytest.mark.parametrize(("part", "marks"), [({"name": "lora_plus", "ratio": 5.0}, ("lora_A", "lora_B")), ("vblora", ("logits", "vector_bank"))])
@pytest.mark.parametrize("model", ["seed-bert", "seed-llama"])
def test_a_part_with_several_rates_keeps_them(part: Any, marks: tuple[str, str], model: str, made: Any) -> None:
    """Held against the part alone, at its own default rate; no tensor is in two groups, and none is left out."""
    def rates(job: Any) -> dict[str, float]:
        names = {id(weight): name for name, weight in job.module.named_parameters()}
        return {names[id(weight)]: group["lr"] for group in job.spec.method.groups(job.module, job.spec.lr) for weight in group["params"]}

    job, alone = made({"name": "stack", "parts": ["prompt_tuning", part]}, model), rates(made(part, model))
    together = rates(job)
    groups = job.spec.method.groups(job.module, job.spec.lr)
    assert sum(len(group["params"]) for group in groups) == len(together) == len(job.trained())
    found = []
    for mark in marks:
        own, here = ({rate for name, rate in rated.items() if mark in name} for rated in (alone, together))
        assert len(own) == len(here) == 1, mark
        found.append(here.pop())
        assert found[-1] == pytest.approx(own.pop()), mark
    assert found[0] != found[1]
    twice = {name: 2 * rate for name, rate in together.items()}
    assert rates(made(job.spec.method.settings(), model, lr=2 * job.spec.lr)) == pytest.approx(twice)


def test_a_combination_has_one_dict_form() -> None:
    short = {"model": "seed-llama", "task": "toy", "method": {"name": "stack", "parts": ["prompt_tuning", {"name": "lora", "rank": 2}]}}
    spec = RunSpec.parse(short)
    again = RunSpec.from_json(spec.to_json())
    assert again == spec and again.fingerprint == spec.fingerprint and hash(again.method) == hash(spec.method)
    assert spec.to_dict()["method"]["parts"][1]["rank"] == 2
    usual = RunSpec.parse({**short, "method": "stack"})
    assert usual.fingerprint == RunSpec.parse({**short, "method": {"name": "stack", "parts": ["prompt_tuning", "lora"]}}).fingerprint


@pytest.mark.parametrize(("parts", "message"), [
    (["full", "lora"], "cannot be part of a combination"), (["prompt_tuning", "p_tuning"], "both are prompts"),
    (["lora", "ia3"], "both work on the model's matrices"), (["houlsby", "parallel"], "both are bottleneck adapters"),
    (["stack", "lora"], "cannot be part"), (["in_context", "lora"], "cannot be part"), (["prefix_tuning", "lora"], "cannot be part"),
    (["lora", "nothing"], "unknown method"),
    (["lora", {"name": "pfeiffer", "bottleneck": 0}], "bottleneck is 0"), (["lora", 3], "give each part its name"),
])
def test_nonsense_is_refused_in_words(parts: list[Any], message: str) -> None:
    with pytest.raises(LabError, match=message):
        RunSpec.parse({"model": "seed-llama", "task": "toy", "method": {"name": "stack", "parts": parts}})


# ── fast paths ────────────────────────────────────────────────────────────────────────────────────────────────────────


FAST = ["houlsby", "parallel", *({"name": "prompt_tuning", "position": position} for position in ("middle", "end", "added")),
        "p_tuning", "prefix_tuning", {"name": "prefix_tuning", "which": "upper"}, "multitask_prompt", {"name": "stack", "parts": ["prompt_tuning", "lora"]},
        {"name": "stack", "parts": [{"name": "prompt_tuning", "position": "end"}, "lora"]}]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("method", FAST, ids=str)
def test_fast_paths_change_no_loss(method: Any, model: str, made: Any) -> None:
    """Three steps, each text twice, in the engine's module and in one of the same start that runs as its library wrote it."""
    job = made(method, model)
    for part in job.module.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
    plain = job.spec.method.attach(Base(pristine(job), job.spec.shape, job.reader.tokenizer, job.spec.goal.words)).eval()
    for weight, other in zip((each for each in plain.parameters() if each.requires_grad), job.trained(), strict=True):
        weight.data.copy_(other)
    fast, curves = job.module, []
    for module in (fast, plain):
        job.learner.module, losses = module, []
        optimizer = torch.optim.SGD([weight for weight in module.parameters() if weight.requires_grad], lr=1e-2)
        for rows in (job.texts.train[:6], job.texts.train[6:12], job.texts.train[:6]):
            loss = job.learner.loss(job.batch(rows))
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            losses.append(float(loss.detach()))
        curves.append(losses)
    assert curves[0] == pytest.approx(curves[1], rel=1e-4)


# ── written answers ───────────────────────────────────────────────────────────────────────────────────────────────────


HALF = [{"name": "prefix_tuning", "which": which} for which in ("lower", "upper")]
WRITING = ["prefix_tuning", *HALF, "p_tuning", "multitask_prompt", "llama_adapter", "parallel", {"name": "prompt_tuning", "position": "added"},
           {"name": "stack", "parts": ["prompt_tuning", "lora"]}, {"name": "stack", "parts": [{"name": "prompt_tuning", "position": "added"}, "lora"]}]


@pytest.mark.parametrize(("method", "model"), [(method, model) for model in ("seed-llama", "seed-t5") for method in WRITING
                                               if model != "seed-t5" or method not in ("multitask_prompt", "llama_adapter", *HALF)], ids=str)
def test_writing_word_by_word_is_reading_the_whole(method: Any, model: str, made: Any) -> None:
    """`generate` with its cache gives the logits that one pass over prompt and answer gives."""
    job = made(method, model)
    ids = torch.tensor([job.texts.test[0].ids])
    found = job.module.generate(input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=4, min_new_tokens=4, do_sample=False, use_cache=True,
                                pad_token_id=job.pad, return_dict_in_generate=True, output_logits=True)
    said = found.sequences[:, :-1]
    inputs = {"input_ids": ids, "decoder_input_ids": said} if model == "seed-t5" else {"input_ids": said}
    with torch.no_grad():
        whole = job.module(**inputs, attention_mask=torch.ones_like(inputs["input_ids"]), use_cache=False).logits[:, -4:]
    torch.testing.assert_close(torch.stack(found.logits, 1), whole, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("which", ["lower", "upper"])
def test_writing_with_fused_attention_keeps_half_of_the_blocks_from_the_prefix(which: str, made: Any) -> None:
    """There a single new word comes without a mask."""
    found = []
    for attention in ("eager", "sdpa"):
        job = made({"name": "prefix_tuning", "which": which, "virtual_tokens": 3}, "seed-llama", attention=attention)
        ids = torch.tensor([job.texts.test[0].ids])
        found.append(job.module.generate(input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=4, min_new_tokens=4, do_sample=False,
                                         pad_token_id=job.pad, return_dict_in_generate=True, output_logits=True))
    torch.testing.assert_close(torch.stack(found[0].logits, 1), torch.stack(found[1].logits, 1), rtol=1e-4, atol=1e-5)


def test_a_place_that_moves_while_an_answer_is_written_is_refused() -> None:
    with pytest.raises(LabError, match="need position front or added"):
        RunSpec.parse({"model": "seed-llama", "task": "headline", "method": {"name": "prompt_tuning", "position": "end"}})
