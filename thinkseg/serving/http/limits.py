"""What a service takes and how long it works on it: settings, checked when they are made."""

from __future__ import annotations

from dataclasses import dataclass, fields

from thinkseg.errors import InputError
from thinkseg.imaging import MAX_PIXELS


@dataclass(frozen=True, slots=True)
class Limits:
    """What is taken from those who ask; all but the times in whole numbers from 1."""

    image_bytes: int = 20 * 2**20
    """Of an image as it is sent."""
    image_pixels: int = 36_000_000
    """Of an image, by its header."""
    formats: tuple[str, ...] = ("PNG", "JPEG", "WEBP")
    """By content, as Pillow calls them."""
    query_length: int = 1000
    """Characters."""
    mask_pixels: int = 1_000_000_000
    """Of all masks that are asked for at once: a byte each while they are made."""
    queue: int = 64
    """Requests that wait or are worked on; more are told to come again."""
    queue_pixels: int = 400_000_000
    """Of the images of these requests together: three bytes each. One image is always taken."""
    connections: int = 512
    """Requests that are read, wait or are answered at once."""
    timeout: float = 120.0
    """Seconds from the first byte of a request to its answer."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name != "formats" and not value >= (1 if isinstance(value, int) else 0.001):
                raise InputError(f"'{field.name}' of a service should be above 0, found {value}")
        if self.image_pixels > MAX_PIXELS:
            raise InputError(
                f"'image_pixels' of a service should be at most {MAX_PIXELS:,}, as no larger image is read, found "
                f"{self.image_pixels:,}"
            )

    @property
    def body_bytes(self) -> int:
        """Of a request: an image in base64 takes four thirds, and what stands around it another MB."""
        return self.image_bytes * 4 // 3 + 2**20


MOST_TOGETHER = 16
"""Requests of a batch where nothing is said: more of them make each of them wait for the longest."""


@dataclass(frozen=True, slots=True)
class Batching:
    """How requests are put together."""

    most: int = 8
    """Requests that are worked on at once; 1 for one after the other."""
    wait: float = 0.01
    """Seconds that are waited for more, where the last batch had several requests. A lone client never waits."""
    stall: float = 60.0
    """Seconds without a sign of life after which a batch is given up, and its requests are tried apart."""

    def __post_init__(self) -> None:
        if self.most < 1 or self.wait < 0 or self.stall <= 0:
            raise InputError(
                "a batch has at least 1 request, waits 0 seconds or more, and stalls after more than 0, found "
                f"{self.most}, {self.wait} and {self.stall}"
            )
