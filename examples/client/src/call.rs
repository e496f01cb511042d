//! What the methods of a [`Client`] give: requests that are sent when they are awaited.

use std::collections::VecDeque;
use std::future::IntoFuture;
use std::marker::PhantomData;
use std::ops::Deref;

use data_encoding::BASE32_DNSSEC;
use futures_util::future::BoxFuture;
use futures_util::stream::{Stream, TryStreamExt, try_unfold};
use hyper::header::{ETAG, HeaderMap, HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH};
use hyper::{Method, StatusCode};
use i3_core::market::IdempotencyKey;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::client::Client;
use crate::request::{Received, Request, unexpected, with_query};
use crate::{EntityTag, Error};

/// An answer: the thing itself, which it derefs to, and its tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer<T> {
    /// The thing.
    pub value: T,
    /// Its tag, if it has one: for [`Change::if_match`] and [`Query::unless`].
    pub tag: Option<EntityTag>,
}

impl<T> Answer<T> {
    /// The thing alone.
    pub fn into_value(self) -> T {
        self.value
    }
}

impl<T> Deref for Answer<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// How an answer is read: its headers and its body.
pub(crate) type Reader<T> = fn(&HeaderMap, &[u8]) -> Result<T, String>;

fn json<T: DeserializeOwned>(_: &HeaderMap, body: &[u8]) -> Result<T, String> {
    // No content is nothing.
    let body = if body.is_empty() { b"null" } else { body };
    serde_json::from_slice(body).map_err(|error| error.to_string())
}

fn read<T>(received: &Received, reader: Reader<T>) -> Result<Answer<T>, Error> {
    let value = reader(&received.headers, &received.body).map_err(|why| unexpected(received.status, why))?;
    let tag = received.headers.get(ETAG).and_then(|tag| tag.to_str().ok()).and_then(|tag| tag.parse().ok());
    Ok(Answer { value, tag })
}

/// A question. Nothing is sent until it is awaited.
#[must_use = "nothing is sent until it is awaited"]
#[derive(Debug, Clone)]
pub struct Query<T> {
    client: Client,
    request: Request,
    reader: Reader<T>,
}

impl<T: DeserializeOwned> Query<T> {
    pub(crate) fn new(client: Client, request: Request) -> Self {
        Self { client, request, reader: json }
    }
}

impl<T> Query<T> {
    /// With an answer that is read in another way.
    pub(crate) fn read_by<U>(self, reader: Reader<U>) -> Query<U> {
        let Self { client, request, .. } = self;
        Query { client, request, reader }
    }

    /// Asks, but for nothing if there is nothing new: `None` if the answer would have this tag (`If-None-Match`).
    pub async fn unless(self, known: &EntityTag) -> Result<Option<Answer<T>>, Error> {
        let received = self.request.header(IF_NONE_MATCH, known.header()).send(&self.client).await?;
        if received.status == StatusCode::NOT_MODIFIED {
            return Ok(None);
        }
        read(&received, self.reader).map(Some)
    }
}

impl<T: 'static> IntoFuture for Query<T> {
    type Output = Result<Answer<T>, Error>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { read(&self.request.send(&self.client).await?, self.reader) })
    }
}

/// Something to be done. Nothing is sent until it is awaited.
///
/// It has an `Idempotency-Key` of its own, which stays the same however often it is sent: it is done once. To do the
/// same once over the life of several processes, give it a [key](Self::key) that outlives them.
#[must_use = "nothing is sent until it is awaited"]
#[derive(Debug, Clone)]
pub struct Change<T> {
    client: Client,
    request: Request,
    key: Option<IdempotencyKey>,
    reader: Reader<T>,
}

impl<T: DeserializeOwned> Change<T> {
    pub(crate) fn new(client: Client, request: Request) -> Self {
        let (key, request) = match fresh_key() {
            Some(key) => (Some(key), request),
            None => (None, request.wrong("the operating system gave no random bytes for a key")),
        };
        Self { client, request, key, reader: json }
    }
}

impl<T> Change<T> {
    /// Sent once, if it may have arrived: the key means nothing to this operation.
    pub(crate) fn not_twice(mut self) -> Self {
        self.request.repeatable = false;
        self
    }

    /// With an answer that is read in another way.
    pub(crate) fn read_by<U>(self, reader: Reader<U>) -> Change<U> {
        let Self { client, request, key, .. } = self;
        Change { client, request, key, reader }
    }

    /// Whether the key means something to this operation: whether it is done once.
    pub fn is_keyed(&self) -> bool {
        self.request.repeatable
    }

    /// Under this key instead of its own.
    pub fn key(self, key: IdempotencyKey) -> Self {
        Self { key: Some(key), ..self }
    }

    /// Its key: to be given to the same change later, if nobody knows whether it was carried out
    /// ([`Error::may_be_done`]).
    pub fn idempotency_key(&self) -> Option<&IdempotencyKey> {
        self.key.as_ref()
    }

    /// Only if the thing is still what it was when it had this tag; otherwise it is refused with `precondition_failed`.
    /// Refused by what does not change one existing thing.
    pub fn if_match(self, seen: &EntityTag) -> Self {
        let request = self.request.header(IF_MATCH, seen.header());
        Self { request, ..self }
    }
}

impl<T: 'static> IntoFuture for Change<T> {
    type Output = Result<Answer<T>, Error>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let mut request = self.request;
            if let Some(key) = self.key {
                let value = HeaderValue::try_from(key.to_string()).ok();
                request = request.header(HeaderName::from_static("idempotency-key"), value);
            }
            read(&request.send(&self.client).await?, self.reader)
        })
    }
}

/// 130 random bits.
fn fresh_key() -> Option<IdempotencyKey> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).ok()?;
    BASE32_DNSSEC.encode(&bytes).parse().ok()
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// Where the next page begins, for [`Pages::after`]; `None`: this is the last one.
    #[serde(default)]
    pub next: Option<String>,
}

/// A list that comes page by page. Awaited it is one page: the first one, or the one [after](Self::after) a place.
#[must_use = "nothing is sent until it is awaited or read as a stream"]
#[derive(Debug, Clone)]
pub struct Pages<T> {
    client: Client,
    path: String,
    parameters: Vec<(String, String)>,
    after: Option<String>,
    of: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Pages<T> {
    pub(crate) fn new(client: Client, path: String) -> Self {
        Self { client, path, parameters: Vec::new(), after: None, of: PhantomData }
    }

    /// With a parameter of the list.
    pub(crate) fn parameter(mut self, name: &str, value: &(impl ToString + ?Sized)) -> Self {
        self.parameters.retain(|(other, _)| other != name);
        self.parameters.push((name.to_owned(), value.to_string()));
        self
    }

    /// With a parameter for each member of this, texts all of them.
    pub(crate) fn parameters(self, members: &impl Serialize) -> Self {
        let Ok(Value::Object(members)) = serde_json::to_value(members) else { return self };
        members.iter().fold(self, |pages, (name, value)| match value {
            Value::String(text) => pages.parameter(name, text),
            other => pages.parameter(name, other),
        })
    }

    /// How many items a page has: 1 to 200; 50 if nothing is said.
    pub fn limit(self, limit: u16) -> Self {
        self.parameter("limit", &limit)
    }

    /// From the place where an earlier page ended: its `next`.
    pub fn after(self, next: impl Into<String>) -> Self {
        Self { after: Some(next.into()), ..self }
    }

    async fn page(&self) -> Result<Answer<Page<T>>, Error> {
        let parameters = self.parameters.iter().map(|(name, value)| (name.as_str(), value.clone()));
        let after = self.after.iter().map(|after| ("after", after.clone()));
        let path = with_query(&self.path, parameters.chain(after));
        let answer = read(&Request::new(Method::GET, path).send(&self.client).await?, json::<Page<T>>)?;
        if answer.next.is_some() && answer.next == self.after {
            return Err(unexpected(StatusCode::OK, "the page after this one is this one"));
        }
        Ok(answer)
    }

    /// Every item from here to the end, asked for page by page as they are wanted. What is added or removed
    /// meanwhile may or may not be among them; ends after the first error.
    pub fn stream(self) -> impl Stream<Item = Result<T, Error>> + Send
    where
        T: Send,
    {
        try_unfold((Some(self), VecDeque::new()), |(mut rest, mut items)| async move {
            loop {
                if let Some(item) = items.pop_front() {
                    return Ok(Some((item, (rest, items))));
                }
                let Some(pages) = rest.take() else { return Ok(None) };
                let page = pages.page().await?.value;
                items = page.items.into();
                rest = page.next.map(|next| pages.after(next));
            }
        })
    }

    /// Every item from here to the end, in memory.
    pub async fn all(self) -> Result<Vec<T>, Error>
    where
        T: Send,
    {
        self.stream().try_collect().await
    }
}

impl<T: DeserializeOwned + 'static> IntoFuture for Pages<T> {
    type Output = Result<Answer<Page<T>>, Error>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.page().await })
    }
}
