//! From an HTTP request to a WebSocket (RFC 6455, section 4).

use tungstenite::handshake::machine::TryParse as _;
use tungstenite::handshake::server::{Request, create_response, write_response};
use tungstenite::http::HeaderValue;

/// The longest request head that is taken.
pub(super) const LARGEST_HEAD: usize = 8 * 1_024;

/// The name by which MQTT is offered (MQTT 5, 6.0.0-3), and the header that offers it.
const SUBPROTOCOL: &str = "mqtt";
const OFFERED: &str = "sec-websocket-protocol";

/// What to do about a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Upgrade {
    /// Wait for the rest of it.
    Partial,
    /// Answer, and go on with what comes after so many bytes.
    Accepted { used: usize, answer: Vec<u8> },
    /// Answer, and close.
    Refused { answer: Vec<u8> },
}

/// Judges what has come so far. Path, host and origin are not looked at: who may do what is told by the MQTT
/// login, and nothing that a browser adds by itself counts as one.
pub(super) fn judge(input: &[u8]) -> Upgrade {
    match Request::try_parse(input) {
        Ok(None) if input.len() < LARGEST_HEAD => Upgrade::Partial,
        Ok(None) => refused("431 Request Header Fields Too Large"),
        Ok(Some((used, request))) => accept(&request)
            .map_or_else(|| refused("400 Bad Request"), |answer| Upgrade::Accepted { used, answer }),
        Err(_) => refused("400 Bad Request"),
    }
}

fn accept(request: &Request) -> Option<Vec<u8>> {
    let offers = request.headers().get_all(OFFERED).iter().filter_map(|value| value.to_str().ok());
    // 6.0.0-4: the one that the server speaks is named in the answer.
    if !offers.flat_map(|value| value.split(',')).any(|name| name.trim() == SUBPROTOCOL) {
        return None;
    }
    let mut response = create_response(request).ok()?;
    response.headers_mut().insert(OFFERED, HeaderValue::from_static(SUBPROTOCOL));
    let mut answer = Vec::with_capacity(256);
    write_response(&mut answer, &response).ok()?;
    Some(answer)
}

/// A client of another version of the protocol learns which one is spoken (4.4).
fn refused(status: &str) -> Upgrade {
    let answer = format!(
        "HTTP/1.1 {status}\r\nSec-WebSocket-Version: 13\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    Upgrade::Refused { answer: answer.into_bytes() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(change: impl FnOnce(String) -> String) -> Vec<u8> {
        let usual = "GET /mqtt HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\
                     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
                     Sec-WebSocket-Protocol: mqttv3.1, mqtt\r\n\r\n";
        change(usual.to_owned()).into_bytes()
    }

    fn status(upgrade: Upgrade) -> String {
        let Upgrade::Refused { answer } = upgrade else { panic!("{upgrade:?}") };
        String::from_utf8(answer).unwrap().split(' ').nth(1).unwrap().to_owned()
    }

    #[test]
    fn a_client_that_offers_mqtt_is_answered_with_the_key_of_the_standards_example() {
        let mut bytes = request(|usual| usual);
        let length = bytes.len();
        for end in 0..length {
            assert_eq!(judge(&bytes[..end]), Upgrade::Partial);
        }
        bytes.extend(b"frames");
        let Upgrade::Accepted { used, answer } = judge(&bytes) else { panic!("refused") };
        let answer = String::from_utf8(answer).unwrap().to_lowercase();
        assert_eq!(used, length);
        assert!(answer.starts_with("http/1.1 101 ") && answer.ends_with("\r\n\r\n"), "{answer}");
        assert!(answer.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=\r\n"), "{answer}");
        assert!(answer.contains("sec-websocket-protocol: mqtt\r\n"), "{answer}");
    }

    #[test]
    fn others_are_refused() {
        for (from, to) in [
            ("mqttv3.1, mqtt", "mqttv3.1"),
            ("mqttv3.1, mqtt", "MQTT"),
            ("Sec-WebSocket-Protocol: mqttv3.1, mqtt\r\n", ""),
            ("Version: 13", "Version: 8"),
            ("dGhlIHNhbXBsZSBub25jZQ==", "short"),
            ("Upgrade: websocket", "Upgrade: h2c"),
            ("GET", "POST"),
            ("HTTP/1.1", "HTTP/1.0"),
            ("GET /mqtt", "\u{1}"),
        ] {
            assert_eq!(status(judge(&request(|usual| usual.replace(from, to)))), "400", "{from} -> {to}");
        }
        let endless = request(|usual| usual.replace("\r\n\r\n", &format!("\r\nX: {}", "x".repeat(9_000))));
        assert_eq!(status(judge(&endless)), "431");
    }
}
