//! How important a weight is: one file a criterion.

mod magnitude;
mod random;

use crate::error::{Error, Result};

/// Scores the weights of a tensor; the lowest go first.
#[derive(Debug)]
pub struct Criterion {
    pub name: &'static str,
    pub summary: &'static str,
    /// Scores of the weights, none negative; `seed` for what is random.
    pub score: fn(&[f32], u64) -> Vec<f32>,
}

/// Every criterion; the first is the default.
pub static CRITERIA: &[Criterion] = &[magnitude::CRITERION, random::CRITERION];

/// The criterion of that name.
pub fn find(name: &str) -> Result<&'static Criterion> {
    CRITERIA.iter().find(|c| c.name == name).ok_or_else(|| {
        let names: Vec<_> = CRITERIA.iter().map(|c| c.name).collect();
        Error::usage(format!("there is no criterion \"{name}\"; there are {}", names.join(", ")))
    })
}
