"""A local page to go through findings and decide about photos, one key per decision.

Photos are never touched: every decision is one line of ``corrections.csv``.
"""
