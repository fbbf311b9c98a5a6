"""The sizes of a model from its transformers config: covers configs nobody has weights of.

Sizes are those of the bare encoder without pooler, or of the language model with its output layer.
"""
from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

from lab.accounting.architectures import ARCHITECTURES
from lab.contracts import Kind, LabError, Linear, Shape, shorten

KEPT = 64  # shapes; the largest, of 80 blocks, has a thousand tensors
ENDINGS = {"encoder": ("ForSequenceClassification", "Model"), "decoder": ("ForCausalLM", "LMHeadModel"), "seq2seq": ("ForConditionalGeneration",),
           "vision": ("ForImageClassification", "Model")}
POOLED = {"ForSequenceClassification": ("bert",), "Model": ("bert", "roberta", "xlm-roberta", "vit")}  # classes that put a pooler on, which is of the base
INNER = ("roberta", "xlm-roberta", "distilbert")  # their classifiers have a layer of their own in front


def shape_of(config: Mapping[str, Any]) -> Shape:
    """Raises LabError for an unknown architecture or for sizes that fit no model. Equal configs share one: it is asked for at every turn."""
    try:
        return _shape_of(json.dumps(dict(config), default=repr))
    except RecursionError:
        raise LabError("the config is nested too deeply") from None


@lru_cache(KEPT)
def _shape_of(text: str) -> Shape:
    config = json.loads(text)
    model_type = config.get("model_type")
    if not isinstance(model_type, str) or model_type not in ARCHITECTURES:
        said = "missing" if model_type is None else f'"{shorten(model_type)}"'
        raise LabError(f"the config's model_type is {said}: the lab knows {', '.join(ARCHITECTURES)}")
    if config.get("add_cross_attention"):
        raise LabError("add_cross_attention of the config is true: the lab counts such a model only without it; leave it out")
    return ARCHITECTURES[model_type](config)


def shape_of_class(config: Mapping[str, Any], named: Any) -> Shape:
    """The sizes of the transformers class that is named, with the pooler that some have; None stands for what the lab itself would run.

    Raises LabError for a class that is not this config's, or whose tensors are not counted here.
    """
    shape = shape_of(config)
    if named is None:
        return shape
    family, endings = shape.model_type.removesuffix("_text").replace("-", "").replace("_", ""), ENDINGS[shape.kind]
    name = named.lower() if isinstance(named, str) else ""
    if name not in {f"{start}{ending.lower()}" for start in (family, "auto", "automodel") for ending in endings}:
        raise LabError(f'class is "{shorten(named)}": of a {shape.model_type} config those ending in {" or ".join(endings)} are counted; or leave class out')
    ending = next(ending for ending in endings if name.endswith(ending.lower()))
    if shape.model_type not in POOLED.get(ending, ()):
        return shape
    return replace(shape, linears=(*shape.linears, Linear("pooler", None, "pooler.dense", shape.width, shape.width, True)))


def inner_head(shape: Shape, named: Any) -> int:
    """Parameters of a layer that the named class has between the features and its classifier, as new as that."""
    inner = isinstance(named, str) and named.endswith("ForSequenceClassification") and shape.model_type in INNER
    return (shape.width + 1) * shape.width if inner else 0


def kind_of(config: Mapping[str, Any]) -> Kind:
    return shape_of(config).kind
