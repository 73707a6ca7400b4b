#!/usr/bin/python3
"""Reference values for test_judge.c, by NumPy and SciPy.

    python3 judge.py > judge.inc

PSIS-LOO is written here from Vehtari, Simpson, Gelman, Yao, Gabry 2024 (algorithm 1, appendix on the
prior of k) and Zhang and Stephens 2009, with the quantiles of scipy.stats.genpareto; isotonic
regression by its max-min formula. Inputs are integers in units of 1/1024, so that float and double
hold them exactly.
"""
import numpy as np
import scipy
from scipy import special, stats

from tables import ints

rng = np.random.default_rng(20240214)


def values(name, v):
    print("static const double %s[] = {" % name)
    for x in np.ravel(v):
        print("    %.17g," % x)
    print("};")


def fit_pareto(x):
    """Zhang and Stephens 2009, x ascending; then the weakly informative prior of Vehtari et al."""
    n = len(x)
    m = 30 + int(np.sqrt(n))
    j = np.arange(1, m + 1)
    quarter = x[int(np.floor(n / 4 + 0.5)) - 1]
    theta = 1 / x[-1] + (1 - np.sqrt(m / (j - 0.5))) / (3 * quarter)
    k = np.log1p(-theta[:, None] * x[None, :]).mean(axis=1)
    loglik = n * (np.log(-theta / k) - k - 1)
    weight = np.exp(loglik - special.logsumexp(loglik))
    theta_hat = np.sum(theta * weight)
    k = np.log1p(-theta_hat * x).mean()
    sigma = -k / theta_hat
    return (n * k + 10 * 0.5) / (n + 10), sigma


def psis(log_ratio, r_eff=1.0):
    r = log_ratio - log_ratio.max()
    S = len(r)
    M = int(np.ceil(min(0.2 * S, 3 * np.sqrt(S / r_eff))))
    if M < 5:
        return r, np.inf
    order = np.argsort(r, kind="stable")
    tail = order[-M:]
    cut = np.exp(r[order[-M - 1]])
    k, sigma = fit_pareto(np.exp(r[tail]) - cut)
    q = stats.genpareto.ppf((np.arange(1, M + 1) - 0.5) / M, k, loc=cut, scale=sigma)
    r[tail] = np.minimum(np.log(q), 0)
    return r, k


print("/* made by judge.py: numpy %s, scipy %s */" % (np.__version__, scipy.__version__))

# ---- ln p of 200 samples at 5 rows, tails from light to heavy
scale = np.array([0.05, 0.3, 1.0, 2.0, 0.6])
ll = ints("o_log_lik", -1 - scale * rng.gamma(2.0, size=(200, 5)))
for r_eff, name in ((1.0, "o_loo"), (0.4, "o_loo_eff")):
    rows = []
    for i in range(ll.shape[1]):
        w, k = psis(-ll[:, i], r_eff)
        elpd = special.logsumexp(ll[:, i] + w) - special.logsumexp(w)
        lpd = special.logsumexp(ll[:, i]) - np.log(len(ll))
        rows.append((elpd, k, lpd - elpd))
    values(name, rows)
    rows = np.array(rows)
    values(name + "_sums", [rows[:, 0].sum(), np.sqrt(5 * rows[:, 0].var(ddof=1)),
                            rows[:, 2].sum()])

# ---- isotonic regression with ties, and where it is asked
x = ints("o_iso_x", np.round(rng.uniform(size=60), 1))
y = ints("o_iso_y", (rng.uniform(size=60) < x ** 2).astype(float))
at = ints("o_iso_at", np.linspace(-0.2, 1.2, 29))
knots = np.unique(x)
count = np.array([np.sum(x == v) for v in knots])
total = np.array([np.sum(y[x == v]) for v in knots])
mean = lambda i, k: total[i:k + 1].sum() / count[i:k + 1].sum()
fit = [max(min(mean(i, k) for k in range(j, len(knots))) for i in range(j + 1))  # max-min formula
       for j in range(len(knots))]
values("o_iso", np.interp(at, knots, fit))

# ---- quantiles of columns; a conformal quantile
a = ints("o_quantile_a", rng.normal(size=(17, 2)))
values("o_quantile", np.quantile(a, [0.05, 0.5, 0.93], axis=0))
