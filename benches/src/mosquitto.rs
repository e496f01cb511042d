//! Debian's Mosquitto with its dynamic-security plugin: the broker that the gate is compared with.
//!
//! It runs as a child on a free loopback port, with password logins, one role for the publisher and one
//! for subscribers, everything else denied, and without limits that would drop messages. Nothing is
//! written to its disk.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::mqtt_load::Login;

/// How long the start may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// A running Mosquitto, which ends when this is dropped.
#[derive(Debug)]
pub struct Mosquitto {
    child: Child,
    address: SocketAddr,
    publisher: Login,
    subscriber: Login,
    _directory: TempDir,
}

/// Why there is no Mosquitto.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MosquittoError {
    /// A part of Debian's packages `mosquitto` and `mosquitto-clients` is not there.
    #[error("{0} was not found: install Debian's packages mosquitto and mosquitto-clients")]
    NotInstalled(&'static str),
    /// A file could not be written or a program not started.
    #[error("mosquitto could not be set up")]
    Io(#[from] io::Error),
    /// `mosquitto_ctrl` did not make the configuration that was asked for.
    #[error("mosquitto_ctrl made no usable dynamic-security configuration")]
    Configuration,
    /// It ended at once or did not listen in time.
    #[error("mosquitto did not start: {log}")]
    NotStarted {
        /// What it said.
        log: String,
    },
}

impl Mosquitto {
    /// Starts Mosquitto with one publisher and one subscriber user, who may only publish and only receive
    /// this topic. The subscriber may log in any number of times.
    ///
    /// # Errors
    /// [`MosquittoError::NotInstalled`] if it is not there, the others if it does not run.
    pub fn start(topic: &str) -> Result<Self, MosquittoError> {
        let broker = find_program("mosquitto").ok_or(MosquittoError::NotInstalled("mosquitto"))?;
        let control = find_program("mosquitto_ctrl").ok_or(MosquittoError::NotInstalled("mosquitto_ctrl"))?;
        let plugin = find_plugin().ok_or(MosquittoError::NotInstalled("mosquitto_dynamic_security.so"))?;
        let directory = tempfile::Builder::new().prefix("i3-mosquitto").tempdir()?;
        let publisher = Login::new("publisher", "sells data");
        let subscriber = Login::new("subscriber", "buys data");

        let security = directory.path().join("dynamic-security.json");
        let users = [
            user(&control, directory.path(), &publisher, "publishes")?,
            user(&control, directory.path(), &subscriber, "receives")?,
        ];
        std::fs::write(&security, dynamic_security(&users, topic).to_string())?;

        // Another process may take the port before Mosquitto does: it then ends at once.
        let mut attempts = 0;
        loop {
            attempts += 1;
            match Self::launch(&broker, &plugin, &security, directory.path()) {
                Ok((child, address)) => {
                    return Ok(Self { child, address, publisher, subscriber, _directory: directory });
                }
                Err(error) if attempts == 3 => return Err(error),
                Err(_) => {}
            }
        }
    }

    /// Its process.
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The user who may publish the topic.
    pub fn publisher(&self) -> &Login {
        &self.publisher
    }

    /// The user who may subscribe to the topic and receive it.
    pub fn subscriber(&self) -> &Login {
        &self.subscriber
    }

    fn launch(
        broker: &Path,
        plugin: &Path,
        security: &Path,
        directory: &Path,
    ) -> Result<(Child, SocketAddr), MosquittoError> {
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let configuration = directory.join("mosquitto.conf");
        std::fs::write(&configuration, settings(address, plugin, security))?;
        let log = directory.join("mosquitto.log");
        let child = Command::new(broker)
            .arg("-c")
            .arg(&configuration)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log)?)
            .spawn()?;
        let mut child = KillOnDrop(Some(child));
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if TcpStream::connect(address).is_ok() {
                return child.0.take().map(|child| (child, address)).ok_or(MosquittoError::Configuration);
            }
            if child.0.as_mut().is_none_or(|child| !matches!(child.try_wait(), Ok(None))) {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Err(MosquittoError::NotStarted { log: std::fs::read_to_string(&log).unwrap_or_default() })
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// Ends a child that did not become a [`Mosquitto`].
#[derive(Debug)]
struct KillOnDrop(Option<Child>);

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            end(child);
        }
    }
}

/// Ends a child; one that has ended already is no error.
fn end(child: &mut Child) {
    drop(child.kill());
    drop(child.wait());
}

/// Settings under which the closed loop loses nothing: no queue limits, no limit of messages in flight.
/// `set_tcp_nodelay` is on for the same reason as everywhere in the benches.
fn settings(address: SocketAddr, plugin: &Path, security: &Path) -> String {
    let lines = [
        format!("listener {} {}", address.port(), address.ip()),
        "allow_anonymous false".to_owned(),
        format!("plugin {}", plugin.display()),
        format!("plugin_opt_config_file {}", security.display()),
        "max_inflight_messages 0".to_owned(),
        "max_inflight_bytes 0".to_owned(),
        "max_queued_messages 0".to_owned(),
        "max_queued_bytes 0".to_owned(),
        "set_tcp_nodelay true".to_owned(),
        "persistence false".to_owned(),
        "sys_interval 0".to_owned(),
        "log_dest stderr".to_owned(),
        "log_type error".to_owned(),
        "log_type warning".to_owned(),
        // Without it, root drops to a user who may not read the temporary directory.
        "user root".to_owned(),
        String::new(),
    ];
    lines.join("\n")
}

/// The plugin's configuration: everything is denied except to publish the topic, and to subscribe to it
/// and receive it.
fn dynamic_security(users: &[Value; 2], topic: &str) -> Value {
    let acl = |kind: &str| json!({ "acltype": kind, "topic": topic, "priority": 0, "allow": true });
    json!({
        "defaultACLAccess": {
            "publishClientSend": false,
            "publishClientReceive": false,
            "subscribe": false,
            "unsubscribe": false,
        },
        "clients": users,
        "roles": [
            { "rolename": "publishes", "acls": [acl("publishClientSend")] },
            { "rolename": "receives", "acls": [acl("subscribeLiteral"), acl("publishClientReceive")] },
        ],
    })
}

/// An entry of a user with its hashed password. Mosquitto's own tool hashes it, so that its costs are
/// Mosquitto's own.
fn user(control: &Path, directory: &Path, login: &Login, role: &str) -> Result<Value, MosquittoError> {
    let file = directory.join(format!("{}.json", login.username));
    let status = Command::new(control)
        .args(["dynsec", "init"])
        .arg(&file)
        .args([login.username.as_str(), login.password()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    if !status.success() {
        return Err(MosquittoError::Configuration);
    }
    let mut made: Value =
        serde_json::from_slice(&std::fs::read(&file)?).map_err(|_| MosquittoError::Configuration)?;
    let mut user = made.pointer_mut("/clients/0").map(Value::take).ok_or(MosquittoError::Configuration)?;
    let fields = user.as_object_mut().ok_or(MosquittoError::Configuration)?;
    fields.insert("roles".to_owned(), json!([{ "rolename": role }]));
    Ok(user)
}

/// A program of the search path or of the folders of system programs, which a user's path often lacks.
fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

/// The plugin, in a library folder or in one of its folders per architecture.
fn find_plugin() -> Option<PathBuf> {
    const NAME: &str = "mosquitto_dynamic_security.so";
    ["/usr/lib", "/usr/lib64", "/usr/local/lib"].iter().find_map(|root| {
        let folders = std::fs::read_dir(root).ok()?.flatten().map(|entry| entry.path());
        std::iter::once(PathBuf::from(root))
            .chain(folders)
            .map(|folder| folder.join(NAME))
            .find(|file| file.is_file())
    })
}
