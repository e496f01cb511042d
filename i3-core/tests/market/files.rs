//! Files of virtual objects: their bytes, who gets them, and what becomes of them.

mod moved;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use i3_core::access::Actor;
use i3_core::id::{RandomIds, UserId, VirtualObjectId};
use i3_core::market::{
    AmendObject, AttachFile, CreateObject, DetachFile, IdempotencyKey, MarketError, Marketplace, MoveObject,
    ObjectView, PurgeFile, Refusal, Settings, WhichVersion, WholeFile, schema,
};
use i3_core::role::RoleName;
use i3_core::store::{
    Batch, Cell, Digest, DynStore, Entity as _, Key, MemoryStore, Op, Row, Scan, Store, StoreError,
    StoreErrorKind, StoreExt as _,
};
use i3_core::testkit::faults::{Call, FailsAs, Fault, FaultyStore, Plan};
use i3_core::time::{ManualClock, Timestamp};
use i3_core::virtual_object::{
    Content, File, FileChunk, FileHold, FileLimits, FileUpload, MediaType, ObjectKind, ObjectState,
    StoredFile, VirtualObject,
};

use crate::fixture::{refusal, user};
use crate::workshop::Roles;
use crate::wrapped::{Otherwise, Wrapped};

const LIMITS: FileLimits = FileLimits { file_bytes: 1 << 20, object_bytes: 3 << 19 };

struct Shop {
    market: Marketplace,
    clock: Arc<ManualClock>,
    alice: UserId,
    bob: UserId,
}

/// Bytes that no other test has, a little more than `chunks` chunks of them.
fn bytes(seed: u8, chunks: usize) -> Vec<u8> {
    let length = chunks * FileChunk::BYTES + 7;
    (0..length).map(|place| u8::try_from(place % 251).unwrap().wrapping_add(seed)).collect()
}

async fn opened(store: DynStore, clock: Arc<ManualClock>) -> Marketplace {
    let market = Marketplace::open(store, Arc::new(Roles), &[]).await.unwrap();
    let settings = Settings::default().with_files(LIMITS);
    market.with_clock(clock).with_ids(Arc::new(RandomIds)).with_settings(settings)
}

impl Shop {
    async fn over(store: DynStore) -> Self {
        let clock = Arc::new(ManualClock::at(Timestamp::from_micros(1_800_000_000_000_000).unwrap()));
        let market = opened(store, clock.clone()).await;
        let alice = user(&market, "alice", RoleName::PROVIDER).await;
        let bob = user(&market, "bob", RoleName::PROVIDER).await;
        Self { market, clock, alice, bob }
    }

    async fn new() -> Self {
        Self::over(Arc::new(MemoryStore::new())).await
    }

    async fn object(&self, owner: UserId) -> VirtualObjectId {
        let content = Content::new(ObjectKind::Sensor, "Thermometer".parse().unwrap());
        let create = CreateObject { content, hub: None, submit: false };
        self.market.execute(Actor::User(owner), None, &create).await.unwrap().object.id
    }

    async fn go(&self, owner: UserId, object: VirtualObjectId, to: ObjectState) -> ObjectView {
        let to = MoveObject { object, to, expect: None, remark: None };
        self.market.execute(Actor::User(owner), None, &to).await.unwrap()
    }

    async fn send(
        &self,
        actor: UserId,
        object: VirtualObjectId,
        media_type: MediaType,
        bytes: &[u8],
    ) -> Result<WholeFile, MarketError> {
        let mut writer = self.market.write_file(Actor::User(actor), object, media_type, None).await?;
        for piece in bytes.chunks(100_003) {
            writer.write(piece).await?;
        }
        writer.finish().await
    }

    async fn attach_as(
        &self,
        actor: UserId,
        object: VirtualObjectId,
        name: &str,
        media_type: MediaType,
        bytes: &[u8],
        key: Option<&IdempotencyKey>,
    ) -> Result<ObjectView, MarketError> {
        let whole = self.send(actor, object, media_type, bytes).await?;
        let file = File { name: name.parse().unwrap(), media_type, bytes: whole.bytes, sha256: whole.sha256 };
        let attach = AttachFile { object, file, expect: None, upload: Some(whole.upload) };
        let done = self.market.execute(Actor::User(actor), key, &attach).await;
        self.market.discard_upload(whole.upload).await?;
        done
    }

    async fn attach(
        &self,
        actor: UserId,
        object: VirtualObjectId,
        name: &str,
        bytes: &[u8],
    ) -> Result<ObjectView, Refusal> {
        let attached = self.attach_as(actor, object, name, MediaType::OctetStream, bytes, None).await;
        attached.map_err(refusal)
    }

    async fn read(
        &self,
        actor: Actor,
        object: VirtualObjectId,
        version: Option<u32>,
        name: &str,
    ) -> Result<Vec<u8>, MarketError> {
        let version = version.map(WhichVersion::Number);
        let mut reader = self.market.read_file(actor, object, version, &name.parse().unwrap()).await?;
        let mut all = Vec::new();
        while let Some(bytes) = reader.next().await? {
            assert!(bytes.len() <= FileChunk::BYTES);
            all.extend(bytes);
        }
        assert_eq!(Digest::of(&all), reader.file().sha256);
        Ok(all)
    }

    /// How many files, holds, chunks and uploads the store has.
    async fn kept(&self) -> [usize; 4] {
        kept(self.market.store()).await
    }
}

async fn kept(store: &dyn Store) -> [usize; 4] {
    let mut numbers = [0; 4];
    let collections =
        [StoredFile::collection(), FileHold::collection(), FileChunk::collection(), FileUpload::collection()];
    for (number, collection) in numbers.iter_mut().zip(collections) {
        *number = store.scan(&Scan::ids(collection).limit(1_000)).await.unwrap().rows.len();
    }
    numbers
}

#[tokio::test]
async fn a_file_is_given_to_those_who_see_the_object_and_to_nobody_else() {
    let shop = Shop::new().await;
    let (alice, bob) = (Actor::User(shop.alice), Actor::User(shop.bob));
    let object = shop.object(shop.alice).await;
    let guide = bytes(1, 20);
    let view = shop.attach(shop.alice, object, "guide.bin", &guide).await.unwrap();
    let [file] = view.content.files.as_slice() else { panic!("{view:?}") };
    assert_eq!((file.bytes, file.sha256), (u64::try_from(guide.len()).unwrap(), Digest::of(&guide)));
    assert_eq!((view.object.version, view.object.revision), (2, 2));
    assert_eq!(shop.kept().await, [1, 1, 21, 0]);

    assert_eq!(shop.read(alice, object, None, "guide.bin").await.unwrap(), guide);
    for other in [bob, Actor::Anonymous] {
        let refused = refusal(shop.read(other, object, None, "guide.bin").await.unwrap_err());
        assert_eq!(refused, Refusal::NotFound { what: "virtual object" });
    }
    shop.go(shop.alice, object, ObjectState::Published).await;
    for anybody in [alice, bob, Actor::Anonymous] {
        assert_eq!(shop.read(anybody, object, None, "guide.bin").await.unwrap(), guide);
        let refused = refusal(shop.read(anybody, object, None, "other.bin").await.unwrap_err());
        assert_eq!(refused, Refusal::NotFound { what: "file" });
    }
    // The version before it was published is the owner's.
    assert!(shop.read(bob, object, Some(1), "guide.bin").await.is_err());
}

#[tokio::test]
async fn nobody_sends_bytes_for_an_object_that_they_may_not_edit() {
    let shop = Shop::new().await;
    let object = shop.object(shop.alice).await;
    let refused = |error: MarketError| refusal(error).code();
    let bob = shop.send(shop.bob, object, MediaType::OctetStream, b"bytes").await;
    assert_eq!(bob.map_err(refused), Err("not_found"));
    shop.go(shop.alice, object, ObjectState::Published).await;
    let bob = shop.send(shop.bob, object, MediaType::OctetStream, b"bytes").await;
    assert_eq!(bob.map_err(refused), Err("forbidden"));

    // Nor are an upload's bytes attached to another object, by others, or as something else.
    let whole = shop.send(shop.alice, object, MediaType::OctetStream, b"bytes").await.unwrap();
    let file = File {
        name: "a.bin".parse().unwrap(),
        media_type: MediaType::OctetStream,
        bytes: whole.bytes,
        sha256: whole.sha256,
    };
    let bobs = shop.object(shop.bob).await;
    for (actor, object, file) in [
        (shop.bob, bobs, file.clone()),
        (shop.alice, object, File { media_type: MediaType::Pdf, ..file.clone() }),
        (shop.alice, object, File { sha256: Digest::of(b"other"), ..file.clone() }),
        (shop.alice, object, File { bytes: 4, ..file.clone() }),
    ] {
        let attach = AttachFile { object, file, expect: None, upload: Some(whole.upload) };
        let error = shop.market.execute(Actor::User(actor), None, &attach).await.unwrap_err();
        assert_eq!(refusal(error), Refusal::NotFound { what: "upload" });
    }
    assert_eq!(shop.kept().await, [0, 0, 1, 1]);
    shop.market.discard_upload(whole.upload).await.unwrap();
    assert_eq!(shop.kept().await, [0; 4]);
}

#[tokio::test]
async fn old_versions_keep_their_files_until_these_are_purged() {
    let shop = Shop::new().await;
    let (alice, object) = (Actor::User(shop.alice), shop.object(shop.alice).await);
    let (first, second) = (bytes(2, 1), bytes(3, 1));
    shop.attach(shop.alice, object, "firmware.bin", &first).await.unwrap();
    shop.attach(shop.alice, object, "firmware.bin", &second).await.unwrap();
    let detach = DetachFile { object, name: "firmware.bin".parse().unwrap(), expect: None };
    let view = shop.market.execute(alice, None, &detach).await.unwrap();
    assert!(view.content.files.is_empty() && view.object.kept_files.len() == 2);
    assert_eq!(shop.read(alice, object, Some(2), "firmware.bin").await.unwrap(), first);
    assert_eq!(shop.read(alice, object, Some(3), "firmware.bin").await.unwrap(), second);
    assert_eq!(refusal(shop.market.execute(alice, None, &detach).await.unwrap_err()).code(), "not_found");

    let purge = PurgeFile { object, sha256: Digest::of(&first), expect: None };
    let view = shop.market.execute(alice, None, &purge).await.unwrap();
    assert_eq!(view.object.kept_files.len(), 1);
    let gone = shop.read(alice, object, Some(2), "firmware.bin").await.unwrap_err();
    assert_eq!(refusal(gone), Refusal::FileGone);
    assert_eq!(shop.read(alice, object, Some(3), "firmware.bin").await.unwrap(), second);
    assert_eq!(shop.market.sweep_files().await.unwrap(), 1);
    assert_eq!(shop.kept().await, [1, 1, 2, 0]);

    shop.go(shop.alice, object, ObjectState::Removed).await;
    shop.market.sweep_files().await.unwrap();
    assert_eq!(shop.kept().await, [0; 4]);
}

#[tokio::test]
async fn what_is_attached_or_public_is_not_purged() {
    let shop = Shop::new().await;
    let (alice, object) = (Actor::User(shop.alice), shop.object(shop.alice).await);
    shop.attach(shop.alice, object, "a.bin", b"bytes").await.unwrap();
    let purge = PurgeFile { object, sha256: Digest::of(b"bytes"), expect: None };
    let refused = refusal(shop.market.execute(alice, None, &purge).await.unwrap_err());
    assert_eq!(refused, Refusal::WrongState { what: "file", state: "attached" });
}

#[tokio::test]
async fn equal_bytes_are_kept_once_and_ones_removal_takes_no_others() {
    let shop = Shop::new().await;
    let guide = bytes(4, 3);
    let mut objects = Vec::new();
    for owner in [shop.alice, shop.bob] {
        let object = shop.object(owner).await;
        shop.attach(owner, object, "guide.bin", &guide).await.unwrap();
        // Again, and under another name.
        let before = shop.attach(owner, object, "guide.bin", &guide).await.unwrap().object.revision;
        let view = shop.attach(owner, object, "copy.bin", &guide).await.unwrap();
        assert_eq!((view.object.kept_files.len(), view.object.revision), (1, before + 1));
        objects.push(object);
    }
    assert_eq!(shop.kept().await, [1, 2, 4, 0]);
    shop.go(shop.alice, objects[0], ObjectState::Removed).await;
    shop.market.sweep_files().await.unwrap();
    assert_eq!(shop.kept().await, [1, 1, 4, 0]);
    assert_eq!(shop.read(Actor::User(shop.bob), objects[1], None, "copy.bin").await.unwrap(), guide);
}

#[tokio::test]
async fn what_is_not_what_it_says_or_too_much_is_refused_and_leaves_nothing() {
    let shop = Shop::new().await;
    let object = shop.object(shop.alice).await;
    let wrong: [(MediaType, &[u8]); 4] = [
        (MediaType::Png, b"<html><script>alert(1)</script></html>"),
        (MediaType::Plain, b"\x7fELF\0\0\0"),
        (MediaType::Json, b"{\"a\": "),
        (MediaType::Pdf, b""),
    ];
    for (kind, bytes) in wrong {
        let refused = refusal(shop.send(shop.alice, object, kind, bytes).await.unwrap_err());
        assert_eq!(refused.code(), "wrong_file_type", "{kind}");
    }
    let long = vec![7; usize::try_from(LIMITS.file_bytes).unwrap() + 1];
    let too_large = Refusal::FileTooLarge { most: LIMITS.file_bytes };
    assert_eq!(shop.attach(shop.alice, object, "a.bin", &long).await.unwrap_err(), too_large);
    let announced = Some(LIMITS.file_bytes + 1);
    let alice = Actor::User(shop.alice);
    let writer = shop.market.write_file(alice, object, MediaType::OctetStream, announced).await;
    assert_eq!(refusal(writer.unwrap_err()), too_large);

    let full = &long[1..];
    shop.attach(shop.alice, object, "a.bin", full).await.unwrap();
    let refused = shop.attach(shop.alice, object, "b.bin", &bytes(1, 12)).await.unwrap_err();
    assert_eq!(refused.code(), "too_many_files");
    shop.clock.advance(Duration::from_secs(3_601));
    shop.market.sweep_files().await.unwrap();
    assert_eq!(shop.kept().await, [1, 1, full.len().div_ceil(FileChunk::BYTES), 0]);
}

#[tokio::test]
async fn an_object_keeps_no_more_than_so_many_files_in_all_its_versions() {
    let shop = Shop::new().await;
    let (alice, object) = (Actor::User(shop.alice), shop.object(shop.alice).await);
    for number in 0..VirtualObject::MAX_FILES {
        shop.attach(shop.alice, object, "a.txt", number.to_string().as_bytes()).await.unwrap();
    }
    let refused = shop.attach(shop.alice, object, "a.txt", b"one more").await.unwrap_err();
    assert_eq!(refused.code(), "too_many_files");
    let purge = PurgeFile { object, sha256: Digest::of(b"0"), expect: None };
    shop.market.execute(alice, None, &purge).await.unwrap();
    shop.attach(shop.alice, object, "a.txt", b"one more").await.unwrap();
}

#[tokio::test]
async fn a_change_of_the_content_attaches_nothing() {
    let shop = Shop::new().await;
    let object = shop.object(shop.alice).await;
    let sha256 = Digest::of(b"bytes");
    shop.attach(shop.alice, object, "a.bin", b"bytes").await.unwrap();
    let file = |bytes: u64, sha256| {
        let file = serde_json::json!({
            "name": "b.bin", "media_type": "application/octet-stream", "bytes": bytes, "sha256": sha256,
        });
        let patch = serde_json::json!({"files": [file]}).as_object().unwrap().clone();
        AmendObject { object, patch, expect: None }
    };
    let alice = Actor::User(shop.alice);
    for bad in [file(5, Digest::of(b"other")), file(6, sha256)] {
        assert_eq!(
            refusal(shop.market.execute(alice, None, &bad).await.unwrap_err()).code(),
            "invalid_request"
        );
    }
    // But it may call a file something else.
    shop.market.execute(alice, None, &file(5, sha256)).await.unwrap();
    assert_eq!(shop.read(alice, object, None, "b.bin").await.unwrap(), b"bytes");
}

#[tokio::test]
async fn the_same_request_sent_again_with_its_bytes_has_one_effect_and_one_answer() {
    let shop = Shop::new().await;
    let object = shop.object(shop.alice).await;
    let key = "once".parse().unwrap();
    let send = |bytes: &'static [u8]| {
        shop.attach_as(shop.alice, object, "a.bin", MediaType::OctetStream, bytes, Some(&key))
    };
    let first = send(b"bytes").await.unwrap();
    assert_eq!(send(b"bytes").await.unwrap(), first);
    assert_eq!(refusal(send(b"others").await.unwrap_err()), Refusal::KeyReused);
    assert_eq!(shop.kept().await, [1, 1, 1, 0]);
}

#[tokio::test]
async fn a_server_that_stops_anywhere_leaves_no_half_file_and_nothing_that_is_not_swept() {
    let file = bytes(5, 17);
    let faults = [Fault::LostBefore, Fault::LostAfter, Fault::SilentBefore, Fault::SilentAfter];
    let mut reached = 0;
    for at in 1.. {
        let mut met = false;
        for fault in faults {
            let faulty = Arc::new(FaultyStore::new(Arc::new(MemoryStore::new())));
            let shop = Shop::over(faulty.clone()).await;
            let (alice, object) = (Actor::User(shop.alice), shop.object(shop.alice).await);
            // The server is gone after it.
            faulty.arm(Plan::at(at, fault).of(Call::Commit).then(Fault::Fails(FailsAs::Unavailable)));
            // A call that is never answered: the process is killed.
            let killed = async {
                while !faulty.is_silent() {
                    tokio::task::yield_now().await;
                }
            };
            let done = tokio::select! {
                biased;
                done = async {
                    let bytes = shop.attach_as(shop.alice, object, "a.bin", MediaType::OctetStream, &file, None).await;
                    bytes.is_ok()
                } => done,
                () = killed => false,
            };
            met |= faulty.met() > 0;
            faulty.disarm();
            assert!(!done || shop.kept().await[0] == 1);

            let view = shop.market.object(alice, object).await.unwrap();
            match view.content.files.as_slice() {
                [] => assert_eq!(
                    refusal(shop.read(alice, object, None, "a.bin").await.unwrap_err()).code(),
                    "not_found"
                ),
                _ => assert_eq!(shop.read(alice, object, None, "a.bin").await.unwrap(), file),
            }
            shop.clock.advance(Duration::from_secs(3_601));
            shop.market.sweep_files().await.unwrap();
            let whole = if view.content.files.is_empty() { [0; 4] } else { [1, 1, 18, 0] };
            assert_eq!(shop.kept().await, whole, "{fault:?} at {at}");

            // And it can be sent again.
            shop.attach(shop.alice, object, "a.bin", &file).await.unwrap();
            assert_eq!(shop.read(alice, object, None, "a.bin").await.unwrap(), file);
            assert_eq!(shop.kept().await, [1, 1, 18, 0]);
        }
        if !met {
            break;
        }
        reached = at;
    }
    assert!(reached >= 4, "three commits of chunks and one of the command");
}

#[tokio::test]
async fn a_sweep_that_stops_anywhere_is_finished_by_the_next_one() {
    for at in 1..=5 {
        for fault in [Fault::LostBefore, Fault::LostAfter] {
            let faulty = Arc::new(FaultyStore::new(Arc::new(MemoryStore::new())));
            let shop = Shop::over(faulty.clone()).await;
            let object = shop.object(shop.alice).await;
            shop.send(shop.alice, object, MediaType::OctetStream, &bytes(6, 17)).await.unwrap();
            shop.clock.advance(Duration::from_secs(3_601));
            faulty.arm(Plan::at(at, fault).of(Call::Commit));
            let swept = shop.market.sweep_files().await;
            assert_eq!(swept.is_err(), faulty.met() > 0);
            faulty.disarm();
            shop.market.sweep_files().await.unwrap();
            assert_eq!(shop.kept().await, [0; 4], "{fault:?} at {at}");
        }
    }
}

#[tokio::test]
async fn an_upload_that_was_given_up_takes_no_more_bytes() {
    let shop = Shop::new().await;
    let object = shop.object(shop.alice).await;
    let alice = Actor::User(shop.alice);
    let mut writer = shop.market.write_file(alice, object, MediaType::OctetStream, None).await.unwrap();
    writer.write(&bytes(7, 9)).await.unwrap();
    shop.clock.advance(Duration::from_secs(3_601));
    assert_eq!(shop.market.sweep_files().await.unwrap(), 1);
    assert!(matches!(writer.write(&bytes(7, 9)).await, Err(MarketError::Conflict)));
    assert_eq!(shop.kept().await, [0; 4]);
}

#[tokio::test]
async fn bytes_that_were_changed_in_the_store_are_not_given_out_as_the_file() {
    let shop = Shop::new().await;
    let (alice, object) = (Actor::User(shop.alice), shop.object(shop.alice).await);
    shop.attach(shop.alice, object, "a.bin", &bytes(8, 2)).await.unwrap();
    let store = shop.market.store();
    store.prepare(&schema(&[]).unwrap()).await.unwrap();
    let (chunks, _) = store.list::<FileChunk>(&Scan::ids(FileChunk::collection())).await.unwrap();
    let mut chunk = chunks.into_iter().next().unwrap();
    chunk.bytes[0] ^= 1;
    let key = FileChunk::key(&chunk.id()).unwrap();
    let Some(Cell::Record { version, .. }) = store.read(&[key]).await.unwrap().pop().unwrap() else {
        panic!()
    };
    let op = Op::Replace { expect: version, with: chunk.draft().unwrap() };
    store.commit(&i3_core::store::Batch::of(vec![op]).unwrap()).await.unwrap();
    match shop.read(alice, object, None, "a.bin").await {
        Err(MarketError::Store(error)) => assert_eq!(error.kind(), StoreErrorKind::Corrupt),
        other => panic!("{other:?}"),
    }
}

/// A store in which a file is purged and swept just when its bytes are to be read.
#[derive(Debug, Default)]
struct Purging {
    inner: MemoryStore,
    now: AtomicBool,
}

#[async_trait]
impl Otherwise for Purging {
    fn inner(&self) -> &MemoryStore {
        &self.inner
    }

    async fn read(&self, keys: &[Key]) -> Result<Vec<Option<Cell>>, StoreError> {
        let is_chunk = keys.iter().any(|key| key.collection().name == FileChunk::collection().name);
        if is_chunk && self.now.swap(false, Ordering::Relaxed) {
            for collection in [StoredFile::collection(), FileChunk::collection()] {
                for row in self.inner.scan(&Scan::ids(collection)).await?.rows {
                    let Row::Record { key, version, .. } = row else { continue };
                    let removal = Batch::of(vec![Op::Remove { key, expect: version }]).unwrap();
                    self.inner.commit(&removal).await.unwrap();
                }
            }
        }
        self.inner.read(keys).await
    }
}

#[tokio::test]
async fn a_file_that_is_purged_before_its_first_byte_is_gone_and_not_broken() {
    let store = Arc::new(Wrapped(Purging::default()));
    let shop = Shop::over(store.clone()).await;
    let object = shop.object(shop.alice).await;
    shop.attach(shop.alice, object, "a.bin", b"bytes").await.unwrap();
    shop.read(Actor::User(shop.alice), object, None, "a.bin").await.unwrap();
    store.now.store(true, Ordering::Relaxed);
    let gone = shop.read(Actor::User(shop.alice), object, None, "a.bin").await.unwrap_err();
    assert_eq!(refusal(gone), Refusal::FileGone);
}

#[tokio::test]
async fn the_longest_chunk_fits_into_every_store() {
    let chunk = FileChunk {
        upload: i3_core::id::TypedId::from_bits(u128::MAX >> 2),
        number: u32::MAX,
        bytes: vec![0xff; FileChunk::BYTES],
    };
    let draft = chunk.draft().unwrap();
    let key = FileChunk::key(&chunk.id()).unwrap();
    assert_eq!(FileChunk::from_body(&key, draft.body()).unwrap(), chunk);
}
