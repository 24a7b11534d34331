//! Passes that can be left out of a clean-up: one, or a family of passes that do each other's work.

use std::collections::BTreeSet;

use crate::passes::{PASSES, Pass, SimplifyOptions, SimplifyReport};

/// A pass or a family.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub name: String,
    passes: Vec<&'static Pass>,
}

impl Candidate {
    /// The same clean-up without it.
    pub fn left_out_of(&self, options: &SimplifyOptions) -> SimplifyOptions {
        let mut less = options.clone();
        less.skip.extend(self.passes.iter().map(|p| p.name.to_string()));
        less
    }

    /// Whether something of it changes outputs by rounding.
    pub fn rounds(&self) -> bool {
        self.passes.iter().any(|p| !p.exact)
    }
}

/// Every pass that was applied, and then every family of which one was.
pub(super) fn candidates(report: &SimplifyReport) -> Vec<Candidate> {
    let applied = |pass: &&Pass| report.passes.iter().any(|(name, _)| name == pass.name);
    let applied: Vec<&'static Pass> = PASSES.iter().filter(applied).collect();
    let families: BTreeSet<&str> = applied.iter().filter_map(|p| p.family).collect();
    let family = |name: &str| Candidate {
        name: name.to_string(),
        passes: PASSES.iter().filter(|p| p.family == Some(name)).collect(),
    };
    let alone = applied.iter().map(|p| Candidate { name: p.name.to_string(), passes: vec![*p] });
    alone.chain(families.into_iter().map(family)).collect()
}
