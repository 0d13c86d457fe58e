//! The stack without sockets, threads or real time, so that everything that can go wrong is chosen.
//!
//! # Layout
//! * [`wire`]: every call of every function passes here: numbered, traced, and given a fate
//! * [`clients`]: AWS SDK clients whose HTTP ends in this process
//! * [`functions`]: the seven functions, and their clocks
//! * [`world`]: the tables, AWS Marketplace, the functions and what triggers them
//! * [`run`]: an executor that knows when nothing moves any more
//! * [`scenarios`]: the standard scenarios, each call of which is a crash point
//! * [`races`]: one function stopped before each of its calls, while somebody else acts
//! * [`simulation`]: random sellers, buyers, usage and trouble, all from one seed
//! * [`suites`]: all of these, as finders of deliberate mistakes
//! * [`verdict`]: what the seller's software sent against what was billed

pub mod clients;
pub mod functions;
pub mod races;
pub mod run;
pub mod scenarios;
pub mod simulation;
pub mod suites;
pub mod verdict;
pub mod wire;
pub mod world;
