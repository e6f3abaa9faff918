"""DCGAN: draw images from noise, interpolate between them, and project a given image."""

from engines.dcgan.config import DrawConfig, FaceWalkConfig, ProjectionConfig
from engines.dcgan.engine import draw, resolve, sheet, walk
from engines.dcgan.projection import project

__all__ = ["DrawConfig", "FaceWalkConfig", "ProjectionConfig", "draw", "project", "resolve", "sheet", "walk"]
