//! Deployment targets: what a runtime wants of a quantized model, as plain data.
//!
//! A preset says which form quantization takes, where Q/DQ goes and which operators gain from integers there. The
//! numbers behind each are measured; the file of the preset tells them. A preset is one file and one line in [`PRESETS`].

mod onnxruntime;
mod tract;

use crate::error::Result;
use crate::names;

/// What a runtime makes of one operator with integers.
#[derive(Debug, Clone, Copy)]
pub struct OpPlacement {
    /// The operator.
    pub op_type: &'static str,
    /// Whether the integer operator also needs its output quantized.
    pub output: Output,
    /// Smallest number of terms in one sum (the inner size of the product) that pays.
    pub min_depth: u64,
}

/// When Q/DQ is put on the output of a quantized operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// The runtime has the integer operator only with an integer output.
    Always,
    /// The integer operator gives floats; where the next reader wants integers, Q/DQ is that reader's.
    Never,
}

/// Whether a rewrite pays in this runtime: the operator that it writes may be slower there than those that it replaces.
#[derive(Debug, Clone, Copy)]
pub struct PassChoice {
    /// Name of one of [`crate::passes::PASSES`].
    pub pass: &'static str,
    /// Float latency before ÷ after in this runtime on one thread, the lowest of the shapes measured: a test holds it against `on`.
    pub ratio: f64,
    /// Whether it runs.
    pub on: bool,
    /// What was measured, or why it is off, in the words that the user is told.
    pub why: &'static str,
}

const fn on(pass: &'static str, ratio: f64, why: &'static str) -> PassChoice {
    PassChoice { pass, ratio, on: true, why }
}

const fn off(pass: &'static str, ratio: f64, why: &'static str) -> PassChoice {
    PassChoice { pass, ratio, on: false, why }
}

/// A deployment target.
#[derive(Debug)]
pub struct Preset {
    /// As `--target` takes it.
    pub name: &'static str,
    /// One line for the help of the command line.
    pub summary: &'static str,
    /// The rewrites whose gain depends on the runtime; all others run for every target.
    pub passes: &'static [PassChoice],
    /// Names of [`crate::quantize::Format`] and its companions, so that presets stay data.
    pub format: &'static str,
    /// [`crate::quantize::Activations`].
    pub activations: &'static str,
    /// [`crate::quantize::Weights`].
    pub weights: &'static str,
    /// [`crate::quantize::Granularity`].
    pub granularity: &'static str,
    /// Of weights alone below 8 bits.
    pub narrow_granularity: &'static str,
    /// Whether zero points of values are in the middle of their type.
    pub symmetric_activations: bool,
    /// Spec of the calibrator that serves this target best.
    pub calibrator: &'static str,
    /// Contractions that gain from integers here, with where Q/DQ goes.
    pub contractions: &'static [OpPlacement],
    /// Whether convolutions with one input channel per group gain.
    pub depthwise: Depthwise,
    /// Whether a product of two activations gains and keeps its accuracy.
    pub activation_products: bool,
    /// Elementwise operators with integer kernels, taken where everything around them is quantized.
    pub arithmetic: &'static [&'static str],
    /// Operators that it quantizes by itself where integers come before and after them.
    pub quantizes_itself: &'static [&'static str],
    /// Whether it makes floats of integers at load where Cast and Mul stand before an operator that takes no DequantizeLinear.
    pub folds_cast: bool,
    /// Whether its kernels add products of u8 and s8 in 16 bits on some processors ([`crate::quantize`] keeps them small).
    pub adds_in_16_bits: bool,
    /// Whether it reads integers below 8 bits.
    pub narrow_weights: bool,
    /// Whether weights of 4 and 2 bits in blocks are best written as MatMulNBits (com.microsoft).
    pub n_bits: bool,
    /// Operators into which it takes the DequantizeLinear of a weight; before others it runs at every call.
    pub takes_dequantize: &'static [&'static str],
    /// Whether looked-up tables and recurrent weights are stored in 8 bits.
    pub tables: bool,
    /// The size of a hidden state from which DynamicQuantizeLSTM (com.microsoft) is faster than LSTM; `None`: it is not there.
    pub dynamic_lstm: Option<u64>,
    /// Whether an integer convolution is faster written as a product of matrices.
    pub convolutions_as_products: bool,
    /// Output channels of a float layer that its kernels take at a time: one more than a multiple costs as much as all of the next.
    pub channels: usize,
    /// Whether it reads `sparse_initializer`.
    pub sparse_initializers: bool,
    /// Whether the operators of the com.microsoft domain are there.
    pub microsoft: bool,
    /// The runtime in which planned nodes are timed, and kept in float where integers are not faster; `None`: not timed.
    pub timed_in: Option<&'static str>,
}

/// Depthwise convolutions: little arithmetic per value moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depthwise {
    /// As any convolution.
    Quantize,
    /// Only where the values before and after are quantized anyway.
    InQuantizedChain,
    /// Left in float.
    Float,
}

/// Every preset; the first is the default.
pub static PRESETS: &[&Preset] = &[&onnxruntime::PRESET, &tract::PRESET];

/// The preset where nobody names one.
#[must_use]
pub fn default() -> &'static Preset {
    PRESETS[0]
}

/// The preset of that name.
pub fn find(name: &str) -> Result<&'static Preset> {
    names::find("target", name, PRESETS, |p| p.name).copied()
}

impl Preset {
    /// The rewrites that are left out here.
    pub fn left_out(&self) -> impl Iterator<Item = &'static PassChoice> {
        self.passes.iter().filter(|choice| !choice.on)
    }

    /// What the target makes of contractions `op_type`.
    pub fn contraction(&self, op_type: &str) -> Option<&OpPlacement> {
        self.contractions.iter().find(|c| c.op_type == op_type)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_and_unknown_ones_are_told_what_there_is() {
        assert_eq!(find("tract").unwrap().format, "integer");
        assert_eq!(default().name, "onnxruntime");
        let error = find("tensorrt").unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert_eq!(error.to_string(), "there is no target \"tensorrt\"; there are onnxruntime, tract");
    }
    #[test]
    fn only_what_is_no_slower_is_on() {
        for preset in PRESETS {
            for choice in preset.passes {
                // Ratios of equal work scatter by a few percent.
                assert!(!choice.on || choice.ratio >= 0.95, "{}: {choice:?}", preset.name);
                assert!(!choice.why.is_empty(), "{}: {choice:?}", preset.name);
            }
        }
    }
}
