//! The public listing as DCAT and ODRL, read by a store of RDF that knows nothing of us.

use i3_marketplace::StoreUrl;
use i3_semantic::oxigraph::io::{JsonLdProfileSet, RdfFormat, RdfParser};
use i3_semantic::oxigraph::sparql::{QueryResults, SparqlEvaluator};
use i3_semantic::oxigraph::store::Store;
use serde_json::json;

use crate::support::{Shop, assemble, config};

const PREFIXES: &str = "PREFIX dcat: <http://www.w3.org/ns/dcat#> PREFIX dct: <http://purl.org/dc/terms/> \
    PREFIX odrl: <http://www.w3.org/ns/odrl/2/> PREFIX schema: <https://schema.org/> ";

/// The rows of a query, each as its values with spaces between.
fn rows(store: &Store, query: &str) -> Vec<String> {
    let query = SparqlEvaluator::new().parse_query(&format!("{PREFIXES}{query}")).unwrap();
    let QueryResults::Solutions(solutions) = query.on_store(store).execute().unwrap() else {
        panic!("no rows")
    };
    let mut rows: Vec<String> = solutions
        .map(|row| row.unwrap().iter().map(|(_, value)| value.to_string()).collect::<Vec<_>>().join(" "))
        .collect();
    rows.sort();
    rows
}

/// All pages of the catalogue.
async fn read(shop: &Shop, accept: &str, format: RdfFormat, limit: usize) -> Store {
    let store = Store::new().unwrap();
    let mut path = format!("/api/v1/catalogue?limit={limit}");
    loop {
        let page = shop.rest.ask_at("GET", path).header("accept", accept).send_raw().await;
        assert_eq!((page.status, page.headers["content-type"].to_str().unwrap()), (200, accept), "{page:?}");
        let parser = RdfParser::from_format(format).rename_blank_nodes();
        store.load_from_slice(parser, page.text.as_bytes()).unwrap();
        let Some(next) = page.headers.get("link") else { return store };
        path = String::from(next.to_str().unwrap().trim_start_matches('<').split('>').next().unwrap());
    }
}

#[tokio::test]
async fn a_stranger_finds_products_and_prices_in_the_catalogue() {
    let (_assembly, rest) = assemble(config(StoreUrl::Memory)).await;
    let plan = json!({"kind": "per_message", "unit_price": 20_000_000, "quota": 50});
    let shop = Shop::open(rest, plan, 500).await;
    let product = format!("<http://127.0.0.1:8080/api/v1/products/{}>", shop.product);
    let json_ld = RdfFormat::JsonLd { profile: JsonLdProfileSet::empty() };
    for (accept, format) in [("text/turtle", RdfFormat::Turtle), ("application/ld+json", json_ld)] {
        let store = read(&shop, accept, format, 1).await;
        let found = rows(
            &store,
            "SELECT ?it { ?c a dcat:Catalog ; dcat:dataset ?it . ?it a dcat:Dataset ; dct:title ?t }",
        );
        assert_eq!(found, [product.as_str()]);
        let prices = rows(
            &store,
            "SELECT ?amount ?unit ?count { ?it odrl:hasPolicy ?offer . ?offer a odrl:Offer ; odrl:permission ?p .
                ?p odrl:action odrl:use ; odrl:target ?it ; odrl:duty ?duty ;
                    odrl:constraint [ odrl:leftOperand odrl:count ; odrl:operator odrl:lteq ; odrl:rightOperand ?count ] .
                ?duty odrl:action odrl:compensate ;
                    odrl:constraint [ odrl:leftOperand odrl:payAmount ; odrl:rightOperand ?amount ; odrl:unit ?unit ] }",
        );
        let decimal = "^^<http://www.w3.org/2001/XMLSchema#decimal>";
        let integer = "^^<http://www.w3.org/2001/XMLSchema#integer>";
        let euro = "<http://publications.europa.eu/resource/authority/currency/EUR>";
        assert_eq!(prices, [format!("\"0.02\"{decimal} {euro} \"50\"{integer}")]);
        let shown = rows(
            &store,
            "SELECT ?price ?cur { ?it schema:offers [ schema:price ?price ; schema:priceCurrency ?cur ] }",
        );
        assert_eq!(shown, [format!("\"0.02\"{decimal} \"EUR\"")]);
    }

    let hidden = json!({"state": "retired"});
    shop.rest.put(&shop.seller, format!("/products/{}/state", shop.product), hidden).await.ok();
    let store = read(&shop, "text/turtle", RdfFormat::Turtle, 50).await;
    assert_eq!(rows(&store, "SELECT ?it { ?c dcat:dataset ?it }"), Vec::<String>::new());
    assert_eq!(rows(&store, "SELECT ?c { ?c a dcat:Catalog }").len(), 1);
    shop.rest.ask("GET", "/catalogue").header("accept", "text/html").send().await.is(406, "not_acceptable");
    shop.rest.ask("GET", "/catalogue?limit=0").send().await.is(400, "invalid_request");
}

#[tokio::test]
async fn texts_of_strangers_are_data_in_the_catalogue() {
    let (_assembly, rest) = assemble(config(StoreUrl::Memory)).await;
    let shop = Shop::open(rest, json!({"kind": "free"}), 500).await;
    let title = "\" . <urn:x> <urn:y> <urn:z> . } \\u0022 </script>";
    let texts = json!({"title": title, "description": "'''\"\"\"\\", "tags": []});
    shop.rest.put(&shop.seller, format!("/products/{}", shop.product), texts).await.ok();
    let json_ld = RdfFormat::JsonLd { profile: JsonLdProfileSet::empty() };
    for (accept, format) in [("text/turtle", RdfFormat::Turtle), ("application/ld+json", json_ld)] {
        let store = read(&shop, accept, format, 50).await;
        let titles = rows(&store, "SELECT ?t { ?it a dcat:Dataset ; dct:title ?t }");
        assert_eq!(titles, [i3_semantic::oxigraph::model::Literal::from(title).to_string()]);
        assert_eq!(rows(&store, "SELECT ?o { <urn:x> ?p ?o }"), Vec::<String>::new());
        assert_eq!(rows(&store, "SELECT ?d { ?p odrl:duty ?d }"), Vec::<String>::new(), "it is free");
    }
}
