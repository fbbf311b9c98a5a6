"""What the page sends, turned into steps to foretell: a model from one of three places, up to four methods, and the settings they share."""
from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lab import catalogue
from lab.accounting.presets import preset
from lab.accounting.shapes import shape_of
from lab.contracts import LabError, Shape, shorten
from lab.forecast.order import Order
from lab.spec import RunSpec

LARGEST_CONFIG_BYTES = 200_000
MOST_METHODS = 4
LABELS = 2  # classes of the head that a model without words of its own gets
NAMES_ONLY = ("id2label", "label2id")  # long lists of words that no size depends on
SHARED = {"batch": 4, "tokens": 512, "dtype": "bfloat16", "optimizer": "adamw_fused", "quantization": None, "checkpointing": False, "attention": "auto",
          "adapter_dtype": "auto", "device": "NVIDIA T4"}


@dataclass(frozen=True)
class Chosen:
    """A model as the page shows it: `spec` is what stands for it in a spec."""

    title: str
    spec: str | dict[str, Any]
    shape: Shape


def chosen(wanted: Any) -> Chosen:
    """{"preset": key}, {"lab": key} or {"config": {…}, "title"}."""
    wanted = wanted if isinstance(wanted, Mapping) else {}
    if "lab" in wanted:
        model = catalogue.find("models", wanted["lab"])
        return Chosen(model.title.partition(" (")[0], model.key, shape_of(model.config))
    if "preset" in wanted:
        known = preset(wanted["preset"])
        return _bare(known.title, known.config)
    if not isinstance(wanted.get("config"), Mapping):
        raise LabError("no model is chosen: take one of the list, or paste the config.json of another")
    return _bare(shorten(wanted.get("title") or f"your {wanted['config'].get('model_type')}", 60), wanted["config"])


def _bare(title: str, config: Mapping[str, Any]) -> Chosen:
    shape = shape_of(config)
    return Chosen(title.strip('"'), {"config": dict(config), **({} if shape.writes else {"num_labels": LABELS})}, shape)


def pasted(text: Any) -> dict[str, Any]:
    """A config.json as text: its names and values, checked. Raises LabError."""
    text = text if isinstance(text, str) else ""
    if len(text.encode()) > LARGEST_CONFIG_BYTES:
        raise LabError(f"this text has {len(text):,} characters: a config.json has a few thousand, and {LARGEST_CONFIG_BYTES:,} at most are read here")
    if not text.strip():
        raise LabError("nothing was pasted: open a model's config.json, copy all of it, and paste it here")
    try:
        config = json.loads(text)
    except json.JSONDecodeError as error:
        raise LabError(f"this is not JSON: {error.msg} in line {error.lineno}, column {error.colno}. Paste the whole file, from {{ to }}") from None
    except RecursionError:
        raise LabError("this is nested too deeply for a config.json") from None
    if not isinstance(config, dict):
        raise LabError("this is no config.json: it has to be an object of names and values, from { to }")
    return checked(config)


def checked(config: Mapping[str, Any]) -> dict[str, Any]:
    """The config without what no size depends on. Raises LabError where no model has such sizes."""
    kept = {key: value for key, value in config.items() if key not in NAMES_ONLY}
    shape_of(kept)
    return kept


def methods(asked: Mapping[str, Any]) -> list[dict[str, Any]]:
    wanted = asked.get("methods")
    if not isinstance(wanted, list) or not 1 <= len(wanted) <= MOST_METHODS:
        raise LabError(f"methods are {len(wanted) if isinstance(wanted, list) else 'missing'}: choose 1 to {MOST_METHODS}")
    return [method if isinstance(method, Mapping) else {"name": method} for method in wanted]


def step_of(spec: RunSpec) -> dict[str, Any]:
    """What the page sends for one step of a run as the lab makes it, on this machine."""
    settings = spec.to_dict()
    return {"model": {"lab": spec.model}, "methods": [settings["method"]], **{name: settings[name] for name in SHARED}, "device": "cpu"}


def order(asked: Mapping[str, Any], model: Chosen, method: Mapping[str, Any]) -> Order:
    """One step to foretell. What a method fixes, it fixes here too. Raises LabError in the lab's words."""
    kind = catalogue.find("methods", method.get("name"))
    shared = {name: asked.get(name, usual) for name, usual in SHARED.items()}
    shared["quantization"] = shared["quantization"] or None
    return Order.parse({"model": model.spec, "method": dict(method), **{name: value for name, value in shared.items() if name not in kind.fixed}})
