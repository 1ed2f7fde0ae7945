"""Tiny real segmenters: models and processors of transformers, built from configs, with random weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from thinkseg.models.loading import spare_edgetam_the_hub

Parts = dict[str, Any]

_SIDE = 64
"""Width and height of a tiny segmenter's input in pixels."""
_WIDTH = 32
_SPREAD = 0.1
"""Standard deviation of random weights: larger than in training, so that masks depend on the prompt."""


def tiny_sam2(*, seed: int = 0) -> tuple[Any, Any]:
    """A tiny `Sam2Model` in evaluation mode (float32, CPU, input of 64 pixels) and its processor."""
    from transformers import Sam2Config, Sam2Model

    return _seeded(Sam2Model, Sam2Config(**_sam2_parts()), seed), _sam2_processor()


def tiny_sam2_video(*, seed: int = 0) -> tuple[Any, Any]:
    """The video sibling of `tiny_sam2`: what the published SAM 2 folders hold, image weights and memory weights."""
    from transformers import (
        Sam2VideoConfig,
        Sam2VideoMaskDecoderConfig,
        Sam2VideoModel,
        Sam2VideoProcessor,
        Sam2VideoVideoProcessor,
    )

    memory: Parts = {"memory_attention_hidden_size": _WIDTH, "memory_attention_num_layers": 1}
    memory |= {"memory_attention_feed_forward_hidden_size": _WIDTH, "memory_attention_rope_feat_sizes": [4, 4]}
    memory |= {"memory_encoder_hidden_size": _WIDTH, "memory_encoder_output_channels": 8, "image_size": _SIDE}
    memory |= {"memory_fuser_embed_dim": _WIDTH, "memory_fuser_intermediate_dim": _WIDTH}
    memory |= {"mask_downsampler_embed_dim": _WIDTH, "memory_attention_downsample_rate": 1}
    parts = _sam2_parts() | {"mask_decoder_config": Sam2VideoMaskDecoderConfig(**_decoder())}
    config = Sam2VideoConfig(**parts, **memory)
    processor = Sam2VideoProcessor(_sam2_processor().image_processor, Sam2VideoVideoProcessor())
    return _seeded(Sam2VideoModel, config, seed), processor


def tiny_edgetam(*, seed: int = 0) -> tuple[Any, Any]:
    """A tiny `EdgeTamModel` on a small convolutional tower, as `tiny_sam2`."""
    from transformers import EdgeTamConfig, EdgeTamModel, EdgeTamVisionConfig, TimmWrapperConfig

    spare_edgetam_the_hub()
    tower = TimmWrapperConfig(
        architecture="resnet10t",
        num_labels=2,
        model_args={
            "in_chans": 3,
            "features_only": True,
            "out_indices": [1, 2, 3, 4],
            "channels": [8, 16, 24, 32],
            "stem_width": 8,
        },
    )
    vision = EdgeTamVisionConfig(backbone_config=tower, backbone_channel_list=[32, 24, 16, 8], **_neck())
    config = EdgeTamConfig(vision_config=vision, prompt_encoder_config=_prompts(), mask_decoder_config=_decoder())
    return _seeded(EdgeTamModel, config, seed), _sam2_processor()


def tiny_sam3_tracker(*, seed: int = 0) -> tuple[Any, Any]:
    """A tiny `Sam3TrackerModel` (input of 56 pixels), as `tiny_sam2`."""
    from transformers import Sam3ImageProcessor, Sam3TrackerConfig, Sam3TrackerModel, Sam3TrackerProcessor

    side = 56
    tower: Parts = {"model_type": "sam3_vit_model", "hidden_size": _WIDTH, "intermediate_size": _WIDTH}
    tower |= {"num_hidden_layers": 2, "num_attention_heads": 2, "image_size": side, "pretrain_image_size": side}
    tower |= {"window_size": 2, "global_attn_indexes": [1]}
    vision: Parts = {"model_type": "sam3_vision_model", "backbone_config": tower, "fpn_hidden_size": _WIDTH}
    vision |= {"backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]]}
    prompts = _prompts() | {"image_size": side, "patch_size": 14}
    config = Sam3TrackerConfig(vision_config=vision, prompt_encoder_config=prompts, mask_decoder_config=_decoder())
    square = {"height": side, "width": side}
    processor = Sam3TrackerProcessor(Sam3ImageProcessor(size=square, mask_size={"height": 16, "width": 16}))
    return _seeded(Sam3TrackerModel, config, seed), processor


def tiny_sam(*, seed: int = 0) -> tuple[Any, Any]:
    """A tiny `SamModel`, whose processor keeps the image's shape and pads it, as `tiny_sam2`."""
    from transformers import SamConfig, SamModel, SamProcessor

    config = SamConfig(
        vision_config=_sam_vision(), prompt_encoder_config=_sam_prompts(), mask_decoder_config=_decoder()
    )
    return _seeded(SamModel, config, seed), SamProcessor(_sam_image_processor())


def tiny_sam_hq(*, seed: int = 0) -> tuple[Any, Any]:
    """A tiny `SamHQModel`, as `tiny_sam`."""
    from transformers import SamHQConfig, SamHQModel, SamHQProcessor

    decoder = _decoder() | {"vit_dim": _WIDTH}
    config = SamHQConfig(vision_config=_sam_vision(), prompt_encoder_config=_sam_prompts(), mask_decoder_config=decoder)
    return _seeded(SamHQModel, config, seed), SamHQProcessor(_sam_image_processor())


def _sam2_parts() -> Parts:
    tower: Parts = {"model_type": "sam2_hiera_det_model", "image_size": [_SIDE, _SIDE], "hidden_size": 8}
    tower |= {"blocks_per_stage": [1, 1, 2, 1], "embed_dim_per_stage": [8, 16, 24, 32]}
    tower |= {"num_attention_heads_per_stage": [1, 1, 1, 1], "window_size_per_stage": [4, 4, 4, 2]}
    tower |= {"global_attention_blocks": [3], "window_positional_embedding_background_size": [4, 4]}
    vision: Parts = {"model_type": "sam2_vision_model", "backbone_config": tower, **_neck()}
    vision |= {"backbone_channel_list": [32, 24, 16, 8]}
    return {"vision_config": vision, "prompt_encoder_config": _prompts(), "mask_decoder_config": _decoder()}


def _neck() -> Parts:
    return {"backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]], "fpn_hidden_size": _WIDTH}


def _prompts() -> Parts:
    return {"hidden_size": _WIDTH, "image_size": _SIDE, "patch_size": 16, "mask_input_channels": 4}


def _decoder() -> Parts:
    return {"hidden_size": _WIDTH, "mlp_dim": _WIDTH, "num_attention_heads": 2, "iou_head_hidden_dim": _WIDTH}


def _sam_prompts() -> Parts:
    return _prompts() | {"image_embedding_size": 4}


def _sam_vision() -> Parts:
    vision: Parts = {"hidden_size": _WIDTH, "output_channels": _WIDTH, "num_hidden_layers": 2, "num_attention_heads": 2}
    vision |= {"image_size": _SIDE, "window_size": 2, "global_attn_indexes": [1], "num_pos_feats": _WIDTH // 2}
    return vision | {"initializer_range": _SPREAD}


def _sam2_processor() -> Any:
    from transformers import Sam2ImageProcessor, Sam2Processor

    square = {"height": _SIDE, "width": _SIDE}
    return Sam2Processor(Sam2ImageProcessor(size=square, mask_size={"height": 16, "width": 16}))


def _sam_image_processor() -> Any:
    from transformers import SamImageProcessor

    square = {"height": _SIDE, "width": _SIDE}
    return SamImageProcessor(size={"longest_edge": _SIDE}, pad_size=square)


def _seeded(model_class: Any, config: Any, seed: int) -> Any:
    """A model with random weights that depend on the seed alone, in evaluation mode."""
    import torch

    _spread(config)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return model_class(config).eval()


def _spread(config: Any) -> None:
    """Set how far random weights spread, in a config and in all that it holds."""
    config.initializer_range = _SPREAD
    parts: Mapping[str, Any] = vars(config)
    for part in list(parts.values()):
        if hasattr(part, "model_type"):
            _spread(part)
