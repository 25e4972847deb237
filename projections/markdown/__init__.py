"""Markdown as safe HTML, block by block: once it is all there, and while it is being written."""
