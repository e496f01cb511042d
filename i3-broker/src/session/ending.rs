//! How a connection ends, and what that means for its client, its will and its session.

use crate::wire::Reason;

/// Why a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The client said DISCONNECT, and whether its will is to be published.
    Goodbye { will: bool },
    /// The socket is of no use.
    Lost,
    /// The client broke a rule.
    Violation(Reason),
    /// Access ended, or another connection took over: no message is written any more.
    Cut(Reason),
    /// Nothing more will be delivered: what is in hand is written first.
    Finished(Reason),
    /// The gate stops.
    Shutdown,
}

impl Ending {
    /// What a client of MQTT 5 is told.
    pub(crate) fn reason(self) -> Option<Reason> {
        match self {
            Self::Goodbye { .. } | Self::Lost => None,
            Self::Violation(reason) | Self::Cut(reason) | Self::Finished(reason) => Some(reason),
            Self::Shutdown => Some(Reason::ServerShuttingDown),
        }
    }

    /// Whether what is in hand is written first.
    pub(crate) fn flushes(self) -> bool {
        matches!(self, Self::Finished(_) | Self::Shutdown)
    }

    /// Whether the will is to be published (3.1.2-8). Not one that was left by a login that is no longer good, nor
    /// when the gate stops.
    pub(crate) fn fires_will(self) -> bool {
        !matches!(self, Self::Goodbye { will: false } | Self::Shutdown | Self::Cut(Reason::NotAuthorized))
    }

    /// Whether the session may go on without a connection. Where access has ended it does not.
    pub(crate) fn keeps_session(self) -> bool {
        match self {
            Self::Goodbye { .. } | Self::Lost | Self::Violation(_) => true,
            Self::Cut(reason) | Self::Finished(reason) => {
                matches!(reason, Reason::SessionTakenOver | Reason::MaximumConnectTime | Reason::ServerBusy)
            }
            Self::Shutdown => false,
        }
    }
}
