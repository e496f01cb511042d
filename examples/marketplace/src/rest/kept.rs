//! Answers that are the same for everybody are made once, as long as nothing that they are made of changes.
//!
//! A handler asks whether its answer is [known](Shelf::known), after the caller was authenticated, and otherwise gives what
//! it made [to be kept](Shelf::keep). The layer around all routes keeps it when it is in its format. With it stands the
//! [`Revision`] that was read before it was made: a change that was acknowledged is in every answer that begins afterwards.
//! HAL is never kept: its links say what the caller may do. A store that others write to as well cannot tell
//! revisions, and nothing is kept.

use std::fmt;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Response as HttpResponse};
use axum::response::{IntoResponse, Response};
use i3_core::store::Revision;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::representation::{Asked, Format, USUAL_HEADERS};
use super::route::{Doc, Output};

/// How much memory kept answers may take, in bytes, roughly.
const BYTES: u64 = 16 * 1024 * 1024;
/// What an answer takes besides its texts, in bytes, roughly.
const ENTRY_BYTES: usize = 700;
/// What an answer takes in all, roughly.
const USUAL_BYTES: u64 = 4_000;

/// What an answer is an answer to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Question {
    format: Format,
    address: String,
    /// Whether it is for those who see what is not public.
    inside: bool,
}

/// An answer in its format, with its entity tag.
#[derive(Debug)]
struct Answered {
    revision: Revision,
    headers: HeaderMap,
    body: Bytes,
}

#[derive(Debug, Clone)]
struct Weight;

impl Weighter<Question, Arc<Answered>> for Weight {
    fn weight(&self, question: &Question, answer: &Arc<Answered>) -> u64 {
        u64::try_from(ENTRY_BYTES + question.address.len() + answer.body.len()).unwrap_or(u64::MAX)
    }
}

/// The answers of one server.
#[derive(Clone)]
pub(super) struct KeptAnswers(Arc<Cache<Question, Arc<Answered>, Weight>>);

impl Default for KeptAnswers {
    fn default() -> Self {
        let number = usize::try_from(BYTES / USUAL_BYTES).unwrap_or(usize::MAX);
        Self(Arc::new(Cache::with_weighter(number, BYTES, Weight)))
    }
}

impl fmt::Debug for KeptAnswers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeptAnswers").field("bytes", &self.0.weight()).finish_non_exhaustive()
    }
}

impl KeptAnswers {
    /// Where the answer to this is kept, made of what now has this revision, for all who see what is not public or for all
    /// who do not.
    pub(super) fn shelf(&self, asked: &Asked, revision: Option<Revision>, inside: bool) -> Shelf {
        let revision = revision.filter(|_| asked.format != Format::Hal);
        Shelf(revision.map(|revision| {
            let question = Question { format: asked.format, address: asked.address().to_owned(), inside };
            Kept { answers: self.clone(), question, revision }
        }))
    }
}

/// Where an answer is kept, if it can be.
#[derive(Debug)]
pub(super) struct Shelf(Option<Kept>);

/// On its way through the layer around all routes.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    answers: KeptAnswers,
    question: Question,
    revision: Revision,
}

/// What is answered: something known, or something new.
#[derive(Debug)]
pub(super) enum Keeping<T> {
    /// It is known.
    Known(Known),
    /// It was made, to be kept or not.
    New(T, Option<Kept>),
}

/// An answer that was kept.
#[derive(Debug, Clone)]
pub(super) struct Known(Arc<Answered>);

impl Shelf {
    /// The answer, if it is known and nothing has changed.
    pub(super) fn known<T>(&self) -> Option<Keeping<T>> {
        let Kept { answers, question, revision } = self.0.as_ref()?;
        let answer = answers.0.get(question).filter(|answer| answer.revision == *revision)?;
        Some(Keeping::Known(Known(answer)))
    }

    /// This is the answer, to everybody.
    pub(super) fn keep<T>(self, answer: T) -> Keeping<T> {
        Keeping::New(answer, self.0)
    }
}

impl<T> Keeping<T> {
    /// An answer to this caller alone.
    pub(super) fn once(answer: T) -> Self {
        Self::New(answer, None)
    }
}

impl Kept {
    /// Keeps what is answered.
    pub(super) fn keep(self, headers: &HeaderMap, body: &Bytes) {
        let answer = Answered { revision: self.revision, headers: headers.clone(), body: body.clone() };
        self.answers.0.insert(self.question, Arc::new(answer));
    }
}

impl<T: IntoResponse> IntoResponse for Keeping<T> {
    fn into_response(self) -> Response {
        match self {
            Self::Known(known) => {
                let mut response = HttpResponse::new(Body::from(known.0.body.clone()));
                let headers = response.headers_mut();
                headers.reserve(USUAL_HEADERS);
                headers.extend(known.0.headers.iter().map(|(name, value)| (name.clone(), value.clone())));
                response.extensions_mut().insert(known);
                response
            }
            Self::New(answer, kept) => {
                let mut response = answer.into_response();
                if let Some(kept) = kept {
                    response.extensions_mut().insert(kept);
                }
                response
            }
        }
    }
}

impl<T: Output> Output for Keeping<T> {
    fn describe(doc: &mut Doc<'_>) {
        T::describe(doc);
    }
}

#[cfg(test)]
mod tests {
    use i3_core::store::{Batch, Collection, Draft, Kind, Op, Revisions};

    use super::*;

    static THINGS: Collection =
        Collection { name: "things", kind: Kind::Records, about: "", columns: &[], indexes: &[] };

    fn asked(format: Format) -> Asked {
        let mut asked = Asked::default();
        asked.format = format;
        asked
    }

    /// The body that is known.
    fn known(shelf: &Shelf) -> Option<Bytes> {
        match shelf.known::<()>()? {
            Keeping::Known(Known(answer)) => Some(answer.body.clone()),
            Keeping::New(..) => None,
        }
    }

    fn keep(shelf: Shelf, body: &'static str) {
        if let Keeping::New((), Some(kept)) = shelf.keep(()) {
            kept.keep(&HeaderMap::new(), &Bytes::from_static(body.as_bytes()));
        }
    }

    #[test]
    fn an_answer_is_given_again_until_the_revision_is_another() {
        let (answers, revisions) = (KeptAnswers::default(), Revisions::default());
        let now = || Some(revisions.of(&[&THINGS]));
        let json = asked(Format::Json);
        assert_eq!(known(&answers.shelf(&json, now(), false)), None);
        keep(answers.shelf(&json, now(), false), "{}");
        assert_eq!(known(&answers.shelf(&json, now(), false)), Some(Bytes::from_static(b"{}")));
        assert_eq!(known(&answers.shelf(&json, now(), true)), None, "others see more of it");
        assert_eq!(known(&answers.shelf(&asked(Format::Xml), now(), false)), None);
        let change = Op::Create(Draft::new(&THINGS, "a", Vec::new(), "{}").unwrap());
        revisions.changed([&Batch::of(vec![change]).unwrap()]);
        assert_eq!(known(&answers.shelf(&json, now(), false)), None);
    }

    #[test]
    fn nothing_is_kept_with_links_or_if_nobody_can_tell_whether_it_changed() {
        let (answers, revisions) = (KeptAnswers::default(), Revisions::default());
        for (format, revision) in [(Format::Hal, Some(revisions.of(&[&THINGS]))), (Format::Json, None)] {
            let shelf = || answers.shelf(&asked(format), revision, false);
            keep(shelf(), "{}");
            assert_eq!(known(&shelf()), None, "{format:?}");
        }
    }
}
