//! How long a decision about access takes by the policy alone, on data in hand. What it takes with what must be
//! read for it is the workload `access` of the bench `stores`.

use std::collections::BTreeSet;
use std::hint::black_box;

use criterion::Criterion;
use i3_auth::RolePolicy;
use i3_core::access::{Action, HubRole, Policy as _, Resource, Subject};
use i3_core::id::{TypedId as _, UserId};
use i3_core::role::{RoleBook, RoleName};

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    policy(&mut criterion);
    criterion.final_summary();
}

/// The default policy.
fn policy(criterion: &mut Criterion) {
    let user = UserId::from_bits(1);
    let roles = BTreeSet::from([RoleName::CONSUMER, RoleName::PROVIDER]);
    let subject = Subject::user(user, roles, true, &RoleBook::default());
    let cases = [
        ("purchase for oneself", Action::Purchase, Resource::of_user(user)),
        ("purchase for another", Action::Purchase, Resource::of_user(UserId::from_bits(2))),
        ("device of one's hub", Action::ManageDevices, Resource::of_hub(Some(HubRole::Manager))),
        ("device of another hub", Action::ManageDevices, Resource::of_hub(None)),
    ];
    let mut group = criterion.benchmark_group("policy");
    for (name, action, resource) in cases {
        group.bench_function(name, |bencher| {
            bencher.iter(|| RolePolicy.decide(black_box(&subject), black_box(action), black_box(&resource)));
        });
    }
    group.finish();
}
