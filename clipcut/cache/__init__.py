"""Finished clips for later renders, known by everything that shapes them."""
