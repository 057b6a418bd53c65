//! The sweep's rows: every option that the installed compilers list themselves, with values, in every spelling that
//! they know.
//!
//! gcc lists its spellings and the values of its enumerations by `--completion=-`, those that take a value of their own
//! by `--help=separate`, and what its driver hands on by `-dumpspecs`; clang by `--autocomplete=-` and `--help-hidden`;
//! the inner compiler and the assembler by their own help. What is nearly the same many times (negations, translated
//! long names, values of one enumeration) is tried by a sample that the seed chooses.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::process::Command;

/// Fills the directory: sources in four languages that use what options change (macros, lines, includes, pragmas,
/// assertions).
pub const SETUP: &str = r##"
mkdir k
cat >k/inc.h <<'END'
#pragma GCC visibility push(default)
extern int from_inc;
static inline int inc_line(void) { return __LINE__; }
#pragma GCC visibility pop
END
cat >a.h <<'END'
#ifndef A_H
#define A_H
#include <assert.h>
#include <stddef.h>
#define SQUARE(n) ((n) * (n))
#define CHECK(n) assert((n) > 0 && #n)
struct pair { char c; int n; long double wide; };
#endif
END
cat >a.c <<'END'
#include "a.h"
#include <stdio.h>
#define UNUSED 1
#ifdef M
int with_m = M;
#endif
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-variable"
static int unused_here;
#pragma GCC diagnostic pop
volatile double d = 1.5;
static int sum(const int *all, size_t n) {
    int s = 0;
    for (size_t i = 0; i < n; i++) s += SQUARE(all[i]);
    return s;
}
int f(int n, const char *name) {
    int all[4] = { n, 2, 3, __LINE__ };
    struct pair p = { 'c', n, d };
    CHECK(n);
    switch (n) { case 1: n += 2; case 2: n++; }
    printf("%s %d %s\n", name, sum(all, 4) + p.n, __FILE__);
    return d == n ? -n : all[n & 3];
}
END
cat >a.cc <<'END'
#include "a.h"
#define UNUSED 1
template <class T> T twice(T t) { return t + t; }
struct Base { virtual ~Base() {} virtual int f(int) const; };
struct Derived : Base { int f(int n) const { CHECK(n); return n * __LINE__; } };
int Base::f(int n) const { return n; }
int use(int n) {
    Base *b = new Derived;
    try { if (n > 3) throw n; n = b->f(n); } catch (int &caught) { n = caught; }
    delete b;
    return twice(n) + (int)sizeof(pair);
}
END
cat >a.m <<'END'
#include "a.h"
__attribute__((objc_root_class)) @interface Root { Class isa; int n; }
+ (int)make;
- (int)add:(int)more;
@end
@implementation Root
+ (int)make { return __LINE__; }
- (int)add:(int)more { CHECK(more); return n + SQUARE(more); }
@end
END
cat >a.S <<'END'
#define VALUE 7
#include "k/s.h"
	.globl f
f:	mov $VALUE + __LINE__, %eax
	ret
	.section .note.GNU-stack,"",@progbits
END
printf '/* nothing */\n' >k/s.h
printf 'fun:sum\n' >k/list.txt
"##;

/// A compiler and how it is named in commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Gcc,
    Clang,
}

/// One spelling, as listed: `name` up to and with `=` if it ends so.
#[derive(Debug, Default)]
struct Listed {
    /// Values that are listed for it.
    values: BTreeSet<String>,
    /// It takes the next argument.
    separate: bool,
}

/// How many of the values of one enumeration are tried.
const VALUES: usize = 3;

/// All commands, in an order that the seed chooses.
pub fn rows(seed: u64) -> Vec<String> {
    let mut all = BTreeSet::new();
    for (kind, names) in [(Kind::Gcc, ["GCC", "GXX"]), (Kind::Clang, ["CLANG", "CLANGXX"])] {
        let listed = if kind == Kind::Gcc { gcc() } else { clang() };
        let (is_gxx_only, foreign) = (gxx_only(kind), foreign(kind));
        for (name, option) in &listed {
            let plain = translated(name);
            // gcc has a long spelling for each option.
            let is_double = kind == Kind::Gcc && name.starts_with("--") && listed.contains_key(&plain);
            let is_foreign = foreign.contains(plain.trim_end_matches('='));
            let many = if is_foreign { 24 } else { one_of(name).max(if is_double { 6 } else { 1 }) };
            if pick(seed, name, many) != 0 {
                continue;
            }
            for words in spellings(seed, name, option, &listed) {
                let chosen = pick(seed, &words, 100);
                let source = match chosen {
                    _ if is_gxx_only.contains(name.as_str()) => "a.cc",
                    0..60 => "a.c",
                    60..85 => "a.cc",
                    85..92 => "a.m",
                    _ => "a.S",
                };
                let compiler = names[usize::from(source == "a.cc")];
                let context = CONTEXTS[pick(seed, &(&words, 1), CONTEXTS.len())];
                all.insert(format!("{compiler} {context} {words} {source}"));
            }
        }
    }
    let mut all: Vec<String> = all.into_iter().collect();
    all.sort_by_key(|row| pick(seed, row, usize::MAX));
    all
}

/// What else stands on the command line.
const CONTEXTS: &[&str] =
    &["-c", "-c", "-c -O2", "-c -g", "-c -Wall -Wextra", "-S -O1", "-c -O1 -o k/o.o -MMD", "-c -DM=1 -Ik"];

/// A number below `limit` that depends on nothing else.
fn pick(seed: u64, what: &impl Hash, limit: usize) -> usize {
    let mut hasher = DefaultHasher::new();
    (seed, what).hash(&mut hasher);
    (hasher.finish() % limit as u64) as usize
}

/// Of how many like it one is tried: 1 for what is like nothing else.
fn one_of(name: &str) -> usize {
    const MANY: &[(&str, usize)] = &[
        ("-Wno-", 16),
        ("-fno-", 8),
        ("-mno-", 8),
        ("--no-", 8),
        ("--machine", 24),
        ("--warn", 16),
        ("--debug-", 8),
        ("--f", 8),
        ("--optimize", 8),
        ("--param ", 16),
        ("--param=", 4),
        ("-Xclang ", 8),
        ("-Wa,", 1),
        ("-W", 3),
        ("-m", 2),
    ];
    MANY.iter().find(|(start, _)| name.starts_with(start)).map_or(1, |(_, count)| *count)
}

/// The words for one option, in each form.
fn spellings(seed: u64, name: &str, option: &Listed, listed: &BTreeMap<String, Listed>) -> Vec<String> {
    let mut values: Vec<&str> = option.values.iter().map(String::as_str).collect();
    values.sort_by_key(|value| pick(seed, &(name, value), usize::MAX));
    values.truncate(VALUES);
    if values.is_empty() {
        values = plausible(name.trim_start_matches('-').trim_end_matches('='));
    }
    let mut words = Vec::new();
    if name.ends_with('=') || name.ends_with(',') {
        words.extend(values.iter().map(|value| format!("{name}{}", quoted(value))));
        return words;
    }
    words.push(quoted(name));
    let with_equal = format!("{name}=");
    if option.separate || listed.contains_key(&with_equal) {
        let known = listed.get(&with_equal).and_then(|option| option.values.first());
        let value = known.map_or(values[0], String::as_str);
        words.push(format!("{} {}", quoted(name), quoted(value)));
        words.push(format!("{}{}", quoted(name), quoted(value)));
    }
    words
}

/// Values for an option of this name where none are listed.
fn plausible(name: &str) -> Vec<&'static str> {
    const BY_NAME: &[(&str, &[&str])] = &[
        ("include-pch", &["k/inc.h.pch"]),
        ("include-d", &["k"]),
        ("include-p", &["k/"]),
        ("include-w", &["k"]),
        ("include", &["k/inc.h", "inc.h"]),
        ("imacros", &["k/inc.h"]),
        ("prefix-map", &["k=/x", "$PWD=."]),
        ("map", &["$PWD=/x", "k/list.txt"]),
        ("output", &["k/out.o"]),
        ("define", &["M=3"]),
        ("undef", &["M"]),
        ("charset", &["latin1", "UTF-8"]),
        ("encoding", &["latin1"]),
        ("language", &["c", "c++"]),
        ("target", &["x86_64-linux-gnu", "i686-linux-gnu"]),
        ("triple", &["x86_64-linux-gnu"]),
        ("sysroot", &["/", "k"]),
        ("file", &["k/list.txt", "k/new.txt"]),
        ("list", &["k/list.txt", "f"]),
        ("specs", &["k/list.txt"]),
        ("dir", &["k", "."]),
        ("path", &["k", "$PWD"]),
        ("prefix", &["k/", "x_"]),
        ("toolchain", &["/usr"]),
        ("plugin", &["k/none.so"]),
        ("profile", &["k/prof"]),
        ("color", &["always"]),
        ("std", &["gnu11", "c++17"]),
        ("dump", &["k/dump"]),
    ];
    const EXACT: &[(&str, &[&str])] = &[
        ("A", &["machine(x86)"]),
        ("B", &["k/"]),
        ("D", &["M=3"]),
        ("I", &["k"]),
        ("L", &["k"]),
        ("MF", &["k/a.d"]),
        ("MT", &["k/target"]),
        ("MQ", &["k/$x"]),
        ("U", &["M"]),
        ("idirafter", &["k"]),
        ("iquote", &["k"]),
        ("isystem", &["k"]),
        ("o", &["k/out.o"]),
        ("x", &["c", "cpp-output"]),
        ("l", &["m"]),
        ("T", &["k/list.txt"]),
    ];
    if let Some((_, values)) = EXACT.iter().find(|(known, _)| *known == name) {
        return values.to_vec();
    }
    let found = BY_NAME.iter().find(|(part, _)| name.contains(part));
    found.map_or_else(|| vec!["2", "all"], |(_, values)| values.to_vec())
}

/// As words of a shell, where `$PWD` still means something.
fn quoted(word: &str) -> String {
    if let Some((first, second)) = word.split_once(' ') {
        return format!("{} {}", quoted(first), quoted(second));
    }
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_=+.,/:%@".contains(c);
    if word.chars().all(is_plain) {
        return word.to_string();
    }
    if word.contains("$PWD") { format!("\"{word}\"") } else { format!("'{word}'") }
}

/// What gcc and g++ list.
fn gcc() -> BTreeMap<String, Listed> {
    let mut listed: BTreeMap<String, Listed> = BTreeMap::new();
    for line in output("gcc", &["--completion=-"]).lines() {
        add(&mut listed, line.trim());
    }
    for line in
        output("gcc", &["--help=separate"]).lines().chain(output("gcc", &["--help=separate,undocumented"]).lines())
    {
        if let Some(name) = line.split_whitespace().next().filter(|name| name.starts_with('-')) {
            listed.entry(name.to_string()).or_default().separate = true;
        }
    }
    for part in output("gcc", &["-dumpspecs"]).split("%{").skip(1) {
        let name: String = part
            .trim_start_matches('!')
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || "-_".contains(*c))
            .collect();
        if !name.is_empty() {
            listed.entry(format!("-{name}")).or_default();
        }
    }
    hand_on(&mut listed);
    listed
}

/// What clang and clang++ list.
fn clang() -> BTreeMap<String, Listed> {
    let mut listed: BTreeMap<String, Listed> = BTreeMap::new();
    for line in output("clang", &["--autocomplete=-"]).lines() {
        let (name, help) = line.split_once('\t').unwrap_or((line, ""));
        // The spellings of another driver, which this one takes for names of files or refuses.
        if name.is_empty() || name.contains(':') {
            continue;
        }
        add(&mut listed, name);
        if name.ends_with('=') {
            let values = enumeration(help);
            let values = if values.is_empty() { completed(name) } else { values };
            listed.entry(name.to_string()).or_default().values.extend(values);
        }
    }
    for line in output("clang", &["--help-hidden"]).lines() {
        let mut words = line.split_whitespace();
        if let (Some(name), Some(value)) = (words.next(), words.next()) {
            if name.starts_with('-') && !name.ends_with('=') && value.starts_with('<') {
                listed.entry(name.to_string()).or_default().separate = true;
            }
        }
    }
    for line in output("clang", &["-cc1", "--help"]).lines() {
        let name = line.split_whitespace().next().unwrap_or_default();
        if name.starts_with('-') && !name.contains('<') && !name.ends_with('=') {
            listed.entry(format!("-Xclang {name}")).or_default();
        }
    }
    hand_on(&mut listed);
    listed
}

/// A spelling, with the value that may be listed behind `=`.
fn add(listed: &mut BTreeMap<String, Listed>, spelling: &str) {
    match spelling.split_once('=') {
        Some((name, value)) if !name.starts_with("--param") || !value.contains('=') => {
            let values = &mut listed.entry(format!("{name}=")).or_default().values;
            if !value.is_empty() {
                values.insert(value.to_string());
            }
        }
        // `--param=name=value`
        Some(_) => {
            let (name, value) = spelling.rsplit_once('=').unwrap_or((spelling, ""));
            let values = &mut listed.entry(format!("{name}=")).or_default().values;
            if !value.is_empty() {
                values.insert(value.to_string());
            }
        }
        None => drop(listed.entry(spelling.to_string()).or_default()),
    }
}

/// What the assembler and the preprocessor understand, handed to them.
fn hand_on(listed: &mut BTreeMap<String, Listed>) {
    let help = output("as", &["--help"]);
    for name in help.lines().filter_map(|line| line.trim().split([' ', '=', ',', '[']).next()) {
        if name.starts_with('-') {
            listed.entry(format!("-Wa,{name}")).or_default();
        }
    }
    let to_preprocessor: Vec<String> = listed
        .keys()
        .filter(|name| {
            ["-M", "-d", "-P", "-C", "-H", "-i", "-D", "-U", "-fpre", "-fdir", "-trad"]
                .iter()
                .any(|s| name.starts_with(s))
        })
        .filter(|name| name.len() < 20 && !name.ends_with('='))
        .cloned()
        .collect();
    for name in to_preprocessor {
        let value = plausible(name.trim_start_matches('-'));
        listed.entry(format!("-Wp,{name}")).or_default();
        listed.entry(format!("-Wp,{name},{}", value[0])).or_default();
        listed.entry(format!("-Xpreprocessor {name}")).or_default();
    }
}

/// The values that a line of help names: `(a|b|c)`, or `'a', 'b' or 'c'`.
fn enumeration(help: &str) -> BTreeSet<String> {
    let is_value =
        |value: &&str| !value.is_empty() && value.chars().all(|c| c.is_ascii_alphanumeric() || "-_+.".contains(c));
    let in_parentheses = help.split_once('(').and_then(|(_, rest)| rest.split_once(')')).map(|(inside, _)| inside);
    let inside = in_parentheses.filter(|inside| inside.contains('|')).unwrap_or_default();
    let quoted = help.split('\'').skip(1).step_by(2);
    inside.split('|').chain(quoted).filter(is_value).map(str::to_string).collect()
}

fn completed(name: &str) -> BTreeSet<String> {
    let list = output("clang", &[&format!("--autocomplete={name}")]);
    list.lines().filter(|line| !line.is_empty() && !line.starts_with('-')).map(|line| line.trim().to_string()).collect()
}

/// Options that gcc has for C++ and not for C.
fn gxx_only(kind: Kind) -> BTreeSet<String> {
    if kind == Kind::Clang { BTreeSet::new() } else { &gcc_options(&["c++"]) - &gcc_options(&["c"]) }
}

/// gcc's options for other languages: it lists and warns of them whether they are installed or not.
fn foreign(kind: Kind) -> BTreeSet<String> {
    if kind == Kind::Clang {
        return BTreeSet::new();
    }
    let own = gcc_options(&["c", "c++", "objc", "objc++", "common", "target", "optimizers", "warnings"]);
    &gcc_options(&["ada", "d", "fortran", "go", "lto", "modula-2"]) - &own
}

/// gcc's options of these classes, without values and as their positive forms.
fn gcc_options(classes: &[&str]) -> BTreeSet<String> {
    let help: String = classes.iter().map(|class| output("gcc", &[&format!("--help={class}")])).collect();
    let names = help.lines().filter_map(|line| line.split_whitespace().next()).filter(|name| name.starts_with('-'));
    names.map(|name| name.split('=').next().unwrap_or(name).to_string()).collect()
}

/// The short and positive form of a spelling of gcc: `--no-x` is `-fno-x`, `--warn-x` is `-Wx`.
fn translated(name: &str) -> String {
    for (long, short) in [
        ("--warn-no-", "-W"),
        ("--warn-", "-W"),
        ("--machine-no-", "-m"),
        ("--machine-", "-m"),
        ("--no-", "-f"),
        ("--", "-f"),
    ] {
        if let Some(rest) = name.strip_prefix(long) {
            return format!("{short}{rest}");
        }
    }
    for (negative, positive) in [("-fno-", "-f"), ("-Wno-", "-W"), ("-mno-", "-m")] {
        if let Some(rest) = name.strip_prefix(negative) {
            return format!("{positive}{rest}");
        }
    }
    name.to_string()
}

/// What a program prints; nothing where it is missing.
fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).env("LC_ALL", "C").output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
}
