/* test_faults.c -- every call of the C library that reads or writes may fail: at each one in turn the
 * disk is full, the read is cut short, the file cannot be renamed, the power goes. The file that was
 * there before is whole, what was in memory is untouched, and the next try succeeds. */
#if defined(__unix__) || defined(__APPLE__)
#define _XOPEN_SOURCE 700
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#ifndef __EMSCRIPTEN__
#define HAVE_PROCESSES 1
#endif
#endif
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the library's stdio, with faults */

enum { FAIL, SHORT, CUT };           /* the call fails; does half of it and fails; the power goes */
static int fault_at = -1, fault_kind; /* the number of the call; none */
static int calls, cut_read, broken;   /* calls made; reads give a byte at a time; ferror is set */
static char order[64];                /* the calls of a save, one letter each */

static int fault_here(char letter) {
    if (calls < (int)sizeof order - 1) order[calls] = letter, order[calls + 1] = '\0';
    if (calls++ != fault_at) return 0;
    errno = letter == 'w' || letter == 's' ? ENOSPC : EIO;
#ifdef HAVE_PROCESSES
    if (fault_kind == CUT && letter != 'w') _exit(7);
#endif
    return 1;
}
static FILE *fault_fopen(const char *path, const char *mode) {
    return fault_here('o') ? NULL : fopen(path, mode);
}
static size_t fault_fread(void *p, size_t size, size_t n, FILE *f) {
    if (fault_here('r')) {
        broken = 1;
        return fault_kind == SHORT ? fread(p, size, n < 3 ? n : n / 2 < 100 ? n / 2 : 100, f) : 0;
    }
    return broken ? 0 : fread(p, size, cut_read && n > 1 ? 1 : n, f);
}
static size_t fault_fwrite(const void *p, size_t size, size_t n, FILE *f) {
    if (fault_here('w')) {
        size_t done = fault_kind == FAIL ? 0 : fwrite(p, size, n / 2, f);
#ifdef HAVE_PROCESSES
        if (fault_kind == CUT) fflush(f), _exit(7);
#endif
        return done;
    }
    return fwrite(p, size, n, f);
}
static int fault_fflush(FILE *f) { return fault_here('f') ? EOF : fflush(f); }
static int fault_fclose(FILE *f) { /* a failing fclose closes all the same */
    int failing = fault_here('c');
    return fclose(f) != 0 || failing ? EOF : 0;
}
static int fault_ferror(FILE *f) { return broken || ferror(f); }
static int fault_rename(const char *from, const char *to) {
    return fault_here('n') ? -1 : rename(from, to);
}
static int fault_remove(const char *path) { return fault_here('d') ? -1 : remove(path); }
int fault_fsync(int fd);
#define fopen fault_fopen
#define fread fault_fread
#define fwrite fault_fwrite
#define fflush fault_fflush
#define fclose fault_fclose
#undef ferror
#define ferror fault_ferror
#define rename fault_rename
#define remove fault_remove
#define fsync fault_fsync
#include "build.h"
#undef fopen
#undef fread
#undef fwrite
#undef fflush
#undef fclose
#undef ferror
#undef rename
#undef remove
#undef fsync

int fault_fsync(int fd) {
    (void)fd;
    return fault_here('s') ? -1 : 0;
}

/* ---- a world to save */

static char path[300] = "faults.bnn", temporary[310], table[300] = "faults.csv", images[300] = "faults.idx";
static unsigned char before[1 << 14], after[1 << 14];

typedef struct world {
    bnn_arena mem;
    bnn_net net;
    bnn_ensemble post;
    bnn_checkpoint all;
} world;

static void world_make(world *a, uint64_t seed) {
    bnn_mlp_desc d;
    memset(a, 0, sizeof *a);
    memset(&d, 0, sizeof d);
    d.sizes[0] = 2, d.sizes[1] = 5, d.sizes[2] = 1;
    d.noise_std = 1;
    d.seed = seed;
    a->net = bnn_mlp(bnn_params_new(&a->mem), d);
    a->post = bnn_ensemble_new(a->net.params, 3);
    CHECK(bnn_ensemble_push(&a->post) == BNN_OK);
    a->all.nets[0] = &a->net;
    a->all.ensembles[0] = &a->post;
}

static void arm(int at, int kind) {
    fault_at = at;
    fault_kind = kind;
    calls = broken = 0;
    order[0] = '\0';
}

static size_t contents(const char *name, unsigned char *bytes) {
    FILE *f = fopen(name, "rb");
    size_t n = f == NULL ? 0 : fread(bytes, 1, sizeof before, f);
    if (f != NULL) fclose(f);
    return n;
}

static void put(const char *name, const void *bytes, size_t n) {
    FILE *f = fopen(name, "wb");
    CHECK(f != NULL && fwrite(bytes, 1, n, f) == n && fclose(f) == 0);
}

static int exists(const char *name) {
    FILE *f = fopen(name, "rb");
    if (f != NULL) fclose(f);
    return f != NULL;
}

/* The file is the old one, or, where that is allowed, the new one; and it can be read. */
static void old_or_new_is_whole(size_t n, const world *old, const world *new_, int may_be_new) {
    world got;
    size_t m = contents(path, after), count = old->net.params->n;
    CHECK(may_be_new || (m == n && memcmp(before, after, n) == 0));
    world_make(&got, 99);
    arm(-1, FAIL);
    CHECK(bnn_checkpoint_load(&got.mem, &got.all, path) == BNN_OK);
    CHECK(memcmp(got.net.params->theta, old->net.params->theta, count * sizeof(float)) == 0 ||
          (may_be_new && memcmp(got.net.params->theta, new_->net.params->theta, count * sizeof(float)) == 0));
    bnn_arena_free(&got.mem);
}

static void a_save_writes_synchronizes_closes_and_only_then_renames(void) {
    world a;
    world_make(&a, 1);
    arm(-1, FAIL);
    CHECK(bnn_checkpoint_save(&a.mem, &a.all, path) == BNN_OK);
#if defined(__unix__) || defined(__APPLE__)
    CHECK(strcmp(order, "owfscn") == 0);
#endif
    CHECK(!exists(temporary));
    bnn_arena_free(&a.mem);
}

static void a_save_that_fails_anywhere_leaves_the_old_file_and_nothing_else(void) {
    int at, kind, err = BNN_EIO;
    world a, b;
    size_t n;
    world_make(&a, 1);
    world_make(&b, 2);
    for (kind = FAIL; kind <= SHORT; kind++)
        for (at = 0; at < 40; at++) {
            arm(-1, FAIL);
            CHECK(bnn_checkpoint_save(&a.mem, &a.all, path) == BNN_OK);
            n = contents(path, before);
            arm(at, kind);
            err = bnn_checkpoint_save(&b.mem, &b.all, path);
            if (calls <= at) break; /* no call was left to fail */
            if (order[at] == 'd') continue;
            CHECK(err == BNN_EIO && b.mem.msg[0] != '\0' && b.mem.err == BNN_OK);
            CHECK(!exists(temporary));
            old_or_new_is_whole(n, &a, &b, 0);
            arm(-1, FAIL); /* and the next try succeeds */
            CHECK(bnn_checkpoint_save(&b.mem, &b.all, path) == BNN_OK);
        }
    CHECK(err == BNN_OK && at > 4);
    bnn_arena_free(&a.mem);
    bnn_arena_free(&b.mem);
    remove(path);
}

#ifdef HAVE_PROCESSES
static void a_power_cut_at_any_call_leaves_the_old_file_or_the_new(void) {
    int at, status = 0;
    world a, b;
    size_t n;
    world_make(&a, 1);
    world_make(&b, 2);
    for (at = 0; at < 40; at++) {
        pid_t child;
        arm(-1, FAIL);
        CHECK(bnn_checkpoint_save(&a.mem, &a.all, path) == BNN_OK);
        n = contents(path, before);
        fflush(stdout);
        child = fork();
        if (child == 0) {
            arm(at, CUT);
            _exit(bnn_checkpoint_save(&b.mem, &b.all, path) == BNN_OK ? 0 : 1);
        }
        CHECK(child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status));
        if (WEXITSTATUS(status) == 0) break; /* it ended before the cut */
        CHECK(WEXITSTATUS(status) == 7);
        old_or_new_is_whole(n, &a, &b, 0); /* the rename was not made: the old one */
        arm(-1, FAIL); /* a temporary file that was left is no obstacle */
        CHECK(bnn_checkpoint_save(&b.mem, &b.all, path) == BNN_OK && !exists(temporary));
    }
    CHECK(at > 4 && WEXITSTATUS(status) == 0);
    old_or_new_is_whole(n, &a, &b, 1);
    bnn_arena_free(&a.mem);
    bnn_arena_free(&b.mem);
    remove(path);
}

static void a_disk_with_room_for_a_part_only_keeps_the_old_file(void) {
    static const long room[] = { 0, 1, 100, 500 };
    size_t i, n;
    int status = 0;
    world a, b;
    world_make(&a, 1);
    world_make(&b, 2);
    arm(-1, FAIL);
    CHECK(bnn_checkpoint_save(&a.mem, &a.all, path) == BNN_OK);
    n = contents(path, before);
    CHECK(n > 500);
    for (i = 0; i < sizeof room / sizeof *room; i++) {
        pid_t child;
        fflush(stdout);
        child = fork();
        if (child == 0) {
            struct rlimit limit;
            limit.rlim_cur = limit.rlim_max = (rlim_t)room[i];
            signal(SIGXFSZ, SIG_IGN);
            if (setrlimit(RLIMIT_FSIZE, &limit) != 0) _exit(9);
            _exit(bnn_checkpoint_save(&b.mem, &b.all, path) == BNN_EIO &&
                  strstr(b.mem.msg, strerror(EFBIG)) != NULL ? 0 : 1);
        }
        CHECK(child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status));
        CHECK(WEXITSTATUS(status) == 0);
        CHECK(!exists(temporary));
        old_or_new_is_whole(n, &a, &b, 0);
    }
    bnn_arena_free(&a.mem);
    bnn_arena_free(&b.mem);
    remove(path);
}
#endif

/* ---- reading */

static int load(int what, bnn_arena *mem, world *w) {
    bnn_csv_desc desc;
    bnn_csv csv;
    bnn_mat idx;
    int err;
    memset(&desc, 0, sizeof desc);
    memset(&csv, 0, sizeof csv);
    memset(&idx, 0, sizeof idx);
    if (what == 0) err = bnn_csv_load(mem, &csv, table, desc);
    else if (what == 1) err = bnn_idx_load(mem, &idx, images);
    else err = bnn_checkpoint_load(mem, &w->all, path);
    if (err == BNN_OK && what == 0) CHECK(csv.values.rows == 3 && csv.values.data[5] == 6);
    if (err == BNN_OK && what == 1) CHECK(idx.rows == 2 && idx.data[3] == 4);
    if (err != BNN_OK) CHECK(csv.values.data == NULL && csv.names == NULL && idx.data == NULL);
    return err;
}

static void a_read_that_fails_anywhere_changes_nothing(void) {
    static const unsigned char idx[] = { 0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 2, 1, 2, 3, 4 };
    int what, at, kind, err = BNN_EIO;
    world a;
    world_make(&a, 1);
    arm(-1, FAIL);
    CHECK(bnn_checkpoint_save(&a.mem, &a.all, path) == BNN_OK);
    put(table, "a,b\n1,2\n3,4\n5,6\n", 16);
    put(images, idx, sizeof idx);
    for (what = 0; what < 3; what++)
        for (kind = FAIL; kind <= SHORT; kind++)
            for (at = 0; at < 40; at++) {
                world b;
                bnn_arena mem;
                bnn_mark mark;
                float first;
                memset(&mem, 0, sizeof mem);
                world_make(&b, 2);
                first = b.net.params->theta[0];
                mark = bnn_arena_mark(&b.mem);
                arm(at, kind);
                err = load(what, what == 2 ? &b.mem : &mem, &b);
                if (calls <= at || order[at] == 'c') { /* nothing failed, or the closing, after it all */
                    CHECK(err == BNN_OK);
                } else {
                    const bnn_arena *m = what == 2 ? &b.mem : &mem;
                    CHECK(err == BNN_EIO && m->msg[0] != '\0' && m->err == BNN_OK);
                    CHECK(b.net.params->theta[0] == first && b.post.count == 1);
                    CHECK(what == 2 ? bnn_arena_mark(m).used == mark.used : m->used == 0);
                }
                arm(-1, FAIL); /* the next try succeeds */
                CHECK(load(what, what == 2 ? &b.mem : &mem, &b) == BNN_OK);
                bnn_arena_free(&mem);
                bnn_arena_free(&b.mem);
                if (calls <= at) break;
            }
    bnn_arena_free(&a.mem);
}

static void reads_may_come_a_byte_at_a_time(void) {
    int what;
    for (what = 0; what < 3; what++) {
        world a;
        bnn_arena mem;
        memset(&mem, 0, sizeof mem);
        world_make(&a, 5);
        arm(-1, FAIL);
        cut_read = 1;
        CHECK(load(what, what == 2 ? &a.mem : &mem, &a) == BNN_OK);
        cut_read = 0;
        CHECK(calls > 10);
        bnn_arena_free(&mem);
        bnn_arena_free(&a.mem);
    }
    remove(path);
    remove(table);
    remove(images);
}

int main(void) {
#if defined(__unix__) || defined(__APPLE__)
    char dir[] = "/tmp/bnn_test_faults_XXXXXX";
    if (mkdtemp(dir) != NULL) {
        snprintf(path, sizeof path, "%s/faults.bnn", dir);
        snprintf(table, sizeof table, "%s/faults.csv", dir);
        snprintf(images, sizeof images, "%s/faults.idx", dir);
    }
#endif
    snprintf(temporary, sizeof temporary, "%s.tmp", path);
    RUN(a_save_writes_synchronizes_closes_and_only_then_renames);
    RUN(a_save_that_fails_anywhere_leaves_the_old_file_and_nothing_else);
#ifdef HAVE_PROCESSES
    RUN(a_power_cut_at_any_call_leaves_the_old_file_or_the_new);
    RUN(a_disk_with_room_for_a_part_only_keeps_the_old_file);
#endif
    RUN(a_read_that_fails_anywhere_changes_nothing);
    RUN(reads_may_come_a_byte_at_a_time);
#if defined(__unix__) || defined(__APPLE__)
    rmdir(dir);
#endif
    return check_done();
}
