//! Every operation that the interface declares is carried out through the client.

use std::collections::BTreeSet;
use std::time::Duration;

use i3_client::{
    CatalogueQuery, ClientDescription, ClientPatch, ClientQuery, ClientRegistration, CredentialAddition,
    DenialQuery, DevicePatch, DeviceQuery, DeviceRegistration, Edit, EntryQuery, Forgotten, HubPatch,
    HubRegistration, InvitationQuery, LedgerHolder, MemberQuery, NewCredential, NewInvitation, NewRole,
    NewVirtualObject, NoticeQuery, ObjectQuery, ObjectSort, OfferPublication, OfferQuery, OntologyStatements,
    Opinion, OrderQuery, Payment, ProductCreation, ProductPatch, ProductQuery, ProductTexts, RatingQuery,
    RoleDescription, SamplePatch, SignIn, StreamChange, StreamPatch, Thing, UserDescription, UserPatch,
    UserQuery, UserRegistration,
};
use i3_core::access::HubRole;
use i3_core::analytics::Interaction;
use i3_core::device::DeviceState;
use i3_core::gate::Metering as _;
use i3_core::hub::HubState;
use i3_core::id::{GrantId, OrderId, ProductId, ResetId, UserId, VirtualObjectId};
use i3_core::ledger::Entry;
use i3_core::market::{Registration, TimeOrder, WhichVersion};
use i3_core::money::{Amount, Currency};
use i3_core::oauth::{ClientKind, ClientState};
use i3_core::offer::{OfferState, Plan};
use i3_core::order::{Order, OrderState};
use i3_core::outbox::Event;
use i3_core::product::ProductState;
use i3_core::role::RoleName;
use i3_core::store::Digest;
use i3_core::stream::SampleTerms;
use i3_core::user::{Profile, UserState};
use i3_core::virtual_object::{Content, FileName, MediaType, ObjectState};
use i3_marketplace::operations;
use serde_json::json;

use crate::support::{House, PASSWORD, password, sign_in, used};

/// For clients of RDF and of the Web of Things.
pub(crate) const WITHOUT_METHOD: [&str; 7] = [
    "describe_virtual_object",
    "list_virtual_object_blocks",
    "model_virtual_object",
    "show_catalogue",
    "show_ontology",
    "sparql",
    "sparql_by_post",
];

#[tokio::test]
async fn the_client_carries_out_every_operation_that_the_interface_declares() {
    let house = House::open(Registration::Approval).await;
    let asked = house.client.ask_challenge().await.unwrap();
    assert_eq!(asked.maxnumber, 50);
    let (seller, seller_id) = house.register("seller", RoleName::PROVIDER).await;
    let (buyer, buyer_id) = house.register("buyer", RoleName::CONSUMER).await;
    house.admin.approve_user(seller_id).await.unwrap();
    house.admin.approve_user(buyer_id).await.unwrap();

    people(&house, buyer_id).await;
    logins(&house).await;
    programs(&seller).await;
    trade(&house, &seller, &buyer, buyer_id).await;
    objects(&house, &seller).await;
    roles(&house).await;
    ontology(&house).await;
    boxes(&house, &seller).await;
    books(&house, &buyer, buyer_id).await;

    let done = house.done.lock().unwrap().clone();
    let missing: BTreeSet<&str> = operations()
        .iter()
        .filter(|operation| !WITHOUT_METHOD.contains(&operation.id))
        .filter(|operation| !done.contains(&(operation.method.clone(), format!("/api/v1{}", operation.path))))
        .map(|operation| operation.id)
        .collect();
    assert!(missing.is_empty(), "no method of the client did this here: {missing:?}");
}

async fn people(house: &House, buyer: UserId) {
    let (guest, guest_id) = house.register("guest", RoleName::CONSUMER).await;
    assert_eq!(guest.show_me().await.unwrap().state, UserState::Pending);
    assert_eq!(house.admin.reject_user(guest_id).await.unwrap().state, UserState::Rejected);
    let description = UserDescription {
        display: "A buyer".parse().unwrap(),
        domain: Some("smart-home".parse().unwrap()),
        time_zone: Some("Asia/Seoul".parse().unwrap()),
        unobserved: true,
        few_mails: false,
    };
    let described = house.admin.describe_user(buyer, &description).await.unwrap();
    assert_eq!((described.display.as_str(), described.profile.unobserved), ("A buyer", true));
    let patch = UserPatch { time_zone: Edit::Remove, few_mails: Some(true), ..UserPatch::default() };
    let edited = house.admin.edit_user(buyer, &patch).await.unwrap();
    let profile = Profile { time_zone: None, few_mails: true, ..described.profile.clone() };
    assert_eq!((edited.display.as_str(), &edited.profile), ("A buyer", &profile));
    assert_eq!(house.admin.suspend_user(buyer).await.unwrap().state, UserState::Suspended);
    assert_eq!(house.admin.reinstate_user(buyer).await.unwrap().state, UserState::Active);
    let roles = BTreeSet::from([RoleName::CONSUMER]);
    assert_eq!(house.admin.set_roles(buyer, &roles).await.unwrap().roles, roles);
    assert_eq!(house.admin.show_user(buyer).await.unwrap().name.as_str(), "buyer");
    let users = house.admin.list_users(&UserQuery::default()).all().await.unwrap();
    assert_eq!(users.len(), 4);
    assert!(users.is_sorted_by_key(|user| user.registered));
    let query = UserQuery {
        state: Some(UserState::Active),
        role: Some(RoleName::CONSUMER),
        sort: Some(TimeOrder::Newest),
    };
    let consumers = house.admin.list_users(&query).limit(1).all().await.unwrap();
    assert!(consumers.iter().any(|user| user.id == buyer));
    let wanted = users
        .iter()
        .rev()
        .filter(|user| user.state == UserState::Active && user.roles.contains(&RoleName::CONSUMER));
    assert!(consumers.iter().eq(wanted));
    let query = UserQuery { state: Some(UserState::Suspended), ..UserQuery::default() };
    assert!(house.admin.list_users(&query).await.unwrap().items.is_empty());

    let wanted = NewInvitation {
        label: "The club".parse().unwrap(),
        roles: [RoleName::PROVIDER].into(),
        uses: Some(2),
        lifetime_seconds: Some(60),
    };
    let invited = house.admin.invite(&wanted).await.unwrap();
    let id = invited.invitation.id;
    let member = UserRegistration {
        invitation: Some(invited.token.clone()),
        email: Some("member@example.org".parse().unwrap()),
        challenge: house.client.ask_challenge().await.unwrap().solve(),
        ..UserRegistration::new("member".parse().unwrap(), [], password())
    };
    assert_eq!(house.client.register_user(&member).await.unwrap().state, UserState::Active);
    assert_eq!(house.admin.show_invitation(id).await.unwrap().id, id);
    let good = InvitationQuery { good: Some(true), sort: None };
    assert_eq!(house.admin.list_invitations(&good).await.unwrap().items.len(), 1);
    house.admin.withdraw_invitation(id).await.unwrap();
}

async fn logins(house: &House) {
    let name = || Forgotten::Name("member".parse().unwrap());
    house.client.ask_password_reset(&name()).await.unwrap();
    let (user, reset) = asked_reset(house).await;
    let leave = i3_client::Secret::new(house.assembly.access().leaves.reset(user, reset).expose());
    let second = i3_client::Secret::new("another horse");
    house.client.reset_password(&leave, &second).await.unwrap();
    let signed = house.client.sign_in(&SignIn::new("member", second.clone())).await.unwrap();
    let member = house.client.with_token(&signed.token).unwrap();
    member.change_password(user, &second, &password()).await.unwrap();

    let other = house.client.sign_in(&SignIn::new("member", password())).await.unwrap();
    assert_eq!(member.list_tokens().await.unwrap().items.len(), 2);
    member.revoke_token(other.record.id).await.unwrap();
    member.sign_out().await.unwrap();
    assert_eq!(member.show_me().await.unwrap_err().code(), "invalid_token");
    sign_in(&house.client, "member").await.end_logins().await.unwrap();

    let begun = house.client.begin_session("member", &password()).await.unwrap();
    let session = house.client.with_session(&begun.cookie, &begun.session.csrf).unwrap();
    assert_eq!(session.show_session().await.unwrap().account.id, user);
    session.end_session().await.unwrap();
    assert_eq!(session.show_me().await.unwrap_err().code(), "authentication_required");
}

/// The leave to set a password that was asked for last.
pub(crate) async fn asked_reset(house: &House) -> (UserId, ResetId) {
    let deadline = tokio::time::Instant::now() + Duration::from_mins(2);
    loop {
        let events = house.admin.list_events().limit(200).all().await.unwrap();
        let found = events.iter().rev().find_map(|numbered| match numbered.entry.event {
            Event::PasswordResetAsked { user, reset } => Some((user, reset)),
            _ => None,
        });
        if let Some(found) = found {
            return found;
        }
        assert!(tokio::time::Instant::now() < deadline, "nobody asked for a password");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn programs(seller: &i3_client::Client) {
    let registration = ClientRegistration {
        label: "Dashboard".parse().unwrap(),
        kind: ClientKind::Confidential,
        scopes: ["api:read".parse().unwrap()].into(),
        redirect_uris: ["https://dashboard.example/back".parse().unwrap()].into(),
    };
    let registered = seller.register_client(&registration).await.unwrap();
    let (id, first) = (registered.client.id, registered.secret.clone().unwrap());
    let replaced = seller.replace_client_secret(id).await.unwrap();
    assert_ne!(replaced.secret.as_ref().unwrap(), &first);
    let patch = ClientPatch { label: Some("Board".parse().unwrap()), ..ClientPatch::default() };
    let edited = seller.edit_client(id, &patch).await.unwrap();
    assert_eq!((edited.label.as_str(), edited.redirect_uris.len()), ("Board", 1));
    let description = ClientDescription {
        label: "Panel".parse().unwrap(),
        scopes: registration.scopes.clone(),
        redirect_uris: registration.redirect_uris.clone(),
    };
    seller.describe_client(id, &description).await.unwrap();
    seller.set_client_state(id, ClientState::Disabled).await.unwrap();
    assert_eq!(seller.show_client(id).await.unwrap().state, ClientState::Disabled);
    let public = ClientQuery { kind: Some(ClientKind::Public), ..ClientQuery::default() };
    assert!(seller.list_clients(&public).await.unwrap().items.is_empty());
    assert_eq!(seller.list_clients(&ClientQuery::default()).await.unwrap().items.len(), 1);
    seller.remove_client(id).await.unwrap();
}

async fn trade(house: &House, seller: &i3_client::Client, buyer: &i3_client::Client, buyer_id: UserId) {
    let hub = HubRegistration { slug: "acme".parse().unwrap(), title: "Acme".parse().unwrap() };
    let hub = seller.register_hub(&hub).await.unwrap().id;
    house.admin.set_hub_state(hub, HubState::Suspended).await.unwrap();
    house.admin.set_hub_state(hub, HubState::Active).await.unwrap();
    let title = HubPatch { title: "Acme and Sons".parse().ok() };
    assert_eq!(seller.edit_hub(hub, &title).await.unwrap().title.as_str(), "Acme and Sons");
    assert_eq!(house.client.show_hub(hub).await.unwrap().slug.as_str(), "acme");
    let (_, helper) = house.register("helper", RoleName::PROVIDER).await;
    house.admin.approve_user(helper).await.unwrap();
    assert_eq!(seller.set_member(hub, helper, HubRole::Viewer).await.unwrap().role, HubRole::Viewer);
    assert_eq!(seller.list_members(hub, &MemberQuery::default()).all().await.unwrap().len(), 2);
    assert_eq!(house.admin.list_memberships(helper).await.unwrap().items.len(), 1);
    seller.remove_member(hub, helper).await.unwrap();

    let registration = |name: &str| DeviceRegistration {
        name: name.parse().unwrap(),
        title: "A sensor".parse().unwrap(),
        credential: NewCredential::Password { password: password() },
    };
    let device = seller.register_device(hub, &registration("sensor")).await.unwrap();
    assert_eq!(device.auth_id.as_str(), "acme.sensor");
    let device = device.id;
    let title = DevicePatch { title: "On the roof".parse().ok() };
    assert_eq!(seller.edit_device(device, &title).await.unwrap().title.as_str(), "On the roof");
    let key = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";
    let addition = CredentialAddition {
        credential: NewCredential::PublicKey { pem: key.to_owned(), algorithm: None },
        not_before: None,
        not_after: Some("2100-01-01T00:00:00Z".parse().unwrap()),
    };
    let added = seller.add_credential(device, &addition).await.unwrap().id;
    let shown = seller.show_device(device).await.unwrap();
    assert_eq!((shown.credentials.len(), shown.credentials[1].id), (2, added));
    seller.remove_credential(device, added).await.unwrap();
    seller.set_device_state(device, DeviceState::Disabled).await.unwrap();
    seller.set_device_state(device, DeviceState::Active).await.unwrap();
    let active = DeviceQuery { state: Some(DeviceState::Active), ..DeviceQuery::default() };
    assert_eq!(seller.list_devices(hub, &active).await.unwrap().items.len(), 1);

    let sample = SampleTerms { last: 3, redact: vec!["/position".to_owned()], per_person_per_day: 2 };
    let schema = json!({"type": "object"}).as_object().unwrap().clone();
    let product = ProductCreation {
        slug: "air".parse().unwrap(),
        title: "Air".parse().unwrap(),
        description: "Air quality".parse().unwrap(),
        tags: vec!["air".parse().unwrap()],
        devices: vec![device],
        schema: Some(schema.clone()),
        sample: None,
    };
    let product = seller.create_product(hub, &product).await.unwrap().id;
    let change = StreamChange { schema: Some(schema), sample: Some(sample.clone()) };
    seller.describe_stream(product, &change).await.unwrap();
    let stream = seller.show_stream(product).await.unwrap();
    assert_eq!((&stream.sample, &stream.schema), (&Some(sample.clone()), &Some(json!({"type": "object"}))));
    let fewer = SamplePatch { last: Some(1), ..SamplePatch::default() };
    let patch = StreamPatch { schema: Edit::Remove, sample: Edit::Set(fewer) };
    let stream = seller.edit_stream(product, &patch).await.unwrap();
    let once = SampleTerms { last: 1, ..sample };
    assert_eq!((&stream.schema, &stream.sample), (&None, &Some(once)));
    let texts = ProductTexts {
        title: "Good air".parse().unwrap(),
        description: "Air quality".parse().unwrap(),
        tags: vec![],
    };
    seller.describe_product(product, &texts).await.unwrap();
    let second = seller.register_device(hub, &registration("second")).await.unwrap().id;
    let (tags, devices) = (Some(vec!["air".parse().unwrap()]), Some(vec![second, device]));
    let patch = ProductPatch { tags, devices, ..ProductPatch::default() };
    let edited = seller.edit_product(product, &patch).await.unwrap();
    assert_eq!((edited.title.as_str(), edited.tags.len()), ("Good air", 1));
    assert_eq!(edited.devices, [second, device]);
    let offer = |plan| OfferPublication { currency: euro(), plan, term_seconds: None };
    let free = seller.publish_offer(product, &offer(Plan::Free { quota: None })).await.unwrap().id;
    let paid = Plan::PerMessage { unit_price: 20_000_000.try_into().unwrap(), quota: Some(50) };
    let paid = seller.publish_offer(product, &offer(paid)).await.unwrap().id;
    seller.withdraw_offer(free).await.unwrap();
    seller.set_product_state(product, ProductState::Listed).await.unwrap();
    for (state, found) in [(None, 1), (Some(ProductState::Listed), 1), (Some(ProductState::Draft), 0)] {
        let query = ProductQuery { state, sort: Some(TimeOrder::Newest) };
        assert_eq!(seller.list_products(hub, &query).await.unwrap().items.len(), found, "{state:?}");
    }
    let of_hub = CatalogueQuery { hub: Some(hub), ..CatalogueQuery::default() };
    let listed = house.client.list_catalogue(&of_hub).await.unwrap();
    assert_eq!(listed.items[0].product.id, product);
    let offers = &house.client.list_offers(product, &OfferQuery::default()).await.unwrap().items;
    assert_eq!(offers.iter().map(|offer| offer.id).collect::<Vec<_>>(), [paid, free]);
    let sold = OfferQuery { state: Some(OfferState::Published), sort: Some(TimeOrder::Oldest) };
    let sold = house.client.list_offers(product, &sold).limit(1).all().await.unwrap();
    assert_eq!(sold.iter().map(|offer| offer.id).collect::<Vec<_>>(), [paid]);

    let payment =
        Payment { amount: Amount::new(1_000).unwrap(), currency: euro(), reference: "cash".to_owned() };
    house.admin.top_up(buyer_id, &payment).await.unwrap();
    let buyer = &signed_in_again(house, buyer).await;
    let [one, _] = used(house, &product.to_string()).await;
    let advice = &buyer.list_recommendations(Some(5)).await.unwrap().items;
    assert_eq!(advice[0].explanation, "2 people of smart-home looked at it");
    assert!(matches!(&advice[0].thing, Thing::Product(card) if card.product.id == product));
    let seen = &house.admin.list_user_events(one).await.unwrap().items;
    assert_eq!((seen.len(), seen[0].item, seen[0].interaction), (1, advice[0].id, Interaction::Viewed));
    house.admin.erase_user_events(one).await.unwrap();
    assert!(house.admin.list_user_events(one).await.unwrap().items.is_empty());
    assert!(buyer.list_recommendations(None).await.unwrap().items.is_empty(), "one is no group");
    let bought = buyer.purchase(paid).await.unwrap();
    let order = bought.order.id;
    assert_eq!(bought.mqtt.topic.as_str(), "i3/acme/air");
    assert_eq!(buyer.show_order_password(order).await.unwrap().password, bought.mqtt.password);
    assert_ne!(buyer.replace_order_password(order).await.unwrap().password, bought.mqtt.password);
    deliver(house, order, 10).await;
    let opinion = Opinion { stars: 4.try_into().unwrap(), comment: Some("Fresh.".parse().unwrap()) };
    let given = buyer.rate(order, &opinion).await.unwrap();
    assert_eq!(given.comment, opinion.comment);
    assert_eq!(house.client.show_product(product).await.unwrap().score.stars, 4);
    let from_then_on = RatingQuery { since: Some(given.at), ..RatingQuery::default() };
    let before = RatingQuery { until: Some(given.at), ..RatingQuery::default() };
    for (which, number) in [(RatingQuery::default(), 1), (from_then_on, 1), (before, 0)] {
        assert_eq!(
            house.client.list_ratings(product, &which).await.unwrap().items.len(),
            number,
            "{which:?}"
        );
    }
    assert_eq!(house.client.show_quality(product).await.unwrap().messages, 0);
    assert!(buyer.show_sample(product).await.unwrap().samples.is_empty(), "nothing was published");
    assert_eq!(buyer.show_order(order).await.unwrap().id, order);
    assert_eq!(seller.show_grant(order).await.unwrap().order(), order);
    assert_eq!(buyer.show_statement(order).await.unwrap().line.quantity, 10);
    assert!(seller.explain_publish(device, "i3/acme/air").await.unwrap().allowed);
    assert!(buyer.explain_receive(order, Some("i3/acme/air")).await.unwrap().allowed);
    assert!(buyer.explain_charge(order).await.unwrap().balances);
    let told = buyer.explain_message(order, 1).await.unwrap();
    assert_eq!((told.code.as_str(), told.currency), ("unpublished", Currency::EUR));
    ordered_object(seller, buyer, product, order).await;
    buyer.cancel_order(order).await.unwrap();
    let second = buyer.purchase(paid).await.unwrap().order.id;
    seller.revoke_grant(second).await.unwrap();
    let ids = |orders: Vec<Order>| orders.iter().map(|order| order.id).collect::<Vec<_>>();
    assert_eq!(ids(buyer.list_orders(&OrderQuery::default()).limit(1).all().await.unwrap()), [second, order]);
    let query = OrderQuery {
        state: Some(OrderState::Cancelled),
        product: Some(product),
        sort: Some(TimeOrder::Oldest),
        ..OrderQuery::default()
    };
    assert_eq!(ids(buyer.list_orders(&query).limit(1).all().await.unwrap()), [order, second]);
    assert_eq!(
        ids(house.admin.list_user_orders(buyer_id, &query).await.unwrap().items.clone()),
        [order, second]
    );
    let query = OrderQuery { state: Some(OrderState::Active), ..query };
    assert_eq!(ids(buyer.list_orders(&query).all().await.unwrap()), []);
    let placed = buyer.show_order(second).await.unwrap().placed;
    let query = OrderQuery { since: Some(placed), ..OrderQuery::default() };
    assert_eq!(ids(seller.list_sales(hub, &query).await.unwrap().items.clone()), [second]);
    let query = OrderQuery { until: Some(placed), ..OrderQuery::default() };
    assert_eq!(ids(seller.list_sales(hub, &query).await.unwrap().items.clone()), [order]);
    let earned = seller.list_balances(LedgerHolder::Hub(hub)).await.unwrap();
    assert_eq!(earned.items[0].amount, Amount::new(18).unwrap());
}

/// Who was suspended signs in again.
async fn signed_in_again(house: &House, before: &i3_client::Client) -> i3_client::Client {
    assert_eq!(before.show_me().await.unwrap_err().code(), "invalid_token");
    sign_in(&house.client, "buyer").await
}

/// Delivers as a gate does.
async fn deliver(house: &House, order: OrderId, messages: u64) {
    let grant = GrantId::of(order);
    let lease = house.assembly.market().open(grant, "test", messages).await.unwrap();
    house.assembly.market().close(lease.lease, messages.into()).await.unwrap();
}

async fn objects(house: &House, seller: &i3_client::Client) {
    let content: Content = serde_json::from_value(json!({
        "kind": "sensor", "title": "Air on the roof", "protocols": ["mqtt"],
        "resources": ["mqtt://broker.example/i3/acme/air"],
    }))
    .unwrap();
    let new = NewVirtualObject { content: content.clone(), hub: None, submit: false };
    let made = seller.create_virtual_object(&new).await.unwrap();
    let id = made.id;
    assert_eq!((made.state, &made.content), (ObjectState::Draft, &content));
    let patch = json!({"tags": ["air"]}).as_object().unwrap().clone();
    let amended = seller.amend_virtual_object(id, &patch).await.unwrap();
    assert_eq!((amended.version, amended.content.tags.len()), (2, 1));
    let replaced = seller.replace_virtual_object(id, &content).await.unwrap();
    assert_eq!((replaced.version, replaced.hash), (3, made.hash));
    assert_eq!(seller.list_virtual_object_versions(id).limit(1).all().await.unwrap().len(), 3);
    let second = seller.show_virtual_object_version(id, WhichVersion::Number(2)).await.unwrap();
    assert_eq!(second.content.tags.len(), 1);
    let by_hash = seller.show_virtual_object_version(id, WhichVersion::Hash(made.hash)).await.unwrap();
    assert_eq!(by_hash.content, content);
    files(seller, id).await;
    found(house).await;
    let product = seller.list_catalogue(&CatalogueQuery::default()).await.unwrap().items[0].product.id;
    assert_eq!(seller.link_virtual_object(id, Some(product)).await.unwrap().product, Some(product));
    assert_eq!(seller.link_virtual_object(id, None).await.unwrap().product, None);
    let published = seller.set_virtual_object_state(id, ObjectState::Submitted, None).await.unwrap();
    assert_eq!(seller.show_virtual_object(id).await.unwrap().state, published.state);
    let query = ObjectQuery {
        owner: Some(made.owner),
        state: Some(published.state),
        protocol: Some("mqtt".parse().unwrap()),
        sort: Some(ObjectSort::Oldest),
        ..ObjectQuery::default()
    };
    assert_eq!(seller.list_virtual_objects(&query).all().await.unwrap(), [published.into_value()]);
    let elsewhere = ObjectQuery { domain: Some("smart-home".parse().unwrap()), ..query };
    assert!(seller.list_virtual_objects(&elsewhere).all().await.unwrap().is_empty());
    seller.remove_virtual_object(id).await.unwrap();
}

/// An object is linked to what was bought.
async fn ordered_object(
    seller: &i3_client::Client,
    buyer: &i3_client::Client,
    product: ProductId,
    order: OrderId,
) {
    let content: Content = serde_json::from_value(json!({"kind": "sensor", "title": "Air"})).unwrap();
    let new = NewVirtualObject { content, hub: None, submit: true };
    let object = seller.create_virtual_object(&new).await.unwrap().id;
    seller.link_virtual_object(object, Some(product)).await.unwrap();
    let ordered = buyer.show_ordered_object(order).await.unwrap();
    assert_eq!((ordered.object, ordered.access.username), (object, order));
    assert!(ordered.access.password_at.ends_with(&format!("/orders/{order}/password")));
    seller.remove_virtual_object(object).await.unwrap();
}

async fn files(seller: &i3_client::Client, object: VirtualObjectId) {
    let name: FileName = "Gr\u{fc}\u{df}e & 50%.bin".parse().unwrap();
    let bytes: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    let attached = seller
        .attach_virtual_object_file(object, &name, MediaType::OctetStream, bytes.clone())
        .await
        .unwrap();
    let file = attached.content.files.first().unwrap();
    assert_eq!((&file.name, file.bytes, file.sha256), (&name, 300_000, Digest::of(&bytes)));
    let query = seller.download_virtual_object_file(object, &name, None);
    let got = query.clone().await.unwrap();
    assert_eq!(got.value, bytes);
    assert_eq!(query.unless(&got.tag.unwrap()).await.unwrap(), None);
    seller.detach_virtual_object_file(object, &name).await.unwrap();
    let version = Some(WhichVersion::Number(attached.version));
    let old = seller.download_virtual_object_file(object, &name, version).await.unwrap();
    assert_eq!(old.value, bytes);
    seller.purge_virtual_object_file(object, Digest::of(&bytes)).await.unwrap();
    let gone = seller.download_virtual_object_file(object, &name, version).await.unwrap_err();
    assert_eq!(gone.code(), "file_gone");
}

/// The product that is on sale; the index follows in a moment.
async fn found(house: &House) {
    let deadline = tokio::time::Instant::now() + Duration::from_mins(2);
    loop {
        let found = house.client.discover([("q", "air"), ("facets", "protocol")]).await.unwrap();
        if let [one] = &found.things[..] {
            assert!(matches!(&one.thing, Thing::Product(card) if card.product.id.to_string() == one.id));
            assert_eq!((found.total, &found.next), (1, &None));
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "nothing is found: {found:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn roles(house: &House) {
    let all = house.client.list_permissions().await.unwrap();
    let permissions = [all.items[0].permission].into_iter().collect();
    let role = NewRole {
        name: "auditor".parse().unwrap(),
        label: "Auditor".parse().unwrap(),
        about: "Looks".parse().unwrap(),
        permissions,
    };
    let made = house.admin.create_role(&role).await.unwrap();
    assert_eq!((&made.name, made.permissions), (&role.name, permissions));
    let description =
        RoleDescription { label: "Looker".parse().unwrap(), about: role.about.clone(), permissions };
    let edited = house.admin.edit_role(&role.name, &description).if_match(made.tag.as_ref().unwrap()).await;
    assert_eq!(edited.unwrap().label.as_str(), "Looker");
    assert_eq!(house.admin.show_role(&role.name).await.unwrap().label.as_str(), "Looker");
    assert!(house.admin.list_roles().await.unwrap().items.iter().any(|one| one.name == role.name));
    house.admin.remove_role(&role.name).await.unwrap();
}

async fn ontology(house: &House) {
    let statements = OntologyStatements {
        turtle: "<urn:x:Fan> a <http://www.w3.org/2002/07/owl#Class> .".to_owned(),
        remark: "Fans".parse().unwrap(),
    };
    let none = house.admin.show_ontology_extension().await.unwrap();
    assert_eq!((none.extension.number, &none.not_in_force), (0, &None));
    let tag = none.tag.as_ref().unwrap();
    let added = house.admin.extend_ontology(&statements).if_match(tag).await.unwrap();
    assert_eq!((added.extension.number, added.extension.turtle.as_ref()), (1, Some(&statements.turtle)));
    house.admin.extend_ontology(&statements).if_match(tag).await.unwrap_err();
    house.admin.withdraw_ontology_extension().await.unwrap();
    assert_eq!(house.admin.show_ontology_version(1).await.unwrap().turtle, Some(statements.turtle));
    assert_eq!(house.admin.list_ontology_versions().limit(1).all().await.unwrap().len(), 2);
}

async fn boxes(house: &House, seller: &i3_client::Client) {
    let unread = NoticeQuery { read: Some(false), ..NoticeQuery::default() };
    let own = seller.list_notices(&unread).all().await.unwrap();
    let state = seller.inbox_state().await.unwrap();
    assert_eq!(usize::try_from(state.held).unwrap(), own.len());
    let last = own.first().map_or(0, |notice| notice.position);
    assert_eq!(seller.read_notices(last).await.unwrap().unread, 0);
    let shared = house.admin.list_administration_notices(&NoticeQuery::default()).all().await.unwrap();
    let state = house.admin.administration_inbox_state().await.unwrap();
    assert_eq!(usize::try_from(state.held).unwrap(), shared.len());
    let last = shared.first().map_or(0, |notice| notice.position);
    assert_eq!(house.admin.read_administration_notices(last).await.unwrap().unread, 0);
}

async fn books(house: &House, buyer: &i3_client::Client, buyer_id: UserId) {
    let holder: LedgerHolder = buyer_id.to_string().parse().unwrap();
    let buyer = &signed_in_again(house, buyer).await;
    let entries = buyer.list_entries(holder, euro(), &EntryQuery::default()).limit(2).all().await.unwrap();
    let between = EntryQuery {
        since: entries.get(1).map(|entry| entry.at),
        until: entries.first().map(|entry| entry.at),
        sort: Some(TimeOrder::Oldest),
    };
    let some = buyer.list_entries(holder, euro(), &between).limit(2).all().await.unwrap();
    assert!(some.is_sorted_by_key(|entry| entry.at));
    let within = |entry: &&Entry| Some(entry.at) >= between.since && Some(entry.at) < between.until;
    assert_eq!(some.len(), entries.iter().filter(within).count());
    assert!(!some.is_empty() && some.len() < entries.len());
    let sum: Amount =
        entries.iter().map(|entry| entry.amount).fold(Amount::ZERO, |sum, amount| sum.plus(amount).unwrap());
    assert_eq!(buyer.list_balances(holder).await.unwrap().items[0].amount, sum);
    assert_eq!(house.client.health().await.unwrap().status, "ok");
    let chain = house.admin.verify_audit().await.unwrap();
    assert_eq!(chain.broken_at, None);
    let audit = house.admin.list_audit().limit(7).all().await.unwrap();
    assert_eq!(u64::try_from(audit.len()).unwrap(), chain.entries);
    assert!(audit.windows(2).all(|pair| pair[0].position + 1 == pair[1].position));
    assert!(audit.iter().all(|numbered| !format!("{:?}", numbered.entry).contains(PASSWORD)));
    let query = DenialQuery { code: Some("forbidden".to_owned()), ..DenialQuery::default() };
    let denied = house.admin.list_denials(&query).limit(2).all().await.unwrap();
    assert!(denied.iter().all(|record| record.denied.code == "forbidden"));
    let report = house.admin.reconcile().await.unwrap();
    assert_eq!((report.differences.len(), report.grants[0].usage.delivered), (0, 10));
}

fn euro() -> Currency {
    "EUR".parse().unwrap()
}
