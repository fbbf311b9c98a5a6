"""The lines of a script, from a spec and what its method says for itself."""
from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from lab.contracts import Code, Worked
from lab.export import _marks, _names
from lab.export._marks import part
from lab.methods._starts import quoted
from lab.seeds import seed_for
from lab.spec import RunSpec
from lab.supply.weights import CLASSES, QUANTIZED

LONGEST = 40  # lines
WIDEST = 120  # characters of a line
MODULES = ("target_modules", "feedforward_modules")
SEEDED = "base"  # the folder with the weights of a model that is made from a seed; it comes with the script
PARTS = {"num_virtual_tokens": "prompt", "adapter_len": "prompt", "token_indices": "embedding"}  # arguments that speak of a part of the model
DRAWN_ANEW = "  # dropout is on, and its draws are not the lab's: losses differ a little"
DROPPING = {  # what transformers' configs set to 0.1 where nothing is said
    "bert": ("hidden_dropout_prob", "attention_probs_dropout_prob"), "roberta": ("hidden_dropout_prob", "attention_probs_dropout_prob"),
    "distilbert": ("dropout", "attention_dropout"), "gpt2": ("resid_pdrop", "embd_pdrop", "attn_pdrop"), "opt": ("dropout",), "t5": ("dropout_rate",),
}
ADAMW = {"adamw": "foreach=False", "adamw_foreach": "foreach=True", "adamw_fused": "fused=True"}


@dataclass(frozen=True)
class Script:
    """`marked` is the source with marks on what speaks of a part of the model."""

    marked: str

    @property
    def text(self) -> str:
        return _marks.plain(self.marked) + "\n"

    @property
    def lines(self) -> int:
        return self.marked.count("\n") + 1

    def spans(self) -> list[list[_marks.Span]]:
        """For each line [text, kind of token, roles of the parts it speaks of]."""
        return _marks.spans(self.marked)


@dataclass
class Lines:
    """Lines, some of which stand only where there is room: the lower the rank the sooner."""

    found: list[tuple[str, int]] = field(default_factory=list)

    def add(self, *lines: str, rank: int = 0) -> None:
        self.found += [(line, rank) for line in lines]

    def gap(self, rank: int) -> None:
        self.add("", rank=rank)

    def joined(self) -> str:
        needed = sum(rank == 0 for _, rank in self.found)
        spare = sorted(rank for _, rank in self.found if rank)[:max(0, LONGEST - needed)]
        most = spare[-1] if spare else 0
        return "\n".join(line for line, rank in self.found if rank <= most)


def compose(spec: RunSpec, code: Code) -> Script:
    lines = Lines()
    lines.add(_opening(spec, code))
    _imports(lines, spec, code)
    lines.gap(2)
    _base(lines, spec, code)
    lines.gap(3)
    _method(lines, spec, code)
    _head(lines, spec)
    lines.gap(4)
    _optimizer(lines, spec, code)
    lines.gap(1)
    _loop(lines, spec, code)
    return Script(lines.joined())


def _opening(spec: RunSpec, code: Code) -> str:
    library = "peft" if code.config else "transformers"
    who = f"{spec.method.title} on {spec.base.title.partition(' (')[0]}, {spec.goal.title}"
    return f'"""{who[:56]}: a PEFT Lab run in plain {library}. Needs data.jsonl."""'


def _imports(lines: Lines, spec: RunSpec, code: Code) -> None:
    wanted = ["import json", "import sys", "import torch", *code.imports]
    if code.config:
        wanted.append(f"from peft import {code.config}")
        wanted.append("from peft import get_peft_model")
    kind = spec.shape.kind
    classes = [CLASSES[kind], *(() if kind == "vision" else ("AutoTokenizer",)), *(("BitsAndBytesConfig",) if spec.quantization else ()),
               *(("DataCollatorForSeq2Seq",) if spec.shape.writes else ())]
    wanted += [f"from transformers import {name}" for name in classes]
    if "8bit" in spec.optimizer:
        wanted.append("import bitsandbytes")
    standard = [line for line in wanted if line.split()[1] in ("json", "sys", "types")]
    lines.add(*_merged(standard))
    lines.gap(5)
    lines.add(*_merged(line for line in wanted if line not in standard))


def _merged(imports: Iterable[str]) -> list[str]:
    """`from x import a` and `from x import b` in one line; sorted as linters like it."""
    plain, found = [], {}
    for line in imports:
        if line.startswith("import "):
            plain.append(line)
        else:
            _, module, _, names = line.split(" ", 3)
            found.setdefault(module, set()).update(names.split(", "))
    return [*sorted(plain), *(f"from {module} import {', '.join(sorted(found[module]))}" for module in sorted(found))]


def _base(lines: Lines, spec: RunSpec, code: Code) -> None:
    where = "a name on the Hub, or a folder" if spec.base.hub else "the folder beside this file"
    lines.add(f"base = sys.argv[1] if sys.argv[1:] else {quoted(spec.base.hub or SEEDED)}  # {where}")
    if spec.device == "cuda":
        lines.add('torch.set_default_device("cuda")')
    kind, arguments = spec.shape.kind, []
    if kind != "vision":
        lines.add(f"tokenizer = AutoTokenizer.from_pretrained(base{', padding_side=' + quoted('right') if spec.shape.writes else ''})")
        if spec.shape.model_type in ("gpt2", "gpt_neox"):
            lines.add("tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token")
    if spec.base.config["model_type"] in ("bert", "vit"):
        arguments.append("add_pooling_layer=False")
    if spec.attention != "auto":
        arguments.append(f'attn_implementation="{spec.attention}"')
    if spec.quantization:
        settings = [f"{key}={_value(value)}" for key, value in QUANTIZED[spec.quantization].items()]
        settings += [f"bnb_4bit_compute_dtype={_dtype(spec)}"] if settings[0].startswith("load_in_4bit") else []
        lines.add(*call("bits = BitsAndBytesConfig(", settings, ")"))
        arguments += ["quantization_config=bits", f'device_map={{"": "{"cuda" if spec.device == "cuda" else "cpu"}"}}']
    lines.add(*call(f"model = {CLASSES[kind]}.from_pretrained(", ["base", f"dtype={_dtype(spec)}", *arguments], ")"))


def drops(spec: RunSpec) -> bool:
    """Whether anything is dropped at random while it trains; a config that does not say has transformers' default."""
    config, usual = spec.base.config, DROPPING.get(spec.shape.model_type, ())
    inside = any(config.get(name, 0.1) for name in usual) or any(value for name, value in config.items() if "drop" in name)
    return inside or bool(getattr(spec.method, "dropout", 0))


def _dtype(spec: RunSpec) -> str:
    """Of the weights: `auto`, which the lab measures, is float32 here; a method that moves the base keeps it there."""
    return "torch.bfloat16" if spec.dtype == "bfloat16" and not spec.method.trains_base else "torch.float32"


def _method(lines: Lines, spec: RunSpec, code: Code) -> None:
    lines.add(*code.before)
    if code.config:
        lines.add(f"torch.manual_seed({seed_for(spec.seed, 'adapter')})  # what the method draws at random, as in the lab")
        lines.add(f"# {spec.method.formula}", rank=6)
        lines.add(*call(f"model = get_peft_model(model, {_config_name(code)}(", _arguments(spec, code), "))"))
    elif spec.method.composition != "none":
        lines.add(f"# {spec.method.formula}", rank=6)
        lines.add(*_chosen(spec))
    lines.add(*code.after)
    if spec.checkpointing:
        lines.add('model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})  # less memory, more time',
                  "model.enable_input_require_grads()")
    if spec.adapter_dtype == "bfloat16":
        lines.add("for weight in [weight for weight in model.parameters() if weight.requires_grad]:", "    weight.data = weight.data.bfloat16()")


def _config_name(code: Code) -> str:
    roles = {role for name, role in PARTS.items() if name in code.arguments}
    return part(roles, code.config) if roles else code.config


def _arguments(spec: RunSpec, code: Code) -> list[str]:
    """peft's, in the order in which the method gives them; those that list modules come last, with names as short as they can be."""
    lists = {name: list(value) for name, value in code.arguments.items() if name in MODULES}
    told = []
    for name, value in code.arguments.items():
        if name not in lists:
            text = f"{name}={_value(value)}"
            told.append(part(PARTS[name], text) if name in PARTS else text)
    known = _names.modules(spec.shape)
    apart = lists.get("feedforward_modules", [])
    for name, paths in lists.items():  # a list that holds another one names what is in both by the same words
        items = _names.listed([path for path in paths if path not in apart], known) + _names.listed([path for path in paths if path in apart], known)
        one = re.fullmatch(r"\*\((.*)\)", items[0], re.DOTALL) if len(items) == 1 else None
        told.append(f"{name}=[{one[1] if one else ', '.join(items)}]")
    return told


def _value(value: Any) -> str:
    """As Python source; a float that is a whole number without its point."""
    if isinstance(value, Worked):
        return value.text
    if isinstance(value, str):
        return quoted(value)
    return repr(int(value)) if isinstance(value, float) and value.is_integer() else repr(value)


def _chosen(spec: RunSpec) -> list[str]:
    """A loop that lets the tensors of the base train which the method names, and no other."""
    shape, known = spec.shape, _names.parameters(spec.shape)
    chosen = {name for place in spec.method.places(shape) for name, _ in place.tensors}
    if chosen == set(known):
        return []
    if not chosen:
        return ["model.requires_grad_(False)  # nothing of the model moves"]
    layers = [layer for layer in range(shape.layers) if any(name.startswith(shape.block(layer) + ".") for name in chosen)]
    blocks = [f"{shape.block(layer)}." for layer in layers]
    if chosen == {name for name in known if name.startswith(tuple(blocks))}:
        how, names = "startswith", [f'"{block}"' for block in blocks]
    else:
        how = "endswith"
        names = [part(roles if len(roles) == 1 else (), quoted(ending if ending in known else f".{ending}"))
                 for ending, roles in _names.endings(sorted(chosen, key=list(known).index), known).items()]
    test = call(f"    weight.requires_grad_(name.{how}(", names, "))") if len(names) == 1 else call(f"    weight.requires_grad_(name.{how}((", names, ")))")
    return ["for name, weight in model.named_parameters():", *test]


def _head(lines: Lines, spec: RunSpec) -> None:
    if not spec.shape.writes:
        lines.add(f"torch.manual_seed({seed_for(spec.seed, 'head')})")
        layer = part("head", f"torch.nn.Linear({spec.shape.width}, {len(spec.goal.labels)})")
        lines.add(f"{part('head', 'head')} = {layer}  # from the mean over the {'patches' if spec.shape.kind == 'vision' else 'tokens'} to a label")


def _optimizer(lines: Lines, spec: RunSpec, code: Code) -> None:
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
    decay = f"weight_decay={spec.weight_decay:g}"
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


def _loop(lines: Lines, spec: RunSpec, code: Code) -> None:
    lines.add(f"model.train(){DRAWN_ANEW if drops(spec) else ''}")
    if spec.shape.writes:
        lines.add("collate = DataCollatorForSeq2Seq(tokenizer)  # fills a batch up to its longest text")
    what = "images" if spec.shape.kind == "vision" else "texts"
    lines.add(f'for step, line in enumerate(open("data.jsonl", encoding="utf-8"), 1):  # {spec.steps} lines, {spec.batch} {what} each',
              "    batch = json.loads(line)")
    lines.add(*(f"    {line}" for line in code.begin))
    kind = spec.shape.kind
    read, forward = _images(spec) if kind == "vision" else _written(spec) if spec.shape.writes else _features(spec)
    lines.add(*(f"    {line}" for line in read))
    mixed = spec.dtype == "bfloat16" and spec.method.trains_base
    if mixed:
        lines.add(f'    with torch.autocast("{"cuda" if spec.device == "cuda" else "cpu"}", torch.bfloat16):  # 16-bit arithmetic, 32-bit weights')
    lines.add(*(f"    {'    ' * mixed}{line}" for line in [*forward, *(() if spec.shape.writes else code.loss)]))
    lines.add("    loss.backward()")
    if spec.clip:
        lines.add(f"    torch.nn.utils.clip_grad_norm_({_weights(spec)}, {spec.clip:g})")
    lines.add("    optimizer.step()", *(f"    {line}" for line in code.step), "    schedule.step()", "    optimizer.zero_grad()")
    lines.add("    print(step, loss.item())")


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
        f"hidden = model(pixel_values=pixels{'.bfloat16()' if wide and _dtype(spec) == 'torch.bfloat16' else ''}).last_hidden_state{wide}",
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


def call(opening: str, arguments: Sequence[str], closing: str) -> list[str]:
    """In one line where it fits, else with the arguments below, filled up to the widest line."""
    whole = f"{opening}{', '.join(arguments)}{closing}"
    if len(_marks.plain(whole)) <= WIDEST:
        return [whole]
    indent = " " * (len(opening) - len(opening.lstrip()) + 4)
    rows = [indent]
    for place, argument in enumerate(arguments):
        piece = argument + (closing if place == len(arguments) - 1 else ",")
        if rows[-1] != indent and len(_marks.plain(f"{rows[-1]} {piece}")) > WIDEST:
            rows.append(indent + piece)
        else:
            rows[-1] += piece if rows[-1] == indent else f" {piece}"
    return [opening, *rows]
