//! The I3 `IoT` data marketplace in one binary.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};
use i3_auth::Secret;
use i3_marketplace::{
    DemoOptions, ExplainTask, Failure, SPARQL_WORKER, ServeOptions, StoreOptions, StoreTask, configured,
    demo, explain, reconcile, serve, sparql_worker, store,
};
use mimalloc::MiMalloc;
use tracing_subscriber::EnvFilter;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// The I3 `IoT` data marketplace: REST interface, MQTT gate and books in one process
#[derive(Debug, Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Runs the marketplace
    Serve(Box<ServeOptions>),
    /// Plays a sale from the first account to the last message, with this machine as the sensor
    Demo(DemoOptions),
    /// Adds up what was delivered, metered and billed; the exit status is 1 if something differs
    Reconcile(StoreOptions),
    /// Says why a client may or may not do something, and why messages were or were not charged; the store is
    /// not changed
    #[command(subcommand)]
    Explain(ExplainTask),
    /// Moves whole stores and checks them; no server has them open meanwhile
    #[command(subcommand)]
    Store(StoreTask),
    /// Carries out SPARQL queries for the server that started it, over standard input and output
    #[command(hide = true, name = SPARQL_WORKER)]
    SparqlWorker,
}

fn main() -> ExitCode {
    let arguments = match configured(std::env::args_os().collect()) {
        Ok(arguments) => arguments,
        Err(failure) => return failed(&failure),
    };
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => return misused(&error),
    };
    // Before anything that takes memory or writes to standard output.
    if matches!(cli.command, Task::SparqlWorker) {
        return sparql_worker().map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS);
    }
    let usual = if matches!(cli.command, Task::Demo(_) | Task::Explain(_) | Task::Store(_)) {
        "warn"
    } else {
        "info"
    };
    let filter = log_filter(std::env::var("RUST_LOG").ok(), usual);
    let colours = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr).init();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let done = match runtime {
        Ok(runtime) => runtime.block_on(run(cli.command)),
        Err(error) => Err(Failure::new("runtime", format!("the runtime cannot be started: {error}"))),
    };
    done.unwrap_or_else(|failure| failed(&failure))
}

fn failed(failure: &Failure) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "i3-marketplace: {failure}");
    ExitCode::from(failure.exit_status())
}

async fn run(task: Task) -> Result<ExitCode, Failure> {
    match task {
        Task::Serve(options) => {
            let password = std::env::var("I3_ADMIN_PASSWORD").ok().map(Secret::new);
            serve(*options, password).await?;
            Ok(ExitCode::SUCCESS)
        }
        Task::Demo(options) => {
            demo(&options).await?;
            Ok(ExitCode::SUCCESS)
        }
        Task::SparqlWorker => Ok(ExitCode::SUCCESS),
        Task::Store(task) => {
            let (said, well) = store(task).await?;
            let _ = write!(std::io::stdout(), "{said}");
            Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Task::Explain(task) => {
            let (said, well) = explain(&task).await?;
            let _ = write!(std::io::stdout(), "{said}");
            Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Task::Reconcile(options) => {
            let report = reconcile(&options.url()?).await?;
            let _ = write!(std::io::stdout(), "{}", report.text());
            Ok(if report.balances() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
    }
}

/// What is logged. rumqttd opens spans for each message: recorded, they slow it down until deliveries stand
/// still under load, so they are left out unless they are asked for by name.
fn log_filter(wanted: Option<String>, usual: &str) -> EnvFilter {
    let wanted = wanted.filter(|text| !text.trim().is_empty()).unwrap_or_else(|| usual.to_owned());
    let filter = if wanted.contains("rumqttd") { wanted } else { format!("{wanted},rumqttd=off") };
    EnvFilter::new(filter)
}

/// Help and version as clap prints them; everything else in one line.
fn misused(error: &clap::Error) -> ExitCode {
    let asked = !error.use_stderr();
    if asked || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let _ = error.print();
        return if asked { ExitCode::SUCCESS } else { ExitCode::from(2) };
    }
    let text = error.to_string();
    let first = text.lines().next().unwrap_or_default();
    let failure = Failure::usage("usage", first.strip_prefix("error: ").unwrap_or(first));
    let _ = writeln!(std::io::stderr(), "i3-marketplace: {failure} (see --help)");
    ExitCode::from(failure.exit_status())
}
