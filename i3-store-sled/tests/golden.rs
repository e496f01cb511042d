//! A sled folder as this version writes it, packed in `tests/golden`: what a later version must be able to open.
//! If another layout is meant, folders in the field need a migration, and `make golden` writes it anew.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use i3_core::portable::{Contents, Part, digest, verify};
use i3_core::store::{
    BatchBuilder, Body, Entity as _, Key, MemoryStore, Outcome, Store, StoreExt as _, Units,
};
use i3_core::testkit::sample::{COUNTERS, ITEMS, Item, STREAMS};
use i3_store_sled::SledStore;

const BIG: i64 = i64::MAX;

/// Rows that are awkward to keep: without values, with the least and greatest ones, written twice, removed.
async fn fill(store: &dyn Store) {
    store.prepare(contents().schema()).await.unwrap();
    let items = [
        Item::new("a"),
        Item::new("b").owner("").at(0).tag("t").order(-1),
        Item::new("c").owner("\u{fc}\u{1f600}'\"\\%_").at(i64::MIN).tag("T").order(BIG).note("a\nb\tc"),
        Item::new("d").owner("o").at(BIG).note("\u{2028}"),
        Item::new("e").owner("o").at(5),
    ];
    let mut batch = BatchBuilder::new();
    for item in &items {
        batch = batch.create(item.draft().unwrap());
    }
    let counter = |id: &str| Key::new(&COUNTERS, id).unwrap();
    let stream = |id: &str| Key::new(&STREAMS, id).unwrap();
    let units = |number| Units::new(number).unwrap();
    let body = |text: &str| Body::new(text).unwrap();
    let batch = batch
        .adjust(counter("up"), Units::MAX, Units::ZERO)
        .adjust(counter("down"), Units::MIN, Units::MIN)
        .adjust(counter("zero"), Units::ZERO, Units::ZERO)
        .append(stream("s"), body("{\"n\":1}"))
        .append(stream("s"), body("\"\u{fc}\""))
        .append(stream("other"), body("[]"));
    store.commit(&batch.build().unwrap()).await.unwrap();
    let version = store.get::<Item>(&"e".to_owned()).await.unwrap().unwrap().version;
    let other = Item::new("e").owner("p").at(6).tag("again").order(7).note("written twice");
    let batch = BatchBuilder::new()
        .replace(version, other.draft().unwrap())
        .adjust(counter("up"), units(-7), Units::ZERO)
        .append(stream("s"), body("3"));
    store.commit(&batch.build().unwrap()).await.unwrap();
    let version = store.get::<Item>(&"d".to_owned()).await.unwrap().unwrap().version;
    let batch = BatchBuilder::new().remove(Key::new(&ITEMS, "d").unwrap(), version);
    store.commit(&batch.build().unwrap()).await.unwrap();
}

fn contents() -> Contents {
    let parts = vec![Part::records::<Item>(), Part::plain(&COUNTERS), Part::plain(&STREAMS)];
    Contents::new(1, parts).unwrap()
}

/// What the store holds is what the model holds after the same, and it takes more.
async fn check(store: &dyn Store) {
    let model = MemoryStore::new();
    fill(&model).await;
    store.prepare(contents().schema()).await.unwrap();
    let wanted = digest(&model, &contents(), &()).await.unwrap();
    assert_eq!(digest(store, &contents(), &()).await.unwrap(), wanted);
    assert_eq!(verify(store, &contents(), &()).await.unwrap().faults, vec![]);
    let found = store.get::<Item>(&"e".to_owned()).await.unwrap().unwrap();
    let batch = BatchBuilder::new()
        .replace(found.version, Item::new("e").owner("q").draft().unwrap())
        .create(Item::new("d").draft().unwrap())
        .append(Key::new(&STREAMS, "s").unwrap(), Body::new("4").unwrap());
    let receipt = store.commit(&batch.build().unwrap()).await.unwrap();
    assert!(matches!(receipt.outcomes.last(), Some(Outcome::Appended { position: 4, .. })));
    assert_eq!(verify(store, &contents(), &()).await.unwrap().faults, vec![]);
}

fn wanted() -> bool {
    std::env::var_os("I3_GOLDEN").is_some_and(|wish| wish == "write")
}

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/sled.txt")
}

/// Bytes of one line of a packed file.
const RUN: usize = 32;

/// The files of a folder: for each its name and length, and the runs of bytes that are not all zero.
fn pack(folder: &Path) -> String {
    let mut names: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    let mut text = String::new();
    for path in names.iter().filter(|path| path.is_file()) {
        let bytes = std::fs::read(path).unwrap();
        writeln!(text, "file {} {}", path.file_name().unwrap().to_str().unwrap(), bytes.len()).unwrap();
        for (number, run) in bytes.chunks(RUN).enumerate() {
            if run.iter().any(|byte| *byte != 0) {
                write!(text, "{}", number * RUN).unwrap();
                text.push(' ');
                for byte in run {
                    write!(text, "{byte:02x}").unwrap();
                }
                text.push('\n');
            }
        }
    }
    text
}

fn unpack(text: &str, folder: &Path) {
    let mut file: Option<(PathBuf, Vec<u8>)> = None;
    let close = |file: &mut Option<(PathBuf, Vec<u8>)>| {
        if let Some((path, bytes)) = file.take() {
            std::fs::write(path, bytes).unwrap();
        }
    };
    for line in text.lines() {
        let mut words = line.split(' ');
        match (words.next().unwrap(), words.next().unwrap(), words.next()) {
            ("file", name, Some(length)) => {
                close(&mut file);
                file = Some((folder.join(name), vec![0; length.parse().unwrap()]));
            }
            (offset, digits, None) => {
                let start: usize = offset.parse().unwrap();
                let (_, bytes) = file.as_mut().unwrap();
                for (place, digit) in digits.as_bytes().chunks(2).enumerate() {
                    let digit = std::str::from_utf8(digit).unwrap();
                    *bytes.get_mut(start + place).unwrap() = u8::from_str_radix(digit, 16).unwrap();
                }
            }
            _ => assert_eq!(line, "", "a line that nothing packs"),
        }
    }
    close(&mut file);
}

#[tokio::test]
async fn the_golden_folder_is_read_and_goes_on() {
    if wanted() {
        let folder = tempfile::tempdir().unwrap();
        let store = SledStore::open(folder.path()).unwrap();
        fill(&store).await;
        drop(store);
        // sled closes its files on threads of its own.
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
        std::fs::write(golden(), pack(folder.path())).unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    unpack(&std::fs::read_to_string(golden()).unwrap(), folder.path());
    let store = SledStore::open(folder.path()).unwrap();
    check(&store).await;
}
