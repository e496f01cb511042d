//! From a scan to one SQL query that an index answers without sorting.
//!
//! Names come from declared collections, which are checked when a schema is made (lower-case letters,
//! digits and underscores), and are quoted all the same; everything else is a bound value.

use std::fmt::Write as _;

use i3_core::store::{By, Cursor, Direction, Index, Kind, Scan, Value};

/// Whose SQL a query is written in. The plans differ where an engine would not use its index otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// SQLite.
    #[cfg(feature = "sqlite")]
    Sqlite,
    /// PostgreSQL: numbered placeholders.
    #[cfg(feature = "postgres")]
    Postgres,
    /// MySQL and MariaDB: names in backticks.
    #[cfg(feature = "mysql")]
    Mysql,
}

impl Dialect {
    /// A text that was written with `?` and double quotes around names, and that has neither in any other
    /// sense.
    fn spelled(self, sql: &str) -> String {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite => sql.to_owned(),
            #[cfg(feature = "postgres")]
            Self::Postgres => {
                let mut numbered = String::with_capacity(sql.len() + 16);
                let mut number = 0;
                for (place, part) in sql.split('?').enumerate() {
                    if place > 0 {
                        number += 1;
                        numbered.push('$');
                        numbered.push_str(&number.to_string());
                    }
                    numbered.push_str(part);
                }
                numbered
            }
            #[cfg(feature = "mysql")]
            Self::Mysql => sql.replace('"', "`"),
        }
    }

    /// Whether a comparison of several columns at once is answered by an index.
    fn seeks_rows(self) -> bool {
        match self {
            #[cfg(feature = "mysql")]
            Self::Mysql => false,
            #[cfg(any(feature = "sqlite", feature = "postgres"))]
            _ => true,
        }
    }
}

/// A name in double quotes.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{name}\"")
}

/// One text per item, with this between them.
pub(crate) fn joined<T>(
    items: impl IntoIterator<Item = T>,
    between: &str,
    text: impl Fn(T) -> String,
) -> String {
    items.into_iter().map(text).collect::<Vec<_>>().join(between)
}

/// A value to bind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Bind {
    /// Text.
    Text(String),
    /// An integer.
    Int(i64),
}

impl From<&Value> for Bind {
    fn from(value: &Value) -> Self {
        match value {
            Value::Int(number) => Self::Int(*number),
            Value::Text(text) => Self::Text(text.clone()),
        }
    }
}

/// A query with its values in the order of the placeholders.
///
/// Its columns are: for records `id, version, body` and the index's columns in order; for counters
/// `id, n`; for the ends of streams `id, position, link`; for entries `position, body, link`.
#[derive(Debug, Default)]
pub(crate) struct Query {
    pub(crate) sql: String,
    pub(crate) binds: Vec<Bind>,
}

/// Conditions that are joined by `AND`.
#[derive(Debug, Default)]
struct Conditions {
    terms: Vec<String>,
    binds: Vec<Bind>,
}

impl Conditions {
    fn add(&mut self, term: impl Into<String>, bind: impl Into<Bind>) {
        self.terms.push(term.into());
        self.binds.push(bind.into());
    }

    /// The row lies beyond another in the order of these columns.
    fn beyond(&mut self, dialect: Dialect, compare: &str, columns: Vec<(String, Bind)>) {
        if dialect.seeks_rows() || columns.len() == 1 {
            let names = joined(&columns, ", ", |(name, _)| name.clone());
            let marks = joined(&columns, ", ", |_| "?".to_owned());
            self.terms.push(format!("({names}) {compare} ({marks})"));
            self.binds.extend(columns.into_iter().map(|(_, bind)| bind));
            return;
        }
        // The same in single comparisons, after one that tells the engine where to begin.
        let mut term = String::new();
        let mut binds = Vec::new();
        if let Some((name, bind)) = columns.first() {
            term = format!("{name} {compare}= ? AND ");
            binds.push(bind.clone());
        }
        let ends = ")".repeat(columns.len().saturating_sub(1) * 2);
        for (place, (name, bind)) in columns.iter().enumerate() {
            binds.push(bind.clone());
            if place + 1 == columns.len() {
                let _ = write!(term, "{name} {compare} ?{ends}");
            } else {
                let _ = write!(term, "({name} {compare} ? OR ({name} = ? AND ");
                binds.push(bind.clone());
            }
        }
        self.terms.push(term);
        self.binds.extend(binds);
    }

    fn text(&self) -> String {
        if self.terms.is_empty() { String::new() } else { format!(" WHERE {}", self.terms.join(" AND ")) }
    }
}

impl From<&str> for Bind {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// [`plan_for`] SQLite.
#[cfg(feature = "sqlite")]
pub(crate) fn plan(scan: &Scan) -> Option<Query> {
    plan_for(Dialect::Sqlite, scan)
}

/// The query for one page and one row more, which tells whether another page follows.
/// `None` if there can be no rows.
pub(crate) fn plan_for(dialect: Dialect, scan: &Scan) -> Option<Query> {
    let mut query = match scan.by_what() {
        By::Id { prefix } if scan.collection().kind == Kind::Streams => stream_ends(dialect, scan, prefix)?,
        By::Id { prefix } => ids(scan, prefix)?,
        By::Index { index, equal, from, until } => {
            indexed(dialect, scan, index, equal, from.as_ref(), until.as_ref())?
        }
        By::Entries { stream } => entries(scan, stream.id()),
    };
    query.binds.push(Bind::Int(i64::try_from(scan.rows()).unwrap_or(i64::MAX).saturating_add(1)));
    query.sql = dialect.spelled(&query.sql);
    Some(query)
}

/// The comparison that follows the direction, and the order.
fn towards(scan: &Scan) -> (&'static str, &'static str) {
    match scan.direction() {
        Direction::Forward => (">", "ASC"),
        Direction::Backward => ("<", "DESC"),
    }
}

/// Conditions for ids with this prefix after the cursor. Not `LIKE`: it has wildcards and ignores case.
fn id_range(scan: &Scan, prefix: &str) -> Option<Conditions> {
    let mut conditions = Conditions::default();
    if !prefix.bytes().all(|byte| byte.is_ascii_graphic()) {
        return None; // ids are visible ASCII
    }
    let after = scan.cursor().map(Cursor::id);
    let forward = scan.direction() == Direction::Forward;
    let end = successor(prefix);
    // Of two bounds on one side only the tighter is said, so that the engine seeks to it.
    match after.filter(|after| forward && *after >= prefix) {
        Some(after) => conditions.add("\"id\" > ?", after),
        None if prefix.is_empty() => {}
        None => conditions.add("\"id\" >= ?", prefix),
    }
    match (after.filter(|_| !forward), end) {
        (Some(after), Some(end)) => conditions.add("\"id\" < ?", if *after < *end { after } else { &*end }),
        (Some(after), None) => conditions.add("\"id\" < ?", after),
        (None, Some(end)) => conditions.add("\"id\" < ?", &*end),
        (None, None) => {}
    }
    Some(conditions)
}

/// The least text above all texts with this prefix of visible ASCII; `None` for the empty prefix.
fn successor(prefix: &str) -> Option<String> {
    let mut text = prefix.to_owned();
    let last = text.pop()?;
    text.push(char::from(u8::try_from(last).ok()? + 1));
    Some(text)
}

fn ids(scan: &Scan, prefix: &str) -> Option<Query> {
    let conditions = id_range(scan, prefix)?;
    let columns = match scan.collection().kind {
        Kind::Counters => "\"id\", \"n\"",
        Kind::Records | Kind::Streams => "\"id\", \"version\", \"body\"",
    };
    let table = quoted(scan.collection().name);
    let (_, order) = towards(scan);
    let sql = format!("SELECT {columns} FROM {table}{} ORDER BY \"id\" {order} LIMIT ?", conditions.text());
    Some(Query { sql, binds: conditions.binds })
}

/// The ends of streams, without reading every entry.
fn stream_ends(dialect: Dialect, scan: &Scan, prefix: &str) -> Option<Query> {
    let conditions = id_range(scan, prefix)?;
    let table = quoted(scan.collection().name);
    let (_, order) = towards(scan);
    Some(match dialect {
        #[cfg(feature = "sqlite")]
        Dialect::Sqlite => {
            let (jumping, binds) = jumping(scan, &conditions, " LIMIT ?");
            let sql = format!(
                "{jumping}SELECT e.\"id\", e.\"position\", e.\"link\" FROM ends s JOIN {table} e ON e.\"id\" = s.stream \
                   AND e.\"position\" = (SELECT max(\"position\") FROM {table} WHERE \"id\" = s.stream) \
                 ORDER BY s.stream {order}"
            );
            Query { sql, binds }
        }
        // It has no limit there, but jumps only as often as a stream is asked for. With a plain join it might
        // begin at the entries.
        #[cfg(feature = "postgres")]
        Dialect::Postgres => {
            let (jumping, binds) = jumping(scan, &conditions, "");
            let sql = format!(
                "{jumping}SELECT s.stream, e.\"position\", e.\"link\" FROM (SELECT stream FROM ends LIMIT ?) s \
                 CROSS JOIN LATERAL (SELECT \"position\", \"link\" FROM {table} WHERE \"id\" = s.stream \
                   ORDER BY \"position\" DESC LIMIT 1) e \
                 ORDER BY s.stream {order}"
            );
            Query { sql, binds }
        }
        // The optimizer jumps by itself: "Using index for group-by".
        #[cfg(feature = "mysql")]
        Dialect::Mysql => {
            let sql = format!(
                "SELECT e.\"id\", e.\"position\", e.\"link\" FROM \
                   (SELECT \"id\", max(\"position\") AS \"position\" FROM {table}{first} \
                    GROUP BY \"id\" ORDER BY \"id\" {order} LIMIT ?) s \
                 JOIN {table} e ON e.\"id\" = s.\"id\" AND e.\"position\" = s.\"position\" \
                 ORDER BY e.\"id\" {order}",
                first = conditions.text(),
            );
            Query { sql, binds: conditions.binds }
        }
    })
}

/// The head of a query that jumps from stream to stream, and says when to stop; with its values.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
fn jumping(scan: &Scan, conditions: &Conditions, stop: &str) -> (String, Vec<Bind>) {
    let table = quoted(scan.collection().name);
    let (compare, _) = towards(scan);
    let pick = if scan.direction() == Direction::Forward { "min" } else { "max" };
    let first = conditions.text();
    let rest = if first.is_empty() { " WHERE ".to_owned() } else { format!("{first} AND ") };
    let head = format!(
        "WITH RECURSIVE ends(stream) AS (\
           SELECT {pick}(\"id\") FROM {table}{first} \
           UNION ALL \
           SELECT (SELECT {pick}(\"id\") FROM {table}{rest}\"id\" {compare} ends.stream) \
           FROM ends WHERE ends.stream IS NOT NULL{stop}) "
    );
    (head, [conditions.binds.clone(), conditions.binds.clone()].concat())
}

fn entries(scan: &Scan, stream: &str) -> Query {
    let mut conditions = Conditions::default();
    conditions.add("\"id\" = ?", stream);
    let (compare, order) = towards(scan);
    if let Some(cursor) = scan.cursor() {
        let position = Bind::Int(i64::try_from(cursor.position()).unwrap_or(i64::MAX));
        conditions.add(format!("\"position\" {compare} ?"), position);
    }
    let sql = format!(
        "SELECT \"position\", \"body\", \"link\" FROM {}{} ORDER BY \"position\" {order} LIMIT ?",
        quoted(scan.collection().name),
        conditions.text(),
    );
    Query { sql, binds: conditions.binds }
}

fn indexed<'a>(
    dialect: Dialect,
    scan: &Scan,
    index: &Index,
    equal: &[Value],
    mut from: Option<&'a Value>,
    mut until: Option<&'a Value>,
) -> Option<Query> {
    let forward = scan.direction() == Direction::Forward;
    let (compare, order) = towards(scan);
    let mut after = scan.cursor();
    if let Some(cursor) = after {
        // A cursor outside of the equal values lies before all rows or behind them.
        let leading = cursor.values().get(..equal.len())?;
        if leading != equal {
            if (leading < equal) == forward {
                after = None;
            } else {
                return None;
            }
        }
    }
    if let Some(next) = after.and_then(|cursor| cursor.values().get(equal.len())) {
        // Of two bounds on one side only the tighter is said, so that the engine seeks to it.
        let bound = if forward { &mut from } else { &mut until };
        match bound {
            Some(low) if forward && *low > next => after = None,
            Some(high) if !forward && *high <= next => after = None,
            _ => *bound = None,
        }
    }

    let mut conditions = Conditions::default();
    // A comparison implies that there is a value, and is the better bound to seek to.
    let compared = equal.len() + usize::from(from.or(until).is_some() || after.is_some());
    for column in index.columns.iter().skip(compared) {
        conditions.terms.push(format!("{} IS NOT NULL", quoted(column)));
    }
    for (column, value) in index.columns.iter().zip(equal) {
        if dialect.seeks_rows() {
            conditions.add(format!("{} = ?", quoted(column)), value);
        } else {
            // For an equality MySQL may walk through all rows that have it, and never look at the cursor.
            conditions.add(format!("{} >= ?", quoted(column)), value);
            conditions.add(format!("{} <= ?", quoted(column)), value);
        }
    }
    let rest = index.columns.get(equal.len()..)?;
    if let Some(column) = rest.first() {
        if let Some(from) = from {
            conditions.add(format!("{} >= ?", quoted(column)), from);
        }
        if let Some(until) = until {
            conditions.add(format!("{} < ?", quoted(column)), until);
        }
    }
    if let Some(cursor) = after {
        let last = (quoted("id"), Bind::from(cursor.id()));
        let mut marks: Vec<(String, Bind)> = Vec::with_capacity(rest.len() + 1);
        for (column, value) in rest.iter().zip(cursor.values().get(equal.len()..)?) {
            marks.push((quoted(column), value.into()));
        }
        marks.push(last);
        conditions.beyond(dialect, compare, marks);
    }
    let listed = joined(index.columns, "", |column| format!(", {}", quoted(column)));
    let by = if dialect.seeks_rows() { rest } else { index.columns };
    let ordered = joined(by, "", |column| format!("{} {order}, ", quoted(column)));
    let sql = format!(
        "SELECT \"id\", \"version\", \"body\"{listed} FROM {}{} ORDER BY {ordered}\"id\" {order} LIMIT ?",
        quoted(scan.collection().name),
        conditions.text(),
    );
    Some(Query { sql, binds: conditions.binds })
}
