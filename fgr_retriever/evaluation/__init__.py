"""Measure the evidence spans and the retrieval of a model on data with human labels."""

from fgr_retriever.evaluation.calibration import CalibrationReport, CutScores, fit_calibration
from fgr_retriever.evaluation.quantised import Quantised, codec_for
from fgr_retriever.evaluation.retrieval import RetrievalReport, evaluate_retrieval
from fgr_retriever.evaluation.spans import SpanExample, SpanReport, SpanScores, evaluate_spans, read_examples

__all__ = [
    "CalibrationReport",
    "CutScores",
    "Quantised",
    "RetrievalReport",
    "SpanExample",
    "SpanReport",
    "SpanScores",
    "codec_for",
    "evaluate_retrieval",
    "evaluate_spans",
    "fit_calibration",
    "read_examples",
]
