//! Which weights go in the end, and what becomes of those that stay: one line an algorithm.

mod admm;
mod sparse_gpt;

use super::Pattern;
use super::options::Scope;
use super::resolve::Known;
use crate::error::Result;
use crate::names;

/// What becomes of the weights.
#[derive(Debug)]
pub struct Algorithm {
    /// As `--algorithm` takes it.
    pub name: &'static str,
    /// One line for help.
    pub summary: &'static str,
    /// Whether the weights that stay are solved anew, which takes data; else biases alone make up for the means of what went, where there
    /// are data.
    pub(super) solves: bool,
    /// Which weights of a layer go, as many as in the plan's mask; `None` where the mask says which.
    pub(super) chooses: Option<fn(&Known, Pattern) -> Vec<bool>>,
    /// Whether it sets blocks to zero, too.
    pub(super) takes_blocks: bool,
    /// Whether with this scope scores still decide after a first part of the weights went, so that weights solved by then are scored again.
    pub(super) rescores: fn(Scope) -> bool,
}

impl Algorithm {
    /// Which weights of a layer go.
    pub(super) fn mask(&self, known: &Known, pattern: Pattern) -> Vec<bool> {
        self.chooses.map_or_else(|| known.plan.mask.clone(), |chosen| chosen(known, pattern))
    }
}

/// Every algorithm.
pub static ALGORITHMS: &[Algorithm] = &[
    Algorithm {
        name: "mask",
        summary: "zeros; with data, biases make up for the means of what went",
        solves: false,
        chooses: None,
        takes_blocks: true,
        rescores: |_| false,
    },
    Algorithm {
        name: "least-squares",
        summary: "zeros; the weights that stay are solved anew layer by layer",
        solves: true,
        chooses: None,
        takes_blocks: true,
        rescores: |_| true,
    },
    Algorithm {
        name: "sparse-gpt",
        summary: "zeros chosen while the weights after them make up for those before, then solved anew",
        solves: true,
        chooses: Some(sparse_gpt::mask),
        takes_blocks: false,
        rescores: |_| false,
    },
    Algorithm {
        name: "admm",
        summary: "zeros chosen by free weights and weights that keep the pattern, drawn together, then solved anew",
        solves: true,
        chooses: Some(admm::mask),
        takes_blocks: true,
        rescores: |scope| scope == Scope::Global,
    },
];

/// The algorithm of that name.
///
/// # Errors
/// Usage, with the names there are.
pub fn find(name: &str) -> Result<&'static Algorithm> {
    names::find("algorithm", name, ALGORITHMS, |a| a.name)
}
