/* build.h -- bnn.h as the tests see it: as users compile it, or with -DBNN_TEST_DOUBLE in double
 * precision throughout. The header itself is untouched: `float` becomes double after the system's
 * headers are in, and the mathematics hooks name functions of double. Afterwards `float` means
 * double in the test, too; BUILD_EPSILON is the epsilon of the build. */
#ifndef BUILD_H
#define BUILD_H
#include <ctype.h>
#include <errno.h>
#include <float.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if defined(_OPENMP)
#include <omp.h>
#endif

#ifdef BNN_TEST_DOUBLE
#ifndef BNN_NO_SIMD
#define BNN_NO_SIMD
#endif
#define BNN_MATH_EXP exp
#define BNN_MATH_LOG log
#define BNN_MATH_SQRT sqrt
#define BNN_MATH_TANH tanh
#define BNN_MATH_SIN sin
#define BNN_MATH_COS cos
#define BNN_MATH_ERF erf
#define BNN_MATH_EXPM1 expm1
#define BNN_MATH_LOG1P log1p
#define BNN_MATH_POW pow
#define BUILD_EPSILON DBL_EPSILON
#define BUILD_TOL(in_float, in_double) (in_double)
#define float double
#else
#define BUILD_EPSILON ((double)FLT_EPSILON)
#define BUILD_TOL(in_float, in_double) (in_float)
#endif

#ifndef BUILD_LINKED /* a test that asks for no internals is linked with BUILD_LIBRARY, compiled once */
#if !defined(BNNDEF) && !defined(BUILD_LIBRARY)
#define BNN_STATIC
#endif
#define BNN_IMPLEMENTATION
#endif
#include "bnn.h"
#include "check.h"

/* Stochastic tests add this to their seeds: BNN_SEED_OFFSET=1000 ./test_x tries other numbers. */
static inline uint64_t build_seed(uint64_t seed) {
    const char *offset = getenv("BNN_SEED_OFFSET");
    return seed + (offset != NULL ? (uint64_t)strtoull(offset, NULL, 10) : 0);
}
#endif
