//! Replaces names by numbers, to save memory.

use std::collections::HashMap;
use std::hash::Hash;

/// Names with a number for each, so that every name is kept only once.
#[derive(Debug)]
pub(super) struct Names<T> {
    numbers: HashMap<T, u32>,
    names: Vec<T>,
}

impl<T> Default for Names<T> {
    fn default() -> Self {
        Self {
            numbers: HashMap::new(),
            names: Vec::new(),
        }
    }
}

impl<T: Clone + Eq + Hash> Names<T> {
    /// The number of a name. A new name gets the next number.
    pub fn number(&mut self, name: &T) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.numbers.insert(name.clone(), number);
        self.names.push(name.clone());
        number
    }

    /// The number of a name; `None` if it is new.
    pub fn known(&self, name: &T) -> Option<u32> {
        self.numbers.get(name).copied()
    }

    /// The name that has this number; `None` if no name has it.
    pub fn name(&self, number: u32) -> Option<&T> {
        self.names.get(usize::try_from(number).ok()?)
    }
}
