//! What a trace's choices choose among.

use super::step::Choice;
use crate::id::{
    ClientId, CredentialId, DeviceId, HubId, InvitationId, LeaseId, OfferId, OrderId, ProductId, ResetId,
    TypedId, UploadId, UserId, VirtualObjectId,
};
use crate::virtual_object::File;

/// The things that a trace's choices choose among, in the order in which they came to be.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    /// What was sent last, and not attached yet.
    pub(super) sent: Option<Sending>,
    pub(super) users: Vec<UserId>,
    pub(super) invitations: Vec<InvitationId>,
    pub(super) resets: Vec<(UserId, ResetId)>,
    pub(super) hubs: Vec<(HubId, UserId)>,
    pub(super) devices: Vec<(DeviceId, UserId)>,
    pub(super) credentials: Vec<(CredentialId, DeviceId, UserId)>,
    pub(super) products: Vec<(ProductId, UserId)>,
    pub(super) offers: Vec<(OfferId, UserId)>,
    pub(super) orders: Vec<(OrderId, UserId, UserId)>,
    pub(super) clients: Vec<(ClientId, UserId)>,
    pub(super) machines: Vec<ClientId>,
    pub(super) leases: Vec<Leased>,
    pub(super) objects: Vec<(VirtualObjectId, UserId)>,
}

/// A lease as its gate knows it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Leased {
    pub(super) id: LeaseId,
    pub(super) granted: u64,
    pub(super) delivered: u64,
    /// The last turn that changed it, with the counts before: the same turn again sends the same report.
    pub(super) before: Option<(u64, u64, u64)>,
}

impl Leased {
    pub(super) fn as_of(mut self, turn: u64) -> Self {
        if let Some((last, granted, delivered)) = self.before
            && last == turn
        {
            (self.granted, self.delivered) = (granted, delivered);
        }
        self
    }
}

/// What was chosen, or something that there is not.
pub(super) fn pick<T: Copy>(things: &[T], choice: Choice, absent: T) -> T {
    if choice >= 240 {
        return absent;
    }
    things.get(usize::from(choice) % things.len().max(1)).copied().unwrap_or(absent)
}

/// Notes a thing that a command made, once.
pub(super) fn note<T: PartialEq>(things: &mut Vec<T>, thing: Option<T>) {
    things.extend(thing.filter(|thing| !things.contains(thing)));
}

/// An id that nothing has.
pub(super) fn absent<I: TypedId>() -> I {
    I::from_bits(7)
}

/// Bytes that were sent.
#[derive(Debug, Clone)]
pub(super) struct Sending {
    pub(super) object: VirtualObjectId,
    pub(super) owner: UserId,
    pub(super) file: File,
    pub(super) upload: UploadId,
}
