//! Debian's Mosquitto as the upstream broker.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::super::PATIENCE;
use crate::log::{UpstreamConfig, UpstreamKey, UpstreamLogin};

/// A running Mosquitto with the users `gate` and `outsider`, who may do everything. Ends when this is dropped.
pub(super) struct Mosquitto {
    child: Option<Child>,
    pub(super) port: u16,
    folder: TempDir,
}

pub(super) const GATE_PASSWORD: &str = "the-gates-own-word";

fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    folders.map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// A port below those that the system gives to whoever wants any, so that no other test gets it meanwhile.
fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let next = std::process::id().wrapping_mul(64).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(10_000 + next % 20_000).unwrap();
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

impl Mosquitto {
    /// Starts it; `None`, with a loud line, if it is not installed.
    pub(super) fn start() -> Option<Self> {
        if program("mosquitto").is_none() || program("mosquitto_passwd").is_none() {
            assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "mosquitto is not installed");
            eprintln!("SKIPPED: mosquitto is not installed (Debian: mosquitto mosquitto-clients)");
            return None;
        }
        let folder = tempfile::Builder::new().prefix("i3-upstream").tempdir().unwrap();
        let passwords = folder.path().join("passwords");
        File::create(&passwords).unwrap();
        for (user, password) in [("gate", GATE_PASSWORD), ("outsider", "outside")] {
            let made = Command::new(program("mosquitto_passwd").unwrap())
                .arg("-b")
                .arg(&passwords)
                .args([user, password])
                .output()
                .unwrap();
            assert!(made.status.success(), "{made:?}");
        }
        for _ in 0..3 {
            let port = free_port();
            let mut mosquitto = Self { child: None, port, folder: folder_of(&folder) };
            std::fs::copy(&passwords, mosquitto.folder.path().join("passwords")).unwrap();
            if mosquitto.launch() {
                return Some(mosquitto);
            }
        }
        panic!("mosquitto does not start");
    }

    /// Starts it again, on the same port.
    pub(super) fn launch(&mut self) -> bool {
        let file = |name: &str| self.folder.path().join(name);
        let lines = [
            format!("listener {} 127.0.0.1", self.port),
            "allow_anonymous false".to_owned(),
            format!("password_file {}", file("passwords").display()),
            "persistence false".to_owned(),
            "set_tcp_nodelay true".to_owned(),
            "max_inflight_messages 1000".to_owned(),
            "max_queued_messages 100000".to_owned(),
            format!("log_dest file {}", file("log").display()),
            "log_type notice".to_owned(),
            "log_type error".to_owned(),
            // Without it, root drops to a user who may not read the folder.
            "user root".to_owned(),
        ];
        std::fs::write(file("conf"), lines.join("\n")).unwrap();
        let child = Command::new(program("mosquitto").unwrap())
            .arg("-c")
            .arg(file("conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.child = Some(child);
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok() {
                return true;
            }
            if !matches!(self.child.as_mut().unwrap().try_wait(), Ok(None)) {
                return false;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        false
    }

    /// Ends it without a word.
    pub(super) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            drop(child.wait());
        }
    }

    /// What it wrote down: who connected, and how connections ended.
    pub(super) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    pub(super) fn config(&self) -> UpstreamConfig {
        config(self.port)
    }
}

/// The gate's settings for a broker on this port.
pub(super) fn config(port: u16) -> UpstreamConfig {
    let url = format!("mqtt://127.0.0.1:{port}").parse().unwrap();
    let mut config = UpstreamConfig::new(url, UpstreamKey::from_bytes([7; 32]));
    config.login = Some(UpstreamLogin::new("gate", GATE_PASSWORD));
    config
}

fn folder_of(parent: &TempDir) -> TempDir {
    tempfile::Builder::new().prefix("i3-upstream").tempdir_in(parent.path().parent().unwrap()).unwrap()
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        self.kill();
    }
}
