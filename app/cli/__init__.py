"""The command line: one file per topic. Data goes to standard output, everything else to error.

A file imports only click and what is cheap; what a command needs beyond that it imports itself.
"""
