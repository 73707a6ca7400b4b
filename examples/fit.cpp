// fit.cpp -- the library in C++11, whose descs have no designated initializers: a zeroed desc, then
// assignments. Arena and tape end with their scope.
//     c++ -std=c++11 -O2 -I.. fit.cpp -o fit && ./fit
// 40 points of a sine with a hole, a 1-16-1 net, four chains. You should see the doubt rise in the
// hole and beyond the ends, where nobody measured. examples/python/fit.py prints the same.
#define BNN_STATIC
#define BNN_IMPLEMENTATION
#include "bnn.h"
#include <cmath>
#include <cstdio>
#include <vector>

struct Arena : bnn_arena {
    Arena() : bnn_arena() {}
    ~Arena() { bnn_arena_free(this); }
    Arena(const Arena &) = delete;
};
struct Tape : bnn_tape {
    explicit Tape(uint64_t seed) : bnn_tape() { rng = bnn_rng_seed(seed); }
    ~Tape() { bnn_tape_free(this); }
    Tape(const Tape &) = delete;
};

static bnn_mat column(std::vector<float> &v) { // a view: v must outlive it
    bnn_mat m = { v.size(), 1, v.data() };
    return m;
}

int main() {
    std::vector<float> x, y, at;
    for (int i = 0; i < 40; i++) {
        x.push_back((float)(i < 25 ? -2 + 0.06 * i : 0.8 + 0.08 * (i - 25)));
        y.push_back((float)(std::sin(2 * (double)x.back()) + 0.1 * std::cos(37.0 * i)));
    }
    for (int i = 0; i < 13; i++) at.push_back((float)(-3 + 0.5 * i));

    Arena mem;
    Tape tape(1);
    bnn_mlp_desc shape = bnn_mlp_desc();
    shape.sizes[0] = 1, shape.sizes[1] = 16, shape.sizes[2] = 1;
    shape.activation = BNN_TANH;
    shape.noise_std = 0.1f;
    bnn_net net = bnn_mlp(bnn_params_new(&mem), shape);

    bnn_data data = { column(x), column(y) };
    bnn_fit_desc how = bnn_fit_desc();
    how.gradients = 40000;
    how.seed = 1;
    bnn_posterior p = bnn_fit(&mem, &net, data, how);
    bnn_predictive q = bnn_predict(&mem, &tape, &net, &p.post, column(at));
    if (mem.err || tape.err || p.err) {
        std::fprintf(stderr, "fit: %s\n", mem.err ? mem.msg : tape.err ? tape.msg : "no posterior");
        return 1;
    }
    std::printf("%zu draws of %zu chains\n     x    mean   doubt\n", p.post.count, p.chains);
    for (size_t i = 0; i < at.size(); i++)
        std::printf("%6.2f  %6.3f  %6.3f\n", (double)at[i], (double)q.mean.data[i],
                    std::sqrt((double)q.epistemic.data[i]));
    return 0;
}
