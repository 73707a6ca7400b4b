/* test_trials.c -- situations beside those that version 1 got wrong: each must give the right
 * value, an error or a note, and the right programs beside them must stay silent. */
#include "build.h"
#include "world.h"

enum { N = 60 };
static float xs[N], ys[N];

static bnn_data line(double unit) { /* y = 2x + .3 e, in some unit */
    bnn_rng r = bnn_rng_seed(5);
    bnn_data d = { { N, 1, xs }, { N, 1, ys } };
    for (size_t i = 0; i < N; i++) {
        xs[i] = bnn_rng_normal(&r);
        ys[i] = (float)(unit * (2 * (double)xs[i] + 0.3 * (double)bnn_rng_normal(&r)));
    }
    return d;
}
static bnn_data classes(void) {
    bnn_data d = line(1);
    for (size_t i = 0; i < N; i++) ys[i] = (float)((xs[i] > 0) + (xs[i] > 1));
    return d;
}
static bnn_net net_of(bnn_mlp_desc d) { return bnn_mlp(bnn_params_new(&mem), d); }
static bnn_net small_net(void) {
    bnn_mlp_desc d = { .sizes = { 1, 4, 1 }, .noise_std = 1, .activation = BNN_TANH };
    return net_of(d);
}
static void once(const bnn_net *net, bnn_stepper *s, bnn_data d) {
    bnn_tape_reset(&tape);
    bnn_backward(bnn_net_loss(net, bnn_batch_all(&tape, d)));
    bnn_step(s, &tape);
}
static void train(const bnn_net *net, bnn_data d, double lr, size_t steps) {
    bnn_stepper a = bnn_adam(net->params, (bnn_adam_desc){ .lr = (float)lr });
    for (size_t i = 0; i < steps && tape.err == BNN_OK; i++) {
        a.lr = (float)bnn_lr_cosine(lr, i, steps);
        once(net, &a, d);
    }
}
static int noted(const char *part) { /* the tape has this note and no error */
    int ok = tape.err == BNN_OK && tape.notes > 0 && strstr(tape.note, part) != NULL;
    if (!ok) printf("    err %d '%s', note '%s'\n", tape.err, tape.msg, tape.note);
    tape.notes = 0, tape.note[0] = 0;
    return ok;
}
static int silent(void) {
    int ok = !tape.err && !mem.err && !tape.notes && !mem.notes;
    if (!ok) printf("    %d '%s' '%s' %d '%s' '%s'\n", tape.err, tape.msg, tape.note, mem.err,
                    mem.msg, mem.note);
    return ok;
}

/* ---- the cause, wherever one looks ---- */
static bnn_net refused(bnn_params *w) {
    return bnn_mlp(w, (bnn_mlp_desc){ .sizes = { 1, 1 }, .noise_std = -0.1f });
}
static void a_refused_net_tells_its_cause_wherever_one_looks(void) {
    open_all(1);
    bnn_data d = line(1);
    for (int k = 0; k < 9; k++) {
        bnn_params *w = bnn_params_new(&mem);
        bnn_net net = refused(w);
        bnn_stepper s;
        bnn_meanfield q;
        if (k == 0) bnn_net_loss(&net, bnn_batch_all(&tape, d));
        if (k == 1) bnn_predict(&mem, &tape, &net, NULL, d.x);
        if (k == 2) bnn_laplace_new(&mem, &tape, &net, d, BNN_LAPLACE_FULL);
        if (k == 3) s = bnn_adam(w, (bnn_adam_desc){ 0 }), bnn_step(&s, &tape);
        if (k == 4) q = bnn_meanfield_new(w, (bnn_meanfield_desc){ 0 }),
                    bnn_meanfield_sample(&q, &tape);
        if (k == 5) s = bnn_hmc(w, (bnn_hmc_desc){ .net = &net, .data = d }), bnn_step(&s, &tape);
        if (k == 6) bnn_predict_log_lik(&mem, &tape, &net, NULL, d);
        if (k == 7) bnn_net_forward(&net, bnn_input(&tape, d.x));
        if (k == 8) bnn_distill(&tape, &net, &net, NULL, d.x, (bnn_distill_desc){ .steps = 2 });
        if (!CHECK(took(BNN_EARG, "noise_std -0.1"))) printf("    way %d\n", k);
        CHECK(mem_took(BNN_EARG, "noise_std -0.1"));
        bnn_tape_reset(&tape);
    }
    close_all();
}

static void a_likelihood_that_does_not_exist_is_an_error(void) {
    open_all(1);
    bnn_data d = line(1);
    bnn_net net = bnn_mlp(bnn_params_new(&mem), (bnn_mlp_desc){ .sizes = { 1, 1 }, .noise_std = 1 });
    for (int k = 0; k < 4; k++) {
        net.likelihood = k == 3 ? -1 : 8;
        if (k == 0) bnn_net_loss(&net, bnn_batch_all(&tape, d));
        else if (k == 1) bnn_predict_log_lik(&mem, &tape, &net, NULL, d);
        else bnn_predict(&mem, &tape, &net, NULL, d.x); /* read a NULL */
        CHECK(took(BNN_EARG, k == 3 ? "likelihood -1, it must" : "likelihood 8, it must"));
        bnn_tape_reset(&tape);
    }
    close_all();
}

/* ---- noise ---- */
static void constructors_ask_for_the_noise_of_every_likelihood_that_has_one(void) {
    open_all(1);
    for (int k = BNN_GAUSSIAN; k <= BNN_POISSON; k++) {
        int asks = k == BNN_GAUSSIAN || k == BNN_DOUBLE_EXPONENTIAL || k == BNN_STUDENT;
        for (int deep = 0; deep < 2; deep++) {
            bnn_mlp_desc d = { .sizes = { 2, 2 }, .likelihood = k };
            if (deep) d.sizes[2] = 2;
            net_of(d);
            CHECK(asks ? mem_took(BNN_EARG, "noise_std") : silent());
            d.noise_std = (float)0.5;
            net_of(d);
            CHECK(silent());
        }
    }
    net_of((bnn_mlp_desc){ .sizes = { 3, 5, 1 }, .likelihood = BNN_CATEGORICAL });
    CHECK(mem_took(BNN_EARG, "BNN_CATEGORICAL with 1 output"));
    net_of((bnn_mlp_desc){ .sizes = { 3, 5, 2 }, .likelihood = BNN_CATEGORICAL });
    net_of((bnn_mlp_desc){ .sizes = { 3, 1 }, .likelihood = BNN_BERNOULLI });
    CHECK(silent());
    close_all();
}

static bnn_net noisy_way(int way) {
    if (way == 2 || way > 3) return net_of((bnn_mlp_desc){ .sizes = { 1, 2 }, .likelihood =
        BNN_GAUSSIAN_HETERO });
    return net_of((bnn_mlp_desc){ .sizes = { 1, 1 }, .noise_learned = 1 });
}
static void noise_at_its_bound_is_heard_in_every_kind_of_training(void) {
    for (int way = 0; way < 6; way++) /* HMC of both kinds is 3 and 5, a student 4 */
        for (int sign = -1; sign <= 1; sign++) {
            open_all(1);
            bnn_data d = line(1);
            bnn_net net = noisy_way(way);
            net.params->theta[net.params->n - 1] = (float)(25 * sign);
            if (way == 1) {
                bnn_meanfield q = bnn_meanfield_new(net.params, (bnn_meanfield_desc){ 0 });
                bnn_meanfield_sample(&q, &tape);
                bnn_backward(bnn_net_nll(&net, bnn_minibatch(&tape, d, 8)));
                bnn_meanfield_backward(&q, &tape);
            } else if (way == 4) {
                bnn_net teacher = small_net();
                bnn_distill_loss(&net, bnn_input(&tape, d.x), &teacher, NULL);
            } else if (way == 3 || way == 5) {
                bnn_stepper h = bnn_hmc(net.params, (bnn_hmc_desc){ .net = &net, .data = d });
                if (sign >= 0) bnn_step(&h, &tape);
                else bnn_net_loss(&net, bnn_batch_all(&tape, d));
            } else {
                bnn_stepper s = bnn_sgld(net.params, (bnn_sgld_desc){ .lr = (float)1e-9 });
                once(&net, &s, d);
            }
            CHECK(sign == 0 ? silent() : noted("ln variance is at its bound"));
            if (tape.err) printf("    way %d, sign %d\n", way, sign);
            bnn_tape_clear_error(&tape);
            close_all();
        }
}
static void healthy_learned_noise_is_silent_in_any_unit(void) {
    for (int e = -8; e <= 8; e += 4)
        for (int way = 0; way <= 2; way += 2) {
            open_all(1);
            double unit = pow(10, e), sd;
            bnn_data d = line(unit);
            bnn_net net = noisy_way(way);
            bnn_net_standardize(&net, d);
            train(&net, d, 0.05, 1500);
            bnn_predictive p = bnn_predict(&mem, &tape, &net, NULL, bnn_mat_rows(d.x, 0, 1));
            sd = sqrt((double)p.aleatoric.data[0]) / unit;
            CHECK(silent() && sd > 0.15 && sd < 0.45);
            close_all();
        }
}

/* ---- steps ---- */
static bnn_stepper stepper_of(int kind, bnn_params *w) {
    switch (kind) {
    case BNN_SGD: return bnn_sgd(w, (bnn_sgd_desc){ .momentum = (float)0.9 });
    case BNN_ADAM: return bnn_adam(w, (bnn_adam_desc){ .amsgrad = 1 });
    case BNN_RMSPROP: return bnn_rmsprop(w, (bnn_rmsprop_desc){ .centered = 1 });
    case BNN_ADAGRAD: return bnn_adagrad(w, (bnn_adagrad_desc){ 0 });
    case BNN_ADADELTA: return bnn_adadelta(w, (bnn_adadelta_desc){ 0 });
    case BNN_SGLD: return bnn_sgld(w, (bnn_sgld_desc){ .lr = (float)1e-4 });
    case BNN_PSGLD: return bnn_psgld(w, (bnn_psgld_desc){ 0 });
    default: return bnn_sghmc(w, (bnn_sghmc_desc){ .lr = (float)1e-4 });
    }
}
static void every_stepper_hears_of_a_forgotten_reset_or_backward(void) {
    for (int kind = BNN_SGD; kind < BNN_HMC; kind++) {
        open_all(1);
        bnn_data d = line(1);
        bnn_net net = small_net();
        bnn_stepper s = stepper_of(kind, net.params);
        once(&net, &s, d), once(&net, &s, d);
        CHECK(silent());
        bnn_backward(bnn_net_loss(&net, bnn_batch_all(&tape, d)));
        bnn_step(&s, &tape);
        CHECK(took(BNN_EARG, "bnn_tape_reset"));
        bnn_params_zero_grad(net.params);
        once(&net, &s, d);
        bnn_tape_reset(&tape);
        bnn_net_loss(&net, bnn_batch_all(&tape, d));
        bnn_step(&s, &tape);
        CHECK(took(BNN_EARG, "no bnn_backward"));
        close_all();
    }
}
static void right_loops_of_other_shapes_are_silent(void) {
    open_all(1);
    bnn_data d = line(1);
    bnn_tape other = { .rng = bnn_rng_seed(2) };
    bnn_net a = small_net(), b = small_net();
    bnn_stepper s = stepper_of(BNN_ADAM, a.params), r = stepper_of(BNN_SGLD, b.params);
    bnn_stepper s2 = stepper_of(BNN_SGD, a.params);
    for (int i = 0; i < 3; i++) { /* two nets in one loss */
        bnn_tape_reset(&tape);
        bnn_backward(bnn_add(bnn_net_loss(&a, bnn_batch_all(&tape, d)),
                             bnn_net_loss(&b, bnn_minibatch(&tape, d, 7))));
        bnn_step(&s, &tape), bnn_step(&r, &tape);
    }
    for (int i = 0; i < 3; i++) { /* two steppers in turn between two resets */
        bnn_tape_reset(&tape);
        bnn_backward(bnn_net_loss(&a, bnn_batch_all(&tape, d)));
        bnn_step(&s, &tape);
        bnn_backward(bnn_net_loss(&a, bnn_batch_all(&tape, d)));
        bnn_step(&s2, &tape);
    }
    for (int i = 0; i < 3; i++) { /* a gradient in parts */
        bnn_tape_reset(&tape);
        for (size_t k = 0; k < 4; k++)
            bnn_backward(bnn_net_nll(&a, bnn_batch_all(&tape, bnn_data_rows(d, 15 * k, 15))));
        bnn_step(&s, &tape);
    }
    for (int i = 0; i < 4; i++) { /* two tapes in turn, and a gradient from both */
        bnn_tape *t = i & 1 ? &other : &tape;
        bnn_tape_reset(&tape), bnn_tape_reset(&other);
        if (i > 1) bnn_backward(bnn_net_nll(&a, bnn_batch_all(i & 1 ? &tape : &other, d)));
        bnn_backward(bnn_net_loss(&a, bnn_batch_all(t, d)));
        bnn_step(&s, t);
    }
    for (int i = 0; i < 3; i++) { /* a gradient by hand */
        bnn_tape_reset(&tape);
        bnn_params_zero_grad(a.params);
        for (size_t k = 0; k < a.params->n; k++) a.params->grad[k] = 1;
        bnn_step(&s, &tape);
    }
    bnn_predict(&mem, &tape, &a, NULL, d.x); /* between backward and step */
    CHECK(silent() && other.err == BNN_OK && other.notes == 0);
    bnn_tape_free(&other);
    close_all();
}
static void a_block_out_of_the_loss_is_named_once(void) {
    open_all(1);
    bnn_params *w = bnn_params_new(&mem);
    bnn_params_add(w, 2, 2, "used", (bnn_prior){ 0 });
    bnn_params_add(w, 3, 1, "spare", (bnn_prior){ 0 });
    bnn_stepper s = stepper_of(BNN_RMSPROP, w);
    for (int i = 0; i < 3; i++) {
        bnn_tape_reset(&tape);
        bnn_backward(bnn_sum(bnn_square(bnn_param(&tape, w, 0))));
        bnn_step(&s, &tape);
    }
    CHECK(tape.notes == 1 && noted("block 1 (spare)"));
    CHECK(w->theta[4] == 0 && w->theta[6] == 0);
    close_all();
}
static void a_spike_moves_nothing_and_the_next_step_goes_on(void) {
    for (int kind = BNN_SGD; kind < BNN_HMC; kind++) {
        open_all(1);
        bnn_params *w = bnn_params_new(&mem);
        bnn_params_add(w, 3, 7, "w", (bnn_prior){ .kind = BNN_PRIOR_FLAT });
        bnn_stepper s = stepper_of(kind, w);
        float before[21], huge = (float)(sizeof(float) == 8 ? 1e300 : 1e37);
        if (kind == BNN_SGD) s.lr = (float)1e9;
        tape.n_data = 1;
        for (int i = 0; i < 12; i++) {
            int spike = i == 5;
            bnn_tape_reset(&tape);
            bnn_params_zero_grad(w);
            for (size_t k = 0; k < 21; k++) w->grad[k] = (float)1e-6;
            if (spike) w->grad[13] = huge;
            if (!spike && kind >= BNN_SGLD) s.lr = (float)1e-4;
            if (spike && kind >= BNN_SGLD) s.lr = (float)1e9;
            memcpy(before, w->theta, sizeof before);
            bnn_step(&s, &tape);
            if (spike) {
                CHECK(took(BNN_ENONFINITE, "overflow"));
                CHECK(memcmp(before, w->theta, sizeof before) == 0);
            }
            CHECK(tape.err == BNN_OK && bnn_mat_finite((bnn_mat){ 3, 7, w->theta }));
            CHECK(spike || memcmp(before, w->theta, sizeof before) != 0);
        }
        close_all();
    }
}

/* ---- mean fields ---- */
static void every_misuse_of_a_draw_is_heard_in_all_three_forms(void) {
    for (int form = 0; form < 3; form++)
        for (int wrong = 0; wrong < 5; wrong++) {
            open_all(1);
            bnn_data d = line(1);
            bnn_net net = small_net(), by = net;
            bnn_meanfield q = bnn_meanfield_new(net.params, (bnn_meanfield_desc){ .draws = 1 });
            bnn_stepper s = stepper_of(BNN_ADAM, wrong == 1 ? net.params : q.params);
            if (form > 0) by = bnn_meanfield_net(&q, &net, form - 1);
            for (int i = 0; i < 2; i++) {
                bnn_tape_reset(&tape);
                bnn_meanfield_sample(&q, &tape);
                if (wrong != 4)
                    bnn_backward(wrong == 2 ? bnn_net_loss(&by, bnn_batch_all(&tape, d))
                                            : bnn_net_nll(&by, bnn_batch_all(&tape, d)));
                if (wrong != 3) bnn_meanfield_backward(&q, &tape);
                bnn_step(&s, &tape);
            }
            if (wrong == 0) CHECK(silent());
            if (wrong == 1) CHECK(took(BNN_EARG, "make the stepper on its .params"));
            if (wrong == 2) /* the prior of a noisy net's parameters is flat: the right loss */
                CHECK(form == 0 ? took(BNN_EARG, "use bnn_net_nll") : silent());
            if (wrong == 3) CHECK(took(BNN_EARG, "bnn_meanfield_backward must follow"));
            if (wrong == 4) CHECK(took(BNN_EARG, "no gradient reached"));
            if (tape.err != BNN_OK) printf("    form %d wrong %d\n", form, wrong);
            bnn_tape_clear_error(&tape);
            close_all();
        }
}

/* ---- Laplace ---- */
static void laplace_says_how_far_the_maximum_is_for_every_kind_and_likelihood(void) {
    for (int lik = 0; lik < 4; lik++)
        for (int kind = BNN_LAPLACE_FULL; kind <= BNN_LAPLACE_LAST; kind++) {
            open_all(1);
            bnn_data d = lik == 1 ? classes() : line(1);
            bnn_mlp_desc m = { .sizes = { 1, 5, 1 }, .noise_std = (float)0.3,
                               .activation = BNN_TANH };
            if (lik == 1) m.likelihood = BNN_CATEGORICAL, m.sizes[2] = 3, m.noise_std = 0;
            if (lik == 2) m.likelihood = BNN_GAUSSIAN_HETERO, m.sizes[2] = 2, m.noise_std = 0;
            if (lik == 3) m.noise_learned = 1;
            bnn_net net = net_of(m);
            bnn_laplace la = bnn_laplace_new(&mem, &tape, &net, d, kind);
            CHECK(la.decrement > 1 && noted("not at a maximum"));
            train(&net, d, 0.03, 2500);
            la = bnn_laplace_new(&mem, &tape, &net, d, kind);
            CHECK(la.decrement >= 0 && la.decrement < 0.1 && silent());
            close_all();
        }
}

/* ---- operands of another tape ---- */
static void any_operand_from_another_tape_is_an_error_on_both(void) {
    open_all(1);
    bnn_tape other = { .rng = bnn_rng_seed(2) };
    bnn_data d = line(1);
    bnn_params *w = bnn_params_new(&mem);
    size_t b = bnn_params_add(w, 1, 1, "w", (bnn_prior){ 0 });
    for (int k = 0; k < 8; k++) {
        bnn_var *x = bnn_input(&tape, d.x), *y = bnn_input(&other, d.y), *both[2];
        bnn_var *v = bnn_param(&other, w, b);
        both[0] = x, both[1] = y;
        if (k == 0) bnn_matmul(x, v);
        if (k == 1) bnn_affine(x, bnn_param(&tape, w, b), v);
        if (k == 2) bnn_sub(x, v);
        if (k == 3) bnn_concat(&tape, 2, both);
        if (k == 4) bnn_gaussian_nll(x, y, bnn_scalar(&tape, 0));
        if (k == 5) bnn_poisson_nll(x, y);
        if (k == 6) bnn_kl_normal(x, y, 0, 1);
        if (k == 7) bnn_straight_through(x, y);
        CHECK(took(BNN_EARG, "tape") && other.err == BNN_EARG);
        bnn_tape_clear_error(&other);
        bnn_tape_reset(&tape), bnn_tape_reset(&other);
    }
    bnn_tape_free(&other);
    close_all();
}

/* ---- chains ---- */
static void equal_chains_say_nothing_whichever_two_they_are(void) {
    open_all(1);
    for (size_t a = 0; a < 3; a++)
        for (size_t b = a + 1; b < 4; b++) {
            bnn_mat d = normals(4, 100, 1);
            CHECK(bnn_diag_rhat(&mem, d) < 1.1 && mem.notes == 0);
            memcpy(d.data + 100 * b, d.data + 100 * a, 100 * sizeof(float));
            CHECK(isnan(bnn_diag_rhat(&mem, d)) && isnan(bnn_diag_ess(&mem, d)));
            CHECK(isnan(bnn_diag_mcse(&mem, d)) && strstr(mem.note, "equal draw for draw"));
            mem.notes = 0, mem.note[0] = 0;
        }
    close_all();
}

static void chains_of_one_seed_that_meet_are_equal_wherever_they_began(void) {
    open_all(1);
    bnn_data d = line(1);
    bnn_mat draws = bnn_mat_new(&mem, 2, 1000);
    for (int seed = 0; seed < 2; seed++) {
        for (size_t c = 0; c < 2; c++) {
            bnn_net net = net_of((bnn_mlp_desc){ .sizes = { 1, 1 }, .noise_std = (float)0.3 });
            bnn_stepper s = bnn_sgld(net.params, (bnn_sgld_desc){ .lr = (float)0.01 });
            tape.rng = bnn_rng_seed(7 + (uint64_t)seed * c);
            net.params->theta[0] = c ? 3 : -1;
            for (size_t i = 0; i < 1000; i++) {
                once(&net, &s, d);
                draws.data[1000 * c + i] = net.params->theta[0];
            }
        }
        CHECK(draws.data[0] != draws.data[1000]);
        CHECK(isnan(bnn_diag_rhat(&mem, draws)) == (seed == 0));
        CHECK((mem.notes == 1) == (seed == 0));
        mem.notes = 0, mem.note[0] = 0;
    }
    close_all();
}

/* ---- HMC ---- */
static const bnn_net *hmc_net;
static bnn_data hmc_data;
static bnn_var *hmc_energy(bnn_tape *t, void *user) {
    (void)user;
    return bnn_scale(bnn_net_loss(hmc_net, bnn_batch_all(t, hmc_data)), (float)N);
}
static void hmc_switches_dropout_off_in_both_forms_of_the_energy(void) {
    double u[4];
    for (int k = 0; k < 4; k++) {
        open_all(1);
        bnn_mlp_desc m = { .sizes = { 1, 8, 1 }, .noise_std = (float)0.5, .seed = 3 };
        if (k & 1) m.dropout = (float)0.4;
        bnn_net net = net_of(m);
        bnn_hmc_desc h = { .step = (float)1e-3 };
        hmc_net = &net, hmc_data = line(1);
        if (k < 2) h.net = &net, h.data = hmc_data;
        else h.energy = hmc_energy;
        bnn_stepper s = bnn_hmc(net.params, h);
        for (int i = 0; i < 20; i++) bnn_tape_reset(&tape), tape.training = 1, bnn_step(&s, &tape);
        CHECK(s.hmc->divergent == 0 && s.hmc->accept_sum > 19.5);
        u[k] = s.hmc->energy;
        CHECK(tape.training == 1 && silent());
        close_all();
    }
    CHECK_SAME(u[0], u[1]);
    CHECK_SAME(u[2], u[3]);
    CHECK_NEAR(u[0], u[2], 1e-4 * fabs(u[0]));
}
static bnn_var *half_square(bnn_tape *t, void *user) {
    return bnn_scale(bnn_sum(bnn_square(bnn_param(t, (bnn_params *)user, 0))), (float)0.5);
}
static void no_length_of_path_resonates(void) { /* var of 3000 draws: 5 sd = 0.13 */
    static float draws[3000];
    for (int k = 0; k < 3; k++) {
        open_all(40);
        bnn_params *w = bnn_params_new(&mem);
        bnn_params_add(w, 1, 1, "q", (bnn_prior){ .kind = BNN_PRIOR_FLAT });
        bnn_hmc_desc d = { .energy = half_square, .user = w };
        double s = 0, ss = 0;
        if (k == 0) d.step = (float)0.314159, d.leapfrog = 20;
        if (k == 1) d.step = (float)0.0628318, d.leapfrog = 100;
        if (k == 2) d.step = (float)0.2, d.trajectory = (float)6.2831853;
        bnn_stepper h = bnn_hmc(w, d);
        for (size_t i = 0; i < 3000; i++) {
            bnn_tape_reset(&tape);
            bnn_step(&h, &tape);
            draws[i] = w->theta[0];
            s += (double)draws[i] / 3000, ss += (double)draws[i] * (double)draws[i] / 3000;
        }
        CHECK_NEAR(ss - s * s, 1, 0.25);
        CHECK(bnn_diag_ess(&mem, (bnn_mat){ 1, 3000, draws }) > 500);
        close_all();
    }
}

/* ---- NaN and infinities ---- */
static void a_row_with_a_gap_is_nan_in_every_answer_and_the_others_keep_their_bits(void) {
    for (int lik = BNN_GAUSSIAN; lik <= BNN_POISSON; lik++) {
        open_all(1);
        bnn_data d = line(1);
        bnn_mlp_desc m = { .sizes = { 1, 4, 2 }, .likelihood = lik, .noise_std = 1, .seed = 4 };
        bnn_net net = net_of(m);
        bnn_ensemble e = bnn_ensemble_new(net.params, 3);
        d.y = bnn_mat_new(&mem, N, lik == BNN_CATEGORICAL || lik == BNN_GAUSSIAN_HETERO ? 1 : 2);
        for (int k = 0; k < 3; k++) net.params->theta[k] += (float)0.1, bnn_ensemble_push(&e);
        bnn_predictive p, was = bnn_predict(&mem, &tape, &net, &e, d.x);
        bnn_mat out[6], old[6];
        xs[7] = lik & 1 ? (float)NAN : (float)-INFINITY;
        p = bnn_predict(&mem, &tape, &net, &e, d.x);
        CHECK(noted("row 7, column 0"));
        out[0] = p.mean, out[1] = p.aleatoric, out[2] = p.epistemic, out[3] = p.entropy;
        out[4] = p.expected_entropy, out[5] = p.mutual_information;
        old[0] = was.mean, old[1] = was.aleatoric, old[2] = was.epistemic, old[3] = was.entropy;
        old[4] = was.expected_entropy, old[5] = was.mutual_information;
        for (int k = 0; k < 6; k++)
            for (size_t i = 0; out[k].data != NULL && i < out[k].rows; i++)
                for (size_t c = 0; c < out[k].cols; c++) {
                    size_t at = i * out[k].cols + c;
                    if (i == 7) CHECK(isnan(out[k].data[at]));
                    else CHECK_SAME(out[k].data[at], old[k].data[at]);
                }
        CHECK(isnan(bnn_predict_log_lik(&mem, &tape, &net, &e, d).data[7]));
        CHECK(noted("row 7"));
        close_all();
    }
}
static void a_gap_in_training_data_is_named_by_every_batch(void) {
    open_all(1);
    bnn_data d = line(1);
    bnn_net net = small_net();
    size_t rows[3] = { 2, 31, 5 };
    xs[31] = (float)NAN;
    bnn_net_loss(&net, bnn_batch_all(&tape, d));
    CHECK(took(BNN_ENONFINITE, "x is nan in row 31, column 0"));
    bnn_net_loss(&net, bnn_batch_rows(&tape, d, 3, rows));
    CHECK(took(BNN_ENONFINITE, "row 31 of the data (1 of the batch), column 0"));
    bnn_net_loss(&net, bnn_minibatch(&tape, d, N));
    CHECK(took(BNN_ENONFINITE, "row 31 of the data"));
    bnn_batch b = { bnn_input(&tape, d.x), bnn_input(&tape, d.y), N };
    bnn_net_loss(&net, b);
    CHECK(took(BNN_ENONFINITE, "row 31"));
    CHECK(bnn_net_standardize(&net, d) == BNN_ENONFINITE && strstr(mem.msg, "row 31"));
    mem.err = BNN_OK;
    bnn_stepper h = bnn_hmc(net.params, (bnn_hmc_desc){ .net = &net, .data = d });
    bnn_step(&h, &tape);
    CHECK(took(BNN_ENONFINITE, "row 31"));
    bnn_laplace_new(&mem, &tape, &net, d, BNN_LAPLACE_DIAGONAL);
    CHECK(took(BNN_ENONFINITE, "row 31"));
    bnn_distill(&tape, &net, &net, NULL, d.x, (bnn_distill_desc){ .steps = 5 });
    CHECK(took(BNN_ENONFINITE, "31"));
    mem.err = BNN_OK;
    close_all();
}
static void logits_of_minus_infinity_alone_are_an_error_everywhere(void) {
    open_all(1);
    float z[6] = { 0, 1, 2, (float)-INFINITY, (float)-INFINITY, (float)-INFINITY };
    float label[2] = { 0, 1 }, target[6] = { 1, 0, 0, 0, 1, 0 };
    for (int k = 0; k < 7; k++) {
        bnn_var *v = bnn_input(&tape, (bnn_mat){ 2, 3, z });
        if (k == 0) bnn_softmax(v);
        if (k == 1) bnn_log_softmax(v);
        if (k == 2) bnn_categorical_nll(v, bnn_input(&tape, (bnn_mat){ 2, 1, label }));
        if (k == 3) bnn_cross_entropy(v, bnn_input(&tape, (bnn_mat){ 2, 3, target }), 2);
        if (k == 4) bnn_kl_categorical(v, NULL);
        if (k == 5) bnn_one_hot(v);
        if (k == 6) bnn_categorical(v);
        if (!CHECK(tape.err != BNN_OK && strstr(tape.msg, "row 1"))) printf("    op %d\n", k);
        bnn_tape_clear_error(&tape);
        bnn_tape_reset(&tape);
    }
    close_all();
}

static void no_metric_swallows_nan_or_takes_what_is_no_probability(void) {
    float label[3] = { 0, 1, 1 }, y[3] = { 1, 2, 3 };
    for (int k = 0; k < 4; k++) {
        float p[6] = { (float)0.9, (float)0.1, (float)0.2, (float)0.8, (float)0.4, (float)0.6 };
        bnn_mat a = { 3, 2, p }, lab = { 3, 1, label };
        if (k == 1) p[2] = (float)NAN;
        if (k == 2) p[4] = 3;
        if (k == 3) p[5] = (float)-0.5;
        CHECK(isnan(bnn_metric_error(a, lab)) == (k > 0));
        CHECK(isnan(bnn_metric_nll(a, lab)) == (k > 0));
        CHECK(isnan(bnn_metric_brier(a, lab)) == (k > 0));
        CHECK(isnan(bnn_metric_ece(a, lab, 5)) == (k > 0));
        CHECK((bnn_mat_row_argmax(a, 1) == 2) == (k == 1));
        y[1] = k == 1 ? (float)NAN : 2;
        CHECK(isnan(bnn_metric_rmse((bnn_mat){ 3, 1, label }, (bnn_mat){ 3, 1, y })) == (k == 1));
        p[4] = (float)NAN;
        bnn_simplex_project(2, p + 4);
        CHECK(isnan(p[4]) && isnan(p[5]));
    }
}
static void nothing_times_its_logarithm_is_nothing_in_both_directions(void) {
    open_all(1);
    float z[3] = { 0, (float)-INFINITY, (float)log(2) }, prior[3] = { (float)0.5, 0, (float)0.5 };
    float none[3] = { 0, (float)0.5, (float)0.5 };
    bnn_var *l = bnn_leaf(&tape, (bnn_mat){ 1, 3, z }), *v = bnn_kl_categorical(l, prior);
    CHECK_NEAR(v->val.data[0], log(1.0 / 3 / 0.5) / 3 + log(2.0 / 3 / 0.5) * 2 / 3, 1e-6);
    bnn_backward(v);
    CHECK(l->grad.data[1] == 0);
    CHECK_NEAR(l->grad.data[0] + l->grad.data[2], 0, 1e-6);
    bnn_kl_categorical(l, none);
    CHECK(took(BNN_EARG, "prior 0 of class 0"));
    v = bnn_cross_entropy(l, bnn_input(&tape, (bnn_mat){ 1, 3, prior }), 1);
    CHECK_NEAR(v->val.data[0], log(3) - log(2) / 2, 1e-6);
    CHECK_NEAR(bnn_metric_kl((bnn_mat){ 1, 3, prior }, (bnn_mat){ 1, 3, prior }), 0, 1e-12);
    CHECK(bnn_metric_kl((bnn_mat){ 1, 3, prior }, (bnn_mat){ 1, 3, none }) > 1e30);
    CHECK(silent());
    close_all();
}
static void a_sample_that_is_nan_is_named(void) {
    open_all(1);
    bnn_data d = line(1);
    bnn_net net = small_net();
    bnn_ensemble e = bnn_ensemble_new(net.params, 3);
    for (int k = 0; k < 3; k++) bnn_ensemble_push(&e);
    bnn_predict(&mem, &tape, &net, &e, d.x);
    CHECK(silent());
    e.samples.data[e.samples.cols + 2] = (float)NAN;
    bnn_predict(&mem, &tape, &net, &e, d.x);
    CHECK(took(BNN_ENONFINITE, "sample 1"));
    bnn_predict_log_lik(&mem, &tape, &net, &e, d);
    CHECK(took(BNN_ENONFINITE, "sample 1"));
    e.weights[0] = e.weights[1] = e.weights[2] = 0;
    bnn_predict(&mem, &tape, &net, &e, d.x);
    CHECK(took(BNN_EARG, "weights of all 3 samples are 0"));
    close_all();
}

/* ---- values ---- */
/* In another unit of y: means, variances, ln p by the Jacobian, quantiles, evidence */
static void every_answer_of_a_likelihood_with_a_scale_follows_the_unit(void) {
    for (int lik = 0; lik < 3; lik++) {
        double m[2], v[2], l[2], q[2], ev[2];
        for (int e = -8; e <= 8; e += 2) {
            for (int k = 0; k < 2; k++) {
                double unit = k ? pow(10, e) : 1;
                open_all(1);
                bnn_data d = line(unit);
                bnn_mlp_desc c = { .sizes = { 1, 3, 1 }, .noise_std = (float)(0.3 * unit),
                    .likelihood = lik == 0 ? BNN_GAUSSIAN : lik == 1 ? BNN_DOUBLE_EXPONENTIAL
                                                                     : BNN_STUDENT,
                    .seed = 2, .activation = BNN_TANH };
                bnn_net net = net_of(c);
                bnn_net_standardize(&net, d);
                bnn_predictive p = bnn_predict(&mem, &tape, &net, NULL, d.x);
                m[k] = (double)p.mean.data[3] / unit;
                v[k] = (double)p.aleatoric.data[3] / unit / unit;
                l[k] = (double)bnn_predict_log_lik(&mem, &tape, &net, NULL, d).data[3] + log(unit);
                q[k] = (double)bnn_predict_quantile(&mem, &tape, &net, NULL, d.x, 0.9).data[3];
                q[k] /= unit;
                train(&net, d, 0.03, 400);
                ev[k] = N * log(unit) +
                        bnn_laplace_new(&mem, &tape, &net, d, BNN_LAPLACE_FULL).log_evidence;
                CHECK(tape.err == BNN_OK && mem.err == BNN_OK);
                close_all();
            }
            CHECK_NEAR(m[0], m[1], 1e-5);
            CHECK_NEAR(v[0], v[1], 1e-5 * v[0]);
            CHECK_NEAR(l[0], l[1], 2e-4);
            CHECK_NEAR(q[0], q[1], 1e-4);
            CHECK_NEAR(ev[0], ev[1], 0.05);
        }
    }
}
static void numbers_in_sentences_are_written_as_people_write_them(void) {
    static const struct { double v; const char *text; } t[] = {
        { 1e-4, "1e-4" }, { 1e-5, "1e-5" }, { -0.001, "-0.001" }, { 1.5e-7, "1.5e-7" },
        { 1e20, "1e20" }, { -9.99e-10, "-9.99e-10" }, { 1e-15, "1e-15" } };
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        char want[64];
        open_all(1);
        bnn_sgd(bnn_params_new(&mem), (bnn_sgd_desc){ .momentum = (float)(-fabs(t[i].v) - 1) });
        mem.err = BNN_OK;
        net_of((bnn_mlp_desc){ .sizes = { 1, 1 }, .noise_std = 1, .likelihood = BNN_STUDENT,
                               .nu = (float)(-fabs(t[i].v)) });
        snprintf(want, sizeof want, "nu %s%s", t[i].v > 0 ? "-" : "", t[i].text);
        CHECK(mem_took(BNN_EARG, want));
        close_all();
    }
}
static void the_sentence_belongs_to_the_code(void) {
    open_all(1);
    bnn_csv c;
    refused(bnn_params_new(&mem));
    char was[BNN_MSG];
    memcpy(was, mem.msg, sizeof was);
    CHECK(bnn_csv_parse(&mem, &c, "1,x\n2,y\n", 8, (bnn_csv_desc){ .header = -1 }) != BNN_OK);
    CHECK(bnn_save("/nowhere/x", &(bnn_net){ 0 }) != BNN_OK);
    CHECK(mem.err == BNN_EARG && memcmp(was, mem.msg, sizeof was) == 0);
    mem.err = BNN_OK;
    close_all();
}
static void a_refused_or_missing_object_never_crashes(void) {
    open_all(1);
    bnn_params_update_priors(NULL, NULL);
    CHECK(isnan(bnn_metric_sample_crps(NULL, line(1).x, 1, 0)));
    bnn_stepper s = bnn_sgd(NULL, (bnn_sgd_desc){ 0 });
    bnn_step(&s, &tape);
    CHECK(took(BNN_EARG, "no parameters"));
    bnn_meanfield q = bnn_meanfield_new(NULL, (bnn_meanfield_desc){ 0 });
    bnn_meanfield_sample(&q, &tape);
    CHECK(took(BNN_EARG, "not made"));
    bnn_net net = small_net(), none;
    bnn_data d = line(1);
    double one = 1, beta = 1;
    memset(&none, 0, sizeof none);
    bnn_predict(NULL, &tape, &net, NULL, d.x);
    CHECK(took(BNN_EARG, "no arena"));
    bnn_predict_log_lik(NULL, &tape, &net, NULL, d);
    CHECK(took(BNN_EARG, "no arena"));
    bnn_predict_quantile(NULL, &tape, &net, NULL, d.x, 0.5);
    CHECK(took(BNN_EARG, "no arena"));
    bnn_laplace_new(NULL, &tape, &net, d, BNN_LAPLACE_FULL);
    CHECK(took(BNN_EARG, "no arena"));
    bnn_predict(&mem, &tape, &none, NULL, d.x);
    CHECK(took(BNN_EARG, "not made"));
    bnn_net_loss(&none, bnn_batch_all(&tape, d));
    CHECK(took(BNN_EARG, "not made"));
    bnn_mat m = { 0, 0, NULL };
    CHECK(isnan(bnn_linear_evidence(NULL, m, m, d, &one, 1)));
    CHECK(isnan(bnn_linear_ard(NULL, m, m, d, &one, &beta, 1, 0)));
    CHECK(isnan(bnn_diag_rhat(NULL, d.x)) && isnan(bnn_diag_ess(NULL, d.x)));
    CHECK(isnan(bnn_metric_auroc(NULL, d.x, d.y)));
    CHECK(bnn_gaussian_fit(NULL, NULL, &net, BNN_COV_FULL, 0).n == 0);
    close_all();
}
static void the_schedule_falls_from_its_start_for_every_end_and_power(void) {
    for (int e = 0; e < 3; e++)
        for (int g = 0; g < 4; g++) {
            double end = e == 0 ? 0 : e == 1 ? 1e-300 : 0.01, gamma = g == 3 ? 5 : 0.3 + 0.35 * g;
            double last = 0.1;
            CHECK_NEAR(bnn_lr_polynomial(0.1, end, gamma, 0, 50), 0.1, 1e-12);
            for (size_t k = 1; k < 50; k++) {
                double lr = bnn_lr_polynomial(0.1, end, gamma, k, 50);
                CHECK(lr <= last * (1 + 1e-12) && lr > 0);
                last = lr;
            }
            if (e == 2) CHECK_NEAR(last, 0.01, 0.004);
        }
}
static void the_simplex_takes_values_of_any_size(void) {
    for (int e = -30; e <= 30; e += 5) {
        float v = (float)pow(10, e), x[4] = { 0, 0, 0, 0 }, sum = 0;
        x[1] = x[2] = v;
        bnn_simplex_project(4, x);
        for (int k = 0; k < 4; k++) sum += x[k];
        CHECK_NEAR(sum, 1, 1e-6);
        CHECK_NEAR(x[1], v >= (float)0.5 ? 0.5 : 0.25 + (double)v / 2, 1e-6);
    }
}
static void the_student_ends_in_the_gaussian(void) {
    open_all(1);
    for (int e = 5; e <= 37; e += 4) {
        float m = 0, y = (float)1.5;
        bnn_var *a = bnn_leaf(&tape, (bnn_mat){ 1, 1, &m });
        bnn_var *b = bnn_input(&tape, (bnn_mat){ 1, 1, &y });
        bnn_var *v = bnn_student_nll(a, b, (float)pow(10, e), 2);
        bnn_backward(v);
        CHECK_NEAR(v->val.data[0], 0.91893853320467 + log(2) + 0.28125, e < 8 ? 1e-5 : 4e-7);
        CHECK_NEAR(a->grad.data[0], -0.375, 1e-4);
        bnn_tape_reset(&tape);
    }
    close_all();
}
static void removed_weights_stay_removed_under_every_stepper(void) {
    for (int kind = BNN_SGD; kind < BNN_HMC; kind++) {
        open_all(1);
        bnn_data d = line(1);
        bnn_net net = small_net();
        bnn_meanfield q = bnn_meanfield_new(net.params, (bnn_meanfield_desc){ 0 });
        bnn_stepper s = stepper_of(kind, q.params);
        size_t gone = 0, zero = 0;
        for (int i = 0; i < 40; i++) {
            bnn_tape_reset(&tape);
            bnn_meanfield_sample(&q, &tape);
            bnn_backward(bnn_net_nll(&net, bnn_minibatch(&tape, d, 20)));
            bnn_meanfield_backward(&q, &tape);
            bnn_step(&s, &tape);
            if (i == 19) gone = bnn_meanfield_prune(&q, bnn_meanfield_snr(&q, 0.5));
        }
        for (size_t k = 0; k < q.n; k++) zero += q.params->theta[k] == 0;
        CHECK(gone >= 5 && zero == gone && silent());
        close_all();
    }
}
static void validation_between_backward_and_step_leaves_n_alone(void) {
    open_all(1);
    bnn_data d = line(1), few = bnn_data_rows(d, 0, 2);
    float theta[2][13];
    for (int k = 0; k < 2; k++) {
        bnn_net net = net_of((bnn_mlp_desc){ .sizes = { 1, 4, 1 }, .noise_std = 1, .seed = 9 });
        bnn_stepper s = stepper_of(BNN_SGLD, net.params);
        tape.rng = bnn_rng_seed(8);
        for (int i = 0; i < 3; i++) {
            bnn_tape_reset(&tape);
            bnn_backward(bnn_net_loss(&net, bnn_minibatch(&tape, d, 16)));
            if (k) bnn_value(bnn_net_nll(&net, bnn_batch_all(&tape, few)));
            bnn_step(&s, &tape);
        }
        memcpy(theta[k], net.params->theta, sizeof theta[k]);
    }
    CHECK(memcmp(theta[0], theta[1], sizeof theta[0]) == 0 && silent());
    close_all();
}

/* ---- laws, differences, costs ---- */
static double weibull(void *user, double w, const double *k) { /* NaN below its support */
    (void)user;
    return w < 0 ? (double)NAN : -expm1(-pow(w, k[0]));
}
static double kumaraswamy(void *user, double w, const double *a) {
    (void)user;
    return w < 0 || w > 1 ? (double)NAN : 1 - pow(1 - pow(w, a[0]), a[1]);
}
static double far_normal(void *user, double w, const double *m) {
    (void)user;
    return bnn_normal_cdf((w - m[0]) / m[1]);
}
static void implicit_gradients_without_slopes_hold_at_the_ends_of_any_support(void) {
    static const double par[][2] = { { 0.05, 1 }, { 0.3, 1 }, { 5, 1 }, { 0.1, 0.1 }, { 0.5, 3 },
                                     { 4, 0.4 }, { 0, 1e-4 }, { 300, 1 }, { -2, 1e4 } };
    for (int law = 0; law < 9; law++) {
        open_all(3);
        size_t bad = 0, n = 200;
        float a = (float)par[law][0], b = (float)par[law][1];
        bnn_mat ones = bnn_mat_new(&mem, n, 1), aa = bnn_mat_new(&mem, n, 1);
        bnn_mat_fill(ones, b), bnn_mat_fill(aa, a);
        bnn_var *th[2], *w;
        th[0] = bnn_leaf(&tape, aa), th[1] = bnn_leaf(&tape, ones);
        bnn_implicit_desc d = { .cdf = law < 3 ? weibull : law < 6 ? kumaraswamy : far_normal };
        w = bnn_implicit(th, law < 3 ? 1 : 2, d);
        bnn_backward(bnn_sum(w));
        for (size_t i = 0; i < n && tape.err == BNN_OK; i++) {
            double x = (double)w->val.data[i], g = (double)th[0]->grad.data[i], right;
            if (law < 3) right = -x * log(x) / (double)a;
            else if (law < 6) right = -x * log(x) / (double)a;
            else right = 1;
            if (x < 1e-30 || (law < 6 && law > 2 && x > 0.999)) continue;
            bad += !(fabs(g - right) <= 2e-3 * fabs(right) + 1e-30);
        }
        if (!CHECK(bad == 0 && silent())) printf("    law %d: %d of 200\n", law, (int)bad);
        close_all();
    }
}
static void the_incomplete_beta_keeps_its_digits_for_small_and_large_parameters(void) {
    for (int e = -300; e <= 6; e += 9)
        for (int k = 1; k < 40; k += 2) {
            double a = pow(10, e), x = k / 40.0, p = pow(x, a), q = -expm1(a * log1p(-x));
            CHECK_NEAR(bnn_beta_i(a, 1, x), p, 1e-11 * p);
            CHECK_NEAR(bnn_beta_i(1, a, x), q, 1e-11 * q);
            p = bnn_beta_i(a, a, 0.5);
            CHECK_NEAR(p, 0.5, 1e-11);
        }
    CHECK_NEAR(bnn_beta_i(10, 1e-8, 0.97), 7.9e-9, 2e-9);
}
typedef struct hess { bnn_params *w; float scale; } hess;
static bnn_var *sines(bnn_tape *t, void *user) {
    hess *h = (hess *)user;
    bnn_var *v = bnn_param(t, h->w, 0);
    return bnn_sum(bnn_sin(bnn_scale(v, h->scale)));
}
static void hessian_products_do_not_care_for_scale_size_or_place_of_the_result(void) {
    static const size_t size[] = { 2, 1000, 100000 };
    for (int k = 0; k < 9; k++) { /* weights of size 1/scale */
        open_all(5);
        size_t n = size[k % 3];
        hess h = { bnn_params_new(&mem), (float)(k < 3 ? 1 : k < 6 ? 1e-3 : 3) };
        bnn_params_add(h.w, n, 1, "w", (bnn_prior){ .kind = BNN_PRIOR_FLAT });
        bnn_rng_fill_normal(&tape.rng, n, h.w->theta);
        for (size_t i = 0; i < n; i++) h.w->theta[i] /= h.scale;
        float *v = bnn_mat_new(&mem, n, 1).data, z;
        double right, worst = 0;
        v[1] = 1;
        z = h.w->theta[1];
        bnn_hessian_vector(v, &tape, h.w, sines, &h, v);
        right = -(double)h.scale * (double)h.scale * sin((double)(h.scale * z));
        CHECK_NEAR(v[1], right, 2e-3 * (double)h.scale * (double)h.scale);
        for (size_t i = 2; i < n; i++) worst = fmax(worst, fabs((double)v[i]));
        CHECK(worst < 1e-6 * (double)h.scale * (double)h.scale && h.w->theta[1] == z && silent());
        close_all();
    }
}
static void the_energy_of_a_net_is_summed_in_double(void) {
    open_all(1);
    size_t n = 20000;
    bnn_mat x = normals(n, 1, 1), y = normals(n, 1, 0.3);
    bnn_data d = { x, y };
    bnn_net net = net_of((bnn_mlp_desc){ .sizes = { 1, 1 }, .noise_std = (float)0.05 });
    for (size_t i = 0; i < n; i++) y.data[i] += 2 * x.data[i];
    train(&net, d, 0.1, 300);
    bnn_stepper h = bnn_hmc(net.params, (bnn_hmc_desc){ .net = &net, .data = d, .leapfrog = 3,
                                                        .step = (float)1e-5 });
    for (int i = 0; i < 20; i++) { /* a sum in float has steps of 0.03 here */
        bnn_tape_reset(&tape), bnn_step(&h, &tape);
        CHECK(h.hmc->energy > 3e5 && h.hmc->log_accept > -0.01);
    }
    CHECK(h.hmc->divergent == 0 && silent());
    close_all();
}
static void noise_of_inputs_is_in_the_columns_units_where_a_net_has_them(void) {
    open_all(6);
    bnn_mat x = normals(400, 2, 1), y = normals(400, 1, 1);
    for (size_t i = 0; i < 400; i++) x.data[2 * i] *= 1000, x.data[2 * i + 1] *= (float)0.01;
    bnn_net net = net_of((bnn_mlp_desc){ .sizes = { 2, 1 }, .noise_std = 1 });
    CHECK(bnn_net_standardize(&net, (bnn_data){ x, y }) == BNN_OK);
    bnn_mat one = bnn_mat_rows(x, 0, 1);
    bnn_var *v = bnn_distill_inputs(&tape, one, 5000, (bnn_inputs_desc){ .noise = (float)0.1,
                                                                         .net = &net });
    bnn_mat sd = bnn_mat_new(&mem, 1, 2);
    bnn_mat_col_std(sd, v->val); /* of 5000: 1 percent */
    CHECK_NEAR(sd.data[0], 0.1 * (double)net.scaling.x_std.data[0], 8);
    CHECK_NEAR(sd.data[1], 0.1 * (double)net.scaling.x_std.data[1], 8e-5);
    CHECK(silent());
    close_all();
}
static void a_full_ensemble_stops_nobody_and_weights_of_any_size_are_shares(void) {
    open_all(1);
    bnn_data d = line(1);
    bnn_net net = small_net();
    bnn_stepper s = stepper_of(BNN_SGLD, net.params);
    bnn_ensemble e = bnn_ensemble_new(net.params, 2);
    bnn_predictive p[3];
    for (int i = 0; i < 5; i++) {
        once(&net, &s, d);
        CHECK((bnn_ensemble_push(&e) == BNN_OK) == (i < 2));
    }
    CHECK(tape.err == BNN_OK && mem.err == BNN_OK && s.t == 5 && mem.notes == 1);
    for (int k = 0; k < 3; k++) {
        double w = k == 0 ? 1 : k == 1 ? DBL_MAX / 3 : DBL_MIN;
        e.weights[0] = w, e.weights[1] = w;
        p[k] = bnn_predict(&mem, &tape, &net, &e, d.x);
        CHECK_NEAR(p[k].mean.data[9], p[0].mean.data[9], 1e-6);
        CHECK_NEAR(p[k].epistemic.data[9], p[0].epistemic.data[9], 1e-9);
    }
    CHECK(tape.notes == 0);
    close_all();
}
static void infinite_variances_are_said_and_quantiles_are_not_touched(void) {
    open_all(1);
    for (int k = 0; k < 3; k++) {
        bnn_net net = net_of((bnn_mlp_desc){ .sizes = { 1, 1 }, .noise_std = 1, .seed = 3,
            .likelihood = BNN_STUDENT, .nu = (float)(k == 0 ? 1 : k == 1 ? 2 : 2.5) });
        bnn_data d = line(1);
        bnn_mat q = bnn_predict_quantile(&mem, &tape, &net, NULL, d.x, 0.75);
        CHECK(silent());
        bnn_predictive p = bnn_predict(&mem, &tape, &net, NULL, d.x);
        if (k == 0) CHECK_NEAR(q.data[0] - p.mean.data[0], 1, 1e-3); /* Cauchy: tan(pi/4) */
        CHECK(k < 2 ? noted("variances are inf") : silent());
    }
    close_all();
}
static void a_minibatch_takes_what_it_holds(void) {
    open_all(1);
    size_t n = 1000000;
    bnn_mat x = bnn_mat_new(&mem, n, 1);
    bnn_data d = { x, x };
    for (int i = 0; i < 200; i++) {
        bnn_tape_reset(&tape);
        bnn_minibatch(&tape, d, 32);
    }
    CHECK(bnn_arena_size(&tape.mem) < 200000 && tape.n_data == (double)n && silent());
    close_all();
}
static void zero_means_zero_where_it_is_said(void) {
    open_all(1);
    bnn_net net = small_net();
    bnn_stepper a = bnn_adam(net.params, (bnn_adam_desc){ .beta1 = (float)BNN_ZERO,
                                                          .lr = (float)BNN_ZERO });
    bnn_stepper g = bnn_sgld(net.params, (bnn_sgld_desc){ .temperature = (float)BNN_ZERO });
    CHECK(a.beta1 == 0 && a.lr == 0 && g.temperature == 0);
    CHECK(bnn_sgld(net.params, (bnn_sgld_desc){ 0 }).temperature == 1);
    net = net_of((bnn_mlp_desc){ .sizes = { 1, 1, 1 }, .activations = { BNN_TANH }, .noise_std = 1,
                                 .no_bias = 1 });
    net.params->theta[0] = net.params->theta[1] = 1;
    float x[2] = { -2, 2 };
    bnn_predictive p = bnn_predict(&mem, &tape, &net, NULL, (bnn_mat){ 2, 1, x });
    CHECK_NEAR(p.mean.data[0], -tanh(2), 1e-6);
    CHECK_NEAR(p.mean.data[1], tanh(2), 1e-6);
    CHECK(silent());
    close_all();
}

/* ---- files ---- */
static void a_first_row_is_guessed_only_where_it_can_be(void) {
    static const struct { const char *text; int header; size_t rows; int ok; } t[] = {
        { "5.1,n.a,2\n1,2,3\n4,5,6\n", 0, 0, 0 }, { "5.1,NA,2\n1,2,3\n", -1, 2, 1 },
        { "5.1,n/a,2\n1,2,3\n4,5,6\n", 0, 3, 1 },
        { "year,2020,2021\na,1,2\n", 0, 0, 0 }, { "a,b\n1,2\n", 0, 1, 1 },
        { "1,2\n3,4\n", 0, 2, 1 }, { "1,NA\n3,4\n", 0, 2, 1 }, { "a,,c\n1,2,3\n", 0, 1, 1 },
        { "1,\n3,4\n", 0, 2, 1 }, { "5.1,x\n1,2\n", 1, 1, 1 },
    };
    open_all(1);
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        bnn_csv c;
        int err = bnn_csv_parse(&mem, &c, t[i].text, strlen(t[i].text),
                                (bnn_csv_desc){ .header = t[i].header });
        if (!CHECK((err == BNN_OK) == t[i].ok && (!t[i].ok || c.values.rows == t[i].rows)))
            printf("    %d: %d '%s'\n", (int)i, err, mem.msg);
        if (!t[i].ok) CHECK(strstr(mem.msg, ".header"));
        mem.err = BNN_OK;
    }
    close_all();
}
static uint32_t crc(const unsigned char *p, size_t n) {
    uint32_t c = 0xffffffffu;
    for (size_t i = 0; i < n; i++) {
        c ^= p[i];
        for (int k = 0; k < 8; k++) c = c & 1 ? c >> 1 ^ 0xedb88320u : c >> 1;
    }
    return c ^ 0xffffffffu;
}
static void put(unsigned char *at, size_t n, uint64_t bits) {
    for (size_t i = 0; i < n; i++) at[i] = (unsigned char)(bits >> 8 * i & 255);
}
/* Eight bytes of hostile bits at every place, with the right checksum: refused, or so harmless that
 * what was read can be written again and steps on without an end, a crash or an undefined value. */
static void what_a_hostile_file_may_say_a_constructor_would_have_taken(void) {
    static const uint64_t bits[] = { 0x7ff0000000000000u, 0x7ff8000000000001u, 0xbff0000000000000u,
        0x46293e5939a08ceau, 0x1000000000000000u, 0, 0x7f8000007f800000u, 0xffffffffffffffffu };
    open_all(1);
    bnn_data d = line(1);
    bnn_net net = small_net();
    bnn_stepper h = bnn_hmc(net.params, (bnn_hmc_desc){ .net = &net, .data = d, .leapfrog = 23,
                                                        .warmup = 5 });
    bnn_stepper s[4];
    bnn_ensemble e = bnn_ensemble_new(net.params, 2);
    void *was, *out;
    size_t size, n, loaded = 0;
    s[0] = stepper_of(BNN_SGD, net.params), s[1] = stepper_of(BNN_ADAM, net.params);
    s[2] = stepper_of(BNN_PSGLD, net.params), s[3] = stepper_of(BNN_SGHMC, net.params);
    bnn_ensemble_push(&e);
    bnn_checkpoint a = { .nets = { &net }, .steppers = { &h, &s[0] }, .ensembles = { &e } };
    bnn_checkpoint b = { .nets = { &net }, .steppers = { &s[1], &s[2], &s[3] } };
    for (int k = 0; k < 2; k++) {
        bnn_checkpoint *c = k ? &b : &a;
        if (!CHECK(bnn_checkpoint_write(&mem, c, &was, &size) == BNN_OK)) break;
        unsigned char *bytes = (unsigned char *)malloc(size);
        for (size_t at = 12; at + 12 <= size; at += 4)
            for (size_t i = 0; i < sizeof bits / sizeof *bits; i++) {
                bnn_mark mark = bnn_arena_mark(&mem);
                memcpy(bytes, was, size);
                put(bytes + at, 8, bits[i]);
                put(bytes + size - 4, 4, crc(bytes, size - 4));
                if (bnn_checkpoint_read(&mem, c, bytes, size) == BNN_OK) {
                    loaded++;
                    if (!CHECK(bnn_checkpoint_write(&mem, c, &out, &n) == BNN_OK))
                        printf("    byte %d, bits %d: %s\n", (int)at, (int)i, mem.msg);
                    CHECK(!(h.hmc->desc.leapfrog > 1u << 20));
                }
                mem.err = BNN_OK;
                bnn_arena_rewind(&mem, mark);
                CHECK(bnn_checkpoint_read(&mem, c, was, size) == BNN_OK);
            }
        free(bytes);
    }
    CHECK(loaded > 100); /* weights, counts, times: anything finite */
    close_all();
}

int main(void) {
    RUN(a_refused_net_tells_its_cause_wherever_one_looks);
    RUN(a_likelihood_that_does_not_exist_is_an_error);
    RUN(constructors_ask_for_the_noise_of_every_likelihood_that_has_one);
    RUN(noise_at_its_bound_is_heard_in_every_kind_of_training);
    RUN(healthy_learned_noise_is_silent_in_any_unit);
    RUN(every_stepper_hears_of_a_forgotten_reset_or_backward);
    RUN(right_loops_of_other_shapes_are_silent);
    RUN(a_block_out_of_the_loss_is_named_once);
    RUN(a_spike_moves_nothing_and_the_next_step_goes_on);
    RUN(every_misuse_of_a_draw_is_heard_in_all_three_forms);
    RUN(laplace_says_how_far_the_maximum_is_for_every_kind_and_likelihood);
    RUN(any_operand_from_another_tape_is_an_error_on_both);
    RUN(equal_chains_say_nothing_whichever_two_they_are);
    RUN(chains_of_one_seed_that_meet_are_equal_wherever_they_began);
    RUN(hmc_switches_dropout_off_in_both_forms_of_the_energy);
    RUN(no_length_of_path_resonates);
    RUN(a_row_with_a_gap_is_nan_in_every_answer_and_the_others_keep_their_bits);
    RUN(a_gap_in_training_data_is_named_by_every_batch);
    RUN(logits_of_minus_infinity_alone_are_an_error_everywhere);
    RUN(no_metric_swallows_nan_or_takes_what_is_no_probability);
    RUN(nothing_times_its_logarithm_is_nothing_in_both_directions);
    RUN(a_sample_that_is_nan_is_named);
    RUN(every_answer_of_a_likelihood_with_a_scale_follows_the_unit);
    RUN(numbers_in_sentences_are_written_as_people_write_them);
    RUN(the_sentence_belongs_to_the_code);
    RUN(a_refused_or_missing_object_never_crashes);
    RUN(the_schedule_falls_from_its_start_for_every_end_and_power);
    RUN(the_simplex_takes_values_of_any_size);
    RUN(the_student_ends_in_the_gaussian);
    RUN(removed_weights_stay_removed_under_every_stepper);
    RUN(validation_between_backward_and_step_leaves_n_alone);
    RUN(implicit_gradients_without_slopes_hold_at_the_ends_of_any_support);
    RUN(the_incomplete_beta_keeps_its_digits_for_small_and_large_parameters);
    RUN(hessian_products_do_not_care_for_scale_size_or_place_of_the_result);
    RUN(the_energy_of_a_net_is_summed_in_double);
    RUN(noise_of_inputs_is_in_the_columns_units_where_a_net_has_them);
    RUN(a_full_ensemble_stops_nobody_and_weights_of_any_size_are_shares);
    RUN(infinite_variances_are_said_and_quantiles_are_not_touched);
    RUN(a_minibatch_takes_what_it_holds);
    RUN(zero_means_zero_where_it_is_said);
    RUN(a_first_row_is_guessed_only_where_it_can_be);
    RUN(what_a_hostile_file_may_say_a_constructor_would_have_taken);
    return check_done();
}
