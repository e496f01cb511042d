//! Files of objects when the whole store moves: copied, exported and imported, stopped in the middle.

use i3_core::market::contents;
use i3_core::portable::{Contents, PortError, copy, export, import, verify};

use super::*;
use crate::moves::{Failing, digest_of};

fn all() -> Contents {
    contents(&[]).unwrap()
}

/// Alice's object and Bob's, which have one file in common; Alice's has another of an earlier version, and bytes
/// are on their way that nobody attached.
struct Filled {
    shop: Shop,
    store: MemoryStore,
    alices: VirtualObjectId,
    bobs: VirtualObjectId,
    common: Vec<u8>,
    earlier: Vec<u8>,
}

impl Filled {
    async fn new() -> Self {
        let store = MemoryStore::new();
        let shop = Shop::over(Arc::new(store.clone())).await;
        let (alices, bobs) = (shop.object(shop.alice).await, shop.object(shop.bob).await);
        let (common, earlier) = (bytes(7, 17), bytes(8, 2));
        shop.attach(shop.alice, alices, "guide.bin", &earlier).await.unwrap();
        shop.attach(shop.alice, alices, "guide.bin", &common).await.unwrap();
        shop.attach(shop.bob, bobs, "copy.bin", &common).await.unwrap();
        shop.send(shop.bob, bobs, MediaType::OctetStream, &bytes(9, 1)).await.unwrap();
        let this = Self { shop, store, alices, bobs, common, earlier };
        assert_eq!(this.shop.kept().await, [2, 3, 18 + 3 + 2, 1]);
        this
    }

    /// The marketplace goes on over this store, with all files, and lets go of each when nobody has it any more.
    async fn goes_on_over(&self, store: MemoryStore) {
        assert_eq!(verify(&store, &all(), &()).await.unwrap().faults, vec![]);
        let clock = self.shop.clock.clone();
        let market = opened(Arc::new(store), clock.clone()).await;
        let moved = Shop { market, clock, alice: self.shop.alice, bob: self.shop.bob };
        let (alice, bob) = (Actor::User(moved.alice), Actor::User(moved.bob));
        assert_eq!(moved.kept().await, self.shop.kept().await);
        assert_eq!(moved.read(alice, self.alices, None, "guide.bin").await.unwrap(), self.common);
        assert_eq!(moved.read(alice, self.alices, Some(2), "guide.bin").await.unwrap(), self.earlier);
        assert_eq!(moved.read(bob, self.bobs, None, "copy.bin").await.unwrap(), self.common);

        moved.go(moved.alice, self.alices, ObjectState::Removed).await;
        moved.clock.advance(Duration::from_secs(3_601));
        moved.market.sweep_files().await.unwrap();
        assert_eq!(moved.kept().await, [1, 1, 18, 0], "the other object has what both had");
        assert_eq!(moved.read(bob, self.bobs, None, "copy.bin").await.unwrap(), self.common);
        moved.go(moved.bob, self.bobs, ObjectState::Removed).await;
        moved.market.sweep_files().await.unwrap();
        assert_eq!(moved.kept().await, [0; 4]);
    }
}

async fn is_unfinished(store: &MemoryStore) -> bool {
    let opened = Marketplace::open(Arc::new(store.clone()), Arc::new(Roles), &[]).await;
    opened.is_err_and(|error| error.kind() == StoreErrorKind::Unfinished)
}

#[tokio::test]
async fn a_copy_that_stops_at_any_commit_is_refused_and_the_next_has_every_file() {
    let filled = Filled::new().await;
    let wanted = digest_of(&filled.store).await;
    for stopped in 0.. {
        let target = MemoryStore::new();
        if copy(&filled.store, &Failing::after(&target, stopped), &all(), &()).await.is_ok() {
            assert!(stopped > 2, "only {stopped} commits");
            break;
        }
        assert_eq!(is_unfinished(&target).await, stopped > 0, "after {stopped} commits");
        let copied = copy(&filled.store, &target, &all(), &()).await.unwrap();
        assert_eq!((copied.digest, copied.resumed), (wanted.clone(), stopped > 0));
        filled.goes_on_over(target).await;
    }
}

#[tokio::test]
async fn an_import_has_every_file_and_a_part_of_one_none() {
    let filled = Filled::new().await;
    let mut lines = Vec::new();
    export(&filled.store, &all(), &mut lines, &()).await.unwrap();
    let target = MemoryStore::new();
    import(&target, &all(), &mut &lines[..], &()).await.unwrap();
    let wanted = digest_of(&filled.store).await;
    assert_eq!(digest_of(&target).await.total(), wanted.without_secrets());
    filled.goes_on_over(target).await;

    // Cut within the bytes of a file, and with one of them changed.
    let chunk = format!("{{\"in\":\"{}\"", FileChunk::collection().name);
    let within = String::from_utf8_lossy(&lines).find(&chunk).unwrap() + 20_000;
    let mut changed = lines.clone();
    changed[within] = if changed[within] == b'A' { b'B' } else { b'A' };
    for (mut broken, cut) in [(&lines[..within], true), (&changed[..], false)] {
        let target = MemoryStore::new();
        let stopped = import(&target, &all(), &mut broken, &()).await.unwrap_err();
        assert_eq!(matches!(stopped, PortError::Truncated { .. }), cut, "{stopped}");
        assert!(is_unfinished(&target).await, "{stopped}");
    }
}
