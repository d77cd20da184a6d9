"""An architecture of CompressAI (mean-scale hyperprior, Minnen et al. 2018) trained on the openly licensed pictures, as a baseline.

    net       the net at a small width, grey or colour, and its quantiser step as a knob
    pictures  the training pictures, read by OPEN.tsv
    start     the weights that it begins with: Karhunen-Loeve transforms
    train     `make evaluate-compressai-train`: a stated budget of processor time a modality, with checkpoints; resumes
    table     that table, read without PyTorch
    points    its real bytes and what comes back, on the test pictures, at several steps; written as a table that the rd sections read

It runs in an environment of its own (`evaluation/compressai/requirements.lock`): compressai 1.2.8 wants numpy below 2.
"""
