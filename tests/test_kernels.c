/* The inner loops: every instance against its plain loop bit for bit, functions against double
 * precision, random numbers against known answers and their distributions.
 *     cc -O2 tests/test_kernels.c -lm && ./a.out          seconds; also -DBNN_CBLAS -include cblas.h
 *     ./a.out long                                        minutes: all floats, 1e9 draws
 * Samples are fixed by the seed, so a test that passes always passes; under a new seed each
 * statistical check (4 standard errors, or p > 1e-4) would fail by chance once in 10000 times. */
#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef KERNELS_DRIVER                   /* the section alone, with no header around it */
#include KERNELS_DRIVER
#else
#define BNN_IMPLEMENTATION
#include "bnn.h"
#endif
#include "check.h"

static int long_run;
static int levels[4], level_count;      /* instances this machine can run: 1, 4, 8, 16 lanes */

static void find_levels(void) {
    static const int all[4] = { 1, 4, 8, 16 };
    int top = bnn__cpu();
    for (int i = 0; i < 4; i++)         /* no 4 where there are more */
        if (all[i] <= top && (all[i] != 4 || top == 4)) levels[level_count++] = all[i];
    printf("levels: 1 to %d lanes\n", top);
}
static uint32_t lcg = 1;
static uint32_t word(void) { lcg = lcg * 1664525u + 1013904223u; return lcg ^ lcg >> 16; }
static float some(void) { return (float)((int)(word() & 0xffffff) - 0x800000) / 0x400000; }
static void fill(float *x, size_t n) { for (size_t i = 0; i < n; i++) x[i] = some(); }
static float *room(size_t n) {          /* n floats between guards, deliberately misaligned */
    float *p = (float *)malloc((n + 65) * sizeof *p);
    if (!p) exit(2);
    memset(p, 0x5a, (n + 65) * sizeof *p);
    return p + 33;
}
static int guards_hold(const float *p, size_t n) {
    const unsigned char *b = (const unsigned char *)(p - 33), *e = (const unsigned char *)(p + n);
    for (size_t i = 0; i < 33 * sizeof *p; i++) if (b[i] != 0x5a) return 0;
    for (size_t i = 0; i < 32 * sizeof *p; i++) if (e[i] != 0x5a) return 0;
    return 1;
}
static void done(float *p) { free(p - 33); }
static bnn_rng seeded(uint32_t a, uint32_t stream) {
    bnn_rng r;
    memset(&r, 0, sizeof r);
    r.key[0] = a, r.key[1] = 7, r.ctr[2] = stream;
    return r;
}

/* ---- matrix product ---- */

static int fused(int level) {
#if defined(__aarch64__)
    return level >= 4;
#else
    return level >= 8;
#endif
}
#if defined(_WIN32) && defined(__x86_64__) && defined(__GNUC__) /* whose fmaf rounds twice */
static __attribute__((target("fma"))) float fma_once(float a, float b, float c) {
    __asm__("vfmadd231ss %2, %1, %0" : "+x"(c) : "x"(a), "x"(b));
    return c;
}
#else
#define fma_once fmaf
#endif
/* the definition: one chain per element, in k order */
static void chain(int level, size_t m, size_t n, size_t k, const float *a, size_t ars, size_t acs,
                  const float *b, size_t brs, size_t bcs, float *c, size_t ldc, int more) {
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) {
            float s = more ? c[i * ldc + j] : 0;
            for (size_t p = 0; p < k; p++) {
                volatile float x = a[i * ars + p * acs] * b[p * brs + j * bcs];
                if (fused(level)) s = (float)fma_once((float)a[i * ars + p * acs], (float)b[p * brs + j * bcs], (float)s);
                else s = s + x;
            }
            c[i * ldc + j] = s;
        }
}
/* bits, whatever those of a NaN are; products of a BLAS are sums in some other order */
static int same_numbers(const float *a, const float *b, size_t n) {
    for (size_t i = 0; i < n; i++) {
#ifdef BNN_CBLAS
        if (isfinite(b[i]) ? !(fabsf(a[i] - b[i]) <= 1e-4f * (1 + fabsf(b[i]))) : isfinite(a[i])) return 0;
#else
        if (!(isnan(a[i]) && isnan(b[i])) && memcmp(a + i, b + i, sizeof *a) != 0) return 0;
#endif
    }
    return 1;
}
/* form: 1 A transposed, 2 B transposed, 4 accumulate, 8 leading dimensions larger than needed,
 * 16 neither stride of A and B is one */
static int gemm_matches(int level, size_t m, size_t n, size_t k, int form) {
    size_t gap = form & 8 ? 5 : 0, unit = form & 16 ? 2 : 1, sizea, sizeb, ldc = n + gap, ok;
    size_t ars = (k + gap) * unit, acs = unit, brs = (n + gap) * unit, bcs = unit;
    float *a, *b, *c, *d;
    if (form & 1) ars = unit, acs = (m + gap) * unit;
    if (form & 2) brs = unit, bcs = (k + gap) * unit;
    sizea = m && k ? (m - 1) * ars + (k - 1) * acs + 1 : 0;
    sizeb = k && n ? (k - 1) * brs + (n - 1) * bcs + 1 : 0;
    a = room(sizea), b = room(sizeb), c = room(m * ldc), d = room(m * ldc);
    fill(a, sizea), fill(b, sizeb), fill(c, m * ldc);
    memcpy(d, c, m * ldc * sizeof *c);
    chain(level, m, n, k, a, ars, acs, b, brs, bcs, d, ldc, form & 4);
    bnn__cpu_level = level;
    bnn__gemm(m, n, k, a, ars, acs, b, brs, bcs, c, ldc, form & 4);
    ok = same_numbers(c, d, m * ldc) && guards_hold(c, m * ldc);
    if (!ok) printf("level %d, %zu x %zu x %zu, form %d\n", level, m, n, k, form);
    done(a), done(b), done(c), done(d);
    return (int)ok;
}
static void gemm_is_a_chain_of_multiply_adds_at_every_level_and_shape(void) {
    static const size_t ms[] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 31, 33, 49 };
    static const size_t ns[] = { 0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 50 };
    static const size_t ks[] = { 0, 1, 2, 3, 4, 5, 13, 64 };
    for (int l = 0; l < level_count; l++)
        for (size_t i = 0; i < 16; i++)
            for (size_t j = 0; j < 16; j++)
                for (size_t p = 0; p < 8; p++)
                    CHECK(gemm_matches(levels[l], ms[i], ns[j], ks[p], (int)(word() >> 8 & 31)));
}
static void gemm_may_cut_long_sums_in_blocks_without_changing_a_bit(void) {
    static const size_t big[][3] = { { 1, 1, 1000 }, { 7, 33, 641 }, { 100, 40, 321 }, { 97, 65, 129 },
        { 131, 50, 257 }, { 129, 17, 320 }, { 400, 33, 100 },
        { 1103, 33, 100 }, { 13, 100, 997 }, { 61, 70, 260 } };
    for (int l = 0; l < level_count; l++)
        for (size_t i = 0; i < sizeof big / sizeof *big; i++)
            for (int form = 0; form < 32; form += 1 + (i != 3))
                CHECK(gemm_matches(levels[l], big[i][0], big[i][1], big[i][2], form + (form == 2)));
}
static void gemm_packs_a_wide_transposed_operand_without_changing_a_bit(void) {
    static const int forms[] = { 1, 3, 5, 9, 17 }; /* k times the width of A beyond 60000 */
    for (int l = 0; l < level_count; l++)
        for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
            CHECK(gemm_matches(levels[l], 470, 33, 133, forms[i]));
}
/* a convolution and its gradient by the kernel, from whole patches: the same chains. form: 1 the
 * other layout of the weights, 2 accumulate, 4 a bias, 8 NaN and infinity */
static int convolution_matches(int level, const bnn__slide *s, size_t images, size_t k, int form) {
    size_t pixels = s->rows * s->cols, n = images * pixels, depth = s->kh * s->kw * s->c, ok;
    size_t sizex = images * s->h * s->w * s->c, wrs = form & 1 ? 1 : k, wcs = form & 1 ? depth : 1;
    float *x = room(sizex), *p = room(n * depth), *w = room(depth * k), *b = room(k), *scratch;
    float *y = room(n * k), *z = room(n * k), *gw = room(depth * k), *hw = room(depth * k);
    fill(x, sizex), fill(w, depth * k), fill(b, k), fill(y, n * k), fill(gw, depth * k);
    if (form & 8) x[sizex / 2] = INFINITY, x[0] = NAN, x[sizex - 1] = -0.0f, w[depth] = NAN;
    for (size_t i = 0; i < n; i++)
        for (size_t t = 0; t < depth; t++) {
            size_t row = i % pixels / s->cols * s->down + t / s->c / s->kw - s->top;
            size_t col = i % s->cols * s->right + t / s->c % s->kw - s->left;
            p[i * depth + t] = row >= s->h || col >= s->w ? 0 :
                x[((i / pixels * s->h + row) * s->w + col) * s->c + t % s->c];
        }
    for (size_t i = 0; i < n * k; i++) z[i] = form & 4 ? b[i % k] : y[i];
    memcpy(hw, gw, depth * k * sizeof *gw);
    chain(level, n, k, depth, p, depth, 1, w, wrs, wcs, z, k, form & 6);
    bnn__cpu_level = level;
    scratch = room(bnn__conv_room(s, k));
    bnn__conv(s, n, k, x, w, wrs, wcs, form & 4 ? b : NULL, y, form & 2, scratch);
    ok = same_numbers(y, z, n * k) && guards_hold(y, n * k);
    if (form & 1) chain(level, k, depth, n, y, 1, k, p, depth, 1, hw, depth, form & 2);
    else chain(level, depth, k, n, p, 1, depth, y, k, 1, hw, k, form & 2);
    bnn__conv_weights(s, n, k, x, y, gw, form & 1, form & 2, scratch);
    ok = ok && same_numbers(gw, hw, depth * k) && guards_hold(gw, depth * k) &&
         guards_hold(scratch, bnn__conv_room(s, k));
    if (!ok) printf("level %d, depth %zu, k %zu, form %d\n", level, depth, k, form);
    done(x), done(p), done(w), done(b), done(y), done(z), done(gw), done(hw), done(scratch);
    return (int)ok;
}
static void a_convolution_is_the_product_of_its_patches_at_every_level(void) {
    /* h, w, c, rows, cols, kh, kw, down, right, top, left */
    static const bnn__slide shapes[] = { { 9, 11, 1, 5, 7, 5, 5, 1, 1, 0, 0 },
        { 12, 7, 3, 12, 7, 3, 3, 1, 1, 1, 1 }, { 13, 14, 2, 6, 5, 4, 3, 2, 3, 1, 0 },
        { 5, 5, 100, 4, 4, 3, 3, 1, 1, 1, 1 }, { 8, 8, 20, 6, 6, 3, 3, 1, 1, 0, 0 },
        { 2, 300, 1, 2, 300, 2, 3, 1, 1, 0, 1 }, { 40, 33, 33, 20, 17, 2, 2, 2, 2, 0, 1 },
        { 6, 9, 4, 6, 9, 1, 1, 1, 1, 0, 0 }, { 3, 3, 2, 2, 2, 2, 2, 1, 1, 0, 0 } };
    static const size_t ks[] = { 1, 2, 8, 15, 17, 20, 33, 50, 64 };
    for (int l = 0; l < level_count; l++)
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
            for (size_t j = 0; j < sizeof ks / sizeof *ks; j += i == 6 ? 5 : 1)
                CHECK(convolution_matches(levels[l], &shapes[i], 1 + word() % 3, ks[j],
                                          (int)(word() >> 8 & 15)));
}
static void sums_of_squares_and_finiteness_agree_at_every_level(void) {
    float x[100];
    fill(x, 100);
    for (size_t n = 0; n <= 100; n++) {
        double first = 0;
        for (int l = 0; l < level_count; l++) {
            bnn__cpu_level = levels[l];
            double s = bnn__v_sumsq(n, x, 0.25f);
            if (l == 0) first = s;
            CHECK_SAME(s, first);
            CHECK(bnn__v_finite(n, x));
            if (n > 0) {
                float keep = x[n - 1];
                x[n - 1] = n % 2 ? INFINITY : NAN;
                CHECK(!bnn__v_finite(n, x));
                x[n - 1] = keep;
            }
        }
    }
}
static void gemm_takes_a_broadcast_operand(void) {     /* stride 0 */
    float a[3], b[20], c[60], d[60];
    fill(a, 3), fill(b, 20);
    for (int l = 0; l < level_count; l++) {
        bnn__cpu_level = levels[l];
        bnn__gemm(3, 20, 3, a, 0, 1, b, 0, 1, c, 20, 0);
        chain(levels[l], 3, 20, 3, a, 0, 1, b, 0, 1, d, 20, 0);
        CHECK_SAME_ARRAY(c, d, 60);
    }
}

/* ---- functions ---- */

static float sin_(float x) { return BNN_MATH_SIN(x); }
static float cos_(float x) { return BNN_MATH_COS(x); }
typedef void map(size_t, const float *, float *);
typedef struct { const char *name; map *v; float (*s)(float); double (*ref)(double); double lo, hi, ulp; } function;
static double sigmoid_ref(double x) { return x < 0 ? exp(x) / (1 + exp(x)) : 1 / (1 + exp(-x)); }
static double softplus_ref(double x) { return (x > 0 ? x : 0) + log1p(exp(-fabs(x))); }
static const function functions[] = {
    { "exp", bnn__v_exp, bnn__exp_1, exp, -1e39, 1e39, 1.0 },
    { "log", bnn__v_log, bnn__log_1, log, 0, 1e39, 0.86 },
    { "tanh", bnn__v_tanh, bnn__tanh_1, tanh, -1e39, 1e39, 2.45 },
    { "sigmoid", bnn__v_sigmoid, bnn__sigmoid_1, sigmoid_ref, -1e39, 1e39, 2.45 },
    { "softplus", bnn__v_softplus, bnn__softplus_1, softplus_ref, -1e39, 1e39, 1.7 },
    { "expm1", bnn__v_expm1, bnn__expm1_1, expm1, -1e39, 1e39, 1.6 },
    { "log1p", 0, bnn__log1p_1, log1p, -1, 1e39, 2.45 },
    { "erf", bnn__v_erf, bnn__erf_1, erf, -1e39, 1e39, 1.2 },
    { "sin", bnn__v_sin, sin_, sin, -30, 30, 2.4 },
    { "cos", bnn__v_cos, cos_, cos, -30, 30, 2.4 },
    { "sqrt", bnn__v_sqrt, bnn__sqrt_1, sqrt, 0, 1e39, 0.5 },
};
enum { FUNCTIONS = sizeof functions / sizeof *functions };

static float from_bits(uint32_t u) { float x; memcpy(&x, &u, sizeof u); return x; }
static double ulps(float y, double ref) {
    int e;
    double a = fabs(ref);
    if (a >= 0x1.ffffffp127) return isinf(y) && (y > 0) == (ref > 0) ? 0 : 1e9;  /* rounds to inf */
    if (isinf(y)) return 1e9;
    frexp(a < FLT_MIN ? FLT_MIN : a, &e);
    return fabs((double)y - ref) / ldexp(1, e - 24);
}
static void functions_are_as_accurate_as_promised(void) {
    for (int f = 0; f < FUNCTIONS; f++) {
        const function *q = &functions[f];
        double worst = 0, at = 0;
        uint32_t step = long_run ? 1 : 997, u = 0;
        do {
            double x = (double)from_bits(u), e;
            if (x >= q->lo && x <= q->hi) {
                e = ulps(q->s((float)x), q->ref(x));
                if (e > worst) worst = e, at = x;
            }
            u += step;
        } while (u >= step);
        if (long_run) printf("%-9s %.4f ulp at %a (%.9g)\n", q->name, worst, at, at);
        if (!CHECK(worst <= q->ulp)) printf("    %s: %g ulp at %a\n", q->name, worst, at);
    }
}
static void functions_know_zeros_infinities_and_nan(void) {
    for (int f = 0; f < FUNCTIONS; f++) CHECK(isnan(functions[f].s(NAN)));
    for (int f = 0; f < FUNCTIONS; f++) {       /* those with f(x) ~ x keep the sign of zero */
        const char *n = functions[f].name;
        float tiny = from_bits(1);
        if (strcmp(n, "tanh") && strcmp(n, "expm1") && strcmp(n, "log1p") && strcmp(n, "erf") &&
            strcmp(n, "sin")) continue;
        CHECK_SAME(functions[f].s(-0.0f), -0.0f);
        CHECK_SAME(functions[f].s(0.0f), 0.0f);
        CHECK_SAME(functions[f].s(tiny), tiny);
    }
    CHECK_SAME(bnn__exp_1(-INFINITY), 0.0f);
    CHECK_SAME(bnn__exp_1(INFINITY), INFINITY);
    CHECK_SAME(bnn__exp_1(0.0f), 1.0f);
    CHECK_SAME(bnn__exp_1(-0.0f), 1.0f);
    CHECK_SAME(bnn__exp_1(89.0f), INFINITY);
    CHECK_SAME(bnn__log_1(0.0f), -INFINITY);
    CHECK_SAME(bnn__log_1(-0.0f), -INFINITY);
    CHECK_SAME(bnn__log_1(1.0f), 0.0f);
    CHECK_SAME(bnn__log_1(INFINITY), INFINITY);
    CHECK(isnan(bnn__log_1(-1.0f)));
    CHECK(isnan(bnn__log_1(-from_bits(1))));
    CHECK(isnan(bnn__log_1(-INFINITY)));
    CHECK_SAME(bnn__log1p_1(-1.0f), -INFINITY);
    CHECK_SAME(bnn__log1p_1(INFINITY), INFINITY);
    CHECK(isnan(bnn__log1p_1(-1.5f)));
    CHECK_SAME(bnn__tanh_1(INFINITY), 1.0f);
    CHECK_SAME(bnn__tanh_1(-INFINITY), -1.0f);
    CHECK_SAME(bnn__sigmoid_1(INFINITY), 1.0f);
    CHECK_SAME(bnn__sigmoid_1(-INFINITY), 0.0f);
    CHECK_SAME(bnn__sigmoid_1(0.0f), 0.5f);
    CHECK_SAME(bnn__softplus_1(INFINITY), INFINITY);
    CHECK_SAME(bnn__softplus_1(-INFINITY), 0.0f);
    CHECK_SAME(bnn__erf_1(INFINITY), 1.0f);
    CHECK_SAME(bnn__erf_1(-INFINITY), -1.0f);
    CHECK_SAME(bnn__expm1_1(INFINITY), INFINITY);
    CHECK_SAME(bnn__expm1_1(-INFINITY), -1.0f);
    CHECK(isnan(sin_(INFINITY)));
    CHECK(isnan(cos_(-INFINITY)));
    CHECK_SAME(cos_(0.0f), 1.0f);
    CHECK_SAME(bnn__sqrt_1(-0.0f), -0.0f);
}
static void vectors_of_functions_have_the_bits_of_the_scalars(void) {
    enum { N = 4099 };
    float *x = room(N), *y = room(N);
    for (int f = 0; f < FUNCTIONS; f++) {
        if (!functions[f].v) continue;
        for (int l = 0; l < level_count; l++)
            for (size_t n = 0; n <= N; n = n < 70 ? n + 1 : n * 4 - 3) {
                int same = 1;
                for (size_t i = 0; i < n; i++) x[i] = i & 1 ? some() * 30 : from_bits(word());
                memset(y, 0x5a, (N + 32) * sizeof *y);
                bnn__cpu_level = levels[l];
                functions[f].v(n, x, y);
                for (size_t i = 0; i < n; i++) {
                    float s = functions[f].s(x[i]);
                    if (memcmp(&s, &y[i], sizeof s) != 0 && !(isnan(s) && isnan(y[i]))) same = 0;
                }
                if (!CHECK(same)) printf("    %s, level %d, n %zu\n", functions[f].name, levels[l], n);
                CHECK(guards_hold(y, n));
            }
    }
    fill(x, 100);
    memcpy(y, x, 100 * sizeof *x);
    bnn__v_exp(100, x, x);                      /* in place */
    CHECK_SAME(x[99], bnn__exp_1(y[99]));
    done(x), done(y);
}

static void sin_and_cos_are_right_for_any_float(void) {
    static const double want[][3] = { /* x, sin x, cos x from mpmath with 400 bits */
        { 0x1.86a0020000000p+16, 0.0279402801245, -0.999609594165 },
        { 0x1.312d000000000p+23, 0.420547793191, -0.907270386182 },
        { -0x1.312d000000000p+23, -0.420547793191, -0.907270386182 },
        { 0x1.0000000000000p+24, -0.779563673218, 0.626322983292 },
        { 0x1.0000000000000p+63, 0.999930376673, 0.0118000765128 },
        { 0x1.5af1d80000000p+66, 0.656576677855, 0.75425928307 },
        { -0x1.93e5940000000p+99, 0.791163438522, -0.611604785418 },
        { 0x1.fffffe0000000p+127, -0.521876523334, 0.85302103983 },
        { 0x1.2ced320000000p+126, 0.989164459961, 0.146811686015 },
        { 0x1.93e5940000000p+99, -0.791163438522, -0.611604785418 },
        { 0x1.5af1d80000000p+66, 0.656576677855, 0.75425928307 },
    };
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        CHECK(ulps(sin_((float)want[i][0]), want[i][1]) <= 2.4);
        CHECK(ulps(cos_((float)want[i][0]), want[i][2]) <= 2.4);
    }
    for (double x = 1e5; x < 3.4e38; x *= 1.00013) {
        CHECK(ulps(sin_((float)x), sin((double)(float)x)) <= 2.4);
        CHECK(ulps(cos_((float)-x), cos((double)(float)x)) <= 2.4);
    }
    for (int l = 0; l < level_count; l++)
        for (size_t at = 0; at < 33; at++) { /* one large one among small ones, and not the others */
            float x[33], s[33], c[33];
            fill(x, 33);
            x[at] = at % 3 == 2 ? INFINITY : at % 3 ? -3e38f : 1e7f;
            bnn__cpu_level = levels[l];
            bnn__v_sin(33, x, s), bnn__v_cos(33, x, c);
            for (size_t i = 0; i < 33; i++) {
                CHECK(isinf(x[i]) ? isnan(s[i]) : s[i] == sin_(x[i]));
                CHECK(isinf(x[i]) ? isnan(c[i]) : c[i] == cos_(x[i]));
            }
        }
    CHECK(isnan(sin_(NAN)) && isnan(cos_(NAN)) && isnan(sin_(-INFINITY)) && isnan(cos_(INFINITY)));
}

static void sin_and_cos_are_good_to_1e5_absolutely(void) {
    for (int i = 0; i < 1000000; i++) {
        float x = some() * 50000;
        CHECK_NEAR(sin_(x), sin((double)x), 1.2e-7);
        CHECK_NEAR(cos_(x), cos((double)x), 1.2e-7);
    }
}

/* ---- random numbers ---- */

static void philox_gives_the_known_answers(void) {
    static const uint32_t in[3][6] = { { 0, 0, 0, 0, 0, 0 },
        { 0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu },
        { 0x243f6a88u, 0x85a308d3u, 0x13198a2eu, 0x03707344u, 0xa4093822u, 0x299f31d0u } };
    static const uint32_t out[3][4] = { { 0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u },
        { 0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu },
        { 0xd16cfe09u, 0x94fdccebu, 0x5001e420u, 0x24126ea1u } };
    for (int i = 0; i < 3; i++) {
        uint32_t w[4];
        bnn__philox(in[i], in[i] + 4, w);
        CHECK_SAME_ARRAY(w, out[i], 4);
    }
}
static void the_block_counter_has_64_bits(void) {
    bnn_rng r = seeded(1, 3);
    r.ctr[0] = 0xfffffff0u, r.ctr[1] = 2;
    bnn__rng_advance(&r, 0x100000020u);
    CHECK(r.ctr[0] == 0x10 && r.ctr[1] == 4 && r.ctr[2] == 3 && r.ctr[3] == 0);
}
typedef void draw(bnn_rng *, size_t, float *);
static draw *const draws[3] = { bnn__v_uniform, bnn__v_normal, bnn__v_gumbel };

static void draws_have_the_same_bits_at_every_level_and_stay_in_bounds(void) {
    static const size_t ns[] = { 0, 1, 15, 16, 17, 63, 64, 65, 127, 128, 129, 1000, 100001 };
    for (int d = 0; d < 3; d++)
        for (size_t i = 0; i < sizeof ns / sizeof *ns; i++) {
            size_t n = ns[i];
            float *ref = room(n);
            for (int l = 0; l < level_count; l++) {
                float *x = room(n);
                bnn_rng r = seeded(5, 9);
                r.ctr[0] = 0xfffffff8u;         /* the low counter overflows in the first group */
                bnn__cpu_level = levels[l];
                draws[d](&r, n, l ? x : ref);
                CHECK_SAME_ARRAY(l ? x : ref, ref, n);
                CHECK(guards_hold(x, n) || l == 0);
                CHECK(r.ctr[0] == 0xfffffff8u + (uint32_t)((n + 63) / 64 * 16));
                CHECK(r.ctr[1] == (n > 0) && r.ctr[2] == 9);
                done(x);
            }
            done(ref);
        }
}
static void draws_follow_the_documented_layout(void) {
    bnn_rng r = seeded(11, 4), s = r;
    float u[64], z[64], g[64];
    for (int l = 0; l < 16; l++) {
        uint32_t ctr[4] = { (uint32_t)l, 0, 4, 0 }, w[4];
        if (l == 0) bnn__v_uniform(&r, 64, u), r = s, bnn__v_normal(&r, 64, z), r = s, bnn__v_gumbel(&r, 64, g);
        bnn__philox(ctr, s.key, w);
        for (int i = 0; i < 4; i++) {
            double a = (w[i & 2] + 0.5) / 4294967296.0, t = 6.283185307179586 * w[i | 1] / 4294967296.0;
            double own = (w[i] + 0.5) / 4294967296.0;
            CHECK_SAME(u[16 * i + l], ((w[i] >> 9) + 0.5) / 8388608);
            CHECK_NEAR(z[16 * i + l], sqrt(-2 * log(a)) * (i & 1 ? sin(t) : cos(t)), 2e-6);
            CHECK_NEAR(g[16 * i + l], -log(-log(own)), 2e-6);
        }
    }
}
static void the_ends_of_the_ranges_are_finite_and_exact(void) {
    float y;
    CHECK_SAME(bnn__uniform_1(0, 0, &y), 0x1p-24);
    CHECK_SAME(bnn__uniform_1(0xffffffffu, 0, &y), 1 - 0x1p-24);
    CHECK_NEAR(bnn__gumbel_1(0xffffffffu, 0, &y), 22.87, 0.01);
    CHECK_NEAR(y, -3.130, 0.01);
    CHECK_NEAR(bnn__normal_1(0, 0, &y), 6.7638, 1e-3);
    CHECK_NEAR(bnn__normal_1(0xffffffffu, 0, &y), 1.526e-5, 1e-8);
}
static double phi(double x) { return erfc(-x / sqrt(2)) / 2; }
static int ascending(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}
static double ks(float *x, size_t n, double (*cdf)(double)) {       /* sqrt(n) sup |F_n - F| */
    double d = 0;
    qsort(x, n, sizeof *x, ascending);
    for (size_t i = 0; i < n; i++) {
        double f = cdf((double)x[i]), a = f - (double)i / (double)n, b = (double)(i + 1) / (double)n - f;
        if (a > d) d = a;
        if (b > d) d = b;
    }
    return d * sqrt((double)n);
}
static double unit(double x) { return x; }
static double gumbel(double x) { return exp(-exp(-x)); }
static void draws_pass_kolmogorov_smirnov_at_1e6(void) {           /* 2.23: p = 1e-4 */
    static double (*const cdf[3])(double) = { unit, phi, gumbel };
    float *x = room(1000000);
    for (int d = 0; d < 3; d++) {
        bnn_rng r = seeded(21 + (uint32_t)d, 0);
        draws[d](&r, 1000000, x);
        CHECK_NEAR(ks(x, 1000000, cdf[d]), 0, 2.23);
    }
    done(x);
}
static void normals_have_the_moments_tails_and_independence_of_normals(void) {
    enum { N = 1 << 16 };
    size_t rounds = long_run ? 15259 : 160;     /* 1e9 or 1e7 draws; moments of the first 1e8 */
    double n = 0, t = 0, m[5] = { 0 }, lag[5] = { 0 }, cross = 0, tail[3] = { 0 };
    static const int lags[5] = { 1, 2, 16, 32, 64 };
    static const double se[5] = { 0, 1, 2, 15, 96 }, mean[5] = { 0, 0, 1, 0, 3 };
    float *x = room(N), *y = room(N);
    bnn_rng r = seeded(31, 0), q = seeded(31, 1);
    for (size_t k = 0; k < rounds; k++) {
        bnn__v_normal(&r, N, x);
        for (size_t i = 0; i < N; i++) {
            float a = fabsf(x[i]);
            if (a > 3) tail[0]++, tail[1] += a > 4, tail[2] += a > 5;
        }
        t += N;
        if (k >= 1526) continue;
        bnn__v_normal(&q, N, y);
        for (size_t i = 0; i < N; i++) {
            double a = (double)x[i], p = a;
            for (int j = 1; j <= 4; j++, p *= a) m[j] += p;
            cross += a * (double)y[i];
            for (int j = 0; j < 5; j++) lag[j] += a * (double)x[(i + (size_t)lags[j]) % N];
        }
        n += N;
    }
    for (int j = 1; j <= 4; j++) CHECK_NEAR(m[j] / n, mean[j], 4 * sqrt(se[j] / n));
    for (int j = 0; j < 5; j++) CHECK_NEAR(lag[j] / n, 0, 4 / sqrt(n));
    CHECK_NEAR(cross / n, 0, 4 / sqrt(n));
    for (int j = 0; j < 3; j++) {
        double p = erfc((j + 3) / sqrt(2)), e = p * t;
        CHECK_NEAR(tail[j], e, 4 * sqrt(e));
        if (long_run) printf("%.3g normals: %.0f beyond %d sigma, %.1f expected\n", t, tail[j], j + 3, e);
    }
    done(x), done(y);
}
static void uniform_words_are_uniform_in_every_bit(void) {
    enum { N = 1 << 20 };
    float *x = room(N);
    bnn_rng r = seeded(41, 2);
    bnn__v_uniform(&r, N, x);
    for (int b = 0; b < 23; b++) {
        double ones = 0;
        for (int i = 0; i < N; i++) ones += (uint32_t)(x[i] * 8388608) >> b & 1;
        CHECK_NEAR(ones / N, 0.5, 4 * 0.5 / sqrt((double)N));
    }
    done(x);
}

/* ---- passes ---- */

enum { SGD, SGLD, MOMENTUM, NESTEROV, SGHMC, ADAM, RMSPROP, ADAGRAD, ADADELTA, PSGLD, FROZEN,
       PASSES };
static void pass(int which, bnn_rng *r, size_t n, float *w, float *g, float *s, float *t) {
    bnn__job q;
    memset(&q, 0, sizeof q);
    q.w = w, q.g = g, q.s = s, q.t = t, q.lr = 0.1f, q.pw = 0.01f, q.a = 0.9f;
    switch (which) {
    case SGD:      bnn__run(n, &q, BNN__PICK(bnn__p_sgd)); break;
    case SGLD:     q.a = 0.3f; bnn__run_noise(r, n, &q, BNN__PICK(bnn__p_sgld)); break;
    case MOMENTUM: q.b = 0.7f; bnn__run(n, &q, BNN__PICK(bnn__p_momentum)); break;
    case NESTEROV: q.b = 0.7f, q.flag = 1; bnn__run(n, &q, BNN__PICK(bnn__p_momentum)); break;
    case SGHMC:    q.a = 0.3f, q.b = 0.8f; bnn__run_noise(r, n, &q, BNN__PICK(bnn__p_sghmc)); break;
    case ADAM:     q.b = 0.99f, q.c = 1e-6f, q.d = 0.02f, q.e = 1.1f;
                   bnn__run(n, &q, BNN__PICK(bnn__p_adam)); break;
    case RMSPROP:  q.c = 1e-6f; bnn__run(n, &q, BNN__PICK(bnn__p_rmsprop)); break;
    case ADAGRAD:  q.c = 1e-6f; bnn__run(n, &q, BNN__PICK(bnn__p_adagrad)); break;
    case ADADELTA: q.c = 1e-6f; bnn__run(n, &q, BNN__PICK(bnn__p_adadelta)); break;
    default:       q.b = 0.2f, q.c = 1e-5f, q.flag = which != FROZEN;
                   bnn__run_noise(r, n, &q, BNN__PICK(bnn__p_psgld)); break;
    }
}
/* the formulas of S4.1 to S4.8, one element, in double */
static void formula(int which, double xi, double *w, double g, double *s, double *t) {
    double lr = 0.1, d;
    g += 0.01 * *w;
    switch (which) {
    case SGD:      *w -= lr * g; break;
    case SGLD:     *w += 0.3 * xi - lr * g; break;
    case MOMENTUM: *s = 0.9 * *s + 0.7 * g; *w -= lr * *s; break;
    case NESTEROV: *s = 0.9 * *s + 0.7 * g; *w -= lr * (g + 0.9 * *s); break;
    case SGHMC:    *s = 0.8 * *s - lr * g + 0.3 * xi; *w += *s; break;
    case ADAM:     *s = 0.9 * *s + 0.1 * g; *t = 0.99 * *t + 0.01 * g * g;
                   *w = *w * 0.98 - lr * *s / (sqrt(*t) * 1.1 + 1e-6); break;
    case RMSPROP:  *s = 0.9 * *s + 0.1 * g * g; *w -= lr * g / (sqrt(*s) + 1e-6); break;
    case ADAGRAD:  *s += g * g; *w -= lr * g / (sqrt(*s) + 1e-6); break;
    case ADADELTA: *s = 0.9 * *s + 0.1 * g * g; d = sqrt(*t + 1e-6) / sqrt(*s + 1e-6) * g;
                   *t = 0.9 * *t + 0.1 * d * d; *w -= lr * d; break;
    default:       if (which != FROZEN) *s = 0.9 * *s + 0.1 * g * g;
                   d = 1 / (1e-5 + sqrt(*s));
                   *w += sqrt(0.2 * d) * xi - lr * d * g; break;
    }
}
static void passes_follow_their_formulas_with_the_same_bits_at_every_level(void) {
    static const size_t ns[] = { 0, 1, 3, 7, 8, 9, 15, 16, 17, 31, 33, 64, 511, 512, 513, 70001 };
    for (int which = 0; which < PASSES; which++)
        for (size_t k = 0; k < sizeof ns / sizeof *ns; k++) {
            size_t n = ns[k];
            float *init[4], *x[4], *ref[4], *z = room(n);
            bnn_rng r = seeded(51, 0);
            bnn__v_normal(&r, n, z);
            for (int i = 0; i < 4; i++) {
                init[i] = room(n), x[i] = room(n), ref[i] = room(n);
                fill(init[i], n);
                if (i > 1) for (size_t j = 0; j < n; j++) init[i][j] = fabsf(init[i][j]) + 0.1f;
            }
            for (int l = 0; l < level_count; l++) {
                float **y = l ? x : ref;
                bnn_rng q = seeded(51, 0);
                for (int i = 0; i < 4; i++) memcpy(y[i], init[i], n * sizeof *z);
                bnn__cpu_level = levels[l];
                pass(which, &q, n, y[0], y[1], y[2], y[3]);
                for (int i = 0; i < 4; i++) {
                    CHECK_SAME_ARRAY(y[i], ref[i], n);
                    CHECK(guards_hold(y[i], n));
                }
            }
            for (size_t j = 0; j < n; j++) {
                double w = (double)init[0][j], s = (double)init[2][j], t = (double)init[3][j];
                formula(which, (double)z[j], &w, (double)init[1][j], &s, &t);
                CHECK_NEAR(ref[0][j], w, 4e-6);
                CHECK_NEAR(ref[2][j], s, 2e-6);
                CHECK_NEAR(ref[3][j], t, 2e-6);
                CHECK_SAME(ref[1][j], init[1][j]);
            }
            for (int i = 0; i < 4; i++) done(init[i]), done(x[i]), done(ref[i]);
            done(z);
        }
}
static void limits_of_one_method_are_another_bit_for_bit(void) {
    enum { N = 1000 };
    float w[4][N], g[N], v[N];
    bnn_rng r = seeded(61, 0), q = r;
    bnn__job job;
    memset(&job, 0, sizeof job);
    fill(g, N), fill(w[0], N);
    memset(v, 0, sizeof v);
    for (int i = 1; i < 4; i++) memcpy(w[i], w[0], sizeof w[0]);
    job.g = g, job.s = v, job.lr = 0.1f, job.a = 0.3f;
    job.w = w[0], bnn__run_noise(&r, N, &job, BNN__PICK(bnn__p_sgld));
    job.w = w[1], bnn__run_noise(&q, N, &job, BNN__PICK(bnn__p_sghmc));
    CHECK_SAME_ARRAY(w[0], w[1], N);            /* friction 1 is SGLD */
    memcpy(w[0], w[2], sizeof w[0]);
    job.a = 0;
    job.w = w[0], bnn__run_noise(&r, N, &job, BNN__PICK(bnn__p_sgld));
    job.w = w[2], bnn__run(N, &job, BNN__PICK(bnn__p_sgd));
    CHECK_SAME_ARRAY(w[0], w[2], N);            /* no noise is SGD */
    memset(v, 0, sizeof v);
    job.b = 1;
    job.w = w[3], bnn__run(N, &job, BNN__PICK(bnn__p_momentum));
    CHECK_SAME_ARRAY(w[3], w[2], N);            /* no momentum is SGD */
}
static void helpers_do_what_they_say_at_every_level(void) {
    enum { N = 131 };
    float x[N], y[N], z[N], o[N];
    for (int l = 0; l < level_count; l++)
        for (size_t n = 0; n <= N; n++) {
            int ok = 1;
            fill(x, N), fill(y, N), fill(z, N);
            y[3] = -0.0f;
            bnn__cpu_level = levels[l];
#define EACH(call, expression) memcpy(o, z, sizeof o); call; \
            for (size_t i = 0; i < N; i++) { \
                volatile float e = i < n ? (expression) : z[i]; \
                if (o[i] != e) ok = 0; \
            }
            memcpy(o, z, sizeof o);
            bnn__v_axpy(n, 0.3f, x, o);
            for (size_t i = 0; i < n; i++) { volatile float p = x[i] * 0.3f; if (o[i] != z[i] + p) ok = 0; }
            EACH(bnn__v_scale(n, 0.3f, x, o), x[i] * 0.3f)
            EACH(bnn__v_add(n, x, y, o), x[i] + y[i])
            EACH(bnn__v_mul(n, x, y, o), x[i] * y[i])
            EACH(bnn__v_relu(n, x, o), x[i] > 0 ? x[i] : 0)
            EACH(bnn__v_relu_back(n, x, y, o), z[i] + (y[i] > 0 ? x[i] : 0))
            memcpy(o, z, sizeof o);
            bnn__v_muladd(n, x, y, o);
            for (size_t i = 0; i < n; i++) { volatile float p = x[i] * y[i]; if (o[i] != z[i] + p) ok = 0; }
            CHECK(ok);
        }
    for (int l = 0; l < level_count; l++) {     /* 7 rows of 17 columns */
        bnn__cpu_level = levels[l];
        fill(x, N), fill(y, N), memcpy(o, y, sizeof o);
        bnn__v_colsum(7, 17, x, o);
        for (size_t j = 0; j < 17; j++) {
            float s = y[j];
            for (size_t i = 0; i < 7; i++) s += x[17 * i + j];
            CHECK_SAME(o[j], s);
        }
        CHECK_SAME_ARRAY(o + 17, y + 17, N - 17);
    }
}

static void short_rows_equal_their_plain_loops(void) {
    float x[24], y[25];
    CHECK_SAME(bnn__row_max(0, x), -(float)bnn__inf());
    for (size_t n = 1; n <= 24; n++)
        for (size_t nan = 0; nan <= n; nan++) { /* at n: none */
            float top = -(float)bnn__inf();
            fill(x, 24), y[n] = 7;
            if (nan < n) x[nan] = (float)bnn__nan();
            for (size_t i = 0; i < n; i++) if (x[i] > top) top = x[i];
            CHECK_SAME(bnn__row_max(n, x), top);
            bnn__row_affine(n, x, (float)0.3, (float)1.7, y);
            for (size_t i = 0; i < n; i++) {
                volatile float gap = x[i] - (float)0.3; /* not fused */
                if (i != nan) CHECK_SAME(y[i], gap * (float)1.7);
                else CHECK(y[i] != y[i]);
            }
            CHECK_SAME(y[n], (float)7);
        }
}

int main(int argc, char **argv) {
    long_run = argc > 1 && strcmp(argv[1], "long") == 0;
    find_levels();
    RUN(gemm_is_a_chain_of_multiply_adds_at_every_level_and_shape);
    RUN(gemm_may_cut_long_sums_in_blocks_without_changing_a_bit);
    RUN(gemm_packs_a_wide_transposed_operand_without_changing_a_bit);
    RUN(a_convolution_is_the_product_of_its_patches_at_every_level);
    RUN(sums_of_squares_and_finiteness_agree_at_every_level);
    RUN(gemm_takes_a_broadcast_operand);
    RUN(functions_are_as_accurate_as_promised);
    RUN(functions_know_zeros_infinities_and_nan);
    RUN(vectors_of_functions_have_the_bits_of_the_scalars);
    RUN(sin_and_cos_are_right_for_any_float);
    RUN(sin_and_cos_are_good_to_1e5_absolutely);
    RUN(philox_gives_the_known_answers);
    RUN(the_block_counter_has_64_bits);
    RUN(draws_have_the_same_bits_at_every_level_and_stay_in_bounds);
    RUN(draws_follow_the_documented_layout);
    RUN(the_ends_of_the_ranges_are_finite_and_exact);
    RUN(draws_pass_kolmogorov_smirnov_at_1e6);
    RUN(normals_have_the_moments_tails_and_independence_of_normals);
    RUN(uniform_words_are_uniform_in_every_bit);
    RUN(passes_follow_their_formulas_with_the_same_bits_at_every_level);
    RUN(limits_of_one_method_are_another_bit_for_bit);
    RUN(helpers_do_what_they_say_at_every_level);
    RUN(short_rows_equal_their_plain_loops);
    return check_done();
}
