"""The lines that load a saved adapter and ask it, printed in the adapter's README: plain transformers, torch and peft, nothing of the lab."""
from __future__ import annotations

import inspect

from lab.engine import quantized
from lab.spec import RunSpec
from lab.supply.weights import CLASSES

PLAINLY = """
    for layer in model.modules():
        layer.support_avx512bf16_for_cpu = False  # or else some CPUs compute in bfloat16, and fail on small matrices"""


def script(spec: RunSpec) -> str:
    """Imports, the method's own `load`, and one function that takes texts (or images) and gives logits or written answers."""
    kind, task = spec.shape.kind, spec.goal
    classes = [CLASSES[kind], *([] if kind == "vision" else ["AutoTokenizer"]), *(["BitsAndBytesConfig"] if spec.quantization else [])]
    asking = _images if kind == "vision" else _features if kind == "encoder" else _written if task.writes else _chosen
    return f"from transformers import {', '.join(sorted(classes))}\n\n{inspect.getsource(spec.method.format.load)}\n{_chooser(spec)}{asking(spec)}"


def short(spec: RunSpec) -> str:
    """Six lines for who knows peft; nothing where its own loader does not do. They leave base, tokenizer and model, and the head where there is one."""
    kind = spec.shape.kind
    if spec.method.format.key != "peft" or spec.quantization or kind == "vision":
        return ""
    pooler = ", add_pooling_layer=False" if spec.base.config["model_type"] == "bert" else ""
    head = kind == "encoder"
    return "\n".join(["from peft import PeftModel", *(["from safetensors.torch import load_file"] if head else []),
                      f"from transformers import {', '.join(sorted((CLASSES[kind], 'AutoTokenizer')))}",
                      f"base, folder = {_base(spec)}, \".\"",
                      *([] if head else ["tokenizer = AutoTokenizer.from_pretrained(base)"]),
                      f"model = PeftModel.from_pretrained({CLASSES[kind]}.from_pretrained(base{pooler}), folder).eval()",
                      *(['head = load_file(f"{folder}/head.safetensors")  # of the mean over the real tokens, as above'] if head else [])])


def _base(spec: RunSpec) -> str:
    return repr(spec.base.hub or "the folder of the base model")


def _model(spec: RunSpec) -> str:
    """The line that puts the adapter on the base."""
    how = ", add_pooling_layer=False" if spec.base.config["model_type"] in ("bert", "vit") else ""
    plainly = ""
    if spec.quantization:
        settings = quantized.FORMATS[spec.quantization]
        how += f", quantization_config=BitsAndBytesConfig({', '.join(f'{key}={value!r}' for key, value in settings.items())})"
        plainly = PLAINLY if "load_in_4bit" in settings else ""
    return f"model = load({CLASSES[spec.shape.kind]}.from_pretrained(base{how}), folder).eval(){plainly}"


def _features(spec: RunSpec) -> str:
    return f"""def classify(texts, folder=".", base={_base(spec)}):
    import torch
    from safetensors.torch import load_file

    tokenizer = AutoTokenizer.from_pretrained(base)
    {_model(spec)}
    head = load_file(f"{{folder}}/head.safetensors")
    batch = tokenizer(texts, return_tensors="pt", padding=True, truncation=True, max_length={spec.tokens})
    with torch.no_grad():
        hidden = model(**{{key: batch[key] for key in ("input_ids", "attention_mask")}}).last_hidden_state
    mask = batch["attention_mask"].unsqueeze(-1)
    hidden = hidden[:, -mask.shape[1]:].float()  # virtual tokens, if any, stand in front
    return (hidden * mask).sum(1) / mask.sum(1) @ head["weight"].T + head["bias"]  # logits for {list(spec.goal.labels)}"""


def _images(spec: RunSpec) -> str:
    return f"""def classify(images, folder=".", base={_base(spec)}):
    import torch
    from safetensors.torch import load_file

    {_model(spec)}
    head = load_file(f"{{folder}}/head.safetensors")
    pixels = torch.tensor(images).unsqueeze(1) / {spec.goal.inks / 2} - 1  # (batch, 1, rows, columns) from 0 to {spec.goal.inks}
    with torch.no_grad():
        hidden = model(pixel_values=pixels).last_hidden_state.float()
    patches = (model.config.image_size // model.config.patch_size) ** 2
    return hidden[:, -patches:].mean(1) @ head["weight"].T + head["bias"]  # logits for {list(spec.goal.labels)}"""


def _chooser(spec: RunSpec) -> str:
    """The function that chooses solved examples for a text, where they are not the same for all."""
    choosing = spec.method.choosing()
    return f"\n{inspect.getsource(choosing.func)}\n" if choosing else ""


def _prompts(spec: RunSpec) -> str:
    """Solved examples, where the method shows some, and the question."""
    choosing, begin = spec.method.choosing(), f"""shots = json.loads(Path(folder, "shots.json").read_text()) if Path(folder, "shots.json").exists() else []
    ask = {spec.question.prompt!r}"""
    if choosing is None:
        return f"""{begin}
    shown = "".join(ask.format(text=shot["text"]) + shot["answer"] + "\\n\\n" for shot in shots)
    prompts = [shown + ask.format(text=text) for text in texts]"""
    labels = "0" if spec.goal.writes else 'words.index(shot["answer"])'
    how = "".join(f", {name}={value!r}" for name, value in choosing.keywords.items())
    return f"""{begin}
    choose = {choosing.func.__name__}([shot["text"] for shot in shots], [{labels} for shot in shots]{how})
    shown = [[shots[place] for place in choose(text)] for text in texts]
    prompts = ["".join(ask.format(text=shot["text"]) + shot["answer"] + "\\n\\n" for shot in some) + ask.format(text=text)
               for some, text in zip(shown, texts)]"""


def _chosen(spec: RunSpec) -> str:
    last = "logits[0, -1, answers]"
    asked = f'model(**tokenizer(prompt, return_tensors="pt")).{last}'
    if spec.shape.kind == "seq2seq":
        asked = f'model(**tokenizer(prompt, return_tensors="pt"), decoder_input_ids=start).{last}'
    start = "\n    start = torch.tensor([[model.config.decoder_start_token_id]])" if spec.shape.kind == "seq2seq" else ""
    return f"""def classify(texts, folder=".", base={_base(spec)}, words={list(spec.goal.words)!r}):
    import json
    from pathlib import Path

    import torch

    tokenizer = AutoTokenizer.from_pretrained(base)
    {_model(spec)}{start}
    {_prompts(spec)}
    answers = [tokenizer(word, add_special_tokens=False)["input_ids"][0] for word in words]
    with torch.no_grad():
        rows = [{asked} for prompt in prompts]
    return torch.stack(rows)  # logits for {list(spec.goal.labels)}"""


def _written(spec: RunSpec) -> str:
    written = "rows[0]" if spec.shape.kind == "seq2seq" else 'rows[0, batch["input_ids"].shape[1]:]'
    return f"""def write(texts, folder=".", base={_base(spec)}, stop={list(spec.goal.stop)!r}):
    import json
    import re
    from pathlib import Path

    tokenizer = AutoTokenizer.from_pretrained(base)
    {_model(spec)}
    {_prompts(spec)}
    answers = []
    for prompt in prompts:
        batch = tokenizer(prompt, return_tensors="pt")
        rows = model.generate(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], max_new_tokens={spec.goal.answer_tokens}, do_sample=False,
                              pad_token_id=tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id)
        text = tokenizer.decode({written}, skip_special_tokens=True)
        answers.append(re.split("|".join(map(re.escape, stop)), text.strip())[0].strip())
    return answers"""
