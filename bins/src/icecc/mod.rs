//! The client: one compile from a command line to an exit code.
//!
//! It finds out who it is (`icecc`, `icerun` or a compiler's name) and what shall be run (`program`). `judge` tells whether that
//! can be compiled elsewhere; then `remote` tries, and `local` does what is left, as `submit` has it. Decisions about command
//! lines and failures are `ice_core`'s.

mod account;
mod answerer;
mod archive;
mod arrivals;
mod build_native;
mod by_files;
mod call;
mod ccache;
mod compiler_variables;
mod daemon;
mod dependencies;
mod doctor;
mod elf;
mod environment;
mod exit_code;
mod expected;
mod explain;
/// What the classifier asks of the file system.
pub mod files;
mod help;
mod here;
mod judge;
mod links;
mod local;
mod locks;
mod log;
mod looked;
mod output;
mod own_name;
mod own_options;
mod owner;
mod pragmas;
mod preprocess;
mod probe;
mod program;
mod remembered;
mod remote;
/// Response files of a command.
pub mod response;
mod role;
mod signals;
mod source;
mod spool;
mod statistics;
mod submit;
mod task;
mod tools;
mod trace;
mod unit;
mod upload;
mod usage;
mod variables;
mod verify;

pub use help::{ICECC, ICERUN};

use crate::exit::Failure;
use ::log::{error, info};
use account::Account;
use call::Call;
use ice_net::conn::Conn;
use role::Role;
use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use variables::{Use, Variables};

/// Runs the program; the command line is the process's own.
pub fn main() -> ExitCode {
    let mut argv = env::args_os();
    let called = argv.next().unwrap_or_default();
    let role = Role::of(&called);
    let status = match run(role, &called, argv.collect()) {
        Ok(status) => status,
        Err(failure) => {
            eprintln!("{}: {failure}", role.program().name);
            i32::from(failure.code)
        }
    };
    ExitCode::from(u8::try_from(status & 0xff).unwrap_or(1))
}

fn run(role: Role, called: &OsStr, mut words: Vec<OsString>) -> Result<i32, Failure> {
    let mut account = Account::begin();
    signals::survive_file_limit();
    let own_exe = env::current_exe().unwrap_or_else(|_| PathBuf::from(called));
    let unusable_log = log::start();
    let mut variables = Variables::read();
    if matches!(role, Role::Icecc | Role::Icerun) {
        if let Some(status) = own_options::own_option(role, &words, &variables, &own_exe)? {
            return Ok(status);
        }
    }
    let problems = unusable_log.into_iter().chain(variables.problems.iter().cloned());
    problems.filter(|problem| remembered::is_news_now(problem)).for_each(|problem| error!("{problem}"));
    let level = task::level();
    if level >= 2 {
        task::report_recursion();
        return Ok(exit_code::RECURSION);
    }
    if level == 1 {
        info!("recursive invocation from icerun");
    }
    let name = match role {
        Role::Icecc | Role::Icerun => words.remove(0),
        Role::Masquerade | Role::IcerunLink => Path::new(called).file_name().unwrap_or(called).to_os_string(),
    };
    let call = match Call::read(role, name, words, &variables, &own_exe) {
        Ok(call) => call,
        Err(err) => {
            error!("{}", crate::exit::chain(&err));
            return Ok(exit_code::RESPONSE_FILE);
        }
    };
    let program = match call.program(&variables, &own_exe) {
        Ok(program) => program,
        Err(err) => {
            error!("{err}");
            error!("could not find {} in PATH.", call.name.to_string_lossy());
            return Ok(exit_code::NOT_FOUND);
        }
    };
    if role == Role::Masquerade && call.driver.is_some() {
        ccache::instead(&call.name, &program, &call.words, &variables, &own_exe);
    }
    // Early, so that the daemon knows how many wait while we look at arguments.
    let Ok(daemon) = connect(&mut variables, &mut account) else { return Ok(exit_code::TEST_SOCKET) };
    let task = call.task(program, level);
    Ok(submit::compile(&task, call.driver, &call.expanded, &variables, (daemon, &mut account)))
}

/// The daemon, if there is one and it is to be used; an error if the one of a test is not there.
fn connect(variables: &mut Variables, account: &mut Account) -> Result<Option<Conn>, daemon::NoDaemon> {
    if variables.usage == Use::NoDaemon {
        return Ok(None);
    }
    match daemon::connect_ext(variables.test_socket.as_deref()) {
        Ok((conn, is_of_ours)) => {
            let wants_files = variables.files.is_on() && variables.version.is_none();
            if wants_files && !is_of_ours {
                info!("not by files: the daemon of this host does not know them");
            }
            variables.files.try_if(wants_files && is_of_ours);
            account.is_for(is_of_ours);
            Ok(Some(conn))
        }
        Err(daemon::NoDaemon::Absent) => Ok(None),
        Err(missing) => Err(missing),
    }
}
