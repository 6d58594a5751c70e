"""Make hits of found passages: which tokens are evidence, which spans they form, which words they support.

In: a question and `index.match.Match`. Out: `hit.Hit`. `token_evidence.read_hits` is the front door; `spans.py`
decides where evidence begins and ends: it lays passages on one axis (`sums.py`, `axis.py`) and chooses their units
(`unit_choice.py`).
"""
