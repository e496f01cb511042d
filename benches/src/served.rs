//! A broker of ours in a process of its own, as Mosquitto is in one: the bench's program, run once more.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

/// A child that serves at an address, and ends when this is dropped or this process dies.
#[derive(Debug)]
pub struct Served {
    child: Child,
    address: SocketAddr,
    names: Vec<String>,
}

impl Served {
    /// Runs this program again with these arguments. The child must call [`announce`] once it listens.
    ///
    /// # Errors
    /// The child could not be started or ended without announcing an address.
    pub fn start(arguments: &[&str]) -> io::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        if let Some(output) = child.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        let mut words = line.split_whitespace();
        if let Some(address) = words.next().and_then(|word| word.parse().ok()) {
            return Ok(Self { child, address, names: words.map(str::to_owned).collect() });
        }
        drop(child.kill());
        drop(child.wait());
        Err(io::Error::other("the served broker announced no address"))
    }

    /// Its process.
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The user names that the child announced, in its order.
    pub fn names(&self) -> &[String] {
        &self.names
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Tells the parent where this child listens and whom it knows (names without spaces), then blocks until the
/// parent is gone or has had enough.
///
/// # Errors
/// The parent cannot be told.
pub fn announce(address: SocketAddr, names: &[String]) -> io::Result<()> {
    let mut output = io::stdout();
    writeln!(output, "{address} {}", names.join(" "))?;
    output.flush()?;
    // The parent never writes: the input ends with the parent.
    io::copy(&mut io::stdin(), &mut io::sink())?;
    Ok(())
}
