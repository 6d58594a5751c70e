"""Run a question through the stages of a pipeline and make hits.

In: a question and an index. Out: hits, ranked by the last stage. The front door is `pipeline.Pipeline`; `stages/` has a
module for each kind of stage. A search without a pipeline is late interaction alone and needs none of this.
"""
