//! A server process in a folder of its own, under a shell that outlives nobody.

use std::fmt;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::ServerError;
use super::places::{Account, account};

const WATCHDOG: &str = include_str!("watchdog.sh");
/// How long a server may take to answer, on a busy machine.
pub(super) const PATIENCE: Duration = Duration::from_mins(5);
/// Of the log, in an error.
const LINES: usize = 25;

/// What a product wants of its processes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Product {
    pub(super) name: &'static str,
    /// The user to run it as when we are root.
    pub(super) user: &'static str,
    /// The signal that ends it without leaving anything behind.
    pub(super) signal: &'static str,
}

/// A folder that the server's user owns.
#[derive(Debug)]
pub(super) struct Folder {
    product: Product,
    kept: TempDir,
    account: Option<Account>,
}

impl Folder {
    pub(super) fn new(product: Product) -> Result<Self, ServerError> {
        let failed = || ServerError::io("a temporary folder cannot be made");
        let folder = tempfile::Builder::new().prefix("i3-db-").tempdir().map_err(failed())?;
        let account = account(folder.path(), product.user)?;
        if let Some(account) = account {
            chown(folder.path(), Some(account.user), Some(account.group)).map_err(failed())?;
        }
        Ok(Self { product, kept: folder, account })
    }

    pub(super) fn path(&self) -> &Path {
        self.kept.path()
    }

    fn log(&self) -> PathBuf {
        self.path().join("log")
    }

    /// The program, to be run in the folder and as its owner.
    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        // A server that starts removes files that look like its own from the folder for temporary files, those
        // of another server that runs included.
        command.current_dir(self.path()).env("TMPDIR", self.path()).stdin(Stdio::null());
        if let Some(account) = self.account {
            command.uid(account.user).gid(account.group);
        }
        command
    }

    /// Runs a program that fills the folder, to its end.
    pub(super) fn run(&self, program: &Path, arguments: &[&str]) -> Result<(), ServerError> {
        let output = self
            .command(program)
            .args(arguments)
            .output()
            .map_err(ServerError::io("a program of the database cannot be started"))?;
        if output.status.success() {
            return Ok(());
        }
        let log = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        let what = format!("{} ended with {}", program.display(), output.status);
        Err(ServerError::Failed { product: self.product.name, what, log: tail(&log) })
    }

    /// Starts the server, under its watchdog.
    pub(super) fn serve(self, program: &Path, arguments: &[String]) -> Result<Server, ServerError> {
        let mut watchdog = self
            .command("/bin/sh")
            .args(["-c", WATCHDOG, "i3-watchdog"])
            .args([self.path(), &self.log()])
            .arg(self.product.signal)
            .arg(program)
            .args(arguments)
            // Not ended by an interrupt from the keyboard, but by the end of the process that it is for.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(ServerError::io("a shell cannot be started"))?;
        let (Some(orders), Some(answers)) = (watchdog.stdin.take(), watchdog.stdout.take()) else {
            return Err(ServerError::io("a shell has no pipes")(std::io::ErrorKind::BrokenPipe.into()));
        };
        let mut watch =
            Watch { watchdog, orders: Some(orders), answers: BufReader::new(answers), server: None };
        watch.server = watch.answer()?.parse().ok();
        Ok(Server { watch: Mutex::new(watch), folder: self })
    }
}

/// A server process that ends with this value.
pub(super) struct Server {
    watch: Mutex<Watch>,
    /// Removed by the watchdog, and once more here, where that may lack the right to.
    folder: Folder,
}

struct Watch {
    watchdog: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    server: Option<u32>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("folder", &self.folder.path())
            .field("pid", &self.pid())
            .finish_non_exhaustive()
    }
}

impl Server {
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The server's process, while it is meant to run.
    pub(super) fn pid(&self) -> Option<u32> {
        self.watch().server
    }

    /// The whole log.
    pub(super) fn log(&self) -> String {
        let bytes = std::fs::read(self.folder.log()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// SIGKILL for all of its processes; returns when they are gone.
    pub(super) fn kill(&self) -> Result<(), ServerError> {
        let mut watch = self.watch();
        if watch.server.take().is_some() {
            watch.order("kill")?;
        }
        Ok(())
    }

    /// Starts it again after [`kill`](Self::kill).
    pub(super) fn start(&self) -> Result<(), ServerError> {
        let mut watch = self.watch();
        if watch.server.is_none() {
            watch.server = watch.order("start")?.parse().ok();
        }
        Ok(())
    }

    /// Asks until the server answers, ends, or patience does.
    pub(super) fn wait_until<E: std::error::Error>(
        &self,
        mut answers: impl FnMut() -> Result<Result<(), E>, ServerError>,
    ) -> Result<(), ServerError> {
        let begun = Instant::now();
        loop {
            let Err(error) = answers()? else { return Ok(()) };
            let what = if self.watch().order("alive")? != "yes" {
                "it ended".to_owned()
            } else if begun.elapsed() > PATIENCE {
                format!("it does not answer after {PATIENCE:?}: {error}")
            } else {
                std::thread::sleep(Duration::from_millis(30));
                continue;
            };
            return Err(ServerError::Failed {
                product: self.folder.product.name,
                what,
                log: tail(&self.log()),
            });
        }
    }

    fn watch(&self) -> MutexGuard<'_, Watch> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watch {
    fn order(&mut self, order: &str) -> Result<String, ServerError> {
        if let Some(orders) = &mut self.orders {
            writeln!(orders, "{order}").map_err(ServerError::io("the server's watchdog is gone"))?;
        }
        self.answer()
    }

    fn answer(&mut self) -> Result<String, ServerError> {
        let mut line = String::new();
        let gone = || ServerError::io("the server's watchdog is gone");
        if self.answers.read_line(&mut line).map_err(gone())? == 0 {
            return Err(gone()(std::io::ErrorKind::UnexpectedEof.into()));
        }
        Ok(line.trim().to_owned())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // The end of its input is what the watchdog waits for.
        drop(self.orders.take());
        let _ = self.watchdog.wait();
    }
}

fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines.get(lines.len().saturating_sub(LINES)..).unwrap_or_default().join("\n")
}
