//! One file for each command.

pub mod adjust;
pub mod audit;
pub mod batch_meter_usage;
pub mod books;
pub mod books_page;
pub mod demo;
pub mod explain;
pub mod kept;
pub mod late;
pub mod local;
pub mod meter_usage;
pub mod pages;
pub mod products;
pub mod records;
pub mod register_usage;
pub mod resolve_customer;
pub mod subscriptions;
