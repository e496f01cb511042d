//! Public keys of devices.

use std::fmt;

use i3_core::device::KeyAlgorithm;

use aws_lc_rs::rsa::PublicEncryptingKey;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, VerificationAlgorithm,
};
use jsonwebtoken::{Algorithm, DecodingKey};

/// The longest PEM text, in bytes. An RSA key of 8192 bits has about 1,500.
pub const MAX_PEM_BYTES: usize = 4096;

/// Why a text is no key that a device can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Not one PEM block (RFC 7468), or too long.
    #[error("a key is one PEM block of at most {MAX_PEM_BYTES} bytes")]
    NotPem,
    /// A private key was given where a public one is wanted.
    #[error("this is a private key: keep it on the device and register the public key")]
    Private,
    /// A PEM block of another kind, such as a certificate.
    #[error("a `PUBLIC KEY` block is expected, as `openssl pkey -pubout` prints it")]
    NotPublicKey,
    /// RSA of less than 2048 bits or more than 8192.
    #[error("an RSA key has 2048 to 8192 bits")]
    RsaSize,
    /// Another kind of key or another curve, or damaged.
    #[error("a device's key is an RSA, P-256 or Ed25519 key")]
    Unsupported,
    /// The key is good but for another algorithm than the one that was said.
    #[error("the key is for {}, not for {}", name(*found), name(*said))]
    OtherAlgorithm {
        /// What was said.
        said: KeyAlgorithm,
        /// What the key is for.
        found: KeyAlgorithm,
    },
}

/// As a token's `alg` says it.
pub(super) const fn name(algorithm: KeyAlgorithm) -> &'static str {
    match algorithm {
        KeyAlgorithm::Rs256 => "RS256",
        KeyAlgorithm::Es256 => "ES256",
        KeyAlgorithm::EdDsa => "EdDSA",
        _ => "another algorithm",
    }
}

/// A device's public key, checked and ready to verify with.
#[derive(Clone)]
pub struct DevicePublicKey {
    algorithm: KeyAlgorithm,
    jws: Algorithm,
    decoding: DecodingKey,
}

impl fmt::Debug for DevicePublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DevicePublicKey({})", name(self.algorithm))
    }
}

impl DevicePublicKey {
    /// The key in this PEM text: one `PUBLIC KEY` block (RFC 7468, section 13). The algorithm follows from
    /// the key; `said`, if given, must agree.
    pub fn from_pem(said: Option<KeyAlgorithm>, text: &str) -> Result<Self, KeyError> {
        super::settle_on_provider();
        if text.len() > MAX_PEM_BYTES {
            return Err(KeyError::NotPem);
        }
        let mut blocks = pem::parse_many(text).map_err(|_| KeyError::NotPem)?;
        let (Some(block), true) = (blocks.pop(), blocks.is_empty()) else {
            return Err(KeyError::NotPem);
        };
        if block.tag().ends_with("PRIVATE KEY") {
            return Err(KeyError::Private);
        }
        if block.tag() != "PUBLIC KEY" {
            return Err(KeyError::NotPublicKey);
        }
        let der = block.contents();
        let is = |algorithm: &'static dyn VerificationAlgorithm| ParsedPublicKey::new(algorithm, der).is_ok();
        let (found, jws, decoding) = if is(&ED25519) {
            (KeyAlgorithm::EdDsa, Algorithm::EdDSA, DecodingKey::from_ed_der(der))
        } else if is(&ECDSA_P256_SHA256_FIXED) {
            (KeyAlgorithm::Es256, Algorithm::ES256, DecodingKey::from_ec_der(der))
        } else if PublicEncryptingKey::from_der(der).is_ok() {
            (KeyAlgorithm::Rs256, Algorithm::RS256, DecodingKey::from_rsa_der(der))
        } else if is(&RSA_PKCS1_2048_8192_SHA256) {
            // Readable as RSA, but not of a size that is taken.
            return Err(KeyError::RsaSize);
        } else {
            return Err(KeyError::Unsupported);
        };
        match said {
            Some(said) if said != found => Err(KeyError::OtherAlgorithm { said, found }),
            _ => Ok(Self { algorithm: found, jws, decoding }),
        }
    }

    /// What it is for.
    pub fn algorithm(&self) -> KeyAlgorithm {
        self.algorithm
    }

    pub(super) fn jws(&self) -> Algorithm {
        self.jws
    }

    pub(super) fn decoding(&self) -> &DecodingKey {
        &self.decoding
    }
}
