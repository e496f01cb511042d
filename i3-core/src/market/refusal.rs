//! Why the domain says no.

use crate::access::{Action, Denial, Permission};
use crate::gate::LeaseRefusal;
use crate::money::AmountOverflow;
use crate::offer::InvalidPlan;
use crate::stream::InvalidSampleTerms;
use crate::virtual_object::{InvalidContent, WrongFileType};

/// What a refusal means to the one who asked; a transport maps it to its own status once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RefusalKind {
    /// The request itself makes no sense.
    Invalid,
    /// The actor may not do this.
    Forbidden,
    /// There is no such thing, or none that the actor may know of.
    NotFound,
    /// It contradicts what is there.
    Conflict,
    /// There is not enough money.
    PaymentRequired,
    /// It was done too often: later it may be done again.
    TooOften,
    /// What it was made to depend on does not hold.
    Precondition,
    /// It is longer than is kept.
    TooLarge,
    /// It is of a kind that is not taken, or not of the kind that it says.
    WrongType,
}

/// The domain says no, and why. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The policy denies the action. As text it names the missing permission and nothing more.
    #[error("the permission `{permission}` is missing", permission = action.permission())]
    Forbidden {
        /// What was asked.
        action: Action,
        /// The rule that decided: for those who run the marketplace, not for the one denied.
        rule: String,
    },
    /// The person may do it, but not through this program: its scopes do not reach that far (RFC 6750, section 3.1).
    #[error("the access token lacks the scope `{needed}`")]
    OutOfScope {
        /// The least that would do; as text it is the scope.
        needed: Permission,
    },
    /// A program cannot have this scope: there is none of this name.
    #[error("there is no scope `{scope}`")]
    UnknownScope {
        /// Its text.
        scope: String,
    },
    /// There is no such thing.
    #[error("there is no such {what}")]
    NotFound {
        /// What kind of thing.
        what: &'static str,
    },
    /// The name is taken.
    #[error("the {what} is taken")]
    Taken {
        /// What kind of name.
        what: &'static str,
    },
    /// The thing is in a state that does not allow this.
    #[error("the {what} is {state}")]
    WrongState {
        /// What kind of thing.
        what: &'static str,
        /// Its state.
        state: &'static str,
    },
    /// The request does not make sense in itself.
    #[error("{field}: {reason}")]
    Invalid {
        /// Which part of it.
        field: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The thing is not any more what the actor saw of it.
    #[error("the {what} has changed meanwhile: it is at revision {revision}")]
    Outdated {
        /// What kind of thing.
        what: &'static str,
        /// Its present revision.
        revision: u32,
    },
    /// The buyer's balance does not cover it.
    #[error("the balance does not cover this")]
    InsufficientFunds,
    /// The idempotency key was used for another request.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// A member of the selling hub wants to buy or rate.
    #[error("members of a hub can neither buy nor rate its products")]
    OwnProduct,
    /// Nothing was delivered that could be rated.
    #[error("only what was received can be rated")]
    NothingReceived,
    /// The person has looked at the product's sample as often as is allowed on one day.
    #[error("the sample was looked at as often as its terms allow: come back tomorrow")]
    SamplesUsedUp,
    /// Accounts are opened by invitation only, and there was none.
    #[error("an account is opened with an invitation here")]
    InvitationNeeded,
    /// The invitation is unknown, used up, withdrawn or over.
    #[error("the invitation is not good, or not any more")]
    InvitationNotGood,
    /// The present password is another one.
    #[error("the present password is another one")]
    WrongPassword,
    /// The leave to set another password is unknown, was used, was replaced by a later one, or is over.
    #[error("this leave to set a password is not good, or not any more: ask for another")]
    ResetNotGood,
    /// The same was asked for a moment ago.
    #[error("this was asked for a moment ago: try again later")]
    TooSoon,
    /// The record is not any more what the one who asks saw.
    #[error("it was changed since it was looked at")]
    Changed,
    /// Nobody might be left who manages users and roles.
    #[error(
        "an administrator is suspended, or loses the role, by another administrator only, so that one is left"
    )]
    LastAdministrator,
    /// A hub would have no owner.
    #[error("a hub has at least one owner")]
    LastOwner,
    /// A file is longer than files may be.
    #[error("a file has at most {most} bytes")]
    FileTooLarge {
        /// The most, in bytes.
        most: u64,
    },
    /// The files that are kept for one object are too long together, or too many.
    #[error(
        "at most {files} files of {most} bytes together are kept for one object: purge those of old versions"
    )]
    TooManyFiles {
        /// The most files.
        files: usize,
        /// The most bytes of all of them.
        most: u64,
    },
    /// A file is not what its label says.
    #[error(transparent)]
    WrongFileType(#[from] WrongFileType),
    /// A file is named, but its bytes are not kept, or not any more.
    #[error("the bytes of the file are not kept any more")]
    FileGone,
    /// No (further) quota.
    #[error(transparent)]
    Lease(#[from] LeaseRefusal),
}

impl Refusal {
    /// A stable code for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Forbidden { .. } => "forbidden",
            Self::OutOfScope { .. } => "insufficient_scope",
            Self::UnknownScope { .. } => "unknown_scope",
            Self::NotFound { .. } => "not_found",
            Self::Taken { .. } => "name_taken",
            Self::WrongState { .. } => "wrong_state",
            Self::Invalid { .. } => "invalid_request",
            Self::Outdated { .. } => "outdated",
            Self::InsufficientFunds | Self::Lease(LeaseRefusal::InsufficientFunds) => "insufficient_funds",
            Self::KeyReused => "idempotency_key_reused",
            Self::OwnProduct => "own_product",
            Self::NothingReceived => "nothing_received",
            Self::SamplesUsedUp => "samples_used_up",
            Self::InvitationNeeded => "invitation_needed",
            Self::InvitationNotGood => "invitation_not_good",
            Self::WrongPassword => "wrong_password",
            Self::ResetNotGood => "reset_not_good",
            Self::TooSoon => "too_soon",
            Self::Changed => "precondition_failed",
            Self::LastAdministrator => "last_administrator",
            Self::LastOwner => "last_owner",
            Self::FileTooLarge { .. } => "file_too_large",
            Self::TooManyFiles { .. } => "too_many_files",
            Self::WrongFileType(_) => "wrong_file_type",
            Self::FileGone => "file_gone",
            Self::Lease(LeaseRefusal::Exhausted) => "quota_exhausted",
            Self::Lease(LeaseRefusal::LeasedElsewhere) => "quota_leased_elsewhere",
            Self::Lease(LeaseRefusal::NotActive) => "grant_not_active",
            Self::Lease(LeaseRefusal::NoSuchLease) => "no_such_lease",
        }
    }

    /// What it means to the one who asked.
    pub const fn kind(&self) -> RefusalKind {
        match self {
            Self::Forbidden { .. }
            | Self::OutOfScope { .. }
            | Self::OwnProduct
            | Self::NothingReceived
            | Self::InvitationNeeded
            | Self::InvitationNotGood
            | Self::WrongPassword
            | Self::ResetNotGood => RefusalKind::Forbidden,
            Self::NotFound { .. } | Self::FileGone | Self::Lease(LeaseRefusal::NoSuchLease) => {
                RefusalKind::NotFound
            }
            Self::FileTooLarge { .. } => RefusalKind::TooLarge,
            Self::WrongFileType(_) => RefusalKind::WrongType,
            Self::Invalid { .. } | Self::UnknownScope { .. } => RefusalKind::Invalid,
            Self::SamplesUsedUp | Self::TooSoon => RefusalKind::TooOften,
            Self::Changed => RefusalKind::Precondition,
            Self::InsufficientFunds | Self::Lease(LeaseRefusal::InsufficientFunds) => {
                RefusalKind::PaymentRequired
            }
            Self::Taken { .. }
            | Self::WrongState { .. }
            | Self::Outdated { .. }
            | Self::KeyReused
            | Self::LastAdministrator
            | Self::LastOwner
            | Self::TooManyFiles { .. }
            | Self::Lease(_) => RefusalKind::Conflict,
        }
    }

    /// The refusal of an action that was denied.
    pub(super) fn denied(action: Action, denial: Denial) -> Self {
        match denial {
            Denial::Forbidden(rule) => Self::Forbidden { action, rule: rule.into_owned() },
            Denial::OutOfScope { needed } => Self::OutOfScope { needed },
        }
    }

    /// Whether the actor may not do it, or not through this program.
    pub(super) const fn is_denial(&self) -> bool {
        matches!(self, Self::Forbidden { .. } | Self::OutOfScope { .. })
    }

    /// A refusal of one part of the request.
    pub fn invalid(field: &'static str, reason: impl std::fmt::Display) -> Self {
        Self::Invalid { field, reason: format!("{reason}") }
    }
}

impl From<AmountOverflow> for Refusal {
    fn from(error: AmountOverflow) -> Self {
        Self::invalid("amount", error)
    }
}

impl From<InvalidSampleTerms> for Refusal {
    fn from(error: InvalidSampleTerms) -> Self {
        Self::invalid("sample", error)
    }
}

impl From<InvalidContent> for Refusal {
    fn from(error: InvalidContent) -> Self {
        Self::invalid(error.field(), error)
    }
}

impl From<InvalidPlan> for Refusal {
    fn from(error: InvalidPlan) -> Self {
        Self::invalid("plan", error)
    }
}
