"""Train an FGR-ColBERT on your own spans: `fgr train CONFIG --data DIR --out DIR`.

start (a bi-encoder becomes a token encoder) → data (spans to token labels) → losses → trainer
(resumable) → calibrate (threshold on held-out spans) → card (what was done, with which figures).
"""
