//! The key pair that a device makes for itself.

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use i3_auth::device_token::{DevicePrivateKey, IssueError};
use pem::{EncodeConfig, LineEnding, Pem};

/// A device's Ed25519 key pair. The private half stays with the device.
#[derive(Debug)]
pub(super) struct DeviceKeys {
    /// What the device signs its tokens with.
    pub(super) private: DevicePrivateKey,
    /// What is registered at the marketplace: PEM, as `openssl pkey -pubout` prints it.
    pub(super) public_pem: String,
}

/// Why there is no key pair.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeysError {
    /// The library could not make or encode one.
    #[error("a key pair could not be made")]
    Made,
    /// It cannot be used for signing.
    #[error(transparent)]
    Unfit(#[from] IssueError),
}

impl DeviceKeys {
    /// A fresh pair.
    pub(super) fn generate() -> Result<Self, KeysError> {
        let pair = Ed25519KeyPair::generate().map_err(|_| KeysError::Made)?;
        let private = pair.to_pkcs8v1().map_err(|_| KeysError::Made)?;
        let public: PublicKeyX509Der<'_> = pair.public_key().as_der().map_err(|_| KeysError::Made)?;
        let private = DevicePrivateKey::from_pem(&text("PRIVATE KEY", private.as_ref()))?;
        Ok(Self { private, public_pem: text("PUBLIC KEY", public.as_ref()) })
    }
}

fn text(tag: &str, der: &[u8]) -> String {
    pem::encode_config(&Pem::new(tag, der), EncodeConfig::new().set_line_ending(LineEnding::LF))
}

#[cfg(test)]
mod tests {
    use i3_auth::device_token::DevicePublicKey;
    use i3_core::device::KeyAlgorithm;

    use super::*;

    #[test]
    fn a_fresh_key_is_one_that_the_marketplace_takes() {
        let keys = DeviceKeys::generate().unwrap();
        let public = DevicePublicKey::from_pem(Some(KeyAlgorithm::EdDsa), &keys.public_pem).unwrap();
        assert_eq!(public.algorithm(), keys.private.algorithm());
        assert_ne!(DeviceKeys::generate().unwrap().public_pem, keys.public_pem);
    }
}
