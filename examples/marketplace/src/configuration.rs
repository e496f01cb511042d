//! What `serve` is told by a file: the same keys as its options, for all that neither the command line nor the
//! environment says.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, Args as _, Command};
use toml::{Table, Value};

use crate::{Failure, ServeOptions};

const SERVE: &str = "serve";
/// The option that names the file; no key of it.
const CONFIG: &str = "config";

fn serve() -> Command {
    ServeOptions::augment_args(Command::new(SERVE))
}

/// The options that are keys, in the order in which help has them.
fn keys(serve: &Command) -> impl Iterator<Item = (&str, &Arg)> {
    let named = serve.get_arguments().filter_map(|arg| Some((arg.get_long()?, arg)));
    named.filter(|(name, _)| *name != CONFIG && *name != "help")
}

fn is_switch(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::SetTrue)
}

/// The arguments of the program, with what the file adds that they name, by `--config` or in `I3_CONFIG`. As they are if
/// they are not about `serve`, or name no file.
pub fn configured(mut arguments: Vec<OsString>) -> Result<Vec<OsString>, Failure> {
    // What is wrong with the arguments is told when they are read in earnest.
    let program = Command::new("i3-marketplace").subcommand(serve()).allow_external_subcommands(true);
    let Ok(matches) = program.ignore_errors(true).try_get_matches_from(&arguments) else {
        return Ok(arguments);
    };
    let Some((SERVE, said)) = matches.subcommand() else { return Ok(arguments) };
    let Some(file) = said.get_one::<PathBuf>(CONFIG) else { return Ok(arguments) };
    let own = |arg: &Arg| {
        let source = said.value_source(arg.get_id().as_str());
        matches!(source, Some(ValueSource::CommandLine | ValueSource::EnvVariable))
    };
    for (name, value) in read(file)? {
        let wrong = |what: &str| Failure::usage("config", format!("{}: `{name}`: {what}", file.display()));
        let serve = serve();
        let (_, arg) =
            keys(&serve).find(|(key, _)| *key == name).ok_or_else(|| wrong("there is no such key"))?;
        let values = texts(&value, arg).map_err(wrong)?;
        if own(arg) {
            continue;
        }
        arguments.extend(values.into_iter().map(|value| match value {
            Some(value) => format!("--{name}={value}").into(),
            None => format!("--{name}").into(),
        }));
    }
    Ok(arguments)
}

fn read(file: &Path) -> Result<Table, Failure> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| Failure::new("config", format!("{} cannot be read: {error}", file.display())))?;
    text.parse::<Table>().map_err(|error| {
        // Not the line itself: there may be a password in it.
        let line = error
            .span()
            .and_then(|span| text.get(..span.start))
            .map_or(1, |before| before.split('\n').count());
        Failure::usage("config", format!("{}, line {line}: {}", file.display(), error.message()))
    })
}

/// The values of a key as the option takes them; `None`: a switch that is on.
fn texts(value: &Value, arg: &Arg) -> Result<Vec<Option<String>>, &'static str> {
    if is_switch(arg) {
        let on = value.as_bool().ok_or("`true` or `false` is expected")?;
        return Ok(if on { vec![None] } else { Vec::new() });
    }
    let text = |value: &Value| match value {
        Value::String(text) => Ok(Some(text.clone())),
        Value::Integer(number) => Ok(Some(number.to_string())),
        _ => Err("a text or an integer is expected"),
    };
    match value {
        Value::Array(values) if matches!(arg.get_action(), ArgAction::Append) => {
            values.iter().map(text).collect()
        }
        value => Ok(vec![text(value)?]),
    }
}

/// Every key, as Markdown: `docs/configuration.md`.
pub fn configuration() -> String {
    let mut page = "# Configuration\n\n\
        `i3-marketplace serve` is told what to do by its options, by the environment, and by a file of TOML that `--config` or \
        `I3_CONFIG` names. What the command line says counts before the environment, that before the file, and that before the \
        default. The keys of the file are the names of the options; the same as on the command line is taken, switches are \
        `true` or `false`, and what may be there several times is a list. Unknown keys are refused.\n\n\
        ```toml\n\
        http = \"127.0.0.1:8080\"\n\
        registration = \"approval\"\n\
        fee-points = 250\n\
        cors-origin = [\"https://shop.example\"]\n\
        ```\n\n\
        Addresses of stores and mail servers may have passwords in them: let the server alone read the file then. Two things are \
        told by the environment only: `I3_ADMIN_PASSWORD`, the first administrator's password, and `RUST_LOG`, what is logged.\n\n\
        | key and option | environment | | default |\n|---|---|---|---|\n"
        .to_owned();
    for (name, arg) in keys(&serve()) {
        let variable = arg.get_env().map(|name| format!("`{}`", name.display())).unwrap_or_default();
        let mut about = arg.get_help().map(ToString::to_string).unwrap_or_default();
        let possible: Vec<_> =
            arg.get_possible_values().iter().map(|value| format!("`{}`", value.get_name())).collect();
        if !possible.is_empty() && !is_switch(arg) {
            let _ = write!(about, ": {}", possible.join(", "));
        }
        let default: Vec<_> =
            arg.get_default_values().iter().map(|value| format!("`{}`", value.display())).collect();
        let default = if is_switch(arg) { "`false`".to_owned() } else { default.join(", ") };
        let _ = writeln!(
            page,
            "| `{name}` | {variable} | {} | {default} |",
            about.replace('|', "\\|").replace('\n', " ")
        );
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(file: &str, more: &[&str]) -> Result<Vec<String>, Failure> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("i3.toml");
        std::fs::write(&path, file).unwrap();
        let mut arguments: Vec<OsString> = ["i3-marketplace", SERVE, "--config"].map(OsString::from).to_vec();
        arguments.push(path.into());
        let before = arguments.len() + more.len();
        arguments.extend(more.iter().map(OsString::from));
        let added = configured(arguments)?.split_off(before);
        Ok(added.into_iter().map(|argument| argument.into_string().unwrap()).collect())
    }

    #[test]
    fn a_file_says_what_the_command_line_does_not() {
        let file = "fee-points = 250\nregistration = \"approval\"\nbroker-any-client-id = true\n\
                    broker-counted-orders = false\ncors-origin = [\"https://a.example\", \"https://b.example\"]\n";
        let added = with(file, &["--fee-points", "3"]).unwrap();
        let expected = [
            "--broker-any-client-id",
            "--cors-origin=https://a.example",
            "--cors-origin=https://b.example",
            "--registration=approval",
        ];
        assert_eq!(added, expected);
    }

    #[test]
    fn what_is_required_may_be_in_the_file() {
        let added = with("tls-cert = \"a\"\ntls-key = \"b\"\n", &["--mqtt-tls", "127.0.0.1:8883"]).unwrap();
        assert_eq!(added, ["--tls-cert=a", "--tls-key=b"]);
    }

    #[test]
    fn every_key_is_taken_and_everything_else_refused() {
        let serve = serve();
        for (name, arg) in keys(&serve) {
            let value = if is_switch(arg) { "true" } else { "\"1\"" };
            assert_eq!(with(&format!("{name} = {value}"), &[]).unwrap().len(), 1, "{name}");
        }
        for wrong in [
            "colour = 1",
            "config = \"x\"",
            "http = 1.5",
            "http = [\"a\"]",
            "broker-any-client-id = 1",
            "[http]",
        ] {
            let failure = with(wrong, &[]).unwrap_err();
            assert_eq!((failure.code(), failure.exit_status()), ("config", 2), "{wrong}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_told_without_what_it_says() {
        let failure = with("gate = \"g\"\nstore = \"postgres://i3:hunter2@db\" x\n", &[]).unwrap_err();
        let said = failure.to_string();
        assert!(said.contains("line 2") && !said.contains("hunter2"), "{said}");
    }

    #[test]
    fn other_commands_have_no_file() {
        let arguments: Vec<OsString> =
            ["i3-marketplace", "reconcile", "--store", "memory:"].map(OsString::from).to_vec();
        assert_eq!(configured(arguments.clone()).unwrap(), arguments);
    }
}
