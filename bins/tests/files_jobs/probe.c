/* Makes calls as no compiler does. What it finds is its exit status; 0: as it should be. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int fails(long result, int with) { return result == -1 && errno == with; }

/* The last bytes of a page, behind which there is none. */
static int page_end(const char *path) {
    char *pages = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    size_t len = strlen(path) + 1;
    struct stat s;
    if (pages == MAP_FAILED || munmap(pages + 4096, 4096)) return 2;
    memcpy(pages + 4096 - len, path, len);
    return stat(pages + 4096 - len, &s) != 0;
}

/* From one page to the next. */
static int two_pages(const char *path) {
    char *pages = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct stat s;
    if (pages == MAP_FAILED) return 2;
    strcpy(pages + 4090, path);
    return stat(pages + 4090, &s) != 0;
}

static int in_vfork(const char *path) {
    int status;
    pid_t pid = vfork();
    if (pid == 0) _exit(access(path, F_OK) != 0);
    return pid < 0 || waitpid(pid, &status, 0) != pid || status != 0;
}

#ifdef __x86_64__
/* A call of the 32-bit machine, which takes addresses below 4 GiB alone. */
static int narrow(long number, const char *path, long flags) {
    int result;
    char *low = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    if (low == MAP_FAILED) return 1;
    strcpy(low, path);
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(low), "c"(flags), "d"(0) : "memory", "r8", "r9", "r10", "r11");
    return result;
}
#endif

static int bomb(void) {
    for (int n = 0; n < 10000; n++) {
        pid_t pid = fork();
        if (pid == 0) for (;;) if (access("/nothing/of/that/name", F_OK) == 0) _exit(1);
        if (pid < 0) return errno != EAGAIN || n > 1000;
    }
    return 3;
}

static int loop(const char *path, long count) {
    struct timespec a, b;
    clock_gettime(CLOCK_MONOTONIC, &a);
    for (long n = 0; n < count; n++) access(path, F_OK);
    clock_gettime(CLOCK_MONOTONIC, &b);
    printf("%.2f", ((b.tv_sec - a.tv_sec) * 1e9 + (b.tv_nsec - a.tv_nsec)) / 1e3 / count);
    return 0;
}

int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "", *path = argc > 2 ? argv[2] : "";
    struct stat s;
    if (!strcmp(what, "page-end")) return page_end(path);
    if (!strcmp(what, "two-pages")) return two_pages(path);
    if (!strcmp(what, "vfork")) return in_vfork(path);
    if (!strcmp(what, "bomb")) return bomb();
    if (!strcmp(what, "loop")) return loop(path, atol(argv[3]));
    if (!strcmp(what, "no-path")) return !fails(stat((char *)1, &s), EFAULT);
    if (!strcmp(what, "empty")) return !(fstatat(1, "", &s, AT_EMPTY_PATH) == 0 && fails(stat("", &s), ENOENT));
    /* The flag alone opens no way round: the path counts. */
    if (!strcmp(what, "absent-at")) return !fails(fstatat(AT_FDCWD, path, &s, AT_EMPTY_PATH), ENOENT);
    if (!strcmp(what, "absent-from")) {
        char *name = strrchr(path, '/');
        *name = 0;
        int dir = open(path, O_PATH | O_DIRECTORY);
        return !(dir >= 0 && fails(openat(dir, name + 1, O_RDONLY), ENOENT));
    }
    if (!strcmp(what, "absent-here")) {
        char *name = strrchr(path, '/');
        *name = 0;
        int dir = open(path, O_PATH | O_DIRECTORY);
        return !(fchdir(dir) == 0 && fails(open(name + 1, O_RDONLY), ENOENT) && access(".", X_OK) == 0);
    }
    if (!strcmp(what, "openat2")) return !fails(syscall(437, AT_FDCWD, path, path, 24), ENOSYS);
    if (!strcmp(what, "io_uring")) return !fails(syscall(425, 4, path), EPERM);
    if (!strcmp(what, "handle")) return !fails(syscall(SYS_name_to_handle_at, AT_FDCWD, path, 0, 0, 0), EPERM);
    if (!strcmp(what, "mounts")) return !fails(syscall(SYS_mount, "x", "/tmp", "tmpfs", 0, 0), EPERM);
    if (!strcmp(what, "identity")) return !(getuid() > 0 && geteuid() == getuid() && getgid() > 0);
    if (!strcmp(what, "read-first")) return open("/proc/1/mem", O_RDONLY) >= 0 || open("/proc/1/fd", O_RDONLY) >= 0;
    if (!strcmp(what, "oom")) return open("/proc/self/oom_score_adj", O_WRONLY) >= 0;
    if (!strcmp(what, "kernel")) return access("/proc/kallsyms", F_OK) == 0 || access("/proc/sys", F_OK) == 0;
    if (!strcmp(what, "root")) return access("/proc/self/root/etc/passwd", F_OK) == 0;
#ifdef __x86_64__
    if (!strcmp(what, "narrow-absent")) return narrow(5, path, O_RDONLY) != -ENOENT;
    if (!strcmp(what, "narrow-there")) return narrow(33, path, F_OK) != 0;
    if (!strcmp(what, "x32")) return syscall(0x40000000 + SYS_getpid) ? 1 : 2;
#endif
    return 9;
}
