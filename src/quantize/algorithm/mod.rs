//! Rules that turn real weights into integers, one file each.

mod awq;
mod clip;
pub mod gptq;
mod hqq;
mod round_to_nearest;
pub mod scale;
mod sum_preserving;

use crate::error::Result;
use crate::names;
use crate::quantize::{QParams, QType};

/// A rule that rounds weights.
#[derive(Debug)]
pub struct Algorithm {
    /// As `--algorithm` takes it.
    pub name: &'static str,
    /// One line for help.
    pub summary: &'static str,
    /// Rounds the weights of one channel, which consists of kernels of so many.
    pub round: fn(&[f32], &QParams, usize) -> Vec<i32>,
    /// Parameters of a group of few levels: its weights, what an error of each costs (none: alike), whether zero may lie anywhere.
    pub fit: fn(&[f32], &[f32], QType, bool) -> QParams,
    /// When calibration data decide instead: by [`gptq`], or by what AWQ finds.
    pub by_data: ByData,
}

/// When calibration data decide how weights are rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByData {
    /// Each weight is rounded by itself.
    Never,
    /// By GPTQ, where the outputs come nearer on batches that are held back.
    WherePays,
    /// AWQ: of weights alone, by their ranges and by factors of what they meet.
    Scaled,
    /// By GPTQ.
    Always,
}

/// Every rule; the first is the default.
pub static ALGORITHMS: &[Algorithm] = &[
    Algorithm {
        name: "auto",
        summary: "gptq where it pays, else sum-preserving",
        by_data: ByData::WherePays,
        ..sum_preserving::ALGORITHM
    },
    sum_preserving::ALGORITHM,
    round_to_nearest::ALGORITHM,
    gptq::ALGORITHM,
    awq::ALGORITHM,
    hqq::ALGORITHM,
];

/// The rule where nobody names one.
#[must_use]
pub fn default() -> &'static Algorithm {
    &ALGORITHMS[0]
}

/// What single weights are rounded by where they are no terms of a sum.
pub(super) const NEAREST: &Algorithm = &round_to_nearest::ALGORITHM;
/// What finds the scales of blocks without data.
pub(super) const SUM_PRESERVING: &Algorithm = &sum_preserving::ALGORITHM;

/// The rule of that name.
pub fn find(name: &str) -> Result<&'static Algorithm> {
    names::find("algorithm", name, ALGORITHMS, |a| a.name)
}
