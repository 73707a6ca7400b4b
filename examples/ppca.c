/* ppca.c -- probabilistic PCA on digits: the closed form, EM beside it, and exact missing values.
 *     cc -O2 -I.. ppca.c -lm && ./a.out
 * The model is in ppca.h. You should see EM climb to the likelihood of the closed form without
 * ever falling, the posterior of the latents of one digit, and gaps filled in by their conditional
 * mean far better than by column means. Where there is a folder build/: ppca.dat, ppca.png. */
#define BNN_STATIC /* one file: what it does not call is not compiled */
#define BNN_IMPLEMENTATION
#include "ppca.h"
#include "tiles.h"

enum { ROWS = 1000, M = 10, STEPS = 150, GAPS = 30 }; /* gaps in percent of the pixels */

/* EM from a random start; writes the trace; returns the last ln p, and the largest fall */
static double climb(bnn_arena *mem, ppca *p, bnn_mat x, bnn_rng *rng, double best, double *fall) {
    FILE *f = example_open("ppca", "build/ppca.dat");
    double log_p = 0, before = -1e300;
    int err = ppca_start(mem, p, x, M, rng);
    *fall = 0;
    printf("  step   ln p / image, closed form %.3f\n", best / (double)x.rows);
    for (int s = 0; err == BNN_OK && s <= STEPS; s++) {
        err = ppca_em(mem, p, x, &log_p);
        if (before - log_p > *fall) *fall = before - log_p;
        before = log_p;
        if (s == 0 || s == 1 || s == 3 || s == 10 || s == 30 || s == 100 || s == STEPS)
            printf("%6d   %.3f\n", s, log_p / (double)x.rows);
        if (f) fprintf(f, "%d %.8g %.8g\n", s, log_p / (double)x.rows, best / (double)x.rows);
    }
    example_close("ppca", "build/ppca.dat", f);
    if (err != BNN_OK) fprintf(stderr, "ppca: %s\n", mem->msg);
    return log_p;
}

static double rmse_at_gaps(bnn_mat gaps, bnn_mat filled, bnn_mat truth) {
    double sum = 0, n = 0;
    for (size_t i = 0; i < gaps.rows * gaps.cols; i++)
        if (isnan(gaps.data[i])) {
            sum += pow((double)filled.data[i] - (double)truth.data[i], 2);
            n++;
        }
    return sqrt(sum / n);
}

int main(void) {
    bnn_arena mem = { 0 };
    bnn_rng rng = bnn_rng_seed(1);
    const char *folder = example_folder();
    bnn_mat all = example_idx(&mem, "ppca", folder, "digits-train-images.idx", 64, 16);
    bnn_mat test = example_idx(&mem, "ppca", folder, "digits-test-images.idx", 64, 16);
    bnn_mat x = bnn_mat_rows(all, 0, ROWS), none = { 0, 0, NULL };
    ppca closed, em, gappy, mean;
    double closed_p, em_p, fall, log_p;
    int err = ppca_fit(&mem, &closed, x, M);
    if (err == BNN_OK) err = ppca_infer(&mem, &closed, x, none, none, &closed_p);
    if (err != BNN_OK) {
        fprintf(stderr, "ppca: %s\n", mem.msg);
        return 1;
    }
    em_p = climb(&mem, &em, x, &rng, closed_p, &fall);
    printf("largest fall of ln p in one step, relative: %.0e (rounding of float)\n\n",
           fall / fabs(em_p));

    /* the posterior of one image: the same for both, up to a rotation of the latents */
    bnn_mat t = bnn_mat_new(&mem, M, 1), s = bnn_mat_new(&mem, M, M), l = bnn_mat_new(&mem, M, M);
    ppca_posterior(&closed, test.data, t, s, l, &log_p);
    printf("latents of one digit, mean (sd):");
    for (size_t a = 0; a < M; a++)
        printf(" %.2f (%.2f)", (double)t.data[a], sqrt((double)*bnn_mat_at(s, a, a)));
    printf("\n\n");

    /* missing at random: learn from rows with gaps, then fill in rows never seen */
    bnn_mat gaps = bnn_mat_copy(&mem, x);
    bnn_mat test_gaps = bnn_mat_copy(&mem, bnn_mat_rows(test, 0, ROWS));
    bnn_mat filled = bnn_mat_new(&mem, ROWS, x.cols), plain = bnn_mat_new(&mem, ROWS, x.cols);
    for (size_t i = 0; i < ROWS * x.cols; i++) {
        if (bnn_rng_below(&rng, 100) < GAPS) gaps.data[i] = NAN;
        if (bnn_rng_below(&rng, 100) < GAPS) test_gaps.data[i] = NAN;
    }
    err = ppca_start(&mem, &gappy, gaps, M, &rng);
    for (int step = 0; err == BNN_OK && step < 100; step++) err = ppca_em(&mem, &gappy, gaps, NULL);
    mean = gappy;
    mean.w = bnn_mat_new(&mem, x.cols, M); /* W = 0: the column means */
    if (err == BNN_OK) err = ppca_infer(&mem, &gappy, test_gaps, none, filled, NULL);
    if (err == BNN_OK) err = ppca_infer(&mem, &mean, test_gaps, none, plain, NULL);
    double rmse = rmse_at_gaps(test_gaps, filled, test);
    printf("%d%% of the pixels missing, filled in: RMSE %.4f, by column means %.4f\n", GAPS, rmse,
           rmse_at_gaps(test_gaps, plain, test));
    printf("RESULT ppca loglik_closed=%.3f loglik_em=%.3f impute_rmse=%.4f\n",
           closed_p / ROWS, em_p / ROWS, rmse);

    /* truth, with gaps (gray), filled in, by column means */
    enum { SHOW = 16 };
    bnn_mat sheet = bnn_mat_new(&mem, 4 * SHOW, x.cols);
    for (size_t i = 0; i < SHOW * x.cols; i++) {
        sheet.data[i] = test.data[i];
        sheet.data[SHOW * x.cols + i] = isnan(test_gaps.data[i]) ? 0.5f : test.data[i];
        sheet.data[2 * SHOW * x.cols + i] = filled.data[i];
        sheet.data[3 * SHOW * x.cols + i] = plain.data[i];
    }
    if (err != BNN_OK || mem.err != BNN_OK) fprintf(stderr, "ppca: %s\n", mem.msg);
    else tiles_picture(&mem, "ppca", "build/ppca.png", sheet, (tiles_size){ 8, 8 }, SHOW, 4);
    int failed = err || mem.err || example_failed;
    bnn_arena_free(&mem);
    return failed;
}
