/* 8_latent.c -- lecture 8: a plane for digits by PCA, PPCA and a VAE; then how to judge what a
 * model says: reliability, coverage, scores, leaving one out, simulation-based calibration.
 *     cc -O2 -I. docs/course/8_latent.c -o latent -lm && ./latent [folder of the pictures]
 * Run it where the folder examples is. Change it: STEPS, FEW, WIDE, the forecasts. */
#include "course.h"
#include "../../examples/ppca.h"

enum { PIXELS = 64, HIDDEN = 64, STEPS = 8000, BATCH = 100, DRAWS = 50, BLOCK = 300 }; /* VAE */
enum { ACROSS = 12, UP = 8, SHOWN = 250, GRAYS = 6 };                                /* pictures */
enum { FEW = 200, FIT = 500, NETS = 10, BURN = 2000, MEMBERS = 40, THIN = 100, BINS = 10 };
enum { UNITS = 20, SEEN = 8, WORLDS = 4000, FORECASTS = 4 };                        /* forecasts */
enum { POINTS = 30, FRESH = 20000, SAMPLES = 2000 };                              /* leaving out */
enum { LINE = 8, SETS = 4000, RANKS = 32, BARS = 8 };                                   /* ranks */
static const double noise = 0.3, wide = 2; /* sd of a measurement; factor of the third forecast */
static const float line_x[LINE] = { 1, 1.4f, 1.8f, 2.2f, 2.6f, 3, 3.4f, 3.8f }; /* lecture 3 */

/* ---- PCA and PPCA ---- */

/* Squared error per image when only the place in the plane is kept: |x - mean|^2 minus the squares
 * of the coordinates. u: eigenvectors in columns, values ascending */
static double lost(bnn_mat x, bnn_mat mean, bnn_mat u, size_t latents) {
    double sum = 0;
    for (size_t i = 0; i < x.rows; i++) {
        const float *row = x.data + i * PIXELS;
        for (size_t k = 0; k < PIXELS; k++)
            sum += pow((double)row[k] - (double)mean.data[k], 2);
        for (size_t j = 0; j < latents; j++) {
            double c = 0;
            for (size_t k = 0; k < PIXELS; k++)
                c += ((double)row[k] - (double)mean.data[k]) *
                     (double)*bnn_mat_at(u, k, PIXELS - 1 - j);
            sum -= c * c;
        }
    }
    return sum / (double)x.rows;
}

static void planes(bnn_arena *mem, bnn_mat train, bnn_mat test) {
    const size_t latents[4] = { 1, 2, 5, 10 };
    bnn_mat cov = bnn_mat_new(mem, PIXELS, PIXELS), l = bnn_mat_new(mem, 1, PIXELS), none = { 0 };
    bnn_mat u = bnn_mat_new(mem, PIXELS, PIXELS), mean = bnn_mat_new(mem, 1, PIXELS);
    bnn_mat_col_mean(mean, train), bnn_mat_cov(cov, train);
    if (mem->err || bnn_mat_eig_sym(mem, l, u, cov)) return;
    printf("latents   lost by PCA   discarded eigenvalues   noise sd   "
           "ln p(x): training     test\n");
    for (int k = 0; k < 4; k++) {
        double discarded = 0, a = 0, b = 0;
        ppca p;
        for (size_t j = 0; j < PIXELS - latents[k]; j++) discarded += (double)l.data[j];
        ppca_fit(mem, &p, train, latents[k]);
        if (mem->err) return;
        ppca_infer(mem, &p, train, none, none, &a), ppca_infer(mem, &p, test, none, none, &b);
        printf("%7d %13.3f %23.3f %10.3f %20.2f %8.2f\n", (int)latents[k],
               lost(train, mean, u, latents[k]), discarded, sqrt((double)p.noise.data[0]),
               a / (double)train.rows, b / (double)test.rows);
    }
}

/* ---- the VAE ---- */

typedef struct vae { bnn_net encoder, decoder; } vae;
typedef struct bound { bnn_var *m, *s, *t, *error, *kl; } bound; /* one row per image */

static vae vae_new(bnn_arena *mem) {
    bnn_params *w = bnn_params_new(mem); /* one store for both */
    bnn_mlp_desc e = { .sizes = { PIXELS, HIDDEN, 4 }, .noise_std = 1, .activation = BNN_TANH,
                       .seed = 1 };
    bnn_mlp_desc d = { .sizes = { 2, HIDDEN, PIXELS }, .noise_std = 0.3f, .noise_learned = 1,
                       .activation = BNN_TANH, .seed = 2 };
    vae v;
    v.encoder = bnn_mlp(w, e), v.decoder = bnn_mlp(w, d);
    return v;
}

static bound vae_bound(const vae *v, bnn_var *x) {
    bound b;
    bnn_var *h = bnn_net_forward(&v->encoder, x);
    bnn_var *ln_var = bnn_param(x->tape, v->decoder.params, v->decoder.noise);
    b.m = bnn_cols(h, 0, 2), b.s = bnn_exp(bnn_cols(h, 2, 2));
    b.t = bnn_normal(b.m, b.s); /* m + s eps */
    b.error = bnn_gaussian_nll(bnn_net_forward(&v->decoder, b.t), x, ln_var);
    b.kl = bnn_kl_standard_normal(b.m, b.s);
    return b;
}

/* ln w = ln p(x|t) + ln p(t) - ln q(t|x) of the draw t; the two ln 2 pi cancel */
static bnn_var *ln_weight(const bound *b) {
    bnn_var *eps = bnn_div(bnn_sub(b->t, b->m), b->s);
    bnn_var *ratio = bnn_scale(bnn_sub(bnn_square(eps), bnn_square(b->t)), 0.5f);
    return bnn_sub(bnn_rowsum(bnn_add(ratio, bnn_log(b->s))), b->error);
}

/* Means over the images of error, KL, and ln of the mean weight of DRAWS draws */
static void vae_judge(bnn_tape *tape, const vae *v, bnn_mat x, double out[3]) {
    out[0] = out[1] = out[2] = 0;
    for (size_t i = 0; i < x.rows && !tape->err; i += BLOCK) {
        bnn_var *ln_w[DRAWS];
        size_t n = x.rows - i < BLOCK ? x.rows - i : BLOCK;
        bnn_tape_reset(tape);
        for (int k = 0; k < DRAWS; k++) {
            bound b = vae_bound(v, bnn_input(tape, bnn_mat_rows(x, i, n)));
            ln_w[k] = ln_weight(&b);
            if (tape->err) return;
            out[0] += bnn_mat_sum(b.error->val) / DRAWS / (double)x.rows;
            out[1] += bnn_mat_sum(b.kl->val) / DRAWS / (double)x.rows;
        }
        bnn_var *all = bnn_logsumexp(bnn_concat(tape, DRAWS, ln_w));
        if (!tape->err) out[2] += (bnn_mat_sum(all->val) - (double)n * log(DRAWS)) / (double)x.rows;
    }
}

static void vae_train(bnn_tape *tape, const vae *v, bnn_data train, bnn_mat test) {
    bnn_stepper adam = bnn_adam(v->encoder.params, (bnn_adam_desc){ .lr = 3e-3f });
    double j[3] = { 0, 0, 0 };
    printf("\n step   error      KL    ELBO   %d draws   (nats per test image)\n", DRAWS);
    for (size_t s = 0; s <= STEPS && !tape->err; s++) {
        if (s == 0 || s == 100 || s == 1000 || s == STEPS) {
            vae_judge(tape, v, test, j);
            printf("%5d %7.2f %7.2f %7.2f %10.2f\n", (int)s, j[0], j[1], -j[0] - j[1], j[2]);
        }
        bnn_tape_reset(tape);
        adam.lr = (float)bnn_lr_cosine(3e-3, s, STEPS + 1);
        bound b = vae_bound(v, bnn_minibatch(tape, train, BATCH).x);
        bnn_backward(bnn_mean(bnn_add(b.error, b.kl)));
        bnn_step(&adam, tape);
    }
}

/* Pixels as small squares, a path for each gray; runs of equal gray are one rectangle */
static void draw_tile(const svg *p, int px, int py, int size, const float *x) {
    for (int gray = 1; gray < GRAYS; gray++) {
        int any = 0, light = 255 - 255 * gray / (GRAYS - 1);
        for (int i = 0, run; i < PIXELS; i += run > 0 ? run : 1) {
            for (run = 0; i % 8 + run < 8; run++)
                if ((int)((double)x[i + run] * (GRAYS - 1) + 0.5) != gray) break;
            if (run == 0) continue;
            if (!any++) fprintf(p->f, "<path fill=\"#%02x%02x%02x\" d=\"", light, light, light);
            fprintf(p->f, "M%d %dh%dv%dh%dz", px + size * (i % 8), py + size * (i / 8),
                    size * run, size, -size * run);
        }
        if (any) fputs("\"/>\n", p->f);
    }
}

static void draw_plane(bnn_tape *tape, const vae *v) {
    float at[2 * ACROSS * UP];
    bnn_mat t = { ACROSS * UP, 2, at };
    for (int i = 0; i < ACROSS * UP; i++) {
        at[2 * i] = -2.2f + 4.4f * (float)(i % ACROSS) / (ACROSS - 1);
        at[2 * i + 1] = -2.2f + 4.4f * (float)(i / ACROSS) / (UP - 1);
    }
    bnn_tape_reset(tape);
    bnn_mat y = bnn_net_forward(&v->decoder, bnn_input(tape, t))->val;
    if (tape->err) return;
    svg p = picture("8_plane", "What each place of the plane decodes to");
    svg_axes(&p, -2.6, 2.6, -2.6, 2.6, "latent t1", "latent t2");
    for (size_t i = 0; i < ACROSS * UP; i++)
        draw_tile(&p, (int)svg_x(&p, (double)at[2 * i]) - 12,
                  (int)svg_y(&p, (double)at[2 * i + 1]) - 12, 3, y.data + i * PIXELS);
    picture_end(&p);
}

static void draw_codes(bnn_tape *tape, const vae *v, bnn_data test) {
    bnn_tape_reset(tape);
    bound b = vae_bound(v, bnn_input(tape, bnn_mat_rows(test.x, 0, SHOWN)));
    if (tape->err) return;
    svg p = picture("8_codes", "Where the encoder puts test digits");
    svg_axes(&p, -3, 3, -3, 3, "latent t1, mean", "latent t2, mean");
    fputs("<g font-size=\"11\">\n", p.f);
    for (size_t i = 0; i < SHOWN; i++) {
        int c = (int)test.y.data[i];
        char digit[2] = { (char)('0' + c), 0 };
        fprintf(p.f, "<g fill=\"%s\">", svg_color(c));
        svg_text(&p, svg_x(&p, (double)b.m->val.data[2 * i]),
                 svg_y(&p, (double)b.m->val.data[2 * i + 1]) + 4, "middle", digit);
        fputs("</g>", p.f);
    }
    fputs("</g>\n", p.f);
    picture_end(&p);
}

/* ---- judging classes ---- */

static void classes_row(const char *who, bnn_mat p, bnn_mat y, bnn_reliability *r) {
    *r = bnn_metric_reliability(p, y, BINS);
    double said = 0;
    for (int b = 0; b < BINS; b++) if (r->count[b]) said += (double)r->count[b] * r->confidence[b];
    printf("%-24s %6.1f %8.1f %12.3f %7.3f %7.3f\n", who, 100 - 100 * bnn_metric_error(p, y),
           100 * said / (double)p.rows, bnn_metric_nll(p, y), bnn_metric_brier(p, y), r->ece);
}

/* Bins of fewer than 15 images are left out: their bars are as long as the picture */
static void draw_reliability(const bnn_reliability r[3]) {
    bnn_reliability good = r[2];
    svg p = picture("8_reliability", "Is a net right as often as it says?");
    for (int b = 0; b < BINS; b++) good.count[b] = good.count[b] < 15 ? 0 : good.count[b];
    svg_reliability(&p, BINS, good.confidence, good.accuracy, good.count);
    for (int k = 0; k < 3; k++) {
        static const int color[3] = { 1, 2, 0 };
        float x[BINS], y[BINS];
        size_t n = 0;
        for (int b = 0; b < BINS; b++)
            if (r[k].count[b] >= 15)
                x[n] = (float)r[k].confidence[b], y[n++] = (float)r[k].accuracy[b];
        svg_line(&p, n, x, y, color[k]);
        svg_points(&p, n, x, y, color[k]);
    }
    svg_key(&p, "posterior, poor prior", 2, 1);
    svg_key(&p, "ten nets", 0, 1);
    svg_key(&p, "one net", 1, 1);
    picture_end(&p);
}

static void fit_net(bnn_tape *tape, const bnn_net *net, bnn_data d) { /* the likelihood alone */
    bnn_stepper adam = bnn_adam(net->params, (bnn_adam_desc){ .lr = 1e-2f });
    for (int s = 0; s < FIT; s++) {
        bnn_tape_reset(tape);
        bnn_backward(bnn_net_nll(net, bnn_minibatch(tape, d, 50)));
        bnn_step(&adam, tape);
    }
}

static void sample_net(bnn_tape *tape, const bnn_net *net, bnn_data d, bnn_ensemble *post) {
    bnn_stepper sgld = bnn_sgld(net->params, (bnn_sgld_desc){ .lr = 0.02f });
    for (int s = 1; s <= BURN + MEMBERS * THIN; s++) {
        bnn_tape_reset(tape);
        bnn_backward(bnn_net_loss(net, bnn_minibatch(tape, d, 50)));
        bnn_step(&sgld, tape);
        if (s > BURN && s % THIN == 0) bnn_ensemble_push(post);
    }
}

static void classes(bnn_arena *mem, bnn_tape *tape, bnn_data train, bnn_data test) {
    bnn_data few = bnn_data_rows(train, 0, FEW), held = bnn_data_rows(train, FEW, 300);
    bnn_net net = bnn_mlp(bnn_params_new(mem), (bnn_mlp_desc){ .sizes = { PIXELS, 50, 10 },
                          .activation = BNN_TANH, .likelihood = BNN_CATEGORICAL, .seed = 1,
                          .prior = { .std = 0.5f } });
    bnn_ensemble ten = bnn_ensemble_new(net.params, NETS);
    bnn_ensemble post = bnn_ensemble_new(net.params, MEMBERS);
    bnn_reliability r[3], cool;
    if (mem->err) return;
    for (int k = 0; k < NETS; k++) { /* at the end the net has the weights of the last one */
        bnn_params_sample_prior(net.params, &tape->rng); /* another start for each */
        fit_net(tape, &net, few);
        bnn_ensemble_push(&ten);
    }
    bnn_mat many = bnn_predict(mem, tape, &net, &ten, test.x).mean;
    bnn_mat one = bnn_predict(mem, tape, &net, NULL, test.x).mean, warm = bnn_mat_copy(mem, one);
    double T = bnn_metric_temperature(bnn_predict_samples(mem, tape, &net, NULL, held.x), held.y);
    bnn_recalibrate(warm, one, T);
    sample_net(tape, &net, few, &post);
    bnn_mat average = bnn_predict(mem, tape, &net, &post, test.x).mean;
    if (mem->err || tape->err) return;
    printf("\n%d digits learned    right, %%  said, %%   log score   Brier     ECE\n", FEW);
    classes_row("one net", one, test.y, &r[0]);
    classes_row("one net, tempered", warm, test.y, &cool);
    classes_row("ten nets", many, test.y, &r[2]);
    classes_row("posterior, poor prior", average, test.y, &r[1]);
    printf("temperature %.2f, found on 300 other digits\n", T);
    draw_reliability(r);
}

/* ---- judging forecasts: f(x) = sum_j w_j phi_j(x), w ~ N(0, I): the posterior is normal ---- */

typedef struct gauss { bnn_mat chol, mean; } gauss; /* of the precision; (H,H) and (H,1) */

/* A row of phi per x: a constant and x (2 columns), or units whose first layer a seed has fixed */
static void features(bnn_mat phi, const float *x) {
    bnn_rng fixed = bnn_rng_seed(8);
    float u[UNITS], c[UNITS];
    bnn_rng_fill_normal(&fixed, UNITS, u), bnn_rng_fill_normal(&fixed, UNITS, c);
    for (size_t i = 0; i < phi.rows; i++)
        for (size_t j = 0; j < phi.cols; j++) {
            double unit = 2 * tanh(2 * (double)u[j] * (double)x[i] + 2 * (double)c[j]);
            *bnn_mat_at(phi, i, j) = phi.cols == 2 ? (j ? x[i] : 1)
                                                   : (float)(unit / sqrt((double)phi.cols));
        }
}

static gauss learn(bnn_arena *mem, bnn_mat phi, bnn_mat y) { /* A = I + phi'phi/v, A m = phi'y/v */
    gauss g = { bnn_mat_new(mem, phi.cols, phi.cols), bnn_mat_new(mem, phi.cols, 1) };
    float v = (float)(noise * noise);
    if (mem->err) return g;
    bnn_mat_mul_tn(g.chol, phi, phi), bnn_mat_scale(g.chol, g.chol, 1 / v);
    bnn_mat_mul_tn(g.mean, phi, y), bnn_mat_scale(g.mean, g.mean, 1 / v);
    for (size_t j = 0; j < phi.cols; j++) *bnn_mat_at(g.chol, j, j) += 1;
    bnn_mat_cholesky(g.chol, g.chol, NULL);
    bnn_mat_solve_chol(g.mean, g.chol, g.mean);
    return g;
}

/* Mean and variance of a new measurement at one row of phi */
static void foresee(bnn_arena *mem, const gauss *g, bnn_mat phi, double *mean, double *var) {
    bnn_mark mark = bnn_arena_mark(mem);
    bnn_mat z = bnn_mat_new(mem, phi.cols, 1), m = bnn_mat_new(mem, 1, 1);
    if (mem->err) return;
    bnn_mat_mul(m, phi, g->mean), bnn_mat_transpose(z, phi);
    bnn_mat_solve_lower(z, g->chol, z); /* phi'A^-1 phi = |L^-1 phi|^2 */
    *mean = (double)m.data[0], *var = bnn_mat_dot(z, z) + noise * noise;
    bnn_arena_rewind(mem, mark);
}

static float measure(bnn_mat phi, size_t row, bnn_mat w, bnn_rng *rng) {
    double f = noise * (double)bnn_rng_normal(rng);
    for (size_t j = 0; j < phi.cols; j++)
        f += (double)*bnn_mat_at(phi, row, j) * (double)w.data[j];
    return (float)f;
}

/* Four forecasts of one new measurement in each of many worlds drawn from the prior */
static void forecast(bnn_arena *mem, bnn_rng *rng, bnn_mat *mean, bnn_mat *var, bnn_mat y) {
    for (size_t i = 0; i < WORLDS && !mem->err; i++) {
        bnn_mark mark = bnn_arena_mark(mem);
        float x[SEEN + 1];
        bnn_mat phi = bnn_mat_new(mem, SEEN + 1, UNITS), w = bnn_mat_new(mem, UNITS, 1);
        bnn_mat seen = bnn_mat_new(mem, SEEN, 1);
        if (mem->err) return;
        double m = 0, v = 0;
        for (int k = 0; k <= SEEN; k++) x[k] = 4 * bnn_rng_uniform(rng) - 2;
        features(phi, x);
        bnn_rng_fill_normal(rng, UNITS, w.data);
        for (size_t k = 0; k < SEEN; k++) seen.data[k] = measure(phi, k, w, rng);
        y.data[i] = measure(phi, SEEN, w, rng);
        gauss g = learn(mem, bnn_mat_rows(phi, 0, SEEN), seen);
        foresee(mem, &g, bnn_mat_rows(phi, SEEN, 1), &m, &v);
        double all = bnn_mat_dot(bnn_mat_rows(phi, SEEN, 1), bnn_mat_rows(phi, SEEN, 1));
        const double vars[FORECASTS] = { noise * noise, v, wide * wide * v, all + noise * noise };
        for (int k = 0; k < FORECASTS; k++)
            mean[k].data[i] = k == 3 ? 0 : (float)m, var[k].data[i] = (float)vars[k];
        bnn_arena_rewind(mem, mark);
    }
}

static void draw_pit(const double *share) { /* FORECASTS rows of BINS */
    float edge[2] = { 0, 1 }, low[2], high[2];
    double sd = 2.576 * sqrt(1.0 / BINS * (1 - 1.0 / BINS) / WORLDS);
    for (int i = 0; i < 2; i++)
        low[i] = (float)(100 * (1.0 / BINS - sd)), high[i] = (float)(100 * (1.0 / BINS + sd));
    svg p = picture("8_pit", "Where the outcome falls in what was forecast");
    svg_axes(&p, 0, 1, 0, 30, "share of the forecast below the outcome (PIT)",
             "percent of the outcomes");
    svg_band(&p, 2, edge, low, high, 5);
    for (int k = 0; k < 3; k++) {
        static const int color[3] = { 1, 0, 2 };
        float x[2 * BINS], y[2 * BINS];
        for (int b = 0; b < BINS; b++) {
            x[2 * b] = (float)b / BINS, x[2 * b + 1] = (float)(b + 1) / BINS;
            y[2 * b] = y[2 * b + 1] = (float)(100 * share[k * BINS + b]);
        }
        svg_line(&p, 2 * BINS, x, y, color[k]);
    }
    svg_key(&p, "weights at their mean: too sure", 1, 0);
    svg_key(&p, "predictive", 0, 0);
    svg_key(&p, "predictive, sd doubled: too wide", 2, 0);
    picture_end(&p);
}

static void forecasts(bnn_arena *mem, bnn_rng *rng) {
    static const char *const names[FORECASTS] = { "weights at their mean", "predictive",
                                                  "predictive, sd doubled", "prior, no data" };
    bnn_mat mean[FORECASTS], var[FORECASTS], y = bnn_mat_new(mem, WORLDS, 1);
    bnn_mat lo = bnn_mat_new(mem, WORLDS, 1), hi = bnn_mat_new(mem, WORLDS, 1);
    double share[FORECASTS * BINS] = { 0 };
    for (int k = 0; k < FORECASTS; k++)
        mean[k] = bnn_mat_new(mem, WORLDS, 1), var[k] = bnn_mat_new(mem, WORLDS, 1);
    if (!mem->err) forecast(mem, rng, mean, var, y);
    if (mem->err) return;
    printf("\n%d worlds             90 %% hold, %%   width   log score    CRPS\n", WORLDS);
    for (int k = 0; k < FORECASTS; k++) {
        for (size_t i = 0; i < WORLDS; i++) {
            double sd = sqrt((double)var[k].data[i]), m = (double)mean[k].data[i];
            double pit = bnn_normal_cdf(((double)y.data[i] - m) / sd);
            int b = (int)(pit * BINS);
            lo.data[i] = (float)(m - 1.645 * sd), hi.data[i] = (float)(m + 1.645 * sd);
            share[k * BINS + (b < BINS ? b : BINS - 1)] += 1.0 / WORLDS;
        }
        printf("%-23s %11.1f %8.2f %11.3f %7.3f\n", names[k],
               100 * bnn_metric_coverage(lo, hi, y), bnn_metric_width(lo, hi),
               bnn_metric_gaussian_nll(mean[k], var[k], y),
               bnn_metric_gaussian_crps(mean[k], var[k], y));
    }
    draw_pit(share);
}

/* ---- leaving one out ---- */

static float truth(double x, bnn_rng *rng) {
    return (float)(sin(2 * x) + noise * (double)bnn_rng_normal(rng));
}

/* ln p(y_i|w_s) of draws w_s = m + L^-T z from the posterior */
static void log_lik(bnn_arena *mem, bnn_rng *rng, const gauss *g, bnn_mat phi, bnn_mat y,
                    bnn_mat out) {
    bnn_mat w = bnn_mat_new(mem, phi.cols, 1), f = bnn_mat_new(mem, phi.rows, 1);
    for (size_t s = 0; s < out.rows && !mem->err; s++) {
        bnn_rng_fill_normal(rng, phi.cols, w.data);
        bnn_mat_solve_lower_t(w, g->chol, w);
        bnn_mat_add(w, w, g->mean);
        bnn_mat_mul(f, phi, w);
        for (size_t i = 0; i < phi.rows; i++) {
            double z = ((double)y.data[i] - (double)f.data[i]) / noise;
            *bnn_mat_at(out, s, i) = (float)(-z * z / 2 - log(noise * sqrt(8 * atan(1))));
        }
    }
}

/* POINTS times the mean ln p of fresh measurements: what WAIC and LOO estimate */
static double fresh(bnn_arena *mem, const gauss *g, size_t columns) {
    bnn_rng rng = bnn_rng_seed(80);
    bnn_mat phi = bnn_mat_new(mem, 1, columns);
    double sum = 0, m = 0, v = 1;
    for (int i = 0; i < FRESH && !mem->err; i++) {
        float x = 4 * bnn_rng_uniform(&rng) - 2;
        features(phi, &x);
        foresee(mem, g, phi, &m, &v);
        double r = (double)truth((double)x, &rng) - m;
        sum -= (r * r / v + log(v * 8 * atan(1))) / 2;
    }
    return POINTS * sum / FRESH;
}

static void leave_out(bnn_arena *mem, bnn_rng *rng) {
    const size_t columns[2] = { 2, UNITS };
    float x[POINTS];
    bnn_mat y = bnn_mat_new(mem, POINTS, 1), points[2], ll = bnn_mat_new(mem, SAMPLES, POINTS);
    if (mem->err) return;
    for (int i = 0; i < POINTS; i++) x[i] = 4 * bnn_rng_uniform(rng) - 2;
    for (int i = 0; i < POINTS; i++) y.data[i] = truth((double)x[i], rng);
    printf("\n%d points, nats   ln p of the same    WAIC     LOO (error)   of fresh ones   "
           "largest k\n", POINTS);
    for (int k = 0; k < 2; k++) {
        bnn_mat phi = bnn_mat_new(mem, POINTS, columns[k]);
        points[k] = bnn_mat_new(mem, 1, POINTS);
        if (mem->err) return;
        features(phi, x);
        gauss g = learn(mem, phi, y);
        log_lik(mem, rng, &g, phi, y, ll);
        bnn_waic waic = bnn_diag_waic(ll);
        bnn_loo loo = bnn_diag_loo(mem, points[k], (bnn_mat){ 0 }, ll, 0);
        printf("%-16s %18.2f %7.2f %7.2f (%4.2f) %15.2f %11.2f\n", k ? "net of 20 units" : "line",
               waic.lppd, waic.elpd, loo.elpd, loo.se, fresh(mem, &g, columns[k]), loo.worst_k);
    }
    bnn_comparison c = bnn_diag_compare(points[1], points[0]);
    printf("net minus line by LOO: %.1f, standard error %.1f\n", c.difference, c.se);
}

/* ---- simulation-based calibration, on the line of lecture 3: slope b, intercept a ---- */

enum { EXACT, FIELD, PRIOR, SAMPLERS };

/* Rank of the true slope among RANKS - 1 draws of each sampler; noise 0.5, priors N(0, 1) */
static void ranks(bnn_rng *rng, const double A[2][2], int rank[SAMPLERS]) {
    double b = (double)bnn_rng_normal(rng), a = (double)bnn_rng_normal(rng), r[2] = { 0, 0 };
    double det = A[0][0] * A[1][1] - A[0][1] * A[0][1];
    for (int i = 0; i < LINE; i++) {
        double y = a + b * (double)line_x[i] + 0.5 * (double)bnn_rng_normal(rng);
        r[0] += (double)line_x[i] * y / 0.25, r[1] += y / 0.25;
    }
    double mean = (A[1][1] * r[0] - A[0][1] * r[1]) / det;
    const double at[SAMPLERS] = { mean, mean, 0 };
    const double sd[SAMPLERS] = { sqrt(A[1][1] / det), 1 / sqrt(A[0][0]), 1 };
    for (int k = 0; k < SAMPLERS; k++) {
        rank[k] = 0;
        for (int s = 1; s < RANKS; s++) rank[k] += at[k] + sd[k] * (double)bnn_rng_normal(rng) < b;
    }
}

static void calibrate(bnn_rng *rng) {
    static const char *const names[SAMPLERS] = { "exact posterior", "weight noise", "prior" };
    double A[2][2] = { { 1, 0 }, { 0, 1 } };
    int count[SAMPLERS][BARS] = { { 0 } }, rank[SAMPLERS];
    for (int i = 0; i < LINE; i++) {
        double x = (double)line_x[i];
        A[0][0] += x * x / 0.25, A[0][1] += x / 0.25, A[1][1] += 1 / 0.25;
    }
    for (int k = 0; k < SETS; k++) {
        ranks(rng, (const double(*)[2])A, rank);
        for (int s = 0; s < SAMPLERS; s++) count[s][rank[s] * BARS / RANKS]++;
    }
    printf("\nranks of the slope in eight bins, %d data sets       chi-square        p\n", SETS);
    for (int s = 0; s < SAMPLERS; s++) {
        double chi2 = 0, want = (double)SETS / BARS;
        printf("%-15s", names[s]);
        for (int b = 0; b < BARS; b++) {
            printf("%5d", count[s][b]);
            chi2 += (count[s][b] - want) * (count[s][b] - want) / want;
        }
        printf(" %10.1f %8.2g\n", chi2, bnn_gamma_q((BARS - 1) / 2.0, chi2 / 2));
    }
}

int main(int argc, char **argv) {
    bnn_arena mem = { 0 };
    bnn_tape tape = { .rng = bnn_rng_seed(1) };
    if (argc > 1) course_folder = argv[1];
    bnn_data train = course_digits(&mem, "train"), test = course_digits(&mem, "test");
    planes(&mem, train.x, test.x);
    vae v = vae_new(&mem);
    if (!mem.err) vae_train(&tape, &v, train, test.x);
    if (!mem.err) draw_plane(&tape, &v), draw_codes(&tape, &v, test);
    classes(&mem, &tape, train, test);
    forecasts(&mem, &tape.rng);
    leave_out(&mem, &tape.rng);
    calibrate(&tape.rng);
    return done(&mem, &tape);
}
