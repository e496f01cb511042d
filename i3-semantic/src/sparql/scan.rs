//! A look at a query's characters before a parser sees it: parsers for nested languages recurse.

use super::{MAX_BYTES, MAX_DEPTH, QueryRefused};

/// Most signs and exclamation marks in a row; each is a level of recursion.
const MAX_SIGNS: usize = 8;

/// Refuses what is too long or too deep, in one pass, without recursion. Texts, comments and IRIs do not count.
pub(super) fn scan(query: &str) -> Result<(), QueryRefused> {
    if query.len() > MAX_BYTES {
        return Err(QueryRefused::TooLong);
    }
    // Code points are unescaped before anything else is read, so they could hide anything from this scan.
    if query.contains("\\u") || query.contains("\\U") {
        return Err(QueryRefused::CodePointEscape);
    }
    let mut rest = query;
    let (mut depth, mut signs) = (0_usize, 0_usize);
    while let Some(next) = rest.chars().next() {
        let length = match next {
            '"' | '\'' => text(rest, next),
            '#' => rest.find(['\n', '\r']).unwrap_or(rest.len()),
            '<' => iri(rest),
            '\\' => 1 + rest.chars().nth(1).map_or(0, char::len_utf8),
            _ => next.len_utf8(),
        };
        match next {
            '(' | '{' | '[' => depth += 1,
            ')' | '}' | ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        match next {
            '!' | '+' | '-' | '^' => signs += 1,
            _ if next.is_whitespace() || next == '#' => {}
            _ => signs = 0,
        }
        if depth > MAX_DEPTH || signs > MAX_SIGNS {
            return Err(QueryRefused::TooDeep);
        }
        rest = rest.get(length..).unwrap_or_default();
    }
    Ok(())
}

/// How long the text is that begins here, quotes included.
fn text(rest: &str, quote: char) -> usize {
    let (short, long) = if quote == '"' { ("\"", "\"\"\"") } else { ("'", "'''") };
    let end = if rest.starts_with(long) { long } else { short };
    let mut at = end.len();
    while let Some(inner) = rest.get(at..) {
        let Some(next) = inner.chars().next() else { break };
        if inner.starts_with(end) {
            return at + end.len();
        }
        // A short text ends with its line, whether it was closed or not.
        if end.len() == 1 && matches!(next, '\n' | '\r') {
            return at;
        }
        at += next.len_utf8();
        if next == '\\' {
            at += inner.chars().nth(1).map_or(0, char::len_utf8);
        }
    }
    rest.len()
}

/// How long the IRI is that begins here; 1 if it is the sign for "less than".
fn iri(rest: &str) -> usize {
    for (at, next) in rest.char_indices().skip(1) {
        match next {
            '>' => return at + 1,
            '<' | '"' | '{' | '}' | '|' | '^' | '`' | '\\' | '\0'..=' ' => return 1,
            _ => {}
        }
    }
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_count_only_where_they_are_brackets() {
        let many = "(".repeat(MAX_DEPTH + 1);
        for fine in [
            format!("ASK {{ ?s ?p \"{many}\" }}"),
            format!("ASK {{ ?s ?p '''a ' \\' {many} \n {many}''' }}"),
            format!("ASK {{ ?s ?p <urn:{many}> }}"),
            format!("ASK {{ }} # {many}"),
            "ASK { FILTER(1 < 2 && 3 > 2) }".to_owned(),
        ] {
            assert_eq!(scan(&fine), Ok(()), "{fine}");
        }
        for deep in [
            format!("ASK {{ FILTER{many}"),
            format!("ASK {{ ?s ?p \"closed\" . {many}"),
            format!("ASK {{ ?s ?p 'open at the end of the line\n {many}"),
            format!("ASK {{ FILTER(1 < 2 {many} > 3"),
            format!("ASK {{ ex:a\\' {many}"),
            format!("ASK {{ }} # comment\n{many}"),
            format!("ASK {{ ?s ?p '' {many}"),
            format!("ASK {{ FILTER({}true)", "!".repeat(20)),
            format!("ASK {{ FILTER({}1)", "- ".repeat(20)),
        ] {
            assert_eq!(scan(&deep), Err(QueryRefused::TooDeep), "{deep}");
        }
    }

    #[test]
    fn length_and_escapes_are_refused() {
        assert_eq!(scan(&" ".repeat(MAX_BYTES + 1)), Err(QueryRefused::TooLong));
        assert_eq!(scan("ASK \\u007B }"), Err(QueryRefused::CodePointEscape));
    }
}
