/* Stands in for libc's functions that change files (LD_PRELOAD) and makes the n-th of them fail,
 * or ends the process there. Only files below FAULT_FOLDER count.
 *
 * FAULT_FOLDER  absolute path of the watched folder
 * FAULT_AT      which operation meets the fault, from 1; 0 = none
 * FAULT_ACTION  kill: the process dies before the operation
 *               torn: the first half of a write happens, then the process dies
 *               full: it fails once with "no space left on device"
 * FAULT_WHILE   a path: while it exists, every operation that needs space fails as with a full disk
 * FAULT_COUNT   a file whose first eight bytes count the operations
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum action { NONE, KILL, TORN, FULL };

static const char *folder, *full_while;
static size_t folder_length;
static enum action action;
static uint64_t fault_at;
static _Atomic uint64_t own_count;
static _Atomic uint64_t *count = &own_count;

__attribute__((constructor)) static void begin(void) {
    const char *at = getenv("FAULT_AT"), *what = getenv("FAULT_ACTION");
    const char *file = getenv("FAULT_COUNT");
    folder = getenv("FAULT_FOLDER");
    full_while = getenv("FAULT_WHILE");
    folder_length = folder ? strlen(folder) : 0;
    fault_at = at ? strtoull(at, NULL, 10) : 0;
    if (what && !strcmp(what, "kill")) action = KILL;
    if (what && !strcmp(what, "torn")) action = TORN;
    if (what && !strcmp(what, "full")) action = FULL;
    if (file) {
        int fd = open(file, O_RDWR);
        void *map = fd < 0 ? MAP_FAILED
                           : mmap(NULL, 8, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (map != MAP_FAILED) count = map;
        if (fd >= 0) close(fd);
    }
}

__attribute__((noreturn)) static void die(void) {
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

static int watched_path(const char *path) {
    return folder && path && !strncmp(path, folder, folder_length) &&
           (path[folder_length] == '/' || path[folder_length] == 0);
}

static int watched_fd(int fd) {
    char link[64], path[PATH_MAX];
    ssize_t length;
    if (!folder) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return watched_path(path);
}

static int watched_at(int dir, const char *path) {
    return path && (path[0] == '/' || dir == AT_FDCWD) ? watched_path(path) : watched_fd(dir);
}

/* Counts one operation: 0 = do it, 1 = do half of it and then die, -1 = fail with errno set. */
static int meet(int needs_space) {
    uint64_t now = atomic_fetch_add(count, 1) + 1;
    if (needs_space && full_while && access(full_while, F_OK) == 0) {
        errno = ENOSPC;
        return -1;
    }
    if (now != fault_at) return 0;
    switch (action) {
    case KILL: die();
    case TORN: return 1;
    case FULL:
        if (!needs_space) return 0;
        errno = ENOSPC;
        return -1;
    default: return 0;
    }
}

#define REAL(name) \
    static __typeof__(&name) real; \
    if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

/* A write of `size` bytes: `whole` does it, `half` does its first half. */
#define WRITING(fd, whole, half) \
    do { \
        if (!watched_fd(fd)) return whole; \
        int met = meet(1); \
        if (met < 0) return -1; \
        if (met > 0) { (void)!(half); die(); } \
        return whole; \
    } while (0)

#define CHANGING(watched, needs_space, whole) \
    do { \
        if (!(watched)) return whole; \
        int met = meet(needs_space); \
        if (met < 0) return -1; \
        if (met > 0) { (void)(whole); die(); } \
        return whole; \
    } while (0)

ssize_t write(int fd, const void *bytes, size_t size) {
    REAL(write);
    WRITING(fd, real(fd, bytes, size), real(fd, bytes, size / 2));
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t at) {
    REAL(pwrite);
    WRITING(fd, real(fd, bytes, size, at), real(fd, bytes, size / 2, at));
}

ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t at) {
    REAL(pwrite64);
    WRITING(fd, real(fd, bytes, size, at), real(fd, bytes, size / 2, at));
}

ssize_t writev(int fd, const struct iovec *parts, int n) {
    REAL(writev);
    WRITING(fd, real(fd, parts, n), real(fd, parts, (n + 1) / 2));
}

ssize_t pwritev(int fd, const struct iovec *parts, int n, off_t at) {
    REAL(pwritev);
    WRITING(fd, real(fd, parts, n, at), real(fd, parts, (n + 1) / 2, at));
}

ssize_t pwritev64(int fd, const struct iovec *parts, int n, off64_t at) {
    REAL(pwritev64);
    WRITING(fd, real(fd, parts, n, at), real(fd, parts, (n + 1) / 2, at));
}

int fsync(int fd) {
    REAL(fsync);
    CHANGING(watched_fd(fd), 0, real(fd));
}

int fdatasync(int fd) {
    REAL(fdatasync);
    CHANGING(watched_fd(fd), 0, real(fd));
}

int ftruncate(int fd, off_t size) {
    REAL(ftruncate);
    CHANGING(watched_fd(fd), 0, real(fd, size));
}

int ftruncate64(int fd, off64_t size) {
    REAL(ftruncate64);
    CHANGING(watched_fd(fd), 0, real(fd, size));
}

int fallocate(int fd, int mode, off_t at, off_t size) {
    REAL(fallocate);
    CHANGING(watched_fd(fd), 1, real(fd, mode, at, size));
}

int fallocate64(int fd, int mode, off64_t at, off64_t size) {
    REAL(fallocate64);
    CHANGING(watched_fd(fd), 1, real(fd, mode, at, size));
}

int rename(const char *from, const char *to) {
    REAL(rename);
    CHANGING(watched_path(to), 0, real(from, to));
}

int renameat(int from_dir, const char *from, int to_dir, const char *to) {
    REAL(renameat);
    CHANGING(watched_at(to_dir, to), 0, real(from_dir, from, to_dir, to));
}

int link(const char *from, const char *to) {
    REAL(link);
    CHANGING(watched_path(to), 1, real(from, to));
}

int linkat(int from_dir, const char *from, int to_dir, const char *to, int flags) {
    REAL(linkat);
    CHANGING(watched_at(to_dir, to), 1, real(from_dir, from, to_dir, to, flags));
}

int unlink(const char *path) {
    REAL(unlink);
    CHANGING(watched_path(path), 0, real(path));
}

int unlinkat(int dir, const char *path, int flags) {
    REAL(unlinkat);
    CHANGING(watched_at(dir, path), 0, real(dir, path, flags));
}

int mkdir(const char *path, mode_t mode) {
    REAL(mkdir);
    CHANGING(watched_path(path), 1, real(path, mode));
}

/* Opening counts only where it makes a file. */
#define OPENING(watched, flags, whole) \
    do { \
        mode_t mode = 0; \
        if ((flags) & (O_CREAT | O_TMPFILE)) { \
            va_list rest; \
            va_start(rest, flags); \
            mode = va_arg(rest, mode_t); \
            va_end(rest); \
        } \
        if (!((flags) & O_CREAT)) return whole; \
        CHANGING((watched) && access(path, F_OK) != 0, 1, whole); \
    } while (0)

int open(const char *path, int flags, ...) {
    REAL(open);
    OPENING(watched_path(path), flags, real(path, flags, mode));
}

int open64(const char *path, int flags, ...) {
    REAL(open64);
    OPENING(watched_path(path), flags, real(path, flags, mode));
}

int openat(int dir, const char *path, int flags, ...) {
    REAL(openat);
    OPENING(path[0] == '/' && watched_path(path), flags, real(dir, path, flags, mode));
}

int openat64(int dir, const char *path, int flags, ...) {
    REAL(openat64);
    OPENING(path[0] == '/' && watched_path(path), flags, real(dir, path, flags, mode));
}
