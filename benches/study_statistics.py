"""The numbers that the tests of pg-host/src/study/statistics.rs hold its statistics against.

pip install scipy statsmodels; python3 benches/study_statistics.py
"""
import numpy as np
import scipy
from scipy.stats import bootstrap, permutation_test
from statsmodels.stats.multitest import multipletests

d = np.array([0.8, -0.3, 1.1, 0.0, 0.6, 0.6, -0.2, 1.4, 0.9, 0.35])
print("scipy", scipy.__version__)
for x in [d, d[:6]]:
    result = permutation_test((x,), np.sum, permutation_type="samples", n_resamples=np.inf, alternative="two-sided")
    print("sign flip", repr(float(result.pvalue)))
interval = bootstrap((d,), np.mean, method="percentile", n_resamples=1_000_000, batch=10_000, rng=1).confidence_interval
print("bootstrap", interval)
print("holm", multipletests([0.01, 0.04, 0.03, 0.005, 0.6], method="holm")[1])
