/* fuzz_fit.c -- any bytes as those of a fit, behind one that chooses the method.
 *     clang -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -I../.. \
 *         fuzz_fit.c -lm
 *     ./a.out -max_len=8192 corpus/fit     (or cc -DFUZZ_MAIN; -DFUZZ_SEEDS as in fuzz_checkpoint.c)
 * The harness puts in what says that net, data and desc are the same, so that the fuzzer gets past
 * it; -DFUZZ_RAW leaves the input alone. What is taken must be written and taken again, and goes on
 * for a round. */
#define BNN_IMPLEMENTATION
#include "bnn.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(cond) do { if (!(cond)) abort(); } while (0)
enum { SAME = 4 + 15 * 8 }; /* version, what must be equal */

typedef struct world {
    bnn_arena mem;
    float x[4], y[4];
    bnn_data data;
    bnn_net net;
    bnn_fit_desc desc;
    int left; /* calls of progress before it cancels */
} world;

static int progress(void *user, size_t done, size_t total) {
    (void)done, (void)total;
    return ((world *)user)->left-- <= 0;
}

static void world_make(world *a, int method) {
    bnn_mlp_desc net;
    size_t i;
    memset(a, 0, sizeof *a);
    memset(&net, 0, sizeof net);
    for (i = 0; i < 4; i++) a->x[i] = a->y[i] = (float)i;
    a->data.x.rows = a->data.y.rows = 4;
    a->data.x.cols = a->data.y.cols = 1;
    a->data.x.data = a->x;
    a->data.y.data = a->y;
    net.sizes[0] = net.sizes[1] = 1;
    net.noise_learned = 1;
    net.prior.shape = net.prior.rate = 1;
    a->net = bnn_mlp(bnn_params_new(&a->mem), net);
    a->desc.method = BNN_FIT_NUTS + method % BNN_FIT_SWAG;
    a->desc.chains = 2, a->desc.draws = 1, a->desc.gradients = 20000;
    a->desc.progress = progress, a->desc.progress_user = a;
    MUST(a->mem.err == BNN_OK);
}

static bnn_bytes world_write(world *a, int calls) {
    bnn_posterior p;
    bnn_bytes b;
    a->left = calls;
    p = bnn_fit(&a->mem, &a->net, a->data, a->desc);
    b = bnn_fit_write(&a->mem, &p);
    MUST(b.size > SAME);
    return b;
}

static const unsigned char *same(int method) { /* made once for each */
    static unsigned char bytes[BNN_FIT_SWAG][SAME];
    unsigned char *b = bytes[method % BNN_FIT_SWAG];
    world a;
    if (b[4] != 0) return b;
    world_make(&a, method);
    memcpy(b, world_write(&a, 0).data, SAME);
    bnn_arena_free(&a.mem);
    return b;
}

/* Nothing in it says that a round is long */
static int short_round(const bnn_posterior *p) {
    size_t k;
    for (k = 0; k < p->fit->desc.chains; k++) {
        const bnn_hmc_state *h = p->fit->chains[k].s.hmc;
        if (h != NULL && (h->desc.leapfrog > 100 || h->desc.trajectory > 0 || h->max_depth > 6))
            return 0;
    }
    return p->fit->thin <= 20 && p->fit->batch <= 4;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    world a, b;
    bnn_posterior p;
    bnn_bytes in, again;
    int method = size > 0 ? data[0] : 0;
    world_make(&a, method);
    in.size = size > 0 ? size - 1 : 0;
    in.data = malloc(in.size + 1);
    if (in.size > 0) memcpy(in.data, data + 1, in.size);
#ifndef FUZZ_RAW
    if (in.size >= SAME) memcpy((char *)in.data + 4, same(method) + 4, SAME - 4);
#endif
    p = bnn_fit_resume(&a.mem, &a.net, a.data, in, a.desc);
    if (p.fit == NULL) {
        MUST(p.err != BNN_OK && p.err == a.mem.err && a.mem.msg[0] != '\0');
        MUST(a.net.scaling.x_mean.data == NULL && p.post.count == 0);
    } else if (a.mem.err == BNN_OK) {
        again = bnn_fit_write(&a.mem, &p);
        MUST(again.data != NULL && bnn_mat_finite(p.post.samples));
        world_make(&b, method);
        MUST(bnn_fit_resume(&b.mem, &b.net, b.data, again, b.desc).fit != NULL);
        bnn_arena_free(&b.mem);
        a.left = 1;
        if (short_round(&p)) bnn_fit_more(&p, 1000);
    }
    bnn_arena_free(&a.mem);
    free(in.data);
    return 0;
}

#ifdef FUZZ_SEEDS
int main(int argc, char **argv) {
    int method, calls;
    MUST(argc == 2);
    for (method = 0; method < BNN_FIT_SWAG; method++)
        for (calls = 0; calls < 20; calls += 19) {
            char path[512];
            world a;
            bnn_bytes b;
            FILE *f;
            world_make(&a, method);
            b = world_write(&a, calls);
            (void)snprintf(path, sizeof path, "%s/%d-%d.fit", argv[1], method, calls);
            f = fopen(path, "wb");
            MUST(f != NULL && fputc(method, f) == method);
            MUST(fwrite(b.data, 1, b.size, f) == b.size && fclose(f) == 0);
            bnn_arena_free(&a.mem);
        }
    return 0;
}
#endif
#include "fuzz.h"
