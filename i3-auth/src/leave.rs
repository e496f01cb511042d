//! Texts that give leave: invitations, and leave to set another password.
//!
//! Like all tokens of this crate they are made from the id of a record and the master key, so that none is stored:
//! a copy of the store lets nobody in, and a forged text is recognized without asking the store. Whether the record
//! is still good is the marketplace's question.

use i3_core::id::{InvitationId, ResetId, UserId};
use subtle::ConstantTimeEq;

use crate::mac::short_text;
use crate::{MasterKey, Secret};

/// Makes and reads texts that give leave. Cheap to clone.
///
/// A text is a prefix, the ids, and the first 160 bits of HMAC-SHA256 under the master key over a label and the ids,
/// in lower-case base 32, with `_` between them.
#[derive(Debug, Clone)]
pub struct Leaves {
    master: MasterKey,
}

impl Leaves {
    /// Those of this key.
    pub fn new(master: &MasterKey) -> Self {
        Self { master: master.clone() }
    }

    /// The text that goes with an [invitation](i3_core::invitation::Invitation).
    pub fn invitation(&self, id: InvitationId) -> Secret {
        Secret::new(format!("i3i_{id}_{}", self.seal("i3 invitation", &[&id.to_string()]).expose()))
    }

    /// Which invitation this text goes with.
    pub fn read_invitation(&self, text: &str) -> Option<InvitationId> {
        let (id, seal) = text.strip_prefix("i3i_")?.rsplit_once('_')?;
        let id: InvitationId = id.parse().ok()?;
        self.fits(seal, "i3 invitation", &[&id.to_string()]).then_some(id)
    }

    /// The text by which a user may set another password, once and [for a short
    /// time](i3_core::user::PasswordReset::LIFETIME): for the user's mail, and for nobody else.
    pub fn reset(&self, user: UserId, id: ResetId) -> Secret {
        let seal = self.seal("i3 password reset", &[&user.to_string(), &id.to_string()]);
        Secret::new(format!("i3r_{user}_{id}_{}", seal.expose()))
    }

    /// Whose password may be set with this text, and by which leave.
    pub fn read_reset(&self, text: &str) -> Option<(UserId, ResetId)> {
        let (ids, seal) = text.strip_prefix("i3r_")?.rsplit_once('_')?;
        let (user, id) = ids.split_once("_rst_")?;
        let (user, id): (UserId, ResetId) = (user.parse().ok()?, format!("rst_{id}").parse().ok()?);
        let fits = self.fits(seal, "i3 password reset", &[&user.to_string(), &id.to_string()]);
        fits.then_some((user, id))
    }

    fn seal(&self, label: &str, ids: &[&str]) -> Secret {
        let parts: Vec<&[u8]> = ids.iter().map(|id| id.as_bytes()).collect();
        Secret::new(short_text(&self.master.mac(label, &parts)))
    }

    fn fits(&self, seal: &str, label: &str, ids: &[&str]) -> bool {
        bool::from(self.seal(label, ids).expose().as_bytes().ct_eq(seal.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use i3_core::id::TypedId;

    use super::*;

    fn leaves(key: u8) -> Leaves {
        Leaves::new(&MasterKey::from_bytes([key; 32]))
    }

    #[test]
    fn a_text_reads_back_as_what_it_was_made_for() {
        let leaves = leaves(7);
        let (user, reset, invitation) =
            (UserId::from_bits(1), ResetId::from_bits(2), InvitationId::from_bits(3));
        let text = leaves.reset(user, reset);
        assert_eq!(leaves.read_reset(text.expose()), Some((user, reset)));
        assert_eq!(leaves.read_invitation(text.expose()), None);
        let text = leaves.invitation(invitation);
        assert_eq!(leaves.read_invitation(text.expose()), Some(invitation));
        assert_eq!(leaves.read_reset(text.expose()), None);
    }

    #[test]
    fn forged_and_damaged_texts_give_no_leave() {
        let leaves = leaves(7);
        let (user, reset) = (UserId::from_bits(1), ResetId::from_bits(2));
        let good = leaves.reset(user, reset);
        let other = leaves.reset(UserId::from_bits(9), reset);
        let (head, seal) = good.expose().rsplit_once('_').unwrap();
        let (foreign_head, _) = other.expose().rsplit_once('_').unwrap();
        for forged in [
            String::new(),
            "i3r_".to_owned(),
            head.to_owned(),
            format!("{head}_"),
            format!("{}a", good.expose()),
            good.expose().to_uppercase(),
            format!("{foreign_head}_{seal}"),
            self::leaves(8).reset(user, reset).expose().to_owned(),
            format!("i3i_{}_{seal}", InvitationId::from_bits(2)),
        ] {
            assert_eq!(leaves.read_reset(&forged), None, "{forged}");
            assert_eq!(leaves.read_invitation(&forged), None, "{forged}");
        }
    }
}
