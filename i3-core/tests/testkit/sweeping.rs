//! The sweep notices stores and scenarios that are not whole after a failure.

use std::sync::Arc;

use async_trait::async_trait;
use i3_core::store::{
    Applied, Batch, BatchBuilder, Cell, CommitError, Durability, DynStore, Entity as _, Key, Page, Receipt,
    Scan, Schema, Store, StoreError, StoreErrorKind, StoreExt as _, Units,
};
use i3_core::testkit::faults::{Call, FailsAs, Fault, FaultyStore, Plan};
use i3_core::testkit::sample::{COUNTERS, Item, schema};
use i3_core::testkit::sweep::{Play, Scenario, Swept, Trouble, sweep};
use i3_core::testkit::trace::{Act, KeyUse, Step, Trace, Who, opening};
use i3_core::testkit::{Checked, Stop};

use crate::traces::Memory;

/// What stands between the scenario and the store that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layer {
    /// Nothing.
    Honest,
    /// Commits the two halves of a batch one after the other.
    Halves,
    /// Sends a batch again when its outcome is unknown, without looking.
    Resends,
    /// Says of a lost commit that it was certainly not applied.
    Denies,
    /// Hides a failure behind the name of another.
    Renames,
}

#[derive(Debug)]
struct Layered(Layer, Arc<FaultyStore>);

#[async_trait]
impl Store for Layered {
    async fn prepare(&self, schema: &Schema) -> Result<(), StoreError> {
        self.1.prepare(schema).await
    }

    async fn read(&self, keys: &[Key]) -> Result<Vec<Option<Cell>>, StoreError> {
        match self.1.read(keys).await {
            Err(_) if self.0 == Layer::Renames => Err(StoreError::new(StoreErrorKind::Misconfigured, "oh")),
            other => other,
        }
    }

    async fn scan(&self, scan: &Scan) -> Result<Page, StoreError> {
        self.1.scan(scan).await
    }

    async fn commit(&self, batch: &Batch) -> Result<Receipt, CommitError> {
        match self.0 {
            Layer::Halves => {
                let (first, second) = batch.ops().split_at(batch.ops().len() / 2);
                let mut receipt = self.1.commit(&Batch::of(first.to_vec()).unwrap()).await?;
                let rest = self.1.commit(&Batch::of(second.to_vec()).unwrap()).await?;
                receipt.outcomes.extend(rest.outcomes);
                Ok(receipt)
            }
            Layer::Resends => match self.1.commit(batch).await {
                Err(CommitError::Store(error)) if error.applied() == Applied::Unknown => {
                    self.1.commit(batch).await
                }
                other => other,
            },
            Layer::Denies => self.1.commit(batch).await.map_err(|error| match error {
                CommitError::Store(_) => StoreError::new(StoreErrorKind::Unavailable, "no").into(),
                other => other,
            }),
            _ => self.1.commit(batch).await,
        }
    }

    fn durability(&self) -> Durability {
        self.1.durability()
    }

    async fn unnamed(&self) -> Result<Vec<String>, StoreError> {
        self.1.unnamed().await
    }
}

/// Three payments from one account to another.
#[derive(Debug, Clone, Copy)]
struct Payments {
    layer: Layer,
    /// Whether each leaves a record that tells whether it was done.
    receipts: bool,
}

fn account(name: &str) -> Key {
    Key::new(&COUNTERS, name).unwrap()
}

#[async_trait]
impl Scenario for Payments {
    fn steps(&self) -> usize {
        3
    }

    fn describe(&self, step: usize) -> String {
        format!("payment {step}")
    }

    fn schema(&self) -> Result<Schema, Stop> {
        Ok(schema()?)
    }

    async fn begin(&self, store: Arc<FaultyStore>) -> Result<Box<dyn Play>, Stop> {
        store.prepare(&schema()?).await?;
        let store: DynStore = Arc::new(Layered(self.layer, store));
        Ok(Box::new(Paying { store, receipts: self.receipts }))
    }
}

struct Paying {
    store: DynStore,
    receipts: bool,
}

#[async_trait]
impl Play for Paying {
    async fn step(&mut self, step: usize) -> Result<String, StoreError> {
        let receipt = Item::new(format!("payment-{step}"));
        for _ in 0..3 {
            if self.receipts && self.store.get::<Item>(&receipt.id).await?.is_some() {
                break;
            }
            let one = Units::new(1).unwrap();
            let mut batch = BatchBuilder::new().adjust(account("from"), one.negated(), Units::MIN).adjust(
                account("to"),
                one,
                Units::MIN,
            );
            if self.receipts {
                batch = batch.create(receipt.draft()?);
            }
            match self.store.commit(&batch.build().unwrap()).await {
                Ok(_) => break,
                Err(CommitError::Store(error)) => return Err(error),
                Err(_) => {}
            }
        }
        Ok(format!("payment {step} is done"))
    }

    async fn check(&mut self) -> Checked {
        let (from, to) =
            (self.store.counter(&account("from")).await?, self.store.counter(&account("to")).await?);
        if from == to.negated() { Ok(()) } else { Err(Stop::broken(format_args!("{from} and {to}"))) }
    }
}

async fn pay(layer: Layer, receipts: bool, troubles: &[Trouble]) -> Result<Swept, Stop> {
    sweep(&Memory, &Payments { layer, receipts }, troubles).await
}

const fn once(fault: Fault) -> Trouble {
    Trouble { fault, then: None }
}

#[tokio::test]
async fn payments_with_receipts_pass_and_every_trouble_of_every_call_was_met() {
    let swept = pay(Layer::Honest, true, &Trouble::all()).await.unwrap();
    // A payment reads once and commits once. A read can fail in three ways, once and for long, be silent in
    // two, and be slow; a commit can be overtaken too, and lost in two ways, once, for long, and with the store.
    assert_eq!(swept.disturbed, 3 * ((3 * 2 + 2 + 1) + (3 * 2 + 2 + 1 + 1 + 2 * 3)), "{swept:?}");
    assert_eq!(swept.disturbed, swept.answered + swept.failed + swept.given_up);
}

#[tokio::test]
async fn scenarios_and_layers_that_are_wrong_about_failures_are_found() {
    let (fails, lost) = (Fault::Fails(FailsAs::Busy), Fault::LostAfter);
    for (layer, receipts, fault, complaint) in [
        (Layer::Honest, false, lost, "its effect is not that of once"),
        (Layer::Honest, false, Fault::SilentAfter, "its effect is not that of once"),
        (Layer::Halves, true, Fault::SilentBefore, "it was given up, and half of it is stored"),
        (Layer::Halves, true, fails, "neither what was there before it nor all of it"),
        (Layer::Resends, false, lost, "it answered, and what is stored is not what it should be"),
        (Layer::Denies, true, lost, "it failed with"),
        (Layer::Renames, true, fails, "it failed with"),
    ] {
        let found = pay(layer, receipts, &[once(fault)]).await.unwrap_err().to_string();
        assert!(found.contains(complaint), "{layer:?}, {fault:?}: {found}");
    }
}

#[tokio::test]
async fn a_command_without_a_key_is_found_not_to_converge() {
    let mut steps = opening();
    let act = Act::TopUp { user: 1, minor: 100 };
    steps.push(Step { who: Who::System, key: KeyUse::None, act });
    let lost = [once(Fault::LostAfter)];
    let keyless = sweep(&Memory, &Arc::new(Trace { approval: false, steps: steps.clone() }), &lost).await;
    let found = keyless.unwrap_err().to_string();
    assert!(found.contains("top_up") && found.contains("done again it answers"), "{found}");
    // With a key it is what it should be.
    steps.last_mut().unwrap().key = KeyUse::Own;
    sweep(&Memory, &Arc::new(Trace { approval: false, steps }), &lost).await.unwrap();
}

#[tokio::test]
async fn a_plan_counts_the_calls_of_its_kind_and_ends_when_disarmed() -> Checked {
    let store = FaultyStore::new(Arc::new(i3_core::store::MemoryStore::new()));
    store.prepare(&schema()?).await?;
    let key = account("a");
    let one =
        || BatchBuilder::new().adjust(account("a"), Units::new(1).unwrap(), Units::MIN).build().unwrap();
    store.arm(Plan::at(2, Fault::Fails(FailsAs::Busy)).of(Call::Commit).then(Fault::LostAfter));
    store.commit(&one()).await?;
    store.counter(&key).await?;
    let second = store.commit(&one()).await.unwrap_err();
    assert!(matches!(&second, CommitError::Store(error) if error.kind() == StoreErrorKind::Busy), "{second}");
    let third = store.commit(&one()).await.unwrap_err();
    assert!(matches!(&third, CommitError::Store(error) if error.applied() == Applied::Unknown), "{third}");
    // Reads are not what the plan is about.
    assert_eq!(store.counter(&key).await?, Units::new(2)?, "the first and the third were applied");
    assert_eq!((store.met(), store.ended_attempts()), (2, 2));
    store.disarm();
    store.commit(&one()).await?;
    assert_eq!(store.take_calls().len(), 6);
    Ok(())
}
