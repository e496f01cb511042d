//! Lists: parts of them, in both orders, page by page.

use std::time::Duration;

use i3_core::access::{Actor, HubRole};
use i3_core::device::DeviceState;
use i3_core::id::{OrderId, UserId};
use i3_core::ledger::{Account, Holder};
use i3_core::market::{
    CancelOrder, CatalogueFilter, ClientFilter, CreateProduct, Invite, MoveProduct, NewCredential,
    NoticeFilter, OrderFilter, PageRequest, Paged, Period, PublishOffer, Purchase, RegisterClient,
    RegisterDevice, RegisterHub, SetClientState, SetDeviceState, SetMember, SetRoles, SuspendUser, TimeOrder,
    UserFilter, WithdrawInvitation, WithdrawOffer,
};
use i3_core::money::Currency;
use i3_core::notice::Recipient;
use i3_core::oauth::{ClientKind, ClientState};
use i3_core::offer::{OfferState, Plan};
use i3_core::order::{Order, OrderState};
use i3_core::product::ProductState;
use i3_core::role::RoleName;
use i3_core::secret::SecretHash;
use i3_core::user::{User, UserState};

use super::fixture::{Fixture, user};

const EVERY_PAGE: [usize; 5] = [1, 2, 3, 7, 200];

/// All pages of a list, each asked for as a caller would with the text of the cursor, and how many they were.
macro_rules! walk {
    ($limit:expr, $page:ident => $list:expr) => {{
        let mut request = PageRequest { after: None, limit: $limit };
        let (mut items, mut pages) = (Vec::new(), 0);
        loop {
            let $page = &request;
            let Paged { items: found, next } = $list.await.unwrap();
            assert!(found.len() <= $limit, "a page has {} items", found.len());
            items.extend(found);
            pages += 1;
            let Some(next) = next else { break (items, pages) };
            request.after = Some(next.to_string().parse().unwrap());
        }
    }};
}

/// Seven orders, a second between each two, every second one cancelled, every third of another product.
async fn orders(fixture: &Fixture) -> Vec<Order> {
    let sold = fixture.offer(Plan::Free { quota: None }).await;
    let other = CreateProduct {
        hub: fixture.hub.id,
        slug: "water".parse().unwrap(),
        title: "Water".parse().unwrap(),
        description: "Water on the roof".parse().unwrap(),
        tags: Vec::new(),
        devices: vec![fixture.device.id],
        stream: i3_core::stream::StreamDescription::default(),
    };
    let other = fixture.done(fixture.seller, &other).await.id;
    fixture.done(fixture.seller, &MoveProduct { product: other, to: ProductState::Listed }).await;
    let plan = Plan::Free { quota: None };
    let offer = PublishOffer { product: other, currency: Currency::EUR, plan, term_seconds: None };
    let other = fixture.done(fixture.seller, &offer).await.id;
    let mut orders = Vec::new();
    for number in 0..7 {
        fixture.clock.advance(Duration::from_secs(1));
        let offer = if number % 3 == 0 { other } else { sold };
        let mut order = fixture.done(fixture.buyer, &Purchase { offer }).await;
        if number % 2 == 0 {
            fixture.done(fixture.buyer, &CancelOrder { order: order.id }).await;
            order.state = OrderState::Cancelled;
        }
        orders.push(order);
    }
    orders
}

fn ids<'a>(orders: impl IntoIterator<Item = &'a Order>) -> Vec<OrderId> {
    orders.into_iter().map(|order| order.id).collect()
}

#[tokio::test]
async fn orders_are_listed_by_state_product_and_time_in_both_orders_whatever_the_size_of_a_page() {
    let fixture = Fixture::new().await;
    let orders = orders(&fixture).await;
    let (market, actor) = (&fixture.market, Actor::User(fixture.buyer));
    let period = Period { since: Some(orders[1].placed), until: Some(orders[5].placed) };
    let states = [None, Some(OrderState::Active), Some(OrderState::Cancelled), Some(OrderState::Completed)];
    for state in states {
        for product in [None, Some(orders[0].product), Some(orders[1].product)] {
            for placed in [Period::default(), period] {
                let filter = OrderFilter { state, product, placed };
                let wanted = orders.iter().filter(|order| {
                    state.is_none_or(|state| order.state == state)
                        && product.is_none_or(|product| order.product == product)
                        && placed.since.is_none_or(|since| order.placed >= since)
                        && placed.until.is_none_or(|until| order.placed < until)
                });
                let oldest = ids(wanted);
                let newest: Vec<_> = oldest.iter().rev().copied().collect();
                for limit in EVERY_PAGE {
                    for (order, wanted) in [(TimeOrder::Oldest, &oldest), (TimeOrder::Newest, &newest)] {
                        let (bought, _) = walk!(limit, page =>
                            market.orders(actor, fixture.buyer, &filter, order, page));
                        assert_eq!(ids(&bought), *wanted, "{filter:?} {order:?} {limit}");
                        let (sold, _) = walk!(limit, page =>
                            market.sales(Actor::User(fixture.seller), fixture.hub.id, &filter, order, page));
                        assert_eq!(ids(&sold), *wanted, "{filter:?} {order:?} {limit}");
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn a_page_that_ends_with_the_last_that_fits_says_that_there_is_no_more() {
    let fixture = Fixture::new().await;
    let orders = orders(&fixture).await;
    let filter = OrderFilter { state: Some(OrderState::Active), ..OrderFilter::default() };
    // The first and the last order are cancelled: what follows the third active one does not fit.
    let (_, pages) = walk!(3, page =>
        fixture.market.orders(Actor::System, fixture.buyer, &filter, TimeOrder::Oldest, page));
    assert_eq!((orders.len(), pages), (7, 1));
}

async fn crowd(fixture: &Fixture, size: usize) -> Vec<UserId> {
    let mut users = vec![fixture.seller, fixture.buyer];
    for number in 0..size {
        fixture.clock.advance(Duration::from_millis(1));
        users.push(user(&fixture.market, &format!("guest-{number}"), RoleName::CONSUMER).await);
    }
    users
}

#[tokio::test]
async fn a_page_looks_at_so_many_users_and_no_more_however_few_of_them_fit() {
    let fixture = Fixture::new().await;
    let users = crowd(&fixture, 1_100).await;
    let last = *users.last().unwrap();
    fixture.market.execute(Actor::System, None, &SuspendUser { user: last }).await.unwrap();
    let suspended = UserFilter { state: Some(UserState::Suspended), role: None };
    let first = PageRequest { after: None, limit: 10 };
    let found = fixture.market.users(Actor::System, &suspended, TimeOrder::Oldest, &first).await.unwrap();
    assert!(found.items.is_empty() && found.next.is_some(), "the one that fits is too far away");
    for limit in [1, 10, 200] {
        let (found, pages) =
            walk!(limit, page => fixture.market.users(Actor::System, &suspended, TimeOrder::Oldest, page));
        assert_eq!(found.iter().map(|user| user.id).collect::<Vec<_>>(), [last]);
        assert_eq!(pages, 3, "1,102 users are looked at, about 500 for each page");
    }
    let (newest, _) =
        walk!(1, page => fixture.market.users(Actor::System, &suspended, TimeOrder::Newest, page));
    assert_eq!(newest.len(), 1);
}

#[tokio::test]
async fn users_are_listed_by_role_and_state_in_the_order_of_their_registration() {
    let fixture = Fixture::new().await;
    let users = crowd(&fixture, 9).await;
    let roles = [RoleName::PROVIDER, RoleName::CONSUMER].into();
    fixture.market.execute(Actor::System, None, &SetRoles { user: users[4], roles }).await.unwrap();
    for user in [users[4], users[7]] {
        fixture.market.execute(Actor::System, None, &SuspendUser { user }).await.unwrap();
    }
    let found = async |filter: UserFilter, order| -> Vec<UserId> {
        let (found, _): (Vec<User>, _) =
            walk!(2, page => fixture.market.users(Actor::System, &filter, order, page));
        found.iter().map(|user| user.id).collect()
    };
    let provider = UserFilter { role: Some(RoleName::PROVIDER), state: None };
    assert_eq!(found(provider.clone(), TimeOrder::Newest).await, [users[4], users[0]]);
    let active = UserFilter { state: Some(UserState::Active), ..provider };
    assert_eq!(found(active, TimeOrder::Oldest).await, [users[0]]);
    let suspended = UserFilter { state: Some(UserState::Suspended), role: None };
    assert_eq!(found(suspended, TimeOrder::Oldest).await, [users[4], users[7]]);
    assert_eq!(found(UserFilter::default(), TimeOrder::Oldest).await, users);
}

#[tokio::test]
async fn products_and_offers_are_listed_by_state() {
    let fixture = Fixture::new().await;
    let (market, seller) = (&fixture.market, Actor::User(fixture.seller));
    let mut offers = Vec::new();
    for _ in 0..5 {
        fixture.clock.advance(Duration::from_secs(1));
        offers.push(fixture.offer(Plan::Free { quota: None }).await);
    }
    for offer in [offers[1], offers[2]] {
        fixture.done(fixture.seller, &WithdrawOffer { offer }).await;
    }
    for (state, wanted) in [
        (None, vec![0, 1, 2, 3, 4]),
        (Some(OfferState::Published), vec![0, 3, 4]),
        (Some(OfferState::Withdrawn), vec![1, 2]),
    ] {
        let (found, _) = walk!(2, page =>
            market.offers(Actor::Anonymous, fixture.product.id, state, TimeOrder::Oldest, page));
        let wanted: Vec<_> = wanted.into_iter().map(|number: usize| offers[number]).collect();
        assert_eq!(found.iter().map(|offer| offer.id).collect::<Vec<_>>(), wanted);
    }
    for (state, count) in [(None, 1), (Some(ProductState::Listed), 1), (Some(ProductState::Draft), 0)] {
        let page = PageRequest::default();
        let found = market.products(seller, fixture.hub.id, state, TimeOrder::Newest, &page).await.unwrap();
        assert_eq!(found.items.len(), count, "{state:?}");
    }
}

#[tokio::test]
async fn entries_of_a_time_are_listed_in_both_orders() {
    let fixture = Fixture::new().await;
    let mut times = Vec::new();
    for _ in 0..5 {
        fixture.clock.advance(Duration::from_secs(1));
        times.push(fixture.market.now());
        fixture.top_up(fixture.buyer, 100).await;
    }
    let account = Account { holder: Holder::Available(fixture.buyer), currency: Currency::EUR };
    let period = Period { since: Some(times[1]), until: Some(times[4]) };
    for (order, wanted) in [(TimeOrder::Oldest, [1, 2, 3]), (TimeOrder::Newest, [3, 2, 1])] {
        let (found, _) =
            walk!(2, page => fixture.market.entries(Actor::System, account, period, order, page));
        let wanted: Vec<_> = wanted.into_iter().map(|number: usize| times[number]).collect();
        assert_eq!(found.iter().map(|entry| entry.at).collect::<Vec<_>>(), wanted);
    }
}

#[tokio::test]
async fn members_and_devices_of_a_hub_are_listed_by_role_and_state() {
    let fixture = Fixture::new().await;
    let (market, seller, hub) = (&fixture.market, Actor::User(fixture.seller), fixture.hub.id);
    let mut devices = vec![fixture.device.id];
    for number in 0..4 {
        fixture.clock.advance(Duration::from_millis(1));
        let register = RegisterDevice {
            hub,
            name: format!("device-{number}").parse().unwrap(),
            title: "Device".parse().unwrap(),
            credential: NewCredential::Password { hash: SecretHash::new("hash") },
        };
        devices.push(fixture.done(fixture.seller, &register).await.id);
    }
    for device in [devices[1], devices[3]] {
        let state = DeviceState::Disabled;
        fixture.done(fixture.seller, &SetDeviceState { device, state }).await;
    }
    for (state, oldest) in [
        (None, vec![0, 1, 2, 3, 4]),
        (Some(DeviceState::Active), vec![0, 2, 4]),
        (Some(DeviceState::Disabled), vec![1, 3]),
    ] {
        let mut wanted: Vec<_> = oldest.into_iter().map(|number: usize| devices[number]).collect();
        for order in [TimeOrder::Oldest, TimeOrder::Newest] {
            for limit in EVERY_PAGE {
                let (found, _) = walk!(limit, page => market.devices(seller, hub, state, order, page));
                assert_eq!(found.iter().map(|device| device.id).collect::<Vec<_>>(), wanted, "{order:?}");
            }
            wanted.reverse();
        }
    }

    let users = crowd(&fixture, 4).await;
    for (number, user) in users.iter().copied().enumerate().skip(2) {
        let role = if number % 2 == 0 { HubRole::Viewer } else { HubRole::Manager };
        fixture.done(fixture.seller, &SetMember { hub, user, role }).await;
    }
    for (role, wanted) in [
        (None, vec![0, 2, 3, 4, 5]),
        (Some(HubRole::Owner), vec![0]),
        (Some(HubRole::Manager), vec![3, 5]),
        (Some(HubRole::Viewer), vec![2, 4]),
    ] {
        let wanted: Vec<_> = wanted.into_iter().map(|number: usize| users[number]).collect();
        for limit in EVERY_PAGE {
            let (found, _) = walk!(limit, page => market.members(seller, hub, role, page));
            assert_eq!(found.iter().map(|member| member.user).collect::<Vec<_>>(), wanted, "{role:?}");
        }
    }
}

#[tokio::test]
async fn clients_and_invitations_are_listed_by_what_they_are_good_for() {
    let fixture = Fixture::new().await;
    let (market, owner) = (&fixture.market, Actor::User(fixture.buyer));
    let (mut clients, mut invitations) = (Vec::new(), Vec::new());
    for kind in [ClientKind::Public, ClientKind::Confidential, ClientKind::Public, ClientKind::Confidential] {
        fixture.clock.advance(Duration::from_millis(1));
        let register = RegisterClient {
            label: "Program".parse().unwrap(),
            kind,
            scopes: ["thing:view".parse().unwrap()].into(),
            redirect_uris: ["https://app.example/callback".parse().unwrap()].into(),
        };
        clients.push(fixture.done(fixture.buyer, &register).await.id);
    }
    for client in [clients[1], clients[2]] {
        let state = ClientState::Disabled;
        fixture.done(fixture.buyer, &SetClientState { client, state }).await;
    }
    let (disabled, public) = (Some(ClientState::Disabled), Some(ClientKind::Public));
    for (filter, wanted) in [
        (ClientFilter::default(), vec![0, 1, 2, 3]),
        (ClientFilter { state: disabled, kind: None }, vec![1, 2]),
        (ClientFilter { state: None, kind: public }, vec![0, 2]),
        (ClientFilter { state: disabled, kind: public }, vec![2]),
    ] {
        let mut wanted: Vec<_> = wanted.into_iter().map(|number: usize| clients[number]).collect();
        for order in [TimeOrder::Oldest, TimeOrder::Newest] {
            let (found, _) = walk!(1, page => market.clients(owner, fixture.buyer, &filter, order, page));
            assert_eq!(found.iter().map(|client| client.id).collect::<Vec<_>>(), wanted, "{filter:?}");
            wanted.reverse();
        }
    }

    for (number, lifetime_seconds) in [100, 1_000, 1_000].into_iter().enumerate() {
        fixture.clock.advance(Duration::from_millis(1));
        let label = format!("Guest {number}").parse().unwrap();
        let invite = Invite { label, roles: [].into(), uses: 1, lifetime_seconds };
        invitations.push(market.execute(Actor::System, None, &invite).await.unwrap().id);
    }
    let withdraw = WithdrawInvitation { invitation: invitations[2] };
    market.execute(Actor::System, None, &withdraw).await.unwrap();
    let mut good = vec![vec![0, 1], vec![1]];
    for seconds in [0, 500] {
        fixture.clock.advance(Duration::from_secs(seconds));
        let good: Vec<usize> = good.remove(0);
        let bad = (0..3).filter(|number| !good.contains(number)).collect::<Vec<_>>();
        for (wanted, which) in [(vec![0, 1, 2], None), (good, Some(true)), (bad, Some(false))] {
            let mut wanted: Vec<_> = wanted.into_iter().map(|number| invitations[number]).collect();
            for order in [TimeOrder::Oldest, TimeOrder::Newest] {
                let (found, _) = walk!(1, page => market.invitations(Actor::System, which, order, page));
                let found: Vec<_> = found.iter().map(|invitation| invitation.id).collect();
                assert_eq!(found, wanted, "{which:?} {order:?}");
                wanted.reverse();
            }
        }
    }
}

#[tokio::test]
async fn the_catalogue_is_listed_by_hub_and_time_and_has_nothing_but_what_is_listed() {
    let fixture = Fixture::new().await;
    let market = &fixture.market;
    let hub = RegisterHub { slug: "other".parse().unwrap(), title: "Other".parse().unwrap() };
    let hub = fixture.done(fixture.seller, &hub).await.id;
    let register = RegisterDevice {
        hub,
        name: "cellar".parse().unwrap(),
        title: "Cellar".parse().unwrap(),
        credential: NewCredential::Password { hash: SecretHash::new("hash") },
    };
    let device = fixture.done(fixture.seller, &register).await.id;
    let mut products = vec![fixture.product.clone()];
    for number in 1..7 {
        fixture.clock.advance(Duration::from_secs(1));
        // Every second one of the other hub; the fourth stays a draft.
        let (hub, device) = if number % 2 == 0 { (fixture.hub.id, fixture.device.id) } else { (hub, device) };
        let create = CreateProduct {
            hub,
            slug: format!("product-{number}").parse().unwrap(),
            title: "Product".parse().unwrap(),
            description: "".parse().unwrap(),
            tags: Vec::new(),
            devices: vec![device],
            stream: i3_core::stream::StreamDescription::default(),
        };
        let product = fixture.done(fixture.seller, &create).await;
        if number != 4 {
            let listed = MoveProduct { product: product.id, to: ProductState::Listed };
            fixture.done(fixture.seller, &listed).await;
        }
        products.push(product);
    }
    let period = Period { since: Some(products[2].created), until: Some(products[6].created) };
    for (filter, wanted) in [
        (CatalogueFilter::default(), vec![0, 1, 2, 3, 5, 6]),
        (CatalogueFilter { hub: Some(hub), created: Period::default() }, vec![1, 3, 5]),
        (CatalogueFilter { hub: Some(fixture.hub.id), created: Period::default() }, vec![0, 2, 6]),
        (CatalogueFilter { hub: None, created: period }, vec![2, 3, 5]),
        (CatalogueFilter { hub: Some(fixture.hub.id), created: period }, vec![2]),
    ] {
        let mut wanted: Vec<_> = wanted.into_iter().map(|number: usize| products[number].id).collect();
        for order in [TimeOrder::Oldest, TimeOrder::Newest] {
            for limit in EVERY_PAGE {
                let (found, _) = walk!(limit, page => market.catalogue(&filter, order, page));
                assert_eq!(
                    found.iter().map(|card| card.product.id).collect::<Vec<_>>(),
                    wanted,
                    "{filter:?}"
                );
            }
            wanted.reverse();
        }
    }
}

#[tokio::test]
async fn a_box_is_listed_by_what_was_read_and_by_time() {
    let fixture = Fixture::new().await;
    let (market, me, whose) = (&fixture.market, Actor::User(fixture.buyer), Recipient::User(fixture.buyer));
    let mut times = vec![market.now()];
    for _ in 0..4 {
        fixture.clock.advance(Duration::from_secs(1));
        times.push(market.now());
        fixture.top_up(fixture.buyer, 100).await;
    }
    market.post_notices().await.unwrap();
    let all = NoticeFilter::default();
    let (notices, _) = walk!(3, page => market.notices(me, whose, &all, TimeOrder::Oldest, page));
    assert_eq!(notices.iter().map(|notice| notice.at).collect::<Vec<_>>(), times);
    market.read_notices(me, whose, notices[1].position).await.unwrap();
    let at = Period { since: Some(times[1]), until: Some(times[3]) };
    for (filter, wanted) in [
        (NoticeFilter { read: Some(true), ..all }, vec![0, 1]),
        (NoticeFilter { read: Some(false), ..all }, vec![2, 3, 4]),
        (NoticeFilter { read: None, at }, vec![1, 2]),
        (NoticeFilter { read: Some(false), at }, vec![2]),
    ] {
        let mut wanted: Vec<_> = wanted.into_iter().map(|number: usize| times[number]).collect();
        for order in [TimeOrder::Oldest, TimeOrder::Newest] {
            let (found, _) = walk!(1, page => market.notices(me, whose, &filter, order, page));
            assert_eq!(found.iter().map(|notice| notice.at).collect::<Vec<_>>(), wanted, "{filter:?}");
            wanted.reverse();
        }
    }
}

#[tokio::test]
async fn a_cursor_of_another_list_is_refused() {
    let fixture = Fixture::new().await;
    crowd(&fixture, 3).await;
    let page = PageRequest { after: None, limit: 1 };
    let next = fixture
        .market
        .users(Actor::System, &UserFilter::default(), TimeOrder::Oldest, &page)
        .await
        .unwrap()
        .next;
    let page = PageRequest { after: next, limit: 1 };
    let wrong = fixture
        .market
        .orders(Actor::System, fixture.buyer, &OrderFilter::default(), TimeOrder::Newest, &page)
        .await;
    assert_eq!(wrong.unwrap_err().code(), "invalid_request");
}
