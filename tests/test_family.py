"""The Methods tab: its statements come from the methods' files, its counts from the same arithmetic as a run's, its reasons from who refuses."""
from __future__ import annotations

import json
import re

import pytest

from lab import catalogue, probing
from lab.accounting.shapes import shape_of
from lab.contracts import LabError
from lab.sweeping import Sweep, Tried
from lab.ui import family
from lab.ui.wording import percent, whole

METHODS = catalogue.entries("methods")
MODELS = catalogue.entries("models")


def ask(name: str, **asked: object) -> dict:
    return next(question for question in family.questions() if question.__name__ == name)(asked)


def test_a_usual_rate_says_from_how_many_it_was_chosen() -> None:
    tried = tuple(Tried(lr, 0.8, 0.02) for lr in (3e-4, 1e-3, 3e-3))
    sweeps = {("minilm-l6", "lora"): Sweep("movies", 100, 0.5, tried), ("minilm-l6", "pfeiffer"): Sweep("movies", 100, 0.5, tried[1:2])}
    fit = next(question for question in family.questions(sweeps=sweeps) if question.__name__ == "fit")
    rates = {key: each.get("rate") for key, each in fit({"model": "minilm-l6"})["methods"].items()}
    assert rates["lora"] == "0.003 (chosen from 3 that were tried)" and rates["pfeiffer"] == "0.001 (the only one tried)"
    assert rates["houlsby"] == "0.003 (an estimate: none was tried here)" and rates["in_context"] is None
    assert "chosen" not in ask("fit", model="minilm-l6")["methods"]["lora"]["rate"], "sweeps are not kept from one page to another"


def test_every_method_is_there_once_with_all_that_a_choice_needs() -> None:
    cards = {each["key"]: each for each in ask("family")["methods"]}
    assert set(cards) == set(METHODS)
    for card in cards.values():
        for words in (card["strengths"], card["weaknesses"]):
            assert 40 < len(words) <= 170 and words[0].isupper() and words.endswith(".") and words.count("\n") == 0, words
        assert card["strengths"] != card["weaknesses"] and card["formula"] and card["paper"]["link"].startswith("https://")
        assert len({fact["name"] for fact in card["facts"]}) == len(card["facts"]) == 7
        said = f"{card['strengths']} {card['weaknesses']}".lower()
        assert not [loud for loud in ("is best", "works best", "always better", "state of the art", "state-of-the-art", "superior") if loud in said], said


def test_every_sign_of_an_equation_is_explained() -> None:
    found = ask("family")
    told = " ".join(term for term, _ in found["words"])
    signs = {sign for card in found["methods"] for sign in "".join(card["equation"]) if not sign.isascii()} - set("₁₂ₙ·×²")
    assert signs <= set(told), signs - set(told)
    for card in found["methods"]:
        assert card["equation"] and all(0 < len(line) < 170 for line in card["equation"]), card["key"]
    loose = {"sqrt", "log", "mean"}
    named = {"softmax", "blockdiag", "diag"} & {word for card in found["methods"] for word in re.findall(r"[a-z]{4,}", " ".join(card["equation"]))} - loose
    assert all(word in told for word in named)


def test_numbers_in_the_words_are_counted() -> None:
    counts = {(key, model): sum(METHODS[key]().count(shape_of(MODELS[model].config)).values())
              for key, model in (("norms", "minilm-l6"), ("norms", "smollm2-135m"))}
    assert f"{counts['norms', 'minilm-l6']:,} numbers in MiniLM-L6, {counts['norms', 'smollm2-135m']:,} in SmolLM2-135M" in METHODS["norms"].__doc__
    assert "1,000 by default" in METHODS["intrinsic"].strengths and METHODS["intrinsic"]().dimension == 1000


def test_the_about_is_two_or_three_sentences_and_leaves_equations_to_the_code() -> None:
    for key, card in {each["key"]: each for each in ask("family")["methods"]}.items():
        assert 60 < len(card["about"]) <= 340 and "arXiv" not in card["about"], key
    for key in ("lora", "houlsby", "pfeiffer", "lora_fa"):
        assert "arXiv" in METHODS[key].__doc__


@pytest.mark.parametrize("model", ["minilm-l6", "smollm2-135m", "gpt2", "distilbert", "seed-t5", "seed-vit"])
def test_costs_are_the_methods_own_arithmetic(model: str) -> None:
    shape, found = shape_of(MODELS[model].config), ask("fit", model=model)["methods"]
    assert set(found) == set(METHODS)
    for key, kind in METHODS.items():
        support = kind().supports(shape)
        assert found[key]["ok"] == support.ok
        if not support.ok:
            assert found[key]["reason"].lower().startswith(support.reason.lower().rstrip(".")) and "count" not in found[key]
            continue
        count = sum(kind().count(shape).values())
        assert found[key]["number"] == count and found[key]["count"] == whole(count)
        assert found[key]["share"] == percent(count / (shape.total + kind().added(shape)))
        assert sum(int(line["total"].replace(",", "")) for line in found[key]["lines"]) == count, key


def test_what_cannot_be_had_says_why_and_what_to_take_instead() -> None:
    reason = ask("fit", model="smollm2-135m")["methods"]["bitfit"]["reason"]
    assert "without biases" in reason and "try beft" in reason
    for row in ask("family")["matrix"].values():
        for cell in row.values():
            assert bool(cell["reason"]) != cell["ok"] and bool(cell["tried"]) == cell["ok"]


def test_it_is_said_how_a_tick_was_found() -> None:
    matrix = ask("family")["matrix"]["lora"]
    assert matrix["seed-llama"]["tried"].startswith("Tried on this model, with peft")
    assert "built, trained for two steps, asked to write, saved, loaded into a fresh base and merged, with the same answers" in matrix["seed-llama"]["tried"]
    assert matrix["smollm2-135m"]["tried"].startswith("Tried on Seeded Llama, a tiny model of the same architecture")
    assert matrix["distilbert"]["tried"].startswith("Tried on Seeded DistilBERT")
    assert family.tried(None, MODELS["distilbert"]).startswith("By its arithmetic it fits; it has not been tried")
    assert "write" not in matrix["minilm-l6"]["tried"]


def test_a_pair_that_was_tried_and_failed_is_no_tick() -> None:
    broken = probing.Probed(False, ("attach",), {"peft": "1"}, "train failed: LabError: no gradient reached it")
    assert family.tried(broken, MODELS["seed-bert"]).startswith("By its arithmetic")


def test_every_filter_divides_the_family() -> None:
    found = ask("family")
    for group in found["groups"]:
        for option in group["options"]:
            has = [card for card in found["methods"] if option["key"] in (card["traits"] if group["key"] == "traits" else [card[group["key"]]])]
            assert 0 < len(has) < len(METHODS) and option["label"] and option["help"], option["key"]
    traits = {card["key"]: set(card["traits"]) for card in found["methods"]}
    assert {key for key, has in traits.items() if "needs_biases" in has} == {"bitfit"}
    assert {key for key, has in traits.items() if "no_weights" in has} == {"head", "in_context"}
    assert "four_bits" in traits["qlora"] & traits["lora"] & traits["dora"] and "four_bits" not in traits["full"] | traits["loha"]
    assert all(("quick" in has) != ("slow" in has) for has in traits.values())


def test_nonsense_is_answered_in_words() -> None:
    for asked in ({}, {"model": "gtp2"}, {"model": 3}, {"model": ["a"]}):
        assert "unknown model" in ask("fit", **asked)["error"]
    with pytest.raises(LabError):
        catalogue.find("models", None)


def test_the_answers_are_small_enough_for_a_phone() -> None:
    assert len(json.dumps(ask("family"))) < 250_000 and len(json.dumps(ask("fit", model="minilm-l6"))) < 60_000
