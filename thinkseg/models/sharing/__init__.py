"""What rows of a batch have in common, computed once: images, and prompts with several completions.

`images` lets a model encode equal images once, wherever they are; `prefix` lays the completions of a prompt out as
branches of one sequence, and `attention` lets each branch see the prompt and itself. Results and gradients stay.
"""
