//! Inputs fixed beforehand: what follows from them folds away, and the outputs stay.

use onnxpress::ir::{Tensor, text, verify};
use onnxpress::onnx;
use onnxpress::passes::{SimplifyOptions, Specialize, declare_outputs, simplify, specialize};
use onnxpress::runtime::{self, Shaped};

use crate::common::shared;

#[test]
fn silero_with_its_rate_and_sizes_fixed_has_no_branches_left() {
    let Some(folder) = shared("models") else { return };
    for name in ["silero_vad", "silero_vad_16k_op15"] {
        let original = onnx::load(&folder.join(format!("{name}.onnx"))).unwrap();
        let mut fixed = original.clone();
        let wanted = Specialize {
            shapes: vec![("input".into(), vec![1, 512]), ("state".into(), vec![2, 1, 128])],
            freeze: vec![("sr".into(), "16000".into())],
            ..Specialize::default()
        };
        specialize(&mut fixed, &wanted).unwrap();
        let report = simplify(&mut fixed, &SimplifyOptions::default()).unwrap();
        declare_outputs(&mut fixed);
        assert!(report.nodes_after <= 31, "{name}: {} nodes", report.nodes_after);
        assert!(fixed.all_nodes().iter().all(|n| !fixed.node(*n).is("If")));
        let types: Vec<_> =
            fixed.graph(fixed.main()).outputs().iter().map(|v| fixed.tensor_type(*v).to_string()).collect();
        assert_eq!(types, ["float[1,1]", "float[2,1,128]"]);

        let wave: Vec<f32> = (0..512).map(|i| 0.3 * (i as f32 * 0.13).sin() + 0.05 * (i as f32 * 1.7).cos()).collect();
        let mut inputs = vec![
            ("input".to_owned(), Tensor::from_vec([1, 512], wave)),
            ("state".to_owned(), Tensor::from_vec([2, 1, 128], vec![0.1f32; 256])),
        ];
        let tract = runtime::find("tract").unwrap();
        let found = Shaped::new(tract, &fixed, &[]).run(&inputs).unwrap();
        inputs.push(("sr".to_owned(), Tensor::scalar(16_000i64)));
        let expected = Shaped::new(tract, &original, &[]).run(&inputs).unwrap();
        for ((output, a), (_, b)) in expected.iter().zip(&found) {
            let (a, b) = (a.to_f32().unwrap(), b.to_f32().unwrap());
            let largest = a.iter().fold(0f32, |m, v| m.max(v.abs()));
            let off = a.iter().zip(b.iter()).fold(0f32, |m, (a, b)| m.max((a - b).abs()));
            assert!(a.len() == b.len() && off <= 1e-6 * largest, "{name}: {output} is off by {off} of {largest}");
        }
    }
}

#[test]
fn outputs_that_are_no_tensors_keep_their_types() {
    let source = "<ir_version: 8, opset_import: [\"\" : 17, \"ai.onnx.ml\" : 3]>
        g (float[N,2] x) => (seq(map(int64, float[])) y) <float[N,2] p>
        { p = Softmax (x) y = ai.onnx.ml.ZipMap <classlabels_int64s = [0,1]> (p) }";
    let mut model = text::parse(source).unwrap();
    let output = model.graph(model.main()).outputs()[0];
    let declared = model.value(output).declared().cloned();
    let wanted = Specialize { shapes: vec![("x".into(), vec![3, -1])], ..Specialize::default() };
    specialize(&mut model, &wanted).unwrap();
    declare_outputs(&mut model);
    verify(&model).unwrap();
    assert!(declared.is_some());
    assert_eq!(model.value(output).declared().cloned(), declared);
}

#[test]
fn a_size_by_name_is_that_of_every_input() {
    let source = "<ir_version: 8, opset_import: [\"\" : 17]>
        g (int64[N,T] ids, int64[N,T] mask, float[T,3] other) => (int64[N,T] y) { y = Add (ids, mask) }";
    let shapes = |wanted: &[(&str, &[i64])]| {
        let mut model = text::parse(source).unwrap();
        let shapes = wanted.iter().map(|(name, sizes)| (name.to_string(), sizes.to_vec())).collect();
        specialize(&mut model, &Specialize { shapes, ..Specialize::default() }).unwrap();
        declare_outputs(&mut model);
        let main = model.graph(model.main());
        main.inputs().iter().chain(main.outputs()).map(|v| model.tensor_type(*v).to_string()).collect::<Vec<_>>()
    };
    assert_eq!(shapes(&[("ids", &[-1, 64])]), ["int64[N,64]", "int64[N,64]", "float[64,3]", "int64[N,64]"]);
    // Of two sizes under one name neither is taken for a third.
    assert_eq!(shapes(&[("ids", &[2, 64]), ("other", &[7, 3])])[..3], ["int64[2,64]", "int64[2,T]", "float[7,3]"]);
}
