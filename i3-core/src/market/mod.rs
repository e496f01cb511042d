//! The marketplace: commands over a store.
//!
//! [`Marketplace::execute`] carries out any [`Command`]: it reads what the command's pure rule asks for,
//! decides, and commits records, ledger entries, audit entry, outbox events and the idempotency
//! answer in one batch. Queries are methods of [`Marketplace`] too, and ask the policy as commands do.

mod analytics;
mod caller;
mod cards;
mod catalogue;
mod clients;
mod command;
mod condition;
mod denials;
mod devices;
mod explain;
mod follow;
mod hubs;
mod invitations;
mod lists;
mod logins;
mod metering;
mod notices;
mod ontology;
mod people;
mod queries;
mod ratings;
mod recommendations;
mod reconcile;
mod refusal;
mod replay;
mod roles;
mod streams;
mod things;
mod trade;
mod virtual_objects;

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use serde::{Deserialize, Serialize};

pub use caller::Caller;
pub use cards::ProductCard;
pub use catalogue::{CreateProduct, DescribeProduct, MoveProduct, PublishOffer, WithdrawOffer};
pub use clients::{DescribeClient, RegisterClient, RemoveClient, ReplaceClientSecret, SetClientState};
pub use command::{Command, Context, Decided, IdempotencyKey, InvalidIdempotencyKey};
pub use condition::{Condition, InvalidRecordTag, RecordTag, Unchanged};
pub use denials::DenialFilter;
pub use devices::{
    AddCredential, DescribeDevice, NewCredential, RegisterDevice, RemoveCredential, SetDeviceState,
};
pub use explain::{
    AccessExplanation, Bars, ChargeExplanation, Check, DeviceFacts, Finding, LeaseLine, LedgerLine,
    MessageExplanation, OrderFacts, Outcome, SessionLine, explain_charge, explain_message, explain_publish,
    explain_receive,
};
pub use follow::Follower;
pub use hubs::{DescribeHub, RegisterHub, RemoveMember, SetHubState, SetMember};
pub use invitations::{Invite, WithdrawInvitation};
pub use lists::{CatalogueFilter, ClientFilter, NoticeFilter, OrderFilter, Period, TimeOrder, UserFilter};
pub use logins::{AskPasswordReset, ChangePassword, EndLogins, ResetPassword};
pub use metering::LeaseAnswer;
pub use metering::{CloseLease, ExtendLease, OpenLease, ReclaimLease};
pub use notices::MailReport;
pub use ontology::{ChangeOntology, UnchangedOntology};
pub use people::{ActivateUser, DescribeUser, ProfilePart, RegisterUser, RejectUser, SetRoles, SuspendUser};
pub use queries::{Balance, Numbered, PageRequest, Paged};
pub use ratings::RateProduct;
pub use recommendations::{Recommended, RecommendedThing};
pub use reconcile::{Difference, GrantLine, Reconciliation};
pub use refusal::{Refusal, RefusalKind};
pub use replay::{Commands, Replayed, replay};
pub use roles::{CreateRole, EditRole, RemoveRole, UnchangedRole};
pub use streams::{AmendStream, DescribeStream, SampleAnswer};
pub use things::{PurgeThing, PutThing, RemoveThing, ThingPut};
pub use trade::{CancelOrder, ExpireGrant, Purchase, ReplaceOrderPassword, RevokeGrant, TopUp};
pub use virtual_objects::{
    AmendObject, AttachFile, CreateObject, DetachFile, EditObject, FileReader, FileWriter, LinkProduct,
    MoveObject, ObjectFilter, ObjectOrder, ObjectView, OrderedObject, PurgeFile, SeenObject, VersionView,
    WhichVersion, WholeFile,
};

use command::{Asked, Execution, Origin, Request, Steps};

use crate::access::{Actor, Bound, Noted, Policy, Purpose};
use crate::gate::{AccessChange, AccessListener, Recall};
use crate::id::{ClientId, IdSource, RandomIds};
use crate::ontology::OntologyCheck;
use crate::outbox::EventListener;
use crate::portable::{Contents, FILLINGS, Part, refuse_unfinished};
use crate::store::{
    Applied, Collection, DynStore, Refused, Schema, SchemaError, Store, StoreError, StoreErrorKind, StoreExt,
};
use crate::stream::SchemaCheck;
use crate::time::{Clock, SystemClock, Timestamp};
use crate::virtual_object::FileLimits;

/// The revision of what this version stores. Data of a later revision are refused.
pub const REVISION: u32 = 1;

/// Who may act after registering.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Registration {
    /// Everybody, at once.
    #[default]
    Open,
    /// Those whom an administrator approved.
    Approval,
    /// Those whom an administrator invited; nobody else may register.
    Invitation,
}

/// Whether virtual objects are public at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Publishing {
    /// As soon as their owners want it.
    #[default]
    Direct,
    /// After somebody who may publish has looked at them.
    Review,
}

/// How a marketplace is set up. The same in all processes over one store. Every audit entry of a command
/// that asked for them has them as they were.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(default)]
#[non_exhaustive]
pub struct Settings {
    /// Who may act after registering.
    #[serde(skip_serializing_if = "is_default")]
    pub registration: Registration,
    /// The marketplace's share of what buyers pay, in hundredths of a percent (at most 10,000); frozen
    /// in each order.
    #[serde(skip_serializing_if = "is_default")]
    pub fee_points: u16,
    /// Whether virtual objects are public at once.
    #[serde(skip_serializing_if = "is_default")]
    pub publishing: Publishing,
    /// How much of the files is kept that are attached to virtual objects.
    #[serde(skip_serializing_if = "is_default")]
    pub files: FileLimits,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Default for Settings {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Settings {
    pub(crate) const DEFAULT: Self = Self {
        registration: Registration::Open,
        fee_points: 0,
        publishing: Publishing::Direct,
        files: FileLimits::DEFAULT,
    };

    /// With this registration.
    pub fn with_registration(mut self, registration: Registration) -> Self {
        self.registration = registration;
        self
    }

    /// With virtual objects that are public at once, or after a review.
    pub fn with_publishing(mut self, publishing: Publishing) -> Self {
        self.publishing = publishing;
        self
    }

    /// Keeping so much of the files that are attached to virtual objects.
    pub fn with_files(mut self, limits: FileLimits) -> Self {
        self.files = limits;
        self
    }

    /// With this share of what buyers pay, in hundredths of a percent; more than 10,000 counts as 10,000.
    pub fn with_fee_points(mut self, points: u16) -> Self {
        self.fee_points = points.min(10_000);
        self
    }
}

/// Why a command or query was not carried out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MarketError {
    /// The domain says no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Other commands kept changing the same data: try again.
    #[error("too many others change the same data at the moment")]
    Conflict,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl MarketError {
    /// A stable code for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal.code(),
            Self::Conflict => "conflict",
            Self::Store(error) => error.kind().code(),
        }
    }

    /// The refusal, if it is one.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }
}

impl From<Refused<Refusal>> for MarketError {
    fn from(error: Refused<Refusal>) -> Self {
        match error {
            Refused::Refusal(refusal) => Self::Refused(refusal),
            Refused::Conflict => Self::Conflict,
            Refused::Store(error) => Self::Store(error),
        }
    }
}

/// A marketplace over a store. Cheap to clone; clones share listeners.
#[derive(Clone)]
pub struct Marketplace {
    store: DynStore,
    policy: Arc<dyn Policy>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
    settings: Arc<Settings>,
    schemas: Option<Arc<dyn SchemaCheck>>,
    bound: Option<Arc<Bound>>,
    /// The program that acts, if one does.
    client: Option<ClientId>,
    noted: Option<Arc<Noted>>,
    /// What its queries are for.
    purpose: Purpose,
    ontologies: Option<Arc<dyn OntologyCheck>>,
    listeners: Arc<RwLock<Vec<Arc<dyn AccessListener>>>>,
    recalls: Arc<RwLock<Vec<Arc<dyn Recall>>>>,
    followers: Arc<RwLock<Vec<Arc<dyn EventListener>>>>,
    announced: Arc<follow::Announced>,
}

impl fmt::Debug for Marketplace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Marketplace")
            .field("store", &self.store)
            .field("policy", &self.policy)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// What the marketplace keeps, and what those who store beside it do. Secrets are whole collections:
/// `user_secrets` and `device_secrets`.
pub fn contents(more: &[Part]) -> Result<Contents, SchemaError> {
    let mut parts = parts();
    parts.extend(more);
    Contents::new(REVISION, parts)
}

fn parts() -> Vec<Part> {
    vec![
        Part::records::<crate::user::User>(),
        Part::records::<crate::user::UserSecret>().secret(),
        Part::records::<crate::user::PasswordReset>(),
        // Commands write them, and later versions do where earlier ones did not: so no log has to agree with them.
        Part::records::<crate::user::Address>().unlogged(),
        Part::records::<crate::user::LoginGeneration>().unlogged(),
        Part::records::<crate::invitation::Invitation>(),
        Part::records::<crate::role::Role>(),
        Part::records::<crate::role::RoleBook>(),
        Part::records::<crate::notice::Notice>().unlogged(),
        Part::records::<crate::notice::NoticeBox>().unlogged(),
        Part::records::<crate::notice::Mail>().unlogged(),
        Part::records::<crate::notice::Position>().unlogged(),
        Part::records::<crate::reservation::Reservation>(),
        Part::records::<crate::hub::Hub>(),
        Part::records::<crate::hub::Membership>(),
        Part::records::<crate::device::Device>(),
        Part::records::<crate::device::DeviceSecret>().secret(),
        Part::records::<crate::product::Product>(),
        Part::records::<crate::product::Source>(),
        Part::records::<crate::offer::Offer>(),
        Part::records::<crate::order::Order>(),
        Part::records::<crate::grant::Grant>(),
        Part::records::<crate::usage::Usage>(),
        Part::records::<crate::usage::Lease>(),
        Part::records::<crate::rating::Rating>(),
        Part::plain(&crate::rating::SCORES),
        Part::records::<crate::stream::StreamTerms>(),
        Part::records::<crate::stream::StreamHead>().unlogged(),
        Part::records::<crate::stream::StreamQuality>().unlogged(),
        Part::records::<crate::stream::Samples>().unlogged(),
        Part::records::<crate::stream::SampleViews>().unlogged(),
        Part::records::<crate::oauth::Client>(),
        Part::records::<crate::denial::DenialRecord>().unlogged(),
        Part::records::<crate::denial::DenialRing>().unlogged(),
        Part::records::<crate::analytics::History>().unlogged(),
        Part::records::<crate::analytics::ObservedSince>().unlogged(),
        Part::records::<crate::analytics::Popularity>().unlogged(),
        Part::records::<crate::virtual_object::VirtualObject>(),
        Part::records::<crate::virtual_object::ObjectVersion>(),
        Part::records::<crate::virtual_object::ObjectContent>(),
        Part::records::<crate::virtual_object::Listing>(),
        Part::records::<crate::virtual_object::ProductObject>(),
        // Bytes are in no log: a log names them by their hash.
        Part::records::<crate::virtual_object::StoredFile>().unlogged(),
        Part::records::<crate::virtual_object::FileHold>().unlogged(),
        Part::records::<crate::virtual_object::FileChunk>().unlogged(),
        Part::records::<crate::virtual_object::FileUpload>().unlogged(),
        Part::records::<crate::thing::Thing>(),
        Part::records::<crate::ontology::OntologyExtension>(),
        Part::records::<crate::ontology::OntologyHead>(),
        Part::records::<crate::ledger::Entry>(),
        Part::plain(&crate::ledger::BALANCES),
        Part::plain(&crate::outbox::OUTBOX),
        Part::plain(&crate::audit::AUDIT),
        command::answers(),
    ]
}

/// All collections of the marketplace.
pub fn collections() -> Vec<&'static Collection> {
    let mut all: Vec<_> = parts().iter().map(Part::collection).collect();
    all.push(&FILLINGS);
    all
}

/// The schema of the marketplace and of those who store beside it.
pub fn schema(more: &[&'static Collection]) -> Result<Schema, SchemaError> {
    let mut all = collections();
    all.extend(more);
    Schema::new(REVISION, &all)
}

impl Marketplace {
    /// A marketplace over a store, which is prepared for it and for the collections in `more`; with the
    /// machine's clock, random ids and default settings. Refuses a store that is [being
    /// filled](crate::portable).
    pub async fn open(
        store: DynStore,
        policy: Arc<dyn Policy>,
        more: &[&'static Collection],
    ) -> Result<Self, StoreError> {
        let schema = schema(more).map_err(|error| {
            StoreError::new(StoreErrorKind::Incompatible, "the collections contradict each other")
                .with_source(error)
        })?;
        store.prepare(&schema).await?;
        refuse_unfinished(&*store).await?;
        Ok(Self {
            store,
            policy,
            clock: Arc::new(SystemClock),
            ids: Arc::new(RandomIds),
            settings: Arc::new(Settings::default()),
            schemas: None,
            bound: None,
            client: None,
            noted: None,
            purpose: Purpose::Reading,
            ontologies: None,
            listeners: Arc::default(),
            recalls: Arc::default(),
            followers: Arc::default(),
            announced: Arc::default(),
        })
    }

    /// With another clock.
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// With another source of ids.
    pub fn with_ids(mut self, ids: Arc<dyn IdSource>) -> Self {
        self.ids = ids;
        self
    }

    /// With other settings.
    pub fn with_settings(mut self, settings: Settings) -> Self {
        self.settings = Arc::new(settings);
        self
    }

    /// With something that says whether a text is a JSON Schema. Without it, only [what needs no
    /// validator](crate::stream::check_schema) is checked.
    pub fn with_schema_check(mut self, schemas: Arc<dyn SchemaCheck>) -> Self {
        self.schemas = Some(schemas);
        self
    }

    /// The same marketplace as this program sees it that acts for somebody under this bound, in a request made for this
    /// purpose: users who ask it may do no more than the bound says, the audit log names the program, and idempotency
    /// keys are the program's own. Its commands change something, whatever the purpose.
    #[must_use]
    pub fn through(&self, client: ClientId, bound: Bound, purpose: Purpose) -> Self {
        Self { bound: Some(Arc::new(bound)), client: Some(client), purpose, ..self.clone() }
    }

    /// With something that says whether a text can be added to the ontology. Without it, every text is taken.
    pub fn with_ontology_check(mut self, ontologies: Arc<dyn OntologyCheck>) -> Self {
        self.ontologies = Some(ontologies);
        self
    }

    /// The same marketplace, noting there what it denies: for who answers one request.
    #[must_use]
    pub fn noting(&self, noted: Arc<Noted>) -> Self {
        Self { noted: Some(noted), ..self.clone() }
    }

    /// The store.
    pub fn store(&self) -> &dyn Store {
        &*self.store
    }

    /// The clock.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// The present time.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Tells a gate of every change of access from now on, in this process.
    pub fn listen(&self, listener: Arc<dyn AccessListener>) {
        self.listeners.write().unwrap_or_else(PoisonError::into_inner).push(listener);
    }

    /// Asks this gate of this process too what became of single messages.
    pub fn recall_from(&self, gate: Arc<dyn Recall>) {
        self.recalls.write().unwrap_or_else(PoisonError::into_inner).push(gate);
    }

    fn recalls(&self) -> Vec<Arc<dyn Recall>> {
        self.recalls.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Tells an index beside the store of every commit from now on, in this process.
    pub fn listen_to_events(&self, listener: Arc<dyn EventListener>) {
        self.followers.write().unwrap_or_else(PoisonError::into_inner).push(listener);
    }

    /// Carries out a command.
    ///
    /// With a key the command has one effect and one answer however often it is sent, also when it is sent
    /// by several at once and after a crash; another request under the same key is refused. Returns
    /// once all listeners have acted on the change.
    pub async fn execute<C: Command>(
        &self,
        actor: Actor,
        key: Option<&IdempotencyKey>,
        command: &C,
    ) -> Result<C::Done, MarketError> {
        self.execute_if(actor, key, command, None).await
    }

    /// As [`execute`](Self::execute), but only if the condition holds when the command is decided; otherwise
    /// [`Refusal::Changed`].
    pub async fn execute_if<C: Command>(
        &self,
        actor: Actor,
        key: Option<&IdempotencyKey>,
        command: &C,
        condition: Option<&dyn Condition>,
    ) -> Result<C::Done, MarketError> {
        let (asked, request) = (Asked::new(command), Request::of(command)?);
        self.carry_out((actor, key), &asked, request, condition).await?;
        Ok(asked.into_done()?)
    }

    async fn carry_out(
        &self,
        (actor, key): (Actor, Option<&IdempotencyKey>),
        command: &dyn Steps,
        request: Request,
        condition: Option<&dyn Condition>,
    ) -> Result<(), MarketError> {
        let execution = Execution {
            actor,
            bound: self.bound.as_deref(),
            client: self.client,
            noted: self.noted.as_deref(),
            key,
            command,
            condition,
            request,
            origin: Origin::Live {
                policy: &*self.policy,
                settings: &self.settings,
                schemas: self.schemas.as_deref(),
                ontologies: self.ontologies.as_deref(),
            },
        };
        let mut tries = 0;
        let executed = loop {
            let result = self.store.transact(self.clock.now(), &*self.ids, &execution).await;
            match result {
                // The key tells on the next try whether the effect is there already.
                Err(Refused::Store(error))
                    if error.applied() == Applied::Unknown && key.is_some() && tries < 3 =>
                {
                    tries += 1;
                }
                // Whatever became of this try, an earlier one may have been applied.
                Err(Refused::Store(error)) if tries > 0 => return Err(error.outcome_unknown().into()),
                other => break other?,
            }
        };
        if let Some(position) = executed.told_at.filter(|_| !executed.changes.is_empty()) {
            self.announced.note(position);
        }
        self.announce(&executed.changes).await;
        if let Some(first) = executed.told_at {
            let more = u64::try_from(executed.events.len()).unwrap_or(0).saturating_sub(1);
            let followers = self.followers.read().unwrap_or_else(PoisonError::into_inner).clone();
            for follower in followers {
                follower.happened(first.saturating_add(more), &executed.events).await;
            }
        }
        Ok(())
    }

    async fn announce(&self, changes: &[AccessChange]) {
        if changes.is_empty() {
            return;
        }
        let listeners = self.listeners.read().unwrap_or_else(PoisonError::into_inner).clone();
        for listener in listeners {
            listener.access_changed(changes).await;
        }
    }
}
