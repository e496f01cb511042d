//! What a request of the REST interface costs: pages, single things and search, over few and over many of them, beside
//! the web framework's "hello"; see the README beside.

mod served;

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use i3_benches::cpu::process_time;
use i3_benches::exit;
use i3_benches::http_load::{Connection, closed_loop, get};
use i3_benches::options::Options;
use i3_benches::rounds::Rounds;
use i3_benches::served::Served;
use i3_benches::shop::ShopError;
use serde_json::Value;
use tokio::task::LocalSet;

/// How many products, and how many virtual objects.
const FEW: usize = 1_000;
const MANY: usize = 100_000;

/// Connections that ask at the same time, each one thing after another.
const CONNECTIONS: usize = 16;

/// How many places are asked for in turn.
const PLACES: usize = 200;

const HELLO: &str = "hello, axum alone";

fn main() -> ExitCode {
    exit(bench())
}

fn bench() -> Result<(), ShopError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match *words.as_slice() {
        ["serve", "hello"] => return runtime()?.block_on(served::hello()),
        ["serve", number, folder] => {
            return runtime()?.block_on(served::marketplace(Path::new(folder), number.parse()?));
        }
        _ => {}
    }
    let options = Options::parse(arguments)?;
    let scratch = tempfile::Builder::new().prefix("rest").tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let client = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&client, measure(&options, scratch.path()))
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}

/// Something to be asked for, again and again.
struct Row {
    name: String,
    address: SocketAddr,
    process: u32,
    requests: Vec<Vec<u8>>,
}

async fn measure(options: &Options, scratch: &Path) -> Result<(), ShopError> {
    let hello = Served::start(&["serve", "hello"])?;
    let mut rows = vec![Row {
        name: HELLO.to_owned(),
        address: hello.address(),
        process: hello.process(),
        requests: vec![get("/", None)],
    }];
    let mut served = Vec::new();
    for number in [FEW, MANY] {
        let start = Instant::now();
        let folder = scratch.join(number.to_string());
        std::fs::create_dir(&folder)?;
        let folder = folder.to_str().ok_or("the folder's name is no text")?;
        let market = Served::start(&["serve", &number.to_string(), folder])?;
        rows.extend(questions(&market, number).await?);
        println!(
            "{number} products and {number} virtual objects on SQLite: ready in {:.1} s",
            start.elapsed().as_secs_f64()
        );
        served.push(market);
    }
    rows.retain(|row| row.name == HELLO || options.wants(&row.name));
    let (mut rates, mut costs) = (Rounds::new(), Rounds::new());
    for row in &rows {
        closed_loop(row.address, &row.requests, CONNECTIONS, Duration::from_millis(300)).await?;
    }
    for round in 0..options.rounds {
        for place in 0..rows.len() {
            let Some(row) = rows.get((place + round) % rows.len()) else { continue };
            let before = process_time(row.process).unwrap_or_default();
            let load = closed_loop(row.address, &row.requests, CONNECTIONS, options.measure).await?;
            let spent = process_time(row.process).unwrap_or_default().saturating_sub(before);
            rates.record(&row.name, load.per_second());
            // In nanoseconds: the table has no decimals.
            costs.record(&row.name, spent.as_secs_f64() * 1e9 / f64::from(load.answers));
        }
    }
    print!("{}", rates.table("REST", "answers/s", HELLO));
    print!("{}", costs.table("REST", "ns of the server's processor time for an answer", HELLO));
    Ok(())
}

/// What is asked of a marketplace with so many things, by a person with a token.
async fn questions(market: &Served, number: usize) -> Result<Vec<Row>, ShopError> {
    let token = market.names().first().ok_or("the marketplace announced no token")?;
    let mut connection = Connection::open(market.address()).await?;
    let mut rows = Vec::new();
    let mut row = |what: &str, paths: Vec<String>| {
        rows.push(Row {
            name: format!("{what}, {number}"),
            address: market.address(),
            process: market.process(),
            requests: paths.iter().map(|path| get(path, Some(token))).collect(),
        });
    };
    for (what, path) in [("product", "/api/v1/products"), ("object", "/api/v1/virtual_objects")] {
        let walked = walk(&mut connection, token, path, number).await?;
        row(what, walked.things.iter().map(|id| format!("{path}/{id}")).collect());
        row(
            &format!("20 {what}s"),
            walked.pages.iter().map(|page| format!("{path}?limit=20&after={page}")).collect(),
        );
    }
    // A full page from few and from many: what is asked for the most, and what singles out.
    for (what, asked) in [("protocol", "protocol=mqtt"), ("kind, text", "kind=sensor&q=smart")] {
        row(&format!("20 found by {what}"), vec![format!("/api/v1/discover?listing=object&{asked}")]);
    }
    let found = (0..PLACES)
        .map(|place| format!("/api/v1/discover?listing=object&protocol=mqtt&tag=tag-{}", place % 50));
    row("found by protocol, tag", found.collect());
    let found =
        (0..PLACES).map(|place| format!("/api/v1/discover?kind=sensor&q=smart%20{}", place * 7 % 1_000));
    row("found by kind, text", found.collect());
    Ok(rows)
}

/// Some of the things of a list, and where some of its pages begin, evenly from all of it.
struct Walked {
    things: Vec<String>,
    pages: Vec<String>,
}

async fn walk(
    connection: &mut Connection,
    token: &str,
    path: &str,
    number: usize,
) -> Result<Walked, ShopError> {
    let (mut ids, mut pages, mut after) = (Vec::new(), Vec::new(), String::new());
    loop {
        let asked = format!("{path}?limit=200{after}");
        let page: Value = serde_json::from_slice(connection.ask(&get(&asked, Some(token))).await?)?;
        let items = page.get("items").and_then(Value::as_array).ok_or("a list without items")?;
        // A card of the catalogue has the product in it.
        let id = |item: &Value| item.get("product").unwrap_or(item).get("id")?.as_str().map(str::to_owned);
        ids.extend(items.iter().filter_map(id));
        let Some(next) = page.get("next").and_then(Value::as_str) else { break };
        after = format!("&after={next}");
        pages.push(next.to_owned());
    }
    if ids.len() < number || pages.is_empty() {
        return Err(format!("{path} lists {} of {number}, on {} pages", ids.len(), pages.len()).into());
    }
    // The last page may be a short one.
    pages.pop();
    let some = |all: Vec<String>| {
        let step = (all.len() / PLACES).max(1);
        all.into_iter().step_by(step).take(PLACES).collect()
    };
    Ok(Walked { things: some(ids), pages: some(pages) })
}
