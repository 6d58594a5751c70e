"""Token vectors on disk, and the passages that match a question best.

In: passages with their token vectors. Out: `match.Match`, a passage with its score and its stored tokens. The front
door is `index.Index`. Its rooms: `codec/` makes vectors small, `storage/` is what lies on disk and how it is written,
`search/` finds passages in it, `encoded/` is what other machines encoded for it.
"""
