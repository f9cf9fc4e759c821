"""Tables, figures and verdicts, made from records alone. Nothing here imports torch.

methods (names and looks) and intervals (over replicates) are the base. records reads; compare,
lossless, claims and cache_share judge; table, report, cost, paper_scale and verdicts write
documents; figures draws. tables says which tables there are, paper_claims what the paper claims.
committed, publish and notebooks keep results/ in order; pages fills in the numbers that README and
docs quote, by quotes, findings, speeds and index.
"""
