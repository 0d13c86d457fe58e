//! The stack without sockets, threads or real time, so that a test controls every fault.
//!
//! # Layout
//! * [`wire`]: numbers and traces every call of every function, and decides its fate
//! * [`clients`]: AWS SDK clients whose HTTP stays within this process
//! * [`functions`]: the seven functions, and their clocks
//! * [`world`]: the tables, AWS Marketplace, the functions and their triggers
//! * [`run`]: an executor that knows when no task can continue
//! * [`scenarios`]: the standard scenarios, whose calls are the crash points
//! * [`races`]: stops one function before each of its calls, while something else changes the world
//! * [`simulation`]: random sellers, buyers, usage and faults, all from one seed
//! * [`suites`]: runs all of these to find deliberate mistakes
//! * [`verdict`]: compares what the seller's software sent with what was billed

pub mod bill;
pub mod clients;
pub mod functions;
pub mod races;
pub mod run;
pub mod scenarios;
pub mod simulation;
pub mod suites;
pub mod wire;
pub mod world;
