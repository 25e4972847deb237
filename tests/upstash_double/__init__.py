"""A stand-in for Upstash Vector: a real HTTP server on loopback, held to the vendor's own tests.

No account of the service was at hand. `vendor_suite` runs the tests of the vendor's SDK against it.
"""
