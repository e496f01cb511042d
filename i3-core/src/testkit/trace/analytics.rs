//! What people do beside commands, in traces: observed, counted, erased, recommended.

use proptest::prelude::*;

use super::known::{absent, pick};
use super::step::{Choice, Step};
use super::world::{World, fit, json, refused};
use crate::access::Actor;
use crate::analytics::{
    History, Interaction, Item, LeastPeople, Observation, ObservationQueue, Popularity, PopularityId,
};
use crate::market::PageRequest;
use crate::store::{Entity as _, Scan, StoreError, StoreExt as _};
use crate::testkit::{Checked, ensure};
use crate::time::Clock as _;

/// What is remembered of people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are by choice")]
pub enum AnalyticsAct {
    /// Somebody did something with an object, or with a product.
    Did { user: Choice, item: Choice, object: bool, interaction: Interaction },
    /// What was bought and rated is taken down, and wishes are heeded.
    Follow,
    /// What is remembered of somebody is erased.
    Erase { user: Choice },
    /// What is remembered of somebody, and what is recommended.
    Ask { user: Choice, page: usize },
}

/// Things in a history: few, so that they leave it.
const KEPT: usize = 3;

impl World {
    pub(super) async fn analytics(&self, step: &Step, act: AnalyticsAct) -> Result<String, StoreError> {
        let market = self.market()?;
        match act {
            AnalyticsAct::Did { user, item, object, interaction } => {
                let item = if object {
                    Item::Object(pick(&self.known.objects, item, (absent(), absent())).0)
                } else {
                    Item::Product(self.product(item).0)
                };
                let queue = ObservationQueue::new(1);
                queue.push(Observation { user: self.user(user), item, interaction, at: self.clock.now() });
                let written = market.write_observations(&queue, KEPT).await;
                written.map_or_else(refused, |count| Ok(format!("{count} observed")))
            }
            // Not how much: asked again after a failure, that is another number.
            AnalyticsAct::Follow => {
                let followed = market.follow_observations(KEPT).await;
                followed.map_or_else(refused, |_| Ok("taken down".to_owned()))
            }
            AnalyticsAct::Erase { user } => {
                let user = self.user(user);
                let erased = market.erase_history(self.actor(step.who, Actor::User(user)), user).await;
                erased.map_or_else(refused, |()| Ok("all erased".to_owned()))
            }
            AnalyticsAct::Ask { user, page } => {
                let user = self.user(user);
                let actor = self.actor(step.who, Actor::User(user));
                let mut words = String::new();
                let mut request = PageRequest { after: None, limit: page };
                loop {
                    let paged = match market.history(actor, user, &request).await {
                        Ok(paged) => paged,
                        Err(error) => return refused(error),
                    };
                    words += &json(&paged)?;
                    let Some(next) = paged.next else { break };
                    request.after = Some(fit(next.to_string().parse())?);
                }
                let least = fit(LeastPeople::try_from(LeastPeople::MIN))?;
                let advice = market.recommendations(actor, least, page).await;
                let told = advice.map_or_else(refused, |advice| {
                    let told =
                        advice.iter().map(|one| (one.recommendation.item, one.recommendation.explanation()));
                    json(&told.collect::<Vec<_>>())
                });
                Ok(words + &told?)
            }
        }
    }

    /// Makes sure that what is counted of people is what the histories hold.
    pub(super) async fn check_counts(&self) -> Checked {
        let store = self.market()?.store();
        let histories: Vec<History> = store.all(Scan::ids(History::collection())).await?;
        let counted: Vec<Popularity> = store.all(Scan::ids(Popularity::collection())).await?;
        let counted =
            counted.into_iter().map(|one| (PopularityId { domain: one.domain, item: one.item }, one.people));
        let (counted, held) = (counted.collect(), Popularity::of(&histories));
        ensure!(held == counted, "people are counted as {counted:?}, and their histories hold {held:?}");
        Ok(())
    }
}

/// Anything of it.
pub(super) fn acts(choice: impl Strategy<Value = Choice> + Clone) -> impl Strategy<Value = AnalyticsAct> {
    let interaction = prop::sample::select(&Interaction::ALL[..]);
    prop_oneof![
        8 => (choice.clone(), choice.clone(), any::<bool>(), interaction).prop_map(
            |(user, item, object, interaction)| AnalyticsAct::Did { user, item, object, interaction }
        ),
        3 => Just(AnalyticsAct::Follow),
        1 => choice.clone().prop_map(|user| AnalyticsAct::Erase { user }),
        2 => (choice, 1_usize..4).prop_map(|(user, page)| AnalyticsAct::Ask { user, page }),
    ]
}

/// What two people of a domain do with the first product, which one of them bought and rated.
pub(super) fn tour() -> Vec<AnalyticsAct> {
    let looks = |user| AnalyticsAct::Did { user, item: 0, object: false, interaction: Interaction::Viewed };
    vec![looks(1), looks(2), AnalyticsAct::Follow, AnalyticsAct::Ask { user: 2, page: 2 }]
}
