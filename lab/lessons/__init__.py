"""Lessons: predict, run, explain. A lesson is one Markdown file; here it is read, its claims are held against runs, and predictions against results."""
from lab.lessons.lesson import Lesson
from lab.lessons.reading import folders, lessons, read

__all__ = ["Lesson", "folders", "lessons", "read"]
