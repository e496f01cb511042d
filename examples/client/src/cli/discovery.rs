//! Discovery.

use clap::Args;

use super::context::{Context, Told};
use super::failure::Failure;

#[derive(Debug, Args)]
pub(crate) struct Discover {
    /// Words that it is found by, all of them
    words: Vec<String>,
    /// What must hold, NAME=VALUE: kind=sensor, protocol=coap,http, place=kr/jeju, sort=newest, …; once for each
    #[arg(long = "with", value_name = "NAME=VALUE", value_parser = pair)]
    with: Vec<(String, String)>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("NAME=VALUE is expected")?;
    Ok((name.to_owned(), value.to_owned()))
}

impl Discover {
    pub(crate) async fn run(self, context: &Context) -> Result<Told, Failure> {
        let words = self.words.join(" ");
        let words = (!words.is_empty()).then_some(("q", words.as_str()));
        let with = self.with.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        context.ask(context.client().discover(with.chain(words))).await
    }
}
