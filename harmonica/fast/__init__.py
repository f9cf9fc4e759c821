"""Faster execution: turns a schedule and a backbone into specialised steps. harmonica.method works
without it and never imports it.
"""
