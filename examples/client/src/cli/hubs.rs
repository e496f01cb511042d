//! Hubs, their members and their devices.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use i3_client::{
    CredentialAddition, DevicePatch, DeviceQuery, DeviceRegistration, HubPatch, HubRegistration, MemberQuery,
    NewCredential,
};
use i3_core::access::HubRole;
use i3_core::device::{DeviceState, KeyAlgorithm};
use i3_core::hub::HubState;
use i3_core::id::{CredentialId, DeviceId, HubId, UserId};
use i3_core::market::TimeOrder;
use i3_core::name::{Label, Slug};
use i3_core::time::Timestamp;

use super::context::{Context, ListArgs, Told};
use super::failure::Failure;
use super::given::{named, secret, text_of};
use super::orders::WhichOrders;

#[derive(Debug, Subcommand)]
pub(crate) enum HubTask {
    /// Registers a hub, whose owner one becomes
    Register {
        /// Its name, the second part of its topics
        slug: Slug,
        /// What people read
        title: Label,
    },
    /// A hub's public face
    Show {
        /// Which
        hub: HubId,
    },
    /// Changes what people read about a hub
    Edit {
        /// Which
        hub: HubId,
        /// The new title
        #[arg(long)]
        title: Label,
    },
    /// Suspends or reinstates a hub
    SetState {
        /// Which
        hub: HubId,
        /// active or suspended
        #[arg(value_parser = named::<HubState>)]
        state: HubState,
    },
    /// The members of a hub
    Members {
        /// Which
        hub: HubId,
        /// Those with this role: viewer, manager or owner
        #[arg(long, value_parser = named::<HubRole>)]
        role: Option<HubRole>,
        #[command(flatten)]
        list: ListArgs,
    },
    /// Makes a user a member of a hub, or another kind of member
    SetMember {
        /// Of which
        hub: HubId,
        /// Who
        user: UserId,
        /// viewer, manager or owner
        #[arg(value_parser = named::<HubRole>)]
        role: HubRole,
    },
    /// Removes a member from a hub
    RemoveMember {
        /// From which
        hub: HubId,
        /// Who
        user: UserId,
    },
    /// The orders of a hub's products
    Sales {
        /// Of which
        hub: HubId,
        #[command(flatten)]
        which: WhichOrders,
        #[command(flatten)]
        list: ListArgs,
    },
}

impl HubTask {
    pub(crate) async fn run(self, context: &Context) -> Result<Told, Failure> {
        let client = context.client();
        match self {
            Self::Register { slug, title } => {
                context.change(client.register_hub(&HubRegistration { slug, title })).await
            }
            Self::Show { hub } => context.ask(client.show_hub(hub)).await,
            Self::Edit { hub, title } => {
                let patch = HubPatch { title: Some(title) };
                context.change(client.edit_hub(hub, &patch)).await
            }
            Self::SetState { hub, state } => context.change(client.set_hub_state(hub, state)).await,
            Self::Members { hub, role, list } => {
                context.list(client.list_members(hub, &MemberQuery { role }), &list).await
            }
            Self::SetMember { hub, user, role } => context.change(client.set_member(hub, user, role)).await,
            Self::RemoveMember { hub, user } => context.change(client.remove_member(hub, user)).await,
            Self::Sales { hub, which, list } => {
                context.list(client.list_sales(hub, &which.into()), &list).await
            }
        }
    }
}

/// A key, or else a password.
#[derive(Debug, Args)]
pub(crate) struct Credential {
    /// A file with a public key (PEM) whose tokens the device logs in with, instead of a password
    #[arg(long, value_name = "FILE", conflicts_with = "device_password_file")]
    key_file: Option<PathBuf>,
    /// How the key signs: found out by default
    #[arg(long, value_parser = named::<KeyAlgorithm>, requires = "key_file")]
    algorithm: Option<KeyAlgorithm>,
    /// A file with the device's password; else `I3_DEVICE_PASSWORD`, else it is asked for
    #[arg(long, value_name = "FILE")]
    device_password_file: Option<PathBuf>,
}

impl Credential {
    fn given(self) -> Result<NewCredential, Failure> {
        if let Some(file) = self.key_file {
            return Ok(NewCredential::PublicKey { pem: text_of(&file)?, algorithm: self.algorithm });
        }
        let file = self.device_password_file.as_deref();
        let password = secret("device's password", file, "--device-password-file", "I3_DEVICE_PASSWORD")?;
        Ok(NewCredential::Password { password })
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeviceTask {
    /// The devices of a hub
    List {
        /// Of which
        hub: HubId,
        /// Those in this state: active or disabled
        #[arg(long, value_parser = named::<DeviceState>)]
        state: Option<DeviceState>,
        /// By when they were registered: oldest (by default) or newest
        #[arg(long, value_parser = named::<TimeOrder>)]
        sort: Option<TimeOrder>,
        #[command(flatten)]
        list: ListArgs,
    },
    /// Registers a device of a hub
    Register {
        /// Of which
        hub: HubId,
        /// Its name in the hub
        name: Slug,
        /// What people read
        title: Label,
        #[command(flatten)]
        credential: Credential,
    },
    /// A device
    Show {
        /// Which
        device: DeviceId,
    },
    /// Changes what people read about a device
    Edit {
        /// Which
        device: DeviceId,
        /// The new title
        #[arg(long)]
        title: Label,
    },
    /// Lets a device connect or not
    SetState {
        /// Which
        device: DeviceId,
        /// active or disabled
        #[arg(value_parser = named::<DeviceState>)]
        state: DeviceState,
    },
    /// Gives a device one more password or key
    AddCredential {
        /// Which
        device: DeviceId,
        #[command(flatten)]
        credential: Credential,
        /// From when on it is good: 2027-01-31T12:00:00Z
        #[arg(long, value_name = "TIME")]
        not_before: Option<Timestamp>,
        /// Until when
        #[arg(long, value_name = "TIME")]
        not_after: Option<Timestamp>,
    },
    /// Takes a password or key away from a device
    RemoveCredential {
        /// From which
        device: DeviceId,
        /// Which
        credential: CredentialId,
    },
}

impl DeviceTask {
    pub(crate) async fn run(self, context: &Context) -> Result<Told, Failure> {
        let client = context.client();
        match self {
            Self::List { hub, state, sort, list } => {
                context.list(client.list_devices(hub, &DeviceQuery { state, sort }), &list).await
            }
            Self::Register { hub, name, title, credential } => {
                let device = DeviceRegistration { name, title, credential: credential.given()? };
                context.change(client.register_device(hub, &device)).await
            }
            Self::Show { device } => context.ask(client.show_device(device)).await,
            Self::Edit { device, title } => {
                let patch = DevicePatch { title: Some(title) };
                context.change(client.edit_device(device, &patch)).await
            }
            Self::SetState { device, state } => context.change(client.set_device_state(device, state)).await,
            Self::AddCredential { device, credential, not_before, not_after } => {
                let addition = CredentialAddition { credential: credential.given()?, not_before, not_after };
                context.change(client.add_credential(device, &addition)).await
            }
            Self::RemoveCredential { device, credential } => {
                context.change(client.remove_credential(device, credential)).await
            }
        }
    }
}
