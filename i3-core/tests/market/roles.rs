//! Roles are changed while the marketplace runs, and nobody comes into rights by that who should not.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};

use i3_core::access::{Action, Actor, Decision, PermissionSet, Policy, Resource, Subject};
use i3_core::id::UserId;
use i3_core::market::{
    ActivateUser, Command, CreateRole, EditRole, Invite, MarketError, Marketplace, RecordTag, Refusal,
    RegisterUser, RemoveRole, SetRoles, SuspendUser, UnchangedRole,
};
use i3_core::role::{BuiltIn, Role, RoleName};
use i3_core::store::MemoryStore;
use i3_core::user::{Profile, UserState};

use crate::fixture::{refusal, user};

/// What the roles say and nothing else; the whole policy is in `i3-auth`.
#[derive(Debug)]
struct AsRolesSay;

impl Policy for AsRolesSay {
    fn decide(&self, subject: &Subject, action: Action, resource: &Resource) -> Decision {
        let allowed = match subject.actor {
            Actor::System => true,
            Actor::Anonymous => action == Action::RegisterUser,
            Actor::User(_) => subject.active && subject.may(action, resource),
        };
        if allowed { Decision::allow("the roles say so") } else { Decision::deny("no role says so") }
    }
}

async fn over(store: &MemoryStore, policy: Arc<dyn Policy>) -> Marketplace {
    Marketplace::open(Arc::new(store.clone()), policy, &[]).await.unwrap()
}

async fn market() -> Marketplace {
    over(&MemoryStore::new(), Arc::new(AsRolesSay)).await
}

fn name(text: &str) -> RoleName {
    text.parse().unwrap()
}

fn permissions(texts: &[&str]) -> PermissionSet {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn create(role: &str, allowed: &[&str]) -> CreateRole {
    CreateRole {
        name: name(role),
        label: role.parse().unwrap(),
        about: "For a test.".parse().unwrap(),
        permissions: permissions(allowed),
    }
}

fn edit(role: &str, expected: Option<u32>, allowed: &[&str]) -> EditRole {
    let CreateRole { name, label, about, permissions } = create(role, allowed);
    EditRole { name, expected, label, about, permissions }
}

fn remove(role: &str, expected: Option<u32>) -> RemoveRole {
    RemoveRole { name: name(role), expected }
}

fn roles(user: UserId, roles: &[&str]) -> SetRoles {
    SetRoles { user, roles: roles.iter().map(|role| name(role)).collect() }
}

async fn run<C: Command>(market: &Marketplace, actor: Actor, command: &C) -> Result<C::Done, Refusal> {
    market.execute(actor, None, command).await.map_err(refusal)
}

/// The system does it: it is about what follows.
async fn set<C: Command>(market: &Marketplace, command: &C) -> C::Done {
    run(market, Actor::System, command).await.unwrap_or_else(|refusal| panic!("{refusal}"))
}

/// A user who has had these roles given.
async fn holder(market: &Marketplace, called: &str, held: &[&str]) -> UserId {
    let user = user(market, called, RoleName::CONSUMER).await;
    set(market, &roles(user, held)).await;
    user
}

/// Whether this is what is missing, told as administrators name it.
#[track_caller]
fn lacks<T: std::fmt::Debug>(result: Result<T, Refusal>, wanted: Action) {
    match result {
        Err(Refusal::Forbidden { action, .. }) => assert_eq!(action, wanted),
        other => panic!("`{wanted}` should be missing: {other:?}"),
    }
}

#[tokio::test]
async fn an_edited_role_counts_from_the_next_command_on_in_every_process() {
    let store = MemoryStore::new();
    let market = over(&store, Arc::new(AsRolesSay)).await;
    set(&market, &create("staff", &["user:manage"])).await;
    let staff = Actor::User(holder(&market, "staff", &["staff"]).await);
    let user = user(&market, "user", RoleName::CONSUMER).await;
    run(&market, staff, &SuspendUser { user }).await.unwrap();

    // Another process: it has nothing in memory but the store.
    let elsewhere = over(&store, Arc::new(AsRolesSay)).await;
    set(&elsewhere, &edit("staff", None, &["audit:view"])).await;
    lacks(run(&market, staff, &ActivateUser { user }).await, Action::ManageUsers);
    set(&elsewhere, &edit("staff", None, &["audit:view", "user:manage"])).await;
    run(&market, staff, &ActivateUser { user }).await.unwrap();
}

#[tokio::test]
async fn a_built_in_role_is_edited_too_and_everybody_s_role_is_for_everybody() {
    let market = market().await;
    let buyer = Actor::User(user(&market, "buyer", RoleName::CONSUMER).await);
    lacks(run(&market, buyer, &create("mine", &[])).await, Action::ManageRoles);
    set(&market, &edit("user", Some(0), &["role:view", "role:manage"])).await;
    run(&market, buyer, &create("mine", &[])).await.unwrap();
    assert!(market.role(buyer, &name("user")).await.unwrap().changed.is_some());
}

#[tokio::test]
async fn administrators_cannot_be_left_without_what_they_administer_with() {
    let market = market().await;
    for some in [&["user:manage"][..], &["role:manage"], &[]] {
        let refused = run(&market, Actor::System, &edit("administrator", None, some)).await.unwrap_err();
        assert_eq!(refused.code(), "invalid_request");
    }
    set(&market, &edit("administrator", None, &["user:manage", "role:manage"])).await;
    let admin = Actor::User(holder(&market, "admin", &["administrator"]).await);
    set(&market, &edit("administrator", None, &["user:manage", "role:manage", "audit:view"])).await;
    run(&market, admin, &remove("administrator", None)).await.unwrap_err();
}

#[tokio::test]
async fn who_does_not_manage_roles_gives_and_takes_no_others_than_anybody_may_choose() {
    let market = market().await;
    set(&market, &create("staff", &["user:manage"])).await;
    set(&market, &create("auditor", &["audit:view"])).await;
    let me = holder(&market, "staff", &["staff"]).await;
    let staff = Actor::User(me);
    let auditor = holder(&market, "auditor", &["auditor"]).await;
    let friend = user(&market, "friend", RoleName::CONSUMER).await;

    for held in [&["administrator"][..], &["consumer", "auditor"], &["consumer", "staff"]] {
        lacks(run(&market, staff, &roles(friend, held)).await, Action::ManageRoles);
        let roles = held.iter().map(|role| name(role)).collect();
        let invite = Invite { label: "Friends".parse().unwrap(), roles, uses: 1, lifetime_seconds: 60 };
        lacks(run(&market, staff, &invite).await, Action::ManageRoles);
        let register = RegisterUser {
            name: "newcomer".parse().unwrap(),
            display: "New".parse().unwrap(),
            email: None,
            roles: invite.roles,
            profile: Profile::default(),
            invitation: None,
            password: None,
        };
        lacks(run(&market, staff, &register).await, Action::ManageRoles);
        run(&market, Actor::Anonymous, &register).await.unwrap_err();
    }
    lacks(run(&market, staff, &roles(me, &["staff", "administrator"])).await, Action::ManageRoles);
    lacks(run(&market, staff, &roles(auditor, &["consumer"])).await, Action::ManageRoles);
    lacks(run(&market, staff, &create("mine", &["role:manage"])).await, Action::ManageRoles);
    lacks(run(&market, staff, &edit("staff", None, &["role:manage"])).await, Action::ManageRoles);
    lacks(run(&market, staff, &remove("auditor", None)).await, Action::ManageRoles);
    // What the user has otherwise may stay.
    run(&market, staff, &roles(auditor, &["auditor", "provider"])).await.unwrap();
    run(&market, staff, &roles(friend, &["consumer", "provider"])).await.unwrap();
}

async fn is_administrator(market: &Marketplace, id: UserId) -> bool {
    let user = market.user(Actor::System, id).await.unwrap();
    user.state == UserState::Active && user.roles.contains(&RoleName::ADMINISTRATOR)
}

#[tokio::test]
async fn the_last_active_administrator_stays() {
    let market = market().await;
    set(&market, &create("staff", &["user:manage", "role:manage"])).await;
    let last = holder(&market, "last", &["administrator"]).await;
    let idle = holder(&market, "idle", &["administrator"]).await;
    run(&market, Actor::User(last), &SuspendUser { user: idle }).await.unwrap();
    let staff = holder(&market, "staff", &["staff"]).await;
    for who in [Actor::User(staff), Actor::System] {
        let refused = run(&market, who, &SuspendUser { user: last }).await.unwrap_err();
        assert_eq!(refused, Refusal::LastAdministrator, "{who}");
    }
    for who in [Actor::User(staff), Actor::User(last), Actor::System] {
        let refused = run(&market, who, &roles(last, &["consumer"])).await.unwrap_err();
        assert_eq!(refused, Refusal::LastAdministrator, "{who}");
    }
    run(&market, Actor::User(last), &SuspendUser { user: last }).await.unwrap_err();
    assert!(is_administrator(&market, last).await);
    // Who is suspended is not counted, and may lose the role.
    run(&market, Actor::User(staff), &roles(idle, &["consumer"])).await.unwrap();
}

/// Lets the first two who ask for leave to manage users decide only when both are there, each with what it read
/// before the other did anything.
#[derive(Debug)]
struct Meeting {
    came: AtomicUsize,
    both: Barrier,
}

impl Policy for Meeting {
    fn decide(&self, subject: &Subject, action: Action, resource: &Resource) -> Decision {
        if action == Action::ManageUsers && self.came.fetch_add(1, Ordering::SeqCst) < 2 {
            self.both.wait();
        }
        AsRolesSay.decide(subject, action, resource)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_administrators_who_remove_each_other_at_the_same_moment_one_stays() {
    for round in 0..40 {
        let store = MemoryStore::new();
        let quiet = over(&store, Arc::new(AsRolesSay)).await;
        let one = holder(&quiet, "one", &["administrator"]).await;
        let other = holder(&quiet, "other", &["administrator"]).await;
        let market =
            over(&store, Arc::new(Meeting { came: AtomicUsize::new(0), both: Barrier::new(2) })).await;
        let mut tasks = tokio::task::JoinSet::new();
        for (who, whom) in [(one, other), (other, one)] {
            let market = market.clone();
            tasks.spawn(async move {
                if round % 2 == 0 {
                    run(&market, Actor::User(who), &SuspendUser { user: whom }).await.map(drop)
                } else {
                    run(&market, Actor::User(who), &roles(whom, &["consumer"])).await.map(drop)
                }
            });
        }
        let mut done = tasks.join_all().await;
        done.sort_by_key(Result::is_err);
        assert_eq!(done.first(), Some(&Ok(())), "round {round}");
        lacks(done.remove(1), Action::ManageUsers);
        let left = [is_administrator(&quiet, one).await, is_administrator(&quiet, other).await];
        assert_eq!(left.iter().filter(|left| **left).count(), 1, "round {round}");
    }
}

#[tokio::test]
async fn a_removed_role_gives_nothing_and_its_name_is_never_another_s() {
    let market = market().await;
    set(&market, &create("staff", &["user:manage"])).await;
    let staff = holder(&market, "staff", &["staff"]).await;
    let friend = user(&market, "friend", RoleName::CONSUMER).await;
    set(&market, &remove("staff", Some(1))).await;
    lacks(run(&market, Actor::User(staff), &SuspendUser { user: friend }).await, Action::ManageUsers);

    let missing = Refusal::NotFound { what: "role" };
    assert_eq!(run(&market, Actor::System, &remove("staff", None)).await, Err(missing.clone()));
    assert_eq!(run(&market, Actor::System, &edit("staff", None, &[])).await, Err(missing.clone()));
    let shown = market.role(Actor::System, &name("staff")).await.map_err(refusal);
    assert_eq!(shown, Err(missing));
    assert_eq!(market.roles(Actor::System).await.unwrap().len(), BuiltIn::ALL.len());
    for taken in ["staff", "consumer"] {
        let refused = run(&market, Actor::System, &create(taken, &["user:manage"])).await.unwrap_err();
        assert_eq!(refused, Refusal::Taken { what: "role name" }, "{taken}");
    }
    let refused = run(&market, Actor::System, &roles(friend, &["staff"])).await.unwrap_err();
    assert_eq!(refused.code(), "invalid_request");
    let held = market.user(Actor::System, staff).await.unwrap().roles;
    assert!(held.contains(&name("staff")), "what was given is still told");
    for built_in in BuiltIn::ALL {
        let refused = run(&market, Actor::System, &remove(built_in.name().as_str(), None)).await.unwrap_err();
        assert_eq!(refused, Refusal::WrongState { what: "role", state: "built in" });
    }
}

#[tokio::test]
async fn an_invitation_to_a_role_that_was_removed_gives_the_rest() {
    let market = market().await;
    set(&market, &create("staff", &["user:manage"])).await;
    let invite = Invite {
        label: "Staff".parse().unwrap(),
        roles: [name("staff"), RoleName::PROVIDER].into(),
        uses: 1,
        lifetime_seconds: 60,
    };
    let invitation = set(&market, &invite).await.id;
    set(&market, &remove("staff", None)).await;
    let register = RegisterUser {
        name: "guest".parse().unwrap(),
        display: "Guest".parse().unwrap(),
        email: None,
        roles: [].into(),
        profile: Profile::default(),
        invitation: Some(invitation),
        password: None,
    };
    let guest = run(&market, Actor::Anonymous, &register).await.unwrap();
    assert_eq!(guest.roles, [RoleName::PROVIDER].into());
}

#[tokio::test]
async fn a_change_that_is_meant_for_another_version_is_refused() {
    let market = market().await;
    set(&market, &create("staff", &[])).await;
    let changed = Err(Refusal::Changed);
    assert_eq!(set(&market, &edit("staff", Some(1), &["audit:view"])).await.version, 2);
    assert_eq!(run(&market, Actor::System, &edit("staff", Some(1), &[])).await, changed);
    assert_eq!(run(&market, Actor::System, &remove("staff", Some(1))).await, Err(Refusal::Changed));
    let held = market.role(Actor::System, &name("staff")).await.unwrap();
    assert_eq!((held.version, held.permissions), (2, permissions(&["audit:view"])));
    // A built-in role has a version before anybody has edited it.
    assert_eq!(set(&market, &edit("consumer", Some(0), &["order:create:own"])).await.version, 1);
    assert_eq!(run(&market, Actor::System, &edit("consumer", Some(0), &[])).await, changed);
}

#[tokio::test]
async fn a_role_is_unchanged_as_long_as_it_is_as_it_was_seen() {
    let market = market().await;
    set(&market, &create("staff", &[])).await;
    let try_edit = async |role: &str, seen: Option<Vec<RecordTag>>| -> Result<Role, Refusal> {
        let condition = UnchangedRole { name: name(role), seen };
        let done = market.execute_if(Actor::System, None, &edit(role, None, &[]), Some(&condition)).await;
        done.map_err(|error: MarketError| refusal(error))
    };
    for role in ["staff", "consumer"] {
        let seen = market.role(Actor::System, &name(role)).await.unwrap();
        let seen = Some(vec![RecordTag::of(&seen).unwrap()]);
        try_edit(role, seen.clone()).await.unwrap();
        assert_eq!(try_edit(role, seen).await, Err(Refusal::Changed), "{role}");
        try_edit(role, None).await.unwrap();
    }
}

#[tokio::test]
async fn there_are_so_many_roles_and_no_more() {
    let market = market().await;
    for number in BuiltIn::ALL.len()..Role::MAX {
        set(&market, &create(&format!("role-{number}"), &[])).await;
    }
    let refused = run(&market, Actor::System, &create("another", &[])).await.unwrap_err();
    assert_eq!(refused.code(), "invalid_request");
    set(&market, &remove("role-9", None)).await;
    set(&market, &create("another", &[])).await;
}

#[test]
fn a_command_with_an_unknown_permission_is_not_read() {
    let text = |permission: &str| serde_json::json!({"name": "a", "label": "A", "about": "", "permissions": [permission]});
    let known: CreateRole = serde_json::from_value(text("order:view:own")).unwrap();
    assert_eq!(known.permissions, permissions(&["order:view:own"]));
    for unknown in ["order:fly", "order", "audit:view:own", ""] {
        let error = serde_json::from_value::<CreateRole>(text(unknown)).unwrap_err().to_string();
        assert!(error.contains("permission") || error.contains("audit:view"), "{error}");
    }
}
