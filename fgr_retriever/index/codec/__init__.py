"""Token vectors to a few bits for each dimension, and back.

In: vectors. Out: the number of the nearest centroid and a packed residual. The front door is
`residual_codec.Codec`; `kmeans.py` finds the centroids, `buckets.py` packs the residuals.
"""
