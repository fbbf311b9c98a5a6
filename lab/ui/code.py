"""The script of what the form says, shown as one chooses, and the archive with its data, which a process of its own makes."""
from __future__ import annotations

import asyncio
import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

import lab
from lab import export
from lab.contracts import LabError
from lab.spec import RunSpec
from lab.ui import address, controls
from lab.ui.bench import Bench

PATIENCE_SECONDS = 120  # for one archive; most of it is loading torch
OWNER = "x-lab-owner"  # says whose own data may be packed
MOST_TEXTS = 200_000  # steps x batch: 20 MB of film reviews


def shown(spec: RunSpec) -> dict[str, Any]:
    """The lines as spans [text, kind of token, roles], or the reason why there are none and the lab's own files instead; and the method's exhibit."""
    beside = export.exhibit(spec.method)
    found = {"exhibit": {**_file(beside), "about": beside.about}} if beside else {}
    try:
        script = export.script(spec)
    except LabError as error:
        return {**found, "reason": str(error), "sources": [_file(source) for source in export.sources(spec.method)] if spec.steps else []}
    return {**found, "lines": script.spans(), "text": script.text, "name": export.SCRIPT, "archive": f"script.zip?spec={address.query(spec)}",
            "archived": f"{spec.method.key}-{spec.model}-script.zip", "install": export.requirements(spec).split(), "seeded": spec.base.seeded}


def _file(source: export.Source) -> dict[str, Any]:
    return {"path": source.path, "lines": source.lines, "text": source.text}


def route(bench: Bench) -> Route:
    """One archive is made at a time, beside whatever is training; who asks meanwhile waits, on no thread that others need."""
    one = asyncio.Semaphore(1)

    def wanted(request: Request) -> RunSpec:
        spec = controls.parse(address.read(request.query_params.get("spec", "")).to_dict())
        bench.owndata.check(spec.task, request.headers.get(OWNER, ""))
        _allowed(bench, spec)
        return spec

    async def archive(request: Request) -> Response:
        try:
            spec = await run_in_threadpool(wanted, request)
        except LabError as error:
            return PlainTextResponse(str(error), 400)
        try:
            await asyncio.wait_for(one.acquire(), PATIENCE_SECONDS)
        except TimeoutError:
            return PlainTextResponse("others are waiting for their scripts: try again in a minute", 503)
        try:
            packed = await run_in_threadpool(_packed, spec)
        except LabError as error:
            return PlainTextResponse(str(error), 500)
        finally:
            one.release()
        return Response(packed, media_type="application/zip", headers={"cache-control": "no-store"})

    return Route("/script.zip", archive)


def _allowed(bench: Bench, spec: RunSpec) -> None:
    """Raises LabError where the archive would take too much, or something that does not lie here."""
    export.script(spec)
    if spec.steps * spec.batch > MOST_TEXTS:
        raise LabError(f"steps x batch is {spec.steps * spec.batch:,}: the page packs at most {MOST_TEXTS:,} texts; use `python -m lab export`")
    weights, data = bench.hashes(spec)
    if not (weights or spec.base.seeded) or not (data or (spec.goal.package is None and spec.goal.hub is None)):
        raise LabError("the model or its texts are not on this machine yet: press Train once, which fetches them")


def _packed(spec: RunSpec) -> bytes:
    """`python -m lab export` in a process of its own: torch never comes into the page's. Raises LabError with what it said."""
    with TemporaryDirectory() as folder:
        file, out = Path(folder, "spec.json"), Path(folder, "out")
        file.write_text(json.dumps(spec.to_dict()), encoding="utf-8")
        try:
            done = subprocess.run([sys.executable, "-m", "lab", "export", str(file), "--out", str(out)], cwd=Path(lab.__file__).parent.parent,
                                  env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)
        except subprocess.TimeoutExpired:
            raise LabError(f"the script was not ready within {PATIENCE_SECONDS} seconds: try again when less is training") from None
        if done.returncode:
            said = done.stderr.strip().split("\n")[-1].removeprefix("error: ")
            raise LabError(said or "the script could not be packed")
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(path for path in out.rglob("*") if path.is_file()):
                archive.write(path, Path("script") / path.relative_to(out))
        return packed.getvalue()
