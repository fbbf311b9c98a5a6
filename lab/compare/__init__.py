"""Comparisons: arms × seeds, paired, with intervals and verdicts. No torch here; `running.compare` loads it when it runs something.

comparison.py is what is chosen, running.py what happens, report.py what came out of it; outcomes.py is what it can be about, paired.py has the statistics
and says.py puts them in words.
"""
from lab.compare.arms import base_of, copied, differences, in_common, swept, usual_suspects, warnings
from lab.compare.comparison import Arm, Comparison
from lab.compare.report import report
from lab.compare.running import compare, looks_in, right_labels

__all__ = ["Arm", "Comparison", "base_of", "compare", "copied", "differences", "in_common", "looks_in", "report", "right_labels", "swept",
           "usual_suspects", "warnings"]
