//! What the user asks of pruning.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::Serialize;

use crate::error::Error;

/// Which zeros are allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Pattern {
    Unstructured,
    /// `keep` of every `of` weights along the summed axis stay, as 2:4 hardware reads them.
    Of {
        keep: usize,
        of: usize,
    },
}

impl FromStr for Pattern {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if text == "unstructured" {
            return Ok(Pattern::Unstructured);
        }
        let pair = text.split_once(':').and_then(|(n, m)| Some((n.parse().ok()?, m.parse().ok()?)));
        match pair {
            Some((keep, of)) if 0 < keep && keep < of && of <= 64 => Ok(Pattern::Of { keep, of }),
            _ => Err(Error::usage(format!("pattern \"{text}\" is neither unstructured nor N:M as 2:4"))),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pattern::Unstructured => f.write_str("unstructured"),
            Pattern::Of { keep, of } => write!(f, "{keep}:{of}"),
        }
    }
}

/// Over which weights the lowest scores are sought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// All tensors together: those that matter less lose more.
    Global,
    /// Each tensor alone: all lose the same share.
    Layer,
}

impl FromStr for Scope {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "global" => Ok(Scope::Global),
            "layer" => Ok(Scope::Layer),
            _ => Err(Error::usage(format!("scope \"{text}\" is neither global nor layer"))),
        }
    }
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct PruneOptions {
    /// Share of the weights that become zero.
    pub sparsity: Option<f64>,
    /// Instead of a share: weights that score below this become zero.
    pub threshold: Option<f64>,
    pub criterion: String,
    pub pattern: Pattern,
    pub scope: Scope,
    /// Nodes whose name one of these matches keep their weights.
    pub exclude: Vec<String>,
    /// Store zeros as `sparse_initializer` where that is smaller.
    pub sparse: bool,
    pub seed: u64,
}

impl Default for PruneOptions {
    fn default() -> Self {
        PruneOptions {
            sparsity: None,
            threshold: None,
            criterion: super::CRITERIA[0].name.into(),
            pattern: Pattern::Unstructured,
            scope: Scope::Global,
            exclude: Vec::new(),
            sparse: false,
            seed: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_parse() {
        assert_eq!("2:4".parse::<Pattern>().unwrap(), Pattern::Of { keep: 2, of: 4 });
        assert_eq!("4:4".parse::<Pattern>().unwrap_err().exit_code(), 2);
        assert_eq!("unstructured".parse::<Pattern>().unwrap().to_string(), "unstructured");
    }
}
