"""The first half of a script, from a spec and what its method says for itself: imports, base, method."""
from __future__ import annotations

import re
from collections.abc import Iterable

from lab.contracts import Code
from lab.export import _names, _training
from lab.export._lines import Lines, Script, call, source
from lab.export._marks import part
from lab.methods._starts import quoted
from lab.seeds import seed_for
from lab.spec import RunSpec
from lab.supply.weights import CLASSES, QUANTIZED

MODULES = ("target_modules", "feedforward_modules")
SEEDED = "base"  # the folder with the weights of a model that is made from a seed; it comes with the script
PARTS = {"num_virtual_tokens": "prompt", "adapter_len": "prompt", "token_indices": "embedding"}  # arguments that speak of a part of the model


def compose(spec: RunSpec, code: Code) -> Script:
    lines = Lines()
    lines.add(_opening(spec, code))
    _imports(lines, spec, code)
    lines.gap(2)
    _base(lines, spec, code)
    lines.gap(3)
    _method(lines, spec, code)
    _training.head(lines, spec)
    lines.gap(4)
    _training.optimizer(lines, spec, code)
    lines.gap(1)
    _training.loop(lines, spec, code)
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
        settings = [f"{key}={source(value)}" for key, value in QUANTIZED[spec.quantization].items()]
        settings += [f"bnb_4bit_compute_dtype={_training.weights_dtype(spec)}"] if settings[0].startswith("load_in_4bit") else []
        lines.add(*call("bits = BitsAndBytesConfig(", settings, ")"))
        arguments += ["quantization_config=bits", f'device_map={{"": "{"cuda" if spec.device == "cuda" else "cpu"}"}}']
    lines.add(*call(f"model = {CLASSES[kind]}.from_pretrained(", ["base", f"dtype={_training.weights_dtype(spec)}", *arguments], ")"))


def _method(lines: Lines, spec: RunSpec, code: Code) -> None:
    lines.add(*code.before)
    if code.config:
        lines.add(f"torch.manual_seed({seed_for(spec.seed, 'adapter')})  # what the method draws at random, as in the lab")
        lines.add(f"# {spec.method.formula}", rank=6)
        lines.add(*call(f"model = get_peft_model(model, {_config_name(code)}(", _arguments(spec, code), "))"))
    elif spec.method.composition != "none":
        lines.add(f"# {spec.method.formula}", rank=6)
        lines.add(*_chosen(spec))
    if spec.dtype == "bfloat16" and spec.method.only_vectors and spec.adapter_dtype != "bfloat16":
        lines.add("for weight in [weight for weight in model.parameters() if weight.dim() == 1]:",
                  "    weight.data = weight.data.float()  # the matrices stay in 16 bits")
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
            text = f"{name}={source(value)}"
            told.append(part(PARTS[name], text) if name in PARTS else text)
    known = _names.modules(spec.shape)
    apart = lists.get("feedforward_modules", [])
    for name, paths in lists.items():  # a list that holds another one names what is in both by the same words
        items = _names.listed([path for path in paths if path not in apart], known) + _names.listed([path for path in paths if path in apart], known)
        one = re.fullmatch(r"\*\((.*)\)", items[0], re.DOTALL) if len(items) == 1 else None
        told.append(f"{name}=[{one[1] if one else ', '.join(items)}]")
    return told


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
