"""What a text is made of: words, identifiers, phrases, sentences, records, and what stands around a range of it.

In: a string. Out: character ranges of it, or the same text marked up. Needs no torch and no model.
`sentences.py` decides where a sentence or a phrase ends, `records.py` what a record is, `atoms.py` what must
never be split.
"""
