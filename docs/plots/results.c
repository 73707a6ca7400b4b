/* results.c -- the figures of docs/results.md, drawn from the lines in docs/results/.
 *     cc -O2 -I. docs/plots/results.c -o results -lm && ./results [folder, docs/img]
 * Run it at the top of the tree. Published values, which no program here prints, stand in the
 * figure that shows them; where they come from is said in the pages of results. */
#include "../../examples/svg.h"
#include <stdlib.h>
#include <string.h>

enum { MAX = 32 };
static const char *folder = "docs/img";
static int missing;

/* Does the line have this word, such as method=sgld? */
static int has(const char *line, const char *word) {
    size_t n = strlen(word);
    for (const char *p = strstr(line, word); p; p = strstr(p + 1, word))
        if (p > line && p[-1] == ' ' && strchr(" \n\r", p[n])) return 1;
    return 0;
}

/* The values of `key` in the lines of docs/results/FILE.txt that have all words of `words`, in
 * their order; 8/10 is 0.8. Returns how many there are. */
static size_t values(const char *file, const char *words, const char *key, double *v) {
    char path[256], line[1024], word[256], find[64];
    size_t n = 0;
    snprintf(path, sizeof path, "docs/results/%s.txt", file);
    snprintf(find, sizeof find, " %s=", key);
    FILE *f = fopen(path, "r");
    while (f && n < MAX && fgets(line, sizeof line, f)) {
        int all = strncmp(line, "RESULT ", 7) == 0, used = 0;
        for (const char *w = words; all && sscanf(w, " %255s%n", word, &used) == 1; w += used)
            all = has(line, word);
        char *p = all ? strstr(line, find) : NULL, *end;
        if (!p) continue;
        v[n] = strtod(p + strlen(find), &end);
        if (*end == '/') v[n] /= strtod(end + 1, NULL);
        n++;
    }
    if (f) fclose(f);
    if (n == 0) {
        fprintf(stderr, "results: no %s of %s in %s\n", key, words, path);
        missing = 1;
    }
    return n;
}

static double value(const char *file, const char *words, const char *key) {
    double v[MAX] = { 0 };
    values(file, words, key, v);
    return v[0];
}

static svg picture(const char *name, const char *title) {
    char path[256];
    snprintf(path, sizeof path, "%s/results_%s.svg", folder, name);
    FILE *f = fopen(path, "w");
    if (!f) {
        fprintf(stderr, "results: cannot write %s\n", path);
        exit(2);
    }
    return svg_open(f, title);
}

static void done(svg *s) {
    svg_close(s);
    fclose(s->f);
}

/* Axes for n rows with names in words, which need `wide` points on the left */
static void rows(svg *s, double x0, double x1, const char *x, int wide, int n,
                 const char *const *names) {
    double span = SVG_W - SVG_LEFT - SVG_RIGHT, step;
    s->x1 = x1, s->x0 = x0 - (x1 - x0) * (wide - SVG_LEFT) / (span - wide + SVG_LEFT);
    s->y0 = n - 0.4, s->y1 = -1.1; /* room for a legend above the first row */
    fprintf(s->f, "<path d=\"M%.1f %dV%dH%d\" fill=\"none\" stroke=\"#000\"/>\n", svg_x(s, x0),
            SVG_TOP, SVG_H_ - SVG_BOTTOM, SVG_W - SVG_RIGHT);
    step = svg_step(x0, x1);
    for (double v = ceil(x0 / step - 1e-9) * step; v <= x1 + step * 1e-9; v += step) {
        char text[32];
        snprintf(text, sizeof text, "%.6g", fabs(v) < step * 1e-6 ? 0 : v);
        fprintf(s->f, "<path d=\"M%.1f %dv5\" stroke=\"#000\"/>\n", svg_x(s, v),
                SVG_H_ - SVG_BOTTOM);
        svg_text(s, svg_x(s, v), SVG_H_ - SVG_BOTTOM + 18, "middle", text);
    }
    svg_text(s, (svg_x(s, x0) + SVG_W - SVG_RIGHT) / 2, SVG_H_ - 10, "middle", x);
    for (int i = 0; i < n; i++) {
        fprintf(s->f, "<path d=\"M%.1f %.1fH%d\" stroke=\"#ddd\"/>\n", svg_x(s, x0), svg_y(s, i),
                SVG_W - SVG_RIGHT);
        svg_text(s, svg_x(s, x0) - 8, svg_y(s, i) + 4, "end", names[i]);
    }
    fputs("<g>\n", s->f);
}

static void upright(const svg *s, double x) { /* a dashed line to compare with */
    fprintf(s->f, "<path d=\"M%.1f %dV%d\" stroke=\"#777\" stroke-dasharray=\"3 3\"/>\n",
            svg_x(s, x), SVG_TOP, SVG_H_ - SVG_BOTTOM);
}

/* Points of all values in row i */
static void points(const svg *s, const char *file, const char *words, const char *key, int i,
                   int color) {
    double v[MAX];
    size_t n = values(file, words, key, v);
    for (size_t k = 0; k < n; k++) svg_mark(s, svg_x(s, v[k]), svg_y(s, i), color);
}

static void key(const svg *s, double px, const char *text, int color) {
    svg_mark(s, px, SVG_TOP + 6, color);
    svg_text(s, px + 10, SVG_TOP + 10, "start", text);
}

static void label(const svg *s, double x, double y, const char *anchor, const char *text) {
    svg_text(s, svg_x(s, x) + (*anchor == 's' ? 8 : -8), svg_y(s, y) + 4, anchor, text);
}

static void sampling(void) {
    static const char *const model[] = { "model=kidiq-kidscore_momiq", "model=arK-arK",
        "model=nes1972-nes", "model=sblri-blr", "model=earnings-logearn_interaction" };
    static const char *const names[] = { "kidiq", "arK", "nes1972", "sblri", "earnings" };
    svg s = picture("sampling", "NUTS here beside NUTS in Stan, five models");
    rows(&s, 0, 5, "effective draws: ours divided by Stan's", 90, 5, names);
    upright(&s, 1);
    for (int i = 0; i < 5; i++) {
        char words[80];
        snprintf(words, sizeof words, "stan_ratio %s", model[i]);
        points(&s, "sampling", words, "per_gradient", i, 0);
        points(&s, "sampling", words, "per_second", i, 1);
    }
    key(&s, 220, "for each gradient", 0);
    key(&s, 350, "for each second", 1);
    done(&s);
}

static void images(void) {
    static const char *const method[] = { "sgd", "sgld", "student", "student_mlp", "dropout",
                                          "student_dropout" };
    static const char *const names[] = { "one net", "samples", "student of samples",
        "dense student", "masks of dropout", "student of masks" };
    static const int right[] = { 8, 0, 8, 8, 8, -8 }, down[] = { 4, 16, -10, 14, 8, -2 };
    static const char *const anchor[] = { "start", "middle", "middle", "start", "start", "end" };
    svg s = picture("images", "MNIST by a LeNet, after 4 and after 10 epochs");
    svg_axes(&s, 0.4, 1.4, 0.01, 0.06, "error on test images, percent", "NLL, nats per image");
    for (int i = 0; i < 6; i++) {
        double e[MAX], l[MAX];
        char words[80];
        snprintf(words, sizeof words, "lenet data=mnist method=%s", method[i]);
        if (values("lenet", words, "error", e) < 2 || values("lenet", words, "nll", l) < 2)
            continue;
        fprintf(s.f, "<path d=\"M%.1f %.1fL%.1f %.1f\" stroke=\"#bbb\"/>\n", svg_x(&s, e[1]),
                svg_y(&s, l[1]), svg_x(&s, e[0]), svg_y(&s, l[0]));
        for (int k = 0; k < 2; k++) svg_mark(&s, svg_x(&s, e[k]), svg_y(&s, l[k]), k);
        svg_text(&s, svg_x(&s, e[0]) + right[i], svg_y(&s, l[0]) + down[i], anchor[i], names[i]);
    }
    svg_key(&s, "10 epochs", 0, 1);
    svg_key(&s, "4 epochs", 1, 1);
    done(&s);
}

static void weight_noise(void) {
    static const char *const row[] = { "row=maximum_likelihood", "row=weight_noise",
        "row=adaptive_weight_noise", "row=adaptive_prior_weight_noise" };
    static const char *const names[] = { "maximum likelihood", "fixed noise, free",
                                         "learned noise, paid for", "fixed noise, paid for" };
    svg s = picture("weight_noise", "Noise on the weights: who errs least on digits");
    rows(&s, 0, 8, "error on test images, percent", 160, 4, names);
    for (int i = 0; i < 4; i++) {
        char words[80];
        snprintf(words, sizeof words, "graves %s", row[i]);
        points(&s, "weight_noise", words, "error", i, 0);
        snprintf(words, sizeof words, "sequence %s", row[i]);
        points(&s, "weight_noise", words, "error", i, 1);
    }
    key(&s, 180, "dense net, 3 seeds", 0);
    key(&s, 310, "GRU, 3 seeds", 1);
    done(&s);
}

static void pruning(void) {
    static const char *const words[] = { "prune", "prune_units data=digits stage=distilled kl=0.1",
        "prune_units data=digits stage=distilled kl=0.3",
        "prune_units data=digits stage=distilled kl=1" };
    static const char *const names[] = { "one weight at a time, 0 to 90 percent removed",
        "by units, KL weight 0.1", "by units, KL weight 0.3", "by units, KL weight 1" };
    svg s = picture("pruning", "Digits, 64-200-200-10: what is left of the net");
    svg_axes(&s, 0, 100, 0, 18, "weights in the smaller net, percent",
             "error on test images, percent");
    for (int i = 0; i < 5; i++) {
        double e[MAX], left[MAX];
        size_t n = values(i < 4 ? "prune" : "weight_noise", words[i % 4], "error", e);
        values(i < 4 ? "prune" : "weight_noise", words[i % 4], i % 4 ? "weights" : "params", left);
        for (size_t k = 0; k < n; k++)
            if (e[k] < 18)
                svg_mark(&s, svg_x(&s, left[k] / 552.10), svg_y(&s, e[k]), i % 4);
    }
    for (int i = 0; i < 4; i++) svg_key(&s, names[i], i, 1);
    done(&s);
}

static void pruning_mnist(void) {
    static const char *const words[] = { "bbb_prune hidden=400 epochs=40 test=1",
        "bbb_prune hidden=1200 epochs=40 test=1", "bbb_prune hidden=1200 epochs=250 kl=0.3 test=1",
        "bbb_prune hidden=1200 epochs=600 kl=0.3 test=1" };
    static const float at[] = { 0, 50, 75, 95, 98 }, all[] = { 0, 50, 75, 90, 95, 98 };
    static const float published[] = { 1.24f, 1.24f, 1.24f, 1.29f, 1.39f };
    static const float before[] = { 1.39f, 1.40f, 1.68f, 2.05f, 2.86f, 9.28f };
    svg s = picture("pruning_mnist", "MNIST: errors of the means as weights go");
    svg_axes(&s, 0, 100, 0, 5, "weights removed, percent", "error on test images, percent");
    svg_line(&s, 5, at, published, 0);
    svg_line(&s, 6, all, before, 1);
    for (int i = 0; i < 4; i++) {
        double e[MAX];
        float y[6];
        values("weight_noise_mnist", words[i], "error", e);
        for (int k = 0; k < 6; k++) y[k] = (float)e[k]; /* of the first run that has the words */
        svg_line(&s, 6, all, y, 2 + i);
    }
    svg_key(&s, "1200 units, 600 epochs, published", 0, 0);
    svg_key(&s, "400 units, 600 epochs, first settings", 1, 0);
    svg_key(&s, "400 units, 40 epochs", 2, 0);
    svg_key(&s, "1200 units, 40 epochs", 3, 0);
    svg_key(&s, "1200 units, 250 epochs, KL weight 0.3", 4, 0);
    svg_key(&s, "1200 units, 600 epochs, KL weight 0.3", 5, 0);
    done(&s);
}

static void distillation(void) {
    static const char *const method[] = { "sgld", "map", "student", "small_student" };
    static const char *const names[] = { "120 samples of SGLD", "one net", "student",
                                         "small student" };
    svg s = picture("distillation", "Digits: one student has what 120 nets know");
    svg_axes(&s, 4, 8, 0.06, 0.11, "size, log10 of bytes", "NLL, nats per image");
    for (int i = 0; i < 4; i++) {
        double b[MAX], l[MAX], mean = 0;
        char words[80];
        snprintf(words, sizeof words, "digits method=%s", method[i]);
        size_t n = values("digits", words, "bytes", b), m = values("digits", words, "nll", l);
        for (size_t k = 0; k < n && k < m; k++) {
            svg_mark(&s, svg_x(&s, log10(b[k])), svg_y(&s, l[k]), i == 1 ? 1 : i == 0 ? 2 : 0);
            mean += l[k] / (double)n;
        }
        if (n) label(&s, log10(b[0]), mean, i == 0 ? "end" : "start", names[i]);
    }
    done(&s);
}

static void structure(void) {
    static const char *const order[] = { "order=1", "order=2", "order=implicit" };
    static const char *const names[] = { "first order", "second order", "implicit" };
    svg s = picture("structure", "Which gradient finds the sine? The prior decides");
    rows(&s, 0, 1, "share of 40 seeds that choose sin", 110, 3, names);
    for (int i = 0; i < 3; i++) {
        double v[MAX];
        char words[80];
        snprintf(words, sizeof words, "darts task=sine %s", order[i]);
        size_t n = values("structure", words, "seeds_right", v);
        for (size_t k = n < 2 ? n : n - 2; k < n; k++)
            svg_mark(&s, svg_x(&s, v[k]), svg_y(&s, i), k + 1 == n);
    }
    key(&s, 130, "weights N(0, 0.25)", 0);
    key(&s, 290, "weights N(0, 4)", 1);
    done(&s);
}

static void two_levels(void) {
    static const char *const method[] = { "none", "pooled", "random", "coordinate", "greedy",
                                          "drmad", "implicit" };
    static const char *const names[] = { "precision 1", "1, all rows", "random search",
        "coordinate search", "greedy gradient", "DrMAD", "implicit gradient" };
    svg s = picture("two_levels", "1510 precisions, chosen by 200 rows of digits");
    svg_axes(&s, -1.5, 3, 50, 68, "gain in accuracy, points",
             "accuracy with noisy inputs, percent");
    for (int i = 0; i < 7; i++) {
        char words[80];
        snprintf(words, sizeof words, "hyper data=digits method=%s", method[i]);
        double g = value("two_levels", words, "gain"), a = value("two_levels", words, "noisy");
        svg_mark(&s, svg_x(&s, g), svg_y(&s, a), i < 2 ? 0 : 1);
        label(&s, g, a, i == 5 ? "end" : "start", names[i]); /* DrMAD has greedy to its right */
    }
    done(&s);
}

static void latent(void) {
    static const char *const names[] = { "digits, bits", "digits, classes", "MNIST, bits",
                                         "MNIST, classes" };
    static const char *const data[] = { "data=digits latent=bernoulli",
        "data=digits latent=categorical", "data=mnist latent=bernoulli",
        "data=mnist latent=categorical" };
    svg s = picture("latent", "Discrete latents: the price of each gradient");
    rows(&s, 0, 7, "nats per image above Gumbel-softmax", 120, 4, names);
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < 2; k++) {
            char words[80];
            snprintf(words, sizeof words, "discrete %s estimator=gs", data[i]);
            double best = value("discrete", words, "nll");
            snprintf(words, sizeof words, "discrete %s estimator=%s", data[i], k ? "sf" : "st");
            svg_mark(&s, svg_x(&s, value("discrete", words, "nll") - best), svg_y(&s, i), k);
        }
    key(&s, 140, "straight-through", 0);
    key(&s, 280, "score function", 1);
    done(&s);
}

static void sequences(void) {
    static const char *const names[] = { "independent pixels", "logistic regressions", "GRU" };
    static const char *const keys[] = { "independent", "logistic", "nats" };
    svg s = picture("sequences", "Binary digits, one pixel after the other");
    rows(&s, 0, 26, "nats per held-out image", 140, 3, names);
    for (int i = 0; i < 3; i++) points(&s, "weight_noise", "sequence density=gru", keys[i], i, 0);
    done(&s);
}

static void uci(void) {
    static const char *const names[] = { "HMC and SGHMC", "SGHMC", "student of these",
        "MC dropout, tuned", "deep ensembles", "MC dropout", "PBP", "one net (MAP)" };
    static const double published[] = { -1.522, -1.563, -1.712, -1.780 };
    double v[MAX], mean = 0;
    size_t n = values("uci", "uci method=hmc", "loglik", v); /* four sets, then their average */
    for (size_t i = 0; i < 4 && i < n; i++) mean += v[i] / 6;
    mean += value("uci", "uci set=kin8nm method=sghmc", "loglik") / 6;
    mean += value("uci", "uci set=power-plant method=sghmc", "loglik") / 6;
    svg s = picture("uci", "Six tables, 20 splits: mean log likelihood");
    rows(&s, -3, -1, "test log likelihood, nats per row (right is better)", 140, 8, names);
    svg_mark(&s, svg_x(&s, mean), svg_y(&s, 0), 0);
    points(&s, "uci", "uci set=average-of-6 method=sghmc", "loglik", 1, 0);
    points(&s, "uci", "uci set=average-of-6 method=student", "loglik", 2, 0);
    for (int i = 0; i < 4; i++) svg_mark(&s, svg_x(&s, published[i]), svg_y(&s, 3 + i), 1);
    points(&s, "uci", "uci set=average-of-6 method=map", "loglik", 7, 0);
    key(&s, 170, "here", 0);
    key(&s, 250, "published", 1);
    done(&s);
}

static void tool(void) {
    static const char *const names[] = { "friedman", "kin8nm", "energy", "bostonHousing",
        "concrete", "digits", "earnings", "kidiq", "nes1972", "iris", "wine", "wine-quality-red",
        "power-plant" };
    static const char *const set[] = { "friedman", "kin8nm", "energy", "bostonHousing", "concrete",
        "digits", "earnings-logearn_interaction", "kidiq-kidscore_momiq", "nes1972-nes", "iris",
        "wine", "wine-quality-red", "power-plant" };
    static const char *const other[] = { "linear", "forest", "gp" };
    svg s = picture("tool", "The tool beside the best of three of scikit-learn");
    rows(&s, -0.3, 0.5, "nats per test row won by the tool", 120, 13, names);
    upright(&s, 0);
    for (int i = 0; i < 13; i++) {
        char words[80];
        double best = HUGE_VAL, v;
        for (int k = 0; k < 3; k++) {
            snprintf(words, sizeof words, "tool set=%s method=%s", set[i], other[k]);
            v = value("tool", words, "nll");
            best = v < best ? v : best;
        }
        snprintf(words, sizeof words, "tool set=%s method=bnn", set[i]);
        v = best - value("tool", words, "nll");
        svg_mark(&s, svg_x(&s, v), svg_y(&s, i), v < 0);
    }
    done(&s);
}

static double mean_of(const char *file, const char *words, const char *of) {
    double v[MAX] = { 0 }, mean = 0;
    size_t n = values(file, words, of, v);
    for (size_t k = 0; k < n; k++) mean += v[k] / (double)n;
    return mean;
}

static void cold(void) { /* means over seeds as lines, seeds as points */
    static const char *const t[] = { "0.01", "0.03", "0.1", "0.3", "1" };
    static const char *const names[] = { "short chains", "long chains", "short, shifted images",
                                         "long, shifted images" };
    svg s = picture("cold", "Digits at temperatures below 1: SGLD");
    svg_axes(&s, -2.1, 0.1, 0.06, 0.16, "log10 of the temperature", "NLL, nats per image");
    for (int i = 0; i < 4; i++) {
        float x[5], y[5];
        for (int k = 0; k < 5; k++) {
            char words[96];
            double v[MAX];
            snprintf(words, sizeof words, "cold method=sgld lr=0.3 length=%d shifts=%d "
                     "temperature=%s", i % 2 ? 8 : 1, i / 2, t[k]);
            size_t n = values("cold", words, "nll", v);
            x[k] = (float)log10(atof(t[k])), y[k] = (float)mean_of("cold", words, "nll");
            for (size_t j = 0; j < n; j++) svg_mark(&s, svg_x(&s, x[k]), svg_y(&s, v[j]), i);
        }
        svg_line(&s, 5, x, y, i);
        svg_key(&s, names[i], i, 1);
    }
    done(&s);
}

static void robot_arm(void) {
    static const char *const names[] = { "one net, 2 inputs", "one net, 6 inputs", "NUTS, 2 inputs",
        "NUTS, 6 inputs", "Neal, 2 inputs", "Neal, 6 inputs", "MacKay, 2 inputs" };
    static const double published[] = { 1.094 / 200, 1.098 / 200, 1.146 / 200 };
    svg s = picture("robot_arm", "MacKay's robot arm, 200 rows");
    rows(&s, 0.004, 0.014, "squared error per test row", 130, 7, names);
    upright(&s, 0.005);
    points(&s, "robot_arm", "robot_arm task=arm method=map", "error", 0, 0);
    points(&s, "robot_arm", "robot_arm task=arm6 method=map", "error", 1, 0);
    points(&s, "robot_arm", "robot_arm task=arm method=nuts", "error", 2, 0);
    points(&s, "robot_arm", "robot_arm task=arm6 method=nuts", "error", 3, 0);
    for (int i = 0; i < 3; i++) svg_mark(&s, svg_x(&s, published[i]), svg_y(&s, 4 + i), 1);
    key(&s, 160, "here, draws of the data", 0);
    key(&s, 340, "published", 1);
    done(&s);
}

static void cells(void) {
    static const char *const names[] = { "first order", "second order", "implicit",
        "first, warmed up", "second, warmed up", "implicit, warmed up", "107 of all cells" };
    static const char *const order[] = { "cells order=1", "cells order=2", "cells order=implicit",
        "warm order=1", "warm order=2", "warm order=implicit" };
    static const char *const of[] = { "least", "tenth", "median", "most" };
    svg s = picture("cells", "A cell for digits: found, or drawn at random?");
    rows(&s, 3, 5, "error on test images, percent", 150, 7, names);
    for (int i = 0; i < 6; i++) {
        char words[80];
        snprintf(words, sizeof words, "darts_%s", order[i]);
        points(&s, "structure", words, "error", i, 0);
    }
    for (int i = 0; i < 4; i++)
        svg_mark(&s, svg_x(&s, value("structure", "darts_cells steps=3000", of[i])), svg_y(&s, 6),
                 1);
    key(&s, 160, "found, ten seeds", 0);
    key(&s, 290, "least, tenth, median, most", 1);
    done(&s);
}

static void student_sizes(void) {
    svg s = picture("student_sizes", "Digits: how small may a student be?");
    double w[MAX], g[MAX];
    size_t n = values("students", "digits_students", "weights", w);
    svg_axes(&s, 3, 4.1, -0.01, 0.05, "size, log10 of the weights",
             "NLL above that of the ensemble, nats");
    n = values("students", "digits_students", "gap", g) < n ? 0 : n;
    for (size_t k = 0; k < n; k++)
        svg_mark(&s, svg_x(&s, log10(w[k])), svg_y(&s, g[k]), k % 9 > 5); /* 9 shapes a seed */
    svg_line(&s, 2, (float[2]){ 3, 4.1f }, (float[2]){ 0.005f, 0.005f }, 2);
    svg_key(&s, "one hidden layer", 0, 1);
    svg_key(&s, "two hidden layers", 1, 1);
    svg_key(&s, "0.005 nats", 2, 0);
    done(&s);
}

static void students(void) { /* of the teachers of energy */
    static const char *const words[] = { "noise=0.1 prior=1 steps=10000",
        "noise=0.1 prior=0 steps=10000", "noise=0.03 steps=10000", "noise=0.01 steps=10000",
        "noise=0 steps=10000", "noise=0.01 steps=40000" };
    static const char *const names[] = { ".1, with a prior", ".1", ".03", ".01", "no noise",
                                         ".01, four times the steps" };
    svg s = picture("students", "Energy: the noise on a student's inputs");
    rows(&s, -0.7, 0.1, "log likelihood less that of the teacher, nats", 170, 6, names);
    upright(&s, 0);
    for (int i = 0; i < 6; i++) {
        char all[96];
        double gap, se;
        snprintf(all, sizeof all, "students set=energy hidden=50 %s", words[i]);
        gap = value("students", all, "gap"), se = value("students", all, "gap_se");
        fprintf(s.f, "<path d=\"M%.1f %.1fH%.1f\" stroke=\"#0072b2\"/>\n",
                svg_x(&s, gap - 2 * se), svg_y(&s, i), svg_x(&s, gap + 2 * se));
        svg_mark(&s, svg_x(&s, gap), svg_y(&s, i), 0);
    }
    done(&s);
}

static void teacher_prior(void) {
    static const char *const prior[] = { "posterior", "means", "posterior_random",
                                         "posterior_layer", "standard" };
    static const char *const names[] = { "posterior, the neurons that matter", "N(their means, 1)",
                                         "posterior, random neurons", "posterior, a layer removed",
                                         "N(0, 1)" };
    static const char *const rows_of[] = { "100", "1000", "5000", "25000" };
    svg s = picture("teacher_prior", "Fashion-MNIST: what a teacher's posterior is worth");
    svg_axes(&s, 1.9, 4.5, 0.3, 1.6, "log10 of the student's rows", "test NLL, nats per image");
    for (int i = 0; i < 5; i++) {
        float x[4], y[4];
        for (int k = 0; k < 4; k++) {
            char words[96];
            double v[MAX] = { 0 };
            snprintf(words, sizeof words, "prior_rows width=100 prior=%s rows=%s", prior[i],
                     rows_of[k]);
            size_t seeds = values("teacher_prior", words, "nll", v);
            x[k] = (float)log10(atof(rows_of[k])), y[k] = 0;
            for (size_t j = 0; j < seeds; j++) {
                float one = (float)v[j];
                y[k] += one / (float)seeds;
                svg_points(&s, 1, &x[k], &one, i);
            }
        }
        svg_line(&s, 4, x, y, i);
        svg_key(&s, names[i], i, 1);
    }
    done(&s);
}

int main(int argc, char **argv) {
    if (argc > 1) folder = argv[1];
    sampling();
    images();
    weight_noise();
    pruning();
    pruning_mnist();
    distillation();
    structure();
    two_levels();
    latent();
    sequences();
    uci();
    tool();
    cold();
    robot_arm();
    cells();
    student_sizes();
    students();
    teacher_prior();
    return missing;
}
