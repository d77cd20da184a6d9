"""The `rd` family: transforms trained for rate and distortion together, integer at the receiver's end.

`net` the analysis and synthesis transforms, `levels` the block-adaptive quantiser, `context` what is known of an integer
before it is coded, `start` the Karhunen-Loeve start, `train` the run, `export` and `graphs` what is shipped.
"""
