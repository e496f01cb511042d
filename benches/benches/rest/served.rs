//! What is asked: the marketplace's interface over SQLite, filled, and the framework by itself.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use i3_auth::failures::BudgetLimits;
use i3_benches::served::announce;
use i3_benches::shop::{Shop, ShopError};
use i3_benches::things::content;
use i3_core::access::Actor;
use i3_core::market::CreateObject;
use i3_marketplace::{AppState, Assembly, AssemblyConfig, FloodLimits, Knowledge, router};
use i3_semantic::sparql::PoolOptions;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// How many commands are under way while the store is filled.
const AT_ONCE: usize = 64;

/// The framework's own answer, served as the marketplace is.
pub(super) async fn hello() -> Result<(), ShopError> {
    serve(Router::new().route("/", get(async || "hello")), &[]).await
}

/// The interface over SQLite in this folder, with so many products and virtual objects.
pub(super) async fn marketplace(folder: &Path, number: usize) -> Result<(), ShopError> {
    // One client asks for all, as fast as it can: the limits are counted, but never reached.
    let limit =
        |limits: &mut BudgetLimits| (limits.burst, limits.refill) = (u32::MAX, Duration::from_nanos(1));
    let mut floods = FloodLimits::default();
    for limits in [&mut floods.requests, &mut floods.clients, &mut floods.registrations] {
        limit(limits);
    }
    let config = AssemblyConfig { floods, ..AssemblyConfig::in_folder(folder) };
    let store = config.store.open().await?;
    let shop = Shop::open(store.clone(), 1).await?;
    let assembly = Assembly::over(store, config).await?;
    let market = assembly.market();
    fill(&shop, number).await?;
    let buyer = shop.buyer(0)?;
    let (_, token) = assembly.access().tokens.issue(buyer, "bench".parse()?, Duration::from_hours(1)).await?;
    let knowledge = Knowledge::open(market.clone(), std::env::current_exe()?, PoolOptions::default()).await?;
    let app = router(AppState::from(&assembly).with_knowledge(knowledge));
    serve(app, &[token.expose().to_owned()]).await
}

async fn fill(shop: &Shop, number: usize) -> Result<(), ShopError> {
    let mut under_way = JoinSet::new();
    for number in 0..number {
        if under_way.len() >= AT_ONCE
            && let Some(done) = under_way.join_next().await
        {
            done??;
        }
        let shop = shop.clone();
        under_way.spawn(async move {
            shop.list_another(number).await?;
            let content = content(number.try_into()?).ok_or("an object of the bench is refused")?;
            let create = CreateObject { content, hub: None, submit: true };
            shop.market().execute(Actor::User(shop.seller()), None, &create).await?;
            Ok::<_, ShopError>(())
        });
    }
    while let Some(done) = under_way.join_next().await {
        done??;
    }
    Ok(())
}

async fn serve(app: Router, names: &[String]) -> Result<(), ShopError> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await });
    let names = names.to_vec();
    tokio::task::spawn_blocking(move || announce(address, &names)).await??;
    Ok(())
}
