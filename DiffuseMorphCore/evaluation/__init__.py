"""Metrics, data sets, baselines, benchmarks and the paper's tables. Nothing else in the package depends on it."""
