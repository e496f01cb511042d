//! `store`: what an operator does with whole stores that no server has open.

mod progress;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufReader, BufWriter, IsTerminal as _, Write};
use std::path::Path;
use std::sync::Arc;

use clap::Subcommand;
use i3_auth::RolePolicy;
use i3_core::market::{Commands, Marketplace, contents, replay};
use i3_core::portable::{self, Contents, Progress, StoreDigest, Verification};
use i3_core::store::{StoreError, StoreErrorKind};

use crate::{Failure, StoreUrl, report};
use progress::Shown;

/// What can be done with a store. A store is named as for `serve`: `sqlite:PATH`, `sled:PATH` or a server's URL.
#[derive(Debug, Clone, Subcommand)]
pub enum StoreTask {
    /// Copies a store into an empty one, secrets included, and proves by digest that both hold the same; if
    /// it was stopped, run it again to go on
    Copy {
        /// `sqlite:PATH`, `sled:PATH` or a server's URL
        #[arg(value_name = "FROM")]
        from: String,
        /// Another one, new or empty
        #[arg(value_name = "TO")]
        to: String,
    },
    /// Prints one SHA-256 over everything in a store, equal for equal content in any kind of store, and one for
    /// each collection
    Digest {
        /// `sqlite:PATH`, `sled:PATH` or a server's URL
        #[arg(value_name = "STORE")]
        store: String,
    },
    /// Checks chains, records, indexes and books; the exit status is 1 if something is wrong
    Verify {
        /// `sqlite:PATH`, `sled:PATH` or a server's URL
        #[arg(value_name = "STORE")]
        store: String,
    },
    /// Writes a store without its secrets as lines of JSON
    Export {
        /// `sqlite:PATH`, `sled:PATH` or a server's URL
        #[arg(value_name = "STORE")]
        store: String,
        /// `-` for standard output
        #[arg(value_name = "FILE")]
        file: String,
    },
    /// Reads lines of JSON into an empty store, and proves by digest that nothing is missing or changed
    Import {
        /// `-` for standard input
        #[arg(value_name = "FILE")]
        file: String,
        /// `sqlite:PATH`, `sled:PATH` or a server's URL
        #[arg(value_name = "STORE")]
        store: String,
    },
    /// Carries out a store's audit log again in an empty store, and proves by digest that the outcome is the
    /// same; secrets are in no log
    Replay {
        /// `sqlite:PATH`, `sled:PATH` or a server's URL
        #[arg(value_name = "FROM")]
        from: String,
        /// Another one, new or empty
        #[arg(value_name = "TO")]
        to: String,
    },
}

/// All that the program keeps in a store.
pub fn store_contents() -> Result<Contents, Failure> {
    contents(&i3_auth::parts()).map_err(|error| {
        StoreError::new(StoreErrorKind::Incompatible, "the collections contradict each other")
            .with_source(error)
            .into()
    })
}

/// Does it; gives what is to be said of it, and whether all is well.
pub async fn store(task: StoreTask) -> Result<(String, bool), Failure> {
    let progress = Shown::on_stderr();
    let contents = store_contents()?;
    let said = match task {
        StoreTask::Copy { from, to } => (copy(&from, &to, &contents, &progress).await?, true),
        StoreTask::Digest { store } => (digest(&store, &contents, &progress).await?, true),
        StoreTask::Verify { store } => verify(&store, &contents, &progress).await?,
        StoreTask::Export { store, file } => {
            let said = export(&store, &file, &contents, &progress).await?;
            if file == "-" {
                // Standard output is taken.
                progress.end();
                let _ = write!(std::io::stderr(), "{said}");
                (String::new(), true)
            } else {
                (said, true)
            }
        }
        StoreTask::Import { file, store } => (import(&file, &store, &contents, &progress).await?, true),
        StoreTask::Replay { from, to } => (replayed(&from, &to, &contents, &progress).await?, true),
    };
    progress.end();
    Ok(said)
}

fn urls(from: &str, to: &str) -> Result<(StoreUrl, StoreUrl), Failure> {
    let (from, to): (StoreUrl, StoreUrl) = (from.parse()?, to.parse()?);
    if from == to {
        return Err(Failure::usage("same_store", "both stores are the same"));
    }
    Ok((from, to))
}

async fn copy(from: &str, to: &str, contents: &Contents, progress: &dyn Progress) -> Result<String, Failure> {
    let (from, to) = urls(from, to)?;
    let (source, target) = (from.open_existing().await?, to.open().await?);
    let copied = portable::copy(&*source, &*target, contents, progress).await?;
    let mut text = String::new();
    let resumed = if copied.resumed { ", going on with an earlier copy" } else { "" };
    let _ = writeln!(text, "copied {from} to {to}{resumed}: {} rows", copied.digest.rows());
    left_behind(&mut text, &copied.left_behind);
    let _ = writeln!(text, "digest of both: {}", copied.digest.total());
    Ok(text)
}

async fn digest(store: &str, contents: &Contents, progress: &dyn Progress) -> Result<String, Failure> {
    let store = store.parse::<StoreUrl>()?.open_existing().await?;
    store.prepare(contents.schema()).await?;
    portable::refuse_unfinished(&*store).await?;
    progress.begin("reading", None);
    let digest = portable::digest(&*store, contents, progress).await?;
    let mut text = table(&digest);
    left_behind(&mut text, &store.unnamed().await?);
    let _ = writeln!(text, "without secrets  {}", digest.without_secrets());
    let _ = writeln!(text, "audited          {}", digest.logged());
    let _ = writeln!(text, "total            {}", digest.total());
    Ok(text)
}

fn table(digest: &StoreDigest) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "{:<16} {:>10} {:>10} {:>12}  digest", "collection", "keys", "entries", "bytes");
    for collection in &digest.collections {
        let _ = writeln!(
            text,
            "{:<16} {:>10} {:>10} {:>12}  {}",
            collection.name, collection.keys, collection.entries, collection.bytes, collection.digest
        );
    }
    text
}

/// Data that this program does not know.
fn left_behind(text: &mut String, names: &[String]) {
    if !names.is_empty() {
        let names = names.join(", ");
        let _ = writeln!(text, "not included, because this program does not know them: {names}");
    }
}

async fn verify(store: &str, contents: &Contents, progress: &Shown) -> Result<(String, bool), Failure> {
    let store = store.parse::<StoreUrl>()?.open_existing().await?;
    let found = portable::verify(&*store, contents, progress).await?;
    progress.begin("adding up the books", None);
    let market = Marketplace::open(store, Arc::new(RolePolicy), i3_auth::COLLECTIONS).await?;
    let mut text = String::new();
    let Verification { records, indexed, chains, faults, faulty } = &found;
    let _ = writeln!(text, "records: {records}, with {indexed} entries of indexes");
    for (stream, chain) in chains {
        let state = match chain.broken_at {
            None => format!("chain intact, last link {}", chain.link),
            Some(at) => format!("chain broken at entry {at}"),
        };
        let _ = writeln!(text, "{stream}: {} entries, {state}", chain.entries);
    }
    for fault in faults {
        let _ = writeln!(text, "fault: {fault}");
    }
    let shown = u64::try_from(faults.len()).unwrap_or(u64::MAX);
    if *faulty > shown {
        let _ = writeln!(text, "and {} faults more", faulty - shown);
    }
    // Records that cannot be read cannot be added up.
    let balanced = match report(&market).await {
        Ok(books) => {
            let balanced = books.balances();
            text.push_str(&books.sums());
            balanced
        }
        Err(failure) => {
            let _ = writeln!(text, "the books cannot be added up: {failure}");
            false
        }
    };
    let well = *faulty == 0 && balanced;
    let _ = writeln!(text, "{}", if well { "all is well" } else { "something is wrong" });
    Ok((text, well))
}

async fn export(
    store: &str,
    file: &str,
    contents: &Contents,
    progress: &dyn Progress,
) -> Result<String, Failure> {
    let url: StoreUrl = store.parse()?;
    let store = url.open_existing().await?;
    let exported = if file == "-" {
        if std::io::stdout().is_terminal() {
            return Err(Failure::usage("export_to_terminal", "an export is long: name a file or a pipe"));
        }
        let mut out = BufWriter::new(std::io::stdout());
        portable::export(&*store, contents, &mut out, progress).await?
    } else {
        // Made new, so that no earlier export is lost to one that fails.
        let made = File::create_new(file).map_err(|error| unusable(file, &error))?;
        let mut out = BufWriter::new(made);
        let exported = portable::export(&*store, contents, &mut out, progress).await?;
        out.flush().and_then(|()| out.get_ref().sync_all()).map_err(|error| unusable(file, &error))?;
        exported
    };
    let mut text = String::new();
    let _ = writeln!(text, "exported {url}: {} rows", exported.rows);
    left_behind(&mut text, &exported.left_behind);
    left_out(&mut text, "left out, because they are secrets", &exported.left_out);
    let _ = writeln!(text, "digest without secrets: {}", exported.digest.total());
    Ok(text)
}

async fn import(
    file: &str,
    store: &str,
    contents: &Contents,
    progress: &dyn Progress,
) -> Result<String, Failure> {
    let url: StoreUrl = store.parse()?;
    let imported = if file == "-" {
        let target = url.open().await?;
        portable::import(&*target, contents, &mut BufReader::new(std::io::stdin()), progress).await?
    } else {
        let lines = File::open(Path::new(file)).map_err(|error| unusable(file, &error))?;
        let target = url.open().await?;
        portable::import(&*target, contents, &mut BufReader::new(lines), progress).await?
    };
    let mut text = String::new();
    let _ = writeln!(text, "imported into {url}: {} rows", imported.digest.rows());
    if !imported.left_out.is_empty() {
        left_out(&mut text, "not in the export, because they are secrets", &imported.left_out);
        text.push_str(
            "people need new passwords, and devices new credentials in place of passwords\n\
             order passwords and API tokens stay good if master.key is taken along before the first start\n",
        );
    }
    let _ = writeln!(text, "digest without secrets: {}", imported.digest.total());
    Ok(text)
}

async fn replayed(
    from: &str,
    to: &str,
    contents: &Contents,
    progress: &dyn Progress,
) -> Result<String, Failure> {
    let (from, to) = urls(from, to)?;
    let (source, target) = (from.open_existing().await?, to.open().await?);
    let replayed = replay(&*source, &*target, contents, &Commands::standard(), progress).await?;
    let mut text = String::new();
    let _ = writeln!(text, "replayed {} commands of {from} in {to}", replayed.entries);
    left_out(&mut text, "in no log, and so not there", &replayed.left_out);
    let _ = writeln!(text, "digest of what is audited, in both: {}", replayed.digest.logged());
    Ok(text)
}

fn left_out(text: &mut String, why: &str, collections: &BTreeMap<String, u64>) {
    if !collections.is_empty() {
        let names: Vec<String> =
            collections.iter().map(|(name, count)| format!("{name} ({count})")).collect();
        let _ = writeln!(text, "{why}: {}", names.join(", "));
    }
}

fn unusable(file: &str, error: &std::io::Error) -> Failure {
    Failure::new("file", format!("{file}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_collection_of_the_program_is_moved() {
        let contents = store_contents().unwrap();
        let market = i3_core::market::schema(i3_auth::COLLECTIONS).unwrap();
        for collection in market.collections() {
            assert!(contents.schema().collection(collection.name).is_some(), "{}", collection.name);
        }
        assert_eq!(contents.schema().collections().len(), market.collections().len());
    }
}
