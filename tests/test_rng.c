/* test_rng.c -- the generator, its variates and their independence (S1.1, S1.2, S1.7 - S1.11).
 *
 * Every stochastic check compares a p-value with LEVEL = 1e-6, about 250 of them: with correct code
 * the whole file fails for one seed in 4000. Seeds are fixed; BNN_SEED_OFFSET=n shifts them all. */
#include "build.h"

enum { MANY = 100000, LAGS = 8 };
static const double LEVEL = 1e-6;
static float draws[MANY], other[MANY];
static double sorted[MANY];

static bnn_rng make(uint64_t seed) { return bnn_rng_seed(build_seed(seed)); }

/* ---- tests of hypotheses ---- */

#define CHECK_P(p) check_p(p, __FILE__, __LINE__, #p)
static void check_p(double p, const char *file, int line, const char *what) {
    if (!check_that(p >= LEVEL, file, line, what)) printf("    p-value %.3g\n", p);
}

static double p_normal(double z) { return erfc(fabs(z) / sqrt(2)); } /* two-sided */

static double p_mean(double sum, double n, double mean, double variance) {
    return p_normal((sum / n - mean) / sqrt(variance / n));
}

static double p_chi2(const double *count, const double *expected, int k) {
    double x = 0;
    for (int i = 0; i < k; i++) x += pow(count[i] - expected[i], 2) / expected[i];
    return bnn_gamma_q((k - 1) / 2.0, x / 2);
}

static double p_chi2_equal(const double *count, double total, int k) {
    double x = 0;
    for (int i = 0; i < k; i++) x += pow(count[i] - total / k, 2) / (total / k);
    return bnn_gamma_q((k - 1) / 2.0, x / 2);
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Kolmogorov-Smirnov of sorted[0..n-1] against a cdf with two parameters */
typedef double cdf_of(double x, double a, double b);
static double p_ks(int n, cdf_of *cdf, double a, double b) {
    double d = 0, lambda, p = 0;
    qsort(sorted, (size_t)n, sizeof *sorted, compare);
    for (int i = 0; i < n; i++) {
        double f = cdf(sorted[i], a, b), over = (i + 1.0) / n - f, under = f - (double)i / n;
        if (!(f >= 0 && f <= 1)) return 0;
        d = over > d ? over : d;
        d = under > d ? under : d;
    }
    lambda = d * (sqrt(n) + 0.12 + 0.11 / sqrt(n));
    for (int k = 1; k < 100; k++) p += (k % 2 ? 2 : -2) * exp(-2 * k * k * lambda * lambda);
    return lambda < 0.2 ? 1 : p;
}

static double p_ks_of(const float *x, int n, cdf_of *cdf, double a, double b) {
    for (int i = 0; i < n; i++) sorted[i] = (double)x[i];
    return p_ks(n, cdf, a, b);
}

static double p_uncorrelated(const float *x, const float *y, int n) { /* both N(0,1) */
    double s = 0;
    for (int i = 0; i < n; i++) s += (double)x[i] * (double)y[i];
    return p_mean(s, n, 0, 1);
}

static double cdf_uniform(double x, double a, double b) { return (x - a) / (b - a); }
static double cdf_normal(double x, double m, double s) { return bnn_normal_cdf((x - m) / s); }
static double cdf_exponential(double x, double m, double s) { return -expm1(-(x - m) / s); }
static double cdf_gumbel(double x, double m, double s) { return exp(-exp(-(x - m) / s)); }
static double cdf_logistic(double x, double m, double s) { return 1 / (1 + exp(-(x - m) / s)); }
static double cdf_laplace(double x, double m, double s) {
    return x < m ? exp((x - m) / s) / 2 : 1 - exp(-(x - m) / s) / 2;
}
static double cdf_log_gamma(double y, double a, double shift) {
    y += shift; /* where e^y underflows, P is its first term */
    return y < -600 ? exp(a * y - bnn_lgamma(a + 1)) : bnn_gamma_p(a, exp(y));
}
static double cdf_beta(double x, double a, double b) { return bnn_beta_i(a, b, x); }

/* mean and variance against known values; the error of the variance from the sample's 4th moment */
static void check_moments(const float *x, int n, double mean, double variance) {
    double s = 0, m2 = 0, m4 = 0;
    for (int i = 0; i < n; i++) s += (double)x[i];
    for (int i = 0; i < n; i++) {
        double d = (double)x[i] - mean;
        m2 += d * d / n;
        m4 += d * d * d * d / n;
    }
    CHECK_P(p_mean(s, n, mean, variance));
    CHECK_P(p_normal((m2 - variance) / sqrt((m4 - m2 * m2) / n)));
}

static void fill(bnn_rng *r, float (*draw)(bnn_rng *)) {
    for (int i = 0; i < MANY; i++) draws[i] = draw(r);
}

/* ---- the generator ---- */

static void philox_gives_its_published_vectors(void) { /* Random123 1.x, kat_vectors */
    static const uint32_t in[3][6] = {
        { 0, 0, 0, 0, 0, 0 },
        { 0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu },
        { 0x243f6a88u, 0x85a308d3u, 0x13198a2eu, 0x03707344u, 0xa4093822u, 0x299f31d0u }
    };
    static const uint32_t out[3][4] = {
        { 0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u },
        { 0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu },
        { 0xd16cfe09u, 0x94fdccebu, 0x5001e420u, 0x24126ea1u }
    };
    for (int k = 0; k < 3; k++) {
        bnn_rng r;
        memset(&r, 0, sizeof r);
        memcpy(r.ctr, in[k], sizeof r.ctr);
        memcpy(r.key, in[k] + 4, sizeof r.key);
        for (int i = 0; i < 4; i++) CHECK(bnn_rng_u32(&r) == out[k][i]);
    }
}

static void zero_is_seed_0_and_stream_0(void) {
    bnn_rng zero, seed = bnn_rng_seed(0), stream = bnn_rng_stream(0, 0);
    memset(&zero, 0, sizeof zero);
    for (int i = 0; i < 9; i++) {
        uint32_t w = bnn_rng_u32(&zero);
        CHECK(w == bnn_rng_u32(&seed) && w == bnn_rng_u32(&stream));
    }
}

static void seed_and_stream_use_all_64_bits(void) {
    uint32_t first[4];
    bnn_rng r = bnn_rng_stream(1, 1);
    first[0] = bnn_rng_u32(&r);
    r = bnn_rng_stream(1 | (uint64_t)1 << 32, 1), first[1] = bnn_rng_u32(&r);
    r = bnn_rng_stream(1, 1 | (uint64_t)1 << 32), first[2] = bnn_rng_u32(&r);
    r = bnn_rng_stream(1, 2), first[3] = bnn_rng_u32(&r);
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < i; j++) CHECK(first[i] != first[j]);
}

static void a_copy_replays_from_any_place(void) {
    bnn_rng r = bnn_rng_seed(3), copy;
    for (int i = 0; i < 6; i++) bnn_rng_normal(&r);
    copy = r;
    for (int i = 0; i < 20; i++) CHECK_SAME(bnn_rng_gumbel(&r), bnn_rng_gumbel(&copy));
}

static void the_counter_carries_and_stays_in_its_stream(void) {
    bnn_rng r = bnn_rng_stream(5, 9);
    r.ctr[0] = 0xffffffffu;
    for (int i = 0; i < 5; i++) bnn_rng_u32(&r);
    CHECK(r.ctr[0] == 1 && r.ctr[1] == 1 && r.ctr[2] == 9);
    r = bnn_rng_stream(5, 9);
    r.ctr[0] = r.ctr[1] = 0xffffffffu;
    for (int i = 0; i < 4; i++) bnn_rng_u32(&r);
    CHECK(r.ctr[0] == 0 && r.ctr[1] == 0 && r.ctr[2] == 9 && r.ctr[3] == 0);
}

static void bits_are_balanced_and_serially_independent(void) {
    double ones[32] = { 0 }, same[LAGS][32] = { { 0 } }, n = MANY;
    uint32_t past[LAGS] = { 0 };
    bnn_rng r = make(10);
    for (int i = 0; i < MANY + LAGS; i++) {
        uint32_t w = bnn_rng_u32(&r);
        for (int b = 0; b < 32 && i >= LAGS; b++) {
            ones[b] += w >> b & 1;
            for (int lag = 0; lag < LAGS; lag++) same[lag][b] += (w ^ past[lag]) >> b & 1;
        }
        memmove(past + 1, past, (LAGS - 1) * sizeof *past);
        past[0] = w;
    }
    for (int b = 0; b < 32; b++) {
        CHECK_P(p_mean(ones[b], n, 0.5, 0.25));
        for (int lag = 0; lag < LAGS; lag++) CHECK_P(p_mean(same[lag][b], n, 0.5, 0.25));
    }
}

static void pairs_of_bytes_are_uniform(void) {
    static double count[65536];
    bnn_rng r = make(11);
    memset(count, 0, sizeof count);
    for (int i = 0; i < 500000; i++) {
        uint32_t w = bnn_rng_u32(&r);
        count[w >> 16]++;
        count[w & 0xffff]++;
    }
    CHECK_P(p_chi2_equal(count, 1e6, 65536));
}

static void streams_and_neighboring_seeds_are_uncorrelated(void) {
    for (int k = 0; k < 6; k++) {
        bnn_rng a = make(20), b = k < 3 ? bnn_rng_stream(build_seed(20), (uint64_t)1 << 20 * k)
                                        : make(20 + ((uint64_t)1 << 20 * (k - 3)));
        bnn_rng_fill_normal(&a, MANY, draws);
        bnn_rng_fill_normal(&b, MANY, other);
        CHECK_P(p_uncorrelated(draws, other, MANY));
        CHECK_P(p_uncorrelated(draws, other + 1, MANY - 1));
        CHECK_P(p_uncorrelated(draws + 1, other, MANY - 1));
    }
}

static void splits_are_uncorrelated_with_parent_and_each_other(void) {
    bnn_rng parent = make(21), before = parent, first = bnn_rng_split(&parent);
    bnn_rng second = bnn_rng_split(&parent), grandchild = bnn_rng_split(&first);
    bnn_rng *family[4];
    family[0] = &parent, family[1] = &first, family[2] = &second, family[3] = &grandchild;
    CHECK(memcmp(&before, &parent, sizeof parent) != 0);
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < i; j++) {
            bnn_rng a = *family[i], b = *family[j];
            for (int t = 0; t < MANY; t++) draws[t] = bnn_rng_normal(&a);
            for (int t = 0; t < MANY; t++) other[t] = bnn_rng_normal(&b);
            CHECK_P(p_uncorrelated(draws, other, MANY));
        }
}

static void splits_are_all_different_and_look_uniform(void) {
    bnn_rng parent = make(22);
    double count[16] = { 0 };
    for (int i = 0; i < 2000; i++) {
        bnn_rng child = bnn_rng_split(&parent);
        sorted[i] = child.key[0] + 4294967296.0 * child.key[1];
        count[bnn_rng_u32(&child) >> 28]++;
    }
    qsort(sorted, 2000, sizeof *sorted, compare);
    for (int i = 1; i < 2000; i++) CHECK(sorted[i] != sorted[i - 1]);
    CHECK_P(p_chi2_equal(count, 2000, 16));
}

/* ---- simple variates ---- */

static bnn_rng words(uint32_t w) { /* a generator whose next four words are w */
    bnn_rng r = bnn_rng_seed(0);
    for (int i = 0; i < 4; i++) r.buf[i] = w;
    r.left = 4;
    return r;
}

static void extreme_words_give_finite_variates_inside_their_range(void) {
    for (int k = 0; k < 2; k++) {
        bnn_rng r = words(k ? 0xffffffffu : 0);
        double u = (double)bnn_rng_uniform(&r), e, g, z;
        CHECK(u > 0 && u < 1);
        CHECK_NEAR(k ? 1 - u : u, BUILD_TOL(0x1p-24, 0x1p-53), 1e-30);
        r = words(k ? 0xffffffffu : 0), e = (double)bnn_rng_exponential(&r);
        CHECK(k ? e > 1e-10 && e < 2e-10 : e > 22 && e < 24);
        r = words(k ? 0xffffffffu : 0), g = (double)bnn_rng_gumbel(&r);
        CHECK(k ? g > 22 && g < 24 : g < -3 && g > -4);
        r = words(k ? 0xffffffffu : 0), z = (double)bnn_rng_normal(&r);
        CHECK(k ? fabs(z) < 1e-4 : fabs(z) > 6.7);
        r = words(k ? 0xffffffffu : 0), z = (double)bnn_rng_logistic(&r);
        CHECK(k ? z > 22 && z < 24 : z < -22 && z > -24);
        r = words(k ? 0xffffffffu : 0);
        CHECK_SAME(bnn_rng_double_exponential(&r), 0.0);
    }
}

static void uniform_is_uniform(void) {
    bnn_rng r = make(30);
    fill(&r, bnn_rng_uniform);
    check_moments(draws, MANY, 0.5, 1.0 / 12);
    CHECK_P(p_ks_of(draws, MANY, cdf_uniform, 0, 1));
}

static void check_normal(void) { /* of draws[] */
    static const double mean[] = { 0, 1, 0, 3 }, variance[] = { 1, 2, 15, 96 };
    for (int m = 0; m < 4; m++) {
        double s = 0;
        for (int i = 0; i < MANY; i++) s += pow((double)draws[i], m + 1);
        CHECK_P(p_mean(s, MANY, mean[m], variance[m]));
    }
    CHECK_P(p_ks_of(draws, MANY, cdf_normal, 0, 1));
}

static void normal_is_normal(void) {
    bnn_rng r = make(31);
    fill(&r, bnn_rng_normal);
    check_normal();
    CHECK_P(p_uncorrelated(draws, draws + 1, MANY - 1)); /* serially */
}

static void normal_has_its_far_tail(void) { /* Poisson counts beyond 3, 4 and 4.5 sigma */
    static const double at[] = { 3, 4, 4.5 };
    double count[3] = { 0 }, n = 20.0 * MANY;
    bnn_rng r = make(32);
    for (int k = 0; k < 20; k++) {
        bnn_rng_fill_normal(&r, MANY, draws);
        for (int i = 0; i < MANY; i++)
            for (int j = 0; j < 3; j++) count[j] += fabs((double)draws[i]) > at[j];
    }
    for (int j = 0; j < 3; j++) {
        double lambda = 2 * n * bnn_normal_cdf(-at[j]);
        CHECK_P(2 * bnn_gamma_q(count[j] + 1, lambda)); /* P(count or fewer) */
        CHECK_P(2 * bnn_gamma_p(count[j], lambda));     /* P(count or more)  */
    }
}

static void exponential_gumbel_logistic_laplace_have_their_laws(void) {
    const double pi2 = BNN__PI * BNN__PI;
    bnn_rng r = make(33);
    fill(&r, bnn_rng_exponential);
    check_moments(draws, MANY, 1, 1);
    CHECK_P(p_ks_of(draws, MANY, cdf_exponential, 0, 1));
    fill(&r, bnn_rng_gumbel);
    check_moments(draws, MANY, 0.57721566490153286, pi2 / 6);
    CHECK_P(p_ks_of(draws, MANY, cdf_gumbel, 0, 1));
    for (int i = 0; i < MANY; i++) draws[i] -= bnn_rng_gumbel(&r); /* G1 - G2 is logistic */
    CHECK_P(p_ks_of(draws, MANY, cdf_logistic, 0, 1));
    fill(&r, bnn_rng_logistic);
    check_moments(draws, MANY, 0, pi2 / 3);
    CHECK_P(p_ks_of(draws, MANY, cdf_logistic, 0, 1));
    fill(&r, bnn_rng_double_exponential);
    check_moments(draws, MANY, 0, 2);
    CHECK_P(p_ks_of(draws, MANY, cdf_laplace, 0, 1));
}

static void fills_have_the_laws_of_single_draws(void) {
    bnn_rng r = make(34);
    bnn_rng_fill_uniform(&r, MANY, draws);
    check_moments(draws, MANY, 0.5, 1.0 / 12);
    CHECK_P(p_ks_of(draws, MANY, cdf_uniform, 0, 1));
    bnn_rng_fill_gumbel(&r, MANY, draws);
    check_moments(draws, MANY, 0.57721566490153286, BNN__PI * BNN__PI / 6);
    CHECK_P(p_ks_of(draws, MANY, cdf_gumbel, 0, 1));
    bnn_rng_fill_exponential(&r, MANY, draws);
    check_moments(draws, MANY, 1, 1);
    CHECK_P(p_ks_of(draws, MANY, cdf_exponential, 0, 1));
    bnn_rng_fill_normal(&r, MANY, draws);
    check_normal();
    for (int lag = 1; lag <= 64; lag *= 2) /* Box-Muller pairs and blocks lie 1 to 64 apart */
        CHECK_P(p_uncorrelated(draws, draws + lag, MANY - lag));
    for (int k = 0; k < 10; k++) { /* many short ones are as good as a long one */
        for (int i = 0; i < MANY; i += 5) bnn_rng_fill_normal(&r, 5, draws + i);
        if (k == 0) check_normal();
    }
}

static void fills_write_n_numbers_and_never_repeat_words(void) {
    for (size_t n = 0; n < 140; n++) {
        bnn_rng r = bnn_rng_seed(7), again;
        for (size_t i = 0; i < 200; i++) draws[i] = 99;
        bnn_rng_fill_uniform(&r, n, draws);
        for (size_t i = 0; i < 200; i++)
            CHECK(i < n ? draws[i] > 0 && draws[i] < 1 : draws[i] == 99);
        again = r;
        bnn_rng_fill_uniform(&r, 4, other);
        for (size_t i = 0; i < n; i++) CHECK((double)draws[i] != (double)other[0]);
        CHECK(n == 0 || (double)bnn_rng_uniform(&again) != (double)draws[0]);
        CHECK(((size_t)r.ctr[0] - 1) * 4 >= n);
    }
}

static void a_fill_of_uniforms_is_the_single_draws_in_another_order(void) {
    bnn_rng r = bnn_rng_seed(8), again = r;
    if (sizeof(float) == sizeof(double)) return; /* of two words, the other fills have one */
    bnn_rng_fill_uniform(&r, 128, draws);
    for (size_t i = 0; i < 128; i++) {
        size_t same = 0;
        other[0] = bnn_rng_uniform(&again);
        for (size_t j = 0; j < 128; j++) same += draws[j] == other[0];
        CHECK(same == 1);
    }
}

/* ---- integers ---- */

static void below_is_uniform(void) {
    static const size_t sizes[] = { 2, 3, 7, 10, 64, 1000 };
    bnn_rng r = make(40);
    CHECK(bnn_rng_below(&r, 1) == 0 && bnn_rng_below(&r, 0) == 0);
    for (int k = 0; k < 6; k++) {
        double count[1000] = { 0 };
        for (int i = 0; i < MANY; i++) {
            size_t j = bnn_rng_below(&r, sizes[k]);
            if (CHECK(j < sizes[k])) count[j]++;
        }
        CHECK_P(p_chi2_equal(count, MANY, (int)sizes[k]));
    }
}

static void below_has_no_bias_where_multiplying_alone_has(void) {
    /* floor(w n / 2^32) with n = 3 2^30 is a multiple of 3 half the time */
    double count[3] = { 0 }, half[3] = { 0 };
    bnn_rng r = make(41);
    for (int i = 0; i < MANY; i++) {
        size_t j = bnn_rng_below(&r, (size_t)3 << 30);
        count[j % 3]++;
        half[j >> 30]++;
    }
    CHECK_P(p_chi2_equal(count, MANY, 3));
    CHECK_P(p_chi2_equal(half, MANY, 3));
#if SIZE_MAX > 0xffffffffu
    memset(half, 0, sizeof half);
    for (int i = 0; i < MANY; i++) half[bnn_rng_below(&r, (size_t)3 << 62) >> 62]++;
    CHECK_P(p_chi2_equal(half, MANY, 3));
    memset(count, 0, sizeof count);
    for (int i = 0; i < MANY; i++) {
        size_t j = bnn_rng_below(&r, ((size_t)1 << 32) + 5);
        CHECK(j < ((size_t)1 << 32) + 5);
        count[j % 3]++;
    }
    CHECK_P(p_chi2_equal(count, MANY, 3));
    r = words(0x12345678u);
    CHECK(bnn_rng_below(&r, (size_t)1 << 32) < (size_t)1 << 32);
#endif
}

static void permutations_of_4_are_equally_likely(void) {
    double count[256] = { 0 }, used[24];
    int k = 0;
    bnn_rng r = make(42);
    for (int i = 0; i < MANY; i++) {
        size_t p[4];
        bnn_rng_permutation(&r, 4, p);
        count[p[0] * 64 + p[1] * 16 + p[2] * 4 + p[3]]++;
    }
    for (int i = 0; i < 256; i++)
        if (count[i] > 0 && CHECK(k < 24)) used[k++] = count[i];
    CHECK(k == 24);
    CHECK_P(p_chi2_equal(used, MANY, 24));
}

static void a_permutation_holds_every_index_once(void) {
    size_t p[1000], zero = 77;
    unsigned char seen[1000] = { 0 };
    double place[10] = { 0 };
    bnn_rng r = make(43);
    bnn_rng_permutation(&r, 1000, p);
    for (int i = 0; i < 1000; i++)
        if (CHECK(p[i] < 1000)) seen[p[i]]++;
    for (int i = 0; i < 1000; i++) CHECK(seen[i] == 1);
    bnn_rng_permutation(&r, 0, &zero);
    CHECK(zero == 77);
    for (int i = 0; i < 20000; i++) { /* where does 0 go */
        bnn_rng_permutation(&r, 10, p);
        for (int j = 0; j < 10; j++) place[j] += p[j] == 0;
    }
    CHECK_P(p_chi2_equal(place, 20000, 10));
}

static void categorical_has_its_frequencies_and_never_draws_weight_0(void) {
    static const float w[6] = { 0, 3, (float)0.5, 0, (float)6.5, 0 };
    static const double expected[3] = { 0.3 * MANY, 0.05 * MANY, 0.65 * MANY };
    double count[6] = { 0 }, some[3], by_max[3] = { 0 };
    bnn_rng r = make(44);
    for (int i = 0; i < MANY; i++) {
        double best = -1e300;
        int arg = 0;
        count[bnn_rng_categorical(&r, 6, w)]++;
        for (int j = 0; j < 3; j++) { /* Gumbel-max on unnormalized logs is the same law */
            double y = log(expected[j]) + (double)bnn_rng_gumbel(&r);
            if (y > best) best = y, arg = j;
        }
        by_max[arg]++;
    }
    some[0] = count[1], some[1] = count[2], some[2] = count[4];
    CHECK(count[0] + count[3] + count[5] == 0);
    CHECK_P(p_chi2(some, expected, 3));
    CHECK_P(p_chi2(by_max, expected, 3));
}

static void categorical_refuses_bad_weights_and_guards_the_last_bin(void) {
    float bad[4][3] = { { 0, 0, 0 }, { 1, -1, 1 }, { 1, 1, 0 }, { 1, 1, 0 } };
    float good[3] = { 1, (float)0.1, 0 }, tiny[2] = { (float)1e-38, 0 };
    bnn_rng r = make(45);
    bad[2][2] = (float)bnn__nan();
    bad[3][0] = (float)bnn__inf();
    for (int i = 0; i < 4; i++) CHECK(bnn_rng_categorical(&r, 3, bad[i]) == 3);
    CHECK(bnn_rng_categorical(&r, 0, good) == 0);
    r = words(0xffffffffu);
    CHECK(bnn_rng_categorical(&r, 3, good) == 1);
    r = words(0);
    CHECK(bnn_rng_categorical(&r, 3, good) == 0);
    CHECK(bnn_rng_categorical(&r, 2, tiny) == 0);
}

/* ---- gamma, beta, Dirichlet ---- */

static void log_gamma_has_its_law_for_every_shape(void) {
    static const double shapes[] = { 1e-4, 1e-3, 0.05, 0.5, 1, 3, 100, 1e5 };
    bnn_rng r = make(50);
    for (int k = 0; k < 8; k++) {
        float shape = (float)shapes[k];
        double a = (double)shape;
        int n = MANY / 2;
        for (int i = 0; i < n; i++) draws[i] = bnn_rng_log_gamma(&r, shape);
        check_moments(draws, n, bnn_digamma(a), bnn_trigamma(a));
        if (a < 1e4 || sizeof(float) == 8) /* else the draws are coarser than the sample can see */
            CHECK_P(p_ks_of(draws, n, cdf_log_gamma, a, 0));
        bnn_rng_fill_log_gamma(&r, (size_t)n, shape, draws);
        check_moments(draws, n, bnn_digamma(a), bnn_trigamma(a));
        if (a < 1e4 || sizeof(float) == 8) CHECK_P(p_ks_of(draws, n, cdf_log_gamma, a, 0));
        if (a < 0.01) continue; /* too skewed for the limit theorem */
        for (int i = 0; i < n; i++) draws[i] = bnn_rng_gamma(&r, shape);
        if (a < 1e4) check_moments(draws, n, a, a);
        bnn_rng_fill_gamma(&r, (size_t)n, shape, draws);
        if (a < 1e4) check_moments(draws, n, a, a);
        for (int i = 0; i < n; i++) draws[i] = (float)(((double)draws[i] - a) / sqrt(a));
        for (int lag = 1; lag <= 16; lag *= 2) CHECK_P(p_uncorrelated(draws, draws + lag, n - lag));
    }
}

static void gamma_fills_write_n_numbers_with_equal_bits_at_every_width(void) {
    static const int widths[] = { 1, 4, 8, 16 };
    int best = bnn__cpu();
    for (size_t n = 0; n < 1100; n += 1 + n / 3)
        for (int k = 0; k < 4 && (widths[k] == 1 || widths[k] <= best); k++) {
            bnn_rng r = bnn_rng_seed(n);
            for (size_t i = 0; i < 1200; i++) draws[i] = 99;
            bnn__cpu_level = widths[k];
            bnn_rng_fill_gamma(&r, n, (float)0.7, draws);
            bnn__cpu_level = best;
            for (size_t i = 0; i < 1200; i++) CHECK(i < n ? draws[i] >= 0 : draws[i] == 99);
            if (k == 0) memcpy(other, draws, n * sizeof *draws);
            CHECK_SAME_ARRAY(draws, other, n);
        }
}

static void gamma_of_extreme_or_bad_shapes_is_finite_or_nan(void) {
    static const double tiny[] = { 1e-4, 1e-10, 1e-30, 1e-38, 1e10, 1e30 };
    bnn_rng r = make(51);
    for (int i = 0; i < 6; i++)
        for (int k = 0; k < 1000; k++) {
            double y = (double)bnn_rng_log_gamma(&r, (float)tiny[i]);
            CHECK(bnn__finite_d(y));
            CHECK((double)bnn_rng_gamma(&r, (float)tiny[i]) >= 0);
            bnn_rng_fill_log_gamma(&r, 3, (float)tiny[i], draws);
            for (int j = 0; j < 3; j++) CHECK(bnn__finite(draws[j]));
        }
    for (int i = 0; i < 4; i++) {
        double bad = i == 0 ? 0 : i == 1 ? -1 : i == 2 ? bnn__nan() : bnn__inf();
        double y = (double)bnn_rng_log_gamma(&r, (float)bad);
        double z = (double)bnn_rng_gamma(&r, (float)bad);
        CHECK(!(y <= 0) && !(y > 0) && !(z <= 0) && !(z > 0));
        bnn_rng_fill_gamma(&r, 3, (float)bad, draws);
        for (int j = 0; j < 3; j++) CHECK(!(draws[j] <= 0) && !(draws[j] > 0));
    }
}

static void beta_has_its_law(void) {
    static const double ab[][2] = { { 0.5, 0.5 }, { 2, 3 }, { 30, 1 }, { 1, 1 }, { 0.05, 0.1 } };
    bnn_rng r = make(52);
    for (int k = 0; k < 5; k++) {
        float a = (float)ab[k][0], b = (float)ab[k][1];
        double p = (double)a, q = (double)b, s = p + q;
        int n = MANY / 4;
        for (int i = 0; i < n; i++) {
            draws[i] = bnn_rng_beta(&r, a, b);
            CHECK(draws[i] >= 0 && draws[i] <= 1);
        }
        check_moments(draws, n, p / s, p * q / (s * s * (s + 1)));
        if (k < 4) CHECK_P(p_ks_of(draws, n, cdf_beta, p, q)); /* else much rounds to 0 and 1 */
    }
    CHECK(!((double)bnn_rng_beta(&r, 0, 1) >= 0) && !((double)bnn_rng_beta(&r, 1, -1) >= 0));
}

static void check_dirichlet(bnn_rng *r, const float alpha[3], int marginal) {
    double a0 = (double)alpha[0] + (double)alpha[1] + (double)alpha[2], s[3] = { 0 }, q[3] = { 0 };
    int n = MANY / 4;
    for (int i = 0; i < n; i++) {
        float x[3], y[3];
        double sum = 0;
        CHECK(bnn_rng_dirichlet(r, 3, alpha, x, y) == BNN_OK);
        for (int k = 0; k < 3; k++) {
            sum += (double)x[k];
            CHECK(bnn__finite(x[k]) && bnn__finite(y[k]) && y[k] <= 0);
            CHECK_NEAR(x[k], exp((double)y[k]), 8 * BUILD_EPSILON);
            s[k] += (double)y[k], q[k] += (double)y[k] * (double)y[k];
        }
        CHECK_NEAR(sum, 1, 3 * BUILD_EPSILON);
        sorted[i] = (double)x[0];
        draws[i] = x[1];
    }
    for (int k = 0; k < 3; k++) { /* E ln x_k = psi(alpha_k) - psi(alpha_0), Var = psi'- psi' */
        double mean = bnn_digamma((double)alpha[k]) - bnn_digamma(a0);
        double variance = bnn_trigamma((double)alpha[k]) - bnn_trigamma(a0);
        CHECK_P(p_mean(s[k], n, mean, variance));
    }
    check_moments(draws, n, (double)alpha[1] / a0,
                  (double)alpha[1] * (a0 - (double)alpha[1]) / (a0 * a0 * (a0 + 1)));
    if (marginal) CHECK_P(p_ks(n, cdf_beta, (double)alpha[0], a0 - (double)alpha[0]));
}

static void dirichlet_has_its_law(void) {
    static const float plain[3] = { 1, 2, (float)0.5 }, large[3] = { 300, 20, 50 };
    static const float small[3] = { (float)0.02, (float)0.05, (float)0.03 };
    static const float tiny[3] = { (float)1e-3, (float)2e-3, (float)3e-3 };
    bnn_rng r = make(53);
    check_dirichlet(&r, plain, 1);
    check_dirichlet(&r, large, 1);
    check_dirichlet(&r, small, 0);
    check_dirichlet(&r, tiny, 0);
}

static void dirichlet_of_vanishing_alpha_is_one_hot_with_the_right_odds(void) {
    static const float alpha[3] = { (float)1e-6, (float)2e-6, (float)5e-6 };
    static const double expected[3] = { 20000.0 / 8, 20000.0 / 4, 20000.0 * 5 / 8 };
    double count[3] = { 0 };
    bnn_rng r = make(54);
    for (int i = 0; i < 20000; i++) {
        float x[3], y[3];
        CHECK(bnn_rng_dirichlet(&r, 3, alpha, x, y) == BNN_OK);
        for (int k = 0; k < 3; k++) {
            CHECK(bnn__finite(y[k]) && x[k] >= 0);
            count[k] += (double)x[k] > 0.5;
        }
    }
    CHECK_P(p_chi2(count, expected, 3));
}

static void dirichlet_edges_and_errors(void) {
    float alpha[40], x[40], z[40], y[1] = { 7 };
    bnn_rng r = make(55), copy;
    alpha[0] = (float)1e-4;
    CHECK(bnn_rng_dirichlet(&r, 1, alpha, x, y) == BNN_OK && x[0] == 1 && y[0] == 0);
    for (int i = 0; i < 40; i++) alpha[i] = (float)(i % 2 ? 1e-38 : 1e-4 * i + 1e-30);
    copy = r;
    CHECK(bnn_rng_dirichlet(&r, 40, alpha, x, z) == BNN_OK);
    for (int i = 0; i < 40; i++) CHECK(bnn__finite(x[i]) && bnn__finite(z[i]));
    CHECK(bnn_rng_dirichlet(&copy, 40, alpha, z, NULL) == BNN_OK);
    CHECK_SAME_ARRAY(x, z, 40);
    x[0] = 5;
    CHECK(bnn_rng_dirichlet(&r, 0, alpha, x, NULL) == BNN_EARG);
    for (int i = 0; i < 4; i++) {
        alpha[3] = (float)(i == 0 ? 0 : i == 1 ? -1 : i == 2 ? bnn__nan() : bnn__inf());
        CHECK(bnn_rng_dirichlet(&r, 40, alpha, x, NULL) == BNN_EARG);
    }
    CHECK_SAME(x[0], 5.0);
}

int main(void) {
    RUN(philox_gives_its_published_vectors);
    RUN(zero_is_seed_0_and_stream_0);
    RUN(seed_and_stream_use_all_64_bits);
    RUN(a_copy_replays_from_any_place);
    RUN(the_counter_carries_and_stays_in_its_stream);
    RUN(bits_are_balanced_and_serially_independent);
    RUN(pairs_of_bytes_are_uniform);
    RUN(streams_and_neighboring_seeds_are_uncorrelated);
    RUN(splits_are_uncorrelated_with_parent_and_each_other);
    RUN(splits_are_all_different_and_look_uniform);
    RUN(extreme_words_give_finite_variates_inside_their_range);
    RUN(uniform_is_uniform);
    RUN(normal_is_normal);
    RUN(normal_has_its_far_tail);
    RUN(exponential_gumbel_logistic_laplace_have_their_laws);
    RUN(fills_have_the_laws_of_single_draws);
    RUN(fills_write_n_numbers_and_never_repeat_words);
    RUN(a_fill_of_uniforms_is_the_single_draws_in_another_order);
    RUN(below_is_uniform);
    RUN(below_has_no_bias_where_multiplying_alone_has);
    RUN(permutations_of_4_are_equally_likely);
    RUN(a_permutation_holds_every_index_once);
    RUN(categorical_has_its_frequencies_and_never_draws_weight_0);
    RUN(categorical_refuses_bad_weights_and_guards_the_last_bin);
    RUN(log_gamma_has_its_law_for_every_shape);
    RUN(gamma_fills_write_n_numbers_with_equal_bits_at_every_width);
    RUN(gamma_of_extreme_or_bad_shapes_is_finite_or_nan);
    RUN(beta_has_its_law);
    RUN(dirichlet_has_its_law);
    RUN(dirichlet_of_vanishing_alpha_is_one_hot_with_the_right_odds);
    RUN(dirichlet_edges_and_errors);
    return check_done();
}
