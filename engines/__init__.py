"""The engines: settings in, frames out. Nothing here knows of the page."""

from engines.aliases import install

install()
