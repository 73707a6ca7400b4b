/* lenet.c -- convolutions: a posterior over a LeNet, and single nets that stand for it.
 *     cc -O2 -I.. lenet.c -o lenet -lm && ./lenet              the shipped 8x8 digits, 20 seconds
 *     ./lenet FOLDER [epochs, 10] [seed] [rows held out]       MNIST, IDX files gunzipped: an hour
 * Teachers: SGD, samples of SGLD from there, masks of dropout; students: a LeNet and an MLP for
 * SGLD, a LeNet for dropout. You should see about half the errors of the dense nets of digits.c,
 * and LeNet students near the ensembles. On the few digits and at temperature 1 samples are not
 * better than the best net; masks, which drop whole channels, err least and are less sure.
 * With rows held out the last training rows are the test: so MNIST's settings were chosen. */
#define BNN_STATIC /* one file: functions that it does not call are not compiled */
#define BNN_IMPLEMENTATION
#include "bnn.h"
#include "example.h"
#include <stdio.h>
#include <time.h>

typedef struct {
    const char *data, *files[4]; /* images and labels: training, test */
    float white;
    bnn_image image;
    int same;
    size_t kernel, filters[2], units; /* conv, pool, conv, pool, dense, dense */
    size_t batch, steps, burn_in, thin, keep, distill, mlp[2];
    double lr;
    float prior_std, sgld_lr, temperature, noise, dropout; /* prior: N(0, std^2/fan in) */
} plan;

typedef struct {
    bnn_arena mem;
    bnn_tape tape;
    bnn_data train, test;
    plan p;
} task;

/* Weights N(0, 2/fan in) to begin with; dropout: of what the dense layers read, while training */
static bnn_net make(task *k, float dropout) {
    const plan *p = &k->p;
    return bnn_layers(bnn_params_new(&k->mem), (bnn_layers_desc){
        .input = p->image,
        .layers = { { BNN_CONV, p->filters[0], .kernel = p->kernel, .same = p->same },
                    { BNN_MAX_POOL, .kernel = 2 },
                    { BNN_CONV, p->filters[1], .kernel = p->kernel, .same = p->same },
                    { BNN_MAX_POOL, .kernel = 2 },
                    { BNN_DENSE, p->units, .dropout = dropout },
                    { BNN_DENSE, 10, .dropout = dropout } },
        .likelihood = BNN_CATEGORICAL, .prior = { .std = p->prior_std, .fan_in = 1 },
        .seed = bnn_rng_below(&k->tape.rng, SIZE_MAX) });
}

static void report(task *k, const char *method, const bnn_net *net, const bnn_ensemble *post,
                   clock_t start) {
    double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
    bnn_mat prob = bnn_predict(&k->mem, &k->tape, net, post, k->test.x).mean;
    if (k->tape.err || k->mem.err) return;
    printf("RESULT lenet data=%s method=%s error=%.2f nll=%.4f ece=%.4f seconds=%.1f\n",
           k->p.data, method, 100 * bnn_metric_error(prob, k->test.y),
           bnn_metric_nll(prob, k->test.y), bnn_metric_ece(prob, k->test.y, 15), seconds);
    fflush(stdout);
}

static void progress(const task *k, const char *what, size_t done, size_t total) {
    if (k->train.x.rows > 10000 && done % (total / 10) == 0)
        fprintf(stderr, "lenet: %s %zu of %zu steps\n", what, done, total);
}

/* post NULL: one net, its rate falls to 0 */
static void train(task *k, const char *what, const bnn_net *net, bnn_stepper *step,
                  bnn_ensemble *post, size_t steps) {
    for (size_t i = 0; i < steps && !k->tape.err; i++) {
        bnn_tape_reset(&k->tape);
        if (post == NULL) step->lr = (float)bnn_lr_cosine(k->p.lr, i, steps);
        bnn_backward(bnn_net_loss(net, bnn_minibatch(&k->tape, k->train, k->p.batch)));
        bnn_step(step, &k->tape);
        if (post != NULL && i >= k->p.burn_in && (i + 1 - k->p.burn_in) % k->p.thin == 0)
            bnn_ensemble_push(post);
        progress(k, what, i + 1, steps);
    }
}

static int say(void *user, size_t done, size_t total) {
    if (done % (total / 10) == 0) progress((const task *)user, "student", done, total);
    return 0;
}

static void learn(task *k, const char *method, bnn_net student, const bnn_net *teacher,
                  const bnn_ensemble *post) {
    clock_t start = clock();
    k->tape.progress = say, k->tape.progress_user = k;
    bnn_distill(&k->tape, &student, teacher, post, k->train.x, (bnn_distill_desc){
        .steps = k->p.distill, .batch = k->p.batch, .lr = 2e-3f,
        .inputs = { .noise = k->p.noise } });
    k->tape.progress = NULL;
    report(k, method, &student, NULL, start);
}

static void all(task *k) {
    const plan *p = &k->p;
    clock_t start = clock();
    bnn_net net = make(k, 0);
    bnn_stepper sgd = bnn_sgd(net.params, (bnn_sgd_desc){ .lr = (float)p->lr, .momentum = 0.9f });
    train(k, "sgd", &net, &sgd, NULL, p->steps);
    report(k, "sgd", &net, NULL, start);

    start = clock();
    bnn_stepper sgld = bnn_sgld(net.params, (bnn_sgld_desc){
        .lr = p->sgld_lr, .temperature = p->temperature });
    bnn_ensemble post = bnn_ensemble_new(net.params, p->keep);
    train(k, "sgld", &net, &sgld, &post, p->burn_in + p->keep * p->thin);
    report(k, "sgld", &net, &post, start);

    learn(k, "student", make(k, 0), &net, &post);
    learn(k, "student_mlp", bnn_mlp(bnn_params_new(&k->mem), (bnn_mlp_desc){
        .sizes = { k->train.x.cols, p->mlp[0], p->mlp[1], 10 }, .likelihood = BNN_CATEGORICAL }),
          &net, &post);

    start = clock();
    bnn_net drop = make(k, p->dropout);
    sgd = bnn_sgd(drop.params, (bnn_sgd_desc){ .lr = (float)p->lr, .momentum = 0.9f });
    train(k, "dropout", &drop, &sgd, NULL, p->steps);
    bnn_ensemble masks = bnn_ensemble_new(drop.params, p->keep);
    for (size_t i = 0; i < p->keep; i++)
        bnn_ensemble_push_dropout(&masks, &drop, &k->tape.rng);
    report(k, "dropout", &drop, &masks, start);
    learn(k, "student_dropout", make(k, 0), &drop, &masks);
}

static const plan digits = { "digits", { "digits-train-images.idx", "digits-train-labels.idx",
        "digits-test-images.idx", "digits-test-labels.idx" }, 16,
    { 8, 8, 1 }, 1, 3, { 16, 32 }, 64,
    100, 2500, 1000, 50, 80, 3000, { 256, 256 }, 0.1, 4, 0.05f, 1, 0.05f, 0.3f };
static const plan mnist = { "mnist", { "train-images-idx3-ubyte", "train-labels-idx1-ubyte",
        "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte" }, 255,
    { 28, 28, 1 }, 0, 5, { 20, 50 }, 500,
    100, 600, 300, 20, 60, 1800, { 400, 400 }, 0.1, 8, 0.3f, 0.1f, 0.1f, 0.5f };

int main(int argc, char **argv) {
    static task k;
    const char *who = "lenet", *folder = argc > 1 ? argv[1] : example_folder();
    size_t epochs = argc > 2 ? example_whole(who, "epochs", argv[2], 1, 10000) : 10;
    example_most(who, argc, argv, 4);
    k.p = argc > 1 ? mnist : digits;
    if (argc > 1)
        k.p.steps *= epochs, k.p.burn_in *= epochs, k.p.thin *= epochs, k.p.distill *= epochs;
    size_t pixels = k.p.image.h * k.p.image.w;
    k.tape.rng = bnn_rng_seed(argc > 3 ? example_seed(who, argv[3]) : 1);
    k.train = example_data(&k.mem, who, folder, k.p.files[0], k.p.files[1], pixels, k.p.white);
    k.test = example_data(&k.mem, who, folder, k.p.files[2], k.p.files[3], pixels, k.p.white);
    double most = (double)k.train.x.rows - (double)k.p.batch;
    size_t held = argc > 4 ? example_whole(who, "rows held out", argv[4], 0, most) : 0;
    if (held > 0) {
        k.test = bnn_data_rows(k.train, k.train.x.rows - held, held);
        k.train = bnn_data_rows(k.train, 0, k.train.x.rows - held);
    }
    all(&k);

    int failed = k.tape.err || k.mem.err;
    if (failed) fprintf(stderr, "lenet: %s\n", k.tape.err ? k.tape.msg : k.mem.msg);
    bnn_tape_free(&k.tape);
    bnn_arena_free(&k.mem);
    return failed;
}
