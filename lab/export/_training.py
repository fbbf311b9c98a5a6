"""The second half of a script: head, optimizer, schedule, and the loop with the loss as the lab has it."""
from __future__ import annotations

import re

from lab.contracts import Code
from lab.export._lines import WIDEST, Lines, call, source
from lab.export._marks import part
from lab.methods._starts import quoted
from lab.seeds import seed_for
from lab.spec import RunSpec

DRAWN_ANEW = "  # dropout is on, and its draws are not the lab's: losses differ a little"
DROPPING = {  # what transformers' configs set to 0.1 where nothing is said
    "bert": ("hidden_dropout_prob", "attention_probs_dropout_prob"), "roberta": ("hidden_dropout_prob", "attention_probs_dropout_prob"),
    "distilbert": ("dropout", "attention_dropout"), "gpt2": ("resid_pdrop", "embd_pdrop", "attn_pdrop"), "opt": ("dropout",), "t5": ("dropout_rate",),
}
ADAMW = {"adamw": "foreach=False", "adamw_foreach": "foreach=True", "adamw_fused": "fused=True"}


def head(lines: Lines, spec: RunSpec) -> None:
    if not spec.shape.writes:
        lines.add(f"torch.manual_seed({seed_for(spec.seed, 'head')})")
        layer = part("head", f"torch.nn.Linear({spec.shape.width}, {len(spec.goal.labels)})")
        lines.add(f"{part('head', 'head')} = {layer}  # from the mean over the {'patches' if spec.shape.kind == 'vision' else 'tokens'} to a label")


def optimizer(lines: Lines, spec: RunSpec, code: Code) -> None:
    trained = [] if not spec.counts.method else ["trained"]
    if trained:
        lines.add("trained = [weight for weight in model.parameters() if weight.requires_grad]")
    lines.add(f'print("trainable:", sum(weight.numel() for weight in {_weights(spec)}))')
    lines.add(*(re.sub(r"\bLR\b", repr(spec.lr), line) for line in code.groups))
    groups = ["*groups"] if code.groups else [f'{{"params": {name}, "lr": {spec.lr!r}}}' for name in trained]
    if not spec.shape.writes:
        groups.append(f'{{"params": {_head_weights()}, "lr": {spec.method.head_rate(spec.lr)!r}}}')
    optimizer, more = _kind(spec)
    if groups == ["*groups"]:
        lines.add(*call(f"optimizer = {optimizer}(", ["groups", *more], ")"))
    elif len(groups) == 1:
        lines.add(*call(f"optimizer = {optimizer}(", [_weights(spec), f"lr={spec.lr!r}", *more], ")"))
    else:
        lines.add(*call(f"optimizer = {optimizer}([", [*groups[:-1], f"{groups[-1]}]", *more], ")"))
    lines.add(*_schedule(spec))


def _weights(spec: RunSpec) -> str:
    """All that train, as an expression of the script."""
    if spec.shape.writes:
        return "trained"
    return f"[*trained, *{_head_weights()}]" if spec.counts.method else f"list({_head_weights()})"


def _head_weights() -> str:
    return f"{part('head', 'head')}.parameters()"


def _kind(spec: RunSpec) -> tuple[str, list[str]]:
    """The optimizer's class, and its arguments behind the groups."""
    decay = f"weight_decay={source(spec.weight_decay)}"
    match spec.optimizer:
        case "sgd":
            return "torch.optim.SGD", [decay]
        case "adafactor":
            return "torch.optim.Adafactor", [decay]
        case "adamw_8bit":
            return "bitsandbytes.optim.AdamW8bit", [decay]
        case "paged_adamw_8bit":
            return "bitsandbytes.optim.PagedAdamW8bit", [decay]
    return "torch.optim.AdamW", [decay, ADAMW[spec.optimizer]]


def _schedule(spec: RunSpec) -> list[str]:
    """As engine/optimizers.py: up to 1 over the first share of the steps, then down towards 0."""
    steps, rise = spec.steps, max(1, round(spec.steps * spec.warmup)) if spec.warmup else 0
    fall = f"({steps} - done) / {max(1, steps - rise)}"
    rate = f"min((done + 1) / {rise}, {fall})" if rise else fall
    comment = f"  # up in {rise} step{'s' if rise > 1 else ''}, down to 0" if rise else "  # down to 0"
    line = f"schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda done: {rate})"
    return [line + comment if len(line + comment) <= WIDEST else line]


def loop(lines: Lines, spec: RunSpec, code: Code) -> None:
    lines.add(f"model.train(){DRAWN_ANEW if drops(spec) else ''}")
    if spec.shape.writes:
        lines.add("collate = DataCollatorForSeq2Seq(tokenizer)  # fills a batch up to its longest text")
    lines.add(f'for step, line in enumerate(open("data.jsonl", encoding="utf-8"), 1):  # {_data(spec)}', "    batch = json.loads(line)")
    lines.add(*(f"    {line}" for line in code.begin))
    kind = spec.shape.kind
    read, forward = _images(spec) if kind == "vision" else _written(spec) if spec.shape.writes else _features(spec)
    lines.add(*(f"    {line}" for line in read))
    mixed = spec.dtype == "bfloat16" and spec.method.trains_base
    if mixed:
        lines.add(f'    with torch.autocast("{"cuda" if spec.device == "cuda" else "cpu"}", torch.bfloat16):  # 16-bit arithmetic on what trains in 32')
    lines.add(*(f"    {'    ' * mixed}{line}" for line in [*forward, *code.loss]))
    lines.add("    loss.backward()")
    if spec.clip:
        lines.add(f"    torch.nn.utils.clip_grad_norm_({_weights(spec)}, {source(spec.clip)})")
    lines.add("    optimizer.step()", *(f"    {line}" for line in code.step), "    schedule.step()", "    optimizer.zero_grad()")
    lines.add("    print(step, loss.item())")


def _data(spec: RunSpec) -> str:
    """What lies in the data file."""
    what = "images" if spec.shape.kind == "vision" else "texts"
    among = f"of {spec.train_items} {what}" if spec.train_items else what
    return f"{spec.steps} x {spec.batch} {among}{', labels drawn' if spec.shuffle_labels else ''}"


def _features(spec: RunSpec) -> tuple[list[str], list[str]]:
    wide = ".float()" if spec.dtype == "bfloat16" else ""
    read = [f'texts = tokenizer(batch["texts"], truncation=True, max_length={spec.tokens}, padding=True, return_tensors="pt")']
    virtual = spec.method.virtual_tokens_used()
    return read, [
        f'hidden, mask = model(**texts).last_hidden_state{wide}, texts["attention_mask"].unsqueeze(-1)',
        "mean = (hidden[:, -mask.shape[1]:] * mask).sum(1) / mask.sum(1)  # over the real tokens; virtual ones stand in front" if virtual else
        "mean = (hidden * mask).sum(1) / mask.sum(1)  # over the real tokens of each text",
        f'loss = torch.nn.functional.cross_entropy({part("head", "head")}(mean), torch.tensor(batch["labels"]))']


def _images(spec: RunSpec) -> tuple[list[str], list[str]]:
    inks, side = spec.goal.inks, spec.base.config["image_size"]
    patches = (side // spec.base.config["patch_size"]) ** 2
    wide = ".float()" if spec.dtype == "bfloat16" else ""
    return [f'pixels = torch.tensor(batch["pixels"]).unsqueeze(1) / {inks / 2:g} - 1  # from 0 … {inks} to -1 … 1'], [
        f"hidden = model(pixel_values=pixels{'.bfloat16()' if wide and weights_dtype(spec) == 'torch.bfloat16' else ''}).last_hidden_state{wide}",
        f"mean = hidden[:, -{patches}:].mean(1)  # over the patches; the class token stands in front of them",
        f'loss = torch.nn.functional.cross_entropy({part("head", "head")}(mean), torch.tensor(batch["labels"]))']


def _written(spec: RunSpec) -> tuple[list[str], list[str]]:
    task, together = spec.goal, spec.shape.kind == "decoder"
    prompt = f'prompts = tokenizer([f{quoted(task.prompt)} for text in batch["texts"]])["input_ids"]'
    read = [prompt] if len(prompt) <= WIDEST - 4 else [
        f'prompts = [{quoted(task.prompt)}.format(text=text) for text in batch["texts"]]', 'prompts = tokenizer(prompts)["input_ids"]']
    read.append('answers = tokenizer(batch["answers"], add_special_tokens=False)["input_ids"]')
    cut = f"ids[:{task.answer_tokens - 1}] + [tokenizer.eos_token_id]" if task.writes else "ids[:1]"
    why = "" if task.writes else "  # the first token of a label word tells it from the others"
    read.append(f"answers = [{cut} for ids in answers]{why}")
    pair = '{"input_ids": p + a, "labels": [-100] * len(p) + a}' if together else '{"input_ids": p, "labels": a}'
    read.append(f"rows = [{pair} for p, a in zip(prompts, answers)]{'  # -100: no loss' if together else ''}")
    return read, ["loss = model(**collate(rows)).loss"]


def weights_dtype(spec: RunSpec) -> str:
    """Of the weights: `auto`, which the lab measures, is float32 here; a method that moves matrices of the base keeps it there."""
    return "torch.bfloat16" if spec.dtype == "bfloat16" and not spec.method.needs_float32() else "torch.float32"


def drops(spec: RunSpec) -> bool:
    """Whether anything is dropped at random while it trains; a config that does not say has transformers' default."""
    config, usual = spec.base.config, DROPPING.get(spec.shape.model_type, ())
    inside = any(config.get(name, 0.1) for name in usual) or any(value for name, value in config.items() if "drop" in name)
    return inside or bool(getattr(spec.method, "dropout", 0))
