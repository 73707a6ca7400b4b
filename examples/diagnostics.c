/* diagnostics.c -- the pictures to look at before one believes a posterior, of two fits.
 *     cc -O2 -I.. diagnostics.c -lm && ./a.out [FOLDER]      writes FOLDER/diagnostics_*.svg
 * Data: data/friedman.csv. Each picture is drawn twice. _good is of a fit whose step size and
 * burn-in bnn_fit found. _bad is of a fit with a step set by hand, far too small, and, for the
 * energies, of a distribution with tails that no sampler of this kind explores. In the good ones
 * you should see traces of U that cover each other after the gray burn-in, flat ranks, and two
 * energies of the same width; in the bad ones the opposite of each. docs/guide.md explains them. */
#define BNN_STATIC /* one file: what it does not call is not compiled */
#define BNN_IMPLEMENTATION
#include "bnn.h"
#include "example.h"
#include "svg.h"
#include <math.h>
#include <stdio.h>

enum { D = 5, BINS = 10, CHAINS = 4, CELLS = 25, WARMUP = 200, DRAWS = 800 };

static bnn_arena mem;
static bnn_tape tape;
static const char *folder = "build";

static char path[512]; /* of the picture that is drawn */

static FILE *picture(const char *name, const char *kind) {
    snprintf(path, sizeof path, "%s/diagnostics_%s_%s.svg", folder, name, kind);
    FILE *f = fopen(path, "w");
    if (f == NULL) example_lost("diagnostics", path);
    return f;
}

/* U of every chain, record by record; gray: burn-in */
static void draw_traces(const bnn_posterior *p, const char *kind) {
    bnn_mat u = p->energy, x = bnn_mat_new(&mem, 1, u.cols);
    double lo = INFINITY, hi = -INFINITY, end = (double)p->burn_in;
    for (size_t i = 0; i < u.rows * u.cols; i++) { /* the first records may be far above: not all */
        lo = fmin(lo, (double)u.data[i]);
        if (i % u.cols >= 3) hi = fmax(hi, (double)u.data[i]);
        if (i < u.cols) x.data[i] = (float)i;
    }
    FILE *f = picture("trace", kind);
    if (f == NULL || mem.err) return;
    svg s = svg_open(f, "Energy U of four chains");
    svg_axes(&s, 0, (double)u.cols, lo - 0.05 * (hi - lo), hi + 0.35 * (hi - lo),
             "record (gray: burn-in, not used)", "U, nats");
    fprintf(f, "<rect x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"%d\" fill=\"#777\" "
               "fill-opacity=\"0.25\"/>\n", svg_x(&s, 0), SVG_TOP, svg_x(&s, end) - svg_x(&s, 0),
            SVG_H_ - SVG_TOP - SVG_BOTTOM);
    for (size_t k = 0; k < u.rows; k++) {
        char name[24];
        snprintf(name, sizeof name, "chain %d", (int)k + 1);
        svg_line(&s, u.cols, x.data, u.data + k * u.cols, (int)k);
        svg_key(&s, name, (int)k, 0);
    }
    svg_close(&s);
    example_close("diagnostics", path, f);
}

/* Ranks of each chain's predictions at one row of x among those of all chains. Gray: where 99
 * percent of the bars end if the chains agree and draws are independent */
static void draw_ranks(const bnn_posterior *p, const bnn_net *net, bnn_mat row, const char *kind) {
    bnn_mat m = bnn_predict_chains(&mem, &tape, net, &p->post, row, p->chains);
    double n = (double)m.cols, all = n * (double)m.rows, top = 0, count[CHAINS][BINS] = { { 0 } };
    if (m.data == NULL) return;
    for (size_t i = 0; i < m.rows * m.cols; i++) {
        double below = 0;
        for (size_t j = 0; j < m.rows * m.cols; j++)
            below += m.data[j] < m.data[i] || (j < i && m.data[j] <= m.data[i]);
        count[i / m.cols][(int)(below * BINS / all)]++;
    }
    double mean = n / BINS, sd = 2.576 * sqrt(mean * (1 - 1.0 / BINS));
    for (size_t i = 0; i < CHAINS * BINS; i++) top = fmax(top, count[i / BINS][i % BINS]);
    char title[80];
    snprintf(title, sizeof title, "Ranks of a prediction, R-hat %.2f", bnn_diag_rhat(&mem, m));
    FILE *f = picture("ranks", kind);
    if (f == NULL) return;
    svg s = svg_open(f, title);
    svg_axes(&s, 0.5, CHAINS + 0.5, 0, 1.1 * fmax(top, mean + sd),
             "chain; in each from the lowest ranks to the highest", "draws");
    fprintf(f, "<rect x=\"%d\" y=\"%.1f\" width=\"%d\" height=\"%.1f\" fill=\"#777\" "
               "fill-opacity=\"0.25\"/>\n", SVG_LEFT, svg_y(&s, mean + sd),
            SVG_W - SVG_LEFT - SVG_RIGHT,
            svg_y(&s, fmax(mean - sd, 0)) - svg_y(&s, mean + sd));
    for (int k = 0; k < (int)m.rows; k++)
        for (int b = 0; b < BINS; b++) {
            double left = k + 0.55 + 0.9 * b / BINS;
            svg_bar(&s, left, left + 0.9 / BINS, count[k][b], k);
        }
    svg_close(&s);
    example_close("diagnostics", path, f);
}

/* The outline of a histogram of x on [-w, w], to be drawn; returns its top */
static double outline(float *px, float *py, size_t n, const double *x, double w) {
    double top = 0;
    px[0] = (float)-w, px[2 * CELLS + 1] = (float)w, py[0] = py[2 * CELLS + 1] = 0;
    for (int b = 0; b < CELLS; b++) {
        size_t in = 0;
        double lo = w * (2.0 * b / CELLS - 1), hi = w * (2.0 * (b + 1) / CELLS - 1), density;
        for (size_t i = 0; i < n; i++) in += x[i] >= lo && x[i] < hi;
        top = fmax(top, density = (double)in / (double)n / (hi - lo));
        px[2 * b + 1] = (float)lo, px[2 * b + 2] = (float)hi;
        py[2 * b + 1] = py[2 * b + 2] = (float)density;
    }
    return top;
}

/* A chain of NUTS: H = U + kinetic energy of each draw, around its mean, and what it changes by
 * from one draw to the next */
static void draw_energies(bnn_params *w, bnn_nuts_desc desc, const char *kind) {
    static double h[DRAWS], step[DRAWS];
    double mean = 0, sd = 0;
    desc.warmup = WARMUP;
    bnn_stepper s = bnn_nuts(w, desc);
    for (size_t k = 0; k < WARMUP + DRAWS && !tape.err; k++) {
        bnn_tape_reset(&tape);
        bnn_step(&s, &tape);
        if (k >= WARMUP) h[k - WARMUP] = s.hmc->hamiltonian;
    }
    if (tape.err) return;
    double e = bnn_diag_ebfmi(h, DRAWS);
    for (size_t i = 0; i < DRAWS; i++) mean += h[i] / DRAWS;
    for (size_t i = DRAWS; i-- > 0; sd += h[i] * h[i] / DRAWS) {
        step[i] = i > 0 ? h[i] - h[i - 1] : 0;
        h[i] -= mean;
    }
    sd = sqrt(sd);
    printf("%-5s energies: sd %.2f nats, E-BFMI %.2f\n", kind, sd, e);
    char title[80];
    snprintf(title, sizeof title, "Energies of a chain, E-BFMI %.2f", e);
    FILE *f = picture("energy", kind);
    if (f == NULL) return;
    svg p = svg_open(f, title);
    float x[2 * CELLS + 2], marginal[2 * CELLS + 2], change[2 * CELLS + 2];
    double top = fmax(outline(x, marginal, DRAWS, h, 4 * sd),
                      outline(x, change, DRAWS - 1, step + 1, 4 * sd));
    svg_axes(&p, -4 * sd, 4 * sd, 0, 1.35 * top, "nats", "density");
    svg_line(&p, 2 * CELLS + 2, x, marginal, 0);
    svg_line(&p, 2 * CELLS + 2, x, change, 1);
    svg_key(&p, "energies minus their mean", 0, 0);
    svg_key(&p, "change from draw to draw", 1, 0);
    svg_close(&p);
    example_close("diagnostics", path, f);
}

static void report(bnn_net *net, bnn_data data, bnn_fit_desc desc, const char *kind) {
    bnn_posterior p = bnn_fit(&mem, net, data, desc);
    printf("%-5s fit: step %.2g to %.2g, burn-in %d of %d records, R-hat %.2f, bulk ESS %.0f, "
           "%d notes\n", kind, p.step_min, p.step_max, (int)p.burn_in, (int)p.energy.cols, p.rhat,
           p.ess_bulk, (int)p.n_notes);
    for (size_t i = 0; i < p.n_notes; i++) printf("      %s\n", p.notes[i]);
    if (mem.err || p.chains != CHAINS) return;
    draw_traces(&p, kind);
    draw_ranks(&p, net, bnn_mat_rows(data.x, 0, 1), kind);
}

/* U = -ln of a Student t with half a degree of freedom in each of ten directions. Its tails are so
 * flat that new momenta hardly change where the chain goes. */
static bnn_var *cauchy(bnn_tape *t, void *user) { return bnn_prior_nll(t, (bnn_params *)user); }

int main(int argc, char **argv) {
    example_most("diagnostics", argc, argv, 1);
    if (argc > 1) folder = argv[1];
    bnn_data all = example_friedman(&mem, "diagnostics");
    tape.rng = bnn_rng_seed(1);
    bnn_data learn = bnn_data_rows(all, 0, 150);
    bnn_net net = bnn_mlp(bnn_params_new(&mem), (bnn_mlp_desc){
        .sizes = { D, 32, 1 }, .activation = BNN_TANH, .noise_std = 1, .prior = { .std = 0.5f } });

    report(&net, learn, (bnn_fit_desc){ .method = BNN_FIT_SGHMC }, "good");
    report(&net, learn, (bnn_fit_desc){ .method = BNN_FIT_SGLD, .lr = 1e-5f, .gradients = 4e4 },
           "bad");
    draw_energies(net.params, (bnn_nuts_desc){ .net = &net, .data = learn }, "good");
    bnn_params *w = bnn_params_new(&mem);
    bnn_params_add(w, 1, 10, "tails", (bnn_prior){ .kind = BNN_PRIOR_STUDENT, .nu = 0.5f });
    draw_energies(w, (bnn_nuts_desc){ .energy = cauchy, .user = w }, "bad");
    int err = mem.err ? mem.err : tape.err;
    if (err) fprintf(stderr, "diagnostics: %s\n", mem.err ? mem.msg : tape.msg);
    bnn_tape_free(&tape);
    bnn_arena_free(&mem);
    return err != 0 || example_failed;
}
