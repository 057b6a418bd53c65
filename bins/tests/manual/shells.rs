//! Completions: a file for each program and shell. A shell offers options, and for words between them what the table
//! says.

use ice_bins::cli::table::{Completes, Opt, Program};
use std::fmt::Write as _;

/// A shell.
pub struct Shell {
    /// The folder of its files, and the program that reads them.
    pub name: &'static str,
    /// What it calls the file of a program.
    pub file: fn(&str) -> String,
    /// The file.
    pub text: fn(&Program) -> String,
}

/// All that are served.
pub const SHELLS: [Shell; 3] = [
    Shell { name: "bash", file: |program| program.to_owned(), text: bash },
    Shell { name: "zsh", file: |program| format!("_{program}"), text: zsh },
    Shell { name: "fish", file: |program| format!("{program}.fish"), text: fish },
];

fn heading(program: &Program) -> String {
    let name = program.name;
    format!(
        "# Completion of {name}, from its table of options, by `ICE_WRITE=1 cargo test -p ice-bins --test manual`.\n"
    )
}

/// The first line of a help text.
fn short_help(option: &Opt) -> &str {
    option.help.lines().next().unwrap_or_default().trim_end_matches(',')
}

/// In single quotes; `escape` for the quote itself.
fn quoted(text: &str, escape: &str) -> String {
    format!("'{}'", text.replace('\'', escape))
}

/// Bash's file of a program.
pub fn bash(program: &Program) -> String {
    let function = format!("_{}", program.name.replace('-', "_"));
    let all: Vec<String> = program.options.iter().flat_map(Opt::written).collect();
    let case = |option: &Opt| {
        let words = bash_words(option.completes);
        let words = if words.is_empty() { words } else { format!(" {words};") };
        format!("        {}){words} return ;;\n", option.written().join(" | "))
    };
    // One that may be left out is not the next word.
    let takes_word = |option: &&Opt| option.value.is_some() && !option.may_lack_value();
    let cases: String = program.options.iter().filter(takes_word).map(case).collect();
    let cases = if cases.is_empty() { cases } else { format!("    case $prev in\n{cases}    esac\n") };
    let last = bash_words(program.operands);
    let last = if last.is_empty() { last } else { format!("    {last}\n") };
    let command_line = if program.operands == Completes::CommandLine { BASH_COMMAND_LINE } else { "" };
    format!(
        "{heading}{function}() {{
{command_line}    local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD - 1]}}
    # --option=value is three words.
    if [[ $cur == '=' ]]; then
        cur=
    elif [[ $prev == '=' ]]; then
        prev=${{COMP_WORDS[COMP_CWORD - 2]}}
    fi
{cases}    if [[ $cur == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W '{options}' -- \"$cur\")
        return
    fi
{last}}}
complete -F {function} {name}
",
        heading = heading(program),
        options = all.join(" "),
        name = program.name,
    )
}

/// Behind the command stands what the command has; `_command_offset` is bash-completion's.
const BASH_COMMAND_LINE: &str =
    "    if ((COMP_CWORD > 1)) && [[ ${COMP_WORDS[1]} != -* ]] && declare -F _command_offset >/dev/null; then
        _command_offset 1
        return
    fi
";

fn bash_words(completes: Completes) -> String {
    let reply = |words: &str| format!("mapfile -t COMPREPLY < <(compgen {words} -- \"$cur\")");
    match completes {
        Completes::Nothing => String::new(),
        Completes::File => format!("compopt -o filenames; {}", reply("-f")),
        Completes::Directory => format!("compopt -o filenames; {}", reply("-d")),
        Completes::Command | Completes::CommandLine => reply("-c"),
        Completes::Word(words) => reply(&format!("-W '{}'", words.join(" "))),
        Completes::List(words) => format!(
            "mapfile -t COMPREPLY < <(compgen -P \"${{cur%\"${{cur##*,}}\"}}\" -W '{}' -- \"${{cur##*,}}\")",
            words.join(" ")
        ),
    }
}

fn zsh(program: &Program) -> String {
    let mut text = format!("#compdef {}\n{}_arguments -s -S", program.name, heading(program));
    for option in program.options {
        let values: Vec<&str> = option.value.into_iter().flat_map(|value| value.split(' ')).collect();
        let value: String = values.iter().map(|value| zsh_value(value, option.completes)).collect();
        let help = short_help(option).replace('[', "\\[").replace(']', "\\]").replace(':', "\\:");
        // If there is one value, it may be joined: to a word by `=`.
        let (letter_end, word_end) = match values.len() {
            1 if option.may_lack_value() => ("", "=-"),
            1 => ("+", "="),
            _ => ("", ""),
        };
        let may_come_again = if option.long.is_empty() { "*" } else { "" };
        let names: Vec<(String, &str)> = option
            .written()
            .into_iter()
            .map(|name| {
                let end = if name.starts_with("--") { word_end } else { letter_end };
                (name, end)
            })
            .collect();
        let others = names.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(" ");
        let others = if names.len() > 1 { format!("({others})") } else { String::new() };
        for (name, end) in names {
            let spec = format!("{others}{may_come_again}{name}{end}[{help}]{value}");
            let _ = write!(text, " \\\n    {}", quoted(&spec, "'\\''"));
        }
    }
    let operands = match program.operands {
        Completes::Nothing => Vec::new(),
        // Behind the command stands what the command has.
        Completes::CommandLine => vec!["(-)1:command:_command_names -e".into(), "*::arguments:_normal".into()],
        other => vec![format!("*: :{}", zsh_words("", other))],
    };
    for operands in operands {
        let _ = write!(text, " \\\n    {}", quoted(&operands, "'\\''"));
    }
    text + "\n"
}

/// One value of an option: `NAME`, or `[NAME]` if it may be left out.
fn zsh_value(value: &str, completes: Completes) -> String {
    let optional = value.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let name = optional.unwrap_or(value).trim_start_matches('=');
    let begin = if optional.is_some() { "::" } else { ":" };
    format!("{begin}{}:{}", name.replace(':', "\\:"), zsh_words(name, completes))
}

fn zsh_words(value: &str, completes: Completes) -> String {
    match completes {
        Completes::Nothing => String::new(),
        Completes::File => "_files".into(),
        Completes::Directory => "_files -/".into(),
        Completes::Command | Completes::CommandLine => "_command_names -e".into(),
        Completes::Word(words) => format!("({})", words.join(" ")),
        Completes::List(words) => format!("_values -s , {value} {}", words.join(" ")),
    }
}

fn fish(program: &Program) -> String {
    let mut text = heading(program);
    let line = |rest: &str| format!("complete -c {} {rest}\n", program.name);
    let mut condition = "";
    match program.operands {
        Completes::Nothing => text += &line("-f"),
        // Of itself.
        Completes::File => {}
        Completes::CommandLine => {
            // Behind the command stands what the command has.
            text += &line("-x -a '(__fish_complete_subcommand)'");
            condition = "-n __fish_use_subcommand ";
        }
        other => text += &line(&fish_words(other)),
    }
    for option in program.options {
        let letter = option.short.map(|letter| format!("-s {letter} ")).unwrap_or_default();
        let word = if option.long.is_empty() { String::new() } else { format!("-l {} ", option.long) };
        let takes_word = option.value.is_some() && !option.may_lack_value();
        let value = if takes_word { fish_words(option.completes) + " " } else { String::new() };
        let help = quoted(short_help(option), "\\'");
        text += &line(&format!("{condition}{letter}{word}{value}-d {help}"));
    }
    text
}

fn fish_words(completes: Completes) -> String {
    match completes {
        Completes::Nothing => "-x".into(),
        Completes::File => "-r -F".into(),
        Completes::Directory => "-x -a '(__fish_complete_directories)'".into(),
        Completes::Command | Completes::CommandLine => "-x -a '(__fish_complete_command)'".into(),
        Completes::Word(words) => format!("-x -a '{}'", words.join(" ")),
        Completes::List(words) => format!("-x -a '(__fish_append , {})'", words.join(" ")),
    }
}
