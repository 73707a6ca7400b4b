/* Products of an A that is mostly zeros take another way, and every bit of the dense one: over
 * shapes, patterns, levels, and where the two could differ: -0, infinity, NaN.
 *     cc -O2 -I. -Itests tests/test_sparse.c -lm && ./a.out */
#include "build.h"

static bnn_rng rng;

static float number(void) { return 2 * bnn_rng_uniform(&rng) - 1; }

/* Zeros: 0 four in five at random, 1 whole columns, 2 a border as of pictures, 3 one in a thousand
 * is a number, 4 none is */
static int is_zero(int pattern, size_t row, size_t col, size_t cols) {
    if (pattern == 1) return col % 7 != 3;
    if (pattern == 2) return col < cols / 3 || col > cols / 2 + row % 5;
    return pattern == 4 || bnn_rng_uniform(&rng) < (float)(pattern == 0 ? 0.8 : 0.999);
}

enum { TINY = 1, MINUS = 2, WILD_B = 4, WILD_A = 8 }; /* what may make a difference */

static void fill(size_t rows, size_t cols, float *x) {
    for (size_t i = 0; i < rows * cols; i++) x[i] = number();
}

static float *floats(size_t n) { return (float *)malloc((n + 1) * sizeof(float)); }

/* The dense product: what the header does where nothing is listed, in pieces too small for it */
static void dense(size_t m, size_t n, size_t k, const float *a, size_t ars, size_t acs,
                  const float *b, size_t brs, float *c, size_t ldc, int more) {
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j += 8)
            bnn__gemm(1, n - j < 8 ? n - j : 8, k, a + i * ars, ars, acs, b + j, brs, 1,
                      c + i * ldc + j, ldc, more);
}

static int same_bits(size_t m, size_t n, size_t k, int pattern, int turned, int gap, int more,
                     int odd) {
    size_t lda = (turned ? m : k) + (size_t)gap, ldb = n + (size_t)gap, i, p;
    size_t ars = turned ? 1 : lda, acs = turned ? lda : 1;
    float *a = floats(lda * (turned ? k : m)), *b = floats(ldb * k), *c = floats(ldb * m);
    float *d = floats(ldb * m);
    int ok;
    fill(lda * (turned ? k : m), 1, a), fill(ldb * k, 1, b), fill(ldb * m, 1, c);
    for (i = 0; i < m; i++)
        for (p = 0; p < k; p++) {
            float *x = a + i * ars + p * acs;
            if (odd & TINY) *x *= 1e-30f;
            if (is_zero(pattern, i, p, k)) *x = i % 2 ? -0.0f : 0.0f;
        }
    for (i = 0; i < ldb * k && (odd & TINY); i++) b[i] *= 1e-10f * number();
    for (i = 0; i < ldb * m && (odd & MINUS); i++) c[i] = i % 3 ? -0.0f : 0.0f;
    if (odd & WILD_B) b[k / 2 * ldb + n / 2] = INFINITY, b[k / 3 * ldb] = NAN;
    if (odd & WILD_A) a[m / 2 * ars + k / 2 * acs] = INFINITY, a[m / 3 * ars] = NAN;
    memcpy(d, c, ldb * m * sizeof *c);
    bnn__gemm(m, n, k, a, ars, acs, b, ldb, 1, c, ldb, more);
    dense(m, n, k, a, ars, acs, b, ldb, d, ldb, more);
    ok = 1;
    for (i = 0; i < ldb * m; i++) /* two NaN are alike */
        if (!(c[i] != c[i] && d[i] != d[i]) && memcmp(c + i, d + i, sizeof *c) != 0) ok = 0;
    if (!ok)
        printf("level %d, %zux%zux%zu, pattern %d, %d %d %d %d\n", bnn__cpu(), m, k, n, pattern,
               turned, gap, more, odd);
    free(a), free(b), free(c), free(d);
    return ok;
}

static int levels[4], level_count; /* instances this machine can run */

static void find_levels(void) {
    static const int all[4] = { 1, 4, 8, 16 };
    int top = bnn__cpu();
    for (int i = 0; i < 4; i++)
        if (all[i] <= top && (all[i] != 4 || top == 4)) levels[level_count++] = all[i];
}

static const size_t shapes[][3] = { /* m, n, k: all large enough to be looked at */
    { 100, 400, 60 }, { 257, 64, 131 }, { 3, 1000, 701 }, { 515, 65, 66 }, { 31, 127, 541 },
    { 2, 100, 10501 }, { 1, 129, 16300 }, { 700, 100, 30 } };

static void every_shape_and_pattern_has_the_bits_of_the_dense_product(void) {
    for (int l = 0; l < level_count; l++)
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
            for (int form = 0; form < 5 * 4; form++) {
                bnn__cpu_level = levels[l];
                CHECK(same_bits(shapes[s][0], shapes[s][1], shapes[s][2], form / 4, form & 1,
                                (int)s % 3, form & 2, 0));
            }
}

static void sums_that_end_as_minus_zero_are_those_of_the_dense_product(void) {
    for (int l = 0; l < level_count; l++)
        for (int form = 0; form < 5 * 16; form++) {
            bnn__cpu_level = levels[l];
            CHECK(same_bits(67, 121, 293, form / 16, form & 1, 3, form & 2,
                            (form & 4 ? TINY : 0) | (form & 8 ? MINUS : 0)));
        }
}

static void what_is_not_finite_arrives_where_the_dense_product_has_it(void) {
    for (int l = 0; l < level_count; l++)
        for (int form = 0; form < 5 * 12; form++) {
            bnn__cpu_level = levels[l];
            CHECK(same_bits(66, 128, 301, form / 12, form & 1, 1, form & 2,
                            form / 4 % 3 == 0 ? WILD_B : form / 4 % 3 == 1 ? WILD_A
                                                                          : WILD_A | WILD_B));
        }
}

/* Not a check of bits: that the other way is taken at all, and only where it should be */
static void it_is_taken_for_zeros_and_not_for_numbers(void) {
#if BNN__SIMD
    size_t i, n = 100 * 784;
    float *a = floats(n);
    for (i = 0; i < n; i++) a[i] = bnn_rng_uniform(&rng) < 0.81f ? 0 : number();
    CHECK(bnn__is_thin(100, 784, a, 784, 1));
    CHECK(bnn__is_thin(784, 100, a, 1, 784));
    for (i = 0; i < n; i++) a[i] = bnn_rng_uniform(&rng) < 0.3f ? 0 : number();
    CHECK(!bnn__is_thin(100, 784, a, 784, 1));
    CHECK(!bnn__is_thin(784, 100, a, 1, 784));
    memset(a, 0, n * sizeof *a);
    unsigned char at[BNN__PAIRS + 1][BNN__LISTED];
    size_t count[BNN__PAIRS];
    a[784 + 3] = 1, a[5] = 2, a[2 * 784 + 100] = 3;
    CHECK(bnn__thin_lists(3, 101, a, 784, 1, at, count) == 3);
    CHECK(count[0] == 2 && count[1] == 1 && at[0][0] == 3 && at[0][1] == 5 && at[1][0] == 100);
    CHECK(bnn__thin_lists(101, 3, a, 1, 784, at, count) == 3);
    CHECK(count[1] == 1 && at[1][0] == 1 && count[2] == 1 && at[2][0] == 0 && at[50][0] == 2);
    free(a);
#endif
}

int main(void) {
    rng = bnn_rng_seed(build_seed(1));
    find_levels();
    RUN(every_shape_and_pattern_has_the_bits_of_the_dense_product);
    RUN(sums_that_end_as_minus_zero_are_those_of_the_dense_product);
    RUN(what_is_not_finite_arrives_where_the_dense_product_has_it);
    RUN(it_is_taken_for_zeros_and_not_for_numbers);
    return check_done();
}
