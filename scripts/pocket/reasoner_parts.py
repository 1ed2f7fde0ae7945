"""The parts of the pocket reasoner: its words, its processor and its empty model. `train_reasoner.py` fills it."""

import re

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import (
    GenerationConfig,
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2VLImageProcessor,
    Qwen2VLVideoProcessor,
)

from thinkseg.data.synthetic.assets import load_assets
from thinkseg.data.synthetic.queries import CAMOUFLAGED, COLOURS, NOTHING, SALIENT

CANVAS = 112
"""Side of the square with as many pixels as the model sees of any image."""
LARGEST_NUMBER = 224
"""Coordinates past the square's side occur on wide and tall images."""

SPECIAL = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
]
TAGS = [
    "<think>", "</think>", "<bbox>[", "]</bbox>", "<points>[[", "],[", "]]</points>", "<labels>[", "]</labels>",
    "<bbox></bbox>", "<points></points>", "<labels></labels>",
]  # fmt: skip
"""Runs of the answer format that never stand alone are one token each: an answer takes 30 tokens."""

SENTENCES = [
    "user\n", "assistant\n", "system\n", ",", ".", "?", "'", "-", NOTHING,
    "the object on the left", "the object on the right", "the object on the top", "the object on the bottom",
    "the smallest object", "the largest object", "the object to the left of the", "the object to the right of the",
    "the object above the", "the object below the", "a an, upper lower left right middle",
    "find show segment me please where is what which one thing things all any in with and or of for to it you can",
]  # fmt: skip

CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

PIECES = "|".join([*(re.escape(tag) for tag in sorted(TAGS, key=len, reverse=True)), r"\d+", r" ?[a-z]+", r"[^a-z0-9]"])


def create_tokenizer() -> PreTrainedTokenizerFast:
    """A word a token, and a token for every whole number of the canvas. Words that it does not know become <unk>."""
    assets = load_assets("train")
    sentences = [*SALIENT, *CAMOUFLAGED, *SENTENCES, *(question.query for question in assets.reasoning)]
    sentences += [f"the {word} object" for word in COLOURS] + [f"the {kind}" for kind in sorted(assets.asked_kinds)]
    words = sorted(
        {word for sentence in sentences for word in sentence.lower().split()} | set("abcdefghijklmnopqrstuvwxyz")
    )
    words = [word.strip(",.?") for word in words if word.strip(",.?").isalpha()]
    tokens = [*SPECIAL, "<unk>", *TAGS, *(str(n) for n in range(LARGEST_NUMBER + 1)), "\n", " ", *",.?!'-:\"[]<>/()"]
    tokens += [prefix + word for word in dict.fromkeys(words) for prefix in ("", " ")]
    vocabulary = {token: number for number, token in enumerate(dict.fromkeys(tokens))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(PIECES), behavior="isolated")
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="<unk>",
        pad_token="<|endoftext|>",
        eos_token="<|im_end|>",
        additional_special_tokens=[token for token in SPECIAL if token not in ("<|endoftext|>", "<|im_end|>")],
        model_max_length=2048,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )


def create_processor() -> Qwen2_5_VLProcessor:
    pixels = {"shortest_edge": CANVAS * CANVAS, "longest_edge": CANVAS * CANVAS}
    return Qwen2_5_VLProcessor(
        image_processor=Qwen2VLImageProcessor(size=pixels, patch_size=14, merge_size=2, temporal_patch_size=2),
        tokenizer=create_tokenizer(),
        video_processor=Qwen2VLVideoProcessor(size=pixels),
        chat_template=CHAT_TEMPLATE,
    )


def create_model(processor: Qwen2_5_VLProcessor) -> Qwen2_5_VLForConditionalGeneration:
    tokenizer = processor.tokenizer
    number = tokenizer.convert_tokens_to_ids
    config = Qwen2_5_VLConfig(
        text_config={
            "vocab_size": len(tokenizer),
            "hidden_size": 128,
            "intermediate_size": 384,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "num_key_value_heads": 4,
            "max_position_embeddings": 2048,
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [4, 6, 6]},
            "bos_token_id": None,
            "eos_token_id": number("<|im_end|>"),
            "pad_token_id": number("<|endoftext|>"),
        },
        vision_config={
            "depth": 4,
            "hidden_size": 128,
            "intermediate_size": 384,
            "num_heads": 4,
            "out_hidden_size": 128,
            "window_size": 112,
            "fullatt_block_indexes": [0, 1, 2, 3],
        },
        image_token_id=number("<|image_pad|>"),
        video_token_id=number("<|video_pad|>"),
        vision_start_token_id=number("<|vision_start|>"),
        vision_end_token_id=number("<|vision_end|>"),
        tie_word_embeddings=False,
    )
    model = Qwen2_5_VLForConditionalGeneration(config)
    model.generation_config = GenerationConfig(
        eos_token_id=number("<|im_end|>"), pad_token_id=number("<|endoftext|>"), do_sample=False
    )
    return model
