//! What a compiler's output says. Running the compiler is the caller's.

use super::{Family, response};

/// What `-m…=native` options mean: what the compiler behind the driver is told with them and not without. `without` and `with`
/// are what the driver printed for `-###`; `None`: it shows no such compiler.
pub fn native_meaning(family: Family, without: &[u8], with: &[u8]) -> Option<Vec<Vec<u8>>> {
    let (without, with) = (inner_arguments(family, without)?, inner_arguments(family, with)?);
    let mut meaning = difference(&without, &with);
    meaning.extend(tuning(&without, &with));
    Some(meaning)
}

/// The command line of the compiler behind the driver.
fn inner_arguments(family: Family, text: &[u8]) -> Option<Vec<Vec<u8>>> {
    let inner: &[u8] = if family == Family::Clang { b"-cc1" } else { b"cc1" };
    let is_inner = |argument: &Vec<u8>| argument == inner || (argument.ends_with(inner) && argument.starts_with(b"/"));
    let mut lines = text.split(|&b| b == b'\n').map(response::words);
    lines.find(|arguments| arguments.iter().take(2).any(is_inner))
}

/// The middle part that differs.
fn difference(without: &[Vec<u8>], with: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let shorter = without.len().min(with.len());
    let same_start = without.iter().zip(with).take_while(|(a, b)| a == b).count();
    // An option stays with its value, although both sides have the option.
    let is_cut = with.get(same_start).is_some_and(|argument| !argument.starts_with(b"-"));
    let same_start = if is_cut { same_start.saturating_sub(1) } else { same_start };
    let same_end = without.iter().rev().zip(with.iter().rev()).take_while(|(a, b)| a == b).count();
    let same_end = same_end.min(shorter.saturating_sub(same_start));
    with.get(same_start..with.len() - same_end).unwrap_or_default().to_vec()
}

/// `-march=native` means tuning for that processor too, which clang says by not naming another; a server's clang would.
fn tuning(without: &[Vec<u8>], with: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let tune = b"-tune-cpu".to_vec();
    let cpu = with.windows(2).find(|pair| pair.first().is_some_and(|argument| argument == b"-target-cpu"));
    match cpu.and_then(|pair| pair.get(1)) {
        Some(cpu) if without.contains(&tune) && !with.contains(&tune) => vec![tune, cpu.clone()],
        _ => Vec::new(),
    }
}

/// `-D` arguments for the macros that are defined in `with` and not in `without`, both printed for `-dM`.
pub fn added_macros(without: &[u8], with: &[u8]) -> Option<Vec<Vec<u8>>> {
    let lines = |text| <[u8]>::split(text, |&b| b == b'\n');
    let known: Vec<&[u8]> = lines(without).collect();
    let definition = |line: &[u8]| {
        let rest = line.strip_prefix(b"#define ")?;
        let (name, value) = rest.split_at(rest.iter().position(|&b| b == b' ')?);
        Some([b"-D", name, b"=", value.get(1..)?].concat())
    };
    lines(with).filter(|line| !known.contains(line)).map(definition).collect()
}

/// The configuration files that clang names for `-v`.
pub fn configuration_files(text: &[u8]) -> Vec<Vec<u8>> {
    let lines = text.split(|&b| b == b'\n');
    lines.filter_map(|line| line.strip_prefix(b"Configuration file: ")).map(<[u8]>::to_vec).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<Vec<u8>> {
        response::words(line.as_bytes())
    }

    #[test]
    fn what_native_adds() {
        let added = difference(
            &words("cc1 -E - -mtune=generic -march=x86-64 -quiet"),
            &words("cc1 -E - -march=znver3 -mmmx -quiet"),
        );
        assert_eq!(added, words("-march=znver3 -mmmx"));
        assert!(difference(&words("-a b"), &words("-a b")).is_empty());
        assert_eq!(difference(&words("-a -a"), &words("-a -a -a")), words("-a"));
        let added = difference(&words("-x -cpu any -tune any -y"), &words("-x -cpu znver3 -f +sha -y"));
        assert_eq!(added, words("-cpu znver3 -f +sha"));
        let generic = words("-cc1 -target-cpu x86-64 -tune-cpu generic -x");
        assert_eq!(tuning(&generic, &words("-cc1 -target-cpu znver3 -x")), words("-tune-cpu znver3"));
        assert!(tuning(&generic, &words("-cc1 -target-cpu x86-64 -tune-cpu znver3 -x")).is_empty());
        assert!(tuning(&words("cc1 -march=x86-64"), &words("cc1 -march=znver3")).is_empty());
    }

    #[test]
    fn the_compiler_behind_the_driver_is_found_among_what_it_prints() {
        let gcc = "Using built-in specs.\n /usr/lib/gcc/cc1 -E -quiet - \"-mtune=generic\"\nCOLLECT_GCC_OPTIONS='-E'";
        let native = "Using built-in specs.\n /usr/lib/gcc/cc1 -E -quiet - \"-march=k8\" -mavx\n";
        let meaning = |family, without: &str, with: &str| native_meaning(family, without.as_bytes(), with.as_bytes());
        assert_eq!(meaning(Family::Gcc, gcc, native), Some(words("-march=k8 -mavx")));
        assert_eq!(meaning(Family::Gcc, &gcc.replace(" /usr", " usr"), native), None, "a word that ends alike");
        let clang = "clang version 14\n \"/usr/lib/clang\" \"-cc1\" \"-target-cpu\" \"x86-64\" \"-x\"";
        let native = "clang version 14\n \"/usr/lib/clang\" \"-cc1\" \"-target-cpu\" \"k8\" \"-x\"";
        assert_eq!(meaning(Family::Clang, clang, native), Some(words("-target-cpu k8")));
        assert_eq!(meaning(Family::Clang, clang, "error: unknown processor"), None);
        assert_eq!(meaning(Family::Gcc, "", gcc), None);
    }

    #[test]
    fn macros_of_an_option() {
        let plain = b"#define A 1\n#define B 2\n";
        let added = added_macros(plain, b"#define A 1\n#define F(x) (x)\n#define _OPENMP 201511\n#define B 2\n");
        assert_eq!(added, Some(words("-DF(x)=(x) -D_OPENMP=201511")));
        assert_eq!(added_macros(plain, plain), Some(Vec::new()));
        assert_eq!(added_macros(plain, b"#define EMPTY\n"), None);
    }

    #[test]
    fn clang_names_its_configuration_files() {
        let text = b"clang version 16\nConfiguration file: /etc/clang/clang.cfg\nTarget: x86_64\n";
        assert_eq!(configuration_files(text), words("/etc/clang/clang.cfg"));
        assert!(configuration_files(b"clang version 14\n").is_empty());
    }
}
