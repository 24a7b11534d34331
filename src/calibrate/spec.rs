//! The calibrators by name, and how one is asked for: `min-max`, `percentile:99.99`, `std:3`.

use std::fmt;

use super::{Observer, entropy, mean_std, min_max, mse, output_mse, percentile, search};
use crate::error::{Error, Result};
use crate::names;

/// Every calibrator, in the order in which help lists them.
pub static CALIBRATORS: &[Entry] =
    &[min_max::ENTRY, percentile::ENTRY, entropy::ENTRY, mse::ENTRY, mean_std::ENTRY, search::ENTRY, output_mse::ENTRY];

/// A calibrator as the table knows it.
#[derive(Debug)]
pub struct Entry {
    /// As `--calibrator` takes it, before the colon.
    pub name: &'static str,
    /// What comes behind the colon, where anything does.
    pub parameter: Option<Parameter>,
    /// One line for help.
    pub summary: &'static str,
    /// What chooses the range.
    pub decides: Decides,
    /// A fresh observer; the number is the parameter, 0 where there is none.
    pub observer: fn(f64) -> Box<dyn Observer>,
}

/// What the range of a value is chosen by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decides {
    /// The rule of the calibrator, from the value alone.
    Rule,
    /// Measuring, among ranges that several rules find.
    Measuring,
    /// Nothing but the error of what is computed, which chooses the scales of weights too.
    Output,
}

/// The number behind the colon.
#[derive(Debug)]
pub struct Parameter {
    /// As in `percentile:P`.
    pub symbol: &'static str,
    /// As help shows it, as in `percentile:99.99`.
    pub example: f64,
    /// The parameter is above this …
    pub above: f64,
    /// … and at most this.
    pub at_most: f64,
}

impl Entry {
    /// `percentile:P`, as help and errors write it.
    pub fn usage(&self) -> String {
        match &self.parameter {
            Some(parameter) => format!("{}:{}", self.name, parameter.symbol),
            None => self.name.to_owned(),
        }
    }
}

/// A calibrator with its parameter; prints as the text that [`parse`] reads.
#[derive(Debug, Clone, Copy)]
pub struct Calibrator {
    entry: &'static Entry,
    parameter: f64,
}

impl Calibrator {
    /// As in [`CALIBRATORS`].
    pub fn name(&self) -> &'static str {
        self.entry.name
    }

    /// Whether it leaves the choice among several ranges to measuring.
    pub fn leaves_choice(&self) -> bool {
        self.entry.decides != Decides::Rule
    }

    /// Whether nothing but the error of what is computed decides, for weights too.
    pub fn by_output(&self) -> bool {
        self.entry.decides == Decides::Output
    }

    /// A fresh observer for one value.
    pub fn observer(&self) -> Box<dyn Observer> {
        (self.entry.observer)(self.parameter)
    }
}

impl Default for Calibrator {
    /// The first of the table.
    fn default() -> Self {
        Calibrator { entry: &CALIBRATORS[0], parameter: 0.0 }
    }
}

impl PartialEq for Calibrator {
    fn eq(&self, other: &Self) -> bool {
        self.entry.name == other.entry.name && self.parameter == other.parameter
    }
}

impl fmt::Display for Calibrator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.entry.parameter {
            Some(_) => write!(f, "{}:{}", self.entry.name, self.parameter),
            None => f.write_str(self.entry.name),
        }
    }
}

impl std::str::FromStr for Calibrator {
    type Err = Error;

    fn from_str(spec: &str) -> Result<Self> {
        parse(spec)
    }
}

/// Reads a calibrator's spec. Errors (of kind usage) name the nearest calibrator, or the bounds of the parameter.
pub fn parse(spec: &str) -> Result<Calibrator> {
    let (name, parameter) = match spec.split_once(':') {
        Some((name, parameter)) => (name, Some(parameter)),
        None => (spec, None),
    };
    let Some(entry) = CALIBRATORS.iter().find(|entry| entry.name == name) else {
        return Err(Error::usage(format!("calibrator \"{name}\" does not exist; {}", suggestion(name))));
    };
    let parameter = match (&entry.parameter, parameter) {
        (None, None) => 0.0,
        (None, Some(_)) => return Err(Error::usage(format!("calibrator \"{name}\" takes no parameter; write {name}"))),
        (Some(wanted), given) => wanted.read(entry, given)?,
    };
    Ok(Calibrator { entry, parameter })
}

impl Parameter {
    fn read(&self, entry: &Entry, given: Option<&str>) -> Result<f64> {
        let example = format!("{}:{}", entry.name, self.example);
        let Some(given) = given else {
            let usage = entry.usage();
            return Err(Error::usage(format!(
                "calibrator \"{}\" needs its parameter: {usage}, as {example}",
                entry.name
            )));
        };
        given.trim().parse().ok().filter(|value| *value > self.above && *value <= self.at_most).ok_or_else(|| {
            Error::usage(format!(
                "calibrator \"{}:{given}\": {} is a number above {} and at most {}, as in {example}",
                entry.name, self.symbol, self.above, self.at_most
            ))
        })
    }
}

/// `did you mean "x"?` where a name is near, the whole list where none is.
fn suggestion(name: &str) -> String {
    let likely = names::likely(name, CALIBRATORS.iter().map(|entry| entry.name));
    match CALIBRATORS.iter().find(|entry| likely == Some(entry.name)) {
        Some(entry) => format!("did you mean {}?", entry.usage()),
        None => format!("there are {}", CALIBRATORS.iter().map(Entry::usage).collect::<Vec<_>>().join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_parses_and_prints_back() {
        for entry in CALIBRATORS {
            let spec = match &entry.parameter {
                Some(parameter) => format!("{}:{}", entry.name, parameter.example),
                None => entry.name.to_owned(),
            };
            assert_eq!(parse(&spec).unwrap().to_string(), spec);
            assert_eq!(parse(&spec).unwrap().name(), entry.name);
        }
        assert_eq!(Calibrator::default().to_string(), "min-max");
    }

    #[test]
    fn errors_say_what_to_write() {
        let error = |spec| parse(spec).unwrap_err().to_string();
        assert_eq!(error("minmax"), "calibrator \"minmax\" does not exist; did you mean min-max?");
        assert_eq!(error("min_max"), "calibrator \"min_max\" does not exist; did you mean min-max?");
        assert_eq!(error("min-max:3"), "calibrator \"min-max\" takes no parameter; write min-max");
        assert_eq!(error("percentil:99"), "calibrator \"percentil\" does not exist; did you mean percentile:P?");
        assert_eq!(error("std"), "calibrator \"std\" needs its parameter: std:K, as std:4");
        let bounds = "calibrator \"percentile:101\": P is a number above 50 and at most 100, as in percentile:99.99";
        assert_eq!(error("percentile:101"), bounds);
        for wrong in ["percentile:50", "percentile:NaN", "percentile:", "percentile:many", "std:0", "std:-1"] {
            assert!(error(wrong).contains("is a number above"), "{wrong}");
        }
        assert!(error("kullback").starts_with("calibrator \"kullback\" does not exist; there are min-max"));
    }
}
