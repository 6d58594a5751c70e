"""Make one text of hits, within a budget, with its sources and its report.

In: hits with their evidence. Out: `context.Context`. `choice.trim` chooses the spans, `ranking.py` says in which order,
`shrink.py` cuts a span that is too long for the budget, `layout.py` writes what is kept as one text. The front door is
`trimmer.Trimmer`, which trims any texts; the engine calls `trimmer.trim_hits`.
"""
