//! What can be done: every action with its permission string, whose things count as one's own for it, and
//! the built-in roles that have it from the start.

use std::fmt;

use super::{HubRole, Own, Reach};
use crate::role::BuiltIn;

/// One line for each action. To add one, add a line: doc comment (what administrators read), name, permission
/// string, [`Own`], and which built-in role has it from the start, and how far it reaches there. At most 128.
macro_rules! actions {
    ($(
        #[doc = $about:literal]
        $name:ident = $permission:literal, $own:expr, { $($role:ident: $reach:ident),* };
    )*) => {
        /// What can be done, each with its permission string.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Action {
            $(#[doc = $about] $name,)*
        }

        impl Action {
            /// All actions.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The permission that allows it, `thing:verb`.
            pub const fn permission(self) -> &'static str {
                match self {
                    $(Self::$name => $permission,)*
                }
            }

            /// What it is, for people.
            pub const fn about(self) -> &'static str {
                match self {
                    $(Self::$name => $about.trim_ascii(),)*
                }
            }

            /// Whose things are one's own for it, and so what `thing:verb:own` covers.
            pub const fn own(self) -> Own {
                match self {
                    $(Self::$name => $own,)*
                }
            }

            /// The built-in roles that have it until they are edited.
            pub const fn built_in(self) -> &'static [(BuiltIn, Reach)] {
                match self {
                    $(Self::$name => &[$((BuiltIn::$role, Reach::$reach)),*],)*
                }
            }

            /// The action of this permission string.
            pub fn of(permission: &str) -> Option<Self> {
                match permission {
                    $($permission => Some(Self::$name),)*
                    _ => None,
                }
            }
        }
    };
}

// What everybody with an account has is under `User`. The same under `Consumer` and `Provider` changes nothing
// for their holders: it is for programs that may act in that role alone.
actions! {
    /// Open an account.
    RegisterUser = "user:register", Own::Nothing, { User: Any };
    /// Approve, suspend and reinstate users, and make them consumers and providers.
    ManageUsers = "user:manage", Own::Nothing, { Administrator: Any };
    /// See a user's profile.
    ViewUser = "user:view", Own::Owner, { User: Own, Consumer: Own, Provider: Own, Administrator: Any };
    /// Change what a user says of himself or herself, and end the user's logins.
    EditUser = "user:edit", Own::Owner, { User: Own, Consumer: Own, Provider: Own, Administrator: Any };
    /// Ask for leave to set another password, and set it with that leave.
    RecoverPassword = "password:recover", Own::Nothing, { User: Any };
    /// See the roles and what they allow.
    ViewRoles = "role:view", Own::Nothing, { User: Any };
    /// Create, edit and remove roles, and give users roles that they cannot register with.
    ManageRoles = "role:manage", Own::Nothing, { Administrator: Any };
    /// Create a hub.
    RegisterHub = "hub:create", Own::Nothing, { Provider: Any };
    /// See a hub's devices, drafts and earnings.
    ViewHub = "hub:view", Own::Hub(HubRole::Viewer), { User: Own, Provider: Own };
    /// Change what people read about a hub.
    EditHub = "hub:edit", Own::Hub(HubRole::Manager), { User: Own, Provider: Own };
    /// Add and remove members of a hub.
    ManageMembers = "hub:members", Own::Hub(HubRole::Owner), { User: Own, Provider: Own };
    /// Register devices of a hub and change their credentials.
    ManageDevices = "device:manage", Own::Hub(HubRole::Manager), { User: Own, Provider: Own };
    /// Create, list, pause and retire products of a hub, and their offers.
    ManageProducts = "product:manage", Own::Hub(HubRole::Manager), { User: Own, Provider: Own };
    /// Take one's product's access away from a buyer.
    RevokeGrant = "grant:revoke", Own::Hub(HubRole::Manager), { User: Own, Provider: Own, Administrator: Any };
    /// Credit a buyer's account.
    TopUp = "account:top-up", Own::Nothing, { Administrator: Any };
    /// See an account.
    ViewAccount = "account:view", Own::OwnerOrHub(HubRole::Viewer), { User: Own, Consumer: Own, Provider: Own, Administrator: Any };
    /// Buy an offer.
    Purchase = "order:create", Own::Owner, { Consumer: Own };
    /// See an order and its usage.
    ViewOrder = "order:view", Own::OwnerOrHub(HubRole::Viewer), { User: Own, Consumer: Own, Provider: Own, Administrator: Any };
    /// Cancel an order or change its broker password.
    ManageOrder = "order:manage", Own::Owner, { User: Own, Consumer: Own, Administrator: Any };
    /// Rate a product that one bought.
    Rate = "rating:create", Own::Owner, { Consumer: Own };
    /// Read the audit log, the denials, the outbox, the reconciliation report, and what is remembered of users.
    Audit = "audit:view", Own::Nothing, { Administrator: Any };
    /// Register an OAuth2 client.
    RegisterClient = "client:create", Own::Nothing, { User: Any };
    /// See an OAuth2 client, change it, replace its secret, switch it off and remove it.
    ManageClient = "client:manage", Own::Owner, { User: Own, Administrator: Any };
    /// Create a virtual object.
    CreateVirtualObject = "virtual_object:create", Own::Nothing, { Provider: Any, Administrator: Any };
    /// See what is not public of a virtual object: drafts, what awaits review, what was removed.
    ViewVirtualObject = "virtual_object:view", Own::OwnerOrHub(HubRole::Viewer), { User: Own, Provider: Own, Administrator: Any };
    /// Change a virtual object, submit it, deprecate it, and take it back.
    EditVirtualObject = "virtual_object:edit", Own::OwnerOrHub(HubRole::Manager), { Provider: Own, Administrator: Any };
    /// Remove a virtual object.
    DeleteVirtualObject = "virtual_object:delete", Own::OwnerOrHub(HubRole::Manager), { Provider: Own, Administrator: Any };
    /// Publish virtual objects that await review, or without one.
    PublishVirtualObject = "virtual_object:publish", Own::OwnerOrHub(HubRole::Manager), { Administrator: Any };
    /// Register a Thing Description.
    CreateThing = "thing:create", Own::Owner, { Provider: Own };
    /// See a private Thing Description.
    ViewThing = "thing:view", Own::Owner, { User: Own, Provider: Own, Administrator: Any };
    /// Change a Thing Description.
    EditThing = "thing:edit", Own::Owner, { User: Own, Provider: Own };
    /// Remove a Thing Description.
    DeleteThing = "thing:delete", Own::Owner, { User: Own, Provider: Own, Administrator: Any };
    /// Change what is added to the ontology, and see what was when.
    ManageOntology = "ontology:manage", Own::Nothing, { Administrator: Any };
    /// Take leases and report usage: the gate.
    Meter = "usage:meter", Own::Nothing, {};
}

impl Action {
    /// Whether it only looks: its verb is `view`.
    pub fn is_view(self) -> bool {
        self.permission().ends_with(":view")
    }

    /// Its bit in a [`PermissionSet`](super::PermissionSet).
    pub(super) const fn bit(self) -> u128 {
        1 << (self as u32)
    }
}

const _: () = assert!(Action::ALL.len() <= 128, "a set of permissions has 128 places");

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.permission())
    }
}
