/* 6_structure.c -- lecture 6: a choice as a random variable. Laws on the triangle and their limits,
 * gradients through a choice, a net that chooses an operation, inputs that matter.
 *     cc -O2 -I. docs/course/6_structure.c -o structure -lm && ./structure [folder of the pictures]
 * Run it where the folder examples is. Change it: odds, the outputs v, UNITS, TIGHT. */
#include "course.h"

enum { DRAWS = 100000, DOTS = 300, TAUS = 9, GRADS = 25, ROWS = 200, UNITS = 12, WARM = 500,
       SEARCH = 500, EVERY = 10, NOISE = 3 };
static const float odds[3] = { 2, 1, 1 };                    /* s: P(k) = s_k/sum */
static const double v[3] = { -1, 0.5, 2 }, target = 1;       /* what each candidate answers */
static const float TIGHT = 0.5f;                             /* sd of the weights' prior */

static double share(int k) { /* p_k */
    return (double)odds[k] / ((double)odds[0] + (double)odds[1] + (double)odds[2]);
}

/* n rows of s or of ln s: what a sampler takes */
static bnn_mat rows(bnn_arena *mem, size_t n, const float *s, int logs) {
    bnn_mat m = bnn_mat_new(mem, n, 3);
    for (size_t i = 0; i < 3 * n && m.data; i++) m.data[i] = logs ? logf(s[i % 3]) : s[i % 3];
    return m;
}

/* ---- three laws on the triangle */

enum { GUMBEL, DIRICHLET, LOGIT_NORMAL };

/* n draws, each a row of three. heat: tau, or the standard deviation of the logit-normal */
static bnn_mat draws(bnn_arena *mem, bnn_tape *t, int law, double heat, size_t n) {
    float h = (float)heat, alpha[3] = { h * odds[0], h * odds[1], h * odds[2] }, sd[3];
    bnn_tape_reset(t);
    for (int k = 0; k < 3; k++) sd[k] = h;
    bnn_var *a = bnn_input(t, rows(mem, n, odds, 1));
    if (law == GUMBEL) return bnn_gumbel_softmax(a, h)->val;
    if (law == DIRICHLET) return bnn_dirichlet(bnn_input(t, rows(mem, n, alpha, 0)))->val;
    return bnn_logit_normal(a, bnn_input(t, rows(mem, 1, sd, 0)))->val;
}

typedef struct { double first, mean, corner[3], rest, far; } summary;

static summary look(bnn_mat y) { /* of draws */
    summary s = { 0, 0, { 0, 0, 0 }, 0, 0 };
    double n = (double)y.rows;
    for (size_t i = 0; i < y.rows; i++) {
        const float *p = y.data + 3 * i;
        size_t top = bnn_mat_row_argmax(y, i);
        s.first += (double)(top == 0) / n, s.mean += (double)p[0] / n;
        s.corner[top] += (double)(p[top] > 0.99f) / n;
        s.rest += (1 - (double)p[top]) / n;
        for (int k = 0; k < 3; k++) s.far += pow((double)p[k] - 1 / 3.0, 2) / n;
    }
    return s;
}

/* A triangle with its draws; those within 0.01 of a corner as a disc there, and their share */
static void triangle(const svg *s, double left, double bottom, double side, bnn_mat y,
                     const char *label) {
    double px[3] = { left, left + side, left + side / 2 }, lie[3] = { 0, 0, 0 };
    double py[3] = { bottom, bottom, bottom - side * 0.8660254 };
    fprintf(s->f, "<path fill=\"none\" stroke=\"#000\" d=\"M%.1f %.1fL%.1f %.1fL%.1f %.1fz\"/>\n",
            px[0], py[0], px[1], py[1], px[2], py[2]);
    svg_text(s, left - 8, bottom - side * 0.75, "middle", label);
    for (size_t i = 0; i < y.rows; i++) {
        const float *p = y.data + 3 * i;
        size_t top = bnn_mat_row_argmax(y, i);
        if (p[top] > 0.99f) lie[top] += 1 / (double)y.rows;
        else if (i < DOTS)
            svg_mark(s, (double)p[0] * px[0] + (double)p[1] * px[1] + (double)p[2] * px[2],
                     (double)p[0] * py[0] + (double)p[1] * py[1] + (double)p[2] * py[2], (int)top);
    }
    for (int k = 0; k < 3; k++) {
        char text[32];
        snprintf(text, sizeof text, "%.0f %%", 100 * lie[k]);
        if (lie[k] < 0.005) continue;
        fprintf(s->f, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\" fill=\"%s\"/>\n", px[k], py[k],
                14 * sqrt(lie[k]), svg_color(k));
        svg_text(s, px[k] + (k == 2 ? 14 : 0), py[k] + (k == 2 ? 5 : 22),
                 k == 2 ? "start" : "middle", text);
    }
}

static void draw_laws(bnn_arena *mem, bnn_tape *t) {
    static const double heat[4] = { 0.1, 0.5, 2, 10 };
    static const double other[2][3] = { { 0.05, 1, 20 }, { 20, 1.5, 0.2 } };
    char label[64];
    svg p = picture("6_gumbel", "Gumbel-softmax with odds 2 : 1 : 1, from cold to hot");
    fputs("<g>", p.f);
    for (int i = 0; i < 4; i++) {
        snprintf(label, sizeof label, "tau = %g", heat[i]);
        triangle(&p, 62 + 240 * (i % 2), 154 + 150 * (i / 2), 128,
                 draws(mem, t, GUMBEL, heat[i], 20000), label);
    }
    picture_end(&p);
    p = picture("6_laws", "Dirichlet (above) and logit-normal (below)");
    fputs("<g>", p.f);
    for (int i = 0; i < 6; i++) {
        snprintf(label, sizeof label, i < 3 ? "tau = %g" : "sd = %g", other[i / 3][i % 3]);
        triangle(&p, 46 + 158 * (i % 3), 142 + 145 * (i / 3), 84,
                 draws(mem, t, i < 3 ? DIRICHLET : LOGIT_NORMAL, other[i / 3][i % 3], 20000),
                 label);
    }
    picture_end(&p);
}

static void laws(bnn_arena *mem, bnn_tape *t) {
    static const double taus[TAUS] = { 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100 };
    static const double dirichlet[3] = { 0.01, 1, 100 }, normal[3] = { 100, 1, 0.01 };
    const double pi = 4 * atan(1);
    double tie = 0, mean = 0, spread = 2 * pi * pi / 6;
    for (int k = 0; k < 3; k++) {
        tie += log(2) * share(k) * (1 - share(k)), mean += log((double)odds[k]) / 3;
    }
    for (int k = 0; k < 3; k++) spread += pow(log((double)odds[k]) - mean, 2);
    printf("   tau   1 is largest   mean of y_1   in a corner   E(1-max)/tau   tau^2 E|y-c|^2\n");
    for (int i = 0; i < TAUS; i++) {
        bnn_mark mark = bnn_arena_mark(mem);
        summary s = look(draws(mem, t, GUMBEL, taus[i], DRAWS));
        bnn_arena_rewind(mem, mark);
        printf("%6.2f %14.3f %13.3f %13.3f %14.4f %16.4f\n", taus[i], s.first, s.mean,
               s.corner[0] + s.corner[1] + s.corner[2], s.rest / taus[i],
               s.far * taus[i] * taus[i]);
    }
    printf("limits %14.3f                               %12.4f %16.4f\n\n", share(0), tie,
           spread / 9);
    printf("law                 1 is largest   mean of y_1   in corner 1, 2, 3\n");
    for (int i = 0; i < 6; i++) {
        bnn_mark mark = bnn_arena_mark(mem);
        double heat = i < 3 ? dirichlet[i] : normal[i - 3];
        summary s = look(draws(mem, t, i < 3 ? DIRICHLET : LOGIT_NORMAL, heat, DRAWS));
        bnn_arena_rewind(mem, mark);
        printf("%s %6.2f %10.3f %13.3f %9.3f %5.3f %5.3f\n",
               i < 3 ? "Dirichlet    tau" : "logit-normal  sd", heat, s.first, s.mean, s.corner[0],
               s.corner[1], s.corner[2]);
    }
    draw_laws(mem, t);
}

/* ---- the gradient of the logits, through the relaxed choice */

static void gradients(bnn_arena *mem, bnn_tape *t) {
    float lg[GRADS], bias[GRADS], sd[GRADS];
    double exact[3], mean_cost = 0;
    for (int k = 0; k < 3; k++) mean_cost += share(k) * pow(v[k] - target, 2);
    for (int k = 0; k < 3; k++)
        exact[k] = share(k) * (pow(v[k] - target, 2) - mean_cost);
    printf("\nexact gradient %.3f %.3f %.3f\n", exact[0], exact[1], exact[2]);
    printf("   tau   mean of the relaxed one    bias   sd of one draw\n");
    for (int i = 0; i < GRADS; i++) {
        bnn_mark mark = bnn_arena_mark(mem);
        double tau = pow(10, -2 + 3.0 * i / (GRADS - 1)), b = 0, var = 0;
        bnn_tape_reset(t);
        bnn_mat m = bnn_mat_new(mem, 3, 1);
        for (int k = 0; k < 3 && m.data; k++) m.data[k] = (float)v[k];
        bnn_var *a = bnn_leaf(t, rows(mem, DRAWS, odds, 1));
        bnn_var *f = bnn_matmul(bnn_gumbel_softmax(a, (float)tau), bnn_input(t, m));
        bnn_backward(bnn_sum(bnn_square(bnn_shift(f, (float)-target))));
        double mean[3] = { 0, 0, 0 };
        for (size_t j = 0; j < 3 * DRAWS && !t->err; j++) {
            double g = (double)a->grad.data[j];
            mean[j % 3] += g / DRAWS, var += g * g / DRAWS;
        }
        for (int k = 0; k < 3; k++) b += pow(mean[k] - exact[k], 2), var -= mean[k] * mean[k];
        lg[i] = (float)log10(tau), bias[i] = (float)sqrt(b), sd[i] = (float)sqrt(var);
        if (i % 4 == 0)
            printf("%6.3f %8.3f %7.3f %7.3f %9.3f %16.3f\n", tau, mean[0], mean[1], mean[2],
                   sqrt(b), sqrt(var));
        bnn_arena_rewind(mem, mark);
    }
    svg p = picture("6_gradient", "A gradient through a choice: noisy when cold, wrong when hot");
    svg_axes(&p, -2, 1, 0, 6, "log10 of the temperature", "size (exact gradient: 1.04)");
    svg_line(&p, GRADS, lg, sd, 1);
    svg_line(&p, GRADS, lg, bias, 0);
    svg_note(&p, -0.9, 4.2, "dashed: standard deviation of one draw");
    svg_note(&p, -0.9, 3.7, "solid: bias, distance of the mean");
    picture_end(&p);
}

/* ---- a graph that chooses its operation: DARTS on y = sin(2x) */

static const bnn_candidate ops[4] = { { "linear", NULL, UNITS }, { "tanh", bnn_tanh, UNITS },
                                      { "relu", bnn_relu, UNITS }, { "sin", bnn_sin, UNITS } };
static const bnn_candidate out[1] = { { "out", NULL, 1 } };
static const bnn_edge edges[2] = { { 0, 1, ops, 4 }, { 1, 2, out, 1 } };

typedef struct { bnn_net net; bnn_params *a; bnn_data train, valid; } search;

static bnn_var *lower(bnn_tape *t, void *user) { /* the weights learn from these rows */
    search *s = user;
    return bnn_net_loss(&s->net, bnn_batch_all(t, s->train));
}
static bnn_var *upper(bnn_tape *t, void *user) { /* and the structure from those */
    search *s = user;
    return bnn_add(bnn_net_nll(&s->net, bnn_batch_all(t, s->valid)),
                   bnn_scale(bnn_prior_nll(t, s->a), 1 / (float)s->valid.x.rows));
}

static bnn_data wave(bnn_arena *mem, bnn_rng *rng) {
    bnn_data d = { bnn_mat_new(mem, ROWS, 1), bnn_mat_new(mem, ROWS, 1) };
    for (int i = 0; i < ROWS; i++) {
        d.x.data[i] = 6 * bnn_rng_uniform(rng) - 3;
        d.y.data[i] = sinf(2 * d.x.data[i]) + 0.1f * bnn_rng_normal(rng);
    }
    return d;
}

static void draw_search(int n, const float *step, float p[4][(WARM + SEARCH) / EVERY + 1]) {
    svg s = picture("6_darts", "Four operations compete for one layer");
    svg_axes(&s, 0, WARM + SEARCH, 0, 1, "step", "weight in the mixture");
    for (int k = 0; k < 4; k++) svg_line(&s, (size_t)n, step, p[k], k);
    for (int k = 3; k >= 0; k--) svg_key(&s, ops[k].name, k, 0);
    picture_end(&s);
}

static void darts(bnn_arena *mem, bnn_tape *t, float prior) {
    static float step[(WARM + SEARCH) / EVERY + 1], path[4][(WARM + SEARCH) / EVERY + 1];
    bnn_params *w = bnn_params_new(mem), *a = bnn_params_new(mem), *small = bnn_params_new(mem);
    t->rng = bnn_rng_seed(1);
    bnn_data d = wave(mem, &t->rng);
    search s = { .train = bnn_data_rows(d, 0, ROWS / 2), .a = a,
                 .valid = bnn_data_rows(d, ROWS / 2, ROWS / 2) };
    s.net = bnn_graph(w, a, (bnn_graph_desc){
        .inputs = 1, .edges = edges, .n_edges = 2, .noise_std = 0.5f, .prior = { .std = prior },
        .structure_prior = { .std = 3 }, .seed = 1 });
    bnn_stepper move_w = bnn_adam(w, (bnn_adam_desc){ .lr = 0.03f });
    bnn_stepper move_a = bnn_adam(a, (bnn_adam_desc){ .lr = 0.05f });
    printf("\nprior of the weights N(0, %g^2)\nstep   linear   tanh   relu    sin\n",
           (double)prior);
    for (int k = 0; k <= WARM + SEARCH && !mem->err; k++) {
        if (k % EVERY == 0) {
            float p[4];
            bnn_graph_probs(&s.net, NULL, 0, p);
            for (int j = 0; j < 4; j++) path[j][k / EVERY] = p[j];
            step[k / EVERY] = (float)k;
            if (k >= WARM && k % 100 == 0)
                printf("%4d %8.3f %6.3f %6.3f %6.3f\n", k, (double)p[0], (double)p[1],
                       (double)p[2], (double)p[3]);
        }
        bnn_tape_reset(t);
        if (k >= WARM) { /* before, every operation learns something */
            bnn_hypergradient(t, (bnn_hypergradient_desc){ .w = w, .a = a, .upper = upper,
                .lower = lower, .user = &s, .unroll = 0.05f });
            bnn_step(&move_a, t);
        }
        bnn_backward(lower(t, &s));
        bnn_params_zero_grad(a);
        bnn_step(&move_w, t);
    }
    bnn_net cut = bnn_graph_extract(small, &s.net);
    bnn_tape_reset(t);
    double mixed = bnn_metric_rmse(bnn_predict(mem, t, &s.net, NULL, s.valid.x).mean, s.valid.y);
    bnn_stepper tune = bnn_adam(small, (bnn_adam_desc){ .lr = 0.01f });
    search rest = { .net = cut, .train = s.train };
    for (int k = 0; k < 500 && small->n; k++) {
        bnn_tape_reset(t);
        bnn_backward(lower(t, &rest));
        bnn_step(&tune, t);
    }
    bnn_tape_reset(t);
    printf("cut out: %d weights of %d, error %.3f -> %.3f\n", (int)small->n, (int)w->n, mixed,
           bnn_metric_rmse(bnn_predict(mem, t, &cut, NULL, s.valid.x).mean, s.valid.y));
    if (prior == TIGHT) draw_search((WARM + SEARCH) / EVERY + 1, step, path);
}

/* ---- which inputs matter? */

static void standardize(bnn_mat m) { /* every column: mean 0, standard deviation 1 */
    double n = (double)m.rows;
    for (size_t j = 0; j < m.cols; j++) {
        double s = 0, ss = 0;
        for (size_t i = 0; i < m.rows; i++) s += (double)m.data[i * m.cols + j] / n;
        for (size_t i = 0; i < m.rows; i++)
            ss += pow((double)m.data[i * m.cols + j] - s, 2) / n;
        for (size_t i = 0; i < m.rows; i++)
            m.data[i * m.cols + j] = (float)(((double)m.data[i * m.cols + j] - s) / sqrt(ss));
    }
}

static void relevance(bnn_arena *mem, bnn_tape *t) {
    bnn_csv csv;
    if (bnn_csv_load(mem, "examples/data/friedman.csv", &csv, (bnn_csv_desc){ 0 }) != BNN_OK) {
        fprintf(stderr, "%s: run it in the folder that has examples/\n", mem->msg);
        exit(2);
    }
    size_t n = csv.values.rows, own = csv.values.cols - 1, d = own + NOISE;
    bnn_mat x = bnn_mat_new(mem, n, d), y = bnn_mat_new(mem, n, 1), mean = bnn_mat_new(mem, d, 1);
    bnn_mat none = { 0, 0, NULL };
    double alpha[16], beta = 1;
    if (mem->err || d > 16) return;
    for (size_t i = 0; i < n; i++) {
        memcpy(x.data + i * d, csv.values.data + i * (own + 1), own * sizeof(float));
        bnn_rng_fill_normal(&t->rng, NOISE, x.data + i * d + own);
        y.data[i] = csv.values.data[i * (own + 1) + own];
    }
    standardize(x), standardize(y);
    for (size_t j = 0; j < d; j++) alpha[j] = 1;
    bnn_linear_ard(mem, mean, none, (bnn_data){ x, y }, alpha, &beta, 1, 0);
    printf("\ninput      weight   prior sd\n");
    for (size_t j = 0; j < d; j++)
        printf("%-8s %8.3f %10.3f%s\n", j < own ? csv.names[j] : "noise", (double)mean.data[j],
               alpha[j] < 1e12 ? 1 / sqrt(alpha[j]) : 0, alpha[j] < 1e12 ? "" : "   out");
}

int main(int argc, char **argv) {
    bnn_arena mem = { 0 };
    bnn_tape tape = { .rng = bnn_rng_seed(1) };
    if (argc > 1) course_folder = argv[1];
    laws(&mem, &tape);
    gradients(&mem, &tape);
    darts(&mem, &tape, TIGHT);
    darts(&mem, &tape, 4 * TIGHT);
    relevance(&mem, &tape);
    return done(&mem, &tape);
}
