#!/usr/bin/env python3
"""Reference values of the special functions, by mpmath at 60 digits and more, for test_special.c.

    python3 tests/oracles/special.py > tests/oracles/special.inc      (needs mpmath; half a minute)

Every value comes from a definition that bnn.h does not use: mpmath's own functions where they are
fast, else a series of positive terms; derivatives by central differences at 120 digits. Arguments
are the exact doubles that are printed.
"""
import mpmath as mp

mp.mp.dps = 60
ZERO_OF_PSI = 1.4616321449683623


def gamma_p(a, x):
    """P(a,x) by the series of positive terms, with enough digits that 1 - P is exact, too."""
    a, x = mp.mpf(a), mp.mpf(x)
    term = total = mp.exp(a * mp.log(x) - x - mp.loggamma(a + 1))
    n = 1
    while term > total * mp.eps:
        term *= x / (a + n)
        total += term
        n += 1
    return total


def beta_i(a, b, x):
    """I_x(a,b) = x^a (1-x)^b / (a B(a,b)) 2F1(a+b, 1; a+1; x): positive terms again."""
    a, b, x = mp.mpf(a), mp.mpf(b), mp.mpf(x)
    if x > 0.5:
        return 1 - beta_i(b, a, 1 - x)
    term = total = mp.exp(a * mp.log(x) + b * mp.log1p(-x) - mp.log(a) + mp.loggamma(a + b)
                          - mp.loggamma(a) - mp.loggamma(b))
    n = 0
    while term > total * mp.eps:
        term *= x * (a + b + n) / (a + 1 + n)
        total += term
        n += 1
    return total


def small_b(a, b, x):
    """1 - I_y(b,a) with y = 1 - x, by the alternating series of I_y, with the digits that it loses."""
    a, b, y = mp.mpf(a), mp.mpf(b), 1 - mp.mpf(x)
    term, total, n = mp.mpf(1), 1 / b, 1
    while n < 20000:
        term *= (n - a) * y / n
        total += term / (b + n)
        if abs(term) < mp.eps:
            break
        n += 1
    return 1 - mp.exp(b * mp.log(y) + mp.loggamma(a + b) - mp.loggamma(a) - mp.loggamma(b)) * total


def dlog(a, log_z):
    """d ln z / da at fixed P(a,z) = -(dP/da) / (z p(z;a))"""
    a, log_z = mp.mpf(a), mp.mpf(log_z)
    z = mp.exp(log_z)
    h = a * mp.mpf(10) ** -30
    dp = (gamma_p(a + h, z) - gamma_p(a - h, z)) / (2 * h)
    return -dp / mp.exp(a * log_z - z - mp.loggamma(a))


def quantile(p):
    p = mp.mpf(p)
    start = -mp.sqrt(-2 * mp.log(p)) if p < 0.01 else mp.sqrt(2) * mp.erfinv(2 * p - 1)
    log_cdf = lambda x: mp.log(mp.erfc(-x / mp.sqrt(2)) / 2)
    return mp.findroot(lambda x: log_cdf(x) - mp.log(p), start)


def table(name, columns, rows):
    print("static const double %s[][%d] = { /* %s */" % (name, len(rows[0]), columns))
    for row in rows:
        print("    { " + ", ".join("%.17g" % float(v) if mp.isfinite(v) else "0" for v in row)
              + " },")
    print("};\n")


def main():
    print("/* Written by oracles/special.py. Do not edit. */\n")
    xs = [1e-300, 1e-10, 1e-4, 0.01, 0.1, 0.3, 0.4999, 0.5, 0.7, 0.999, 1 - 1e-9, 1 + 1e-12,
          1.001, 1.2, 1.4, ZERO_OF_PSI, 1.47, 1.5, 1.7, 1.99, 2 - 1e-8, 2 + 1e-8, 2.2, 2.4999,
          2.5, 3, 4.5, 7.25, 9.99, 10, 11.5, 20, 100, 1234.5, 1e6, 1e10, 1e100]
    table("oracle_lgamma", "x, ln Gamma(x)", [(x, mp.loggamma(mp.mpf(x))) for x in xs])
    table("oracle_digamma", "x, psi(x)", [(x, mp.psi(0, mp.mpf(x))) for x in xs])
    table("oracle_trigamma", "x, psi'(x)", [(x, mp.psi(1, mp.mpf(x))) for x in xs if x > 1e-100])

    rows = []
    for a in [1e-8, 1e-3, 0.05, 0.3, 0.5, 0.999, 1, 1.5, 3, 9.9, 10, 40, 300, 1e4, 1e6]:
        points = [a + t * a ** 0.5 for t in (-30, -10, -4, -2, -1, -0.1, 0, 0.1, 1, 2, 4, 10, 30)]
        points += [a * t for t in (1e-6, 0.01, 0.5, 0.8, 1.2, 1.5, 2, 10)]
        points += [1e-20, 1e-3, 0.5, 0.9, 0.999, 1, 1.1, 3, a + 0.9, a + 1, a + 1.1]
        for x in sorted(set(p for p in points if p > 0)):
            if mp.mpf(a) * mp.log(mp.mpf(x) / a) + a - x < -600:
                continue
            mp.mp.dps = 60 + int(0.44 * max(0, x - a - a * mp.log(mp.mpf(x) / a)))
            p = gamma_p(a, x)
            rows.append((a, x, p, 1 - p))
            mp.mp.dps = 60
    table("oracle_gamma", "a, x, P, Q", rows)
    rows = []
    for a in [10.0 ** k for k in range(-12, 7)] + [3.7e-6, 0.37, 37.0]:
        for x in [10.0 ** k for k in range(-12, 6)] + [0.97, 1.03, 2.7, 27.0]:
            front = mp.mpf(a) * mp.log(mp.mpf(x) / a) + a - x
            if front < -600 or (x > 1e3 and x > 3 * a):
                continue
            mp.mp.dps = 80 + int(0.44 * max(0, -front))
            p = gamma_p(a, x)
            rows.append((a, x, p, 1 - p))
    table("oracle_gamma_grid", "a, x, P, Q", rows)

    mp.mp.dps = 360
    rows = []
    for a, b in [(1e-3, 1e-3), (1e-3, 2), (0.5, 0.5), (0.3, 4), (1, 1), (2, 3), (5, 0.1), (20, 30),
                 (300, 2), (1000, 1000), (2, 1e5), (1e6, 1e6), (1e6, 50)]:
        mean, sd = a / (a + b), (a * b / (a + b + 1)) ** 0.5 / (a + b)
        points = [mean + t * sd for t in (-20, -5, -2, -1, 0, 1, 2, 5)] + [1e-6, 0.1, 0.5, 0.9]
        for x in sorted(set(p for p in points if 0 < p < 1)):
            i = beta_i(a, b, x)
            if i > 1e-290:
                rows.append((a, b, x, i))
    table("oracle_beta", "a, b, x, I_x(a,b)", rows)

    mp.mp.dps = 400
    rows = []
    for b in [1e-300, 1e-30, 1e-12, 1e-8, 1e-5, 1e-3, 9.9e-3, 1.01e-2, 0.1]:
        for a in [1e-12, 1e-5, 0.03, 0.7, 1, 2.5, 10, 300, 1e4, 1e6]:
            for x in [1e-9, 0.03, 0.4, 0.6, 0.9, 0.97, 0.999, 1 - 1e-6, 1 - 2.0 ** -40]:
                i = small_b(a, b, x) if x > 0.5 and a * (1 - x) < 30 else beta_i(a, b, x)
                if i > 1e-290:
                    rows.append((a, b, x, i))
    table("oracle_beta_small", "a, small b, x, I_x(a,b)", rows)

    mp.mp.dps = 60
    grid = [float(mp.mpf(10) ** (mp.mpf(k) / 7)) for k in range(-70, 43)]
    table("oracle_polygamma", "x, ln Gamma(x), psi(x), psi'(x)",
          [(x, mp.loggamma(mp.mpf(x)), mp.psi(0, mp.mpf(x)), mp.psi(1, mp.mpf(x))) for x in grid])
    table("oracle_normal_grid", "x, ln Phi(x), Phi(x)",
          [(x, mp.log(mp.erfc(-mp.mpf(x) / mp.sqrt(2)) / 2) if x < 0
            else mp.log1p(-mp.erfc(mp.mpf(x) / mp.sqrt(2)) / 2), mp.erfc(-mp.mpf(x) / mp.sqrt(2)) / 2)
           for g in [v for v in grid if 1e-9 < v < 36] for x in (-g, g)])

    rows = []
    for x in [-1000.0, -100.0, -38.0, -37.0, -30.001, -30.0, -29.999, -20.0, -8.5, -3.0, -1.0, -0.1,
              -1e-9, 0.0, 1e-5, 0.5, 2.0, 5.5, 8.0, 20.0]:
        lower, upper = (mp.erfc(s * mp.mpf(x) / mp.sqrt(2)) / 2 for s in (-1, 1))
        rows.append((x, lower if lower > 1e-305 else mp.mpf(0),
                     mp.log(lower) if x < 0 else mp.log1p(-upper)))
    table("oracle_normal", "x, Phi(x) or 0 where it underflows, ln Phi(x)", rows)
    table("oracle_quantile", "p, Phi^-1(p)",
          [(p, quantile(p)) for p in [1e-300, 1e-100, 1e-20, 1.3e-11, 1.4e-11, 1e-6, 0.01, 0.0749,
                                      0.0751, 0.1, 0.3, 0.49, 0.5 + 1e-9, 0.6, 0.9, 0.9249, 0.9251,
                                      0.99, 1 - 1e-9, 1 - 2.0 ** -50]])

    mp.mp.dps = 120
    rows = []
    for a in [1e-6, 1e-3, 0.02, 0.1, 0.5, 0.9, 1, 2, 7.5, 30, 400, 3000, 1e5, 1e6]:
        zs = [a + t * a ** 0.5 for t in (-6, -3, -1, -0.3, 0, 0.3, 1, 3, 6)]
        zs += [a * (1 - 1e-12), a * (1 + 1e-12), a * 0.5, a * 2]
        if a < 50:
            zs += [1e-300, 1e-40, 1e-8, 1e-3, 0.1, 0.9, 1, 3, 10, 30]
        for z in sorted(set(z for z in zs if z > 0)):
            log_z = float(mp.log(z))
            if z < a - 8 * a ** 0.5 and a > 100 or z > a + 40 + 12 * a ** 0.5:
                continue
            rows.append((a, log_z, dlog(a, log_z)))
    table("oracle_gamma_dlog", "a, ln z, d ln z / da", rows)


if __name__ == "__main__":
    main()
