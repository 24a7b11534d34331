//! What the user asks of quantization; everything not asked comes from the target's preset.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::Serialize;

use super::params::{QParams, QType};
use super::short_floats;
use crate::calibrate::Range;
use crate::error::{Error, Result};
use crate::names::named;
use crate::target::{self, Preset};

named! {
    /// How quantization is written into the graph.
    Format, "format" {
        /// QuantizeLinear and DequantizeLinear around the operators; runtimes fuse them.
        Qdq = "qdq",
        /// QLinearConv, QLinearMatMul and their kin.
        Qoperator = "qoperator",
        /// MatMulInteger and ConvInteger with the scale applied after; activations by a fixed scale.
        Integer = "integer",
        /// The same with the activations' scale found at every call.
        Dynamic = "dynamic",
        /// Floats of 16 bits in the place of 32.
        Half = "half",
        /// Weights alone, behind DequantizeLinear; arithmetic in float.
        WeightOnly = "weight-only",
    }
}

named! {
    /// The type that activations are quantized to.
    Activations, "activation type" {
        /// 0 … 255.
        U8 = "u8",
        /// −128 … 127.
        S8 = "s8",
        /// 0 … 65535, where 8 bits are too few; opset 21.
        U16 = "u16",
        /// −32768 … 32767; opset 21.
        S16 = "s16",
        /// The whole graph in float16, weights too, but for what overflows.
        F16 = "f16",
        /// Activations stay float: weights only.
        None = "none",
    }
}

named! {
    /// The type that weights are quantized to: with `s` symmetric around zero, with `u` and fewer than 8 bits each scale with a zero point.
    Weights, "weight type" {
        /// 8 bits, around zero.
        S8 = "s8",
        /// 8 bits, from zero on.
        U8 = "u8",
        /// 4 bits, around zero.
        S4 = "s4",
        /// 4 bits, from zero on.
        U4 = "u4",
        /// Eight levels, stored in four bits.
        S3 = "s3",
        /// Eight levels, stored in four bits.
        U3 = "u3",
        /// Four levels; opset 25.
        S2 = "s2",
        /// Four levels; opset 25.
        U2 = "u2",
        /// Half precision, weights alone.
        F16 = "f16",
        /// The upper half of a float32, weights alone.
        BF16 = "bf16",
        /// With a scale for each channel.
        F8E4M3 = "f8e4m3",
        /// With a scale for each channel.
        F8E5M2 = "f8e5m2",
    }
}

/// How many scales a weight has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(into = "String")]
#[schemars(with = "String")]
#[non_exhaustive]
pub enum Granularity {
    /// One per output channel.
    Channel,
    /// One.
    Tensor,
    /// One per so many weights in a row of those that are summed.
    Block(usize),
}

impl Granularity {
    /// As on the command line.
    pub const USAGE: [&str; 3] = ["channel", "tensor", "block:N"];
    /// Smaller blocks would be more scale than weight, and runtimes read no other sizes than powers of two.
    pub(super) const LEAST: usize = 16;
}

impl fmt::Display for Granularity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Granularity::Channel => f.pad("channel"),
            Granularity::Tensor => f.pad("tensor"),
            Granularity::Block(size) => write!(f, "block:{size}"),
        }
    }
}

impl FromStr for Granularity {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let size = |size: &str| size.parse().ok().filter(|n: &usize| n.is_power_of_two() && *n >= Self::LEAST);
        let block = || text.strip_prefix("block:").and_then(size).map(Granularity::Block);
        match text {
            "channel" => Ok(Granularity::Channel),
            "tensor" => Ok(Granularity::Tensor),
            _ => block().ok_or_else(|| {
                let names = Self::USAGE.join(", ");
                Error::usage(format!(
                    "granularity \"{text}\" is unknown; there are {names}, N a power of two from 16 on"
                ))
            }),
        }
    }
}

impl From<Granularity> for String {
    fn from(granularity: Granularity) -> String {
        granularity.to_string()
    }
}

named! {
    /// Whether something that may pay is done.
    Switch, "switch" {
        /// Where it pays.
        Auto = "auto",
        /// Wherever it gains anything.
        On = "on",
        /// Nowhere.
        Off = "off",
    }
}

impl Format {
    /// Whether activations have scales that calibration finds.
    pub fn is_static(self) -> bool {
        matches!(self, Format::Qdq | Format::Qoperator | Format::Integer | Format::Half)
    }
}

/// What to quantize, to what, and how it is written.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct QuantOptions {
    /// Name of the preset that the rest was taken from.
    pub target: String,
    /// How integers are written.
    pub format: Format,
    /// The type of values that become integers.
    pub activations: Activations,
    /// The type of weights.
    pub weights: Weights,
    /// How many scales a weight has.
    pub granularity: Granularity,
    /// Activations with zero point 0 (s8) or 128 (u8).
    pub symmetric_activations: bool,
    /// Nodes whose name one of these matches stay as they are.
    pub exclude: Vec<String>,
    /// If any: only nodes whose name one of these matches are quantized, also where the target would rather not.
    pub include: Vec<String>,
    /// If any: only these operator types are quantized, also where the target would rather not.
    pub op_types: Vec<String>,
    /// Tables and weights (of weight-only) below this many bytes stay as they are.
    pub min_bytes: u64,
    /// Name of the rule that rounds weights: see [`super::ALGORITHMS`].
    pub algorithm: String,
    /// Whether the range of large channels is moved into the weights that read them.
    pub smooth: Switch,
    /// Whether channels are made alike on both sides of what is between two layers; `auto`: where weights have one scale, if that pays.
    pub equalize: Switch,
    /// Whether biases take back what quantization adds to a channel on average; `auto`: where the calibrator leaves a choice and that pays.
    pub bias_correction: Switch,
    /// Whether neighbouring weights are kept so small that no kernel that adds two products in 16 bits overflows; `auto`: where the target's
    /// runtime has such kernels on this processor, or cannot be asked.
    pub reduce_range: Switch,
    /// Whether nodes are timed in the target's runtime, and stay float where integers are not faster; `auto`: where the preset wants it, or
    /// the result is slower than the original.
    pub tune: Switch,
    /// Nodes that stay float, by name, with the reason: what was measured adds to it, no flag does.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub float: BTreeMap<String, String>,
    /// The table in which measured times are kept from run to run ([`crate::runtime::costs`]); `None` measures anew.
    #[serde(skip)]
    pub costs: Option<PathBuf>,
}

impl Default for QuantOptions {
    fn default() -> Self {
        Self::of(target::default())
    }
}

impl QuantOptions {
    /// What `preset` wants. Names in presets are ours; one that did not parse would be replaced by the first of its kind.
    pub fn of(preset: &Preset) -> Self {
        QuantOptions {
            target: preset.name.into(),
            format: preset.format.parse().unwrap_or(Format::Qdq),
            activations: preset.activations.parse().unwrap_or(Activations::U8),
            weights: preset.weights.parse().unwrap_or(Weights::S8),
            granularity: preset.granularity.parse().unwrap_or(Granularity::Channel),
            symmetric_activations: preset.symmetric_activations,
            exclude: Vec::new(),
            include: Vec::new(),
            op_types: Vec::new(),
            min_bytes: 4096,
            algorithm: super::algorithm::default().name.into(),
            smooth: Switch::Auto,
            equalize: Switch::Auto,
            bias_correction: Switch::Auto,
            reduce_range: Switch::Auto,
            tune: Switch::Auto,
            float: BTreeMap::new(),
            costs: None,
        }
    }

    /// The preset of that name, as options.
    pub fn for_target(name: &str) -> Result<Self> {
        Ok(Self::of(target::find(name)?))
    }

    /// The preset that the options were taken from.
    ///
    /// # Errors
    /// Usage, where there is none of that name.
    pub fn preset(&self) -> Result<&'static Preset> {
        target::find(&self.target)
    }

    /// The format in force: no activations to quantize, or weights that stay floats, mean weights only.
    pub fn effective_format(&self) -> Format {
        if self.activations == Activations::F16 {
            return Format::Half;
        }
        let alone = self.activations == Activations::None || short_floats::wanted(self.weights).is_some();
        if alone { Format::WeightOnly } else { self.format }
    }

    /// The flag that insists on what is found by running activations with scales, if one does.
    pub fn insists_on_data(&self) -> Option<&'static str> {
        let flags = [
            ("--smooth on", self.smooth),
            ("--bias-correction on", self.bias_correction),
            ("--tune latency", self.tune),
        ];
        flags.into_iter().find(|(_, switch)| *switch == Switch::On).map(|(flag, _)| flag)
    }

    /// What numbers become: `int8`, or what weights, or weights and activations, are named in types of other widths.
    pub fn types(&self) -> String {
        let (weights, activations) = (self.weights.name(), self.activations.name());
        match self.effective_format() {
            Format::Half => "f16".into(),
            Format::WeightOnly => weights.into(),
            _ if self.weight_type().bits() == 8 && self.activation_type().bits() == 8 => "int8".into(),
            _ => format!("{weights} and {activations}"),
        }
    }

    pub(super) fn activation_type(&self) -> QType {
        match self.activations {
            Activations::U8 | Activations::F16 | Activations::None => QType::U8,
            Activations::S8 => QType::S8,
            Activations::U16 => QType::U16,
            Activations::S16 => QType::S16,
        }
    }

    /// Scale and zero point of an activation of this range.
    pub(super) fn activation_params(&self, range: Range) -> Result<QParams, String> {
        let make = if self.symmetric_activations { QParams::symmetric } else { QParams::asymmetric };
        make(range, self.activation_type())
    }

    /// How many scales weights have in these types where nobody says it.
    pub fn default_granularity(&self) -> Result<Granularity> {
        let preset = self.preset()?;
        let narrow = self.weights_are_narrow() && self.effective_format() == Format::WeightOnly;
        if narrow { preset.narrow_granularity } else { preset.granularity }.parse()
    }

    /// Whether weights have fewer than 8 bits.
    pub fn weights_are_narrow(&self) -> bool {
        self.weight_type().is_narrow()
    }

    pub(super) fn weight_type(&self) -> QType {
        match self.weights {
            Weights::S8 | Weights::F16 | Weights::BF16 | Weights::F8E4M3 | Weights::F8E5M2 => QType::S8,
            Weights::U8 => QType::U8,
            Weights::S4 => QType::S4,
            Weights::U4 => QType::U4,
            Weights::S3 => QType::S3,
            Weights::U3 => QType::U3,
            Weights::S2 => QType::S2,
            Weights::U2 => QType::U2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_parse_and_names_read_back() {
        for preset in target::PRESETS {
            let o = QuantOptions::of(preset);
            assert_eq!(o.format.name(), preset.format);
            assert_eq!(o.activations.name(), preset.activations);
            assert_eq!(o.weights.name(), preset.weights);
            assert_eq!(o.granularity.to_string(), preset.granularity);
            assert!(preset.narrow_granularity.parse::<Granularity>().is_ok());
        }
        let error = "int4".parse::<Weights>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "weight type \"int4\" is unknown; there are s8, u8, s4, u4, s3, u3, s2, u2, f16, bf16, f8e4m3, f8e5m2"
        );
        assert_eq!(error.exit_code(), 2);
        assert_eq!("block:32".parse::<Granularity>().unwrap(), Granularity::Block(32));
        for wrong in ["block:8", "block:48", "block", "block:"] {
            assert!(wrong.parse::<Granularity>().is_err(), "{wrong}");
        }
    }
}
