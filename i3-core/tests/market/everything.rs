//! Data with everything in it: every collection, command, state and event.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use i3_core::access::{Actor, Bound, HubRole, Permission, Purpose};
use i3_core::analytics::{Interaction, Item, Observation, ObservationQueue};
use i3_core::denial::{DenialQueue, DenialRecorder as _, DeniedRequest};
use i3_core::device::{DeviceState, KeyAlgorithm};
use i3_core::gate::{LeaseReport, Metering, Streams};
use i3_core::hub::HubState;
use i3_core::id::{GrantId, SequentialIds, TypedId};
use i3_core::market::{
    ActivateUser, AddCredential, AmendStream, AskPasswordReset, CancelOrder, ChangePassword, ClientFilter,
    CreateProduct, CreateRole, DescribeClient, DescribeDevice, DescribeHub, DescribeProduct, DescribeStream,
    DescribeUser, EditRole, EndLogins, IdempotencyKey, Invite, Marketplace, MoveProduct, NewCredential,
    PageRequest, PublishOffer, Purchase, PutThing, RateProduct, RegisterClient, RegisterDevice, RegisterHub,
    RegisterUser, Registration, RejectUser, RemoveClient, RemoveCredential, RemoveMember, RemoveRole,
    RemoveThing, ReplaceClientSecret, ReplaceOrderPassword, ResetPassword, RevokeGrant, SetClientState,
    SetDeviceState, SetHubState, SetMember, SetRoles, Settings, SuspendUser, TimeOrder, TopUp,
    WithdrawInvitation, WithdrawOffer,
};
use i3_core::money::Currency;
use i3_core::notice::Recipient;
use i3_core::oauth::{ClientKind, ClientState};
use i3_core::offer::Plan;
use i3_core::order::Order;
use i3_core::product::ProductState;
use i3_core::quality::Quality;
use i3_core::role::RoleName;
use i3_core::secret::SecretHash;
use i3_core::store::{MemoryStore, StoreExt as _};
use i3_core::stream::{Sample, SampleTerms, SequenceBlock, StreamDescription, StreamReport};
use i3_core::thing::{Lifetime, Visibility};
use i3_core::usage::Missed;
use i3_core::user::{PasswordReset, Profile};

use crate::fixture::{Fixture, euros, fixed, per_message};
use crate::moves::Visitors;
use crate::streams::MembersOnly;

const DAY: Duration = Duration::from_hours(24);

fn key(text: &str) -> IdempotencyKey {
    text.parse().unwrap()
}

/// Everything that a marketplace can store, and everything that can be in each state that there is.
pub(crate) async fn everything() -> MemoryStore {
    let store = MemoryStore::new();
    let f = Fixture::over(Arc::new(store.clone())).await;
    let (seller, buyer) = (Actor::User(f.seller), Actor::User(f.buyer));
    let system = Actor::System;
    let run = &f.market;

    // People.
    f.pass(Duration::from_millis(1));
    let strict = Settings::default().with_registration(Registration::Approval).with_fee_points(250);
    let visited = Marketplace::open(Arc::new(store.clone()), Arc::new(Visitors), &[])
        .await
        .unwrap()
        .with_clock(f.clock.clone())
        .with_ids(Arc::new(SequentialIds::default()))
        .with_settings(strict);
    let person = |name: &str, roles: &[RoleName]| RegisterUser {
        name: name.parse().unwrap(),
        display: format!("{name} \u{fc}\u{1f600} \"quoted\" \\").parse().unwrap(),
        email: Some(format!("{name}@example.org").parse().unwrap()),
        roles: roles.iter().cloned().collect(),
        profile: i3_core::user::Profile::default(),
        invitation: None,
        password: Some(SecretHash::new("$argon2id$v=19$m=8,t=1,p=1$c2FsdA$aGFzaA")),
    };
    visited.execute(Actor::Anonymous, None, &person("pending", &[RoleName::CONSUMER])).await.unwrap();
    let late = visited.execute(Actor::Anonymous, None, &person("late", &[RoleName::CONSUMER])).await.unwrap();
    run.execute(system, None, &ActivateUser { user: late.id }).await.unwrap();
    f.pass(Duration::from_millis(1));
    let admin = person("admin", &[RoleName::ADMINISTRATOR, RoleName::CONSUMER]);
    let admin = run.execute(system, Some(&key("admin")), &admin).await.unwrap();
    let roles = BTreeSet::from([RoleName::ADMINISTRATOR, RoleName::CONSUMER, RoleName::PROVIDER]);
    run.execute(system, None, &SetRoles { user: admin.id, roles }).await.unwrap();
    run.execute(system, None, &SuspendUser { user: late.id }).await.unwrap();

    // Roles.
    let create = |name: &str, permissions: &[&str]| CreateRole {
        name: name.parse().unwrap(),
        label: "Pr\u{fc}fer".parse().unwrap(),
        about: "Reads what happened.\nAnd no more.".parse().unwrap(),
        permissions: permissions.iter().map(|text| text.parse::<Permission>().unwrap()).collect(),
    };
    let auditor = run.execute(system, None, &create("auditor", &["audit:view"])).await.unwrap();
    run.execute(system, None, &create("former", &["order:view", "order:manage:own"])).await.unwrap();
    let both = BTreeSet::from([RoleName::CONSUMER, auditor.name.clone(), "former".parse().unwrap()]);
    run.execute(system, None, &SetRoles { user: late.id, roles: both }).await.unwrap();
    let more = ["audit:view", "user:view"].map(|text| text.parse::<Permission>().unwrap());
    let edit = EditRole {
        name: auditor.name.clone(),
        expected: Some(auditor.version),
        label: auditor.label,
        about: auditor.about,
        permissions: more.into_iter().collect(),
    };
    run.execute(system, None, &edit).await.unwrap();
    let former = RemoveRole { name: "former".parse().unwrap(), expected: None };
    run.execute(system, None, &former).await.unwrap();
    accounts(&f).await;

    // Hubs and devices.
    let hub = RegisterHub { slug: "closed".parse().unwrap(), title: "Closed".parse().unwrap() };
    let closed = run.execute(Actor::User(admin.id), None, &hub).await.unwrap();
    run.execute(system, None, &SetHubState { hub: closed.id, state: HubState::Suspended }).await.unwrap();
    for role in [HubRole::Owner, HubRole::Manager, HubRole::Viewer] {
        let set = SetMember { hub: f.hub.id, user: admin.id, role };
        run.execute(seller, None, &set).await.unwrap();
    }
    run.execute(seller, None, &SetMember { hub: f.hub.id, user: late.id, role: HubRole::Owner })
        .await
        .unwrap();
    run.execute(seller, None, &RemoveMember { hub: f.hub.id, user: late.id }).await.unwrap();
    run.execute(seller, None, &SetMember { hub: f.hub.id, user: late.id, role: HubRole::Manager })
        .await
        .unwrap();
    let mut others = Vec::new();
    for (name, algorithm) in
        [("ed", KeyAlgorithm::EdDsa), ("es", KeyAlgorithm::Es256), ("rs", KeyAlgorithm::Rs256)]
    {
        let pem = "-----BEGIN PUBLIC KEY-----\nMCow\n-----END PUBLIC KEY-----\n".to_owned();
        let device = RegisterDevice {
            hub: f.hub.id,
            name: name.parse().unwrap(),
            title: "Key pair".parse().unwrap(),
            credential: NewCredential::PublicKey { algorithm, pem },
        };
        others.push(run.execute(seller, None, &device).await.unwrap());
    }
    let credential = NewCredential::Password { hash: SecretHash::new("$argon2id$next") };
    let until = f.clock_now().plus(DAY * 30);
    let add = AddCredential {
        device: f.device.id,
        credential,
        not_before: Some(f.clock_now().plus(DAY)),
        not_after: Some(until),
    };
    let added = run.execute(seller, None, &add).await.unwrap();
    let removed = run.execute(seller, None, &AddCredential { not_before: None, ..add }).await.unwrap();
    run.execute(seller, None, &RemoveCredential { device: f.device.id, credential: removed }).await.unwrap();
    assert_ne!(added, removed);
    let state = DeviceState::Disabled;
    run.execute(seller, None, &SetDeviceState { device: others[0].id, state }).await.unwrap();

    let described = DescribeDevice { device: others[1].id, title: "Key pair, second".parse().ok() };
    run.execute(seller, None, &described).await.unwrap();
    run.execute(seller, None, &DescribeHub { hub: f.hub.id, title: "Acme and Sons".parse().ok() })
        .await
        .unwrap();

    // Products and offers.
    for (slug, path) in [
        ("draft", vec![]),
        ("paused", vec![ProductState::Listed, ProductState::Paused]),
        ("retired", vec![ProductState::Listed, ProductState::Retired]),
    ] {
        let create = CreateProduct {
            hub: f.hub.id,
            slug: slug.parse().unwrap(),
            title: "Another".parse().unwrap(),
            description: "Two lines\nand more".parse().unwrap(),
            tags: vec!["air".parse().unwrap(), "roof".parse().unwrap()],
            devices: others.iter().map(|device| device.id).collect(),
            stream: i3_core::stream::StreamDescription::default(),
        };
        let product = run.execute(seller, None, &create).await.unwrap();
        for to in path {
            run.execute(seller, None, &MoveProduct { product: product.id, to }).await.unwrap();
        }
    }
    let describe = DescribeProduct {
        product: f.product.id,
        title: Some("Air, described anew".parse().unwrap()),
        description: Some("Air".parse().unwrap()),
        tags: Some(Vec::new()),
        devices: Some(vec![others[1].id, f.device.id]),
    };
    run.execute(seller, None, &describe).await.unwrap();
    let free = f.offer(Plan::Free { quota: None }).await;
    let few = f.offer(Plan::Free { quota: Some(2) }).await;
    let ten = f.offer_for(fixed(10, 300), Some(86_400)).await;
    let each = f.offer(per_message(100_000_000, None)).await;
    let capped = f.offer_for(per_message(333, Some(1_000)), Some(60)).await;
    let points = PublishOffer {
        product: f.product.id,
        currency: Currency::custom("POINTS", 0).unwrap(),
        plan: fixed(1, 7),
        term_seconds: None,
    };
    let points = run.execute(seller, None, &points).await.unwrap().id;
    run.execute(seller, None, &WithdrawOffer { offer: points }).await.unwrap();

    // Money, orders, leases.
    f.top_up(f.buyer, 1_000).await;
    let top_up = TopUp {
        user: f.buyer,
        amount: euros(9),
        currency: Currency::custom("POINTS", 0).unwrap(),
        reference: String::new(),
    };
    run.execute(system, Some(&key("points")), &top_up).await.unwrap();
    let buy = async |name: &str, offer| -> Order {
        run.execute(buyer, Some(&key(name)), &Purchase { offer }).await.unwrap()
    };
    let (active, exhausted, expired) =
        (buy("active", free).await, buy("few", few).await, buy("capped", capped).await);
    let (cancelled, revoked, metered) =
        (buy("ten", ten).await, buy("ten-again", ten).await, buy("each", each).await);
    let of = |order: &Order| GrantId::of(order.id);
    let all = run.open(of(&exhausted), "gate-1", 2).await.unwrap();
    run.close(all.lease, 2.into()).await.unwrap();
    let some = run.open(of(&metered), "gate-1", 5).await.unwrap();
    let missed = Missed { slow: 4, offline: 3, expired: 2, too_large: 1 };
    run.extend(some.lease, LeaseReport { delivered: 3, missed }, 9).await.unwrap();
    run.close(some.lease, 4.into()).await.unwrap();
    run.open(of(&metered), "gate-2", 2).await.unwrap();
    run.reclaim(system, "gate-2").await.unwrap();
    run.open(of(&active), "gate-3", 100).await.unwrap();
    for (stars, comment) in [(2, None), (5, Some("Better than I thought \u{2764}".parse().unwrap()))] {
        let rate = RateProduct { order: metered.id, stars: stars.try_into().unwrap(), comment };
        run.execute(buyer, None, &rate).await.unwrap();
    }
    run.execute(buyer, None, &ReplaceOrderPassword { order: active.id }).await.unwrap();
    run.execute(buyer, Some(&key("cancel")), &CancelOrder { order: cancelled.id }).await.unwrap();
    run.execute(seller, Some(&key("revoke")), &RevokeGrant { grant: of(&revoked) }).await.unwrap();

    // Programs that act for people.
    for (kind, uris) in [
        (ClientKind::Public, vec!["http://127.0.0.1/callback", "com.example.app:/callback"]),
        (ClientKind::Confidential, vec!["https://app.example/callback?from=i3"]),
        (ClientKind::Machine, vec![]),
    ] {
        let register = RegisterClient {
            label: "Gateway \u{1f3ed}".parse().unwrap(),
            kind,
            scopes: ["order:view", "product:manage"].map(|scope| scope.parse().unwrap()).into(),
            redirect_uris: uris.into_iter().map(|uri| uri.parse().unwrap()).collect(),
        };
        let client = run.execute(buyer, None, &register).await.unwrap().id;
        if kind == ClientKind::Public {
            let state = ClientState::Suspended;
            run.execute(system, None, &SetClientState { client, state }).await.unwrap();
            continue;
        }
        run.execute(buyer, None, &ReplaceClientSecret { client }).await.unwrap();
        let state = ClientState::Disabled;
        run.execute(buyer, None, &SetClientState { client, state }).await.unwrap();
        if kind == ClientKind::Machine {
            let describe = DescribeClient {
                client,
                label: Some("Gateway".parse().unwrap()),
                scopes: Some(["order:view"].map(|scope| scope.parse().unwrap()).into()),
                redirect_uris: Some(BTreeSet::new()),
            };
            run.execute(buyer, None, &describe).await.unwrap();
            let gone = run.execute(buyer, None, &register).await.unwrap().id;
            run.execute(buyer, None, &RemoveClient { client: gone }).await.unwrap();
        }
    }
    f.pass(DAY);
    assert_eq!(run.expire(system).await.unwrap(), 1, "{}", expired.id);
    streams(&f, &store).await;
    deny(&f).await;
    crate::workshop::every_state(&f, &store).await;
    things(&f).await;
    crate::ontology::versions(&f).await;
    let (all, page) = (ClientFilter::default(), PageRequest::default());
    let programs = run.clients(buyer, f.buyer, &all, TimeOrder::Oldest, &page).await.unwrap().items;
    let scopes = ["api:write".parse().unwrap()];
    let program = run.through(programs[0].id, Bound::of(&scopes), Purpose::Changing);
    program.execute(buyer, Some(&key("active")), &EndLogins { user: f.buyer }).await.unwrap();
    observe(&f).await;
    run.post_notices().await.unwrap();
    run.read_notices(buyer, Recipient::User(f.buyer), 60).await.unwrap();
    store
}

/// All that there is of invitations, profiles and passwords.
async fn accounts(f: &Fixture) {
    let run = &f.market;
    let profile = Profile {
        domain: Some("smart-home".parse().unwrap()),
        time_zone: Some("Asia/Seoul".parse().unwrap()),
        unobserved: true,
        few_mails: true,
    };
    let invite = Invite {
        label: "The club".parse().unwrap(),
        roles: [RoleName::PROVIDER].into(),
        uses: 3,
        lifetime_seconds: 3_600,
    };
    let invitation = run.execute(Actor::System, Some(&key("invite")), &invite).await.unwrap().id;
    let register = RegisterUser {
        name: "guest".parse().unwrap(),
        display: "Guest".parse().unwrap(),
        email: Some("Guest@Example.org".parse().unwrap()),
        roles: [].into(),
        profile: profile.clone(),
        invitation: Some(invitation),
        password: Some(SecretHash::new("$argon2id$guest")),
    };
    let user = run.execute(Actor::Anonymous, None, &register).await.unwrap().id;
    run.execute(Actor::System, None, &WithdrawInvitation { invitation }).await.unwrap();
    let closed = Settings::default().with_registration(Registration::Invitation);
    let uninvited = RegisterUser { invitation: None, ..register };
    run.clone().with_settings(closed).execute(Actor::Anonymous, None, &uninvited).await.unwrap_err();
    let describe = DescribeUser { user, display: "Once a guest".parse().ok(), profile, keeps: [].into() };
    run.execute(Actor::User(user), None, &describe).await.unwrap();
    let (present, password) =
        (Some(SecretHash::new("$argon2id$guest")), Some(SecretHash::new("$argon2id$changed")));
    run.execute(
        Actor::User(user),
        Some(&key("other")),
        &ChangePassword { user, present, password, login: None },
    )
    .await
    .unwrap();
    for _ in 0..2 {
        f.pass(PasswordReset::PAUSE);
        run.execute(Actor::Anonymous, None, &AskPasswordReset { user }).await.unwrap();
    }
    let asked = run.store().get::<PasswordReset>(&user).await.unwrap().unwrap().entity;
    let reset =
        ResetPassword { user, reset: asked.id, password: Some(SecretHash::new("$argon2id$set-anew")) };
    run.execute(Actor::Anonymous, None, &reset).await.unwrap();
    f.pass(PasswordReset::PAUSE);
    run.execute(Actor::Anonymous, None, &AskPasswordReset { user }).await.unwrap();
    run.execute(Actor::User(user), None, &EndLogins { user }).await.unwrap();
    let strict = Settings::default().with_registration(Registration::Approval);
    let refused = RegisterUser { name: "refused".parse().unwrap(), ..uninvited };
    let refused = RegisterUser { roles: [RoleName::CONSUMER].into(), ..refused };
    let visited = Marketplace::open(f.store.clone(), Arc::new(Visitors), &[]).await.unwrap();
    let visited = visited.with_clock(f.clock.clone()).with_settings(strict);
    let visited = visited.with_ids(Arc::new(SequentialIds::default()));
    let user = visited.execute(Actor::Anonymous, None, &refused).await.unwrap().id;
    run.execute(Actor::System, None, &RejectUser { user }).await.unwrap();
}

/// Thing Descriptions: for ever, for a while, of those who say who sees them, changed and gone.
async fn things(f: &Fixture) {
    let (seller, run) = (Actor::User(f.seller), &f.market);
    let put = |id: &str, lifetime, visibility| PutThing {
        thing: id.parse().unwrap(),
        anonymous: id.starts_with("urn:uuid:"),
        document: "{\"title\":\"\u{b7a8}\u{d504} \\\"1\\\"\"}".to_owned(),
        visibility,
        lifetime,
        expect: None,
    };
    let hour = Lifetime { ttl: Some(3_600_000_000), expires: None };
    let until = Lifetime { ttl: None, expires: Some(f.clock_now().plus(DAY * 400)) };
    let anonymous = "urn:uuid:48951ff3-4019-4e67-b217-dbbf011873dc";
    run.execute(seller, Some(&key("lamp")), &put("urn:lamp", until, Some(Visibility::Private)))
        .await
        .unwrap();
    run.execute(seller, None, &put("urn:lamp", until, None)).await.unwrap();
    run.execute(seller, None, &put(anonymous, Lifetime::default(), Some(Visibility::Public))).await.unwrap();
    for id in ["urn:gone", "urn:over"] {
        run.execute(seller, None, &put(id, hour, None)).await.unwrap();
    }
    run.execute(seller, None, &RemoveThing { thing: "urn:gone".parse().unwrap(), expect: Some(1) })
        .await
        .unwrap();
    f.pass(DAY);
    assert_eq!(run.purge_things(Actor::System).await.unwrap(), 1);
}

/// All that there is of streams: terms from the beginning and later, numbers, measurements, samples of each kind.
async fn streams(f: &Fixture, store: &MemoryStore) {
    let (seller, run) = (Actor::User(f.seller), &f.market);
    let schema = Some("{\"type\": \"object\"}".to_owned());
    let sample = SampleTerms { last: 5, redact: vec!["/who/name".to_owned()], per_person_per_day: 3 };
    let stream = StreamDescription { schema, sample: Some(sample.clone()) };
    let create = CreateProduct {
        hub: f.hub.id,
        slug: "described".parse().unwrap(),
        title: "Described".parse().unwrap(),
        description: "".parse().unwrap(),
        tags: Vec::new(),
        devices: vec![f.device.id],
        stream: StreamDescription { schema: None, ..stream.clone() },
    };
    let described = run.execute(seller, None, &create).await.unwrap().id;
    run.execute(seller, None, &DescribeStream { product: described, stream: StreamDescription::default() })
        .await
        .unwrap();
    let product = f.product.id;
    run.execute(seller, None, &DescribeStream { product, stream }).await.unwrap();
    let patch = serde_json::json!({"schema": {"title": "Air"}, "sample": {"last": 5}});
    let patch = patch.as_object().unwrap().clone();
    let terms = run.execute(seller, None, &AmendStream { product, patch }).await.unwrap();

    let block = run.reserve(product, "gate-1", 64).await.unwrap();
    let first = block.first;
    run.release(product, "gate-1", SequenceBlock { first: first + 4, ..block }).await.unwrap();
    run.reserve(product, "gate-2", 64).await.unwrap();
    let now = f.clock_now();
    let mut quality = Quality::default();
    quality.observe(now, None, first, [9, 5_000, 3, 2]);
    quality.observe(now.plus(DAY / 48), Some(now), first + 70, [0]);
    quality.checked(now, first, Ok(()));
    quality.checked(now, first + 2, Err("\"a\" is not of type \"object\"".to_owned()));
    let payloads: [&[u8]; 5] =
        [br#"{"who": {"name": "x", "age": 7}}"#, &[b'x'; 5_000], b"a=5", b"\xff\x00", b"a=5"];
    let open = SampleTerms { redact: Vec::new(), ..sample.clone() };
    let shown = [
        sample.show(payloads[0]),
        sample.show(payloads[1]),
        open.show(payloads[2]),
        open.show(payloads[3]),
        sample.show(b"a=5"),
    ];
    let samples = (first..).zip(payloads.iter().zip(shown)).map(|(sequence, (payload, content))| Sample {
        sequence,
        at: now,
        bytes: u64::try_from(payload.len()).unwrap(),
        content,
    });
    let report = StreamReport { quality, samples: samples.collect(), revision: terms.revision };
    run.report(product, report).await.unwrap();
    let strict = Marketplace::open(Arc::new(store.clone()), Arc::new(MembersOnly), &[]).await.unwrap();
    let looked = strict.with_clock(f.clock.clone()).sample(Actor::User(f.buyer), product).await.unwrap();
    assert_eq!((looked.samples.len(), looked.looks_left), (5, Some(2)));
}

/// What people did with things: one who works in a domain, and one whose history was erased.
async fn observe(f: &Fixture) {
    let queue = ObservationQueue::new(9);
    let watcher = crate::analytics::person(f, "watcher", Some("smart-home")).await;
    let shy = crate::analytics::person(f, "shy", None).await;
    for (user, interaction) in [
        (watcher, Interaction::Discovered),
        (watcher, Interaction::Viewed),
        (watcher, Interaction::Viewed),
        (watcher, Interaction::Rated),
        (watcher, Interaction::Bought),
        (shy, Interaction::Viewed),
    ] {
        queue.push(Observation { user, item: Item::Product(f.product.id), interaction, at: f.market.now() });
    }
    f.market.write_observations(&queue, 9).await.unwrap();
    f.market.erase_history(Actor::User(shy), shy).await.unwrap();
    let quiet = crate::analytics::profile(None, true);
    let quiet = DescribeUser { user: shy, display: "Shy".parse().ok(), profile: quiet, keeps: [].into() };
    f.market.execute(Actor::User(shy), None, &quiet).await.unwrap();
    let other = crate::analytics::person(f, "other", None).await;
    f.market.erase_history(Actor::User(other), other).await.unwrap();
    f.market.heed_wish(shy, f.market.now()).await.unwrap();
}

/// What was denied: one of each kind, of which one had to make room.
async fn deny(f: &Fixture) {
    let queue = DenialQueue::new(3);
    let request = |operation: &str, code: &str| DeniedRequest {
        at: f.market.now(),
        user: None,
        client: None,
        device: None,
        order: None,
        peer: None,
        operation: operation.to_owned(),
        target: None,
        code: code.to_owned(),
        missing: None,
    };
    queue.record(request("list_users", "authentication_required"));
    queue.record(DeniedRequest {
        user: Some(f.buyer),
        client: Some(TypedId::from_bits(7)),
        peer: Some([192, 0, 2, 1].into()),
        target: Some("/users".to_owned()),
        missing: Some("user:manage".to_owned()),
        ..request("list_users", "forbidden")
    });
    f.market.write_denials(&queue, 2).await.unwrap();
    for _ in 0..4 {
        queue.record(DeniedRequest {
            device: Some(TypedId::from_bits(8)),
            order: Some(TypedId::from_bits(9)),
            peer: Some("2001:db8::1".parse().unwrap()),
            ..request("publish", "not_authorized")
        });
    }
    queue.drop_first(2);
    queue.record(request("connect", "not_authorized"));
    f.market.write_denials(&queue, 3).await.unwrap();
}
