"""The parts of the pocket segmenter: its empty model, and its steps with gradients. `train_segmenter.py` fills it.

An `EdgeTamModel` of the SAM 2 family on EfficientNet-Lite0. Its image embedding lies at stride 8 in place of the
usual 16, so that logits have half the image's resolution: a thing of 40 pixels still has an outline.
"""

import copy
from pathlib import Path

import numpy as np
import torch
from imagenet import ARCHITECTURE, CHANNELS
from safetensors.torch import load_file
from transformers import (
    EdgeTamConfig,
    EdgeTamModel,
    EdgeTamVisionConfig,
    Sam2ImageProcessor,
    Sam2Processor,
    TimmWrapperConfig,
)

from thinkseg.models.loading import spare_edgetam_the_hub

SIZE = 352
"""Side of the images that it works on."""
TRAINING_SIZE = 256
"""Side of those that it is trained on: a step takes half the time, and what is learnt there holds at `SIZE`."""
HIDDEN = 128
STRIDE = 8
"""Of the image embedding."""
CELL = STRIDE // 4
"""Pixels on a side of one logit."""


def feature_sizes(size: int) -> list[list[int]]:
    """Height and width of the three maps that the decoder reads, the finest first."""
    return [[size // (STRIDE // 4)] * 2, [size // (STRIDE // 2)] * 2, [size // STRIDE] * 2]


def create_model(size: int = SIZE) -> EdgeTamModel:
    spare_edgetam_the_hub()
    backbone = TimmWrapperConfig(
        architecture=ARCHITECTURE,
        num_labels=2,
        do_pooling=False,
        model_args={"in_chans": 3, "features_only": True, "out_indices": [0, 1, 2, 3, 4]},
    )
    vision = EdgeTamVisionConfig(
        backbone_config=backbone,
        backbone_channel_list=CHANNELS[::-1],
        backbone_feature_sizes=feature_sizes(size),
        fpn_hidden_size=HIDDEN,
        fpn_top_down_levels=[0, 1, 2, 3, 4],
    )
    decoder = {
        "hidden_size": HIDDEN,
        "mlp_dim": 256,
        "num_attention_heads": 4,
        "iou_head_hidden_dim": HIDDEN,
        # The single-mask token is trained on every kind of prompt, so that nothing need fall back on the other three.
        "dynamic_multimask_via_stability": False,
    }
    prompts = {"hidden_size": HIDDEN, "image_size": size, "patch_size": STRIDE}
    model = EdgeTamModel(
        EdgeTamConfig(vision_config=vision, prompt_encoder_config=prompts, mask_decoder_config=decoder)
    )
    # The class draws two random codes for positions, one for prompts and one for the image; they must be the same.
    model.prompt_encoder.shared_embedding.positional_embedding.data.copy_(
        model.shared_image_embedding.positional_embedding
    )
    return model.to(memory_format=torch.channels_last)


def take_over_decoder(model: EdgeTamModel, folder: Path) -> None:
    """Prompt encoder, mask decoder and positions of an earlier pocket segmenter: what a box and a point mean."""
    theirs = load_file(folder / "model.safetensors")
    kept = {name: tensor.float() for name, tensor in theirs.items() if not name.startswith("vision_encoder.")}
    missing, unexpected = model.load_state_dict(kept, strict=False)
    if unexpected or not all(name.startswith("vision_encoder.") for name in missing):
        raise SystemExit(f"'{folder}' has another decoder: missing {missing[:3]}, unexpected {unexpected[:3]}")


def set_size(model: EdgeTamModel, size: int) -> None:
    """Let the model work on images of another size; no weight depends on it."""
    model.backbone_feature_sizes = feature_sizes(size)
    model.prompt_encoder.image_embedding_size = (size // STRIDE, size // STRIDE)
    model.prompt_encoder.input_image_size = size


def normalised(pixels: np.ndarray) -> torch.Tensor:
    """(count, h, w, 3) RGB, uint8 -> (count, 3, h, w) as the processor makes them."""
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    scaled = (torch.tensor(pixels).float() / 255 - mean) / std
    return scaled.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)


def feature_maps(model: EdgeTamModel, pixels: torch.Tensor) -> list[torch.Tensor]:
    """The three maps that the decoder reads, (count, channels, h, w) each, the finest first; with gradients."""
    maps = model.get_image_features(pixels, return_dict=True).fpn_hidden_states
    # (h * w, count, channels) -> (count, channels, h, w)
    return [m.permute(1, 2, 0).unflatten(2, (round(m.shape[0] ** 0.5), -1)) for m in maps]


def image_embeddings(model: EdgeTamModel, pixels: torch.Tensor) -> list[torch.Tensor]:
    """`EdgeTamModel.get_image_embeddings` with gradients."""
    *fine, coarse = feature_maps(model, pixels)
    return [*fine, coarse + model.no_memory_embedding.reshape(1, -1, 1, 1)]


def decode(model, embeddings, points, labels, boxes, multimask):
    """Logits (count, prompts, masks, h, w) and foretold IoUs (count, prompts, masks)."""
    sparse, dense = model.prompt_encoder(points, labels, boxes, None)
    positions = model.get_image_wide_positional_embeddings().repeat(len(embeddings[-1]), 1, 1, 1)
    masks, scores, _, _ = model.mask_decoder(embeddings[-1], positions, sparse, dense, multimask, embeddings[:-1])
    return masks, scores


def save_checkpoint(model: EdgeTamModel, folder: Path) -> None:
    """The weights in Hugging Face form, with the processor, in half precision."""
    model = copy.deepcopy(model).half().eval()
    set_size(model, SIZE)
    model.save_pretrained(folder)
    processor = Sam2ImageProcessor(
        size={"height": SIZE, "width": SIZE}, mask_size={"height": SIZE // CELL, "width": SIZE // CELL}
    )
    Sam2Processor(processor, target_size=SIZE).save_pretrained(folder)
