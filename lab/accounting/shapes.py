"""The sizes of a model from its transformers config: covers configs nobody has weights of.

Sizes are those of the bare encoder without pooler, or of the language model with its output layer.
"""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab.accounting.architectures import ARCHITECTURES
from lab.contracts import Kind, LabError, Shape, shorten


def shape_of(config: Mapping[str, Any]) -> Shape:
    """Raises LabError for an unknown architecture or for sizes that fit no model."""
    model_type = config.get("model_type")
    if not isinstance(model_type, str) or model_type not in ARCHITECTURES:
        raise LabError(f'the config\'s model_type is "{shorten(model_type)}": the lab knows {", ".join(ARCHITECTURES)}')
    if config.get("add_cross_attention"):
        raise LabError("add_cross_attention of the config is true: the lab counts such a model only without it; leave it out")
    return ARCHITECTURES[model_type](config)


def kind_of(config: Mapping[str, Any]) -> Kind:
    return shape_of(config).kind
