//! The texts of statements: lists of rows as literals, several statements in one text.
//!
//! A group's statements go to the server as few texts, because each text costs a round trip, and MySQL has no
//! arrays to bind. Values become literals that cannot end early whatever the connection's settings are:
//! quoted if they consist of harmless ASCII, hexadecimal otherwise ([`literal`]).

use std::fmt::Write as _;

use i3_core::store::{Change, Collection, Key, Kind, Value};

use crate::scan::joined;
use crate::server::Wanted;

/// A name in backticks, which works under every `sql_mode`.
pub(super) fn named(name: &str) -> String {
    format!("`{name}`")
}

/// Adds a text as a literal.
pub(super) fn literal(sql: &mut String, text: &str) {
    let harmless = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'\'' && byte != b'\\';
    if text.bytes().all(harmless) {
        sql.push('\'');
        sql.push_str(text);
        sql.push('\'');
        return;
    }
    sql.push_str("_utf8mb4 X'");
    for byte in text.bytes() {
        for digit in [byte >> 4, byte & 15] {
            sql.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
        }
    }
    sql.push('\'');
}

/// Texts of several statements, none of them much longer than `limit` bytes.
#[derive(Debug)]
pub(super) struct Script {
    texts: Vec<String>,
    limit: usize,
}

impl Script {
    pub(super) fn new(limit: usize) -> Self {
        Self { texts: Vec::new(), limit }
    }

    /// Adds a statement at the end.
    pub(super) fn add(&mut self, statement: &str) {
        match self.texts.last_mut() {
            Some(text) if text.len() + statement.len() < self.limit => {
                text.push_str("; ");
                text.push_str(statement);
            }
            _ => self.texts.push(statement.to_owned()),
        }
    }

    /// The texts, in order.
    pub(super) fn into_texts(self) -> Vec<String> {
        self.texts
    }

    /// A statement of a list that may be too long for one: `head` + items with commas between + `tail`, as
    /// often as it takes.
    fn add_list<T>(
        &mut self,
        (head, tail, between): (&str, &str, &str),
        items: impl IntoIterator<Item = T>,
        mut write: impl FnMut(&mut String, T),
    ) {
        let mut statement = String::new();
        let mut count = 0;
        for item in items {
            if statement.is_empty() {
                statement.push_str(head);
            } else {
                statement.push_str(between);
            }
            write(&mut statement, item);
            count += 1;
            if count == LIST || statement.len() >= self.limit {
                statement.push_str(tail);
                self.add(&statement);
                statement.clear();
                count = 0;
            }
        }
        if !statement.is_empty() {
            statement.push_str(tail);
            self.add(&statement);
        }
    }
}

/// Items of one list, so that no parser meets an enormous one.
const LIST: usize = 500;

/// What is asked of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    /// What preconditions are checked against.
    State,
    /// All of it.
    Cell,
}

/// Adds queries for what is found under these ids: rows of the place of the collection, id, number and text.
pub(super) fn ask(script: &mut Script, what: Ask, wanted: &[Wanted<'_>]) {
    for (place, collection, ids) in wanted {
        let table = named(collection.name);
        let columns = match (collection.kind, what) {
            (Kind::Records, Ask::Cell) => "`version`, `body`",
            (Kind::Records, Ask::State) => "`version`, NULL",
            (Kind::Counters, _) => "`n`, NULL",
            (Kind::Streams, _) => {
                // One search in the index for each stream, however long the streams are.
                let write = |sql: &mut String, id: &&str| {
                    let _ =
                        write!(sql, "(SELECT {place}, `id`, `position`, `link` FROM {table} WHERE `id` = ");
                    literal(sql, id);
                    sql.push_str(" ORDER BY `position` DESC LIMIT 1)");
                };
                script.add_list(("", "", " UNION ALL "), ids, write);
                continue;
            }
        };
        let head = format!("SELECT {place}, `id`, {columns} FROM {table} WHERE `id` IN (");
        script.add_list((&head, ")", ","), ids, |sql, id| literal(sql, id));
    }
}

/// Adds the statements of a group's changes, which are in the order of their keys. What is `there` is
/// overwritten; what is not, is inserted, which is cheaper, and fails if something is there after all.
pub(super) fn write(script: &mut Script, changes: &[(Key, Change)], there: impl Fn(&Key) -> bool) {
    for changes in changes.chunk_by(|(one, _), (two, _)| one.collection().name == two.collection().name) {
        let Some(collection) = changes.first().map(|(key, _)| key.collection()) else { continue };
        let (removed, stored): (Vec<_>, Vec<_>) =
            changes.iter().partition(|(_, change)| matches!(change, Change::Remove));
        let table = named(collection.name);
        let head = format!("DELETE FROM {table} WHERE `id` IN (");
        script.add_list((&head, ")", ","), removed, |sql, (key, _)| literal(sql, key.id()));
        let (head, overwriting) = insertion(collection);
        let (old, new): (Vec<_>, Vec<_>) = stored.into_iter().partition(|(key, _)| there(key));
        script.add_list((&head, overwriting.as_str(), ","), old.into_iter().flat_map(rows), row);
        script.add_list((&head, "", ","), new.into_iter().flat_map(rows), row);
    }
}

/// A row to store.
type Stored<'c> = (&'c str, &'c Change, usize);

/// The rows of a change: one, or one for each entry.
fn rows((key, change): &(Key, Change)) -> impl Iterator<Item = Stored<'_>> {
    let count = if let Change::Append { entries, .. } = change { entries.len() } else { 1 };
    (0..count).map(move |place| (key.id(), change, place))
}

fn row(sql: &mut String, (id, change, place): Stored<'_>) {
    sql.push('(');
    literal(sql, id);
    match change {
        Change::Put { draft, version } => {
            let _ = write!(sql, ",{},", version.number());
            for value in draft.values() {
                match value {
                    Some(Value::Int(number)) => {
                        let _ = write!(sql, "{number}");
                    }
                    Some(Value::Text(text)) => literal(sql, text),
                    None => sql.push_str("NULL"),
                }
                sql.push(',');
            }
            literal(sql, draft.body().as_str());
        }
        Change::Set(units) => {
            let _ = write!(sql, ",{units}");
        }
        Change::Append { first, entries } => {
            if let (Ok(after), Some((body, link))) = (u64::try_from(place), entries.get(place)) {
                let _ = write!(sql, ",{},", first.saturating_add(after));
                literal(sql, body.as_str());
                let _ = write!(sql, ",'{link}'");
            }
        }
        Change::Remove => {}
    }
    sql.push(')');
}

/// What stands before the rows that are stored in a table, and after those that overwrite others. Entries
/// never do.
fn insertion(collection: &Collection) -> (String, String) {
    let columns = match collection.kind {
        Kind::Records => {
            let lifted = joined(collection.columns, "", |column| format!("{}, ", named(column.name)));
            format!("`id`, `version`, {lifted}`body`")
        }
        Kind::Counters => "`id`, `n`".to_owned(),
        Kind::Streams => "`id`, `position`, `body`, `link`".to_owned(),
    };
    let head = format!("INSERT INTO {} ({columns}) VALUES ", named(collection.name));
    // Not with an alias for the new row, which MariaDB does not know.
    let overwritten = |columns: &str| {
        let sets = joined(columns.split(", ").skip(1), ", ", |column| format!("{column} = VALUES({column})"));
        format!(" ON DUPLICATE KEY UPDATE {sets}")
    };
    match collection.kind {
        Kind::Records | Kind::Counters => {
            let tail = overwritten(&columns);
            (head, tail)
        }
        Kind::Streams => (head, String::new()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn as_literal(text: &str) -> String {
        let mut sql = String::new();
        literal(&mut sql, text);
        sql
    }

    #[test]
    fn plain_text_stays_readable_and_other_text_is_hexadecimal() {
        assert_eq!(as_literal(r#"{"a": 1}"#), r#"'{"a": 1}'"#);
        assert_eq!(as_literal(""), "''");
        assert_eq!(as_literal("it's"), "_utf8mb4 X'69742773'");
        assert_eq!(as_literal("é\\"), "_utf8mb4 X'c3a95c'");
    }

    proptest! {
        #[test]
        fn nothing_in_a_text_can_end_its_literal(text in ".*") {
            let sql = as_literal(&text);
            let inner = sql.strip_prefix("_utf8mb4 X").unwrap_or(&sql);
            let inner = inner.strip_prefix('\'').and_then(|inner| inner.strip_suffix('\'')).unwrap();
            prop_assert!(inner.bytes().all(|byte| matches!(byte, b' '..=b'~') && !b"'\\".contains(&byte)));
        }
    }

    #[test]
    fn a_script_is_cut_between_statements_and_loses_none() {
        let mut script = Script::new(20);
        script.add_list(("f(", ")", ","), 1..=9, |sql, number| sql.push_str(&number.to_string().repeat(5)));
        script.add("last");
        let texts = script.into_texts();
        assert!(texts.len() > 1 && texts.iter().all(|text| text.len() < 30), "{texts:?}");
        for number in 1..=9 {
            assert_eq!(texts.join("; ").matches(&number.to_string().repeat(5)).count(), 1);
        }
        assert!(texts.last().unwrap().ends_with("last"));
    }
}
