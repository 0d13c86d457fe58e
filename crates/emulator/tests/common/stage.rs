//! A running emulator to which tests without a runtime send generated input.
#![allow(dead_code, reason = "every test file uses its own part of the stage")]

use emulator::Agreement;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::common::{self, LEGACY, LICENSED, Running};

/// A running emulator with one purchase of each product, and a runtime for calls to it.
pub struct Stage {
    pub runtime: tokio::runtime::Runtime,
    pub running: Running,
    pub licensed: Agreement,
    pub legacy: Agreement,
}

pub fn stage() -> Stage {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let running = runtime.block_on(common::running());
    // Tests may call LookupEvents without a limit.
    let mut settings = running.emulator.settings();
    settings.lookup_events_per_s = 0;
    running.emulator.set_settings(settings);
    let licensed = running.buys(LICENSED);
    let legacy = running.buys(LEGACY);
    Stage {
        runtime,
        running,
        licensed,
        legacy,
    }
}

impl Stage {
    /// Sends a body, and checks that the answer has the form of an answer or error of AWS.
    pub fn call(&self, target: &str, body: &[u8]) -> Result<common::Answer, TestCaseError> {
        let answer = self.runtime.block_on(self.running.try_aws(target, body));
        let Some(answer) = answer else {
            return Err(TestCaseError::fail("no answer"));
        };
        let json = answer.json();
        match answer.status {
            200 => prop_assert!(json.is_object()),
            400 | 413 => prop_assert!(!answer.error().is_empty()),
            status => prop_assert!(false, "status {status}: {json}"),
        }
        prop_assert!(answer.headers.contains_key("x-amzn-requestid"));
        Ok(answer)
    }
}

/// A test runner for this number of cases.
pub fn cases(count: u32) -> TestRunner {
    TestRunner::new(Config {
        cases: count,
        failure_persistence: None,
        ..Config::default()
    })
}
