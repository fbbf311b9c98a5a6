"""The lab as a host for many people: its configuration, what it offers and allows, who is in the class, and what the class has done."""
from lab.classroom.configuration import read
from lab.classroom.offer import Offer
from lab.classroom.settings import Budgets, Limits, Settings

__all__ = ["Budgets", "Limits", "Offer", "Settings", "read"]
