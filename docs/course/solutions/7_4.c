/* 7_4.c -- lecture 7, exercise 4: degree and alpha by the evidence, or by validation on a quarter
 * of the rows; 300 worlds.
 *     cc -O2 -I. docs/course/solutions/7_4.c -o s -lm && ./s */
#include "../polynomial.h"

enum { WORLDS = 300, TEST = 200, ALPHAS = 6, CHOICES = DEGREES * ALPHAS, METHODS = 3 };
static double rmse[4][METHODS], gain[4], error[4]; /* evidence, validation, the best of all */

static double alpha_of(int h) { return exp(-2 + 1.5 * (h % ALPHAS)); }

static void world(bnn_arena *mem, bnn_rng *rng, int k, size_t rows) {
    double e[METHODS], best[METHODS] = { -1e300, -1e300, -1e300 }, beta = 1 / (NOISE * NOISE);
    bnn_data all = measure(mem, rng, rows), unseen = measure(mem, rng, TEST);
    bnn_mat x = features(mem, all.x, DEGREES - 1), u = features(mem, unseen.x, DEGREES - 1);
    for (int degree = 0; degree < DEGREES && !mem->err; degree++) {
        size_t c = (size_t)degree + 1;
        bnn_data d = { bnn_mat_new(mem, rows, c), all.y };
        bnn_data t = { bnn_mat_new(mem, TEST, c), unseen.y };
        if (mem->err) return;
        for (size_t i = 0; i < rows; i++)
            memcpy(d.x.data + i * c, x.data + i * DEGREES, c * sizeof(float));
        for (size_t i = 0; i < TEST; i++)
            memcpy(t.x.data + i * c, u.data + i * DEGREES, c * sizeof(float));
        for (int h = degree * ALPHAS; h < (degree + 1) * ALPHAS; h++) {
            posterior q = solve_even(mem, d, alpha_of(h), beta);
            posterior part = solve_even(mem, bnn_data_rows(d, 0, rows - rows / 4), alpha_of(h),
                                        beta);
            double s[METHODS] = { q.log_evidence, 0, 0 }, seen = 0;
            s[1] = -look(&part, bnn_data_rows(d, rows - rows / 4, rows / 4)).square;
            for (size_t i = 0; i < TEST; i++) {
                double miss = mean_at(&q, t.x, i, NULL) - (double)t.y.data[i];
                seen += miss * miss / TEST;
            }
            s[2] = -seen;
            for (int m = 0; m < METHODS; m++)
                if (s[m] > best[m]) best[m] = s[m], e[m] = sqrt(seen);
        }
    }
    for (int m = 0; m < METHODS; m++) rmse[k][m] += e[m] / WORLDS;
    gain[k] += (e[1] - e[0]) / WORLDS, error[k] += (e[1] - e[0]) * (e[1] - e[0]) / WORLDS;
}

/* The evidence that chooses, against the sum of ln p of each row given those before it */
static void check_evidence(bnn_arena *mem, bnn_rng *rng) {
    enum { N = 16 };
    bnn_data d = measure(mem, rng, N);
    double sum = 0, beta = 1 / (NOISE * NOISE);
    d.x = features(mem, d.x, 5);
    for (size_t n = 0; n < N && !mem->err; n++) { /* before the first row: one with endless noise */
        posterior q = solve_even(mem, bnn_data_rows(d, 0, n ? n : 1), 2, n ? beta : 1e-12);
        sum += look(&q, bnn_data_rows(d, n, 1)).log_p;
    }
    check(near(sum, solve_even(mem, d, 2, beta).log_evidence, 1e-3), "the evidence, row by row");
}

int main(void) {
    bnn_arena mem = { 0 };
    bnn_tape tape = { .rng = bnn_rng_seed(4) };
    printf("rows   evidence   validation   best of all   validation - evidence\n");
    for (int k = 0; k < 4; k++) {
        size_t rows = (size_t)8 << k;
        for (int w = 0; w < WORLDS && !mem.err; w++) {
            bnn_mark mark = bnn_arena_mark(&mem);
            world(&mem, &tape.rng, k, rows);
            bnn_arena_rewind(&mem, mark);
        }
        error[k] = sqrt((error[k] - gain[k] * gain[k]) / (WORLDS - 1));
        printf("%4d %10.3f %12.3f %13.3f %13.3f +- %.3f\n", (int)rows, rmse[k][0], rmse[k][1],
               rmse[k][2], gain[k], error[k]);
        check(rmse[k][2] <= rmse[k][0] && rmse[k][2] <= rmse[k][1], "nothing beats the best");
        check(rmse[k][2] > NOISE * 0.9, "nothing is below the noise");
    }
    check_evidence(&mem, &tape.rng);
    check(gain[0] > 3 * error[0], "with 8 rows the evidence chooses better");
    return done(&mem, &tape);
}
