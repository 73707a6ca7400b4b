/* two_level.c -- the two-level choice of a prior, for a linear model, where all is in closed form.
 *     cc -O2 -I.. two_level.c -lm && ./a.out [seed]
 * Prior N(0, I/alpha); the lower level fits q, the upper level chooses alpha (Bakhteev 2020):
 *     upper  lLL E_q ln p(y|w) - lQ KL(q||p),   lower  E_q ln p(y|w) - lL KL(q||p)
 * The map of the optimum over all three coefficients: you should see the complexity KL fall along
 * every column, and alpha leave for infinity where no likelihood is worth its KL. Then the special
 * cases one by one, and bnn_two_level with bnn_hypergradient at the same alpha. */
#define BNN_STATIC /* one file: what it does not call is not compiled */
#define BNN_IMPLEMENTATION
#include "bnn.h"
#include "example.h"
#include <math.h>
#include <stdio.h>

enum { N = 50, D = 4, LQS = 7 };
static const double beta = 4, low = -12, high = 40; /* noise precision; the interval of ln alpha */
static const double ends[3] = { .01, 1, 100 }, lqs[LQS] = { 0, .1, .5, 1, 2, 10, 100 };

typedef struct { double e[D], c[D], yy; } spectrum; /* X'X = V diag(e) V', c = V'X'y, y'y */
typedef struct { double likelihood, prior, lower; } weights; /* lLL, lQ, lL */
/* E_q ln p(y|w), KL(q||p), E_q |w|^2, and the least KL of this q over all alpha */
typedef struct { double lik, kl, square, least; } point;
typedef struct { double h, value; point q; } solution; /* h = ln alpha */

/* The lower optimum, precision alpha I + (beta/lL) X'X, in the eigenvectors of X'X */
static point lower_optimum(const spectrum *s, double h, double lower) {
    double alpha = exp(h), fit = s->yy, logdet = 0;
    point p = { 0, 0, 0, 0 };
    for (int j = 0; j < D; j++) {
        double a = alpha + beta / lower * s->e[j], m = beta / lower * s->c[j] / a;
        fit += s->e[j] * (m * m + 1 / a) - 2 * m * s->c[j];
        p.square += m * m + 1 / a;
        logdet += log(a);
    }
    p.lik = N / 2.0 * log(beta / 6.283185307179586) - beta / 2 * fit;
    p.kl = (alpha * p.square - D - D * h + logdet) / 2;
    p.least = (D * log(p.square / D) + logdet) / 2;
    return p;
}

/* l KL(N(0, I/alpha)||N(0, I)): a term that pulls the prior itself to alpha = 1 */
static double structure_kl(double h) { return D * (exp(-h) - 1 + h) / 2; }

static solution at(const spectrum *s, weights w, double l, double h) {
    point q = lower_optimum(s, h, w.lower);
    solution x = { h, w.likelihood * q.lik - w.prior * q.kl - (l != 0 ? l * structure_kl(h) : 0),
                   q };
    return x;
}

/* The upper optimum over the interval: a scan, for there may be two maxima, then golden section */
static solution optimum(const spectrum *s, weights w, double l) {
    enum { CELLS = 1040 };
    double step = (high - low) / CELLS, g = .6180339887498949;
    solution best = at(s, w, l, low), x;
    for (int i = 1; i <= CELLS; i++) {
        x = at(s, w, l, low + step * i);
        if (x.value > best.value) best = x;
    }
    double a = fmax(best.h - step, low), b = fmin(best.h + step, high);
    while (b - a > 1e-9) {
        double p = b - g * (b - a), q = a + g * (b - a);
        if (at(s, w, l, p).value > at(s, w, l, q).value) b = q;
        else a = p;
    }
    x = at(s, w, l, (a + b) / 2);
    return x.value > best.value ? x : best;
}

/* Beyond e^30 the objective is flat to the last digit: infinity */
static int inside(solution x) { return x.h > low + 1e-3 && x.h < 30; }
static double slope_at_fixed_q(point q, double h) { return (exp(h) * q.square - D) / 2; } /* KL */

/* v of the bound: lL v is what the motion of q adds to d KL/dh. Differences of the closed form. */
static double motion(const spectrum *s, double h, double lower) {
    double d = 1e-4, total = (lower_optimum(s, h + d, lower).kl -
                              lower_optimum(s, h - d, lower).kl) / (2 * d);
    return (total - slope_at_fixed_q(lower_optimum(s, h, lower), h)) / lower;
}

typedef struct { int pairs, monotone, bounded, inner; double identity, one_level; } facts;

/* At an inner optimum grad_h Q at fixed q is lL (lQ - lLL lL) v: 0 where there is one level */
static void slopes(const spectrum *s, weights w, solution x, facts *f) {
    double left = -w.prior * slope_at_fixed_q(x.q, x.h), v = motion(s, x.h, w.lower);
    double right = w.lower * (w.prior - w.likelihood * w.lower) * v;
    f->inner++;
    f->identity = fmax(f->identity, fabs(left - right) / (w.prior + w.likelihood));
    if (w.prior == w.likelihood * w.lower) f->one_level = fmax(f->one_level, fabs(left) / w.prior);
}

/* From a smaller lQ to a larger one: KL does not rise, and the least KL over all alpha gains at
 * most |grad_h KL| times the interval; that gradient is (lL/lQ) |lQ - lLL lL| |v| for lQ > 0 */
static void compare(solution less, solution more, facts *f) {
    double most = fabs(slope_at_fixed_q(less.q, less.h)) * (high - low);
    f->pairs++;
    f->monotone += more.q.kl <= less.q.kl + 1e-9;
    f->bounded += more.q.least - less.q.least <= most + 1e-9;
}

static void map(const spectrum *s) {
    facts f = { 0, 0, 0, 0, 0, 0 };
    for (int i = 0; i < 3; i++) {
        solution before[3];
        printf("\nlL = %-6g", ends[i]);
        for (int k = 0; k < 3; k++) printf("        lLL = %-5g         ", ends[k]);
        printf("\n    lQ ");
        for (int k = 0; k < 3; k++) printf("  ln alpha   E ln p       KL");
        for (int j = 0; j < LQS; j++) {
            printf("\n%6g ", lqs[j]);
            for (int k = 0; k < 3; k++) {
                weights w = { ends[k], lqs[j], ends[i] };
                solution x = optimum(s, w, 0);
                if (inside(x)) printf("%10.3f %8.2f %8.3f", x.h, x.q.lik, x.q.kl);
                else printf("%10s %8.2f %8.3f", x.h > 0 ? "inf" : "-inf", x.q.lik, x.q.kl);
                if (inside(x)) slopes(s, w, x, &f);
                if (j > 0) compare(before[k], x, &f);
                before[k] = x;
            }
        }
        printf("\n");
    }
    printf("\nfrom each lQ to the next: KL does not rise in %d of %d, the bound holds in %d\n"
           "gradient at fixed q against lL (lQ - lLL lL) v, %d inner optima: %.0e\n", f.monotone,
           f.pairs, f.bounded, f.inner, f.identity);
    printf("RESULT two_level fact=monotone pairs=%d right=%d bounded=%d inner=%d gradient=%.1e "
           "one_level=%.1e\n", f.pairs, f.monotone, f.bounded, f.inner, f.identity, f.one_level);
}

/* X'X = e I: the slope of Q by alpha is a negative factor times
 *     ((2-k) r u - 1) alpha^2 + u (k (r u - 1) - 1) alpha - k u^2,
 * u = beta e/lL, k = lQ/(lLL lL), r the mean square of the least-squares weights. Up to k = 2 -
 * 1/(r u) there is one root, the maximum: 1/(r - 1/u) for one level, k = 1; 1/(2 r - 1/u) for
 * lQ = 0. Beyond, there is another maximum at infinity. */
static double root(double r, double u, double k) {
    double a = (2 - k) * r * u - 1, b = u * (k * (r * u - 1) - 1), c = -k * u * u;
    double disc = b * b - 4 * a * c;
    if (a > 0) return (-b + sqrt(disc)) / (2 * a);
    return b > 0 && disc > 0 ? 2 * c / (-b - sqrt(disc)) : INFINITY;
}

static void one_eigenvalue(const spectrum *s) {
    spectrum o = *s;
    double r = 0, worst = 0;
    int found = 0, beyond = 0, right = 1;
    for (int j = 0; j < D; j++) o.e[j] = s->e[0], r += pow(o.c[j] / o.e[0], 2) / D;
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < LQS; j++)
            for (int k = 0; k < 3; k++) {
                weights w = { ends[k], lqs[j], ends[i] };
                solution x = optimum(&o, w, 0);
                double a = root(r, beta * o.e[0] / w.lower, w.prior / (w.likelihood * w.lower));
                if (inside(x)) found++, worst = fmax(worst, fabs(log(a) - x.h));
                else { /* the root, if any, is worth less than q = p */
                    beyond++;
                    if (a < INFINITY) right &= at(&o, w, 0, log(a)).value <= x.value;
                }
            }
    printf("one eigenvalue: ln alpha against the root of its quadratic, %d cells: %.0e; infinite: "
           "%d\nRESULT two_level fact=quadratic cells=%d error=%.1e infinite=%d right=%d\n", found,
           worst, beyond, found, worst, beyond, right);
}

static void special_cases(const spectrum *s, bnn_arena *mem, bnn_data data) {
    bnn_mat none = { 0, 0, NULL };
    weights even = { 1, 1, 1 }, likelihood = { 1, 0, 1 }, least = { 0, 1, 1 };
    double worst = 0, jump = 0, spread[2] = { 0, 0 };
    for (double h = -4; h <= 4; h += .5) {
        double alpha[D];
        for (int j = 0; j < D; j++) alpha[j] = exp(h);
        worst = fmax(worst, fabs(at(s, even, 0, h).value -
                                 bnn_linear_evidence(mem, none, none, data, alpha, beta)));
    }
    printf("\n(1) all ones: Q against ln p(y|alpha), largest difference %.0e\n", worst);
    double h = 0;
    for (int i = 0; i < 200; i++) h = log(D / lower_optimum(s, h, 1).square); /* q, alpha in turn */
    printf("(2) one level: joint maximum ln alpha %.5f, two levels %.5f\n", h,
           optimum(s, even, 0).h);
    solution three = optimum(s, likelihood, 0);
    printf("(3) lQ = 0: ln alpha %.3f where q stops helping, v = %.0e; the evidence's %.3f\n",
           three.h, motion(s, three.h, 1), optimum(s, even, 0).h);
    for (int i = 0; i < 2; i++) {
        double lower = i ? 1e-4 : 1e-2;
        spread[i] = fabs(lower_optimum(s, -3, lower).lik - lower_optimum(s, 3, lower).lik);
    }
    printf("(4) lL = 0.01, 0.0001: E ln p at alpha = e^-3 and e^3 differs by %.0e, %.0e: maximum "
           "likelihood\n", spread[0], spread[1]);
    solution five = optimum(s, least, 0);
    printf("(5) lLL = 0: alpha %s, KL %.1e\n", inside(five) ? "inside" : "infinite", five.q.kl);
    printf("(6) a term that pulls the prior to alpha = 1:   l   -0.5     0      1     10   1000\n"
           "                                         ln alpha ");
    static const double ls[5] = { -.5, 0, 1, 10, 1000 };
    for (int i = 0; i < 5; i++) {
        solution x = optimum(s, even, ls[i]);
        if (inside(x)) printf("%6.2f ", x.h);
        else printf("%6s ", x.h > 0 ? "inf" : "-inf");
    }
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < LQS; j++)
            for (int k = 0; k < 9; k++) {
                weights w = { ends[k / 3], lqs[j], ends[i] }, v = w;
                *(k % 3 == 0 ? &v.likelihood : k % 3 == 1 ? &v.prior : &v.lower) += 1e-7;
                double q = optimum(s, w, 0).value;
                jump = fmax(jump, fabs(optimum(s, v, 0).value - q) / (1 + fabs(q)));
            }
    printf("\n(7) each coefficient plus 1e-7: the value of the optimum moves by at most %.0e\n",
           jump);
    printf("RESULT two_level fact=cases evidence=%.1e one_level=%.1e likelihood=%.4f "
           "evidence_at=%.4f ml_spread=%.1e least_kl=%.1e pulled=%.4f continuous=%.1e\n", worst,
           fabs(h - optimum(s, even, 0).h), three.h, optimum(s, even, 0).h, spread[1], five.q.kl,
           optimum(s, even, 1000).h, jump);
}

/* ---- the same by the library: q = N(m, R R'), h = ln alpha, gradients */

typedef struct { bnn_params *w, *a; bnn_data data; } linear;

static bnn_var *root_of(bnn_tape *t, linear *l) { /* lower: nothing above the diagonal */
    bnn_mat mask = bnn_mat_new(&t->mem, D, D);
    for (int i = 0; i < D * D; i++) mask.data[i] = i / D >= i % D;
    return bnn_mul(bnn_param(t, l->w, 1), bnn_input(t, mask));
}

static bnn_var *log_lik(bnn_tape *t, void *user) {
    linear *l = user;
    bnn_var *x = bnn_input(t, l->data.x);
    bnn_var *miss = bnn_sub(bnn_input(t, l->data.y), bnn_matmul(x, bnn_param(t, l->w, 0)));
    bnn_var *fit = bnn_add(bnn_sum(bnn_square(miss)),
                           bnn_sum(bnn_square(bnn_matmul(x, root_of(t, l)))));
    return bnn_shift(bnn_scale(fit, (float)(-beta / 2)),
                     (float)(N / 2.0 * log(beta / 6.283185307179586)));
}

static bnn_var *kl(bnn_tape *t, void *user) {
    linear *l = user;
    bnn_var *h = bnn_param(t, l->a, 0), *r = root_of(t, l), *logdet = bnn_scalar(t, 0);
    bnn_var *square = bnn_add(bnn_sum(bnn_square(bnn_param(t, l->w, 0))), bnn_sum(bnn_square(r)));
    for (size_t j = 0; j < D; j++)
        logdet = bnn_add(logdet, bnn_log(bnn_cols(bnn_rows(r, j, 1), j, 1)));
    bnn_var *half = bnn_scale(bnn_sub(bnn_mul(bnn_exp(h), square), bnn_scale(h, D)), .5f);
    return bnn_shift(bnn_sub(half, logdet), -D / 2.0f);
}

static int by_gradient(const spectrum *s, bnn_arena *mem, bnn_data data) {
    static const weights some[4] = { { 1, 1, 1 }, { 1, 0, 1 }, { 1, .5, 1 }, { 1, 5, 10 } };
    bnn_tape t = { .rng = bnn_rng_seed(1) };
    linear l = { bnn_params_new(mem), bnn_params_new(mem), data };
    bnn_prior flat = { .kind = BNN_PRIOR_FLAT };
    bnn_params_add(l.w, D, 1, "m", flat);
    bnn_params_add(l.w, D, D, "root", flat);
    bnn_params_add(l.a, 1, 1, "ln alpha", flat);
    bnn_mat mean = bnn_params_mat(l.w, 0), r = bnn_params_mat(l.w, 1);
    printf("\nbnn_two_level and bnn_hypergradient   ln alpha   closed form   residual\n");
    for (int k = 0; k < 4; k++) {
        weights c = some[k];
        bnn_two_level p = { .lik_upper = (float)c.likelihood, .kl_upper = (float)c.prior,
            .kl_lower = (float)c.lower, .log_lik = log_lik, .kl = kl, .user = &l };
        bnn_hypergradient_result g = { 0 };
        bnn_stepper adam = bnn_adam(l.a, (bnn_adam_desc){ .lr = .1f });
        l.a->theta[0] = 0;
        for (int i = 0; i < 200; i++) {
            double alpha[D];
            for (int j = 0; j < D; j++) alpha[j] = exp(l.a->theta[0]);
            bnn_tape_reset(&t);
            bnn_linear_evidence(mem, mean, r, data, alpha, beta / c.lower); /* the lower level */
            bnn_mat_cholesky(r, r, NULL);
            g = bnn_hypergradient(&t, (bnn_hypergradient_desc){ .w = l.w, .a = l.a,
                .upper = bnn_two_level_upper, .lower = bnn_two_level_lower, .user = &p,
                .implicit = 1, .iterations = 50 });
            adam.lr = (float)bnn_lr_cosine(.1, (size_t)i, 200);
            bnn_step(&adam, &t);
        }
        double want = optimum(s, c, 0).h;
        printf("lLL = %-3g lQ = %-4g lL = %-13g %9.4f %13.4f %10.1e\n", c.likelihood, c.prior,
               c.lower, l.a->theta[0], want, g.residual);
        printf("RESULT two_level lLL=%g lQ=%g lL=%g by_gradient=%.4f closed=%.4f\n", c.likelihood,
               c.prior, c.lower, l.a->theta[0], want);
    }
    if (t.err || mem->err) fprintf(stderr, "two_level: %s%s\n", t.msg, mem->msg);
    int failed = t.err || mem->err;
    bnn_tape_free(&t);
    return failed;
}

int main(int argc, char **argv) {
    static const float truth[D] = { 1, -.5f, .2f, 0 };
    bnn_arena mem = { 0 };
    bnn_rng rng = bnn_rng_seed(argc > 1 ? example_seed("two_level", argv[1]) : 1);
    bnn_data d = { bnn_mat_new(&mem, N, D), bnn_mat_new(&mem, N, 1) };
    bnn_mat xx = bnn_mat_new(&mem, D, D), xy = bnn_mat_new(&mem, D, 1);
    bnn_mat e = bnn_mat_new(&mem, 1, D), v = bnn_mat_new(&mem, D, D), c = bnn_mat_new(&mem, D, 1);
    spectrum s;
    example_most("two_level", argc, argv, 1);
    if (mem.err) return 1;
    bnn_rng_fill_normal(&rng, N * D, d.x.data);
    bnn_rng_fill_normal(&rng, N, d.y.data);
    for (int i = 0; i < N; i++) {
        d.y.data[i] *= .5f;
        for (int j = 0; j < D; j++) d.y.data[i] += truth[j] * d.x.data[i * D + j];
    }
    bnn_mat_mul_tn(xx, d.x, d.x);
    bnn_mat_mul_tn(xy, d.x, d.y);
    bnn_mat_eig_sym(&mem, e, v, xx);
    bnn_mat_mul_tn(c, v, xy);
    for (int j = 0; j < D; j++) s.e[j] = e.data[j], s.c[j] = c.data[j];
    s.yy = bnn_mat_dot(d.y, d.y);
    map(&s);
    one_eigenvalue(&s);
    special_cases(&s, &mem, d);
    int failed = by_gradient(&s, &mem, d);
    bnn_arena_free(&mem);
    return failed;
}
