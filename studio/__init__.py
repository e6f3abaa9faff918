"""Reverie's page: Gradio over the engines. No tensor arithmetic here."""
