//! The list of options in a manual page.

use ice_bins::cli::table::{Opt, Program};

/// The page's own comments around the list.
const BEGIN: &str =
    ".\\\" From the program's table of options, by `ICE_WRITE=1 cargo test -p ice-bins --test manual`:\n";
const END: &str = ".\\\" End of the list.\n";

/// Columns of the page's source.
const WIDTH: usize = 118;

/// The page with the list as it should be; `None` without a place for one.
pub fn with_options(page: &str, program: &Program) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    let list: String = program.options.iter().map(entry).collect();
    Some(format!("{before}{BEGIN}{list}{END}{after}"))
}

fn entry(option: &Opt) -> String {
    let names: Vec<String> =
        option.written().iter().map(|name| format!("\\fB{}\\fR", name.replace('-', "\\-"))).collect();
    let value = in_italics(&option.shown_value());
    let text = if option.manual.is_empty() { sentence(option.help) } else { option.manual.to_owned() };
    format!(".TP\n{}{value}\n{}", names.join(", "), lines(&roff(&text)))
}

/// `HOST[:PORT]` with its capitals in italics.
fn in_italics(value: &str) -> String {
    let mut text = String::new();
    let mut is_name = false;
    for c in value.chars() {
        if c.is_ascii_uppercase() != is_name {
            is_name = !is_name;
            text += if is_name { "\\fI" } else { "\\fR" };
        }
        text.push(c);
    }
    if is_name { text + "\\fR" } else { text }
}

/// A help text as a sentence.
fn sentence(help: &str) -> String {
    let mut letters = help.chars();
    let first: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
    format!("{first}{}.", letters.as_str())
}

/// Marked text as roff. Options are bold without a mark.
fn roff(text: &str) -> String {
    let mut out = String::new();
    // The mark that is open, if any.
    let mut open = None;
    let mut before = ' ';
    let mut is_option = false;
    for c in text.chars() {
        if is_option && !c.is_ascii_alphanumeric() && c != '-' {
            is_option = false;
            out += "\\fR";
        }
        match c {
            '`' | '*' if open == Some(c) => {
                open = None;
                out += "\\fR";
            }
            '`' | '*' if open.is_none() => {
                open = Some(c);
                out += if c == '`' { "\\fB" } else { "\\fI" };
            }
            '-' => {
                if open.is_none() && before.is_whitespace() {
                    is_option = true;
                    out += "\\fB";
                }
                out += if open.is_some() || is_option { "\\-" } else { "-" };
            }
            '\\' => out += "\\e",
            c => out.push(c),
        }
        before = c;
    }
    assert!(open.is_none(), "a mark without its end: {text}");
    if is_option { out + "\\fR" } else { out }
}

/// Words in lines; none begins as a request does.
fn lines(text: &str) -> String {
    let mut out = String::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && line.len() + 1 + word.len() > WIDTH {
            out += &format!("{line}\n");
            line.clear();
        }
        if line.is_empty() {
            line += if word.starts_with(['.', '\'']) { "\\&" } else { "" };
        } else {
            line.push(' ');
        }
        line += word;
    }
    format!("{out}{line}\n")
}

#[test]
fn a_row_becomes_an_entry() {
    use ice_bins::cli::table::{Completes, option};
    let plain = option("host-name", "log more: -v some,\n-vv all").short('h').takes("HOST[:PORT]", Completes::Nothing);
    let wanted = ".TP\n\\fB\\-h\\fR, \\fB\\-\\-host\\-name\\fR \\fIHOST\\fR[:\\fIPORT\\fR]\n\
                  Log more: \\fB\\-v\\fR some, \\fB\\-vv\\fR all.\n";
    assert_eq!(entry(&plain), wanted);
    let marked = option("x", "").manual("Read-only *DIR*/a with `g++-12 x`, --dir.");
    let wanted = ".TP\n\\fB\\-\\-x\\fR\nRead-only \\fIDIR\\fR/a with \\fBg++\\-12 x\\fR, \\fB\\-\\-dir\\fR.\n";
    assert_eq!(entry(&marked), wanted);
    assert_eq!(lines(&".x ".repeat(50)).lines().count(), 2);
    assert!(lines(&".x ".repeat(50)).lines().all(|line| line.starts_with("\\&.x .x")));
}
