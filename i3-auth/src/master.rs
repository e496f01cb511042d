//! The key from which passwords and tokens are derived.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use i3_core::id::NoEntropy;
use i3_core::store::StoreError;
use zeroize::Zeroizing;

use crate::mac::mac;

/// 32 secret bytes. Order passwords and API tokens are derived from it, so none of them is stored.
///
/// Whoever has it can compute all of them; another key makes all of them void. Keep a copy where backups
/// of the data are not.
#[derive(Clone)]
pub struct MasterKey(Zeroizing<[u8; 32]>);

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(…)")
    }
}

/// Why there is no master key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MasterKeyError {
    /// The file cannot be read or written.
    #[error("the master key file {} cannot be used", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file holds something else.
    #[error("{} holds no master key: 32 bytes are expected", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// Others than its owner may read the file.
    #[error("{} can be read by others: `chmod 600` it, and replace the key if they may have read it", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
    },
    /// The data were made under another key.
    #[error("the data belong to another master key: give the file that was used with them before")]
    Another,
    /// It cannot be told whether the data were made under this key.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// See [`NoEntropy`].
    #[error(transparent)]
    NoEntropy(#[from] NoEntropy),
}

impl MasterKey {
    /// The key of these bytes, which should be random.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// A fresh key from the operating system's random source.
    pub fn generate() -> Result<Self, NoEntropy> {
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(bytes.as_mut_slice()).map_err(|_| NoEntropy)?;
        Ok(Self(bytes))
    }

    /// The key in this file (32 bytes, as they are); a fresh one is made if there is no such file.
    ///
    /// On Unix the file is readable by its owner only, and one that others may read is refused. The file
    /// appears whole or not at all and is synced; of several processes that start at once, one makes the
    /// key and all have the same. Blocks on the disk.
    pub fn load_or_create(path: &Path) -> Result<Self, MasterKeyError> {
        let failed = |source| MasterKeyError::File { path: path.to_owned(), source };
        if let Some(key) = Self::load(path)? {
            return Ok(key);
        }
        let fresh = Self::generate()?;
        let mut suffix = [0; 8];
        getrandom::fill(&mut suffix).map_err(|_| NoEntropy)?;
        let mut draft = path.as_os_str().to_owned();
        draft.push(format!(".{}.new", data_encoding::HEXLOWER.encode(&suffix)));
        let draft = PathBuf::from(draft);
        // A hard link is the step that happens wholly or not at all and never replaces a key.
        let linked = write_private(&draft, &fresh.0).and_then(|()| fs::hard_link(&draft, path));
        let _ = fs::remove_file(&draft);
        match linked {
            Ok(()) => {
                sync_directory(path).map_err(failed)?;
                Ok(fresh)
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Self::load(path)?.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))
            }
            Err(error) => Err(failed(error)),
        }
    }

    fn load(path: &Path) -> Result<Option<Self>, MasterKeyError> {
        let failed = |source| MasterKeyError::File { path: path.to_owned(), source };
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        if is_exposed(&file).map_err(failed)? {
            return Err(MasterKeyError::Exposed { path: path.to_owned() });
        }
        let mut bytes = Zeroizing::new(Vec::with_capacity(64));
        file.take(33).read_to_end(&mut bytes).map_err(failed)?;
        match bytes.as_slice().try_into() {
            Ok(key) => Ok(Some(Self::from_bytes(key))),
            Err(_) => Err(MasterKeyError::Malformed { path: path.to_owned() }),
        }
    }

    /// The secret by which the gates of one marketplace know each other's messages at a broker between them:
    /// HMAC-SHA256 under this key over the label `i3 gate messages`.
    pub fn for_gates(&self) -> [u8; 32] {
        self.mac("i3 gate messages", &[])
    }

    /// HMAC-SHA256 under this key; see [`mac`](mac()).
    pub(crate) fn mac(&self, label: &str, parts: &[&[u8]]) -> [u8; 32] {
        mac(&self.0, label, parts)
    }
}

fn write_private(path: &Path, bytes: &[u8; 32]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(unix)]
fn is_exposed(file: &File) -> io::Result<bool> {
    let mode = std::os::unix::fs::MetadataExt::mode(&file.metadata()?);
    Ok(mode & 0o077 != 0)
}

#[cfg(not(unix))]
fn is_exposed(_: &File) -> io::Result<bool> {
    Ok(false)
}

#[cfg(unix)]
fn sync_directory(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(not(unix))]
fn sync_directory(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_read_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("master.key");
        let made = MasterKey::load_or_create(&path).unwrap();
        let read = MasterKey::load_or_create(&path).unwrap();
        assert_eq!(*made.0, *read.0);
        assert_ne!(*made.0, *MasterKey::generate().unwrap().0);
        let names: Vec<_> =
            fs::read_dir(directory.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
        assert_eq!(names, ["master.key"], "no draft is left behind");
    }

    #[test]
    fn processes_that_start_at_once_agree_on_the_key() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("master.key");
        let keys = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..8).map(|_| scope.spawn(|| *MasterKey::load_or_create(&path).unwrap().0)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
        });
        assert!(keys.iter().all(|key| *key == keys[0]));
    }

    #[cfg(unix)]
    #[test]
    fn the_file_is_private_and_an_exposed_one_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("master.key");
        MasterKey::load_or_create(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(MasterKey::load_or_create(&path), Err(MasterKeyError::Exposed { .. })));
    }

    #[test]
    fn a_file_of_another_size_is_refused_and_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        for size in [0, 31, 33, 10_000] {
            let path = directory.path().join(format!("{size}.key"));
            fs::write(&path, vec![1; size]).unwrap();
            #[cfg(unix)]
            fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
            assert!(
                matches!(MasterKey::load_or_create(&path), Err(MasterKeyError::Malformed { .. })),
                "{size}"
            );
            assert_eq!(fs::read(&path).unwrap().len(), size);
        }
    }

    #[test]
    fn a_directory_that_is_not_there_is_a_failure_that_names_the_file() {
        let error = MasterKey::load_or_create(Path::new("no/such/directory/master.key")).unwrap_err();
        assert!(error.to_string().contains("no/such/directory/master.key"), "{error}");
    }

    #[test]
    fn nothing_of_the_key_is_in_its_debug_output() {
        assert_eq!(format!("{:?}", MasterKey::from_bytes([7; 32])), "MasterKey(…)");
    }
}
