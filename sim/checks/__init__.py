"""Checks of archives: what is wrong with them, and copies in which it is put right."""

from sim.checks.checker import Limits
from sim.checks.fix import FIXED, Fixed, fix
from sim.checks.report import Place, Problem, Series, Validation
from sim.checks.validate import examine, validate

__all__ = [
    "FIXED",
    "Fixed",
    "Limits",
    "Place",
    "Problem",
    "Series",
    "Validation",
    "examine",
    "fix",
    "validate",
]
