"""LoRA and its relatives: each against its paper's formula in plain torch, and the traps of those that rewrite, cut or quantise."""
from __future__ import annotations

import copy
import json
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from _trials import every_nth
from peft import PeftModel
from peft.optimizers import create_lorafa_optimizer
from safetensors.torch import load_file
from torch import nn

from lab import catalogue
from lab.contracts import Base, LabError
from lab.engine import bases
from lab.engine.chance import drawn_from
from lab.engine.fast import speed_up
from lab.engine.job import Job, prepare
from lab.engine.learner import Classifier, Head, Writer
from lab.exhibits import lora as exhibit
from lab.exhibits import qalora
from lab.methods import _dylora, _lora, _shifted
from lab.spec import RunSpec

FAMILY = ("lora", "rslora", "dora", "pissa", "olora", "lora_plus", "lora_fa", "adalora", "dylora", "qlora", "longlora")
BOTH = pytest.mark.parametrize("model", ["seed-bert", "seed-llama"])
CLOSE = {"rtol": 1e-4, "atol": 1e-5}


@pytest.fixture
def made(workshop: Any, finish: Any) -> Any:
    def make(method: Any, model: str = "seed-llama", moved: bool = False, **changes: Any) -> Job:
        """`moved`: the trained tensors a little away from their start."""
        job = finish(prepare(RunSpec.parse({"model": model, "task": "toy", "method": method, "dtype": "float32", **changes}), workshop))[1]
        job.module.eval()
        draw = torch.Generator().manual_seed(1)
        for weight in job.trained() if moved else ():
            weight.data += 0.1 * torch.randn(weight.shape, generator=draw)
        return job

    return make


def first(job: Job) -> Any:
    """The first LoRA layer of the model."""
    return next(layer for _, layer in _lora.layers(job.module))


def untouched(job: Job) -> torch.Tensor:
    """The weight of the base under it."""
    name = next(name for name, _ in _lora.layers(job.module)).removeprefix("base_model.model.")
    return job.pristine.module.get_submodule(name).weight


def a_b(layer: Any) -> tuple[torch.Tensor, torch.Tensor]:
    return layer.lora_A["default"].weight.detach(), layer.lora_B["default"].weight.detach()


def inputs(layer: Any) -> torch.Tensor:
    return torch.randn(3, 5, layer.in_features, generator=torch.Generator().manual_seed(2))


def logits(job: Job, module: Any = None) -> torch.Tensor:
    kept = job.learner.module
    job.learner.module = module if module is not None else kept
    try:
        return job.answers(job.texts.test[:24]).logits
    finally:
        job.learner.module = kept


def step(job: Job, optimizer: torch.optim.Optimizer, number: int = 1) -> float:
    """One step of the loop, with the method's hooks where they stand there."""
    method = job.spec.method
    job.module.train()
    method.before_step(job.module, number)
    loss = job.learner.loss(job.batch(job.texts.train[8 * number:8 * number + 8]))
    loss.backward()
    optimizer.step()
    method.after_step(job.module, number)
    optimizer.zero_grad()
    return float(loss.detach())


# ── formulas ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@torch.no_grad()
@pytest.mark.parametrize("model", ["seed-llama", "seed-gpt2"])
@pytest.mark.parametrize("method", ["lora", "rslora", "dora", "pissa", "lora_plus", "lora_fa", "adalora", "dylora"])
def test_a_layer_computes_the_formula(method: str, model: str, made: Any) -> None:
    job = made({"name": method, "alpha": 3.0}, model, moved=True)
    layer, w = first(job), untouched(job)
    w = w.t() if model == "seed-gpt2" else w
    a, b = (layer.lora_A["default"], layer.lora_B["default"]) if method == "adalora" else a_b(layer)
    if method == "rslora":
        w = w + 3.0 / 8**0.5 * b @ a
    elif method == "dora":
        v = w + 3.0 / 8 * b @ a
        w = layer.lora_magnitude_vector["default"].weight[:, None] * v / v.norm(dim=1, keepdim=True)
    elif method == "pissa":
        u, s, v = torch.linalg.svd(w, full_matrices=False)
        w = w - (u[:, :8] * s[:8]) @ v[:8] + 3.0 / 8 * b @ a
    elif method == "adalora":
        w = w + 3.0 / 12 * b @ (layer.lora_E["default"] * a)
    else:
        w = w + 3.0 / 8 * b @ a
    x, bias = inputs(layer), layer.base_layer.bias
    torch.testing.assert_close(layer(x), x @ w.t() + (0 if bias is None else bias), **CLOSE)


def test_the_exhibit_is_pefts_lora(made: Any) -> None:
    job, start = made("lora", moved=True), made("lora")
    model = bases.fresh(job.pristine)
    bases.unshare(model, job.pristine, everything=True)
    exhibit.put_in(model, ("q_proj", "v_proj"))
    shown = [part for part in model.modules() if isinstance(part, exhibit.Lora)]
    torch.testing.assert_close(logits(job, model), logits(job, job.pristine.module), rtol=0, atol=0)  # B is 0
    for own, (_, layer), (_, unmoved) in zip(shown, _lora.layers(job.module), _lora.layers(start.module), strict=True):
        assert float(own.a.detach().std()) == pytest.approx(float(a_b(unmoved)[0].std()), rel=0.15)
        own.a.data, own.b.data = a_b(layer)
    assert sum(weight.numel() for weight in model.parameters() if weight.requires_grad) == job.spec.counts.method
    torch.testing.assert_close(logits(job, model), logits(job), **CLOSE)
    x = inputs(shown[0].layer)
    expected = shown[0](x)
    torch.testing.assert_close(shown[0].merged()(x), expected, **CLOSE)
    assert len(Path(exhibit.__file__).read_text().splitlines()) < 40


def test_rslora_keeps_the_size_of_its_correction_where_lora_loses_it(made: Any) -> None:
    scales = {method: [first(made({"name": method, "rank": rank})).scaling["default"] for rank in (4, 16, 64)] for method in ("lora", "rslora")}
    assert scales == {"lora": [4.0, 1.0, 0.25], "rslora": [8.0, 4.0, 2.0]}


def test_the_exhibit_of_qalora_merges_without_a_new_rounding() -> None:
    torch.manual_seed(0)
    weight, x = torch.randn(48, 128), torch.randn(5, 128)
    layer = qalora.QaLora(weight)
    assert (layer.a.shape, layer.b.shape) == ((8, 4), (48, 8)) and int(layer.codes.max()) == 15
    assert (layer.weight() - weight).abs().max() <= layer.step.max() / 2 + 1e-5
    torch.testing.assert_close(layer(x), x @ layer.weight().T, rtol=0, atol=0)
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.05)
    target = torch.randn(5, 48)
    losses = []
    for _ in range(30):
        losses.append(nn.functional.mse_loss(layer(x), target))
        losses[-1].backward()
        optimizer.step()
        optimizer.zero_grad()
    assert losses[-1] < 0.5 * losses[0]
    codes, before, trained = layer.codes.clone(), layer.weight(), layer(x).detach()
    a, b = layer.a.detach().clone(), layer.b.detach().clone()
    layer.merge()
    torch.testing.assert_close(layer(x), trained, **CLOSE)
    assert torch.equal(layer.codes, codes)
    torch.testing.assert_close(layer.weight(), before + 16 / 8 * (b @ a).repeat_interleave(32, 1), **CLOSE)
    plain = before + 16 / 8 * b @ torch.randn(8, 128)  # a plain LoRA's sum is on no grid of 16 numbers a group
    assert (qalora.QaLora(plain).weight() - plain).abs().max() > 1e-2


# ── relatives that rewrite the base ───────────────────────────────────────────────────────────────────────────────────


REWRITING = [{"name": "pissa"}, {"name": "pissa", "init": "pissa_niter_4"}, {"name": "pissa", "init": "pissa_niter_16"}, {"name": "olora"}]
NAMED = pytest.mark.parametrize("method", REWRITING, ids=lambda method: method.get("init", method["name"]))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@NAMED
def test_what_a_and_b_start_with_is_taken_out_of_the_base(method: dict[str, Any], dtype: str, made: Any) -> None:
    job = made({**method, "rank": 4}, dtype=dtype)
    assert job.pristine.intact
    coarse = 1e-5 if dtype == "float32" else 1e-2  # the rest is kept in the base's number format
    kept = {weight.untyped_storage().data_ptr() for weight in job.pristine.module.parameters()}
    for name, layer in _lora.layers(job.module):
        w = job.pristine.module.get_submodule(name.removeprefix("base_model.model.")).weight.float()
        a, b = a_b(layer)
        product, rest = layer.scaling["default"] * b @ a, layer.base_layer.weight.float()
        torch.testing.assert_close(rest + product, w, rtol=coarse, atol=coarse)
        assert not torch.allclose(rest, w, atol=1e-3) and layer.base_layer.weight.untyped_storage().data_ptr() not in kept
        u, s, v = torch.linalg.svd(w, full_matrices=False)
        if method == {"name": "pissa"}:
            torch.testing.assert_close(product, (u[:, :4] * s[:4]) @ v[:4], rtol=10 * coarse, atol=coarse)
            assert torch.linalg.svdvals(rest)[0] <= s[4] * 1.02
        elif method["name"] == "olora":
            torch.testing.assert_close(b.t() @ b, torch.eye(4), rtol=10 * coarse, atol=coarse)
        else:  # an estimate: what it leaves over is hardly more than what the exact parts would
            assert rest.norm() < 1.05 * s[4:].norm()


@BOTH
@NAMED
def test_saved_they_are_a_plain_lora_for_the_untouched_base(method: dict[str, Any], model: str, made: Any, tmp_path: Path) -> None:
    """peft's own folder of the estimate reloads with an error of 0.16: the base's rest is estimated again, and differently."""
    job = made({**method, "rank": 3}, model, moved=True)
    job.spec.method.format.save(job.module, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} >= {"adapter_config.json", "adapter_model.safetensors"}
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"], config["init_lora_weights"]) == (6, 32.0, True)
    loaded = PeftModel.from_pretrained(bases.fresh(job.pristine), str(tmp_path)).eval()
    torch.testing.assert_close(logits(job, loaded), logits(job), **CLOSE)
    merged = logits(job, copy.deepcopy(job.module).merge_and_unload())
    torch.testing.assert_close(merged, logits(job), **CLOSE)
    assert job.pristine.intact


@pytest.mark.slow
def test_a_run_that_rewrites_leaves_the_base_to_the_next(workshop: Any, run: Any) -> None:
    lora = {"model": "seed-llama", "task": "toy", "method": "lora", "dtype": "float32", "steps": 3, "eval_items": 20}
    before = run(workshop, **lora).losses
    for method in ("pissa", "olora"):
        run(workshop, **{**lora, "method": method})
    assert run(workshop, **lora).losses == before


@pytest.mark.parametrize(("method", "model", "reason"), [
    ({"name": "pissa", "rank": 256}, "seed-llama", "rank is 256: the smallest matrix"), ("olora", "seed-gpt2", "Conv1D"),
    ({"name": "adalora", "rank": 8, "start_rank": 4}, "seed-bert", "start_rank is 4: it must be at least rank, 8"),
    ("longlora", "seed-bert", "decoders of Llama's type"), ("longlora", "seed-gpt2", "this one is of type gpt2"),
    ({"name": "qlora", "targets": ["nothing"]}, "seed-bert", "names nothing")])
def test_what_cannot_be_is_said(method: Any, model: str, reason: str) -> None:
    with pytest.raises(LabError, match=reason):
        RunSpec.parse({"model": model, "task": "toy", "method": method})


# ── learning rates and gradients ──────────────────────────────────────────────────────────────────────────────────────


def test_lora_plus_lets_b_learn_faster(made: Any) -> None:
    job = made({"name": "lora_plus", "ratio": 8.0})
    slow, fast = job.spec.method.groups(job.module, 1e-3)
    assert (slow["lr"], fast["lr"]) == (1e-3, 8e-3)
    assert {id(weight) for group in (slow, fast) for weight in group["params"]} == {id(weight) for weight in job.trained()}
    before = a_b(first(job))[1].clone()
    step(job, torch.optim.SGD([slow, fast]))
    other = made("lora")
    step(other, torch.optim.SGD(other.spec.method.groups(other.module, 1e-3)))
    torch.testing.assert_close(a_b(first(job))[1] - before, 8 * a_b(first(other))[1], rtol=1e-4, atol=1e-9)


@pytest.mark.slow
def test_lora_plus_with_ratio_1_is_lora(workshop: Any, run: Any) -> None:
    spec = {"model": "seed-llama", "task": "toy", "dtype": "float32", "steps": 6, "lr": 1e-3, "eval_items": 20}
    plus, lora = (run(workshop, **spec, method=method).losses for method in ({"name": "lora_plus", "ratio": 1.0}, "lora"))
    assert [loss for _, loss in plus] == pytest.approx([loss for _, loss in lora], rel=1e-5)
    faster = run(workshop, **spec, method={"name": "lora_plus", "ratio": 16.0}).losses
    assert faster[0] == plus[0] and faster[-1] != plus[-1]


@BOTH
def test_lora_fa_moves_b_alone_and_a_is_no_parameter(model: str, made: Any) -> None:
    job, lora = made("lora_fa", model), made("lora", model)
    a = a_b(first(job))[0].clone()
    assert torch.equal(a, a_b(first(lora))[0]), "drawn as LoRA's"
    assert all(name.endswith("lora_B.default.weight") for name, weight in job.module.named_parameters() if weight.requires_grad)
    assert not [name for name, _ in job.module.named_parameters() if "lora_A" in name]
    assert job.spec.counts.method < lora.spec.counts.method and job.spec.counts.total == job.spec.shape.total + job.spec.counts.trainable
    optimizer = torch.optim.AdamW(job.trained(), lr=1e-2, weight_decay=0.1)
    for number in range(1, 4):
        step(job, optimizer, number)
    assert torch.equal(a_b(first(job))[0], a) and bool(a_b(first(job))[1].any())


@pytest.mark.parametrize(("method", "input_kept"), [("lora", True), ("lora_fa", False)])
def test_of_a_layers_input_lora_fa_keeps_only_what_a_makes_of_it(method: str, input_kept: bool, made: Any) -> None:
    layer = first(made(method))
    x, kept = inputs(layer).requires_grad_(), []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor.data_ptr()) or tensor, lambda tensor: tensor):
        layer.train()(x)
    assert (x.data_ptr() in kept) == input_kept


def gradient(job: Job) -> torch.Tensor:
    job.learner.loss(job.batch(job.texts.train[:8])).backward()
    return first(job).lora_B["default"].weight.grad


def test_lora_fa_corrects_the_gradient_as_the_paper_and_as_peft(made: Any) -> None:
    plain, corrected = made({"name": "lora_fa", "gradient": "plain"}), made("lora_fa")
    a, s = a_b(first(plain))[0], 16.0 / 8
    found, expected = gradient(corrected), gradient(plain) @ torch.linalg.inv(a @ a.t()) / s**2
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-6 * float(expected.abs().max()))
    reference = made("lora")
    optimizer = create_lorafa_optimizer(reference.module, r=8, lora_alpha=16, lr=1e-3)
    gradient(reference)
    optimizer.step()
    state = next(state["exp_avg_B"] for name, state in optimizer.state.items() if "lora" in str(name))
    assert (found - 10 * state).norm() < 0.02 * found.norm()  # Adam's first average is a tenth of the gradient; peft computes it in bfloat16


# ── AdaLoRA ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
@BOTH
def test_adalora_ends_with_its_budget_and_loads_again(model: str, workshop: Any, run: Any, made: Any, tmp_path: Path) -> None:
    method = {"name": "adalora", "rank": 2, "start_rank": 6, "targets": "all"}
    result = run(workshop, out=tmp_path, model=model, task="toy", method=method, dtype="float32", steps=30, eval_items=100)
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    ranks = [sum(chosen) for chosen in config["rank_pattern"].values()]
    assert sum(ranks) == 2 * len(ranks) and len(set(ranks)) > 1, "the same budget, shared out unevenly"
    assert (config["tinit"], config["tfinal"], config["total_step"]) == (3, 9, 30)
    kept = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    assert sum(weight.shape[0] for name, weight in kept.items() if "lora_A" in name) == sum(ranks)
    job = made(method, model, eval_items=100)
    if job.learner.head is not None:
        head = load_file(tmp_path / "adapter" / "head.safetensors")
        job.learner.head.linear.load_state_dict(head)
    loaded = job.spec.method.format.load(bases.fresh(job.pristine), tmp_path / "adapter").eval()
    job.learner.module = loaded
    assert job.answers(job.texts.test).evaluated("tuned", "test", 30, "accuracy").score == pytest.approx(result.scores["tuned"].score, abs=1e-6)


def test_adaloras_penalty_is_pefts(made: Any) -> None:
    job = made("adalora", moved=True)
    batch = job.batch(job.texts.train[:4])
    asked = {"input_ids": batch.ids, "attention_mask": batch.mask, "labels": batch.ids}
    with torch.no_grad():
        peft, bare = job.module.base_model(**asked).loss, job.module.base_model.model(**asked).loss
    torch.testing.assert_close(job.spec.method.penalty(job.module), peft - bare, rtol=1e-4, atol=1e-6)
    assert made({"name": "adalora", "orthogonality": 0.0}).spec.method.penalty(job.module) is None


# ── DyLoRA ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@BOTH
def test_dylora_cut_to_a_rank_is_a_lora_of_that_rank(model: str, made: Any, tmp_path: Path) -> None:
    job = made({"name": "dylora", "rank": 6}, model, moved=True)
    layer, x = first(job), inputs(first(job))
    a, b = a_b(layer)
    seen = []
    for rank in range(1, 7):
        _dylora.use_rank(job.module, rank)
        torch.testing.assert_close(layer(x), layer.base_layer(x) + 16.0 / rank * (x @ a[:rank].t()) @ b[:, :rank].t(), **CLOSE)
        seen.append(logits(job))
        folder = tmp_path / str(rank)
        folder.mkdir()
        job.spec.method.format.save(job.module, folder)
        assert json.loads((folder / "adapter_config.json").read_text())["r"] == rank
        loaded = PeftModel.from_pretrained(bases.fresh(job.pristine), str(folder)).eval()
        assert next(part for _, part in _lora.layers(loaded)).lora_A["default"].weight.shape == (rank, layer.in_features)
        torch.testing.assert_close(logits(job, loaded), seen[-1], **CLOSE)
        torch.testing.assert_close(logits(job, copy.deepcopy(job.module)), seen[-1], **CLOSE)
    assert not any(torch.equal(one, other) for one, other in pairwise(seen))
    for rank in (0, 7):
        with pytest.raises(LabError, match=f"rank is {rank}: must be 1 to 6"):
            _dylora.use_rank(job.module, rank)


@pytest.mark.parametrize("update", ["all", "last"])
def test_only_the_drawn_directions_learn(update: str, made: Any) -> None:
    """With AdamW, whose momentum and weight decay move what has no gradient."""
    job = made({"name": "dylora", "rank": 6, "update": update}, moved=True)
    method, layer = job.spec.method, first(job)
    optimizer = torch.optim.AdamW(job.trained(), lr=1e-2, weight_decay=0.5)
    drawn = set()
    for number in range(1, 9):
        before = [part.clone() for part in a_b(layer)]
        step(job, optimizer, number)
        rank = method.drawn(job.spec.seed, number)
        drawn.add(rank)
        a, b = a_b(layer)
        moved = {row for row in range(6) if not torch.equal(a[row], before[0][row]) or not torch.equal(b[:, row], before[1][:, row])}
        assert moved == (set(range(rank)) if update == "all" else {rank - 1})
        assert layer.lora_A["default"].in_use == 6 and layer.scaling["default"] == 16.0 / 6, "looks between steps use all"
    assert len(drawn) > 2


def test_every_rank_is_drawn_as_often_and_only_by_seed_and_step(made: Any) -> None:
    method = catalogue.find("methods", "dylora")(rank=4)
    torch.manual_seed(0)
    draws = [method.drawn(0, number) for number in range(4000)]
    assert all(900 < count < 1100 for count in Counter(draws).values()) and set(draws) == {1, 2, 3, 4}
    assert draws[:50] == [method.drawn(0, number) for number in range(50)] != [method.drawn(1, number) for number in range(50)]


@pytest.mark.slow
def test_dylora_trained_works_at_small_ranks_where_a_cut_lora_does_not(workshop: Any, finish: Any) -> None:
    """Validation losses of the first direction alone, after the same number of steps."""
    losses = {}
    for name in ("lora", "dylora"):
        spec = {"model": "seed-llama", "task": "toy", "method": {"name": name, "targets": "all"}, "dtype": "float32", "lr": 3e-3}
        job = finish(prepare(RunSpec.parse(spec), workshop))[1]
        optimizer = torch.optim.AdamW(job.trained(), lr=3e-3)
        for number in range(1, 61):
            step(job, optimizer, number)
        if name == "lora":
            _dylora.nest(job.module)
        _dylora.use_rank(job.module, 1)
        job.module.eval()
        with torch.no_grad():
            losses[name] = float(job.learner.loss(job.batch(job.texts.validation)))
    assert losses["dylora"] < losses["lora"]


# ── QLoRA ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
@BOTH
def test_qlora_is_lora_on_all_matrices_of_a_base_in_4_bits(model: str, made: Any, workshop: Any, run: Any) -> None:
    job = made("qlora", model)
    assert job.spec.quantization == "nf4_double" and job.spec.to_dict()["quantization"] == "nf4_double"
    adapted = [layer for _, layer in _lora.layers(job.module)]
    assert len(adapted) == len(job.spec.shape.select(("all",)))
    assert all(layer.base_layer.weight.quant_state.nested and layer.base_layer.weight.quant_type == "nf4" for layer in adapted)
    spec = {"model": model, "task": "toy", "dtype": "float32", "steps": 4, "eval_items": 20}
    same = run(workshop, **spec, method={"name": "lora", "targets": "all"}, quantization="nf4_double", lr=1e-3)
    assert run(workshop, **spec, method="qlora", lr=1e-3).losses == same.losses


def test_dora_on_8_bits_is_refused() -> None:
    with pytest.raises(LabError, match="quantization is int8: method dora stands only on a base in nf4, nf4_double, fp4"):
        RunSpec.parse({"model": "seed-bert", "task": "toy", "method": "dora", "quantization": "int8"})


def test_qlora_in_another_format_is_refused() -> None:
    with pytest.raises(LabError, match="quantization is fp4: QLoRA fixes it at nf4_double"):
        RunSpec.parse({"model": "seed-bert", "task": "toy", "method": "qlora", "quantization": "fp4"})


# ── LongLoRA ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def looks_at(tokens: int, groups: int, shifted: bool) -> torch.Tensor:
    """(tokens, tokens), token by token as the paper's figure has it: who stands in whose group and not behind it."""
    size = _shifted.group_size(tokens, groups)
    group = [(token + size // 2) // size if shifted else token // size for token in range(tokens)]
    return torch.tensor([[group[one] == group[other] and other <= one for other in range(tokens)] for one in range(tokens)])


@pytest.mark.parametrize("tokens", [16, 17, 23, 3])
@pytest.mark.parametrize(("heads", "kv_heads"), [(4, 4), (6, 2), (3, 1)])
def test_attention_in_shifted_groups_is_full_attention_under_a_mask_a_head(heads: int, kv_heads: int, tokens: int, made: Any) -> None:
    module = made("longlora").module.get_base_model().model.layers[0].self_attn.train()
    draw = torch.Generator().manual_seed(tokens)
    q, k, v = (torch.randn(2, count, tokens, 8, generator=draw) for count in (heads, kv_heads, kv_heads))
    real = torch.ones(2, tokens, dtype=torch.bool)
    real[1, -1] = False  # padding
    seen = torch.ones(tokens, tokens, dtype=torch.bool).tril()[None, None] & real[:, None, None, :]
    expected = torch.empty(2, tokens, heads, 8)
    for head in range(heads):
        keys, values = k[:, head // (heads // kv_heads)], v[:, head // (heads // kv_heads)]
        allowed = looks_at(tokens, 4, head >= heads // 2)[None] & real[:, None, :]
        scores = (q[:, head] @ keys.transpose(1, 2) * 0.3).masked_fill(~allowed, -torch.inf)
        expected[:, :, head] = scores.softmax(-1).nan_to_num() @ values
    added = torch.zeros(seen.shape).masked_fill(~seen, torch.finfo(torch.float32).min)
    for mask in (seen, added):
        found, _ = _shifted.attention(module, q, k, v, mask, scaling=0.3)
        torch.testing.assert_close(found[real], expected[real], **CLOSE)


def test_without_a_mask_a_token_looks_back_only(made: Any) -> None:
    module = made("longlora").module.get_base_model().model.layers[0].self_attn.train()
    q = torch.randn(1, 4, 16, 8, generator=torch.Generator().manual_seed(0))
    causal = torch.ones(16, 16, dtype=torch.bool).tril()[None, None]
    given, none = (_shifted.attention(module, q, q, q, mask, scaling=0.3)[0] for mask in (causal, None))
    assert torch.equal(given, none)
    later = torch.cat([q[:, :, :10], torch.randn(1, 4, 6, 8)], 2)
    torch.testing.assert_close(_shifted.attention(module, later, later, later, None, scaling=0.3)[0][:, :10], none[:, :10])


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("model", ["seed-llama", "seed-qwen2"])
def test_longlora_trains_in_groups_and_answers_with_full_attention(model: str, attention: str, made: Any) -> None:
    job, whole = (made({"name": "longlora", "windows": windows}, model, attention=attention) for windows in (4, 1))
    assert torch.equal(logits(job), logits(job, job.pristine.module))
    assert job.pristine.module.config._attn_implementation == attention, "the base's own attention is as it was"
    batch = job.batch(job.texts.train[:4])

    def hidden(module: Any) -> torch.Tensor:
        with torch.no_grad():
            return module(input_ids=batch.ids, attention_mask=batch.mask).logits[batch.mask.bool()]

    full = hidden(job.pristine.module)
    torch.testing.assert_close(hidden(whole.module.train()), full, **CLOSE)
    assert (hidden(job.module.train()) - full).abs().max() > 0.01
    torch.testing.assert_close(hidden(job.module.eval()), full, rtol=0, atol=0)


def test_longlora_moves_norms_and_embeddings_and_keeps_fewer_scores(made: Any) -> None:
    job = made("longlora")
    trained = {name for name, weight in job.module.get_base_model().named_parameters() if weight.requires_grad and ".lora_" not in name}
    assert trained == {weight.name for weight in job.spec.shape.weights}
    counts = job.spec.counts
    assert counts.total == job.spec.shape.total + sum(weight.numel() for name, weight in job.module.named_parameters() if ".lora_" in name)
    sizes = []

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        sizes.append(tensor.numel())
        return tensor

    module = job.module.get_base_model().model.layers[0].self_attn.train()
    q, k = (torch.randn(1, heads, 256, 8, requires_grad=True) for heads in (4, 2))
    kept = {}
    for windows in (1, 4, 16):
        module.config.shifted_groups, sizes[:] = windows, []
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            _shifted.attention(module, q, k, k, torch.zeros(1, 1, 256, 256), scaling=0.3)
        kept[windows] = sum(sizes)
    assert kept[4] < 0.6 * kept[1] and kept[16] < 0.6 * kept[4]


def test_longlora_saves_what_moved_of_the_base_beside_pefts_folder(made: Any, tmp_path: Path) -> None:
    job = made("longlora", moved=True)
    job.spec.method.format.save(job.module, tmp_path)
    assert set(load_file(tmp_path / "weights.safetensors")) == {weight.name for weight in job.spec.shape.weights}
    assert all(".lora_" in name for name in load_file(tmp_path / "adapter_model.safetensors"))


# ── default learning rates ────────────────────────────────────────────────────────────────────────────────────────────


@BOTH
@pytest.mark.parametrize("method", every_nth(3, FAMILY))
def test_it_learns_at_its_default_rate(method: str, model: str, workshop: Any, run: Any) -> None:
    if not catalogue.find("methods", method)().supports(RunSpec.parse({"model": model, "method": "lora"}).shape).ok:
        return
    losses = [loss for _, loss in run(workshop, model=model, task="toy", method=method, dtype="float32", steps=40, eval_items=20, eval_every=0).losses]
    assert sum(losses[-5:]) < sum(losses[:5])


# ── fast paths ────────────────────────────────────────────────────────────────────────────────────────────────────────


def attached(job: Job, fast: bool) -> tuple[Any, list[Any]]:
    """The method on a base without dropout, its trained tensors moved, with fast paths or without."""
    model, spec = bases.fresh(job.pristine), job.spec
    bases.unshare(model, job.pristine, everything=not spec.quantization)
    for part in model.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0
    with drawn_from(0, "adapter"):
        model = spec.method.attach(Base(model, spec.shape, job.reader.tokenizer, spec.goal.words, 10))
    draw = torch.Generator().manual_seed(1)
    codes = speed_up(model, spec.shape) if fast else []
    for weight in model.parameters():
        if weight.requires_grad:
            weight.data += 0.1 * torch.randn(weight.shape, generator=draw)
    if spec.shape.kind == "decoder":
        return Writer(model.train(), job.reader.answers(), "cpu", codes), codes
    torch.manual_seed(4)
    return Classifier(model.train(), Head(spec.shape.width, len(spec.goal.labels)), codes), codes


PLAIN = {"lora", "rslora", "pissa", "olora", "lora_plus"}  # LoRA of peft's simplest kind, wherever it starts and however it learns


@BOTH
@pytest.mark.parametrize("method", FAMILY)
def test_fast_paths_give_the_same_loss_and_gradients_or_step_aside(method: str, model: str, made: Any) -> None:
    if not catalogue.find("methods", method)().supports(RunSpec.parse({"model": model, "method": "lora"}).shape).ok:
        return
    job = made(method, model)
    batch = job.batch(job.texts.train[:8])
    seen = []
    for fast in (True, False):
        learner, codes = attached(job, fast)
        assert bool(codes) == (fast and method in PLAIN)
        job.spec.method.before_step(learner.module, 1)
        loss = learner.loss(batch)
        loss.backward()
        seen.append((loss.detach(), {name: weight.grad for name, weight in learner.module.named_parameters() if weight.grad is not None}))
    (loss, grads), (loss2, grads2) = seen
    torch.testing.assert_close(loss, loss2, rtol=1e-5, atol=1e-6)
    assert grads.keys() == grads2.keys() and grads
    for name, grad in grads2.items():
        assert float((grads[name] - grad).norm()) <= 1e-3 * float(grad.norm()) + 1e-6, name
