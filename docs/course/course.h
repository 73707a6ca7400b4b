/* course.h -- what the programs of the lectures share: the library, pictures, checks.
 *     cc -O2 -I. docs/course/1_bayes.c -o bayes -lm && ./bayes
 * A program writes its pictures into the folder that it is given, else into build/, else nowhere. A
 * picture that cannot be written is named, and the status is 1. */
#ifndef COURSE_H
#define COURSE_H
#define BNN_STATIC
#define BNN_IMPLEMENTATION
#include "bnn.h"
#include "../../examples/svg.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *course_folder = "build";
static char course_path[512]; /* of the picture at hand */
static int course_wrong;

static inline void picture_lost(void) {
    fprintf(stderr, "%s: cannot be written\n", course_path);
    course_wrong = 1;
}

/* A picture of that name, ready for svg_axes; close it by picture_end */
static inline svg picture(const char *name, const char *title) {
    snprintf(course_path, sizeof course_path, "%s/%s.svg", course_folder, name);
    FILE *f = fopen(course_path, "w");
    if (!f && (errno != ENOENT || strcmp(course_folder, "build"))) picture_lost();
    if (!f) f = tmpfile();
    if (!f) exit(2);
    return svg_open(f, title);
}

static inline void picture_end(svg *s) {
    svg_close(s);
    int bad = fflush(s->f) || ferror(s->f);
    if (fclose(s->f) || bad) picture_lost();
}

/* The line of height `level` of z, n x m values (row by row, y upwards) that fill the axes */
static inline void svg_contour(const svg *s, int n, int m, const double *z, double level,
                               int color) {
    fprintf(s->f, "<path fill=\"none\" stroke=\"%s\" stroke-width=\"%s\" d=\"", svg_color(color),
            color == 0 ? "2.2" : "1.2"); /* thick and thin, for paper without color */
    for (int i = 0; i + 1 < n; i++)
        for (int j = 0; j + 1 < m; j++) {
            const int di[5] = { 0, 0, 1, 1, 0 }, dj[5] = { 0, 1, 1, 0, 0 };
            int cuts = 0;
            for (int k = 0; k < 4; k++) { /* the four sides of a cell */
                double a = z[(i + di[k]) * m + j + dj[k]] - level;
                double b = z[(i + di[k + 1]) * m + j + dj[k + 1]] - level;
                if ((a < 0) == (b < 0)) continue;
                double t = a / (a - b);
                double x = (j + dj[k] + t * (dj[k + 1] - dj[k])) / (m - 1);
                double y = (i + di[k] + t * (di[k + 1] - di[k])) / (n - 1);
                fprintf(s->f, "%c%.1f %.1f", cuts++ % 2 ? 'L' : 'M',
                        svg_x(s, s->x0 + x * (s->x1 - s->x0)),
                        svg_y(s, s->y0 + y * (s->y1 - s->y0)));
            }
        }
    fputs("\"/>\n", s->f);
}

/* A sentence inside the axes, in their units */
static inline void svg_note(const svg *s, double x, double y, const char *text) {
    svg_text(s, svg_x(s, x), svg_y(s, y), "start", text);
}

/* "train" or "test" of the 8x8 digits, pixels from 0 to 1; from the folder that has examples/ */
static inline bnn_data course_digits(bnn_arena *mem, const char *part) {
    bnn_data d = { { 0, 0, NULL }, { 0, 0, NULL } };
    char x[128], y[128];
    snprintf(x, sizeof x, "examples/data/digits-%s-images.idx", part);
    snprintf(y, sizeof y, "examples/data/digits-%s-labels.idx", part);
    if (bnn_idx_load(mem, x, &d.x) || bnn_idx_load(mem, y, &d.y)) {
        fprintf(stderr, "%s: run it in the folder that has examples/\n", mem->msg);
        exit(2);
    }
    bnn_mat_scale(d.x, d.x, 1 / 16.0f);
    return d;
}

/* What a solution says of its own numbers: a program with a wrong one fails */
static inline void check(int right, const char *what) {
    if (right) return;
    printf("WRONG: %s\n", what);
    course_wrong = 1;
}

static inline int near(double a, double b, double tolerance) { return fabs(a - b) <= tolerance; }

/* The end of every program: the errors of the library, memory, the status */
static inline int done(bnn_arena *mem, bnn_tape *tape) {
    int err = mem->err ? mem->err : tape->err;
    if (err) fprintf(stderr, "%s\n", mem->err ? mem->msg : tape->msg);
    bnn_tape_free(tape);
    bnn_arena_free(mem);
    return err || course_wrong;
}
#endif
