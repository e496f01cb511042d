//! What people did: taken down, shown to themselves, erased. See [`analytics`](crate::analytics).

use std::collections::{BTreeMap, BTreeSet};

use super::queries::read_if;
use super::{MarketError, Marketplace, PageRequest, Paged, Refusal};
use crate::access::{Action, Actor, Resource};
use crate::analytics::{
    AnalyticsEvent, FOLLOWER, History, HistoryId, Interaction, Item, Observation, ObservationQueue,
    ObservedSince, Popularity, PopularityId, Shift,
};
use crate::hub::{Membership, MembershipId};
use crate::id::{HubId, UserId};
use crate::notice::Position;
use crate::order::Order;
use crate::outbox::Event;
use crate::product::Product;
use crate::store::{Cell, Cursor, Decision, Entity, Halt, Key, StoreError, StoreExt, Tx, Value, limits};
use crate::time::Timestamp;
use crate::user::User;
use crate::virtual_object::VirtualObject;

/// What is taken in one batch: so many observations, of so many things in so many histories. So a batch never has more
/// operations or bytes than batches may, and who looks at one thing again and again costs one batch.
const BATCH: usize = 1_000;
const THINGS: usize = 100;
const HISTORIES: usize = 12;
/// Events that are looked at at once, and that may go by before their position is stored.
const EVENTS: usize = 256;

/// How many of the first observations fit in a batch.
fn fitting<'a>(seen: impl IntoIterator<Item = &'a Observation>) -> usize {
    let (mut histories, mut things) = (BTreeSet::new(), BTreeSet::new());
    let mut fits = |seen: &&Observation| {
        histories.insert(history_of(seen));
        things.insert((history_of(seen), seen.item));
        histories.len() <= HISTORIES && things.len() <= THINGS
    };
    seen.into_iter().take(BATCH).take_while(|seen| fits(seen)).count()
}

fn history_of(seen: &Observation) -> HistoryId {
    HistoryId { user: seen.user, interaction: seen.interaction }
}

/// Whose an item is: nobody is observed with what is one's own.
type Owners = (Option<UserId>, Option<HubId>);

impl Marketplace {
    /// Takes down what waits in the queue: the newest `kept` things of each history stay. Returns how many observations
    /// were dealt with. What was done with one's own, with what is not there, and by who is not to be observed, is left out.
    ///
    /// Call it now and then, from one task, and before the process ends. What is being written when the store fails
    /// stays in the queue; it may count twice afterwards, as two times of one person.
    pub async fn write_observations(
        &self,
        queue: &ObservationQueue,
        kept: usize,
    ) -> Result<usize, MarketError> {
        let mut written = 0;
        loop {
            let mut seen: Vec<_> = queue.first(BATCH).into_iter().map(|(_, seen)| seen).collect();
            let count = fitting(&seen);
            if count == 0 {
                return Ok(written);
            }
            seen.truncate(count);
            self.take(&seen, kept, None).await?;
            queue.drop_first(count);
            written += count;
        }
    }

    /// Takes down what was bought and rated since the last call, in whichever process that was, each once; and erases
    /// what is remembered of those who do not want to be [observed](crate::user::Profile::unobserved) any more. With
    /// `kept` of zero it takes nothing down, and goes on. Returns how much was bought and rated. Call it often; several
    /// processes may at the same time.
    ///
    /// It begins with the first event of the outbox, unless [`FOLLOWER`] was [begun](Self::begin_notices) with.
    pub async fn follow_observations(&self, kept: usize) -> Result<usize, MarketError> {
        let mut taken = 0;
        loop {
            let position = self.store.get::<Position>(&FOLLOWER.to_owned()).await?;
            let mut after = position.map_or(0, |position| position.entity.position);
            let events = self.numbered_events(after, EVENTS).await?;
            let Some(last) = events.last().map(|event| event.position) else { return Ok(taken) };
            let full = events.len() == EVENTS;
            let mut seen = Vec::new();
            let mut heeded = false;
            for event in events {
                match event.entry.event {
                    Event::UserRegistered { user } | Event::UserDescribed { user } => {
                        self.heed_wish(user, event.entry.at).await?;
                        heeded = true;
                    }
                    done => {
                        let seen_now = self.seen_in(&done, event.entry.at).await?;
                        seen.extend(seen_now.map(|seen| (event.position, seen)));
                    }
                }
            }
            if seen.is_empty() && (heeded || full) {
                self.follower_reached(FOLLOWER, last).await?;
            }
            let mut rest = seen.as_slice();
            while !rest.is_empty() {
                let (now, later) = rest.split_at(fitting(rest.iter().map(|(_, seen)| seen)).max(1));
                let reached = match now.last() {
                    Some((position, _)) if !later.is_empty() => *position,
                    _ => last,
                };
                let some: Vec<_> = now.iter().map(|(_, seen)| *seen).collect();
                let step = Step { after, position: reached };
                if !self.take(&some, kept, Some(step)).await? {
                    // Another process was here: it goes on from where that one is.
                    return Ok(taken);
                }
                (after, rest) = (reached, later);
                taken += some.len();
            }
            if !full {
                return Ok(taken);
            }
        }
    }

    /// What an event tells of somebody's use of a thing.
    async fn seen_in(&self, event: &Event, at: Timestamp) -> Result<Option<Observation>, MarketError> {
        Ok(match event {
            Event::Purchased { buyer, product, .. } => {
                let (user, item) = (*buyer, Item::Product(*product));
                Some(Observation { user, item, interaction: Interaction::Bought, at })
            }
            Event::Rated { grant, product } => {
                let order = self.store.get::<Order>(&grant.order()).await?;
                let rated = |user| Observation {
                    user,
                    item: Item::Product(*product),
                    interaction: Interaction::Rated,
                    at,
                };
                order.map(|order| rated(order.entity.buyer))
            }
            _ => None,
        })
    }

    /// Brings what is remembered of a user in accord with whether the user wants to be observed. Who changes that wish
    /// for somebody calls it afterwards, to answer once nothing is left; [`follow_observations`](Self::follow_observations)
    /// does so in any case.
    pub async fn heed_wish(&self, user: UserId, at: Timestamp) -> Result<(), MarketError> {
        let heed = Heed { user, at };
        if self.store.transact(self.now(), &*self.ids, &heed).await? {
            self.forget(user).await?;
        }
        Ok(())
    }

    /// What is remembered of a user, the latest first: for the user, and for who may audit.
    pub async fn history(
        &self,
        actor: Actor,
        user: UserId,
        page: &PageRequest,
    ) -> Result<Paged<AnalyticsEvent>, MarketError> {
        if actor == Actor::User(user) {
            self.authorize(actor, Action::ViewUser, &Resource::of_user(user)).await?;
        } else {
            self.authorize(actor, Action::Audit, &Resource::MARKETPLACE).await?;
            self.entity::<User>(&user, "user").await?;
        }
        let mut events = Vec::new();
        for History { interaction, occurrences, .. } in self.histories(user).await? {
            events.extend(occurrences.into_iter().map(|known| AnalyticsEvent {
                interaction,
                item: known.item,
                domain: known.domain,
                times: known.times,
                last: known.last,
            }));
        }
        let place = |event: &AnalyticsEvent| {
            (event.last.micros(), format!("{}:{}", event.interaction.as_str(), event.item))
        };
        events.sort_by_cached_key(|event| std::cmp::Reverse(place(event)));
        if let Some(after) = &page.after {
            let [Value::Int(last)] = after.values() else {
                return Err(Refusal::invalid("cursor", "the cursor is of another list").into());
            };
            let after = (*last, after.id().to_owned());
            events.retain(|event| place(event) < after);
        }
        let more = events.len() > page.limit;
        events.truncate(page.limit.min(limits::PAGE_ROWS));
        let next = events.last().filter(|_| more).map(|event| {
            let (last, id) = place(event);
            Cursor::after_indexed(vec![last.into()], id)
        });
        Ok(Paged { items: events, next })
    }

    pub(super) async fn histories(&self, user: UserId) -> Result<Vec<History>, MarketError> {
        let of = |interaction| History::key(&HistoryId { user, interaction });
        let keys = Interaction::ALL.into_iter().map(of).collect::<Result<Vec<_>, _>>()?;
        let mut histories = Vec::new();
        for (key, cell) in keys.iter().zip(self.store.read(&keys).await?) {
            histories.extend(read_if::<History>(key, cell)?);
        }
        Ok(histories)
    }

    /// Erases what is remembered of a user, and the user's part of what is counted. What was done before and is told
    /// late does not come back.
    pub async fn erase_history(&self, actor: Actor, user: UserId) -> Result<(), MarketError> {
        self.authorize(actor, Action::EditUser, &Resource::of_user(user)).await?;
        let found = self.store.transact(self.now(), &*self.ids, &Erase { user }).await?;
        if !found {
            return Err(Refusal::NotFound { what: "user" }.into());
        }
        self.forget(user).await
    }

    /// One history after the other: each goes with its part of the counts.
    async fn forget(&self, user: UserId) -> Result<(), MarketError> {
        for interaction in Interaction::ALL {
            let forget = Forget(HistoryId { user, interaction });
            self.store.transact(self.now(), &*self.ids, &forget).await?;
        }
        Ok(())
    }

    async fn take(&self, seen: &[Observation], kept: usize, step: Option<Step>) -> Result<bool, MarketError> {
        let seen = if kept == 0 { Vec::new() } else { self.of_others(seen).await? };
        Ok(self.store.transact(self.now(), &*self.ids, &Take { seen: &seen, kept, step }).await?)
    }

    /// Without what is there no more, and what people did with their own.
    async fn of_others(&self, seen: &[Observation]) -> Result<Vec<Observation>, MarketError> {
        let items: BTreeSet<Item> = seen.iter().map(|seen| seen.item).collect();
        let owners = self.owners_of(&items.into_iter().collect::<Vec<_>>()).await?;
        let mut members = Vec::new();
        for seen in seen {
            if let Some((_, Some(hub))) = owners.get(&seen.item) {
                members.push(MembershipId { hub: *hub, user: seen.user });
            }
        }
        let keys = members.iter().map(Membership::key).collect::<Result<BTreeSet<_>, _>>()?;
        let keys: Vec<Key> = keys.into_iter().collect();
        let cells = if keys.is_empty() { Vec::new() } else { self.store.read(&keys).await? };
        let members: BTreeSet<Key> =
            keys.into_iter().zip(cells).filter_map(|(key, cell)| cell.is_some().then_some(key)).collect();
        let mut others = Vec::new();
        for seen in seen {
            let Some((owner, hub)) = owners.get(&seen.item) else { continue };
            let member = match hub {
                Some(hub) => {
                    members.contains(&Membership::key(&MembershipId { hub: *hub, user: seen.user })?)
                }
                None => false,
            };
            if *owner != Some(seen.user) && !member {
                others.push(*seen);
            }
        }
        Ok(others)
    }

    /// Whose these are, of those that are there. At most [`limits::READ_KEYS`].
    async fn owners_of(&self, items: &[Item]) -> Result<BTreeMap<Item, Owners>, MarketError> {
        let mut keys = Vec::with_capacity(items.len());
        for item in items {
            keys.push(match item {
                Item::Object(object) => VirtualObject::key(object)?,
                Item::Product(product) => Product::key(product)?,
            });
        }
        let cells: Vec<Option<Cell>> =
            if keys.is_empty() { Vec::new() } else { self.store.read(&keys).await? };
        let mut owners = BTreeMap::new();
        for ((item, key), cell) in items.iter().zip(&keys).zip(cells) {
            let owner = match item {
                Item::Object(_) => {
                    read_if::<VirtualObject>(key, cell)?.map(|object| (Some(object.owner), object.hub))
                }
                Item::Product(_) => read_if::<Product>(key, cell)?.map(|product| (None, Some(product.hub))),
            };
            owners.extend(owner.map(|owner| (*item, owner)));
        }
        Ok(owners)
    }
}

/// From where to where the follower of the outbox goes.
#[derive(Debug, Clone, Copy)]
struct Step {
    after: u64,
    position: u64,
}

impl Step {
    /// Goes, unless another process has.
    fn go(self, tx: &mut Tx<'_, Refusal>) -> Result<bool, Halt<Refusal>> {
        let next = Position { follower: FOLLOWER.to_owned(), position: self.position };
        match tx.get::<Position>(&next.follower)? {
            Some(held) if held.position != self.after => return Ok(false),
            Some(_) => tx.replace(&next)?,
            None => tx.create(&next)?,
        }
        Ok(true)
    }
}

/// Takes observations down, and goes on in the outbox in the same batch. False if somebody else has gone on.
struct Take<'a> {
    seen: &'a [Observation],
    kept: usize,
    step: Option<Step>,
}

impl Decision for Take<'_> {
    type Done = bool;
    type Refusal = Refusal;

    fn decide(&self, tx: &mut Tx<'_, Refusal>) -> Result<bool, Halt<Refusal>> {
        if let Some(step) = self.step
            && !step.go(tx)?
        {
            return Ok(false);
        }
        let mut keys = BTreeSet::new();
        for seen in self.seen {
            keys.extend([
                User::key(&seen.user)?,
                ObservedSince::key(&seen.user)?,
                History::key(&history_of(seen))?,
            ]);
        }
        tx.want(keys)?;
        let mut histories = BTreeMap::new();
        let mut counts = Counts::default();
        for seen in self.seen {
            let Some(user) = tx.get::<User>(&seen.user)? else { continue };
            let since = tx.get::<ObservedSince>(&seen.user)?;
            if user.profile.unobserved || since.is_some_and(|since| !since.takes(seen.at)) {
                continue;
            }
            let id = history_of(seen);
            let (_, history) = match histories.entry(id) {
                std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
                std::collections::btree_map::Entry::Vacant(unknown) => {
                    let before = tx.get::<History>(&id)?;
                    let is_new = before.is_none();
                    unknown.insert((is_new, before.unwrap_or(History::empty(seen.user, seen.interaction))))
                }
            };
            let shifts = history.take(seen.item, seen.at, user.profile.domain.as_ref(), self.kept);
            counts.shift(seen.interaction, shifts);
        }
        for (is_new, history) in histories.values() {
            if *is_new { tx.create(history)? } else { tx.replace(history)? }
        }
        counts.write(tx)?;
        Ok(true)
    }
}

/// What is to be added to how many people did what.
#[derive(Default)]
struct Counts(BTreeMap<PopularityId, BTreeMap<Interaction, i64>>);

impl Counts {
    fn shift(&mut self, interaction: Interaction, shifts: Vec<Shift>) {
        for Shift { domain, item, counts } in shifts {
            let of_item = self.0.entry(PopularityId { domain, item }).or_default();
            let more = of_item.entry(interaction).or_default();
            *more = more.saturating_add(if counts { 1 } else { -1 });
        }
    }

    fn write(mut self, tx: &mut Tx<'_, Refusal>) -> Result<(), Halt<Refusal>> {
        self.0.retain(|_, more| more.values().any(|more| *more != 0));
        tx.want(self.0.keys().map(Popularity::key).collect::<Result<Vec<_>, StoreError>>()?)?;
        for (id, more) in self.0 {
            let before = tx.get::<Popularity>(&id)?;
            let mut people = before.as_ref().map(|before| before.people).unwrap_or_default();
            for (interaction, more) in more {
                people.add(interaction, more);
            }
            let PopularityId { domain, item } = id.clone();
            let now = Popularity { domain, item, people };
            match (before.is_some(), people.is_nobody()) {
                (true, true) => tx.remove::<Popularity>(&id)?,
                (true, false) => tx.replace(&now)?,
                (false, true) => {}
                (false, false) => tx.create(&now)?,
            }
        }
        Ok(())
    }
}

fn set_since(tx: &mut Tx<'_, Refusal>, user: UserId, since: Option<Timestamp>) -> Result<(), Halt<Refusal>> {
    let next = ObservedSince { user, since };
    match tx.get::<ObservedSince>(&user)? {
        Some(_) => tx.replace(&next),
        None => tx.create(&next),
    }
}

/// Begins or ends the observation of a user, as the user wishes. True if what is remembered is to be erased.
struct Heed {
    user: UserId,
    at: Timestamp,
}

impl Decision for Heed {
    type Done = bool;
    type Refusal = Refusal;

    fn decide(&self, tx: &mut Tx<'_, Refusal>) -> Result<bool, Halt<Refusal>> {
        let Some(user) = tx.get::<User>(&self.user)? else { return Ok(false) };
        let ended = tx.get::<ObservedSince>(&self.user)?.is_some_and(|known| known.since.is_none());
        match (user.profile.unobserved, ended) {
            (true, false) => set_since(tx, self.user, None)?,
            (false, true) => set_since(tx, self.user, Some(self.at))?,
            _ => {}
        }
        Ok(user.profile.unobserved)
    }
}

/// Lets nothing come back that a user did until now. False if there is no such user.
struct Erase {
    user: UserId,
}

impl Decision for Erase {
    type Done = bool;
    type Refusal = Refusal;

    fn decide(&self, tx: &mut Tx<'_, Refusal>) -> Result<bool, Halt<Refusal>> {
        let Some(user) = tx.get::<User>(&self.user)? else { return Ok(false) };
        // What was done at this very moment is erased too.
        let since = tx.now().plus(std::time::Duration::from_micros(1));
        set_since(tx, self.user, Some(since).filter(|_| !user.profile.unobserved))?;
        Ok(true)
    }
}

/// Removes a history with its part of the counts.
struct Forget(HistoryId);

impl Decision for Forget {
    type Done = ();
    type Refusal = Refusal;

    fn decide(&self, tx: &mut Tx<'_, Refusal>) -> Result<(), Halt<Refusal>> {
        let Some(history) = tx.get::<History>(&self.0)? else { return Ok(()) };
        tx.remove::<History>(&self.0)?;
        let mut counts = Counts::default();
        counts.shift(history.interaction, history.erased());
        counts.write(tx)
    }
}
