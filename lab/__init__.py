"""The PEFT Lab: choose a small model and a fine-tuning method, run it, and see what it learned, trained and cost."""

__version__ = "1.0.0"
