//! Command lines as the C library reads them, and what the tests of all parsers check.

use super::table::{Completes, option};
use super::*;

/// For the tests of a parser: it takes every row of its table, in each spelling.
pub(crate) fn check_rows(
    table: &[Opt],
    value: impl Fn(&Opt) -> String,
    parses: impl Fn(&[String]) -> Result<(), String>,
) {
    for option in table {
        for written in option.written() {
            let value = option.value.filter(|_| !option.may_lack_value()).map(|_| value(option));
            let line: Vec<String> = [written].into_iter().chain(value).collect();
            assert_eq!(parses(&line), Ok(()), "{line:?}");
        }
    }
}

/// For the tests of a parser that matches on [`Opt::name`]: no arm of its source is for an option that the table lacks.
pub(crate) fn check_arms(table: &[Opt], source: &str) {
    let arms =
        source.split_once(".name.as_str() {").expect("a match").1.split_once("other => ").expect("its last arm").0;
    let patterns = arms.lines().filter_map(|line| line.split_once(" =>")).map(|(pattern, _)| pattern);
    let names: Vec<&str> = patterns.flat_map(|pattern| pattern.split('"').skip(1).step_by(2)).collect();
    assert!(names.len() > 5, "{names:?}");
    for name in names {
        assert!(table.iter().any(|option| option.name() == name), "{name}: the parser knows it, the table lacks it");
    }
}

const TABLE: &[Opt] = &[
    option("netname", "the network").short('n').takes("NAME", Completes::Nothing),
    option("nice", "niceness of jobs").takes("N", Completes::Nothing),
    option("no-remote", "no jobs of others"),
    option("name", "this host").short('N').takes("NODE", Completes::Nothing),
    option("daemonize", "detach").short('d'),
    option("", "say more").short('v'),
];

fn read(args: &[&str]) -> Result<Vec<(String, String)>, String> {
    let parsed = parse(TABLE, args.iter().map(OsString::from)).map_err(|e| e.to_string())?;
    Ok(parsed.options.into_iter().map(|g| (g.name, g.value.to_string_lossy().into_owned())).collect())
}

fn pairs(list: &[(&str, &str)]) -> Result<Vec<(String, String)>, String> {
    Ok(list.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect())
}

#[test]
fn every_way_to_write_an_option() {
    assert_eq!(
        read(&["-n", "a", "-nb", "--netname", "c", "--netname=d", "--net=e", "--netname=", "-n", ""]),
        pairs(&[
            ("netname", "a"),
            ("netname", "b"),
            ("netname", "c"),
            ("netname", "d"),
            ("netname", "e"),
            ("netname", ""),
            ("netname", "")
        ])
    );
    assert_eq!(
        read(&["-vvdv", "-dNhost", "--no"]),
        pairs(&[
            ("v", ""),
            ("v", ""),
            ("daemonize", ""),
            ("v", ""),
            ("daemonize", ""),
            ("name", "host"),
            ("no-remote", "")
        ])
    );
}

#[test]
fn an_argument_may_look_like_an_option() {
    assert_eq!(read(&["--name", "-v", "-n", "--"]), pairs(&[("name", "-v"), ("netname", "--")]));
}

#[test]
fn operands_are_kept_apart_and_options_found_behind_them() {
    let parsed = parse(TABLE, ["junk", "-v", "-", "--", "-d"].iter().map(OsString::from)).unwrap();
    assert_eq!(parsed.options.len(), 1);
    assert_eq!(parsed.operands, ["junk", "-", "-d"]);
    let alone = options(TABLE, ["-v", "junk"].iter().map(OsString::from));
    assert_eq!(alone.unwrap_err().to_string(), "unknown word \"junk\"");
}

#[test]
fn mistakes_are_told_with_option_and_value() {
    let err = |args: &[&str]| read(args).unwrap_err();
    assert_eq!(err(&["--foo"]), "unknown option --foo");
    assert_eq!(err(&["--nettname=x"]), "unknown option --nettname (did you mean --netname?)");
    assert_eq!(err(&["-vx"]), "unknown option -x");
    assert_eq!(err(&["-n"]), "-n wants a value, NAME");
    assert_eq!(err(&["--net"]), "--netname wants a value, NAME");
    assert_eq!(err(&["--daemonize=1"]), "--daemonize takes no value, not even \"1\"");
    assert_eq!(err(&["--n"]), "--n may mean --netname, --nice, --no-remote, --name");
}

#[test]
fn numbers_are_digits_of_a_range() {
    let given = |value: &str| Given { name: "nice".into(), written: "--nice".into(), value: value.into() };
    for (value, number) in [("0", Some(0)), ("19", Some(19)), ("007", Some(7))] {
        assert_eq!(given(value).number(0..=19).ok(), number, "{value}");
    }
    for value in ["20", "-1", "+4", " 7", "7x", "x", "", "99999999999999999999", "1e1"] {
        let wanted = format!("--nice wants a whole number from 0 to 19, not {value:?}");
        assert_eq!(given(value).number(0..=19).unwrap_err().to_string(), wanted);
    }
    assert_eq!(given("").text().unwrap_err().to_string(), "--nice wants text that is not empty, not \"\"");
    assert!(given("").path().is_err() && given("x").path().is_ok_and(|path| path.is_absolute()));
}
