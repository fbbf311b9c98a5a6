"""The Train tab: choose, train, watch, understand. Python answers questions; the page's own script draws the answers."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

from lab.spec import RunSpec
from lab.ui import address, cards, code, offered
from lab.ui.bench import Bench
from lab.ui.foretold import foretold
from lab.ui.home import home
from lab.ui.live import Watcher
from lab.ui.memory.asked import step_of
from lab.ui.picture import title
from lab.ui.view import answered, view


def tab(bench: Bench) -> gr.HTML:
    """Its one component; `value` is {"owner": key} once the browser has said who it is."""
    return view("train.js", server_functions=questions(bench), elem_id="train", start=start(bench))


def start(bench: Bench) -> dict[str, Any]:
    """What the page needs to draw itself before it asks anything."""
    first = bench.first
    recorded = [each for each in bench.recorded if bench.offer.fits(each.spec)]
    return {"catalogues": offered.catalogues(bench), "form": offered.form(bench, **first), "draft": first,
            "price": price(bench, offered.parse(bench, first)), "home": home(recorded), "limits": {"steps": bench.limits.steps}}


def questions(bench: Bench) -> list[Callable[[Any], dict[str, Any]]]:
    """What the page may ask. Each takes one JSON value and answers with one; what a person can put right comes back as {"error"}."""
    watcher = Watcher(bench)

    @answered
    def form(asked: Any) -> dict[str, Any]:
        return offered.form(bench, str(asked.get("model")), str(asked.get("method")), asked.get("task") or None)

    @answered
    def count(asked: Any) -> dict[str, Any]:
        spec = offered.parse(bench, asked)
        bench.check(spec)  # a limit is told while it can still be changed
        return price(bench, spec)

    @answered
    def script(asked: Any) -> dict[str, Any]:
        return code.shown(offered.parse(bench, asked))

    @answered
    def open_link(asked: Any) -> dict[str, Any]:
        spec = offered.parse(bench, address.read(str(asked.get("spec"))).to_dict())
        bench.owndata.check(spec.task, str(asked.get("owner", "")))
        return {"draft": address.short(spec), "form": offered.form(bench, spec.model, spec.method.key, spec.task), "price": price(bench, spec)}

    @answered
    def submit(asked: Any) -> dict[str, Any]:
        """{"draft", "owner", "anew"} → {"run", "answered"}: whether it is the result of an equal run, which `anew` does not take."""
        run = bench.submit(offered.parse(bench, asked.get("draft")), str(asked.get("owner", "")), anew=asked.get("anew") is True)
        return {"run": run.id, "answered": run.ended}

    @answered
    def stop(asked: Any) -> dict[str, Any]:
        run = bench.mine(str(asked.get("run")), str(asked.get("owner", "")))
        return {"state": bench.store.cancel(run.id).state}

    @answered
    def share(asked: Any) -> dict[str, Any]:
        return {"shared": bench.share(str(asked.get("run")), str(asked.get("owner", "")))}

    @answered
    def traced(asked: Any) -> dict[str, Any]:
        return foretold(bench, asked)

    @answered
    def latest(asked: Any) -> dict[str, Any]:
        """The newest run of this browser, so that a closed tab finds it again."""
        runs = bench.store.history(str(asked.get("owner", "")) or "nobody", limit=1)
        return {"run": runs[0].id, "ended": runs[0].ended, "state": runs[0].state, "name": runs[0].title or title(runs[0].settings)} if runs else {"run": None}

    return [form, count, script, open_link, submit, stop, share, traced, latest, answered(watcher.poll)]


def price(bench: Bench, spec: RunSpec) -> dict[str, Any]:
    """The instant panel, and the spec with every default filled in."""
    return {**cards.before(spec, bench.paces.dtype(spec)), "time": cards.estimated_time(bench.paces.of(spec), spec), "address": address.query(spec),
            "spec": spec.to_dict(), "made_before": bench.made_before(spec), "step": step_of(spec)}
