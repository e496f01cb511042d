//! Commands and queries about roles.

use serde::{Deserialize, Serialize};

use super::queries::read_if;
use super::{Command, Condition, Context, Decided, MarketError, Marketplace, RecordTag, Refusal};
use crate::access::{Action, Actor, PermissionSet, Resource};
use crate::name::{Label, Prose};
use crate::outbox::Event;
use crate::role::{BuiltIn, Role, RoleBook, RoleName};
use crate::store::{Entity, Halt, Key, StoreError, StoreErrorKind, StoreExt, Tx, limits};

const MISSING: Refusal = Refusal::NotFound { what: "role" };

fn keys_of(name: &RoleName) -> Result<Vec<Key>, StoreError> {
    Ok(vec![RoleBook::book_key()?, Role::key(name)?])
}

/// Creates a role. The name must never have been a role's before.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CreateRole {
    /// Its name.
    pub name: RoleName,
    /// What people call it.
    pub label: Label,
    /// What it is for.
    pub about: Prose,
    /// What it allows.
    pub permissions: PermissionSet,
}

impl Command for CreateRole {
    type Done = Role;
    const NAME: &'static str = "create_role";

    fn keys(&self) -> Result<Vec<Key>, StoreError> {
        keys_of(&self.name)
    }

    fn decide(&self, context: &mut Context<'_, '_>) -> Decided<Role> {
        context.authorize(Action::ManageRoles, &Resource::MARKETPLACE)?;
        if BuiltIn::of(&self.name).is_some() || context.tx.get::<Role>(&self.name)?.is_some() {
            return Err(Halt::Refused(Refusal::Taken { what: "role name" }));
        }
        let role = Role {
            name: self.name.clone(),
            label: self.label.clone(),
            about: self.about.clone(),
            permissions: self.permissions,
            version: 1,
            changed: Some(context.tx.now()),
            removed: None,
        };
        context.tx.create(&role)?;
        write(context, &role)?;
        Ok(role)
    }
}

/// Gives a role another label, description and permissions. From the next command on, its holders may what it
/// allows then.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EditRole {
    /// Which.
    pub name: RoleName,
    /// The version that the change is meant for; any if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<u32>,
    /// What people call it.
    pub label: Label,
    /// What it is for.
    pub about: Prose,
    /// What it allows.
    pub permissions: PermissionSet,
}

impl Command for EditRole {
    type Done = Role;
    const NAME: &'static str = "edit_role";

    fn keys(&self) -> Result<Vec<Key>, StoreError> {
        keys_of(&self.name)
    }

    fn decide(&self, context: &mut Context<'_, '_>) -> Decided<Role> {
        context.authorize(Action::ManageRoles, &Resource::MARKETPLACE)?;
        let stored: Option<Role> = context.tx.get(&self.name)?;
        let is_stored = stored.is_some();
        let mut role = present(&self.name, stored, self.expected)?;
        let essential = BuiltIn::of(&self.name).map_or(&[][..], BuiltIn::essential);
        if let Some(action) = essential.iter().find(|action| self.permissions.reach(**action).is_none()) {
            let reason = format_args!("`{action}` cannot be taken from `{}`", self.name);
            return Err(Halt::Refused(Refusal::invalid("permissions", reason)));
        }
        role.label.clone_from(&self.label);
        role.about.clone_from(&self.about);
        role.permissions = self.permissions;
        role.version = role.version.saturating_add(1);
        role.changed = Some(context.tx.now());
        if is_stored {
            context.tx.replace(&role)?;
        } else {
            context.tx.create(&role)?;
        }
        write(context, &role)?;
        Ok(role)
    }
}

/// Removes a role that is not built in. Who holds it holds nothing by it from the next command on, and so does a
/// client that may act in it; nobody has to give it back first. Its name stays in their records until their roles
/// are set again, and can never be given to another role, so that nobody comes into rights by an old name.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RemoveRole {
    /// Which.
    pub name: RoleName,
    /// The version that is meant; any if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<u32>,
}

impl Command for RemoveRole {
    type Done = ();
    const NAME: &'static str = "remove_role";

    fn keys(&self) -> Result<Vec<Key>, StoreError> {
        keys_of(&self.name)
    }

    fn decide(&self, context: &mut Context<'_, '_>) -> Decided<()> {
        context.authorize(Action::ManageRoles, &Resource::MARKETPLACE)?;
        if BuiltIn::of(&self.name).is_some() {
            return Err(Halt::Refused(Refusal::WrongState { what: "role", state: "built in" }));
        }
        let stored: Option<Role> = context.tx.get(&self.name)?;
        let mut role = present(&self.name, stored, self.expected)?;
        let now = context.tx.now();
        role.version = role.version.saturating_add(1);
        (role.changed, role.removed) = (Some(now), Some(now));
        context.tx.replace(&role)?;
        write(context, &role)
    }
}

/// The role as it is, if there is one and it is of this version.
fn present(name: &RoleName, stored: Option<Role>, expected: Option<u32>) -> Decided<Role> {
    let role = match (stored, BuiltIn::of(name)) {
        (Some(role), _) if role.removed.is_none() => role,
        (None, Some(built_in)) => Role::built_in(built_in)?,
        _ => return Err(Halt::Refused(MISSING)),
    };
    match expected {
        Some(version) if version != role.version => Err(Halt::Refused(Refusal::Changed)),
        _ => Ok(role),
    }
}

/// That a role is still one of those that were seen, as [`Unchanged`](super::Unchanged) is of other records: a
/// built-in role that nobody has edited has no record, and is as it came.
#[derive(Debug)]
pub struct UnchangedRole {
    /// The role.
    pub name: RoleName,
    /// What it was when it was seen; `None`: it is enough that there is one.
    pub seen: Option<Vec<RecordTag>>,
}

impl Condition for UnchangedRole {
    fn holds(&self, tx: &mut Tx<'_, Refusal>) -> Decided<bool> {
        let role = match present(&self.name, tx.get::<Role>(&self.name)?, None) {
            Ok(role) => role,
            Err(Halt::Refused(_)) => return Ok(false),
            Err(halt) => return Err(halt),
        };
        match &self.seen {
            None => Ok(true),
            Some(seen) => Ok(seen.contains(&RecordTag::of(&role)?)),
        }
    }
}

/// Writes the book as it is with this role.
fn write(context: &mut Context<'_, '_>, role: &Role) -> Decided<()> {
    let stored: Option<RoleBook> = context.tx.get(&crate::role::TheBook)?;
    let is_stored = stored.is_some();
    let mut book = stored.unwrap_or_default();
    match role.removed {
        None => book.set(role.name.clone(), role.permissions),
        Some(_) => book.remove(&role.name),
    }
    if book.names().len() > Role::MAX {
        return Err(Halt::Refused(Refusal::invalid(
            "name",
            format_args!("there are {} roles already", Role::MAX),
        )));
    }
    let length = serde_json::to_string(&book).map(|text| text.len()).map_err(|error| {
        StoreError::new(StoreErrorKind::Unsupported, "the roles are not JSON").with_source(error)
    })?;
    if length > limits::BODY_BYTES {
        return Err(Halt::Refused(Refusal::invalid("permissions", "all roles together have too many")));
    }
    if is_stored {
        context.tx.replace(&book)?;
    } else {
        context.tx.create(&book)?;
    }
    context.emit(Event::RoleChanged { role: role.name.clone() });
    Ok(())
}

impl Marketplace {
    /// A role.
    pub async fn role(&self, actor: Actor, name: &RoleName) -> Result<Role, MarketError> {
        self.authorize(actor, Action::ViewRoles, &Resource::MARKETPLACE).await?;
        let stored = self.store.get::<Role>(name).await?.map(|found| found.entity);
        match present(name, stored, None) {
            Ok(role) => Ok(role),
            Err(Halt::Failed(error)) => Err(error.into()),
            Err(_) => Err(MISSING.into()),
        }
    }

    /// All roles by name: [`Role::MAX`] at most.
    pub async fn roles(&self, actor: Actor) -> Result<Vec<Role>, MarketError> {
        self.authorize(actor, Action::ViewRoles, &Resource::MARKETPLACE).await?;
        let book = self.store.get::<RoleBook>(&crate::role::TheBook).await?;
        let names = book.map(|found| found.entity).unwrap_or_default().names();
        let keys = names.iter().map(Role::key).collect::<Result<Vec<_>, _>>()?;
        let mut roles = Vec::with_capacity(names.len());
        for ((name, key), cell) in names.iter().zip(&keys).zip(self.store.read(&keys).await?) {
            match present(name, read_if::<Role>(key, cell)?, None) {
                Ok(role) => roles.push(role),
                Err(Halt::Failed(error)) => return Err(error.into()),
                // Removed between the two reads.
                Err(_) => {}
            }
        }
        Ok(roles)
    }
}
