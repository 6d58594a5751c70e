"""The same index in a collection of a Qdrant server or cluster (extra `qdrant`).

In: passages with their token vectors, or the passages of a folder. Out: `match.Match`, as from a folder. The front
door is `index.QdrantIndex`; `place.QdrantCollection` says which collection is meant and how a new one is made.

A passage is a point. `layout` says what it has, `facets` what filters read of its metadata, and `conditions`
translates filters to it. `facts` are the points that say what the collection is.
"""
