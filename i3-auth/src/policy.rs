//! The default policy: what each role may do.

use i3_core::access::{Action, Actor, Decision, HubRole, Policy, Resource, Role, Subject};

/// Decides by the subject's roles in the marketplace and in the hub, and by whose the resource is.
///
/// | action | consumer | provider | administrator | hub role | owner of the resource | anonymous | system |
/// |---|---|---|---|---|---|---|---|
/// | `user:register` | yes | yes | yes | | | yes | yes |
/// | `user:manage` | | | yes | | | | yes |
/// | `user:view` | | | yes | | yes, even if not active | | yes |
/// | `user:edit` | | | yes | | yes | | yes |
/// | `password:recover` | yes | yes | yes | | | yes | yes |
/// | `hub:create` | | yes | | | | | |
/// | `hub:view` | | | | viewer | | | yes |
/// | `hub:members` | | | | owner | | | yes |
/// | `device:manage`, `product:manage` | | | | manager | | | yes |
/// | `grant:revoke` | | | yes | manager | | | yes |
/// | `account:top-up` | | | yes | | | | yes |
/// | `account:view` | | | yes | viewer | yes | | yes |
/// | `order:create`, `rating:create` | for oneself | | | | | | |
/// | `order:view` | | | yes | viewer | yes | | yes |
/// | `order:manage` | | | yes | | yes | | yes |
/// | `audit:view` | | | yes | | | | yes |
/// | `client:create` | yes | yes | yes | | | | yes |
/// | `client:manage` | | | yes | | yes | | yes |
/// | `virtual_object:create` | | yes | yes | | | | yes |
/// | `virtual_object:view` | | | yes | viewer | yes | | yes |
/// | `virtual_object:edit`, `virtual_object:delete` | | of one's own | yes | manager | | | yes |
/// | `virtual_object:publish` | | | yes | | | | yes |
/// | `thing:create` | | for oneself | | | | | |
/// | `thing:view`, `thing:delete` | | | yes | | yes | | yes |
/// | `thing:edit` | | | | | yes | | yes |
/// | `usage:meter` | | | | | | | yes |
///
/// A higher hub role may all that a lower one may. A user who is not active may nothing but `user:view` of
/// oneself. Roles only ever add: no role takes anything away. Administrators run the marketplace and are no
/// superusers: they buy nothing, see no hub's inside, and receive no data, since data come from grants alone.
///
/// `order:manage` lets an administrator cancel an order. It is no leave to *show* the order's password to
/// anybody but its buyer.
#[derive(Debug, Clone, Copy, Default)]
pub struct RolePolicy;

impl Policy for RolePolicy {
    fn decide(&self, subject: &Subject, action: Action, resource: &Resource) -> Decision {
        match subject.actor {
            Actor::System => system(action),
            Actor::Anonymous if action == Action::RegisterUser => {
                Decision::allow("anybody may open an account")
            }
            Actor::Anonymous if action == Action::RecoverPassword => {
                Decision::allow("anybody may ask to be mailed")
            }
            Actor::Anonymous => Decision::deny("without an account one may only open one"),
            Actor::User(user) => {
                let owns = resource.owner == Some(user);
                if action == Action::ViewUser && owns {
                    Decision::allow("users may see themselves")
                } else if subject.active {
                    active_user(subject, action, resource, owns)
                } else {
                    Decision::deny("users who are not active may only see themselves")
                }
            }
        }
    }
}

/// What the marketplace itself may: all but trade.
fn system(action: Action) -> Decision {
    match action {
        Action::Purchase | Action::Rate | Action::RegisterHub => {
            Decision::deny("the marketplace does not trade for itself")
        }
        _ => Decision::allow("the marketplace may do what running it takes"),
    }
}

fn active_user(subject: &Subject, action: Action, resource: &Resource, owns: bool) -> Decision {
    let is = |role| subject.roles.contains(&role);
    let in_hub = |least| resource.hub_role.is_some_and(|role| role >= least);
    // What nobody owns in particular counts as one's own: to buy is to buy for oneself.
    let for_oneself = owns || resource.owner.is_none();
    // Each action's rules in turn: the first one that holds allows it, and if none holds the last text says
    // what would.
    let rules: (&[(bool, &'static str)], &'static str) = match action {
        Action::RegisterUser => (&[(true, "anybody may open an account")], ""),
        Action::ManageUsers => (
            &[(is(Role::Administrator), "administrators may manage users")],
            "only administrators may manage users",
        ),
        Action::ViewUser => (
            &[(is(Role::Administrator), "administrators may see users")],
            "only administrators may see other users",
        ),
        Action::EditUser => (
            &[
                (owns, "users may edit themselves"),
                (is(Role::Administrator), "administrators may edit users"),
            ],
            "only administrators may edit other users",
        ),
        Action::RecoverPassword => (&[(true, "anybody may ask to be mailed")], ""),
        Action::RegisterHub => {
            (&[(is(Role::Provider), "providers may create hubs")], "only providers may create hubs")
        }
        Action::ViewHub => (
            &[(in_hub(HubRole::Viewer), "members of a hub may see its inside")],
            "only members of a hub may see its inside",
        ),
        Action::ManageMembers => (
            &[(in_hub(HubRole::Owner), "owners of a hub may manage its members")],
            "only owners of a hub may manage its members",
        ),
        Action::ManageDevices => (
            &[(in_hub(HubRole::Manager), "managers of a hub may manage its devices")],
            "only managers and owners of a hub may manage its devices",
        ),
        Action::ManageProducts => (
            &[(in_hub(HubRole::Manager), "managers of a hub may manage its products")],
            "only managers and owners of a hub may manage its products",
        ),
        Action::RevokeGrant => (
            &[
                (in_hub(HubRole::Manager), "managers of a hub may take its access away"),
                (is(Role::Administrator), "administrators may take access away"),
            ],
            "only managers and owners of the hub and administrators may take access away",
        ),
        Action::TopUp => (
            &[(is(Role::Administrator), "administrators may credit accounts")],
            "only administrators may credit accounts",
        ),
        Action::ViewAccount => (
            &[
                (owns, "users may see their accounts"),
                (in_hub(HubRole::Viewer), "members of a hub may see its account"),
                (is(Role::Administrator), "administrators may see accounts"),
            ],
            "only its owner, members of its hub and administrators may see an account",
        ),
        Action::Purchase => (
            &[(is(Role::Consumer) && for_oneself, "consumers may buy for themselves")],
            "only consumers may buy, and only for themselves",
        ),
        Action::ViewOrder => (
            &[
                (owns, "buyers may see their orders"),
                (in_hub(HubRole::Viewer), "members of a hub may see orders of its products"),
                (is(Role::Administrator), "administrators may see orders"),
            ],
            "only its buyer, members of the seller's hub and administrators may see an order",
        ),
        Action::ManageOrder => (
            &[
                (owns, "buyers may manage their orders"),
                (is(Role::Administrator), "administrators may manage orders"),
            ],
            "only its buyer and administrators may manage an order",
        ),
        Action::Rate => (
            &[(is(Role::Consumer) && for_oneself, "consumers may rate what they bought")],
            "only consumers may rate, and only what they bought themselves",
        ),
        Action::Audit => (
            &[(is(Role::Administrator), "administrators may read the audit log")],
            "only administrators may read the audit log",
        ),
        Action::RegisterClient => (&[(true, "users may register clients")], ""),
        Action::ManageClient => (
            &[
                (owns, "users may manage their clients"),
                (is(Role::Administrator), "administrators may manage clients"),
            ],
            "only its owner and administrators may manage a client",
        ),
        Action::CreateVirtualObject => (
            &[
                (is(Role::Provider), "providers may create virtual objects"),
                (is(Role::Administrator), "administrators may create virtual objects"),
            ],
            "only providers and administrators may create virtual objects",
        ),
        Action::ViewVirtualObject => (
            &[
                (owns, "users may see all of their virtual objects"),
                (in_hub(HubRole::Viewer), "members of a hub may see all of its virtual objects"),
                (is(Role::Administrator), "administrators may see all of virtual objects"),
            ],
            "only its owner, members of its hub and administrators may see what is not public of a virtual object",
        ),
        Action::EditVirtualObject | Action::DeleteVirtualObject => (
            &[
                (owns && is(Role::Provider), "providers may change their virtual objects"),
                (in_hub(HubRole::Manager), "managers of a hub may change its virtual objects"),
                (is(Role::Administrator), "administrators may change virtual objects"),
            ],
            "only the provider who owns it, managers of its hub and administrators may change a virtual object",
        ),
        Action::PublishVirtualObject => (
            &[(is(Role::Administrator), "administrators may publish virtual objects")],
            "only administrators may publish virtual objects",
        ),
        Action::CreateThing => (
            &[(is(Role::Provider) && for_oneself, "providers may register things")],
            "only providers may register things",
        ),
        Action::ViewThing | Action::EditThing | Action::DeleteThing => (
            &[
                (owns, "users may see, change and remove their things"),
                (
                    is(Role::Administrator) && action != Action::EditThing,
                    "administrators may see and remove things",
                ),
            ],
            "only its owner may do this with a thing",
        ),
        Action::Meter => (&[], "only the marketplace's gates may meter"),
        _ => (&[], "no rule allows this"),
    };
    let (allowing, otherwise) = rules;
    match allowing.iter().find(|(holds, _)| *holds) {
        Some((_, rule)) => Decision::allow(*rule),
        None => Decision::deny(otherwise),
    }
}

#[cfg(test)]
mod tests {
    use i3_core::id::{TypedId, UserId};
    use proptest::prelude::*;
    use proptest::sample::{select, subsequence};

    use super::*;

    const ROLES: [Role; 3] = [Role::Consumer, Role::Provider, Role::Administrator];
    const HUB_ROLES: [Option<HubRole>; 4] =
        [None, Some(HubRole::Viewer), Some(HubRole::Manager), Some(HubRole::Owner)];

    fn me() -> UserId {
        UserId::from_bits(1)
    }

    fn other() -> UserId {
        UserId::from_bits(2)
    }

    fn user(roles: &[Role]) -> Subject {
        Subject { actor: Actor::User(me()), roles: roles.iter().copied().collect(), active: true }
    }

    fn allowed(subject: &Subject, action: Action, resource: &Resource) -> bool {
        RolePolicy.decide(subject, action, resource).allowed
    }

    fn permissions(subject: &Subject, resource: &Resource) -> Vec<&'static str> {
        let all = Action::ALL.iter().filter(|action| allowed(subject, **action, resource));
        all.map(|action| action.permission()).collect()
    }

    #[test]
    fn each_role_may_exactly_this_of_the_marketplace() {
        let may = |subject: &Subject| permissions(subject, &Resource::MARKETPLACE);
        assert_eq!(may(&Subject::anonymous()), ["user:register", "password:recover"]);
        assert_eq!(may(&user(&[])), ["user:register", "password:recover", "client:create"]);
        assert_eq!(
            may(&user(&[Role::Consumer])),
            ["user:register", "password:recover", "order:create", "rating:create", "client:create"]
        );
        assert_eq!(
            may(&user(&[Role::Provider])),
            [
                "user:register",
                "password:recover",
                "hub:create",
                "client:create",
                "virtual_object:create",
                "thing:create"
            ]
        );
        assert_eq!(
            may(&user(&[Role::Administrator])),
            [
                "user:register",
                "user:manage",
                "user:view",
                "user:edit",
                "password:recover",
                "grant:revoke",
                "account:top-up",
                "account:view",
                "order:view",
                "order:manage",
                "audit:view",
                "client:create",
                "client:manage",
                "virtual_object:create",
                "virtual_object:view",
                "virtual_object:edit",
                "virtual_object:delete",
                "virtual_object:publish",
                "thing:view",
                "thing:delete"
            ]
        );
    }

    #[test]
    fn each_hub_role_may_exactly_this_of_its_hub() {
        let may = |role| permissions(&user(&[]), &Resource::of_hub(role));
        let viewer = [
            "user:register",
            "password:recover",
            "hub:view",
            "account:view",
            "order:view",
            "client:create",
            "virtual_object:view",
        ];
        assert_eq!(may(None), ["user:register", "password:recover", "client:create"]);
        assert_eq!(may(Some(HubRole::Viewer)), viewer);
        let manager = [
            "user:register",
            "password:recover",
            "hub:view",
            "device:manage",
            "product:manage",
            "grant:revoke",
            "account:view",
            "order:view",
            "client:create",
            "virtual_object:view",
            "virtual_object:edit",
            "virtual_object:delete",
        ];
        assert_eq!(may(Some(HubRole::Manager)), manager);
        let owner: Vec<_> = permissions(&user(&[]), &Resource::of_hub(Some(HubRole::Owner)));
        let more: Vec<_> = owner.iter().filter(|one| !manager.contains(one)).collect();
        assert_eq!(more, [&"hub:members"]);
        assert_eq!(owner.len(), manager.len() + 1);
    }

    #[test]
    fn users_may_exactly_this_of_their_own_and_nothing_of_others() {
        let own = permissions(&user(&[]), &Resource::of_user(me()));
        let mine = [
            "user:view",
            "user:edit",
            "account:view",
            "order:view",
            "order:manage",
            "client:create",
            "client:manage",
            "virtual_object:view",
            "thing:view",
            "thing:edit",
            "thing:delete",
        ];
        assert_eq!(own, [&["user:register"], &mine[..2], &["password:recover"], &mine[2..]].concat());
        for roles in [&[][..], &[Role::Provider], &[Role::Consumer], &[Role::Consumer, Role::Provider]] {
            let foreign = permissions(&user(roles), &Resource::of_user(other()));
            let of_others: Vec<_> = foreign
                .iter()
                .filter(|one| {
                    let of_all = ["user:register", "password:recover", "hub:create", "client:create"];
                    !of_all.contains(one) && **one != "virtual_object:create"
                })
                .collect();
            assert_eq!(of_others, [&""; 0], "{roles:?}");
        }
    }

    #[test]
    fn the_marketplace_may_all_but_trade() {
        let denied: Vec<_> = Action::ALL
            .iter()
            .filter(|action| !allowed(&Subject::system(), **action, &Resource::of_user(other())))
            .collect();
        assert_eq!(denied, [&Action::RegisterHub, &Action::Purchase, &Action::Rate]);
    }

    #[test]
    fn only_the_marketplace_meters() {
        for hub_role in HUB_ROLES {
            let resource = Resource { owner: Some(me()), hub_role };
            assert!(!allowed(&user(&ROLES), Action::Meter, &resource));
        }
        assert!(!allowed(&Subject::anonymous(), Action::Meter, &Resource::MARKETPLACE));
    }

    #[test]
    fn an_administrator_buys_nothing_and_sees_no_hubs_inside() {
        let administrator = user(&[Role::Administrator]);
        for action in [
            Action::Purchase,
            Action::Rate,
            Action::RegisterHub,
            Action::ViewHub,
            Action::ManageMembers,
            Action::ManageDevices,
            Action::ManageProducts,
            Action::Meter,
        ] {
            for resource in [Resource::MARKETPLACE, Resource::of_user(other()), Resource::of_hub(None)] {
                assert!(!allowed(&administrator, action, &resource), "{action}");
            }
        }
    }

    fn resources() -> impl Strategy<Value = Resource> {
        (select(vec![None, Some(me()), Some(other())]), select(HUB_ROLES.to_vec()))
            .prop_map(|(owner, hub_role)| Resource { owner, hub_role })
    }

    fn actions() -> impl Strategy<Value = Action> {
        select(Action::ALL.to_vec())
    }

    proptest! {
        #[test]
        fn a_further_role_never_takes_access_away(
            roles in subsequence(&ROLES, 0..=3), more in select(ROLES.to_vec()),
            action in actions(), resource in resources(),
        ) {
            let (before, mut after) = (user(&roles), user(&roles));
            after.roles.insert(more);
            prop_assert!(!allowed(&before, action, &resource) || allowed(&after, action, &resource));
        }

        #[test]
        fn a_role_less_never_gives_access(
            roles in subsequence(&ROLES, 1..=3), action in actions(), resource in resources(),
        ) {
            let before = user(&roles);
            for role in &roles {
                let mut after = before.clone();
                after.roles.remove(role);
                prop_assert!(allowed(&before, action, &resource) || !allowed(&after, action, &resource));
            }
        }

        #[test]
        fn a_higher_hub_role_never_takes_access_away(
            roles in subsequence(&ROLES, 0..=3), action in actions(), resource in resources(),
        ) {
            let subject = user(&roles);
            let mut before = false;
            for hub_role in HUB_ROLES {
                let now = allowed(&subject, action, &Resource { hub_role, ..resource });
                prop_assert!(now || !before, "{hub_role:?}");
                before = now;
            }
        }

        #[test]
        fn who_is_not_active_may_only_see_oneself(
            roles in subsequence(&ROLES, 0..=3), action in actions(), resource in resources(),
        ) {
            let subject = Subject { active: false, ..user(&roles) };
            let oneself = action == Action::ViewUser && resource.owner == Some(me());
            prop_assert_eq!(allowed(&subject, action, &resource), oneself);
        }

        #[test]
        fn every_answer_names_a_rule_that_says_the_same(
            roles in subsequence(&ROLES, 0..=3), active: bool, action in actions(), resource in resources(),
        ) {
            let user = Subject { active, ..user(&roles) };
            for subject in [user, Subject::anonymous(), Subject::system()] {
                let decision = RolePolicy.decide(&subject, action, &resource);
                let denies = ["only", "does not"].iter().any(|word| decision.rule.contains(word));
                prop_assert!(!decision.rule.is_empty());
                prop_assert_eq!(decision.allowed, !denies, "{}", decision.rule);
                prop_assert_eq!(RolePolicy.decide(&subject, action, &resource), decision);
            }
        }
    }
}
