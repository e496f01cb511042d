//! Questions from query strings.
//!
//! `kind=Actuator&protocol=coap,http&tag=light&q=blue&sort=rating`. A parameter that is given again must hold too;
//! values with a comma between them are alternatives. A backslash before a comma, an `@` or a backslash makes it part
//! of the value. The names that the paper's payload has for the same things are understood too (section 4.4).

use i3_core::money::{Currency, UnitPrice};

use super::query::{FieldError, InvalidQuery, Near, Query, Sort, Wrong};
use crate::description::{Attribute, Facet, Point, Price, decimal};

/// The facet of a parameter.
fn facet_of(name: &str) -> Option<Facet> {
    match name {
        "type" | "field_vo_type" => Some(Facet::Kind),
        "field_supported_protocol" => Some(Facet::Protocol),
        "field_common_methods" => Some(Facet::Method),
        "field_model" => Some(Facet::Model),
        _ => Facet::named(name),
    }
}

/// A value cut at every `at` that no backslash stands before. The backslashes stay.
fn cut(text: &str, at: char) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut escaped = false;
    for c in text.chars() {
        if c == at && !escaped {
            parts.push(String::new());
            continue;
        }
        escaped = c == '\\' && !escaped;
        if let Some(part) = parts.last_mut() {
            part.push(c);
        }
    }
    parts
}

/// A value without its backslashes.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        plain.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    plain
}

/// A number of tenths from a decimal with one digit after the point.
fn tenths(text: &str, most: i64) -> Option<u16> {
    let tenths = decimal(text, 1).filter(|tenths| (0..=most).contains(tenths))?;
    u16::try_from(tenths).ok()
}

/// What is given once only.
#[derive(Default)]
struct Single {
    max_price: Option<String>,
    currency: Option<String>,
    near: Option<String>,
    radius: Option<String>,
}

fn once<T>(slot: &mut Option<T>, value: T) -> Result<(), Wrong> {
    if slot.replace(value).is_some() { Err(Wrong::Repeated) } else { Ok(()) }
}

fn clause(query: &mut Query, facet: Facet, value: &str) -> Result<(), Wrong> {
    let values = cut(value, ',');
    if values.len() > Query::MAX_VALUES || query.clauses.len() + query.attributes.len() >= Query::MAX_CLAUSES
    {
        return Err(Wrong::TooMany { most: Query::MAX_CLAUSES });
    }
    if facet == Facet::Attribute {
        let attribute = |value: &String| {
            let parts = cut(value, '@');
            let (name, unit) = match parts.split_first() {
                Some((name, [])) => (plain(name), None),
                Some((name, unit)) => (plain(name), Some(plain(&unit.join("@")))),
                None => (String::new(), None),
            };
            Attribute::new(&name, unit.as_deref())
        };
        query.attributes.push(values.iter().map(attribute).collect::<Result<_, _>>()?);
    } else {
        let any_of = values.iter().map(|value| facet.canonical(&plain(value))).collect::<Result<_, _>>()?;
        query.clauses.push(super::query::Clause { facet, any_of });
    }
    Ok(())
}

fn field(query: &mut Query, single: &mut Single, name: &str, value: &str) -> Result<(), Wrong> {
    if let Some(facet) = facet_of(name) {
        return clause(query, facet, value);
    }
    let count = |text: &str, most: usize| {
        let number = text.parse().ok().filter(|number| (1..=most).contains(number));
        number.ok_or(Wrong::Number { least: "1", most: "100" })
    };
    match name {
        "q" => once(&mut query.text, value.to_owned()),
        "max_price" => once(&mut single.max_price, value.to_owned()),
        "currency" => once(&mut single.currency, value.to_owned()),
        "near" => once(&mut single.near, value.to_owned()),
        "radius" => once(&mut single.radius, value.to_owned()),
        "min_rating" => once(&mut query.min_rating, tenths(value, 50).ok_or(Wrong::RATING)?),
        "min_quality" => once(&mut query.min_quality, tenths(value, 1_000).ok_or(Wrong::QUALITY)?),
        "sort" => {
            let choices = "relevance, rating, price, newest, title";
            let sort = Sort::ALL.into_iter().find(|sort| sort.as_str() == value);
            once(&mut query.sort, sort.ok_or(Wrong::Choice { choices })?)
        }
        "cursor" => once(&mut query.after, value.parse().map_err(|_| Wrong::Cursor)?),
        "limit" => count(value, Query::MAX_LIMIT).map(|limit| query.limit = limit),
        "facet_values" => count(value, Query::MAX_FACET_VALUES).map(|values| query.facet_values = values),
        "facets" => {
            let choices = "kind, protocol, method, platform, model, tag, domain, attribute, unit, provider, place, \
                           listing";
            for name in cut(value, ',') {
                let facet = Facet::named(&name).ok_or(Wrong::Choice { choices })?;
                if !query.facets.contains(&facet) {
                    query.facets.push(facet);
                }
            }
            Ok(())
        }
        _ => Err(Wrong::Unknown),
    }
}

/// What two parameters say together, or which is wrong.
type Pair<T> = Result<T, (&'static str, Wrong)>;

fn price(single: &Single) -> Pair<(Option<Currency>, Option<Price>)> {
    let currency = single.currency.as_deref().map(str::parse).transpose();
    let currency: Option<Currency> = currency.map_err(|_| ("currency", Wrong::Currency))?;
    let Some(text) = &single.max_price else { return Ok((currency, None)) };
    let currency = currency.ok_or(("max_price", Wrong::Alone { needs: "currency" }))?;
    let fine = text.split_once('.').is_none_or(|(_, part)| part.trim_end_matches('0').len() <= 9);
    let nanos = decimal(text, 9).filter(|_| fine).and_then(|nanos| u64::try_from(nanos).ok());
    let per_message = nanos.and_then(|nanos| UnitPrice::try_from(nanos).ok());
    let per_message = per_message.ok_or(("max_price", Wrong::Price))?;
    Ok((Some(currency), Some(Price { currency, per_message })))
}

fn near(single: &Single) -> Pair<Option<Near>> {
    match (&single.near, &single.radius) {
        (None, None) => Ok(None),
        (Some(_), None) => Err(("near", Wrong::Alone { needs: "radius" })),
        (None, Some(_)) => Err(("radius", Wrong::Alone { needs: "near" })),
        (Some(near), Some(radius)) => {
            let point = near.split_once(',').and_then(|(north, east)| Point::parse(north, east).ok());
            let centre = point.ok_or(("near", Wrong::Point))?;
            let metres = radius.parse().ok().filter(|metres| *metres <= Near::MAX_METRES);
            let metres = metres.ok_or(("radius", Wrong::Number { least: "0", most: "20015087" }))?;
            Ok(Some(Near { centre, metres }))
        }
    }
}

impl Query {
    /// Reads a query string (`application/x-www-form-urlencoded`): see the [module](crate::discovery). Names
    /// everything that is wrong with it.
    pub fn parse(query_string: &str) -> Result<Self, InvalidQuery> {
        let mut query = Self::default();
        let mut single = Single::default();
        let mut fields = Vec::new();
        let mut bad = |field: &str, wrong| {
            let field = field.chars().take(64).collect();
            fields.push(FieldError { field, wrong });
        };
        for (name, value) in form_urlencoded::parse(query_string.as_bytes()) {
            if let Err(wrong) = field(&mut query, &mut single, &name, &value) {
                bad(&name, wrong);
            }
        }
        match price(&single) {
            Ok((currency, max_price)) => (query.currency, query.max_price) = (currency, max_price),
            Err((field, wrong)) => bad(field, wrong),
        }
        match near(&single) {
            Ok(near) => query.near = near,
            Err((field, wrong)) => bad(field, wrong),
        }
        if !fields.is_empty() {
            return Err(InvalidQuery { fields });
        }
        query.check()?;
        Ok(query)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn wrong(text: &str) -> Vec<(String, Wrong)> {
        let error = Query::parse(text).unwrap_err();
        error.fields.into_iter().map(|field| (field.field, field.wrong)).collect()
    }

    #[test]
    fn the_query_string_of_the_paper_is_a_question() {
        let paper =
            Query::parse("field_vo_type=actuator&field_supported_protocol=coap&field_common_methods=BlueOn");
        let ours = Query::parse("kind=actuator&protocol=CoAP&method=BlueOn");
        assert_eq!(paper, ours);
        let ours = ours.unwrap();
        assert_eq!((ours.limit, ours.order()), (20, Sort::Newest));
        assert_eq!(ours.clauses.len(), 3);
    }

    #[test]
    fn repeated_parameters_must_all_hold_and_commas_part_alternatives() {
        let query = Query::parse("protocol=coap,http&protocol=mqtt&tag=a%5C%2Cb&q=%E7%81%AF").unwrap();
        let values: Vec<Vec<&str>> =
            query.clauses.iter().map(|clause| clause.any_of.iter().map(|text| &**text).collect()).collect();
        assert_eq!(values, [vec!["coap", "http"], vec!["mqtt"], vec!["a,b"]]);
        assert_eq!((query.text.as_deref(), query.order()), (Some("灯"), Sort::Relevance));
    }

    #[test]
    fn an_attribute_can_be_asked_for_in_a_unit() {
        let query = Query::parse("attribute=temperature@unit:DEG_C,mail%5C%40home").unwrap();
        let asked = [
            Attribute::new("temperature", Some("unit:DEG_C")).unwrap(),
            Attribute::new("mail@home", None).unwrap(),
        ];
        assert_eq!(query.attributes, [asked.to_vec()]);
    }

    #[test]
    fn numbers_are_read_exactly() {
        let query = Query::parse(
            "max_price=0.0025&currency=EUR&min_rating=4.5&min_quality=98.5&near=33.45,126.57&radius=500&limit=7",
        )
        .unwrap();
        assert_eq!(query.max_price.unwrap().per_message.nanos(), 2_500_000);
        assert_eq!((query.min_rating, query.min_quality, query.limit), (Some(45), Some(985), 7));
        assert_eq!(query.near.unwrap().metres, 500);
    }

    #[test]
    fn everything_that_is_wrong_is_named_with_its_field() {
        let rating = Wrong::RATING;
        let all = wrong("min_rating=six&colour=blue&sort=best&place=a//b&limit=0&cursor=x&radius=5");
        let fields: Vec<&str> = all.iter().map(|(field, _)| field.as_str()).collect();
        assert_eq!(fields, ["min_rating", "colour", "sort", "place", "limit", "cursor", "radius"]);
        assert_eq!(all[0].1, rating);
        assert_eq!(all[1].1, Wrong::Unknown);
        for (text, field) in [
            ("q=a&q=b", "q"),
            ("max_price=1", "max_price"),
            ("max_price=-1&currency=EUR", "max_price"),
            ("max_price=0.0000000001&currency=EUR", "max_price"),
            ("max_price=99999999999&currency=EUR", "max_price"),
            ("currency=EURO", "currency"),
            ("near=1,2", "near"),
            ("near=91,2&radius=5", "near"),
            ("near=1,2&radius=20015088", "radius"),
            ("sort=relevance", "sort"),
            ("sort=price", "sort"),
            ("kind=", "kind"),
            ("limit=101", "limit"),
            ("facets=kind,colour", "facets"),
            ("min_quality=100.1", "min_quality"),
            ("tag=%00", "tag"),
        ] {
            let fields = wrong(text);
            assert_eq!((fields.len(), fields[0].0.as_str()), (1, field), "{text}");
        }
        assert_eq!(wrong(&"tag=a&".repeat(33))[0].1, Wrong::TooMany { most: 32 });
        assert_eq!(wrong(&format!("q={}", "a".repeat(1_001)))[0].1, Wrong::Long);
    }

    proptest! {
        #[test]
        fn no_query_string_makes_the_reader_panic(text in "\\PC{0,80}") {
            let _ = Query::parse(&text);
        }

        #[test]
        fn any_value_can_be_written(value in "[^\\p{C}\\s][^\\p{C}]{0,20}[^\\p{C}\\s]") {
            let escaped = value.replace('\\', "\\\\").replace(',', "\\,");
            let text = form_urlencoded::Serializer::new(String::new()).append_pair("method", &escaped).finish();
            let query = Query::parse(&text).unwrap();
            prop_assert_eq!(&query.clauses[0].any_of[0], &Facet::Method.canonical(&value).unwrap());
        }
    }
}
