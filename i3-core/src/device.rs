//! Devices and their credentials.

use serde::{Deserialize, Serialize};

use crate::id::{CredentialId, DeviceId, HubId};
use crate::name::{AuthId, Label, Slug};
use crate::secret::SecretHash;
use crate::store::{Collection, Column, Entity, Index, Kind, Value};
use crate::time::Timestamp;

/// The signature algorithm that a device's key is used with. Fixed when the key is registered; what a
/// token's header says is never believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub enum KeyAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256 (RFC 7518, 3.3).
    #[serde(rename = "RS256")]
    Rs256,
    /// ECDSA on P-256 with SHA-256 (RFC 7518, 3.4).
    #[serde(rename = "ES256")]
    Es256,
    /// Ed25519 (RFC 8037).
    #[serde(rename = "EdDSA")]
    EdDsa,
}

/// How a device proves who it is (I3-v1, section II-A).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", tag = "kind")]
#[non_exhaustive]
pub enum CredentialKind {
    /// By a password that the seller chose. Its hash is a [`DeviceSecret`].
    Password,
    /// By signing a JSON Web Token with the private key.
    PublicKey {
        /// What the key is used with.
        algorithm: KeyAlgorithm,
        /// The public key, as a PEM `SubjectPublicKeyInfo` (RFC 7468, 13).
        pem: String,
    },
}

/// One of a device's credentials. Several may be good at the same time, for rotation without a gap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct Credential {
    /// The id.
    pub id: CredentialId,
    /// What it is.
    #[serde(flatten)]
    pub kind: CredentialKind,
    /// From when on it is good.
    pub not_before: Timestamp,
    /// From when on it is no longer good.
    pub not_after: Option<Timestamp>,
}

impl Credential {
    /// Whether it is good at this time.
    pub fn is_good(&self, now: Timestamp) -> bool {
        self.not_before <= now && self.not_after.is_none_or(|end| now < end)
    }
}

/// What a device is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum DeviceState {
    /// May connect.
    Active,
    /// May not connect.
    Disabled,
}

/// A piece of IoT hardware.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// The id.
    pub id: DeviceId,
    /// The hub that it belongs to.
    pub hub: HubId,
    /// Its name in the hub.
    pub name: Slug,
    /// What people read.
    pub title: Label,
    /// What it logs in with, unique.
    pub auth_id: AuthId,
    /// What it is in.
    pub state: DeviceState,
    /// Its credentials, at most [`Device::MAX_CREDENTIALS`]; removed ones are gone.
    pub credentials: Vec<Credential>,
    /// When it was registered.
    pub registered: Timestamp,
}

impl Device {
    /// How many credentials a device may have at once.
    pub const MAX_CREDENTIALS: usize = 8;
}

/// The password of a credential, apart from the device so that no view of a device can show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceSecret {
    /// Of which credential.
    pub credential: CredentialId,
    /// Its hash.
    pub hash: SecretHash,
}

static DEVICE_SECRETS: Collection = Collection {
    name: "device_secrets",
    kind: Kind::Records,
    about: "password hashes of devices' credentials",
    columns: &[],
    indexes: &[],
};

impl Entity for DeviceSecret {
    type Id = CredentialId;

    fn collection() -> &'static Collection {
        &DEVICE_SECRETS
    }

    fn id(&self) -> CredentialId {
        self.credential
    }

    fn values(&self) -> Vec<Option<Value>> {
        Vec::new()
    }
}

static DEVICES: Collection = Collection {
    name: "devices",
    kind: Kind::Records,
    about: "sellers' hardware and its credentials",
    columns: &[Column::text("hub"), Column::text("auth_id")],
    indexes: &[Index { name: "by_hub", columns: &["hub"] }],
};

impl Entity for Device {
    type Id = DeviceId;

    fn collection() -> &'static Collection {
        &DEVICES
    }

    fn id(&self) -> DeviceId {
        self.id
    }

    fn values(&self) -> Vec<Option<Value>> {
        vec![Some(self.hub.to_string().into()), Some(self.auth_id.as_str().into())]
    }
}
