"""Methods that choose among the weights a model already has: which move, how fast, from which step on, and what is put back from a folder."""
from __future__ import annotations

import copy
from collections import OrderedDict
from dataclasses import replace
from math import sqrt
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from lab import catalogue
from lab.accounting.shapes import shape_of
from lab.contracts import Base, Item, LabError
from lab.engine import bases, train
from lab.engine.job import Job, attached, prepare
from lab.events import Finished, fold
from lab.exhibits import pruning
from lab.methods import _parametrized
from lab.spec import RunSpec
from lab.supply.weights import CLASSES

TINY = {"task": "toy", "dtype": "float32", "steps": 8, "batch": 4, "eval_items": 20, "lr": 1e-2}


def spec_for(model: str, method: Any, **changes: Any) -> RunSpec:
    return RunSpec.parse({**TINY, "model": model, "method": method, **changes})


@pytest.fixture
def made(workshop: Any, finish: Any) -> Any:
    return lambda model, method, **changes: finish(prepare(spec_for(model, method, **changes), workshop))[1]


def losses(workshop: Any, spec: RunSpec) -> list[float]:
    events = list(train(spec, workshop))
    assert isinstance(events[-1], Finished), events[-1]
    return [loss for _, loss in fold(events).losses]


def curve(job: Job, pristine: bases.Pristine, kept: dict[bytes, torch.Tensor], checkpointing: bool) -> list[float]:
    """Losses of a few steps and of validation texts in between, with the hooks that the loop calls; blocks that recompute are never fast."""
    spec = job.spec.model_copy(update={"checkpointing": checkpointing})
    learner = attached(spec, pristine, job.reader, "cpu", kept)
    batches = [job.batch(job.texts.train[4 * place:4 * place + 4]) for place in range(3)]
    spec.method.look(learner.module, (learner.loss(batch) for batch in batches))
    learner.module.zero_grad(set_to_none=True)
    optimizer = torch.optim.AdamW(spec.method.groups(learner.module, 1e-2))
    found = []
    for step in range(1, 7):
        spec.method.before_step(learner.module, step)
        loss = learner.loss(batches[step % 3])
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        with torch.no_grad():
            found += [float(loss), float(learner.loss(job.batch(job.texts.validation[:5])))]
    return found


def same_with_and_without_fast_paths(job: Job) -> None:
    """Without dropout, whose draws differ; twice, as the second run reads what the first has kept of frozen blocks."""
    module = bases.fresh(job.pristine)
    for part in module.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
    pristine, kept = replace(job.pristine, module=module), OrderedDict()
    plain = curve(job, pristine, kept, checkpointing=True)
    assert not kept
    for _ in range(2):
        assert curve(job, pristine, kept, checkpointing=False) == pytest.approx(plain, rel=1e-4)


def built(model: str) -> Base:
    """A model of the catalogue's config with random weights, without the engine."""
    shape = shape_of(catalogue.find("models", model).config)
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(**catalogue.find("models", model).config)
    module = getattr(transformers, CLASSES[shape.kind]).from_config(config, **{} if shape.writes else {"add_pooling_layer": False})
    return Base(module.eval(), shape, None, ())


def trained_names(module: Any) -> set[str]:
    return {name for name, weight in module.named_parameters() if weight.requires_grad}


def blocks_that_train(job: Job) -> list[int]:
    spec = job.spec
    return [layer for layer in range(spec.shape.layers)
            if all(weight.requires_grad for weight in job.module.get_submodule(spec.shape.block(layer)).parameters())]


# ── top layers ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("knobs", "trained"), [
    ({"layers": 1}, [-1]), ({"layers": 1, "which": "bottom"}, [0]), ({"which": "chosen", "chosen": "0"}, [0]), ({"which": "chosen", "chosen": [1, 0]}, [0, 1]),
])
@pytest.mark.parametrize("model", ["seed-bert", "seed-llama", "seed-gpt2"])
def test_top_layers_trains_the_blocks_that_were_asked_for(knobs: dict[str, Any], trained: list[int], model: str, made: Any) -> None:
    job = made(model, {"name": "top_layers", **knobs})
    assert blocks_that_train(job) == sorted(layer % job.spec.shape.layers for layer in trained)
    assert job.spec.counts.method == sum(weight.numel() for weight in job.trained())


@pytest.mark.parametrize(("knobs", "reason"), [
    ({"which": "chosen"}, "chosen is empty: list the numbers"), ({"which": "chosen", "chosen": "0, 6"}, "chosen has 6: this model has the blocks 0 to 5"),
    ({"which": "chosen", "chosen": "two"}, "chosen is two: give the numbers of blocks"), ({"which": "chosen", "chosen": [-1]}, "give the numbers of blocks"),
    ({"which": "bottom", "layers": 7}, "layers is 7: this model has 6"),
])
def test_blocks_that_are_not_there_are_said(knobs: dict[str, Any], reason: str) -> None:
    with pytest.raises(LabError, match=reason):
        spec_for("minilm-l6", {"name": "top_layers", **knobs}, task="movies")


@pytest.mark.parametrize("model", [key for key, entry in catalogue.entries("models").items() if entry.seeded and entry.kind in ("encoder", "decoder")])
def test_deeper_blocks_take_smaller_steps(model: str, made: Any) -> None:
    """Of all weights: the last block and what stands behind it at lr, the embeddings deepest, and no tensor twice or never."""
    job = made(model, {"name": "full", "decay": 0.5})
    groups = job.spec.method.groups(job.module, 1.0)
    depth = job.spec.shape.layers
    assert [group["lr"] for group in groups] == [0.5**distance for distance in range(depth + 1)]
    rates = {id(weight): group["lr"] for group in groups for weight in group["params"]}
    assert set(rates) == {id(weight) for weight in job.trained()} and sum(len(group["params"]) for group in groups) == len(rates)
    for layer in range(depth):
        assert {rates[id(weight)] for weight in job.module.get_submodule(job.spec.shape.block(layer)).parameters()} == {0.5**(depth - 1 - layer)}
    assert rates[id(job.module.get_submodule(job.spec.shape.embedding).weight)] == 0.5**depth


def test_without_decay_there_is_one_rate(made: Any) -> None:
    for method in ("full", "top_layers"):
        assert {group["lr"] for group in made("seed-bert", method).spec.method.groups(made("seed-bert", method).module, 0.3)} == {0.3}


@pytest.mark.parametrize("model", ["seed-bert", "seed-llama"])
def test_blocks_join_from_the_top(model: str, made: Any) -> None:
    """Until its step a block has no gradient, does not move and gathers no momentum; in the end all train."""
    job = made(model, {"name": "top_layers", "layers": 2, "unfreeze_every": 3})
    top, below = ([*job.module.get_submodule(job.spec.shape.block(job.spec.shape.layers - place)).parameters()] for place in (1, 2))
    optimizer = torch.optim.AdamW(job.spec.method.groups(job.module, 1e-2), weight_decay=0.1)
    start = [weight.detach().clone() for weight in below]
    for step in range(1, 6):
        job.spec.method.before_step(job.module, step)
        job.learner.loss(job.batch(job.texts.train[:4])).backward()
        assert all(weight.grad is not None for weight in top) and all((weight.grad is None) is (step <= 3) for weight in below)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        assert all(torch.equal(weight, before) is (step <= 3) for weight, before in zip(below, start, strict=True))
        assert all((weight in optimizer.state) is (step > 3) for weight in below)


@pytest.mark.parametrize("model", ["seed-bert", "seed-llama"])
@pytest.mark.parametrize("knobs", [{"unfreeze_every": 2}, {"which": "chosen", "chosen": "0"}, {"which": "bottom", "layers": 1}, {"decay": 0.3}])
def test_fast_blocks_and_kept_values_leave_the_losses_of_top_layers_alone(model: str, knobs: dict[str, Any], made: Any) -> None:
    job = made(model, {"name": "top_layers", **knobs})
    same_with_and_without_fast_paths(job)


# ── biases and norms ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("model", ["seed-bert", "seed-gpt2", "seed-qwen2", "seed-vit"])
def test_bitfit_trains_every_bias_there_is(model: str) -> None:
    """Against the names of the model itself."""
    base = built(model)
    module = catalogue.find("methods", "bitfit")().attach(base)
    assert trained_names(module) == {name for name, _ in module.named_parameters() if name.endswith(".bias")}


@pytest.mark.parametrize(("biases", "ends"), [
    ("query", ("query.bias",)), ("query_and_ffn_in", ("query.bias", "intermediate.dense.bias")), ("norms", ("LayerNorm.bias",)),
    ("attention", ("query.bias", "key.bias", "value.bias", "attention.output.dense.bias")),
])
def test_bitfit_trains_the_biases_that_were_asked_for(biases: str, ends: tuple[str, ...]) -> None:
    base = built("seed-bert")
    expected = {name for name, _ in base.module.named_parameters() if name.endswith(ends)}
    assert trained_names(catalogue.find("methods", "bitfit")(biases=biases).attach(base)) == expected and expected


def test_the_papers_half_of_the_biases_is_less_than_half_the_count() -> None:
    counts = {biases: spec_for("minilm-l6", {"name": "bitfit", "biases": biases}, task="movies").counts.method for biases in ("all", "query_and_ffn_in")}
    layer, width, ffn = 6, 384, 1536
    assert counts == {"all": layer * (5 * width + ffn + 2 * width) + width, "query_and_ffn_in": layer * (width + ffn)}


@pytest.mark.parametrize(("model", "method", "reason"), [
    ("smollm2-135m", "bitfit", "a llama model was made without biases.*try beft"), ("seed-t5", "bitfit", "made without biases"),
    ("qwen2.5-0.5b", {"name": "bitfit", "biases": "ffn"}, "biases is ffn: this model has biases elsewhere"),
    ("smollm2-135m", {"name": "norms", "which": "shifts"}, "RMSNorm, which has gains and no shifts"),
])
def test_what_is_not_there_cannot_train(model: str, method: Any, reason: str) -> None:
    with pytest.raises(LabError, match=reason):
        RunSpec.parse({"model": model, "method": method})


@pytest.mark.parametrize("model", ["seed-bert", "seed-llama", "seed-gpt2", "seed-neox", "seed-opt", "seed-t5", "seed-vit"])
@pytest.mark.parametrize(("which", "end"), [("all", ("weight", "bias")), ("scales", ("weight",))])
def test_norms_trains_every_norm_and_nothing_else(model: str, which: str, end: tuple[str, ...]) -> None:
    base = built(model)
    norms = {name for name, part in base.module.named_modules() if "Norm" in type(part).__name__}
    expected = {f"{name}.{part}" for name in norms for part in end} & {name for name, _ in base.module.named_parameters()}
    assert trained_names(catalogue.find("methods", "norms")(which=which).attach(base)) == expected and expected


@pytest.mark.parametrize("model", ["seed-bert", "seed-llama"])
@pytest.mark.parametrize("method", ["bitfit", "norms"])
def test_blocks_in_which_biases_or_norms_train_are_not_fast(model: str, method: str, made: Any) -> None:
    if (model, method) != ("seed-llama", "bitfit"):
        same_with_and_without_fast_paths(made(model, method))


# ── a mask over the weights ───────────────────────────────────────────────────────────────────────────────────────────


def weight_of(module: Any, name: str) -> torch.Tensor:
    """The frozen weight below the sum."""
    return module.get_submodule(name).parametrizations.weight.original


@pytest.mark.parametrize("model", ["seed-bert", "seed-llama"])
def test_gradients_choose_the_weights_that_a_plain_backward_pass_finds(model: str, made: Any) -> None:
    """Squared gradients of the untouched base on the same batches, from plain autograd on plain parameters."""
    job = made(model, {"name": "sparse", "choose": "gradient", "batches": 3, "share": 0.02})
    job.module.eval()
    batches = [job.batch(job.texts.train[4 * place:4 * place + 4]) for place in range(4)]
    shown = iter(batches)
    job.spec.method.look(job.module, (job.learner.loss(batch) for batch in shown))
    assert next(shown) is batches[3], "it looks at as many batches as it was told to"
    plain = bases.fresh(job.pristine).requires_grad_(True)
    fisher = {name: torch.zeros_like(weight) for name, weight in plain.named_parameters()}
    learner, job.learner.module = job.learner.module, plain
    for batch in batches[:3]:
        job.learner.loss(batch).backward()
        for name, weight in plain.named_parameters():
            fisher[name] += weight.grad**2
        plain.zero_grad()
    job.learner.module = learner
    for linear in job.spec.shape.select(("all",)):
        found = job.module.get_submodule(linear.module).parametrizations.weight[0].places.long()
        scores = fisher[f"{linear.module}.weight"].flatten()
        rest = scores.clone().index_fill(0, found, 0)
        assert len(set(found.tolist())) == len(found) == round(0.02 * scores.numel())
        assert scores[found].min() >= rest.max() * (1 - 1e-4), linear.module
    assert not [name for name, weight in job.module.named_parameters() if weight.requires_grad != name.endswith(".values")]


def test_the_largest_weights_or_any(made: Any) -> None:
    largest = made("seed-bert", {"name": "sparse", "choose": "magnitude"}).module
    for name, _, part in _parametrized.parts(largest):
        size = weight_of(largest, name).abs().flatten()
        assert size[part.places.long()].min() >= size.index_fill(0, part.places.long(), 0).max()
    one, same, other = (made("seed-bert", {"name": "sparse", "choose": "random"}, seed=seed).module for seed in (0, 0, 1))
    drawn = [[part.places.tolist() for _, _, part in _parametrized.parts(module)] for module in (one, same, other)]
    assert drawn[0] == drawn[1] != drawn[2] and all(len(set(places)) == len(places) for places in drawn[0])


def test_a_sparse_step_is_the_step_of_full_fine_tuning_under_a_mask(made: Any) -> None:
    """Plain SGD: the chosen weights move exactly as if all were trained, the others not at all."""
    job = made("seed-gpt2", {"name": "sparse", "choose": "magnitude", "share": 0.05})
    batch, plain = job.batch(job.texts.train[:4]), bases.fresh(job.pristine).requires_grad_(True)
    torch.optim.SGD(job.trained(), lr=1.0).zero_grad()
    job.learner.loss(batch).backward()
    torch.optim.SGD(job.trained(), lr=1.0).step()
    module, job.learner.module = job.learner.module, plain
    job.learner.loss(batch).backward()
    for name, layer, part in _parametrized.parts(module):
        mask = torch.zeros(layer.weight.numel(), dtype=torch.bool).index_fill(0, part.places.long(), True).view_as(layer.weight)
        weight = plain.get_submodule(name).weight
        torch.testing.assert_close(layer.weight, torch.where(mask, weight - weight.grad, weight))


def test_another_number_of_weights_is_counted_before_anything_is_loaded() -> None:
    tenth, fifth = (spec_for("minilm-l6", {"name": "sparse", "share": share, "targets": ["query"]}, task="movies").counts.method for share in (0.001, 0.002))
    assert (tenth, fifth) == (6 * 147, 6 * 295)


# ── a random subspace ─────────────────────────────────────────────────────────────────────────────────────────────────


def projection(job: Job) -> dict[str, torch.Tensor]:
    """P of each layer as a dense matrix, (weights, d), written down entry by entry in plain Python from what the folder says."""
    count = sum(linear.inputs * linear.outputs for linear in job.spec.shape.select(("query", "value")))
    dimension = job.trained()[0].numel()
    size = sqrt(dimension / count)
    found = {}
    for name, _, part in _parametrized.parts(job.module):
        found[name] = torch.zeros(weight_of(job.module, name).numel(), dimension)
        for row in range(len(found[name])):
            number = (part.first + row) % 2**32
            for _ in range(2):
                number = ((number >> 16) ^ number) * 0x45D9F3B % 2**32
            place = ((number >> 16) ^ number) % (2 * dimension)
            found[name][row, place % dimension] = size if place < dimension else -size
    return found


@pytest.mark.parametrize("model", ["seed-bert", "seed-llama", "seed-gpt2"])
@pytest.mark.parametrize("scales", [False, True])
def test_weights_move_as_a_dense_random_matrix_says(model: str, scales: bool, made: Any) -> None:
    job = made(model, {"name": "intrinsic", "dimension": 40, "targets": ["query", "value"], "scales": scales})
    z, *s = job.trained()
    dense = projection(job)
    with torch.no_grad():
        z.copy_(torch.randn(z.shape, generator=torch.Generator().manual_seed(1)))
        if scales:
            s[0].copy_(torch.arange(1.0, len(s[0]) + 1))
    times = {}
    for name, layer, part in _parametrized.parts(job.module):
        times[name] = part.layer + 1 if scales else 1
        move = times[name] * (dense[name] @ z).view_as(layer.weight)
        torch.testing.assert_close(layer.weight, weight_of(job.module, name) + move)
    job.learner.loss(job.batch(job.texts.train[:4])).backward()
    plain = bases.fresh(job.pristine)
    bases.unshare(plain, job.pristine, everything=True)
    plain.requires_grad_(True).load_state_dict(_parametrized.merge(copy.deepcopy(job.module)).state_dict())
    job.learner.module = plain
    job.learner.loss(job.batch(job.texts.train[:4])).backward()
    back = sum(times[name] * dense[name].T @ plain.get_submodule(name).weight.grad.flatten() for name in dense)
    torch.testing.assert_close(z.grad, back, rtol=1e-3, atol=1e-6)


def test_the_directions_have_length_one_and_share_no_weight(made: Any) -> None:
    job = made("seed-bert", {"name": "intrinsic", "dimension": 40, "targets": ["query", "value"]})
    together = torch.cat(list(projection(job).values()))
    inside = together.T @ together
    assert torch.equal(inside, torch.diag(inside.diagonal())) and inside.diagonal().mean() == pytest.approx(1)
    assert inside.diagonal().min() > 0.5, "the hash fills every direction about equally"


def test_moves_smaller_than_a_bfloat16_step_count(made: Any) -> None:
    """A thousandth of a weight: rounded to 16 bits together with it, nothing of the move would be left."""
    job = made("seed-llama", {"name": "intrinsic", "dimension": 40}, dtype="bfloat16")
    with torch.no_grad():
        job.trained()[0].fill_(1e-4)
    name, layer, part = next(_parametrized.parts(job.module))
    move = layer.weight - weight_of(job.module, name)
    torch.testing.assert_close(move.abs(), torch.full_like(move, 1e-4 * part.factor), rtol=0.1, atol=0)
    assert job.spec.counts.total == job.spec.shape.total + 40


def test_another_seed_is_another_subspace(made: Any) -> None:
    one, same, other = (next(_parametrized.parts(made("seed-bert", "intrinsic", seed=seed).module))[2].rows for seed in (0, 0, 1))
    assert torch.equal(one, same) and not torch.equal(one, other)


def test_scales_are_taken_out_of_the_dimension() -> None:
    spec = spec_for("minilm-l6", {"name": "intrinsic", "dimension": 100, "scales": True}, task="movies")
    assert spec.counts.method == 100 and [size for place in spec.method.places(spec.shape) for _, size in place.tensors] == [(94,), (6,)]
    with pytest.raises(LabError, match="dimension is 6: with scales it must be more than 6"):
        spec_for("minilm-l6", {"name": "intrinsic", "dimension": 6, "scales": True}, task="movies")


# ── what both share ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("model", ["seed-bert", "seed-llama"])
@pytest.mark.parametrize("method", ["sparse", {"name": "sparse", "targets": ["query"]}, {"name": "intrinsic", "dimension": 50, "targets": ["ffn"]}])
def test_blocks_whose_weights_are_sums_are_not_fast(model: str, method: Any, made: Any) -> None:
    same_with_and_without_fast_paths(made(model, method))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("method", ["sparse", "intrinsic"])
def test_merged_it_is_the_plain_model_to_the_last_bit(method: str, dtype: str, made: Any) -> None:
    job = made("seed-llama", method, dtype=dtype)
    with torch.no_grad():
        for weight in job.trained():
            weight.copy_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)) * 0.1)
    apart = job.answers(job.texts.test).logits
    job.learner.module = copy.deepcopy(job.module).merge_and_unload()
    assert torch.equal(job.answers(job.texts.test).logits, apart)
    assert [*job.module.state_dict()] == [*job.pristine.module.state_dict()] and job.pristine.intact


# ── words ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


FEW = {"name": "trainable_tokens", "text": "very good", "rows": 2}


@pytest.mark.parametrize("model", ["seed-bert", "seed-llama", "seed-neox"])
def test_only_the_rows_of_the_chosen_tokens_move(model: str, made: Any) -> None:
    """Tied (seed-llama) or not (seed-neox): merged, the table differs in those rows and the model nowhere else."""
    job = made(model, FEW)
    optimizer = torch.optim.SGD(job.trained(), lr=1.0)
    job.learner.loss(job.batch(job.texts.train[:32])).backward()
    optimizer.step()
    merged = dict(copy.deepcopy(job.module).merge_and_unload().named_parameters())
    base = dict(job.pristine.module.named_parameters())
    assert merged.keys() == base.keys(), "a tied output layer is still the same tensor"
    table = f"{job.spec.shape.embedding}.weight"
    chosen = list(dict.fromkeys(job.reader.tokenizer(" very good", add_special_tokens=False)["input_ids"]))[:2]
    moved = (merged[table] != base[table]).any(dim=1).nonzero().flatten().tolist()
    assert moved and set(moved) <= set(chosen)
    assert all(torch.equal(merged[name], weight) for name, weight in base.items() if name != table)


def test_a_tied_row_counts_as_an_answer_too(made: Any) -> None:
    """In a tied model the gradient of a row is that of the table it stands in: from where it is read, and from where it is written."""
    job = made("seed-llama", FEW)
    batch, plain = job.batch(job.texts.train[:8]), bases.fresh(job.pristine).requires_grad_(True)
    job.learner.loss(batch).backward()
    found, rows = job.trained()[0].grad, job.module.base_model.model.model.embed_tokens.token_indices["default"]
    job.learner.module = plain
    job.learner.loss(batch).backward()
    assert plain.lm_head.weight is plain.model.embed_tokens.weight
    torch.testing.assert_close(found, plain.lm_head.weight.grad[rows], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("method", "reason"), [
    ({"name": "trainable_tokens", "text": "a a a", "rows": 5}, "rows is 5: in this model's vocabulary text has [0-4] different tokens"),
    ({"name": "trainable_tokens", "text": "  "}, "text is empty: type the words"),
    ({"name": "trainable_tokens", "rows": 1000}, "rows is 1000: this model knows"),
])
def test_too_few_words_are_said(method: dict[str, Any], reason: str, made: Any) -> None:
    with pytest.raises(LabError, match=reason):
        made("seed-llama", method)


@pytest.mark.parametrize("model", ["seed-bert", "seed-llama"])
def test_fast_blocks_pass_the_gradient_on_to_the_words(model: str, made: Any) -> None:
    same_with_and_without_fast_paths(made(model, FEW))


# ── examples in context ───────────────────────────────────────────────────────────────────────────────────────────────


def shown(train: tuple[Item, ...], seed: int = 0, **knobs: Any) -> tuple[Item, ...]:
    return catalogue.find("methods", "in_context")(**knobs).shots_shown(train, seed)


LABELLED = tuple(Item(f"{place}", f"text {place}", place % 3) for place in range(90))
WRITTEN = tuple(Item(f"{place}", f"question {place}", answers=(f"answer {place}", "or this")) for place in range(40))


def test_order_and_answers_change_no_text() -> None:
    mixed = shown(LABELLED, shots=9)
    for knobs in ({"order": "by_label"}, {"order": "by_label_reversed"}, {"labels": "random"}):
        assert {shot.id for shot in shown(LABELLED, shots=9, **knobs)} == {shot.id for shot in mixed}
    assert [shot.label for shot in shown(LABELLED, shots=9, order="by_label")] == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert [shot.label for shot in shown(LABELLED, shots=9, order="by_label_reversed")] == [2, 2, 2, 1, 1, 1, 0, 0, 0]
    assert [shot.id for shot in mixed] == [shot.id for shot in shown(LABELLED, shots=9, labels="random")]


def test_random_answers_are_right_as_often_as_chance() -> None:
    right = [shot.label == int(shot.id) % 3 for seed in range(100) for shot in shown(LABELLED, seed, shots=12, labels="random")]
    assert 0.28 < sum(right) / len(right) < 0.39
    assert all(shot in LABELLED for shot in shown(LABELLED, shots=12))


def test_written_answers_are_shown_and_mixed_up() -> None:
    assert set(shown(WRITTEN, shots=8)) <= set(WRITTEN) and len(set(shown(WRITTEN, shots=8))) == 8
    mixed = shown(WRITTEN, shots=8, labels="random")
    assert [shot.id for shot in mixed] == [shot.id for shot in shown(WRITTEN, shots=8)]
    assert {shot.answers for shot in mixed} <= {item.answers for item in WRITTEN} and any(shot not in WRITTEN for shot in mixed)


def test_the_same_seed_shows_the_same_examples() -> None:
    assert shown(LABELLED, 1, shots=6, labels="random") == shown(LABELLED, 1, shots=6, labels="random") != shown(LABELLED, 2, shots=6, labels="random")


FILMS = ("a dull film with a weak plot", "the plot is thin and the film dull", "great acting saves it", "great acting and great music", "it is a film")
KINDS = (0, 0, 1, 1, 0)


def chosen(text: str, count: int, order: str = "nearest_last") -> list[int]:
    return catalogue.find("methods", "in_context")(shots=count, examples="nearest", order=order).choosing()(FILMS, KINDS)(text)


def test_the_nearest_share_the_rarest_words() -> None:
    """Against the same cosine computed densely with numpy."""
    words = sorted({word for film in FILMS for word in film.split()})
    held = np.array([[word in film.split() for word in words] for film in FILMS], dtype=float)
    rows = held * np.log(len(FILMS) / held.sum(0))
    for text in ("a dull plot", "the acting is great", "music", "it is a great film"):
        asked = np.array([word in text.split() for word in words]) * np.log(len(FILMS) / held.sum(0))
        near = (rows @ asked) / np.maximum(np.linalg.norm(rows, axis=1), 1e-12)
        assert chosen(text, 5)[::-1] == sorted(range(5), key=lambda place: (-round(near[place], 12), place)), text


def test_the_order_of_the_nearest_changes_none_of_them() -> None:
    last = chosen("great acting in a dull film", 3)
    assert last[-1] == chosen("great acting in a dull film", 1)[0]
    assert chosen("great acting in a dull film", 3, "random") == sorted(last)
    kinds = [KINDS[place] for place in chosen("great acting in a dull film", 3, "by_label_reversed")]
    assert kinds == sorted(kinds, reverse=True) and set(chosen("great acting in a dull film", 3, "by_label")) == set(last)


def test_all_training_texts_are_at_hand_where_the_nearest_are_chosen() -> None:
    pool = shown(LABELLED, shots=4, examples="nearest")
    assert set(pool) == set(LABELLED) and pool != LABELLED != shown(LABELLED, 1, shots=4, examples="nearest")
    assert shown(LABELLED, shots=0, examples="nearest") == ()
    with pytest.raises(LabError, match="there are 3 training texts"):
        shown(LABELLED[:3], shots=4, examples="nearest")
    with pytest.raises(LabError, match="shots is 4: at most 3 are drawn"):
        shown(LABELLED[:6], shots=4)


# ── what is no fine-tuning ────────────────────────────────────────────────────────────────────────────────────────────


def test_pruning_zeroes_the_smallest_weights_of_each_matrix_and_nothing_else() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(20, 30), torch.nn.LayerNorm(30), torch.nn.Linear(30, 10))
    before = copy.deepcopy(model)
    assert pruning.prune(model, 0.25) == 150 + 75
    for layer, old in ((model[0], before[0]), (model[2], before[2])):
        gone = layer.weight == 0
        assert gone.float().mean() == 0.25 and old.weight[gone].abs().max() <= old.weight[~gone].abs().min()
        assert torch.equal(layer.weight[~gone], old.weight[~gone]) and torch.equal(layer.bias, old.bias)
    assert torch.equal(model[1].weight, before[1].weight)


# ── back from a folder ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("method", ["full", "top_layers", "norms", "intrinsic"])
def test_a_base_in_16_bits_keeps_the_small_moves_it_is_given(method: str, made: Any, tmp_path: Any) -> None:
    """transformers opens a model in the number format of its file, which may be bfloat16."""
    job = made("seed-llama", method)
    with torch.no_grad():
        for weight in job.trained():
            weight += 1e-6
    job.spec.method.format.save(job.module, tmp_path)
    base = bases.fresh(job.pristine)
    bases.unshare(base, job.pristine, everything=True)
    loaded = job.spec.method.format.load(base.to(torch.bfloat16), tmp_path)
    assert {weight.dtype for weight in loaded.parameters()} == {torch.float32}
    if method == "intrinsic":
        name, _, part = next(_parametrized.parts(job.module))
        move = loaded.get_submodule(name).weight - weight_of(job.module, name).bfloat16().float()
        torch.testing.assert_close(move.abs(), torch.full_like(move, 1e-6 * part.factor), rtol=0.2, atol=0)
    else:
        trained = {name: weight for name, weight in job.module.named_parameters() if weight.requires_grad}
        assert all(torch.equal(loaded.get_parameter(name), weight) for name, weight in trained.items())
