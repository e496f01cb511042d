//! How long a decision about access takes: by the policy alone, and with what it needs read from each store.

use std::collections::BTreeSet;
use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;

use criterion::Criterion;
use i3_auth::RolePolicy;
use i3_benches::exit;
use i3_benches::shop::{Shop, ShopError};
use i3_core::access::{Action, Actor, HubRole, Policy as _, Resource, Role, Subject};
use i3_core::gate::Directory as _;
use i3_core::id::{GrantId, TypedId, UserId};
use i3_core::store::{DynStore, MemoryStore};
use i3_store_sled::SledStore;
use i3_store_sql::{SqliteOptions, SqliteStore};
use tokio::runtime::Runtime;

fn main() -> ExitCode {
    let mut criterion = Criterion::default().configure_from_args();
    policy(&mut criterion);
    let outcome = stores(&mut criterion);
    criterion.final_summary();
    exit(outcome)
}

/// The default policy on data in hand.
fn policy(criterion: &mut Criterion) {
    let user = UserId::from_bits(1);
    let roles = BTreeSet::from([Role::Consumer, Role::Provider]);
    let subject = Subject { actor: Actor::User(user), roles, active: true };
    let cases = [
        ("purchase for oneself", Action::Purchase, Resource::of_user(user)),
        ("purchase for another", Action::Purchase, Resource::of_user(UserId::from_bits(2))),
        ("device of one's hub", Action::ManageDevices, Resource::of_hub(Some(HubRole::Manager))),
        ("device of another hub", Action::ManageDevices, Resource::of_hub(None)),
    ];
    let mut group = criterion.benchmark_group("policy");
    for (name, action, resource) in cases {
        group.bench_function(name, |bencher| {
            bencher.iter(|| RolePolicy.decide(black_box(&subject), black_box(action), black_box(&resource)));
        });
    }
    group.finish();
}

/// What a command and a gate ask, with what must be read for it.
fn stores(criterion: &mut Criterion) -> Result<(), ShopError> {
    let runtime = Runtime::new()?;
    // On the disk that the build is on: the system's temporary directory is often in memory.
    let scratch = tempfile::Builder::new().prefix("access").tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let sqlite = SqliteStore::open(scratch.path().join("shop.sqlite"), SqliteOptions::default());
    let stores: [(&str, DynStore); 3] = [
        ("memory", Arc::new(MemoryStore::new())),
        ("SQLite", Arc::new(runtime.block_on(sqlite)?)),
        ("sled", Arc::new(SledStore::open(scratch.path().join("shop.sled"))?)),
    ];
    for (name, store) in stores {
        let shop = runtime.block_on(Shop::open(store, 1))?;
        let order = runtime.block_on(shop.buy(0, "access"))?;
        let market = shop.market();
        let mut group = criterion.benchmark_group(name);

        let (actor, resource) = (Actor::User(order.buyer), Resource::of_user(order.buyer));
        runtime.block_on(market.authorize(actor, Action::ViewOrder, &resource))?;
        group.bench_function("authorize a user", |bencher| {
            bencher.to_async(&runtime).iter(|| market.authorize(actor, Action::ViewOrder, &resource));
        });

        let grant = GrantId::of(order.id);
        let open = runtime.block_on(market.grant(grant))?.is_some_and(|grant| grant.open);
        let rights =
            runtime.block_on(market.publish_rights(shop.device().id))?.map_or(0, |rights| rights.len());
        if !open || rights != 1 {
            return Err("the shop gives no access".into());
        }
        group.bench_function("look up a grant", |bencher| {
            bencher.to_async(&runtime).iter(|| market.grant(grant));
        });
        group.bench_function("look up a device's rights", |bencher| {
            bencher.to_async(&runtime).iter(|| market.publish_rights(shop.device().id));
        });
        group.finish();
    }
    Ok(())
}
