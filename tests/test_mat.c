/* test_mat.c -- bnn_mat_* and bnn_data_rows, against triple loops, closed forms and NumPy
 * (oracles/metrics.py). Formulas: docs/math.md. Nothing here is left to chance:
 * random matrices only fill exact identities. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "build.h"
#include "oracles/metrics.inc"

static bnn_arena mem;
static bnn_rng rng;

static bnn_mat zeros(size_t rows, size_t cols) { return bnn_mat_new(&mem, rows, cols); }

static bnn_mat randoms(size_t rows, size_t cols) {
    bnn_mat a = zeros(rows, cols);
    bnn_rng_fill_normal(&rng, rows * cols, a.data);
    return a;
}

static bnn_mat from_ints(const int *x, size_t rows, size_t cols) {
    bnn_mat a = zeros(rows, cols);
    size_t i;
    for (i = 0; i < rows * cols; i++) a.data[i] = (float)x[i] / 1024;
    return a;
}

static double at(bnn_mat a, size_t i, size_t j) { return (double)a.data[i * a.cols + j]; }

static double norm(bnn_mat a) { return sqrt(bnn_mat_dot(a, a)); }

static double largest_gap(bnn_mat a, bnn_mat b) {
    double gap = a.rows == b.rows && a.cols == b.cols ? 0 : 1e300;
    size_t i;
    for (i = 0; gap < 1e300 && i < a.rows * a.cols; i++) {
        double d = fabs((double)a.data[i] - (double)b.data[i]);
        if (!(d <= gap)) gap = d;
    }
    return gap;
}

/* sum_k a_ik c_k b_jk, in double: what the factorizations promise to give back */
static bnn_mat outer(bnn_mat a, const float *c, bnn_mat b) {
    bnn_mat out = zeros(a.rows, b.rows);
    size_t i, j, k;
    for (i = 0; i < a.rows; i++)
        for (j = 0; j < b.rows; j++) {
            double sum = 0;
            for (k = 0; k < a.cols; k++) sum += at(a, i, k) * (c ? (double)c[k] : 1) * at(b, j, k);
            out.data[i * b.rows + j] = (float)sum;
        }
    return out;
}

static bnn_mat transposed(bnn_mat a) {
    bnn_mat t = zeros(a.cols, a.rows);
    CHECK(bnn_mat_transpose(t, a) == BNN_OK);
    return t;
}

static bnn_mat identity(size_t d) {
    bnn_mat a = zeros(d, d);
    bnn_mat_eye(a);
    return a;
}

static bnn_mat positive_definite(size_t d) {
    bnn_mat r = randoms(d, d), a = outer(r, NULL, r);
    size_t i;
    for (i = 0; i < d; i++) a.data[i * d + i] += (float)0.1;
    return a;
}

static void new_matrices_are_zero_and_views_alias(void) {
    bnn_mat a = zeros(5, 3), b, v;
    CHECK(bnn_mat_sum(a) == 0 && a.rows == 5 && a.cols == 3);
    bnn_mat_fill(a, 2);
    *bnn_mat_at(a, 4, 2) = 7;
    CHECK(a.data[14] == 7);
    CHECK(bnn_mat_at(a, 5, 0) == NULL && bnn_mat_at(a, 0, 3) == NULL);
    b = bnn_mat_copy(&mem, a);
    CHECK(b.data != a.data && b.rows == 5 && b.cols == 3);
    CHECK_SAME_ARRAY(a.data, b.data, 15);
    v = bnn_mat_rows(a, 3, 2);
    CHECK(v.data == a.data + 9 && v.rows == 2 && v.cols == 3);
    v = bnn_mat_rows(a, 5, 0);
    CHECK(v.rows == 0 && v.cols == 3);
    CHECK(bnn_mat_rows(a, 4, 2).data == NULL && bnn_mat_rows(a, 4, 2).rows == 0);
    CHECK(bnn_mat_rows(a, 6, 0).data == NULL);
    CHECK(bnn_mat_rows(a, 2, SIZE_MAX).data == NULL);
}

static void data_rows_are_views_of_both_matrices(void) {
    bnn_data d, part;
    d.x = randoms(6, 2);
    d.y = randoms(6, 1);
    part = bnn_data_rows(d, 2, 3);
    CHECK(part.x.data == d.x.data + 4 && part.x.rows == 3 && part.x.cols == 2);
    CHECK(part.y.data == d.y.data + 2 && part.y.rows == 3 && part.y.cols == 1);
    part = bnn_data_rows(d, 4, 3);
    CHECK(part.x.rows == 0 && part.y.rows == 0 && part.x.data == NULL);
}

static void a_matrix_too_large_for_memory_is_empty(void) {
    bnn_arena small;
    bnn_mat a;
    memset(&small, 0, sizeof small);
    a = bnn_mat_new(&small, SIZE_MAX / 2, 3);
    CHECK(a.data == NULL && a.rows == 0 && a.cols == 0 && small.err == BNN_ENOMEM);
    bnn_arena_free(&small);
    a = bnn_mat_new(&small, SIZE_MAX, SIZE_MAX);
    CHECK(a.data == NULL && small.err == BNN_ENOMEM);
    bnn_arena_free(&small);
    a = bnn_mat_new(&small, 0, 7);
    CHECK(a.data != NULL && a.rows == 0 && a.cols == 7 && small.err == BNN_OK);
    bnn_arena_free(&small);
}

static void finite_sees_nan_and_infinity(void) {
    bnn_mat a = randoms(7, 9);
    CHECK(bnn_mat_finite(a) == 1);
    a.data[62] = (float)NAN;
    CHECK(bnn_mat_finite(a) == 0);
    a.data[62] = 1;
    a.data[0] = (float)-INFINITY;
    CHECK(bnn_mat_finite(a) == 0);
    CHECK(bnn_mat_finite(zeros(0, 4)) == 1);
}

static void products_equal_triple_loops(void) {
    static const size_t sizes[][3] = { { 1, 1, 1 }, { 3, 4, 5 }, { 17, 1, 9 }, { 33, 20, 7 },
                                       { 1, 50, 40 }, { 64, 65, 66 } };
    size_t s;
    for (s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        size_t m = sizes[s][0], k = sizes[s][1], n = sizes[s][2];
        bnn_mat a = randoms(m, k), b = randoms(k, n), at_ = transposed(a), bt = transposed(b);
        bnn_mat want = outer(a, NULL, bt), out = zeros(m, n);
        double tol = BUILD_TOL(1e-5, 1e-12) * sqrt((double)k) * 4;
        CHECK(bnn_mat_mul(out, a, b) == BNN_OK);
        CHECK_NEAR(largest_gap(out, want), 0, tol);
        bnn_mat_fill(out, 9);
        CHECK(bnn_mat_mul_tn(out, at_, b) == BNN_OK);
        CHECK_NEAR(largest_gap(out, want), 0, tol);
        bnn_mat_fill(out, 9);
        CHECK(bnn_mat_mul_nt(out, a, bt) == BNN_OK);
        CHECK_NEAR(largest_gap(out, want), 0, tol);
        bnn_mat_fill(out, 9);
        CHECK(bnn_mat_mul_tt(out, at_, bt) == BNN_OK);
        CHECK_NEAR(largest_gap(out, want), 0, tol);
    }
}

static void a_product_over_an_empty_sum_is_zero(void) {
    bnn_mat out = zeros(2, 3);
    bnn_mat_fill(out, 5);
    CHECK(bnn_mat_mul(out, zeros(2, 0), zeros(0, 3)) == BNN_OK);
    CHECK(bnn_mat_dot(out, out) == 0);
    CHECK(bnn_mat_mul(zeros(0, 3), zeros(0, 2), zeros(2, 3)) == BNN_OK);
    CHECK(bnn_mat_mul(zeros(2, 0), zeros(2, 2), zeros(2, 0)) == BNN_OK);
}

static void wrong_shapes_write_nothing(void) {
    bnn_mat out = zeros(3, 3), a = randoms(3, 2), b = randoms(3, 2);
    bnn_mat row = zeros(1, 2), no = zeros(3, 3);
    bnn_mat_fill(out, 42);
    no.data = NULL;
    CHECK(bnn_mat_mul(out, a, b) == BNN_ESHAPE);
    CHECK(bnn_mat_mul_nt(zeros(3, 2), a, b) == BNN_ESHAPE);
    CHECK(bnn_mat_mul_tn(out, a, b) == BNN_ESHAPE);
    CHECK(bnn_mat_mul_tt(out, a, b) == BNN_ESHAPE);
    CHECK(bnn_mat_add(out, a, b) == BNN_ESHAPE);
    CHECK(bnn_mat_sub(a, a, row) == BNN_ESHAPE);
    CHECK(bnn_mat_scale(out, a, 2) == BNN_ESHAPE);
    CHECK(bnn_mat_transpose(out, a) == BNN_ESHAPE);
    CHECK(bnn_mat_row_sum(out, a) == BNN_ESHAPE);
    CHECK(bnn_mat_col_sum(out, a) == BNN_ESHAPE);
    CHECK(bnn_mat_row_mean(row, a) == BNN_ESHAPE);
    CHECK(bnn_mat_col_mean(out, a) == BNN_ESHAPE);
    CHECK(bnn_mat_col_std(out, a) == BNN_ESHAPE);
    CHECK(bnn_mat_cov(out, a) == BNN_ESHAPE);
    CHECK(bnn_mat_cholesky(out, a, NULL) == BNN_ESHAPE);
    CHECK(bnn_mat_cholesky(out, no, NULL) == BNN_ESHAPE);
    CHECK(bnn_mat_solve_lower(out, a, b) == BNN_ESHAPE);
    CHECK(bnn_mat_solve_chol(out, out, b) == BNN_ESHAPE);
    CHECK(bnn_mat_eig_sym(&mem, row, out, out) == BNN_ESHAPE);
    CHECK(bnn_mat_svd(&mem, row, row, row, zeros(1, 2)) == BNN_ESHAPE);
    CHECK(isnan(bnn_mat_dot(a, row)));
    CHECK(isnan(bnn_mat_logdet_chol(a)));
    CHECK(bnn_mat_sum(out) == 9 * 42.0);
    CHECK(mem.err == BNN_OK);
}

static void overlapping_outputs_are_refused(void) {
    bnn_mat a = randoms(4, 4), b = randoms(4, 4), big;
    CHECK(bnn_mat_mul(a, a, b) == BNN_EARG);
    CHECK(bnn_mat_mul_nt(b, a, b) == BNN_EARG);
    CHECK(bnn_mat_transpose(a, a) == BNN_EARG);
    CHECK(bnn_mat_cov(a, a) == BNN_EARG);
    CHECK(bnn_mat_solve_lower(a, a, b) == BNN_EARG);
    CHECK(bnn_mat_col_sum(bnn_mat_rows(a, 2, 1), a) == BNN_EARG);
    big = zeros(5, 4);
    bnn_mat_eye(big);
    a = bnn_mat_rows(big, 0, 4);
    b = bnn_mat_rows(big, 1, 4); /* shifted by a row */
    CHECK(bnn_mat_cholesky(b, a, NULL) == BNN_EARG);
    CHECK(bnn_mat_solve_lower(b, identity(4), a) == BNN_EARG);
    CHECK(bnn_mat_add(b, a, a) == BNN_EARG && bnn_mat_sub(a, a, b) == BNN_EARG);
    CHECK(bnn_mat_scale(a, b, 2) == BNN_EARG);
    CHECK(bnn_mat_sum(big) == 4);
}

static void elementwise_results_may_replace_an_operand(void) {
    bnn_mat a = randoms(5, 7), b = randoms(5, 7), s = zeros(5, 7), a0 = bnn_mat_copy(&mem, a);
    size_t i;
    CHECK(bnn_mat_add(s, a, b) == BNN_OK);
    for (i = 0; i < 35; i++) CHECK_SAME(s.data[i], (float)(a.data[i] + b.data[i]));
    CHECK(bnn_mat_add(a, a, b) == BNN_OK);
    CHECK_SAME_ARRAY(a.data, s.data, 35);
    CHECK(bnn_mat_sub(b, a0, b) == BNN_OK);
    for (i = 0; i < 35; i++)
        CHECK_NEAR(b.data[i], 2 * (double)a0.data[i] - (double)s.data[i], 8 * BUILD_EPSILON);
    CHECK(bnn_mat_scale(s, s, -2) == BNN_OK);
    for (i = 0; i < 35; i++) CHECK_SAME(s.data[i], -2 * a.data[i]);
}

static void reductions_equal_brute_force(void) {
    size_t n = 40, d = 150, i, j, k; /* more columns than two strips */
    bnn_mat a = randoms(n, d), rs = zeros(n, 1), rm = zeros(n, 1), cs = zeros(1, d);
    bnn_mat cm = zeros(1, d), sd = zeros(1, d), cov = zeros(d, d);
    double total = 0, tol = BUILD_TOL(1e-5, 1e-12);
    CHECK(bnn_mat_row_sum(rs, a) == BNN_OK && bnn_mat_row_mean(rm, a) == BNN_OK);
    CHECK(bnn_mat_col_sum(cs, a) == BNN_OK && bnn_mat_col_mean(cm, a) == BNN_OK);
    CHECK(bnn_mat_col_std(sd, a) == BNN_OK && bnn_mat_cov(cov, a) == BNN_OK);
    for (i = 0; i < n; i++) {
        double sum = 0;
        for (j = 0; j < d; j++) sum += at(a, i, j);
        total += sum;
        CHECK_NEAR(rs.data[i], sum, tol);
        CHECK_NEAR(rm.data[i], sum / 150, tol);
    }
    CHECK_NEAR(bnn_mat_sum(a), total, 1e-11);
    for (j = 0; j < d; j++) {
        double sum = 0;
        for (i = 0; i < n; i++) sum += at(a, i, j);
        CHECK_NEAR(cs.data[j], sum, tol);
        CHECK_NEAR(cm.data[j], sum / 40, tol);
        CHECK_NEAR(at(cov, j, j), (double)sd.data[j] * (double)sd.data[j], tol);
        for (k = 0; k <= j; k += 13) { /* E[ab] - E[a]E[b] */
            double ab = 0, sum_k = 0;
            for (i = 0; i < n; i++) ab += at(a, i, j) * at(a, i, k), sum_k += at(a, i, k);
            CHECK_NEAR(at(cov, j, k), ab / 40 - sum * sum_k / 1600, tol);
            CHECK_SAME(at(cov, j, k), at(cov, k, j));
        }
    }
}

static void covariance_and_deviation_equal_numpy(void) {
    bnn_mat a = from_ints(o_tall, 9, 5), cov = zeros(5, 5), sd = zeros(1, 5);
    size_t i;
    CHECK(bnn_mat_cov(cov, a) == BNN_OK && bnn_mat_col_std(sd, a) == BNN_OK);
    for (i = 0; i < 25; i++) CHECK_NEAR(cov.data[i], o_tall_cov[i], BUILD_TOL(1e-6, 1e-14));
    for (i = 0; i < 5; i++) CHECK_NEAR(sd.data[i], o_tall_std[i], BUILD_TOL(1e-6, 1e-14));
}

static void a_deviation_far_from_zero_keeps_its_digits(void) {
    bnn_mat a = zeros(1000, 1), sd = zeros(1, 1);
    size_t i;
    for (i = 0; i < 1000; i++) a.data[i] = 1e6f + (i % 2 != 0 ? 1 : -1);
    CHECK(bnn_mat_col_std(sd, a) == BNN_OK);
    CHECK_NEAR(sd.data[0], 1, BUILD_EPSILON);
}

static void reductions_of_nothing_are_zero(void) {
    bnn_mat out = zeros(1, 3), col = zeros(3, 1), cov = zeros(3, 3);
    bnn_mat_fill(out, 1), bnn_mat_fill(col, 1), bnn_mat_fill(cov, 1);
    CHECK(bnn_mat_col_mean(out, zeros(0, 3)) == BNN_OK && bnn_mat_dot(out, out) == 0);
    CHECK(bnn_mat_col_std(out, zeros(0, 3)) == BNN_OK && bnn_mat_dot(out, out) == 0);
    CHECK(bnn_mat_col_sum(out, zeros(0, 3)) == BNN_OK && bnn_mat_dot(out, out) == 0);
    CHECK(bnn_mat_row_mean(col, zeros(3, 0)) == BNN_OK && bnn_mat_dot(col, col) == 0);
    CHECK(bnn_mat_cov(cov, zeros(0, 3)) == BNN_OK && bnn_mat_dot(cov, cov) == 0);
    CHECK(bnn_mat_sum(zeros(0, 5)) == 0 && bnn_mat_dot(zeros(4, 0), zeros(4, 0)) == 0);
    CHECK(bnn_mat_row_sum(zeros(0, 1), zeros(0, 4)) == BNN_OK);
}

static void argmax_is_the_first_of_equals(void) {
    bnn_mat a = zeros(2, 4);
    a.data[1] = a.data[3] = 5;
    CHECK(bnn_mat_row_argmax(a, 0) == 1);
    CHECK(bnn_mat_row_argmax(a, 1) == 0);
    CHECK(bnn_mat_row_argmax(a, 2) == 4); /* no such row */
    CHECK(bnn_mat_row_argmax(zeros(2, 0), 0) == 0);
}

static void cholesky_gives_the_matrix_back(void) {
    size_t d, i, j;
    for (d = 0; d <= 70; d = d < 6 ? d + 1 : d + 32) {
        bnn_mat a = positive_definite(d), l = zeros(d, d), in_place = bnn_mat_copy(&mem, a);
        bnn_mat_fill(l, 3);
        CHECK(bnn_mat_cholesky(l, a, NULL) == BNN_OK);
        CHECK_NEAR(largest_gap(outer(l, NULL, l), a), 0, BUILD_TOL(1e-6, 1e-12) * norm(a));
        for (i = 0; i < d; i++)
            for (j = i + 1; j < d; j++) CHECK(at(l, i, j) == 0);
        CHECK(bnn_mat_cholesky(in_place, in_place, NULL) == BNN_OK);
        CHECK_SAME_ARRAY(in_place.data, l.data, d * d);
    }
}

static void factors_and_solutions_equal_numpy(void) {
    bnn_mat a = from_ints(o_spd, 6, 6), b = from_ints(o_rhs, 6, 2), l = zeros(6, 6);
    bnn_mat x = zeros(6, 2), values = zeros(1, 6), v = zeros(6, 6), s = zeros(1, 5);
    size_t i;
    CHECK(bnn_mat_cholesky(l, a, NULL) == BNN_OK);
    for (i = 0; i < 36; i++) CHECK_NEAR(l.data[i], o_spd_chol[i], BUILD_TOL(1e-5, 1e-12));
    CHECK_NEAR(bnn_mat_logdet_chol(l), o_spd_logdet, BUILD_TOL(1e-5, 1e-12));
    CHECK(bnn_mat_solve_chol(x, l, b) == BNN_OK);
    for (i = 0; i < 12; i++)
        CHECK_NEAR(x.data[i], o_solution[i], BUILD_TOL(1e-4, 1e-11) * (1 + fabs(o_solution[i])));
    CHECK(bnn_mat_eig_sym(&mem, values, v, a) == BNN_OK);
    for (i = 0; i < 6; i++)
        CHECK_NEAR(values.data[i], o_spd_values[i], BUILD_TOL(1e-6, 1e-12) * norm(a));
    CHECK(bnn_mat_svd(&mem, zeros(9, 5), s, zeros(5, 5), from_ints(o_tall, 9, 5)) == BNN_OK);
    for (i = 0; i < 5; i++) CHECK_NEAR(s.data[i], o_tall_s[i], BUILD_TOL(1e-6, 1e-12) * 10);
}

static void cholesky_of_an_indefinite_matrix_names_the_pivot(void) {
    bnn_mat a = identity(5), l = zeros(5, 5);
    size_t pivot = 99;
    a.data[3 * 5 + 3] = -1;
    CHECK(bnn_mat_cholesky(l, a, &pivot) == BNN_EARG && pivot == 3);
    CHECK(bnn_mat_cholesky(l, a, NULL) == BNN_EARG);
    bnn_mat_fill(a, 1); /* rank one: the second pivot is exactly zero */
    CHECK(bnn_mat_cholesky(l, a, &pivot) == BNN_EARG && pivot == 1);
    CHECK(bnn_mat_cholesky(l, zeros(5, 5), &pivot) == BNN_EARG && pivot == 0);
    a = identity(2);
    a.data[2] = 3; /* [1 .; 3 1] */
    CHECK(bnn_mat_cholesky(zeros(2, 2), a, &pivot) == BNN_EARG && pivot == 1);
}

static void non_finite_matrices_are_not_factored(void) {
    bnn_mat a = identity(4), out = zeros(4, 4), row = zeros(1, 4);
    size_t i;
    for (i = 0; i < 3; i++) {
        a.data[6] = (float)(i == 0 ? NAN : i == 1 ? INFINITY : -INFINITY);
        CHECK(bnn_mat_cholesky(out, a, NULL) == BNN_ENONFINITE);
        CHECK(bnn_mat_eig_sym(&mem, row, out, a) == BNN_ENONFINITE);
        CHECK(bnn_mat_svd(&mem, out, row, zeros(4, 4), a) == BNN_ENONFINITE);
    }
    CHECK(bnn_mat_dot(out, out) == 0 && bnn_mat_dot(row, row) == 0 && mem.err == BNN_OK);
}

static void triangular_solves_leave_no_residual(void) {
    size_t d, k = 70; /* more right-hand sides than a strip */
    for (d = 1; d <= 40; d += 13) {
        bnn_mat a = positive_definite(d), l = zeros(d, d), b = randoms(d, k), x = zeros(d, k);
        bnn_mat r = zeros(d, k), y = bnn_mat_copy(&mem, b);
        double tol = BUILD_TOL(2e-5, 1e-12);
        size_t i;
        for (i = 0; i < d; i++) a.data[i * d + i] += (float)d; /* well conditioned */
        CHECK(bnn_mat_cholesky(l, a, NULL) == BNN_OK);
        CHECK(bnn_mat_solve_lower(x, l, b) == BNN_OK && bnn_mat_mul(r, l, x) == BNN_OK);
        CHECK_NEAR(largest_gap(r, b), 0, tol);
        CHECK(bnn_mat_solve_lower(y, l, y) == BNN_OK); /* in place */
        CHECK_SAME_ARRAY(x.data, y.data, d * k);
        CHECK(bnn_mat_solve_lower_t(x, l, b) == BNN_OK && bnn_mat_mul_tn(r, l, x) == BNN_OK);
        CHECK_NEAR(largest_gap(r, b), 0, tol);
        CHECK(bnn_mat_solve_chol(x, l, b) == BNN_OK && bnn_mat_mul(r, a, x) == BNN_OK);
        CHECK_NEAR(largest_gap(r, b), 0, tol);
    }
    CHECK(bnn_mat_solve_chol(zeros(0, 3), zeros(0, 0), zeros(0, 3)) == BNN_OK);
    CHECK(bnn_mat_logdet_chol(zeros(0, 0)) == 0);
}

static void a_singular_triangle_is_an_argument_error(void) {
    bnn_mat l = identity(3), x = zeros(3, 1), b = randoms(3, 1);
    l.data[4] = 0;
    CHECK(bnn_mat_solve_lower(x, l, b) == BNN_EARG);
    CHECK(bnn_mat_solve_lower_t(x, l, b) == BNN_EARG);
    CHECK(bnn_mat_solve_chol(x, l, b) == BNN_EARG);
    CHECK(bnn_mat_dot(x, x) == 0);
}

static void check_eig(bnn_mat a) {
    size_t d = a.rows, i;
    bnn_mat values = zeros(1, d), v = zeros(d, d), vt;
    double tol = BUILD_TOL(2e-6, 1e-12);
    CHECK(bnn_mat_eig_sym(&mem, values, v, a) == BNN_OK);
    for (i = 1; i < d; i++) CHECK(values.data[i - 1] <= values.data[i]);
    CHECK_NEAR(largest_gap(outer(v, values.data, v), a), 0, tol * norm(a));
    vt = transposed(v);
    CHECK_NEAR(largest_gap(outer(vt, NULL, vt), identity(d)), 0, tol);
}

static void eigenvectors_give_the_matrix_back(void) {
    size_t d, i;
    for (d = 0; d <= 60; d = d < 7 ? d + 1 : 2 * d + 4) {
        bnn_mat a = randoms(d, d), at_ = transposed(a);
        CHECK(bnn_mat_add(a, a, at_) == BNN_OK);
        check_eig(a);
    }
    check_eig(zeros(6, 6));
    check_eig(identity(6));
    {
        bnn_mat u = randoms(12, 2), zero_diagonal = zeros(8, 8);
        check_eig(outer(u, NULL, u)); /* rank 2 of 12 */
        for (i = 0; i < 64; i++) zero_diagonal.data[i] = i % 9 != 0;
        check_eig(zero_diagonal);
    }
}

static void eigenvalues_of_the_second_difference_are_known(void) {
    enum { D = 30 }; /* 2 - 2 cos(k pi/(D+1)) */
    bnn_mat a = zeros(D, D), values = zeros(1, D), v = zeros(D, D);
    size_t i;
    for (i = 0; i < D; i++) {
        a.data[i * D + i] = 2;
        if (i > 0) a.data[i * D + i - 1] = a.data[(i - 1) * D + i] = -1;
    }
    CHECK(bnn_mat_eig_sym(&mem, values, v, a) == BNN_OK);
    for (i = 0; i < D; i++)
        CHECK_NEAR(values.data[i], 2 - 2 * cos((double)(i + 1) * acos(-1.0) / (D + 1)),
                   BUILD_TOL(1e-6, 1e-13));
}

static void only_the_lower_triangle_is_read(void) {
    bnn_mat a = positive_definite(5), b = bnn_mat_copy(&mem, a), la = zeros(5, 5), lb = zeros(5, 5);
    bnn_mat va = zeros(1, 5), vb = zeros(1, 5);
    size_t i, j;
    for (i = 0; i < 5; i++)
        for (j = i + 1; j < 5; j++) b.data[i * 5 + j] = 77;
    CHECK(bnn_mat_cholesky(la, a, NULL) == BNN_OK && bnn_mat_cholesky(lb, b, NULL) == BNN_OK);
    CHECK_SAME_ARRAY(la.data, lb.data, 25);
    CHECK(bnn_mat_eig_sym(&mem, va, la, a) == BNN_OK && bnn_mat_eig_sym(&mem, vb, b, b) == BNN_OK);
    CHECK_SAME_ARRAY(va.data, vb.data, 5); /* and the vectors may replace the matrix */
}

static void small_eigenvalues_keep_relative_accuracy(void) {
    bnn_mat a = zeros(2, 2), values = zeros(1, 2), v = zeros(2, 2);
    double e = BUILD_EPSILON * BUILD_EPSILON; /* [1 e; e 2 e^2] has det e^2, trace 1 + 2 e^2 */
    a.data[0] = 1;
    a.data[1] = a.data[2] = (float)e;
    a.data[3] = (float)(2 * e * e);
    CHECK(bnn_mat_eig_sym(&mem, values, v, a) == BNN_OK);
    CHECK_NEAR(values.data[0] / (e * e), 1, 8 * BUILD_EPSILON);
}

static void jacobi_survives_extreme_scales(void) {
    static const int e[] = { -120, -60, 60, 120 }; /* of float, and ten times that in double */
    size_t i, k;
    for (k = 0; k < 4; k++) {
        bnn_mat a = randoms(6, 6), u = zeros(6, 6), s = zeros(1, 6), v = zeros(6, 6);
        double scale = ldexp(1, BUILD_TOL(1, 8) * e[k]), tol = BUILD_TOL(1e-5, 1e-12);
        bnn_mat b = zeros(6, 6), values = zeros(1, 6), scaled = zeros(1, 6);
        CHECK(bnn_mat_add(a, a, transposed(a)) == BNN_OK);
        CHECK(bnn_mat_scale(b, a, (float)scale) == BNN_OK);
        CHECK(bnn_mat_eig_sym(&mem, values, v, a) == BNN_OK);
        CHECK(bnn_mat_eig_sym(&mem, scaled, v, b) == BNN_OK);
        for (i = 0; i < 6; i++) CHECK_NEAR(scaled.data[i] / scale, values.data[i], tol * norm(a));
        CHECK(bnn_mat_svd(&mem, u, values, v, a) == BNN_OK);
        CHECK(bnn_mat_svd(&mem, u, s, v, b) == BNN_OK);
        for (i = 0; i < 6; i++) CHECK_NEAR(s.data[i] / scale, values.data[i], tol * norm(a));
        CHECK_NEAR(largest_gap(outer(u, NULL, u), identity(6)), 0, tol);
    }
}

static void check_svd(bnn_mat a) {
    size_t n = a.rows, d = a.cols, i;
    bnn_mat u = zeros(n, d), s = zeros(1, d), v = zeros(d, d), ut, vt;
    double tol = BUILD_TOL(2e-6, 1e-12);
    CHECK(bnn_mat_svd(&mem, u, s, v, a) == BNN_OK);
    for (i = 0; i < d; i++) CHECK(s.data[i] >= 0 && (i == 0 || s.data[i - 1] >= s.data[i]));
    CHECK_NEAR(largest_gap(outer(u, s.data, v), a), 0, tol * norm(a));
    ut = transposed(u);
    vt = transposed(v);
    CHECK_NEAR(largest_gap(outer(ut, NULL, ut), identity(d)), 0, tol);
    CHECK_NEAR(largest_gap(outer(vt, NULL, vt), identity(d)), 0, tol);
}

static void singular_vectors_give_the_matrix_back(void) {
    size_t d;
    for (d = 0; d <= 40; d = 2 * d + 1) {
        check_svd(randoms(d, d));
        check_svd(randoms(d + 5, d));
        check_svd(randoms(3 * d, d));
    }
    check_svd(randoms(4, 0));
    check_svd(identity(7));
}

static void rank_deficient_matrices_have_orthonormal_vectors(void) {
    bnn_mat a = outer(randoms(9, 2), NULL, randoms(6, 2)), b = randoms(9, 4), s = zeros(1, 6);
    size_t i;
    check_svd(a);
    CHECK(bnn_mat_svd(&mem, zeros(9, 6), s, zeros(6, 6), a) == BNN_OK);
    for (i = 2; i < 6; i++) CHECK((double)s.data[i] <= 40 * BUILD_EPSILON * (double)s.data[0]);
    check_svd(zeros(6, 6));
    check_svd(zeros(5, 2));
    for (i = 0; i < 9; i++) b.data[i * 4 + 1] = 0, b.data[i * 4 + 3] = b.data[i * 4];
    check_svd(b); /* a zero column and two equal ones */
}

static void singular_values_of_a_square_root_are_eigenvalues(void) {
    bnn_mat a = randoms(12, 5), g = zeros(5, 5), values = zeros(1, 5), s = zeros(1, 5);
    size_t i;
    CHECK(bnn_mat_mul_tn(g, a, a) == BNN_OK);
    CHECK(bnn_mat_eig_sym(&mem, values, zeros(5, 5), g) == BNN_OK);
    CHECK(bnn_mat_svd(&mem, zeros(12, 5), s, zeros(5, 5), a) == BNN_OK);
    for (i = 0; i < 5; i++)
        CHECK_NEAR((double)s.data[i] * (double)s.data[i], values.data[4 - i],
                   BUILD_TOL(1e-5, 1e-12) * norm(g));
    CHECK(bnn_mat_svd(&mem, zeros(5, 12), s, zeros(5, 5), transposed(a)) == BNN_ESHAPE);
}

static void scratch_is_given_back_and_failure_writes_nothing(void) {
    static unsigned char room[4096];
    bnn_mat a = positive_definite(20), values = zeros(1, 20), v = zeros(20, 20), u = zeros(20, 20);
    bnn_arena small;
    bnn_mark before, after;
    before = bnn_arena_mark(&mem);
    CHECK(bnn_mat_eig_sym(&mem, values, v, a) == BNN_OK);
    CHECK(bnn_mat_svd(&mem, u, values, v, a) == BNN_OK);
    after = bnn_arena_mark(&mem);
    CHECK(before.chunk == after.chunk && before.used == after.used);
    bnn_mat_fill(values, 5), bnn_mat_fill(v, 5), bnn_mat_fill(u, 5);
    memset(&small, 0, sizeof small);
    small.buffer = room;
    small.capacity = sizeof room; /* too small for 400 doubles */
    CHECK(bnn_mat_eig_sym(&small, values, v, a) == BNN_ENOMEM);
    CHECK(small.err == BNN_ENOMEM && strstr(small.msg, "arena") != NULL);
    CHECK(bnn_mat_svd(&small, u, values, v, a) == BNN_ENOMEM);
    CHECK(bnn_mat_sum(values) == 100 && bnn_mat_sum(v) == 2000 && bnn_mat_sum(u) == 2000);
    CHECK(bnn_mat_eig_sym(NULL, values, v, a) == BNN_EARG);
}

/* S1.13. ln N(x; m, S) from its parts, in double */
static double log_normal(bnn_mat x, bnn_mat m, bnn_mat s) {
    bnn_mat l = zeros(s.rows, s.rows), r = zeros(s.rows, 1);
    CHECK(bnn_mat_cholesky(l, s, NULL) == BNN_OK);
    CHECK(bnn_mat_sub(r, x, m) == BNN_OK && bnn_mat_solve_lower(r, l, r) == BNN_OK);
    return -0.5 * ((double)s.rows * log(2 * acos(-1.0)) + bnn_mat_logdet_chol(l) +
                   bnn_mat_dot(r, r));
}

static bnn_mat block(bnn_mat a, size_t row, size_t rows, size_t col, size_t cols) {
    bnn_mat b = zeros(rows, cols);
    size_t i, j;
    for (i = 0; i < rows; i++)
        for (j = 0; j < cols; j++) b.data[i * cols + j] = a.data[(row + i) * a.cols + col + j];
    return b;
}

static void conditioning_a_gaussian_obeys_schur_and_the_chain_rule(void) {
    size_t d = 7, k = 3, r = 4;
    bnn_mat s = positive_definite(d), x = randoms(d, 1), m = randoms(d, 1), l = zeros(d, d);
    bnn_mat inverse = zeros(d, d), kept, lk = zeros(k, k), want = zeros(k, k), lr = zeros(r, r);
    bnn_mat srr = block(s, k, r, k, r), srk = block(s, k, r, 0, k), w = zeros(r, k);
    bnn_mat cov = zeros(k, k), mean = zeros(k, 1), v = zeros(r, 1);
    double tol = BUILD_TOL(2e-4, 1e-11);
    CHECK(bnn_mat_cholesky(lr, srr, NULL) == BNN_OK && bnn_mat_solve_chol(w, lr, srk) == BNN_OK);
    CHECK(bnn_mat_mul_tn(cov, srk, w) == BNN_OK);
    CHECK(bnn_mat_sub(cov, block(s, 0, k, 0, k), cov) == BNN_OK); /* S_kk - S_kr S_rr^-1 S_rk */
    CHECK(bnn_mat_cholesky(l, s, NULL) == BNN_OK);
    CHECK(bnn_mat_solve_chol(inverse, l, identity(d)) == BNN_OK);
    kept = block(inverse, 0, k, 0, k);
    CHECK(bnn_mat_cholesky(lk, kept, NULL) == BNN_OK);
    CHECK(bnn_mat_solve_chol(want, lk, identity(k)) == BNN_OK);
    CHECK_NEAR(largest_gap(cov, want), 0, tol * norm(s));
    CHECK(bnn_mat_sub(v, bnn_mat_rows(x, k, r), bnn_mat_rows(m, k, r)) == BNN_OK);
    CHECK(bnn_mat_mul_tn(mean, w, v) == BNN_OK);
    CHECK(bnn_mat_add(mean, bnn_mat_rows(m, 0, k), mean) == BNN_OK);
    CHECK_NEAR(log_normal(x, m, s),
               log_normal(bnn_mat_rows(x, k, r), bnn_mat_rows(m, k, r), srr) +
                   log_normal(bnn_mat_rows(x, 0, k), mean, cov), tol * 100);
}

/* stdout of bnn_mat_print, through a file */
static const char *printed(bnn_mat a, const char *name) {
    static char text[4096];
    char path[64];
    int saved = dup(1);
    size_t n = 0;
    FILE *f;
#ifdef _WIN32
    sprintf(path, "test_mat_%ld", (long)getpid());
#else
    sprintf(path, "/tmp/test_mat_%ld", (long)getpid());
#endif
    fflush(stdout);
    f = freopen(path, "w", stdout);
    bnn_mat_print(a, name);
    fflush(stdout);
    CHECK(f != NULL && dup2(saved, 1) >= 0);
    close(saved);
    f = fopen(path, "r");
    CHECK(f != NULL);
    if (f != NULL) n = fread(text, 1, sizeof text - 1, f), fclose(f);
    remove(path);
    text[n] = '\0';
    return text;
}

static size_t lines(const char *s) {
    size_t n = 0;
    for (; *s != '\0'; s++) n += *s == '\n';
    return n;
}

static void print_shows_name_shape_and_elides(void) {
    bnn_mat a = zeros(2, 3);
    a.data[5] = (float)-1.5;
    CHECK(strncmp(printed(a, "weights"), "weights 2 x 3\n", 14) == 0);
    CHECK(lines(printed(a, "weights")) == 3 && strstr(printed(a, "w"), "-1.5\n") != NULL);
    CHECK(strstr(printed(a, "w"), "...") == NULL);
    CHECK(lines(printed(zeros(9, 2), "tall")) == 10);
    CHECK(strstr(printed(zeros(9, 2), "tall"), "\n ...\n") != NULL);
    CHECK(lines(printed(zeros(8, 11), "wide")) == 9);
    CHECK(strstr(printed(zeros(8, 11), "wide"), "0 ...\n") != NULL);
    CHECK(lines(printed(zeros(0, 3), NULL)) == 1 && lines(printed(zeros(100, 0), "none")) == 1);
}

int main(void) {
    rng = bnn_rng_seed(build_seed(35));
    RUN(new_matrices_are_zero_and_views_alias);
    RUN(data_rows_are_views_of_both_matrices);
    RUN(a_matrix_too_large_for_memory_is_empty);
    RUN(finite_sees_nan_and_infinity);
    RUN(products_equal_triple_loops);
    RUN(a_product_over_an_empty_sum_is_zero);
    RUN(wrong_shapes_write_nothing);
    RUN(overlapping_outputs_are_refused);
    RUN(elementwise_results_may_replace_an_operand);
    RUN(reductions_equal_brute_force);
    RUN(covariance_and_deviation_equal_numpy);
    RUN(a_deviation_far_from_zero_keeps_its_digits);
    RUN(reductions_of_nothing_are_zero);
    RUN(argmax_is_the_first_of_equals);
    RUN(cholesky_gives_the_matrix_back);
    RUN(factors_and_solutions_equal_numpy);
    RUN(cholesky_of_an_indefinite_matrix_names_the_pivot);
    RUN(non_finite_matrices_are_not_factored);
    RUN(triangular_solves_leave_no_residual);
    RUN(a_singular_triangle_is_an_argument_error);
    RUN(eigenvectors_give_the_matrix_back);
    RUN(eigenvalues_of_the_second_difference_are_known);
    RUN(only_the_lower_triangle_is_read);
    RUN(small_eigenvalues_keep_relative_accuracy);
    RUN(jacobi_survives_extreme_scales);
    RUN(singular_vectors_give_the_matrix_back);
    RUN(rank_deficient_matrices_have_orthonormal_vectors);
    RUN(singular_values_of_a_square_root_are_eigenvalues);
    RUN(scratch_is_given_back_and_failure_writes_nothing);
    RUN(conditioning_a_gaussian_obeys_schur_and_the_chain_rule);
#ifndef __EMSCRIPTEN__ /* whose standard output cannot be turned to a file and back */
    RUN(print_shows_name_shape_and_elides);
#else
    (void)print_shows_name_shape_and_elides;
#endif
    bnn_arena_free(&mem);
    return check_done();
}
