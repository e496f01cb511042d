//! `JSONPath` (RFC 9535) over all descriptions that somebody sees.
//!
//! The root of a query is the array of descriptions in the order of their ids. Descriptions come and go, so they have
//! no positions: a query begins with a filter, a wildcard, or a descendant segment, and does not refer to the root
//! from within. What a filter says in conjunction about members with a text, and about names of members and
//! affordances, is looked up in an index first; the query itself is then asked of what is left. `match` and `search`
//! are not offered: each document would compile their expression again.

use serde_json::Value;
use serde_json_path::JsonPath;

/// The longest query, in bytes.
pub const MAX_QUERY_BYTES: usize = 1_000;
/// How deeply brackets may be nested.
const MAX_DEPTH: usize = 8;
/// How many nodes may be found.
pub const MAX_NODES: usize = 10_000;

/// A query that is not answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SearchError {
    /// It does not follow the syntax.
    #[error("not a JSONPath query: {0}")]
    Syntax(String),
    /// It is too long or nested too deeply.
    #[error("at most {MAX_QUERY_BYTES} bytes, {MAX_DEPTH} nested brackets and one `..` are allowed")]
    TooComplex,
    /// It asks for positions in the directory.
    #[error(
        "things have no positions: a query begins with a filter `$[?…]`, a wildcard `$[*]` or a descendant `$..name`, \
         and refers to its root nowhere else"
    )]
    Position,
    /// It finds too much.
    #[error("more than {MAX_NODES} nodes are found: ask for less")]
    TooMuch,
}

/// What must hold of a description, or the query finds nothing in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Need {
    /// These members, one within the other, are there.
    Has(Vec<String>),
    /// They are there, and the last one is this text.
    Equals(Vec<String>, String),
}

/// A query with what an index can tell of it.
#[derive(Debug)]
pub(super) struct Search {
    path: JsonPath,
    pub(super) needs: Vec<Need>,
}

impl Search {
    pub(super) fn read(query: &str) -> Result<Self, SearchError> {
        check(query)?;
        let path = JsonPath::parse(query).map_err(|error| SearchError::Syntax(error.to_string()))?;
        Ok(Self { path, needs: needs(query) })
    }

    /// What the query finds in one description, which stands alone in an array.
    pub(super) fn within<'d>(&self, description: &'d Value) -> Vec<&'d Value> {
        self.path.query(description).all()
    }
}

/// Bounds, and that nothing depends on positions. Looks at the text outside of quotes.
fn check(query: &str) -> Result<(), SearchError> {
    if query.len() > MAX_QUERY_BYTES {
        return Err(SearchError::TooComplex);
    }
    let (mut quote, mut escaped) = (None, false);
    let (mut depth, mut deepest, mut roots, mut descents, mut dots) = (0_usize, 0, 0, 0, 0);
    // The first pair of brackets, without what is quoted.
    let (mut first, mut first_ended) = (String::new(), false);
    for c in query.chars() {
        if let Some(open) = quote {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                _ if c == open => quote = None,
                _ => {}
            }
            continue;
        }
        dots = if c == '.' { dots + 1 } else { 0 };
        match c {
            '\'' | '"' => quote = Some(c),
            '[' | '(' => depth += 1,
            ']' | ')' => depth = depth.saturating_sub(1),
            '$' => roots += 1,
            '.' if dots == 2 => descents += 1,
            _ => {}
        }
        deepest = deepest.max(depth);
        if !first_ended && !c.is_whitespace() {
            first.push(if matches!(c, ',' | '[') && depth > 1 { ' ' } else { c });
            first_ended = c == ']' && depth == 0;
        }
    }
    if deepest > MAX_DEPTH || descents > 1 {
        return Err(SearchError::TooComplex);
    }
    let begins = first.strip_prefix('$').unwrap_or_default();
    let several = first_ended && begins.contains(',') && begins.starts_with(['[', '.']);
    let by_what = begins.strip_prefix("..").unwrap_or(begins);
    let descends = begins.starts_with("..");
    let whole = begins.starts_with("[*]") || begins.starts_with(".*") || begins.starts_with("[?");
    let below = descends
        && (by_what.starts_with("[?")
            || by_what.starts_with("[*]")
            || by_what.starts_with("['")
            || by_what.starts_with("[\"")
            || by_what.starts_with('*')
            || by_what.starts_with(|c: char| c.is_alphabetic() || c == '_'));
    // A function's commas are within parentheses, which makes them deeper than one.
    if roots != 1 || several || !(whole || below) {
        let syntax = JsonPath::parse(query).err();
        return Err(syntax.map_or(SearchError::Position, |error| SearchError::Syntax(error.to_string())));
    }
    Ok(())
}

/// What a filter at the beginning needs: the terms of its conjunction that this reads. Nothing if it is anything but a
/// conjunction, or anything here is in doubt.
fn needs(query: &str) -> Vec<Need> {
    let Some(filter) = query.trim_start().strip_prefix('$').map(str::trim_start) else { return Vec::new() };
    let Some(filter) = filter.strip_prefix('[').map(str::trim_start).and_then(|rest| rest.strip_prefix('?'))
    else {
        return Vec::new();
    };
    conjunction(filter).unwrap_or_default()
}

fn conjunction(filter: &str) -> Option<Vec<Need>> {
    let mut rest = filter.trim_start();
    // `[?(…)]`, as older clients write it.
    let closing = if let Some(inner) = rest.strip_prefix('(') {
        rest = inner;
        ')'
    } else {
        ']'
    };
    let mut needs = Vec::new();
    loop {
        let (need, after) = term(rest.trim_start())?;
        needs.push(need);
        let after = after.trim_start();
        if let Some(next) = after.strip_prefix("&&") {
            rest = next;
            continue;
        }
        let after = after.strip_prefix(closing)?.trim_start();
        let ended = closing == ']' || after.starts_with(']');
        return ended.then_some(needs);
    }
}

/// `@.a.b`, `@.a.b == 'text'` or `'text' == @.a.b`.
fn term(text: &str) -> Option<(Need, &str)> {
    if text.starts_with(['\'', '"']) {
        let (wanted, rest) = quoted(text)?;
        let (path, rest) = members(rest.trim_start().strip_prefix("==")?.trim_start())?;
        return Some((Need::Equals(path, wanted), rest));
    }
    let (path, rest) = members(text)?;
    let after = rest.trim_start();
    if let Some(value) = after.strip_prefix("==").map(str::trim_start) {
        let (wanted, rest) = quoted(value)?;
        return Some((Need::Equals(path, wanted), rest));
    }
    let ends = after.starts_with("&&") || after.starts_with(']') || after.starts_with(')');
    ends.then_some((Need::Has(path), rest))
}

/// `@` with names of members.
fn members(text: &str) -> Option<(Vec<String>, &str)> {
    let mut rest = text.strip_prefix('@')?;
    let mut path = Vec::new();
    loop {
        if let Some(after) = rest.strip_prefix("['").or_else(|| rest.strip_prefix("[\"")) {
            let _ = after;
            let (name, after) = quoted(rest.strip_prefix('[')?)?;
            path.push(name);
            rest = after.strip_prefix(']')?;
        } else if let Some(after) = rest.strip_prefix('.') {
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let end = after.find(|c| !plain(c)).unwrap_or(after.len());
            let (name, after) = after.split_at_checked(end)?;
            if name.is_empty() {
                return None;
            }
            path.push(name.to_owned());
            rest = after;
        } else {
            return (!path.is_empty()).then_some((path, rest));
        }
    }
}

/// A quoted text without escapes.
fn quoted(text: &str) -> Option<(String, &str)> {
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    let (inside, after) = text.strip_prefix(quote)?.split_once(quote)?;
    (!inside.contains('\\')).then(|| (inside.to_owned(), after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn equals(path: &[&str], text: &str) -> Need {
        Need::Equals(path.iter().map(ToString::to_string).collect(), text.to_owned())
    }

    fn has(path: &[&str]) -> Need {
        Need::Has(path.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn conjunctions_are_read_and_everything_else_needs_nothing() {
        let table = [
            ("$[?@.title == 'Lamp']", vec![equals(&["title"], "Lamp")]),
            ("$[?(@.title=='Lamp')].id", vec![equals(&["title"], "Lamp")]),
            (
                "$[?@['@type'] == \"a b\" && @.actions.on]",
                vec![equals(&["@type"], "a b"), has(&["actions", "on"])],
            ),
            ("$[?'x' == @.title]", vec![equals(&["title"], "x")]),
            ("$[?@.properties]['id']", vec![has(&["properties"])]),
            ("$[?@.title == 'a' || @.title == 'b']", vec![]),
            ("$[?!@.title]", vec![]),
            ("$[?@.title != 'a']", vec![]),
            ("$[?@.title == 'a\\u0062']", vec![]),
            ("$[?@.a == 'x' && (@.b || @.c)]", vec![]),
            ("$[?@.a[0] == 'x']", vec![]),
            ("$[?(@.a == 'x') || @.b]", vec![]),
            ("$[?length(@.title) > 3]", vec![]),
            ("$[*].title", vec![]),
            ("$..title", vec![]),
        ];
        for (query, wanted) in table {
            assert_eq!(Search::read(query).unwrap().needs, wanted, "{query}");
        }
    }

    #[test]
    fn what_depends_on_positions_is_refused() {
        for query in [
            "$",
            "$[0]",
            "$[1:3]",
            "$.title",
            "$['a']",
            "$[?@.a, 0]",
            "$..[0]",
            "$..[?@.a,1]",
            "$[?@.a == $[0].a]",
        ] {
            assert_eq!(Search::read(query).unwrap_err(), SearchError::Position, "{query}");
        }
    }

    #[test]
    fn what_costs_too_much_or_is_no_query_is_refused() {
        let deep = format!("$[?{}@.a{}]", "(".repeat(400), ")".repeat(400));
        let long = format!("$[?@.a == '{}']", "a".repeat(1_000));
        for query in [deep.as_str(), long.as_str(), "$..[?@..a]"] {
            assert_eq!(Search::read(query).unwrap_err(), SearchError::TooComplex, "{query}");
        }
        for query in ["", "title", "$[?", "$[?@.a ==]", "$[?match(@.a, '(a*)*')]", "$[*", "$[?@.a == 'x]"] {
            assert!(matches!(Search::read(query), Err(SearchError::Syntax(_))), "{query}");
        }
    }

    #[test]
    fn any_text_is_answered_with_a_query_or_a_reason() {
        use proptest::prelude::*;
        proptest!(|(query in "[$@.\\[\\]?*()'\"=&|!a-c0-9, :]{0,30}")| {
            let _ = Search::read(&query);
            let _ = Search::read(&format!("$[?{query}]"));
        });
    }
}
