/* A compiler that first tries system calls which no job may make: of a later kernel, and for memory without a path. */
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv) {
    int made = 0;
    for (int i = 0; i < 3; i++)
        made |= syscall(467, -1, 0, 0) != -1;
    made |= syscall(SYS_memfd_create, "curious", 0) != -1;
    if (!made && argc > 1)
        execv("/usr/bin/compiler", argv);
    return made;
}
