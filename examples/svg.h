/* svg.h -- the few figures that Bayesians look at, as SVG, without other software.
 *     svg s = svg_open(file, "title");          a picture of 480 x 320 in a file of its own, or,
 *     s = svg_inline(file, "title");            without the XML in front, in a page
 *     svg_axes(&s, 0, 10, -1, 1, "x", "y");     the ends of the axes, in your units
 *     svg_band(&s, n, x, lo, hi, 0);            and whatever you draw, color 0 to 5
 *     svg_close(&s);
 * svg_reliability, svg_coverage, svg_ranks and svg_simplex bring their axes with them. Colors are
 * those of Okabe and Ito (2008), which color blindness leaves apart; lines differ in their dashes
 * and points in their shapes, too, for paper without color. Values that are not finite are left
 * out. Nothing is loaded from elsewhere. */
#ifndef SVG_H
#define SVG_H
#include <float.h>
#include <math.h>
#include <stdio.h>

enum { SVG_W = 480, SVG_H_ = 320, SVG_LEFT = 62, SVG_RIGHT = 16, SVG_TOP = 34, SVG_BOTTOM = 48 };

typedef struct svg {
    FILE *f;
    double x0, x1, y0, y1; /* ends of the axes */
    int keys;              /* entries of the legend so far */
} svg;

static inline const char *svg_color(int c) {
    static const char colors[6][8] = { "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9",
                                       "#000000" };
    return colors[(unsigned)c % 6];
}

static inline const char *svg_dash(int c) {
    static const char dashes[6][12] = { "none", "7 3", "2 2", "9 3 2 3", "4 4", "none" };
    return dashes[(unsigned)c % 6];
}

static inline void svg_escape(FILE *f, const char *s) { /* text of anybody */
    for (; *s != '\0'; s++) {
        if (*s == '&') fputs("&amp;", f);
        else if (*s == '<') fputs("&lt;", f);
        else if (*s == '>') fputs("&gt;", f);
        else if (*s == '"') fputs("&quot;", f);
        else if ((unsigned char)*s >= 32) fputc(*s, f);
    }
}

static inline double svg_x(const svg *s, double x) {
    return SVG_LEFT + (x - s->x0) / (s->x1 - s->x0) * (SVG_W - SVG_LEFT - SVG_RIGHT);
}
static inline double svg_y(const svg *s, double y) {
    return SVG_H_ - SVG_BOTTOM - (y - s->y0) / (s->y1 - s->y0) * (SVG_H_ - SVG_TOP - SVG_BOTTOM);
}
static inline int svg_ok(const svg *s, double x, double y) { /* finite, not far outside */
    return fabs(x - s->x0) <= 4 * fabs(s->x1 - s->x0) && fabs(y - s->y0) <= 4 * fabs(s->y1 - s->y0);
}

/* anchor: start, middle or end */
static inline void svg_text(const svg *s, double px, double py, const char *anchor,
                            const char *text) {
    fprintf(s->f, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", px, py, anchor);
    svg_escape(s->f, text);
    fputs("</text>\n", s->f);
}

static inline svg svg_inline(FILE *f, const char *title) {
    svg s = { f, 0, 1, 0, 1, 0 };
    fprintf(f, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" "
               "height=\"%d\" font-family=\"sans-serif\" font-size=\"12\" role=\"img\">\n"
               "<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n",
            SVG_W, SVG_H_, SVG_W, SVG_H_);
    fputs("<g font-size=\"14\">", f);
    svg_text(&s, SVG_W / 2.0, 20, "middle", title);
    fputs("</g>", f);
    return s;
}

static inline svg svg_open(FILE *f, const char *title) {
    fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n", f);
    return svg_inline(f, title);
}

static inline void svg_close(svg *s) { fputs("</g>\n</svg>\n", s->f); }

/* 1, 2 or 5 times a power of ten: four to nine steps from lo to hi */
static inline double svg_step(double lo, double hi) {
    double step = pow(10, floor(log10((hi - lo) / 4)));
    if ((hi - lo) / step > 20) return 5 * step;
    return (hi - lo) / step > 9 ? 2 * step : step;
}

static inline void svg_ticks(const svg *s, int vertical) {
    double lo = vertical ? s->y0 : s->x0, hi = vertical ? s->y1 : s->x1, step = svg_step(lo, hi);
    for (double v = ceil(lo / step - 1e-9) * step; v <= hi + step * 1e-9; v += step) {
        char text[32];
        double px = vertical ? SVG_LEFT : svg_x(s, v), py = vertical ? svg_y(s, v)
                                                                     : SVG_H_ - SVG_BOTTOM;
        snprintf(text, sizeof text, "%.6g", fabs(v) < step * 1e-6 ? 0 : v);
        fprintf(s->f, "<path d=\"M%.1f %.1fh%dv%d\" stroke=\"#000\"/>\n", px, py, vertical ? -5 : 0,
                vertical ? 0 : 5);
        svg_text(s, px - (vertical ? 8 : 0), py + (vertical ? 4 : 18), vertical ? "end" : "middle",
                 text);
    }
}

/* Ends that are not finite become 0 and 1, equal or nearly equal ones are moved apart: steps that
 * rounding swallows never end */
static inline void svg_ends(double *lo, double *hi) {
    double least = 1e-9 * fabs(*lo);
    if (!(fabs(*hi - *lo) <= DBL_MAX)) *lo = 0, *hi = 1;
    else if (!(*hi - *lo > least)) *hi = *lo + fmax(1, least);
}

static inline void svg_axes(svg *s, double x0, double x1, double y0, double y1, const char *x,
                            const char *y) {
    svg_ends(&x0, &x1);
    svg_ends(&y0, &y1);
    s->x0 = x0, s->x1 = x1;
    s->y0 = y0, s->y1 = y1;
    fprintf(s->f, "<path d=\"M%d %dV%dH%d\" fill=\"none\" stroke=\"#000\"/>\n", SVG_LEFT, SVG_TOP,
            SVG_H_ - SVG_BOTTOM, SVG_W - SVG_RIGHT);
    svg_ticks(s, 0);
    svg_ticks(s, 1);
    svg_text(s, (SVG_LEFT + SVG_W - SVG_RIGHT) / 2.0, SVG_H_ - 10, "middle", x);
    fprintf(s->f, "<g transform=\"translate(14 %d) rotate(-90)\">",
            (SVG_TOP + SVG_H_ - SVG_BOTTOM) / 2);
    svg_text(s, 0, 0, "middle", y);
    fprintf(s->f, "</g>\n<clipPath id=\"c\"><rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"/>"
                  "</clipPath>\n<g clip-path=\"url(#c)\">\n", SVG_LEFT, SVG_TOP - 2,
            SVG_W - SVG_LEFT - SVG_RIGHT + 2, SVG_H_ - SVG_TOP - SVG_BOTTOM + 4);
}

static inline void svg_line(const svg *s, size_t n, const float *x, const float *y, int color) {
    int pen = 0;
    fprintf(s->f, "<path fill=\"none\" stroke=\"%s\" stroke-width=\"1.6\" stroke-dasharray=\"%s\" "
                  "d=\"", svg_color(color), svg_dash(color));
    for (size_t i = 0; i < n; i++) {
        int ok = svg_ok(s, (double)x[i], (double)y[i]);
        if (ok) fprintf(s->f, "%c%.2f %.2f", pen ? 'L' : 'M', svg_x(s, (double)x[i]),
                        svg_y(s, (double)y[i]));
        pen = ok;
    }
    fputs("\"/>\n", s->f);
}

static inline void svg_band(const svg *s, size_t n, const float *x, const float *lo,
                            const float *hi, int color) {
    int pen = 0;
    fprintf(s->f, "<path fill=\"%s\" fill-opacity=\"0.2\" d=\"", svg_color(color));
    for (size_t i = 0; i < 2 * n; i++) {
        size_t k = i < n ? i : 2 * n - 1 - i;
        const float *y = i < n ? hi : lo;
        if (!svg_ok(s, (double)x[k], (double)y[k])) continue;
        fprintf(s->f, "%c%.2f %.2f", pen ? 'L' : 'M', svg_x(s, (double)x[k]),
                svg_y(s, (double)y[k]));
        pen = 1;
    }
    fputs("\"/>\n", s->f);
}

/* Circles, squares, triangles by color; hollow, so that those below can be seen */
static inline void svg_mark(const svg *s, double px, double py, int color) {
    static const char shape[3][56] = { "m-2.6 0a2.6 2.6 0 1 0 5.2 0a2.6 2.6 0 1 0 -5.2 0z",
                                       "m-2.3 -2.3h4.6v4.6h-4.6z", "m0 -3l2.8 5h-5.6z" };
    fprintf(s->f, "<path fill=\"%s\" fill-opacity=\"0.25\" stroke=\"%s\" d=\"M%.2f %.2f%s\"/>\n",
            svg_color(color), svg_color(color), px, py, shape[(unsigned)color % 3]);
}

static inline void svg_points(const svg *s, size_t n, const float *x, const float *y, int color) {
    for (size_t i = 0; i < n; i++)
        if (svg_ok(s, (double)x[i], (double)y[i]))
            svg_mark(s, svg_x(s, (double)x[i]), svg_y(s, (double)y[i]), color);
}

static inline void svg_bar(const svg *s, double x0, double x1, double y, int color) {
    double top = svg_y(s, y > 0 ? y : 0), height = fabs(svg_y(s, 0) - svg_y(s, y));
    if (svg_ok(s, x0, y))
        fprintf(s->f, "<rect x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\" fill=\"%s\" "
                      "fill-opacity=\"0.35\" stroke=\"%s\"/>\n", svg_x(s, x0) + 0.5, top,
                svg_x(s, x1) - svg_x(s, x0) - 1, height, svg_color(color), svg_color(color));
}

/* An entry of the legend, from the upper left downwards; mark: a point, else a line */
static inline void svg_key(svg *s, const char *text, int color, int mark) {
    double x = SVG_LEFT + 12, y = SVG_TOP + 10 + 16 * s->keys++;
    if (mark) svg_mark(s, x + 11, y, color);
    else fprintf(s->f, "<path d=\"M%.1f %.1fh22\" stroke=\"%s\" stroke-width=\"1.6\" "
                       "stroke-dasharray=\"%s\"/>", x, y, svg_color(color), svg_dash(color));
    svg_text(s, x + 28, y + 4, "start", text);
}

/* The dashed diagonal of what is expected */
static inline void svg_diagonal(const svg *s) {
    fprintf(s->f, "<path d=\"M%.1f %.1fL%.1f %.1f\" stroke=\"#777\" stroke-dasharray=\"3 3\"/>\n",
            svg_x(s, s->x0), svg_y(s, s->y0), svg_x(s, s->x1), svg_y(s, s->y1));
}

/* Share of right answers by the probability that was said, of bins; with counts, 90 % intervals of
 * what a calibrated forecaster would show */
static inline void svg_reliability(svg *s, size_t bins, const double *said, const double *right,
                                   const size_t *count) {
    svg_axes(s, 0, 1, 0, 1, "probability that was said", "share that was right");
    svg_diagonal(s);
    for (size_t i = 0; i < bins; i++) {
        double sd = count[i] ? sqrt(said[i] * (1 - said[i]) / (double)count[i]) * 1.645 : 0;
        if (count[i] == 0) continue;
        fprintf(s->f, "<path d=\"M%.1f %.1fV%.1f\" stroke=\"#777\" stroke-width=\"6\" "
                      "stroke-opacity=\"0.3\"/>\n", svg_x(s, said[i]), svg_y(s, said[i] - sd),
                svg_y(s, said[i] + sd));
        svg_mark(s, svg_x(s, said[i]), svg_y(s, right[i]), 0);
    }
}

/* Share of y inside the central intervals of every size */
static inline void svg_coverage(svg *s, size_t n, const float *size, const float *inside) {
    svg_axes(s, 0, 1, 0, 1, "size of the central interval", "share of data inside");
    svg_diagonal(s);
    svg_line(s, n, size, inside, 0);
    svg_points(s, n, size, inside, 0);
}

/* A histogram of n counts that should be flat, and where 99 % of such bars end */
static inline void svg_ranks(svg *s, size_t n, const size_t *count, const char *what) {
    double total = 0, top = 0, mean, sd;
    for (size_t i = 0; i < n; i++) {
        total += (double)count[i];
        top = (double)count[i] > top ? (double)count[i] : top;
    }
    mean = total / (double)n;
    sd = 2.576 * sqrt(mean * (1 - 1 / (double)n));
    if (mean + sd > top) top = mean + sd;
    svg_axes(s, 0, 1, 0, 1.15 * top, what, "count");
    fprintf(s->f, "<rect x=\"%d\" y=\"%.1f\" width=\"%d\" height=\"%.1f\" fill=\"#777\" "
                  "fill-opacity=\"0.25\"/>\n", SVG_LEFT, svg_y(s, mean + sd),
            SVG_W - SVG_LEFT - SVG_RIGHT, svg_y(s, mean > sd ? mean - sd : 0) -
            svg_y(s, mean + sd));
    for (size_t i = 0; i < n; i++)
        svg_bar(s, (double)i / (double)n, (double)(i + 1) / (double)n, (double)count[i], 0);
}

/* n points (p1, p2, p3) of the triangle of three classes, one color and shape per class */
static inline void svg_simplex(svg *s, size_t n, const float *p, const int *color,
                               const char *const names[3]) {
    static const double cx[3] = { 0, 1, 0.5 }, cy[3] = { 0, 0, 0.8660254 };
    double px[3], py[3];
    for (int k = 0; k < 3; k++) px[k] = 110 + 260 * cx[k], py[k] = SVG_H_ - 40 - 260 * cy[k];
    fprintf(s->f, "<path fill=\"none\" stroke=\"#000\" d=\"M%.1f %.1fL%.1f %.1fL%.1f %.1fz\"/>\n"
                  "<g>", px[0], py[0], px[1], py[1], px[2], py[2]);
    svg_text(s, px[0], py[0] + 18, "middle", names[0]);
    svg_text(s, px[1], py[1] + 18, "middle", names[1]);
    svg_text(s, px[2] + 10, py[2] + 4, "start", names[2]);
    for (size_t i = 0; i < n; i++) {
        const float *q = p + 3 * i;
        double x = (double)q[0] * px[0] + (double)q[1] * px[1] + (double)q[2] * px[2];
        double y = (double)q[0] * py[0] + (double)q[1] * py[1] + (double)q[2] * py[2];
        if (x - x == 0 && y - y == 0) svg_mark(s, x, y, color ? color[i] : 0);
    }
}
#endif
