//! What a program may do for somebody: never more than its scopes say, and never more than that somebody may.

use std::collections::BTreeSet;

use super::{Action, Decision, Permission, PermissionSet, Policy, Reach, Resource, Subject};
use crate::oauth::{Scope, ScopeMeaning};
use crate::role::{RoleBook, RoleName};

/// What a request is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// To see something: nothing is changed by it (RFC 9110, section 9.2.1).
    Reading,
    /// To change something. Every command is.
    Changing,
}

/// The scopes that a program acts under (RFC 6749, section 3.3), as the marketplace understands them. Scopes only
/// ever add; one that it does not know adds nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bound {
    reads: bool,
    writes: bool,
    permissions: PermissionSet,
    roles: BTreeSet<RoleName>,
}

impl Bound {
    /// The bound that these scopes are.
    pub fn of<'a>(scopes: impl IntoIterator<Item = &'a Scope>) -> Self {
        let mut bound = Self::default();
        for scope in scopes {
            match scope.meaning() {
                ScopeMeaning::Read => bound.reads = true,
                ScopeMeaning::Write => bound.writes = true,
                ScopeMeaning::Permission(permission) => {
                    bound.permissions = bound.permissions.with(permission);
                }
                ScopeMeaning::Role(role) => {
                    bound.roles.insert(role);
                }
                ScopeMeaning::Other => {}
            }
        }
        bound
    }

    /// What somebody with these roles can do through it at most, as the book is now. A role that the person does not
    /// have gives nothing; everybody has [`RoleName::USER`].
    pub fn limits(&self, held: &BTreeSet<RoleName>, book: &RoleBook) -> Limits {
        let has = |role: &&RoleName| **role == RoleName::USER || held.contains(*role);
        let of_roles = self.roles.iter().filter(has).filter_map(|role| book.permissions(role));
        let named = of_roles.fold(self.permissions, PermissionSet::union);
        let everything = PermissionSet::everything();
        let changing = match (self.writes, self.reads) {
            (true, _) => everything,
            // What a command looks at on its way, and what its answer shows.
            (false, true) => named.union(PermissionSet::views()),
            (false, false) => named,
        };
        Limits { reading: if self.reads { everything } else { named }, changing }
    }
}

/// What a [`Bound`] lets somebody do at most, at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// In requests that only look.
    pub reading: PermissionSet,
    /// In requests that change something.
    pub changing: PermissionSet,
}

impl Limits {
    /// What holds for this purpose.
    pub const fn of(self, purpose: Purpose) -> PermissionSet {
        match purpose {
            Purpose::Reading => self.reading,
            Purpose::Changing => self.changing,
        }
    }
}

/// Why somebody may not do something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denial {
    /// The policy denies it, by this rule.
    Forbidden(std::borrow::Cow<'static, str>),
    /// The person may do it, but the program's scopes do not reach that far.
    OutOfScope {
        /// The least that would do.
        needed: Permission,
    },
}

/// The question that every command and every query asks: may this subject do this to that? First the policy
/// answers, as if the person asked; then the subject's [limits](Subject::limits) hold, whatever the policy is. So a
/// program never may what the person may not, and who is denied for lack of scope would be allowed with
/// more of it.
pub fn decide(
    policy: &dyn Policy,
    subject: &Subject,
    purpose: Purpose,
    action: Action,
    resource: &Resource,
) -> Result<(), Denial> {
    let Decision { allowed, rule } = policy.decide(subject, action, resource);
    if !allowed {
        return Err(Denial::Forbidden(rule));
    }
    let Some(limits) = subject.limits else { return Ok(()) };
    let own = subject.owns(action, resource);
    match limits.of(purpose).reach(action) {
        Some(Reach::Any) => Ok(()),
        Some(Reach::Own) if own => Ok(()),
        _ => {
            let reach = if own { Reach::Own } else { Reach::Any };
            Err(Denial::OutOfScope { needed: Permission::least(action, reach) })
        }
    }
}

#[cfg(test)]
mod tests;
