//! How traces are made at random.

use proptest::prelude::*;

use super::step::{Act, Choice, KeyUse, Look, Step, Trace, Who};
use crate::access::HubRole;
use crate::money::{Amount, UnitPrice};
use crate::oauth::{ClientKind, ClientState};
use crate::offer::Plan;
use crate::product::ProductState;
use crate::role::RoleName;

/// A seller with a listed product and an offer of each plan, two buyers with money, and some orders: where
/// random traces begin, so that most of their steps have something to do.
pub fn opening() -> Vec<Step> {
    let price = Amount::new(120).unwrap_or_default();
    let unit_price = UnitPrice::try_from(15_000_000).unwrap_or(UnitPrice::MAX);
    let offer = |plan, term| Act::PublishOffer { product: 0, plan, term };
    let user = |name, role| Act::RegisterUser { name, roles: vec![role] };
    [
        user(0, RoleName::PROVIDER),
        user(1, RoleName::CONSUMER),
        user(2, RoleName::CONSUMER),
        Act::ActivateUser { user: 0 },
        Act::ActivateUser { user: 1 },
        Act::ActivateUser { user: 2 },
        Act::RegisterHub { founder: 0, slug: 0 },
        Act::RegisterDevice { hub: 0, name: 0, key: false },
        Act::CreateProduct { hub: 0, slug: 0, devices: vec![0] },
        Act::MoveProduct { product: 0, to: ProductState::Listed },
        offer(Plan::Free { quota: Some(30) }, Some(500)),
        offer(Plan::FixedCount { messages: 10, price }, None),
        offer(Plan::PerMessage { unit_price, quota: None }, None),
        Act::TopUp { user: 1, minor: 700 },
        Act::TopUp { user: 2, minor: 150 },
        Act::Purchase { buyer: 1, offer: 0 },
        Act::Purchase { buyer: 1, offer: 1 },
        Act::Purchase { buyer: 2, offer: 2 },
    ]
    .map(Step::fitting)
    .to_vec()
}

fn choice() -> impl Strategy<Value = Choice> + Clone {
    prop_oneof![30 => 0_u8..6, 1 => 240_u8..=255]
}

fn page() -> impl Strategy<Value = usize> {
    1_usize..5
}

fn role() -> impl Strategy<Value = RoleName> {
    let made = || (0_u8..2).prop_map(|number| format!("role-{number}").parse().unwrap_or(RoleName::USER));
    prop_oneof![
        3 => Just(RoleName::CONSUMER),
        3 => Just(RoleName::PROVIDER),
        1 => Just(RoleName::ADMINISTRATOR),
        1 => made(),
    ]
}

fn role_number() -> impl Strategy<Value = u8> {
    prop_oneof![3 => 0_u8..2, 1 => 200_u8..204]
}

fn plan() -> impl Strategy<Value = Plan> {
    // A few make no sense (a price of nothing), and are refused.
    let price = (0_i64..500).prop_map(|minor| Amount::new(minor).unwrap_or_default());
    let unit = (0_u64..90_000_000).prop_map(|nanos| UnitPrice::try_from(nanos).unwrap_or(UnitPrice::MAX));
    prop_oneof![
        prop::option::of(0_u64..50).prop_map(|quota| Plan::Free { quota }),
        (1_u64..60, price).prop_map(|(messages, price)| Plan::FixedCount { messages, price }),
        (unit, prop::option::of(1_u64..50))
            .prop_map(|(unit_price, quota)| Plan::PerMessage { unit_price, quota }),
    ]
}

fn people() -> impl Strategy<Value = Act> {
    let roles = || prop::collection::vec(role(), 0..3);
    let hub_role = prop_oneof![Just(HubRole::Viewer), Just(HubRole::Manager), Just(HubRole::Owner)];
    prop_oneof![
        3 => (0_u8..8, roles()).prop_map(|(name, roles)| Act::RegisterUser { name, roles }),
        1 => choice().prop_map(|user| Act::SuspendUser { user }),
        3 => choice().prop_map(|user| Act::ActivateUser { user }),
        1 => (choice(), roles()).prop_map(|(user, roles)| Act::SetRoles { user, roles }),
        1 => (0_u8..2, any::<u8>()).prop_map(|(name, permissions)| Act::CreateRole { name, permissions }),
        1 => (role_number(), prop::option::weighted(0.5, 0_u32..3), any::<u8>())
            .prop_map(|(name, expected, permissions)| Act::EditRole { name, expected, permissions }),
        1 => (role_number(), prop::option::weighted(0.3, 0_u32..3))
            .prop_map(|(name, expected)| Act::RemoveRole { name, expected }),
        1 => (choice(), 0_u8..4).prop_map(|(founder, slug)| Act::RegisterHub { founder, slug }),
        2 => (choice(), choice(), hub_role).prop_map(|(hub, user, role)| Act::SetMember { hub, user, role }),
        1 => (choice(), choice()).prop_map(|(hub, user)| Act::RemoveMember { hub, user }),
        1 => (choice(), prop::bool::weighted(0.7)).prop_map(|(hub, active)| Act::SetHubState { hub, active }),
        1 => (choice(), any::<u8>()).prop_map(|(hub, title)| Act::DescribeHub { hub, title }),
    ]
}

fn accounts() -> impl Strategy<Value = Act> {
    let right = || prop::bool::weighted(0.8);
    prop_oneof![
        3 => (prop::collection::vec(role(), 0..3), 0_u8..4)
            .prop_map(|(roles, uses)| Act::Invite { roles, uses }),
        1 => choice().prop_map(|invitation| Act::WithdrawInvitation { invitation }),
        4 => (0_u8..8, choice()).prop_map(|(name, invitation)| Act::RegisterInvited { name, invitation }),
        1 => choice().prop_map(|user| Act::RejectUser { user }),
        1 => (choice(), 0_u8..8).prop_map(|(user, domain)| Act::DescribeUser { user, domain }),
        2 => (choice(), right()).prop_map(|(user, right)| Act::ChangePassword { user, right }),
        5 => choice().prop_map(|user| Act::AskPasswordReset { user }),
        2 => (choice(), right()).prop_map(|(user, right)| Act::ResetPassword { user, right }),
        1 => choice().prop_map(|user| Act::EndLogins { user }),
    ]
}

fn sale() -> impl Strategy<Value = Act> {
    let time = || prop::option::of(0_u64..200);
    let state = prop_oneof![
        1 => Just(ProductState::Draft),
        12 => Just(ProductState::Listed),
        3 => Just(ProductState::Paused),
        1 => Just(ProductState::Retired),
    ];
    let devices = prop::collection::vec(choice(), 0..3);
    prop_oneof![
        2 => (choice(), 0_u8..4, any::<bool>()).prop_map(|(hub, name, key)| Act::RegisterDevice { hub, name, key }),
        2 => (choice(), time(), time())
            .prop_map(|(device, from, until)| Act::AddCredential { device, from, until }),
        2 => choice().prop_map(|credential| Act::RemoveCredential { credential }),
        1 => (choice(), any::<bool>()).prop_map(|(device, active)| Act::SetDeviceState { device, active }),
        1 => (choice(), any::<u8>()).prop_map(|(device, title)| Act::DescribeDevice { device, title }),
        2 => (choice(), 0_u8..4, devices.clone())
            .prop_map(|(hub, slug, devices)| Act::CreateProduct { hub, slug, devices }),
        1 => (choice(), any::<u8>()).prop_map(|(product, title)| Act::DescribeProduct { product, title }),
        1 => (choice(), devices.clone())
            .prop_map(|(product, devices)| Act::SupplyProduct { product, devices }),
        1 => (choice(), 0_u8..5, 0_u8..5)
            .prop_map(|(product, schema, last)| Act::AmendStream { product, schema, last }),
        1 => (choice(), 0_u8..4, 0_u8..4)
            .prop_map(|(product, schema, last)| Act::DescribeStream { product, schema, last }),
        3 => (choice(), state).prop_map(|(product, to)| Act::MoveProduct { product, to }),
        4 => (choice(), plan(), prop::option::weighted(0.3, 0_u64..300))
            .prop_map(|(product, plan, term)| Act::PublishOffer { product, plan, term }),
        1 => choice().prop_map(|offer| Act::WithdrawOffer { offer }),
    ]
}

/// Mostly nothing.
fn missed() -> impl Strategy<Value = u8> {
    prop_oneof![3 => Just(0), 1 => 1_u8..200]
}

fn trade() -> impl Strategy<Value = Act> {
    let top_up = prop_oneof![8 => 1_i64..2_000, 1 => Just(0), 1 => Just(i64::from(i32::MAX))];
    prop_oneof![
        2 => (choice(), top_up).prop_map(|(user, minor)| Act::TopUp { user, minor }),
        1 => (choice(), choice()).prop_map(|(buyer, offer)| Act::Purchase { buyer, offer }),
        8 => (1_u8..3, choice()).prop_map(|(buyer, offer)| Act::Purchase { buyer, offer }),
        1 => choice().prop_map(|order| Act::CancelOrder { order }),
        1 => choice().prop_map(|order| Act::RevokeGrant { order }),
        1 => choice().prop_map(|order| Act::ExpireGrant { order }),
        1 => choice().prop_map(|order| Act::ReplaceOrderPassword { order }),
        2 => (choice(), 1_u8..=5).prop_map(|(order, stars)| Act::RateProduct { order, stars }),
        7 => (choice(), 0_u8..3, 0_u64..40)
            .prop_map(|(order, holder, messages)| Act::OpenLease { order, holder, messages }),
        5 => (choice(), prop_oneof![9 => 0_u8..40, 1 => 200_u8..=255], missed(), 0_u64..40).prop_map(
            |(lease, delivered, missed, more)| Act::ExtendLease { lease, delivered, missed, more }
        ),
        3 => (choice(), prop_oneof![9 => 0_u8..40, 1 => 200_u8..=255], missed())
            .prop_map(|(lease, delivered, missed)| Act::CloseLease { lease, delivered, missed }),
        1 => choice().prop_map(|lease| Act::ReclaimLease { lease }),
    ]
}

fn clients() -> impl Strategy<Value = Act> {
    let kind = prop_oneof![
        1 => Just(ClientKind::Public),
        2 => Just(ClientKind::Confidential),
        1 => Just(ClientKind::Machine),
    ];
    let state = prop_oneof![
        2 => Just(ClientState::Active),
        2 => Just(ClientState::Disabled),
        1 => Just(ClientState::Suspended),
    ];
    prop_oneof![
        // Some make no sense (a machine with a redirect URI), and are refused.
        4 => (choice(), kind, any::<bool>())
            .prop_map(|(owner, kind, redirected)| Act::RegisterClient { owner, kind, redirected }),
        2 => (choice(), 0_u8..3).prop_map(|(client, scopes)| Act::DescribeClient { client, scopes }),
        2 => choice().prop_map(|client| Act::ReplaceClientSecret { client }),
        3 => (choice(), state).prop_map(|(client, state)| Act::SetClientState { client, state }),
        1 => choice().prop_map(|client| Act::RemoveClient { client }),
    ]
}

fn things() -> impl Strategy<Value = Act> {
    let ttl = || prop::option::of(0_u64..200);
    prop_oneof![
        5 => (choice(), 0_u8..4, any::<bool>(), ttl())
            .prop_map(|(owner, thing, private, ttl)| Act::PutThing { owner, thing, private, ttl }),
        2 => (choice(), 0_u8..4).prop_map(|(owner, thing)| Act::RemoveThing { owner, thing }),
        2 => (0_u8..4).prop_map(|thing| Act::PurgeThing { thing }),
    ]
}

fn ontology() -> impl Strategy<Value = Act> {
    (prop::option::weighted(0.8, 0_u8..5), prop::bool::weighted(0.2))
        .prop_map(|(text, first)| Act::ChangeOntology { text, first })
}

fn looks() -> impl Strategy<Value = Look> {
    let one = |look: fn(Choice) -> Look| choice().prop_map(look);
    prop_oneof![
        page().prop_map(|page| Look::Catalogue { page }),
        page().prop_map(|page| Look::Users { page }),
        Just(Look::Roles),
        page().prop_map(|page| Look::Ontology { page }),
        one(Look::Memberships),
        (choice(), page()).prop_map(|(hub, page)| Look::Members { hub, page }),
        (choice(), page()).prop_map(|(hub, page)| Look::Devices { hub, page }),
        (choice(), page()).prop_map(|(hub, page)| Look::Products { hub, page }),
        (choice(), page()).prop_map(|(product, page)| Look::Offers { product, page }),
        (choice(), page()).prop_map(|(product, page)| Look::Ratings { product, page }),
        (choice(), page()).prop_map(|(buyer, page)| Look::Orders { buyer, page }),
        (choice(), page()).prop_map(|(hub, page)| Look::Sales { hub, page }),
        one(Look::Statement),
        (choice(), page()).prop_map(|(owner, page)| Look::Clients { owner, page }),
        one(Look::Client),
        one(Look::Grant),
        one(Look::PublishRights),
        one(Look::Stream),
        one(Look::Balances),
        (choice(), 0_u8..36, page()).prop_map(|(owner, filter, page)| Look::Objects { owner, filter, page }),
        one(Look::Object),
        (choice(), page()).prop_map(|(user, page)| Look::Entries { user, page }),
        (0_u64..40).prop_map(|after| Look::Events { after }),
        (0_u64..40).prop_map(|after| Look::AuditLog { after }),
        (choice(), page()).prop_map(|(user, page)| Look::Notices { user, page }),
    ]
}

/// Any step.
pub fn steps() -> impl Strategy<Value = Step> {
    let who = prop_oneof![
        12 => Just(Who::Fitting),
        1 => Just(Who::System),
        1 => Just(Who::Anonymous),
        3 => choice().prop_map(Who::User),
    ];
    let key = prop_oneof![
        4 => Just(KeyUse::None),
        3 => Just(KeyUse::Own),
        2 => (0_u8..3).prop_map(KeyUse::Shared),
    ];
    let act = prop_oneof![
        4 => people().boxed(),
        3 => accounts().boxed(),
        5 => sale().boxed(),
        18 => trade().boxed(),
        2 => clients().boxed(),
        2 => things().boxed(),
        1 => ontology().boxed(),
        3 => super::objects::acts(choice()).prop_map(Act::Object).boxed(),
        3 => super::analytics::acts(choice()).prop_map(Act::Analytics).boxed(),
        6 => looks().prop_map(Act::Look),
        3 => (1_u8..8).prop_map(|back| Act::Again { back }),
        2 => (1_u64..150).prop_map(|seconds| Act::Wait { seconds }),
        1 => Just(Act::Expire),
        1 => Just(Act::PostNotices),
        1 => Just(Act::Reopen),
    ];
    (who, key, act).prop_map(|(who, key, act)| Step { who, key, act })
}

/// Any trace: the [`opening`], then up to this many random steps.
pub fn traces(steps_after: usize) -> impl Strategy<Value = Trace> {
    let random = prop::collection::vec(steps(), 1..=steps_after.max(1));
    (any::<bool>(), random).prop_map(|(approval, random)| {
        let steps = opening().into_iter().chain(random).collect();
        Trace { approval, steps }
    })
}
