/* test_resume.c -- a fit that is canceled, written, and resumed by another program has the bits of
 * the fit that nobody interrupted: every sampler, hierarchical priors, learned noise, in warm-up
 * and after; of another net, data or desc, cut or changed bytes: an error, and nothing is made. */
#include "build.h"
#include "world.h"

static float ramp(size_t i) { return (float)(0.1 * (double)(i % 41) - 2); }

static bnn_data waves(size_t n) {
    bnn_rng rng = bnn_rng_seed(build_seed(5));
    bnn_data d = { bnn_mat_new(&mem, n, 1), bnn_mat_new(&mem, n, 1) };
    for (size_t i = 0; i < n; i++) {
        d.x.data[i] = ramp(i);
        d.y.data[i] = (float)(sin(2 * (double)ramp(i)) + 0.3 * (double)bnn_rng_normal(&rng));
    }
    return d;
}

static bnn_net a_net(size_t hidden) { /* every scale and the noise are learned */
    return bnn_mlp(bnn_params_new(&mem), (bnn_mlp_desc){ .sizes = { 1, hidden, 1 },
        .activation = BNN_TANH, .noise_learned = 1, .dropout = (float)0.1, .seed = build_seed(1),
        .prior = { .shape = 2, .rate = 1 } });
}

static size_t canceled_at;
static int cancel(void *user, size_t done, size_t total) {
    (void)total;
    ++*(int *)user;
    return canceled_at != 0 && done >= canceled_at;
}

static int calls;
static bnn_fit_desc a_desc(int method, double gradients) {
    return (bnn_fit_desc){ .method = method, .gradients = gradients, .ess = 1e9, .draws = 40,
        .chains = 3, .seed = build_seed(5), .progress = cancel, .progress_user = &calls };
}

static void check_equal(const bnn_posterior *a, const bnn_posterior *b) {
    CHECK(a->err == b->err && a->reached == b->reached && a->method == b->method);
    CHECK(a->post.count == b->post.count && a->energy.cols == b->energy.cols);
    CHECK(a->gradients == b->gradients && a->burn_in == b->burn_in && a->thin == b->thin);
    CHECK(a->chains == b->chains && a->draws == b->draws && a->batch == b->batch);
    CHECK(a->n_notes == b->n_notes);
    for (size_t i = 0; i < a->n_notes && i < b->n_notes; i++) {
        CHECK(strcmp(a->notes[i], b->notes[i]) == 0);
        if (strcmp(a->notes[i], b->notes[i])) printf("    %s\n    %s\n", a->notes[i], b->notes[i]);
    }
    CHECK_SAME_ARRAY(&a->rhat, &b->rhat, 5); /* to ess_log_lik; then to step_max */
    CHECK_SAME_ARRAY(&a->temperature, &b->temperature, 10);
    if (a->post.count != b->post.count || a->energy.cols != b->energy.cols) return;
    CHECK_SAME_ARRAY(a->post.samples.data, b->post.samples.data,
                     a->post.count * a->post.samples.cols);
    CHECK_SAME_ARRAY(a->energy.data, b->energy.data, a->energy.rows * a->energy.cols);
}

/* As another program: all that it has is data, a net that it makes, and the bytes of a file */
static bnn_posterior resumed(bnn_bytes saved, bnn_fit_desc q) {
    bnn_checkpoint c = { .bytes = { &saved } };
    bnn_bytes again = { NULL, 0 }, file = { NULL, 0 };
    CHECK(bnn_checkpoint_write(&mem, &c, &file.data, &file.size) == BNN_OK);
    c.bytes[0] = &again;
    CHECK(bnn_checkpoint_read(&mem, &c, file.data, file.size) == BNN_OK);
    bnn_net *net = bnn_arena_alloc(&mem, 1, sizeof *net);
    *net = a_net(6);
    return bnn_fit_resume(&mem, net, waves(41), again, q);
}

/* at: gradients after which it is canceled, 1 at the first moment; draws it has then? */
static void goes_on(int method, double gradients, size_t at, int draws) {
    bnn_net net = a_net(6), other = a_net(6);
    bnn_fit_desc q = a_desc(method, gradients);
    canceled_at = 0;
    bnn_posterior a = bnn_fit(&mem, &net, waves(41), q);
    canceled_at = at;
    bnn_posterior b = bnn_fit(&mem, &other, waves(41), q);
    CHECK(b.err == BNN_ECANCEL && b.gradients < a.gradients && (b.post.count > 0) == draws);
    bnn_bytes saved = bnn_fit_write(&mem, &b);
    CHECK(saved.data != NULL);
    canceled_at = (size_t)b.gradients + 1; /* a second time, a round later */
    bnn_posterior c = resumed(saved, q);
    CHECK(c.err == BNN_ECANCEL && c.gradients > b.gradients);
    saved = bnn_fit_write(&mem, &c);
    canceled_at = 0;
    c = resumed(saved, q);
    check_equal(&a, &c);
    saved = bnn_fit_write(&mem, &c); /* complete: the report of it */
    b = resumed(saved, q);
    check_equal(&a, &b);
    bnn_fit_more(&a, 8000);
    bnn_fit_more(&b, 8000);
    check_equal(&a, &b);
}

static void each_sampler_goes_on(int method, double gradients, size_t at) {
    open_all(1);
    goes_on(method, gradients, 1, 0); /* nuts, hmc: in the first rounds of their warm-up */
    goes_on(method, gradients, at, 1);
    close_all();
}

static void nuts_goes_on_from_its_bytes(void) { each_sampler_goes_on(BNN_FIT_NUTS, 9e4, 60000); }
static void hmc_goes_on_from_its_bytes(void) { each_sampler_goes_on(BNN_FIT_HMC, 6e4, 40000); }
static void sghmc_goes_on_from_its_bytes(void) { each_sampler_goes_on(BNN_FIT_SGHMC, 6e4, 30000); }
static void sgld_goes_on_from_its_bytes(void) { each_sampler_goes_on(BNN_FIT_SGLD, 6e4, 30000); }
static void sgnht_goes_on_from_its_bytes(void) { each_sampler_goes_on(BNN_FIT_SGNHT, 6e4, 30000); }

/* Methods that are no samplers are canceled before their draws, or not at all */
static void other_methods_do(void) {
    open_all(2);
    for (int method = BNN_FIT_ENSEMBLE; method <= BNN_FIT_SWAG; method++) {
        bnn_net net = a_net(6), other = a_net(6);
        bnn_fit_desc q = a_desc(method, 6000);
        canceled_at = 0;
        bnn_posterior a = bnn_fit(&mem, &net, waves(41), q), b;
        canceled_at = method == BNN_FIT_MEANFIELD ? 0 : 1; /* which has made no gradient then */
        b = bnn_fit(&mem, &other, waves(41), q);
        CHECK((b.err == BNN_ECANCEL && b.post.count == 0) || method == BNN_FIT_MEANFIELD);
        bnn_bytes saved = bnn_fit_write(&mem, &b);
        canceled_at = 0;
        b = resumed(saved, q);
        check_equal(&a, &b);
        CHECK(b.post.count == b.chains * b.draws && b.draws > 0);
        b = resumed(bnn_fit_write(&mem, &b), q);
        check_equal(&a, &b);
    }
    close_all();
}

/* The budget may grow, and the target; what was reached is not sought again */
static void to_a_larger_budget_it_goes_on_as_more_does(void) {
    open_all(3);
    bnn_net net = a_net(6);
    bnn_fit_desc q = a_desc(BNN_FIT_SGHMC, 40000), r = a_desc(BNN_FIT_SGHMC, 60000);
    canceled_at = 0;
    bnn_posterior a = bnn_fit(&mem, &net, waves(41), q);
    bnn_posterior b = resumed(bnn_fit_write(&mem, &a), r);
    bnn_fit_more(&a, 20000);
    CHECK(a.gradients >= 60000);
    check_equal(&a, &b);
    r.ess = 1; /* smaller than what it has */
    r.gradients = 1e6;
    b = resumed(bnn_fit_write(&mem, &a), r);
    CHECK(b.reached && b.gradients > a.gradients && b.gradients < 2e5);
    bnn_posterior c = resumed(bnn_fit_write(&mem, &b), r);
    CHECK(c.gradients == b.gradients);
    check_equal(&b, &c);
    r.ess = 2 * fmin(b.ess_bulk, b.ess_tail);
    c = resumed(bnn_fit_write(&mem, &b), r);
    CHECK(c.gradients > b.gradients);
    close_all();
}

/* A forward of one's own that fails once, in the warm-up of one chain */
static int calls_left;
static bnn_var *fails_once(bnn_tape *t, const bnn_net *net, bnn_var *x) {
    if (calls_left > 0 && --calls_left == 0) return bnn_tape_fail(t, BNN_EARG, "mine", "enough");
    return bnn_matmul(x, bnn_param(t, net->params, 0));
}

static bnn_var *overflows_once(bnn_tape *t, const bnn_net *net, bnn_var *x) {
    bnn_var *y = bnn_matmul(x, bnn_param(t, net->params, 0));
    return calls_left > 0 && --calls_left == 0 ? bnn_scale(y, (float)INFINITY) : y;
}

static bnn_net own_net(bnn_var *(*forward)(bnn_tape *, const bnn_net *, bnn_var *)) {
    bnn_params *w = bnn_params_new(&mem);
    bnn_params_add(w, 1, 1, "slope", (bnn_prior){ 0 });
    return (bnn_net){ .params = w, .forward = forward, .noise_std = 1, .mem = &mem };
}

static void a_chain_that_is_left_out_stays_out(void) {
    open_all(4);
    bnn_net net = own_net(fails_once), other = own_net(fails_once), third = own_net(fails_once);
    bnn_fit_desc q = a_desc(BNN_FIT_NUTS, 3e4);
    canceled_at = 0, calls_left = 9500;
#ifdef _OPENMP
    omp_set_num_threads(1); /* the chains count their calls together */
#endif
    bnn_posterior a = bnn_fit(&mem, &net, waves(41), q);
    CHECK(a.chains == 2 && a.err == BNN_EARG && a.post.count > 0);
    canceled_at = 15000, calls_left = 9500;
    bnn_posterior b = bnn_fit(&mem, &other, waves(41), q);
    CHECK(b.chains == 2 && b.err == BNN_ECANCEL && calls_left == 0);
    canceled_at = 0;
    b = bnn_fit_resume(&mem, &third, waves(41), bnn_fit_write(&mem, &b), q);
    check_equal(&a, &b);
    CHECK(b.n_notes > 0 && strstr(b.notes[0], "is left out after ") != NULL);
    CHECK(strstr(b.notes[0], "mine: enough") != NULL);
#ifdef _OPENMP
    omp_set_num_threads(omp_get_num_procs());
#endif
    close_all();
}

/* ... and how many steps it made is known */
static void a_chain_that_overflowed_late_is_told_of(void) {
    open_all(9);
    bnn_net net = own_net(overflows_once), other = own_net(overflows_once);
    bnn_fit_desc q = a_desc(BNN_FIT_SGHMC, 6e4);
    canceled_at = 0, calls_left = 24000;
    bnn_posterior a = bnn_fit(&mem, &net, waves(41), q);
    bnn_posterior b = bnn_fit_resume(&mem, &other, waves(41), bnn_fit_write(&mem, &a), q);
    CHECK(a.err == BNN_ENONFINITE && calls_left == 0);
    check_equal(&a, &b);
    int told = 0;
    for (size_t i = 0; i < a.n_notes && i < b.n_notes; i++) {
        CHECK(strcmp(a.notes[i], b.notes[i]) == 0);
        told |= strstr(b.notes[i], " overflowed after ") != NULL;
    }
    CHECK(told && a.n_notes == b.n_notes);
    close_all();
}

/* ---- errors */

static bnn_bytes short_fit(bnn_fit_desc q) {
    bnn_net net = a_net(6);
    canceled_at = 0;
    bnn_posterior p = bnn_fit(&mem, &net, waves(41), q);
    bnn_bytes saved = bnn_fit_write(&mem, &p);
    CHECK(p.post.count > 0 && saved.data != NULL);
    return saved;
}

static int refused(bnn_net *net, bnn_data d, bnn_bytes saved, bnn_fit_desc q, const char *part) {
    bnn_mark before = bnn_arena_mark(&mem);
    bnn_posterior p = bnn_fit_resume(&mem, net, d, saved, q);
    CHECK(p.err != BNN_OK && p.fit == NULL && p.post.count == 0 && p.post.samples.data == NULL);
    CHECK(mem.used == before.used && net->scaling.x_mean.data == NULL);
    return mem_took(p.err, part);
}

static void what_differs_is_named(void) {
    open_all(5);
    bnn_fit_desc q = a_desc(BNN_FIT_SGLD, 12000), r = q;
    bnn_bytes saved = short_fit(q);
    bnn_net net = a_net(6), wide = a_net(7);
    bnn_data d = waves(41);
    float at = 1, was = d.y.data[7];
    CHECK(refused(&wide, d, saved, q, "weights: 23 here, 20 in the saved fit"));
    wide = a_net(6);
    wide.params->blocks[0].prior.rate = 2;
    CHECK(refused(&wide, d, saved, q, "checksum of the net: "));
    wide = a_net(6);
    bnn_params_lr(wide.params, 0, 0);
    CHECK(refused(&wide, d, saved, q, "checksum of the net: ")); /* what is frozen */
    CHECK(refused(&net, bnn_data_rows(d, 0, 40), saved, q, "rows: 40 here, 41 in the saved fit"));
    d.y.data[7] += 1;
    CHECK(refused(&net, d, saved, q, "checksum of y: "));
    d.y.data[7] = was;
    was = d.x.data[7], d.x.data[7] = 9;
    CHECK(refused(&net, d, saved, q, "checksum of x: "));
    d.x.data[7] = was;
    r.unscaled = 1;
    CHECK(refused(&net, d, saved, r, "checksum of the net: ")); /* its scaling */
    r = q, r.method = BNN_FIT_SGHMC;
    CHECK(refused(&net, d, saved, r, "method: 3 here, 4 in the saved fit"));
    r = q, r.chains = 4;
    CHECK(refused(&net, d, saved, r, "chains: 4 here, 3 in the saved fit"));
    r = q, r.draws = 41;
    CHECK(refused(&net, d, saved, r, "draws: 41 here, 40 in the saved fit"));
    r = q, r.batch = 7;
    CHECK(refused(&net, d, saved, r, "batch: 7 here, 0 in the saved fit"));
    r = q, r.lr = 1;
    CHECK(refused(&net, d, saved, r, "bits of lr: "));
    r = q, r.seed++;
    CHECK(refused(&net, d, saved, r, "seed: "));
    r = q, r.probe = (bnn_mat){ 1, 1, &at };
    CHECK(refused(&net, d, saved, r, "checksum of probe: "));
    r = q, r.method = 99;
    CHECK(refused(&net, d, saved, r, "bnn_fit: method 99"));
    bnn_posterior none;
    memset(&none, 0, sizeof none);
    CHECK(bnn_fit_write(&mem, &none).data == NULL);
    CHECK(mem_took(BNN_EARG, "bnn_fit_write: the fit was not made"));
    close_all();
}

/* Numbers with which it would run without end */
static void paths_that_no_fit_has_are_refused(void) {
    open_all(8);
    bnn_net net = a_net(6), other = a_net(6);
    bnn_fit_desc q = a_desc(BNN_FIT_HMC, 12000);
    canceled_at = 0;
    bnn_posterior p = bnn_fit(&mem, &net, waves(41), q);
    p.fit->chains[1].s.hmc->desc.leapfrog = 1 << 19;
    bnn_bytes saved = bnn_fit_write(&mem, &p);
    CHECK(refused(&other, waves(41), saved, q,
                  "524288 leapfrog steps, a warm-up of 200: this fit has 10 "));
    p.fit->chains[1].s.hmc->desc.leapfrog = p.fit->chains[0].s.hmc->desc.leapfrog;
    p.fit->thin = 1 << 29;
    CHECK(bnn_fit_write(&mem, &p).data == NULL);
    CHECK(mem_took(BNN_EARG, "536870912 steps between two records are more than there were"));
    close_all();
}

/* A target that is reached with the last record there is room for */
static void it_goes_on_where_its_room_is_full(void) {
    open_all(9);
    bnn_net net = a_net(6);
    bnn_fit_desc q = a_desc(BNN_FIT_HMC, 60000);
    q.draws = 25, q.ess = 2, q.chains = 2;
    canceled_at = 0;
    bnn_posterior p = bnn_fit(&mem, &net, waves(41), q), r;
    CHECK(p.reached && p.fit->chains[0].records == p.fit->room);
    bnn_bytes saved = bnn_fit_write(&mem, &p), again;
    q.ess = 2 * fmin(p.ess_bulk, p.ess_tail);
    r = resumed(saved, q);
    CHECK(r.err == BNN_OK && r.gradients > p.gradients);
    CHECK(r.fit->chains[0].records <= r.fit->room && r.fit->thin >= 2);
    char *note = p.fit->chains[0].tape.note;
    size_t end = strlen(note) + 1;
    memset(note + end, 'x', BNN_MSG - end); /* what stands behind a sentence is not saved */
    again = bnn_fit_write(&mem, &p); /* to the last byte */
    CHECK(again.size == saved.size && memcmp(again.data, saved.data, saved.size) == 0);
    bnn_fit_more(&p, 0);
    CHECK(p.fit->chains[0].records <= p.fit->room && p.fit->thin >= 2);
    close_all();
}

/* Whatever the bytes: an error, or a posterior of finite draws. A file has a checksum beside. */
static void cut_or_changed_bytes_are_an_error(void) {
    static const int methods[] = { BNN_FIT_NUTS, BNN_FIT_SGHMC };
    open_all(6);
    for (int k = 0; k < 2; k++) {
        bnn_fit_desc q = a_desc(methods[k], 20000);
        q.draws = 2;
        bnn_bytes saved = short_fit(q), part = saved;
        unsigned char *bytes = saved.data;
        bnn_net net = a_net(6), fresh = net;
        bnn_data d = waves(41);
        size_t step = saved.size / 60 + 1;
        canceled_at = 1;
        for (part.size = 0; part.size < saved.size; part.size += step)
            CHECK(refused(&net, d, part, q, "bnn_fit_resume: byte "));
        part.size = saved.size + 1;
        part.data = bnn_arena_alloc(&mem, part.size, 1);
        memcpy(part.data, saved.data, saved.size);
        CHECK(refused(&net, d, part, q, "bytes behind the end"));
        for (size_t i = 0; i < saved.size; i += i < 400 ? 1 : step) {
            bnn_mark mark = bnn_arena_mark(&mem);
            unsigned char was = bytes[i];
            bytes[i] ^= (unsigned char)(1 << i % 8);
            bnn_posterior p = bnn_fit_resume(&mem, &net, d, saved, q);
            CHECK(i >= 124 || p.err == BNN_EARG || p.err == BNN_EFORMAT); /* what must be equal */
            if (p.fit == NULL) CHECK(mem_took(p.err, "bnn_fit_resume: byte "));
            else CHECK(bnn_mat_finite(p.post.samples));
            mem.err = BNN_OK;
            bytes[i] = was;
            net = fresh; /* without a scaling */
            bnn_arena_rewind(&mem, mark);
        }
    }
    close_all();
}

static void a_buffer_is_enough_or_an_error(void) {
    enum { MOST = 1 << 21 };
    unsigned char *room = malloc(MOST);
    open_all(7);
    bnn_fit_desc q = a_desc(BNN_FIT_HMC, 20000);
    q.draws = 2;
    bnn_bytes saved = short_fit(q);
    bnn_data d = waves(41);
    size_t none = 0, all = 0;
    canceled_at = 1;
    for (size_t size = 1 << 12; size <= MOST; size += size / 4) {
        bnn_arena a = { .buffer = room, .capacity = size };
        bnn_net net = a_net(6);
        bnn_posterior p = bnn_fit_resume(&a, &net, d, saved, q);
        CHECK(p.err == a.err && (p.err == BNN_OK || p.err == BNN_ENOMEM));
        none += p.fit == NULL, all += p.err == BNN_OK && p.post.count > 0;
        if (p.err == BNN_OK && bnn_fit_write(&a, &p).data == NULL) CHECK(a.err == BNN_ENOMEM);
        bnn_arena_free(&a);
    }
    CHECK(none > 3 && all > 3);
    free(room);
    close_all();
}

int main(void) {
    RUN(nuts_goes_on_from_its_bytes);
    RUN(hmc_goes_on_from_its_bytes);
    RUN(sghmc_goes_on_from_its_bytes);
    RUN(sgld_goes_on_from_its_bytes);
    RUN(sgnht_goes_on_from_its_bytes);
    RUN(other_methods_do);
    RUN(to_a_larger_budget_it_goes_on_as_more_does);
    RUN(a_chain_that_is_left_out_stays_out);
    RUN(a_chain_that_overflowed_late_is_told_of);
    RUN(what_differs_is_named);
    RUN(paths_that_no_fit_has_are_refused);
    RUN(it_goes_on_where_its_room_is_full);
    RUN(cut_or_changed_bytes_are_an_error);
    RUN(a_buffer_is_enough_or_an_error);
    return check_done();
}
