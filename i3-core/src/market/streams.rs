//! What sellers say of streams, what gates tell of them, and what people see of both.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use super::catalogue::managed;
use super::{Command, Context, Decided, MarketError, Marketplace, Refusal};
use crate::access::{Action, Actor, Resource};
use crate::gate::{AccessChange, Streams, StreamsError};
use crate::id::ProductId;
use crate::outbox::Event;
use crate::product::{Product, ProductState};
use crate::quality::{Quality, QualitySummary};
use crate::store::{Decision, Entity, Halt, Refused, StoreError, StoreErrorKind, StoreExt, Tx};
use crate::stream::{
    Sample, SampleViews, SampleViewsId, Samples, SequenceBlock, StreamDescription, StreamHead, StreamQuality,
    StreamReport, StreamTerms,
};

/// Says anew what a product's messages are like and what is shown of them. What was measured stays; samples that
/// were kept under the old terms are gone, and gates go by the new terms before this returns.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DescribeStream {
    /// The product.
    pub product: ProductId,
    /// All that is said from now on.
    pub stream: StreamDescription,
}

impl Command for DescribeStream {
    type Done = StreamTerms;
    const NAME: &'static str = "describe_stream";

    fn decide(&self, context: &mut Context<'_, '_>) -> Decided<StreamTerms> {
        let (product, before) = told(context, self.product)?;
        say(context, &product, before.as_ref(), self.stream.clone())
    }
}

/// Changes some of what a product's messages are said to be like: a merge patch (RFC 7396) of `schema`, as the JSON
/// that it is, and of `sample`. Where that changes nothing, nothing happens; otherwise as [`DescribeStream`]. A patch
/// cannot put a `null` into a schema: saying all anew can.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AmendStream {
    /// The product.
    pub product: ProductId,
    /// What changes: a member that is null goes away, an object is merged, all else takes the place of what there was.
    pub patch: Map<String, Json>,
}

impl Command for AmendStream {
    type Done = StreamTerms;
    const NAME: &'static str = "amend_stream";

    fn decide(&self, context: &mut Context<'_, '_>) -> Decided<StreamTerms> {
        let (product, before) = told(context, self.product)?;
        let said = before.as_ref().map(|terms| &terms.description).cloned().unwrap_or_default();
        let stream =
            said.amended(&self.patch).map_err(|error| Halt::Refused(Refusal::invalid("stream", error)))?;
        if stream == said {
            let nothing = StreamTerms { product: product.id, revision: 0, description: said };
            return Ok(before.unwrap_or(nothing));
        }
        say(context, &product, before.as_ref(), stream)
    }
}

/// The product, if the actor manages it, with what is said of its stream.
fn told(context: &mut Context<'_, '_>, product: ProductId) -> Decided<(Product, Option<StreamTerms>)> {
    let product = managed(context, product)?;
    context.tx.want([StreamTerms::key(&product.id)?, Samples::key(&product.id)?])?;
    let before = context.tx.get(&product.id)?;
    Ok((product, before))
}

/// Says this from now on.
fn say(
    context: &mut Context<'_, '_>,
    product: &Product,
    before: Option<&StreamTerms>,
    description: StreamDescription,
) -> Decided<StreamTerms> {
    check(context, &description)?;
    let revision = before.map_or(1, |terms| terms.revision.saturating_add(1));
    let terms = StreamTerms { product: product.id, revision, description };
    match before {
        Some(_) => context.tx.replace(&terms)?,
        None => context.tx.create(&terms)?,
    }
    // They may show what is not to be shown any more.
    if context.tx.get::<Samples>(&product.id)?.is_some() {
        context.tx.remove::<Samples>(&product.id)?;
    }
    context.emit(Event::ProductChanged { product: product.id, hub: product.hub });
    context.access_changed(AccessChange::Product(product.id));
    Ok(terms)
}

/// Refuses what makes no sense.
pub(super) fn check(context: &Context<'_, '_>, stream: &StreamDescription) -> Decided<()> {
    if let Some(sample) = &stream.sample {
        sample.check().map_err(|error| Halt::Refused(error.into()))?;
    }
    stream.schema.as_ref().map_or(Ok(()), |schema| context.check_schema(schema))
}

type Told<T> = Result<T, Halt<StreamsError>>;

fn known(tx: &mut Tx<'_, StreamsError>, product: ProductId) -> Told<()> {
    tx.need::<Product>(&product, StreamsError::NoSuchProduct).map(drop)
}

fn keep<E: Entity, R>(tx: &mut Tx<'_, R>, is_there: bool, entity: &E) -> Result<(), Halt<R>> {
    if is_there { tx.replace(entity) } else { tx.create(entity) }
}

struct Reserve<'a> {
    product: ProductId,
    holder: &'a str,
    count: u64,
}

impl Decision for Reserve<'_> {
    type Done = SequenceBlock;
    type Refusal = StreamsError;

    fn decide(&self, tx: &mut Tx<'_, StreamsError>) -> Told<SequenceBlock> {
        tx.want([Product::key(&self.product)?, StreamHead::key(&self.product)?])?;
        known(tx, self.product)?;
        let head: Option<StreamHead> = tx.get(&self.product)?;
        let is_there = head.is_some();
        let mut head = head.unwrap_or_else(|| StreamHead::new(self.product));
        let block = head.reserve(self.holder, self.count).map_err(|used_up| Halt::Refused(used_up.into()))?;
        keep(tx, is_there, &head)?;
        Ok(block)
    }
}

struct Release<'a> {
    product: ProductId,
    holder: &'a str,
    rest: SequenceBlock,
}

impl Decision for Release<'_> {
    type Done = ();
    type Refusal = StreamsError;

    fn decide(&self, tx: &mut Tx<'_, StreamsError>) -> Told<()> {
        let Some(mut head) = tx.get::<StreamHead>(&self.product)? else { return Ok(()) };
        if head.release(self.holder, self.rest) { tx.replace(&head) } else { Ok(()) }
    }
}

struct Report {
    product: ProductId,
    report: StreamReport,
}

impl Decision for Report {
    type Done = ();
    type Refusal = StreamsError;

    fn decide(&self, tx: &mut Tx<'_, StreamsError>) -> Told<()> {
        let Self { product, report } = self;
        tx.want([
            Product::key(product)?,
            StreamTerms::key(product)?,
            StreamQuality::key(product)?,
            Samples::key(product)?,
        ])?;
        known(tx, *product)?;
        let measured: Option<StreamQuality> = tx.get(product)?;
        let is_there = measured.is_some();
        let mut measured =
            measured.unwrap_or_else(|| StreamQuality { product: *product, quality: Quality::default() });
        measured.quality.merge(&report.quality);
        keep(tx, is_there, &measured)?;

        let terms: Option<StreamTerms> = tx.get(product)?;
        let Some(terms) = terms.filter(|terms| terms.revision == report.revision) else { return Ok(()) };
        let Some(sample) = &terms.description.sample else { return Ok(()) };
        if report.samples.is_empty() {
            return Ok(());
        }
        let kept: Option<Samples> = tx.get(product)?;
        let is_there = kept.is_some();
        let mut samples = kept
            .filter(|samples| samples.revision == terms.revision)
            .unwrap_or_else(|| Samples::new(*product, terms.revision));
        samples.add(&report.samples, sample.last);
        keep(tx, is_there, &samples)
    }
}

impl Marketplace {
    async fn tell<D: Decision<Refusal = StreamsError>>(&self, decision: &D) -> Result<D::Done, StreamsError> {
        self.store.transact(self.clock.now(), &*self.ids, decision).await.map_err(|refused| match refused {
            Refused::Refusal(error) => error,
            Refused::Conflict => {
                StoreError::new(StoreErrorKind::Busy, "too many gates write of one stream at once").into()
            }
            Refused::Store(error) => error.into(),
        })
    }
}

#[async_trait]
impl Streams for Marketplace {
    async fn reserve(
        &self,
        product: ProductId,
        holder: &str,
        count: u64,
    ) -> Result<SequenceBlock, StreamsError> {
        self.tell(&Reserve { product, holder, count }).await
    }

    async fn release(
        &self,
        product: ProductId,
        holder: &str,
        rest: SequenceBlock,
    ) -> Result<(), StreamsError> {
        self.tell(&Release { product, holder, rest }).await
    }

    async fn report(&self, product: ProductId, report: StreamReport) -> Result<(), StreamsError> {
        if report.is_empty() {
            return Ok(());
        }
        self.tell(&Report { product, report }).await
    }
}

/// A product's sample, as one person sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct SampleAnswer {
    /// The newest messages, in the order of their numbers; none if none was published since the terms last changed.
    pub samples: Vec<Sample>,
    /// How often the person may look again today (UTC); `None` if as often as one likes.
    pub looks_left: Option<u16>,
}

/// Counts a look of a person.
struct Look {
    id: SampleViewsId,
    limit: u16,
}

impl Decision for Look {
    type Done = u16;
    type Refusal = Refusal;

    fn decide(&self, tx: &mut Tx<'_, Refusal>) -> Decided<u16> {
        let views: Option<SampleViews> = tx.get(&self.id)?;
        let is_there = views.is_some();
        let mut views = views.unwrap_or_else(|| SampleViews::none(self.id));
        let left = views.look(tx.now(), self.limit).ok_or(Halt::Refused(Refusal::SamplesUsedUp))?;
        keep(tx, is_there, &views)?;
        Ok(left)
    }
}

impl Marketplace {
    /// What is said of a product's stream, as anybody sees it who sees the product.
    pub async fn stream_terms(
        &self,
        actor: Actor,
        product: ProductId,
    ) -> Result<Option<StreamTerms>, MarketError> {
        let product = self.product(actor, product).await?;
        Ok(self.store.get::<StreamTerms>(&product.id).await?.map(|terms| terms.entity))
    }

    /// What was measured of a product's stream, as anybody sees it who sees the product.
    pub async fn quality(&self, actor: Actor, product: ProductId) -> Result<QualitySummary, MarketError> {
        let product = self.product(actor, product).await?;
        let measured = self.store.get::<StreamQuality>(&product.id).await?;
        Ok(measured.map(|found| found.entity.quality).unwrap_or_default().summary(self.now()))
    }

    /// The newest messages of a listed product, redacted, for people who might buy it. Each look at messages is
    /// counted, never metered or billed; a person has as many a day as the terms say. Members of the hub look at their
    /// own sample as often as they like, whatever the product's state.
    pub async fn sample(&self, actor: Actor, product: ProductId) -> Result<SampleAnswer, MarketError> {
        let product = self.product(actor, product).await?;
        let member = match self.authorize_in_hub(actor, Action::ViewHub, product.hub).await {
            Ok(()) => true,
            Err(MarketError::Refused(refusal)) if refusal.is_denial() => false,
            Err(error) => return Err(error),
        };
        if !member {
            let oneself = match actor {
                Actor::User(user) => Resource::of_user(user),
                _ => Resource::MARKETPLACE,
            };
            self.authorize(actor, Action::Purchase, &oneself).await?;
            if product.state != ProductState::Listed {
                let state = product.state.as_str();
                return Err(Refusal::WrongState { what: "product", state }.into());
            }
        }
        let terms = self.store.get::<StreamTerms>(&product.id).await?.map(|found| found.entity);
        let revision = terms.as_ref().map(|terms| terms.revision);
        let Some(sample) = terms.and_then(|terms| terms.description.sample) else {
            return Err(Refusal::NotFound { what: "sample" }.into());
        };
        let kept = self.store.get::<Samples>(&product.id).await?.map(|found| found.entity);
        let samples = kept.filter(|kept| Some(kept.revision) == revision);
        let samples = samples.map(|kept| kept.samples).unwrap_or_default();
        let looks_left = match actor {
            Actor::User(user) if !member && !samples.is_empty() => {
                let look = Look {
                    id: SampleViewsId { product: product.id, user },
                    limit: sample.per_person_per_day,
                };
                Some(self.store.transact(self.now(), &*self.ids, &look).await?)
            }
            _ => None,
        };
        Ok(SampleAnswer { samples, looks_left })
    }
}
