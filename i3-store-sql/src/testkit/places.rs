//! Where binaries are, and who runs them.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::ServerError;

/// Where Debian and most others put servers that are not in everybody's PATH.
const SYSTEM: [&str; 3] = ["/usr/sbin", "/usr/local/sbin", "/usr/libexec"];

/// The first of these programs in `first`, in `PATH`, or in a system folder.
pub(super) fn program(names: &[&str], first: &[PathBuf]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = first.iter().cloned().chain(std::env::split_paths(&path));
    let folders: Vec<PathBuf> = folders.chain(SYSTEM.map(PathBuf::from)).collect();
    names.iter().find_map(|name| folders.iter().map(|folder| folder.join(name)).find(|file| runs(file)))
}

fn runs(file: &Path) -> bool {
    file.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

/// The folders `PARENT/NUMBER/bin`, the highest number first.
#[cfg(feature = "postgres")]
pub(super) fn versions(parent: &str) -> Vec<PathBuf> {
    let version = |entry: std::fs::DirEntry| {
        let number: u32 = entry.file_name().to_str()?.parse().ok()?;
        Some((number, entry.path().join("bin")))
    };
    let mut found: Vec<(u32, PathBuf)> =
        std::fs::read_dir(parent).into_iter().flatten().flatten().filter_map(version).collect();
    found.sort_by_key(|(number, _)| std::cmp::Reverse(*number));
    found.into_iter().map(|(_, folder)| folder).collect()
}

/// A user and its group.
#[derive(Debug, Clone, Copy)]
pub(super) struct Account {
    pub(super) user: u32,
    pub(super) group: u32,
}

/// Whom to run a server as: nobody else, unless the owner of this fresh folder is root, whom both servers
/// refuse.
pub(super) fn account(folder: &Path, name: &str) -> Result<Option<Account>, ServerError> {
    let owner = folder.metadata().map_err(ServerError::io("the temporary folder cannot be read"))?.uid();
    if owner != 0 {
        return Ok(None);
    }
    let users = std::fs::read_to_string("/etc/passwd")
        .map_err(ServerError::io("the users of this machine cannot be read"))?;
    let find = |name: &str| {
        users.lines().find_map(|line| {
            let mut fields = line.split(':');
            let same = fields.next() == Some(name);
            let user = fields.nth(1)?.parse().ok()?;
            let group = fields.next()?.parse().ok()?;
            same.then_some(Account { user, group })
        })
    };
    match find(name).or_else(|| find("nobody")) {
        Some(account) => Ok(Some(account)),
        None => Err(ServerError::io("root has no user to run a database server as")(
            std::io::ErrorKind::NotFound.into(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_in_path_and_one_that_is_not_there_is_not() {
        assert!(program(&["no-such-program", "sh"], &[]).is_some());
        assert_eq!(program(&["no-such-program"], &[]), None);
    }

    #[cfg(feature = "postgres")]
    #[test]
    fn the_newest_version_comes_first() {
        let folder = tempfile::tempdir().unwrap();
        for version in ["9", "15", "current"] {
            std::fs::create_dir(folder.path().join(version)).unwrap();
        }
        let parent = folder.path().to_str().unwrap();
        assert_eq!(versions(parent), [folder.path().join("15/bin"), folder.path().join("9/bin")]);
    }
}
