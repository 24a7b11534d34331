//! Names to choose from, in tables and enums: what there is, and what a mistyped one probably means.

use crate::error::{Error, Result};

/// The entry of a table that has this name.
///
/// # Errors
/// Usage, with the names there are.
pub fn find<'t, T>(what: &str, name: &str, table: &'t [T], name_of: impl Fn(&T) -> &str) -> Result<&'t T> {
    table.iter().find(|entry| name_of(entry) == name).ok_or_else(|| {
        let names: Vec<_> = table.iter().map(&name_of).collect();
        Error::usage(format!("there is no {what} \"{name}\"; there are {}", names.join(", ")))
    })
}

/// Of a word that is none of `names`.
pub fn unknown(what: &str, text: &str, names: impl IntoIterator<Item = impl ToString>) -> Error {
    let names: Vec<String> = names.into_iter().map(|name| name.to_string()).collect();
    Error::usage(format!("{what} \"{text}\" is unknown; there are {}", names.join(", ")))
}

/// Likeness from which on one name is taken for another mistyped.
const LIKELY: f64 = 0.7;

/// The candidate that a mistyped `name` probably means.
pub fn likely<'c>(name: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    nearest(name, candidates).filter(|c| likeness(name, c) > LIKELY)
}

/// The candidate most like `name`, however little that is.
pub fn nearest<'c>(name: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    candidates.into_iter().max_by(|a, b| likeness(name, a).total_cmp(&likeness(name, b)))
}

/// From 0 to 1; case, and which dash it is, do not matter.
fn likeness(a: &str, b: &str) -> f64 {
    let [a, b] = [a, b].map(|name| name.to_lowercase().replace('_', "-"));
    strsim::jaro_winkler(&a, &b)
}

/// An enum whose variants have names on the command line, in recipes and in reports.
macro_rules! named {
    ($(#[$doc:meta])* $name:ident, $what:literal { $($(#[$vdoc:meta])* $variant:ident = $text:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
        #[non_exhaustive]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $text)] $variant),* }

        impl $name {
            /// Every one, in the order of the documentation.
            pub const ALL: &[$name] = &[$($name::$variant),*];

            /// As on the command line.
            pub fn name(self) -> &'static str {
                match self { $($name::$variant => $text),* }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.name())
            }
        }

        impl std::str::FromStr for $name {
            type Err = crate::error::Error;

            fn from_str(text: &str) -> crate::error::Result<Self> {
                let found = Self::ALL.iter().copied().find(|v| v.name() == text);
                found.ok_or_else(|| crate::names::unknown($what, text, Self::ALL))
            }
        }
    };
}
pub(crate) use named;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_there_is_and_what_was_meant() {
        const TABLE: &[&str] = &["min-max", "entropy", "mse"];
        assert_eq!(find("rule", "mse", TABLE, |n| n).unwrap(), &"mse");
        let error = find("rule", "mean", TABLE, |n| n).unwrap_err().to_string();
        assert_eq!(error, "there is no rule \"mean\"; there are min-max, entropy, mse");
        for mistyped in ["minmax", "min_max", "MIN-MAX"] {
            assert_eq!(likely(mistyped, TABLE.iter().copied()), Some("min-max"));
        }
        assert_eq!(likely("kullback", TABLE.iter().copied()), None);
        assert!(nearest("kullback", TABLE.iter().copied()).is_some());
    }
}
