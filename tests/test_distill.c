/* test_distill.c -- S8.10 to S8.12: the losses and gradients of dark knowledge against formulas,
 * their optimum by minimization, the students' inputs, and whole distillations of a network with
 * two weights against quadrature. Statistical checks allow Z standard errors (1e-4). */
#include "build.h"

#define Z 3.9
#define TIGHT BUILD_TOL(3e-6, 1e-12)

typedef struct world {
    bnn_arena mem;
    bnn_tape tape;
    bnn_params *w, *v; /* teacher, student */
    bnn_net teacher, student;
} world;

static const bnn_prior flat = { .kind = BNN_PRIOR_FLAT };

/* Answers with block 0, one row per input: gradients by output are gradients by parameter */
static bnn_var *table(bnn_tape *t, const bnn_net *net, bnn_var *x) {
    return bnn_rows(bnn_param(t, net->params, 0), 0, x->val.rows);
}

/* Teacher and student as tables of n answers */
static void world_open(world *u, size_t n, int teacher, size_t cols, int student, size_t s_cols,
                       uint64_t seed) {
    memset(u, 0, sizeof *u);
    u->tape.rng = bnn_rng_seed(build_seed(seed));
    u->w = bnn_params_new(&u->mem);
    u->v = bnn_params_new(&u->mem);
    bnn_params_add(u->w, n, cols, "teacher", flat);
    bnn_params_add(u->v, n, s_cols, "student", flat);
    bnn_rng_fill_normal(&u->tape.rng, u->w->n, u->w->theta);
    bnn_rng_fill_normal(&u->tape.rng, u->v->n, u->v->theta);
    u->teacher = (bnn_net){ .params = u->w, .forward = table, .likelihood = teacher,
                            .noise_std = (float)0.5, .nu = 4 };
    u->student = (bnn_net){ .params = u->v, .forward = table, .likelihood = student,
                            .noise_std = (float)0.25, .nu = 4 };
}

static void world_close(world *u) {
    CHECK(u->tape.err == BNN_OK && u->mem.err == BNN_OK);
    bnn_tape_free(&u->tape);
    bnn_arena_free(&u->mem);
}

static bnn_var *nothing(world *u, size_t n) { /* n inputs that nobody looks at */
    return bnn_op(&u->tape, n, 1, NULL, 0, NULL);
}

static double loss_and_gradient(world *u, size_t n, const bnn_ensemble *post) {
    bnn_var *loss;
    bnn_tape_reset(&u->tape);
    u->tape.n_data = 0;
    loss = bnn_distill_loss(&u->student, nothing(u, n), &u->teacher, post);
    bnn_params_zero_grad(u->v);
    bnn_backward(loss);
    return (double)bnn_value(loss);
}

static void softmax(const float *z, size_t k, double *p) {
    double sum = 0;
    for (size_t j = 0; j < k; j++) sum += p[j] = exp((double)z[j]);
    for (size_t j = 0; j < k; j++) p[j] /= sum;
}

/* ---- S8.10 */

static void the_gradient_of_the_logits_is_softmax_minus_the_teacher(void) {
    enum { N = 5, K = 3 };
    world u;
    double loss, expect = 0, p[K], q[K];
    world_open(&u, N, BNN_CATEGORICAL, K, BNN_CATEGORICAL, K, 500);
    loss = loss_and_gradient(&u, N, NULL);
    for (size_t i = 0; i < N; i++) {
        softmax(u.w->theta + i * K, K, p);
        softmax(u.v->theta + i * K, K, q);
        for (size_t k = 0; k < K; k++) {
            expect -= p[k] * log(q[k]) / N;
            CHECK_NEAR(u.v->grad[i * K + k], (q[k] - p[k]) / N, TIGHT);
        }
    }
    CHECK_NEAR(loss, expect, TIGHT);
    world_close(&u);
    world_open(&u, N, BNN_BERNOULLI, K, BNN_BERNOULLI, K, 501);
    loss = loss_and_gradient(&u, N, NULL);
    expect = 0;
    for (size_t i = 0; i < N * K; i++) {
        double a = 1 / (1 + exp(-(double)u.w->theta[i])), b = 1 / (1 + exp(-(double)u.v->theta[i]));
        expect -= (a * log(b) + (1 - a) * log(1 - b)) / N;
        CHECK_NEAR(u.v->grad[i], (b - a) / N, TIGHT);
    }
    CHECK_NEAR(loss, expect, TIGHT);
    world_close(&u);
}

static void the_mean_of_the_losses_is_the_loss_of_the_mean(void) {
    enum { N = 4, K = 3, S = 6 };
    world u;
    double pb[N][K] = { { 0 } }, grad[N * K] = { 0 }, mean = 0, ce = 0, kl = 0, h = 0, p[K], q[K];
    world_open(&u, N, BNN_CATEGORICAL, K, BNN_CATEGORICAL, K, 502);
    for (int s = 0; s < S; s++) { /* each member of the posterior in turn, in minibatches of 2 */
        bnn_rng_fill_normal(&u.tape.rng, N * K, u.w->theta);
        mean += loss_and_gradient(&u, N, NULL) / S;
        for (size_t i = 0; i < N * K; i++) grad[i] += (double)u.v->grad[i] / S;
        for (size_t i = 0; i < N; i++) {
            softmax(u.w->theta + i * K, K, p);
            for (int k = 0; k < K; k++) pb[i][k] += p[k] / S;
        }
    }
    for (size_t i = 0; i < N; i++) {
        softmax(u.v->theta + i * K, K, q);
        for (size_t k = 0; k < K; k++) {
            ce -= pb[i][k] * log(q[k]) / N;
            kl += pb[i][k] * log(pb[i][k] / q[k]) / N;
            h -= pb[i][k] * log(pb[i][k]) / N;
            CHECK_NEAR(grad[i * K + k], (q[k] - pb[i][k]) / N, TIGHT);
        }
    }
    CHECK_NEAR(mean, ce, TIGHT);
    CHECK_NEAR(mean, kl + h, TIGHT);
    world_close(&u);
}

/* A linear student and teacher: gradients over minibatches of (s, x') average to the full one */
static void minibatches_over_samples_and_inputs_average_to_the_full_gradient(void) {
    enum { N = 6, S = 4 };
    bnn_mlp_desc d = { .sizes = { 2, 3 }, .likelihood = BNN_CATEGORICAL, .prior = { .std = 2 } };
    world u;
    bnn_mat x;
    double full[9] = { 0 }, part[9] = { 0 };
    float member[S][9];
    memset(&u, 0, sizeof u);
    u.w = bnn_params_new(&u.mem);
    u.v = bnn_params_new(&u.mem);
    u.teacher = bnn_mlp(u.w, d);
    u.student = bnn_mlp(u.v, d);
    x = bnn_mat_new(&u.mem, N, 2);
    bnn_rng_fill_normal(&u.tape.rng, 2 * N, x.data);
    bnn_rng_fill_normal(&u.tape.rng, S * 9, member[0]);
    for (int s = 0; s < S; s++) {
        memcpy(u.w->theta, member[s], sizeof member[s]);
        for (size_t b = 0; b <= 3; b++) { /* three pairs of rows, then all at once */
            bnn_mat rows = b < 3 ? bnn_mat_rows(x, 2 * b, 2) : x;
            bnn_tape_reset(&u.tape);
            u.tape.n_data = 10;
            bnn_params_zero_grad(u.v);
            bnn_backward(bnn_distill_loss(&u.student, bnn_input(&u.tape, rows), &u.teacher, NULL));
            for (int i = 0; i < 9; i++) {
                if (b < 3) part[i] += (double)u.v->grad[i] / 3 / S;
                else full[i] += (double)u.v->grad[i] / S;
            }
        }
    }
    for (int i = 0; i < 9; i++) CHECK_NEAR(part[i], full[i], TIGHT);
    world_close(&u);
}

/* ---- S8.11 */

static void regression_has_the_stated_loss_and_gradients(void) {
    enum { N = 4, K = 2 };
    static const int teachers[5] = { BNN_GAUSSIAN, BNN_GAUSSIAN_HETERO, BNN_DOUBLE_EXPONENTIAL, BNN_STUDENT,
                                     BNN_POISSON };
    for (int kind = 0; kind < 5; kind++) {
        for (int learned = 0; learned < 2; learned++) {
            world u;
            double loss, expect = 0;
            int lik = teachers[kind];
            size_t cols = lik == BNN_GAUSSIAN_HETERO ? 2 * K : K;
            world_open(&u, N, lik, cols, learned ? BNN_GAUSSIAN_HETERO : BNN_GAUSSIAN,
                       learned ? 2 * K : K, 510);
            loss = loss_and_gradient(&u, N, NULL);
            for (size_t i = 0; i < N * K; i++) {
                const float *t = u.w->theta + i / K * cols + i % K;
                size_t at = learned ? i / K * 2 * K + i % K : i;
                double f = (double)*t, v = 0.25, m = (double)u.v->theta[at], a = 2 * log(0.25), r;
                if (lik == BNN_GAUSSIAN_HETERO) v = exp((double)t[K]);
                if (lik == BNN_DOUBLE_EXPONENTIAL || lik == BNN_STUDENT) v = 0.5; /* 2 b^2; s^2 nu/(nu-2) */
                if (lik == BNN_POISSON) f = v = exp(f);
                if (learned) a = (double)u.v->theta[at + K];
                r = exp(-a) * ((m - f) * (m - f) + v);
                expect += (r + a + log(8 * atan(1))) / 2 / N;
                CHECK_NEAR(u.v->grad[at], exp(-a) * (m - f) / N, TIGHT * 20);
                if (learned) CHECK_NEAR(u.v->grad[at + K], (1 - r) / 2 / N, TIGHT * 20);
            }
            CHECK_NEAR(loss, expect, TIGHT * (1 + fabs(expect)));
            world_close(&u);
        }
    }
}

static void the_best_student_has_the_mean_and_the_total_variance(void) {
    enum { S = 5 };
    world u;
    float member[S][2];
    double mean = 0, var = 0, noise = 0, best;
    bnn_stepper s;
    world_open(&u, 1, BNN_GAUSSIAN_HETERO, 2, BNN_GAUSSIAN_HETERO, 2, 511);
    for (int k = 0; k < S; k++) {
        member[k][0] = (float)sin(5.0 * k), member[k][1] = (float)(0.5 * cos(3.0 * k) - 1);
        mean += (double)member[k][0] / S, noise += exp((double)member[k][1]) / S;
        var += pow((double)member[k][0], 2) / S;
    }
    var -= mean * mean;
    s = bnn_sgd(u.v, (bnn_sgd_desc){ .lr = (float)0.2 });
    for (int step = 0; step < 1500; step++) {
        bnn_var *loss;
        bnn_tape_reset(&u.tape);
        loss = bnn_scalar(&u.tape, 0);
        for (int k = 0; k < S; k++) { /* the whole posterior in every step */
            memcpy(u.w->theta, member[k], sizeof member[k]);
            loss = bnn_add(loss, bnn_distill_loss(&u.student, nothing(&u, 1), &u.teacher, NULL));
        }
        loss = bnn_scale(loss, (float)(1.0 / S));
        best = (double)bnn_value(loss);
        bnn_backward(loss);
        bnn_step(&s, &u.tape);
    }
    CHECK_NEAR(u.v->theta[0], mean, BUILD_TOL(1e-5, 1e-9));
    CHECK_NEAR(exp((double)u.v->theta[1]), var + noise, BUILD_TOL(1e-5, 1e-9));
    CHECK_NEAR(best, (1 + log(var + noise) + log(8 * atan(1))) / 2, BUILD_TOL(1e-5, 1e-9));
    world_close(&u);
}

static void scaled_nets_meet_in_the_units_of_y(void) {
    world u;
    float a[1] = { 10 }, c[1] = { 4 }, b[1] = { -3 }, d[1] = { (float)0.5 };
    double f, v, m, s, loss;
    world_open(&u, 1, BNN_GAUSSIAN_HETERO, 2, BNN_GAUSSIAN_HETERO, 2, 512);
    u.teacher.scaling.y_mean = (bnn_mat){ 1, 1, a };
    u.teacher.scaling.y_std = (bnn_mat){ 1, 1, c };
    u.student.scaling.y_mean = (bnn_mat){ 1, 1, b };
    u.student.scaling.y_std = (bnn_mat){ 1, 1, d };
    loss = loss_and_gradient(&u, 1, NULL);
    f = 10 + 4 * (double)u.w->theta[0], v = 16 * exp((double)u.w->theta[1]);
    m = -3 + 0.5 * (double)u.v->theta[0], s = (double)u.v->theta[1] + log(0.25);
    CHECK_NEAR(loss, (((m - f) * (m - f) + v) * exp(-s) + s + log(8 * atan(1))) / 2, TIGHT * loss);
    world_close(&u);
}

/* ---- what the loss does with its teacher */

static void samples_are_drawn_by_their_weights(void) {
    static const double weights[2][4] = { { 1, 1, 1, 1 }, { 1, 0, 5, 2 } };
    enum { DRAWS = 8000 };
    for (int k = 0; k < 2; k++) {
        world u;
        bnn_ensemble post;
        double count[4] = { 0 }, total = 0;
        world_open(&u, 1, BNN_GAUSSIAN, 1, BNN_GAUSSIAN, 1, 520);
        post = bnn_ensemble_new(u.w, 4);
        for (int s = 0; s < 4; s++) {
            u.w->theta[0] = (float)s;
            bnn_ensemble_push_from(&post, u.w, weights[k][s]);
            total += weights[k][s];
        }
        u.student.noise_std = 1;
        u.v->theta[0] = 0;
        for (int i = 0; i < DRAWS; i++) { /* the gradient is 0 - f: it tells which f it was */
            loss_and_gradient(&u, 1, &post);
            count[(int)(0.5 - (double)u.v->grad[0])]++;
        }
        for (int s = 0; s < 4; s++) {
            double p = weights[k][s] / total;
            CHECK_NEAR(count[s] / DRAWS, p, Z * sqrt(p * (1 - p) / DRAWS));
        }
        world_close(&u);
    }
}

static void the_teacher_is_a_constant_and_drops_nothing(void) {
    bnn_mlp_desc d = { .sizes = { 2, 8, 3 }, .likelihood = BNN_CATEGORICAL, .dropout = (float)0.5 };
    world u;
    bnn_rng rng;
    bnn_mat x;
    float seen[2];
    memset(&u, 0, sizeof u);
    u.w = bnn_params_new(&u.mem);
    u.v = bnn_params_new(&u.mem);
    u.teacher = bnn_mlp(u.w, d);
    d.dropout = 0;
    u.student = bnn_mlp(u.v, d);
    x = bnn_mat_new(&u.mem, 4, 2);
    bnn_rng_fill_normal(&u.tape.rng, 8, x.data);
    for (size_t i = 0; i < u.w->n; i++) u.w->grad[i] = 7;
    rng = u.tape.rng;
    for (int k = 0; k < 2; k++) {
        bnn_var *leaf = bnn_leaf(&u.tape, x), *loss;
        loss = bnn_distill_loss(&u.student, leaf, &u.teacher, NULL);
        bnn_backward(loss);
        seen[k] = bnn_value(loss);
        CHECK(leaf->grad.data != NULL); /* the student's part only */
    }
    CHECK(seen[0] == seen[1] && memcmp(&rng, &u.tape.rng, sizeof rng) == 0);
    for (size_t i = 0; i < u.w->n; i++) CHECK(u.w->grad[i] == 7);
    CHECK(u.tape.training == 0);
    world_close(&u);
}

static void the_students_prior_counts_once_per_data_set(void) {
    bnn_mlp_desc d = { .sizes = { 2, 3 }, .likelihood = BNN_CATEGORICAL };
    world u;
    bnn_mat x;
    float without, with;
    memset(&u, 0, sizeof u);
    u.w = bnn_params_new(&u.mem);
    u.v = bnn_params_new(&u.mem);
    u.teacher = bnn_mlp(u.w, d);
    u.student = bnn_mlp(u.v, d);
    x = bnn_mat_new(&u.mem, 4, 2);
    without = bnn_value(bnn_distill_loss(&u.student, bnn_input(&u.tape, x), &u.teacher, NULL));
    u.tape.n_data = 40;
    with = bnn_value(bnn_distill_loss(&u.student, bnn_input(&u.tape, x), &u.teacher, NULL));
    CHECK_NEAR((double)with - (double)without, -bnn_params_log_prior(u.v) / 40, TIGHT * 10);
    world_close(&u);
}

/* bnn_distill draws inputs without end: a prior moves the student only if n_data is given. */
static void a_distilled_student_has_no_prior_unless_rows_are_given(void) {
    float theta[3][64], x[4] = { -1, 0, 1, 2 };
    for (int c = 0; c < 3; c++) {
        bnn_mlp_desc d = { .sizes = { 1, 3 }, .likelihood = BNN_CATEGORICAL };
        world u;
        memset(&u, 0, sizeof u);
        u.tape.rng = bnn_rng_seed(build_seed(31));
        u.tape.n_data = 77;
        u.w = bnn_params_new(&u.mem), u.v = bnn_params_new(&u.mem);
        u.teacher = bnn_mlp(u.w, d);
        if (c == 0) d.prior = flat;
        else d.prior.std = (float)0.1;
        u.student = bnn_mlp(u.v, d);
        bnn_distill(&u.tape, &u.student, &u.teacher, NULL, (bnn_mat){ 4, 1, x },
                    (bnn_distill_desc){ .steps = 50, .n_data = c == 2 ? 10 : 0 });
        memcpy(theta[c], u.v->theta, u.v->n * sizeof(float));
        CHECK(u.v->n == 6 && u.tape.n_data == 77); /* what the user has said stays */
        world_close(&u);
    }
    CHECK_SAME_ARRAY(theta[0], theta[1], 6);
    CHECK(memcmp(theta[0], theta[2], 6 * sizeof(float)) != 0);
}

/* Columns of size 1e-6, 1 and 1e6 around means of their own: a net that is standardized gets noise in
 * units of their standard deviations; one that is not, in their own. Six standard errors. */
static void noise_is_in_units_of_the_columns_of_a_standardized_net(void) {
    enum { N = 200, DRAWS = 4000 };
    static float x[N * 3], y[N];
    static const double unit[3] = { 1e-6, 1, 1e6 };
    for (int standardized = 0; standardized < 2; standardized++) {
        world u;
        bnn_var *v;
        memset(&u, 0, sizeof u);
        u.tape.rng = bnn_rng_seed(build_seed(32));
        u.w = bnn_params_new(&u.mem);
        for (int i = 0; i < N; i++) y[i] = (float)(i % 2);
        for (int i = 0; i < N * 3; i++)
            x[i] = (float)(unit[i % 3] * (5 + (double)bnn_rng_normal(&u.tape.rng)));
        u.student = bnn_mlp(u.w, (bnn_mlp_desc){ .sizes = { 3, 1 }, .likelihood = BNN_BERNOULLI });
        if (standardized)
            CHECK(bnn_net_standardize(&u.student, (bnn_data){ { N, 3, x }, { N, 1, y } }) == BNN_OK);
        v = bnn_distill_inputs(&u.tape, (bnn_mat){ 1, 3, x }, DRAWS,
                               (bnn_inputs_desc){ .noise = (float)0.5, .net = &u.student });
        for (int j = 0; j < 3; j++) {
            double want = standardized ? 0.5 * (double)u.student.scaling.x_std.data[j] : 0.5, s = 0;
            if (!standardized && j == 2) continue; /* lost in the float of a million */
            for (int i = 0; i < DRAWS; i++) {
                double e = (double)v->val.data[3 * i + j] - (double)x[j];
                s += e * e;
            }
            CHECK_NEAR(sqrt(s / DRAWS) / want, 1, 6 / sqrt(2.0 * DRAWS));
        }
        CHECK(bnn_distill_inputs(&u.tape, (bnn_mat){ 1, 2, x }, 3, (bnn_inputs_desc){
                  .noise = 1, .net = &u.student }) == &u.tape.poison || !standardized);
        bnn_tape_clear_error(&u.tape);
        world_close(&u);
    }
}

static void a_teacher_without_a_variance_is_an_error(void) {
    static const float nus[3] = { 1, 2, (float)2.5 };
    float x[2] = { 0, 1 };
    for (int c = 0; c < 3; c++) {
        world u;
        memset(&u, 0, sizeof u);
        u.w = bnn_params_new(&u.mem), u.v = bnn_params_new(&u.mem);
        u.teacher = bnn_mlp(u.w, (bnn_mlp_desc){ .sizes = { 1, 4, 1 }, .likelihood = BNN_STUDENT,
                            .noise_std = 1, .nu = nus[c] });
        u.student = bnn_mlp(u.v, (bnn_mlp_desc){ .sizes = { 1, 4, 2 },
                            .likelihood = BNN_GAUSSIAN_HETERO });
        bnn_distill(&u.tape, &u.student, &u.teacher, NULL, (bnn_mat){ 2, 1, x },
                    (bnn_distill_desc){ .steps = 10 });
        CHECK(c == 2 ? u.tape.err == BNN_OK : u.tape.err == BNN_EARG &&
              strstr(u.tape.msg, "no variance") != NULL);
        bnn_tape_clear_error(&u.tape);
        world_close(&u);
    }
}

static void likelihoods_that_cannot_teach_each_other_are_an_error(void) {
    for (int teacher = BNN_GAUSSIAN; teacher <= BNN_POISSON; teacher++) {
        for (int student = BNN_GAUSSIAN; student <= BNN_POISSON; student++) {
            world u;
            int classes = teacher == BNN_BERNOULLI || teacher == BNN_CATEGORICAL;
            int fits = classes ? student == teacher : student <= BNN_GAUSSIAN_HETERO;
            world_open(&u, 2, teacher, teacher == BNN_GAUSSIAN_HETERO ? 4 : 2, student,
                       student == BNN_GAUSSIAN_HETERO ? 4 : 2, 530);
            bnn_distill_loss(&u.student, nothing(&u, 2), &u.teacher, NULL);
            CHECK(u.tape.err == (fits ? BNN_OK : BNN_EARG));
            bnn_tape_clear_error(&u.tape);
            world_close(&u);
        }
    }
}

static void answers_of_different_width_are_an_error(void) {
    world u;
    world_open(&u, 2, BNN_CATEGORICAL, 3, BNN_CATEGORICAL, 4, 531);
    bnn_distill_loss(&u.student, nothing(&u, 2), &u.teacher, NULL);
    CHECK(u.tape.err == BNN_ESHAPE);
    bnn_tape_clear_error(&u.tape);
    world_close(&u);
}

/* ---- inputs */

static void inputs_are_rows_of_x_plus_noise(void) {
    enum { N = 30000 };
    float data[6] = { -100, 10, 0, 20, 100, 30 };
    bnn_tape t = { .rng = bnn_rng_seed(build_seed(540)) };
    bnn_mat x = { 3, 2, data };
    bnn_var *v = bnn_distill_inputs(&t, x, N, (bnn_inputs_desc){ .noise = (float)0.5 });
    double count[3] = { 0 }, sum = 0, square = 0, cross = 0;
    for (size_t i = 0; i < N; i++) {
        size_t row = v->val.data[2 * i] < -50 ? 0 : v->val.data[2 * i] < 50 ? 1 : 2;
        double a = (double)v->val.data[2 * i] - (double)data[2 * row];
        double b = (double)v->val.data[2 * i + 1] - (double)data[2 * row + 1];
        count[row]++;
        sum += a + b, square += a * a + b * b, cross += a * b;
    }
    for (int k = 0; k < 3; k++) CHECK_NEAR(count[k] / N, 1 / 3.0, Z * sqrt(2.0 / 9 / N));
    CHECK_NEAR(sum / (2 * N), 0, Z * 0.5 / sqrt(2 * N));
    CHECK_NEAR(square / (2 * N), 0.25, Z * 0.25 * sqrt(2.0 / (2 * N)));
    CHECK_NEAR(cross / N, 0, Z * 0.25 / sqrt(N));
    v = bnn_distill_inputs(&t, x, 100, (bnn_inputs_desc){ 0 }); /* without noise: the rows */
    for (size_t i = 0; i < 100; i++) {
        float a = v->val.data[2 * i];
        CHECK((a == -100 || a == 0 || a == 100) && v->val.data[2 * i + 1] == 20 + a / 10);
    }
    bnn_tape_free(&t);
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void a_box_is_uniform_over_the_widened_range(void) {
    enum { N = 5000 };
    static double at[N];
    float data[8] = { 1, -5, 3, -5, 2, 7, (float)1.5, 0 };
    bnn_tape t = { .rng = bnn_rng_seed(build_seed(541)) };
    bnn_mat x = { 4, 2, data };
    bnn_var *v = bnn_distill_inputs(&t, x, N, (bnn_inputs_desc){ .box = 1, .margin = (float)0.25 });
    double lo[2] = { 0.5, -8 }, hi[2] = { 3.5, 10 }; /* [1,3] and [-5,7], a quarter wider */
    for (size_t j = 0; j < 2; j++) {
        double worst = 0;
        for (size_t i = 0; i < N; i++)
            at[i] = ((double)v->val.data[2 * i + j] - lo[j]) / (hi[j] - lo[j]);
        qsort(at, N, sizeof *at, ascending);
        CHECK(at[0] >= 0 && at[N - 1] <= 1);
        for (size_t i = 0; i < N; i++) {
            worst = fmax(worst, fabs(at[i] - (double)i / N));
            worst = fmax(worst, fabs(at[i] - (double)(i + 1) / N));
        }
        CHECK(bnn_diag_ks_pvalue(worst, N) > 1e-4);
    }
    bnn_tape_free(&t);
}

static void counting(void *user, bnn_rng *rng, bnn_mat out) {
    (void)rng;
    for (size_t i = 0; i < out.rows * out.cols; i++) out.data[i] = (float)(*(int *)user)++;
}

static void inputs_may_come_from_a_function(void) {
    int from = 5;
    bnn_tape t = { 0 };
    bnn_mat nothing_yet = { 0, 3, NULL };
    bnn_inputs_desc d = { .generate = counting, .user = &from };
    bnn_var *v = bnn_distill_inputs(&t, nothing_yet, 4, d); /* only the number of columns counts */
    CHECK(t.err == BNN_OK && v->val.rows == 4 && v->val.cols == 3 && from == 17);
    CHECK(v->val.data[0] == 5 && v->val.data[11] == 16);
    bnn_tape_free(&t);
}

static void bad_inputs_are_errors(void) {
    float data[2] = { 1, 2 };
    for (int which = 0; which < 5; which++) {
        bnn_tape t = { 0 };
        bnn_mat x = { which == 1 ? 0 : 2, which == 2 ? 0 : 1, data };
        bnn_inputs_desc d = { .noise = which == 3 ? -1 : 0,
                              .margin = which == 4 ? (float)bnn__nan() : 0, .box = which == 4 };
        bnn_var *v = bnn_distill_inputs(&t, x, which == 0 ? 0 : 3, d);
        CHECK(t.err == BNN_EARG && v->val.data == NULL);
        bnn_tape_free(&t);
    }
}

/* ---- S8.12: p(y = 1 | x) = sigmoid(v tanh(w x)), two weights, against quadrature */

enum { POINTS = 5, GRID = 25 };
static const double class_x[POINTS] = { -2, -1, 0.25, 0.75, 1.75 };
static const double class_y[POINTS] = { 0, 0, 0, 1, 1 };

static double grid_x(int i) { return -3 + 6.0 * i / (GRID - 1); }

static double sigmoid(double z) { return 1 / (1 + exp(-z)); }

/* The exact predictive and that of the MAP, at the points of the grid */
static void exact_predictive(double *p, double *map) {
    double mass = 0, best = 0;
    memset(p, 0, GRID * sizeof *p);
    for (int i = 0; i < 400; i++) {
        for (int j = 0; j < 400; j++) {
            double w = -7 + 14 * (i + 0.5) / 400, v = -7 + 14 * (j + 0.5) / 400;
            double density = exp(-(w * w + v * v) / 2);
            for (int k = 0; k < POINTS; k++) {
                double q = sigmoid(v * tanh(w * class_x[k]));
                density *= class_y[k] > 0.5 ? q : 1 - q;
            }
            mass += density;
            for (int k = 0; k < GRID && (i + j) % 2 == 0; k++) {
                double q = sigmoid(v * tanh(w * grid_x(k)));
                p[k] += 2 * density * q;
                if (density > best) map[k] = q;
            }
            if ((i + j) % 2 == 0 && density > best) best = density;
        }
    }
    for (int k = 0; k < GRID; k++) p[k] /= mass;
}

static double divergence(const double *p, const double *q) { /* mean KL(p||q) over the grid */
    double sum = 0;
    for (int k = 0; k < GRID; k++)
        sum += p[k] * log(p[k] / q[k]) + (1 - p[k]) * log((1 - p[k]) / (1 - q[k]));
    return sum / GRID;
}

typedef struct lesson {
    world u;
    float x[POINTS], y[POINTS];
    bnn_data data;
    bnn_mat grid;
} lesson;

static void lesson_open(lesson *l, uint64_t seed) {
    memset(l, 0, sizeof *l);
    l->u.tape.rng = bnn_rng_seed(build_seed(seed));
    l->u.w = bnn_params_new(&l->u.mem);
    l->u.v = bnn_params_new(&l->u.mem);
    l->u.teacher = bnn_mlp(l->u.w, (bnn_mlp_desc){ .sizes = { 1, 1, 1 }, .activation = BNN_TANH,
                           .no_bias = 1, .likelihood = BNN_BERNOULLI });
    l->u.student = bnn_mlp(l->u.v, (bnn_mlp_desc){ .sizes = { 1, 16, 1 }, .activation = BNN_TANH,
                           .likelihood = BNN_BERNOULLI, .prior = flat, .seed = 1 });
    for (int i = 0; i < POINTS; i++) l->x[i] = (float)class_x[i], l->y[i] = (float)class_y[i];
    l->data = (bnn_data){ { POINTS, 1, l->x }, { POINTS, 1, l->y } };
    l->grid = bnn_mat_new(&l->u.mem, GRID, 1);
    for (int i = 0; i < GRID; i++) l->grid.data[i] = (float)grid_x(i);
}

static void teacher_step(lesson *l, bnn_stepper *sgld) {
    bnn_tape_reset(&l->u.tape);
    bnn_backward(bnn_net_loss(&l->u.teacher, bnn_batch_all(&l->u.tape, l->data)));
    bnn_step(sgld, &l->u.tape);
}

static double lesson_divergence(lesson *l, const bnn_net *net, const bnn_ensemble *post,
                                const double *p) {
    double q[GRID];
    bnn_predictive got = bnn_predict(&l->u.mem, &l->u.tape, net, post, l->grid);
    for (int k = 0; k < GRID; k++) q[k] = got.mean.data == NULL ? 0.5 : (double)got.mean.data[k];
    return divergence(p, q);
}

static void a_student_online_learns_the_exact_predictive(void) {
    enum { STEPS = 20000, BURN = 200 };
    double exact[GRID], map[GRID], kl;
    lesson l;
    bnn_stepper sgld, adam;
    exact_predictive(exact, map);
    lesson_open(&l, 550);
    sgld = bnn_sgld(l.u.w, (bnn_sgld_desc){ .lr = (float)(0.04 * POINTS) });
    adam = bnn_adam(l.u.v, (bnn_adam_desc){ 0 });
    for (size_t s = 0; s < BURN + STEPS; s++) {
        teacher_step(&l, &sgld);
        if (s < BURN) continue;
        adam.lr = (float)bnn_lr_cosine(1e-2, s - BURN, STEPS);
        bnn_backward(bnn_distill_loss(&l.u.student, bnn_distill_inputs(&l.u.tape, l.grid, 16,
                     (bnn_inputs_desc){ .box = 1 }), &l.u.teacher, NULL));
        bnn_step(&adam, &l.u.tape);
    }
    kl = lesson_divergence(&l, &l.u.student, NULL, exact);
    CHECK(kl < 1e-2);
    CHECK(kl < divergence(exact, map));
    world_close(&l.u);
}

static void a_student_offline_learns_a_stored_ensemble(void) {
    double exact[GRID], map[GRID], kl;
    lesson l;
    bnn_stepper sgld;
    bnn_ensemble post;
    bnn_mark before;
    size_t used;
    exact_predictive(exact, map);
    lesson_open(&l, 551);
    sgld = bnn_sgld(l.u.w, (bnn_sgld_desc){ .lr = (float)(0.04 * POINTS) });
    post = bnn_ensemble_new(l.u.w, 400);
    for (size_t s = 0; s < 200 + 400 * 50; s++) {
        teacher_step(&l, &sgld);
        if (s >= 200 && (s - 200) % 50 == 0) bnn_ensemble_push(&post);
    }
    CHECK(post.count == 400);
    CHECK(lesson_divergence(&l, &l.u.teacher, &post, exact) < 5e-3);
    before = bnn_arena_mark(&l.u.mem);
    used = before.used;
    bnn_distill(&l.u.tape, &l.u.student, &l.u.teacher, &post, l.grid,
                (bnn_distill_desc){ .steps = 8000, .batch = 16, .lr = (float)1e-2,
                                    .inputs = { .box = 1, .margin = (float)0.1 } });
    CHECK(used == l.u.mem.used && before.chunk == l.u.mem.chunk); /* nothing stays behind */
    kl = lesson_divergence(&l, &l.u.student, NULL, exact);
    CHECK(kl < 1e-2);
    CHECK(kl < divergence(exact, map));
    world_close(&l.u);
}

static void a_frozen_teacher_is_copied(void) {
    double p[GRID];
    lesson l;
    bnn_predictive got;
    lesson_open(&l, 552);
    l.u.w->theta[0] = (float)1.5, l.u.w->theta[1] = (float)2;
    got = bnn_predict(&l.u.mem, &l.u.tape, &l.u.teacher, NULL, l.grid);
    for (int k = 0; k < GRID; k++) p[k] = (double)got.mean.data[k];
    bnn_distill(&l.u.tape, &l.u.student, &l.u.teacher, NULL, l.grid,
                (bnn_distill_desc){ .steps = 3000, .batch = 16, .lr = (float)1e-2 });
    CHECK(lesson_divergence(&l, &l.u.student, NULL, p) < 1e-3);
    CHECK(l.u.w->theta[0] == (float)1.5 && l.u.w->theta[1] == 2);
    world_close(&l.u);
}

static void bnn_distill_is_its_loop_written_out_bit_for_bit(void) {
    enum { STEPS = 60 };
    const bnn_inputs_desc box = { .box = 1, .margin = (float)0.5 };
    lesson a, b;
    bnn_stepper adam;
    lesson_open(&a, 555);
    lesson_open(&b, 555);
    bnn_distill(&a.u.tape, &a.u.student, &a.u.teacher, NULL, a.grid,
                (bnn_distill_desc){ .steps = STEPS, .inputs = box });
    adam = bnn_adam(b.u.v, (bnn_adam_desc){ .lr = (float)1e-3 });
    for (size_t s = 0; s < STEPS; s++) {
        bnn_tape_reset(&b.u.tape);
        adam.lr = (float)bnn_lr_cosine((double)(float)1e-3, s, STEPS);
        bnn_backward(bnn_distill_loss(&b.u.student, bnn_distill_inputs(&b.u.tape, b.grid, 64, box),
                                      &b.u.teacher, NULL));
        bnn_step(&adam, &b.u.tape);
    }
    CHECK_SAME_ARRAY(a.u.v->theta, b.u.v->theta, a.u.v->n);
    world_close(&a.u);
    world_close(&b.u);
}

typedef struct watch {
    size_t calls, stop, expect;
    bnn_arena *mem;
    float *taken;
} watch;

static int watching(void *user, size_t done, size_t total) {
    watch *w = (watch *)user;
    CHECK(done == 100 * (w->calls + 1) && total == w->expect);
    if (w->mem != NULL && w->taken == NULL) {
        w->taken = (float *)bnn_arena_alloc(w->mem, 1000, sizeof(float));
        for (int i = 0; i < 1000; i++) w->taken[i] = 3;
    }
    return ++w->calls == w->stop;
}

static void distillation_reports_progress_and_can_be_canceled(void) {
    for (size_t stop = 0; stop < 4; stop += 3) {
        lesson l;
        watch w = { 0, stop, 1000, NULL, NULL };
        bnn_mark later;
        lesson_open(&l, 553);
        if (stop == 0) w.mem = &l.u.mem; /* and what the callback takes is its own */
        l.u.tape.progress = watching;
        l.u.tape.progress_user = &w;
        bnn_distill(&l.u.tape, &l.u.student, &l.u.teacher, NULL, l.grid,
                    (bnn_distill_desc){ .steps = 1000, .batch = 2 });
        CHECK(w.calls == (stop == 0 ? 10 : 3));
        CHECK(l.u.tape.err == (stop == 0 ? BNN_OK : BNN_ECANCEL));
        bnn_tape_clear_error(&l.u.tape);
        later = bnn_arena_mark(&l.u.mem);
        bnn_arena_alloc(&l.u.mem, 1000, sizeof(float));
        for (int i = 0; w.taken != NULL && i < 1000; i++) CHECK(w.taken[i] == 3);
        CHECK(later.used <= l.u.mem.used || later.chunk != l.u.mem.chunk);
        world_close(&l.u);
    }
}

static void a_distillation_that_cannot_be_is_an_error(void) {
    for (int which = 0; which < 5; which++) {
        lesson l;
        bnn_net dead = { 0 };
        bnn_distill_desc d = { .steps = 10 };
        bnn_ensemble empty;
        lesson_open(&l, 554);
        empty = bnn_ensemble_new(l.u.w, 3);
        if (which == 3) d.lr = -1;
        if (which == 4) l.grid.rows = 0;
        bnn_distill(&l.u.tape, which == 0 ? &dead : &l.u.student, which == 1 ? &dead : &l.u.teacher,
                    which == 2 ? &empty : NULL, l.grid, d);
        CHECK(l.u.tape.err == BNN_EARG);
        bnn_tape_clear_error(&l.u.tape);
        l.u.mem.err = BNN_OK;
        world_close(&l.u);
    }
}

int main(void) {
    RUN(the_gradient_of_the_logits_is_softmax_minus_the_teacher);
    RUN(the_mean_of_the_losses_is_the_loss_of_the_mean);
    RUN(minibatches_over_samples_and_inputs_average_to_the_full_gradient);
    RUN(regression_has_the_stated_loss_and_gradients);
    RUN(the_best_student_has_the_mean_and_the_total_variance);
    RUN(scaled_nets_meet_in_the_units_of_y);
    RUN(samples_are_drawn_by_their_weights);
    RUN(the_teacher_is_a_constant_and_drops_nothing);
    RUN(the_students_prior_counts_once_per_data_set);
    RUN(a_distilled_student_has_no_prior_unless_rows_are_given);
    RUN(noise_is_in_units_of_the_columns_of_a_standardized_net);
    RUN(a_teacher_without_a_variance_is_an_error);
    RUN(likelihoods_that_cannot_teach_each_other_are_an_error);
    RUN(answers_of_different_width_are_an_error);
    RUN(inputs_are_rows_of_x_plus_noise);
    RUN(a_box_is_uniform_over_the_widened_range);
    RUN(inputs_may_come_from_a_function);
    RUN(bad_inputs_are_errors);
    RUN(a_student_online_learns_the_exact_predictive);
    RUN(a_student_offline_learns_a_stored_ensemble);
    RUN(a_frozen_teacher_is_copied);
    RUN(bnn_distill_is_its_loop_written_out_bit_for_bit);
    RUN(distillation_reports_progress_and_can_be_canceled);
    RUN(a_distillation_that_cannot_be_is_an_error);
    return check_done();
}
