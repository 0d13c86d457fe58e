//! Tests of the whole stack, and what several of them share.

pub mod template;
