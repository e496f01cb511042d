//! Notices: made of the outbox, read in boxes, mailed from a queue. None of it is a command, and the audit log has none
//! of it; see [`notice`](crate::notice).

use super::queries::declared;
use super::{MarketError, Marketplace, Numbered, Refusal};
use crate::access::{Action, Actor, HubRole, Resource};
use crate::grant::Grant;
use crate::hub::{Hub, Membership, MembershipId};
use crate::id::{HubId, OrderId, UserId};
use crate::notice::{
    Mail, Mailing, Message, News, Notice, NoticeBox, NoticeId, NotifyError, Position, Recipient, text,
};
use crate::order::{Order, OrderState};
use crate::outbox::{self, Event, OutboxEntry};
use crate::product::Product;
use crate::store::{
    Cell, Decision, Entity, Halt, Refused, Scan, StoreError, StoreErrorKind, StoreExt, Tx, limits,
};
use crate::time::Timestamp;
use crate::user::{PasswordReset, User, UserState};

/// Who makes notices, among those who follow the outbox.
const FOLLOWER: &str = "notices";
/// Events without news after which the position is stored all the same.
const STRIDE: u64 = 256;
/// Owners of one hub who are told of one event, at most.
const OWNERS: usize = 50;
/// Mails that one call of [`Marketplace::send_mails`] tries.
const MAILS: usize = 20;
/// Notices over the limit at which a box is emptied down to it.
const SLACK: u32 = 20;

/// What became of the mails that were due.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct MailReport {
    /// How many were sent.
    pub sent: usize,
    /// How many have nobody to go to any more: no address, or a leave that is over.
    pub void: usize,
    /// Those that will be tried again, with the reason.
    pub later: Vec<(NoticeId, NotifyError)>,
    /// Those that were given up, with the reason.
    pub given_up: Vec<(NoticeId, NotifyError)>,
}

impl Marketplace {
    /// The events that this follower of the outbox has not [dealt with](Self::follower_reached), up to `limit`. A
    /// follower is a name; one that nobody knew begins at the first event.
    ///
    /// A follower that deals with events first and then says so deals with each at least once.
    pub async fn follower_events(
        &self,
        follower: &str,
        limit: usize,
    ) -> Result<Vec<Numbered<OutboxEntry>>, MarketError> {
        let position = self.store.get::<Position>(&follower.to_owned()).await?;
        let after = position.map_or(0, |position| position.entity.position);
        self.numbered_events(after, limit.min(limits::PAGE_ROWS)).await
    }

    /// Stores that the follower has dealt with all events up to this position. Never goes backwards.
    pub async fn follower_reached(&self, follower: &str, position: u64) -> Result<(), MarketError> {
        let reached = Reached { follower, position };
        Ok(settled(self.store.transact(self.now(), &*self.ids, &reached).await)?)
    }

    /// Lets the makers of notices begin with what happens from now on, where nobody made any yet: users are not told
    /// of what they did long ago. Does nothing where they have begun.
    pub async fn begin_notices(&self, followers: &[&str]) -> Result<(), MarketError> {
        let end = match self.store.read(&[outbox::stream()?]).await?.pop().flatten() {
            Some(Cell::Stream { position, .. }) => position,
            _ => 0,
        };
        for follower in [FOLLOWER].iter().chain(followers) {
            if self.store.get::<Position>(&(*follower).to_owned()).await?.is_none() {
                self.follower_reached(follower, end).await?;
            }
        }
        Ok(())
    }

    /// Makes the notices of what happened since the last call, in whichever process that was, and queues their mails.
    /// Returns how many were made. Call it often; several processes may at the same time.
    pub async fn post_notices(&self) -> Result<usize, MarketError> {
        let mut posted = 0;
        loop {
            let stored = self.store.get::<Position>(&FOLLOWER.to_owned()).await?;
            let after = stored.map_or(0, |stored| stored.entity.position);
            let events = self.numbered_events(after, limits::PAGE_ROWS).await?;
            let full = events.len() == limits::PAGE_ROWS;
            let mut reached = after;
            for event in &events {
                let news = self.news_of(&event.entry.event).await?;
                let idle = event.position.saturating_sub(reached) < STRIDE;
                if news.is_empty() && idle {
                    continue;
                }
                let post = Post { after: reached, event, news: &news };
                if !settled(self.store.transact(self.now(), &*self.ids, &post).await)? {
                    // Another process was here: it goes on from where that one is.
                    return Ok(posted);
                }
                posted += news.len();
                for (to, _) in &news {
                    self.make_room(*to).await?;
                }
                reached = event.position;
            }
            if !full {
                return Ok(posted);
            }
            if let Some(last) = events.last() {
                self.follower_reached(FOLLOWER, last.position).await?;
            }
        }
    }

    async fn owners(&self, hub: HubId) -> Result<Vec<Recipient>, MarketError> {
        let scan = Scan::prefix(Membership::collection(), format!("{hub}:")).limit(limits::PAGE_ROWS);
        let (members, _) = self.store.list::<Membership>(&scan).await?;
        let owners = members.into_iter().filter(|member| member.role == HubRole::Owner);
        Ok(owners.take(OWNERS).map(|member| Recipient::User(member.user)).collect())
    }

    async fn known<E: Entity>(&self, id: &E::Id) -> Result<Option<E>, StoreError> {
        Ok(self.store.get::<E>(id).await?.map(|found| found.entity))
    }

    /// Who is to be told what of an event. Whatever it is about may have gone on since; then they are told of how it
    /// is now.
    async fn news_of(&self, event: &Event) -> Result<Vec<(Recipient, News)>, MarketError> {
        let to = |user: &UserId| Recipient::User(*user);
        Ok(match event {
            Event::UserRegistered { user } => match self.known::<User>(user).await? {
                Some(known) if known.state == UserState::Pending => {
                    let User { id: user, name, display, profile, .. } = known;
                    let registered = News::Registered { user, name, display, domain: profile.domain };
                    vec![(to(&user), News::Waiting), (Recipient::Administrators, registered)]
                }
                Some(_) => vec![(to(user), News::Welcome)],
                None => Vec::new(),
            },
            Event::UserActivated { user } => vec![(to(user), News::Activated)],
            Event::UserRejected { user } => vec![(to(user), News::Rejected)],
            Event::UserSuspended { user } => vec![(to(user), News::Suspended)],
            Event::RolesChanged { user } => vec![(to(user), News::RolesChanged)],
            Event::PasswordChanged { user } => vec![(to(user), News::PasswordChanged)],
            Event::PasswordResetAsked { user, reset } => {
                vec![(to(user), News::PasswordReset { reset: *reset })]
            }
            Event::LoginsEnded { user } => vec![(to(user), News::LoginsEnded)],
            Event::ToppedUp { user } => vec![(to(user), News::ToppedUp)],
            Event::Purchased { order, .. } => self.news_of_order(*order, true).await?,
            Event::OrderCancelled { order } => self.news_of_order(*order, false).await?,
            Event::GrantEnded { grant, .. } => {
                let order = self.known::<Order>(&grant.order()).await?;
                let grant = self.known::<Grant>(grant).await?;
                match (order, grant) {
                    // A cancelled order has news of its own.
                    (Some(order), Some(grant)) if order.state != OrderState::Cancelled => {
                        let news = News::AccessEnded {
                            order: order.id,
                            title: order.terms.title,
                            state: grant.state,
                        };
                        vec![(to(&order.buyer), news)]
                    }
                    _ => Vec::new(),
                }
            }
            Event::Rated { product, .. } => match self.known::<Product>(product).await? {
                Some(product) => {
                    let news = News::Rated { product: product.id, title: product.title };
                    let owners = self.owners(product.hub).await?;
                    owners.into_iter().map(|owner| (owner, news.clone())).collect()
                }
                None => Vec::new(),
            },
            Event::MembersChanged { hub, user } => match self.known::<Hub>(hub).await? {
                Some(hub) => {
                    let member = MembershipId { hub: hub.id, user: *user };
                    let role = self.known::<Membership>(&member).await?.map(|member| member.role);
                    vec![(to(user), News::Member { hub: hub.id, title: hub.title, role })]
                }
                None => Vec::new(),
            },
            _ => Vec::new(),
        })
    }

    async fn news_of_order(&self, id: OrderId, new: bool) -> Result<Vec<(Recipient, News)>, MarketError> {
        let Some(order) = self.known::<Order>(&id).await? else { return Ok(Vec::new()) };
        let title = order.terms.title;
        let cancelled = News::Cancelled { order: id, title: title.clone() };
        let (bought, sold) = if new {
            let sold = News::Sold { order: id, product: order.product, title: title.clone() };
            (News::Bought { order: id, title }, sold)
        } else {
            (cancelled.clone(), cancelled)
        };
        let mut news = vec![(Recipient::User(order.buyer), bought)];
        news.extend(self.owners(order.terms.hub).await?.into_iter().map(|owner| (owner, sold.clone())));
        Ok(news)
    }

    /// Removes a box's oldest notices if it holds too many.
    async fn make_room(&self, to: Recipient) -> Result<(), MarketError> {
        let Some(held) = self.known::<NoticeBox>(&to).await? else { return Ok(()) };
        if held.held < NoticeBox::LIMIT + SLACK {
            return Ok(());
        }
        let surplus = usize::try_from(held.held - NoticeBox::LIMIT).unwrap_or(limits::PAGE_ROWS);
        let scan = Scan::prefix(Notice::collection(), format!("{to}:")).limit(surplus.min(limits::PAGE_ROWS));
        let (oldest, _) = self.store.list::<Notice>(&scan).await?;
        let notices = oldest.iter().map(Notice::id).collect();
        Ok(settled(self.store.transact(self.now(), &*self.ids, &Remove { to, notices }).await)?)
    }

    pub(super) async fn authorize_box(&self, actor: Actor, to: Recipient) -> Result<(), MarketError> {
        match to {
            Recipient::Administrators => {
                self.authorize(actor, Action::ManageUsers, &Resource::MARKETPLACE).await
            }
            // What somebody was told is for nobody else, whatever else they may see.
            Recipient::User(user) if actor != Actor::User(user) => {
                Err(Refusal::NotFound { what: "box" }.into())
            }
            Recipient::User(user) => self.authorize(actor, Action::ViewUser, &Resource::of_user(user)).await,
        }
    }

    /// How full a box is. Users see their own, and who manages users the administrators'.
    pub async fn notice_box(&self, actor: Actor, to: Recipient) -> Result<NoticeBox, MarketError> {
        self.authorize_box(actor, to).await?;
        Ok(self.known::<NoticeBox>(&to).await?.unwrap_or(NoticeBox::empty(to)))
    }

    /// Notes that the notices up to this position were read, at most as many as a box holds. Returns what is left.
    /// Done again, it changes nothing.
    pub async fn read_notices(
        &self,
        actor: Actor,
        to: Recipient,
        until: u64,
    ) -> Result<NoticeBox, MarketError> {
        self.authorize_box(actor, to).await?;
        let scan = Scan::prefix(Notice::collection(), format!("{to}:")).limit(limits::PAGE_ROWS);
        let (notices, _) = self.store.list::<Notice>(&scan.backward()).await?;
        let unread = notices.iter().filter(|notice| notice.position <= until && notice.read.is_none());
        // A batch has room for so many.
        let notices: Vec<NoticeId> = unread.map(Notice::id).collect();
        let mut held = self.known::<NoticeBox>(&to).await?.unwrap_or(NoticeBox::empty(to));
        for some in notices.chunks(64) {
            let read = MarkRead { to, notices: some };
            held = settled(self.store.transact(self.now(), &*self.ids, &read).await)?;
        }
        Ok(held)
    }

    /// Tries to send the mails that are due, a few at a time. Call it often; several processes may at the same time,
    /// and none tries what another one is trying.
    pub async fn send_mails(&self, with: Mailing<'_>) -> Result<MailReport, MarketError> {
        let mut report = MailReport::default();
        let until = self.now().micros().saturating_add(1);
        let due = declared(Scan::index(Mail::collection(), "by_next", Vec::new()))?;
        let due = declared(due.range(None, Some(until.into())))?.limit(MAILS);
        let (mails, _) = self.store.list::<Mail>(&due).await?;
        for mail in mails {
            let id = mail.id();
            if !settled(self.store.transact(self.now(), &*self.ids, &Claim(&mail)).await)? {
                continue;
            }
            let Some(message) = self.compose(&mail, with).await? else {
                self.remove_mail(id).await?;
                report.void += 1;
                continue;
            };
            match with.notifier.deliver(&message).await {
                Ok(()) => {
                    self.remove_mail(id).await?;
                    report.sent += 1;
                }
                Err(error @ NotifyError::Later(_)) if mail.tries + 1 < Mail::MAX_TRIES => {
                    report.later.push((id, error));
                }
                Err(error) => {
                    self.remove_mail(id).await?;
                    report.given_up.push((id, error));
                }
            }
        }
        Ok(report)
    }

    async fn remove_mail(&self, id: NoticeId) -> Result<(), MarketError> {
        Ok(settled(self.store.transact(self.now(), &*self.ids, &Sent(id)).await)?)
    }

    /// The mail as it is sent, if it still has somewhere to go.
    async fn compose(&self, mail: &Mail, with: Mailing<'_>) -> Result<Option<Message>, MarketError> {
        let message = |to, name: &str, zone, link: &str| Message {
            id: mail.id(),
            to,
            subject: text::subject(&mail.news),
            text: text::body(&mail.news, name, mail.at, zone, link),
        };
        let Recipient::User(user) = mail.to else {
            let to = with.administrators.cloned();
            return Ok(to.map(|to| message(to, "administrator", None, &with.links.home())));
        };
        let Some(reader) = self.known::<User>(&user).await? else { return Ok(None) };
        if reader.profile.few_mails && !mail.news.concerns_the_account() {
            return Ok(None);
        }
        let link = match &mail.news {
            News::PasswordReset { reset } => {
                let asked = self.known::<PasswordReset>(&user).await?;
                if !asked.is_some_and(|asked| asked.id == *reset && asked.is_good(self.now())) {
                    return Ok(None);
                }
                with.links.password_reset(user, *reset)
            }
            _ => with.links.home(),
        };
        let zone = reader.profile.time_zone.as_ref();
        Ok(reader.email.map(|to| message(to, reader.display.as_str(), zone, &link)))
    }
}

fn settled<T>(done: Result<T, Refused<()>>) -> Result<T, StoreError> {
    done.map_err(|refused| match refused {
        Refused::Store(error) => error,
        _ => StoreError::new(StoreErrorKind::Busy, "notices keep being changed by others"),
    })
}

struct Reached<'a> {
    follower: &'a str,
    position: u64,
}

impl Decision for Reached<'_> {
    type Done = ();
    type Refusal = ();

    fn decide(&self, tx: &mut Tx<'_, ()>) -> Result<(), Halt<()>> {
        let next = Position { follower: self.follower.to_owned(), position: self.position };
        match tx.get::<Position>(&next.follower)? {
            None => tx.create(&next),
            Some(held) if held.position < self.position => tx.replace(&next),
            Some(_) => Ok(()),
        }
    }
}

/// The notices and mails of one event, with the position of who makes them. False if somebody else has gone on.
struct Post<'a> {
    after: u64,
    event: &'a Numbered<OutboxEntry>,
    news: &'a [(Recipient, News)],
}

impl Decision for Post<'_> {
    type Done = bool;
    type Refusal = ();

    fn decide(&self, tx: &mut Tx<'_, ()>) -> Result<bool, Halt<()>> {
        let next = Position { follower: FOLLOWER.to_owned(), position: self.event.position };
        match tx.get::<Position>(&next.follower)? {
            Some(held) if held.position >= self.event.position || held.position < self.after => {
                return Ok(false);
            }
            Some(_) => tx.replace(&next)?,
            None => tx.create(&next)?,
        }
        let (position, at) = (self.event.position, self.event.entry.at);
        for (to, news) in self.news {
            let notice = Notice { to: *to, position, at, news: news.clone(), read: None };
            // An event tells one reader one thing: an owner who buys of oneself reads of the purchase.
            if tx.get::<Notice>(&notice.id())?.is_some() {
                continue;
            }
            tx.create(&notice)?;
            let held = tx.get::<NoticeBox>(to)?;
            let mut full = held.clone().unwrap_or(NoticeBox::empty(*to));
            full.held = full.held.saturating_add(1);
            full.unread = full.unread.saturating_add(1);
            match held {
                Some(_) => tx.replace(&full)?,
                None => tx.create(&full)?,
            }
            tx.create(&Mail { to: *to, position, at, news: news.clone(), tries: 0, next: tx.now() })?;
        }
        Ok(true)
    }
}

struct Remove {
    to: Recipient,
    notices: Vec<NoticeId>,
}

impl Decision for Remove {
    type Done = ();
    type Refusal = ();

    fn decide(&self, tx: &mut Tx<'_, ()>) -> Result<(), Halt<()>> {
        let Some(mut held) = tx.get::<NoticeBox>(&self.to)? else { return Ok(()) };
        for id in &self.notices {
            if let Some(notice) = tx.get::<Notice>(id)? {
                tx.remove::<Notice>(id)?;
                held.held = held.held.saturating_sub(1);
                held.unread = held.unread.saturating_sub(u32::from(notice.read.is_none()));
            }
        }
        tx.replace(&held)
    }
}

struct MarkRead<'a> {
    to: Recipient,
    notices: &'a [NoticeId],
}

impl Decision for MarkRead<'_> {
    type Done = NoticeBox;
    type Refusal = ();

    fn decide(&self, tx: &mut Tx<'_, ()>) -> Result<NoticeBox, Halt<()>> {
        let Some(mut held) = tx.get::<NoticeBox>(&self.to)? else { return Ok(NoticeBox::empty(self.to)) };
        let now: Timestamp = tx.now();
        for id in self.notices {
            if let Some(mut notice) = tx.get::<Notice>(id)?
                && notice.read.is_none()
            {
                notice.read = Some(now);
                tx.replace(&notice)?;
                held.unread = held.unread.saturating_sub(1);
            }
        }
        tx.replace(&held)?;
        Ok(held)
    }
}

/// Puts a mail off while it is tried. False if it is not as it was found: another process has it.
struct Claim<'a>(&'a Mail);

impl Decision for Claim<'_> {
    type Done = bool;
    type Refusal = ();

    fn decide(&self, tx: &mut Tx<'_, ()>) -> Result<bool, Halt<()>> {
        let found = tx.get::<Mail>(&self.0.id())?;
        if found.as_ref() != Some(self.0) {
            return Ok(false);
        }
        let tries = self.0.tries.saturating_add(1);
        tx.replace(&Mail { tries, next: tx.now().plus(Mail::pause(self.0.tries)), ..self.0.clone() })?;
        Ok(true)
    }
}

struct Sent(NoticeId);

impl Decision for Sent {
    type Done = ();
    type Refusal = ();

    fn decide(&self, tx: &mut Tx<'_, ()>) -> Result<(), Halt<()>> {
        if tx.get::<Mail>(&self.0)?.is_some() {
            tx.remove::<Mail>(&self.0)?;
        }
        Ok(())
    }
}
