/* test_losses_kl.c -- likelihoods and divergences: normalizers and divergences by quadrature,
 * identities between losses, optima in closed form, extreme inputs. */
#include "build.h"
#include "oracles/losses.inc"

#define PI 3.14159265358979323846
static const double tol = BUILD_TOL(2e-6, 1e-12);

static bnn_var *one(bnn_tape *t, double v) { return bnn_scalar(t, (float)v); }

/* Composite Simpson over [a,b] */
static double simpson(double (*f)(double x, const double *p), const double *p, double a, double b,
                      int n) {
    double h = (b - a) / n, sum = f(a, p) + f(b, p);
    for (int i = 1; i < n; i++) sum += (i % 2 ? 4 : 2) * f(a + i * h, p);
    return sum * h / 3;
}

/* ---- normalizers: exp(-nll) as a density of y integrates to 1 */
enum { GAUSSIAN, LAPLACE, STUDENT };
static double density(double y, const double *p) { /* p: kind, location, scale or ln v, nu */
    bnn_tape t = { 0 };
    bnn_var *m = one(&t, p[1]), *v = one(&t, y), *l;
    double out;
    if (p[0] == GAUSSIAN) l = bnn_gaussian_nll(m, v, one(&t, p[2]));
    else if (p[0] == LAPLACE) l = bnn_double_exponential_nll(m, v, (float)p[2]);
    else l = bnn_student_nll(m, v, (float)p[3], (float)p[2]);
    out = exp(-(double)bnn_value(l));
    bnn_tape_free(&t);
    return out;
}
static double student_in_angle(double a, const double *p) { /* y = m + s sqrt(nu) tan a */
    double c = cos(a), scale = p[2] * sqrt(p[3]);
    return density(p[1] + scale * tan(a), p) * scale / (c * c);
}

static void every_density_integrates_to_1(void) {
    double q = BUILD_TOL(2e-5, 1e-8);
    double gauss[4] = { GAUSSIAN, 0.5, -1.5, 0 }, wide[4] = { GAUSSIAN, -2, 2, 0 };
    double laplace[4] = { LAPLACE, 0.5, 0.25, 0 }, student[4] = { STUDENT, 1, 0.5, 3 };
    double cauchy[4] = { STUDENT, 0, 2, 1 }, s = exp(-0.75), e = 1e-9;
    CHECK_NEAR(simpson(density, gauss, 0.5 - 9 * s, 0.5 + 9 * s, 400), 1, q);
    CHECK_NEAR(simpson(density, wide, -2 - 9 * exp(1.0), -2 + 9 * exp(1.0), 400), 1, q);
    CHECK_NEAR(simpson(density, laplace, 0.5, 9.5, 4000), 0.5, q);
    CHECK_NEAR(simpson(density, laplace, -8.5, 0.5, 4000), 0.5, q);
    CHECK_NEAR(simpson(student_in_angle, student, -PI / 2 + e, PI / 2 - e, 2000), 1, q);
    CHECK_NEAR(simpson(student_in_angle, cauchy, -PI / 2 + e, PI / 2 - e, 2000), 1, q);
}

static void every_mass_function_sums_to_1(void) {
    bnn_tape t = { 0 };
    double sum = 0;
    for (int y = 0; y < 80; y++)
        sum += exp(-(double)bnn_value(bnn_poisson_nll(one(&t, 1.7), one(&t, y))));
    CHECK_NEAR(sum, 1, BUILD_TOL(1e-5, 1e-12));
    sum = exp(-(double)bnn_value(bnn_bernoulli_nll(one(&t, 0.8), one(&t, 0)))) +
          exp(-(double)bnn_value(bnn_bernoulli_nll(one(&t, 0.8), one(&t, 1))));
    CHECK_NEAR(sum, 1, tol);
    float z[4] = { 1, -2, (float)0.5, 3 };
    sum = 0;
    for (int k = 0; k < 4; k++)
        sum += exp(-(double)bnn_value(bnn_categorical_nll(bnn_input(&t, (bnn_mat){ 1, 4, z }),
                                                          one(&t, k))));
    CHECK_NEAR(sum, 1, tol);
    bnn_tape_free(&t);
}

static void losses_have_their_closed_form_values(void) {
    bnn_tape t = { 0 };
    float m[6] = { 1, -2, (float)0.5, 0, 3, (float)-1.25 }, y[6] = { 0, -1, 2, (float)0.5, 3, 1 };
    float a[3] = { (float)0.5, -1, 2 };
    bnn_var *mean = bnn_input(&t, (bnn_mat){ 2, 3, m }),
        *target = bnn_input(&t, (bnn_mat){ 2, 3, y });
    bnn_var *g = bnn_gaussian_nll(mean, target, bnn_input(&t, (bnn_mat){ 1, 3, a }));
    bnn_var *l = bnn_double_exponential_nll(mean, target, (float)0.75);
    bnn_var *s = bnn_student_nll(mean, target, 5, (float)1.5);
    bnn_var *p = bnn_poisson_nll(mean, bnn_square(target));
    for (int i = 0; i < 2; i++) {
        double wg = 0, wl = 0, ws = 0, wp = 0;
        for (int j = 0; j < 3; j++) {
            double o = (double)m[3 * i + j], r = (double)y[3 * i + j] - o, v = exp((double)a[j]);
            double c = (double)(y[3 * i + j] * y[3 * i + j]);
            wg += r * r / (2 * v) + log(2 * PI * v) / 2;
            wl += fabs(r) / 0.75 + log(1.5);
            ws += 3 * log1p(r * r / (5 * 2.25)) + log(1.5) + log(5 * PI) / 2;
            ws += lgamma(2.5) - lgamma(3.0);
            wp += exp(o) - c * o + lgamma(c + 1);
        }
        CHECK_NEAR(g->val.data[i], wg, 10 * tol);
        CHECK_NEAR(l->val.data[i], wl, 10 * tol);
        CHECK_NEAR(s->val.data[i], ws, 10 * tol);
        CHECK_NEAR(p->val.data[i], wp, 20 * tol);
    }
    CHECK(g->val.rows == 2 && g->val.cols == 1 && t.err == BNN_OK);
    bnn_tape_free(&t);
}

static void the_best_log_variance_is_the_mean_square_and_costs_half_ln_2_pi_e_v(void) {
    bnn_tape t = { 0 };
    float m[4] = { 0, 1, 2, 3 }, y[4] = { 1, -1, 2, 5 };
    double v = (1 + 4 + 0 + 4) / 4.0;
    float a[1] = { (float)log(v) };
    bnn_var *var = bnn_leaf(&t, (bnn_mat){ 1, 1, a });
    bnn_var *l = bnn_mean(bnn_gaussian_nll(bnn_input(&t, (bnn_mat){ 4, 1, m }),
                                           bnn_input(&t, (bnn_mat){ 4, 1, y }), var));
    bnn_backward(l);
    CHECK_NEAR(bnn_value(l), log(2 * PI * exp(1.0) * v) / 2, tol);
    CHECK_NEAR(var->grad.data[0], 0, tol);
    bnn_tape_free(&t);
}

static void log_variances_are_clamped_at_87_with_gradient_0_outside(void) {
    bnn_tape t = { 0 };
    float m[5] = { 1, 1, 0, 0, 1 }, y[5] = { 0, 0, 0, 0, 0 };
    float a[5] = { 90, (float)1e8, -88, -87, -19 };
    bnn_var *var = bnn_leaf(&t, (bnn_mat){ 5, 1, a }), *mean = bnn_leaf(&t, (bnn_mat){ 5, 1, m });
    bnn_var *l = bnn_gaussian_nll(mean, bnn_input(&t, (bnn_mat){ 5, 1, y }), var);
    bnn_backward(bnn_sum(l));
    CHECK_NEAR(l->val.data[0], (exp(-87.0) + 87 + log(2 * PI)) / 2, 50 * tol);
    CHECK_SAME(l->val.data[0], l->val.data[1]);
    CHECK_SAME(l->val.data[2], l->val.data[3]);
    CHECK_NEAR(l->val.data[3], (-87 + log(2 * PI)) / 2, 50 * tol);
    CHECK(var->grad.data[0] == 0 && var->grad.data[1] == 0 && var->grad.data[2] == 0);
    CHECK_NEAR(var->grad.data[3], 0.5, 0);
    CHECK_NEAR((double)var->grad.data[4] / ((1 - exp(19.0)) / 2), 1, tol);
    CHECK_NEAR((double)mean->grad.data[0] / exp(-87.0), 1, 10 * tol);
    CHECK(t.err == BNN_OK);
    bnn_tape_free(&t);
}

/* Other units of y change ln p by the Jacobian, and slopes by mean and ln variance by their unit. */
static void other_units_change_every_likelihood_by_the_jacobian_alone(void) {
    enum { K = 7 };
    static const double at[K][2] = { { 0, 0 }, { 0.1, 0.5 }, { 3, 2.9 }, { -2, 5 }, { 0, 30 },
                                     { 1, 1.25 }, { -7, -7.5 } };
    for (int unit = -16; unit <= 16; unit += 2)
        for (int kind = GAUSSIAN; kind <= STUDENT; kind++)
            for (int k = 0; k < K; k++) {
                bnn_tape t = { 0 };
                double c = pow(10, unit), value[2], slope[2], by_scale[2] = { 0, 0 };
                for (int i = 0; i < 2; i++) {
                    double u = i == 0 ? 1 : c;
                    float m = (float)(u * at[k][0]);
                    bnn_var *x = bnn_leaf(&t, (bnn_mat){ 1, 1, &m }), *l, *a;
                    bnn_var *y = one(&t, (double)m + u * (at[k][1] - at[k][0]));
                    float lv = (float)(2 * log(0.7 * u));
                    a = bnn_leaf(&t, (bnn_mat){ 1, 1, &lv });
                    if (kind == GAUSSIAN) l = bnn_gaussian_nll(x, y, a);
                    else if (kind == LAPLACE) l = bnn_double_exponential_nll(x, y, (float)(0.7 * u));
                    else l = bnn_student_nll(x, y, 4, (float)(0.7 * u));
                    bnn_backward(l);
                    value[i] = (double)bnn_value(l) - log(u);
                    slope[i] = (double)x->grad.data[0] * u;
                    if (kind == GAUSSIAN) by_scale[i] = (double)a->grad.data[0];
                }
                CHECK_NEAR(value[1], value[0], BUILD_TOL(2e-5, 1e-11) * (1 + fabs(value[0])));
                CHECK_NEAR(slope[1], slope[0], BUILD_TOL(2e-5, 1e-11) * (1 + fabs(slope[0])));
                CHECK_NEAR(by_scale[1], by_scale[0],
                           BUILD_TOL(2e-5, 1e-11) * (1 + fabs(by_scale[0])));
                CHECK(t.err == BNN_OK);
                bnn_tape_free(&t);
            }
}

static void check_against(const double *want, bnn_var *l, bnn_var *x, double slope_tol) {
    bnn_backward(l);
    CHECK_NEAR(bnn_value(l), want[0], BUILD_TOL(1e-6, 1e-10) * (fabs(want[0]) + 1));
    if (fabs(want[1]) < 1e38)
        CHECK_NEAR(x->grad.data[0], want[1], slope_tol * fabs(want[1]) + BUILD_TOL(1e-30, 1e-40));
}

static void losses_far_from_1_equal_mpmath(void) {
    for (size_t i = 0; i < sizeof oracle_student / sizeof *oracle_student; i++) {
        const double *p = oracle_student[i];
        bnn_tape t = { 0 };
        float r = (float)p[2];
        bnn_var *x = bnn_leaf(&t, (bnn_mat){ 1, 1, &r });
        check_against(p + 3, bnn_student_nll(x, one(&t, 0), (float)p[0], (float)p[1]), x,
                      BUILD_TOL(1e-6, 1e-13));
        bnn_tape_free(&t);
    }
    for (size_t i = 0; i < sizeof oracle_poisson / sizeof *oracle_poisson; i++) {
        const double *p = oracle_poisson[i];
        bnn_tape t = { 0 };
        float o = (float)p[0];
        bnn_var *x = bnn_leaf(&t, (bnn_mat){ 1, 1, &o });
        check_against(p + 2, bnn_poisson_nll(x, one(&t, p[1])), x, /* e^o - y cancels */
                      fabs(p[3]) < 1e-3 * p[1] ? 1 : BUILD_TOL(1e-3, 1e-10));
        bnn_tape_free(&t);
    }
}

static void divergences_far_from_1_equal_mpmath(void) {
    for (size_t i = 0; i < sizeof oracle_dirichlet / sizeof *oracle_dirichlet; i++) {
        const double *p = oracle_dirichlet[i];
        bnn_tape t = { 0 };
        float a[3] = { (float)p[0], (float)p[1], (float)p[2] };
        float b[3] = { (float)p[3], (float)p[4], (float)p[5] };
        bnn_var *x = bnn_leaf(&t, (bnn_mat){ 1, 3, a }), *l = bnn_kl_dirichlet(x, b);
        double largest = fmax(fmax(p[3], p[4]), p[5]), scale = 1 + fabs(p[6]) + 1e-9 * largest;
        bnn_backward(l);
        CHECK_NEAR(bnn_value(l), p[6], BUILD_TOL(1e-6, 1e-11) * scale);
        CHECK_NEAR(x->grad.data[0], p[7], BUILD_TOL(1e-6, 1e-11) * (fabs(p[7]) + 1e-6));
        bnn_tape_free(&t);
    }
    for (size_t i = 0; i < sizeof oracle_bernoulli / sizeof *oracle_bernoulli; i++) {
        const double *p = oracle_bernoulli[i];
        bnn_tape t = { 0 };
        float z = (float)p[0];
        bnn_var *x = bnn_leaf(&t, (bnn_mat){ 1, 1, &z });
        check_against(p + 2, bnn_kl_bernoulli(x, (float)p[1]), x, BUILD_TOL(1e-6, 1e-12));
        bnn_tape_free(&t);
    }
}

/* ---- what is NaN, empty or too large */

enum { N_LOSSES = 14 };
static const char *const loss_name[N_LOSSES] = {
    "gaussian", "gaussian's variance", "double exponential", "student", "bernoulli", "categorical",
    "cross-entropy", "poisson", "kl to a standard normal", "kl of normals", "kl of categoricals",
    "kl of bernoullis", "logsumexp", "kl of categoricals, prior given" };
static bnn_var *loss_of(int which, bnn_tape *t, bnn_var *x, const float *prior) {
    size_t n = x->val.rows, k = x->val.cols;
    bnn_var *y = bnn_op(t, n, k, NULL, 0, NULL), *label = bnn_op(t, n, 1, NULL, 0, NULL);
    bnn_mat_fill(y->val, 0);
    bnn_mat_fill(label->val, 0);
    for (size_t i = 0; i < n; i++) *bnn_mat_at(y->val, i, 0) = 1;
    switch (which) {
    case 0: return bnn_gaussian_nll(x, y, one(t, 0));
    case 1: return bnn_gaussian_nll(y, y, x);
    case 2: return bnn_double_exponential_nll(x, y, 1);
    case 3: return bnn_student_nll(x, y, 3, 1);
    case 4: return bnn_bernoulli_nll(x, y);
    case 5: return bnn_categorical_nll(x, label);
    case 6: return bnn_cross_entropy(x, y, 2);
    case 7: return bnn_poisson_nll(x, y);
    case 8: return bnn_kl_standard_normal(x, one(t, 1));
    case 9: return bnn_kl_normal(x, one(t, 2), 1, 3);
    case 10: return bnn_kl_categorical(x, NULL);
    case 11: return bnn_kl_bernoulli(x, (float)0.25);
    case 12: return bnn_logsumexp(x);
    default: return bnn_kl_categorical(x, prior);
    }
}

static void a_nan_makes_its_row_nan_and_leaves_the_others(void) {
    float prior[3] = { (float)0.5, (float)0.25, (float)0.25 };
    for (int which = 0; which < N_LOSSES; which++)
        for (size_t k = 1; k <= 3; k++)
            for (size_t at = 0; at < 3 * k; at++) {
                bnn_tape t = { 0 };
                float v[9], w[9], all = 1;
                for (size_t i = 0; i < 3 * k; i++) v[i] = w[i] = (float)(0.25 * (double)i - 0.5);
                if (which == 13 && k != 3) continue;
                w[at] = (float)bnn__nan();
                bnn_var *x = bnn_leaf(&t, (bnn_mat){ 3, k, v }), *a = loss_of(which, &t, x, prior);
                bnn_var *z = bnn_leaf(&t, (bnn_mat){ 3, k, w }), *b = loss_of(which, &t, z, prior);
                float seed[3] = { all, all, all };
                bnn_backward_from(a, (bnn_mat){ 3, 1, seed });
                bnn_backward_from(b, (bnn_mat){ 3, 1, seed });
                if (!CHECK(t.err == BNN_OK)) printf("    %s: %s\n", loss_name[which], t.msg);
                for (size_t i = 0; t.err == BNN_OK && i < 3; i++) {
                    int lost = i == at / k, ok = isnan((double)b->val.data[i]) != 0;
                    if (lost) ok = ok && isnan((double)z->grad.data[at]);
                    else ok = memcmp(a->val.data + i, b->val.data + i, sizeof(float)) == 0 &&
                              memcmp(x->grad.data + i * k, z->grad.data + i * k,
                                     k * sizeof(float)) == 0;
                    if (!CHECK(ok))
                        printf("    %s, NaN at %d of 3x%d: row %d is %g\n", loss_name[which],
                               (int)at, (int)k, (int)i, (double)b->val.data[i]);
                }
                bnn_tape_free(&t);
            }
}

static void a_row_of_logits_that_are_all_minus_infinity_is_an_error(void) {
    static const int those[5] = { 5, 6, 10, 13, -1 };
    float inf = (float)(1.0 / 0.0), p0[3] = { (float)0.2, (float)0.3, (float)0.5 };
    float v[12] = { 1, 2, 3, 1, -inf, 2, -inf, -inf, -inf, 0, 0, 0 };
    for (int i = 0; i < 6; i++) {
        bnn_tape t = { 0 };
        bnn_var *x = bnn_leaf(&t, (bnn_mat){ 4, 3, v });
        bnn_var *y = i < 4 ? loss_of(those[i], &t, x, p0) : i == 4 ? bnn_softmax(x)
                                                                   : bnn_log_softmax(x);
        CHECK(t.err == BNN_EARG && strstr(t.msg, "row 2") != NULL && y->val.data == NULL);
        bnn_tape_free(&t);
    }
}

static void nothing_times_its_infinite_logarithm_is_nothing(void) {
    float inf = (float)(1.0 / 0.0), y[3] = { 1, 0, 0 };
    float z[5][3] = { { 0, -inf, -inf }, { 0, -inf, -1000 }, { 1000, 0, -inf }, { 0, -200, -200 },
                      { 3, -inf, 2 } };
    float p0[3] = { (float)0.25, (float)0.25, (float)0.5 };
    bnn_tape t = { 0 };
    for (int i = 0; i < 5; i++) {
        bnn_var *x = bnn_leaf(&t, (bnn_mat){ 1, 3, z[i] });
        bnn_var *hot = bnn_input(&t, (bnn_mat){ 1, 3, y });
        bnn_var *sum = bnn_add(bnn_cross_entropy(x, hot, 1), bnn_kl_categorical(x, p0));
        sum = bnn_add(sum, bnn_add(bnn_kl_categorical(x, NULL), bnn_cross_entropy(x, hot, 3)));
        CHECK(isfinite((double)bnn_value(sum)));
        bnn_backward(bnn_add(sum, bnn_categorical_nll(x, one(&t, 0))));
        for (int j = 0; j < 3; j++) CHECK(isfinite((double)x->grad.data[j]));
        if (i == 0) CHECK_NEAR(bnn_value(sum), log(4.0) + log(3.0), tol);
    }
    for (int i = 0; i < 2; i++) { /* and in the other direction */
        float l = i ? inf : -inf, p = (float)0.25;
        bnn_var *x = bnn_leaf(&t, (bnn_mat){ 1, 1, &l }), *k = bnn_kl_bernoulli(x, p);
        bnn_backward(bnn_add(k, bnn_bernoulli_nll(x, one(&t, i))));
        CHECK_NEAR(bnn_value(k), i ? log(4.0) : log(4.0 / 3), tol);
        CHECK_NEAR(x->grad.data[0], 0, 0);
    }
    CHECK(t.err == BNN_OK);
    bnn_tape_free(&t);
}

static void a_row_too_large_for_a_float_is_an_error_that_names_it(void) {
    double huge = BUILD_TOL(3e38, 1e308);
    float far = (float)huge, tiny_b = (float)BUILD_TOL(1e-30, 1e-156);
    for (int which = 0; which < 7; which++) {
        bnn_tape t = { 0 };
        float x[3] = { 1, 2, far }, zero[3] = { 0, 0, 0 }, v[3] = { 1, 2, 710 };
        bnn_var *m = bnn_leaf(&t, (bnn_mat){ 3, 1, x }), *y = bnn_input(&t, (bnn_mat){ 3, 1, zero });
        bnn_var *o = bnn_leaf(&t, (bnn_mat){ 3, 1, v });
        if (which == 0) bnn_gaussian_nll(m, y, one(&t, 0));
        if (which == 1) bnn_double_exponential_nll(m, y, tiny_b);
        if (which == 2) bnn_poisson_nll(o, y);
        if (which == 3) bnn_kl_standard_normal(m, one(&t, 1));
        if (which == 4) bnn_kl_normal(m, one(&t, 1), 0, tiny_b);
        if (which == 5) v[2] = -(float)(1.0 / 0.0), bnn_poisson_nll(o, bnn_shift(y, 1));
        if (which == 6) bnn_poisson_nll(y, bnn_shift(y, (float)(1.0 / 0.0)));
        CHECK(t.err == (which == 6 ? BNN_EARG : BNN_ENONFINITE));
        CHECK(strstr(t.msg, which == 4 || which == 6 ? "row 0" : "row 2") != NULL);
        if (!CHECK(strstr(t.msg, "bnn_") == t.msg)) printf("    %d: %s\n", which, t.msg);
        bnn_tape_free(&t);
    }
}

static void a_student_with_endless_degrees_is_a_gaussian(void) {
    bnn_tape t = { 0 };
    for (double r = -3; r <= 3; r += 0.75) {
        bnn_var *m = one(&t, r), *y = one(&t, 0.5);
        double g = (double)bnn_value(bnn_gaussian_nll(m, y, one(&t, 2 * log(1.5))));
        CHECK_NEAR(bnn_value(bnn_student_nll(m, y, (float)1e8, 1.5)), g, BUILD_TOL(2e-6, 1e-6));
    }
    bnn_tape_free(&t);
}

static void equal_logits_cost_ln_K_and_one_class_costs_nothing(void) {
    bnn_tape t = { 0 };
    float z[7] = { 3, 3, 3, 3, 3, 3, 3 };
    for (size_t k = 1; k <= 7; k++) {
        bnn_var *x = bnn_input(&t, (bnn_mat){ 1, k, z });
        CHECK_NEAR(bnn_value(bnn_categorical_nll(x, one(&t, (double)(k - 1)))), log((double)k),
                   tol);
    }
    bnn_tape_free(&t);
}

static void hard_labels_equal_one_hot_targets_bit_for_bit(void) {
    bnn_tape t = { 0 };
    float z[12] = { 1, 2, -3, (float)0.5, 4, 4, 0, -1, 7, 2, (float)0.1, (float)-0.3 },
        c[3] = { 2, 0, 3 };
    float hot[12] = { 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 1 };
    bnn_var *x = bnn_leaf(&t, (bnn_mat){ 3, 4, z }), *y = bnn_leaf(&t, (bnn_mat){ 3, 4, z });
    bnn_var *a = bnn_categorical_nll(x, bnn_input(&t, (bnn_mat){ 3, 1, c }));
    bnn_var *b = bnn_cross_entropy(y, bnn_input(&t, (bnn_mat){ 3, 4, hot }), 1);
    bnn_backward(bnn_sum(a)), bnn_backward(bnn_sum(b));
    CHECK_SAME_ARRAY(a->val.data, b->val.data, 3);
    CHECK_SAME_ARRAY(x->grad.data, y->grad.data, 12);
    for (int i = 0; i < 3; i++) {
        double sum = 0;
        for (int j = 0; j < 4; j++) sum += exp((double)z[4 * i + j] - (double)z[4 * i + (int)c[i]]);
        CHECK_NEAR(a->val.data[i], log(sum), 10 * tol);
    }
    bnn_tape_free(&t);
}

static void temperature_divides_the_logits_and_soft_targets_may_sum_to_any_weight(void) {
    bnn_tape t = { 0 };
    float z[3] = { 1, -2, 4 }, p[3] = { (float)0.5, 1, (float)0.25 };
    double s = 0, want = 0;
    for (int j = 0; j < 3; j++) s += exp((double)z[j] / 2.5);
    for (int j = 0; j < 3; j++) want -= (double)p[j] * ((double)z[j] / 2.5 - log(s));
    bnn_var *x = bnn_leaf(&t, (bnn_mat){ 1, 3, z });
    bnn_var *l = bnn_cross_entropy(x, bnn_input(&t, (bnn_mat){ 1, 3, p }), 2.5);
    bnn_backward(l);
    CHECK_NEAR(bnn_value(l), want, 4 * tol);
    for (int j = 0; j < 3; j++)
        CHECK_NEAR(x->grad.data[j], (exp((double)z[j] / 2.5) / s * 1.75 - (double)p[j]) / 2.5, tol);
    bnn_tape_free(&t);
}

static void huge_and_infinite_logits_are_handled(void) {
    bnn_tape t = { 0 };
    float inf = (float)(1.0 / 0.0);
    float z[12] = { 10000, -10000, 0, -10000, -10000, -10000, 10000, 9999, -inf, 0, -inf, -inf };
    float p[12] = { 0, 1, 0, (float)0.5, (float)0.5, 0, (float)0.5, (float)0.5, 0, 1, 0, 0 };
    bnn_var *x = bnn_leaf(&t, (bnn_mat){ 4, 3, z });
    bnn_var *l = bnn_cross_entropy(x, bnn_input(&t, (bnn_mat){ 4, 3, p }), 1);
    bnn_backward(bnn_sum(l));
    CHECK_NEAR(l->val.data[0], 20000, 0);
    CHECK_NEAR(l->val.data[1], log(3.0), tol);
    CHECK_NEAR(l->val.data[2], 0.5 + log1p(exp(-1.0)), tol);
    CHECK_NEAR(l->val.data[3], 0, 0);
    for (int i = 0; i < 12; i++) CHECK(isfinite((double)x->grad.data[i]));
    CHECK_NEAR(x->grad.data[8], 0, 0);
    float b[6] = { 10000, -10000, inf, -inf, 20, (float)-1e4 }, y[6] = { 1, 0, 1, 0, 1, 1 };
    x = bnn_leaf(&t, (bnn_mat){ 6, 1, b });
    l = bnn_bernoulli_nll(x, bnn_input(&t, (bnn_mat){ 6, 1, y }));
    bnn_backward(bnn_sum(l));
    for (int i = 0; i < 4; i++) CHECK_NEAR(l->val.data[i], 0, 0);
    CHECK_NEAR((double)l->val.data[4] / log1p(exp(-20.0)), 1, BUILD_TOL(1e-6, 1e-12));
    CHECK_NEAR(l->val.data[5], 10000, 0);
    CHECK_NEAR(x->grad.data[5], -1, 0);
    float o[2] = { -inf, -200 }, n[2] = { 0, 0 };
    l = bnn_poisson_nll(bnn_input(&t, (bnn_mat){ 2, 1, o }), bnn_input(&t, (bnn_mat){ 2, 1, n }));
    CHECK_NEAR(l->val.data[0], 0, 0);
    CHECK_NEAR(l->val.data[1], 0, 1e-30);
    CHECK(t.err == BNN_OK);
    bnn_tape_free(&t);
}

static void bernoulli_is_symmetric_at_one_half_and_a_softmax_of_0_and_z(void) {
    bnn_tape t = { 0 };
    for (double z = -8; z <= 8; z += 0.5) {
        float pair[2] = { 0, (float)z };
        double y = (z + 8) / 16;
        float soft[2] = { (float)(1 - y), (float)y };
        double a = (double)bnn_value(bnn_bernoulli_nll(one(&t, z), one(&t, 0.5)));
        CHECK_NEAR(a, bnn_value(bnn_bernoulli_nll(one(&t, -z), one(&t, 0.5))), tol);
        CHECK_NEAR(bnn_value(bnn_bernoulli_nll(one(&t, z), one(&t, y))),
                   bnn_value(bnn_cross_entropy(bnn_input(&t, (bnn_mat){ 1, 2, pair }),
                                               bnn_input(&t, (bnn_mat){ 1, 2, soft }), 1)),
                   4 * tol);
        CHECK_NEAR(bnn_value(bnn_bernoulli_nll(one(&t, z), one(&t, y))),
                   y * log1p(exp(-z)) + (1 - y) * log1p(exp(z)), 4 * tol);
    }
    bnn_tape_free(&t);
}

/* ---- divergences */
static double kl_integrand(double x, const double *p) { /* q = N(p0, p1^2), prior N(p2, p3^2) */
    double a = (x - p[0]) / p[1], b = (x - p[2]) / p[3];
    return exp(-a * a / 2) / (p[1] * sqrt(2 * PI)) * (b * b / 2 - a * a / 2 + log(p[3] / p[1]));
}
static void kl_of_normals_equals_quadrature(void) {
    bnn_tape t = { 0 };
    static const double cases[][4] = { { 0.7, 0.3, 0, 1 }, { -2, 1.7, 0.5, 0.8 }, { 1, 0.05, 1, 3 },
                                       { 0, 2, 0, 1 }, { 3, 1, 0, 1 }, { 0.5, 0.99, 0.5, 1 } };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        const double *p = cases[c];
        double q = simpson(kl_integrand, p, p[0] - 11 * p[1], p[0] + 11 * p[1], 2000);
        bnn_var *k = bnn_kl_normal(one(&t, p[0]), one(&t, p[1]), (float)p[2], (float)p[3]);
        CHECK_NEAR(bnn_value(k), q, BUILD_TOL(2e-6 * (1 + q), 1e-8));
        if (p[2] == 0 && p[3] == 1)
            CHECK_SAME(bnn_value(k), bnn_value(bnn_kl_standard_normal(one(&t, p[0]), one(&t, p[1]))));
    }
    bnn_tape_free(&t);
}

static void kl_is_zero_at_equality_and_keeps_its_digits_close_to_it(void) {
    bnn_tape t = { 0 };
    float half = (float)0.5, u[4] = { 2, 2, 2, 2 }, a[3] = { (float)0.5, 2, 7 };
    CHECK_NEAR(bnn_value(bnn_kl_standard_normal(one(&t, 0), one(&t, 1))), 0, 0);
    CHECK_NEAR(bnn_value(bnn_kl_normal(one(&t, -3), one(&t, 0.25), -3, (float)0.25)), 0, 0);
    double s = (double)(float)(1 + 1e-4), d = s - 1; /* KL = d^2 - d^3/3 + ... */
    CHECK_NEAR((double)bnn_value(bnn_kl_standard_normal(one(&t, 0), one(&t, s))) / (d * d * (1 - d / 3)), 1,
               1e-6);
    CHECK_NEAR(bnn_value(bnn_kl_bernoulli(one(&t, 0), half)), 0, tol);
    CHECK_NEAR(bnn_value(bnn_kl_bernoulli(one(&t, log(0.3 / 0.7)), (float)0.3)), 0, tol);
    CHECK_NEAR(bnn_value(bnn_kl_categorical(bnn_input(&t, (bnn_mat){ 1, 4, u }), NULL)), 0, tol);
    CHECK_NEAR(bnn_value(bnn_kl_dirichlet(bnn_input(&t, (bnn_mat){ 1, 3, a }), a)), 0, 10 * tol);
    CHECK((double)bnn_value(bnn_kl_standard_normal(one(&t, 0), one(&t, 1e-30))) > 60);
    CHECK(t.err == BNN_OK);
    bnn_tape_free(&t);
}

static void impossible_events_are_infinite_and_a_value_beyond_all_floats_names_its_row(void) {
    bnn_tape t = { 0 };
    float high = (float)(0.9 * BUILD_TOL((double)FLT_MAX, DBL_MAX)), none[4] = { 0 };
    float z[4] = { 0, 0, high, high }, odds[4] = { 0, 0, high, -high }, first[2] = { 0, 1 };
    float alpha[4] = { 1, 1, (float)1e-42, 1 }; /* in double 1/alpha is a number */
    bnn_var *y = bnn_input(&t, (bnn_mat){ 2, 2, none });
    bnn_mat v = bnn_bernoulli_nll(bnn_input(&t, (bnn_mat){ 2, 2, z }), y)->val;
    CHECK(t.err == BNN_OK && isfinite(v.data[0]) && isinf(v.data[1]));
    v = bnn_categorical_nll(bnn_input(&t, (bnn_mat){ 2, 2, odds }),
                            bnn_input(&t, (bnn_mat){ 2, 1, first }))->val;
    CHECK(t.err == BNN_OK && isfinite(v.data[0]) && isinf(v.data[1]));
    if (BUILD_TOL(1, 0)) {
        bnn_kl_dirichlet(bnn_input(&t, (bnn_mat){ 2, 2, alpha }), NULL);
        CHECK(t.err == BNN_ENONFINITE && strstr(t.msg, "the value of row 1 is inf") != NULL);
    }
    bnn_tape_free(&t);
}

static void kl_of_bernoulli_and_categorical_equal_their_sums(void) {
    bnn_tape t = { 0 };
    float inf = (float)(1.0 / 0.0);
    float z[8] = { 1, -1, (float)0.5, 3, 0, 2, -inf, -10000 };
    float p0[4] = { (float)0.1, (float)0.2, (float)0.3, (float)0.4 };
    bnn_var *x = bnn_leaf(&t, (bnn_mat){ 2, 4, z });
    bnn_var *a = bnn_kl_categorical(x, p0), *b = bnn_kl_categorical(x, NULL);
    for (int i = 0; i < 2; i++) {
        double s = 0, wa = 0, wb = 0;
        for (int j = 0; j < 4; j++) s += exp((double)z[4 * i + j]);
        for (int j = 0; j < 4; j++) {
            double p = exp((double)z[4 * i + j]) / s;
            if (p > 0) wa += p * log(p / (double)p0[j]), wb += p * log(p * 4);
        }
        CHECK_NEAR(a->val.data[i], wa, 4 * tol);
        CHECK_NEAR(b->val.data[i], wb, 4 * tol);
    }
    bnn_backward(bnn_sum(bnn_add(a, b)));
    for (int i = 0; i < 8; i++) CHECK(isfinite((double)x->grad.data[i]));
    for (double v = -6; v <= 6; v += 0.5) {
        double p = 1 / (1 + exp(-v)), q = 0.3;
        CHECK_NEAR(bnn_value(bnn_kl_bernoulli(one(&t, v), (float)0.3)),
                   p * log(p / q) + (1 - p) * log((1 - p) / (1 - q)), 4 * tol);
    }
    CHECK_NEAR(bnn_value(bnn_kl_bernoulli(one(&t, 1e4), (float)0.3)), log(1 / 0.3), tol);
    CHECK(t.err == BNN_OK);
    bnn_tape_free(&t);
}

static double beta_integrand(double u, const double *p) { /* q = Beta(p0,p1), p = Beta(p2,p3) */
    double x = u * u * (3 - 2 * u), jacobian = 6 * u * (1 - u), lq, lp; /* tames the ends */
    if (jacobian == 0) return 0;
    lq = (p[0] - 1) * log(x) + (p[1] - 1) * log1p(-x);
    lq += lgamma(p[0] + p[1]) - lgamma(p[0]) - lgamma(p[1]);
    lp = (p[2] - 1) * log(x) + (p[3] - 1) * log1p(-x);
    lp += lgamma(p[2] + p[3]) - lgamma(p[2]) - lgamma(p[3]);
    return exp(lq) * (lq - lp) * jacobian;
}
static void kl_of_dirichlets_equals_quadrature_for_two_classes(void) {
    bnn_tape t = { 0 };
    static const double cases[][4] = { { 2, 3, 1, 1 }, { 5, 1.5, 2, 4 }, { 30, 20, 1, 1 } };
    for (size_t c = 0; c < 3; c++) {
        const double *p = cases[c];
        float a[2] = { (float)p[0], (float)p[1] }, b[2] = { (float)p[2], (float)p[3] };
        bnn_var *k = bnn_kl_dirichlet(bnn_input(&t, (bnn_mat){ 1, 2, a }), b);
        double q = simpson(beta_integrand, p, 0, 1, 20000);
        CHECK_NEAR(bnn_value(k), q, BUILD_TOL(1e-5, 1e-8));
        if (p[2] == 1 && p[3] == 1)
            CHECK_SAME(bnn_value(k),
                       bnn_value(bnn_kl_dirichlet(bnn_input(&t, (bnn_mat){ 1, 2, a }), NULL)));
    }
    bnn_tape_free(&t);
}

int main(void) {
    RUN(every_density_integrates_to_1);
    RUN(every_mass_function_sums_to_1);
    RUN(losses_have_their_closed_form_values);
    RUN(the_best_log_variance_is_the_mean_square_and_costs_half_ln_2_pi_e_v);
    RUN(log_variances_are_clamped_at_87_with_gradient_0_outside);
    RUN(other_units_change_every_likelihood_by_the_jacobian_alone);
    RUN(losses_far_from_1_equal_mpmath);
    RUN(divergences_far_from_1_equal_mpmath);
    RUN(a_nan_makes_its_row_nan_and_leaves_the_others);
    RUN(a_row_of_logits_that_are_all_minus_infinity_is_an_error);
    RUN(nothing_times_its_infinite_logarithm_is_nothing);
    RUN(a_row_too_large_for_a_float_is_an_error_that_names_it);
    RUN(a_student_with_endless_degrees_is_a_gaussian);
    RUN(equal_logits_cost_ln_K_and_one_class_costs_nothing);
    RUN(hard_labels_equal_one_hot_targets_bit_for_bit);
    RUN(temperature_divides_the_logits_and_soft_targets_may_sum_to_any_weight);
    RUN(huge_and_infinite_logits_are_handled);
    RUN(impossible_events_are_infinite_and_a_value_beyond_all_floats_names_its_row);
    RUN(bernoulli_is_symmetric_at_one_half_and_a_softmax_of_0_and_z);
    RUN(kl_of_normals_equals_quadrature);
    RUN(kl_is_zero_at_equality_and_keeps_its_digits_close_to_it);
    RUN(kl_of_bernoulli_and_categorical_equal_their_sums);
    RUN(kl_of_dirichlets_equals_quadrature_for_two_classes);
    return check_done();
}
