"""The pages in a real browser: a stage of its own of `python3 run.py test`."""
