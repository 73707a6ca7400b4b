/* posteriordb.c -- the no-U-turn sampler on regressions whose posteriors others have published.
 *     cc -O2 -I.. posteriordb.c -lm -o posteriordb
 *     ./posteriordb [--diagonal] [--seed N] [folder [model ...]]
 * Without a folder: a straight line through 12 points, whose posterior is known in closed form.
 * folder holds <model>.data.csv and <model>.reference.csv of posteriordb (mean and sd of 10,000
 * draws). sigma > 0 is sampled as ln sigma, with the Jacobian. You should see R-hat below 1.01 and
 * every mean and sd within 4 standard errors, its own and the reference's together. */
#define BNN_STATIC /* one file: what it does not call is not compiled */
#define BNN_IMPLEMENTATION
#include "bnn.h"
#include "example.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MOST = 32, CHAINS = 4, WARMUP = 1000, DRAWS = 1000 };
enum { LINE, KIDIQ, ARK, NES, SBLRI, EARNINGS, DIAMONDS, MODELS };
static const char *const names[MODELS] = { "line", "kidiq-kidscore_momiq", "arK-arK", "nes1972-nes",
    "sblri-blr", "earnings-logearn_interaction", "diamonds-diamonds" };
static const float width[MODELS] = { 0, 0, 10, 0, 10, 0, 1 };    /* of normal priors; 0 = flat */
static const float half_t[MODELS] = { 0, 1, 1, 0, 0, 0, 3 };     /* of sigma: degrees of freedom */
static const float half_scale[MODELS] = { 0, 2.5f, 2.5f, 0, 0, 0, 10 };

typedef struct model {
    int kind;
    bnn_params *w;  /* beta (1,d), ln sigma */
    bnn_mat x, y;   /* (d,n), (1,n): long rows make a short step */
    size_t gradients;
    double mean[MOST], sd[MOST], share; /* reference; its Monte Carlo error in sd */
} model;

/* U = -ln p(y, theta): y ~ N(X beta, sigma) */
static bnn_var *energy(bnn_tape *t, void *user) {
    model *m = user;
    bnn_var *beta = bnn_param(t, m->w, 0), *ln_sigma = bnn_param(t, m->w, 1);
    bnn_var *r = bnn_sub(bnn_input(t, m->y), bnn_matmul(beta, bnn_input(t, m->x)));
    bnn_var *u = bnn_mul(bnn_scale(bnn_sum(bnn_square(r)), 0.5f), bnn_exp(bnn_scale(ln_sigma, -2)));
    size_t d = m->x.rows;
    m->gradients++;
    u = bnn_add(u, bnn_scale(ln_sigma, (float)m->y.cols - 1)); /* -1: d sigma = sigma d ln sigma */
    if (half_t[m->kind] > 0)
        u = bnn_add(u, bnn_student_nll(bnn_exp(ln_sigma), bnn_scalar(t, 0), half_t[m->kind],
                                       half_scale[m->kind]));
    if (m->kind == SBLRI) u = bnn_add(u, bnn_scale(bnn_exp(bnn_scale(ln_sigma, 2)), 0.005f));
    if (m->kind == DIAMONDS) { /* the intercept has a prior of its own */
        u = bnn_add(u, bnn_student_nll(bnn_cols(beta, --d, 1), bnn_scalar(t, 8), 3, 10));
        beta = bnn_cols(beta, 0, d);
    }
    if (width[m->kind] > 0)
        u = bnn_add(u, bnn_scale(bnn_sum(bnn_square(beta)), 0.5f / powf(width[m->kind], 2)));
    return u;
}

/* Columns of a CSV to X and y */
static void regressors(bnn_arena *mem, model *m, bnn_mat v) {
    size_t lag = m->kind == ARK ? 5 : 0, n = v.rows - lag;
    static const size_t cols[MODELS] = { 0, 2, 6, 9, 5, 4, 25 }; /* of X */
    m->x = bnn_mat_new(mem, n, cols[m->kind]), m->y = bnn_mat_new(mem, n, 1);
    for (size_t i = 0; i < n && !mem->err; i++) {
        const float *a = v.data + (i + lag) * v.cols;
        float *x = m->x.data + i * m->x.cols, *y = m->y.data + i;
        *x = 1, *y = a[0];
        if (m->kind == KIDIQ) x[1] = a[1];
        if (m->kind == ARK) for (int k = 1; k <= 5; k++) x[k] = a[-k];
        if (m->kind == NES) {
            x[1] = a[1], x[2] = a[2], x[6] = a[4], x[7] = a[5], x[8] = a[6];
            for (int k = 2; k <= 4; k++) x[k + 1] = a[3] == k;
        }
        if (m->kind == SBLRI) memcpy(x, a, 5 * sizeof *x), *y = a[5];
        if (m->kind == EARNINGS) x[1] = a[1], x[2] = a[2], x[3] = a[1] * a[2], *y = logf(a[0]);
        if (m->kind == DIAMONDS) memcpy(x, a + 1, 24 * sizeof *x), x[24] = 1, *y = a[25];
    }
    for (size_t j = 0; m->kind == DIAMONDS && j < 24 && !mem->err; j++) { /* centered */
        double mean = 0;
        for (size_t i = 0; i < n; i++) mean += (double)m->x.data[i * 25 + j] / (double)n;
        for (size_t i = 0; i < n; i++) m->x.data[i * 25 + j] -= (float)mean;
    }
}

/* Rows and columns of the data that the references are of */
static const size_t size[MODELS][2] = { { 0, 0 }, { 434, 2 }, { 200, 1 }, { 1330, 7 }, { 100, 6 },
                                        { 1192, 3 }, { 5000, 26 } };

static int from_folder(bnn_arena *mem, model *m, const char *folder) {
    char path[1000], line[1000];
    bnn_csv csv;
    int k = 0;
    FILE *f;
    snprintf(path, sizeof path, "%s/%s.data.csv", folder, names[m->kind]);
    if (bnn_csv_load(mem, path, &csv, (bnn_csv_desc){ .header = 1 })) {
        fprintf(stderr, "posteriordb: %s\n", mem->msg);
        return 0;
    }
    if (csv.values.rows != size[m->kind][0] || csv.values.cols != size[m->kind][1]) {
        fprintf(stderr, "posteriordb: %s: %zu rows, %zu columns; the published data have %zu, "
                "%zu\n", path, csv.values.rows, csv.values.cols, size[m->kind][0],
                size[m->kind][1]);
        return 0;
    }
    regressors(mem, m, csv.values);
    snprintf(path, sizeof path, "%s/%s.reference.csv", folder, names[m->kind]);
    f = fopen(path, "r");
    if (f == NULL) {
        fprintf(stderr, "posteriordb: %s: %s\n", path, strerror(errno));
        return 0;
    }
    while (k < MOST && fgets(line, sizeof line, f)) {
        const char *comma = strchr(line, ',');
        if (comma && sscanf(comma, ",%lf,%lf", &m->mean[k], &m->sd[k]) == 2) k++;
    }
    fclose(f);
    if (k != (int)m->x.cols + 1)
        fprintf(stderr, "posteriordb: %s: %d parameters, expected %zu\n", path, k, m->x.cols + 1);
    m->share = 0.01;
    return k == (int)m->x.cols + 1;
}

/* Flat priors on beta and sigma: beta ~ t with v = N - 3 degrees of freedom, sigma^2 v/RSS inverse
 * chi squared. */
static void straight_line(bnn_arena *mem, model *m) {
    static const float y[12] = { 2.1f, 2.9f, 2.4f, 4.2f, 3.9f, 5.5f, 4.8f, 5.1f, 6.9f, 6.2f, 7.7f,
                                 7.1f };
    double v = 9, sy = 0, sxy = 0, rss = 0, b, var;
    m->x = bnn_mat_new(mem, 12, 2), m->y = bnn_mat_new(mem, 12, 1);
    for (int i = 0; i < 12 && !mem->err; i++) {
        m->x.data[2 * i] = 1, m->x.data[2 * i + 1] = (float)i - 5.5f, m->y.data[i] = y[i];
        sy += y[i] / 12.0, sxy += (i - 5.5) * y[i];
    }
    b = sxy / 143;
    for (int i = 0; i < 12; i++) rss += pow(y[i] - sy - b * (i - 5.5), 2);
    var = rss / (v - 2);
    m->mean[0] = sy, m->sd[0] = sqrt(var / 12), m->mean[1] = b, m->sd[1] = sqrt(var / 143);
    m->mean[2] = sqrt(rss / 2) * exp(lgamma((v - 1) / 2) - lgamma(v / 2));
    m->sd[2] = sqrt(var - m->mean[2] * m->mean[2]);
}

/* Standard errors between a parameter's mean and sd, and those of the reference */
static double distance(bnn_arena *mem, const model *m, int j, bnn_mat draws) {
    double n = CHAINS * DRAWS, mean = bnn_mat_sum(draws) / n, var = 0, zm, zs, own;
    bnn_mat square = bnn_mat_copy(mem, draws);
    for (int i = 0; i < (int)n; i++) {
        square.data[i] = (float)pow(draws.data[i] - mean, 2);
        var += square.data[i] / (n - 1);
    }
    zm = fabs(mean - m->mean[j]) / hypot(bnn_diag_mcse(mem, draws), m->share * m->sd[j]);
    own = bnn_diag_mcse(mem, square) / (2 * sqrt(var));
    zs = fabs(sqrt(var) - m->sd[j]) / hypot(own, m->share * m->sd[j] / sqrt(2));
    printf("  %2d %12.6f %12.6f   %10.6f %10.6f   %5.2f %5.2f\n", j + 1, mean, m->mean[j],
           sqrt(var), m->sd[j], zm, zs);
    return fmax(zm, zs);
}

static int run(bnn_arena *mem, bnn_tape *tape, model *m, int mass) {
    double worst = 0, rhat = 0, ess = INFINITY, seconds = (double)clock();
    int n = (int)m->x.cols + 1;
    bnn_mat draws[MOST], x = bnn_mat_new(mem, m->x.cols, m->x.rows);
    size_t gradients = 0, divergent = 0;
    bnn_mat_transpose(x, m->x);
    m->x = x, m->y.cols = m->y.rows, m->y.rows = 1;
    m->w = bnn_params_new(mem);
    bnn_params_add(m->w, 1, m->x.rows, "beta", (bnn_prior){ .kind = BNN_PRIOR_FLAT });
    bnn_params_add(m->w, 1, 1, "ln sigma", (bnn_prior){ .kind = BNN_PRIOR_FLAT });
    for (int j = 0; j < n; j++) draws[j] = bnn_mat_new(mem, CHAINS, DRAWS);
    for (int c = 0; c < CHAINS && !mem->err; c++) {
        bnn_stepper nuts = bnn_nuts(m->w, (bnn_nuts_desc){ .energy = energy, .user = m,
                                    .warmup = WARMUP, .mass = mass });
        for (int j = 0; j < n && !mem->err; j++)
            m->w->theta[j] = 4 * bnn_rng_uniform(&tape->rng) - 2;
        for (int i = -WARMUP; i < DRAWS && !mem->err && !tape->err; i++) {
            if (i == 0) m->gradients = 0;
            bnn_tape_reset(tape);
            bnn_step(&nuts, tape);
            for (int j = 0; j < n && i >= 0; j++)
                draws[j].data[c * DRAWS + i] = j < n - 1 ? m->w->theta[j] : expf(m->w->theta[j]);
        }
        gradients += m->gradients;
        if (!mem->err) divergent += nuts.hmc->divergent;
    }
    if (mem->err || tape->err) return 0;
    seconds = ((double)clock() - seconds) / CLOCKS_PER_SEC;
    printf("%s, %zu divergent\n           mean    reference           sd  reference     "
           " z of both\n", names[m->kind], divergent);
    for (int j = 0; j < n; j++) {
        worst = fmax(worst, distance(mem, m, j, draws[j]));
        rhat = fmax(rhat, bnn_diag_rhat(mem, draws[j]));
        ess = fmin(ess, bnn_diag_ess_bulk(mem, draws[j]));
    }
    printf("RESULT posteriordb model=%s worst_z=%.2f rhat=%.4f ess_per_grad=%.5f ess=%.0f "
           "seconds=%.2f\n", names[m->kind], worst, rhat, ess / (double)gradients, ess, seconds);
    return worst <= 4 && rhat < 1.01;
}

static int unknown(const char *word) {
    fprintf(stderr, "posteriordb: what is \"%s\"? There are --diagonal, --seed N, a folder, and",
            word);
    for (int k = KIDIQ; k < MODELS; k++) fprintf(stderr, " %s", names[k]);
    fputc('\n', stderr);
    return 2;
}

int main(int argc, char **argv) {
    bnn_arena mem = { 0 };
    bnn_tape tape = { .rng = bnn_rng_seed(1) };
    int good = 1, ran = 0, diagonal = 0;
    for (; argc > 1 && argv[1][0] == '-'; argc--, argv++) {
        if (strcmp(argv[1], "--diagonal") == 0) diagonal = 1;
        else if (strcmp(argv[1], "--seed") == 0 && argc > 2) {
            tape.rng = bnn_rng_seed(example_seed("posteriordb", argv[2]));
            argc--, argv++;
        } else return unknown(argv[1]);
    }
    for (int i = 2, k; i < argc; i++) {
        for (k = KIDIQ; k < MODELS && strcmp(argv[i], names[k]); k++);
        if (k == MODELS) return unknown(argv[i]);
    }
    for (int k = argc > 1 ? KIDIQ : LINE; k < (argc > 1 ? MODELS : KIDIQ); k++) {
        model m = { .kind = k };
        int wanted = argc <= 2;
        for (int i = 2; i < argc; i++) wanted = wanted || strcmp(argv[i], names[k]) == 0;
        if (!wanted || mem.err || tape.err) continue;
        if (k == LINE) straight_line(&mem, &m);
        else if (!from_folder(&mem, &m, argv[1])) {
            ran = 0;
            break;
        }
        good = run(&mem, &tape, &m, diagonal ? BNN_MASS_DIAGONAL : BNN_MASS_DENSE) && good;
        ran++;
    }
    int err = tape.err ? tape.err : mem.err;
    if (err) fprintf(stderr, "posteriordb: %s\n", tape.err ? tape.msg : mem.msg);
    if (tape.notes) printf("%zu notes, the first: %s\n", tape.notes, tape.note);
    bnn_tape_free(&tape);
    bnn_arena_free(&mem);
    return err || !ran ? 2 : !good;
}
