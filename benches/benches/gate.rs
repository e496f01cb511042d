//! Throughput of the gate and of Mosquitto in a closed loop, in interleaved rounds; see the README beside.

use std::process::ExitCode;
use std::time::Duration;

use i3_benches::gate::{Behind, GateProcess, serve_if_asked};
use i3_benches::mosquitto::{Mosquitto, MosquittoError};
use i3_benches::mqtt_load::{LoadSpec, Qos, run};
use i3_benches::options::Options;
use i3_benches::rounds::Rounds;
use i3_benches::shop::ShopError;
use i3_benches::{TOPIC, exit};

struct Workload {
    title: &'static str,
    qos: Qos,
    subscribers: usize,
    window: u64,
}

const DEEP: [Workload; 3] = [
    Workload { title: "1->1, QoS 0, 20,000 in flight", qos: Qos::AtMostOnce, subscribers: 1, window: 20_000 },
    Workload { title: "1->1, QoS 1, 5,000 in flight", qos: Qos::AtLeastOnce, subscribers: 1, window: 5_000 },
    Workload { title: "1->50, QoS 0, 2,000 in flight", qos: Qos::AtMostOnce, subscribers: 50, window: 2_000 },
];

const SMALL: [Workload; 3] = [
    Workload { title: "1->1, QoS 0, 400 in flight", qos: Qos::AtMostOnce, subscribers: 1, window: 400 },
    Workload { title: "1->1, QoS 1, 80 in flight", qos: Qos::AtLeastOnce, subscribers: 1, window: 80 },
    Workload { title: "1->50, QoS 0, 400 in flight", qos: Qos::AtMostOnce, subscribers: 50, window: 400 },
];

const MOST_SUBSCRIBERS: usize = 50;

const GATE: &str = "gate, marketplace on SQLite";
const OPEN_GATE: &str = "gate, nothing behind it";
const DYNSEC: &str = "Mosquitto, dynamic security";

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
            qos: workload.qos,
            payload: 100,
            window: workload.window,
            publisher,
            subscribers: subscribers.into_iter().take(workload.subscribers).map(Some).collect(),
            warm_up: Duration::from_millis(300),
            measure,
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
        brokers.push(Broker::Gate(name, GateProcess::start(behind, MOST_SUBSCRIBERS, scratch.path())?));
    }
    match Mosquitto::start(TOPIC) {
        Ok(mosquitto) => brokers.push(Broker::Mosquitto(mosquitto)),
        Err(error @ MosquittoError::NotInstalled(_)) if std::env::var_os("CI").is_none() => {
            eprintln!("SKIPPED: nothing is compared with Mosquitto: {error}");
        }
        Err(error) => return Err(error.into()),
    }

    for workload in DEEP.iter().chain(SMALL.iter()) {
        measure(workload, &brokers, &options)?;
    }
    Ok(())
}

fn measure(workload: &Workload, brokers: &[Broker], options: &Options) -> Result<(), ShopError> {
    let mut rates = Rounds::new();
    let mut processor = Rounds::new();
    let mut generator = Vec::new();
    for round in 0..options.rounds {
        // Each round begins with another one, so that none always follows the same.
        for broker in brokers.iter().cycle().skip(round % brokers.len()).take(brokers.len()) {
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
    let most = generator.into_iter().fold(0.0, f64::max);
    println!("  load generator on a processor: at most {:.0} % of the time\n", most * 100.0);
    Ok(())
}
