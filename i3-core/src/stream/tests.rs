use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::id::TypedId;
use crate::time::Timestamp;

fn product() -> ProductId {
    ProductId::from_bits(1)
}

#[test]
fn numbers_begin_at_one_and_a_given_back_end_is_handed_out_again() {
    let mut head = StreamHead::new(product());
    assert_eq!(head.reserve("a", 64), Ok(SequenceBlock { first: 1, end: 65 }));
    let block = |first, end| SequenceBlock { first, end };
    assert!(head.release("a", block(11, 65)));
    assert_eq!(head.reserve("b", 10), Ok(block(11, 21)));
    assert!(!head.release("a", block(11, 65)), "asked again, when another holds them");
    assert!(!head.release("a", block(11, 21)), "another's");
    assert_eq!(head.reserve("a", 0), Ok(block(21, 22)));
    assert!(!head.release("b", block(12, 21)), "others were handed out since");
    assert!(!head.release("a", block(22, 22)), "nothing");
    assert_eq!(head.next, 22);
}

#[test]
fn two_blocks_in_a_row_are_given_back_together() {
    let mut head = StreamHead::new(product());
    head.reserve("a", 10).unwrap();
    head.reserve("a", 10).unwrap();
    assert!(!head.release("a", SequenceBlock { first: 4, end: 11 }), "not the last ones");
    assert!(head.release("a", SequenceBlock { first: 4, end: 21 }));
    assert_eq!(head.next, 4);
}

#[test]
fn numbers_end_before_they_repeat() {
    let mut head = StreamHead { product: product(), next: StreamHead::LAST - 1, last: None };
    assert!(head.reserve("a", 1).is_ok());
    assert_eq!(head.reserve("a", 1), Err(NumbersUsedUp));
}

#[derive(Debug, Clone)]
enum Doing {
    Reserve(u64),
    Use(u64),
    Release,
    Crash,
}

proptest! {
    #[test]
    fn whatever_gates_do_no_number_is_used_twice(
        all in prop::collection::vec((0_usize..3, prop_oneof![
            3 => (0_u64..20).prop_map(Doing::Reserve),
            3 => (1_u64..20).prop_map(Doing::Use),
            1 => Just(Doing::Release),
            1 => Just(Doing::Crash),
        ]), 0..60),
    ) {
        let mut head = StreamHead::new(product());
        let mut gates: [Vec<u64>; 3] = Default::default();
        let mut used = std::collections::BTreeSet::new();
        for (gate, doing) in all {
            let (name, held) = (gate.to_string(), &mut gates[gate]);
            match doing {
                Doing::Reserve(count) => {
                    let block = head.reserve(&name, count).unwrap();
                    prop_assert!(used.last().is_none_or(|last| *last < block.first), "below one that was used");
                    held.extend(block.first..block.end);
                }
                Doing::Use(count) => {
                    let count = held.len().min(usize::try_from(count).unwrap());
                    for number in held.drain(..count) {
                        prop_assert!(used.insert(number), "{number} was used twice");
                    }
                }
                Doing::Release => {
                    // As a gate does it: what is unused without a gap to the end of all that it holds.
                    if let Some(last) = held.pop() {
                        let mut first = last;
                        while held.pop_if(|before| *before + 1 == first).is_some() {
                            first -= 1;
                        }
                        held.clear();
                        head.release(&name, SequenceBlock { first, end: last + 1 });
                    }
                }
                Doing::Crash => held.clear(),
            }
        }
    }
}

fn terms(redact: &[&str]) -> SampleTerms {
    SampleTerms { last: 2, redact: redact.iter().map(ToString::to_string).collect(), per_person_per_day: 2 }
}

#[test]
fn what_a_seller_redacts_is_gone() {
    let payload =
        br#"{"t": 21.5, "where": {"lat": 1, "lon": 2}, "a/b": 3, "a~b": 4, "who": "x", "who": "y"}"#;
    let shown = terms(&["/where/lat", "/a~1b", "/a~0b", "/who", "/nothing/here"]).show(payload);
    assert_eq!(shown, SampleContent::Json(json!({"t": 21.5, "where": {"lon": 2}})));
    let list =
        terms(&["/points/0", "/points/1/lat"]).show(br#"{"points": [{"lat": 1}, {"lat": 2, "n": 3}]}"#);
    assert_eq!(list, SampleContent::Json(json!({"points": [null, {"n": 3}]})), "places stay what they were");
}

#[test]
fn what_cannot_be_redacted_or_is_too_long_is_withheld() {
    assert_eq!(terms(&["/a"]).show(b"a=5"), SampleContent::Withheld(Withheld::NotJson));
    assert_eq!(terms(&["/a"]).show(br#"{"a": 1} {"a": 2}"#), SampleContent::Withheld(Withheld::NotJson));
    assert_eq!(terms(&[]).show(b"a=5"), SampleContent::Text("a=5".to_owned()));
    assert_eq!(terms(&[]).show(&[0xff, 0]), SampleContent::Base64("/wA=".to_owned()));
    let long = format!("\"{}\"", "x".repeat(SampleTerms::MAX_PAYLOAD));
    assert_eq!(terms(&[]).show(long.as_bytes()), SampleContent::Withheld(Withheld::TooLong));
}

#[test]
fn terms_that_make_no_sense_are_refused() {
    assert_eq!(terms(&["/a", "/b~0/0"]).check(), Ok(()));
    assert_eq!(SampleTerms { last: 0, ..terms(&[]) }.check(), Err(InvalidSampleTerms::Last));
    assert_eq!(SampleTerms { last: 17, ..terms(&[]) }.check(), Err(InvalidSampleTerms::Last));
    assert_eq!(SampleTerms { per_person_per_day: 0, ..terms(&[]) }.check(), Err(InvalidSampleTerms::Looks));
    for pointer in ["", "a", "/a~", "/a~2", "/\n"] {
        assert!(matches!(terms(&[pointer]).check(), Err(InvalidSampleTerms::Pointer(_))), "{pointer:?}");
    }
    assert_eq!(terms(&["/a"; 33]).check(), Err(InvalidSampleTerms::Redactions));
}

fn sample(sequence: u64, text: &str) -> Sample {
    let content = SampleContent::Text(text.to_owned());
    Sample { sequence, at: Timestamp::default(), bytes: 1, content }
}

#[test]
fn the_newest_samples_are_kept_whichever_gate_tells_first_and_they_fit_a_record() {
    let mut samples = Samples::new(product(), 1);
    samples.add(&[sample(9, "i"), sample(4, "d")], 3);
    samples.add(&[sample(5, "e"), sample(9, "i")], 3);
    samples.add(&[sample(1, "a")], 3);
    let numbers =
        |samples: &Samples| samples.samples.iter().map(|sample| sample.sequence).collect::<Vec<_>>();
    assert_eq!(numbers(&samples), [4, 5, 9]);
    samples.add(&[], 1);
    assert_eq!(numbers(&samples), [9]);

    // Control characters take six bytes each in JSON.
    let worst = "\u{1}".repeat(SampleTerms::MAX_PAYLOAD);
    let many: Vec<Sample> = (10..26).map(|number| sample(number, &worst)).collect();
    samples.add(&many, 16);
    assert_eq!(numbers(&samples), [24, 25]);
    assert!(samples.draft().is_ok());
}

#[test]
fn a_person_looks_so_often_a_day() {
    let day = |n: i64| Timestamp::from_micros(n * 24 * 3_600 * 1_000_000 + 5).unwrap();
    let id = SampleViewsId { product: product(), user: crate::id::UserId::from_bits(2) };
    let mut views = SampleViews::none(id);
    assert_eq!(
        (views.look(day(7), 2), views.look(day(7), 2), views.look(day(7), 2)),
        (Some(1), Some(0), None)
    );
    assert_eq!(views.look(day(6), 2), None, "a clock that went back gives no more");
    assert_eq!(views.look(day(8), 2), Some(1));
}

#[test]
fn a_usual_schema_is_taken() {
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://example.org/air.json",
        "type": "object",
        "required": ["id", "at"],
        "properties": {
            "id": {"type": "string", "examples": [{"id": "a"}]},
            "$ref": {"type": "integer"},
            "at": {"$ref": "#/$defs/point"},
            "also": {"$ref": "#/$defs/point"},
        },
        "$defs": {"point": {"type": "array", "items": {"type": "number"}}},
    });
    assert_eq!(check_schema(&schema.to_string()), Ok(()));
}

#[test]
fn a_schema_that_could_keep_a_gate_busy_or_reach_elsewhere_is_refused() {
    let refused = |schema: serde_json::Value| check_schema(&schema.to_string()).unwrap_err();
    for circle in [
        json!({"$ref": "#"}),
        json!({"properties": {"a": {"$ref": "#"}}}),
        json!({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"items": {"$ref": "#/$defs/a"}}}}),
        json!({"$defs": {"a": {"anyOf": [{"$ref": "#/$defs"}]}}}),
    ] {
        assert_eq!(refused(circle), InvalidSchema::Unbounded);
    }
    let mut defs = serde_json::Map::from_iter([("a0".to_owned(), json!({"type": "integer"}))]);
    for n in 1..30 {
        let below = format!("#/$defs/a{}", n - 1);
        defs.insert(format!("a{n}"), json!({"allOf": [{"$ref": below}, {"$ref": below}]}));
    }
    assert_eq!(refused(json!({"$defs": defs})), InvalidSchema::Unbounded, "each line doubles the work");
    for foreign in [
        json!({"$ref": "https://example.org/a"}),
        json!({"$ref": "file:///etc/passwd"}),
        json!({"$ref": "#name"}),
        json!({"items": {"$id": "other", "$ref": "#/a"}}),
        json!({"$dynamicRef": "#a"}),
        json!({"$recursiveAnchor": true}),
        json!({"$schema": "http://json-schema.org/draft-04/schema#"}),
    ] {
        assert!(matches!(refused(foreign.clone()), InvalidSchema::Foreign(_)), "{foreign}");
    }
    assert!(matches!(refused(json!({"$ref": "#/a"})), InvalidSchema::Dangling(_)));
    assert!(matches!(refused(json!({"$ref": "#/%24defs"})), InvalidSchema::Dangling(_)));
    assert!(matches!(refused(json!([])), InvalidSchema::NotJson(_)));
    assert!(matches!(check_schema("{"), Err(InvalidSchema::NotJson(_))));
    let long = json!({"description": "x".repeat(20_000)});
    assert_eq!(refused(long), InvalidSchema::TooLong);
}
