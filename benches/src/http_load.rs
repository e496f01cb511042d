//! A closed-loop HTTP/1.1 load generator that costs little itself: ready-made requests over connections that stay open.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// The longest head of an answer that is read.
const MOST_HEAD: usize = 16 * 1024;

/// A `GET` of this path as JSON, with this token if there is one.
pub fn get(path: &str, token: Option<&str>) -> Vec<u8> {
    let token = token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
    let request = format!("GET {path} HTTP/1.1\r\nhost: bench\r\naccept: application/json\r\n{token}\r\n");
    request.into_bytes()
}

/// A connection that is kept open.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// Nobody listens there.
    pub async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, read: Vec::with_capacity(64 * 1024) })
    }

    /// Sends a request and reads the answer's body.
    ///
    /// # Errors
    /// The connection breaks, the answer has another status than 200, or its length is not told.
    pub async fn ask(&mut self, request: &[u8]) -> io::Result<&[u8]> {
        self.stream.write_all(request).await?;
        self.read.clear();
        let mut whole = None;
        loop {
            if let Some((head, length)) = whole
                && self.read.len() >= head + length
            {
                return self.read.get(head..head + length).ok_or_else(|| wrong("the answer is cut"));
            }
            if self.stream.read_buf(&mut self.read).await? == 0 {
                return Err(wrong("the connection is closed before the answer"));
            }
            if whole.is_none() {
                whole = head(&self.read)?;
            }
        }
    }
}

fn wrong(what: &str) -> io::Error {
    io::Error::other(what.to_owned())
}

/// How long the head and the body of an answer are, if the head is there.
fn head(read: &[u8]) -> io::Result<Option<(usize, usize)>> {
    let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") else {
        return if read.len() > MOST_HEAD {
            Err(wrong("the head of the answer has no end"))
        } else {
            Ok(None)
        };
    };
    let text = read.get(..end).and_then(|head| std::str::from_utf8(head).ok());
    let text = text.ok_or_else(|| wrong("the head of the answer is no text"))?;
    let mut lines = text.split("\r\n");
    let status = lines.next().unwrap_or_default();
    if status.split(' ').nth(1) != Some("200") {
        let body = read.get(end..).map(String::from_utf8_lossy).unwrap_or_default();
        return Err(wrong(&format!("{status}: {}", body.trim())));
    }
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    let length = length.ok_or_else(|| wrong("the length of the answer is not told"))?;
    Ok(Some((end + 4, length)))
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Load {
    /// Requests that were answered.
    pub answers: u32,
    /// How long it took.
    pub time: Duration,
}

impl Load {
    /// Answers in a second.
    pub fn per_second(&self) -> f64 {
        f64::from(self.answers) / self.time.as_secs_f64()
    }
}

/// Sends these requests in turn, over so many connections, each one request at a time, until `time` has passed.
///
/// # Errors
/// Those of [`Connection`].
pub async fn closed_loop(
    address: SocketAddr,
    requests: &[Vec<u8>],
    connections: usize,
    time: Duration,
) -> io::Result<Load> {
    let mut open = Vec::new();
    for _ in 0..connections {
        open.push(Connection::open(address).await?);
    }
    let mut tasks = JoinSet::new();
    let start = Instant::now();
    for (place, mut connection) in open.into_iter().enumerate() {
        let requests = requests.to_vec();
        let first = place * requests.len() / connections;
        tasks.spawn_local(async move {
            let mut answers = 0_u32;
            for request in requests.iter().cycle().skip(first) {
                if answers > 0 && start.elapsed() >= time {
                    break;
                }
                connection.ask(request).await?;
                answers += 1;
            }
            Ok::<_, io::Error>(answers)
        });
    }
    let mut answers = 0;
    while let Some(ended) = tasks.join_next().await {
        answers += ended??;
    }
    Ok(Load { answers, time: start.elapsed() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_says_how_long_the_answer_is() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel";
        assert_eq!(head(answer).unwrap(), Some((answer.len() - 3, 5)));
        assert_eq!(head(b"HTTP/1.1 200 OK\r\nContent-").unwrap(), None);
    }

    #[test]
    fn another_status_an_endless_head_and_an_unknown_length_are_errors() {
        let refused = head(b"HTTP/1.1 429 Too Many Requests\r\ncontent-length: 4\r\n\r\nslow").unwrap_err();
        assert!(refused.to_string().contains("429") && refused.to_string().contains("slow"), "{refused}");
        assert!(head(&vec![b'a'; MOST_HEAD + 1]).is_err());
        assert!(head(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").is_err());
    }

    #[tokio::test]
    async fn every_request_is_answered_and_counted() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let local = tokio::task::LocalSet::new();
        local
            .run_until(async {
                tokio::task::spawn_local(async move {
                    loop {
                        let (mut stream, _) = listener.accept().await.unwrap();
                        tokio::task::spawn_local(async move {
                            let mut buffer = [0; 1024];
                            while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {
                                stream
                                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                                    .await
                                    .unwrap();
                            }
                        });
                    }
                });
                let requests = [get("/a", None), get("/b", Some("t"))];
                let load = closed_loop(address, &requests, 2, Duration::from_millis(50)).await.unwrap();
                assert!(load.answers >= 2 && load.per_second() > 0.0, "{load:?}");
                assert_eq!(Connection::open(address).await.unwrap().ask(&requests[0]).await.unwrap(), b"ok");
            })
            .await;
    }
}
