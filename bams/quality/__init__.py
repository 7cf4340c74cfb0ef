"""What recordings are like: a report before training, and drift against the recordings in training."""

from bams.quality.drift import DriftReport
from bams.quality.report import DataReport, data_report, plot_report

__all__ = ["DataReport", "DriftReport", "data_report", "plot_report"]
