"""Weights published by Keras for ImageNet networks: sizes, hashes, licences."""

from __future__ import annotations

from dataclasses import dataclass

from engines.core.messages import message

_HOST = "https://storage.googleapis.com/tensorflow/keras-applications/"
_ENDING = "_weights_tf_dim_ordering_tf_kernels"
NOTOP = f"{_ENDING}_notop.h5"

DATA = message("ImageNet (ILSVRC 2012): 1.28 million training images in 1,000 classes")
# Keras's documentation stated licences until 2019.
LICENCE_FOUND = message("keras.io/applications, Keras 2.2 documentation (2019)")
SCORE_FOUND = message(
    "ImageNet's 50,000 validation images, with the classifier, as stated on keras.io/api/applications"
)
_OXFORD = message("CC BY 4.0: ported from weights released by the Visual Geometry Group at Oxford")
_TENSORFLOW = message("Apache-2.0: released with the TensorFlow models")
_KERAS = message("MIT: trained by the Keras authors")
_HE = message("MIT: ported from weights released by Kaiming He")


@dataclass(frozen=True)
class OfficialFile:
    """A file that keras.applications publishes.

    Attributes:
        name: file name without folder.
        url: download address.
        md5: the hash that Keras verifies; it publishes no SHA-256.
        megabytes: size.
        licence: licence of the weights, from `LICENCE_FOUND`.
        top1: accuracy of the whole network, from `SCORE_FOUND`.
    """

    name: str
    url: str
    md5: str
    megabytes: int
    licence: str
    top1: float

    @property
    def with_classifier(self) -> str:
        """Name of the file with the classifier, which cannot be used here."""
        return self.name.removesuffix(NOTOP) + f"{_ENDING}.h5"


OFFICIAL_FILES = {
    name: OfficialFile(f"{name}{NOTOP}", f"{_HOST}{folder}/{name}{NOTOP}", md5, megabytes, licence, top1)
    for name, folder, md5, megabytes, licence, top1 in (
        ("vgg16", "vgg16", "6d6bbae143d832006294945121d1f1fc", 59, _OXFORD, 0.713),
        ("vgg19", "vgg19", "253f8cb515780f3b799900260a226db6", 80, _OXFORD, 0.713),
        ("inception_v3", "inception_v3", "bcbd6486424b2319ff4ef7d526e38f63", 88, _TENSORFLOW, 0.779),
        ("xception", "xception", "b0042744bf5b25fce3cb969f33bebb97", 84, _KERAS, 0.790),
        ("resnet50", "resnet", "4d473c1dd8becc155b73f8504c6f6626", 95, _HE, 0.749),
    )
}
