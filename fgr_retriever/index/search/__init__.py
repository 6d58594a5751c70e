"""Find the best passages of a snapshot for the vectors of a question.

In: token vectors of a question and a snapshot. Out: positions and scores. `candidates.py` names the passages that are
worth decoding, `best_passages.py` scores them, `lookup.Lookup` is the front door.
"""
