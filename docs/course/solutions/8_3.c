/* 8_3.c -- lecture 8, exercise 3: the importance-weighted bound by number of draws, where ln p(x)
 * is known: PPCA with turned latents, whose posterior is correlated, and a q that is not.
 *     cc -O2 -I. docs/course/solutions/8_3.c -o s -lm && ./s        where the folder examples is */
#include "../course.h"
#include "../../../examples/ppca.h"

enum { LATENT = 10, IMAGES = 300, PIXELS = 64, MOST = 1000, COUNTS = 4 };

/* ln p(x|t) + ln p(t) - ln q(t), q = N(m, diag s^2), of a draw */
static double ln_weight(const ppca *p, const float *x, const double *m, const double *s,
                        bnn_rng *rng) {
    double t[LATENT], sum = 0, v = (double)p->noise.data[0];
    for (int j = 0; j < LATENT; j++) {
        double eps = (double)bnn_rng_normal(rng);
        t[j] = m[j] + s[j] * eps;
        sum += (eps * eps - t[j] * t[j]) / 2 + log(s[j]);
    }
    for (int i = 0; i < PIXELS; i++) {
        double r = (double)x[i] - (double)p->mean.data[i];
        for (int j = 0; j < LATENT; j++) r -= (double)p->w.data[i * LATENT + j] * t[j];
        sum -= (r * r / v + log(v * 8 * atan(1))) / 2;
    }
    return sum;
}

static double ln_mean(const double *ln_w, int n) {
    double top = -1e300, sum = 0;
    for (int j = 0; j < n; j++) top = ln_w[j] > top ? ln_w[j] : top;
    for (int j = 0; j < n; j++) sum += exp(ln_w[j] - top);
    return top + log(sum / n);
}

/* W R with a random rotation R: the same p(x); P = I + W'W/s2 gets off-diagonal entries */
static void turn(bnn_arena *mem, bnn_rng *rng, ppca *p) {
    bnn_mat a = bnn_mat_new(mem, LATENT, LATENT), l = bnn_mat_new(mem, 1, LATENT);
    bnn_mat r = bnn_mat_new(mem, LATENT, LATENT), w = bnn_mat_new(mem, PIXELS, LATENT);
    if (mem->err) return;
    for (size_t i = 0; i < LATENT; i++)
        for (size_t j = 0; j <= i; j++)
            *bnn_mat_at(a, i, j) = *bnn_mat_at(a, j, i) = bnn_rng_normal(rng);
    bnn_mat_eig_sym(mem, l, r, a); /* eigenvectors are a rotation */
    bnn_mat_mul(w, p->w, r);
    p->w = w;
}

int main(void) {
    static double ln_w[MOST];
    const int counts[COUNTS] = { 1, 10, 100, MOST };
    bnn_arena mem = { 0 };
    bnn_tape tape = { .rng = bnn_rng_seed(8) };
    bnn_data train = course_digits(&mem, "train"), test = course_digits(&mem, "test");
    ppca p;
    double bound[COUNTS] = { 0 }, exact = 0, gap = 0, m[LATENT], s[LATENT];
    if (ppca_fit(&mem, &p, train.x, LATENT)) return done(&mem, &tape);
    turn(&mem, &tape.rng, &p);
    bnn_mat t = bnn_mat_new(&mem, LATENT, 1), cov = bnn_mat_new(&mem, LATENT, LATENT);
    bnn_mat chol = bnn_mat_new(&mem, LATENT, LATENT), P = bnn_mat_new(&mem, LATENT, LATENT);
    if (mem.err) return done(&mem, &tape);
    bnn_mat_mul_tn(P, p.w, p.w), bnn_mat_scale(P, P, 1 / p.noise.data[0]);
    for (size_t i = 0; i < IMAGES; i++) {
        const float *x = test.x.data + i * PIXELS;
        double ln_p = 0;
        if (ppca_posterior(&p, x, t, cov, chol, &ln_p)) return 1;
        exact += ln_p / IMAGES;
        for (size_t j = 0; j < LATENT; j++) {
            m[j] = (double)t.data[j];
            s[j] = 1 / sqrt(1 + (double)*bnn_mat_at(P, j, j));
        }
        for (int k = 0; k < MOST; k++) ln_w[k] = ln_weight(&p, x, m, s, &tape.rng);
        for (int c = 0; c < COUNTS; c++)
            for (int k = 0; k < MOST; k += counts[c])
                bound[c] += ln_mean(ln_w + k, counts[c]) * counts[c] / MOST / IMAGES;
    }
    for (size_t j = 0; j < LATENT; j++) gap += log(1 + (double)*bnn_mat_at(P, j, j)) / 2;
    gap -= bnn_mat_logdet_chol(chol) / 2;
    printf("draws   bound   below ln p(x) = %.3f by\n", exact);
    for (int c = 0; c < COUNTS; c++)
        printf("%5d %7.3f %10.3f\n", counts[c], bound[c], exact - bound[c]);
    printf("gap of one draw by formula: %.3f\n", gap);
    check(near(exact - bound[0], gap, 0.03), "one draw: (sum ln P_jj - ln|P|)/2");
    for (int c = 1; c < COUNTS; c++) check(bound[c] > bound[c - 1], "more draws, tighter");
    check(near(bound[COUNTS - 1], exact, 0.05), "many draws: nearly ln p(x)");
    return done(&mem, &tape);
}
