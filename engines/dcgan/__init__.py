"""DCGAN: draw pictures from noise, interpolate between them, and project a given picture."""

from engines.dcgan.config import DrawConfig, FaceWalkConfig
from engines.dcgan.engine import draw, resolve, sheet, walk

__all__ = ["DrawConfig", "FaceWalkConfig", "draw", "resolve", "sheet", "walk"]
