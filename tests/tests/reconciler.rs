//! Tests of the reconciler: its single tasks, days that are proved once, subscriptions that become
//! active late, the judgement of records and the later looks at them, damaged items, runs that fail
//! or have no time left, the reads of the comparison with CloudTrail, and a CloudTrail that is slow
//! or late.

#[path = "reconciler/again.rs"]
mod again;
#[path = "reconciler/compare.rs"]
mod compare;
#[path = "reconciler/damage.rs"]
mod damage;
#[path = "reconciler/days.rs"]
mod days;
#[path = "reconciler/failure.rs"]
mod failure;
#[path = "reconciler/history.rs"]
mod history;
#[path = "reconciler/judgement.rs"]
mod judgement;
#[path = "reconciler/pending.rs"]
mod pending;
#[path = "reconciler/places.rs"]
mod places;
#[path = "reconciler/tasks.rs"]
mod tasks;
#[path = "reconciler/town.rs"]
mod town;
#[path = "reconciler/trail.rs"]
mod trail;
