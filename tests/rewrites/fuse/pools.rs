//! Pads before convolutions and poolings.

use proptest::prelude::*;
use proptest::sample::select;

use super::{Source, numbers};
use crate::rewrites::{leaves_alone, rewrites};

/// What takes the pads, and how it pads by itself.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Taker {
    Conv { group: usize },
    Average { counts: bool },
    Max { after_relu: bool },
}

/// Pads of height and width before and after, in the form of the opset, in front of a kernel of 3 × 3.
fn padded(
    opset: i64,
    taker: Taker,
    before: [usize; 4],
    own: [usize; 4],
    value: &str,
    strides: usize,
) -> Source<'static> {
    let [top, left, bottom, right] = before;
    let list = own.map(|p| p.to_string()).join(",");
    let relu = matches!(taker, Taker::Max { after_relu: true });
    let mut constants = format!("float[4,4,3,3] w = {{{}}}, float[4,1,3,3] d = {{{}}}", numbers(144), numbers(36));
    let x = if relu { "r" } else { "x" };
    let pad = match opset {
        0..=10 => format!("p = Pad <pads = [0,0,{top},{left},0,0,{bottom},{right}], value = {value}> ({x})"),
        11..=17 => {
            constants += &format!(", int64[8] pads = {{0,0,{top},{left},0,0,{bottom},{right}}}, float v = {{{value}}}");
            format!("p = Pad ({x}, pads, v)")
        }
        _ => {
            constants += &format!(
                ", int64[4] pads = {{{left},{top},{right},{bottom}}}, float v = {{{value}}}, int64[2] axes = {{-1,2}}"
            );
            format!("p = Pad ({x}, pads, v, axes)")
        }
    };
    let end = match taker {
        Taker::Conv { group } => {
            let weight = if group == 1 { "w" } else { "d" };
            format!(
                "y = Conv <kernel_shape = [3,3], group = {group}, strides = [{strides},1], pads = [{list}]> (p, {weight})"
            )
        }
        Taker::Average { counts } => format!(
            "y = AveragePool <kernel_shape = [3,3], strides = [{strides},1], pads = [{list}], count_include_pad = {}> (p)",
            i64::from(counts)
        ),
        Taker::Max { .. } => {
            format!("y = MaxPool <kernel_shape = [3,3], strides = [{strides},1], pads = [{list}]> (p)")
        }
    };
    let body = format!("{}{pad}\n{end}", if relu { "r = Relu (x)\n" } else { "" });
    Source { opset, x: "N,4,6,5", y: "", constants, body, again: None }
}

fn pads(most: usize) -> impl Strategy<Value = [usize; 4]> {
    [0..=most, 0..=most, 0..=most, 0..=most]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn pads_go_into_a_convolution(
        opset in select(vec![9i64, 11, 13, 18]), group in select(vec![1usize, 4]), before in pads(3), own in pads(2), strides in 1..3usize,
    ) {
        rewrites("fuse-pad", &padded(opset, Taker::Conv { group }, before, own, "0.0", strides).text())?;
    }

    #[test]
    fn pads_go_into_a_pooling(
        opset in select(vec![9i64, 11, 13, 18]), before in pads(1), own in pads(1), which in 0..3usize, strides in 1..3usize,
    ) {
        let (taker, own, value) = match which {
            // Without counting, only where it pads nothing by itself.
            0 => (Taker::Average { counts: false }, [0; 4], "0.0"),
            1 => (Taker::Average { counts: true }, own, "0.0"),
            _ => (Taker::Max { after_relu: true }, own, "0.0"),
        };
        rewrites("fuse-pad", &padded(opset, taker, before, own, value, strides).text())?;
    }

    #[test]
    fn pads_stay_before_windows_with_gaps_and_kernels_of_another_rank(opset in select(vec![11i64, 18]), gaps: bool) {
        let (taker, more) = match gaps {
            // A window may hold nothing but padding then.
            true => (Taker::Max { after_relu: true }, "kernel_shape = [3,3], dilations = [2,2]"),
            false => (Taker::Average { counts: true }, "kernel_shape = [3]"),
        };
        let source = padded(opset, taker, [1; 4], [0; 4], "0.0", 1).text();
        leaves_alone("fuse-pad", &source.replace("kernel_shape = [3,3]", more))?;
    }

    #[test]
    fn other_pads_stay(opset in select(vec![9i64, 11, 18]), before in pads(1), which in 0..5usize) {
        let (taker, own, value) = match which {
            0 => (Taker::Conv { group: 1 }, [0; 4], "0.001"),
            1 => (Taker::Average { counts: false }, [1, 0, 0, 0], "0.0"),
            2 => (Taker::Average { counts: true }, [0; 4], "0.001"),
            3 => (Taker::Max { after_relu: false }, [0; 4], "0.0"),
            // Together they reach the kernel.
            _ => (Taker::Average { counts: true }, [2; 4], "0.0"),
        };
        let before = if which == 4 { [1; 4] } else { before };
        leaves_alone("fuse-pad", &padded(opset, taker, before, own, value, 1).text())?;
    }
}
