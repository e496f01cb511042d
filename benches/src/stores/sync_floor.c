/* fsync and fdatasync that take at least as long as the environment says; see sync_floor.rs.
 * Linked into the benches themselves, these definitions come before the C library's. Linux only. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static long long now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

/* The variable does not change, so several threads that read it at once find the same. */
static long long floor_ns(void) {
    static long long known = -1;
    long long floor = __atomic_load_n(&known, __ATOMIC_RELAXED);
    if (floor < 0) {
        const char *text = getenv("I3_BENCH_SYNC_FLOOR_US");
        floor = text ? atoll(text) * 1000LL : 0;
        if (floor < 0) floor = 0;
        __atomic_store_n(&known, floor, __ATOMIC_RELAXED);
    }
    return floor;
}

/* The real sync first; then the rest of the time, even if it failed. */
static int slow_sync(long number, int file) {
    long long floor = floor_ns();
    long long until = floor ? now_ns() + floor : 0;
    int result = (int)syscall(number, file);
    int error = errno;
    if (floor) {
        struct timespec end = {until / 1000000000LL, until % 1000000000LL};
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL) == EINTR) {
        }
    }
    errno = error;
    return result;
}

int fsync(int file) { return slow_sync(SYS_fsync, file); }

int fdatasync(int file) { return slow_sync(SYS_fdatasync, file); }
