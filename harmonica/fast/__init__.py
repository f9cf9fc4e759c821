"""Speed, applied from outside: a schedule and a backbone become specialised steps. The method never
imports it.
"""
