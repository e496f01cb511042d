//! All parts of a marketplace put together: store, domain, access, and the gate when there is one.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use i3_auth::api_token::ApiTokens;
use i3_auth::broker_password::BrokerPasswords;
use i3_auth::challenge::{Challenge, ProofOfWork, WorkSettings};
use i3_auth::leave::Leaves;
use i3_auth::oauth2::{self, AuthorizationServer};
use i3_auth::password::{PasswordError, PasswordSettings, Passwords};
use i3_auth::{MarketAuthenticator, MasterKey, MasterKeyError, RolePolicy};
use i3_broker::log::{
    InvalidUpstreamName, RumqttdLog, RumqttdLogConfig, TopicLog, UpstreamConfig, UpstreamKey, UpstreamLog,
    UpstreamLogin, UpstreamUrl,
};
use i3_broker::{Gate, GateConfig, GateError, JsonSchemas, Listener, Ports};
use i3_core::access::Actor;
use i3_core::analytics::{LeastPeople, ObservationQueue};
use i3_core::denial::DenialQueue;
use i3_core::id::{IdSource, LeaseId, NoEntropy, RandomIds};
use i3_core::market::{MarketError, Marketplace, Settings};
use i3_core::store::{DynStore, StoreError};
use i3_core::time::{Clock, SystemClock};
use i3_semantic::ontology::Stored;

use crate::StoreUrl;
use crate::floods::{FloodLimits, Floods};
use crate::rest::oauth::SCOPES;

/// How many denials may wait to be written.
const DENIALS_WAITING: usize = 1_024;
/// How much of what people look at and find may wait to be written.
const OBSERVATIONS_WAITING: usize = 4_096;
/// How many of the newest denials are kept if nothing is said.
const DENIALS_KEPT: u64 = 10_000;

/// What a marketplace is assembled from.
#[derive(Debug, Clone)]
pub struct AssemblyConfig {
    /// Where the data are.
    pub store: StoreUrl,
    /// The file of the master key, made if it is not there. Without one the key lasts as long as the
    /// assembly, and with it all order passwords and API tokens.
    pub master_key: Option<PathBuf>,
    /// Registration and fees.
    pub settings: Settings,
    /// What device tokens must name as their audience.
    pub audience: String,
    /// What this gate calls itself in its leases. No two gates over one store have the same name: those
    /// that an earlier gate of this name left open are reclaimed at the start.
    pub gate: String,
    /// Under which address clients and browsers reach the marketplace: the name of its authorization server, and
    /// with `/api/v1` what access tokens are for.
    pub issuer: String,
    /// How passwords are hashed and guessers are slowed down.
    pub passwords: PasswordSettings,
    /// How much one address and one client may ask.
    pub floods: FloodLimits,
    /// What who registers has to do for it; nothing if absent.
    pub captcha: Option<WorkSettings>,
    /// The broker that messages go through; without one they stay in this process.
    pub upstream: Option<Upstream>,
    /// How many of the newest denials are kept.
    pub denials_kept: u64,
    /// How many things each of a person's histories holds; none: nothing is remembered.
    pub analytics_kept: usize,
    /// How many people of a domain must have used a thing for it to be recommended there; `None`: nothing is.
    pub recommendations: Option<LeastPeople>,
}

/// A broker elsewhere that messages go through.
#[derive(Debug, Clone)]
pub struct Upstream {
    /// Where it listens.
    pub url: UpstreamUrl,
    /// The gate's own login there.
    pub login: Option<UpstreamLogin>,
    /// Whether messages are sold that others published there, past any gate.
    pub accept_foreign: bool,
}

impl AssemblyConfig {
    /// Over this store, with a master key for this life only and default settings.
    pub fn new(store: StoreUrl) -> Self {
        Self {
            store,
            master_key: None,
            settings: Settings::default(),
            audience: "i3".to_owned(),
            gate: "gate".to_owned(),
            issuer: "http://127.0.0.1:8080".to_owned(),
            passwords: PasswordSettings::default(),
            floods: FloodLimits::default(),
            captcha: None,
            upstream: None,
            denials_kept: DENIALS_KEPT,
            analytics_kept: crate::analytics::KEPT,
            recommendations: None,
        }
    }

    /// Over SQLite, with everything in this folder: `marketplace.sqlite` and `master.key`.
    pub fn in_folder(folder: &Path) -> Self {
        Self::new(StoreUrl::Sqlite(folder.join("marketplace.sqlite")))
            .with_master_key(folder.join("master.key"))
    }

    /// With the master key in this file.
    pub fn with_master_key(mut self, file: impl Into<PathBuf>) -> Self {
        self.master_key = Some(file.into());
        self
    }
}

/// Why a marketplace could not be assembled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AssemblyError {
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The master key cannot be had.
    #[error(transparent)]
    MasterKey(#[from] MasterKeyError),
    /// Passwords cannot be hashed as configured.
    #[error(transparent)]
    Passwords(#[from] PasswordError),
    /// What an earlier life left open could not be cleaned up.
    #[error(transparent)]
    Market(#[from] MarketError),
    /// The address of the authorization server is none, or a scope is wrong.
    #[error("the public address cannot be used: {0}")]
    OAuth(Box<dyn std::error::Error + Send + Sync>),
    /// The gate cannot be started.
    #[error(transparent)]
    Gate(#[from] GateError),
    /// The gate's name does not fit into a client id at the upstream broker.
    #[error(transparent)]
    UpstreamName(#[from] InvalidUpstreamName),
}

impl From<NoEntropy> for AssemblyError {
    fn from(error: NoEntropy) -> Self {
        Self::MasterKey(error.into())
    }
}

impl AssemblyError {
    /// A stable code for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Store(error) | Self::MasterKey(MasterKeyError::Store(error)) => error.kind().code(),
            Self::MasterKey(_) => "master_key",
            Self::Passwords(_) => "passwords",
            Self::Market(error) => error.code(),
            Self::OAuth(_) => "public_url",
            Self::Gate(GateError::AddressInUse(_)) => "address_in_use",
            Self::Gate(_) => "gate",
            Self::UpstreamName(_) => "invalid_gate",
        }
    }
}

/// A marketplace with all that belongs to it, in one process.
#[derive(Debug)]
pub struct Assembly {
    config: AssemblyConfig,
    market: Marketplace,
    access: Access,
    reclaimed: Vec<(LeaseId, u64)>,
    upstream_key: UpstreamKey,
}

/// How long the start of a gate waits for its upstream broker before it goes on without.
const UPSTREAM_PATIENCE: Duration = Duration::from_secs(3);

/// Who checks and issues passwords and tokens. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Access {
    /// People's and devices' passwords.
    pub passwords: Arc<Passwords>,
    /// The passwords that orders give to buyers' MQTT clients.
    pub broker_passwords: BrokerPasswords,
    /// Tokens of people's programs.
    pub tokens: ApiTokens,
    /// Invitations, and leave to set another password.
    pub leaves: Leaves,
    /// Who has asked how much lately.
    pub floods: Arc<Floods>,
    /// What who registers has to do for it, if anything.
    pub challenge: Option<Arc<dyn Challenge>>,
    /// What was denied and waits to be written.
    pub denials: Arc<DenialQueue>,
    /// What people looked at and found and waits to be written; `None`: nothing is remembered.
    pub observations: Option<Arc<ObservationQueue>>,
    /// Programs that act for people.
    pub oauth: Arc<AuthorizationServer>,
    /// Checks logins of people, devices and buyers' clients.
    pub authenticator: Arc<MarketAuthenticator>,
}

impl Assembly {
    /// Opens store, marketplace and access, and reclaims the leases of this gate's earlier life. What was
    /// delivered under them and never reported stays in doubt and is not billed.
    pub async fn open(config: AssemblyConfig) -> Result<Self, AssemblyError> {
        let store = config.store.open().await?;
        Self::over(store, config).await
    }

    /// As [`open`](Self::open), over a store that is open already; the configured one is not looked at.
    pub async fn over(store: DynStore, config: AssemblyConfig) -> Result<Self, AssemblyError> {
        let market = Marketplace::open(store.clone(), Arc::new(RolePolicy), i3_auth::COLLECTIONS)
            .await?
            .with_settings(config.settings.clone())
            .with_schema_check(Arc::new(JsonSchemas))
            .with_ontology_check(Arc::new(Stored::default()));
        let master = match &config.master_key {
            Some(file) => MasterKey::load_or_create(file)?,
            None => MasterKey::generate()?,
        };
        if config.master_key.is_some() {
            master.adopt(&*store).await?;
        }
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let ids: Arc<dyn IdSource> = Arc::new(RandomIds);
        let passwords = Arc::new(Passwords::new(config.passwords.clone(), clock.clone())?);
        let broker_passwords = BrokerPasswords::new(&master);
        let authenticator = MarketAuthenticator::new(
            market.clone(),
            passwords.clone(),
            broker_passwords.clone(),
            config.audience.as_str(),
        );
        let oauth = oauth_settings(&config.issuer).map_err(AssemblyError::OAuth)?;
        let oauth = Arc::new(AuthorizationServer::new(market.clone(), ids.clone(), &master, oauth));
        market.listen(oauth.revocations().clone());
        oauth.revocations().read(&*store).await?;
        let access = Access {
            denials: Arc::new(DenialQueue::new(DENIALS_WAITING)),
            observations: (config.analytics_kept > 0)
                .then(|| Arc::new(ObservationQueue::new(OBSERVATIONS_WAITING))),
            oauth,
            passwords,
            broker_passwords,
            leaves: Leaves::new(&master),
            floods: Arc::new(Floods::new(&config.floods, clock.clone())),
            challenge: config.captcha.map(|work| -> Arc<dyn Challenge> {
                Arc::new(ProofOfWork::new(work, &master, clock.clone()))
            }),
            tokens: ApiTokens::new(store, clock, ids, &master),
            authenticator: Arc::new(authenticator),
        };
        let reclaimed = market.reclaim(Actor::System, &config.gate).await?;
        let upstream_key = UpstreamKey::from_bytes(master.for_gates());
        Ok(Self { config, market, access, reclaimed, upstream_key })
    }

    /// The marketplace.
    pub fn market(&self) -> &Marketplace {
        &self.market
    }

    /// Passwords and tokens.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// Writes down what was denied since the last call, and returns how much that was: call it now and then, from one
    /// task, and before the end.
    pub async fn write_denials(&self) -> Result<usize, MarketError> {
        self.market.write_denials(&self.access.denials, self.config.denials_kept).await
    }

    /// Takes down what people did since the last call, and returns how much that was: call it now and then, from one
    /// task, and before the end.
    pub async fn write_observations(&self) -> Result<usize, MarketError> {
        crate::analytics::write(&self.market, &self.access, self.config.analytics_kept).await
    }

    /// How it was configured.
    pub fn config(&self) -> &AssemblyConfig {
        &self.config
    }

    /// As [`start_gate_at`](Self::start_gate_at), over plain TCP at one address.
    pub async fn start_gate(&self, listen: SocketAddr) -> Result<Gate, AssemblyError> {
        self.start_gate_at(vec![Listener::tcp(listen)]).await
    }

    /// Starts the MQTT gate with these listeners. From then on it is told of all changes of access that are made
    /// in this process; for those of other processes over the same store, see [`Marketplace::follow`]. End it
    /// with [`Gate::shutdown`], which bills what was delivered.
    pub async fn start_gate_at(&self, listeners: Vec<Listener>) -> Result<Gate, AssemblyError> {
        let mut config = GateConfig::over(listeners);
        config.holder.clone_from(&self.config.gate);
        config.denials = Some(self.access.denials.clone());
        let market = Arc::new(self.market.clone());
        let ports = Ports {
            authenticator: self.access.authenticator.clone(),
            directory: market.clone(),
            metering: market.clone(),
            streams: market,
            clock: self.market.clock().clone(),
        };
        let gate = Gate::start(config, ports, self.log().await?).await?;
        self.market.listen(gate.listener());
        self.market.recall_from(gate.recall());
        Ok(gate)
    }

    /// What messages go through.
    async fn log(&self) -> Result<Arc<dyn TopicLog>, AssemblyError> {
        let Some(upstream) = &self.config.upstream else {
            let log = RumqttdLog::start(RumqttdLogConfig::default()).await.map_err(GateError::from)?;
            return Ok(Arc::new(log));
        };
        let mut config = UpstreamConfig::new(upstream.url.clone(), self.upstream_key.clone());
        config.login.clone_from(&upstream.login);
        config.accept_foreign = upstream.accept_foreign;
        config.gate.clone_from(&self.config.gate);
        let log = UpstreamLog::start(config, self.market.clock().clone())?;
        let up = async {
            while !log.is_up() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        if tokio::time::timeout(UPSTREAM_PATIENCE, up).await.is_err() {
            tracing::warn!(url = %upstream.url, "the upstream broker is not reached; publishers wait until it is");
        }
        Ok(Arc::new(log))
    }

    /// The leases of this gate's earlier life that were reclaimed at the start, each with the number of
    /// messages that came into doubt.
    pub fn reclaimed(&self) -> &[(LeaseId, u64)] {
        &self.reclaimed
    }
}

/// The authorization server of a marketplace at this address.
fn oauth_settings(issuer: &str) -> Result<oauth2::Settings, Box<dyn std::error::Error + Send + Sync>> {
    let mut scopes = Vec::new();
    for (scope, about) in SCOPES {
        scopes.push((scope.parse()?, about));
    }
    let settings = oauth2::Settings::new(issuer, &format!("{issuer}/api/v1"), scopes)?;
    Ok(settings.with_permissions_and_roles().with_introspection_by("token:introspect".parse()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_stored_is_there_again_after_a_restart_and_passwords_stay() {
        let folder = tempfile::tempdir().unwrap();
        let order = i3_core::id::TypedId::from_bits(1);
        let first = Assembly::open(AssemblyConfig::in_folder(folder.path())).await.unwrap();
        let password = first.access().broker_passwords.of(order, 0);
        drop(first);
        let second = Assembly::open(AssemblyConfig::in_folder(folder.path())).await.unwrap();
        assert_eq!(second.access().broker_passwords.of(order, 0).expose(), password.expose());
        assert!(second.reclaimed().is_empty());
    }

    #[tokio::test]
    async fn data_of_another_master_key_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        drop(Assembly::open(AssemblyConfig::in_folder(folder.path())).await.unwrap());
        let other = AssemblyConfig::in_folder(folder.path()).with_master_key(folder.path().join("other.key"));
        assert_eq!(Assembly::open(other).await.unwrap_err().code(), "master_key");
        Assembly::open(AssemblyConfig::in_folder(folder.path())).await.unwrap();
    }

    #[tokio::test]
    async fn a_store_that_is_open_already_is_refused_with_a_code() {
        let folder = tempfile::tempdir().unwrap();
        let _first = Assembly::open(AssemblyConfig::in_folder(folder.path())).await.unwrap();
        let error = Assembly::open(AssemblyConfig::in_folder(folder.path())).await.unwrap_err();
        assert_eq!(error.code(), "store_busy");
    }
}
