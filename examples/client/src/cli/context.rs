//! Who asks whom, and how answers are told.

use std::fmt::Write as _;

use clap::Args;
use futures_util::TryStreamExt as _;
use i3_client::{Answer, Change, Client, EntityTag, Page, Pages, Query, Secret, Settings};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::Options;
use super::failure::Failure;
use super::given::{secret_if_given, text_of};
use super::profile;
use super::readable::readable;

/// What a command was told.
#[derive(Debug)]
pub(crate) struct Told {
    value: Value,
    tag: Option<EntityTag>,
}

impl Told {
    /// An answer.
    pub(crate) fn of<T: Serialize>(answer: &Answer<T>) -> Result<Self, Failure> {
        let value = serde_json::to_value(&answer.value);
        let value =
            value.map_err(|error| Failure::Files(format!("the answer cannot be written: {error}")))?;
        Ok(Self { value, tag: answer.tag.clone() })
    }

    /// What the program itself has to say.
    pub(crate) fn own(value: Value) -> Self {
        Self { value, tag: None }
    }

    /// For people, or as JSON.
    pub(crate) fn text(mut self, as_json: bool) -> String {
        if !as_json {
            let mut text = readable(&self.value);
            if let Some(tag) = self.tag {
                let _ = writeln!(text, "etag  {tag}");
            }
            return text;
        }
        if let (Some(tag), Some(members)) = (self.tag, self.value.as_object_mut()) {
            members.insert("_etag".to_owned(), json!(tag));
        }
        if self.value.is_null() { String::new() } else { format!("{:#}\n", self.value) }
    }
}

/// How much of a list.
#[derive(Debug, Clone, Args)]
pub(crate) struct ListArgs {
    /// How many items at most on a page: 1 to 200, 50 by default
    #[arg(long, value_name = "NUMBER")]
    pub(crate) limit: Option<u16>,
    /// From where an earlier page ended: its `next`
    #[arg(long, value_name = "NEXT")]
    pub(crate) after: Option<String>,
    /// Everything to the end, not one page
    #[arg(long)]
    pub(crate) all: bool,
}

/// A client with what the command line says of all requests.
#[derive(Debug)]
pub(crate) struct Context {
    client: Client,
    pub(crate) options: Options,
}

impl Context {
    /// As whom the options say: the token of a file, of the environment, or of the profile.
    pub(crate) fn of(options: Options) -> Result<Self, Failure> {
        let kept = profile::load(&options.profile)?;
        let server = match (&options.server, &kept) {
            (Some(server), _) => server.clone(),
            (None, Some(kept)) => parsed(&kept.server)?,
            (None, None) => parsed("http://127.0.0.1:8080")?,
        };
        let mut settings = Settings::new(server).timeout(options.patience());
        if let Some(file) = &options.ca_file {
            settings = settings.authorities(text_of(file)?);
        }
        if options.unprotected {
            settings = settings.unprotected();
        }
        let nobody = Client::new(settings)?;
        let given = secret_if_given(options.token_file.as_deref(), "I3_TOKEN")?;
        // A token is told to the server that gave it and to no other.
        let own = |kept: &profile::Kept| kept.server == nobody.server().as_str();
        let token: Option<Secret> = given.or_else(|| kept.filter(own).map(|kept| kept.token));
        let client = match token {
            Some(token) => nobody.with_token(&token)?,
            None => nobody,
        };
        Ok(Self { client, options })
    }

    /// As whom to ask.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Asks.
    pub(crate) async fn ask<T>(&self, query: Query<T>) -> Result<Told, Failure>
    where
        T: Serialize + DeserializeOwned + 'static,
    {
        Told::of(&query.await?)
    }

    /// Does something.
    pub(crate) async fn change<T: Serialize + 'static>(&self, change: Change<T>) -> Result<Told, Failure> {
        Told::of(&self.changed(change).await?)
    }

    /// Does something, as the options say; gives the answer itself.
    pub(crate) async fn changed<T: 'static>(&self, mut change: Change<T>) -> Result<Answer<T>, Failure> {
        if let Some(key) = &self.options.idempotency_key {
            change = change.key(key.clone());
        }
        if let Some(tag) = &self.options.if_match {
            change = change.if_match(tag);
        }
        let key = change.idempotency_key().filter(|_| change.is_keyed()).map(ToString::to_string);
        change.await.map_err(|error| {
            let key = key.filter(|_| error.may_be_done());
            Failure::Asked { error, key }
        })
    }

    /// A page of a list, or all of it.
    pub(crate) async fn list<T>(&self, mut pages: Pages<T>, list: &ListArgs) -> Result<Told, Failure>
    where
        T: Serialize + DeserializeOwned + Send + 'static,
    {
        if let Some(limit) = list.limit {
            pages = pages.limit(limit);
        }
        if let Some(after) = &list.after {
            pages = pages.after(after);
        }
        if !list.all {
            return Told::of(&pages.await?);
        }
        let items: Vec<T> = pages.stream().try_collect().await?;
        Told::of(&Answer { value: Page { items, next: None }, tag: None })
    }
}

fn parsed(server: &str) -> Result<i3_client::Server, Failure> {
    server.parse().map_err(|error| Failure::Usage(format!("{server}: {error}")))
}
