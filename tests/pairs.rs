//! Products of neighbouring weights stay within 16 bits: ONNX Runtime gives the same on processors with VNNI and without.

use onnxpress::calibrate::{Range, Ranges};
use onnxpress::ir::{Model, Tensor};
use onnxpress::quantize::{self, Format, QuantOptions, Switch};

use crate::common::{applied, decibels, first_output, onnxruntime, tract};
use crate::quantize::{load, open, statistics};

fn pressed(model: &Model, ranges: &Ranges, format: Format, reduce_range: Switch) -> Model {
    let options = QuantOptions { format, reduce_range, ..QuantOptions::for_target("onnxruntime").unwrap() };
    let plan = quantize::plan(model, Some(ranges), &options).unwrap();
    applied(model, &plan)
}

/// Weights as large as they come beside each other, fed the largest activation: half of the sum would be lost.
#[test]
fn the_largest_inputs_of_the_largest_weights_give_their_sum() {
    let row = vec!["1"; 64 * 8].join(", ");
    let text = format!(
        "<ir_version: 8, opset_import: [\"\" : 17]>
         g (float[4,64] x) => (float[4,8] y) <float[64,8] w = {{{row}}}> {{ y = MatMul (x, w) }}"
    );
    let model = onnxpress::ir::text::parse(&text).unwrap();
    let mut ranges = Ranges::default();
    ranges.ranges.insert("x".into(), Range::new(0.0, 1.0));
    ranges.ranges.insert("y".into(), Range::new(0.0, 64.0));
    let inputs = [("x".to_owned(), Tensor::from_vec([4, 64], vec![1f32; 256]))];
    for format in [Format::Qdq, Format::Qoperator, Format::Integer, Format::Dynamic] {
        let made = pressed(&model, &ranges, format, Switch::On);
        let weight = made.graph(made.main()).initializers().iter().filter_map(|v| made.constant(*v));
        let weight = weight.filter(|t| t.shape() == [64, 8]).find_map(|t| t.as_slice::<i8>().map(|q| q.into_owned()));
        // 63.5 is rounded to the even 64, and 64 + 64 is the most that goes.
        assert_eq!(weight.unwrap(), [64; 512], "{format}");
        let mut runtimes = vec![tract()];
        runtimes.extend(onnxruntime());
        for runtime in runtimes {
            let y = first_output(runtime, &made, &inputs);
            assert!(y.iter().all(|y| (y - 64.0).abs() < 0.6), "{format} in {}: {y:?}", runtime.name());
        }
    }
    let whole = pressed(&model, &ranges, Format::Qdq, Switch::Off);
    let y = first_output(tract(), &whole, &inputs);
    assert!(y.iter().all(|y| (y - 64.0).abs() < 0.3), "{y:?}");
}

/// No runtime multiplies integers for a ConvTranspose: nothing of it adds in 16 bits.
#[test]
fn what_has_no_integer_form_keeps_its_levels() {
    let text = "<ir_version: 8, opset_import: [\"\" : 17]>
         g (float[1,2,3,3] x) => (float[1,2,3,3] y) <float[2,2,1,1] w = {1, 1, 1, 1}> { y = ConvTranspose (x, w) }";
    let model = onnxpress::ir::text::parse(text).unwrap();
    let mut ranges = Ranges::default();
    for name in ["x", "y"] {
        ranges.ranges.insert(name.into(), Range::new(0.0, 2.0));
    }
    let op_types = vec!["ConvTranspose".to_string()];
    let options = QuantOptions {
        op_types,
        min_bytes: 0,
        reduce_range: Switch::On,
        ..QuantOptions::for_target("onnxruntime").unwrap()
    };
    let made = applied(&model, &quantize::plan(&model, Some(&ranges), &options).unwrap());
    let levels = made.tensors().find_map(|t| t.as_slice::<i8>().filter(|q| q.len() == 4).map(|q| q.into_owned()));
    assert_eq!(levels.unwrap(), [127; 4]);
}

/// By itself weights are kept small where the runtime would lose something, or is not there to be asked; the plan says which.
#[test]
fn what_is_not_said_is_asked_of_the_processor() {
    assert!(!quantize::overflows("tract"));
    let model = load("digits");
    let data = open(&model, "digits_calib.npz", 50);
    let options = QuantOptions::for_target("onnxruntime").unwrap();
    let ranges = statistics(&model, &options, "min-max", &data).ranges();
    let plan = quantize::plan(&model, Some(&ranges), &options).unwrap();
    let wanted = match quantize::overflows("onnxruntime") {
        true => "kept within 16 bits",
        false => "add in 32 bits",
    };
    assert_eq!(plan.notes.iter().filter(|n| n.contains(wanted)).count(), 1, "{:?}", plan.notes);
    assert!(onnxruntime().is_some() || quantize::overflows("onnxruntime"));
}

/// tract's kernels add in 32 bits: where ONNX Runtime gives the same, nothing was lost there.
#[test]
fn both_runtimes_give_the_same_of_quantized_models() {
    let Some(other) = onnxruntime() else { return };
    for name in ["digits", "majority"] {
        let model = load(name);
        let data = open(&model, &format!("{name}_calib.npz"), 50);
        let options = QuantOptions::for_target("onnxruntime").unwrap();
        let ranges = statistics(&model, &options, "min-max", &data).ranges();
        let made = pressed(&model, &ranges, Format::Qdq, Switch::On);
        let inputs = data.batch(0).unwrap().inputs;
        let (ours, theirs) = (first_output(tract(), &made, &inputs), first_output(other, &made, &inputs));
        let db = decibels(&ours, &theirs);
        println!("{name}: {db:.1} dB between the runtimes");
        // A level that is rounded to the other side here and there.
        assert!(db > 40.0, "{name}: {db:.1} dB");
    }
}
