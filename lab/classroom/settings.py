"""What a host can set, each value checked where it is made. The descriptions are the text of the README's table, which is tested against them."""
from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from lab import catalogue
from lab.contracts import LabError

STRICT = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)
TABS = ("learn", "train", "methods", "compare", "memory", "inside", "try", "runs", "class")
SHORTEST_SECRET = 12
SHORTEST_CODE = 4
Tab = Literal["learn", "train", "methods", "compare", "memory", "inside", "try", "runs", "class"]
CONSENT = ("Your name, how far you are in each lesson, your predictions, your answers and the scores of your runs are kept on this lab's server, "
           "and whoever teaches this class can read them. You can leave at any time; what was kept is deleted then.")


class Limits(BaseModel):
    """How much one owner, one network address, and all together may ask for."""

    model_config = STRICT

    running: int | None = Field(None, ge=1, le=1000, description="runs of one owner that go on at the same time")
    waiting: int = Field(4, ge=1, le=1000, description="runs of one owner that wait or run")
    per_hour: int | None = Field(None, ge=1, le=10_000, description="runs that one owner may start within an hour; those answered from the history are free")
    queue: int = Field(200, ge=1, le=10_000, description="runs of all that wait or run")
    address_waiting: int | None = Field(120, ge=1, le=10_000, description="runs that wait or run and were started from one network address")
    address_per_hour: int | None = Field(1000, ge=1, le=100_000, description="runs that may be started from one network address within an hour")
    steps: int = Field(5000, ge=1, le=5000, description="longest run, in steps")
    seconds: int | None = Field(None, ge=5, le=1_000_000, description="longest run, in seconds: refused where that is known before, stopped where it is not")
    rank: int | None = Field(None, ge=1, le=4096, description="highest rank")
    virtual_tokens: int | None = Field(None, ge=1, le=4096, description="most virtual tokens")
    train_items: int | None = Field(None, ge=2, le=1_000_000, description="most training texts of a run")
    eval_items: int | None = Field(None, ge=2, le=100_000, description="most test texts of a run")
    tokens: int | None = Field(None, ge=8, le=4096, description="longest text, in tokens")
    batch: int | None = Field(None, ge=1, le=256, description="most texts in one step")


class Budgets(BaseModel):
    """What the lab may take of its machine. Where one is reached no new run is taken; those that wait or run go on."""

    model_config = STRICT

    page_memory_mb: int | None = Field(None, ge=200, le=1_000_000, description="memory of the page's process")
    disk_mb: int | None = Field(None, ge=10, le=100_000_000, description="all that lies in the data folder")
    free_disk_mb: int = Field(200, ge=0, le=100_000_000, description="what has to stay free on its disk")


class Retention(BaseModel):
    """How long things are kept, in days after a run ended."""

    model_config = STRICT

    runs_days: float | None = Field(None, gt=0, le=3660, description="runs with all that belongs to them")
    adapters_days: float | None = Field(None, gt=0, le=3660, description="adapters, which are most of the disk; their runs stay")


class Settings(BaseModel):
    """The whole. None, where it is allowed, means all or without a limit."""

    model_config = STRICT

    title: Annotated[str, Field(min_length=1, max_length=80)] = Field("The PEFT Lab", description="stands on top of the page")
    models: list[str] | None = Field(None, min_length=1, description="models that are offered")
    tasks: list[str] | None = Field(None, min_length=1, description="tasks that are offered; own data stay possible")
    methods: list[str] | None = Field(None, min_length=1, description="methods that are offered")
    tabs: list[Tab] | None = Field(None, min_length=1, description=f"tabs that are shown, of {', '.join(TABS)}")
    lessons: Path | None = Field(None, strict=False, description="folder of further lessons")
    translation: Path | None = Field(None, strict=False, description="JSON file with other words for the page")
    class_code: str | None = Field(None, repr=False,
                                   description=f"what students enter once, with a name, to join the class; at least {SHORTEST_CODE} characters")
    consent: Annotated[str, Field(min_length=20, max_length=4000)] = Field(CONSENT, description="what they agree to before anything of their lessons is sent")
    members_only: bool = Field(False, description="only who has joined may train")
    instructor_secret: str | None = Field(None, repr=False, description=f"opens the Class tab for whoever teaches; at least {SHORTEST_SECRET} characters")
    shared_task: str | None = Field(None, description="task of the class's leaderboard, which members see without names")
    limits: Limits = Field(Limits(), description="see below")
    budgets: Budgets = Field(Budgets(), description="see below")
    retention: Retention = Field(Retention(), description="see below")
    shutdown_seconds: int = Field(10, ge=0, le=3600, description="how long runs may go on when the lab is told to end, before they are marked as stopped")

    @field_validator("models", "tasks", "methods")
    @classmethod
    def _there(cls, value: list[str] | None, info: Any) -> list[str] | None:
        for key in value or ():
            _find(info.field_name, key)
        return list(dict.fromkeys(value)) if value else value

    @field_validator("shared_task")
    @classmethod
    def _task(cls, value: str | None) -> str | None:
        if value is not None:
            _find("tasks", value)
        return value

    @field_validator("members_only")
    @classmethod
    def _joinable(cls, value: bool, info: Any) -> bool:
        if value and not info.data.get("class_code"):
            raise ValueError("must be false where there is no class_code: nobody could become a member; set one, or leave members_only out")
        return value

    @property
    def has_class(self) -> bool:
        return self.class_code is not None

    def shows(self, tab: str) -> bool:
        """The Class tab has to have somebody to be for."""
        wanted = self.tabs is None or tab in self.tabs
        return wanted and (tab != "class" or self.has_class or self.instructor_secret is not None)


def _find(folder: str, key: str) -> None:
    try:
        catalogue.find(folder, key)
    except LabError as error:
        raise ValueError(str(error)) from None
