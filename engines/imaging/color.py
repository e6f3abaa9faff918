"""Keep or transfer a photo's colours.

Gatys et al. 2016, "Preserving Color in Neural Artistic Style Transfer".

Images are (..., 3) float32 RGB in [-1, 1].
"""

from __future__ import annotations

import numpy as np

# Rec. 601, as in JPEG.
LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)


def luminance(image: np.ndarray) -> np.ndarray:
    """Luma of each pixel, (..., 3) -> (...)."""
    return image @ LUMINANCE


def grey_like(style: np.ndarray, content: np.ndarray) -> np.ndarray:
    """Convert a style image to grey, with the mean and standard deviation of the photo's luma: (..., 3) float32."""
    painted, photographed = luminance(style), luminance(content)
    spread = photographed.std() / max(float(painted.std()), 1e-3)
    matched = (painted - painted.mean()) * min(spread, 4.0) + photographed.mean()
    return np.repeat(matched[..., None], 3, axis=-1).astype(np.float32)


def with_colors_of(painted: np.ndarray, content: np.ndarray) -> np.ndarray:
    """Combine the stylised image's luma with the photo's chroma; both of one shape.

    Each pixel keeps the photo's chroma (Cb and Cr as in JPEG) exactly. A luma that is out of gamut with that chroma is
    clipped to the nearest one that is not.
    """
    lightness = luminance(content)
    chroma = content - lightness[..., None]
    # `content` is in [-1, 1], so the range always contains its own luma.
    reachable = np.clip(luminance(painted), -1 - chroma.min(-1), 1 - chroma.max(-1))
    return chroma + reachable[..., None]


def color_matched(style: np.ndarray, content: np.ndarray) -> np.ndarray:
    """Transform a style image's colours linearly to the photo's mean and covariance; clipped to [-1, 1]."""
    painted, photographed = (image.reshape(-1, 3).astype(np.float64) for image in (style, content))
    source, target = (np.cov(pixels.T) + 1e-5 * np.eye(3) for pixels in (painted, photographed))
    root = _square_root(source)
    inverse = np.linalg.inv(root)
    # The optimal transport map between the two Gaussians, which changes hues as little as possible.
    matrix = inverse @ _square_root(root @ target @ root) @ inverse
    transformed = (painted - painted.mean(0)) @ matrix.T + photographed.mean(0)
    return np.clip(transformed, -1, 1).astype(np.float32).reshape(style.shape)


def _square_root(matrix: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
