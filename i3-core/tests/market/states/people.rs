//! Users, administrators, leaves to set a password, invitations and roles.

use std::collections::BTreeSet;
use std::time::Duration;

use i3_core::access::{Actor, HubRole};
use i3_core::hub::Hub;
use i3_core::id::{GrantId, InvitationId, LeaseId, OrderId, ResetId, TypedId, UserId};
use i3_core::invitation::Invitation;
use i3_core::market::{
    ActivateUser, AskPasswordReset, ChangePassword, CreateRole, DescribeUser, EditRole, EndLogins, Invite,
    OpenLease, Purchase, RegisterClient, RegisterHub, RegisterUser, Registration, RejectUser, RemoveMember,
    RemoveRole, ResetPassword, SetMember, SetRoles, Settings, SuspendUser, TopUp, WithdrawInvitation,
};
use i3_core::money::Currency;
use i3_core::oauth::ClientKind;
use i3_core::role::{Role, RoleName};
use i3_core::secret::SecretHash;
use i3_core::store::StoreExt as _;
use i3_core::user::{PasswordReset, Profile, User, UserState};

use super::{FREE, Page, Scene, World, newcomer, password};
use crate::fixture::euros;

pub(super) async fn tables(page: &mut Page) {
    users(page).await;
    administrators(page).await;
    resets(page).await;
    invitations(page).await;
    roles(page).await;
}

/// Somebody who registered where administrators approve, and whose order is from when all was well.
struct Person {
    world: World,
    who: UserId,
    reset: ResetId,
    /// Where they are a member.
    hub: Hub,
    order: Option<OrderId>,
    offer: i3_core::id::OfferId,
}

impl Scene for Person {
    const WHAT: &'static str = "A user";
    const STATES: &'static [&'static str] = &["pending", "active", "suspended", "rejected"];
    const NOTES: &'static str = "\
Who is not active may do nothing by themselves (they may look at their own account): the first words of each refusal are the policy's. \
What others do to the account goes on: money that came in from outside is booked whoever it is for, since a refusal would lose it; \
roles, profile and memberships can be put in order before somebody is let in again, and give nothing until then. A leave to set a \
password that was mailed before a suspension stays good for its half hour: it lets nobody in, since logins look at the state too.";

    async fn brought_to(state: &'static str) -> Self {
        let world = World::with(Settings::default().with_registration(Registration::Approval)).await;
        let register = newcomer("person", &[RoleName::CONSUMER]);
        let who = world.asked.execute(Actor::Anonymous, None, &register).await.unwrap().id;
        let hub = RegisterHub { slug: "club".parse().unwrap(), title: "Club".parse().unwrap() };
        let hub = world.run(world.admin, &hub).await;
        world.run(world.admin, &SetMember { hub: hub.id, user: who, role: HubRole::Viewer }).await;
        let reset = world.run(Actor::Anonymous, &AskPasswordReset { user: who }).await.id;
        let offer = world.f.offer(FREE).await;
        let mut order = None;
        if state == "active" || state == "suspended" {
            world.run(world.admin, &ActivateUser { user: who }).await;
            order = Some(world.run(Actor::User(who), &Purchase { offer }).await.id);
        }
        match state {
            "suspended" => drop(world.run(world.admin, &SuspendUser { user: who }).await),
            "rejected" => drop(world.run(world.admin, &RejectUser { user: who }).await),
            _ => {}
        }
        world.f.pass(PasswordReset::PAUSE);
        Self { world, who, reset, hub, order, offer }
    }

    fn world(&self) -> &World {
        &self.world
    }

    async fn state(&self) -> &'static str {
        self.world.f.store.get::<User>(&self.who).await.unwrap().unwrap().entity.state.as_str()
    }
}

async fn users(page: &mut Page) {
    page.table::<Person>();
    let consumer = || BTreeSet::from([RoleName::CONSUMER, RoleName::PROVIDER]);
    page.row("", |s: &Person| (s.world.admin, ActivateUser { user: s.who })).await;
    page.row("", |s: &Person| (s.world.admin, RejectUser { user: s.who })).await;
    page.row("", |s: &Person| (s.world.admin, SuspendUser { user: s.who })).await;
    page.row("", |s: &Person| (s.world.admin, SetRoles { user: s.who, roles: consumer() })).await;
    let describe = |user| DescribeUser {
        user,
        display: "Somebody".parse().ok(),
        profile: Profile { few_mails: true, ..Profile::default() },
        keeps: [].into(),
    };
    page.row("by an administrator", |s: &Person| (s.world.admin, describe(s.who))).await;
    page.row("by themselves", |s: &Person| (Actor::User(s.who), describe(s.who))).await;
    page.row("", |s: &Person| {
        let (present, password) = (Some(password()), Some(SecretHash::new("next")));
        (Actor::User(s.who), ChangePassword { user: s.who, present, password, login: None })
    })
    .await;
    page.row("", |s: &Person| (Actor::Anonymous, AskPasswordReset { user: s.who })).await;
    page.row("", |s: &Person| {
        let password = Some(SecretHash::new("next"));
        (Actor::Anonymous, ResetPassword { user: s.who, reset: s.reset, password })
    })
    .await;
    page.row("by an administrator", |s: &Person| (s.world.admin, EndLogins { user: s.who })).await;
    page.row("by themselves", |s: &Person| (Actor::User(s.who), EndLogins { user: s.who })).await;
    page.row("", |s: &Person| {
        let (amount, currency, reference) = (euros(5), Currency::EUR, String::new());
        (Actor::System, TopUp { user: s.who, amount, currency, reference })
    })
    .await;
    page.row("of them", |s: &Person| {
        (s.world.seller, SetMember { hub: s.world.f.hub.id, user: s.who, role: HubRole::Manager })
    })
    .await;
    page.row("of them", |s: &Person| (s.world.admin, RemoveMember { hub: s.hub.id, user: s.who })).await;
    page.row("by them", |s: &Person| (Actor::User(s.who), Purchase { offer: s.offer })).await;
    page.row("by them", |s: &Person| {
        (Actor::User(s.who), RegisterHub { slug: "mine".parse().unwrap(), title: "Mine".parse().unwrap() })
    })
    .await;
    page.row_where("of their order", |s: &Person| Some((Actor::System, lease(s.order?)))).await;
}

pub(super) fn lease(order: OrderId) -> OpenLease {
    let lease = LeaseId::from_bits(1 << 100);
    OpenLease { lease, grant: GrantId::of(order), holder: "gate".to_owned(), messages: 1 }
}

/// An administrator, alone or not.
struct Administrator {
    world: World,
    who: UserId,
    other: Option<UserId>,
}

impl Scene for Administrator {
    const WHAT: &'static str = "An active administrator";
    const STATES: &'static [&'static str] = &["the only one", "one of two"];
    const NOTES: &'static str = "\
An administrator is taken away by another active one only, so not by the marketplace itself either: of two who take \
each other away at once, one comes too late, and one is left.";

    async fn brought_to(state: &'static str) -> Self {
        let world = World::new().await;
        let Actor::User(who) = world.admin else { panic!("the administrator is a user") };
        let other = match state {
            "one of two" => Some(world.user("other", &[RoleName::ADMINISTRATOR]).await),
            _ => None,
        };
        Self { world, who, other }
    }

    fn world(&self) -> &World {
        &self.world
    }

    async fn state(&self) -> &'static str {
        let store = &self.world.f.store;
        let mut left = 0;
        for user in [Some(self.who), self.other].into_iter().flatten() {
            let user = store.get::<User>(&user).await.unwrap().unwrap().entity;
            if user.state == UserState::Active && user.roles.contains(&RoleName::ADMINISTRATOR) {
                left += 1;
            }
        }
        if left == 2 {
            "one of two"
        } else if left == 1 && self.other.is_some() {
            "not one any more"
        } else {
            "the only one"
        }
    }
}

async fn administrators(page: &mut Page) {
    page.table::<Administrator>();
    let none = |user| SetRoles { user, roles: [RoleName::CONSUMER].into() };
    let other = |s: &Administrator| s.other.map(Actor::User);
    page.row_where("by another", |s: &Administrator| Some((other(s)?, SuspendUser { user: s.who }))).await;
    page.row("by themselves", |s: &Administrator| (s.world.admin, SuspendUser { user: s.who })).await;
    page.row("by the marketplace", |s: &Administrator| (Actor::System, SuspendUser { user: s.who })).await;
    page.row_where("without the role, by another", |s: &Administrator| Some((other(s)?, none(s.who)))).await;
    page.row("without the role, by themselves", |s: &Administrator| (s.world.admin, none(s.who))).await;
    page.row("without the role, by the marketplace", |s: &Administrator| (Actor::System, none(s.who))).await;
}

/// Leave to set another password.
struct Reset {
    world: World,
    who: UserId,
    leave: ResetId,
    state: &'static str,
}

impl Scene for Reset {
    const WHAT: &'static str = "A leave to set another password";
    const STATES: &'static [&'static str] =
        &["never asked for", "asked for just now", "asked for a minute ago", "over", "used", "replaced"];
    const NOTES: &'static str = "A leave is found by its user: of two, the later one is the only one.";

    async fn brought_to(state: &'static str) -> Self {
        let world = World::new().await;
        let who = world.user("person", &[RoleName::CONSUMER]).await;
        let ask = AskPasswordReset { user: who };
        let mut reset = TypedId::from_bits(7);
        if state != "never asked for" {
            reset = world.run(Actor::Anonymous, &ask).await.id;
        }
        match state {
            "asked for a minute ago" => world.f.pass(PasswordReset::PAUSE),
            "over" => world.f.pass(PasswordReset::LIFETIME),
            "used" => {
                let password = Some(SecretHash::new("second"));
                world.run(Actor::Anonymous, &ResetPassword { user: who, reset, password }).await;
            }
            "replaced" => {
                world.f.pass(PasswordReset::PAUSE);
                world.run(Actor::Anonymous, &ask).await;
            }
            _ => {}
        }
        Self { world, who, leave: reset, state }
    }

    fn world(&self) -> &World {
        &self.world
    }

    async fn state(&self) -> &'static str {
        let held = self.world.f.store.get::<PasswordReset>(&self.who).await.unwrap();
        let now = self.world.f.clock_now();
        match held.map(|found| found.entity) {
            None if self.state == "never asked for" => "never asked for",
            None => "used",
            Some(held) if held.id != self.leave && self.state == "replaced" => "replaced",
            Some(held) if !held.is_good(now) => "over",
            Some(held) if now < held.asked.plus(PasswordReset::PAUSE) => "asked for just now",
            Some(_) => "asked for a minute ago",
        }
    }
}

async fn resets(page: &mut Page) {
    page.table::<Reset>();
    page.row("", |s: &Reset| (Actor::Anonymous, AskPasswordReset { user: s.who })).await;
    let reset = |s: &Reset| {
        let password = Some(SecretHash::new("third"));
        (Actor::Anonymous, ResetPassword { user: s.who, reset: s.leave, password })
    };
    page.row("", reset).await;
}

/// An invitation for two.
struct Invited {
    world: World,
    invitation: InvitationId,
    state: &'static str,
}

impl Scene for Invited {
    const WHAT: &'static str = "An invitation";
    const STATES: &'static [&'static str] = &["good", "used up", "withdrawn", "over"];
    const NOTES: &'static str = "\
Who comes with an invitation that is not good is not told why. One that is over can be withdrawn: an administrator may \
want to see that it is not good for another reason than time.";

    async fn brought_to(state: &'static str) -> Self {
        let world = World::with(Settings::default().with_registration(Registration::Invitation)).await;
        let invite = Invite {
            label: "Friends".parse().unwrap(),
            roles: BTreeSet::new(),
            uses: 2,
            lifetime_seconds: 3_600,
        };
        let invitation = world.run(world.admin, &invite).await.id;
        match state {
            "used up" => {
                for name in ["first", "second"] {
                    let register = RegisterUser {
                        invitation: Some(invitation),
                        ..newcomer(name, &[RoleName::CONSUMER])
                    };
                    world.run(Actor::Anonymous, &register).await;
                }
            }
            "withdrawn" => drop(world.run(world.admin, &WithdrawInvitation { invitation }).await),
            "over" => world.f.pass(Duration::from_hours(1)),
            _ => {}
        }
        Self { world, invitation, state }
    }

    fn world(&self) -> &World {
        &self.world
    }

    async fn state(&self) -> &'static str {
        let held = self.world.f.store.get::<Invitation>(&self.invitation).await.unwrap().unwrap().entity;
        let over = self.world.f.clock_now() >= held.expires;
        match (held.left, held.used) {
            (0, 2) => "used up",
            (0, _) => "withdrawn",
            (..) if over => "over",
            (1, 1) if self.state == "good" => "good",
            (2, 0) => "good",
            other => panic!("{other:?}"),
        }
    }
}

async fn invitations(page: &mut Page) {
    page.table::<Invited>();
    page.row("with it", |s: &Invited| {
        let register = newcomer("guest", &[RoleName::CONSUMER]);
        (Actor::Anonymous, RegisterUser { invitation: Some(s.invitation), ..register })
    })
    .await;
    page.row("", |s: &Invited| (s.world.admin, WithdrawInvitation { invitation: s.invitation })).await;
}

/// A role called `auditor`, or a built-in one.
struct Job {
    world: World,
    name: RoleName,
}

impl Scene for Job {
    const WHAT: &'static str = "A role";
    const STATES: &'static [&'static str] =
        &["unknown", "made", "removed", "built in", "built in and edited"];
    const NOTES: &'static str = "The name of a role that was removed is never given to another: nobody comes into rights by an old name.";

    async fn brought_to(state: &'static str) -> Self {
        let world = World::new().await;
        let name = match state {
            "built in" | "built in and edited" => RoleName::PROVIDER,
            _ => "auditor".parse().unwrap(),
        };
        if state == "made" || state == "removed" {
            world.run(world.admin, &create(&name)).await;
        }
        if state == "removed" {
            world.run(world.admin, &RemoveRole { name: name.clone(), expected: None }).await;
        }
        if state == "built in and edited" {
            world.run(world.admin, &edit(&name)).await;
        }
        Self { world, name }
    }

    fn world(&self) -> &World {
        &self.world
    }

    async fn state(&self) -> &'static str {
        let held = self.world.f.store.get::<Role>(&self.name).await.unwrap().map(|found| found.entity);
        match (held, self.name == RoleName::PROVIDER) {
            (None, false) => "unknown",
            (None, true) => "built in",
            (Some(_), true) => "built in and edited",
            (Some(role), false) if role.removed.is_some() => "removed",
            (Some(_), false) => "made",
        }
    }
}

fn create(name: &RoleName) -> CreateRole {
    CreateRole {
        name: name.clone(),
        label: "Auditor".parse().unwrap(),
        about: "".parse().unwrap(),
        permissions: ["audit:view".parse().unwrap()].into_iter().collect(),
    }
}

fn edit(name: &RoleName) -> EditRole {
    EditRole {
        name: name.clone(),
        expected: None,
        label: "Another".parse().unwrap(),
        about: "".parse().unwrap(),
        permissions: ["audit:view".parse().unwrap()].into_iter().collect(),
    }
}

async fn roles(page: &mut Page) {
    page.table::<Job>();
    page.row("", |s: &Job| (s.world.admin, create(&s.name))).await;
    page.row("", |s: &Job| (s.world.admin, edit(&s.name))).await;
    page.row("", |s: &Job| (s.world.admin, RemoveRole { name: s.name.clone(), expected: None })).await;
    page.row("with it", |s: &Job| {
        (s.world.admin, SetRoles { user: s.world.f.buyer, roles: [s.name.clone()].into() })
    })
    .await;
    page.row("with it", |s: &Job| (s.world.admin, newcomer("holder", std::slice::from_ref(&s.name)))).await;
    page.row("with it", |s: &Job| {
        let (label, roles) = ("Staff".parse().unwrap(), [s.name.clone()].into());
        (s.world.admin, Invite { label, roles, uses: 1, lifetime_seconds: 60 })
    })
    .await;
    page.row("with it as a scope", |s: &Job| {
        let client = RegisterClient {
            label: "App".parse().unwrap(),
            kind: ClientKind::Machine,
            scopes: [format!("as:{}", s.name).parse().unwrap()].into(),
            redirect_uris: BTreeSet::new(),
        };
        (s.world.buyer, client)
    })
    .await;
}
