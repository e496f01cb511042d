//! The program as a process.

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::support::{PASSWORD, Rest};

pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_i3-marketplace"));
    for name in ["I3_CONFIG", "I3_STORE", "I3_DATA_DIR", "I3_HTTP", "I3_MQTT", "I3_REGISTRATION", "RUST_LOG"]
    {
        command.env_remove(name);
    }
    command.env("I3_ADMIN_PASSWORD", PASSWORD);
    command
}

/// Where another program is to listen. The port is below those that the system gives to whoever wants any, so that no
/// other test gets it meanwhile.
pub(crate) fn free_address() -> SocketAddr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let next = std::process::id().wrapping_mul(64).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(10_000 + next % 20_000).unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

/// A running `serve`; killed when dropped.
pub(crate) struct Server {
    child: Child,
    http: SocketAddr,
    pub(crate) mqtt: SocketAddr,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    pub(crate) fn start(folder: &Path, store: &str, more: &[&str]) -> Self {
        let mut child = program()
            .arg("serve")
            .args(["--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0", "--store", store, "--data-dir"])
            .arg(folder)
            .args(more)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut find = |name: &str| {
            let line = lines.find(|line| line.starts_with(name));
            let Some(line) = line else {
                let mut said = String::new();
                child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
                panic!("the server did not start: {said}");
            };
            line.split_whitespace().nth(1).unwrap().trim_start_matches("http://").to_owned()
        };
        let http = find("REST").split('/').next().unwrap().parse().unwrap();
        let mqtt = find("MQTT").parse().unwrap();
        Self { child, http, mqtt }
    }

    pub(crate) fn http(&self) -> SocketAddr {
        self.http
    }

    pub(crate) fn rest(&self) -> Rest {
        Rest::Server(self.http)
    }

    /// SIGKILL.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and the exit status must be zero.
    pub(crate) fn end(mut self) {
        let status = Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        assert!(status.success());
        let status = self.child.wait().unwrap();
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert!(status.success(), "{status}: {said}");
    }
}

pub(crate) fn reconcile(store: &str) -> Output {
    program().args(["reconcile", "--store", store]).output().unwrap()
}

#[track_caller]
pub(crate) fn balanced(output: &Output) -> String {
    let said = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("differences: none") && said.contains("sum EUR 0"), "{said}");
    said
}
