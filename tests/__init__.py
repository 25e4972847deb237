"""The tests; run them with `python3 run.py test`."""
