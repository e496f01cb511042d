use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::*;
use crate::access::{HubRole, Own};
use crate::id::{TypedId, UserId};
use crate::role::BuiltIn;

/// Decides by permissions alone.
#[derive(Debug)]
struct ByPermission;

impl Policy for ByPermission {
    fn decide(&self, subject: &Subject, action: Action, resource: &Resource) -> Decision {
        if subject.may(action, resource) { Decision::allow("has it") } else { Decision::deny("lacks it") }
    }
}

/// Decides as nobody would expect: by the parity of what it is asked.
#[derive(Debug)]
struct Odd(u8);

impl Policy for Odd {
    fn decide(&self, subject: &Subject, action: Action, resource: &Resource) -> Decision {
        let seen = action.permission().len() + subject.roles.len() + usize::from(resource.owner.is_some());
        if (seen + usize::from(self.0)).is_multiple_of(2) {
            Decision::allow("even")
        } else {
            Decision::deny("odd")
        }
    }
}

fn me() -> UserId {
    UserId::from_bits(1)
}

fn night_shift() -> RoleName {
    "night-shift".parse().unwrap()
}

fn permissions() -> impl Strategy<Value = PermissionSet> {
    let all: Vec<_> = Permission::all().collect();
    let count = all.len();
    subsequence(all, 0..=count).prop_map(|some| some.into_iter().collect())
}

/// The roles as somebody edited them.
fn books() -> impl Strategy<Value = RoleBook> {
    (permissions(), proptest::option::of(permissions())).prop_map(|(night, consumer)| {
        let mut book = RoleBook::default();
        book.set(night_shift(), night);
        if let Some(consumer) = consumer {
            book.set(RoleName::CONSUMER, consumer);
        }
        book
    })
}

fn roles() -> impl Strategy<Value = BTreeSet<RoleName>> {
    let all = vec![RoleName::CONSUMER, RoleName::PROVIDER, RoleName::ADMINISTRATOR, night_shift()];
    subsequence(all, 0..=4).prop_map(|some| some.into_iter().collect())
}

fn scopes() -> impl Strategy<Value = BTreeSet<Scope>> {
    let mut all: Vec<Scope> = Permission::all().map(Scope::from).collect();
    let named = ["as:user", "as:consumer", "as:provider", "as:administrator", "as:night-shift", "as:ghost"];
    all.extend(named.map(|scope| scope.parse().unwrap()));
    let wide = subsequence(vec![Scope::READ, Scope::WRITE, "token:introspect"], 0..=3);
    (subsequence(all, 0..8), prop_oneof![3 => Just(Vec::new()), 1 => wide]).prop_map(|(some, wide)| {
        some.into_iter().chain(wide.into_iter().map(|scope| scope.parse().unwrap())).collect()
    })
}

fn resources() -> impl Strategy<Value = Resource> {
    let owner = select(vec![None, Some(me()), Some(UserId::from_bits(2))]);
    let hub = select(vec![None, Some(HubRole::Viewer), Some(HubRole::Manager), Some(HubRole::Owner)]);
    (owner, hub).prop_map(|(owner, hub_role)| Resource { owner, hub_role })
}

fn purposes() -> impl Strategy<Value = Purpose> {
    select(vec![Purpose::Reading, Purpose::Changing])
}

fn policies() -> impl Strategy<Value = Box<dyn Policy>> {
    prop_oneof![
        Just(()).prop_map(|()| Box::new(ByPermission) as Box<dyn Policy>),
        any::<u8>().prop_map(|odd| Box::new(Odd(odd)) as Box<dyn Policy>),
    ]
}

proptest! {
    #[test]
    fn a_bounded_caller_may_never_do_what_the_unbounded_one_may_not(
        (held, book, scopes) in (roles(), books(), scopes()),
        (resource, purpose, policy) in (resources(), purposes(), policies()),
        active: bool,
    ) {
        let person = Subject::user(me(), held, active, &book);
        let program = person.clone().through(&Bound::of(&scopes), &book);
        for action in Action::ALL {
            let asked = |subject| decide(&*policy, subject, purpose, *action, &resource);
            match (asked(&person), asked(&program)) {
                (Err(why), told) => prop_assert_eq!(told, Err(why), "{} {:?}", action, scopes),
                // What the program lacks is told, and is enough.
                (Ok(()), Err(Denial::OutOfScope { needed })) => {
                    prop_assert_eq!(needed.action(), *action);
                    let more: BTreeSet<_> = scopes.iter().cloned().chain([Scope::from(needed)]).collect();
                    let program = person.clone().through(&Bound::of(&more), &book);
                    prop_assert_eq!(asked(&program), Ok(()));
                }
                (Ok(()), told) => prop_assert_eq!(told, Ok(())),
            }
        }
    }

    #[test]
    fn narrower_scopes_never_allow_more(
        (held, book, wide) in (roles(), books(), scopes()),
        kept in any::<u64>(),
        (resource, purpose, policy) in (resources(), purposes(), policies()),
    ) {
        let narrow: BTreeSet<Scope> = wide.iter().enumerate()
            .filter(|(place, _)| kept >> (place % 64) & 1 == 1).map(|(_, scope)| scope.clone()).collect();
        let person = Subject::user(me(), held, true, &book);
        let through = |scopes| person.clone().through(&Bound::of(scopes), &book);
        let (narrow, wide) = (through(&narrow), through(&wide));
        for action in Action::ALL {
            let may = |subject| decide(&*policy, subject, purpose, *action, &resource).is_ok();
            prop_assert!(!may(&narrow) || may(&wide), "{action}");
        }
    }

    #[test]
    fn a_program_may_what_both_the_persons_roles_and_its_scopes_allow(
        (held, book, scopes) in (roles(), books(), scopes()),
        (resource, purpose) in (resources(), purposes()),
    ) {
        let bound = Bound::of(&scopes);
        let person = Subject::user(me(), held, true, &book);
        let both = person.permissions.intersection(bound.limits(&person.roles, &book).of(purpose));
        let joint = Subject { permissions: both, ..person.clone() };
        let program = person.through(&bound, &book);
        for action in Action::ALL {
            let allowed = decide(&ByPermission, &program, purpose, *action, &resource).is_ok();
            prop_assert_eq!(allowed, joint.may(*action, &resource), "{}", action);
        }
    }
}

fn limits(scopes: &[&str], held: &[RoleName]) -> Limits {
    let scopes: Vec<Scope> = scopes.iter().map(|scope| scope.parse().unwrap()).collect();
    Bound::of(&scopes).limits(&held.iter().cloned().collect(), &RoleBook::default())
}

#[test]
fn the_wide_scopes_are_all_looking_and_all_changing() {
    let everything = PermissionSet::everything();
    let read = limits(&[Scope::READ], &[]);
    assert_eq!((read.reading, read.changing), (everything, PermissionSet::views()));
    let write = limits(&[Scope::WRITE], &[]);
    assert_eq!((write.reading, write.changing), (PermissionSet::EMPTY, everything));
    let both = limits(&[Scope::READ, Scope::WRITE], &[]);
    assert_eq!((both.reading, both.changing), (everything, everything));
    let neither = limits(&["token:introspect", "as:ghost"], &[RoleName::ADMINISTRATOR]);
    assert_eq!((neither.reading, neither.changing), (PermissionSet::EMPTY, PermissionSet::EMPTY));
}

#[test]
fn a_role_that_the_person_does_not_have_gives_nothing() {
    let scope = &["as:consumer"];
    let has = limits(scope, &[RoleName::PROVIDER, RoleName::CONSUMER]);
    assert_eq!(has.changing, BuiltIn::Consumer.permissions());
    assert_eq!(has.reading, has.changing);
    assert!(limits(scope, &[RoleName::PROVIDER]).changing.is_empty());
    assert_eq!(limits(&["as:user"], &[]).changing, BuiltIn::User.permissions(), "everybody is one");
}

#[test]
fn who_lacks_a_scope_for_ones_own_is_told_of_no_more_than_that() {
    let person = Subject::user(me(), [RoleName::ADMINISTRATOR].into(), true, &RoleBook::default());
    let program = person.through(&Bound::default(), &RoleBook::default());
    let denied = |action, resource: &Resource| match decide(
        &ByPermission,
        &program,
        Purpose::Changing,
        action,
        resource,
    ) {
        Err(Denial::OutOfScope { needed }) => needed.to_string(),
        other => panic!("{other:?}"),
    };
    let delete = Action::DeleteVirtualObject;
    assert_eq!(denied(delete, &Resource::of_user(me())), "virtual_object:delete:own");
    assert_eq!(denied(delete, &Resource::of_user(UserId::from_bits(2))), "virtual_object:delete");
    assert_eq!(Action::Audit.own(), Own::Nothing);
    assert_eq!(denied(Action::Audit, &Resource::MARKETPLACE), "audit:view");
}

#[test]
fn the_marketplace_itself_and_strangers_are_bound_by_no_scopes() {
    let book = RoleBook::default();
    for subject in [Subject::system(), Subject::anonymous()] {
        assert_eq!(subject.clone().through(&Bound::default(), &book), subject);
    }
}
