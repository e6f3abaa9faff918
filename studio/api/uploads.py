"""Files passed to an endpoint: uploads, URLs or data URIs."""

from __future__ import annotations

import base64
import binascii
from pathlib import Path
from typing import Any

from gradio.processing_utils import async_ssrf_protected_download
from gradio.utils import get_upload_folder
from gradio_client.utils import is_file_obj_with_meta, is_http_url_like

from engines.imaging.images import ImageError


def is_upload(value: Any) -> bool:
    """True if Gradio has verified that this value is an uploaded file.

    Gradio checks only values with "meta"; the path of any other value could point to any file of the server.
    """
    return isinstance(value, dict) and isinstance(value.get("meta"), dict) and is_file_obj_with_meta(value)


def upload_path(value: Any, name: str) -> Path:
    """Return the path of an uploaded file.

    Raises:
        ValueError: the value is not an upload.
    """
    if not is_upload(value):
        raise ValueError(f"The parameter {name} must be an uploaded file, as gradio_client.handle_file makes one.")
    return Path(value["path"])


async def image_source(value: Any, name: str) -> str | bytes:
    """Return an argument for `Studio.load`: the path of an upload or of a downloaded URL, or the bytes of a data URI.

    Gradio resolves URLs and data URIs itself, but not inside lists.

    Raises:
        ImageError: the value is none of these, or cannot be downloaded.
    """
    if is_upload(value):
        return value["path"]
    if isinstance(value, str) and value.startswith("data:") and ";base64," in value:
        try:
            return base64.b64decode(value.partition(";base64,")[2], validate=True)
        except binascii.Error as error:
            raise ImageError(f"The data URI of {name} is damaged; encode the image as base64 again.") from error
    if is_http_url_like(value):
        try:
            return await async_ssrf_protected_download(value, get_upload_folder())
        except Exception as error:  # foreign servers may fail in any way
            raise ImageError(f"The image of {name} could not be downloaded; upload it instead.") from error
    raise ImageError(f"The parameter {name} must be an image: an upload, as handle_file makes one, or a data URI.")
