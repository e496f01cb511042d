//! Mosquitto's own clients over TLS.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

use super::*;

/// Whether the clients are installed. On a laptop they may be missing; where it counts they may not.
fn installed() -> bool {
    let found = ["mosquitto_pub", "mosquitto_sub"].iter().all(|name| {
        Command::new(name).arg("--help").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
    });
    if !found {
        assert!(std::env::var_os("CI").is_none(), "mosquitto-clients must be installed");
        let _ = writeln!(std::io::stderr(), "SKIPPED: mosquitto_pub and mosquitto_sub are not installed");
    }
    found
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn file(&self, name: &str, text: &str) -> String {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mosquittos_clients_publish_and_receive_over_tls_with_client_certificates() {
    if !installed() {
        return;
    }
    let listening = Listening::new(100, |_| {}).await;
    let devices = Authority::new("devices");
    listening.tls.replace(listening.server.asking(&devices, crate::ClientCertificates::Required));
    let folder = Folder(tempfile::tempdir().unwrap());
    let pair = devices.client();
    let authority = folder.file("ca.pem", &listening.authority.pem);
    let (chain, key) = (folder.file("client.pem", &pair.chain), folder.file("client.key", &pair.key));
    let port = listening.address(By::Tls).port().to_string();
    let client = |name: &str, user: &str, with_certificate: bool| {
        let mut command = Command::new(name);
        command.args(["-h", "localhost", "-p", &port, "-V", "mqttv311", "-t", TOPIC, "--cafile", &authority]);
        command.args(["-u", user, "-P", "secret", "-i", user]);
        if with_certificate {
            command.args(["--cert", &chain, "--key", &key]);
        }
        command
    };
    let without = client("mosquitto_pub", "device", false).args(["-m", "x"]).output().unwrap();
    assert!(!without.status.success(), "no certificate");
    assert_eq!(listening.scene.gate.stats().logins, 0);
    let mut buyer = client("mosquitto_sub", "order", true);
    let mut buyer = Running(buyer.args(["-C", "3"]).stdout(Stdio::piped()).spawn().unwrap());
    let lines = BufReader::new(buyer.0.stdout.take().unwrap()).lines();
    eventually("it has subscribed", || listening.scene.market.open_leases() == 1).await;
    for version in ["tlsv1.2", "tlsv1.3"] {
        let mut device = client("mosquitto_pub", "device", true);
        let sent = device.args(["-q", "1", "-m", version, "--tls-version", version]).output().unwrap();
        assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
    }
    let large = folder.file("large", &"x".repeat(200_000));
    let sent = client("mosquitto_pub", "device", true).args(["-q", "1", "-f", &large]).output().unwrap();
    assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
    let lines: Vec<_> = lines.map(Result::unwrap).collect();
    assert_eq!(lines[..2], ["tlsv1.2", "tlsv1.3"]);
    assert_eq!((lines.len(), lines[2].len()), (3, 200_000));
    assert!(buyer.0.wait().unwrap().success());
}
