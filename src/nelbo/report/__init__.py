"""The report: one self-contained HTML file that says whether a training was good, and shows why."""

from nelbo.report.verdict import Grade, Verdict, judge
from nelbo.report.write import write_report

__all__ = ["Grade", "Verdict", "judge", "write_report"]
