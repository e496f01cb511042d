//! Many buyers at once.

use std::collections::{BTreeMap, BTreeSet};

use super::random::opening;
use super::world::World;
use crate::access::Actor;
use crate::id::{OrderId, UserId};
use crate::ledger::Holder;
use crate::market::{
    IdempotencyKey, MarketError, Marketplace, OrderFilter, PageRequest, Purchase, Refusal, TimeOrder, TopUp,
};
use crate::money::{Amount, Currency};
use crate::store::DynStore;
use crate::testkit::{Checked, Run, Stop, ensure, ensure_eq, join_all};

const CALLERS: usize = 12;
const ROUNDS: usize = 6;
/// Keys that the callers of one buyer share.
const KEYS: usize = 9;
/// How often a caller tries again who was told that too many others change the same.
const PATIENCE: usize = 50;

/// Orders with their buyers and the numbers of their keys.
type Orders = Vec<(UserId, usize, OrderId)>;

/// Two buyers, each through several callers who share the buyer's few idempotency keys, buy until the money is
/// gone, while it is topped up under a shared key. The callers share the handles over one empty store.
///
/// There must be one order for each key however often it was sent, each answer must name it, no more may be
/// spent than there was, and the books must balance.
pub async fn rush(handles: &[DynStore]) -> Checked {
    let Some(store) = handles.first() else { return Err(Stop::broken("there is no store")) };
    let mut world = World::open(store.clone(), false, None).await?;
    let opening = opening();
    for step in 0..opening.len() {
        world.step(&opening, step).await?;
    }
    let mut markets = vec![world.market()?.clone()];
    for store in handles.iter().skip(1) {
        markets.push(world.another(store.clone()).await?);
    }
    let (buyers, offers) = (world.known.users.get(1..3), world.known.offers.get(1));
    let (Some([first, second]), Some((offer, _))) = (buyers, offers) else {
        return Err(Stop::broken("the opening has other users and offers"));
    };
    let buy = Purchase { offer: *offer };
    let before: BTreeSet<OrderId> = world.known.orders.iter().map(|(order, ..)| *order).collect();

    let caller = |(number, market)| -> Run<'_, Result<Orders, Stop>> {
        let buyer: UserId = if number % 2 == 0 { *first } else { *second };
        let buy = &buy;
        Box::pin(async move {
            let mut orders = Vec::new();
            for round in 0..ROUNDS {
                let key = (number + round * 5) % KEYS;
                if let Some(order) = purchase(market, buyer, key, buy).await? {
                    orders.push((buyer, key, order));
                }
                if round == ROUNDS / 2 {
                    top_up(market, buyer).await?;
                }
            }
            Ok(orders)
        })
    };
    let callers: Vec<_> = (0..CALLERS).zip(markets.iter().cycle()).map(caller).collect();
    let mut ordered: BTreeMap<(UserId, usize), OrderId> = BTreeMap::new();
    for orders in join_all(callers).await {
        for (buyer, key, order) in orders? {
            let first = *ordered.entry((buyer, key)).or_insert(order);
            ensure!(first == order, "key {key} of {buyer} stands for {first} and for {order}");
        }
    }

    for market in &markets {
        let mut found = BTreeSet::new();
        for buyer in [*first, *second] {
            let page = PageRequest { after: None, limit: 1_000 };
            let orders = market
                .orders(Actor::System, buyer, &OrderFilter::default(), TimeOrder::Newest, &page)
                .await?
                .items;
            found.extend(orders.iter().map(|order| order.id).filter(|order| !before.contains(order)));
            for balance in market.balances(Actor::System, Holder::Available(buyer)).await? {
                ensure!(balance.amount >= Amount::ZERO, "{buyer} has {:?}", balance.amount);
            }
        }
        ensure_eq!(found, ordered.values().copied().collect::<BTreeSet<_>>());
        let report = market.reconcile(Actor::System).await?;
        ensure!(report.differences.is_empty(), "the books do not balance: {:?}", report.differences);
    }
    // 700 and 150 at first, less 120 for the first one's order, then 500 more each, at 120 apiece.
    let of = |buyer: UserId| ordered.keys().filter(|(who, _)| *who == buyer).count();
    ensure!(of(*first) <= 9 && of(*second) <= 5, "{} and {} orders", of(*first), of(*second));
    ensure!(of(*first) >= 4 && of(*second) >= 1, "{} and {} orders", of(*first), of(*second));
    Ok(())
}

/// Buys under one of the buyer's keys; `None` if there is no money for it.
async fn purchase(
    market: &Marketplace,
    buyer: UserId,
    key: usize,
    buy: &Purchase,
) -> Result<Option<OrderId>, Stop> {
    let key: IdempotencyKey = format!("rush-{key}").parse()?;
    for _ in 0..PATIENCE {
        match market.execute(Actor::User(buyer), Some(&key), buy).await {
            Ok(order) => return Ok(Some(order.id)),
            Err(MarketError::Refused(Refusal::InsufficientFunds)) => return Ok(None),
            Err(MarketError::Conflict) => {}
            Err(other) => return Err(other.into()),
        }
    }
    Err(Stop::broken("a purchase was overtaken again and again"))
}

async fn top_up(market: &Marketplace, user: UserId) -> Checked {
    let (amount, key) = (Amount::new(500)?, format!("top-up-of-{user}").parse()?);
    let top_up = TopUp { user, amount, currency: Currency::EUR, reference: "rush".to_owned() };
    for _ in 0..PATIENCE {
        match market.execute(Actor::System, Some(&key), &top_up).await {
            Ok(()) => return Ok(()),
            Err(MarketError::Conflict) => {}
            Err(other) => return Err(other.into()),
        }
    }
    Err(Stop::broken("a payment was overtaken again and again"))
}
