"""The tab and what it may ask: all rows of the picture at once, one method closely, what would help, and a model of one's own."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from threading import BoundedSemaphore
from typing import Any

import gradio as gr

from lab import catalogue
from lab.accounting.devices import CPU, device
from lab.contracts import LabError
from lab.forecast.answer import meanwhile
from lab.forecast.helps import changes, saving
from lab.forecast.order import Order
from lab.supply.configs import config_of
from lab.ui.bench import Bench
from lab.ui.desk import Desk
from lab.ui.memory import rows
from lab.ui.memory.asked import Chosen, checked, chosen, methods, order, pasted
from lab.ui.memory.detail import detail
from lab.ui.memory.menus import bytes_said, described, menus
from lab.ui.view import answered, view
from lab.ui.wording import percent

MOST_ASKING = 4  # the Hub at a time: each holds one of the threads that all visitors share, for some seconds


def tab(bench: Bench) -> gr.HTML:
    return view("memory.js", server_functions=questions(bench), elem_id="memory")


def questions(bench: Bench) -> list[Callable[[Any], dict[str, Any]]]:
    """What the page may ask. `counts` is arithmetic alone; `memory` and `help` say `waiting` until the trace has come, and are then asked again."""
    desk, asking = bench.desk, BoundedSemaphore(MOST_ASKING)

    @answered
    def begin(asked: Any) -> dict[str, Any]:
        desk.warm()
        return menus(bench.offer)

    @answered
    def counts(asked: Any) -> dict[str, Any]:
        return look(asked, None)

    @answered
    def memory(asked: Any) -> dict[str, Any]:
        return look(asked, desk)

    @answered
    def help(asked: Any) -> dict[str, Any]:
        return helped(asked, desk)

    def of_hub(name: Any) -> dict[str, Any]:
        if not asking.acquire(blocking=False):
            raise LabError("others are asking the Hub at this moment: try again in a few seconds, or paste the model's config.json")
        try:
            return config_of(name)
        finally:
            asking.release()

    @answered
    def model(asked: Any) -> dict[str, Any]:
        name = asked.get("hub")
        config = checked(of_hub(name.strip() if isinstance(name, str) else name)) if "hub" in asked else pasted(asked.get("text"))
        found = {"config": config, "title": name.strip().rpartition("/")[2] if "hub" in asked else f"your {config['model_type']}"}
        return {"value": found, **described(chosen(found))}

    return [begin, counts, memory, help, model]


def look(asked: Mapping[str, Any], desk: Desk | None) -> dict[str, Any]:
    """Every row, and the one in `shown` closely. Without a desk only what arithmetic knows, at once."""
    model, found = chosen(asked.get("model")), []
    orders = [_order(asked, model, method) for method in methods(asked)]
    if not any(isinstance(each, Order) for each in orders):
        _shared(asked, model)
    known = _answers(orders, desk)
    for place, (each, method) in enumerate(zip(orders, methods(asked), strict=True)):
        refused = each if isinstance(each, LabError) else known[place] if isinstance(known[place], LabError) else None
        found.append(_refused(method, refused) if refused else _row(each, known[place]))
    on = next((each.device for each in orders if isinstance(each, Order)), CPU)
    waiting = desk is not None and None in known.values()
    fine = [place for place, answer in known.items() if not isinstance(answer, LabError)]
    shown = asked.get("shown") if asked.get("shown") in fine else next(iter(fine), None)
    close = desk.answer(orders[shown], closely=True) if desk is not None and known.get(shown) else None
    if desk is not None and not waiting:
        for place in fine:
            desk.prepare(orders[place])
    return {"rows": found, "scale": rows.scale(found, on), "sentence": rows.sentence(found, model, shown), "model": model.title, "shown": shown,
            "detail": detail(orders[shown], close, asked) if close else None, "waiting": waiting,
            "early": desk is None, "starting": desk is None or desk.starting}


def _answers(orders: Sequence[Order | LabError], desk: Desk | None) -> dict[int, dict[str, Any] | LabError | None]:
    """By place, of those that can be asked at all. What is not known is ordered, and waited for a little."""
    asked = {place: each for place, each in enumerate(orders) if isinstance(each, Order)}
    if desk is None:
        return dict.fromkeys(asked)
    known = {place: _known(each, desk) for place, each in asked.items()}
    missing = [asked[place] for place, answer in known.items() if answer is None]
    for each in missing:
        desk.order(each)
    desk.wait(missing)
    return {place: answer if answer is not None else _known(asked[place], desk) for place, answer in known.items()}


def _order(asked: Mapping[str, Any], model: Chosen, method: Mapping[str, Any]) -> Order | LabError:
    try:
        return order(asked, model, method)
    except LabError as error:
        return error


def _shared(asked: Mapping[str, Any], model: Chosen) -> None:
    """Where no method goes, it may be a setting that they share: the error is then about that, not about each."""
    device(asked.get("device", "cpu"))
    order(asked, model, {"name": "full"} if asked.get("quantization") is None else {"name": "lora"})


def _known(each: Order, desk: Desk) -> dict[str, Any] | LabError | None:
    try:
        return desk.answer(each)
    except LabError as error:
        return error


def _refused(method: Mapping[str, Any], error: LabError) -> dict[str, Any]:
    kind = catalogue.entries("methods").get(str(method.get("name")))
    return rows.refused(method, kind.title if kind else str(method.get("name")), error)


def _row(each: Order, found: Mapping[str, Any] | None) -> dict[str, Any]:
    if found is None:
        return rows.row(each, meanwhile(each), "estimate")
    return rows.row(each, found, "exact" if found["traced"] else "static")


# ── what would help ───────────────────────────────────────────────────────────────────────────────────────────────────


def helped(asked: Mapping[str, Any], desk: Desk) -> dict[str, Any]:
    """The change in place `at` of those that could be tried: {"found": {…} or None, "more": whether there is another, "waiting"}."""
    model, place = chosen(asked.get("model")), asked.get("shown")
    wanted = methods(asked)
    now = order(asked, model, wanted[place if isinstance(place, int) and 0 <= place < len(wanted) else 0])
    ways, at = list(changes(now)), asked.get("at")
    if not isinstance(at, int) or not 0 <= at < len(ways):
        return {"found": None, "more": False, "waiting": False}
    words, change = ways[at]
    try:
        then = now.changed(**change)
        answers = [_traced(each, desk) for each in (now, then)]
    except LabError:  # they do not go together
        return {"found": None, "more": at + 1 < len(ways), "waiting": False}
    if None in answers:
        return {"found": None, "more": True, "waiting": True}
    found = saving(*answers)
    if found is None:
        return {"found": None, "more": at + 1 < len(ways), "waiting": False}
    share = found["saves"] / answers[0]["peak_bytes"]
    about = {"words": words[:1].upper() + words[1:], "change": change, "bytes": found["saves"], "saves": bytes_said(found["saves"]), "share": percent(share),
             "peak": bytes_said(found["peak_bytes"]), "verdict": rows.verdict(found["peak_bytes"], now.device)}
    return {"found": about, "more": at + 1 < len(ways), "waiting": False}


def _traced(each: Order, desk: Desk) -> dict[str, Any] | None:
    found = desk.answer(each)
    if found is None:
        desk.order(each)
        desk.wait([each])
        found = desk.answer(each)
    return found
