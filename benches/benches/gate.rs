//! The gate and Mosquitto in interleaved rounds: throughput in a closed loop, logins, and latency; see the README
//! beside.

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use i3_benches::gate::{Behind, CERTIFICATE, GateProcess, serve_if_asked};
use i3_benches::mosquitto::{Mosquitto, MosquittoError};
use i3_benches::mqtt_load::{LoadSpec, Login, Qos, Version, run};
use i3_benches::mqtt_logins::{LoginSpec, logins};
use i3_benches::mqtt_pace::latency;
use i3_benches::mqtt_transports::{Trust, run_over};
use i3_benches::options::Options;
use i3_benches::rounds::Rounds;
use i3_benches::shop::ShopError;
use i3_benches::{TOPIC, exit};

#[derive(Clone, Copy)]
struct Workload {
    title: &'static str,
    version: Version,
    qos: Qos,
    subscribers: usize,
    window: u64,
}

impl Workload {
    const fn new(title: &'static str, qos: Qos, subscribers: usize, window: u64) -> Self {
        Self { title, version: Version::V311, qos, subscribers, window }
    }
}

const WORKLOADS: [Workload; 6] = [
    Workload::new("1->1, QoS 0, 20,000 in flight", Qos::AtMostOnce, 1, 20_000),
    Workload::new("1->1, QoS 1, 5,000 in flight", Qos::AtLeastOnce, 1, 5_000),
    Workload::new("1->50, QoS 0, 2,000 in flight", Qos::AtMostOnce, 50, 2_000),
    Workload::new("1->1, QoS 0, 400 in flight", Qos::AtMostOnce, 1, 400),
    Workload::new("1->1, QoS 1, 80 in flight", Qos::AtLeastOnce, 1, 80),
    Workload::new("1->50, QoS 0, 400 in flight", Qos::AtMostOnce, 50, 400),
];

/// Those that are measured in both versions. What is in flight at `QoS` 1 is within the gate's receive maximum, which
/// only MQTT 5 clients learn of.
const IN_BOTH_VERSIONS: [Workload; 3] = [
    Workload::new("1->1, QoS 0, 20,000 in flight", Qos::AtMostOnce, 1, 20_000),
    Workload::new("1->1, QoS 1, 1,000 in flight", Qos::AtLeastOnce, 1, 1_000),
    Workload::new("1->50, QoS 0, 2,000 in flight", Qos::AtMostOnce, 50, 2_000),
];

const MOST_SUBSCRIBERS: usize = 50;

const GATE: &str = "gate, marketplace on SQLite";
const OPEN_GATE: &str = "gate, nothing behind it";
const DYNSEC: &str = "Mosquitto, dynamic security";

const LOGIN_BY_TOKEN: &str = "gate, EdDSA token";
const LOGIN_BY_PASSWORD: &str = "Mosquitto, password";

/// How many clients log in at a time.
const LOGINS_AT_A_TIME: usize = 8;

/// Messages a second where latency is measured.
const PACE: u32 = 1_000;

/// A broker under test.
enum Broker {
    Gate(&'static str, GateProcess),
    Mosquitto(Mosquitto),
}

impl Broker {
    fn name(&self) -> &'static str {
        match self {
            Self::Gate(name, _) => name,
            Self::Mosquitto(_) => DYNSEC,
        }
    }

    fn load(&self, workload: &Workload, measure: Duration) -> LoadSpec {
        let (broker, process, publisher, subscribers) = match self {
            Self::Gate(_, gate) => (gate.address(), gate.process(), gate.publisher(), gate.subscribers()),
            Self::Mosquitto(mosquitto) => (
                mosquitto.address(),
                mosquitto.process(),
                Some(mosquitto.publisher().clone()),
                vec![mosquitto.subscriber().clone(); MOST_SUBSCRIBERS],
            ),
        };
        LoadSpec {
            broker,
            process: Some(process),
            topic: TOPIC.to_owned(),
            version: workload.version,
            qos: workload.qos,
            payload: 100,
            window: workload.window,
            publisher,
            subscribers: subscribers.into_iter().take(workload.subscribers).map(Some).collect(),
            warm_up: Duration::from_millis(300),
            measure,
        }
    }

    /// Whom the rate of logins is measured with.
    fn login(&self) -> Option<(&'static str, SocketAddr, Login)> {
        match self {
            Self::Gate(_, gate) => Some((LOGIN_BY_TOKEN, gate.address(), gate.key_holder()?)),
            Self::Mosquitto(mosquitto) => {
                Some((LOGIN_BY_PASSWORD, mosquitto.address(), mosquitto.publisher().clone()))
            }
        }
    }
}

fn main() -> ExitCode {
    exit(bench())
}

fn bench() -> Result<(), ShopError> {
    if serve_if_asked(std::env::args().skip(1))? {
        return Ok(());
    }
    let options = Options::parse(std::env::args().skip(1))?;
    // On the disk that the build is on: the system's temporary directory is often in memory.
    let scratch = tempfile::Builder::new().prefix("gate").tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;

    let mut brokers = Vec::new();
    for (name, behind) in [(GATE, Behind::Marketplace), (OPEN_GATE, Behind::Nothing)] {
        // Each has a directory of its own for its store and certificate.
        let directory = scratch.path().join(format!("{behind:?}"));
        std::fs::create_dir(&directory)?;
        brokers.push(Broker::Gate(name, GateProcess::start(behind, MOST_SUBSCRIBERS, &directory)?));
    }
    match Mosquitto::start(TOPIC) {
        Ok(mosquitto) => brokers.push(Broker::Mosquitto(mosquitto)),
        Err(error @ MosquittoError::NotInstalled(_)) if std::env::var_os("CI").is_none() => {
            eprintln!("SKIPPED: nothing is compared with Mosquitto: {error}");
        }
        Err(error) => return Err(error.into()),
    }

    for workload in WORKLOADS.iter().filter(|workload| options.wants(workload.title)) {
        throughput(workload, &brokers, &options)?;
    }
    for workload in IN_BOTH_VERSIONS {
        let title = format!("gate, versions: {}", workload.title);
        if options.wants(&title) {
            versions(&title, &workload, &brokers, &options)?;
        }
    }
    if options.wants("transports") {
        transports(&IN_BOTH_VERSIONS[0], &brokers, &options, &scratch.path().join("Marketplace"))?;
    }
    if options.wants("logins") {
        login_rates(&brokers, &options)?;
    }
    for (title, qos) in [("QoS 0", Qos::AtMostOnce), ("QoS 1", Qos::AtLeastOnce)] {
        if options.wants("latency") {
            latencies(title, qos, &brokers, &options)?;
        }
    }
    Ok(())
}

/// All of them, beginning with another one in each round, so that none always follows the same.
fn turn<T>(all: &[T], round: usize) -> impl Iterator<Item = &T> {
    all.iter().cycle().skip(round % all.len().max(1)).take(all.len())
}

fn throughput(workload: &Workload, brokers: &[Broker], options: &Options) -> Result<(), ShopError> {
    let mut rates = Rounds::new();
    let mut processor = Rounds::new();
    let mut generator = Vec::new();
    for round in 0..options.rounds {
        for broker in turn(brokers, round) {
            let name = broker.name();
            let result = run(&broker.load(workload, options.measure))
                .inspect_err(|_| eprintln!("{name}, {}:", workload.title))?;
            rates.record(name, result.per_second());
            if let Some(time) = result.broker_time {
                processor.record(name, time.as_secs_f64() * 1e9);
            }
            generator.extend(result.generator_busy);
        }
    }
    print!("{}", rates.table(workload.title, "deliveries/s", DYNSEC));
    print!("{}", processor.table("the same: processor time of the broker for one delivery", "ns", DYNSEC));
    if let (Some(rate), Some(time)) = (rates.ratio(GATE, OPEN_GATE), processor.ratio(OPEN_GATE, GATE)) {
        println!(
            "  gate with a marketplace to gate with nothing behind it: {rate:.2} by rate, {time:.2} by processor time"
        );
    }
    print_generator(generator);
    Ok(())
}

/// Near 100 % it and not the broker sets the rate.
fn print_generator(busy: Vec<f64>) {
    let most = busy.into_iter().fold(0.0, f64::max);
    println!("  load generator on a processor: at most {:.0} % of the time\n", most * 100.0);
}

/// MQTT 5 beside 3.1.1, through the gate before a marketplace.
fn versions(
    title: &str,
    workload: &Workload,
    brokers: &[Broker],
    options: &Options,
) -> Result<(), ShopError> {
    const NAMES: [(&str, Version); 3] =
        [("MQTT 3.1.1", Version::V311), ("MQTT 5", Version::V5), ("MQTT 5, topic alias", Version::V5Alias)];
    let Some(gate) = brokers.iter().find(|broker| broker.name() == GATE) else { return Ok(()) };
    let (mut rates, mut processor) = (Rounds::new(), Rounds::new());
    let mut generator = Vec::new();
    for round in 0..options.rounds {
        for (name, version) in turn(&NAMES, round) {
            let result = run(&gate.load(&Workload { version: *version, ..*workload }, options.measure))
                .inspect_err(|_| eprintln!("{name}, {}:", workload.title))?;
            rates.record(name, result.per_second());
            if let Some(time) = result.broker_time {
                processor.record(name, time.as_secs_f64() * 1e9);
            }
            generator.extend(result.generator_busy);
        }
    }
    print!("{}", rates.table(title, "deliveries/s", "MQTT 3.1.1"));
    print!(
        "{}",
        processor.table("the same: processor time of the gate for one delivery", "ns", "MQTT 3.1.1")
    );
    print_generator(generator);
    Ok(())
}

/// TLS beside plain TCP, through the gate before a marketplace; the generator encrypts and decrypts too.
fn transports(
    workload: &Workload,
    brokers: &[Broker],
    options: &Options,
    scratch: &Path,
) -> Result<(), ShopError> {
    let gate = brokers.iter().find_map(|broker| match broker {
        Broker::Gate(GATE, gate) => Some((broker, gate.tls_address()?)),
        _ => None,
    });
    let Some((gate, tls)) = gate else { return Ok(()) };
    let trust = Trust::in_file(&scratch.join(CERTIFICATE))?;
    let (mut rates, mut processor) = (Rounds::new(), Rounds::new());
    for round in 0..options.rounds {
        for (name, trust) in turn(&[("TCP", None), ("TLS 1.3", Some(&trust))], round) {
            let mut load = gate.load(workload, options.measure);
            if trust.is_some() {
                load.broker = tls;
            }
            let result = run_over(&load, *trust).inspect_err(|_| eprintln!("{name}, {}:", workload.title))?;
            rates.record(name, result.per_second());
            if let Some(time) = result.broker_time {
                processor.record(name, time.as_secs_f64() * 1e9);
            }
        }
    }
    let title = format!("gate, transports: {}, two threads of blocking clients", workload.title);
    print!("{}", rates.table(&title, "deliveries/s", "TCP"));
    println!("{}", processor.table("the same: processor time of the gate for one delivery", "ns", "TCP"));
    Ok(())
}

fn login_rates(brokers: &[Broker], options: &Options) -> Result<(), ShopError> {
    let mut rates = Rounds::new();
    for round in 0..options.rounds {
        for (name, broker, login) in turn(brokers, round).filter_map(Broker::login) {
            let spec = LoginSpec {
                broker,
                login,
                version: Version::V311,
                at_a_time: LOGINS_AT_A_TIME,
                warm_up: Duration::from_millis(300),
                measure: options.measure,
            };
            rates.record(name, logins(&spec).inspect_err(|_| eprintln!("{name}:"))?);
        }
    }
    let title = format!("connect, log in, leave; {LOGINS_AT_A_TIME} at a time");
    println!("{}", rates.table(&title, "logins/s", LOGIN_BY_PASSWORD));
    Ok(())
}

fn latencies(title: &str, qos: Qos, brokers: &[Broker], options: &Options) -> Result<(), ShopError> {
    let (mut middle, mut late) = (Rounds::new(), Rounds::new());
    let workload = Workload::new("latency", qos, 1, 1);
    for round in 0..options.rounds {
        for broker in turn(brokers, round) {
            let name = broker.name();
            let took = latency(&broker.load(&workload, options.measure), PACE)
                .inspect_err(|_| eprintln!("{name}, latency at {title}:"))?;
            middle.record(name, took.p50.as_secs_f64() * 1e6);
            late.record(name, took.p99.as_secs_f64() * 1e6);
        }
    }
    let title = format!("latency at {PACE} messages a second, {title}: half of the messages take at most");
    print!("{}", middle.table(&title, "us", DYNSEC));
    println!("{}", late.table("the same: 99 of 100 take at most", "us", DYNSEC));
    Ok(())
}
