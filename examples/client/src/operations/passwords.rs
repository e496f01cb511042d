//! Setting another password.

use i3_core::id::UserId;
use i3_core::name::{Email, Slug};
use serde::Serialize;

use crate::{Change, Client, Secret};

/// Whose password was forgotten.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Forgotten {
    /// Of who has this login name.
    Name(Slug),
    /// Of who is reached at this address.
    Email(Email),
}

#[derive(Serialize)]
struct PasswordChange<'a> {
    present: &'a Secret,
    password: &'a Secret,
}

#[derive(Serialize)]
struct Redemption<'a> {
    token: &'a Secret,
    password: &'a Secret,
}

impl Client {
    /// Sets another password; all other logins end.
    pub fn change_password(&self, user: UserId, present: &Secret, next: &Secret) -> Change<()> {
        self.put(format!("/users/{user}/password"), &PasswordChange { present, password: next })
    }

    /// Asks to be mailed leave to set a password. The answer is the same whether there is such a user or not.
    pub fn ask_password_reset(&self, whose: &Forgotten) -> Change<()> {
        self.post("/password-resets", whose)
    }

    /// Sets a password with leave that was mailed.
    pub fn reset_password(&self, leave: &Secret, password: &Secret) -> Change<()> {
        self.post("/password-resets/redemption", &Redemption { token: leave, password })
    }
}
