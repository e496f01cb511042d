//! The rules by which codes and tokens are given: pure decisions over stored records.
//!
//! Whatever a rule rests on is read within it: the client, its owner, the user and the family. So a client that is
//! switched off, a user who is suspended and a code that somebody else redeems at the same moment count, on every
//! store. A rule that revokes has done something, and says no by what it returns; the others refuse.

use std::collections::BTreeSet;

use i3_core::id::{ClientId, FamilyId, UserId};
use i3_core::oauth::{Client, Scope};
use i3_core::store::{Decision, Halt, Tx};
use i3_core::time::Timestamp;
use i3_core::user::{User, UserState};

use super::authorize::AuthorizationRequest;
use super::error::{ErrorCode, Refusal};
use super::family::{Family, FamilyState, Revoked};
use super::pkce;
use super::settings::Settings;

type Decided<T> = Result<T, Halt<Refusal>>;

/// Tokens that are to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Granted {
    pub(super) family: Family,
    /// What the access token is for: some of the family's scopes.
    pub(super) scopes: BTreeSet<Scope>,
    /// The number of the tokens.
    pub(super) number: u32,
    /// Whether there is a refresh token.
    pub(super) refreshable: bool,
    /// Whether the client acts for its owner.
    pub(super) machine: bool,
    pub(super) at: Timestamp,
}

/// What became of a code or a refresh token.
#[derive(Debug)]
pub(super) enum Spent {
    /// There are tokens.
    Granted(Box<Granted>),
    /// It was presented as it must not be: the family was revoked.
    Revoked(FamilyId, Refusal),
}

const NO_CODE: Refusal = Refusal::grant("the code is not good, or was used, or has expired");
const NO_REFRESH: Refusal = Refusal::grant("the refresh token is not good, or was used, or has expired");
const NO_CLIENT: Refusal =
    Refusal::new(ErrorCode::InvalidClient, "the client is unknown, switched off, or did not prove who it is");

/// The client as it is now, if it still is what it proved to be, and its owner may act.
fn live_client(tx: &mut Tx<'_, Refusal>, proved: &Client) -> Decided<Client> {
    let client: Client = tx.need(&proved.id, NO_CLIENT)?;
    let owner: User = tx.need(&client.owner, NO_CLIENT)?;
    let same = client.kind == proved.kind && client.secret_generation == proved.secret_generation;
    if same && client.is_active() && owner.state == UserState::Active {
        Ok(client)
    } else {
        Err(Halt::Refused(NO_CLIENT))
    }
}

fn is_active(tx: &mut Tx<'_, Refusal>, user: UserId) -> Decided<bool> {
    Ok(tx.get::<User>(&user)?.is_some_and(|user| user.state == UserState::Active))
}

fn revoke(tx: &mut Tx<'_, Refusal>, family: &Family, why: Revoked, told: Refusal) -> Decided<Spent> {
    tx.replace(&family.revoked(tx.now(), why))?;
    Ok(Spent::Revoked(family.id, told))
}

/// Issues a code to a client that a user consented to.
pub(super) struct IssueCode<'a> {
    pub(super) request: &'a AuthorizationRequest,
    pub(super) user: UserId,
    /// What the user allowed: some of what was asked for.
    pub(super) scopes: &'a BTreeSet<Scope>,
    pub(super) settings: &'a Settings,
}

impl Decision for IssueCode<'_> {
    type Done = Family;
    type Refusal = Refusal;

    fn decide(&self, tx: &mut Tx<'_, Refusal>) -> Decided<Family> {
        // The request was checked against the client as it was before the user thought about it.
        let client = live_client(tx, &self.request.client)?;
        let asked = self.scopes.is_subset(&self.request.scopes);
        if self.scopes.is_empty() || !asked || !self.scopes.is_subset(&client.scopes) {
            let told =
                Refusal::new(ErrorCode::InvalidScope, "more was allowed than was asked for, or nothing");
            return Err(Halt::Refused(told));
        }
        if !client.admits(&self.request.redirect_uri) {
            return Err(Halt::Refused(Refusal::request(
                "redirect_uri is not one that the client registered",
            )));
        }
        if !is_active(tx, self.user)? {
            return Err(Halt::Refused(Refusal::new(ErrorCode::AccessDenied, "the account is not active")));
        }
        let until = tx.now().plus(self.settings.lifetimes().code);
        let family = Family {
            id: tx.fresh_id()?,
            client: client.id,
            user: self.user,
            scopes: self.scopes.clone(),
            state: FamilyState::Pending {
                until,
                redirect_uri: self.request.redirect_uri.clone(),
                challenge: self.request.challenge.clone(),
            },
            created: tx.now(),
            ends: until,
        };
        tx.create(&family)?;
        Ok(family)
    }
}

/// Redeems a code (RFC 6749, section 4.1.3).
pub(super) struct Redeem<'a> {
    pub(super) client: &'a Client,
    pub(super) family: FamilyId,
    pub(super) redirect_uri: Option<&'a str>,
    pub(super) verifier: Option<&'a str>,
    pub(super) settings: &'a Settings,
}

impl Decision for Redeem<'_> {
    type Done = Spent;
    type Refusal = Refusal;

    fn decide(&self, tx: &mut Tx<'_, Refusal>) -> Decided<Spent> {
        let client = live_client(tx, self.client)?;
        let family: Family = tx.need(&self.family, NO_CODE)?;
        let now = tx.now();
        let (until, redirect_uri, challenge) = match &family.state {
            FamilyState::Pending { until, redirect_uri, challenge } => (until, redirect_uri, challenge),
            // The second time: one of the two is a thief, and nobody knows which (RFC 6749, section 4.1.2).
            FamilyState::Active { .. } => return revoke(tx, &family, Revoked::CodeReused, NO_CODE),
            FamilyState::Revoked { .. } => return Err(Halt::Refused(NO_CODE)),
        };
        if now >= *until {
            return Err(Halt::Refused(NO_CODE));
        }
        // A code that was shown to somebody else is void, whoever shows it first (RFC 9700, section 4.5.3).
        let bound = family.client == client.id
            && self.redirect_uri == Some(redirect_uri.as_str())
            && self.verifier.is_some_and(|verifier| pkce::proves(verifier, challenge));
        if !bound {
            return revoke(tx, &family, Revoked::CodeMisused, NO_CODE);
        }
        if !is_active(tx, family.user)? {
            return Err(Halt::Refused(NO_CODE));
        }
        let scopes: BTreeSet<_> = family.scopes.intersection(&client.scopes).cloned().collect();
        if scopes.is_empty() {
            return Err(Halt::Refused(NO_CODE));
        }
        let lifetimes = self.settings.lifetimes();
        let ends = now.plus(lifetimes.absolute);
        let state = FamilyState::Active { number: 1, until: now.plus(lifetimes.idle).min(ends) };
        let family = Family { state, ends, ..family };
        tx.replace(&family)?;
        let granted = Granted { family, scopes, number: 1, refreshable: true, machine: false, at: now };
        Ok(Spent::Granted(Box::new(granted)))
    }
}

/// Uses a refresh token, which gives another one (RFC 6749, section 6; RFC 9700, section 4.14.2).
pub(super) struct Refresh<'a> {
    pub(super) client: &'a Client,
    pub(super) family: FamilyId,
    pub(super) number: u32,
    /// What the access token shall be for; all that was allowed if absent.
    pub(super) scopes: Option<&'a BTreeSet<Scope>>,
    pub(super) settings: &'a Settings,
}

impl Decision for Refresh<'_> {
    type Done = Spent;
    type Refusal = Refusal;

    fn decide(&self, tx: &mut Tx<'_, Refusal>) -> Decided<Spent> {
        let client = live_client(tx, self.client)?;
        let family: Family = tx.need(&self.family, NO_REFRESH)?;
        let FamilyState::Active { number, until } = family.state else {
            return Err(Halt::Refused(NO_REFRESH));
        };
        let now = tx.now();
        if family.client != client.id {
            return revoke(tx, &family, Revoked::RefreshMisused, NO_REFRESH);
        }
        if self.number < number {
            return revoke(tx, &family, Revoked::RefreshReused, NO_REFRESH);
        }
        // A larger number than was given is of a later state of the store than this one.
        if self.number > number
            || now >= until
            || now.seconds() >= family.ends.seconds()
            || !is_active(tx, family.user)?
        {
            return Err(Halt::Refused(NO_REFRESH));
        }
        let refuse = || Refusal::new(ErrorCode::InvalidScope, "a scope is more than was allowed");
        let asked = self.scopes.unwrap_or(&family.scopes);
        if !asked.is_subset(&family.scopes) {
            return Err(Halt::Refused(refuse()));
        }
        let scopes: BTreeSet<_> = asked.intersection(&client.scopes).cloned().collect();
        if scopes.is_empty() || (self.scopes.is_some() && scopes != *asked) {
            return Err(Halt::Refused(refuse()));
        }
        let next = number.checked_add(1).ok_or(Halt::Refused(NO_REFRESH))?;
        let until = now.plus(self.settings.lifetimes().idle).min(family.ends);
        // The family keeps its scopes: asking for less once is not asking for less forever.
        let family = Family { state: FamilyState::Active { number: next, until }, ..family };
        tx.replace(&family)?;
        let granted = Granted { family, scopes, number: next, refreshable: true, machine: false, at: now };
        Ok(Spent::Granted(Box::new(granted)))
    }
}

/// Gives a machine an access token for what it may do for its owner (RFC 6749, section 4.4).
pub(super) struct ForMachine<'a> {
    pub(super) client: &'a Client,
    pub(super) scopes: &'a BTreeSet<Scope>,
    pub(super) settings: &'a Settings,
}

impl Decision for ForMachine<'_> {
    type Done = Granted;
    type Refusal = Refusal;

    fn decide(&self, tx: &mut Tx<'_, Refusal>) -> Decided<Granted> {
        let client = live_client(tx, self.client)?;
        if !self.scopes.is_subset(&client.scopes) {
            let told = Refusal::new(ErrorCode::InvalidScope, "a scope is more than the client may have");
            return Err(Halt::Refused(told));
        }
        let at = tx.now();
        let ends = at.plus(self.settings.lifetimes().access);
        let family = Family {
            id: tx.fresh_id()?,
            client: client.id,
            user: client.owner,
            scopes: self.scopes.clone(),
            // No refresh token (RFC 6749, section 4.4.3).
            state: FamilyState::Active { number: 0, until: at },
            created: at,
            ends,
        };
        tx.create(&family)?;
        let scopes = self.scopes.clone();
        Ok(Granted { family, scopes, number: 0, refreshable: false, machine: true, at })
    }
}

/// Revokes a family on demand.
pub(super) struct Revoke {
    pub(super) family: FamilyId,
    /// Only if it is this client's.
    pub(super) of_client: Option<ClientId>,
    /// Only if it is this user's.
    pub(super) of_user: Option<UserId>,
}

impl Decision for Revoke {
    /// When it was revoked; nothing if there is no such family any more.
    type Done = Option<Timestamp>;
    type Refusal = Refusal;

    fn decide(&self, tx: &mut Tx<'_, Refusal>) -> Decided<Option<Timestamp>> {
        let Some(family) = tx.get::<Family>(&self.family)? else { return Ok(None) };
        // The client is informed that it may not (RFC 7009, section 2.1).
        if self.of_client.is_some_and(|client| client != family.client)
            || self.of_user.is_some_and(|user| user != family.user)
        {
            let told = Refusal::new(ErrorCode::UnauthorizedClient, "the token is another client's");
            return Err(Halt::Refused(told));
        }
        if let FamilyState::Revoked { at, .. } = family.state {
            return Ok(Some(at));
        }
        let at = tx.now();
        tx.replace(&family.revoked(at, Revoked::OnDemand))?;
        Ok(Some(at))
    }
}

/// Removes a family that has ended.
pub(super) struct Sweep(pub(super) FamilyId);

impl Decision for Sweep {
    type Done = bool;
    type Refusal = Refusal;

    fn decide(&self, tx: &mut Tx<'_, Refusal>) -> Decided<bool> {
        let ended = tx.get::<Family>(&self.0)?.is_some_and(|family| family.ends <= tx.now());
        if ended {
            tx.remove::<Family>(&self.0)?;
        }
        Ok(ended)
    }
}
