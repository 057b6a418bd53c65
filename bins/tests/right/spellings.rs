//! Options by every way to spell them.

use crate::compare::{Table, any, local, remote, twice};

const TABLE: Table = Table {
    setup: r#"
        printf '#ifdef A\nint a = A;\n#endif\n#ifdef foo\nint foo;\n#endif\nint f(void) { return 1; }\n' >c.c
        printf '#define foo bar\n' >m.h
        printf '#include "m.h"\nint foo;\n' >i.c
        printf 'int f() { return 1; }\n' >c.cc
        mkdir k
        cp m.h k
        printf '#include "n.h"\nint foo;\n' >n.c
        cp m.h k/n.h
    "#,
    rows: &[
        // Outputs.
        remote("GCC --output=z.o -c c.c"),
        remote("GCC --output z.o -c c.c"),
        remote("GCC -oz.o -c c.c"),
        remote("CLANG --output=z.o -c c.c"),
        remote("CLANG --output z.o -c c.c"),
        remote("CLANG -oz.o -c c.c"),
        remote("GCC --compile c.c"),
        remote("CLANG --compile --output=k/z.o c.c"),
        remote("GCC --assemble c.c"),
        remote("CLANG --assemble c.c"),
        remote("GCC --assem c.c"),
        any("GCC --outp=z.o -c c.c"),
        local("GCC --preprocess c.c", "preprocessing"),
        local("CLANG --preprocess -c c.c", "preprocessing"),
        local("GCC --output=- -c c.c", "output is no regular file"),
        any("GCC --output= -c c.c"),
        // Included files and macros.
        remote("GCC --include m.h -c c.c"),
        remote("GCC --include=m.h -c c.c"),
        remote("GCC -includem.h -c c.c"),
        remote("CLANG --include m.h -c c.c"),
        remote("CLANG --include=m.h -c c.c"),
        remote("CLANG --includem.h -c c.c"),
        remote("CLANG -includem.h -c c.c"),
        remote("GCC --imacros m.h -c c.c"),
        remote("GCC --imacros=m.h -c c.c"),
        remote("GCC -imacrosm.h -c c.c"),
        remote("GCC -imacros m.h -c c.c"),
        remote("CLANG --imacros m.h -c c.c"),
        remote("CLANG --imacros=m.h -c c.c"),
        remote("CLANG -imacrosm.h -c c.c"),
        remote("CLANG -imacros m.h -c c.c"),
        remote("CLANG -Wp,-imacros,m.h -c c.c"),
        remote("CLANG -Xpreprocessor -imacros -Xpreprocessor m.h -c c.c"),
        remote("CLANG -Xclang -imacros -Xclang m.h -c c.c"),
        remote("GCC -Wp,-imacros,m.h -c c.c"),
        remote("GCC --define-macro A=2 -c c.c"),
        remote("GCC --define-macro=A=2 -c c.c"),
        remote("CLANG --define-macro A=2 -c c.c"),
        remote("CLANG --define-macro=A=2 -c c.c"),
        remote("GCC -DA=2 --undefine-macro A -c c.c"),
        remote("CLANG -DA=2 --undefine-macro=A -c c.c"),
        remote("GCC --include-directory=k -c n.c"),
        remote("GCC --include-directory k -c n.c"),
        remote("CLANG --include-directory=k -c n.c"),
        remote("CLANG --include-directory-after k -c n.c"),
        remote("GCC -isystemk -c n.c"),
        remote("GCC -iquotek -c n.c"),
        remote("GCC -idirafterk -c n.c"),
        remote("CLANG -isystemk -c n.c"),
        remote("CLANG -iquotek -c n.c"),
        remote("GCC --include-prefix=k/ --include-with-prefix-before= -c n.c"),
        any("GCC --no-standard-includes -c i.c"),
        // Languages.
        remote("GCC --language=c++ -c c.c"),
        remote("GCC --language c++ -c c.c"),
        remote("GCC --lang c++ -c c.c"),
        remote("GCC -xc++ -c c.c"),
        remote("CLANG --language=c++ -c c.c"),
        remote("CLANG -xc++ -c c.c"),
        remote("GXX -xc -c c.c"),
        local("GCC -c c.c -x c++", "language of -x stands behind the input"),
        local("CLANG -c c.c -x c++", "language of -x stands behind the input"),
        local("CLANG -ObjC -c c.c", "names or text of files"),
        local("CLANG -ObjC++ -c c.c", "names or text of files"),
        twice("CLANG -ObjC++ -x c -c c.c"),
        any("GCC -ObjC -c c.c"),
        remote("GCC -x c -c i.i").setup("cp i.c i.i"),
        remote("CLANG -x c -c i.i").setup("cp i.c i.i"),
        remote("GCC --std=c99 -c c.c"),
        remote("GCC --std c99 -c c.c"),
        remote("CLANG --std=c99 -c c.c"),
        remote("CLANG --target=x86_64-linux-gnu -c c.c"),
        any("CLANG --target x86_64-linux-gnu -c c.c"),
        remote("CLANG -target x86_64-linux-gnu -c c.c"),
        remote("GCC --optimize=2 --debug=0 -c c.c"),
        remote("CLANG --optimize=2 -c c.c"),
        remote("GCC --machine=sse4 --machine-avx -c c.c"),
        remote("GCC --no-builtin --unsigned-char --all-warnings -c c.c"),
        remote("GCC --param max-inline-insns-single=9 --param=max-inline-insns-auto=9 -c c.c"),
        local("GCC --coverage -c c.c", "argument makes a file beside the object"),
        local("GCC --profile-arcs -c c.c", "argument makes a file beside the object"),
        local("GCC --stack-usage -c c.c", "argument makes a file beside the object"),
        local("GCC --save-temps -c c.c", "argument makes a file beside the object"),
        local("CLANG --save-temps=obj -c c.c", "argument makes a file beside the object"),
        local("GCC --dump=a -c c.c", "argument makes the compiler write a report or dump"),
        // For the preprocessor alone.
        remote("GCC -Wp,-DA=2 -c c.c"),
        remote("GCC -Wp,-D_FORTIFY_SOURCE=2 -Wp,-w -O2 -c c.c"),
        remote("CLANG -Wp,-DA=2,-UA,-DA=3 -c c.c"),
        remote("GCC -Wp,-Ik -c n.c"),
        remote("GCC -Wp,-Ik,-DA=2 -c n.c"),
        remote("CLANG -Wp,-isystem,k -c n.c"),
        remote("GCC -Wp,-include,m.h -c c.c"),
        remote("CLANG -Wp,-include,m.h,-DA=2 -c c.c"),
        remote("GCC -Xpreprocessor -DA=2 -c c.c"),
        remote("CLANG -Xpreprocessor -DA=2 -c c.c"),
        remote("GCC -Xpreprocessor -include -Xpreprocessor m.h -c c.c"),
        remote("GCC -Wp,-Wundef -c c.c"),
        local("GCC -Wp,-dM -c c.c", "argument may change what the preprocessor writes"),
        local("GCC -Wp,-P -c c.c", "argument may change what the preprocessor writes"),
        local("GCC -Xpreprocessor -fpreprocessed -c c.c", "argument may change what the preprocessor writes"),
        local("CLANG -Xpreprocessor -P -c c.c", "argument may change what the preprocessor writes"),
        local("GCC -Wp,-C -c c.c", "argument may change what the preprocessor writes"),
        remote("GCC -C -c c.c"),
        any("CLANG --comments -c c.c"),
        remote("GCC --no-line-commands -c c.c"),
        // For the assembler.
        local("GCC -Wa,-g -c c.c", "argument of the assembler cannot be sent"),
        local("GCC -Wa,--gdwarf-4 -c c.c", "argument of the assembler cannot be sent"),
        local("GCC -Xassembler -g -c c.c", "argument of the assembler cannot be sent"),
        local("GCC --for-assembler=-g -c c.c", "argument of the assembler cannot be sent"),
        local("CLANG -Wa,-g -c c.c", "argument of the assembler cannot be sent"),
        local("GCC -Wa,-al=x.lst,--noexecstack -c c.c", "argument of the assembler cannot be sent"),
        remote("GCC -Wa,--noexecstack -Xassembler --defsym -Xassembler a=1 -c c.c"),
        // Modules.
        local("GXX -std=c++20 -fmodules-ts -c m.cc && rm -r gcm.cache", "precompiled headers or modules")
            .setup("printf 'export module m;\nexport int g() { return 1; }\n' >m.cc"),
        local("GXX -std=c++20 -fmodules-ts -c m.cc", "precompiled headers or modules")
            .setup("printf '#ifdef __cpp_modules\nint yes;\n#endif\n' >m.cc"),
        any("CLANGXX -std=c++20 -c m.cc").setup("printf 'export module m;\nexport int g() { return 1; }\n' >m.cc"),
        // What the object says of the command line.
        remote("GCC -frecord-gcc-switches -c c.c"),
        remote("GCC -g -gno-record-gcc-switches -c c.c"),
        remote("GCC --debug=2 --optimize=2 -gno-record-gcc-switches -c c.c"),
        local("GCC --debug=3 -c c.c", "argument puts names or text of files into the object"),
        remote("GXX -ggdb -gno-record-gcc-switches -c c.cc"),
        local("CLANG -frecord-gcc-switches -c c.c", "argument puts the command line into the object"),
        local("CLANG -g -grecord-gcc-switches -c c.c", "argument puts the command line into the object"),
        local("CLANG -g -grecord-command-line -c c.c", "argument puts the command line into the object"),
        remote("GCC -grecord-gcc-switches -c c.c"),
        // Messages that show places in the text.
        twice("CLANG -fdiagnostics-parseable-fixits -c w.c")
            .setup("printf '#include \"m.h\"\nint f(int n) { if (n = 1) return 2; return 3; }\n' >w.c"),
        twice("CLANG -fdiagnostics-print-source-range-info -c w.c")
            .setup("printf '#include \"m.h\"\nint f(int n) { if (n = 1) return 2; return 3; }\n' >w.c"),
        any("CLANG -fdiagnostics-format=msvc -c w.c")
            .setup("printf '#include \"m.h\"\nint f(int n) { if (n = 1) return 2; return 3; }\n' >w.c"),
        any("CLANG -fdiagnostics-format=vi -c w.c")
            .setup("printf '#include \"m.h\"\nint f(int n) { if (n = 1) return 2; return 3; }\n' >w.c"),
        // Warnings about macros.
        remote("CLANG -Weverything -Werror -c u.c")
            .setup("printf '#define U 1\nint u(void);\nint u(void) { return U; }\n' >u.c"),
        remote("CLANG -Wunused-macros -Werror -c u.c")
            .setup("printf '#define U 1\nint u(void);\nint u(void) { return U; }\n' >u.c"),
        any("CLANG -Weverything -c c.c"),
        // A value that looks like a source.
        remote("GCC -R k -c c.c"),
        any("GCC -c -O1 -o k/o.o -MMD -R c.c"),
        // The compiler is told a path in full; what it says of it is said once more here, as the user named it.
        twice("CLANG -fsanitize-coverage-ignorelist=k/m.h -c c.c"),
        twice("CLANG -fxray-attr-list=k/m.h -c c.c"),
        // What is told to clang's inner compiler, and makes no object or another one.
        local("CLANG -Xclang -P -c c.c", "argument may change what the preprocessor writes"),
        local("CLANG -c -Xclang -main-file-name c.c", "argument puts names or text of files into the object"),
        local("CLANG -Xclang -fixit -c c.c", "argument makes a file beside the object"),
        local("CLANG -Xclang -objcmt-atomic-property -c c.c", "argument makes a file beside the object"),
        local("CLANG -Xclang -analyzer-config-help -c c.c", "argument makes no object"),
        local("GCC -fhelp -c c.c", "argument makes no object"),
        local("GCC -ftarget-help -c c.c", "argument makes no object"),
        local("GCC --completion=2 -c c.c", "argument makes no object"),
        local("GCC -Wa,--target-help -c c.c", "argument of the assembler cannot be sent"),
        // It dies of a signal.
        any("CLANG -S -O1 -ftrivial-auto-var-init-stop-after=all c.c"),
        any("ICE bash -c 'kill -ABRT $$'"),
    ],
};

#[test]
fn spellings() {
    TABLE.try_all();
}
