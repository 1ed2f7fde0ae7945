"""What training leaves behind in pieces, read back as whole tensors: a module for each layout.

Each reader gives every tensor under the name that it had in training, or raises `CheckpointError` with one sentence: a
piece that is missing, a piece that is there twice, pieces that do not fit together. Nothing is guessed, and nothing of
one piece can stand in for another one (a published merge kept the previous piece where one failed to load).
"""
