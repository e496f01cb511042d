//! Answers as people read them.

use std::fmt::Write as _;

use i3_core::money::{Amount, Currency};
use serde_json::{Map, Value};

/// Lists with at most so many columns are tables.
const COLUMNS: usize = 8;
/// Members that are money where a currency is named beside or above them.
const MONEY: [&str; 8] = ["amount", "price", "paid", "held", "fee", "due", "captured", "sum"];

/// A text that does nothing to a terminal: what others wrote must not move its cursor or turn its letters round.
pub(crate) fn harmless(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut safe, letter| {
        let turns = matches!(letter, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
        if letter.is_control() || turns {
            let _ = write!(safe, "{}", letter.escape_unicode());
        } else {
            safe.push(letter);
        }
        safe
    })
}

/// The value as text, with a line's end; empty for nothing.
pub(crate) fn readable(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Object(members) => match members.get("items") {
            Some(Value::Array(items)) => list(items, members.get("next").and_then(Value::as_str)),
            _ => block(&lines(value)),
        },
        other => format!("{}\n", scalar(other)),
    }
}

fn list(items: &[Value], next: Option<&str>) -> String {
    let rows: Vec<_> = items.iter().map(lines).collect();
    let mut columns: Vec<&str> = Vec::new();
    for (name, _) in rows.iter().flatten() {
        if !columns.contains(&name.as_str()) {
            columns.push(name);
        }
    }
    let mut text = if rows.is_empty() {
        "nothing\n".to_owned()
    } else if columns.len() <= COLUMNS {
        table(&columns, &rows)
    } else {
        rows.iter().map(|row| block(row)).collect::<Vec<_>>().join("\n")
    };
    if let Some(next) = next {
        let _ = writeln!(text, "\nthere is more: --after {}", harmless(next));
    }
    text
}

fn width(text: &str) -> usize {
    text.chars().count()
}

fn table(columns: &[&str], rows: &[Vec<(String, String)>]) -> String {
    let cell = |row: &Vec<(String, String)>, column: &str| {
        row.iter().find(|(name, _)| name == column).map(|(_, text)| text.clone()).unwrap_or_default()
    };
    let mut lines = vec![String::new(); rows.len() + 1];
    for column in columns {
        let mut cells = vec![(*column).to_owned()];
        cells.extend(rows.iter().map(|row| cell(row, column)));
        let widest = cells.iter().map(|text| width(text)).max().unwrap_or(0);
        for (line, text) in lines.iter_mut().zip(cells) {
            let _ = write!(line, "{text:widest$}  ");
        }
    }
    lines.iter().fold(String::new(), |text, line| text + line.trim_end() + "\n")
}

fn block(lines: &[(String, String)]) -> String {
    let widest = lines.iter().map(|(name, _)| width(name)).max().unwrap_or(0);
    lines.iter().fold(String::new(), |mut text, (name, value)| {
        let _ = writeln!(text, "{}", format!("{name:widest$}  {value}").trim_end());
        text
    })
}

/// What there is to say of a value: a line for each member, with its way.
fn lines(value: &Value) -> Vec<(String, String)> {
    let mut lines = Vec::new();
    gather(value, "", None, &mut lines);
    lines
}

fn gather(value: &Value, way: &str, currency: Option<Currency>, lines: &mut Vec<(String, String)>) {
    match value {
        Value::Object(members) => {
            let currency = currency_of(members).or(currency);
            for (name, member) in members {
                let way = if way.is_empty() { harmless(name) } else { format!("{way}.{}", harmless(name)) };
                match (money(name, member, currency), member) {
                    (Some(money), _) => lines.push((way, money)),
                    // What is not there is not worth a line.
                    (None, Value::Null) => {}
                    (None, member) => gather(member, &way, currency, lines),
                }
            }
        }
        Value::Array(items) if items.iter().any(|item| item.is_object() || item.is_array()) => {
            for (place, item) in items.iter().enumerate() {
                gather(item, &format!("{way}[{place}]"), currency, lines);
            }
        }
        Value::Array(items) => {
            let texts: Vec<_> = items.iter().map(scalar).collect();
            lines.push((way.to_owned(), texts.join(", ")));
        }
        other => lines.push((way.to_owned(), scalar(other))),
    }
}

fn currency_of(members: &Map<String, Value>) -> Option<Currency> {
    members.get("currency")?.as_str()?.parse().ok()
}

fn money(name: &str, value: &Value, currency: Option<Currency>) -> Option<String> {
    let (number, currency) = (value.as_i64()?, currency?);
    if name == "unit_price" {
        let (whole, rest) = (number / 1_000_000_000, (number % 1_000_000_000).abs());
        let text = format!("{whole}.{rest:09}");
        return Some(format!("{} {}", text.trim_end_matches('0').trim_end_matches('.'), currency.code()));
    }
    if !MONEY.contains(&name) {
        return None;
    }
    Some(Amount::new(number).ok()?.display(currency).to_string())
}

fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) => harmless(text),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_thing_is_a_line_for_each_member_and_money_is_written_as_people_write_it() {
        let order = json!({
            "id": "o1", "until": null, "tags": ["a", "b"],
            "terms": {"currency": "EUR", "plan": {"kind": "per_message", "unit_price": 20_000_000, "price": 1234}},
        });
        let expected = "id                     o1\ntags                   a, b\nterms.currency         EUR\n\
                        terms.plan.kind        per_message\nterms.plan.price       12.34 EUR\n\
                        terms.plan.unit_price  0.02 EUR\n";
        assert_eq!(readable(&order), expected);
    }

    #[test]
    fn a_list_is_a_table_and_says_where_it_goes_on() {
        let page = json!({"items": [{"id": "a", "name": "x"}, {"id": "b"}], "next": "c"});
        assert_eq!(readable(&page), "id  name\na   x\nb\n\nthere is more: --after c\n");
        assert_eq!(readable(&json!({"items": [], "next": null})), "nothing\n");
    }

    #[test]
    fn what_others_wrote_does_nothing_to_a_terminal() {
        let text = readable(&json!({"title": "\u{1b}[2Ja\nb\u{202e}c\u{9b}"}));
        assert_eq!(text, "title  \\u{1b}[2Ja\\u{a}b\\u{202e}c\\u{9b}\n");
    }
}
