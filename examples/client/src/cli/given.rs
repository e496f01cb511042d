//! What is given on the command line: names of variants, secrets, files.

use std::fs;
use std::io::{IsTerminal as _, Read as _, Write as _};
use std::path::Path;

use i3_client::{Edit, Secret};
use i3_core::money::Amount;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::failure::Failure;

/// A value by the name that the interface has for it.
pub(crate) fn named<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_value(Value::String(text.to_owned())).map_err(|error| error.to_string())
}

/// Money in minor units.
pub(crate) fn minor(text: &str) -> Result<Amount, String> {
    let number = text.parse().map_err(|_| "an integer of minor units is expected".to_owned())?;
    Amount::new(number).map_err(|error| error.to_string())
}

/// What becomes of something that one option names and the other takes away.
pub(crate) fn edit<T>(set: Option<T>, remove: bool) -> Edit<T> {
    match set {
        Some(value) => Edit::Set(value),
        None if remove => Edit::Remove,
        None => Edit::Keep,
    }
}

fn read(file: &Path) -> Result<String, Failure> {
    let cannot = |error| Failure::Files(format!("{} cannot be read: {error}", file.display()));
    if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map_err(cannot)?;
        return Ok(text);
    }
    fs::read_to_string(file).map_err(cannot)
}

/// A file's text.
pub(crate) fn text_of(file: &Path) -> Result<String, Failure> {
    read(file)
}

/// A file's bytes.
pub(crate) fn bytes_of(file: &Path) -> Result<Vec<u8>, Failure> {
    let cannot = |error| Failure::Files(format!("{} cannot be read: {error}", file.display()));
    if file == Path::new("-") {
        let mut bytes = Vec::new();
        std::io::stdin().read_to_end(&mut bytes).map_err(cannot)?;
        return Ok(bytes);
    }
    fs::read(file).map_err(cannot)
}

/// Writes a file that is not there yet.
pub(crate) fn write_new(file: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let cannot = |error| Failure::Files(format!("{} cannot be written: {error}", file.display()));
    let mut open = fs::File::create_new(file).map_err(cannot)?;
    open.write_all(bytes).map_err(cannot)
}

/// A file's text as JSON.
pub(crate) fn json_of<T: DeserializeOwned>(file: &Path) -> Result<T, Failure> {
    let wrong = |error| Failure::Usage(format!("{}: {error}", file.display()));
    serde_json::from_str(&read(file)?).map_err(wrong)
}

/// A secret of a file, if one is named, or of the environment. A line's end after it is not part of it.
pub(crate) fn secret_if_given(file: Option<&Path>, variable: &str) -> Result<Option<Secret>, Failure> {
    if let Some(file) = file {
        return Ok(Some(Secret::new(read(file)?.trim_end_matches(['\r', '\n']))));
    }
    match std::env::var(variable) {
        Ok(text) if !text.is_empty() => Ok(Some(Secret::new(text))),
        Ok(_) | Err(std::env::VarError::NotPresent) => Ok(None),
        Err(error) => Err(Failure::Usage(format!("{variable}: {error}"))),
    }
}

/// A secret of a file, the environment, or typed unseen.
pub(crate) fn secret(
    what: &str,
    file: Option<&Path>,
    option: &str,
    variable: &str,
) -> Result<Secret, Failure> {
    if let Some(secret) = secret_if_given(file, variable)? {
        return Ok(secret);
    }
    if !std::io::stdin().is_terminal() {
        return Err(Failure::Usage(format!("the {what} is missing: give it with {option} or in {variable}")));
    }
    let typed = rpassword::prompt_password(format!("The {what}: "));
    let typed = typed.map_err(|error| Failure::Files(format!("the {what} cannot be read: {error}")))?;
    Ok(Secret::new(typed))
}
