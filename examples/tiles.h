/* tiles.h -- pictures for the examples: sheets of equal tiles, read with stb_image and written with
 * stb_image_write (Debian: apt-get install libstb-dev). A tile is a row of a matrix, gray, 0 black
 * to 1 white. Without stb everything compiles and reading and writing return BNN_EIO with a
 * sentence that says what to install. The sentence is in mem->msg, as with the library's files. */
#ifndef TILES_H
#define TILES_H
#include "bnn.h"
#include "example.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef __has_include
#if __has_include(<stb/stb_image.h>) && __has_include(<stb/stb_image_write.h>)
#define TILES_STB 1
#endif
#endif

#ifdef TILES_STB
#if defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wsign-compare"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#endif
#define STB_IMAGE_IMPLEMENTATION
#define STBI_NO_SIMD
#define STBI_NO_HDR
#define STBI_NO_LINEAR
#include <stb/stb_image.h>
#define STB_IMAGE_WRITE_IMPLEMENTATION
#include <stb/stb_image_write.h>
#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif
#endif

enum { TILES_MAX = 1 << 26 }; /* pixels of all tiles together */

typedef struct tiles_size {
    size_t width, height; /* of one tile, in pixels */
} tiles_size;

static inline int tiles_fail(bnn_arena *mem, int err, const char *path, const char *what) {
    size_t length = strlen(path), tail = length > 60 ? length - 60 : 0; /* the end of a long path */
    snprintf(mem->msg, sizeof mem->msg, "tiles: %.60s: %.90s", path + tail, what);
    return err;
}

static inline int tiles_no_stb(bnn_arena *mem, const char *path) {
    return tiles_fail(mem, BNN_EIO, path, "made without stb_image: install libstb-dev, compile");
}

#ifdef TILES_STB
/* One sheet's pixels as gray bytes; the caller frees them */
static inline int tiles_open(bnn_arena *mem, const char *path, unsigned char **pixels,
                             size_t *width, size_t *height) {
    int w = 0, h = 0, channels = 0;
    char what[120];
    *pixels = stbi_load(path, &w, &h, &channels, 1);
    if (*pixels == NULL) {
        snprintf(what, sizeof what, "stb_image says: %s", stbi_failure_reason());
        return tiles_fail(mem, BNN_EFORMAT, path, what);
    }
    *width = (size_t)w;
    *height = (size_t)h;
    return BNN_OK;
}

/* Does a sheet consist of whole tiles? single: is it one image of the size of the first? */
static inline int tiles_fit(bnn_arena *mem, const char *path, tiles_size *tile, int single,
                            size_t width, size_t height) {
    char what[120];
    if (tile->width == 0 || tile->height == 0) {
        tile->width = width;
        tile->height = height;
    }
    snprintf(what, sizeof what, "%zux%zu pixels are not %s %zux%zu", width, height,
             single ? "the first image's" : "whole tiles of", tile->width, tile->height);
    if (single ? width == tile->width && height == tile->height
               : width % tile->width == 0 && height % tile->height == 0) return BNN_OK;
    return tiles_fail(mem, BNN_ESHAPE, path, what);
}
#endif

/* Reads n image files cut into tiles, row by row, into *out (tiles, width*height). tile 0x0: each
 * file is one image, and all must have the size of the first. All or nothing. */
static inline int tiles_read(bnn_arena *mem, bnn_mat *out, tiles_size *tile, size_t n,
                             const char *const *paths) {
#ifndef TILES_STB
    (void)out;
    (void)tile;
    return tiles_no_stb(mem, n > 0 ? paths[0] : "no file");
#else
    tiles_size size = *tile;
    size_t count = 0, at = 0;
    bnn_mat m = { 0, 0, NULL };
    for (size_t pass = 0; pass < 2; pass++) { /* first the sizes, then the pixels */
        for (size_t i = 0; i < n; i++) {
            unsigned char *pixels;
            size_t width = 0, height = 0, more = 0;
            int err = tiles_open(mem, paths[i], &pixels, &width, &height);
            if (err == BNN_OK)
                err = tiles_fit(mem, paths[i], &size, tile->width == 0, width, height);
            if (err == BNN_OK) more = width / size.width * (height / size.height);
            if (err == BNN_OK && pass == 0 && more > TILES_MAX / (size.width * size.height) - count)
                err = tiles_fail(mem, BNN_ENOMEM, paths[i], "too many pixels");
            if (err == BNN_OK && pass == 1 && more > count - at)
                err = tiles_fail(mem, BNN_EIO, paths[i], "changed while it was read");
            if (pass == 0) count += more;
            for (size_t y = 0; err == BNN_OK && pass == 1 && y < height; y++)
                for (size_t x = 0; x < width; x++) {
                    size_t t = at + y / size.height * (width / size.width) + x / size.width;
                    *bnn_mat_at(m, t, y % size.height * size.width + x % size.width) =
                        (float)pixels[y * width + x] / 255;
                }
            if (pass == 1) at += more;
            stbi_image_free(pixels);
            if (err != BNN_OK) return err;
        }
        if (pass == 0) m = bnn_mat_new(mem, count, size.width * size.height);
        if (m.data == NULL) return mem->err;
    }
    *tile = size;
    *out = m;
    return BNN_OK;
#endif
}

#ifdef TILES_STB
static inline void tiles_put(void *file, void *bytes, int n) { /* the end asks for errors */
    (void)fwrite(bytes, 1, (size_t)n, (FILE *)file);
}
#endif

/* Writes the rows of m as tiles, `across` side by side, each pixel `zoom` x `zoom`, `gap` gray
 * pixels between (gap 0: a sheet that tiles_read reads back). Values are cut to [0,1]; same bytes
 * always. */
static inline int tiles_write(bnn_arena *mem, const char *path, bnn_mat m, tiles_size tile,
                              size_t across, size_t zoom, size_t gap) {
#ifndef TILES_STB
    (void)m, (void)tile, (void)across, (void)zoom, (void)gap;
    return tiles_no_stb(mem, path);
#else
    size_t down = across ? (m.rows + across - 1) / across : 0;
    size_t step_x = tile.width * zoom + gap, step_y = tile.height * zoom + gap;
    size_t width = across * step_x + gap, height = down * step_y + gap;
    bnn_mark mark = bnn_arena_mark(mem);
    unsigned char *pixels;
    FILE *f;
    int ok;
    if (m.data == NULL || m.rows == 0 || across == 0 || zoom == 0 ||
        m.cols != tile.width * tile.height)
        return tiles_fail(mem, BNN_ESHAPE, path, "the matrix does not hold such tiles");
    pixels = (unsigned char *)bnn_arena_alloc(mem, width * height, 1);
    if (pixels == NULL) return mem->err;
    memset(pixels, 96, width * height);
    for (size_t t = 0; t < m.rows; t++)
        for (size_t y = 0; y < tile.height * zoom; y++)
            for (size_t x = 0; x < tile.width * zoom; x++) {
                float v = *bnn_mat_at(m, t, y / zoom * tile.width + x / zoom);
                size_t px = gap + t % across * step_x + x, py = gap + t / across * step_y + y;
                pixels[py * width + px] = (unsigned char)(v > 0 ? v < 1 ? 255 * v + 0.5f : 255 : 0);
            }
    f = fopen(path, "wb");
    ok = f && stbi_write_png_to_func(tiles_put, f, (int)width, (int)height, 1, pixels, (int)width);
    ok = ok && fflush(f) == 0 && !ferror(f);
    if (f && fclose(f) != 0) ok = 0;
    bnn_arena_rewind(mem, mark);
    return ok ? BNN_OK : tiles_fail(mem, BNN_EIO, path, "cannot be written");
#endif
}

/* The same for a picture in build/ with gaps of 1: says its path, or why there is none. Without
 * this folder nothing happens, and without stb nothing is wrong. */
static inline void tiles_picture(bnn_arena *mem, const char *who, const char *path, bnn_mat m,
                                 tiles_size tile, size_t across, size_t zoom) {
#ifndef TILES_STB
    (void)m, (void)tile, (void)across, (void)zoom;
    (void)tiles_no_stb(mem, path);
    printf("%s: %s\n", who, mem->msg);
#else
    FILE *f = example_open(who, path);
    if (f == NULL) return;
    fclose(f);
    if (tiles_write(mem, path, m, tile, across, zoom, 1) == BNN_OK) {
        puts(path);
        return;
    }
    fprintf(stderr, "%s: %s\n", who, mem->msg);
    example_failed = 1;
#endif
}
#endif
