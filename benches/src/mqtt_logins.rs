//! How many clients a broker lets in: connect, log in, say good-bye, again and again.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::task::{JoinSet, LocalSet};

use crate::mqtt_frames::{CONNACK, Inbox, connect, welcome, write_all};
use crate::mqtt_load::{Login, Version};

/// DISCONNECT, which is the same in both versions when there is nothing to say.
const DISCONNECT: [u8; 2] = [0xe0, 0];

/// Who logs in, and how.
#[derive(Debug, Clone)]
pub struct LoginSpec {
    /// Where the broker listens.
    pub broker: SocketAddr,
    /// As whom.
    pub login: Login,
    /// What is spoken.
    pub version: Version,
    /// How many clients at a time.
    pub at_a_time: usize,
    /// How long to run before counting.
    pub warm_up: Duration,
    /// How long to count.
    pub measure: Duration,
}

/// Accepted logins a second; each has its own connection, and a client id that was not used before. Blocks.
///
/// # Errors
/// A connection that failed or a login that was refused.
pub fn logins(spec: &LoginSpec) -> io::Result<f64> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        let done = Rc::new(Cell::new(0_u32));
        let mut clients = JoinSet::new();
        for client in 0..spec.at_a_time.max(1) {
            clients.spawn_local(again_and_again(spec.clone(), client, Rc::clone(&done)));
        }
        let counted = async {
            tokio::time::sleep(spec.warm_up).await;
            let (start, before) = (Instant::now(), done.get());
            tokio::time::sleep(spec.measure).await;
            f64::from(done.get() - before) / start.elapsed().as_secs_f64()
        };
        tokio::select! {
            rate = counted => Ok(rate),
            // A client ends only by failing.
            failed = clients.join_next() => match failed {
                Some(Ok(error)) => Err(error),
                Some(Err(panic)) => Err(io::Error::other(panic)),
                None => Err(io::ErrorKind::NotFound.into()),
            },
        }
    })
}

async fn again_and_again(spec: LoginSpec, client: usize, done: Rc<Cell<u32>>) -> io::Error {
    for time in 0_u64.. {
        if let Err(error) = once(&spec, &format!("login-{client}-{time}")).await {
            return error;
        }
        done.set(done.get() + 1);
    }
    io::ErrorKind::Other.into()
}

async fn once(spec: &LoginSpec, client_id: &str) -> io::Result<()> {
    let stream = TcpStream::connect(spec.broker).await?;
    stream.set_nodelay(true)?;
    let packet = connect(client_id, Some(&spec.login), spec.version).ok_or(io::ErrorKind::InvalidInput)?;
    write_all(&stream, &packet).await?;
    let mut inbox = Inbox::new();
    loop {
        inbox.fill(&stream).await?;
        if let Some(frame) = inbox.take().map_err(|_| io::ErrorKind::InvalidData)? {
            let code = welcome(frame.body, spec.version)
                .filter(|_| frame.first == CONNACK)
                .map(|answer| answer.code);
            if code != Some(0) {
                return Err(io::Error::new(
                    io::ErrorKind::PermissionDenied,
                    format!("answered with {code:?}"),
                ));
            }
            return write_all(&stream, &DISCONNECT).await;
        }
    }
}
