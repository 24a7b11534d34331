//! Depthwise convolutions for tract.

use proptest::prelude::*;
use proptest::sample::select;

use super::{count, leaves_alone, rewrites, rewritten};
use onnxpress::ir::text;
use onnxpress::passes::{SimplifyOptions, simplify};
use onnxpress::target;

const PASS: &str = "widen-depthwise";

/// A convolution of `groups` on x of these dims, `rank` 3 or 4, its kernel `[3, columns]` or `[columns]`.
fn source(opset: i64, dims: &str, rank: usize, (groups, columns): (usize, usize), attributes: &str) -> String {
    let kernel = if rank == 4 { format!("3,{columns}") } else { columns.to_string() };
    let count = 4 * columns * if rank == 4 { 3 } else { 1 };
    let w: Vec<String> = (0..count * 4 / groups).map(|i| format!("{}", (i * 7 % 11) as f32 * 0.25 - 1.0)).collect();
    format!(
        "<ir_version: 8, opset_import: [\"\" : {opset}]>
         g (float[{dims}] x) => (float y)
            <float[4,{},{kernel}] w = {{{}}}, float[4] b = {{0.5,-0.25,1,0}}>
         {{ y = Conv <group = {groups}, {attributes}> (x, w, b) }}",
        4 / groups,
        w.join(",")
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn rows_are_those_of_the_convolution(
        opset in select(vec![10i64, 13, 17]), batch in select(vec!["1", "2", "N"]), columns in select(vec![2usize, 3, 5]),
        before in 0..3usize, after in 0..3usize, down in 1..3usize, stride in 1..4usize, dilation in 1..3usize, width in 20..40usize,
        flat in any::<bool>(),
    ) {
        prop_assume!((before, after, stride) != (0, 0, 1));
        let (rank, dims, attributes) = match flat {
            true => (3, format!("{batch},4,{width}"), format!("pads = [{before},{after}], strides = [{stride}], dilations = [{dilation}]")),
            false => (
                4,
                format!("{batch},4,6,{width}"),
                format!("pads = [1,{before},2,{after}], strides = [{down},{stride}], dilations = [1,{dilation}]"),
            ),
        };
        let model = rewritten(PASS, &source(opset, &dims, rank, (4, columns), &attributes))?;
        // What is left neither pads nor strides along rows.
        let conv = model.all_nodes().into_iter().find(|n| model.node(*n).is("Conv")).unwrap();
        let (pads, strides) = (model.node(conv).ints("pads").unwrap(), model.node(conv).ints("strides").unwrap());
        prop_assert_eq!((pads[rank - 3], *pads.last().unwrap(), *strides.last().unwrap()), (0, 0, 1));
    }

    #[test]
    fn a_width_that_is_not_known_is_padded(before in 0..3usize, after in 1..3usize) {
        let attributes = format!("pads = [1,{before},1,{after}]");
        rewrites(PASS, &source(13, "N,4,H,W", 4, (4, 3), &attributes))?;
    }

    #[test]
    fn others_stay(which in 0..8usize) {
        let (opset, dims, shape, attributes) = match which {
            // Two channels a group.
            0 => (13, "1,4,6,20", (2, 3), "pads = [1,1,1,1]"),
            1 => (13, "1,4,6,20", (4, 1), "pads = [1,1,1,1]"),
            2 => (13, "1,4,6,20", (4, 3), "pads = [1,0,1,0]"),
            3 => (13, "1,4,6,3", (4, 3), "pads = [1,1,1,1]"),
            4 => (13, "1,4,6,W", (4, 3), "strides = [1,2]"),
            // Nothing is made for each element of such a row.
            5 => (13, "1,4,6,20", (4, 3), "pads = [0,1099511627776,0,1099511627776], strides = [1,2]"),
            6 => (13, "1,4,6,20", (4, 3), "pads = [1,1,1,1], dilations = [1,9223372036854775807]"),
            _ => (9, "1,4,6,20", (4, 3), "pads = [1,1,1,1]"),
        };
        leaves_alone(PASS, &source(opset, dims, 4, shape, attributes))?;
    }
}

/// Only tract gains; there it comes last, and running it again changes nothing.
#[test]
fn tract_alone_gets_it() {
    let source = source(17, "1,4,6,20", 4, (4, 3), "pads = [1,1,1,1]");
    for preset in target::PRESETS {
        let mut model = text::parse(&source).unwrap();
        simplify(&mut model, &SimplifyOptions::before_quantization(preset)).unwrap();
        assert_eq!(count(&model, "Concat"), usize::from(preset.name == "tract"), "{}", preset.name);
        let again = simplify(&mut model, &SimplifyOptions::before_quantization(preset)).unwrap();
        assert!(again.passes.is_empty(), "{:?}", again.passes);
    }
}
