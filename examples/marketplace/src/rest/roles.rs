//! Roles, and the permissions that they are made of.

use i3_core::access::{Action, Permission, PermissionSet, Reach, Resource};
use i3_core::market::{Caller, CreateRole, EditRole, RecordTag, RemoveRole, UnchangedRole};
use i3_core::name::{Label, Prose};
use i3_core::role::{Role, RoleName};
use i3_core::store::StoreError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::representation::{Created, Linked, Links, Listed, Shown};
use super::request::{Answer, Api, Body, InPath};
use super::route::{Done, Routes, about};

pub(super) fn routes() -> Routes {
    let views = |id, summary| about(id, summary).permission(Action::ViewRoles);
    let manages = |id, summary| about(id, summary).permission(Action::ManageRoles);
    Routes::new()
        .get("/roles", list, views("list_roles", "All roles, by name"))
        .post("/roles", create, manages("create_role", "Creates a role"))
        .get("/roles/{role}", show, views("show_role", "A role and what it allows"))
        .put(
            "/roles/{role}",
            edit,
            manages("edit_role", "Changes what people read of a role, and what it allows").relation("edit"),
        )
        .delete(
            "/roles/{role}",
            remove,
            manages("remove_role", "Removes a role; its name is never given again").relation("delete"),
        )
        .get(
            "/permissions",
            permissions,
            about("list_permissions", "Every permission that a role can have").anybody(),
        )
}

impl Linked for Role {
    fn tag(&self) -> Result<Option<RecordTag>, StoreError> {
        RecordTag::of(self).map(Some)
    }

    fn links(&self, caller: &Caller, links: &mut Links<'_>) {
        let own = format!("/roles/{}", self.name);
        links.own(&own);
        if caller.may(Action::ManageRoles, &Resource::MARKETPLACE) {
            links.action("edit", &own);
            if !self.is_built_in() {
                links.action("delete", &own);
            }
        }
    }
}

/// A role to be made.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewRole {
    /// Never a role's before.
    name: RoleName,
    label: Label,
    #[serde(default)]
    about: Prose,
    permissions: PermissionSet,
}

/// What a role is from now on.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RoleDescription {
    label: Label,
    #[serde(default)]
    about: Prose,
    permissions: PermissionSet,
}

async fn list(api: Api) -> Answer<Shown<Listed<Role>>> {
    let roles = api.market().roles(api.actor).await.map_err(|error| api.refused(error))?;
    api.items(roles, None).await
}

async fn create(api: Api, Body(body): Body<NewRole>) -> Answer<Created<Role>> {
    let NewRole { name, label, about, permissions } = body;
    let role = api.execute(CreateRole { name, label, about, permissions }).await?;
    api.created(format!("/roles/{}", role.name), role).await
}

async fn show(api: Api, InPath(role): InPath<RoleName>) -> Answer<Shown<Role>> {
    api.show(api.market().role(api.actor, &role).await.map_err(|error| api.refused(error))?).await
}

async fn edit(
    api: Api,
    InPath(name): InPath<RoleName>,
    Body(body): Body<RoleDescription>,
) -> Answer<Shown<Role>> {
    let RoleDescription { label, about, permissions } = body;
    let command = EditRole { name: name.clone(), expected: None, label, about, permissions };
    api.show(api.execute_while(|seen| UnchangedRole { name, seen }, command).await?).await
}

async fn remove(api: Api, InPath(name): InPath<RoleName>) -> Answer<Done> {
    let command = RemoveRole { name: name.clone(), expected: None };
    api.execute_while(|seen| UnchangedRole { name, seen }, command).await?;
    Ok(Done)
}

/// A permission, for people who give it to a role.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "PermissionText")]
struct Explained {
    permission: Permission,
    about: &'static str,
    /// What it is for only, if not for everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    only: Option<String>,
}

impl Linked for Explained {}

async fn permissions(api: Api) -> Answer<Shown<Listed<Explained>>> {
    let explained = Permission::all().map(|permission| {
        let action = permission.action();
        let only = (permission.reach() == Reach::Own).then(|| action.own().to_string());
        Explained { permission, about: action.about(), only }
    });
    api.items(explained.collect(), None).await
}
