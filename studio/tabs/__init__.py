"""Tabs: one package each, with a class in `tab.py`."""
