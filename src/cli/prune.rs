//! `onnxpress prune`: weights of low importance to zero.

use std::path::PathBuf;

use super::Done;
use super::args::{number, one_of, output};
use super::out::{put, say};
use crate::error::{Error, Result};
use crate::prune::{self, CRITERIA, Pattern, PruneOptions, Scope};
use crate::{onnx, pipeline};

#[derive(clap::Args)]
pub struct Args {
    /// The model
    model: PathBuf,
    /// Where the result goes
    #[arg(short, long, required_unless_present = "plan")]
    output: Option<PathBuf>,
    #[command(flatten)]
    prune: PruneArgs,
    /// Nodes whose name matches keep their weights (repeatable)
    #[arg(long, value_name = "REGEX")]
    exclude: Vec<String>,
    /// Print what would be done, and stop
    #[arg(long)]
    plan: bool,
}

/// What to prune, shared with `optimize`.
#[derive(clap::Args, Clone)]
pub struct PruneArgs {
    /// Share of the weights that become zero, as 0.5
    #[arg(long, value_name = "F", value_parser = number, allow_negative_numbers = true)]
    sparsity: Option<f64>,
    /// Weights that score below this become zero
    #[arg(long, value_name = "X", conflicts_with = "sparsity", value_parser = number, allow_negative_numbers = true)]
    threshold: Option<f64>,
    #[arg(long, value_name = "C", default_value = CRITERIA[0].name, help = criteria())]
    criterion: String,
    /// unstructured, or N:M as 2:4
    #[arg(long, value_name = "P", default_value = "unstructured")]
    pattern: Pattern,
    /// global or layer
    #[arg(long, value_name = "S", default_value = "global")]
    scope: Scope,
    /// Store zeros as sparse_initializer where that is smaller
    #[arg(long)]
    sparse: bool,
}

fn criteria() -> String {
    one_of("How important a weight is", CRITERIA.iter().map(|c| c.name))
}

impl PruneArgs {
    /// `None` where no pruning was asked for.
    pub fn options(&self) -> Result<Option<PruneOptions>> {
        let structured = self.pattern != Pattern::Unstructured;
        if structured && (self.sparsity.is_some() || self.threshold.is_some()) {
            return Err(Error::usage(format!("the pattern {} fixes the sparsity; leave --sparsity out", self.pattern)));
        }
        if !structured && self.sparsity.is_none() && self.threshold.is_none() {
            return Ok(None);
        }
        Ok(Some(PruneOptions {
            sparsity: self.sparsity,
            threshold: self.threshold,
            criterion: self.criterion.clone(),
            pattern: self.pattern,
            scope: self.scope,
            sparse: self.sparse,
            ..PruneOptions::default()
        }))
    }
}

pub(super) fn run(args: &Args) -> Result<Done> {
    let path = output(args.output.as_ref(), args.plan)?;
    let Some(mut options) = args.prune.options()? else {
        return Err(Error::usage("give --sparsity, --threshold or an N:M --pattern"));
    };
    options.exclude.clone_from(&args.exclude);
    let mut model = pipeline::load(&args.model)?;
    let plan = prune::plan(&model, &options)?;
    let Some(path) = path else {
        put!("{plan}");
        return Ok(Done::Well);
    };
    let report = prune::apply(&mut model, &plan)?;
    onnx::emit(&model, path)?;
    say!("{report}");
    for t in &plan.tensors {
        if let Some(why) = &t.kept {
            say!("  keep {} ({}): {why}", t.node, t.op_type);
        }
    }
    Ok(Done::Well)
}
