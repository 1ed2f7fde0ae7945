"""The parts of the pocket reasoner: its words, its processor and its empty model. `train_reasoner.py` fills it."""

import re

import vocabulary
from imagenet import ARCHITECTURE, MEAN, STD
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import (
    CLIPImageProcessor,
    FastVlmConfig,
    FastVlmForConditionalGeneration,
    GenerationConfig,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

from thinkseg.data.synthetic.assets import load_assets
from thinkseg.data.synthetic.queries import CAMOUFLAGED, COLOURS, NOTHING, SALIENT

CANVAS = 256
"""Side of the square that every image is stretched to; coordinates are measured in it."""
CELL = 32
"""Side in pixels of the square that an image token stands for."""
WIDTH = 192
"""Of the language model."""
FEATURES = 1280
"""Channels of the vision tower's last map."""

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

PIECES = "|".join(
    [*(re.escape(tag) for tag in sorted(TAGS, key=len, reverse=True)), r"\d+", r" ?\p{L}+", r"[^\p{L}\d]"]
)


def known_words() -> list[str]:
    """The words that are one token each."""
    assets = load_assets("train")
    sentences = [*SALIENT, *CAMOUFLAGED, *SENTENCES, *(question.query for question in assets.reasoning)]
    sentences += [f"the {word} object" for word in COLOURS]
    sentences += [kind for cutout in assets.cutouts for kind in (*cutout.kinds, cutout.name)]
    sentences += [*vocabulary.names(), *vocabulary.THE_MAIN_ONE, *(r.replace("{}", "") for r in vocabulary.REQUESTS)]
    sentences += [words for others in vocabulary.OTHER_WORDS.values() for words in others]
    return sorted({word for sentence in sentences for word in re.findall(r"[a-z]+", sentence.lower())})


def create_tokenizer() -> PreTrainedTokenizerFast:
    """A token for each known word and each whole number of the canvas; any other word is spelled in bytes."""
    letters = pre_tokenizers.ByteLevel.alphabet()
    tokens = [*SPECIAL, *TAGS, *(str(n) for n in range(CANVAS + 1)), *sorted(letters)]
    tokens += [prefix + word for word in known_words() for prefix in ("", "\u0120")]
    vocabulary_ = {token: number for number, token in enumerate(dict.fromkeys(tokens))}
    # No merges: what is in the vocabulary is taken whole, and all else falls into bytes.
    tokenizer = Tokenizer(models.BPE(vocabulary_, [], ignore_merges=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<|endoftext|>",
        eos_token="<|im_end|>",
        additional_special_tokens=[token for token in SPECIAL if token not in ("<|endoftext|>", "<|im_end|>")],
        model_max_length=4096,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )


def create_processor() -> LlavaProcessor:
    square = {"height": CANVAS, "width": CANVAS}
    return LlavaProcessor(
        image_processor=CLIPImageProcessor(
            size=square, do_center_crop=False, crop_size=square, image_mean=MEAN, image_std=STD
        ),
        tokenizer=create_tokenizer(),
        patch_size=CELL,
        vision_feature_select_strategy="full",
        image_token="<|image_pad|>",
        chat_template=CHAT_TEMPLATE,
    )


def create_model(processor: LlavaProcessor) -> FastVlmForConditionalGeneration:
    """A FastVLM of random weights."""
    tokenizer = processor.tokenizer
    number = tokenizer.convert_tokens_to_ids
    config = FastVlmConfig(
        text_config={
            "model_type": "qwen2",
            "vocab_size": len(tokenizer),
            "hidden_size": WIDTH,
            "intermediate_size": 512,
            "num_hidden_layers": 6,
            "num_attention_heads": 3,
            "num_key_value_heads": 3,
            "max_position_embeddings": 2048,
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
            "bos_token_id": None,
            "eos_token_id": number("<|im_end|>"),
            "pad_token_id": number("<|endoftext|>"),
            "tie_word_embeddings": False,
        },
        vision_config={
            "model_type": "timm_wrapper",
            "architecture": ARCHITECTURE,
            "do_pooling": False,
            "hidden_size": FEATURES,
            "num_classes": 0,
            "model_args": {"in_chans": 3},
        },
        image_token_index=number("<|image_pad|>"),
        image_seq_length=(CANVAS // CELL) ** 2,
        tie_word_embeddings=False,
    )
    model = FastVlmForConditionalGeneration(config)
    model.generation_config = GenerationConfig(
        eos_token_id=number("<|im_end|>"), pad_token_id=number("<|endoftext|>"), do_sample=False
    )
    return model
