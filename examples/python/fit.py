"""fit.py -- the library in Python by ctypes: one line of cc, no package.
    cc -O2 -shared -fPIC -DBNN_IMPLEMENTATION -x c ../../bnn.h -o libbnn.so -lm
    python3 fit.py [path of libbnn.so]
40 points of a sine with a hole, a 1-16-1 net, four chains: prints what examples/fit.cpp prints. The
structs below are the header's, field by field; when you add one, or the header changes, compare
ctypes.sizeof with C's sizeof (`fit.py --sizes`; tests/examples.sh does)."""
import ctypes as c
import math
import sys

size, ptr, fn = c.c_size_t, c.c_void_p, c.c_void_p


def struct(name, *fields):
    return type(name, (c.Structure,),
                {"_fields_": [(n, t) for t, names in fields for n in names.split()]})


Alloc = struct("bnn_alloc", (fn, "fn"), (ptr, "user"))
Arena = struct(
    "bnn_arena", (Alloc, "alloc"), (ptr, "buffer"), (size, "capacity"), (c.c_int, "err"),
    (c.c_char * 160, "msg note"), (size, "notes"), (fn, "on_note"), (ptr, "note_user chunk"),
    (size, "used"))
Rng = struct("bnn_rng", (c.c_uint32 * 2, "key"), (c.c_uint32 * 4, "ctr buf"), (c.c_int, "left"))
Mat = struct("bnn_mat", (size, "rows cols"), (c.POINTER(c.c_float), "data"))
Data = struct("bnn_data", (Mat, "x y"))
Var = struct(
    "bnn_var", (Mat, "val grad"), (ptr, "tape inputs"), (size, "n_in"), (fn, "backward"),
    (ptr, "aux prev owner"), (size, "block"), (fn, "squares"), (c.c_uint, "pass_"),
    (c.c_ubyte * 4, "flags"))
Stepped = struct("stepped", (ptr, "by"), (c.c_uint64, "t"), (size, "resets"), (ptr, "last"),
                 (c.c_uint, "pass_"))
Tape = struct(
    "bnn_tape", (Rng, "rng"), (c.c_int, "err"), (c.c_char * 160, "msg note"), (size, "notes"),
    (fn, "on_note"), (ptr, "note_user"), (Arena, "mem"), (c.c_double, "n_data"),
    (c.c_int, "training"), (fn, "progress"), (ptr, "progress_user last"), (c.c_uint, "pass_"),
    (c.c_double, "batch_n loss_n"), (Var, "poison"), (size, "resets"), (Stepped, "stepped"))
Prior = struct(
    "bnn_prior", (c.c_int, "kind"), (c.c_float, "mean std std2 weight nu"),
    (c.c_int, "fan_in adapt_mean adapt_std"), (c.c_float, "shape rate"))
MlpDesc = struct(
    "bnn_mlp_desc", (size * 17, "sizes"), (c.c_int, "activation"), (c.c_int * 16, "activations"),
    (c.c_int, "likelihood"), (c.c_float, "noise_std"), (c.c_int, "noise_learned"),
    (Prior, "noise_prior"), (c.c_float, "nu"), (Prior, "prior"), (ptr, "priors"),
    (c.c_int, "init"), (c.c_float, "init_scale"), (c.c_uint64, "seed"),
    (c.c_float, "dropout dropout_input"), (c.c_int, "no_bias"))
Scaling = struct("bnn_scaling", (Mat, "x_mean x_std y_mean y_std"))
Net = struct(
    "bnn_net", (ptr, "params"), (fn, "forward"), (c.c_int, "likelihood"),
    (c.c_float, "noise_std nu"), (size, "noise"), (c.c_int, "noise_learned"),
    (Scaling, "scaling"), (ptr, "user mlp mem"))
Ensemble = struct(
    "bnn_ensemble", (ptr, "params"), (Mat, "samples"), (ptr, "weights"), (size, "count seen"))
Predictive = struct(
    "bnn_predictive",
    (Mat, "mean aleatoric epistemic entropy expected_entropy mutual_information"))
FitDesc = struct(
    "bnn_fit_desc", (c.c_int, "method"), (size, "chains draws batch"), (c.c_float, "lr"),
    (c.c_double, "gradients ess"), (Mat, "probe"), (c.c_uint64, "seed"), (c.c_int, "unscaled"),
    (fn, "progress"), (ptr, "progress_user"))
Posterior = struct(
    "bnn_posterior", (Ensemble, "post"), (c.c_int, "err reached method"), (size, "chains draws"),
    (c.c_double, "rhat ess_bulk ess_tail rhat_log_lik ess_log_lik"), (Mat, "energy"),
    (size, "burn_in thin"),
    (c.c_double, "temperature kinetic noise_ratio accept divergent transitions ebfmi curvature"),
    (c.c_double, "step_min step_max"), (size, "batch"), (c.c_double, "gradients"),
    (size, "n_notes"), (ptr, "notes fit"))
STRUCTS = [Alloc, Arena, Rng, Mat, Data, Var, Tape, Prior, MlpDesc, Scaling, Net, Ensemble,
           Predictive, FitDesc, Posterior]
TANH = 2


def load(path):
    lib, at = c.CDLL(path), c.POINTER
    for name, result, arguments in [
            ("bnn_version", c.c_int, []),
            ("bnn_rng_seed", Rng, [c.c_uint64]),
            ("bnn_params_new", ptr, [at(Arena)]),
            ("bnn_mlp", Net, [ptr, MlpDesc]),
            ("bnn_fit", Posterior, [at(Arena), at(Net), Data, FitDesc]),
            ("bnn_predict", Predictive, [at(Arena), at(Tape), at(Net), at(Ensemble), Mat]),
            ("bnn_tape_free", None, [at(Tape)]),
            ("bnn_arena_free", None, [at(Arena)])]:
        f = getattr(lib, name)
        f.restype, f.argtypes = result, arguments
    return lib


def column(values):
    """A view: ctypes keeps the numbers alive as long as the matrix"""
    data = (c.c_float * len(values))(*values)
    return Mat(len(values), 1, c.cast(data, c.POINTER(c.c_float)))


def main():
    if "--sizes" in sys.argv:
        for t in STRUCTS:
            print(t.__name__, c.sizeof(t))
        return
    lib = load(sys.argv[1] if len(sys.argv) > 1 else "./libbnn.so")
    x = column([-2 + 0.06 * i if i < 25 else 0.8 + 0.08 * (i - 25) for i in range(40)])
    y = column([math.sin(2 * x.data[i]) + 0.1 * math.cos(37.0 * i) for i in range(40)])
    at = column([-3 + 0.5 * i for i in range(13)])

    mem, tape = Arena(), Tape(rng=lib.bnn_rng_seed(1))
    shape = MlpDesc(activation=TANH, noise_std=0.1)
    shape.sizes[:3] = 1, 16, 1
    net = lib.bnn_mlp(lib.bnn_params_new(mem), shape)
    p = lib.bnn_fit(mem, net, Data(x, y), FitDesc(gradients=40000, seed=1))
    q = lib.bnn_predict(mem, tape, net, p.post, at)
    if mem.err or tape.err or p.err:
        sys.exit("fit: " + (mem.msg or tape.msg or b"no posterior").decode())
    print("%d draws of %d chains\n     x    mean   doubt" % (p.post.count, p.chains))
    for i in range(at.rows):
        print("%6.2f  %6.3f  %6.3f" % (at.data[i], q.mean.data[i], math.sqrt(q.epistemic.data[i])))
    lib.bnn_tape_free(tape)
    lib.bnn_arena_free(mem)


if __name__ == "__main__":
    main()
