//! Roles, and the permissions that they are made of.

use i3_core::access::{Permission, PermissionSet};
use i3_core::name::{Label, Prose};
use i3_core::role::{Role, RoleName};
use serde::{Deserialize, Serialize};

use crate::{Change, Client, Page, Query};

/// A role to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NewRole {
    /// Never a role's before.
    pub name: RoleName,
    /// What people call it.
    pub label: Label,
    /// What it is for.
    pub about: Prose,
    /// What it allows.
    pub permissions: PermissionSet,
}

/// What a role is from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RoleDescription {
    /// What people call it.
    pub label: Label,
    /// What it is for.
    pub about: Prose,
    /// What it allows.
    pub permissions: PermissionSet,
}

/// A permission, for people who give it to a role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PermissionText {
    /// The permission.
    pub permission: Permission,
    /// What it allows.
    pub about: String,
    /// What it is for only, if not for everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only: Option<String>,
}

impl Client {
    /// All roles, by name: on one page.
    pub fn list_roles(&self) -> Query<Page<Role>> {
        self.get("/roles")
    }

    /// Creates a role.
    pub fn create_role(&self, role: &NewRole) -> Change<Role> {
        self.post("/roles", role)
    }

    /// A role and what it allows.
    pub fn show_role(&self, role: &RoleName) -> Query<Role> {
        self.get(format!("/roles/{role}"))
    }

    /// Changes what people read of a role, and what it allows.
    pub fn edit_role(&self, role: &RoleName, description: &RoleDescription) -> Change<Role> {
        self.put(format!("/roles/{role}"), description)
    }

    /// Removes a role; its name is never given again.
    pub fn remove_role(&self, role: &RoleName) -> Change<()> {
        self.delete(format!("/roles/{role}"))
    }

    /// Every permission that a role can have: on one page.
    pub fn list_permissions(&self) -> Query<Page<PermissionText>> {
        self.get("/permissions")
    }
}
