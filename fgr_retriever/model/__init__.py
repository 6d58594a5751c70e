"""Texts to token vectors, and token vectors to scores and evidence.

In: texts. Out: one vector for each token (`tokens.py`), MaxSim of question and passage (`maxsim.py`), and the
probability that a token is evidence (`evidence_head.py`). The front door is `encoder.Encoder`.
"""
