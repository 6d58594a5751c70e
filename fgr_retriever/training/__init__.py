"""Train an FGR-ColBERT on your own spans: `fgr train CONFIG --data DIR --out DIR`.

mixture (labelled examples, and others that the labeller labels) → start (a bi-encoder becomes a
token encoder) → joint (encoder and head) → head (the head alone, on stored vectors) → calibrate
(the threshold, on held-out spans) → run writes it all as a checkpoint folder. `stage` is the
trainer of every stage; each resumes where it was interrupted.
"""
