//! Throughput of the brokers in a closed loop, in interleaved rounds; see the README beside.

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use i3_benches::mosquitto::{Mosquitto, MosquittoError};
use i3_benches::mqtt_load::{LoadSpec, Qos, run};
use i3_benches::options::Options;
use i3_benches::rounds::Rounds;

/// As long as a topic of the marketplace usually is.
const TOPIC: &str = "i3/bench-hub/bench-one";

struct Workload {
    title: &'static str,
    qos: Qos,
    subscribers: usize,
    window: u64,
}

const WORKLOADS: [Workload; 6] = [
    Workload { title: "1->1, QoS 0, 20,000 in flight", qos: Qos::AtMostOnce, subscribers: 1, window: 20_000 },
    Workload { title: "1->1, QoS 1, 5,000 in flight", qos: Qos::AtLeastOnce, subscribers: 1, window: 5_000 },
    Workload { title: "1->50, QoS 0, 2,000 in flight", qos: Qos::AtMostOnce, subscribers: 50, window: 2_000 },
    Workload { title: "1->1, QoS 0, 400 in flight", qos: Qos::AtMostOnce, subscribers: 1, window: 400 },
    Workload { title: "1->1, QoS 1, 80 in flight", qos: Qos::AtLeastOnce, subscribers: 1, window: 80 },
    Workload { title: "1->50, QoS 0, 400 in flight", qos: Qos::AtMostOnce, subscribers: 50, window: 400 },
];

const DYNSEC: &str = "Mosquitto, dynamic security";

fn main() -> ExitCode {
    match bench() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("gate bench failed: {error}");
            let mut source = error.source();
            while let Some(cause) = source {
                eprintln!("  because: {cause}");
                source = cause.source();
            }
            ExitCode::FAILURE
        }
    }
}

fn bench() -> Result<(), Box<dyn Error>> {
    let options = Options::parse(std::env::args().skip(1))?;
    let mosquitto = match Mosquitto::start(TOPIC) {
        Ok(mosquitto) => Some(mosquitto),
        Err(error @ MosquittoError::NotInstalled(_)) if std::env::var_os("CI").is_none() => {
            eprintln!("SKIPPED: nothing is compared with Mosquitto: {error}");
            None
        }
        Err(error) => return Err(error.into()),
    };
    for workload in &WORKLOADS {
        let mut rounds = Rounds::new();
        let mut busy = Rounds::new();
        for _ in 0..options.rounds {
            if let Some(mosquitto) = &mosquitto {
                let spec = LoadSpec {
                    broker: mosquitto.address(),
                    topic: TOPIC.to_owned(),
                    qos: workload.qos,
                    payload: 100,
                    window: workload.window,
                    publisher: Some(mosquitto.publisher().clone()),
                    subscribers: vec![Some(mosquitto.subscriber().clone()); workload.subscribers],
                    warm_up: Duration::from_millis(300),
                    measure: options.measure,
                };
                let result = run(&spec)?;
                rounds.record(DYNSEC, result.per_second());
                busy.record(DYNSEC, result.generator_busy.unwrap_or(0.0) * 100.0);
            }
        }
        print!("{}", rounds.table(workload.title, "deliveries/s", DYNSEC));
        for row in [DYNSEC] {
            if let Some(busy) = busy.summary(row) {
                println!("  load generator on a processor with {row}: {:.0} %", busy.median);
            }
        }
    }
    Ok(())
}
