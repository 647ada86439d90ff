"""Run a pipeline under a policy."""

from mddit_ui.engine.hooks import AppliedPolicy, apply_policy
from mddit_ui.engine.measuring import measure, measure_macs
from mddit_ui.engine.probe import probe
from mddit_ui.engine.record import record
from mddit_ui.engine.report import Report
from mddit_ui.engine.run import StepEvent
from mddit_ui.engine.runner import generate

__all__ = [
    "AppliedPolicy",
    "Report",
    "StepEvent",
    "apply_policy",
    "generate",
    "measure",
    "measure_macs",
    "probe",
    "record",
]
