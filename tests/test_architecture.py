"""The rules of the tree: who may import whom, what the page may load, and what a module may not hold."""
from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
TIERS = (
    {"contracts", "events", "catalogue", "waiting", "metrics", "seeds", "logs", "secrecy"},
    {"methods", "models", "tasks", "owndata", "accounting", "exhibits"},
    {"lens", "lenses", "spec", "describe", "diagnosed", "diagnoses"},
    {"supply", "engine", "store", "compare", "serving", "lessons", "export", "forecast", "measurement", "measurements",
     "recording", "comparing", "measuring", "museum", "schema", "database", "classroom"},
    {"runners", "ui", "cli", "probing", "sweeping", "reporting", "pushing", "hosting", "backup", "__main__"},
)
TIER = {name: tier for tier, names in enumerate(TIERS) for name in names}
FILES = sorted((ROOT / "lab").rglob("*.py"))
HEAVY = {"torch", "transformers", "peft", "bitsandbytes", "accelerate", "safetensors", "datasets"}
ONLY_IN = {"gradio": ("ui",), "sqlite3": ("store", "database"), "ray": ("runners",), "spaces": ("runners",)}
WITH_TORCH = ("engine", "exhibits", "accounting/tracing.py", "methods/_bottleneck.py", "methods/_parametrized.py", "methods/_prompts.py", "methods/_shifted.py",
              "lenses/_")


@cache
def trees() -> dict[Path, ast.Module]:
    return {path: ast.parse(path.read_text()) for path in FILES}


def inside(path: Path) -> str:
    return path.relative_to(ROOT / "lab").as_posix()


def place(path: Path) -> str:
    """The part of the lab a file belongs to: `methods` for lab/methods/lora.py, `store` for lab/store.py."""
    return path.relative_to(ROOT / "lab").parts[0].removesuffix(".py")


@cache
def imports(tree: ast.AST) -> list[tuple[str, bool]]:
    """(module, whether it stands at the top of the file) of every import."""
    top = {id(node) for node in ast.iter_child_nodes(tree)}
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, id(node) in top) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names] if node.module == "lab" else [node.module]
            found += [(name, id(node) in top) for name in names]
    return found


def test_left_never_imports_right() -> None:
    found = []
    for path, tree in trees().items():
        if path == ROOT / "lab" / "__init__.py":
            continue
        assert place(path) in TIER, f"{path}: say in TIERS where {place(path)} stands"
        for module, _ in imports(tree):
            parts = module.split(".")
            if parts[0] == "lab" and len(parts) > 1:
                if TIER[parts[1]] > TIER[place(path)]:
                    found.append(f"{inside(path)} imports {module}, which stands to its right")
                if place(path) == "ui" and parts[1] in ("engine", "runners"):
                    found.append(f"{inside(path)} imports {module}: the page knows workers only through the store")
    assert not found, found


def test_heavy_libraries_stay_where_they_belong() -> None:
    found = []
    for path, tree in trees().items():
        for module, at_top in imports(tree):
            library = module.split(".")[0]
            if library in HEAVY and at_top and not inside(path).startswith(WITH_TORCH):
                found.append(f"{inside(path)} imports {library} at its top: put the import inside the function that needs it")
            if place(path) not in ONLY_IN.get(library, (place(path),)):
                found.append(f"{inside(path)} imports {library}, which belongs to {ONLY_IN[library][0]}")
    assert not found, found


def test_no_module_holds_state() -> None:
    found = []
    for path, tree in trees().items():
        if any(isinstance(node, ast.Global) for node in ast.walk(tree)):
            found.append(f"{inside(path)} uses `global`")
        for node in tree.body:
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                calls = {ast.unparse(call.func) for call in ast.walk(node.value) if isinstance(call, ast.Call)}
                if calls & {"Path", "Path.cwd", "Path.home", "torch.device", "os.getcwd"}:
                    found.append(f"{inside(path)} keeps a path or a device: {ast.unparse(node)}")
    assert not found, found


def test_what_the_page_imports_loads_no_torch() -> None:
    """In a fresh process: the whole catalogue, the spec, the store, supply, the runner and every module of the page."""
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in FILES
             if not inside(path).startswith(WITH_TORCH)]
    program = f"""
import importlib, sys
for name in {names!r}:
    if name != "lab.__main__":
        importlib.import_module(name)
from lab import catalogue
for folder in ("methods", "models", "tasks", "lenses"):
    catalogue.entries(folder)
heavy = sorted({HEAVY!r} & set(sys.modules))
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)


def test_files_name_no_machine() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True).stdout.split() or [str(path) for path in FILES]
    for name in listed:
        path = ROOT / name
        if path.suffix in (".py", ".md", ".toml", ".txt", ".js", ".css", ".json") and path.exists():
            for home in ("/ro" + "ot/", "/wo" + "rk/", "/ho" + "me/"):
                assert home not in path.read_text(encoding="utf-8"), f"{name} names a folder of one machine: {home}"
