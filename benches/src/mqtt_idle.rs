//! Many clients that are there and do nothing, and many that come and go.

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::mqtt_frames::{CONNACK, Inbox, SUBACK, connect, subscribe, welcome, write_all};
use crate::mqtt_load::{Login, Qos, Version};

/// How many log in at a time.
const AT_A_TIME: usize = 64;

/// DISCONNECT, with nothing to say.
const DISCONNECT: [u8; 2] = [0xe0, 0];

/// One client: as whom it logs in, under which client id, and the topic that it subscribes to.
#[derive(Debug, Clone)]
pub struct IdleClient {
    /// The login.
    pub login: Login,
    /// The client id.
    pub client_id: String,
    /// The topic.
    pub topic: String,
}

/// Connections that are logged in and subscribed. Dropping them closes them without a word.
#[derive(Debug)]
pub struct Crowd(Vec<TcpStream>);

impl Crowd {
    /// Logs all of them in and has each subscribe at `QoS` 1.
    ///
    /// # Errors
    /// A connection that failed, or that was refused anything.
    pub async fn gather(broker: SocketAddr, clients: Vec<IdleClient>) -> io::Result<Self> {
        let mut gathered = Vec::with_capacity(clients.len());
        let mut coming = JoinSet::new();
        for client in clients {
            coming.spawn(async move { come(broker, &client).await });
            while coming.len() >= AT_A_TIME {
                gathered.extend(coming.join_next().await.transpose()?.transpose()?);
            }
        }
        while let Some(stream) = coming.join_next().await {
            gathered.push(stream??);
        }
        Ok(Self(gathered))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All say good-bye.
    ///
    /// # Errors
    /// A connection was closed before.
    pub async fn leave(self) -> io::Result<()> {
        for stream in &self.0 {
            write_all(stream, &DISCONNECT).await?;
        }
        Ok(())
    }
}

async fn come(broker: SocketAddr, client: &IdleClient) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(broker).await?;
    let mut inbox = Inbox::new();
    let hello =
        connect(&client.client_id, Some(&client.login), Version::V311).ok_or(io::ErrorKind::InvalidInput)?;
    let request =
        subscribe(&client.topic, Qos::AtLeastOnce, Version::V311).ok_or(io::ErrorKind::InvalidInput)?;
    for (packet, answer) in [(hello, CONNACK), (request, SUBACK)] {
        write_all(&stream, &packet).await?;
        inbox.fill(&stream).await?;
        let frame =
            inbox.take().map_err(|_| io::ErrorKind::InvalidData)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let good = frame.first == answer
            && match answer {
                CONNACK => welcome(frame.body, Version::V311).is_some_and(|answer| answer.code == 0),
                _ => frame.body.last() == Some(&1),
            };
        if !good {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, format!("answered with {frame:?}")));
        }
    }
    Ok(stream)
}
