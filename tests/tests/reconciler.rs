//! The reconciler when items are damaged, when its time runs out, and when CloudTrail is slow or late.

#[path = "reconciler/damage.rs"]
mod damage;
#[path = "reconciler/history.rs"]
mod history;
#[path = "reconciler/places.rs"]
mod places;
#[path = "reconciler/town.rs"]
mod town;
