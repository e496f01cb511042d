//! The operations, by what they are about, with what they send and what they are answered.

mod accounts;
mod challenge;
mod clients;
mod devices;
mod discovery;
mod explain;
mod hubs;
mod inbox;
mod invitations;
mod object_files;
mod ontology;
mod operation;
mod orders;
mod passwords;
mod products;
mod roles;
mod sessions;
mod tokens;
mod users;
mod virtual_objects;

pub use accounts::{Balances, InvalidHolder, LedgerHolder};
pub use challenge::Challenge;
pub use clients::{ClientDescription, ClientPatch, ClientRegistration, ClientWithSecret};
pub use devices::{
    AddedCredential, CredentialAddition, CredentialShown, Device, DeviceRegistration, NewCredential,
};
pub use discovery::{Discovered, FacetCount, FoundThing, Thing, ValueCount, Why};
pub use explain::{AccessCheck, AccessExplanation, ChargeExplanation, Finding, LeaseLine};
pub use hubs::HubRegistration;
pub use inbox::{InboxState, Notice};
pub use invitations::{Invited, NewInvitation};
pub use ontology::{OntologyAddition, OntologyStatements};
pub use operation::{DenialQuery, Health, Reconciliation};
pub use orders::{Bought, MqttLogin, Opinion, OrderedAccess, OrderedObject};
pub use passwords::Forgotten;
pub use products::{OfferPublication, ProductCreation, ProductPatch, ProductTexts, Stream, StreamChange};
pub use roles::{NewRole, PermissionText, RoleDescription};
pub use sessions::{Begun, Session};
pub use tokens::{ApiToken, SignIn, SignedIn};
pub use users::{Credited, Payment, UserDescription, UserRegistration};
pub use virtual_objects::{NewVirtualObject, ObjectQuery, ObjectSort, VirtualObject, VirtualObjectVersion};
