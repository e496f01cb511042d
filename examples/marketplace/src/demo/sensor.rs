//! The demo's sensors: readings of the machine that it runs on, from Linux's `/proc` (proc(5)).

use std::fs;
use std::io;

use i3_core::time::Timestamp;
use serde::Serialize;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sensor {
    /// Load and memory, from `/proc/loadavg` and `/proc/meminfo`.
    Load,
    /// Network traffic, from `/proc/net/dev`.
    Network,
}

/// Why there is no reading.
#[derive(Debug, thiserror::Error)]
pub(super) enum SensorError {
    /// The machine has no such file.
    #[error(
        "the demo measures the machine that it runs on through Linux's /proc, and {path} cannot be read: {cause}"
    )]
    Unreadable {
        /// The file.
        path: &'static str,
        /// Why not.
        cause: io::Error,
    },
    /// The file is not in the form that proc(5) says.
    #[error("{path} is not in the form that proc(5) describes")]
    Strange {
        /// The file.
        path: &'static str,
    },
    /// The reading is no JSON.
    #[error("a reading could not be written as JSON")]
    Json(#[from] serde_json::Error),
}

const LOADAVG: &str = "/proc/loadavg";
const MEMINFO: &str = "/proc/meminfo";
const NET_DEV: &str = "/proc/net/dev";

/// One message: a reading with its number and its time.
#[derive(Serialize)]
struct Message<T> {
    seq: u64,
    at: Timestamp,
    #[serde(flatten)]
    reading: T,
}

/// How busy the machine is.
#[derive(Debug, PartialEq, Serialize)]
struct Processors {
    /// Runnable tasks on average over one, five and fifteen minutes.
    load: [f64; 3],
}

/// How much memory it has.
#[derive(Debug, PartialEq, Serialize)]
struct Memory {
    total_kib: u64,
    available_kib: u64,
}

#[derive(Serialize)]
struct LoadAndMemory {
    #[serde(flatten)]
    load: Processors,
    #[serde(flatten)]
    memory: Memory,
}

/// What its network interfaces have moved since it was started. The demo's own messages go through the
/// loopback interface, so they are in here too.
#[derive(Debug, PartialEq, Default, Serialize)]
struct Network {
    interfaces: u64,
    received_bytes: u64,
    received_packets: u64,
    sent_bytes: u64,
    sent_packets: u64,
}

impl Sensor {
    /// Reads the sensor now: a JSON object, at most a few hundred bytes.
    pub(super) fn read(self, seq: u64, at: Timestamp) -> Result<Vec<u8>, SensorError> {
        match self {
            Self::Load => {
                let load = parsed(LOADAVG, parse_loadavg)?;
                let memory = parsed(MEMINFO, parse_meminfo)?;
                Ok(serde_json::to_vec(&Message { seq, at, reading: LoadAndMemory { load, memory } })?)
            }
            Self::Network => {
                let reading = parsed(NET_DEV, parse_net_dev)?;
                Ok(serde_json::to_vec(&Message { seq, at, reading })?)
            }
        }
    }
}

fn parsed<T>(path: &'static str, parse: impl Fn(&str) -> Option<T>) -> Result<T, SensorError> {
    let text = fs::read_to_string(path).map_err(|cause| SensorError::Unreadable { path, cause })?;
    parse(&text).ok_or(SensorError::Strange { path })
}

/// `0.52 0.58 0.59 3/467 12345`: the load of 1, 5 and 15 minutes, and more that is not sold.
fn parse_loadavg(text: &str) -> Option<Processors> {
    let mut words = text.split_ascii_whitespace();
    let mut load = || words.next()?.parse().ok();
    Some(Processors { load: [load()?, load()?, load()?] })
}

/// `MemTotal:       24684084 kB`, one figure a line.
fn parse_meminfo(text: &str) -> Option<Memory> {
    let figure = |name: &str| {
        let rest = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        rest.trim().strip_suffix("kB")?.trim_end().parse().ok()
    };
    Some(Memory { total_kib: figure("MemTotal")?, available_kib: figure("MemAvailable")? })
}

/// Two lines of headings, then for each interface its name, a colon, and eight figures received and eight
/// sent, of which the first two of each are bytes and packets.
fn parse_net_dev(text: &str) -> Option<Network> {
    let mut all = Network::default();
    for line in text.lines().skip(2) {
        let (_, figures) = line.split_once(':')?;
        let mut figures = figures.split_ascii_whitespace().map(|figure| figure.parse::<u64>().ok());
        let mut add = |total: &mut u64, skip: usize| {
            *total = total.checked_add(figures.nth(skip)??)?;
            Some(())
        };
        add(&mut all.received_bytes, 0)?;
        add(&mut all.received_packets, 0)?;
        add(&mut all.sent_bytes, 6)?;
        add(&mut all.sent_packets, 0)?;
        all.interfaces += 1;
    }
    (all.interfaces > 0).then_some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn load_is_read_as_proc_writes_it() {
        let load = Processors { load: [0.52, 1.58, 12.0] };
        assert_eq!(parse_loadavg("0.52 1.58 12.00 3/467 12345\n"), Some(load));
        for strange in ["", "0.52 1.58", "0.52 1.58 x 3/467 1"] {
            assert_eq!(parse_loadavg(strange), None, "{strange:?}");
        }
    }

    #[test]
    fn memory_is_read_as_proc_writes_it() {
        let text = "MemTotal:       24684084 kB\nMemFree:  1 kB\nMemAvailable:   21696908 kB\n";
        let memory = Memory { total_kib: 24_684_084, available_kib: 21_696_908 };
        assert_eq!(parse_meminfo(text), Some(memory));
        assert_eq!(parse_meminfo("MemTotal: 1 kB\n"), None);
        assert_eq!(parse_meminfo("MemTotal: 1 kB\nMemAvailable: -1 kB\n"), None);
    }

    #[test]
    fn traffic_is_summed_over_all_interfaces() {
        let text = "Inter-|   Receive  |  Transmit\n face |bytes packets\n\
            lo: 100 2 0 0 0 0 0 0 300 4 0 0 0 0 0 0\n  eth0:1 20 9 9 9 9 9 9 3 40 9 9 9 9 9 9\n";
        let network = Network {
            interfaces: 2,
            received_bytes: 101,
            received_packets: 22,
            sent_bytes: 303,
            sent_packets: 44,
        };
        assert_eq!(parse_net_dev(text), Some(network));
        for strange in ["", "a\nb\n", "a\nb\nlo: 1 2 3\n", "a\nb\nlo: 1 2 0 0 0 0 0 0 x 4 0 0 0 0 0 0\n"] {
            assert_eq!(parse_net_dev(strange), None, "{strange:?}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_machine_has_readings() {
        for sensor in [Sensor::Load, Sensor::Network] {
            let reading = sensor.read(7, Timestamp::default()).unwrap();
            let reading: serde_json::Value = serde_json::from_slice(&reading).unwrap();
            assert_eq!(reading["seq"], 7);
            assert_eq!(reading["at"], "1970-01-01T00:00:00Z");
        }
    }
}
