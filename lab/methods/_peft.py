"""What the methods that peft implements share: a config that is printed and attached, peft's own folder to save and load."""
from __future__ import annotations

from pathlib import Path
from typing import Any

from lab.contracts import Base, Code, Format, Shape, Worked


def task_type(shape: Shape) -> str:
    """peft's word for what the model returns: features, or words."""
    return {"encoder": "FEATURE_EXTRACTION", "vision": "FEATURE_EXTRACTION", "decoder": "CAUSAL_LM", "seq2seq": "SEQ_2_SEQ_LM"}[shape.kind]


def code(base: Base, config: str, **arguments: Any) -> Code:
    """peft's config by the name of its class; arguments that are None are left to peft's defaults."""
    given = {"task_type": task_type(base.shape), **arguments}
    return Code(config, {name: value for name, value in given.items() if value is not None})


def rates(**multiples: float) -> tuple[str, ...]:
    """Parameter groups by a part of the names, each with its multiple of the learning rate."""
    told = ", ".join(f'"{part}": LR' if rate == 1 else f'"{part}": {rate!r} * LR' for part, rate in multiples.items())
    return (f"rates = {{{told}}}",
            'groups = [{"params": [w for n, w in model.named_parameters() if part in n and w.requires_grad], "lr": rate}',
            "          for part, rate in rates.items()]")


def attach(base: Base, code: Code) -> Any:
    """Wrap the base; everything but the adapter is frozen, and adapters are float32 whatever the base is."""
    import peft

    arguments = {name: value.value(base) if isinstance(value, Worked) else value for name, value in code.arguments.items()}
    return peft.get_peft_model(base.module, getattr(peft, code.config)(**arguments))


def save(module: Any, folder: Path) -> None:
    """peft's folder: adapter_config.json and adapter_model.safetensors. Embeddings are never part of it."""
    module.save_pretrained(str(folder), save_embedding_layers=False)


def load(model, folder):
    from peft import PeftModel

    return PeftModel.from_pretrained(model, str(folder))


FORMAT = Format(key="peft", save=save, load=load)
