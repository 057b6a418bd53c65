/* A compiler that, run by another user than root, writes beside itself what it may do there, once. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static int is_there(int family, struct sockaddr *to, socklen_t size) {
    int s = socket(family, SOCK_STREAM, 0);
    return s >= 0 && connect(s, to, size) == 0;
}

/* MiB of address space, at most 64 GiB. */
static long memory(void) {
    long mib = 0;
    while (mib < 65536 && mmap(0, 64L << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED)
        mib += 64;
    return mib;
}

static int processes(void) {
    int count = 0, pid = 0;
    while (count < 5000 && (pid = fork()) > 0)
        count++;
    while (pid == 0)
        pause();
    signal(SIGTERM, SIG_IGN);
    kill(0, SIGTERM);
    while (wait(0) > 0)
        ;
    return count;
}

int main(int argc, char **argv) {
    char said[4096], line[600], big[4096];
    snprintf(said, sizeof said, "%s-said", argv[0]);
    int out = getuid() ? open(said, O_CREAT | O_EXCL | O_WRONLY, 0666) : -1;
    if (out >= 0) {
        struct sockaddr_in scheduler = {.sin_family = AF_INET, .sin_port = htons(8765)};
        struct sockaddr_un daemon = {.sun_family = AF_UNIX, .sun_path = "/var/run/icecc/iceccd.socket"};
        inet_pton(AF_INET, "10.77.0.1", &scheduler.sin_addr);
        signal(SIGXFSZ, SIG_IGN);
        snprintf(big, sizeof big, "%s-big", argv[0]);
        int file = open(big, O_CREAT | O_WRONLY, 0600), mark = open("/proc/self/oom_score_adj", O_RDONLY);
        char marked[8] = "";
        if (read(mark, marked, 7) < 0)
            return 1;
        int length = snprintf(line, sizeof line, "scheduler %d\ndaemon %d\nmemfd %ld\nfile %d\nmark %d\n",
                              is_there(AF_INET, (void *)&scheduler, sizeof scheduler),
                              is_there(AF_UNIX, (void *)&daemon, sizeof daemon), syscall(SYS_memfd_create, "spy", 0),
                              ftruncate(file, 1L << 40), atoi(marked));
        unlink(big);
        length += snprintf(line + length, sizeof line - length, "memory %ld\n", memory());
        if (write(out, line, length) != length)
            return 1;
        if (fork() == 0) {
            setpgid(0, 0);
            length = snprintf(line, sizeof line, "processes %d\n", processes());
            _exit(write(out, line, length) != length);
        }
        wait(0);
    }
    argv[0] = "/usr/bin/gcc";
    return execv(argv[0], argv);
}
