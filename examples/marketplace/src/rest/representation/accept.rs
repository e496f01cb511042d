//! Which representation the client wants (RFC 9110, section 12.5.1).

use axum::http::HeaderMap;
use axum::http::header::ACCEPT;

use super::Format;

/// A media range of an `Accept` header with its weight in thousandths.
struct Range<'a> {
    kind: &'a str,
    subtype: &'a str,
    weight: u16,
}

impl Range<'_> {
    /// How closely it names this type: 0 for not at all, 3 for exactly.
    fn closeness(&self, kind: &str, subtype: &str) -> u8 {
        match (self.kind, self.subtype) {
            ("*", "*") => 1,
            (found, "*") if found.eq_ignore_ascii_case(kind) => 2,
            (found, exact) if found.eq_ignore_ascii_case(kind) && exact.eq_ignore_ascii_case(subtype) => 3,
            _ => 0,
        }
    }
}

/// The format that the client likes best of those that it takes; the first one if it likes several the same.
/// `None`: it takes none of them.
pub(super) fn best(headers: &HeaderMap) -> Option<Format> {
    let kind = best_kind(headers, &Format::ALL.map(Format::media_type))?;
    Format::ALL.into_iter().find(|format| format.media_type() == kind)
}

/// As [`best`], of these media types.
pub(in crate::rest) fn best_kind(headers: &HeaderMap, kinds: &[&'static str]) -> Option<&'static str> {
    let mut ranges = Vec::new();
    let mut said = false;
    for value in headers.get_all(ACCEPT) {
        said = true;
        let Ok(text) = value.to_str() else { continue };
        ranges.extend(text.split(',').filter_map(range));
    }
    if !said {
        return kinds.first().copied();
    }
    let mut best = None;
    for &media_type in kinds {
        let Some((kind, subtype)) = media_type.split_once('/') else { continue };
        let weight = ranges
            .iter()
            .map(|range| (range.closeness(kind, subtype), range.weight))
            .filter(|(closeness, _)| *closeness > 0)
            .max_by_key(|(closeness, _)| *closeness)
            .map_or(0, |(_, weight)| weight);
        if weight > best.map_or(0, |(_, found)| found) {
            best = Some((media_type, weight));
        }
    }
    best.map(|(media_type, _)| media_type)
}

/// Reads one range. What is no range is left out, as is one with a weight that is none: nobody is refused for
/// a header that means nothing.
fn range(text: &str) -> Option<Range<'_>> {
    let mut parts = text.split(';').map(str::trim);
    let (kind, subtype) = parts.next()?.split_once('/')?;
    let mut weight = 1_000;
    for parameter in parts {
        let Some((name, value)) = parameter.split_once('=') else { continue };
        if name.trim().eq_ignore_ascii_case("q") {
            weight = thousandths(value.trim())?;
        }
    }
    Some(Range { kind: kind.trim(), subtype: subtype.trim(), weight })
}

/// A weight: `0` to `1` with at most three decimal places.
fn thousandths(text: &str) -> Option<u16> {
    let (whole, places) = text.split_once('.').unwrap_or((text, ""));
    if places.len() > 3 || !places.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let places: u16 = format!("{places:0<3}").parse().ok()?;
    match whole {
        "0" => Some(places),
        "1" if places == 0 => Some(1_000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(accept: &str) -> Option<Format> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, accept.parse().unwrap());
        best(&headers)
    }

    #[test]
    fn who_says_nothing_and_who_takes_anything_gets_json() {
        assert_eq!(best(&HeaderMap::new()), Some(Format::Json));
        for all in
            ["*/*", "application/*", "application/json", "APPLICATION/JSON; charset=utf-8", "a/b, */*;q=0.1"]
        {
            assert_eq!(of(all), Some(Format::Json), "{all}");
        }
    }

    #[test]
    fn the_highest_weight_wins_and_the_closest_range_tells_the_weight() {
        let table = [
            ("application/hal+json", Some(Format::Hal)),
            ("application/xml", Some(Format::Xml)),
            ("application/json;q=0.5, application/xml", Some(Format::Xml)),
            ("application/json;q=0.5, application/xml;q=0.499", Some(Format::Json)),
            ("application/json;q=0, */*", Some(Format::Hal)),
            ("application/*;q=0.3, application/xml;q=0.4", Some(Format::Xml)),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Some(Format::Xml)),
            ("text/html", None),
            ("application/json;q=0", None),
            ("*/*;q=0", None),
            ("", None),
            ("nonsense", None),
            ("application/json;q=2", None),
            ("application/json;q=0.1234", None),
        ];
        for (accept, format) in table {
            assert_eq!(of(accept), format, "{accept}");
        }
    }
}
