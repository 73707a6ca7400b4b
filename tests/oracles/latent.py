#!/usr/bin/env python3
"""Values of NumPy, SciPy and scikit-learn for tests/test_latent.c.
    python3 tests/oracles/latent.py > tests/oracles/latent.inc"""
import warnings
import numpy as np
from scipy.stats import multivariate_normal
from sklearn.decomposition import PCA, FactorAnalysis
from sklearn.mixture import GaussianMixture

warnings.filterwarnings("ignore")
rng = np.random.default_rng(1)


def put(name, a):
    a = np.asarray(a, dtype=float)
    flat = ", ".join(repr(float(v)) for v in a.ravel())
    print("static const double %s[%d] = { %s };" % (name, a.size, flat))


print("/* made by tests/oracles/latent.py; do not edit */")
N, D, M, K = 60, 5, 2, 3
X = rng.normal(size=(N, M)) @ rng.normal(size=(M, D)) * [1, 2, .5, 1, 1.5] + .4 * rng.normal(size=(N, D)) + 1
X = np.round(X, 4)
print("enum { OR_N = %d, OR_D = %d, OR_M = %d, OR_K = %d };" % (N, D, M, K))
put("or_x", X)

# PPCA: closed form. scikit-learn divides by N - 1, maximum likelihood by N.
pca = PCA(n_components=M).fit(X)
ratio = (N - 1) / N
lam = pca.explained_variance_ * ratio
s2 = pca.noise_variance_ * ratio
W = pca.components_.T * np.sqrt(lam - s2)
C = W @ W.T + s2 * np.eye(D)
mu = X.mean(0)
put("or_s2", [s2])
put("or_wwt", W @ W.T)
put("or_ppca_rows", multivariate_normal(mu, C).logpdf(X))

# the conditional mean and variance of a row's gaps
G = X.copy()
gaps = rng.random((N, D)) < .3
gaps[0], gaps[1] = True, False
F, V = X.copy(), np.zeros((N, D))
lik = np.zeros(N)
for i in range(N):
    m, o = gaps[i], ~gaps[i]
    F[i] = mu
    F[i, o] = X[i, o]
    S = C
    if o.any():
        A = np.linalg.solve(C[np.ix_(o, o)], C[np.ix_(o, m)]).T
        F[i, m] = mu[m] + A @ (X[i, o] - mu[o])
        lik[i] = multivariate_normal(mu[o], C[np.ix_(o, o)]).logpdf(X[i, o])
put("or_gap", gaps)
put("or_filled", F)
put("or_gap_lik", [lik.sum()])

# factor analysis, converged
fa = FactorAnalysis(n_components=M, tol=1e-14, max_iter=200000, svd_method="lapack").fit(X)
put("or_fa", [fa.score(X) * N])
put("or_fa_noise", fa.noise_variance_)

# mixtures: from given means and the covariance of all, after 1, 5 and 200 steps
start = X[[0, 20, 40]]
put("or_gmm_start", start)
S = np.cov(X.T, bias=True)
for kind, name in ((("full"), "full"), ("diag", "diagonal"), ("spherical", "spherical")):
    if kind == "full":
        prec = np.array([np.linalg.inv(S)] * K)
    elif kind == "diag":
        prec = 1 / np.array([np.diag(S)] * K)
    else:
        prec = 1 / np.array([np.trace(S) / D] * K)
    out = []
    for steps in (1, 5, 200):
        g = GaussianMixture(K, covariance_type=kind, max_iter=steps, tol=1e-300, reg_covar=0,
                            means_init=start, weights_init=np.ones(K) / K, precisions_init=prec).fit(X)
        out.append(g.score(X) * N)
    put("or_gmm_" + name, out)
    if kind == "full":
        put("or_gmm_means", g.means_)
        put("or_gmm_weights", g.weights_)
