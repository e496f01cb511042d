//! HMAC-SHA256 over labelled parts: the one way in which this crate derives anything from a key.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

/// HMAC-SHA256 (RFC 2104) of the label and the parts, each preceded by its length as eight bytes, most
/// significant first, so that no two lists of parts give the same bytes.
pub(crate) fn mac(key: &[u8; 32], label: &str, parts: &[&[u8]]) -> [u8; 32] {
    // HMAC pads a key with zeros to the hash's block of 64 bytes; done here, nothing can fail.
    let mut block = Zeroizing::new([0_u8; 64]);
    for (to, from) in block.iter_mut().zip(key) {
        *to = *from;
    }
    let mut hmac = Hmac::<Sha256>::new((&*block).into());
    for part in std::iter::once(&label.as_bytes()).chain(parts) {
        hmac.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hmac.update(part);
    }
    hmac.finalize().into_bytes().into()
}

/// The first 160 bits as 32 letters and digits: lower-case base 32 (RFC 4648).
pub(crate) fn short_text(mac: &[u8; 32]) -> String {
    let mut text = data_encoding::BASE32_NOPAD.encode(mac.get(..20).unwrap_or_default());
    text.make_ascii_lowercase();
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_label_and_the_cut_between_parts_matter() {
        let key = [7; 32];
        let all = [
            mac(&key, "a", &[b"bc", b"d"]),
            mac(&key, "a", &[b"b", b"cd"]),
            mac(&key, "ab", &[b"c", b"d"]),
            mac(&key, "a", &[b"bcd"]),
            mac(&[8; 32], "a", &[b"bcd"]),
        ];
        for (place, one) in all.iter().enumerate() {
            assert!(!all[..place].contains(one), "{place}");
        }
    }

    #[test]
    fn it_is_hmac_sha256() {
        // RFC 4231 has no vector with our length prefixes; this one is from `openssl dgst -sha256 -mac HMAC`
        // over 0000000000000001 61 0000000000000002 6263 with the key 07 x 32.
        let text = data_encoding::HEXLOWER.encode(&mac(&[7; 32], "a", &[b"bc"]));
        assert_eq!(text, "430e46797a396e1f14f7243eb7cf5ecf52e33e21022b9fd7fd03663cbea8b9c6");
    }

    #[test]
    fn the_short_text_has_32_plain_characters() {
        let text = short_text(&[0xa5; 32]);
        assert_eq!(text.len(), 32);
        assert!(text.bytes().all(|b| b.is_ascii_lowercase() || (b'2'..=b'7').contains(&b)));
    }
}
