"""The bars: a row for each method, the GPUs as lines on a common scale, and one sentence made from the student's own numbers."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lab.accounting.devices import CONTEXT_BYTES, GB, GPUS, Device, fits, reserved
from lab.contracts import GROUPS, LabError, Method, Shape, listing
from lab.forecast.order import Order
from lab.ui import charts
from lab.ui.formula import ROLE_WORDS
from lab.ui.memory.asked import Chosen
from lab.ui.memory.menus import LARGEST, bytes_said, knobs
from lab.ui.wording import percent, whole

FITS = {"fits": "fits on", "tight": "only just fits on", "too_large": "too large for"}
REACH = 2.2  # a GPU's line is shown up to so many times the longest bar


def row(order: Order, found: Mapping[str, Any], state: str) -> dict[str, Any]:
    """One method's bar. `state` is exact, static (no trace was possible) or estimate (until the trace has come)."""
    spec, counts = order.spec, order.spec.counts
    parts = [{"name": part, "bytes": found["parts"].get(part, 0), "text": bytes_said(found["parts"].get(part, 0)), "colour": charts.PARTS[part]}
             for part in charts.PARTS]
    peak, fitting = found["peak_bytes"], fits(found["peak_bytes"], order.device)
    return {
        "method": spec.method.settings(), "title": spec.method.title, "colour": charts.colour(spec.method.key), "state": state,
        "trainable": whole(counts.trainable), "share": percent(counts.trainable / counts.total), "total": whole(counts.total), "head": whole(counts.head),
        "frozen": whole(counts.frozen), "of_method": whole(counts.method), "peak": bytes_said(peak), "bytes": peak, "parts": parts,
        "beside": _beside(peak, order.device), "verdict": verdict(peak, order.device) if state != "static" else lower_bound(peak, order.device),
        "fits": fitting if state != "static" or fitting == "too_large" else "", "format": formats(order), "where": where(spec.method, spec.shape),
        "knobs": knobs(spec.method, spec.shape),
    }


def refused(method: Mapping[str, Any], title: str, error: LabError) -> dict[str, Any]:
    """A method that this model or these settings do not take, with the reason."""
    text = str(error)
    return {"method": dict(method), "title": title, "colour": charts.colour(str(method.get("name"))), "state": "refused", "reason": text[:1].upper() + text[1:]}


def formats(order: Order) -> str:
    """What numbers the base has, in two words: methods may decide it themselves."""
    names = {"nf4": "4-bit base", "nf4_double": "4-bit base", "fp4": "4-bit base", "int8": "8-bit base"}
    return names.get(order.spec.quantization or "", "16 bits" if order.spec.dtype == "bfloat16" else "32 bits")


def where(method: Method, shape: Shape) -> str:
    """Which matrices a method works on, and its rank, so that a bar is not compared with one of other targets unknowingly: r = 8 on query and value."""
    settings = method.model_dump()
    if "targets" not in settings:
        return ""
    roles = {linear.role for linear in shape.select(settings["targets"])}
    here = [linear.role for linear in shape.linears if linear.layer is not None]
    groups = {"all linears": here, "all of attention": GROUPS["attention"], "the feed-forward part": GROUPS["ffn"]}
    whole_group = next((words for words, group in groups.items() if roles == set(here) & set(group)), None)
    on_what = whole_group or listing([ROLE_WORDS.get(role, role) for role in dict.fromkeys(here) if role in roles])
    return f"r = {settings['rank']} on {on_what}" if "rank" in settings else f"on {on_what}"


def _beside(peak: int, device: Device) -> dict[str, Any] | None:
    """What a GPU needs beside the tensors: what torch's allocator holds back at most, and CUDA itself."""
    if not device.gpu:
        return None
    extra = reserved(peak)["reserved_most_bytes"] - peak + CONTEXT_BYTES
    return {"bytes": extra, "text": bytes_said(extra), "end": peak + extra}


def verdict(peak: int, device: Device) -> str:
    """fits on a T4; too large for a T4, fits on an A100 80GB."""
    if not device.gpu:
        return ""
    here = fits(peak, device)
    said = f"{FITS[here]} {on(device)}" if here else ""
    if here == "fits":
        return said
    enough = next((gpu for gpu in sorted(GPUS, key=lambda gpu: gpu.bytes) if fits(peak, gpu) == "fits"), None)
    other = f"fits on {on(enough)}" if enough else f"and for any single GPU: {-(-peak // (141 * GB))} H200 or more"
    return ", ".join(part for part in (said, other) if part)


def lower_bound(peak: int, device: Device) -> str:
    return f"at least; {verdict(peak, device)}" if fits(peak, device) == "too_large" else "at least: activations could not be traced"


def on(device: Device) -> str:
    """a T4, an L40S, a GPU of 12 GB"""
    name = device.key.removeprefix("NVIDIA ") if device.key.startswith("NVIDIA") else f"GPU of {device.key}"
    return f"an {name}" if name[0] in "ALHR" else f"a {name}"


def scale(rows: Sequence[Mapping[str, Any]], device: Device) -> dict[str, Any]:
    """How many bytes the width of the picture stands for, and the GPUs' lines within it; the chosen one is kept in sight where that is possible."""
    ends = [each["beside"]["end"] if each.get("beside") else each["bytes"] for each in rows if "bytes" in each]
    longest = max(ends, default=1)
    lines = gpus(device) if device.gpu else []
    within = [line for line in lines if line["bytes"] <= REACH * longest]
    most = max([1.06 * longest, *(1.04 * line["bytes"] for line in within if line["bytes"] <= _next(lines, longest))])
    return {"bytes": most, "lines": [line for line in lines if line["bytes"] <= most], "ticks": ticks(most)}


def _next(lines: Sequence[Mapping[str, Any]], longest: int) -> int:
    """The first line behind the longest bar; the chosen GPU's too, where it is near enough."""
    behind = [line["bytes"] for line in lines if line["bytes"] >= longest]
    mine = [line["bytes"] for line in lines if line["chosen"]]
    return max([*behind[:1], *mine, 0])


def gpus(device: Device) -> list[dict[str, Any]]:
    """One line for each size of memory."""
    by_size: dict[int, list[str]] = {}
    for gpu in GPUS:
        by_size.setdefault(gpu.bytes, []).append(gpu.key.removeprefix("NVIDIA "))
    if device.bytes and device.bytes not in by_size:
        by_size[device.bytes] = ["your GPU"]
    lines = []
    for amount, names in sorted(by_size.items()):
        mine = device.bytes == amount
        name = device.key.removeprefix("NVIDIA ") if mine and device in GPUS else names[0]
        lines.append({"bytes": amount, "name": name, "size": f"{amount / GB:g} GB", "chosen": mine, "about": f"{amount / GB:g} GB: {', '.join(names)}"})
    return lines


def ticks(most: float) -> list[dict[str, Any]]:
    """Three to six round numbers under the bars, from zero."""
    unit = next(worth for worth in (1e12, 1e9, 1e6, 1e3, 1.0) if most >= worth or worth == 1.0)
    step = next(digit * 10.0**power for power in range(-1, 4) for digit in (1, 2, 5) if most / unit / digit / 10.0**power <= 6)
    return [{"bytes": step * place * unit, "text": f"{step * place:g}"} for place in range(int(0.94 * most / unit / step) + 1)] + [
        {"bytes": most, "text": {1e12: "TB", 1e9: "GB", 1e6: "MB", 1e3: "KB", 1.0: "bytes"}[unit]}]


def sentence(rows: Sequence[Mapping[str, Any]], model: Chosen, shown: int | None = None) -> str:
    """What the picture says of the row `shown`, from its own numbers: few trained parameters are not little memory."""
    known = [each for each in rows if each["state"] in ("exact", "static")]
    if not known or any(each["state"] == "estimate" for each in rows):
        return ""
    most = max(known, key=lambda each: each["bytes"])
    few = [each for each in known if each is not most and each["trainable"] != "0" and _number(each) * 10 <= _number(most)]
    picked = rows[shown] if shown is not None and rows[shown] in known else None
    if not few or (picked is not None and picked not in few):
        one = picked or most
        largest = max(one["parts"], key=lambda part: part["bytes"])
        return (f"One training step of {_inside(one['title'])} on {model.title} takes {one['peak']} at its peak; the largest part of it are "
                f"{LARGEST[largest['name']]}, {percent(largest['bytes'] / one['bytes'])}.")
    least = picked or min(few, key=_number)
    return (f"On {model.title}, {_inside(least['title'])} trains {percent(_number(least) / _number(most))} of the parameters that "
            f"{_inside(most['title'])} trains, and still takes {percent(least['bytes'] / most['bytes'])} of its memory: {least['peak']} instead of "
            f"{most['peak']}.")


def _inside(title: str) -> str:
    """A title within a sentence: prompt tuning, but LoRA."""
    return title[:1].lower() + title[1:] if title.split()[0][1:].islower() else title


def _number(each: Mapping[str, Any]) -> int:
    return int(each["trainable"].replace(",", ""))
