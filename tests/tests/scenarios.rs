//! Stories from purchase to bill, each run with the whole stack: real handlers, a real DynamoDB
//! API, and an AWS Marketplace that knows only what was sent to it.

#[path = "scenarios/market.rs"]
mod market;

#[path = "scenarios/audit.rs"]
mod audit;
#[path = "scenarios/calm.rs"]
mod calm;
#[path = "scenarios/ending.rs"]
mod ending;
#[path = "scenarios/heartbeats.rs"]
mod heartbeats;
#[path = "scenarios/isolation.rs"]
mod isolation;
#[path = "scenarios/late.rs"]
mod late;
#[path = "scenarios/month_end.rs"]
mod month_end;
#[path = "scenarios/spans.rs"]
mod spans;
#[path = "scenarios/trouble.rs"]
mod trouble;
