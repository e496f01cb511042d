//! An own policy: the role-based default with two house rules of a trial, one that allows more and one that
//! allows less. Every refusal names the rule behind it.

use std::error::Error;
use std::sync::Arc;

use i3_auth::RolePolicy;
use i3_core::access::{Action, Actor, Decision, Policy, Resource, Subject};
use i3_core::ledger::Holder;
use i3_core::market::{MarketError, Marketplace, Refusal, RegisterHub, RegisterUser, TopUp};
use i3_core::money::{Amount, Currency};
use i3_core::role::RoleName;
use i3_core::store::MemoryStore;

/// In the trial, consumers play with money that they give themselves, and nobody both buys and sells.
#[derive(Debug)]
struct TrialPolicy;

impl Policy for TrialPolicy {
    fn decide(&self, subject: &Subject, action: Action, resource: &Resource) -> Decision {
        let is = |role: RoleName| subject.roles.contains(&role);
        let own = matches!(subject.actor, Actor::User(user) if resource.owner == Some(user));
        match action {
            Action::TopUp if own && subject.active && is(RoleName::CONSUMER) => {
                Decision::allow("in the trial, consumers may credit themselves")
            }
            Action::RegisterHub if is(RoleName::CONSUMER) => {
                Decision::deny("in the trial, who buys does not sell")
            }
            _ => RolePolicy.decide(subject, action, resource),
        }
    }
}

/// What the one denied is told, and the rule behind it, which is for those who run the marketplace.
fn with_rule(refused: Option<MarketError>) -> Result<String, Box<dyn Error>> {
    match refused {
        Some(MarketError::Refused(Refusal::Forbidden { action, rule })) => {
            Ok(format!("the permission `{action}` is missing: {rule}"))
        }
        _ => Err("this must be refused".into()),
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let market = Marketplace::open(Arc::new(MemoryStore::new()), Arc::new(TrialPolicy), &[]).await?;
    let account = |name: &str, roles: &[RoleName]| -> Result<RegisterUser, Box<dyn Error>> {
        let (name, display, roles) = (name.parse()?, name.parse()?, roles.iter().cloned().collect());
        Ok(RegisterUser {
            name,
            display,
            email: None,
            roles,
            profile: i3_core::user::Profile::default(),
            invitation: None,
            password: None,
        })
    };
    let bea = account("bea", &[RoleName::CONSUMER])?;
    let bea = market.execute(Actor::Anonymous, None, &bea).await?.id;
    let carl = account("carl", &[RoleName::CONSUMER, RoleName::PROVIDER])?;
    let carl = market.execute(Actor::Anonymous, None, &carl).await?.id;

    let (amount, currency) = (Amount::new(1_000)?, Currency::EUR);
    let top_up = |user| TopUp { user, amount, currency, reference: "play money".to_owned() };

    market.execute(Actor::User(bea), None, &top_up(bea)).await?;
    let balance = market.balances(Actor::User(bea), Holder::Available(bea)).await?;
    let balance = balance.first().ok_or("the account is empty")?;
    println!("Bea credits herself: {} in her account", balance.amount.display(balance.currency));

    let refused = market.execute(Actor::User(bea), None, &top_up(carl)).await.err();
    println!("Bea credits Carl:    {}", with_rule(refused)?);

    let hub = RegisterHub { slug: "carls".parse()?, title: "Carl's sensors".parse()? };
    let refused = market.execute(Actor::User(carl), None, &hub).await.err();
    println!("Carl opens a hub:    {}", with_rule(refused)?);
    Ok(())
}
