/* test_math.c -- the elementary functions in double that bnn.h has of its own, against libm's (which
 * are good to an ulp or so), on a log grid over the whole domain, and the ends of it. */
#include "build.h"

/* distance in units of the last place of `want` */
static double ulps(double got, double want) {
    int n;
    if (got == want || (isnan(got) && isnan(want))) return 0;
    frexp(want, &n);
    return fabs(got - want) / ldexp(1, n < -1021 ? -1074 : n - 53);
}

static void exp_and_log_in_double(void) {
    double x, worst[5] = { 0, 0, 0, 0, 0 }, e;
    int s, i;
    for (x = 1e-300; x < 1e300; x *= 1.037) {
        e = ulps(bnn__dlog(x), log(x));
        if (e > worst[0]) worst[0] = e;
        for (s = -1; s <= 1; s += 2) {
            e = ulps(bnn__dexp(s * x), exp(s * x));
            if (e > worst[1]) worst[1] = e;
            e = ulps(bnn__dexpm1(s * x), expm1(s * x));
            if (e > worst[2]) worst[2] = e;
            e = s * x > -1 ? ulps(bnn__dlog1p(s * x), log1p(s * x)) : 0;
            if (e > worst[3]) worst[3] = e;
        }
    }
    for (x = -745; x < 709; x += 0.0731) {
        e = ulps(bnn__dexp(x), exp(x));
        if (e > worst[1]) worst[1] = e;
    }
    for (x = 0.3; x < 3; x += 0.0003) {
        e = ulps(bnn__dlog(x), log(x));
        if (e > worst[0]) worst[0] = e;
    }
    for (x = 0.5; x < 1; x += 0.0101)
        for (i = 0; i < 3000; i += 7) {
            double l = i * fabs(log(x));
            e = ulps(bnn__dpow(x, i), pow(x, i)) / (1 + l);
            if (l < 700 && e > worst[4]) worst[4] = e;
        }
    CHECK(worst[0] <= 2);
    CHECK(worst[1] <= 2);
    CHECK(worst[2] <= 4);
    CHECK(worst[3] <= 4);
    CHECK(worst[4] <= 2.5);
}

static void cos_in_double(void) {
    double x;
    for (x = -1e5; x < 1e5; x += 3.1717) CHECK_NEAR(bnn__dcos(x), cos(x), 4e-16);
    for (x = -7; x < 7; x += 0.0021) CHECK_NEAR(bnn__dcos(x), cos(x), 4e-16);
}

static void ends_of_the_domain(void) {
    CHECK(bnn__dexp(INFINITY) > DBL_MAX && bnn__dexp(710) > DBL_MAX && bnn__dexp(1e308) > DBL_MAX);
    CHECK(bnn__dexp(-INFINITY) == 0 && bnn__dexp(-746) == 0 && bnn__dexp(-1e308) == 0);
    CHECK(bnn__dexp(0) == 1 && isnan(bnn__dexp(NAN)));
    CHECK(bnn__dexp(-744) == exp(-744));                /* denormal, rounded once */
    CHECK(bnn__dlog(0) < -DBL_MAX && isnan(bnn__dlog(-1)) && isnan(bnn__dlog(-INFINITY)));
    CHECK(bnn__dlog(1) == 0 && bnn__dlog(INFINITY) > DBL_MAX && isnan(bnn__dlog(NAN)));
    CHECK_NEAR(bnn__dlog(4.9406564584124654e-324), -744.44007192138122, 1e-12);
    CHECK(bnn__dlog1p(-1) < -DBL_MAX && isnan(bnn__dlog1p(-1.5)) && isnan(bnn__dlog1p(NAN)));
    CHECK(bnn__dlog1p(0) == 0 && bnn__dlog1p(INFINITY) > DBL_MAX);
    CHECK(bnn__dlog1p(1e-320) == 1e-320);
    CHECK(bnn__dexpm1(0) == 0 && bnn__dexpm1(-INFINITY) == -1 && bnn__dexpm1(INFINITY) > DBL_MAX);
    CHECK(isnan(bnn__dexpm1(NAN)) && bnn__dexpm1(1e-320) == 1e-320);
    CHECK(bnn__dpow(2, 0) == 1 && bnn__dpow(0, 0) == 1 && bnn__dpow(0, 3) == 0);
    CHECK(bnn__dpow(1, 1e300) == 1);
}

int main(void) {
    RUN(exp_and_log_in_double);
    RUN(cos_in_double);
    RUN(ends_of_the_domain);
    return check_done();
}
