//! Regular expressions by which users name nodes.

use regex::Regex;

use crate::error::{Error, Result};

/// # Errors
/// Usage, naming `flag`, for what is no regular expression.
pub fn compile(flag: &str, patterns: &[String]) -> Result<Vec<Regex>> {
    let one =
        |p: &String| Regex::new(p).map_err(|e| Error::usage(format!("{flag} \"{p}\" is no regular expression: {e}")));
    patterns.iter().map(one).collect()
}

/// The flag by which a node of this name stays as it is.
pub fn excluded(exclude: &[Regex], name: &str) -> Option<String> {
    exclude.iter().find(|r| r.is_match(name)).map(|r| format!("--exclude {r}"))
}
