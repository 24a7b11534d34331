//! `onnxpress inspect`: what is in a model, and what could be done with it.

use std::path::PathBuf;

use super::Done;
use super::args::{each_target, targets};
use super::printed::Printed;
use crate::error::Result;
use crate::{pipeline, target};

#[derive(clap::Args)]
pub struct Args {
    /// The model
    model: PathBuf,
    /// Print as text or json
    #[arg(long, visible_alias = "report", value_name = "FORMAT", value_enum, default_value_t)]
    format: Printed,
    #[arg(long, value_name = "T", default_value = target::default().name, help = targets(), long_help = each_target())]
    target: String,
}

pub(super) fn run(args: &Args) -> Result<Done> {
    args.format.print(&pipeline::inspect(&args.model, &args.target)?, ToString::to_string)?;
    Ok(Done::Well)
}
