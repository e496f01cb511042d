//! The parameters of a request: `application/x-www-form-urlencoded` in a query or a body.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::error::Refusal;

/// The longest query or body, in bytes.
pub const MAX_BYTES: usize = 8 * 1024;
/// More parameters than any request has.
const MAX_PARAMETERS: usize = 64;
/// The longest value that is looked at, in bytes.
const MAX_VALUE: usize = 2 * 1024;

/// A request's parameters. One without a value counts as absent; unknown ones are ignored; one that is there
/// twice is refused when it is asked for (RFC 6749, sections 3.1 and 3.2).
#[derive(Debug)]
pub(super) struct Parameters<'a>(BTreeMap<Cow<'a, str>, Found<'a>>);

#[derive(Debug)]
enum Found<'a> {
    Once(Cow<'a, str>),
    Twice,
}

impl<'a> Parameters<'a> {
    pub(super) fn read(text: &'a str) -> Result<Self, Refusal> {
        if text.len() > MAX_BYTES {
            return Err(Refusal::request("the request is too long"));
        }
        let mut all = BTreeMap::new();
        for (number, (name, value)) in form_urlencoded::parse(text.as_bytes()).enumerate() {
            if number >= MAX_PARAMETERS {
                return Err(Refusal::request("the request has too many parameters"));
            }
            let found = if all.contains_key(&name) { Found::Twice } else { Found::Once(value) };
            all.insert(name, found);
        }
        Ok(Self(all))
    }

    /// The parameter of this name: ASCII without control characters, as all of them are.
    pub(super) fn get(&self, name: &str) -> Result<Option<&str>, Refusal> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Found::Twice) => Err(Refusal::request("a parameter is there twice")),
            Some(Found::Once(value)) if value.is_empty() => Ok(None),
            Some(Found::Once(value)) if value.len() > MAX_VALUE => {
                Err(Refusal::request("a parameter is too long"))
            }
            // RFC 6749, appendix A.
            Some(Found::Once(value)) if value.bytes().any(|b| !(b' '..=b'~').contains(&b)) => {
                Err(Refusal::request("a parameter holds more than plain ASCII"))
            }
            Some(Found::Once(value)) => Ok(Some(value)),
        }
    }

    /// The parameter of this name, which has to be there.
    pub(super) fn need(&self, name: &str, missing: &'static str) -> Result<&str, Refusal> {
        self.get(name)?.ok_or(Refusal::request(missing))
    }
}

/// One value that stands alone in form encoding, as in RFC 6749, section 2.3.1.
pub(super) fn decoded(text: &str) -> Option<Cow<'_, str>> {
    if text.contains(['&', '=']) {
        return None;
    }
    Some(form_urlencoded::parse(text.as_bytes()).next().map_or(Cow::Borrowed(""), |(name, _)| name))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_parameter_is_there_once_or_not_at_all() {
        let read = Parameters::read("a=1&b=2&b=2&c=&d&e=a%20b+c&%66=x&g=%C3%A4&h=%00&i=%ff").unwrap();
        assert_eq!(read.get("a"), Ok(Some("1")));
        assert!(read.get("b").is_err(), "even with the same value");
        assert_eq!((read.get("c"), read.get("d"), read.get("z")), (Ok(None), Ok(None), Ok(None)));
        assert_eq!(read.get("e"), Ok(Some("a b c")));
        assert_eq!(read.get("f"), Ok(Some("x")));
        for odd in ["g", "h", "i"] {
            assert!(read.get(odd).is_err(), "{odd}");
        }
        assert!(Parameters::read("a=1&%61=2").unwrap().get("a").is_err(), "however it is spelled");
        assert!(Parameters::read("a=&a=1").unwrap().get("a").is_err());
    }

    #[test]
    fn oversize_input_is_refused() {
        assert!(Parameters::read(&"x".repeat(MAX_BYTES + 1)).is_err());
        assert!(Parameters::read(&"a=1&".repeat(MAX_PARAMETERS + 1)).is_err());
        let long = format!("a={}&b=1", "x".repeat(MAX_VALUE + 1));
        let read = Parameters::read(&long).unwrap();
        assert!(read.get("a").is_err());
        assert_eq!(read.get("b"), Ok(Some("1")));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in "\\PC{0,80}") {
            if let Ok(read) = Parameters::read(&text) {
                for name in ["", "a", "client_id"] {
                    let _ = read.get(name);
                }
            }
            let _ = decoded(&text);
        }
    }
}
