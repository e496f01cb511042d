//! The texts that clients are given and present: secrets, codes and refresh tokens. All are derived under the
//! master key, none is stored.

use i3_core::id::{ClientId, FamilyId};
use i3_core::oauth::Client;
use subtle::ConstantTimeEq;

use crate::mac::short_text;
use crate::{MasterKey, Secret};

/// The longest text that is looked at, in bytes.
const MAX_TEXT: usize = 128;

/// Derives and recognizes client secrets, authorization codes and refresh tokens.
///
/// A client's secret is `i3s_` and 160 bits of HMAC-SHA256 over the client's id and the generation of its secret; a
/// code is `i3c_`, the family's id and 160 bits over it; a refresh token is `i3r_`, the family's id, its number and 160
/// bits over both. Each has a label of its own, so none is good as another. 160 bits are as much as RFC 6749, section
/// 10.10 wishes for; a copy of the store gives none of them, and a forged one is recognized without asking it.
#[derive(Debug, Clone)]
pub struct ClientSecrets {
    master: MasterKey,
}

impl ClientSecrets {
    /// The secrets under this key.
    pub fn new(master: &MasterKey) -> Self {
        Self { master: master.clone() }
    }

    /// The client's secret, if it has one. Show it to its owner only, when it is registered or replaced.
    pub fn of(&self, client: &Client) -> Option<Secret> {
        client.kind.has_secret().then(|| self.secret(client.id, client.secret_generation))
    }

    fn secret(&self, client: ClientId, generation: u32) -> Secret {
        let id = client.to_string();
        let parts: [&[u8]; 2] = [id.as_bytes(), &generation.to_be_bytes()];
        Secret::new(format!("i3s_{}", short_text(&self.master.mac("i3 oauth client secret", &parts))))
    }

    /// Whether this is the secret of this generation. Takes the same time for every text of the right length.
    pub(super) fn verify(&self, client: ClientId, generation: u32, presented: &str) -> bool {
        self.secret(client, generation).expose().as_bytes().ct_eq(presented.as_bytes()).into()
    }

    /// The code of a family.
    pub(super) fn code(&self, family: FamilyId) -> Secret {
        let id = family.to_string();
        let seal = short_text(&self.master.mac("i3 oauth code", &[id.as_bytes()]));
        Secret::new(format!("i3c_{id}_{seal}"))
    }

    /// Which family's code this is.
    pub(super) fn read_code(&self, text: &str) -> Option<FamilyId> {
        let (id, _) = text.get(..MAX_TEXT.min(text.len()))?.strip_prefix("i3c_")?.rsplit_once('_')?;
        let family = id.parse().ok()?;
        same(&self.code(family), text).then_some(family)
    }

    /// The refresh token of this number of a family.
    pub(super) fn refresh(&self, family: FamilyId, number: u32) -> Secret {
        let id = family.to_string();
        let parts: [&[u8]; 2] = [id.as_bytes(), &number.to_be_bytes()];
        let seal = short_text(&self.master.mac("i3 oauth refresh token", &parts));
        Secret::new(format!("i3r_{id}_{number}_{seal}"))
    }

    /// Which family's refresh token this is, and its number.
    pub(super) fn read_refresh(&self, text: &str) -> Option<(FamilyId, u32)> {
        let (rest, _) = text.get(..MAX_TEXT.min(text.len()))?.strip_prefix("i3r_")?.rsplit_once('_')?;
        let (id, number) = rest.rsplit_once('_')?;
        let (family, number) = (id.parse().ok()?, number.parse().ok()?);
        // Compared as a whole: a number that is spelled otherwise is another text.
        same(&self.refresh(family, number), text).then_some((family, number))
    }
}

fn same(right: &Secret, presented: &str) -> bool {
    right.expose().as_bytes().ct_eq(presented.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use i3_core::id::TypedId;
    use proptest::prelude::*;

    use super::*;

    fn secrets() -> ClientSecrets {
        ClientSecrets::new(&MasterKey::from_bytes([7; 32]))
    }

    #[test]
    fn texts_stay_the_same_from_release_to_release() {
        let (family, client) = (FamilyId::from_bits(1), ClientId::from_bits(1));
        // Computed with Python's `hmac` over the label and the parts with their lengths.
        assert_eq!(secrets().secret(client, 0).expose(), "i3s_u2wtd6wdoseg3rmry5s5p3mtf3u33eai");
        assert_eq!(
            secrets().code(family).expose(),
            "i3c_fam_00000000000000000000000001_gl2qgduzaeetppiccypzek2243n4hik7"
        );
        assert_eq!(
            secrets().refresh(family, 3).expose(),
            "i3r_fam_00000000000000000000000001_3_xj2ug7zbi24ikdnrextlri5q5ztg5ww3"
        );
    }

    #[test]
    fn a_text_is_good_as_itself_only() {
        let family = FamilyId::from_bits(1);
        let (code, refresh) = (secrets().code(family), secrets().refresh(family, 3));
        assert_eq!(secrets().read_code(code.expose()), Some(family));
        assert_eq!(secrets().read_refresh(refresh.expose()), Some((family, 3)));
        for odd in [
            refresh.expose().replace("i3r", "i3c"),
            code.expose().to_uppercase(),
            format!("{}a", code.expose()),
            format!(" {}", code.expose()),
            code.expose().replace("_0000", "_"),
            "x".repeat(10_000),
            "ä".repeat(100),
        ] {
            assert_eq!(secrets().read_code(&odd), None, "{odd}");
        }
        for odd in ["_03_", "_+3_", "_4_", "_-3_", "__", "_4294967296_"] {
            assert_eq!(secrets().read_refresh(&refresh.expose().replace("_3_", odd)), None, "{odd}");
        }
        assert_eq!(secrets().read_refresh(&code.expose().replace("i3c", "i3r")), None);
        let stranger = ClientSecrets::new(&MasterKey::from_bytes([8; 32]));
        assert_eq!(stranger.read_code(code.expose()), None);
        assert_eq!(stranger.read_refresh(refresh.expose()), None);
    }

    proptest! {
        #[test]
        fn only_the_secret_of_that_client_and_generation_is_right(
            client: u128, other: u128, generation: u32, later: u32, presented in "\\PC{0,50}"
        ) {
            let secret = secrets().secret(ClientId::from_bits(client), generation);
            let right = |client, generation, text: &str| {
                secrets().verify(ClientId::from_bits(client), generation, text)
            };
            prop_assert!(right(client, generation, secret.expose()));
            prop_assert_eq!(right(other, generation, secret.expose()), other == client);
            prop_assert_eq!(right(client, later, secret.expose()), later == generation);
            prop_assert!(!right(client, generation, &presented));
            prop_assert_eq!(secrets().read_code(&presented), None);
            prop_assert_eq!(secrets().read_refresh(&presented), None);
        }
    }
}
