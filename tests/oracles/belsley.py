#!/usr/bin/python3
"""Reference values for test_gaussian.c: Belsley's indices and variance proportions, by NumPy.

    python3 belsley.py > belsley.inc

A design with two dependencies in different units (columns 1, 3 and 0, 2, 4). The proportions are
taken from the definition, var b_j = sum_k v_jk^2/d_k^2 (noise variance 1), and checked against the
inverse of X'X and against the regression of each column on the others. A covariance stands for a
design with X'X = its inverse: any square root of that is decomposed in the same way.
"""
import numpy as np

N, D = 12, 5
rng = np.random.default_rng(1)
x = rng.normal(size=(N, D))
x[:, 3] = 50 * (x[:, 1] + 0.05 * rng.normal(size=N))
x[:, 4] = 0.02 * (x[:, 0] - 2 * x[:, 2] + 0.3 * rng.normal(size=N))
x = x.astype(np.float32).astype(float)


def design(x):
    s = x / np.linalg.norm(x, axis=0)
    _, d, vt = np.linalg.svd(s, full_matrices=False)
    phi = vt.T ** 2 / d ** 2
    var = phi.sum(axis=1)
    assert np.allclose(var, np.diag(np.linalg.inv(s.T @ s)), rtol=1e-9)
    for j in range(D):
        rest = np.delete(s, j, axis=1)
        r = s[:, j] - rest @ np.linalg.lstsq(rest, s[:, j], rcond=None)[0]
        assert np.isclose(var[j], 1 / (r @ r), rtol=1e-8)
    return d[0] / d, (phi / var[:, None]).T


def table(name, values):
    print("static const double %s[] = {" % name)
    flat = np.asarray(values).ravel()
    for i in range(0, len(flat), 4):
        print("    " + ", ".join(repr(float(v)) for v in flat[i:i + 4]) + ",")
    print("};")


print("/* made by belsley.py: do not edit */")
print("enum { BELSLEY_N = %d, BELSLEY_D = %d };" % (N, D))
cov = np.linalg.inv(x.T @ x).astype(np.float32).astype(float)
table("belsley_x", x)
table("belsley_cov", cov)
root = np.linalg.cholesky(np.linalg.inv(cov)).T
for name, (index, share) in [("design", design(x)), ("covariance", design(root))]:
    table("belsley_index_" + name, index)
    table("belsley_share_" + name, share)
