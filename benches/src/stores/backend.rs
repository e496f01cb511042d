//! What is measured: something that opens stores in empty places.

use std::fmt;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use i3_core::store::{DynStore, MemoryStore};
use tempfile::TempDir;

use super::yardsticks::Yardstick;
use crate::shop::ShopError;

/// A kind of store under test.
#[async_trait]
pub trait Backend: fmt::Debug + Send + Sync {
    /// Its name in the tables.
    fn name(&self) -> &str;

    /// A folder on the disk that it writes to, for measuring that disk; `None` if nothing is written.
    fn folder(&self) -> Option<&Path>;

    /// Says where stores shall be: somewhere in this folder of the disk under test. Called once, before
    /// anything else.
    fn settle(&mut self, folder: &Path) -> Result<(), ShopError>;

    /// The version of the software, if it can tell.
    async fn version(&self) -> Option<String> {
        None
    }

    /// What it is held against besides other stores.
    async fn yardsticks(&self) -> Result<Vec<Box<dyn Yardstick>>, ShopError> {
        Ok(Vec::new())
    }

    /// An empty place of this name (lower-case letters); one that was called so before is emptied.
    async fn place(&self, name: &str) -> Result<Box<dyn Place>, ShopError>;
}

/// Where one store is.
#[async_trait]
pub trait Place: fmt::Debug + Send + Sync {
    /// Opens the store; again after every handle of it was dropped.
    async fn open(&self) -> Result<DynStore, ShopError>;

    /// Bytes on disk while the store is closed; `None` if there are none or nobody can tell.
    async fn bytes(&self) -> Result<Option<u64>, ShopError>;

    /// A file or folder that another program could read the store from.
    fn path(&self) -> Option<&Path> {
        None
    }
}

type Opening = Pin<Box<dyn Future<Output = Result<DynStore, ShopError>> + Send>>;
type Opener = Arc<dyn Fn(PathBuf) -> Opening + Send + Sync>;

/// A store inside this process that keeps its files in a folder.
pub struct InFolder {
    name: String,
    open: Opener,
    scratch: Option<TempDir>,
}

impl InFolder {
    /// A kind of store with this name and this way to open one in a folder. The folder is empty at first,
    /// and is given again when the store is to be opened again.
    pub fn new<F, R>(name: impl Into<String>, open: F) -> Self
    where
        F: Fn(PathBuf) -> R + Send + Sync + 'static,
        R: Future<Output = Result<DynStore, ShopError>> + Send + 'static,
    {
        let open: Opener = Arc::new(move |folder| Box::pin(open(folder)));
        Self { name: name.into(), open, scratch: None }
    }
}

impl fmt::Debug for InFolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InFolder").field("name", &self.name).finish_non_exhaustive()
    }
}

#[async_trait]
impl Backend for InFolder {
    fn name(&self) -> &str {
        &self.name
    }

    fn folder(&self) -> Option<&Path> {
        self.scratch.as_ref().map(TempDir::path)
    }

    fn settle(&mut self, folder: &Path) -> Result<(), ShopError> {
        self.scratch = Some(tempfile::Builder::new().prefix("i3-stores-").tempdir_in(folder)?);
        Ok(())
    }

    async fn place(&self, name: &str) -> Result<Box<dyn Place>, ShopError> {
        let folder = self.folder().ok_or("the backend was not told where to be")?.join(name);
        if folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        std::fs::create_dir_all(&folder)?;
        Ok(Box::new(Folder { folder, open: Arc::clone(&self.open) }))
    }
}

struct Folder {
    folder: PathBuf,
    open: Opener,
}

impl fmt::Debug for Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Folder").field("folder", &self.folder).finish_non_exhaustive()
    }
}

#[async_trait]
impl Place for Folder {
    async fn open(&self) -> Result<DynStore, ShopError> {
        (self.open)(self.folder.clone()).await
    }

    async fn bytes(&self) -> Result<Option<u64>, ShopError> {
        Ok(Some(allocated(&self.folder)?))
    }

    fn path(&self) -> Option<&Path> {
        Some(&self.folder)
    }
}

/// What the files in a folder take up on the disk, holes not counted.
fn allocated(folder: &Path) -> std::io::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let about = entry.metadata()?;
        bytes += if about.is_dir() { allocated(&entry.path())? } else { size(&about) };
    }
    Ok(bytes)
}

#[cfg(unix)]
fn size(file: &std::fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::blocks(file).saturating_mul(512)
}

#[cfg(not(unix))]
fn size(file: &std::fs::Metadata) -> u64 {
    file.len()
}

/// The memory store: what is left when nothing is kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Memory;

#[async_trait]
impl Backend for Memory {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn folder(&self) -> Option<&Path> {
        None
    }

    fn settle(&mut self, _: &Path) -> Result<(), ShopError> {
        Ok(())
    }

    async fn place(&self, _: &str) -> Result<Box<dyn Place>, ShopError> {
        Ok(Box::new(Kept(Arc::new(MemoryStore::new()))))
    }
}

/// Closing a memory store would lose it, so its place keeps it.
#[derive(Debug)]
struct Kept(DynStore);

#[async_trait]
impl Place for Kept {
    async fn open(&self) -> Result<DynStore, ShopError> {
        Ok(Arc::clone(&self.0))
    }

    async fn bytes(&self) -> Result<Option<u64>, ShopError> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_place_is_empty_at_first_and_kept_between_openings() {
        let scratch = tempfile::tempdir().unwrap();
        let mut own = InFolder::new("own", |folder| async move {
            std::fs::OpenOptions::new().append(true).create(true).open(folder.join("opened"))?;
            std::fs::write(folder.join("data"), vec![7; 10_000])?;
            let store: DynStore = Arc::new(MemoryStore::new());
            Ok(store)
        });
        own.settle(scratch.path()).unwrap();
        let place = own.place("one").await.unwrap();
        assert_eq!(place.bytes().await.unwrap(), Some(0));
        drop(place.open().await.unwrap());
        assert!(place.bytes().await.unwrap().unwrap() >= 10_000);
        let other = own.place("one").await.unwrap();
        assert_eq!(other.bytes().await.unwrap(), Some(0), "a place of this name is emptied");
    }
}
