"""What figures work around in seaborn; a test of tests/unit/test_report.py fails when it can go."""

from deltatune.core.upstream import hidden

# seaborn 0.13.2 imports scipy's statistics and statsmodels wherever it finds them, 0.6 s of CPU
# time in each job that draws. It runs without both by its own account: they are for densities,
# clusters and robust regressions, which no figure here shows.
with hidden("scipy", "statsmodels"):
    import seaborn as sns  # noqa: F401
