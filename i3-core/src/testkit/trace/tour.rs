//! A trace that shows the whole marketplace.

use super::step::{Act, KeyUse, Look, Step, Trace, Who};
use crate::access::HubRole;
use crate::money::{Amount, UnitPrice};
use crate::oauth::{ClientKind, ClientState};
use crate::offer::Plan;
use crate::product::ProductState;
use crate::role::RoleName;

/// What a user is given who has a role that somebody made.
fn custom() -> Vec<RoleName> {
    [RoleName::CONSUMER, RoleName::PROVIDER].into_iter().chain("role-0".parse()).collect()
}

/// A trace in which every command of the marketplace is carried out at least once, each under an
/// idempotency key of its own, with some refusals between them.
pub fn tour() -> Trace {
    let user = |name, role| Act::RegisterUser { name, roles: vec![role] };
    let fixed = Plan::FixedCount { messages: 10, price: Amount::new(200).unwrap_or_default() };
    let unit_price = UnitPrice::try_from(15_000_000).unwrap_or(UnitPrice::MAX);
    let per_message = Plan::PerMessage { unit_price, quota: None };
    let offer = |plan, term| Act::PublishOffer { product: 0, plan, term };
    let moved = |to| Act::MoveProduct { product: 0, to };
    let acts = [
        // People, all of whom have to be approved.
        user(0, RoleName::PROVIDER),
        Act::RegisterHub { founder: 0, slug: 0 },
        Act::ActivateUser { user: 0 },
        user(1, RoleName::CONSUMER),
        Act::ActivateUser { user: 1 },
        user(1, RoleName::CONSUMER),
        user(2, RoleName::CONSUMER),
        Act::ActivateUser { user: 2 },
        Act::SetRoles { user: 2, roles: vec![RoleName::CONSUMER, RoleName::PROVIDER] },
        // Who comes by invitation needs no approval.
        Act::Invite { roles: vec![RoleName::CONSUMER], uses: 2 },
        Act::RegisterInvited { name: 1, invitation: 0 },
        Act::WithdrawInvitation { invitation: 0 },
        Act::RegisterInvited { name: 2, invitation: 0 },
        user(4, RoleName::CONSUMER),
        Act::RejectUser { user: 4 },
        Act::DescribeUser { user: 2, domain: 7 },
        Act::ChangePassword { user: 2, right: false },
        Act::ChangePassword { user: 2, right: true },
        Act::AskPasswordReset { user: 2 },
        Act::AskPasswordReset { user: 2 },
        Act::ResetPassword { user: 2, right: false },
        Act::ResetPassword { user: 2, right: true },
        Act::ResetPassword { user: 2, right: true },
        Act::EndLogins { user: 2 },
        Act::CreateRole { name: 0, permissions: 1 },
        Act::CreateRole { name: 0, permissions: 1 },
        Act::EditRole { name: 0, expected: Some(1), permissions: 2 },
        Act::EditRole { name: 0, expected: Some(1), permissions: 3 },
        Act::EditRole { name: 200, expected: Some(0), permissions: 200 },
        Act::EditRole { name: 203, expected: None, permissions: 0 },
        Act::SetRoles { user: 2, roles: custom() },
        Act::Look(Look::Roles),
        Act::RemoveRole { name: 0, expected: Some(2) },
        Act::RemoveRole { name: 201, expected: None },
        Act::SetRoles { user: 2, roles: custom() },
        // A hub with what it sells.
        Act::RegisterHub { founder: 0, slug: 0 },
        Act::SetMember { hub: 0, user: 2, role: HubRole::Manager },
        Act::RemoveMember { hub: 0, user: 2 },
        Act::RegisterDevice { hub: 0, name: 0, key: false },
        Act::AddCredential { device: 0, from: None, until: Some(1_000) },
        Act::RemoveCredential { credential: 0 },
        Act::SetDeviceState { device: 0, active: false },
        Act::SetDeviceState { device: 0, active: true },
        Act::DescribeHub { hub: 0, title: 1 },
        Act::DescribeDevice { device: 0, title: 1 },
        Act::CreateProduct { hub: 0, slug: 0, devices: vec![0] },
        Act::DescribeProduct { product: 0, title: 1 },
        Act::DescribeStream { product: 0, schema: 1, last: 2 },
        Act::AmendStream { product: 0, schema: 2, last: 4 },
        Act::DescribeStream { product: 0, schema: 2, last: 0 },
        moved(ProductState::Listed),
        Act::RegisterDevice { hub: 0, name: 1, key: true },
        Act::SupplyProduct { product: 0, devices: vec![1] },
        Act::Look(Look::PublishRights(0)),
        Act::Look(Look::PublishRights(1)),
        Act::SupplyProduct { product: 0, devices: vec![0, 1] },
        offer(fixed, None),
        offer(per_message, Some(100)),
        offer(Plan::Free { quota: None }, None),
        Act::WithdrawOffer { offer: 2 },
        // Money and orders: one paid at once, one paid as it goes.
        Act::Purchase { buyer: 1, offer: 0 },
        Act::TopUp { user: 1, minor: 500 },
        Act::Purchase { buyer: 1, offer: 0 },
        Act::Purchase { buyer: 1, offer: 1 },
        Act::ReplaceOrderPassword { order: 0 },
        Act::OpenLease { order: 0, holder: 0, messages: 4 },
        Act::OpenLease { order: 1, holder: 0, messages: 20 },
        Act::ExtendLease { lease: 0, delivered: 3, missed: 6, more: 2 },
        Act::CloseLease { lease: 0, delivered: 2, missed: 9 },
        Act::CloseLease { lease: 0, delivered: 0, missed: 0 },
        Act::RateProduct { order: 0, stars: 4 },
        Act::RateProduct { order: 0, stars: 5 },
        Act::ReclaimLease { lease: 1 },
        Act::DescribeUser { user: 1, domain: 7 },
        Act::CancelOrder { order: 0 },
        Act::Wait { seconds: 200 },
        Act::ExpireGrant { order: 1 },
        Act::TopUp { user: 2, minor: 900 },
        Act::Purchase { buyer: 2, offer: 0 },
        Act::RevokeGrant { order: 2 },
        // Programs that act for them.
        Act::RegisterClient { owner: 1, kind: ClientKind::Confidential, redirected: true },
        Act::RegisterClient { owner: 1, kind: ClientKind::Machine, redirected: true },
        Act::DescribeClient { client: 0, scopes: 1 },
        Act::ReplaceClientSecret { client: 0 },
        Act::SetClientState { client: 0, state: ClientState::Suspended },
        Act::SetClientState { client: 0, state: ClientState::Active },
        Act::RemoveClient { client: 0 },
        // Things: one for a while, one that only its owner sees.
        Act::PutThing { owner: 0, thing: 0, private: false, ttl: Some(50) },
        Act::PurgeThing { thing: 0 },
        Act::PutThing { owner: 0, thing: 1, private: true, ttl: None },
        Act::PutThing { owner: 2, thing: 1, private: false, ttl: None },
        Act::RemoveThing { owner: 2, thing: 1 },
        Act::RemoveThing { owner: 0, thing: 1 },
        // What is added to the ontology: by administrators only, and never on top of what one has not seen.
        Act::Look(Look::Ontology { page: 2 }),
        Act::ChangeOntology { text: None, first: false },
        Act::ChangeOntology { text: Some(1), first: true },
        Act::ChangeOntology { text: Some(2), first: false },
        Act::ChangeOntology { text: Some(3), first: true },
        Act::ChangeOntology { text: Some(4), first: false },
        Act::ChangeOntology { text: None, first: false },
        Act::ChangeOntology { text: None, first: false },
        Act::Look(Look::Ontology { page: 2 }),
        Act::Wait { seconds: 60 },
        Act::PurgeThing { thing: 0 },
    ]
    .into_iter()
    .chain(super::analytics::tour().into_iter().map(Act::Analytics))
    .chain(super::objects::tour().into_iter().map(Act::Object))
    .chain([
        Act::SuspendUser { user: 1 },
        Act::SetHubState { hub: 0, active: false },
        moved(ProductState::Paused),
    ]);
    let mut steps: Vec<Step> = acts.map(Step::fitting).collect();
    // A key is for one request and one actor.
    for user in [1, 2] {
        let act = Act::RegisterHub { founder: user, slug: 1 };
        steps.push(Step { who: Who::User(user), key: KeyUse::Shared(0), act });
    }
    Trace { approval: true, steps }
}
