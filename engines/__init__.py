"""The engines: settings in, frames out. Independent of the page."""

from engines.aliases import install

install()
