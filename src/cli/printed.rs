//! How a report is printed.

use clap::ValueEnum;
use serde::Serialize;

use super::out;
use crate::error::Result;
use crate::report;

/// As `--report` takes it, or `--format` where that means nothing else.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Printed {
    #[default]
    Text,
    Json,
}

impl Printed {
    /// Prints a report by `text`, or as JSON.
    pub fn print<T: Serialize>(self, report: &T, text: impl FnOnce(&T) -> String) -> Result<()> {
        match self {
            Printed::Text => out::write(format_args!("{}", text(report))),
            Printed::Json => out::write(format_args!("{}\n", report::json(report)?)),
        }
    }

    /// The same of one for each runtime: as JSON one object, or a list of several.
    pub fn print_all<T: Serialize>(self, reports: &[T], text: impl FnOnce(&[T]) -> String) -> Result<()> {
        match self {
            Printed::Text => out::write(format_args!("{}", text(reports))),
            Printed::Json => out::write(format_args!("{}\n", report::json_of_each(reports)?)),
        }
    }
}
