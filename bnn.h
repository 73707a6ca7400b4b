/* bnn.h - v2.0 - Bayesian neural networks in one C header - public domain or MIT, your choice
 *
 * Do this:
 *     #define BNN_IMPLEMENTATION
 * before you include this file in *one* C or C++ file to create the implementation. In all others
 * just include it. Compile with any C99 or C++11 compiler; link with -lm.
 *
 * A program of one file defines BNN_STATIC too: the compiler then drops what is not called before
 * it optimizes (2 s instead of 5 s). A larger program compiles the implementation once, in a file
 * of its own with these two lines: #define BNN_IMPLEMENTATION, #include "bnn.h".
 *
 *     #define BNN_STATIC
 *     #define BNN_IMPLEMENTATION
 *     #include "bnn.h"
 *     #include <math.h>
 *     #include <stdio.h>
 *     int main(void) {
 *         float x[] = { -2, -1, 0, 1, 2 }, y[] = { 4, 1, 0, 1, 4 }, at[] = { 0, 1.5f, 4 };
 *         bnn_data data = { { 5, 1, x }, { 5, 1, y } };
 *         bnn_arena mem = { 0 };
 *         bnn_tape tape = { .rng = bnn_rng_seed(1) };
 *         bnn_params *w = bnn_params_new(&mem);
 *         bnn_net net = bnn_mlp(w, (bnn_mlp_desc){ .sizes = { 1, 32, 1 }, .noise_std = 0.1f });
 *         bnn_stepper sgld = bnn_sgld(w, (bnn_sgld_desc){ .lr = 1e-3f });
 *         bnn_ensemble post = bnn_ensemble_new(w, 200);
 *         for (int s = 0; s < 30000; s++) {
 *             bnn_tape_reset(&tape);
 *             bnn_backward(bnn_net_loss(&net, bnn_batch_all(&tape, data)));
 *             bnn_step(&sgld, &tape);
 *             if (s >= 10000 && s % 100 == 0) bnn_ensemble_push(&post);
 *         }
 *         bnn_mat where = { 3, 1, at };
 *         bnn_predictive p = bnn_predict(&mem, &tape, &net, &post, where);
 *         int err = mem.err ? mem.err : tape.err;
 *         if (err) puts(mem.err ? mem.msg : tape.msg);
 *         for (int i = 0; i < 3 && !err; i++)
 *             printf("x = %4.1f   y = %5.2f, sd of the noise %.2f, of what the net does not know "
 *                    "%.2f\n", at[i], p.mean.data[i], sqrt(p.aleatoric.data[i]),
 *                    sqrt(p.epistemic.data[i]));
 *         bnn_tape_free(&tape);
 *         bnn_arena_free(&mem);
 *         return err != 0;
 *     }
 *
 * THE IDEA
 *     bnn_arena   space: what lives in it lives until it is freed, all at once.
 *     bnn_tape    time: one step's nodes, scratch, random numbers and error; a reset is free.
 *     bnn_params  a flat vector with named shapes: what Bayesian methods act on.
 *     bnn_net     parameters and a forward function. A loss is a 1x1 node.
 *     bnn_stepper moves parameters along a gradient. An optimizer is a sampler at temperature zero.
 *     bnn_meanfield a Gaussian over every weight: mu and sigma are parameters, too.
 *     bnn_ensemble Every inference method ends in the same thing: a matrix of weight samples.
 *
 * SCALE
 *     With N rows of data, U = -sum ln p(y|x,theta) - ln p(theta) is the energy of the posterior.
 *     A loss is U/N, per example; learning rates multiply its gradient. N comes from the batch, so
 *     the prior and a sampler's noise have the right size without your doing. For a stream set
 *     batch.n_data (or tape.n_data) once. Everything is in nats and in the units of your data.
 *
 * MEMORY
 *     All memory comes from arenas. Zeroed structs are valid and empty. A matrix never owns its
 *     data. After the first step a training loop does not allocate. An arena can live in a buffer
 *     of yours: bnn_arena mem = { .buffer = bytes, .capacity = sizeof bytes }, and then the heap is
 *     never touched; so can a tape's (tape.mem).
 *
 * ERRORS AND NOTES
 *     The first error stays in the tape (tape.err, tape.msg) or the arena it happened in, and all
 *     later calls there do nothing: one check of both at the end is enough. The sentence names who,
 *     what and where: "bnn_affine: x is 25x3, w is 4x32". Functions without a tape return the code.
 *     A reset keeps it, bnn_tape_clear_error ends it. Parameters keep their last finite value.
 *     What is no error but makes a result worthless is a note: it changes nothing and says the
 *     remedy. The first stays in tape.note or mem.note, .notes counts all, .on_note gets each.
 *
 * DETERMINISM
 *     Same seed, same bits: at any optimization level, in gcc and clang, C and C++, on any number
 *     of threads, on every CPU with fused multiply-add (x86-64 with AVX2, AArch64). Products of
 *     matrices run in the order of k and fuse each multiply-add; everything else uses plain IEEE
 *     arithmetic, own functions, and of libm what is exact (sqrt, floor, ldexp and their like).
 *     Only special functions and what is made of them (ln n! of counts, gradients of gamma draws,
 *     normal CDFs), curvature and Laplace, evidence, metrics, diagnostics and what predictions say
 *     beyond their mean take exp, log, log10, log1p, expm1, erfc, sin, cos and cbrt in double from
 *     libm: their last digits are those of your libm. Without FMA (old x86, BNN_NO_SIMD on x86,
 *     tcc) products differ in the last bits. -ffast-math is off inside gcc's implementation; clang
 *     may still fuse then: that gives up this promise alone.
 *
 * THREADS
 *     No globals but the cached answer of CPUID. Two threads may use the library at once when they
 *     share no tape, no arena being allocated from, and no parameters being moved: one chain = one
 *     arena + one tape. With -fopenmp large products and passes use several threads, same bits.
 *
 * COMPILE OPTIONS, all to be defined before the include
 *     BNN_IMPLEMENTATION  make the implementation here
 *     BNN_STATIC          make all functions static; in the implementing file only
 *     BNNDEF              or your own declaration prefix
 *     BNN_ASSERT(x)       called on internal invariants; default nothing
 *     BNN_NO_STDIO        no files, no printing, no <stdio.h>. Without it the implementation takes
 *                         in <unistd.h>, if any: no function of yours is named read or link there
 *     BNN_NO_SIMD         plain loops only
 *     BNN_CBLAS           matrix products by cblas_sgemm; include <cblas.h> before
 *     BNN_MATH_EXP(x) and _LOG, _SQRT, _TANH, _SIN, _COS, _ERF, _EXPM1, _LOG1P
 *                         your own functions; one given, the rest come from libm
 * The header defines for you BNN_VERSION (a number to compare), BNN_ZERO (a 0 that is no default)
 * and BNN_MAT(rows, cols, data), the initializer of a matrix that refuses all but floats.
 *
 * bnn.h DOES NOT
 *     - own your training loop, print, exit, or read the clock
 *     - do attention, batch norm, or tensors of more than two dimensions
 *     - run on a GPU
 *     - read ONNX or image files (IDX, CSV, NumPy's and safetensors it reads)
 *     - stop you from moving the same parameters from two threads
 *
 * Formulas are cited in the sections below; the derivations are in docs/math.md, the file format in
 * docs/format.md, the guide in docs/guide.md. License and history are at the end of this file.
 */

/* ================================================================================================
 * API
 * ============================================================================================= */
#ifndef BNN_H
#define BNN_H

#include <stddef.h>
#include <stdint.h>

#define BNN_VERSION 20000 /* major 10000 + minor 100 + patch: a number to compare */

#ifndef BNNDEF
#if defined(BNN_STATIC) && (defined(__GNUC__) || defined(__clang__))
#define BNNDEF static __attribute__((unused))
#elif defined(BNN_STATIC)
#define BNNDEF static
#else
#define BNNDEF extern
#endif
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- errors ----------------------------------------------------------------------------------
 * A function that has no tape returns one of these; a function on a tape or an arena sets its
 * `err` once (sticky) and writes one sentence to its `msg`. Clear both to go on. */
enum {
    BNN_OK,
    BNN_ENOMEM,     /* the allocator said no, or a size overflows size_t           */
    BNN_ESHAPE,     /* matrices that do not fit together                           */
    BNN_EARG,       /* a value outside its domain                                  */
    BNN_ENONFINITE, /* NaN or infinity in data, in a loss or in parameters         */
    BNN_EIO,        /* a file cannot be opened, read, written or renamed           */
    BNN_EFORMAT,    /* a file's contents are not what its format says              */
    BNN_ECANCEL     /* the progress callback asked to stop                         */
};
enum { BNN_MSG = 160 };                    /* bytes of a sentence, with its end */
BNNDEF const char *bnn_strerror(int err);  /* a constant string, never NULL */
BNNDEF int bnn_version(void);              /* BNN_VERSION of the implementation */

/* What is no error but makes a result worthless is a note: one sentence that names the remedy and
 * changes no result. The first stays in `note` of the tape or the arena at hand, `notes` counts
 * all, `on_note` (if given) gets each as it comes. To begin anew set note[0] and notes to 0. */
typedef void (*bnn_note_fn)(void *user, const char *note);

/* In a desc a field that is 0 means its default. Where 0 itself is a legal value (a temperature, a
 * momentum, a weight), this says it. */
#define BNN_ZERO 1.17549435e-38f

/* ---- arena: space ----------------------------------------------------------------------------
 * Zero = empty and valid, on the heap. Give `buffer` and `capacity` to live in your own memory
 * and never touch the heap, or `alloc` to use your own allocator: fn(user, ptr, old, new) is
 * realloc, and free when new is 0. Every block is aligned to 64 bytes. */
typedef struct bnn_alloc {
    void *(*fn)(void *user, void *ptr, size_t old_size, size_t new_size);
    void *user;
} bnn_alloc;

typedef struct bnn_arena {
    bnn_alloc alloc;
    void *buffer;    /* your memory, or NULL for the heap  */
    size_t capacity; /* its size in bytes                  */
    int err;
    char msg[BNN_MSG];
    char note[BNN_MSG];  /* the first note, "" = none */
    size_t notes;        /* how many                  */
    bnn_note_fn on_note; /* NULL = none               */
    void *note_user;
    struct bnn__chunk *chunk; /* private: the chunk in use, its predecessors behind it */
    size_t used;              /* private: bytes used of it                              */
} bnn_arena;

typedef struct bnn_mark {
    struct bnn__chunk *chunk;
    size_t used;
} bnn_mark;

BNNDEF void *bnn_arena_alloc(bnn_arena *mem, size_t count, size_t size); /* zeroed; NULL: err */
BNNDEF bnn_mark bnn_arena_mark(const bnn_arena *mem);
BNNDEF void bnn_arena_rewind(bnn_arena *mem, bnn_mark mark); /* frees nothing, forgets all since */
BNNDEF void bnn_arena_free(bnn_arena *mem);                  /* everything at once; then empty   */
BNNDEF size_t bnn_arena_size(const bnn_arena *mem);          /* bytes held from the allocator    */
BNNDEF size_t bnn_arena_used(const bnn_arena *mem);          /* bytes in use, wherever they are  */

/* ---- random numbers --------------------------------------------------------------------------
 * Philox4x32-10 (Salmon et al., SC 2011): counter-based, 2^64 blocks of 4 words in each of 2^64
 * streams for each of 2^64 seeds. A value: copy it to save it. Zero = seed 0. */
typedef struct bnn_rng {
    uint32_t key[2]; /* seed                                                   */
    uint32_t ctr[4]; /* [0..1] block counter, [2..3] stream                    */
    uint32_t buf[4]; /* the current block, of which `left` words are still new */
    int left;
} bnn_rng;

BNNDEF bnn_rng bnn_rng_seed(uint64_t seed);
BNNDEF bnn_rng bnn_rng_stream(uint64_t seed, uint64_t stream); /* stream 0 = bnn_rng_seed       */
BNNDEF bnn_rng bnn_rng_split(bnn_rng *r);        /* a new generator, independent of r from now on */
BNNDEF uint32_t bnn_rng_u32(bnn_rng *r);
BNNDEF size_t bnn_rng_below(bnn_rng *r, size_t n); /* 0 .. n-1, exactly uniform; n > 0 */
BNNDEF float bnn_rng_uniform(bnn_rng *r);                      /* (0,1), never an end */
BNNDEF float bnn_rng_normal(bnn_rng *r);                       /* N(0,1) */
BNNDEF float bnn_rng_exponential(bnn_rng *r);                  /* mean 1 */
BNNDEF float bnn_rng_gumbel(bnn_rng *r);                       /* mean 0.5772, variance pi^2/6 */
BNNDEF float bnn_rng_logistic(bnn_rng *r);                     /* variance pi^2/3 */
BNNDEF float bnn_rng_double_exponential(bnn_rng *r);                      /* variance 2 */
BNNDEF float bnn_rng_log_gamma(bnn_rng *r, float shape);       /* ln of a Gamma(shape, 1) draw: safe
                                                        where the draw underflows; shape > 0 */
BNNDEF float bnn_rng_gamma(bnn_rng *r, float shape);           /* exp of it */
BNNDEF float bnn_rng_beta(bnn_rng *r, float a, float b);
/* x ~ Dir(alpha), k entries; log_x may be NULL, else ln x (finite where x underflows) */
BNNDEF int bnn_rng_dirichlet(bnn_rng *r, size_t k, const float *alpha, float *x, float *log_x);
BNNDEF size_t bnn_rng_categorical(bnn_rng *r, size_t k, const float *weights); /* k = bad weights */
BNNDEF void bnn_rng_permutation(bnn_rng *r, size_t n, size_t *out);
/* n at once, vectorized; equal bits whatever the instruction set */
BNNDEF void bnn_rng_fill_uniform(bnn_rng *r, size_t n, float *out);
BNNDEF void bnn_rng_fill_normal(bnn_rng *r, size_t n, float *out);
BNNDEF void bnn_rng_fill_exponential(bnn_rng *r, size_t n, float *out);
BNNDEF void bnn_rng_fill_gumbel(bnn_rng *r, size_t n, float *out);
BNNDEF void bnn_rng_fill_log_gamma(bnn_rng *r, size_t n, float shape, float *out); /* one shape */
BNNDEF void bnn_rng_fill_gamma(bnn_rng *r, size_t n, float shape, float *out); /* > 0, or all NaN */

/* ---- special functions (double) --------------------------------------------------------------
 * Relative error 1e-12 or better, bnn_beta_i and bnn_gamma_dlog 1e-11, bnn_digamma near its zero at
 * 1.4616 2e-15 absolutely. Shapes to 1e6; above, to 1e9, with less. Outside the domain: NaN. */
BNNDEF double bnn_lgamma(double x);                        /* ln Gamma(x), x > 0                  */
BNNDEF double bnn_digamma(double x);                       /* psi(x), x > 0                       */
BNNDEF double bnn_trigamma(double x);                      /* psi'(x), x > 0                      */
BNNDEF double bnn_gamma_p(double a, double x); /* P(a,x), regularized incomplete gamma */
BNNDEF double bnn_gamma_q(double a, double x);             /* 1 - P(a,x)                          */
BNNDEF double bnn_beta_i(double a, double b, double x);    /* I_x(a,b)                            */
BNNDEF double bnn_normal_cdf(double x);                    /* Phi                                 */
BNNDEF double bnn_normal_log_cdf(double x);                /* ln Phi, far into the left tail      */
BNNDEF double bnn_normal_quantile(double p);               /* Phi^-1, 0 < p < 1                   */
BNNDEF double bnn_gamma_dlog(double a, double log_z);      /* d ln z / d a of a gamma draw at fixed
                                                              quantile (Figurnov et al. 2018)     */

/* ---- matrices --------------------------------------------------------------------------------
 * A view: row-major, contiguous, never owns. A function that takes only matrices returns
 * BNN_OK or the error, and then has written nothing. Outputs come first. */
typedef struct bnn_mat {
    size_t rows, cols;
    float *data;
} bnn_mat;

/* bnn_mat m = { 3, 2, x } views x[6]. With `double x[6]` or `int x[6]` that means wrong numbers: an
 * error in C++, but old C compilers only warn, so here gcc and clang are told not to compile it.
 * That holds for the rest of your file and all pointers in it, since initializers stand there; to
 * end it: #pragma GCC diagnostic ignored "-Wincompatible-pointer-types" behind the include.
 * BNN_MAT(3, 2, x) is the same initializer, and an error in every compiler. */
#if !defined(__cplusplus) && (defined(__clang__) || (defined(__GNUC__) && __GNUC__ >= 5))
#pragma GCC diagnostic error "-Wincompatible-pointer-types"
#ifdef __clang__ /* a `const float x[6]` remains a warning */
#pragma GCC diagnostic ignored "-Wincompatible-pointer-types-discards-qualifiers"
#pragma GCC diagnostic warning "-Wincompatible-pointer-types-discards-qualifiers"
#endif
#endif
#define BNN_MAT(rows, cols, data)                                                                  \
    { (size_t)(rows), (size_t)(cols) + 0 * sizeof((data) - (float *)(data)), (data) }

BNNDEF bnn_mat bnn_mat_new(bnn_arena *mem, size_t rows, size_t cols); /* zeros; NULL data: err */
BNNDEF bnn_mat bnn_mat_copy(bnn_arena *mem, bnn_mat a);
BNNDEF bnn_mat bnn_mat_rows(bnn_mat a, size_t first, size_t count);   /* a view of whole rows */
BNNDEF float *bnn_mat_at(bnn_mat a, size_t row, size_t col);          /* NULL if outside */
BNNDEF void bnn_mat_fill(bnn_mat a, float value);
BNNDEF void bnn_mat_eye(bnn_mat a);
BNNDEF int bnn_mat_finite(bnn_mat a);                    /* 1 if no NaN and no infinity */
BNNDEF int bnn_mat_mul(bnn_mat out, bnn_mat a, bnn_mat b);     /* A B;     out must not overlap */
BNNDEF int bnn_mat_mul_tn(bnn_mat out, bnn_mat a, bnn_mat b);  /* A^T B */
BNNDEF int bnn_mat_mul_nt(bnn_mat out, bnn_mat a, bnn_mat b);  /* A B^T */
BNNDEF int bnn_mat_mul_tt(bnn_mat out, bnn_mat a, bnn_mat b);  /* A^T B^T */
BNNDEF int bnn_mat_add(bnn_mat out, bnn_mat a, bnn_mat b); /* out may be a or b, as in the next */
BNNDEF int bnn_mat_sub(bnn_mat out, bnn_mat a, bnn_mat b);
BNNDEF int bnn_mat_scale(bnn_mat out, bnn_mat a, float s);
BNNDEF int bnn_mat_transpose(bnn_mat out, bnn_mat a);          /* out must not overlap a */
BNNDEF int bnn_mat_row_sum(bnn_mat out, bnn_mat a);            /* (n,d) -> (n,1) */
BNNDEF int bnn_mat_col_sum(bnn_mat out, bnn_mat a);            /* (n,d) -> (1,d) */
BNNDEF int bnn_mat_row_mean(bnn_mat out, bnn_mat a);
BNNDEF int bnn_mat_col_mean(bnn_mat out, bnn_mat a);
BNNDEF int bnn_mat_col_std(bnn_mat out, bnn_mat a);            /* (n,d) -> (1,d), divides by n */
/* the first of equals; a.cols, which is no column, where the row has a NaN or is not there */
BNNDEF size_t bnn_mat_row_argmax(bnn_mat a, size_t row);
BNNDEF double bnn_mat_sum(bnn_mat a);                          /* in double, as all reductions */
BNNDEF double bnn_mat_dot(bnn_mat a, bnn_mat b);               /* sum of products; NaN if unequal */
BNNDEF int bnn_mat_cov(bnn_mat out, bnn_mat a);                /* (n,d) -> (d,d), divides by n */
/* A = L L^T, L lower with zeros above. Not positive definite: BNN_EARG, *pivot (if given) is the
 * row that failed, and l holds the rows before it. l may be a. */
BNNDEF int bnn_mat_cholesky(bnn_mat l, bnn_mat a, size_t *pivot);
BNNDEF int bnn_mat_solve_lower(bnn_mat x, bnn_mat l, bnn_mat b);   /* L x = b; x may be b */
BNNDEF int bnn_mat_solve_lower_t(bnn_mat x, bnn_mat l, bnn_mat b); /* L^T x = b */
BNNDEF int bnn_mat_solve_chol(bnn_mat x, bnn_mat l, bnn_mat b);    /* L L^T x = b */
BNNDEF double bnn_mat_logdet_chol(bnn_mat l);                      /* ln |L L^T| */
/* A = V diag(values) V^T, values ascending (1,d), vectors in columns; cyclic Jacobi. */
BNNDEF int bnn_mat_eig_sym(bnn_arena *mem, bnn_mat values, bnn_mat vectors, bnn_mat a);
/* A (n,d), n >= d: A = U diag(s) V^T, s descending (1,d), u (n,d), v (d,d); one-sided Jacobi. */
BNNDEF int bnn_mat_svd(bnn_arena *mem, bnn_mat u, bnn_mat s, bnn_mat v, bnn_mat a);
#ifndef BNN_NO_STDIO
BNNDEF void bnn_mat_print(bnn_mat a, const char *name); /* to stdout; large ones are elided */
#endif

/* ---- data ------------------------------------------------------------------------------------ */
typedef struct bnn_data {
    bnn_mat x, y; /* (n,d) inputs; (n,k) targets, or (n,1) labels 0,1,2.. for classes */
} bnn_data;

BNNDEF bnn_data bnn_data_rows(bnn_data d, size_t first, size_t count);

/* ---- tape: time ------------------------------------------------------------------------------
 * One step's nodes, scratch, random numbers and error. Zero = empty and valid; give it a seed:
 * bnn_tape tape = { .rng = bnn_rng_seed(1) }. Reset forgets the nodes and keeps the memory, the
 * rng and the error. After an error every function on the tape is a no-op that returns the
 * tape's poison node (never NULL, 0x0), so one check at the end is enough. Operands of one op live
 * on one tape. */
typedef struct bnn_tape bnn_tape;
typedef struct bnn_var bnn_var;
typedef struct bnn_params bnn_params;

/* Called now and then by the few functions that run long; nonzero cancels (BNN_ECANCEL). */
typedef int (*bnn_progress_fn)(void *user, size_t done, size_t total);

struct bnn_var {
    bnn_mat val;
    bnn_mat grad;  /* data NULL where no gradient is wanted: an op's backward must skip it */
    bnn_tape *tape;
    bnn_var **in;  /* the n_in inputs */
    size_t n_in;
    void (*backward)(bnn_var *self); /* adds to in[i]->grad from self->grad; NULL for leaves */
    void *aux;                       /* whatever an op keeps for its backward             */
    bnn_var *prev;                   /* private from here: the node made before           */
    bnn_params *owner;               /* whose parameter this leaf is                      */
    size_t block;                    /* and which                                         */
    unsigned pass;                   /* stamp of the last backward pass that reached it   */
    unsigned char wants, fresh, lazy, finite;
};

struct bnn_tape {
    bnn_rng rng;
    int err;
    char msg[BNN_MSG];
    char note[BNN_MSG];       /* the first note, "" = none                                      */
    size_t notes;             /* how many                                                       */
    bnn_note_fn on_note;      /* NULL = none                                                    */
    void *note_user;
    bnn_arena mem;            /* scratch; set mem.buffer or mem.alloc to choose where it lives */
    double n_data;            /* rows of the data behind the last batch, or, once you set it, what
                                 you say: samplers and mean fields divide by it                 */
    int training;             /* 1 while a loss is built: dropout is on                         */
    bnn_progress_fn progress; /* NULL = none                                                    */
    void *progress_user;
    bnn_var *last; /* private */
    unsigned pass;
    double batch_n, loss_n; /* private: N of the last batch, of the loss that last went backward */
    bnn_var poison;
    size_t resets; /* private: how often */
    struct { /* private: the stepper that moved first since the reset */
        const void *by;
        uint64_t t;
        size_t resets;
        const bnn_var *last;
    } stepped;
};

BNNDEF void bnn_tape_reset(bnn_tape *t);
BNNDEF void bnn_tape_free(bnn_tape *t);
BNNDEF void bnn_tape_clear_error(bnn_tape *t);
/* Record an error yourself, printf-free: "who: what". The first one stays. Returns the poison. */
BNNDEF bnn_var *bnn_tape_fail(bnn_tape *t, int err, const char *who, const char *what);

/* Leaves */
BNNDEF bnn_var *bnn_input(bnn_tape *t, bnn_mat m); /* a constant; borrows m until reset      */
BNNDEF bnn_var *bnn_leaf(bnn_tape *t, bnn_mat m);  /* borrows m, has a gradient of its own:
                   grad.data is NULL until bnn_backward has reached the leaf, and after an error
                   (but NaN if the error is a loss that is not finite)                           */
BNNDEF bnn_var *bnn_scalar(bnn_tape *t, float v);  /* a 1x1 constant                         */
BNNDEF bnn_var *bnn_param(bnn_tape *t, bnn_params *w, size_t block); /* gradient -> w->grad   */

/* d root / d everything. root is 1x1; if it is NaN or infinite, an error that names the node, row
 * and column where that began. Gradients of parameters and leaves add up over several
 * passes on one tape; those of other nodes are of the last pass. */
BNNDEF void bnn_backward(bnn_var *root);
BNNDEF void bnn_backward_from(bnn_var *root, bnn_mat seed); /* a vector-Jacobian product */
BNNDEF float bnn_value(const bnn_var *v);                   /* of a 1x1 node; NaN otherwise      */

/* Your own operation: make the node, fill y->val, write a backward that adds to the grad of each
 * input (of several, only where grad.data is not NULL: who is alone is wanted):
 *     static void cube_backward(bnn_var *y) {
 *         bnn_var *x = y->in[0];
 *         for (size_t i = 0; i < x->val.rows * x->val.cols; i++)
 *             x->grad.data[i] += 3 * x->val.data[i] * x->val.data[i] * y->grad.data[i];
 *     }
 *     bnn_var *cube(bnn_var *x) {
 *         bnn_var *y = bnn_op(x->tape, x->val.rows, x->val.cols, cube_backward, 1, &x);
 *         for (size_t i = 0; i < y->val.rows * y->val.cols; i++)
 *             y->val.data[i] = x->val.data[i] * x->val.data[i] * x->val.data[i];
 *         return y;
 *     }
 */
BNNDEF bnn_var *bnn_op(bnn_tape *t, size_t rows, size_t cols, void (*backward)(bnn_var *self),
                       size_t n_in, bnn_var *const *in);

/* ---- ops -------------------------------------------------------------------------------------
 * Spec of shapes: (n,d) rows by columns. A NaN makes what depends on it NaN: a row of a softmax, a
 * loss. Logits that are all -inf are an error, but for bnn_logsumexp, which is -inf there. */
BNNDEF bnn_var *bnn_matmul(bnn_var *a, bnn_var *b);              /* (n,d)(d,k) -> (n,k) */
BNNDEF bnn_var *bnn_affine(bnn_var *x, bnn_var *w, bnn_var *b);  /* (n,d)(d,k) + (1,k) -> (n,k);
                                                                    b may be NULL */
/* Elementwise with broadcasting: b is (n,k), (1,k), (n,1) or (1,1), or a is. */
BNNDEF bnn_var *bnn_add(bnn_var *a, bnn_var *b);
BNNDEF bnn_var *bnn_sub(bnn_var *a, bnn_var *b);
BNNDEF bnn_var *bnn_mul(bnn_var *a, bnn_var *b);
BNNDEF bnn_var *bnn_div(bnn_var *a, bnn_var *b);
BNNDEF bnn_var *bnn_scale(bnn_var *x, float c); /* c x   */
BNNDEF bnn_var *bnn_shift(bnn_var *x, float c); /* x + c */
/* Elementwise. At a kink: relu and its kin take the derivative from the left; abs and sqrt 0. */
BNNDEF bnn_var *bnn_neg(bnn_var *x);
BNNDEF bnn_var *bnn_square(bnn_var *x);
BNNDEF bnn_var *bnn_exp(bnn_var *x);
BNNDEF bnn_var *bnn_log(bnn_var *x);
BNNDEF bnn_var *bnn_sqrt(bnn_var *x);       /* derivative 0 at 0                    */
BNNDEF bnn_var *bnn_abs(bnn_var *x);
BNNDEF bnn_var *bnn_sin(bnn_var *x);
BNNDEF bnn_var *bnn_cos(bnn_var *x);
BNNDEF bnn_var *bnn_tanh(bnn_var *x);
BNNDEF bnn_var *bnn_sigmoid(bnn_var *x);
BNNDEF bnn_var *bnn_softplus(bnn_var *x);   /* ln(1 + e^x)                          */
BNNDEF bnn_var *bnn_relu(bnn_var *x);
BNNDEF bnn_var *bnn_leaky_relu(bnn_var *x); /* slope 0.01                           */
BNNDEF bnn_var *bnn_elu(bnn_var *x);        /* x > 0 ? x : e^x - 1                  */
BNNDEF bnn_var *bnn_silu(bnn_var *x);       /* x sigmoid(x)                         */
BNNDEF bnn_var *bnn_gelu(bnn_var *x);       /* x Phi(x), the exact form             */
BNNDEF bnn_var *bnn_clamp(bnn_var *x, float lo, float hi); /* gradient 0 outside     */
/* Reductions, in double, in order */
BNNDEF bnn_var *bnn_sum(bnn_var *x);    /* -> (1,1) */
BNNDEF bnn_var *bnn_mean(bnn_var *x);   /* -> (1,1); of nothing: 0 */
BNNDEF bnn_var *bnn_rowsum(bnn_var *x); /* (n,k) -> (n,1) */
BNNDEF bnn_var *bnn_colsum(bnn_var *x); /* (n,k) -> (1,k) */
/* Shapes */
BNNDEF bnn_var *bnn_cols(bnn_var *x, size_t first, size_t count);     /* columns              */
BNNDEF bnn_var *bnn_rows(bnn_var *x, size_t first, size_t count);     /* rows                 */
BNNDEF bnn_var *bnn_gather(bnn_var *x, size_t n, const size_t *rows); /* rows by index        */
BNNDEF bnn_var *bnn_concat(bnn_tape *t, size_t n, bnn_var *const *x); /* side by side         */
BNNDEF bnn_var *bnn_transpose(bnn_var *x);
BNNDEF bnn_var *bnn_reshape(bnn_var *x, size_t rows, size_t cols);
/* Rows as distributions */
BNNDEF bnn_var *bnn_softmax(bnn_var *x);     /* per row */
BNNDEF bnn_var *bnn_log_softmax(bnn_var *x); /* per row */
BNNDEF bnn_var *bnn_logsumexp(bnn_var *x);   /* (n,k) -> (n,1) */
/* sum_k z_k c_k, z (n,k) or (1,k), k candidates of equal shape */
BNNDEF bnn_var *bnn_mix(bnn_var *z, bnn_var *const *c, size_t k);
/* Randomness from the tape's rng; constants */
BNNDEF bnn_var *bnn_dropout(bnn_var *x, float p); /* x m/(1-p), m ~ Bern(1-p), 0 <= p < 1 */
BNNDEF bnn_var *bnn_normal(bnn_var *mu, bnn_var *sd);      /* mu + sd eps, one eps per entry */
BNNDEF bnn_var *bnn_detach(bnn_var *x);                    /* the value without its past */
/* the value of one, the gradient of the other (Bengio et al. 2013) */
BNNDEF bnn_var *bnn_straight_through(bnn_var *value, bnn_var *gradient);
/* Images are rows: one image of h x w pixels by c channels, channels last, in a row; a reshape to
 * (n h w, c) is a matrix of pixels. No batch norm: a net whose answer depends on its neighbors in
 * the batch has no p(y|x). */
typedef struct bnn_image {
    size_t h, w, c;
} bnn_image;
typedef struct bnn_window { /* what slides over an image */
    size_t kernel;   /* rows of it, in pixels; of a pool 0 = the whole image                   */
    size_t kernel_w; /* columns, default as many                                               */
    size_t stride;   /* default 1; of a pool its own size, so that windows do not overlap      */
    size_t pad;      /* zeros on every side, fewer than the kernel has rows and columns        */
    int same;        /* 1: zeros (the odd one behind) so that the result has h/stride x
                        w/stride pixels, rounded up                                            */
} bnn_window;
/* The image that comes out, 0x0x0 where the window does not fit: rows (h + 2 pad - kernel)/stride
 * + 1, rounded down; transposed (h - 1) stride + kernel - 2 pad, or h stride if `same` */
BNNDEF bnn_image bnn_image_conv(bnn_image image, size_t channels, bnn_window window);
BNNDEF bnn_image bnn_image_conv_transpose(bnn_image image, size_t channels, bnn_window window);
BNNDEF bnn_image bnn_image_pool(bnn_image image, bnn_window window);
/* w (kernel kernel_w c, k), its rows in the order of the image; b (1,k) or NULL. The adjoint, for
 * decoders: w (c, kernel kernel_w k), <conv(x; w), y> = <x, conv_transpose(y; w^T)> */
BNNDEF bnn_var *bnn_conv2d(bnn_var *x, bnn_var *w, bnn_var *b, bnn_image image, bnn_window window);
BNNDEF bnn_var *bnn_conv2d_transpose(bnn_var *x, bnn_var *w, bnn_var *b, bnn_image image,
                                     bnn_window window);
/* Over the pixels of the window that the image has. A NaN is the largest; the first of equals gets
 * the gradient. */
BNNDEF bnn_var *bnn_max_pool2d(bnn_var *x, bnn_image image, bnn_window window);
BNNDEF bnn_var *bnn_avg_pool2d(bnn_var *x, bnn_image image, bnn_window window);
BNNDEF bnn_var *bnn_upsample2d(bnn_var *x, bnn_image image, size_t factor); /* nearest pixel */
/* (x - mean)/sqrt(variance + 1e-5) gain + shift over each row, or over each of `groups` equal parts
 * of its channels; gain and shift (1,d), (1,c), both or neither */
BNNDEF bnn_var *bnn_layer_norm(bnn_var *x, bnn_var *gain, bnn_var *shift);
BNNDEF bnn_var *bnn_group_norm(bnn_var *x, bnn_var *gain, bnn_var *shift, bnn_image image,
                               size_t groups);
/* One step of a recurrent net of k units. b may be NULL; mask (n,1), a constant of 0 and 1: where
 * it is 0 a sequence has ended and its state stays; NULL = all go on.
 * GRU, h (n,k), w (d,3k), u (k,3k), b (1,4k): r, z = sigmoid(x w + h u + b),
 *      m = tanh(x w + b + r (h u + b')), h' = (1 - z) m + z h; b holds r, z, m, b'
 * LSTM, h and c side by side: state (n,2k), w (d,4k), u (k,4k), b (1,4k), all in the order i f g o:
 *      c' = f c + i g, h' = o tanh(c'); g = tanh, the others sigmoid, of x w + h u + b */
BNNDEF bnn_var *bnn_gru(bnn_var *x, bnn_var *h, bnn_var *w, bnn_var *u, bnn_var *b, bnn_var *mask);
BNNDEF bnn_var *bnn_lstm(bnn_var *x, bnn_var *state, bnn_var *w, bnn_var *u, bnn_var *b,
                         bnn_var *mask);
/* Negative log likelihoods in nats with every normalizer, one number per row: (n,k) -> (n,1);
 * bnn_mean of it is the loss. y is a constant: no gradient goes there. A row beyond all floats is
 * an error that names it (a log rate above 88, say); 0 ln 0 is 0. */
/* log_var (n,k), (1,k) or (1,1), clamped to [-87,87], where both variance and precision are floats,
 * with gradient 0 outside */
BNNDEF bnn_var *bnn_gaussian_nll(bnn_var *mean, bnn_var *y, bnn_var *log_var);
BNNDEF bnn_var *bnn_double_exponential_nll(bnn_var *mean, bnn_var *y, float b);
                                                                   /* |y-m|/b + ln 2b */
BNNDEF bnn_var *bnn_student_nll(bnn_var *mean, bnn_var *y, float nu, float scale);
BNNDEF bnn_var *bnn_bernoulli_nll(bnn_var *logit, bnn_var *y);             /* y in [0,1] */
BNNDEF bnn_var *bnn_categorical_nll(bnn_var *logit, bnn_var *label);       /* label (n,1): 0..k-1 */
/* target (n,k): -sum_k t_k ln softmax(z/T)_k; Hinton's factor T^2 is yours */
BNNDEF bnn_var *bnn_cross_entropy(bnn_var *logit, bnn_var *target, float temperature);
BNNDEF bnn_var *bnn_poisson_nll(bnn_var *log_rate, bnn_var *y);
/* KL(q||p) in nats, one number per row */
BNNDEF bnn_var *bnn_kl_standard_normal(bnn_var *mu, bnn_var *sd);                   /* to N(0,1) */
BNNDEF bnn_var *bnn_kl_normal(bnn_var *mu, bnn_var *sd, float m0, float sd0);
BNNDEF bnn_var *bnn_kl_categorical(bnn_var *logit, const float *p0);       /* p0 NULL = uniform */
BNNDEF bnn_var *bnn_kl_bernoulli(bnn_var *logit, float p0);
BNNDEF bnn_var *bnn_kl_dirichlet(bnn_var *alpha, const float *prior);      /* prior NULL = ones */

/* Checking and curvature. f builds the loss on the tape; random draws are frozen. */
typedef bnn_var *(*bnn_loss_fn)(bnn_tape *t, void *user);
/* Largest |a-b|/(1e-3+|a|+|b|) between the gradient and central differences; kinks are skipped */
BNNDEF double bnn_grad_check(bnn_tape *t, bnn_params *w, bnn_loss_fn f, void *user);
/* out = H v by one central difference of the gradient: in float 3 to 5 digits of what is of the
 * size of the gradient, in the double build 10; there is no error but rounding where the loss is
 * quadratic. out may be v. */
BNNDEF void bnn_hessian_vector(float *out, bnn_tape *t, bnn_params *w, bnn_loss_fn f, void *user,
                               const float *v);
/* out = diagonal of H. probes 0: by n products, for small nets; otherwise the mean of v o H v over
 * that many random signs v (Hutchinson), unbiased */
BNNDEF void bnn_hessian_diagonal(float *out, bnn_tape *t, bnn_params *w, bnn_loss_fn f, void *user,
                                 size_t probes);
/* out = sum over the examples of the squares of their own gradients, without a loop (Goodfellow
 * 2015), after bnn_backward of a mean over rows: for blocks that one bnn_affine used once */
BNNDEF void bnn_grad_squares(float *out, bnn_tape *t, const bnn_params *w);

/* ---- distributions on the simplex and the cube ----------------------------------------------
 * Rows are distributions over k >= 2 things; draws come from the tape's rng and carry gradients.
 * Near a vertex x underflows and ln x does not, so samplers come in pairs and densities take ln x.
 * Densities are over k-1 coordinates of the simplex, in nats, one number per row. KL(q||p) without
 * a closed form: bnn_mean(bnn_sub(ln q, ln p)) at draws of q, unbiased. tau >= 1e-3; in float a tau
 * below 0.1 gives draws that are one-hot and gradients that are zero or huge.
 * Maddison et al. 2017, Jang et al. 2017, Figurnov et al. 2018. */
/* Gumbel-softmax (Concrete): softmax((logits + G)/tau); P(k is the largest) = softmax(logits)_k */
BNNDEF bnn_var *bnn_gumbel_softmax(bnn_var *logits, float tau);
BNNDEF bnn_var *bnn_log_gumbel_softmax(bnn_var *logits, float tau);
BNNDEF bnn_var *bnn_concrete_log_prob(bnn_var *log_x, bnn_var *logits, float tau);
/* loc + G, G ~ Gumbel. A temperature to learn: bnn_log_softmax(bnn_div(bnn_gumbel(logits), tau)) */
BNNDEF bnn_var *bnn_gumbel(bnn_var *loc);
/* 1 at the largest entry of every row (the first of equals), else 0: a constant; NaN where the row
 * has one; a row of -inf is an error. A hard draw with a soft gradient: y a Gumbel-softmax,
 * bnn_straight_through(bnn_one_hot(y), y) */
BNNDEF bnn_var *bnn_one_hot(bnn_var *x);
BNNDEF bnn_var *bnn_categorical(bnn_var *logits); /* one-hot, P(k) = softmax_k; a constant */
/* The mean of f (n,1), with the gradient of E_q f for draws that carry none: mean[(f - b) grad
 * ln q] beside f's own. log_q (n,1) of the draws. baseline (n,1) or (1,1), a constant that must not
 * depend on its row's draw; NULL = the mean of the other rows' f (0 for one row). Williams 1992 */
BNNDEF bnn_var *bnn_score_function(bnn_var *f, bnn_var *log_q, bnn_var *baseline);
/* Relaxed Bernoulli per entry, on the logit scale: l = (logits + logistic noise)/tau, x is
 * sigmoid(l), P(x > 1/2) = sigmoid(logits). The density is that of x, summed over the row */
BNNDEF bnn_var *bnn_relaxed_bernoulli(bnn_var *logits, float tau);
BNNDEF bnn_var *bnn_relaxed_bernoulli_log_prob(bnn_var *l, bnn_var *logits, float tau);
/* Gamma(alpha, 1) per entry, alpha from 1e-3 to 1e6, and what is made of it, with implicit
 * gradients (bnn_gamma_dlog, relative error 1e-5 or better in float) */
BNNDEF bnn_var *bnn_gamma(bnn_var *alpha);
BNNDEF bnn_var *bnn_log_gamma(bnn_var *alpha);
BNNDEF bnn_var *bnn_dirichlet(bnn_var *alpha);
BNNDEF bnn_var *bnn_log_dirichlet(bnn_var *alpha);
BNNDEF bnn_var *bnn_dirichlet_log_prob(bnn_var *log_x, bnn_var *alpha); /* alpha (n,k) or (1,k) */
BNNDEF bnn_var *bnn_dirichlet_entropy(bnn_var *alpha);                  /* KL: bnn_kl_dirichlet */
/* Beta(a, b) per entry; logit_beta is ln x - ln(1-x). Density and entropy are sums over the row */
BNNDEF bnn_var *bnn_beta(bnn_var *a, bnn_var *b);
BNNDEF bnn_var *bnn_logit_beta(bnn_var *a, bnn_var *b);
BNNDEF bnn_var *bnn_beta_log_prob(bnn_var *logit_x, bnn_var *a, bnn_var *b);
BNNDEF bnn_var *bnn_beta_entropy(bnn_var *a, bnn_var *b);
BNNDEF bnn_var *bnn_kl_beta(bnn_var *a, bnn_var *b, float a0, float b0);
/* Logit-normal: softmax(N(mu, C)), mu (n,k) or for the density (1,k). scale (1,k): C =
 * diag(scale^2); (k,k): C = scale scale^T, any square root of C. Aitchison and Shen 1980 */
BNNDEF bnn_var *bnn_logit_normal(bnn_var *mu, bnn_var *scale);
BNNDEF bnn_var *bnn_log_logit_normal(bnn_var *mu, bnn_var *scale);
BNNDEF bnn_var *bnn_logit_normal_log_prob(bnn_var *log_x, bnn_var *mu, bnn_var *scale);

/* Any distribution on the line with a CDF F(w; theta), made differentiable: dw/dtheta =
 * -(dF/dtheta)/(dF/dw). theta: n nodes, broadcast to the shape of the first; one draw per entry. */
typedef struct bnn_implicit_desc {
    double (*cdf)(void *user, double w, const double *theta); /* increasing in w, from 0 to 1     */
    /* writes dF/dtheta, returns the density; NULL = both by central differences of cdf           */
    double (*slopes)(void *user, double w, const double *theta, double *dtheta);
    double (*draw)(void *user, bnn_rng *rng, const double *theta); /* NULL = by bisection of cdf  */
    void *user;
} bnn_implicit_desc;
BNNDEF bnn_var *bnn_implicit(bnn_var *const *theta, size_t n, bnn_implicit_desc desc);

/* ---- parameters ------------------------------------------------------------------------------
 * A flat vector with named shapes. Each block of it has a prior. */
enum { BNN_PRIOR_NORMAL = 1, BNN_PRIOR_DOUBLE_EXPONENTIAL, BNN_PRIOR_MIXTURE, BNN_PRIOR_STUDENT,
       BNN_PRIOR_FLAT };

typedef struct bnn_prior {
    int kind;     /* default BNN_PRIOR_NORMAL                                                  */
    float mean;   /* default 0                                                                 */
    float std;    /* default 1. Normal: sd; double exponential, Student-t: scale; mixture: the
                     larger sd                                                                 */
    float std2;   /* mixture: smaller sd, default std e^-6                                     */
    float weight; /* mixture: probability of the larger, default 1/2, BNN_ZERO = 0             */
    float nu;     /* Student-t: degrees of freedom, default 1 (Cauchy); draws that no float holds
                     become the largest float                                                  */
    int fan_in;   /* 1: std (not a given std2) is divided by sqrt(fan in) of the block         */
    int adapt_mean, adapt_std; /* bnn_params_update_priors moves them to their optimum         */
    float shape, rate;         /* > 0: std^2 ~ InvGamma(shape, rate), used by that update      */
} bnn_prior;

typedef struct bnn_block {
    size_t offset, rows, cols;
    char name[16];
    bnn_prior prior; /* resolved: std is the one in force */
    int fresh;       /* private: 1: its gradient was consumed, the next overwrites; 2: none yet */
    int reached;     /* private: a gradient arrived, ever */
    float rest;      /* private: where its values stay that are held */
} bnn_block;

struct bnn_params {
    float *theta, *grad; /* n values each; grad is NULL in a sample of an ensemble */
    size_t n;
    bnn_block *blocks;
    size_t n_blocks;
    bnn_arena *mem;
    size_t room, block_room; /* private: capacities */
    int noted;               /* private: which notes were given */
    unsigned char draw;      /* private: 1: theta is a draw of a mean field, 2: its gradient waits
                                for bnn_meanfield_backward */
    bnn_params *draws_of;    /* private: of a mean field's own parameters: the weights they draw */
    unsigned char *held;     /* private: 1: this value does not move */
};

BNNDEF bnn_params *bnn_params_new(bnn_arena *mem);       /* NULL = out of memory (mem->err) */
/* Adds rows x cols zeros at the end and returns the block's index, or (size_t)-1 (mem->err).
 * Add all blocks before making steppers and ensembles. name: 15 characters are kept. */
BNNDEF size_t bnn_params_add(bnn_params *w, size_t rows, size_t cols, const char *name,
                             bnn_prior prior);
BNNDEF bnn_mat bnn_params_mat(const bnn_params *w, size_t block);      /* a view of one block */
BNNDEF bnn_mat bnn_params_grad(const bnn_params *w, size_t block);
BNNDEF void bnn_params_zero_grad(bnn_params *w);
BNNDEF void bnn_params_copy(bnn_params *to, const bnn_params *from);   /* values; equal n */
BNNDEF double bnn_params_log_prior(const bnn_params *w);               /* ln p(theta), nats; a flat
                                                                          block counts 0 */
BNNDEF bnn_var *bnn_prior_nll(bnn_tape *t, bnn_params *w);             /* -ln p(theta) as a node */
/* Adaptive and hierarchical priors, closed form, treating theta as known: mean and std to their
 * optimum (Graves 2011), or std^2 to the mode of its inverse gamma conditional; with an rng: a
 * Gibbs draw from that conditional. A floor of 1e-6 on std keeps a collapsing prior proper. */
BNNDEF void bnn_params_update_priors(bnn_params *w, bnn_rng *rng);
BNNDEF void bnn_params_sample_prior(bnn_params *w, bnn_rng *rng);      /* theta ~ prior */

/* ---- nets ------------------------------------------------------------------------------------
 * A model is parameters plus a forward function. bnn_mlp makes one; your own is a struct with
 * your function in `forward`. */
enum { BNN_RELU = 1, BNN_TANH, BNN_SIGMOID, BNN_LEAKY_RELU, BNN_ELU, BNN_SILU, BNN_GELU,
       BNN_SOFTPLUS, BNN_SIN, BNN_IDENTITY };
enum { BNN_GAUSSIAN = 1,     /* k outputs: mean; noise_std given, or learned (noise_learned)      */
       BNN_GAUSSIAN_HETERO,  /* 2k outputs: mean, ln variance                                     */
       BNN_DOUBLE_EXPONENTIAL, BNN_STUDENT, /* k outputs: location; scale noise_std               */
       BNN_BERNOULLI,        /* k logits, y in [0,1]                                              */
       BNN_CATEGORICAL,      /* k logits; y (n,1) labels, or (n,k) soft labels                    */
       BNN_POISSON };        /* k log rates                                                       */
enum { BNN_INIT_AUTO = 1, BNN_INIT_HE, BNN_INIT_GLOROT, BNN_INIT_UNIFORM, BNN_INIT_PRIOR,
       BNN_INIT_ZERO };
enum { BNN_MAX_LAYERS = 16 };

typedef struct bnn_scaling { /* x' = (x - x_mean)/x_std, y' likewise; NULL = none */
    bnn_mat x_mean, x_std, y_mean, y_std; /* (1,d), (1,k) */
} bnn_scaling;

typedef struct bnn_net bnn_net;
struct bnn_net {
    bnn_params *params;
    bnn_var *(*forward)(bnn_tape *t, const bnn_net *net, bnn_var *x); /* standardized in and out */
    int likelihood;
    float noise_std; /* in units of y                                       */
    float nu;        /* Student-t                                           */
    size_t noise;    /* block of the learned ln noise variance, or no block */
    int noise_learned;
    bnn_scaling scaling;
    void *user;      /* yours                                               */
    struct bnn__mlp *mlp;
    bnn_arena *mem;  /* private: why a net was not made is said there       */
};

typedef struct bnn_mlp_desc {
    size_t sizes[BNN_MAX_LAYERS + 1]; /* inputs, hidden ..., outputs; ends at the first 0        */
    int activation;                   /* of all hidden layers, default BNN_RELU                  */
    int activations[BNN_MAX_LAYERS];  /* or of each; 0 = `activation`                            */
    int likelihood;                   /* default BNN_GAUSSIAN                                    */
    float noise_std;                  /* sd or scale of y around the net, in units of y: Gaussian,
                                         double exponential and Student need it                  */
    int noise_learned;                /* 1: Gaussian noise learned with the weights; noise_std is
                                         the start, default 1, in standardized units if those are
                                         used                                                    */
    bnn_prior noise_prior;            /* of the learned ln variance, in the same units; default
                                         N(0, 5^2)                                               */
    float nu;                         /* default 4                                               */
    bnn_prior prior;                  /* of all weights and biases, default N(0,1)               */
    bnn_prior *priors;                /* or of each layer (borrowed until bnn_mlp returns)       */
    int init;                         /* BNN_INIT_AUTO: N(0, c/fan_in), c = 2 for relu and kin,
                                         1 otherwise; biases 0                                   */
    float init_scale;                 /* multiplies the initial weights, default 1               */
    uint64_t seed;                    /* of the initial weights                                  */
    float dropout;                    /* of hidden units, while training                         */
    float dropout_input;              /* of inputs                                               */
    int no_bias;
} bnn_mlp_desc;

BNNDEF bnn_net bnn_mlp(bnn_params *w, bnn_mlp_desc desc); /* bad desc: w->mem->err and a dead net */
/* A really smaller copy of a bnn_mlp, made in `to`. keep[l][j] = 0 drops unit j of hidden layer l;
 * keep[l] NULL keeps the layer. keep NULL drops the units whose incoming or outgoing weights are
 * all 0, but for one in each layer: the same function. A dropped unit without incoming weights is
 * a constant and goes into the next bias; what any other sent on is lost. */
BNNDEF bnn_net bnn_mlp_shrink(bnn_params *to, const bnn_net *net,
                              const unsigned char *const *keep);
BNNDEF bnn_var *bnn_activation(bnn_var *x, int activation);
/* Mean and standard deviation of each column of the training data, stored with the net, undone at
 * prediction, saved with it. Targets only where they have a scale: Gaussian, double exponential,
 * Student. */
BNNDEF int bnn_net_standardize(bnn_net *net, bnn_data train);

typedef struct bnn_batch {
    bnn_var *x, *y;
    double n_data; /* rows of the data it came from, or tape.n_data if you set that; for a stream
                      say it here or there */
} bnn_batch;

/* NaN or infinity in a batch is an error that names row and column. A batch says N (tape.n_data),
 * unless you have. */
BNNDEF bnn_batch bnn_minibatch(bnn_tape *t, bnn_data d, size_t size); /* distinct rows, every set
                                                  of them equally likely; time and memory O(size) */
BNNDEF bnn_batch bnn_batch_rows(bnn_tape *t, bnn_data d, size_t n, const size_t *rows);
BNNDEF bnn_batch bnn_batch_all(bnn_tape *t, bnn_data d);              /* borrows, copies nothing */

BNNDEF bnn_var *bnn_net_forward(const bnn_net *net, bnn_var *x); /* raw x -> standardized output */
BNNDEF bnn_var *bnn_net_nll(const bnn_net *net, bnn_batch b);      /* mean over rows, units of y */
BNNDEF bnn_var *bnn_net_loss(const bnn_net *net, bnn_batch b);     /* nll - ln p(theta)/N = U/N */
/* Learned ln variances (noise_learned, hetero) end at -20 and 20, in standardized units or those of
 * y, with gradient 0 beyond; a loss that meets such an end says so in a note. */

/* ---- steppers --------------------------------------------------------------------------------
 * An optimizer is a sampler at temperature zero. All act on the gradient of L = U/N, so learning
 * rates have the size everybody knows. `lr` and the rest stay in the stepper: a schedule is one
 * assignment. bnn_step moves the parameters and consumes the gradient. All or nothing: a gradient
 * that is not finite, or a step that would overflow, moves nothing and is an error. So are a second
 * step without bnn_tape_reset and a step without bnn_backward (a gradient made by hand goes where
 * bnn_params_zero_grad was). In every desc 0 is the default and BNN_ZERO is 0. */
enum { BNN_SGD, BNN_ADAM, BNN_RMSPROP, BNN_ADAGRAD, BNN_ADADELTA, BNN_SGLD, BNN_PSGLD, BNN_SGHMC,
       BNN_HMC, BNN_NUTS, BNN_SGNHT };

struct bnn__job;
typedef struct bnn_stepper {
    int kind;
    bnn_params *params;
    float lr, momentum, dampening, weight_decay, clip;
    float beta1, beta2, eps;  /* decay of the means of g and of g^2 (alpha, rho)                 */
    float lr_decay;           /* Adagrad                                                         */
    float lambda;             /* pSGLD                                                           */
    float friction, noise_estimate; /* SGHMC; SGNHT has the first                                */
    float thermostat;         /* SGNHT: the friction in force                                    */
    float temperature;        /* samplers; 0 switches the noise off                              */
    int nesterov, amsgrad, centered, decoupled;
    size_t burn_in;           /* pSGLD: the preconditioner adapts until then                     */
    size_t n;                 /* parameters it was made for                                      */
    uint64_t t;               /* steps made                                                      */
    float *s1, *s2, *s3;      /* state vectors of n, NULL where the method has none              */
    struct bnn_hmc_state *hmc;
    /* private: a step, and its pass; here, so that a program compiles the methods it makes */
    void (*once)(struct bnn_stepper *s, bnn_tape *t);
    void (*plan)(const struct bnn_stepper *s, const bnn_tape *t, struct bnn__job *q);
    int calm;                 /* private: 1: all is far from overflow, -1: g is not              */
} bnn_stepper;

typedef struct bnn_sgd_desc {
    float lr;        /* default 0.1                                                               */
    float momentum, dampening;
    int nesterov;
    float weight_decay; /* adds wd theta to g; beside a Gaussian prior it counts twice */
    float clip;         /* largest norm of the gradient; 0 = none */
} bnn_sgd_desc;
typedef struct bnn_adam_desc {
    float lr, beta1, beta2, eps; /* defaults 1e-3, 0.9, 0.999, 1e-8 */
    float weight_decay;          /* with decoupled = 1: AdamW */
    int decoupled, amsgrad;
    float clip;
} bnn_adam_desc;
typedef struct bnn_rmsprop_desc {
    float lr, alpha, eps, momentum; /* defaults 1e-2, 0.99, 1e-8, 0 */
    int centered;
    float weight_decay, clip;
} bnn_rmsprop_desc;
typedef struct bnn_adagrad_desc {
    float lr, lr_decay, eps; /* defaults 1e-2, 0, 1e-10 */
    float weight_decay, clip;
} bnn_adagrad_desc;
typedef struct bnn_adadelta_desc {
    float lr, rho, eps; /* defaults 1, 0.95, 1e-6: Zeiler 2012. Elsewhere rho 0.9 and an lr */
    float weight_decay, clip;
} bnn_adadelta_desc;
typedef struct bnn_sgld_desc {
    float lr;          /* default 1e-2; eps of Welling and Teh 2011 is 2 lr/N */
    float temperature; /* default 1; BNN_ZERO: none */
} bnn_sgld_desc;
typedef struct bnn_psgld_desc {
    float lr, alpha, lambda; /* defaults 1e-3, 0.99, 1e-5 */
    float temperature;
    size_t burn_in; /* steps that adapt the preconditioner, default 1000; the law is right after
                       them, when it is frozen. (size_t)-1: never frozen (Li 2016), another law */
} bnn_psgld_desc;
typedef struct bnn_sghmc_desc {
    float lr, friction, noise_estimate; /* defaults 1e-2, 0.1, 0; SGLD's lr is lr/friction */
    float temperature;
} bnn_sghmc_desc;
typedef struct bnn_sgnht_desc {
    float lr, friction; /* defaults 1e-2, 0.1, as SGHMC's; a thermostat adds what friction the noise
                           of minibatches asks for, one number for all weights */
    float temperature;
} bnn_sgnht_desc;
typedef struct bnn_hmc_desc {
    const bnn_net *net;  /* with data: the whole posterior of the net; both are borrowed          */
    bnn_data data;
    bnn_loss_fn energy;  /* or any U(theta) in nats, as a 1x1 node: a float, so beyond 1e5 its
                            rounding is felt; a net's is summed in double. Dropout is off in both */
    void *user;
    float step;          /* leapfrog step, default 1e-3, or the start of the adaptation */
    size_t leapfrog;     /* steps per trajectory, default 20, at most 2^20 */
    float trajectory; /* > 0: length instead; leapfrog = ceil(trajectory/step), at most 10 x 2^10 */
    size_t warmup;       /* first draws, up to 2^30, adapt step (and mass) to `accept`; 0 = none */
    float accept;        /* default 0.8 */
    int adapt_mass;
    float temperature;
    float jitter;        /* each draw's step varies by 1 +- jitter, the number of steps by twice
                            that, default 0.2: a length near a period of the energy would return to
                            where it began. BNN_ZERO: none */
} bnn_hmc_desc;
/* No-U-turn sampler: HMC whose paths end where they would turn back. Nothing to choose but warmup.
 * Memory: 6 max_depth + 12 vectors of n, BNN_MASS_DENSE 3 matrices more. */
enum { BNN_MASS_DIAGONAL = 1, BNN_MASS_DENSE, BNN_MASS_UNIT };
typedef struct bnn_nuts_desc {
    const bnn_net *net;  /* with data, or an energy: as in HMC */
    bnn_data data;
    bnn_loss_fn energy;
    void *user;
    size_t warmup;       /* first draws, adapt step and mass in Stan's windows; 0 = none */
    int mass;            /* default BNN_MASS_DIAGONAL; dense: n^2 numbers, n^2 time per step */
    int max_depth;       /* at most 2^max_depth - 1 leapfrog steps per draw, default 10, up to 20 */
    float step;          /* default 0.1: where the adaptation starts, or the step without it */
    float accept;        /* default 0.8: the mean acceptance that the step is adapted to */
    float temperature;
} bnn_nuts_desc;
typedef struct bnn_hmc_state { /* read it; one transition of the chain is one bnn_step */
    bnn_hmc_desc desc;
    double step, energy, log_accept; /* in force; U after the last draw; ln acceptance */
    double hamiltonian;  /* U/T and kinetic energy of the last draw: bnn_diag_ebfmi wants them */
    double accept_sum;
    uint64_t draws, accepted, divergent; /* since the end of warm-up */
    uint64_t saturated;  /* NUTS: the same, draws that reached max_depth */
    int depth, diverged; /* NUTS: of the last draw, in warm-up, too */
    size_t leapfrogs;    /* NUTS: steps of the last draw; with one at its start, its gradients */
    int mass, max_depth; /* NUTS */
    double adapt_hbar, adapt_mu, adapt_logavg; /* private: dual averaging */
    double *mean, *m2;                         /* private: Welford, for the mass */
    float *momentum, *mass_inv, *saved;
    uint64_t mass_count;
    bnn_mat cov, root;       /* private: dense M^-1, and its Cholesky factor */
    struct bnn__tree *trees; /* private: NUTS; of them, the first has the whole path */
    float *ends[2];          /* private: theta, momentum, gradient at the ends of the path */
    int tempered;            /* private: U is that of the prior and power times the data's */
    double power, data_energy;
} bnn_hmc_state;

BNNDEF bnn_stepper bnn_sgd(bnn_params *w, bnn_sgd_desc desc);
BNNDEF bnn_stepper bnn_adam(bnn_params *w, bnn_adam_desc desc);
BNNDEF bnn_stepper bnn_rmsprop(bnn_params *w, bnn_rmsprop_desc desc);
BNNDEF bnn_stepper bnn_adagrad(bnn_params *w, bnn_adagrad_desc desc);
BNNDEF bnn_stepper bnn_adadelta(bnn_params *w, bnn_adadelta_desc desc);
BNNDEF bnn_stepper bnn_sgld(bnn_params *w, bnn_sgld_desc desc);
BNNDEF bnn_stepper bnn_psgld(bnn_params *w, bnn_psgld_desc desc);
BNNDEF bnn_stepper bnn_sghmc(bnn_params *w, bnn_sghmc_desc desc);
BNNDEF bnn_stepper bnn_sgnht(bnn_params *w, bnn_sgnht_desc desc);
BNNDEF bnn_stepper bnn_hmc(bnn_params *w, bnn_hmc_desc desc);
BNNDEF bnn_stepper bnn_nuts(bnn_params *w, bnn_nuts_desc desc); /* its state is .hmc, too */
BNNDEF void bnn_step(bnn_stepper *s, bnn_tape *t);
/* Learning rates as plain functions of the step k = 0, 1, ..., total-1: stepper.lr = bnn_lr_... */
BNNDEF double bnn_lr_cosine(double lr0, size_t k, size_t total);
/* From lr0 to lr_end as (b + k)^-gamma, gamma -1 a straight line. No such curve falls to 0: with
 * lr_end 0 it is lr0 (1 + k)^-gamma */
BNNDEF double bnn_lr_polynomial(double lr0, double lr_end, double gamma, size_t k, size_t total);
/* Cyclical SG-MCMC (Zhang et al. 2020: explore 0.8): M cosine cycles; *sampling (if given) is 0
 * during the first `explore` of a cycle, where the temperature should be 0, and 1 after */
BNNDEF double bnn_lr_cyclical(double lr0, size_t cycles, double explore, size_t k, size_t total,
                              int *sampling);

/* ---- ensembles and prediction ----------------------------------------------------------------
 * K x n weight samples: from a sampler, from several trainings, from dropout masks. */
typedef struct bnn_ensemble {
    bnn_params *params;
    bnn_mat samples; /* (capacity, n)                                      */
    double *weights; /* of each, all 1 unless pushed with another          */
    size_t count;    /* samples held                                       */
    size_t seen;     /* samples offered                                    */
} bnn_ensemble;

BNNDEF bnn_ensemble bnn_ensemble_new(bnn_params *w, size_t capacity);
BNNDEF int bnn_ensemble_push(bnn_ensemble *e); /* theta; full: BNN_EARG and a note, no more */
BNNDEF int bnn_ensemble_push_from(bnn_ensemble *e, const bnn_params *w, double weight); /* >= 0 */
BNNDEF int bnn_ensemble_reservoir(bnn_ensemble *e, bnn_rng *rng); /* a uniform sample of all */
/* the present weights under one dropout mask */
BNNDEF int bnn_ensemble_push_dropout(bnn_ensemble *e, const bnn_net *mlp, bnn_rng *rng);
BNNDEF bnn_params bnn_ensemble_sample(const bnn_ensemble *e, size_t k); /* zero-copy, no gradient */

typedef struct bnn_predictive { /* (n,k), units of y. Classes: mean = probabilities           */
    bnn_mat mean;
    bnn_mat aleatoric;   /* variance of the noise, averaged over the samples; Student: nu > 2 */
    bnn_mat epistemic;   /* variance of the mean over the samples; their sum is the total    */
    bnn_mat entropy;     /* (n,1) classes: of the mean; nats                                 */
    bnn_mat expected_entropy; /* (n,1) mean of the samples' entropies (aleatoric)            */
    bnn_mat mutual_information; /* (n,1) difference, >= 0 (epistemic, BALD)                  */
} bnn_predictive;

/* post NULL = the net's present weights. Works in blocks of rows: memory beside the result does not
 * grow with n. After an error the matrices are empty, data NULL: check tape.err before you read.
 * Rows of x (or y) with NaN or inf are NaN in every answer, which a note says. A sample that
 * answers NaN, logits of -inf alone or a mean beyond floats is an error. A member counts by its
 * share of the weights, whatever their size; all 0 is an error. */
BNNDEF bnn_predictive bnn_predict(bnn_arena *mem, bnn_tape *t, const bnn_net *net,
                                  const bnn_ensemble *post, bnn_mat x);
/* ln p(y|x) of the mixture over the samples, one per row, (n,1), in units of y */
BNNDEF bnn_mat bnn_predict_log_lik(bnn_arena *mem, bnn_tape *t, const bnn_net *net,
                                   const bnn_ensemble *post, bnn_data d);
/* quantile q in (0,1) of the mixture, (n,k): of numbers under any noise, and of counts, where it is
 * the smallest k with P(y <= k) >= q. Classes have none. */
BNNDEF bnn_mat bnn_predict_quantile(bnn_arena *mem, bnn_tape *t, const bnn_net *net,
                                    const bnn_ensemble *post, bnn_mat x, float q);
/* outputs of every sample: (count*n, outputs), sample by sample; logits stay logits */
BNNDEF bnn_mat bnn_predict_samples(bnn_arena *mem, bnn_tape *t, const bnn_net *net,
                                   const bnn_ensemble *post, bnn_mat x);
/* Draws of y from the predictive: (draws, n k), each row a made-up set of targets, all of it by one
 * member: the members in their order, each as often as its weight says. Entry i k + j is column j
 * of row i of x; classes are labels, k = 1. Random numbers from the tape. From them: quantiles and
 * intervals by bnn_mat_col_quantile, also of classes; CRPS by bnn_metric_sample_crps of a column;
 * checks by bnn_predict_check. Prior: post filled by bnn_params_sample_prior and
 * bnn_ensemble_push. */
BNNDEF bnn_mat bnn_predict_draws(bnn_arena *mem, bnn_tape *t, const bnn_net *net,
                                 const bnn_ensemble *post, bnn_mat x, size_t draws);
/* ln p(y_i|x_i, theta_s): (count, n), what bnn_diag_waic and bnn_diag_loo ask for. Where the
 * members are chain after chain, bnn_mat_row_mean of it, seen as (chains, draws), is a scalar whose
 * R-hat says something. Weights of members count in neither this nor the next. */
BNNDEF bnn_mat bnn_predict_log_lik_samples(bnn_arena *mem, bnn_tape *t, const bnn_net *net,
                                           const bnn_ensemble *post, bnn_data d);
/* Each member's mean of y at the rows of x: (n k chains, count/chains), post chain after chain. Of
 * column j of row i: bnn_mat_rows(m, (i k + j) chains, chains), as bnn_diag_rhat wants it. */
BNNDEF bnn_mat bnn_predict_chains(bnn_arena *mem, bnn_tape *t, const bnn_net *net,
                                  const bnn_ensemble *post, bnn_mat x, size_t chains);

/* SWAG (Maddox et al. 2019): a Gaussian from the path of an optimizer with a constant rate, behind
 * its burn-in. Mean and variance of the collected theta, and their last `rank` deviations from the
 * running mean: theta ~ N(mean, (diag + D D^T/(rank - 1))/2), or N(mean, diag). One collect per
 * epoch or so; then bnn_swag_push draws. */
typedef struct bnn_swag_desc {
    size_t rank;  /* default 20, at least 2 */
    int diagonal; /* 1: without D           */
} bnn_swag_desc;
typedef struct bnn_swag {
    bnn_params *params;
    bnn_swag_desc desc;
    double *mean, *m2; /* of the collected theta; sum of squares around the mean */
    float *draw;
    bnn_mat recent;    /* (rank, n): D, the oldest row is replaced               */
    size_t count;      /* collected                                              */
} bnn_swag;
BNNDEF bnn_swag bnn_swag_new(bnn_params *w, bnn_swag_desc desc);
BNNDEF int bnn_swag_collect(bnn_swag *s);         /* the present weights */
BNNDEF void bnn_swag_mean(const bnn_swag *s);     /* w->theta = mean     */
BNNDEF int bnn_swag_push(const bnn_swag *s, bnn_ensemble *e, bnn_rng *rng); /* after two or more */

/* ---- mean field: a Gaussian over every weight --------------------------------------------------
 * q(w) = prod N(mu, sigma^2), fitted by the free energy F = E_q[-ln p(D|w)] + KL(q||prior) (Hinton
 * and van Camp 1993; Graves 2011; Blundell et al. 2015). The priors are those of w's blocks: normal
 * and Laplace in closed form, mixture and Student-t by the draw, flat adds nothing. One step:
 *     bnn_meanfield_sample(&q, &tape);              w->theta = mu + sigma eps
 *     bnn_backward(bnn_net_nll(&net, batch));       nll, not loss: the KL is the prior's part
 *     bnn_meanfield_backward(&q, &tape);            adds grad F/N to q.params->grad
 *     bnn_step(&adam, &tape);                       a stepper of q.params
 * The first three may repeat q.draws times before the step: F/N is then averaged over the draws.
 * q.params holds n values mu in the blocks of w, then n values rho in blocks of the same names.
 * sigma = softplus(rho), 2e-9 to 1e4, or e^(log_rate rho), e^-30 to e^9.2. At a bound the gradient
 * that points outward is 0; at the floor the draw is mu, and a weight with mu = 0 there is removed:
 * it stays 0, whatever the stepper. Between a draw and bnn_meanfield_mean a stepper of w, and
 * bnn_net_loss and bnn_prior_nll, which would count the prior twice, are refused. */
/* FIXED: sigma stays; DELTA: w = mu */
enum { BNN_POSTERIOR_GAUSSIAN = 1, BNN_POSTERIOR_FIXED, BNN_POSTERIOR_DELTA };
enum { BNN_SCALE_SOFTPLUS = 1, BNN_SCALE_LOG };
/* dF/dsigma by the draw, E[eps g], unbiased; or sigma times a curvature: the Hessian's diagonal,
 * exact (Price; call bnn_meanfield_curvature); the mean square of the examples' gradients (Graves;
 * bnn_affine nets; equals Price in expectation where the model is right); the square of the
 * minibatch's mean gradient, which is biased: too small by about the batch size */
enum { BNN_ESTIMATE_PATH = 1, BNN_ESTIMATE_PRICE, BNN_ESTIMATE_SQUARES,
       BNN_ESTIMATE_BATCH_BIASED };
/* normal priors whose variance follows q in closed form: one per row of a block (an input's
 * outgoing weights), or one per weight */
enum { BNN_ARD_NONE, BNN_ARD_INPUT, BNN_ARD_WEIGHT };

typedef struct bnn_meanfield_desc {
    int posterior, scale, estimator; /* the first of each enum is the default                    */
    int ard;
    int share;       /* 1: adaptive priors of neighboring blocks of one kind are one prior       */
    float init_std;  /* sigma at the start, default 0.02; mu starts at w->theta                  */
    float log_rate;  /* of BNN_SCALE_LOG, default 1                                              */
    float kl_weight; /* default 1, BNN_ZERO: none                                                */
    size_t draws;    /* per step, default 1, at most 2^20                                        */
} bnn_meanfield_desc;

typedef struct bnn_meanfield {
    bnn_params *of, *params; /* w, which holds the draw, and mu and rho                          */
    int posterior, scale, estimator, ard, share;
    float log_rate, kl_weight; /* assign kl_weight per step: warm-up, tempering                  */
    size_t draws;
    size_t n;                  /* weights it was made for                                        */
    float *sigma, *eps;        /* of the last draw                                               */
    float *curvature;          /* of F/N along the weights, for estimators that need it          */
    int drawn, curved, low;    /* private; low: a sigma of the draw is at its floor              */
    unsigned char *held;
} bnn_meanfield;

BNNDEF bnn_meanfield bnn_meanfield_new(bnn_params *w, bnn_meanfield_desc desc);
BNNDEF void bnn_meanfield_sample(bnn_meanfield *q, bnn_tape *t);
BNNDEF void bnn_meanfield_backward(bnn_meanfield *q, bnn_tape *t); /* N = tape.n_data; spends
                                                                      w->grad */
BNNDEF void bnn_meanfield_mean(const bnn_meanfield *q);            /* w->theta = mu */
/* q.curvature = diagonal of the Hessian of f, the mean loss without prior, at the draw; see
 * bnn_hessian_diagonal. Call it before bnn_backward. */
BNNDEF void bnn_meanfield_curvature(bnn_meanfield *q, bnn_tape *t, bnn_loss_fn f, void *user,
                                    size_t probes);
/* The priors of w with adapt_mean, adapt_std or shape and rate: to their optimum under q (Graves
 * 2011), rate >= 1, or by that fraction of a natural gradient step */
BNNDEF void bnn_meanfield_update_priors(const bnn_meanfield *q, double rate);
/* Total nats; a flat block counts 0; mixture and Student-t at the last draw; delta: -ln p(mu) */
BNNDEF double bnn_meanfield_kl(const bnn_meanfield *q);
BNNDEF int bnn_meanfield_push(bnn_meanfield *q, bnn_ensemble *e, bnn_rng *rng); /* a draw */
/* The same net with noise in its layers, parameters q.params (borrows q). Local: each row draws its
 * pre-activations (Kingma et al. 2015). Flipout: each row gives the draw random signs (Wen et al.
 * 2018). Use it instead of net in bnn_net_nll; sample and backward stay. With several draws per
 * step divide that nll by q.draws yourself. */
enum { BNN_NOISE_LOCAL, BNN_NOISE_FLIPOUT };
BNNDEF bnn_net bnn_meanfield_net(const bnn_meanfield *q, const bnn_net *mlp, int noise);
/* weights (d,k) and biases (1,k), means and sds; b may be NULL. local: N(x w + b, (x o x)(sd o sd)
 * + b_sd o b_sd). flipout: x w + b + r o ((s o x) noise + b_noise), random signs r, s per row. */
BNNDEF bnn_var *bnn_affine_local(bnn_var *x, bnn_var *w, bnn_var *w_sd, bnn_var *b, bnn_var *b_sd);
BNNDEF bnn_var *bnn_affine_flipout(bnn_var *x, bnn_var *w, bnn_var *w_noise, bnn_var *b,
                                   bnn_var *b_noise);

/* A mean field's answer in one pass and without draws: mean and variance of every unit, taken for
 * independent normals (Frey and Hinton 1999; Hernandez-Lobato and Adams 2015). q is of net, a
 * bnn_mlp. Its error is that of the assumption: measure it against bnn_meanfield_push and
 * bnn_predict on rows like yours. */
BNNDEF bnn_predictive bnn_predict_moments(bnn_arena *mem, bnn_tape *t, const bnn_net *net,
                                          const bnn_meanfield *q, bnn_mat x);

typedef struct bnn_meanfield_cost { /* of the data under q, recorded with the prior as it is now */
    double error, complexity; /* L^E, averaged over draws, and L^C, total nats; F is their sum    */
    double bits;              /* F/ln 2; NaN without a Gaussian q and proper priors               */
    double ratio;             /* F over the uniform code, rows ln K; NaN where undefined          */
} bnn_meanfield_cost;
/* Leaves the last draw in w->theta. Rows of d = the N of the cost */
BNNDEF bnn_meanfield_cost bnn_meanfield_measure(bnn_meanfield *q, bnn_tape *t, const bnn_net *net,
                                                bnn_data d, size_t draws);

/* Pruning by |mu|/sigma; exp(-mu^2/2 sigma^2) >= lambda is |mu|/sigma <= sqrt(-2 ln lambda). snr:
 * the threshold under which that fraction of the weights lies. prune: removes what is under it and
 * returns how many weights are removed now. Then bnn_meanfield_mean and bnn_mlp_shrink. */
BNNDEF double bnn_meanfield_snr(const bnn_meanfield *q, double fraction);
BNNDEF size_t bnn_meanfield_prune(bnn_meanfield *q, double snr);

/* Weights of the KL as plain functions: batch i of 0 .. batches-1 gets batches 2^(batches-1-i) /
 * (2^batches - 1) (Blundell et al. 2015; mean 1); a ramp from 1/steps to 1 */
BNNDEF double bnn_kl_weight_geometric(size_t i, size_t batches);
BNNDEF double bnn_kl_weight_warmup(size_t k, size_t steps);

/* The ten configurations of Graves 2011, table 1: a prior for bnn_mlp and a desc. Rows 2, 3, 5, 6,
 * 8 and 9 want bnn_meanfield_update_priors every step; it does nothing in the others. */
enum { BNN_GRAVES_ROWS = 10 };
typedef struct bnn_graves {
    const char *name, *posterior, *prior_name;
    bnn_prior prior;
    bnn_meanfield_desc desc;
} bnn_graves;
BNNDEF bnn_graves bnn_graves_row(int row); /* 0 .. 9; others: a NULL name */

/* ---- metrics ---------------------------------------------------------------------------------
 * prob (n,k) class probabilities, or (n,1) of class 1 of two; label (n,1). NaN where undefined: no
 * rows, other shapes, a NaN, a label that is no class, rows of prob that are no probabilities
 * (logits: entries outside [0,1], sums more than .001 from 1). */
BNNDEF double bnn_metric_rmse(bnn_mat mean, bnn_mat y);
BNNDEF double bnn_metric_mae(bnn_mat mean, bnn_mat y);
BNNDEF double bnn_metric_error(bnn_mat prob, bnn_mat label);  /* fraction wrong                   */
BNNDEF double bnn_metric_nll(bnn_mat prob, bnn_mat label);    /* mean nats; +inf if p = 0         */
BNNDEF double bnn_metric_brier(bnn_mat prob, bnn_mat label);  /* mean over rows of the sum over k */
typedef struct bnn_reliability { /* equal-width bins (lo, hi] of the largest probability */
    size_t count[32];
    double confidence[32], accuracy[32]; /* means in the bin */
    double ece, mce;
} bnn_reliability;
BNNDEF bnn_reliability bnn_metric_reliability(bnn_mat prob, bnn_mat label, size_t bins);
BNNDEF double bnn_metric_ece(bnn_mat prob, bnn_mat label, size_t bins);        /* 1 to 32 bins */
BNNDEF double bnn_metric_ece_equal_count(bnn_arena *mem, bnn_mat prob, bnn_mat label, size_t bins);
BNNDEF double bnn_metric_auroc(bnn_arena *mem, bnn_mat score, bnn_mat positive); /* (n,1) each */
BNNDEF double bnn_metric_gaussian_nll(bnn_mat mean, bnn_mat variance, bnn_mat y); /* a mean */
BNNDEF double bnn_metric_gaussian_crps(bnn_mat mean, bnn_mat variance, bnn_mat y);
/* of draws (1,m) at y; fair = 1: unbiased */
BNNDEF double bnn_metric_sample_crps(bnn_arena *mem, bnn_mat draws, double y, int fair);
BNNDEF double bnn_metric_coverage(bnn_mat lo, bnn_mat hi, bnn_mat y);          /* fraction inside */
BNNDEF double bnn_metric_width(bnn_mat lo, bnn_mat hi);                        /* sharpness */
BNNDEF double bnn_metric_interval_score(bnn_mat lo, bnn_mat hi, bnn_mat y, double alpha);
BNNDEF double bnn_metric_pinball(bnn_mat quantile, bnn_mat y, double q);
BNNDEF double bnn_metric_temperature(bnn_mat logit, bnn_mat label); /* T* of temperature scaling */
BNNDEF double bnn_metric_agreement(bnn_mat prob, bnn_mat other);    /* fraction of equal argmax */
BNNDEF double bnn_metric_total_variation(bnn_mat prob, bnn_mat other); /* mean over rows */
BNNDEF double bnn_metric_kl(bnn_mat prob, bnn_mat other);           /* mean KL(prob||other), nats */
/* quantile of split conformal prediction from n calibration scores |y - mean|/sd */
BNNDEF double bnn_metric_conformal(bnn_arena *mem, bnn_mat score, double alpha);

/* ---- diagnostics -----------------------------------------------------------------------------
 * draws (chains, draws per chain) of one scalar. Vehtari et al. 2021. NaN where undefined: mem->msg
 * says why, mem->note where two chains are equal draw for draw. Apply them to predictions and ln p,
 * not to the weights of a network, which are not identified. */
BNNDEF double bnn_diag_rhat(bnn_arena *mem, bnn_mat draws); /* rank-normalized, split, folded */
BNNDEF double bnn_diag_ess(bnn_arena *mem, bnn_mat draws);        /* of the mean, split chains */
BNNDEF double bnn_diag_ess_bulk(bnn_arena *mem, bnn_mat draws);
BNNDEF double bnn_diag_ess_tail(bnn_arena *mem, bnn_mat draws);
/* Error of the mean, sd/sqrt(ESS). Too small where a chain sits on a ridge for most of the run:
 * what it has not seen is in no draw. Several chains and R-hat show that, one chain cannot. */
BNNDEF double bnn_diag_mcse(bnn_arena *mem, bnn_mat draws);
BNNDEF double bnn_diag_autocorrelation(bnn_mat chain, size_t lag); /* (1,n) */
typedef struct bnn_waic {
    double lppd, p_waic, elpd;
} bnn_waic;
BNNDEF bnn_waic bnn_diag_waic(bnn_mat log_lik); /* (samples, rows) of ln p(y_i|theta_s) */
/* distances between two samples (1,n), (1,m) */
BNNDEF double bnn_diag_ks(bnn_arena *mem, bnn_mat a, bnn_mat b);
BNNDEF double bnn_diag_ks_pvalue(double d, double n_effective);   /* Kolmogorov's limit law */
BNNDEF double bnn_diag_wasserstein(bnn_arena *mem, bnn_mat a, bnn_mat b);
BNNDEF double bnn_diag_energy(bnn_arena *mem, bnn_mat a, bnn_mat b);
BNNDEF double bnn_diag_mmd(bnn_mat a, bnn_mat b, double bandwidth); /* MMD^2, RBF; row = point */
/* (lr N/2) Var(g)/T per coordinate from gradients of several minibatches, (m,n): SGLD samples
 * where this is far below 1 */
BNNDEF int bnn_diag_noise_ratio(bnn_mat out, bnn_mat grads, double lr, double n_data, double T);
/* Energy fraction of missing information from H of successive draws (bnn_hmc_state.hamiltonian):
 * below 0.3 the momenta do not carry the chain through the energies. Betancourt 2016 */
BNNDEF double bnn_diag_ebfmi(const double *energies, size_t n);
/* Configurational temperature over T, mean of (theta - mean) dU/dtheta per weight: 1 in
 * equilibrium, above it where steps are too long, below where the draws have not spread. A row of
 * draws and of grads (of L = U/N) per state, scale = N/T. Kinetic: velocities in both, N/(lr T) */
BNNDEF double bnn_diag_temperature(bnn_mat draws, bnn_mat grads, double scale);

/* ---- judging models -------------------------------------------------------------------------- */
/* Every row once, in a new random order each time: while (bnn_epoch_next(&e, &tape, &b)) a step. 0
 * ends an epoch (or there is a tape.err); the next call begins another. The last batch has what is
 * left: in a mean over rows those count more. */
typedef struct bnn_epoch {
    bnn_data data;
    size_t batch, at, *order;
} bnn_epoch;
BNNDEF bnn_epoch bnn_epoch_new(bnn_arena *mem, bnn_data data, size_t batch);
BNNDEF int bnn_epoch_next(bnn_epoch *e, bnn_tape *t, bnn_batch *out); /* does not reset the tape */

/* (n,d) -> (1,d), the quantile q of each column, linear between values (R's type 7) */
BNNDEF int bnn_mat_col_quantile(bnn_arena *mem, bnn_mat out, bnn_mat a, double q);
/* P(T(y made up) > T(y)) + P(equal)/2: far from 1/2 where the model does not make what was seen.
 * draws of bnn_predict_draws; T is given matrices of y's shape. values (1,draws): T of each, data
 * NULL = not wanted. NaN: shapes, or a T that is NaN. Gelman, Meng, Stern 1996 */
typedef double (*bnn_statistic_fn)(void *user, bnn_mat y);
BNNDEF double bnn_predict_check(bnn_mat values, bnn_mat draws, bnn_mat y, bnn_statistic_fn T,
                                void *user);

/* Leave-one-out cross-validation by Pareto smoothed importance sampling (Vehtari, Gelman, Gabry
 * 2017; Vehtari et al. 2024). log_lik (samples, rows) as for WAIC. points, k_hat (1,rows): of each
 * row, data NULL = not wanted. Where k_hat is above k_max = min(1 - 1/log10(samples), 0.7) the row
 * is too influential: its elpd wants a fit without it. r_eff: ESS of the likelihood over samples,
 * 0 = 1. NaN where undefined: mem->msg says why */
typedef struct bnn_loo {
    double elpd, se, p_loo; /* sum over rows, its standard error, effective parameters */
    double worst_k, k_max;
    size_t high;            /* rows above k_max */
} bnn_loo;
BNNDEF bnn_loo bnn_diag_loo(bnn_arena *mem, bnn_mat points, bnn_mat k_hat, bnn_mat log_lik,
                            double r_eff);
/* Two models by their points on the same rows: sum a - b and its error, sqrt(n Var(a - b)).
 * Below 4, or within two errors, or from fewer than 100 rows it does not say much. */
typedef struct bnn_comparison {
    double difference, se;
} bnn_comparison;
BNNDEF bnn_comparison bnn_diag_compare(bnn_mat a, bnn_mat b);

/* Split conformal prediction: at least 1 - alpha of new y inside for any model, if calibration and
 * new rows are exchangeable. Intervals (n,k): lo and hi move out (or in) by
 * the conformal quantile of max(lo - y, y - hi) over the calibration rows, each column by its own
 * (Romano et al. 2019); with lo = hi = mean: of |y - mean|. Sets: out (n,k) is 1 where a class is
 * in: 1 - prob at most the quantile of 1 - p_y (Sadinle et al. 2019). Too few rows for alpha:
 * everything is in. */
BNNDEF int bnn_conformal_interval(bnn_arena *mem, bnn_mat lo, bnn_mat hi, bnn_mat cal_lo,
                                  bnn_mat cal_hi, bnn_mat cal_y, double alpha);
BNNDEF int bnn_conformal_set(bnn_arena *mem, bnn_mat out, bnn_mat prob, bnn_mat cal_prob,
                             bnn_mat cal_label, double alpha);
/* Recalibration on held-out rows. p^(1/T)/sum, one column as class 1 of two; out may be prob. T:
 * bnn_metric_temperature of logits or of ln prob (one column: ln p - ln(1-p)) */
BNNDEF int bnn_recalibrate(bnn_mat out, bnn_mat prob, double temperature);
/* Isotonic regression of y (n,1) on x (n,1), least squares by pooling adjacent violators: knots
 * (m,2) of x ascending and value; equal x are pooled first. Linear between knots, constant outside.
 * x a probability and y 0 or 1: calibration (Zadrozny and Elkan 2002); x the predictive CDF at y
 * and y its rank/n: quantiles (Kuleshov et al. 2018). Empty: shapes, NaN, or mem->err */
BNNDEF bnn_mat bnn_isotonic(bnn_arena *mem, bnn_mat x, bnn_mat y);
BNNDEF int bnn_isotonic_apply(bnn_mat out, bnn_mat knots, bnn_mat x); /* (n,1); out may be x */

/* ---- Gaussians over weights --------------------------------------------------------------------
 * N(mean, cov) over a vector of n weights: independent pieces of neighbors, each dense or diagonal.
 * Made in an arena, whose err and msg tell what went wrong (the result is then empty, n = 0); the
 * index of a pivot is that of the weight. What needs a Cholesky factor makes it once, on first use,
 * in that arena, and never adds a jitter of its own. */
enum { BNN_COV_DIAGONAL, BNN_COV_LAYERS, BNN_COV_FULL };
typedef struct bnn_gaussian_piece {
    size_t first, n;
    bnn_mat cov;  /* (n,n), or (1,n) variances; 0 there = known, and no density or draw         */
    bnn_mat chol; /* its Cholesky factor, when it was needed; of cov^-1 where cov has no rows   */
    bnn_mat a, g; /* where they have data, cov are variances in coordinates turned by a (x) g   */
    double log_det; /* of the covariance, once it is factored                                   */
    int factored;
} bnn_gaussian_piece;
typedef struct bnn_gaussian {
    bnn_arena *mem;
    size_t n, n_pieces;
    float *mean, *precision; /* precision: diagonal of cov^-1, NULL until needed */
    bnn_gaussian_piece *pieces;
} bnn_gaussian;

/* cov (n,n), or (1,n) variances as of a mean field; copies. mean NULL = 0 */
BNNDEF bnn_gaussian bnn_gaussian_new(bnn_arena *mem, size_t n, const float *mean, bnn_mat cov);
/* Mean and covariance (divided by the sum of the weights) of the samples. With fewer samples than
 * weights a dense one is singular: ridge is added to every variance. Layers are those of net, a
 * weight matrix with its bias, or the blocks of parameters if it is not a bnn_mlp. */
BNNDEF bnn_gaussian bnn_gaussian_fit(bnn_arena *mem, const bnn_ensemble *post, const bnn_net *net,
                                     int kind, double ridge);
BNNDEF double bnn_gaussian_log_pdf(bnn_gaussian *g, const float *theta); /* NaN: mem->err */
BNNDEF int bnn_gaussian_sample(bnn_gaussian *g, bnn_rng *rng, float *theta);
BNNDEF double bnn_gaussian_kl(bnn_gaussian *q, bnn_gaussian *p); /* KL(q||p), nats; NaN: error */
/* what[i]: keep the weight, integrate it out (drop), or condition on value[i] (value NULL = 0):
 *     mean m_k + C_kr C_rr^-1 (v - m_r),  covariance C_kk - C_kr C_rr^-1 C_rk */
enum { BNN_KEEP, BNN_DROP, BNN_FIX };
BNNDEF bnn_gaussian bnn_gaussian_reduce(bnn_arena *mem, const bnn_gaussian *g,
                                        const unsigned char *what, const float *value);
/* As a prior: -ln N(theta; mean, cov) of w's weights, a 1x1 node; and for a variational student
 * KL(N(mu, diag sd^2) || g), a 1x1 node of mu and sd, both (1,n). Over N in a loss (scale). */
BNNDEF bnn_var *bnn_gaussian_prior_nll(bnn_tape *t, bnn_params *w, bnn_gaussian *g);
BNNDEF bnn_var *bnn_kl_gaussian(bnn_var *mu, bnn_var *sd, bnn_gaussian *g);

/* ---- curvature and the Laplace approximation ---------------------------------------------------
 * At a maximum theta* of the posterior: theta ~ N(theta*, H^-1), H = GGN + prior precision (MacKay
 * 1992). Priors normal or flat. Needs theta where training left it; touches neither theta nor
 * gradients. Errors are in the tape. */
/* Generalized Gauss-Newton (= Fisher) matrix sum_rows J^T Lambda J, Lambda = Hessian of -ln p by
 * the outputs: out (n,n), or (1,n) for its diagonal, exact. Needs no labels. */
BNNDEF void bnn_ggn(bnn_mat out, bnn_tape *t, const bnn_net *net, bnn_mat x);
enum { BNN_LAPLACE_FULL,     /* n^2 numbers                                                    */
       BNN_LAPLACE_DIAGONAL, /* n                                                              */
       BNN_LAPLACE_KRON,     /* per layer N G (x) A (Martens and Grosse 2015); bnn_mlp only    */
       BNN_LAPLACE_LAST };   /* full, weights of the last layer only; bnn_mlp only             */
typedef struct bnn_laplace {
    bnn_net net;
    int kind;
    size_t first, n;     /* the weights with a distribution; the others are known         */
    float *mean, *prior; /* theta*, precision of the prior: all params->n                 */
    bnn_gaussian g;      /* H^-1 by factors of H, in one piece or, KRON, one of each layer */
    double log_evidence; /* ln p(D) ~ -U(theta*) + n/2 ln 2 pi - ln|H|/2, nats; of one mode;
                            with flat priors, which count 0, only up to a constant        */
    double decrement;    /* g^T H^-1 g/2, g = grad U: what a Newton step would still gain, in nats,
                            0 at a maximum. A draw from the posterior lies n/2 nats below it, so
                            above 1 + n/100 a note says: train on, with a falling lr      */
} bnn_laplace;
BNNDEF bnn_laplace bnn_laplace_new(bnn_arena *mem, bnn_tape *t, const bnn_net *net, bnn_data d,
                                   int kind);
/* Linearized predictive, outputs f ~ N(f(theta*), J H^-1 J^T). Gaussian noise: mean, aleatoric and
 * epistemic variance. Classes: mean = sigmoid(f/sqrt(1 + pi v/8)) (MacKay's probit formula), for
 * several p_k prop. to 1/sum_j exp(-(f_k - f_j)/sqrt(1 + pi v_kj/8)), v_kj = Var(f_k - f_j);
 * epistemic by the delta method. No expected entropy, no mutual information. */
BNNDEF bnn_predictive bnn_laplace_predict(bnn_arena *mem, bnn_tape *t, const bnn_laplace *la,
                                          bnn_mat x);
/* cov (rows of x, k k): covariance of the k standardized outputs, by rows; returns their means */
BNNDEF bnn_mat bnn_laplace_outputs(bnn_arena *mem, bnn_tape *t, const bnn_laplace *la, bnn_mat x,
                                   bnn_mat *cov);
/* A draw of theta ~ N(theta*, H^-1) for bnn_predict, through the whole net: mostly worse than
 * linearized (Immer et al. 2021). Kronecker factors draw without forming a covariance */
BNNDEF int bnn_laplace_push(const bnn_laplace *la, bnn_ensemble *e, bnn_rng *rng);
/* The same as a Gaussian with covariances, of a kind (BNN_COV_..) that the curvature can fill */
BNNDEF bnn_gaussian bnn_gaussian_laplace(bnn_arena *mem, const bnn_laplace *la, int kind);

/* ---- evidence --------------------------------------------------------------------------------
 * A ladder of HMC chains between prior and posterior: rung k samples p(theta) p(D|theta)^power_k,
 * powers (k/(rungs-1))^bend. Neighbors swap their weights, so that modes that a chain would never
 * leave are reached over the prior, which is drawn from anew. A step moves all rungs once, swaps,
 * and leaves the highest rung's weights in the net: a draw of the posterior, after warmup steps. */
typedef struct bnn_ladder_desc {
    size_t rungs;    /* default 16 */
    float bend;      /* default 4: close rungs near the prior, where -ln p(D|theta) varies most */
    size_t warmup;   /* default 500 steps, which adapt each rung's leapfrog step and mass */
    size_t leapfrog; /* default 10 */
} bnn_ladder_desc;
typedef struct bnn_ladder {
    bnn_arena *mem;
    bnn_params *params;
    size_t rungs, warmup, steps;
    double bend, *power, *energy;    /* energy: -ln p(D|theta) of each rung's weights, nats */
    bnn_mat theta;             /* (rungs, n) */
    bnn_stepper *chains;
    uint64_t *tried, *swapped; /* k with k + 1, after warmup */
} bnn_ladder;
typedef struct bnn_evidence {
    double log_evidence, error; /* ln p(D), nats; standard error. NaN: the tape says why */
    double ess;                 /* anneal: what its weights are worth, of `runs` */
} bnn_evidence;
BNNDEF bnn_ladder bnn_ladder_new(bnn_arena *mem, const bnn_net *net, bnn_data d,
                                 bnn_ladder_desc desc); /* rungs 0: mem->err */
BNNDEF void bnn_ladder_step(bnn_ladder *l, bnn_tape *t);
/* Thermodynamic integration over `sweeps` steps. The error has the Monte Carlo error of the whole
 * integral and half of the correction for the distance of the rungs. */
BNNDEF bnn_evidence bnn_ladder_integrate(bnn_ladder *l, bnn_tape *t, size_t sweeps);
/* Annealed importance sampling: `runs` from the prior up the ladder, `steps` transitions per rung.
 * p(D) itself is unbiased; its logarithm is low where few weights are all. */
BNNDEF bnn_evidence bnn_ladder_anneal(bnn_ladder *l, bnn_tape *t, size_t runs, size_t steps);

/* ---- structure -------------------------------------------------------------------------------
 * A net whose structure is a variable: a directed acyclic graph. Node 0 is x, the highest node is
 * the output, every edge mixes candidate operations with its weights gamma:
 *     f_0 = x,   f_v = aggregate over the edges (j,v) of sum_k gamma_k g_k(f_j)
 * The gammas come from logits in a parameter store of their own (or in that of the weights), so
 * steppers, samplers and ensembles act on structures as on weights. Your own mixture is a forward
 * function: bnn_mix(bnn_gumbel_softmax(bnn_param(t, s, 0), tau), candidates, k). */
typedef struct bnn_candidate {
    const char *name;            /* borrowed                                                     */
    bnn_var *(*op)(bnn_var *x);  /* keeps the shape, yours or ours: bnn_tanh; NULL = identity    */
    size_t width;                /* > 0: op(x W + b), W (d,width) and b are parameters; 0: op(x) */
} bnn_candidate;
typedef struct bnn_edge {
    size_t from, to;
    const bnn_candidate *ops; /* one or more; one needs no gamma */
    size_t n_ops;
} bnn_edge;
BNNDEF bnn_var *bnn_zero(bnn_var *x); /* zeros like x; as a candidate: no edge, no parameters */

/* in the order of the edges */
enum { BNN_AGG_SUM = 1, BNN_AGG_MEAN, BNN_AGG_PRODUCT, BNN_AGG_CONCAT };
enum { BNN_GAMMA_SOFTMAX = 1,    /* simplex: softmax(a/tau), a the logits                        */
       BNN_GAMMA_GUMBEL,         /* a Gumbel-softmax draw at every forward                       */
       BNN_GAMMA_GUMBEL_HARD,    /* its argmax, with the gradient of the draw                    */
       BNN_GAMMA_DIRICHLET,      /* a draw of Dir(tau e^a)                                       */
       BNN_GAMMA_ARGMAX,         /* the vertex of the largest logit: a constant                  */
       BNN_GAMMA_SIGMOID,        /* cube: sigmoid(a/tau)                                         */
       BNN_GAMMA_BERNOULLI,      /* a relaxed Bernoulli draw                                     */
       BNN_GAMMA_BERNOULLI_HARD, /* rounded, with the gradient of the draw                       */
       BNN_GAMMA_THRESHOLD,      /* 1 where a > 0: a constant                                    */
       BNN_GAMMA_RAW,            /* a itself                                                     */
       BNN_GAMMA_ONES };         /* all 1; no logits are made                                    */

typedef struct bnn_graph_desc {
    size_t inputs;            /* columns of x                                                    */
    const bnn_edge *edges;    /* in any order                                                    */
    size_t n_edges;
    const int *aggregates;    /* of each node; NULL and 0 = BNN_AGG_SUM                           */
    int gamma;                /* default BNN_GAMMA_SOFTMAX                                       */
    float tau;                /* default 1                                                       */
    int likelihood;           /* as in bnn_mlp_desc                                              */
    float noise_std, nu;      /* needed or not, as there                                         */
    bnn_prior prior, structure_prior; /* of weights and of logits, default N(0,1)                */
    uint64_t seed;            /* of the weights, N(0, 1/fan in), 2/fan in before relu; logits 0  */
} bnn_graph_desc;

typedef struct bnn_structure { /* net.user of such a net */
    int gamma;                 /* assign these at any time: a schedule of temperatures, ...      */
    float tau;
    bnn_params *params;        /* where the logits are                                           */
    size_t *logits;            /* block of each edge, (1,n_ops); (size_t)-1: the edge has none   */
    bnn_edge *edges;
    size_t n_edges, n_nodes;
    size_t *blocks, *first;    /* private: of candidate k of edge e at blocks[first[e] + k]      */
    size_t *order, *widths;    /* private: nodes in topological order, and their columns         */
    int *aggregates;
} bnn_structure;

/* structure NULL = w. Bad desc: w->mem->err, with the edge or node, and a dead net. */
BNNDEF bnn_net bnn_graph(bnn_params *w, bnn_params *structure, bnn_graph_desc desc);
/* The discrete net in `to`, weights copied: the operations with the largest logit (in a cube: with
 * a > 0), without edges that are 0 in a sum and nodes that no longer reach the output */
BNNDEF bnn_net bnn_graph_extract(bnn_params *to, const bnn_net *graph);
/* P(k is chosen on this edge), mean over the samples of the logits' store (NULL = present) */
BNNDEF int bnn_graph_probs(const bnn_net *graph, const bnn_ensemble *post, size_t edge, float *p);
BNNDEF void bnn_simplex_project(size_t k, float *x); /* Euclidean; Duchi et al. 2008. An entry that
                                                        is not finite: all NaN */

/* The gradient of upper(a, w(a)) by a, w(a) near the minimum of lower(a, w), into a->grad: for
 * bnn_step. w stays, its gradient is zero after. upper and lower want disjoint data. */
typedef struct bnn_hypergradient_desc {
    bnn_params *w, *a;         /* weights; structure or hyperparameters                          */
    bnn_loss_fn upper, lower;  /* both to be minimized                                           */
    void *user;
    float unroll;              /* > 0: through one gradient step of this size (DARTS, Liu et al.
                                  2019); 0: w is taken as a constant (first order)               */
    int implicit;              /* 1: by the implicit function theorem, conjugate gradients       */
    size_t iterations;         /* of those, default 20                                           */
    float damping;             /* added to the Hessian; raised where it is indefinite            */
    float tolerance;           /* relative residual, default 1e-3                                */
} bnn_hypergradient_desc;
typedef struct bnn_hypergradient_result {
    double value;              /* of upper                                                       */
    double residual, damping;  /* |H z - v|/|v| reached, damping used                            */
    size_t iterations;
} bnn_hypergradient_result;
BNNDEF bnn_hypergradient_result bnn_hypergradient(bnn_tape *t, bnn_hypergradient_desc desc);

/* Two-level choice of hyperparameters h (Bakhteev 2020), both levels as losses to be minimized and
 * of the type that bnn_hypergradient takes (user = the struct). q is what the lower level moves.
 *     upper  kl_upper KL(q||p(.|h)) - lik_upper E_q ln p(y|w,G) + sum_j structure_j KL_j - ln p(h)
 *     lower  kl_lower KL(q||p(.|h)) - E_q ln p(y|w,G)
 * (1,1,1): variational evidence. kl_upper = lik_upper kl_lower: one level. (1,0,1): likelihood of
 * the hyperparameters. kl_lower = 0: maximum likelihood. lik_upper = 0: least complexity.
 * structure_j > 0 pulls p(G|h) to a given p'_j, < 0 repels. Terms with coefficient 0 are not built:
 * they draw nothing. */
typedef struct bnn_two_level {
    float lik_upper, kl_upper, kl_lower;
    const float *structure;    /* n_structure coefficients                                       */
    size_t n_structure;
    bnn_loss_fn log_lik, kl;   /* 1x1 nodes in nats, over all data                               */
    bnn_var *(*kl_structure)(bnn_tape *t, void *user, size_t j);
    bnn_loss_fn log_prior;     /* ln p(h); NULL = 0                                              */
    void *user;
} bnn_two_level;
BNNDEF bnn_var *bnn_two_level_upper(bnn_tape *t, void *two_level);
BNNDEF bnn_var *bnn_two_level_lower(bnn_tape *t, void *two_level);

/* Relevance. Linear regression with weights N(0, 1/alpha_j) and noise N(0, 1/beta): ln p(y), and
 * the posterior's mean (d,1) and cov (d,d) where they have data. d ln p(y)/d ln alpha_j = (1 -
 * alpha_j (cov_jj + mean_j^2))/2. NaN: shapes, or a matrix that is not positive. */
BNNDEF double bnn_linear_evidence(bnn_arena *mem, bnn_mat mean, bnn_mat cov, bnn_data d,
                                  const double *alpha, double beta);
/* MacKay's fixed point for alpha (d values, started by you) and, if learn_noise, beta, to a change
 * of 1e-6 in their logarithms or `steps` (0 = 1000). Features whose best alpha is infinite (Tipping
 * and Faul 2003) get 1e12 and mean 0: prune them. Returns ln p(y). */
BNNDEF double bnn_linear_ard(bnn_arena *mem, bnn_mat mean, bnn_mat cov, bnn_data d, double *alpha,
                             double *beta, int learn_noise, size_t steps);
/* The same for any weights of posterior mean and sd (n,k): prior variances var (n,k) per weight,
 * (n,1) per row (an input, or a unit by what it sends), (1,k) per column (a neuron by what it
 * hears), (1,1) for all. fast 0: mean of m^2 + s^2, the optimum for that posterior; 1: MacKay's
 * sum m^2/sum(1 - s^2/var). By gradient:
 * bnn_kl_standard_normal(bnn_mul(m, r), bnn_mul(s, r)), r the inverse prior sd as a node. */
BNNDEF int bnn_ard_update(bnn_mat var, bnn_mat mean, bnn_mat sd, int fast);
/* A really smaller copy of a bnn_mlp without the inputs j where keep[j] is 0 */
BNNDEF bnn_net bnn_mlp_keep_inputs(bnn_params *to, const bnn_net *mlp, const unsigned char *keep);

/* ---- distillation ----------------------------------------------------------------------------
 * One small net learns the predictive of many: Bayesian dark knowledge (Balan et al. 2015). */
typedef struct bnn_inputs_desc { /* where the student's inputs come from */
    float noise;   /* rows of x plus N(0, noise^2) per column; in units of the column's standard
                      deviation where `net` is standardized                                    */
    const bnn_net *net; /* NULL = none; bnn_distill takes the student, or else the teacher     */
    int box;       /* 1: uniform in [lo, hi] per column instead: the range of x widened by     */
    float margin;  /*    margin times its width on both sides                                  */
    void (*generate)(void *user, bnn_rng *rng, bnn_mat out); /* or your own                     */
    void *user;
} bnn_inputs_desc;
typedef struct bnn_distill_desc {
    size_t steps;   /* default 10000                                                            */
    size_t batch;   /* default 64                                                               */
    float lr;       /* default 1e-3, Adam, cosine to 0                                          */
    double n_data;  /* rows the student's prior is weighed against; default: without end, as the
                       inputs are, so that the prior counts nothing                             */
    bnn_inputs_desc inputs;
} bnn_distill_desc;

BNNDEF bnn_var *bnn_distill_inputs(bnn_tape *t, bnn_mat x, size_t n, bnn_inputs_desc desc);
/* The student's loss against the teacher's present weights (post NULL) or one random sample of
 * post, mean over rows, plus the student's prior over t->n_data if that is given. The teacher is a
 * constant.
 * Classes: cross-entropy to its probabilities. Regression: expected Gaussian nll, the teacher's
 * noise included; it must have a variance (a Student's t with nu > 2). */
BNNDEF bnn_var *bnn_distill_loss(const bnn_net *student, bnn_var *x, const bnn_net *teacher,
                                 const bnn_ensemble *post);
BNNDEF void bnn_distill(bnn_tape *t, const bnn_net *student, const bnn_net *teacher,
                        const bnn_ensemble *post, bnn_mat x, bnn_distill_desc desc);

/* Losses on answers of teachers that are already there, one number per row: bnn_mean is the loss.
 * Answers travel with the labels as columns of data.y and come out of a batch by bnn_cols, so the
 * teacher may see other inputs than the student (privileged information, Vapnik). */
enum { BNN_CC_NONE, BNN_CC_EXACT, BNN_CC_PUBLISHED };
typedef struct bnn_soft_desc {
    float lambda;      /* in [0,1], share of the teachers' answer; 0: bit for bit the plain loss */
    float temperature; /* Td, default 1                                                           */
    int no_square;     /* 1: without Hinton's factor Td^2                                         */
    int teacher_only;  /* 1: the student is not tempered (the published code of Lopez-Paz et al.) */
    int reverse;       /* 1: KL(student||teacher), mode seeking, instead of the cross-entropy     */
    int constant;      /* BNN_CC_...: ln C of the continuous categorical joins the soft term      */
} bnn_soft_desc;
/* Mean over the teachers of softmax(v/Td), a constant (n,k); weights NULL = equal */
BNNDEF bnn_var *bnn_soft_target(bnn_tape *t, size_t teachers, bnn_var *const *logit,
                                const float *weights, float temperature);
/* (1-lambda) CE(y, p) + lambda Td^2 CE(target, p_Td), p = softmax(z): Hinton, Vinyals, Dean 2015.
 * y (n,1) labels or (n,k) soft labels, NULL if lambda = 1 and everybody has an answer; target (n,k)
 * on the simplex; has (n,1) of 0 and 1, who has an answer, NULL = everybody. */
BNNDEF bnn_var *bnn_soft_nll(bnn_var *logit, bnn_var *y, bnn_var *target, bnn_var *has,
                             bnn_soft_desc desc);
/* The same for any two losses per row: (1 - lambda has) hard + lambda has soft. With Gaussian nlls
 * of labels and answers it is weighted least squares (Grabovoy and Strijov 2021). */
BNNDEF bnn_var *bnn_soft_mix(bnn_var *hard, bnn_var *soft, bnn_var *has, float lambda);
BNNDEF int bnn_soft_mask(bnn_mat has, const size_t *rows, size_t n); /* (N,1): 1 in these rows */
/* KL(target||softmax z) per row, or, reverse = 1, KL(softmax z||target) */
BNNDEF bnn_var *bnn_kl_target(bnn_var *logit, bnn_var *target, int reverse);
/* ln C(g), g = softmax(z), (n,k) -> (n,1), of the density C prod g_k^s_k on the simplex (Gordon-
 * Rodriguez et al. 2020). exact: a convergent series; logits more than 500 below the largest count
 * as 500 below. published: K/2 ln K - K(K-1)/2 ln 2 + sum (ln g_k + ln ln 1/g_k), which is not the
 * normalizer (off by factors of 10 to 10^4): to reproduce, not to use. */
BNNDEF bnn_var *bnn_cc_log_constant(bnn_var *logit, int kind);
/* Area between two learning curves on one grid of steps, trapezoid rule; > 0: a lies above b */
BNNDEF double bnn_metric_area(size_t n, const double *step, const double *a, const double *b);

/* A teacher's posterior over a bnn_mlp becomes that of a smaller one (Grabovoy and Strijov 2021),
 * which is made in `to` (empty parameters) with the new mean as its weights; g is over all of mlp's
 * parameters, *out over all of to's. Bad arguments: to->mem->err and a dead net. Chains compose.
 *   neurons of hidden layer 1, 2, ...: outgoing weights conditioned on 0, incoming ones and bias
 *       integrated out; condition_all = 1 conditions those on 0 as well (printed in the source)
 *   layer: hidden layer 1, 2, ...; the matrix that enters it is conditioned on I, its bias on 0:
 *       the layer computes what the one before it does, and is gone. Needs equal widths and
 *       sigma(sigma(x)) = sigma(x): relu behind relu, or the identity */
BNNDEF bnn_net bnn_drop_neurons(bnn_params *to, bnn_gaussian *out, const bnn_net *mlp,
                                const bnn_gaussian *g, size_t layer, size_t n,
                                const size_t *neurons, int condition_all);
BNNDEF bnn_net bnn_drop_layer(bnn_params *to, bnn_gaussian *out, const bnn_net *mlp,
                              const bnn_gaussian *g, size_t layer);
/* In which order to drop the neurons of a hidden layer, the first to go first. Scores add over the
 * outgoing weights u: OBD h u^2/2 with h the diagonal of a Hessian or GGN (LeCun et al. 1990);
 * ratio u^2/(2 var), the log of density at u over density at 0. Belsley: the neuron that has the
 * largest share of the largest condition index, again and again, of the correlation of u averaged
 * over the outputs; it finds copies of neurons, not useless ones, which come last. curvature:
 * params->n values for OBD. rng: for random. */
enum { BNN_ORDER_RANDOM, BNN_ORDER_OBD, BNN_ORDER_RATIO, BNN_ORDER_BELSLEY };
BNNDEF int bnn_drop_order(bnn_arena *mem, size_t *order, const bnn_net *mlp, const bnn_gaussian *g,
                          size_t layer, int kind, const float *curvature, bnn_rng *rng);
/* Belsley, Kuh, Welsch 1980. a: a design X (n,d), n >= d, or with covariance = 1 that of the
 * coefficients (d,d), positive definite: (X'X)^-1 says the same as X. index (1,d) ascending: d_max/
 * d_k of the columns at length 1; share (d,d): row k = what direction k contributes to the variance
 * of each coefficient; columns sum to 1. */
BNNDEF int bnn_belsley(bnn_arena *mem, bnn_mat index, bnn_mat share, bnn_mat a, int covariance);

/* ---- fit: a posterior in one call --------------------------------------------------------------
 *     bnn_posterior p = bnn_fit(&mem, &net, data, (bnn_fit_desc){ 0 });
 *     bnn_predictive y = bnn_predict(&mem, &tape, &net, &p.post, x);
 * Several chains from different starts, each with an arena (out of mem) and a tape of its own, in
 * parallel with -fopenmp, same bits on any number of threads; a step size from the curvature;
 * burn-in found in the trace of U; until the predictions are worth `ess` independent draws, or the
 * budget is spent. Made of what is declared above: outgrow it by copying. It prints nothing and
 * reads no clock. Standardizes a net without scaling (bnn_net_standardize); forward must touch no
 * other parameters than net->params, whose values stay. Priors with shape and rate are drawn from
 * their conditionals. What is wrong with the result is a note: read p.notes. */
enum { BNN_FIT_NUTS = 1, BNN_FIT_HMC,                 /* samplers with all data     */
       BNN_FIT_SGHMC, BNN_FIT_SGLD, BNN_FIT_SGNHT,    /* samplers with minibatches  */
       BNN_FIT_ENSEMBLE, /* a deep ensemble: an optimum per chain */
       BNN_FIT_DROPOUT,  /* optima under dropout masks */
       BNN_FIT_MEANFIELD, BNN_FIT_LAPLACE, BNN_FIT_SWAG };  /* draws around optima */
typedef struct bnn_fit_desc {
    int method;       /* default: SGHMC where rows x weights > 2e6; else HMC, or NUTS for 50 weights
                         and fewer: its trees are worth it where paths are short */
    size_t chains;    /* default 4; BNN_FIT_ENSEMBLE 5 */
    size_t draws;     /* of each chain, at most; default 250, less where memory would be 2^25 */
    size_t batch;     /* of minibatches; default: what keeps their noise small, 100 to 1000 rows */
    float lr;         /* step by hand: lr (odd chains half), or leapfrog step; default: own */
    double gradients; /* budget, in passes over all data (NUTS, HMC) or over a batch; default 4e5,
                         with all data less where rows x weights > 2e5 */
    double ess;       /* target, default 400 */
    bnn_mat probe;    /* rows where predictions are watched, borrowed; default: 8 of the data */
    uint64_t seed;
    int unscaled;     /* 1: no standardization */
    bnn_progress_fn progress; /* (user, gradients, budget) now and then; nonzero cancels */
    void *progress_user;
} bnn_fit_desc;

typedef struct bnn_posterior {
    bnn_ensemble post;     /* chain after chain, `draws` of each */
    int err;               /* why draws are missing: BNN_ECANCEL, a chain's error */
    int reached;           /* 1: ess was reached. 0: read the notes before you use it */
    int method;
    size_t chains, draws;  /* chains that live, draws of each */
    double rhat, ess_bulk, ess_tail;     /* of predictions, the worst of all probe rows */
    double rhat_log_lik, ess_log_lik;    /* of ln p(data|theta) */
    bnn_mat energy;        /* (chains, records): trace of U, the first `burn_in` not used */
    size_t burn_in, thin;  /* steps, or transitions, between two records */
    double temperature;    /* mean of theta dU/dtheta per weight: 1 in equilibrium, or NaN */
    double kinetic;        /* that of velocities, SGHMC and SGNHT; else NaN */
    double noise_ratio;    /* minibatch noise over injected noise, in variance; 0 with all data */
    double accept, divergent, transitions; /* NUTS, HMC: mean acceptance, and how many */
    double ebfmi;          /* the least of the chains: bnn_diag_ebfmi; else NaN */
    double curvature;      /* largest of U/N, where steps come from it; else NaN */
    double step_min, step_max; /* lr or leapfrog step of the chains */
    size_t batch;
    double gradients;      /* used */
    size_t n_notes;
    char (*notes)[BNN_MSG]; /* at most 32 are kept; they went to mem's on_note, too */
    struct bnn__fitting *fit;  /* private */
} bnn_posterior;
BNNDEF bnn_posterior bnn_fit(bnn_arena *mem, bnn_net *net, bnn_data data, bnn_fit_desc desc);
/* Goes on where it ended, also after a cancellation, for a further budget (0 = as before), to twice
 * the ess if that was reached. Samplers only. Twice a budget has the bits of one of both. */
BNNDEF void bnn_fit_more(bnn_posterior *p, double gradients);
#ifndef BNN_NO_STDIO
BNNDEF void bnn_fit_print(const bnn_posterior *p); /* the report, to stdout */
#endif

/* ---- a net as C source -------------------------------------------------------------------------
 * One file of C99 that is C++11, too, without malloc, stdio, data that change, or bnn.h: constants
 * and `int NAME(const float *x, float *mean, float *aleatoric, float *epistemic)`, which answers
 * one row of x in your units as bnn_predict does; the last two may be NULL, and of classes they are
 * one entropy and one mutual information. It returns 0, or 1 where x has NaN or inf, or 2 where an
 * answer is beyond floats. Of a bnn_mlp with its present weights, or with those of an ensemble. */
enum { BNN_EMIT_FLOAT = 1, BNN_EMIT_HALF, BNN_EMIT_INT8 };
typedef struct bnn_emit_desc {
    const char *name; /* default "predict"; an identifier and no keyword of C or C++ */
    int storage;      /* of weights: float, float16, or int8 with a scale per unit, default
                         BNN_EMIT_FLOAT; zeros take no room where that makes it smaller */
    int exact;        /* 1: fmaf, and sums in double: the bits of bnn_predict's mean where that has
                         FMA, but for sin and unequal weights. Otherwise 1e-6 of the largest */
    int scratch;      /* 1: `float *scratch` of NAME_scratch floats comes last, not on the stack */
    const bnn_meanfield *moments; /* of net, without post: bnn_predict_moments instead */
    bnn_mat x;        /* rows on which the error is measured; none: it is not */
    const char *const *inputs, *const *classes; /* names, for two enumerations; may be NULL */
} bnn_emit_desc;
typedef struct bnn_emitted {
    char *text;        /* in mem, with a 0 at the end; NULL after an error */
    size_t size;       /* without that 0 */
    size_t flash, ram; /* bytes of the constants, and of NAME_scratch, wherever it is */
    /* on desc.x beside bnn_predict of net and post, or of 1000 draws of the mean field: largest and
     * root mean square difference of a mean (a probability), share of rows with another class; NaN
     * without rows. What storage costs, and moments: float is as good as the net itself */
    double error, rms, changed;
} bnn_emitted;
BNNDEF bnn_emitted bnn_emit_c(bnn_arena *mem, bnn_tape *t, const bnn_net *net,
                              const bnn_ensemble *post, bnn_emit_desc desc);
#ifndef BNN_NO_STDIO
BNNDEF int bnn_emit_save(bnn_arena *mem, const char *path, const bnn_emitted *c);
#endif

/* ---- files -----------------------------------------------------------------------------------
 * Nothing is trusted: sizes are checked before memory is taken, and values are in the range of
 * their constructors. Writes go to a new file beside the old one that takes its place, its mode and
 * (where allowed) its owner when it is whole and on the disk; a link is followed, and what is no
 * regular file is left alone. Context, path, object, in this order. Errors return the code; the
 * sentence is in mem->msg (or in the msg of the arena of the net being saved) and mem->err is left
 * alone. */
typedef struct bnn_csv {
    bnn_mat values;   /* missing fields are NaN                              */
    char **names;     /* values.cols of them, or NULL without a header       */
    size_t missing;   /* how many                                            */
} bnn_csv;
typedef struct bnn_csv_desc {
    char separator; /* default: comma, semicolon or tab, as the first line has; ' ' = any blanks */
    int header; /* 1 the first line is names, -1 it is not; 0 it is where it is all words, and an
                   error where it has both words and numbers */
    int reject_missing; /* 1: a missing field is an error: empty, ?, -, NA, n/a, #N/A, NULL, None or
                           nan, in any case of letters */
    char decimal;   /* default '.'; 12% is 0.12 */
    char thousands; /* between groups of three digits; default none */
} bnn_csv_desc;
BNNDEF int bnn_csv_parse(bnn_arena *mem, bnn_csv *out, const char *text, size_t size,
                         bnn_csv_desc desc);
/* IDX (MNIST): n items of any shape become (n, rest) with the raw numbers */
BNNDEF int bnn_idx_parse(bnn_arena *mem, bnn_mat *out, const void *bytes, size_t size);

/* What a file holds: nets, steppers, ensembles, generators, mean fields (their nets must be in the
 * same file, for the priors are theirs), bytes of yours (a recipe's); unused places NULL */
typedef struct bnn_bytes {
    void *data;
    size_t size;
} bnn_bytes;
typedef struct bnn_checkpoint {
    bnn_net *nets[4];
    bnn_stepper *steppers[4];
    bnn_ensemble *ensembles[4];
    bnn_rng *rngs[4];
    bnn_meanfield *meanfields[4];
    bnn_bytes *bytes[4]; /* read: data is new memory in mem */
} bnn_checkpoint;
/* Bytes of a file, in mem */
BNNDEF int bnn_checkpoint_write(bnn_arena *mem, const bnn_checkpoint *c, void **bytes,
                                size_t *size);
/* Fills what c points to. A net without params is made anew in mem (bnn_mlp nets only); all others
 * must have the shapes that were saved. All or nothing. */
BNNDEF int bnn_checkpoint_read(bnn_arena *mem, const bnn_checkpoint *c, const void *bytes,
                               size_t size);
/* ---- tables ------------------------------------------------------------------------------------
 * A CSV whose columns are of any kind. Cells keep their text; a recipe makes numbers of it, the
 * same ones for the next table. Columns are found by name, or by number from 1 where no name is the
 * same; lists are names with commas between. */
enum { BNN_COLUMN_NUMBER = 1, BNN_COLUMN_CLASS, BNN_COLUMN_YESNO, BNN_COLUMN_DATE };
enum { BNN_DATE_DAY_FIRST = 1, BNN_DATE_MONTH_FIRST };
typedef struct bnn_column {
    char *name;     /* "1", "2" .. without a header                                   */
    char **cells;   /* text of each row                                               */
    int kind;       /* 0: numbers with words among them, dates of two orders, nothing */
    int dates;      /* of dates: which order they have                                */
    size_t missing; /* how many                                                       */
} bnn_column;
typedef struct bnn_table {
    size_t rows, cols;
    bnn_column *columns;
    size_t *lines;     /* of each row in the file; NULL in a table of yours */
    bnn_csv_desc desc; /* how its numbers are written                       */
    char file[64];     /* for sentences                                     */
} bnn_table;
BNNDEF int bnn_table_parse(bnn_arena *mem, bnn_table *out, const char *text, size_t size,
                           bnn_csv_desc desc);
/* A column behind the others, to write: of m, with as many digits as tell floats apart, NaN empty;
 * or of texts, which are borrowed. The first column gives an empty table its rows. */
BNNDEF void bnn_table_add(bnn_arena *mem, bnn_table *t, const char *name, bnn_mat m, size_t col);
BNNDEF void bnn_table_add_text(bnn_arena *mem, bnn_table *t, const char *name, char **cells);
/* As CSV; bnn_table_save (below) to a file */
BNNDEF int bnn_table_write(bnn_arena *mem, const bnn_table *t, void **bytes, size_t *size);

enum { BNN_MISSING_REFUSE = 1, BNN_MISSING_DROP, BNN_MISSING_MEAN, BNN_MISSING_INDICATOR };
enum { BNN_UNKNOWN_REFUSE = 1, BNN_UNKNOWN_ZERO };
typedef struct bnn_recipe_desc {
    const char *target;  /* column of y; NULL = none                                              */
    const char *inputs;  /* list of the columns of x, default all others                          */
    const char *skip;    /* list of those that are not                                            */
    const char *classes; /* list of columns that are classes though written in numbers            */
    int date_order;      /* of dates that are a day and a month in either order; default: refused */
    int missing;         /* fields of x: default refused; rows dropped; the mean of the column (of
                            classes: frequencies), also with a column of 0 and 1 that says where  */
    int unknown;         /* a class of x that the recipe has not: default refused; all zeros      */
    size_t max_classes;  /* of a column, default 100                                              */
} bnn_recipe_desc;
typedef struct bnn_feature { /* a column of the table and what becomes of it */
    char *name;
    int kind, dates, indicator;
    size_t n_classes;    /* YESNO has two, as first spelled               */
    char **classes;      /* in the order of their bytes                   */
    size_t first, width; /* its columns of x: one, or one for each class; the indicator behind */
    float *mean;         /* of them, over the rows where it is there      */
} bnn_feature;
typedef struct bnn_recipe {
    bnn_feature *inputs, target; /* target.name NULL = none */
    size_t n_inputs, x_cols;
    char **x_names;              /* "age", "city=Rome", "age is missing" */
    int missing, unknown;
} bnn_recipe;
/* Errors of these stick in mem. Dates are days since 1970-01-01; yes, y, true, t, on are 1. */
BNNDEF bnn_recipe bnn_recipe_new(bnn_arena *mem, const bnn_table *t, bnn_recipe_desc desc);
/* x and y (a class: its index); y is empty if the table has no target. rows (t->rows of them, or
 * NULL): which row of the table each row of x is. Columns in another order are found by name, which
 * a note says; so do notes of dropped rows and of unknown classes. */
BNNDEF bnn_data bnn_recipe_data(bnn_arena *mem, const bnn_recipe *r, const bnn_table *t,
                                size_t *rows);
BNNDEF const char *bnn_recipe_label(const bnn_recipe *r, size_t label); /* text; "" = no class */
/* For a checkpoint (.bytes) and back; the arena of the second keeps what is made */
BNNDEF bnn_bytes bnn_recipe_write(bnn_arena *mem, const bnn_recipe *r);
BNNDEF int bnn_recipe_read(bnn_arena *mem, bnn_recipe *r, bnn_bytes bytes);

/* Folds 0 .. k-1 of the rows, at random, whose sizes differ by one at most; stratified: those of
 * each label in y, too. bnn_data_fold copies the rows of a fold, or (others) all but these: 5 folds
 * are 5 splits into 80 and 20 percent. NULL and empty: an error, which sticks in mem. */
BNNDEF size_t *bnn_data_folds(bnn_arena *mem, bnn_data d, size_t k, int stratified, bnn_rng *rng);
BNNDEF bnn_data bnn_data_fold(bnn_arena *mem, bnn_data d, const size_t *folds, size_t fold,
                              int others);

/* ---- NumPy and PyTorch -------------------------------------------------------------------------
 * .npy, .npz (what np.savez writes: members that are not deflated) and .safetensors, told apart by
 * their bytes: any order of axes and bytes, f2 f4 f8, bf16, i1 to i8, u1 to u8, bool, all read as
 * floats. Out: .npy of one array without a name, else .npz. */
enum { BNN_MAX_DIMS = 8 };
typedef struct bnn_array {
    char *name;                       /* "" of a .npy */
    size_t dims, shape[BNN_MAX_DIMS];
    bnn_mat values;                   /* (shape[0], all the rest); (n,1) and (1,1) of fewer axes */
} bnn_array;
typedef struct bnn_arrays {
    bnn_array *at;
    size_t count;
} bnn_arrays;
BNNDEF int bnn_arrays_parse(bnn_arena *mem, bnn_arrays *out, const void *bytes, size_t size);
BNNDEF bnn_array *bnn_arrays_find(const bnn_arrays *a, const char *name); /* NULL: not there */
/* Tensors into the blocks of w from `first` on; `names` is a list. "fc1" without a tensor of that
 * name is fc1.weight and, if it is there, fc1.bias: "0, 2, 4" fills a bnn_mlp from a Sequential.
 * All or nothing; the sentence is in the msg of w's arena. */
enum { BNN_IMPORT_LINEAR = 1, /* default: weights (out, in), as nn.Linear has them, transposed */
       BNN_IMPORT_PLAIN };    /* as they are: (in, out)                                        */
BNNDEF int bnn_params_import(bnn_params *w, size_t first, const bnn_arrays *a, const char *names,
                             int layout);
/* To write; errors stick in mem. _chains: n matrices of (draws, k) become (n, draws, k); _draws:
 * each block of the samples of n ensembles becomes "posterior.NAME", (n, draws, rows, cols). ArviZ:
 * from_dict takes what stands before the first point of a name as the group. */
BNNDEF void bnn_arrays_add(bnn_arena *mem, bnn_arrays *a, const char *name, bnn_mat m);
BNNDEF void bnn_arrays_add_chains(bnn_arena *mem, bnn_arrays *a, const char *name,
                                  const bnn_mat *chains, size_t n);
BNNDEF void bnn_arrays_add_draws(bnn_arena *mem, bnn_arrays *a, const bnn_ensemble *chains,
                                 size_t n);
BNNDEF int bnn_arrays_write(bnn_arena *mem, const bnn_arrays *a, void **bytes, size_t *size);
#ifndef BNN_NO_STDIO
BNNDEF int bnn_csv_load(bnn_arena *mem, const char *path, bnn_csv *out, bnn_csv_desc desc);
BNNDEF int bnn_table_load(bnn_arena *mem, const char *path, bnn_table *out, bnn_csv_desc desc);
BNNDEF int bnn_table_save(bnn_arena *mem, const char *path, const bnn_table *t);
BNNDEF int bnn_arrays_load(bnn_arena *mem, const char *path, bnn_arrays *out);
BNNDEF int bnn_arrays_save(bnn_arena *mem, const char *path, const bnn_arrays *a);
BNNDEF int bnn_idx_load(bnn_arena *mem, const char *path, bnn_mat *out);
BNNDEF int bnn_checkpoint_save(bnn_arena *mem, const char *path, const bnn_checkpoint *c);
BNNDEF int bnn_checkpoint_load(bnn_arena *mem, const char *path, const bnn_checkpoint *c);
BNNDEF int bnn_save(const char *path, const bnn_net *net);
BNNDEF int bnn_load(bnn_arena *mem, const char *path, bnn_net *net); /* net may be zeroed */
#endif

#ifdef __cplusplus
}
#endif
#endif /* BNN_H */

/* ================================================================================================
 * Stop here if you only want the API. Below is the implementation.
 * ============================================================================================= */
#if defined(BNN_IMPLEMENTATION) && !defined(BNN__IMPLEMENTED)
#define BNN__IMPLEMENTED

#include <float.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#ifndef BNN_NO_STDIO
#include <errno.h>
#include <stdio.h>
#endif

/* Same bits: from here to the end of the implementation no a * b + c is contracted to a fused one
 * (gcc does in GNU modes, and obeys only this pragma; clang obeys the standard one) and -ffast-math
 * is off: sums keep their order, and a NaN is a NaN. */
#if defined(__FAST_MATH__) || (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__)
#define BNN__FAST_MATH
#endif
#if defined(__clang__)
#ifdef BNN__FAST_MATH
#pragma float_control(push)
#pragma float_control(precise, on)
#endif
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__) && !defined(__TINYC__)
#pragma GCC push_options
#ifdef BNN__FAST_MATH
#pragma GCC optimize("no-fast-math")
#endif
#pragma GCC optimize("fp-contract=off")
#pragma GCC push_options
#elif defined(_MSC_VER)
#pragma fp_contract(off)
#endif

/* Half of gcc's time at -O2 and above goes where no program does: what follows BNN__COLD is made
 * small and quickly; BNN__WARM is code around the kernels of a step, BNN__WIDE is kernels in lanes,
 * and BNN__HOT ends each. Same bits: nothing here depends on the level. All options stand in one
 * pragma, for each begins anew; one with a level would bring -ffast-math back. */
#if defined(__GNUC__) && !defined(__clang__) && !defined(__TINYC__) && defined(__OPTIMIZE__) && \
    !defined(__OPTIMIZE_SIZE__) && !defined(BNN__FAST_MATH)
#define BNN__PRAGMA(x) _Pragma(#x)
#define BNN__OPTIMIZE(...) BNN__HOT BNN__PRAGMA(GCC optimize(__VA_ARGS__))
#define BNN__LEAN "no-gcse", "no-tree-pre", "no-tree-pta", "no-tree-vrp", "no-thread-jumps", \
    "no-schedule-insns2", "no-code-hoisting", "no-tree-slp-vectorize"
#define BNN__HOT _Pragma("GCC pop_options") _Pragma("GCC push_options")
#define BNN__WIDE BNN__OPTIMIZE("O2", BNN__LEAN)
#define BNN__WARM BNN__OPTIMIZE("O2", BNN__LEAN, "no-expensive-optimizations", \
    "no-align-functions", "no-align-loops", "no-align-jumps", "no-align-labels")
#define BNN__COLD BNN__OPTIMIZE("Os", BNN__LEAN, "no-expensive-optimizations", "no-ivopts")
#else
#define BNN__HOT
#define BNN__WIDE
#define BNN__WARM
#define BNN__COLD
#endif

#ifndef BNN_ASSERT
#define BNN_ASSERT(x) ((void)0) /* internal invariants only, never user input */
#endif

#if defined(__GNUC__) || defined(__clang__) || defined(_MSC_VER)
#define BNN__RESTRICT __restrict
#else
#define BNN__RESTRICT
#endif

#define BNN__PI 3.14159265358979323846
#define BNN__LN_2PI 1.83787706640934548356
#define BNN__NONE ((size_t)-1) /* no index */

/* ------------------------------------------------------------------------------------------------
 * >>base: messages, sizes, finiteness
 * --------------------------------------------------------------------------------------------- */

static double bnn__of_bits(uint64_t bits) {
    double d;
    memcpy(&d, &bits, sizeof d);
    return d;
}
static double bnn__nan(void) { return bnn__of_bits((uint64_t)0x7ff80000u << 32); }
static double bnn__inf(void) { return bnn__of_bits((uint64_t)0x7ff00000u << 32); }

/* On bits, so that -ffast-math cannot argue it away. */
static int bnn__finite_d(double x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return ((bits >> 52) & 0x7ff) != 0x7ff;
}

static int bnn__is_nan(double x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return (bits << 1) > (uint64_t)0xffe00000u << 32;
}

static int bnn__finite(float x) { return bnn__finite_d((double)x); }

/* Products of sizes: one place that cannot overflow. SIZE_MAX stands for "too large". */
static size_t bnn__mul(size_t a, size_t b) {
    if ((a | b) >> (sizeof(size_t) * CHAR_BIT / 2) == 0) return a * b; /* mostly: no division */
    return b != 0 && a > SIZE_MAX / b ? SIZE_MAX : a * b;
}

/* A field of a desc: 0 = the default, BNN_ZERO = 0 */
static float bnn__or(float value, double standard) {
    return value == 0 ? (float)standard : value == (float)BNN_ZERO ? 0 : value;
}

static void bnn__put(char *msg, size_t *n, const char *s) {
    while (*s != '\0' && *n + 1 < (size_t)BNN_MSG) msg[(*n)++] = *s++;
}

static void bnn__put_size(char *msg, size_t *n, size_t v) {
    char digits[24];
    size_t i = sizeof digits - 1;
    digits[i] = '\0';
    do digits[--i] = (char)('0' + (int)(v % 10)); while ((v /= 10) != 0);
    bnn__put(msg, n, digits + i);
}

/* Six digits, enough for a sentence: 0.001 to 999999 as they are, others as 1.5e-8 */
static void bnn__put_real(char *msg, size_t *n, double v) {
    int exponent = 0, plain, i;
    size_t digits, unit = 100000;
    if (!bnn__finite_d(v)) {
        bnn__put(msg, n, v > 0 ? "inf" : v < 0 ? "-inf" : "nan");
        return;
    }
    if (v < 0) bnn__put(msg, n, "-");
    v = v < 0 ? -v : v;
    for (; v >= 10; exponent++) v /= 10;
    for (; v > 0 && v < 1; exponent--) v *= 10;
    digits = (size_t)(v * (double)unit + 0.5);
    if (digits >= 10 * unit) digits = unit, exponent++; /* 9.999999 is 10 */
    plain = exponent >= -3 && exponent < 6;
    for (i = plain ? exponent : 0; i > 0; i--) unit /= 10;
    for (; i < 0; i++) unit *= 10;
    bnn__put_size(msg, n, digits / unit);
    if (digits % unit != 0) bnn__put(msg, n, ".");
    for (digits %= unit; digits != 0; digits = digits * 10 % unit)
        bnn__put_size(msg, n, digits * 10 / unit);
    if (plain) return;
    bnn__put(msg, n, exponent < 0 ? "e-" : "e");
    bnn__put_size(msg, n, (size_t)(exponent < 0 ? -exponent : exponent));
}

/* The little of printf that error sentences need, without stdio: %s string, %z size_t, %d int,
 * %g double. Cuts at BNN_MSG. */
static void bnn__vformat(char *msg, const char *fmt, va_list args) {
    size_t n = 0;
    for (; *fmt != '\0'; fmt++) {
        char one[2] = { *fmt, '\0' };
        if (*fmt != '%') {
            bnn__put(msg, &n, one);
            continue;
        }
        switch (*++fmt) {
        case 's': bnn__put(msg, &n, va_arg(args, const char *)); break;
        case 'z': bnn__put_size(msg, &n, va_arg(args, size_t)); break;
        case 'd': {
            int d = va_arg(args, int);
            if (d < 0) bnn__put(msg, &n, "-");
            bnn__put_size(msg, &n, d < 0 ? (size_t)0 - (size_t)d : (size_t)d);
            break;
        }
        default: bnn__put_real(msg, &n, va_arg(args, double)); break;
        }
    }
    msg[n] = '\0';
}

BNNDEF int bnn_version(void) { return BNN_VERSION; }

BNNDEF const char *bnn_strerror(int err) {
    static const char text[][32] = { "no error", "out of memory", "shapes do not fit",
        "argument outside its domain", "not a finite number", "input or output failed",
        "wrong file format", "canceled" };
    return err >= 0 && err <= BNN_ECANCEL ? text[err] : "unknown error";
}

/* ------------------------------------------------------------------------------------------------
 * >>arena: chunks over one allocator function
 * --------------------------------------------------------------------------------------------- */

typedef struct bnn__chunk bnn__chunk;
struct bnn__chunk {
    bnn__chunk *older, *newer; /* newer chunks are kept by a rewind and used again */
    size_t size;               /* bytes behind `base`                              */
    unsigned char *base;       /* aligned                                          */
    void *raw;                 /* what the allocator gave; NULL = the caller's buffer */
    size_t raw_size;
};

enum { BNN__ALIGN = 64, BNN__CHUNK = 1 << 16 };

static void *bnn__default_alloc(void *user, void *ptr, size_t old_size, size_t new_size) {
    (void)user, (void)old_size;
    if (new_size != 0) return realloc(ptr, new_size);
    free(ptr);
    return NULL;
}

static int bnn__arena_fail(bnn_arena *mem, int err, const char *fmt, ...) { /* sticky */
    va_list args;
    if (mem == NULL) return err;
    if (mem->err != BNN_OK) return mem->err;
    mem->err = err;
    va_start(args, fmt);
    bnn__vformat(mem->msg, fmt, args);
    va_end(args);
    return err;
}

/* A sentence that does not stick. Where an error has stuck, the sentence there is the error's. */
static int bnn__arena_say(bnn_arena *mem, int err, const char *fmt, ...) {
    va_list args;
    if (mem == NULL || mem->err != BNN_OK) return err;
    va_start(args, fmt);
    bnn__vformat(mem->msg, fmt, args);
    va_end(args);
    return err;
}

static void bnn__note_to(char *note, size_t *notes, bnn_note_fn fn, void *user, const char *fmt,
                         va_list args) {
    char text[BNN_MSG];
    bnn__vformat(text, fmt, args);
    if ((*notes)++ == 0) memcpy(note, text, sizeof text);
    if (fn != NULL) fn(user, text);
}

static void bnn__arena_note(bnn_arena *mem, const char *fmt, ...) {
    va_list args;
    if (mem == NULL) return;
    va_start(args, fmt);
    bnn__note_to(mem->note, &mem->notes, mem->on_note, mem->note_user, fmt, args);
    va_end(args);
}

static unsigned char *bnn__align_up(unsigned char *p) {
    return p + ((BNN__ALIGN - (uintptr_t)p % BNN__ALIGN) % BNN__ALIGN);
}

/* A chunk's header sits at the front of its own memory. NULL if it does not fit. */
static bnn__chunk *bnn__chunk_place(void *raw, size_t size) {
    unsigned char *head = bnn__align_up((unsigned char *)raw);
    size_t lost = (size_t)(head - (unsigned char *)raw);
    bnn__chunk *c = (bnn__chunk *)(void *)head;
    size_t header = (sizeof(bnn__chunk) + BNN__ALIGN - 1) / BNN__ALIGN * BNN__ALIGN;
    if (size < lost + header) return NULL;
    memset(c, 0, sizeof *c);
    c->base = head + header;
    c->size = size - lost - header;
    return c;
}

/* The caller's buffer, which is the only one, or what the allocator gives */
static bnn__chunk *bnn__chunk_new(bnn_arena *mem, size_t bytes) {
    size_t total = mem->chunk == NULL ? (size_t)BNN__CHUNK : bnn__mul(mem->chunk->size, 2);
    bnn__chunk *c = NULL;
    void *raw;
    if (mem->buffer != NULL) {
        if (mem->chunk == NULL) c = bnn__chunk_place(mem->buffer, mem->capacity);
        if (c != NULL && c->size >= bytes) return c;
        bnn__arena_fail(mem, BNN_ENOMEM, "arena: the buffer of %z bytes cannot hold another %z",
                        mem->capacity, bytes);
        return NULL;
    }
    if (total > (size_t)1 << 26) total = (size_t)1 << 26; /* doubling ends at 64 MiB */
    if (total < bytes + 4 * BNN__ALIGN) total = bytes + 4 * BNN__ALIGN;
    if (mem->alloc.fn == NULL) mem->alloc.fn = bnn__default_alloc;
    raw = mem->alloc.fn(mem->alloc.user, NULL, 0, total);
    if (raw == NULL) {
        bnn__arena_fail(mem, BNN_ENOMEM, "arena: out of memory for %z bytes", total);
        return NULL;
    }
    c = bnn__chunk_place(raw, total);
    c->raw = raw, c->raw_size = total;
    return c;
}

static int bnn__arena_grow(bnn_arena *mem, size_t bytes) {
    bnn__chunk *c = mem->chunk == NULL ? NULL : mem->chunk->newer;
    while (c != NULL && c->size < bytes) c = c->newer; /* kept by a rewind: use it again */
    if (c == NULL) {
        c = bnn__chunk_new(mem, bytes);
        if (c == NULL) return 0;
        c->older = mem->chunk;
        if (mem->chunk != NULL) { /* insert, so that smaller kept chunks are not lost */
            c->newer = mem->chunk->newer;
            if (c->newer != NULL) c->newer->older = c;
            mem->chunk->newer = c;
        }
    }
    mem->chunk = c, mem->used = 0;
    return 1;
}

/* Uninitialized memory, 64-byte aligned; NULL = err is set (also when it was set before). */
static void *bnn__arena_take(bnn_arena *mem, size_t count, size_t size) {
    size_t bytes = bnn__mul(count, size);
    void *p;
    if (mem == NULL || mem->err != BNN_OK) return NULL;
    if (bytes > SIZE_MAX / 2) {
        bnn__arena_fail(mem, BNN_ENOMEM, "arena: %z x %z bytes overflow", count, size);
        return NULL;
    }
    bytes = ((bytes > 0 ? bytes : 1) + BNN__ALIGN - 1) / BNN__ALIGN * BNN__ALIGN;
    if ((mem->chunk == NULL || mem->chunk->size - mem->used < bytes) &&
        !bnn__arena_grow(mem, bytes)) return NULL;
    p = mem->chunk->base + mem->used;
    mem->used += bytes;
    return p;
}

BNNDEF void *bnn_arena_alloc(bnn_arena *mem, size_t count, size_t size) {
    void *p = bnn__arena_take(mem, count, size);
    size_t bytes = bnn__mul(count, size);
    if (p != NULL && bytes <= SIZE_MAX / 2) memset(p, 0, bytes); /* take has refused more */
    return p;
}

BNNDEF bnn_mark bnn_arena_mark(const bnn_arena *mem) {
    bnn_mark m;
    m.chunk = mem->chunk, m.used = mem->used;
    return m;
}

BNNDEF void bnn_arena_rewind(bnn_arena *mem, bnn_mark mark) {
    if (mark.chunk != NULL) mem->chunk = mark.chunk;
    else while (mem->chunk != NULL && mem->chunk->older != NULL) mem->chunk = mem->chunk->older;
    mem->used = mark.used;
}

BNNDEF void bnn_arena_free(bnn_arena *mem) {
    bnn__chunk *c = mem->chunk;
    while (c != NULL && c->newer != NULL) c = c->newer;
    while (c != NULL) {
        bnn__chunk *older = c->older;
        if (c->raw != NULL) mem->alloc.fn(mem->alloc.user, c->raw, c->raw_size, 0);
        c = older;
    }
    mem->chunk = NULL;
    mem->used = 0;
    mem->err = BNN_OK;
    mem->msg[0] = '\0';
}

BNNDEF size_t bnn_arena_used(const bnn_arena *mem) {
    const bnn__chunk *c = mem->chunk == NULL ? NULL : mem->chunk->older;
    size_t total = mem->used;
    for (; c != NULL; c = c->older) total += c->size;
    return total;
}

BNNDEF size_t bnn_arena_size(const bnn_arena *mem) {
    const bnn__chunk *c = mem->chunk;
    size_t total = 0;
    while (c != NULL && c->newer != NULL) c = c->newer;
    for (; c != NULL; c = c->older) total += c->raw_size;
    return total;
}
/* ================================================================================================
 * >>kernels  The inner loops: matrix product, elementary functions, random numbers, updates of
 * parameters. The only part of this file that knows about instruction sets.
 *
 * One text, many widths. A kernel is a macro over S, the number of float lanes: S = 1 is plain C,
 * S = 4, 8, 16 are GNU vectors of 16, 32, 64 bytes, and every operator means the same for both. A
 * function attribute makes the compiler use wider registers for the wider instances, so a plain
 * `cc -O2` is fast; bnn__cpu() picks an instance at run time.
 *
 * Same bits everywhere. Lanes are different outputs, never partial sums of one output. Elementary
 * functions, random numbers and updates use only IEEE + - * / sqrt in the order written, so all
 * widths, compilers and machines agree. The matrix product is one chain of fused multiply-adds per
 * output where there is an FMA unit, multiply and add elsewhere. Two things can break this from
 * outside: clang's -ffast-math, and compilers that compute floats with extra digits (32-bit x86
 * without SSE2; gcc -std=c99 on s390x, cured by -fexcess-precision=fast).
 * ============================================================================================= */

/* >>target  What may be compiled, and what runs.
 *   double build (tests: #define float double), BNN_NO_SIMD, tcc, MSVC, 32-bit x86 without SSE2,
 *   gcc before 9, big-endian: plain loops only. */
#if defined(float) || defined(BNN_NO_SIMD) || !defined(__GNUC__) || defined(__TINYC__) || \
    (__GNUC__ < 9 && !defined(__clang__)) || (defined(__i386__) && !defined(__SSE2_MATH__)) || \
    !defined(__BYTE_ORDER__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#define BNN__SIMD 0
/*   x86-64: 8 lanes (AVX2 + FMA), and 16 (AVX-512) for random numbers, products and the commonest
 *   functions, by function attribute. Machines before 2013 take the plain loops. */
#elif defined(__x86_64__)
#define BNN__SIMD 16
/*   elsewhere: 4 lanes; on AArch64 with FMA, other machines as the compiler can. */
#else
#define BNN__SIMD 4
#endif
#if defined(__GNUC__) && !defined(__TINYC__)
#define BNN__UNUSED __attribute__((unused))
#define BNN__INLINE static inline __attribute__((always_inline, unused))
#define BNN__CALLED static __attribute__((noinline, unused)) /* once for all of its callers */
#else
#define BNN__UNUSED
#define BNN__CALLED static
#define BNN__INLINE static inline
#endif
/* A helper of one width: where its text is long, inlined for vectors, called for scalars */
#define BNN__FN_1 BNN__UNUSED static
#define BNN__FN_4 BNN__INLINE BNN__AT_4
#define BNN__FN_8 BNN__INLINE BNN__AT_8
#define BNN__FN_16 BNN__INLINE BNN__AT_16
#define BNN__AT_1
#define BNN__AT_4
#define BNN__AT_8 __attribute__((target("avx2,fma")))
#define BNN__AT_16 __attribute__((target("avx2,fma,avx512f,avx512vl,avx512bw,avx512dq")))

/* Lanes to use, asked once. Writing the same answer twice is harmless, so relaxed order will do.
 * Tests assign 1, 4, 8 or 16 to force an instance (x86-64 has no 4: plain). */
BNN__UNUSED static int bnn__cpu_level;

#if BNN__SIMD == 16
static int bnn__cpu_ask(void) {
    unsigned a = 0, b, c = 0, d, f, x, xh;
    __asm__ __volatile__("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    if (a < 7) return 1;
    a = 1, c = 0;
    __asm__ __volatile__("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    f = c;
    if ((f >> 27 & 1) == 0) return 1;               /* OSXSAVE: may we ask what the OS saves? */
    __asm__ __volatile__(".byte 0x0f, 0x01, 0xd0" : "=a"(x), "=d"(xh) : "c"(0)); /* xgetbv */
    a = 7, c = 0;
    __asm__ __volatile__("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    if ((f >> 12 & f >> 28 & b >> 5 & 1) == 0 || (x & 0x06) != 0x06) return 1; /* FMA AVX AVX2 */
    if ((b >> 16 & b >> 17 & b >> 30 & b >> 31 & 1) == 0 || (x & 0xe6) != 0xe6) return 8;
    return 16;                                      /* F, DQ, BW, VL, and the OS saves ZMM */
}
#endif
BNN__CALLED int bnn__cpu(void) {
#if BNN__SIMD == 16
    int level = __atomic_load_n(&bnn__cpu_level, __ATOMIC_RELAXED);
    if (level == 0) {
        level = bnn__cpu_ask();
        __atomic_store_n(&bnn__cpu_level, level, __ATOMIC_RELAXED);
    }
    return level;
#elif BNN__SIMD == 4
    return bnn__cpu_level == 1 ? 1 : 4;
#else
    return 1;
#endif
}
/* The instance to run: of a pass, and of what has 16 lanes too where they pay */
#if BNN__SIMD == 16
#define BNN__PICK(f) (bnn__cpu() >= 8 ? f##_8 : f##_1)
#define BNN__PICK16(f) (bnn__cpu() == 16 ? f##_16 : BNN__PICK(f))
#elif BNN__SIMD == 4
#define BNN__PICK(f) (bnn__cpu() == 4 ? f##_4 : f##_1)
#define BNN__PICK16(f) BNN__PICK(f)
#else
#define BNN__PICK(f) f##_1
#define BNN__PICK16(f) f##_1
#endif
#define BNN__TASK ((size_t)1 << 15)     /* elements of a pass that one thread takes at a time */
#if defined(_OPENMP)
#include <omp.h>
#define BNN__PARALLEL(cond) _Pragma(BNN__STR(omp parallel for if (cond)))
#define BNN__ATOMIC _Pragma(BNN__STR(omp atomic write))
#define BNN__STR(x) BNN__STR_(x)
#define BNN__STR_(x) #x
#else
#define BNN__PARALLEL(cond)
#define BNN__ATOMIC
#endif

/* >>primitives  f, i, u: float, int32_t, uint32_t lanes. A comparison yields all ones or zero in a
 * u, and sel(m, a, b) takes a where m is set. Loads and stores need no alignment. */
typedef float bnn__f1;
typedef int32_t bnn__i1;
typedef uint32_t bnn__u1;
BNN__INLINE float bnn__ld_1(const float *p) { return *p; }
BNN__INLINE void bnn__st_1(float *p, float x) { *p = x; }
BNN__INLINE uint32_t bnn__ldu_1(const uint32_t *p) { return *p; }
BNN__INLINE float bnn__set_1(float x) { return x; }
#if defined(BNN__FAST_MATH) /* gcc: x86 may still take a < NaN for true */
#if defined(float)
BNN__INLINE uint32_t bnn__nan_1(float a) {
    uint64_t u, inf = (uint64_t)0x7ff00000u << 32;
    memcpy(&u, &a, sizeof u);
    return 0u - (uint32_t)((inf - (u & ~((uint64_t)1 << 63))) >> 63);
}
#else
BNN__INLINE uint32_t bnn__nan_1(float a) {
    uint32_t u;
    memcpy(&u, &a, sizeof u);
    return 0u - ((0x7f800000u - (u & 0x7fffffffu)) >> 31);
}
#endif
#define BNN__NAN_S(x, S) (0u - ((0x7f800000u - (bnn__bits_##S(x) & 0x7fffffffu)) >> 31))
#define BNN__LT(a, b, S) & ~bnn__nan_##S(a) & ~bnn__nan_##S(b)
#else
BNN__INLINE uint32_t bnn__nan_1(float a) { return 0u - (uint32_t)(a != a); }
#define BNN__NAN_S(x, S) (bnn__u##S)(x != x)
#define BNN__LT(a, b, S)
#endif
BNN__INLINE uint32_t bnn__lt_1(float a, float b) {
    return (0u - (uint32_t)(a < b)) BNN__LT(a, b, 1);
}
BNN__INLINE float bnn__sel_1(uint32_t m, float a, float b) { return m ? a : b; }
BNN__INLINE float bnn__flt_1(int32_t i) { return (float)i; }

BNN__WIDE
/* >>math  Own elementary functions, after Cephes (Moshier 1989) where not said otherwise: reduce
 * the argument, polynomial, rebuild. Largest error over all floats, in units of the last place:
 * exp 1.0, log 0.86, tanh 2.45, sigmoid 2.45, softplus 1.7, expm1 1.6, log1p 2.45, erf 1.2,
 * sqrt 0.5; sin and cos 2.4 for |x| <= 30 and above 1e5, between them 1.2e-7 absolutely. NaN gives
 * NaN, overflow infinity, denormals and signed zeros are right, sin and cos of infinity are NaN.
 *
 * Hooks: define any of BNN_MATH_EXP, _LOG, _TANH, _SIN, _COS, _ERF, _EXPM1, _LOG1P, _SQRT as a
 * function or macro of one float, and all of them are used, in plain loops, in place of this
 * section; those you do not define are libm's. So does the double build. */
#if defined(float) || defined(BNN_MATH_EXP) || defined(BNN_MATH_LOG) || defined(BNN_MATH_TANH) || \
    defined(BNN_MATH_SIN) || defined(BNN_MATH_COS) || defined(BNN_MATH_ERF) || \
    defined(BNN_MATH_EXPM1) || \
    defined(BNN_MATH_LOG1P) || defined(BNN_MATH_SQRT)
#define BNN__HOOKS 1
#if defined(float)
#define BNN__LIBM(name) name            /* float is double, so exp and not expf */
#else
#define BNN__LIBM(name) name##f
#endif
#ifndef BNN_MATH_EXP
#define BNN_MATH_EXP BNN__LIBM(exp)
#endif
#ifndef BNN_MATH_LOG
#define BNN_MATH_LOG BNN__LIBM(log)
#endif
#ifndef BNN_MATH_TANH
#define BNN_MATH_TANH BNN__LIBM(tanh)
#endif
#ifndef BNN_MATH_SIN
#define BNN_MATH_SIN BNN__LIBM(sin)
#endif
#ifndef BNN_MATH_COS
#define BNN_MATH_COS BNN__LIBM(cos)
#endif
#ifndef BNN_MATH_ERF
#define BNN_MATH_ERF BNN__LIBM(erf)
#endif
#ifndef BNN_MATH_EXPM1
#define BNN_MATH_EXPM1 BNN__LIBM(expm1)
#endif
#ifndef BNN_MATH_LOG1P
#define BNN_MATH_LOG1P BNN__LIBM(log1p)
#endif
#ifndef BNN_MATH_SQRT
#define BNN_MATH_SQRT BNN__LIBM(sqrt)
#endif
#else
#define BNN__HOOKS 0
#define BNN_MATH_EXP bnn__exp_1
#define BNN_MATH_LOG bnn__log_1
#define BNN_MATH_TANH bnn__tanh_1
#define BNN_MATH_SIN(x) bnn__trig(x, 0)
#define BNN_MATH_COS(x) bnn__trig(x, 1)
#define BNN_MATH_ERF bnn__erf_1
#define BNN_MATH_EXPM1 bnn__expm1_1
#define BNN_MATH_LOG1P bnn__log1p_1
#define BNN_MATH_SQRT sqrtf                  /* IEEE: correctly rounded everywhere */
#endif
BNN__INLINE float bnn__sqrt_1(float x) { return BNN_MATH_SQRT(x); }

#if BNN__HOOKS
#define BNN__PICKM(f) f##_1
#define BNN__PICKM16(f) f##_1
#define BNN__ONE ((float)1)
BNN__INLINE float bnn__exp_1(float x) { return BNN_MATH_EXP(x); }
BNN__INLINE float bnn__log_1(float x) { return BNN_MATH_LOG(x); }
BNN__INLINE float bnn__tanh_1(float x) { return BNN_MATH_TANH(x); }
BNN__INLINE float bnn__sin_1(float x) { return BNN_MATH_SIN(x); }
BNN__INLINE float bnn__cos_1(float x) { return BNN_MATH_COS(x); }
BNN__INLINE float bnn__erf_1(float x) { return BNN_MATH_ERF(x); }
BNN__INLINE float bnn__expm1_1(float x) { return BNN_MATH_EXPM1(x); }
BNN__INLINE float bnn__log1p_1(float x) { return BNN_MATH_LOG1P(x); }
BNN__INLINE float bnn__sigmoid_1(float x) {
    float e = BNN_MATH_EXP(x < 0 ? x : -x);
    return (x < 0 ? e : BNN__ONE) / (BNN__ONE + e);
}
BNN__INLINE float bnn__softplus_1(float x) {
    return (x > 0 ? x : 0) + BNN_MATH_LOG1P(BNN_MATH_EXP(x < 0 ? x : -x));
}
BNN__INLINE float bnn__soft_1(float x) { return bnn__softplus_1(x); }
BNN__INLINE float bnn__slope_1(float v) { return -BNN_MATH_EXPM1(-v); }
#else
#define BNN__PICKM(f) BNN__PICK(f)
#define BNN__PICKM16(f) BNN__PICK16(f)
BNN__INLINE uint32_t bnn__bits_1(float x) { uint32_t u; memcpy(&u, &x, sizeof u); return u; }
BNN__INLINE float bnn__val_1(uint32_t u) { float x; memcpy(&x, &u, sizeof x); return x; }
BNN__INLINE int32_t bnn__int_1(float x) { return (int32_t)x; }
#endif

#define BNN__MATH(S, F, I, U)                                                                    \
BNN__INLINE BNN__AT_##S F bnn__abs_##S(F x) {                                                    \
    return bnn__val_##S(bnn__bits_##S(x) & 0x7fffffffu);                                         \
}                                                                                                \
BNN__INLINE BNN__AT_##S F bnn__sign_##S(F x, F of) {      /* x >= 0 with the sign of `of` */     \
    return bnn__val_##S(bnn__bits_##S(x) | (bnn__bits_##S(of) & 0x80000000u));                   \
}                                                                                                \
BNN__INLINE BNN__AT_##S I bnn__round_##S(F x) {           /* |x| < 2^31; ties away from 0 */     \
    return bnn__int_##S(x + bnn__sign_##S(bnn__set_##S(0.5f), x));                               \
}                                                                                                \
BNN__INLINE BNN__AT_##S F bnn__pow2_##S(I n) {            /* -126 <= n <= 127 */                 \
    return bnn__val_##S((U)(n + 127) << 23);                                                     \
}                                                                                                \
BNN__INLINE BNN__AT_##S F bnn__clamp_##S(F x, float lo, float hi) {  /* NaN gives lo */          \
    F l = bnn__set_##S(lo), h = bnn__set_##S(hi), y = bnn__sel_##S(bnn__lt_##S(l, x), x, l);     \
    return bnn__sel_##S(bnn__lt_##S(y, h), y, h);                                                \
}                                                                                                \
/* x = n ln 2 + r, |r| <= ln(2)/2; the part of e^r - 1, and n */                                 \
BNN__INLINE BNN__AT_##S F bnn__expr_##S(F x, I *n) {                                             \
    I i = bnn__round_##S(x * 1.44269504f);                                                       \
    F k = bnn__flt_##S(i), r = (x - k * 0.693359375f) - k * -2.12194440e-4f, p;                  \
    p = r * 1.9875691500e-4f + 1.3981999507e-3f;                                                 \
    p = p * r + 8.3334519073e-3f;                                                                \
    p = p * r + 4.1665795894e-2f;                                                                \
    p = p * r + 1.6666665459e-1f;                                                                \
    p = p * r + 5.0000001201e-1f;                                                                \
    *n = i;                                                                                      \
    return p * (r * r) + r;                                                                      \
}                                                                                                \
BNN__FN_##S F bnn__exp_##S(F x) {                                                                \
    I n;                                                                                         \
    F y = bnn__expr_##S(bnn__clamp_##S(x, -104.0f, 89.0f), &n) + 1.0f;                           \
    y = y * bnn__pow2_##S(n >> 1) * bnn__pow2_##S(n - (n >> 1));   /* one rounding if denormal */\
    return bnn__sel_##S(bnn__nan_##S(x), x, y);                                                  \
}                                                                                                \
/* e^x - 1 for -88 < x < 89: 2^n (e^r - 1) + (2^n - 1), halved so that n = 128 is no overflow */ \
BNN__INLINE BNN__AT_##S F bnn__em1_##S(F x) {                                                    \
    I n;                                                                                         \
    F y = bnn__expr_##S(x, &n), h = bnn__pow2_##S(n - 1);                                        \
    return (y * h + (h - 0.5f)) * 2.0f;                                                          \
}                                                                                                \
BNN__FN_##S F bnn__expm1_##S(F x) {                                                              \
    F y = bnn__em1_##S(bnn__clamp_##S(x, -30.0f, 89.0f));                                        \
    U tiny = bnn__lt_##S(bnn__abs_##S(x), bnn__set_##S(1e-10f));                                 \
    return bnn__sel_##S(tiny | bnn__nan_##S(x), x, y);                                           \
}                                                                                                \
/* tanh a = (e^2a - 1)/(e^2a + 1) */                                                             \
BNN__FN_##S F bnn__tanh_##S(F x) {                                                               \
    F a = bnn__clamp_##S(bnn__abs_##S(x), 0.0f, 10.0f), t = bnn__em1_##S(a + a);                 \
    t = bnn__sel_##S(bnn__lt_##S(a, bnn__set_##S(1e-10f)), a, t / (t + 2.0f));                   \
    return bnn__sel_##S(bnn__nan_##S(x), x, bnn__sign_##S(t, x));                                \
}                                                                                                \
BNN__FN_##S F bnn__sigmoid_##S(F x) {                                                            \
    F one = bnn__set_##S(1.0f), e = bnn__exp_##S(-bnn__abs_##S(x));                              \
    return bnn__sel_##S(bnn__lt_##S(x, bnn__set_##S(0.0f)), e, one) / (one + e);                 \
}                                                                                                \
/* e ln 2 + ln(1 + f), sqrt(1/2) - 1 <= f <= sqrt(2) - 1 */                                      \
BNN__INLINE BNN__AT_##S F bnn__logfe_##S(F f, F e) {                                             \
    F z = f * f, p = f * 7.0376836292e-2f - 1.1514610310e-1f;                                    \
    p = p * f + 1.1676998740e-1f;                                                                \
    p = p * f - 1.2420140846e-1f;                                                                \
    p = p * f + 1.4249322787e-1f;                                                                \
    p = p * f - 1.6668057665e-1f;                                                                \
    p = p * f + 2.0000714765e-1f;                                                                \
    p = p * f - 2.4999993993e-1f;                                                                \
    p = p * f + 3.3333331174e-1f;                                                                \
    p = p * f * z + e * -2.12194440e-4f;                                                         \
    return (f + (p - z * 0.5f)) + e * 0.693359375f;                                              \
}                                                                                                \
/* the number with bits b, positive and not denormal, times 2^shift */                           \
BNN__INLINE BNN__AT_##S F bnn__logb_##S(U b, F shift) {                                          \
    U d = (U)((I)(b - 0x3f3504f3u) >> 23);                         /* exponent over sqrt(1/2) */ \
    return bnn__logfe_##S(bnn__val_##S(b - (d << 23)) - 1.0f, bnn__flt_##S((I)d) + shift);       \
}                                                                                                \
BNN__FN_##S F bnn__log_##S(F x) {                                                                \
    F zero = bnn__set_##S(0.0f), inf = bnn__val_##S(bnn__bits_##S(zero) | 0x7f800000u), y;       \
    U sub = bnn__lt_##S(x, bnn__set_##S(1.17549435e-38f));         /* denormals times 2^25 */    \
    y = bnn__logb_##S(bnn__bits_##S(bnn__sel_##S(sub, x * 33554432.0f, x)),                      \
                      bnn__sel_##S(sub, bnn__set_##S(-25.0f), zero));                            \
    y = bnn__sel_##S(bnn__lt_##S(x, inf), y, x + x);               /* inf and NaN */             \
    y = bnn__sel_##S(bnn__lt_##S(zero, x) | bnn__nan_##S(x), y, -inf);                           \
    return bnn__sel_##S(bnn__lt_##S(x, zero), bnn__val_##S(bnn__bits_##S(inf) | 0x400000u), y);  \
}                                                                                                \
BNN__FN_##S F bnn__log1p_##S(F x) {                                                              \
    F zero = bnn__set_##S(0.0f);                                                                 \
    U nigh = bnn__lt_##S(bnn__set_##S(-0.29f), x) & bnn__lt_##S(x, bnn__set_##S(0.41f));         \
    F y = bnn__logfe_##S(bnn__sel_##S(nigh, x, zero), zero);                                     \
    y = bnn__sel_##S(nigh, y, bnn__log_##S(x + 1.0f));                                           \
    return bnn__sel_##S(bnn__lt_##S(bnn__abs_##S(x), bnn__set_##S(1e-10f)), x, y);               \
}                                                                                                \
/* max(x, 0) + ln(1 + e), e = exp(-|x|) <= 1; ln(1 + e) = ln 2 + ln(1 + (e - 1)/2) */            \
BNN__FN_##S F bnn__softplus_##S(F x) {                                                           \
    F zero = bnn__set_##S(0.0f), e = bnn__exp_##S(-bnn__abs_##S(x));                             \
    U big = bnn__lt_##S(bnn__set_##S(0.41421357f), e);                                           \
    F y = bnn__logfe_##S(bnn__sel_##S(big, (e - 1.0f) * 0.5f, e),                                \
                         bnn__sel_##S(big, bnn__set_##S(1.0f), zero));                           \
    return bnn__sel_##S(bnn__lt_##S(zero, x), x, zero) + y;                                      \
}                                                                                                \
/* softplus and its slope for the scales of >>meanfield, which every weight needs every step: no \
 * denormals, half the work. soft(x), x > -80: e = exp(-|x|), ln(1 + e) = 2 atanh(e/(e + 2)).    \
 * slope(v) = 1 - exp(-v), v > 0. Errors below 4e-7 of the value. NaN gives NaN. */              \
BNN__INLINE BNN__AT_##S F bnn__soft_##S(F x) {                                                   \
    F a = bnn__abs_##S(x), m = bnn__set_##S(12582912.0f), z, w, r, t, k, p;                      \
    a = bnn__sel_##S(bnn__lt_##S(a, bnn__set_##S(80.0f)), a, bnn__set_##S(80.0f));               \
    t = m - a * 1.44269504f, k = t - m;          /* m + the nearest whole number, in its bits */ \
    r = (bnn__set_##S(0.0f) - a) - k * 0.693359375f + k * 2.12194440e-4f;                        \
    p = r * 1.3981999507e-3f + 8.3334519073e-3f;                                                 \
    p = p * r + 4.1665795894e-2f;                                                                \
    p = p * r + 1.6666665459e-1f;                                                                \
    p = p * r + 5.0000001201e-1f;                                                                \
    p = p * (r * r) + r + 1.0f;                                                                  \
    p = bnn__val_##S(bnn__bits_##S(p) + (bnn__bits_##S(t) << 23));                               \
    z = p / (p + 2.0f), w = z * z;                                                               \
    p = w * 9.93e-2f + 1.11111111e-1f;                                                           \
    p = p * w + 1.42857143e-1f;                                                                  \
    p = p * w + 2.0e-1f;                                                                         \
    p = p * w + 3.33333333e-1f;                                                                  \
    z = z + z;                                                                                   \
    return bnn__sel_##S(bnn__lt_##S(x, bnn__set_##S(0.0f)), bnn__set_##S(0.0f), x) +             \
           (p * w * z + z);                                                                      \
}                                                                                                \
BNN__INLINE BNN__AT_##S F bnn__slope_##S(F v) {                                                  \
    F t = bnn__sel_##S(bnn__lt_##S(bnn__set_##S(80.0f), v), bnn__set_##S(80.0f), v);             \
    return bnn__set_##S(0.0f) - bnn__em1_##S(bnn__set_##S(0.0f) - t);                            \
}                                                                                                \
/* |x| <= pi/4 */                                                                                \
BNN__INLINE BNN__AT_##S F bnn__sinr_##S(F x) {                                                   \
    F z = x * x;                                                                                 \
    return ((z * -1.9515295891e-4f + 8.3321608736e-3f) * z - 1.6666654611e-1f) * (z * x) + x;    \
}                                                                                                \
BNN__INLINE BNN__AT_##S F bnn__cosr_##S(F x) {                                                   \
    F z = x * x, p = (z * 2.443315711809948e-5f - 1.388731625493765e-3f) * z;                    \
    return (p + 4.166664568298827e-2f) * (z * z) - z * 0.5f + 1.0f;                              \
}                                                                                                \
BNN__INLINE BNN__AT_##S F bnn__quarter_##S(F r, U q) {          /* sin(q pi/2 + r) */            \
    F s = bnn__sel_##S(0u - (q & 1u), bnn__cosr_##S(r), bnn__sinr_##S(r));                       \
    return bnn__val_##S(bnn__bits_##S(s) ^ ((q & 2u) << 30));                                    \
}                                                                                                \
/* x = n pi/2 + r with pi/2 in parts of 8 bits, exact for n < 2^16; shift 0 is sin, 1 is cos. The \
 * scalar bnn__trig below knows larger x, too */                                                 \
BNN__FN_##S F bnn__trig_##S(F x, U shift) {                                                      \
    I n = bnn__round_##S(bnn__clamp_##S(x * 0.636619772f, -1e6f, 1e6f));                         \
    F k = bnn__flt_##S(n), r = x - k * 1.5703125f;                                               \
    U q = (U)n + shift;                                                                          \
    r = r - k * 4.825592041015625e-4f;                                                           \
    r = r - k * 1.26659870147705078125e-6f;                                                      \
    r = r - k * 9.92093629e-10f;                                                                 \
    r = bnn__quarter_##S(bnn__clamp_##S(r, -0.8f, 0.8f), q);                                     \
    return bnn__sel_##S(bnn__nan_##S(x), x, r);                                                  \
}                                                                                                \
BNN__INLINE BNN__AT_##S F bnn__sin_##S(F x) {                                                    \
    U tiny = bnn__lt_##S(bnn__abs_##S(x), bnn__set_##S(1e-10f));                                 \
    return bnn__sel_##S(tiny, x, bnn__trig_##S(x, bnn__bits_##S(bnn__set_##S(0.0f))));           \
}                                                                                                \
BNN__INLINE BNN__AT_##S F bnn__cos_##S(F x) {                                                    \
    return bnn__trig_##S(x, bnn__bits_##S(bnn__set_##S(0.0f)) + 1u);                             \
}                                                                                                \
/* |x| < 0.92: x (1 + P(x^2)); else 1 - exp(Q(|x|)), after N. Juffa */                           \
BNN__FN_##S F bnn__erf_##S(F x) {                                                                \
    F t = bnn__clamp_##S(bnn__abs_##S(x), 0.0f, 4.0f), z = t * t, p, q;                          \
    p = z * -5.96761703e-4f + 4.99119423e-3f;                                                    \
    p = p * z - 2.67681349e-2f;                                                                  \
    p = p * z + 1.12819925e-1f;                                                                  \
    p = p * z - 3.76125336e-1f;                                                                  \
    p = p * z + 1.28379166e-1f;                                                                  \
    q = (t * -1.72853470e-5f + 3.83197126e-4f) * z + (t * -3.88396438e-3f + 2.42546219e-2f);     \
    q = q * t - 1.06777877e-1f;                                                                  \
    q = q * t - 6.34846687e-1f;                                                                  \
    q = q * t - 1.28717512e-1f;                                                                  \
    q = 1.0f - bnn__exp_##S(q * t - t);                                                          \
    q = bnn__sel_##S(bnn__lt_##S(bnn__set_##S(0.921875f), t), bnn__sign_##S(q, x), p * x + x);   \
    return bnn__sel_##S(bnn__nan_##S(x), x, q);                                                  \
}                                                                                                \
/* -ln u, u = (w + 1/2) 2^-32: a unit exponential, accurate at both ends (1 - u is u of ~w) */   \
BNN__INLINE BNN__AT_##S F bnn__unit_##S(U w) {                                                   \
    return (bnn__flt_##S((I)(w >> 16)) * 65536.0f + (bnn__flt_##S((I)(w & 0xffffu)) + 0.5f))     \
           * 2.32830644e-10f;                                                                    \
}                                                                                                \
BNN__FN_##S F bnn__expo_##S(U w) {                                                               \
    F u = bnn__unit_##S(w), v = -bnn__unit_##S(~w);                                              \
    U b = bnn__bits_##S(u), d = (U)((I)(b - 0x3f3504f3u) >> 23);                                 \
    F f = bnn__val_##S(b - (d << 23)) - 1.0f;                                                    \
    f = bnn__sel_##S(bnn__lt_##S(bnn__set_##S(0.70710677f), u), v, f);                           \
    return -bnn__logfe_##S(f, bnn__flt_##S((I)d));                                               \
}                                                                                                \
/* the draws come in pairs: u makes the result, v the second */                                  \
BNN__INLINE BNN__AT_##S F bnn__uniform_##S(U u, U v, F *second) {                                \
    *second = (bnn__flt_##S((I)(v >> 9)) + 0.5f) * 1.1920929e-7f;                                \
    return (bnn__flt_##S((I)(u >> 9)) + 0.5f) * 1.1920929e-7f;                                   \
}                                                                                                \
BNN__INLINE BNN__AT_##S F bnn__gumbel_##S(U u, U v, F *second) {                                 \
    F zero = bnn__set_##S(0.0f);                   /* an exponential is 1.1e-10 at least */     \
    *second = -bnn__logb_##S(bnn__bits_##S(bnn__expo_##S(v)), zero);                             \
    return -bnn__logb_##S(bnn__bits_##S(bnn__expo_##S(u)), zero);                                \
}                                                                                                \
BNN__INLINE BNN__AT_##S F bnn__exponential_##S(U u, U v, F *second) {                            \
    *second = bnn__expo_##S(v);                                                                  \
    return bnn__expo_##S(u);                                                                     \
}                                                                                                \
/* Box-Muller: sqrt(-2 ln u) (cos, sin)(2 pi v 2^-32), v = quarter turns k plus an angle r */    \
BNN__FN_##S F bnn__normal_##S(U u, U v, F *second) {                                             \
    F e = bnn__expo_##S(u), a = bnn__sqrt_##S(e + e);                                            \
    F r = bnn__flt_##S((I)(v << 2)) * 3.6572952e-10f, s = bnn__sinr_##S(r), c = bnn__cosr_##S(r);\
    U k = (v + 0x20000000u) >> 30, odd = 0u - (k & 1u);                                          \
    F x = bnn__sel_##S(odd, s, c), y = bnn__sel_##S(odd, c, s);                                  \
    *second = a * bnn__val_##S(bnn__bits_##S(y) ^ ((k & 2u) << 30));                             \
    return a * bnn__val_##S(bnn__bits_##S(x) ^ (((k + 1u) & 2u) << 30));                         \
}
#if !BNN__HOOKS
BNN__MATH(1, bnn__f1, bnn__i1, bnn__u1)
/* sin (shift 0) and cos (1) of any float: beyond 1e5 after Payne and Hanek (1983). |x| = m 2^e with
 * a whole m; of 2/pi only the 96 bits count that 2^e moves to a weight of 2 and below. */
BNN__UNUSED static float bnn__trig(float x, uint32_t shift) {
    static const uint32_t word[9] = { 0, 0xa2f9836eu, 0x4e441529u, 0xfc2757d1u, 0xf534ddc0u,
        0xdb629599u, 0x3c439041u, 0xfe5163abu, 0xdebbc561u };        /* 2/pi, after 32 zero bits */
    uint32_t b = bnn__bits_1(x), m = (b & 0x7fffffu) | 0x800000u, n, w[3];
    int at = (int)(b >> 23 & 255) - 120, i; /* e + 30: the bit of weight 2 after the shift by 2^e */
    uint64_t f;
    float r;
    if (!bnn__lt_1(1e5f, bnn__abs_1(x))) return shift ? bnn__cos_1(x) : bnn__sin_1(x);
    if (!bnn__finite(x)) return (float)bnn__nan();
    for (i = 0; i < 3; i++) {
        const uint32_t *p = word + at / 32 + i;
        w[i] = at % 32 ? p[0] << at % 32 | p[1] >> (32 - at % 32) : p[0];
    }
    f = ((uint64_t)(m * w[0]) << 32) + (uint64_t)m * w[1] + ((uint64_t)m * w[2] >> 32);
    n = (uint32_t)((f + ((uint64_t)1 << 61)) >> 62);            /* quarter turns; f: 2^-62 of one */
    f -= (uint64_t)n << 62;
    r = (float)((double)(int64_t)f * 3.4061215800304155e-19);   /* pi/2 2^-62 */
    if (b >> 31) r = -r, n = 0u - n;
    return bnn__quarter_1(r, n + shift);
}
#else
/* -ln((w + 1/2) 2^-32), accurate at both ends */
BNN__INLINE float bnn__expo_1(uint32_t w) {
    float unit = BNN__ONE / 65536 / 65536, half = BNN__ONE / 2;
    return w >> 31 ? -BNN_MATH_LOG1P(-((float)~w + half) * unit)
                   : -BNN_MATH_LOG(((float)w + half) * unit);
}
BNN__INLINE float bnn__exponential_1(uint32_t u, uint32_t v, float *second) {
    *second = bnn__expo_1(v);
    return bnn__expo_1(u);
}
BNN__INLINE float bnn__gumbel_1(uint32_t u, uint32_t v, float *second) {
    *second = -BNN_MATH_LOG(bnn__expo_1(v));
    return -BNN_MATH_LOG(bnn__expo_1(u));
}
BNN__INLINE float bnn__normal_1(uint32_t u, uint32_t v, float *second) {
    float a = BNN_MATH_SQRT(2 * bnn__expo_1(u));
    float r = (float)v * (float)(6.28318530717958647692 / 65536 / 65536);
    *second = a * BNN_MATH_SIN(r);
    return a * BNN_MATH_COS(r);
}
BNN__INLINE float bnn__unif_(uint32_t w, uint32_t low) {       /* 52 bits in the double build */
    if (sizeof(float) <= sizeof(uint32_t)) return ((float)(w >> 9) + BNN__ONE / 2) / 8388608;
    return ((float)w + ((float)(low >> 12) + BNN__ONE / 2) / 1048576) / 65536 / 65536;
}
BNN__INLINE float bnn__uniform_1(uint32_t u, uint32_t v, float *second) {
    *second = bnn__unif_(v, u);
    return bnn__unif_(u, v);
}
#endif

/* The same in double, after Sun's fdlibm, for sums and state that are kept in double: exp and log
 * to 1 ulp, log1p and expm1 to 3; cos to 2^-52 for |x| <= 1e5;
 * pow for x >= 0, exp(y ln x), to 1 + |y ln x|. Only + - * / and powers of 2, so with the same bits
 * everywhere; libm's differ in the last place from one machine to the next. */
BNN__INLINE double bnn__dexpr(double x, int *n) {   /* x = n ln 2 + r, |x| < 1e5; gives e^r - 1 */
    double k = (double)(int)(x * 1.44269504088896338700 + (x < 0 ? -0.5 : 0.5));
    double hi = x - k * 6.93147180369123816490e-01, lo = k * 1.90821492927058770002e-10;
    double r = hi - lo, t = r * r, c = t * 4.13813679705723846039e-08 - 1.65339022054652515390e-06;
    c = r - t * (1.66666666666666019037e-01 + t * (-2.77777777770155933842e-03 +
                 t * (6.61375632143793436117e-05 + t * c)));
    *n = (int)k;
    return hi - (lo - r * c / (2 - c));
}
BNN__UNUSED static double bnn__dexp(double x) {
    int n;
    double y;
    if (!bnn__finite_d(x)) return x == -bnn__inf() ? 0 : x;
    y = 1 + bnn__dexpr(x < -750 ? -750 : x > 750 ? 750 : x, &n);
    return ldexp(y, n);
}
BNN__UNUSED static double bnn__dexpm1(double x) {
    int n;
    return x > -0.34 && x < 0.34 ? bnn__dexpr(x, &n) : bnn__dexp(x) - 1;
}
BNN__UNUSED static double bnn__dlog(double x) {
    static const double a[7] = { 6.666666666666735130e-01, 3.999999999940941908e-01,
        2.857142874366239149e-01, 2.222219843214978396e-01, 1.818357216161805012e-01,
        1.531383769920937332e-01, 1.479819860511658591e-01 };
    const uint64_t half = 0x3fe6a09eu * ((uint64_t)1 << 32) + 0x667f3bcdu;   /* bits of sqrt(1/2) */
    uint64_t b, n;
    double f, k = 0, s, z, p, h;
    if (!bnn__finite_d(x)) return x == -bnn__inf() ? bnn__nan() : x;
    if (!(x > 0)) return x < 0 ? bnn__nan() : -bnn__inf();
    if (x < DBL_MIN) x *= 18014398509481984.0, k = -54;
    memcpy(&b, &x, sizeof b);
    n = (b - half + ((uint64_t)1023 << 52)) >> 52;          /* x = 2^(n - 1023) 2^(-1/2 .. 1/2) */
    f = bnn__of_bits(b - ((n - 1023) << 52)) - 1;
    k += (double)((int)n - 1023), s = f / (2 + f), z = s * s, h = 0.5 * f * f;
    p = z * (a[0] + z * (a[1] + z * (a[2] + z * (a[3] + z * (a[4] + z * (a[5] + z * a[6]))))));
    return k * 6.93147180369123816490e-01 -
           ((h - (s * (h + p) + k * 1.90821492927058770002e-10)) - f);
}
BNN__UNUSED static double bnn__dlog1p(double x) {
    double u = 1 + x;
    return x > -1 && x < 1e300 ? bnn__dlog(u) + (x - (u - 1)) / u : bnn__dlog(u);
}
BNN__UNUSED static double bnn__dpow(double x, double y) {
    return y == 0 ? 1 : bnn__dexp(y * bnn__dlog(x));
}
BNN__UNUSED static double bnn__dcos(double x) {
    int n = (int)(x * 0.63661977236758134308 + (x < 0 ? -0.5 : 0.5));
    double r = (x - n * 1.57079632673412561417) - n * 6.07710050650619224932e-11, z = r * r, y;
    if (n % 2 == 0)
        y = 1 - (z * 0.5 - z * z * (4.16666666666666019037e-02 + z * (-1.38888888888741095749e-03 +
            z * (2.48015872894767294178e-05 + z * (-2.75573143513906633035e-07 +
            z * (2.08757232129817482790e-09 - z * 1.13596475577881948265e-11))))));
    else
        y = r + r * z * (-1.66666666666666324348e-01 + z * (8.33333333332248946124e-03 +
            z * (-1.98412698298579493134e-04 + z * (2.75573137070700676789e-06 +
            z * (-2.50507602534068634195e-08 + z * 1.58969099521155010221e-10)))));
    return ((n + 1) & 2) != 0 ? -y : y;
}

/* >>philox  Philox4x32-10 (Salmon, Moraes, Dror, Shaw 2011): a block cipher in counter mode. Word w
 * of block l is a function of (key, counter + l, stream) alone, so any part of a sequence can be
 * drawn by anybody, in any order. */
BNN__UNUSED static void bnn__philox(const uint32_t ctr[4], const uint32_t key[2], uint32_t out[4]) {
    uint32_t a = ctr[0], b = ctr[1], c = ctr[2], d = ctr[3], k = key[0], l = key[1];
    for (int i = 0; i < 10; i++, k += 0x9e3779b9u, l += 0xbb67ae85u) {
        uint64_t p = (uint64_t)a * 0xd2511f53u, q = (uint64_t)c * 0xcd9e8d57u;
        a = (uint32_t)(q >> 32) ^ b ^ k;
        b = (uint32_t)q;
        c = (uint32_t)(p >> 32) ^ d ^ l;
        d = (uint32_t)p;
    }
    out[0] = a, out[1] = b, out[2] = c, out[3] = d;
}
BNN__UNUSED static uint64_t bnn__rng_block(const bnn_rng *r) {
    return r->ctr[0] | (uint64_t)r->ctr[1] << 32;
}
BNN__UNUSED static void bnn__rng_advance(bnn_rng *r, uint64_t blocks) {
    uint64_t c = bnn__rng_block(r) + blocks;
    r->ctr[0] = (uint32_t)c;
    r->ctr[1] = (uint32_t)(c >> 32);
}

/* Bulk draws work in groups of 64: word w of block l (of 16) belongs to element 16 w + l. */
BNN__UNUSED static void bnn__words_1(const bnn_rng *r, uint64_t block, size_t groups,
                                     uint32_t *out) {
    uint32_t ctr[4], w[4];
    ctr[2] = r->ctr[2], ctr[3] = r->ctr[3];
    for (size_t l = 0; l < 16 * groups; l++, block++) {
        ctr[0] = (uint32_t)block, ctr[1] = (uint32_t)(block >> 32);
        bnn__philox(ctr, r->key, w);
        for (size_t i = 0; i < 4; i++) out[l / 16 * 64 + 16 * i + l % 16] = w[i];
    }
}
/* Vectors: a counter per 64-bit lane, of which the multiplier reads the low half. So hi and lo come
 * in one multiplication, and nobody cares what gathers in the high half. Even blocks in a.., odd
 * ones in b.., merged at the end. */
#define BNN__PHILOX(S, U, W)                                                                     \
BNN__UNUSED static BNN__AT_##S void bnn__words_##S(const bnn_rng *r, uint64_t block,             \
                                                   size_t groups, uint32_t *out) {               \
    W key[20], m0 = bnn__setw_##S(0xd2511f53u), m1 = bnn__setw_##S(0xcd9e8d57u), p, q;           \
    W low = bnn__setw_##S(0xffffffffu);                                                          \
    uint32_t k = r->key[0], l = r->key[1];                                                       \
    uint64_t last = block + 16 * groups;                                                         \
    for (int i = 0; i < 20; i += 2, k += 0x9e3779b9u, l += 0xbb67ae85u) {                        \
        key[i] = bnn__setw_##S(k);                                                               \
        key[i + 1] = bnn__setw_##S(l);                                                           \
    }                                                                                            \
    for (; block != last; block += S, out += (last - block) % 16 ? S : S + 48) {                 \
        W a0 = bnn__even_##S() + bnn__setw_##S(block), a1 = a0 >> 32;                            \
        W a2 = bnn__setw_##S(r->ctr[2]), a3 = bnn__setw_##S(r->ctr[3]);                          \
        W b0 = a0 + 1u, b1 = b0 >> 32, b2 = a2, b3 = a3;                                         \
        for (int i = 0; i < 20; i += 2) {                                                        \
            p = bnn__mulw_##S(a0, m0), q = bnn__mulw_##S(a2, m1);                                \
            a0 = (q >> 32) ^ (a1 ^ key[i]), a1 = q, a2 = (p >> 32) ^ (a3 ^ key[i + 1]), a3 = p;  \
            p = bnn__mulw_##S(b0, m0), q = bnn__mulw_##S(b2, m1);                                \
            b0 = (q >> 32) ^ (b1 ^ key[i]), b1 = q, b2 = (p >> 32) ^ (b3 ^ key[i + 1]), b3 = p;  \
        }                                                                                        \
        bnn__stu_##S(out,      (U)((a0 & low) | b0 << 32));                                      \
        bnn__stu_##S(out + 16, (U)((a1 & low) | b1 << 32));                                      \
        bnn__stu_##S(out + 32, (U)((a2 & low) | b2 << 32));                                      \
        bnn__stu_##S(out + 48, (U)((a3 & low) | b3 << 32));                                      \
    }                                                                                            \
}
enum { BNN__GROUPS = 8 };               /* whose words are made at a time: 2 KB, in the cache */
#define BNN__DRAW(S, NAME)                                                                       \
BNN__UNUSED static BNN__AT_##S                                                                   \
void bnn__d_##NAME##_##S(const bnn_rng *r, uint64_t block, size_t groups, float *out) {          \
    uint32_t w[64 * BNN__GROUPS];                                                                \
    for (size_t m, i; groups > 0; groups -= m, block += 16 * m, out += 64 * m) {                 \
        m = groups < (size_t)BNN__GROUPS ? groups : (size_t)BNN__GROUPS;                         \
        bnn__words_##S(r, block, m, w);                                                          \
        for (i = 0; i < 64 * m; i += (i + S) % 16 ? S : S + 16) {                                \
            bnn__f##S y, x = bnn__##NAME##_##S(bnn__ldu_##S(w + i), bnn__ldu_##S(w + i + 16), &y); \
            bnn__st_##S(out + i, x);                                                             \
            bnn__st_##S(out + i + 16, y);                                                        \
        }                                                                                        \
    }                                                                                            \
}
#define BNN__DRAWS(S) BNN__DRAW(S, uniform) BNN__DRAW(S, exponential) BNN__DRAW(S, gumbel) \
    BNN__DRAW(S, normal)
BNN__DRAWS(1)

/* >>passes  A pass is a loop over elements; a job holds what any of them may need. In the samplers
 * z holds normals for BNN__ZN elements at a time, fresh in the cache: one pass over memory. */
#define BNN__ZN 512
typedef struct bnn__job {
    const float *x, *y, *z;
    float *w, *g, *s, *t, *u;
    float pw, pm, lr, a, b, c, d, e, p[4];
    size_t rows, cols;
    int flag, zero;
    void (*pass)(const struct bnn__job *, size_t, size_t); /* bnn__p_watched: the pass to watch */
    int *high; /* becomes 1 above BNN__CALM; in a draw: where a sigma is at its floor */
} bnn__job;
typedef void bnn__pass(const bnn__job *, size_t, size_t);

/* Field by field: gcc makes a loop of a memset this long, 6 percent of the step of a tiny net. */
BNN__INLINE bnn__job bnn__no_job(void) {
    bnn__job q;
    q.x = q.y = q.z = NULL;
    q.w = q.g = q.s = q.t = q.u = NULL;
    q.pw = q.pm = q.lr = q.a = q.b = q.c = q.d = q.e = 0;
    q.p[0] = q.p[1] = q.p[2] = q.p[3] = 0;
    q.rows = q.cols = 0;
    q.flag = q.zero = 0;
    q.pass = NULL;
    q.high = NULL;
    return q;
}

BNN__UNUSED static void bnn__seen(int *high, const void *lanes, size_t bytes) {
    static const unsigned char none[64] = { 0 };
    if (high == NULL || memcmp(lanes, none, bytes) == 0) return;
    BNN__ATOMIC
    *high = 1;
}

#define BNN__PASS(S, NAME, ...) BNN__LOOP(S, NAME, ;, ;, __VA_ARGS__)
#define BNN__LOOP(S, NAME, FIRST, LAST, ...) /* what comes before the vectors, and after */      \
BNN__UNUSED static BNN__AT_##S                                                                   \
void bnn__p_##NAME##_##S(const bnn__job *job, size_t i, size_t n) {                              \
    const bnn__job q = *job;                                                                     \
    FIRST                                                                                        \
    for (; i + S <= n; i += S) { __VA_ARGS__ }                                                   \
    LAST                                                                                         \
    if (i < n) bnn__p_##NAME##_1(job, i, n);                                                     \
}
#define BNN__GRAD(S)         /* the gradient with its weight decay */                            \
    bnn__f##S w = bnn__ld_##S(q.w + i), g = bnn__ld_##S(q.g + i) + w * q.pw
#define BNN__PASSES(S, F)                                                                        \
BNN__PASS(S, sgd,                                                                                \
    BNN__GRAD(S);                                                                                \
    bnn__st_##S(q.w + i, w - g * q.lr); )                                                        \
BNN__PASS(S, sgld,                                  /* a sd */                                   \
    BNN__GRAD(S);                                                                                \
    bnn__st_##S(q.w + i, w + (bnn__ld_##S(q.z + i % BNN__ZN) * q.a - g * q.lr)); )               \
BNN__PASS(S, momentum,                              /* s buffer, a momentum, b 1 - damping */    \
    BNN__GRAD(S);                                                                                \
    F m = bnn__ld_##S(q.s + i) * q.a + g * q.b;                                                  \
    bnn__st_##S(q.s + i, m);                                                                     \
    if (q.flag) m = g + m * q.a;                                                                 \
    bnn__st_##S(q.w + i, w - m * q.lr); )                                                        \
BNN__PASS(S, sghmc,                                 /* s velocity, a sd, b 1 - friction */       \
    BNN__GRAD(S);                                                                                \
    F v = bnn__ld_##S(q.z + i % BNN__ZN) * q.a - g * q.lr;                                       \
    v = bnn__ld_##S(q.s + i) * q.b + v;                                                          \
    bnn__st_##S(q.s + i, v);                                                                     \
    bnn__st_##S(q.w + i, w + v); )                                                               \
BNN__PASS(S, adam,                  /* s m, t v, a b1, b b2, c eps, d decay, e rc2 */            \
    BNN__GRAD(S);                                                                                \
    F m = bnn__ld_##S(q.s + i) * q.a + g * (1 - q.a);                                            \
    F v = bnn__ld_##S(q.t + i) * q.b + g * g * (1 - q.b);                                        \
    bnn__st_##S(q.s + i, m);                                                                     \
    bnn__st_##S(q.t + i, v);                                                                     \
    bnn__st_##S(q.w + i, w - (w * q.d + m * q.lr / (bnn__sqrt_##S(v) * q.e + q.c))); )           \
BNN__PASS(S, rmsprop,                               /* s v, a decay, c eps */                    \
    BNN__GRAD(S);                                                                                \
    F v = bnn__ld_##S(q.s + i) * q.a + g * g * (1 - q.a);                                        \
    bnn__st_##S(q.s + i, v);                                                                     \
    bnn__st_##S(q.w + i, w - g * q.lr / (bnn__sqrt_##S(v) + q.c)); )                             \
BNN__PASS(S, adagrad,                               /* s v, c eps */                             \
    BNN__GRAD(S);                                                                                \
    F v = bnn__ld_##S(q.s + i) + g * g;                                                          \
    bnn__st_##S(q.s + i, v);                                                                     \
    bnn__st_##S(q.w + i, w - g * q.lr / (bnn__sqrt_##S(v) + q.c)); )                             \
BNN__PASS(S, adadelta,                              /* s v, t u, a rho, c eps */                 \
    BNN__GRAD(S);                                                                                \
    F u = bnn__ld_##S(q.t + i), v = bnn__ld_##S(q.s + i) * q.a + g * g * (1 - q.a);              \
    F d = bnn__sqrt_##S(u + q.c) / bnn__sqrt_##S(v + q.c) * g;                                   \
    bnn__st_##S(q.s + i, v);                                                                     \
    bnn__st_##S(q.t + i, u * q.a + d * d * (1 - q.a));                                           \
    bnn__st_##S(q.w + i, w - d * q.lr); )                                                        \
BNN__PASS(S, psgld,                       /* s v, a decay, b noise, c lambda, flag: v moves */    \
    BNN__GRAD(S);                                                                                \
    F v = bnn__ld_##S(q.s + i), h;                                                               \
    if (q.flag) v = v * q.a + g * g * (1 - q.a);                                                 \
    h = bnn__set_##S(1) / (bnn__sqrt_##S(v) + q.c);                                              \
    bnn__st_##S(q.s + i, v);                                                                     \
    v = bnn__sqrt_##S(h * q.b) * bnn__ld_##S(q.z + i % BNN__ZN) - h * g * q.lr;                  \
    bnn__st_##S(q.w + i, w + v); )                                                               \
BNN__PASS(S, axpy, bnn__st_##S(q.w + i, bnn__ld_##S(q.w + i) + bnn__ld_##S(q.x + i) * q.a); )    \
BNN__PASS(S, scale, bnn__st_##S(q.w + i, bnn__ld_##S(q.x + i) * q.a); )                          \
BNN__PASS(S, add, bnn__st_##S(q.w + i, bnn__ld_##S(q.x + i) + bnn__ld_##S(q.y + i)); )           \
BNN__PASS(S, mul, bnn__st_##S(q.w + i, bnn__ld_##S(q.x + i) * bnn__ld_##S(q.y + i)); )           \
BNN__PASS(S, muladd,                                                                             \
    F xy = bnn__ld_##S(q.x + i) * bnn__ld_##S(q.y + i);                                          \
    bnn__st_##S(q.w + i, bnn__ld_##S(q.w + i) + xy); )                                           \
BNN__PASS(S, relu,                                  /* NaN stays NaN */                          \
    F x = bnn__ld_##S(q.x + i), o = bnn__set_##S(0);                                             \
    bnn__st_##S(q.w + i, bnn__sel_##S(bnn__lt_##S(x, o), o, x)); )                               \
BNN__PASS(S, relu_back,                                                                          \
    F y = bnn__ld_##S(q.y + i), g = bnn__ld_##S(q.x + i), o = bnn__set_##S(0);                   \
    g = bnn__sel_##S(bnn__lt_##S(o, y), g, o);                                                   \
    bnn__st_##S(q.w + i, bnn__ld_##S(q.w + i) + g); )                                            \
BNN__PASS(S, tanh_slope,                                                                         \
    F y = bnn__ld_##S(q.x + i);                                                                  \
    bnn__st_##S(q.w + i, bnn__set_##S(1) - y * y); )                                             \
BNN__PASS(S, sigmoid_slope,                                                                      \
    F y = bnn__ld_##S(q.x + i);                                                                  \
    bnn__st_##S(q.w + i, y * (bnn__set_##S(1) - y)); )                                           \
BNN__PASS(S, colsum,                                /* columns i to n of all rows of x */        \
    F y = bnn__ld_##S(q.w + i);                                                                  \
    for (size_t r = 0; r < q.rows; r++) y = y + bnn__ld_##S(q.x + r * q.cols + i);               \
    bnn__st_##S(q.w + i, y); )
#define BNN__MAP(S, NAME) \
    BNN__PASS(S, NAME, bnn__st_##S(q.w + i, bnn__##NAME##_##S(bnn__ld_##S(q.x + i))); )
/* >>meanfield's passes.
 * draw: x rho; s = sigma = softplus(r) or e^r (flag 1), r = c rho within a..b. With z also t = eps
 * and w = mu + sigma eps, y mu; mu where sigma is at its floor d.
 * noise: from g = d L/dw to mu and rho, with the divergence. x sigma, y mu, z eps; adds to (zero:
 * writes) w = d mu, t = d rho. e scales g, lr the divergence, a..b bounds of sigma; flag 1: log, 2:
 * s is the curvature, 4: h = d sigma stays 0; flag / 8: the kind of the prior, which adds its slope
 * to g and h by the numbers p, or 0: a variance of each weight that follows it. */
#define BNN__NOISES(S)                                                                           \
BNN__LOOP(S, draw, bnn__u##S low = bnn__lt_##S(bnn__set_##S(0), bnn__set_##S(0));,               \
    bnn__seen(q.high, &low, sizeof low);,                                                        \
    bnn__f##S r = bnn__ld_##S(q.x + i) * q.c, v, e;                                              \
    r = bnn__sel_##S(bnn__lt_##S(r, bnn__set_##S(q.a)), bnn__set_##S(q.a), r);                   \
    r = bnn__sel_##S(bnn__lt_##S(bnn__set_##S(q.b), r), bnn__set_##S(q.b), r);                   \
    if (q.flag) v = bnn__exp_##S(r);                                                             \
    else v = bnn__soft_##S(r);                                                                   \
    bnn__st_##S(q.s + i, v);                                                                     \
    if (q.z == NULL) continue;                                                                   \
    e = bnn__ld_##S(q.z + i % BNN__ZN);                                                          \
    bnn__st_##S(q.t + i, e);                                                                     \
    bnn__u##S above = bnn__lt_##S(bnn__set_##S(q.d), v);                                         \
    low |= ~above;                                                                               \
    e = bnn__sel_##S(above, v * e, v * bnn__set_##S(0));                                         \
    bnn__st_##S(q.w + i, bnn__ld_##S(q.y + i) + e); )                                            \
BNN__PASS(S, noise,                                                                              \
    bnn__f##S v = bnn__ld_##S(q.x + i), m = bnn__ld_##S(q.y + i), e = bnn__ld_##S(q.z + i);      \
    bnn__f##S g = bnn__ld_##S(q.g + i) * q.e, h = g * e, d = m - q.pm, o = bnn__set_##S(0), c;   \
    bnn__u##S over = bnn__lt_##S(bnn__set_##S(q.a), v), there, wide;                             \
    int law = q.flag / 8;                                                                        \
    there = over | bnn__lt_##S(m, o) | bnn__lt_##S(o, m);            /* not removed */           \
    if (q.flag & 2) h = v * bnn__ld_##S(q.s + i) * q.e;                                          \
    if (law < BNN_PRIOR_DOUBLE_EXPONENTIAL) {        /* c: 1 over the variance */                \
        c = bnn__set_##S(q.p[0]);                                                                \
        if (law == 0) c = bnn__set_##S(q.lr) / (d * d + v * v);                                  \
        g = g + d * c, h = h + v * c;                                                            \
    } else if (law < BNN_PRIOR_MIXTURE) {                                                        \
        c = d / v * (float)0.70710678118654752440;                                               \
        g = g + bnn__erf_##S(c) * q.p[0], h = h + bnn__exp_##S(o - c * c) * q.p[1];              \
    } else {                                        /* at the draw */                            \
        d = d + v * e;                                                                           \
        if (law < BNN_PRIOR_STUDENT) {              /* odds e^c : 1 of slopes p0 : p1 */         \
            bnn__f##S k = bnn__set_##S(q.p[0]), l = bnn__set_##S(q.p[1]), r;                     \
            c = d * d * q.p[3] + q.p[2], wide = bnn__lt_##S(o, c);                               \
            r = bnn__exp_##S(bnn__sel_##S(wide, o - c, c));                                      \
            c = bnn__sel_##S(wide, k, l) + r * bnn__sel_##S(wide, l, k);                         \
            c = d * c / (r + 1);                                                                 \
        } else {                                                                                 \
            c = d * q.p[0] / (d * d * q.p[2] + q.p[1]);                                          \
        }                                                                                        \
        g = g + c, h = h + c * e;                                                                \
    }                                                                                            \
    h = h - bnn__set_##S(q.lr) / v;                                                              \
    if (q.flag & 1) h = h * (v * q.c);                                                           \
    else h = h * bnn__slope_##S(v);                                                              \
    h = bnn__sel_##S(over | bnn__lt_##S(h, o), h, o);                                            \
    h = bnn__sel_##S(~bnn__lt_##S(v, bnn__set_##S(q.b)) & bnn__lt_##S(h, o), o, h);              \
    if (q.flag & 4) h = o;                                                                       \
    g = bnn__sel_##S(there, g, o), h = bnn__sel_##S(there, h, o);                                \
    if (!q.zero) g = g + bnn__ld_##S(q.w + i), h = h + bnn__ld_##S(q.t + i);                     \
    bnn__st_##S(q.w + i, g);                                                                     \
    bnn__st_##S(q.t + i, h); )
#if BNN__HOOKS
#define BNN__TRIG(S, NAME, SHIFT) BNN__MAP(S, NAME)
#else /* sin and cos: where an x is beyond the range of the vectors, one by one */
#define BNN__TRIG(S, NAME, SHIFT)                                                                \
BNN__PASS(S, NAME,                                                                               \
    bnn__f##S x = bnn__ld_##S(q.x + i);                                                          \
    bnn__u##S far_ = bnn__lt_##S(bnn__set_##S(1e5f), bnn__abs_##S(x));                           \
    uint32_t is[S], any = 0;                                                                     \
    memcpy(is, &far_, sizeof is);                                                                \
    for (size_t l = 0; l < S; l++) any |= is[l];                                                 \
    if (!any) bnn__st_##S(q.w + i, bnn__##NAME##_##S(x));                                        \
    else for (size_t l = i; l < i + S; l++) q.w[l] = bnn__trig(q.x[l], SHIFT); )
#endif
#define BNN__MAPS16(S) BNN__MAP(S, exp) BNN__MAP(S, tanh) BNN__MAP(S, sigmoid) BNN__NOISES(S)
#define BNN__MAPS(S) BNN__MAPS16(S) BNN__MAP(S, log) BNN__MAP(S, softplus) BNN__TRIG(S, sin, 0) \
    BNN__TRIG(S, cos, 1) BNN__MAP(S, erf) BNN__MAP(S, expm1) BNN__MAP(S, sqrt)
BNN__PASSES(1, bnn__f1)
BNN__MAPS(1)
#if BNN__SIMD
/* What GNU vectors lack, in assembly, so that neither -O0 nor a compiler's taste changes it:
 * sqrt(y, x), mulw(y, a, b) = low halves of 64-bit lanes multiplied, fma(c, a, b) = c + a b. */
#if BNN__SIMD == 16
#define BNN__SQRT_8(y, x) __asm__("vsqrtps {%1, %0|%0, %1}" : "=x"(y) : "x"(x))
#define BNN__SQRT_16(y, x) __asm__("vsqrtps {%1, %0|%0, %1}" : "=v"(y) : "v"(x))
#define BNN__MULW_8(y, a, b) \
    __asm__("vpmuludq {%2, %1, %0|%0, %1, %2}" : "=x"(y) : "x"(a), "x"(b))
#define BNN__MULW_16(y, a, b) \
    __asm__("vpmuludq {%2, %1, %0|%0, %1, %2}" : "=v"(y) : "v"(a), "v"(b))
#define BNN__FMA_8(c, a, b) \
    __asm__("vfmadd231ps {%2, %1, %0|%0, %1, %2}" : "+x"(c) : "x"(a), "x"(b))
#define BNN__FMA_16(c, a, b) \
    __asm__("vfmadd231ps {%2, %1, %0|%0, %1, %2}" : "+v"(c) : "v"(a), "v"(b))
#elif defined(__aarch64__)
#define BNN__SQRT_4(y, x) __asm__("fsqrt %0.4s, %1.4s" : "=w"(y) : "w"(x))
#define BNN__MULW_4(y, a, b) __asm__("xtn %0.2s, %1.2d\n\tumull %0.2d, %0.2s, %2.s[0]" \
                                     : "=&w"(y) : "w"(a), "w"(b))
#define BNN__FMA_4(c, a, b) __asm__("fmla %0.4s, %1.4s, %2.4s" : "+w"(c) : "w"(a), "w"(b))
#else
#define BNN__SQRT_4(y, x) for (int l = 0; l < 4; l++) (y)[l] = sqrtf((x)[l])
#define BNN__MULW_4(y, a, b) (y) = ((a) & 0xffffffffu) * (b)
#define BNN__FMA_4(c, a, b) (c) = (c) + (a) * (b)
#endif
static const uint64_t bnn__evens[8] = { 0, 2, 4, 6, 8, 10, 12, 14 };

#define BNN__LANES(S, F, I, U)                                                                   \
typedef float F __attribute__((vector_size(4 * S)));                                             \
typedef int32_t I __attribute__((vector_size(4 * S)));                                           \
typedef uint32_t U __attribute__((vector_size(4 * S)));                                          \
BNN__INLINE BNN__AT_##S F bnn__ld_##S(const float *p) { F x; memcpy(&x, p, sizeof x); return x; }\
BNN__INLINE BNN__AT_##S void bnn__st_##S(float *p, F x) { memcpy(p, &x, sizeof x); }             \
BNN__INLINE BNN__AT_##S F bnn__set_##S(float x) { F o = { 0 }; return x - o; }                   \
BNN__INLINE BNN__AT_##S U bnn__bits_##S(F x) { return (U)x; }                                    \
BNN__INLINE BNN__AT_##S F bnn__val_##S(U x) { return (F)x; }                                     \
BNN__INLINE BNN__AT_##S U bnn__nan_##S(F a) { return BNN__NAN_S(a, S); }                         \
BNN__INLINE BNN__AT_##S U bnn__lt_##S(F a, F b) { return (U)(a < b) BNN__LT(a, b, S); }          \
BNN__INLINE BNN__AT_##S F bnn__sel_##S(U m, F a, F b) { return (F)((m & (U)a) | (~m & (U)b)); }
#define BNN__VECTOR(S, F, I, U, W)                                                               \
typedef uint64_t W __attribute__((vector_size(4 * S)));                                          \
BNN__INLINE BNN__AT_##S U bnn__ldu_##S(const uint32_t *p) {                                      \
    U x;                                                                                         \
    memcpy(&x, p, sizeof x);                                                                     \
    return x;                                                                                    \
}                                                                                                \
BNN__INLINE BNN__AT_##S void bnn__stu_##S(uint32_t *p, U x) { memcpy(p, &x, sizeof x); }         \
BNN__INLINE BNN__AT_##S W bnn__even_##S(void) { W x; memcpy(&x, bnn__evens, sizeof x); return x; } \
BNN__INLINE BNN__AT_##S W bnn__setw_##S(uint64_t x) { W o = { 0 }; return o + x; }               \
BNN__INLINE BNN__AT_##S I bnn__int_##S(F x) { return __builtin_convertvector(x, I); }            \
BNN__INLINE BNN__AT_##S F bnn__flt_##S(I x) { return __builtin_convertvector(x, F); }            \
BNN__INLINE BNN__AT_##S F bnn__sqrt_##S(F x) { F y; BNN__SQRT_##S(y, x); return y; }             \
BNN__INLINE BNN__AT_##S W bnn__mulw_##S(W a, W b) { W y; BNN__MULW_##S(y, a, b); return y; }
BNN__LANES(4, bnn__f4, bnn__i4, bnn__u4)    /* for short rows and transposing everywhere */
#if BNN__HOOKS
#define BNN__MATHS(S)
#define BNN__MATHS16(S)
#else
#define BNN__DRAWN(S) BNN__MATH(S, bnn__f##S, bnn__i##S, bnn__u##S) \
    BNN__PHILOX(S, bnn__u##S, bnn__w##S) BNN__DRAWS(S)
#define BNN__MATHS(S) BNN__DRAWN(S) BNN__MAPS(S)
#define BNN__MATHS16(S) BNN__DRAWN(S) BNN__MAPS16(S)
#endif
#define BNN__INSTANCE(S) BNN__VECTOR(S, bnn__f##S, bnn__i##S, bnn__u##S, bnn__w##S) \
    BNN__MATHS(S) BNN__PASSES(S, bnn__f##S)
#if BNN__SIMD == 4
BNN__INSTANCE(4)
#else
BNN__LANES(8, bnn__f8, bnn__i8, bnn__u8)
BNN__LANES(16, bnn__f16, bnn__i16, bnn__u16)
BNN__INSTANCE(8)
BNN__VECTOR(16, bnn__f16, bnn__i16, bnn__u16, bnn__w16)
BNN__MATHS16(16)
#endif
#endif
typedef void bnn__draw(const bnn_rng *, uint64_t, size_t, float *);

BNN__UNUSED static void bnn__v_draw(bnn_rng *r, size_t n, float *out, bnn__draw *draw) {
    size_t tasks = n / BNN__TASK + 1, t;
    BNN__PARALLEL(tasks > 2)
    for (t = 0; t < tasks; t++) {
        size_t i = t * BNN__TASK, left = n - i < BNN__TASK ? n - i : BNN__TASK, whole = left / 64;
        uint64_t block = bnn__rng_block(r) + i / 4;
        float last[64];
        draw(r, block, whole, out + i);
        if (left % 64 == 0) continue;
        draw(r, block + whole * 16, 1, last);
        memcpy(out + i + whole * 64, last, left % 64 * sizeof *out);
    }
    bnn__rng_advance(r, (n + 63) / 64 * 16);
}
#define BNN__V_DRAW(NAME)                                                                        \
BNN__UNUSED static void bnn__v_##NAME(bnn_rng *r, size_t n, float *out) {                        \
    bnn__v_draw(r, n, out, BNN__PICKM16(bnn__d_##NAME));                                         \
}
BNN__V_DRAW(uniform)       /* k + 1/2 over 2^23 (double: 2^52): never 0 or 1 */
BNN__V_DRAW(normal)        /* N(0, 1), |x| up to 6.76 */
BNN__V_DRAW(exponential)   /* -ln u, from 1.2e-10 to 22.9 */
BNN__V_DRAW(gumbel)        /* -ln(-ln u), from -3.1 to 22.9 */
BNN__UNUSED static void bnn__run(size_t n, const bnn__job *job, bnn__pass *pass) {
    size_t tasks = (n + BNN__TASK - 1) / BNN__TASK, t;
    BNN__PARALLEL(tasks > 2)
    for (t = 0; t < tasks; t++)
        pass(job, t * BNN__TASK, n - t * BNN__TASK < BNN__TASK ? n : (t + 1) * BNN__TASK);
}
BNN__UNUSED static void bnn__run_noise(bnn_rng *r, size_t n, const bnn__job *job, bnn__pass *pass) {
    bnn__draw *draw = BNN__PICKM16(bnn__d_normal);
    size_t tasks = (n + BNN__ZN - 1) / BNN__ZN, t;
    BNN__PARALLEL(n > 2 * BNN__TASK)
    for (t = 0; t < tasks; t++) {
        float z[BNN__ZN];
        size_t i = t * BNN__ZN, e = n - i < BNN__ZN ? n : i + BNN__ZN;
        bnn__job q = *job;
        q.z = z;
        draw(r, bnn__rng_block(r) + i / 4, (e - i + 63) / 64, z);
        pass(&q, i, e);
    }
    bnn__rng_advance(r, (n + 63) / 64 * 16);
}
BNN__CALLED void bnn__run_xy(size_t n, float a, const float *x, const float *y, float *out,
                             bnn__pass *pass) {
    bnn__job q = bnn__no_job();
    q.x = x, q.y = y, q.w = out, q.a = a;
    bnn__run(n, &q, pass);
}
#define BNN__V_MAP(NAME, PICK)                                                                   \
BNN__UNUSED static void bnn__v_##NAME(size_t n, const float *x, float *y) {                      \
    bnn__run_xy(n, 0, x, x, y, PICK(bnn__p_##NAME));                                             \
}
BNN__V_MAP(exp, BNN__PICKM16)
BNN__V_MAP(log, BNN__PICKM)
BNN__V_MAP(tanh, BNN__PICKM16)
BNN__V_MAP(sigmoid, BNN__PICKM16)
BNN__V_MAP(softplus, BNN__PICKM)
BNN__V_MAP(sin, BNN__PICKM)
BNN__V_MAP(cos, BNN__PICKM)
BNN__V_MAP(erf, BNN__PICKM)
BNN__V_MAP(expm1, BNN__PICKM)
BNN__V_MAP(sqrt, BNN__PICKM)
BNN__V_MAP(relu, BNN__PICK)
BNN__V_MAP(tanh_slope, BNN__PICK)
BNN__V_MAP(sigmoid_slope, BNN__PICK)
#define BNN__V_OF(NAME)                                                                          \
BNN__UNUSED static void bnn__v_##NAME(size_t n, float a, const float *x, float *y) {             \
    bnn__run_xy(n, a, x, x, y, BNN__PICK(bnn__p_##NAME));                                        \
}
BNN__V_OF(axpy)
BNN__V_OF(scale)
#define BNN__V_XY(NAME)                                                                          \
BNN__UNUSED static void bnn__v_##NAME(size_t n, const float *x, const float *y, float *out) {    \
    bnn__run_xy(n, 0, x, y, out, BNN__PICK(bnn__p_##NAME));                                      \
}
BNN__V_XY(add)
BNN__V_XY(mul)
BNN__V_XY(muladd)
BNN__V_XY(relu_back)       /* x the gradient, y = relu */
/* out[j] += sum_i g[i,j], rows in order */
BNN__UNUSED static void bnn__v_colsum(size_t rows, size_t cols, const float *g, float *out) {
    bnn__job q = bnn__no_job();
    q.x = g, q.w = out, q.rows = rows, q.cols = cols;
    bnn__run(cols, &q, BNN__PICK(bnn__p_colsum));
}

/* A row of a few numbers, where calling a pass would cost more than the work: its maximum (a NaN is
 * passed over), and y = (x - a) b. */
BNN__INLINE float bnn__row_max(size_t n, const float *x) {
    float top = -(float)bnn__inf();
    size_t i = 0;
#if BNN__SIMD
    bnn__f4 t = bnn__set_4(top), v;
    for (; i + 4 <= n; i += 4) v = bnn__ld_4(x + i), t = bnn__sel_4(bnn__lt_4(t, v), v, t);
    for (size_t l = 0; l < 4; l++) top = bnn__lt_1(top, t[l]) ? t[l] : top;
#endif
    for (; i < n; i++) top = bnn__lt_1(top, x[i]) ? x[i] : top;
    return top;
}
BNN__INLINE void bnn__row_affine(size_t n, const float *x, float a, float b, float *y) {
    size_t i = 0;
#if BNN__SIMD
    for (; i + 4 <= n; i += 4)
        bnn__st_4(y + i, (bnn__ld_4(x + i) - bnn__set_4(a)) * bnn__set_4(b));
#endif
    for (; i < n; i++) y[i] = (x[i] - a) * b;
}
BNN__INLINE void bnn__row_put(size_t n, const float *x, float *y) {
#if BNN__SIMD
    for (; n >= 4; n -= 4, x += 4, y += 4) bnn__st_4(y, bnn__ld_4(x));
#endif
    for (; n > 0; n--) *y++ = *x++;
}
/* y = max(x, y), a NaN being the largest; y += a x */
BNN__INLINE void bnn__row_top(size_t n, const float *x, float *y) {
    size_t i = 0;
#if BNN__SIMD
    for (; i + 4 <= n; i += 4) {
        bnn__f4 v = bnn__ld_4(x + i), t = bnn__ld_4(y + i);
        bnn__st_4(y + i, bnn__sel_4(bnn__lt_4(t, v) | bnn__nan_4(v), v, t));
    }
#endif
    for (; i < n; i++) y[i] = bnn__lt_1(y[i], x[i]) | bnn__nan_1(x[i]) ? x[i] : y[i];
}
BNN__INLINE void bnn__row_add(size_t n, float a, const float *x, float *y) {
    size_t i = 0;
#if BNN__SIMD
    for (; i + 4 <= n; i += 4)
        bnn__st_4(y + i, bnn__ld_4(y + i) + bnn__ld_4(x + i) * bnn__set_4(a));
#endif
    for (; i < n; i++) y[i] += a * x[i];
}

/* >>gemm  Matrix product. Every element of C is one chain s = a b + s in the order of k, fused if
 * there is FMA, begun at 0 or the old C: the same bits for any blocking and number of threads. */
static void bnn__gemm_1(size_t m, size_t n, size_t k, const float *a, size_t ars, size_t acs,
                        const float *b, size_t brs, size_t bcs, float *c, size_t ldc, int more) {
    size_t i, j, p;
    for (i = 0; i < m; i++, a += ars, c += ldc) {
        if (!more) for (j = 0; j < n; j++) c[j] = 0;
        if (bcs == 1) {
            for (p = 0; p < k; p++)
                for (j = 0; j < n; j++) c[j] = c[j] + a[p * acs] * b[p * brs + j];
        } else {
            for (j = 0; j < n; j++) {
                float s = c[j];
                for (p = 0; p < k; p++) s = s + a[p * acs] * b[p * brs + j * bcs];
                c[j] = s;
            }
        }
    }
}
#if BNN__SIMD
/* One tile: R rows by V vectors of C stay in registers for a whole block of k; per k, V loads of B,
 * R broadcasts of A, R V multiply-adds. V = 0 is a single column, b and c read by scalars. */
#define BNN__ROWS1(X, S) X(0, S)
#define BNN__ROWS2(X, S) BNN__ROWS1(X, S) X(1, S)
#define BNN__ROWS3(X, S) BNN__ROWS2(X, S) X(2, S)
#define BNN__ROWS4(X, S) BNN__ROWS3(X, S) X(3, S)
#define BNN__ROWS6(X, S) BNN__ROWS4(X, S) X(4, S) X(5, S)
#define BNN__ZERO_0(r, S)  bnn__f##S s##r = bnn__set_##S(0);
#define BNN__ZERO_1(r, S)  BNN__ZERO_0(r, S)
#define BNN__ZERO_2(r, S)  BNN__ZERO_0(r, S) bnn__f##S t##r = s##r;
#define BNN__LOAD_0(r, S)  s##r = bnn__set_##S(c[r * ldc]);
#define BNN__LOAD_1(r, S)  s##r = bnn__ld_##S(c + r * ldc);
#define BNN__LOAD_2(r, S)  BNN__LOAD_1(r, S) t##r = bnn__ld_##S(c + r * ldc + S);
#define BNN__STEP_0(r, S)  x = bnn__set_##S(a[r * ars]); BNN__FMA_##S(s##r, x, u);
#define BNN__STEP_1(r, S)  BNN__STEP_0(r, S)
#define BNN__STEP_2(r, S)  BNN__STEP_0(r, S) BNN__FMA_##S(t##r, x, v);
#define BNN__STORE_0(r, S) c[r * ldc] = s##r[0];
#define BNN__STORE_1(r, S) bnn__st_##S(c + r * ldc, s##r);
#define BNN__STORE_2(r, S) BNN__STORE_1(r, S) bnn__st_##S(c + r * ldc + S, t##r);
#define BNN__GETB_0(S)     bnn__f##S x, u = bnn__set_##S(*b);
#define BNN__GETB_1(S)     bnn__f##S x, u = bnn__ld_##S(b);
#define BNN__GETB_2(S)     BNN__GETB_1(S) bnn__f##S v = bnn__ld_##S(b + S);
typedef void bnn__tile(size_t k, const float *a, size_t ars, size_t acs, const float *b, size_t brs,
                       float *c, size_t ldc, int more);
#define BNN__TILE(S, R, V)                                                                       \
static BNN__AT_##S                                                                               \
void bnn__tile_##S##_##V##_##R(size_t k, const float *a, size_t ars, size_t acs, const float *b, \
                               size_t brs, float *c, size_t ldc, int more) {                     \
    BNN__ROWS##R(BNN__ZERO_##V, S)                                                               \
    if (more) { BNN__ROWS##R(BNN__LOAD_##V, S) }                                                 \
    for (; k > 0; k--, a += acs, b += brs) {                                                     \
        BNN__GETB_##V(S)                                                                         \
        BNN__ROWS##R(BNN__STEP_##V, S)                                                           \
    }                                                                                            \
    __asm__("" : "+r"(c));                /* or gcc keeps 12 addresses on the stack for this */  \
    BNN__ROWS##R(BNN__STORE_##V, S)                                                              \
}
#define BNN__TILES(S, V) BNN__TILE(S, 1, V) BNN__TILE(S, 2, V) BNN__TILE(S, 3, V) \
    BNN__TILE(S, 4, V) BNN__TILE(S, 6, V)
/* The tile of v vectors and r rows; no table, for that would be data to relocate */
#define BNN__CASE(S, V) \
    case 6 * V + 1: return bnn__tile_##S##_##V##_1;                                          \
    case 6 * V + 2: return bnn__tile_##S##_##V##_2;                                          \
    case 6 * V + 3: return bnn__tile_##S##_##V##_3;                                          \
    case 6 * V + 4: return bnn__tile_##S##_##V##_4;                                          \
    case 6 * V + 6: return bnn__tile_##S##_##V##_6;
#define BNN__CHOICE(S, CASES)                                                                    \
static bnn__tile *bnn__tiles_##S(size_t v, size_t r) {                                           \
    switch (6 * v + r) { CASES }                                                                 \
    return NULL;                                                                                 \
}
#define BNN__GEMM(S) BNN__TILES(S, 0) BNN__TILES(S, 1) BNN__TILES(S, 2) \
    BNN__CHOICE(S, BNN__CASE(S, 0) BNN__CASE(S, 1) BNN__CASE(S, 2))
#if BNN__SIMD == 16
BNN__GEMM(8)
BNN__TILES(16, 1)
BNN__TILES(16, 2)
BNN__CHOICE(16, BNN__CASE(16, 1) BNN__CASE(16, 2))
static bnn__tile *bnn__tile_of(size_t S, size_t v, size_t r) { /* one column has no lanes */
    return S == 16 && v > 0 ? bnn__tiles_16(v, r) : bnn__tiles_8(v, r);
}
#else
BNN__GEMM(4)
#define bnn__tile_of(S, v, r) bnn__tiles_4(v, r)
#endif

/* Rows of the next tile where so many are left: 7 = 4 + 3, 5 = 3 + 2 */
BNN__INLINE size_t bnn__tile_rows(size_t left) {
    return left > 8 || left == 6 ? 6 : left > 6 ? 4 : left == 5 ? 3 : left;
}

/* Rows of w floats from k rows and n <= w columns of B, zeros beyond. Transposing by 4 x 4. */
#if defined(__clang__) || __GNUC__ >= 12
#define BNN__SHUFFLE(a, b, i, j, k, l) __builtin_shufflevector(a, b, i, j, k, l)
#else
#define BNN__SHUFFLE(a, b, i, j, k, l) __builtin_shuffle(a, b, bnn__index(i, j, k, l))
static bnn__i4 bnn__index(int i, int j, int k, int l) { bnn__i4 v = { i, j, k, l }; return v; }
#endif
static void bnn__pack(size_t k, size_t n, const float *b, size_t brs, size_t bcs, size_t w,
                      float *d) {
    size_t p = 0, j = 0;
    if (n < w) memset(d, 0, k * w * sizeof *d);
    if (bcs == 1) {
        for (; j + 16 <= n; j += 16)
            for (p = 0; p < k; p++) memcpy(d + p * w + j, b + p * brs + j, 16 * sizeof *d);
        for (; j + 8 <= n; j += 8)
            for (p = 0; p < k; p++) memcpy(d + p * w + j, b + p * brs + j, 8 * sizeof *d);
    } else if (brs == 1) {
        for (; j + 4 <= n; j += 4) {
            const float *q = b + j * bcs;
            for (p = 0; p + 4 <= k; p += 4, q += 4) {
                bnn__f4 e = bnn__ld_4(q), f = bnn__ld_4(q + bcs), s, t, u, v;
                bnn__f4 g = bnn__ld_4(q + 2 * bcs), h = bnn__ld_4(q + 3 * bcs);
                s = BNN__SHUFFLE(e, f, 0, 4, 1, 5), t = BNN__SHUFFLE(g, h, 0, 4, 1, 5);
                u = BNN__SHUFFLE(e, f, 2, 6, 3, 7), v = BNN__SHUFFLE(g, h, 2, 6, 3, 7);
                bnn__st_4(d + (p + 0) * w + j, BNN__SHUFFLE(s, t, 0, 1, 4, 5));
                bnn__st_4(d + (p + 1) * w + j, BNN__SHUFFLE(s, t, 2, 3, 6, 7));
                bnn__st_4(d + (p + 2) * w + j, BNN__SHUFFLE(u, v, 0, 1, 4, 5));
                bnn__st_4(d + (p + 3) * w + j, BNN__SHUFFLE(u, v, 2, 3, 6, 7));
            }
            for (; p < k; p++, q++) for (size_t l = 0; l < 4; l++) d[p * w + j + l] = q[l * bcs];
        }
    }
    for (; j < n; j++) for (p = 0; p < k; p++) d[p * w + j] = b[p * brs + j * bcs];
}
/* Small products, without blocking. Where C is new the last panel of columns overlaps the one
 * before: the same bits twice are cheaper than an edge. Else, or if B has no rows, it is packed. */
enum { BNN__SMALL_K = 128, BNN__SMALL = 1 << 17 };
static void bnn__gemm_small(size_t S, size_t m, size_t n, size_t k, const float *a, size_t ars,
                            size_t acs, const float *b, size_t brs, size_t bcs, float *c,
                            size_t ldc, int more) {
    float room[32 * BNN__SMALL_K], edge[6 * 32];
    size_t j, i, r, l, w, nb;
    for (j = 0; j < n; j += w) {
        size_t v = n - j > S ? 2 : 1, at = j, bs = brs;
        const float *bj;
        if (v == 2 && n - j < 2 * S && (more || n < 2 * S)) v = 1;
        w = v * S;
        if (n - j < w && !more && n >= w) at = n - w;
        nb = n - at < w ? n - at : w;
        bj = b + at * bcs;
        if (bcs != 1 || nb < w) {
            bnn__pack(k, nb, bj, brs, bcs, w, room);
            bj = room, bs = w;
        }
        for (i = 0; i < m; i += r) {
            float *ci = c + i * ldc + at;
            r = bnn__tile_rows(m - i);
            if (nb == w) {
                bnn__tile_of(S, v, r)(k, a + i * ars, ars, acs, bj, bs, ci, ldc, more);
                continue;
            }
            if (more) for (l = 0; l < r; l++) bnn__row_put(nb, ci + l * ldc, edge + l * w);
            bnn__tile_of(S, v, r)(k, a + i * ars, ars, acs, bj, bs, edge, w, more);
            for (l = 0; l < r; l++) bnn__row_put(nb, edge + l * w, ci + l * ldc);
        }
    }
}
/* The loops around the tiles. k is cut so that a panel of B (k by 2 S, packed) stays in the first
 * cache, m so that the block of A used with it stays in the second. A is read where it lies; only
 * if that would touch a new page for every k (a wide A, transposed: the gradient of the weights) is
 * it copied, and then B is read where it lies, unless its rows would fight for the same cache sets.
 * While a tile is computed, C of the next one and 16 lines of the next panel are on their way. */
enum { /* in floats: */
    BNN__ROOM = 16384,                 /* on the stack, 64 KB: a panel of B, or that and A packed */
    BNN__FAR = 60000,                   /* a step through A that leaves the pages the TLB knows */
    BNN__L2_16 = 110000, BNN__L2 = 40000, /* block of A: 440 of 1024 KB (AVX-512), 160 of 256 */
    BNN__FEW = 32, BNN__SHORT = 64      /* rows worth packing B for, depths worth prefetching for */
};
static void bnn__gemm_v(size_t S, size_t m, size_t n, size_t k, const float *a, size_t ars,
                        size_t acs, const float *b, size_t brs, size_t bcs, float *c, size_t ldc,
                        int more) {
    __attribute__((aligned(64))) float room[BNN__ROOM];
    float edge[6 * 32];
    int packa = acs != 1 && m > BNN__FEW && n > 2 * S && k * acs > BNN__FAR;
    size_t kmax = packa ? 128 : S == 16 ? 256 : 320, cuts = (k + kmax - 1) / kmax;
    size_t kc = (k + cuts - 1) / cuts, kb, mb, mc, nb, p, i, j, x, r, l;
    size_t block = S == 16 ? (size_t)BNN__L2_16 : (size_t)BNN__L2;
    for (p = 0; p < k; p += kc, more = 1) {
        kb = k - p < kc ? k - p : kc;
        mc = (packa ? BNN__ROOM - 2 * S * kb : block) / kb / 6 * 6;
        cuts = (m + mc - 1) / mc;
        mc = cuts ? ((m + cuts - 1) / cuts + 5) / 6 * 6 : 6;
        for (i = 0; i < m; i += mc) {
            const float *ai = a + i * ars + p * acs;
            size_t rs = ars, cs = acs;
            mb = m - i < mc ? m - i : mc;
            if (packa) {
                float *d = room + 2 * S * kb;
                for (l = 0; l < kb; l++)
                    if (ars == 1) memcpy(d + l * mc, ai + l * acs, mb * sizeof *d);
                    else for (x = 0; x < mb; x++) d[l * mc + x] = ai[l * acs + x * ars];
                ai = d, rs = 1, cs = mc;
            }
            for (j = 0; j < n; j += nb) {
                const float *bj = b + p * brs + j * bcs, *next = 0;
                size_t v, w, bs = brs;
                nb = n - j < 2 * S ? n - j : 2 * S;
                v = nb == 1 ? 0 : nb <= S ? 1 : 2;
                w = v ? v * S : 1;
                if (nb > 1 && (nb < w || bcs != 1 ||
                               (mb > BNN__FEW && (!packa || brs % 64 == 0)))) {
                    bnn__pack(kb, nb, bj, brs, bcs, w, room);
                    if (kb >= BNN__SHORT && n - j >= 2 * w) next = bj + w * bcs;
                    bj = room, bs = w;
                }
                for (x = 0; x < mb; x += r) {
                    float *cx = c + (i + x) * ldc + j;
                    bnn__tile *tile;
                    r = bnn__tile_rows(mb - x);
                    tile = bnn__tile_of(S, v, r);
                    if (kb >= BNN__SHORT) {
                        size_t q = x / 6 * 16, e = q + 16 < kb ? q + 16 : kb;
                        const float *cn = mb - x > r ? cx + r * ldc : c + i * ldc + j + w;
                        if (mb - x > r || n - j > w)
                            for (l = 0; l < r; l++) __builtin_prefetch(cn + l * ldc, 1);
                        if (next && bcs == 1)
                            for (l = q; l < e; l++) __builtin_prefetch(next + l * brs);
                        else if (next && q < e)
                            for (l = 0; l < w; l++) __builtin_prefetch(next + l * bcs + q * brs);
                    }
                    if (nb == w) {
                        tile(kb, ai + x * rs, rs, cs, bj, bs, cx, ldc, more);
                        continue;
                    }
                    if (more) for (l = 0; l < r; l++) bnn__row_put(nb, cx + l * ldc, edge + l * w);
                    tile(kb, ai + x * rs, rs, cs, bj, bs, edge, w, more);
                    for (l = 0; l < r; l++) bnn__row_put(nb, edge + l * w, cx + l * ldc);
                }
            }
        }
    }
}
#endif

#if defined(BNN_CBLAS) && !defined(float)
/* A matrix as BLAS sees it, or 0: transposed or not, and its leading dimension. */
static int bnn__blas(size_t rows, size_t cols, size_t rs, size_t cs, enum CBLAS_TRANSPOSE *t,
                     int *ld) {
    size_t least = cols > 1 ? cols : 1;
    *t = CblasNoTrans;
    if ((cs != 1 && cols > 1) || (rs < least && rows > 1)) {
        size_t swap = rows;
        *t = CblasTrans;
        least = rows > 1 ? rows : 1;
        rows = cols, cols = swap, swap = rs, rs = cs, cs = swap;
        if ((cs != 1 && cols > 1) || (rs < least && rows > 1)) return 0;
    }
    if (rs < least) rs = least;
    *ld = (int)rs;
    return rs <= INT_MAX && rows <= INT_MAX && cols <= INT_MAX;
}
#endif
/* C(i,j) = (accumulate ? C(i,j) : 0) + sum over p of A(i,p) B(p,j), with A(i,p) = a[i ars + p acs],
 * B(p,j) = b[p brs + j bcs] and rows of c ldc apart: (m,k) (k,n) -> (m,n), any of them may be 0. */
static void bnn__gemm_here(size_t m, size_t n, size_t k, const float *a, size_t ars, size_t acs,
                           const float *b, size_t brs, size_t bcs, float *c, size_t ldc, int more) {
#if BNN__SIMD
    int lanes = bnn__cpu() < BNN__SIMD / 2 ? 1 : bnn__cpu();
    if (n == 1 && m > 1 && ldc == 1) { /* a column is a row of the transposed product: has lanes */
        const float *ta = a;
        size_t trs = ars, tcs = acs;
        a = b, ars = 0, acs = brs;
        b = ta, brs = tcs, bcs = trs;
        n = m, ldc = m, m = 1;
    }
    if (lanes > 1 && k > 0 && n > 1 && k <= BNN__SMALL_K && m * n <= BNN__SMALL / k) {
        if (lanes == 16 && (n < 16 || (m > 1 && (n - 1) % 16 < 8))) lanes = 8; /* less is wasted */
        bnn__gemm_small((size_t)lanes, m, n, k, a, ars, acs, b, brs, bcs, c, ldc, more);
    } else if (lanes > 1 && k > 0)
        bnn__gemm_v((size_t)lanes, m, n, k, a, ars, acs, b, brs, bcs, c, ldc, more);
    else
#endif
        bnn__gemm_1(m, n, k, a, ars, acs, b, brs, bcs, c, ldc, more);
}
BNN__UNUSED static void bnn__gemm(size_t m, size_t n, size_t k, const float *a, size_t ars,
                                  size_t acs, const float *b, size_t brs, size_t bcs, float *c,
                                  size_t ldc, int accumulate) {
#if defined(BNN_CBLAS) && !defined(float)
    enum CBLAS_TRANSPOSE ta, tb;
    int lda, ldb;
    if (m && n && k && ldc <= INT_MAX && bnn__blas(m, k, ars, acs, &ta, &lda) &&
        bnn__blas(k, n, brs, bcs, &tb, &ldb)) {
        cblas_sgemm(CblasRowMajor, ta, tb, (int)m, (int)n, (int)k, 1, a, lda, b, ldb,
                    accumulate ? 1 : 0, c, (int)(ldc < n ? n : ldc));
        return;
    }
#elif defined(_OPENMP)
    /* threads take columns of a wide C, so that no panel is packed twice; rows of a tall one: then
     * a gradient lies in the cache of the core that will also move its weights */
    size_t threads = (size_t)omp_get_max_threads(), unit = m < n ? 16 : 6, t;
    size_t whole = unit == 16 ? n : m, part = (whole + threads - 1) / threads;
    part = (part + unit - 1) / unit * unit;
    if (threads > 1 && !omp_in_parallel() && m * n * k >= (size_t)1 << 21) {
        threads = (whole + part - 1) / part;
#pragma omp parallel for
        for (t = 0; t < threads; t++) {
            size_t at = t * part, len = whole - at < part ? whole - at : part;
            if (unit == 16)
                bnn__gemm_here(m, len, k, a, ars, acs, b + at * bcs, brs, bcs, c + at, ldc,
                               accumulate);
            else
                bnn__gemm_here(len, n, k, a + at * ars, ars, acs, b, brs, bcs, c + at * ldc, ldc,
                               accumulate);
        }
        return;
    }
#endif
    bnn__gemm_here(m, n, k, a, ars, acs, b, brs, bcs, c, ldc, accumulate);
}

/* >>patches  A convolution is a product whose left side is never whole. Row p of it is what the
 * kernel sees for pixel p of the result: kh runs of kw c floats of the image, zeros outside. A tile
 * of such rows is copied at a time, so that scratch does not grow with the batch, and sums run in
 * the order of k = (row, column, channel) of the kernel, whatever the tile: the bits of >>gemm. */
typedef struct bnn__slide { /* a kernel over an image */
    size_t h, w, c;                    /* the image                                 */
    size_t rows, cols;                 /* of the result, in pixels                  */
    size_t kh, kw, down, right;        /* the kernel and its strides                */
    size_t top, left;                  /* zeros above the image and to its left     */
} bnn__slide;

/* Patches of `count` pixels of the result, from `first` of the batch on: copied to a from an image,
 * or, with from NULL, added to where they are from. */
static void bnn__patches(const bnn__slide *s, size_t first, size_t count, float *a,
                         const float *from, float *to) {
    size_t run = s->kw * s->c, pixels = s->rows * s->cols, i, ky;
    size_t image = first / pixels * s->h * s->w * s->c;
    size_t row = first % pixels / s->cols, col = first % s->cols;
    for (; count > 0; count--) {
        size_t x = col * s->right, y = row * s->down; /* the image begins at (left, top) */
        size_t head = x < s->left ? s->left - x : 0, end = s->left + s->w - x;
        head *= s->c, end = end < s->kw ? end * s->c : run;
        for (ky = 0; ky < s->kh; ky++, y++, a += run) {
            int outside = y < s->top || y - s->top >= s->h;
            size_t at = outside ? 0 : image + ((y - s->top) * s->w + x) * s->c + head
                                      - s->left * s->c;
            if (from != NULL) {
                for (i = 0; i < head; i++) a[i] = 0;
                for (i = outside ? head : end; i < run; i++) a[i] = 0;
                if (outside) continue;
                if (end - head >= 64) memcpy(a + head, from + at, (end - head) * sizeof *a);
                else bnn__row_put(end - head, from + at, a + head);
            } else if (!outside) {
                if (end - head >= 64) bnn__v_add(end - head, a + head, to + at, to + at);
                else bnn__row_add(end - head, 1, a + head, to + at);
            }
        }
        if (++col < s->cols) continue;
        col = 0;
        if (++row < s->rows) continue;
        row = 0, image += s->h * s->w * s->c;
    }
}

enum { BNN__PATCH = 32768, BNN__PATCHES = 48 }; /* floats of a tile, but rows enough for B's sake */
static size_t bnn__patch_rows(const bnn__slide *s) {
    size_t rows = (size_t)BNN__PATCH / (s->kh * s->kw * s->c);
    return rows > BNN__PATCHES ? rows : (size_t)BNN__PATCHES;
}
/* A kernel of one pixel sees the matrix as it lies. */
static int bnn__patch_free(const bnn__slide *s) {
    return s->kh == 1 && s->kw == 1 && s->down == 1 && s->right == 1 && s->top + s->left == 0 &&
           s->rows == s->h && s->cols == s->w;
}
static size_t bnn__threads(void) {
#ifdef _OPENMP
    return omp_in_parallel() ? 1 : (size_t)omp_get_max_threads();
#else
    return 1;
#endif
}
static size_t bnn__thread(void) {
#ifdef _OPENMP
    return (size_t)omp_get_thread_num();
#else
    return 0;
#endif
}
/* y (n pixels, k) = patches of x times w, strides as in >>gemm; room: a tile for every thread */
static void bnn__conv(const bnn__slide *s, size_t n, size_t k, const float *x, const float *w,
                      size_t wrs, size_t wcs, float *y, int more, float *room) {
    size_t depth = s->kh * s->kw * s->c, unit = bnn__patch_rows(s), tasks, t;
    if (bnn__patch_free(s)) {
        bnn__gemm(n, k, depth, x, depth, 1, w, wrs, wcs, y, k, more);
        return;
    }
    tasks = (n + unit - 1) / unit;
    BNN__PARALLEL(tasks > 1)
    for (t = 0; t < tasks; t++) {
        size_t first = t * unit, count = n - first < unit ? n - first : unit;
        float *a = room + (tasks > 1 ? bnn__thread() : 0) * unit * depth;
        bnn__patches(s, first, count, a, x, NULL);
        bnn__gemm(count, k, depth, a, depth, 1, w, wrs, wcs, y + first * k, k, more);
    }
}
/* The adjoint: x += what each patch of its image gets from y times w^T. A thread has whole images:
 * patches overlap, and add up in their order. */
static void bnn__conv_back(const bnn__slide *s, size_t n, size_t k, const float *y, const float *w,
                           size_t wrs, size_t wcs, float *x, float *room) {
    size_t depth = s->kh * s->kw * s->c, unit = bnn__patch_rows(s), pixels = s->rows * s->cols;
    size_t part = (unit + pixels - 1) / pixels * pixels, tasks, t;
    if (bnn__patch_free(s)) {
        bnn__gemm(n, depth, k, y, k, 1, w, wcs, wrs, x, depth, 1);
        return;
    }
    tasks = (n + part - 1) / part;
    BNN__PARALLEL(tasks > 1)
    for (t = 0; t < tasks; t++) {
        size_t end = n - t * part < part ? n : (t + 1) * part, first, count;
        float *a = room + (tasks > 1 ? bnn__thread() : 0) * unit * depth;
        for (first = t * part; first < end; first += count) {
            count = end - first < unit ? end - first : unit;
            bnn__gemm(count, depth, k, y + first * k, k, 1, w, wcs, wrs, a, depth, 0);
            bnn__patches(s, first, count, a, NULL, x);
        }
    }
}
/* gw (+)= patches^T y, or y^T patches for the transposed layout: one chain over all pixels */
static void bnn__conv_weights(const bnn__slide *s, size_t n, size_t k, const float *x,
                              const float *y, float *gw, int transposed, int more, float *room) {
    size_t depth = s->kh * s->kw * s->c, unit = bnn__patch_rows(s), first, count;
    if (bnn__patch_free(s)) unit = n;
    for (first = 0; first < n; first += count, more = 1) {
        const float *a = bnn__patch_free(s) ? x : room;
        count = n - first < unit ? n - first : unit;
        if (a == room) bnn__patches(s, first, count, room, x, NULL);
        if (transposed)
            bnn__gemm(k, depth, count, y + first * k, 1, k, a, depth, 1, gw, depth, more);
        else
            bnn__gemm(depth, k, count, a, 1, depth, y + first * k, k, 1, gw, k, more);
    }
    if (n == 0 && !more) memset(gw, 0, depth * k * sizeof *gw);
}

/* Two reductions for the steppers. Sums of (x-m)^2 in double: eight in flight, in a fixed order.
 * Is every |x| < limit (no NaN is)? The sign bit of a top is set iff some |x| has the bits of the
 * limit or more. */
static double bnn__sumsq_1(size_t n, const float *x, float m) {
    double s[8] = { 0, 0, 0, 0, 0, 0, 0, 0 };
    size_t i;
    for (i = 0; i < n; i++) s[i % 8] += ((double)x[i] - (double)m) * ((double)x[i] - (double)m);
    return ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]));
}

static int bnn__v_below_1(size_t n, const float *x, float limit) {
    size_t i;
    for (i = 0; i < n; i++)
        if (!bnn__finite(x[i]) || x[i] >= limit || x[i] <= -limit) return 0;
    return 1;
}

#if BNN__SIMD
typedef double bnn__d4 __attribute__((vector_size(32)));
typedef float bnn__s4 __attribute__((vector_size(16)));
typedef uint32_t bnn__b8 __attribute__((vector_size(32)));

#define BNN__SUMS(S)                                                                               \
    BNN__UNUSED static BNN__AT_##S double bnn__sumsq_##S(size_t n, const float *x, float m) {      \
        double mean = (double)m, s[8];                                                             \
        bnn__d4 a = { 0, 0, 0, 0 }, b = a, d, e;                                                   \
        bnn__s4 u, v;                                                                              \
        size_t i, l;                                                                               \
        for (i = 0; i + 8 <= n; i += 8) {                                                          \
            memcpy(&u, x + i, sizeof u);                                                           \
            memcpy(&v, x + i + 4, sizeof v);                                                       \
            d = __builtin_convertvector(u, bnn__d4) - mean;                                        \
            e = __builtin_convertvector(v, bnn__d4) - mean;                                        \
            a += d * d;                                                                            \
            b += e * e;                                                                            \
        }                                                                                          \
        memcpy(s, &a, sizeof a);                                                                   \
        memcpy(s + 4, &b, sizeof b);                                                               \
        for (l = 0; i < n; i++, l++) s[l] += ((double)x[i] - mean) * ((double)x[i] - mean);        \
        return ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]));                  \
    }                                                                                              \
    BNN__UNUSED static BNN__AT_##S int bnn__v_below_##S(size_t n, const float *x, float limit) {   \
        bnn__b8 u, top = { 0, 0, 0, 0, 0, 0, 0, 0 };                                               \
        uint32_t all = 0, up;                                                                      \
        size_t i, l;                                                                               \
        memcpy(&up, &limit, sizeof up);                                                            \
        up = 0x80000000u - up;                                                                     \
        for (i = 0; i + 8 <= n; i += 8) {                                                          \
            memcpy(&u, x + i, sizeof u);                                                           \
            top |= (u & 0x7fffffffu) + up;                                                         \
        }                                                                                          \
        for (l = 0; l < 8; l++) all |= top[l];                                                     \
        return !(all >> 31) && bnn__v_below_1(n - i, x + i, limit);                                \
    }
#if BNN__SIMD == 16
BNN__SUMS(8)
#else
BNN__SUMS(4)
#endif
#endif

static double bnn__v_sumsq(size_t n, const float *x, float m) {
    return BNN__PICK(bnn__sumsq)(n, x, m);
}

static int bnn__v_below(size_t n, const float *x, float limit) {
    return BNN__PICK(bnn__v_below)(n, x, limit);
}

static int bnn__v_finite(size_t n, const float *x) {
    return bnn__v_below(n, x, (float)bnn__inf());
}

/* Weights and gradients below 2^40 and state below 2^60 cannot overflow in one step. */
#define BNN__CALM ((float)1099511627776.0)
#define BNN__CALM_STATE (BNN__CALM * 1048576)
static int bnn__calm(const bnn__job *q, size_t i, size_t end) {
    size_t n = end - i;
    return bnn__v_below(n, q->w + i, BNN__CALM) &&
           (q->s == NULL || bnn__v_below(n, q->s + i, BNN__CALM_STATE)) &&
           (q->t == NULL || bnn__v_below(n, q->t + i, BNN__CALM_STATE)) &&
           (q->u == NULL || bnn__v_below(n, q->u + i, BNN__CALM_STATE));
}

/* Another pass, and a look at what it wrote while that is in the cache. */
static void bnn__p_watched(const bnn__job *q, size_t i, size_t n) {
    for (; i < n; i += 1024) {
        size_t end = n - i < 1024 ? n : i + 1024;
        q->pass(q, i, end);
        if (bnn__calm(q, i, end)) continue;
        BNN__ATOMIC
        *q->high = 1;
    }
}
BNN__COLD
/* ------------------------------------------------------------------------------------------------
 * >>mat: small dense linear algebra
 *
 * Reductions, Cholesky and the triangular solves accumulate in double, the two Jacobi methods work
 * in double throughout, and every sum has one order. Symmetric input is read from its lower
 * triangle. Golub and Van Loan, Matrix Computations, 4th ed.: 3.1, 4.2, 8.5, 8.6.3.
 *
 *     Cholesky      L_ij = (A_ij - sum_{k<j} L_ik L_jk) / L_jj,   L_ii = sqrt(A_ii - sum_k L_ik^2)
 *     eigenvalues   rotate planes (p,q) in cyclic order by t = tan(angle), the smaller root of
 *                   t^2 + 2 theta t - 1 = 0, theta = (a_qq - a_pp)/(2 a_pq), which makes a_pq zero,
 *                   until every |a_pq| <= eps sqrt|a_pp a_qq|
 *     SVD           the same rotation on columns p, q of A, with their squared norms for a_pp and
 *                   a_qq and their product for a_pq (Hestenes 1958), until all are orthogonal:
 *                   A V = U diag(s)
 * --------------------------------------------------------------------------------------------- */

enum { BNN__STRIP = 64, BNN__SWEEPS = 60 }; /* Jacobi needs about 10 sweeps; 60 bounds any input */

static size_t bnn__mat_size(bnn_mat a) { return bnn__mul(a.rows, a.cols); }

/* Has this shape, and memory to go with it */
static int bnn__mat_is(bnn_mat a, size_t rows, size_t cols) {
    return a.rows == rows && a.cols == cols && (a.data != NULL || rows == 0 || cols == 0);
}

static int bnn__mat_ok(bnn_mat a) { return bnn__mat_is(a, a.rows, a.cols); }

static int bnn__mat_overlap(bnn_mat a, bnn_mat b) {
    uintptr_t pa = (uintptr_t)a.data, pb = (uintptr_t)b.data;
    uintptr_t na = (uintptr_t)(bnn__mat_size(a) * sizeof(float));
    uintptr_t nb = (uintptr_t)(bnn__mat_size(b) * sizeof(float));
    return na != 0 && nb != 0 && pa < pb + nb && pb < pa + na;
}

static bnn_mat bnn__mat(size_t rows, size_t cols, float *data) {
    bnn_mat m;
    m.rows = rows;
    m.cols = cols;
    m.data = data;
    return m;
}

BNNDEF bnn_mat bnn_mat_new(bnn_arena *mem, size_t rows, size_t cols) {
    float *data = (float *)bnn_arena_alloc(mem, bnn__mul(rows, cols), sizeof(float));
    return data == NULL ? bnn__mat(0, 0, NULL) : bnn__mat(rows, cols, data);
}

BNNDEF bnn_mat bnn_mat_copy(bnn_arena *mem, bnn_mat a) {
    bnn_mat b = bnn__mat_ok(a) ? bnn_mat_new(mem, a.rows, a.cols) : bnn__mat(0, 0, NULL);
    size_t n = bnn__mat_size(b);
    if (n != 0) memcpy(b.data, a.data, n * sizeof(float));
    return b;
}

BNNDEF bnn_mat bnn_mat_rows(bnn_mat a, size_t first, size_t count) {
    if (first > a.rows || count > a.rows - first || a.data == NULL)
        return bnn__mat(0, a.cols, NULL);
    return bnn__mat(count, a.cols, a.data + first * a.cols);
}

BNNDEF float *bnn_mat_at(bnn_mat a, size_t row, size_t col) {
    if (row >= a.rows || col >= a.cols || a.data == NULL) return NULL;
    return a.data + row * a.cols + col;
}

BNNDEF void bnn_mat_fill(bnn_mat a, float value) {
    size_t i, n = bnn__mat_ok(a) ? bnn__mat_size(a) : 0;
    for (i = 0; i < n; i++) a.data[i] = value;
}

BNNDEF void bnn_mat_eye(bnn_mat a) {
    size_t i;
    bnn_mat_fill(a, 0);
    for (i = 0; bnn_mat_at(a, i, i) != NULL; i++) *bnn_mat_at(a, i, i) = 1;
}

BNNDEF int bnn_mat_finite(bnn_mat a) {
    return !bnn__mat_ok(a) || bnn__v_finite(bnn__mat_size(a), a.data);
}

/* The first entry that is NaN or infinite; 0 = there is none, which is seen fast */
static int bnn__where(bnn_mat a, size_t *row, size_t *col) {
    size_t i = 0;
    if (bnn_mat_finite(a)) return 0;
    while (bnn__finite(a.data[i])) i++;
    *row = i / a.cols, *col = i % a.cols;
    return 1;
}

static int bnn__mm(bnn_mat out, bnn_mat a, bnn_mat b, int at, int bt) {
    size_t m = at ? a.cols : a.rows, k = at ? a.rows : a.cols, n = bt ? b.rows : b.cols;
    if (!bnn__mat_is(out, m, n) || k != (bt ? b.cols : b.rows) || !bnn__mat_ok(a) ||
        !bnn__mat_ok(b))
        return BNN_ESHAPE;
    if (bnn__mat_overlap(out, a) || bnn__mat_overlap(out, b)) return BNN_EARG;
    if (k == 0) bnn_mat_fill(out, 0);
    else if (m != 0 && n != 0)
        bnn__gemm(m, n, k, a.data, at ? 1 : a.cols, at ? a.cols : 1, b.data, bt ? 1 : b.cols,
                  bt ? b.cols : 1, out.data, n, 0);
    return BNN_OK;
}

BNNDEF int bnn_mat_mul(bnn_mat out, bnn_mat a, bnn_mat b) { return bnn__mm(out, a, b, 0, 0); }
BNNDEF int bnn_mat_mul_tn(bnn_mat out, bnn_mat a, bnn_mat b) { return bnn__mm(out, a, b, 1, 0); }
BNNDEF int bnn_mat_mul_nt(bnn_mat out, bnn_mat a, bnn_mat b) { return bnn__mm(out, a, b, 0, 1); }
BNNDEF int bnn_mat_mul_tt(bnn_mat out, bnn_mat a, bnn_mat b) { return bnn__mm(out, a, b, 1, 1); }

/* out = s a + b, or s a; all of one shape, out the very place of an operand or apart from it */
static int bnn__combine(bnn_mat out, float s, bnn_mat a, const bnn_mat *b) {
    size_t i, n = bnn__mat_size(a);
    if (!bnn__mat_ok(a) || !bnn__mat_is(out, a.rows, a.cols) ||
        (b != NULL && !bnn__mat_is(*b, a.rows, a.cols)))
        return BNN_ESHAPE;
    if ((out.data != a.data && bnn__mat_overlap(out, a)) ||
        (b != NULL && out.data != b->data && bnn__mat_overlap(out, *b)))
        return BNN_EARG;
    for (i = 0; i < n; i++)
        out.data[i] = b == NULL ? s * a.data[i] : s * a.data[i] + b->data[i];
    return BNN_OK;
}

BNNDEF int bnn_mat_add(bnn_mat out, bnn_mat a, bnn_mat b) { return bnn__combine(out, 1, a, &b); }
BNNDEF int bnn_mat_sub(bnn_mat out, bnn_mat a, bnn_mat b) { return bnn__combine(out, -1, b, &a); }
BNNDEF int bnn_mat_scale(bnn_mat out, bnn_mat a, float s) { return bnn__combine(out, s, a, NULL); }

BNNDEF int bnn_mat_transpose(bnn_mat out, bnn_mat a) {
    size_t i, j;
    if (!bnn__mat_ok(a) || !bnn__mat_is(out, a.cols, a.rows)) return BNN_ESHAPE;
    if (bnn__mat_overlap(out, a)) return BNN_EARG;
    for (i = 0; i < a.rows; i++)
        for (j = 0; j < a.cols; j++) out.data[j * a.rows + i] = a.data[i * a.cols + j];
    return BNN_OK;
}

enum { BNN__SUM, BNN__MEAN, BNN__VARIANCE, BNN__STD };

/* A moment of columns first.. of a, or of its rows. They go in strips whose sums fit on the stack:
 * memory is read in order, and no scratch. */
static void bnn__strip(int moment, bnn_mat a, int of_rows, size_t first, size_t count,
                       double *out) {
    double mean[BNN__STRIP];
    size_t n = of_rows ? a.cols : a.rows, step = of_rows ? 1 : a.cols, i, j;
    size_t apart = of_rows ? a.cols : 1;
    if (moment >= BNN__VARIANCE) bnn__strip(BNN__MEAN, a, of_rows, first, count, mean);
    for (j = 0; j < count; j++) out[j] = 0;
    for (i = 0; i < n; i++)
        for (j = 0; j < count; j++) {
            double x = (double)a.data[i * step + (first + j) * apart];
            out[j] += moment < BNN__VARIANCE ? x : (x - mean[j]) * (x - mean[j]);
        }
    for (j = 0; j < count; j++) {
        if (moment != BNN__SUM && n != 0) out[j] /= (double)n;
        if (moment == BNN__STD) out[j] = sqrt(out[j]);
    }
}

static size_t bnn__strip_size(size_t first, size_t n) {
    return n - first < BNN__STRIP ? n - first : (size_t)BNN__STRIP;
}

static int bnn__moment(bnn_mat out, bnn_mat a, int moment, int of_rows) {
    double strip[BNN__STRIP];
    size_t j, first, count, n = of_rows ? a.rows : a.cols;
    if (!bnn__mat_ok(a) || !bnn__mat_is(out, of_rows ? n : 1, of_rows ? 1 : n)) return BNN_ESHAPE;
    if (bnn__mat_overlap(out, a)) return BNN_EARG;
    for (first = 0; first < n; first += count) {
        count = bnn__strip_size(first, n);
        bnn__strip(moment, a, of_rows, first, count, strip);
        for (j = 0; j < count; j++) out.data[first + j] = (float)strip[j];
    }
    return BNN_OK;
}

BNNDEF int bnn_mat_row_sum(bnn_mat out, bnn_mat a) { return bnn__moment(out, a, BNN__SUM, 1); }
BNNDEF int bnn_mat_col_sum(bnn_mat out, bnn_mat a) { return bnn__moment(out, a, BNN__SUM, 0); }
BNNDEF int bnn_mat_row_mean(bnn_mat out, bnn_mat a) { return bnn__moment(out, a, BNN__MEAN, 1); }
BNNDEF int bnn_mat_col_mean(bnn_mat out, bnn_mat a) { return bnn__moment(out, a, BNN__MEAN, 0); }
BNNDEF int bnn_mat_col_std(bnn_mat out, bnn_mat a) { return bnn__moment(out, a, BNN__STD, 0); }

BNNDEF size_t bnn_mat_row_argmax(bnn_mat a, size_t row) {
    const float *x = bnn_mat_at(a, row, 0);
    size_t j, best = 0;
    if (x == NULL) return a.cols; /* no such row */
    for (j = 0; j < a.cols; j++) {
        if (bnn__is_nan((double)x[j])) return a.cols;
        if (x[j] > x[best]) best = j;
    }
    return best;
}

BNNDEF double bnn_mat_sum(bnn_mat a) {
    size_t i, n = bnn__mat_ok(a) ? bnn__mat_size(a) : 0;
    double sum = 0;
    for (i = 0; i < n; i++) sum += (double)a.data[i];
    return sum;
}

BNNDEF double bnn_mat_dot(bnn_mat a, bnn_mat b) {
    size_t i, n = bnn__mat_size(a);
    double sum = 0;
    if (!bnn__mat_ok(a) || !bnn__mat_is(b, a.rows, a.cols)) return bnn__nan();
    for (i = 0; i < n; i++) sum += (double)a.data[i] * (double)b.data[i];
    return sum;
}

BNNDEF int bnn_mat_cov(bnn_mat out, bnn_mat a) {
    double mean[BNN__STRIP], sum[BNN__STRIP], own;
    size_t d = a.cols, i, j, k, first, count;
    if (!bnn__mat_ok(a) || !bnn__mat_is(out, d, d)) return BNN_ESHAPE;
    if (bnn__mat_overlap(out, a)) return BNN_EARG;
    for (first = 0; first < d; first += count) {
        count = bnn__strip_size(first, d);
        bnn__strip(BNN__MEAN, a, 0, first, count, mean);
        for (i = first; i < d; i++) { /* columns first.. against column i: the lower triangle */
            bnn__strip(BNN__MEAN, a, 0, i, 1, &own);
            for (j = 0; j < count; j++) sum[j] = 0;
            for (k = 0; k < a.rows; k++) {
                double r = (double)a.data[k * d + i] - own;
                for (j = 0; j < count; j++)
                    sum[j] += r * ((double)a.data[k * d + first + j] - mean[j]);
            }
            for (j = 0; j < count && first + j <= i; j++) {
                float v = (float)(a.rows != 0 ? sum[j] / (double)a.rows : 0);
                out.data[i * d + first + j] = out.data[(first + j) * d + i] = v;
            }
        }
    }
    return BNN_OK;
}

BNNDEF int bnn_mat_cholesky(bnn_mat l, bnn_mat a, size_t *pivot) {
    size_t d = a.rows, i, j, k;
    if (!bnn__mat_is(a, d, d) || !bnn__mat_is(l, d, d)) return BNN_ESHAPE;
    if (l.data != a.data && bnn__mat_overlap(l, a)) return BNN_EARG;
    if (!bnn_mat_finite(a)) return BNN_ENONFINITE;
    for (i = 0; i < d; i++) {
        float *li = l.data + i * d, root;
        double sum = 0;
        for (j = 0; j <= i; j++) {
            const float *lj = l.data + j * d;
            sum = (double)a.data[i * d + j];
            for (k = 0; k < j; k++) sum -= (double)li[k] * (double)lj[k];
            if (j < i) li[j] = (float)(sum / (double)lj[j]);
        }
        root = (float)(sum > 0 ? sqrt(sum) : 0);
        if (!(root > 0)) { /* also NaN; only rows up to this one of l are touched */
            if (pivot != NULL) *pivot = i;
            return BNN_EARG;
        }
        li[i] = root;
        for (j = i + 1; j < d; j++) li[j] = 0;
    }
    return BNN_OK;
}

static int bnn__solve(bnn_mat x, bnn_mat l, bnn_mat b, int transposed) {
    double sum[BNN__STRIP];
    size_t d = l.rows, k = b.cols, down = transposed ? 1 : d, across = transposed ? d : 1;
    size_t first, count, step, i, j, c;
    if (!bnn__mat_is(l, d, d) || !bnn__mat_is(b, d, k) || !bnn__mat_is(x, d, k)) return BNN_ESHAPE;
    if (bnn__mat_overlap(x, l) || (x.data != b.data && bnn__mat_overlap(x, b))) return BNN_EARG;
    for (i = 0; i < d; i++)
        if (!(l.data[i * d + i] < 0) && !(l.data[i * d + i] > 0)) return BNN_EARG;
    for (first = 0; first < k; first += count) {
        count = bnn__strip_size(first, k);
        for (step = 0; step < d; step++) {
            size_t end = transposed ? d : step;
            i = transposed ? d - 1 - step : step;
            for (c = 0; c < count; c++) sum[c] = (double)b.data[i * k + first + c];
            for (j = transposed ? i + 1 : 0; j < end; j++) {
                double lij = (double)l.data[i * down + j * across];
                for (c = 0; c < count; c++) sum[c] -= lij * (double)x.data[j * k + first + c];
            }
            for (c = 0; c < count; c++)
                x.data[i * k + first + c] = (float)(sum[c] / (double)l.data[i * d + i]);
        }
    }
    return BNN_OK;
}

BNNDEF int bnn_mat_solve_lower(bnn_mat x, bnn_mat l, bnn_mat b) { return bnn__solve(x, l, b, 0); }
BNNDEF int bnn_mat_solve_lower_t(bnn_mat x, bnn_mat l, bnn_mat b) { return bnn__solve(x, l, b, 1); }

BNNDEF int bnn_mat_solve_chol(bnn_mat x, bnn_mat l, bnn_mat b) {
    int err = bnn__solve(x, l, b, 0);
    return err != BNN_OK ? err : bnn__solve(x, l, x, 1);
}

BNNDEF double bnn_mat_logdet_chol(bnn_mat l) {
    size_t i;
    double sum = 0;
    if (!bnn__mat_is(l, l.rows, l.rows)) return bnn__nan();
    for (i = 0; i < l.rows; i++) sum += bnn__dlog(fabs((double)l.data[i * l.rows + i]));
    return 2 * sum;
}

static double bnn__dot_d(size_t n, const double *x, const double *y) {
    double sum = 0;
    size_t i;
    for (i = 0; i < n; i++) sum += x[i] * y[i];
    return sum;
}

static void bnn__plane(double pp, double qq, double pq, double *c, double *s) {
    double theta = (qq - pp) / (2 * pq); /* infinite: no rotation, pq vanishes beside qq - pp */
    double t = 1 / (fabs(theta) + sqrt(theta * theta + 1));
    if (theta < 0) t = -t;
    *c = 1 / sqrt(t * t + 1);
    *s = t * *c;
}

static void bnn__rotate(size_t n, double *p, double *q, double c, double s) {
    size_t i;
    for (i = 0; i < n; i++) {
        double x = p[i], y = q[i];
        p[i] = c * x - s * y;
        q[i] = s * x + c * y;
    }
}

/* Order of n keys without NaN, in mem; NULL = mem->err. A merge sort: equal keys stay in order, so
 * that results do not depend on the library's qsort. */
static size_t *bnn__sorted_index(bnn_arena *mem, size_t n, const double *key) {
    size_t *index = (size_t *)bnn__arena_take(mem, n, sizeof(size_t));
    size_t *tmp = (size_t *)bnn__arena_take(mem, n, sizeof(size_t));
    size_t i, j, k, width, from, mid, end;
    if (tmp == NULL) return NULL;
    for (i = 0; i < n; i++) index[i] = i;
    for (width = 1; width < n; width *= 2) {
        for (from = 0; from < n; from = end) {
            mid = n - from > width ? from + width : n;
            end = n - mid > width ? mid + width : n;
            for (i = from, j = mid, k = from; k < end; k++)
                tmp[k] = j == end || (i < mid && key[index[i]] <= key[index[j]]) ? index[i++]
                                                                                 : index[j++];
        }
        memcpy(index, tmp, n * sizeof *index);
    }
    return index;
}

typedef struct bnn__jacobi {
    int symmetric;   /* w = a in both triangles, turned from both sides; else its columns alone */
    double *w, *v;   /* rows: columns of a; of the product of all rotations                     */
    double *key;     /* eigenvalues, or minus squared singular values, and their order          */
    size_t *order;
    int e;           /* w is a 2^-e, entries below 1, so that no square overflows               */
} bnn__jacobi;

static void bnn__load_scaled(bnn__jacobi *z, bnn_mat a) {
    double top = 0;
    size_t i, j, n = bnn__mat_size(a);
    for (i = 0; i < n; i++)
        if (fabs((double)a.data[i]) > top) top = fabs((double)a.data[i]);
    (void)frexp(top, &z->e);
    for (i = 0; i < a.rows; i++)
        for (j = 0; j < a.cols; j++) {
            size_t from = z->symmetric && j > i ? j * a.cols + i : i * a.cols + j;
            z->w[j * a.rows + i] = ldexp((double)a.data[from], -z->e);
        }
}

/* Every plane once; 0 = none needed it. tol: what rounding leaves in a sum of n products */
static int bnn__sweep(const bnn__jacobi *z, size_t n, size_t d) {
    double tol = z->symmetric ? DBL_EPSILON : DBL_EPSILON * sqrt((double)n);
    size_t p, q, k;
    int rotated = 0;
    for (p = 0; p < d; p++)
        for (q = p + 1; q < d; q++) {
            double *x = z->w + p * n, *y = z->w + q * n, c, s;
            double pp = z->symmetric ? x[p] : bnn__dot_d(n, x, x);
            double qq = z->symmetric ? y[q] : bnn__dot_d(n, y, y);
            double pq = z->symmetric ? x[q] : bnn__dot_d(n, x, y);
            if (fabs(pq) <= tol * sqrt(fabs(pp)) * sqrt(fabs(qq)) || fabs(pq) < DBL_MIN) continue;
            bnn__plane(pp, qq, pq, &c, &s);
            bnn__rotate(n, x, y, c, s);
            bnn__rotate(d, z->v + p * d, z->v + q * d, c, s);
            rotated = 1;
            if (!z->symmetric) continue;
            for (k = 0; k < d; k++) z->w[k * d + p] = x[k], z->w[k * d + q] = y[k];
            x[p] = pp - s / c * pq;
            y[q] = qq + s / c * pq;
            x[q] = y[p] = 0;
        }
    return rotated;
}

/* All of it in mem, the sorted v to vectors; 0 = mem->err */
static int bnn__jacobi_run(bnn_arena *mem, bnn__jacobi *z, bnn_mat vectors, bnn_mat a) {
    size_t n = a.rows, d = a.cols, i, j;
    int sweep = 0;
    z->w = (double *)bnn__arena_take(mem, bnn__mul(n, d), sizeof(double));
    z->v = (double *)bnn_arena_alloc(mem, bnn__mul(d, d), sizeof(double));
    z->key = (double *)bnn__arena_take(mem, d, sizeof(double));
    if (z->key == NULL) return 0;
    bnn__load_scaled(z, a);
    for (i = 0; i < d; i++) z->v[i * d + i] = 1;
    while (sweep++ < BNN__SWEEPS && bnn__sweep(z, n, d)) continue;
    for (i = 0; i < d; i++) {
        const double *x = z->w + i * n;
        z->key[i] = z->symmetric ? x[i] : -bnn__dot_d(n, x, x);
    }
    z->order = bnn__sorted_index(mem, d, z->key);
    if (z->order == NULL) return 0;
    for (i = 0; i < d; i++)
        for (j = 0; j < d; j++) vectors.data[i * d + j] = (float)z->v[z->order[j] * d + i];
    return 1;
}

BNNDEF int bnn_mat_eig_sym(bnn_arena *mem, bnn_mat values, bnn_mat vectors, bnn_mat a) {
    size_t d = a.rows, j;
    bnn__jacobi z;
    bnn_mark mark;
    if (!bnn__mat_is(a, d, d) || !bnn__mat_is(values, 1, d) || !bnn__mat_is(vectors, d, d))
        return BNN_ESHAPE;
    if (mem == NULL || bnn__mat_overlap(values, vectors)) return BNN_EARG;
    if (!bnn_mat_finite(a)) return BNN_ENONFINITE;
    mark = bnn_arena_mark(mem);
    z.symmetric = 1;
    if (bnn__jacobi_run(mem, &z, vectors, a))
        for (j = 0; j < d; j++) values.data[j] = (float)ldexp(z.key[z.order[j]], z.e);
    bnn_arena_rewind(mem, mark);
    return mem->err;
}

/* Norms of the rows of w to s, rows to length 1. A row of (almost) nothing has no direction: it
 * becomes the unit vector with most outside the rows found so far, made orthogonal to them. */
static void bnn__svd_normalize(double *w, size_t n, size_t d, const size_t *order, double *s) {
    size_t i, j, k, best, pass;
    for (j = 0; j < d; j++) {
        double *x = w + order[j] * n, least = 2, norm = sqrt(bnn__dot_d(n, x, x));
        s[j] = norm * norm > DBL_MIN / DBL_EPSILON ? norm : 0;
        if (s[j] <= 0) {
            for (i = 0, best = 0; i < n; i++) {
                double inside = 0;
                for (k = 0; k < j; k++) inside += w[order[k] * n + i] * w[order[k] * n + i];
                if (inside < least) least = inside, best = i;
            }
            for (i = 0; i < n; i++) x[i] = i == best;
            for (pass = 0; pass < 2; pass++) /* twice is enough (Kahan) */
                for (k = 0; k < j; k++) {
                    double *y = w + order[k] * n, along = bnn__dot_d(n, x, y);
                    for (i = 0; i < n; i++) x[i] -= along * y[i];
                }
            norm = sqrt(bnn__dot_d(n, x, x));
        }
        for (i = 0; i < n; i++) x[i] /= norm;
    }
}

BNNDEF int bnn_mat_svd(bnn_arena *mem, bnn_mat u, bnn_mat s, bnn_mat v, bnn_mat a) {
    size_t n = a.rows, d = a.cols, i, j;
    bnn__jacobi z;
    bnn_mark mark;
    if (n < d || !bnn__mat_ok(a) || !bnn__mat_is(u, n, d) || !bnn__mat_is(s, 1, d) ||
        !bnn__mat_is(v, d, d))
        return BNN_ESHAPE;
    if (mem == NULL || bnn__mat_overlap(u, s) || bnn__mat_overlap(u, v) || bnn__mat_overlap(s, v))
        return BNN_EARG;
    if (!bnn_mat_finite(a)) return BNN_ENONFINITE;
    mark = bnn_arena_mark(mem);
    z.symmetric = 0;
    if (bnn__jacobi_run(mem, &z, v, a)) {
        bnn__svd_normalize(z.w, n, d, z.order, z.key);
        for (j = 0; j < d; j++) {
            s.data[j] = (float)ldexp(z.key[j], z.e);
            for (i = 0; i < n; i++) u.data[i * d + j] = (float)z.w[z.order[j] * n + i];
        }
    }
    bnn_arena_rewind(mem, mark);
    return mem->err;
}

#ifndef BNN_NO_STDIO
BNNDEF void bnn_mat_print(bnn_mat a, const char *name) {
    size_t i, j, rows = a.rows > 8 ? 8 : a.rows, cols = a.cols > 10 ? 10 : a.cols;
    printf("%s %lu x %lu\n", name != NULL ? name : "", (unsigned long)a.rows,
           (unsigned long)a.cols);
    if (a.data == NULL) return;
    for (i = 0; i < rows && cols != 0; i++) {
        for (j = 0; j < cols; j++) printf(" %11.5g", (double)a.data[i * a.cols + j]);
        printf(cols < a.cols ? " ...\n" : "\n");
    }
    if (rows < a.rows && cols != 0) printf(" ...\n");
}
#endif

BNNDEF bnn_data bnn_data_rows(bnn_data d, size_t first, size_t count) {
    d.x = bnn_mat_rows(d.x, first, count);
    d.y = bnn_mat_rows(d.y, first, count);
    return d;
}
/* ------------------------------------------------------------------------------------------------
 * >>special: functions of one distribution or another, in double
 *
 * ln Gamma, psi, psi': raise x to 10 or more by f(x) = f(x+1) - {ln x, 1/x, -1/x^2}, then Stirling,
 *     ln Gamma(x) = (x - 1/2) ln x - x + ln(2 pi)/2 + S(x), S = sum_n B_2n / (2n (2n-1) x^(2n-1)),
 * and its derivatives. From 1/2 to 5/2, for relative accuracy at its zeros 1 and 2, the series
 *     ln Gamma(2+e) = (1-g) e + sum_{k>=2} (zeta(k)-1) (-e)^k / k.
 *
 * Incomplete gamma: with f = x^a e^-x / Gamma(a+1),
 *     P = f sum_n x^n / ((a+1)...(a+n)) for x < a + 1, else Q = f a / (x+1-a- 1(1-a)/(x+3-a- ...)).
 * Incomplete beta: with f = x^a (1-x)^b / B(a,b), I = f / (q0 + p1/(q1 + p2/(q2 + ...))) for
 * x < (a+1)/(a+b+2), else 1 - I_{1-x}(b,a); p and q as in the code. Fractions by modified Lentz.
 * In differences of ln Gamma both f would lose digits for large a; Loader's form, for the first
 *     f = exp(-S(a) - D(a,x)) / sqrt(2 pi a),   D(a,m) = a ln(a/m) + m - a >= 0,
 * keeps them. Terms grow like sqrt(a): a, b <= 1e9. Relative accuracy for a, b <= 1e6: 1e-12, of I
 * 1e-11; a small I at a small b is computed as such.
 *
 * DLMF 5, 8. Press et al., Numerical Recipes 6.2. Didonato and Morris, ACM TOMS 18, 1992. Loader,
 * Fast and accurate computation of binomial probabilities, 2000. Wichura, AS 241, Appl. Stat. 37,
 * 1988. Figurnov, Mohamed and Mnih, Implicit reparameterization gradients, NeurIPS 2018.
 * --------------------------------------------------------------------------------------------- */

enum { BNN__TERMS = 1000000 }; /* of a series or fraction: a bound, never reached in the domain */

static double bnn__horner(const double *c, size_t n, double x) { /* c[0] + c[1] x + ... */
    double s = 0;
    while (n-- > 0) s = s * x + c[n];
    return s;
}

/* S(x) for x >= 10 */
static double bnn__stirling(double x) {
    static const double c[] = { 1.0 / 12, -1.0 / 360, 1.0 / 1260, -1.0 / 1680, 1.0 / 1188,
                                -691.0 / 360360, 1.0 / 156 };
    return bnn__horner(c, 7, 1 / (x * x)) / x;
}

/* ln Gamma(2 + e), |e| <= 1/2 */
static double bnn__lgamma_near_2(double e) {
    static const double c[] = { /* 1 - g, then (zeta(k) - 1)/k for k = 2, 3, ... */
        0.42278433509846714,    0.32246703342411322,    0.067352301053198095,
        0.020580808427784548,   0.0073855510286739853,  0.0028905103307415233,
        0.001192753911703261,   0.00050966952474304242, 0.00022315475845357938,
        9.9457512781808534e-5,  4.4926236738133142e-5,  2.0507212775670692e-5,
        9.4394882752683959e-6,  4.3748667899074878e-6,  2.0392157538013662e-6,
        9.5514121304074198e-7,  4.492469198764566e-7,   2.1207184805554666e-7,
        1.00432248239681e-7,    4.7698101693639806e-8,  2.2711094608943165e-8,
        1.0838659214896954e-8,  5.1834750419700467e-9,  2.4836745438024783e-9
    };
    return e * (c[0] + e * bnn__horner(c + 1, 23, -e));
}

/* ln Gamma(1 + e), -1/2 <= e <= 3/2, without rounding 1 + e */
static double bnn__lgamma_1p(double e) {
    return e < 0.5 ? bnn__lgamma_near_2(e) - bnn__dlog1p(e) : bnn__lgamma_near_2(e - 1);
}

BNNDEF double bnn_lgamma(double x) {
    double p = 1;
    if (!(x > 0) || !bnn__finite_d(x)) return x > 0 ? x : bnn__nan();
    if (x < 0.5) return bnn__lgamma_1p(x) - bnn__dlog(x);
    if (x < 2.5) return bnn__lgamma_1p(x - 1);
    for (; x < 10; x++) p *= x;
    return (x - 0.5) * bnn__dlog(x) - x + BNN__LN_2PI / 2 + bnn__stirling(x) - bnn__dlog(p);
}

BNNDEF double bnn_digamma(double x) {
    static const double c[] = { 1.0 / 12, -1.0 / 120, 1.0 / 252, -1.0 / 240, 1.0 / 132,
                                -691.0 / 32760, 1.0 / 12 };
    double s = 0, y;
    if (!(x > 0) || !bnn__finite_d(x)) return x > 0 ? x : bnn__nan();
    for (; x < 10; x++) s -= 1 / x;
    y = 1 / (x * x);
    return s + (bnn__dlog(x) - 0.5 / x - y * bnn__horner(c, 7, y));
}

BNNDEF double bnn_trigamma(double x) {
    static const double c[] = { 1.0 / 6, -1.0 / 30, 1.0 / 42, -1.0 / 30, 5.0 / 66,
                                -691.0 / 2730, 7.0 / 6, -3617.0 / 510 };
    double s = 0, y;
    if (!(x > 0) || !bnn__finite_d(x)) return x > 0 ? 0 : bnn__nan();
    for (; x < 10; x++) s += 1 / (x * x);
    y = 1 / (x * x);
    return s + (1 + 0.5 / x + y * bnn__horner(c, 8, y)) / x;
}

/* S(x) for every x > 0: in differences of ln Gamma the rest cancels by algebra */
static double bnn__lgamma_rest(double x) {
    double next;
    if (x >= 10) return bnn__stirling(x);
    next = x < 1 ? bnn__lgamma_1p(x) : bnn_lgamma(x + 1); /* ln Gamma(x + 1) */
    return next - (x + 0.5) * bnn__dlog(x) + x - BNN__LN_2PI / 2;
}

/* D(a,m). Near m = a the logarithm cancels: with u = (m-a)/a and r = u/(2+u),
 * u - ln(1+u) = r u - 2 r (r^2/3 + r^4/5 + ...). */
static double bnn__deviance(double a, double m) {
    double u = (m - a) / a, r, p, s = 0, s1 = -1;
    int k;
    if (!(u > -0.4 && u < 0.4)) return a * bnn__dlog(a / m) + (m - a);
    r = u / (2 + u);
    p = r * r;
    for (k = 3; s != s1; k += 2, p *= r * r) {
        s1 = s;
        s += p / k;
    }
    return a * r * (u - 2 * s);
}

static double bnn__gamma_front(double a, double x) { /* x^a e^-x / Gamma(a+1) */
    return bnn__dexp(-bnn__lgamma_rest(a) - bnn__deviance(a, x)) / sqrt(2 * BNN__PI * a);
}

static double bnn__gamma_series(double a, double x) { /* P */
    double term = 1, sum = 1;
    int n;
    for (n = 1; n < BNN__TERMS && term > sum * (DBL_EPSILON / 4); n++) {
        term *= x / (a + n);
        sum += term;
    }
    return bnn__gamma_front(a, x) * sum;
}

static double bnn__gamma_fraction(double a, double x) { /* Q */
    double b = x + 1 - a, c = 1e300, d = 1 / b, h = d, step = 0;
    int n;
    for (n = 1; n < BNN__TERMS && fabs(step - 1) > DBL_EPSILON; n++) {
        double t = n * (a - n);
        b += 2;
        d = 1 / (t * d + b); /* b grows by 2, x > a - 1: no denominator vanishes */
        c = b + t / c;
        step = c * d;
        h *= step;
    }
    return bnn__gamma_front(a, x) * a * h;
}

/* Q for a < 1, x < 1, where 1 - P would cancel: P = f' (1 + a s), s = sum (-x)^n / (n! (a+n)) */
static double bnn__gamma_q_small(double a, double x) {
    double log_f = a * bnn__dlog(x) - bnn__lgamma_1p(a), term = 1, s = 0;
    int n;
    for (n = 1; n < 25; n++) {
        term *= -x / n;
        s += term / (a + n);
    }
    return -bnn__dexpm1(log_f) - bnn__dexp(log_f) * a * s;
}

/* The smaller trouble of the two: returns P, or Q if *upper is set. */
static double bnn__gamma_pq(double a, double x, int *upper) {
    *upper = 0;
    if (!bnn__finite_d(a) || !(a > 0) || !(x >= 0)) return bnn__nan();
    if (x == 0) return 0;
    if (a >= 1 && x < a + 1) return bnn__gamma_series(a, x);
    *upper = 1;
    if (x > 4 * a + 4000) return 0; /* below the smallest double, and infinity */
    if (a < 1 && x < 1) return bnn__gamma_q_small(a, x);
    return bnn__gamma_fraction(a, x);
}

BNNDEF double bnn_gamma_p(double a, double x) {
    int upper;
    double p = bnn__gamma_pq(a, x, &upper);
    return !upper ? p : x < 1 ? bnn__gamma_series(a, x) : 1 - p;
}

BNNDEF double bnn_gamma_q(double a, double x) {
    int upper;
    double p = bnn__gamma_pq(a, x, &upper);
    return upper ? p : 1 - p;
}

static double bnn__beta_fraction(double a, double b, double x, double y) {
    double c = 1e300, d = (a + 1) / (a * (a * y - b * x + 1)), h = d, step = 0;
    int n;
    for (n = 1; n < BNN__TERMS && fabs(step - 1) > DBL_EPSILON; n++) {
        double e = a + 2 * n, t = n * (b - n) * x / (e - 1); /* n - 1 first: a may be tiny */
        double p = (a + (n - 1)) * (a + b + (n - 1)) / (e - 1) * x * t;
        double q = n + t + (a + n) * (a * y - b * x + 1 + n * (2 - x)) / (e + 1);
        d = 1 / (q + p * d);
        c = q + p / c;
        step = c * d;
        h *= step;
    }
    return h;
}

/* 1 - I_y(b,a) for small b, where that cancels, and y of about 1/a or less:
 *     I_y(b,a) = y^b / (b B(a,b)) (1 + b s),  s = sum_n (1-a)_n y^n / (n! (b+n)),
 * with ln Gamma(a+b) - ln Gamma(a) as the integral of psi (three points; from a+1 if a < 1) */
static double bnn__beta_small(double a, double b, double y) {
    double mid = (a < 1 ? a + 1 : a) + b / 2, reach = b * 0.38729833462074169;
    double log_f, s = 0, term = 1;
    int n;
    for (n = 1; n < 200 && fabs(term) > DBL_EPSILON / 4 * fabs(s); n++) {
        term *= (n - a) * y / n;
        s += term / (b + n);
    }
    log_f = 8 * bnn_digamma(mid) + 5 * (bnn_digamma(mid - reach) + bnn_digamma(mid + reach));
    log_f = b * (log_f / 18 + bnn__dlog(y)) - bnn__lgamma_1p(b);
    if (a < 1) log_f -= bnn__dlog1p(b / a);
    return -bnn__dexpm1(log_f) - bnn__dexp(log_f) * b * s;
}

/* ln of x^a (1-x)^b / B(a,b), d = D(a, n x) + D(b, n (1-x)), n = a + b */
static double bnn__beta_front(double a, double b, double d) {
    return bnn__lgamma_rest(a + b) - bnn__lgamma_rest(a) - bnn__lgamma_rest(b) - d +
           0.5 * (bnn__dlog(a) + bnn__dlog(b / (a + b)) - BNN__LN_2PI);
}

BNNDEF double bnn_beta_i(double a, double b, double x) {
    double n = a + b, y = 1 - x, f;
    if (!bnn__finite_d(a) || !bnn__finite_d(b) || !(a > 0) || !(b > 0) || !(x >= 0) || !(x <= 1))
        return bnn__nan();
    if (x == 0 || x == 1) return x;
    f = bnn__dexp(bnn__beta_front(a, b, bnn__deviance(a, n * x) + bnn__deviance(b, n * y)));
    if (x < (a + 1) / (n + 2)) return f * bnn__beta_fraction(a, b, x, y);
    if (b < 0.01) return bnn__beta_small(a, b, y);
    return 1 - f * bnn__beta_fraction(b, a, y, x);
}

BNNDEF double bnn_normal_cdf(double x) { return 0.5 * erfc(-x * 0.70710678118654752440); }

BNNDEF double bnn_normal_log_cdf(double x) {
    static const double c[] = { -1, 3, -15, 105 };
    double y;
    if (x > 0) return bnn__dlog1p(-bnn_normal_cdf(-x));
    if (!(x < -30)) return bnn__dlog(bnn_normal_cdf(x));
    y = 1 / (x * x); /* Phi(x) = phi(x)/|x| (1 - 1/x^2 + 3/x^4 - ...) */
    return -0.5 * x * x - bnn__dlog(-x) - BNN__LN_2PI / 2 + bnn__dlog1p(y * bnn__horner(c, 4, y));
}

BNNDEF double bnn_normal_quantile(double p) {
    static const double c[6][8] = { /* numerator and denominator: center, tail, far tail */
        { 3.3871328727963665, 133.14166789178438, 1971.5909503065513, 13731.69376550946,
          45921.95393154987, 67265.7709270087, 33430.57558358813, 2509.0809287301227 },
        { 1, 42.31333070160091, 687.1870074920579, 5394.196021424751,
          21213.794301586597, 39307.89580009271, 28729.085735721943, 5226.495278852854 },
        { 1.4234371107496835, 4.630337846156546, 5.769497221460691, 3.6478483247632045,
          1.2704582524523684, 0.2417807251774506, 0.022723844989269184, 0.0007745450142783414 },
        { 1, 2.053191626637759, 1.6763848301838038, 0.6897673349851,
          0.14810397642748008, 0.015198666563616457, 5.475938084995345e-4, 1.0507500716444169e-9 },
        { 6.657904643501103, 5.463784911164114, 1.7848265399172913, 0.29656057182850487,
          0.026532189526576124, 1.2426609473880784e-3, 2.7115555687434876e-5,
          2.0103343992922881e-7 },
        { 1, 0.599832206555888, 0.1369298809227358, 0.014875361290850615,
          7.868691311456133e-4, 1.8463183175100548e-5, 1.421511758316446e-7,
          2.0442631033899397e-15 }
    };
    double q = p - 0.5, r;
    int i;
    if (!(p > 0 && p < 1)) return bnn__nan();
    if (fabs(q) <= 0.425) {
        r = 0.180625 - q * q;
        return q * bnn__horner(c[0], 8, r) / bnn__horner(c[1], 8, r);
    }
    r = sqrt(-bnn__dlog(q < 0 ? p : 1 - p));
    i = r <= 5 ? 2 : 4;
    r -= r <= 5 ? 1.6 : 5;
    r = bnn__horner(c[i], 8, r) / bnn__horner(c[i + 1], 8, r);
    return q < 0 ? -r : r;
}

/* How a gamma draw z moves with its shape a at fixed u = P(a,z): D = d ln z / da
 * = -(dP/da) / (z p(z;a)). With the integrals of P and Q over z e^-v and z e^v,
 *     z <= a:  D = [ (psi(a+1) - ln z) (1 + z J0) + z J1 ] / a,
 *              Jk = int_0^inf v^k exp(z (1 - e^-v) - (a+1) v) dv
 *     z > a:   D = int_0^inf (ln z - psi(a) + v) exp(a v - z (e^v - 1)) dv
 * (1 + z J0 is a int_0^inf e^{-av} h dv by parts: no wide range at small a, no limit case
 * at z = 0). Every exponent is 0 at v = 0 and concave; the range ends where it is -40. 32-point
 * Gauss-Legendre on panels: relative accuracy 1e-11 for a = 1e-6 .. 1e6. */
static void bnn__gauss32(double lo, double hi, double a, double z, double out[2]) {
    static const double x[] = {
        0.048307665687738316, 0.14447196158279649, 0.23928736225213707, 0.33186860228212765,
        0.42135127613063535, 0.50689990893222939, 0.58771575724076233, 0.6630442669302152,
        0.73218211874028968, 0.79448379596794241, 0.84936761373256997, 0.89632115576605212,
        0.93490607593773969, 0.96476225558750643, 0.98561151154526834, 0.99726386184948156
    };
    static const double w[] = {
        0.096540088514727801, 0.095638720079274859, 0.093844399080804566, 0.091173878695763885,
        0.087652093004403811, 0.083311924226946755, 0.078193895787070306, 0.072345794108848506,
        0.065822222776361847, 0.058684093478535547, 0.050998059262376176, 0.042835898022226681,
        0.034273862913021433, 0.025392065309262059, 0.016274394730905671, 0.0070186100094700966
    };
    double half = (hi - lo) / 2;
    int i;
    for (i = 0; i < 32; i++) {
        double v = lo + half * (1 + (i < 16 ? x[i] : -x[i - 16])), t;
        t = z > a ? a * v - z * bnn__dexpm1(v) : -z * bnn__dexpm1(-v) - (a + 1) * v;
        t = half * w[i % 16] * bnn__dexp(t);
        out[0] += t;
        out[1] += v * t;
    }
}

/* The v where minus the exponent is 40, from the right: Newton on a convex function. */
static double bnn__gamma_range(double a, double z) {
    double v = z > a ? bnn__dlog(4 + 80 / z) : (40 + z) / (a + 1), step = v;
    if (z > a && v > sqrt(80 / z)) v = sqrt(80 / z);
    while (step > 0.01 * v) {
        double e = z > a ? bnn__dexp(v) : bnn__dexp(-v);
        step = z > a ? (z * (e - 1) - a * v - 40) / (z * e - a)
                     : ((a + 1) * v + z * (e - 1) - 40) / (a + 1 - z * e);
        v -= step;
    }
    return v;
}

BNNDEF double bnn_gamma_dlog(double a, double log_z) {
    static const double edge[] = { 0, 0.05, 0.15, 0.3, 0.6, 1 };
    double z, range, g[2] = { 0, 0 };
    int i;
    if (!bnn__finite_d(a) || !bnn__finite_d(log_z) || !(a > 0)) return bnn__nan();
    z = bnn__dexp(log_z < 700 ? log_z : 700);
    range = bnn__gamma_range(a, z);
    for (i = 0; i < 5; i++) bnn__gauss32(edge[i] * range, edge[i + 1] * range, a, z, g);
    if (z > a) return (log_z - bnn_digamma(a)) * g[0] + g[1];
    return ((bnn_digamma(a + 1) - log_z) * (1 + z * g[0]) + z * g[1]) / a;
}

BNN__WARM
/* ------------------------------------------------------------------------------------------------
 * >>rng: random numbers and variates
 *
 * Block number ctr of the stream is Philox4x32-10(ctr, key), four words; bnn_rng_u32 hands them out
 * in order. From words w, with u = (w + 1/2) 2^-32, which is never 0 or 1:
 *     exponential  E = -ln u, by ln(1-u) for u near 1, so that both ends have 32 good bits
 *     normal       sqrt(2 E) cos(2 pi u')              (Box and Muller 1958), to 6.7 sigma in float
 *     Gumbel       -ln E                               logistic  ln u - ln(1-u)
 *     Laplace      E - E'
 *     gamma(a)     a >= 1: d = a - 1/3, v = (1 + x/sqrt(9d))^3, x normal, until v > 0 and
 *                  ln u < x^2/2 + d - d v + d ln v; then z = d v    (Marsaglia and Tsang 2000)
 *                  a < 1: ln z = ln z' - E/a, z' ~ gamma(a+1); z underflows for small a, not ln z
 *     beta(a,b)    logit = ln z_a - ln z_b
 *     Dirichlet    ln x = y - logsumexp(y), y_k = ln z_k
 * The logarithms are those of >>math, and + - * / sqrt are IEEE: the bits depend on the seed alone.
 * Salmon et al., Parallel random numbers: as easy as 1, 2, 3, SC 2011. Lemire, ACM TOMACS 29, 2019.
 * --------------------------------------------------------------------------------------------- */

BNNDEF bnn_rng bnn_rng_stream(uint64_t seed, uint64_t stream) {
    bnn_rng r;
    memset(&r, 0, sizeof r);
    r.key[0] = (uint32_t)seed;
    r.key[1] = (uint32_t)(seed >> 32);
    r.ctr[2] = (uint32_t)stream;
    r.ctr[3] = (uint32_t)(stream >> 32);
    return r;
}

BNNDEF bnn_rng bnn_rng_seed(uint64_t seed) { return bnn_rng_stream(seed, 0); }

BNNDEF uint32_t bnn_rng_u32(bnn_rng *r) {
    if (r->left <= 0) {
        bnn__philox(r->ctr, r->key, r->buf);
        bnn__rng_advance(r, 1);
        r->left = 4;
    }
    return r->buf[4 - r->left--];
}

static uint64_t bnn__rng_u64(bnn_rng *r) {
    uint64_t high = bnn_rng_u32(r);
    return high << 32 | bnn_rng_u32(r);
}

/* Four words of the parent, which moves on, are the child's seed and stream. Philox makes them as
 * good as random, so two of n children meet with probability n^2 2^-129, and so with the parent. */
BNNDEF bnn_rng bnn_rng_split(bnn_rng *r) {
    uint64_t seed = bnn__rng_u64(r);
    return bnn_rng_stream(seed, bnn__rng_u64(r));
}

/* The high word of w n is uniform if the low word is not one of the first 2^32 mod n (Lemire). */
BNNDEF size_t bnn_rng_below(bnn_rng *r, size_t n) {
    uint64_t big = n, m;
    if (big <= 0xffffffffu) {
        uint32_t little = (uint32_t)n;
        if (little == 0) return 0;
        do m = bnn_rng_u32(r) * big;
        while ((uint32_t)m < little && (uint32_t)m < (0u - little) % little);
        return (size_t)(m >> 32);
    }
    do m = bnn__rng_u64(r); while (m < (0 - big) % big);
    return (size_t)(m % big);
}

static double bnn__rng_unit(bnn_rng *r) { /* (0,1) with 52 bits, exact */
    return ((double)(bnn__rng_u64(r) >> 12) + 0.5) / 4503599627370496.0;
}

BNNDEF float bnn_rng_uniform(bnn_rng *r) {
    if (sizeof(float) > sizeof(uint32_t)) return (float)bnn__rng_unit(r);
    return (float)(((double)(bnn_rng_u32(r) >> 9) + 0.5) / 8388608); /* 23 bits and a half: exact */
}

BNNDEF float bnn_rng_normal(bnn_rng *r) {
    uint32_t w = bnn_rng_u32(r);
    float second;
    return bnn__normal_1(w, bnn_rng_u32(r), &second);
}

BNNDEF float bnn_rng_exponential(bnn_rng *r) { return bnn__expo_1(bnn_rng_u32(r)); }

BNNDEF float bnn_rng_gumbel(bnn_rng *r) { return -BNN_MATH_LOG(bnn_rng_exponential(r)); }

BNNDEF float bnn_rng_logistic(bnn_rng *r) {
    uint32_t w = bnn_rng_u32(r);
    return bnn__expo_1(~w) - bnn__expo_1(w); /* ~w is the word of 1 - u */
}

BNNDEF float bnn_rng_double_exponential(bnn_rng *r) {
    float e = bnn__expo_1(bnn_rng_u32(r));
    return e - bnn__expo_1(bnn_rng_u32(r));
}

/* The logarithm of a tiny draw stays finite. */
static float bnn__log_draw(double y) { return y > -(double)FLT_MAX ? (float)y : -FLT_MAX; }

BNNDEF float bnn_rng_log_gamma(bnn_rng *r, float shape) {
    double a = (double)shape, d = (a < 1 ? a + 1 : a) - 1.0 / 3, c = 1 / sqrt(9 * d);
    double x, v, log_v, y;
    if (!bnn__finite(shape) || !(a > 0)) return (float)bnn__nan();
    do {
        do x = (double)bnn_rng_normal(r); while (c * x <= -0.999999);
        v = (1 + c * x) * (1 + c * x) * (1 + c * x);
        log_v = 3 * (double)BNN_MATH_LOG1P((float)(c * x));
    } while (-(double)bnn_rng_exponential(r) >= 0.5 * x * x + d * (1 - v + log_v));
    y = (double)BNN_MATH_LOG((float)d) + log_v;
    if (a < 1) y -= (double)bnn_rng_exponential(r) / a;
    return bnn__log_draw(y);
}

BNNDEF float bnn_rng_gamma(bnn_rng *r, float shape) {
    return BNN_MATH_EXP(bnn_rng_log_gamma(r, shape));
}

BNNDEF float bnn_rng_beta(bnn_rng *r, float a, float b) {
    float y = bnn_rng_log_gamma(r, a);
    return bnn__sigmoid_1(y - bnn_rng_log_gamma(r, b));
}

BNNDEF int bnn_rng_dirichlet(bnn_rng *r, size_t k, const float *alpha, float *x, float *log_x) {
    double sum = 0, top = -(double)FLT_MAX;
    size_t i;
    if (k == 0) return BNN_EARG;
    for (i = 0; i < k; i++)
        if (!bnn__finite(alpha[i]) || !(alpha[i] > 0)) return BNN_EARG;
    for (i = 0; i < k; i++) {
        x[i] = bnn_rng_log_gamma(r, alpha[i]);
        if ((double)x[i] > top) top = (double)x[i];
    }
    for (i = 0; i < k; i++) {
        float y = (float)((double)x[i] - top);
        if (log_x != NULL) log_x[i] = y;
        x[i] = BNN_MATH_EXP(y);
        sum += (double)x[i];
    }
    for (i = 0; i < k; i++) {
        if (log_x != NULL) log_x[i] -= BNN_MATH_LOG1P((float)(sum - 1)); /* e^0 is in the sum */
        x[i] = (float)((double)x[i] / sum);
    }
    return BNN_OK;
}

BNNDEF size_t bnn_rng_categorical(bnn_rng *r, size_t k, const float *weights) {
    double total = 0, sum = 0, target;
    size_t i, last = k;
    for (i = 0; i < k; i++) {
        if (!bnn__finite(weights[i]) || weights[i] < 0) return k;
        total += (double)weights[i];
    }
    if (!(total > 0) || !bnn__finite_d(total)) return k;
    target = bnn__rng_unit(r) * total;
    for (i = 0; i < k; i++) {
        if (weights[i] > 0) last = i;
        sum += (double)weights[i];
        if (target < sum) break;
    }
    return last; /* also if rounding leaves target = total: the last positive weight */
}

BNNDEF void bnn_rng_permutation(bnn_rng *r, size_t n, size_t *out) {
    size_t i;
    for (i = 0; i < n; i++) { /* Fisher and Yates, inside out */
        size_t j = bnn_rng_below(r, i + 1);
        out[i] = out[j];
        out[j] = i;
    }
}

BNNDEF void bnn_rng_fill_uniform(bnn_rng *r, size_t n, float *out) { bnn__v_uniform(r, n, out); }
BNNDEF void bnn_rng_fill_normal(bnn_rng *r, size_t n, float *out) { bnn__v_normal(r, n, out); }
BNNDEF void bnn_rng_fill_gumbel(bnn_rng *r, size_t n, float *out) { bnn__v_gumbel(r, n, out); }
BNNDEF void bnn_rng_fill_exponential(bnn_rng *r, size_t n, float *out) {
    bnn__v_exponential(r, n, out);
}

enum { BNN__FILL = 512 }; /* candidates in flight */

/* Candidates in blocks; those accepted move up. u < 1 - 0.0331 x^4 accepts 98 of 100 at once. */
static void bnn__fill_cube_roots(bnn_rng *r, size_t n, double d, float *out) {
    float xs[BNN__FILL], us[BNN__FILL];
    double c = 1 / sqrt(9 * d), x, u, v;
    size_t i, k;
    for (; n > 0; n -= k) {
        size_t m = n < (size_t)BNN__FILL ? n : (size_t)BNN__FILL;
        bnn__v_normal(r, m, xs);
        bnn__v_uniform(r, m, us);
        for (i = k = 0; i < m; i++) {
            x = (double)xs[i], u = (double)us[i], v = 1 + c * x;
            if (v <= 0.000001) continue;
            if (u >= 1 - 0.0331 * (x * x) * (x * x) && (double)BNN_MATH_LOG(us[i]) >=
                0.5 * x * x + d * (1 - v * v * v + 3 * (double)BNN_MATH_LOG1P((float)(c * x))))
                continue;
            out[k++] = (float)v;
        }
        out += k;
    }
}

BNNDEF void bnn_rng_fill_log_gamma(bnn_rng *r, size_t n, float shape, float *out) {
    double a = (double)shape, d = (a < 1 ? a + 1 : a) - 1.0 / 3, log_d, less = a < 1 ? 1 / a : 0;
    float e[BNN__FILL];
    size_t i, m;
    if (!bnn__finite(shape) || !(a > 0)) {
        bnn_mat_fill(bnn__mat(1, n, out), (float)bnn__nan());
        return;
    }
    bnn__fill_cube_roots(r, n, d, out);
    bnn__v_log(n, out, out);
    log_d = (double)BNN_MATH_LOG((float)d);
    memset(e, 0, sizeof e);
    for (; n > 0; n -= m, out += m) {
        m = n < (size_t)BNN__FILL ? n : (size_t)BNN__FILL;
        if (a < 1) bnn__v_exponential(r, m, e);
        for (i = 0; i < m; i++)
            out[i] = bnn__log_draw(log_d + 3 * (double)out[i] - (double)e[i] * less);
    }
}

BNNDEF void bnn_rng_fill_gamma(bnn_rng *r, size_t n, float shape, float *out) {
    bnn_rng_fill_log_gamma(r, n, shape, out);
    bnn__v_exp(n, out, out);
}

/* ------------------------------------------------------------------------------------------------
 * >>tape: define-by-run reverse mode
 *
 * A node holds its value, its inputs and the function that carries a gradient back:
 *     in[i]->grad += J_i^T self->grad,        J_i = d self / d in[i].
 * Nodes are chained in the order they were made, which is a topological order, so one walk from the
 * root backward meets every node after all its consumers. Gradients of nodes live in the tape and
 * are made on first need; gradients of parameters live in bnn_params and add up.
 *
 * `fresh` marks gradient memory whose contents are old. An op that can write instead of add
 * (`lazy`) asks bnn__claim; for all others the walk fills zeros first. This saves a pass over the
 * memory of every weight gradient, every step.
 * --------------------------------------------------------------------------------------------- */

static bnn_var *bnn__poison(bnn_tape *t) {
    memset(&t->poison, 0, sizeof t->poison);
    t->poison.tape = t;
    return &t->poison;
}

static bnn_var *bnn__fail(bnn_tape *t, int err, const char *fmt, ...) {
    va_list args;
    if (t->err == BNN_OK) {
        t->err = err;
        va_start(args, fmt);
        bnn__vformat(t->msg, fmt, args);
        va_end(args);
    }
    return bnn__poison(t);
}

static void bnn__note(bnn_tape *t, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    bnn__note_to(t->note, &t->notes, t->on_note, t->note_user, fmt, args);
    va_end(args);
}

BNNDEF bnn_var *bnn_tape_fail(bnn_tape *t, int err, const char *who, const char *what) {
    return bnn__fail(t, err, "%s: %s", who, what);
}

/* Memory of this step; NULL = the tape's err is set. */
static void *bnn__scratch(bnn_tape *t, size_t count, size_t size) {
    void *p = t->err == BNN_OK ? bnn__arena_take(&t->mem, count, size) : NULL;
    if (p == NULL && t->err == BNN_OK) bnn__fail(t, BNN_ENOMEM, "tape: %s", t->mem.msg);
    return p;
}

static float *bnn__floats(bnn_tape *t, size_t n) {
    return (float *)bnn__scratch(t, n, sizeof(float));
}

BNNDEF void bnn_tape_reset(bnn_tape *t) {
    bnn_mark start = { NULL, 0 };
    bnn_arena_rewind(&t->mem, start);
    t->last = NULL;
    t->pass = 0; /* no node carries a stamp now, so the counter never wraps */
    t->resets++;
}

BNNDEF void bnn_tape_free(bnn_tape *t) {
    bnn_arena_free(&t->mem);
    bnn_tape_reset(t);
}

BNNDEF void bnn_tape_clear_error(bnn_tape *t) {
    t->err = BNN_OK;
    t->msg[0] = '\0';
    t->mem.err = BNN_OK;
    t->mem.msg[0] = '\0';
}

/* What the user said of N once for all, or 0: what is in n_data and no batch wrote. */
static double bnn__said_n(const bnn_tape *t) {
    return t->n_data > 0 && t->n_data != t->batch_n ? t->n_data : 0;
}

static void bnn__batch_n(bnn_tape *t, double n) { /* what a batch says: the user is not overruled */
    if (bnn__said_n(t) > 0) return;
    t->n_data = n;
    t->batch_n = n;
}

/* N of the gradient at hand: what the user said, else that of the loss which went backward, so that
 * a batch made in between, to look at, changes nothing. 0 = nobody knows. */
static double bnn__n_data(const bnn_tape *t) {
    return t->n_data == t->batch_n && t->loss_n > 0 ? t->loss_n : t->n_data;
}

/* Can x go into a node of t, beside m? Not with an error, which comes along, and not from another
 * tape, where its gradient would be lost: both tapes hear that. */
static int bnn__apart(bnn_tape *t, bnn_mat m, const bnn_var *x) {
    static const char two[] = "bnn_op: %zx%z on one tape, %zx%z on another: a node and its "
                              "operands must share one tape";
    bnn_tape *other = x->tape;
    if (t->err != BNN_OK || other == t) return t->err != BNN_OK;
    if (other->err != BNN_OK) bnn__fail(t, other->err, "another tape's error: %s", other->msg);
    bnn__fail(t, BNN_EARG, two, m.rows, m.cols, x->val.rows, x->val.cols);
    bnn__fail(other, BNN_EARG, two, m.rows, m.cols, x->val.rows, x->val.cols);
    return 1;
}

/* A mark of the whole tape: functions that evaluate a net many times give the memory back. */
typedef struct bnn__time {
    bnn_mark mark;
    bnn_var *last;
    double batch_n, loss_n;
} bnn__time;

static bnn__time bnn__now(bnn_tape *t) {
    bnn__time now;
    now.mark = bnn_arena_mark(&t->mem);
    now.last = t->last;
    now.batch_n = t->batch_n;
    now.loss_n = t->loss_n;
    return now;
}

static void bnn__back_to(bnn_tape *t, bnn__time then) {
    bnn_arena_rewind(&t->mem, then.mark);
    t->last = then.last;
    t->loss_n = then.loss_n;
    bnn__batch_n(t, then.batch_n);
}

static bnn_var *bnn__node(bnn_tape *t, size_t n_in) {
    size_t head = (sizeof(bnn_var) + sizeof(void *) - 1) / sizeof(void *) * sizeof(void *);
    bnn_var *v = (bnn_var *)bnn__scratch(t, 1, head + bnn__mul(n_in, sizeof(bnn_var *)));
    if (v == NULL) return bnn__poison(t);
    memset(v, 0, sizeof *v);
    v->tape = t;
    v->in = (bnn_var **)(void *)((unsigned char *)v + head);
    v->n_in = n_in;
    v->prev = t->last;
    t->last = v;
    return v;
}

BNNDEF bnn_var *bnn_op(bnn_tape *t, size_t rows, size_t cols, void (*backward)(bnn_var *self),
                       size_t n_in, bnn_var *const *in) {
    bnn_mat m = bnn__mat(rows, cols, NULL);
    bnn_var *v;
    size_t i;
    for (i = 0; i < n_in; i++)
        if (bnn__apart(t, m, in[i])) break;
    m.data = bnn__floats(t, bnn__mul(rows, cols));
    v = bnn__node(t, n_in);
    if (t->err != BNN_OK) return bnn__poison(t);
    v->val = m;
    v->backward = backward;
    for (i = 0; i < n_in; i++) {
        v->in[i] = in[i];
        if (in[i]->wants && backward != NULL) v->wants = 1;
    }
    return v;
}

/* An op that keeps a few bytes for its backward */
static bnn_var *bnn__op_with(bnn_tape *t, size_t rows, size_t cols, void (*backward)(bnn_var *self),
                             size_t n_in, bnn_var *const *in, const void *aux, size_t size) {
    bnn_var *y = bnn_op(t, rows, cols, backward, n_in, in);
    void *kept = bnn__scratch(t, 1, size);
    if (kept == NULL) return bnn__poison(t);
    memcpy(kept, aux, size);
    y->aux = kept;
    return y;
}

static bnn_var *bnn__leaf(const char *who, bnn_tape *t, bnn_mat m, int wants) {
    bnn_var *v;
    if (t->err != BNN_OK) return bnn__poison(t);
    if (bnn__mul(bnn__mul(m.rows, m.cols), sizeof(float)) == SIZE_MAX)
        return bnn__fail(t, BNN_ESHAPE, "%s: no memory holds %zx%z", who, m.rows, m.cols);
    if (m.data == NULL && bnn__mat_size(m) != 0)
        return bnn__fail(t, BNN_EARG, "%s: a %zx%z matrix without data", who, m.rows, m.cols);
    v = bnn__node(t, 0);
    if (t->err != BNN_OK) return v;
    v->val = m;
    if (m.data == NULL) v->val.data = bnn__floats(t, 0); /* empty, but not the poison */
    v->wants = (unsigned char)wants;
    v->fresh = (unsigned char)wants;
    return v;
}

BNNDEF bnn_var *bnn_input(bnn_tape *t, bnn_mat m) { return bnn__leaf("bnn_input", t, m, 0); }
BNNDEF bnn_var *bnn_leaf(bnn_tape *t, bnn_mat m) { return bnn__leaf("bnn_leaf", t, m, 1); }

BNNDEF bnn_var *bnn_scalar(bnn_tape *t, float v) {
    bnn_var *y = bnn_op(t, 1, 1, NULL, 0, NULL);
    if (y->val.data != NULL) y->val.data[0] = v;
    return y;
}

BNNDEF bnn_var *bnn_param(bnn_tape *t, bnn_params *w, size_t block) {
    bnn_var *v;
    if (t->err != BNN_OK) return bnn__poison(t);
    if (w == NULL) return bnn__fail(t, BNN_EARG, "bnn_param: no parameters");
    if (block >= w->n_blocks)
        return bnn__fail(t, BNN_EARG, "bnn_param: block %z of %z", block, w->n_blocks);
    v = bnn__leaf("bnn_param", t, bnn_params_mat(w, block), w->grad != NULL);
    if (!v->wants) return v; /* w may be a passing view of a sample: keep no pointer to it */
    v->owner = w;
    v->block = block;
    v->grad = bnn_params_grad(w, block);
    return v;
}

BNNDEF float bnn_value(const bnn_var *v) {
    return bnn__mat_size(v->val) == 1 ? v->val.data[0] : (float)bnn__nan();
}

/* 1: add to x->grad. 0: its contents are old, write over all of it. Counts as written after. */
static int bnn__claim(bnn_var *x) {
    int fresh = x->fresh;
    if (x->owner != NULL) {
        bnn_block *b = &x->owner->blocks[x->block];
        fresh = b->fresh;
        b->fresh = 0;
        b->reached = 1;
    }
    x->fresh = 0;
    return !fresh;
}

static void bnn__open(bnn_var *x) { /* ready for += */
    if (x->grad.data != NULL && !bnn__claim(x))
        memset(x->grad.data, 0, bnn__mat_size(x->grad) * sizeof(float));
}

static void bnn__params_settle(bnn_params *w) { /* blocks that no op wrote to have gradient 0 */
    size_t b;
    for (b = 0; b < w->n_blocks; b++) {
        bnn_mat g = bnn_params_grad(w, b);
        if (w->blocks[b].fresh && g.data != NULL)
            memset(g.data, 0, bnn__mat_size(g) * sizeof(float));
        w->blocks[b].fresh = 0;
    }
}

/* First meeting of an input in this pass: give it memory for its gradient. */
static void bnn__reach(bnn_tape *t, bnn_var *x) {
    if (!x->wants || x->pass == t->pass) return;
    x->pass = t->pass;
    if (x->grad.data == NULL) {
        x->grad = x->val;
        x->grad.data = bnn__floats(t, bnn__mat_size(x->val));
        x->fresh = 1;
    } else if (x->backward != NULL) {
        x->fresh = 1; /* of an earlier pass */
    }
}

static void bnn__walk(bnn_tape *t, bnn_var *root, bnn_mat seed) {
    bnn_var *v;
    size_t i;
    bnn__reach(t, root);
    bnn__open(root);
    if (t->err == BNN_OK) bnn__v_axpy(bnn__mat_size(seed), 1, seed.data, root->grad.data);
    for (v = root; v != NULL && t->err == BNN_OK; v = v->prev) {
        if (v->pass != t->pass || v->backward == NULL) continue;
        bnn__open(v);
        for (i = 0; i < v->n_in; i++) {
            bnn__reach(t, v->in[i]);
            if (!v->lazy) bnn__open(v->in[i]);
        }
        if (t->err == BNN_OK) v->backward(v);
    }
}

/* Shapes that differ: 0, with a sentence that takes both */
static int bnn__seeds(bnn_var *root, bnn_mat seed, const char *sentence) {
    if (root->val.rows == seed.rows && root->val.cols == seed.cols) return 1;
    bnn__fail(root->tape, BNN_ESHAPE, sentence, root->val.rows, root->val.cols, seed.rows,
              seed.cols);
    return 0;
}

BNNDEF void bnn_backward_from(bnn_var *root, bnn_mat seed) {
    bnn_tape *t = root->tape;
    bnn_var *v;
    if (!bnn__seeds(root, seed, "bnn_backward_from: root is %zx%z, seed is %zx%z") ||
        t->err != BNN_OK) return;
    t->pass++;
    if (root->wants) bnn__walk(t, root, seed); /* else every gradient is zero */
    for (v = root; v != NULL; v = v->prev)
        if (v->owner != NULL) bnn__params_settle(v->owner);
}

/* A loss that is not finite: the oldest node behind it that is not, and where in it. Leaves that
 * have no gradient yet get one of NaN. */
static void bnn__blame(bnn_tape *t, bnn_var *root) {
    bnn_var *v, *origin = root;
    size_t i, row = 0, col = 0;
    root->pass = ++t->pass;
    for (v = root; v != NULL; v = v->prev) {
        if (v->pass != t->pass) continue;
        if (bnn__where(v->val, &row, &col)) origin = v;
        if (v->wants && v->backward == NULL && v->grad.data == NULL) {
            v->grad = v->val;
            v->grad.data = bnn__floats(t, bnn__mat_size(v->val));
            if (v->grad.data != NULL) bnn_mat_fill(v->grad, (float)bnn__nan());
        }
        for (i = 0; i < v->n_in; i++) v->in[i]->pass = t->pass;
    }
    bnn__fail(t, BNN_ENONFINITE, "bnn_backward: the loss is %g; the first such value is in row %z, "
              "column %z of a node of %zx%z", (double)root->val.data[0], row, col,
              origin->val.rows, origin->val.cols);
}

BNNDEF void bnn_backward(bnn_var *root) {
    bnn_tape *t = root->tape;
    float one = 1;
    bnn_mat seed = bnn__mat(1, 1, &one);
    if (!bnn__seeds(root, seed, "bnn_backward: the loss is %zx%z, it must be %zx%z") ||
        t->err != BNN_OK) return;
    if (!bnn__finite(root->val.data[0])) {
        bnn__blame(t, root);
        return;
    }
    t->loss_n = t->batch_n; /* the best guess, if no bnn_net_nll on the way knows better */
    bnn_backward_from(root, seed);
}

/* ------------------------------------------------------------------------------------------------
 * >>ops: products
 *     y = x w + 1 b:    gx = g w^T,   gw = x^T g,   gb = column sums of g
 * --------------------------------------------------------------------------------------------- */

static void bnn__matmul_backward(bnn_var *y) {
    bnn_var *a = y->in[0], *b = y->in[1];
    size_t n = y->val.rows, k = y->val.cols, d = a->val.cols;
    const float *g = y->grad.data;
    if (a->grad.data != NULL)
        bnn__gemm(n, d, k, g, k, 1, b->val.data, 1, k, a->grad.data, d, bnn__claim(a));
    if (b->grad.data != NULL)
        bnn__gemm(d, k, n, a->val.data, 1, d, g, k, 1, b->grad.data, k, bnn__claim(b));
    if (y->n_in == 3 && y->in[2]->grad.data != NULL) {
        bnn__open(y->in[2]);
        bnn__v_colsum(n, k, g, y->in[2]->grad.data);
    }
}

static bnn_var *bnn__product(const char *misfit, bnn_var *x, bnn_var *w, bnn_var *b) {
    bnn_tape *t = x->tape;
    bnn_var *in[3], *y;
    size_t n = x->val.rows, d = x->val.cols, k = w->val.cols, i;
    if (bnn__apart(t, x->val, w) || (b != NULL && bnn__apart(t, x->val, b))) return bnn__poison(t);
    if (d != w->val.rows)
        return bnn__fail(t, BNN_ESHAPE, misfit, n, d, w->val.rows, k);
    if (b != NULL && (b->val.rows != 1 || b->val.cols != k))
        return bnn__fail(t, BNN_ESHAPE, "bnn_affine: w is %zx%z, b is %zx%z", d, k, b->val.rows,
                         b->val.cols);
    in[0] = x, in[1] = w, in[2] = b;
    y = bnn_op(t, n, k, bnn__matmul_backward, b != NULL ? 3 : 2, in);
    if (y->val.data == NULL) return y;
    y->lazy = 1;
    if (b != NULL)
        for (i = 0; i < n; i++) memcpy(y->val.data + i * k, b->val.data, k * sizeof(float));
    bnn__gemm(n, k, d, x->val.data, d, 1, w->val.data, k, 1, y->val.data, k, b != NULL);
    return y;
}

BNNDEF bnn_var *bnn_matmul(bnn_var *a, bnn_var *b) {
    return bnn__product("bnn_matmul: a is %zx%z, b is %zx%z", a, b, NULL);
}
BNNDEF bnn_var *bnn_affine(bnn_var *x, bnn_var *w, bnn_var *b) {
    return bnn__product("bnn_affine: x is %zx%z, w is %zx%z", x, w, b);
}

/* ------------------------------------------------------------------------------------------------
 * >>elementwise: one line per operation, its function and its derivative
 * --------------------------------------------------------------------------------------------- */

enum { BNN__BLOCK = 256 }; /* values in flight where an operation needs scratch of its own */

static void bnn__v_neg(size_t n, const float *x, float *y) { bnn__v_scale(n, -1, x, y); }
static void bnn__v_square(size_t n, const float *x, float *y) { bnn__v_mul(n, x, x, y); }

static void bnn__v_abs(size_t n, const float *x, float *y) {
    size_t i;
    for (i = 0; i < n; i++) y[i] = x[i] < 0 ? -x[i] : x[i] + 0;
}

static void bnn__v_leaky_relu(size_t n, const float *x, float *y) {
    size_t i;
    for (i = 0; i < n; i++) y[i] = x[i] > 0 ? x[i] : x[i] * (float)0.01;
}

static void bnn__v_elu(size_t n, const float *x, float *y) {
    size_t i;
    bnn__v_expm1(n, x, y);
    for (i = 0; i < n; i++) y[i] = x[i] > 0 ? x[i] : y[i];
}

static void bnn__v_silu(size_t n, const float *x, float *y) {
    bnn__v_sigmoid(n, x, y);
    bnn__v_mul(n, x, y, y);
}

static void bnn__v_cdf(size_t n, const float *x, float *y) { /* of N(0,1) */
    size_t i;
    bnn__v_scale(n, (float)0.70710678118654752440, x, y);
    bnn__v_erf(n, y, y);
    for (i = 0; i < n; i++) y[i] = (float)0.5 + (float)0.5 * y[i];
}

static void bnn__v_gelu(size_t n, const float *x, float *y) {
    bnn__v_cdf(n, x, y);
    bnn__v_mul(n, x, y, y);
}

static void bnn__v_gelu_slope(size_t n, const float *x, float *y) { /* n <= BNN__BLOCK */
    size_t i;
    float e[BNN__BLOCK];
    for (i = 0; i < n; i++) e[i] = (float)-0.5 * x[i] * x[i];
    bnn__v_exp(n, e, e);
    bnn__v_cdf(n, x, y);
    for (i = 0; i < n; i++) y[i] += x[i] * (float)0.39894228040143267794 * e[i];
}

static void bnn__v_none(size_t n, const float *x, float *y) { (void)n, (void)x, (void)y; }

/* name, forward, what the slope needs beside x and y: e = f(from), slope */
#define BNN__UNARY(X)                                                                              \
    X(neg,        bnn__v_neg,        bnn__v_none,          xs, -1)                                 \
    X(square,     bnn__v_square,     bnn__v_none,          xs, 2 * x)                              \
    X(exp,        bnn__v_exp,        bnn__v_none,          xs, y)                                  \
    X(log,        bnn__v_log,        bnn__v_none,          xs, 1 / x)                              \
    X(sqrt,       bnn__v_sqrt,       bnn__v_none,          xs, y > 0 ? (float)0.5 / y : 0)         \
    X(abs,        bnn__v_abs,        bnn__v_none,          xs, (float)(x > 0) - (float)(x < 0))    \
    X(sin,        bnn__v_sin,        bnn__v_cos,           xs, e[i])                               \
    X(cos,        bnn__v_cos,        bnn__v_sin,           xs, -e[i])                              \
    X(tanh,       bnn__v_tanh,       bnn__v_tanh_slope,    ys, e[i])  /* 1 - y^2 */                \
    X(sigmoid,    bnn__v_sigmoid,    bnn__v_sigmoid_slope, ys, e[i])  /* y (1 - y) */              \
    X(softplus,   bnn__v_softplus,   bnn__v_sigmoid,       xs, e[i])                               \
    X(leaky_relu, bnn__v_leaky_relu, bnn__v_none,          xs, bnn__lt_1(0, x) ? 1 : (float)0.01)  \
    X(elu,        bnn__v_elu,        bnn__v_none,          xs, bnn__lt_1(0, x) ? 1 : y + 1)        \
    X(silu,       bnn__v_silu,       bnn__v_sigmoid,       xs, e[i] + x * e[i] * (1 - e[i]))       \
    X(gelu,       bnn__v_gelu,       bnn__v_gelu_slope,    xs, e[i])

#define BNN__UNARY_OP(NAME, FORWARD, HELP, FROM, SLOPE)                                            \
    static void bnn__##NAME##_backward(bnn_var *self) {                                            \
        bnn_var *in = self->in[0];                                                                 \
        const float *xs = in->val.data, *ys = self->val.data, *gs = self->grad.data;               \
        float *gx = in->grad.data, e[BNN__BLOCK];                                                  \
        size_t i, m, n = bnn__mat_size(self->val);                                                 \
        for (; n > 0; n -= m, xs += m, ys += m, gs += m, gx += m) {                                \
            m = n < (size_t)BNN__BLOCK ? n : (size_t)BNN__BLOCK;                                   \
            HELP(m, FROM, e);                                                                      \
            for (i = 0; i < m; i++) {                                                              \
                float x = xs[i], y = ys[i];                                                        \
                (void)x, (void)y;                                                                  \
                e[i] = (SLOPE);                                                                    \
            }                                                                                      \
            bnn__v_muladd(m, gs, e, gx);                                                           \
        }                                                                                          \
    }                                                                                              \
    BNNDEF bnn_var *bnn_##NAME(bnn_var *x) {                                                       \
        bnn_var *y = bnn_op(x->tape, x->val.rows, x->val.cols, bnn__##NAME##_backward, 1, &x);     \
        FORWARD(bnn__mat_size(y->val), x->val.data, y->val.data);                                  \
        return y;                                                                                  \
    }
BNN__UNARY(BNN__UNARY_OP)

static void bnn__relu_backward(bnn_var *y) { /* apart from the table only for its fast kernel */
    bnn__v_relu_back(bnn__mat_size(y->val), y->grad.data, y->val.data, y->in[0]->grad.data);
}

BNNDEF bnn_var *bnn_relu(bnn_var *x) {
    bnn_var *y = bnn_op(x->tape, x->val.rows, x->val.cols, bnn__relu_backward, 1, &x);
    bnn__v_relu(bnn__mat_size(y->val), x->val.data, y->val.data);
    return y;
}

/* y = c x + d, and clamp: the slope is one number or 0/1 */
static void bnn__scale_backward(bnn_var *y) {
    bnn__v_axpy(bnn__mat_size(y->val), *(float *)y->aux, y->grad.data, y->in[0]->grad.data);
}

static bnn_var *bnn__linear(bnn_var *x, float c, float d) {
    bnn_var *y = bnn__op_with(x->tape, x->val.rows, x->val.cols, bnn__scale_backward, 1, &x, &c,
                              sizeof c);
    size_t i, n = bnn__mat_size(y->val);
    for (i = 0; i < n; i++) y->val.data[i] = c * x->val.data[i] + d;
    return y;
}

BNNDEF bnn_var *bnn_scale(bnn_var *x, float c) { return bnn__linear(x, c, 0); }
BNNDEF bnn_var *bnn_shift(bnn_var *x, float c) { return bnn__linear(x, 1, c); }

static void bnn__clamp_backward(bnn_var *y) {
    const bnn_var *x = y->in[0];
    size_t i, n = bnn__mat_size(y->val);
    for (i = 0; i < n; i++)
        if (x->val.data[i] == y->val.data[i]) x->grad.data[i] += y->grad.data[i];
}

BNNDEF bnn_var *bnn_clamp(bnn_var *x, float lo, float hi) {
    bnn_var *y = bnn_op(x->tape, x->val.rows, x->val.cols, bnn__clamp_backward, 1, &x);
    size_t i, n = bnn__mat_size(y->val);
    for (i = 0; i < n; i++) {
        float v = x->val.data[i];
        y->val.data[i] = v < lo ? lo : v > hi ? hi : v;
    }
    return y;
}

BNN__COLD
/* ------------------------------------------------------------------------------------------------
 * >>broadcast: y = a op b; a dimension of size 1 is repeated, its gradient summed
 * --------------------------------------------------------------------------------------------- */

enum { BNN__ADD, BNN__SUB, BNN__MUL, BNN__DIV };

/* y_j = a_j op b_j; a step of 0 repeats the one element there is */
static void bnn__binary(int op, size_t k, const float *a, size_t da, const float *b, size_t db,
                        float *y) {
    size_t j;
    switch (op) {
    case BNN__ADD: for (j = 0; j < k; j++) y[j] = a[j * da] + b[j * db]; break;
    case BNN__SUB: for (j = 0; j < k; j++) y[j] = a[j * da] - b[j * db]; break;
    case BNN__MUL: for (j = 0; j < k; j++) y[j] = a[j * da] * b[j * db]; break;
    default:       for (j = 0; j < k; j++) y[j] = a[j * da] / b[j * db]; break;
    }
}

static int bnn__same(bnn_mat a, bnn_mat b) { return a.rows == b.rows && a.cols == b.cols; }

static int bnn__spreads(bnn_mat little, bnn_mat large) { /* can little be repeated to large? */
    return (little.rows == large.rows || little.rows == 1) &&
           (little.cols == large.cols || little.cols == 1);
}

static void bnn__misfit(const char *who, const bnn_var *a, const char *a_is, const bnn_var *b,
                        const char *b_is) {
    bnn__fail(a->tape, BNN_ESHAPE, "%s: %s %zx%z, %s %zx%z", who, a_is, a->val.rows, a->val.cols,
              b_is, b->val.rows, b->val.cols);
}

/* Can p stand beside x: of the same shape, or (repeat) repeated to it? */
static int bnn__fits(const char *who, const bnn_var *x, const char *x_is, const bnn_var *p,
                     const char *p_is, int repeat) {
    if (bnn__apart(x->tape, x->val, p)) return 0;
    if (repeat ? bnn__spreads(p->val, x->val) : bnn__same(p->val, x->val)) return 1;
    bnn__misfit(who, x, x_is, p, p_is);
    return 0;
}

/* element (i,j) of m repeated to a larger shape */
static float bnn__spread(bnn_mat m, size_t i, size_t j) {
    return m.data[(m.rows == 1 ? 0 : i) * m.cols + (m.cols == 1 ? 0 : j)];
}

static const float *bnn__row(bnn_mat m, size_t i) { /* row i of m repeated to more rows */
    return m.data + (m.rows == 1 ? 0 : i) * m.cols;
}

/* The way back: out += c sum w_i d_ij over all (i,j) of (n,k) that out repeats; w NULL = ones */
static void bnn__fold(bnn_mat out, size_t n, size_t k, double c, const float *w, const float *d) {
    size_t p, q, i, j, rows = out.rows == n ? 1 : n, cols = out.cols == k ? 1 : k;
    for (p = 0; p < out.rows; p++) {
        for (q = 0; q < out.cols; q++) {
            double sum = 0;
            for (i = p; i < p + rows; i++) {
                double wi = w != NULL ? (double)w[i] : 1;
                for (j = q; j < q + cols; j++) sum += wi * (double)d[i * k + j];
            }
            out.data[p * out.cols + q] += (float)(c * sum);
        }
    }
}

/* d = g times what an input is multiplied with: b or a for the factors of a product, 1/b for the
 * dividend, -y/b for the divisor, whose sign is left to the caller */
static void bnn__binary_slopes(const bnn_var *y, int op, int which, float *d) {
    bnn_mat b = y->in[op == BNN__MUL ? 1 - which : 1]->val;
    size_t i, k = y->val.cols, step = b.cols != 1;
    for (i = 0; i < y->val.rows; i++, d += k) {
        const float *g = y->grad.data + i * k, *bi = bnn__row(b, i);
        if (op == BNN__DIV && which) {
            bnn__binary(BNN__MUL, k, g, 1, y->val.data + i * k, 1, d);
            g = d;
        }
        bnn__binary(op, k, g, 1, bi, step, d);
    }
}

static void bnn__binary_backward(bnn_var *y) {
    int op = *(int *)y->aux, which;
    size_t n = bnn__mat_size(y->val);
    bnn_mark mark = bnn_arena_mark(&y->tape->mem);
    for (which = 0; which < 2; which++) {
        bnn_var *x = y->in[which], *other = y->in[1 - which];
        float *d = y->grad.data, sign = which && (op == BNN__SUB || op == BNN__DIV) ? -1 : 1;
        if (x->grad.data == NULL) continue;
        if (op == BNN__MUL && bnn__same(x->val, y->val) && bnn__same(other->val, y->val)) {
            bnn__v_muladd(n, other->val.data, y->grad.data, x->grad.data);
            continue;
        }
        if (op == BNN__MUL || op == BNN__DIV) {
            d = bnn__floats(y->tape, n);
            if (d == NULL) return;
            bnn__binary_slopes(y, op, which, d);
        }
        if (bnn__same(x->val, y->val)) bnn__v_axpy(n, sign, d, x->grad.data);
        else bnn__fold(x->grad, y->val.rows, y->val.cols, (double)sign, NULL, d);
    }
    bnn_arena_rewind(&y->tape->mem, mark);
}

/* Shape of a op b; 0 = the tape's err is set. */
static int bnn__broadcast_shape(const char *who, const bnn_var *a, const bnn_var *b, size_t *rows,
                                size_t *cols) {
    bnn_mat p = a->val, q = b->val;
    if (bnn__apart(a->tape, p, b)) return 0;
    *rows = p.rows == 1 ? q.rows : p.rows;
    *cols = p.cols == 1 ? q.cols : p.cols;
    if ((q.rows == *rows || q.rows == 1) && (q.cols == *cols || q.cols == 1)) return 1;
    bnn__misfit(who, a, "a is", b, "b is");
    return 0;
}

static bnn_var *bnn__repeat(const char *who, int op, bnn_var *a, bnn_var *b) {
    bnn_tape *t = a->tape;
    bnn_var *in[2], *y;
    size_t i, n, k;
    if (!bnn__broadcast_shape(who, a, b, &n, &k)) return bnn__poison(t);
    in[0] = a, in[1] = b;
    y = bnn__op_with(t, n, k, bnn__binary_backward, 2, in, &op, sizeof op);
    if (bnn__same(a->val, b->val) && op == BNN__ADD)
        bnn__v_add(bnn__mat_size(y->val), a->val.data, b->val.data, y->val.data);
    else if (bnn__same(a->val, b->val) && op == BNN__MUL)
        bnn__v_mul(bnn__mat_size(y->val), a->val.data, b->val.data, y->val.data);
    else for (i = 0; i < y->val.rows; i++)
        bnn__binary(op, k, bnn__row(a->val, i), a->val.cols != 1, bnn__row(b->val, i),
                    b->val.cols != 1, y->val.data + i * k);
    return y;
}

BNNDEF bnn_var *bnn_add(bnn_var *a, bnn_var *b) { return bnn__repeat("bnn_add", BNN__ADD, a, b); }
BNNDEF bnn_var *bnn_sub(bnn_var *a, bnn_var *b) { return bnn__repeat("bnn_sub", BNN__SUB, a, b); }
BNNDEF bnn_var *bnn_mul(bnn_var *a, bnn_var *b) { return bnn__repeat("bnn_mul", BNN__MUL, a, b); }
BNNDEF bnn_var *bnn_div(bnn_var *a, bnn_var *b) { return bnn__repeat("bnn_div", BNN__DIV, a, b); }

/* ------------------------------------------------------------------------------------------------
 * >>reductions and shapes
 * --------------------------------------------------------------------------------------------- */

/* y (1 or n rows, 1 or k columns) = c * sums of x: rows of y are rows of x or all of them */
static void bnn__reduce_backward(bnn_var *y) {
    bnn_mat gx = y->in[0]->grad;
    size_t i, j, step = y->grad.cols != 1;
    float c = *(float *)y->aux;
    for (i = 0; i < gx.rows; i++) {
        const float *g = bnn__row(y->grad, i);
        for (j = 0; j < gx.cols; j++) gx.data[i * gx.cols + j] += c * g[j * step];
    }
}

static bnn_var *bnn__reduce(bnn_var *x, size_t rows, size_t cols, double c) {
    float slope = (float)c;
    bnn_var *y = bnn__op_with(x->tape, rows, cols, bnn__reduce_backward, 1, &x, &slope,
                              sizeof slope);
    bnn_mat_fill(y->val, 0);
    bnn__fold(y->val, x->val.rows, x->val.cols, c, NULL, x->val.data);
    return y;
}

BNNDEF bnn_var *bnn_sum(bnn_var *x) { return bnn__reduce(x, 1, 1, 1); }
BNNDEF bnn_var *bnn_mean(bnn_var *x) {
    size_t n = bnn__mat_size(x->val);
    return bnn__reduce(x, 1, 1, n == 0 ? 0 : 1 / (double)n);
}
BNNDEF bnn_var *bnn_rowsum(bnn_var *x) { return bnn__reduce(x, x->val.rows, 1, 1); }
BNNDEF bnn_var *bnn_colsum(bnn_var *x) { return bnn__reduce(x, 1, x->val.cols, 1); }

static void bnn__cols_backward(bnn_var *y) {
    bnn_mat gx = y->in[0]->grad;
    size_t i, first = *(size_t *)y->aux, k = y->val.cols;
    for (i = 0; i < y->val.rows; i++)
        bnn__v_axpy(k, 1, y->grad.data + i * k, gx.data + i * gx.cols + first);
}

BNNDEF bnn_var *bnn_cols(bnn_var *x, size_t first, size_t count) {
    bnn_var *y;
    size_t i, d = x->val.cols;
    if (first > d || count > d - first)
        return bnn__fail(x->tape, BNN_ESHAPE, "bnn_cols: columns %z to %z of %z", first,
                         first + count, d);
    y = bnn__op_with(x->tape, x->val.rows, count, bnn__cols_backward, 1, &x, &first, sizeof first);
    for (i = 0; i < y->val.rows; i++)
        memcpy(y->val.data + i * count, x->val.data + i * d + first, count * sizeof(float));
    return y;
}

static void bnn__gather_backward(bnn_var *y) {
    const size_t *rows = (const size_t *)y->aux;
    size_t i, k = y->val.cols;
    for (i = 0; i < y->val.rows; i++)
        bnn__v_axpy(k, 1, y->grad.data + i * k, y->in[0]->grad.data + rows[i] * k);
}

static bnn_var *bnn__gather(const char *who, bnn_var *x, size_t n, const size_t *rows,
                            size_t first) {
    bnn_tape *t = x->tape;
    bnn_var *y = bnn_op(t, n, x->val.cols, bnn__gather_backward, 1, &x);
    size_t i, k = x->val.cols, *kept = (size_t *)bnn__scratch(t, n, sizeof *kept);
    if (kept == NULL) return bnn__poison(t);
    for (i = 0; i < n; i++) {
        kept[i] = rows != NULL ? rows[i] : first + i;
        if (kept[i] >= x->val.rows)
            return bnn__fail(t, BNN_ESHAPE, "%s: row %z of %z", who, kept[i], x->val.rows);
        memcpy(y->val.data + i * k, x->val.data + kept[i] * k, k * sizeof(float));
    }
    y->aux = kept;
    return y;
}

BNNDEF bnn_var *bnn_rows(bnn_var *x, size_t first, size_t count) {
    if (count > x->val.rows)
        return bnn__fail(x->tape, BNN_ESHAPE, "bnn_rows: %z rows of %z", count, x->val.rows);
    return bnn__gather("bnn_rows", x, count, NULL, first);
}

BNNDEF bnn_var *bnn_gather(bnn_var *x, size_t n, const size_t *rows) {
    return bnn__gather("bnn_gather", x, n, rows, 0);
}

static void bnn__concat_backward(bnn_var *y) {
    size_t i, j, first = 0, k = y->val.cols;
    for (j = 0; j < y->n_in; j++) {
        bnn_mat gx = y->in[j]->grad;
        if (gx.data != NULL)
            for (i = 0; i < gx.rows; i++)
                bnn__v_axpy(gx.cols, 1, y->grad.data + i * k + first, gx.data + i * gx.cols);
        first += y->in[j]->val.cols;
    }
}

BNNDEF bnn_var *bnn_concat(bnn_tape *t, size_t n, bnn_var *const *x) {
    bnn_var *y;
    size_t i, j, first = 0, rows = n == 0 ? 0 : x[0]->val.rows, k = 0;
    for (j = 0; j < n; j++) {
        if (bnn__apart(t, x[0]->val, x[j])) return bnn__poison(t);
        if (x[j]->val.rows != rows)
            return bnn__fail(t, BNN_ESHAPE, "bnn_concat: part 0 is %zx%z, part %z is %zx%z", rows,
                             x[0]->val.cols, j, x[j]->val.rows, x[j]->val.cols);
        k += x[j]->val.cols;
    }
    y = bnn_op(t, rows, k, bnn__concat_backward, n, x);
    if (y->val.data == NULL) return y;
    for (j = 0; j < n; j++) {
        bnn_mat part = x[j]->val;
        for (i = 0; i < rows; i++)
            memcpy(y->val.data + i * k + first, part.data + i * part.cols,
                   part.cols * sizeof(float));
        first += part.cols;
    }
    return y;
}

static void bnn__transpose_backward(bnn_var *y) {
    bnn_mat gx = y->in[0]->grad;
    size_t i, j;
    for (i = 0; i < gx.rows; i++)
        for (j = 0; j < gx.cols; j++)
            gx.data[i * gx.cols + j] += y->grad.data[j * gx.rows + i];
}

BNNDEF bnn_var *bnn_transpose(bnn_var *x) {
    bnn_var *y = bnn_op(x->tape, x->val.cols, x->val.rows, bnn__transpose_backward, 1, &x);
    if (y->val.data != NULL) bnn_mat_transpose(y->val, x->val);
    return y;
}

/* gx += g, whatever the shape */
static void bnn__copy_backward(bnn_var *y) {
    bnn__v_axpy(bnn__mat_size(y->val), 1, y->grad.data, y->in[0]->grad.data);
}

/* The value of one node; the gradient, if one is to pass, goes to x */
static bnn_var *bnn__value_of(bnn_var *x, size_t rows, size_t cols, void (*backward)(bnn_var *self),
                          bnn_mat value) {
    bnn_var *y = bnn_op(x->tape, rows, cols, backward, 1, &x);
    if (y->val.data != NULL) memcpy(y->val.data, value.data, bnn__mat_size(value) * sizeof(float));
    return y;
}

BNNDEF bnn_var *bnn_reshape(bnn_var *x, size_t rows, size_t cols) {
    if (bnn__mul(rows, cols) != bnn__mat_size(x->val))
        return bnn__fail(x->tape, BNN_ESHAPE, "bnn_reshape: %zx%z to %zx%z", x->val.rows,
                         x->val.cols, rows, cols);
    return bnn__value_of(x, rows, cols, bnn__copy_backward, x->val);
}

BNNDEF bnn_var *bnn_detach(bnn_var *x) {
    return bnn__value_of(x, x->val.rows, x->val.cols, NULL, x->val);
}

/* y = detach(value - gradient) + gradient */
BNNDEF bnn_var *bnn_straight_through(bnn_var *value, bnn_var *gradient) {
    if (!bnn__fits("bnn_straight_through", value, "the value is", gradient, "the gradient is", 0))
        return bnn__poison(value->tape);
    return bnn__value_of(gradient, value->val.rows, value->val.cols, bnn__copy_backward,
                         value->val);
}

BNN__WARM
/* ------------------------------------------------------------------------------------------------
 * >>rows as distributions
 *     l = ln sum_k e^{x_k} = m + ln sum_k e^{x_k - m},  m = max;    ln softmax = x - l
 *     softmax: gx = y o (g - <g, y>);   log softmax: gx = g - softmax sum(g);   l: gx = g softmax
 * --------------------------------------------------------------------------------------------- */

/* out = softmax of every row of z/T and, if given, its logarithm and lse[i] = logsumexp of row i.
 * The logarithm does not pass through lse: near large logits that would cost all its digits. A NaN
 * makes all of its row NaN. Returns the first row that is all -inf, a law on nothing. */
static size_t bnn__softmax_rows(size_t n, size_t k, const float *z, float inv_t, float *out,
                                float *log_out, float *lse) {
    size_t i, j, empty = BNN__NONE;
    float inf = (float)bnn__inf();
    for (i = 0; i < n; i++) {
        float top = bnn__row_max(k, z + i * k);
        if (!(top > -inf)) top = 0;
        if (lse != NULL) lse[i] = top * inv_t;
        bnn__row_affine(k, z + i * k, top, inv_t, out + i * k);
    }
    if (log_out != NULL) memcpy(log_out, out, n * k * sizeof(float));
    bnn__v_exp(n * k, out, out);
    for (i = 0; i < n; i++) {
        double sum = 0;
        float scale, log_sum = 0;
        for (j = 0; j < k; j++) sum += (double)out[i * k + j];
        if (sum == 0 && k > 0 && empty == BNN__NONE) empty = i;
        scale = (float)(1 / sum);
        if (log_out != NULL || lse != NULL) log_sum = BNN_MATH_LOG((float)sum);
        if (lse != NULL) lse[i] += log_sum;
        if (log_out != NULL)
            for (j = 0; j < k; j++) log_out[i * k + j] -= log_sum;
        bnn__row_affine(k, out + i * k, 0, scale, out + i * k);
    }
    return empty;
}

/* The same for an op that cannot do without a law; 0 = the tape's err is set. */
static int bnn__softmax_of(const char *who, bnn_var *x, float inv_t, float *out, float *log_out) {
    bnn_tape *t = x->tape;
    size_t row;
    if (t->err != BNN_OK) return 0;
    row = bnn__softmax_rows(x->val.rows, x->val.cols, x->val.data, inv_t, out, log_out, NULL);
    if (row == BNN__NONE) return 1;
    bnn__fail(t, BNN_EARG, "%s: the logits of row %z are all -inf", who, row);
    return 0;
}

/* Of softmax, which is the value, or of its logarithm, then aux is the softmax */
static void bnn__softmax_backward(bnn_var *y) {
    int logs = y->aux != NULL;
    const float *p = logs ? (const float *)y->aux : y->val.data, *g = y->grad.data;
    float *gx = y->in[0]->grad.data;
    size_t i, j, k = y->val.cols;
    for (i = 0; i < y->val.rows; i++, p += k, g += k, gx += k) {
        double sum = 0;
        for (j = 0; j < k; j++) sum += logs ? (double)g[j] : (double)g[j] * (double)p[j];
        for (j = 0; j < k; j++)
            gx[j] += logs ? g[j] - p[j] * (float)sum : p[j] * (g[j] - (float)sum);
    }
}

BNNDEF bnn_var *bnn_softmax(bnn_var *x) {
    bnn_var *y = bnn_op(x->tape, x->val.rows, x->val.cols, bnn__softmax_backward, 1, &x);
    return bnn__softmax_of("bnn_softmax", x, 1, y->val.data, NULL) ? y : bnn__poison(x->tape);
}

BNNDEF bnn_var *bnn_log_softmax(bnn_var *x) {
    bnn_var *y = bnn_op(x->tape, x->val.rows, x->val.cols, bnn__softmax_backward, 1, &x);
    float *p = bnn__floats(x->tape, bnn__mat_size(x->val));
    if (!bnn__softmax_of("bnn_log_softmax", x, 1, p, y->val.data)) return bnn__poison(x->tape);
    y->aux = p;
    return y;
}

/* A node of one number per row of x: each op writes, with its value, the derivative by every input,
 * (n,k) of them, so that one backward serves all: gx_ij += g_i d_ij. p, if given, may be repeated
 * to the shape of x and gets the sum. */
static float *bnn__slopes(const bnn_var *v, size_t q) { /* by input q; NULL: failed */
    return v->aux == NULL ? NULL : (float *)v->aux + q * bnn__mat_size(v->in[0]->val);
}

static void bnn__rowwise_backward(bnn_var *y) {
    size_t i, q, n = y->val.rows, k = y->in[0]->val.cols;
    for (q = 0; q < y->n_in; q++) {
        bnn_mat gx = y->in[q]->grad;
        const float *d = bnn__slopes(y, q);
        if (gx.data == NULL) continue;
        if (gx.rows != n || gx.cols != k) bnn__fold(gx, n, k, 1, y->grad.data, d);
        else if (k == 1) bnn__v_muladd(n, y->grad.data, d, gx.data);
        else for (i = 0; i < n; i++)
            bnn__v_axpy(k, y->grad.data[i], d + i * k, gx.data + i * k);
    }
}

static bnn_var *bnn__rowwise(bnn_var *x, bnn_var *p) {
    bnn_tape *t = x->tape;
    bnn_var *in[2], *y;
    size_t n_in = p != NULL ? 2 : 1;
    in[0] = x, in[1] = p;
    y = bnn_op(t, x->val.rows, 1, bnn__rowwise_backward, n_in, in);
    y->aux = bnn__floats(t, bnn__mul(n_in, bnn__mat_size(x->val)));
    return y->aux != NULL ? y : bnn__poison(t);
}

BNNDEF bnn_var *bnn_logsumexp(bnn_var *x) {
    bnn_var *v = bnn__rowwise(x, NULL);
    if (v->val.data != NULL)
        bnn__softmax_rows(x->val.rows, x->val.cols, x->val.data, 1, bnn__slopes(v, 0), NULL,
                          v->val.data);
    return v;
}

static void bnn__mix_backward(bnn_var *y) {
    bnn_var *z = y->in[0];
    size_t i, j, c, n = y->val.rows, d = y->val.cols, k = y->n_in - 1;
    for (c = 0; c < k; c++) {
        bnn_var *x = y->in[c + 1];
        double shared = 0;
        for (i = 0; i < n; i++) {
            const float *g = y->grad.data + i * d, *v = x->val.data + i * d;
            double dot = 0;
            if (x->grad.data != NULL)
                bnn__v_axpy(d, bnn__spread(z->val, i, c), g, x->grad.data + i * d);
            if (z->grad.data == NULL) continue;
            for (j = 0; j < d; j++) dot += (double)g[j] * (double)v[j];
            if (z->val.rows != 1) z->grad.data[i * k + c] += (float)dot;
            shared += dot;
        }
        if (z->grad.data != NULL && z->val.rows == 1) z->grad.data[c] += (float)shared;
    }
}

BNNDEF bnn_var *bnn_mix(bnn_var *z, bnn_var *const *c, size_t k) {
    bnn_tape *t = z->tape;
    bnn_var **in, *y;
    size_t i, j, n, d;
    if (k == 0 || z->val.cols != k)
        return bnn__fail(t, BNN_ESHAPE, "bnn_mix: %z weights for %z candidates", z->val.cols, k);
    n = c[0]->val.rows, d = c[0]->val.cols;
    for (j = 0; j < k; j++) {
        if (bnn__apart(t, z->val, c[j])) return bnn__poison(t);
        if (!bnn__same(c[j]->val, c[0]->val) || (z->val.rows != 1 && z->val.rows != n))
            return bnn__fail(t, BNN_ESHAPE, "bnn_mix: candidate %z is %zx%z, candidate 0 is %zx%z, "
                             "z is %zx%z", j, c[j]->val.rows, c[j]->val.cols, n, d, z->val.rows, k);
    }
    in = (bnn_var **)bnn__scratch(t, k + 1, sizeof *in);
    if (in == NULL) return bnn__poison(t);
    in[0] = z;
    memcpy(in + 1, c, k * sizeof *in);
    y = bnn_op(t, n, d, bnn__mix_backward, k + 1, in);
    bnn_mat_fill(y->val, 0);
    for (j = 0; j < k; j++)
        for (i = 0; i < y->val.rows; i++)
            bnn__v_axpy(d, bnn__spread(z->val, i, j), c[j]->val.data + i * d, y->val.data + i * d);
    return y;
}

BNN__COLD
/* ------------------------------------------------------------------------------------------------
 * >>noise: y = x o m / (1-p);  y = mu + sd o eps
 * --------------------------------------------------------------------------------------------- */

static void bnn__masked_backward(bnn_var *y) { /* aux = d y / d x, elementwise */
    bnn__v_muladd(bnn__mat_size(y->val), (const float *)y->aux, y->grad.data, y->in[0]->grad.data);
}

BNNDEF bnn_var *bnn_dropout(bnn_var *x, float p) {
    bnn_tape *t = x->tape;
    bnn_var *y;
    float *m;
    size_t i, n = bnn__mat_size(x->val);
    if (t->err != BNN_OK || p == 0) return t->err != BNN_OK ? bnn__poison(t) : x;
    if (!(p > 0 && p < 1))
        return bnn__fail(t, BNN_EARG, "bnn_dropout: p is %g, it must be in [0,1)", (double)p);
    y = bnn_op(t, x->val.rows, x->val.cols, bnn__masked_backward, 1, &x);
    m = bnn__floats(t, n);
    if (m == NULL) return bnn__poison(t);
    bnn__v_uniform(&t->rng, n, m);
    for (i = 0; i < n; i++) m[i] = m[i] < p ? 0 : 1 / (1 - p);
    bnn__v_mul(n, x->val.data, m, y->val.data);
    y->aux = m;
    return y;
}

BNNDEF bnn_var *bnn_normal(bnn_var *mu, bnn_var *sd) {
    bnn_tape *t = mu->tape;
    bnn_var *eps;
    size_t n, k;
    if (!bnn__broadcast_shape("bnn_normal", mu, sd, &n, &k)) return bnn__poison(t);
    eps = bnn_op(t, n, k, NULL, 0, NULL);
    if (eps->val.data != NULL) bnn__v_normal(&t->rng, n * k, eps->val.data);
    return bnn_add(mu, bnn_mul(eps, sd));
}

/* ------------------------------------------------------------------------------------------------
 * >>images: rows that are h x w pixels by c channels
 *     With P the matrix of patches (>>patches), pixels of the result by what the kernel sees of x:
 *     y = P w + 1 b,  gw = P^T g,  gb = column sums of g,  gx = P's adjoint of g w^T
 *     transposed, P of g:  y = P's adjoint of x w, gx = P w^T, gw = x^T P   (Dumoulin, Visin 2016)
 * --------------------------------------------------------------------------------------------- */

/* One direction of a window: zeros before and pixels of the result; 0 = it does not fit */
static int bnn__slide_side(size_t n, size_t kernel, size_t stride, const bnn_window *v,
                           size_t *before, size_t *out) {
    size_t all = n + 2 * v->pad, reach;
    *before = v->pad;
    if (v->same) {
        *out = (n + stride - 1) / stride;
        reach = (*out - 1) * stride + kernel;
        *before = reach > n ? (reach - n) / 2 : 0;
        return v->pad == 0;
    }
    if (kernel > all || v->pad >= kernel) return 0;
    *out = (all - kernel) / stride + 1;
    return 1;
}

/* Numbers of which the products below cannot overflow; 0 = there is one that may, or a 0 */
static int bnn__image_ok(bnn_image m) {
    return m.h != 0 && m.w != 0 && m.c != 0 && bnn__mul(bnn__mul(m.h, m.w), m.c) < SIZE_MAX / 64;
}

static int bnn__slide_of(bnn__slide *s, bnn_image m, bnn_window v, int pool) {
    int whole = pool && v.kernel == 0;
    memset(s, 0, sizeof *s);
    if (!bnn__image_ok(m) || v.pad > SIZE_MAX / 64 || v.stride > SIZE_MAX / 64) return 0;
    s->h = m.h, s->w = m.w, s->c = m.c;
    s->kh = whole ? m.h : v.kernel;
    s->kw = whole ? m.w : v.kernel_w != 0 ? v.kernel_w : v.kernel;
    if (bnn__mul(bnn__mul(s->kh, s->kw), m.c) > SIZE_MAX / 64 || s->kh == 0) return 0;
    s->down = v.stride != 0 ? v.stride : pool ? s->kh : 1;
    s->right = v.stride != 0 ? v.stride : pool ? s->kw : 1;
    return bnn__slide_side(m.h, s->kh, s->down, &v, &s->top, &s->rows) &&
           bnn__slide_side(m.w, s->kw, s->right, &v, &s->left, &s->cols);
}

/* The sweep over the larger image that has m for its result */
static int bnn__slide_back(bnn__slide *s, bnn_image m, size_t channels, bnn_window v) {
    size_t kw = v.kernel_w != 0 ? v.kernel_w : v.kernel, step = v.stride != 0 ? v.stride : 1;
    bnn_image big;
    memset(s, 0, sizeof *s);
    if (!bnn__image_ok(m) || bnn__mul(m.h, step) > SIZE_MAX / 64 || v.pad > SIZE_MAX / 64 ||
        bnn__mul(m.w, step) > SIZE_MAX / 64 || bnn__mul(v.kernel, kw) > SIZE_MAX / 64) return 0;
    big.h = v.same ? m.h * step : (m.h - 1) * step + v.kernel;
    big.w = v.same ? m.w * step : (m.w - 1) * step + kw;
    big.c = channels;
    if (!v.same && (big.h <= 2 * v.pad || big.w <= 2 * v.pad)) return 0;
    if (!v.same) big.h -= 2 * v.pad, big.w -= 2 * v.pad;
    return bnn__slide_of(s, big, v, 0);
}

static bnn_image bnn__image_of(int fits, size_t h, size_t w, size_t c) {
    bnn_image m;
    m.h = fits ? h : 0, m.w = fits ? w : 0, m.c = fits ? c : 0;
    return m;
}

BNNDEF bnn_image bnn_image_conv(bnn_image image, size_t channels, bnn_window window) {
    bnn__slide s;
    int fits = bnn__slide_of(&s, image, window, 0);
    return bnn__image_of(fits, s.rows, s.cols, channels);
}
BNNDEF bnn_image bnn_image_conv_transpose(bnn_image image, size_t channels, bnn_window window) {
    bnn__slide s;
    int fits = bnn__slide_back(&s, image, channels, window);
    return bnn__image_of(fits, s.h, s.w, channels);
}
BNNDEF bnn_image bnn_image_pool(bnn_image image, bnn_window window) {
    bnn__slide s;
    int fits = bnn__slide_of(&s, image, window, 1);
    return bnn__image_of(fits, s.rows, s.cols, image.c);
}

/* Is x made of such images? */
static int bnn__is_image(const char *who, const bnn_var *x, bnn_image m) {
    if (x->tape->err != BNN_OK) return 0;
    if (bnn__image_ok(m) && x->val.cols == m.h * m.w * m.c) return 1;
    bnn__fail(x->tape, BNN_ESHAPE, "%s: x is %zx%z, its rows cannot be images of %zx%zx%z", who,
              x->val.rows, x->val.cols, m.h, m.w, m.c);
    return 0;
}

static int bnn__window_fits(const char *who, const bnn_var *x, bnn_image m, bnn_window v,
                            int fits) {
    if (!bnn__is_image(who, x, m)) return 0;
    if (!fits)
        bnn__fail(x->tape, BNN_ESHAPE, "%s: a kernel of %zx%z, stride %z, with %z zeros around "
                  "does not fit images of %zx%zx%z", who, v.kernel,
                  v.kernel_w != 0 ? v.kernel_w : v.kernel, v.stride, v.pad, m.h, m.w, m.c);
    return fits;
}

static float *bnn__patch_room(bnn_tape *t, const bnn__slide *s) {
    size_t depth = s->kh * s->kw * s->c;
    if (bnn__patch_free(s)) return bnn__floats(t, 0);
    return bnn__floats(t, bnn__mul(bnn__threads(), bnn__mul(bnn__patch_rows(s), depth)));
}

static void bnn__conv_backward(bnn_var *y) {
    const bnn__slide *s = (const bnn__slide *)y->aux;
    bnn_var *x = y->in[0], *w = y->in[1];
    size_t k = w->val.cols, n = y->val.rows * s->rows * s->cols;
    bnn_mark mark = bnn_arena_mark(&y->tape->mem);
    float *room = bnn__patch_room(y->tape, s);
    if (room == NULL) return;
    if (w->grad.data != NULL)
        bnn__conv_weights(s, n, k, x->val.data, y->grad.data, w->grad.data, 0, bnn__claim(w),
                          room);
    if (x->grad.data != NULL) {
        bnn__open(x);
        bnn__conv_back(s, n, k, y->grad.data, w->val.data, k, 1, x->grad.data, room);
    }
    if (y->n_in == 3 && y->in[2]->grad.data != NULL) {
        bnn__open(y->in[2]);
        bnn__v_colsum(n, k, y->grad.data, y->in[2]->grad.data);
    }
    bnn_arena_rewind(&y->tape->mem, mark);
}

static void bnn__conv_transpose_backward(bnn_var *y) {
    const bnn__slide *s = (const bnn__slide *)y->aux;
    bnn_var *x = y->in[0], *w = y->in[1];
    size_t c = w->val.rows, depth = w->val.cols, n = y->val.rows * s->rows * s->cols;
    bnn_mark mark = bnn_arena_mark(&y->tape->mem);
    float *room = bnn__patch_room(y->tape, s);
    if (room == NULL) return;
    if (w->grad.data != NULL)
        bnn__conv_weights(s, n, c, y->grad.data, x->val.data, w->grad.data, 1, bnn__claim(w),
                          room);
    if (x->grad.data != NULL)
        bnn__conv(s, n, c, y->grad.data, w->val.data, 1, depth, x->grad.data, bnn__claim(x), room);
    if (y->n_in == 3 && y->in[2]->grad.data != NULL) {
        bnn__open(y->in[2]);
        bnn__v_colsum(y->val.rows * s->h * s->w, s->c, y->grad.data, y->in[2]->grad.data);
    }
    bnn_arena_rewind(&y->tape->mem, mark);
}

/* Of both: a node whose rows begin as what b is, or 0; NULL = the tape's err is set */
static bnn_var *bnn__conv_node(const char *who, bnn_var *x, bnn_var *w, bnn_var *b,
                               const bnn__slide *s, int transposed) {
    size_t depth = s->kh * s->kw * s->c, k = transposed ? s->c : w->val.cols, i, n;
    size_t pixels = transposed ? s->h * s->w : s->rows * s->cols;
    bnn_var *in[3], *y;
    if (bnn__apart(x->tape, x->val, w) || (b != NULL && bnn__apart(x->tape, x->val, b)))
        return NULL;
    if (transposed ? w->val.cols != depth : w->val.rows != depth) {
        bnn__fail(x->tape, BNN_ESHAPE, "%s: w is %zx%z, a kernel of %zx%z on %z channels needs %z "
                  "%s", who, w->val.rows, w->val.cols, s->kh, s->kw, s->c, depth,
                  transposed ? "columns" : "rows");
        return NULL;
    }
    if (b != NULL && (b->val.rows != 1 || b->val.cols != k)) {
        bnn__fail(x->tape, BNN_ESHAPE, "%s: b is %zx%z for %z channels", who, b->val.rows,
                  b->val.cols, k);
        return NULL;
    }
    in[0] = x, in[1] = w, in[2] = b;
    y = bnn__op_with(x->tape, x->val.rows, bnn__mul(pixels, k), transposed ?
                     bnn__conv_transpose_backward : bnn__conv_backward, b != NULL ? 3 : 2, in, s,
                     sizeof *s);
    if (y->val.data == NULL) return NULL;
    y->lazy = 1;
    n = y->val.rows * pixels;
    if (b != NULL)
        for (i = 0; i < n; i++) memcpy(y->val.data + i * k, b->val.data, k * sizeof(float));
    else if (transposed) bnn_mat_fill(y->val, 0);
    return y;
}

BNNDEF bnn_var *bnn_conv2d(bnn_var *x, bnn_var *w, bnn_var *b, bnn_image image,
                           bnn_window window) {
    bnn_tape *t = x->tape;
    bnn_mark mark;
    bnn__slide s;
    bnn_var *y;
    float *room;
    size_t k = w->val.cols;
    int fits = bnn__slide_of(&s, image, window, 0);
    if (!bnn__window_fits("bnn_conv2d", x, image, window, fits)) return bnn__poison(t);
    y = bnn__conv_node("bnn_conv2d", x, w, b, &s, 0);
    mark = bnn_arena_mark(&t->mem);
    room = y != NULL ? bnn__patch_room(t, &s) : NULL;
    if (room == NULL) return bnn__poison(t);
    bnn__conv(&s, x->val.rows * s.rows * s.cols, k, x->val.data, w->val.data, k, 1, y->val.data,
              b != NULL, room);
    bnn_arena_rewind(&t->mem, mark);
    return y;
}

BNNDEF bnn_var *bnn_conv2d_transpose(bnn_var *x, bnn_var *w, bnn_var *b, bnn_image image,
                                     bnn_window window) {
    static const char who[] = "bnn_conv2d_transpose";
    bnn_tape *t = x->tape;
    bnn_mark mark;
    bnn__slide s;
    bnn_var *y;
    float *room;
    size_t kw = window.kernel_w != 0 ? window.kernel_w : window.kernel;
    size_t area = bnn__mul(window.kernel, kw), c = area != 0 ? w->val.cols / area : 0;
    int fits = bnn__slide_back(&s, image, c != 0 ? c : 1, window);
    if (!bnn__window_fits(who, x, image, window, fits)) return bnn__poison(t);
    if (w->val.rows != image.c)
        return bnn__fail(t, BNN_ESHAPE, "%s: w is %zx%z, images of %zx%zx%z need %z rows", who,
                         w->val.rows, w->val.cols, image.h, image.w, image.c, image.c);
    y = bnn__conv_node(who, x, w, b, &s, 1);
    mark = bnn_arena_mark(&t->mem);
    room = y != NULL ? bnn__patch_room(t, &s) : NULL;
    if (room == NULL) return bnn__poison(t);
    bnn__conv_back(&s, x->val.rows * s.rows * s.cols, image.c, x->val.data, w->val.data, 1,
                   w->val.cols, y->val.data, room);
    bnn_arena_rewind(&t->mem, mark);
    return y;
}

/* ---- pools: pixel p of a result, and the pixels of the image that its window has */

typedef struct bnn__view {
    size_t at, rows, cols; /* the first of them, counted in floats from the batch's start */
} bnn__view;

static bnn__view bnn__view_of(const bnn__slide *s, size_t p) {
    size_t pixels = s->rows * s->cols, y = p % pixels / s->cols * s->down;
    size_t x = p % s->cols * s->right, y0 = y < s->top ? s->top - y : 0;
    size_t x0 = x < s->left ? s->left - x : 0;
    bnn__view v;
    v.rows = (s->top + s->h - y < s->kh ? s->top + s->h - y : s->kh) - y0;
    v.cols = (s->left + s->w - x < s->kw ? s->left + s->w - x : s->kw) - x0;
    v.at = ((p / pixels * s->h + y + y0 - s->top) * s->w + x + x0 - s->left) * s->c;
    return v;
}

static bnn_var *bnn__pool_node(const char *who, bnn_var *x, bnn_image m, bnn_window v,
                               bnn__slide *s, void (*backward)(bnn_var *self)) {
    int fits = bnn__slide_of(s, m, v, 1);
    if (!bnn__window_fits(who, x, m, v, fits)) return bnn__poison(x->tape);
    return bnn__op_with(x->tape, x->val.rows, s->rows * s->cols * s->c, backward, 1, &x, s,
                        sizeof *s);
}

static void bnn__max_pool_backward(bnn_var *y) {
    const bnn__slide *s = (const bnn__slide *)y->aux;
    const float *xs = y->in[0]->val.data;
    size_t p, j, i, l, c = s->c, n = y->val.rows * s->rows * s->cols;
    for (p = 0; p < n; p++) {
        bnn__view v = bnn__view_of(s, p);
        for (j = p * c; j < (p + 1) * c; j++) {
            float top = y->val.data[j];
            size_t found = BNN__NONE;
            for (i = 0; i < v.rows && found == BNN__NONE; i++)
                for (l = 0; l < v.cols && found == BNN__NONE; l++) {
                    size_t at = v.at + (i * s->w + l) * c + j - p * c;
                    if (xs[at] == top || (bnn__nan_1(top) && bnn__nan_1(xs[at]))) found = at;
                }
            if (found != BNN__NONE) y->in[0]->grad.data[found] += y->grad.data[j];
        }
    }
}

BNNDEF bnn_var *bnn_max_pool2d(bnn_var *x, bnn_image image, bnn_window window) {
    bnn__slide s;
    bnn_var *y = bnn__pool_node("bnn_max_pool2d", x, image, window, &s, bnn__max_pool_backward);
    size_t p, i, l, c = s.c, n = y->val.rows * s.rows * s.cols;
    for (p = 0; p < n && y->val.data != NULL; p++) {
        bnn__view v = bnn__view_of(&s, p);
        memcpy(y->val.data + p * c, x->val.data + v.at, c * sizeof(float));
        for (i = 0; i < v.rows; i++)
            for (l = 0; l < v.cols; l++)
                bnn__row_top(c, x->val.data + v.at + (i * s.w + l) * c, y->val.data + p * c);
    }
    return y;
}

static void bnn__avg_pool_backward(bnn_var *y) {
    const bnn__slide *s = (const bnn__slide *)y->aux;
    size_t p, i, l, c = s->c, n = y->val.rows * s->rows * s->cols;
    for (p = 0; p < n; p++) {
        bnn__view v = bnn__view_of(s, p);
        float *gx = y->in[0]->grad.data + v.at, share = 1 / (float)(v.rows * v.cols);
        for (i = 0; i < v.rows; i++)
            for (l = 0; l < v.cols; l++)
                bnn__row_add(c, share, y->grad.data + p * c, gx + (i * s->w + l) * c);
    }
}

BNNDEF bnn_var *bnn_avg_pool2d(bnn_var *x, bnn_image image, bnn_window window) {
    bnn__slide s;
    bnn_var *y = bnn__pool_node("bnn_avg_pool2d", x, image, window, &s, bnn__avg_pool_backward);
    size_t p, i, l, c = s.c, n = y->val.rows * s.rows * s.cols;
    bnn_mat_fill(y->val, 0);
    for (p = 0; p < n && y->val.data != NULL; p++) {
        bnn__view v = bnn__view_of(&s, p);
        float *out = y->val.data + p * c, share = 1 / (float)(v.rows * v.cols);
        for (i = 0; i < v.rows; i++)
            for (l = 0; l < v.cols; l++)
                bnn__row_add(c, 1, x->val.data + v.at + (i * s.w + l) * c, out);
        bnn__row_affine(c, out, 0, share, out);
    }
    return y;
}

/* The adjoint of pooling with windows of factor x factor, but for their size */
static void bnn__upsample_backward(bnn_var *y) {
    const bnn__slide *s = (const bnn__slide *)y->aux;
    size_t p, i, l, c = s->c, n = y->val.rows * s->rows * s->cols;
    for (p = 0; p < n; p++) {
        size_t at = bnn__view_of(s, p).at;
        for (i = 0; i < s->kh; i++)
            for (l = 0; l < s->kw; l++)
                bnn__row_add(c, 1, y->grad.data + at + (i * s->w + l) * c,
                             y->in[0]->grad.data + p * c);
    }
}

BNNDEF bnn_var *bnn_upsample2d(bnn_var *x, bnn_image image, size_t factor) {
    bnn_window v = { 0, 0, 0, 0, 0 };
    bnn__slide s;
    bnn_var *y;
    size_t p, i, l, c = image.c, n;
    int fits;
    v.kernel = v.stride = factor;
    fits = bnn__slide_back(&s, image, c, v);
    if (!bnn__window_fits("bnn_upsample2d", x, image, v, fits)) return bnn__poison(x->tape);
    y = bnn__op_with(x->tape, x->val.rows, s.h * s.w * c, bnn__upsample_backward, 1, &x, &s,
                     sizeof s);
    n = y->val.rows * s.rows * s.cols;
    for (p = 0; p < n && y->val.data != NULL; p++)
        for (i = 0; i < factor; i++)
            for (l = 0; l < factor; l++)
                memcpy(y->val.data + bnn__view_of(&s, p).at + (i * s.w + l) * c,
                       x->val.data + p * c, c * sizeof(float));
    return y;
}

/* ---- norm: u = (x - m)/s over a part of one row, s^2 = variance + 1e-5;  y = u o gain + shift.
 * q = g o gain:  gx = (q - mean q - u mean(q u))/s, ggain = sum g u, gshift = sum g. Sums over the
 * batch would make the answer to one row depend on the others: there is no such op here. */

typedef struct bnn__norm {
    size_t pixels, channels, groups;
    float *scale; /* m and 1/s of every part */
} bnn__norm;

static void bnn__norm_backward(bnn_var *y) {
    const bnn__norm *k = (const bnn__norm *)y->aux;
    size_t width = k->channels / k->groups, part, p, j, parts = y->val.rows * k->groups;
    float *gx = y->in[0]->grad.data;
    const float *gain = y->n_in == 3 ? y->in[1]->val.data : NULL;
    for (part = 0; part < parts; part++) {
        size_t from = part % k->groups * width, row = part / k->groups * y->val.cols;
        float m = k->scale[2 * part], r = k->scale[2 * part + 1];
        double sum = 0, dot = 0, count = (double)(k->pixels * width);
        int turn;
        for (turn = 0; turn < 2; turn++) {
            for (p = 0; p < k->pixels; p++) {
                for (j = from; j < from + width; j++) {
                    size_t at = row + p * k->channels + j;
                    float g = y->grad.data[at], u = (y->in[0]->val.data[at] - m) * r;
                    float q = gain != NULL ? g * gain[j] : g;
                    if (turn && gx != NULL)
                        gx[at] += r * (q - (float)(sum / count) - u * (float)(dot / count));
                    if (turn) continue;
                    sum += (double)q, dot += (double)q * (double)u;
                    if (gain != NULL && y->in[1]->grad.data != NULL)
                        y->in[1]->grad.data[j] += g * u;
                    if (gain != NULL && y->in[2]->grad.data != NULL) y->in[2]->grad.data[j] += g;
                }
            }
        }
    }
}

/* Mean and 1/s of one part */
static void bnn__norm_scale(const float *x, const bnn__norm *k, size_t width, float *scale) {
    double m = 0, v = 0, d, count = (double)(k->pixels * width);
    size_t p, j;
    for (p = 0; p < k->pixels; p++)
        for (j = 0; j < width; j++) m += (double)x[p * k->channels + j];
    m /= count;
    for (p = 0; p < k->pixels; p++)
        for (j = 0; j < width; j++) d = (double)x[p * k->channels + j] - m, v += d * d;
    scale[0] = (float)m;
    scale[1] = (float)(1 / sqrt(v / count + 1e-5));
}

static bnn_var *bnn__norm_op(const char *who, bnn_var *x, bnn_var *gain, bnn_var *shift,
                             bnn__norm k) {
    bnn_tape *t = x->tape;
    bnn_var *in[3], *y;
    size_t i, j, width = k.channels / k.groups, n = x->val.rows;
    in[0] = x, in[1] = gain, in[2] = shift;
    for (i = 1; i < 3; i++) {
        if ((in[i] == NULL) != (in[3 - i] == NULL))
            return bnn__fail(t, BNN_EARG, "%s: gain and shift, both or neither", who);
        if (in[i] == NULL) continue;
        if (bnn__apart(t, x->val, in[i])) return bnn__poison(t);
        if (in[i]->val.rows != 1 || in[i]->val.cols != k.channels)
            return bnn__fail(t, BNN_ESHAPE, "%s: %s is %zx%z, it must be 1x%z", who,
                             i == 1 ? "gain" : "shift", in[i]->val.rows, in[i]->val.cols,
                             k.channels);
    }
    k.scale = bnn__floats(t, bnn__mul(2 * n, k.groups));
    y = bnn__op_with(t, n, x->val.cols, bnn__norm_backward, gain != NULL ? 3 : 1, in, &k,
                     sizeof k);
    if (y->val.data == NULL) return y;
    for (i = 0; i < n * k.groups; i++)
        bnn__norm_scale(x->val.data + i / k.groups * x->val.cols + i % k.groups * width, &k, width,
                        k.scale + 2 * i);
    for (i = 0; i < n * k.pixels * k.channels; i++) {
        const float *scale;
        j = i % k.channels;
        scale = k.scale + 2 * (i / x->val.cols * k.groups + j / width);
        y->val.data[i] = (x->val.data[i] - scale[0]) * scale[1];
        if (gain != NULL) y->val.data[i] = y->val.data[i] * gain->val.data[j] + shift->val.data[j];
    }
    return y;
}

BNNDEF bnn_var *bnn_group_norm(bnn_var *x, bnn_var *gain, bnn_var *shift, bnn_image image,
                               size_t groups) {
    bnn__norm k;
    if (!bnn__is_image("bnn_group_norm", x, image)) return bnn__poison(x->tape);
    if (groups == 0 || image.c % groups != 0)
        return bnn__fail(x->tape, BNN_EARG, "bnn_group_norm: %z groups of %z channels", groups,
                         image.c);
    k.pixels = image.h * image.w, k.channels = image.c, k.groups = groups, k.scale = NULL;
    return bnn__norm_op("bnn_group_norm", x, gain, shift, k);
}

BNNDEF bnn_var *bnn_layer_norm(bnn_var *x, bnn_var *gain, bnn_var *shift) {
    bnn__norm k;
    k.pixels = k.groups = 1, k.channels = x->val.cols, k.scale = NULL;
    if (x->tape->err == BNN_OK && x->val.cols == 0)
        return bnn__fail(x->tape, BNN_ESHAPE, "bnn_layer_norm: x is %zx0", x->val.rows);
    return x->tape->err != BNN_OK ? bnn__poison(x->tape)
                                  : bnn__norm_op("bnn_layer_norm", x, gain, shift, k);
}

/* ------------------------------------------------------------------------------------------------
 * >>sequences: one step of a recurrent net (Cho et al. 2014; Hochreiter and Schmidhuber 1997)
 *     a = x w and s = h u are products; a cell makes the new state of them, and on the way back d,
 *     the slopes by what goes into its gates, of which ga, gs and gb are made. Where the mask is 0
 *     the step is the identity.
 * --------------------------------------------------------------------------------------------- */

typedef struct bnn__cell {
    size_t gates;     /* GRU 3, LSTM 4 */
    const float *mask;
    float *kept;      /* planes of (n, k), or (n, 2k) for two gates that are sigmoids */
} bnn__cell;

/* kept: r z (n,2k), m, q = h u + b', for which h' = (1-z) m + z h */
static void bnn__gru_value(bnn_var *y, const float *b, float *kept) {
    size_t i, j, n = y->val.rows, k = y->val.cols;
    float *rz = kept, *m = kept + 2 * n * k, *q = m + n * k;
    for (i = 0; i < n; i++) {
        const float *a = y->in[0]->val.data + 3 * i * k, *s = y->in[1]->val.data + 3 * i * k;
        for (j = 0; j < 2 * k; j++) rz[2 * i * k + j] = a[j] + s[j] + (b != NULL ? b[j] : 0);
    }
    bnn__v_sigmoid(2 * n * k, rz, rz);
    for (i = 0; i < n; i++) {
        const float *a = y->in[0]->val.data + (3 * i + 2) * k;
        const float *s = y->in[1]->val.data + (3 * i + 2) * k;
        for (j = 0; j < k; j++) {
            q[i * k + j] = s[j] + (b != NULL ? b[3 * k + j] : 0);
            m[i * k + j] = a[j] + (b != NULL ? b[2 * k + j] : 0)
                           + rz[2 * i * k + j] * q[i * k + j];
        }
    }
    bnn__v_tanh(n * k, m, m);
    for (i = 0; i < n; i++)
        for (j = 0; j < k; j++) {
            float z = rz[(2 * i + 1) * k + j], v = m[i * k + j];
            y->val.data[i * k + j] = v + z * (y->in[2]->val.data[i * k + j] - v);
        }
}

static void bnn__gru_slopes(const bnn_var *y, const float *kept, size_t i, float *gh, float *d) {
    size_t j, n = y->val.rows, k = y->val.cols;
    const float *r = kept + 2 * i * k, *z = r + k, *m = kept + (2 * n + i) * k, *q = m + n * k;
    for (j = 0; j < k; j++) {
        float g = y->grad.data[i * k + j], dm = g * (1 - z[j]) * (1 - m[j] * m[j]);
        d[j] = dm * q[j] * r[j] * (1 - r[j]);
        d[k + j] = g * (y->in[2]->val.data[i * k + j] - m[j]) * z[j] * (1 - z[j]);
        d[2 * k + j] = dm;
        d[3 * k + j] = dm * r[j];
        if (gh != NULL) gh[j] += g * z[j];
    }
}

/* kept: i f (n,2k), g, o, tanh c' */
static void bnn__lstm_value(bnn_var *y, const float *b, float *kept) {
    size_t i, j, n = y->val.rows, k = y->val.cols / 2;
    float *in = kept, *g = kept + 2 * n * k, *o = g + n * k, *tc = o + n * k;
    for (i = 0; i < n; i++) {
        const float *a = y->in[0]->val.data + 4 * i * k, *s = y->in[1]->val.data + 4 * i * k;
        for (j = 0; j < 4 * k; j++) {
            float v = a[j] + s[j] + (b != NULL ? b[j] : 0);
            if (j < 2 * k) in[2 * i * k + j] = v;
            else if (j < 3 * k) g[i * k + j - 2 * k] = v;
            else o[i * k + j - 3 * k] = v;
        }
    }
    bnn__v_sigmoid(2 * n * k, in, in);
    bnn__v_tanh(n * k, g, g);
    bnn__v_sigmoid(n * k, o, o);
    for (i = 0; i < n; i++)
        for (j = 0; j < k; j++) {
            const float *f = in + (2 * i + 1) * k;
            float c = f[j] * y->in[2]->val.data[(2 * i + 1) * k + j]
                      + in[2 * i * k + j] * g[i * k + j];
            y->val.data[(2 * i + 1) * k + j] = tc[i * k + j] = c;
        }
    bnn__v_tanh(n * k, tc, tc);
    for (i = 0; i < n; i++)
        for (j = 0; j < k; j++) y->val.data[2 * i * k + j] = o[i * k + j] * tc[i * k + j];
}

static void bnn__lstm_slopes(const bnn_var *y, const float *kept, size_t row, float *gs,
                             float *d) {
    size_t j, n = y->val.rows, k = y->val.cols / 2;
    const float *i = kept + 2 * row * k, *f = i + k, *g = kept + (2 * n + row) * k, *o = g + n * k;
    const float *tc = o + n * k, *gy = y->grad.data + 2 * row * k;
    for (j = 0; j < k; j++) {
        float dc = gy[k + j] + gy[j] * o[j] * (1 - tc[j] * tc[j]);
        d[j] = dc * g[j] * i[j] * (1 - i[j]);
        d[k + j] = dc * y->in[2]->val.data[(2 * row + 1) * k + j] * f[j] * (1 - f[j]);
        d[2 * k + j] = dc * i[j] * (1 - g[j] * g[j]);
        d[3 * k + j] = gy[j] * tc[j] * o[j] * (1 - o[j]);
        if (gs != NULL) gs[k + j] += dc * f[j];
    }
}

static void bnn__cell_backward(bnn_var *y) {
    const bnn__cell *cell = (const bnn__cell *)y->aux;
    bnn_mat ga = y->in[0]->grad, gs = y->in[1]->grad, gh = y->in[2]->grad;
    size_t i, j, n = y->val.rows, width = y->val.cols, k = cell->gates == 3 ? width : width / 2;
    bnn_mark mark = bnn_arena_mark(&y->tape->mem);
    float *d = bnn__floats(y->tape, 4 * n * k);
    if (d == NULL) return;
    for (i = 0; i < n; i++) {
        float *di = d + 4 * i * k, *state = gh.data != NULL ? gh.data + i * width : NULL;
        if (cell->mask != NULL && cell->mask[i] == 0) {
            memset(di, 0, 4 * k * sizeof *di);
            if (state != NULL) bnn__row_add(width, 1, y->grad.data + i * width, state);
            continue;
        }
        (cell->gates == 3 ? bnn__gru_slopes : bnn__lstm_slopes)(y, cell->kept, i, state, di);
        if (ga.data != NULL) bnn__row_add(ga.cols, 1, di, ga.data + i * ga.cols);
        if (gs.data == NULL) continue;
        bnn__row_add(2 * k, 1, di, gs.data + i * gs.cols);
        for (j = 2 * k; j < gs.cols; j++)
            gs.data[i * gs.cols + j] += di[cell->gates == 3 ? k + j : j];
    }
    if (y->n_in == 4 && y->in[3]->grad.data != NULL)
        bnn__v_colsum(n, 4 * k, d, y->in[3]->grad.data);
    bnn_arena_rewind(&y->tape->mem, mark);
}

/* a (n, gates k) from x, s from h, and the state */
static bnn_var *bnn__cell_step(const char *who, size_t gates, bnn_var *a, bnn_var *s,
                               bnn_var *state, bnn_var *b, bnn_var *mask) {
    bnn_tape *t = state->tape;
    size_t i, n = state->val.rows, width = state->val.cols, k = gates == 3 ? width : width / 2;
    bnn_var *in[4], *y;
    bnn__cell cell;
    if (t->err != BNN_OK || (b != NULL && bnn__apart(t, state->val, b)) ||
        (mask != NULL && bnn__apart(t, state->val, mask))) return bnn__poison(t);
    if (a->val.cols != gates * k || s->val.cols != gates * k || a->val.rows != n)
        return bnn__fail(t, BNN_ESHAPE, "%s: x w is %zx%z, h u is %zx%z, for %z units they must be "
                         "%zx%z", who, a->val.rows, a->val.cols, s->val.rows, s->val.cols, k, n,
                         gates * k);
    if (b != NULL && (b->val.rows != 1 || b->val.cols != 4 * k))
        return bnn__fail(t, BNN_ESHAPE, "%s: b is %zx%z, it must be 1x%z", who, b->val.rows,
                         b->val.cols, 4 * k);
    if (mask != NULL && (mask->val.rows != n || mask->val.cols != 1))
        return bnn__fail(t, BNN_ESHAPE, "%s: the mask is %zx%z, it must be %zx1", who,
                         mask->val.rows, mask->val.cols, n);
    for (i = 0; mask != NULL && i < n; i++)
        if (!(mask->val.data[i] == 0 || mask->val.data[i] == 1))
            return bnn__fail(t, BNN_EARG, "%s: the mask is %g in row %z, it must be 0 or 1", who,
                             (double)mask->val.data[i], i);
    cell.gates = gates;
    cell.mask = mask != NULL ? mask->val.data : NULL;
    cell.kept = bnn__floats(t, bnn__mul(bnn__mul(n, k), 5));
    in[0] = a, in[1] = s, in[2] = state, in[3] = b;
    y = bnn__op_with(t, n, width, bnn__cell_backward, b != NULL ? 4 : 3, in, &cell, sizeof cell);
    if (y->val.data == NULL) return y;
    (gates == 3 ? bnn__gru_value : bnn__lstm_value)(y, b != NULL ? b->val.data : NULL, cell.kept);
    for (i = 0; cell.mask != NULL && i < n; i++)
        if (cell.mask[i] == 0)
            memcpy(y->val.data + i * width, state->val.data + i * width, width * sizeof(float));
    return y;
}

BNNDEF bnn_var *bnn_gru(bnn_var *x, bnn_var *h, bnn_var *w, bnn_var *u, bnn_var *b,
                        bnn_var *mask) {
    bnn_var *a = bnn__product("bnn_gru: x is %zx%z, w is %zx%z", x, w, NULL);
    bnn_var *s = bnn__product("bnn_gru: h is %zx%z, u is %zx%z", h, u, NULL);
    return bnn__cell_step("bnn_gru", 3, a, s, h, b, mask);
}

BNNDEF bnn_var *bnn_lstm(bnn_var *x, bnn_var *state, bnn_var *w, bnn_var *u, bnn_var *b,
                         bnn_var *mask) {
    bnn_var *a, *s;
    if (state->val.cols % 2 != 0)
        return bnn__fail(x->tape, BNN_ESHAPE, "bnn_lstm: the state is %zx%z, h and c must be equal",
                         state->val.rows, state->val.cols);
    a = bnn__product("bnn_lstm: x is %zx%z, w is %zx%z", x, w, NULL);
    s = bnn__product("bnn_lstm: h is %zx%z, u is %zx%z",
                     bnn_cols(state, 0, state->val.cols / 2), u, NULL);
    return bnn__cell_step("bnn_lstm", 4, a, s, state, b, mask);
}

/* ------------------------------------------------------------------------------------------------
 * >>losses: one number per row, (n,k) -> (n,1)
 * A sum of terms l(x, p, y) is one small function of a term and its derivatives. Where a row shares
 * an exponential or its sum, the op walks its rows itself.
 * --------------------------------------------------------------------------------------------- */

static int bnn__check_pair(const char *who, const bnn_var *x, const bnn_var *y) {
    return bnn__fits(who, x, "predictions are", y, "targets are", 0);
}

/* low < v < high? */
static int bnn__between(bnn_tape *t, const char *who, const char *what, float v, double low,
                        double high) {
    if ((double)v > low && (double)v < high) return 1;
    bnn__fail(t, BNN_EARG, "%s: %s is %g, it must be in (%g,%g)", who, what, (double)v, low, high);
    return 0;
}

#define BNN__POSITIVE (DBL_MIN * DBL_EPSILON) /* the smallest double that is */

static int bnn__all_in(const char *who, const char *what, const bnn_var *x, double low,
                       double high) { /* every entry in [low, high]? */
    const char *must = high == 1 ? "in [0,1]" : low > 0 ? "above 0" : "0 or more";
    size_t i, n = bnn__mat_size(x->val);
    for (i = 0; i < n; i++) {
        double v = (double)x->val.data[i];
        if (v >= low && v <= high) continue;
        bnn__fail(x->tape, BNN_EARG, "%s: %s is %g in row %z, entry %z, it must be finite and %s",
                  who, what, v, i / x->val.cols, i % x->val.cols, must);
        break;
    }
    return x->tape->err == BNN_OK;
}

static int bnn__positive(const char *who, const char *what, const bnn_var *x) {
    return bnn__all_in(who, what, x, BNN__POSITIVE, DBL_MAX);
}

/* A sum beyond all floats is an error; a NaN stays, it came from one. */
static int bnn__row_done(const char *who, bnn_var *v, size_t row, double sum) {
    v->val.data[row] = (float)sum;
    if (bnn__finite(v->val.data[row]) || sum != sum) return 1;
    bnn__fail(v->tape, BNN_ENONFINITE, "%s: the value of row %z is %g", who, row,
              (double)v->val.data[row]);
    return 0;
}

/* Where a term l(x, p, y) is taken, and its derivatives there; c is what all terms share */
typedef struct bnn__point {
    double x, p, y, dx, dp;
    float last_p, of_p; /* for a term to keep what a p gave: most rows repeat it */
} bnn__point;
typedef double (*bnn__term)(const double *c, bnn__point *at);

/* Rows of sums of terms. p may be repeated or NULL, y NULL. */
static bnn_var *bnn__sum_terms(const char *who, bnn__term term, const double *c, bnn_var *x,
                               bnn_var *p, const bnn_var *y) {
    bnn_var *v = bnn__rowwise(x, p);
    size_t i, j, k = x->val.cols, e = 0, step = p != NULL && p->val.cols != 1;
    float *dx = bnn__slopes(v, 0), *dp = p != NULL ? bnn__slopes(v, 1) : NULL;
    bnn__point at;
    memset(&at, 0, sizeof at);
    for (i = 0; i < v->val.rows; i++) {
        const float *pi = p != NULL ? bnn__row(p->val, i) : NULL;
        double sum = 0;
        for (j = 0; j < k; j++, e++) {
            at.x = (double)x->val.data[e];
            if (p != NULL) at.p = (double)pi[j * step];
            if (y != NULL) at.y = (double)y->val.data[e];
            sum += term(c, &at);
            dx[e] = (float)at.dx;
            if (p != NULL) dp[e] = (float)at.dp;
        }
        if (!bnn__row_done(who, v, i, sum)) return bnn__poison(x->tape);
    }
    return v;
}

/* ((y-m)^2 e^-a + a + ln 2 pi)/2, a = ln variance;  dm = (m-y) e^-a,  da = (1 - (y-m)^2 e^-a)/2.
 * Outside [-87,87], where both e^a and e^-a are floats, a is clamped, its gradient 0. */
static double bnn__gaussian(const double *c, bnn__point *at) {
    float raw = (float)at->p, a = raw < -87 ? -87 : raw > 87 ? 87 : raw, r, z, q;
    (void)c;
    if (raw != at->last_p || at->of_p == 0) at->last_p = raw, at->of_p = BNN_MATH_EXP(-a);
    r = (float)at->x - (float)at->y, z = r * at->of_p, q = z * r;
    at->dx = (double)z;
    at->dp = raw < a || raw > a ? 0 : (double)((1 - q) / 2);
    return ((double)(q + a) + BNN__LN_2PI) / 2;
}

BNNDEF bnn_var *bnn_gaussian_nll(bnn_var *mean, bnn_var *y, bnn_var *log_var) {
    const char *who = "bnn_gaussian_nll";
    if (!bnn__check_pair(who, mean, y) ||
        !bnn__fits(who, mean, "means are", log_var, "log variances are", 1))
        return bnn__poison(mean->tape);
    return bnn__sum_terms(who, bnn__gaussian, NULL, mean, log_var, y);
}

/* |y-m|/b + ln 2b;  dm = sgn(m-y)/b, 0 at equality. c: 1/b, ln 2b */
static double bnn__double_exponential(const double *c, bnn__point *at) {
    double r = at->x - at->y, a = fabs(r);
    at->dx = a > 0 ? copysign(c[0], r) : r; /* 0 or NaN */
    return a * c[0] + c[1];
}

BNNDEF bnn_var *bnn_double_exponential_nll(bnn_var *mean, bnn_var *y, float b) {
    const char *who = "bnn_double_exponential_nll";
    double c[2];
    if (!bnn__check_pair(who, mean, y) || !bnn__between(mean->tape, who, "b", b, 0, bnn__inf()))
        return bnn__poison(mean->tape);
    c[0] = 1 / (double)b, c[1] = bnn__dlog(2 * (double)b);
    return bnn__sum_terms(who, bnn__double_exponential, c, mean, NULL, y);
}

/* (nu+1)/2 ln(1 + r^2/(nu s^2)) + ln s + ln(nu pi)/2 + lnG(nu/2) - lnG((nu+1)/2);
 * dm = (nu+1) r/(nu s^2 + r^2), r = m - y. c: nu, nu s^2 and what does not depend on r, which is
 * ln s + ln(2 pi)/2 + 1/2 - h ln(1 + 1/2h) + S(h) - S(h + 1/2), h = nu/2 */
static double bnn__student(const double *c, bnn__point *at) {
    double r = at->x - at->y;
    at->dx = (c[0] + 1) * r / (c[1] + r * r);
    return (c[0] + 1) / 2 * bnn__dlog1p(r * r / c[1]) + c[2];
}

static double bnn__student_constant(double nu, double scale) {
    double h = nu / 2;
    return bnn__dlog(scale) + BNN__LN_2PI / 2 + 0.5 - h * bnn__dlog1p(0.5 / h) +
           bnn__lgamma_rest(h) - bnn__lgamma_rest(h + 0.5);
}

BNNDEF bnn_var *bnn_student_nll(bnn_var *mean, bnn_var *y, float nu, float scale) {
    const char *who = "bnn_student_nll";
    bnn_tape *t = mean->tape;
    double c[3], n = (double)nu, s = (double)scale;
    if (!bnn__check_pair(who, mean, y) || !bnn__between(t, who, "nu", nu, 0, bnn__inf()) ||
        !bnn__between(t, who, "scale", scale, 0, bnn__inf()))
        return bnn__poison(t);
    c[0] = n, c[1] = n * s * s, c[2] = bnn__student_constant(n, s);
    return bnn__sum_terms(who, bnn__student, c, mean, NULL, y);
}

/* max(z,0) - z y + ln(1 + e^-|z|);  dz = sigmoid(z) - y. A target of 0 or 1 that agrees with an
 * infinite logit costs nothing. */
BNNDEF bnn_var *bnn_bernoulli_nll(bnn_var *logit, bnn_var *y) {
    bnn_tape *t = logit->tape;
    bnn_var *v;
    float *p, *soft;
    const float *z = logit->val.data, *target = y->val.data;
    size_t i, j, k = logit->val.cols, size = bnn__mat_size(logit->val), at = 0;
    if (!bnn__check_pair("bnn_bernoulli_nll", logit, y) ||
        !bnn__all_in("bnn_bernoulli_nll", "target", y, 0, 1))
        return bnn__poison(t);
    v = bnn__rowwise(logit, NULL);
    soft = bnn__floats(t, size);
    if (soft == NULL) return bnn__poison(t);
    p = bnn__slopes(v, 0);
    for (i = 0; i < size; i++) soft[i] = z[i] > 0 ? -z[i] : z[i];
    bnn__v_softplus(size, soft, soft);
    bnn__v_sigmoid(size, z, p);
    for (i = 0; i < v->val.rows; i++) {
        double sum = 0;
        for (j = 0; j < k; j++, at++) { /* miss: the part that |z| counts against */
            float miss = z[at] > 0 ? 1 - target[at] : target[at];
            sum += (double)soft[at] + (miss > 0 ? fabs((double)z[at]) * (double)miss : 0);
            p[at] -= target[at];
        }
        v->val.data[i] = (float)sum;
    }
    return v;
}

/* -sum_k t_k ln softmax(z/T)_k;  dz = (softmax(z/T) sum(t) - t)/T. t_k = 0 contributes 0. */
BNNDEF bnn_var *bnn_cross_entropy(bnn_var *logit, bnn_var *target, float temperature) {
    bnn_tape *t = logit->tape;
    bnn_var *v;
    float *p, *log_p, inv = 1 / temperature;
    size_t i, j, k = logit->val.cols;
    if (!bnn__check_pair("bnn_cross_entropy", logit, target)) return bnn__poison(t);
    if (!(temperature > 0) || !bnn__finite(inv))
        return bnn__fail(t, BNN_EARG, "bnn_cross_entropy: temperature is %g, it must be > 0",
                         (double)temperature);
    v = bnn__rowwise(logit, NULL);
    log_p = bnn__floats(t, bnn__mat_size(logit->val));
    if (log_p == NULL) return bnn__poison(t);
    p = bnn__slopes(v, 0);
    if (!bnn__softmax_of("bnn_cross_entropy", logit, inv, p, log_p)) return bnn__poison(t);
    for (i = 0; i < v->val.rows; i++, p += k, log_p += k) {
        const float *q = target->val.data + i * k;
        double sum = 0, weight = 0;
        for (j = 0; j < k; j++) {
            if (q[j] != 0 || !(log_p[j] <= 0)) sum -= (double)q[j] * (double)log_p[j]; /* or NaN */
            weight += (double)q[j];
        }
        for (j = 0; j < k; j++) p[j] = (p[j] * (float)weight - q[j]) * inv;
        v->val.data[i] = (float)sum;
    }
    return v;
}

BNNDEF bnn_var *bnn_categorical_nll(bnn_var *logit, bnn_var *label) {
    bnn_tape *t = logit->tape;
    bnn_var *hot;
    size_t i, n = logit->val.rows, k = logit->val.cols;
    if (bnn__apart(t, logit->val, label)) return bnn__poison(t);
    if (label->val.rows != n || label->val.cols != 1)
        return bnn__fail(t, BNN_ESHAPE, "bnn_categorical_nll: logits are %zx%z, labels are %zx%z, "
                         "they must be %zx1", n, k, label->val.rows, label->val.cols, n);
    hot = bnn_op(t, n, k, NULL, 0, NULL);
    bnn_mat_fill(hot->val, 0);
    for (i = 0; i < hot->val.rows; i++) {
        float c = label->val.data[i];
        if (!(c >= 0 && c < (float)k) || (float)(size_t)c != c)
            return bnn__fail(t, BNN_EARG, "bnn_categorical_nll: label %g in row %z, there are %z "
                             "classes", (double)c, i, k);
        hot->val.data[i * k + (size_t)c] = 1;
    }
    return bnn_cross_entropy(logit, hot, 1);
}

/* e^o - y o + ln y!;  do = e^o - y. Without the large numbers of large counts, d = o - ln y:
 * y (e^d - 1 - d) + ln(2 pi y)/2 + S(y) */
static double bnn__poisson(const double *c, bnn__point *at) {
    double rate = (double)BNN_MATH_EXP((float)at->x), y = at->y, d;
    (void)c;
    at->dx = rate - y;
    if (y < 30) return rate - (y > 0 ? y * at->x : 0) + bnn_lgamma(y + 1);
    d = at->x - bnn__dlog(y);
    return y * (bnn__dexpm1(d) - d) + (BNN__LN_2PI + bnn__dlog(y)) / 2 + bnn__lgamma_rest(y);
}

BNNDEF bnn_var *bnn_poisson_nll(bnn_var *log_rate, bnn_var *y) {
    const char *who = "bnn_poisson_nll";
    if (!bnn__check_pair(who, log_rate, y) || !bnn__all_in(who, "count", y, 0, DBL_MAX))
        return bnn__poison(log_rate->tape);
    return bnn__sum_terms(who, bnn__poisson, NULL, log_rate, NULL, y);
}

/* ------------------------------------------------------------------------------------------------
 * >>kl: per row, nats
 *     N(mu, s^2) to N(m, v):  ln(sqrt v/s) + (s^2 + (mu-m)^2 - v)/(2v)
 *                             dmu = (mu-m)/v,  ds = s/v - 1/s
 *     written with q = s^2/v - 1 as (mu-m)^2/(2v) + (q - ln(1+q))/2, which keeps digits near q = 0
 * --------------------------------------------------------------------------------------------- */

static double bnn__normals(const double *c, bnn__point *at) { /* c: m, sqrt v */
    double s = at->p, d = at->x - c[0], v = c[1] * c[1], q = (s - c[1]) * (s + c[1]) / v;
    double log_ratio = q > -0.5 && q < 1 ? bnn__dlog1p(q) : 2 * bnn__dlog(s / c[1]);
    at->dx = d / v;
    at->dp = s / v - 1 / s;
    return d * d / (2 * v) + (q - log_ratio) / 2;
}

BNNDEF bnn_var *bnn_kl_normal(bnn_var *mu, bnn_var *sd, float m0, float sd0) {
    const char *who = "bnn_kl_normal";
    double c[2];
    if (!bnn__fits(who, mu, "mu is", sd, "sd is", 1) ||
        !bnn__between(mu->tape, who, "sd0", sd0, 0, bnn__inf()) ||
        !bnn__positive(who, "sd", sd))
        return bnn__poison(mu->tape);
    c[0] = (double)m0, c[1] = (double)sd0;
    return bnn__sum_terms(who, bnn__normals, c, mu, sd, NULL);
}

BNNDEF bnn_var *bnn_kl_standard_normal(bnn_var *mu, bnn_var *sd) {
    return bnn_kl_normal(mu, sd, 0, 1);
}

/* sum p_k ln(p_k/p0_k), p = softmax(z);  dz_k = p_k (ln(p_k/p0_k) - KL). p_k = 0 contributes 0. */
BNNDEF bnn_var *bnn_kl_categorical(bnn_var *logit, const float *p0) {
    const char *who = "bnn_kl_categorical";
    bnn_tape *t = logit->tape;
    bnn_var *v = bnn__rowwise(logit, NULL);
    size_t i, j, n = logit->val.rows, k = logit->val.cols;
    double total = 0;
    float *r = bnn__floats(t, bnn__mat_size(logit->val)), *p; /* ln(p/p0) */
    if (r == NULL) return bnn__poison(t);
    p = bnn__slopes(v, 0);
    if (!bnn__softmax_of(who, logit, 1, p, r)) return bnn__poison(t);
    for (j = 0; j < k; j++) {
        double prior = p0 != NULL ? (double)p0[j] : 1 / (double)k;
        float log_prior = (float)bnn__dlog(prior);
        if (!(prior >= 0) || !bnn__finite_d(prior))
            return bnn__fail(t, BNN_EARG, "%s: prior %g of class %z", who, prior, j);
        total += prior;
        for (i = 0; i < n; i++) {
            if (prior == 0 && p[i * k + j] != 0)
                return bnn__fail(t, BNN_EARG, "%s: prior 0 of class %z, possible in row %z", who, j,
                                 i);
            r[i * k + j] -= log_prior;
        }
    }
    if (k > 0 && !(fabs(total - 1) <= 1e-3))
        return bnn__fail(t, BNN_EARG, "%s: the prior sums to %g, not 1", who, total);
    for (i = 0; i < n; i++, p += k, r += k) {
        double kl = 0;
        for (j = 0; j < k; j++)
            if (p[j] != 0) kl += (double)p[j] * (double)r[j];
        for (j = 0; j < k; j++)
            if (p[j] != 0) p[j] = (float)((double)p[j] * ((double)r[j] - kl));
        v->val.data[i] = (float)kl;
    }
    return v;
}

/* p ln(p/p0) + (1-p) ln((1-p)/(1-p0)), p = sigmoid(z);  dz = p (1-p) (z - logit p0).
 * c: ln p0, ln(1-p0). `least` is the smaller of p and 1-p: 0 contributes 0. */
static double bnn__bernoullis(const double *c, bnn__point *at) {
    double a = fabs(at->x), e = bnn__dexp(-a), l = bnn__dlog1p(e), most = 1 / (1 + e);
    double least = e / (1 + e), kl = most * (-l - c[at->x > 0 ? 0 : 1]);
    at->dx = least;
    if (least == 0) return kl;
    at->dx = most * least * (at->x - c[0] + c[1]);
    return kl + least * (-a - l - c[at->x > 0 ? 1 : 0]);
}

BNNDEF bnn_var *bnn_kl_bernoulli(bnn_var *logit, float p0) {
    const char *who = "bnn_kl_bernoulli";
    double c[2];
    if (!bnn__between(logit->tape, who, "p0", p0, 0, 1)) return bnn__poison(logit->tape);
    c[0] = bnn__dlog((double)p0), c[1] = bnn__dlog1p(-(double)p0);
    return bnn__sum_terms(who, bnn__bernoullis, c, logit, NULL, NULL);
}

/* s = ln x - psi(x) and u = x psi'(x) - 1, small where x is large */
static double bnn__psi_rest(double x, double *u) {
    double h = 1 / x, h2 = h * h;
    if (x < 1e3) {
        *u = x * bnn_trigamma(x) - 1;
        return bnn__dlog(x) - bnn_digamma(x);
    }
    *u = h * (0.5 + h * (1.0 / 6 - h2 / 30));
    return h * (0.5 + h * (1.0 / 12 - h2 / 120));
}

/* a0 = sum a, b0 = sum b:  lnG(a0) - lnG(b0) - sum [lnG(a_k) - lnG(b_k)] + sum (a_k-b_k)(psi(a_k)
 * - psi(a0));  da_k = (a_k - b_k) psi1(a_k) - (a0 - b0) psi1(a0). With S and s, u as above, and
 * F(a) = S(a) - ln(a)/2 + ln(2 pi)/2, this is, without large numbers,
 * F(a0) - F(b0) - sum [F(a_k) - F(b_k)] + sum b_k ln(b_k a0/(b0 a_k)) - sum (a_k-b_k)(s_k - s_0);
 * da_k = u_k - u_0 - (1 + u_k) b_k/a_k + (1 + u_0) b0/a0 */
static double bnn__dirichlet_row(size_t k, const float *a, const float *b, float *da) {
    double a0 = 0, b0 = 0, kl, s0, u0;
    size_t j;
    for (j = 0; j < k; j++) a0 += (double)a[j], b0 += b != NULL ? (double)b[j] : 1;
    s0 = bnn__psi_rest(a0, &u0);
    kl = bnn__lgamma_rest(a0) - bnn__lgamma_rest(b0) + bnn__dlog(b0 / a0) / 2;
    for (j = 0; j < k; j++) {
        double aj = (double)a[j], bj = b != NULL ? (double)b[j] : 1, u, s = bnn__psi_rest(aj, &u);
        kl -= bnn__lgamma_rest(aj) - bnn__lgamma_rest(bj) + bnn__dlog(bj / aj) / 2;
        kl += bj * bnn__dlog(bj / b0 * (a0 / aj)) - (aj - bj) * (s - s0);
        da[j] = (float)(u - u0 - (1 + u) * (bj / aj) + (1 + u0) * (b0 / a0));
    }
    return kl;
}

BNNDEF bnn_var *bnn_kl_dirichlet(bnn_var *alpha, const float *prior) {
    const char *who = "bnn_kl_dirichlet";
    bnn_tape *t = alpha->tape;
    bnn_var *v = bnn__rowwise(alpha, NULL);
    size_t i, j, k = alpha->val.cols;
    for (j = 0; j < k; j++)
        if (prior != NULL && !(prior[j] > 0))
            return bnn__fail(t, BNN_EARG, "%s: prior %g, entry %z", who, (double)prior[j], j);
    if (!bnn__positive(who, "alpha", alpha)) return bnn__poison(t);
    for (i = 0; i < v->val.rows; i++)
        v->val.data[i] = (float)bnn__dirichlet_row(k, alpha->val.data + i * k, prior,
                                                   bnn__slopes(v, 0) + i * k);
    return v;
}

BNN__WARM
/* ------------------------------------------------------------------------------------------------
 * >>simplex: distributions on the simplex and the cube
 *
 *     Concrete   y = softmax(l), l = (a + G)/tau:   dy_k/da_j = y_k (d_kj - y_j)/tau
 *                with u = a - tau ln y:  ln p = ln (k-1)! + (k-1) ln tau + sum_j (u_j - lse u)
 *                - sum_j ln y_j;  du_j = 1 - k softmax(u)_j. u has the size of a + G at any tau.
 *     Bernoulli  l = (a + ln u/(1-u))/tau, z = tau l - a:  ln p(sigmoid(l)) = ln tau + h(l) - h(z),
 *                h(z) = |z| + 2 ln(1 + e^-|z|),  h' = tanh(z/2)
 *     gamma      d ln z/da by >>special;  Dirichlet: ln x = log softmax of ln z
 *     Dirichlet  ln p = lnG(a0) - sum lnG(a_j) + sum (a_j - 1) ln x_j
 *     logit-normal  r_j = ln x_j/x_k - (mu_j - mu_k), S = B B^T, B = the rows of scale less its
 *                last: ln p = ln N(r; 0, S) - sum_j ln x_j;  with u = S^-1 r:
 *                dmu = u, dB = (u u^T - S^-1) B
 *     score      d E_q f = E_q[f grad ln q] = E_q[(f - b) grad ln q]        (Williams 1992)
 *     implicit   F(w; theta) = u fixed: dw/dtheta = -(dF/dtheta)/(dF/dw)   (Figurnov et al. 2018)
 * Maddison, Mnih, Teh: The Concrete distribution, ICLR 2017. Aitchison, Shen, Biometrika 67, 1980.
 * --------------------------------------------------------------------------------------------- */

static int bnn__tau_ok(const char *who, const bnn_var *x, float tau) {
    if ((double)tau >= 1e-3 && bnn__finite(tau)) return x->tape->err == BNN_OK;
    bnn__fail(x->tape, BNN_EARG, "%s: tau is %g, it must be at least 0.001", who, (double)tau);
    return 0;
}

static int bnn__simplex_ok(const char *who, const bnn_var *x) {
    if (x->val.cols > 1) return x->tape->err == BNN_OK;
    bnn__fail(x->tape, BNN_EARG, "%s: a distribution over %z things, 2 or more are needed", who,
              x->val.cols);
    return 0;
}

static int bnn__spread_ok(const char *who, const bnn_var *x, const bnn_var *p) {
    return bnn__fits(who, x, "draws are", p, "parameters are", 1);
}

/* Fresh constants in the shape of x */
static bnn_var *bnn__draws(const bnn_var *x, void (*fill)(bnn_rng *r, size_t n, float *out)) {
    bnn_var *y = bnn_op(x->tape, x->val.rows, x->val.cols, NULL, 0, NULL);
    fill(&x->tape->rng, bnn__mat_size(y->val), y->val.data);
    return y;
}

typedef struct bnn__relaxed {
    float inv_tau;
    int logs;
    float *p; /* softmax */
} bnn__relaxed;

static void bnn__gumbel_softmax_backward(bnn_var *y) {
    const bnn__relaxed *r = (const bnn__relaxed *)y->aux;
    size_t i, j, k = y->val.cols;
    for (i = 0; i < y->val.rows; i++) {
        const float *p = r->p + i * k, *g = y->grad.data + i * k;
        float *gx = y->in[0]->grad.data + i * k;
        double dot = 0;
        for (j = 0; j < k; j++) dot += (double)g[j] * (r->logs ? 1 : (double)p[j]);
        for (j = 0; j < k; j++)
            gx[j] += r->inv_tau * (r->logs ? g[j] - p[j] * (float)dot : p[j] * (g[j] - (float)dot));
    }
}

static bnn_var *bnn__gumbel_softmax(const char *who, bnn_var *a, float tau, int logs) {
    bnn_tape *t = a->tape;
    bnn_var *y;
    bnn__relaxed r;
    size_t n = bnn__mat_size(a->val), k = a->val.cols, step, i;
    if (!bnn__simplex_ok(who, a) || !bnn__tau_ok(who, a, tau)) return bnn__poison(t);
    r.inv_tau = 1 / tau, r.logs = logs, r.p = logs ? bnn__floats(t, n) : NULL;
    y = bnn__op_with(t, a->val.rows, k, bnn__gumbel_softmax_backward, 1, &a, &r, sizeof r);
    if (t->err != BNN_OK) return y;
    if (!logs) ((bnn__relaxed *)y->aux)->p = r.p = y->val.data;
    step = (k < 64 ? 4096 / k / 64 : 1) * 64 * k; /* rows for the cache; noise comes by 64 */
    BNN__PARALLEL(n > 2 * BNN__TASK)
    for (i = 0; i < n; i += step) {
        size_t count = n - i < step ? n - i : step;
        bnn_rng noise = t->rng;
        float *l = r.p + i;
        bnn__rng_advance(&noise, i / 4);
        bnn__v_gumbel(&noise, count, l);
        bnn__v_axpy(count, 1, a->val.data + i, l);
        bnn__softmax_rows(count / k, k, l, r.inv_tau, l, logs ? y->val.data + i : NULL, NULL);
    }
    bnn__rng_advance(&t->rng, (n + 63) / 64 * 16);
    return y;
}

BNNDEF bnn_var *bnn_gumbel_softmax(bnn_var *logits, float tau) {
    return bnn__gumbel_softmax("bnn_gumbel_softmax", logits, tau, 0);
}
BNNDEF bnn_var *bnn_log_gumbel_softmax(bnn_var *logits, float tau) {
    return bnn__gumbel_softmax("bnn_log_gumbel_softmax", logits, tau, 1);
}

BNNDEF bnn_var *bnn_concrete_log_prob(bnn_var *log_x, bnn_var *logits, float tau) {
    const char *who = "bnn_concrete_log_prob";
    bnn_var *u;
    double k = (double)log_x->val.cols, c = bnn_lgamma(k) + (k - 1) * bnn__dlog((double)tau);
    if (!bnn__simplex_ok(who, log_x) || !bnn__tau_ok(who, log_x, tau) ||
        !bnn__spread_ok(who, log_x, logits))
        return bnn__poison(log_x->tape);
    u = bnn_rowsum(bnn_log_softmax(bnn_sub(logits, bnn_scale(log_x, tau))));
    return bnn_shift(bnn_sub(u, bnn_rowsum(log_x)), (float)c);
}

BNNDEF bnn_var *bnn_gumbel(bnn_var *loc) {
    return bnn_add(loc, bnn__draws(loc, bnn_rng_fill_gumbel));
}

/* A row with a NaN chooses nothing: NaN. */
static bnn_var *bnn__largest(const char *who, bnn_var *x) {
    bnn_var *y = bnn_op(x->tape, x->val.rows, x->val.cols, NULL, 0, NULL);
    size_t i, j, k = x->val.cols;
    for (i = 0; i < y->val.rows; i++) {
        size_t top = bnn_mat_row_argmax(x->val, i);
        if (top < k && !((double)x->val.data[i * k + top] > -bnn__inf()))
            return bnn__fail(x->tape, BNN_ENONFINITE, "%s: row %z has no entry above -inf", who, i);
        for (j = 0; j < k; j++)
            y->val.data[i * k + j] = top == k ? (float)bnn__nan() : (float)(j == top);
    }
    return y;
}

BNNDEF bnn_var *bnn_one_hot(bnn_var *x) { return bnn__largest("bnn_one_hot", x); }

BNNDEF bnn_var *bnn_categorical(bnn_var *logits) {
    const char *who = "bnn_categorical";
    if (!bnn__simplex_ok(who, logits)) return bnn__poison(logits->tape);
    return bnn__largest(who, bnn_gumbel(bnn_detach(logits)));
}

BNNDEF bnn_var *bnn_score_function(bnn_var *f, bnn_var *log_q, bnn_var *baseline) {
    bnn_tape *t = f->tape;
    bnn_var *gain;
    double sum = 0, n = (double)f->val.rows;
    size_t i;
    if (t->err != BNN_OK) return bnn__poison(t);
    if (f->val.cols != 1 || f->val.rows == 0 || !bnn__same(f->val, log_q->val) ||
        (baseline != NULL && !bnn__spreads(baseline->val, f->val)))
        return bnn__fail(t, BNN_ESHAPE, "bnn_score_function: f is %zx%z, log_q is %zx%z",
                         f->val.rows, f->val.cols, log_q->val.rows, log_q->val.cols);
    gain = bnn_detach(f); /* f - b */
    for (i = 0; i < gain->val.rows; i++) sum += (double)f->val.data[i];
    for (i = 0; i < gain->val.rows; i++) {
        double fi = (double)f->val.data[i];
        double b = baseline != NULL ? (double)bnn__spread(baseline->val, i, 0)
                                    : n > 1 ? (sum - fi) / (n - 1) : 0;
        gain->val.data[i] = (float)(fi - b);
    }
    return bnn_straight_through(bnn_mean(f), bnn_mean(bnn_add(f, bnn_mul(gain, log_q))));
}

static void bnn__fill_logistic(bnn_rng *r, size_t n, float *out) {
    size_t i;
    for (i = 0; i < n; i++) out[i] = bnn_rng_logistic(r);
}

BNNDEF bnn_var *bnn_relaxed_bernoulli(bnn_var *logits, float tau) {
    if (!bnn__tau_ok("bnn_relaxed_bernoulli", logits, tau)) return bnn__poison(logits->tape);
    return bnn_scale(bnn_add(logits, bnn__draws(logits, bnn__fill_logistic)), 1 / tau);
}

static double bnn__logistic_energy(double z, double *slope) { /* h */
    double e = bnn__dexp(-fabs(z));
    *slope = z < 0 ? (e - 1) / (1 + e) : (1 - e) / (1 + e);
    return fabs(z) + 2 * bnn__dlog1p(e);
}

static double bnn__relaxed_bernoulli(const double *c, bnn__point *at) { /* c: tau, ln tau */
    double h = bnn__logistic_energy(at->x, &at->dx);
    h -= bnn__logistic_energy(c[0] * at->x - at->p, &at->dp);
    at->dx -= c[0] * at->dp;
    return h + c[1];
}

BNNDEF bnn_var *bnn_relaxed_bernoulli_log_prob(bnn_var *l, bnn_var *logits, float tau) {
    const char *who = "bnn_relaxed_bernoulli_log_prob";
    double c[2];
    if (!bnn__tau_ok(who, l, tau) || !bnn__spread_ok(who, l, logits)) return bnn__poison(l->tape);
    c[0] = (double)tau, c[1] = bnn__dlog(c[0]);
    return bnn__sum_terms(who, bnn__relaxed_bernoulli, c, l, logits, NULL);
}

static void bnn__log_gamma_backward(bnn_var *y) {
    bnn_var *a = y->in[0];
    size_t i;
    for (i = 0; i < bnn__mat_size(y->val); i++) {
        double slope = bnn_gamma_dlog((double)a->val.data[i], (double)y->val.data[i]);
        a->grad.data[i] += y->grad.data[i] * (float)slope;
    }
}

BNNDEF bnn_var *bnn_log_gamma(bnn_var *alpha) {
    bnn_tape *t = alpha->tape;
    bnn_var *y;
    size_t i;
    if (!bnn__positive("bnn_log_gamma", "alpha", alpha)) return bnn__poison(t);
    y = bnn_op(t, alpha->val.rows, alpha->val.cols, bnn__log_gamma_backward, 1, &alpha);
    for (i = 0; i < bnn__mat_size(y->val); i++)
        y->val.data[i] = bnn_rng_log_gamma(&t->rng, alpha->val.data[i]);
    return y;
}

BNNDEF bnn_var *bnn_gamma(bnn_var *alpha) { return bnn_exp(bnn_log_gamma(alpha)); }

BNNDEF bnn_var *bnn_log_dirichlet(bnn_var *alpha) {
    const char *who = "bnn_log_dirichlet";
    if (!bnn__simplex_ok(who, alpha) || !bnn__positive(who, "alpha", alpha))
        return bnn__poison(alpha->tape);
    return bnn_log_softmax(bnn_log_gamma(alpha));
}

BNNDEF bnn_var *bnn_dirichlet(bnn_var *alpha) { return bnn_exp(bnn_log_dirichlet(alpha)); }

/* lnG(a0) - sum lnG(a_j) of a row of alpha; psi = psi(a0) - psi(a_j) */
static double bnn__dirichlet_norm(bnn_mat alpha, size_t row, size_t k, double *psi) {
    const float *a = bnn__row(alpha, row);
    double a0 = 0, c, p0;
    size_t j, step = alpha.cols != 1;
    for (j = 0; j < k; j++) a0 += (double)a[j * step];
    c = bnn_lgamma(a0);
    p0 = bnn_digamma(a0);
    for (j = 0; j < k; j++) {
        c -= bnn_lgamma((double)a[j * step]);
        psi[j] = p0 - bnn_digamma((double)a[j * step]);
    }
    return c;
}

BNNDEF bnn_var *bnn_dirichlet_log_prob(bnn_var *log_x, bnn_var *alpha) {
    const char *who = "bnn_dirichlet_log_prob";
    bnn_tape *t = log_x->tape;
    bnn_var *v;
    float *to_x, *to_alpha;
    double c = 0, *psi;
    size_t i, j, at = 0, k = log_x->val.cols;
    if (!bnn__simplex_ok(who, log_x) || !bnn__positive(who, "alpha", alpha) ||
        !bnn__spread_ok(who, log_x, alpha))
        return bnn__poison(t);
    v = bnn__rowwise(log_x, alpha);
    to_x = bnn__slopes(v, 0), to_alpha = bnn__slopes(v, 1);
    psi = (double *)bnn__scratch(t, k, sizeof *psi);
    if (psi == NULL) return bnn__poison(t);
    for (i = 0; i < log_x->val.rows; i++) {
        double sum;
        if (i == 0 || alpha->val.rows > 1) c = bnn__dirichlet_norm(alpha->val, i, k, psi);
        sum = c;
        for (j = 0; j < k; j++, at++) {
            double y = (double)log_x->val.data[at];
            double less = (double)bnn__spread(alpha->val, i, j) - 1;
            if (less != 0 || y != y) sum += less * y; /* 0 times -inf is 0 here */
            to_x[at] = (float)less;
            to_alpha[at] = (float)(psi[j] + y);
        }
        v->val.data[i] = (float)sum;
    }
    return v;
}

/* -ln Gamma(k) - KL(Dir(alpha) || Dir(1)): that law is uniform, its log density ln Gamma(k) */
BNNDEF bnn_var *bnn_dirichlet_entropy(bnn_var *alpha) {
    const char *who = "bnn_dirichlet_entropy";
    if (!bnn__simplex_ok(who, alpha) || !bnn__positive(who, "alpha", alpha))
        return bnn__poison(alpha->tape);
    return bnn_shift(bnn_neg(bnn_kl_dirichlet(alpha, NULL)),
                     (float)-bnn_lgamma((double)alpha->val.cols));
}

/* Beta(a, b) is the Dirichlet of (a, b): entries become rows of a pair, and go back into rows. */
static bnn_var *bnn__pairs(bnn_var *a, bnn_var *b) {
    bnn_var *in[2];
    if (!bnn__fits("bnn_beta", a, "a is", b, "b is", 0)) return bnn__poison(a->tape);
    in[0] = bnn_reshape(a, bnn__mat_size(a->val), 1);
    in[1] = bnn_reshape(b, bnn__mat_size(a->val), 1);
    return bnn_concat(a->tape, 2, in);
}

static bnn_var *bnn__unpair(bnn_var *rows, const bnn_var *a) {
    return bnn_rowsum(bnn_reshape(rows, a->val.rows, a->val.cols));
}

BNNDEF bnn_var *bnn_logit_beta(bnn_var *a, bnn_var *b) {
    bnn_var *y = bnn_log_gamma(a);
    return bnn_sub(y, bnn_log_gamma(b));
}

BNNDEF bnn_var *bnn_beta(bnn_var *a, bnn_var *b) { return bnn_sigmoid(bnn_logit_beta(a, b)); }

/* Of an entry by entry function of inputs that may be broadcast; aux = slopes, input by input */
static void bnn__entries_backward(bnn_var *y) {
    size_t q, i, count = bnn__mat_size(y->val), cols = y->val.cols;
    const float *slope = (const float *)y->aux;
    for (q = 0; q < y->n_in; q++, slope += count) {
        bnn_mat g = y->in[q]->grad;
        for (i = 0; g.data != NULL && i < count; i++)
            g.data[(g.rows == 1 ? 0 : i / cols) * g.cols + (g.cols == 1 ? 0 : i % cols)] +=
                y->grad.data[i] * slope[i];
    }
}

/* D(a, n x), x = e^log_x, which may underflow */
static double bnn__deviance_log(double a, double n, double log_x) {
    double m = n * bnn__dexp(log_x);
    return m > 0.6 * a && m < 1.4 * a ? bnn__deviance(a, m)
                                      : a * (bnn__dlog(a / n) - log_x) + (m - a);
}

BNNDEF bnn_var *bnn_beta_log_prob(bnn_var *logit_x, bnn_var *a, bnn_var *b) {
    const char *who = "bnn_beta_log_prob";
    bnn_tape *t = logit_x->tape;
    bnn_var *in[3], *y;
    float *slope;
    size_t i, count = bnn__mat_size(logit_x->val), cols = logit_x->val.cols;
    if (!bnn__positive(who, "a", a) || !bnn__positive(who, "b", b) ||
        !bnn__spread_ok(who, logit_x, a) || !bnn__spread_ok(who, logit_x, b))
        return bnn__poison(t);
    in[0] = logit_x, in[1] = a, in[2] = b;
    y = bnn_op(t, logit_x->val.rows, cols, bnn__entries_backward, 3, in);
    y->aux = slope = bnn__floats(t, bnn__mul(3, count));
    if (slope == NULL) return bnn__poison(t);
    for (i = 0; i < count; i++, slope++) {
        double p = (double)bnn__spread(a->val, i / cols, i % cols);
        double q = (double)bnn__spread(b->val, i / cols, i % cols), psi = bnn_digamma(p + q);
        double l = (double)logit_x->val.data[i];
        double log_x = -bnn__dlog1p(bnn__dexp(-fabs(l))) + (l < 0 ? l : 0), log_y = log_x - l;
        double d = bnn__deviance_log(p, p + q, log_x) + bnn__deviance_log(q, p + q, log_y);
        y->val.data[i] = (float)(bnn__beta_front(p, q, d) - log_x - log_y);
        slope[0] = (float)((p - 1) * bnn__dexp(log_y) - (q - 1) * bnn__dexp(log_x));
        slope[count] = (float)(log_x + psi - bnn_digamma(p));
        slope[2 * count] = (float)(log_y + psi - bnn_digamma(q));
    }
    return bnn_rowsum(y);
}

BNNDEF bnn_var *bnn_beta_entropy(bnn_var *a, bnn_var *b) {
    return bnn__unpair(bnn_dirichlet_entropy(bnn__pairs(a, b)), a);
}

BNNDEF bnn_var *bnn_kl_beta(bnn_var *a, bnn_var *b, float a0, float b0) {
    float prior[2] = { a0, b0 };
    return bnn__unpair(bnn_kl_dirichlet(bnn__pairs(a, b), prior), a);
}

static int bnn__scale_ok(const char *who, const bnn_var *x, const bnn_var *scale) {
    size_t k = x->val.cols;
    if (!bnn__simplex_ok(who, x)) return 0;
    if (scale->val.cols == k && (scale->val.rows == 1 || scale->val.rows == k)) return 1;
    bnn__fail(x->tape, BNN_ESHAPE, "%s: %z things, but scale is %zx%z", who, k, scale->val.rows,
              scale->val.cols);
    return 0;
}

BNNDEF bnn_var *bnn_log_logit_normal(bnn_var *mu, bnn_var *scale) {
    bnn_var *eps;
    if (!bnn__scale_ok("bnn_logit_normal", mu, scale)) return bnn__poison(mu->tape);
    if (scale->val.rows == 1) return bnn_log_softmax(bnn_normal(mu, scale));
    eps = bnn__draws(mu, bnn_rng_fill_normal);
    return bnn_log_softmax(bnn_add(mu, bnn_matmul(eps, bnn_transpose(scale))));
}

BNNDEF bnn_var *bnn_logit_normal(bnn_var *mu, bnn_var *scale) {
    return bnn_exp(bnn_log_logit_normal(mu, scale));
}

typedef struct bnn__contrasts {
    bnn_mat l, u; /* S = L L^T (m,m); S^-1 r, one column per row of x (m,n) */
} bnn__contrasts;

static bnn_mat bnn__tape_mat(bnn_tape *t, size_t rows, size_t cols) {
    return bnn__mat(rows, cols, bnn__floats(t, bnn__mul(rows, cols)));
}

static void bnn__contrast_backward(bnn_var *y) {
    const bnn__contrasts *c = (const bnn__contrasts *)y->aux;
    bnn_var *b = y->in[0];
    size_t i, n = y->val.rows, m = b->val.rows, k = m + 1;
    bnn_mat ub = bnn__tape_mat(y->tape, n, k), sb = bnn__tape_mat(y->tape, m, k);
    double total = 0;
    if (y->tape->err != BNN_OK) return;
    bnn_mat_mul_tn(ub, c->u, b->val); /* becomes diag(g) U^T B */
    for (i = 0; i < n; i++) {
        float g = y->grad.data[i];
        total += (double)g;
        bnn__v_scale(k, g, ub.data + i * k, ub.data + i * k);
    }
    bnn_mat_solve_chol(sb, c->l, b->val);
    bnn__v_axpy(m * k, -(float)total, sb.data, b->grad.data);
    bnn__gemm(m, k, n, c->u.data, n, 1, ub.data, k, 1, b->grad.data, k, 1);
}

/* The Cholesky factor of S = B B^T, in a node of zeros that carries the gradient of B = P scale,
 * where P takes the last row from each of the others */
static bnn_var *bnn__contrast(bnn_var *scale, size_t n, bnn__contrasts *c) {
    bnn_tape *t = scale->tape;
    size_t j, k = scale->val.cols, m = k - 1, pivot = 0;
    bnn_var *b = bnn_op(t, m, k, NULL, 0, NULL), *y;
    bnn_mat_eye(b->val);
    for (j = 0; j < b->val.rows; j++) b->val.data[j * k + m] = -1;
    b = scale->val.rows == 1 ? bnn_mul(b, scale) : bnn_matmul(b, scale);
    c->l = bnn__tape_mat(t, m, m);
    c->u = bnn__tape_mat(t, m, n);
    y = bnn__op_with(t, n, 1, bnn__contrast_backward, 1, &b, c, sizeof *c);
    if (t->err != BNN_OK) return y;
    bnn_mat_fill(y->val, 0);
    bnn_mat_mul_nt(c->l, b->val, b->val);
    if (bnn_mat_cholesky(c->l, c->l, &pivot) == BNN_OK) return y;
    return bnn__fail(t, BNN_EARG, "bnn_logit_normal_log_prob: the covariance of the log ratios is "
                     "singular at entry %z", pivot);
}

BNNDEF bnn_var *bnn_logit_normal_log_prob(bnn_var *log_x, bnn_var *mu, bnn_var *scale) {
    const char *who = "bnn_logit_normal_log_prob";
    bnn_tape *t = log_x->tape;
    bnn_var *v, *by_scale;
    bnn__contrasts c;
    bnn_mat r;
    float *to_x, *to_mu;
    size_t i, j, n = log_x->val.rows, k = log_x->val.cols, m = k - 1;
    double norm;
    if (!bnn__scale_ok(who, log_x, scale) || !bnn__spread_ok(who, log_x, mu)) return bnn__poison(t);
    by_scale = bnn__contrast(scale, n, &c);
    v = bnn__rowwise(log_x, mu);
    r = bnn__tape_mat(t, m, n);
    if (t->err != BNN_OK) return bnn__poison(t);
    to_x = bnn__slopes(v, 0), to_mu = bnn__slopes(v, 1);
    for (i = 0; i < n; i++)
        for (j = 0; j < m; j++)
            r.data[j * n + i] = (log_x->val.data[i * k + j] - bnn__spread(mu->val, i, j)) -
                                (log_x->val.data[i * k + m] - bnn__spread(mu->val, i, m));
    bnn_mat_solve_chol(c.u, c.l, r);
    norm = ((double)m * BNN__LN_2PI + bnn_mat_logdet_chol(c.l)) / 2;
    for (i = 0; i < n; i++, to_x += k, to_mu += k) {
        double quad = 0, logs = 0;
        to_mu[m] = 0;
        for (j = 0; j < k; j++) {
            logs += (double)log_x->val.data[i * k + j];
            if (j < m) to_mu[j] = c.u.data[j * n + i], to_mu[m] -= to_mu[j];
            if (j < m) quad += (double)r.data[j * n + i] * (double)to_mu[j];
            to_x[j] = -(to_mu[j] + 1);
        }
        v->val.data[i] = (float)(-norm - quad / 2 - logs);
    }
    return bnn_add(v, by_scale);
}

/* The w with F(w) = u, by doubling and halving; NaN if there is none. A NaN left of 0 counts as
 * 0, for a law on a half line. */
static double bnn__invert_cdf(const bnn_implicit_desc *d, double u, const double *theta) {
    double lo = -1, hi = 1, mid, f;
    int i;
    for (i = 0; i < 1000 && d->cdf(d->user, lo, theta) > u; i++) lo *= 2;
    for (i = 0; i < 1000 && d->cdf(d->user, hi, theta) < u; i++) hi *= 2;
    if (d->cdf(d->user, lo, theta) > u || !(d->cdf(d->user, hi, theta) >= u)) return bnn__nan();
    for (i = 0; i < 1100; i++) {
        mid = lo + (hi - lo) / 2;
        if (mid == lo || mid == hi) break;
        f = d->cdf(d->user, mid, theta);
        if (f < u || (mid < 0 && !(f >= u))) lo = mid;
        else hi = mid;
    }
    return hi;
}

/* F with *at raised by h, less F with it lowered; *at is w or an entry of theta */
static double bnn__cdf_rise(const bnn_implicit_desc *d, const double *w, const double *theta,
                            double *at, double h) {
    double keep = *at, up;
    *at = keep + h;
    up = d->cdf(d->user, *w, theta);
    *at = keep - h;
    up -= d->cdf(d->user, *w, theta);
    *at = keep;
    return up;
}

/* dF by w or by an entry of theta, in place at *at: central differences, extrapolated to length 0
 * (Ridders 1982). Over the first length F moves by at most a tenth of the smaller of F and 1 - F
 * (so it fits the law around w, lies inside the support, and F is a number there), and by a
 * millionth of that or more where it can, above the rounding. Where F jumps from one number to the
 * next, at an end of the support, the density is infinite and the draw does not move. */
static double bnn__cdf_slope(const bnn_implicit_desc *d, const double *w, const double *theta,
                             double *at) {
    double h = *at != 0 ? fabs(*at) / 8 : 1, f = d->cdf(d->user, *w, theta), best = bnn__nan();
    double room = 0.1 * (f < 0.5 ? f : 1 - f), least = bnn__inf(), old[8], now[8];
    int i, j;
    for (i = 0; i < 60 && fabs(bnn__cdf_rise(d, w, theta, at, h)) < 1e-6 * room; i++) {
        if (!(fabs(bnn__cdf_rise(d, w, theta, at, 4 * h)) <= room)) break;
        h *= 4;
    }
    for (i = 0; i < 600 && !(fabs(bnn__cdf_rise(d, w, theta, at, h)) <= room); i++) h /= 4;
    if (at == w && h < 64 * DBL_EPSILON * fabs(*w)) return bnn__inf();
    for (i = 0; i < 8; i++, h /= 2) {
        double scale = 4;
        now[0] = bnn__cdf_rise(d, w, theta, at, h) / (2 * h);
        for (j = 1; j <= i; j++, scale *= 4) {
            double error;
            now[j] = now[j - 1] + (now[j - 1] - old[j - 1]) / (scale - 1);
            error = fabs(now[j] - now[j - 1]) + fabs(now[j] - old[j - 1]);
            if (error < least) least = error, best = now[j];
        }
        memcpy(old, now, sizeof old);
    }
    return best;
}

/* The density, and dF/dtheta into slope */
static double bnn__cdf_slopes(const bnn_implicit_desc *d, double w, double *theta, size_t n,
                              double *slope) {
    size_t q;
    if (d->slopes != NULL) return d->slopes(d->user, w, theta, slope);
    for (q = 0; q < n; q++) slope[q] = bnn__cdf_slope(d, &w, theta, theta + q);
    return bnn__cdf_slope(d, &w, theta, &w);
}

BNNDEF bnn_var *bnn_implicit(bnn_var *const *theta, size_t n, bnn_implicit_desc d) {
    bnn_tape *t = theta[0]->tape;
    bnn_var *y;
    float *slope;
    double *at;
    size_t i, q, count = bnn__mat_size(theta[0]->val), cols = theta[0]->val.cols;
    if (t->err == BNN_OK && d.cdf == NULL && (d.slopes == NULL || d.draw == NULL))
        return bnn__fail(t, BNN_EARG, "bnn_implicit: cdf may be NULL only beside slopes and draw");
    for (q = 1; q < n; q++)
        if (!bnn__spread_ok("bnn_implicit", theta[0], theta[q])) return bnn__poison(t);
    y = bnn_op(t, theta[0]->val.rows, cols, bnn__entries_backward, n, theta);
    y->aux = slope = bnn__floats(t, bnn__mul(n, count));
    at = (double *)bnn__scratch(t, 2 * n, sizeof *at);
    if (at == NULL) return bnn__poison(t);
    for (i = 0; i < count; i++) {
        double w, density;
        for (q = 0; q < n; q++) at[q] = (double)bnn__spread(theta[q]->val, i / cols, i % cols);
        w = d.draw != NULL ? d.draw(d.user, &t->rng, at)
                           : bnn__invert_cdf(&d, bnn__rng_unit(&t->rng), at);
        density = bnn__finite_d(w) ? bnn__cdf_slopes(&d, w, at, n, at + n) : bnn__nan();
        if (!(density > 0))
            return bnn__fail(t, BNN_EARG, "bnn_implicit: density %g at draw %g, row %z, entry %z",
                             density, w, i / cols, i % cols);
        y->val.data[i] = (float)w;
        for (q = 0; q < n; q++) slope[q * count + i] = (float)(-at[n + q] / density);
    }
    return y;
}

BNN__COLD
/* ------------------------------------------------------------------------------------------------
 * >>params: a flat vector, its blocks and their priors
 *
 *     normal   -ln p = sum (w-m)^2/(2v) + (n/2) ln(2 pi v),      gradient (w-m)/v
 *     double exponential  -ln p = n ln 2b + sum |w-m|/b,         gradient sgn(w-m)/b
 *     mixture  ln p = ln( pi N(w;m,s1^2) + (1-pi) N(w;m,s2^2) ), gradient (r/s1^2+(1-r)/s2^2)(w-m),
 *              r = responsibility of the wide component          (Blundell et al. 2015, eq. 7)
 *     Student  as bnn_student_nll with location m; a draw beyond the largest float is that
 * --------------------------------------------------------------------------------------------- */

BNNDEF bnn_params *bnn_params_new(bnn_arena *mem) {
    bnn_params *w = (bnn_params *)bnn_arena_alloc(mem, 1, sizeof *w);
    if (w != NULL) w->mem = mem;
    return w;
}

static int bnn__prior_real(float x) { return x >= 0 && bnn__finite(x); }

/* Zero fields become defaults. 0 = a bad prior, with the arena's error set. */
static int bnn__prior_resolve(bnn_arena *mem, bnn_prior *p, size_t fan_in, const char *name) {
    if (p->kind == 0) p->kind = BNN_PRIOR_NORMAL;
    if (p->std == 0) p->std = 1;
    if (p->kind < BNN_PRIOR_NORMAL || p->kind > BNN_PRIOR_FLAT || !(p->std > 0) ||
        !bnn__finite(p->mean) || !bnn__prior_real(p->std2) || !bnn__prior_real(p->nu) ||
        !bnn__prior_real(p->shape) || !bnn__prior_real(p->rate) ||
        !(p->weight >= 0 && p->weight <= 1))
        bnn__arena_fail(mem, BNN_EARG, "bnn_params_add: prior of %s: kind %d, mean %g, std %g, "
                        "std2 %g, weight %g, nu %g", name, p->kind, (double)p->mean, (double)p->std,
                        (double)p->std2, (double)p->weight, (double)p->nu);
    else if ((p->kind > BNN_PRIOR_DOUBLE_EXPONENTIAL && (p->adapt_mean || p->adapt_std)) ||
             (p->shape > 0) != (p->rate > 0) || (p->kind != BNN_PRIOR_NORMAL && p->shape > 0))
        bnn__arena_fail(mem, BNN_EARG, "bnn_params_add: prior of %s: only normal and double "
                        "exponential priors adapt; shape and rate go with a normal prior", name);
    if (!bnn__finite(p->std)) p->kind = BNN_PRIOR_FLAT; /* infinitely wide */
    if (p->fan_in && fan_in > 1) p->std /= BNN_MATH_SQRT((float)fan_in);
    p->fan_in = 0;
    if (p->std2 == 0) p->std2 = p->std * (float)0.00247875217666635842; /* e^-6 */
    if (p->nu == 0) p->nu = 1;
    p->weight = bnn__or(p->weight, 0.5);
    return mem->err == BNN_OK;
}

/* A larger array with what the old one held, which stays behind in the arena */
static void *bnn__larger(bnn_arena *mem, size_t room, const void *old, size_t n, size_t size) {
    void *p = bnn_arena_alloc(mem, room, size);
    if (p != NULL && n != 0) memcpy(p, old, n * size);
    return p;
}

/* Room for n more values and one more block */
static int bnn__params_grow(bnn_params *w, size_t n) {
    size_t room = 2 * w->room, blocks = 2 * w->block_room + 8;
    bnn_block *b = w->blocks;
    float *theta = w->theta, *grad = w->grad;
    if (w->n_blocks == w->block_room) {
        b = (bnn_block *)bnn__larger(w->mem, blocks, b, w->n_blocks, sizeof *b);
        if (b == NULL) return 0;
        w->blocks = b;
        w->block_room = blocks;
    }
    if (n <= w->room - w->n && theta != NULL) return 1; /* an empty first block has a place, too */
    if (room < w->n + n) room = w->n + n;
    theta = (float *)bnn__larger(w->mem, room, theta, w->n, sizeof *theta);
    grad = (float *)bnn__larger(w->mem, room, grad, w->n, sizeof *grad);
    if (theta == NULL || grad == NULL) return 0;
    w->theta = theta;
    w->grad = grad;
    w->room = room;
    return 1;
}

BNNDEF size_t bnn_params_add(bnn_params *w, size_t rows, size_t cols, const char *name,
                             bnn_prior prior) {
    bnn_block *b;
    size_t i, n = bnn__mul(rows, cols);
    if (w == NULL || w->mem->err != BNN_OK) return BNN__NONE;
    if (name == NULL) name = "";
    if (n > SIZE_MAX / 64 - w->n)
        bnn__arena_fail(w->mem, BNN_ENOMEM, "bnn_params_add: %s of %zx%z overflows", name, rows,
                        cols);
    if (!bnn__prior_resolve(w->mem, &prior, rows, name) || !bnn__params_grow(w, n))
        return BNN__NONE;
    b = &w->blocks[w->n_blocks];
    memset(b, 0, sizeof *b);
    b->offset = w->n;
    b->rows = rows;
    b->cols = cols;
    for (i = 0; name[i] != '\0' && i + 1 < sizeof b->name; i++) b->name[i] = name[i];
    b->prior = prior;
    w->n += n;
    return w->n_blocks++;
}

static bnn_mat bnn__block_view(const bnn_params *w, size_t block, float *data) {
    const bnn_block *b;
    if (w == NULL || block >= w->n_blocks || data == NULL) return bnn__mat(0, 0, NULL);
    b = &w->blocks[block];
    return bnn__mat(b->rows, b->cols, data + b->offset);
}

BNNDEF bnn_mat bnn_params_mat(const bnn_params *w, size_t block) {
    return bnn__block_view(w, block, w == NULL ? NULL : w->theta);
}

BNNDEF bnn_mat bnn_params_grad(const bnn_params *w, size_t block) {
    return bnn__block_view(w, block, w == NULL ? NULL : w->grad);
}

BNNDEF void bnn_params_zero_grad(bnn_params *w) {
    size_t b;
    if (w->grad == NULL) return;
    for (b = 0; b < w->n_blocks; b++) w->blocks[b].fresh = w->blocks[b].reached = 1;
    bnn__params_settle(w);
}

BNNDEF void bnn_params_copy(bnn_params *to, const bnn_params *from) {
    if (to->n != from->n)
        bnn__arena_fail(to->mem, BNN_ESHAPE, "bnn_params_copy: %z values to %z", from->n, to->n);
    else if (to->n != 0)
        memmove(to->theta, from->theta, to->n * sizeof(float));
    to->draw = 0; /* these are other values */
}

/* A law: what its density takes from the prior alone. -ln p of n values is the sum of what
 * bnn__law_at gives over `per`, and n times `constant`. */
typedef struct bnn__law {
    int kind;
    double per, constant, scale, nu;
    double wide, narrow, c1, c2; /* mixture: components wide - d^2 c1 and narrow - d^2 c2 */
} bnn__law;

static bnn__law bnn__law_of(const bnn_prior *p) {
    double s = (double)p->std, s2 = (double)p->std2, w = (double)p->weight;
    bnn__law k;
    memset(&k, 0, sizeof k);
    k.kind = p->kind;
    k.per = 1;
    k.scale = s;
    k.nu = (double)p->nu;
    switch (p->kind) {
    case BNN_PRIOR_NORMAL: k.per = 2 * s * s, k.constant = BNN__LN_2PI / 2 + bnn__dlog(s); break;
    case BNN_PRIOR_DOUBLE_EXPONENTIAL: k.per = s, k.constant = bnn__dlog(2 * s); break;
    case BNN_PRIOR_STUDENT: k.constant = bnn__student_constant(k.nu, s); break;
    case BNN_PRIOR_MIXTURE:
        k.wide = bnn__dlog(w) - bnn__dlog(s) - BNN__LN_2PI / 2;
        k.narrow = bnn__dlog1p(-w) - bnn__dlog(s2) - BNN__LN_2PI / 2;
        k.c1 = 1 / (2 * s * s);
        k.c2 = 1 / (2 * s2 * s2);
        break;
    default: break; /* flat: 0 */
    }
    return k;
}

/* At d = w - mean. The slope of -ln p: of a normal law times its variance, of a double exponential
 * times its scale. Student: no nu scale^2, which overflows at the ends */
static double bnn__law_at(const bnn__law *k, double d, double *slope) {
    double odds, e, large, little, z = d / k->scale, q = z * z / k->nu;
    switch (k->kind) {
    case BNN_PRIOR_NORMAL: *slope = d; return d * d;
    case BNN_PRIOR_DOUBLE_EXPONENTIAL: *slope = (d > 0) - (d < 0); return fabs(d);
    case BNN_PRIOR_STUDENT:
        *slope = (1 + 1 / k->nu) * z / (1 + q) / k->scale;
        return (k->nu + 1) / 2 * bnn__dlog1p(q);
    case BNN_PRIOR_MIXTURE:
        odds = k->wide - k->narrow + (k->c2 - k->c1) * d * d; /* their logarithm */
        e = bnn__dexp(-fabs(odds)), large = 1 / (1 + e), little = e / (1 + e);
        *slope = 2 * d * (odds > 0 ? large * k->c1 + little * k->c2
                                   : little * k->c1 + large * k->c2);
        return -(odds > 0 ? k->wide - k->c1 * d * d : k->narrow - k->c2 * d * d) - bnn__dlog1p(e);
    default: *slope = 0; return 0;
    }
}

static double bnn__log_prior_block(const bnn_prior *p, size_t n, const float *w) {
    bnn__law law = bnn__law_of(p);
    double sum = 0, slope;
    size_t i;
    if (p->kind == BNN_PRIOR_FLAT) return 0;
    if (p->kind == BNN_PRIOR_NORMAL) sum = bnn__v_sumsq(n, w, p->mean);
    else for (i = 0; i < n; i++)
        sum += bnn__law_at(&law, (double)w[i] - (double)p->mean, &slope);
    return -(sum / law.per + (double)n * law.constant);
}

BNNDEF double bnn_params_log_prior(const bnn_params *w) {
    double sum = 0;
    size_t b;
    for (b = 0; b < w->n_blocks; b++)
        sum += bnn__log_prior_block(&w->blocks[b].prior, w->blocks[b].rows * w->blocks[b].cols,
                                    w->theta + w->blocks[b].offset);
    return sum;
}

/* gx += g d(-ln p)/dw; fresh: it is written */
static void bnn__prior_slope(const bnn_prior *p, float g, int fresh, size_t n, const float *w,
                             float *gx) {
    int normal = p->kind == BNN_PRIOR_NORMAL;
    float c = normal ? g / (p->std * p->std)
                     : p->kind == BNN_PRIOR_DOUBLE_EXPONENTIAL ? g / p->std : g;
    bnn__law law = bnn__law_of(p);
    double slope;
    size_t i;
    if (normal && p->mean == 0) {
        if (fresh) bnn__v_scale(n, c, w, gx);
        else bnn__v_axpy(n, c, w, gx);
        return;
    }
    if (fresh) memset(gx, 0, n * sizeof *gx);
    for (i = 0; i < n; i++) {
        bnn__law_at(&law, (double)w[i] - (double)p->mean, &slope);
        gx[i] += c * (float)slope;
    }
}

static void bnn__prior_backward(bnn_var *y) { /* writes where the gradient is still old */
    bnn_params *w = y->in[0]->owner;
    size_t b;
    for (b = 0; b < w->n_blocks; b++) {
        bnn_block *k = &w->blocks[b];
        if (k->prior.kind == BNN_PRIOR_FLAT) continue;
        bnn__prior_slope(&k->prior, y->grad.data[0], k->fresh, k->rows * k->cols,
                         w->theta + k->offset, w->grad + k->offset);
        k->fresh = 0;
        k->reached = 1;
    }
}

BNNDEF bnn_var *bnn_prior_nll(bnn_tape *t, bnn_params *w) {
    bnn_var *in, *y;
    if (t->err != BNN_OK) return bnn__poison(t);
    if (w == NULL) return bnn__fail(t, BNN_EARG, "bnn_prior_nll: no parameters");
    if (w->draw != 0)
        return bnn__fail(t, BNN_EARG, "bnn_prior_nll: the weights are a draw of a mean field: the "
                         "KL is the prior's part");
    if (w->n_blocks == 0) return bnn_scalar(t, 0);
    in = bnn_param(t, w, 0);
    y = bnn_op(t, 1, 1, bnn__prior_backward, 1, &in);
    if (y->val.data == NULL) return y;
    y->lazy = 1;
    y->val.data[0] = (float)-bnn_params_log_prior(w);
    return y;
}

/* k-th smallest (quickselect, median of three); reorders x */
static float bnn__select(float *x, size_t n, size_t k) {
    size_t lo = 0, hi = n - 1;
    while (lo < hi) {
        float a = x[lo], b = x[lo + (hi - lo) / 2], c = x[hi], pivot, swap;
        size_t i = lo, j = hi;
        pivot = a < b ? (b < c ? b : a < c ? c : a) : (a < c ? a : b < c ? c : b);
        for (;;) {
            while (x[i] < pivot) i++;
            while (x[j] > pivot) j--;
            if (i >= j) break;
            swap = x[i], x[i] = x[j], x[j] = swap;
            i++, j--;
        }
        if (k <= j) hi = j;
        else lo = j + 1;
    }
    return x[k];
}

/* Median: mean of the two middle values for even n > 0. NaN without memory. */
static float bnn__median(bnn_arena *mem, size_t n, const float *x) {
    bnn_mark mark = bnn_arena_mark(mem);
    float *copy = (float *)bnn__arena_take(mem, n, sizeof *copy), hi, lo;
    if (copy == NULL) return (float)bnn__nan();
    memcpy(copy, x, n * sizeof *copy);
    hi = bnn__select(copy, n, n / 2);
    lo = n % 2 == 0 ? bnn__select(copy, n, n / 2 - 1) : hi;
    bnn_arena_rewind(mem, mark);
    return lo + (hi - lo) / 2;
}

/* ---- priors that follow their weights, or q = N(mu, sigma^2) over them; sigma NULL: points */

static double bnn__erf_own(double x) { return (double)BNN_MATH_ERF((float)x); }

static double bnn__abs_mean(double d, double s) { /* E|w - m|, d = mu - m */
    double u = s > 0 ? d / s : 0;
    if (!(s > 0)) return fabs(d);
    return s * sqrt(2 / BNN__PI) * bnn__dexp(-u * u / 2) + d * bnn__erf_own(u * sqrt(0.5));
}

static double bnn__square_sum(size_t n, const float *mu, const float *sigma, float m) {
    return bnn__v_sumsq(n, mu, m) + (sigma != NULL ? bnn__v_sumsq(n, sigma, 0) : 0);
}

/* Root in m of sum erf((m-mu)/(s sqrt 2)), the slope of sum E|w-m|, by bisection */
static double bnn__abs_center(size_t n, const float *mu, const float *sigma) {
    double lo = (double)mu[0], hi = lo, m = lo, f;
    size_t i;
    int step;
    for (i = 0; i < n; i++) {
        if ((double)mu[i] < lo) lo = (double)mu[i];
        if ((double)mu[i] > hi) hi = (double)mu[i];
    }
    for (step = 0; step < 60 && hi - lo > 1e-15 * (1 + fabs(lo)); step++) {
        m = lo + (hi - lo) / 2;
        for (f = 0, i = 0; i < n; i++)
            f += bnn__erf_own((m - (double)mu[i]) / (1.4142135623730951 * (double)sigma[i]));
        if (f < 0) lo = m;
        else hi = m;
    }
    return m;
}

/* Optimum of the mean */
static double bnn__prior_center(bnn_arena *mem, int kind, size_t n, const float *mu,
                                const float *sigma) {
    double sum = 0;
    size_t i;
    if (kind == BNN_PRIOR_DOUBLE_EXPONENTIAL)
        return sigma != NULL ? bnn__abs_center(n, mu, sigma) : (double)bnn__median(mem, n, mu);
    for (i = 0; i < n; i++) sum += (double)mu[i];
    return (double)(float)(sum / (double)n);
}

/* One prior for n weights, moved all the way or, by a natural gradient step, by `rate` of it; its
 * variance, where that has a prior, to the mode given the rest, or to a draw. */
static void bnn__prior_follow(bnn_arena *mem, bnn_prior *p, size_t n, const float *mu,
                              const float *sigma, double rate, bnn_rng *rng) {
    int laplace = p->kind == BNN_PRIOR_DOUBLE_EXPONENTIAL;
    double m, best = 0, old = (double)p->std, a = (double)p->shape + (double)n / 2;
    size_t i;
    if (p->adapt_mean && n > 0) {
        m = bnn__prior_center(mem, p->kind, n, mu, sigma);
        if (rate < 1) m = (double)p->mean + rate * (m - (double)p->mean);
        if (bnn__finite_d(m)) p->mean = (float)m;
    }
    if (!(p->shape > 0) && (!p->adapt_std || n == 0)) return;
    if (!laplace) best = bnn__square_sum(n, mu, sigma, p->mean);
    else for (i = 0; i < n; i++)
        best += bnn__abs_mean((double)mu[i] - (double)p->mean,
                              sigma != NULL ? (double)sigma[i] : 0);
    if (!(p->shape > 0)) best /= (double)n;
    else best = ((double)p->rate + best / 2) /
                (rng == NULL ? a + 1 : bnn__dexp((double)bnn_rng_log_gamma(rng, (float)a)));
    if (rate < 1 && laplace) best = old * bnn__dexp(rate * (best / old - 1));
    else if (rate < 1) best = old * bnn__dexp(rate * (best / (old * old) - 1) / 2);
    else if (!laplace) best = sqrt(best);
    if (bnn__finite_d(best)) p->std = (float)(best > 1e-6 ? best : 1e-6);
}

BNNDEF void bnn_params_update_priors(bnn_params *w, bnn_rng *rng) {
    size_t b;
    if (w == NULL) return;
    for (b = 0; b < w->n_blocks; b++) {
        bnn_mat x = bnn_params_mat(w, b);
        bnn__prior_follow(w->mem, &w->blocks[b].prior, bnn__mat_size(x), x.data, NULL, 1, rng);
    }
}

/* s sqrt(nu/2G) z, G ~ Gamma(nu/2). Where nu is small G underflows and its logarithm does not;
 * what is beyond the largest float becomes the largest float. */
static float bnn__student_draw(const bnn_prior *p, bnn_rng *rng, float z) {
    double log_g = (double)bnn_rng_log_gamma(rng, p->nu / 2), nu = (double)p->nu, x;
    double top = sizeof(float) == 8 ? DBL_MAX : (double)FLT_MAX;
    if (log_g > -80) /* the gamma is a float */
        x = (double)(p->std * BNN_MATH_SQRT(p->nu / (2 * BNN_MATH_EXP((float)log_g))) * z);
    else x = (double)p->std * bnn__dexp((bnn__dlog(nu / 2) - log_g) / 2) * (double)z;
    return (float)(x > top ? top : x < -top ? -top : x);
}

BNNDEF void bnn_params_sample_prior(bnn_params *w, bnn_rng *rng) {
    size_t b, i;
    for (b = 0; b < w->n_blocks; b++) {
        const bnn_prior *p = &w->blocks[b].prior;
        bnn_mat m = bnn_params_mat(w, b);
        float *x = m.data, s = p->std;
        size_t n = bnn__mat_size(m);
        if (p->kind == BNN_PRIOR_FLAT) continue; /* not a distribution: left as it is */
        if (p->kind != BNN_PRIOR_DOUBLE_EXPONENTIAL) bnn__v_normal(rng, n, x);
        else for (i = 0; i < n; i++) x[i] = bnn_rng_double_exponential(rng);
        for (i = 0; i < n; i++) {
            if (p->kind == BNN_PRIOR_MIXTURE)
                s = bnn_rng_uniform(rng) > p->weight ? p->std2 : p->std;
            x[i] = p->kind == BNN_PRIOR_STUDENT ? bnn__student_draw(p, rng, x[i]) : s * x[i];
            if (bnn__finite(p->mean + x[i])) x[i] = p->mean + x[i];
        }
    }
}

/* After a step: what is held is where it was, its state is forgotten, and a mean field's next step
 * wants a new draw. */
static void bnn__hold(bnn_stepper *s) {
    bnn_params *w = s->params;
    size_t b, i;
    if (w->draws_of != NULL && w->draws_of->draw == 1) w->draws_of->draw = 2;
    if (w->held == NULL) return;
    for (b = 0; b < w->n_blocks; b++) {
        const bnn_block *at = &w->blocks[b];
        for (i = at->offset; i < at->offset + at->rows * at->cols; i++) {
            if (!w->held[i]) continue;
            w->theta[i] = at->rest;
            if (s->s1 != NULL) s->s1[i] = 0;
            if (s->s2 != NULL) s->s2[i] = 0;
            if (s->s3 != NULL) s->s3[i] = 0;
        }
    }
}

/* ------------------------------------------------------------------------------------------------
 * >>net: parameters plus a forward function
 *
 * A net sees standardized inputs x' = (x - a)/c and answers in standardized units; bnn__units turns
 * the answer into location and ln variance in the units of y, so every likelihood, prediction and
 * loss is stated in those.
 * --------------------------------------------------------------------------------------------- */

static int bnn__likelihood(const bnn_net *net) { /* 0 in a net made by hand: the default */
    return net->likelihood != 0 ? net->likelihood : BNN_GAUSSIAN;
}

struct bnn__mlp {
    bnn_mlp_desc desc; /* resolved */
    size_t first;      /* block of the first layer's weights */
    size_t n_layers;
};

/* What is said of a net that was not made: the reason, which its arena knows */
static bnn_var *bnn__dead_net(bnn_tape *t, const bnn_net *net, const char *who) {
    if (net->mem != NULL && net->mem->err != BNN_OK)
        return bnn__fail(t, net->mem->err, "%s", net->mem->msg);
    return bnn__fail(t, BNN_EARG, "%s: the net was not made", who);
}

static bnn_net bnn__net_dead(bnn_arena *mem) {
    bnn_net net;
    memset(&net, 0, sizeof net);
    net.mem = mem;
    return net;
}

/* ---- activations: enumerator, op, gain of the initial weights behind it (2 where half of the
 * values are lost). Switches, not pointers, so that no table needs to be writable for the loader */
#define BNN__ACTIVATIONS(X)                                                                      \
    X(RELU, relu, 2) X(TANH, tanh, 1) X(SIGMOID, sigmoid, 1) X(LEAKY_RELU, leaky_relu, 2)        \
    X(ELU, elu, 2) X(SILU, silu, 2) X(GELU, gelu, 2) X(SOFTPLUS, softplus, 1) X(SIN, sin, 1)
#define BNN__ACT_OP(NAME, op, gain) case BNN_##NAME: return bnn_##op(x);
#define BNN__ACT_AT(NAME, op, gain) case BNN_##NAME: bnn__v_##op(1, &x, &y); return y;
#define BNN__ACT_GAIN(NAME, op, gain) case BNN_##NAME: return gain;

BNNDEF bnn_var *bnn_activation(bnn_var *x, int activation) {
    switch (activation) {
    BNN__ACTIVATIONS(BNN__ACT_OP)
    case BNN_IDENTITY: return x;
    default: return bnn__fail(x->tape, BNN_EARG, "bnn_activation: %d", activation);
    }
}

static float bnn__activation_at(int activation, float x) { /* of one number */
    float y;
    switch (activation) {
    BNN__ACTIVATIONS(BNN__ACT_AT)
    default: return x;
    }
}

static double bnn__activation_gain(int activation) {
    switch (activation) {
    BNN__ACTIVATIONS(BNN__ACT_GAIN)
    default: return 1;
    }
}

/* ---- making a bnn_mlp */

typedef bnn_var *bnn__affine_fn(bnn_tape *t, const bnn_net *net, bnn_var *x, size_t block,
                                int bias);

/* affine: the affine part of a layer, of which the first block is given */
static bnn_var *bnn__mlp_walk(bnn_tape *t, const bnn_net *net, bnn_var *x, bnn__affine_fn *affine) {
    const struct bnn__mlp *m = net->mlp;
    int bias = !m->desc.no_bias;
    size_t l;
    if (t->training > 0) x = bnn_dropout(x, m->desc.dropout_input);
    for (l = 0; l < m->n_layers; l++) {
        x = affine(t, net, x, m->first + (bias ? 2 * l : l), bias);
        if (l + 1 == m->n_layers) break;
        x = bnn_activation(x, m->desc.activations[l]);
        if (t->training > 0) x = bnn_dropout(x, m->desc.dropout);
    }
    return x;
}

static bnn_var *bnn__mlp_affine(bnn_tape *t, const bnn_net *net, bnn_var *x, size_t block,
                                int bias) {
    bnn_var *w = bnn_param(t, net->params, block);
    return bnn_affine(x, w, bias ? bnn_param(t, net->params, block + 1) : NULL);
}

static bnn_var *bnn__mlp_forward(bnn_tape *t, const bnn_net *net, bnn_var *x) {
    return bnn__mlp_walk(t, net, x, bnn__mlp_affine);
}

/* Scales whose square and its inverse are floats */
static int bnn__noise_ok(float s) { return s >= (float)1e-18 && s <= (float)1e18; }

static int bnn__has_noise_std(int likelihood) {
    return likelihood == BNN_GAUSSIAN || likelihood == BNN_DOUBLE_EXPONENTIAL ||
           likelihood == BNN_STUDENT;
}

/* What every constructor of nets asks of its likelihood; zeros become defaults. A noise of 1 that
 * nobody chose is in no unit; where there is none, or where it is only the start of what is
 * learned, it is 1. 0 = refused, with the arena's error set. */
static int bnn__likelihood_resolve(bnn_arena *mem, const char *who, int *likelihood, size_t outputs,
                                   int learned, float *noise_std, float *nu) {
    static const char names[][20] = { "Gaussian", "", "double exponential", "Student" };
    int gauss, kind = *likelihood == 0 ? BNN_GAUSSIAN : *likelihood;
    gauss = kind == BNN_GAUSSIAN;
    if (bnn__has_noise_std(kind) && !learned && *noise_std == 0)
        bnn__arena_fail(mem, BNN_EARG, "%s: the %s likelihood needs .noise_std (the %s of y around "
                        "the net, in units of y)%s", who, names[kind - BNN_GAUSSIAN],
                        gauss ? "sd" : "scale", gauss ? " or .noise_learned = 1" : "");
    else if (kind == BNN_CATEGORICAL && outputs == 1)
        bnn__arena_fail(mem, BNN_EARG, "%s: BNN_CATEGORICAL with 1 output is certain of its only "
                        "class: use BNN_BERNOULLI, or 2 outputs", who);
    if (*noise_std == 0) *noise_std = 1;
    if (*nu == 0) *nu = 4;
    if (kind < BNN_GAUSSIAN || kind > BNN_POISSON || !bnn__noise_ok(*noise_std) || !(*nu > 0) ||
        !bnn__finite(*nu))
        bnn__arena_fail(mem, BNN_EARG, "%s: likelihood %d (1 to 7), noise_std %g (1e-18 to 1e18), "
                        "nu %g (> 0)", who, kind, (double)*noise_std, (double)*nu);
    else if (learned && !gauss)
        bnn__arena_fail(mem, BNN_EARG, "%s: noise_learned is for BNN_GAUSSIAN, the likelihood is "
                        "%d", who, kind);
    else if (kind == BNN_GAUSSIAN_HETERO && outputs % 2 != 0)
        bnn__arena_fail(mem, BNN_EARG, "%s: %z outputs cannot be means and ln variances", who,
                        outputs);
    *likelihood = kind;
    return mem->err == BNN_OK;
}

/* Resolves zeros to defaults; 0 = a bad desc, with the arena's error set. */
static int bnn__mlp_resolve(bnn_arena *mem, bnn_mlp_desc *d, size_t *n_layers) {
    size_t n = 0, l;
    while (n <= BNN_MAX_LAYERS && d->sizes[n] != 0) n++;
    for (l = n; l <= BNN_MAX_LAYERS; l++)
        if (d->sizes[l] != 0)
            bnn__arena_fail(mem, BNN_EARG, "bnn_mlp: layer %z has width 0", n);
    if (n < 2) bnn__arena_fail(mem, BNN_EARG, "bnn_mlp: %z sizes, at least 2 are needed", n);
    if (mem->err != BNN_OK) return 0;
    *n_layers = n - 1;
    if (d->activation == 0) d->activation = BNN_RELU;
    for (l = 0; l < BNN_MAX_LAYERS; l++) {
        if (d->activations[l] == 0) d->activations[l] = d->activation;
        if (d->activations[l] < BNN_RELU || d->activations[l] > BNN_IDENTITY)
            bnn__arena_fail(mem, BNN_EARG, "bnn_mlp: activation %d of layer %z", d->activations[l],
                            l);
    }
    if (d->init == 0) d->init = BNN_INIT_AUTO;
    d->init_scale = bnn__or(d->init_scale, 1);
    if (d->init < BNN_INIT_AUTO || d->init > BNN_INIT_ZERO || !bnn__finite(d->init_scale))
        bnn__arena_fail(mem, BNN_EARG, "bnn_mlp: init %d (1 to 6), init_scale %g", d->init,
                        (double)d->init_scale);
    if (!(d->dropout >= 0 && d->dropout < 1) || !(d->dropout_input >= 0 && d->dropout_input < 1))
        bnn__arena_fail(mem, BNN_EARG, "bnn_mlp: dropout %g and %g must be in [0,1)",
                        (double)d->dropout, (double)d->dropout_input);
    if (d->noise_prior.kind == 0 && d->noise_prior.std == 0) d->noise_prior.std = 5;
    return bnn__likelihood_resolve(mem, "bnn_mlp", &d->likelihood, d->sizes[n - 1],
                                   d->noise_learned, &d->noise_std, &d->nu);
}

/* He: N(0, 2/fan_in); Glorot: N(0, 2/(fan_in+fan_out)); uniform: U(-1,1)/sqrt(fan_in) */
static void bnn__init_weights(bnn_mat w, const bnn_mlp_desc *d, size_t layer, size_t n_layers,
                              bnn_rng *rng) {
    size_t i, n = bnn__mat_size(w);
    /* what feeds this layer; the inputs are taken for what the first activation makes of them */
    int before = d->activations[layer == 0 ? 0 : layer - 1];
    double fan = (double)w.rows, v = 1 / fan;
    if (d->init == BNN_INIT_GLOROT) v = 2 / (fan + (double)w.cols);
    if (d->init == BNN_INIT_HE) v = 2 / fan;
    if (d->init == BNN_INIT_AUTO && n_layers > 1) v = bnn__activation_gain(before) / fan;
    if (d->init == BNN_INIT_UNIFORM) {
        bnn__v_uniform(rng, n, w.data);
        for (i = 0; i < n; i++) w.data[i] = 2 * w.data[i] - 1;
    } else {
        bnn__v_normal(rng, n, w.data);
    }
    for (i = 0; i < n; i++) w.data[i] *= (float)sqrt(v) * d->init_scale;
    if (d->init == BNN_INIT_ZERO) bnn_mat_fill(w, 0);
}

static void bnn__mlp_init(bnn_params *w, const struct bnn__mlp *m) {
    bnn_rng rng = bnn_rng_stream(m->desc.seed, m->first + 1); /* two nets in one store differ */
    size_t l, step = m->desc.no_bias ? 1 : 2;
    if (m->desc.init == BNN_INIT_PRIOR) {
        bnn_params part = *w;
        part.blocks += m->first;
        part.n_blocks = m->n_layers * step;
        bnn_params_sample_prior(&part, &rng);
        return;
    }
    for (l = 0; l < m->n_layers; l++)
        bnn__init_weights(bnn_params_mat(w, m->first + l * step), &m->desc, l, m->n_layers, &rng);
}

/* The blocks of all layers and of the noise; 0 = failed. */
static int bnn__mlp_blocks(bnn_params *w, const struct bnn__mlp *m, bnn_net *net) {
    const bnn_mlp_desc *d = &m->desc;
    size_t l;
    for (l = 0; l < m->n_layers; l++) {
        bnn_prior p = d->priors != NULL ? d->priors[l] : d->prior;
        char name[8] = { 'w', (char)('0' + (l + 1) / 10), (char)('0' + (l + 1) % 10), 0 };
        bnn_params_add(w, d->sizes[l], d->sizes[l + 1], name, p);
        name[0] = 'b';
        if (!d->no_bias) bnn_params_add(w, 1, d->sizes[l + 1], name, p);
    }
    net->noise = BNN__NONE;
    net->noise_learned = d->noise_learned != 0;
    if (d->noise_learned) net->noise = bnn_params_add(w, 1, 1, "noise", d->noise_prior);
    if (w->mem->err != BNN_OK) return 0;
    if (d->noise_learned)
        bnn_params_mat(w, net->noise).data[0] = (float)(2 * bnn__dlog((double)d->noise_std));
    return 1;
}

BNNDEF bnn_net bnn_mlp(bnn_params *w, bnn_mlp_desc desc) {
    bnn_net net = bnn__net_dead(w != NULL ? w->mem : NULL), dead = net;
    struct bnn__mlp *m;
    size_t n_layers = 0, n;
    if (w == NULL || w->mem->err != BNN_OK || !bnn__mlp_resolve(w->mem, &desc, &n_layers))
        return dead;
    m = (struct bnn__mlp *)bnn_arena_alloc(w->mem, 1, sizeof *m);
    if (m == NULL) return dead;
    m->first = w->n_blocks;
    m->n_layers = n_layers;
    m->desc = desc;
    n = w->n;
    if (!bnn__mlp_blocks(w, m, &net)) { /* all or nothing */
        w->n_blocks = m->first;
        w->n = n;
        return dead;
    }
    m->desc.priors = NULL; /* the blocks have them now */
    bnn__mlp_init(w, m);
    net.params = w;
    net.forward = bnn__mlp_forward;
    net.likelihood = desc.likelihood;
    net.noise_std = desc.noise_std;
    net.nu = desc.nu;
    net.mlp = m;
    return net;
}

/* ---- smaller copies */

static bnn_mat bnn__layer(const bnn_params *w, const struct bnn__mlp *m, size_t l, int bias) {
    if (bias && m->desc.no_bias) return bnn__mat(0, 0, NULL);
    return bnn_params_mat(w, m->first + (m->desc.no_bias ? l : 2 * l + (size_t)bias));
}

static size_t bnn__kept(const unsigned char *keep, size_t n) { /* NULL keeps all */
    size_t i, left = 0;
    for (i = 0; i < n; i++) left += keep == NULL || keep[i] != 0;
    return left;
}

/* Rows that `rows` keeps and columns that `cols` keeps */
static void bnn__pick(bnn_mat to, bnn_mat from, const unsigned char *rows,
                      const unsigned char *cols) {
    float *x = to.data;
    size_t i, j;
    for (i = 0; i < from.rows; i++) {
        if (rows != NULL && !rows[i]) continue;
        for (j = 0; j < from.cols; j++)
            if (cols == NULL || cols[j]) *x++ = from.data[i * from.cols + j];
    }
}

/* In mem: the arena of the net it is from may be freed before. */
static bnn_mat bnn__row_copy(bnn_arena *mem, bnn_mat a, const unsigned char *keep) {
    bnn_mat copy = a;
    if (a.data == NULL) return a;
    copy = bnn_mat_new(mem, 1, bnn__kept(keep, a.cols));
    if (copy.data != NULL) bnn__pick(copy, a, NULL, keep);
    return copy;
}

static bnn_scaling bnn__scaling_copy(bnn_arena *mem, const bnn_scaling *s,
                                     const unsigned char *inputs) {
    bnn_scaling c;
    c.x_mean = bnn__row_copy(mem, s->x_mean, inputs);
    c.x_std = bnn__row_copy(mem, s->x_std, inputs);
    c.y_mean = bnn__row_copy(mem, s->y_mean, NULL);
    c.y_std = bnn__row_copy(mem, s->y_std, NULL);
    return c;
}

/* A bnn_mlp of other sizes in `to`: it has what net has beside weights and priors. */
static bnn_net bnn__net_like(bnn_params *to, const bnn_net *net, bnn_mlp_desc d,
                             const unsigned char *inputs) {
    bnn_net like;
    int init = d.init;
    d.init = BNN_INIT_ZERO;
    like = bnn_mlp(to, d);
    if (like.params == NULL) return like;
    like.mlp->desc.init = init;
    like.likelihood = net->likelihood;
    like.noise_std = net->noise_std;
    like.nu = net->nu;
    if (like.noise_learned)
        bnn_params_mat(to, like.noise).data[0] = bnn_params_mat(net->params, net->noise).data[0];
    like.scaling = bnn__scaling_copy(to->mem, &net->scaling, inputs);
    return to->mem->err == BNN_OK ? like : bnn__net_dead(to->mem);
}

/* ---- fewer inputs and units: all of it on a copy of the weights, out of which the net is read */

typedef struct bnn__shrink {
    const struct bnn__mlp *m;
    bnn_params w;                            /* the copy */
    unsigned char *keep[BNN_MAX_LAYERS + 1]; /* inputs, units of layer 1, 2 ...; NULL keeps all */
} bnn__shrink;

/* 0 = net cannot be copied to `to`, whose arena says why. What is taken stays behind there. */
static int bnn__shrink_open(bnn__shrink *s, bnn_params *to, const char *who, const bnn_net *net) {
    size_t l;
    memset(s, 0, sizeof *s);
    if (to == NULL) return 0;
    if (net->mlp == NULL || net->params == NULL || net->params == to)
        bnn__arena_fail(to->mem, BNN_EARG, "%s: not a bnn_mlp, or one that is in `to` already",
                        who);
    if (to->mem->err != BNN_OK) return 0;
    s->m = net->mlp;
    s->w = *net->params;
    s->w.theta = (float *)bnn_arena_alloc(to->mem, s->w.n, sizeof(float));
    for (l = 0; l < s->m->n_layers; l++) {
        s->keep[l] = (unsigned char *)bnn_arena_alloc(to->mem, s->m->desc.sizes[l], 1);
        if (s->keep[l] != NULL) memset(s->keep[l], 1, s->m->desc.sizes[l]);
    }
    if (to->mem->err != BNN_OK) return 0;
    memcpy(s->w.theta, net->params->theta, s->w.n * sizeof(float));
    return 1;
}

/* What is left. Priors are as in force, not as for the new fan in. */
static bnn_net bnn__shrink_close(const bnn__shrink *s, bnn_params *to, const bnn_net *net) {
    bnn_mlp_desc d = s->m->desc;
    bnn_net less;
    size_t l, i, step = d.no_bias ? 1 : 2, blocks = s->m->n_layers * step;
    for (l = 0; l < s->m->n_layers; l++) d.sizes[l] = bnn__kept(s->keep[l], d.sizes[l]);
    less = bnn__net_like(to, net, d, s->keep[0]);
    if (less.params == NULL) return less;
    for (i = 0; i < blocks + (net->noise_learned ? 1 : 0); i++) {
        size_t at = less.mlp->first + i, from = s->m->first + i;
        to->blocks[at].prior = s->w.blocks[from].prior;
        l = i / step;
        if (i < blocks)
            bnn__pick(bnn_params_mat(to, at), bnn_params_mat(&s->w, from),
                      i % step == 0 ? s->keep[l] : NULL, s->keep[l + 1]);
    }
    return less;
}

BNNDEF bnn_net bnn_mlp_keep_inputs(bnn_params *to, const bnn_net *mlp, const unsigned char *keep) {
    bnn_net dead = bnn__net_dead(to != NULL ? to->mem : NULL);
    bnn__shrink s;
    if (!bnn__shrink_open(&s, to, "bnn_mlp_keep_inputs", mlp)) return dead;
    if (keep != NULL) memcpy(s.keep[0], keep, s.m->desc.sizes[0]);
    if (bnn__kept(s.keep[0], s.m->desc.sizes[0]) != 0) return bnn__shrink_close(&s, to, mlp);
    bnn__arena_fail(to->mem, BNN_EARG, "bnn_mlp_keep_inputs: no input is left");
    return dead;
}

static int bnn__all_zero(const float *x, size_t n, size_t stride) {
    size_t i;
    for (i = 0; i < n; i++)
        if (x[i * stride] != 0) return 0;
    return 1;
}

static void bnn__clear(float *x, size_t n, size_t stride) {
    size_t i;
    for (i = 0; i < n; i++) x[i * stride] = 0;
}

/* Unit j of hidden layer l ends. What a constant unit sent on goes into the next bias; 0 = there is
 * none that could take it. */
static int bnn__drop(bnn__shrink *s, size_t l, size_t j) {
    bnn_mat in = bnn__layer(&s->w, s->m, l - 1, 0), out = bnn__layer(&s->w, s->m, l, 0);
    bnn_mat b = bnn__layer(&s->w, s->m, l - 1, 1), next = bnn__layer(&s->w, s->m, l, 1);
    float *hears = in.data + j, *sends = out.data + j * out.cols;
    if (bnn__all_zero(hears, in.rows, in.cols)) {
        float c = bnn__activation_at(s->m->desc.activations[l - 1], b.data != NULL ? b.data[j] : 0);
        if (next.data != NULL) bnn__v_axpy(out.cols, c, sends, next.data);
        else if (c != 0 && !bnn__all_zero(sends, out.cols, 1)) return 0;
    }
    bnn__clear(hears, in.rows, in.cols);
    bnn__clear(sends, out.cols, 1);
    s->keep[l][j] = 0;
    return 1;
}

/* Drops the units of hidden layer l that no weight enters or leaves; 1 = something changed. The
 * last unit stays; if it sends nothing, it need not hear anything. */
static int bnn__drop_dead_of(bnn__shrink *s, size_t l) {
    bnn_mat in = bnn__layer(&s->w, s->m, l - 1, 0), out = bnn__layer(&s->w, s->m, l, 0);
    size_t j, left = bnn__kept(s->keep[l], in.cols);
    int changed = 0;
    for (j = 0; j < in.cols; j++) {
        int deaf = bnn__all_zero(in.data + j, in.rows, in.cols);
        int mute = bnn__all_zero(out.data + j * out.cols, out.cols, 1);
        int drops = s->keep[l][j] && (deaf || mute) && left > 1 && bnn__drop(s, l, j);
        if (drops) left--;
        else if (s->keep[l][j] && mute && !deaf) bnn__clear(in.data + j, in.rows, in.cols);
        else continue;
        changed = 1;
    }
    return changed;
}

/* Drops what the caller says, or, where keep is NULL, what is dead, until no more falls: the end of
 * one may strand others. The sentence of what is wrong with that, or NULL */
static const char *bnn__drop_all(bnn__shrink *s, const unsigned char *const *keep) {
    size_t l, j;
    int again = keep == NULL;
    while (again)
        for (again = 0, l = 1; l < s->m->n_layers; l++) again |= bnn__drop_dead_of(s, l);
    if (keep == NULL) return NULL;
    for (l = 1; l < s->m->n_layers; l++) {
        size_t units = s->m->desc.sizes[l];
        if (bnn__kept(keep[l - 1], units) == 0) return "a layer would lose all its units";
        if (keep[l - 1] == NULL) continue;
        for (j = 0; j < units; j++)
            if (!keep[l - 1][j] && !bnn__drop(s, l, j))
                return "a constant unit needs a bias to go to";
    }
    return NULL;
}

BNNDEF bnn_net bnn_mlp_shrink(bnn_params *to, const bnn_net *net,
                              const unsigned char *const *keep) {
    bnn__shrink s;
    const char *fault;
    bnn_net dead = bnn__net_dead(to != NULL ? to->mem : NULL);
    if (!bnn__shrink_open(&s, to, "bnn_mlp_shrink", net)) return dead;
    fault = bnn__drop_all(&s, keep);
    if (fault == NULL) return bnn__shrink_close(&s, to, net);
    bnn__arena_fail(to->mem, BNN_EARG, "bnn_mlp_shrink: %s", fault);
    return dead;
}

/* ---- standardizing */

static double bnn__epsilon(void) { return sizeof(float) == 8 ? DBL_EPSILON : (double)FLT_EPSILON; }

/* Mean and standard deviation of every column of one of the two matrices. A constant column, even
 * one whose std is a rounding error, becomes 0: its std is 1. The error, or BNN_OK */
static int bnn__standardize(bnn_arena *mem, const char *what, bnn_mat a, int square, bnn_mat *mean,
                            bnn_mat *std) {
    const char *who = "bnn_net_standardize";
    size_t i, j;
    if (!bnn__mat_ok(a))
        return bnn__arena_say(mem, BNN_EARG, "%s: %s is a %zx%z matrix without data", who, what,
                              a.rows, a.cols);
    if (bnn__where(a, &i, &j))
        return bnn__arena_say(mem, BNN_ENONFINITE, "%s: %s is %g in row %z, column %z", who, what,
                              (double)a.data[i * a.cols + j], i, j);
    *mean = bnn_mat_new(mem, 1, a.cols);
    *std = bnn_mat_new(mem, 1, a.cols);
    if (mem->err != BNN_OK) return mem->err;
    bnn_mat_col_mean(*mean, a);
    bnn_mat_col_std(*std, a);
    for (j = 0; j < a.cols; j++) {
        float m = mean->data[j], *s = &std->data[j];
        if (!((double)*s > bnn__epsilon() * fabs((double)m))) *s = 1;
        if (!bnn__finite(m) || !bnn__finite(*s) || (square && !bnn__noise_ok(*s)))
            return bnn__arena_say(mem, BNN_EARG, "%s: column %z of %s has standard deviation %g: "
                                  "choose a unit in which its square is a float", who, j, what,
                                  (double)*s);
    }
    return BNN_OK;
}

BNNDEF int bnn_net_standardize(bnn_net *net, bnn_data train) {
    bnn_arena *mem = net->params != NULL ? net->params->mem : net->mem;
    int err, real = bnn__likelihood(net) <= BNN_STUDENT;
    bnn_scaling s;
    if (net->params == NULL) return mem != NULL && mem->err != BNN_OK ? mem->err : BNN_EARG;
    if (train.x.rows == 0 || train.x.rows != train.y.rows)
        return bnn__arena_say(mem, BNN_ESHAPE, "bnn_net_standardize: x has %z rows, y has %z",
                              train.x.rows, train.y.rows);
    memset(&s, 0, sizeof s);
    err = bnn__standardize(mem, "x", train.x, 0, &s.x_mean, &s.x_std);
    if (err == BNN_OK && real) err = bnn__standardize(mem, "y", train.y, 1, &s.y_mean, &s.y_std);
    if (err == BNN_OK) net->scaling = s;
    return err;
}

/* ---- batches */

/* NaN, a missing field perhaps, is an error here and not a loss that is hard to trace. rows: where
 * in the data the rows of the batch are from, NULL = it is the data. Looks once. 0 = not finite */
static int bnn__batch_finite(const char *who, const char *what, bnn_var *v, const size_t *rows) {
    size_t i = 0, j = 0;
    double bad;
    if (v->tape->err != BNN_OK) return 0;
    v->finite = v->finite || !bnn__where(v->val, &i, &j);
    if (v->finite) return 1;
    bad = (double)v->val.data[i * v->val.cols + j];
    if (rows == NULL)
        bnn__fail(v->tape, BNN_ENONFINITE, "%s: %s is %g in row %z, column %z", who, what, bad, i,
                  j);
    else
        bnn__fail(v->tape, BNN_ENONFINITE, "%s: %s is %g in row %z of the data (%z of the batch), "
                  "column %z", who, what, bad, rows[i], i, j);
    return 0;
}

/* n rows of d, or with rows = NULL all of it. In a stream d is only what is at hand: there the user
 * has said how many there are. */
static bnn_batch bnn__batch(bnn_tape *t, const char *who, bnn_data d, size_t n,
                            const size_t *rows) {
    bnn_batch b, dead;
    dead.x = dead.y = bnn__poison(t);
    dead.n_data = 0;
    if (d.x.rows != d.y.rows || n == 0 || (rows == NULL && n != d.x.rows)) {
        bnn__fail(t, d.x.rows != d.y.rows ? BNN_ESHAPE : BNN_EARG, "%s: a batch of %z rows; x has "
                  "%z rows, y has %z", who, n, d.x.rows, d.y.rows);
        return dead;
    }
    b.x = bnn_input(t, d.x);
    b.y = bnn_input(t, d.y);
    if (rows != NULL) {
        b.x = bnn_gather(b.x, n, rows);
        b.y = bnn_gather(b.y, n, rows);
    }
    if (!bnn__batch_finite(who, "x", b.x, rows) || !bnn__batch_finite(who, "y", b.y, rows))
        return dead;
    bnn__batch_n(t, (double)d.x.rows);
    b.n_data = t->n_data;
    return b;
}

BNNDEF bnn_batch bnn_batch_all(bnn_tape *t, bnn_data d) {
    return bnn__batch(t, "bnn_batch_all", d, d.x.rows, NULL);
}

BNNDEF bnn_batch bnn_batch_rows(bnn_tape *t, bnn_data d, size_t n, const size_t *rows) {
    return bnn__batch(t, "bnn_batch_rows", d, rows == NULL ? 0 : n, rows);
}

/* Adds r to a set, an open table of 2^bits places that is at most half full; 0 = it is there */
static int bnn__set_add(size_t *set, int bits, size_t r) {
    size_t mask = ((size_t)1 << bits) - 1;
    size_t i = (size_t)((uint64_t)r * 0x9e3779b97f4a7c15u >> (64 - bits));
    while (set[i] != 0) {
        if (set[i] == r + 1) return 0;
        i = (i + 1) & mask;
    }
    set[i] = r + 1;
    return 1;
}

/* Floyd's algorithm: every subset of that size is equally likely, in time and memory of its size */
BNNDEF bnn_batch bnn_minibatch(bnn_tape *t, bnn_data d, size_t size) {
    size_t i, n = d.x.rows, *rows = NULL, *set = NULL;
    int bits = 1, fits = size > 0 && size <= n && n == d.y.rows;
    while (fits && size > (size_t)1 << (bits - 1)) bits++;
    if (fits) rows = (size_t *)bnn__scratch(t, size, sizeof *rows);
    if (fits) set = (size_t *)bnn__scratch(t, (size_t)1 << bits, sizeof *set);
    if (rows == NULL || set == NULL) return bnn__batch(t, "bnn_minibatch", d, size, NULL);
    memset(set, 0, sizeof *set << bits);
    for (i = 0; i < size; i++) {
        size_t top = n - size + i;
        rows[i] = bnn_rng_below(&t->rng, top + 1);
        if (bnn__set_add(set, bits, rows[i])) continue;
        rows[i] = top; /* larger than all there are */
        bnn__set_add(set, bits, top);
    }
    return bnn__batch(t, "bnn_minibatch", d, size, rows);
}

/* Rows and columns promise numbers: are they there? Views of no data look empty further down. */
static int bnn__has_data(bnn_tape *t, const char *who, bnn_mat x) {
    if (t->err == BNN_OK && !bnn__mat_ok(x))
        bnn__fail(t, BNN_EARG, "%s: a %zx%z matrix without data", who, x.rows, x.cols);
    return t->err == BNN_OK;
}

/* ---- outputs and losses */

BNNDEF bnn_var *bnn_net_forward(const bnn_net *net, bnn_var *x) {
    bnn_tape *t = x->tape;
    const bnn_scaling *s = &net->scaling;
    if (net->params == NULL || net->forward == NULL)
        return bnn__dead_net(t, net, "bnn_net_forward");
    if (t->err != BNN_OK) return bnn__poison(t);
    if (s->x_mean.data != NULL) { /* one column would be repeated to all */
        if (x->val.cols != s->x_mean.cols)
            return bnn__fail(t, BNN_ESHAPE, "bnn_net_forward: x has %z columns, the net was "
                             "standardized on %z", x->val.cols, s->x_mean.cols);
        x = bnn_div(bnn_sub(x, bnn_input(t, s->x_mean)), bnn_input(t, s->x_std));
    }
    return net->forward(t, net, x);
}

static float bnn__noise_std(const bnn_net *net) { /* 0 = the default, in a net made by hand */
    return net->noise_std == 0 ? 1 : net->noise_std;
}

static float bnn__nu(const bnn_net *net) { return net->nu == 0 ? 4 : net->nu; }

/* Learned ln variances end here, in standardized units where the net has those, with gradient 0
 * beyond: the noise is between 4.5e-5 and 22026 times y's own scale. */
#define BNN__LOG_VAR 20

static double bnn__log_var(double z) {
    return z < -BNN__LOG_VAR ? -BNN__LOG_VAR : z > BNN__LOG_VAR ? BNN__LOG_VAR : z;
}

enum { BNN__NOTED_NOISE = 1, BNN__NOTED_BOUND = 2 }; /* bits of bnn_params.noted */

/* The known scale of y: one that is no scale, as a net made by hand can have, is an error, and one
 * that nobody chose a note, once for these parameters. */
static void bnn__noise_check(bnn_tape *t, const bnn_net *net) {
    if (!bnn__noise_ok(bnn__noise_std(net)))
        bnn__fail(t, BNN_EARG, "bnn_net: noise_std %g, it must be from 1e-18 to 1e18",
                  (double)net->noise_std);
    if (net->noise_std != 0 || net->params == NULL || net->params->noted & BNN__NOTED_NOISE) return;
    net->params->noted |= BNN__NOTED_NOISE;
    bnn__note(t, "bnn_net: the net was made by hand without noise_std, the sd or scale of y around "
              "it: 1 is assumed; set net.noise_std");
}

/* Location and ln variance of y from the standardized output, in units of y. log_var may be
 * broadcast; it is NULL where the likelihood has none. */
static bnn_var *bnn__units(const bnn_net *net, bnn_var *out, bnn_var **log_var) {
    bnn_tape *t = out->tape;
    const bnn_scaling *s = &net->scaling;
    size_t k = out->val.cols, j;
    int lik = bnn__likelihood(net), hetero = lik == BNN_GAUSSIAN_HETERO;
    int learned = hetero || (lik == BNN_GAUSSIAN && net->noise_learned);
    bnn_var *mean = hetero ? bnn_cols(out, 0, k / 2) : out, *a = NULL;
    *log_var = NULL;
    if (bnn__has_noise_std(lik) && !learned) bnn__noise_check(t, net);
    if (learned)
        a = bnn_clamp(hetero ? bnn_cols(out, k / 2, k / 2) : bnn_param(t, net->params, net->noise),
                      -BNN__LOG_VAR, BNN__LOG_VAR);
    else if (lik == BNN_GAUSSIAN)
        a = bnn_scalar(t, (float)(2 * bnn__dlog((double)bnn__noise_std(net))));
    if (s->y_mean.data != NULL && mean->val.cols != s->y_mean.cols) {
        mean = bnn__fail(t, BNN_ESHAPE, "bnn_net: predictions have %z columns, y was standardized "
                         "on %z", mean->val.cols, s->y_mean.cols);
    } else if (s->y_mean.data != NULL) {
        mean = bnn_add(bnn_mul(mean, bnn_input(t, s->y_std)), bnn_input(t, s->y_mean));
        if (learned) {
            bnn_var *shift = bnn_op(t, 1, s->y_std.cols, NULL, 0, NULL);
            for (j = 0; j < shift->val.cols; j++)
                shift->val.data[j] = (float)(2 * bnn__dlog((double)s->y_std.data[j]));
            a = bnn_add(a, shift);
        }
    }
    *log_var = a;
    return mean;
}

/* -ln p(y|x) per row */
static bnn_var *bnn__nll_rows(const bnn_net *net, bnn_var *out, bnn_var *y) {
    bnn_var *a, *m = bnn__units(net, out, &a);
    switch (bnn__likelihood(net)) {
    case BNN_GAUSSIAN:
    case BNN_GAUSSIAN_HETERO: return bnn_gaussian_nll(m, y, a);
    case BNN_DOUBLE_EXPONENTIAL: return bnn_double_exponential_nll(m, y, bnn__noise_std(net));
    case BNN_STUDENT:
        return bnn_student_nll(m, y, bnn__nu(net), bnn__noise_std(net));
    case BNN_BERNOULLI: return bnn_bernoulli_nll(out, y);
    case BNN_POISSON: return bnn_poisson_nll(out, y);
    default:
        return y->val.cols == 1 && out->val.cols != 1 ? bnn_categorical_nll(out, y)
                                                      : bnn_cross_entropy(out, y, 1);
    }
}

/* A learned ln variance at its bound says so, once for these parameters. */
static void bnn__note_bounds(bnn_tape *t, const bnn_net *net, const bnn_var *out) {
    int lik = bnn__likelihood(net), hetero = lik == BNN_GAUSSIAN_HETERO;
    size_t i, k = out->val.cols, n = hetero ? bnn__mat_size(out->val) : 1;
    const float *a = out->val.data;
    if (!hetero) a = lik == BNN_GAUSSIAN && net->noise_learned
                         ? bnn_params_mat(net->params, net->noise).data : NULL;
    if (a == NULL || net->params->noted & BNN__NOTED_BOUND || t->err != BNN_OK) return;
    for (i = 0; i < n; i++) {
        if (hetero && i % k < k / 2) continue;
        if (a[i] > -BNN__LOG_VAR && a[i] < BNN__LOG_VAR) continue;
        net->params->noted |= BNN__NOTED_BOUND;
        bnn__note(t, "bnn_net_nll: a learned ln variance is at its bound of %d: the noise %s; "
                  "standardize (bnn_net_standardize), lower lr, or give a fixed noise_std",
                  a[i] > 0 ? BNN__LOG_VAR : -BNN__LOG_VAR, a[i] > 0 ? "diverges" : "vanishes");
        return;
    }
}

static void bnn__nll_backward(bnn_var *y) { /* the identity, which tells the tape whose N it is */
    y->tape->loss_n = *(const double *)y->aux;
    if (y->in[0]->grad.data != NULL) y->in[0]->grad.data[0] += y->grad.data[0];
}

BNNDEF bnn_var *bnn_net_nll(const bnn_net *net, bnn_batch b) {
    bnn_tape *t = b.x->tape;
    bnn_var *out, *mean, *y;
    if (!bnn__batch_finite("bnn_net_nll", "x", b.x, NULL) ||
        !bnn__batch_finite("bnn_net_nll", "y", b.y, NULL))
        return bnn__poison(t);
    t->training++;
    out = bnn_net_forward(net, b.x);
    t->training--;
    mean = bnn_mean(bnn__nll_rows(net, out, b.y));
    if (t->err != BNN_OK) return bnn__poison(t);
    bnn__note_bounds(t, net, out);
    if (!(b.n_data > 0)) return mean;
    y = bnn__op_with(t, 1, 1, bnn__nll_backward, 1, &mean, &b.n_data, sizeof b.n_data);
    if (t->err != BNN_OK) return y;
    bnn__batch_n(t, b.n_data);
    y->val.data[0] = mean->val.data[0];
    return y;
}

BNNDEF bnn_var *bnn_net_loss(const bnn_net *net, bnn_batch b) {
    bnn_var *nll = bnn_net_nll(net, b);
    bnn_tape *t = nll->tape;
    double n = bnn__said_n(t) > 0 ? t->n_data : b.n_data;
    if (t->err != BNN_OK) return bnn__poison(t);
    if (net->params != NULL && net->params->draw != 0)
        return bnn__fail(t, BNN_EARG, "bnn_net_loss: the weights are a draw of a mean field: use "
                         "bnn_net_nll, the KL is the prior's part");
    if (!(n > 0))
        return bnn__fail(t, BNN_EARG, "bnn_net_loss: the batch does not say how many data there "
                         "are: set n_data");
    return bnn_add(nll, bnn_scale(bnn_prior_nll(t, net->params), (float)(1 / n)));
}

/* ------------------------------------------------------------------------------------------------
 * >>check: finite differences for users
 *
 * Everything here evaluates a loss or its gradient at moved weights with the same random numbers.
 *     central difference   (f(x + h) - f(x - h))/(2h) = f' + f''' h^2/6,  rounding adds eps |f|/h
 * which h = eps^(1/3) times the size of x balances.
 * --------------------------------------------------------------------------------------------- */

/* The loss at the present theta with the random numbers of `rng`; w given: its gradient, too. */
static double bnn__loss_at(bnn_tape *t, const bnn_rng *rng, bnn_params *w, bnn_loss_fn f,
                           void *user) {
    bnn__time start = bnn__now(t);
    bnn_var *loss;
    double v;
    t->rng = *rng;
    if (w != NULL) bnn_params_zero_grad(w);
    loss = f(t, user);
    v = (double)bnn_value(loss);
    if (w != NULL) bnn_backward(loss);
    start.loss_n = t->loss_n; /* the gradient stays, and its N */
    bnn__back_to(t, start);
    return v;
}

static double bnn__step_size(double x) { /* cube root of epsilon, times the size of x */
    double root = sizeof(float) == 8 ? 6.0554544523933395e-06 : 0.0049215666011518484;
    return root * (fabs(x) > 1 ? fabs(x) : 1);
}

BNNDEF double bnn_grad_check(bnn_tape *t, bnn_params *w, bnn_loss_fn f, void *user) {
    bnn__time start = bnn__now(t);
    bnn_rng rng = t->rng;
    double worst = 0, here = bnn__loss_at(t, &rng, w, f, user);
    size_t i;
    for (i = 0; i < w->n && t->err == BNN_OK; i++) {
        float x = w->theta[i], h = (float)bnn__step_size((double)x), up, down;
        double a = (double)w->grad[i], b, left, right, error;
        up = x + h, down = x - h;
        w->theta[i] = up;
        right = bnn__loss_at(t, &rng, NULL, f, user);
        w->theta[i] = down;
        left = bnn__loss_at(t, &rng, NULL, f, user);
        w->theta[i] = x;
        b = (right - left) / ((double)up - (double)down);
        right = (right - here) / ((double)up - (double)x);
        left = (here - left) / ((double)x - (double)down);
        if (fabs(right - left) > 0.1 * (fabs(left) + fabs(right)) + 0.01) continue; /* a kink */
        error = fabs(a - b) / (1e-3 + fabs(a) + fabs(b));
        if (bnn__finite_d(worst) && !(error <= worst)) worst = error; /* a NaN stays */
    }
    bnn__back_to(t, start);
    t->rng = rng;
    return t->err == BNN_OK ? worst : bnn__nan();
}

/* How far to go along v: each theta counts as much as v moves it. 0 where v is 0. */
static double bnn__step_along(size_t n, const float *theta, const float *v) {
    double largest = 0, vv = 0, ww = 0, share;
    size_t i;
    for (i = 0; i < n; i++)
        if (fabs((double)v[i]) > largest) largest = fabs((double)v[i]);
    if (!(largest > 0)) return 0;
    for (i = 0; i < n; i++) {
        share = (double)v[i] / largest;
        vv += share * share;
        share *= (double)theta[i];
        ww += share * share;
    }
    return bnn__step_size(0) * (1 + sqrt(ww)) / sqrt(vv) / largest;
}

BNNDEF void bnn_hessian_vector(float *out, bnn_tape *t, bnn_params *w, bnn_loss_fn f, void *user,
                               const float *v) {
    bnn__time start = bnn__now(t);
    bnn_rng rng = t->rng;
    double r = bnn__step_along(w->n, w->theta, v);
    float *keep = bnn__floats(t, w->n), *right = bnn__floats(t, w->n); /* out may be v */
    size_t i, side;
    if (t->err == BNN_OK && !bnn__v_finite(w->n, v))
        bnn__fail(t, BNN_ENONFINITE, "bnn_hessian_vector: v is not finite");
    if (t->err == BNN_OK) memcpy(keep, w->theta, w->n * sizeof *keep);
    for (side = r > 0 ? 2 : 0; side-- > 0 && t->err == BNN_OK;) {
        for (i = 0; i < w->n; i++) w->theta[i] = keep[i] + (float)(side == 1 ? r : -r) * v[i];
        bnn__loss_at(t, &rng, w, f, user);
        if (side == 1) memcpy(right, w->grad, w->n * sizeof *right);
        memcpy(w->theta, keep, w->n * sizeof *keep);
    }
    for (i = 0; i < w->n; i++)
        out[i] = r > 0 && t->err == BNN_OK
                     ? (float)(((double)right[i] - (double)w->grad[i]) / (2 * r)) : 0;
    bnn_params_zero_grad(w);
    bnn__back_to(t, start);
    t->rng = rng;
}

BNNDEF void bnn_hessian_diagonal(float *out, bnn_tape *t, bnn_params *w, bnn_loss_fn f, void *user,
                                 size_t probes) {
    bnn__time start = bnn__now(t);
    float *v = bnn__floats(t, w->n), *hv = bnn__floats(t, w->n);
    size_t i, k, times = probes == 0 ? w->n : probes;
    memset(out, 0, w->n * sizeof(float));
    if (v == NULL || hv == NULL) return;
    memset(v, 0, w->n * sizeof(float));
    for (k = 0; k < times && t->err == BNN_OK; k++) {
        if (probes == 0) v[k] = 1;
        else for (i = 0; i < w->n; i++)
            v[i] = (float)(1 - 2 * (int)(bnn_rng_u32(&t->rng) >> 31));
        bnn_hessian_vector(hv, t, w, f, user, v);
        if (probes == 0) out[k] = hv[k], v[k] = 0;
        else for (i = 0; i < w->n; i++) out[i] += v[i] * hv[i] / (float)probes;
    }
    bnn__back_to(t, start);
}

/* y = x w + b in the last pass, g = D/n of a mean over n rows: squares (x o x)^T (D o D). */
static void bnn__affine_squares(bnn_tape *t, const bnn_var *y, float *w, float *b) {
    size_t n = y->val.rows, k = y->val.cols, d = y->in[0]->val.cols;
    float *x2 = bnn__floats(t, n * d), *d2 = bnn__floats(t, n * k);
    if (x2 == NULL || d2 == NULL) return;
    bnn__v_mul(n * d, y->in[0]->val.data, y->in[0]->val.data, x2);
    bnn__v_scale(n * k, (float)n, y->grad.data, d2);
    bnn__v_mul(n * k, d2, d2, d2);
    bnn__gemm(d, k, n, x2, 1, d, d2, k, 1, w, k, 0);
    if (b == NULL) return;
    memset(b, 0, k * sizeof *b);
    bnn__v_colsum(n, k, d2, b);
}

/* The number of rows; 0 = failed */
static double bnn__grad_squares(bnn_tape *t, const bnn_params *w, float *out) {
    bnn__time start = bnn__now(t);
    unsigned char *seen = (unsigned char *)bnn__scratch(t, w->n_blocks, 1);
    size_t rows = 0, b;
    bnn_var *y;
    if (seen != NULL) memset(seen, 0, w->n_blocks);
    for (y = start.last; y != NULL && t->err == BNN_OK; y = y->prev) {
        int own = y->backward == bnn__matmul_backward && y->pass == t->pass &&
                  y->in[1]->owner == w && y->grad.data != NULL;
        int bias = own && y->n_in == 3 && y->in[2]->owner == w;
        if (!own) continue;
        if (seen[y->in[1]->block]++ || (bias && seen[y->in[2]->block]++) ||
            (rows != 0 && rows != y->val.rows)) {
            bnn__fail(t, BNN_EARG, "bnn_grad_squares: block %z (%s) is used more than once, or "
                      "with other rows", y->in[1]->block, w->blocks[y->in[1]->block].name);
            break;
        }
        rows = y->val.rows;
        bnn__affine_squares(t, y, out + w->blocks[y->in[1]->block].offset,
                            bias ? out + w->blocks[y->in[2]->block].offset : NULL);
    }
    for (b = 0; b < w->n_blocks && t->err == BNN_OK; b++)
        if (!seen[b]) bnn__fail(t, BNN_EARG, "bnn_grad_squares: no bnn_affine of the last backward "
                                "pass used block %z (%s)", b, w->blocks[b].name);
    bnn__back_to(t, start);
    return t->err == BNN_OK ? (double)rows : 0;
}

BNNDEF void bnn_grad_squares(float *out, bnn_tape *t, const bnn_params *w) {
    if (t->err == BNN_OK) (void)bnn__grad_squares(t, w, out);
}

/* ------------------------------------------------------------------------------------------------
 * >>steppers: optimizers and samplers on g = gradient of L = U/N
 *
 *     SGD       b = mom b + (1-damp) g, first b = g;  theta -= lr b, or lr (g + mom b)
 *     Adam      m, v moving averages of g, g^2;  theta -= lr m^/(sqrt(v^) + eps)
 *               (Kingma and Ba 2015; AdamW: Loshchilov and Hutter 2019; AMSGrad: Reddi et al. 2018)
 *     RMSprop   v = a v + (1-a) g^2;  theta -= lr g/(sqrt v + eps)         (Tieleman, Hinton 2012)
 *     Adagrad   v += g^2;  theta -= lr/(1 + (t-1) decay) g/(sqrt v + eps)     (Duchi et al. 2011)
 *     Adadelta  v = rho v + (1-rho) g^2;  d = sqrt(u + eps)/sqrt(v + eps) g;
 *               u = rho u + (1-rho) d^2;  theta -= lr d                             (Zeiler 2012)
 *     SGLD      theta' = theta - lr g + sqrt(2 lr T/N) xi                  (Welling and Teh 2011)
 *     pSGLD     G = 1/(lambda + sqrt V);  theta' = theta - lr G g + sqrt(2 lr T G/N) xi
 *               (Li et al. 2016); V averages g^2 during the burn-in and stays: while it follows
 *               theta, the law is another, and not by little
 *     SGHMC     v' = (1-f) v - lr g + sqrt(2 (f-b) lr T/N) xi;  theta' = theta + v'
 *               (Chen et al. 2014)
 * --------------------------------------------------------------------------------------------- */

typedef struct bnn__method {
    char name[16];
    double standard[4]; /* lr, beta1, beta2, eps */
    char state[3][24];  /* what s1, s2, s3 hold  */
} bnn__method;

static const bnn__method bnn__methods[] = { /* by kind */
    { "bnn_sgd", { 0.1, 0, 0, 0 }, { "velocity", "", "" } },
    { "bnn_adam", { 1e-3, 0.9, 0.999, 1e-8 },
      { "mean of g", "mean of g^2", "largest mean of g^2" } },
    { "bnn_rmsprop", { 1e-2, 0, 0.99, 1e-8 }, { "mean of g^2", "mean of g", "velocity" } },
    { "bnn_adagrad", { 1e-2, 0, 0, 1e-10 }, { "sum of g^2", "", "" } },
    { "bnn_adadelta", { 1, 0, 0.95, 1e-6 }, { "mean of g^2", "mean of steps^2", "" } },
    { "bnn_sgld", { 1e-2, 0, 0, 0 }, { "", "", "" } },
    { "bnn_psgld", { 1e-3, 0, 0.99, 0 }, { "mean of g^2", "", "" } },
    { "bnn_sghmc", { 1e-2, 0, 0, 0 }, { "velocity", "", "" } },
    { "bnn_hmc", { 1, 0, 0, 0 }, { "", "", "" } },
    { "bnn_nuts", { 1, 0, 0, 0 }, { "", "", "" } },
    { "bnn_sgnht", { 1e-2, 0, 0, 0 }, { "velocity", "", "" } }
};

static const struct {
    char name[20];
    size_t at;
    double standard, top; /* 0 <= value < top; top 0 = no bound */
} bnn__settings[] = {
    { "lr", offsetof(bnn_stepper, lr), 0, 0 }, /* the standard of the first four is the method's */
    { "beta1", offsetof(bnn_stepper, beta1), 0, 1 },
    { "beta2 (alpha, rho)", offsetof(bnn_stepper, beta2), 0, 1 },
    { "eps", offsetof(bnn_stepper, eps), 0, 0 },
    { "momentum", offsetof(bnn_stepper, momentum), 0, 1 },
    { "dampening", offsetof(bnn_stepper, dampening), 0, 0 },
    { "weight_decay", offsetof(bnn_stepper, weight_decay), 0, 0 },
    { "clip", offsetof(bnn_stepper, clip), 0, 0 },
    { "temperature", offsetof(bnn_stepper, temperature), 1, 0 },
    { "lr_decay", offsetof(bnn_stepper, lr_decay), 0, 0 },
    { "lambda", offsetof(bnn_stepper, lambda), 1e-5, 0 },
    { "friction", offsetof(bnn_stepper, friction), 0.1, 0 },
    { "noise_estimate", offsetof(bnn_stepper, noise_estimate), 0, 0 }
};
enum { BNN__SETTINGS = sizeof bnn__settings / sizeof *bnn__settings };

static float *bnn__setting(bnn_stepper *s, size_t i) {
    return (float *)(void *)((unsigned char *)s + bnn__settings[i].at);
}

/* What is wrong with the settings, which may have been changed since they were made; or NULL. The
 * value and its bounds are for the sentence. */
static const char *bnn__setting_fault(bnn_stepper *s, double *v, double *top) {
    size_t i;
    for (i = 0; i < BNN__SETTINGS; i++) {
        *v = (double)*bnn__setting(s, i);
        *top = bnn__settings[i].top > 0 ? bnn__settings[i].top : bnn__inf();
        if (!(*v >= 0 && *v < *top)) return bnn__settings[i].name;
    }
    if (s->kind != BNN_SGHMC && s->kind != BNN_SGNHT) return NULL;
    *v = (double)s->friction, *top = 1;
    if (!(*v > 0 && *v <= 1)) return "friction (nor may it be 0)";
    *top = *v, *v = (double)s->noise_estimate;
    return *v < *top ? NULL : "noise_estimate";
}

static void bnn__within(bnn_params *w, const char *who, const char *what, double v, double lo,
                        double hi) { /* lo <= v < hi */
    if (!(v >= lo && v < hi))
        bnn__arena_fail(w->mem, BNN_EARG, "%s: %s is %g, it must be in [%g, %g)", who, what, v, lo,
                        hi);
}

/* How many state vectors the method needs as it is set now. */
static int bnn__states(const bnn_stepper *s) {
    switch (s->kind) {
    case BNN_SGD: return s->momentum != 0;
    case BNN_ADAM: return s->amsgrad ? 3 : 2;
    case BNN_RMSPROP: return s->momentum != 0 || s->centered ? 3 : 1;
    case BNN_ADADELTA: return 2;
    case BNN_ADAGRAD:
    case BNN_PSGLD:
    case BNN_SGNHT:
    case BNN_SGHMC: return 1;
    default: return 0;
    }
}

typedef void bnn__plan(const bnn_stepper *s, const bnn_tape *t, bnn__job *q);
static void bnn__step_move(bnn_stepper *s, bnn_tape *t);

static bnn_stepper bnn__stepper(int kind, bnn__plan *plan, bnn_params *w, float lr,
                                float weight_decay, float clip) {
    bnn_stepper s;
    memset(&s, 0, sizeof s);
    s.kind = kind, s.params = w, s.once = bnn__step_move, s.plan = plan;
    s.lr = lr, s.weight_decay = weight_decay, s.clip = clip;
    return s;
}

/* The end of every constructor: defaults, checks, memory. All or nothing: n = 0 fits no parameters,
 * so bnn_step refuses. */
static bnn_stepper bnn__stepper_made(bnn_stepper s) {
    const bnn__method *method = &bnn__methods[s.kind];
    bnn_params *w = s.params;
    int states;
    const char *fault;
    double v, top;
    size_t i;
    for (i = 0; i < BNN__SETTINGS; i++) {
        float *x = bnn__setting(&s, i);
        *x = bnn__or(*x, i < 4 ? method->standard[i] : bnn__settings[i].standard);
    }
    if (w == NULL) return s;
    fault = bnn__setting_fault(&s, &v, &top);
    if (fault != NULL)
        bnn__arena_fail(w->mem, BNN_EARG, "%s: %s is %g, it must be in [0, %g)", method->name,
                        fault, v, top);
    states = bnn__states(&s);
    if (states > 0) s.s1 = (float *)bnn_arena_alloc(w->mem, w->n, sizeof(float));
    if (states > 1) s.s2 = (float *)bnn_arena_alloc(w->mem, w->n, sizeof(float));
    if (states > 2) s.s3 = (float *)bnn_arena_alloc(w->mem, w->n, sizeof(float));
    s.n = w->mem->err == BNN_OK ? w->n : 0;
    return s;
}

/* ---- what is wrong */

static const char *bnn__step_fault(const bnn_stepper *s, const bnn_tape *t) {
    int sampler = s->kind >= BNN_SGLD, states = bnn__states(s);
    if (s->once == NULL) return "the stepper was not made";
    if (s->hmc != NULL && s->temperature == 0) return "the temperature of hmc must be above 0";
    if (sampler && (s->clip != 0 || s->weight_decay != 0))
        return "a sampler takes no clipping and no weight decay, they change its target";
    if ((states > 0 && s->s1 == NULL) || (states > 1 && s->s2 == NULL) ||
        (states > 2 && s->s3 == NULL))
        return "the stepper was made without the state that this setting needs";
    if (s->hmc != NULL) return NULL;
    if (sampler && !(bnn__n_data(t) > 0))
        return "a sampler must know how many data there are: set tape.n_data";
    if (s->params->draw != 0)
        return "these weights are a draw of a mean field: make the stepper on its .params";
    if (s->params->draws_of != NULL && s->params->draws_of->draw == 2)
        return "bnn_meanfield_backward must follow bnn_backward: this mean field has no gradient";
    if (t->stepped.by == s && t->stepped.t == s->t && t->stepped.resets == t->resets &&
        t->stepped.last != t->last)
        return "the tape holds the last step, too: call bnn_tape_reset at the start of each step";
    return NULL;
}

/* Has a gradient come since the last step? By bnn_backward, bnn_params_zero_grad, or by hand before
 * the first. Blocks that none has reached are told once. */
static int bnn__step_reached(bnn_params *w, bnn_tape *t) {
    size_t b, i = 0;
    int none = 1, never = 1;
    for (b = 0; b < w->n_blocks; b++) {
        none = none && w->blocks[b].fresh;
        never = never && !w->blocks[b].reached;
    }
    while (never && i < w->n && w->grad[i] == 0) i++;
    if (w->n != 0 && (none || (never && i == w->n))) {
        bnn__fail(t, BNN_EARG, "bnn_step: no bnn_backward since the last step: no gradient has "
                  "reached block 0 (%s) or any other", w->blocks[0].name);
        return 0;
    }
    bnn__params_settle(w);
    for (b = 0; b < w->n_blocks; b++) {
        bnn_block *k = &w->blocks[b];
        if (!k->reached && !never && k->rows * k->cols != 0)
            bnn__note(t, "bnn_step: no gradient has reached block %z (%s): is it part of the loss?",
                      b, k->name);
        k->reached = 1;
    }
    return 1;
}

/* The block in which some x is not finite, or n_blocks. */
static size_t bnn__bad_block(const bnn_params *w, const float *x) {
    size_t b;
    for (b = 0; b < w->n_blocks; b++)
        if (!bnn__v_finite(w->blocks[b].rows * w->blocks[b].cols, x + w->blocks[b].offset)) break;
    return b;
}

static void bnn__spend(bnn_params *w) { /* the next backward pass overwrites the gradient */
    size_t b;
    for (b = 0; b < w->n_blocks; b++) w->blocks[b].fresh = 1;
}

static int bnn__step_ready(bnn_stepper *s, bnn_tape *t) {
    bnn_params *w = s->params;
    const char *fault;
    double v, top;
    size_t b;
    if (t->err != BNN_OK) return 0;
    if (w == NULL || w->mem->err != BNN_OK)
        bnn__fail(t, w == NULL ? BNN_EARG : w->mem->err, "bnn_step: %s",
                  w == NULL ? "the stepper has no parameters" : w->mem->msg);
    else if (s->n != w->n)
        bnn__fail(t, BNN_ESHAPE, "bnn_step: the stepper was made for %z parameters, there are %z",
                  s->n, w->n);
    if (t->err != BNN_OK) return 0;
    fault = bnn__setting_fault(s, &v, &top);
    if (fault != NULL)
        bnn__fail(t, BNN_EARG, "bnn_step: %s is %g, it must be in [0, %g)", fault, v, top);
    else if ((fault = bnn__step_fault(s, t)) != NULL)
        bnn__fail(t, BNN_EARG, "bnn_step: %s", fault);
    if (fault != NULL || s->hmc != NULL) return fault == NULL;
    if (!bnn__step_reached(w, t)) return 0;
    if (bnn__v_below(w->n, w->grad, BNN__CALM)) return 1;
    s->calm = -1;
    b = bnn__bad_block(w, w->grad);
    if (b == w->n_blocks) return 1;
    bnn__fail(t, BNN_ENONFINITE, "bnn_step: the gradient of block %z (%s) is not finite", b,
              w->blocks[b].name);
    bnn__spend(w);
    return 0;
}

/* ---- the move */

/* The rare variants in plain loops: AMSGrad, centered RMSprop and RMSprop with momentum. */
static void bnn__p_amsgrad(const bnn__job *q, size_t i, size_t n) { /* u largest t, rest as adam */
    for (; i < n; i++) {
        float g = q->g[i] + q->pw * q->w[i];
        q->s[i] = q->a * q->s[i] + (1 - q->a) * g;
        q->t[i] = q->b * q->t[i] + (1 - q->b) * g * g;
        if (q->t[i] > q->u[i]) q->u[i] = q->t[i];
        q->w[i] -= q->d * q->w[i] + q->lr * q->s[i] / (BNN_MATH_SQRT(q->u[i]) * q->e + q->c);
    }
}

static void bnn__p_rmsprop_full(const bnn__job *q, size_t i, size_t n) {
    for (; i < n; i++) { /* s v, t mean g, u velocity, a decay, b momentum, c eps, flag centered */
        float g = q->g[i] + q->pw * q->w[i], v;
        q->s[i] = q->a * q->s[i] + (1 - q->a) * g * g;
        q->t[i] = q->a * q->t[i] + (1 - q->a) * g;
        v = q->s[i] - (q->flag ? q->t[i] * q->t[i] : 0);
        q->u[i] = q->b * q->u[i] + g / (BNN_MATH_SQRT(v > 0 ? v : 0) + q->c);
        q->w[i] -= q->lr * q->u[i];
    }
}

/* AdamW. A decay below half an ulp is lost in w (1 - decay), so a small one is taken in pieces of
 * 64 ulps and more: 2^k times it in every 2^k-th step. */
static float bnn__decay(const bnn_stepper *s) {
    double d = (double)s->lr * (double)s->weight_decay;
    uint64_t every = 1;
    for (; d > 0 && d < 1.0 / 131072 && every >> 40 == 0; every += every) d += d;
    return s->t % every == 0 ? (float)d : 0;
}

static void bnn__plan_sgd(const bnn_stepper *s, const bnn_tape *t, bnn__job *q) {
    (void)t;
    q->a = s->momentum, q->flag = s->nesterov;
    q->b = s->t == 1 ? 1 : 1 - s->dampening; /* the first step takes g whole */
    q->pass = s->momentum == 0 ? BNN__PICK(bnn__p_sgd) : BNN__PICK(bnn__p_momentum);
}

static void bnn__plan_adam(const bnn_stepper *s, const bnn_tape *tape, bnn__job *q) {
    double t = (double)s->t, c1 = 1 - bnn__dpow((double)s->beta1, t);
    (void)tape;
    q->lr = (float)((double)s->lr / c1);
    q->a = s->beta1, q->b = s->beta2;
    q->e = (float)(1 / sqrt(1 - bnn__dpow((double)s->beta2, t)));
    if (s->decoupled) q->d = bnn__decay(s), q->pw = 0;
    q->pass = s->amsgrad ? bnn__p_amsgrad : BNN__PICK(bnn__p_adam);
}

static void bnn__plan_rmsprop(const bnn_stepper *s, const bnn_tape *t, bnn__job *q) {
    (void)t;
    q->b = s->momentum, q->flag = s->centered;
    q->pass = q->b != 0 || q->flag ? bnn__p_rmsprop_full : BNN__PICK(bnn__p_rmsprop);
}

static void bnn__plan_adagrad(const bnn_stepper *s, const bnn_tape *t, bnn__job *q) {
    (void)t;
    q->lr = (float)((double)s->lr / (1 + (double)(s->t - 1) * (double)s->lr_decay));
    q->pass = BNN__PICK(bnn__p_adagrad);
}

static void bnn__plan_adadelta(const bnn_stepper *s, const bnn_tape *t, bnn__job *q) {
    (void)s, (void)t;
    q->pass = BNN__PICK(bnn__p_adadelta);
}

/* V is the mean of the last 1/(1 - alpha) g^2, of all while they are fewer, and from the middle of
 * the burn-in on of all since: what stays is an average. */
static float bnn__psgld_keep(const bnn_stepper *s) {
    double t = (double)s->t, window = 1 / (1 - (double)s->beta2);
    size_t half = s->burn_in == SIZE_MAX ? SIZE_MAX : s->burn_in / 2;
    if (t < window) window = t;
    if (s->t > half) window += t - (double)half;
    return (float)(1 - 1 / (window < t ? window : t));
}

static double bnn__heat(const bnn_stepper *s, const bnn_tape *t) { /* lr T/N */
    return (double)s->lr * (double)s->temperature / bnn__n_data(t);
}

static void bnn__plan_psgld(const bnn_stepper *s, const bnn_tape *t, bnn__job *q) {
    q->a = bnn__psgld_keep(s), q->b = (float)(2 * bnn__heat(s, t)), q->c = s->lambda;
    q->flag = s->t <= s->burn_in;
    q->pass = BNN__PICK(bnn__p_psgld);
}

static void bnn__plan_sgld(const bnn_stepper *s, const bnn_tape *t, bnn__job *q) {
    q->a = (float)sqrt(2 * bnn__heat(s, t));
    q->pass = s->temperature == 0 ? BNN__PICK(bnn__p_sgd) : BNN__PICK(bnn__p_sgld);
}

static void bnn__plan_sghmc(const bnn_stepper *s, const bnn_tape *t, bnn__job *q) {
    double friction;
    q->b = 1 - s->friction;
    friction = 1 - (double)q->b - (double)s->noise_estimate;
    q->a = (float)sqrt(2 * (friction > 0 ? friction : 0) * bnn__heat(s, t));
    q->pass = BNN__PICK(bnn__p_sghmc);
}

static bnn__job bnn__step_job(const bnn_stepper *s, const bnn_tape *t) {
    bnn__job q = bnn__no_job();
    q.w = s->params->theta, q.g = s->params->grad;
    q.s = s->s1, q.t = s->s2, q.u = s->s3;
    q.lr = s->lr, q.pw = s->weight_decay;
    q.a = s->beta2, q.c = s->eps;
    s->plan(s, t, &q);
    return q;
}

/* What a step needs. 2: copies to go back to, unless all numbers are of a size that leaves room
 * (BNN__CALM); 1: a look at what it wrote; 0: neither: ordinary settings leave room for eight steps
 * in a row. */
static int bnn__step_care(const bnn_stepper *s, const bnn__job *q) {
    const float room = (float)1048576;
    int divides = (s->kind >= BNN_ADAM && s->kind < BNN_SGLD) || s->kind == BNN_PSGLD;
    if (!(q->lr < room && q->pw < room / 1024 && q->d < room && q->a < room && q->b < room &&
          q->b > -room && q->e < room)) return 2;
    if (s->calm < 0 || (divides && !(q->lr < BNN__CALM * q->c))) return 2;
    if (s->calm == 0 && !bnn__calm(q, 0, s->n)) return 2;
    return s->t % 8 == 0 || !(q->lr < 64 && q->pw <= 1 && q->lr * q->pw <= 1 && q->d <= 1 &&
                              q->b <= 2 && q->b >= -2);
}

static void bnn__step_run(const bnn_stepper *s, bnn_tape *t, const bnn__job *q, int care) {
    bnn__pass *pass = care ? bnn__p_watched : q->pass;
    if (s->kind < BNN_SGLD || (s->kind == BNN_SGLD && s->temperature == 0))
        bnn__run(s->n, q, pass);
    else bnn__run_noise(&t->rng, s->n, q, pass);
}

/* The same where something may overflow: with copies to go back to */
static void bnn__step_careful(bnn_stepper *s, bnn_tape *t, const bnn__job *q) {
    const bnn_params *w = s->params;
    bnn__time start = bnn__now(t);
    bnn_rng rng = t->rng;
    float *x[4], *kept[4];
    size_t b = w->n_blocks, bytes = s->n * sizeof(float);
    int i, k;
    x[0] = s->s3, x[1] = s->s2, x[2] = s->s1, x[3] = w->theta;
    for (i = 0; i < 4; i++) {
        kept[i] = bnn__floats(t, x[i] != NULL ? s->n : 0);
        if (kept[i] == NULL) return;
        if (x[i] != NULL) memcpy(kept[i], x[i], bytes);
    }
    bnn__step_run(s, t, q, 1);
    for (i = 0; i < 4 && b == w->n_blocks; i++)
        if (x[i] != NULL) b = bnn__bad_block(w, x[i]);
    if (b < w->n_blocks) {
        bnn__fail(t, BNN_ENONFINITE, "bnn_step: %s: a %s in block %z (%s) would overflow, nothing "
                  "moved: the gradient or lr is too large", bnn__methods[s->kind].name,
                  i == 4 ? "value" : bnn__methods[s->kind].state[3 - i], b, w->blocks[b].name);
        for (k = 0; k < 4; k++)
            if (x[k] != NULL) memcpy(x[k], kept[k], bytes);
        t->rng = rng;
    }
    bnn__back_to(t, start);
}

static void bnn__step_move(bnn_stepper *s, bnn_tape *t) {
    bnn__job q = bnn__step_job(s, t);
    int high = 0, care;
    q.high = &high;
    care = bnn__step_care(s, &q);
    if (care < 2) bnn__step_run(s, t, &q, care);
    else bnn__step_careful(s, t, &q);
    if (t->err == BNN_OK) s->calm = !high;
}

BNNDEF void bnn_step(bnn_stepper *s, bnn_tape *t) {
    bnn_params *w = s->params;
    double norm;
    if (!bnn__step_ready(s, t)) return;
    norm = s->clip > 0 ? sqrt(bnn__v_sumsq(w->n, w->grad, 0)) : 0;
    if (norm > (double)s->clip)
        bnn__v_scale(w->n, (float)((double)s->clip / norm), w->grad, w->grad);
    s->t++;
    s->once(s, t);
    if (t->err != BNN_OK) s->t--; /* it did not happen */
    else bnn__hold(s);
    bnn__spend(w);
    if (s->hmc != NULL || (t->stepped.by != s && t->stepped.by != NULL &&
                           t->stepped.resets == t->resets)) return;
    t->stepped.by = s;
    t->stepped.t = s->t;
    t->stepped.resets = t->resets;
    t->stepped.last = t->last;
}

/* ---- the methods */

BNNDEF bnn_stepper bnn_sgd(bnn_params *w, bnn_sgd_desc d) {
    bnn_stepper s = bnn__stepper(BNN_SGD, bnn__plan_sgd, w, d.lr, d.weight_decay, d.clip);
    s.momentum = d.momentum, s.dampening = d.dampening, s.nesterov = d.nesterov;
    return bnn__stepper_made(s);
}

BNNDEF bnn_stepper bnn_adam(bnn_params *w, bnn_adam_desc d) {
    bnn_stepper s = bnn__stepper(BNN_ADAM, bnn__plan_adam, w, d.lr, d.weight_decay, d.clip);
    s.beta1 = d.beta1, s.beta2 = d.beta2, s.eps = d.eps;
    s.decoupled = d.decoupled, s.amsgrad = d.amsgrad;
    return bnn__stepper_made(s);
}

BNNDEF bnn_stepper bnn_rmsprop(bnn_params *w, bnn_rmsprop_desc d) {
    bnn_stepper s = bnn__stepper(BNN_RMSPROP, bnn__plan_rmsprop, w, d.lr, d.weight_decay, d.clip);
    s.beta2 = d.alpha, s.eps = d.eps, s.momentum = d.momentum, s.centered = d.centered;
    return bnn__stepper_made(s);
}

BNNDEF bnn_stepper bnn_adagrad(bnn_params *w, bnn_adagrad_desc d) {
    bnn_stepper s = bnn__stepper(BNN_ADAGRAD, bnn__plan_adagrad, w, d.lr, d.weight_decay, d.clip);
    s.lr_decay = d.lr_decay, s.eps = d.eps;
    return bnn__stepper_made(s);
}

BNNDEF bnn_stepper bnn_adadelta(bnn_params *w, bnn_adadelta_desc d) {
    bnn_stepper s = bnn__stepper(BNN_ADADELTA, bnn__plan_adadelta, w, d.lr, d.weight_decay, d.clip);
    s.beta2 = d.rho, s.eps = d.eps;
    return bnn__stepper_made(s);
}

BNNDEF bnn_stepper bnn_sgld(bnn_params *w, bnn_sgld_desc d) {
    bnn_stepper s = bnn__stepper(BNN_SGLD, bnn__plan_sgld, w, d.lr, 0, 0);
    s.temperature = d.temperature;
    return bnn__stepper_made(s);
}

BNNDEF bnn_stepper bnn_psgld(bnn_params *w, bnn_psgld_desc d) {
    bnn_stepper s = bnn__stepper(BNN_PSGLD, bnn__plan_psgld, w, d.lr, 0, 0);
    s.beta2 = d.alpha, s.lambda = d.lambda, s.temperature = d.temperature;
    s.burn_in = d.burn_in == 0 ? 1000 : d.burn_in;
    return bnn__stepper_made(s);
}

BNNDEF bnn_stepper bnn_sghmc(bnn_params *w, bnn_sghmc_desc d) {
    bnn_stepper s = bnn__stepper(BNN_SGHMC, bnn__plan_sghmc, w, d.lr, 0, 0);
    s.friction = d.friction, s.noise_estimate = d.noise_estimate, s.temperature = d.temperature;
    return bnn__stepper_made(s);
}

BNNDEF double bnn_lr_cosine(double lr0, size_t k, size_t total) {
    return lr0 * (1 + bnn__dcos(BNN__PI * (double)k / (double)(total == 0 ? 1 : total))) / 2;
}

/* lr0 (1 - x + x r)^-gamma with r = (lr0/lr_end)^(1/gamma), which is lr_end at x = k/(total-1) = 1.
 * Where r overflows, as gamma goes to 0, the limit. */
BNNDEF double bnn_lr_polynomial(double lr0, double lr_end, double gamma, size_t k, size_t total) {
    double x = (double)k / (double)(total < 2 ? 1 : total - 1), r = 0;
    if (lr0 == lr_end || total < 2 || k == 0 || lr0 == 0) return lr0;
    if (lr_end == 0 && gamma >= 0) return lr0 * bnn__dpow(1 + (double)k, -gamma);
    if (gamma == 0) return lr_end;
    if (lr_end != 0) r = bnn__dpow(lr0 / lr_end, 1 / gamma);
    if (!bnn__finite_d(r)) return lr_end * bnn__dpow(x, -gamma);
    x = 1 - x + x * r;
    return lr0 * bnn__dpow(x > 0 ? x : 0, -gamma);
}

BNNDEF double bnn_lr_cyclical(double lr0, size_t cycles, double explore, size_t k, size_t total,
                              int *sampling) {
    size_t m = cycles == 0 ? 1 : cycles, length = (total + m - 1) / m;
    double r = (double)(k % (length == 0 ? 1 : length)) / (double)(length == 0 ? 1 : length);
    if (sampling != NULL) *sampling = r >= explore;
    return lr0 * (bnn__dcos(BNN__PI * r) + 1) / 2;
}

BNN__COLD
/* ------------------------------------------------------------------------------------------------
 * >>hmc: Hamiltonian Monte Carlo, the reference
 *
 * H = U(q)/T + p' M^-1 p / 2,  p ~ N(0, M). Leapfrog: p -= (e/2) grad U/T; q += e M^-1 p;
 * p -= (e/2) grad U/T, `leapfrog` times; accept with min(1, exp(H0 - H1)); H1 - H0 > 1000 or a
 * non-finite H1 counts as divergent; e and the number of steps vary from draw to draw. Neal 2011.
 * Step size by dual averaging, mass = 1/variance of warm-up draws: Hoffman and Gelman 2014, alg. 5.
 * --------------------------------------------------------------------------------------------- */

enum { BNN__HMC_ROWS = 1024 }; /* data enter in blocks: the tape stays small */

/* Adds U of the rows from `first` on, or the user's, to *u. The node carries its gradient. */
static bnn_var *bnn__hmc_part(const bnn_hmc_desc *d, bnn_tape *t, size_t first, int is_draw,
                              double power, double *u) {
    size_t i, rows = d->data.x.rows - first;
    bnn_data part;
    bnn_var *nll, *out;
    if (d->net == NULL) {
        nll = d->energy(t, d->user);
        *u += (double)bnn_value(nll);
        return nll;
    }
    if (rows > (size_t)BNN__HMC_ROWS) rows = BNN__HMC_ROWS;
    part = bnn_data_rows(d->data, first, rows);
    out = bnn_net_forward(d->net, bnn_input(t, part.x));
    nll = bnn__nll_rows(d->net, out, bnn_input(t, part.y));
    if (is_draw) bnn__note_bounds(t, d->net, out);
    for (i = 0; i < nll->val.rows; i++) *u += (double)nll->val.data[i];
    return power < 1 ? bnn_scale(bnn_sum(nll), (float)power) : bnn_sum(nll);
}

static void bnn__hmc_back(bnn_var *part, bnn__time start, double *u) {
    if (!bnn__finite(bnn_value(part))) *u = bnn__inf();
    if (bnn__finite_d(*u)) bnn_backward(part);
    bnn__back_to(part->tape, start);
}

/* U/T with U = -ln p(theta, data), and the gradient of U in params->grad; +inf where it is not
 * finite. The sums are in double: rounded to a float, a U of 4e5 moves in steps of 0.03. */
static double bnn__hmc_energy(bnn_stepper *s, bnn_tape *t) {
    const bnn_hmc_desc *d = &s->hmc->desc;
    size_t first, n = d->net != NULL ? d->data.x.rows : 1;
    int training = t->training; /* a draw, where paths begin, is heard at its bounds */
    int is_draw = memcmp(s->params->theta, s->hmc->saved, s->n * sizeof(float)) == 0;
    double u = 0, prior, power = s->hmc->tempered ? s->hmc->power : 1;
    bnn__time start = bnn__now(t);
    t->training = -1; /* a loss adds 1: no dropout, the energy is no random number */
    bnn_params_zero_grad(s->params);
    if (d->net != NULL) {
        u = -bnn_params_log_prior(s->params);
        bnn__hmc_back(bnn_prior_nll(t, s->params), start, &u);
    }
    prior = u;
    for (first = 0; first < n && bnn__finite_d(u); first += BNN__HMC_ROWS)
        bnn__hmc_back(bnn__hmc_part(d, t, first, is_draw, power, &u), start, &u);
    t->training = training;
    if (d->net != NULL) bnn__batch_n(t, (double)n);
    if (t->err != BNN_OK || !bnn__finite_d(u) || !bnn__v_finite(s->n, s->params->grad))
        return bnn__inf();
    s->hmc->data_energy = u - prior;
    if (s->hmc->tempered) u = prior + power * s->hmc->data_energy;
    return u / (double)s->temperature;
}

static void bnn__hmc_velocity(const bnn_stepper *s, float *v) { /* M^-1 p */
    const bnn_hmc_state *h = s->hmc;
    size_t i;
    if (h->mass == BNN_MASS_DENSE)
        bnn_mat_mul_nt(bnn__mat(1, s->n, v), bnn__mat(1, s->n, h->momentum), h->cov);
    else for (i = 0; i < s->n; i++) v[i] = h->mass_inv[i] * h->momentum[i];
}

static double bnn__hmc_kinetic(const bnn_stepper *s) {
    const bnn_hmc_state *h = s->hmc;
    double sum = 0;
    size_t i;
    if (h->mass == BNN_MASS_DENSE) {
        bnn__hmc_velocity(s, h->saved + s->n);
        return bnn_mat_dot(bnn__mat(1, s->n, h->saved + s->n), bnn__mat(1, s->n, h->momentum)) / 2;
    }
    for (i = 0; i < s->n; i++)
        sum += (double)h->momentum[i] * (double)h->momentum[i] * (double)h->mass_inv[i];
    return sum / 2;
}

/* `steps` leapfrog steps of size e from the gradient in params->grad; u = energy at the end */
static void bnn__hmc_leapfrog(bnn_stepper *s, bnn_tape *t, double e, size_t steps, double *u) {
    bnn_hmc_state *h = s->hmc;
    bnn_params *w = s->params;
    float half = (float)(e / 2 / (double)s->temperature);
    size_t i, l;
    for (l = 0; l < steps && bnn__finite_d(*u); l++) {
        bnn__v_axpy(s->n, -half, w->grad, h->momentum);
        if (h->mass == BNN_MASS_DENSE) {
            bnn__hmc_velocity(s, h->saved + s->n);
            bnn__v_axpy(s->n, (float)e, h->saved + s->n, w->theta);
        } else
            for (i = 0; i < s->n; i++) w->theta[i] += (float)e * h->mass_inv[i] * h->momentum[i];
        *u = bnn__hmc_energy(s, t);
        bnn__v_axpy(s->n, -half, w->grad, h->momentum);
    }
}

static void bnn__hmc_refresh(bnn_stepper *s, bnn_tape *t) { /* p ~ N(0, M) */
    bnn_hmc_state *h = s->hmc;
    bnn_mat p = bnn__mat(s->n, 1, h->momentum);
    size_t i;
    bnn__v_normal(&t->rng, s->n, h->momentum);
    if (h->mass == BNN_MASS_DENSE) bnn_mat_solve_lower_t(p, h->root, p);
    else for (i = 0; i < s->n; i++) h->momentum[i] /= BNN_MATH_SQRT(h->mass_inv[i]);
}

/* The same from a fresh momentum. Returns H1 - H0. */
static double bnn__hmc_trajectory(bnn_stepper *s, bnn_tape *t, double e, size_t steps, double *u) {
    bnn_hmc_state *h = s->hmc;
    double h1;
    bnn__hmc_refresh(s, t);
    h->hamiltonian = *u + bnn__hmc_kinetic(s); /* where the path begins */
    bnn__hmc_leapfrog(s, t, e, steps, u);
    if (t->err == BNN_ENONFINITE) bnn_tape_clear_error(t); /* off too far: the energy is infinite */
    h1 = *u + bnn__hmc_kinetic(s);
    return h1 - h->hamiltonian;
}

/* Double or halve the step until the acceptance of one leapfrog step crosses 1/2. */
static void bnn__hmc_first_step(bnn_stepper *s, bnn_tape *t) {
    bnn_hmc_state *h = s->hmc;
    int direction = 0, i;
    memcpy(h->saved, s->params->theta, s->n * sizeof(float));
    for (i = 0; i < 60 && t->err == BNN_OK; i++) {
        double u = bnn__hmc_energy(s, t);
        double dh = bnn__hmc_trajectory(s, t, h->step, 1, &u);
        int up = bnn__finite_d(dh) && dh < bnn__dlog(2);
        memcpy(s->params->theta, h->saved, s->n * sizeof(float));
        if (direction == 0) direction = up ? 1 : -1;
        if (up != (direction > 0)) break;
        h->step *= direction > 0 ? 2 : 0.5;
    }
    h->adapt_mu = bnn__dlog(10 * h->step);
    h->adapt_hbar = 0;
    h->adapt_logavg = bnn__dlog(h->step);
}

/* Welford over the draws in between, and their mass, shrunk towards 1e-3, as Stan does */
static void bnn__hmc_welford(bnn_stepper *s) {
    bnn_hmc_state *h = s->hmc;
    const float *x = s->params->theta;
    double n = (double)++h->mass_count;
    size_t i, j;
    for (i = 0; h->mass == BNN_MASS_DENSE && i < s->n; i++)
        for (j = 0; j <= i; j++)
            h->m2[i * s->n + j] += ((double)x[i] - h->mean[i]) * ((double)x[j] - h->mean[j]) *
                                   ((n - 1) / n);
    for (i = 0; i < s->n; i++) {
        double d = (double)x[i] - h->mean[i];
        h->mean[i] += d / n;
        if (h->mass != BNN_MASS_DENSE) h->m2[i] += d * ((double)x[i] - h->mean[i]);
    }
}

static void bnn__hmc_mass_dense(bnn_stepper *s, bnn_tape *t) {
    bnn_hmc_state *h = s->hmc;
    double n = (double)h->mass_count;
    size_t i, j;
    for (i = 0; i < s->n; i++) {
        for (j = 0; j <= i; j++)
            h->cov.data[i * s->n + j] = h->cov.data[j * s->n + i] =
                (float)(n / (n + 5) * (h->m2[i * s->n + j] / (n - 1)) +
                        (j == i ? 1e-3 * 5 / (n + 5) : 0));
        h->mass_inv[i] = h->cov.data[i * s->n + i];
    }
    if (bnn_mat_cholesky(h->root, h->cov, NULL) == BNN_OK) return;
    bnn__note(t, "bnn_nuts: the covariance of %z draws has no Cholesky factor, its diagonal is "
              "used: a longer warmup, or standardize the inputs", (size_t)h->mass_count);
    bnn_mat_fill(h->cov, 0);
    for (i = 0; i < s->n; i++) h->cov.data[i * s->n + i] = h->mass_inv[i];
    bnn_mat_cholesky(h->root, h->cov, NULL);
}

static void bnn__hmc_mass(bnn_stepper *s, bnn_tape *t) {
    bnn_hmc_state *h = s->hmc;
    double n = (double)h->mass_count;
    size_t i;
    if (h->mass_count < 2) return;
    if (h->mass == BNN_MASS_DENSE) bnn__hmc_mass_dense(s, t);
    else for (i = 0; i < s->n; i++)
        h->mass_inv[i] = (float)(n / (n + 5) * (h->m2[i] / (n - 1)) + 1e-3 * 5 / (n + 5));
    if (h->max_depth == 0) return;
    h->mass_count = 0; /* the next window begins */
    memset(h->mean, 0, s->n * sizeof *h->mean);
    memset(h->m2, 0, s->n * (h->mass == BNN_MASS_DENSE ? s->n : 1) * sizeof *h->m2);
}

/* Dual averaging, the k-th time since its start, a = acceptance probability (S4.11) */
static void bnn__hmc_dual(bnn_hmc_state *h, double k, double a, int last) {
    double eta = 1 / (k + 10), log_step, weight = bnn__dpow(k, -0.75);
    h->adapt_hbar = (1 - eta) * h->adapt_hbar + eta * ((double)h->desc.accept - a);
    log_step = h->adapt_mu - sqrt(k) / 0.05 * h->adapt_hbar;
    h->adapt_logavg = weight * log_step + (1 - weight) * h->adapt_logavg;
    h->step = bnn__dexp(last ? h->adapt_logavg : log_step);
}

/* Stan's windows: 75 draws for the step alone, windows of 25, 50, 100 ... for the mass, the last up
 * to 50 draws before the end; 15, 75 and 10 percent where all this is too long. The end of the one
 * that has draw m = 1, 2, ...; 0 = none has it. from: the end of the one before, or 0. */
static uint64_t bnn__nuts_window(uint64_t warm, uint64_t m, uint64_t *from) {
    uint64_t first = 75, size = 25, last = warm - 50, end;
    if (warm < 150) first = warm * 15 / 100, last = warm - warm / 10, size = last - first;
    *from = warm >= 20 && m > last ? last : 0;
    if (warm < 20 || m <= first || m > last) return 0;
    for (end = first + size; m > end;) {
        *from = end;
        size *= 2, end += size;
        if (end + 2 * size > last) end = last;
    }
    return end;
}

/* After the m-th warm-up draw with acceptance probability a. HMC: one window, its second and third
 * quarter */
static void bnn__hmc_adapt(bnn_stepper *s, bnn_tape *t, uint64_t m, double a) {
    bnn_hmc_state *h = s->hmc;
    uint64_t warm = h->desc.warmup, change = warm * 3 / 4, from = m > change ? change : 0;
    int within = m >= warm / 4 && m < change;
    if (h->max_depth > 0) {
        change = bnn__nuts_window(warm, m, &from);
        within = change != 0;
    }
    if (!h->desc.adapt_mass) change = UINT64_MAX, from = 0;
    else if (within) bnn__hmc_welford(s);
    if (m == change) { /* the geometry changed: start the step size anew */
        bnn__hmc_mass(s, t);
        bnn__hmc_first_step(s, t);
    } else bnn__hmc_dual(h, (double)(m - from), a, m == warm);
    if (!(h->step > 1e-30))
        bnn__fail(t, BNN_ENONFINITE, "%s: the step fell to %g, nothing is accepted",
                  bnn__methods[s->kind].name, h->step);
}

static void bnn__hmc_count(bnn_stepper *s, bnn_tape *t, int accepted, int diverged) {
    bnn_hmc_state *h = s->hmc;
    double a = bnn__dexp(h->log_accept);
    if (s->t <= h->desc.warmup) {
        bnn__hmc_adapt(s, t, s->t, a);
        return;
    }
    h->draws++;
    h->accepted += (uint64_t)accepted, h->divergent += (uint64_t)diverged;
    h->accept_sum += a;
}

/* 1 +- share, uniform */
static double bnn__hmc_jitter(bnn_tape *t, double share) {
    return share > 0 ? 1 + share * (2 * (double)bnn_rng_uniform(&t->rng) - 1) : 1;
}

/* Where a draw begins: U/T and its gradient; 0 = it is not finite. */
static int bnn__hmc_start(bnn_stepper *s, bnn_tape *t, double *u) {
    bnn_hmc_state *h = s->hmc;
    memcpy(h->saved, s->params->theta, s->n * sizeof(float));
    *u = bnn__hmc_energy(s, t);
    if (t->err == BNN_OK && bnn__finite_d(*u)) return 1;
    bnn__batch_finite(bnn__methods[s->kind].name, "x", bnn_input(t, h->desc.data.x), NULL);
    bnn__batch_finite(bnn__methods[s->kind].name, "y", bnn_input(t, h->desc.data.y), NULL);
    bnn__fail(t, BNN_ENONFINITE, "%s: the energy at the start is not finite",
              bnn__methods[s->kind].name);
    return 0;
}

static void bnn__hmc_step(bnn_stepper *s, bnn_tape *t) {
    bnn_hmc_state *h = s->hmc;
    size_t steps = h->desc.leapfrog, bytes = s->n * sizeof(float);
    int diverged, accepted;
    double u, dh, before, e, data_energy;
    if (s->t == 1 && s->t <= h->desc.warmup) bnn__hmc_first_step(s, t);
    if (h->desc.trajectory > 0) {
        double want = ceil((double)h->desc.trajectory / h->step);
        steps = want < 1 ? 1 : want > 10240 ? 10240 : (size_t)want;
    }
    if (!bnn__hmc_start(s, t, &u)) return;
    before = u, data_energy = h->data_energy;
    e = h->step * bnn__hmc_jitter(t, (double)h->desc.jitter);
    steps = (size_t)((double)steps * bnn__hmc_jitter(t, 2 * (double)h->desc.jitter) + 0.5);
    dh = bnn__hmc_trajectory(s, t, e, steps, &u);
    if (t->err != BNN_OK) {
        memcpy(s->params->theta, h->saved, bytes);
        return;
    }
    diverged = !bnn__finite_d(dh) || dh > 1000;
    h->log_accept = diverged ? -1000 : dh > 0 ? -dh : 0;
    accepted = !diverged && bnn__dlog((double)bnn_rng_uniform(&t->rng)) < h->log_accept;
    if (accepted) before = u, h->hamiltonian += dh;
    else {
        memcpy(s->params->theta, h->saved, bytes);
        h->data_energy = data_energy;
    }
    h->energy = before * (double)s->temperature;
    bnn__hmc_count(s, t, accepted, diverged);
}

/* Both samplers: checks and memory. mass 0: HMC's, a diagonal */
static bnn_stepper bnn__hmc_made(bnn_stepper s, bnn_hmc_desc d, int mass) {
    const char *who = bnn__methods[s.kind].name;
    bnn_params *w = s.params;
    size_t i, dense = mass == BNN_MASS_DENSE;
    bnn_hmc_state *h;
    bnn__within(w, who, "step", (double)d.step, 0, bnn__inf());
    bnn__within(w, who, "accept", (double)d.accept, 0, 1);
    bnn__within(w, who, "warmup", (double)d.warmup, 0, (1 << 30) + 1);
    if ((d.net == NULL) == (d.energy == NULL) || (d.net != NULL && d.net->params != w))
        bnn__arena_fail(w->mem, BNN_EARG, "%s: give a net of these parameters or an energy", who);
    if (d.net != NULL && (d.data.x.rows == 0 || d.data.x.rows != d.data.y.rows))
        bnn__arena_fail(w->mem, BNN_ESHAPE, "%s: %z rows of inputs, %z of targets", who,
                        d.data.x.rows, d.data.y.rows);
    h = (bnn_hmc_state *)bnn_arena_alloc(w->mem, 1, sizeof *h);
    if (h == NULL) return s;
    h->desc = d;
    h->step = (double)d.step;
    h->mass = mass;
    h->momentum = (float *)bnn_arena_alloc(w->mem, w->n, sizeof(float));
    h->mass_inv = (float *)bnn_arena_alloc(w->mem, w->n, sizeof(float));
    h->saved = (float *)bnn_arena_alloc(w->mem, bnn__mul(1 + dense, w->n), sizeof(float));
    h->mean = (double *)bnn_arena_alloc(w->mem, d.adapt_mass ? w->n : 0, sizeof(double));
    h->m2 = (double *)bnn_arena_alloc(w->mem, bnn__mul(d.adapt_mass ? w->n : 0, dense ? w->n : 1),
                                      sizeof(double));
    if (dense) {
        h->cov = bnn_mat_new(w->mem, w->n, w->n), h->root = bnn_mat_new(w->mem, w->n, w->n);
        bnn_mat_eye(h->cov), bnn_mat_eye(h->root);
    }
    for (i = 0; h->mass_inv != NULL && i < w->n; i++) h->mass_inv[i] = 1;
    s.hmc = h;
    return s;
}

BNNDEF bnn_stepper bnn_hmc(bnn_params *w, bnn_hmc_desc d) {
    bnn_stepper s = bnn__stepper(BNN_HMC, NULL, w, 1, 0, 0);
    s.temperature = d.temperature;
    if (w == NULL) return bnn__stepper_made(s);
    d.step = bnn__or(d.step, 1e-3);
    d.accept = bnn__or(d.accept, 0.8);
    d.jitter = bnn__or(d.jitter, 0.2);
    if (d.leapfrog == 0) d.leapfrog = 20;
    bnn__within(w, "bnn_hmc", "jitter", (double)d.jitter, 0, 0.5);
    bnn__within(w, "bnn_hmc", "trajectory", (double)d.trajectory, 0, bnn__inf());
    bnn__within(w, "bnn_hmc", "leapfrog", (double)d.leapfrog, 1, (1 << 20) + 1); /* as in files */
    s = bnn__hmc_made(s, d, 0);
    s.once = bnn__hmc_step;
    return bnn__stepper_made(s);
}

/* ------------------------------------------------------------------------------------------------
 * >>nuts: the no-U-turn sampler
 *
 * The path through theta_0 grows by a stretch as long as itself, forward or backward by a fair
 * coin, until it turns: the velocity M^-1 p at one of its ends points against rho = sum of p. This
 * is asked of every stretch of 2^k states that a doubling is made of, and of each half with the
 * next state of the other. A stretch that turns within itself, or whose H exceeds that of the start
 * by 1000 (a divergence), is not added. A state weighs exp(H0 - H): inside of a stretch the draw is
 * by weight, the new stretch wins over the old path with min(1, its weight over the path's).
 * Hoffman and Gelman 2014; Betancourt 2017, appendix A; the checks across halves as in Stan.
 * --------------------------------------------------------------------------------------------- */

typedef struct bnn__tree {   /* a stretch of the path, in the order of its making           */
    float *theta, *rho;      /* the draw from it; the sum of its momenta                    */
    float *p[2], *v[2];      /* momentum and velocity at its first and its last state       */
    double log_weight, u, h; /* ln of the sum of weights; U/T and H of the draw             */
} bnn__tree;

typedef struct bnn__path {
    bnn_stepper *s;
    bnn_tape *t;
    double h0, u, accept; /* accept: the sum of min(1, exp(H0 - H)) */
} bnn__path;

static void bnn__nuts_state(const bnn__path *k, bnn__tree *a, double h) { /* of the one it is at */
    const bnn_stepper *s = k->s;
    size_t bytes = s->n * sizeof(float);
    memcpy(a->theta, s->params->theta, bytes);
    memcpy(a->rho, s->hmc->momentum, bytes);
    memcpy(a->p[0], s->hmc->momentum, bytes);
    memcpy(a->p[1], s->hmc->momentum, bytes);
    bnn__hmc_velocity(s, a->v[0]);
    memcpy(a->v[1], a->v[0], bytes);
    a->log_weight = k->h0 - h, a->u = k->u, a->h = h;
}

static int bnn__nuts_leaf(bnn__path *k, double e, bnn__tree *a) {
    bnn_hmc_state *h = k->s->hmc;
    double now;
    k->u = 0; /* any finite number */
    bnn__hmc_leapfrog(k->s, k->t, e, 1, &k->u);
    if (k->t->err == BNN_ENONFINITE) bnn_tape_clear_error(k->t);
    if (k->t->err != BNN_OK) return 0;
    h->leapfrogs++;
    now = k->u + bnn__hmc_kinetic(k->s);
    h->diverged = !bnn__finite_d(now) || now - k->h0 > 1000;
    if (bnn__finite_d(now)) k->accept += now < k->h0 ? 1 : bnn__dexp(k->h0 - now);
    if (!h->diverged) bnn__nuts_state(k, a, now);
    return !h->diverged;
}

/* Does a stretch with the sum of momenta x + y go on? */
static int bnn__nuts_straight(size_t n, const float *x, const float *y, const float *v0,
                              const float *v1) {
    double first = 0, last = 0;
    size_t i;
    for (i = 0; i < n; i++) {
        double rho = (double)x[i] + (double)y[i];
        first += rho * (double)v0[i], last += rho * (double)v1[i];
    }
    return first > 0 && last > 0;
}

/* b follows a, and becomes part of it; 0 = together they turn. */
static int bnn__nuts_join(bnn__path *k, bnn__tree *a, bnn__tree *b, int path) {
    double x = a->log_weight, y = b->log_weight, odds;
    size_t n = k->s->n, bytes = n * sizeof(float);
    int straight = bnn__nuts_straight(n, a->rho, b->rho, a->v[0], b->v[1]) &&
                   bnn__nuts_straight(n, a->rho, b->p[0], a->v[0], b->v[0]) &&
                   bnn__nuts_straight(n, a->p[1], b->rho, a->v[1], b->v[1]);
    a->log_weight = (x > y ? x : y) + bnn__dlog1p(bnn__dexp(-fabs(x - y)));
    odds = y - (path ? x : a->log_weight);
    if (odds > 0 || bnn__rng_unit(&k->t->rng) < bnn__dexp(odds)) {
        memcpy(a->theta, b->theta, bytes);
        a->u = b->u, a->h = b->h;
    }
    bnn__v_axpy(n, 1, b->rho, a->rho);
    memcpy(a->p[1], b->p[1], bytes);
    memcpy(a->v[1], b->v[1], bytes);
    return straight;
}

/* 2^depth states in trees[1], by halves, whose first ones wait in trees[1], [2], ... */
static int bnn__nuts_grow(bnn__path *k, double e, int depth) {
    bnn__tree *a = k->s->hmc->trees;
    size_t i, j;
    for (i = 1; i <= (size_t)1 << depth; i++) {
        if (!bnn__nuts_leaf(k, e, ++a)) return 0;
        for (j = i; j % 2 == 0; j /= 2, a--)
            if (!bnn__nuts_join(k, a - 1, a, 0)) return 0;
    }
    return 1;
}

/* The end of the path to where the sampler is, or back */
static void bnn__nuts_end(bnn_stepper *s, int which, int load) {
    float *x[3], *at = s->hmc->ends[which];
    int i;
    x[0] = s->params->theta, x[1] = s->hmc->momentum, x[2] = s->params->grad;
    for (i = 0; i < 3; i++, at += s->n)
        memcpy(load ? x[i] : at, load ? at : x[i], s->n * sizeof(float));
}

/* A draw, from the momentum and gradient that are there; u = U/T */
static void bnn__nuts_draw(bnn_stepper *s, bnn_tape *t, double u) {
    bnn_hmc_state *h = s->hmc;
    bnn__tree *path = h->trees;
    bnn__path k;
    int forward, way = 1;
    k.s = s, k.t = t, k.u = u, k.accept = 0, k.h0 = u + bnn__hmc_kinetic(s);
    bnn__nuts_state(&k, path, k.h0);
    bnn__nuts_end(s, 0, 0), bnn__nuts_end(s, 1, 0);
    h->depth = h->diverged = 0, h->leapfrogs = 0;
    while (h->depth < h->max_depth) {
        forward = bnn__rng_unit(&t->rng) > 0.5;
        bnn__nuts_end(s, forward, 1);
        if (!bnn__nuts_grow(&k, forward ? h->step : -h->step, h->depth)) break;
        bnn__nuts_end(s, forward, 0);
        h->depth++;
        if (forward != way) { /* the path's last state is the one that goes on */
            float *p = path->p[0], *v = path->v[0];
            path->p[0] = path->p[1], path->v[0] = path->v[1];
            path->p[1] = p, path->v[1] = v;
            way = forward;
        }
        if (!bnn__nuts_join(&k, path, path + 1, 1)) break;
    }
    h->log_accept = k.accept > 0 ? bnn__dlog(k.accept / (double)h->leapfrogs) : -1000;
    if (h->log_accept > 0) h->log_accept = 0;
}

static void bnn__nuts_tell(const bnn_hmc_state *h, bnn_tape *t, uint64_t draw) {
    if (h->diverged && h->divergent == 1)
        bnn__note(t, "bnn_nuts: draw %z diverged, its step is too long for the energy there: "
                  "accept 0.95, or standardize the inputs", (size_t)draw);
    if (h->depth == h->max_depth && h->saturated == 1)
        bnn__note(t, "bnn_nuts: draw %z went 2^%d steps without a turn: a longer warmup, "
                  "BNN_MASS_DENSE, or a larger max_depth", (size_t)draw, h->depth);
}

static void bnn__nuts_step(bnn_stepper *s, bnn_tape *t) {
    bnn_hmc_state *h = s->hmc;
    const bnn__tree *path = h->trees;
    size_t bytes = s->n * sizeof(float);
    double u;
    int warm = s->t <= h->desc.warmup;
    if (s->t == 1 && warm) bnn__hmc_first_step(s, t);
    if (!bnn__hmc_start(s, t, &u)) return;
    bnn__hmc_refresh(s, t);
    bnn__nuts_draw(s, t, u);
    memcpy(s->params->theta, t->err == BNN_OK ? path->theta : h->saved, bytes);
    if (t->err != BNN_OK) return;
    h->energy = path->u * (double)s->temperature;
    h->hamiltonian = path->h;
    if (!warm) h->saturated += h->depth == h->max_depth;
    bnn__hmc_count(s, t, memcmp(path->theta, h->saved, bytes) != 0, h->diverged);
    if (!warm) bnn__nuts_tell(h, t, s->t);
}

BNNDEF bnn_stepper bnn_nuts(bnn_params *w, bnn_nuts_desc d) {
    bnn_stepper s = bnn__stepper(BNN_NUTS, NULL, w, 1, 0, 0);
    bnn_hmc_state *h;
    bnn_hmc_desc hmc;
    float *x;
    size_t i, j, trees;
    s.temperature = d.temperature;
    if (w == NULL) return bnn__stepper_made(s);
    memset(&hmc, 0, sizeof hmc);
    hmc.net = d.net, hmc.data = d.data, hmc.energy = d.energy, hmc.user = d.user;
    hmc.step = bnn__or(d.step, 0.1), hmc.accept = bnn__or(d.accept, 0.8);
    hmc.warmup = d.warmup, hmc.leapfrog = 1;
    if (d.mass == 0) d.mass = BNN_MASS_DIAGONAL;
    if (d.max_depth == 0) d.max_depth = 10;
    hmc.adapt_mass = d.mass != BNN_MASS_UNIT;
    bnn__within(w, "bnn_nuts", "mass", (double)d.mass, 1, BNN_MASS_UNIT + 1);
    bnn__within(w, "bnn_nuts", "max_depth", (double)d.max_depth, 1, 21);
    if (w->mem->err == BNN_OK) s = bnn__hmc_made(s, hmc, d.mass);
    if (w->mem->err != BNN_OK) return bnn__stepper_made(s);
    h = s.hmc, h->max_depth = d.max_depth, s.once = bnn__nuts_step;
    trees = (size_t)d.max_depth + 1;
    h->trees = (bnn__tree *)bnn_arena_alloc(w->mem, trees, sizeof *h->trees);
    x = (float *)bnn_arena_alloc(w->mem, bnn__mul(6 * (trees + 1), w->n), sizeof(float));
    if (x == NULL) return bnn__stepper_made(s);
    for (i = 0; i < trees; i++, x += 6 * w->n) {
        float **part[6];
        part[0] = &h->trees[i].theta, part[1] = &h->trees[i].rho;
        for (j = 0; j < 2; j++) part[2 + j] = &h->trees[i].p[j], part[4 + j] = &h->trees[i].v[j];
        for (j = 0; j < 6; j++) *part[j] = x + j * w->n;
    }
    h->ends[0] = x, h->ends[1] = x + 3 * w->n;
    return bnn__stepper_made(s);
}

/* ------------------------------------------------------------------------------------------------
 * >>ensemble: weight samples
 * --------------------------------------------------------------------------------------------- */

BNNDEF bnn_ensemble bnn_ensemble_new(bnn_params *w, size_t capacity) {
    bnn_ensemble e;
    memset(&e, 0, sizeof e);
    if (w == NULL) return e;
    e.params = w;
    e.samples = bnn_mat_new(w->mem, capacity, w->n);
    e.weights = (double *)bnn_arena_alloc(w->mem, capacity, sizeof(double));
    return e;
}

/* BNN_OK if these weights can be a sample. */
static int bnn__ensemble_ready(const bnn_ensemble *e, const bnn_params *w, double weight,
                               const char *who) {
    size_t b;
    if (e->params == NULL || w == NULL) return BNN_EARG;
    if (e->samples.data == NULL || e->weights == NULL)
        return e->params->mem->err != BNN_OK ? e->params->mem->err : BNN_ENOMEM;
    if (w->n != e->samples.cols)
        return bnn__arena_fail(e->params->mem, BNN_ESHAPE, "%s: samples have %z weights, these "
                               "are %z", who, e->samples.cols, w->n);
    if (!(weight >= 0) || !bnn__finite_d(weight))
        return bnn__arena_fail(e->params->mem, BNN_EARG, "%s: weight %g", who, weight);
    b = bnn__bad_block(w, w->theta);
    if (b < w->n_blocks)
        return bnn__arena_fail(e->params->mem, BNN_ENONFINITE, "%s: block %s is not finite", who,
                               w->blocks[b].name);
    return BNN_OK;
}

/* place: of the new sample, NULL = the next one. A full ensemble keeps what it has; neither
 * training nor later pushes suffer from that. */
static int bnn__ensemble_add(bnn_ensemble *e, const bnn_params *w, double weight,
                             const size_t *place, const char *who) {
    static const char full[] = "%s: all %z places are taken, this sample is lost: give "
                               "bnn_ensemble_new more";
    size_t k = e->count, n = e->samples.cols;
    int err = bnn__ensemble_ready(e, w, weight, who);
    if (err != BNN_OK) return err;
    e->seen++;
    if (k < e->samples.rows) {
        e->count++;
    } else if (place != NULL && k > 0) {
        k = *place;
        if (k >= e->count) return BNN_OK;
    } else {
        if (e->seen == k + 1) bnn__arena_note(e->params->mem, full, who, k);
        return bnn__arena_say(e->params->mem, BNN_EARG, full, who, k);
    }
    memcpy(e->samples.data + k * n, w->theta, n * sizeof(float));
    e->weights[k] = weight;
    return BNN_OK;
}

BNNDEF int bnn_ensemble_push_from(bnn_ensemble *e, const bnn_params *w, double weight) {
    return bnn__ensemble_add(e, w, weight, NULL, "bnn_ensemble_push");
}
BNNDEF int bnn_ensemble_push(bnn_ensemble *e) { return bnn_ensemble_push_from(e, e->params, 1); }
/* Vitter's algorithm R: all samples offered so far are kept with equal probability. */
BNNDEF int bnn_ensemble_reservoir(bnn_ensemble *e, bnn_rng *rng) {
    size_t k = e->count, *place = rng != NULL ? &k : NULL;
    if (rng != NULL && k > 0 && k == e->samples.rows) k = bnn_rng_below(rng, e->seen + 1);
    return bnn__ensemble_add(e, e->params, 1, place, "bnn_ensemble_reservoir");
}

/* A mask over units is a mask over the rows of the weights they feed: w_j <- m_j w_j/(1-p). */
BNNDEF int bnn_ensemble_push_dropout(bnn_ensemble *e, const bnn_net *mlp, bnn_rng *rng) {
    const struct bnn__mlp *m = mlp->mlp;
    size_t l, i, j;
    bnn_params sample;
    int err;
    if (m == NULL || mlp->params != e->params)
        return bnn__arena_fail(e->params == NULL ? NULL : e->params->mem, BNN_EARG,
                               "bnn_ensemble_push_dropout: not a bnn_mlp of these parameters");
    err = bnn_ensemble_push(e);
    if (err != BNN_OK) return err;
    sample = bnn_ensemble_sample(e, e->count - 1);
    for (l = 0; l < m->n_layers; l++) {
        float p = l == 0 ? m->desc.dropout_input : m->desc.dropout;
        bnn_mat w = bnn_params_mat(&sample, m->first + l * (m->desc.no_bias ? 1 : 2));
        if (!(p > 0)) continue;
        for (i = 0; i < w.rows; i++) {
            float keep = bnn_rng_uniform(rng) < p ? 0 : 1 / (1 - p);
            for (j = 0; j < w.cols; j++) w.data[i * w.cols + j] *= keep;
        }
    }
    return BNN_OK;
}

BNNDEF bnn_params bnn_ensemble_sample(const bnn_ensemble *e, size_t k) {
    bnn_params view;
    memset(&view, 0, sizeof view);
    if (e->params == NULL || k >= e->count) return view;
    view = *e->params;
    view.theta = e->samples.data + k * e->samples.cols;
    view.grad = NULL;
    view.draw = 0;
    return view;
}

/* ------------------------------------------------------------------------------------------------
 * >>swag: two further ways to an ensemble
 *
 *     SGNHT   v' = (1-x) v - lr g + sqrt(2 f lr T/N) xi;  theta' = theta + v';
 *             x' = x + f^2 ((2-x)/2 |v'|^2/(n lr T/N) - 1)                (Ding et al. 2014)
 *             As lr and f go to 0 theta and x are independent, x ~ N(f + lr N V/(2T), f^2/n), V the
 *             variance of a minibatch's gradient, equal in all directions: the thermostat finds it.
 *             (2-x)/2 is what a step takes from |v|^2: with it a quadratic U of one curvature has
 *             its variance at any lr
 *     SWAG    theta = mean + sqrt(diag/2) z1 + D z2/sqrt(2 (rank - 1)), z1, z2 ~ N(0, 1)
 * --------------------------------------------------------------------------------------------- */

static void bnn__plan_sgnht(const bnn_stepper *s, const bnn_tape *t, bnn__job *q) {
    q->b = 1 - s->thermostat;
    q->a = (float)sqrt(2 * (double)s->friction * bnn__heat(s, t));
    q->pass = BNN__PICK(bnn__p_sghmc);
}

static void bnn__sgnht_step(bnn_stepper *s, bnn_tape *t) {
    double heat = bnn__heat(s, t), n = 0, f = (double)s->friction, x = (double)s->thermostat;
    size_t i;
    bnn__step_move(s, t);
    if (t->err != BNN_OK || !(heat > 0)) return;
    for (i = 0; i < s->n; i++) n += s->params->held == NULL || !s->params->held[i];
    x += f * f * ((1 - x / 2) * bnn__v_sumsq(s->n, s->s1, 0) / (n * heat) - 1);
    if (n > 0) s->thermostat = (float)(x < 1 ? x : 1); /* 1 forgets all of v */
}

BNNDEF bnn_stepper bnn_sgnht(bnn_params *w, bnn_sgnht_desc d) {
    bnn_stepper s = bnn__stepper(BNN_SGNHT, bnn__plan_sgnht, w, d.lr, 0, 0);
    s.friction = d.friction, s.temperature = d.temperature;
    s = bnn__stepper_made(s);
    s.once = bnn__sgnht_step, s.thermostat = s.friction;
    return s;
}

BNNDEF bnn_swag bnn_swag_new(bnn_params *w, bnn_swag_desc d) {
    bnn_swag s;
    memset(&s, 0, sizeof s);
    if (w == NULL) return s;
    if (d.rank == 0) d.rank = 20;
    if (d.rank < 2) bnn__arena_fail(w->mem, BNN_EARG, "bnn_swag_new: rank %z, it must be 2 or more",
                                    d.rank);
    s.desc = d;
    s.mean = (double *)bnn_arena_alloc(w->mem, w->n, sizeof(double));
    s.m2 = (double *)bnn_arena_alloc(w->mem, w->n, sizeof(double));
    s.draw = (float *)bnn_arena_alloc(w->mem, w->n, sizeof(float));
    s.recent = bnn_mat_new(w->mem, d.diagonal ? 0 : d.rank, w->n);
    if (w->mem->err == BNN_OK) s.params = w;
    return s;
}

BNNDEF int bnn_swag_collect(bnn_swag *s) {
    const bnn_params *w = s->params;
    size_t i;
    float *d;
    if (w == NULL) return BNN_EARG;
    if (!bnn__v_finite(w->n, w->theta))
        return bnn__arena_fail(w->mem, BNN_ENONFINITE, "bnn_swag_collect: block %s is not finite",
                               w->blocks[bnn__bad_block(w, w->theta)].name);
    d = s->desc.diagonal ? s->draw : s->recent.data + s->count % s->desc.rank * w->n;
    s->count++;
    for (i = 0; i < w->n; i++) {
        double x = (double)w->theta[i], off = x - s->mean[i];
        s->mean[i] += off / (double)s->count;
        s->m2[i] += off * (x - s->mean[i]);
        d[i] = (float)(x - s->mean[i]);
    }
    return BNN_OK;
}

BNNDEF void bnn_swag_mean(const bnn_swag *s) {
    size_t i;
    for (i = 0; s->params != NULL && s->count > 0 && i < s->params->n; i++)
        s->params->theta[i] = (float)s->mean[i];
}

BNNDEF int bnn_swag_push(const bnn_swag *s, bnn_ensemble *e, bnn_rng *rng) {
    size_t i, k, rank = s->count < s->desc.rank ? s->count : s->desc.rank;
    double share = s->desc.diagonal ? 1 : 0.5;
    bnn_params view;
    if (s->params == NULL) return BNN_EARG;
    if (s->count < 2)
        return bnn__arena_fail(s->params->mem, BNN_EARG, "bnn_swag_push: %z sets of weights were "
                               "collected, a variance wants two", s->count);
    bnn_rng_fill_normal(rng, s->params->n, s->draw);
    for (i = 0; i < s->params->n; i++)
        s->draw[i] = (float)(s->mean[i] + sqrt(share * s->m2[i] / (double)s->count) *
                             (double)s->draw[i]);
    for (k = 0; k < rank && !s->desc.diagonal; k++) {
        double z = (double)bnn_rng_normal(rng) / sqrt(2 * ((double)rank - 1));
        bnn__v_axpy(s->params->n, (float)z, s->recent.data + k * s->params->n, s->draw);
    }
    view = *s->params;
    view.theta = s->draw;
    return bnn_ensemble_push_from(e, &view, 1);
}

/* ------------------------------------------------------------------------------------------------
 * >>meanfield: q(w) = prod N(mu, s^2), F/N = E_q[net_nll] + lambda KL(q||prior)/N
 *
 *     w = mu + s eps;   s = softplus(rho) or e^(c rho);   ds/drho = 1 - e^-s or c s
 *     dmu = g + (lambda/N) dKL/dmu;  drho = (g eps + (lambda/N) dKL/ds) ds/drho;  g = d net_nll/dw
 *                                                                     (Blundell et al. 2015)
 *     normal   KL = ln(sqrt v/s) + (s^2 + d^2 - v)/(2v), d = mu - m;  dmu = d/v, ds = s/v - 1/s
 *     Laplace  KL = ln 2b + E|w-m|/b - ln(2 pi e s^2)/2,
 *              E|w-m| = s sqrt(2/pi) exp(-d^2/2s^2) + d erf(d/(s sqrt 2));
 *              dmu = erf(d/(s sqrt 2))/b,  ds = sqrt(2/pi) exp(-d^2/2s^2)/b - 1/s
 *     others   ln q(w) - ln p(w) at the draw;  dmu = -d ln p/dw,  ds = -1/s - eps d ln p/dw
 *     ARD      v = d^2 + s^2 of each weight, or its mean over a row: the optimum, and an optimum
 *              has slope 0, so nothing is differentiated through it
 * Instead of g eps: s h, h the diagonal of the Hessian (Price's theorem; Opper and Archambeau 2009)
 * or an estimate of it (Graves 2011).
 * --------------------------------------------------------------------------------------------- */

static float bnn__rho_end(const bnn_meanfield *q, int upper) { /* of c rho */
    if (q->scale == BNN_SCALE_LOG) return upper ? (float)9.2 : -30;
    return upper ? (float)1e4 : -20;
}

static float bnn__rho_removed(const bnn_meanfield *q) { /* safely below the lower end */
    return bnn__rho_end(q, 0) * (float)1.0001 / q->log_rate;
}

static float bnn__sigma_end(const bnn_meanfield *q, int upper) { /* as the pass computes it */
    float x = bnn__rho_end(q, upper);
    return q->scale == BNN_SCALE_LOG ? BNN_MATH_EXP(x) : bnn__soft_1(x);
}

static bnn__job bnn__sigma_job(const bnn_meanfield *q) {
    bnn__job j = bnn__no_job();
    j.y = q->params->theta, j.x = q->params->theta + q->n;
    j.s = q->sigma, j.t = q->eps, j.w = q->of->theta;
    j.a = bnn__rho_end(q, 0), j.b = bnn__rho_end(q, 1);
    j.c = q->log_rate, j.d = bnn__sigma_end(q, 0);
    j.flag = q->scale == BNN_SCALE_LOG;
    return j;
}

static void bnn__sigma(const bnn_meanfield *q) { /* of the present rho */
    bnn__job j = bnn__sigma_job(q);
    if (q->posterior != BNN_POSTERIOR_DELTA) bnn__run(q->n, &j, BNN__PICKM16(bnn__p_draw));
}

static float bnn__sigma_inverse(const bnn_meanfield *q, double s) { /* rho of a sigma */
    if (q->scale == BNN_SCALE_LOG) return (float)(bnn__dlog(s) / (double)q->log_rate);
    return (float)(s + bnn__dlog(-bnn__dexpm1(-s)));
}

/* The blocks of w twice, with flat priors: their prior is the KL */
static bnn_params *bnn__meanfield_params(bnn_params *w, const bnn_meanfield *q) {
    bnn_params *p = bnn_params_new(w->mem);
    size_t b;
    bnn_prior flat;
    memset(&flat, 0, sizeof flat);
    flat.kind = BNN_PRIOR_FLAT;
    for (b = 0; b < 2 * w->n_blocks; b++) {
        const bnn_block *k = &w->blocks[b % w->n_blocks];
        if (bnn_params_add(p, k->rows, k->cols, k->name, flat) == BNN__NONE) return NULL;
        p->blocks[b].fresh = 1;
        if (b >= w->n_blocks) p->blocks[b].rest = bnn__rho_removed(q);
    }
    if (p != NULL) p->draws_of = w;
    return p;
}

static void bnn__meanfield_check(bnn_arena *mem, const bnn_meanfield *q, float init_std) {
    double lo = (double)bnn__sigma_end(q, 0), hi = (double)bnn__sigma_end(q, 1);
    if (q->posterior < BNN_POSTERIOR_GAUSSIAN || q->posterior > BNN_POSTERIOR_DELTA ||
        q->scale < BNN_SCALE_SOFTPLUS || q->scale > BNN_SCALE_LOG ||
        q->estimator < BNN_ESTIMATE_PATH || q->estimator > BNN_ESTIMATE_BATCH_BIASED ||
        q->ard < BNN_ARD_NONE || q->ard > BNN_ARD_WEIGHT || !(q->log_rate > 0) ||
        !bnn__finite(q->log_rate) || !(q->kl_weight >= 0) || !bnn__finite(q->kl_weight))
        bnn__arena_fail(mem, BNN_EARG, "bnn_meanfield_new: posterior %d, scale %d, estimator %d, "
                        "ard %d, log_rate %g, kl_weight %g", q->posterior, q->scale, q->estimator,
                        q->ard, (double)q->log_rate, (double)q->kl_weight);
    else if (!((double)init_std >= lo && (double)init_std <= hi))
        bnn__arena_fail(mem, BNN_EARG, "bnn_meanfield_new: init_std is %g, it must be in [%g, %g]",
                        (double)init_std, lo, hi);
}

BNNDEF bnn_meanfield bnn_meanfield_new(bnn_params *w, bnn_meanfield_desc d) {
    bnn_meanfield q, dead;
    size_t i;
    float std = bnn__or(d.init_std, 0.02), rho;
    memset(&dead, 0, sizeof dead);
    q = dead;
    dead.of = w; /* its arena says why */
    if (w == NULL || w->mem->err != BNN_OK) return dead;
    q.of = w;
    q.n = w->n;
    q.posterior = d.posterior != 0 ? d.posterior : BNN_POSTERIOR_GAUSSIAN;
    q.scale = d.scale != 0 ? d.scale : BNN_SCALE_SOFTPLUS;
    q.estimator = d.estimator != 0 ? d.estimator : BNN_ESTIMATE_PATH;
    q.ard = d.ard, q.share = d.share, q.draws = d.draws == 0 ? 1 : d.draws;
    q.log_rate = q.scale == BNN_SCALE_LOG ? bnn__or(d.log_rate, 1) : 1;
    q.kl_weight = bnn__or(d.kl_weight, 1);
    bnn__meanfield_check(w->mem, &q, std);
    bnn__within(w, "bnn_meanfield_new", "draws", (double)q.draws, 1, (1 << 20) + 1);
    if (w->mem->err != BNN_OK) return dead;
    rho = bnn__sigma_inverse(&q, (double)std);
    q.params = bnn__meanfield_params(w, &q);
    q.sigma = (float *)bnn_arena_alloc(w->mem, w->n, sizeof(float));
    q.eps = (float *)bnn_arena_alloc(w->mem, w->n, sizeof(float));
    q.held = (unsigned char *)bnn_arena_alloc(w->mem, bnn__mul(w->n, 2), 1);
    if (q.estimator != BNN_ESTIMATE_PATH)
        q.curvature = (float *)bnn_arena_alloc(w->mem, w->n, sizeof(float));
    if (w->mem->err != BNN_OK) return dead;
    for (i = 0; i < q.n; i++) q.params->theta[i] = w->theta[i], q.params->theta[q.n + i] = rho;
    bnn__spend(w);
    bnn__sigma(&q);
    return q;
}

static const char *bnn__meanfield_fault(const bnn_meanfield *q) {
    if (q->of == NULL || q->params == NULL) return "the mean field was not made";
    if (q->of->n != q->n || q->params->n != 2 * q->n) return "parameters were added since it was "
        "made";
    if (q->draws == 0) return "draws is 0";
    if (!(q->kl_weight >= 0) || !bnn__finite(q->kl_weight)) return "kl_weight must be finite and "
        "not negative";
    if (q->estimator != BNN_ESTIMATE_PATH && q->curvature == NULL) return "it was made without "
        "the curvature that this estimator needs";
    return NULL;
}

static int bnn__meanfield_ready(const bnn_meanfield *q, bnn_tape *t, const char *who) {
    const char *fault = bnn__meanfield_fault(q);
    if (t->err != BNN_OK) return 0;
    if (q->of != NULL && q->of->mem->err != BNN_OK)
        bnn__fail(t, q->of->mem->err, "%s: %s", who, q->of->mem->msg);
    else if (fault != NULL) bnn__fail(t, BNN_EARG, "%s: %s", who, fault);
    return t->err == BNN_OK;
}

BNNDEF void bnn_meanfield_mean(const bnn_meanfield *q) {
    if (bnn__meanfield_fault(q) != NULL) return;
    memcpy(q->of->theta, q->params->theta, q->n * sizeof(float));
    q->of->draw = 0;
}

/* Without a gradient to come, or one that waits, unless it is by bnn_meanfield_sample */
static void bnn__meanfield_draw(bnn_meanfield *q, bnn_rng *rng) {
    bnn__job j = bnn__sigma_job(q);
    j.high = &q->low;
    q->low = 0;
    if (q->posterior == BNN_POSTERIOR_DELTA)
        memcpy(q->of->theta, q->params->theta, q->n * sizeof(float));
    else bnn__run_noise(rng, q->n, &j, BNN__PICKM16(bnn__p_draw));
    if (q->of->draw == 0) q->of->draw = 1;
    q->drawn = q->curved = 0;
}

BNNDEF void bnn_meanfield_sample(bnn_meanfield *q, bnn_tape *t) {
    if (!bnn__meanfield_ready(q, t, "bnn_meanfield_sample")) return;
    bnn__meanfield_draw(q, &t->rng);
    q->drawn = 1;
    q->of->draw = 2;
}

BNNDEF int bnn_meanfield_push(bnn_meanfield *q, bnn_ensemble *e, bnn_rng *rng) {
    if (bnn__meanfield_fault(q) != NULL) return BNN_EARG;
    bnn__meanfield_draw(q, rng);
    return bnn_ensemble_push_from(e, q->of, 1);
}

BNNDEF void bnn_meanfield_curvature(bnn_meanfield *q, bnn_tape *t, bnn_loss_fn f, void *user,
                                    size_t probes) {
    if (!bnn__meanfield_ready(q, t, "bnn_meanfield_curvature")) return;
    if (q->estimator != BNN_ESTIMATE_PRICE) {
        bnn__fail(t, BNN_EARG, "bnn_meanfield_curvature: the estimator is %d, not "
                  "BNN_ESTIMATE_PRICE", q->estimator);
        return;
    }
    bnn_hessian_diagonal(q->curvature, t, q->of, f, user, probes);
    q->curved = 1;
}

/* The gradient at hand and the curvature by the estimator in force. 0 = failed */
static int bnn__meanfield_curve(bnn_meanfield *q, bnn_tape *t) {
    const float *g = q->of->grad;
    double rows;
    int curved = q->posterior == BNN_POSTERIOR_GAUSSIAN;
    if (curved && q->estimator == BNN_ESTIMATE_PRICE && !q->curved)
        bnn__fail(t, BNN_EARG, "bnn_meanfield_backward: call bnn_meanfield_curvature after the "
                  "draw");
    if (q->n > 0 && q->of->blocks[0].fresh && q->params->blocks[0].fresh)
        bnn__fail(t, BNN_EARG, "bnn_meanfield_backward: no gradient reached the weights since "
                  "their last draw: bnn_backward comes first");
    bnn__params_settle(q->of);
    if (curved && q->estimator == BNN_ESTIMATE_BATCH_BIASED) bnn__v_mul(q->n, g, g, q->curvature);
    if (curved && q->estimator == BNN_ESTIMATE_SQUARES) {
        rows = bnn__grad_squares(t, q->of, q->curvature);
        if (rows > 0) bnn__v_scale(q->n, (float)(1 / rows), q->curvature, q->curvature);
    }
    return t->err == BNN_OK;
}

/* The numbers of a prior for the pass; k = lambda/(N draws) */
static void bnn__noise_prior(bnn__job *j, const bnn_prior *p, double k) {
    double s = (double)p->std, nu = (double)p->nu, m = nu > 1e6 ? nu : 1; /* no overflow */
    bnn__law x = bnn__law_of(p);
    j->lr = (float)k;
    j->pm = p->mean;
    j->flag |= 8 * (p->kind != BNN_PRIOR_FLAT ? p->kind : BNN_PRIOR_NORMAL);
    switch (p->kind) {
    case BNN_PRIOR_NORMAL: j->p[0] = (float)(k / (s * s)); break;
    case BNN_PRIOR_DOUBLE_EXPONENTIAL:
        j->p[0] = (float)(k / s), j->p[1] = (float)(k / s * sqrt(2 / BNN__PI));
        break;
    case BNN_PRIOR_MIXTURE:
        j->p[0] = (float)(2 * k * x.c1), j->p[1] = (float)(2 * k * x.c2);
        j->p[2] = (float)(x.wide - x.narrow), j->p[3] = (float)(x.c2 - x.c1);
        break;
    case BNN_PRIOR_STUDENT:
        j->p[0] = (float)(k * ((nu + 1) / m)), j->p[1] = (float)(nu / m * s * s);
        j->p[2] = (float)(1 / m);
        break;
    default: j->lr = 0; /* flat: the noise alone */
    }
}

static int bnn__ard(const bnn_meanfield *q, const bnn_prior *p) {
    return p->kind == BNN_PRIOR_NORMAL ? q->ard : BNN_ARD_NONE;
}

static void bnn__noise_block(const bnn_meanfield *q, size_t b, bnn__job j, double k) {
    const bnn_block *w = &q->of->blocks[b];
    int ard = bnn__ard(q, &w->prior);
    size_t o = w->offset, end = o + w->rows * w->cols;
    size_t n = ard == BNN_ARD_INPUT ? w->cols : end - o; /* one variance per row, or one */
    bnn__noise_prior(&j, &w->prior, k);
    if (ard == BNN_ARD_WEIGHT) j.flag &= 7;
    for (; o < end; o += n) {
        j.x = q->sigma + o, j.y = q->params->theta + o, j.z = q->eps + o, j.g = q->of->grad + o;
        j.w = q->params->grad + o, j.t = q->params->grad + q->n + o;
        if (q->curvature != NULL) j.s = q->curvature + o;
        if (ard == BNN_ARD_INPUT) {
            double v = bnn__square_sum(n, j.y, j.x, w->prior.mean) / (double)n;
            j.p[0] = (float)(k / (v > 1e-30 ? v : 1e-30));
        }
        bnn__run(n, &j, BNN__PICKM16(bnn__p_noise));
    }
}

static void bnn__noise_backward(const bnn_meanfield *q, double k) {
    bnn__job j = bnn__no_job();
    size_t b;
    j.e = (float)(1 / (double)q->draws), j.c = q->log_rate;
    j.a = bnn__sigma_end(q, 0), j.b = bnn__sigma_end(q, 1);
    j.flag = q->scale == BNN_SCALE_LOG;
    if (q->posterior == BNN_POSTERIOR_FIXED) j.flag |= 4;
    else if (q->estimator != BNN_ESTIMATE_PATH) j.flag |= 2;
    for (b = 0; b < q->of->n_blocks; b++) {
        j.zero = q->params->blocks[b].fresh;
        bnn__noise_block(q, b, j, k);
    }
}

/* w = mu: the gradient of the MAP loss, as bnn_net_loss has it */
static void bnn__delta_backward(const bnn_meanfield *q, double k) {
    bnn_params *p = q->params;
    size_t b;
    bnn__params_settle(p);
    bnn__v_axpy(q->n, (float)(1 / (double)q->draws), q->of->grad, p->grad);
    for (b = 0; b < q->of->n_blocks; b++) {
        const bnn_block *w = &q->of->blocks[b];
        if (w->prior.kind == BNN_PRIOR_FLAT) continue;
        bnn__prior_slope(&w->prior, (float)k, 0, w->rows * w->cols, p->theta + w->offset,
                         p->grad + w->offset);
    }
}

/* Removed: mu = 0 and sigma at its floor. No stepper moves those: bnn__hold */
static void bnn__meanfield_hold(const bnn_meanfield *q) {
    const float *mu = q->params->theta, *s = q->sigma, floor = bnn__sigma_end(q, 0);
    size_t i;
    q->params->held = q->held;
    for (i = 0; i < q->n; i++) q->held[i] = q->held[q->n + i] = mu[i] == 0 && s[i] <= floor;
}

static int bnn__proper(const bnn_meanfield *q) { /* of the priors: 0 none, 1 some, 2 all */
    size_t b, n = 0;
    for (b = 0; b < q->of->n_blocks; b++) n += q->of->blocks[b].prior.kind != BNN_PRIOR_FLAT;
    return n == 0 ? 0 : n == q->of->n_blocks ? 2 : 1;
}

/* lambda/(N draws); 0 where no prior is proper. < 0 = failed */
static double bnn__divergence_weight(const bnn_meanfield *q, bnn_tape *t) {
    if (bnn__proper(q) == 0 || !(q->kl_weight > 0)) return 0;
    if (bnn__n_data(t) > 0)
        return (double)q->kl_weight / (bnn__n_data(t) * (double)q->draws);
    bnn__fail(t, BNN_EARG, "bnn_meanfield_backward: the KL must know how many data there are: set "
              "tape.n_data");
    return -1;
}

BNNDEF void bnn_meanfield_backward(bnn_meanfield *q, bnn_tape *t) {
    double k;
    size_t b;
    if (!bnn__meanfield_ready(q, t, "bnn_meanfield_backward")) return;
    if (!q->drawn) {
        bnn__fail(t, BNN_EARG, "bnn_meanfield_backward: there is no new draw: bnn_meanfield_sample "
                  "comes first");
        return;
    }
    if (!bnn__meanfield_curve(q, t)) return;
    k = bnn__divergence_weight(q, t);
    if (k < 0) return;
    if (q->posterior == BNN_POSTERIOR_DELTA) bnn__delta_backward(q, k);
    else bnn__noise_backward(q, k);
    for (b = 0; b < q->params->n_blocks; b++) {
        q->params->blocks[b].fresh = 0;
        q->params->blocks[b].reached = 1;
    }
    q->params->held = NULL;
    if (q->low) bnn__meanfield_hold(q);
    bnn__spend(q->of);
    q->drawn = 0;
    if (q->of->draw == 2) q->of->draw = 1;
}

/* ---- the divergence in nats */

/* Of N(m + d, s^2) from a law around m; std: of normal ones; eps: the last draw */
static double bnn__kl_one(const bnn__law *law, double d, double s, double std, double eps) {
    double a = 2 * bnn__dlog(s / std), u = d / std, slope;
    switch (law->kind) {
    case BNN_PRIOR_NORMAL: return (bnn__dexpm1(a) - a) / 2 + u * u / 2; /* 0 where q = p */
    case BNN_PRIOR_DOUBLE_EXPONENTIAL:
        return law->constant - bnn__dlog(s) + bnn__abs_mean(d, s) / std - (BNN__LN_2PI + 1) / 2;
    case BNN_PRIOR_FLAT: return 0;
    default: /* ln q - ln p */
        return bnn__law_at(law, d + s * eps, &slope) + law->constant - bnn__dlog(s) -
               (eps * eps + BNN__LN_2PI) / 2;
    }
}

static double bnn__kl_block(const bnn_meanfield *q, size_t b) {
    const bnn_block *w = &q->of->blocks[b];
    const float *mu = q->params->theta + w->offset, *s = q->sigma + w->offset;
    const float *eps = q->eps + w->offset, floor = bnn__sigma_end(q, 0);
    int ard = bnn__ard(q, &w->prior);
    bnn__law law = bnn__law_of(&w->prior);
    double sum = 0, std = law.scale;
    size_t i, j;
    for (i = 0; i < w->rows; i++, mu += w->cols, s += w->cols, eps += w->cols) {
        if (ard == BNN_ARD_INPUT)
            std = sqrt(bnn__square_sum(w->cols, mu, s, w->prior.mean) / (double)w->cols);
        for (j = 0; j < w->cols; j++) {
            double d = (double)mu[j] - (double)w->prior.mean, sd = (double)s[j];
            if (mu[j] == 0 && s[j] <= floor) continue; /* removed */
            if (ard == BNN_ARD_WEIGHT) std = sqrt(d * d + sd * sd);
            sum += bnn__kl_one(&law, d, sd, std, (double)eps[j]);
        }
    }
    return sum;
}

BNNDEF double bnn_meanfield_kl(const bnn_meanfield *q) {
    double sum = 0;
    size_t b;
    if (bnn__meanfield_fault(q) != NULL) return bnn__nan();
    if (q->posterior == BNN_POSTERIOR_DELTA) {
        bnn_params mean = *q->of;
        mean.theta = q->params->theta;
        return 0 - bnn_params_log_prior(&mean); /* flat: 0, not -0 */
    }
    bnn__sigma(q);
    for (b = 0; b < q->of->n_blocks; b++) sum += bnn__kl_block(q, b);
    return sum;
}

/* ---- priors that follow q: the optima of sum KL, where it is stationary (Graves 2011) */

static int bnn__priors_alike(const bnn_prior *a, const bnn_prior *b) {
    return a->kind == b->kind && a->adapt_mean == b->adapt_mean && a->adapt_std == b->adapt_std &&
           (a->shape > 0) == (b->shape > 0);
}

BNNDEF void bnn_meanfield_update_priors(const bnn_meanfield *q, double rate) {
    int point = q->posterior == BNN_POSTERIOR_DELTA;
    size_t b, e, n, end;
    if (bnn__meanfield_fault(q) != NULL || !(rate > 0)) return;
    bnn__sigma(q);
    for (b = 0; b < q->of->n_blocks; b = end) { /* blocks b .. end-1 have one prior */
        bnn_block *w = &q->of->blocks[b];
        n = w->rows * w->cols;
        for (end = b + 1; end < q->of->n_blocks; end++) {
            bnn_block *next = &q->of->blocks[end];
            if (!q->share || !bnn__priors_alike(&w->prior, &next->prior)) break;
            n += next->rows * next->cols;
        }
        bnn__prior_follow(q->of->mem, &w->prior, n, q->params->theta + w->offset,
                          point ? NULL : q->sigma + w->offset, rate, NULL);
        for (e = b + 1; e < end; e++) {
            q->of->blocks[e].prior.mean = w->prior.mean;
            q->of->blocks[e].prior.std = w->prior.std;
        }
    }
}

/* ---- noise in the layers instead of in the weights */

static void bnn__noisy_pair(const char *who, bnn_var *w, bnn_var *a, bnn_var *b, bnn_var *c) {
    bnn_tape *t = w->tape;
    if (t->err != BNN_OK) return;
    if (a->val.rows != w->val.rows || a->val.cols != w->val.cols)
        bnn__fail(t, BNN_ESHAPE, "%s: w is %zx%z, its noise %zx%z", who, w->val.rows, w->val.cols,
                  a->val.rows, a->val.cols);
    else if ((b == NULL) != (c == NULL))
        bnn__fail(t, BNN_EARG, "%s: b and its noise go together", who);
}

BNNDEF bnn_var *bnn_affine_local(bnn_var *x, bnn_var *w, bnn_var *w_sd, bnn_var *b, bnn_var *b_sd) {
    bnn_var *v;
    bnn__noisy_pair("bnn_affine_local", w, w_sd, b, b_sd);
    v = bnn_affine(bnn_square(x), bnn_square(w_sd), b_sd != NULL ? bnn_square(b_sd) : NULL);
    return bnn_normal(bnn_affine(x, w, b), bnn_sqrt(v));
}

static bnn_var *bnn__signs(bnn_tape *t, size_t rows, size_t cols) {
    bnn_var *v = bnn_op(t, rows, cols, NULL, 0, NULL);
    size_t i, n = v->val.data != NULL ? rows * cols : 0;
    uint32_t word = 0;
    for (i = 0; i < n; i++) {
        if (i % 32 == 0) word = bnn_rng_u32(&t->rng);
        v->val.data[i] = (float)(1 - 2 * (int)(word >> i % 32 & 1));
    }
    return v;
}

BNNDEF bnn_var *bnn_affine_flipout(bnn_var *x, bnn_var *w, bnn_var *w_noise, bnn_var *b,
                                   bnn_var *b_noise) {
    bnn_tape *t = x->tape;
    bnn_var *in, *out;
    bnn__noisy_pair("bnn_affine_flipout", w, w_noise, b, b_noise);
    in = bnn__signs(t, x->val.rows, x->val.cols);
    out = bnn__signs(t, x->val.rows, w->val.cols);
    out = bnn_mul(bnn_affine(bnn_mul(x, in), w_noise, b_noise), out);
    return bnn_add(bnn_affine(x, w, b), out);
}

typedef struct bnn__noisy {
    const bnn_meanfield *q;
    int noise;
} bnn__noisy;

/* sigma of a block as a node, times eps for flipout; NULL for no block */
static bnn_var *bnn__noisy_sigma(bnn_tape *t, const bnn__noisy *z, size_t block) {
    const bnn_meanfield *q = z->q;
    bnn_var *r = bnn_param(t, q->params, q->of->n_blocks + block);
    bnn_mat eps = bnn__block_view(q->of, block, q->eps);
    if (q->log_rate != 1) r = bnn_scale(r, q->log_rate);
    r = bnn_clamp(r, bnn__rho_end(q, 0), bnn__rho_end(q, 1));
    r = q->scale == BNN_SCALE_LOG ? bnn_exp(r) : bnn_softplus(r);
    if (q->posterior == BNN_POSTERIOR_FIXED) r = bnn_detach(r);
    return z->noise == BNN_NOISE_FLIPOUT ? bnn_mul(r, bnn_input(t, eps)) : r;
}

static bnn_var *bnn__noisy_affine(bnn_tape *t, const bnn_net *net, bnn_var *x, size_t block,
                                  int bias) {
    const bnn__noisy *z = (const bnn__noisy *)net->user;
    bnn_var *w = bnn_param(t, net->params, block), *b = NULL, *s, *c = NULL;
    if (bias) b = bnn_param(t, net->params, block + 1);
    s = bnn__noisy_sigma(t, z, block);
    if (bias) c = bnn__noisy_sigma(t, z, block + 1);
    return z->noise == BNN_NOISE_LOCAL ? bnn_affine_local(x, w, s, b, c)
                                       : bnn_affine_flipout(x, w, s, b, c);
}

static bnn_var *bnn__noisy_forward(bnn_tape *t, const bnn_net *net, bnn_var *x) {
    return bnn__mlp_walk(t, net, x, bnn__noisy_affine);
}

BNNDEF bnn_net bnn_meanfield_net(const bnn_meanfield *q, const bnn_net *mlp, int noise) {
    bnn_net net = *mlp, dead = bnn__net_dead(NULL);
    bnn__noisy *z;
    if (bnn__meanfield_fault(q) != NULL) return dead;
    if (mlp->mlp == NULL || mlp->params != q->of || q->posterior == BNN_POSTERIOR_DELTA ||
        noise < BNN_NOISE_LOCAL || noise > BNN_NOISE_FLIPOUT)
        bnn__arena_fail(q->of->mem, BNN_EARG, "bnn_meanfield_net: noise %d; it needs a bnn_mlp of "
                        "the same parameters and a Gaussian q", noise);
    z = (bnn__noisy *)bnn_arena_alloc(q->of->mem, 1, sizeof *z);
    if (z == NULL) return dead; /* as after an error */
    z->q = q;
    z->noise = noise;
    net.params = q->params;
    net.forward = bnn__noisy_forward;
    net.user = z;
    return net;
}

/* ---- what the data cost under q */

BNNDEF bnn_meanfield_cost bnn_meanfield_measure(bnn_meanfield *q, bnn_tape *t, const bnn_net *net,
                                                bnn_data d, size_t draws) {
    bnn_meanfield_cost c;
    bnn_arena *mem;
    bnn_mark mark;
    double uniform = 0, outputs = 0;
    size_t s;
    c.error = c.complexity = c.bits = c.ratio = bnn__nan();
    if (!bnn__meanfield_ready(q, t, "bnn_meanfield_measure")) return c;
    if (d.x.rows == 0 || d.x.rows != d.y.rows || draws == 0)
        bnn__fail(t, BNN_EARG, "bnn_meanfield_measure: x has %z rows, y has %z, %z draws", d.x.rows,
                  d.y.rows, draws);
    if (!bnn__has_data(t, "bnn_meanfield_measure", d.x)) return c;
    mem = q->of->mem;
    mark = bnn_arena_mark(mem);
    for (c.error = 0, s = 0; s < draws; s++) {
        bnn__meanfield_draw(q, &t->rng);
        c.error -= bnn_mat_sum(bnn_predict_log_lik(mem, t, net, NULL, d));
        bnn_arena_rewind(mem, mark);
    }
    c.error = t->err == BNN_OK ? c.error / (double)draws : bnn__nan();
    c.complexity = bnn_meanfield_kl(q);
    if (q->posterior == BNN_POSTERIOR_DELTA || bnn__proper(q) < 2) return c;
    c.bits = (c.error + c.complexity) / 0.69314718055994530942;
    if (net->mlp != NULL) outputs = (double)net->mlp->desc.sizes[net->mlp->n_layers];
    if (bnn__likelihood(net) == BNN_CATEGORICAL) uniform = bnn__dlog(outputs);
    if (bnn__likelihood(net) == BNN_BERNOULLI) uniform = outputs * 0.69314718055994530942;
    if (uniform > 0) c.ratio = (c.error + c.complexity) / ((double)d.x.rows * uniform);
    return c;
}

/* ---- pruning */

static int bnn__prunable(const bnn_meanfield *q) {
    if (bnn__meanfield_fault(q) != NULL || q->posterior == BNN_POSTERIOR_DELTA) return 0;
    bnn__sigma(q);
    return 1;
}

static float bnn__snr(const bnn_meanfield *q, size_t i) {
    float mu = q->params->theta[i];
    return (mu < 0 ? -mu : mu) / q->sigma[i];
}

BNNDEF double bnn_meanfield_snr(const bnn_meanfield *q, double fraction) {
    bnn_mark mark;
    size_t i, k = (size_t)(fraction * (double)q->n + 0.5);
    float *x, at;
    if (!(fraction >= 0 && fraction <= 1) || !bnn__prunable(q) || q->n == 0) return bnn__nan();
    if (k >= q->n) return bnn__inf();
    mark = bnn_arena_mark(q->of->mem);
    x = (float *)bnn__arena_take(q->of->mem, q->n, sizeof *x);
    if (x == NULL) return bnn__nan();
    for (i = 0; i < q->n; i++) x[i] = bnn__snr(q, i);
    at = bnn__select(x, q->n, k);
    bnn_arena_rewind(q->of->mem, mark);
    return (double)at;
}

BNNDEF size_t bnn_meanfield_prune(bnn_meanfield *q, double snr) {
    size_t i, gone = 0;
    if (!bnn__prunable(q)) return 0;
    for (i = 0; i < q->n; i++) {
        if (!((double)bnn__snr(q, i) < snr)) continue;
        q->params->theta[i] = 0;
        q->params->theta[q->n + i] = bnn__rho_removed(q);
    }
    q->drawn = 0;
    bnn__sigma(q);
    bnn__meanfield_hold(q);
    for (i = 0; i < q->n; i++) gone += q->held[i];
    return gone;
}

/* ---- schedules and Graves's table */

BNNDEF double bnn_kl_weight_geometric(size_t i, size_t batches) {
    double m = (double)batches;
    if (i >= batches) return 0;
    return m * ldexp(1, -(int)(i < 1100 ? i + 1 : 1100)) / (1 - ldexp(1, -(int)(m < 60 ? m : 60)));
}

BNNDEF double bnn_kl_weight_warmup(size_t k, size_t steps) {
    return k + 1 >= steps ? 1 : (double)(k + 1) / (double)steps;
}

BNNDEF bnn_graves bnn_graves_row(int row) {
    static const char names[BNN_GRAVES_ROWS][28] = {
        "maximum_likelihood", "l2", "adaptive_mean_l2", "adaptive_l2", "l1", "adaptive_mean_l1",
        "adaptive_l1", "weight_noise", "adaptive_prior_weight_noise", "adaptive_weight_noise" };
    int laplace = row >= 4 && row <= 6, flat = row == 0 || row == 7, noise = row >= 7;
    bnn_graves g;
    memset(&g, 0, sizeof g);
    if (row < 0 || row >= BNN_GRAVES_ROWS) return g;
    g.name = names[row];
    g.posterior = !noise ? "delta" : row == 9 ? "gauss" : "gauss_fixed";
    g.prior_name = flat ? "uniform" : laplace ? "laplace" : "gauss";
    g.prior.kind = flat ? BNN_PRIOR_FLAT
                        : laplace ? BNN_PRIOR_DOUBLE_EXPONENTIAL : BNN_PRIOR_NORMAL;
    g.prior.std = laplace ? (float)(1.0 / 12) : (float)0.31622776601683793320; /* v = 0.1 */
    g.prior.adapt_mean = !flat && row != 1 && row != 4;
    g.prior.adapt_std = !flat && row != 1 && row != 2 && row != 4 && row != 5;
    g.desc.posterior = !noise ? BNN_POSTERIOR_DELTA : row == 9 ? BNN_POSTERIOR_GAUSSIAN
                                                               : BNN_POSTERIOR_FIXED;
    g.desc.init_std = (float)0.075;
    g.desc.share = 1;
    return g;
}

BNN__COLD
/* ------------------------------------------------------------------------------------------------
 * >>predict: the mixture over samples s with weights w_s, sum 1
 *     mean = sum w m_s;  aleatoric = sum w v_s;  epistemic = sum w (m_s - mean)^2
 *     ln p(y) = logsumexp_s(ln w_s + ln p_s(y));  entropies as in Houlsby et al. 2011
 * Inputs pass in blocks of rows, each block through all samples, so that scratch stays small: one
 * tour, and what each function does with a sample's answer. Rows with a gap (NaN or inf in x or y)
 * pass as zeros, so that no activation can hide it, and their answers are NaN.
 *     quantile    sum w F((y - m_s)/s_s) = q by bisection between the quantiles of the members.
 *                 Student F(z) = I_{nu/(nu+z^2)}(nu/2, 1/2)/2, z < 0. Poisson: the smallest k with
 *                 sum w Q(k + 1, m_s) >= q; k <= m + sqrt(m q/(1-q)) + 1 (Cantelli)
 * --------------------------------------------------------------------------------------------- */

enum { BNN__PREDICT_ROWS = 512 };

static int bnn__report(bnn_tape *t, size_t done, size_t total) { /* 0 = go on */
    if (t->progress == NULL || t->progress(t->progress_user, done, total) == 0) return 0;
    bnn__fail(t, BNN_ECANCEL, "canceled after %z of %z", done, total);
    return 1;
}

typedef struct bnn__tour {
    bnn_tape *t;
    const char *who;
    const bnn_ensemble *post;
    const bnn_laplace *laplace;
    bnn_net net;           /* a copy whose parameters are `view`: the weights of the sample */
    bnn_params view;
    bnn_mat x, y;
    int gaps, y_gaps;      /* not every number of them is finite                           */
    size_t samples;        /* how many                                                     */
    size_t cols, k;        /* columns of an answer, and of its mean                        */
    size_t s, first, rows; /* at hand: sample s, rows of x from `first` on                 */
    size_t block;          /* rows at a time                                               */
    int exponent;          /* weights are scaled by 2^-exponent: their sum is a number     */
    double total, weight;  /* sum of the weights; the sample's share of it                 */
    double seen;           /* sum of the shares so far                                     */
    double *sums;          /* what bnn__tour_run was asked for                             */
    bnn_var *out;          /* the sample's standardized answer                             */
    double q, z;           /* of a quantile: bnn__member_quantile                          */
    bnn_predictive p;      /* the result; `mean` alone where it is one matrix              */
} bnn__tour;

static double bnn__tour_weight(const bnn__tour *v, size_t s) {
    return v->post == NULL ? 1 : ldexp(v->post->weights[s], -v->exponent);
}

static void bnn__tour_weights(bnn__tour *v) {
    double top = 0;
    size_t s;
    for (s = 0; s < v->samples; s++) {
        double w = v->post == NULL ? 1 : v->post->weights[s];
        if (w > top) top = w;
        if (w < 0 || !bnn__finite_d(w))
            bnn__fail(v->t, BNN_EARG, "bnn_predict: sample %z of the ensemble has weight %g", s, w);
    }
    if (!(top > 0))
        bnn__fail(v->t, BNN_EARG, "bnn_predict: the weights of all %z samples are 0, so none "
                  "counts; equal weights are 1", v->samples);
    frexp(top, &v->exponent);
    for (s = 0; s < v->samples; s++) v->total += bnn__tour_weight(v, s);
}

static int bnn__tour_init(bnn__tour *v, bnn_tape *t, const bnn_net *net, const bnn_ensemble *post) {
    memset(v, 0, sizeof *v);
    if (t->err != BNN_OK) return 0;
    if (net->params == NULL) bnn__dead_net(t, net, "bnn_predict");
    else if (post != NULL && post->count == 0)
        bnn__fail(t, BNN_EARG, "bnn_predict: the ensemble has no samples");
    else if (post != NULL && post->samples.cols != net->params->n)
        bnn__fail(t, BNN_ESHAPE, "bnn_predict: samples have %z weights, the net has %z",
                  post->samples.cols, net->params->n);
    if (t->err != BNN_OK) return 0;
    v->t = t;
    v->who = "bnn_predict";
    v->post = post;
    v->samples = post == NULL ? 1 : post->count;
    v->view = *net->params;
    v->view.grad = NULL; /* no node wants a gradient */
    v->net = *net;
    v->net.params = &v->view;
    bnn__tour_weights(v);
    return t->err == BNN_OK;
}

static bnn_var *bnn__tour_answer(bnn__tour *v, size_t s, bnn_mat x) {
    int training = v->t->training;
    bnn_var *out;
    if (v->post != NULL) v->view.theta = v->post->samples.data + s * v->post->samples.cols;
    v->t->training = 0;
    out = bnn_net_forward(&v->net, bnn_input(v->t, x));
    v->t->training = training;
    return out;
}

/* ---- gaps */

static int bnn__row_finite(bnn_mat x, size_t row) {
    return bnn__v_finite(x.cols, x.data + row * x.cols);
}

/* Does x have NaN or inf? A note says where. */
static int bnn__has_gaps(const bnn__tour *v, const char *name, bnn_mat x) {
    size_t i, j, r, rows = 0;
    if (!bnn__where(x, &i, &j)) return 0;
    for (r = 0; r < x.rows; r++) rows += !bnn__row_finite(x, r);
    bnn__note(v->t, "%s: %s is %g in row %z, column %z; not finite in %z rows, whose answers are "
              "NaN: fill in or drop what is missing", v->who, name,
              (double)x.data[i * x.cols + j], i, j, rows);
    return 1;
}

/* Rows of the block, with 0 in the gaps */
static bnn_mat bnn__block_of(const bnn__tour *v, bnn_mat x, int gaps) {
    bnn_mat b = bnn_mat_rows(x, v->first, v->rows);
    size_t i, n = bnn__mat_size(b);
    float *to;
    if (!gaps) return b;
    to = bnn__floats(v->t, n);
    if (to == NULL) return bnn__mat(0, 0, NULL);
    for (i = 0; i < n; i++) to[i] = bnn__finite(b.data[i]) ? b.data[i] : 0;
    b.data = to;
    return b;
}

/* NaN where the row of x has a gap; out may hold the rows of x several times */
static void bnn__blank(bnn_mat out, bnn_mat x) {
    size_t i, j;
    for (i = 0; i < out.rows; i++) {
        if (bnn__row_finite(x, i % x.rows)) continue;
        for (j = 0; j < out.cols; j++) out.data[i * out.cols + j] = (float)bnn__nan();
    }
}

/* ---- the tour */

/* One row tells how many columns an answer has. */
static int bnn__tour_over(bnn__tour *v, bnn_mat x, size_t block) {
    bnn__time now = bnn__now(v->t);
    v->x = x;
    v->block = x.rows < block ? x.rows : block;
    v->gaps = bnn__has_gaps(v, "x", x);
    v->rows = x.rows > 0;
    v->cols = bnn__tour_answer(v, 0, bnn__block_of(v, x, v->gaps))->val.cols;
    v->k = bnn__likelihood(&v->net) == BNN_GAUSSIAN_HETERO ? v->cols / 2 : v->cols;
    v->rows = 0;
    bnn__back_to(v->t, now);
    return v->t->err == BNN_OK;
}

static int bnn__tour_open(bnn__tour *v, bnn_tape *t, const bnn_net *net, const bnn_ensemble *post,
                          bnn_mat x, size_t block) {
    return bnn__tour_init(v, t, net, post) && bnn__has_data(t, v->who, x) &&
           bnn__tour_over(v, x, block);
}

/* Every member must answer: NaN is an error, inf where it means nothing (classes: if none is
 * possible or more than possible) */
static void bnn__tour_check(bnn__tour *v, const char *what, bnn_mat a, int inf_too) {
    int classes = bnn__likelihood(&v->net) == BNN_CATEGORICAL;
    size_t i, j;
    if (v->t->err != BNN_OK || bnn__v_finite(bnn__mat_size(a), a.data)) return;
    for (i = 0; i < a.rows; i++) {
        const float *row = a.data + i * a.cols;
        int top = inf_too || (classes && !bnn__finite(bnn__row_max(a.cols, row)));
        for (j = 0; j < a.cols; j++) {
            if (bnn__finite(row[j]) || !(top || bnn__is_nan((double)row[j]))) continue;
            bnn__fail(v->t, BNN_ENONFINITE, "%s: sample %z, row %z, column %z: the %s is %g: "
                      "weights that are not finite, logits of -inf alone, or too large for a "
                      "float", v->who, v->s, v->first + i, j, what, (double)row[j]);
        }
    }
}

/* NaN in every result where the row of x has a gap */
static void bnn__tour_blank(bnn__tour *v, bnn_mat x) {
    bnn_predictive *p = &v->p;
    bnn__blank(p->mean, x);
    bnn__blank(p->aleatoric, x);
    bnn__blank(p->epistemic, x);
    bnn__blank(p->entropy, x);
    bnn__blank(p->expected_entropy, x);
    bnn__blank(p->mutual_information, x);
}

/* `visit` for every sample of every block of rows, with v->out its answer and so many v->sums, and
 * `close`, if given, behind the last one of a block. After an error v->p is empty. */
static void bnn__tour_run(bnn__tour *v, const bnn_arena *mem, size_t sums,
                          void (*visit)(bnn__tour *v), void (*close)(bnn__tour *v)) {
    bnn_tape *t = v->t;
    bnn__time base = bnn__now(t), start;
    if (mem == NULL) bnn__fail(t, BNN_EARG, "%s: no arena", v->who);
    else if (mem->err != BNN_OK) bnn__fail(t, mem->err, "%s: %s", v->who, mem->msg);
    v->sums = (double *)bnn__scratch(t, sums, sizeof(double));
    start = bnn__now(t);
    for (v->first = 0; t->err == BNN_OK && v->first < v->x.rows; v->first += v->rows) {
        v->rows = v->x.rows - v->first < v->block ? v->x.rows - v->first : v->block;
        v->seen = 0;
        for (v->s = 0; t->err == BNN_OK && v->s < v->samples; v->s++) {
            v->weight = bnn__tour_weight(v, v->s) / v->total;
            v->seen += v->weight;
            v->out = bnn__tour_answer(v, v->s, bnn__block_of(v, v->x, v->gaps));
            bnn__tour_check(v, "output", v->out->val, 0);
            if (t->err == BNN_OK) visit(v);
            bnn__back_to(t, start);
        }
        if (t->err == BNN_OK && close != NULL) close(v);
        if (t->err == BNN_OK) bnn__report(t, v->first + v->rows, v->x.rows);
    }
    bnn__back_to(t, base);
    if (t->err != BNN_OK) memset(&v->p, 0, sizeof v->p);
    if (v->gaps) bnn__tour_blank(v, v->x);
    if (v->y_gaps) bnn__tour_blank(v, v->y);
}

/* ---- moments */

/* Mean (a location, a rate) of y under one set of weights, in units of y; *log_var where the noise
 * is Gaussian, else NULL */
static bnn_var *bnn__location(const bnn_net *net, bnn_var *out, bnn_var **log_var) {
    *log_var = NULL;
    switch (bnn__likelihood(net)) {
    case BNN_CATEGORICAL: return bnn_softmax(out);
    case BNN_BERNOULLI: return bnn_sigmoid(out);
    case BNN_POISSON: return bnn_exp(out);
    default: return bnn__units(net, out, log_var);
    }
}

/* Mean and variance of y under one set of weights, in units of y. */
static void bnn__moments(const bnn_net *net, bnn_var *out, bnn_mat *mean, bnn_mat *var) {
    bnn_var *a, *m = bnn__location(net, out, &a);
    bnn_var *v = bnn_op(out->tape, m->val.rows, m->val.cols, NULL, 0, NULL);
    size_t i, n = bnn__mat_size(v->val), k = v->val.cols;
    double s = (double)bnn__noise_std(net), nu = (double)bnn__nu(net);
    int lik = bnn__likelihood(net);
    for (i = 0; i < n; i++) {
        float p = m->val.data[i], *to = v->val.data + i;
        if (lik == BNN_CATEGORICAL || lik == BNN_BERNOULLI) *to = p * (1 - p);
        else if (lik == BNN_POISSON) *to = p;
        else if (lik == BNN_DOUBLE_EXPONENTIAL) *to = (float)(2 * s * s);
        else if (lik == BNN_STUDENT) *to = (float)(nu > 2 ? s * s * nu / (nu - 2) : bnn__inf());
        else p = bnn__spread(a->val, i / k, i % k), *to = BNN_MATH_EXP(p);
    }
    *mean = m->val;
    *var = v->val;
}

/* Entropy in nats of a row: categorical, or the sum over independent Bernoullis. 0 ln 0 = 0, NaN
 * stays. */
static double bnn__entropy(int likelihood, size_t k, const double *p) {
    double h = 0;
    size_t j;
    for (j = 0; j < k; j++) {
        if (bnn__is_nan(p[j])) return p[j];
        if (p[j] > 0) h -= p[j] * bnn__dlog(p[j]);
        if (likelihood == BNN_BERNOULLI && p[j] < 1) h -= (1 - p[j]) * bnn__dlog1p(-p[j]);
    }
    return h;
}

/* Sums of one block in v->sums: mean, m2 (Welford's recursion) and variance of every entry; an
 * entropy of every row; a row of k. */
static size_t bnn__moments_size(size_t rows, size_t k) {
    return bnn__mul(rows, bnn__mul(3, k) + 1) + k;
}

static void bnn__moments_add(bnn__tour *v) {
    bnn_mat m, var;
    size_t i, j, k = v->k;
    double *at = v->sums, *entropy = at + 3 * v->rows * k, *row = entropy + v->rows, share;
    bnn__moments(&v->net, v->out, &m, &var);
    bnn__tour_check(v, "mean", m, 1);
    if (v->t->err != BNN_OK) return;
    if (v->s == 0) memset(v->sums, 0, bnn__moments_size(v->rows, k) * sizeof(double));
    if (v->weight <= 0) return;
    share = v->weight / v->seen; /* 1 for the first: equal members have variance 0 exactly */
    for (i = 0; i < v->rows; i++) {
        for (j = 0; j < k; j++, at += 3) {
            double d;
            row[j] = (double)m.data[i * k + j];
            d = row[j] - at[0];
            at[0] += d * share;
            at[1] += v->weight * d * (row[j] - at[0]);
            at[2] += v->weight * (double)var.data[i * k + j];
        }
        if (v->p.entropy.data != NULL)
            entropy[i] += v->weight * bnn__entropy(bnn__likelihood(&v->net), k, row);
    }
}

static void bnn__moments_close(bnn__tour *v) {
    bnn_predictive *p = &v->p;
    size_t i, j, k = v->k, to = v->first * k;
    double *at = v->sums, *entropy = at + 3 * v->rows * k, *row = entropy + v->rows;
    for (i = 0; i < v->rows; i++) {
        double total, expected = entropy[i] / v->seen;
        for (j = 0; j < k; j++, to++, at += 3) {
            row[j] = at[0];
            p->mean.data[to] = (float)at[0];
            p->epistemic.data[to] = (float)(at[1] / v->seen);
            p->aleatoric.data[to] = (float)(at[2] / v->seen);
        }
        if (p->entropy.data == NULL) continue;
        total = bnn__entropy(bnn__likelihood(&v->net), k, row);
        p->entropy.data[v->first + i] = (float)total;
        p->expected_entropy.data[v->first + i] = (float)expected;
        p->mutual_information.data[v->first + i] = (float)(total < expected ? 0 : total - expected);
    }
}

static void bnn__variance_note(const bnn__tour *v, const char *which, bnn_mat a, int noise) {
    int student = noise && bnn__likelihood(&v->net) == BNN_STUDENT && bnn__nu(&v->net) <= 2;
    size_t i = 0, n = bnn__mat_size(a);
    while (i < n && (bnn__finite(a.data[i]) || bnn__is_nan((double)a.data[i]))) i++;
    if (i == n) return;
    bnn__note(v->t, "bnn_predict: %s variances are inf: %s; bnn_predict_quantile needs none", which,
              student ? "a Student has one for nu > 2 alone" : "too large for a float");
}

static bnn_predictive bnn__predictive_new(bnn_arena *mem, int likelihood, size_t n, size_t k) {
    bnn_predictive p;
    memset(&p, 0, sizeof p);
    p.mean = bnn_mat_new(mem, n, k);
    p.aleatoric = bnn_mat_new(mem, n, k);
    p.epistemic = bnn_mat_new(mem, n, k);
    if (likelihood != BNN_CATEGORICAL && likelihood != BNN_BERNOULLI) return p;
    p.entropy = bnn_mat_new(mem, n, 1);
    p.expected_entropy = bnn_mat_new(mem, n, 1);
    p.mutual_information = bnn_mat_new(mem, n, 1);
    return p;
}

BNNDEF bnn_predictive bnn_predict(bnn_arena *mem, bnn_tape *t, const bnn_net *net,
                                  const bnn_ensemble *post, bnn_mat x) {
    bnn__tour v;
    bnn_predictive *p = &v.p;
    if (!bnn__tour_open(&v, t, net, post, x, BNN__PREDICT_ROWS)) return *p;
    *p = bnn__predictive_new(mem, bnn__likelihood(net), x.rows, v.k);
    bnn__tour_run(&v, mem, bnn__moments_size(v.block, v.k), bnn__moments_add, bnn__moments_close);
    bnn__variance_note(&v, "aleatoric", p->aleatoric, 1);
    bnn__variance_note(&v, "epistemic", p->epistemic, 0);
    return *p;
}

static void bnn__log_lik_add(bnn__tour *v) {
    bnn_mat y = bnn__block_of(v, v->y, v->y_gaps);
    bnn_var *nll = bnn__nll_rows(&v->net, v->out, bnn_input(v->t, y));
    size_t i;
    bnn__tour_check(v, "ln p", nll->val, 0);
    if (v->t->err != BNN_OK) return;
    for (i = 0; i < v->rows; i++) {
        double *sum = &v->sums[i], one = bnn__dlog(v->weight) - (double)nll->val.data[i];
        if (v->s == 0) *sum = -bnn__inf();
        if (v->weight > 0 && one > -bnn__inf()) { /* ln(e^sum + e^one) */
            double top = one > *sum ? one : *sum;
            *sum = top + bnn__dlog1p(bnn__dexp(one > *sum ? *sum - top : one - top));
        }
        v->p.mean.data[v->first + i] = (float)*sum;
    }
}

BNNDEF bnn_mat bnn_predict_log_lik(bnn_arena *mem, bnn_tape *t, const bnn_net *net,
                                   const bnn_ensemble *post, bnn_data d) {
    bnn__tour v;
    if (t->err == BNN_OK && d.x.rows != d.y.rows)
        bnn__fail(t, BNN_ESHAPE, "bnn_predict_log_lik: %z inputs, %z targets", d.x.rows, d.y.rows);
    if (!bnn__has_data(t, "bnn_predict_log_lik", d.y) ||
        !bnn__tour_open(&v, t, net, post, d.x, BNN__PREDICT_ROWS))
        return bnn__mat(0, 0, NULL);
    v.y = d.y;
    v.y_gaps = bnn__has_gaps(&v, "y", d.y);
    v.p.mean = bnn_mat_new(mem, d.x.rows, 1);
    bnn__tour_run(&v, mem, v.block, bnn__log_lik_add, NULL);
    return v.p.mean;
}

/* ---- quantiles */

/* The distribution function of one member at y; of counts the location is the rate */
static double bnn__member_cdf(const bnn_net *net, double y, double location, double scale) {
    double z = (y - location) / scale, nu = (double)bnn__nu(net), tail;
    switch (bnn__likelihood(net)) {
    case BNN_POISSON: /* beyond 1e8 as good as normal, as far as a float can tell */
        if (location < 1e8) return bnn_gamma_q(y + 1, location);
        return bnn_normal_cdf((y + 0.5 - location) / sqrt(location));
    case BNN_DOUBLE_EXPONENTIAL: tail = 0.5 * bnn__dexp(-fabs(z)); break;
    case BNN_STUDENT:
        if (nu > 1e8) return bnn_normal_cdf(z);
        tail = z * z < nu ? 0.5 - 0.5 * bnn_beta_i(0.5, nu / 2, z * z / (nu + z * z))
                          : 0.5 * bnn_beta_i(nu / 2, 0.5, nu / (nu + z * z));
        break;
    default: return bnn_normal_cdf(z);
    }
    return z < 0 ? tail : 1 - tail;
}

typedef struct bnn__members { /* what a bisection needs of n members */
    const bnn_net *net;
    size_t n;
    const double *location, *scale, *weight;
} bnn__members;

/* Where the distribution function passes q between lo and hi, whole numbers for counts */
static double bnn__bisect(const bnn__members *x, double q, double lo, double hi) {
    int i, counts = bnn__likelihood(x->net) == BNN_POISSON;
    size_t s;
    for (i = 0; i < 200 && hi > lo; i++) {
        double mid = lo + (hi - lo) / 2, cdf = 0;
        if (counts) mid = floor(mid);
        if (mid <= lo || mid >= hi) break;
        for (s = 0; s < x->n; s++)
            if (x->weight[s] > 0)
                cdf += x->weight[s] * bnn__member_cdf(x->net, mid, x->location[s], x->scale[s]);
        if (cdf < q) lo = mid;
        else hi = mid;
    }
    return counts || !(hi > lo) ? hi : lo + (hi - lo) / 2;
}

/* Quantile q of a member with location 0 and scale 1; of counts a bound */
static double bnn__member_quantile(const bnn_net *net, double q) {
    static const double zero = 0, one = 1;
    double p = q < 0.5 ? q : 1 - q, reach = 1, z = 0;
    int lik = bnn__likelihood(net);
    bnn__members x;
    if (lik == BNN_POISSON) return sqrt(q / (1 - q));
    if (lik != BNN_DOUBLE_EXPONENTIAL && lik != BNN_STUDENT) return bnn_normal_quantile(q);
    if (lik == BNN_DOUBLE_EXPONENTIAL) z = bnn__dlog(2 * p);
    else if (p < 0.5) {
        x.net = net, x.n = 1, x.location = &zero, x.scale = x.weight = &one;
        while (bnn__finite_d(reach) && bnn__member_cdf(net, -reach, 0, 1) > p) reach *= 2;
        z = bnn__finite_d(reach) ? bnn__bisect(&x, p, -reach, 0) : -reach;
    }
    return q < 0.5 ? z : -z;
}

/* z = bnn__member_quantile */
static double bnn__mixture_quantile(const bnn__members *x, double q, double z) {
    double lo = bnn__inf(), hi = -bnn__inf();
    size_t s;
    for (s = 0; s < x->n; s++) {
        double at = x->location[s] + z * x->scale[s];
        if (x->weight[s] <= 0) continue;
        lo = at < lo ? at : lo;
        hi = at > hi ? at : hi;
    }
    if (bnn__likelihood(x->net) == BNN_POISSON) lo = -1, hi = floor(hi) + 1;
    return bnn__bisect(x, q, lo, hi);
}

/* In v->sums: a weight of every sample; of every entry n locations, and after them n scales */
static void bnn__quantile_add(bnn__tour *v) {
    size_t i, n = v->samples, count = v->rows * v->k;
    double *location = v->sums + n, *scale = location + count * n, s;
    bnn_var *a, *m = bnn__location(&v->net, v->out, &a);
    bnn__tour_check(v, "mean", m->val, 1);
    if (v->t->err != BNN_OK) return;
    v->sums[v->s] = v->weight;
    for (i = 0; i < count; i++) {
        double at = (double)m->val.data[i];
        s = (double)bnn__noise_std(&v->net);
        if (a != NULL) s = bnn__dexp(0.5 * (double)bnn__spread(a->val, i / v->k, i % v->k));
        location[i * n + v->s] = at;
        scale[i * n + v->s] = bnn__likelihood(&v->net) == BNN_POISSON ? sqrt(at) : s;
    }
}

static void bnn__quantile_close(bnn__tour *v) {
    size_t i, count = v->rows * v->k;
    bnn__members mix;
    mix.net = &v->net;
    mix.n = v->samples;
    mix.weight = v->sums;
    for (i = 0; i < count; i++) {
        mix.location = mix.weight + (1 + i) * mix.n;
        mix.scale = mix.location + count * mix.n;
        v->p.mean.data[v->first * v->k + i] = (float)bnn__mixture_quantile(&mix, v->q, v->z);
    }
}

BNNDEF bnn_mat bnn_predict_quantile(bnn_arena *mem, bnn_tape *t, const bnn_net *net,
                                    const bnn_ensemble *post, bnn_mat x, float q) {
    enum { ROWS = 32 }; /* every sample's location and scale are kept for a block */
    bnn__tour v;
    int lik = bnn__likelihood(net);
    if (!(q > 0 && q < 1) || lik == BNN_BERNOULLI || lik == BNN_CATEGORICAL)
        bnn__fail(t, BNN_EARG, "bnn_predict_quantile: q is %g, likelihood %d: q must be in "
                  "(0,1), classes have no quantile", (double)q, lik);
    if (!bnn__tour_open(&v, t, net, post, x, ROWS)) return v.p.mean;
    v.q = (double)q;
    v.z = bnn__member_quantile(net, v.q);
    v.p.mean = bnn_mat_new(mem, x.rows, v.k);
    bnn__tour_run(&v, mem, bnn__mul(v.samples, bnn__mul(2 * ROWS, v.k) + 1), bnn__quantile_add,
                  bnn__quantile_close);
    return v.p.mean;
}

static void bnn__samples_add(bnn__tour *v) {
    bnn_var *both[2], *y = v->out;
    int lik = bnn__likelihood(&v->net);
    if (lik < BNN_BERNOULLI) y = both[0] = bnn__units(&v->net, v->out, &both[1]);
    if (lik == BNN_GAUSSIAN_HETERO) y = bnn_concat(v->t, 2, both);
    if (v->t->err != BNN_OK) return;
    memcpy(v->p.mean.data + (v->s * v->x.rows + v->first) * v->cols, y->val.data,
           bnn__mat_size(y->val) * sizeof(float));
}

BNNDEF bnn_mat bnn_predict_samples(bnn_arena *mem, bnn_tape *t, const bnn_net *net,
                                   const bnn_ensemble *post, bnn_mat x) {
    bnn__tour v;
    if (!bnn__tour_open(&v, t, net, post, x, BNN__PREDICT_ROWS)) return v.p.mean;
    v.p.mean = bnn_mat_new(mem, bnn__mul(v.samples, x.rows), v.cols);
    bnn__tour_run(&v, mem, 0, bnn__samples_add, NULL);
    return v.p.mean;
}
/* ------------------------------------------------------------------------------------------------
 * >>moments: a mean field in one pass
 *
 * Units are independent normals N(m, v), weights N(w, s^2):
 *     affine      m' = b + sum w m;  v' = s_b^2 + sum (s^2 (m^2 + v) + w^2 v)
 *     relu        a = m/sqrt v, P = Phi(a), p = phi(a):  m' = m P + sqrt v p
 *                 v' = v P + m^2 P(1 - P) + m sqrt v p (1 - 2P) - v p^2
 *     leaky relu  c x + (1 - c) relu(x), whose covariance with relu(x) is v P
 *     others      Gauss-Hermite, 8 points
 *     e^z         E = e^(m + v/2), variance E^2 (e^v - 1);  sigmoid and its entropy: 8 points
 *     softmax     and its entropy: the mean over the 2k points m +- sqrt(k v_j) e_j, a cubature of
 *                 degree 3 (Arasaratnam and Haykin 2009)
 * --------------------------------------------------------------------------------------------- */

enum { BNN__HERMITE = 8 };

static double bnn__hermite_point(int i, double *weight) {
    static const double z[] = { 0.539079811351375108, 1.63651904243510800, 2.80248586128754170,
                                4.14454718612589433 };
    static const double w[] = { 0.373012257679077349, 0.117239907661759026, 9.63522012078826719e-3,
                                1.12614538375367770e-4 };
    *weight = w[i / 2];
    return i % 2 != 0 ? -z[i / 2] : z[i / 2];
}

static void bnn__relu_moments(double *m, double *v, double slope) {
    double s = sqrt(*v), a = s > 0 ? *m / s : *m > 0 ? 9 : -9, P, p, mean, var;
    if (a > 5 || a < -5) { /* as good as all on one side */
        if (a < 0) *m *= slope, *v *= slope * slope;
        return;
    }
    P = bnn_normal_cdf(a);
    p = bnn__dexp(-a * a / 2) / sqrt(2 * BNN__PI);
    mean = *m * P + s * p;
    var = *v * P + *m * *m * P * (1 - P) + *m * s * p * (1 - 2 * P) - *v * p * p;
    *m = slope * *m + (1 - slope) * mean;
    *v = slope * slope * *v + 2 * slope * (1 - slope) * *v * P + (1 - slope) * (1 - slope) * var;
}

static void bnn__activation_moments(int activation, double *m, double *v) {
    double mean = 0, square = 0, w, first = 0;
    int i;
    if (activation == BNN_IDENTITY) return;
    if (activation == BNN_RELU || activation == BNN_LEAKY_RELU) {
        bnn__relu_moments(m, v, activation == BNN_RELU ? 0 : 0.01);
        return;
    }
    for (i = 0; i < BNN__HERMITE; i++) { /* around the first, so that little is canceled */
        double z = bnn__hermite_point(i, &w), f;
        f = (double)bnn__activation_at(activation, (float)(*m + sqrt(*v) * z));
        if (i == 0) first = f;
        mean += w * (f - first);
        square += w * (f - first) * (f - first);
    }
    *m = first + mean;
    *v = square > mean * mean ? square - mean * mean : 0;
}

typedef struct bnn__mean_net { /* a net, and the mean and sd of all its weights */
    const bnn_net *net;
    const float *mean, *std;
    double *m, *v, *to_m, *to_v; /* of a layer's input and output, as wide as the widest */
} bnn__mean_net;

/* sd of the weights; NULL = the tape's err is set */
static const float *bnn__moments_std(bnn_tape *t, const char *who, const bnn_net *net,
                                     const bnn_meanfield *q) {
    float *s = NULL, floor;
    size_t i;
    if (net->mlp == NULL || net->params == NULL || q->of != net->params ||
        bnn__meanfield_fault(q) != NULL) {
        bnn__fail(t, BNN_EARG, "%s: moments need a bnn_mlp, and a mean field of its parameters",
                  who);
        return NULL;
    }
    bnn__sigma(q);
    floor = bnn__sigma_end(q, 0);
    s = bnn__floats(t, q->n);
    for (i = 0; s != NULL && i < q->n; i++)
        s[i] = q->posterior != BNN_POSTERIOR_DELTA && q->sigma[i] > floor ? q->sigma[i] : 0;
    return s;
}

/* Standardized outputs of one standardized row, in q->m and q->v */
static void bnn__moments_layers(bnn__mean_net *q) {
    const struct bnn__mlp *d = q->net->mlp;
    const bnn_params *w = q->net->params;
    size_t l, i, j;
    for (l = 0; l < d->n_layers; l++) {
        bnn_mat a = bnn__layer(w, d, l, 0), b = bnn__layer(w, d, l, 1);
        double *swap;
        for (j = 0; j < a.cols; j++) {
            size_t at = (size_t)(a.data - w->theta) + j;
            size_t bias = b.data != NULL ? (size_t)(b.data - w->theta) + j : 0;
            double m = b.data != NULL ? (double)q->mean[bias] : 0, s, v, mu;
            s = b.data != NULL ? (double)q->std[bias] : 0;
            for (v = s * s, i = 0; i < a.rows; i++, at += a.cols) {
                mu = (double)q->mean[at], s = (double)q->std[at];
                m += q->m[i] * mu;
                v += s * s * (q->m[i] * q->m[i] + q->v[i]) + mu * mu * q->v[i];
            }
            if (l + 1 < d->n_layers) bnn__activation_moments(d->desc.activations[l], &m, &v);
            q->to_m[j] = m, q->to_v[j] = v;
        }
        swap = q->m, q->m = q->to_m, q->to_m = swap;
        swap = q->v, q->v = q->to_v, q->to_v = swap;
    }
}

/* p becomes the mean of a law on k classes, or of k of yes and no; returns its expected entropy */
static double bnn__moments_classes(bnn__mean_net *q, size_t k, double *p) {
    size_t j, c, points = 2 * k;
    double h = 0, w, z;
    int i, yes = bnn__likelihood(q->net) == BNN_BERNOULLI;
    memset(p, 0, k * sizeof *p);
    for (c = 0; yes && c < k; c++)
        for (i = 0; i < BNN__HERMITE; i++) {
            z = q->m[c] + bnn__hermite_point(i, &w) * sqrt(q->v[c]);
            z = 1 / (1 + bnn__dexp(-z));
            p[c] += w * z;
            h += w * bnn__entropy(BNN_BERNOULLI, 1, &z);
        }
    for (c = 0; !yes && c < points; c++) {
        double *e = q->to_m, at = q->m[c / 2], step = sqrt((double)k * q->v[c / 2]);
        double top = -bnn__inf(), sum = 0;
        q->m[c / 2] = c % 2 != 0 ? at - step : at + step;
        for (j = 0; j < k; j++) top = q->m[j] > top ? q->m[j] : top;
        for (j = 0; j < k; j++) sum += e[j] = bnn__dexp(q->m[j] - top);
        for (j = 0; j < k; j++) p[j] += (e[j] /= sum) / (double)points;
        h += bnn__entropy(BNN_CATEGORICAL, k, e) / (double)points;
        q->m[c / 2] = at;
    }
    return h;
}

/* E e^a with a ~ N(m, v), within the bounds of what is learned */
static double bnn__moments_noise(double m, double v) { return bnn__dexp(bnn__log_var(m + v / 2)); }

/* Row r of the answer from q->m and q->v. constant: variances (1,k) that no weight changes */
static void bnn__moments_row(bnn__mean_net *q, bnn_predictive *p, size_t r, bnn_mat constant) {
    const bnn_net *net = q->net;
    int lik = bnn__likelihood(net), classes = p->entropy.data != NULL;
    size_t j, k = p->mean.cols;
    double h = 0, *prob = q->to_v;
    if (classes) h = bnn__moments_classes(q, k, prob);
    for (j = 0; j < k; j++) {
        double m = q->m[j], v = q->v[j], noise = (double)constant.data[j], scale = 1;
        if (classes) m = prob[j], noise = m * (1 - m), v = 0;
        else if (lik == BNN_POISSON)
            noise = m = bnn__dexp(m + v / 2), v = m * m * bnn__dexpm1(v);
        else if (net->scaling.y_std.data != NULL) {
            scale = (double)net->scaling.y_std.data[j];
            m = m * scale + (double)net->scaling.y_mean.data[j], v *= scale * scale;
        }
        if (lik == BNN_GAUSSIAN_HETERO)
            noise = scale * scale * bnn__moments_noise(q->m[k + j], q->v[k + j]);
        else if (lik == BNN_GAUSSIAN && net->noise_learned) {
            size_t at = net->params->blocks[net->noise].offset;
            double s = (double)q->std[at];
            noise = scale * scale * bnn__moments_noise((double)q->mean[at], s * s);
        }
        p->mean.data[r * k + j] = (float)m;
        p->aleatoric.data[r * k + j] = (float)noise;
        p->epistemic.data[r * k + j] = (float)v;
    }
    if (!classes) return;
    p->entropy.data[r] = (float)bnn__entropy(lik, k, prob);
    p->expected_entropy.data[r] = (float)h;
    p->mutual_information.data[r] = p->entropy.data[r] - (float)h;
    if (p->mutual_information.data[r] < 0) p->mutual_information.data[r] = 0;
}

/* The widest layer, inputs and outputs among them */
static size_t bnn__mlp_width(const struct bnn__mlp *m) {
    size_t l, width = 0;
    for (l = 0; l <= m->n_layers; l++)
        if (m->desc.sizes[l] > width) width = m->desc.sizes[l];
    return width;
}

/* mean and std: of all weights of v's net */
static void bnn__moments_run(bnn__tour *v, bnn_arena *mem, const float *mean, const float *std) {
    bnn_mat x = v->x, constant, none;
    size_t i, r, wide = bnn__mlp_width(v->net.mlp);
    const bnn_scaling *s = &v->net.scaling;
    double *room = (double *)bnn__scratch(v->t, bnn__mul(4, wide), sizeof(double));
    bnn__mean_net q;
    q.net = &v->net, q.mean = mean, q.std = std;
    v->p = bnn__predictive_new(mem, bnn__likelihood(q.net), x.rows, v->k);
    bnn__moments(q.net, bnn_op(v->t, 1, v->cols, NULL, 0, NULL), &none, &constant);
    if (mem->err != BNN_OK) bnn__fail(v->t, mem->err, "bnn_predict_moments: %s", mem->msg);
    for (r = 0; v->t->err == BNN_OK && r < x.rows; r++) {
        const float *row = x.data + r * x.cols;
        q.m = room, q.v = q.m + wide, q.to_m = q.v + wide, q.to_v = q.to_m + wide;
        for (i = 0; i < x.cols; i++) {
            float to = bnn__finite(row[i]) ? row[i] : 0;
            if (s->x_mean.data != NULL) to = (to - s->x_mean.data[i]) / s->x_std.data[i];
            q.m[i] = (double)to, q.v[i] = 0;
        }
        bnn__moments_layers(&q);
        bnn__moments_row(&q, &v->p, r, constant);
        bnn__report(v->t, r + 1, x.rows);
    }
    if (v->t->err != BNN_OK) memset(&v->p, 0, sizeof v->p);
    if (v->gaps) bnn__tour_blank(v, x);
}

BNNDEF bnn_predictive bnn_predict_moments(bnn_arena *mem, bnn_tape *t, const bnn_net *net,
                                          const bnn_meanfield *q, bnn_mat x) {
    bnn__tour v;
    bnn__time start;
    const float *std;
    if (!bnn__tour_open(&v, t, net, NULL, x, BNN__PREDICT_ROWS)) return v.p;
    start = bnn__now(t);
    std = bnn__moments_std(t, "bnn_predict_moments", net, q);
    if (std != NULL) bnn__moments_run(&v, mem, q->params->theta, std);
    bnn__back_to(t, start);
    return v.p;
}

/* ------------------------------------------------------------------------------------------------
 * >>metrics: how good predictions are
 *
 * Classes: prob (n,k), rows sum to 1, label (n,1) in 0..k-1. A single column is the probability
 * (for T* the logit) of class 1 of two, as a Bernoulli net predicts it.
 *     nll      mean -ln p_y                     Brier   mean sum_k (p_k - 1[k = y])^2
 *     ECE      sum_b (n_b/n) |accuracy_b - confidence_b| over bins (b/B, (b+1)/B] of max p, the
 *              first closed; MCE the largest term without n_b/n; equal-count bins by sorting
 *              (Guo et al. 2017)
 *     T*       minimizes the mean nll of softmax(z/T). With c = 1/T it is
 *              f(c) = mean [ln sum_k e^(c z_k) - c z_y], convex: f' = mean [E_p z - z_y],
 *              f'' = mean Var_p z. Newton's method within a bracket of the root of f'.
 * Numbers, one or more columns: rmse, mae, CRPS, intervals and pinball average over all entries,
 * the Gaussian nll sums over columns (a joint density), averages over rows. With z = (y - m)/s:
 *     CRPS     s [z (2 Phi(z) - 1) + 2 phi(z) - 1/sqrt(pi)];  s = 0: |y - m|
 *              of M draws: mean |x_i - y| - sum_{i,j} |x_i - x_j| / (2 M^2), fair: / (2 M (M - 1))
 *     interval u - l + (2/a) (l - y)+ + (2/a) (y - u)+        (Gneiting and Raftery 2007)
 *     pinball  max(q (y - f), (q - 1) (y - f))
 * Ranking: AUROC = P(positive > negative) + P(equal)/2 (Hanley and McNeil 1982).
 * Split conformal: the ceil((n+1)(1-a))-th smallest score, infinite beyond n (Vovk et al. 2005).
 * --------------------------------------------------------------------------------------------- */

static int bnn__numbers(bnn_mat a) { /* at least one, all finite */
    return bnn__mat_ok(a) && bnn__mat_size(a) != 0 && bnn_mat_finite(a);
}

/* Equal shapes, not empty */
static int bnn__paired(bnn_mat a, bnn_mat b) {
    return bnn__mat_ok(a) && bnn__mat_is(b, a.rows, a.cols) && bnn__mat_size(a) != 0;
}

/* The entries of a in mem; NULL = one is NaN, or mem->err */
static double *bnn__doubles(bnn_arena *mem, bnn_mat a) {
    size_t i, n = bnn__mat_size(a);
    double *x = (double *)bnn__arena_take(mem, n, sizeof(double));
    for (i = 0; x != NULL && i < n; i++) {
        x[i] = (double)a.data[i];
        if (bnn__is_nan(x[i])) x = NULL;
    }
    return x;
}

/* The same in ascending order */
static double *bnn__sorted(bnn_arena *mem, bnn_mat a) {
    size_t i, n = bnn__mat_size(a), *index;
    double *key = bnn__doubles(mem, a);
    double *out = (double *)bnn__arena_take(mem, n, sizeof(double));
    index = key != NULL ? bnn__sorted_index(mem, n, key) : NULL;
    if (index == NULL) return NULL;
    for (i = 0; i < n; i++) out[i] = key[index[i]];
    return out;
}

enum { BNN__SQUARE, BNN__ABSOLUTE, BNN__NORMAL_NLL, BNN__NORMAL_CRPS, /* of mean a, variance b */
       BNN__INSIDE, BNN__WIDTH, BNN__INTERVAL, BNN__PINBALL };         /* of an interval, a to b */

/* Score of one entry; par: a of an interval, q of a quantile. NaN is never better than a number. */
static double bnn__score(int kind, double a, double b, double y, double par) {
    double r = y - a, s, z;
    switch (kind) {
    case BNN__SQUARE: return r * r;
    case BNN__ABSOLUTE: return fabs(r);
    case BNN__NORMAL_NLL:
        if (b > 0) return 0.5 * (BNN__LN_2PI + log(b) + r * r / b);
        if (b < 0 || bnn__is_nan(b) || bnn__is_nan(r)) return bnn__nan();
        return r < 0 || r > 0 ? bnn__inf() : -bnn__inf();
    case BNN__NORMAL_CRPS:
        if (b < 0 || bnn__is_nan(b)) return bnn__nan();
        s = sqrt(b);
        if (!(s > 0)) return fabs(r);
        z = fabs(r) / s;
        return fabs(r) * (2 * bnn_normal_cdf(z) - 1) +
               s * (sqrt(2 / BNN__PI) * exp(-0.5 * z * z) - 1 / sqrt(BNN__PI));
    case BNN__INSIDE:
        if (bnn__is_nan(a) || bnn__is_nan(b) || bnn__is_nan(y)) return bnn__nan();
        return a <= y && y <= b;
    case BNN__WIDTH: return b - a;
    case BNN__INTERVAL:
        if (bnn__is_nan(y)) return y;
        return b - a + 2 / par * ((y < a ? a - y : 0) + (y > b ? y - b : 0));
    default: return r < 0 ? (par - 1) * r : par * r;
    }
}

/* Mean over all entries */
static double bnn__mean_score(int kind, bnn_mat a, bnn_mat b, bnn_mat y, double par) {
    size_t i, n = bnn__mat_size(y);
    double sum = 0;
    if (!bnn__paired(a, y) || !bnn__paired(b, y)) return bnn__nan();
    if (kind >= BNN__INTERVAL && !(par > 0 && par < 1)) return bnn__nan();
    for (i = 0; i < n; i++)
        sum += bnn__score(kind, (double)a.data[i], (double)b.data[i], (double)y.data[i], par);
    return sum / (double)n;
}

BNNDEF double bnn_metric_rmse(bnn_mat m, bnn_mat y) {
    return sqrt(bnn__mean_score(BNN__SQUARE, m, m, y, 0));
}

BNNDEF double bnn_metric_mae(bnn_mat m, bnn_mat y) {
    return bnn__mean_score(BNN__ABSOLUTE, m, m, y, 0);
}

BNNDEF double bnn_metric_gaussian_nll(bnn_mat m, bnn_mat v, bnn_mat y) {
    return bnn__mean_score(BNN__NORMAL_NLL, m, v, y, 0) * (double)y.cols;
}

BNNDEF double bnn_metric_gaussian_crps(bnn_mat m, bnn_mat v, bnn_mat y) {
    return bnn__mean_score(BNN__NORMAL_CRPS, m, v, y, 0);
}

BNNDEF double bnn_metric_coverage(bnn_mat lo, bnn_mat hi, bnn_mat y) {
    return bnn__mean_score(BNN__INSIDE, lo, hi, y, 0);
}

BNNDEF double bnn_metric_width(bnn_mat lo, bnn_mat hi) {
    return bnn__mean_score(BNN__WIDTH, lo, hi, lo, 0);
}

BNNDEF double bnn_metric_interval_score(bnn_mat lo, bnn_mat hi, bnn_mat y, double alpha) {
    return bnn__mean_score(BNN__INTERVAL, lo, hi, y, alpha);
}

BNNDEF double bnn_metric_pinball(bnn_mat f, bnn_mat y, double q) {
    return bnn__mean_score(BNN__PINBALL, f, f, y, q);
}

static size_t bnn__classes(bnn_mat p) { return p.cols == 1 ? 2 : p.cols; }

static double bnn__class_prob(bnn_mat p, size_t row, size_t k) {
    double v = (double)p.data[p.cols == 1 ? row : row * p.cols + k];
    return p.cols == 1 && k == 0 ? 1 - v : v;
}

static size_t bnn__top_class(bnn_mat p, size_t row) {
    return p.cols == 1 ? (size_t)((double)p.data[row] > 0.5) : bnn_mat_row_argmax(p, row);
}

static size_t bnn__label_of(bnn_mat label, size_t row, size_t classes) {
    double v = (double)label.data[row];
    if (!(v >= 0) || !(v < (double)classes) || v != floor(v)) return BNN__NONE;
    return (size_t)v;
}

/* Finite numbers, one valid label per row, at least one row */
static int bnn__labeled(bnn_mat p, bnn_mat label) {
    size_t i;
    if (!bnn__numbers(p) || !bnn__numbers(label) || !bnn__mat_is(label, p.rows, 1)) return 0;
    for (i = 0; i < p.rows; i++)
        if (bnn__label_of(label, i, bnn__classes(p)) == BNN__NONE) return 0;
    return 1;
}

/* At least one row of probabilities: in [0,1] but for rounding, their sum 1 to three digits */
static int bnn__probs(bnn_mat p) {
    size_t i, k;
    if (!bnn__numbers(p)) return 0;
    for (i = 0; i < p.rows; i++) {
        double sum = 0;
        for (k = 0; k < bnn__classes(p); k++) {
            double v = bnn__class_prob(p, i, k);
            if (v < -1e-6 || v > 1 + 1e-6) return 0;
            sum += v;
        }
        if (fabs(sum - 1) > 1.001e-3) return 0;
    }
    return 1;
}

static int bnn__classified(bnn_mat prob, bnn_mat label) {
    return bnn__labeled(prob, label) && bnn__probs(prob);
}

static double bnn__divergence(double p, double q) { /* p ln p/q; 0 ln 0 = 0, whatever q */
    if (!(p > 0)) return 0;
    return q > 0 ? p * (log(p) - log(q)) : bnn__inf();
}

enum { BNN__WRONG, BNN__NLL, BNN__BRIER,          /* of probabilities and labels */
       BNN__AGREE, BNN__VARIATION, BNN__KL };     /* of two sets of them         */

static double bnn__row_score(int kind, bnn_mat p, bnn_mat q, size_t i) {
    size_t k, classes = bnn__classes(p), y = BNN__NONE;
    double sum = 0;
    if (kind < BNN__AGREE) y = bnn__label_of(q, i, classes);
    if (kind == BNN__WRONG) return bnn__top_class(p, i) != y;
    if (kind == BNN__AGREE) return bnn__top_class(p, i) == bnn__top_class(q, i);
    for (k = 0; k < classes; k++) {
        double a = bnn__class_prob(p, i, k), b = k == y;
        if (kind > BNN__AGREE) b = bnn__class_prob(q, i, k);
        switch (kind) {
        case BNN__NLL: sum += bnn__divergence(b, a); break;
        case BNN__BRIER: sum += (a - b) * (a - b); break;
        case BNN__VARIATION: sum += 0.5 * fabs(a - b); break;
        default: sum += bnn__divergence(a, b); break;
        }
    }
    return sum;
}

/* Mean over the rows */
static double bnn__row_mean(int kind, bnn_mat p, bnn_mat q) {
    size_t i;
    double sum = 0;
    if (kind < BNN__AGREE ? !bnn__classified(p, q)
                          : !bnn__paired(p, q) || !bnn__probs(p) || !bnn__probs(q))
        return bnn__nan();
    for (i = 0; i < p.rows; i++) sum += bnn__row_score(kind, p, q, i);
    return sum / (double)p.rows;
}

BNNDEF double bnn_metric_error(bnn_mat p, bnn_mat y) { return bnn__row_mean(BNN__WRONG, p, y); }
BNNDEF double bnn_metric_nll(bnn_mat p, bnn_mat y) { return bnn__row_mean(BNN__NLL, p, y); }
BNNDEF double bnn_metric_brier(bnn_mat p, bnn_mat y) { return bnn__row_mean(BNN__BRIER, p, y); }
BNNDEF double bnn_metric_agreement(bnn_mat p, bnn_mat q) { return bnn__row_mean(BNN__AGREE, p, q); }
BNNDEF double bnn_metric_total_variation(bnn_mat p, bnn_mat q) {
    return bnn__row_mean(BNN__VARIATION, p, q);
}

BNNDEF double bnn_metric_kl(bnn_mat p, bnn_mat q) { return bnn__row_mean(BNN__KL, p, q); }

BNNDEF bnn_reliability bnn_metric_reliability(bnn_mat prob, bnn_mat label, size_t bins) {
    bnn_reliability r;
    size_t i, b;
    memset(&r, 0, sizeof r);
    if (bins == 0 || bins > 32 || !bnn__classified(prob, label)) {
        r.ece = r.mce = bnn__nan();
        return r;
    }
    for (i = 0; i < prob.rows; i++) {
        size_t top = bnn__top_class(prob, i);
        double confidence = bnn__class_prob(prob, i, top);
        b = 0; /* edges in the type of the data, so that 0.3f falls into (0.2, 0.3] */
        while (b + 1 < bins && confidence > (double)(float)((double)(b + 1) / (double)bins)) b++;
        r.count[b]++;
        r.confidence[b] += confidence;
        r.accuracy[b] += top == bnn__label_of(label, i, bnn__classes(prob));
    }
    for (b = 0; b < bins; b++) {
        double gap;
        if (r.count[b] == 0) continue;
        gap = fabs(r.accuracy[b] - r.confidence[b]) / (double)r.count[b];
        r.confidence[b] /= (double)r.count[b];
        r.accuracy[b] /= (double)r.count[b];
        r.ece += gap * (double)r.count[b] / (double)prob.rows;
        if (gap > r.mce) r.mce = gap;
    }
    return r;
}

BNNDEF double bnn_metric_ece(bnn_mat prob, bnn_mat label, size_t bins) {
    return bnn_metric_reliability(prob, label, bins).ece;
}

/* fn, whose scratch is given back; NaN without an arena */
static double bnn__in_scratch(bnn_arena *mem, bnn_mat a, bnn_mat b, double par,
                              double (*fn)(bnn_arena *mem, bnn_mat a, bnn_mat b, double par)) {
    bnn_mark mark;
    double r;
    if (mem == NULL) return bnn__nan();
    mark = bnn_arena_mark(mem);
    r = fn(mem, a, b, par);
    bnn_arena_rewind(mem, mark);
    return r;
}

static double bnn__ece_sorted(bnn_arena *mem, bnn_mat prob, bnn_mat label, double number) {
    size_t bins = (size_t)number, n = prob.rows, i, j = 0, b, end = 0, *order;
    double *confidence = (double *)bnn__arena_take(mem, n, sizeof(double)), sum = 0;
    if (confidence == NULL) return bnn__nan();
    for (i = 0; i < n; i++) confidence[i] = bnn__class_prob(prob, i, bnn__top_class(prob, i));
    order = bnn__sorted_index(mem, n, confidence);
    if (order == NULL) return bnn__nan();
    for (b = 0; b < bins && end < n; b++) { /* sizes differ by one at most, larger bins first */
        double gap = 0;
        for (end += n / bins + (b < n % bins); j < end; j++)
            gap += 1 - bnn__row_score(BNN__WRONG, prob, label, order[j]) - confidence[order[j]];
        sum += fabs(gap);
    }
    return sum / (double)n;
}

BNNDEF double bnn_metric_ece_equal_count(bnn_arena *mem, bnn_mat prob, bnn_mat label, size_t bins) {
    if (bins == 0 || !bnn__classified(prob, label)) return bnn__nan();
    return bnn__in_scratch(mem, prob, label, (double)bins, bnn__ece_sorted);
}

/* Walks the scores in order; a run of equals gives each of its pairs one half. */
static double bnn__auroc(bnn_arena *mem, bnn_mat score, bnn_mat positive, double par) {
    size_t i, j, n = score.rows, *order;
    double below = 0, pairs = 0, total = 0, *key = bnn__doubles(mem, score);
    (void)par;
    order = key != NULL ? bnn__sorted_index(mem, n, key) : NULL;
    if (order == NULL) return bnn__nan();
    for (i = 0; i < n; i = j) {
        double up = 0, down = 0;
        for (j = i; j < n && key[order[j]] <= key[order[i]]; j++)
            if ((double)positive.data[order[j]] > 0) up++;
            else down++;
        pairs += up * (below + down / 2);
        below += down;
        total += up;
    }
    return total > 0 && below > 0 ? pairs / total / below : bnn__nan();
}

BNNDEF double bnn_metric_auroc(bnn_arena *mem, bnn_mat score, bnn_mat positive) {
    size_t i;
    if (score.cols != 1 || !bnn__paired(score, positive)) return bnn__nan();
    for (i = 0; i < score.rows; i++)
        if (bnn__label_of(positive, i, 2) == BNN__NONE) return bnn__nan();
    return bnn__in_scratch(mem, score, positive, 0, bnn__auroc);
}

static double bnn__crps(bnn_arena *mem, bnn_mat draws, bnn_mat b, double y) {
    size_t i, m = draws.cols;
    double *x = bnn__sorted(mem, draws), off = 0, apart = 0;
    if (x == NULL) return bnn__nan();
    for (i = 0; i < m; i++) {
        off += fabs(x[i] - y);
        if (i != 0) apart += (double)i * (double)(m - i) * (x[i] - x[i - 1]); /* pairs across */
    }
    return off / (double)m - apart / (double)m / (double)(m - b.rows); /* b.rows: 1 if fair */
}

BNNDEF double bnn_metric_sample_crps(bnn_arena *mem, bnn_mat draws, double y, int fair) {
    size_t less = fair != 0;
    if (draws.rows != 1 || draws.cols <= less || !bnn__numbers(draws) || !bnn__finite_d(y))
        return bnn__nan();
    return bnn__in_scratch(mem, draws, bnn__mat(less, 0, NULL), y, bnn__crps);
}

static double bnn__logit(bnn_mat z, size_t row, size_t k) { /* one column: (0, z) */
    return z.cols == 1 && k == 0 ? 0 : bnn__class_prob(z, row, k);
}

/* n f'(c), and n f''(c) to *curvature; c < 0 stands for infinity: only the largest logit counts */
static double bnn__temperature_slope(bnn_mat z, bnn_mat label, double c, double *curvature) {
    size_t i, k, classes = bnn__classes(z);
    double slope = 0;
    *curvature = 0;
    for (i = 0; i < z.rows; i++) {
        double top = bnn__logit(z, i, 0), sum = 0, first = 0, second = 0;
        for (k = 1; k < classes; k++)
            if (bnn__logit(z, i, k) > top) top = bnn__logit(z, i, k);
        for (k = 0; k < classes && c >= 0; k++) {
            double r = bnn__logit(z, i, k) - top, p = exp(c * r);
            sum += p;
            first += p * r;
            second += p * r * r;
        }
        if (sum > 0) first /= sum, second /= sum;
        slope += first + (top - bnn__logit(z, i, bnn__label_of(label, i, classes)));
        *curvature += second - first * first;
    }
    return slope;
}

BNNDEF double bnn_metric_temperature(bnn_mat logit, bnn_mat label) {
    double lo = 0, hi, c, slope, curvature, step;
    int i;
    if (!bnn__labeled(logit, label)) return bnn__nan();
    slope = bnn__temperature_slope(logit, label, 0, &curvature);
    if (!(curvature > 0)) return 1; /* constant logits: every T is as good */
    if (slope >= 0) return bnn__inf(); /* no better than chance */
    hi = -slope / curvature; /* one step from 0: the scale of the logits does not matter */
    if (bnn__temperature_slope(logit, label, -1, &curvature) <= 0) return 0; /* never wrong */
    while (bnn__temperature_slope(logit, label, hi, &curvature) < 0 && hi < DBL_MAX / 4)
        lo = hi, hi *= 2;
    for (i = 0, c = hi; i < 100 && hi - lo > 2 * DBL_EPSILON * hi; i++) {
        slope = bnn__temperature_slope(logit, label, c, &curvature);
        if (slope < 0) lo = c;
        else hi = c;
        step = slope / curvature;
        if (fabs(step) <= 64 * DBL_EPSILON * c) break;
        c -= step;
        if (!(c > lo && c < hi)) c = lo + (hi - lo) / 2;
    }
    return 1 / c;
}

static double bnn__ranked(bnn_arena *mem, bnn_mat score, bnn_mat b, double rank) {
    double *x = bnn__sorted(mem, score);
    (void)b;
    if (x == NULL) return bnn__nan();
    return rank > (double)score.rows ? bnn__inf() : x[rank > 1 ? (size_t)rank - 1 : 0];
}

BNNDEF double bnn_metric_conformal(bnn_arena *mem, bnn_mat score, double alpha) {
    /* the rounding of 1 - a must not lift a whole number to the next */
    double rank = ceil(((double)score.rows + 1) * (1 - alpha) * (1 - 4 * DBL_EPSILON));
    if (score.cols != 1 || !bnn__mat_ok(score) || !(alpha > 0 && alpha < 1)) return bnn__nan();
    return bnn__in_scratch(mem, score, score, rank, bnn__ranked);
}

/* ------------------------------------------------------------------------------------------------
 * >>diagnostics: have the chains mixed, and what are their draws worth
 *
 * Vehtari, Gelman, Simpson, Carpenter, Buerkner 2021, with the conventions of the authors' R
 * package posterior. Chains are split in halves (odd length: without the middle draw); m chains of
 * n draws from here on. z = Phi^-1((rank - 3/8) / (n m + 1/4)), equal draws share their mean rank.
 *     R-hat   B = n var(chain means), W = mean chain variance, R = sqrt((n-1)/n + B/(n W)); the
 *             larger of that of z and that of z of |x - median|
 *     ESS     acov_t = mean over chains of sum_i (x_i - mean)(x_{i+t} - mean) / n,
 *             w = acov_0 n/(n-1), v = acov_0 + var(chain means), rho_t = 1 - (w - acov_t)/v.
 *             Pairs P_k = rho_2k + rho_{2k+1} are summed while positive (Geyer 1992) and
 *             2k < n - 3, each at most its predecessor; then
 *             tau = -1 + 2 sum P_k + max(rho of the next even lag, 0) >= 1/log10(n m) and
 *             ESS = n m / tau. Bulk: of z. Tail: the smaller of those of the two indicators of
 *             x <= its quantile, 5 and 95 percent.
 *     MCSE    sd / sqrt(ESS)
 * All acov_t at once by the power spectrum, n ln n, so that chains that never meet cost no more.
 *     WAIC    lppd = sum_i ln mean_s p(y_i|s), p_waic = sum_i var_s ln p(y_i|s), elpd their
 *             difference (Watanabe 2010)
 * Two samples with distribution functions F and G: KS sup|F - G|, Wasserstein int |F - G|, energy
 * 2 int (F - G)^2 = 2 E|a-b| - E|a-a'| - E|b-b'| (Szekely and Rizzo 2013). MMD^2 = E k(a,a') +
 * E k(b,b') - 2 E k(a,b), k = exp(-|a-b|^2 / (2 h^2)), its biased form (Gretton et al. 2012).
 * Noise ratio (lr N/2) Var(g)/T: the variance of the minibatch over the injected one.
 * --------------------------------------------------------------------------------------------- */

static int bnn__all_equal(size_t n, const double *x) {
    size_t i;
    for (i = 1; i < n; i++)
        if (x[i] < x[0] || x[i] > x[0]) return 0;
    return 1;
}

static int bnn__constant(size_t n, const float *x) {
    size_t i;
    for (i = 1; i < n; i++)
        if (x[i] < x[0] || x[i] > x[0]) return 0;
    return 1;
}

/* Two chains that are the same draw for draw, constant ones aside; 1 = found. Of long ones the
 * second half: chains of one seed meet, wherever they began. */
static int bnn__twins(bnn_mat draws, size_t *a, size_t *b) {
    size_t first = draws.cols >= 64 ? draws.cols / 2 : 0, n = draws.cols - first;
    for (*b = 1; *b < draws.rows; ++*b)
        for (*a = 0; *a < *b; ++*a) {
            const float *x = draws.data + *a * draws.cols + first;
            const float *y = draws.data + *b * draws.cols + first;
            if (memcmp(x, y, n * sizeof *x) == 0 && !bnn__constant(n, x))
                return 1;
        }
    return 0;
}

/* Draws of at least `least` per chain, finite, not all equal, no chain twice; else the arena says
 * why */
static int bnn__draws_ok(bnn_arena *mem, bnn_mat draws, size_t least, const char *who) {
    size_t a, b;
    if (mem == NULL || mem->err != BNN_OK) return 0;
    if (!bnn__mat_ok(draws) || draws.rows == 0 || draws.cols < least)
        bnn__arena_say(mem, BNN_ESHAPE, "%s: %z chains of %z draws; it needs %z", who, draws.rows,
                       draws.cols, least);
    else if (!bnn_mat_finite(draws))
        bnn__arena_say(mem, BNN_EARG, "%s: a draw is not finite", who);
    else if (bnn__constant(bnn__mat_size(draws), draws.data))
        bnn__arena_say(mem, BNN_EARG, "%s: all draws are equal", who);
    else if (bnn__twins(draws, &a, &b))
        bnn__arena_note(mem, "%s: chains %z and %z are equal draw for draw, so they say nothing of "
                        "each other: NaN; give each chain its own seed", who, a, b);
    else return 1;
    return 0;
}

typedef struct bnn__chains {
    bnn_arena *mem; /* for scratch          */
    bnn_mat draws;
    size_t m, n;    /* halves of chains, draws of each */
    double *x;      /* (m,n)                */
} bnn__chains;

/* 2 x chains halves, one after the other, in mem; NULL = mem->err */
static double *bnn__split(bnn_arena *mem, bnn_mat draws) {
    size_t half = draws.cols / 2, c, i;
    double *x = (double *)bnn__arena_take(mem, bnn__mul(draws.rows, 2 * half), sizeof(double));
    if (x == NULL) return NULL;
    for (c = 0; c < draws.rows; c++)
        for (i = 0; i < half; i++) {
            const float *chain = draws.data + c * draws.cols;
            x[2 * c * half + i] = (double)chain[i];
            x[(2 * c + 1) * half + i] = (double)chain[draws.cols - half + i];
        }
    return x;
}

/* fn of the split chains; scratch is given back */
static double bnn__of_chains(bnn_arena *mem, bnn_mat draws, size_t least, const char *who,
                             double (*fn)(const bnn__chains *)) {
    bnn__chains c;
    bnn_mark mark;
    double r = bnn__nan();
    if (!bnn__draws_ok(mem, draws, least, who)) return r;
    mark = bnn_arena_mark(mem);
    c.mem = mem;
    c.draws = draws;
    c.m = 2 * draws.rows;
    c.n = draws.cols / 2;
    c.x = bnn__split(mem, draws);
    if (c.x != NULL) r = fn(&c);
    bnn_arena_rewind(mem, mark);
    return r;
}

/* x to its normal scores, in place; 0 = mem->err */
static int bnn__rank_normalize(bnn_arena *mem, size_t n, double *x) {
    size_t i, j, k, *order = bnn__sorted_index(mem, n, x);
    double *z = (double *)bnn__arena_take(mem, n, sizeof(double));
    if (z == NULL) return 0;
    for (i = 0; i < n; i = j) {
        double rank;
        for (j = i; j < n && x[order[j]] <= x[order[i]]; j++) continue;
        rank = 0.5 * ((double)i + (double)j + 1);
        rank = bnn_normal_quantile((rank - 0.375) / ((double)n + 0.25));
        for (k = i; k < j; k++) z[order[k]] = rank;
    }
    memcpy(x, z, n * sizeof *x);
    return 1;
}

static double bnn__quantile(size_t n, const double *sorted, double q) { /* linear, as R's type 7 */
    double at = q * (double)(n - 1), whole = floor(at);
    size_t i = (size_t)whole;
    return i + 1 < n ? sorted[i] + (at - whole) * (sorted[i + 1] - sorted[i]) : sorted[n - 1];
}

static double bnn__mean_d(size_t n, const double *x) {
    double sum = 0;
    size_t i;
    for (i = 0; i < n; i++) sum += x[i];
    return sum / (double)n;
}

static double bnn__squares(size_t n, const double *x, double mean) { /* sum of (x_i - mean)^2 */
    double sum = 0;
    size_t i;
    for (i = 0; i < n; i++) sum += (x[i] - mean) * (x[i] - mean);
    return sum;
}

static double bnn__rhat(size_t m, size_t n, const double *x) {
    double within = 0, between = 0, grand = 0;
    size_t c;
    if (n < 2 || bnn__all_equal(m * n, x)) return bnn__nan();
    for (c = 0; c < m; c++) grand += bnn__mean_d(n, x + c * n) / (double)m;
    for (c = 0; c < m; c++) {
        double mean = bnn__mean_d(n, x + c * n);
        between += (mean - grand) * (mean - grand) / (double)(m - 1);
        within += bnn__squares(n, x + c * n, mean) / (double)(n - 1) / (double)m;
    }
    return sqrt((double)(n - 1) / (double)n + between / within);
}

static double bnn__rhat_ranks(const bnn__chains *c) {
    double *folded = bnn__split(c->mem, c->draws), *sorted = bnn__sorted(c->mem, c->draws);
    double median, bulk, tails;
    size_t i, n = c->m * c->n;
    if (sorted == NULL) return bnn__nan();
    median = bnn__quantile(bnn__mat_size(c->draws), sorted, 0.5);
    for (i = 0; i < n; i++) folded[i] = fabs(folded[i] - median);
    if (!bnn__rank_normalize(c->mem, n, c->x) || !bnn__rank_normalize(c->mem, n, folded))
        return bnn__nan();
    bulk = bnn__rhat(c->m, c->n, c->x);
    tails = bnn__rhat(c->m, c->n, folded); /* NaN where two values lie around their median */
    return tails > bulk ? tails : bulk;
}

BNNDEF double bnn_diag_rhat(bnn_arena *mem, bnn_mat draws) {
    return bnn__of_chains(mem, draws, 4, "bnn_diag_rhat", bnn__rhat_ranks);
}

/* y_k = sum_j x_(j stride) e^(2 pi i j k/n), complex numbers as pairs, n a power of two;
 * turn: e^(2 pi i j/(n stride)) for j < n stride/2 */
static void bnn__fourier(size_t n, size_t stride, const double *turn, const double *x, double *y) {
    size_t k;
    if (n == 1) {
        y[0] = x[0], y[1] = x[1];
        return;
    }
    bnn__fourier(n / 2, 2 * stride, turn, x, y);
    bnn__fourier(n / 2, 2 * stride, turn, x + 2 * stride, y + n);
    for (k = 0; k < n / 2; k++) {
        const double *w = turn + 2 * k * stride;
        double *a = y + 2 * k, *b = a + n;
        double re = b[0] * w[0] - b[1] * w[1], im = b[0] * w[1] + b[1] * w[0];
        b[0] = a[0] - re, b[1] = a[1] - im;
        a[0] += re, a[1] += im;
    }
}

/* acov_t for t < n, as said above, in mem; NULL = mem->err. By the spectrum: zeros behind the draws
 * keep the ends apart, and two halves are the parts of one complex series, whose power is the sum
 * of theirs (but for what is odd in the frequency and falls out on the way back). */
static double *bnn__autocovariance(const bnn__chains *c, const double *x, const double *mean) {
    size_t size = 2, i, t, m = c->m, n = c->n;
    double *turn, *z, *y, *power;
    while (size < 2 * n) size *= 2;
    turn = (double *)bnn__arena_take(c->mem, size, sizeof(double));
    z = (double *)bnn__arena_take(c->mem, bnn__mul(2, size), sizeof(double));
    y = (double *)bnn__arena_take(c->mem, bnn__mul(2, size), sizeof(double));
    power = (double *)bnn_arena_alloc(c->mem, size, sizeof(double));
    if (power == NULL) return NULL;
    for (t = 0; t < size / 2; t++) {
        turn[2 * t] = cos(2 * BNN__PI * (double)t / (double)size);
        turn[2 * t + 1] = sin(2 * BNN__PI * (double)t / (double)size);
    }
    for (i = 0; i < m; i += 2) {
        memset(z, 0, 2 * size * sizeof *z);
        for (t = 0; t < 2 * n; t++) z[2 * (t % n) + t / n] = x[i * n + t] - mean[i + t / n];
        bnn__fourier(size, 1, turn, z, y);
        for (t = 0; t < size; t++) power[t] += y[2 * t] * y[2 * t] + y[2 * t + 1] * y[2 * t + 1];
    }
    memset(z, 0, 2 * size * sizeof *z);
    for (t = 0; t < size; t++) z[2 * t] = power[t];
    bnn__fourier(size, 1, turn, z, y);
    for (t = 0; t < n; t++) power[t] = y[2 * t] / (double)size / (double)n / (double)m;
    return power;
}

static double bnn__ess(const bnn__chains *c, const double *x) {
    double *mean = (double *)bnn__arena_take(c->mem, c->m, sizeof(double)), *acov;
    double w, v, before = 0, sum = 0, tail = 0, tau, least;
    size_t i, t, m = c->m, n = c->n;
    if (mean == NULL || n < 3 || bnn__all_equal(m * n, x)) return bnn__nan();
    for (i = 0; i < m; i++) mean[i] = bnn__mean_d(n, x + i * n);
    acov = bnn__autocovariance(c, x, mean);
    if (acov == NULL) return bnn__nan();
    w = acov[0] * (double)n / (double)(n - 1);
    v = acov[0] + bnn__squares(m, mean, bnn__mean_d(m, mean)) / (double)(m - 1);
    for (t = 0;; t += 2) {
        double even = t == 0 ? 1 : 1 - (w - acov[t]) / v;
        double pair = even + (1 - (w - acov[t + 1]) / v);
        int last = t + 5 >= n; /* no further lags */
        tail = even > 0 ? even : 0;
        if (!(pair > 0) || (last && t > 0)) break;
        if (t > 0 && pair > before) pair = before;
        sum += pair;
        before = pair;
        tail = 0;
        if (last) break;
    }
    tau = -1 + 2 * sum + tail;
    least = 1 / log10((double)m * (double)n);
    if (tau < least) tau = least;
    return (double)m * (double)n / tau;
}

static double bnn__ess_mean(const bnn__chains *c) { return bnn__ess(c, c->x); }

static double bnn__ess_bulk(const bnn__chains *c) {
    return bnn__rank_normalize(c->mem, c->m * c->n, c->x) ? bnn__ess(c, c->x) : bnn__nan();
}

static double bnn__ess_tail(const bnn__chains *c) {
    static const double q[2] = { 0.05, 0.95 };
    size_t i, k, n = c->m * c->n;
    double *sorted = bnn__sorted(c->mem, c->draws), ess = bnn__nan();
    double *inside = (double *)bnn__arena_take(c->mem, n, sizeof(double));
    if (inside == NULL) return ess;
    for (k = 0; k < 2; k++) {
        double cut = bnn__quantile(bnn__mat_size(c->draws), sorted, q[k]), one;
        for (i = 0; i < n; i++) inside[i] = c->x[i] <= cut;
        one = bnn__ess(c, inside); /* NaN where many draws share the largest value */
        if (bnn__is_nan(ess) || one < ess) ess = one;
    }
    return ess;
}

static double bnn__mcse(const bnn__chains *c) {
    size_t n = bnn__mat_size(c->draws);
    double *x = bnn__doubles(c->mem, c->draws);
    if (x == NULL) return bnn__nan();
    return sqrt(bnn__squares(n, x, bnn__mean_d(n, x)) / (double)(n - 1) / bnn__ess(c, c->x));
}

BNNDEF double bnn_diag_ess(bnn_arena *mem, bnn_mat draws) {
    return bnn__of_chains(mem, draws, 6, "bnn_diag_ess", bnn__ess_mean);
}

BNNDEF double bnn_diag_ess_bulk(bnn_arena *mem, bnn_mat draws) {
    return bnn__of_chains(mem, draws, 6, "bnn_diag_ess_bulk", bnn__ess_bulk);
}

BNNDEF double bnn_diag_ess_tail(bnn_arena *mem, bnn_mat draws) {
    return bnn__of_chains(mem, draws, 6, "bnn_diag_ess_tail", bnn__ess_tail);
}

BNNDEF double bnn_diag_mcse(bnn_arena *mem, bnn_mat draws) {
    return bnn__of_chains(mem, draws, 6, "bnn_diag_mcse", bnn__mcse);
}

BNNDEF double bnn_diag_autocorrelation(bnn_mat chain, size_t lag) {
    size_t i, n = chain.cols;
    double mean, zero = 0, at = 0;
    if (chain.rows != 1 || lag >= n || !bnn__numbers(chain) || bnn__constant(n, chain.data))
        return bnn__nan();
    mean = bnn_mat_sum(chain) / (double)n;
    for (i = 0; i < n; i++) {
        double r = (double)chain.data[i] - mean;
        zero += r * r;
        if (i + lag < n) at += r * ((double)chain.data[i + lag] - mean);
    }
    return at / zero;
}

BNNDEF bnn_waic bnn_diag_waic(bnn_mat log_lik) {
    bnn_waic r;
    size_t s = log_lik.rows, i, k;
    r.lppd = r.p_waic = bnn__mat_ok(log_lik) && bnn__mat_size(log_lik) != 0 ? 0 : bnn__nan();
    for (i = 0; i < log_lik.cols && !bnn__is_nan(r.lppd); i++) {
        double top = -bnn__inf(), sum = 0, mean = 0, square = 0, v;
        for (k = 0; k < s; k++) {
            v = (double)log_lik.data[k * log_lik.cols + i];
            mean += v / (double)s;
            if (v > top) top = v;
        }
        for (k = 0; k < s; k++) {
            v = (double)log_lik.data[k * log_lik.cols + i];
            sum += v < top || v > top ? exp(v - top) : 1; /* also where all are -inf */
            square += (v - mean) * (v - mean);
        }
        r.lppd += bnn__is_nan(mean) ? mean : top + log(sum / (double)s);
        r.p_waic += s > 1 ? square / (double)(s - 1) : bnn__nan();
    }
    r.elpd = r.lppd - r.p_waic;
    return r;
}

enum { BNN__SUP, BNN__INTEGRAL, BNN__SQUARED }; /* of |F - G| */

static double bnn__two_samples(bnn_arena *mem, bnn_mat a, bnn_mat b, double which) {
    size_t i = 0, j = 0, n = a.cols, m = b.cols;
    double *x, *y, at = 0, gap = 0, g[3] = { 0, 0, 0 };
    if (a.rows != 1 || b.rows != 1 || !bnn__numbers(a) || !bnn__numbers(b)) return bnn__nan();
    x = bnn__sorted(mem, a);
    y = bnn__sorted(mem, b);
    if (y == NULL) return bnn__nan();
    while (i < n || j < m) { /* from one value of the two to the next */
        double next = i == n || (j < m && y[j] < x[i]) ? y[j] : x[i];
        g[BNN__INTEGRAL] += gap * (next - at);
        g[BNN__SQUARED] += gap * gap * (next - at);
        for (at = next; i < n && x[i] <= at; i++) continue;
        while (j < m && y[j] <= at) j++;
        gap = fabs((double)i / (double)n - (double)j / (double)m);
        if (gap > g[BNN__SUP]) g[BNN__SUP] = gap;
    }
    return g[(int)which];
}

BNNDEF double bnn_diag_ks(bnn_arena *mem, bnn_mat a, bnn_mat b) {
    return bnn__in_scratch(mem, a, b, BNN__SUP, bnn__two_samples);
}

BNNDEF double bnn_diag_wasserstein(bnn_arena *mem, bnn_mat a, bnn_mat b) {
    return bnn__in_scratch(mem, a, b, BNN__INTEGRAL, bnn__two_samples);
}

BNNDEF double bnn_diag_energy(bnn_arena *mem, bnn_mat a, bnn_mat b) {
    return 2 * bnn__in_scratch(mem, a, b, BNN__SQUARED, bnn__two_samples);
}

/* P(sup of the Brownian bridge > x): 2 sum (-1)^(k-1) e^(-2 k^2 x^2), whose theta transform
 * 1 - sqrt(2 pi)/x sum e^(-(2k-1)^2 pi^2 / (8 x^2)) converges where that one does not. */
BNNDEF double bnn_diag_ks_pvalue(double d, double n_effective) {
    double x = d * sqrt(n_effective), sum = 0;
    int k;
    if (!(d >= 0) || !(n_effective > 0)) return bnn__nan();
    if (x <= 0) return 1;
    if (x < 1) {
        for (k = 1; k <= 7; k += 2) sum += exp(-k * k * BNN__PI * BNN__PI / (8 * x * x));
        return 1 - sqrt(2 * BNN__PI) / x * sum;
    }
    for (k = 1; k <= 5; k++) sum += (k % 2 != 0 ? 2 : -2) * exp(-2 * k * k * x * x);
    return sum;
}

static double bnn__mean_kernel(bnn_mat a, bnn_mat b, double bandwidth) {
    double sum = 0;
    size_t i, j, k;
    for (i = 0; i < a.rows; i++)
        for (j = 0; j < b.rows; j++) {
            double square = 0;
            for (k = 0; k < a.cols; k++) {
                double r = (double)a.data[i * a.cols + k] - (double)b.data[j * a.cols + k];
                r /= bandwidth;
                square += r * r;
            }
            sum += exp(-0.5 * square);
        }
    return sum / (double)a.rows / (double)b.rows;
}

BNNDEF double bnn_diag_mmd(bnn_mat a, bnn_mat b, double bandwidth) {
    double square;
    if (a.cols != b.cols || !(bandwidth > 0) || !bnn__numbers(a) || !bnn__numbers(b))
        return bnn__nan();
    square = bnn__mean_kernel(a, a, bandwidth) + bnn__mean_kernel(b, b, bandwidth) -
             2 * bnn__mean_kernel(a, b, bandwidth);
    return square > 0 ? square : 0; /* a squared norm: below 0 is rounding */
}

BNNDEF int bnn_diag_noise_ratio(bnn_mat out, bnn_mat grads, double lr, double n_data, double T) {
    double variance[BNN__STRIP];
    size_t m = grads.rows, n = grads.cols, first, count, j;
    if (!bnn__mat_ok(grads) || !bnn__mat_is(out, 1, n)) return BNN_ESHAPE;
    if (m < 2 || !(lr > 0) || !(n_data > 0) || !(T > 0) || bnn__mat_overlap(out, grads))
        return BNN_EARG;
    for (first = 0; first < n; first += count) {
        count = bnn__strip_size(first, n);
        bnn__strip(BNN__VARIANCE, grads, 0, first, count, variance);
        for (j = 0; j < count; j++)
            out.data[first + j] = (float)(0.5 * lr * n_data / T * variance[j] *
                                          ((double)m / (double)(m - 1)));
    }
    return BNN_OK;
}

BNNDEF double bnn_diag_ebfmi(const double *energies, size_t n) {
    double steps = 0, mean;
    size_t i;
    if (energies == NULL || n < 2) return bnn__nan();
    mean = bnn__mean_d(n, energies);
    for (i = 1; i < n; i++)
        steps += (energies[i] - energies[i - 1]) * (energies[i] - energies[i - 1]);
    return steps / bnn__squares(n, energies, mean); /* all equal: NaN */
}

BNNDEF double bnn_diag_temperature(bnn_mat draws, bnn_mat grads, double scale) {
    double sum = 0, mean;
    size_t i, j, m = draws.rows, n = draws.cols;
    if (!bnn__mat_ok(draws) || !bnn__mat_is(grads, m, n) || m < 2 || n == 0 || !(scale > 0))
        return bnn__nan();
    for (j = 0; j < n; j++) {
        for (mean = 0, i = 0; i < m; i++) mean += (double)draws.data[i * n + j] / (double)m;
        for (i = 0; i < m; i++)
            sum += ((double)draws.data[i * n + j] - mean) * (double)grads.data[i * n + j];
    }
    return sum * scale / (double)(m - 1) / (double)n;
}

/* ------------------------------------------------------------------------------------------------
 * >>judge: made-up data, leave-one-out, conformal sets, recalibration
 *
 *     draws       member s makes the rows d with (d + u)/draws in its share of the cumulated
 *                 weights (systematic resampling). Poisson by inversion, the others as defined
 *     PSIS        log ratios r = -ln p, largest 0. The largest M = ceil(min(S/5, 3 sqrt(S/r_eff)))
 *                 e^r exceed the next smaller one by a generalized Pareto law; its k and sigma by
 *                 Zhang and Stephens 2009 with the prior of Vehtari et al. 2024 (k M + 5)/(M + 10).
 *                 The M become its quantiles (i - 1/2)/M, cut at the largest raw ratio. M < 5, or a
 *                 flat tail: left as they are, k infinite
 *     LOO         elpd_i = ln sum_s w_s p_s / sum w_s;  p_loo = sum ln mean p - elpd;
 *                 se = sqrt(n Var elpd_i)
 *     isotonic    blocks of a falling sequence are replaced by their mean until none is left
 * --------------------------------------------------------------------------------------------- */

static double bnn__draw_poisson(bnn_tape *t, const bnn_net *net, double rate) {
    static const double one = 1;
    double q = (double)bnn_rng_uniform(&t->rng), scale = sqrt(rate);
    bnn__members x;
    if (!(rate > 0)) return 0;
    x.net = net, x.n = 1, x.location = &rate, x.scale = &scale, x.weight = &one;
    return bnn__mixture_quantile(&x, q, sqrt(q / (1 - q)));
}

/* y at entry e of m, the location of one member, with a the ln variances, if any */
static double bnn__draw_y(bnn_tape *t, const bnn_net *net, bnn_mat m, const bnn_var *a, size_t e) {
    double at = (double)m.data[e], s = (double)bnn__noise_std(net), nu = (double)bnn__nu(net);
    bnn_rng *r = &t->rng;
    size_t label;
    switch (bnn__likelihood(net)) {
    case BNN_CATEGORICAL:
        label = bnn_rng_categorical(r, m.cols, m.data + e);
        return (double)label;
    case BNN_BERNOULLI: return (double)bnn_rng_uniform(r) < at;
    case BNN_POISSON: return bnn__draw_poisson(t, net, at);
    case BNN_DOUBLE_EXPONENTIAL: return at + s * (double)bnn_rng_double_exponential(r);
    case BNN_STUDENT: /* z sqrt(nu/2 / gamma) */
        s *= bnn__dexp((bnn__dlog(nu / 2) - (double)bnn_rng_log_gamma(r, (float)(nu / 2))) / 2);
        break;
    default: s = bnn__dexp(0.5 * (double)bnn__spread(a->val, e / m.cols, e % m.cols));
    }
    return at + s * (double)bnn_rng_normal(r);
}

/* The sample's share of the draws, of which v->z are made; v->p.mean has n rows per draw */
static void bnn__draws_add(bnn__tour *v) {
    size_t draws = v->p.mean.rows / v->x.rows, k = v->p.mean.cols, step = v->k / k, i, d;
    double end = ceil(v->seen * (double)draws - v->q);
    bnn_var *a, *m = bnn__location(&v->net, v->out, &a);
    bnn__tour_check(v, "mean", m->val, 1);
    if (v->t->err != BNN_OK) return;
    if (v->s == 0) v->z = 0;
    for (; v->z < end && v->z < (double)draws; v->z++) {
        d = (size_t)v->z;
        for (i = 0; i < v->rows * k; i++)
            v->p.mean.data[(d * v->x.rows + v->first) * k + i] =
                (float)bnn__draw_y(v->t, &v->net, m->val, a, i * step);
    }
}

/* The result of a tour with a row of n for each of `count`: (count n, k) becomes (count, n k) */
static bnn_mat bnn__by_count(const bnn__tour *v, size_t count) {
    bnn_mat m = v->p.mean;
    return m.data == NULL ? m : bnn__mat(count, m.cols * (m.rows / count), m.data);
}

BNNDEF bnn_mat bnn_predict_draws(bnn_arena *mem, bnn_tape *t, const bnn_net *net,
                                 const bnn_ensemble *post, bnn_mat x, size_t draws) {
    bnn__tour v;
    if (draws == 0) bnn__fail(t, BNN_EARG, "bnn_predict_draws: no draws are asked for");
    if (!bnn__tour_open(&v, t, net, post, x, BNN__PREDICT_ROWS)) return v.p.mean;
    if (x.rows == 0) return v.p.mean;
    v.q = (double)bnn_rng_uniform(&t->rng);
    v.p.mean = bnn_mat_new(mem, bnn__mul(draws, x.rows),
                           bnn__likelihood(net) == BNN_CATEGORICAL ? 1 : v.k);
    bnn__tour_run(&v, mem, 0, bnn__draws_add, NULL);
    return bnn__by_count(&v, draws);
}

static void bnn__log_liks_add(bnn__tour *v) {
    bnn_mat y = bnn__block_of(v, v->y, v->y_gaps);
    bnn_var *nll = bnn__nll_rows(&v->net, v->out, bnn_input(v->t, y));
    float *to = v->p.mean.data + v->s * v->x.rows + v->first;
    size_t i;
    bnn__tour_check(v, "ln p", nll->val, 0);
    for (i = 0; v->t->err == BNN_OK && i < v->rows; i++) to[i] = -nll->val.data[i];
}

BNNDEF bnn_mat bnn_predict_log_lik_samples(bnn_arena *mem, bnn_tape *t, const bnn_net *net,
                                           const bnn_ensemble *post, bnn_data d) {
    bnn_mat none = { 0, 0, NULL };
    bnn__tour v;
    if (t->err == BNN_OK && d.x.rows != d.y.rows)
        bnn__fail(t, BNN_ESHAPE, "bnn_predict_log_lik_samples: %z inputs, %z targets", d.x.rows,
                  d.y.rows);
    if (!bnn__has_data(t, "bnn_predict_log_lik_samples", d.y) ||
        !bnn__tour_open(&v, t, net, post, d.x, BNN__PREDICT_ROWS) || d.x.rows == 0)
        return none;
    v.y = d.y;
    v.y_gaps = bnn__has_gaps(&v, "y", d.y);
    v.p.mean = bnn_mat_new(mem, bnn__mul(v.samples, d.x.rows), 1);
    bnn__tour_run(&v, mem, 0, bnn__log_liks_add, NULL);
    return bnn__by_count(&v, v.samples);
}

static void bnn__chains_add(bnn__tour *v) {
    bnn_mat m, var, to = v->p.mean;
    size_t i, draws = to.cols, chains = v->samples / draws;
    bnn__moments(&v->net, v->out, &m, &var);
    bnn__tour_check(v, "mean", m, 1);
    for (i = 0; v->t->err == BNN_OK && i < v->rows * v->k; i++)
        to.data[((v->first * v->k + i) * chains + v->s / draws) * draws + v->s % draws] =
            m.data[i];
}

BNNDEF bnn_mat bnn_predict_chains(bnn_arena *mem, bnn_tape *t, const bnn_net *net,
                                  const bnn_ensemble *post, bnn_mat x, size_t chains) {
    bnn__tour v;
    if (!bnn__tour_open(&v, t, net, post, x, BNN__PREDICT_ROWS)) return v.p.mean;
    if (chains == 0 || v.samples % chains != 0)
        bnn__fail(t, BNN_EARG, "bnn_predict_chains: %z samples are not %z chains of one length",
                  v.samples, chains);
    if (v.gaps) bnn__fail(t, BNN_EARG, "bnn_predict_chains: x is not finite");
    if (t->err == BNN_OK && x.rows != 0)
        v.p.mean = bnn_mat_new(mem, bnn__mul(bnn__mul(x.rows, v.k), chains), v.samples / chains);
    bnn__tour_run(&v, mem, 0, bnn__chains_add, NULL);
    return v.p.mean;
}

/* ---- epochs, quantiles, checks */

BNNDEF bnn_epoch bnn_epoch_new(bnn_arena *mem, bnn_data data, size_t batch) {
    bnn_epoch e;
    memset(&e, 0, sizeof e);
    if (batch == 0 || data.x.rows == 0)
        bnn__arena_fail(mem, BNN_EARG, "bnn_epoch_new: batches of %z from %z rows", batch,
                        data.x.rows);
    e.order = (size_t *)bnn__arena_take(mem, data.x.rows, sizeof(size_t));
    if (e.order != NULL) e.data = data, e.batch = batch;
    return e;
}

BNNDEF int bnn_epoch_next(bnn_epoch *e, bnn_tape *t, bnn_batch *out) {
    size_t n = e->data.x.rows, size = n - e->at < e->batch ? n - e->at : e->batch;
    if (e->order == NULL) bnn__fail(t, BNN_EARG, "bnn_epoch_next: the epoch was not made");
    if (t->err != BNN_OK) return 0;
    if (size == 0) return e->at = 0, 0;
    if (e->at == 0) bnn_rng_permutation(&t->rng, n, e->order);
    *out = bnn_batch_rows(t, e->data, size, e->order + e->at);
    e->at += size;
    return t->err == BNN_OK;
}

BNNDEF int bnn_mat_col_quantile(bnn_arena *mem, bnn_mat out, bnn_mat a, double q) {
    size_t j, i;
    int err = BNN_OK;
    if (!bnn__mat_ok(a) || a.rows == 0 || !bnn__mat_is(out, 1, a.cols)) return BNN_ESHAPE;
    if (!(q >= 0 && q <= 1) || bnn__mat_overlap(out, a)) return BNN_EARG;
    for (j = 0; j < a.cols && err == BNN_OK; j++) {
        bnn_mark mark = bnn_arena_mark(mem);
        bnn_mat col = bnn_mat_new(mem, a.rows, 1);
        double *sorted;
        for (i = 0; col.data != NULL && i < a.rows; i++) col.data[i] = a.data[i * a.cols + j];
        sorted = col.data != NULL ? bnn__sorted(mem, col) : NULL;
        if (sorted != NULL) out.data[j] = (float)bnn__quantile(a.rows, sorted, q);
        else err = mem->err != BNN_OK ? mem->err : BNN_EARG; /* a NaN */
        bnn_arena_rewind(mem, mark);
    }
    return err;
}

BNNDEF double bnn_predict_check(bnn_mat values, bnn_mat draws, bnn_mat y, bnn_statistic_fn T,
                                void *user) {
    double seen, one, p = 0;
    size_t i;
    if (!bnn__mat_ok(draws) || draws.rows == 0 || !bnn__mat_ok(y) || draws.cols == 0 ||
        draws.cols != bnn__mat_size(y) ||
        (values.data != NULL && !bnn__mat_is(values, 1, draws.rows)))
        return bnn__nan();
    seen = T(user, y);
    for (i = 0; i < draws.rows; i++) {
        one = T(user, bnn__mat(y.rows, y.cols, draws.data + i * draws.cols));
        if (values.data != NULL) values.data[i] = (float)one;
        p += one > seen ? 1 : one < seen ? 0 : one == seen ? 0.5 : bnn__nan();
    }
    return p / (double)draws.rows;
}

/* ---- leave one out */

/* Generalized Pareto law of n ascending excesses x > 0: returns k, writes sigma. grid has room for
 * 30 + sqrt(n) pairs */
static double bnn__pareto_fit(size_t n, const double *x, double *grid, double *sigma) {
    double root = sqrt((double)n), top = -bnn__inf(), total = 0, theta = 0, k = 0;
    double quarter = x[(n + 2) / 4 - 1]; /* n/4, rounded */
    size_t m = 30 + (size_t)root, i, j;
    for (j = 0; j < m; j++) {
        double b = 1 / x[n - 1] + (1 - sqrt((double)m / ((double)j + 0.5))) / 3 / quarter, mean = 0;
        for (i = 0; i < n; i++) mean += log1p(-b * x[i]) / (double)n;
        grid[2 * j] = b;
        grid[2 * j + 1] = (double)n * (log(-b / mean) - mean - 1);
        if (grid[2 * j + 1] > top) top = grid[2 * j + 1];
    }
    for (j = 0; j < m; j++) {
        double w = exp(grid[2 * j + 1] - top);
        total += w;
        theta += w * grid[2 * j];
    }
    theta /= total;
    for (i = 0; i < n; i++) k += log1p(-theta * x[i]) / (double)n;
    *sigma = -k / theta;
    return (k * (double)n + 5) / ((double)n + 10);
}

/* r: S log ratios with largest 0; smooths them and returns k-hat. */
static double bnn__pareto_smooth(bnn_arena *mem, size_t S, double *r, double r_eff) {
    double want = ceil(fmin(0.2 * (double)S, 3 * sqrt((double)S / r_eff))), cut, k, sigma;
    size_t tail = want < (double)S ? (size_t)want : S - 1, i, *order;
    double *x, *grid;
    if (tail < 5) return bnn__inf();
    order = bnn__sorted_index(mem, S, r);
    x = (double *)bnn__arena_take(mem, tail, sizeof(double));
    grid = (double *)bnn__arena_take(mem, 2 * (30 + tail), sizeof(double));
    if (grid == NULL) return bnn__nan();
    order += S - tail;
    cut = exp(r[order[-1]]);
    if (r[order[tail - 1]] - r[order[0]] < 10 * DBL_EPSILON) return bnn__inf();
    for (i = 0; i < tail; i++) {
        x[i] = exp(r[order[i]]) - cut;
        if (!(x[i] > 0)) x[i] = DBL_MIN; /* equal to the one below */
    }
    k = bnn__pareto_fit(tail, x, grid, &sigma);
    if (!bnn__finite_d(k) || !bnn__finite_d(sigma)) return bnn__inf();
    for (i = 0; i < tail; i++) {
        double p = log1p(-((double)i + 0.5) / (double)tail); /* ln(1 - p) */
        double q = fabs(k) < 1e-12 ? -sigma * p : sigma * expm1(-k * p) / k;
        r[order[i]] = fmin(log(q + cut), 0);
    }
    return k;
}

/* elpd of one row, S values `stride` apart; scratch is given back */
static double bnn__loo_row(bnn_arena *mem, size_t S, size_t stride, const float *at, double r_eff,
                           double *k_hat, double *lpd) {
    bnn_mark mark = bnn_arena_mark(mem);
    double *r = (double *)bnn__arena_take(mem, S, sizeof(double));
    double least = bnn__inf(), top = -bnn__inf(), sum = 0, weights = 0, mean = 0;
    size_t s;
    *k_hat = *lpd = bnn__nan();
    for (s = 0; r != NULL && s < S; s++) {
        double v = (double)at[s * stride];
        least = v < least ? v : least;
        top = v > top ? v : top;
    }
    if (r == NULL) return bnn__nan();
    for (s = 0; s < S; s++) r[s] = least - (double)at[s * stride];
    *k_hat = bnn__pareto_smooth(mem, S, r, r_eff);
    for (s = 0; s < S; s++) {
        double v = exp((double)at[s * stride] - top), w = exp(r[s]);
        weights += w;
        sum += w * v;
        mean += v / (double)S;
    }
    *lpd = top + log(mean);
    bnn_arena_rewind(mem, mark);
    return top + log(sum / weights);
}

BNNDEF bnn_loo bnn_diag_loo(bnn_arena *mem, bnn_mat points, bnn_mat k_hat, bnn_mat log_lik,
                            double r_eff) {
    size_t S = log_lik.rows, n = log_lik.cols, i;
    double mean = 0, square = 0, k = 0, lpd = 0;
    bnn_loo r;
    memset(&r, 0, sizeof r);
    r.elpd = r.se = r.p_loo = r.worst_k = r.k_max = bnn__nan();
    if (mem == NULL || mem->err != BNN_OK) return r;
    if (!bnn__mat_ok(log_lik) || S < 2 || n == 0 ||
        (points.data != NULL && !bnn__mat_is(points, 1, n)) ||
        (k_hat.data != NULL && !bnn__mat_is(k_hat, 1, n))) {
        bnn__arena_say(mem, BNN_ESHAPE, "bnn_diag_loo: %z samples of %z rows, points %zx%z, k_hat "
                       "%zx%z", S, n, points.rows, points.cols, k_hat.rows, k_hat.cols);
        return r;
    }
    if (!bnn_mat_finite(log_lik) || !(r_eff >= 0)) {
        bnn__arena_say(mem, BNN_EARG, "bnn_diag_loo: a ln p is not finite, or r_eff is %g", r_eff);
        return r;
    }
    r.elpd = r.p_loo = 0, r.worst_k = -bnn__inf();
    r.k_max = fmin(1 - 1 / log10((double)S), 0.7);
    for (i = 0; i < n; i++) {
        double one = bnn__loo_row(mem, S, n, log_lik.data + i, r_eff > 0 ? r_eff : 1, &k, &lpd);
        double d = one - mean;
        mean += d / (double)(i + 1);
        square += d * (one - mean);
        r.elpd += one;
        r.p_loo += lpd - one;
        r.high += !(k <= r.k_max);
        if (k > r.worst_k) r.worst_k = k;
        if (points.data != NULL) points.data[i] = (float)one;
        if (k_hat.data != NULL) k_hat.data[i] = (float)k;
    }
    r.se = sqrt((double)n * square / (double)(n > 1 ? n - 1 : 1));
    return r;
}

BNNDEF bnn_comparison bnn_diag_compare(bnn_mat a, bnn_mat b) {
    double mean = 0, square = 0;
    size_t i, n = a.cols;
    bnn_comparison r;
    r.difference = r.se = bnn__nan();
    if (!bnn__mat_is(a, 1, n) || !bnn__mat_is(b, 1, n) || n < 2) return r;
    for (i = 0; i < n; i++) {
        double x = (double)a.data[i] - (double)b.data[i], d = x - mean;
        mean += d / (double)(i + 1);
        square += d * (x - mean);
    }
    r.difference = (double)n * mean;
    r.se = sqrt((double)n * square / (double)(n - 1));
    return r;
}

/* ---- conformal sets and recalibration */

BNNDEF int bnn_conformal_interval(bnn_arena *mem, bnn_mat lo, bnn_mat hi, bnn_mat cal_lo,
                                  bnn_mat cal_hi, bnn_mat cal_y, double alpha) {
    bnn_mark mark = bnn_arena_mark(mem);
    size_t j, i, k = lo.cols, m = cal_y.rows;
    bnn_mat q = bnn_mat_new(mem, 1, k), score = bnn_mat_new(mem, m, 1);
    int err = mem->err;
    if (!bnn__paired(lo, hi) || !bnn__paired(cal_lo, cal_hi) || !bnn__paired(cal_lo, cal_y) ||
        cal_y.cols != k)
        err = BNN_ESHAPE;
    for (j = 0; err == BNN_OK && j < k; j++) {
        for (i = 0; i < m; i++) {
            size_t e = i * k + j;
            float below = cal_lo.data[e] - cal_y.data[e], above = cal_y.data[e] - cal_hi.data[e];
            score.data[i] = below > above ? below : above;
        }
        q.data[j] = (float)bnn_metric_conformal(mem, score, alpha);
        if (bnn__is_nan((double)q.data[j])) err = BNN_EARG;
    }
    for (i = 0; err == BNN_OK && i < bnn__mat_size(lo); i++) {
        lo.data[i] -= q.data[i % k];
        hi.data[i] += q.data[i % k];
        if (lo.data[i] > hi.data[i]) /* moved in past each other: the middle */
            lo.data[i] = hi.data[i] = lo.data[i] / 2 + hi.data[i] / 2;
    }
    bnn_arena_rewind(mem, mark);
    return err;
}

BNNDEF int bnn_conformal_set(bnn_arena *mem, bnn_mat out, bnn_mat prob, bnn_mat cal_prob,
                             bnn_mat cal_label, double alpha) {
    bnn_mark mark = bnn_arena_mark(mem);
    size_t i, c, k = bnn__classes(prob);
    bnn_mat score;
    double q;
    if (!bnn__mat_is(out, prob.rows, k) || cal_prob.cols != prob.cols) return BNN_ESHAPE;
    if (!bnn__probs(prob) || !bnn__classified(cal_prob, cal_label)) return BNN_EARG;
    score = bnn_mat_new(mem, cal_prob.rows, 1);
    for (i = 0; score.data != NULL && i < score.rows; i++)
        score.data[i] = (float)(1 - bnn__class_prob(cal_prob, i, bnn__label_of(cal_label, i, k)));
    q = score.data != NULL ? bnn_metric_conformal(mem, score, alpha) : bnn__nan();
    bnn_arena_rewind(mem, mark);
    if (bnn__is_nan(q)) return mem->err != BNN_OK ? mem->err : BNN_EARG;
    for (i = prob.rows; i-- > 0;)
        for (c = k; c-- > 0;)
            out.data[i * k + c] = (float)(1 - bnn__class_prob(prob, i, c)) <= (float)q;
    return BNN_OK;
}

BNNDEF int bnn_recalibrate(bnn_mat out, bnn_mat prob, double temperature) {
    size_t i, j, k = bnn__classes(prob);
    if (!bnn__mat_ok(prob) || !bnn__mat_is(out, prob.rows, prob.cols)) return BNN_ESHAPE;
    if (!(temperature > 0) || !bnn__finite_d(temperature) || !bnn__probs(prob)) return BNN_EARG;
    for (i = 0; i < prob.rows; i++) {
        double sum = 0, top = 0;
        for (j = 0; j < k; j++) top = fmax(top, bnn__class_prob(prob, i, j));
        for (j = 0; j < k; j++) sum += pow(bnn__class_prob(prob, i, j) / top, 1 / temperature);
        if (prob.cols == 1)
            out.data[i] = (float)(pow((double)prob.data[i] / top, 1 / temperature) / sum);
        else for (j = 0; j < k; j++)
            out.data[i * k + j] =
                (float)(pow((double)prob.data[i * k + j] / top, 1 / temperature) / sum);
    }
    return BNN_OK;
}

typedef struct bnn__pool { double lo, hi, sum, weight; } bnn__pool; /* of neighbors in x */

BNNDEF bnn_mat bnn_isotonic(bnn_arena *mem, bnn_mat x, bnn_mat y) {
    bnn_mat knots = { 0, 0, NULL };
    size_t n = x.rows, i, m = 0, c, *order;
    bnn__pool *p;
    double *key;
    if (!bnn__mat_is(x, n, 1) || !bnn__mat_is(y, n, 1) || n == 0 || !bnn_mat_finite(x) ||
        !bnn_mat_finite(y))
        return knots;
    knots = bnn_mat_new(mem, 2 * n, 2);
    key = bnn__doubles(mem, x);
    p = (bnn__pool *)bnn__arena_take(mem, n, sizeof *p);
    order = p != NULL ? bnn__sorted_index(mem, n, key) : NULL;
    if (order == NULL) return bnn__mat(0, 0, NULL);
    for (i = 0; i < n; i++) {
        bnn__pool one = { key[order[i]], key[order[i]], (double)y.data[order[i]], 1 };
        for (; i + 1 < n && key[order[i + 1]] <= one.hi; i++, one.weight++)
            one.sum += (double)y.data[order[i + 1]];
        for (; m > 0 && p[m - 1].sum * one.weight >= one.sum * p[m - 1].weight; m--)
            one.sum += p[m - 1].sum, one.weight += p[m - 1].weight, one.lo = p[m - 1].lo;
        p[m++] = one;
    }
    for (i = 0, c = 0; i < m; i++) {
        float v = (float)(p[i].sum / p[i].weight);
        knots.data[2 * c] = (float)p[i].lo, knots.data[2 * c++ + 1] = v;
        if (p[i].hi > p[i].lo) knots.data[2 * c] = (float)p[i].hi, knots.data[2 * c++ + 1] = v;
    }
    knots.rows = c;
    return knots;
}

BNNDEF int bnn_isotonic_apply(bnn_mat out, bnn_mat knots, bnn_mat x) {
    size_t i, n = knots.rows;
    if (!bnn__mat_is(knots, n, 2) || n == 0 || !bnn__mat_is(x, x.rows, 1) ||
        !bnn__mat_is(out, x.rows, 1))
        return BNN_ESHAPE;
    for (i = 0; i < x.rows; i++) {
        const float *k = knots.data;
        size_t lo = 0, hi = n - 1;
        float at = x.data[i];
        while (hi - lo > 1) {
            size_t mid = lo + (hi - lo) / 2;
            if (k[2 * mid] <= at) lo = mid;
            else hi = mid;
        }
        if (bnn__is_nan((double)at)) out.data[i] = at;
        else if (at <= k[2 * lo]) out.data[i] = k[2 * lo + 1];
        else if (at >= k[2 * hi]) out.data[i] = k[2 * hi + 1];
        else out.data[i] = k[2 * lo + 1] + (k[2 * hi + 1] - k[2 * lo + 1]) *
                           ((at - k[2 * lo]) / (k[2 * hi] - k[2 * lo]));
    }
    return BNN_OK;
}

/* ------------------------------------------------------------------------------------------------
 * >>gaussian: N(m, C) over weights, in independent pieces
 *
 *     C = S S^T, S a root: diag(sd);  the Cholesky factor L;  L^-T, where C^-1 = L L^T is a
 *         curvature;  (A (x) G) diag(sd), where the curvature has Kronecker factors
 *     draw  m + S z;   ln N = -(n ln 2 pi)/2 - ln|S| - |S^-1 (x-m)|^2/2
 *     KL(1||2) = [ tr(C2^-1 C1) + (m2-m1)^T C2^-1 (m2-m1) - n + ln|C2| - ln|C1| ]/2
 *     given u_r = v:  m_k + X^T S^-1 (v - m_r),  C_kk - X^T X,  X = S^-1 C_rk,  C_rr = S S^T
 * --------------------------------------------------------------------------------------------- */

static bnn_gaussian bnn__no_gaussian(void) {
    bnn_gaussian g;
    memset(&g, 0, sizeof g);
    return g;
}

/* An empty one of n weights with room for some pieces. */
static bnn_gaussian bnn__gaussian_start(bnn_arena *mem, size_t n, size_t pieces) {
    bnn_gaussian g = bnn__no_gaussian();
    g.mem = mem;
    g.mean = (float *)bnn_arena_alloc(mem, n, sizeof *g.mean);
    g.pieces = (bnn_gaussian_piece *)bnn_arena_alloc(mem, pieces, sizeof *g.pieces);
    g.n = n;
    return g;
}

/* A piece with a covariance of so many rows: n, 1 or, where it is not formed, 0 */
static bnn_gaussian_piece *bnn__gaussian_add(bnn_gaussian *g, size_t first, size_t n, size_t rows) {
    bnn_gaussian_piece *p = &g->pieces[g->n_pieces];
    if (g->mem->err != BNN_OK) return NULL;
    p->first = first;
    p->n = n;
    p->cov = bnn_mat_new(g->mem, rows, n);
    g->n_pieces++;
    return g->mem->err == BNN_OK ? p : NULL;
}

static bnn_gaussian bnn__gaussian_end(const bnn_gaussian *g, bnn_mark mark) {
    if (g->mem->err == BNN_OK) return *g;
    bnn_arena_rewind(g->mem, mark);
    return bnn__no_gaussian();
}

static int bnn__dense(const bnn_gaussian_piece *p) { return p->cov.rows != 1; }

BNNDEF bnn_gaussian bnn_gaussian_new(bnn_arena *mem, size_t n, const float *mean, bnn_mat cov) {
    bnn_gaussian g;
    bnn_gaussian_piece *p;
    bnn_mark mark;
    size_t i, at;
    if (mem == NULL || mem->err != BNN_OK) return bnn__no_gaussian();
    mark = bnn_arena_mark(mem);
    if (n == 0 || cov.cols != n || (cov.rows != n && cov.rows != 1) || !bnn__mat_ok(cov) ||
        !bnn_mat_finite(cov))
        bnn__arena_fail(mem, BNN_ESHAPE, "bnn_gaussian_new: %z weights, the covariance is %zx%z, "
                        "it must be finite and %zx%z or 1x%z", n, cov.rows, cov.cols, n, n, n);
    for (i = 0; mem->err == BNN_OK && i < n; i++) {
        at = cov.rows == 1 ? i : i * n + i;
        if (!(cov.data[at] >= 0))
            bnn__arena_fail(mem, BNN_EARG, "bnn_gaussian_new: variance %g of weight %z",
                            (double)cov.data[at], i);
        else if (mean != NULL && !bnn__finite(mean[i]))
            bnn__arena_fail(mem, BNN_ENONFINITE, "bnn_gaussian_new: mean %g of weight %z",
                            (double)mean[i], i);
    }
    if (mem->err != BNN_OK) return bnn__no_gaussian();
    g = bnn__gaussian_start(mem, n, 1);
    p = bnn__gaussian_add(&g, 0, n, cov.rows);
    if (p != NULL) memcpy(p->cov.data, cov.data, bnn__mat_size(cov) * sizeof(float));
    if (p != NULL && mean != NULL) memcpy(g.mean, mean, n * sizeof *mean);
    return bnn__gaussian_end(&g, mark);
}

/* Pieces of a kind over all parameters of a net, covariance 0 */
static bnn_gaussian bnn__gaussian_for(bnn_arena *mem, const bnn_net *net, int kind) {
    const bnn_params *w = net->params;
    const struct bnn__mlp *m = net->mlp;
    bnn_gaussian g = bnn__gaussian_start(mem, w->n, w->n_blocks + 1);
    size_t b, last;
    if (mem->err != BNN_OK) return g;
    if (kind != BNN_COV_LAYERS) {
        bnn__gaussian_add(&g, 0, w->n, kind == BNN_COV_FULL ? w->n : 1);
        return g;
    }
    for (b = 0; b < w->n_blocks; b = last + 1) {
        const bnn_block *k = w->blocks;
        size_t n;
        last = b;
        if (m != NULL && !m->desc.no_bias && b >= m->first && b < m->first + 2 * m->n_layers)
            last += (b - m->first) % 2 == 0; /* a matrix and its bias */
        n = k[last].offset + k[last].rows * k[last].cols - k[b].offset;
        bnn__gaussian_add(&g, k[b].offset, n, n);
    }
    return g;
}

/* Rows of z: deviations from the mean, scaled so that the covariance is z^T z */
static void bnn__fit_piece(const bnn_gaussian_piece *p, bnn_mat z, double ridge) {
    const float *x = z.data + p->first;
    size_t i, s, n = p->n, step = bnn__dense(p) ? n + 1 : 1;
    if (bnn__dense(p)) bnn__gemm(n, n, z.rows, x, 1, z.cols, x, z.cols, 1, p->cov.data, n, 0);
    for (i = 0; i < n; i++) {
        double sum = 0;
        for (s = 0; s < z.rows; s++) sum += (double)x[s * z.cols + i] * (double)x[s * z.cols + i];
        p->cov.data[i * step] = (float)(sum + ridge);
    }
}

static void bnn__fit(bnn_gaussian *g, const bnn_ensemble *e, double total, double ridge) {
    bnn_mark mark = bnn_arena_mark(g->mem);
    bnn_mat z = bnn_mat_new(g->mem, e->count, g->n);
    size_t i, s, at;
    if (z.data == NULL) return;
    for (i = 0; i < g->n; i++) {
        double sum = 0;
        for (s = 0; s < e->count; s++)
            sum += e->weights[s] / total * (double)e->samples.data[s * g->n + i];
        g->mean[i] = (float)sum;
        for (s = 0; s < e->count; s++) {
            at = s * g->n + i;
            z.data[at] = (float)(sqrt(e->weights[s] / total) *
                                 ((double)e->samples.data[at] - sum));
            if (bnn__finite(z.data[at])) continue;
            bnn__arena_fail(g->mem, BNN_ENONFINITE, "bnn_gaussian_fit: sample %z: weight %z is %g",
                            s, i, (double)e->samples.data[at]);
            return;
        }
    }
    for (i = 0; i < g->n_pieces; i++) bnn__fit_piece(&g->pieces[i], z, ridge);
    bnn_arena_rewind(g->mem, mark);
}

BNNDEF bnn_gaussian bnn_gaussian_fit(bnn_arena *mem, const bnn_ensemble *e, const bnn_net *net,
                                     int kind, double ridge) {
    size_t s, n = net == NULL || net->params == NULL ? 0 : net->params->n;
    size_t count = e == NULL ? 0 : e->count, cols = e == NULL ? 0 : e->samples.cols;
    bnn_mark mark;
    bnn_gaussian g;
    double total = 0;
    if (mem == NULL || mem->err != BNN_OK) return bnn__no_gaussian();
    mark = bnn_arena_mark(mem);
    for (s = 0; s < count; s++) total += e->weights[s];
    if (n == 0 || cols != n || !(total > 0) || !bnn__finite_d(total) || !(ridge >= 0) ||
        !bnn__finite_d(ridge) || kind < BNN_COV_DIAGONAL || kind > BNN_COV_FULL) {
        bnn__arena_fail(mem, BNN_EARG, "bnn_gaussian_fit: %z samples of %z weights for a net of "
                        "%z, sum of the samples' weights %g, kind %d, ridge %g", count, cols, n,
                        total, kind, ridge);
        return bnn__no_gaussian();
    }
    g = bnn__gaussian_for(mem, net, kind);
    if (mem->err == BNN_OK) bnn__fit(&g, e, total, ridge);
    return bnn__gaussian_end(&g, mark);
}

/* The Cholesky factor of a dense piece, and ln|C| */
static void bnn__piece_factor(bnn_arena *mem, bnn_gaussian_piece *q) {
    size_t pivot = 0, n = q->n;
    int dense = bnn__dense(q), positive;
    q->chol = bnn_mat_new(mem, dense ? n : 0, n);
    if (mem->err != BNN_OK) return;
    q->log_det = 0;
    if (dense) {
        positive = bnn_mat_cholesky(q->chol, q->cov, &pivot) == BNN_OK;
        if (positive) q->log_det = bnn_mat_logdet_chol(q->chol);
    } else {
        for (; pivot < n && q->cov.data[pivot] > 0; pivot++)
            q->log_det += bnn__dlog((double)q->cov.data[pivot]);
        positive = pivot == n;
    }
    q->factored = positive;
    if (!positive)
        bnn__arena_fail(mem, BNN_EARG, "bnn_gaussian: the covariance is not positive definite at "
                        "pivot %z, where the variance is %g", q->first + pivot,
                        (double)q->cov.data[dense ? pivot * n + pivot : pivot]);
}

/* Factors and log determinants of all pieces, once */
static int bnn__gaussian_factor(bnn_gaussian *g) {
    size_t p;
    if (g == NULL || g->n == 0) return BNN_EARG;
    for (p = 0; p < g->n_pieces && g->mem->err == BNN_OK; p++)
        if (!g->pieces[p].factored) bnn__piece_factor(g->mem, &g->pieces[p]);
    return g->mem->err;
}

/* Every row of y, an (A rows, G rows) matrix Y, becomes A Y G^T, or A^T Y G. */
static void bnn__kron_turn(bnn_mat a, bnn_mat g, int transposed, bnn_mat y, float *tmp) {
    bnn_mat half = bnn__mat(a.rows, g.rows, tmp);
    size_t i;
    for (i = 0; i < y.rows; i++) {
        bnn_mat row = bnn__mat(a.rows, g.rows, y.data + i * y.cols);
        if (transposed) {
            bnn_mat_mul(half, row, g);
            bnn_mat_mul_tn(row, a, half);
        } else {
            bnn_mat_mul_nt(half, row, g);
            bnn_mat_mul(row, a, half);
        }
    }
}

/* Every row y of (k,n) becomes S y, S^T y, S^-1 y or S^-T y (not those two by Kronecker factors).
 * tmp: as much room again */
enum { BNN__ROOT, BNN__ROOT_T, BNN__UNROOT, BNN__UNROOT_T };
static void bnn__piece_root(const bnn_gaussian_piece *p, int how, bnn_mat y, float *tmp) {
    bnn_mat rows = bnn__mat(y.rows, p->n, tmp), cols = bnn__mat(p->n, y.rows, tmp);
    size_t i, size = y.rows * p->n;
    if (!bnn__dense(p)) {
        int turned = p->a.data != NULL;
        if (turned && how == BNN__ROOT_T) bnn__kron_turn(p->a, p->g, 1, y, tmp);
        for (i = 0; i < size; i++) {
            double sd = sqrt((double)p->cov.data[i % p->n]);
            y.data[i] = (float)((double)y.data[i] * (how < BNN__UNROOT ? sd : 1 / sd));
        }
        if (turned && how == BNN__ROOT) bnn__kron_turn(p->a, p->g, 0, y, tmp);
        return;
    }
    if (p->cov.rows == 0) how ^= 3; /* S = L^-T: transposed and inverted */
    if (how < BNN__UNROOT) {
        if (how == BNN__ROOT) bnn_mat_mul_nt(rows, y, p->chol);
        else bnn_mat_mul(rows, y, p->chol);
        memcpy(y.data, tmp, size * sizeof *tmp);
        return;
    }
    bnn_mat_transpose(cols, y);
    if (how == BNN__UNROOT) bnn_mat_solve_lower(cols, p->chol, cols);
    else bnn_mat_solve_lower_t(cols, p->chol, cols);
    bnn_mat_transpose(y, cols);
}

/* With S^T the covariance (n,n), with S^-1 its inverse, as products of what becomes of the unit
 * vectors; or its diagonal (1,n) */
static bnn_mat bnn__piece_gram(bnn_arena *mem, const bnn_gaussian_piece *p, int how, int diagonal) {
    size_t i, n = p->n;
    bnn_mat out = bnn_mat_new(mem, diagonal ? 1 : n, n), y = bnn_mat_new(mem, n, n), row;
    float *tmp = (float *)bnn_arena_alloc(mem, bnn__mul(n, n), sizeof *tmp);
    if (mem->err != BNN_OK) return out;
    bnn_mat_eye(y);
    bnn__piece_root(p, how, y, tmp);
    if (!diagonal) bnn_mat_mul_nt(out, y, y);
    for (i = 0; diagonal && i < n; i++) {
        row = bnn_mat_rows(y, i, 1);
        out.data[i] = (float)bnn_mat_dot(row, row);
    }
    return out;
}

/* y = theta - mean becomes C^-1 (theta - mean); returns ln N(theta). tmp: n */
static double bnn__gaussian_eval(const bnn_gaussian *g, float *y, float *tmp) {
    double sum = -(double)g->n / 2 * BNN__LN_2PI;
    size_t p;
    for (p = 0; p < g->n_pieces; p++) {
        const bnn_gaussian_piece *q = &g->pieces[p];
        bnn_mat v = bnn__mat(1, q->n, y + q->first);
        bnn__piece_root(q, BNN__UNROOT, v, tmp);
        sum -= (q->log_det + bnn_mat_dot(v, v)) / 2;
        bnn__piece_root(q, BNN__UNROOT_T, v, tmp);
    }
    return sum;
}

BNNDEF double bnn_gaussian_log_pdf(bnn_gaussian *g, const float *theta) {
    bnn_mark mark;
    float *y;
    double value;
    size_t i;
    if (theta == NULL || bnn__gaussian_factor(g) != BNN_OK) return bnn__nan();
    mark = bnn_arena_mark(g->mem);
    y = (float *)bnn_arena_alloc(g->mem, bnn__mul(2, g->n), sizeof *y);
    if (y == NULL) return bnn__nan();
    for (i = 0; i < g->n; i++) y[i] = theta[i] - g->mean[i];
    value = bnn__gaussian_eval(g, y, y + g->n);
    bnn_arena_rewind(g->mem, mark);
    return value;
}

BNNDEF int bnn_gaussian_sample(bnn_gaussian *g, bnn_rng *rng, float *theta) {
    int err = rng == NULL || theta == NULL ? BNN_EARG : bnn__gaussian_factor(g);
    const bnn_gaussian_piece *q, *end;
    bnn_mark mark;
    size_t i;
    float *tmp;
    if (err != BNN_OK) return err;
    mark = bnn_arena_mark(g->mem);
    tmp = (float *)bnn_arena_alloc(g->mem, g->n, sizeof *tmp);
    if (tmp == NULL) return g->mem->err;
    q = g->pieces, end = q + g->n_pieces;
    memset(theta, 0, g->n * sizeof *theta); /* weights of no piece are known: they are the mean */
    bnn_rng_fill_normal(rng, end[-1].first + end[-1].n - q->first, theta + q->first);
    for (; q < end; q++) bnn__piece_root(q, BNN__ROOT, bnn__mat(1, q->n, theta + q->first), tmp);
    for (i = 0; i < g->n; i++) theta[i] += g->mean[i];
    bnn_arena_rewind(g->mem, mark);
    return BNN_OK;
}

static double bnn__gaussian_at(const bnn_gaussian *g, size_t i, size_t j) {
    size_t p;
    for (p = 0; p < g->n_pieces; p++) {
        const bnn_gaussian_piece *q = &g->pieces[p];
        if (i < q->first || i - q->first >= q->n) continue;
        if (j < q->first || j - q->first >= q->n) return 0;
        if (!bnn__dense(q)) return i == j ? (double)q->cov.data[i - q->first] : 0;
        return (double)q->cov.data[(i - q->first) * q->n + j - q->first];
    }
    return 0;
}

/* tr(C_p^-1 C_q) over a piece of p */
static double bnn__kl_trace(const bnn_gaussian *q, const bnn_gaussian_piece *p, bnn_arena *mem) {
    double sum = 0;
    size_t i, j, n = p->n;
    bnn_mat c;
    float *tmp;
    if (!bnn__dense(p)) {
        for (i = 0; i < n; i++)
            sum += bnn__gaussian_at(q, p->first + i, p->first + i) / (double)p->cov.data[i];
        return sum;
    }
    c = bnn_mat_new(mem, n, n);
    tmp = (float *)bnn_arena_alloc(mem, bnn__mul(n, n), sizeof *tmp);
    if (mem->err != BNN_OK) return bnn__nan();
    for (i = 0; i < n; i++)
        for (j = 0; j < n; j++)
            c.data[i * n + j] = (float)bnn__gaussian_at(q, p->first + i, p->first + j);
    bnn__piece_root(p, BNN__UNROOT, c, tmp);
    bnn__piece_root(p, BNN__UNROOT_T, c, tmp);
    for (i = 0; i < n; i++) sum += (double)c.data[i * n + i];
    return sum;
}

BNNDEF double bnn_gaussian_kl(bnn_gaussian *q, bnn_gaussian *p) {
    bnn_mark mark, after;
    float *d;
    double sum;
    size_t i;
    if (q == NULL || p == NULL || q->n != p->n || bnn__gaussian_factor(q) != BNN_OK ||
        bnn__gaussian_factor(p) != BNN_OK)
        return bnn__nan();
    mark = bnn_arena_mark(p->mem);
    d = (float *)bnn_arena_alloc(p->mem, bnn__mul(2, p->n), sizeof *d);
    if (d == NULL) return bnn__nan();
    for (i = 0; i < p->n; i++) d[i] = q->mean[i] - p->mean[i];
    sum = -2 * bnn__gaussian_eval(p, d, d + p->n) - (double)p->n * (BNN__LN_2PI + 1);
    for (i = 0; i < q->n_pieces; i++) sum -= q->pieces[i].log_det;
    after = bnn_arena_mark(p->mem);
    for (i = 0; i < p->n_pieces; i++) {
        sum += bnn__kl_trace(q, &p->pieces[i], p->mem);
        bnn_arena_rewind(p->mem, after);
    }
    bnn_arena_rewind(p->mem, mark);
    return sum / 2;
}

/* Rows `row` and columns `col` of a covariance; indices in its piece */
static void bnn__cov_part(float *out, const bnn_gaussian_piece *q, size_t rows, const size_t *row,
                          size_t cols, const size_t *col) {
    size_t i, j;
    for (i = 0; i < rows; i++)
        for (j = 0; j < cols; j++) *out++ = q->cov.data[row[i] * q->n + col[j]];
}

/* A dense piece given some of its entries. keep, fix: nk, nr indices in it; delta: what those to
 * fix are away from their mean; cov (nk,nk) and the mean `to` are written. */
static int bnn__condition(bnn_arena *mem, const bnn_gaussian_piece *q, size_t nk,
                          const size_t *keep, size_t nr, const size_t *fix, const float *delta,
                          bnn_mat cov, float *to) {
    bnn_gaussian_piece r;
    bnn_mat x = bnn_mat_new(mem, nk + 1, nr), y = bnn_mat_new(mem, nk + 1, nr); /* delta is last */
    size_t i, pivot = 0;
    memset(&r, 0, sizeof r);
    r.n = nr;
    r.cov = bnn_mat_new(mem, nr, nr);
    r.chol = bnn_mat_new(mem, nr, nr);
    if (mem->err != BNN_OK) return mem->err;
    bnn__cov_part(r.cov.data, q, nr, fix, nr, fix);
    bnn__cov_part(x.data, q, nk, keep, nr, fix);
    bnn__cov_part(cov.data, q, nk, keep, nk, keep);
    memcpy(x.data + nk * nr, delta, nr * sizeof *delta);
    if (bnn_mat_cholesky(r.chol, r.cov, &pivot) != BNN_OK)
        return bnn__arena_fail(mem, BNN_EARG, "bnn_gaussian_reduce: the covariance of the weights "
                               "to condition on is not positive definite at pivot %z",
                               q->first + fix[pivot]);
    bnn__piece_root(&r, BNN__UNROOT, x, y.data);
    bnn_mat_scale(y, x, -1);
    for (i = 0; i < nk; i++)
        to[i] += (float)bnn_mat_dot(bnn_mat_rows(x, i, 1), bnn_mat_rows(x, nk, 1));
    bnn__gemm(nk, nk, nr, y.data, nr, 1, x.data, 1, nr, cov.data, nk, 1);
    return BNN_OK;
}

static void bnn__reduce_piece(bnn_gaussian *out, size_t first, const bnn_gaussian *g,
                              const bnn_gaussian_piece *q, const unsigned char *what,
                              const float *value, size_t nk) {
    bnn_arena *mem = out->mem;
    bnn_gaussian_piece *p = bnn__gaussian_add(out, first, nk, bnn__dense(q) ? nk : 1);
    bnn_mark mark = bnn_arena_mark(mem);
    size_t i, k = 0, r = 0, *keep = (size_t *)bnn_arena_alloc(mem, bnn__mul(2, q->n), sizeof *keep);
    float *delta = (float *)bnn_arena_alloc(mem, q->n, sizeof *delta);
    if (mem->err != BNN_OK) return;
    for (i = 0; i < q->n; i++) {
        size_t at = q->first + i;
        if (what[at] == BNN_KEEP) {
            out->mean[first + k] = g->mean[at];
            if (!bnn__dense(q)) p->cov.data[k] = q->cov.data[i];
            keep[k++] = i;
        } else if (what[at] == BNN_FIX) {
            delta[r] = (value == NULL ? 0 : value[at]) - g->mean[at];
            keep[q->n + r++] = i;
        }
    }
    if (bnn__dense(q) && r > 0)
        bnn__condition(mem, q, k, keep, r, keep + q->n, delta, p->cov, out->mean + first);
    else if (bnn__dense(q)) bnn__cov_part(p->cov.data, q, k, keep, k, keep);
    bnn_arena_rewind(mem, mark);
}

BNNDEF bnn_gaussian bnn_gaussian_reduce(bnn_arena *mem, const bnn_gaussian *g,
                                        const unsigned char *what, const float *value) {
    bnn_mark mark;
    bnn_gaussian out;
    size_t p, i, k, n = 0, all = g == NULL || what == NULL ? 0 : g->n;
    if (mem == NULL || mem->err != BNN_OK) return bnn__no_gaussian();
    mark = bnn_arena_mark(mem);
    for (i = 0; i < all; i++) {
        if (what[i] > BNN_FIX)
            bnn__arena_fail(mem, BNN_EARG, "bnn_gaussian_reduce: weight %z: %d is neither keep, "
                            "drop nor fix", i, (int)what[i]);
        n += what[i] == BNN_KEEP;
    }
    if (n == 0)
        bnn__arena_fail(mem, BNN_EARG, "bnn_gaussian_reduce: none of %z weights is kept", all);
    if (mem->err != BNN_OK) return bnn__no_gaussian();
    out = bnn__gaussian_start(mem, n, g->n_pieces);
    for (p = 0, n = 0; p < g->n_pieces && mem->err == BNN_OK; p++, n += k) {
        const bnn_gaussian_piece *q = &g->pieces[p];
        for (i = 0, k = 0; i < q->n; i++) k += what[q->first + i] == BNN_KEEP;
        if (k > 0) bnn__reduce_piece(&out, n, g, q, what, value, k);
    }
    return bnn__gaussian_end(&out, mark);
}

/* ---- as a prior */

static int bnn__gaussian_ready(bnn_tape *t, const char *who, bnn_gaussian *g, size_t n) {
    if (t->err != BNN_OK) return 0;
    if (g == NULL || g->n == 0) bnn__fail(t, BNN_EARG, "%s: the Gaussian was not made", who);
    else if (g->n != n)
        bnn__fail(t, BNN_ESHAPE, "%s: %z weights, the Gaussian has %z", who, n, g->n);
    else if (bnn__gaussian_factor(g) != BNN_OK)
        bnn__fail(t, g->mem->err, "%s: %s", who, g->mem->msg);
    return t->err == BNN_OK;
}

static void bnn__gaussian_prior_backward(bnn_var *y) {
    bnn_params *w = y->in[0]->owner;
    const float *slope = (const float *)y->aux;
    size_t b;
    for (b = 0; b < w->n_blocks; b++) {
        bnn_block *k = &w->blocks[b];
        size_t n = k->rows * k->cols;
        float *gx = w->grad + k->offset;
        if (k->fresh) memset(gx, 0, n * sizeof *gx);
        bnn__v_axpy(n, y->grad.data[0], slope + k->offset, gx);
        k->fresh = 0;
        k->reached = 1;
    }
}

BNNDEF bnn_var *bnn_gaussian_prior_nll(bnn_tape *t, bnn_params *w, bnn_gaussian *g) {
    bnn_var *in, *y;
    float *slope;
    size_t i;
    if (!bnn__gaussian_ready(t, "bnn_gaussian_prior_nll", g, w == NULL ? 0 : w->n))
        return bnn__poison(t);
    in = bnn_param(t, w, 0);
    y = bnn_op(t, 1, 1, bnn__gaussian_prior_backward, 1, &in);
    slope = bnn__floats(t, bnn__mul(2, g->n));
    if (slope == NULL) return bnn__poison(t);
    y->lazy = 1;
    y->aux = slope;
    for (i = 0; i < g->n; i++) slope[i] = w->theta[i] - g->mean[i];
    y->val.data[0] = (float)-bnn__gaussian_eval(g, slope, slope + g->n);
    return y;
}

/* Diagonal of C^-1: |S^-1 e_i|^2 */
static int bnn__gaussian_precision(bnn_gaussian *g) {
    bnn_mark mark;
    float *out;
    size_t p, i;
    if (g->precision != NULL) return BNN_OK;
    out = (float *)bnn_arena_alloc(g->mem, g->n, sizeof *out);
    mark = bnn_arena_mark(g->mem);
    for (p = 0; p < g->n_pieces && g->mem->err == BNN_OK; p++) {
        const bnn_gaussian_piece *q = &g->pieces[p];
        int dense = bnn__dense(q);
        bnn_mat d = dense ? bnn__piece_gram(g->mem, q, BNN__UNROOT, 1) : q->cov;
        for (i = 0; g->mem->err == BNN_OK && i < q->n; i++)
            out[q->first + i] = dense ? d.data[i] : 1 / d.data[i];
        bnn_arena_rewind(g->mem, mark);
    }
    if (g->mem->err == BNN_OK) g->precision = out;
    return g->mem->err;
}

static void bnn__gaussian_kl_backward(bnn_var *y) {
    const float *slope = (const float *)y->aux; /* by mu, by sd */
    size_t q, n = bnn__mat_size(y->in[0]->val);
    for (q = 0; q < 2; q++)
        if (y->in[q]->grad.data != NULL)
            bnn__v_axpy(n, y->grad.data[0], slope + q * n, y->in[q]->grad.data);
}

BNNDEF bnn_var *bnn_kl_gaussian(bnn_var *mu, bnn_var *sd, bnn_gaussian *g) {
    bnn_tape *t = mu->tape;
    bnn_var *in[2], *y;
    float *slope;
    double sum;
    size_t i, n = bnn__mat_size(mu->val);
    in[0] = mu, in[1] = sd;
    if (!bnn__check_pair("bnn_kl_gaussian", mu, sd) ||
        !bnn__gaussian_ready(t, "bnn_kl_gaussian", g, n))
        return bnn__poison(t);
    if (bnn__gaussian_precision(g) != BNN_OK)
        return bnn__fail(t, g->mem->err, "bnn_kl_gaussian: %s", g->mem->msg);
    y = bnn_op(t, 1, 1, bnn__gaussian_kl_backward, 2, in);
    slope = bnn__floats(t, bnn__mul(2, n));
    if (slope == NULL) return bnn__poison(t);
    y->aux = slope;
    for (i = 0; i < n; i++) slope[i] = mu->val.data[i] - g->mean[i];
    sum = -2 * bnn__gaussian_eval(g, slope, slope + n) - (double)n * (BNN__LN_2PI + 1);
    for (i = 0; i < n; i++) {
        double s = (double)sd->val.data[i], c = (double)g->precision[i];
        if (!(s > 0))
            return bnn__fail(t, BNN_EARG, "bnn_kl_gaussian: sd %g of weight %z", s, i);
        sum += s * s * c - 2 * bnn__dlog(s);
        slope[n + i] = (float)(s * c - 1 / s);
    }
    y->val.data[0] = (float)(sum / 2);
    return y;
}

/* ------------------------------------------------------------------------------------------------
 * >>laplace: curvature, and a Gaussian at the maximum (MacKay 1992; Daxberger et al. 2021)
 *
 *     GGN = sum_n J_n^T Lam_n J_n,  J = d outputs / d theta,  Lam = sum_c r_c r_c^T with
 *         softmax  r_c = sqrt(p_c) (e_c - p)       Bernoulli  sqrt(p(1-p)) e_c
 *         Poisson  sqrt(rate) e_c                  Gaussian   e_c/sd;  e_c/sqrt 2 for ln variances
 *         Laplace  e_c/b                           Student    sqrt((nu+1)/(nu+3))/s e_c (Fisher)
 *     so one backward pass per row and column r_c gives a row of a factor B of GGN = B^T B.
 *     Kronecker, per layer: sum_n a a^T (x) g g^T ~ N A (x) G, A = mean of a a^T (inputs and 1),
 *         G = mean over rows of sum_c g_c g_c^T at the layer's output. With the prior's precision
 *         D per input, A' = D^-1/2 A D^-1/2 = U e U^T and G = V f V^T:
 *         H^-1 = (D^-1/2 U (x) V) diag(1/(N e_i f_j + 1)) (D^-1/2 U (x) V)^T
 *     decrement = |S^T grad U|^2/2,  H^-1 = S S^T
 * --------------------------------------------------------------------------------------------- */

/* A tour of one sample that may go backward: on private copies of blocks and gradient, so that the
 * user's stay as they are */
static int bnn__probe_init(bnn__tour *v, bnn_tape *t, const char *who, const bnn_net *net,
                           bnn_mat x) {
    if (!bnn__has_data(t, who, x)) return 0;
    if (net == NULL || net->params == NULL || net->forward == NULL) {
        bnn__fail(t, BNN_EARG, "%s: the net, or its bnn_laplace, was not made", who);
        return 0;
    }
    if (!bnn__tour_init(v, t, net, NULL)) return 0;
    v->who = who;
    v->view.grad = bnn__floats(t, v->view.n);
    v->view.blocks = (bnn_block *)bnn__scratch(t, v->view.n_blocks, sizeof *v->view.blocks);
    if (t->err != BNN_OK) return 0;
    memcpy(v->view.blocks, net->params->blocks, v->view.n_blocks * sizeof *v->view.blocks);
    return 1;
}

static int bnn__probe_numbers(const bnn__tour *v, const char *what, bnn_mat a) {
    return bnn__batch_finite(v->who, what, bnn_input(v->t, a), NULL);
}

static bnn_mat bnn__seed(bnn_var *out) { /* room for a gradient of out */
    bnn_mat seed = out->val;
    seed.data = bnn__floats(out->tape, bnn__mat_size(seed));
    return seed;
}

/* Column c of the factor of Lam for every row of the outputs */
static void bnn__lambda_column(const bnn_net *net, bnn_mat out, size_t c, bnn_mat r) {
    size_t i, j, k = out.cols;
    int likelihood = bnn__likelihood(net);
    double v = 1 / (double)bnn__noise_std(net), nu = (double)bnn__nu(net);
    if (net->noise_learned)
        v = bnn__dexp(-bnn__log_var((double)bnn_params_mat(net->params, net->noise).data[0]) / 2);
    else if (net->scaling.y_std.data != NULL)
        v *= (double)net->scaling.y_std.data[c % net->scaling.y_std.cols];
    if (likelihood == BNN_STUDENT) v *= sqrt((nu + 1) / (nu + 3));
    bnn_mat_fill(r, 0);
    for (i = 0; i < out.rows; i++) {
        const float *o = out.data + i * k;
        float *to = r.data + i * k;
        double z = (double)o[c];
        switch (likelihood) {
        case BNN_CATEGORICAL:
            bnn__softmax_rows(1, k, o, 1, to, NULL, NULL);
            z = sqrt((double)to[c]);
            for (j = 0; j < k; j++) to[j] = (float)(z * ((j == c) - (double)to[j]));
            break;
        case BNN_BERNOULLI:
            z = bnn__dexp(-fabs(z) / 2);
            to[c] = (float)(z / (1 + z * z));
            break;
        case BNN_POISSON: to[c] = (float)bnn__dexp(z / 2); break;
        case BNN_GAUSSIAN_HETERO: /* ln variance has the bounds of bnn__units */
            z = (double)o[c % (k / 2) + k / 2];
            v = bnn__log_var(z);
            if (c < k / 2) to[c] = (float)bnn__dexp(-v / 2);
            else to[c] = (float)(fabs(z) > BNN__LOG_VAR ? 0 : sqrt(0.5));
            break;
        default: to[c] = (float)v;
        }
    }
}

/* From column c of the outputs, or of the factor of Lam, back to all weights. seed: bnn__seed */
static void bnn__probe_back(bnn__tour *v, bnn_var *out, bnn_mat seed, size_t c, int weighed) {
    size_t i;
    if (v->t->err != BNN_OK) return;
    if (weighed) bnn__lambda_column(&v->net, out->val, c, seed);
    else bnn_mat_fill(seed, 0);
    for (i = 0; !weighed && i < seed.rows; i++) seed.data[i * seed.cols + c] = 1;
    bnn_params_zero_grad(&v->view);
    bnn_backward_from(out, seed);
}

static void bnn__ggn_add(bnn_mat out, double *d, size_t rows, const float *b) { /* B^T B */
    size_t i, n = out.cols;
    if (d == NULL) bnn__gemm(n, n, rows, b, 1, n, b, n, 1, out.data, n, 1);
    else for (i = 0; i < rows * n; i++) d[i % n] += (double)b[i] * (double)b[i];
}

/* The GGN of the weights [first, first + n) of which out has the columns: all (n,n), or (1,n) */
static void bnn__ggn(bnn__tour *v, bnn_mat x, size_t first, bnn_mat out) {
    enum { ROWS = 64 };
    bnn_tape *t = v->t;
    size_t i, c, n = out.cols, k = 0, held = 0, noise;
    int diagonal = out.rows == 1;
    float *b = bnn__floats(t, bnn__mul((size_t)ROWS, n));
    double *d = diagonal ? (double *)bnn__scratch(t, n, sizeof *d) : NULL;
    bnn__time start = bnn__now(t);
    bnn_mat_fill(out, 0);
    if (t->err != BNN_OK) return;
    for (i = 0; diagonal && i < n; i++) d[i] = 0;
    for (i = 0; t->err == BNN_OK && i < x.rows; i++) {
        bnn_var *f = bnn__tour_answer(v, 0, bnn_mat_rows(x, i, 1));
        bnn_mat seed = bnn__seed(f);
        k = f->val.cols;
        for (c = 0; t->err == BNN_OK && c < k; c++) {
            bnn__probe_back(v, f, seed, c, 1);
            memcpy(b + held * n, v->view.grad + first, n * sizeof *b);
            held = (held + 1) % ROWS;
            if (held == 0) bnn__ggn_add(out, d, ROWS, b);
        }
        bnn__back_to(t, start);
        if (i % 256 == 255) bnn__report(t, i + 1, x.rows);
    }
    if (t->err != BNN_OK) return;
    bnn__ggn_add(out, d, held, b);
    for (i = 0; diagonal && i < n; i++) out.data[i] = (float)d[i];
    if (!v->net.noise_learned) return;
    noise = v->view.blocks[v->net.noise].offset - first; /* outside: far above n */
    if (noise < n && fabs((double)v->view.theta[first + noise]) <= BNN__LOG_VAR)
        out.data[diagonal ? noise : noise * n + noise] += (float)(0.5 * (double)(x.rows * k));
}

BNNDEF void bnn_ggn(bnn_mat out, bnn_tape *t, const bnn_net *net, bnn_mat x) {
    bnn__time start = bnn__now(t);
    bnn__tour v;
    size_t n;
    if (!bnn__probe_init(&v, t, "bnn_ggn", net, x)) return;
    n = v.view.n;
    if (!bnn__mat_is(out, n, n) && !bnn__mat_is(out, 1, n))
        bnn__fail(t, BNN_ESHAPE, "bnn_ggn: out is %zx%z for %z weights", out.rows, out.cols, n);
    else if (bnn__probe_numbers(&v, "x", x) &&
             bnn__probe_numbers(&v, "theta", bnn__mat(1, n, v.view.theta)))
        bnn__ggn(&v, x, 0, out);
    bnn__back_to(t, start);
}

/* ---- Kronecker factors */

/* The nodes of the layers: the affine ones of their weights */
static void bnn__layer_nodes(bnn_var *last, const bnn__tour *p, bnn_var **node) {
    const struct bnn__mlp *m = p->net.mlp;
    size_t step = m->desc.no_bias ? 1 : 2;
    bnn_var *v;
    for (v = last; v != NULL; v = v->prev)
        if (v->n_in >= 2 && v->in[1]->owner == &p->view)
            node[(v->in[1]->block - m->first) / step] = v;
}

/* What a layer saw, with a column of ones where it has a bias */
static bnn_mat bnn__layer_inputs(const bnn_var *node, size_t cols) {
    bnn_mat in = node->in[0]->val, a = bnn__mat(in.rows, cols, NULL);
    size_t i;
    a.data = bnn__floats(node->tape, bnn__mul(in.rows, cols));
    for (i = 0; a.data != NULL && i < in.rows; i++) {
        a.data[i * cols + cols - 1] = 1; /* a weight writes over it if no bias */
        memcpy(a.data + i * cols, in.data + i * in.cols, in.cols * sizeof *a.data);
    }
    return a;
}

static void bnn__gram_add(bnn_mat sum, bnn_mat a) { /* sum += a^T a */
    bnn__gemm(a.cols, a.cols, a.rows, a.data, 1, a.cols, a.data, a.cols, 1, sum.data, a.cols, 1);
}

/* Sums of a a^T and g g^T of every layer, in the places of its rotation */
static void bnn__kron_collect(bnn__tour *v, bnn_mat x, const bnn_gaussian *g) {
    enum { ROWS = 128 };
    bnn_tape *t = v->t;
    bnn__time start = bnn__now(t);
    bnn_var *node[BNN_MAX_LAYERS], *out;
    size_t first, l, c, n;
    bnn_mat a, seed;
    for (first = 0; t->err == BNN_OK && first < x.rows; first += n) {
        n = x.rows - first < ROWS ? x.rows - first : (size_t)ROWS;
        out = bnn__tour_answer(v, 0, bnn_mat_rows(x, first, n));
        seed = bnn__seed(out);
        if (t->err != BNN_OK) return;
        bnn__layer_nodes(out, v, node);
        for (l = 0; l < g->n_pieces; l++) {
            a = bnn__layer_inputs(node[l], g->pieces[l].a.rows);
            if (t->err == BNN_OK) bnn__gram_add(g->pieces[l].a, a);
        }
        for (c = 0; t->err == BNN_OK && c < seed.cols; c++) {
            bnn__probe_back(v, out, seed, c, 1);
            for (l = 0; t->err == BNN_OK && l < g->n_pieces; l++)
                bnn__gram_add(g->pieces[l].g, node[l]->grad);
        }
        bnn__back_to(t, start);
        bnn__report(t, first + n, x.rows);
    }
}

/* Sums of n rows become the rotation and the variances; prior: precision, of every input row */
static int bnn__kron_solve(bnn_arena *mem, bnn_gaussian_piece *q, const float *prior, double n) {
    size_t i, j, r = q->a.rows, c = q->g.rows;
    bnn_mark mark = bnn_arena_mark(mem);
    bnn_mat a = bnn_mat_copy(mem, q->a), g = bnn_mat_copy(mem, q->g);
    bnn_mat e = bnn_mat_new(mem, 1, r), f = bnn_mat_new(mem, 1, c);
    int err;
    if (mem->err != BNN_OK) return mem->err;
    for (i = 0; i < r * r; i++)
        a.data[i] = (float)((double)a.data[i] /
            (n * sqrt((double)prior[i / r * c]) * sqrt((double)prior[i % r * c])));
    bnn_mat_scale(g, g, (float)(1 / n));
    err = bnn_mat_eig_sym(mem, e, q->a, a);
    if (err == BNN_OK) err = bnn_mat_eig_sym(mem, f, q->g, g);
    for (i = 0; err == BNN_OK && i < r; i++) {
        double d = (double)prior[i * c], v;
        for (j = 0; j < r; j++) q->a.data[i * r + j] /= (float)sqrt(d);
        for (j = 0; j < c; j++) {
            v = n * (double)e.data[i] * (double)f.data[j];
            if (v < 0) v = 0; /* rounding */
            q->cov.data[i * c + j] = (float)(1 / (v + 1));
            q->log_det -= bnn__dlog1p(v) + bnn__dlog(d);
        }
    }
    bnn_arena_rewind(mem, mark);
    return err;
}

static void bnn__laplace_kron(bnn__tour *v, bnn_laplace *la, bnn_mat x) {
    bnn_tape *t = v->t;
    const struct bnn__mlp *m = la->net.mlp;
    size_t l, step = m->desc.no_bias ? 1 : 2;
    bnn_gaussian *g = &la->g;
    for (l = 0; l < m->n_layers; l++) {
        const bnn_block *b = &la->net.params->blocks[m->first + l * step];
        size_t r = b->rows + step - 1, c = b->cols;
        bnn_gaussian_piece *q = bnn__gaussian_add(g, b->offset, r * c, 1);
        if (q == NULL) return;
        q->a = bnn_mat_new(g->mem, r, r);
        q->g = bnn_mat_new(g->mem, c, c);
        q->factored = 1;
        if (!(la->prior[b->offset] > 0) || !(la->prior[b->offset + r * c - 1] > 0)) {
            bnn__fail(t, BNN_EARG, "bnn_laplace_new: BNN_LAPLACE_KRON needs a normal prior, that "
                      "of %s is flat", b->name);
            return;
        }
    }
    if (g->mem->err == BNN_OK) bnn__kron_collect(v, x, g);
    for (l = 0; g->mem->err == BNN_OK && t->err == BNN_OK && l < m->n_layers; l++) {
        bnn_gaussian_piece *q = &g->pieces[l];
        int err = bnn__kron_solve(g->mem, q, la->prior + q->first, (double)x.rows);
        if (err != BNN_OK)
            bnn__fail(t, err, "bnn_laplace_new: the factors of layer %z have no eigenvalues", l);
    }
}

/* ---- the Gaussian */

/* H = GGN + prior, and its Cholesky factor; or diagonals, turned into variances */
static void bnn__laplace_exact(bnn__tour *p, bnn_laplace *la, bnn_mat x) {
    bnn_tape *t = p->t;
    size_t i, n = la->n, pivot = 0;
    int diagonal = la->kind == BNN_LAPLACE_DIAGONAL;
    bnn_gaussian_piece *q = bnn__gaussian_add(&la->g, la->first, n, diagonal ? 1 : 0);
    bnn_mat h = q == NULL || diagonal ? bnn__mat(0, 0, NULL) : bnn_mat_new(la->g.mem, n, n);
    if (la->g.mem->err != BNN_OK) return;
    q->factored = 1;
    q->chol = h;
    if (diagonal) h = q->cov;
    bnn__ggn(p, x, la->first, h);
    for (i = 0; t->err == BNN_OK && i < n; i++) {
        float *v = &h.data[diagonal ? i : i * n + i];
        *v += la->prior[la->first + i];
        if (!diagonal) continue;
        if (!(*v > 0))
            bnn__fail(t, BNN_EARG, "bnn_laplace_new: weight %z has no curvature and no prior", i);
        q->log_det -= bnn__dlog((double)*v);
        *v = 1 / *v;
    }
    if (t->err != BNN_OK || diagonal) return;
    if (bnn_mat_cholesky(h, h, &pivot) != BNN_OK)
        bnn__fail(t, BNN_EARG, "bnn_laplace_new: the precision is not positive definite at pivot "
                  "%z", la->first + pivot);
    q->log_det = -bnn_mat_logdet_chol(h);
}

/* theta*, the prior's precision, the range; the range's ln prior is returned. */
static double bnn__laplace_prior(bnn_tape *t, bnn_laplace *la) {
    const bnn_params *w = la->net.params;
    const struct bnn__mlp *m = la->net.mlp;
    size_t b, i, from = 0, to = w->n_blocks;
    double sum = 0;
    if (la->kind >= BNN_LAPLACE_KRON) {
        size_t step;
        if (m == NULL || la->net.forward != bnn__mlp_forward) {
            bnn__fail(t, BNN_EARG, "bnn_laplace_new: this kind is for a bnn_mlp with the forward "
                      "that it came with: take BNN_LAPLACE_FULL or _DIAGONAL");
            return 0;
        }
        step = m->desc.no_bias ? 1 : 2;
        from = m->first + (la->kind == BNN_LAPLACE_LAST ? (m->n_layers - 1) * step : 0);
        to = m->first + m->n_layers * step;
    }
    la->first = from < to ? w->blocks[from].offset : 0;
    for (b = from; b < to; b++) {
        const bnn_block *k = &w->blocks[b];
        size_t n = k->rows * k->cols;
        int normal = k->prior.kind == BNN_PRIOR_NORMAL;
        if (!normal && k->prior.kind != BNN_PRIOR_FLAT) {
            bnn__fail(t, BNN_EARG, "bnn_laplace_new: the prior of %s is neither normal nor flat",
                      k->name);
            return 0;
        }
        for (i = 0; normal && i < n; i++)
            la->prior[k->offset + i] = (float)(1 / ((double)k->prior.std * (double)k->prior.std));
        sum += bnn__log_prior_block(&k->prior, n, w->theta + k->offset);
        la->n += n;
    }
    return sum;
}

/* -ln p(y|x), nats; the gradient of U, prior included, is left in p->view.grad. */
static double bnn__laplace_energy(bnn__tour *p, bnn_data d) {
    enum { ROWS = 128 };
    bnn__time start = bnn__now(p->t);
    size_t first, n;
    double sum = 0;
    bnn_var *v;
    bnn_params_zero_grad(&p->view);
    for (first = 0; p->t->err == BNN_OK && first < d.x.rows; first += n) {
        n = d.x.rows - first < ROWS ? d.x.rows - first : (size_t)ROWS;
        v = bnn__tour_answer(p, 0, bnn_mat_rows(d.x, first, n));
        v = bnn__nll_rows(&p->net, v, bnn_input(p->t, bnn_mat_rows(d.y, first, n)));
        if (p->t->err == BNN_OK) sum += bnn_mat_sum(v->val);
        bnn_backward(bnn_sum(v));
        bnn__back_to(p->t, start);
    }
    bnn_backward(bnn_prior_nll(p->t, &p->view));
    return sum;
}

static void bnn__laplace_fill(bnn__tour *p, bnn_laplace *la, bnn_data d) {
    bnn_tape *t = p->t;
    double u = -bnn__laplace_prior(t, la);
    float *tmp;
    size_t i;
    if (t->err != BNN_OK) return;
    if (la->kind == BNN_LAPLACE_KRON) bnn__laplace_kron(p, la, d.x);
    else bnn__laplace_exact(p, la, d.x);
    if (t->err != BNN_OK || la->g.mem->err != BNN_OK) return;
    u += bnn__laplace_energy(p, d);
    tmp = bnn__floats(t, la->n);
    if (t->err != BNN_OK) return;
    la->log_evidence = -u + (double)la->n / 2 * BNN__LN_2PI;
    for (i = 0; i < la->g.n_pieces; i++) {
        const bnn_gaussian_piece *q = &la->g.pieces[i];
        bnn_mat y = bnn__mat(1, q->n, p->view.grad + q->first);
        bnn__piece_root(q, BNN__ROOT_T, y, tmp);
        la->decrement += bnn_mat_dot(y, y) / 2;
        la->log_evidence += q->log_det / 2;
    }
    if (!(la->decrement <= 1 + 0.01 * (double)la->n))
        bnn__note(t, "bnn_laplace_new: not at a maximum: a Newton step would still gain %g nats; "
                  "train on with a falling lr, or the error bars are wrong", la->decrement);
}

static int bnn__laplace_ready(bnn_arena *mem, bnn_tape *t, bnn__tour *p, const bnn_net *net,
                              bnn_data d, int kind) {
    const char *who = "bnn_laplace_new";
    if (mem == NULL || kind < BNN_LAPLACE_FULL || kind > BNN_LAPLACE_LAST || d.x.rows == 0)
        bnn__fail(t, BNN_EARG, "%s: kind %d, %z rows%s", who, kind, d.x.rows,
                  mem == NULL ? ", no arena" : "");
    else if (mem->err != BNN_OK) bnn__fail(t, mem->err, "%s: %s", who, mem->msg);
    else if (d.y.rows != d.x.rows)
        bnn__fail(t, BNN_ESHAPE, "%s: %z inputs, %z targets", who, d.x.rows, d.y.rows);
    return bnn__probe_init(p, t, who, net, d.x) && bnn__has_data(t, who, d.y) &&
           bnn__probe_numbers(p, "x", d.x) && bnn__probe_numbers(p, "y", d.y) &&
           bnn__probe_numbers(p, "theta", bnn__mat(1, p->view.n, p->view.theta));
}

BNNDEF bnn_laplace bnn_laplace_new(bnn_arena *mem, bnn_tape *t, const bnn_net *net, bnn_data d,
                                   int kind) {
    bnn_laplace la, dead;
    bnn__time start = bnn__now(t);
    bnn__tour p;
    bnn_mark mark;
    memset(&dead, 0, sizeof dead);
    if (!bnn__laplace_ready(mem, t, &p, net, d, kind)) return dead;
    mark = bnn_arena_mark(mem);
    la = dead;
    la.net = *net;
    la.kind = kind;
    la.g = bnn__gaussian_start(mem, net->params->n, BNN_MAX_LAYERS);
    la.mean = la.g.mean;
    la.prior = (float *)bnn_arena_alloc(mem, la.g.n, sizeof *la.prior);
    if (mem->err == BNN_OK) {
        if (la.g.n != 0) memcpy(la.mean, net->params->theta, la.g.n * sizeof *la.mean);
        bnn__laplace_fill(&p, &la, d);
    }
    bnn__back_to(t, start);
    if (mem->err != BNN_OK) bnn__fail(t, mem->err, "bnn_laplace_new: %s", mem->msg);
    if (t->err == BNN_OK) return la;
    bnn_arena_rewind(mem, mark);
    return dead;
}

/* Covariance (n,n) of a piece of a curvature, or its variances (1,n). Those by Kronecker factors
 * are (A o A) V (G o G)^T, V the (inputs, outputs) variances. */
static bnn_mat bnn__piece_cov(bnn_arena *mem, const bnn_gaussian_piece *p, int diagonal) {
    size_t i, r = p->a.rows, c = p->g.rows;
    bnn_mat out, s, a = p->a, g = p->g;
    if (!bnn__dense(p) && a.data == NULL) return p->cov;
    if (!diagonal || a.data == NULL) return bnn__piece_gram(mem, p, BNN__ROOT_T, diagonal);
    out = bnn_mat_new(mem, 1, p->n);
    a = bnn_mat_copy(mem, a), g = bnn_mat_copy(mem, g);
    s = bnn_mat_new(mem, r, c);
    if (mem->err != BNN_OK) return out;
    for (i = 0; i < r * r; i++) a.data[i] *= a.data[i];
    for (i = 0; i < c * c; i++) g.data[i] *= g.data[i];
    bnn_mat_mul(s, a, bnn__mat(r, c, p->cov.data));
    bnn_mat_mul_nt(bnn__mat(r, c, out.data), s, g);
    return out;
}

/* Where two pieces of neighbors overlap, `to` gets the covariance c of `from`. */
static void bnn__cov_copy(const bnn_gaussian_piece *to, const bnn_gaussian_piece *from, bnn_mat c) {
    size_t end = to->first + to->n, other = from->first + from->n, i;
    size_t at = to->first > from->first ? to->first : from->first;
    if (other < end) end = other;
    for (i = at; i < end; i++) {
        const float *row = c.data + (c.rows == 1 ? 0 : (i - from->first) * from->n);
        if (bnn__dense(to))
            memcpy(to->cov.data + (i - to->first) * to->n + at - to->first, row + at - from->first,
                   (end - at) * sizeof *row);
        else to->cov.data[i - to->first] = row[i - from->first];
    }
}

BNNDEF bnn_gaussian bnn_gaussian_laplace(bnn_arena *mem, const bnn_laplace *la, int kind) {
    bnn_mark mark, after;
    bnn_gaussian g;
    size_t p, q;
    if (mem == NULL || mem->err != BNN_OK) return bnn__no_gaussian();
    if (la == NULL || la->n == 0 || kind < BNN_COV_DIAGONAL || kind > BNN_COV_FULL) {
        bnn__arena_fail(mem, BNN_EARG, "bnn_gaussian_laplace: kind %d (0 to 2)%s", kind,
                        la == NULL || la->n == 0 ? ", and the bnn_laplace was not made" : "");
        return bnn__no_gaussian();
    }
    mark = bnn_arena_mark(mem);
    if (la->kind == BNN_LAPLACE_DIAGONAL) kind = BNN_COV_DIAGONAL;
    if (la->kind == BNN_LAPLACE_KRON && kind == BNN_COV_FULL) kind = BNN_COV_LAYERS;
    g = bnn__gaussian_for(mem, &la->net, kind);
    after = bnn_arena_mark(mem);
    if (mem->err == BNN_OK) memcpy(g.mean, la->mean, g.n * sizeof *g.mean);
    for (p = 0; p < la->g.n_pieces && mem->err == BNN_OK; p++) {
        const bnn_gaussian_piece *from = &la->g.pieces[p];
        bnn_mat c = bnn__piece_cov(mem, from, kind == BNN_COV_DIAGONAL);
        if (mem->err != BNN_OK) break;
        for (q = 0; q < g.n_pieces; q++) bnn__cov_copy(&g.pieces[q], from, c);
        bnn_arena_rewind(mem, after);
    }
    return bnn__gaussian_end(&g, mark);
}

BNNDEF int bnn_laplace_push(const bnn_laplace *la, bnn_ensemble *e, bnn_rng *rng) {
    bnn_arena *mem = e == NULL || e->params == NULL ? NULL : e->params->mem;
    bnn_gaussian g;
    bnn_params draw;
    bnn_mark mark;
    int err;
    if (mem == NULL || la == NULL || la->n == 0 || rng == NULL || la->g.n != e->params->n)
        return bnn__arena_fail(mem, BNN_EARG, "bnn_laplace_push: not of the ensemble's parameters");
    mark = bnn_arena_mark(mem);
    draw = *la->net.params;
    draw.theta = (float *)bnn_arena_alloc(mem, draw.n, sizeof *draw.theta);
    g = la->g;
    g.mem = mem;
    err = draw.theta == NULL ? mem->err : bnn_gaussian_sample(&g, rng, draw.theta);
    if (err == BNN_OK) err = bnn_ensemble_push_from(e, &draw, 1);
    bnn_arena_rewind(mem, mark);
    return err;
}

/* ---- predictions */

/* Covariances (k,k) of the outputs of every row at hand, of any net: a backward pass per row and
 * output */
static void bnn__cov_by_rows(bnn__tour *v, float *cov) {
    const bnn_laplace *la = v->laplace;
    bnn_tape *t = v->t;
    bnn_mat x = bnn__block_of(v, v->x, v->gaps), seed;
    size_t i, c, k = v->cols, n = la->n;
    bnn_mat b = bnn__mat(k, n, bnn__floats(t, bnn__mul(k, n)));
    float *tmp = bnn__floats(t, bnn__mul(k, n));
    bnn__time start = bnn__now(t);
    bnn_var *out;
    for (i = 0; t->err == BNN_OK && i < v->rows; i++) {
        out = bnn__tour_answer(v, 0, bnn_mat_rows(x, i, 1));
        seed = bnn__seed(out);
        for (c = 0; t->err == BNN_OK && c < k; c++) {
            bnn__probe_back(v, out, seed, c, 0);
            memcpy(b.data + c * n, v->view.grad + la->first, n * sizeof *tmp);
        }
        if (t->err != BNN_OK) return;
        bnn__piece_root(&la->g.pieces[0], BNN__ROOT_T, b, tmp);
        bnn__gemm(k, k, n, b.data, n, 1, b.data, 1, n, cov + i * k * k, k, 0);
        bnn__back_to(t, start);
    }
}

/* The same by Kronecker factors: a row's gradient of a layer is a (x) g, a its inputs, g (by k
 * rows) the gradient of its outputs; cov += G V diag(s) V^T G^T, s = the turned inputs' squares
 * times the variances. */
static void bnn__cov_of_layer(bnn_tape *t, const bnn_gaussian_piece *q, const bnn_var *node,
                              bnn_mat g, size_t k, float *cov) {
    size_t i, j, c, rows = node->val.rows, r = q->a.rows, w = q->g.rows;
    bnn_mat a = bnn__layer_inputs(node, r), ra = bnn__mat(rows, r, bnn__floats(t, rows * r));
    bnn_mat s = bnn__mat(rows, w, bnn__floats(t, rows * w)), rg = g;
    rg.data = bnn__floats(t, bnn__mat_size(g));
    if (t->err != BNN_OK) return;
    bnn_mat_mul(ra, a, q->a);
    for (i = 0; i < rows * r; i++) ra.data[i] *= ra.data[i];
    bnn_mat_mul(s, ra, bnn__mat(r, w, q->cov.data));
    bnn_mat_mul(rg, g, q->g);
    for (c = 0; c < k; c++)
        for (j = 0; j < rows * w; j++)
            rg.data[c * rows * w + j] *= (float)sqrt((double)s.data[j]);
    for (i = 0; i < rows; i++)
        bnn__gemm(k, k, w, rg.data + i * w, rows * w, 1, rg.data + i * w, 1, rows * w,
                  cov + i * k * k, k, 1);
}

static void bnn__cov_by_layers(bnn__tour *v, float *cov) {
    bnn_tape *t = v->t;
    const bnn_gaussian_piece *q = v->laplace->g.pieces;
    bnn_var *node[BNN_MAX_LAYERS];
    bnn_mat seed = bnn__seed(v->out), g[BNN_MAX_LAYERS];
    size_t l, c, k = v->cols, layers = v->laplace->g.n_pieces, size;
    for (l = 0; l < layers; l++)
        g[l] = bnn__mat(bnn__mul(k, v->rows), q[l].g.rows,
                        bnn__floats(t, k * v->rows * q[l].g.rows));
    if (t->err != BNN_OK) return;
    memset(cov, 0, v->rows * k * k * sizeof *cov);
    bnn__layer_nodes(v->out, v, node);
    for (c = 0; t->err == BNN_OK && c < k; c++) {
        bnn__probe_back(v, v->out, seed, c, 0);
        for (l = 0; t->err == BNN_OK && l < layers; l++) {
            size = bnn__mat_size(node[l]->grad);
            memcpy(g[l].data + c * size, node[l]->grad.data, size * sizeof *cov);
        }
    }
    for (l = 0; t->err == BNN_OK && l < layers; l++)
        bnn__cov_of_layer(t, &q[l], node[l], g[l], k, cov);
}

static int bnn__laplace_cov(bnn__tour *v, float *cov) {
    bnn__tour_check(v, "output", v->out->val, 1);
    if (v->t->err != BNN_OK) return 0;
    if (v->laplace->kind == BNN_LAPLACE_KRON) bnn__cov_by_layers(v, cov);
    else bnn__cov_by_rows(v, cov);
    return v->t->err == BNN_OK;
}

static int bnn__laplace_open(bnn__tour *v, bnn_tape *t, const char *who, const bnn_laplace *la,
                             bnn_mat x) {
    enum { ROWS = 128, ROOM = 4096 }; /* rows at a time, so that their covariances stay small */
    memset(v, 0, sizeof *v);
    if (!bnn__probe_init(v, t, who, la == NULL || la->n == 0 ? NULL : &la->net, x)) return 0;
    v->laplace = la;
    v->view.theta = la->mean;
    if (!bnn__tour_over(v, x, ROWS)) return 0;
    if (v->cols > ROOM / ROWS) v->block = ROOM / v->cols + 1;
    return 1;
}

static void bnn__laplace_outputs_add(bnn__tour *v) {
    size_t k = v->cols;
    if (bnn__laplace_cov(v, v->p.aleatoric.data + v->first * k * k))
        memcpy(v->p.mean.data + v->first * k, v->out->val.data, v->rows * k * sizeof(float));
}

BNNDEF bnn_mat bnn_laplace_outputs(bnn_arena *mem, bnn_tape *t, const bnn_laplace *la, bnn_mat x,
                                   bnn_mat *cov) {
    bnn__time start = bnn__now(t);
    bnn__tour v;
    if (bnn__laplace_open(&v, t, "bnn_laplace_outputs", la, x)) {
        v.p.mean = bnn_mat_new(mem, x.rows, v.k = v.cols);
        v.p.aleatoric = bnn_mat_new(mem, x.rows, bnn__mul(v.k, v.k)); /* the covariances */
        bnn__tour_run(&v, mem, 0, bnn__laplace_outputs_add, NULL);
    }
    bnn__back_to(t, start);
    *cov = v.p.aleatoric;
    return v.p.mean;
}

/* One row of classes: mean by the probit formula, the rest by the delta method: d p_i/d f_j is
 * p_i (1[i = j] - p_j), or p_i (1 - p_i) of its own logit only. */
static double bnn__laplace_classes(int likelihood, size_t k, const float *f, const float *cov,
                                   float *mean, float *epistemic, float *aleatoric, double *p) {
    size_t i, j;
    double sum = 0, all = 0;
    bnn__softmax_rows(1, k, f, 1, mean, NULL, NULL);
    for (i = 0; i < k; i++) { /* cov mean, mean^T cov mean */
        for (p[i] = 0, j = 0; j < k; j++) p[i] += (double)cov[i * k + j] * (double)mean[j];
        all += p[i] * (double)mean[i];
    }
    for (i = 0; i < k; i++) {
        double slope = (double)mean[i], v = (double)cov[i * k + i];
        if (likelihood == BNN_BERNOULLI)
            slope = 1 / (2 + bnn__dexp((double)f[i]) + bnn__dexp(-(double)f[i]));
        else v += all - 2 * p[i];
        v *= slope * slope;
        epistemic[i] = (float)(v < 0 ? 0 : v);
    }
    for (i = 0; i < k; i++) { /* kappa of differences: what moves all logits alike is no matter */
        double odds = 0;
        for (j = 0; j < k; j++) {
            double v = (double)cov[i * k + i], d = (double)f[i];
            if ((likelihood == BNN_BERNOULLI) != (j == i)) continue; /* alone, or the others */
            if (j != i) d -= (double)f[j];
            if (j != i) v += (double)cov[j * k + j] - 2 * (double)cov[i * k + j];
            odds += bnn__dexp(-d / sqrt(1 + BNN__PI * (v < 0 ? 0 : v) / 8));
        }
        p[i] = 1 / (1 + odds);
        sum += p[i];
    }
    for (i = 0; i < k; i++) {
        double e = likelihood == BNN_BERNOULLI ? p[i] : (p[i] /= sum);
        e *= 1 - p[i];
        mean[i] = (float)p[i];
        if ((double)epistemic[i] > e) epistemic[i] = (float)e;
        aleatoric[i] = (float)(e - (double)epistemic[i]);
    }
    return sum > 0 ? bnn__entropy(likelihood, k, p) : bnn__nan();
}

static void bnn__laplace_add(bnn__tour *v) {
    const float *y_std = v->net.scaling.y_std.data;
    size_t i, j, k = v->k, outs = v->cols, at = v->first * k;
    float *mean = v->p.mean.data + at, *epistemic = v->p.epistemic.data + at;
    float *aleatoric = v->p.aleatoric.data + at, *entropy = v->p.entropy.data;
    float *cov = bnn__floats(v->t, bnn__mul(v->rows, bnn__mul(outs, outs)));
    int likelihood = bnn__likelihood(&v->net);
    bnn_mat m = bnn__mat(0, 0, NULL), var = m;
    if (!bnn__laplace_cov(v, cov)) return;
    if (entropy == NULL) bnn__moments(&v->net, v->out, &m, &var);
    if (v->t->err != BNN_OK) return;
    for (i = 0; i < v->rows; i++, cov += outs * outs) {
        for (j = 0; entropy == NULL && j < k; j++) {
            double c = (double)cov[j * outs + j], s = y_std != NULL ? (double)y_std[j] : 1;
            mean[j] = m.data[i * k + j];
            aleatoric[j] = var.data[i * k + j];
            if (likelihood == BNN_POISSON) { /* f normal: the rate is log-normal */
                mean[j] = aleatoric[j] = (float)((double)mean[j] * bnn__dexp(c / 2));
                s = (double)mean[j];
                c = bnn__dexpm1(c);
            }
            epistemic[j] = (float)(c * s * s);
        }
        if (entropy != NULL)
            entropy[v->first + i] =
                (float)bnn__laplace_classes(likelihood, k, v->out->val.data + i * k, cov, mean,
                                            epistemic, aleatoric, v->sums);
        mean += k, epistemic += k, aleatoric += k;
    }
}

BNNDEF bnn_predictive bnn_laplace_predict(bnn_arena *mem, bnn_tape *t, const bnn_laplace *la,
                                          bnn_mat x) {
    bnn__time start = bnn__now(t);
    bnn__tour v;
    int likelihood;
    if (bnn__laplace_open(&v, t, "bnn_laplace_predict", la, x)) {
        likelihood = bnn__likelihood(&v.net);
        v.p.mean = bnn_mat_new(mem, x.rows, v.k);
        v.p.aleatoric = bnn_mat_new(mem, x.rows, v.k);
        v.p.epistemic = bnn_mat_new(mem, x.rows, v.k);
        if (likelihood == BNN_CATEGORICAL || likelihood == BNN_BERNOULLI)
            v.p.entropy = bnn_mat_new(mem, x.rows, 1);
        bnn__tour_run(&v, mem, v.k, bnn__laplace_add, NULL);
    }
    bnn__back_to(t, start);
    return v.p;
}

/* ------------------------------------------------------------------------------------------------
 * >>evidence: ln p(D) over a ladder of powers of the likelihood, 0 = b_0 < ... < b_K = 1
 *
 * With u = -ln p(D|theta) and E_b under p(theta) p(D|theta)^b:
 *     swap      of neighbors with probability min(1, exp((b_i - b_j)(u_i - u_j)))
 *               (Swendsen and Wang 1986, Geyer 1991)
 *     integral  ln p(D) = -int_0^1 E_b u db; d E_b u/db = -Var_b u, so the trapezoid of width h has
 *               the correction -h^2/12 (Var_right - Var_left)   (Friel, Hurn and Wyse 2014).
 *               One sweep gives one value of the trapezoid; their autocorrelation has those of all
 *               rungs and between them.
 *     annealing ln w = -sum (b_k - b_(k-1)) u(theta_(k-1)), theta_k from theta_(k-1) by a step that
 *               leaves p(theta) p(D|theta)^b_k alone; p(D) = E w   (Neal 2001)
 * --------------------------------------------------------------------------------------------- */

static double bnn__ladder_power(const bnn_ladder *l, double k) { /* also between two rungs */
    double x = k / (double)(l->rungs - 1);
    return x <= 0 ? 0 : x < 1 ? bnn__dpow(x, l->bend) : 1;
}

BNNDEF bnn_ladder bnn_ladder_new(bnn_arena *mem, const bnn_net *net, bnn_data d,
                                 bnn_ladder_desc desc) {
    bnn_ladder l, dead;
    bnn_params *w = net->params;
    bnn_hmc_desc hmc;
    size_t k;
    memset(&dead, 0, sizeof dead);
    memset(&hmc, 0, sizeof hmc);
    l = dead;
    l.bend = (double)bnn__or(desc.bend, 4);
    l.mem = dead.mem = mem, l.params = dead.params = w;
    if (w == NULL || w->mem->err != BNN_OK) return dead;
    l.rungs = desc.rungs == 0 ? 16 : desc.rungs;
    l.warmup = desc.warmup == 0 ? 500 : desc.warmup;
    if (!(l.rungs >= 2 && l.rungs <= 1000 && l.bend > 0 && l.bend < 100))
        bnn__arena_fail(mem, BNN_EARG, "bnn_ladder_new: %z rungs with bend %g: 2 to 1000, and a "
                        "bend between 0 and 100", l.rungs, l.bend);
    for (k = 0; k < w->n_blocks; k++)
        if (w->blocks[k].prior.kind == BNN_PRIOR_FLAT)
            bnn__arena_fail(mem, BNN_EARG, "bnn_ladder_new: block %z (%s) has a flat prior, which "
                            "has no evidence", k, w->blocks[k].name);
    l.power = (double *)bnn_arena_alloc(mem, l.rungs, sizeof(double));
    l.energy = (double *)bnn_arena_alloc(mem, l.rungs, sizeof(double));
    l.tried = (uint64_t *)bnn_arena_alloc(mem, l.rungs, sizeof(uint64_t));
    l.swapped = (uint64_t *)bnn_arena_alloc(mem, l.rungs, sizeof(uint64_t));
    l.theta = bnn_mat_new(mem, l.rungs, w->n);
    l.chains = (bnn_stepper *)bnn_arena_alloc(mem, l.rungs, sizeof *l.chains);
    hmc.net = net, hmc.data = d, hmc.warmup = l.warmup, hmc.adapt_mass = 1;
    hmc.leapfrog = desc.leapfrog == 0 ? 10 : desc.leapfrog;
    for (k = 0; k < l.rungs && mem->err == BNN_OK; k++) {
        l.chains[k] = bnn_hmc(w, hmc);
        if (w->mem->err != BNN_OK) return dead;
        l.power[k] = bnn__ladder_power(&l, (double)k);
        l.chains[k].hmc->tempered = 1, l.chains[k].hmc->power = l.power[k];
    }
    return mem->err == BNN_OK ? l : dead;
}

/* -ln p(D|theta) of new weights from the prior, which are then the net's */
static double bnn__ladder_prior(bnn_ladder *l, bnn_tape *t) {
    double u;
    bnn_params_sample_prior(l->params, &t->rng);
    u = bnn__hmc_energy(&l->chains[0], t);
    if (t->err == BNN_ENONFINITE) bnn_tape_clear_error(t);
    if (!bnn__finite_d(u))
        bnn__fail(t, BNN_ENONFINITE, "bnn_ladder: the energy of a draw from the prior is not "
                  "finite");
    return l->chains[0].hmc->data_energy;
}

/* Of the whole state of two rungs, which is weights and their energy */
static void bnn__ladder_swap(bnn_ladder *l, bnn_tape *t, size_t k) {
    double *u = l->energy + k, odds = (l->power[k] - l->power[k + 1]) * (u[0] - u[1]), e = u[0];
    float *a = l->theta.data + k * l->theta.cols, *b = a + l->theta.cols, x;
    int swaps = odds > 0 || bnn__rng_unit(&t->rng) < bnn__dexp(odds);
    size_t i;
    if (l->steps >= l->warmup) l->tried[k]++, l->swapped[k] += (uint64_t)swaps;
    if (!swaps) return;
    u[0] = u[1], u[1] = e;
    for (i = 0; i < l->theta.cols; i++) x = a[i], a[i] = b[i], b[i] = x;
}

static int bnn__ladder_ok(bnn_ladder *l, bnn_tape *t) {
    if (t->err == BNN_OK && l->rungs == 0)
        bnn__fail(t, BNN_EARG, "bnn_ladder: it was not made: %s",
                  l->mem != NULL && l->mem->err != BNN_OK ? l->mem->msg :
                  l->params != NULL && l->params->mem->err != BNN_OK ? l->params->mem->msg : "");
    return t->err == BNN_OK;
}

BNNDEF void bnn_ladder_step(bnn_ladder *l, bnn_tape *t) {
    size_t k, bytes = l->theta.cols * sizeof(float);
    if (!bnn__ladder_ok(l, t)) return;
    for (k = 0; k < l->rungs && t->err == BNN_OK; k++) {
        float *theta = l->theta.data + k * l->theta.cols;
        if (k == 0 || l->steps == 0) l->energy[k] = bnn__ladder_prior(l, t);
        else memcpy(l->params->theta, theta, bytes);
        if (k > 0) {
            bnn_step(&l->chains[k], t);
            l->energy[k] = l->chains[k].hmc->data_energy;
        }
        memcpy(theta, l->params->theta, bytes);
    }
    if (t->err != BNN_OK) return;
    for (k = l->steps % 2; k + 1 < l->rungs; k += 2) bnn__ladder_swap(l, t, k);
    memcpy(l->params->theta, l->theta.data + (l->rungs - 1) * l->theta.cols, bytes);
    l->steps++;
}

static bnn_evidence bnn__no_evidence(void) {
    bnn_evidence r;
    r.log_evidence = r.error = r.ess = bnn__nan();
    return r;
}

static void bnn__ladder_warm(bnn_ladder *l, bnn_tape *t) {
    if (!bnn__ladder_ok(l, t)) return;
    while (l->steps < l->warmup && t->err == BNN_OK) bnn_ladder_step(l, t);
}

/* Trapezoid of the means in m[], and its correction by the sums of squares in m[rungs ..] */
static double bnn__ladder_trapezoid(const bnn_ladder *l, const double *m, double *correction,
                                    size_t sweeps) {
    double sum = 0, h;
    size_t k;
    for (k = 0; k + 1 < l->rungs; k++) {
        h = l->power[k + 1] - l->power[k];
        sum -= h / 2 * (m[k] + m[k + 1]);
        if (correction != NULL)
            *correction -= h * h / 12 * (m[l->rungs + k + 1] - m[l->rungs + k]) /
                           (double)(sweeps - 1);
    }
    return sum;
}

static void bnn__ladder_tell(const bnn_ladder *l, bnn_tape *t) {
    size_t k;
    for (k = 0; k + 1 < l->rungs; k++)
        if (5 * l->swapped[k] < l->tried[k])
            bnn__note(t, "bnn_ladder: rungs %z and %z swap in less than a fifth of the steps: more "
                      "rungs, or another bend", k, k + 1);
}

BNNDEF bnn_evidence bnn_ladder_integrate(bnn_ladder *l, bnn_tape *t, size_t sweeps) {
    bnn_evidence r = bnn__no_evidence();
    double *m, first = 0, correction = 0;
    bnn_mat series;
    bnn_mark mark;
    size_t i, k;
    bnn__ladder_warm(l, t);
    if (t->err == BNN_OK && sweeps < 8)
        bnn__fail(t, BNN_EARG, "bnn_ladder_integrate: %z sweeps, it needs 8", sweeps);
    if (t->err != BNN_OK) return r;
    mark = bnn_arena_mark(l->mem);
    series = bnn_mat_new(l->mem, 1, sweeps);
    m = (double *)bnn_arena_alloc(l->mem, 2 * l->rungs, sizeof *m);
    for (i = 0; i < sweeps && m != NULL && t->err == BNN_OK; i++) {
        double now;
        bnn_ladder_step(l, t);
        for (k = 0; k < l->rungs; k++) { /* Welford */
            double d = l->energy[k] - m[k];
            m[k] += d / (double)(i + 1);
            m[l->rungs + k] += d * (l->energy[k] - m[k]);
        }
        now = bnn__ladder_trapezoid(l, l->energy, NULL, 0);
        if (i == 0) first = now;
        series.data[i] = (float)(now - first);
    }
    if (m != NULL && t->err == BNN_OK) {
        r.log_evidence = bnn__ladder_trapezoid(l, m, &correction, sweeps) + correction;
        r.error = bnn_diag_mcse(l->mem, series);
        r.error = sqrt(r.error * r.error + correction * correction / 4);
        bnn__ladder_tell(l, t);
    }
    if (t->err == BNN_OK && l->mem->err != BNN_OK) {
        bnn__fail(t, l->mem->err, "bnn_ladder_integrate: %s", l->mem->msg);
        r = bnn__no_evidence();
    }
    bnn_arena_rewind(l->mem, mark);
    return r;
}

/* ln of the weight of one run */
static double bnn__ladder_run(bnn_ladder *l, bnn_tape *t, size_t steps) {
    double u = bnn__ladder_prior(l, t), log_w = 0, before = 0;
    size_t k, j;
    for (k = 1; k < l->rungs; k++) {
        bnn_hmc_state *h = l->chains[k].hmc;
        for (j = 1; j <= steps && t->err == BNN_OK; j++) {
            h->power = bnn__ladder_power(l, (double)(k - 1) + (double)j / (double)steps);
            log_w -= (h->power - before) * u;
            before = h->power;
            bnn_step(&l->chains[k], t);
            u = h->data_energy;
        }
        h->power = l->power[k];
    }
    return log_w;
}

BNNDEF bnn_evidence bnn_ladder_anneal(bnn_ladder *l, bnn_tape *t, size_t runs, size_t steps) {
    bnn_evidence r = bnn__no_evidence();
    double top = 0, sum = 0, squares = 0, n = (double)runs; /* of w exp(-top) */
    size_t i;
    bnn__ladder_warm(l, t);
    if (t->err == BNN_OK && (runs < 2 || steps == 0))
        bnn__fail(t, BNN_EARG, "bnn_ladder_anneal: %z runs of %z steps: 2 and 1, or more", runs,
                  steps);
    for (i = 0; i < runs && t->err == BNN_OK; i++) {
        double x = bnn__ladder_run(l, t, steps), scale;
        if (i == 0) top = x;
        if (x > top) {
            scale = bnn__dexp(top - x);
            sum *= scale, squares *= scale * scale, top = x;
        }
        sum += bnn__dexp(x - top), squares += bnn__dexp(2 * (x - top));
    }
    if (t->err != BNN_OK) return r;
    memcpy(l->params->theta, l->theta.data + (l->rungs - 1) * l->theta.cols,
           l->theta.cols * sizeof(float));
    r.log_evidence = top + bnn__dlog(sum / n);
    r.ess = sum * sum / squares;
    r.error = sqrt((n / r.ess - 1) / (n - 1));
    if (10 * r.ess < n)
        bnn__note(t, "bnn_ladder_anneal: %z runs are worth %g: more steps or more rungs", runs,
                  r.ess);
    return r;
}

/* ------------------------------------------------------------------------------------------------
 * >>drop: smaller nets from Gaussians over larger ones (Grabovoy and Strijov 2021)
 *
 * With weights in-by-out, neuron j of hidden layer t has its incoming weights in column j of w_t
 * and its outgoing ones in row j of w_t+1. Blocks keep their order, so the reduced vector is the
 * flat vector of the smaller net.
 * --------------------------------------------------------------------------------------------- */

/* The desc of mlp in a form that bnn_mlp takes again; 0 = not one whose weights g covers. */
static int bnn__drop_ready(const char *who, bnn_arena *mem, const bnn_net *mlp,
                           const bnn_gaussian *g, size_t layer, bnn_mlp_desc *d) {
    const struct bnn__mlp *m = mlp == NULL || mlp->params == NULL ? NULL : mlp->mlp;
    size_t blocks, n = g == NULL ? 0 : g->n;
    if (mem->err != BNN_OK) return 0;
    if (m == NULL || n == 0 || n != mlp->params->n) {
        bnn__arena_fail(mem, BNN_ESHAPE, "%s: a Gaussian of %z weights for a net of %z that must "
                        "be a bnn_mlp", who, n, m == NULL ? 0 : mlp->params->n);
        return 0;
    }
    blocks = m->n_layers * (m->desc.no_bias ? 1 : 2) + (mlp->noise_learned != 0);
    if (m->first != 0 || mlp->params->n_blocks != blocks) {
        bnn__arena_fail(mem, BNN_EARG, "%s: the net must be alone in its parameters", who);
        return 0;
    }
    if (layer == 0 || layer >= m->n_layers) {
        bnn__arena_fail(mem, BNN_EARG, "%s: layer %z, the hidden ones are 1 to %z", who, layer,
                        m->n_layers - 1);
        return 0;
    }
    *d = m->desc;
    d->init = BNN_INIT_ZERO;
    memset(&d->prior, 0, sizeof d->prior);
    return 1;
}

/* What becomes of every weight, as yet nothing; NULL = the two places or the net do not fit. */
static unsigned char *bnn__drop_open(const char *who, bnn_params *to, const void *out,
                                     const void *neurons, const bnn_net *mlp,
                                     const bnn_gaussian *g, size_t layer, bnn_mlp_desc *d) {
    if (to == NULL || to->mem->err != BNN_OK) return NULL;
    if (to->n_blocks != 0 || out == NULL || neurons == NULL)
        bnn__arena_fail(to->mem, BNN_EARG, "%s: the new net needs empty parameters, these have %z "
                        "blocks%s", who, to->n_blocks, out == NULL ? ", and a place for its "
                        "Gaussian" : neurons == NULL ? ", and a list of neurons" : "");
    if (!bnn__drop_ready(who, to->mem, mlp, g, layer, d)) return NULL;
    return (unsigned char *)bnn_arena_alloc(to->mem, g->n, 1);
}

/* The smaller net, with the priors of the larger one's blocks (from `gone` on, those behind the
 * dropped layer's) and the mean as its weights. */
static bnn_net bnn__drop_close(bnn_params *to, bnn_gaussian *out, const bnn_net *mlp,
                               const bnn_gaussian *g, const bnn_mlp_desc *d,
                               const unsigned char *what, const float *value, size_t gone) {
    bnn_gaussian less = bnn_gaussian_reduce(to->mem, g, what, value);
    bnn_net net = less.n > 0 ? bnn__net_like(to, mlp, *d, NULL) : bnn__net_dead(to->mem);
    size_t b;
    if (net.params == NULL) return net;
    BNN_ASSERT(to->n == less.n);
    for (b = 0; b < to->n_blocks; b++)
        to->blocks[b].prior =
            mlp->params->blocks[b < gone ? b : b + mlp->params->n_blocks - to->n_blocks].prior;
    memcpy(to->theta, less.mean, less.n * sizeof(float));
    *out = less;
    return net;
}

BNNDEF bnn_net bnn_drop_neurons(bnn_params *to, bnn_gaussian *out, const bnn_net *mlp,
                                const bnn_gaussian *g, size_t layer, size_t n,
                                const size_t *neurons, int condition_all) {
    const char *who = "bnn_drop_neurons";
    bnn_mlp_desc d;
    unsigned char *what = bnn__drop_open(who, to, out, n > 0 ? (const void *)neurons : who, mlp, g,
                                         layer, &d);
    const bnn_block *in, *next;
    size_t i, j, step, width;
    if (what == NULL) return bnn__net_dead(to != NULL ? to->mem : NULL);
    step = d.no_bias ? 1 : 2;
    width = d.sizes[layer];
    in = &mlp->params->blocks[(layer - 1) * step];
    next = in + step;
    for (i = 0; i < n; i++) {
        if (neurons[i] >= width || n >= width || what[next->offset + neurons[i] * next->cols] != 0)
            break;
        memset(what + next->offset + neurons[i] * next->cols, BNN_FIX, next->cols);
        for (j = 0; j < in->rows + step - 1; j++) /* its column, and the bias behind the matrix */
            what[in->offset + j * width + neurons[i]] = condition_all ? BNN_FIX : BNN_DROP;
    }
    if (i < n) {
        bnn__arena_fail(to->mem, BNN_EARG, "%s: neuron %z (number %z of %z) of layer %z, which has "
                        "%z: out of range, twice, or all of them", who, neurons[i], i, n, layer,
                        width);
        return bnn__net_dead(to->mem);
    }
    d.sizes[layer] = width - n;
    return bnn__drop_close(to, out, mlp, g, &d, what, NULL, BNN__NONE);
}

/* Can the layer be the identity, and gone? */
static int bnn__layer_fits(bnn_arena *mem, const bnn_mlp_desc *d, size_t layer) {
    int act = d->activations[layer - 1];
    if (d->sizes[layer - 1] != d->sizes[layer])
        bnn__arena_fail(mem, BNN_ESHAPE, "bnn_drop_layer: layer %z has width %z, the one before "
                        "it %z", layer, d->sizes[layer], d->sizes[layer - 1]);
    else if (act != BNN_IDENTITY &&
             (act != BNN_RELU || layer == 1 || d->activations[layer - 2] != BNN_RELU))
        bnn__arena_fail(mem, BNN_EARG, "bnn_drop_layer: layer %z: activation %d: needs "
                        "sigma(sigma(x)) = sigma(x): relu behind relu, or identity", layer, act);
    return mem->err == BNN_OK;
}

BNNDEF bnn_net bnn_drop_layer(bnn_params *to, bnn_gaussian *out, const bnn_net *mlp,
                              const bnn_gaussian *g, size_t layer) {
    const char *who = "bnn_drop_layer";
    bnn_mlp_desc d;
    unsigned char *what = bnn__drop_open(who, to, out, who, mlp, g, layer, &d);
    float *value;
    size_t i, l, step, width;
    if (what == NULL || !bnn__layer_fits(to->mem, &d, layer))
        return bnn__net_dead(to != NULL ? to->mem : NULL);
    value = (float *)bnn_arena_alloc(to->mem, g->n, sizeof *value);
    if (value == NULL) return bnn__net_dead(to->mem);
    step = d.no_bias ? 1 : 2;
    width = d.sizes[layer];
    l = mlp->params->blocks[(layer - 1) * step].offset;
    for (i = 0; i < width * (width + step - 1); i++) {
        what[l + i] = BNN_FIX;
        value[l + i] = (float)(i < width * width && i / width == i % width);
    }
    for (l = layer; l < BNN_MAX_LAYERS; l++) {
        d.sizes[l] = d.sizes[l + 1];
        d.activations[l - 1] = d.activations[l];
    }
    d.sizes[BNN_MAX_LAYERS] = 0;
    return bnn__drop_close(to, out, mlp, g, &d, what, value, (layer - 1) * step);
}

/* ---- orders */

/* Belsley's X'X, of columns of length 1: their cosines, the correlation form of the precision. So a
 * covariance (made a correlation, for a better condition) is inverted first. */
static int bnn__belsley_scale(bnn_mat x, int covariance) {
    size_t i, k, d = x.cols, n = covariance ? 0 : x.rows;
    for (k = 0; k < d; k++) {
        double s = covariance ? (double)x.data[k * d + k] : 0;
        for (i = 0; i < n; i++) s += (double)x.data[i * d + k] * (double)x.data[i * d + k];
        if (!(s > 0)) return BNN_EARG;
        for (i = 0; i < x.rows; i++) x.data[i * d + k] /= (float)sqrt(s);
        for (i = 0; covariance && i < d; i++) x.data[k * d + i] /= (float)sqrt(s);
    }
    return BNN_OK;
}

static int bnn__belsley_cosines(bnn_mat x, bnn_mat scratch) {
    int err = bnn__belsley_scale(x, 1);
    if (err == BNN_OK) err = bnn_mat_cholesky(scratch, x, NULL);
    if (err != BNN_OK) return err;
    bnn_mat_eye(x);
    bnn_mat_solve_chol(x, scratch, x);
    return bnn__belsley_scale(x, 1);
}

BNNDEF int bnn_belsley(bnn_arena *mem, bnn_mat index, bnn_mat share, bnn_mat a, int covariance) {
    size_t i, k, d = a.cols, n = a.rows;
    bnn_mark mark;
    bnn_mat x, v, e, u;
    double top = 0;
    int err;
    if (mem == NULL) return BNN_EARG;
    if (mem->err != BNN_OK) return mem->err;
    if (d == 0 || n < d || (covariance && n != d) || !bnn__mat_ok(a) || !bnn__mat_is(index, 1, d) ||
        !bnn__mat_is(share, d, d))
        return BNN_ESHAPE;
    if (!bnn_mat_finite(a)) return BNN_ENONFINITE;
    mark = bnn_arena_mark(mem);
    x = bnn_mat_copy(mem, a), v = bnn_mat_new(mem, d, d), e = bnn_mat_new(mem, 1, d);
    u = covariance ? bnn__mat(0, 0, NULL) : bnn_mat_new(mem, n, d);
    err = mem->err;
    if (err == BNN_OK) err = covariance ? bnn__belsley_cosines(x, v) : bnn__belsley_scale(x, 0);
    if (err == BNN_OK) err = covariance ? bnn_mat_eig_sym(mem, e, v, x)
                                        : bnn_mat_svd(mem, u, e, v, x);
    for (k = 0; err == BNN_OK && k < d; k++) { /* index and 1/d^2 of direction k, ascending */
        size_t at = covariance ? d - 1 - k : k;
        double s = (double)e.data[at];
        if (k == 0) top = s;
        if (!(s > bnn__epsilon() * top)) s = bnn__epsilon() * top;
        s = covariance ? top / s : top * top / (s * s);
        index.data[k] = (float)sqrt(s);
        for (i = 0; i < d; i++)
            share.data[k * d + i] = (float)(s * (double)v.data[i * d + at] *
                                            (double)v.data[i * d + at]);
    }
    for (i = 0; err == BNN_OK && i < d; i++) {
        double sum = 0;
        for (k = 0; k < d; k++) sum += (double)share.data[k * d + i];
        for (k = 0; k < d; k++) share.data[k * d + i] /= (float)sum;
    }
    bnn_arena_rewind(mem, mark);
    return err;
}

/* The neuron of the largest share of the largest index goes, the rest is conditioned on that. */
static int bnn__order_belsley(bnn_arena *mem, size_t *order, size_t width, bnn_mat r) {
    bnn_mark mark = bnn_arena_mark(mem);
    size_t i, j, k, worst;
    size_t *left = (size_t *)bnn_arena_alloc(mem, width, sizeof *left);
    int err = mem->err;
    for (i = 0; err == BNN_OK && i < width; i++) left[i] = i;
    for (k = 0; err == BNN_OK && k < width; k++) {
        size_t n = width - k;
        bnn_mark now = bnn_arena_mark(mem);
        bnn_mat c = bnn_mat_new(mem, n, n), index = bnn_mat_new(mem, 1, n);
        bnn_mat share = bnn_mat_new(mem, n, n);
        for (i = 0; share.data != NULL && i < n; i++)
            for (j = 0; j < n; j++) c.data[i * n + j] = r.data[left[i] * width + left[j]];
        err = mem->err != BNN_OK ? mem->err : bnn_belsley(mem, index, share, c, 1);
        if (err != BNN_OK) break;
        for (worst = 0, i = 1; i < n; i++)
            if (share.data[(n - 1) * n + i] > share.data[(n - 1) * n + worst]) worst = i;
        order[k] = left[worst];
        for (i = 0; i < n; i++)
            for (j = 0; j < n && i != worst; j++)
                if (j != worst)
                    r.data[left[i] * width + left[j]] -= c.data[i * n + worst] *
                        (c.data[worst * n + j] / c.data[worst * n + worst]);
        memmove(left + worst, left + worst + 1, (n - worst - 1) * sizeof *left);
        bnn_arena_rewind(mem, now);
    }
    bnn_arena_rewind(mem, mark);
    return err;
}

/* Scores of the rows of a layer's outgoing weights, or their mean correlation r. */
static void bnn__order_scores(const bnn_gaussian *g, const bnn_block *next, int kind,
                              const float *curvature, double *score, bnn_mat r) {
    size_t i, j, k, width = next->rows;
    for (i = 0; i < width; i++)
        for (j = 0; j < next->cols; j++) {
            size_t at = next->offset + i * next->cols + j, other;
            double u = (double)g->mean[at], v = bnn__gaussian_at(g, at, at);
            if (kind == BNN_ORDER_OBD) score[i] += (double)curvature[at] * u * u / 2;
            if (kind == BNN_ORDER_RATIO) score[i] += u * u / (2 * v); /* v = 0: never, last */
            for (k = 0; kind == BNN_ORDER_BELSLEY && k < width; k++) {
                other = next->offset + k * next->cols + j;
                r.data[i * width + k] += (float)(bnn__gaussian_at(g, at, other) /
                    sqrt(v * bnn__gaussian_at(g, other, other)) / (double)next->cols);
            }
        }
}

BNNDEF int bnn_drop_order(bnn_arena *mem, size_t *order, const bnn_net *mlp, const bnn_gaussian *g,
                          size_t layer, int kind, const float *curvature, bnn_rng *rng) {
    bnn_mlp_desc d;
    const bnn_block *next;
    bnn_mark mark;
    double *score;
    bnn_mat r;
    size_t width, *sorted;
    int err = BNN_OK;
    if (mem == NULL || order == NULL) return bnn__arena_fail(mem, BNN_EARG, "bnn_drop_order: no "
                                                             "place for the order");
    if (!bnn__drop_ready("bnn_drop_order", mem, mlp, g, layer, &d)) return mem->err;
    mark = bnn_arena_mark(mem);
    width = d.sizes[layer];
    next = &mlp->params->blocks[layer * (d.no_bias ? 1 : 2)];
    if (kind < BNN_ORDER_RANDOM || kind > BNN_ORDER_BELSLEY ||
        (kind == BNN_ORDER_RANDOM && rng == NULL) || (kind == BNN_ORDER_OBD && curvature == NULL))
        return bnn__arena_fail(mem, BNN_EARG, "bnn_drop_order: kind %d, or its rng or curvature is "
                               "missing", kind);
    if (kind == BNN_ORDER_RANDOM) bnn_rng_permutation(rng, width, order);
    if (kind == BNN_ORDER_RANDOM) return BNN_OK;
    score = (double *)bnn_arena_alloc(mem, width, sizeof *score);
    r = bnn_mat_new(mem, kind == BNN_ORDER_BELSLEY ? width : 0, width);
    if (mem->err != BNN_OK) return mem->err;
    bnn__order_scores(g, next, kind, curvature, score, r);
    if (kind == BNN_ORDER_BELSLEY) err = bnn__order_belsley(mem, order, width, r);
    else if ((sorted = bnn__sorted_index(mem, width, score)) == NULL) err = mem->err;
    else memcpy(order, sorted, width * sizeof *order);
    bnn_arena_rewind(mem, mark);
    return err;
}

/* ------------------------------------------------------------------------------------------------
 * >>structure: graphs of mixed operations, two-level problems, relevance
 *
 *     f_v = agg { sum_k gamma_k g_k(f_j) : edges (j,v) },  f_0 = x
 *     DARTS      w' = w - xi grad_w L(w,a):
 *                grad = grad_a Q(w',a) - xi [grad_a L(w+rv,a) - grad_a L(w-rv,a)]/(2r),
 *                v = grad_w Q(w',a), r = 0.01/|v|
 *     implicit   (H + damping) z = grad_w Q by conjugate gradients, H v by >>check:
 *                grad = grad_a Q - [grad_a L(w+rz,a) - grad_a L(w-rz,a)]/(2r)
 *     evidence   A = diag(alpha) + beta X'X = L L', m = beta A^-1 X'y:
 *                2 ln p(y) = sum ln alpha - ln |A| + n ln(beta/2 pi) - beta |y - Xm|^2
 *                            - sum alpha m^2;   gamma_j = 1 - alpha_j (A^-1)_jj,
 *                alpha_j <- gamma_j/m_j^2,  1/beta <- |y - Xm|^2/(n - sum gamma)
 * Liu, Simonyan, Yang: DARTS, ICLR 2019. Pedregosa, ICML 2016. Duchi et al., ICML 2008. MacKay,
 * Bayesian interpolation, 1992. Bakhteev, thesis, 2020.
 * --------------------------------------------------------------------------------------------- */

/* ---- a graph: forward */

static bnn_var *bnn__zeros(bnn_tape *t, size_t rows, size_t cols) {
    bnn_var *y = bnn_op(t, rows, cols, NULL, 0, NULL);
    bnn_mat_fill(y->val, 0);
    return y;
}

BNNDEF bnn_var *bnn_zero(bnn_var *x) { return bnn__zeros(x->tape, x->val.rows, x->val.cols); }

static bnn_var *bnn__candidate(bnn_tape *t, bnn_params *w, const bnn_candidate *c, size_t block,
                               bnn_var *x) {
    if (c->width > 0) {
        if (c->op == bnn_zero) return bnn__zeros(t, x->val.rows, c->width);
        x = bnn_affine(x, bnn_param(t, w, block), bnn_param(t, w, block + 1));
    }
    return c->op != NULL ? c->op(x) : x;
}

static bnn_var *bnn__step_up(bnn_var *x) { /* 1 where x > 0, else 0: a constant */
    bnn_var *y = bnn_zero(x);
    size_t i;
    for (i = 0; i < bnn__mat_size(y->val); i++) y->val.data[i] = x->val.data[i] > 0 ? 1 : 0;
    return y;
}

static bnn_var *bnn__gamma(const bnn_structure *s, bnn_var *a) {
    bnn_var *y;
    switch (s->gamma) {
    case BNN_GAMMA_SOFTMAX:
    case BNN_GAMMA_SIGMOID:
        if (!bnn__tau_ok("bnn_graph", a, s->tau)) return bnn__poison(a->tape);
        a = bnn_scale(a, 1 / s->tau);
        return s->gamma == BNN_GAMMA_SOFTMAX ? bnn_softmax(a) : bnn_sigmoid(a);
    case BNN_GAMMA_GUMBEL: return bnn_gumbel_softmax(a, s->tau);
    case BNN_GAMMA_GUMBEL_HARD:
        y = bnn_gumbel_softmax(a, s->tau);
        return bnn_straight_through(bnn_one_hot(y), y);
    case BNN_GAMMA_DIRICHLET: return bnn_dirichlet(bnn_scale(bnn_exp(a), s->tau));
    case BNN_GAMMA_ARGMAX: return bnn_one_hot(a);
    case BNN_GAMMA_BERNOULLI: return bnn_sigmoid(bnn_relaxed_bernoulli(a, s->tau));
    case BNN_GAMMA_BERNOULLI_HARD:
        y = bnn_relaxed_bernoulli(a, s->tau);
        return bnn_straight_through(bnn__step_up(y), bnn_sigmoid(y));
    case BNN_GAMMA_THRESHOLD: return bnn__step_up(a);
    case BNN_GAMMA_RAW: return a;
    default: return bnn__fail(a->tape, BNN_EARG, "bnn_graph: gamma is %d", s->gamma);
    }
}

/* Candidates whose weight is the constant 0 are not computed; a single 1 mixes nothing. */
static bnn_var *bnn__edge(bnn_tape *t, const bnn_net *net, size_t e, bnn_var *x) {
    const bnn_structure *s = (const bnn_structure *)net->user;
    const bnn_edge *edge = &s->edges[e];
    bnn_var **c = (bnn_var **)bnn__scratch(t, edge->n_ops, sizeof *c), *gamma = NULL, *sum = NULL;
    size_t k, kept = 0;
    if (c == NULL) return bnn__poison(t);
    if (s->logits[e] != BNN__NONE && s->gamma != BNN_GAMMA_ONES)
        gamma = bnn__gamma(s, bnn_param(t, s->params != NULL ? s->params : net->params,
                                        s->logits[e]));
    if (t->err != BNN_OK) return bnn__poison(t);
    for (k = 0; k < edge->n_ops; k++) {
        float g = gamma != NULL ? gamma->val.data[k] : 1;
        if (gamma != NULL && !gamma->wants && g == 0) continue;
        c[kept] = bnn__candidate(t, net->params, &edge->ops[k], s->blocks[s->first[e] + k], x);
        if (gamma != NULL && gamma->wants) {
            kept++;
            continue;
        }
        if (g != 1) c[kept] = bnn_scale(c[kept], g);
        sum = sum == NULL ? c[kept] : bnn_add(sum, c[kept]);
    }
    if (kept > 0) return bnn_mix(gamma, c, kept);
    return sum != NULL ? sum : bnn__zeros(t, x->val.rows, s->widths[edge->to]);
}

static bnn_var *bnn__aggregate(bnn_tape *t, int how, bnn_var **x, size_t n) {
    bnn_var *y = x[0];
    size_t i;
    if (how == BNN_AGG_CONCAT) return n > 1 ? bnn_concat(t, n, x) : y;
    for (i = 1; i < n; i++) y = how == BNN_AGG_PRODUCT ? bnn_mul(y, x[i]) : bnn_add(y, x[i]);
    return how == BNN_AGG_MEAN && n > 1 ? bnn_scale(y, 1 / (float)n) : y;
}

static bnn_var *bnn__graph_forward(bnn_tape *t, const bnn_net *net, bnn_var *x) {
    const bnn_structure *s = (const bnn_structure *)net->user;
    bnn_var **f = (bnn_var **)bnn__scratch(t, s->n_nodes, sizeof *f);
    bnn_var **in = (bnn_var **)bnn__scratch(t, s->n_edges, sizeof *in);
    size_t i, e, n;
    if (f == NULL || in == NULL) return bnn__poison(t);
    f[0] = x;
    for (i = 1; i < s->n_nodes && t->err == BNN_OK; i++) {
        size_t v = s->order[i];
        for (n = 0, e = 0; e < s->n_edges; e++)
            if (s->edges[e].to == v) in[n++] = bnn__edge(t, net, e, f[s->edges[e].from]);
        f[v] = t->err == BNN_OK ? bnn__aggregate(t, s->aggregates[v], in, n) : NULL;
    }
    return t->err == BNN_OK ? f[s->n_nodes - 1] : bnn__poison(t);
}

/* ---- a graph: making one */

/* How many live edges enter this node, or leave it; live NULL = all live */
static size_t bnn__degree(const bnn_edge *edges, const unsigned char *live, size_t n, size_t node,
                          int in) {
    size_t e, sum = 0;
    for (e = 0; e < n; e++)
        sum += (live == NULL || live[e]) && (in ? edges[e].to : edges[e].from) == node;
    return sum;
}

/* Counts the nodes; a node without edges into it or, but for the last, out of it is an error. */
static int bnn__graph_nodes(bnn_arena *mem, const bnn_graph_desc *d, size_t *nodes) {
    size_t e, v, top = 0, n = d->n_edges;
    if (n == 0 || d->edges == NULL || d->inputs == 0)
        return bnn__arena_fail(mem, BNN_EARG, "bnn_graph: %z edges, %z inputs", n, d->inputs);
    for (e = 0; e < n; e++) {
        const bnn_edge *g = &d->edges[e];
        int none = g->n_ops == 0 || g->ops == NULL;
        if (none || g->to == 0)
            return bnn__arena_fail(mem, BNN_EARG, "bnn_graph: edge %z, from %z to %z, %s", e,
                                   g->from, g->to,
                                   none ? "has no candidates" : "ends at node 0, the input");
        top = g->to > top ? g->to : top;
        top = g->from > top ? g->from : top;
    }
    for (v = 0; v <= top; v++) { /* with top > n one of the first has no edge */
        if (v > 0 && bnn__degree(d->edges, NULL, n, v, 1) == 0)
            return bnn__arena_fail(mem, BNN_EARG, "bnn_graph: node %z cannot be reached: no edge "
                                   "ends there", v);
        if (v < top && bnn__degree(d->edges, NULL, n, v, 0) == 0)
            return bnn__arena_fail(mem, BNN_EARG, "bnn_graph: node %z leads nowhere; the output is "
                                   "node %z", v, top);
    }
    *nodes = top + 1;
    return BNN_OK;
}

static int bnn__graph_order(bnn_arena *mem, bnn_structure *s) { /* Kahn: sources first */
    unsigned char *done = (unsigned char *)bnn_arena_alloc(mem, s->n_nodes, 1);
    size_t v, e = 0, n = 0, before = 1;
    if (done == NULL) return mem->err;
    while (n < s->n_nodes && n != before) {
        before = n;
        for (v = 0; v < s->n_nodes; v++) {
            int ready = !done[v];
            for (e = 0; e < s->n_edges && ready; e++)
                if (s->edges[e].to == v && !done[s->edges[e].from]) ready = 0;
            if (!ready) continue;
            done[v] = 1;
            s->order[n++] = v;
        }
    }
    if (n == s->n_nodes) return BNN_OK;
    for (v = 0; done[v];) v++; /* backward from any node that is left one comes round a cycle */
    for (n = 0; n <= s->n_nodes; n++) {
        for (e = 0; s->edges[e].to != v || done[s->edges[e].from];) e++; /* there is one */
        v = s->edges[e].from;
    }
    return bnn__arena_fail(mem, BNN_EARG, "bnn_graph: edge %z, from %z to %z, is part of a cycle",
                           e, v, s->edges[e].to);
}

/* Columns of candidate k of edge e */
static size_t bnn__candidate_width(const bnn_structure *s, size_t e, size_t k) {
    size_t width = s->edges[e].ops[k].width;
    return width > 0 ? width : s->widths[s->edges[e].from];
}

static int bnn__graph_widths(bnn_arena *mem, bnn_structure *s) {
    static const char at[] = "bnn_graph: edge %z, from %z to %z, has %z columns, %s %z has %z";
    size_t i, e, k;
    for (i = 1; i < s->n_nodes; i++) {
        size_t v = s->order[i], *width = &s->widths[v];
        for (e = 0; e < s->n_edges; e++) {
            const bnn_edge *g = &s->edges[e];
            size_t first = bnn__candidate_width(s, e, 0);
            if (g->to != v) continue;
            for (k = 1; k < g->n_ops; k++)
                if (bnn__candidate_width(s, e, k) != first)
                    return bnn__arena_fail(mem, BNN_ESHAPE, at, e, g->from, v, first, "candidate",
                                           k, bnn__candidate_width(s, e, k));
            if (s->aggregates[v] == BNN_AGG_CONCAT) *width += first;
            else if (*width == 0) *width = first;
            else if (first != *width)
                return bnn__arena_fail(mem, BNN_ESHAPE, at, e, g->from, v, first, "node", v,
                                       *width);
        }
    }
    return BNN_OK;
}

/* The arrays of a structure, copied; NULL = failed, with the arena's error */
static bnn_structure *bnn__graph_alloc(bnn_arena *mem, const bnn_graph_desc *d) {
    bnn_structure *s = (bnn_structure *)bnn_arena_alloc(mem, 1, sizeof *s);
    bnn_candidate *c;
    size_t e, v, n = d->n_edges, ops = 0, nodes = 0;
    if (bnn__graph_nodes(mem, d, &nodes) != BNN_OK || s == NULL) return NULL;
    for (e = 0; e < n; e++) ops += d->edges[e].n_ops;
    s->n_edges = n, s->n_nodes = nodes;
    s->gamma = d->gamma, s->tau = d->tau;
    s->edges = (bnn_edge *)bnn_arena_alloc(mem, n, sizeof *s->edges);
    s->logits = (size_t *)bnn_arena_alloc(mem, bnn__mul(2, n + nodes) + ops, sizeof *s->logits);
    s->aggregates = (int *)bnn_arena_alloc(mem, nodes, sizeof *s->aggregates);
    c = (bnn_candidate *)bnn_arena_alloc(mem, ops, sizeof *c);
    if (mem->err != BNN_OK) return NULL;
    s->first = s->logits + n, s->order = s->first + n, s->widths = s->order + nodes;
    s->blocks = s->widths + nodes;
    for (ops = 0, e = 0; e < n; e++) {
        bnn_edge *to = &s->edges[e];
        *to = d->edges[e];
        memcpy(c + ops, to->ops, to->n_ops * sizeof *c);
        to->ops = c + ops;
        s->first[e] = ops;
        ops += to->n_ops;
    }
    for (v = 0; v < nodes; v++) {
        int how = d->aggregates != NULL ? d->aggregates[v] : 0;
        s->aggregates[v] = how == 0 ? BNN_AGG_SUM : how;
        if (how >= 0 && how <= BNN_AGG_CONCAT) continue;
        bnn__arena_fail(mem, BNN_EARG, "bnn_graph: aggregate %d of node %z", how, v);
        return NULL;
    }
    s->widths[0] = d->inputs;
    if (bnn__graph_order(mem, s) != BNN_OK || bnn__graph_widths(mem, s) != BNN_OK) return NULL;
    return s;
}

static void bnn__graph_blocks(bnn_params *w, bnn_params *a, bnn_structure *s,
                              const bnn_graph_desc *d) {
    bnn_rng rng = bnn_rng_stream(d->seed, w->n_blocks + 1);
    bnn_mat m;
    size_t e, k;
    for (e = 0; e < s->n_edges; e++)
        for (k = 0; k < s->edges[e].n_ops; k++) {
            const bnn_candidate *c = &s->edges[e].ops[k];
            size_t rows = s->widths[s->edges[e].from], b = BNN__NONE;
            double gain = c->op == bnn_relu || c->op == bnn_leaky_relu ? 2 : 1;
            s->blocks[s->first[e] + k] = b;
            if (c->width == 0 || c->op == bnn_zero) continue;
            b = bnn_params_add(w, rows, c->width, c->name != NULL ? c->name : "w", d->prior);
            bnn_params_add(w, 1, c->width, "b", d->prior);
            if (w->mem->err != BNN_OK) return;
            s->blocks[s->first[e] + k] = b;
            m = bnn_params_mat(w, b);
            bnn__v_normal(&rng, bnn__mat_size(m), m.data);
            bnn_mat_scale(m, m, (float)sqrt(gain / (double)rows));
        }
    for (e = 0; e < s->n_edges; e++) {
        s->logits[e] = BNN__NONE;
        if (s->edges[e].n_ops > 1 && s->gamma != BNN_GAMMA_ONES)
            s->logits[e] = bnn_params_add(a, 1, s->edges[e].n_ops, "gamma", d->structure_prior);
    }
}

BNNDEF bnn_net bnn_graph(bnn_params *w, bnn_params *structure, bnn_graph_desc d) {
    bnn_params *a = structure != NULL ? structure : w;
    bnn_structure *s;
    bnn_net net = bnn__net_dead(w != NULL ? w->mem : NULL);
    size_t n, blocks, an, ablocks;
    if (w == NULL || w->mem->err != BNN_OK || a->mem->err != BNN_OK) return net;
    if (d.tau == 0) d.tau = 1;
    if (d.gamma == 0) d.gamma = BNN_GAMMA_SOFTMAX;
    if (!(d.tau > 0) || d.gamma < BNN_GAMMA_SOFTMAX || d.gamma > BNN_GAMMA_ONES) {
        bnn__arena_fail(w->mem, BNN_EARG, "bnn_graph: tau %g, gamma %d", (double)d.tau, d.gamma);
        return net;
    }
    s = bnn__graph_alloc(w->mem, &d);
    if (s == NULL || !bnn__likelihood_resolve(w->mem, "bnn_graph", &d.likelihood,
                                              s->widths[s->n_nodes - 1], 0, &d.noise_std, &d.nu))
        return net;
    n = w->n, blocks = w->n_blocks, an = a->n, ablocks = a->n_blocks;
    bnn__graph_blocks(w, a, s, &d);
    if (w->mem->err != BNN_OK || a->mem->err != BNN_OK) { /* all or nothing */
        w->n = n, w->n_blocks = blocks;
        if (a != w) a->n = an, a->n_blocks = ablocks;
        return net;
    }
    s->params = structure == w ? NULL : structure;
    net.params = w;
    net.forward = bnn__graph_forward;
    net.likelihood = d.likelihood;
    net.noise_std = d.noise_std;
    net.nu = d.nu;
    net.noise = BNN__NONE;
    net.user = s;
    return net;
}

/* ---- a graph: what was chosen */

static const bnn_structure *bnn__structure_of(const bnn_net *net) {
    return net->forward == bnn__graph_forward ? (const bnn_structure *)net->user : NULL;
}

static int bnn__is_cube(int gamma) {
    return gamma >= BNN_GAMMA_SIGMOID && gamma <= BNN_GAMMA_THRESHOLD;
}

/* What one logit weighs, before its edge is scaled to a sum of 1; in a cube its probability */
static double bnn__logit_weight(int gamma, float a, float top) {
    if (bnn__is_cube(gamma)) return (double)bnn__sigmoid_1(a);
    if (gamma == BNN_GAMMA_RAW) return a > 0 ? (double)a : 0;
    return (double)BNN_MATH_EXP(a - top);
}

BNNDEF int bnn_graph_probs(const bnn_net *graph, const bnn_ensemble *post, size_t edge, float *p) {
    const bnn_structure *s = bnn__structure_of(graph);
    bnn_params *store;
    double total = 0;
    size_t k, n, i, best, samples = post != NULL ? post->count : 1;
    if (s == NULL || edge >= s->n_edges) return BNN_EARG;
    store = s->params != NULL ? s->params : graph->params;
    n = s->edges[edge].n_ops;
    if (post != NULL && (post->count == 0 || post->params->n != store->n)) return BNN_ESHAPE;
    for (k = 0; k < n; k++) p[k] = s->logits[edge] == BNN__NONE ? 1 : 0;
    if (s->logits[edge] == BNN__NONE) return BNN_OK;
    for (i = 0; i < samples; i++) {
        bnn_params view = post != NULL ? bnn_ensemble_sample(post, i) : *store;
        bnn_mat a = bnn_params_mat(&view, s->logits[edge]);
        double weight = post != NULL ? post->weights[i] : 1, sum = 0, q;
        best = bnn_mat_row_argmax(a, 0);
        if (best == n) return BNN_ENONFINITE;
        for (k = 0; k < n; k++) sum += bnn__logit_weight(s->gamma, a.data[k], a.data[best]);
        if (bnn__is_cube(s->gamma) || sum == 0) sum = 1;
        for (k = 0; k < n; k++) {
            q = bnn__logit_weight(s->gamma, a.data[k], a.data[best]) / sum;
            p[k] = (float)((double)p[k] + weight * q);
        }
        total += weight;
    }
    if (!(total > 0)) return BNN_OK;
    for (k = 0; k < n; k++) p[k] = (float)((double)p[k] / total);
    return BNN_OK;
}

static int bnn__chosen(const bnn_net *net, const bnn_structure *s, size_t e, size_t k) {
    bnn_mat a;
    if (s->logits[e] == BNN__NONE) return 1;
    a = bnn_params_mat(s->params != NULL ? s->params : net->params, s->logits[e]);
    return bnn__is_cube(s->gamma) ? a.data[k] > 0 : bnn_mat_row_argmax(a, 0) == k;
}

/* The chosen candidates of every edge that are not 0, or one 0 of the right width; from: of each
 * its block of weights */
static void bnn__extract_ops(const bnn_net *net, bnn_edge *edges, bnn_candidate *c, size_t *from) {
    const bnn_structure *s = (const bnn_structure *)net->user;
    size_t e, k, n = 0;
    for (e = 0; e < s->n_edges; e++) {
        bnn_edge old = s->edges[e];
        edges[e] = old;
        edges[e].ops = c + n;
        edges[e].n_ops = n;
        for (k = 0; k < old.n_ops; k++) {
            if (!bnn__chosen(net, s, e, k) || old.ops[k].op == bnn_zero) continue;
            from[n] = s->blocks[s->first[e] + k];
            c[n++] = old.ops[k];
        }
        if (n == edges[e].n_ops) {
            c[n].name = "zero", c[n].op = bnn_zero;
            c[n].width = bnn__candidate_width(s, e, 0);
            from[n++] = BNN__NONE;
        }
        edges[e].n_ops = n - edges[e].n_ops;
    }
}

/* live[e] = 0: zeros added to something, and edges whose end no longer reaches the output */
static void bnn__extract_live(const bnn_structure *s, const bnn_edge *edges, unsigned char *live) {
    size_t e, n = s->n_edges;
    int again = 1;
    memset(live, 1, n);
    for (e = 0; e < n; e++)
        if (edges[e].ops[0].op == bnn_zero && s->aggregates[edges[e].to] == BNN_AGG_SUM)
            live[e] = bnn__degree(edges, live, n, edges[e].to, 1) == 1;
    while (again) {
        again = 0;
        for (e = 0; e < n; e++) {
            if (!live[e] || edges[e].to == s->n_nodes - 1) continue;
            live[e] = bnn__degree(edges, live, n, edges[e].to, 0) > 0;
            again |= !live[e];
        }
    }
}

/* Live edges to the front, nodes renumbered in their order. Returns the edges. */
static size_t bnn__extract_pack(const bnn_structure *s, bnn_edge *edges, const unsigned char *live,
                                int *aggregates, size_t *number) {
    size_t e, v, n = 0, nodes = 1;
    for (v = 1; v < s->n_nodes; v++) {
        number[v] = nodes;
        aggregates[nodes] = s->aggregates[v];
        nodes += bnn__degree(edges, live, s->n_edges, v, 1) > 0;
    }
    for (e = 0; e < s->n_edges; e++) {
        if (!live[e]) continue;
        edges[n] = edges[e];
        edges[n].from = number[edges[e].from];
        edges[n++].to = number[edges[e].to];
    }
    return n;
}

/* Weights and biases of a candidate of the small net are those of block from[i] of w, where c[i]
 * is the candidate it was made of. */
static void bnn__extract_fill(const bnn_net *net, const bnn_params *w, const bnn_edge *edges,
                              const bnn_candidate *c, const size_t *from) {
    const bnn_structure *s = (const bnn_structure *)net->user;
    size_t e, k, part;
    for (e = 0; e < s->n_edges; e++)
        for (k = 0; k < edges[e].n_ops; k++) {
            size_t b = s->blocks[s->first[e] + k], old = from[(size_t)(edges[e].ops - c) + k];
            for (part = 0; b != BNN__NONE && part < 2; part++, b++, old++) {
                bnn_mat to = bnn_params_mat(net->params, b);
                bnn_mat_scale(to, bnn_params_mat(w, old), 1);
                net->params->blocks[b].prior = w->blocks[old].prior;
            }
        }
}

BNNDEF bnn_net bnn_graph_extract(bnn_params *to, const bnn_net *graph) {
    const bnn_structure *s = bnn__structure_of(graph);
    bnn_net dead = bnn__net_dead(to != NULL ? to->mem : NULL), net;
    bnn_graph_desc d;
    bnn_edge *edges;
    bnn_candidate *c;
    unsigned char *live;
    size_t *number, *from, ops;
    int *aggregates;
    if (to == NULL || to->mem->err != BNN_OK) return dead;
    if (s == NULL || to == graph->params) {
        bnn__arena_fail(to->mem, BNN_EARG, "bnn_graph_extract: not a bnn_graph, or into its own "
                        "parameters");
        return dead;
    }
    ops = s->first[s->n_edges - 1] + s->edges[s->n_edges - 1].n_ops;
    edges = (bnn_edge *)bnn_arena_alloc(to->mem, s->n_edges, sizeof *edges);
    c = (bnn_candidate *)bnn_arena_alloc(to->mem, ops, sizeof *c);
    live = (unsigned char *)bnn_arena_alloc(to->mem, s->n_edges, 1);
    number = (size_t *)bnn_arena_alloc(to->mem, s->n_nodes + ops, sizeof *number);
    aggregates = (int *)bnn_arena_alloc(to->mem, s->n_nodes, sizeof *aggregates);
    if (to->mem->err != BNN_OK) return dead;
    from = number + s->n_nodes;
    bnn__extract_ops(graph, edges, c, from);
    bnn__extract_live(s, edges, live);
    memset(&d, 0, sizeof d);
    d.n_edges = bnn__extract_pack(s, edges, live, aggregates, number);
    d.inputs = s->widths[0];
    d.edges = edges, d.aggregates = aggregates;
    d.gamma = BNN_GAMMA_ONES;
    d.likelihood = graph->likelihood, d.noise_std = graph->noise_std, d.nu = graph->nu;
    net = bnn_graph(to, NULL, d);
    if (net.params == NULL) return net;
    net.scaling = bnn__scaling_copy(to->mem, &graph->scaling, NULL);
    bnn__extract_fill(&net, graph->params, edges, c, from);
    return to->mem->err == BNN_OK ? net : dead;
}

/* Entries that are not above the threshold (sum - 1)/n leave, until none does (Michelot 1986); on x
 * less its largest entry, so that large values keep their differences */
BNNDEF void bnn_simplex_project(size_t k, float *x) {
    double top = -bnn__inf(), shift = -bnn__inf();
    size_t i, n, before = k + 1;
    for (i = 0; i < k; i++)
        if (!((double)x[i] <= top) && top == top) top = (double)x[i]; /* a NaN stays */
    for (;;) {
        double sum = 0;
        for (n = 0, i = 0; i < k; i++)
            if ((double)x[i] - top > shift) sum += (double)x[i] - top, n++;
        if (n == 0 || n == before) break;
        shift = (sum - 1) / (double)n;
        before = n;
    }
    for (i = 0; i < k; i++) {
        double above = (double)x[i] - top - shift;
        x[i] = n == 0 ? (float)bnn__nan() : above > 0 ? (float)above : 0;
    }
}

/* ---- hypergradients */

typedef struct bnn__hyper {
    const bnn_hypergradient_desc *d;
    bnn_tape *t;
    bnn_rng rng;
    float *keep, *v, *z, *ga; /* w; grad_w Q; the direction; grad_a */
} bnn__hyper;

/* Gradients of f by w and a, at the same random numbers each time; the value */
static double bnn__hyper_at(bnn__hyper *h, bnn_loss_fn f) {
    double value;
    bnn_params_zero_grad(h->d->a);
    value = bnn__loss_at(h->t, &h->rng, h->d->w, f, h->d->user);
    bnn__params_settle(h->d->w);
    bnn__params_settle(h->d->a);
    return value;
}

static void bnn__hyper_move(const bnn__hyper *h, double step, const float *z) { /* w + step z */
    size_t i;
    for (i = 0; i < h->d->w->n; i++)
        h->d->w->theta[i] = (float)((double)h->keep[i] + step * (double)z[i]);
}

/* ga -= c d/dr grad_a L(w + r z), by differences over r and 2r (error r^4). r moves w by a share of
 * its own size where z points, which balances that error and the rounding of the gradients. */
static void bnn__hyper_mixed(bnn__hyper *h, double c, const float *z) {
    static const double weight[4] = { 1, -8, 8, -1 }, at[4] = { -2, -1, 1, 2 };
    double share = sizeof(float) == sizeof(double) ? 1e-3 : 0.05, zz = 0, zw = 0, r;
    bnn_params *a = h->d->a;
    size_t i, q;
    for (i = 0; i < h->d->w->n; i++) {
        double w = (double)h->keep[i], v = (double)z[i];
        zz += v * v;
        zw += v * v * w * w;
    }
    if (!(zz > 0)) return;
    r = share * (zw > 0 ? sqrt(zw / zz) : 1) / sqrt(zz);
    for (q = 0; q < 4; q++) {
        bnn__hyper_move(h, at[q] * r, z);
        bnn__hyper_at(h, h->d->lower);
        for (i = 0; i < a->n; i++)
            h->ga[i] -= (float)(c * weight[q] * (double)a->grad[i] / (12 * r));
    }
}

/* Conjugate gradients for (H + damping) z = v; returns the last curvature, which breaks it off if
 * it is not positive. Differences of a gradient with kinks are not a symmetric matrix, and then
 * residuals may grow: the best z so far is kept. work: 4 |w| numbers. */
static double bnn__hyper_cg(bnn__hyper *h, bnn_hypergradient_result *out, float *work) {
    const bnn_hypergradient_desc *d = h->d;
    size_t i, n = d->w->n, most = d->iterations > 0 ? d->iterations : 20, k;
    bnn_mat v = bnn__mat(1, n, h->v), r = bnn__mat(1, n, work), p = bnn__mat(1, n, work + n);
    bnn_mat hp = bnn__mat(1, n, work + 2 * n);
    float *z = work + 3 * n;
    double tolerance = d->tolerance > 0 ? (double)d->tolerance : 1e-3, curve = 1;
    double vv = bnn_mat_dot(v, v), rr = vv, best = vv;
    memset(z, 0, n * sizeof *z);
    memset(h->z, 0, n * sizeof *z);
    memcpy(r.data, v.data, n * sizeof *z);
    memcpy(p.data, v.data, n * sizeof *z);
    for (k = 0; k < most && rr > tolerance * tolerance * vv; k++) {
        double pp = bnn_mat_dot(p, p), step, old = rr;
        h->t->rng = h->rng;
        bnn_hessian_vector(hp.data, h->t, d->w, d->lower, d->user, p.data);
        for (i = 0; i < n; i++) hp.data[i] += (float)out->damping * p.data[i];
        curve = bnn_mat_dot(p, hp) / pp;
        if (!(curve > 0)) break;
        step = rr / (curve * pp);
        for (i = 0; i < n; i++) z[i] += (float)(step * (double)p.data[i]);
        for (i = 0; i < n; i++) r.data[i] -= (float)(step * (double)hp.data[i]);
        rr = bnn_mat_dot(r, r);
        if (rr < best) memcpy(h->z, z, n * sizeof *z), best = rr;
        for (i = 0; i < n; i++)
            p.data[i] = (float)((double)r.data[i] + rr / old * (double)p.data[i]);
    }
    out->iterations += k;
    out->residual = vv > 0 ? sqrt(best / vv) : 0;
    return curve;
}

static void bnn__hyper_run(bnn__hyper *h, bnn_hypergradient_result *out) {
    const bnn_hypergradient_desc *d = h->d;
    bnn_params *w = d->w, *a = d->a;
    float *work = bnn__floats(h->t, bnn__mul(4, d->implicit ? w->n : 0));
    double loss_n, curve = 0;
    size_t i;
    if (work == NULL) return;
    if (d->unroll > 0 && !d->implicit) {
        bnn__hyper_at(h, d->lower);
        bnn__hyper_move(h, -(double)d->unroll, w->grad);
    }
    out->value = bnn__hyper_at(h, d->upper);
    out->damping = d->implicit ? (double)d->damping : 0;
    loss_n = h->t->loss_n;
    memcpy(h->v, w->grad, w->n * sizeof *h->v);
    memcpy(h->ga, a->grad, a->n * sizeof *h->ga);
    memcpy(w->theta, h->keep, w->n * sizeof *h->keep);
    for (i = 0; d->implicit && i < 40 && !(curve > 0) && h->t->err == BNN_OK; i++) {
        curve = bnn__hyper_cg(h, out, work); /* not positive: more damping, from the start */
        if (!(curve > 0)) out->damping = 2 * (out->damping - curve) + 1e-6;
    }
    if (d->implicit) bnn__hyper_mixed(h, 1, h->z);
    else if (d->unroll > 0) bnn__hyper_mixed(h, (double)d->unroll, h->v);
    for (i = 0; i < a->n; i++) a->grad[i] = h->ga[i];
    bnn__params_settle(a);
    h->t->loss_n = loss_n;
}

BNNDEF bnn_hypergradient_result bnn_hypergradient(bnn_tape *t, bnn_hypergradient_desc d) {
    bnn_hypergradient_result out;
    bnn__time start = bnn__now(t);
    bnn__hyper h;
    memset(&out, 0, sizeof out);
    out.value = bnn__nan();
    if (t->err != BNN_OK) return out;
    if (d.w == NULL || d.a == NULL || d.w == d.a || d.upper == NULL || d.lower == NULL ||
        !(d.unroll >= 0) || !(d.damping >= 0) || !(d.tolerance >= 0)) {
        bnn__fail(t, BNN_EARG, "bnn_hypergradient: w and a must be two stores, upper and lower "
                  "given; unroll %g, damping %g", (double)d.unroll, (double)d.damping);
        return out;
    }
    h.d = &d, h.t = t, h.rng = t->rng;
    h.keep = bnn__floats(t, bnn__mul(3, d.w->n));
    h.ga = bnn__floats(t, d.a->n);
    if (t->err == BNN_OK) {
        h.v = h.keep + d.w->n, h.z = h.v + d.w->n;
        memcpy(h.keep, d.w->theta, d.w->n * sizeof *h.keep);
        bnn__hyper_run(&h, &out);
        memcpy(d.w->theta, h.keep, d.w->n * sizeof *h.keep); /* also after an error on the way */
    }
    bnn_params_zero_grad(d.w);
    start.loss_n = t->loss_n;
    bnn__back_to(t, start);
    return out;
}

/* ---- two levels */

/* sum + c x, x made only if c is not 0; sum may be NULL */
static bnn_var *bnn__weigh(bnn_var *sum, float c, bnn_loss_fn term, bnn_tape *t, void *user) {
    bnn_var *y;
    if (c == 0) return sum;
    y = bnn_scale(term(t, user), c);
    return sum != NULL ? bnn_add(sum, y) : y;
}

BNNDEF bnn_var *bnn_two_level_lower(bnn_tape *t, void *two_level) {
    const bnn_two_level *p = (const bnn_two_level *)two_level;
    bnn_var *loss = bnn__weigh(NULL, -1, p->log_lik, t, p->user);
    return bnn__weigh(loss, p->kl_lower, p->kl, t, p->user);
}

BNNDEF bnn_var *bnn_two_level_upper(bnn_tape *t, void *two_level) {
    const bnn_two_level *p = (const bnn_two_level *)two_level;
    bnn_var *loss = bnn__weigh(NULL, -p->lik_upper, p->log_lik, t, p->user), *y;
    size_t j;
    loss = bnn__weigh(loss, p->kl_upper, p->kl, t, p->user);
    for (j = 0; j < p->n_structure; j++) {
        if (p->structure[j] == 0) continue;
        y = bnn_scale(p->kl_structure(t, p->user, j), p->structure[j]);
        loss = loss != NULL ? bnn_add(loss, y) : y;
    }
    loss = bnn__weigh(loss, p->log_prior != NULL ? -1 : 0, p->log_prior, t, p->user);
    return loss != NULL ? loss : bnn_scalar(t, 0);
}

/* ---- relevance, in double */

static const double bnn__pruned = 1e12; /* a precision that stands for infinity */

typedef struct bnn__regress {
    bnn_arena *mem;
    bnn_mark mark;
    size_t n, d;
    double *xx, *xy, yy; /* X'X, X'y, y'y */
    double *l, *cov, *m; /* the factor of A, its inverse, the mean */
} bnn__regress;

/* 0: shapes that do not fit, or no memory */
static int bnn__linear_open(bnn__regress *p, bnn_arena *mem, bnn_mat mean, bnn_mat cov,
                            bnn_data data) {
    size_t i, j, k, d = data.x.cols;
    memset(p, 0, sizeof *p);
    if (mem == NULL || d == 0 || !bnn__mat_ok(data.x) || !bnn__mat_is(data.y, data.x.rows, 1) ||
        (mean.data != NULL && !bnn__mat_is(mean, d, 1)) ||
        (cov.data != NULL && !bnn__mat_is(cov, d, d)))
        return 0;
    p->mem = mem, p->mark = bnn_arena_mark(mem);
    p->xx = (double *)bnn_arena_alloc(mem, bnn__mul(d, bnn__mul(3, d) + 2), sizeof *p->xx);
    if (p->xx == NULL) return 0;
    p->n = data.x.rows, p->d = d;
    p->l = p->xx + d * d, p->cov = p->l + d * d, p->xy = p->cov + d * d, p->m = p->xy + d;
    for (i = 0; i < p->n; i++) {
        const float *x = data.x.data + i * d;
        double y = (double)data.y.data[i];
        p->yy += y * y;
        for (j = 0; j < d; j++) {
            p->xy[j] += (double)x[j] * y;
            for (k = 0; k <= j; k++) p->xx[j * d + k] += (double)x[j] * (double)x[k];
        }
    }
    return 1;
}

/* Gives the mean and cov, if asked for and there is an answer, and the memory back. */
static double bnn__linear_close(const bnn__regress *p, bnn_mat mean, bnn_mat cov, double log_p) {
    size_t i, d = bnn__is_nan(log_p) ? 0 : p->d;
    for (i = 0; mean.data != NULL && i < d; i++) mean.data[i] = (float)p->m[i];
    for (i = 0; cov.data != NULL && i < d * d; i++) cov.data[i] = (float)p->cov[i];
    if (p->mem != NULL) bnn_arena_rewind(p->mem, p->mark);
    return log_p;
}

/* Posterior of the weights and ln p(y); NaN: A is not positive definite */
static double bnn__linear_solve(bnn__regress *p, const double *alpha, double beta) {
    size_t i, j, k, d = p->d;
    double log_p = (double)p->n * (bnn__dlog(beta) - BNN__LN_2PI), quad = 0;
    if (!(beta > 0)) return bnn__nan();
    for (i = 0; i < d; i++) { /* l l' = A, row by row */
        double *li = p->l + i * d;
        if (!(alpha[i] > 0)) return bnn__nan();
        for (j = 0; j <= i; j++) {
            double s = beta * p->xx[i * d + j] + (i == j ? alpha[i] : 0);
            s -= bnn__dot_d(j, li, p->l + j * d);
            if (i == j && !(s > 0)) return bnn__nan();
            li[j] = i == j ? sqrt(s) : s / p->l[j * d + j];
        }
    }
    for (k = 0; k < d; k++) { /* columns of A^-1 */
        double *c = p->cov + k * d;
        for (i = 0; i < d; i++)
            c[i] = ((i == k ? 1 : 0) - bnn__dot_d(i, p->l + i * d, c)) / p->l[i * d + i];
        for (i = d; i-- > 0;) {
            for (j = i + 1; j < d; j++) c[i] -= p->l[j * d + i] * c[j];
            c[i] /= p->l[i * d + i];
        }
    }
    for (i = 0; i < d; i++) {
        p->m[i] = beta * bnn__dot_d(d, p->cov + i * d, p->xy);
        quad += p->m[i] * p->xy[i]; /* beta |y - Xm|^2 + sum alpha m^2 = beta (y'y - m'X'y) */
        log_p += bnn__dlog(alpha[i]) - 2 * bnn__dlog(p->l[i * d + i]);
    }
    return (log_p - beta * (p->yy - quad)) / 2;
}

BNNDEF double bnn_linear_evidence(bnn_arena *mem, bnn_mat mean, bnn_mat cov, bnn_data data,
                                  const double *alpha, double beta) {
    bnn__regress p;
    int open = bnn__linear_open(&p, mem, mean, cov, data);
    double log_p = open ? bnn__linear_solve(&p, alpha, beta) : bnn__nan();
    return bnn__linear_close(&p, mean, cov, log_p);
}

static double bnn__linear_residual(const bnn__regress *p) { /* |y - Xm|^2 */
    double s = p->yy;
    size_t i, j;
    for (i = 0; i < p->d; i++) {
        s -= 2 * p->m[i] * p->xy[i];
        for (j = 0; j < p->d; j++)
            s += p->m[i] * p->m[j] * (j <= i ? p->xx[i * p->d + j] : p->xx[j * p->d + i]);
    }
    return s;
}

/* One step of the fixed point; 0 = at rest. With s and q of Tipping and Faul,
 * q^2 <= s is alpha m^2 <= gamma (1 - gamma): such an alpha drifts to infinity, slowly near
 * equality. Once the others rest it is sent there. */
static int bnn__ard_step(const bnn__regress *p, double *alpha, double *beta, int learn_noise,
                         int *rest) {
    double total = 0, change = 0, moved;
    size_t i;
    int sent = 0;
    for (i = 0; i < p->d; i++) {
        double gamma = 1 - alpha[i] * p->cov[i * p->d + i], mm = p->m[i] * p->m[i], next;
        int drifts = alpha[i] * mm <= gamma * (1 - gamma);
        if (alpha[i] >= bnn__pruned) continue;
        total += gamma;
        next = mm > 0 ? gamma / mm : bnn__pruned;
        next = next < 1e-12 ? 1e-12 : next;
        if (next >= bnn__pruned || (drifts && *rest)) next = bnn__pruned, sent = 1;
        moved = fabs(bnn__dlog(next / alpha[i]));
        if (!drifts && moved > change) change = moved;
        alpha[i] = next;
    }
    if (learn_noise) {
        moved = *beta;
        *beta = ((double)p->n - total) / bnn__linear_residual(p);
        moved = fabs(bnn__dlog(*beta / moved));
        change = moved > change ? moved : change;
    }
    if (!sent && *rest && change <= 1e-6) return 0; /* at rest, and nobody was sent away */
    *rest = change <= 1e-6;
    return 1;
}

BNNDEF double bnn_linear_ard(bnn_arena *mem, bnn_mat mean, bnn_mat cov, bnn_data data,
                             double *alpha, double *beta, int learn_noise, size_t steps) {
    bnn__regress p;
    double log_p = bnn__nan();
    size_t s, most = steps > 0 ? steps : 1000, i;
    int rest = 0, moving = 1;
    if (bnn__linear_open(&p, mem, mean, cov, data)) log_p = bnn__linear_solve(&p, alpha, *beta);
    for (s = 0; s < most && moving && !bnn__is_nan(log_p); s++) {
        moving = bnn__ard_step(&p, alpha, beta, learn_noise, &rest);
        log_p = bnn__linear_solve(&p, alpha, *beta);
    }
    for (i = 0; i < p.d; i++)
        if (alpha[i] >= bnn__pruned) p.m[i] = 0;
    return bnn__linear_close(&p, mean, cov, log_p);
}

BNNDEF int bnn_ard_update(bnn_mat var, bnn_mat mean, bnn_mat sd, int fast) {
    size_t i, j, a, b, n = mean.rows, k = mean.cols;
    size_t rows = var.rows == n ? 1 : n, cols = var.cols == k ? 1 : k; /* of one entry of var */
    if (!bnn__same(mean, sd) || !bnn__spreads(var, mean) || bnn__mat_size(mean) == 0 ||
        !bnn__mat_ok(mean) || !bnn__mat_ok(sd) || !bnn__mat_ok(var))
        return BNN_ESHAPE;
    for (i = 0; i < bnn__mat_size(mean); i++)
        if (!(sd.data[i] >= 0) || !bnn__finite(mean.data[i]) || !bnn__finite(sd.data[i]))
            return BNN_EARG;
    for (i = 0; i < bnn__mat_size(var); i++)
        if (fast && !(var.data[i] > 0)) return BNN_EARG;
    for (i = 0; i < var.rows; i++)
        for (j = 0; j < var.cols; j++) {
            float *v = var.data + i * var.cols + j;
            double mm = 0, ss = 0, count = (double)rows * (double)cols, known;
            for (a = i; a < i + rows; a++)
                for (b = j; b < j + cols; b++) {
                    mm += (double)mean.data[a * k + b] * (double)mean.data[a * k + b];
                    ss += (double)sd.data[a * k + b] * (double)sd.data[a * k + b];
                }
            known = count - ss / (double)*v;
            known = fast && known > 1e-6 * count ? mm / known : (mm + ss) / count;
            *v = (float)(known > 1e-12 ? known : 1e-12);
        }
    return BNN_OK;
}

/* ------------------------------------------------------------------------------------------------
 * >>distill: one net learns the predictive of many (Balan et al. 2015)
 *
 *     classes     CE(p_teacher, q) = -sum_k p_k ln q_k           gradient of the logits: q - p
 *     regression  E over the teacher's y of the student's Gaussian nll:
 *                 [ ((m - f)^2 + v) e^-a + a + ln 2 pi ]/2,  f, v the teacher's mean and variance
 * Averaged over samples and inputs the optimum is the teacher's predictive: for regression
 * m = mean f, e^a = var f + mean v, the total variance.
 * --------------------------------------------------------------------------------------------- */

/* The lowest and the highest of every column of x, as two rows; empty where out is */
static bnn_mat bnn__ends(bnn_mat out, bnn_mat x) {
    size_t i, j;
    for (j = 0; j < out.cols; j++) {
        float low = x.data[j], high = low;
        for (i = 1; i < x.rows; i++) {
            float v = x.data[i * x.cols + j];
            low = v < low ? v : low;
            high = v > high ? v : high;
        }
        out.data[j] = low, out.data[x.cols + j] = high;
    }
    return out;
}

static int bnn__inputs_ok(bnn_tape *t, bnn_mat x, size_t n, const bnn_inputs_desc *d) {
    bnn_mat unit = { 0, 0, NULL };
    if (d->net != NULL) unit = d->net->scaling.x_std;
    if (t->err != BNN_OK) return 0;
    if (n == 0 || x.cols == 0 || (d->generate == NULL && x.rows == 0))
        bnn__fail(t, BNN_EARG, "bnn_distill_inputs: %z rows from %zx%z", n, x.rows, x.cols);
    if (!(d->noise >= 0) || !bnn__finite(d->noise) || !bnn__finite(d->margin))
        bnn__fail(t, BNN_EARG, "bnn_distill_inputs: noise %g, margin %g", (double)d->noise,
                  (double)d->margin);
    if (unit.data != NULL && unit.cols != x.cols)
        bnn__fail(t, BNN_ESHAPE, "bnn_distill_inputs: x has %z columns, the net's scaling %z",
                  x.cols, unit.cols);
    return d->generate != NULL ? t->err == BNN_OK : bnn__has_data(t, "bnn_distill_inputs", x);
}

BNNDEF bnn_var *bnn_distill_inputs(bnn_tape *t, bnn_mat x, size_t n, bnn_inputs_desc d) {
    const float *unit = d.net != NULL ? d.net->scaling.x_std.data : NULL, *row, *high;
    bnn_var *v = bnn_op(t, n, x.cols, NULL, 0, NULL);
    float *to = v->val.data, wide;
    size_t i, k;
    if (!bnn__inputs_ok(t, x, n, &d)) return bnn__poison(t);
    if (d.generate != NULL) {
        d.generate(d.user, &t->rng, v->val);
        return v;
    }
    if (d.box) {
        bnn_mat ends = bnn__tape_mat(t, 2, x.cols);
        if (t->err != BNN_OK) return bnn__poison(t);
        x = bnn__ends(ends, x);
        bnn__v_uniform(&t->rng, n * x.cols, to);
    } else if (d.noise > 0) {
        bnn__v_normal(&t->rng, n * x.cols, to);
    } else {
        bnn_mat_fill(v->val, 0);
    }
    for (i = 0; i < n; i++, to += x.cols) {
        row = x.data + (d.box ? 0 : bnn_rng_below(&t->rng, x.rows) * x.cols);
        high = x.data + x.cols;
        for (k = 0; k < x.cols; k++) {
            wide = d.box ? (high[k] - row[k]) * d.margin : d.noise * (unit != NULL ? unit[k] : 1);
            if (d.box) to[k] = row[k] - wide + (high[k] + (2 * wide - row[k])) * to[k];
            else to[k] = row[k] + wide * to[k];
        }
    }
    return v;
}

/* The teacher's answer as constants: probabilities, or mean and variance, of one sample, drawn by
 * its weight. */
static void bnn__teach(const bnn_net *teacher, const bnn_ensemble *post, bnn_var *x, bnn_mat *mean,
                       bnn_mat *var) {
    bnn__tour v;
    double u = 0;
    size_t s;
    memset(mean, 0, sizeof *mean);
    memset(var, 0, sizeof *var);
    if (!bnn__tour_init(&v, x->tape, teacher, post)) return;
    if (v.samples > 1) u = v.total * (double)bnn_rng_uniform(&v.t->rng);
    for (s = 0; s + 1 < v.samples && u >= bnn__tour_weight(&v, s); s++)
        u -= bnn__tour_weight(&v, s);
    bnn__moments(&v.net, bnn__tour_answer(&v, s, x->val), mean, var);
}

BNNDEF bnn_var *bnn_distill_loss(const bnn_net *student, bnn_var *x, const bnn_net *teacher,
                                 const bnn_ensemble *post) {
    bnn_tape *t = x->tape;
    bnn_mat f, v;
    bnn_var *out, *loss;
    int of = bnn__likelihood(teacher), to = bnn__likelihood(student);
    int classes = of == BNN_CATEGORICAL || of == BNN_BERNOULLI;
    if (t->err != BNN_OK) return bnn__poison(t);
    if (of == BNN_STUDENT && !(teacher->nu > 2))
        return bnn__fail(t, BNN_EARG, "bnn_distill: the teacher's Student noise with nu %g has no "
                         "variance to learn", (double)teacher->nu);
    if (classes ? to != of : to > BNN_GAUSSIAN_HETERO)
        return bnn__fail(t, BNN_EARG, "bnn_distill: a student of likelihood %d cannot learn from a "
                         "teacher of likelihood %d", to, of);
    bnn__teach(teacher, post, x, &f, &v);
    t->training++;
    out = bnn_net_forward(student, x);
    t->training--;
    if (t->err != BNN_OK) return bnn__poison(t);
    if (classes) {
        loss = of == BNN_CATEGORICAL ? bnn_cross_entropy(out, bnn_input(t, f), 1)
                                     : bnn_bernoulli_nll(out, bnn_input(t, f));
    } else {
        bnn_var *a, *m = bnn__units(student, out, &a);
        bnn__note_bounds(t, student, out);
        loss = bnn_gaussian_nll(m, bnn_input(t, f), a);
        a = bnn_mul(bnn_input(t, v), bnn_exp(bnn_neg(a)));
        loss = bnn_add(loss, bnn_scale(bnn_rowsum(a), (float)0.5));
    }
    loss = bnn_mean(loss);
    if (t->n_data > 0)
        loss = bnn_add(loss, bnn_scale(bnn_prior_nll(t, student->params), (float)(1 / t->n_data)));
    return loss;
}

BNNDEF void bnn_distill(bnn_tape *t, const bnn_net *student, const bnn_net *teacher,
                        const bnn_ensemble *post, bnn_mat x, bnn_distill_desc d) {
    bnn_stepper adam;
    bnn_adam_desc rate;
    bnn_arena *mem;
    bnn_mark before, after, now;
    size_t s, steps = d.steps == 0 ? 10000 : d.steps, batch = d.batch == 0 ? 64 : d.batch;
    double n_data = t->n_data;
    if (d.inputs.net == NULL)
        d.inputs.net = student->scaling.x_std.data != NULL ? student : teacher;
    if (!bnn__inputs_ok(t, x, batch, &d.inputs)) return;
    if (d.inputs.generate == NULL && !bnn__batch_finite("bnn_distill", "x", bnn_input(t, x), NULL))
        return;
    if (student->params == NULL) {
        bnn__dead_net(t, student, "bnn_distill");
        return;
    }
    mem = student->params->mem;
    memset(&rate, 0, sizeof rate);
    rate.lr = bnn__or(d.lr, 1e-3);
    before = bnn_arena_mark(mem);
    adam = bnn_adam(student->params, rate);
    if (d.inputs.box && d.inputs.generate == NULL) x = bnn__ends(bnn_mat_new(mem, 2, x.cols), x);
    after = bnn_arena_mark(mem);
    if (mem->err != BNN_OK) bnn__fail(t, mem->err, "bnn_distill: %s", mem->msg);
    for (s = 0; s < steps && t->err == BNN_OK; s++) {
        bnn_tape_reset(t);
        t->n_data = d.n_data;
        adam.lr = (float)bnn_lr_cosine((double)rate.lr, s, steps);
        bnn_backward(bnn_distill_loss(student, bnn_distill_inputs(t, x, batch, d.inputs), teacher,
                                      post));
        bnn_step(&adam, t);
        if (s % 100 == 99) bnn__report(t, s + 1, steps);
    }
    t->n_data = n_data;
    now = bnn_arena_mark(mem);
    if (now.chunk == after.chunk && now.used == after.used) /* no callback has taken any */
        bnn_arena_rewind(mem, before);
}

/* ------------------------------------------------------------------------------------------------
 * >>soft: losses on the answers of teachers
 *
 *     Hinton      (1-lam) CE(y, p) + lam Td^2 CE(f, p_Td),   f = sum_t w_t softmax(v_t/Td)
 *                 dz = (1-lam)(p - y) + lam Td (p_Td - f);  Hinton, Vinyals, Dean 2015, eqs. 2-4
 *     normalizer  1/C(g) = I(l) = divided difference of exp at l = ln g. With a = l - min l >= 0
 *                     t(0,k) = 1,  t(n,0) = 0,  t(n,k) = t(n,k-1) + a_k t(n-1,k)/(n+K-1)
 *                     I = e^{min l}/(K-1)! sum_n t(n,K)
 *                 has positive terms only. d ln I/d l_k = E s_k = I(l with l_k twice)/I(l).
 * --------------------------------------------------------------------------------------------- */

/* ln of the divided difference of exp at l_0 .. l_{k-1} and, if extra < k, at l_extra once more.
 * row: k + 1 numbers of scratch. */
static double bnn__log_divided(size_t k, const double *l, size_t extra, double *row) {
    size_t m = extra < k ? k + 1 : k, n, j;
    double low = l[0], range = 0, sum = 1, offset = 0;
    for (j = 0; j < k; j++) low = l[j] < low ? l[j] : low;
    for (j = 0; j < k; j++) range = l[j] - low > range ? l[j] - low : range;
    for (j = 0; j < m; j++) row[j] = 1;
    for (n = 1; n < 100 || (double)n < 2 * range + 100; n++) {
        double left = 0;
        for (j = 0; j < m; j++) {
            double a = (j < k ? l[j] : l[extra]) - low;
            row[j] = left += a * row[j] / (double)(n + m - 1);
        }
        sum += left;
        if (left < sum * 1e-18 && (double)n > range) break;
        if (sum > 1e200) { /* only the sum of the terms, not one of them, needs an exponent */
            for (j = 0; j < m; j++) row[j] *= 1e-200;
            sum *= 1e-200;
            offset += 460.51701859880913680; /* ln 1e200 */
        }
    }
    return low + bnn__dlog(sum) + offset - bnn_lgamma((double)m);
}

/* l = ln softmax(z) in double, accurate near probability 1. Returns the index of the largest. */
static size_t bnn__log_probs(size_t k, const float *z, double *l) {
    size_t j, top = 0;
    double rest = 0;
    for (j = 1; j < k; j++) if (z[j] > z[top]) top = j;
    for (j = 0; j < k; j++) {
        l[j] = (double)z[j] - (double)z[top];
        if (j != top) rest += bnn__dexp(l[j]);
    }
    rest = bnn__dlog1p(rest);
    for (j = 0; j < k; j++) l[j] -= rest;
    return top;
}

/* ln C and its derivative by the logits; l: 4 k + 1 numbers of scratch */
static double bnn__cc_row(size_t k, const float *z, int kind, float *slope, double *l) {
    double *d = l + k, *clipped = d + k, *row = clipped + k; /* d: by ln g */
    size_t j, top = bnn__log_probs(k, z, l);
    double value, sum = 0, count = (double)k, floor = l[top] - 500;
    if (kind == BNN_CC_EXACT) {
        for (j = 0; j < k; j++) clipped[j] = l[j] < floor ? floor : l[j];
        value = -bnn__log_divided(k, clipped, k, row);
        for (j = 0; j < k; j++) d[j] = -bnn__dexp(bnn__log_divided(k, clipped, j, row) + value);
    } else {
        value = count / 2 * bnn__dlog(count) - count * (count - 1) / 2 * bnn__dlog(2.0);
        for (j = 0; j < k; j++) {
            value += l[j] + bnn__dlog(-l[j]);
            d[j] = 1 + 1 / l[j];
        }
    }
    for (j = 0; j < k; j++) sum += d[j];
    for (j = 0; j < k; j++) slope[j] = (float)(d[j] - bnn__dexp(l[j]) * sum);
    return value;
}

BNNDEF bnn_var *bnn_cc_log_constant(bnn_var *logit, int kind) {
    bnn_tape *t = logit->tape;
    bnn_var *v;
    double *l;
    size_t i, k = logit->val.cols;
    if (t->err != BNN_OK) return bnn__poison(t);
    if (k == 0 || (kind != BNN_CC_EXACT && kind != BNN_CC_PUBLISHED))
        return bnn__fail(t, BNN_EARG, "bnn_cc_log_constant: kind %d of %z classes", kind, k);
    if (!bnn_mat_finite(logit->val))
        return bnn__fail(t, BNN_ENONFINITE, "bnn_cc_log_constant: a logit is not finite");
    v = bnn__rowwise(logit, NULL);
    l = (double *)bnn__scratch(t, bnn__mul(4, k + 1), sizeof *l);
    if (l == NULL) return bnn__poison(t);
    for (i = 0; i < v->val.rows; i++)
        v->val.data[i] = (float)bnn__cc_row(k, logit->val.data + i * k, kind,
                                            bnn__slopes(v, 0) + i * k, l);
    return v;
}

/* Rows of probabilities? A sum may miss 1 by the rounding of a long sum of floats. */
static int bnn__on_simplex(const char *who, bnn_tape *t, bnn_mat p) {
    size_t i, j;
    for (i = 0; i < p.rows && t->err == BNN_OK; i++) {
        double sum = 0;
        for (j = 0; j < p.cols; j++) {
            double v = (double)p.data[i * p.cols + j];
            sum += v >= 0 ? v : bnn__nan();
        }
        if (!(fabs(sum - 1) <= 1e-3))
            bnn__fail(t, BNN_EARG, "%s: row %z is not on the simplex, its sum is %g", who, i, sum);
    }
    return t->err == BNN_OK;
}

BNNDEF bnn_var *bnn_soft_target(bnn_tape *t, size_t teachers, bnn_var *const *logit,
                                const float *weights, float temperature) {
    bnn_var *sum = NULL, *p;
    double total = 0, w;
    size_t i;
    if (t->err != BNN_OK) return bnn__poison(t);
    if (!(temperature > 0) || teachers == 0)
        return bnn__fail(t, BNN_EARG, "bnn_soft_target: %z teachers, temperature %g", teachers,
                         (double)temperature);
    for (i = 0; i < teachers; i++) {
        w = weights != NULL ? (double)weights[i] : 1;
        if (!(w >= 0) || !bnn__finite_d(w))
            return bnn__fail(t, BNN_EARG, "bnn_soft_target: weight %g of teacher %z", w, i);
        if (!bnn__same(logit[i]->val, logit[0]->val))
            return bnn__fail(t, BNN_ESHAPE, "bnn_soft_target: teacher 0 answers %zx%z, teacher %z "
                             "%zx%z", logit[0]->val.rows, logit[0]->val.cols, i,
                             logit[i]->val.rows, logit[i]->val.cols);
        total += w;
    }
    if (!(total > 0)) return bnn__fail(t, BNN_EARG, "bnn_soft_target: the weights are all zero");
    for (i = 0; i < teachers; i++) {
        w = (weights != NULL ? (double)weights[i] : 1) / total;
        if (w == 0) continue;
        p = bnn_softmax(bnn_scale(bnn_detach(logit[i]), 1 / temperature));
        if (w != 1) p = bnn_scale(p, (float)w);
        sum = sum == NULL ? p : bnn_add(sum, p);
    }
    return sum;
}

static double bnn__negentropy(const double *c, bnn__point *at) { /* of a constant */
    (void)c;
    return at->x > 0 ? at->x * bnn__dlog(at->x) : 0;
}

BNNDEF bnn_var *bnn_kl_target(bnn_var *logit, bnn_var *target, int reverse) {
    const char *who = "bnn_kl_target";
    bnn_var *out, *p;
    if (!bnn__check_pair(who, logit, target) || !bnn__on_simplex(who, logit->tape, target->val))
        return bnn__poison(logit->tape);
    p = bnn_detach(target);
    if (reverse) {
        out = bnn_sub(bnn_log_softmax(logit), bnn_log(p));
        return bnn_rowsum(bnn_mul(bnn_softmax(logit), out));
    }
    out = bnn__sum_terms(who, bnn__negentropy, NULL, p, NULL, NULL);
    return bnn_add(bnn_cross_entropy(logit, p, 1), out);
}

BNNDEF int bnn_soft_mask(bnn_mat has, const size_t *rows, size_t n) {
    size_t i;
    if (!bnn__mat_ok(has) || has.cols != 1) return BNN_ESHAPE;
    for (i = 0; i < n; i++) if (rows[i] >= has.rows) return BNN_EARG;
    bnn_mat_fill(has, 0);
    for (i = 0; i < n; i++) has.data[rows[i]] = 1;
    return BNN_OK;
}

/* How many rows have an answer; BNN__NONE = an error was set. */
static size_t bnn__has(bnn_tape *t, bnn_var *has, size_t n) {
    size_t i, count = 0;
    if (has == NULL) return t->err == BNN_OK ? n : BNN__NONE;
    if (has->val.rows != n || has->val.cols != 1)
        bnn__fail(t, BNN_ESHAPE, "bnn_soft: %z rows, the mask is %zx%z", n, has->val.rows,
                  has->val.cols);
    for (i = 0; i < n && t->err == BNN_OK; i++) {
        float v = has->val.data[i];
        if (v != 0 && v != 1)
            bnn__fail(t, BNN_EARG, "bnn_soft: the mask has %g in row %z, not 0 or 1", (double)v, i);
        count += v != 0;
    }
    return t->err == BNN_OK ? count : BNN__NONE;
}

BNNDEF bnn_var *bnn_soft_mix(bnn_var *hard, bnn_var *soft, bnn_var *has, float lambda) {
    bnn_tape *t = soft->tape;
    bnn_var *m;
    size_t count = bnn__has(t, has, soft->val.rows);
    if (count == BNN__NONE) return bnn__poison(t);
    if (!(lambda >= 0 && lambda <= 1))
        return bnn__fail(t, BNN_EARG, "bnn_soft_mix: lambda is %g, it must be in [0,1]",
                         (double)lambda);
    if (lambda == 1 && count == soft->val.rows) return soft;
    if (hard == NULL || !bnn__same(hard->val, soft->val) || soft->val.cols != 1)
        return bnn__fail(t, BNN_ESHAPE, "bnn_soft_mix: losses per row are %zx%z and %zx%z",
                         hard == NULL ? 0 : hard->val.rows, hard == NULL ? 0 : hard->val.cols,
                         soft->val.rows, soft->val.cols);
    if (lambda == 0 || count == 0) return hard;
    if (has == NULL) return bnn_add(bnn_scale(hard, 1 - lambda), bnn_scale(soft, lambda));
    m = bnn_scale(has, lambda);
    return bnn_add(bnn_mul(bnn_shift(bnn_neg(m), 1), hard), bnn_mul(m, soft));
}

/* CE of the labels. Where lambda = 1 those of rows with an answer do not count: they may be
 * anything, so they are read as class 0. */
static bnn_var *bnn__soft_hard(bnn_var *logit, bnn_var *y, const bnn_var *has, float lambda) {
    bnn_tape *t = logit->tape;
    size_t i, j, k = y->val.cols;
    if (lambda == 1 && has != NULL && has->val.rows == y->val.rows) {
        y = bnn_detach(y);
        for (i = 0; i < y->val.rows; i++)
            for (j = 0; j < k; j++)
                if (has->val.data[i] != 0) y->val.data[i * k + j] = (float)(k > 1 && j == 0);
    }
    if (k == 1 && logit->val.cols != 1) return bnn_categorical_nll(logit, y);
    if (!bnn__on_simplex("bnn_soft_nll: labels", t, y->val)) return bnn__poison(t);
    return bnn_cross_entropy(logit, y, 1);
}

BNNDEF bnn_var *bnn_soft_nll(bnn_var *logit, bnn_var *y, bnn_var *target, bnn_var *has,
                             bnn_soft_desc d) {
    bnn_tape *t = logit->tape;
    bnn_var *soft, *z, *hard = NULL;
    float T = d.temperature == 0 ? 1 : d.temperature;
    size_t n = logit->val.rows, count = bnn__has(t, has, n);
    if (count == BNN__NONE) return bnn__poison(t);
    if (!(T > 0) || !bnn__finite(T) || !(d.lambda >= 0 && d.lambda <= 1))
        return bnn__fail(t, BNN_EARG, "bnn_soft_nll: lambda %g, temperature %g", (double)d.lambda,
                         (double)T);
    if (d.lambda < 1 || count < n) {
        if (y == NULL) return bnn__fail(t, BNN_EARG, "bnn_soft_nll: labels are missing");
        hard = bnn__soft_hard(logit, y, has, d.lambda);
    }
    if (d.lambda == 0 || count == 0) return hard;
    if (target == NULL) return bnn__fail(t, BNN_EARG, "bnn_soft_nll: the target is missing");
    if (!bnn__check_pair("bnn_soft_nll", logit, target) ||
        !bnn__on_simplex("bnn_soft_nll: targets", t, target->val))
        return bnn__poison(t);
    z = d.teacher_only || T == 1 ? logit : bnn_scale(logit, 1 / T);
    soft = d.reverse ? bnn_kl_target(z, target, 1) : bnn_cross_entropy(z, target, 1);
    if (d.constant != BNN_CC_NONE) soft = bnn_sub(soft, bnn_cc_log_constant(z, d.constant));
    if (T != 1 && !d.no_square) soft = bnn_scale(soft, T * T);
    return bnn_soft_mix(hard, soft, has, d.lambda);
}

BNNDEF double bnn_metric_area(size_t n, const double *step, const double *a, const double *b) {
    double sum = 0;
    size_t i;
    for (i = 1; i < n; i++)
        sum += (step[i] - step[i - 1]) * ((a[i] - b[i]) + (a[i - 1] - b[i - 1])) / 2;
    return sum;
}

/* ------------------------------------------------------------------------------------------------
 * >>fit: a posterior in one call
 *
 * A chain descends by Adam, takes its step size, and then makes records: theta, U, ln p(D|theta), a
 * virial, predictions at the probe rows. Records are `thin` steps apart; when a chain has no more
 * room every second one goes and thin doubles, so that they span the run, whatever its length.
 *     step      lr = c/h, h the largest eigenvalue of the Hessian of U/N by power iteration, the
 *               largest over the chains; less where the noise of minibatches would be more than a
 *               tenth of the injected one. SGLD's lr h/2 and SGHMC's lr h/4 are what the variance
 *               along that eigenvector is too large by: 5 percent, c = .1 and .2. Odd chains take
 *               half of it: where their U differs, the step is too large
 *     burn-in   MSER (White 1997): the b that minimizes sum over chains of sum_{i >= b} (U_i -
 *               mean)^2/(n - b)^2; at n/2 it is not over
 *     virial    E (theta - c) dU/dtheta = T for each weight, whatever c: c where sampling began
 * HMC takes as many leapfrog steps, 10 to 100, as leave a thousand transitions to the budget, and
 * NUTS at most the next power of two.
 * Between rounds of records the main thread looks at the worst R-hat and ESS of the predictions.
 * --------------------------------------------------------------------------------------------- */

enum { BNN__FIT_U, BNN__FIT_LOG_LIK, BNN__FIT_VIRIAL, BNN__FIT_KINETIC, BNN__FIT_PROBES };
enum { BNN__FIT_NOTES = 32, BNN__FIT_WARMUP = 200, BNN__FIT_MOVES = 1000, BNN__FIT_ROUND = 25,
       BNN__FIT_DESCENT = 1500, BNN__FIT_BLOCK = 4096,
       BNN__FIT_PATHS = 2000 };

typedef struct bnn__fit_chain {
    struct bnn__fitting *fit;
    bnn_arena mem;
    bnn_tape tape;
    bnn_net net;         /* on parameters of its own                       */
    bnn_stepper s;
    bnn_mat theta, seen; /* (room, n), (room, BNN__FIT_PROBES + predictions) */
    float *center;
    double curvature, noise, gradients, falling, flat;
    size_t id, records, warm, n_paths;
    double *paths;       /* Hamiltonians of the first transitions, for E-BFMI */
    int err;
} bnn__fit_chain;

typedef struct bnn__fitting {
    bnn_arena *mem;
    bnn_net *net;
    bnn_data data;
    bnn_fit_desc desc;
    bnn__fit_chain *chains;
    size_t room, thin, cols, batch, burn_in;
    double budget, lr;
    char notes[BNN__FIT_NOTES][BNN_MSG];
    size_t n_notes;
    bnn_note_fn on_note; /* the arena's own, while ours listens */
    void *note_user;
} bnn__fitting;

static int bnn__fit_samples(int method) { return method <= BNN_FIT_SGNHT; }
static int bnn__fit_whole(int method) { /* gradients of all data */
    return method == BNN_FIT_NUTS || method == BNN_FIT_HMC;
}
static int bnn__fit_live(const bnn__fit_chain *c) { return c->err == BNN_OK; }

/* Chains take memory out of the caller's arena, which frees it */
static void *bnn__fit_alloc(void *user, void *ptr, size_t old_size, size_t size) {
    void *p = NULL;
    (void)ptr, (void)old_size;
    if (size == 0) return NULL;
#ifdef _OPENMP
#pragma omp critical(bnn__fit_memory)
#endif
    p = bnn_arena_alloc((bnn_arena *)user, 1, size);
    return p;
}

static bnn_tape bnn__fit_tape(bnn_arena *mem) {
    bnn_tape t;
    memset(&t, 0, sizeof t);
    t.mem.alloc.fn = bnn__fit_alloc, t.mem.alloc.user = mem;
    return t;
}

/* `one` for every chain that lives, in parallel */
static void bnn__fit_each(bnn__fitting *f, void (*one)(bnn__fit_chain *c)) {
    int k, chains = (int)f->desc.chains;
#ifdef _OPENMP
#pragma omp parallel for schedule(static, 1)
#endif
    for (k = 0; k < chains; k++) {
        bnn__fit_chain *c = &f->chains[k];
        if (bnn__fit_live(c)) one(c);
        if (c->err == BNN_OK) c->err = c->tape.err != BNN_OK ? c->tape.err : c->mem.err;
    }
}

static double bnn__fit_gradients(const bnn__fitting *f) {
    double sum = 0;
    size_t k;
    for (k = 0; k < f->desc.chains; k++) sum += f->chains[k].gradients;
    return sum;
}

static size_t bnn__fit_alive(const bnn__fitting *f) {
    size_t k, n = 0;
    for (k = 0; k < f->desc.chains; k++) n += (size_t)bnn__fit_live(&f->chains[k]);
    return n;
}

/* ---- a chain's start */

static bnn_params *bnn__fit_clone(bnn_arena *mem, const bnn_params *from) {
    bnn_params *w = bnn_params_new(mem);
    size_t b;
    for (b = 0; w != NULL && b < from->n_blocks; b++) {
        const bnn_block *k = &from->blocks[b];
        bnn_prior none;
        memset(&none, 0, sizeof none);
        if (bnn_params_add(w, k->rows, k->cols, k->name, none) == BNN__NONE) return NULL;
        w->blocks[b].prior = k->prior; /* it is resolved */
    }
    if (w != NULL) bnn_params_copy(w, from);
    return w;
}

/* Other starts of the same size: every block's values in another order, and a tenth of noise */
static void bnn__fit_scatter(bnn__fit_chain *c, double scale) {
    bnn_params *w = c->net.params;
    const bnn_params *from = c->fit->net->params;
    size_t b, i;
    for (b = 0; b < w->n_blocks; b++) {
        bnn_mat m = bnn_params_mat(w, b);
        size_t n = m.rows * m.cols, *order = (size_t *)bnn_arena_alloc(&c->tape.mem, n,
                                                                       sizeof *order);
        double noise = fmin((double)w->blocks[b].prior.std, 1) / 10;
        if (order == NULL) return;
        if (w->blocks[b].prior.kind == BNN_PRIOR_FLAT) noise = 0.1;
        bnn_rng_permutation(&c->tape.rng, n, order);
        for (i = 0; i < n; i++)
            m.data[i] = (float)(scale * ((double)bnn_params_mat(from, b).data[order[i]] +
                                         noise * (double)bnn_rng_normal(&c->tape.rng)));
    }
}

/* U over all data in double, ln p(D|theta) to *log_lik, and the gradient of U/N */
static double bnn__fit_energy(bnn__fit_chain *c, double *log_lik) {
    bnn_data d = c->fit->data;
    bnn_params *w = c->net.params;
    size_t first, rows, n = d.x.rows;
    int training = c->tape.training;
    double nll = 0;
    bnn_params_zero_grad(w);
    c->tape.training = -1; /* a loss adds 1: no dropout */
    for (first = 0; first < n && c->tape.err == BNN_OK; first += rows) {
        bnn_var *part;
        rows = n - first < BNN__FIT_BLOCK ? n - first : (size_t)BNN__FIT_BLOCK;
        bnn_tape_reset(&c->tape);
        part = bnn_net_nll(&c->net, bnn_batch_all(&c->tape, bnn_data_rows(d, first, rows)));
        nll += (double)rows * (double)bnn_value(part);
        bnn_backward(bnn_scale(part, (float)((double)rows / (double)n)));
    }
    bnn_tape_reset(&c->tape);
    bnn_backward(bnn_scale(bnn_prior_nll(&c->tape, w), (float)(1 / (double)n)));
    c->tape.training = training;
    *log_lik = -nll;
    return nll - bnn_params_log_prior(w);
}

/* Sum of squares of what has a flat prior */
static double bnn__fit_flat(const bnn_params *w, const float *theta) {
    double sum = 0;
    size_t b;
    for (b = 0; b < w->n_blocks; b++) {
        size_t i, n = w->blocks[b].rows * w->blocks[b].cols;
        for (i = 0; w->blocks[b].prior.kind == BNN_PRIOR_FLAT && i < n; i++)
            sum += pow((double)theta[w->blocks[b].offset + i], 2);
    }
    return sum;
}

/* Weights where U is finite. Chain 0 begins at the net's own. 0 = nowhere */
static int bnn__fit_begin(bnn__fit_chain *c) {
    double scale = 1, log_lik;
    int i;
    for (i = 0; i < 10; i++, scale /= 2) {
        if (c->id > 0 || i > 0) bnn__fit_scatter(c, scale);
        bnn__fit_energy(c, &log_lik);
        if (c->tape.err != BNN_ENONFINITE) break;
        if (i < 9) bnn_tape_clear_error(&c->tape);
    }
    return c->tape.err == BNN_OK;
}

static bnn_var *bnn__fit_loss(bnn_tape *t, void *user) {
    const bnn__fit_chain *c = (const bnn__fit_chain *)user;
    size_t n = c->fit->data.x.rows, rows = n < 1000 ? n : 1000;
    return bnn_net_loss(&c->net, bnn_minibatch(t, c->fit->data, rows)); /* rng is frozen */
}

static bnn_batch bnn__fit_batch(bnn__fit_chain *c, size_t rows) {
    bnn_tape_reset(&c->tape);
    c->gradients += bnn__fit_whole(c->fit->desc.method)
                        ? (double)rows / (double)c->fit->data.x.rows : 1;
    if (rows >= c->fit->data.x.rows) return bnn_batch_all(&c->tape, c->fit->data);
    return bnn_minibatch(&c->tape, c->fit->data, rows);
}

/* Adam with a falling rate */
static void bnn__fit_descend(bnn__fit_chain *c, size_t steps, double last) {
    bnn_adam_desc d;
    bnn_stepper adam;
    size_t k;
    memset(&d, 0, sizeof d);
    adam = bnn_adam(c->net.params, d);
    for (k = 0; k < steps && c->tape.err == BNN_OK; k++) {
        adam.lr = (float)(last + bnn_lr_cosine(1e-2 - last, k, steps));
        bnn_backward(bnn_net_loss(&c->net, bnn__fit_batch(c, c->fit->batch)));
        bnn_step(&adam, &c->tape);
    }
}

/* Largest eigenvalue of the Hessian of U/N at the present weights */
static double bnn__fit_curvature(bnn__fit_chain *c) {
    bnn_params *w = c->net.params;
    float *v = (float *)bnn_arena_alloc(&c->mem, w->n, sizeof *v);
    double norm = 0;
    int k;
    if (v == NULL) return bnn__nan();
    bnn_rng_fill_normal(&c->tape.rng, w->n, v);
    for (k = 0; k < 16 && c->tape.err == BNN_OK; k++) {
        bnn_mat m = bnn__mat(1, w->n, v);
        norm = sqrt(bnn_mat_dot(m, m));
        if (!(norm > 0)) return 0;
        bnn_mat_scale(m, m, (float)(1 / norm));
        bnn_tape_reset(&c->tape);
        bnn_hessian_vector(v, &c->tape, w, bnn__fit_loss, c, v);
        norm = sqrt(bnn_mat_dot(m, m));
        c->gradients += 2;
    }
    return norm;
}

/* Mean over the weights of the noise ratio of SGLD at lr = 1 */
static double bnn__fit_noise(bnn__fit_chain *c, size_t batch) {
    enum { DRAWS = 12 };
    const bnn_params *w = c->net.params;
    bnn_mark mark = bnn_arena_mark(&c->mem);
    bnn_mat g = bnn_mat_new(&c->mem, DRAWS, w->n), ratio = bnn_mat_new(&c->mem, 1, w->n);
    double mean = 0;
    size_t k, n = c->fit->data.x.rows;
    if (batch >= n) return 0;
    for (k = 0; k < DRAWS && ratio.data != NULL; k++) {
        bnn_params_zero_grad(c->net.params);
        bnn_backward(bnn_net_loss(&c->net, bnn__fit_batch(c, batch)));
        memcpy(g.data + k * w->n, w->grad, w->n * sizeof(float));
    }
    if (ratio.data != NULL && bnn_diag_noise_ratio(ratio, g, 1, (double)n, 1) == BNN_OK)
        mean = bnn_mat_sum(ratio) / (double)w->n;
    bnn_arena_rewind(&c->mem, mark);
    return mean;
}

static void bnn__fit_open(bnn__fit_chain *c) {
    bnn__fitting *f = c->fit;
    int m = f->desc.method, samples = bnn__fit_samples(m), i;
    double now, before = bnn__inf(), log_lik;
    c->tape = bnn__fit_tape(f->mem);
    c->tape.rng = bnn_rng_stream(f->desc.seed, c->id + 1);
    c->mem.alloc = c->tape.mem.alloc;
    c->net = *f->net;
    c->net.params = bnn__fit_clone(&c->mem, f->net->params);
    c->theta = bnn_mat_new(&c->mem, f->room, f->net->params->n);
    c->seen = bnn_mat_new(&c->mem, f->room, f->cols);
    c->center = (float *)bnn_arena_alloc(&c->mem, f->net->params->n, sizeof(float));
    c->paths = (double *)bnn_arena_alloc(&c->mem, BNN__FIT_PATHS, sizeof(double));
    if (c->mem.err != BNN_OK || !bnn__fit_begin(c)) return;
    if (m != BNN_FIT_DROPOUT && m != BNN_FIT_ENSEMBLE) c->tape.training = -1; /* no dropout */
    if (m == BNN_FIT_MEANFIELD) return;
    if (!samples)
        bnn__fit_descend(c, (size_t)(f->budget / (double)f->desc.chains), 0);
    for (i = 0; i < 10 && samples && c->tape.err == BNN_OK; i++) { /* while it gains something */
        bnn__fit_descend(c, BNN__FIT_DESCENT, 1e-3);
        now = bnn__fit_energy(c, &log_lik);
        if (!(now < before - 0.1 * (double)c->net.params->n) ||
            4 * c->gradients * (double)f->desc.chains > f->budget)
            break;
        before = now;
    }
    c->flat = bnn__fit_flat(c->net.params, c->net.params->theta);
    if (bnn__fit_whole(m) || (!samples && m != BNN_FIT_SWAG)) return;
    c->curvature = bnn__fit_curvature(c);
    c->noise = bnn__fit_noise(c, f->batch);
}

/* ---- records */

static void bnn__fit_halve(bnn__fit_chain *c) { /* every second record goes */
    size_t i;
    for (i = 0; i < c->records / 2; i++) {
        memcpy(c->theta.data + i * c->theta.cols, c->theta.data + (2 * i + 1) * c->theta.cols,
               c->theta.cols * sizeof(float));
        memcpy(c->seen.data + i * c->seen.cols, c->seen.data + (2 * i + 1) * c->seen.cols,
               c->seen.cols * sizeof(float));
    }
    c->records /= 2;
}

static double bnn__fit_kinetic(const bnn__fit_chain *c) {
    const bnn_stepper *s = &c->s;
    double f = s->kind == BNN_SGNHT ? (double)s->thermostat : (double)s->friction, sum = 0;
    size_t i;
    if (s->kind != BNN_SGHMC && s->kind != BNN_SGNHT) return bnn__nan();
    for (i = 0; i < s->n; i++) sum += (double)s->s1[i] * (double)s->s1[i];
    return sum / (double)s->n * (1 - f / 2) / (double)s->lr * (double)c->fit->data.x.rows;
}

static void bnn__fit_record(bnn__fit_chain *c) {
    const bnn_params *w = c->net.params;
    float *row = c->seen.data + c->records * c->seen.cols;
    double u, log_lik, virial = 0;
    bnn_mat mean;
    size_t i;
    u = bnn__fit_energy(c, &log_lik);
    if (c->tape.err != BNN_OK) return;
    for (i = 0; i < w->n; i++)
        virial += ((double)w->theta[i] - (double)c->center[i]) * (double)w->grad[i];
    row[BNN__FIT_U] = (float)u, row[BNN__FIT_LOG_LIK] = (float)log_lik;
    row[BNN__FIT_VIRIAL] = (float)(virial * (double)c->fit->data.x.rows / (double)w->n);
    row[BNN__FIT_KINETIC] = (float)bnn__fit_kinetic(c);
    bnn_tape_reset(&c->tape);
    mean = bnn_predict(&c->tape.mem, &c->tape, &c->net, NULL, c->fit->desc.probe).mean;
    if (c->tape.err != BNN_OK) return;
    memcpy(row + BNN__FIT_PROBES, mean.data, mean.rows * mean.cols * sizeof(float));
    memcpy(c->theta.data + c->records++ * w->n, w->theta, w->n * sizeof(float));
}

static int bnn__fit_gibbs(const bnn_params *w) { /* are there scales to draw? */
    size_t b, n = 0;
    for (b = 0; b < w->n_blocks; b++) n += w->blocks[b].prior.shape > 0;
    return n > 0;
}

/* One step of a sampler, or one transition */
static void bnn__fit_step(bnn__fit_chain *c) {
    int whole = bnn__fit_whole(c->fit->desc.method), gibbs = bnn__fit_gibbs(c->net.params);
    if (whole) bnn_tape_reset(&c->tape);
    else bnn_backward(bnn_net_loss(&c->net, bnn__fit_batch(c, c->fit->batch)));
    bnn_step(&c->s, &c->tape);
    if (whole) {
        const bnn_hmc_state *h = c->s.hmc;
        c->gradients += 1 + (double)(c->s.kind == BNN_NUTS ? h->leapfrogs : h->desc.leapfrog);
        if (c->warm == 0 && c->n_paths < BNN__FIT_PATHS) c->paths[c->n_paths++] = h->hamiltonian;
    }
    if (gibbs && (whole || c->s.t % 10 == 0))
        bnn_params_update_priors(c->net.params, &c->tape.rng);
}

static void bnn__fit_warm(bnn__fit_chain *c) { /* a part of HMC's own adaptation */
    size_t k;
    for (k = 0; k < BNN__FIT_ROUND && c->warm > 0 && c->tape.err == BNN_OK; k++, c->warm--)
        bnn__fit_step(c);
    memcpy(c->center, c->net.params->theta, c->net.params->n * sizeof(float));
}

static void bnn__fit_round(bnn__fit_chain *c) {
    size_t k, i;
    for (k = 0; k < BNN__FIT_ROUND && c->tape.err == BNN_OK; k++) {
        for (i = 0; i < c->fit->thin && c->tape.err == BNN_OK; i++) bnn__fit_step(c);
        bnn__fit_record(c);
    }
}

/* ---- the methods */

static void bnn__fit_sampler(bnn__fit_chain *c) {
    const bnn__fitting *f = c->fit;
    float lr = (float)((f->desc.lr > 0 ? (double)f->desc.lr : f->lr) / (c->id % 2 ? 2 : 1));
    bnn_params *w = c->net.params;
    bnn_sgld_desc ld;
    bnn_sghmc_desc hd;
    bnn_sgnht_desc td;
    bnn_hmc_desc d;
    bnn_nuts_desc nd;
    memset(&ld, 0, sizeof ld), memset(&hd, 0, sizeof hd), memset(&td, 0, sizeof td);
    memset(&d, 0, sizeof d), memset(&nd, 0, sizeof nd);
    ld.lr = hd.lr = td.lr = lr;
    d.net = &c->net, d.data = f->data, d.adapt_mass = 1;
    d.step = f->desc.lr, d.accept = (float)0.7;
    d.leapfrog = (size_t)(f->desc.gradients / (double)(f->desc.chains * (size_t)BNN__FIT_MOVES));
    d.leapfrog = d.leapfrog < 10 ? 10 : d.leapfrog > 100 ? 100 : d.leapfrog;
    c->warm = f->desc.lr > 0 ? 0 : BNN__FIT_WARMUP;
    d.warmup = c->warm;
    nd.net = d.net, nd.data = d.data, nd.step = d.step, nd.warmup = c->warm;
    for (nd.max_depth = 4; nd.max_depth < 10 && d.leapfrog >> nd.max_depth > 0;) nd.max_depth++;
    switch (f->desc.method) {
    case BNN_FIT_SGLD: c->s = bnn_sgld(w, ld); break;
    case BNN_FIT_SGHMC: c->s = bnn_sghmc(w, hd); break;
    case BNN_FIT_SGNHT: c->s = bnn_sgnht(w, td); break;
    case BNN_FIT_HMC: c->s = bnn_hmc(w, d); break;
    default: c->s = bnn_nuts(w, nd);
    }
    if (!bnn__fit_whole(f->desc.method)) c->warm = 0;
    memcpy(c->center, w->theta, w->n * sizeof(float));
}

/* e holds one draw: a record of it */
static void bnn__fit_take(bnn__fit_chain *c, bnn_ensemble *e, int err) {
    bnn_params draw = bnn_ensemble_sample(e, 0);
    if (err == BNN_OK) bnn_params_copy(c->net.params, &draw);
    else bnn_tape_fail(&c->tape, err, "bnn_fit", c->mem.msg);
    e->count = e->seen = 0;
    bnn__fit_record(c);
}

/* Adam at one rate, and in the last quarter down to 0. F by a minibatch every tenth step; falling:
 * by how many nats the third quarter is below the second, beyond four errors */
static bnn_meanfield bnn__fit_meanfield(bnn__fit_chain *c) {
    const bnn__fitting *f = c->fit;
    size_t k, q, steps = (size_t)(f->budget / (double)f->desc.chains), last = steps / 4 * 3;
    double sum[2] = { 0, 0 }, square[2] = { 0, 0 }, n[2] = { 0, 0 }, N = (double)f->data.x.rows;
    bnn_meanfield_desc d;
    bnn_adam_desc ad;
    bnn_meanfield m;
    bnn_stepper adam;
    memset(&d, 0, sizeof d), memset(&ad, 0, sizeof ad);
    m = bnn_meanfield_new(c->net.params, d);
    adam = bnn_adam(m.params, ad);
    for (k = 0; k < steps && c->tape.err == BNN_OK && c->mem.err == BNN_OK; k++) {
        bnn_batch b = bnn__fit_batch(c, f->batch);
        bnn_var *nll;
        adam.lr = (float)(k < last ? 3e-3 : bnn_lr_cosine(3e-3, k - last, steps - last));
        bnn_meanfield_sample(&m, &c->tape);
        nll = bnn_net_nll(&c->net, b);
        bnn_backward(nll);
        bnn_meanfield_backward(&m, &c->tape);
        if (k >= steps / 4 && k < last && k % 10 == 0) {
            double F = N * (double)bnn_value(nll) + bnn_meanfield_kl(&m);
            q = k >= steps / 2;
            sum[q] += F, square[q] += F * F, n[q]++;
        }
        bnn_step(&adam, &c->tape);
    }
    for (q = 0; q < 2 && n[q] > 1; q++) {
        sum[q] /= n[q];
        square[q] = square[q] / n[q] - sum[q] * sum[q];
    }
    c->falling = sum[0] - sum[1];
    if (!(c->falling > 4 * sqrt(square[0] / n[0] + square[1] / n[1]))) c->falling = 0;
    return m;
}

static bnn_swag bnn__fit_swag(bnn__fit_chain *c) { /* forty sets of weights, an epoch apart */
    const bnn__fitting *f = c->fit;
    size_t k, i, apart = (f->data.x.rows + f->batch - 1) / f->batch;
    bnn_swag_desc d;
    bnn_sgd_desc gd;
    bnn_swag swag;
    bnn_stepper sgd;
    memset(&d, 0, sizeof d), memset(&gd, 0, sizeof gd);
    swag = bnn_swag_new(c->net.params, d);
    gd.lr = (float)f->lr;
    sgd = bnn_sgd(c->net.params, gd);
    for (k = 0; k < 40 && c->tape.err == BNN_OK; k++) {
        for (i = 0; i < apart + 10 && c->tape.err == BNN_OK; i++) {
            bnn_backward(bnn_net_loss(&c->net, bnn__fit_batch(c, f->batch)));
            bnn_step(&sgd, &c->tape);
        }
        bnn_swag_collect(&swag);
    }
    return swag;
}

/* Draws around an optimum, all at once */
static void bnn__fit_around(bnn__fit_chain *c) {
    int m = c->fit->desc.method;
    bnn_params *w = c->net.params;
    size_t k, draws = m == BNN_FIT_ENSEMBLE ? 1 : c->fit->desc.draws;
    bnn_ensemble e = bnn_ensemble_new(w, 1);
    bnn_meanfield mf;
    bnn_laplace la;
    bnn_swag swag;
    float *here = (float *)bnn_arena_alloc(&c->mem, w->n, sizeof *here);
    memset(&mf, 0, sizeof mf), memset(&la, 0, sizeof la), memset(&swag, 0, sizeof swag);
    if (m == BNN_FIT_MEANFIELD) mf = bnn__fit_meanfield(c);
    if (m == BNN_FIT_SWAG) swag = bnn__fit_swag(c);
    if (m == BNN_FIT_LAPLACE)
        la = bnn_laplace_new(&c->mem, &c->tape, &c->net, c->fit->data, w->n <= 300
                             ? BNN_LAPLACE_FULL : c->net.mlp != NULL ? BNN_LAPLACE_LAST
                                                                     : BNN_LAPLACE_DIAGONAL);
    if (here == NULL || c->tape.err != BNN_OK || c->mem.err != BNN_OK) return;
    memcpy(here, w->theta, w->n * sizeof *here), memcpy(c->center, here, w->n * sizeof *here);
    for (k = 0; k < draws && c->tape.err == BNN_OK; k++) {
        int err = m == BNN_FIT_MEANFIELD ? bnn_meanfield_push(&mf, &e, &c->tape.rng)
                  : m == BNN_FIT_SWAG    ? bnn_swag_push(&swag, &e, &c->tape.rng)
                  : m == BNN_FIT_LAPLACE ? bnn_laplace_push(&la, &e, &c->tape.rng)
                  : m == BNN_FIT_DROPOUT ? bnn_ensemble_push_dropout(&e, &c->net, &c->tape.rng)
                                         : bnn_ensemble_push(&e);
        bnn__fit_take(c, &e, err);
        memcpy(w->theta, here, w->n * sizeof *here);
    }
}

/* ---- looking */

/* Column `col` of what the live chains saw behind the burn-in: (chains, records) in scratch */
static bnn_mat bnn__fit_column(const bnn__fitting *f, bnn_arena *mem, size_t col, size_t burn_in) {
    size_t k, i, to = 0, n = 0;
    bnn_mat m;
    for (k = 0; k < f->desc.chains; k++) if (bnn__fit_live(&f->chains[k])) n = f->chains[k].records;
    n = n > burn_in ? n - burn_in : 0;
    m = bnn_mat_new(mem, bnn__fit_alive(f), n);
    for (k = 0; k < f->desc.chains && m.data != NULL; k++)
        for (i = 0; bnn__fit_live(&f->chains[k]) && i < n; i++)
            m.data[to++] = f->chains[k].seen.data[(burn_in + i) * f->cols + col];
    return m;
}

static size_t bnn__fit_mser(bnn_mat u) {
    size_t best = 0, b, k, i, n = u.cols, apart = n / 20 > 0 ? n / 20 : 1;
    double least = bnn__inf();
    for (b = 0; b <= n / 2; b += apart) {
        double sum = 0;
        for (k = 0; k < u.rows; k++) {
            double mean = 0;
            for (i = b; i < n; i++) mean += (double)u.data[k * n + i] / (double)(n - b);
            for (i = b; i < n; i++) sum += pow((double)u.data[k * n + i] - mean, 2);
        }
        sum /= (double)(n - b) * (double)(n - b);
        if (sum < least) least = sum, best = b;
    }
    return best;
}

static void bnn__fit_look(bnn__fitting *f, bnn_posterior *p) {
    bnn_arena *mem = f->mem;
    bnn_mark mark = bnn_arena_mark(mem);
    char msg[BNN_MSG];
    size_t col;
    bnn_mat m;
    memcpy(msg, mem->msg, sizeof msg);
    p->rhat = p->ess_bulk = p->ess_tail = p->rhat_log_lik = p->ess_log_lik = bnn__nan();
    f->burn_in = 0;
    if (bnn__fit_alive(f) == 0) return;
    if (bnn__fit_samples(f->desc.method))
        f->burn_in = bnn__fit_mser(bnn__fit_column(f, mem, BNN__FIT_U, 0));
    for (col = BNN__FIT_PROBES; col < f->cols; col++) {
        double r, bulk, tail;
        m = bnn__fit_column(f, mem, col, f->burn_in);
        r = bnn_diag_rhat(mem, m), bulk = bnn_diag_ess_bulk(mem, m);
        tail = bnn_diag_ess_tail(mem, m);
        if (!(p->rhat >= r) && r > 0) p->rhat = r;
        if (!(p->ess_bulk <= bulk) && bulk > 0) p->ess_bulk = bulk;
        if (!(p->ess_tail <= tail) && tail > 0) p->ess_tail = tail;
        bnn_arena_rewind(mem, mark);
    }
    m = bnn__fit_column(f, mem, BNN__FIT_LOG_LIK, f->burn_in);
    p->rhat_log_lik = bnn_diag_rhat(mem, m);
    p->ess_log_lik = bnn_diag_ess_bulk(mem, m);
    bnn_arena_rewind(mem, mark);
    memcpy(mem->msg, msg, sizeof msg);
    p->reached = p->ess_bulk >= f->desc.ess && p->ess_tail >= f->desc.ess &&
                 2 * f->burn_in < f->burn_in + m.cols;
}

/* Mean over the records behind the burn-in, and its error */
static double bnn__fit_mean(const bnn__fitting *f, size_t col, double *error) {
    bnn_mark mark = bnn_arena_mark(f->mem);
    char msg[BNN_MSG];
    bnn_mat m;
    double mean;
    memcpy(msg, f->mem->msg, sizeof msg);
    m = bnn__fit_column(f, f->mem, col, f->burn_in);
    mean = bnn_mat_sum(m) / ((double)m.rows * (double)m.cols);
    *error = bnn_diag_mcse(f->mem, m);
    bnn_arena_rewind(f->mem, mark);
    memcpy(f->mem->msg, msg, sizeof msg);
    return mean;
}

static int bnn__fit_canceled(bnn__fitting *f, bnn_posterior *p) {
    p->gradients = bnn__fit_gradients(f);
    if (f->desc.progress == NULL ||
        f->desc.progress(f->desc.progress_user, (size_t)p->gradients, (size_t)f->budget) == 0)
        return 0;
    p->err = BNN_ECANCEL;
    return 1;
}

/* Rounds until the target, the budget, a cancellation, or nobody is left */
static void bnn__fit_run(bnn__fitting *f, bnn_posterior *p) {
    size_t k, records;
    while (bnn__fit_alive(f) > 0 && bnn__fit_gradients(f) < f->budget && !p->reached) {
        size_t warm = 0;
        if (bnn__fit_canceled(f, p)) return;
        for (k = 0; k < f->desc.chains; k++) warm += f->chains[k].warm;
        bnn__fit_each(f, warm > 0 ? bnn__fit_warm : bnn__fit_round);
        if (warm > 0) continue;
        for (k = records = 0; k < f->desc.chains; k++)
            if (bnn__fit_live(&f->chains[k])) records = f->chains[k].records;
        if (records >= 4 * BNN__FIT_ROUND || records == f->room) bnn__fit_look(f, p);
        if (p->reached || records + BNN__FIT_ROUND <= f->room) continue;
        for (k = 0; k < f->desc.chains; k++) bnn__fit_halve(&f->chains[k]);
        f->thin *= 2;
    }
}

/* ---- the result */

/* Equal numbers of every live chain, the last ones, a quarter of the autocorrelation time of the
 * slowest prediction apart, and at least a hundred, if there are so many */
static void bnn__fit_keep(bnn__fitting *f, bnn_posterior *p) {
    bnn_params w = *f->net->params;
    size_t k, i, n = p->energy.cols > f->burn_in ? p->energy.cols - f->burn_in : 0;
    size_t apart = (n + f->desc.draws - 1) / f->desc.draws;
    double tau = fmin((double)(n * p->energy.rows) / p->ess_bulk, (double)n / 25);
    if (tau / 4 > (double)apart) apart = (size_t)(tau / 4);
    p->draws = apart > 0 ? n / apart : 0;
    p->post.count = p->post.seen = 0;
    for (k = 0; k < f->desc.chains; k++)
        for (i = p->draws; bnn__fit_live(&f->chains[k]) && i-- > 0;) {
            const bnn_mat *m = &f->chains[k].theta;
            w.theta = m->data + (f->chains[k].records - 1 - i * apart) * m->cols;
            bnn_ensemble_push_from(&p->post, &w, 1);
        }
}

static void bnn__fit_measure(bnn__fitting *f, bnn_posterior *p) {
    size_t k, i;
    double error;
    p->transitions = p->divergent = p->accept = 0, p->noise_ratio = 0;
    p->curvature = p->temperature = p->kinetic = p->ebfmi = bnn__nan();
    p->step_min = bnn__inf(), p->step_max = 0;
    for (k = i = 0; k < f->desc.chains; k++) {
        const bnn__fit_chain *c = &f->chains[k];
        const bnn_hmc_state *h = c->s.hmc;
        double step = h != NULL ? h->step : (double)c->s.lr, f_in_force = 1;
        if (c->curvature > 0 && !(p->curvature > c->curvature)) p->curvature = c->curvature;
        if (!bnn__fit_live(c)) continue;
        if (step > 0) p->step_min = fmin(p->step_min, step), p->step_max = fmax(p->step_max, step);
        if (c->s.kind == BNN_SGHMC || c->s.kind == BNN_SGNHT) f_in_force = (double)c->s.friction;
        p->noise_ratio = fmax(p->noise_ratio, c->noise * step / f_in_force);
        if (h == NULL) continue;
        p->transitions += (double)h->draws, p->divergent += (double)h->divergent;
        p->accept += h->accept_sum;
        error = bnn_diag_ebfmi(c->paths, c->n_paths);
        if (!(p->ebfmi <= error) && error >= 0) p->ebfmi = error;
    }
    p->accept = p->transitions > 0 ? p->accept / p->transitions : bnn__nan();
    if (!bnn__fit_samples(p->method) || p->energy.cols == 0) return;
    p->temperature = bnn__fit_mean(f, BNN__FIT_VIRIAL, &error);
    p->kinetic = bnn__fit_mean(f, BNN__FIT_KINETIC, &error);
}

static void bnn__fit_hear(void *user, const char *note) {
    bnn__fitting *f = (bnn__fitting *)user;
    if (f->n_notes < BNN__FIT_NOTES) memcpy(f->notes[f->n_notes++], note, BNN_MSG);
    if (f->on_note != NULL) f->on_note(f->note_user, note);
}

/* ---- notes: how far it came */

static void bnn__fit_notes_chains(const bnn__fitting *f) {
    int said = 0; /* one of them is enough */
    size_t k;
    for (k = 0; k < f->desc.chains; k++) {
        const bnn__fit_chain *c = &f->chains[k];
        if (!bnn__fit_live(c))
            bnn__arena_note(f->mem, "bnn_fit: chain %z is left out after %g gradients: %s", k,
                            c->gradients, c->tape.err != BNN_OK ? c->tape.msg : c->mem.msg);
        else if (c->tape.notes > 0 && !said++)
            bnn__arena_note(f->mem, "bnn_fit: chain %z: %s", k, c->tape.note);
    }
}

/* Do all chains change U from their first to their second half alike? By four errors of the mean of
 * three and more, and a twentieth of a nat per weight */
static int bnn__fit_drifts(const bnn__fitting *f) {
    bnn_mark mark = bnn_arena_mark(f->mem);
    bnn_mat u = bnn__fit_column(f, f->mem, BNN__FIT_U, f->burn_in);
    size_t k, i, n = u.cols / 2;
    double mean = 0, square = 0;
    for (k = 0; k < u.rows && n > 0; k++) {
        double change = 0, off;
        for (i = 0; i < n; i++)
            change += ((double)u.data[k * u.cols + n + i] - (double)u.data[k * u.cols + i]) /
                      (double)n;
        off = change - mean;
        mean += off / (double)(k + 1);
        square += off * (change - mean);
    }
    bnn_arena_rewind(f->mem, mark);
    k = u.rows;
    return k >= 3 && n >= 10 && fabs(mean) > 0.05 * (double)f->net->params->n &&
           fabs(mean) > 4 * sqrt(square / (double)(k * (k - 1)));
}

static void bnn__fit_notes_run(bnn__fitting *f, const bnn_posterior *p) {
    size_t n = p->energy.cols;
    if (p->err == BNN_ECANCEL)
        bnn__arena_note(f->mem, "bnn_fit: canceled after %g gradients: %z draws of each chain are "
                        "no posterior yet; bnn_fit_more goes on", p->gradients, p->draws);
    else if (n == 0 && p->chains > 0)
        bnn__arena_note(f->mem, "bnn_fit: the budget of %g gradients ended before the first draw: "
                        "bnn_fit_more, or raise gradients", f->budget);
    else if (bnn__fit_samples(p->method) && !p->reached)
        bnn__arena_note(f->mem, "bnn_fit: %g gradients gave an ESS of %g (bulk), %g (tail), not "
                        "%g: error bars are rough; bnn_fit_more, or raise gradients", p->gradients,
                        p->ess_bulk, p->ess_tail, f->desc.ess);
    if (f->desc.chains == 1 && p->method != BNN_FIT_ENSEMBLE)
        bnn__arena_note(f->mem, "bnn_fit: one chain cannot tell whether another would find the "
                        "same: leave chains 0 for four");
    if (p->rhat > 1.05)
        bnn__arena_note(f->mem, "bnn_fit: R-hat of predictions is %g: chains sit in different "
                        "modes; predictions average over them, a weight means nothing: more chains",
                        p->rhat);
    if ((f->burn_in > n / 5 * 2 && p->rhat_log_lik > 1.05) || bnn__fit_drifts(f))
        bnn__arena_note(f->mem, "bnn_fit: U still moves at half of the run (%g at its start, %g at "
                        "its end): the burn-in is not over: bnn_fit_more, or raise gradients",
                        (double)p->energy.data[0], (double)p->energy.data[n - 1]);
    if (p->method == BNN_FIT_ENSEMBLE && p->err == BNN_OK)
        bnn__arena_note(f->mem, "bnn_fit: the spread of %z optima is that of their starts: no "
                        "posterior, no R-hat; compare with a sampler", p->chains);
    else if (n >= 4 && bnn__is_nan(p->rhat))
        bnn__arena_note(f->mem, "bnn_fit: predictions on the probe rows never change: is lr too "
                        "small, or does the net not depend on its weights?");
}

/* ---- steps */

static void bnn__fit_notes_hmc(const bnn__fitting *f, const bnn_posterior *p) {
    if (p->divergent > 0)
        bnn__arena_note(f->mem, "bnn_fit: %g of %g transitions diverged: standardize the inputs, "
                        "or set a step below %g by lr", p->divergent, p->transitions, p->step_min);
    if (p->ebfmi < 0.3)
        bnn__arena_note(f->mem, "bnn_fit: E-BFMI is %g: energies change too slowly for the "
                        "momenta: tails are not seen; priors with lighter tails", p->ebfmi);
    if (p->accept < 0.5)
        bnn__arena_note(f->mem, "bnn_fit: paths were accepted %g on average: the step of %g is too "
                        "large: leave lr 0", p->accept, p->step_max);
    if (p->accept > 0.999 && f->desc.lr > 0)
        bnn__arena_note(f->mem, "bnn_fit: paths were accepted %g on average: with a step of %g "
                        "they hardly move: leave lr 0", p->accept, p->step_max);
}

/* Mean U of even and of odd chains, which take half the step */
static void bnn__fit_notes_half(const bnn__fitting *f, double lr) {
    bnn_mark mark = bnn_arena_mark(f->mem);
    bnn_mat m = bnn__fit_column(f, f->mem, BNN__FIT_U, f->burn_in), half[2];
    double mean[2] = { 0, 0 }, error[2];
    size_t k, j;
    if (bnn__fit_alive(f) == f->desc.chains && f->desc.chains >= 2 && m.cols >= 20) {
        for (j = 0; j < 2; j++) {
            half[j] = bnn_mat_new(f->mem, (m.rows + 1 - j) / 2, m.cols);
            for (k = j; k < m.rows && half[j].data != NULL; k += 2)
                memcpy(half[j].data + k / 2 * m.cols, m.data + k * m.cols, m.cols * sizeof(float));
            mean[j] = bnn_mat_sum(half[j]) / (double)(half[j].rows * m.cols);
            error[j] = bnn_diag_mcse(f->mem, half[j]);
        }
        if (fabs(mean[0] - mean[1]) > 4 * sqrt(error[0] * error[0] + error[1] * error[1]) &&
            fabs(mean[0] - mean[1]) > 0.05 * (double)f->net->params->n)
            bnn__arena_note(f->mem, "bnn_fit: U is %g at lr %g and %g at half of it: the step is "
                            "too large, or chains sit in different modes: a smaller lr", mean[0],
                            lr, mean[1]);
    }
    bnn_arena_rewind(f->mem, mark);
}

static void bnn__fit_notes_steps(const bnn__fitting *f, const bnn_posterior *p) {
    double lr = (double)f->desc.lr, error, T, bound;
    if (!bnn__fit_samples(p->method)) return;
    if (bnn__fit_whole(p->method)) bnn__fit_notes_hmc(f, p);
    else {
        bound = p->method == BNN_FIT_SGLD ? 2 : 3.8;
        if (lr > 0 && lr < 1e-3 * f->lr)
            bnn__arena_note(f->mem, "bnn_fit: lr is %g, a thousandth or less of the %g that the "
                            "curvature allows: the chains hardly left their starts: leave lr 0",
                            lr, f->lr);
        if (lr * p->curvature > bound)
            bnn__arena_note(f->mem, "bnn_fit: lr %g is beyond %g, where steps grow without end "
                            "along the largest curvature: leave lr 0", lr, bound / p->curvature);
        if (p->noise_ratio > 0.5 && p->method != BNN_FIT_SGNHT)
            bnn__arena_note(f->mem, "bnn_fit: minibatches of %z add %g times the injected noise: "
                            "intervals are too wide; a larger batch, or BNN_FIT_SGNHT", f->batch,
                            p->noise_ratio);
        bnn__fit_notes_half(f, p->step_max);
    }
    if (p->energy.cols == 0) return;
    T = bnn__fit_mean(f, BNN__FIT_VIRIAL, &error);
    if (T < 0.9 && !(1 - T < 4 * error))
        bnn__arena_note(f->mem, "bnn_fit: the weights have temperature %g, below 1: they have not "
                        "spread yet: bnn_fit_more, or leave lr 0", T);
    if (T > 1.2 && !(T - 1 < 4 * error))
        bnn__arena_note(f->mem, "bnn_fit: the weights have temperature %g, above 1: a smaller lr, "
                        "a larger batch, or bnn_fit_more", T);
    T = bnn__fit_mean(f, BNN__FIT_KINETIC, &error);
    if (fabs(T - 1) > 0.1 && !(fabs(T - 1) < 4 * error))
        bnn__arena_note(f->mem, "bnn_fit: the velocities have temperature %g, not 1: a larger "
                        "batch, or a smaller lr", T);
}

/* ---- the model */

/* Do the columns change, and by how much where the net sees them? */
static void bnn__fit_notes_data(const bnn__fitting *f) {
    bnn_mat x = f->data.x, s = f->net->scaling.x_std;
    bnn_mark mark = bnn_arena_mark(f->mem);
    bnn_mat sd = bnn_mat_new(f->mem, 1, x.cols);
    size_t j, still = 0, odd = BNN__NONE;
    if (sd.data == NULL || bnn_mat_col_std(sd, x) != BNN_OK) return;
    for (j = x.cols; j-- > 0;) {
        if (!(sd.data[j] > 0)) still = j + 1;
        if (s.data != NULL) sd.data[j] /= s.data[j];
        if (sd.data[j] > 30 || (sd.data[j] > 0 && (double)sd.data[j] < 1.0 / 30)) odd = j;
    }
    if (still > 0 && x.rows > 1)
        bnn__arena_note(f->mem, "bnn_fit: column %z of x never changes and says nothing: leave it "
                        "out", still - 1);
    if (odd != BNN__NONE)
        bnn__arena_note(f->mem, "bnn_fit: column %z of x has standard deviation %g where the net "
                        "sees it: standardize (unscaled 0)", odd, (double)sd.data[odd]);
    bnn_arena_rewind(f->mem, mark);
}

/* Variance of the predictions at the probe rows under 100 draws of the prior, and in the records */
static void bnn__fit_notes_prior(bnn__fitting *f) {
    enum { DRAWS = 100 };
    bnn_mark mark = bnn_arena_mark(f->mem);
    bnn_tape t = bnn__fit_tape(f->mem);
    bnn_params *w = bnn__fit_clone(f->mem, f->net->params);
    bnn_net net = *f->net;
    bnn_ensemble e = bnn_ensemble_new(w, DRAWS);
    bnn_rng rng = bnn_rng_stream(f->desc.seed, 0);
    double prior, here = 0, error;
    size_t k, b, flat = 0;
    for (b = 0; w != NULL && b < w->n_blocks; b++)
        flat += w->blocks[b].prior.kind == BNN_PRIOR_FLAT || w->blocks[b].prior.shape > 0;
    for (k = 0; k < DRAWS && w != NULL && flat == 0; k++) {
        bnn_params_sample_prior(w, &rng);
        bnn_ensemble_push(&e);
    }
    net.params = w;
    if (e.count == DRAWS) {
        bnn_predictive p = bnn_predict(f->mem, &t, &net, &e, f->desc.probe);
        prior = p.epistemic.data != NULL ? bnn_mat_sum(p.epistemic) : bnn__inf();
        for (k = BNN__FIT_PROBES; k < f->cols; k++) {
            double mean = bnn__fit_mean(f, k, &error), sum = 0;
            bnn_mat m = bnn__fit_column(f, f->mem, k, f->burn_in);
            for (b = 0; b < m.rows * m.cols; b++) sum += pow((double)m.data[b] - mean, 2);
            here += sum / (double)(m.rows * m.cols);
        }
        if (here > 0.8 * prior)
            bnn__arena_note(f->mem, "bnn_fit: predictions vary as under the prior (%g of its "
                            "variance): the posterior equals the prior: more data, or a smaller "
                            "net", here / prior);
    }
    bnn_arena_rewind(f->mem, mark);
}

static void bnn__fit_notes_model(bnn__fitting *f, const bnn_posterior *p) {
    size_t k, i, n = p->energy.cols;
    int lik = bnn__likelihood(f->net);
    double first = 0, last = 0, T;
    bnn__fit_notes_data(f);
    if (n == 0) return;
    for (k = 0; k < f->desc.chains; k++)
        for (i = f->burn_in; bnn__fit_live(&f->chains[k]) && i < n; i++) {
            first += f->chains[k].flat;
            last += bnn__fit_flat(f->net->params, f->chains[k].theta.data +
                                                      i * f->chains[k].theta.cols);
        }
    if (bnn__fit_samples(p->method) && last > 30 * first)
        bnn__arena_note(f->mem, "bnn_fit: squares of weights with a flat prior grew %g times after "
                        "the descent: the posterior is improper or far away: give them a prior",
                        last / first);
    if (n >= 20) bnn__fit_notes_prior(f);
    for (k = 0, T = 0; k < f->desc.chains; k++) T = fmax(T, f->chains[k].falling);
    if (T > 2)
        bnn__arena_note(f->mem, "bnn_fit: the free energy still fell by %g nats in the third "
                        "quarter: raise gradients", T);
    if (lik == BNN_GAUSSIAN && !f->net->noise_learned && p->post.count > 0) {
        bnn_mark mark = bnn_arena_mark(f->mem);
        bnn_tape t = bnn__fit_tape(f->mem);
        bnn_predictive y = bnn_predict(f->mem, &t, f->net, &p->post, f->data.x);
        T = bnn_metric_rmse(y.mean, f->data.y) / (double)f->net->noise_std;
        if (T > 2 || (T < 0.5 && f->data.x.rows >= 20)) /* a few rows may be met exactly */
            bnn__arena_note(f->mem, "bnn_fit: residuals are %g times noise_std: set it near %g, or "
                            "learn it (noise_learned)", T, T * (double)f->net->noise_std);
        bnn_arena_rewind(f->mem, mark);
    }
}

static void bnn__fit_finish(bnn__fitting *f, bnn_posterior *p) {
    size_t k, to = 0, n = 0;
    bnn_arena *mem = f->mem;
    p->gradients = bnn__fit_gradients(f);
    p->chains = bnn__fit_alive(f);
    bnn__fit_look(f, p);
    for (k = 0; k < f->desc.chains; k++) {
        const bnn__fit_chain *c = &f->chains[k];
        if (bnn__fit_live(c)) n = c->records;
        else if (p->err == BNN_OK) p->err = c->err;
    }
    if (p->chains == 0)
        bnn__arena_fail(mem, f->chains[0].err, "bnn_fit: no chain is left; the first: %s",
                        f->chains[0].tape.err != BNN_OK ? f->chains[0].tape.msg
                                                        : f->chains[0].mem.msg);
    p->burn_in = f->burn_in, p->thin = f->thin, p->batch = f->batch;
    p->energy = bnn_mat_new(mem, p->chains, n);
    for (k = 0; k < f->desc.chains && p->energy.data != NULL; k++)
        for (to = 0; bnn__fit_live(&f->chains[k]) && to < n; to++)
            p->energy.data[k * n + to] = f->chains[k].seen.data[to * f->cols];
    f->n_notes = 0;
    f->on_note = mem->on_note, f->note_user = mem->note_user;
    mem->on_note = bnn__fit_hear, mem->note_user = f;
    bnn__fit_keep(f, p);
    bnn__fit_measure(f, p);
    bnn__fit_notes_chains(f);
    bnn__fit_notes_run(f, p);
    bnn__fit_notes_steps(f, p);
    bnn__fit_notes_model(f, p);
    mem->on_note = f->on_note, mem->note_user = f->note_user;
    p->notes = f->notes, p->n_notes = f->n_notes;
}

/* ---- the call */

static int bnn__fit_ready(bnn_arena *mem, bnn_net *net, bnn_data d, const bnn_fit_desc *q) {
    char msg[BNN_MSG];
    int err;
    if (mem->err != BNN_OK) return 0;
    if (net->params == NULL)
        bnn__arena_fail(mem, BNN_EARG, "bnn_fit: the net was not made");
    else if (d.x.rows == 0 || d.x.rows != d.y.rows)
        bnn__arena_fail(mem, BNN_ESHAPE, "bnn_fit: x has %z rows, y has %z", d.x.rows, d.y.rows);
    else if (q->method < 0 || q->method > BNN_FIT_SWAG || !(q->lr >= 0) || !(q->gradients >= 0) ||
             !(q->ess >= 0) || (q->probe.data != NULL && q->probe.cols != d.x.cols))
        bnn__arena_fail(mem, BNN_EARG, "bnn_fit: method %d, lr %g, gradients %g, ess %g, probe of "
                        "%z columns: one of them cannot be", q->method, (double)q->lr,
                        q->gradients, q->ess, q->probe.cols);
    if (mem->err != BNN_OK) return 0;
    if (q->unscaled || net->scaling.x_mean.data != NULL) return 1;
    err = bnn_net_standardize(net, d);
    if (err == BNN_OK) return 1;
    memcpy(msg, net->params->mem->msg, sizeof msg); /* which may be mem */
    bnn__arena_fail(mem, err, "bnn_fit: %s", msg);
    return 0;
}

static bnn__fitting *bnn__fit_new(bnn_arena *mem, bnn_net *net, bnn_data d, bnn_fit_desc q) {
    bnn__fitting *f = (bnn__fitting *)bnn_arena_alloc(mem, 1, sizeof *f);
    size_t k, n = net->params->n, rows = d.x.rows, probes, fits = 33554432 / (n > 0 ? n : 1);
    double work = (double)n * (double)rows;
    int given = q.gradients > 0;
    if (f == NULL) return NULL;
    if (q.method == 0)
        q.method = work > 2e6 ? BNN_FIT_SGHMC : n > 50 ? BNN_FIT_HMC : BNN_FIT_NUTS;
    if (q.chains == 0) q.chains = q.method == BNN_FIT_ENSEMBLE ? 5 : 4;
    if (q.draws == 0) q.draws = fits < 10 ? 10 : fits < 250 ? fits : 250;
    if (!(q.gradients > 0)) q.gradients = 4e5;
    if (!given && bnn__fit_whole(q.method) && work > 2e5) q.gradients *= 2e5 / work;
    if (!(q.ess > 0)) q.ess = 400;
    if (q.probe.data == NULL) {
        probes = rows < 8 ? rows : 8;
        q.probe = bnn_mat_new(mem, probes, d.x.cols);
        for (k = 0; k < probes && q.probe.data != NULL; k++)
            memcpy(q.probe.data + k * d.x.cols,
                   d.x.data + k * (rows - 1) / (probes > 1 ? probes - 1 : 1) * d.x.cols,
                   d.x.cols * sizeof(float));
    }
    f->mem = mem, f->net = net, f->data = d, f->desc = q;
    f->budget = q.gradients, f->batch = q.batch > 0 ? q.batch : rows <= 500 ? rows : 100;
    if (f->batch > rows) f->batch = rows;
    if (q.method == BNN_FIT_SWAG && q.batch == 0 && 2 * f->batch > rows) f->batch = (rows + 1) / 2;
    f->room = (2 * q.draws + 2 * BNN__FIT_ROUND - 1) / (2 * BNN__FIT_ROUND) * 2 * BNN__FIT_ROUND;
    f->thin = 1;
    f->chains = (bnn__fit_chain *)bnn_arena_alloc(mem, q.chains, sizeof *f->chains);
    for (k = 0; f->chains != NULL && k < q.chains; k++) f->chains[k].fit = f, f->chains[k].id = k;
    return mem->err == BNN_OK ? f : NULL;
}

/* lr from curvature and noise. A batch of which the noise alone would make it small grows, up to
 * ten times, as far as that helps: lr and the rows that a step costs grow together. */
static void bnn__fit_steps(bnn__fitting *f) {
    double h = 0, noise = 0, f0 = 1, most, grow;
    size_t k, rows = f->data.x.rows;
    for (k = 0; k < f->desc.chains; k++) {
        if (!bnn__fit_live(&f->chains[k])) continue;
        h = fmax(h, f->chains[k].curvature), noise = fmax(noise, f->chains[k].noise);
    }
    if (f->desc.method == BNN_FIT_SGHMC || f->desc.method == BNN_FIT_SGNHT) f0 = 0.1;
    most = (f->desc.method == BNN_FIT_SWAG ? 0.5 : f->desc.method == BNN_FIT_SGLD ? 0.1 : 0.2) /
           (h > 0 ? h : 1);
    f->lr = most;
    if (!bnn__fit_samples(f->desc.method) || bnn__fit_whole(f->desc.method)) return;
    if (noise > 0 && 0.1 * f0 / noise < most && f->desc.batch == 0) {
        grow = fmin(most * noise / (0.1 * f0), 10);
        if ((double)f->batch * grow > 0.5 * (double)rows) f->batch = rows, noise = 0;
        else f->batch = (size_t)((double)f->batch * grow), noise /= grow;
        for (k = 0; k < f->desc.chains; k++) f->chains[k].noise = noise;
    }
    if (noise > 0) f->lr = fmin(most, (f->desc.method == BNN_FIT_SGNHT ? 1 : 0.1) * f0 / noise);
    f->thin = (rows + f->batch - 1) / f->batch;
    if (f->thin < 10) f->thin = 10;
}

BNNDEF bnn_posterior bnn_fit(bnn_arena *mem, bnn_net *net, bnn_data data, bnn_fit_desc desc) {
    bnn_posterior p;
    bnn__fitting *f;
    bnn_mat one = { 0, 0, NULL };
    bnn_tape t = bnn__fit_tape(mem);
    memset(&p, 0, sizeof p);
    if (!bnn__fit_ready(mem, net, data, &desc)) return p.err = mem->err, p;
    f = bnn__fit_new(mem, net, data, desc);
    if (f != NULL) {
        one = bnn_predict(mem, &t, net, NULL, f->desc.probe).mean; /* how many numbers are seen */
        if (t.err != BNN_OK) bnn__arena_fail(mem, t.err, "bnn_fit: %s", t.msg);
    }
    if (mem->err != BNN_OK) return p.err = mem->err, p;
    f->cols = BNN__FIT_PROBES + one.rows * one.cols;
    p.post.params = net->params;
    p.post.samples = bnn_mat_new(mem, f->desc.chains * f->desc.draws, net->params->n);
    p.post.weights = (double *)bnn_arena_alloc(mem, f->desc.chains * f->desc.draws,
                                               sizeof(double));
    p.fit = f, p.method = f->desc.method;
    if (mem->err != BNN_OK) return p.err = mem->err, p;
    bnn__fit_each(f, bnn__fit_open);
    bnn__fit_steps(f);
    if (bnn__fit_samples(p.method)) {
        bnn__fit_each(f, bnn__fit_sampler);
        bnn__fit_run(f, &p);
    } else if (!bnn__fit_canceled(f, &p)) bnn__fit_each(f, bnn__fit_around);
    bnn__fit_finish(f, &p);
    return p;
}

BNNDEF void bnn_fit_more(bnn_posterior *p, double gradients) {
    bnn__fitting *f = p->fit;
    double before = 0;
    if (f == NULL || p->chains == 0) return;
    if (p->gradients >= f->budget) before = f->budget;
    if (!bnn__fit_samples(p->method)) {
        bnn__arena_note(f->mem, "bnn_fit_more: a method that is no sampler does not go on: call "
                        "bnn_fit with more gradients");
        return;
    }
    if (p->err == BNN_ECANCEL) p->err = BNN_OK;
    f->budget = gradients > 0 ? gradients : f->desc.gradients;
    f->budget += before > 0 ? before : p->gradients;
    if (p->reached) f->desc.ess *= 2;
    p->reached = 0;
    bnn__fit_run(f, p);
    bnn__fit_finish(f, p);
}

#ifndef BNN_NO_STDIO
BNNDEF void bnn_fit_print(const bnn_posterior *p) {
    static const char names[][12] = { "none", "NUTS", "HMC", "SGHMC", "SGLD", "SGNHT", "ensemble",
                                      "dropout", "mean field", "Laplace", "SWAG" };
    size_t i, k, n = p->energy.cols, m = p->energy.rows, points = n < 12 ? n : 12;
    printf("%s: %lu chains of %lu draws, %.0f gradients%s%s\n", names[p->method],
           (unsigned long)p->chains, (unsigned long)p->draws, p->gradients,
           p->err != BNN_OK ? ", " : "", p->err != BNN_OK ? bnn_strerror(p->err) : "");
    printf("  predictions  R-hat %.3f  ESS %.0f (bulk) %.0f (tail)\n", p->rhat, p->ess_bulk,
           p->ess_tail);
    printf("  ln p         R-hat %.3f  ESS %.0f\n", p->rhat_log_lik, p->ess_log_lik);
    printf("  step %.3g to %.3g, batch %lu, a record every %lu steps\n", p->step_min, p->step_max,
           (unsigned long)p->batch, (unsigned long)p->thin);
    printf("  temperature %.3f (weights) %.3f (velocities), noise ratio %.3g\n", p->temperature,
           p->kinetic, p->noise_ratio);
    if (p->transitions > 0)
        printf("  accepted %.3f, %.0f of %.0f diverged, E-BFMI %.2f\n", p->accept, p->divergent,
               p->transitions, p->ebfmi);
    for (i = 0; i < points; i++) { /* U, mean over the chains; | ends the burn-in */
        size_t at = points > 1 ? i * (n - 1) / (points - 1) : 0;
        size_t before = i > 0 ? (i - 1) * (n - 1) / (points - 1) : 0;
        double u = 0;
        for (k = 0; k < m; k++) u += (double)p->energy.data[k * n + at] / (double)m;
        printf(i == 0 ? "  U %s%.6g" : "%s %.6g", p->burn_in > before && p->burn_in <= at ? " |"
                                                                                         : "", u);
    }
    printf(points > 0 ? "\n" : "");
    for (i = 0; i < p->n_notes; i++) printf("  note: %s\n", p->notes[i]);
}
#endif

/* ------------------------------------------------------------------------------------------------
 * >>emit: a net as C source
 *
 * The text is made three times, first to count weights, then its bytes. Constants are three streams
 * in the order in which the answer needs them: b has a bias (its variance; scales of int8) of every
 * unit, and of every member its noise, w the weights of every unit, g the runs of zeros before
 * each of them (255: as many, and no weight), up to the unit's end. $ stands for the name.
 * --------------------------------------------------------------------------------------------- */

enum { /* parts of the text that not all need */
    BNN__EMIT_EXP = 1, BNN__EMIT_EM1 = 2, BNN__EMIT_LOG = 4, BNN__EMIT_ERF = 8,
    BNN__EMIT_HERMITE = 16, BNN__EMIT_RELU = 32
};

typedef struct bnn__emit {
    bnn__tour v;
    bnn_emit_desc d;
    const struct bnn__mlp *m;
    const float *mean, *std;  /* of moments: mean and sd of all weights            */
    float *weight;            /* what storage has made of a unit's weights         */
    bnn_mat constant;         /* a member's variances                              */
    int lik, parts;           /* parts: 1, or 2 with moments: weights and their sd */
    int gaps, needs, column;
    char *out;                /* NULL: only count                                  */
    size_t n, word, flash;    /* bytes: of text, of an item, of all items          */
    bnn_emitted c;
} bnn__emit;

/* ---- text */

static void bnn__emit_put(bnn__emit *e, const char *s) {
    for (; *s != '\0'; s++) {
        if (*s == '$') {
            bnn__emit_put(e, e->d.name);
            continue;
        }
        if (e->out != NULL) e->out[e->n] = *s;
        e->n++;
    }
}

static void bnn__emit_size(bnn__emit *e, size_t v) {
    char text[BNN_MSG];
    size_t n = 0;
    bnn__put_size(text, &n, v);
    text[n] = '\0';
    bnn__emit_put(e, text);
}

static void bnn__emit_say(bnn__emit *e, const char *fmt, ...) { /* %s string, %z size_t */
    char one[2] = { 0, 0 };
    va_list args;
    va_start(args, fmt);
    for (; (one[0] = *fmt) != '\0'; fmt++) {
        if (*fmt != '%') bnn__emit_put(e, one);
        else if (*++fmt == 's') bnn__emit_put(e, va_arg(args, const char *));
        else bnn__emit_size(e, va_arg(args, size_t));
    }
    va_end(args);
}

/* Nine digits, from which every float comes back */
static void bnn__emit_real(bnn__emit *e, double v) {
    char text[BNN_MSG];
    size_t n = 0, k;
    int exponent = 0;
    if (v < 0) bnn__put(text, &n, "-");
    v = v < 0 ? -v : v;
    for (; v >= 10; exponent++) v /= 10;
    for (; v > 0 && v < 1; exponent--) v *= 10;
    k = (size_t)(v * 1e8 + 0.5);
    for (; k != 0 && k % 10 == 0; ) k /= 10, exponent++;
    exponent -= 8;
    if (v == 0) exponent = 0;
    bnn__put_size(text, &n, k);
    bnn__put(text, &n, exponent < 0 ? "e-" : "e");
    bnn__put_size(text, &n, (size_t)(exponent < 0 ? -exponent : exponent));
    bnn__put(text, &n, "f");
    text[n] = '\0';
    bnn__emit_put(e, text);
}

/* One more in an array, whole or real */
static void bnn__emit_item(bnn__emit *e, double v, int whole) {
    e->flash += e->word;
    if (e->column++ % (whole ? 20 : 6) == 0) bnn__emit_put(e, "\n   ");
    bnn__emit_put(e, " ");
    if (whole && v < 0) bnn__emit_put(e, "-");
    if (whole) bnn__emit_size(e, (size_t)(v < 0 ? -v : v));
    else bnn__emit_real(e, v);
    bnn__emit_put(e, ",");
}

static void bnn__emit_open(bnn__emit *e, const char *type, size_t word, const char *name) {
    e->column = 0;
    e->word = word;
    bnn__emit_say(e, "static const %s $_%s[] = {", type, name);
}

static void bnn__emit_array(bnn__emit *e, const char *name, bnn_mat m) {
    size_t i;
    if (m.data == NULL) return;
    bnn__emit_open(e, "float", 4, name);
    for (i = 0; i < bnn__mat_size(m); i++) bnn__emit_item(e, (double)m.data[i], 0);
    bnn__emit_put(e, "\n};\n");
}

/* ---- constants */

/* The bits of the nearest float16, and its value; 0x7c00 and more: too large */
static int bnn__half(double v, float *value) {
    int e, sign = v < 0 ? 0x8000 : 0;
    double q;
    (void)frexp(v, &e);
    if (e < -13 || v == 0) e = -13;
    q = floor(ldexp(fabs(v), 11 - e) + 0.5);
    *value = (float)(sign != 0 ? -ldexp(q, e - 11) : ldexp(q, e - 11));
    return sign | ((e + 13) * 1024 + (int)q);
}

/* What storage makes of a unit's n weights, each `step` after the last: out has values, and the
 * result is the scale of int8 */
static float bnn__emit_round(const bnn__emit *e, float *out, const float *w, size_t n,
                             size_t step) {
    float scale = 0;
    size_t i;
    for (i = 0; i < n; i++) {
        float a = w[i * step] < 0 ? -w[i * step] : w[i * step];
        if (a > scale) scale = a;
    }
    scale /= 127;
    for (i = 0; i < n; i++) {
        out[i] = w[i * step];
        if (e->d.storage == BNN_EMIT_HALF) (void)bnn__half((double)w[i * step], &out[i]);
        if (e->d.storage == BNN_EMIT_INT8)
            out[i] = scale > 0 ? scale * (float)floor((double)(w[i * step] / scale) + 0.5) : 0;
    }
    return scale;
}

static void bnn__emit_weight(bnn__emit *e, float w, float scale) {
    float value;
    if (e->d.storage == BNN_EMIT_HALF) bnn__emit_item(e, bnn__half((double)w, &value), 1);
    else if (e->d.storage == BNN_EMIT_FLOAT) bnn__emit_item(e, (double)w, 0);
    else bnn__emit_item(e, scale > 0 ? floor((double)(w / scale) + 0.5) : 0, 1);
}

static void bnn__emit_gap(bnn__emit *e, size_t gap, size_t limit, int stream) {
    for (; stream == 2; gap -= 255) { /* a unit's end is met by its last number, even 255 */
        bnn__emit_item(e, gap < limit ? (double)gap : 255, 1);
        if (gap < limit) return;
    }
}

/* Stream b, w or g of one unit, column j of layer l */
static void bnn__emit_unit(bnn__emit *e, size_t l, size_t j, int stream) {
    const bnn_params *w = e->v.net.params;
    bnn_mat a = bnn__layer(w, e->m, l, 0), b = bnn__layer(w, e->m, l, 1);
    size_t i, n = a.rows, at = (size_t)(a.data - w->theta) + j, gap = 0;
    float scale[2] = { 0, 0 }, bias = 0, spread = 0;
    if (b.data != NULL) bias = b.data[j];
    if (b.data != NULL && e->parts == 2) spread = e->std[(size_t)(b.data - w->theta) + j];
    scale[0] = bnn__emit_round(e, e->weight, w->theta + at, n, a.cols);
    if (e->parts == 2) scale[1] = bnn__emit_round(e, e->weight + n, e->std + at, n, a.cols);
    for (i = 0; e->d.storage == BNN_EMIT_HALF && i < n; i++)
        if (fabs((double)w->theta[at + i * a.cols]) > 65504)
            bnn__fail(e->v.t, BNN_EARG, "bnn_emit_c: a weight of layer %z is %g, float16 ends at "
                      "65504", l + 1, (double)w->theta[at + i * a.cols]);
    if (stream == 0) {
        bnn__emit_item(e, (double)bias, 0);
        if (e->parts == 2) bnn__emit_item(e, (double)spread * (double)spread, 0);
        for (i = 0; e->d.storage == BNN_EMIT_INT8 && i < (size_t)e->parts; i++)
            bnn__emit_item(e, (double)scale[i], 0);
        return;
    }
    for (i = 0; i < n; i++, gap++) {
        float s = e->parts == 2 ? e->weight[n + i] : 0;
        if (e->gaps && e->weight[i] == 0 && s == 0) continue;
        if (stream == 1) bnn__emit_weight(e, e->weight[i], scale[0]);
        if (stream == 1 && e->parts == 2) bnn__emit_weight(e, s, scale[1]);
        if (e->gaps) bnn__emit_gap(e, gap, 255, stream);
        gap = (size_t)-1;
    }
    if (e->gaps) bnn__emit_gap(e, gap, 256, stream);
}

/* Variances that no input changes, of the member at hand; b: stands for a row of zeros */
static void bnn__emit_noise(bnn__emit *e, size_t s, bnn_mat zeros) {
    bnn__time now = bnn__now(e->v.t);
    bnn_mat mean, var;
    size_t j, at = e->v.net.noise;
    bnn__moments(&e->v.net, bnn__tour_answer(&e->v, s, zeros), &mean, &var);
    for (j = 0; j < e->v.k && e->v.t->err == BNN_OK; j++) {
        double v = (double)var.data[j], a;
        if (e->parts == 2 && e->v.net.noise_learned) { /* E e^a for e^(E a) */
            at = e->v.net.params->blocks[e->v.net.noise].offset;
            a = (double)e->mean[at];
            v *= bnn__moments_noise(a, (double)e->std[at] * (double)e->std[at]) /
                 bnn__dexp(bnn__log_var(a));
        }
        bnn__emit_item(e, v < (double)FLT_MAX ? v : (double)FLT_MAX, 0);
    }
    bnn__back_to(e->v.t, now);
}

static int bnn__emit_classes(const bnn__emit *e) {
    return e->lik == BNN_CATEGORICAL || e->lik == BNN_BERNOULLI;
}

static int bnn__emit_equal(const bnn__emit *e) { /* members that count count alike */
    double first = 0;
    size_t s;
    for (s = 0; s < e->v.samples; s++) {
        double w = bnn__tour_weight(&e->v, s);
        if (w > 0 && first > 0 && (w < first || w > first)) return 0;
        if (w > 0) first = w;
    }
    return 1;
}

static int bnn__emit_has_noise(const bnn__emit *e) {
    return e->lik == BNN_GAUSSIAN || e->lik == BNN_DOUBLE_EXPONENTIAL || e->lik == BNN_STUDENT;
}

static void bnn__emit_stream(bnn__emit *e, int stream) {
    static const char types[][9] = { "", "float", "uint16_t", "int8_t" };
    static const size_t words[] = { 0, 4, 2, 1 };
    size_t s, l, j;
    if (stream == 0) bnn__emit_open(e, "float", 4, "b");
    if (stream == 1) bnn__emit_open(e, types[e->d.storage], words[e->d.storage], "w");
    if (stream == 2) bnn__emit_open(e, "uint8_t", 1, "g");
    for (s = 0; s < e->v.samples; s++) {
        if (bnn__tour_weight(&e->v, s) <= 0) continue;
        if (e->v.post != NULL)
            e->v.view.theta = e->v.post->samples.data + s * e->v.post->samples.cols;
        for (l = 0; l < e->m->n_layers; l++)
            for (j = 0; j < e->m->desc.sizes[l + 1]; j++) bnn__emit_unit(e, l, j, stream);
        if (stream == 0 && bnn__emit_has_noise(e)) bnn__emit_noise(e, s, e->v.x);
    }
    bnn__emit_put(e, "\n};\n");
}

/* Are zeros worth their gaps? */
static void bnn__emit_choose(bnn__emit *e) {
    size_t dense;
    e->gaps = 0, e->flash = 0;
    bnn__emit_stream(e, 1);
    dense = e->flash;
    e->gaps = 1, e->flash = 0;
    bnn__emit_stream(e, 1);
    bnn__emit_stream(e, 2);
    e->gaps = e->flash < dense;
}

/* ---- functions of the text: those of >>math */

static void bnn__emit_exp(bnn__emit *e) {
    bnn__emit_put(e,
        "static float $_pow2(int n) { return $_float((uint32_t)(n + 127) << 23); }\n"
        "static float $_reduced(float x, int *n) { /* x = n ln 2 + r: e^r - 1 */\n"
        "    float p = x * 1.44269504f, r;\n"
        "    *n = (int)(p < 0 ? p - 0.5f : p + 0.5f);\n"
        "    r = (x - (float)*n * 0.693359375f) - (float)*n * -2.12194440e-4f;\n"
        "    p = r * 1.9875691500e-4f + 1.3981999507e-3f;\n"
        "    p = p * r + 8.3334519073e-3f;\n"
        "    p = p * r + 4.1665795894e-2f;\n"
        "    p = p * r + 1.6666665459e-1f;\n"
        "    p = p * r + 5.0000001201e-1f;\n"
        "    return p * (r * r) + r;\n"
        "}\n");
    if (e->needs & BNN__EMIT_EXP) bnn__emit_put(e,
        "static float $_exp(float x) {\n"
        "    int n;\n"
        "    float y = $_reduced(x > -104.0f ? x < 89.0f ? x : 89.0f : -104.0f, &n) + 1.0f;\n"
        "    return y * $_pow2(n / 2) * $_pow2(n - n / 2);\n"
        "}\n");
    if (e->needs & BNN__EMIT_EM1) bnn__emit_put(e,
        "static float $_em1(float x) { /* e^x - 1 */\n"
        "    int n;\n"
        "    float y = $_reduced(x, &n), h = $_pow2(n - 1);\n"
        "    return (y * h + (h - 0.5f)) * 2.0f;\n"
        "}\n");
}

static void bnn__emit_log(bnn__emit *e) {
    bnn__emit_put(e,
        "static float $_logfe(float f, float k) { /* k ln 2 + ln(1 + f) */\n"
        "    float z = f * f, p = f * 7.0376836292e-2f - 1.1514610310e-1f;\n"
        "    p = p * f + 1.1676998740e-1f;\n"
        "    p = p * f - 1.2420140846e-1f;\n"
        "    p = p * f + 1.4249322787e-1f;\n"
        "    p = p * f - 1.6668057665e-1f;\n"
        "    p = p * f + 2.0000714765e-1f;\n"
        "    p = p * f - 2.4999993993e-1f;\n"
        "    p = p * f + 3.3333331174e-1f;\n"
        "    p = p * f * z + k * -2.12194440e-4f;\n"
        "    return (f + (p - z * 0.5f)) + k * 0.693359375f;\n"
        "}\n");
}

static void bnn__emit_erf(bnn__emit *e) {
    bnn__emit_put(e,
        "static float $_cdf(float x) { /* of N(0,1) */\n"
        "    float t = x * 0.707106781f, z, p, q;\n"
        "    t = t < 0 ? -t : t;\n"
        "    t = t < 4.0f ? t : 4.0f;\n"
        "    z = t * t;\n"
        "    p = z * -5.96761703e-4f + 4.99119423e-3f;\n"
        "    p = p * z - 2.67681349e-2f;\n"
        "    p = p * z + 1.12819925e-1f;\n"
        "    p = p * z - 3.76125336e-1f;\n"
        "    p = p * z + 1.28379166e-1f;\n"
        "    q = (t * -1.72853470e-5f + 3.83197126e-4f) * z + (t * -3.88396438e-3f + "
        "2.42546219e-2f);\n"
        "    q = q * t - 1.06777877e-1f;\n"
        "    q = q * t - 6.34846687e-1f;\n"
        "    q = q * t - 1.28717512e-1f;\n"
        "    q = t > 0.921875f ? 1.0f - $_exp(q * t - t) : p * t + t;\n"
        "    return 0.5f + 0.5f * (x < 0 ? -q : q);\n"
        "}\n");
}

/* The text of an activation, and in *needs what it needs; NULL: nothing to do */
static const char *bnn__emit_activation(int activation, int *needs) {
    switch (activation) {
    case BNN_RELU: return "static float $_relu(float x) { return x <= 0 ? 0 : x; }\n";
    case BNN_TANH: *needs |= BNN__EMIT_EM1; return
        "static float $_tanh(float x) {\n"
        "    float a = x < 0 ? -x : x, t;\n"
        "    t = $_em1(a < 10.0f ? a + a : 20.0f);\n"
        "    t = a < 1e-10f ? a : t / (t + 2.0f);\n"
        "    return x < 0 ? -t : t;\n"
        "}\n";
    case BNN_LEAKY_RELU: return
        "static float $_leaky_relu(float x) { return x > 0 ? x : x * 0.01f; }\n";
    case BNN_ELU: *needs |= BNN__EMIT_EM1; return
        "static float $_elu(float x) {\n"
        "    return x > 0 || x > -1e-10f ? x : $_em1(x > -30.0f ? x : -30.0f);\n"
        "}\n";
    case BNN_SIGMOID: *needs |= BNN__EMIT_EXP; return
        "static float $_sigmoid(float x) {\n"
        "    float e = $_exp(x < 0 ? x : -x);\n"
        "    return (x < 0 ? e : 1.0f) / (1.0f + e);\n"
        "}\n";
    case BNN_SILU: *needs |= BNN__EMIT_EXP; return
        "static float $_silu(float x) {\n"
        "    float e = $_exp(x < 0 ? x : -x);\n"
        "    return x * ((x < 0 ? e : 1.0f) / (1.0f + e));\n"
        "}\n";
    case BNN_GELU: *needs |= BNN__EMIT_EXP | BNN__EMIT_ERF; return
        "static float $_gelu(float x) { return x * $_cdf(x); }\n";
    case BNN_SOFTPLUS: *needs |= BNN__EMIT_EXP | BNN__EMIT_LOG; return
        "static float $_softplus(float x) {\n"
        "    float e = $_exp(x < 0 ? x : -x);\n"
        "    int big = e > 0.41421357f;\n"
        "    return (x > 0 ? x : 0) + $_logfe(big ? (e - 1.0f) * 0.5f : e, big ? 1.0f : 0);\n"
        "}\n";
    case BNN_SIN: return "static float $_sin(float x) { return sinf(x); }\n";
    default: return NULL;
    }
}

static const char *bnn__emit_op(int activation) {
#define BNN__ACT_NAME(NAME, op, gain) case BNN_##NAME: return #op;
    switch (activation) {
    BNN__ACTIVATIONS(BNN__ACT_NAME)
    default: return "identity";
    }
}

static int bnn__emit_is_relu(int a) { return a == BNN_RELU || a == BNN_LEAKY_RELU; }

/* What the layers and the answer need, and with `write` it itself */
static void bnn__emit_functions(bnn__emit *e, int write) {
    int a, two = e->parts == 2;
    size_t l;
    for (a = BNN_RELU; a <= BNN_IDENTITY; a++) {
        int used = 0, relu = bnn__emit_is_relu(a), output = e->lik == BNN_BERNOULLI &&
                                                            a == BNN_SIGMOID;
        const char *text = NULL;
        for (l = 0; l + 1 < e->m->n_layers; l++) used |= e->m->desc.activations[l] == a;
        if (used && two && relu) e->needs |= BNN__EMIT_RELU | BNN__EMIT_EXP | BNN__EMIT_ERF;
        else if (used || output) text = bnn__emit_activation(a, &e->needs);
        if (used && two && text != NULL) e->needs |= BNN__EMIT_HERMITE;
        if (write && text != NULL) bnn__emit_put(e, text);
    }
    if (bnn__emit_classes(e)) e->needs |= BNN__EMIT_EXP | BNN__EMIT_LOG;
    if (e->lik == BNN_GAUSSIAN_HETERO || e->lik == BNN_POISSON) e->needs |= BNN__EMIT_EXP;
    if (e->lik == BNN_POISSON && two) e->needs |= BNN__EMIT_EM1;
}

static void bnn__emit_points(bnn__emit *e) {
    double w;
    int i, k;
    for (k = 0; k < 2; k++) {
        bnn__emit_open(e, "float", 4, k == 0 ? "points" : "masses");
        for (i = 0; i < BNN__HERMITE; i++) {
            double z = bnn__hermite_point(i, &w);
            bnn__emit_item(e, k == 0 ? z : w, 0);
        }
        bnn__emit_put(e, "\n};\n");
    }
}

static void bnn__emit_moments(bnn__emit *e) {
    if (e->needs & BNN__EMIT_HERMITE || e->lik == BNN_BERNOULLI) bnn__emit_points(e);
    if (e->needs & BNN__EMIT_HERMITE) bnn__emit_put(e,
        "static void $_hermite(float (*f)(float), float *m, float *v) {\n"
        "    float first = 0, s = sqrtf(*v), mean = 0, square = 0;\n"
        "    int i;\n"
        "    for (i = 0; i < 8; i++) {\n"
        "        float y = f(*m + s * $_points[i]);\n"
        "        if (i == 0) first = y;\n"
        "        y -= first;\n"
        "        mean += $_masses[i] * y;\n"
        "        square += $_masses[i] * y * y;\n"
        "    }\n"
        "    *m = first + mean;\n"
        "    *v = square > mean * mean ? square - mean * mean : 0;\n"
        "}\n");
    if (e->needs & BNN__EMIT_RELU) bnn__emit_put(e,
        "static void $_rectify(float *m, float *v, float slope) {\n"
        "    float s = sqrtf(*v), a = s > 0 ? *m / s : *m > 0 ? 9.0f : -9.0f, c, p, u = 1.0f - "
        "slope;\n"
        "    if (a < -5.0f) *m *= slope, *v *= slope * slope;\n"
        "    if (a > 5.0f || a < -5.0f) return;\n"
        "    c = $_cdf(a);\n"
        "    p = 0.398942280f * $_exp(-0.5f * a * a);\n"
        "    u *= c * *v * (2.0f * slope + u) + u * (*m * *m * c * (1.0f - c) +\n"
        "         *m * s * p * (1.0f - 2.0f * c) - *v * p * p);\n"
        "    *m = slope * *m + (1.0f - slope) * (*m * c + s * p);\n"
        "    *v = slope * slope * *v + u;\n"
        "}\n");
}

static void bnn__emit_classes_text(bnn__emit *e) {
    if (e->lik == BNN_CATEGORICAL) bnn__emit_put(e,
        "static int $_softmax(float *p, const float *z, int k) {\n"
        "    float top = z[0];\n"
        "    $_real sum = 0;\n"
        "    int i, bad = 0;\n"
        "    for (i = 0; i < k; i++) top = z[i] > top ? z[i] : top, bad |= $_bad(z[i]);\n"
        "    for (i = 0; i < k; i++) sum += p[i] = $_exp(z[i] - top);\n"
        "    top = (float)(1 / sum);\n"
        "    for (i = 0; i < k; i++) p[i] *= top;\n"
        "    return bad;\n"
        "}\n");
    bnn__emit_put(e,
        "static float $_log(float x) {\n"
        "    uint32_t b = $_bits(x);\n"
        "    int n = (int)((b - 0x3f3504f3u + 0x80000000u) >> 23) - 256;\n"
        "    return $_logfe($_float(b - ((uint32_t)n << 23)) - 1.0f, (float)n);\n"
        "}\n"
        "static float $_entropy(const float *p, int k) {\n"
        "    float h = 0;\n"
        "    for (; k > 0; k--, p++) {\n"
        "        if (*p > 1e-37f) h -= *p * $_log(*p);\n");
    if (e->lik == BNN_BERNOULLI)
        bnn__emit_put(e, "        if (*p < 1.0f) h -= (1.0f - *p) * $_log(1.0f - *p);\n");
    bnn__emit_put(e, "    }\n    return h;\n}\n");
}

static void bnn__emit_affine(bnn__emit *e) {
    static const char types[][9] = { "", "float", "uint16_t", "int8_t" };
    int narrow = e->d.storage == BNN_EMIT_INT8, two = e->parts == 2;
    const char *load = narrow ? "(float)*at->w++"
                       : e->d.storage == BNN_EMIT_HALF ? "$_half(*at->w++)" : "*at->w++";
    if (e->d.storage == BNN_EMIT_HALF) bnn__emit_put(e,
        "static float $_half(uint16_t h) { /* times 2^112: the exponents have other zeros */\n"
        "    uint32_t u = h;\n"
        "    float x = $_float((u & 0x7fffu) << 13) * 5.19229686e33f;\n"
        "    return u >> 15 ? -x : x;\n"
        "}\n");
    bnn__emit_say(e, "struct $_at { const float *b; const %s *w;%s };\n", types[e->d.storage],
                  e->gaps ? " const uint8_t *g;" : "");
    bnn__emit_put(e,
        "static void $_affine(struct $_at *at, const float *x, int n, float *y, int k) {\n"
        "    int i, j;\n"
        "    for (j = 0; j < k; j++) {\n");
    bnn__emit_put(e, two ? "        float m = at->b[0], v = at->b[1];\n" : narrow ?
                  "        float s = 0;\n" : "        float s = at->b[0];\n");
    bnn__emit_put(e, e->gaps ? "        for (i = 0; (i += *at->g) < n; at->g++) {\n"
                               "            if (*at->g == 255) continue;\n"
                             : "        for (i = 0; i < n; i++) {\n");
    if (two) {
        bnn__emit_say(e, "            float w = %s%s, d = %s%s;\n", load,
                      narrow ? " * at->b[2]" : "", load, narrow ? " * at->b[3]" : "");
        bnn__emit_put(e, "            m += x[i] * w;\n"
                         "            v += d * d * (x[i] * x[i] + x[n + i]) + w * w * x[n + i];\n");
    } else {
        bnn__emit_say(e, e->d.exact ? "            s = fmaf(x[i], %s, s);\n"
                                    : "            s += x[i] * %s;\n", load);
    }
    bnn__emit_put(e, e->gaps ? "            i++;\n        }\n        at->g++;\n" : "        }\n");
    bnn__emit_put(e, two ? "        y[j] = m;\n        y[k + j] = v;\n" : narrow ?
                  "        y[j] = at->b[0] + at->b[1] * s;\n" : "        y[j] = s;\n");
    bnn__emit_say(e, "        at->b += %z;\n    }\n}\n", (size_t)e->parts * (narrow ? 2 : 1));
}

/* ---- the function */

/* The layers; returns the name of the array that has the outputs, and counts what both arrays need
 * to hold */
static char bnn__emit_layers(bnn__emit *e, size_t room[2]) {
    const bnn_mlp_desc *d = &e->m->desc;
    size_t l, p = (size_t)e->parts, n = d->sizes[0];
    int scaled = e->v.net.scaling.x_mean.data != NULL, to = 0;
    char from[2] = { 'x', '\0' }, into[2] = { 'a', '\0' };
    room[0] = room[1] = 1;
    if (scaled || p == 2) {
        room[to++] = p * n;
        bnn__emit_say(e, "        for (i = 0; i < %z; i++) a[i] = %s;\n", n,
                      scaled ? "(x[i] - $_x_mean[i]) / $_x_std[i]" : "x[i]");
        if (p == 2) bnn__emit_say(e, "        for (i = 0; i < %z; i++) a[%z + i] = 0;\n", n, n);
        from[0] = 'a';
    }
    for (l = 0; l < e->m->n_layers; l++, to = 1 - to, from[0] = into[0]) {
        size_t k = d->sizes[l + 1];
        int act = d->activations[l];
        into[0] = (char)('a' + to);
        if (room[to] < p * k) room[to] = p * k;
        bnn__emit_say(e, "        $_affine(&at, %s, %z, %s, %z);\n", from, d->sizes[l], into, k);
        if (l + 1 == e->m->n_layers || act == BNN_IDENTITY) continue;
        bnn__emit_say(e, "        for (i = 0; i < %z; i++) ", k);
        if (p == 1)
            bnn__emit_say(e, "%s[i] = $_%s(%s[i]);\n", into, bnn__emit_op(act), into);
        else if (bnn__emit_is_relu(act))
            bnn__emit_say(e, "$_rectify(&%s[i], &%s[%z + i], %s);\n", into, into, k,
                          act == BNN_RELU ? "0" : "0.01f");
        else bnn__emit_say(e, "$_hermite($_%s, &%s[i], &%s[%z + i]);\n", bnn__emit_op(act), into,
                           into, k);
    }
    return into[0];
}

/* float m and v, mean and variance of output i of one member, from z */
static void bnn__emit_output(bnn__emit *e) {
    int scaled = e->v.net.scaling.y_mean.data != NULL;
    if (e->lik == BNN_POISSON) {
        bnn__emit_put(e, "            float m = $_exp(z[i]), v = m;\n");
        return;
    }
    bnn__emit_say(e, "            float m = z[i]%s, v = ",
                  scaled ? " * $_y_std[i] + $_y_mean[i]" : "");
    if (e->lik == BNN_GAUSSIAN_HETERO)
        bnn__emit_say(e, "$_exp($_clamp(z[%z + i])%s);\n", e->v.k, scaled ? " + $_shift[i]" : "");
    else bnn__emit_put(e, "at.b[i];\n");
}

/* One member's answer joins the sums: mean, and for numbers its spread and the noise */
static void bnn__emit_add(bnn__emit *e) {
    if (e->lik == BNN_CATEGORICAL)
        bnn__emit_say(e, "        if ($_softmax(z, z, %z)) return 2;\n", e->v.k);
    bnn__emit_say(e, "        for (i = 0; i < %z; i++) {\n", e->v.k);
    if (!bnn__emit_classes(e)) {
        bnn__emit_output(e);
        bnn__emit_put(e, "            $_real d = m;\n"
            "            if ($_bad(m)) return 2;\n"
            "            d -= sum[3 * i];\n"
            "            sum[3 * i] += d * share;\n"
            "            sum[3 * i + 1] += weight * d * (m - sum[3 * i]);\n"
            "            sum[3 * i + 2] += weight * v;\n"
            "        }\n");
        if (bnn__emit_has_noise(e)) bnn__emit_say(e, "        at.b += %z;\n", e->v.k);
        return;
    }
    if (e->lik == BNN_BERNOULLI)
        bnn__emit_put(e, "            if ($_bad(z[i])) return 2;\n"
                         "            z[i] = $_sigmoid(z[i]);\n");
    bnn__emit_say(e, "            sum[i] += (z[i] - sum[i]) * share;\n        }\n"
                     "        h += weight * $_entropy(z, %z);\n", e->v.k);
}

/* The classes' last lines: mean is there, and h the expected entropy */
static void bnn__emit_close_classes(bnn__emit *e) {
    bnn__emit_say(e, "    m = $_entropy(mean, %z);\n"
                     "    if (entropy) *entropy = m;\n", e->v.k);
    bnn__emit_put(e, "    m -= (float)h;\n    if (mutual_information) *mutual_information = "
                     "m > 0 ? m : 0;\n");
}

static void bnn__emit_close(bnn__emit *e) {
    bnn__emit_say(e, "    for (i = 0; i < %z; i++) {\n", e->v.k);
    if (bnn__emit_classes(e)) {
        bnn__emit_put(e, "        mean[i] = (float)sum[i];\n    }\n");
        bnn__emit_close_classes(e);
        return;
    }
    bnn__emit_put(e, "        mean[i] = (float)sum[3 * i];\n"
        "        if (epistemic) epistemic[i] = (float)(sum[3 * i + 1] / seen);\n"
        "        if (aleatoric) aleatoric[i] = (float)(sum[3 * i + 2] / seen);\n"
        "    }\n");
}

static void bnn__emit_close_moments(bnn__emit *e) {
    size_t k = e->v.k, c = e->v.cols;
    int scaled = e->v.net.scaling.y_mean.data != NULL;
    if (e->lik == BNN_CATEGORICAL) { /* sum: one point's probabilities */
        bnn__emit_say(e, "    for (i = 0; i < %z; i++) mean[i] = 0;\n"
                         "    for (s = 0; s < %z; s++) {\n", k, 2 * k);
        bnn__emit_say(e, "        m = z[s / 2];\n        v = sqrtf(%z * z[%z + s / 2]);\n", k, k);
        bnn__emit_put(e, "        z[s / 2] = s & 1 ? m - v : m + v;\n");
        bnn__emit_say(e, "        if ($_softmax(sum, z, %z)) return 2;\n"
                         "        z[s / 2] = m;\n", k);
        bnn__emit_say(e, "        for (i = 0; i < %z; i++) mean[i] += sum[i] / %z;\n", k, 2 * k);
        bnn__emit_say(e, "        h += $_entropy(sum, %z) / %z;\n    }\n", k, 2 * k);
        bnn__emit_close_classes(e);
        return;
    }
    bnn__emit_say(e, "    for (i = 0; i < %z; i++) {\n        m = z[i];\n"
                     "        v = z[%z + i];\n        if ($_bad(m) || $_bad(v)) return 2;\n", k, c);
    if (e->lik == BNN_BERNOULLI) {
        bnn__emit_put(e, "        for (mean[i] = 0, s = 0; s < 8; s++) {\n"
            "            float p = $_sigmoid(m + sqrtf(v) * $_points[s]);\n"
            "            mean[i] += $_masses[s] * p;\n"
            "            h += $_masses[s] * $_entropy(&p, 1);\n"
            "        }\n    }\n");
        bnn__emit_close_classes(e);
        return;
    }
    if (e->lik == BNN_POISSON) bnn__emit_put(e,
        "        mean[i] = m = $_exp(m + v / 2);\n        if (aleatoric) aleatoric[i] = m;\n"
        "        if (epistemic) epistemic[i] = m * m * $_em1(v < 88.0f ? v : 88.0f);\n");
    else bnn__emit_say(e, "        mean[i] = m%s;\n        if (epistemic) epistemic[i] = v%s;\n",
                       scaled ? " * $_y_std[i] + $_y_mean[i]" : "",
                       scaled ? " * $_y_std[i] * $_y_std[i]" : "");
    if (e->lik == BNN_GAUSSIAN_HETERO)
        bnn__emit_say(e, "        if (aleatoric) aleatoric[i] = $_exp($_clamp(z[%z + i] + z[%z + i]"
                         " / 2)%s);\n", k, c + k, scaled ? " + $_shift[i]" : "");
    else if (e->lik != BNN_POISSON)
        bnn__emit_put(e, "        if (aleatoric) aleatoric[i] = at.b[i];\n");
    bnn__emit_put(e, "    }\n");
}

static void bnn__emit_signature(bnn__emit *e) {
    bnn__emit_say(e, "int $(const float *x, float *mean, float *%s, float *%s%s)",
                  bnn__emit_classes(e) ? "entropy" : "aleatoric",
                  bnn__emit_classes(e) ? "mutual_information" : "epistemic",
                  e->d.scratch ? ", float *scratch" : "");
}

/* Arrays and counters; the layers are counted before they are written */
static void bnn__emit_declare(bnn__emit *e, const char *real) {
    size_t room[2], n = e->n, sums = e->v.k;
    char *out = e->out, z[2] = { 0, 0 };
    int classes = bnn__emit_classes(e), two = e->parts == 2, apart = e->d.exact && !two;
    e->out = NULL;
    z[0] = bnn__emit_layers(e, room);
    e->out = out, e->n = n;
    if (two && e->lik != BNN_CATEGORICAL) sums = 0;
    else if (!classes) sums *= 3;
    e->c.ram = 4 * (room[0] + room[1] + sums * (apart ? 2 : 1));
    n = room[0] + room[1];
    if (e->d.scratch)
        bnn__emit_say(e, "enum { $_scratch = %z };\n", apart ? n : n + sums);
    bnn__emit_signature(e);
    bnn__emit_put(e, " {\n    struct $_at at;\n");
    if (e->d.scratch) bnn__emit_say(e, "    float *a = scratch, *b = scratch + %z;\n", room[0]);
    else bnn__emit_say(e, "    float a[%z], b[%z];\n", room[0], room[1]);
    bnn__emit_say(e, "    float *z = %s%s;\n", z, two ? ", m, v" : classes ? ", m" : "");
    if (sums != 0 && e->d.scratch && !apart)
        bnn__emit_say(e, "    float *sum = scratch + %z;\n", n);
    else if (sums != 0) bnn__emit_say(e, "    %s sum[%z];\n", real, sums);
    if (!two) bnn__emit_say(e, "    %s seen = 0;\n", real);
    if (classes) bnn__emit_say(e, "    %s h = 0;\n", real);
    bnn__emit_say(e, "    int i%s;\n    (void)b;\n    at.b = $_b;\n    at.w = $_w;\n%s",
                  !two || classes ? ", s" : "", e->gaps ? "    at.g = $_g;\n" : "");
    if (sums != 0 && !two) bnn__emit_say(e, "    for (i = 0; i < %z; i++) sum[i] = 0;\n", sums);
}

static void bnn__emit_function(bnn__emit *e) {
    size_t room[2], s, members = 0;
    const char *real = e->d.exact && e->parts == 1 ? "double" : "float";
    for (s = 0; s < e->v.samples; s++) members += bnn__tour_weight(&e->v, s) > 0;
    bnn__emit_declare(e, real);
    bnn__emit_say(e, "    for (i = 0; i < %z; i++)\n        if ($_bad(x[i])) return 1;\n",
                  e->m->desc.sizes[0]);
    if (e->parts == 2) {
        bnn__emit_put(e, "    {\n");
    } else {
        bnn__emit_say(e, "    for (s = 0; s < %z; s++) {\n        %s share, weight = ", members,
                      real);
        if (bnn__emit_equal(e)) bnn__emit_say(e, "(%s)1 / %z;\n", real, members);
        else bnn__emit_put(e, "$_weight[s];\n");
        bnn__emit_put(e, "        seen += weight;\n        share = weight / seen;\n");
    }
    (void)bnn__emit_layers(e, room);
    if (e->parts == 1) bnn__emit_add(e);
    bnn__emit_put(e, "    }\n");
    if (e->parts == 2) bnn__emit_close_moments(e);
    else bnn__emit_close(e);
    bnn__emit_put(e, "    return 0;\n}\n");
}

/* ---- the file */

static int bnn__emit_name_ok(const char *name) {
    static const char keywords[] = " "
        "alignas alignof and and_eq asm auto bitand bitor bool break case catch char "
        "char8_t char16_t char32_t class compl concept const consteval constexpr constinit "
        "const_cast continue co_await co_return co_yield decltype default delete do double "
        "dynamic_cast else enum explicit export extern false float for friend goto if "
        "inline int long main mutable namespace new noexcept not not_eq nullptr operator or "
        "or_eq private protected public register reinterpret_cast requires restrict return "
        "short signed sizeof static static_assert static_cast struct switch template this "
        "thread_local throw true try typedef typeid typename typeof typeof_unqual union "
        "unsigned using virtual void volatile wchar_t while xor xor_eq ";
    char word[48];
    size_t i, n = strlen(name);
    if (n == 0 || n > 40 || name[0] == '_' || strstr(name, "__") != NULL) return 0;
    for (i = 0; i < n; i++)
        if (name[i] != '_' && !(name[i] >= 'a' && name[i] <= 'z') &&
            !(name[i] >= 'A' && name[i] <= 'Z') && !(i > 0 && name[i] >= '0' && name[i] <= '9'))
            return 0;
    word[0] = word[n + 1] = ' ', word[n + 2] = '\0';
    memcpy(word + 1, name, n);
    return strstr(keywords, word) == NULL;
}

/* NAME_x0_age, NAME_x1_income ...: unique by the number, whatever the rest */
static void bnn__emit_names(bnn__emit *e, const char *letter, const char *const *names, size_t n) {
    size_t i, j;
    for (i = 0; names != NULL && i < n; i++) {
        bnn__emit_put(e, i == 0 ? "enum {" : ",");
        bnn__emit_say(e, "\n    $_%s%z_", letter, i);
        for (j = 0; j < 40 && names[i][j] != '\0'; j++) {
            char c[2] = { names[i][j], '\0' };
            int word = (c[0] >= 'a' && c[0] <= 'z') || (c[0] >= 'A' && c[0] <= 'Z') ||
                       (c[0] >= '0' && c[0] <= '9');
            bnn__emit_put(e, word ? c : "_");
        }
        if (i + 1 == n) bnn__emit_put(e, "\n};\n");
    }
}

static void bnn__emit_comment(bnn__emit *e) {
    char line[BNN_MSG];
    size_t n = 0;
    bnn__emit_say(e, "/* $: written by bnn.h. C99 and C++11.\n *     ");
    bnn__emit_signature(e);
    bnn__emit_say(e, "\n * Takes %z inputs x, gives %z of mean%s. Returns 0, or 1: x has NaN or "
                  "inf,\n * or 2: an answer is beyond floats. ", e->m->desc.sizes[0], e->v.k,
                  bnn__emit_classes(e) ? "" : ", aleatoric and epistemic variance");
    bnn__emit_say(e, "Constants: %z bytes; arrays: %z bytes.\n", e->c.flash, e->c.ram);
    if (e->d.x.rows != 0) {
        bnn__put(line, &n, " * Measured on "), bnn__put_size(line, &n, e->d.x.rows);
        bnn__put(line, &n, " rows: error "), bnn__put_real(line, &n, e->c.error);
        bnn__put(line, &n, ", root mean square "), bnn__put_real(line, &n, e->c.rms);
        bnn__put(line, &n, ", other class "), bnn__put_real(line, &n, 100 * e->c.changed);
        bnn__put(line, &n, " %\n"), line[n] = '\0';
        bnn__emit_put(e, line);
    }
    bnn__emit_put(e, " */\n");
}

static void bnn__emit_constants(bnn__emit *e) {
    const bnn_scaling *s = &e->v.net.scaling;
    size_t i;
    bnn__emit_names(e, "x", e->d.inputs, e->m->desc.sizes[0]);
    bnn__emit_names(e, "y", e->d.classes, e->v.k);
    bnn__emit_stream(e, 0);
    bnn__emit_stream(e, 1);
    if (e->gaps) bnn__emit_stream(e, 2);
    bnn__emit_array(e, "x_mean", s->x_mean);
    bnn__emit_array(e, "x_std", s->x_std);
    bnn__emit_array(e, "y_mean", s->y_mean);
    bnn__emit_array(e, "y_std", s->y_std);
    if (e->lik == BNN_GAUSSIAN_HETERO && s->y_std.data != NULL) {
        bnn__emit_open(e, "float", 4, "shift");
        for (i = 0; i < e->v.k; i++)
            bnn__emit_item(e, 2 * bnn__dlog((double)s->y_std.data[i]), 0);
        bnn__emit_put(e, "\n};\n");
    }
    if (bnn__emit_equal(e)) return;
    bnn__emit_open(e, "float", 4, "weight");
    for (i = 0; i < e->v.samples; i++)
        if (bnn__tour_weight(&e->v, i) > 0)
            bnn__emit_item(e, bnn__tour_weight(&e->v, i) / e->v.total, 0);
    bnn__emit_put(e, "\n};\n");
}

static void bnn__emit_file(bnn__emit *e) {
    e->n = e->flash = 0;
    e->needs = 0;
    bnn__emit_functions(e, 0);
    bnn__emit_comment(e);
    bnn__emit_put(e, "#include <math.h>\n#include <stdint.h>\n#include <string.h>\n");
    if (e->d.exact) bnn__emit_put(e, "#if defined(__clang__)\n#pragma STDC FP_CONTRACT OFF\n"
        "#elif defined(__GNUC__) && !defined(__TINYC__)\n"
        "#pragma GCC optimize(\"fp-contract=off\")\n#endif\n");
    bnn__emit_put(e, "#ifdef __cplusplus\nextern \"C\"\n#endif\n");
    bnn__emit_signature(e);
    bnn__emit_put(e, ";\n");
    bnn__emit_constants(e);
    bnn__emit_put(e, e->d.exact && e->parts == 1 ? "typedef double $_real;\n"
                                                 : "typedef float $_real;\n");
    bnn__emit_put(e,
        "static uint32_t $_bits(float x) { uint32_t u; memcpy(&u, &x, sizeof u); return u; }\n"
        "static int $_bad(float x) { return ($_bits(x) & 0x7f800000u) == 0x7f800000u; }\n");
    if (e->needs & (BNN__EMIT_EXP | BNN__EMIT_EM1) || e->d.storage == BNN_EMIT_HALF)
        bnn__emit_put(e,
        "static float $_float(uint32_t u) { float x; memcpy(&x, &u, sizeof x); return x; }\n");
    if (e->needs & (BNN__EMIT_EXP | BNN__EMIT_EM1)) bnn__emit_exp(e);
    if (e->needs & BNN__EMIT_LOG) bnn__emit_log(e);
    if (e->needs & BNN__EMIT_ERF) bnn__emit_erf(e);
    if (e->lik == BNN_GAUSSIAN_HETERO) bnn__emit_put(e,
        "static float $_clamp(float x) { return x < -20.0f ? -20.0f : x > 20.0f ? 20.0f : x; }\n");
    bnn__emit_functions(e, 1);
    if (bnn__emit_classes(e)) bnn__emit_classes_text(e);
    if (e->parts == 2) bnn__emit_moments(e);
    bnn__emit_affine(e);
    bnn__emit_function(e);
    e->c.flash = e->flash;
}

/* ---- the error */

/* desc.x through what is written: the net with the weights that storage leaves. */
static bnn_predictive bnn__emit_measure(bnn__emit *e, bnn_arena *mem, bnn_ensemble *post) {
    const bnn_params *w = e->v.net.params;
    bnn_predictive none;
    bnn__tour v;
    size_t s, l, j, i, parts = (size_t)e->parts, rows = e->parts == 2 ? 2 : e->v.samples;
    post->samples = bnn_mat_new(mem, rows, w->n);
    memset(&none, 0, sizeof none);
    for (s = 0; s < rows && mem->err == BNN_OK; s++) {
        float *to = post->samples.data + s * w->n;
        const float *from = e->v.post != NULL ? e->v.post->samples.data + s * w->n
                            : parts == 2 && s == 1 ? e->std : e->mean;
        memcpy(to, from, w->n * sizeof(float));
        for (l = 0; l < e->m->n_layers; l++) {
            bnn_mat a = bnn__layer(w, e->m, l, 0);
            for (j = 0; j < a.cols; j++) {
                size_t at = (size_t)(a.data - w->theta) + j;
                (void)bnn__emit_round(e, e->weight, from + at, a.rows, a.cols);
                for (i = 0; i < a.rows; i++) to[at + i * a.cols] = e->weight[i];
            }
        }
    }
    if (mem->err != BNN_OK) return none;
    if (parts == 1) return bnn_predict(mem, e->v.t, &e->v.net, post, e->d.x);
    if (!bnn__tour_open(&v, e->v.t, &e->v.net, NULL, e->d.x, BNN__PREDICT_ROWS)) return none;
    bnn__moments_run(&v, mem, post->samples.data, post->samples.data + w->n);
    return v.p;
}

/* What desc.x is compared with: the net, or draws of the mean field */
static bnn_predictive bnn__emit_truth(bnn__emit *e, bnn_arena *mem, bnn_ensemble *post) {
    enum { DRAWS = 1000 };
    bnn_tape *t = e->v.t;
    bnn_rng rng = bnn_rng_seed(1);
    bnn_predictive none;
    size_t i, n = e->v.net.params->n;
    bnn_mat draws;
    if (e->parts == 1) return bnn_predict(mem, t, &e->v.net, e->v.post, e->d.x);
    memset(&none, 0, sizeof none);
    memset(post, 0, sizeof *post);
    draws = post->samples = bnn_mat_new(mem, DRAWS, n);
    post->weights = (double *)bnn_arena_alloc(mem, DRAWS, sizeof(double));
    post->count = DRAWS;
    if (mem->err != BNN_OK) return none;
    bnn_rng_fill_normal(&rng, bnn__mat_size(draws), draws.data);
    for (i = 0; i < bnn__mat_size(draws); i++)
        draws.data[i] = e->mean[i % n] + e->std[i % n] * draws.data[i];
    for (i = 0; i < DRAWS; i++) post->weights[i] = 1;
    return bnn_predict(mem, t, &e->v.net, post, e->d.x);
}

static void bnn__emit_compare(bnn__emit *e, bnn_arena *mem) {
    bnn_mark mark = bnn_arena_mark(mem);
    bnn_ensemble post;
    bnn_mat a, b;
    size_t i, size, changed = 0;
    double square = 0, one = 1;
    e->c.error = e->c.rms = e->c.changed = bnn__nan();
    if (e->d.x.rows == 0) return;
    memset(&post, 0, sizeof post);
    a = bnn__emit_truth(e, mem, &post).mean;
    post.weights = &one, post.count = 1;
    if (e->v.post != NULL) post = *e->v.post;
    b = bnn__emit_measure(e, mem, &post).mean;
    if (mem->err != BNN_OK) bnn__fail(e->v.t, mem->err, "bnn_emit_c: %s", mem->msg);
    if (e->v.t->err != BNN_OK) return;
    size = bnn__mat_size(a);
    for (e->c.error = 0, i = 0; i < size; i++) {
        double d = fabs((double)a.data[i] - (double)b.data[i]);
        if (d > e->c.error) e->c.error = d;
        if (d <= DBL_MAX) square += d * d; /* rows with gaps are NaN */
    }
    for (i = 0; i < a.rows; i++)
        changed += bnn_mat_row_argmax(a, i) != bnn_mat_row_argmax(b, i);
    e->c.rms = sqrt(square / (double)size);
    e->c.changed = (double)changed / (double)a.rows;
    bnn_arena_rewind(mem, mark);
}

/* All that can be wrong before anything is made; 0 = the tape knows what */
static int bnn__emit_begin(bnn__emit *e, bnn_tape *t, const bnn_net *net,
                           const bnn_ensemble *post) {
    size_t i = 0;
    bnn_mat x = { 1, 0, NULL };
    if (e->d.name == NULL) e->d.name = "predict";
    if (e->d.storage == 0) e->d.storage = BNN_EMIT_FLOAT;
    if (!bnn__emit_name_ok(e->d.name))
        bnn__fail(t, BNN_EARG, "bnn_emit_c: the name must be an identifier of 1 to 40 characters, "
                  "without _ in front or twice, and no keyword of C or C++");
    else if (e->d.storage < BNN_EMIT_FLOAT || e->d.storage > BNN_EMIT_INT8)
        bnn__fail(t, BNN_EARG, "bnn_emit_c: storage %d (1 to 3)", e->d.storage);
    else if (net->params != NULL && net->mlp == NULL)
        bnn__fail(t, BNN_EARG, "bnn_emit_c: only a bnn_mlp is known layer by layer");
    else if (e->d.moments != NULL && post != NULL)
        bnn__fail(t, BNN_EARG, "bnn_emit_c: moments of a mean field, or an ensemble, not both");
    if (t->err != BNN_OK || net->params == NULL)
        return bnn__tour_init(&e->v, t, net, post);
    e->m = net->mlp;
    e->lik = bnn__likelihood(net);
    e->parts = e->d.moments != NULL ? 2 : 1;
    x.cols = e->m->desc.sizes[0];
    x.data = bnn__floats(t, x.cols);
    e->weight = bnn__floats(t, bnn__mul(2, bnn__mlp_width(e->m)));
    if (t->err == BNN_OK) bnn_mat_fill(x, 0);
    if (!bnn__tour_open(&e->v, t, net, post, x, 1)) return 0;
    if (e->parts == 2) e->std = bnn__moments_std(t, "bnn_emit_c", net, e->d.moments);
    if (t->err != BNN_OK) return 0;
    e->mean = e->parts == 2 ? e->d.moments->params->theta : net->params->theta;
    e->v.view.theta = net->params->theta;
    if (e->parts == 2) memcpy(&e->v.view.theta, &e->d.moments->params->theta, sizeof(float *));
    for (; i < e->v.samples; i++)
        if (!bnn__v_finite(net->params->n, post != NULL ? bnn_mat_rows(post->samples, i, 1).data
                                                        : e->mean))
            bnn__fail(t, BNN_ENONFINITE, "bnn_emit_c: the weights of member %z are not finite", i);
    return t->err == BNN_OK;
}

BNNDEF bnn_emitted bnn_emit_c(bnn_arena *mem, bnn_tape *t, const bnn_net *net,
                              const bnn_ensemble *post, bnn_emit_desc desc) {
    bnn__emit e;
    bnn_emitted none;
    bnn__time now = bnn__now(t);
    memset(&e, 0, sizeof e);
    memset(&none, 0, sizeof none);
    e.d = desc;
    if (!bnn__emit_begin(&e, t, net, post)) {
        bnn__back_to(t, now);
        return none;
    }
    bnn__emit_compare(&e, mem);
    if (t->err == BNN_OK) bnn__emit_choose(&e);
    if (t->err == BNN_OK) bnn__emit_file(&e); /* the sizes of the constants */
    if (t->err == BNN_OK) bnn__emit_file(&e); /* and of the text that says them */
    e.c.size = e.n;
    if (t->err == BNN_OK) e.out = e.c.text = (char *)bnn_arena_alloc(mem, e.n + 1, 1);
    if (t->err == BNN_OK && e.out == NULL) bnn__fail(t, mem->err, "bnn_emit_c: %s", mem->msg);
    if (t->err == BNN_OK) bnn__emit_file(&e);
    bnn__back_to(t, now);
    return t->err == BNN_OK ? e.c : none;
}

/* ------------------------------------------------------------------------------------------------
 * >>files: CSV, IDX and checkpoints
 *
 * All parsers work on bytes in memory and trust none of them. A failed one rewinds the arena and
 * clears an error that it caused there itself, so nothing is left behind.
 * --------------------------------------------------------------------------------------------- */

typedef struct bnn__source {
    bnn_arena *mem;
    const char *name; /* for sentences: the tail of a path, or the format */
    const unsigned char *bytes;
    size_t size;
} bnn__source;

typedef int (*bnn__parser)(bnn__source s, void *out, const void *how);

static int bnn__parse(bnn_arena *mem, const char *name, const void *bytes, size_t size,
                      bnn__parser parse, void *out, const void *how) {
    bnn__source s;
    bnn_mark mark;
    int err;
    if (mem == NULL || (bytes == NULL && size != 0)) return BNN_EARG;
    if (mem->err != BNN_OK) return mem->err;
    s.mem = mem;
    s.name = name;
    s.bytes = bytes != NULL ? (const unsigned char *)bytes : (const unsigned char *)"";
    s.size = size;
    mark = bnn_arena_mark(mem);
    err = parse(s, out, how);
    if (err == BNN_OK) return BNN_OK;
    bnn_arena_rewind(mem, mark);
    mem->err = BNN_OK; /* it was clear when we began; the sentence stays */
    return err;
}

/* ------------------------------------------------------------------------------------------------
 * >>csv
 *
 * Numbers are m 10^e with an integer m of at most 19 digits; what follows only moves e. Up to 15
 * digits and |e| <= 22 both factors are doubles and the result is the nearest double. Otherwise at
 * most five factors, each with two roundings: the error stays below 5 units in the last place of a
 * double, so a float is the nearest one unless the text is that close to the middle between two.
 * --------------------------------------------------------------------------------------------- */

static double bnn__scale10(double m, int64_t e) {
    static const double power[] = { 1e1, 1e2, 1e4, 1e8, 1e16, 1e32, 1e64, 1e128, 1e256 };
    int64_t n = e < 0 ? -e : e;
    double exact = 1;
    int bit;
    if (n > 400) n = 400; /* 19 digits: already zero or infinite */
    for (bit = 8; bit >= 0; bit--) { /* the largest first: no underflow on the way to a result */
        if ((n >> bit & 1) == 0) continue;
        if (n <= 22 || bit < 4) exact *= power[bit];
        else m = e < 0 ? m / power[bit] : m * power[bit];
    }
    return e < 0 ? m / exact : m * exact;
}

static unsigned bnn__digit(const char *p, const char *end) { /* more than 9: it is none */
    return p < end ? (unsigned)(unsigned char)*p - (unsigned)'0' : 10u;
}

/* A decimal number at p; returns what follows it, or NULL if there is none. No locale, no hex. */
static const char *bnn__number(const char *p, const char *end, double *out) {
    uint64_t m = 0;
    int64_t e = 0, power = 0;
    int digits = 0, point = 0, none = 1, negative = p < end && *p == '-', down;
    const char *q;
    if (p < end && (*p == '-' || *p == '+')) p++;
    for (; p < end; p++) {
        unsigned d = bnn__digit(p, end);
        if (d > 9 && (*p != '.' || point)) break;
        point |= d > 9;
        if (d > 9) continue;
        none = 0;
        e += (digits == 19) - point;
        if (digits < 19) m = m * 10 + d;
        digits += digits < 19 && m != 0; /* leading zeros are not digits */
    }
    if (none) return NULL;
    if (p < end && (*p == 'e' || *p == 'E')) { /* not part of the number if no digit follows */
        q = p + 1;
        down = q < end && *q == '-';
        if (q < end && (*q == '-' || *q == '+')) q++;
        for (; bnn__digit(q, end) <= 9; p = ++q)
            if (power >> 50 == 0) power = power * 10 + (int64_t)bnn__digit(q, end);
        e += down ? -power : power;
    }
    *out = m == 0 ? 0 : bnn__scale10((double)m, e);
    if (negative) *out = -*out;
    return p;
}

typedef struct bnn__csv {
    bnn_arena *mem;
    const char *name, *p, *end;   /* of the source; the bytes not read yet           */
    const char *field;            /* the field at hand, without blanks and quotes    */
    size_t length, column, line;  /* its bytes; its place, from 1                    */
    size_t lines;                 /* line of p                                       */
    int quoted, last;             /* it was in quotes; it ends its row               */
    char sep;
    size_t rows, cols, head;      /* of all; bytes up to the end of the first row    */
    int kinds;                    /* of fields in the first row, a bit for each      */
    const bnn_csv_desc *desc;
} bnn__csv;

/* No control characters, whole UTF-8 */
static const char *bnn__excerpt(char to[32], const char *s, size_t n) {
    size_t i, keep = n <= 24 ? n : 24;
    while (keep < n && keep > 0 && ((unsigned char)s[keep] & 0xc0) == 0x80) keep--;
    for (i = 0; i < keep; i++) to[i] = (unsigned char)s[i] < 32 || s[i] == 127 ? ' ' : s[i];
    memcpy(to + keep, n > keep ? "..." : "", n > keep ? 4 : 1);
    return to;
}

static int bnn__csv_fail(const bnn__csv *c, const char *what) {
    char field[32];
    (void)bnn__excerpt(field, c->field, c->length);
    return bnn__arena_say(c->mem, BNN_EFORMAT, "%s: line %z, column %z: \"%s\" %s", c->name,
                         c->line, c->column, field, what);
}

static int bnn__csv_blank(const bnn__csv *c, char b) {
    return b == ' ' || (b == '\t' && c->sep != '\t');
}

static const char *bnn__csv_skip_blanks(const bnn__csv *c, const char *p) {
    while (p < c->end && bnn__csv_blank(c, *p)) p++;
    return p;
}

static int bnn__newline(const char *p, const char *end) { /* bytes of a LF, CR or CRLF at p */
    if (p == end || (*p != '\n' && *p != '\r')) return 0;
    return *p == '\r' && end - p > 1 && p[1] == '\n' ? 2 : 1;
}

/* p is behind a field: the separator, the end of the line or the end of everything. */
static int bnn__csv_close(bnn__csv *c, const char *p) {
    const char *q = bnn__csv_skip_blanks(c, p);
    int newline = bnn__newline(q, c->end);
    c->last = q == c->end || newline != 0;
    c->lines += newline != 0;
    c->p = q + newline;
    if (c->last) return BNN_OK;
    if (c->sep == ' ' ? q == p : *q != c->sep)
        return bnn__csv_fail(c, "is followed by something behind its quote");
    c->p += c->sep != ' ';
    return BNN_OK;
}

/* Quotes hide separators and line ends; a doubled quote stands for one. */
static int bnn__csv_quoted(bnn__csv *c, const char *p) {
    for (c->field = ++p; p < c->end; p++) {
        c->length = (size_t)(p - c->field);
        c->lines += bnn__newline(p, c->end) == 1;
        if (*p != '"') continue;
        if (c->end - p == 1 || p[1] != '"') return bnn__csv_close(c, p + 1);
        p++;
    }
    c->length = (size_t)(p - c->field);
    return bnn__csv_fail(c, "has no closing quote");
}

static int bnn__csv_field(bnn__csv *c) {
    const char *p = bnn__csv_skip_blanks(c, c->p), *stop;
    c->column++;
    c->line = c->lines;
    c->quoted = p < c->end && *p == '"';
    if (c->quoted) return bnn__csv_quoted(c, p);
    c->field = p;
    for (; p < c->end && *p != '\n' && *p != '\r'; p++)
        if (*p == c->sep || (c->sep == ' ' && *p == '\t')) break;
    for (stop = p; stop > c->field && bnn__csv_blank(c, stop[-1]);) stop--;
    c->length = (size_t)(stop - c->field);
    return bnn__csv_close(c, p);
}

/* To the next line that is not blank; 0 = there is none. */
static int bnn__csv_row(bnn__csv *c) {
    const char *p;
    int newline;
    c->column = 0;
    while ((newline = bnn__newline(p = bnn__csv_skip_blanks(c, c->p), c->end)) != 0) {
        c->p = p + newline;
        c->lines++;
    }
    return p != c->end;
}

static int bnn__word_is(const char *s, size_t n, const char *word) { /* word in lower case */
    size_t i;
    for (i = 0; i < n && word[i] != '\0'; i++)
        if ((s[i] | 32) != word[i]) return 0;
    return i == n && word[i] == '\0';
}

enum { BNN__NUMBER = 1, BNN__MISSING = 2, BNN__INFINITE = 4, BNN__WORD = 8 };

/* A number as people write it, with marks of their own and in percent. 1 = it is one */
static int bnn__text_number(const char *s, size_t n, char decimal, char thousands, double *out) {
    char plain[64];
    const char *end;
    size_t i, k = 0;
    int percent = n > 1 && s[n - 1] == '%', point = 0;
    n -= (size_t)percent;
    while (percent && n > 1 && s[n - 1] == ' ') n--;
    end = s + n;
    if (decimal != ',' && thousands == '\0') { /* of any length */
        if (n == 0 || bnn__number(s, end, out) != end) return 0;
    } else {
        for (i = 0; i < n; i++) {
            char c = s[i];
            if (c == thousands) { /* a digit before, three behind, in front of the point */
                int groups = i > 0 && bnn__digit(s + i - 1, end) <= 9 && n - i > 3;
                for (; groups > 0 && groups < 4; groups++)
                    if (bnn__digit(s + i + groups, end) > 9) groups = -1;
                if (groups <= 0 || point || bnn__digit(s + i + (n - i > 4 ? 4 : 0), end) <= 9)
                    return 0;
                continue;
            }
            if (decimal == ',' && c == '.') return 0;
            if (decimal == ',' && c == ',') c = '.';
            point |= c == '.';
            if (k == sizeof plain) return 0;
            plain[k++] = c;
        }
        if (k == 0 || bnn__number(plain, plain + k, out) != plain + k) return 0;
    }
    if (percent) *out /= 100;
    return 1;
}

static int bnn__text_value(const char *s, size_t n, const bnn_csv_desc *d, double *value) {
    static const char missing[][6] = { "", "?", "-", "na", "n/a", "#n/a", "null", "none", "nan" };
    size_t i;
    if (bnn__text_number(s, n, d->decimal, d->thousands, value))
        return bnn__finite((float)*value) ? BNN__NUMBER : BNN__INFINITE;
    *value = bnn__nan();
    for (i = 0; i < sizeof missing / sizeof *missing; i++)
        if (bnn__word_is(s, n, missing[i])) return BNN__MISSING;
    if (*s == '-' || *s == '+') s++, n--;
    if (bnn__word_is(s, n, "nan")) return BNN__MISSING;
    if (bnn__word_is(s, n, "inf") || bnn__word_is(s, n, "infinity")) return BNN__INFINITE;
    return BNN__WORD;
}

static int bnn__csv_value(const bnn__csv *c, float *value) {
    double d = 0;
    int kind = bnn__text_value(c->field, c->length, c->desc, &d);
    *value = (float)d;
    return kind;
}

static int bnn__number_marks(const char *s, size_t n) { /* 1, 2: a number with other marks */
    double d;
    return bnn__text_number(s, n, '.', ',', &d) ? 2 : bnn__text_number(s, n, ',', '.', &d);
}

/* What is wrong with a word among numbers */
static const char *bnn__number_hint(const char *s, size_t n) {
    int marks = bnn__number_marks(s, n);
    return marks == 2 ? "is not a number: say .thousands = ',' (or .decimal = ',')"
           : marks == 1 ? "is not a number: say .decimal = ','" : "is not a number";
}

/* The most frequent of , ; and tab in the first line, outside quotes; comma if there is none */
static char bnn__csv_separator(const char *p, const char *end, char decimal) {
    static const char which[] = ",;\t";
    size_t count[3] = { 0, 0, 0 };
    int quoted = 0, best = 0, i;
    for (; p < end && (quoted || (*p != '\n' && *p != '\r')); p++) {
        quoted ^= *p == '"';
        for (i = 0; i < 3; i++) count[i] += !quoted && *p == which[i] && *p != decimal;
    }
    for (i = 1; i < 3; i++)
        if (count[i] > count[best]) best = i;
    return which[best];
}

/* First pass: every row has `cols` fields, or a sentence says which has not. */
static int bnn__csv_count(bnn__csv *c) {
    const char *top = c->p;
    size_t first = 0;
    float ignored;
    while (bnn__csv_row(c)) {
        size_t line = c->lines;
        for (c->last = 0; !c->last;) {
            int err = bnn__csv_field(c);
            if (err != BNN_OK) return err;
            if (c->rows == 0) c->kinds |= bnn__csv_value(c, &ignored);
        }
        if (c->rows++ == 0) {
            c->cols = c->column;
            c->head = (size_t)(c->p - top);
            first = line;
        }
        if (c->column != c->cols)
            return bnn__arena_say(c->mem, BNN_EFORMAT, "%s: line %z has %z columns, line %z has %z",
                                  c->name, line, c->column, first, c->cols);
    }
    return BNN_OK;
}

/* The field and a zero; returns what is behind them */
static char *bnn__csv_copy(const bnn__csv *c, char *to) {
    size_t j;
    for (j = 0; j < c->length; j++) {
        *to++ = c->field[j];
        if (c->quoted && c->field[j] == '"') j++; /* doubled */
    }
    *to++ = '\0';
    return to;
}

/* The header's fields, behind the array of pointers to them */
static int bnn__csv_names(bnn__csv *c, char ***names) {
    char *to;
    size_t i;
    *names = (char **)bnn__arena_take(c->mem, c->cols, sizeof **names);
    to = (char *)bnn__arena_take(c->mem, c->head + c->cols, 1);
    if (to == NULL) return BNN_ENOMEM;
    (void)bnn__csv_row(c);
    for (i = 0; i < c->cols; i++) {
        (void)bnn__csv_field(c);
        (*names)[i] = to;
        to = bnn__csv_copy(c, to);
    }
    return BNN_OK;
}

static int bnn__csv_fill(bnn__csv *c, bnn_csv *out, int reject_missing) {
    size_t i, n = out->values.rows * out->values.cols;
    for (i = 0; i < n; i++) {
        int kind;
        if (i % out->values.cols == 0) (void)bnn__csv_row(c);
        (void)bnn__csv_field(c); /* its errors were found in the first pass */
        kind = bnn__csv_value(c, &out->values.data[i]);
        if (kind == BNN__INFINITE) return bnn__csv_fail(c, "is not finite as a float");
        if (kind == BNN__WORD)
            return bnn__csv_fail(c, bnn__number_hint(c->field, c->length));
        out->missing += kind == BNN__MISSING;
        if (out->missing != 0 && reject_missing) return bnn__csv_fail(c, "is missing");
    }
    return BNN_OK;
}

/* To the first line that is not empty */
static int bnn__csv_open(bnn__csv *c, bnn__source s, const bnn_csv_desc *desc) {
    const void *nul = memchr(s.bytes, 0, s.size);
    char sep = desc->separator;
    int newline;
    if ((sep != '\0' && strchr("\"\n\r.+-", sep) != NULL) || (sep >= '0' && sep <= '9') ||
        ((sep | 32) >= 'a' && (sep | 32) <= 'z'))
        return bnn__arena_say(s.mem, BNN_EARG, "%s: this separator can be part of a field", s.name);
    if (nul != NULL)
        return bnn__arena_say(s.mem, BNN_EFORMAT, "%s: byte %z is zero: not a text file", s.name,
                              (size_t)((const unsigned char *)nul - s.bytes));
    memset(c, 0, sizeof *c);
    c->mem = s.mem;
    c->name = s.name;
    c->p = (const char *)s.bytes;
    c->end = c->p + s.size;
    c->lines = 1;
    c->desc = desc;
    if (s.size >= 3 && memcmp(c->p, "\xef\xbb\xbf", 3) == 0) c->p += 3; /* byte order mark */
    for (; (newline = bnn__newline(c->p, c->end)) != 0; c->lines++) c->p += newline;
    c->sep = sep != '\0' ? sep : bnn__csv_separator(c->p, c->end, desc->decimal);
    return BNN_OK;
}

/* To the first row, with what the first pass found; header: that row is names */
static int bnn__csv_begin(bnn__csv *c, bnn__source s, const bnn_csv_desc *desc, int *header) {
    const char *top;
    size_t line;
    int err = bnn__csv_open(c, s, desc);
    if (err != BNN_OK) return err;
    top = c->p;
    line = c->lines;
    if ((err = bnn__csv_count(c)) != BNN_OK) return err;
    *header = desc->header > 0 || (desc->header == 0 && (c->kinds & BNN__WORD) != 0);
    if (desc->header == 0 && *header && (c->kinds & (BNN__NUMBER | BNN__INFINITE)) != 0)
        return bnn__arena_say(s.mem, BNN_EFORMAT, "%s: the first row has numbers and words: say "
                              ".header = 1 if it is names, -1 if it is data", s.name);
    if (c->rows <= (size_t)*header)
        return bnn__arena_say(s.mem, BNN_EFORMAT, "%s: %s", s.name,
                              c->rows == 0 ? "is empty" : "has a header and no rows");
    c->p = top;
    c->lines = line;
    return BNN_OK;
}

static int bnn__csv_parse(bnn__source s, void *out, const void *how) {
    const bnn_csv_desc *desc = (const bnn_csv_desc *)how;
    bnn__csv c;
    bnn_csv r;
    int header = 0, err;
    if (out == NULL) return BNN_EARG;
    memset(&r, 0, sizeof r);
    if ((err = bnn__csv_begin(&c, s, desc, &header)) != BNN_OK) return err;
    r.values = bnn_mat_new(s.mem, c.rows - (size_t)header, c.cols);
    if (r.values.data == NULL) return BNN_ENOMEM;
    if (header && (err = bnn__csv_names(&c, &r.names)) != BNN_OK) return err;
    err = bnn__csv_fill(&c, &r, desc->reject_missing);
    if (err == BNN_OK) *(bnn_csv *)out = r;
    return err;
}

BNNDEF int bnn_csv_parse(bnn_arena *mem, bnn_csv *out, const char *text, size_t size,
                         bnn_csv_desc desc) {
    return bnn__parse(mem, "csv", text, size, bnn__csv_parse, out, &desc);
}

/* ------------------------------------------------------------------------------------------------
 * >>table  Text to numbers and back. A column's kind is what all its fields can be read as; dates
 * are counted by the proleptic Gregorian calendar (Hinnant, "chrono-compatible low-level date
 * algorithms").
 * --------------------------------------------------------------------------------------------- */

static int bnn__yesno(const char *s) { /* 1, 0, or -1: neither */
    static const char words[][6] = { "no", "n", "false", "f", "off",
                                     "yes", "y", "true", "t", "on" };
    int i;
    for (i = 0; i < 10; i++)
        if (bnn__word_is(s, strlen(s), words[i])) return i >= 5;
    return -1;
}

static int bnn__days(int y, int m, int d, double *days) { /* since 1970-01-01; 0 = no such day */
    static const char length[] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    int leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0, era, year;
    if (y < 1 || m < 1 || m > 12 || d < 1 || d > length[m - 1] || (m == 2 && d == 29 && !leap))
        return 0;
    y -= m <= 2; /* years begin in March */
    era = y / 400;
    year = y - era * 400;
    d += (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 - 1;
    *days = era * 146097.0 + (year * 365 + year / 4 - year / 100 + d) - 719468;
    return 1;
}

static int bnn__clock(const char *s, double *day) { /* nothing, or [T ]hh:mm[:ss[.s]][Z] */
    const char *end = s + strlen(s);
    double part[3] = { 0, 0, 0 };
    int i;
    *day = 0;
    if (s == end) return 1;
    if (*s != 'T' && *s != ' ') return 0;
    for (i = 0; i < 3 && (i == 0 || *s == ':'); i++) {
        if (bnn__digit(s + 1, end) > 9) return 0;
        s = bnn__number(s + 1, end, &part[i]);
    }
    if (*s == 'Z') s++;
    *day = (part[0] + (part[1] + part[2] / 60) / 60) / 24;
    return i >= 2 && s == end && part[0] < 25 && part[1] < 60 && part[2] < 61;
}

/* Bit 1: it is a date with the day first, bit 2: with the month; of year-month-day both are set. */
static int bnn__date(const char *s, double *day_first, double *month_first) {
    int v[3] = { 0, 0, 0 }, n[3] = { 0, 0, 0 }, i, which;
    const char *end = s + strlen(s);
    double time;
    char mark = '\0';
    for (i = 0; i < 3; i++) {
        for (; n[i] < 5 && bnn__digit(s, end) <= 9; n[i]++)
            v[i] = v[i] * 10 + (int)bnn__digit(s++, end);
        if (n[i] == 0 || n[i] > 4 || (i == 1 && n[i] > 2)) return 0;
        if (i == 0) mark = *s;
        if (i < 2 && ((mark != '-' && mark != '/' && mark != '.') || *s++ != mark)) return 0;
    }
    if ((n[0] == 4) == (n[2] == 4) || n[0] == 3 || n[2] == 3 || !bnn__clock(s, &time)) return 0;
    if (n[0] == 4) {
        which = bnn__days(v[0], v[1], v[2], day_first) ? 3 : 0;
        if (which != 0) *month_first = *day_first;
    } else which = bnn__days(v[2], v[1], v[0], day_first) |
                   bnn__days(v[2], v[0], v[1], month_first) << 1;
    if (which & 1) *day_first += time;
    if (which & 2) *month_first += time;
    return which;
}

static int bnn__cell_value(const bnn_table *t, const char *s, double *v) {
    return bnn__text_value(s, strlen(s), &t->desc, v);
}

static void bnn__column_look(const bnn_table *t, bnn_column *c) { /* what all its fields are */
    size_t i, there, numbers = 0, words = 0, yesno = 0, dates = 0;
    int orders = 3, either = 0;
    for (c->missing = 0, i = 0; i < t->rows; i++) {
        const char *s = c->cells[i];
        double day = 0, month = 0;
        int kind = bnn__cell_value(t, s, &day), order = bnn__date(s, &day, &month);
        c->missing += kind == BNN__MISSING;
        if (kind == BNN__MISSING) continue;
        numbers += kind == BNN__NUMBER;
        yesno += bnn__yesno(s) >= 0;
        dates += order != 0;
        words += kind == BNN__WORD && order == 0 && bnn__number_marks(s, strlen(s)) == 0;
        if (order == 0) continue;
        orders &= order;
        either |= order == 3 && (day < month || day > month);
    }
    there = t->rows - c->missing;
    c->dates = orders == 3 && !either ? BNN_DATE_DAY_FIRST : orders; /* 3: in either order */
    c->kind = there == 0 ? 0 : numbers == there ? BNN_COLUMN_NUMBER
              : yesno == there ? BNN_COLUMN_YESNO
              : dates == there && (c->dates == 1 || c->dates == 2) ? BNN_COLUMN_DATE
              : words == there ? BNN_COLUMN_CLASS : 0;
}

/* The header's names, or numbers; no row yet */
static int bnn__table_columns(bnn__csv *c, bnn_table *t, int header) {
    char **names = NULL;
    size_t i;
    t->columns = (bnn_column *)bnn_arena_alloc(c->mem, c->cols, sizeof *t->columns);
    if (t->columns == NULL) return BNN_ENOMEM;
    if (header && bnn__csv_names(c, &names) != BNN_OK) return BNN_ENOMEM;
    for (i = 0; i < c->cols; i++) {
        bnn_column *to = &t->columns[i];
        size_t n = 0;
        to->cells = (char **)bnn__arena_take(c->mem, t->rows, sizeof *to->cells);
        to->name = names != NULL ? names[i] : (char *)bnn_arena_alloc(c->mem, 24, 1);
        if (to->cells == NULL || to->name == NULL) return BNN_ENOMEM;
        if (names == NULL) bnn__put_size(to->name, &n, i + 1);
    }
    return BNN_OK;
}

static int bnn__table_parse(bnn__source s, void *out, const void *how) {
    bnn__csv c;
    bnn_table t;
    size_t i, j;
    char *to;
    int header = 0, err;
    if (out == NULL) return BNN_EARG;
    memset(&t, 0, sizeof t);
    t.desc = *(const bnn_csv_desc *)how;
    if ((err = bnn__csv_begin(&c, s, &t.desc, &header)) != BNN_OK) return err;
    t.desc.separator = c.sep;
    for (i = 0; i + 1 < sizeof t.file && s.name[i] != '\0'; i++) t.file[i] = s.name[i];
    t.rows = c.rows - (size_t)header;
    t.cols = c.cols;
    if (bnn__table_columns(&c, &t, header) != BNN_OK) return BNN_ENOMEM;
    t.lines = (size_t *)bnn__arena_take(s.mem, t.rows, sizeof *t.lines);
    to = (char *)bnn__arena_take(s.mem, (size_t)(c.end - c.p) + t.rows * t.cols, 1);
    if (to == NULL) return BNN_ENOMEM;
    for (i = 0; i < t.rows; i++) {
        (void)bnn__csv_row(&c);
        t.lines[i] = c.lines;
        for (j = 0; j < t.cols; j++) {
            double ignored;
            (void)bnn__csv_field(&c); /* its errors were found in the first pass */
            t.columns[j].cells[i] = to;
            to = bnn__csv_copy(&c, to);
            if (t.desc.reject_missing &&
                bnn__cell_value(&t, t.columns[j].cells[i], &ignored) == BNN__MISSING)
                return bnn__csv_fail(&c, "is missing");
        }
    }
    for (j = 0; j < t.cols; j++) bnn__column_look(&t, &t.columns[j]);
    *(bnn_table *)out = t;
    return BNN_OK;
}

BNNDEF int bnn_table_parse(bnn_arena *mem, bnn_table *out, const char *text, size_t size,
                           bnn_csv_desc desc) {
    return bnn__parse(mem, "table", text, size, bnn__table_parse, out, &desc);
}

/* ---- columns made, and the way out */

static void bnn__put_digits(char *to, uint64_t m, int digits, int e) { /* m of so many digits */
    char d[24];
    int i, n = digits, point = e >= 0 && e < 15 ? e + 1 : 1;
    for (i = n; i > 0; m /= 10) d[--i] = (char)('0' + (int)(m % 10));
    for (; n < point; n++) d[n] = '0';
    if (e < 0 && e >= -4) { /* 0.000123 */
        *to++ = '0', *to++ = '.';
        for (i = -1; i > e; i--) *to++ = '0';
        point = n;
    }
    for (i = 0; i < n; i++) {
        if (i == point) *to++ = '.';
        *to++ = d[i];
    }
    if (e < -4 || e >= 15) {
        *to++ = 'e';
        if (e < 0) *to++ = '-';
        e = e < 0 ? -e : e;
        if (e >= 100) *to++ = (char)('0' + e / 100);
        if (e >= 10) *to++ = (char)('0' + e / 10 % 10);
        *to++ = (char)('0' + e % 10);
    }
    *to = '\0';
}

/* As few digits as read back to the same float. 40 bytes at most */
static void bnn__real_text(char *to, float value) {
    double v = (double)value, size = v < 0 ? -v : v, power = 0, back = 0;
    int digits;
    if (!bnn__finite_d(v)) {
        memcpy(to, bnn__is_nan(v) ? "" : v < 0 ? "-inf" : "inf", bnn__is_nan(v) ? 1 : 4);
        to[4] = '\0';
        return;
    }
    if (v < 0) *to++ = '-';
    if (size > 0) power = floor(log10(size));
    for (digits = 1; digits <= 17; digits++) {
        uint64_t m, top = 1;
        int i, at = (int)power;
        for (i = 0; i < digits; i++) top *= 10;
        m = (uint64_t)(bnn__scale10(size, digits - 1 - at) + 0.5);
        if (m >= top) m = (m + 5) / 10, at++;
        bnn__put_digits(to, m, digits, at);
        (void)bnn__number(to, to + strlen(to), &back);
        if ((float)back == (float)size) return;
    }
}

static char *bnn__keep(bnn_arena *mem, const char *s) { /* a copy */
    char *to = (char *)bnn__arena_take(mem, strlen(s) + 1, 1);
    if (to != NULL) memcpy(to, s, strlen(s) + 1);
    return to;
}

BNNDEF void bnn_table_add_text(bnn_arena *mem, bnn_table *t, const char *name, char **cells) {
    bnn_column *columns =
        (bnn_column *)bnn_arena_alloc(mem, t->cols + 1, sizeof *columns), *c;
    if (columns == NULL) return;
    if (t->cols != 0) memcpy(columns, t->columns, t->cols * sizeof *columns);
    c = &columns[t->cols];
    c->name = bnn__keep(mem, name);
    c->cells = cells;
    if (c->name == NULL) return;
    bnn__column_look(t, c);
    t->columns = columns;
    t->cols++;
}

BNNDEF void bnn_table_add(bnn_arena *mem, bnn_table *t, const char *name, bnn_mat m, size_t col) {
    char **cells;
    size_t i;
    if (mem->err != BNN_OK) return;
    if (col >= m.cols || (t->cols != 0 && m.rows != t->rows) || m.data == NULL) {
        bnn__arena_fail(mem, BNN_ESHAPE, "bnn_table_add: column %z of %zx%z to a table of %z rows",
                        col, m.rows, m.cols, t->rows);
        return;
    }
    cells = (char **)bnn__arena_take(mem, m.rows, sizeof *cells);
    for (i = 0; i < m.rows; i++) {
        char text[48], *point;
        bnn__real_text(text, m.data[i * m.cols + col]);
        point = t->desc.decimal == ',' ? strchr(text, '.') : NULL;
        if (point != NULL) *point = ',';
        if (cells == NULL || (cells[i] = bnn__keep(mem, text)) == NULL) return;
    }
    t->rows = m.rows;
    bnn_table_add_text(mem, t, name, cells);
}

/* A field in quotes if it needs them; to NULL = only count. Returns its bytes. */
static size_t bnn__field_write(char *to, const char *s, char sep) {
    size_t n = 0, i, length = strlen(s);
    int quote = length != 0 && (s[0] == ' ' || s[length - 1] == ' ' || strchr(s, sep) != NULL ||
                                strpbrk(s, "\"\r\n\t") != NULL);
    n += (size_t)quote;
    for (i = 0; i < length; i++) {
        if (to != NULL) to[n] = s[i];
        n++;
        if (s[i] != '"') continue;
        if (to != NULL) to[n] = '"';
        n++;
    }
    if (!quote) return n;
    if (to != NULL) to[0] = to[n] = '"';
    return n + 1;
}

static size_t bnn__table_text(const bnn_table *t, char *to) { /* to NULL = only count */
    char sep = t->desc.separator != '\0' && t->desc.separator != ' ' ? t->desc.separator : ',';
    size_t i, j, n = 0;
    for (i = 0; i <= t->rows; i++)
        for (j = 0; j < t->cols; j++) {
            const char *s = i == 0 ? t->columns[j].name : t->columns[j].cells[i - 1];
            if (t->cols == 1 && *s == '\0') s = "NA"; /* a blank line would be no row */
            n += bnn__field_write(to != NULL ? to + n : NULL, s, sep);
            if (to != NULL) to[n] = j + 1 < t->cols ? sep : '\n';
            n++;
        }
    return n;
}

static int bnn__table_write(bnn_arena *mem, const void *object, const char *name, void **bytes,
                            size_t *size) {
    const bnn_table *t = (const bnn_table *)object;
    if (mem == NULL || t == NULL || bytes == NULL || size == NULL) return BNN_EARG;
    if (mem->err != BNN_OK) return mem->err;
    if (t->cols == 0) return bnn__arena_say(mem, BNN_EARG, "%s: a table without columns", name);
    *size = bnn__table_text(t, NULL);
    *bytes = bnn__arena_take(mem, *size, 1);
    mem->err = BNN_OK; /* no memory here is no error of the arena */
    if (*bytes == NULL) return BNN_ENOMEM;
    (void)bnn__table_text(t, (char *)*bytes);
    return BNN_OK;
}

BNNDEF int bnn_table_write(bnn_arena *mem, const bnn_table *t, void **bytes, size_t *size) {
    return bnn__table_write(mem, t, "table", bytes, size);
}

/* ---- recipes */

static int bnn__list_next(const char **at, const char **item, size_t *n) { /* 0 = no more */
    const char *p = *at;
    if (p == NULL || *p == '\0') return 0;
    while (*p == ' ' || *p == ',') p++;
    *item = p;
    while (*p != '\0' && *p != ',') p++;
    *at = p;
    for (*n = (size_t)(p - *item); *n > 0 && (*item)[*n - 1] == ' ';) --*n;
    return *n > 0;
}

static size_t bnn__table_find(const bnn_table *t, const char *name, size_t n) {
    double number;
    size_t i;
    for (i = 0; i < t->cols; i++)
        if (strlen(t->columns[i].name) == n && memcmp(t->columns[i].name, name, n) == 0) return i;
    if (bnn__digit(name, name + n) > 9 || bnn__number(name, name + n, &number) != name + n)
        return BNN__NONE;
    return number >= 1 && number <= (double)t->cols ? (size_t)number - 1 : BNN__NONE;
}

static size_t bnn__table_column(bnn_arena *mem, const bnn_table *t, const char *name, size_t n) {
    size_t c = bnn__table_find(t, name, n);
    char text[32];
    if (c == BNN__NONE)
        bnn__arena_fail(mem, BNN_EARG, "%s: there is no column \"%s\"", t->file,
                        bnn__excerpt(text, name, n));
    return c;
}

static void bnn__cell_fail(bnn_arena *mem, const bnn_table *t, size_t row, size_t c,
                           const char *what) {
    char name[32], cell[32];
    const bnn_column *at = &t->columns[c];
    bnn__excerpt(name, at->name, strlen(at->name));
    bnn__excerpt(cell, at->cells[row], strlen(at->cells[row]));
    bnn__arena_fail(mem, BNN_EFORMAT, "%s: line %z, column %z (%s): \"%s\" %s", t->file,
                    t->lines != NULL ? t->lines[row] : row + 2, c + 1, name, cell, what);
}

static void bnn__column_fail(bnn_arena *mem, const bnn_table *t, size_t c, const char *what) {
    char name[32];
    bnn__excerpt(name, t->columns[c].name, strlen(t->columns[c].name));
    bnn__arena_fail(mem, BNN_EARG, "%s: column %z (%s) %s", t->file, c + 1, name, what);
}

/* Why a column has no kind: its first field that is no number */
static void bnn__column_unclear(bnn_arena *mem, const bnn_table *t, size_t c) {
    const bnn_column *at = &t->columns[c];
    double v, w;
    size_t i;
    if (at->missing == t->rows) {
        bnn__column_fail(mem, t, c, "has no values: put it into .skip");
        return;
    }
    for (i = 0; i < t->rows; i++) {
        int kind = bnn__cell_value(t, at->cells[i], &v);
        const char *hint = bnn__number_hint(at->cells[i], strlen(at->cells[i]));
        if (kind == BNN__MISSING || kind == BNN__NUMBER) continue;
        if (bnn__date(at->cells[i], &v, &w) == 3 && at->dates == 3)
            hint = "is a day and a month in either order: say .date_order, or .skip it";
        else if (kind == BNN__INFINITE) hint = "is not finite as a float";
        else if (bnn__number_marks(at->cells[i], strlen(at->cells[i])) == 0)
            hint = "is none of what others are: mend it, or put it into .classes";
        if (kind == BNN__WORD || kind == BNN__INFINITE) bnn__cell_fail(mem, t, i, c, hint);
        return;
    }
}

/* Where a class is, or would be */
static size_t bnn__class_at(const bnn_feature *f, const char *s, int *found) {
    size_t low = 0, high = f->n_classes;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (strcmp(f->classes[mid], s) < 0) low = mid + 1;
        else high = mid;
    }
    *found = low < f->n_classes && strcmp(f->classes[low], s) == 0;
    return low;
}

static void bnn__classes_collect(bnn_arena *mem, bnn_feature *f, const bnn_table *t, size_t c,
                                 size_t most) {
    const bnn_column *from = &t->columns[c];
    size_t i, k;
    double ignored;
    int found;
    f->classes = (char **)bnn__arena_take(mem, most + 1, sizeof *f->classes);
    for (i = 0; i < t->rows && mem->err == BNN_OK; i++) {
        if (bnn__cell_value(t, from->cells[i], &ignored) == BNN__MISSING) continue;
        k = bnn__class_at(f, from->cells[i], &found);
        if (found) continue;
        if (f->n_classes == most) {
            bnn__column_fail(mem, t, c, "has too many classes: .skip it, or raise .max_classes");
            return;
        }
        memmove(f->classes + k + 1, f->classes + k, (f->n_classes++ - k) * sizeof *f->classes);
        f->classes[k] = bnn__keep(mem, from->cells[i]);
    }
}

static void bnn__yesno_collect(bnn_arena *mem, bnn_feature *f, const bnn_column *from,
                               size_t rows) {
    size_t i, k;
    f->classes = (char **)bnn_arena_alloc(mem, 2, sizeof *f->classes);
    f->n_classes = 2;
    if (f->classes == NULL) return;
    for (i = 0; i < rows; i++) {
        int yes = bnn__yesno(from->cells[i]);
        if (yes >= 0 && f->classes[yes] == NULL) f->classes[yes] = bnn__keep(mem, from->cells[i]);
    }
    for (k = 0; k < 2; k++)
        if (f->classes[k] == NULL) f->classes[k] = bnn__keep(mem, k == 0 ? "no" : "yes");
}

/* The number that a field stands for; of a class its index. BNN__NUMBER, MISSING or WORD */
static int bnn__feature_value(const bnn_feature *f, const bnn_table *t, const char *s, double *v) {
    double day = 0, month = 0;
    size_t class_;
    int kind = bnn__cell_value(t, s, v), found;
    if (kind == BNN__MISSING) return kind;
    switch (f->kind) {
    case BNN_COLUMN_NUMBER: return kind == BNN__NUMBER ? kind : BNN__WORD;
    case BNN_COLUMN_CLASS: class_ = bnn__class_at(f, s, &found), *v = (double)class_; break;
    case BNN_COLUMN_YESNO: *v = bnn__yesno(s), found = *v >= 0; break;
    default:
        found = (bnn__date(s, &day, &month) & f->dates) != 0;
        *v = f->dates == BNN_DATE_DAY_FIRST ? day : month;
    }
    return found ? BNN__NUMBER : BNN__WORD;
}

static void bnn__feature_mean(bnn_arena *mem, bnn_feature *f, const bnn_table *t, size_t c) {
    double *sum = (double *)bnn_arena_alloc(mem, f->width, sizeof *sum), v;
    size_t i, n = 0;
    f->mean = (float *)bnn_arena_alloc(mem, f->width, sizeof *f->mean);
    if (f->mean == NULL) return;
    for (i = 0; i < t->rows; i++) {
        if (bnn__feature_value(f, t, t->columns[c].cells[i], &v) != BNN__NUMBER) continue;
        if (f->kind == BNN_COLUMN_CLASS) sum[(size_t)v] += 1;
        else sum[0] += v;
        n++;
    }
    for (i = 0; i < f->width && n != 0; i++) f->mean[i] = (float)(sum[i] / (double)n);
}

static void bnn__feature_new(bnn_arena *mem, bnn_feature *f, const bnn_table *t, size_t c,
                             int as_class, const bnn_recipe_desc *d) {
    const bnn_column *from = &t->columns[c];
    if (mem->err != BNN_OK) return;
    f->name = bnn__keep(mem, from->name);
    f->kind = as_class && from->missing < t->rows ? BNN_COLUMN_CLASS : from->kind;
    f->dates = from->dates;
    if (f->kind == 0 && from->dates == 3 && d->date_order != 0) {
        bnn_column trial = *from;
        f->dates = d->date_order;
        trial.dates = 1; /* all of it dates? */
        for (trial.missing = 0; trial.missing < t->rows; trial.missing++) {
            double v, w;
            const char *s = from->cells[trial.missing];
            if (bnn__cell_value(t, s, &v) != BNN__MISSING && bnn__date(s, &v, &w) == 0) break;
        }
        if (trial.missing == t->rows) f->kind = BNN_COLUMN_DATE;
    }
    if (f->kind == 0) bnn__column_unclear(mem, t, c);
    if (f->kind == BNN_COLUMN_CLASS)
        bnn__classes_collect(mem, f, t, c, d->max_classes != 0 ? d->max_classes : 100);
    if (f->kind == BNN_COLUMN_YESNO) bnn__yesno_collect(mem, f, from, t->rows);
    f->width = f->kind == BNN_COLUMN_CLASS ? f->n_classes : 1;
    if (mem->err == BNN_OK) bnn__feature_mean(mem, f, t, c);
}

static char *bnn__name_join(bnn_arena *mem, const char *a, const char *b, const char *c) {
    size_t n = strlen(a), k = strlen(b), l = strlen(c) + 1;
    char *to = (char *)bnn__arena_take(mem, n + k + l, 1);
    if (to == NULL) return NULL;
    memcpy(to, a, n);
    memcpy(to + n, b, k);
    memcpy(to + n + k, c, l);
    return to;
}

/* Where each column goes, and what it is called there */
static void bnn__recipe_layout(bnn_arena *mem, bnn_recipe *r) {
    size_t i, j, k = 0;
    for (r->x_cols = 0, i = 0; i < r->n_inputs; i++) {
        r->inputs[i].first = r->x_cols;
        r->x_cols += r->inputs[i].width + (size_t)r->inputs[i].indicator;
    }
    r->x_names = (char **)bnn__arena_take(mem, r->x_cols, sizeof *r->x_names);
    for (i = 0; i < r->n_inputs && mem->err == BNN_OK; i++) {
        const bnn_feature *f = &r->inputs[i];
        int several = f->kind == BNN_COLUMN_CLASS;
        for (j = 0; j < f->width; j++)
            r->x_names[k++] = bnn__name_join(mem, f->name, several ? "=" : "",
                                             several ? f->classes[j] : "");
        if (f->indicator) r->x_names[k++] = bnn__name_join(mem, f->name, " is ", "missing");
    }
}

static void bnn__target_new(bnn_arena *mem, bnn_recipe *r, const bnn_table *t, size_t c,
                            int as_class, const bnn_recipe_desc *d) {
    bnn_feature *f = &r->target;
    double v, first = 0;
    size_t i, n = 0;
    int differ = 0;
    bnn__feature_new(mem, f, t, c, as_class, d);
    for (i = 0; i < t->rows && mem->err == BNN_OK; i++) {
        if (bnn__feature_value(f, t, t->columns[c].cells[i], &v) != BNN__NUMBER) continue;
        if (n++ == 0) first = v;
        differ |= v < first || v > first;
    }
    if (mem->err == BNN_OK && !differ)
        bnn__column_fail(mem, t, c, "is the same in all rows: a target must vary");
}

enum { BNN__MARK_INPUT = 1, BNN__MARK_SKIP = 2, BNN__MARK_CLASS = 4 };

static void bnn__recipe_mark(bnn_arena *mem, const bnn_table *t, const char *list, int *marks,
                             int mark) {
    const char *item;
    size_t n;
    while (mem->err == BNN_OK && bnn__list_next(&list, &item, &n)) {
        size_t c = bnn__table_column(mem, t, item, n);
        if (c != BNN__NONE) marks[c] |= mark;
    }
}

BNNDEF bnn_recipe bnn_recipe_new(bnn_arena *mem, const bnn_table *t, bnn_recipe_desc d) {
    bnn_recipe r, none;
    size_t c, y = BNN__NONE;
    int *marks;
    memset(&none, 0, sizeof none);
    r = none;
    r.missing = d.missing != 0 ? d.missing : BNN_MISSING_REFUSE;
    r.unknown = d.unknown != 0 ? d.unknown : BNN_UNKNOWN_REFUSE;
    if (t->rows == 0 || r.missing < 1 || r.missing > BNN_MISSING_INDICATOR || r.unknown < 1 ||
        r.unknown > BNN_UNKNOWN_ZERO || d.date_order < 0 || d.date_order > BNN_DATE_MONTH_FIRST)
        bnn__arena_fail(mem, BNN_EARG, "bnn_recipe_new: %z rows; missing %d, unknown %d, "
                        "date_order %d", t->rows, r.missing, r.unknown, d.date_order);
    marks = (int *)bnn_arena_alloc(mem, t->cols, sizeof *marks);
    if (d.target != NULL && marks != NULL)
        y = bnn__table_column(mem, t, d.target, strlen(d.target));
    for (c = 0; c < t->cols && marks != NULL; c++) marks[c] = d.inputs == NULL;
    bnn__recipe_mark(mem, t, d.inputs, marks, BNN__MARK_INPUT);
    bnn__recipe_mark(mem, t, d.skip, marks, BNN__MARK_SKIP);
    bnn__recipe_mark(mem, t, d.classes, marks, BNN__MARK_CLASS);
    r.inputs = (bnn_feature *)bnn_arena_alloc(mem, t->cols, sizeof *r.inputs);
    for (c = 0; c < t->cols && mem->err == BNN_OK; c++) {
        bnn_feature *f = &r.inputs[r.n_inputs];
        if (c == y || (marks[c] & (BNN__MARK_INPUT | BNN__MARK_SKIP)) != BNN__MARK_INPUT) continue;
        bnn__feature_new(mem, f, t, c, marks[c] & BNN__MARK_CLASS, &d);
        f->indicator = r.missing == BNN_MISSING_INDICATOR && t->columns[c].missing != 0;
        r.n_inputs++;
    }
    if (mem->err == BNN_OK && r.n_inputs == 0)
        bnn__arena_fail(mem, BNN_EARG, "%s: of %z columns none is left for x", t->file, t->cols);
    if (y != BNN__NONE && mem->err == BNN_OK)
        bnn__target_new(mem, &r, t, y, marks[y] & BNN__MARK_CLASS, &d);
    if (mem->err == BNN_OK) bnn__recipe_layout(mem, &r);
    return mem->err == BNN_OK ? r : none;
}

typedef struct bnn__pour { /* a recipe over a table */
    bnn_arena *mem;
    const bnn_recipe *r;
    const bnn_table *t;
    size_t *columns; /* of the table: those of the inputs; then the target's, or none */
    size_t unknown;  /* fields of classes the recipe has not, so far */
} bnn__pour;

static void bnn__pour_columns(bnn__pour *p) {
    const bnn_recipe *r = p->r;
    size_t i;
    int moved = 0;
    p->columns = (size_t *)bnn__arena_take(p->mem, r->n_inputs + 1, sizeof *p->columns);
    for (i = 0; i < r->n_inputs && p->mem->err == BNN_OK; i++) {
        const char *name = r->inputs[i].name;
        p->columns[i] = bnn__table_column(p->mem, p->t, name, strlen(name));
        moved |= i > 0 && p->columns[i] < p->columns[i - 1];
    }
    if (p->mem->err != BNN_OK) return;
    if (moved)
        bnn__arena_note(p->mem, "%s: the columns have another order than the recipe's: found by "
                        "name", p->t->file);
    i = BNN__NONE;
    if (r->target.name != NULL) i = bnn__table_find(p->t, r->target.name, strlen(r->target.name));
    if (i != BNN__NONE && p->t->columns[i].missing == p->t->rows) i = BNN__NONE; /* predict it */
    p->columns[r->n_inputs] = i;
}

/* One field into x, or the target into y. 0 = the row is dropped */
static int bnn__pour_field(bnn__pour *p, const bnn_feature *f, size_t row, size_t c, float *x) {
    const bnn_recipe *r = p->r;
    const char *s = p->t->columns[c].cells[row];
    int target = f == &r->target, kind;
    double v;
    kind = bnn__feature_value(f, p->t, s, &v);
    if (kind == BNN__NUMBER) {
        if (f->kind == BNN_COLUMN_CLASS && !target) x[(size_t)v] = 1;
        else *x = (float)v;
        return 1;
    }
    if (kind == BNN__MISSING) {
        if (r->missing == BNN_MISSING_REFUSE)
            bnn__cell_fail(p->mem, p->t, row, c, "is missing: say .missing");
        if (target || r->missing <= BNN_MISSING_DROP) return 0;
        memcpy(x, f->mean, f->width * sizeof *x);
        if (f->indicator) x[f->width] = 1;
        return 1;
    }
    if (f->kind == BNN_COLUMN_NUMBER)
        bnn__cell_fail(p->mem, p->t, row, c, bnn__number_hint(s, strlen(s)));
    else if (f->kind != BNN_COLUMN_CLASS)
        bnn__cell_fail(p->mem, p->t, row, c, f->kind == BNN_COLUMN_DATE
                       ? "is not a date in the order of the recipe" : "is neither yes nor no");
    else if (target || r->unknown == BNN_UNKNOWN_REFUSE)
        bnn__cell_fail(p->mem, p->t, row, c, "is a class that the recipe does not have");
    p->unknown++;
    return 1;
}

BNNDEF bnn_data bnn_recipe_data(bnn_arena *mem, const bnn_recipe *r, const bnn_table *t,
                                size_t *rows) {
    bnn__pour p = { mem, r, t, NULL, 0 };
    bnn_data d, none;
    size_t i, j, k = 0, y;
    memset(&none, 0, sizeof none);
    d = none;
    if (mem->err == BNN_OK && (r->n_inputs == 0 || t->rows == 0))
        bnn__arena_fail(mem, BNN_EARG, "bnn_recipe_data: a recipe of %z columns, a table of "
                        "%z rows", r->n_inputs, t->rows);
    bnn__pour_columns(&p);
    if (mem->err != BNN_OK) return none;
    y = p.columns[r->n_inputs];
    d.x = bnn_mat_new(mem, t->rows, r->x_cols);
    if (y != BNN__NONE) d.y = bnn_mat_new(mem, t->rows, 1);
    for (i = 0; i < t->rows && mem->err == BNN_OK; i++) {
        float *x = d.x.data + k * r->x_cols;
        int whole = 1;
        memset(x, 0, r->x_cols * sizeof *x); /* of a row that was dropped */
        for (j = 0; j < r->n_inputs && whole && mem->err == BNN_OK; j++)
            whole = bnn__pour_field(&p, &r->inputs[j], i, p.columns[j], x + r->inputs[j].first);
        if (whole && y != BNN__NONE)
            whole = bnn__pour_field(&p, &r->target, i, y, &d.y.data[k]);
        if (whole && rows != NULL) rows[k] = i;
        k += (size_t)whole;
    }
    if (mem->err == BNN_OK && k == 0)
        bnn__arena_fail(mem, BNN_EARG, "%s: all %z rows have missing fields", t->file, t->rows);
    if (mem->err != BNN_OK) return none;
    if (k < t->rows)
        bnn__arena_note(mem, "%s: %z of %z rows have missing fields and were dropped", t->file,
                        t->rows - k, t->rows);
    if (p.unknown != 0)
        bnn__arena_note(mem, "%s: %z fields are classes that the recipe does not have: "
                        "zeros", t->file, p.unknown);
    d.x.rows = k;
    if (y != BNN__NONE) d.y.rows = k;
    return d;
}

BNNDEF const char *bnn_recipe_label(const bnn_recipe *r, size_t label) {
    return label < r->target.n_classes ? r->target.classes[label] : "";
}

/* ---- folds */

BNNDEF size_t *bnn_data_folds(bnn_arena *mem, bnn_data d, size_t k, int stratified, bnn_rng *rng) {
    size_t n = d.x.rows, i, *order, *begin, *fold;
    order = (size_t *)bnn__arena_take(mem, n, sizeof *order);
    begin = (size_t *)bnn_arena_alloc(mem, n + 1, sizeof *begin);
    fold = (size_t *)bnn__arena_take(mem, n, sizeof *fold);
    if (fold == NULL) return NULL;
    if (k < 2 || k > n || (stratified && (d.y.rows != n || d.y.cols != 1))) {
        bnn__arena_fail(mem, BNN_EARG, "bnn_data_folds: %z folds of %z rows, y is %zx%z", k, n,
                        d.y.rows, d.y.cols);
        return NULL;
    }
    bnn_rng_permutation(rng, n, order);
    for (i = 0; stratified && i < n; i++) { /* each label's rows are dealt in turn */
        double label = (double)d.y.data[i];
        if (!(label >= 0 && label < (double)n && floor(label) == label)) {
            bnn__arena_fail(mem, BNN_EARG, "bnn_data_folds: y is %g in row %z, which is no label",
                            label, i);
            return NULL;
        }
        begin[(size_t)label + 1]++;
    }
    for (i = 1; i <= n; i++) begin[i] += begin[i - 1];
    for (i = 0; i < n; i++)
        fold[order[i]] = stratified ? begin[(size_t)d.y.data[order[i]]]++ % k : i % k;
    return fold;
}

BNNDEF bnn_data bnn_data_fold(bnn_arena *mem, bnn_data d, const size_t *folds, size_t fold,
                              int others) {
    bnn_data to, none;
    size_t i, n = 0;
    memset(&none, 0, sizeof none);
    to = none;
    if (mem->err != BNN_OK || folds == NULL) return none;
    for (i = 0; i < d.x.rows; i++) n += (folds[i] == fold) != (others != 0);
    to.x = bnn_mat_new(mem, n, d.x.cols);
    if (d.y.data != NULL) to.y = bnn_mat_new(mem, n, d.y.cols);
    if (mem->err != BNN_OK) return none;
    for (n = 0, i = 0; i < d.x.rows; i++) {
        if ((folds[i] == fold) == (others != 0)) continue;
        memcpy(to.x.data + n * d.x.cols, d.x.data + i * d.x.cols, d.x.cols * sizeof(float));
        if (to.y.data != NULL)
            memcpy(to.y.data + n * d.y.cols, d.y.data + i * d.y.cols, d.y.cols * sizeof(float));
        n++;
    }
    return to;
}

/* ------------------------------------------------------------------------------------------------
 * >>idx: two zero bytes, type, number of dimensions; each as 32 bits; the items; all big-endian
 * --------------------------------------------------------------------------------------------- */

static double bnn__double_of_f32(uint32_t bits) { /* where float is wider, none to copy them to */
    uint64_t e = bits >> 23 & 0xff, m = bits & 0x7fffff;
    double v = bnn__of_bits((e + (e == 255 ? 2047 - 255 : 1023 - 127)) << 52 | m << 29);
    if (e == 0) v = (double)m * bnn__of_bits((uint64_t)(1023 - 149) << 52);
    return bits >> 31 ? -v : v;
}

static double bnn__idx_item(int type, const unsigned char *p, size_t bytes) {
    uint64_t v = 0, half = (uint64_t)1 << (8 * bytes - 1);
    size_t i;
    for (i = 0; i < bytes; i++) v = v << 8 | p[i];
    switch (type) {
    case 0x08: return (double)v;
    case 0x0d: return bnn__double_of_f32((uint32_t)v);
    case 0x0e: return bnn__of_bits(v);
    default: return (double)(v ^ half) - (double)half; /* two's complement */
    }
}

/* Checks all sizes against the bytes there are. */
static int bnn__idx_shape(bnn__source s, bnn_mat *shape, size_t *item) {
    static const unsigned char sizes[] = { 1, 1, 0, 2, 4, 4, 8 }; /* of types 8 to 14 */
    const unsigned char *p = s.bytes;
    size_t dims, i, items, rest;
    if (s.size >= 2 && p[0] == 0x1f && p[1] == 0x8b)
        return bnn__arena_say(s.mem, BNN_EFORMAT, "%s: is gzip: gunzip it first", s.name);
    *item = s.size >= 4 && p[0] == 0 && p[1] == 0 && p[2] >= 8 && p[2] <= 14 ? sizes[p[2] - 8] : 0;
    dims = *item != 0 ? p[3] : 0;
    if (dims < 1 || dims > 4 || s.size < 4 + 4 * dims)
        return bnn__arena_say(s.mem, BNN_EFORMAT, "%s: does not begin as an IDX file of 1 to 4 "
                              "dimensions", s.name);
    shape->rows = shape->cols = 1;
    for (i = 1; i <= dims; i++) {
        size_t *to = i == 1 ? &shape->rows : &shape->cols;
        double extent = bnn__idx_item(0x08, p + 4 * i, 4);
        size_t d = (size_t)extent;
        if (d == 0)
            return bnn__arena_say(s.mem, BNN_EFORMAT, "%s: dimension %z is 0", s.name, i);
        *to = bnn__mul(*to, d);
    }
    items = bnn__mul(shape->rows, shape->cols);
    rest = s.size - 4 - 4 * dims;
    if (bnn__mul(items, *item) != rest || items == SIZE_MAX)
        return bnn__arena_say(s.mem, BNN_EFORMAT, "%s: %z items of %z bytes are promised, %z bytes "
                              "are there", s.name, items, *item, rest);
    return BNN_OK;
}

static int bnn__idx_parse(bnn__source s, void *out, const void *how) {
    bnn_mat m = { 0, 0, NULL };
    size_t item = 0, i, n;
    int err = out == NULL ? BNN_EARG : bnn__idx_shape(s, &m, &item);
    (void)how;
    if (err != BNN_OK) return err;
    n = m.rows * m.cols;
    m.data = (float *)bnn__arena_take(s.mem, n, sizeof(float));
    if (m.data == NULL) return BNN_ENOMEM;
    for (i = 0; i < n; i++) {
        double d = bnn__idx_item(s.bytes[2], s.bytes + s.size - (n - i) * item, item);
        m.data[i] = (float)d;
        if (!bnn__finite(m.data[i]) && bnn__finite_d(d))
            return bnn__arena_say(s.mem, BNN_EFORMAT, "%s: item %z, %g, does not fit a float",
                                  s.name, i, d);
    }
    *(bnn_mat *)out = m;
    return BNN_OK;
}

BNNDEF int bnn_idx_parse(bnn_arena *mem, bnn_mat *out, const void *bytes, size_t size) {
    return bnn__parse(mem, "idx", bytes, size, bnn__idx_parse, out, NULL);
}

/* ------------------------------------------------------------------------------------------------
 * >>checkpoint
 *
 * A file is a header, sections and a CRC-32 of all before it, little-endian; docs/format.md has the
 * table. The bnn__io functions describe the layout once for both directions, on copies of the
 * caller's objects: writing they put *v, reading they check and set it; scalars stand in tables of
 * fields with the range that constructors allow. Writing runs twice or more, first only to count.
 * Reading runs over everything without touching what is the caller's, makes what has to be made,
 * and runs once more to apply, which cannot fail. Parameters are "stores", each saved once, however
 * many objects share it; these name it by number.
 * --------------------------------------------------------------------------------------------- */

enum { /* kinds of sections; then sizes (one enumeration, for they are multiplied) */
    BNN__CP_STORE, BNN__CP_NET, BNN__CP_STEPPER, BNN__CP_ENSEMBLE, BNN__CP_MEAN, BNN__CP_RNG,
    BNN__CP_BYTES, BNN__CP_KINDS, BNN__CP_VERSION = 3, BNN__CP_MINOR = 1, BNN__CP_STORES = 16,
    BNN__CP_PLACES = 4, BNN__CP_HEADER = 32
};

static const unsigned char *bnn__cp_magic(void) { /* a text-mode transfer breaks it, as PNG's */
    return (const unsigned char *)"\x89" "BNN\r\n\x1a\n";
}

static uint32_t bnn__crc32(const unsigned char *p, size_t n) { /* as in zlib, PNG, Ethernet */
    uint32_t table[256], c;
    size_t i;
    int k;
    for (i = 0; i < 256; i++) {
        for (c = (uint32_t)i, k = 0; k < 8; k++) c = c & 1 ? c >> 1 ^ 0xedb88320u : c >> 1;
        table[i] = c;
    }
    for (c = 0xffffffffu, i = 0; i < n; i++) c = table[(c ^ p[i]) & 0xff] ^ c >> 8;
    return c ^ 0xffffffffu;
}

typedef struct bnn__io {
    bnn_arena *mem;
    const char *name;        /* of the file, for sentences                          */
    const unsigned char *in; /* reading: the file; NULL = writing                   */
    unsigned char *out;      /* writing: the file; NULL = only count                */
    size_t pos, end, at;     /* next byte; end of the section; last word            */
    size_t element;          /* bytes of a real in the file                         */
    int version, needed;     /* of the file; the first that can hold what was put   */
    int newer;               /* it has more than we know: that is skipped           */
    const char *of;          /* what the field at hand belongs to, for sentences    */
    int apply, err;          /* reading: to the caller's objects                    */
} bnn__io;

static void bnn__io_fail(bnn__io *io, int err, const char *fmt, ...) { /* the first one stays */
    char what[BNN_MSG];
    va_list args;
    if (io->err != BNN_OK) return;
    va_start(args, fmt);
    bnn__vformat(what, fmt, args);
    va_end(args);
    io->err = err;
    if (io->in != NULL) bnn__arena_say(io->mem, err, "%s: byte %z: %s", io->name, io->at, what);
    else bnn__arena_say(io->mem, err, "%s: %s", io->name, what);
}

static int bnn__io_bad(const bnn__io *io) { return io->in != NULL ? BNN_EFORMAT : BNN_EARG; }

/* The caller's arrays are read from or written to in this run. */
static int bnn__io_live(const bnn__io *io) { return io->in == NULL || io->apply; }

static int bnn__io_room(bnn__io *io, size_t bytes) { /* 0 = no more in the section, or in size_t */
    io->at = io->pos;
    if (io->err == BNN_OK && bytes > (io->in != NULL ? io->end : SIZE_MAX) - io->pos)
        bnn__io_fail(io, io->in != NULL ? BNN_EFORMAT : BNN_ENOMEM,
                     "%z more bytes expected, the section has %z", bytes, io->end - io->pos);
    return io->err == BNN_OK;
}

static uint64_t bnn__io_word(bnn__io *io, uint64_t v, size_t bytes) {
    size_t i;
    if (!bnn__io_room(io, bytes)) return 0;
    if (io->in != NULL)
        for (v = 0, i = 0; i < bytes; i++) v |= (uint64_t)io->in[io->pos + i] << 8 * i;
    else if (io->out != NULL)
        for (i = 0; i < bytes; i++) io->out[io->pos + i] = (unsigned char)(v >> 8 * i & 0xff);
    io->pos += bytes;
    return v;
}

static double bnn__io_real(bnn__io *io, double v, size_t bytes) {
    float real = (float)v;
    uint32_t half;
    uint64_t bits;
    memcpy(&half, &real, sizeof half); /* where a real has 4 bytes a written one is a float */
    memcpy(&bits, &v, sizeof bits);
    bits = bnn__io_word(io, bytes == 4 ? half : bits, bytes);
    return bytes == 4 ? bnn__double_of_f32((uint32_t)bits) : bnn__of_bits(bits);
}

#define BNN__UNDER_1 (1 - DBL_EPSILON / 2) /* the largest double that is not 1 */

/* low <= v <= high; a NaN is nowhere. */
static int bnn__io_range(bnn__io *io, double v, double low, double high, const char *what) {
    const char *expected = low < 0 || !bnn__finite_d(v) ? "a finite number"
                           : low == 0 ? "0 or more" : "more than 0";
    int err = bnn__finite_d(v) ? bnn__io_bad(io) : BNN_ENONFINITE;
    if (v >= low && v <= high) return 1;
    if (high < DBL_MAX)
        bnn__io_fail(io, err, "%s of %s is %g, expected %g to %g", what, io->of, v, low, high);
    else bnn__io_fail(io, err, "%s of %s is %g, expected %s", what, io->of, v, expected);
    return 0;
}

/* first .. last, stored from 0 on. A kind may be 0, the default, before. */
static void bnn__io_int(bnn__io *io, int *v, int first, int last, const char *what) {
    uint32_t u;
    if (*v == 0) *v = first;
    u = (uint32_t)bnn__io_word(io, (uint32_t)*v - (uint32_t)first, 4);
    if (bnn__io_range(io, (double)u + first, first, last, what)) *v = (int)u + first;
}

static void bnn__io_size(bnn__io *io, size_t *v, double low, double high, const char *what) {
    uint64_t none = ~(uint64_t)0, u = bnn__io_word(io, *v == BNN__NONE ? none : (uint64_t)*v, 8);
    if (u != none && (uint64_t)(size_t)u != u)
        bnn__io_fail(io, BNN_ENOMEM, "%s does not fit this machine", what);
    else if (bnn__io_range(io, (double)u, low, high, what))
        *v = u == none ? BNN__NONE : (size_t)u;
}

static void bnn__io_count(bnn__io *io, size_t *v, const char *what) { /* checked elsewhere */
    bnn__io_size(io, v, 0, DBL_MAX, what);
}

/* n numbers from `low` on, all finite: floats, or doubles (wide). Reading only checks until it
 * applies; x may be NULL. */
static void bnn__io_array(bnn__io *io, void *x, int wide, size_t n, double low, const char *what) {
    size_t i, bytes = wide ? 8 : io->element;
    double *doubles = wide && bnn__io_live(io) ? (double *)x : NULL;
    float *reals = !wide && bnn__io_live(io) ? (float *)x : NULL;
    if (!bnn__io_room(io, bnn__mul(n, bytes))) return;
    for (i = 0; i < n && io->err == BNN_OK; i++) {
        double v = doubles != NULL ? doubles[i] : reals != NULL ? (double)reals[i] : 0;
        v = bnn__io_real(io, v, bytes);
        if (!wide) v = (double)(float)v;
        if (!bnn__io_range(io, v, low, DBL_MAX, what) || io->in == NULL) continue;
        if (doubles != NULL) doubles[i] = v;
        if (reals != NULL) reals[i] = (float)v;
    }
}

/* Scalars are doubles in the file, exact from both kinds of float. WIDE is a float that may be
 * infinite: a prior's width. */
enum { BNN__IO_INT, BNN__IO_SIZE, BNN__IO_U64, BNN__IO_FLOAT, BNN__IO_WIDE, BNN__IO_DOUBLE };

typedef struct bnn__field {
    size_t offset; /* in its struct */
    char name[22];
    unsigned char type, since; /* version of the format; where it is 0 an older one will do */
    double low, high;
} bnn__field;

static void bnn__io_field(bnn__io *io, void *at, const bnn__field *f) {
    double v;
    switch (f->type) {
    case BNN__IO_INT:
        if (f->high == 1 && *(int *)at != 0) *(int *)at = 1; /* a flag */
        bnn__io_int(io, (int *)at, (int)f->low, (int)f->high, f->name);
        return;
    case BNN__IO_SIZE: bnn__io_size(io, (size_t *)at, f->low, f->high, f->name); return;
    case BNN__IO_U64: *(uint64_t *)at = bnn__io_word(io, *(uint64_t *)at, 8); return;
    case BNN__IO_DOUBLE: v = *(double *)at = bnn__io_real(io, *(double *)at, 8); break;
    default:
        *(float *)at = (float)bnn__io_real(io, (double)*(float *)at, 8);
        v = (double)*(float *)at;
        if (f->type == BNN__IO_WIDE && v > 0) return;
    }
    (void)bnn__io_range(io, v, f->low, f->high, f->name);
}

/* The fields of a table in turn. Writing, one that this version has not must be 0. */
static void bnn__io_fields(bnn__io *io, void *object, const bnn__field *f, size_t n) {
    static const size_t bytes[] = { sizeof(int), sizeof(size_t), 8, sizeof(float), sizeof(float),
                                    sizeof(double) };
    static const double zero = 0;
    for (; n > 0; n--, f++) {
        void *at = (char *)object + f->offset;
        if (f->since <= io->version) bnn__io_field(io, at, f);
        else if (io->needed < f->since && memcmp(at, &zero, bytes[f->type]) != 0)
            io->needed = f->since;
    }
}

#define BNN__FIELD(type, field) offsetof(type, field), #field
#define BNN__FIELDS(io, object, table) \
    bnn__io_fields(io, object, table, sizeof (table) / sizeof *(table))
#define BNN__ROW(type, field, kind, low, high) \
    { BNN__FIELD(type, field), BNN__IO_##kind, 0, low, high }
#define BNN__FLAG(type, field) BNN__ROW(type, field, INT, 0, 1)
#define BNN__U64(type, field) BNN__ROW(type, field, U64, 0, 0)
#define BNN__FROM_0(type, field) BNN__ROW(type, field, FLOAT, 0, DBL_MAX)
#define BNN__BELOW_1(type, field) BNN__ROW(type, field, FLOAT, 0, BNN__UNDER_1)
#define BNN__DOUBLE(type, field) BNN__ROW(type, field, DOUBLE, -DBL_MAX, DBL_MAX)

static const bnn__field bnn__prior_fields[] = {
    BNN__ROW(bnn_prior, kind, INT, BNN_PRIOR_NORMAL, BNN_PRIOR_FLAT),
    BNN__FLAG(bnn_prior, fan_in),     BNN__FLAG(bnn_prior, adapt_mean),
    BNN__FLAG(bnn_prior, adapt_std),  BNN__ROW(bnn_prior, std, WIDE, 0, DBL_MAX),
    BNN__ROW(bnn_prior, std2, WIDE, 0, DBL_MAX), BNN__ROW(bnn_prior, nu, WIDE, 0, DBL_MAX),
    BNN__ROW(bnn_prior, mean, FLOAT, -DBL_MAX, DBL_MAX),
    BNN__ROW(bnn_prior, weight, FLOAT, 0, 1),
    BNN__FROM_0(bnn_prior, shape),    BNN__FROM_0(bnn_prior, rate) };

/* What the constructor would say of it. Where it is in force it has no defaults any more, and an
 * infinite width has become a flat prior, of which nothing else counts. */
static void bnn__io_prior(bnn__io *io, bnn_prior *p, int in_force) {
    const char *of = io->of;
    bnn_arena trial;
    bnn_prior copy;
    io->of = "a prior";
    BNN__FIELDS(io, p, bnn__prior_fields);
    if (in_force && p->kind != BNN_PRIOR_FLAT) {
        (void)bnn__io_range(io, (double)p->std, BNN__POSITIVE, DBL_MAX, "std");
        if (p->kind == BNN_PRIOR_MIXTURE)
            (void)bnn__io_range(io, (double)p->std2, BNN__POSITIVE, DBL_MAX, "std2");
        if (p->kind == BNN_PRIOR_STUDENT)
            (void)bnn__io_range(io, (double)p->nu, BNN__POSITIVE, DBL_MAX, "nu");
    }
    io->of = of;
    copy = *p;
    memset(&trial, 0, sizeof trial);
    if (io->err == BNN_OK && p->kind != BNN_PRIOR_FLAT &&
        !bnn__prior_resolve(&trial, &copy, 1, "this block"))
        bnn__io_fail(io, bnn__io_bad(io), "%s", trial.msg);
}

static void bnn__io_block(bnn__io *io, bnn_block *b) { /* without its values */
    size_t i;
    bnn__io_count(io, &b->rows, "rows");
    bnn__io_count(io, &b->cols, "cols");
    for (i = 0; i < sizeof b->name; i++)
        b->name[i] = (char)bnn__io_word(io, (unsigned char)b->name[i], 1);
    if (b->name[sizeof b->name - 1] != '\0') {
        b->name[sizeof b->name - 1] = '\0';
        bnn__io_fail(io, BNN_EFORMAT, "the name of a block does not end");
    }
    bnn__io_prior(io, &b->prior, 1);
}

typedef union bnn__object {
    bnn_net net;
    bnn_stepper stepper;
    bnn_ensemble ensemble;
    bnn_meanfield meanfield;
    bnn_rng rng;
    bnn_bytes bytes;
} bnn__object;

typedef struct bnn__kind {
    char tag[5], a[16];
    size_t place, size, params; /* in a bnn_checkpoint; of an object; in it */
} bnn__kind;

#define BNN__KIND(tag, a, type, place, params) \
    { tag, a, offsetof(bnn_checkpoint, place), sizeof(type), params }
static const bnn__kind bnn__kinds[BNN__CP_KINDS] = {
    { "STOR", "parameters", 0, 0, 0 },
    BNN__KIND("NET ", "a net", bnn_net, nets, offsetof(bnn_net, params)),
    BNN__KIND("STEP", "a stepper", bnn_stepper, steppers, offsetof(bnn_stepper, params)),
    BNN__KIND("ENSE", "an ensemble", bnn_ensemble, ensembles, offsetof(bnn_ensemble, params)),
    BNN__KIND("MEAN", "a mean field", bnn_meanfield, meanfields, offsetof(bnn_meanfield, params)),
    BNN__KIND("RNG ", "a generator", bnn_rng, rngs, 0),
    BNN__KIND("BYTE", "some bytes", bnn_bytes, bytes, 0) };

/* Sections have an id: their kind times BNN__CP_STORES plus their place. */
enum { BNN__CP_SECTIONS = BNN__CP_KINDS * BNN__CP_STORES };

/* What a program's files hold is for it to say: one that saves nets alone hands in a function that
 * knows no more than these, and the compiler drops the rest. Others' sections are skipped. */
typedef struct bnn__file bnn__file;
typedef void bnn__layout(bnn__file *f, int id);

struct bnn__file {
    bnn__io io;
    bnn__layout *section;
    size_t begin[BNN__CP_SECTIONS], end[BNN__CP_SECTIONS];
    int owner[BNN__CP_SECTIONS];       /* the store of a net, stepper, ensemble, mean field */
    void *own[BNN__CP_SECTIONS];       /* the caller's objects, and copies to work with     */
    bnn__object copy[BNN__CP_KINDS * BNN__CP_PLACES];
    struct bnn__mlp mlp[BNN__CP_PLACES]; /* of nets */
    int has_mlp[BNN__CP_PLACES];
    size_t size, sections;
    bnn_params *store[BNN__CP_STORES]; /* reading: where it goes, or NULL */
    int made[BNN__CP_STORES];          /* it is a new one */
    size_t n[BNN__CP_STORES], n_blocks[BNN__CP_STORES];
};

static int bnn__section(int kind, size_t slot) { return kind * BNN__CP_STORES + (int)slot; }
static size_t bnn__slot(int id) { return (size_t)(id % BNN__CP_STORES); }
static const bnn__kind *bnn__kind_of(int id) { return &bnn__kinds[id / BNN__CP_STORES]; }

static bnn__object *bnn__copy_of(bnn__file *f, int id) {
    return &f->copy[(size_t)(id / BNN__CP_STORES * BNN__CP_PLACES) + bnn__slot(id)];
}

static bnn_net *bnn__net_of(bnn__file *f, size_t slot) {
    return &bnn__copy_of(f, bnn__section(BNN__CP_NET, slot))->net;
}

static bnn_params *bnn__params_of(bnn__file *f, int id) { /* of an object, or NULL */
    bnn_params *w = NULL;
    if (f->own[id] != NULL && id / BNN__CP_STORES < BNN__CP_RNG)
        memcpy(&w, (char *)bnn__copy_of(f, id) + bnn__kind_of(id)->params, sizeof w);
    return w;
}

static size_t bnn__io_owner(bnn__file *f, int id) {
    f->io.of = bnn__kind_of(id)->a;
    bnn__io_int(&f->io, &f->owner[id], 0, BNN__CP_STORES - 1, "store");
    return (size_t)f->owner[id];
}

static void bnn__io_store(bnn__file *f, int k) {
    bnn__io *io = &f->io;
    bnn_params *w = f->store[k];
    size_t i, left, n = w != NULL ? w->n : 0, n_blocks = w != NULL ? w->n_blocks : 0;
    io->of = "parameters";
    bnn__io_count(io, &n, "n");
    bnn__io_count(io, &n_blocks, "number of blocks");
    if (w != NULL && n_blocks != w->n_blocks && !f->made[k])
        bnn__io_fail(io, BNN_ESHAPE, "%z blocks, expected %z", n_blocks, w->n_blocks);
    left = n;
    for (i = 0; i < n_blocks && io->err == BNN_OK; i++) {
        bnn_block b, *own;
        size_t count;
        memset(&b, 0, sizeof b);
        if (io->in == NULL) b = w->blocks[i];
        bnn__io_block(io, &b);
        if (io->err != BNN_OK) return;
        if (f->made[k] && i == w->n_blocks) {
            memset(&b.prior, 0, sizeof b.prior);
            b.prior.kind = BNN_PRIOR_FLAT; /* until its own is applied */
            (void)bnn_params_add(w, b.rows, b.cols, b.name, b.prior);
            if ((io->err = w->mem->err) != BNN_OK) return;
        }
        own = w != NULL ? &w->blocks[i] : NULL;
        count = bnn__mul(b.rows, b.cols);
        if (own != NULL && (b.rows != own->rows || b.cols != own->cols))
            bnn__io_fail(io, BNN_ESHAPE, "block %z (%s) is %zx%z, expected %zx%z", i, b.name,
                         b.rows, b.cols, own->rows, own->cols);
        if (count > left) bnn__io_fail(io, BNN_EFORMAT, "blocks hold more than %z values", n);
        bnn__io_array(io, own != NULL ? w->theta + own->offset : NULL, 0, count, -DBL_MAX, b.name);
        left -= count;
        if (own == NULL || !io->apply) continue;
        own->prior = b.prior;
        own->fresh = 1; /* as after a step: the next gradient overwrites */
    }
    if (left != 0) bnn__io_fail(io, BNN_EFORMAT, "blocks hold %z values less than %z", left, n);
    f->n[k] = n;
    f->n_blocks[k] = n_blocks;
    if (w == NULL || !io->apply) return;
    w->draw = 0;
    if (w->grad != NULL && n != 0) memset(w->grad, 0, n * sizeof(float));
}

static const bnn__field bnn__mlp_fields[] = {
    BNN__ROW(bnn_mlp_desc, likelihood, INT, BNN_GAUSSIAN, BNN_POISSON),
    BNN__FLAG(bnn_mlp_desc, noise_learned),
    BNN__ROW(bnn_mlp_desc, init, INT, BNN_INIT_AUTO, BNN_INIT_ZERO),
    BNN__FLAG(bnn_mlp_desc, no_bias),
    BNN__FROM_0(bnn_mlp_desc, noise_std), BNN__FROM_0(bnn_mlp_desc, nu),
    BNN__ROW(bnn_mlp_desc, init_scale, FLOAT, -DBL_MAX, DBL_MAX),
    BNN__BELOW_1(bnn_mlp_desc, dropout),  BNN__BELOW_1(bnn_mlp_desc, dropout_input),
    BNN__U64(bnn_mlp_desc, seed) };

static void bnn__io_mlp(bnn__io *io, struct bnn__mlp *m) {
    bnn_mlp_desc *d = &m->desc, copy;
    bnn_arena trial;
    int layers = (int)m->n_layers;
    size_t l, n_layers = 0;
    bnn__io_count(io, &m->first, "first block");
    bnn__io_int(io, &layers, 0, BNN_MAX_LAYERS, "number of layers");
    m->n_layers = (size_t)layers;
    for (l = 0; l <= m->n_layers; l++) bnn__io_count(io, &d->sizes[l], "size");
    bnn__io_int(io, &d->activation, BNN_RELU, BNN_IDENTITY, "activation");
    for (l = 0; l < m->n_layers; l++)
        bnn__io_int(io, &d->activations[l], BNN_RELU, BNN_IDENTITY, "activation");
    for (; l < BNN_MAX_LAYERS; l++) d->activations[l] = d->activation;
    BNN__FIELDS(io, d, bnn__mlp_fields);
    bnn__io_prior(io, &d->prior, 0);
    copy = *d;
    memset(&trial, 0, sizeof trial);
    if (io->err != BNN_OK) return;
    if (!bnn__mlp_resolve(&trial, &copy, &n_layers))
        bnn__io_fail(io, bnn__io_bad(io), "%s", trial.msg);
    else if (n_layers != m->n_layers) bnn__io_fail(io, bnn__io_bad(io), "a layer has width 0");
}

/* The first run of reading makes a new one in the arena, if it is to be kept. */
static void bnn__io_row(bnn__io *io, bnn_mat *m, double low, int keep, const char *what) {
    size_t n = bnn__mat_size(*m);
    bnn__io_count(io, &n, what);
    if (io->in != NULL && !io->apply) {
        m->rows = n != 0;
        m->cols = n;
        m->data = NULL;
        if (!bnn__io_room(io, bnn__mul(n, io->element))) return;
        if (keep && n != 0) *m = bnn_mat_new(io->mem, 1, n);
        if (keep && n != 0 && m->data == NULL) io->err = BNN_ENOMEM;
    }
    bnn__io_array(io, m->data, 0, n, low, what);
}

/* What the file says of a net must fit the parameters in the file; its blocks are compared when it
 * is made. */
static int bnn__net_fits(bnn__file *f, size_t slot, size_t k) {
    const bnn_net *n = bnn__net_of(f, slot);
    const bnn_mlp_desc *d = &f->mlp[slot].desc;
    const bnn_scaling *s = &n->scaling;
    size_t y;
    if (s->x_mean.cols != s->x_std.cols || s->y_mean.cols != s->y_std.cols) return 0;
    if (n->noise_learned && n->noise >= f->n_blocks[k]) return 0;
    if (!f->has_mlp[slot]) return 1;
    y = d->sizes[f->mlp[slot].n_layers] / (n->likelihood == BNN_GAUSSIAN_HETERO ? 2 : 1);
    return y != 0 && (s->x_mean.cols == 0 || s->x_mean.cols == d->sizes[0]) &&
           (s->y_mean.cols == 0 || s->y_mean.cols == y);
}

static int bnn__mlp_same(const struct bnn__mlp *a, const struct bnn__mlp *b) {
    return a->first == b->first && a->n_layers == b->n_layers &&
           (a->desc.no_bias != 0) == (b->desc.no_bias != 0) &&
           memcmp(a->desc.sizes, b->desc.sizes, (a->n_layers + 1) * sizeof(size_t)) == 0;
}

static const bnn__field bnn__net_fields[] = {
    BNN__ROW(bnn_net, likelihood, INT, BNN_GAUSSIAN, BNN_POISSON),
    BNN__FLAG(bnn_net, noise_learned),   BNN__ROW(bnn_net, noise, SIZE, 0, DBL_MAX),
    BNN__FROM_0(bnn_net, noise_std),     BNN__FROM_0(bnn_net, nu) };

static void bnn__io_net(bnn__file *f, int id) {
    bnn__io *io = &f->io;
    bnn_net *n = &bnn__copy_of(f, id)->net;
    bnn_scaling *s = &n->scaling;
    size_t slot = bnn__slot(id), k = bnn__io_owner(f, id);
    int keep = f->own[id] != NULL;
    bnn__io_fields(io, n, bnn__net_fields, 2);
    bnn__io_int(io, &f->has_mlp[slot], 0, 1, "kind");
    bnn__io_fields(io, n, bnn__net_fields + 2, 3);
    if (n->noise_learned && n->likelihood != BNN_GAUSSIAN)
        bnn__io_fail(io, bnn__io_bad(io), "net %z learns noise, its likelihood %d has none", slot,
                     n->likelihood);
    bnn__io_row(io, &s->x_mean, -DBL_MAX, keep, "x_mean");
    bnn__io_row(io, &s->x_std, BNN__POSITIVE, keep, "x_std");
    bnn__io_row(io, &s->y_mean, -DBL_MAX, keep, "y_mean");
    bnn__io_row(io, &s->y_std, BNN__POSITIVE, keep, "y_std");
    if (f->has_mlp[slot]) bnn__io_mlp(io, &f->mlp[slot]);
    if (io->in == NULL || io->err != BNN_OK) return;
    if (!bnn__net_fits(f, slot, k))
        bnn__io_fail(io, BNN_EFORMAT, "net %z does not fit its parameters", slot);
    if (n->params != NULL && n->mlp != NULL && f->has_mlp[slot] &&
        !bnn__mlp_same(&f->mlp[slot], n->mlp))
        bnn__io_fail(io, BNN_ESHAPE, "net %z has other layers", slot);
}

static const bnn__field bnn__hmc_fields[] = {
    BNN__FLAG(bnn_hmc_state, desc.adapt_mass),
    BNN__ROW(bnn_hmc_state, desc.leapfrog, SIZE, 1, 1 << 20),
    BNN__ROW(bnn_hmc_state, desc.warmup, SIZE, 0, 1 << 30),
    BNN__FROM_0(bnn_hmc_state, desc.step),    BNN__FROM_0(bnn_hmc_state, desc.trajectory),
    BNN__BELOW_1(bnn_hmc_state, desc.accept), BNN__ROW(bnn_hmc_state, step, DOUBLE, 0, DBL_MAX),
    BNN__DOUBLE(bnn_hmc_state, energy),
    BNN__ROW(bnn_hmc_state, log_accept, DOUBLE, -DBL_MAX, 0),
    BNN__ROW(bnn_hmc_state, accept_sum, DOUBLE, 0, DBL_MAX),
    BNN__DOUBLE(bnn_hmc_state, adapt_hbar),   BNN__DOUBLE(bnn_hmc_state, adapt_mu),
    BNN__DOUBLE(bnn_hmc_state, adapt_logavg), BNN__U64(bnn_hmc_state, draws),
    BNN__U64(bnn_hmc_state, accepted),        BNN__U64(bnn_hmc_state, divergent),
    BNN__U64(bnn_hmc_state, mass_count) };

static const bnn__field bnn__nuts_fields[] = { /* these after the others */
    BNN__ROW(bnn_hmc_state, mass, INT, BNN_MASS_DIAGONAL, BNN_MASS_UNIT),
    BNN__ROW(bnn_hmc_state, max_depth, INT, 1, 20),
    BNN__U64(bnn_hmc_state, saturated), BNN__DOUBLE(bnn_hmc_state, hamiltonian) };

static void bnn__io_hmc(bnn__io *io, bnn_hmc_state *h, size_t n, int nuts) {
    int adapt = h->desc.adapt_mass != 0, mass = h->mass, depth = h->max_depth;
    io->of = "HMC";
    BNN__FIELDS(io, h, bnn__hmc_fields);
    if (nuts) BNN__FIELDS(io, h, bnn__nuts_fields);
    if (depth > 0 && (h->mass != mass || h->max_depth > depth))
        bnn__io_fail(io, BNN_ESHAPE, "mass or max_depth differs");
    if (depth > 0) h->max_depth = depth;
    if (h->mass_inv != NULL && h->desc.adapt_mass != adapt)
        bnn__io_fail(io, BNN_ESHAPE, "adapt_mass differs");
    if (h->accepted > h->draws || h->divergent > h->draws)
        bnn__io_fail(io, bnn__io_bad(io), "HMC accepted more than it drew");
    bnn__io_array(io, h->mass_inv, 0, n, BNN__POSITIVE, "mass");
    if (!h->desc.adapt_mass) return;
    bnn__io_array(io, h->mean, 1, n, -DBL_MAX, "mean");
    if (h->mass != BNN_MASS_DENSE) {
        bnn__io_array(io, h->m2, 1, n, 0, "sum of squares");
        return;
    }
    bnn__io_array(io, h->m2, 1, bnn__mul(n, n), -DBL_MAX, "sum of squares");
    bnn__io_array(io, h->cov.data, 0, bnn__mul(n, n), -DBL_MAX, "covariance");
}

static int bnn__stepper_vectors(const bnn_stepper *s) {
    return s->s1 == NULL ? 0 : s->s2 == NULL ? 1 : s->s3 == NULL ? 2 : 3;
}

static void bnn__io_vectors(bnn__io *io, const bnn_stepper *s, int vectors) {
    /* by kind, s1 to s3: averages of squares are not negative */
    static const char squares[][4] = { "...", ".++", "+..", "+..", "++.", "...", "+..", "...",
                                       "...", "...", "..." };
    float *v[3] = { s->s1, s->s2, s->s3 };
    int i;
    for (i = 0; i < vectors && io->err == BNN_OK; i++)
        bnn__io_array(io, v[i], 0, s->n, squares[s->kind][i] == '+' ? 0 : -DBL_MAX, "state");
}

static const bnn__field bnn__stepper_fields[] = {
    BNN__FLAG(bnn_stepper, nesterov),       BNN__FLAG(bnn_stepper, amsgrad),
    BNN__FLAG(bnn_stepper, centered),       BNN__FLAG(bnn_stepper, decoupled),
    BNN__FROM_0(bnn_stepper, lr),           BNN__BELOW_1(bnn_stepper, momentum),
    BNN__FROM_0(bnn_stepper, dampening),    BNN__BELOW_1(bnn_stepper, beta1),
    BNN__BELOW_1(bnn_stepper, beta2),       BNN__FROM_0(bnn_stepper, eps),
    BNN__FROM_0(bnn_stepper, weight_decay), BNN__FROM_0(bnn_stepper, clip),
    BNN__FROM_0(bnn_stepper, temperature),  BNN__U64(bnn_stepper, t),
    { BNN__FIELD(bnn_stepper, burn_in), BNN__IO_SIZE, 3, 0, DBL_MAX } };

/* The format keeps some numbers where version 1 had them: in the places of others, which are 0 in
 * these methods. */
static void bnn__io_settings(bnn__io *io, bnn_stepper *s) {
    enum { BNN__DAMPENING = 6, BNN__EPS = 9 };
    bnn__field f[sizeof bnn__stepper_fields / sizeof *bnn__stepper_fields];
    memcpy(f, bnn__stepper_fields, sizeof f);
    if (s->kind == BNN_ADAGRAD) f[BNN__DAMPENING].offset = offsetof(bnn_stepper, lr_decay);
    if (s->kind == BNN_PSGLD) f[BNN__EPS].offset = offsetof(bnn_stepper, lambda);
    if (s->kind == BNN_SGNHT) {
        f[BNN__DAMPENING].offset = offsetof(bnn_stepper, thermostat);
        f[BNN__DAMPENING].low = -DBL_MAX;
        f[BNN__EPS].offset = offsetof(bnn_stepper, friction);
    } else if (s->kind == BNN_SGHMC)
        f[BNN__DAMPENING].offset = offsetof(bnn_stepper, noise_estimate);
    if (s->kind == BNN_SGHMC) s->momentum = 1 - s->friction; /* what is kept of it */
    BNN__FIELDS(io, s, f);
    if (s->kind != BNN_SGHMC) return;
    s->friction = 1 - s->momentum;
    s->momentum = 0;
}

static void bnn__io_stepper(bnn__file *f, int id) {
    bnn__io *io = &f->io;
    bnn_stepper *s = &bnn__copy_of(f, id)->stepper;
    const bnn_stepper *own = (const bnn_stepper *)f->own[id];
    size_t slot = bnn__slot(id), k = bnn__io_owner(f, id);
    int vectors = bnn__stepper_vectors(s), hmc;
    bnn_hmc_state h;
    memset(&h, 0, sizeof h);
    if (s->hmc != NULL) h = *s->hmc;
    bnn__io_int(io, &s->kind, BNN_SGD, BNN_SGNHT, "kind");
    hmc = s->kind == BNN_HMC || s->kind == BNN_NUTS;
    bnn__io_int(io, &vectors, 0, 3, "number of vectors");
    bnn__io_count(io, &s->n, "n");
    if (s->n != f->n[k])
        bnn__io_fail(io, BNN_ESHAPE, "stepper %z is of %z values, its parameters have %z", slot,
                     s->n, f->n[k]);
    if (own != NULL && (s->kind != own->kind || vectors != bnn__stepper_vectors(own) ||
                        s->n != own->n || (hmc && own->hmc == NULL)))
        bnn__io_fail(io, BNN_ESHAPE, "stepper %z is of kind %d with %d vectors of %z, expected "
                     "kind %d with %d of %z", slot, s->kind, vectors, s->n, own->kind,
                     bnn__stepper_vectors(own), own->n);
    bnn__io_settings(io, s);
    if (vectors < bnn__states(s))
        bnn__io_fail(io, bnn__io_bad(io), "stepper %z lacks state vectors", slot);
    if (s->kind == BNN_SGHMC && s->noise_estimate > s->friction)
        bnn__io_fail(io, bnn__io_bad(io), "stepper %z has more noise than friction", slot);
    bnn__io_vectors(io, s, vectors);
    if (hmc && io->err == BNN_OK) bnn__io_hmc(io, &h, s->n, s->kind == BNN_NUTS);
    if (io->in == NULL) return;
    s->calm = 0;
    if (io->apply && s->hmc != NULL) *s->hmc = h;
    if (io->apply && s->hmc != NULL && h.mass == BNN_MASS_DENSE)
        bnn_mat_cholesky(h.root, h.cov, NULL);
}

static void bnn__io_ensemble(bnn__file *f, int id) {
    bnn__io *io = &f->io;
    bnn_ensemble *e = &bnn__copy_of(f, id)->ensemble;
    size_t slot = bnn__slot(id), k = bnn__io_owner(f, id);
    size_t n = e->samples.cols;
    bnn__io_count(io, &n, "n");
    bnn__io_count(io, &e->count, "count");
    bnn__io_size(io, &e->seen, (double)e->count, 9007199254740992.0, "number of samples offered");
    if (n != f->n[k])
        bnn__io_fail(io, bnn__io_bad(io), "ensemble %z of %z values, its parameters have %z", slot,
                     n, f->n[k]);
    if (f->own[id] != NULL && e->params == NULL &&
        bnn__io_room(io, bnn__mul(e->count, 8 + bnn__mul(n, io->element)))) {
        e->samples = bnn_mat_new(io->mem, e->count, n);
        e->weights = (double *)bnn__arena_take(io->mem, e->count, sizeof(double));
        if (io->mem->err != BNN_OK) io->err = BNN_ENOMEM;
    }
    if (e->samples.data != NULL && (n != e->samples.cols || e->count > e->samples.rows))
        bnn__io_fail(io, BNN_ESHAPE, "ensemble %z has %z samples of %z, there is room for %z of %z",
                     slot, e->count, n, e->samples.rows, e->samples.cols);
    bnn__io_array(io, e->weights, 1, e->count, 0, "weight");
    bnn__io_array(io, e->samples.data, 0, bnn__mul(e->count, n), -DBL_MAX, "sample");
}

static const bnn__field bnn__meanfield_fields[] = {
    BNN__ROW(bnn_meanfield, posterior, INT, BNN_POSTERIOR_GAUSSIAN, BNN_POSTERIOR_DELTA),
    BNN__ROW(bnn_meanfield, scale, INT, BNN_SCALE_SOFTPLUS, BNN_SCALE_LOG),
    BNN__ROW(bnn_meanfield, estimator, INT, BNN_ESTIMATE_PATH, BNN_ESTIMATE_BATCH_BIASED),
    BNN__ROW(bnn_meanfield, ard, INT, BNN_ARD_NONE, BNN_ARD_WEIGHT),
    BNN__FLAG(bnn_meanfield, share),
    BNN__ROW(bnn_meanfield, log_rate, FLOAT, BNN__POSITIVE, DBL_MAX),
    BNN__FROM_0(bnn_meanfield, kl_weight),
    BNN__ROW(bnn_meanfield, draws, SIZE, 1, 1 << 20),
    BNN__ROW(bnn_meanfield, n, SIZE, 0, DBL_MAX) };

/* Its values are in the store of q.params, its priors in that of w */
static void bnn__io_meanfield(bnn__file *f, int id) {
    bnn__io *io = &f->io;
    bnn_meanfield *q = &bnn__copy_of(f, id)->meanfield;
    const bnn_meanfield *own = (const bnn_meanfield *)f->own[id];
    size_t slot = bnn__slot(id), k = bnn__io_owner(f, id);
    int of = 0;
    while (own != NULL && of + 1 < BNN__CP_STORES && f->store[of] != own->of) of++;
    if (own != NULL && f->store[of] != own->of)
        bnn__io_fail(io, BNN_EARG, "mean field %z: its net must be in the file, too", slot);
    bnn__io_int(io, &of, 0, BNN__CP_STORES - 1, "store of the weights");
    BNN__FIELDS(io, q, bnn__meanfield_fields);
    if (q->n > f->n[k] / 2 || q->n != f->n[of])
        bnn__io_fail(io, bnn__io_bad(io), "mean field %z does not fit its parameters", slot);
    if (own != NULL && (q->n != own->n || f->store[of] != own->of ||
                        (q->estimator != BNN_ESTIMATE_PATH && own->curvature == NULL)))
        bnn__io_fail(io, BNN_ESHAPE, "mean field %z is of another estimator or net", slot);
    if (io->in == NULL && io->needed < 2) io->needed = 2;
    q->drawn = q->curved = 0; /* the next draw comes from the generator */
}

static void bnn__io_words(bnn__io *io, uint32_t *v, size_t n) {
    size_t i;
    for (i = 0; i < n; i++) v[i] = (uint32_t)bnn__io_word(io, v[i], 4);
}

static void bnn__io_rng(bnn__file *f, int id) {
    bnn_rng *r = &bnn__copy_of(f, id)->rng;
    f->io.of = "a generator";
    bnn__io_words(&f->io, r->key, 2);
    bnn__io_words(&f->io, r->ctr, 4);
    bnn__io_words(&f->io, r->buf, 4);
    bnn__io_int(&f->io, &r->left, 0, 4, "words left");
}

static void bnn__io_bytes(bnn__file *f, int id) {
    bnn__io *io = &f->io;
    bnn_bytes *b = &bnn__copy_of(f, id)->bytes;
    bnn__io_count(io, &b->size, "size");
    if (io->apply || !bnn__io_room(io, b->size)) return; /* they are in the copy */
    if (io->in == NULL && io->needed < 3) io->needed = 3;
    if (io->in != NULL && f->own[id] != NULL) {
        b->data = bnn__arena_take(io->mem, b->size, 1);
        if (b->data == NULL) io->err = BNN_ENOMEM;
        else if (b->size != 0) memcpy(b->data, io->in + io->pos, b->size);
    } else if (io->out != NULL && b->size != 0) memcpy(io->out + io->pos, b->data, b->size);
    io->pos += b->size;
}

/* ---- whole files */

static void bnn__layout_nets(bnn__file *f, int id) { /* all that bnn_save and bnn_load know */
    switch (id / BNN__CP_STORES) {
    case BNN__CP_STORE: bnn__io_store(f, id); break;
    case BNN__CP_NET: bnn__io_net(f, id); break;
    default: f->io.pos = f->io.end; break;
    }
}

static void bnn__layout_all(bnn__file *f, int id) {
    switch (id / BNN__CP_STORES) {
    case BNN__CP_STEPPER: bnn__io_stepper(f, id); break;
    case BNN__CP_ENSEMBLE: bnn__io_ensemble(f, id); break;
    case BNN__CP_MEAN: bnn__io_meanfield(f, id); break;
    case BNN__CP_RNG: bnn__io_rng(f, id); break;
    case BNN__CP_BYTES: bnn__io_bytes(f, id); break;
    default: bnn__layout_nets(f, id); break;
    }
}

/* Working copies of what the caller points to; an arena in error stands for everything in it. */
static void bnn__file_open(bnn__file *f, bnn__source s, const bnn_checkpoint *c,
                           bnn__layout *section) {
    int id;
    memset(f, 0, sizeof *f);
    f->section = section;
    f->io.mem = s.mem;
    f->io.name = s.name;
    f->io.in = s.bytes;
    for (id = BNN__CP_STORES; id < BNN__CP_SECTIONS; id++) {
        const bnn__kind *kind = bnn__kind_of(id);
        size_t slot = bnn__slot(id);
        bnn_params *w;
        if (slot >= BNN__CP_PLACES) continue;
        memcpy(&f->own[id], (const char *)c + kind->place + slot * sizeof w, sizeof w);
        if (f->own[id] == NULL) continue; /* pointers to structs are all alike */
        memcpy(bnn__copy_of(f, id), f->own[id], kind->size);
        w = bnn__params_of(f, id);
        if (w != NULL && w->mem->err != BNN_OK)
            bnn__io_fail(&f->io, w->mem->err, "%s", w->mem->msg);
        if (id / BNN__CP_STORES != BNN__CP_NET || s.bytes != NULL) continue;
        f->has_mlp[slot] = bnn__net_of(f, slot)->mlp != NULL;
        if (f->has_mlp[slot]) f->mlp[slot] = *bnn__net_of(f, slot)->mlp;
    }
}

static void bnn__file_collect(bnn__file *f) { /* numbers the distinct parameters */
    int id, k;
    for (id = BNN__CP_STORES; id < BNN__CP_RNG * BNN__CP_STORES; id++) {
        bnn_params *w = bnn__params_of(f, id);
        if (f->own[id] == NULL) continue;
        if (w == NULL)
            bnn__io_fail(&f->io, BNN_EARG, "place %z of \"%s\" has no parameters", bnn__slot(id),
                         bnn__kind_of(id)->tag);
        for (k = 0; w != NULL && f->store[k] != NULL && f->store[k] != w;) k++;
        f->store[k] = w;
        f->owner[id] = k;
    }
}

static void bnn__file_write(bnn__file *f) { /* all of it, or its length */
    bnn__io *io = &f->io;
    size_t sections = 0, i;
    int id;
    io->pos = 0;
    for (i = 0; i < 8; i++) (void)bnn__io_word(io, bnn__cp_magic()[i], 1);
    (void)bnn__io_word(io, (uint64_t)io->version, 4);
    (void)bnn__io_word(io, io->element, 4);
    (void)bnn__io_word(io, f->size, 8);
    (void)bnn__io_word(io, f->sections, 4);
    for (id = BNN__CP_BYTES * BNN__CP_STORES; id < BNN__CP_SECTIONS && f->own[id] == NULL;) id++;
    (void)bnn__io_word(io, id < BNN__CP_SECTIONS ? BNN__CP_MINOR : 0, 4); /* others skip bytes */
    for (id = 0; id < BNN__CP_SECTIONS; id++) {
        if (id < BNN__CP_STORES ? f->store[id] == NULL : f->own[id] == NULL) continue;
        for (i = 0; i < 4; i++) (void)bnn__io_word(io, (unsigned char)bnn__kind_of(id)->tag[i], 1);
        (void)bnn__io_word(io, bnn__slot(id), 4);
        (void)bnn__io_word(io, f->end[id] - f->begin[id], 8);
        f->begin[id] = io->pos;
        f->section(f, id);
        f->end[id] = io->pos;
        sections++;
    }
    (void)bnn__io_word(io, io->out != NULL ? bnn__crc32(io->out, io->pos) : 0, 4);
    f->sections = sections;
    f->size = io->pos;
}

static int bnn__cp_write(bnn_arena *mem, const bnn_checkpoint *c, bnn__layout *section,
                         const char *name, void **bytes, size_t *size) {
    bnn__source s = { mem, name, NULL, 0 };
    bnn__file f;
    if (mem == NULL || c == NULL || bytes == NULL || size == NULL) return BNN_EARG;
    if (mem->err != BNN_OK) return mem->err;
    bnn__file_open(&f, s, c, section);
    bnn__file_collect(&f);
    f.io.element = sizeof(float);
    f.io.needed = 1;
    while (f.io.err == BNN_OK && f.io.version < f.io.needed) { /* the oldest that has it all */
        f.io.version = f.io.needed;
        bnn__file_write(&f);
    }
    if (f.io.err != BNN_OK) return f.io.err;
    f.io.out = (unsigned char *)bnn__arena_take(mem, f.size, 1);
    mem->err = BNN_OK; /* no memory here is no error of the arena */
    if (f.io.out == NULL) return BNN_ENOMEM;
    bnn__file_write(&f);
    *bytes = f.io.out;
    *size = f.size;
    return BNN_OK;
}

/* Magic, version, length and checksum: a file of ours, whole and unchanged */
static void bnn__file_frame(bnn__file *f, size_t size) {
    bnn__io *io = &f->io;
    size_t version, minor, length;
    if (size < 8 || memcmp(io->in, bnn__cp_magic(), 8) != 0)
        bnn__io_fail(io, BNN_EFORMAT, "not a checkpoint of bnn.h");
    io->pos = 8;
    io->end = size;
    version = (size_t)bnn__io_word(io, 0, 4);
    if (version == 0 || version > BNN__CP_VERSION)
        bnn__io_fail(io, BNN_EFORMAT, "version %z, expected 1 to %d", version, BNN__CP_VERSION);
    io->version = (int)version;
    io->element = (size_t)bnn__io_word(io, 0, 4);
    if (io->element != 4 && io->element != 8)
        bnn__io_fail(io, BNN_EFORMAT, "numbers of %z bytes, expected 4 or 8", io->element);
    length = (size_t)bnn__io_word(io, 0, 8);
    if (length != size || size < BNN__CP_HEADER + 4)
        bnn__io_fail(io, BNN_EFORMAT, "length %z, but there are %z bytes: truncated or damaged",
                     length, size);
    f->sections = (size_t)bnn__io_word(io, 0, 4);
    minor = (size_t)bnn__io_word(io, 0, 4);
    io->newer = minor > BNN__CP_MINOR;
    if (minor > 0 && version < 3) bnn__io_fail(io, BNN_EFORMAT, "reserved word is not 0");
    if (io->err != BNN_OK) return;
    io->pos = size - 4;
    if ((uint32_t)bnn__io_word(io, 0, 4) != bnn__crc32(io->in, size - 4))
        bnn__io_fail(io, BNN_EFORMAT, "checksum is wrong: damaged");
    f->size = size - 4;
}

static void bnn__file_index(bnn__file *f) { /* where each section is */
    bnn__io *io = &f->io;
    size_t i;
    io->pos = BNN__CP_HEADER;
    io->end = f->size;
    for (i = 0; i < f->sections && io->err == BNN_OK; i++) {
        size_t length = 0, slot, at = io->pos;
        int kind = 0, known, id;
        (void)bnn__io_word(io, 0, 4);
        slot = (size_t)bnn__io_word(io, 0, 4);
        bnn__io_count(io, &length, "length");
        if (!bnn__io_room(io, length)) return;
        while (kind < BNN__CP_KINDS && memcmp(io->in + at, bnn__kinds[kind].tag, 4) != 0) kind++;
        known = kind < BNN__CP_KINDS &&
                slot < (size_t)(kind == BNN__CP_STORE ? BNN__CP_STORES : BNN__CP_PLACES);
        id = known ? bnn__section(kind, slot) : 0;
        io->at = at;
        if (known ? f->begin[id] != 0 : !io->newer)
            bnn__io_fail(io, BNN_EFORMAT, "unknown or repeated section");
        if (known) f->begin[id] = io->pos;
        io->pos += length;
        if (known) f->end[id] = io->pos;
    }
    io->at = io->pos;
    if (io->pos != io->end) bnn__io_fail(io, BNN_EFORMAT, "bytes behind the last section");
}

static void bnn__file_seek(bnn__file *f, int id) {
    f->io.at = f->io.pos = f->begin[id];
    f->io.end = f->end[id];
}

/* Which of the caller's parameters the store of this section belongs to */
static void bnn__file_bind(bnn__file *f, int id) {
    const bnn__kind *kind = bnn__kind_of(id);
    bnn__io *io = &f->io;
    bnn_params *w = bnn__params_of(f, id);
    int i, k;
    if (f->begin[id] == 0 && f->own[id] != NULL)
        bnn__io_fail(io, BNN_EFORMAT, "no section \"%s\" %z, but it was asked for", kind->tag,
                     bnn__slot(id));
    if (f->begin[id] == 0 || id / BNN__CP_STORES >= BNN__CP_RNG) return;
    bnn__file_seek(f, id);
    k = (int)bnn__io_owner(f, id);
    if (f->begin[k] == 0) bnn__io_fail(io, BNN_EFORMAT, "there is no store %d", k);
    if (f->own[id] == NULL || io->err != BNN_OK) return;
    if (w == NULL && (kind == &bnn__kinds[BNN__CP_STEPPER] || kind == &bnn__kinds[BNN__CP_MEAN]))
        bnn__io_fail(io, BNN_EARG, "%s %z must be made before it is loaded",
                     strchr(kind->a, ' ') + 1, bnn__slot(id));
    if (w == NULL) return;
    for (i = 0; i < BNN__CP_STORES; i++)
        if (f->store[i] != NULL && (f->store[i] == w) != (i == k))
            bnn__io_fail(io, BNN_EARG, "\"%s\" %z does not share parameters as it did when saved",
                         kind->tag, bnn__slot(id));
    f->store[k] = w;
}

static void bnn__file_sections(bnn__file *f) {
    int id;
    for (id = 0; id < BNN__CP_SECTIONS; id++) {
        if (f->io.err != BNN_OK || f->begin[id] == 0) continue;
        bnn__file_seek(f, id);
        f->section(f, id);
        f->io.at = f->io.pos;
        if (f->io.pos != f->io.end && !f->io.newer && !f->io.apply)
            bnn__io_fail(&f->io, BNN_EFORMAT, "the section is too long");
    }
}

static void bnn__file_make_store(bnn__file *f, int k) {
    f->store[k] = bnn_params_new(f->io.mem);
    f->made[k] = 1;
    if (f->store[k] == NULL) f->io.err = BNN_ENOMEM;
    else bnn__file_seek(f, k), bnn__io_store(f, k);
}

/* What bnn_mlp makes of a desc, over blocks that are there */
static void bnn__file_make_mlp(bnn__file *f, size_t slot, bnn_params *w) {
    bnn_net *net = bnn__net_of(f, slot);
    struct bnn__mlp *m = (struct bnn__mlp *)bnn_arena_alloc(w->mem, 1, sizeof *m);
    size_t l;
    if ((f->io.err = w->mem->err) != BNN_OK) return;
    *m = f->mlp[slot];
    net->params = w, net->forward = bnn__mlp_forward, net->user = NULL;
    net->mlp = m;
    for (l = 0; l < m->n_layers; l++) {
        bnn_mat a = bnn__layer(w, m, l, 0), b = bnn__layer(w, m, l, 1);
        if (a.rows != m->desc.sizes[l] || a.cols != m->desc.sizes[l + 1] ||
            (!m->desc.no_bias && (b.rows != 1 || b.cols != a.cols)))
            bnn__io_fail(&f->io, BNN_EFORMAT, "net %z has not the blocks of its layers", slot);
    }
}

static void bnn__file_make_net(bnn__file *f, size_t slot) {
    bnn__io *io = &f->io;
    bnn_net *net = bnn__net_of(f, slot);
    int k = f->owner[bnn__section(BNN__CP_NET, slot)];
    if (net->params == NULL) {
        if (!f->has_mlp[slot] || (f->store[k] != NULL && !f->made[k]))
            bnn__io_fail(io, BNN_EARG, "net %z must be made before it is loaded", slot);
        else if (!f->made[k]) bnn__file_make_store(f, k);
        if (io->err == BNN_OK) bnn__file_make_mlp(f, slot, f->store[k]);
    }
    if (io->err != BNN_OK || !net->noise_learned) return;
    if (bnn__mat_size(bnn_params_mat(net->params, net->noise)) == 0)
        bnn__io_fail(io, BNN_EFORMAT, "net %z has no place for its noise", slot);
}

static void bnn__file_make(bnn__file *f) { /* what is new, and what that needs */
    int id = BNN__CP_NET * BNN__CP_STORES;
    for (; id < BNN__CP_STEPPER * BNN__CP_STORES && f->io.err == BNN_OK; id++)
        if (f->own[id] != NULL) bnn__file_make_net(f, bnn__slot(id));
    for (id = BNN__CP_ENSEMBLE * BNN__CP_STORES; id < BNN__CP_MEAN * BNN__CP_STORES; id++) {
        bnn_params *w = f->store[f->owner[id]];
        if (f->own[id] == NULL || bnn__params_of(f, id) != NULL) continue;
        if (w == NULL)
            bnn__io_fail(&f->io, BNN_EARG, "ensemble %z must be made before it is loaded",
                         bnn__slot(id));
        bnn__copy_of(f, id)->ensemble.params = w;
    }
}

static void bnn__file_commit(bnn__file *f) {
    int id;
    f->io.apply = 1;
    bnn__file_sections(f);
    for (id = 0; id < BNN__CP_SECTIONS; id++)
        if (f->own[id] != NULL) memcpy(f->own[id], bnn__copy_of(f, id), bnn__kind_of(id)->size);
    for (id = 0; id < BNN__CP_PLACES; id++) {
        struct bnn__mlp *mlp = bnn__net_of(f, (size_t)id)->mlp;
        if (mlp != NULL && f->has_mlp[id]) mlp->desc = f->mlp[id].desc;
    }
}

static int bnn__cp_load(bnn__source s, const bnn_checkpoint *c, bnn__layout *section) {
    bnn__file f;
    int id;
    if (c == NULL) return BNN_EARG;
    bnn__file_open(&f, s, c, section);
    bnn__file_frame(&f, s.size);
    if (f.io.err == BNN_OK) bnn__file_index(&f);
    for (id = BNN__CP_STORES; id < BNN__CP_SECTIONS && f.io.err == BNN_OK; id++)
        bnn__file_bind(&f, id);
    bnn__file_sections(&f);
    if (f.io.err == BNN_OK) bnn__file_make(&f);
    if (f.io.err == BNN_OK) bnn__file_commit(&f);
    return f.io.err;
}

static int bnn__cp_parse(bnn__source s, void *out, const void *how) {
    (void)out;
    return bnn__cp_load(s, (const bnn_checkpoint *)how, bnn__layout_all);
}

BNNDEF int bnn_checkpoint_write(bnn_arena *mem, const bnn_checkpoint *c, void **bytes,
                                size_t *size) {
    return bnn__cp_write(mem, c, bnn__layout_all, "checkpoint", bytes, size);
}

BNNDEF int bnn_checkpoint_read(bnn_arena *mem, const bnn_checkpoint *c, const void *bytes,
                               size_t size) {
    if (bytes == NULL) return BNN_EARG;
    return bnn__parse(mem, "checkpoint", bytes, size, bnn__cp_parse, NULL, c);
}

/* ------------------------------------------------------------------------------------------------
 * >>recipe  The bytes of a recipe: docs/format.md has the table. What a program does not call costs
 * it nothing: a checkpoint knows only bytes.
 * --------------------------------------------------------------------------------------------- */

static void bnn__io_string(bnn__io *io, char **s) {
    size_t n = *s != NULL ? strlen(*s) : 0, i;
    bnn__io_count(io, &n, "length of a text");
    if (!bnn__io_room(io, n)) return;
    if (io->in != NULL && (*s = (char *)bnn_arena_alloc(io->mem, n + 1, 1)) == NULL) {
        io->err = BNN_ENOMEM;
        return;
    }
    for (i = 0; i < n; i++) {
        char c = (char)bnn__io_word(io, (unsigned char)(*s)[i], 1);
        if (io->in != NULL) (*s)[i] = c;
    }
}

static void bnn__io_feature(bnn__io *io, bnn_feature *f) {
    size_t i;
    bnn__io_string(io, &f->name);
    bnn__io_int(io, &f->kind, BNN_COLUMN_NUMBER, BNN_COLUMN_DATE, "kind");
    bnn__io_int(io, &f->dates, 0, 3, "order of dates");
    bnn__io_int(io, &f->indicator, 0, 1, "indicator");
    bnn__io_count(io, &f->n_classes, "number of classes");
    if (!bnn__io_room(io, bnn__mul(f->n_classes, 8))) return;
    if (f->kind == BNN_COLUMN_YESNO ? f->n_classes != 2
                                    : (f->kind == BNN_COLUMN_CLASS) != (f->n_classes != 0))
        bnn__io_fail(io, bnn__io_bad(io), "a column has %z classes", f->n_classes);
    f->width = f->kind == BNN_COLUMN_CLASS ? f->n_classes : 1;
    if (io->in != NULL) {
        f->classes = (char **)bnn_arena_alloc(io->mem, f->n_classes, sizeof *f->classes);
        f->mean = (float *)bnn_arena_alloc(io->mem, f->width, sizeof(float));
        if (io->mem->err != BNN_OK) io->err = BNN_ENOMEM;
    }
    for (i = 0; i < f->n_classes && io->err == BNN_OK; i++) bnn__io_string(io, &f->classes[i]);
    bnn__io_array(io, f->mean, 0, io->err == BNN_OK ? f->width : 0, -DBL_MAX, "mean");
}

static void bnn__io_recipe(bnn__io *io, bnn_recipe *r) {
    int version = 1, target = r->target.name != NULL;
    size_t i;
    io->of = "a recipe";
    bnn__io_int(io, &version, 1, 1, "version");
    bnn__io_int(io, &r->missing, BNN_MISSING_REFUSE, BNN_MISSING_INDICATOR, "missing");
    bnn__io_int(io, &r->unknown, BNN_UNKNOWN_REFUSE, BNN_UNKNOWN_ZERO, "unknown");
    bnn__io_int(io, &target, 0, 1, "target");
    bnn__io_count(io, &r->n_inputs, "number of columns");
    if (!bnn__io_room(io, bnn__mul(r->n_inputs, 40))) return; /* a column has more */
    if (io->in != NULL)
        r->inputs = (bnn_feature *)bnn_arena_alloc(io->mem, r->n_inputs, sizeof *r->inputs);
    if (r->inputs == NULL) io->err = BNN_ENOMEM;
    for (i = 0; i < r->n_inputs && io->err == BNN_OK; i++) bnn__io_feature(io, &r->inputs[i]);
    if (target && io->err == BNN_OK) bnn__io_feature(io, &r->target);
}

BNNDEF bnn_bytes bnn_recipe_write(bnn_arena *mem, const bnn_recipe *r) {
    bnn_bytes b = { NULL, 0 };
    bnn_recipe copy = *r;
    bnn__io io;
    memset(&io, 0, sizeof io);
    if (mem->err != BNN_OK || r->n_inputs == 0) return b;
    io.mem = mem;
    io.name = "bnn_recipe_write";
    io.element = 8; /* the bytes do not depend on the size of a float */
    bnn__io_recipe(&io, &copy);
    if (io.err != BNN_OK) return b;
    b.size = io.pos;
    io.pos = 0;
    b.data = bnn__arena_take(mem, b.size, 1);
    io.out = (unsigned char *)b.data;
    if (b.data != NULL) bnn__io_recipe(&io, &copy);
    return b;
}

static int bnn__recipe_parse(bnn__source s, void *out, const void *how) {
    bnn_recipe r;
    bnn__io io;
    (void)how;
    memset(&io, 0, sizeof io);
    memset(&r, 0, sizeof r);
    if (out == NULL) return BNN_EARG;
    io.mem = s.mem;
    io.name = s.name;
    io.in = s.bytes;
    io.end = s.size;
    io.element = 8;
    bnn__io_recipe(&io, &r);
    if (io.err == BNN_OK && io.pos != io.end)
        bnn__io_fail(&io, BNN_EFORMAT, "bytes behind the end");
    if (io.err == BNN_OK) bnn__recipe_layout(s.mem, &r);
    if (s.mem->err != BNN_OK) return s.mem->err;
    if (io.err == BNN_OK) *(bnn_recipe *)out = r;
    return io.err;
}

BNNDEF int bnn_recipe_read(bnn_arena *mem, bnn_recipe *r, bnn_bytes bytes) {
    return bnn__parse(mem, "recipe", bytes.data, bytes.size, bnn__recipe_parse, r, NULL);
}

/* ------------------------------------------------------------------------------------------------
 * >>npy  NumPy's .npy is a Python literal and the items; .npz is a zip of these (PKWARE's APPNOTE),
 * read by its directory; .safetensors is a length, JSON and the items. One cursor reads the literal
 * and the JSON, one function the items.
 * --------------------------------------------------------------------------------------------- */

static char *bnn__arrays_name(bnn_arena *mem, const char *name, size_t n) {
    char *to = (char *)bnn__arena_take(mem, n + 1, 1);
    if (to == NULL) return NULL;
    if (n != 0) memcpy(to, name, n);
    to[n] = '\0';
    return to;
}

/* Room doubles: a count that is a power of two is full. */
static bnn_array *bnn__arrays_more(bnn_arena *mem, bnn_arrays *a) {
    if ((a->count & (a->count - 1)) == 0) {
        bnn_array *at = (bnn_array *)bnn_arena_alloc(mem, a->count == 0 ? 1 : 2 * a->count,
                                                     sizeof *at);
        if (at == NULL) return NULL;
        if (a->count != 0) memcpy(at, a->at, a->count * sizeof *at);
        a->at = at;
    }
    memset(&a->at[a->count], 0, sizeof *a->at);
    return &a->at[a->count++];
}

BNNDEF bnn_array *bnn_arrays_find(const bnn_arrays *a, const char *name) {
    size_t i;
    for (i = 0; i < a->count; i++)
        if (a->at[i].name != NULL && strcmp(a->at[i].name, name) == 0) return &a->at[i];
    return NULL;
}

static uint64_t bnn__little(const unsigned char *p, size_t bytes) {
    uint64_t v = 0;
    while (bytes > 0) v = v << 8 | p[--bytes];
    return v;
}

/* kind: f float, h bfloat, i, u, b bool */
static double bnn__item_value(char kind, const unsigned char *p, size_t bytes, int big) {
    uint64_t v = 0, half = (uint64_t)1 << (8 * bytes - 1), m;
    size_t i;
    for (i = 0; i < bytes; i++) v = v << 8 | p[big ? i : bytes - 1 - i];
    if (kind == 'h') return bnn__double_of_f32((uint32_t)v << 16);
    if (kind == 'b') return v != 0;
    if (kind == 'u' || (kind == 'i' && v < half)) return (double)v;
    if (kind == 'i') return -(double)((~v & (half - 1)) + 1);
    if (bytes == 8) return bnn__of_bits(v);
    if (bytes == 4) return bnn__double_of_f32((uint32_t)v);
    m = v & 0x3ff; /* half precision: 5 bits of exponent, 10 of mantissa */
    i = (size_t)(v >> 10 & 31);
    if (i == 31) return m != 0 ? bnn__nan() : v & half ? -bnn__inf() : bnn__inf();
    return ldexp(v & half ? -(double)(i != 0 ? m + 1024 : m) : (double)(i != 0 ? m + 1024 : m),
                 (int)(i != 0 ? i : 1) - 25);
}

typedef struct bnn__items { /* where the items of an array are, and how */
    char kind;
    size_t bytes;      /* of one */
    int big, fortran;
    const unsigned char *at;
    size_t there;      /* bytes */
} bnn__items;

/* Its shape is known: checks it against the bytes there are, and reads them. */
static int bnn__array_fill(bnn__source s, bnn_array *a, const bnn__items *in) {
    size_t i, j, count, index[BNN_MAX_DIMS] = { 0 }, from = 0;
    char name[32];
    (void)bnn__excerpt(name, a->name, strlen(a->name));
    a->values.rows = a->values.cols = 1;
    for (i = 0; i < a->dims; i++) {
        size_t *to = i == 0 ? &a->values.rows : &a->values.cols;
        *to = bnn__mul(*to, a->shape[i]);
    }
    count = bnn__mul(a->values.rows, a->values.cols);
    if (count == 0)
        return bnn__arena_say(s.mem, BNN_EFORMAT, "%s: array \"%s\" is empty", s.name, name);
    if (count == SIZE_MAX || bnn__mul(count, in->bytes) != in->there)
        return bnn__arena_say(s.mem, BNN_EFORMAT, "%s: array \"%s\" promises %z items of %z bytes, "
                              "there are %z bytes", s.name, name, count, in->bytes, in->there);
    a->values.data = (float *)bnn__arena_take(s.mem, count, sizeof(float));
    if (a->values.data == NULL) return BNN_ENOMEM;
    for (i = 0; i < count; i++) {
        double v = bnn__item_value(in->kind, in->at + (in->fortran ? from : i) * in->bytes,
                                   in->bytes, in->big);
        size_t stride = count;
        a->values.data[i] = (float)v;
        if (bnn__finite_d(v) && !bnn__finite(a->values.data[i]))
            return bnn__arena_say(s.mem, BNN_EFORMAT, "%s: item %z of \"%s\", %g, does not fit a "
                                  "float", s.name, i, name, v);
        for (j = a->dims; in->fortran && j-- > 0;) { /* the last axis is the slowest in the file */
            stride /= a->shape[j];
            from += stride;
            if (++index[j] < a->shape[j]) break;
            from -= stride * a->shape[j];
            index[j] = 0;
        }
    }
    return BNN_OK;
}

/* ---- literals */

typedef struct bnn__literal {
    const char *p, *end;
    int bad; /* something else stood there */
} bnn__literal;

static char bnn__literal_peek(bnn__literal *l) {
    while (l->p < l->end && *l->p != '\0' && strchr(" \n\t\r", *l->p) != NULL) l->p++;
    return l->p < l->end ? *l->p : '\0';
}

static int bnn__literal_take(bnn__literal *l, const char *any) { /* one of these characters */
    char c = bnn__literal_peek(l);
    if (c == '\0' || strchr(any, c) == NULL) return 0;
    l->p++;
    return 1;
}

static void bnn__literal_need(bnn__literal *l, const char *any) {
    if (!bnn__literal_take(l, any)) l->bad = 1;
}

/* Without its quotes; escapes are not read but make it bad: no name needs them. */
static const char *bnn__literal_string(bnn__literal *l, size_t *n) {
    char quote = bnn__literal_peek(l);
    const char *begin;
    *n = 0;
    if (quote != '"' && quote != '\'') return l->bad = 1, "";
    for (begin = ++l->p; l->p < l->end && *l->p != quote && *l->p != '\\';) l->p++;
    *n = (size_t)(l->p - begin);
    if (l->p == l->end || *l->p != quote) l->bad = 1;
    else l->p++;
    return begin;
}

static size_t bnn__literal_sizes(bnn__literal *l, size_t most, size_t *v) { /* (1, 2) or [1, 2] */
    size_t n = 0;
    bnn__literal_need(l, "([");
    while (!l->bad && !bnn__literal_take(l, ")]")) {
        size_t d = 0;
        l->bad |= n == most || bnn__digit((bnn__literal_peek(l), l->p), l->end) > 9;
        for (; !l->bad && bnn__digit(l->p, l->end) <= 9; l->p++) {
            l->bad |= d > (SIZE_MAX - 9) / 10;
            d = d * 10 + bnn__digit(l->p, l->end);
        }
        if (!l->bad) v[n++] = d;
        (void)bnn__literal_take(l, "L"); /* of Python 2 */
        if (!bnn__literal_take(l, ",") && strchr(")]", bnn__literal_peek(l)) == NULL) l->bad = 1;
    }
    return n;
}

static void bnn__literal_skip(bnn__literal *l) { /* a flat object of strings */
    size_t n;
    bnn__literal_need(l, "{");
    while (!l->bad && !bnn__literal_take(l, "}")) {
        const char *p = l->p;
        if (bnn__literal_take(l, ":,")) continue;
        (void)bnn__literal_string(l, &n);
        while (l->bad && l->p > p && l->p + 1 < l->end && *l->p == '\\') { /* any escapes here */
            char quote = *p == '\'' ? '\'' : '"';
            for (l->p += 2; l->p < l->end && *l->p != quote && *l->p != '\\';) l->p++;
            if (l->p < l->end && *l->p == quote) l->p++, l->bad = 0;
        }
    }
}

/* ---- .npy */

static int bnn__npy_header(bnn__literal *l, bnn_array *a, bnn__items *in) { /* 0 = none we know */
    const char *s;
    size_t n, seen = 0;
    bnn__literal_need(l, "{");
    while (!l->bad && !bnn__literal_take(l, "}")) {
        s = bnn__literal_string(l, &n);
        bnn__literal_need(l, ":");
        if (n == 5 && memcmp(s, "descr", 5) == 0) {
            seen |= 1;
            s = bnn__literal_string(l, &n);
            if (n != 3 || strchr("<>|=", s[0]) == NULL || s[0] == '\0') return 0;
            in->big = s[0] == '>';
            in->kind = s[1];
            in->bytes = bnn__digit(s + 2, s + 3);
            if (strchr(s[1] == 'f' ? "248" : s[1] == 'b' ? "1" : s[1] == 'i' || s[1] == 'u'
                       ? "1248" : "", s[2]) == NULL || s[2] == '\0') return 0;
        } else if (n == 13 && memcmp(s, "fortran_order", 13) == 0) {
            seen |= 2;
            in->fortran = bnn__literal_peek(l) == 'T';
            while (l->p < l->end && (*l->p | 32) >= 'a' && (*l->p | 32) <= 'z') l->p++;
        } else if (n == 5 && memcmp(s, "shape", 5) == 0) {
            seen |= 4;
            a->dims = bnn__literal_sizes(l, BNN_MAX_DIMS, a->shape);
        } else return 0;
        if (!bnn__literal_take(l, ",") && bnn__literal_peek(l) != '}') return 0;
    }
    return !l->bad && seen == 7;
}

static int bnn__npy_read(bnn__source s, bnn_array *a, const unsigned char *p, size_t size) {
    bnn__items in;
    bnn__literal l;
    char name[32];
    size_t head = size < 12 ? 0 : p[6] == 1 ? 10 : 12, n = 0;
    memset(&in, 0, sizeof in);
    if (head != 0 && memcmp(p, "\x93NUMPY", 6) == 0) n = (size_t)bnn__little(p + 8, head - 8);
    l.p = (const char *)p + head;
    l.end = l.p + n;
    l.bad = n == 0 || n > size - head;
    if (l.bad || !bnn__npy_header(&l, a, &in))
        return bnn__arena_say(s.mem, BNN_EFORMAT, "%s: array \"%s\" is not .npy of numbers of at "
                              "most 8 axes", s.name, bnn__excerpt(name, a->name, strlen(a->name)));
    in.at = p + head + n;
    in.there = size - head - n;
    return bnn__array_fill(s, a, &in);
}

/* ---- .npz */

static int bnn__zip_fail(bnn__source s, const char *name, size_t n, const char *what) {
    char text[32];
    return bnn__arena_say(s.mem, BNN_EFORMAT, "%s: member \"%s\" %s", s.name,
                          bnn__excerpt(text, name, n), what);
}

/* The member of a directory entry at p; all of them together are not longer than the file. */
static int bnn__zip_member(bnn__source s, bnn_arrays *out, const unsigned char *p, size_t name_size,
                           size_t *left) {
    const char *name = (const char *)p + 46;
    size_t at = (size_t)bnn__little(p + 42, 4), size = (size_t)bnn__little(p + 24, 4), skip, i;
    bnn_array *a;
    if (p[10] != 0 || p[11] != 0 || bnn__little(p + 20, 4) != size || (p[8] & 1) != 0)
        return bnn__zip_fail(s, name, name_size, "is deflated: write it with np.savez");
    for (i = 0; i < name_size; i++)
        if (name[i] == '/' || name[i] == '\\' || name[i] == '\0')
            return bnn__zip_fail(s, name, name_size, "has a path in its name");
    if (name_size < 5 || memcmp(name + name_size - 4, ".npy", 4) != 0)
        return bnn__zip_fail(s, name, name_size, "is no .npy");
    skip = s.size < 30 || at > s.size - 30 || memcmp(s.bytes + at, "PK\3\4", 4) != 0 ? SIZE_MAX / 4
           : at + 30 + (size_t)bnn__little(s.bytes + at + 26, 2) +
             (size_t)bnn__little(s.bytes + at + 28, 2);
    if (skip > s.size || size > s.size - skip || size > *left)
        return bnn__zip_fail(s, name, name_size, "is not whole in the file");
    *left -= size;
    if (bnn__crc32(s.bytes + skip, size) != (uint32_t)bnn__little(p + 16, 4))
        return bnn__zip_fail(s, name, name_size, "has a wrong checksum: damaged");
    a = bnn__arrays_more(s.mem, out);
    if (a == NULL || (a->name = bnn__arrays_name(s.mem, name, name_size - 4)) == NULL)
        return BNN_ENOMEM;
    if (bnn_arrays_find(out, a->name) != a)
        return bnn__zip_fail(s, name, name_size, "is there twice");
    return bnn__npy_read(s, a, s.bytes + skip, size);
}

static int bnn__npz_read(bnn__source s, bnn_arrays *out) {
    size_t at = s.size, entries, left = s.size, i;
    int err = BNN_OK;
    if (s.size >= 22) at -= 22; /* only a comment may stand behind it */
    while (at > 0 && s.size - at < 65557 && memcmp(s.bytes + at, "PK\5\6", 4) != 0) at--;
    if (s.size < 22 || memcmp(s.bytes + at, "PK\5\6", 4) != 0)
        return bnn__arena_say(s.mem, BNN_EFORMAT, "%s: a zip without its end: truncated", s.name);
    entries = (size_t)bnn__little(s.bytes + at + 10, 2);
    at = (size_t)bnn__little(s.bytes + at + 16, 4);
    for (i = 0; i < entries && err == BNN_OK; i++) {
        const unsigned char *p = s.bytes + at;
        size_t name, rest;
        if (at > s.size || s.size - at < 46 || memcmp(p, "PK\1\2", 4) != 0) break;
        name = (size_t)bnn__little(p + 28, 2);
        rest = (size_t)bnn__little(p + 30, 2) + (size_t)bnn__little(p + 32, 2);
        if (name > s.size - at - 46) break;
        err = bnn__zip_member(s, out, p, name, &left);
        at += 46 + name + rest;
    }
    if (err == BNN_OK && (i < entries || entries == 0))
        return bnn__arena_say(s.mem, BNN_EFORMAT, "%s: entry %z of the zip's %z is damaged", s.name,
                              i, entries);
    return err;
}

/* ---- .safetensors */

static int bnn__tensor_read(bnn__source s, bnn_arrays *out, bnn__literal *l, const char *name,
                            size_t name_size, size_t head) {
    static const char types[][6] = { "F64fd", "F32fc", "F16fb", "BF16h", "I64id", "I32ic", "I16ib",
                                     "I8ia", "U64ud", "U32uc", "U16ub", "U8ua", "BOOLb" };
    bnn_array *a = bnn__arrays_more(s.mem, out);
    bnn__items in;
    size_t n, offsets[2] = { 1, 0 }, i, body = s.size - head;
    char text[32];
    memset(&in, 0, sizeof in);
    if (a == NULL || (a->name = bnn__arrays_name(s.mem, name, name_size)) == NULL)
        return BNN_ENOMEM;
    if (bnn_arrays_find(out, a->name) != a)
        return bnn__arena_say(s.mem, BNN_EFORMAT, "%s: tensor \"%s\" is there twice", s.name,
                              bnn__excerpt(text, name, name_size));
    bnn__literal_need(l, "{");
    while (!l->bad && !bnn__literal_take(l, "}")) {
        const char *key = bnn__literal_string(l, &n);
        bnn__literal_need(l, ":");
        if (n == 5 && memcmp(key, "dtype", 5) == 0) {
            key = bnn__literal_string(l, &n);
            for (i = 0; i < sizeof types / sizeof *types; i++) {
                size_t k = i == 3 || i == 12 ? 4 : strlen(types[i]) - 2;
                if (n != k || memcmp(key, types[i], k) != 0) continue;
                in.kind = types[i][k];
                in.bytes = i == 3 ? 2 : i == 12 ? 1 : (size_t)1 << (types[i][k + 1] - 'a');
            }
        } else if (n == 5 && memcmp(key, "shape", 5) == 0) {
            a->dims = bnn__literal_sizes(l, BNN_MAX_DIMS, a->shape);
        } else if (n == 12 && memcmp(key, "data_offsets", 12) == 0) {
            l->bad |= bnn__literal_sizes(l, 2, offsets) != 2;
        } else l->bad = 1;
        if (!bnn__literal_take(l, ",") && bnn__literal_peek(l) != '}') l->bad = 1;
    }
    if (l->bad || in.bytes == 0 || offsets[0] > offsets[1] || offsets[1] > body)
        return bnn__arena_say(s.mem, BNN_EFORMAT, "%s: tensor \"%s\" has a type, a shape or a "
                              "place that cannot be read", s.name,
                              bnn__excerpt(text, name, name_size));
    in.at = s.bytes + head + offsets[0];
    in.there = offsets[1] - offsets[0];
    return bnn__array_fill(s, a, &in);
}

static int bnn__safetensors_read(bnn__source s, bnn_arrays *out) {
    uint64_t promised = bnn__little(s.bytes, 8);
    bnn__literal l;
    int err = BNN_OK;
    if (promised > s.size - 8)
        return bnn__arena_say(s.mem, BNN_EFORMAT, "%s: a header of %g bytes is promised, there are "
                              "%z", s.name, (double)promised, s.size - 8);
    l.p = (const char *)s.bytes + 8;
    l.end = l.p + (size_t)promised;
    l.bad = 0;
    bnn__literal_need(&l, "{");
    while (err == BNN_OK && !l.bad && !bnn__literal_take(&l, "}")) {
        size_t n;
        const char *name = bnn__literal_string(&l, &n);
        bnn__literal_need(&l, ":");
        if (l.bad) break;
        if (n == 12 && memcmp(name, "__metadata__", 12) == 0) bnn__literal_skip(&l);
        else err = bnn__tensor_read(s, out, &l, name, n, 8 + (size_t)promised);
        if (!bnn__literal_take(&l, ",") && bnn__literal_peek(&l) != '}') l.bad = 1;
    }
    if (err == BNN_OK && l.bad)
        return bnn__arena_say(s.mem, BNN_EFORMAT, "%s: byte %z is not what the header of a "
                              ".safetensors has there", s.name,
                              (size_t)(l.p - (const char *)s.bytes));
    return err;
}

static int bnn__arrays_parse(bnn__source s, void *out, const void *how) {
    bnn_arrays a = { NULL, 0 };
    int err;
    (void)how;
    if (out == NULL) return BNN_EARG;
    if (s.size >= 6 && memcmp(s.bytes, "\x93NUMPY", 6) == 0) {
        bnn_array *one = bnn__arrays_more(s.mem, &a);
        if (one == NULL || (one->name = bnn__arrays_name(s.mem, "", 0)) == NULL) return BNN_ENOMEM;
        err = bnn__npy_read(s, one, s.bytes, s.size);
    } else if (s.size >= 4 && memcmp(s.bytes, "PK", 2) == 0) err = bnn__npz_read(s, &a);
    else if (s.size > 8 && s.bytes[8] == '{') err = bnn__safetensors_read(s, &a);
    else err = bnn__arena_say(s.mem, BNN_EFORMAT, "%s: is neither .npy nor .npz nor .safetensors",
                              s.name);
    if (err == BNN_OK) *(bnn_arrays *)out = a;
    return err;
}

BNNDEF int bnn_arrays_parse(bnn_arena *mem, bnn_arrays *out, const void *bytes, size_t size) {
    return bnn__parse(mem, "arrays", bytes, size, bnn__arrays_parse, out, NULL);
}

/* ---- into parameters */

/* Of tensor `a` into block b of w: only checked, or also done */
static int bnn__import_block(bnn_params *w, size_t b, const bnn_array *a, int layout, int apply) {
    bnn_mat to = bnn_params_mat(w, b), from = a->values;
    int turn = layout != BNN_IMPORT_PLAIN && a->dims == 2;
    size_t i, j;
    if (b >= w->n_blocks)
        return bnn__arena_say(w->mem, BNN_ESHAPE, "bnn_params_import: no block is left for \"%s\"",
                              a->name);
    if (a->dims < 2) from.rows = 1, from.cols = a->values.rows; /* a bias is a row */
    if (from.rows != (turn ? to.cols : to.rows) || from.cols != (turn ? to.rows : to.cols))
        return bnn__arena_say(w->mem, BNN_ESHAPE, "bnn_params_import: \"%s\" is %zx%z, block %z is "
                              "%zx%z%s", a->name, from.rows, from.cols, b, to.rows, to.cols,
                              turn ? " transposed" : "");
    if (bnn__where(from, &i, &j))
        return bnn__arena_say(w->mem, BNN_ENONFINITE, "bnn_params_import: \"%s\" is not finite in "
                              "row %z, column %z", a->name, i, j);
    if (!apply) return BNN_OK;
    if (turn) return bnn_mat_transpose(to, from);
    memcpy(to.data, from.data, to.rows * to.cols * sizeof(float));
    return BNN_OK;
}

BNNDEF int bnn_params_import(bnn_params *w, size_t first, const bnn_arrays *a, const char *names,
                             int layout) {
    static const char ends[][8] = { "", ".weight", ".bias" };
    int apply, err;
    if (w == NULL || a == NULL || names == NULL) return BNN_EARG;
    for (apply = 0; apply < 2; apply++) {
        const char *list = names, *item;
        size_t n, b = first;
        while (bnn__list_next(&list, &item, &n)) {
            size_t k, found = 0;
            for (k = 0; k < 3; k++) {
                char name[160];
                const bnn_array *from;
                if (n + 8 > sizeof name || (k > 0 && found == 1)) break;
                memcpy(name, item, n);
                memcpy(name + n, ends[k], strlen(ends[k]) + 1);
                from = bnn_arrays_find(a, name);
                if (from == NULL) continue;
                err = bnn__import_block(w, b++, from, layout, apply);
                if (err != BNN_OK) return err;
                found += k == 0 ? 1 : 2;
            }
            if (found == 0) {
                char text[32];
                return bnn__arena_say(w->mem, BNN_EARG, "bnn_params_import: there is no tensor "
                                      "\"%s\"", bnn__excerpt(text, item, n));
            }
        }
    }
    return BNN_OK;
}

/* ---- out */

/* Columns first .. first + cols of n matrices, one behind the other */
static void bnn__arrays_stack(bnn_arena *mem, bnn_arrays *a, const char *name, const bnn_mat *m,
                              size_t n, size_t first, size_t cols) {
    bnn_array *to;
    size_t i, j;
    if (mem->err != BNN_OK) return;
    if (strpbrk(name, "/\\") != NULL || bnn_arrays_find(a, name) != NULL)
        bnn__arena_fail(mem, BNN_EARG, "bnn_arrays_add: \"%s\" is there already, or has a path "
                        "in it", name);
    for (i = 0; i < n; i++)
        if (m[i].rows != m[0].rows || m[i].cols != m[0].cols || bnn__mat_size(m[i]) == 0 ||
            m[i].data == NULL)
            bnn__arena_fail(mem, BNN_ESHAPE, "bnn_arrays_add: \"%s\": matrix %z is %zx%z, the "
                            "first %zx%z", name, i, m[i].rows, m[i].cols, m[0].rows, m[0].cols);
    to = mem->err == BNN_OK ? bnn__arrays_more(mem, a) : NULL;
    if (to == NULL) return;
    to->name = bnn__arrays_name(mem, name, strlen(name));
    to->values = bnn_mat_new(mem, n * m[0].rows, cols);
    if (mem->err != BNN_OK) {
        a->count--;
        return;
    }
    for (i = 0; i < n; i++)
        for (j = 0; j < m[i].rows; j++)
            memcpy(to->values.data + (i * m[i].rows + j) * cols,
                   m[i].data + j * m[i].cols + first, cols * sizeof(float));
    to->dims = 3;
    to->shape[0] = n;
    to->shape[1] = m[0].rows;
    to->shape[2] = cols;
    to->values.rows = n;
    to->values.cols = m[0].rows * cols;
}

BNNDEF void bnn_arrays_add_chains(bnn_arena *mem, bnn_arrays *a, const char *name,
                                  const bnn_mat *chains, size_t n) {
    if (n == 0) bnn__arena_fail(mem, BNN_EARG, "bnn_arrays_add: \"%s\" of no chains", name);
    else bnn__arrays_stack(mem, a, name, chains, n, 0, chains[0].cols);
}

BNNDEF void bnn_arrays_add(bnn_arena *mem, bnn_arrays *a, const char *name, bnn_mat m) {
    bnn_array *to;
    size_t before = a->count;
    bnn__arrays_stack(mem, a, name, &m, 1, 0, m.cols);
    if (mem->err != BNN_OK || a->count == before) return;
    to = &a->at[before];
    to->dims = 2;
    to->shape[0] = to->values.rows = m.rows;
    to->shape[1] = to->values.cols = m.cols;
    to->shape[2] = 0;
}

BNNDEF void bnn_arrays_add_draws(bnn_arena *mem, bnn_arrays *a, const bnn_ensemble *chains,
                                 size_t n) {
    const bnn_params *w = n != 0 ? chains[0].params : NULL;
    bnn_mat *m = (bnn_mat *)bnn__arena_take(mem, n, sizeof *m);
    size_t i, b;
    if (m == NULL) return;
    if (w == NULL) bnn__arena_fail(mem, BNN_EARG, "bnn_arrays_add_draws: no chains");
    for (i = 0; i < n; i++) {
        m[i] = chains[i].samples;
        m[i].rows = chains[i].count;
    }
    for (b = 0; mem->err == BNN_OK && b < w->n_blocks; b++) {
        const bnn_block *k = &w->blocks[b];
        char name[40] = "posterior.";
        size_t before = a->count;
        memcpy(name + 10, k->name, sizeof k->name);
        bnn__arrays_stack(mem, a, name, m, n, k->offset, k->rows * k->cols);
        if (mem->err != BNN_OK || a->count == before) return;
        a->at[before].dims = 4;
        a->at[before].shape[2] = k->rows;
        a->at[before].shape[3] = k->cols;
    }
}

static void bnn__io_text(bnn__io *io, const char *s, size_t n) {
    size_t i;
    for (i = 0; i < n; i++) (void)bnn__io_word(io, (unsigned char)s[i], 1);
}

static void bnn__npy_write(bnn__io *io, const bnn_array *a) {
    char head[BNN_MSG];
    size_t i, n = 0;
    bnn__put(head, &n, "{'descr': '<f");
    bnn__put_size(head, &n, sizeof(float));
    bnn__put(head, &n, "', 'fortran_order': False, ");
    bnn__put(head, &n, "'shape': (");
    for (i = 0; i < a->dims; i++) {
        bnn__put_size(head, &n, a->shape[i]);
        bnn__put(head, &n, i + 1 < a->dims || a->dims == 1 ? ", " : "");
    }
    bnn__put(head, &n, "), }");
    bnn__io_text(io, "\x93NUMPY\1", 8);
    (void)bnn__io_word(io, (n + 1 + 10 + 63) / 64 * 64 - 10, 2);
    bnn__io_text(io, head, n);
    for (i = n + 10; (i + 1) % 64 != 0; i++) (void)bnn__io_word(io, ' ', 1);
    (void)bnn__io_word(io, '\n', 1);
    for (i = 0; i < bnn__mat_size(a->values); i++)
        (void)bnn__io_real(io, (double)a->values.data[i], sizeof(float));
}

/* What the local header and the directory's entry have in common: version to name length */
static void bnn__zip_entry(bnn__io *io, const bnn_array *a, uint32_t crc, size_t size) {
    (void)bnn__io_word(io, 20, 2);
    (void)bnn__io_word(io, 0, 4); /* no flags, stored */
    (void)bnn__io_word(io, 0x21u << 16, 4); /* 1980-01-01: the same bytes at any time */
    (void)bnn__io_word(io, crc, 4);
    (void)bnn__io_word(io, size, 4);
    (void)bnn__io_word(io, size, 4);
    (void)bnn__io_word(io, strlen(a->name) + 4, 2);
}

static void bnn__npz_write(bnn__io *io, const bnn_arrays *a) {
    size_t i, begin, at, directory;
    for (i = 0, directory = 0; i < a->count; i++) { /* members; their sizes by a dry run */
        bnn__io dry = *io;
        size_t size;
        unsigned char *p;
        dry.out = NULL;
        bnn__npy_write(&dry, &a->at[i]);
        size = dry.pos - io->pos;
        begin = io->pos;
        bnn__io_text(io, "PK\3\4", 4);
        bnn__zip_entry(io, &a->at[i], 0, size);
        (void)bnn__io_word(io, 0, 2);
        bnn__io_text(io, a->at[i].name, strlen(a->at[i].name));
        bnn__io_text(io, ".npy", 4);
        at = io->pos;
        bnn__npy_write(io, &a->at[i]);
        if (io->out == NULL) continue;
        p = io->out + begin + 14; /* the checksum, now that the bytes are there */
        for (size = bnn__crc32(io->out + at, io->pos - at), at = 0; at < 4; at++)
            p[at] = (unsigned char)(size >> 8 * at & 0xff);
    }
    directory = io->pos;
    for (i = 0, at = 0; i < a->count; i++) {
        size_t name = strlen(a->at[i].name) + 4, size;
        uint32_t crc = io->out != NULL ? (uint32_t)bnn__little(io->out + at + 14, 4) : 0;
        bnn__io dry = *io;
        dry.out = NULL;
        bnn__npy_write(&dry, &a->at[i]);
        size = dry.pos - io->pos;
        bnn__io_text(io, "PK\1\2", 4);
        (void)bnn__io_word(io, 20, 2);
        bnn__zip_entry(io, &a->at[i], crc, size);
        for (begin = 0; begin < 3; begin++) (void)bnn__io_word(io, 0, 4); /* nothing more of it */
        (void)bnn__io_word(io, at, 4);
        bnn__io_text(io, a->at[i].name, name - 4);
        bnn__io_text(io, ".npy", 4);
        at += 30 + name + size;
    }
    begin = io->pos - directory;
    bnn__io_text(io, "PK\5\6\0\0\0", 8);
    (void)bnn__io_word(io, a->count, 2);
    (void)bnn__io_word(io, a->count, 2);
    (void)bnn__io_word(io, begin, 4);
    (void)bnn__io_word(io, directory, 4);
    (void)bnn__io_word(io, 0, 2);
}

static int bnn__arrays_write(bnn_arena *mem, const void *object, const char *name, void **bytes,
                             size_t *size) {
    const bnn_arrays *a = (const bnn_arrays *)object;
    bnn__io io;
    int run;
    memset(&io, 0, sizeof io);
    if (mem == NULL || a == NULL || bytes == NULL || size == NULL) return BNN_EARG;
    if (mem->err != BNN_OK) return mem->err;
    for (run = 0; run < 2; run++) {
        io.pos = 0;
        if (a->count == 1 && a->at[0].name[0] == '\0') bnn__npy_write(&io, &a->at[0]);
        else bnn__npz_write(&io, a);
        if (io.pos > 0xffffffffu || a->count == 0 || a->count > 0xffff)
            return bnn__arena_say(mem, BNN_EARG, "%s: %z arrays in %z bytes: a file holds 1 to "
                                  "65535 in 4 GB", name, a->count, io.pos);
        if (run != 0) continue;
        io.out = (unsigned char *)bnn__arena_take(mem, io.pos, 1);
        mem->err = BNN_OK; /* no memory here is no error of the arena */
        if (io.out == NULL) return BNN_ENOMEM;
    }
    *bytes = io.out;
    *size = io.pos;
    return BNN_OK;
}

BNNDEF int bnn_arrays_write(bnn_arena *mem, const bnn_arrays *a, void **bytes, size_t *size) {
    return bnn__arrays_write(mem, a, "arrays", bytes, size);
}

#ifndef BNN_NO_STDIO
/* ------------------------------------------------------------------------------------------------
 * >>stdio: the same from and to files
 *
 * A file is read whole, in pieces, so that a pipe will do. On the heap its bytes live outside the
 * arena and are gone afterwards; in an arena over a caller's buffer they wait at the end of the
 * free part, and what is parsed grows towards them.
 *
 * Writing goes to a new file beside the old one, whose name nobody has (bnn-0000.tmp, or the next).
 * It is flushed, checked, synchronized and renamed over the old one, which is whole at every
 * moment; then the folder is synchronized. A link is followed. The old file's mode is kept, and its
 * owner where that is allowed; what is not a regular file is left alone. Links, modes and the
 * folder are POSIX's; Windows creates, synchronizes and replaces; elsewhere there is only ISO C.
 * --------------------------------------------------------------------------------------------- */

#if defined(__unix__) || defined(__APPLE__)
#define BNN__POSIX
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>
#if !defined(__APPLE__) && !defined(__cplusplus) /* -std=c99 hides these; as POSIX declares them */
extern FILE *(fdopen)(int, const char *);
extern int(fileno)(FILE *);
extern int(fsync)(int);
extern int(fchmod)(int, mode_t);
extern int(fchown)(int, uid_t, gid_t);
extern ssize_t(readlink)(const char *, char *, size_t);
#endif
#define BNN__CREATE(path, mode) open(path, O_WRONLY | O_CREAT | O_EXCL, mode)
#define BNN__FDOPEN (fdopen)
#define BNN__FILENO (fileno)
#define BNN__CLOSE close
/* On the disk, or as near to it as the system can say. EINVAL: there is no such thing here. */
static int bnn__sync(int fd) {
#ifdef F_FULLFSYNC
    if (fcntl(fd, F_FULLFSYNC) == 0) return 0;
#endif
    return (fsync)(fd) == 0 || errno == EINVAL ? 0 : -1;
}
#elif defined(_WIN32)
#include <fcntl.h>
#include <io.h>
#include <sys/stat.h>
#ifdef __cplusplus
extern "C"
#endif
__declspec(dllimport) int __stdcall MoveFileExA(const char *, const char *, unsigned long);
#define BNN__CREATE(path, mode) ((void)(mode), \
    _open(path, _O_WRONLY | _O_CREAT | _O_EXCL | _O_BINARY, _S_IREAD | _S_IWRITE))
#define BNN__FDOPEN _fdopen
#define BNN__FILENO _fileno
#define BNN__CLOSE _close
#define bnn__sync _commit
#endif

static void bnn__file_name(char name[64], const char *path) { /* the tail of a path */
    size_t n = strlen(path), skip = n > 60 ? n - 57 : 0;
    while (skip != 0 && ((unsigned char)path[skip] & 0xc0) == 0x80) skip++;
    memcpy(name, "...", 3);
    memcpy(name + (skip != 0 ? 3 : 0), path + skip, n - skip + 1);
}

typedef struct bnn__text { /* the bytes of a file */
    unsigned char *data;
    size_t size, room;
} bnn__text;

static int bnn__text_grow(bnn__text *t, bnn_arena *mem) {
    size_t room = t->room == 0 ? (size_t)BNN__CHUNK : bnn__mul(t->room, 2);
    unsigned char *data;
    if (mem->buffer != NULL) { /* all that is free is ours at once */
        if (t->room != 0 || bnn__arena_take(mem, 0, 1) == NULL) return 0;
        t->data = mem->chunk->base + mem->used;
        t->room = mem->chunk->size - mem->used;
        return t->room != 0;
    }
    if (mem->alloc.fn == NULL) mem->alloc.fn = bnn__default_alloc;
    data = (unsigned char *)mem->alloc.fn(mem->alloc.user, t->data, t->room, room);
    if (data == NULL) return 0;
    t->data = data;
    t->room = room;
    return 1;
}

static int bnn__text_read(bnn__text *t, bnn_arena *mem, FILE *file) { /* 0 = no memory */
    bnn_mark mark = bnn_arena_mark(mem);
    size_t got = 1;
    while (got != 0 && (t->size != t->room || bnn__text_grow(t, mem))) {
        got = fread(t->data + t->size, 1, t->room - t->size, file);
        t->size += got;
    }
    if (mem->buffer != NULL && t->room != 0) { /* to the end; the rest stays free */
        unsigned char *end = t->data + t->room;
        memmove(end - t->size, t->data, t->size);
        t->data = end - t->size;
        t->room = t->size;
        mem->chunk->size -= t->size;
    }
    bnn_arena_rewind(mem, mark);
    mem->err = BNN_OK; /* of the attempt */
    return got == 0;
}

static int bnn__load(bnn_arena *mem, const char *path, bnn__parser parse, void *out,
                     const void *how) {
    bnn__text t = { NULL, 0, 0 };
    char name[64];
    FILE *file;
    int err;
    if (mem == NULL || path == NULL) return BNN_EARG;
    if (mem->err != BNN_OK) return mem->err;
    bnn__file_name(name, path);
    file = fopen(path, "rb");
    if (file == NULL)
        return bnn__arena_say(mem, BNN_EIO, "%s: cannot open: %s", name, strerror(errno));
    if (!bnn__text_read(&t, mem, file))
        err = bnn__arena_say(mem, BNN_ENOMEM, "%s: no memory to read it", name);
    else if (ferror(file))
        err = bnn__arena_say(mem, BNN_EIO, "%s: cannot read: %s", name, strerror(errno));
    else err = bnn__parse(mem, name, t.data, t.size, parse, out, how);
    (void)fclose(file);
    if (mem->buffer != NULL && t.room != 0) mem->chunk->size += t.room; /* the end we cut off */
    else if (t.room != 0) (void)mem->alloc.fn(mem->alloc.user, t.data, t.room, 0);
    return err;
}

BNNDEF int bnn_csv_load(bnn_arena *mem, const char *path, bnn_csv *out, bnn_csv_desc desc) {
    return bnn__load(mem, path, bnn__csv_parse, out, &desc);
}

BNNDEF int bnn_table_load(bnn_arena *mem, const char *path, bnn_table *out, bnn_csv_desc desc) {
    return bnn__load(mem, path, bnn__table_parse, out, &desc);
}

BNNDEF int bnn_arrays_load(bnn_arena *mem, const char *path, bnn_arrays *out) {
    return bnn__load(mem, path, bnn__arrays_parse, out, NULL);
}

BNNDEF int bnn_idx_load(bnn_arena *mem, const char *path, bnn_mat *out) {
    return bnn__load(mem, path, bnn__idx_parse, out, NULL);
}

BNNDEF int bnn_checkpoint_load(bnn_arena *mem, const char *path, const bnn_checkpoint *c) {
    return bnn__load(mem, path, bnn__cp_parse, NULL, c);
}

typedef struct bnn__save {
    const char *path;  /* of the file itself                              */
    char *tmp;         /* beside it                                       */
    size_t folder;     /* bytes of both up to and with the last separator */
#ifdef BNN__POSIX
    struct stat old;
#endif
    int exists;        /* the old file's mode and owner are known         */
} bnn__save;

static size_t bnn__folder(const char *path) {
    size_t n = strlen(path);
#ifdef _WIN32
    while (n > 0 && strchr("/\\:", path[n - 1]) == NULL) n--;
#else
    while (n > 0 && path[n - 1] != '/') n--;
#endif
    return n;
}

/* The functions below return NULL, or what went wrong, for a reason that is in errno. */

#ifdef BNN__POSIX
static const char *bnn__save_follow(bnn__save *s, bnn_arena *mem) { /* links to their end */
    enum { BNN__LINK = 4096, BNN__LINKS = 40 };
    int links;
    char first;
    for (links = 0; (readlink)(s->path, &first, 1) > 0; links++) {
        size_t n = bnn__folder(s->path);
        char *to = (char *)bnn__arena_take(mem, n + BNN__LINK, 1);
        ssize_t got;
        if (to == NULL) return "remember the name";
        memcpy(to, s->path, n);
        got = (readlink)(s->path, to + n, BNN__LINK);
        errno = ELOOP;
        if (got <= 0 || got == BNN__LINK || links == BNN__LINKS) return "follow the link";
        to[n + (size_t)got] = '\0';
        s->path = to[n] == '/' ? to + n : to;
    }
    s->exists = stat(s->path, &s->old) == 0;
    if (!s->exists) return errno == ENOENT ? NULL : "look at it";
    errno = S_ISDIR(s->old.st_mode) ? EISDIR : EINVAL;
    return S_ISREG(s->old.st_mode) ? NULL : "replace what is not a regular file";
}

static void bnn__save_owner(const bnn__save *s, int fd) {
    int owned, group;
    mode_t mode;
    if (!s->exists) return;
    owned = (fchown)(fd, s->old.st_uid, s->old.st_gid) == 0;
    group = owned || (fchown)(fd, (uid_t)-1, s->old.st_gid) == 0;
    mode = s->old.st_mode & (mode_t)(owned ? 07777 : 0777);
    if (!group) mode &= (mode_t)~070; /* what was allowed to another group */
    (void)((fchmod)(fd, mode) != 0);  /* there are file systems without modes */
}

static const char *bnn__save_folder(bnn__save *s) { /* the name, too, is to survive */
    int fd, bad, error;
    s->tmp[s->folder] = '\0';
    fd = open(s->folder == 0 ? "." : s->tmp, O_RDONLY);
    if (fd < 0) return NULL; /* a folder that may be written and not read */
    bad = bnn__sync(fd);
    error = errno;
    (void)close(fd);
    errno = error;
    return bad != 0 ? "synchronize the folder" : NULL;
}
#endif

/* A file that was not there; else NULL and EEXIST */
static FILE *bnn__create(const char *path, int mode) {
    FILE *file;
#ifdef BNN__CREATE
    int fd = BNN__CREATE(path, mode);
    if (fd < 0) return NULL;
    file = BNN__FDOPEN(fd, "wb");
    if (file != NULL) return file;
    (void)BNN__CLOSE(fd);
    (void)remove(path);
    errno = ENOMEM;
#else
    (void)mode;
    file = fopen(path, "rb");
    if (file == NULL) return fopen(path, "wb");
    (void)fclose(file);
    errno = EEXIST;
#endif
    return NULL;
}

static const char *bnn__save_write(bnn__save *s, const void *bytes, size_t size) {
    FILE *file = NULL;
    const char *bad = NULL;
    int error, k;
    for (k = 0, errno = EEXIST; file == NULL && errno == EEXIST && k < 10000; k++) {
        (void)snprintf(s->tmp + s->folder, 16, "bnn-%04d.tmp", k);
        file = bnn__create(s->tmp, s->exists ? 0600 : 0666); /* 0600: the old one may be secret */
    }
    if (file == NULL) return "make a temporary file beside it";
    if (fwrite(bytes, 1, size, file) != size || fflush(file) != 0) bad = "write";
#ifdef BNN__POSIX
    if (bad == NULL) bnn__save_owner(s, BNN__FILENO(file));
#endif
#ifdef BNN__CREATE
    if (bad == NULL && bnn__sync(BNN__FILENO(file)) != 0) bad = "synchronize";
#endif
    error = errno;
    if (fclose(file) != 0 && bad == NULL) bad = "close", error = errno;
    if (bad == NULL && rename(s->tmp, s->path) == 0) return NULL;
#ifdef _WIN32
    if (bad == NULL && MoveFileExA(s->tmp, s->path, 1 | 8)) return NULL; /* over it, now */
#endif
    if (bad == NULL) bad = "rename to", error = errno;
    (void)remove(s->tmp);
    errno = error;
    return bad;
}

/* The one way to a file: all of it or, with an error, the old one. */
static int bnn__file_save(bnn_arena *mem, const char *name, const char *path, const void *bytes,
                          size_t size) {
    bnn__save s;
    const char *bad = NULL;
    memset(&s, 0, sizeof s);
    s.path = path;
#ifdef BNN__POSIX
    bad = bnn__save_follow(&s, mem);
#endif
    s.folder = bnn__folder(s.path);
    s.tmp = (char *)bnn__arena_take(mem, s.folder + 16, 1);
    if (s.tmp == NULL) return mem->err;
    memcpy(s.tmp, s.path, s.folder);
    if (bad == NULL) bad = bnn__save_write(&s, bytes, size);
#ifdef BNN__POSIX
    if (bad == NULL) bad = bnn__save_folder(&s);
#endif
    if (bad == NULL) return BNN_OK;
    return bnn__arena_say(mem, BNN_EIO, "%s: cannot %s: %s", name, bad, strerror(errno));
}

typedef int bnn__writer(bnn_arena *mem, const void *object, const char *name, void **bytes,
                        size_t *size);

/* The bytes live beside the arena, or in the free part of a caller's buffer: nothing is left of
 * them, and running out of memory here is no error of the arena. */
static int bnn__save_as(bnn_arena *mem, const char *path, bnn__writer *writer, const void *object) {
    bnn_arena scratch;
    char name[64];
    void *bytes;
    size_t size;
    int err;
    if (mem == NULL || object == NULL || path == NULL) return BNN_EARG;
    if (mem->err != BNN_OK) return mem->err;
    scratch = *mem;
    if (mem->buffer == NULL) {
        memset(&scratch, 0, sizeof scratch);
        scratch.alloc = mem->alloc;
    }
    bnn__file_name(name, path);
    err = writer(&scratch, object, name, &bytes, &size);
    if (err == BNN_OK) err = bnn__file_save(&scratch, name, path, bytes, size);
    if (err != BNN_OK) memcpy(mem->msg, scratch.msg, sizeof mem->msg);
    if (mem->buffer == NULL) bnn_arena_free(&scratch);
    return err;
}

static int bnn__all_write(bnn_arena *mem, const void *object, const char *name, void **bytes,
                          size_t *size) {
    return bnn__cp_write(mem, (const bnn_checkpoint *)object, bnn__layout_all, name, bytes, size);
}

static int bnn__nets_write(bnn_arena *mem, const void *object, const char *name, void **bytes,
                           size_t *size) {
    return bnn__cp_write(mem, (const bnn_checkpoint *)object, bnn__layout_nets, name, bytes, size);
}

BNNDEF int bnn_checkpoint_save(bnn_arena *mem, const char *path, const bnn_checkpoint *c) {
    return bnn__save_as(mem, path, bnn__all_write, c);
}

BNNDEF int bnn_table_save(bnn_arena *mem, const char *path, const bnn_table *t) {
    return bnn__save_as(mem, path, bnn__table_write, t);
}

BNNDEF int bnn_arrays_save(bnn_arena *mem, const char *path, const bnn_arrays *a) {
    return bnn__save_as(mem, path, bnn__arrays_write, a);
}

BNNDEF int bnn_save(const char *path, const bnn_net *net) {
    bnn_checkpoint c;
    bnn_net copy;
    if (net == NULL || net->params == NULL) return BNN_EARG;
    copy = *net;
    memset(&c, 0, sizeof c);
    c.nets[0] = &copy;
    return bnn__save_as(net->params->mem, path, bnn__nets_write, &c);
}

static int bnn__net_parse(bnn__source s, void *out, const void *how) {
    bnn_checkpoint c;
    (void)how;
    memset(&c, 0, sizeof c);
    c.nets[0] = (bnn_net *)out;
    return bnn__cp_load(s, &c, bnn__layout_nets);
}

BNNDEF int bnn_load(bnn_arena *mem, const char *path, bnn_net *net) {
    return net == NULL ? BNN_EARG : bnn__load(mem, path, bnn__net_parse, net, NULL);
}

BNNDEF int bnn_emit_save(bnn_arena *mem, const char *path, const bnn_emitted *c) {
    bnn_mark mark;
    char name[64];
    int err;
    if (mem == NULL || path == NULL || c == NULL || c->text == NULL) return BNN_EARG;
    if (mem->err != BNN_OK) return mem->err;
    mark = bnn_arena_mark(mem);
    bnn__file_name(name, path);
    err = bnn__file_save(mem, name, path, c->text, c->size);
    bnn_arena_rewind(mem, mark);
    return err;
}
#endif /* BNN_NO_STDIO */
/* contraction as it was (with MSVC it stays off): the counterpart of the block at the top of the
 * implementation */
#if defined(__clang__)
#pragma STDC FP_CONTRACT DEFAULT
#ifdef BNN__FAST_MATH
#pragma float_control(pop)
#endif
#elif defined(__GNUC__) && !defined(__TINYC__)
#pragma GCC pop_options
#pragma GCC pop_options
#endif
#endif /* BNN_IMPLEMENTATION */

/* ------------------------------------------------------------------------------------------------
 * HISTORY
 *     2.0  docs/renames.md has the names that changed
 *     1.0  arena, rng, matrices, autodiff, nets, optimizers, SGLD, pSGLD, SGHMC, HMC, ensembles,
 *          prediction, metrics, diagnostics, distillation, files; weight noise, distributions on
 *          the simplex, structure, curvature, Gaussians over weights, soft targets
 *
 * LICENSE: this software is available under two licenses, choose the one you like.
 *
 * ALTERNATIVE A - MIT License
 * Copyright (c) 2026 the bnn.h authors
 * Permission is hereby granted, free of charge, to any person obtaining a copy of this software and
 * associated documentation files (the "Software"), to deal in the Software without restriction,
 * including without limitation the rights to use, copy, modify, merge, publish, distribute,
 * sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is
 * furnished to do so, subject to the following conditions: The above copyright notice and this
 * permission notice shall be included in all copies or substantial portions of the Software.
 * THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT
 * NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND
 * NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM,
 * DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
 * OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
 *
 * ALTERNATIVE B - Public Domain (www.unlicense.org)
 * This is free and unencumbered software released into the public domain. Anyone is free to copy,
 * modify, publish, use, compile, sell, or distribute this software, either in source code form or
 * as a compiled binary, for any purpose, commercial or non-commercial, and by any means. In
 * jurisdictions that recognize copyright laws, the author or authors of this software dedicate any
 * and all copyright interest in the software to the public domain. We make this dedication for the
 * benefit of the public at large and to the detriment of our heirs and successors. We intend this
 * dedication to be an overt act of relinquishment in perpetuity of all present and future rights to
 * this software under copyright law.
 * THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT
 * NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND
 * NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
 * LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN
 * CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
 * --------------------------------------------------------------------------------------------- */
