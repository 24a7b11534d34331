//! Which weights go in the end, and what becomes of those that stay: one line an algorithm.

mod admm;
mod sparse_gpt;

use super::Pattern;
use super::resolve::Known;
use crate::error::Result;
use crate::names;

/// What becomes of the weights.
#[derive(Debug)]
pub struct Algorithm {
    pub name: &'static str,
    pub summary: &'static str,
    pub kind: Kind,
}

/// How it goes about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Zeros where the criterion says; with data, biases make up for the means of what went.
    Mask,
    /// The same zeros; the weights that stay are solved anew, which takes data.
    Resolve,
    /// The criterion says how many zeros each tensor gets; which, is told by the errors of those before and what makes up for them.
    Sweep,
    /// The same, told by weights that are free and weights that keep the pattern, drawn together.
    Split,
}

impl Kind {
    /// Whether it says itself which weights of a layer go, and takes from the plan how many.
    pub(super) fn chooses(self) -> bool {
        matches!(self, Kind::Sweep | Kind::Split)
    }

    /// Which weights of a layer go: those of the plan's mask, or as many.
    pub(super) fn mask(self, known: &Known, pattern: Pattern) -> Vec<bool> {
        match self {
            Kind::Mask | Kind::Resolve => known.plan.mask.clone(),
            Kind::Sweep => sparse_gpt::mask(known, pattern),
            Kind::Split => admm::mask(known, pattern),
        }
    }
}

/// Every algorithm.
pub static ALGORITHMS: &[Algorithm] = &[
    Algorithm {
        name: "mask",
        summary: "zeros; with data, biases make up for the means of what went",
        kind: Kind::Mask,
    },
    Algorithm {
        name: "least-squares",
        summary: "zeros; the weights that stay are solved anew layer by layer",
        kind: Kind::Resolve,
    },
    Algorithm {
        name: "sparse-gpt",
        summary: "zeros chosen while the weights after them make up for those before, then solved anew",
        kind: Kind::Sweep,
    },
    Algorithm {
        name: "admm",
        summary: "zeros chosen by free weights and weights that keep the pattern, drawn together, then solved anew",
        kind: Kind::Split,
    },
];

/// The algorithm of that name.
///
/// # Errors
/// Usage, with the names there are.
pub fn find(name: &str) -> Result<&'static Algorithm> {
    names::find("algorithm", name, ALGORITHMS, |a| a.name)
}
