//! The default policy: permissions of roles, rights in a hub, and what is one's own.

use i3_core::access::{Action, Actor, Decision, Policy, Reach, Resource, Subject};

/// Decides by the permissions that the subject's roles give now, by the subject's role in the hub, and by whose
/// the resource is.
///
/// Which permissions there are, whose things count as one's own for each, and what the built-in roles have until
/// they are edited is one table, in [`Action`]:
///
/// | permission | one's own is | everybody with an account | consumer | provider | administrator |
/// |---|---|---|---|---|---|
/// | `user:register` | | yes | | | |
/// | `user:manage` | | | | | yes |
/// | `user:view` | oneself | own | own | own | yes |
/// | `user:edit` | oneself | own | own | own | yes |
/// | `password:recover` | | yes | | | |
/// | `role:view` | | yes | | | |
/// | `role:manage` | | | | | yes |
/// | `hub:create` | | | | yes | |
/// | `hub:view` | a viewer's hub | own | | own | |
/// | `hub:edit` | a manager's hub | own | | own | |
/// | `hub:members` | an owner's hub | own | | own | |
/// | `device:manage`, `product:manage` | a manager's hub | own | | own | |
/// | `grant:revoke` | a manager's hub | own | | own | yes |
/// | `account:top-up` | | | | | yes |
/// | `account:view` | oneself's, a viewer's hub's | own | own | own | yes |
/// | `order:create`, `rating:create` | for oneself | | own | | |
/// | `order:view` | oneself's, of a viewer's hub | own | own | own | yes |
/// | `order:manage` | oneself's | own | own | | yes |
/// | `audit:view` | | | | | yes |
/// | `client:create` | | yes | | | |
/// | `client:manage` | oneself's | own | | | yes |
/// | `virtual_object:create` | | | | yes | yes |
/// | `virtual_object:view` | oneself's, of a viewer's hub | own | | own | yes |
/// | `virtual_object:edit`, `virtual_object:delete` | oneself's, of a manager's hub | | | own | yes |
/// | `virtual_object:publish` | oneself's, of a manager's hub | | | | yes |
/// | `thing:create` | for oneself | | | own | |
/// | `thing:view`, `thing:delete` | oneself's | own | | own | yes |
/// | `thing:edit` | oneself's | own | | own | |
/// | `ontology:manage` | | | | | yes |
/// | `usage:meter` | | | | | |
///
/// Beside the table: a higher hub role may all that a lower one may. Without an account one may open one, or
/// ask for a new password, and nothing else. A user who is not active may nothing but `user:view` of oneself. The
/// marketplace itself may everything but trade. Permissions only ever add: none takes anything away. As they come, administrators run the
/// marketplace and are no superusers: they buy nothing and see no hub's inside; and nobody receives data by a
/// permission, since data come from grants alone.
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
            Actor::User(_) if subject.active => active_user(subject, action, resource),
            Actor::User(_) => inactive_user(subject, action, resource),
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

fn active_user(subject: &Subject, action: Action, resource: &Resource) -> Decision {
    match subject.permissions.reach(action) {
        Some(Reach::Any) => Decision::allow("a role allows it"),
        Some(Reach::Own) if subject.owns(action, resource) => {
            Decision::allow("a role allows it for one's own")
        }
        Some(Reach::Own) => Decision::deny("the roles allow it only for one's own"),
        None => Decision::deny("no role allows it"),
    }
}

/// Who waits for approval or is suspended may look up why.
fn inactive_user(subject: &Subject, action: Action, resource: &Resource) -> Decision {
    if action == Action::ViewUser && subject.owns(action, resource) {
        Decision::allow("users may see themselves")
    } else {
        Decision::deny("users who are not active may only see themselves")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use i3_core::access::{HubRole, Own, Permission, PermissionSet};
    use i3_core::id::{TypedId, UserId};
    use i3_core::role::{RoleBook, RoleName};
    use proptest::prelude::*;
    use proptest::sample::{select, subsequence};

    use super::*;

    const ROLES: [RoleName; 3] = [RoleName::CONSUMER, RoleName::PROVIDER, RoleName::ADMINISTRATOR];
    const HUB_ROLES: [Option<HubRole>; 4] =
        [None, Some(HubRole::Viewer), Some(HubRole::Manager), Some(HubRole::Owner)];

    fn me() -> UserId {
        UserId::from_bits(1)
    }

    fn other() -> UserId {
        UserId::from_bits(2)
    }

    fn user(roles: &[RoleName]) -> Subject {
        Subject::user(me(), roles.iter().cloned().collect(), true, &RoleBook::default())
    }

    fn holder(permissions: PermissionSet) -> Subject {
        Subject { permissions, ..user(&[]) }
    }

    fn allowed(subject: &Subject, action: Action, resource: &Resource) -> bool {
        RolePolicy.decide(subject, action, resource).allowed
    }

    fn permissions(subject: &Subject, resource: &Resource) -> Vec<&'static str> {
        let all = Action::ALL.iter().filter(|action| allowed(subject, **action, resource));
        all.map(|action| action.permission()).collect()
    }

    fn beyond<'a>(all: &[&'a str], known: &[&str]) -> Vec<&'a str> {
        all.iter().filter(|one| !known.contains(one)).copied().collect()
    }

    const EVERYBODY: [&str; 4] = ["user:register", "password:recover", "role:view", "client:create"];

    #[test]
    fn each_role_may_exactly_this_of_the_marketplace() {
        let may = |subject: &Subject| permissions(subject, &Resource::MARKETPLACE);
        assert_eq!(may(&Subject::anonymous()), ["user:register", "password:recover"]);
        assert_eq!(may(&user(&[])), EVERYBODY);
        assert_eq!(may(&user(&[RoleName::CONSUMER])), EVERYBODY);
        assert_eq!(
            beyond(&may(&user(&[RoleName::PROVIDER])), &EVERYBODY),
            ["hub:create", "virtual_object:create"]
        );
        assert_eq!(
            beyond(&may(&user(&[RoleName::ADMINISTRATOR])), &EVERYBODY),
            [
                "user:manage",
                "user:view",
                "user:edit",
                "role:manage",
                "grant:revoke",
                "account:top-up",
                "account:view",
                "order:view",
                "order:manage",
                "audit:view",
                "client:manage",
                "virtual_object:create",
                "virtual_object:view",
                "virtual_object:edit",
                "virtual_object:delete",
                "virtual_object:publish",
                "thing:view",
                "thing:delete",
                "ontology:manage"
            ]
        );
    }

    #[test]
    fn each_hub_role_may_exactly_this_of_its_hub() {
        let may = |role| beyond(&permissions(&user(&[]), &Resource::of_hub(role)), &EVERYBODY);
        assert_eq!(may(None), [""; 0]);
        let viewer = ["hub:view", "account:view", "order:view", "virtual_object:view"];
        assert_eq!(may(Some(HubRole::Viewer)), viewer);
        let manager = may(Some(HubRole::Manager));
        assert_eq!(
            beyond(&manager, &viewer),
            ["hub:edit", "device:manage", "product:manage", "grant:revoke"]
        );
        assert_eq!(beyond(&may(Some(HubRole::Owner)), &manager), ["hub:members"]);
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
            "client:manage",
            "virtual_object:view",
            "thing:view",
            "thing:edit",
            "thing:delete",
        ];
        assert_eq!(beyond(&own, &EVERYBODY), mine);
        let consumer = permissions(&user(&[RoleName::CONSUMER]), &Resource::of_user(me()));
        assert_eq!(beyond(&consumer, &own), ["order:create", "rating:create"]);
        let provider = permissions(&user(&[RoleName::PROVIDER]), &Resource::of_user(me()));
        let of_objects =
            ["virtual_object:create", "virtual_object:edit", "virtual_object:delete", "thing:create"];
        assert_eq!(beyond(&beyond(&provider, &own), &of_objects), ["hub:create"]);
        for roles in subsets(&[RoleName::CONSUMER, RoleName::PROVIDER]) {
            let foreign = permissions(&user(&roles), &Resource::of_user(other()));
            assert_eq!(
                beyond(&beyond(&foreign, &EVERYBODY), &["hub:create", "virtual_object:create"]),
                [""; 0],
                "{roles:?}"
            );
        }
    }

    fn subsets(roles: &[RoleName]) -> Vec<Vec<RoleName>> {
        roles.iter().fold(vec![Vec::new()], |all, role| {
            let with = all.iter().map(|some| [&some[..], std::slice::from_ref(role)].concat());
            all.iter().cloned().chain(with.collect::<Vec<_>>()).collect()
        })
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
    fn no_built_in_role_meters() {
        for hub_role in HUB_ROLES {
            let resource = Resource { owner: Some(me()), hub_role };
            assert!(!allowed(&user(&ROLES), Action::Meter, &resource));
        }
        assert!(!allowed(&Subject::anonymous(), Action::Meter, &Resource::MARKETPLACE));
    }

    #[test]
    fn an_administrator_buys_nothing_and_sees_no_hubs_inside() {
        let administrator = user(&[RoleName::ADMINISTRATOR]);
        for action in [
            Action::Purchase,
            Action::Rate,
            Action::RegisterHub,
            Action::ViewHub,
            Action::EditHub,
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

    fn some_permissions() -> impl Strategy<Value = Vec<Permission>> {
        let all: Vec<_> = Permission::all().collect();
        let count = all.len();
        subsequence(all, 0..=count)
    }

    fn some_permission() -> impl Strategy<Value = Permission> {
        select(Permission::all().collect::<Vec<_>>())
    }

    proptest! {
        #[test]
        fn a_permission_allows_its_action_where_it_reaches_and_nothing_else(
            permission in some_permission(), action in actions(), resource in resources(),
        ) {
            let subject = holder([permission].into_iter().collect());
            let owns = action.own().covers(me(), &resource);
            let reaches = permission.reach() == Reach::Any || owns;
            prop_assert_eq!(allowed(&subject, action, &resource), permission.action() == action && reaches);
        }

        #[test]
        fn a_further_permission_never_takes_access_away(
            some in some_permissions(), more in some_permission(),
            action in actions(), resource in resources(),
        ) {
            let before: PermissionSet = some.into_iter().collect();
            let after = before.with(more);
            let (before, after) = (holder(before), holder(after));
            prop_assert!(!allowed(&before, action, &resource) || allowed(&after, action, &resource));
        }

        #[test]
        fn a_permission_less_never_gives_access(
            some in some_permissions(), action in actions(), resource in resources(),
        ) {
            let before = holder(some.iter().copied().collect());
            for left_out in &some {
                let after = holder(some.iter().copied().filter(|one| one != left_out).collect());
                prop_assert!(allowed(&before, action, &resource) || !allowed(&after, action, &resource));
            }
        }

        #[test]
        fn a_further_role_never_takes_access_away(
            roles in subsequence(&ROLES, 0..=3), more in select(ROLES.to_vec()),
            action in actions(), resource in resources(),
        ) {
            let before = user(&roles);
            let after = user(&[&roles[..], &[more]].concat());
            prop_assert!(!allowed(&before, action, &resource) || allowed(&after, action, &resource));
        }

        #[test]
        fn a_higher_hub_role_never_takes_access_away(
            some in some_permissions(), action in actions(), resource in resources(),
        ) {
            let subject = holder(some.into_iter().collect());
            let mut before = false;
            for hub_role in HUB_ROLES {
                let now = allowed(&subject, action, &Resource { hub_role, ..resource });
                prop_assert!(now || !before, "{hub_role:?}");
                before = now;
            }
        }

        #[test]
        fn permissions_for_ones_own_give_nothing_of_others(
            some in some_permissions(), action in actions(), resource in resources(),
        ) {
            let own = some.into_iter().filter(|permission| permission.reach() == Reach::Own);
            let subject = holder(own.collect());
            let mine = action.own() != Own::Nothing && action.own().covers(me(), &resource);
            prop_assert!(mine || !allowed(&subject, action, &resource));
        }

        #[test]
        fn who_is_not_active_may_only_see_oneself(
            some in some_permissions(), action in actions(), resource in resources(),
        ) {
            let subject = Subject { active: false, ..holder(some.into_iter().collect()) };
            let oneself = action == Action::ViewUser && resource.owner == Some(me());
            prop_assert_eq!(allowed(&subject, action, &resource), oneself);
        }

        #[test]
        fn every_answer_names_a_rule_that_says_the_same(
            some in some_permissions(), active: bool, action in actions(), resource in resources(),
        ) {
            let user = Subject { active, ..holder(some.into_iter().collect()) };
            for subject in [user, Subject::anonymous(), Subject::system()] {
                let decision = RolePolicy.decide(&subject, action, &resource);
                let denies = ["only", "does not", "no role"].iter().any(|word| decision.rule.contains(word));
                prop_assert!(!decision.rule.is_empty());
                prop_assert_eq!(decision.allowed, !denies, "{}", decision.rule);
                prop_assert_eq!(RolePolicy.decide(&subject, action, &resource), decision);
            }
        }
    }

    #[test]
    fn the_table_above_is_the_table_of_the_actions() {
        let roles = [RoleName::USER, RoleName::CONSUMER, RoleName::PROVIDER, RoleName::ADMINISTRATOR];
        let book = RoleBook::default();
        let table = include_str!("policy.rs");
        let mut told = BTreeSet::new();
        for line in table.lines().filter_map(|line| line.strip_prefix("/// | `")) {
            let cells: Vec<_> = format!("`{line}").split('|').map(|cell| cell.trim().to_owned()).collect();
            for name in cells[0].split(", ") {
                let action = Action::of(name.trim_matches('`')).unwrap();
                for (role, cell) in roles.iter().zip(&cells[2..]) {
                    let reach = match cell.as_str() {
                        "yes" => Some(Reach::Any),
                        "own" => Some(Reach::Own),
                        _ => None,
                    };
                    assert_eq!(book.permissions(role).unwrap().reach(action), reach, "{action} of {role}");
                }
                told.insert(action);
            }
        }
        assert_eq!(told, Action::ALL.iter().copied().collect());
    }
}
