//! Devices and what they log in with.

use i3_core::device::{DeviceState, KeyAlgorithm};
use i3_core::id::{CredentialId, DeviceId, HubId};
use i3_core::market::TimeOrder;
use i3_core::name::{AuthId, Label, Slug};
use i3_core::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Change, Client, Pages, Query, Secret};

/// What is shown of something that a device logs in with. No password, and no hash of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CredentialShown {
    /// Its id.
    pub id: CredentialId,
    /// `password` or `public_key`.
    pub kind: String,
    /// How a key signs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<KeyAlgorithm>,
    /// The key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pem: Option<String>,
    /// From when on it is good.
    pub not_before: Timestamp,
    /// Until when, if not for ever.
    pub not_after: Option<Timestamp>,
}

/// What is shown of a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Device {
    /// The id.
    pub id: DeviceId,
    /// Whose it is.
    pub hub: HubId,
    /// Its name in the hub.
    pub name: Slug,
    /// What people read.
    pub title: Label,
    /// The MQTT user name.
    pub auth_id: AuthId,
    /// Whether it may connect.
    pub state: DeviceState,
    /// What it logs in with.
    pub credentials: Vec<CredentialShown>,
    /// When it was registered.
    pub registered: Timestamp,
}

/// A password or a key that a device shall log in with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum NewCredential {
    /// A password.
    Password {
        /// At least 8 characters.
        password: Secret,
    },
    /// A key that signs the device's tokens.
    PublicKey {
        /// The public key.
        pem: String,
        /// How it signs; found out if nothing is said.
        #[serde(skip_serializing_if = "Option::is_none")]
        algorithm: Option<KeyAlgorithm>,
    },
}

/// A device to be registered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeviceRegistration {
    /// Its name in the hub.
    pub name: Slug,
    /// What people read.
    pub title: Label,
    /// What it logs in with.
    pub credential: NewCredential,
}

/// A password or a key with the time in which it is good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CredentialAddition {
    /// What the device shall log in with, too.
    pub credential: NewCredential,
    /// From when on it is good: now if nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// Until when: for ever if nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Timestamp>,
}

/// A credential that was added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AddedCredential {
    /// Its id.
    pub id: CredentialId,
}

/// What people shall read about a device; what is `None` stays.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct DevicePatch {
    /// The new title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<Label>,
}

#[derive(Serialize)]
struct StateChange {
    state: DeviceState,
}

/// Which devices of a hub, and in which order. The default: all, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct DeviceQuery {
    /// Those in this state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<DeviceState>,
    /// In this order of registration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sort: Option<TimeOrder>,
}

impl Client {
    /// The devices of a hub.
    pub fn list_devices(&self, hub: HubId, query: &DeviceQuery) -> Pages<Device> {
        self.list(format!("/hubs/{hub}/devices")).parameters(query)
    }

    /// Registers a device of a hub.
    pub fn register_device(&self, hub: HubId, device: &DeviceRegistration) -> Change<Device> {
        self.post(format!("/hubs/{hub}/devices"), device)
    }

    /// A device.
    pub fn show_device(&self, device: DeviceId) -> Query<Device> {
        self.get(format!("/devices/{device}"))
    }

    /// Changes what people read about a device.
    pub fn edit_device(&self, device: DeviceId, patch: &DevicePatch) -> Change<Device> {
        self.patch(format!("/devices/{device}"), patch)
    }

    /// Lets a device connect or not.
    pub fn set_device_state(&self, device: DeviceId, state: DeviceState) -> Change<()> {
        self.put(format!("/devices/{device}/state"), &StateChange { state })
    }

    /// Gives a device one more password or key.
    pub fn add_credential(
        &self,
        device: DeviceId,
        credential: &CredentialAddition,
    ) -> Change<AddedCredential> {
        self.post(format!("/devices/{device}/credentials"), credential)
    }

    /// Takes a password or key away from a device.
    pub fn remove_credential(&self, device: DeviceId, credential: CredentialId) -> Change<()> {
        self.delete(format!("/devices/{device}/credentials/{credential}"))
    }
}
