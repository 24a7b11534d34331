//! Convolutions and pooling: groups, strides, dilations, pads, in one and two dimensions.

use proptest::prelude::*;

use super::{Fill, check, list, one};

#[derive(Debug, Clone)]
struct Shape {
    samples: usize,
    group: usize,
    channels: usize,
    outputs: usize,
    size: Vec<usize>,
    kernel: Vec<usize>,
    strides: Vec<usize>,
    dilations: Vec<usize>,
    pads: Vec<usize>,
}

/// Kernel, stride, dilation, pads at either end, and how much longer than the kernel the axis is.
type Axis = (usize, usize, usize, usize, usize, usize);

fn shape() -> impl Strategy<Value = Shape> {
    let axis = (1usize..4, 1usize..4, 1usize..3, 0usize..3, 0usize..3, 0usize..4);
    (proptest::collection::vec(axis, 1..3), 1usize..3, 1usize..4, 1usize..3, 1usize..3).prop_map(
        |(axes, samples, group, channels, outputs)| {
            let span = |k: usize, d: usize| (k - 1) * d + 1;
            let ends = |f: &dyn Fn(&Axis) -> usize| axes.iter().map(f).collect::<Vec<_>>();
            let pads: Vec<usize> = ends(&|a| a.3.min(span(a.0, a.2) - 1))
                .into_iter()
                .chain(ends(&|a| a.4.min(span(a.0, a.2) - 1)))
                .collect();
            Shape {
                samples,
                group,
                channels,
                outputs,
                size: ends(&|a| span(a.0, a.2) + a.5),
                kernel: ends(&|a| a.0),
                strides: ends(&|a| a.1),
                dilations: ends(&|a| a.2),
                pads,
            }
        },
    )
}

impl Shape {
    fn attrs(&self) -> String {
        format!("strides = [{}], dilations = [{}], group = {}", list(&self.strides), list(&self.dilations), self.group)
    }

    fn input(&self) -> String {
        list(&[&[self.samples, self.channels * self.group][..], &self.size].concat())
    }

    fn conv(&self, pads: &str, bias: bool) -> String {
        let weight = list(&[&[self.outputs * self.group, self.channels][..], &self.kernel].concat());
        let (input, read) =
            if bias { (format!(", float[{}] b", self.outputs * self.group), ", b") } else { (String::new(), "") };
        let inputs = format!("float[{}] x, float[{weight}] w{input}", self.input());
        one(&inputs, "float[] y", &format!("y = Conv<{}, {pads}>(x, w{read})", self.attrs()))
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn conv(s in shape(), bias: bool, seed: u64) {
        check(&s.conv(&format!("pads = [{}]", list(&s.pads)), bias), Fill::Smooth, seed)?;
    }

    #[test]
    fn conv_of_many_samples(s in shape(), seed: u64) {
        let s = Shape { samples: 8, group: 1, ..s };
        check(&s.conv(&format!("pads = [{}]", list(&s.pads)), true), Fill::Smooth, seed)?;
    }

    #[test]
    fn conv_same(s in shape(), lower: bool, seed: u64) {
        let s = Shape { dilations: vec![1; s.kernel.len()], ..s };
        check(&s.conv(&format!("auto_pad = \"SAME_{}\"", if lower { "LOWER" } else { "UPPER" }), true), Fill::Smooth, seed)?;
    }

    #[test]
    fn conv_transpose(s in shape(), extra in 0usize..2, seed: u64) {
        let weight = list(&[&[s.channels * s.group, s.outputs][..], &s.kernel].concat());
        // The pads may not take more than there is.
        let reach = |i: usize| (s.size[i] - 1) * s.strides[i] + (s.kernel[i] - 1) * s.dilations[i] + 1;
        prop_assume!((0..s.kernel.len()).all(|i| reach(i) > s.pads[i] + s.pads[i + s.kernel.len()]));
        let padding: Vec<usize> = s.strides.iter().map(|n| extra.min(n - 1)).collect();
        let attrs = format!("{}, pads = [{}], output_padding = [{}]", s.attrs(), list(&s.pads), list(&padding));
        let inputs = format!("float[{}] x, float[{weight}] w, float[{}] b", s.input(), s.outputs * s.group);
        check(&one(&inputs, "float[] y", &format!("y = ConvTranspose<{attrs}>(x, w, b)")), Fill::Smooth, seed)?;
    }

    #[test]
    fn max_pool(s in shape(), seed: u64) {
        let attrs = format!("kernel_shape = [{}], strides = [{}], dilations = [{}], pads = [{}]", list(&s.kernel), list(&s.strides), list(&s.dilations), list(&s.pads));
        check(&one(&format!("float[{}] x", s.input()), "float[] y", &format!("y = MaxPool<{attrs}>(x)")), Fill::Apart, seed)?;
    }

    #[test]
    fn average_pool(s in shape(), count: bool, seed: u64) {
        let s = Shape { dilations: vec![1; s.kernel.len()], pads: s.pads.iter().enumerate().map(|(i, p)| (*p).min(s.kernel[i % s.kernel.len()] - 1)).collect(), ..s };
        let attrs = format!("kernel_shape = [{}], strides = [{}], pads = [{}], count_include_pad = {}", list(&s.kernel), list(&s.strides), list(&s.pads), u8::from(count));
        check(&one(&format!("float[{}] x", s.input()), "float[] y", &format!("y = AveragePool<{attrs}>(x)")), Fill::Smooth, seed)?;
    }

    #[test]
    fn global_pools(s in shape(), max: bool, seed: u64) {
        let op = if max { "GlobalMaxPool" } else { "GlobalAveragePool" };
        check(&one(&format!("float[{}] x", s.input()), "float[] y", &format!("y = {op}(x)")), Fill::Apart, seed)?;
    }
}
