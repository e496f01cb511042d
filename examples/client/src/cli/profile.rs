//! Profiles: each has one login, in a file of its own that only its owner reads.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use i3_client::Secret;
use i3_core::name::Slug;
use serde::{Deserialize, Serialize};

use super::failure::Failure;

/// A login that is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Kept {
    /// Where it is good: its token is sent nowhere else.
    pub(crate) server: String,
    /// Who signed in.
    pub(crate) name: String,
    /// The token.
    pub(crate) token: Secret,
}

/// Where profiles are: `I3_CONFIG_DIR`, or `i3` in the folder for configuration.
fn folder() -> Result<PathBuf, Failure> {
    let of = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    of("I3_CONFIG_DIR")
        .or_else(|| of("XDG_CONFIG_HOME").map(|folder| folder.join("i3")))
        .or_else(|| of("HOME").map(|folder| folder.join(".config").join("i3")))
        .or_else(|| of("APPDATA").map(|folder| folder.join("i3")))
        .ok_or_else(|| Failure::Usage("there is no place for profiles: say one in I3_CONFIG_DIR".to_owned()))
}

fn file_of(profile: &Slug) -> Result<PathBuf, Failure> {
    Ok(folder()?.join(format!("{profile}.json")))
}

fn cannot(what: &str, file: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::Files(format!("{} cannot be {what}: {error}", file.display()))
}

/// Refuses a file that others may read or write.
#[cfg(unix)]
fn check(file: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = fs::metadata(file).map_err(|error| cannot("read", file, &error))?.permissions().mode();
    // Read, write and execute of the group and of others: the lowest six bits.
    if mode.trailing_zeros() >= 6 {
        return Ok(());
    }
    let text = format!(
        "{} holds a token and is open to others: chmod 600 it, and replace the token",
        file.display()
    );
    Err(Failure::Files(text))
}

#[cfg(not(unix))]
fn check(_: &Path) -> Result<(), Failure> {
    Ok(())
}

#[cfg(unix)]
fn make(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

#[cfg(not(unix))]
fn make(folder: &Path) -> std::io::Result<()> {
    fs::create_dir_all(folder)
}

/// What the profile keeps.
pub(crate) fn load(profile: &Slug) -> Result<Option<Kept>, Failure> {
    let file = file_of(profile)?;
    let text = match fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(cannot("read", &file, &error)),
    };
    check(&file)?;
    // The error of a library could quote the text.
    serde_json::from_str(&text).map(Some).map_err(|_| cannot("read", &file, &"it is no profile"))
}

/// Keeps a login: the whole new file or the whole old one is there, whatever happens. Gives its place.
pub(crate) fn keep(profile: &Slug, login: &Kept) -> Result<PathBuf, Failure> {
    let file = file_of(profile)?;
    let folder = folder()?;
    let write = || -> std::io::Result<()> {
        make(&folder)?;
        // For its owner alone from the beginning.
        let mut next = tempfile::Builder::new().prefix(".i3-").tempfile_in(&folder)?;
        serde_json::to_writer(&mut next, login)?;
        next.as_file_mut().flush()?;
        next.as_file().sync_all()?;
        next.persist(&file)?;
        Ok(())
    };
    write().map_err(|error| cannot("written", &file, &error))?;
    Ok(file)
}

/// Forgets the login, if there is one.
pub(crate) fn forget(profile: &Slug) -> Result<(), Failure> {
    let file = file_of(profile)?;
    match fs::remove_file(&file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(cannot("removed", &file, &error)),
        _ => Ok(()),
    }
}
