//! Notices: made once of each event, kept in bounds, mailed until they are.

use std::sync::Mutex;
use std::time::Duration;

use i3_core::access::Actor;
use i3_core::id::{ResetId, UserId};
use i3_core::market::{
    ActivateUser, AskPasswordReset, CancelOrder, DescribeUser, Marketplace, NoticeFilter, PageRequest,
    Period, Purchase, RegisterUser, Registration, ResetPassword, Settings, SuspendUser, TimeOrder,
};
use i3_core::name::Email;
use i3_core::notice::{
    Links, Mail, Mailing, Message, News, Notice, NoticeBox, Notifier, NotifyError, Recipient,
};
use i3_core::offer::Plan;
use i3_core::secret::SecretHash;
use i3_core::store::{Entity as _, Scan, StoreExt as _};
use i3_core::user::{PasswordReset, Profile};

use crate::fixture::{Fixture, refusal};
use crate::moves::Visitors;

/// Keeps what it is given, or says what it was told to say.
#[derive(Debug, Default)]
struct Postman {
    sent: Mutex<Vec<Message>>,
    trouble: Mutex<Option<fn() -> NotifyError>>,
}

#[async_trait::async_trait]
impl Notifier for Postman {
    async fn deliver(&self, message: &Message) -> Result<(), NotifyError> {
        if let Some(trouble) = *self.trouble.lock().unwrap() {
            return Err(trouble());
        }
        self.sent.lock().unwrap().push(message.clone());
        Ok(())
    }
}

impl Postman {
    fn sent(&self) -> Vec<Message> {
        std::mem::take(&mut *self.sent.lock().unwrap())
    }
}

#[derive(Debug)]
struct Home;

impl Links for Home {
    fn home(&self) -> String {
        "https://i3.example".to_owned()
    }

    fn password_reset(&self, user: UserId, reset: ResetId) -> String {
        format!("https://i3.example/secret-of-{user}-{reset}")
    }
}

fn mailing<'a>(postman: &'a Postman, administrators: Option<&'a Email>) -> Mailing<'a> {
    Mailing { notifier: postman, links: &Home, administrators }
}

async fn person(run: &Marketplace, name: &str, profile: Profile) -> UserId {
    let register = RegisterUser {
        name: name.parse().unwrap(),
        display: "Kim".parse().unwrap(),
        email: Some(format!("{name}@example.org").parse().unwrap()),
        roles: [i3_core::role::RoleName::CONSUMER].into(),
        profile,
        invitation: None,
        password: Some(SecretHash::new("first")),
    };
    run.execute(Actor::Anonymous, None, &register).await.unwrap().id
}

const ALL: NoticeFilter = NoticeFilter { read: None, at: Period { since: None, until: None } };

async fn news(f: &Fixture, user: UserId) -> Vec<News> {
    let all = PageRequest { after: None, limit: 1_000 };
    let page = f
        .market
        .notices(Actor::User(user), Recipient::User(user), &ALL, TimeOrder::Newest, &all)
        .await
        .unwrap();
    page.items.into_iter().map(|notice| notice.news).collect()
}

#[tokio::test]
async fn who_registers_is_told_and_administrators_are_told_of_whom_they_have_to_approve() {
    let f = Fixture::new().await;
    let strict = Marketplace::open(f.store.clone(), std::sync::Arc::new(Visitors), &[]).await.unwrap();
    let strict = strict
        .with_clock(f.clock.clone())
        .with_settings(Settings::default().with_registration(Registration::Approval));
    let profile = Profile { domain: Some("smart-farm".parse().unwrap()), ..Profile::default() };
    let user = person(&strict, "late", profile).await;
    f.market.post_notices().await.unwrap();
    assert_eq!(news(&f, user).await, [News::Waiting]);
    let (whose, page) = (Recipient::Administrators, PageRequest::default());
    let held = f.market.notice_box(Actor::System, whose).await.unwrap();
    let page = f.market.notices(Actor::System, whose, &ALL, TimeOrder::Newest, &page).await.unwrap();
    let registered = News::Registered {
        user,
        name: "late".parse().unwrap(),
        display: "Kim".parse().unwrap(),
        domain: Some("smart-farm".parse().unwrap()),
    };
    assert_eq!((held.unread, &page.items[0].news), (1, &registered));
    f.market.execute(Actor::System, None, &ActivateUser { user }).await.unwrap();
    f.market.post_notices().await.unwrap();
    assert_eq!(news(&f, user).await, [News::Activated, News::Waiting], "newest first");

    let (postman, operator) = (Postman::default(), "operator@example.org".parse().unwrap());
    let report = f.market.send_mails(mailing(&postman, Some(&operator))).await.unwrap();
    let mut sent: Vec<_> =
        postman.sent().into_iter().map(|mail| (mail.to.to_string(), mail.subject)).collect();
    sent.sort();
    let to_late = |subject: &str| ("late@example.org".to_owned(), subject.to_owned());
    assert_eq!(
        sent,
        [
            to_late("Your account is active"),
            to_late("Your registration waits for approval"),
            ("operator@example.org".to_owned(), "late waits for approval".to_owned()),
        ]
    );
    assert_eq!(report.sent, 3);
}

#[tokio::test]
async fn both_sides_of_a_sale_are_told_of_it() {
    let f = Fixture::new().await;
    f.market.post_notices().await.unwrap();
    let offer = f.offer(Plan::Free { quota: None }).await;
    let order = f.done(f.buyer, &Purchase { offer }).await;
    f.done(f.buyer, &CancelOrder { order: order.id }).await;
    f.market.post_notices().await.unwrap();
    let title = order.terms.title.clone();
    let cancelled = News::Cancelled { order: order.id, title: title.clone() };
    let bought = News::Bought { order: order.id, title: title.clone() };
    assert_eq!(news(&f, f.buyer).await[..2], [cancelled.clone(), bought]);
    let sold = News::Sold { order: order.id, product: f.product.id, title };
    assert_eq!(news(&f, f.seller).await[..2], [cancelled, sold]);
}

#[tokio::test]
async fn processes_that_work_at_the_same_time_make_each_notice_once() {
    let f = Fixture::new().await;
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..6 {
        let run = f.market.clone();
        tasks.spawn(async move {
            person(&run, &format!("guest-{number}"), Profile::default()).await;
            run.post_notices().await.unwrap();
        });
    }
    tasks.join_all().await;
    f.market.post_notices().await.unwrap();
    let notices: Vec<Notice> = f.store.all(Scan::ids(Notice::collection())).await.unwrap();
    let welcomes = notices.iter().filter(|notice| notice.news == News::Welcome).count();
    assert_eq!(welcomes, 2 + 6);
    assert_eq!(f.market.post_notices().await.unwrap(), 0);
}

#[tokio::test]
async fn a_box_holds_the_latest_and_no_more_than_its_limit() {
    let f = Fixture::new().await;
    for round in 0..230 {
        let describe = DescribeUser {
            user: f.buyer,
            display: "Buyer".parse().ok(),
            profile: Profile::default(),
            keeps: [].into(),
        };
        f.done(f.buyer, &describe).await;
        f.top_up(f.buyer, 1 + round).await;
    }
    f.market.post_notices().await.unwrap();
    let whose = Recipient::User(f.buyer);
    let me = Actor::User(f.buyer);
    let all = PageRequest { after: None, limit: 1_000 };
    let held = f.market.notice_box(me, whose).await.unwrap();
    let page = f.market.notices(me, whose, &ALL, TimeOrder::Newest, &all).await.unwrap();
    assert!((NoticeBox::LIMIT..NoticeBox::LIMIT + 21).contains(&held.held), "{held:?}");
    assert_eq!((held.held, held.held), (u32::try_from(page.items.len()).unwrap(), held.unread));
    assert!(page.items.iter().all(|notice| notice.news == News::ToppedUp), "the welcome made room");

    let until = page.items[9].position;
    let left = f.market.read_notices(me, whose, until).await.unwrap();
    assert_eq!(left.unread, 9);
    assert_eq!(f.market.read_notices(me, whose, until).await.unwrap(), left, "again is no other");
    let page = f.market.notices(me, whose, &ALL, TimeOrder::Newest, &all).await.unwrap();
    assert!(page.items[..9].iter().all(|notice| notice.read.is_none()) && page.items[9].read.is_some());
}

#[tokio::test]
async fn nobody_reads_another_s_box() {
    let f = Fixture::new().await;
    f.market.post_notices().await.unwrap();
    let page = PageRequest::default();
    for stranger in [Actor::User(f.buyer), Actor::System, Actor::Anonymous] {
        let whose = Recipient::User(f.seller);
        let refused = f
            .market
            .notices(stranger, whose, &ALL, TimeOrder::Newest, &page)
            .await
            .map(drop)
            .map_err(refusal);
        assert_eq!(refused.unwrap_err().code(), "not_found");
        let refused = f.market.notice_box(stranger, whose).await.map(drop).map_err(refusal);
        assert_eq!(refused.unwrap_err().code(), "not_found");
        let refused = f.market.read_notices(stranger, whose, 99).await.map(drop).map_err(refusal);
        assert_eq!(refused.unwrap_err().code(), "not_found");
    }
}

#[tokio::test]
async fn a_mail_is_tried_again_until_it_is_sent_or_never_can_be() {
    let f = Fixture::new().await;
    person(&f.market, "guest", Profile::default()).await;
    f.market.post_notices().await.unwrap();
    let postman = Postman::default();
    *postman.trouble.lock().unwrap() = Some(|| NotifyError::Later("busy".into()));
    let first = f.market.send_mails(mailing(&postman, None)).await.unwrap();
    assert_eq!((first.sent, first.later.len()), (0, 1));
    let soon = f.market.send_mails(mailing(&postman, None)).await.unwrap();
    assert_eq!((soon.later.len(), soon.given_up.len()), (0, 0), "not at once");
    f.pass(Duration::from_mins(1));
    *postman.trouble.lock().unwrap() = None;
    assert_eq!(f.market.send_mails(mailing(&postman, None)).await.unwrap().sent, 1);
    assert_eq!(postman.sent().len(), 1);
    f.pass(Duration::from_hours(24));
    assert_eq!(f.market.send_mails(mailing(&postman, None)).await.unwrap().sent, 0);

    for trouble in [(|| NotifyError::Never("no such address".into())) as fn() -> NotifyError, || {
        NotifyError::Later("always busy".into())
    }] {
        let user = person(&f.market, &format!("g{}", f.clock_now().seconds()), Profile::default()).await;
        f.market.post_notices().await.unwrap();
        *postman.trouble.lock().unwrap() = Some(trouble);
        let mut given_up = 0;
        for _ in 0..Mail::MAX_TRIES {
            given_up += f.market.send_mails(mailing(&postman, None)).await.unwrap().given_up.len();
            f.pass(Duration::from_hours(6));
        }
        assert_eq!(given_up, 1);
        assert!(f.store.all::<Mail>(Scan::ids(Mail::collection())).await.unwrap().is_empty());
        assert_eq!(news(&f, user).await, [News::Welcome], "the box has it all the same");
    }
}

#[tokio::test]
async fn the_link_of_a_reset_is_in_its_mail_and_nowhere_else_and_not_once_it_is_void() {
    let f = Fixture::new().await;
    let user = person(&f.market, "guest", Profile::default()).await;
    let postman = Postman::default();
    f.market.post_notices().await.unwrap();
    f.market.send_mails(mailing(&postman, None)).await.unwrap();
    postman.sent();
    f.market.execute(Actor::Anonymous, None, &AskPasswordReset { user }).await.unwrap();
    f.market.post_notices().await.unwrap();
    let reset = f.store.get::<PasswordReset>(&user).await.unwrap().unwrap().entity.id;
    f.market.send_mails(mailing(&postman, None)).await.unwrap();
    let mail = postman.sent().pop().unwrap();
    assert!(mail.text.contains(&format!("/secret-of-{user}-{reset}\n")), "{}", mail.text);
    assert!(!format!("{mail:?}").contains("secret-of"));
    let stored = i3_core::testkit::dump::dump(&*f.store, &i3_core::market::schema(&[]).unwrap()).await;
    assert!(!format!("{:?}", stored.unwrap()).contains("secret-of"));

    f.pass(PasswordReset::PAUSE);
    f.market.execute(Actor::Anonymous, None, &AskPasswordReset { user }).await.unwrap();
    let used = f.store.get::<PasswordReset>(&user).await.unwrap().unwrap().entity.id;
    let command = ResetPassword { user, reset: used, password: Some(SecretHash::new("second")) };
    f.market.execute(Actor::Anonymous, None, &command).await.unwrap();
    f.market.post_notices().await.unwrap();
    let report = f.market.send_mails(mailing(&postman, None)).await.unwrap();
    assert_eq!((report.sent, report.void), (1, 1), "the leave was used before its mail was sent");
    assert_eq!(postman.sent().pop().unwrap().subject, "Your password was changed");
}

#[tokio::test]
async fn who_wants_few_mails_is_mailed_of_the_account_alone() {
    let f = Fixture::new().await;
    let user = person(&f.market, "quiet", Profile { few_mails: true, ..Profile::default() }).await;
    f.top_up(user, 5).await;
    f.market.execute(Actor::System, None, &SuspendUser { user }).await.unwrap();
    f.market.post_notices().await.unwrap();
    let postman = Postman::default();
    f.market.send_mails(mailing(&postman, None)).await.unwrap();
    let subjects: Vec<_> = postman.sent().into_iter().map(|mail| mail.subject).collect();
    assert_eq!(subjects, ["Welcome: your account is open", "Your account was suspended"]);
    assert_eq!(news(&f, user).await, [News::Suspended, News::ToppedUp, News::Welcome]);
}

#[tokio::test]
async fn a_marketplace_that_begins_to_tell_does_not_tell_of_long_ago() {
    let f = Fixture::new().await;
    f.market.begin_notices(&["other"]).await.unwrap();
    assert_eq!(f.market.post_notices().await.unwrap(), 0);
    assert!(f.market.follower_events("other", 10).await.unwrap().is_empty());
    let user = person(&f.market, "guest", Profile::default()).await;
    f.market.begin_notices(&["other"]).await.unwrap();
    assert_eq!(f.market.post_notices().await.unwrap(), 1);
    assert_eq!(news(&f, user).await, [News::Welcome]);
    let events = f.market.follower_events("other", 10).await.unwrap();
    assert_eq!(events.len(), 1);
    f.market.follower_reached("other", events[0].position).await.unwrap();
    f.market.follower_reached("other", 1).await.unwrap();
    assert!(f.market.follower_events("other", 10).await.unwrap().is_empty(), "it never goes backwards");
}
