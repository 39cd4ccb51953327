"""Reports of runs: figures, and one page of HTML that opens anywhere."""

from sim.results.report.report import Report, report
from sim.results.report.shapes import Options

__all__ = ["Options", "Report", "report"]
