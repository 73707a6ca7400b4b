#!/usr/bin/python3
"""Reference values for test_soft.c: the normalizer of the continuous categorical, by mpmath.

    python3 soft.py > soft.inc

ln of the integral of prod g_k^s_k over the simplex (Lebesgue measure on K-1 coordinates): nested
quadrature for K = 2, 3, 4; for K = 10 the divided difference of exp in 800 digits, equal entries
moved apart by 1e-40.
"""
import mpmath as mp
import numpy as np

mp.mp.dps = 30


def nested(l):
    """Tensor Gauss-Legendre rule, 40 points a side, on the cube mapped to the simplex (Duffy)."""
    x, w = np.polynomial.legendre.leggauss(40)
    x, w = (x + 1) / 2, w / 2
    left, total, weight = np.ones(1), np.zeros(1), np.ones(1)
    for v in l[:-1]:
        s = left[:, None] * x
        weight = (weight[:, None] * w * left[:, None]).ravel()
        total, left = (total[:, None] + s * v).ravel(), (left[:, None] - s).ravel()
    return mp.log(mp.mpf(np.sum(weight * np.exp(total + left * l[-1]))))


def divided(l):
    mp.mp.dps = 800
    l = [mp.mpf(v) + mp.mpf(10) ** -40 * i for i, v in enumerate(l)]
    out = mp.log(sum(mp.e ** a / mp.fprod(a - b for b in l if b is not a) for a in l))
    mp.mp.dps = 30
    return out


cases = [[0.0, 0.0], [-0.25, -1.5], [3.0, -5.0], [0.5, 0.5, 0.5], [-1.0, -2.0, 0.25],
         [-4.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0], [-1.0, -0.5, -3.0, 0.75],
         [-1.0, -2.5, -2.5, -7.0]]
wide = [[-40.0, -36.0, -30.5, -22.0, -17.0, -11.25, -6.0, -3.0, -1.0, 0.0],
        [-2.0] * 10, [-12.0, -12.0, -12.0, -5.0, -5.0, -3.0, -3.0, -1.5, -0.25, -0.25]]
print("/* made by soft.py: do not edit */")
print("static const struct { int k; double l[10], log_integral; } simplex[] = {")
for c in cases:
    print("    { %d, { %s }, %s }," % (len(c), ", ".join(map(str, c)), mp.nstr(nested(c), 17)))
for c in wide:
    print("    { %d, { %s },\n      %s }," % (len(c), ", ".join(map(str, c)), mp.nstr(divided(c), 17)))
print("};")
