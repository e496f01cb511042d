//! Discovery over REST: the paper's query string in, the objects themselves out.

use i3_core::access::Actor;
use i3_core::market::{CreateObject, MoveObject, RegisterUser};
use i3_core::role::RoleName;
use i3_core::virtual_object::{Content, ObjectState};
use i3_marketplace::{AppState, Assembly, AssemblyConfig, Knowledge, StoreUrl, router};
use serde_json::{Value, json};

use crate::support::{PASSWORD, Rest, patient};

/// The object of the paper (section 4.4).
fn led(title: &str) -> Content {
    serde_json::from_value(json!({
        "kind": "actuator",
        "title": title,
        "body": "Test app?",
        "model": "external-led-edited",
        "protocols": ["coap", "http"],
        "methods": [{"name": "BlueOn"}, {"name": "RedOn"}, {"name": "TurnOff"}],
        "resources": ["coap://129.21.121.1", "http://129.21.121.1"],
    }))
    .unwrap()
}

async fn open() -> (Assembly, Actor, Rest) {
    let assembly = Assembly::open(AssemblyConfig::new(StoreUrl::Memory)).await.unwrap();
    let market = assembly.market();
    let register = RegisterUser {
        name: "maker".parse().unwrap(),
        display: "Maker".parse().unwrap(),
        email: None,
        roles: [RoleName::ADMINISTRATOR].into(),
        profile: i3_core::user::Profile::default(),
        invitation: None,
        password: Some(assembly.access().passwords.hash(PASSWORD.as_bytes()).await.unwrap()),
    };
    let maker = market.execute(Actor::System, None, &register).await.unwrap().id;
    let program = env!("CARGO_BIN_EXE_i3-marketplace");
    let knowledge = Knowledge::open(market.clone(), program, patient()).await.unwrap();
    let rest = Rest::Router(router(AppState::from(&assembly).with_knowledge(knowledge)));
    (assembly, Actor::User(maker), rest)
}

async fn found(rest: &Rest, query: &str) -> Value {
    let asked = rest.ask("GET", format!("/discover?{query}")).header("accept", "application/hal+json");
    let reply = asked.send().await;
    assert_eq!(reply.headers["content-type"], "application/hal+json");
    reply.ok()
}

#[tokio::test]
async fn the_query_string_of_the_paper_is_answered_with_the_object_itself() {
    let (assembly, maker, rest) = open().await;
    let market = assembly.market();
    let create = CreateObject { content: led("LED from external app"), hub: None, submit: true };
    let object = market.execute(maker, None, &create).await.unwrap().object.id;
    let paper = "field_vo_type=actuator&field_supported_protocol=coap&field_common_methods=BlueOn&q=led&facets=protocol";
    let page = found(&rest, paper).await;
    let things = page["_embedded"]["things"].as_array().unwrap();
    assert_eq!((things.len(), &page["total"]), (1, &json!(1)));
    assert_eq!((&things[0]["id"], &things[0]["listing"]), (&json!(object.to_string()), &json!("object")));
    assert_eq!(things[0]["document"]["resources"][0], "coap://129.21.121.1");
    assert_eq!(things[0]["_links"]["self"]["href"], format!("/api/v1/virtual_objects/{object}"));
    let plain = rest.ask("GET", format!("/discover?{paper}")).send().await.ok();
    assert_eq!((&plain["things"][0]["document"], &plain["next"]), (&things[0]["document"], &Value::Null));
    let xml =
        rest.ask("GET", format!("/discover?{paper}")).header("accept", "application/xml").send_raw().await;
    assert!(xml.text.contains("<title>LED from external app</title>"), "{}", xml.text);
    let protocol = json!({"field": "protocol", "value": "coap"});
    assert!(things[0]["why"].as_array().unwrap().contains(&protocol), "{page}");
    assert_eq!(
        page["facets"][0]["values"],
        json!([{"value": "coap", "count": 1}, {"value": "http", "count": 1}])
    );

    let gone = MoveObject { object, to: ObjectState::Removed, expect: None, remark: None };
    market.execute(maker, None, &gone).await.unwrap();
    let page = found(&rest, "q=led&facets=protocol,kind").await;
    assert_eq!((&page["total"], &page["_embedded"]["things"]), (&json!(0), &json!([])));
    assert_eq!(page["facets"][0]["values"], json!([]));
}

#[tokio::test]
async fn pages_are_of_twenty_and_lead_to_one_another() {
    let (assembly, maker, rest) = open().await;
    for number in 0..45 {
        let create = CreateObject { content: led(&format!("Lamp {number}")), hub: None, submit: true };
        assembly.market().execute(maker, None, &create).await.unwrap();
    }
    let (mut query, mut titles, mut pages) =
        ("kind=VirtualObject&sort=title".to_owned(), Vec::new(), Vec::new());
    loop {
        let page = found(&rest, &query).await;
        assert_eq!(page["total"], 45);
        let things = page["_embedded"]["things"].as_array().unwrap();
        pages.push(things.len());
        titles.extend(things.iter().map(|thing| thing["document"]["title"].to_string()));
        let Some(next) = page["_links"]["next"]["href"].as_str() else { break };
        query = next.strip_prefix("/api/v1/discover?").unwrap().to_owned();
    }
    let mut sorted = titles.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!((pages, sorted.len()), (vec![20, 20, 5], 45));
    assert_eq!(sorted, titles);
}

#[tokio::test]
async fn a_question_that_makes_no_sense_is_told_what_is_wrong_with_each_field() {
    let (_assembly, _, rest) = open().await;
    let reply = rest.ask("GET", "/discover?min_rating=six&colour=blue").send().await;
    reply.is(400, "invalid_query");
    let errors = reply.body["errors"].as_array().unwrap();
    assert_eq!(errors[0]["parameter"], "min_rating");
    assert_eq!(errors[1], json!({"parameter": "colour", "detail": "there is no such parameter"}));
    rest.ask("GET", "/discover?kind=Toaster").send().await.is(400, "invalid_query");
    rest.ask("GET", "/discover?cursor=nonsense").send().await.is(400, "invalid_query");
}

#[tokio::test]
async fn a_server_without_an_index_says_so() {
    let assembly = Assembly::open(AssemblyConfig::new(StoreUrl::Memory)).await.unwrap();
    let rest = Rest::Router(router(AppState::from(&assembly)));
    for path in ["/discover", "/sparql?query=ASK%20%7B%7D", "/ontology"] {
        rest.ask("GET", path).send().await.is(503, "unavailable");
    }
}
