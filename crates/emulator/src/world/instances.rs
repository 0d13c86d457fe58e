//! The buyers' running software: the instances that call `MeterUsage` and `RegisterUsage`.

use std::collections::{HashMap, HashSet, VecDeque};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::World;
use crate::limits::CLIENT_TOKENS_KEPT_MAX;
use crate::model::is_digits;

/// The request for which a client token was used.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct TokenUse {
    /// A hash over all parameters of the request.
    pub(crate) fingerprint: u64,
    pub(crate) metering_record: u64,
}

/// The instances in a saved world.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct SavedInstances {
    numbers: Vec<(String, u32)>,
    registered: Vec<(usize, u32)>,
    tokens: Vec<(usize, String, TokenUse)>,
}

/// The instances, by the access key with which they sign. Each EC2 instance, ECS task or EKS pod
/// has its own key.
#[derive(Debug, Default)]
pub(crate) struct Instances {
    numbers: HashMap<String, u32>,
    registered: HashSet<(usize, u32)>,
    tokens: HashMap<(usize, String), TokenUse>,
    order: VecDeque<(usize, String)>,
}

impl Instances {
    pub(crate) fn number(&mut self, access_key_id: &str) -> u32 {
        let next = u32::try_from(self.numbers.len()).unwrap_or(u32::MAX);
        match self.numbers.get(access_key_id) {
            Some(number) => *number,
            None => {
                self.numbers.insert(access_key_id.to_owned(), next);
                next
            }
        }
    }

    /// Remembers that a container has registered. Returns `false` if it had registered before.
    pub(crate) fn register(&mut self, customer: usize, instance: u32) -> bool {
        self.registered.insert((customer, instance))
    }

    pub(crate) fn is_registered(&self, customer: usize, instance: u32) -> bool {
        self.registered.contains(&(customer, instance))
    }

    pub(crate) fn token_use(&self, customer: usize, token: &str) -> Option<&TokenUse> {
        self.tokens.get(&(customer, token.to_owned()))
    }

    pub(crate) fn save(&self) -> SavedInstances {
        let mut numbers: Vec<(String, u32)> = self.numbers.clone().into_iter().collect();
        numbers.sort();
        let mut registered: Vec<(usize, u32)> = self.registered.iter().copied().collect();
        registered.sort_unstable();
        let tokens = self.order.iter().filter_map(|key| {
            let used = self.tokens.get(key)?;
            Some((key.0, key.1.clone(), *used))
        });
        SavedInstances {
            numbers,
            registered,
            tokens: tokens.collect(),
        }
    }

    pub(crate) fn load(saved: SavedInstances) -> Instances {
        let mut instances = Instances {
            numbers: saved.numbers.into_iter().collect(),
            registered: saved.registered.into_iter().collect(),
            ..Instances::default()
        };
        for (customer, token, used) in saved.tokens {
            instances.remember(customer, &token, used);
        }
        instances
    }

    /// Remembers the request for which a token was used.
    pub(crate) fn remember(&mut self, customer: usize, token: &str, used: TokenUse) {
        let key = (customer, token.to_owned());
        if self.tokens.insert(key.clone(), used).is_none() {
            self.order.push_back(key);
        }
        while self.order.len() > CLIENT_TOKENS_KEPT_MAX {
            if let Some(oldest) = self.order.pop_front() {
                self.tokens.remove(&oldest);
            }
        }
    }
}

impl World {
    /// The customer in whose account the caller runs. An access key id of 12 digits is an account
    /// id. Any other key belongs to the product's first customer with a license that accepts usage
    /// now.
    pub(crate) fn buyer(
        &self,
        product: usize,
        access_key_id: &str,
        now: Timestamp,
    ) -> Option<usize> {
        if access_key_id.len() == 12 && is_digits(access_key_id) {
            let key = (product, access_key_id.to_owned());
            return self.customer_by_account.get(&key).copied();
        }
        (0..self.customers.len()).find(|number| {
            self.customers
                .get(*number)
                .is_some_and(|c| c.product == product)
                && self.is_entitled(*number, now)
        })
    }

    /// Whether any license of the customer accepts usage now.
    pub(crate) fn is_entitled(&self, customer: usize, now: Timestamp) -> bool {
        let reading = self.readings.final_hour_from;
        self.customers
            .get(customer)
            .into_iter()
            .flat_map(|customer| &customer.licenses)
            .filter_map(|license| self.licenses.get(*license))
            .any(|license| license.accepts_usage(now, reading))
    }
}
