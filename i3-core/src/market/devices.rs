//! Commands about devices and their credentials.

use serde::{Deserialize, Serialize};

use super::{Command, Context, Decided, Refusal};
use crate::access::Action;
use crate::device::{Credential, CredentialKind, Device, DeviceSecret, DeviceState, KeyAlgorithm};
use crate::gate::{AccessChange, Principal};
use crate::id::{CredentialId, DeviceId, HubId};
use crate::name::{AuthId, Label, Slug};
use crate::outbox::Event;
use crate::reservation::Reservation;
use crate::secret::SecretHash;
use crate::store::Halt;
use crate::time::Timestamp;

/// A credential to be registered. Keys are checked by `i3-auth` before they come here.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
#[non_exhaustive]
pub enum NewCredential {
    /// A password, by its hash. Not part of what an idempotency key stands for.
    Password {
        /// The hash.
        #[serde(skip, default = "no_hash")]
        hash: SecretHash,
    },
    /// A public key.
    PublicKey {
        /// What it is used with.
        algorithm: KeyAlgorithm,
        /// PEM `SubjectPublicKeyInfo`.
        pem: String,
    },
}

fn no_hash() -> SecretHash {
    SecretHash::new("")
}

/// The longest PEM text of a key, in bytes: room for RSA with 8,192 bits.
const MAX_PEM: usize = 4_096;

fn credential(
    context: &mut Context<'_, '_>,
    new: &NewCredential,
    not_before: Option<Timestamp>,
    not_after: Option<Timestamp>,
) -> Decided<Credential> {
    let not_before = not_before.unwrap_or(context.tx.now());
    if not_after.is_some_and(|end| end <= not_before) {
        return Err(Halt::Refused(Refusal::invalid("not_after", "it is not after the beginning")));
    }
    let kind = match new {
        // The log has no secrets: there, a credential is made that no password opens.
        NewCredential::Password { hash } if hash.expose().is_empty() && !context.is_replayed() => {
            return Err(Halt::Refused(Refusal::invalid("password", "no password is given")));
        }
        NewCredential::Password { .. } => CredentialKind::Password,
        NewCredential::PublicKey { pem, .. } if pem.len() > MAX_PEM => {
            return Err(Halt::Refused(Refusal::invalid("pem", "the key is too long")));
        }
        NewCredential::PublicKey { algorithm, pem } => {
            CredentialKind::PublicKey { algorithm: *algorithm, pem: pem.clone() }
        }
    };
    let id = context.tx.fresh_id()?;
    if let NewCredential::Password { hash } = new
        && !hash.expose().is_empty()
    {
        context.tx.create(&DeviceSecret { credential: id, hash: hash.clone() })?;
    }
    Ok(Credential { id, kind, not_before, not_after })
}

/// Registers a device with its first credential.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RegisterDevice {
    /// The hub that it belongs to.
    pub hub: HubId,
    /// Its name in the hub, unique there.
    pub name: Slug,
    /// What people read.
    pub title: Label,
    /// Its first credential.
    pub credential: NewCredential,
}

impl Command for RegisterDevice {
    type Done = Device;
    const NAME: &'static str = "register_device";

    fn decide(&self, context: &mut Context<'_, '_>) -> Decided<Device> {
        let hub = context.hub_for(self.hub, Action::ManageDevices)?;
        let auth_id = AuthId::new(&hub.slug, &self.name);
        let name = Reservation::device(&auth_id);
        if context.tx.get::<Reservation>(&name)?.is_some() {
            return Err(Halt::Refused(Refusal::Taken { what: "device name" }));
        }
        let id: DeviceId = context.tx.fresh_id()?;
        let device = Device {
            id,
            hub: hub.id,
            name: self.name.clone(),
            title: self.title.clone(),
            auth_id,
            state: DeviceState::Active,
            credentials: vec![credential(context, &self.credential, None, None)?],
            registered: context.tx.now(),
        };
        context.tx.create(&Reservation { name, holder: id.to_string() })?;
        context.tx.create(&device)?;
        context.emit(Event::DeviceChanged { device: id, hub: hub.id });
        Ok(device)
    }
}

fn managed(context: &mut Context<'_, '_>, device: DeviceId) -> Decided<Device> {
    let device: Device = context.tx.need(&device, Refusal::NotFound { what: "device" })?;
    context.hub_for(device.hub, Action::ManageDevices)?;
    Ok(device)
}

/// Changes what people read about a device; what is `None` stays. Its name and its hub never change: it logs in with
/// both.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DescribeDevice {
    /// The device.
    pub device: DeviceId,
    /// The new title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<Label>,
}

impl Command for DescribeDevice {
    type Done = Device;
    const NAME: &'static str = "describe_device";

    fn decide(&self, context: &mut Context<'_, '_>) -> Decided<Device> {
        let mut device = managed(context, self.device)?;
        if let Some(title) = &self.title {
            device.title.clone_from(title);
        }
        context.tx.replace(&device)?;
        context.emit(Event::DeviceChanged { device: device.id, hub: device.hub });
        Ok(device)
    }
}

/// Adds a credential to a device, beside those that it has.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AddCredential {
    /// The device.
    pub device: DeviceId,
    /// The credential.
    pub credential: NewCredential,
    /// From when on it is good; at once if absent.
    pub not_before: Option<Timestamp>,
    /// Until when it is good; for ever if absent.
    pub not_after: Option<Timestamp>,
}

impl Command for AddCredential {
    type Done = CredentialId;
    const NAME: &'static str = "add_credential";

    fn decide(&self, context: &mut Context<'_, '_>) -> Decided<CredentialId> {
        let mut device = managed(context, self.device)?;
        if device.credentials.len() >= Device::MAX_CREDENTIALS {
            let reason = format!("a device has at most {}; remove one first", Device::MAX_CREDENTIALS);
            return Err(Halt::Refused(Refusal::Invalid { field: "credential", reason }));
        }
        let credential = credential(context, &self.credential, self.not_before, self.not_after)?;
        let id = credential.id;
        device.credentials.push(credential);
        context.tx.replace(&device)?;
        context.emit(Event::DeviceChanged { device: device.id, hub: device.hub });
        Ok(id)
    }
}

/// Removes a credential; connections that it admitted end.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RemoveCredential {
    /// The device.
    pub device: DeviceId,
    /// The credential.
    pub credential: CredentialId,
}

impl Command for RemoveCredential {
    type Done = ();
    const NAME: &'static str = "remove_credential";

    fn decide(&self, context: &mut Context<'_, '_>) -> Decided<()> {
        let mut device = managed(context, self.device)?;
        let before = device.credentials.len();
        device.credentials.retain(|credential| credential.id != self.credential);
        if device.credentials.len() == before {
            return Err(Halt::Refused(Refusal::NotFound { what: "credential" }));
        }
        if context.tx.get::<DeviceSecret>(&self.credential)?.is_some() {
            context.tx.remove::<DeviceSecret>(&self.credential)?;
        }
        context.tx.replace(&device)?;
        context.emit(Event::DeviceChanged { device: device.id, hub: device.hub });
        context.access_changed(AccessChange::Login {
            principal: Principal::Device { device: device.id, hub: device.hub },
            credential: Some(self.credential),
        });
        Ok(())
    }
}

/// Disables a device (its connections end) or makes it active again.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SetDeviceState {
    /// The device.
    pub device: DeviceId,
    /// The state that it shall be in.
    pub state: DeviceState,
}

impl Command for SetDeviceState {
    type Done = ();
    const NAME: &'static str = "set_device_state";

    fn decide(&self, context: &mut Context<'_, '_>) -> Decided<()> {
        let mut device = managed(context, self.device)?;
        if device.state == self.state {
            let state = if self.state == DeviceState::Active { "active" } else { "disabled" };
            return Err(Halt::Refused(Refusal::WrongState { what: "device", state }));
        }
        device.state = self.state;
        context.tx.replace(&device)?;
        context.emit(Event::DeviceChanged { device: device.id, hub: device.hub });
        context.access_changed(AccessChange::Device(device.id));
        Ok(())
    }
}
