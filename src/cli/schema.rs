//! `onnxpress schema [SUBCOMMAND]`: for readers of what is printed as JSON.

use clap::ValueEnum;

use super::out::say;
use super::{Done, plan, validate};
use crate::error::Result;
use crate::report::{Report, schema};
use crate::validate::bench::Bench;
use crate::{mixed, pipeline, prune};

#[derive(clap::Args)]
pub struct Args {
    /// What reports it
    #[arg(value_enum, default_value_t)]
    subcommand: Reports,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum Reports {
    #[default]
    Optimize,
    Quantize,
    Prune,
    /// --plan of these three
    Plan,
    Simplify,
    Inspect,
    Validate,
    Bench,
    Sensitivity,
    /// sensitivity --prune
    SensitivityPrune,
}

pub(super) fn run(args: &Args) -> Result<Done> {
    let schema = match args.subcommand {
        Reports::Optimize | Reports::Quantize | Reports::Prune => schema::<Report>(),
        Reports::Plan => schema::<plan::Plan>(),
        Reports::Simplify => schema::<pipeline::Cleaned>(),
        Reports::Inspect => schema::<pipeline::Inspection>(),
        Reports::Validate => schema::<validate::Output>(),
        Reports::Bench => schema::<Bench>(),
        Reports::Sensitivity => schema::<mixed::Sensitivity>(),
        Reports::SensitivityPrune => schema::<prune::PruneSensitivity>(),
    };
    say!("{}", schema?);
    Ok(Done::Well)
}
