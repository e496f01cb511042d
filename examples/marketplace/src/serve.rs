//! `serve`: the marketplace as a server, until it is told to end.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use clap::{Args, ValueEnum};
use i3_auth::Secret;
use i3_auth::challenge::WorkSettings;
use i3_auth::oauth2::AuthorizationServer;
use i3_broker::{Gate, Transport};
use i3_core::access::Actor;
use i3_core::id::NoEntropy;
use i3_core::market::{
    Follower, MarketError, Marketplace, PageRequest, RegisterUser, Registration, Settings, TimeOrder,
    UserFilter,
};
use i3_core::name::Slug;
use i3_core::role::RoleName;
use i3_core::virtual_object::{FileLimits, ResourceUri};
use i3_semantic::sparql::PoolOptions;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::listeners::{MqttOptions, spoken};
use crate::{
    Access, AnalyticsOptions, AppState, Assembly, AssemblyConfig, BrokerOptions, Failure, Knowledge,
    MailOptions, MetricsOptions, ProtectionOptions, PublicLinks, RestConfig, SparqlStoreOptions, StoreUrl,
    UpstreamOptions, router_with,
};

/// Where the data are, for every command that uses them.
#[derive(Debug, Clone, Args)]
pub struct StoreOptions {
    /// `sqlite:PATH`, `sled:PATH`, `memory:`, `postgres://…` or `mysql://…`; `marketplace.sqlite` in the data
    /// directory by default
    #[arg(long, env = "I3_STORE", value_name = "URL", hide_env_values = true)]
    pub store: Option<String>,
    /// Where the data and the master key are kept
    #[arg(long, env = "I3_DATA_DIR", value_name = "DIR", default_value = "./i3-data")]
    pub data_dir: PathBuf,
}

impl StoreOptions {
    /// The store that is meant.
    pub fn url(&self) -> Result<StoreUrl, Failure> {
        match &self.store {
            Some(text) => Ok(text.parse::<StoreUrl>()?),
            None => Ok(StoreUrl::Sqlite(self.data_dir.join("marketplace.sqlite"))),
        }
    }
}

/// Who may act after registering.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RegistrationOption {
    /// Everybody, at once
    Open,
    /// Those whom an administrator approved
    Approval,
    /// Those whom an administrator invited; nobody else may register
    Invitation,
}

/// What `serve` can be told.
#[derive(Debug, Clone, Args)]
pub struct ServeOptions {
    /// A file of TOML with any of these options as keys, for what is said neither here nor in the environment
    #[arg(long, env = "I3_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show the text in its help")]
    pub store: StoreOptions,
    /// Where the REST interface listens
    #[arg(long, env = "I3_HTTP", value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub http: SocketAddr,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show the text in its help")]
    pub mqtt: MqttOptions,
    /// Under which addresses MQTT clients reach the gate, the best first, comma between: `mqtts://broker.example`; buyers
    /// are told them. By default those where it listens
    #[arg(long, env = "I3_MQTT_PUBLIC_URLS", value_name = "URL", value_delimiter = ',')]
    pub mqtt_public_url: Vec<ResourceUri>,
    /// The marketplace's share of what buyers pay, in hundredths of a percent
    #[arg(long, env = "I3_FEE_POINTS", value_name = "POINTS", default_value_t = 0,
          value_parser = clap::value_parser!(u16).range(0..=10_000))]
    pub fee_points: u16,
    /// The longest file that can be attached to a virtual object, in bytes
    #[arg(long, env = "I3_FILE_BYTES", value_name = "BYTES", default_value_t = FileLimits::DEFAULT.file_bytes)]
    pub file_bytes: u64,
    /// How much is kept of the files of one virtual object and its earlier versions, in bytes
    #[arg(long, env = "I3_OBJECT_FILE_BYTES", value_name = "BYTES",
          default_value_t = FileLimits::DEFAULT.object_bytes)]
    pub object_file_bytes: u64,
    /// Who may act after registering
    #[arg(long, env = "I3_REGISTRATION", value_enum, default_value = "open")]
    pub registration: RegistrationOption,
    /// The administrator who is made if there is no user at all; with the password in `I3_ADMIN_PASSWORD`,
    /// or one that is shown once
    #[arg(long, env = "I3_ADMIN_NAME", value_name = "NAME", default_value = "admin")]
    pub admin_name: String,
    /// What device tokens must name as their audience
    #[arg(long, env = "I3_AUDIENCE", value_name = "NAME", default_value = "i3")]
    pub audience: String,
    /// Under which address browsers and OAuth2 clients reach the REST interface, without a slash at its end; by
    /// default this machine's own, where nobody else reaches it
    #[arg(long, env = "I3_PUBLIC_URL", value_name = "URL")]
    pub public_url: Option<String>,
    /// Whose pages may use the REST interface from browsers: origins such as `https://shop.example`, comma between;
    /// nobody's by default
    #[arg(long, env = "I3_CORS_ORIGINS", value_name = "ORIGIN", value_delimiter = ',')]
    pub cors_origin: Vec<String>,
    /// What this gate calls itself in its leases: the same in all its lives, and no other gate's name
    #[arg(long, env = "I3_GATE", value_name = "NAME", default_value = "gate")]
    pub gate: String,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show the text in its help")]
    pub brokers: BrokerOptions,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show the text in its help")]
    pub upstream: UpstreamOptions,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show the text in its help")]
    pub metrics: MetricsOptions,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show the text in its help")]
    pub mail: MailOptions,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show the text in its help")]
    pub protection: ProtectionOptions,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show the text in its help")]
    pub analytics: AnalyticsOptions,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show the text in its help")]
    pub sparql: SparqlStoreOptions,
}

/// How long requests in hand may take once the server ends.
const DRAIN: Duration = Duration::from_secs(10);
/// How often grants are looked for whose time is over.
const HOUSEKEEPING: Duration = Duration::from_secs(1);
/// How often what was denied is written.
const DENIALS: Duration = Duration::from_millis(250);
/// How many consents that are over are removed each time.
const SWEPT: usize = 100;
/// How often bytes are looked for that belong to no file; also when the server starts.
const SWEEPING: Duration = Duration::from_mins(10);
/// How often other processes' changes of access are looked for, where there can be other processes.
const FOLLOWING: Duration = Duration::from_millis(200);

impl ServeOptions {
    fn assembly(&self) -> Result<AssemblyConfig, Failure> {
        let mut config = AssemblyConfig::new(self.store.url()?);
        // Without data that outlive the process, nothing has to outlive it.
        if config.store != StoreUrl::Memory {
            make_folder(&self.store.data_dir)?;
            config = config.with_master_key(self.store.data_dir.join("master.key"));
        }
        let registration = match self.registration {
            RegistrationOption::Open => Registration::Open,
            RegistrationOption::Approval => Registration::Approval,
            RegistrationOption::Invitation => Registration::Invitation,
        };
        let files = FileLimits { file_bytes: self.file_bytes, object_bytes: self.object_file_bytes };
        config.settings = Settings::default()
            .with_registration(registration)
            .with_fee_points(self.fee_points)
            .with_files(files);
        config.audience.clone_from(&self.audience);
        config.gate.clone_from(&self.gate);
        config.upstream = self.upstream.upstream()?;
        config.floods = self.protection.limits();
        config.denials_kept = self.protection.denials_kept;
        self.analytics.say(&mut config)?;
        config.captcha =
            self.protection.captcha.map(|max_number| WorkSettings { max_number, ..WorkSettings::default() });
        Ok(config)
    }
}

fn make_folder(folder: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(folder).map_err(|error| {
        Failure::new("data_dir", format!("the data directory {} cannot be made: {error}", folder.display()))
    })
}

/// Serves until the process is told to end (SIGTERM, SIGINT), then answers what is in hand, bills what was
/// delivered and closes the store. `admin_password` is for the first administrator, if one is made.
pub async fn serve(options: ServeOptions, admin_password: Option<Secret>) -> Result<(), Failure> {
    let mut config = options.assembly()?;
    let rest = rest_config(&options.cors_origin)?;
    let tls = options.mqtt.tls()?;
    let mailer = options.mail.mailer()?;
    let elsewhere = options.sparql.endpoint()?;
    let store = config.store.clone();
    let ended = signals()?;
    let http = listen(options.http).await?;
    let address = http.local_addr().unwrap_or(options.http);
    let metrics = options.metrics.listen().await?;

    config.issuer = options.public_url.unwrap_or_else(|| local(address));
    let assembly = Assembly::open(config).await?;
    for (lease, in_doubt) in assembly.reclaimed() {
        tracing::warn!(%lease, in_doubt, "reclaimed a lease of an earlier life of this gate");
    }
    // From before the gate reads anything: what it reads is changed either before this or told to it.
    let follower = if store.is_shared() { Some(assembly.market().follow().await?) } else { None };
    let listeners = options.mqtt.listeners(tls.as_ref());
    let gate = assembly.start_gate_at(listeners.clone()).await?;
    assembly.market().begin_notices(&[crate::telling::LOGINS, i3_core::analytics::FOLLOWER]).await?;
    first_administrator(&assembly, &options.admin_name, admin_password).await?;
    let brokers = options.brokers.start(&assembly)?;
    say(&format!("REST  http://{address}/api/v1"));
    if brokers.is_some() {
        say(&format!("other brokers ask at http://{address}/broker"));
    }
    for (address, listener) in gate.local_addrs().iter().zip(&listeners) {
        say(&format!("MQTT  {address}{}", spoken(&listener.transport)));
    }
    say(&format!("store {store} (survives: {})", assembly.market().store().durability()));

    let mut upkeep = JoinSet::new();
    if let Some(listener) = metrics {
        if let Ok(address) = listener.local_addr() {
            say(&format!("metrics http://{address}/metrics"));
        }
        upkeep.spawn(crate::metrics::show(listener, gate.metrics(), assembly.access().clone()));
    }
    let links = PublicLinks::new(&assembly.config().issuer, assembly.access().leaves.clone());
    let (market, oauth) = (assembly.market().clone(), assembly.access().oauth.clone());
    upkeep.spawn(crate::telling::tell(market, oauth, links, mailer));
    upkeep.spawn(sweeping(assembly.market().clone()));
    upkeep.spawn(write_denials(
        assembly.market().clone(),
        assembly.access().clone(),
        assembly.config().denials_kept,
    ));
    upkeep.spawn(crate::analytics::take_down(
        assembly.market().clone(),
        assembly.access().clone(),
        assembly.config().analytics_kept,
    ));
    upkeep.spawn(housekeeping(assembly.market().clone(), assembly.access().oauth.clone()));
    #[cfg(unix)]
    if let Some(files) = tls {
        upkeep.spawn(files.reload_when_told()?);
    }
    if let Some(follower) = follower {
        upkeep.spawn(follow(follower));
    }
    let program = std::env::current_exe();
    let program =
        program.map_err(|error| Failure::new("program", format!("this program is not found: {error}")))?;
    let knowledge = Knowledge::open(assembly.market().clone(), program, PoolOptions::default()).await;
    let knowledge =
        knowledge.map_err(|error| Failure::new("index", format!("the index cannot be built: {error}")))?;
    let knowledge = knowledge.until(ended.clone());
    upkeep.spawn(knowledge.clone().keep_up(store.is_shared()));
    if let Some(endpoint) = elsewhere {
        upkeep.spawn(crate::sparql_store::keep(knowledge.index.clone(), endpoint));
    }
    let told = if options.mqtt_public_url.is_empty() {
        gate.local_addrs()
            .iter()
            .zip(&listeners)
            .filter_map(|(at, one)| reached(*at, &one.transport))
            .collect()
    } else {
        options.mqtt_public_url
    };
    let state = AppState::from(&assembly).with_knowledge(knowledge).with_brokers(told);
    let mut app = router_with(state, &rest);
    if let Some(brokers) = brokers {
        app = app.merge(brokers);
    }
    let served = answer(http, app, ended).await;
    end(assembly, gate, upkeep).await;
    served
}

/// How the interface is served, with pages of these origins let in.
fn rest_config(origins: &[String]) -> Result<RestConfig, Failure> {
    origins.iter().try_fold(RestConfig::default(), |config, origin| {
        let bad = |error| Failure::usage("invalid_origin", format!("--cors-origin {origin:?}: {error}"));
        config.with_origin(origin).map_err(bad)
    })
}

/// How a program reaches the gate at an address where it listens; from this machine, if that is every address.
fn reached(address: SocketAddr, transport: &Transport) -> Option<ResourceUri> {
    let scheme = match transport {
        Transport::Tcp => "mqtt",
        Transport::Tls(_) => "mqtts",
        Transport::WebSocket => "ws",
        Transport::SecureWebSocket(_) => "wss",
        _ => return None,
    };
    let host = match address.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    format!("{scheme}://{}", SocketAddr::new(host, address.port())).parse().ok()
}

/// How a program on this machine reaches the interface.
fn local(address: SocketAddr) -> String {
    let loopback: IpAddr = match address.ip() {
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    format!("http://{}", SocketAddr::new(loopback, address.port()))
}

pub(crate) async fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            Failure::new("address_in_use", format!("the address {address} is in use"))
        }
        _ => Failure::new("listen", format!("cannot listen at {address}: {error}")),
    })
}

/// Answers requests until the signal, and those in hand for a limited time after it.
async fn answer(http: TcpListener, app: Router, mut ended: watch::Receiver<bool>) -> Result<(), Failure> {
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    let mut told = ended.clone();
    let server = axum::serve(http, service).with_graceful_shutdown(async move {
        let _ = told.wait_for(|ended| *ended).await;
    });
    let late = async move {
        let _ = ended.wait_for(|ended| *ended).await;
        tracing::info!("ending: answering what is in hand");
        tokio::time::sleep(DRAIN).await;
    };
    tokio::select! {
        served = std::future::IntoFuture::into_future(server) => {
            served.map_err(|error| Failure::new("http", format!("the REST interface failed: {error}")))
        }
        () = late => {
            tracing::warn!("some requests were not answered in time");
            Ok(())
        }
    }
}

/// Bills what was delivered and closes the store.
async fn end(assembly: Assembly, gate: Gate, mut upkeep: JoinSet<()>) {
    upkeep.shutdown().await;
    gate.shutdown().await;
    if let Err(error) = assembly.write_denials().await {
        tracing::error!(code = error.code(), "what was denied at last could not be written: {error}");
    }
    if let Err(error) = assembly.write_observations().await {
        tracing::error!(code = error.code(), "what people did at last could not be written: {error}");
    }
    // The store's writer is waited for: not on a thread that others need.
    let _ = tokio::task::spawn_blocking(move || drop(assembly)).await;
    tracing::info!("ended");
}

/// Writes down what is denied, as it comes.
async fn write_denials(market: Marketplace, access: Access, kept: u64) {
    let mut ticks = tokio::time::interval(DENIALS);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut failed = false;
    loop {
        ticks.tick().await;
        match market.write_denials(&access.denials, kept).await {
            Ok(_) => failed = false,
            // Said once: an outage has many ticks.
            Err(error) if !std::mem::replace(&mut failed, true) => {
                tracing::error!(code = error.code(), "what was denied could not be written: {error}");
            }
            Err(_) => {}
        }
    }
}

async fn housekeeping(market: Marketplace, oauth: Arc<AuthorizationServer>) {
    let mut ticks = tokio::time::interval(HOUSEKEEPING);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(error) = market.expire(Actor::System).await {
            tracing::error!(code = error.code(), "grants could not be ended: {error}");
        }
        if let Err(error) = oauth.revocations().read(market.store()).await {
            tracing::error!(code = error.kind().code(), "revoked tokens could not be read: {error}");
        }
        if let Err(error) = oauth.sweep(SWEPT).await {
            tracing::error!("tokens that are over could not be removed: {error}");
        }
    }
}

/// Removes what uploads left that were broken off, and files that nobody keeps any more.
async fn sweeping(market: Marketplace) {
    let mut ticks = tokio::time::interval(SWEEPING);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match market.sweep_files().await {
            Ok(0) => {}
            Ok(uploads) => tracing::info!(uploads, "bytes were removed that belong to no file"),
            Err(error) => {
                tracing::error!(
                    code = error.code(),
                    "bytes that belong to no file could not be removed: {error}"
                );
            }
        }
    }
}

/// Tells this process's gate what other processes over the same store changed.
async fn follow(mut follower: Follower) {
    let mut ticks = tokio::time::interval(FOLLOWING);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut behind = false;
    loop {
        ticks.tick().await;
        match follower.catch_up().await {
            Ok(_) => {
                if std::mem::take(&mut behind) {
                    tracing::info!("other processes' changes are seen again");
                }
            }
            // Said once: an outage has many ticks.
            Err(error) if !std::mem::replace(&mut behind, true) => {
                tracing::error!(code = error.code(), "other processes' changes cannot be seen: {error}");
            }
            Err(_) => {}
        }
    }
}

/// Makes the first administrator, if there is no user at all.
async fn first_administrator(
    assembly: &Assembly,
    name: &str,
    password: Option<Secret>,
) -> Result<(), Failure> {
    let market = assembly.market();
    let one = PageRequest { after: None, limit: 1 };
    if !market.users(Actor::System, &UserFilter::default(), TimeOrder::Oldest, &one).await?.items.is_empty() {
        return Ok(());
    }
    let bad = |error: &dyn std::fmt::Display| Failure::usage("invalid_admin", format!("{name:?}: {error}"));
    let name: Slug = name.parse().map_err(|error| bad(&error))?;
    let generated = password.is_none();
    let password = match password {
        Some(password) => password,
        None => fresh_password()
            .map_err(|_| Failure::new("no_entropy", "the operating system gave no random bytes"))?,
    };
    let hash = assembly
        .access()
        .passwords
        .hash(password.expose().as_bytes())
        .await
        .map_err(|error| Failure::usage("invalid_admin", error.to_string()))?;
    let display = name.as_str().parse().map_err(|error| bad(&error))?;
    let command = RegisterUser {
        name: name.clone(),
        display,
        email: None,
        roles: [RoleName::ADMINISTRATOR].into(),
        profile: i3_core::user::Profile::default(),
        invitation: None,
        password: Some(hash),
    };
    // Shown before it counts: were it the other way round, a crash between would lock everybody out.
    if generated {
        say(&format!("administrator `{name}` with password {} (shown this once)", password.expose()));
    } else {
        say(&format!("administrator `{name}` with the given password"));
    }
    match market.execute(Actor::System, None, &command).await {
        // Another process over the same store was quicker.
        Err(MarketError::Refused(_))
            if !market
                .users(Actor::System, &UserFilter::default(), TimeOrder::Oldest, &one)
                .await?
                .items
                .is_empty() =>
        {
            say("another process made the first administrator: the password that it showed counts");
            Ok(())
        }
        made => Ok(made.map(drop)?),
    }
}

/// A password of 100 random bits.
fn fresh_password() -> Result<Secret, NoEntropy> {
    let mut bytes = [0_u8; 13];
    getrandom::fill(&mut bytes).map_err(|_| NoEntropy)?;
    let mut text = data_encoding::BASE32_NOPAD.encode(&bytes).to_lowercase();
    text.truncate(20);
    Ok(Secret::new(text))
}

/// To whoever started the server; that nobody reads it is no reason to end.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}");
    let _ = out.flush();
}

/// Becomes true at the first SIGTERM or SIGINT.
#[cfg(unix)]
fn signals() -> Result<watch::Receiver<bool>, Failure> {
    use tokio::signal::unix::{SignalKind, signal};
    let failed = |error| Failure::new("signals", format!("signals cannot be waited for: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let (sender, receiver) = watch::channel(false);
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        sender.send_replace(true);
        // Kept, so that a closed channel is not taken for a signal.
        sender.closed().await;
    });
    Ok(receiver)
}

/// Becomes true at Ctrl-C.
#[cfg(not(unix))]
fn signals() -> Result<watch::Receiver<bool>, Failure> {
    let (sender, receiver) = watch::channel(false);
    tokio::spawn(async move {
        let _ = tokio::signal::ctrl_c().await;
        sender.send_replace(true);
        sender.closed().await;
    });
    Ok(receiver)
}
