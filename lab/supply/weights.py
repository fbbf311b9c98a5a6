"""Make a `from_pretrained` folder here: weights drawn from a seed, or a GGUF file converted once to bf16 safetensors."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import util
from pathlib import Path
from typing import Any

from lab.contracts import Model, Unavailable

SEED = 0
CLASSES = {"encoder": "AutoModel", "vision": "AutoModel", "decoder": "AutoModelForCausalLM", "seq2seq": "AutoModelForSeq2SeqLM"}
QUANTIZED: dict[str, dict[str, Any]] = {  # arguments of transformers' BitsAndBytesConfig
    "nf4": {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"},
    "nf4_double": {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True},
    "fp4": {"load_in_4bit": True, "bnb_4bit_quant_type": "fp4"},
    "int8": {"load_in_8bit": True},
}
RECIPE = 1  # raise it when what this file writes changes: folders of older recipes are made anew


def seeded(model: Model, folder: Path) -> None:
    """The same numbers every time on the same torch, and without touching the random state of whoever calls."""
    import torch
    import transformers
    from transformers import AutoConfig

    sizes = {key: value for key, value in model.config.items() if key != "model_type"}
    config = AutoConfig.for_model(model.config["model_type"], **sizes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        made = getattr(transformers, CLASSES[model.kind]).from_config(config, dtype=torch.float32)
    if getattr(made, "pooler", None) is not None:
        made.pooler = None  # the lab pools over the tokens itself
    with _no_bars():
        made.save_pretrained(folder)
    if model.tokenizer is not None:
        model.tokenizer(folder)


def from_gguf(source: Path, file: str, folder: Path) -> None:
    """Reading GGUF takes a quarter of a minute each time; from the bf16 safetensors written here it takes a moment."""
    if util.find_spec("gguf") is None:
        raise Unavailable(f"{file} is read with the package gguf, which this Python has not: run `pip install gguf`")
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with _no_bars():
        made = AutoModelForCausalLM.from_pretrained(source, gguf_file=file, dtype=torch.bfloat16)
        _as_plain(made)
        made.save_pretrained(folder)
    AutoTokenizer.from_pretrained(source, gguf_file=file).save_pretrained(folder)


def _as_plain(made: Any) -> None:
    """The numbers are plain bf16 by now, but the model still says that it is quantised, and could not be saved."""
    if hasattr(made.config, "quantization_config"):
        del made.config.quantization_config
    made.hf_quantizer, made.is_quantized, made.quantization_method = None, False, None


@contextmanager
def _no_bars() -> Iterator[None]:
    """The lab tells what happens by events, not on the terminal."""
    from transformers.utils import logging

    shown, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if shown:
            logging.enable_progress_bar()
