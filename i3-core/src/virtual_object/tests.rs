use proptest::prelude::*;
use serde_json::json;

use super::*;

fn read(json: &serde_json::Value) -> Content {
    serde_json::from_value(json.clone()).unwrap_or_else(|error| panic!("{json}: {error}"))
}

fn full() -> serde_json::Value {
    json!({
        "kind": "actuator",
        "title": "LED from external app",
        "body": "Test app?",
        "model": "external-led-edited",
        "category": "Lighting",
        "tags": ["led", "colour"],
        "domain": "smart-home",
        "platforms": ["Raspberry Pi", "Arduino"],
        "protocols": ["http", "coap"],
        "attributes": [{"name": "temperature", "type": "number", "unit": "ucum:Cel", "description": "inside"}],
        "methods": [
            {"name": "BlueOn"},
            {
                "name": "Dim",
                "inputs": [{"name": "level", "type": "integer", "unit": "qudt:PERCENT"}],
                "output": {"type": "boolean"},
            },
        ],
        "resources": ["coap://129.21.121.1", "http://129.21.121.1"],
        "location": {"place": "Jeju/Campus", "point": {"lat": 33.45, "lon": 126}},
    })
}

#[test]
fn the_hash_is_that_of_the_canonical_text_and_stays_what_it_is() {
    let content = read(&full());
    let canonical = concat!(
        r#"{"attributes":[{"description":"inside","name":"temperature","type":"number","unit":"ucum:Cel"}],"#,
        r#""body":"Test app?","category":"Lighting","domain":"smart-home","kind":"actuator","#,
        r#""location":{"place":"Jeju/Campus","point":{"lat":33.45,"lon":126}},"#,
        r#""methods":[{"name":"BlueOn"},{"inputs":[{"name":"level","type":"integer","unit":"qudt:PERCENT"}],"#,
        r#""name":"Dim","output":{"type":"boolean"}}],"model":"external-led-edited","#,
        r#""platforms":["Arduino","Raspberry Pi"],"protocols":["coap","http"],"#,
        r#""resources":["coap://129.21.121.1","http://129.21.121.1"],"tags":["colour","led"],"#,
        r#""title":"LED from external app"}"#,
    );
    assert_eq!(content.canonical(), canonical);
    // `sha256sum` of the text above.
    let hash = "sha256:abbe012c84cfe8e160da9f910cb8dfeb88f263439bbbc499355efe1585f35006";
    assert_eq!(content.hash().to_string(), hash);
    assert_eq!(hash.parse::<ContentHash>().unwrap(), content.hash());
}

#[test]
fn what_has_no_order_has_one_hash_and_what_has_one_has_others() {
    let mut other = full();
    other["tags"] = json!(["colour", "led", "led"]);
    other["protocols"] = json!(["coap", "http"]);
    assert_eq!(read(&other).hash(), read(&full()).hash());
    other["resources"] = json!(["http://129.21.121.1", "coap://129.21.121.1"]);
    assert_ne!(read(&other).hash(), read(&full()).hash());
}

#[test]
fn degrees_are_written_as_the_canonical_form_wants() {
    for (degrees, text) in [(1e-7, "1e-7"), (2.5e-6, "0.0000025"), (1e-5, "0.00001"), (-12.5, "-12.5")] {
        let mut content = full();
        content["location"] = json!({"point": {"lat": degrees, "lon": 0}});
        let canonical = read(&content).canonical();
        assert!(canonical.contains(&format!("\"lat\":{text},")), "{canonical}");
    }
}

#[test]
fn what_makes_no_sense_is_refused_with_its_place() {
    let many = |count: usize| (0..count).map(|number| number.to_string()).collect::<Vec<_>>();
    for (field, value, wanted) in [
        ("tags", json!(many(33)), "tags: at most 32 are allowed"),
        ("platforms", json!(many(17)), "platforms: at most 16 are allowed"),
        ("protocols", json!(many(17)), "protocols: at most 16 are allowed"),
        ("methods", json!([{"name": "A"}, {"name": "A"}]), "methods: `A` is there twice"),
        (
            "resources",
            json!(["mqtt://192.0.2.1"]),
            "resources: `mqtt://192.0.2.1`: none of the object's protocols has the scheme `mqtt`",
        ),
        ("location", json!({}), "location: a place or a point is expected"),
        ("parts", json!(["vob_00000000000000000000000001"]), "parts: only services have parts"),
    ] {
        let mut content = full();
        content[field] = value;
        let error = read(&content).check().unwrap_err();
        assert_eq!(format!("{}: {error}", error.field()), wanted);
    }
    assert_eq!(read(&full()).check(), Ok(()));
}

#[test]
fn a_content_is_bounded_as_a_whole() {
    let mut content = full();
    let field =
        |number: u8| json!({"name": number.to_string(), "type": "string", "description": "x".repeat(1_000)});
    content["attributes"] = (0..64).map(field).collect();
    assert_eq!(read(&content).check(), Err(InvalidContent::TooLong));
}

#[test]
fn hostile_texts_are_data_or_refused() {
    let deceptive = ["a\u{202e}b", "a\u{200b}b", "a\u{2066}b\u{2069}", "\u{feff}a", "a\0b", "a\u{7}b"];
    let long = "x".repeat(64 * 1024);
    for field in ["title", "body", "model", "category"] {
        for data in [
            "Robert'); DROP TABLE virtual_objects;--",
            "<script>alert(1)</script>",
            "&lt;&xxe;",
            "../../etc/passwd",
            "{\"$ne\": 1}",
            "𝒳 Größe 大 🚀",
        ] {
            let mut content = full();
            content[field] = json!(data);
            let read = read(&content);
            assert_eq!(read.check(), Ok(()), "{field} {data}");
            assert_eq!(serde_json::to_value(&read).unwrap()[field], json!(data));
        }
        for refused in deceptive.into_iter().chain([long.as_str()]) {
            let mut content = full();
            content[field] = json!(refused);
            assert!(serde_json::from_value::<Content>(content).is_err(), "{field}");
        }
    }
    let mut unknown = full();
    unknown["__proto__"] = json!({});
    assert!(serde_json::from_value::<Content>(unknown).is_err());
}

fn contents() -> impl Strategy<Value = Content> {
    let words = || {
        prop::collection::btree_set(
            "[\\PC&&[^\u{200b}-\u{200f}\u{2028}-\u{202e}\u{2060}-\u{206f}\u{feff}\\s]]{1,8}",
            0..4,
        )
    };
    (words(), words(), words(), prop::option::of((-900_000_000_i64..900_000_000, any::<i32>()))).prop_map(
        |(tags, platforms, methods, point)| {
            let mut content = Content::new(ObjectKind::Sensor, "T".parse().unwrap());
            content.tags = tags.iter().filter_map(|word| word.parse().ok()).collect();
            content.platforms = platforms.iter().filter_map(|word| word.parse().ok()).collect();
            content.methods =
                methods.iter().filter_map(|word| word.parse().ok()).map(Method::named).collect();
            content.location = point.map(|(lat, lon)| Location {
                place: None,
                point: Some(Point {
                    lat: Latitude::from_e7(lat).unwrap(),
                    lon: Longitude::from_e7(i64::from(lon) % 1_800_000_000).unwrap(),
                }),
            });
            content
        },
    )
}

proptest! {
    #[test]
    fn a_content_that_is_stored_and_read_has_the_hash_it_had(content in contents()) {
        let text = serde_json::to_string(&content).unwrap();
        let again: Content = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(again.hash(), content.hash());
        let canonical: Content = serde_json::from_str(&content.canonical()).unwrap();
        prop_assert_eq!(&canonical, &content);
        prop_assert_eq!(canonical.canonical(), content.canonical());
    }
}
