"""The page: header, tabs, and how it is launched. Tabs that do not work yet have their place in the list and are not shown."""
from __future__ import annotations

import os
import secrets
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import gradio as gr
import plotly
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from lab.classroom import translation
from lab.contracts import LabError
from lab.lessons.explained import explained
from lab.ui import ask, classroom, code, compare, family, files, hub, inside, learn, memory, own, runs, train
from lab.ui.bench import Bench
from lab.ui.classroom import capacity
from lab.ui.kept import Once
from lab.ui.security import Guard
from lab.ui.view import view

STORED = {"storage_key": "peft-lab", "secret": "peft-lab-browser"}  # fixed, or a restart of the lab would forget every browser

PIECE_BYTES = 1 << 20  # of a download, read at a time

BANNER = """<header class="lab lab-header"><h1>The PEFT Lab</h1>
<p>PEFT: parameter-efficient fine-tuning. Train a few numbers of a model, and see what that buys and costs.</p>
<button type="button" class="plain" aria-label="switch between light and dark">Dark</button></header>"""


@dataclass(frozen=True)
class Place:
    """A tab's place in the layout; `make` is None until it works."""

    key: str
    title: str
    make: Callable[[Bench], gr.HTML] | None = None


PLACES = (
    Place("learn", "Learn", learn.tab), Place("train", "Train", train.tab), Place("methods", "Methods", family.tab), Place("compare", "Compare", compare.tab),
    Place("memory", "Memory", memory.tab), Place("inside", "Look inside", inside.tab), Place("try", "Try", ask.tab), Place("runs", "Runs", runs.tab),
    Place("class", "Class", classroom.tab),
)


def places(bench: Bench) -> list[Place]:
    """Those that work and that this lab shows; what a tab may be asked is there only with the tab."""
    return [place for place in PLACES if place.make is not None and bench.settings.shows(place.key)]


def build(bench: Bench) -> gr.Blocks:
    shown = places(bench)
    first = "train" if any(place.key == "train" for place in shown) else shown[0].key
    with gr.Blocks(title=bench.settings.title, analytics_enabled=False, fill_width=True) as page:
        browser = gr.BrowserState(None, **STORED)
        view("header.js", BANNER, elem_id="banner", title=bench.settings.title)
        if hub.offered():
            gr.LoginButton("Sign in to take adapters home", elem_id="sign-in", size="sm")
        with gr.Tabs(selected=first, elem_id="places", overflow_behavior="wrap"):  # a menu would hide tabs that links name
            views = []
            for place in shown:
                with gr.Tab(place.title, id=place.key, elem_id=f"place-{place.key}"):
                    views.append(place.make(bench))

        def begin(key: Any, request: gr.Request) -> list[Any]:
            return known(key, len(views), hub.owner(bench, request))

        page.load(begin, browser, [browser, *views], api_visibility="private", show_progress="hidden")
    return page


def known(key: Any, views: int, account: str = "") -> list[Any]:
    """A browser keeps the unguessable key it was given first; its runs belong to that key, or to the account that is signed in."""
    key = key if isinstance(key, str) and 20 <= len(key) <= 100 else secrets.token_urlsafe(24)
    return [key, *({"owner": account or key} for _ in range(views))]


def launching(bench: Bench, assets: Path) -> dict[str, Any]:
    """What `launch` is told: nothing but our own page is served, nothing is sent anywhere."""
    return {
        "theme": gr.themes.Base(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]),
        "head": head(bench.settings.translation is not None),
        "footer_links": [], "run_history": False, "enable_monitoring": False, "show_error": False,
        "max_file_size": "2mb", "allowed_paths": [], "state_session_capacity": 500, "max_threads": 100,
        "mcp_server": False, "ssr_mode": False, "share": False, "quiet": True, "pwa": False,
        "_frontend": False,  # it would ask for its own page and give up where that takes over 3 s, as on a busy machine
        "app_kwargs": {"openapi_url": None, "docs_url": None, "redoc_url": None, "middleware": [Middleware(Guard), Middleware(Once)],
                       "routes": routes(bench, assets)},
    }


HEAD = """
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="description" content="Train a small model with parameter-efficient methods, live, and see what each costs.">
<link rel="stylesheet" href="lab-assets/lab.css">
<link rel="stylesheet" href="lab-assets/family.css">
<link rel="stylesheet" href="lab-assets/anatomy.css">
<link rel="stylesheet" href="lab-assets/code.css">
<link rel="stylesheet" href="lab-assets/memory.css">
<link rel="stylesheet" href="lab-assets/inside.css">
<link rel="stylesheet" href="lab-assets/inside_more.css">
<link rel="stylesheet" href="lab-assets/try.css">
<link rel="stylesheet" href="lab-assets/compare.css">
<link rel="stylesheet" href="lab-assets/own.css">
<link rel="stylesheet" href="lab-assets/learn.css">
<link rel="stylesheet" href="lab-assets/class.css">
<link rel="preload" href="lab-assets/plotly.min.js" as="script" fetchpriority="low">
"""
# fetched side by side, not one after another
SCRIPTS = ("train", "dom", "session", "form", "home", "figure", "pieces", "watch", "header", "code", "anatomy", "linked", "own", "own_panel")


def head(translated: bool = False) -> str:
    other = '<script type="module" src="lab-assets/translate.js"></script>\n' if translated else ""
    return HEAD + other + "".join(f'<link rel="modulepreload" href="lab-assets/{name}.js">\n' for name in SCRIPTS)


def routes(bench: Bench, assets: Path) -> list[Any]:
    """Our own scripts, the figure library from its installed package, and adapters packed on demand."""
    figures = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"

    def plotly_script(request: Request) -> Response:
        return FileResponse(figures, media_type="text/javascript", headers={"cache-control": "public, max-age=86400"})

    def adapter(request: Request) -> Response:
        try:
            run = bench.store.run(request.path_params["run"])
            bench.check_taker(run, request.query_params.get("pass", ""))
            packed = zipped(bench.store.folder(run.id) / "adapter", bench.store.root)
        except LabError as error:
            return PlainTextResponse(str(error), 404)
        name = f"{run.settings['method']['name']}-{run.settings['model']}-{run.id[:6]}.zip"
        size = packed.seek(0, os.SEEK_END)
        packed.seek(0)
        return StreamingResponse(iter(partial(packed.read, PIECE_BYTES), b""), media_type="application/zip", headers={
            "content-disposition": f'attachment; filename="{name}"', "content-length": str(size), "cache-control": "no-store"})

    def glossary(request: Request) -> Response:
        said = {form: {"term": entry.term, "says": entry.says} for form, entry in bench.glossary.items()}
        return JSONResponse(said, headers={"cache-control": "max-age=600"})

    methods = explained(bench.lessons)

    def why(request: Request) -> Response:
        return JSONResponse(methods, headers={"cache-control": "max-age=600"})

    other = translation.read(bench.settings.translation) if bench.settings.translation is not None else None

    def words(request: Request) -> Response:
        return JSONResponse(asdict(other), headers={"cache-control": "no-cache"})

    others = [Route("/translation.json", words)] if other is not None else []
    return [Route("/lab-assets/plotly.min.js", plotly_script), Route("/glossary.json", glossary), *others,
            Mount("/lab-assets", StaticFiles(directory=assets / "page")),
            *pictures(bench), Route("/explained.json", why),
            Route("/adapter/{run}.zip", adapter), code.route(bench), files.route(bench), *hub.routes(bench), *own.routes(bench),
            *capacity.routes(bench), *(classroom.routes(bench) if bench.settings.shows("class") else [])]


# A picture of a lesson is shown as an image, which runs nothing; opened by itself it may neither.
PICTURE = {"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox", "cache-control": "max-age=600"}


def pictures(bench: Bench) -> list[Route]:
    """Those that a lesson names, and nothing else of the folders they lie in: of our own lessons, and of those that a host has beside them."""

    def picture(request: Request) -> Response:
        lesson, name = bench.lessons.get(request.path_params["lesson"]), request.path_params["name"]
        if lesson is None or name not in lesson.pictures or not lesson.pictures[name].is_file():
            return PlainTextResponse("there is no such picture", 404)
        return FileResponse(lesson.pictures[name], headers=PICTURE)

    return [Route("/lesson-figures/{lesson}/{name}", picture)]


def zipped(folder: Path, room: Path) -> IO[bytes]:
    """All files of an adapter's folder as a nameless file in `room`: full fine-tuning leaves gigabytes. Raises LabError where there are none."""
    files = sorted(path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else []
    if not files:
        raise LabError("the adapter of this run is not here: the run did not finish, or its adapter was removed when its time was up; run it again")
    packed = TemporaryFile(dir=room)  # noqa: SIM115  whoever sends it lets go of it
    try:
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:  # weights hardly compress
            for path in files:
                archive.write(path, Path("adapter") / path.relative_to(folder))
    except OSError as error:
        packed.close()
        raise LabError(f"the adapter could not be packed ({error.strerror}): tell whoever hosts the lab, whose disk may be full") from None
    return packed
