//! Random samples.

use onnxpress::data::{DataOptions, Dataset};
use onnxpress::ir::DType;

use super::{floats, input};

#[test]
fn random_data_follows_the_declared_shapes() {
    let inputs = [
        input("image", DType::F32, &["N", "3", "H", "?"]),
        input("state", DType::F32, &["2", "N", "128"]),
        input("ids", DType::I64, &["N", "L"]),
        input("attention_mask", DType::I64, &["N", "L"]),
        input("sr", DType::I64, &[]),
        input("flag", DType::Bool, &["1"]),
    ];
    let make = |batch_size| DataOptions { batch_size, seed: 7, ..DataOptions::new("random:5") };
    let data = Dataset::open(&make(2), &inputs).unwrap();
    assert!(data.is_random() && !data.has_labels());
    assert_eq!(data.describe(), "random:5 (accuracy means nothing)");
    assert_eq!((data.len(), data.batch_count()), (5, 3));
    let shapes = data.shapes(0).unwrap();
    let expected: [&[usize]; 6] = [&[2, 3, 224, 224], &[2, 2, 128], &[2, 128], &[2, 128], &[], &[1]];
    for ((name, shape), expected) in shapes.iter().zip(expected) {
        assert_eq!(shape, expected, "{name}");
    }
    let batch = data.batch(2).unwrap();
    assert_eq!((batch.first_sample, batch.samples), (4, 1));
    assert_eq!(batch.inputs[1].1.shape(), [2, 1, 128]);
    let ids = data.batch(0).unwrap().inputs[2].1.to_i64().unwrap();
    assert!(ids.iter().all(|v| (0..2).contains(v)) && ids.contains(&0) && ids.contains(&1));
    assert_eq!(data.batch(0).unwrap().inputs[3].1.to_i64().unwrap(), vec![1; 256]);
    // The same samples whatever the batch size, other ones with another seed.
    let single = Dataset::open(&make(1), &inputs).unwrap();
    let half = 3 * 224 * 224;
    let pair = floats(&data, 0, "image");
    assert_eq!(pair[half..], floats(&single, 1, "image"));
    let other = Dataset::open(&DataOptions { seed: 8, ..make(1) }, &inputs).unwrap();
    assert_ne!(floats(&other, 1, "image"), floats(&single, 1, "image"));
    let mean: f32 = pair.iter().sum::<f32>() / pair.len() as f32;
    let deviation = (pair.iter().map(|v| v * v).sum::<f32>() / pair.len() as f32).sqrt();
    assert!(mean.abs() < 0.01 && (deviation - 1.0).abs() < 0.01, "{mean} {deviation}");
}

#[test]
fn random_shapes_can_be_given() {
    let inputs = [input("x", DType::F32, &["N", "3", "?", "W"])];
    let shapes = vec![("x".to_string(), vec![2, -1, 48, 320])];
    let data = Dataset::open(&DataOptions { shapes, ..DataOptions::new("random:3") }, &inputs).unwrap();
    assert_eq!((data.len(), data.batch_count()), (4, 2));
    assert_eq!(data.batch(1).unwrap().inputs[0].1.shape(), [2, 3, 48, 320]);
    let usage = |shapes: Vec<(String, Vec<i64>)>, spec: &str| {
        let error = Dataset::open(&DataOptions { shapes, ..DataOptions::new(spec) }, &inputs).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        error.to_string()
    };
    assert!(usage(vec![("x".into(), vec![1, 4, 48, 320])], "random:3").contains("declared as float32 [N, 3, ?, W]"));
    assert!(usage(vec![("xx".into(), vec![1])], "random:3").contains("is it \"x\"?"));
    assert!(usage(vec![], "random:many").contains("as in random:8"));
}

#[test]
fn a_named_size_is_the_same_in_all_inputs() {
    let shapes_of = |inputs: &[onnxpress::data::InputSpec], given: &[(&str, &[i64])]| {
        let shapes = given.iter().map(|(name, dims)| (name.to_string(), dims.to_vec())).collect();
        let data = Dataset::open(&DataOptions { shapes, ..DataOptions::new("random:4") }, inputs)?;
        Ok::<_, onnxpress::Error>(data.shapes(0)?.into_iter().map(|(_, shape)| shape).collect::<Vec<_>>())
    };
    let attention = [
        input("atoms", DType::I64, &["1", "len"]),
        input("distances", DType::I64, &["1", "len", "len"]),
        input("roles", DType::I64, &["1", "len"]),
    ];
    let of = |n: usize| vec![vec![1, n], vec![1, n, n], vec![1, n]];
    assert_eq!(shapes_of(&attention, &[]).unwrap(), of(128));
    assert_eq!(shapes_of(&attention, &[("atoms", &[1, 32])]).unwrap(), of(32));
    assert_eq!(shapes_of(&attention, &[("distances", &[-1, -1, 9]), ("roles", &[1, 9])]).unwrap(), of(9));
    for (given, message) in [
        (
            &[("roles", &[1i64, 16][..]), ("atoms", &[1, 32])][..],
            "the model's size len is given as 32 for input \"atoms\" but as 16 for input \"roles\"",
        ),
        (
            &[("distances", &[1, 8, 9])],
            "the model's size len is given as 8 for input \"distances\" but as 9 for input \"distances\"",
        ),
    ] {
        let error = shapes_of(&attention, given).unwrap_err();
        assert_eq!((error.to_string().as_str(), error.exit_code()), (message, 2));
    }

    // n beside the steps s, and on the first axis of the lengths.
    let recurrent = [input("x", DType::F32, &["s", "n", "16"]), input("lengths", DType::I32, &["n"])];
    assert_eq!(shapes_of(&recurrent, &[]).unwrap(), [vec![1, 128, 16], vec![128]]);
    assert_eq!(shapes_of(&recurrent, &[("lengths", &[3])]).unwrap(), [vec![1, 3, 16], vec![3]]);
    assert_eq!(shapes_of(&recurrent, &[("x", &[7, 3, 16])]).unwrap(), [vec![7, 3, 16], vec![3]]);
    // Each on first axes alone: samples, whatever they are called.
    let named_apart = [input("a", DType::F32, &["N", "2"]), input("b", DType::F32, &["M"])];
    let options = DataOptions { batch_size: 3, ..DataOptions::new("random:6") };
    assert_eq!(Dataset::open(&options, &named_apart).unwrap().batch(1).unwrap().inputs[1].1.shape(), [3]);
}
