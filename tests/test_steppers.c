/* test_steppers.c -- S4.1 to S4.5 and S4.16: optimizers against their recursions, closed forms and
 * PyTorch; schedules; what a stepper refuses. Nothing here is left to chance. */
#include "build.h"
#include "oracles/torch_steppers.inc"

#define TIGHT BUILD_TOL(2e-6, 1e-12)

typedef struct world { /* n parameters in two blocks: "first" has 2, "second" the rest */
    bnn_arena mem;
    bnn_tape tape;
    bnn_params *w;
} world;

static void world_open(world *u, size_t n, const double *start) {
    bnn_prior flat = { .kind = BNN_PRIOR_FLAT };
    memset(u, 0, sizeof *u);
    u->tape.n_data = 1;
    u->w = bnn_params_new(&u->mem);
    bnn_params_add(u->w, 1, n < 2 ? n : 2, "first", flat);
    if (n > 2) bnn_params_add(u->w, 1, n - 2, "second", flat);
    for (size_t i = 0; i < n; i++) u->w->theta[i] = (float)start[i];
}

static void world_close(world *u) {
    bnn_tape_free(&u->tape);
    bnn_arena_free(&u->mem);
}

/* A loss with exactly this gradient: sum g w */
static void world_gradient(world *u, const double *g) {
    bnn_var *loss;
    bnn_tape_reset(&u->tape);
    loss = bnn_scalar(&u->tape, 0);
    for (size_t b = 0; b < u->w->n_blocks; b++) {
        bnn_var *p = bnn_param(&u->tape, u->w, b);
        bnn_var *c = bnn_op(&u->tape, p->val.rows, p->val.cols, NULL, 0, NULL);
        for (size_t i = 0; i < c->val.rows * c->val.cols; i++)
            c->val.data[i] = (float)g[u->w->blocks[b].offset + i];
        loss = bnn_add(loss, bnn_sum(bnn_mul(p, c)));
    }
    bnn_backward(loss);
}

static void world_step(world *u, bnn_stepper *s, const double *g) {
    world_gradient(u, g);
    bnn_step(s, &u->tape);
}

static const double one[1] = { 1 };
static const double five[5] = { 0.5, -1.25, 2, -0.03125, 0.75 };

/* ---- PyTorch */

static bnn_stepper torch_stepper(bnn_params *w, int run) {
    const float lr = 0.03125, wd = 0.0625, a = 0.875, b = 0.96875, eps = (float)1e-6;
    bnn_sgd_desc sgd = { .lr = 0.125 };
    bnn_adam_desc adam = { .lr = lr, .beta1 = a, .beta2 = b, .eps = eps };
    bnn_rmsprop_desc rms = { .lr = lr, .alpha = b, .eps = eps };
    if (run >= TORCH_AMSGRAD) adam.beta2 = 0.75, adam.amsgrad = 1;
    adam.decoupled = run == TORCH_ADAMW || run == TORCH_AMSGRADW;
    if (adam.decoupled || run == TORCH_ADAM_L2) adam.weight_decay = wd;
    if (run == TORCH_RMSALL || run == TORCH_CENTERED)
        rms.centered = 1, rms.alpha = a, rms.eps = 0.0625;
    if (run == TORCH_RMSALL || run == TORCH_RMSMOMENTUM) rms.momentum = 0.5;
    if (run == TORCH_RMSALL || run == TORCH_RMSPROP) rms.weight_decay = wd;
    if (run == TORCH_SGD_DECAY || run == TORCH_DAMPENING) sgd.weight_decay = wd;
    if (run >= TORCH_MOMENTUM) sgd.momentum = a;
    if (run == TORCH_DAMPENING) sgd.dampening = 0.25;
    sgd.nesterov = run == TORCH_NESTEROV;
    if (run <= TORCH_NESTEROV) return bnn_sgd(w, sgd);
    if (run <= TORCH_AMSGRADW) return bnn_adam(w, adam);
    if (run <= TORCH_RMSALL) return bnn_rmsprop(w, rms);
    if (run == TORCH_ADAGRAD)
        return bnn_adagrad(w, (bnn_adagrad_desc){ 0.125, 0.25, eps, wd, 0 });
    return bnn_adadelta(w, (bnn_adadelta_desc){ 1, 0.9375, (float)1e-3, wd, 0 });
}

static void ten_steps_of_every_optimizer_agree_with_pytorch(void) {
    for (int run = 0; run < TORCH_RUNS; run++) {
        world u;
        bnn_stepper s;
        world_open(&u, TORCH_N, torch_start);
        s = torch_stepper(u.w, run);
        for (int t = 0; t < TORCH_STEPS; t++) {
            world_step(&u, &s, torch_grads[t]);
            for (size_t i = 0; i < TORCH_N; i++)
                CHECK_NEAR(u.w->theta[i], torch_after[run][t][i], BUILD_TOL(4e-6, 1e-12));
        }
        CHECK(u.tape.err == BNN_OK && s.t == TORCH_STEPS);
        world_close(&u);
    }
}

/* ---- closed forms */

static void sgd_on_a_quadratic_shrinks_by_one_minus_lr_h(void) {
    world u;
    bnn_stepper s;
    double h = 3, x = 1;
    world_open(&u, 1, one);
    s = bnn_sgd(u.w, (bnn_sgd_desc){ .lr = 0.125 });
    for (int t = 1; t <= 40; t++) {
        double g = h * (double)u.w->theta[0];
        world_step(&u, &s, &g);
        x *= 1 - 0.125 * h;
        CHECK_NEAR(u.w->theta[0], x, TIGHT * fabs(x) * 10);
    }
    world_close(&u);
}

static double momentum_after(double lr, double mom, int steps, int check) {
    world u;
    bnn_stepper s;
    double x = 1, b = 0, h = 2, last;
    world_open(&u, 1, one);
    s = bnn_sgd(u.w, (bnn_sgd_desc){ .lr = (float)lr, .momentum = (float)mom });
    for (int t = 0; t < steps; t++) {
        double g = h * (double)u.w->theta[0];
        world_step(&u, &s, &g);
        b = mom * b + h * x;
        x -= lr * b;
        if (check) CHECK_NEAR(u.w->theta[0], x, TIGHT * 10);
    }
    last = fabs((double)u.w->theta[0]);
    world_close(&u);
    return last;
}

static void momentum_follows_its_linear_recursion_and_its_stability_limit(void) {
    double mom = 0.5, limit = 2 * (1 + mom) / 2; /* lr h < 2 (1 + mom), h = 2 */
    momentum_after(0.0625, 0.875, 60, 1);
    CHECK(momentum_after(0.98 * limit, mom, 600, 0) < 1e-2);
    CHECK(momentum_after(1.02 * limit, mom, 600, 0) > 1e2);
}

static void momentum_zero_is_plain_sgd_bit_for_bit(void) {
    world u, v;
    bnn_stepper s, r;
    world_open(&u, 5, five);
    world_open(&v, 5, five);
    s = bnn_sgd(u.w, (bnn_sgd_desc){ .lr = 0.1 });
    r = bnn_sgd(v.w, (bnn_sgd_desc){ .lr = 0.1, .momentum = 0.5, .nesterov = 1 });
    r.momentum = 0;
    for (int t = 0; t < TORCH_STEPS; t++) {
        world_step(&u, &s, torch_grads[t]);
        world_step(&v, &r, torch_grads[t]);
    }
    CHECK_SAME_ARRAY(u.w->theta, v.w->theta, 5);
    world_close(&u);
    world_close(&v);
}

static void adam_with_a_constant_gradient_moves_by_lr(void) {
    const double g[5] = { 3, -1e-3, 40, -0.5, 7 };
    for (int amsgrad = 0; amsgrad < 2; amsgrad++) {
        world u;
        bnn_stepper s;
        world_open(&u, 5, five);
        s = bnn_adam(u.w, (bnn_adam_desc){ .amsgrad = amsgrad });
        CHECK_NEAR(s.lr, 1e-3, 1e-9);
        for (int t = 1; t <= 30; t++) {
            world_step(&u, &s, g);
            for (size_t i = 0; i < 5; i++) {
                double to = five[i] - t * 1e-3 * (g[i] > 0 ? 1 : -1) / (1 + 1e-8 / fabs(g[i]));
                CHECK_NEAR(u.w->theta[i], to, BUILD_TOL(5e-6, 1e-12));
            }
        }
        world_close(&u);
    }
}

static void adagrad_with_a_constant_gradient_sums_reciprocal_roots(void) {
    const double g[5] = { 3, -0.25, 40, -0.5, 7 };
    world u;
    bnn_stepper s;
    double sum = 0;
    world_open(&u, 5, five);
    s = bnn_adagrad(u.w, (bnn_adagrad_desc){ .lr = 0.0625 });
    for (int t = 1; t <= 50; t++) {
        world_step(&u, &s, g);
        sum += 1 / sqrt((double)t);
        for (size_t i = 0; i < 5; i++)
            CHECK_NEAR(u.w->theta[i], five[i] - 0.0625 * sum * (g[i] > 0 ? 1 : -1),
                       BUILD_TOL(5e-6, 1e-8));
    }
    world_close(&u);
}

static void adadelta_takes_its_first_two_steps_as_by_hand(void) {
    const double eps = 1e-6, rho = 0.95, g1 = 2, g2 = -0.5;
    double v = (1 - rho) * g1 * g1, d1 = sqrt(eps) / sqrt(v + eps) * g1, d2;
    double w = (1 - rho) * d1 * d1;
    world u;
    bnn_stepper s;
    world_open(&u, 1, one);
    s = bnn_adadelta(u.w, (bnn_adadelta_desc){ 0 });
    CHECK_NEAR(d1, sqrt(eps / ((1 - rho) * g1 * g1 + eps)) * g1, 1e-15);
    world_step(&u, &s, &g1);
    CHECK_NEAR(u.w->theta[0], 1 - d1, BUILD_TOL(2e-7, 1e-12));
    v = rho * v + (1 - rho) * g2 * g2;
    d2 = sqrt(w + eps) / sqrt(v + eps) * g2; /* u was updated after d1, and only then */
    world_step(&u, &s, &g2);
    CHECK_NEAR(u.w->theta[0], 1 - d1 - d2, BUILD_TOL(3e-7, 1e-12));
    world_close(&u);
}

static void adadelta_does_not_feel_the_scale_of_the_gradient(void) {
    world u, v;
    bnn_stepper s, r;
    world_open(&u, 5, five);
    world_open(&v, 5, five);
    s = bnn_adadelta(u.w, (bnn_adadelta_desc){ .eps = (float)1e-8 });
    r = bnn_adadelta(v.w, (bnn_adadelta_desc){ .eps = (float)1e-8 });
    for (int t = 0; t < TORCH_STEPS; t++) {
        double g[5];
        for (size_t i = 0; i < 5; i++) g[i] = 256 * torch_grads[t][i];
        world_step(&u, &s, torch_grads[t]);
        world_step(&v, &r, g);
        for (size_t i = 0; i < 5; i++) CHECK_NEAR(u.w->theta[i], v.w->theta[i], 1e-6);
    }
    CHECK(fabs((double)u.w->theta[3] - five[3]) > 1e-4); /* it did move */
    world_close(&u);
    world_close(&v);
}

static void weight_decay_multiplies_by_one_minus_lr_wd(void) {
    const double none[5] = { 0, 0, 0, 0, 0 };
    world u;
    bnn_stepper s;
    world_open(&u, 5, five);
    s = bnn_sgd(u.w, (bnn_sgd_desc){ .lr = 0.5, .weight_decay = 0.25 });
    world_step(&u, &s, none);
    for (size_t i = 0; i < 5; i++) CHECK_NEAR(u.w->theta[i], 0.875 * five[i], TIGHT);
    s = bnn_adam(u.w, (bnn_adam_desc){ .lr = 0.5, .weight_decay = 0.25, .decoupled = 1 });
    world_step(&u, &s, none);
    for (size_t i = 0; i < 5; i++) CHECK_NEAR(u.w->theta[i], 0.875 * 0.875 * five[i], TIGHT);
    world_close(&u);
}

static void zero_fields_of_a_desc_mean_the_documented_defaults(void) {
    world u;
    bnn_stepper s;
    world_open(&u, 5, five);
    s = bnn_sgd(u.w, (bnn_sgd_desc){ 0 });
    CHECK(s.lr == (float)0.1 && s.momentum == 0 && s.s1 == NULL);
    s = bnn_adam(u.w, (bnn_adam_desc){ 0 });
    CHECK(s.lr == (float)1e-3 && s.beta1 == (float)0.9 && s.beta2 == (float)0.999);
    CHECK(s.eps == (float)1e-8);
    s = bnn_rmsprop(u.w, (bnn_rmsprop_desc){ 0 });
    CHECK(s.lr == (float)1e-2 && s.beta2 == (float)0.99 && s.eps == (float)1e-8);
    s = bnn_adagrad(u.w, (bnn_adagrad_desc){ 0 });
    CHECK(s.lr == (float)1e-2 && s.eps == (float)1e-10);
    s = bnn_adadelta(u.w, (bnn_adadelta_desc){ 0 });
    CHECK(s.lr == 1 && s.beta2 == (float)0.95 && s.eps == (float)1e-6);
    s = bnn_sgld(u.w, (bnn_sgld_desc){ 0 });
    CHECK(s.lr == (float)1e-2 && s.temperature == 1);
    s = bnn_psgld(u.w, (bnn_psgld_desc){ 0 });
    CHECK(s.lr == (float)1e-3 && s.beta2 == (float)0.99 && s.lambda == (float)1e-5);
    CHECK(s.burn_in == 1000);
    s = bnn_sghmc(u.w, (bnn_sghmc_desc){ 0 });
    CHECK(s.lr == (float)1e-2 && s.temperature == 1);
    CHECK(s.friction == (float)0.1 && s.noise_estimate == 0);
    world_close(&u);
}

/* ---- schedules */

static void the_cosine_schedule_goes_from_lr0_through_half_to_zero(void) {
    CHECK_NEAR(bnn_lr_cosine(0.3, 0, 1000), 0.3, 1e-12);
    CHECK_NEAR(bnn_lr_cosine(0.3, 500, 1000), 0.15, 1e-12);
    CHECK_NEAR(bnn_lr_cosine(0.3, 250, 1000), 0.15 * (1 + sqrt(0.5)), 1e-12);
    CHECK_NEAR(bnn_lr_cosine(0.3, 1000, 1000), 0, 1e-12);
    CHECK_NEAR(bnn_lr_cosine(0.3, 0, 0), 0.3, 1e-12);
}

static void the_polynomial_schedule_meets_its_end_points(void) {
    static const double gammas[3] = { 0.55, 0.75, 1 };
    for (int i = 0; i < 3; i++) {
        double g = gammas[i], b = 999 / (pow(1e-2 / 1e-4, 1 / g) - 1);
        double sum = 0, squares = 0, half = 0;
        CHECK_NEAR(bnn_lr_polynomial(1e-2, 1e-4, g, 0, 1000), 1e-2, 1e-12);
        CHECK_NEAR(bnn_lr_polynomial(1e-2, 1e-4, g, 999, 1000), 1e-4, 1e-12);
        CHECK_NEAR(bnn_lr_polynomial(1e-2, 1e-4, g, 123, 1000), 1e-2 * pow(b, g) * pow(b + 123, -g),
                   1e-12); /* a (b + t)^-gamma, a = lr0 b^gamma */
        for (size_t k = 0; k < 1000000; k += 10) {
            double lr = bnn_lr_polynomial(1e-2, 1e-4, g, k, 1000);
            sum += 10 * lr;
            squares += 10 * lr * lr;
            if (k < 500000) half = squares;
        }
        CHECK(squares - half < 0.1 * squares); /* converges, while the sum goes on */
        CHECK(sum > bnn_lr_polynomial(1e-2, 1e-4, g, 0, 1000) * 100);
    }
    CHECK_SAME(bnn_lr_polynomial(0.25, 0.25, 0.75, 17, 100), 0.25);
    CHECK_SAME(bnn_lr_polynomial(0.25, 0.1, 0.75, 0, 1), 0.25);
    CHECK_NEAR(bnn_lr_polynomial(1e-3, 1e-2, 1, 99, 100), 1e-2, 1e-12); /* upwards */
}

static void the_cyclical_schedule_explores_then_samples(void) {
    size_t total = 1003, cycles = 4, length = 251; /* ceil(1003/4) */
    int sampling = -1;
    for (size_t k = 0; k < total; k++) {
        double r = (double)(k % length) / (double)length;
        double lr = bnn_lr_cyclical(0.5, cycles, 0.8, k, total, &sampling);
        CHECK_NEAR(lr, 0.25 * (cos(3.14159265358979323846 * r) + 1), 1e-12);
        CHECK(sampling == (r >= 0.8));
    }
    bnn_lr_cyclical(0.5, 2, 0.25, 13, 100, &sampling);
    CHECK(sampling == 1);
    bnn_lr_cyclical(0.5, 2, 0.25, 12, 100, &sampling);
    CHECK(sampling == 0);
    for (size_t k = 0; k < 7; k++) /* C = 1: lr0 always */
        CHECK_NEAR(bnn_lr_cyclical(0.5, 7, 0, k, 7, NULL), 0.5, 1e-12);
}

/* ---- clipping */

static void clipping_limits_the_norm_and_keeps_the_direction(void) {
    const double g[5] = { 3, -4, 12, 0, 84 }, zero[5] = { 0, 0, 0, 0, 0 }; /* norm 85 */
    world u;
    bnn_stepper s;
    double norm = 0;
    world_open(&u, 5, zero);
    s = bnn_sgd(u.w, (bnn_sgd_desc){ .lr = 1, .clip = 2 });
    world_step(&u, &s, g);
    for (size_t i = 0; i < 5; i++) {
        norm += (double)u.w->theta[i] * (double)u.w->theta[i];
        CHECK_NEAR(u.w->theta[i], -g[i] * 2 / sqrt(9. + 16 + 144 + 84 * 84), TIGHT);
    }
    CHECK(sqrt(norm) <= 2 * (1 + 4 * BUILD_EPSILON));
    world_close(&u);
    world_open(&u, 5, zero); /* below the limit, and at zero: untouched */
    s = bnn_sgd(u.w, (bnn_sgd_desc){ .lr = 1, .clip = 86 });
    world_step(&u, &s, g);
    for (size_t i = 0; i < 5; i++) CHECK(u.w->theta[i] == (float)-g[i]);
    world_step(&u, &s, zero);
    for (size_t i = 0; i < 5; i++) CHECK(u.w->theta[i] == (float)-g[i]);
    world_close(&u);
}

/* ---- errors */

static bnn_stepper any_stepper(bnn_params *w, int kind) {
    switch (kind) {
    case BNN_SGD: return bnn_sgd(w, (bnn_sgd_desc){ .momentum = 0.5 });
    case BNN_ADAM: return bnn_adam(w, (bnn_adam_desc){ .amsgrad = 1 });
    case BNN_RMSPROP: return bnn_rmsprop(w, (bnn_rmsprop_desc){ .centered = 1 });
    case BNN_ADAGRAD: return bnn_adagrad(w, (bnn_adagrad_desc){ 0 });
    case BNN_ADADELTA: return bnn_adadelta(w, (bnn_adadelta_desc){ 0 });
    case BNN_SGLD: return bnn_sgld(w, (bnn_sgld_desc){ 0 });
    case BNN_PSGLD: return bnn_psgld(w, (bnn_psgld_desc){ 0 });
    default: return bnn_sghmc(w, (bnn_sghmc_desc){ 0 });
    }
}

static void a_gradient_that_is_not_finite_moves_nothing_and_names_its_block(void) {
    for (int kind = BNN_SGD; kind <= BNN_SGHMC; kind++) {
        for (size_t bad = 0; bad < 5; bad++) {
            world u;
            bnn_stepper s;
            float theta[5], s1[5] = { 0 };
            bnn_rng rng;
            world_open(&u, 5, five);
            s = any_stepper(u.w, kind);
            world_step(&u, &s, torch_grads[0]);
            world_gradient(&u, torch_grads[1]);
            u.w->grad[bad] = (float)(bad % 2 ? bnn__nan() : -bnn__inf());
            memcpy(theta, u.w->theta, sizeof theta);
            if (s.s1 != NULL) memcpy(s1, s.s1, sizeof s1);
            rng = u.tape.rng;
            bnn_step(&s, &u.tape);
            CHECK(u.tape.err == BNN_ENONFINITE && s.t == 1);
            CHECK(strstr(u.tape.msg, bad < 2 ? "first" : "second") != NULL);
            CHECK_SAME_ARRAY(theta, u.w->theta, 5);
            if (s.s1 != NULL) CHECK_SAME_ARRAY(s1, s.s1, 5);
            CHECK(memcmp(&rng, &u.tape.rng, sizeof rng) == 0);
            bnn_tape_clear_error(&u.tape);
            world_step(&u, &s, torch_grads[1]); /* and can go on */
            CHECK(u.tape.err == BNN_OK && s.t == 2);
            world_close(&u);
        }
    }
}

static void after_an_error_a_step_is_a_no_op(void) {
    world u;
    bnn_stepper s;
    world_open(&u, 5, five);
    s = bnn_sgd(u.w, (bnn_sgd_desc){ 0 });
    world_gradient(&u, torch_grads[0]);
    bnn_tape_fail(&u.tape, BNN_EARG, "test", "stop");
    bnn_step(&s, &u.tape);
    for (size_t i = 0; i < 5; i++) CHECK(u.w->theta[i] == (float)five[i]);
    CHECK(strcmp(u.tape.msg, "test: stop") == 0 && s.t == 0);
    world_close(&u);
}

static void a_step_consumes_the_gradient(void) {
    world u;
    bnn_stepper s;
    float theta[5];
    world_open(&u, 5, five);
    s = bnn_sgd(u.w, (bnn_sgd_desc){ 0 });
    world_step(&u, &s, torch_grads[0]);
    memcpy(theta, u.w->theta, sizeof theta);
    bnn_step(&s, &u.tape); /* no backward since: nothing to follow */
    CHECK(u.tape.err == BNN_EARG && strstr(u.tape.msg, "bnn_backward") != NULL && s.t == 1);
    CHECK_SAME_ARRAY(theta, u.w->theta, 5);
    world_close(&u);
}

static void a_stepper_refuses_parameters_that_grew(void) {
    world u;
    bnn_stepper s;
    world_open(&u, 5, five);
    s = bnn_adam(u.w, (bnn_adam_desc){ 0 });
    bnn_params_add(u.w, 2, 2, "third", (bnn_prior){ 0 });
    bnn_backward(bnn_sum(bnn_param(&u.tape, u.w, 0)));
    bnn_step(&s, &u.tape);
    CHECK(u.tape.err == BNN_ESHAPE && s.t == 0);
    CHECK(strstr(u.tape.msg, "5") != NULL && strstr(u.tape.msg, "9") != NULL);
    for (size_t i = 0; i < 5; i++) CHECK(u.w->theta[i] == (float)five[i]);
    world_close(&u);
}

static void samplers_refuse_clipping_weight_decay_and_missing_n_data(void) {
    for (int kind = BNN_SGLD; kind <= BNN_SGHMC; kind++) {
        for (int fault = 0; fault < 4; fault++) {
            world u;
            bnn_stepper s;
            world_open(&u, 5, five);
            s = any_stepper(u.w, kind);
            if (fault == 0) s.clip = 1;
            if (fault == 1) s.weight_decay = (float)1e-4;
            world_gradient(&u, torch_grads[0]);
            if (fault == 2) u.tape.n_data = 0;
            if (fault == 3) u.tape.n_data = bnn__nan();
            bnn_step(&s, &u.tape);
            CHECK(u.tape.err == BNN_EARG);
            if (fault >= 2) CHECK(strstr(u.tape.msg, "n_data") != NULL);
            for (size_t i = 0; i < 5; i++) CHECK(u.w->theta[i] == (float)five[i]);
            world_close(&u);
        }
    }
}

static bnn_var *flat_energy(bnn_tape *t, void *user) {
    (void)user;
    return bnn_scalar(t, 0);
}

static bnn_stepper bad_stepper(bnn_params *w, int which) {
    const float nan = (float)bnn__nan(), inf = (float)bnn__inf();
    switch (which) {
    case 0: return bnn_sgd(w, (bnn_sgd_desc){ .lr = -1 });
    case 1: return bnn_sgd(w, (bnn_sgd_desc){ .lr = nan });
    case 2: return bnn_sgd(w, (bnn_sgd_desc){ .lr = inf });
    case 3: return bnn_sgd(w, (bnn_sgd_desc){ .momentum = 1 });
    case 4: return bnn_sgd(w, (bnn_sgd_desc){ .momentum = (float)-0.5 });
    case 5: return bnn_sgd(w, (bnn_sgd_desc){ .clip = -1 });
    case 6: return bnn_sgd(w, (bnn_sgd_desc){ .weight_decay = nan });
    case 7: return bnn_adam(w, (bnn_adam_desc){ .beta1 = 1 });
    case 8: return bnn_adam(w, (bnn_adam_desc){ .beta2 = (float)1.5 });
    case 9: return bnn_adam(w, (bnn_adam_desc){ .eps = -1 });
    case 10: return bnn_rmsprop(w, (bnn_rmsprop_desc){ .alpha = -1 });
    case 11: return bnn_rmsprop(w, (bnn_rmsprop_desc){ .momentum = 2 });
    case 12: return bnn_adagrad(w, (bnn_adagrad_desc){ .lr_decay = -1 });
    case 13: return bnn_adadelta(w, (bnn_adadelta_desc){ .rho = 1 });
    case 14: return bnn_sgld(w, (bnn_sgld_desc){ .temperature = -1 });
    case 15: return bnn_sgld(w, (bnn_sgld_desc){ .temperature = inf });
    case 16: return bnn_psgld(w, (bnn_psgld_desc){ .alpha = 2 });
    case 17: return bnn_psgld(w, (bnn_psgld_desc){ .lambda = -1 });
    case 18: return bnn_sghmc(w, (bnn_sghmc_desc){ .friction = (float)1.5 });
    case 19: return bnn_sghmc(w, (bnn_sghmc_desc){ .friction = -1 });
    case 20: return bnn_sghmc(w, (bnn_sghmc_desc){ .noise_estimate = (float)0.2 });
    case 21: return bnn_hmc(w, (bnn_hmc_desc){ 0 });
    case 22: return bnn_hmc(w, (bnn_hmc_desc){ .energy = flat_energy, .step = -1 });
    case 23: return bnn_hmc(w, (bnn_hmc_desc){ .energy = flat_energy, .accept = 1 });
    case 24: return bnn_hmc(w, (bnn_hmc_desc){ .energy = flat_energy, .temperature = -1 });
    case 25: return bnn_hmc(w, (bnn_hmc_desc){ .energy = flat_energy, .trajectory = nan });
    default: {
        bnn_net other = { 0 };
        return bnn_hmc(w, (bnn_hmc_desc){ .net = &other });
    }
    }
}

static void a_bad_desc_is_an_error_and_its_stepper_moves_nothing(void) {
    for (int which = 0; which <= 26; which++) {
        world u;
        bnn_stepper s;
        world_open(&u, 5, five);
        s = bad_stepper(u.w, which);
        CHECK(u.mem.err == BNN_EARG && u.mem.msg[0] != '\0');
        world_step(&u, &s, torch_grads[0]);
        CHECK(u.tape.err == BNN_EARG && strstr(u.tape.msg, u.mem.msg) != NULL);
        bnn_tape_clear_error(&u.tape);
        u.mem.err = BNN_OK; /* even where the user brushes the error aside */
        world_step(&u, &s, torch_grads[0]);
        CHECK(u.tape.err != BNN_OK);
        for (size_t i = 0; i < 5; i++) CHECK(u.w->theta[i] == (float)five[i]);
        world_close(&u);
    }
}

static void settings_changed_to_nonsense_later_are_refused(void) {
    for (int which = 0; which < 8; which++) {
        world u;
        bnn_stepper s;
        world_open(&u, 5, five);
        s = which < 4 ? bnn_sgd(u.w, (bnn_sgd_desc){ 0 }) : bnn_sgld(u.w, (bnn_sgld_desc){ 0 });
        if (which == 6) s = bnn_adam(u.w, (bnn_adam_desc){ 0 });
        if (which == 7) s = bnn_hmc(u.w, (bnn_hmc_desc){ .energy = flat_energy });
        if (which == 0) s.lr = -1;
        if (which == 1) s.lr = (float)bnn__nan();
        if (which == 2) s.lr = (float)bnn__inf();
        if (which == 3) s.momentum = (float)0.5; /* there is no buffer for it */
        if (which == 4) s.temperature = -1;
        if (which == 5) s.temperature = (float)bnn__nan();
        if (which == 6) s.amsgrad = 1;
        if (which == 7) s.temperature = 0; /* HMC without noise is nothing */
        world_step(&u, &s, torch_grads[0]);
        CHECK(u.tape.err == BNN_EARG && s.t == 0);
        for (size_t i = 0; i < 5; i++) CHECK(u.w->theta[i] == (float)five[i]);
        world_close(&u);
    }
}

static void a_zeroed_stepper_is_an_error_not_a_crash(void) {
    bnn_stepper s = { 0 };
    bnn_tape tape = { 0 };
    bnn_step(&s, &tape);
    CHECK(tape.err == BNN_EARG);
    s = bnn_sgd(NULL, (bnn_sgd_desc){ 0 });
    tape.err = BNN_OK;
    bnn_step(&s, &tape);
    CHECK(tape.err == BNN_EARG);
    bnn_tape_free(&tape);
}

static void steppers_do_not_allocate_after_they_are_made(void) {
    for (int kind = BNN_SGD; kind <= BNN_SGHMC; kind++) {
        world u;
        bnn_stepper s;
        bnn_mark mark;
        size_t tape;
        world_open(&u, 5, five);
        s = any_stepper(u.w, kind);
        world_step(&u, &s, torch_grads[0]);
        mark = bnn_arena_mark(&u.mem);
        tape = bnn_arena_size(&u.tape.mem);
        for (int t = 1; t < TORCH_STEPS; t++) world_step(&u, &s, torch_grads[t]);
        CHECK(mark.used == u.mem.used && mark.chunk == u.mem.chunk);
        CHECK(tape == bnn_arena_size(&u.tape.mem));
        world_close(&u);
    }
}

/* ---- overflow */

enum { VARIANTS = 13 };

static bnn_stepper variant(bnn_params *w, int which, float lr) {
    switch (which) {
    case 0: return bnn_sgd(w, (bnn_sgd_desc){ .lr = lr });
    case 1: return bnn_sgd(w, (bnn_sgd_desc){ .lr = lr, .momentum = (float)0.9 });
    case 2: return bnn_sgd(w, (bnn_sgd_desc){ .lr = lr, .momentum = (float)0.9, .nesterov = 1 });
    case 3: return bnn_adam(w, (bnn_adam_desc){ .lr = lr });
    case 4: return bnn_adam(w, (bnn_adam_desc){ .lr = lr, .decoupled = 1,
                            .weight_decay = (float)0.01 });
    case 5: return bnn_adam(w, (bnn_adam_desc){ .lr = lr, .amsgrad = 1 });
    case 6: return bnn_rmsprop(w, (bnn_rmsprop_desc){ .lr = lr });
    case 7: return bnn_rmsprop(w, (bnn_rmsprop_desc){ .lr = lr, .momentum = (float)0.9 });
    case 8: return bnn_rmsprop(w, (bnn_rmsprop_desc){ .lr = lr, .centered = 1 });
    case 9: return bnn_adagrad(w, (bnn_adagrad_desc){ .lr = lr });
    case 10: return bnn_adadelta(w, (bnn_adadelta_desc){ .lr = lr });
    case 11: return bnn_psgld(w, (bnn_psgld_desc){ .lr = lr });
    default: return bnn_sghmc(w, (bnn_sghmc_desc){ .lr = lr });
    }
}

static int divides(int which) { return which >= 3 && which <= 11; } /* it squares g */

static const char *variant_name(int which) {
    return which < 3 ? "bnn_sgd" : which < 6 ? "bnn_adam" : which < 9 ? "bnn_rmsprop"
         : which == 9 ? "bnn_adagrad" : which == 10 ? "bnn_adadelta"
         : which == 11 ? "bnn_psgld" : "bnn_sghmc";
}

/* One gradient among ordinary ones whose square or step overflows: as if it had not come. */
static void a_step_that_would_overflow_moves_nothing_and_says_what(void) {
    const double square = BUILD_TOL(1e25, 1e170), top = BUILD_TOL(2e38, 1e308);
    for (int which = 0; which < VARIANTS; which++) {
        for (int at = 0; at < 5; at++) {
            world u, v;
            bnn_stepper s, r;
            size_t bad = at % 2 == 0 ? 1 : 3;
            world_open(&u, 5, five);
            world_open(&v, 5, five);
            s = variant(u.w, which, 2), r = variant(v.w, which, 2);
            for (int t = 0; t < 5; t++) {
                if (t == at) {
                    bnn_params_zero_grad(u.w); /* by hand: such a loss would not be finite */
                    for (int i = 0; i < 5; i++) u.w->grad[i] = (float)torch_grads[t][i];
                    u.w->grad[bad] = (float)((at < 3 ? 1 : -1) * (divides(which) ? square : top));
                    bnn_step(&s, &u.tape);
                    CHECK(u.tape.err == BNN_ENONFINITE && s.t == (uint64_t)t);
                    CHECK(strstr(u.tape.msg, variant_name(which)) != NULL);
                    CHECK(strstr(u.tape.msg, bad < 2 ? "first" : "second") != NULL);
                    CHECK(strstr(u.tape.msg, "overflow") != NULL && strlen(u.tape.msg) < 159);
                    bnn_tape_clear_error(&u.tape);
                }
                world_step(&u, &s, torch_grads[t]);
                world_step(&v, &r, torch_grads[t]);
            }
            CHECK_SAME_ARRAY(u.w->theta, v.w->theta, 5);
            if (s.s1 != NULL) CHECK_SAME_ARRAY(s.s1, r.s1, 5);
            if (s.s2 != NULL) CHECK_SAME_ARRAY(s.s2, r.s2, 5);
            if (s.s3 != NULL) CHECK_SAME_ARRAY(s.s3, r.s3, 5);
            CHECK(u.tape.err == BNN_OK && s.t == 5);
            CHECK(memcmp(&u.tape.rng, &v.tape.rng, sizeof u.tape.rng) == 0);
            world_close(&u);
            world_close(&v);
        }
    }
}

/* A large vector: the spike in any place, in tasks that threads share */
static void one_spike_among_many_is_found(void) {
    enum { N = 70001 };
    static double start[N];
    static float theta[N];
    static const size_t place[] = { 2, 1023, 1024, 32768, 65537, N - 1 };
    for (size_t k = 0; k < sizeof place / sizeof *place; k++) {
        for (int which = 0; which < VARIANTS; which++) {
            world u;
            bnn_stepper s;
            world_open(&u, N, start);
            s = variant(u.w, which, 2);
            for (int t = 0; t < 2; t++) {
                bnn_params_zero_grad(u.w);
                for (size_t i = 0; i < N; i++) u.w->grad[i] = (float)(i % 7) - 3;
                if (t == 1) u.w->grad[place[k]] = (float)BUILD_TOL(3e38, 1e308);
                memcpy(theta, u.w->theta, sizeof theta);
                bnn_step(&s, &u.tape);
                CHECK(u.tape.err == (t == 1 ? BNN_ENONFINITE : BNN_OK));
            }
            CHECK_SAME_ARRAY(theta, u.w->theta, N);
            world_close(&u);
        }
    }
}

static void a_large_gradient_that_does_not_overflow_is_followed(void) {
    const double size[] = { 1e8, 1e13, BUILD_TOL(1e15, 1e30), BUILD_TOL(1e17, 1e60) };
    for (int k = 0; k < 4; k++) {
        for (int which = 3; which < 6; which++) {
            world u;
            bnn_stepper s;
            double g[5];
            for (int i = 0; i < 5; i++) g[i] = (i % 2 ? -1 : 1) * size[k] * (i + 1);
            world_open(&u, 5, five);
            s = variant(u.w, which, (float)0.25);
            if (which == 4) s.weight_decay = 0;
            for (int t = 0; t < 3; t++) world_step(&u, &s, g);
            CHECK(u.tape.err == BNN_OK && s.t == 3);
            for (int i = 0; i < 5; i++)
                CHECK_NEAR(u.w->theta[i], five[i] - 0.75 * (i % 2 ? -1 : 1), 1e-5);
            world_close(&u);
        }
    }
}

static void what_grows_to_the_limit_stops_there_with_an_error(void) {
    const float most = (float)BUILD_TOL(FLT_MAX, DBL_MAX);
    for (int how = 0; how < 4; how++) {
        world u;
        bnn_stepper s;
        float last[2] = { 0, 0 };
        int steps = 0;
        world_open(&u, 1, one);
        s = how < 2 ? bnn_sgd(u.w, (bnn_sgd_desc){ .lr = 1 })
                    : bnn_sgd(u.w, (bnn_sgd_desc){ .lr = 1 / most, .momentum = (float)0.9 });
        if (how == 3) s = bnn_sgd(u.w, (bnn_sgd_desc){ .lr = 3 }); /* (1 - 3)^t by weight decay */
        if (how == 3) s.weight_decay = 1;
        if (how == 1) u.w->theta[0] = -most / 2;
        for (; steps < 3000 && u.tape.err == BNN_OK; steps++) {
            last[0] = u.w->theta[0], last[1] = s.s1 != NULL ? s.s1[0] : 0;
            bnn_params_zero_grad(u.w);
            if (how < 3) u.w->grad[0] = most / 8;
            bnn_step(&s, &u.tape);
        }
        CHECK(u.tape.err == BNN_ENONFINITE && s.t == (uint64_t)steps - 1);
        CHECK(steps > 3 && steps < 1100 && last[0] == u.w->theta[0]);
        if (s.s1 != NULL) CHECK(last[1] == s.s1[0] && last[1] > most / 2);
        CHECK((strstr(u.tape.msg, "velocity") != NULL) == (how == 2));
        CHECK((strstr(u.tape.msg, "value") != NULL) == (how != 2));
        world_close(&u);
    }
}

static void adam_without_eps_on_a_zero_gradient_is_an_error_not_nan(void) {
    const double none[5] = { 0, 1, 1, 1, 1 };
    world u;
    bnn_stepper s;
    world_open(&u, 5, five);
    s = bnn_adam(u.w, (bnn_adam_desc){ .eps = BNN_ZERO });
    CHECK(s.eps == 0);
    world_step(&u, &s, none);
    CHECK(u.tape.err == BNN_ENONFINITE);
    for (int i = 0; i < 5; i++) CHECK(u.w->theta[i] == (float)five[i]);
    world_close(&u);
}

static void a_clipped_spike_is_followed(void) {
    const double g[5] = { 0, BUILD_TOL(-1e30, -1e140), 0, 0, 0 };
    for (int which = 0; which < 11; which++) {
        world u;
        bnn_stepper s;
        world_open(&u, 5, five);
        s = variant(u.w, which, (float)0.5);
        s.clip = 1;
        world_step(&u, &s, g);
        CHECK(u.tape.err == BNN_OK && s.t == 1 && u.w->theta[1] > (float)five[1]);
        world_close(&u);
    }
}

/* ---- the order of a step */

static void a_second_step_without_a_reset_is_an_error(void) {
    for (int which = 0; which < VARIANTS; which++) {
        world u;
        bnn_stepper s;
        float theta[5];
        world_open(&u, 5, five);
        s = variant(u.w, which, (float)1e-3);
        for (int t = 0; t < 2; t++) {
            memcpy(theta, u.w->theta, sizeof theta);
            bnn_backward(bnn_add(bnn_sum(bnn_param(&u.tape, u.w, 0)),
                                 bnn_sum(bnn_square(bnn_param(&u.tape, u.w, 1)))));
            bnn_step(&s, &u.tape);
        }
        CHECK(u.tape.err == BNN_EARG && s.t == 1);
        CHECK(strstr(u.tape.msg, "call bnn_tape_reset at the start of each step") != NULL);
        CHECK_SAME_ARRAY(theta, u.w->theta, 5);
        bnn_tape_clear_error(&u.tape);
        world_step(&u, &s, torch_grads[0]); /* resets */
        CHECK(u.tape.err == BNN_OK && s.t == 2);
        world_close(&u);
    }
}

static void a_second_step_by_the_graph_of_the_first_is_an_error(void) {
    world u;
    bnn_stepper s;
    bnn_var *loss;
    world_open(&u, 5, five);
    s = bnn_sgd(u.w, (bnn_sgd_desc){ 0 });
    loss = bnn_sum(bnn_square(bnn_square(bnn_param(&u.tape, u.w, 0))));
    for (int t = 0; t < 2; t++) { /* its values are those before the step */
        bnn_backward(loss);
        bnn_step(&s, &u.tape);
    }
    CHECK(u.tape.err == BNN_EARG && s.t == 1);
    CHECK(strstr(u.tape.msg, "call bnn_tape_reset at the start of each step") != NULL);
    world_close(&u);
}

static void steps_that_need_no_reset_between_them_stay_legal(void) {
    world u;
    bnn_stepper s, r;
    world_open(&u, 5, five);
    s = bnn_sgd(u.w, (bnn_sgd_desc){ 0 });
    r = bnn_adam(u.w, (bnn_adam_desc){ 0 });
    world_gradient(&u, torch_grads[0]); /* several backward passes, several steppers */
    bnn_backward(bnn_sum(bnn_param(&u.tape, u.w, 1)));
    bnn_step(&s, &u.tape);
    bnn_backward(bnn_sum(bnn_param(&u.tape, u.w, 0)));
    bnn_step(&r, &u.tape);
    for (int t = 0; t < 5; t++) { /* gradients by hand, no nodes */
        bnn_params_zero_grad(u.w);
        u.w->grad[2] = 1;
        bnn_step(&s, &u.tape);
        CHECK(u.tape.err == (t == 0 ? BNN_EARG : BNN_OK) || t > 0);
        if (t == 0) bnn_tape_clear_error(&u.tape), bnn_tape_reset(&u.tape);
    }
    CHECK(u.tape.err == BNN_OK && s.t == 5);
    for (int t = 0; t < 5; t++) { /* a tape for each step, in the same place */
        bnn_tape tape;
        memset(&tape, 0, sizeof tape);
        for (int k = 0; k <= t % 3; k++) bnn_backward(bnn_sum(bnn_param(&tape, u.w, 0)));
        bnn_step(t % 2 ? &s : &r, &tape);
        bnn_step(&s, &u.tape);
        CHECK(tape.err == BNN_OK);
        bnn_tape_clear_error(&u.tape);
        bnn_tape_free(&tape);
    }
    for (int t = 0; t < 5; t++) { /* freed instead of reset */
        bnn_backward(bnn_sum(bnn_param(&u.tape, u.w, 0)));
        bnn_step(&s, &u.tape);
        bnn_tape_free(&u.tape);
    }
    CHECK(u.tape.err == BNN_OK);
    world_close(&u);
}

static void a_step_without_a_gradient_is_an_error(void) {
    for (int which = 0; which < VARIANTS; which++) {
        for (int first = 0; first < 2; first++) {
            world u;
            bnn_stepper s;
            float theta[5];
            world_open(&u, 5, five);
            s = variant(u.w, which, (float)1e-3);
            if (!first) world_step(&u, &s, torch_grads[0]);
            memcpy(theta, u.w->theta, sizeof theta);
            bnn_tape_reset(&u.tape);
            bnn_step(&s, &u.tape);
            CHECK(u.tape.err == BNN_EARG && s.t == (uint64_t)!first);
            CHECK(strstr(u.tape.msg, "no bnn_backward") != NULL && strstr(u.tape.msg, "first"));
            CHECK_SAME_ARRAY(theta, u.w->theta, 5);
            world_close(&u);
        }
    }
}

static void a_gradient_by_hand_is_a_gradient(void) {
    world u;
    bnn_stepper s;
    world_open(&u, 5, five);
    s = bnn_sgd(u.w, (bnn_sgd_desc){ .lr = 1 });
    u.w->grad[4] = 2; /* the first may be written without more ado */
    bnn_step(&s, &u.tape);
    bnn_params_zero_grad(u.w);
    u.w->grad[0] = 3;
    bnn_step(&s, &u.tape);
    bnn_params_zero_grad(u.w); /* even one of zeros */
    bnn_step(&s, &u.tape);
    CHECK(u.tape.err == BNN_OK && u.tape.notes == 0 && s.t == 3);
    CHECK(u.w->theta[4] == (float)(five[4] - 2) && u.w->theta[0] == (float)(five[0] - 3));
    world_close(&u);
}

static void a_block_that_no_gradient_reached_is_noted_once(void) {
    for (int missing = 0; missing < 2; missing++) {
        world u;
        bnn_stepper s;
        world_open(&u, 5, five);
        s = bnn_adam(u.w, (bnn_adam_desc){ 0 });
        for (int t = 0; t < 4; t++) {
            bnn_tape_reset(&u.tape);
            bnn_backward(bnn_sum(bnn_param(&u.tape, u.w, (size_t)!missing)));
            bnn_step(&s, &u.tape);
        }
        CHECK(u.tape.err == BNN_OK && u.tape.notes == 1 && s.t == 4);
        CHECK(strstr(u.tape.note, missing ? "block 1 (second)" : "block 0 (first)") != NULL);
        world_close(&u);
    }
}

static void steppers_know_the_weights_that_are_draws(void) {
    world u, v;
    bnn_stepper s, r;
    world_open(&u, 5, five);
    world_open(&v, 5, five);
    s = bnn_sgd(u.w, (bnn_sgd_desc){ 0 }), r = bnn_sgd(v.w, (bnn_sgd_desc){ 0 });
    u.w->draws_of = v.w; /* u.w is a mean field's, v.w its net's */
    for (int draw = 0; draw < 3; draw++) {
        v.w->draw = (unsigned char)draw;
        world_step(&u, &s, torch_grads[0]);
        CHECK(u.tape.err == (draw == 2 ? BNN_EARG : BNN_OK));
        if (draw == 2) CHECK(strstr(u.tape.msg, "bnn_meanfield_backward") != NULL);
        world_step(&v, &r, torch_grads[0]);
        CHECK(v.tape.err == (draw != 0 ? BNN_EARG : BNN_OK));
        if (draw != 0) CHECK(strstr(v.tape.msg, "params") != NULL);
        bnn_tape_clear_error(&v.tape);
    }
    world_close(&u);
    world_close(&v);
}

/* ---- small decays, zeros, other settings */

static void the_decay_of_adamw_is_not_lost_in_rounding(void) {
    static const struct { double decay; int steps; } c[] = {
        { 1e-8, 1000000 }, { 3e-8, 300000 }, { 1e-7, 100000 }, { 9e-7, 20000 }, { 1e-6, 20000 },
        { 1e-5, 2000 }, { 1e-3, 20 } };
    for (size_t k = 0; k < sizeof c / sizeof *c; k++) {
        for (int amsgrad = 0; amsgrad < 2; amsgrad++) {
            world u;
            bnn_stepper s;
            world_open(&u, 5, five);
            s = bnn_adam(u.w, (bnn_adam_desc){ .lr = (float)1e-3, .decoupled = 1,
                         .weight_decay = (float)(c[k].decay / 1e-3), .amsgrad = amsgrad });
            for (int t = 0; t < c[k].steps; t++) {
                bnn_params_zero_grad(u.w);
                bnn_step(&s, &u.tape);
            }
            for (int i = 0; i < 5; i++) {
                double to = c[k].steps * log1p(-c[k].decay); /* to 1.5 percent of the decay */
                CHECK_NEAR(log((double)u.w->theta[i] / five[i]), to, -0.015 * to);
            }
            world_close(&u);
        }
    }
}

static void every_setting_that_may_be_zero_can_be_said(void) {
    world u;
    bnn_stepper s;
    world_open(&u, 5, five);
    s = bnn_sgd(u.w, (bnn_sgd_desc){ BNN_ZERO, BNN_ZERO, BNN_ZERO, 0, BNN_ZERO, BNN_ZERO });
    CHECK(s.lr == 0 && s.momentum == 0 && s.dampening == 0 && s.weight_decay == 0 && s.clip == 0);
    s = bnn_adam(u.w, (bnn_adam_desc){ .beta1 = BNN_ZERO, .beta2 = BNN_ZERO });
    CHECK(s.beta1 == 0 && s.beta2 == 0 && s.eps > 0);
    s = bnn_rmsprop(u.w, (bnn_rmsprop_desc){ .alpha = BNN_ZERO, .eps = BNN_ZERO });
    CHECK(s.beta2 == 0 && s.eps == 0);
    s = bnn_adagrad(u.w, (bnn_adagrad_desc){ .lr_decay = BNN_ZERO, .eps = BNN_ZERO });
    CHECK(s.lr_decay == 0 && s.eps == 0);
    s = bnn_sgld(u.w, (bnn_sgld_desc){ .temperature = BNN_ZERO });
    CHECK(s.temperature == 0);
    s = bnn_psgld(u.w, (bnn_psgld_desc){ .alpha = BNN_ZERO, .lambda = BNN_ZERO });
    CHECK(s.beta2 == 0 && s.lambda == 0 && s.temperature == 1);
    s = bnn_sghmc(u.w, (bnn_sghmc_desc){ .noise_estimate = BNN_ZERO, .temperature = BNN_ZERO });
    CHECK(s.noise_estimate == 0 && s.temperature == 0 && u.mem.err == BNN_OK);
    world_close(&u);
}

static void settings_assigned_later_are_checked_by_name(void) {
    static const char *const name[] = { "momentum", "beta1", "beta2", "eps", "dampening",
                                        "weight_decay", "clip", "lr_decay", "lambda", "friction",
                                        "noise_estimate", "friction" };
    const float bad[] = { 1, (float)-0.1, (float)bnn__nan(), 1, (float)bnn__inf(), -1 };
    for (int which = 0; which < 12; which++) {
        for (int k = 0; k < 6; k++) {
            world u;
            bnn_stepper s;
            float *field[12] = { &s.momentum, &s.beta1, &s.beta2, &s.eps, &s.dampening,
                                 &s.weight_decay, &s.clip, &s.lr_decay, &s.lambda, &s.friction,
                                 &s.noise_estimate, &s.friction };
            int above = k == 0 || k == 3;
            if (above && which >= 3 && which != 10) continue; /* 1 is legal there */
            world_open(&u, 5, five);
            s = which < 9 ? variant(u.w, 3, (float)0.1) : variant(u.w, 12, (float)0.1);
            *field[which] = which == 11 ? 0 : bad[k];
            world_step(&u, &s, torch_grads[0]);
            CHECK(u.tape.err == BNN_EARG && strstr(u.tape.msg, name[which]) != NULL);
            for (int i = 0; i < 5; i++) CHECK(u.w->theta[i] == (float)five[i]);
            world_close(&u);
        }
    }
}

static void schedules_are_finite_and_start_at_lr0(void) {
    static const double end[] = { 0, 1e-300, 1e-12, 1e-3, 0.1, 0.2 }, gamma[] = { 0, 1e-3, 0.33,
        0.55, 1, 2, -1 };
    int sampling;
    for (int e = 0; e < 6; e++)
        for (int g = 0; g < 7; g++) {
            double before = 0.1;
            CHECK_SAME(bnn_lr_polynomial(0.1, end[e], gamma[g], 0, 100), 0.1);
            for (size_t k = 0; k < 100; k++) {
                double lr = bnn_lr_polynomial(0.1, end[e], gamma[g], k, 100);
                CHECK(isfinite(lr) && lr >= 0);
                if (end[e] == 0 && gamma[g] >= 0) CHECK(lr > 0 && lr <= before);
                before = lr;
            }
            if (end[e] > 0)
                CHECK_NEAR(bnn_lr_polynomial(0.1, end[e], gamma[g], 99, 100), end[e],
                           1e-10 * end[e] + 1e-15);
        }
    CHECK_NEAR(bnn_lr_polynomial(0.1, 0, 0.55, 3, 100), 0.1 * pow(4, -0.55), 1e-15);
    CHECK_NEAR(bnn_lr_polynomial(0.1, 0.2, -1, 33, 100), 0.1 + 0.1 / 3, 1e-12); /* a line */
    CHECK_NEAR(bnn_lr_polynomial(0, 0.1, -1, 33, 100), 0.1 / 3, 1e-15);
    CHECK_NEAR(bnn_lr_polynomial(0, 0.1, -2, 33, 100), 0.1 / 9, 1e-15);
    CHECK_SAME(bnn_lr_polynomial(0, 0.1, 1, 99, 100), 0);
    CHECK_NEAR(bnn_lr_cyclical(1, 3, 0.5, SIZE_MAX / 6, SIZE_MAX, NULL), 0.5, 1e-12);
    for (size_t k = 0; k < 10; k++) {
        bnn_lr_cyclical(1, 1, 0, k, 10, &sampling);
        CHECK(sampling == 1);
        bnn_lr_cyclical(1, 1, 1, k, 10, &sampling);
        CHECK(sampling == 0);
    }
}

static void a_stepper_filled_by_hand_says_that_it_was_not_made(void) {
    bnn_arena a = { 0 };
    bnn_tape t = { .n_data = 1 };
    bnn_params *w = bnn_params_new(&a);
    bnn_stepper s = { .kind = BNN_SGLD, .lr = 1, .temperature = 1 };
    bnn_params_add(w, 1, 2, "w", (bnn_prior){ .kind = BNN_PRIOR_FLAT });
    s.params = w, s.n = 2;
    bnn_params_zero_grad(w);
    bnn_step(&s, &t);
    CHECK(t.err == BNN_EARG && strstr(t.msg, "the stepper was not made") != NULL);
    bnn_arena_free(&a);
    bnn_tape_free(&t);
}

int main(void) {
    RUN(a_stepper_filled_by_hand_says_that_it_was_not_made);
    RUN(ten_steps_of_every_optimizer_agree_with_pytorch);
    RUN(sgd_on_a_quadratic_shrinks_by_one_minus_lr_h);
    RUN(momentum_follows_its_linear_recursion_and_its_stability_limit);
    RUN(momentum_zero_is_plain_sgd_bit_for_bit);
    RUN(adam_with_a_constant_gradient_moves_by_lr);
    RUN(adagrad_with_a_constant_gradient_sums_reciprocal_roots);
    RUN(adadelta_takes_its_first_two_steps_as_by_hand);
    RUN(adadelta_does_not_feel_the_scale_of_the_gradient);
    RUN(weight_decay_multiplies_by_one_minus_lr_wd);
    RUN(zero_fields_of_a_desc_mean_the_documented_defaults);
    RUN(the_cosine_schedule_goes_from_lr0_through_half_to_zero);
    RUN(the_polynomial_schedule_meets_its_end_points);
    RUN(the_cyclical_schedule_explores_then_samples);
    RUN(clipping_limits_the_norm_and_keeps_the_direction);
    RUN(a_gradient_that_is_not_finite_moves_nothing_and_names_its_block);
    RUN(after_an_error_a_step_is_a_no_op);
    RUN(a_step_consumes_the_gradient);
    RUN(a_stepper_refuses_parameters_that_grew);
    RUN(samplers_refuse_clipping_weight_decay_and_missing_n_data);
    RUN(a_bad_desc_is_an_error_and_its_stepper_moves_nothing);
    RUN(settings_changed_to_nonsense_later_are_refused);
    RUN(a_zeroed_stepper_is_an_error_not_a_crash);
    RUN(steppers_do_not_allocate_after_they_are_made);
    RUN(a_step_that_would_overflow_moves_nothing_and_says_what);
    RUN(one_spike_among_many_is_found);
    RUN(a_large_gradient_that_does_not_overflow_is_followed);
    RUN(what_grows_to_the_limit_stops_there_with_an_error);
    RUN(adam_without_eps_on_a_zero_gradient_is_an_error_not_nan);
    RUN(a_clipped_spike_is_followed);
    RUN(a_second_step_without_a_reset_is_an_error);
    RUN(a_second_step_by_the_graph_of_the_first_is_an_error);
    RUN(steps_that_need_no_reset_between_them_stay_legal);
    RUN(a_step_without_a_gradient_is_an_error);
    RUN(a_gradient_by_hand_is_a_gradient);
    RUN(a_block_that_no_gradient_reached_is_noted_once);
    RUN(steppers_know_the_weights_that_are_draws);
    RUN(the_decay_of_adamw_is_not_lost_in_rounding);
    RUN(every_setting_that_may_be_zero_can_be_said);
    RUN(settings_assigned_later_are_checked_by_name);
    RUN(schedules_are_finite_and_start_at_lr0);
    return check_done();
}
