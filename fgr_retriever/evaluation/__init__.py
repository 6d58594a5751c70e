"""Measure the evidence spans and the retrieval of a model on data with human labels, and compare systems."""

from fgr_retriever.evaluation.beir import Beir, read_beir, take_dataset
from fgr_retriever.evaluation.bm25 import bm25
from fgr_retriever.evaluation.calibration import CalibrationReport, CutScores, fit_calibration
from fgr_retriever.evaluation.comparison import Comparison, compare
from fgr_retriever.evaluation.curve import AnswerCurve, answer_curve
from fgr_retriever.evaluation.lists import ListReport, ResultList, evaluate_lists, read_lists
from fgr_retriever.evaluation.quantised import Quantised, codec_for
from fgr_retriever.evaluation.retrieval import RetrievalReport, evaluate_judged, evaluate_retrieval
from fgr_retriever.evaluation.spans import SpanExample, SpanReport, SpanScores, evaluate_spans, read_examples
from fgr_retriever.evaluation.systems import Measured, System, measure
from fgr_retriever.evaluation.trec import Run, read_qrels, read_run, read_topics, write_run

__all__ = [
    "AnswerCurve",
    "Beir",
    "CalibrationReport",
    "Comparison",
    "CutScores",
    "ListReport",
    "Measured",
    "Quantised",
    "ResultList",
    "RetrievalReport",
    "Run",
    "SpanExample",
    "SpanReport",
    "SpanScores",
    "System",
    "answer_curve",
    "bm25",
    "codec_for",
    "compare",
    "evaluate_judged",
    "evaluate_lists",
    "evaluate_retrieval",
    "evaluate_spans",
    "fit_calibration",
    "measure",
    "read_beir",
    "read_examples",
    "read_lists",
    "read_qrels",
    "read_run",
    "read_topics",
    "take_dataset",
    "write_run",
]
