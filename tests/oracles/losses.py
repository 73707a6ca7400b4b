#!/usr/bin/env python3
"""Losses and divergences far from 1, by mpmath at 80 digits, for test_losses_kl.c.

    python3 tests/oracles/losses.py > tests/oracles/losses.inc      (needs mpmath)

Arguments are floats exactly, so that both builds see the same numbers.
"""
import struct
import textwrap
import mpmath as mp

mp.mp.dps = 80


def single(x):
    return struct.unpack("f", struct.pack("f", x))[0]


def row(*values):
    values = [mp.mpf(v) if abs(v) > 1e-300 else mp.mpf(0) for v in values]
    text = "{ " + ", ".join(mp.nstr(v, 17) for v in values) + " },"
    print(textwrap.fill(text, 100, initial_indent="    ", subsequent_indent="      "))


print("/* Written by oracles/losses.py. Do not edit. */\n")
print("static const double oracle_student[][5] = { /* nu, scale, mean - y, nll, its slope */")
for nu in (1e-3, 0.05, 1, 2.5, 19.9, 20.1, 300, 1e6, 1e10, 1e12, 1e13, 1e14, 1e20, 1e30):
    for scale in (1e-30, 1e-4, 2, 1e30):
        for z in (0.0, 0.75, -30.0):
            n, s, r = single(nu), single(scale), single(z * scale)
            N, S, R = mp.mpf(n), mp.mpf(s), mp.mpf(r)
            value = (N + 1) / 2 * mp.log1p(R * R / (N * S * S)) + mp.log(S) + mp.log(N * mp.pi) / 2
            value += mp.loggamma(N / 2) - mp.loggamma((N + 1) / 2)
            row(n, s, r, value, (N + 1) * R / (N * S * S + R * R))
print("};\n")

print("static const double oracle_poisson[][4] = { /* ln rate, count, nll, its slope */")
for rate, count in ((-80, 0), (-3, 2), (0, 0), (2.5, 17), (13, 4e5), (13.7, 9e5), (13.8, 1.1e6),
                    (14, 1e6), (23, 1e10), (27.6, 1e12), (27.631021, 1e12), (60, 1e26), (69, 1e30),
                    (88, 1e38), (88, 0)):
    o, y = single(rate), single(count)
    row(o, y, mp.exp(mp.mpf(o)) - mp.mpf(y) * o + mp.loggamma(mp.mpf(y) + 1), mp.exp(mp.mpf(o)) - y)
print("};\n")

print("static const double oracle_dirichlet[][8] = { /* alpha, prior, KL, its slope by alpha_0 */")
for a in ((1e-3, 2e-3, 5), (0.5, 1, 1.5), (9.9, 10.1, 0.2), (999, 1001, 3), (1e6, 1e6, 2e6),
          (1e6, 1e-2, 3), (1e10, 3e10, 1e9), (1e12, 1e12, 1e12), (1e20, 2e20, 1e20), (3, 1e12, 0.1)):
    for b in ((1, 1, 1), (2, 0.1, 30), (1e6, 1e6, 2.001e6), (1e12, 1e12, 1e12)):
        A, B = [mp.mpf(single(v)) for v in a], [mp.mpf(single(v)) for v in b]
        a0, b0 = sum(A), sum(B)
        kl = mp.loggamma(a0) - mp.loggamma(b0)
        for x, y in zip(A, B):
            kl += mp.loggamma(y) - mp.loggamma(x) + (x - y) * (mp.digamma(x) - mp.digamma(a0))
        slope = [(x - y) * mp.psi(1, x) - (a0 - b0) * mp.psi(1, a0) for x, y in zip(A, B)]
        row(*A, *B, kl, slope[0])
print("};\n")

print("static const double oracle_bernoulli[][4] = { /* logit, p0, KL, its slope */")
for z in (-1e4, -80, -30, -3, -0.1, 0, 1e-4, 2, 20, 100, 1e4):
    for p in (1e-30, 1e-4, 0.3, 0.5, 0.999):
        q = mp.mpf(single(p))
        Z = mp.mpf(single(z))
        p1, p0 = 1 / (1 + mp.exp(-Z)), 1 / (1 + mp.exp(Z))
        kl = p1 * (-mp.log1p(mp.exp(-Z)) - mp.log(q)) + p0 * (-mp.log1p(mp.exp(Z)) - mp.log(1 - q))
        row(Z, q, kl, p1 * p0 * (Z - mp.log(q) + mp.log(1 - q)))
print("};")
