//! Which nodes the user wants quantized, by name and operator type.

use std::collections::BTreeMap;

use regex::Regex;

use super::options::QuantOptions;
use crate::error::Result;
use crate::patterns::{compile, excluded};

/// The node filters of the options, compiled.
pub(super) struct Filters<'a> {
    exclude: Vec<Regex>,
    include: Vec<Regex>,
    op_types: &'a [String],
    float: &'a BTreeMap<String, String>,
}

impl<'a> Filters<'a> {
    pub fn new(options: &'a QuantOptions) -> Result<Self> {
        Ok(Filters {
            exclude: compile("--exclude", &options.exclude)?,
            include: compile("--include", &options.include)?,
            op_types: &options.op_types,
            float: &options.float,
        })
    }

    /// Every pattern with its flag.
    pub fn patterns(&self) -> impl Iterator<Item = (&'static str, &Regex)> {
        let exclude = self.exclude.iter().map(|r| ("--exclude", r));
        exclude.chain(self.include.iter().map(|r| ("--include", r)))
    }

    /// The flag by which a node stays as it is.
    pub fn excludes(&self, name: &str) -> Option<String> {
        excluded(&self.exclude, name)
    }

    /// Why a node is out; `None`: it is in.
    pub fn refuses(&self, name: &str, op_type: &str) -> Option<String> {
        if let Some(reason) = self.excludes(name) {
            return Some(reason);
        }
        if let Some(reason) = self.float.get(name) {
            return Some(reason.clone());
        }
        if !self.op_types.is_empty() && !self.op_types.iter().any(|t| t == op_type) {
            return Some(format!("{op_type} is not among --op-types"));
        }
        if !self.include.is_empty() && !self.include.iter().any(|r| r.is_match(name)) {
            return Some("no --include matches".into());
        }
        None
    }

    /// Whether the user asked for this very node or operator type, against the target's preference.
    pub fn insists(&self, name: &str, op_type: &str) -> bool {
        self.include.iter().any(|r| r.is_match(name)) || self.op_types.iter().any(|t| t == op_type)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exclude_wins_over_include_and_insisting_needs_a_name() {
        let options =
            QuantOptions { exclude: vec!["^head".into()], include: vec!["conv".into()], ..QuantOptions::default() };
        let f = Filters::new(&options).unwrap();
        assert_eq!(f.refuses("head/conv", "Conv").unwrap(), "--exclude ^head");
        assert_eq!(f.refuses("fc", "Gemm").unwrap(), "no --include matches");
        assert_eq!(f.refuses("conv1", "Conv"), None);
        assert!(f.insists("conv1", "Conv") && !f.insists("fc", "Gemm"));
        let bad = QuantOptions { exclude: vec!["(".into()], ..QuantOptions::default() };
        assert_eq!(Filters::new(&bad).err().unwrap().exit_code(), 2);
    }
}
