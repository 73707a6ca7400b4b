/* 7_two_levels.c -- lecture 7: which degree has the polynomial, and how strong is its prior? By the
 * evidence; by validation rows, with a gradient through the training; and the problem of two
 * levels that has both as special cases.
 *     cc -O2 -I. docs/course/7_two_levels.c -o levels -lm && ./levels [folder of the pictures]
 * Change it: truth and NOISE in polynomial.h, ROWS, TRAIN, STEP, LOW (which powers are low), and
 * where the paths start. */
#include "polynomial.h"

enum { ROWS = 20, TRAIN = 12, TEST = 400, HIGH = 10, LOW = 4, G = 61, STEPS = 400 };
static const float STEP = 0.01f; /* of the weights, under the validation loss */

/* ---- evidence by degree, alpha = 1 */

static double log_fit(double square) { /* ln p(D|w) of ROWS rows from the sum of squares */
    return -square / (2 * NOISE * NOISE) - ROWS * (log(NOISE) + LN_2PI / 2);
}

static void degrees(bnn_arena *mem, bnn_data d, bnn_data test) {
    float at[DEGREES], evidence[DEGREES], fit[DEGREES], held[DEGREES];
    printf("degree   training rmse   test rmse   ln p(D|mean)    price   ln p(D)\n");
    for (int k = 0; k < DEGREES; k++) {
        bnn_mark mark = bnn_arena_mark(mem);
        bnn_data rows = { features(mem, d.x, k), d.y };
        bnn_data unseen = { features(mem, test.x, k), test.y };
        posterior q = solve_even(mem, rows, 1, 1 / (NOISE * NOISE));
        if (mem->err) return;
        sums in = look(&q, rows), out = look(&q, unseen);
        double ln = log_fit(in.square);
        at[k] = (float)k, fit[k] = (float)ln, evidence[k] = (float)q.log_evidence;
        held[k] = (float)(out.log_p * ROWS / TEST);
        printf("%6d %15.3f %11.3f %14.2f %8.2f %9.2f\n", k, sqrt(in.square / ROWS),
               sqrt(out.square / TEST), ln, ln - q.log_evidence, q.log_evidence);
        bnn_arena_rewind(mem, mark);
    }
    svg p = picture("7_hill", "Occam's hill: the evidence by the degree");
    svg_axes(&p, 0, DEGREES - 1, -40, 20, "degree of the polynomial", "nats, for 20 rows");
    svg_line(&p, DEGREES, at, fit, 1);
    svg_line(&p, DEGREES, at, held, 2);
    svg_line(&p, DEGREES, at, evidence, 0);
    svg_points(&p, DEGREES, at, evidence, 0);
    svg_key(&p, "fit: ln p of the training rows, mean weights", 1, 0);
    svg_key(&p, "20 unseen rows, ln p of the predictive", 2, 0);
    svg_key(&p, "evidence: ln p(D)", 0, 0);
    picture_end(&p);
}

/* ---- the same number four ways, degree 3 */

static bnn_net linear_net(bnn_params *w, size_t d, bnn_prior prior) {
    return bnn_mlp(w, (bnn_mlp_desc){ .sizes = { d, 1 }, .no_bias = 1, .prior = prior,
                                      .noise_std = (float)NOISE });
}

/* Each row is predicted from the rows before it (lecture 1, exercise 2) */
static double row_by_row(bnn_arena *mem, bnn_data d) {
    double sum = 0;
    for (size_t n = 0; n < d.x.rows && !mem->err; n++) {
        bnn_mark mark = bnn_arena_mark(mem);
        bnn_data seen = bnn_data_rows(d, 0, n ? n : 1); /* no rows: so does one with no noise */
        posterior q = solve_even(mem, seen, 1, n ? 1 / (NOISE * NOISE) : 1e-12);
        sum += look(&q, bnn_data_rows(d, n, 1)).log_p;
        bnn_arena_rewind(mem, mark);
    }
    return sum;
}

static void four_ways(bnn_arena *mem, bnn_tape *tape, bnn_data all) {
    bnn_data d = { features(mem, all.x, 3), all.y };
    bnn_net net = linear_net(bnn_params_new(mem), 4, (bnn_prior){ .std = 1 });
    posterior q = solve_even(mem, d, 1, 1 / (NOISE * NOISE));
    if (mem->err) return;
    for (int j = 0; j < 4; j++) net.params->theta[j] = q.mean.data[j]; /* the maximum */
    bnn_laplace la = bnn_laplace_new(mem, tape, &net, d, BNN_LAPLACE_FULL);
    bnn_ladder l = bnn_ladder_new(mem, &net, d, (bnn_ladder_desc){ .rungs = 16 });
    bnn_evidence ti = bnn_ladder_integrate(&l, tape, 2000);
    printf("\nln p(D), degree 3: closed form %.3f, row by row %.3f, Laplace %.3f,\n"
           "a ladder of sampled posteriors %.2f +- %.2f\n", q.log_evidence, row_by_row(mem, d),
           la.log_evidence, ti.log_evidence, ti.error);
}

/* ---- the prior's precision by the evidence: MacKay's fixed point */

static void precision(bnn_arena *mem, bnn_data all, int degree) {
    bnn_data d = { features(mem, all.x, degree), all.y };
    double alpha = 1;
    printf("\ndegree %-2d  round       alpha   well-determined weights   ln p(D)\n", degree);
    for (int round = 0; round <= 30 && !mem->err; round++) {
        posterior q = solve_even(mem, d, alpha, 1 / (NOISE * NOISE));
        double known = 0, square = 0;
        for (size_t j = 0; j < d.x.cols; j++) {
            known += 1 - alpha * (double)q.cov.data[j * d.x.cols + j];
            square += (double)q.mean.data[j] * (double)q.mean.data[j];
        }
        if (round < 3 || round == 30)
            printf("%16d %11.4f %17.3f of %-2d %11.3f\n", round, alpha, known, degree + 1,
                   q.log_evidence);
        alpha = known / square;
    }
}

/* ---- two precisions, of the low and of the high powers: a surface, and ways down */

typedef struct {
    bnn_net net;
    bnn_params *a;      /* ln precision of the low and of the high powers */
    bnn_mat group;      /* (weights, 2): which of them */
    bnn_data train, valid;
} bilevel;

static bnn_var *upper(bnn_tape *t, void *user) { /* validation rows: nats per row */
    bilevel *p = user;
    return bnn_net_nll(&p->net, bnn_batch_all(t, p->valid));
}

static bnn_var *lower(bnn_tape *t, void *user) { /* training rows, and the prior */
    bilevel *p = user;
    bnn_var *precisions = bnn_exp(bnn_matmul(bnn_input(t, p->group), bnn_param(t, p->a, 0)));
    bnn_var *energy = bnn_sum(bnn_mul(precisions, bnn_square(bnn_param(t, p->net.params, 0))));
    return bnn_add(bnn_net_nll(&p->net, bnn_batch_all(t, p->train)),
                   bnn_scale(energy, 0.5f / (float)p->train.x.rows));
}

static posterior solve_pair(bnn_arena *mem, bnn_data d, double low, double high) {
    double alpha[HIGH + 1];
    for (int k = 0; k <= HIGH; k++) alpha[k] = exp(k < LOW ? low : high);
    return solve(mem, d, alpha, 1 / (NOISE * NOISE));
}

/* The validation loss of the trained weights, nats per row */
static double validate(bnn_arena *mem, const bilevel *p, double low, double high) {
    bnn_mark mark = bnn_arena_mark(mem);
    posterior q = solve_pair(mem, p->train, low, high);
    double v = look(&q, p->valid).square / (2 * NOISE * NOISE * (double)p->valid.x.rows);
    bnn_arena_rewind(mem, mark);
    return v + log(NOISE) + LN_2PI / 2;
}

/* The gradient of validate() by the two precisions, with the weights at their optimum (settle) or
 * where they are; kind 0: through one step of gradient descent, 1: implicit */
static void gradient(bnn_arena *mem, bnn_tape *tape, bilevel *p, int kind, int settle) {
    bnn_params *w = p->net.params;
    if (settle) {
        bnn_mark mark = bnn_arena_mark(mem);
        posterior q = solve_pair(mem, p->train, (double)p->a->theta[0], (double)p->a->theta[1]);
        if (!mem->err) memcpy(w->theta, q.mean.data, w->n * sizeof(float));
        bnn_arena_rewind(mem, mark);
    }
    bnn_tape_reset(tape);
    bnn_params_zero_grad(p->a);
    bnn_hypergradient(tape, (bnn_hypergradient_desc){ .w = w, .a = p->a, .upper = upper,
        .lower = lower, .user = p, .unroll = kind ? 0 : STEP, .implicit = kind,
        .iterations = 50 });
}

/* Precisions by Adam; kind 0: the weights follow by 40 steps each time, 1: they are solved for */
static void descend(bnn_arena *mem, bnn_tape *tape, bilevel *p, int kind, float *x, float *y) {
    bnn_stepper sgd = bnn_sgd(p->net.params, (bnn_sgd_desc){ .lr = STEP });
    bnn_stepper adam = bnn_adam(p->a, (bnn_adam_desc){ .lr = 0.05f, .beta2 = 0.9f });
    p->a->theta[0] = p->a->theta[1] = 0;
    for (int s = 0; s < STEPS && !tape->err; s++) {
        x[s] = p->a->theta[0], y[s] = p->a->theta[1];
        gradient(mem, tape, p, kind, kind || s == 0);
        bnn_step(&adam, tape);
        for (int k = 0; k < 40 && kind == 0; k++) {
            bnn_tape_reset(tape);
            bnn_backward(lower(tape, p));
            bnn_params_zero_grad(p->a);
            bnn_step(&sgd, tape);
        }
    }
}

static void gradients(bnn_arena *mem, bnn_tape *tape, bilevel *p) {
    static const double at[3][2] = { { 0, 0 }, { 1.5, 3 }, { 1.5, 7 } };
    printf("\nd validation/d ln precision:   differences       implicit       one step\n");
    for (int i = 0; i < 3; i++) {
        double d = 0.02, low = at[i][0], high = at[i][1];
        printf("at %3.1f, %3.1f %21.3f %6.3f", low, high,
               (validate(mem, p, low + d, high) - validate(mem, p, low - d, high)) / (2 * d),
               (validate(mem, p, low, high + d) - validate(mem, p, low, high - d)) / (2 * d));
        for (int kind = 1; kind >= 0; kind--) {
            p->a->theta[0] = (float)low, p->a->theta[1] = (float)high;
            gradient(mem, tape, p, kind, 1);
            printf("  %6.3f %6.3f", (double)p->a->grad[0], (double)p->a->grad[1]);
        }
        printf("\n");
    }
}

static void report(bnn_arena *mem, const char *name, bnn_data d, bnn_data test, const bilevel *p,
                   double low, double high) {
    posterior q = solve_pair(mem, d, low, high);
    if (mem->err) return;
    printf("%-26s %6.2f %6.2f %12.3f %9.2f %11.3f\n", name, low, high, validate(mem, p, low, high),
           q.log_evidence, sqrt(look(&q, test).square / TEST));
}

typedef struct { double loss[G * G], at[2][2]; } surface; /* where validation, evidence are best */
static const double from[2] = { -4, -10 }, to[2] = { 6, 10 }; /* ends of the axes: low, high */

static void scan(bnn_arena *mem, const bilevel *p, bnn_data d, surface *s) {
    double best[2] = { 1e300, -1e300 };
    for (int i = 0; i < G * G; i++) {
        double low = from[0] + (to[0] - from[0]) * (i % G) / (G - 1);
        double high = from[1] + (to[1] - from[1]) * (i / G) / (G - 1);
        bnn_mark mark = bnn_arena_mark(mem);
        double v = s->loss[i] = validate(mem, p, low, high);
        double e = solve_pair(mem, d, low, high).log_evidence;
        if (v < best[0]) best[0] = v, s->at[0][0] = low, s->at[0][1] = high;
        if (e > best[1]) best[1] = e, s->at[1][0] = low, s->at[1][1] = high;
        bnn_arena_rewind(mem, mark);
    }
}

static void draw_surface(const surface *s, float x[2][STEPS], float y[2][STEPS]) {
    svg p = picture("7_surface", "The validation loss, and two ways down");
    svg_axes(&p, from[0], to[0], from[1], to[1], "ln precision of the powers 0 to 3",
             "ln precision of the powers 4 to 10");
    static const double levels[5] = { 0.07, 0.2, 0.6, 2, 6 };
    for (int k = 0; k < 5; k++) svg_contour(&p, G, G, s->loss, levels[k], k ? 5 : 0);
    for (int k = 0; k < 2; k++) svg_line(&p, STEPS, x[k], y[k], k ? 2 : 1);
    for (int k = 0; k < 2; k++) {
        float ex = (float)s->at[1][0], ey = (float)s->at[1][1];
        svg_points(&p, 1, &x[k][STEPS - 1], &y[k][STEPS - 1], k ? 2 : 1);
        if (k) svg_points(&p, 1, &ex, &ey, 3);
    }
    p.keys = 9; /* below the contours */
    svg_key(&p, "0.07 nats per row", 0, 0);
    svg_key(&p, "0.2, 0.6, 2 and 6 nats per row", 5, 0);
    svg_key(&p, "through one step, and where it ends", 1, 0);
    svg_key(&p, "implicit gradient, and where it ends", 2, 0);
    svg_key(&p, "largest evidence", 3, 1);
    picture_end(&p);
}

static void two_precisions(bnn_arena *mem, bnn_tape *tape, bnn_data all, bnn_data unseen) {
    static surface s;
    static float x[2][STEPS], y[2][STEPS];
    bnn_data d = { features(mem, all.x, HIGH), all.y };
    bnn_data test = { features(mem, unseen.x, HIGH), unseen.y };
    bnn_prior flat = { .kind = BNN_PRIOR_FLAT }; /* the lower loss has a prior of its own */
    bilevel p = { .net = linear_net(bnn_params_new(mem), HIGH + 1, flat),
                  .a = bnn_params_new(mem), .group = bnn_mat_new(mem, HIGH + 1, 2),
                  .train = bnn_data_rows(d, 0, TRAIN),
                  .valid = bnn_data_rows(d, TRAIN, ROWS - TRAIN) };
    bnn_params_add(p.a, 2, 1, "ln precision", flat);
    if (mem->err) return;
    for (int k = 0; k <= HIGH; k++) p.group.data[2 * k + (k >= LOW)] = 1;
    gradients(mem, tape, &p);
    scan(mem, &p, d, &s);
    for (int k = 0; k < 2; k++) descend(mem, tape, &p, k, x[k], y[k]);
    printf("\nln precision of powers:    0 to 3   4 up   validation   ln p(D)   test rmse\n");
    report(mem, "start", d, test, &p, 0, 0);
    for (int k = 0; k < 2; k++)
        report(mem, k ? "implicit gradient" : "through one step", d, test, &p,
               (double)x[k][STEPS - 1], (double)y[k][STEPS - 1]);
    report(mem, "least validation, grid", d, test, &p, s.at[0][0], s.at[0][1]);
    report(mem, "largest evidence, grid", d, test, &p, s.at[1][0], s.at[1][1]);
    draw_surface(&s, x, y);
}

/* ---- the general problem: upper lLL E ln p - lQ KL, lower E ln p - lL KL */

enum { ALPHAS = 73, CHOICES = DEGREES * ALPHAS };
typedef struct { int degree; double ln_alpha, lik, kl; } choice; /* h, and what its q has */

/* q of the lower level is the posterior for the noise precision beta/lL, and for that one ln p(D) =
 * E_q ln p - KL: so the evidence gives the KL without a determinant */
static choice lower_level(bnn_arena *mem, bnn_data all, int degree, double ln_alpha, double lower) {
    bnn_mark mark = bnn_arena_mark(mem);
    double beta = 1 / (NOISE * NOISE);
    bnn_data d = { features(mem, all.x, degree), all.y };
    posterior q = solve_even(mem, d, exp(ln_alpha), beta / lower);
    choice c = { degree, ln_alpha, 0, 0 };
    if (!mem->err) {
        sums s = look(&q, d);
        double miss = s.square + s.spread, half = ROWS / 2.0;
        c.lik = half * (log(beta) - LN_2PI) - beta * miss / 2;
        c.kl = half * (log(beta / lower) - LN_2PI) - beta / lower * miss / 2 - q.log_evidence;
    }
    bnn_arena_rewind(mem, mark);
    return c;
}

static choice best(size_t n, const choice *c, double likelihood, double prior) {
    size_t k = 0;
    for (size_t i = 1; i < n; i++)
        if (likelihood * c[i].lik - prior * c[i].kl > likelihood * c[k].lik - prior * c[k].kl)
            k = i;
    return c[k];
}

/* All h: degrees at alpha = 1 (alphas = 1), or together with a grid of ln alpha */
static void choices(bnn_arena *mem, bnn_data d, int alphas, double lower, choice *all) {
    for (int i = 0; i < DEGREES * alphas; i++)
        all[i] = lower_level(mem, d, i / alphas, alphas > 1 ? -6 + 0.25 * (i % alphas) : 0, lower);
}

static void show(double coefficient, choice c) {
    printf("%7g %8d %8.2f %14.2f %8.2f\n", coefficient, c.degree, c.ln_alpha, c.lik, c.kl);
}

static void general(bnn_arena *mem, bnn_data d) {
    enum { CURVE = 401 };
    static choice few[DEGREES], many[CHOICES];
    static const double shown[7] = { 0, 0.1, 0.5, 1, 10, 20, 100 };
    static const double lowers[6] = { 0.01, 0.1, 1, 10, 100, 1000 };
    static float x[CURVE], y[2][CURVE];
    double worst = 0;
    choices(mem, d, 1, 1, few);
    choices(mem, d, ALPHAS, 1, many);
    printf("\n     lQ   degree ln alpha   E ln p(D|w)       KL      (lLL = lL = 1)\n");
    for (int k = 0; k < 7; k++) show(shown[k], best(DEGREES, few, 1, shown[k]));
    for (int k = 0; k < CURVE; k++) {
        double lq = pow(10, -2 + 4.0 * k / (CURVE - 1)), e = 1e-6 * lq;
        choice a = best(DEGREES, few, 1, lq), b = best(CHOICES, many, 1, lq);
        choice p = best(CHOICES, many, 1, lq + e), m = best(CHOICES, many, 1, lq - e);
        double slope = (p.lik - (lq + e) * p.kl - m.lik + (lq - e) * m.kl) / (2 * e);
        x[k] = (float)log10(lq), y[0][k] = (float)a.kl, y[1][k] = (float)b.kl;
        if (p.kl == m.kl) worst = fmax(worst, fabs(slope + b.kl));
        check(k == 0 || (y[0][k] <= y[0][k - 1] && y[1][k] <= y[1][k - 1]), "KL rises with lQ");
    }
    printf("d(largest Q)/d lQ against -KL, largest difference %.0e\n", worst);
    printf("\n     lL   degree ln alpha   E ln p(D|w)       KL      (lLL = 1, lQ = 10)\n");
    for (int k = 0; k < 6; k++) {
        choices(mem, d, ALPHAS, lowers[k], many);
        show(lowers[k], best(CHOICES, many, 1, 10));
    }
    svg p = picture("7_complexity", "A dearer prior never makes the choice more complex");
    svg_axes(&p, -2, 2, 0, 20, "log10 of lQ, the weight of the KL above", "KL of the choice, nats");
    for (int k = 0; k < 2; k++) svg_line(&p, CURVE, x, y[k], k);
    svg_key(&p, "the degree is chosen", 0, 0);
    svg_key(&p, "the degree and the prior are chosen", 1, 0);
    picture_end(&p);
}

int main(int argc, char **argv) {
    bnn_arena mem = { 0 };
    bnn_tape tape = { .rng = bnn_rng_seed(1) };
    if (argc > 1) course_folder = argv[1];
    bnn_data d = measure(&mem, &tape.rng, ROWS), test = measure(&mem, &tape.rng, TEST);
    if (!mem.err) degrees(&mem, d, test);
    four_ways(&mem, &tape, d);
    precision(&mem, d, 3);
    precision(&mem, d, 12);
    two_precisions(&mem, &tape, d, test);
    general(&mem, d);
    return done(&mem, &tape);
}
