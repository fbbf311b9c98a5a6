"""The catalogues as plain JSON values: what the command line prints, and what the page makes its forms from."""
from __future__ import annotations

import os
import platform
import re
import sys
from dataclasses import asdict
from functools import cache
from typing import Any

from lab import catalogue
from lab.accounting.shapes import shape_of
from lab.contracts import Method, Model, Task
from lab.lens import Lens


def knobs(method: type[Method] | type[Lens]) -> list[dict[str, Any]]:
    """Each knob with its type, default, limits or choices, help and peft's own name."""
    schema = _schema(method)
    found = []
    for name, about in schema.items():
        field = method.model_fields[name]
        choices = about.get("enum")
        found.append({
            "name": name, "type": about.get("type", "string"), "default": method.model_construct().model_dump(mode="json")[name],
            "low": about.get("minimum"), "high": about.get("maximum"), "choices": choices, "help": field.description,
            "of": about.get("choices"), "peft": about.get("peft"), "advanced": bool(about.get("advanced")),
        })
    return found


@cache
def _schema(method: type[Method] | type[Lens]) -> dict[str, Any]:
    """Made once: it takes 10 ms, and every row of a history asks for it. Nothing of it is changed."""
    return method.model_json_schema()["properties"] if method.model_fields else {}


def about(kind: type[Method]) -> str:
    """What it does, in the words of its docstring's first paragraph; what follows there is for readers of the code."""
    return " ".join((kind.__doc__ or "").split("\n\n")[0].split())


def equation(kind: type[Method]) -> list[str]:
    """The equation, then shapes and start values: the indented lines of its file's docstring, cut where two spaces part them."""
    lines = [line for line in (sys.modules[kind.__module__].__doc__ or "").splitlines() if line.startswith("    ")]
    return [part.strip().rstrip(",;") for line in lines for part in re.split(r"\s{2,}", line.strip())] or [kind.formula]


def method(kind: type[Method]) -> dict[str, Any]:
    supports = {}
    for key, model in catalogue.entries("models").items():
        answer = kind().supports(shape_of(model.config))
        supports[key] = {"ok": answer.ok, "reason": answer.reason}
    return {
        "key": kind.key, "title": kind.title, "about": about(kind), "family": kind.family, "composition": kind.composition,
        "formula": kind.formula, "equation": equation(kind), "paper": asdict(kind.paper), "merges": kind.merges, "fixed": dict(kind.fixed),
        "strengths": kind.strengths, "weaknesses": kind.weaknesses, "latency": kind.latency(), "quantizable": kind.quantizable,
        "needs_biases": kind.needs_biases,
        "learning_rates": {name: asdict(rate) for name, rate in kind.rates.items()}, "knobs": knobs(kind), "supports": supports,
    }


def model(entry: Model) -> dict[str, Any]:
    shape = shape_of(entry.config)
    return {
        "key": entry.key, "title": entry.title, "about": entry.about, "kind": entry.kind, "licence": entry.licence, "hub": entry.hub,
        "package": f"{entry.package.name}=={entry.package.version}" if entry.package else None, "seeded": entry.seeded,
        "origin": entry.origin, "needs_hub": entry.needs_hub,
        "parameters": shape.total, "layers": shape.layers, "width": shape.width, "heads": shape.heads, "kv_heads": shape.kv_heads,
        "vocabulary": shape.vocabulary, "positions": shape.positions, "defaults": dict(entry.defaults),
    }


def task(entry: Task) -> dict[str, Any]:
    return {
        "key": entry.key, "title": entry.title, "about": entry.about, "rule": entry.rule, "licence": entry.licence, "source": entry.source,
        "origin": entry.origin, "needs_hub": entry.needs_hub, "hub": entry.hub.repository if entry.hub else None,
        "labels": list(entry.labels), "words": list(entry.words), "metric": entry.metric, "prompt": entry.prompt,
        "majority": 1 / len(entry.labels) if entry.labels else None,  # every set holds each label equally often
        "writes": entry.writes, "answer_tokens": entry.answer_tokens, "metrics": [entry.metric, *entry.metrics], "defaults": dict(entry.defaults),
        "fits": {key: asdict(entry.fits(model.kind)) for key, model in catalogue.entries("models").items()},
        "package": f"{entry.package.name}=={entry.package.version}" if entry.package else None,
    }


def lens(kind: type[Lens]) -> dict[str, Any]:
    return {"key": kind.key, "title": kind.title, "kind": kind.kind, "about": kind.about, "source": kind.source, "knobs": knobs(kind)}


def devices() -> list[dict[str, Any]]:
    """What this machine can run on: the CPU, and each GPU that torch sees. Loads torch."""
    import psutil
    import torch

    found = [{"key": "cpu", "title": platform.processor() or platform.machine(), "cores": os.cpu_count(), "bytes": psutil.virtual_memory().total}]
    for place in range(torch.cuda.device_count()):
        about = torch.cuda.get_device_properties(place)
        found.append({"key": f"cuda:{place}", "title": about.name, "cores": about.multi_processor_count, "bytes": about.total_memory})
    return found


def catalogue_rows(folder: str) -> list[dict[str, Any]]:
    """Every entry of a catalogue folder, described; first what any machine can have, and real models before seeded ones."""
    how = {"models": model, "methods": method, "tasks": task, "lenses": lens}[folder]
    rows = [how(entry) for entry in catalogue.entries(folder).values()]
    return sorted(rows, key=lambda row: (row.get("needs_hub", False), row.get("seeded", False)))
