"""Reverie's engines: a config goes in, frames come out. Nothing here knows of Gradio."""
