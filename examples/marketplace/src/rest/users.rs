//! Accounts of people and organizations.

use std::collections::BTreeSet;

use i3_auth::Secret;
use i3_core::access::{Action, Actor, Resource};
use i3_core::hub::Membership;
use i3_core::id::UserId;
use i3_core::market::{
    ActivateUser, Caller, DescribeUser, ProfilePart, RecordTag, Refusal, RegisterUser, RejectUser, SetRoles,
    SuspendUser, TimeOrder, TopUp, UserFilter,
};
use i3_core::money::{Amount, Currency};
use i3_core::name::{Email, Label, Slug};
use i3_core::order::Order;
use i3_core::role::RoleName;
use i3_core::secret::SecretHash;
use i3_core::store::StoreError;
use i3_core::time::ZoneName;
use i3_core::user::{Profile, User, UserState};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::challenge;
use super::orders::OrderQuery;
use super::passwords::end_programs;
use super::problem::Problem;
use super::representation::{Created, Linked, Links, Listed, Shown};
use super::request::{Answer, Api, Body, Edit, InPath, InQuery, Patch, Patched, page_request};
use super::route::{Routes, about};
use crate::floods::Flood;

pub(super) fn routes() -> Routes {
    let manages = |id, summary| about(id, summary).permission(Action::ManageUsers);
    Routes::new()
        .get("/users", list, manages("list_users", "Accounts"))
        .post(
            "/users",
            register,
            about("register_user", "Opens an account")
                .anybody()
                .permission(Action::RegisterUser)
                .permission(Action::ManageUsers),
        )
        .get("/users/me", me, about("show_me", "One's own account").permission(Action::ViewUser))
        .get("/users/{user}", show, about("show_user", "An account").permission(Action::ViewUser))
        .post(
            "/users/{user}/approve",
            activate,
            manages("approve_user", "Approves a user").relation("approve"),
        )
        .put(
            "/users/{user}",
            describe,
            about("describe_user", "What one says of oneself")
                .permission(Action::EditUser)
                .relation("describe"),
        )
        .patch(
            "/users/{user}",
            edit,
            about("edit_user", "Changes some of what one says of oneself")
                .permission(Action::EditUser)
                .relation("describe"),
        )
        .post(
            "/users/{user}/reject",
            reject,
            manages("reject_user", "Rejects a registration").relation("reject"),
        )
        .post(
            "/users/{user}/reinstate",
            activate,
            manages("reinstate_user", "Ends a user's suspension").relation("reinstate"),
        )
        .post(
            "/users/{user}/suspend",
            suspend,
            manages("suspend_user", "Suspends a user").relation("suspend"),
        )
        .put(
            "/users/{user}/roles",
            set_roles,
            manages("set_roles", "Gives a user roles").relation("set-roles"),
        )
        .get(
            "/users/{user}/hubs",
            hubs,
            about("list_memberships", "The hubs that a user is a member of").permission(Action::ViewUser),
        )
        .get(
            "/users/{user}/orders",
            orders,
            about("list_user_orders", "A user's orders").permission(Action::ViewOrder),
        )
        .post(
            "/users/{user}/top-ups",
            top_up,
            about("top_up", "Credits a user's account").permission(Action::TopUp).relation("top-up"),
        )
}

impl Linked for User {
    fn tag(&self) -> Result<Option<RecordTag>, StoreError> {
        RecordTag::of(self).map(Some)
    }

    fn links(&self, caller: &Caller, links: &mut Links<'_>) {
        let own = format!("/users/{}", self.id);
        links.own(&own);
        links.to("hubs", format!("{own}/hubs"));
        let is_own = caller.actor() == Actor::User(self.id);
        if caller.may_with(Action::ViewOrder, self.id) {
            links.to("orders", format!("{own}/orders"));
        }
        if caller.may_with(Action::ViewAccount, self.id) {
            links.to("balances", format!("/accounts/{}/balances", self.id));
        }
        if caller.may(Action::ManageUsers, &Resource::of_user(self.id)) {
            match self.state {
                UserState::Pending => {
                    links.action("approve", format!("{own}/approve"));
                    links.action("reject", format!("{own}/reject"));
                }
                UserState::Active => links.action("suspend", format!("{own}/suspend")),
                UserState::Suspended => links.action("reinstate", format!("{own}/reinstate")),
                _ => {}
            }
            links.action("set-roles", format!("{own}/roles"));
        }
        if caller.may(Action::Audit, &Resource::MARKETPLACE)
            || is_own && caller.may_with(Action::ViewUser, self.id)
        {
            links.to("events", format!("{own}/events"));
        }
        if caller.may_with(Action::EditUser, self.id) {
            links.action("describe", &own);
            links.action("erase-events", format!("{own}/events"));
        }
        if caller.may_with(Action::TopUp, self.id) {
            links.action("top-up", format!("{own}/top-ups"));
        }
    }
}

/// The shortest password that is taken, in characters (NIST SP 800-63B, 3.1.1.2).
const MIN_PASSWORD: usize = 8;

/// Hashes a new password.
pub(super) async fn hash(api: &Api, password: &Secret) -> Answer<SecretHash> {
    if password.expose().chars().count() < MIN_PASSWORD {
        let reason = format_args!("at least {MIN_PASSWORD} characters are expected");
        return Err(Problem::invalid("password", reason));
    }
    Ok(api.access().passwords.hash(password.expose().as_bytes()).await?)
}

/// An account to be opened.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct UserRegistration {
    name: Slug,
    display: Option<Label>,
    email: Option<Email>,
    #[serde(default)]
    roles: BTreeSet<RoleName>,
    /// At least 8 characters.
    #[schemars(with = "String")]
    password: Secret,
    domain: Option<Slug>,
    time_zone: Option<ZoneName>,
    /// The text that was given with the invitation, where one is needed.
    #[schemars(with = "Option<String>")]
    invitation: Option<Secret>,
    /// The answer to what `GET /challenge` asks, where something is asked.
    challenge: Option<String>,
}

async fn register(api: Api, Body(body): Body<UserRegistration>) -> Answer<Created<User>> {
    // Who is signed in is known, and limited as such.
    if api.actor == Actor::Anonymous {
        api.hold_off(Flood::Registration)?;
        challenge::check(&api, body.challenge.as_deref())?;
    }
    let display = match body.display {
        Some(display) => display,
        None => body.name.as_str().parse().map_err(|error| Problem::invalid("display", error))?,
    };
    let invitation = match body.invitation {
        Some(text) => {
            let known = api.access().leaves.read_invitation(text.expose());
            Some(known.ok_or_else(|| api.refused(Refusal::InvitationNotGood.into()))?)
        }
        None => None,
    };
    let password = Some(hash(&api, &body.password).await?);
    let UserRegistration { name, email, roles, domain, time_zone, .. } = body;
    let profile = Profile { domain, time_zone, ..Profile::default() };
    let command = RegisterUser { name, display, email, roles, profile, invitation, password };
    let user = api.execute(command).await?;
    api.created(format!("/users/{}", user.id), user).await
}

/// Which accounts are wanted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct UserQuery {
    /// Those in this state.
    state: Option<UserState>,
    /// Those with this role.
    role: Option<RoleName>,
    /// In which order of registration they come: oldest first if nothing is said.
    sort: Option<TimeOrder>,
    /// The `next` of the page before.
    after: Option<String>,
    /// How many items: 1 to 200, 50 if nothing is said.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<usize>,
}

async fn list(api: Api, InQuery(query): InQuery<UserQuery>) -> Answer<Shown<Listed<User>>> {
    let page = page_request(query.after.as_deref(), query.limit)?;
    let filter = UserFilter { state: query.state, role: query.role };
    let sort = query.sort.unwrap_or(TimeOrder::Oldest);
    let users = api.market().users(api.actor, &filter, sort, &page).await;
    api.list(users.map_err(|error| api.refused(error))?).await
}

async fn me(api: Api) -> Answer<Shown<User>> {
    let user = api.user()?;
    show(api, InPath(user)).await
}

async fn show(api: Api, InPath(user): InPath<UserId>) -> Answer<Shown<User>> {
    api.show(api.market().user(api.actor, user).await.map_err(|error| api.refused(error))?).await
}

async fn activate(api: Api, InPath(user): InPath<UserId>) -> Answer<Shown<User>> {
    api.show(api.execute_on::<User, _>(user, ActivateUser { user }).await?).await
}

async fn reject(api: Api, InPath(user): InPath<UserId>) -> Answer<Shown<User>> {
    api.show(api.execute_on::<User, _>(user, RejectUser { user }).await?).await
}

/// All that a user says of oneself from now on.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct UserDescription {
    display: Label,
    domain: Option<Slug>,
    time_zone: Option<ZoneName>,
    /// Whether what is looked at and bought is not to be remembered.
    #[serde(default)]
    unobserved: bool,
    /// Whether no e-mail is wanted but what concerns the account itself.
    #[serde(default)]
    few_mails: bool,
}

async fn describe(
    api: Api,
    InPath(user): InPath<UserId>,
    Body(body): Body<UserDescription>,
) -> Answer<Shown<User>> {
    let UserDescription { display, domain, time_zone, unobserved, few_mails } = body;
    let profile = Profile { domain, time_zone, unobserved, few_mails };
    describing(api, DescribeUser { user, display: Some(display), profile, keeps: BTreeSet::new() }).await
}

/// What a user says of oneself from now on; what is left out stays.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct UserPatch {
    display: Edit<Label>,
    domain: Edit<Slug>,
    time_zone: Edit<ZoneName>,
    /// Whether what is looked at and bought is not to be remembered. `null`: it may be.
    unobserved: Edit<bool>,
    /// Whether no e-mail is wanted but what concerns the account itself. `null`: others too.
    few_mails: Edit<bool>,
}

impl Patched for UserPatch {
    const FIXED: &'static [&'static str] = &["id", "name", "registered"];
}

impl UserPatch {
    fn command(self, user: UserId) -> Answer<DescribeUser> {
        let kept = [
            (self.domain == Edit::Keep, ProfilePart::Domain),
            (self.time_zone == Edit::Keep, ProfilePart::TimeZone),
            (self.unobserved == Edit::Keep, ProfilePart::Unobserved),
            (self.few_mails == Edit::Keep, ProfilePart::FewMails),
        ];
        let profile = Profile {
            domain: self.domain.set(),
            time_zone: self.time_zone.set(),
            unobserved: self.unobserved.set().unwrap_or_default(),
            few_mails: self.few_mails.set().unwrap_or_default(),
        };
        let keeps = kept.into_iter().filter_map(|(kept, part)| kept.then_some(part)).collect();
        Ok(DescribeUser { user, display: self.display.required("display")?, profile, keeps })
    }
}

async fn edit(api: Api, InPath(user): InPath<UserId>, Patch(patch): Patch<UserPatch>) -> Answer<Shown<User>> {
    describing(api, patch.command(user)?).await
}

async fn describing(api: Api, command: DescribeUser) -> Answer<Shown<User>> {
    let user = command.user;
    let described = api.execute_on::<User, _>(user, command).await?;
    // If this fails, the follower of the outbox does it.
    if let Err(error) = api.market().heed_wish(user, api.market().now()).await {
        tracing::error!(%user, code = error.code(), "what is remembered could not be erased at once: {error}");
    }
    api.show(described).await
}

async fn suspend(api: Api, InPath(user): InPath<UserId>) -> Answer<Shown<User>> {
    let suspended = api.execute_on::<User, _>(user, SuspendUser { user }).await?;
    end_programs(&api, user).await;
    api.show(suspended).await
}

/// The roles that a user shall have.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "RolesChange")]
struct Roles {
    roles: BTreeSet<RoleName>,
}

async fn set_roles(api: Api, InPath(user): InPath<UserId>, Body(body): Body<Roles>) -> Answer<Shown<User>> {
    let command = SetRoles { user, roles: body.roles };
    api.show(api.execute_on::<User, _>(user, command).await?).await
}

async fn hubs(api: Api, InPath(user): InPath<UserId>) -> Answer<Shown<Listed<Membership>>> {
    let items = api.market().memberships(api.actor, user).await.map_err(|error| api.refused(error))?;
    api.items(items, None).await
}

async fn orders(
    api: Api,
    InPath(user): InPath<UserId>,
    InQuery(query): InQuery<OrderQuery>,
) -> Answer<Shown<Listed<Order>>> {
    let (filter, sort, page) = query.request()?;
    let orders = api.market().orders(api.actor, user, &filter, sort, &page).await;
    api.list(orders.map_err(|error| api.refused(error))?).await
}

/// Money that came in.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Payment {
    amount: Amount,
    currency: Currency,
    #[serde(default)]
    reference: String,
}

/// What was credited.
#[derive(Serialize, JsonSchema)]
struct Credited {
    user: UserId,
    amount: Amount,
    currency: Currency,
}

impl Linked for Credited {}

async fn top_up(
    api: Api,
    InPath(user): InPath<UserId>,
    Body(body): Body<Payment>,
) -> Answer<Created<Credited>> {
    let Payment { amount, currency, reference } = body;
    api.execute(TopUp { user, amount, currency, reference }).await?;
    api.created(format!("/accounts/{user}/balances"), Credited { user, amount, currency }).await
}
