"""What is wrong with a folder of photos: one module per kind of finding.

A check is a module with ``CODES``, perhaps ``THRESHOLDS``, and ``check(subject)``; the
:mod:`~pegboard.audit.registry` lists them, :func:`~pegboard.audit.run.run_checks` runs them.
Nothing here changes a photo, and nothing needs torch.
"""
