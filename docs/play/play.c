/* play.c -- what docs/play/index.html runs: bnn.h, compiled to WebAssembly by `make play`.
 *     sh docs/play/build.sh native && build/play/play 'tab=regression&seed=2&ticks=100'
 * A tab is a scene: controls say what it is made of, a tick moves it on, show() leaves named
 * matrices. The page draws those; the program prints them, for the same situation the same numbers:
 * that of its address behind the #, and `ticks`. */
#define BNN_STATIC /* one file: what it does not call is not compiled */
#define BNN_NO_STDIO
#define BNN_IMPLEMENTATION
#include "bnn.h"
#include "digits.h" /* made by build.sh: digits with 4 bits a pixel, two pixels a byte */
#include <math.h>
#include <string.h>

#ifdef __EMSCRIPTEN__
#define PAGE __attribute__((used)) /* the page calls it */
#else
#define PAGE static
#endif

enum { REGRESSION, PLANE, SAMPLER, SIMPLEX, NOISE, DIGITS, LATENT };

/* ---- controls -------------------------------------------------------------------------------- */
typedef struct control {
    int tab;
    const char *key, *label;
    double lo, hi, value;
    const char *kind; /* "real", "log", "whole", or choices with commas between */
    int live;         /* 1: takes effect at once, 0: the scene begins anew     */
} control;

static control controls[] = {
    { REGRESSION, "width", "hidden units", 2, 64, 32, "whole", 0 },
    { REGRESSION, "noise", "noise of y, sd", 0.03, 1, 0.2, "log", 0 },
    { REGRESSION, "prior", "prior of a weight, sd", 0.2, 5, 1.5, "log", 0 },
    { REGRESSION, "lr", "step size of SGLD", 1e-5, 0.1, 1e-3, "log", 1 },
    { REGRESSION, "T", "temperature", 0, 3, 1, "real", 1 },
    { REGRESSION, "seed", "seed", 1, 99, 1, "whole", 0 },
    { PLANE, "width", "hidden units", 2, 32, 16, "whole", 0 },
    { PLANE, "prior", "prior of a weight, sd", 0.2, 5, 1.5, "log", 0 },
    { PLANE, "lr", "step size of SGLD", 1e-3, 2, 0.1, "log", 1 },
    { PLANE, "T", "temperature", 0, 3, 1, "real", 1 },
    { PLANE, "color", "color shows", 0, 2, 0, "probability,entropy,disagreement", 1 },
    { PLANE, "add", "a click adds", 0, 1, 0, "orange,blue", 1 },
    { PLANE, "seed", "seed", 1, 99, 1, "whole", 0 },
    { SAMPLER, "target", "posterior", 0, 2, 0, "banana,two modes,two-weight net", 0 },
    { SAMPLER, "method", "sampler", 0, 3, 3, "SGLD,SGHMC,HMC,NUTS", 0 },
    { SAMPLER, "lr", "step size", 1e-3, 2, 0.2, "log", 1 },
    { SAMPLER, "friction", "friction of SGHMC", 0.01, 1, 0.1, "log", 0 },
    { SAMPLER, "leapfrog", "leapfrog steps of HMC", 1, 50, 10, "whole", 0 },
    { SAMPLER, "T", "temperature", 0.2, 3, 1, "log", 0 },
    { SAMPLER, "speed", "draws per picture", 1, 100, 1, "log", 1 },
    { SAMPLER, "seed", "seed", 1, 99, 1, "whole", 0 },
    { SIMPLEX, "tau", "temperature", 0.05, 20, 1, "log", 0 },
    { SIMPLEX, "s1", "weight of corner 1", 0.1, 10, 1, "log", 0 },
    { SIMPLEX, "s2", "weight of corner 2", 0.1, 10, 1, "log", 0 },
    { SIMPLEX, "s3", "weight of corner 3", 0.1, 10, 1, "log", 0 },
    { SIMPLEX, "seed", "seed", 1, 99, 1, "whole", 0 },
    { NOISE, "removed", "part of the weights removed", 0, 0.99, 0, "real", 1 },
    { NOISE, "kl", "weight of the KL", 0.01, 3, 1, "log", 1 },
    { NOISE, "lr", "step size of Adam", 1e-4, 0.05, 5e-3, "log", 1 },
    { NOISE, "prior", "prior of a weight, sd", 0.05, 3, 0.5, "log", 0 },
    { NOISE, "adapt", "prior", 0, 1, 0, "fixed,adapts", 0 },
    { NOISE, "width", "hidden units", 4, 32, 16, "whole", 0 },
    { NOISE, "seed", "seed", 1, 99, 1, "whole", 0 },
    { DIGITS, "fit", "drawing", 0, 1, 1, "as it is,fitted to the frame", 1 },
    { DIGITS, "width", "hidden units", 8, 64, 64, "whole", 0 },
    { DIGITS, "lr", "step size of SGLD", 0.01, 1, 0.4, "log", 0 },
    { DIGITS, "T", "temperature of SGLD", 0, 3, 1, "real", 0 },
    { DIGITS, "seed", "seed", 1, 99, 1, "whole", 0 },
    { LATENT, "z1", "z1, to the right", -3, 3, 0, "real", 1 },
    { LATENT, "z2", "z2, up", -3, 3, 0, "real", 1 },
    { LATENT, "beta", "weight of the KL, beta", 0.05, 8, 1, "log", 1 },
    { LATENT, "lr", "step size of Adam", 1e-4, 0.02, 3e-3, "log", 1 },
    { LATENT, "width", "hidden units", 8, 64, 48, "whole", 0 },
    { LATENT, "seed", "seed", 1, 99, 1, "whole", 0 },
};
enum { CONTROLS = sizeof controls / sizeof *controls };

static int tab;

static double get(const char *key) {
    for (int i = 0; i < CONTROLS; i++)
        if (controls[i].tab == tab && strcmp(controls[i].key, key) == 0) return controls[i].value;
    return 0;
}

/* ---- what all scenes have -------------------------------------------------------------------- */
enum { POINTS = 100, VIEWS = 48, SAYS = 8, SIDE = 8, PIXELS = SIDE * SIDE };

typedef struct view {
    char name[24];
    bnn_mat m;
} view;

static bnn_arena mem, scratch; /* of the scene; of one show() */
static bnn_tape look;          /* of show(): what it does changes no scene */
static size_t ticks;
static view views[VIEWS];
static int n_views, n_points[2];
static float points[2][POINTS][3]; /* x, y, class: of regression, of the plane */
static float drawing[PIXELS];      /* what the page's visitor drew, 0 to 1     */
static const char *says[SAYS];     /* sentences of the library about parts of the scene */
static int changed;                /* a live control was moved since the last tick */

/* A matrix that the page reads by its name; it lives until the scene ends */
static bnn_mat show_as(const char *name, size_t rows, size_t cols) {
    for (int i = 0; i < n_views; i++)
        if (strcmp(views[i].name, name) == 0) return views[i].m;
    if (n_views == VIEWS) return (bnn_mat){ 0, 0, NULL };
    strncpy(views[n_views].name, name, sizeof views[0].name - 1);
    views[n_views].m = bnn_mat_new(&mem, rows, cols);
    return views[n_views++].m;
}

static void join(char *out, const char *a, const char *b) {
    size_t n = strlen(a);
    memcpy(out, a, n);
    strcpy(out + n, b);
}

static void copy(bnn_mat to, bnn_mat from) {
    if (to.data && from.data && to.rows * to.cols == from.rows * from.cols)
        memcpy(to.data, from.data, to.rows * to.cols * sizeof(float));
}

static bnn_stepper adam_of(bnn_params *w, double lr) {
    return bnn_adam(w, (bnn_adam_desc){ .lr = (float)lr });
}

static float descend(bnn_tape *t, const bnn_net *net, bnn_stepper *s, bnn_batch b) { /* U/N */
    bnn_var *loss = bnn_net_loss(net, b);
    bnn_backward(loss);
    bnn_step(s, t);
    return bnn_value(loss);
}

/* ---- regression, and two classes in the plane: six ways to a posterior ----------------------- */
enum { SGLD, NUTS, MEANFIELD, LAPLACE, DEEP, STUDENT, METHODS };
enum { KEEP = 40, BURN = 60, NETS = 5, LINE = 81, GRID = 25, STEPS = 10 };

static const char *method_names[METHODS] = { "sgld", "nuts", "meanfield", "laplace", "ensemble",
                                             "student" };

typedef struct method {
    bnn_tape tape; /* a generator and an error of its own */
    bnn_net net[NETS];
    bnn_stepper step[NETS];
    bnn_ensemble post;
    bnn_meanfield q;
    bnn_laplace laplace;
    bnn_arena curved; /* of the Laplace approximation, which is made anew now and then */
    size_t ticks;
    double energy; /* U/N at the last step */
} method;

static method methods[METHODS];
static bnn_data seen;  /* the points */
static bnn_mat places; /* where the answers are asked for */

static bnn_mlp_desc shape(int kind, int i) {
    int student = kind == STUDENT, plane = tab == PLANE;
    bnn_mlp_desc d = { .activation = BNN_TANH, .noise_std = (float)get("noise"),
                       .seed = (uint64_t)(get("seed") * 100) + (uint64_t)(10 * kind + i) };
    d.sizes[0] = plane ? 2 : 1;
    d.sizes[1] = (size_t)get("width");
    d.sizes[2] = student && !plane ? 2 : 1;
    d.likelihood = plane ? BNN_BERNOULLI : student ? BNN_GAUSSIAN_HETERO : BNN_GAUSSIAN;
    if (student) d.prior.kind = BNN_PRIOR_FLAT; /* it has all the labels it wants */
    else d.prior.std = (float)get("prior");
    return d;
}

static void method_new(int kind) {
    method *m = &methods[kind];
    bnn_params *w = NULL;
    m->tape.rng = bnn_rng_stream((uint64_t)get("seed"), (uint64_t)kind + 1);
    for (int i = 0; i < (kind == DEEP ? NETS : 1); i++) {
        w = bnn_params_new(&mem);
        m->net[i] = bnn_mlp(w, shape(kind, i));
        if (kind >= LAPLACE) m->step[i] = adam_of(w, 1e-2);
    }
    w = m->net[0].params;
    m->post = bnn_ensemble_new(w, KEEP);
    if (kind == SGLD) m->step[0] = bnn_sgld(w, (bnn_sgld_desc){ 0 });
    if (kind == NUTS) m->step[0] = bnn_nuts(w, (bnn_nuts_desc){ .net = &m->net[0], .data = seen,
                                               .warmup = 2 * BURN, .max_depth = 6 });
    if (kind == MEANFIELD) {
        m->q = bnn_meanfield_new(w, (bnn_meanfield_desc){ .init_std = 0.05f });
        m->step[0] = adam_of(m->q.params, 1e-2);
    }
}

static void methods_start(void) {
    int at = tab == PLANE, n = n_points[at];
    size_t d = at ? 2 : 1, rows = at ? GRID * GRID : LINE;
    seen = (bnn_data){ bnn_mat_new(&mem, (size_t)n, d), bnn_mat_new(&mem, (size_t)n, 1) };
    places = show_as("places", rows, d);
    bnn_mat shown = show_as("points", (size_t)n, 3);
    if (mem.err) return;
    for (int i = 0; i < n; i++) {
        for (size_t j = 0; j < d; j++) seen.x.data[(size_t)i * d + j] = points[at][i][j];
        seen.y.data[i] = points[at][i][at ? 2 : 1];
        memcpy(shown.data + 3 * i, points[at][i], sizeof points[at][i]);
    }
    for (size_t i = 0; i < rows; i++) {
        if (!at) places.data[i] = -3 + 6 * (float)i / (LINE - 1);
        else places.data[2 * i] = -3 + 6 * (float)(i % GRID) / (GRID - 1),
             places.data[2 * i + 1] = -3 + 6 * (float)(i / GRID) / (GRID - 1);
    }
    for (int k = 0; k < METHODS; k++) method_new(k);
}

/* Before the burn-in ends the last states, so that there is a picture; then a sample of all */
static void keep(method *m) {
    bnn_ensemble *e = &m->post;
    if (m->ticks == BURN) e->count = e->seen = 0;
    if (m->ticks < BURN && e->count == KEEP)
        copy(bnn_mat_rows(e->samples, m->ticks % KEEP, 1),
             (bnn_mat){ 1, e->params->n, e->params->theta });
    else bnn_ensemble_reservoir(e, &m->tape.rng);
}

static void method_step(int kind, method *m) {
    bnn_tape *t = &m->tape;
    bnn_tape_reset(t);
    if (kind == STUDENT) { /* one draw of NUTS is the teacher, at places anywhere */
        const method *teacher = &methods[NUTS];
        bnn_var *x = bnn_distill_inputs(t, places, 32, (bnn_inputs_desc){ .box = 1 });
        bnn_var *loss = bnn_distill_loss(&m->net[0], x, &teacher->net[0], &teacher->post);
        bnn_backward(loss);
        bnn_step(&m->step[0], t);
        m->energy = (double)bnn_value(loss);
        return;
    }
    bnn_batch b = bnn_batch_all(t, seen);
    if (kind == MEANFIELD) {
        bnn_meanfield_sample(&m->q, t);
        bnn_var *nll = bnn_net_nll(&m->net[0], b);
        bnn_backward(nll);
        bnn_meanfield_backward(&m->q, t);
        bnn_step(&m->step[0], t);
        m->energy = (double)bnn_value(nll) + bnn_meanfield_kl(&m->q) / b.n_data;
        return;
    }
    for (int i = 0; i < (kind == DEEP ? NETS : 1); i++)
        m->energy = (double)descend(t, &m->net[i], &m->step[i], b), bnn_tape_reset(t),
        b = bnn_batch_all(t, seen);
}

static void method_tick(int kind) {
    method *m = &methods[kind];
    double T = get("T"), lr = bnn_lr_cosine(1e-2, m->ticks < 200 ? m->ticks : 200, 220);
    if (m->tape.err || (kind == STUDENT && methods[NUTS].post.count < 10)) return;
    if (changed && (kind == SGLD || kind == NUTS)) m->ticks = m->post.count = m->post.seen = 0;
    m->step[0].temperature = (float)(kind == NUTS && T < 0.02 ? 0.02 : T);
    if (kind == SGLD) lr = get("lr");
    if (kind == STUDENT) lr = 5e-3;
    for (int i = 0; i < NETS; i++) m->step[i].lr = (float)lr;
    if (kind == MEANFIELD) m->q.kl_weight = (float)T;
    for (int i = 0; i < (kind == NUTS ? 1 : STEPS); i++) {
        if (kind == NUTS) bnn_tape_reset(&m->tape), bnn_step(&m->step[0], &m->tape);
        else method_step(kind, m);
    }
    if (kind == NUTS) m->energy = m->step[0].hmc->energy / (double)seen.x.rows;
    if (kind == SGLD || kind == NUTS) keep(m);
    if (kind == LAPLACE && m->ticks % 20 == 0) {
        bnn_arena_free(&m->curved);
        m->laplace = bnn_laplace_new(&m->curved, &m->tape, &m->net[0], seen, BNN_LAPLACE_FULL);
    }
    m->ticks++;
}

static int methods_tick(void) {
    if (seen.x.rows == 0) return 0;
    for (int k = 0; k < METHODS; k++) method_tick(k);
    return ticks + 1 < 3000;
}

/* N(f, T v) of the outputs: the posterior to the power 1/T has T times the covariance */
static bnn_predictive laplace_answer(method *m) {
    bnn_predictive p = { 0 };
    bnn_mat cov = { 0, 0, NULL }, f;
    f = bnn_laplace_outputs(&scratch, &look, &m->laplace, places, &cov);
    p.mean = f, p.epistemic = cov;
    for (size_t i = 0; i < f.rows && f.data && cov.data; i++) {
        double v = get("T") * (double)cov.data[i], c = 1 / sqrt(1 + 3.14159265358979 * v / 8);
        double y = 1 / (1 + exp(-c * (double)f.data[i])), slope = y * (1 - y);
        if (tab == PLANE) f.data[i] = (float)y, v = fmin(slope * slope * v, slope); /* p(1-p) */
        cov.data[i] = (float)v;
    }
    return p;
}

static bnn_predictive method_answer(int kind, method *m) {
    bnn_rng rng = bnn_rng_seed(7); /* the same draws at every picture: it does not flicker */
    bnn_ensemble *e = &m->post;
    if (kind == LAPLACE && m->laplace.mean) return laplace_answer(m);
    if (kind == DEEP || (kind == MEANFIELD && m->ticks > 0)) e->count = e->seen = 0;
    for (int i = 0; kind == DEEP && i < NETS; i++) bnn_ensemble_push_from(e, m->net[i].params, 1);
    for (int i = 0; kind == MEANFIELD && m->ticks > 0 && i < KEEP; i++)
        bnn_meanfield_push(&m->q, e, &rng);
    return bnn_predict(&scratch, &look, &m->net[0], e->count ? e : NULL, places);
}

static void method_show(int kind) {
    method *m = &methods[kind];
    char name[32];
    bnn_predictive p = method_answer(kind, m);
    bnn_mat mean, doubt, total;
    double noise = get("noise") * get("noise");
    join(name, method_names[kind], ".mean"), mean = show_as(name, places.rows, 1);
    join(name, method_names[kind], ".doubt"), doubt = show_as(name, places.rows, 1);
    join(name, method_names[kind], ".total"), total = show_as(name, places.rows, 1);
    for (size_t i = 0; i < places.rows && p.mean.data && p.epistemic.data && total.data; i++) {
        double y = (double)p.mean.data[i], v = (double)p.epistemic.data[i];
        if (kind == STUDENT && tab != PLANE) v = fmax(0, (double)p.aleatoric.data[i] - noise);
        mean.data[i] = (float)y, doubt.data[i] = (float)sqrt(v);
        if (tab == PLANE) v = y > 0 && y < 1 ? -y * log(y) - (1 - y) * log(1 - y) : 0;
        total.data[i] = (float)(tab == PLANE ? v : sqrt(v + noise));
    }
}

/* Per method: ticks, U/N, mean doubt, and how far from NUTS: root mean squares of the differences
 * in mean and in total */
static void methods_show(int which) {
    for (int k = 0; k < METHODS; k++)
        if (which < 0 || which % METHODS == k) method_show(k);
    bnn_mat out = show_as("methods", METHODS, 5), truth[2] = { show_as("nuts.mean", 0, 0),
                                                               show_as("nuts.total", 0, 0) };
    for (int k = 0; k < METHODS && out.data; k++) {
        char name[32];
        float *row = out.data + 5 * k;
        double sum[3] = { 0, 0, 0 };
        join(name, method_names[k], ".mean");
        bnn_mat mean = show_as(name, 0, 0);
        join(name, method_names[k], ".total");
        bnn_mat total = show_as(name, 0, 0);
        join(name, method_names[k], ".doubt");
        bnn_mat doubt = show_as(name, 0, 0);
        for (size_t i = 0; i < places.rows && total.rows && truth[1].rows; i++) {
            double a = (double)(mean.data[i] - truth[0].data[i]);
            double b = (double)(total.data[i] - truth[1].data[i]);
            sum[0] += (double)doubt.data[i], sum[1] += a * a, sum[2] += b * b;
        }
        row[0] = (float)methods[k].ticks, row[1] = (float)methods[k].energy;
        row[2] = (float)(sum[0] / (double)places.rows);
        row[3] = (float)sqrt(sum[1] / (double)places.rows);
        row[4] = (float)sqrt(sum[2] / (double)places.rows);
        says[k] = methods[k].tape.err ? methods[k].tape.msg : "";
    }
}

static void methods_free(void) {
    for (int k = 0; k < METHODS; k++) {
        bnn_tape_free(&methods[k].tape);
        bnn_arena_free(&methods[k].curved);
        methods[k] = (method){ 0 };
    }
}

/* Points to begin with, at two decimals as in an address: a sine with a hole; two crescents */
static void points_default(int at) {
    bnn_rng r = bnn_rng_seed(3);
    n_points[at] = at ? 28 : 24;
    for (int i = 0; i < n_points[at]; i++) {
        double u = (double)bnn_rng_uniform(&r), e = (double)bnn_rng_normal(&r), x, y;
        double f = (double)bnn_rng_normal(&r);
        if (at) {
            x = (i % 2 ? -0.7 : 0.7) + 1.4 * cos(3.1416 * (u + i % 2)) + 0.12 * e;
            y = (i % 2 ? 0.35 : -0.35) + 1.3 * sin(3.1416 * (u + i % 2)) + 0.12 * f;
        } else {
            x = i % 3 ? -2.2 + 1.5 * u : 0.9 + 1.2 * u;
            y = sin(2 * x) + 0.15 * e;
        }
        points[at][i][0] = (float)(floor(100 * x + 0.5) / 100);
        points[at][i][1] = (float)(floor(100 * y + 0.5) / 100);
        points[at][i][2] = (float)(i % 2);
    }
}

/* ---- samplers on two weights ----------------------------------------------------------------- */
enum { CHAINS = 4, DRAWS = 1000, MAP = 61 };
enum { BY_SGLD, BY_SGHMC, BY_HMC, BY_NUTS };

static struct {
    int target;
    bnn_tape tape[CHAINS];
    bnn_params *w[CHAINS];
    bnn_stepper step[CHAINS];
    float draws[CHAINS][2][DRAWS]; /* a ring */
    size_t count;
} sampler;

enum { ROWS = 6 };
static float net_x[ROWS] = { -1.5f, -1, -0.5f, 0.5f, 1, 1.5f };
static float net_y[ROWS] = { -1.1f, -0.7f, -0.6f, 0.3f, 0.9f, 0.8f };

/* U, written in formulas for the map and for the moments by quadrature .. */
static double energy_at(int target, double a, double b) {
    double u = 0;
    if (target == 0) return a * a / 2.42 + (b - 0.6 * a * a + 1) * (b - 0.6 * a * a + 1) / 0.18;
    if (target == 1) {
        double p = ((a + 1.2) * (a + 1.2) + (b + 0.8) * (b + 0.8)) / 0.5;
        double q = ((a - 1.2) * (a - 1.2) + (b - 0.8) * (b - 0.8)) / 0.5;
        return fmin(p, q) - log1p(exp(-fabs(p - q)));
    }
    for (int i = 0; i < ROWS; i++) {
        double r = b * tanh(a * (double)net_x[i]) - (double)net_y[i];
        u += r * r / 0.18;
    }
    return u + (a * a + b * b) / 4.5;
}

/* .. and in the library's operations for the samplers */
static bnn_var *energy(bnn_tape *t, void *user) {
    bnn_var *w = bnn_param(t, (bnn_params *)user, 0);
    bnn_var *a = bnn_cols(w, 0, 1), *b = bnn_cols(w, 1, 1);
    if (sampler.target == 0) {
        bnn_var *r = bnn_shift(bnn_sub(b, bnn_scale(bnn_square(a), 0.6f)), 1);
        return bnn_add(bnn_scale(bnn_square(a), 1 / 2.42f), bnn_scale(bnn_square(r), 1 / 0.18f));
    }
    if (sampler.target == 1) {
        bnn_var *p[2];
        for (int i = 0; i < 2; i++) {
            float s = i ? -1 : 1;
            p[i] = bnn_add(bnn_square(bnn_shift(a, 1.2f * s)), bnn_square(bnn_shift(b, 0.8f * s)));
            p[i] = bnn_scale(p[i], -1 / 0.5f);
        }
        return bnn_neg(bnn_logsumexp(bnn_concat(t, 2, p)));
    }
    bnn_var *x = bnn_input(t, (bnn_mat){ ROWS, 1, net_x });
    bnn_var *y = bnn_input(t, (bnn_mat){ ROWS, 1, net_y });
    bnn_var *r = bnn_sub(bnn_mul(b, bnn_tanh(bnn_mul(x, a))), y);
    return bnn_add(bnn_scale(bnn_sum(bnn_square(r)), 1 / 0.18f),
                   bnn_scale(bnn_sum(bnn_square(w)), 1 / 4.5f));
}

/* exp(-U/T) over the picture, largest 1; means and sds of both weights by sums over a wider grid */
static void sampler_map(void) {
    bnn_mat map = show_as("map", MAP, MAP), truth = show_as("truth", 1, 4);
    double T = get("T"), least = 1e30, z = 0, m[4] = { 0, 0, 0, 0 };
    if (mem.err) return;
    for (int i = 0; i < MAP * MAP; i++) {
        double u = energy_at(sampler.target, -3 + 6.0 * (i % MAP) / (MAP - 1),
                             -3 + 6.0 * (double)(i / MAP) / (MAP - 1)) / T;
        least = u < least ? u : least;
        map.data[i] = (float)u;
    }
    for (int i = 0; i < MAP * MAP; i++) map.data[i] = (float)exp(least - (double)map.data[i]);
    for (int i = 0; i < 401; i++)
        for (int j = 0; j < 801; j++) {
            double a = -10 + 0.05 * i, b = -10 + 0.05 * j;
            double p = exp(least - energy_at(sampler.target, a, b) / T);
            z += p, m[0] += p * a, m[1] += p * b, m[2] += p * a * a, m[3] += p * b * b;
        }
    for (int j = 0; j < 4; j++) m[j] /= z;
    for (int j = 0; j < 4; j++)
        truth.data[j] = (float)(j < 2 ? m[j] : sqrt(fmax(0, m[j] - m[j - 2] * m[j - 2])));
}

static void sampler_start(void) {
    float lr = (float)get("lr"), T = (float)get("T");
    int kind = (int)get("method");
    sampler.target = (int)get("target");
    sampler_map();
    for (int c = 0; c < CHAINS; c++) {
        bnn_params *w = sampler.w[c] = bnn_params_new(&mem);
        sampler.tape[c].rng = bnn_rng_stream((uint64_t)get("seed"), (uint64_t)c + 1);
        sampler.tape[c].n_data = 1; /* U itself is the loss */
        bnn_params_add(w, 1, 2, "w", (bnn_prior){ .kind = BNN_PRIOR_FLAT });
        if (mem.err) return;
        for (int j = 0; j < 2; j++) w->theta[j] = 1.5f * bnn_rng_normal(&sampler.tape[c].rng);
        bnn_stepper *s = &sampler.step[c];
        if (kind == BY_SGLD) *s = bnn_sgld(w, (bnn_sgld_desc){ .lr = lr, .temperature = T });
        if (kind == BY_SGHMC)
            *s = bnn_sghmc(w, (bnn_sghmc_desc){ .lr = lr, .temperature = T,
                                                .friction = (float)get("friction") });
        if (kind == BY_HMC)
            *s = bnn_hmc(w, (bnn_hmc_desc){ .energy = energy, .user = w, .step = lr,
                                            .temperature = T,
                                            .leapfrog = (size_t)get("leapfrog") });
        if (kind == BY_NUTS)
            *s = bnn_nuts(w, (bnn_nuts_desc){ .energy = energy, .user = w, .step = lr,
                                              .temperature = T, .max_depth = 7 });
    }
}

static int sampler_tick(void) {
    int alive = 0;
    for (int c = 0; c < CHAINS; c++) {
        bnn_stepper *s = &sampler.step[c];
        bnn_tape *t = &sampler.tape[c];
        if (s->hmc) s->hmc->step = get("lr");
        else s->lr = (float)get("lr");
        bnn_tape_reset(t);
        if (!s->hmc) bnn_backward(energy(t, sampler.w[c]));
        bnn_step(s, t);
        for (int j = 0; j < 2; j++)
            sampler.draws[c][j][sampler.count % DRAWS] = sampler.w[c]->theta[j];
        alive += !t->err;
    }
    sampler.count += alive > 0;
    return alive > 0 && ticks + 1 < 100000;
}

/* draws: chain after chain, the oldest first, both weights; state: per weight R-hat, ESS, mean, sd,
 * then the acceptance and the number of draws */
static void sampler_show(int which) {
    size_t n = sampler.count < DRAWS ? sampler.count : DRAWS;
    bnn_mat draws = show_as("draws", CHAINS * DRAWS, 2), state = show_as("state", 1, 12);
    double accept = 0;
    if (mem.err) return;
    for (size_t c = 0; c < CHAINS; c++)
        for (size_t i = 0; i < 2 * n; i++)
            draws.data[2 * DRAWS * c + i] =
                sampler.draws[c][i % 2][(sampler.count - n + i / 2) % DRAWS];
    for (size_t j = 0; j < 2 && which <= 0 && n > 0; j++) {
        bnn_mat one = bnn_mat_new(&scratch, CHAINS, n);
        double sum = 0, square = 0;
        for (size_t i = 0; i < CHAINS * n && one.data; i++) {
            float x = one.data[i] = draws.data[2 * DRAWS * (i / n) + 2 * (i % n) + j];
            sum += (double)x, square += (double)x * (double)x;
        }
        sum /= (double)(CHAINS * n), square /= (double)(CHAINS * n);
        state.data[j] = n > 7 ? (float)bnn_diag_rhat(&scratch, one) : 0;
        state.data[2 + j] = n > 7 ? (float)bnn_diag_ess(&scratch, one) : 0;
        state.data[4 + j] = (float)sum;
        state.data[6 + j] = (float)sqrt(fmax(0, square - sum * sum));
    }
    for (int c = 0; c < CHAINS; c++) {
        const bnn_hmc_state *h = sampler.step[c].hmc;
        if (h && h->draws) accept += h->accept_sum / (double)h->draws / CHAINS;
        says[c] = sampler.tape[c].err ? sampler.tape[c].msg : "";
    }
    state.data[8] = (float)accept;
    state.data[9] = (float)sampler.count;
    state.data[10] = (float)n;
}

static void sampler_free(void) {
    for (int c = 0; c < CHAINS; c++) bnn_tape_free(&sampler.tape[c]);
    memset(&sampler, 0, sizeof sampler);
}

/* ---- distributions on the simplex ------------------------------------------------------------ */
enum { FAMILIES = 3, ACROSS = 60, DOWN = 52, DOTS = 500, AT_ONCE = 50 };
static const char *family_names[FAMILIES] = { "gumbel", "dirichlet", "logitnormal" };

static struct {
    bnn_tape tape;
    double corner[FAMILIES][3], vertex[FAMILIES][3], far[FAMILIES];
    size_t count;
} simplex;

static bnn_var *row3(bnn_tape *t, size_t n, double power, int logs) {
    bnn_var *x = bnn_op(t, n, 3, NULL, 0, NULL);
    const double s[3] = { get("s1"), get("s2"), get("s3") };
    for (size_t i = 0; i < 3 * n && x->val.data; i++)
        x->val.data[i] = (float)(power * (logs ? log(s[i % 3]) : s[i % 3]));
    return x;
}

static bnn_var *family_draw(bnn_tape *t, int k, size_t n) {
    double tau = get("tau");
    if (k == 0) return bnn_gumbel_softmax(row3(t, n, 1, 1), (float)tau);
    if (k == 1) return bnn_dirichlet(row3(t, n, tau, 0));
    bnn_var *scale = bnn_op(t, 1, 3, NULL, 0, NULL);
    if (scale->val.data) bnn_mat_fill(scale->val, (float)(1 / tau));
    return bnn_logit_normal(row3(t, n, 1 / tau, 1), scale);
}

static bnn_var *family_density(bnn_tape *t, int k, bnn_var *log_x) {
    double tau = get("tau");
    if (k == 0) return bnn_concrete_log_prob(log_x, row3(t, 1, 1, 1), (float)tau);
    if (k == 1) return bnn_dirichlet_log_prob(log_x, row3(t, 1, tau, 0));
    bnn_var *scale = bnn_op(t, 1, 3, NULL, 0, NULL);
    if (scale->val.data) bnn_mat_fill(scale->val, (float)(1 / tau));
    return bnn_logit_normal_log_prob(log_x, row3(t, 1, 1 / tau, 1), scale);
}

/* ln density over that of the uniform distribution; rows from the top. Outside of the triangle,
 * which the page cuts off, it goes on as at the edge */
static void simplex_start(void) {
    simplex.tape.rng = bnn_rng_seed((uint64_t)get("seed"));
    for (int k = 0; k < FAMILIES; k++) {
        char name[32];
        join(name, family_names[k], ".map");
        bnn_mat map = show_as(name, DOWN, ACROSS);
        bnn_tape_reset(&look);
        bnn_var *x = bnn_op(&look, DOWN * ACROSS, 3, NULL, 0, NULL);
        if (!x->val.data || mem.err) return;
        for (int i = 0; i < DOWN * ACROSS; i++) {
            double top = 1 - (i / ACROSS + 0.5) / DOWN;
            double right = (i % ACROSS + 0.5) / ACROSS - top / 2;
            double v[3] = { 1 - right - top, right, top };
            for (int j = 0; j < 3; j++) v[j] = v[j] < 0.004 ? 0.004 : v[j];
            for (int j = 0; j < 3; j++)
                x->val.data[3 * i + j] = (float)log(v[j] / (v[0] + v[1] + v[2]));
        }
        bnn_var *d = family_density(&look, k, x);
        for (int i = 0; i < DOWN * ACROSS && d->val.data && !look.err; i++)
            map.data[i] = d->val.data[i] - 0.693147181f;
    }
}

static int simplex_tick(void) {
    for (int k = 0; k < FAMILIES; k++) {
        char name[32];
        join(name, family_names[k], ".draws");
        bnn_mat dots = show_as(name, DOTS, 3);
        bnn_tape_reset(&simplex.tape);
        bnn_var *y = family_draw(&simplex.tape, k, AT_ONCE);
        for (size_t i = 0; i < AT_ONCE && !simplex.tape.err && dots.data; i++) {
            const float *x = y->val.data + 3 * i;
            size_t best = bnn_mat_row_argmax(y->val, i);
            simplex.corner[k][best]++;
            simplex.vertex[k][best] += x[best] > 0.99f;
            for (int j = 0; j < 3; j++)
                simplex.far[k] += ((double)x[j] - 1. / 3) * ((double)x[j] - 1. / 3);
            memcpy(dots.data + 3 * ((simplex.count + i) % DOTS), x, 3 * sizeof *x);
        }
    }
    simplex.count += AT_ONCE;
    return simplex.count < 20000;
}

/* Per family: share of the draws whose largest entry is that of a corner; of those that have it
 * above .99; mean square distance from the center; number of draws */
static void simplex_show(int which) {
    bnn_mat out = show_as("families", FAMILIES, 8);
    (void)which;
    for (int k = 0; k < FAMILIES && out.data; k++) {
        double n = simplex.count ? (double)simplex.count : 1;
        float *row = out.data + 8 * k;
        for (int j = 0; j < 3; j++) {
            row[j] = (float)(simplex.corner[k][j] / n);
            row[3 + j] = (float)(simplex.vertex[k][j] / n);
        }
        row[6] = (float)(simplex.far[k] / n);
        row[7] = (float)simplex.count;
    }
    says[0] = simplex.tape.err ? simplex.tape.msg : look.err ? look.msg : "";
}

static void simplex_free(void) {
    bnn_tape_free(&simplex.tape);
    memset(&simplex, 0, sizeof simplex);
}

/* ---- the digits that ship ---------------------------------------------------------------------*/
static bnn_data digits_of(const unsigned char *pixels, const unsigned char *labels, size_t n) {
    bnn_data d = { bnn_mat_new(&mem, n, PIXELS), bnn_mat_new(&mem, n, 1) };
    for (size_t i = 0; i < n * PIXELS && !mem.err; i++)
        d.x.data[i] = (float)(pixels[i / 2] >> (i % 2 ? 4 : 0) & 15) / 15;
    for (size_t i = 0; i < n && !mem.err; i++) d.y.data[i] = labels[i];
    return d;
}

static bnn_data train, test;

static void digits_load(void) {
    train = digits_of(train_pixels, train_labels, sizeof train_labels);
    test = digits_of(test_pixels, test_labels, sizeof test_labels);
}

static double wrong(const bnn_net *net, const bnn_ensemble *post) {
    bnn_mark mark = bnn_arena_mark(&scratch);
    double e = bnn_metric_error(bnn_predict(&scratch, &look, net, post, test.x).mean, test.y);
    bnn_arena_rewind(&scratch, mark);
    return e;
}

/* ---- curves: a row per record, halved when full ---------------------------------------------- */
enum { RECORDS = 256 };

typedef struct curve {
    bnn_mat m;
    size_t rows, every;
} curve;

static void record(curve *c, size_t n, const double *values) {
    if (c->m.data == NULL || (c->every > 1 && ticks % c->every)) return;
    if (c->rows == RECORDS) {
        for (size_t i = 0; i < RECORDS / 2; i++)
            memcpy(c->m.data + i * n, c->m.data + 2 * i * n, n * sizeof(float));
        c->rows /= 2, c->every *= 2;
        if (ticks % c->every) return;
    }
    for (size_t j = 0; j < n; j++) c->m.data[c->rows * n + j] = (float)values[j];
    c->rows++;
}

/* ---- weight noise: a mean field over a net that reads digits --------------------------------- */
enum { BARS = 48, NOISE_RECORD = 4 };

static struct {
    bnn_tape tape;
    bnn_net net;
    bnn_meanfield q;
    bnn_stepper adam;
    curve history; /* ticks, bits of error per label, of complexity, wrong in percent */
    double nll;    /* of the last minibatches */
} noise;

static void noise_start(void) {
    bnn_prior prior = { .std = (float)get("prior"), .adapt_mean = get("adapt") > 0,
                        .adapt_std = get("adapt") > 0 };
    digits_load();
    noise.tape.rng = bnn_rng_seed((uint64_t)get("seed"));
    noise.net = bnn_mlp(bnn_params_new(&mem), (bnn_mlp_desc){
        .sizes = { PIXELS, (size_t)get("width"), 10 }, .activation = BNN_TANH, .prior = prior,
        .likelihood = BNN_CATEGORICAL, .seed = (uint64_t)get("seed") });
    noise.q = bnn_meanfield_new(noise.net.params, (bnn_meanfield_desc){ .init_std = 0.05f });
    noise.adam = adam_of(noise.q.params, 1);
    noise.nll = log(10);
    noise.history.m = show_as("history", RECORDS, NOISE_RECORD);
    noise.history.every = 4;
}

static int noise_tick(void) {
    bnn_tape *t = &noise.tape;
    noise.adam.lr = (float)get("lr");
    noise.q.kl_weight = (float)get("kl");
    for (int k = 0; k < 4 && !t->err; k++) {
        bnn_tape_reset(t);
        if (get("adapt") > 0) bnn_meanfield_update_priors(&noise.q, 1);
        bnn_meanfield_sample(&noise.q, t);
        bnn_var *nll = bnn_net_nll(&noise.net, bnn_minibatch(t, train, 50));
        bnn_backward(nll);
        bnn_meanfield_backward(&noise.q, t);
        bnn_step(&noise.adam, t);
        noise.nll += 0.02 * ((double)bnn_value(nll) - noise.nll);
    }
    if (ticks % noise.history.every == 0 && !t->err) {
        double N = (double)train.x.rows * log(2), kl = bnn_meanfield_kl(&noise.q);
        bnn_meanfield_mean(&noise.q);
        record(&noise.history, NOISE_RECORD, (double[]){ (double)ticks, noise.nll / log(2), kl / N,
                                                         100 * wrong(&noise.net, NULL) });
    }
    return !t->err && ticks + 1 < 4000;
}

/* The weights without those that stand out least of their noise. weights: (hidden, pixels), what is
 * removed is 0; ratios: how many weights at which log10 of |mean|/sd; pruned: wrong before and
 * after in percent, weights left, the ratio up to which they go, records, bits of error and of
 * complexity, weights */
static void noise_show(int which) {
    bnn_params *p = noise.q.params, *w = noise.net.params;
    size_t n = w ? w->n : 0, hidden = (size_t)get("width"), left = 0;
    bnn_mat all = bnn_mat_new(&scratch, 1, 2 * n), tiles = show_as("weights", hidden, PIXELS);
    bnn_mat ratios = show_as("ratios", 1, BARS), pruned = show_as("pruned", 1, 8);
    double before, snr;
    (void)which;
    says[0] = noise.tape.err ? noise.tape.msg : "";
    if (mem.err || scratch.err || noise.tape.err) return;
    copy(all, (bnn_mat){ 1, 2 * n, p->theta });
    pruned.data[6] = (float)(bnn_meanfield_kl(&noise.q) / log(2));
    bnn_mat_fill(ratios, 0);
    for (size_t i = 0; i < n; i++) {
        double r = log10(fabs((double)p->theta[i]) / (double)noise.q.sigma[i] + 1e-30);
        int at = (int)floor((r + 3) / 5 * BARS);
        ratios.data[at < 0 ? 0 : at >= BARS ? BARS - 1 : at]++;
    }
    bnn_meanfield_mean(&noise.q);
    before = wrong(&noise.net, NULL);
    snr = get("removed") > 0 ? bnn_meanfield_snr(&noise.q, get("removed")) : 0;
    if (snr > 0) bnn_meanfield_prune(&noise.q, snr);
    bnn_meanfield_mean(&noise.q);
    for (size_t i = 0; i < n; i++) left += w->theta[i] < 0 || w->theta[i] > 0;
    for (size_t i = 0; i < tiles.rows * PIXELS; i++)
        tiles.data[i] = w->theta[i % PIXELS * hidden + i / PIXELS];
    pruned.data[0] = (float)(100 * before);
    pruned.data[1] = (float)(100 * wrong(&noise.net, NULL));
    pruned.data[2] = (float)left, pruned.data[3] = (float)snr, pruned.data[7] = (float)n;
    pruned.data[4] = (float)noise.history.rows;
    pruned.data[5] = (float)(noise.nll * (double)train.x.rows / log(2));
    memcpy(p->theta, all.data, 2 * n * sizeof(float));
}

static void noise_free(void) {
    bnn_tape_free(&noise.tape);
    memset(&noise, 0, sizeof noise);
}

/* ---- digits: one net, an ensemble of nets by SGLD, a student of the ensemble ----------------- */
enum { FIRST = 100, BURNS = 60, THIN = 10, MEMBERS = 16, TEACH = 200, PER_TICK = 10 };
enum { DONE = FIRST + BURNS + THIN * MEMBERS + TEACH };
enum { ONE, MANY, TAUGHT, READERS };

static struct {
    bnn_tape tape;
    bnn_net net, one, student; /* one: the net as it was when SGLD began */
    bnn_stepper adam, sgld, pupil;
    bnn_ensemble post;
    bnn_mat other; /* what is no digit: the test digits, their pixels in random order */
} digits;

static void digits_start(void) {
    bnn_mlp_desc desc = { .sizes = { PIXELS, (size_t)get("width"), 10 },
                          .likelihood = BNN_CATEGORICAL, .prior = { .std = 4, .fan_in = 1 },
                          .seed = (uint64_t)get("seed") };
    size_t order[PIXELS];
    digits_load();
    digits.tape.rng = bnn_rng_seed((uint64_t)get("seed"));
    digits.net = bnn_mlp(bnn_params_new(&mem), desc);
    digits.one = bnn_mlp(bnn_params_new(&mem), desc);
    digits.adam = adam_of(digits.net.params, 3e-3);
    digits.sgld = bnn_sgld(digits.net.params, (bnn_sgld_desc){ .lr = (float)get("lr") });
    digits.sgld.temperature = (float)get("T");
    digits.post = bnn_ensemble_new(digits.net.params, MEMBERS);
    desc.prior.kind = BNN_PRIOR_FLAT;
    digits.student = bnn_mlp(bnn_params_new(&mem), desc);
    digits.pupil = adam_of(digits.student.params, 4e-3);
    digits.other = bnn_mat_copy(&mem, test.x);
    for (size_t i = 0; i < test.x.rows && !mem.err; i++) {
        bnn_rng_permutation(&digits.tape.rng, PIXELS, order);
        for (size_t j = 0; j < PIXELS; j++)
            digits.other.data[i * PIXELS + j] = test.x.data[i * PIXELS + order[j]];
    }
}

/* Test digits: wrong in percent, nll; entropy on digits and on what is none, and how well it tells
 * them apart (1: always) */
static void digits_judge(int who, const bnn_net *net, const bnn_ensemble *post) {
    bnn_predictive in = bnn_predict(&scratch, &look, net, post, test.x);
    bnn_predictive out = bnn_predict(&scratch, &look, net, post, digits.other);
    size_t n = test.x.rows;
    bnn_mat score = bnn_mat_new(&scratch, 2 * n, 1), is = bnn_mat_new(&scratch, 2 * n, 1);
    bnn_mat judged = show_as("judged", READERS, 5);
    if (scratch.err || look.err || mem.err) return;
    copy(bnn_mat_rows(score, 0, n), in.entropy);
    copy(bnn_mat_rows(score, n, n), out.entropy);
    bnn_mat_fill(bnn_mat_rows(is, n, n), 1);
    float *row = judged.data + 5 * who;
    row[0] = (float)(100 * bnn_metric_error(in.mean, test.y));
    row[1] = (float)bnn_metric_nll(in.mean, test.y);
    row[2] = (float)(bnn_mat_sum(in.entropy) / (double)n);
    row[3] = (float)(bnn_mat_sum(out.entropy) / (double)n);
    row[4] = (float)bnn_metric_auroc(&scratch, score, is);
}

static int digits_tick(void) {
    bnn_tape *t = &digits.tape;
    size_t k = ticks;
    for (int i = 0; i < PER_TICK && !t->err; i++) {
        bnn_tape_reset(t);
        if (k >= DONE - TEACH) {
            bnn_var *x = bnn_distill_inputs(t, train.x, 50, (bnn_inputs_desc){ .noise = 0.05f });
            digits.pupil.lr = (float)bnn_lr_cosine(4e-3, k - (DONE - TEACH), TEACH);
            bnn_backward(bnn_distill_loss(&digits.student, x, &digits.net, &digits.post));
            bnn_step(&digits.pupil, t);
        } else {
            digits.adam.lr = (float)bnn_lr_cosine(5e-3, k < FIRST ? k : 0, FIRST);
            descend(t, &digits.net, k < FIRST ? &digits.adam : &digits.sgld,
                    bnn_minibatch(t, train, 50));
        }
    }
    k++;
    if (k >= FIRST + BURNS && k <= DONE - TEACH && (k - FIRST - BURNS) % THIN == 0)
        if (digits.post.count < MEMBERS) bnn_ensemble_push(&digits.post);
    if (k == FIRST) bnn_params_copy(digits.one.params, digits.net.params);
    if (k == FIRST) digits_judge(ONE, &digits.one, NULL);
    if (k == DONE - TEACH) digits_judge(MANY, &digits.net, &digits.post);
    if (k == DONE) digits_judge(TAUGHT, &digits.student, NULL);
    return !t->err && k < DONE;
}

/* answers: probabilities of 0..9, entropy and mutual information of the three; members: of each */
static void digits_show(int which) {
    bnn_mat x = { 1, PIXELS, drawing }, answers = show_as("answers", READERS, 12);
    bnn_mat members = show_as("members", MEMBERS, 10), state = show_as("state", 1, 3);
    show_as("judged", READERS, 5);
    copy(show_as("input", SIDE, SIDE), x);
    (void)which;
    says[0] = digits.tape.err ? digits.tape.msg : "";
    if (mem.err || digits.tape.err) return;
    for (int k = 0; k < READERS; k++) {
        const bnn_net *net = k == TAUGHT ? &digits.student
                           : k == ONE && ticks >= FIRST ? &digits.one : &digits.net;
        bnn_predictive p = bnn_predict(&scratch, &look, net, k == MANY && digits.post.count
                                       ? &digits.post : NULL, x);
        if (look.err || scratch.err) return;
        memcpy(answers.data + 12 * k, p.mean.data, 10 * sizeof(float));
        answers.data[12 * k + 10] = p.entropy.data[0];
        answers.data[12 * k + 11] = p.mutual_information.data[0];
    }
    for (size_t k = 0; k < digits.post.count; k++) {
        bnn_ensemble one = digits.post;
        one.samples = bnn_mat_rows(one.samples, k, 1), one.weights += k, one.count = 1;
        copy(bnn_mat_rows(members, k, 1), bnn_predict(&scratch, &look, &digits.net, &one, x).mean);
    }
    state.data[0] = (float)ticks, state.data[1] = (float)digits.post.count, state.data[2] = DONE;
}

static void digits_free(void) {
    bnn_tape_free(&digits.tape);
    memset(&digits, 0, sizeof digits);
}

/* ---- a variational autoencoder with two latent numbers ----------------------------------------*/
enum { TILES = 11, LATENT_RECORD = 3, CODES = 300 };

static struct {
    bnn_tape tape;
    bnn_net encoder, decoder; /* in one store */
    bnn_stepper adam;
    curve history; /* ticks, -ln p(x|z), KL, in nats per digit */
} latent;

static void latent_start(void) {
    bnn_params *w = bnn_params_new(&mem);
    uint64_t seed = (uint64_t)get("seed");
    bnn_prior flat = { .kind = BNN_PRIOR_FLAT };
    size_t width = (size_t)get("width");
    digits_load();
    latent.tape.rng = bnn_rng_seed(seed);
    latent.encoder = bnn_mlp(w, (bnn_mlp_desc){ .sizes = { PIXELS, width, 4 }, .noise_std = 1,
                             .activation = BNN_TANH, .prior = flat, .seed = 2 * seed });
    latent.decoder = bnn_mlp(w, (bnn_mlp_desc){ .sizes = { 2, width, PIXELS }, .prior = flat,
                             .activation = BNN_TANH, .likelihood = BNN_BERNOULLI,
                             .seed = 2 * seed + 1 });
    latent.adam = adam_of(w, 1);
    latent.history.m = show_as("history", RECORDS, LATENT_RECORD);
    latent.history.every = 4;
}

/* -ELBO = -E_q ln p(x|z) + beta KL(q(z|x) || N(0, I)), q(z|x) = N(m(x), diag s(x)^2) */
static int latent_tick(void) {
    bnn_tape *t = &latent.tape;
    double nll = 0, kl = 0;
    latent.adam.lr = (float)get("lr");
    for (int k = 0; k < 4 && !t->err; k++) {
        bnn_tape_reset(t);
        bnn_var *x = bnn_minibatch(t, (bnn_data){ train.x, train.x }, 50).x;
        bnn_var *h = bnn_net_forward(&latent.encoder, x), *m = bnn_cols(h, 0, 2);
        bnn_var *s = bnn_exp(bnn_scale(bnn_clamp(bnn_cols(h, 2, 2), -20, 10), 0.5f));
        bnn_var *logits = bnn_net_forward(&latent.decoder, bnn_normal(m, s));
        bnn_var *error = bnn_mean(bnn_bernoulli_nll(logits, x));
        bnn_var *rate = bnn_mean(bnn_kl_standard_normal(m, s));
        bnn_backward(bnn_add(error, bnn_scale(rate, (float)get("beta"))));
        bnn_step(&latent.adam, t);
        nll += (double)bnn_value(error) / 4, kl += (double)bnn_value(rate) / 4;
    }
    if (!t->err) record(&latent.history, LATENT_RECORD, (double[]){ (double)ticks, nll, kl });
    return !t->err && ticks + 1 < 1500;
}

static void decode(bnn_mat out, bnn_mat z) {
    bnn_tape_reset(&look);
    copy(out, bnn_sigmoid(bnn_net_forward(&latent.decoder, bnn_input(&look, z)))->val);
}

/* plane: what lies at z in [-3,3]^2, rows from the top; here: at the chosen z; codes: m(x) of test
 * digits, and their labels; state: records, nll, kl */
static void latent_show(int which) {
    bnn_mat plane = show_as("plane", TILES * TILES, PIXELS), here = show_as("here", SIDE, SIDE);
    bnn_mat codes = show_as("codes", CODES, 3), state = show_as("state", 1, 3);
    bnn_mat z = bnn_mat_new(&scratch, TILES * TILES, 2);
    float at[2] = { (float)get("z1"), (float)get("z2") };
    says[0] = latent.tape.err ? latent.tape.msg : "";
    if (mem.err || scratch.err || latent.tape.err) return;
    for (int i = 0; i < TILES * TILES; i++) {
        z.data[2 * i] = -3 + 6 * (float)(i % TILES) / (TILES - 1);
        z.data[2 * i + 1] = 3 - 6 * (float)(i / TILES) / (TILES - 1);
    }
    decode((bnn_mat){ 1, PIXELS, here.data }, (bnn_mat){ 1, 2, at });
    if (which <= 0) decode(plane, z);
    if (which < 0 || which == 1) {
        bnn_tape_reset(&look);
        bnn_var *x = bnn_input(&look, bnn_mat_rows(test.x, 0, CODES));
        bnn_mat h = bnn_net_forward(&latent.encoder, x)->val;
        for (size_t i = 0; i < CODES && h.data; i++) {
            codes.data[3 * i] = h.data[4 * i], codes.data[3 * i + 1] = h.data[4 * i + 1];
            codes.data[3 * i + 2] = test.y.data[i];
        }
    }
    size_t n = latent.history.rows;
    state.data[0] = (float)n;
    for (size_t j = 1; j < 3 && n; j++) state.data[j] = latent.history.m.data[(n - 1) * 3 + j];
}

static void latent_free(void) {
    bnn_tape_free(&latent.tape);
    memset(&latent, 0, sizeof latent);
}

/* ---- what the page calls --------------------------------------------------------------------- */
static const struct {
    const char *name;
    void (*start)(void);
    int (*tick)(void);       /* 0: nothing is left to do */
    void (*show)(int which); /* a part of the views at a time, -1: all */
    void (*end)(void);
} tabs[] = {
    { "regression", methods_start, methods_tick, methods_show, methods_free },
    { "plane", methods_start, methods_tick, methods_show, methods_free },
    { "sampler", sampler_start, sampler_tick, sampler_show, sampler_free },
    { "simplex", simplex_start, simplex_tick, simplex_show, simplex_free },
    { "noise", noise_start, noise_tick, noise_show, noise_free },
    { "digits", digits_start, digits_tick, digits_show, digits_free },
    { "latent", latent_start, latent_tick, latent_show, latent_free },
};

PAGE const char *play_tab(int i) {
    return i >= 0 && i < (int)(sizeof tabs / sizeof *tabs) ? tabs[i].name : "";
}
PAGE int play_controls(void) { return CONTROLS; }
PAGE const char *play_control_text(int i, int what) {
    const control *c = &controls[i];
    return what == 0 ? tabs[c->tab].name : what == 1 ? c->key : what == 2 ? c->label : c->kind;
}
PAGE double play_control_number(int i, int what) {
    const control *c = &controls[i];
    return what == 0 ? c->lo : what == 1 ? c->hi : what == 2 ? c->value : c->live;
}
PAGE void play_set(int i, double value) {
    control *c = &controls[i];
    if (!(value >= c->lo)) value = c->lo;
    changed |= c->live && c->tab == tab && value != c->value &&
               (strcmp(c->key, "lr") == 0 || strcmp(c->key, "T") == 0);
    c->value = value > c->hi ? c->hi : value;
}
/* Points of tab REGRESSION or PLANE; n < 0: none are left */
PAGE void play_point(int t, double x, double y, double label) {
    int at = t == PLANE, n = n_points[at];
    if (n == POINTS) return;
    points[at][n][0] = (float)x, points[at][n][1] = (float)y, points[at][n][2] = (float)label;
    n_points[at]++;
}
PAGE void play_points_clear(int t) { n_points[t == PLANE] = 0; }
PAGE void play_points_default(int t) { points_default(t == PLANE); }
PAGE void play_pixel(int i, double value) {
    if (i >= 0 && i < PIXELS) drawing[i] = (float)value;
}
PAGE void play_test_digit(int i) { /* one of those that ship, as if it had been drawn */
    for (int j = 0; j < PIXELS; j++) {
        size_t at = (size_t)i % sizeof test_labels * PIXELS + (size_t)j;
        drawing[j] = (float)(test_pixels[at / 2] >> (at % 2 ? 4 : 0) & 15) / 15;
    }
}
PAGE void play_start(int t) {
    tabs[tab].end();
    bnn_tape_free(&look);
    bnn_arena_free(&scratch);
    bnn_arena_free(&mem);
    look = (bnn_tape){ 0 };
    mem = scratch = (bnn_arena){ 0 };
    memset(views, 0, sizeof views);
    n_views = 0, ticks = 0, changed = 0;
    tab = t;
    for (int i = 0; i < SAYS; i++) says[i] = "";
    tabs[tab].start();
}
PAGE int play_tick(void) {
    int more = !mem.err && tabs[tab].tick();
    changed = 0;
    ticks++;
    return more;
}
PAGE int play_ticks(void) { return (int)ticks; }
PAGE int play_show(int which) {
    bnn_mark mark = bnn_arena_mark(&scratch);
    tabs[tab].show(which);
    bnn_arena_rewind(&scratch, mark);
    return n_views;
}
PAGE const char *play_view_name(int i) { return views[i].name; }
PAGE int play_view_rows(int i) { return (int)views[i].m.rows; }
PAGE int play_view_cols(int i) { return (int)views[i].m.cols; }
PAGE const float *play_view_data(int i) { return views[i].m.data; }
PAGE const char *play_says(int i) {
    if (i < SAYS && says[i] && says[i][0]) return says[i];
    return i ? "" : mem.err ? mem.msg : scratch.err ? scratch.msg : look.err ? look.msg : "";
}

#ifndef __EMSCRIPTEN__
#include <stdio.h>
#include <stdlib.h>

/* "x,y,class;x,y,class", classes may be missing */
static void read_points(int t, char *text) {
    play_points_clear(t);
    for (char *p = strtok(text, ";"); p; p = strtok(NULL, ";")) {
        double v[3] = { 0, 0, 0 };
        for (int j = 0; j < 3 && *p; j++) v[j] = strtod(p, &p), p += *p == ',';
        play_point(t, v[0], v[1], v[2]);
    }
}

/* What stands behind the # of the page's address, and how many ticks to make */
static int situation(char *text) {
    char *key = text, *values = NULL;
    long n = 0, t = 0;
    for (char *next; key && *key; key = next) {
        char *value = strchr(key, '=');
        next = strchr(key, '&');
        if (next) *next++ = 0;
        if (!value) return -1;
        *value++ = 0;
        if (strcmp(key, "tab") == 0) for (t = 0; strcmp(play_tab((int)t), value); t++)
            if (*play_tab((int)t) == 0) return -1;
        if (strcmp(key, "ticks") == 0) n = atol(value);
        if (strcmp(key, "points") == 0) values = value;
        for (int i = 0; strcmp(key, "pixels") == 0 && i < PIXELS && value[i]; i++)
            play_pixel(i, (double)strtol((char[]){ value[i], 0 }, NULL, 16) / 15);
        for (int i = 0; i < CONTROLS; i++)
            if (controls[i].tab == t && strcmp(controls[i].key, key) == 0)
                play_set(i, strtod(value, NULL));
    }
    if (values) read_points((int)t, values);
    play_start((int)t);
    for (long i = 0; i < n && play_tick(); i++) continue;
    return 0;
}

int main(int argc, char **argv) {
    play_points_default(REGRESSION);
    play_points_default(PLANE);
    play_test_digit(0);
    if (argc < 2 || situation(argv[1]) != 0) {
        fprintf(stderr, "play: a situation, as behind the # of the page's address: "
                        "tab=regression&seed=2&ticks=100\n");
        return 2;
    }
    for (int i = 0, n = play_show(-1); i < n; i++) {
        int size = play_view_rows(i) * play_view_cols(i);
        printf("%s %d %d", play_view_name(i), play_view_rows(i), play_view_cols(i));
        for (int j = 0; j < size; j++) printf(" %.9g", (double)play_view_data(i)[j]);
        printf("\n");
    }
    for (int i = 0; i < SAYS; i++)
        if (play_says(i)[0]) fprintf(stderr, "play: %s\n", play_says(i));
    play_start(0);
    tabs[tab].end();
    bnn_arena_free(&mem);
    bnn_arena_free(&scratch);
    bnn_tape_free(&look);
    return 0;
}
#endif
