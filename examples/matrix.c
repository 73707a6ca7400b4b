/* matrix.c -- bnn.h as a small matrix library: products, least squares, eigenvalues, printing.
 *     cc -O2 -I.. matrix.c -lm && ./a.out
 * You should see a fit that finds 1 - 2x + 0.5x^2 within two standard errors, the eigenvalues of
 * the second-difference matrix beside their closed form 2 - 2 cos(k pi/6), equal to 6 digits, and a
 * matrix without a Cholesky factor refused, with the row where it fails. */
#define BNN_STATIC /* one file: what it does not call is not compiled */
#define BNN_IMPLEMENTATION
#include "bnn.h"
#include <math.h>
#include <stdio.h>

enum { N = 200, D = 3, M = 5 };

static int products(bnn_arena *mem) {
    bnn_mat a = { 2, 3, (float[]){ 1, 2, 3, 4, 5, 6 } }; /* a view: rows, columns, your numbers */
    bnn_mat b = { 3, 2, (float[]){ 1, 0, 0, 1, 1, 1 } };
    bnn_mat ab = bnn_mat_new(mem, 2, 2), gram = bnn_mat_new(mem, 3, 3);
    int err = bnn_mat_mul(ab, a, b);
    if (!err) err = bnn_mat_mul_tn(gram, a, a); /* no transpose is ever stored */
    if (err) return err;
    bnn_mat_print(ab, "a b");
    bnn_mat_print(gram, "a' a");
    return bnn_mat_mul(ab, b, b) == BNN_ESHAPE ? BNN_OK : BNN_EARG; /* (3,2)(3,2): refused */
}

/* y = X beta + noise: beta = (X'X)^-1 X'y, standard errors from the diagonal of s^2 (X'X)^-1 */
static int least_squares(bnn_arena *mem, bnn_rng *rng) {
    const float truth[D] = { 1, -2, 0.5f };
    bnn_mat x = bnn_mat_new(mem, N, D), y = bnn_mat_new(mem, N, 1), fit = bnn_mat_new(mem, N, 1);
    bnn_mat xx = bnn_mat_new(mem, D, D), xy = bnn_mat_new(mem, D, 1), cov = bnn_mat_new(mem, D, D);
    if (mem->err) return mem->err;
    for (size_t i = 0; i < N; i++) {
        float u = 4 * bnn_rng_uniform(rng) - 2, row[D] = { 1, u, u * u };
        y.data[i] = 0.3f * bnn_rng_normal(rng);
        for (size_t j = 0; j < D; j++) {
            *bnn_mat_at(x, i, j) = row[j];
            y.data[i] += truth[j] * row[j];
        }
    }
    bnn_mat_mul_tn(xx, x, x);
    bnn_mat_mul_tn(xy, x, y);
    int err = bnn_mat_cholesky(xx, xx, NULL); /* in place */
    if (err) return err;
    bnn_mat beta = bnn_mat_new(mem, D, 1);
    bnn_mat_solve_chol(beta, xx, xy);
    bnn_mat_eye(cov);
    bnn_mat_solve_chol(cov, xx, cov); /* solving for the identity inverts */
    bnn_mat_mul(fit, x, beta);
    bnn_mat_sub(fit, y, fit);
    double s2 = bnn_mat_dot(fit, fit) / (N - D);
    printf("\ncoefficient   truth      fit   std error\n");
    for (size_t j = 0; j < D; j++)
        printf("%11zu  %6.2f  %7.3f  %10.3f\n", j, truth[j], beta.data[j],
               sqrt(s2 * *bnn_mat_at(cov, j, j)));
    printf("noise: 0.300 in truth, %.3f estimated; ln|X'X| = %.3f\n", sqrt(s2),
           bnn_mat_logdet_chol(xx));
    return mem->err;
}

static int eigenvalues(bnn_arena *mem) {
    bnn_mat a = bnn_mat_new(mem, M, M), v = bnn_mat_new(mem, M, M), values = bnn_mat_new(mem, 1, M);
    if (mem->err) return mem->err;
    for (size_t i = 0; i < M; i++)
        for (size_t j = 0; j < M; j++)
            *bnn_mat_at(a, i, j) = i == j ? 2 : i + 1 == j || j + 1 == i ? -1 : 0;
    int err = bnn_mat_eig_sym(mem, values, v, a);
    if (err) return err;
    printf("\n");
    bnn_mat_print(a, "second differences");
    printf("eigenvalue   closed form\n");
    for (size_t k = 0; k < M; k++)
        printf("%10.6f  %12.6f\n", values.data[k],
               2 - 2 * cos((double)(k + 1) * acos(-1) / (M + 1)));

    size_t row = 0;
    bnn_mat bad = { 2, 2, (float[]){ 1, 2, 2, 1 } }; /* eigenvalues 3 and -1 */
    err = bnn_mat_cholesky(bad, bad, &row);
    printf("\ncholesky of [1 2; 2 1]: %s, at row %zu\n", bnn_strerror(err), row);
    return err == BNN_EARG ? BNN_OK : BNN_EARG;
}

int main(void) {
    bnn_arena mem = { 0 };
    bnn_rng rng = bnn_rng_seed(1);
    int err = products(&mem);
    if (!err) err = least_squares(&mem, &rng);
    if (!err) err = eigenvalues(&mem);
    if (err || mem.err) fprintf(stderr, "matrix: %s\n", mem.err ? mem.msg : bnn_strerror(err));
    bnn_arena_free(&mem);
    return err != BNN_OK;
}
