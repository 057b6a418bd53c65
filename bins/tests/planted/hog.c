/* A compiler that with -frandom-seed=KIND-MIB takes so much memory of a kind, and then says so and stays. Without the
   option it is the compiler. Where it gets no more it ends as a compiler that gets none. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define PIECE (16L << 20)
static char piece[PIECE];

static int none(const char *kind) {
    fprintf(stderr, "%s: Cannot allocate memory\n", kind);
    return 1;
}

static int memfd(void) {
    int fd = memfd_create("hog", 0);
    /* Not written, so that nothing of it is in this process. */
    return fd >= 0 && fallocate(fd, 0, 0, PIECE) == 0;
}

static int shm(void) {
    int id = shmget(IPC_PRIVATE, PIECE, IPC_CREAT | 0600);
    void *at = id < 0 ? (void *)-1 : shmat(id, 0, 0);
    if (at == (void *)-1)
        return 0;
    memset(at, 1, PIECE);
    return shmdt(at) == 0;
}

static int file(void) {
    static int count;
    char name[64];
    sprintf(name, "/tmp/hog-%d", count++);
    int fd = open(name, O_CREAT | O_WRONLY, 0600), good = fd >= 0 && write(fd, piece, PIECE) == PIECE;
    close(fd);
    return good;
}

static int anonymous(void) {
    char *at = mmap(0, PIECE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return at != MAP_FAILED && memset(at, 1, PIECE);
}

/* A process that keeps some, which alone is little. */
static int process(void) {
    int ends[2], pid = pipe(ends) ? -1 : fork();
    if (pid == 0) {
        int good = anonymous() && anonymous();
        if (good && write(ends[1], "x", 1) == 1)
            pause();
        _exit(1);
    }
    close(ends[1]);
    char has = 0;
    int good = pid > 0 && read(ends[0], &has, 1) == 1;
    close(ends[0]);
    return good;
}

int main(int argc, char **argv) {
    const char *seed = "-frandom-seed=", *kind = 0;
    for (int i = 1; i < argc; i++)
        if (!strncmp(argv[i], seed, strlen(seed)))
            kind = argv[i] + strlen(seed);
    if (!kind)
        return execv("/usr/bin/compiler", argv);
    const struct {
        const char *name;
        int (*take)(void);
    } kinds[] = {{"memfd", memfd}, {"shm", shm}, {"file", file}, {"anonymous", anonymous}, {"process", process}};
    for (unsigned i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (!strncmp(kind, kinds[i].name, strlen(kinds[i].name)))
            for (long mib = atol(kind + strlen(kinds[i].name) + 1); mib > 0; mib -= PIECE >> 20)
                if (!kinds[i].take() || waitpid(-1, 0, WNOHANG) > 0)
                    return none(kind);
    for (;;)
        pause();
}
