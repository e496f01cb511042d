//! The operations, by what they are about, with what they send and what they are answered.

mod accounts;
mod analytics;
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

pub use accounts::{Balances, EntryQuery, InvalidHolder, LedgerHolder};
pub use analytics::Recommendation;
pub use challenge::Challenge;
pub use clients::{ClientDescription, ClientPatch, ClientQuery, ClientRegistration, ClientWithSecret};
pub use devices::{
    AddedCredential, CredentialAddition, CredentialShown, Device, DevicePatch, DeviceQuery,
    DeviceRegistration, NewCredential,
};
pub use discovery::{Discovered, FacetCount, FoundThing, Thing, ValueCount, Why};
pub use explain::{
    AccessCheck, AccessExplanation, ChargeExplanation, Finding, LeaseLine, MessageExplanation, SessionLine,
};
pub use hubs::{HubPatch, HubRegistration, MemberQuery};
pub use inbox::{InboxState, Notice, NoticeQuery};
pub use invitations::{InvitationQuery, Invited, NewInvitation};
pub use ontology::{OntologyAddition, OntologyStatements};
pub use operation::{DenialQuery, Health, Reconciliation};
pub use orders::{Bought, MqttLogin, Opinion, OrderQuery, OrderedAccess, OrderedObject};
pub use passwords::Forgotten;
pub use products::{
    CatalogueQuery, OfferPublication, OfferQuery, ProductCreation, ProductPatch, ProductQuery, ProductTexts,
    RatingQuery, SamplePatch, Stream, StreamChange, StreamPatch,
};
pub use roles::{NewRole, PermissionText, RoleDescription};
pub use sessions::{Begun, Session};
pub use tokens::{ApiToken, SignIn, SignedIn};
pub use users::{Credited, Edit, Payment, UserDescription, UserPatch, UserQuery, UserRegistration};
pub use virtual_objects::{NewVirtualObject, ObjectQuery, ObjectSort, VirtualObject, VirtualObjectVersion};
