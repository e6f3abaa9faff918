"""Files passed to an endpoint: uploads, URLs or data URIs."""

from __future__ import annotations

import base64
import binascii
from pathlib import Path
from typing import Any

from gradio.processing_utils import async_ssrf_protected_download
from gradio.utils import get_upload_folder
from gradio_client.utils import is_file_obj_with_meta, is_http_url_like

from engines.imaging.images import PictureError


def is_upload(value: Any) -> bool:
    """Whether this is a file as Gradio passes it on.

    Only of a value that says so in its "meta" has Gradio made sure that it is an upload: any other path could be that
    of any file of this server.
    """
    return isinstance(value, dict) and isinstance(value.get("meta"), dict) and is_file_obj_with_meta(value)


def upload_path(value: Any, name: str) -> Path:
    """The path of an uploaded file.

    Raises:
        ValueError: there is none.
    """
    if not is_upload(value):
        raise ValueError(f"The parameter {name} must be an uploaded file, as gradio_client.handle_file makes one.")
    return Path(value["path"])


async def picture_source(value: Any, name: str) -> str | bytes:
    """What `Studio.read` takes, of a picture that was uploaded, or that is named by an address or a data URI.

    Gradio turns the latter two into uploads by itself, but not inside of a list.

    Raises:
        PictureError: nothing of these.
    """
    if is_upload(value):
        return value["path"]
    if isinstance(value, str) and value.startswith("data:") and ";base64," in value:
        try:
            return base64.b64decode(value.partition(";base64,")[2], validate=True)
        except binascii.Error as error:
            raise PictureError(f"The data URI of {name} is damaged; encode the picture as base64 again.") from error
    if is_http_url_like(value):
        try:
            return await async_ssrf_protected_download(value, get_upload_folder())
        except Exception as error:  # whatever a foreign server answers
            raise PictureError(f"The picture of {name} could not be fetched from its address; upload it.") from error
    raise PictureError(f"The parameter {name} must be a picture: an upload, as handle_file makes one, or a data URI.")
