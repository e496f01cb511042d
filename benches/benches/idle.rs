//! What the gate's memory does: with 10,000 clients on 10,000 products that do nothing, after they have left, and
//! while clients come and go under ever new client ids; see the README beside.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use i3_benches::exit;
use i3_benches::gate::{Behind, GateProcess, serve_if_asked};
use i3_benches::memory::resident;
use i3_benches::mqtt_idle::{Crowd, IdleClient};
use i3_benches::shop::ShopError;

/// What this machine's limit of open files leaves room for, in the gate and here.
const CLIENTS: usize = 10_000;

/// How many come and go at a time.
const GUESTS: usize = 1_000;

fn main() -> ExitCode {
    exit(bench())
}

fn bench() -> Result<(), ShopError> {
    if serve_if_asked(std::env::args().skip(1))? {
        return Ok(());
    }
    let settings = Settings::parse(std::env::args().skip(1))?;
    let scratch = tempfile::Builder::new().prefix("idle").tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    println!("{} products are listed and sold, each to an order of its own …", settings.clients);
    let start = Instant::now();
    let gate = GateProcess::start(Behind::ManyProducts, settings.clients, scratch.path())?;
    println!("… in {:.1} s", start.elapsed().as_secs_f64());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(measure(&gate, &settings))
}

struct Settings {
    clients: usize,
    rounds: usize,
}

impl Settings {
    fn parse(arguments: impl Iterator<Item = String>) -> Result<Self, ShopError> {
        let mut settings = Self { clients: CLIENTS, rounds: 100 };
        for argument in arguments {
            match argument.as_str() {
                "--bench" => {}
                "--quick" => settings = Self { clients: 500, rounds: 4 },
                _ => return Err(format!("unknown argument {argument}; the option is --quick").into()),
            }
        }
        Ok(settings)
    }
}

async fn measure(gate: &GateProcess, settings: &Settings) -> Result<(), ShopError> {
    let process = gate.process();
    let show = |what: &str| -> Result<u64, ShopError> {
        let bytes = resident(process).ok_or("this system does not tell how much memory a process has")?;
        println!("{:>9.1} MiB  {what}", mebibytes(bytes));
        Ok(bytes)
    };
    let clients = |round: usize, from: usize, count: usize| -> Vec<IdleClient> {
        let all = gate.subscribers().into_iter().zip(gate.topics());
        let chosen = all.cycle().skip(from).take(count).enumerate();
        let name = |number: usize| format!("client-{round}-{number}");
        chosen.map(|(number, (login, topic))| IdleClient { login, client_id: name(number), topic }).collect()
    };

    let empty = show("before anybody connects")?;
    let start = Instant::now();
    let crowd = Crowd::gather(gate.address(), clients(0, 0, settings.clients)).await?;
    println!("               ({} clients came in {:.1} s)", crowd.len(), start.elapsed().as_secs_f64());
    settle().await;
    let full = show(&format!("{} clients, each subscribed to its own product", crowd.len()))?;
    crowd.leave().await?;
    settle().await;
    let left = show("after they left")?;
    let again = Crowd::gather(gate.address(), clients(1, 0, settings.clients)).await?;
    settle().await;
    show("they are back, under other client ids")?;
    drop(again);
    settle().await;
    let left_again = show("after they left again, without a word")?;

    let guests = GUESTS.min(settings.clients);
    for round in 0..settings.rounds {
        let crowd = Crowd::gather(gate.address(), clients(2 + round, round * guests, guests)).await?;
        crowd.leave().await?;
        let come = (round + 1) * guests;
        if (round + 1) % settings.rounds.div_ceil(4).max(1) == 0 {
            settle().await;
            show(&format!("{come} more clients have come and gone, each with a new client id"))?;
        }
    }
    let end = show("at the end")?;
    let each = full.saturating_sub(empty) / u64::try_from(settings.clients)?.max(1);
    println!();
    println!("one idle client on a product of its own: {:.1} KiB", mebibytes(each) * 1024.0);
    println!("kept after the first crowd: {:.1} MiB", mebibytes(left.saturating_sub(empty)));
    println!("more after the second: {:.1} MiB", mebibytes(left_again.saturating_sub(left)));
    println!(
        "more after the {} others: {:.1} MiB",
        settings.rounds * guests,
        mebibytes(end.saturating_sub(left_again))
    );
    Ok(())
}

/// Lets the gate close leases and forget feeds.
async fn settle() {
    tokio::time::sleep(Duration::from_secs(4)).await;
}

fn mebibytes(bytes: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "memory sizes are far below 2^52")]
    let bytes = bytes as f64;
    bytes / (1024.0 * 1024.0)
}
