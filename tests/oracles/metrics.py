#!/usr/bin/python3
"""Reference values for test_mat.c, test_metrics.c and test_diag.c, by NumPy, SciPy and scikit-learn.

    python3 metrics.py > metrics.inc

Inputs are integers in units of 1/1024, so that float and double hold them exactly. R-hat and ESS are
written here from the paper (Vehtari et al. 2021), with the autocovariance by FFT.
"""
import warnings

import numpy as np
import scipy
import sklearn
from scipy import integrate, linalg, optimize, special, stats
from sklearn import metrics

from tables import UNIT, ints

warnings.filterwarnings("error")
rng = np.random.default_rng(20210314)


def value(name, v):
    print("static const double %s = %.17g;" % (name, v))


def values(name, v):
    print("static const double %s[] = {" % name)
    for x in np.ravel(v):
        print("    %.17g," % x)
    print("};")


print("/* made by metrics.py: numpy %s, scipy %s, scikit-learn %s */"
      % (np.__version__, scipy.__version__, sklearn.__version__))

# ---- matrices
a = rng.normal(size=(6, 6))
spd = ints("o_spd", a @ a.T + 0.1 * np.eye(6))
spd = (spd + spd.T) / 2
values("o_spd_values", np.linalg.eigvalsh(spd))
values("o_spd_chol", np.linalg.cholesky(spd))
value("o_spd_logdet", np.linalg.slogdet(spd)[1])
b = ints("o_rhs", rng.normal(size=(6, 2)))
values("o_solution", linalg.solve(spd, b))
tall = ints("o_tall", rng.normal(size=(9, 5)))
values("o_tall_s", np.linalg.svd(tall, compute_uv=False))
values("o_tall_cov", np.cov(tall.T, bias=True))
values("o_tall_std", tall.std(axis=0))

# ---- classification: 80 rows, 4 classes
logit = ints("o_logit", 2.5 * rng.normal(size=(80, 4)))
p = special.softmax(logit, axis=1)
prob = np.floor(p * UNIT)
prob[np.arange(80), prob.argmax(axis=1)] += UNIT - prob.sum(axis=1)
prob[3] = [512, 512, 0, 0]
prob[4] = [0, 0, UNIT, 0]
prob = ints("o_prob", prob / UNIT)
other = np.roll(prob, 1, axis=1) * 0.25 + prob * 0.75
other = np.floor(other * UNIT)
other[:, 0] += UNIT - other.sum(axis=1)
other = ints("o_other", np.maximum(other, 0) / UNIT)
label = np.array([rng.choice(4, p=q) for q in special.softmax(0.6 * logit, axis=1)])
label[3], label[4] = 1, 2
label = np.where(prob[np.arange(80), label] == 0, prob.argmax(axis=1), label)
ints("o_label", label / UNIT)
top, conf = prob.argmax(axis=1), prob.max(axis=1)
value("o_error", 1 - metrics.accuracy_score(label, top))
value("o_nll", metrics.log_loss(label, prob, labels=range(4), eps=1e-300))
value("o_brier", np.mean(np.sum((prob - np.eye(4)[label]) ** 2, axis=1)))
correct = (top == label).astype(float)


def ece(bins):
    total, worst = 0.0, 0.0
    for b in range(bins):
        inside = (conf > b / bins) & (conf <= (b + 1) / bins)
        if inside.any():
            gap = abs(correct[inside].mean() - conf[inside].mean())
            total += inside.mean() * gap
            worst = max(worst, gap)
    return total, worst


value("o_ece_10", ece(10)[0])
value("o_mce_10", ece(10)[1])
value("o_ece_16", ece(16)[0])  # edges among the data: 1/16 = 64/1024
order = np.argsort(conf, kind="stable")
value("o_ece_count_7", sum(len(s) / 80 * abs(correct[s].mean() - conf[s].mean())
                           for s in np.array_split(order, 7)))


def nll_at(u):
    return -np.mean(special.log_softmax(logit * np.exp(u), axis=1)[np.arange(80), label])


best = optimize.minimize_scalar(nll_at, bracket=(-1, 0, 1), tol=1e-14)
value("o_temperature", np.exp(-best.x))  # flat at the minimum: about 1e-7
root = optimize.brentq(lambda u: np.mean(
    np.sum(special.softmax(logit * np.exp(u), axis=1) * logit, axis=1)
    - logit[np.arange(80), label]), -3, 3, xtol=1e-15, rtol=1e-15)
value("o_temperature_root", np.exp(-root))
value("o_agreement", np.mean(prob.argmax(axis=1) == other.argmax(axis=1)))
value("o_tv", np.mean(np.abs(prob - other).sum(axis=1) / 2))
value("o_kl", np.mean(special.rel_entr(prob, other).sum(axis=1)))
value("o_kl_back", np.mean(special.rel_entr(other + 0.0, 0.5 * other + 0.5 * prob).sum(axis=1)))

positive = rng.integers(0, 2, 60)
score = ints("o_score", np.rint(8 * (rng.normal(size=60) + 0.7 * positive)) / 8)  # many ties
ints("o_positive", positive / UNIT)
value("o_auroc", metrics.roc_auc_score(positive, score))
p1 = ints("o_p1", np.clip(1 / (1 + np.exp(-score)), 1 / UNIT, 1 - 1 / UNIT))
value("o_p1_nll", metrics.log_loss(positive, p1))
value("o_p1_brier", 2 * metrics.brier_score_loss(positive, p1))

# ---- regression: 30 rows, 2 columns
mean = ints("o_mean", rng.normal(size=(30, 2)))
var = ints("o_var", rng.gamma(2, 0.5, size=(30, 2)) + 1 / UNIT)
y = ints("o_y", mean + np.sqrt(var) * 1.2 * rng.normal(size=(30, 2)))
value("o_rmse", np.sqrt(metrics.mean_squared_error(y, mean)))
value("o_mae", metrics.mean_absolute_error(y, mean))
value("o_gauss_nll", -np.mean(stats.norm.logpdf(y, mean, np.sqrt(var)).sum(axis=1)))


def crps_by_quadrature(m, s, t):
    left = integrate.quad(lambda u: stats.norm.cdf(u, m, s) ** 2, min(t, m) - 12 * s, t,
                          points=[m] if m < t else None, epsabs=1e-13, epsrel=1e-12, limit=200)[0]
    right = integrate.quad(lambda u: stats.norm.sf(u, m, s) ** 2, t, max(t, m) + 12 * s,
                           points=[m] if m > t else None, epsabs=1e-13, epsrel=1e-12, limit=200)[0]
    return left + right


value("o_crps", np.mean([crps_by_quadrature(m, np.sqrt(v), t)
                         for m, v, t in zip(mean.ravel(), var.ravel(), y.ravel())]))
lo, hi = ints("o_lo", mean - 1.25 * np.sqrt(var)), ints("o_hi", mean + 1.25 * np.sqrt(var))
value("o_coverage", np.mean((lo <= y) & (y <= hi)))
value("o_interval", np.mean(hi - lo + 10 * np.maximum(lo - y, 0) + 10 * np.maximum(y - hi, 0)))
value("o_pinball", metrics.mean_pinball_loss(y, lo, alpha=0.1))

# ---- two samples
sa = ints("o_sample_a", np.rint(16 * rng.normal(size=37)) / 16)  # ties within and across
sb = ints("o_sample_b", np.rint(16 * (0.4 + 1.3 * rng.normal(size=52))) / 16)
value("o_ks", stats.ks_2samp(sa, sb).statistic)
value("o_wasserstein", stats.wasserstein_distance(sa, sb))
value("o_energy", stats.energy_distance(sa, sb) ** 2)
values("o_kolmogorov", special.kolmogorov([0.2, 0.5, 0.8, 0.999, 1.001, 1.36, 2.0, 3.5]))
d2 = lambda u, v: (u[:, None] - v[None, :]) ** 2
k = lambda u, v: np.exp(-d2(u, v) / (2 * 0.7 ** 2)).mean()
value("o_mmd", k(sa, sa) + k(sb, sb) - 2 * k(sa, sb))


# ---- chains
def split(x):
    half = x.shape[1] // 2
    return np.concatenate([x[:, :half], x[:, x.shape[1] - half:]])


def normal_scores(x):
    r = stats.rankdata(x, method="average").reshape(x.shape)
    return stats.norm.ppf((r - 0.375) / (x.size + 0.25))


def rhat_plain(x):
    n = x.shape[1]
    between, within = n * x.mean(axis=1).var(ddof=1), x.var(axis=1, ddof=1).mean()
    return np.sqrt(((n - 1) / n * within + between / n) / within)


def rhat(x):
    return max(rhat_plain(normal_scores(split(x))),
               rhat_plain(normal_scores(split(np.abs(x - np.median(x))))))


def autocovariance(x):
    n = len(x)
    f = np.fft.rfft(x - x.mean(), 2 ** int(np.ceil(np.log2(2 * n))))
    return np.fft.irfft(f * np.conj(f))[:n] / n


def ess_of(x):
    m, n = x.shape
    acov = np.array([autocovariance(c) for c in x]).mean(axis=0)
    within = acov[0] * n / (n - 1)
    plus = within * (n - 1) / n + (x.mean(axis=1).var(ddof=1) if m > 1 else 0)
    rho = 1 - (within - acov) / plus
    rho[0] = 1
    pairs = [rho[0] + rho[1]]
    while pairs[-1] > 0 and 2 * len(pairs) < n - 3:
        pairs.append(rho[2 * len(pairs)] + rho[2 * len(pairs) + 1])
    tmax = 2 * len(pairs) - 2  # the failing pair, or the last one that there is
    monotone = np.minimum.accumulate(pairs[:-1]) if tmax else np.zeros(1)
    tau = -1 + 2 * monotone.sum() + max(rho[tmax], 0)
    return m * n / max(tau, 1 / np.log10(m * n))


def ess(x):
    return ess_of(split(x))


def ess_bulk(x):
    return ess_of(normal_scores(split(x)))


def ess_tail(x):
    return min(ess_of(split((x <= np.quantile(x, q)).astype(float))) for q in (0.05, 0.95))


def ar1(m, n, phi):
    x = np.empty((m, n))
    x[:, 0] = rng.normal(size=m)
    for t in range(1, n):
        x[:, t] = phi * x[:, t - 1] + np.sqrt(1 - phi * phi) * rng.normal(size=m)
    return x


chains = [
    ("iid", ar1(4, 100, 0.0)),
    ("slow_odd", ar1(4, 101, 0.8)),
    ("one_chain", ar1(1, 120, 0.5)),
    ("antithetic", ar1(2, 150, -0.6)),
    ("ties", np.rint(ar1(4, 60, 0.3) * 2) / 2),
    ("apart", ar1(4, 40, 0.2) + 6 * np.arange(4)[:, None]),  # runs out of lags
    ("scales", ar1(4, 80, 0.0) * np.array([1, 1, 1, 4])[:, None]),  # seen by the folded R-hat only
]
table = []
for name, x in chains:
    x = ints("o_chain_" + name, x)
    table.append((name, x.shape, rhat(x), ess(x), ess_bulk(x), ess_tail(x),
                  x.std(ddof=1) / np.sqrt(ess(x)),
                  autocovariance(x[0])[3] / autocovariance(x[0])[0]))
print("static const struct { const int *draws; int chains, n; double rhat, ess, bulk, tail, mcse,")
print("    rho3; } o_chains[] = {")
for name, shape, *v in table:
    print("    { o_chain_%s, %d, %d,\n        %s },"
          % (name, shape[0], shape[1], ", ".join("%.17g" % x for x in v)))
print("};")

ll = ints("o_log_lik", -1 - 0.5 * rng.normal(size=(25, 12)) ** 2)
lppd = np.sum(special.logsumexp(ll, axis=0) - np.log(25))
values("o_waic", [lppd, ll.var(axis=0, ddof=1).sum(), lppd - ll.var(axis=0, ddof=1).sum()])
