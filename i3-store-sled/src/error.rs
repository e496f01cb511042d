//! What sled's failures mean to callers.

use std::io;

use i3_core::store::{StoreError, StoreErrorKind};

/// A failure of sled, with what was being done.
pub(crate) fn failed(doing: &str, error: sled::Error) -> StoreError {
    let full = matches!(&error, sled::Error::Io(error) if error.kind() == io::ErrorKind::StorageFull);
    let (kind, advice) = match kind(&error) {
        StoreErrorKind::Corrupt => {
            (StoreErrorKind::Corrupt, ": its files are damaged, restore the folder from a backup")
        }
        StoreErrorKind::Misconfigured => {
            (StoreErrorKind::Misconfigured, ": check the folder and who may write there")
        }
        StoreErrorKind::Unavailable if full => (StoreErrorKind::Unavailable, ": the disk is full, make room"),
        kind => (kind, ""),
    };
    StoreError::new(kind, format!("sled could not {doing}{advice}")).with_source(error)
}

fn kind(error: &sled::Error) -> StoreErrorKind {
    match error {
        sled::Error::Io(error) => io_kind(error),
        sled::Error::Corruption { .. } | sled::Error::CollectionNotFound(_) => StoreErrorKind::Corrupt,
        sled::Error::Unsupported(_) => StoreErrorKind::Incompatible,
        sled::Error::ReportableBug(_) => StoreErrorKind::Unavailable,
    }
}

fn io_kind(error: &io::Error) -> StoreErrorKind {
    match error.kind() {
        io::ErrorKind::PermissionDenied
        | io::ErrorKind::ReadOnlyFilesystem
        | io::ErrorKind::NotADirectory
        | io::ErrorKind::IsADirectory
        | io::ErrorKind::AlreadyExists => StoreErrorKind::Misconfigured,
        // What sled says of files that it cannot make sense of.
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof => {
            StoreErrorKind::Corrupt
        }
        _ => StoreErrorKind::Unavailable,
    }
}

/// Whether sled found the store's file locked by someone else. Its error has no code of its own for that.
pub(crate) fn is_locked(error: &sled::Error) -> bool {
    matches!(error, sled::Error::Io(error) if error.to_string().contains("could not acquire lock"))
}

/// A failure of the operating system, with what was being done.
pub(crate) fn io_failed(doing: &str, error: io::Error) -> StoreError {
    StoreError::new(io_kind(&error), format!("could not {doing}")).with_source(error)
}

/// What is stored is not what was written.
pub(crate) fn corrupt(what: impl std::fmt::Display) -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt, format!("{what} cannot be read back"))
}

/// The thread that writes is gone.
pub(crate) fn writer_gone() -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, "the store's writer has ended: open the store again")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_of_sled_has_its_kind() {
        let io = |kind: io::ErrorKind| sled::Error::Io(io::Error::new(kind, "test"));
        for (error, wanted) in [
            (io(io::ErrorKind::PermissionDenied), StoreErrorKind::Misconfigured),
            (io(io::ErrorKind::UnexpectedEof), StoreErrorKind::Corrupt),
            (io(io::ErrorKind::StorageFull), StoreErrorKind::Unavailable),
            (sled::Error::Corruption { at: None, bt: () }, StoreErrorKind::Corrupt),
            (sled::Error::Unsupported("test".to_owned()), StoreErrorKind::Incompatible),
            (sled::Error::ReportableBug("test".to_owned()), StoreErrorKind::Unavailable),
        ] {
            assert_eq!(failed("do something", error.clone()).kind(), wanted, "{error:?}");
        }
    }

    #[test]
    fn what_people_can_mend_is_told_with_how() {
        let told = |error| failed("write", error).to_string();
        let full = sled::Error::Io(io::Error::new(io::ErrorKind::StorageFull, "test"));
        assert!(told(full).contains("make room"));
        assert!(told(sled::Error::Corruption { at: None, bt: () }).contains("backup"));
        let denied = sled::Error::Io(io::Error::new(io::ErrorKind::PermissionDenied, "test"));
        assert!(told(denied).contains("who may write"));
    }
}
