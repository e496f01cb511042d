//! Who may open an account, and how passwords and logins end.

use std::sync::Arc;
use std::time::Duration;

use i3_core::access::Actor;
use i3_core::gate::AccessChange;
use i3_core::id::{InvitationId, ResetId, TypedId, UserId};
use i3_core::invitation::Invitation;
use i3_core::market::{
    ActivateUser, AskPasswordReset, ChangePassword, DescribeUser, EndLogins, Invite, Marketplace,
    PageRequest, Refusal, RefusalKind, RegisterUser, Registration, RejectUser, ResetPassword, Settings,
    SuspendUser, TimeOrder, WithdrawInvitation,
};
use i3_core::role::RoleName;
use i3_core::secret::SecretHash;
use i3_core::store::StoreExt as _;
use i3_core::user::{LoginGeneration, PasswordReset, Profile, User, UserSecret, UserState};

use crate::fixture::{Fixture, Recorder, refusal};
use crate::moves::Visitors;

fn newcomer(name: &str, invitation: Option<InvitationId>) -> RegisterUser {
    RegisterUser {
        name: name.parse().unwrap(),
        display: "New".parse().unwrap(),
        email: Some(format!("{name}@example.org").parse().unwrap()),
        roles: [RoleName::CONSUMER].into(),
        profile: Profile::default(),
        invitation,
        password: Some(SecretHash::new("first")),
    }
}

fn invite(uses: u32, lifetime_seconds: u64, roles: &[RoleName]) -> Invite {
    let roles = roles.iter().cloned().collect();
    Invite { label: "Friends".parse().unwrap(), roles, uses, lifetime_seconds }
}

/// The fixture's marketplace with this policy of registration, as strangers find it.
async fn under(f: &Fixture, registration: Registration) -> Marketplace {
    Marketplace::open(f.store.clone(), Arc::new(Visitors), &[])
        .await
        .unwrap()
        .with_clock(f.clock.clone())
        .with_settings(Settings::default().with_registration(registration))
}

async fn registered(run: &Marketplace, command: &RegisterUser) -> Result<User, Refusal> {
    run.execute(Actor::Anonymous, None, command).await.map_err(refusal)
}

async fn invited(f: &Fixture, command: &Invite) -> Invitation {
    f.market.execute(Actor::System, None, command).await.unwrap()
}

#[tokio::test]
async fn the_policy_says_who_may_act_after_registering() {
    let f = Fixture::new().await;
    let open = under(&f, Registration::Open).await;
    assert_eq!(registered(&open, &newcomer("a", None)).await.unwrap().state, UserState::Active);
    let approval = under(&f, Registration::Approval).await;
    assert_eq!(registered(&approval, &newcomer("b", None)).await.unwrap().state, UserState::Pending);
    let closed = under(&f, Registration::Invitation).await;
    let refused = registered(&closed, &newcomer("c", None)).await.unwrap_err();
    assert_eq!((refused.code(), refused.kind()), ("invitation_needed", RefusalKind::Forbidden));
    let invitation = invited(&f, &invite(3, 60, &[])).await.id;
    for (run, name) in [(&open, "d"), (&approval, "e"), (&closed, "f")] {
        let user = registered(run, &newcomer(name, Some(invitation))).await.unwrap();
        assert_eq!(user.state, UserState::Active, "{name}");
    }
}

#[tokio::test]
async fn an_invitation_gives_its_roles_to_so_many_and_no_more() {
    let f = Fixture::new().await;
    let closed = under(&f, Registration::Invitation).await;
    let invitation = invited(&f, &invite(2, 60, &[RoleName::ADMINISTRATOR])).await.id;
    let asks_nothing = RegisterUser { roles: [].into(), ..newcomer("a", Some(invitation)) };
    let user = registered(&closed, &asks_nothing).await.unwrap();
    assert_eq!(user.roles, [RoleName::ADMINISTRATOR].into());
    let user = registered(&closed, &newcomer("b", Some(invitation))).await.unwrap();
    assert_eq!(user.roles, [RoleName::ADMINISTRATOR, RoleName::CONSUMER].into());
    let refused = registered(&closed, &newcomer("c", Some(invitation))).await.unwrap_err();
    assert_eq!(refused, Refusal::InvitationNotGood);
    let held = f.market.invitation(Actor::System, invitation).await.unwrap();
    assert_eq!((held.left, held.used), (0, 2));
}

#[tokio::test]
async fn guests_who_come_at_the_same_moment_share_no_place() {
    let f = Fixture::new().await;
    let closed = under(&f, Registration::Invitation).await;
    let invitation = invited(&f, &invite(3, 60, &[])).await.id;
    let mut tasks = tokio::task::JoinSet::new();
    for guest in 0..10 {
        let (run, command) = (closed.clone(), newcomer(&format!("guest-{guest}"), Some(invitation)));
        tasks.spawn(async move { registered(&run, &command).await.is_ok() });
    }
    assert_eq!(tasks.join_all().await.into_iter().filter(|came| *came).count(), 3);
}

#[tokio::test]
async fn an_invitation_that_is_over_withdrawn_or_unknown_opens_nothing() {
    let f = Fixture::new().await;
    let closed = under(&f, Registration::Invitation).await;
    let over = invited(&f, &invite(1, 60, &[])).await.id;
    f.pass(Duration::from_mins(1));
    let withdrawn = invited(&f, &invite(1, 60, &[])).await.id;
    f.market.execute(Actor::System, None, &WithdrawInvitation { invitation: withdrawn }).await.unwrap();
    for (invitation, name) in [(over, "a"), (withdrawn, "b"), (TypedId::from_bits(9), "c")] {
        let refused = registered(&closed, &newcomer(name, Some(invitation))).await.unwrap_err();
        assert_eq!(refused, Refusal::InvitationNotGood, "{name}");
    }
    let again = WithdrawInvitation { invitation: withdrawn };
    let refused = f.market.execute(Actor::System, None, &again).await.map_err(refusal).unwrap_err();
    assert_eq!(refused.code(), "wrong_state");
    let all =
        f.market.invitations(Actor::System, None, TimeOrder::Newest, &PageRequest::default()).await.unwrap();
    assert_eq!(all.items.len(), 2);
}

#[tokio::test]
async fn an_invitation_has_a_number_of_uses_and_an_end() {
    let f = Fixture::new().await;
    for bad in [invite(0, 60, &[]), invite(10_001, 60, &[]), invite(1, 0, &[]), invite(1, u64::MAX, &[])] {
        let refused = f.market.execute(Actor::System, None, &bad).await.map_err(refusal).unwrap_err();
        assert_eq!(refused.code(), "invalid_request", "{bad:?}");
    }
}

#[tokio::test]
async fn only_who_waits_can_be_rejected_and_a_mistake_can_be_mended() {
    let f = Fixture::new().await;
    let approval = under(&f, Registration::Approval).await;
    let user = registered(&approval, &newcomer("late", None)).await.unwrap().id;
    let reject = RejectUser { user };
    assert_eq!(f.market.execute(Actor::System, None, &reject).await.unwrap().state, UserState::Rejected);
    let again = f.market.execute(Actor::System, None, &reject).await.map_err(refusal).unwrap_err();
    assert_eq!(again, Refusal::WrongState { what: "user", state: "rejected" });
    let taken = registered(&approval, &newcomer("late", None)).await.unwrap_err();
    assert_eq!(taken.code(), "name_taken");
    let user = f.market.execute(Actor::System, None, &ActivateUser { user }).await.unwrap();
    assert_eq!(user.state, UserState::Active);
    let active = RejectUser { user: f.buyer };
    let refused = f.market.execute(Actor::System, None, &active).await.map_err(refusal).unwrap_err();
    assert_eq!(refused, Refusal::WrongState { what: "user", state: "active" });
}

#[tokio::test]
async fn users_say_what_they_like_of_themselves() {
    let f = Fixture::new().await;
    let profile = Profile {
        domain: Some("smart-farm".parse().unwrap()),
        time_zone: Some("Asia/Seoul".parse().unwrap()),
        ..Profile::default()
    };
    let describe = DescribeUser {
        user: f.buyer,
        display: "Farmer".parse().ok(),
        profile: profile.clone(),
        keeps: [].into(),
    };
    f.done(f.buyer, &describe).await;
    let user = f.market.user(Actor::User(f.buyer), f.buyer).await.unwrap();
    assert_eq!((user.display.as_str(), user.profile), ("Farmer", profile));
}

async fn generation(f: &Fixture, user: UserId) -> u32 {
    let held = f.store.get::<LoginGeneration>(&user).await.unwrap();
    held.map_or(0, |held| held.entity.generation)
}

async fn password(f: &Fixture, user: UserId) -> String {
    f.store.get::<UserSecret>(&user).await.unwrap().unwrap().entity.hash.expose().to_owned()
}

async fn person(f: &Fixture) -> UserId {
    f.market.execute(Actor::Anonymous, None, &newcomer("person", None)).await.unwrap().id
}

fn change(user: UserId, present: Option<&str>, password: &str) -> ChangePassword {
    let password = Some(SecretHash::new(password));
    ChangePassword { user, present: present.map(SecretHash::new), password, login: None }
}

#[tokio::test]
async fn another_password_needs_the_present_one_and_ends_all_logins() {
    let f = Fixture::new().await;
    let user = person(&f).await;
    let ear = Arc::new(Recorder::default());
    f.market.listen(ear.clone());
    for wrong in [None, Some("one that was changed meanwhile")] {
        assert_eq!(f.refused(user, &change(user, wrong, "second")).await, Refusal::WrongPassword);
    }
    assert_eq!((password(&f, user).await.as_str(), generation(&f, user).await), ("first", 0));
    assert_eq!(f.done(user, &change(user, Some("first"), "second")).await, 1);
    assert_eq!((password(&f, user).await.as_str(), generation(&f, user).await), ("second", 1));
    assert_eq!(ear.told(), [AccessChange::User(user)]);
    let kept = async || f.store.get::<LoginGeneration>(&user).await.unwrap().unwrap().entity.kept;
    let login = Some(TypedId::from_bits(5));
    assert_eq!(f.done(user, &ChangePassword { login, ..change(user, Some("second"), "third") }).await, 2);
    assert_eq!(kept().await, login, "the one that it was asked with goes on");
    f.done(user, &change(user, Some("third"), "second")).await;
    assert_eq!(kept().await, None);
    let foreign = f.refused(f.buyer, &change(user, Some("second"), "mine")).await;
    assert_eq!(foreign.code(), "invalid_request", "{foreign}");
}

async fn ask(f: &Fixture, user: UserId) -> Result<ResetId, Refusal> {
    f.market.execute(Actor::Anonymous, None, &AskPasswordReset { user }).await.map_err(refusal)?;
    Ok(f.store.get::<PasswordReset>(&user).await.unwrap().unwrap().entity.id)
}

async fn reset(f: &Fixture, user: UserId, reset: ResetId, password: &str) -> Result<(), Refusal> {
    let command = ResetPassword { user, reset, password: Some(SecretHash::new(password)) };
    f.market.execute(Actor::Anonymous, None, &command).await.map_err(refusal)
}

#[tokio::test]
async fn a_reset_sets_a_password_once_and_ends_all_logins() {
    let f = Fixture::new().await;
    let user = person(&f).await;
    let leave = ask(&f, user).await.unwrap();
    reset(&f, user, leave, "second").await.unwrap();
    assert_eq!((password(&f, user).await.as_str(), generation(&f, user).await), ("second", 1));
    assert_eq!(reset(&f, user, leave, "third").await, Err(Refusal::ResetNotGood));
    assert_eq!(password(&f, user).await, "second");
}

#[tokio::test]
async fn only_the_last_leave_counts_and_only_for_half_an_hour() {
    let f = Fixture::new().await;
    let user = person(&f).await;
    let first = ask(&f, user).await.unwrap();
    assert_eq!(ask(&f, user).await, Err(Refusal::TooSoon), "nobody is flooded with mail");
    f.pass(PasswordReset::PAUSE);
    let second = ask(&f, user).await.unwrap();
    assert_eq!(reset(&f, user, first, "x").await, Err(Refusal::ResetNotGood));
    f.pass(PasswordReset::LIFETIME);
    assert_eq!(reset(&f, user, second, "x").await, Err(Refusal::ResetNotGood));
    assert_eq!(reset(&f, f.buyer, second, "x").await, Err(Refusal::ResetNotGood), "another's leave");
    assert_eq!(password(&f, user).await, "first");
}

#[tokio::test]
async fn who_is_suspended_or_has_no_address_is_not_mailed() {
    let f = Fixture::new().await;
    let user = person(&f).await;
    f.market.execute(Actor::System, None, &SuspendUser { user }).await.unwrap();
    assert_eq!(ask(&f, user).await.unwrap_err().code(), "wrong_state");
    assert_eq!(ask(&f, f.buyer).await.unwrap_err().code(), "invalid_request");
    assert_eq!(ask(&f, TypedId::from_bits(5)).await.unwrap_err().code(), "not_found");
}

#[tokio::test]
async fn a_suspension_and_the_user_s_own_wish_end_all_logins_for_good() {
    let f = Fixture::new().await;
    let user = person(&f).await;
    f.market.execute(Actor::System, None, &SuspendUser { user }).await.unwrap();
    f.market.execute(Actor::System, None, &ActivateUser { user }).await.unwrap();
    assert_eq!(generation(&f, user).await, 1, "what was reinstated is the account, not its logins");
    f.done(user, &EndLogins { user }).await;
    assert_eq!(generation(&f, user).await, 2);
}

#[tokio::test]
async fn users_are_found_under_their_address_in_any_case_of_letters() {
    let f = Fixture::new().await;
    let user = person(&f).await;
    for wanted in ["person@example.org", "Person@Example.ORG"] {
        assert_eq!(f.market.users_at(&wanted.parse().unwrap()).await.unwrap(), [user]);
    }
    assert_eq!(f.market.users_at(&"else@example.org".parse().unwrap()).await.unwrap(), []);
}
