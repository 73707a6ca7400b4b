/* gmm.c -- a Gaussian mixture by EM and by Monte Carlo EM, on points and on the latents of digits.
 *     cc -O2 -I.. gmm.c -lm && ./a.out [table.csv: numbers, the last column ignored]
 * The model is in gmm.h. You should see the log likelihood rise at every step of EM, and of Monte
 * Carlo EM tremble at S = 1 and follow EM at S = 100; then a mixture over the PCA latents of
 * digits, whose samples, decoded, look like digits where those of one Gaussian look like mixtures
 * of digits. Where there is a folder build/: gmm.dat, gmm_means.png, gmm_samples.png. */
#define BNN_STATIC /* one file: what it does not call is not compiled */
#define BNN_IMPLEMENTATION
#include "gmm.h"
#include "ppca.h"
#include "tiles.h"
#include <stdlib.h>

enum { N = 600, STEPS = 60, LATENT = 15, CLUSTERS = 20 };

/* Three stretched clouds in the plane */
static bnn_mat clouds(bnn_arena *mem, bnn_rng *rng) {
    const float mean[3][2] = { { -3, 0 }, { 2, 2 }, { 2, -2 } };
    const float axis[3][4] = { { 1, 0.8f, 0, 0.4f }, { 1.2f, -0.5f, 0, 0.3f }, { 0.4f, 0, 0, 1 } };
    bnn_mat x = bnn_mat_new(mem, N, 2);
    for (size_t i = 0; i < N; i++) {
        size_t k = bnn_rng_below(rng, 3);
        float a = bnn_rng_normal(rng), b = bnn_rng_normal(rng);
        x.data[2 * i] = mean[k][0] + axis[k][0] * a;
        x.data[2 * i + 1] = mean[k][1] + axis[k][1] * a + axis[k][3] * b;
    }
    return x;
}

static void die(const char *what) {
    fprintf(stderr, "gmm: %s\n", what);
    exit(1);
}

static bnn_mat load(bnn_arena *mem, const char *path) {
    bnn_csv csv;
    bnn_mat m;
    if (bnn_csv_load(mem, path, &csv, (bnn_csv_desc){ .reject_missing = 0 })) die(mem->msg);
    if (csv.values.cols < 2) die("the table has fewer than two columns");
    m = bnn_mat_new(mem, csv.values.rows, csv.values.cols - 1);
    for (size_t i = 0; i < m.rows * m.cols; i++)
        m.data[i] = *bnn_mat_at(csv.values, i / m.cols, i % m.cols);
    return m;
}

/* ln p per row at every step; returns the largest fall, and the last value */
static double climb(bnn_arena *mem, gmm *g, bnn_mat x, size_t draws, bnn_rng *rng, double *trace) {
    double fall = 0;
    for (int s = 0; s < STEPS; s++) {
        if (gmm_em(mem, g, x, draws, rng, &trace[s]) != BNN_OK) die(mem->msg);
        trace[s] /= (double)x.rows;
        if (s > 0 && trace[s - 1] - trace[s] > fall) fall = trace[s - 1] - trace[s];
    }
    return fall;
}

static void on_points(bnn_arena *mem, bnn_rng *rng, bnn_mat x) {
    static double trace[6][STEPS];
    const char *name[] = { "EM, full", "EM, diagonal", "EM, spherical", "Monte Carlo EM, S = 1",
                           "Monte Carlo EM, S = 10", "Monte Carlo EM, S = 100" };
    const int kind[] = { GMM_FULL, GMM_DIAGONAL, GMM_SPHERICAL, GMM_FULL, GMM_FULL, GMM_FULL };
    const size_t draws[] = { 0, 0, 0, 1, 10, 100 };
    bnn_rng start = bnn_rng_split(rng);
    FILE *f = example_open("gmm", "build/gmm.dat");
    printf("ln p per row after       1        3       10       %d   largest fall\n", STEPS);
    for (int i = 0; i < 6; i++) {
        bnn_rng same = start; /* the same start for all */
        gmm g;
        if (gmm_start(mem, &g, x, 3, kind[i], 0, &same) != BNN_OK) die(mem->msg);
        double fall = climb(mem, &g, x, draws[i], &same, trace[i]);
        printf("%-22s %8.4f %8.4f %8.4f %8.4f   %.0e\n", name[i], trace[i][1], trace[i][3],
               trace[i][10], trace[i][STEPS - 1], fall);
    }
    for (int s = 0; f && s < STEPS; s++) {
        fprintf(f, "%d", s);
        for (int i = 0; i < 6; i++) fprintf(f, " %.7g", trace[i][s]);
        fputc('\n', f);
    }
    example_close("gmm", "build/gmm.dat", f);
}

static void show(bnn_arena *mem, const char *path, const ppca *p, bnn_mat t, size_t across) {
    bnn_mat x = bnn_mat_new(mem, t.rows, p->mean.cols);
    bnn_mat_mul_nt(x, t, p->w);
    for (size_t i = 0; i < x.rows * x.cols; i++) x.data[i] += p->mean.data[i % x.cols];
    tiles_picture(mem, "gmm", path, x, (tiles_size){ 8, 8 }, across, 4);
}

static void on_latents(bnn_arena *mem, bnn_rng *rng) {
    static double trace[STEPS];
    bnn_mat x = example_idx(mem, "gmm", example_folder(), "digits-train-images.idx", 64, 16);
    bnn_mat t, test, none = { 0, 0, NULL };
    ppca p;
    gmm one, many;
    double log_one, log_many;
    if (ppca_fit(mem, &p, x, LATENT) != BNN_OK) die(mem->msg);
    t = bnn_mat_new(mem, x.rows, LATENT);
    ppca_infer(mem, &p, x, t, none, NULL);
    test = bnn_mat_rows(t, 3000, t.rows - 3000); /* held out */
    t = bnn_mat_rows(t, 0, 3000);
    bnn_mat r = bnn_mat_new(mem, test.rows, CLUSTERS);
    if (gmm_start(mem, &one, t, 1, GMM_FULL, 0, rng) != BNN_OK) die(mem->msg);
    climb(mem, &one, t, 0, rng, trace);
    gmm_expect(mem, &one, test, (bnn_mat){ test.rows, 1, r.data }, &log_one);
    if (gmm_start(mem, &many, t, CLUSTERS, GMM_FULL, 1e-3, rng) != BNN_OK) die(mem->msg);
    climb(mem, &many, t, 0, rng, trace);
    gmm_expect(mem, &many, test, r, &log_many);
    printf("\n%d latents of digits, held-out ln p per image: one Gaussian %.3f, %d clusters %.3f\n",
           LATENT, log_one / (double)test.rows, CLUSTERS, log_many / (double)test.rows);

    enum { W = 20 };
    bnn_mat draws = bnn_mat_new(mem, 6 * W, LATENT);
    show(mem, "build/gmm_means.png", &p, many.mean, CLUSTERS);
    gmm_sample(mem, &one, rng, bnn_mat_rows(draws, 0, 3 * W)); /* upper three rows */
    gmm_sample(mem, &many, rng, bnn_mat_rows(draws, 3 * W, 3 * W));
    show(mem, "build/gmm_samples.png", &p, draws, W);
}

int main(int argc, char **argv) {
    bnn_arena mem = { 0 };
    bnn_rng rng = bnn_rng_seed(4);
    example_most("gmm", argc, argv, 1);
    on_points(&mem, &rng, argc > 1 ? load(&mem, argv[1]) : clouds(&mem, &rng));
    on_latents(&mem, &rng);
    if (mem.err) fprintf(stderr, "gmm: %s\n", mem.msg);
    int failed = mem.err || example_failed;
    bnn_arena_free(&mem);
    return failed;
}
