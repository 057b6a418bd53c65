//! What need not stay here.

use crate::compare::{Table, any, local, remote};

const TABLE: Table = Table {
    setup: r#"
        printf 'int g(int);\nint f(int n) { return n > 2 ? g(n) : 1; }\n' >c.c
        printf 'const char *s = "\303\244";\n' >s.c
        printf '*cc1:\n+ -fno-strict-aliasing -DQ=2\n\n*link:\n+ %%:getenv(HOME /x) -z now\n' >own.specs
        printf 'fun:f\n' >list
        mkdir k
        cp list k
    "#,
    rows: &[
        remote("GCC -specs=own.specs -c c.c"),
        remote("GCC --specs=own.specs -c c.c"),
        remote("GCC -specs own.specs -c c.c"),
        remote("GCC --specs own.specs -O2 -c c.c"),
        // One of gcc's own.
        remote("GCC -specs=libgomp.spec -c c.c"),
        remote("ICE musl-gcc -c c.c"),
        remote("ICE musl-gcc -O2 -MD -c m.c -o k/m.o")
            .setup("printf '#include <stdio.h>\nint m(void) { return puts(\"m\"); }\n' >m.c"),
        remote("CLANG -specs=own.specs -c c.c"),
        local("GCC -specs=i.specs -c c.c", "specs do more than add options")
            .setup("printf '%%include <own.specs>\n' >i.specs"),
        local("GCC -specs=i.specs -c c.c", "specs do more than add options")
            .setup("printf '*cc1:\n+ -fstack-usage\n' >i.specs"),
        local("GCC -specs=gone.specs -c c.c", "file for argument"),
        remote("CLANG -fsanitize=address -fsanitize-ignorelist=list -c c.c"),
        remote("CLANG -fsanitize=address -fsanitize-blacklist=k/list -c c.c"),
        local("CLANG -fsanitize=address -fsanitize-ignorelist=list -c c.c", "argument names a list of source files")
            .setup("printf 'src:c.c\n' >list"),
        remote("CLANG -fsanitize-coverage=trace-pc-guard -fsanitize-coverage-ignorelist=list -c c.c"),
        local(
            "CLANG -fsanitize-coverage=trace-pc-guard -fsanitize-coverage-allowlist=list -c c.c",
            "argument names a list of source files",
        )
        .setup("printf 'src:*\\nfun:f\\n' >list"),
        remote("CLANG -fxray-instrument -fxray-always-instrument=list -c c.c"),
        remote("CLANG -fprofile-instr-use=p.profdata -O1 -c c.c")
            .setup("printf 'g\\n0\\n2\\n5\\n3\\n\\n' >p.txt; llvm-profdata-14 merge p.txt -o p.profdata"),
        remote("CLANG -O2 -fprofile-use=p.profdata -c c.c")
            .setup("printf 'f\n0\n2\n5\n3\n\n' >p.txt; llvm-profdata-14 merge p.txt -o p.profdata"),
        remote("CLANG -O2 -fprofile-instr-use=p.profdata -c c.c")
            .setup("printf 'f\n0\n2\n5\n3\n\n' >p.txt; llvm-profdata-14 merge p.txt -o p.profdata"),
        remote("CLANG -O2 -fprofile-use=k -c c.c")
            .setup("printf 'f\n0\n2\n5\n3\n\n' >p.txt; llvm-profdata-14 merge p.txt -o k/default.profdata"),
        local("GCC -O2 -fprofile-use=k/c.gcda -c c.c", "argument makes the compiler read a file that the remote lacks"),
        remote("GCC -Wa,-I,k -c c.c"),
        remote("GCC -Wa,-Ik -Xassembler -I -Xassembler . -c c.c"),
        remote("CLANG -Wa,-I,k -c c.c"),
        any("GCC -Wa,-I,k -c b.c").setup("printf 'x' >k/bytes; printf '__asm__(\".incbin \\\\\"bytes\\\\\"\");' >b.c"),
        any("CLANG -Wa,-I,k -c b.c")
            .setup("printf 'x' >k/bytes; printf '__asm__(\".incbin \\\\\"bytes\\\\\"\");' >b.c"),
        remote("GCC -fexec-charset=UTF-8 -c s.c"),
        remote("GCC -fexec-charset=utf8 -c s.c"),
        remote("GCC -fexec-charset=Utf-8 -c s.c"),
        local("GCC -fexec-charset=ISO-8859-1 -c s.c", "argument names a character set"),
        remote("CLANG -fexec-charset=UTF-8 -c s.c"),
        remote("CLANG -emit-llvm -c c.c"),
        remote("CLANG -emit-llvm -S c.c"),
        remote("CLANG -emit-llvm -S c.c -o k/c.ll"),
        remote("CLANG -flto -c c.c"),
        remote("GCC -s -c c.c"),
        remote("GCC -z now -u main -T c.ld -e f -c c.c"),
        remote("GCC -Xlinker -z -Xlinker now -Wl,-s -c c.c"),
        remote("CLANG -s -c c.c"),
        remote("CLANG -z now -u main -T c.ld -e f -c c.c"),
        remote("CLANG -Bk -c c.c"),
        remote("CLANG -B k --prefix=/usr/bin -c c.c"),
        remote("CLANG -Bk -fintegrated-as --target=x86_64-linux-gnu -c c.c"),
        remote("CLANG -Bk -fno-integrated-as -S c.c"),
        local("CLANG -Bk -fno-integrated-as -c c.c", "argument may make the compiler run other programs"),
        local("GCC -Bk -c c.c", "argument may make the compiler run other programs"),
    ],
};

#[test]
fn needless() {
    TABLE.try_all();
}
