"""What the methods that peft implements share: attach a config, save and load peft's own folder."""
from __future__ import annotations

from pathlib import Path
from typing import Any

from lab.contracts import Base, Format, Shape


def task_type(shape: Shape) -> str:
    """peft's word for what the model returns: features, or words."""
    return {"encoder": "FEATURE_EXTRACTION", "vision": "FEATURE_EXTRACTION", "decoder": "CAUSAL_LM", "seq2seq": "SEQ_2_SEQ_LM"}[shape.kind]


def attach(base: Base, config: Any) -> Any:
    """Wrap the base; everything but the adapter is frozen, and adapters are float32 whatever the base is."""
    from peft import get_peft_model

    return get_peft_model(base.module, config)


def save(module: Any, folder: Path) -> None:
    """peft's folder: adapter_config.json and adapter_model.safetensors. Embeddings are never part of it."""
    module.save_pretrained(str(folder), save_embedding_layers=False)


def load(model, folder):
    from peft import PeftModel

    return PeftModel.from_pretrained(model, str(folder))


FORMAT = Format(key="peft", save=save, load=load)
