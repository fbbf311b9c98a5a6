"""The drawing of one block: its counts are the methods' counts, nothing is written over anything else, and it is built as each architecture is."""
from __future__ import annotations

import re
from collections import Counter
from itertools import takewhile
from typing import Any
from xml.etree import ElementTree

import pytest

from lab import catalogue
from lab.accounting.shapes import shape_of
from lab.contracts import Method, Shape
from lab.spec import RunSpec
from lab.ui import cards
from lab.ui.anatomy import Drawing, draw
from lab.ui.anatomy.pen import Node
from lab.ui.anatomy.plan import stacks

MODELS = {key: shape_of(model.config) for key, model in catalogue.entries("models").items() if model.seeded or key in ("minilm-l6", "smollm2-135m")}
METHODS = catalogue.entries("methods")
ALL = {"targets": "all"}
KNOBS: list[dict[str, Any]] = [
    {"name": "lora", "rank": 256, **ALL}, {"name": "dora", "rank": 64, **ALL}, {"name": "houlsby", "bottleneck": 512, "norms": True}, {"name": "loha", **ALL},
    {"name": "prompt_tuning", "position": "middle"}, {"name": "prompt_tuning", "position": "end"}, {"name": "prompt_tuning", "position": "added"},
    {"name": "prompt_tuning", "virtual_tokens": 1}, {"name": "prompt_tuning", "virtual_tokens": 200}, {"name": "p_tuning", "encoder": "lstm"},
    {"name": "prefix_tuning", "projection": True}, {"name": "ia3", **ALL}, {"name": "vera", **ALL}, {"name": "boft", **ALL}, {"name": "lora_fa", **ALL},
    {"name": "in_context", "shots": 1}, {"name": "intrinsic", "scales": True}, {"name": "top_layers", "layers": 1}, {"name": "bitfit", "biases": "ffn_in"},
    {"name": "stack", "parts": [{"name": "prompt_tuning"}, {"name": "houlsby"}, {"name": "lora", **ALL}]},
]


CHOICES = [*({"name": key} for key in METHODS), *KNOBS]
NAMES = ["-".join(str(value)[:12] for value in settings.values()) for settings in CHOICES]


def method(settings: dict[str, Any]) -> Method:
    return METHODS[settings["name"]].model_validate({key: value for key, value in settings.items() if key != "name"})


def fitting(chosen: Method) -> list[str]:
    return [key for key, shape in MODELS.items() if chosen.supports(shape).ok]


def counted(drawing: Drawing) -> Counter[str]:
    """What the figures say, times the layers, by role."""
    found: Counter[str] = Counter()
    for sheet in drawing.sheets:
        for node in sheet.walk():
            if "data-each" in node.attributes:
                found[node.attributes["data-role"]] += int(node.attributes["data-each"]) * int(node.attributes["data-times"])
    return found


def texts(drawing: Drawing) -> list[str]:
    return [str(node.children[0]) for sheet in drawing.sheets for node in sheet.walk() if node.tag == "text"]


def parts(drawing: Drawing, kind: str) -> list[Node]:
    return [node for sheet in drawing.sheets for node in sheet.walk() if kind in node.attributes.get("class", "").split() and "data-part" in node.attributes]


# ── numbers ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("settings", CHOICES, ids=NAMES)
def test_what_is_drawn_is_what_is_counted(settings: dict[str, Any]) -> None:
    chosen = method(settings)
    for key in fitting(chosen):
        shape = MODELS[key]
        drawing = draw(shape, chosen, labels=3)
        found, head = counted(drawing), 0 if shape.writes else 3 * (shape.width + 1)
        assert found.pop("head", 0) == head, key
        assert found == {role: count for role, count in chosen.count(shape).items() if count}, key
        assert drawing.total == found.total() + head == sum(int(row["total"].replace(",", "")) for row in drawing.rows), key


@pytest.mark.parametrize("settings", CHOICES, ids=NAMES)
def test_nothing_is_written_over_anything_else(settings: dict[str, Any]) -> None:
    chosen = method(settings)
    for key in fitting(chosen):
        for sheet in draw(MODELS[key], chosen, labels=3, quantization="nf4" if chosen.quantizable else None).sheets:
            crowded = list(trouble(sheet))
            assert not crowded, (key, crowded)


def trouble(sheet: Node) -> Any:
    """Figures over figures, texts over texts, and texts that leave their figure or the sheet; widths of texts by a generous rule of thumb."""
    shapes = [extent(node) for node in sheet.walk() if node.attributes.get("class", "").split()[:1] == ["shape"]]
    written = [(extent(node), node.children[0]) for node in sheet.walk() if node.tag == "text"]
    _, _, wide, high = map(float, sheet.attributes["viewBox"].split())
    yield from (("out", text) for place, text in written if not within(place, (-1, 0, wide + 1, high + 1)))
    both = sorted([(place, "") for place in shapes] + written, key=lambda each: each[0][1])
    for number, (one, text) in enumerate(both):
        for other, said in takewhile(lambda each, end=one[3]: each[0][1] < end, both[number + 1:]):
            if meet(one, other) and not (text and said) and (within(other, one, 2.5) or within(one, other, 2.5)):
                continue  # in a figure
            if meet(one, other):
                yield "over", text or one, said or other


def extent(node: Node) -> tuple[float, float, float, float]:
    of = node.attributes
    if node.tag == "rect":
        x, y, wide, high = (float(of[key]) for key in ("x", "y", "width", "height"))
        return x, y, x + wide, y + high
    if node.tag == "path":
        numbers = [float(each) for each in re.findall(r"-?\d+(?:\.\d+)?", of["d"])]
        return min(numbers[::2]), min(numbers[1::2]), max(numbers[::2]), max(numbers[1::2])
    size, x, y = (float(of[key]) for key in ("font-size", "x", "y"))
    wide = 0.54 * size * len(str(node.children[0]))
    left = x - {"middle": wide / 2, "end": wide}.get(of.get("text-anchor", ""), 0)
    return left, y - 0.75 * size, left + wide, y + 0.2 * size


def meet(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[1] + 1 < other[3] and other[1] + 1 < one[3] and one[0] + 1 < other[2] and other[0] + 1 < one[2]


def within(one: tuple[float, ...], other: tuple[float, ...], slack: float = 0) -> bool:
    return all(one[side] >= other[side] - slack and one[side + 2] <= other[side + 2] + slack for side in (0, 1))


# ── architectures ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("model", "post", "parallel", "norm", "inside"), [
    ("minilm-l6", True, False, "LayerNorm", ["attention", "ffn"]), ("seed-bert", True, False, "LayerNorm", ["attention", "ffn"]),
    ("smollm2-135m", False, False, "RMSNorm", ["attention", "ffn"]), ("seed-qwen2", False, False, "RMSNorm", ["attention", "ffn"]),
    ("seed-gpt2", False, False, "LayerNorm", ["attention", "ffn"]), ("seed-neox", False, True, "LayerNorm", ["attention", "ffn"]),
    ("seed-opt", False, False, "LayerNorm", ["attention", "ffn"]), ("seed-vit", False, False, "LayerNorm", ["attention", "ffn"]),
])
def test_a_block_is_built_as_its_family_is(model: str, post: bool, parallel: bool, norm: str, inside: list[str]) -> None:
    stack, = stacks(MODELS[model])
    assert (stack.post, stack.parallel, stack.norm) == (post, parallel, norm)
    assert [part.kind for part in stack.sublayers] == inside and all(part.norm for part in stack.sublayers)


def test_an_encoder_decoder_has_two_blocks() -> None:
    encoder, decoder = stacks(MODELS["seed-t5"])
    assert [part.kind for part in encoder.sublayers] == ["attention", "ffn"] and [part.kind for part in decoder.sublayers] == ["attention", "cross", "ffn"]
    drawing = draw(MODELS["seed-t5"], METHODS["lora"]())
    assert len(drawing.sheets) == 2 and "what the encoder gave" in texts(drawing)


def test_opt_350m_has_its_norms_behind_the_sums() -> None:
    config = dict(catalogue.find("models", "seed-opt").config) | {"do_layer_norm_before": False}
    assert stacks(shape_of(config))[0].post


def test_where_query_key_and_value_are_one_matrix_they_are_drawn_as_one() -> None:
    drawing = draw(MODELS["seed-gpt2"], METHODS["lora"]())
    assert "query · key · value" in texts(drawing) and "query" not in texts(drawing)
    assert all(part.attributes["data-part"] == "qkv query key value adapter" for part in parts(drawing, "trained"))


# ── methods ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_lora_stands_beside_its_matrices_with_its_sizes() -> None:
    drawing = draw(MODELS["minilm-l6"], METHODS["lora"](), labels=2, model="MiniLM")
    lit = Counter(part.attributes["data-part"] for part in parts(drawing, "trained"))
    assert lit == {"query adapter": 2, "value adapter": 2, "head": 1} and drawing.title == "MiniLM with LoRA: what is trained"
    assert {"A 8×384", "B 384×8", "6,144", "12,288 × 6 blocks = 73,728"} <= set(texts(drawing))
    assert drawing.rows[0] == {"part": "query adapter", "name": "query", "each": "6,144", "layers": "× 6 blocks", "total": "36,864", "tensors": [
        {"text": "A 8×384", "symbol": "A"}, {"text": "+ B 384×8", "symbol": "B"}]}


def test_the_narrow_middle_widens_with_the_rank() -> None:
    def first(rank: int) -> str:
        drawing = draw(MODELS["minilm-l6"], method({"name": "lora", "rank": rank}))
        return next(node.attributes["d"] for node in parts(drawing, "trained")[0].walk() if node.tag == "path")

    assert len({first(rank) for rank in (1, 2, 8, 64)}) == 4


def test_the_stack_of_blocks_shows_which_are_trained() -> None:
    drawing = draw(MODELS["minilm-l6"], method({"name": "top_layers", "layers": 2}))
    layers = [node.attributes["class"] for node in drawing.sheets[0].walk() if node.attributes.get("class", "").startswith("layer")]
    assert layers == ["layer frozen"] * 4 + ["layer trained"] * 2 and "one of the 2 trained blocks of 6" in texts(drawing)


def test_four_bits_are_hatched_and_told() -> None:
    spec = RunSpec.parse({"model": "smollm2-135m", "method": "qlora"})
    drawing = cards.drawn(spec, "bfloat16")
    assert len(parts(drawing, "few")) == 7 and {"frozen, 4-bit NF4", "trained, 32-bit", "frozen, 16-bit"} <= set(texts(drawing))


def test_a_prompt_stands_where_it_is_read() -> None:
    def row(position: str) -> list[str]:
        found = texts(draw(MODELS["minilm-l6"], method({"name": "prompt_tuning", "position": position, "virtual_tokens": 2})))
        return [text for text in found if re.fullmatch("[pe][₁₂ₜ]", text)]

    assert row("front") == ["p₁", "p₂", "e₁", "e₂", "eₜ"] and row("end") == ["e₁", "e₂", "eₜ", "p₁", "p₂"] and row("middle")[1] == "e₂"


def test_half_of_an_encoder_decoder_s_prompt_is_told_to_be_idle() -> None:
    drawing = draw(MODELS["seed-t5"], METHODS["prompt_tuning"]())
    assert [row["name"] for row in drawing.rows] == ["prompt", "prompt (read by nothing)"] and any("read by nothing" in text for text in texts(drawing))


def test_a_prefix_gives_keys_and_values_to_every_block() -> None:
    drawing = draw(MODELS["smollm2-135m"], METHODS["prefix_tuning"]())
    lit = {part.attributes["data-part"]: part.attributes["data-times"] for part in parts(drawing, "trained")}
    assert lit == {"prefix key": "30", "prefix value": "30"} and {"P_k 20×192", "P_v 20×192"} <= set(texts(drawing))


def test_a_prefix_in_half_of_the_blocks_is_drawn_there_only() -> None:
    drawing = draw(MODELS["smollm2-135m"], METHODS["prefix_tuning"](which="upper"))
    assert {part.attributes["data-part"]: part.attributes["data-times"] for part in parts(drawing, "trained")} == {"prefix key": "15", "prefix value": "15"}


def test_where_nothing_is_trained_nothing_is_lit() -> None:
    drawing = draw(MODELS["smollm2-135m"], METHODS["in_context"]())
    assert not parts(drawing, "trained") and not drawing.rows and "text 1 → answer" in texts(drawing) and "No part of it is trained" in drawing.about


def test_the_frozen_matrices_of_lora_fa_and_vera_are_drawn_without_a_count() -> None:
    for name in ("lora_fa", "vera"):
        frozen = [part.attributes.get("data-symbol") for part in parts(draw(MODELS["minilm-l6"], METHODS[name]()), "frozen")]
        assert "A" in frozen


# ── as a picture ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("model", MODELS)
def test_the_picture_is_svg_that_stands_alone(model: str) -> None:
    root = ElementTree.fromstring(draw(MODELS[model], METHODS["lora"](), labels=2, model="<b>").svg())
    name = "{http://www.w3.org/2000/svg}"
    assert root.tag == f"{name}svg" and root.get("role") == "img" and root.find(f"{name}title").text == "<b> with LoRA: what is trained"
    assert root.find(f"{name}desc").text.startswith("One block of a")


def test_the_panel_says_which_part_each_sign_and_each_line_means() -> None:
    asked = cards.before(RunSpec.parse({"model": "minilm-l6", "method": "lora"}), "float32")
    assert {piece["symbol"] for piece in asked["symbols"]} >= {"A", "B", "W"}
    assert asked["linked"] == ["query adapter value", "head"] and asked["anatomy"]["rows"][-1]["part"] == "head"


@pytest.mark.parametrize("name", METHODS)
def test_every_formula_names_something_of_the_drawing(name: str) -> None:
    for model in fitting(METHODS[name]())[:2]:
        spec = RunSpec.parse({"model": model, "method": name})
        asked = cards.before(spec, "float32")
        assert "".join(piece["text"] for piece in asked["symbols"]) == spec.method.formula and len(asked["linked"]) == len(asked["terms"])


def test_shapes_the_catalogue_has_not(shape: Shape = MODELS["seed-llama"]) -> None:
    config = {**catalogue.find("models", "seed-llama").config, "model_type": "qwen3"}
    assert any(text.startswith("norm ") for text in texts(draw(shape_of(config), METHODS["lora"]())))


def test_a_dashed_outline_is_in_the_legend_where_there_is_one() -> None:
    """Vectors that a network puts out, weights that coordinates move, an output layer that is the trained table again."""
    said = "follows from what is trained"
    for method, model, dashed in (
            ("p_tuning", "minilm-l6", True), ("intrinsic", "minilm-l6", True), ("longlora", "smollm2-135m", True), ("lora", "minilm-l6", False)):
        markup = draw(MODELS[model], METHODS[method]()).sheets[0].markup()
        assert (said in markup) == dashed == ("part moved" in markup), method


def test_an_lstm_stands_between_what_it_reads_and_what_reads_it() -> None:
    markup = draw(MODELS["minilm-l6"], METHODS["p_tuning"](encoder="lstm")).sheets[0].markup()
    assert markup.index(">E 20×384<") < markup.index("LSTM, both ways") < markup.index(">W1 ")


def test_attention_in_groups_is_drawn_and_follows_the_knob() -> None:
    for windows in (1, 4, 8):
        markup = draw(MODELS["smollm2-135m"], METHODS["longlora"](windows=windows)).sheets[0].markup()
        assert (f"in training: {windows} groups of tokens" in markup) == (windows > 1)
