//! Which zeros are allowed: anywhere, N of every M, whole blocks, whole channels.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::Serialize;

use crate::error::Error;

/// Which zeros are allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Pattern {
    /// Any.
    Unstructured,
    /// Some of every few weights along the summed axis stay, as 2:4 hardware reads them.
    Of {
        /// So many stay …
        keep: usize,
        /// … of every so many.
        of: usize,
    },
    /// Blocks.
    Block {
        /// Output channels of a block.
        rows: usize,
        /// Its weights along the summed axis.
        columns: usize,
    },
    /// Whole channels, which then leave the graph.
    Channel,
    /// Whole attention heads, which then leave the graph.
    Head,
}

impl Pattern {
    /// Patterns without a number, by name.
    const NAMED: [(&'static str, Pattern); 3] =
        [("unstructured", Pattern::Unstructured), ("channel", Pattern::Channel), ("head", Pattern::Head)];

    /// The share of zeros that the pattern itself says.
    pub fn sparsity(self) -> Option<f64> {
        match self {
            Pattern::Of { keep, of } => Some(1.0 - keep as f64 / of as f64),
            _ => None,
        }
    }

    /// Whether what is pruned leaves the graph instead of becoming zero.
    pub fn shrinks(self) -> bool {
        matches!(self, Pattern::Channel | Pattern::Head)
    }
}

impl FromStr for Pattern {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if let Some((_, pattern)) = Pattern::NAMED.iter().find(|(name, _)| *name == text) {
            return Ok(*pattern);
        }
        let numbers = |text: &str, by: char| {
            let (a, b) = text.split_once(by)?;
            Some((a.parse::<usize>().ok()?, b.parse::<usize>().ok()?))
        };
        let found = match text.strip_prefix("block:") {
            Some(size) => numbers(size, 'x')
                .filter(|(r, c)| (1..=1024).contains(r) && (1..=1024).contains(c))
                .map(|(rows, columns)| Pattern::Block { rows, columns }),
            None => numbers(text, ':')
                .filter(|(keep, of)| 0 < *keep && keep < of && *of <= 64)
                .map(|(keep, of)| Pattern::Of { keep, of }),
        };
        found.ok_or_else(|| {
            Error::usage(format!(
                "pattern \"{text}\" is none of unstructured, N:M as 2:4, block:RxC as block:4x1, channel, head"
            ))
        })
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pattern::Of { keep, of } => write!(f, "{keep}:{of}"),
            Pattern::Block { rows, columns } => write!(f, "block:{rows}x{columns}"),
            named => {
                let name = Pattern::NAMED.iter().find(|(_, p)| p == named).map(|(name, _)| *name);
                f.write_str(name.unwrap_or_default())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_parse_as_they_print() {
        for text in ["unstructured", "2:4", "4:8", "block:4x1", "channel", "head"] {
            assert_eq!(text.parse::<Pattern>().unwrap().to_string(), text);
        }
        for text in ["4:4", "0:4", "block:0x4", "block:4", "channels"] {
            assert_eq!(text.parse::<Pattern>().unwrap_err().exit_code(), 2, "{text}");
        }
        assert_eq!("2:8".parse::<Pattern>().unwrap().sparsity(), Some(0.75));
    }
}
