"""Models that another program runs: an OpenAI-style server, a segmenter's server, vLLM.

`service` asks a server patiently; `served_reasoner`, `served_segmenter` and `offline_vllm` keep the contracts of
`thinkseg.models.base`, so that nothing above this room knows where a text or a mask was made.
"""
