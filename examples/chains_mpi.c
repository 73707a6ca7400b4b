/* chains_mpi.c -- chains on many machines: any number of processes, the same bits, none lost.
 *     mpicc -O2 -DWITH_MPI -I.. chains_mpi.c -lm && mpirun -n 4 ./a.out --folder DIR
 *     cc -O2 -I.. chains_mpi.c -lm && ./a.out                      (without MPI: one process)
 * SGHMC chains of a 1-H-H-1 network, chain c on process c modulo their number; process 0 gathers
 * what they predict. With a folder each chain has a checkpoint there: kill a process, start again
 * with any number of them, and the run ends with the bits of one that nobody disturbed. You should
 * see R-hat near 1 and a hash of all draws, the same for 1, 2 and 8 processes. */
#define BNN_STATIC /* one file: what it does not call is not compiled */
#define BNN_IMPLEMENTATION
#include "bnn.h"
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BURN_IN = 5000, THIN = 50, SAVE = 2500, BATCH = 100, K = 4 }; /* SAVE: steps between two */

typedef struct { /* of all processes together, and this one among them */
    int rank, ranks;
    int chains, draws, rows, hidden, seed;
    const char *folder; /* of the checkpoints, or NULL */
} run;

/* ---- all that MPI is needed for ---- */
#ifdef WITH_MPI
#include <mpi.h>
static void begin(run *r, int *argc, char ***argv) {
    MPI_Init(argc, argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &r->rank);
    MPI_Comm_size(MPI_COMM_WORLD, &r->ranks);
}
static int least(int value) { /* of all processes; each waits for all */
    int all = value;
    MPI_Allreduce(&value, &all, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
    return all;
}
static void send(float *data, int n, int chain) {
    MPI_Send(data, n, MPI_FLOAT, 0, chain, MPI_COMM_WORLD);
}
static void receive(float *data, int n, int chain, int from) {
    MPI_Recv(data, n, MPI_FLOAT, from, chain, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
}
static double seconds(void) { return MPI_Wtime(); }
static void end(void) { MPI_Finalize(); }
#else
static void begin(run *r, int *argc, char ***argv) {
    (void)argc, (void)argv;
    r->ranks = 1;
    puts("one process; for many: mpicc -O2 -DWITH_MPI, and mpirun -n 4");
}
static int least(int value) { return value; }
static void send(float *data, int n, int chain) { (void)data, (void)n, (void)chain; }
static void receive(float *data, int n, int chain, int from) {
    (void)data, (void)n, (void)chain, (void)from;
}
static double seconds(void) { return (double)clock() / CLOCKS_PER_SEC; }
static void end(void) {}
#endif

/* ---- one chain ---- */
/* Every process makes, or reads, the same */
static bnn_data data_of(bnn_arena *mem, const run *r) {
    size_t n = (size_t)r->rows;
    bnn_data d = { bnn_mat_new(mem, n, 1), bnn_mat_new(mem, n, 1) };
    bnn_rng rng = bnn_rng_seed((uint64_t)r->seed);
    for (size_t i = 0; i < n && !mem->err; i++) {
        float x = 4 * bnn_rng_uniform(&rng) - 2;
        if (x > -1 && x < 0.2f) x -= 1;
        d.x.data[i] = x;
        d.y.data[i] = sinf(2 * x) + 0.2f * bnn_rng_normal(&rng);
    }
    return d;
}

/* What the file of chain c must be of; then its state, and 1 if there was such a file */
static int resume(bnn_arena *mem, const char *path, const bnn_checkpoint *all, bnn_bytes id) {
    bnn_bytes found = { 0 };
    bnn_checkpoint only = { .bytes = { &found } };
    FILE *f = fopen(path, "rb");
    if (f == NULL && errno == ENOENT) return 0;
    if (f) fclose(f);
    if ((mem->err = bnn_checkpoint_load(mem, path, &only)) != 0) return 0;
    if (found.size != id.size || memcmp(found.data, id.data, id.size)) {
        snprintf(mem->msg, sizeof mem->msg, "its checkpoint is of another run: %.*s",
                 (int)(found.size < 90 ? found.size : 90), (char *)found.data);
        mem->err = BNN_EFORMAT;
        return 0;
    }
    mem->err = bnn_checkpoint_load(mem, path, all);
    return 1;
}

/* Chain c from its checkpoint, or from its start, to `steps`; out is (K, draws) where it ends. The
 * error's sentence goes to msg. size: bytes that the chain took. */
static int chain(const run *r, int c, uint64_t steps, bnn_mat out, char *msg, size_t *size) {
    float at[K] = { -2, -0.5f, 0, 2 };
    char path[4096], id[BNN_MSG];
    bnn_arena mem = { 0 };
    bnn_tape tape = { .rng = bnn_rng_stream((uint64_t)r->seed, (uint64_t)c + 1) };
    size_t h = (size_t)r->hidden, draws = (size_t)r->draws;
    bnn_data data = data_of(&mem, r);
    bnn_net net = bnn_mlp(bnn_params_new(&mem), (bnn_mlp_desc){
        .sizes = { 1, h, h, 1 }, .activation = BNN_TANH, .noise_std = 0.2f,
        .seed = (uint64_t)r->seed * 65536 + (uint64_t)c });
    bnn_stepper s = bnn_sghmc(net.params, (bnn_sghmc_desc){ .lr = 1e-3f, .friction = 0.05f });
    bnn_ensemble post = bnn_ensemble_new(net.params, draws);
    snprintf(path, sizeof path, "%s/chain-%04d.bnn", r->folder ? r->folder : "", c);
    snprintf(id, sizeof id, "chain %d, --seed %d --rows %d --hidden %d --draws %d", c, r->seed,
             r->rows, r->hidden, r->draws);
    bnn_bytes mark = { id, strlen(id) };
    bnn_checkpoint all = { { &net }, { &s }, { &post }, { &tape.rng }, { 0 }, { &mark } };
    int err = 0, old = r->folder && !mem.err && resume(&mem, path, &all, mark);
    mark = (bnn_bytes){ id, strlen(id) }; /* a load puts its own there */
    if (r->folder && !old && !mem.err) err = bnn_checkpoint_save(&mem, path, &all);
    while (s.t < steps && !err && !tape.err && !mem.err) {
        bnn_tape_reset(&tape);
        size_t batch = data.x.rows < BATCH ? data.x.rows : BATCH;
        bnn_backward(bnn_net_loss(&net, bnn_minibatch(&tape, data, batch)));
        bnn_step(&s, &tape);
        if (s.t > BURN_IN && s.t % THIN == 0) bnn_ensemble_push(&post);
        if (r->folder && !tape.err && (s.t % SAVE == 0 || s.t == steps))
            err = bnn_checkpoint_save(&mem, path, &all);
    }
    if (steps) {
        bnn_mat f = bnn_predict_chains(&mem, &tape, &net, &post, (bnn_mat){ K, 1, at }, 1);
        if (f.data && !err) memcpy(out.data, f.data, K * draws * sizeof(float));
    }
    if (tape.err || mem.err || err)
        snprintf(msg, BNN_MSG, "%s", tape.err ? tape.msg : mem.msg);
    *size = bnn_arena_used(&mem) + bnn_arena_used(&tape.mem);
    err = err ? err : tape.err ? tape.err : mem.err;
    bnn_tape_free(&tape);
    bnn_arena_free(&mem);
    return err;
}

/* ---- all chains ---- */
/* This process's chains to `steps`. If one failed, anywhere, the first says so, once: 0. Cost:
 * KB of its largest chain, milliseconds of its core */
static int advance(const run *r, uint64_t steps, bnn_mat draws, int cost[2]) {
    char msg[BNN_MSG] = "";
    int failed = INT_MAX;
    size_t n = (size_t)r->draws, size = 0;
    double start = (double)clock();
    for (int c = r->rank, i = 0; c < r->chains && failed == INT_MAX; c += r->ranks, i++) {
        bnn_mat out = bnn_mat_rows(draws, (size_t)i * K, K);
        out.cols = n;
        if (chain(r, c, steps, out, msg, &size)) failed = c;
        if (cost[0] < (int)(size / 1024)) cost[0] = (int)(size / 1024);
    }
    cost[1] += (int)(1000 * ((double)clock() - start) / CLOCKS_PER_SEC);
    int first = least(failed);
    if (first < INT_MAX && first == failed)
        fprintf(stderr, "chains_mpi: chain %d: %s\n", first, msg);
    return first == INT_MAX;
}

/* Process 0: the draws of all chains in their order: row j chains + c has chain c at at[j] */
static void gather(const run *r, bnn_mat all, bnn_mat own, bnn_mat one) {
    size_t n = (size_t)r->draws, chains = (size_t)r->chains;
    for (int c = 0; c < r->chains; c++) {
        int from = c % r->ranks;
        bnn_mat part = from == r->rank ? bnn_mat_rows(own, (size_t)(c / r->ranks) * K, K) : one;
        if (r->rank == 0 && from != 0) receive(one.data, K * r->draws, c, from);
        if (r->rank != 0 && from == r->rank) send(part.data, K * r->draws, c);
        for (size_t j = 0; r->rank == 0 && j < K; j++)
            memcpy(all.data + (j * chains + (size_t)c) * n, part.data + j * n, n * sizeof(float));
    }
}

static void report(bnn_arena *mem, const run *r, bnn_mat all, const int cost[2], double time) {
    double worst = 0, least_ess = INFINITY, at[K] = { -2, -0.5, 0, 2 };
    uint64_t hash = 14695981039346656037u; /* FNV-1a of the bits, in the order of the chains */
    size_t h = (size_t)r->hidden, weights = h * h + 4 * h + 1, bytes = sizeof(float) * K;
    printf("%d chains x %d draws\n", r->chains, r->draws);
    printf("             mean      sd    R-hat     ESS\n");
    for (size_t j = 0; j < K; j++) {
        bnn_mat d = bnn_mat_rows(all, j * (size_t)r->chains, (size_t)r->chains);
        double n = (double)(d.rows * d.cols), m = bnn_mat_sum(d) / n;
        double rhat = bnn_diag_rhat(mem, d), ess = bnn_diag_ess_bulk(mem, d);
        printf("f(%4.1f)  %8.3f  %6.3f   %6.3f  %6.0f\n", at[j], m,
               sqrt(bnn_mat_dot(d, d) / n - m * m), rhat, ess);
        worst = rhat > worst ? rhat : worst, least_ess = ess < least_ess ? ess : least_ess;
    }
    for (size_t i = 0; i < all.rows * all.cols * sizeof(float); i++)
        hash = (hash ^ ((unsigned char *)all.data)[i]) * 1099511628211u;
    bytes *= (size_t)(r->chains - (r->chains + r->ranks - 1) / r->ranks) * (size_t)r->draws;
    printf("RESULT chains_mpi bits=%016llx chains=%d draws=%d rows=%d weights=%llu rhat=%.4f "
           "ess=%.0f ranks=%d chain_kb=%d gathered=%llu cpu=%.2f seconds=%.2f\n",
           (unsigned long long)hash, r->chains, r->draws, r->rows, (unsigned long long)weights,
           worst, least_ess, r->ranks, cost[0], (unsigned long long)bytes, cost[1] / 1000.0, time);
}

/* 1 where the words are right; process 0 says what is wrong */
static int options(run *r, int argc, char **argv) {
    struct { const char *name; int *value, lo, hi; } o[] = {
        { "--chains", &r->chains, 1, 10000 }, { "--draws", &r->draws, 6, 1000000 },
        { "--rows", &r->rows, 1, 100000000 }, { "--hidden", &r->hidden, 1, 4096 },
        { "--seed", &r->seed, 0, 32767 } };
    for (int i = 1; i < argc; i += 2) {
        size_t k = 0;
        char *rest = argv[i];
        while (k < sizeof o / sizeof *o && strcmp(argv[i], o[k].name)) k++;
        if (strcmp(argv[i], "--folder") == 0 && i + 1 < argc) { r->folder = argv[i + 1]; continue; }
        long v = k < sizeof o / sizeof *o && i + 1 < argc ? strtol(argv[i + 1], &rest, 10) : 0;
        if (rest != argv[i] && rest != argv[i + 1] && !*rest && v >= o[k].lo && v <= o[k].hi) {
            *o[k].value = (int)v;
            continue;
        }
        if (r->rank == 0 && k < sizeof o / sizeof *o)
            fprintf(stderr, "chains_mpi: %s wants a number from %d to %d\n", argv[i], o[k].lo,
                    o[k].hi);
        else if (r->rank == 0)
            fprintf(stderr, "chains_mpi: %s: there are --folder DIR --chains 8 --draws 500 "
                    "--rows 40 --hidden 8 --seed 1\n", argv[i]);
        return 0;
    }
    return 1;
}

int main(int argc, char **argv) {
    run r = { .chains = 8, .draws = 500, .rows = 40, .hidden = 8, .seed = 1 };
    bnn_arena mem = { 0 };
    begin(&r, &argc, &argv);
    int cost[2] = { 0 }, ok = options(&r, argc, argv);
    if (ok) {
        size_t n = (size_t)r.draws, most = (size_t)((r.chains + r.ranks - 1) / r.ranks);
        bnn_mat own = bnn_mat_new(&mem, most * K, n), one = bnn_mat_new(&mem, K, n), all = { 0 };
        if (r.rank == 0) all = bnn_mat_new(&mem, (size_t)r.chains * K, n);
        double start = seconds();
        if ((ok = least(!mem.err)) == 0 && mem.err) fprintf(stderr, "chains_mpi: %s\n", mem.msg);
        if (ok && r.folder) ok = advance(&r, 0, own, cost); /* all files there and writable: go */
        if (ok) ok = advance(&r, BURN_IN + (uint64_t)r.draws * THIN, own, cost);
        for (int i = 0; i < 2; i++) cost[i] = -least(-cost[i]); /* the largest of all processes */
        if (ok) gather(&r, all, own, one);
        if (ok && r.rank == 0) report(&mem, &r, all, cost, seconds() - start);
        if (ok && mem.err) fprintf(stderr, "chains_mpi: %s\n", mem.msg);
        ok = ok && !mem.err;
    }
    bnn_arena_free(&mem);
    end();
    return !ok;
}
