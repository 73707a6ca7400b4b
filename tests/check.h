/* check.h -- the whole test framework. A test is a function whose name is a sentence:
 *     static void square_has_gradient_2x(void) { CHECK_NEAR(grad(3), 6, 1e-6); }
 *     int main(void) { RUN(square_has_gradient_2x); return check_done(); }
 * A failing check prints its place and values and the test goes on; a test with a failing check
 * has failed. The last line of the output is "N passed, M failed", counted in tests. */
#ifndef CHECK_H
#define CHECK_H
#pragma push_macro("float")             /* the double build has float defined as double here */
#undef float
#include <stdio.h>
#include <string.h>
#pragma pop_macro("float")

static int check_bad, check_passed, check_failed;      /* checks of this test; tests so far */

static inline int check_that(int ok, const char *file, int line, const char *what) {
    if (!ok && check_bad++ < 10) printf("%s:%d: failed: %s\n", file, line, what);
    return ok;
}
static inline int check_pair(int ok, double a, double b, const char *file, int line,
                             const char *what) {
    if (!check_that(ok, file, line, what) && check_bad <= 10)
        printf("    %.17g (%a)\n    %.17g (%a), difference %.3g\n", a, a, b, b, a - b);
    return ok;
}
static inline int check_near(double a, double b, double tol) {
    double d = a > b ? a - b : b - a;
    return d <= tol || a == b;          /* false for NaN; true for equal infinities */
}
static inline int check_same(double a, double b) { return memcmp(&a, &b, sizeof a) == 0; }
static inline void check_run(void (*test)(void), const char *name) {
    check_bad = 0;
    test();
    if (check_bad == 0) { check_passed++; return; }
    check_failed++;
    printf("FAILED %s (%d checks)\n", name, check_bad);
    fflush(stdout);
}
static inline int check_done(void) {
    printf("%d passed, %d failed\n", check_passed, check_failed);
    return check_failed != 0;
}

#define CHECK(cond) check_that(!!(cond), __FILE__, __LINE__, #cond)
#define CHECK_NEAR(a, b, tol) check_pair(check_near((double)(a), (double)(b), (double)(tol)), \
    (double)(a), (double)(b), __FILE__, __LINE__, #a " near " #b " within " #tol)
#define CHECK_SAME(a, b) check_pair(check_same((double)(a), (double)(b)), \
    (double)(a), (double)(b), __FILE__, __LINE__, #a " same bits as " #b)
#define CHECK_SAME_ARRAY(a, b, n) check_that(memcmp((a), (b), (n) * sizeof *(a)) == 0, \
    __FILE__, __LINE__, #a "[" #n "] same bits as " #b)
#define RUN(test) check_run(test, #test)

/* The tests look for NaN and write sums in their order: -ffast-math is for the header only. */
#if defined(__FAST_MATH__) && defined(__clang__)
#pragma float_control(precise, on)
#elif defined(__FAST_MATH__)
#pragma GCC optimize("no-fast-math")
#endif
#endif
