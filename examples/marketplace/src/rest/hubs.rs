//! Hubs, their members and their sales.

use i3_core::access::{Action, HubRole, Resource};
use i3_core::hub::{Hub, HubState, Membership, MembershipId};
use i3_core::id::{HubId, UserId};
use i3_core::market::{Caller, DescribeHub, RecordTag, RegisterHub, RemoveMember, SetHubState, SetMember};
use i3_core::name::{Label, Slug};
use i3_core::order::Order;
use i3_core::store::StoreError;
use schemars::JsonSchema;
use serde::Deserialize;

use super::orders::OrderQuery;
use super::representation::{Created, Linked, Links, Listed, Shown};
use super::request::{Answer, Api, Body, Edit, InPath, InQuery, Patch, Patched, page_request};
use super::route::{Done, Routes, about};

pub(super) fn routes() -> Routes {
    Routes::new()
        .post(
            "/hubs",
            register,
            about("register_hub", "Registers a hub, whose owner one becomes").permission(Action::RegisterHub),
        )
        .get("/hubs/{hub}", show, about("show_hub", "A hub's public face").anybody())
        .patch(
            "/hubs/{hub}",
            edit,
            about("edit_hub", "Changes what people read about a hub")
                .permission(Action::EditHub)
                .relation("describe"),
        )
        .put(
            "/hubs/{hub}/state",
            set_state,
            about("set_hub_state", "Suspends or reinstates a hub")
                .permission(Action::ManageUsers)
                .relation("set-state"),
        )
        .get(
            "/hubs/{hub}/members",
            members,
            about("list_members", "The members of a hub").permission(Action::ViewHub),
        )
        .put(
            "/hubs/{hub}/members/{user}",
            set_member,
            about("set_member", "Makes a user a member of a hub, or another kind of member")
                .permission(Action::ManageMembers)
                .relation("member"),
        )
        .delete(
            "/hubs/{hub}/members/{user}",
            remove_member,
            about("remove_member", "Removes a member from a hub")
                .permission(Action::ManageMembers)
                .relation("member"),
        )
        .get(
            "/hubs/{hub}/orders",
            sales,
            about("list_sales", "The orders of a hub's products").permission(Action::ViewHub),
        )
}

impl Linked for Hub {
    fn tag(&self) -> Result<Option<RecordTag>, StoreError> {
        RecordTag::of(self).map(Some)
    }

    fn links(&self, caller: &Caller, links: &mut Links<'_>) {
        let own = format!("/hubs/{}", self.id);
        let may = |action| caller.may_in_hub(action, self.id);
        links.own(&own);
        if may(Action::ViewHub) {
            for inside in ["members", "devices", "products", "orders"] {
                links.to(inside, format!("{own}/{inside}"));
            }
        }
        if may(Action::EditHub) {
            links.action("describe", &own);
        }
        if may(Action::ManageMembers) {
            links.template("member", format!("{own}/members/{{user}}"));
        }
        if may(Action::ManageDevices) {
            links.action("register-device", format!("{own}/devices"));
        }
        if may(Action::ManageProducts) {
            links.action("create-product", format!("{own}/products"));
        }
        if caller.may(Action::ManageUsers, &Resource::MARKETPLACE) {
            links.action("set-state", format!("{own}/state"));
        }
    }
}

impl Linked for Membership {
    fn tag(&self) -> Result<Option<RecordTag>, StoreError> {
        RecordTag::of(self).map(Some)
    }

    fn links(&self, caller: &Caller, links: &mut Links<'_>) {
        let own = format!("/hubs/{}/members/{}", self.hub, self.user);
        links.to("hub", format!("/hubs/{}", self.hub));
        if caller.may_with(Action::ViewUser, self.user) {
            links.to("user", format!("/users/{}", self.user));
        }
        if caller.may_in_hub(Action::ManageMembers, self.hub) {
            links.action("member", own);
        }
    }
}

/// A hub to be registered.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct HubRegistration {
    slug: Slug,
    title: Label,
}

async fn register(api: Api, Body(body): Body<HubRegistration>) -> Answer<Created<Hub>> {
    // Anybody else is told to sign in rather than that a hub needs an owner.
    api.user()?;
    let hub = api.execute(RegisterHub { slug: body.slug, title: body.title }).await?;
    api.created(format!("/hubs/{}", hub.id), hub).await
}

async fn show(api: Api, InPath(hub): InPath<HubId>) -> Answer<Shown<Hub>> {
    api.show(api.market().hub(hub).await.map_err(|error| api.refused(error))?).await
}

/// What people shall read about a hub; what is left out stays.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct HubPatch {
    title: Edit<Label>,
}

impl Patched for HubPatch {
    const FIXED: &'static [&'static str] = &["id", "slug", "registered"];
}

async fn edit(api: Api, InPath(hub): InPath<HubId>, Patch(patch): Patch<HubPatch>) -> Answer<Shown<Hub>> {
    let command = DescribeHub { hub, title: patch.title.required("title")? };
    api.show(api.execute_on::<Hub, _>(hub, command).await?).await
}

/// The state that a hub shall be in.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct HubStateChange {
    state: HubState,
}

async fn set_state(
    api: Api,
    InPath(hub): InPath<HubId>,
    Body(body): Body<HubStateChange>,
) -> Answer<Shown<Hub>> {
    let changed = api.execute_on::<Hub, _>(hub, SetHubState { hub, state: body.state }).await?;
    api.show(changed).await
}

/// Which members are wanted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct MemberQuery {
    /// Those with this role.
    role: Option<HubRole>,
    /// The `next` of the page before.
    after: Option<String>,
    /// How many items: 1 to 200, 50 if nothing is said.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<usize>,
}

async fn members(
    api: Api,
    InPath(hub): InPath<HubId>,
    InQuery(query): InQuery<MemberQuery>,
) -> Answer<Shown<Listed<Membership>>> {
    let page = page_request(query.after.as_deref(), query.limit)?;
    let members = api.market().members(api.actor, hub, query.role, &page).await;
    api.list(members.map_err(|error| api.refused(error))?).await
}

/// What a member shall be.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct MemberChange {
    role: HubRole,
}

async fn set_member(
    api: Api,
    InPath((hub, user)): InPath<(HubId, UserId)>,
    Body(body): Body<MemberChange>,
) -> Answer<Shown<Membership>> {
    let id = MembershipId { hub, user };
    let member = api.execute_on::<Membership, _>(id, SetMember { hub, user, role: body.role }).await?;
    api.show(member).await
}

async fn remove_member(api: Api, InPath((hub, user)): InPath<(HubId, UserId)>) -> Answer<Done> {
    api.execute_on::<Membership, _>(MembershipId { hub, user }, RemoveMember { hub, user }).await?;
    Ok(Done)
}

async fn sales(
    api: Api,
    InPath(hub): InPath<HubId>,
    InQuery(query): InQuery<OrderQuery>,
) -> Answer<Shown<Listed<Order>>> {
    let (filter, sort, page) = query.request()?;
    let orders = api.market().sales(api.actor, hub, &filter, sort, &page).await;
    api.list(orders.map_err(|error| api.refused(error))?).await
}
