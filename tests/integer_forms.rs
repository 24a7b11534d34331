//! Integer forms in tract, each against numbers worked out by hand: what the quantizer writes rests on them.

use onnxpress::calibrate::{Range, Ranges};
use onnxpress::ir::{self, DType, GraphEdit, Model, NewNode, Place, Tensor, TensorType, Type, ValueId};
use onnxpress::quantize::{self, QuantOptions};
use onnxpress::runtime::{self, LoadOptions};

/// A model of one input `x`, built node by node; the last node's output is the model's.
struct Case {
    model: Model,
    x: Tensor,
    last: ValueId,
}

impl Case {
    fn new(x: Tensor) -> Self {
        let mut model = Model::new(17);
        let mut edit = GraphEdit::new(&mut model);
        let main = edit.main();
        let ty = Type::tensor(&TensorType::new(x.dtype(), x.shape().iter().copied()));
        let last = edit.new_value("x", Some(ty));
        edit.add_graph_input(main, last);
        Case { model, x, last }
    }

    fn constant(&mut self, tensor: Tensor) -> ValueId {
        let mut edit = GraphEdit::new(&mut self.model);
        let main = edit.main();
        edit.add_initializer(main, "c", tensor)
    }

    /// Adds a node; its outputs.
    fn node(&mut self, node: NewNode, outputs: usize) -> Vec<ValueId> {
        let mut edit = GraphEdit::new(&mut self.model);
        let name = format!("n{}", edit.all_nodes().len());
        let node = (0..outputs).fold(node.name(&name), |n, i| n.output(format!("{name}_{i}"), None));
        let id = edit.insert(Place::End(edit.main()), node);
        let made: Vec<ValueId> = edit.node(id).outputs().iter().flatten().copied().collect();
        self.last = made[0];
        made
    }

    /// A node of the last value and these constants.
    fn then(mut self, op_type: &str, constants: Vec<Tensor>) -> Self {
        let mut node = NewNode::new(op_type).input(self.last);
        for tensor in constants {
            node = node.input(self.constant(tensor));
        }
        self.node(node, 1);
        self
    }

    fn attr(mut self, name: &str, value: i64) -> Self {
        let mut edit = GraphEdit::new(&mut self.model);
        let node = edit.producer(self.last).unwrap();
        edit.set_attr(node, name, value);
        self
    }

    fn run(mut self) -> Tensor {
        let mut edit = GraphEdit::new(&mut self.model);
        let main = edit.main();
        edit.add_graph_output(main, self.last);
        let inputs = [("x".to_string(), self.x)];
        let session = runtime::find("tract").unwrap().load(&self.model, &LoadOptions::for_inputs(&inputs)).unwrap();
        session.run(&inputs).unwrap().remove(0).1
    }

    #[track_caller]
    fn gives(self, expected: &[f32]) {
        let got = self.run();
        let got = got.to_f32().unwrap();
        assert_eq!(got.len(), expected.len(), "{got:?}");
        assert!(got.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5), "{got:?}, not {expected:?}");
    }
}

fn f(shape: &[usize], values: &[f32]) -> Tensor {
    Tensor::from_vec(shape, values.to_vec())
}

fn s8(shape: &[usize], values: &[i8]) -> Tensor {
    Tensor::from_vec(shape, values.to_vec())
}

/// u8 with zero point 128: `values` are the distances from it.
fn u8_128(shape: &[usize], values: &[i16]) -> Tensor {
    Tensor::from_vec(shape, values.iter().map(|v| (v + 128) as u8).collect())
}

fn scalar(value: f32) -> Tensor {
    Tensor::scalar(value)
}

/// x and weights of the convolutions: two output channels over pairs of columns.
fn columns() -> (Tensor, Tensor) {
    (u8_128(&[1, 1, 2, 3], &[1, 2, 3, 4, 5, 6]), s8(&[2, 1, 1, 2], &[1, -1, 2, 1]))
}

fn rows() -> (Tensor, Tensor) {
    (u8_128(&[2, 3], &[2, -2, 0, 1, 0, -1]), s8(&[3, 2], &[4, -8, 2, 6, -4, 8]))
}

/// Would notice a runtime that ignores the axis of DequantizeLinear: the tensor is square, so any axis fits.
#[test]
fn dequantize_linear_scales_along_its_axis() {
    let x = s8(&[2, 2], &[1, 2, 3, 4]);
    let case = |axis| {
        let zero = s8(&[2], &[0, 1]);
        Case::new(x.clone()).then("DequantizeLinear", vec![f(&[2], &[0.5, 2.0]), zero]).attr("axis", axis)
    };
    case(0).gives(&[0.5, 1.0, 4.0, 6.0]);
    case(1).gives(&[0.5, 2.0, 1.5, 6.0]);
    case(-2).gives(&[0.5, 1.0, 4.0, 6.0]);
}

#[test]
fn a_weight_dequantized_by_row_multiplies_right() {
    let mut case = Case::new(f(&[1, 2], &[1.0, 1.0]));
    let (weight, scale) = (case.constant(s8(&[2, 2], &[1, 2, 3, 4])), case.constant(f(&[2], &[0.5, 2.0])));
    let zero = case.constant(s8(&[2], &[0, 0]));
    let x = case.last;
    let dequantize = NewNode::new("DequantizeLinear").input(weight).input(scale).input(zero).attr("axis", 0i64);
    let weight = case.node(dequantize, 1)[0];
    case.node(NewNode::new("MatMul").input(x).input(weight), 1);
    case.gives(&[6.5, 9.0]);
}

#[test]
fn quantize_linear_rounds_to_even_and_saturates() {
    let x = f(&[6], &[0.05, 0.15, -0.05, 100.0, -100.0, 0.3]);
    let zero = Tensor::scalar(128u8);
    Case::new(x).then("QuantizeLinear", vec![scalar(0.1), zero]).gives(&[128.0, 130.0, 128.0, 255.0, 0.0, 131.0]);
}

#[test]
fn quantize_and_dequantize_around_a_matmul() {
    let params = || vec![scalar(0.1), Tensor::scalar(128u8)];
    let mut case = Case::new(f(&[1, 2], &[0.62, -0.18]));
    case = case.then("QuantizeLinear", params()).then("DequantizeLinear", params());
    let (weight, scale) = (case.constant(s8(&[2, 2], &[5, -5, 10, 20])), case.constant(f(&[2], &[0.1, 0.2])));
    let zero = case.constant(s8(&[2], &[0, 0]));
    let x = case.last;
    let weight = NewNode::new("DequantizeLinear").input(weight).input(scale).input(zero).attr("axis", 1i64);
    let weight = case.node(weight, 1)[0];
    case.node(NewNode::new("MatMul").input(x).input(weight), 1);
    case.gives(&[0.1, -1.4]);
}

#[test]
fn qlinear_matmul() {
    let (x, weight) = rows();
    let (a, b) = (vec![scalar(0.5), Tensor::scalar(128u8), weight], vec![scalar(0.25), Tensor::scalar(0i8)]);
    let y = vec![scalar(0.3), Tensor::scalar(128u8)];
    let case = Case::new(x).then("QLinearMatMul", [a, b, y].concat());
    case.gives(&[130.0, 116.0, 131.0, 121.0]);
}

#[test]
fn qlinear_conv_per_channel_with_bias() {
    let (x, weight) = columns();
    let a = vec![scalar(1.0), Tensor::scalar(128u8), weight];
    let b = vec![f(&[2], &[0.5, 0.25]), s8(&[2], &[0, 0])];
    let y = vec![scalar(0.3), Tensor::scalar(128u8), Tensor::from_vec([2], vec![2i32, 4])];
    let case = Case::new(x).then("QLinearConv", [a, b, y].concat());
    case.gives(&[130.0, 130.0, 130.0, 130.0, 135.0, 137.0, 142.0, 145.0]);
}

#[test]
fn conv_integer_subtracts_the_zero_point() {
    let (x, weight) = columns();
    let case = Case::new(x).then("ConvInteger", vec![weight, Tensor::scalar(128u8)]);
    case.gives(&[-1.0, -1.0, -1.0, -1.0, 4.0, 7.0, 13.0, 16.0]);
}

/// What the tract preset writes of `Conv(x, w)` with scales 1, so that sums are the numbers themselves.
fn conv_for_tract(x: &Tensor, w: Tensor, attrs: &str) -> Model {
    let dims = |t: &Tensor| t.shape().iter().map(usize::to_string).collect::<Vec<_>>().join(",");
    let text = format!(
        r#"<ir_version: 8, opset_import: ["" : 17]>
        g (float[{}] x) => (float y) <float[1] w = {{0}}> {{ y = Conv <{attrs}> (x, w) }}"#,
        dims(x),
    );
    let mut model = ir::text::parse(&text).unwrap();
    let mut edit = GraphEdit::new(&mut model);
    let weight = edit.graph(edit.main()).initializers()[0];
    edit.set_initializer(weight, w);
    let mut ranges = Ranges::default();
    ranges.ranges.insert("x".into(), Range::new(-127.0, 127.0));
    let options = QuantOptions { include: vec![".".into()], ..QuantOptions::for_target("tract").unwrap() };
    let plan = quantize::plan(&model, Some(&ranges), &options).unwrap();
    quantize::apply(&mut model, &plan).unwrap();
    ir::verify(&model).unwrap();
    model
}

/// Against the convolution written out as sums; whole numbers, so that nothing is lost in quantizing.
#[test]
fn a_convolution_as_matrices_sums_the_same_terms() {
    let x = f(&[2, 3, 7, 6], &(0..252).map(|i| ((i * 37) % 255) as f32 - 127.0).collect::<Vec<_>>());
    for (kernel, [sy, sx], [dy, dx], [top, left, bottom, right]) in [
        ([3, 3], [1, 1], [1, 1], [1, 1, 1, 1]),
        ([3, 3], [2, 2], [1, 1], [1, 0, 1, 2]),
        ([1, 1], [1, 1], [1, 1], [0, 0, 0, 0]),
        ([1, 1], [2, 2], [1, 1], [0, 0, 0, 0]),
        ([2, 3], [2, 1], [3, 2], [0, 2, 1, 1]),
    ] {
        let [ky, kx] = kernel;
        let count = 4 * 3 * ky * kx;
        // Each output channel holds 127, so that its scale is 1.
        let w: Vec<f32> =
            (0..count).map(|i| if i % (3 * ky * kx) == 0 { 127.0 } else { ((i * 53) % 200) as f32 - 100.0 }).collect();
        let attrs = format!(
            "strides = [{sy}, {sx}], dilations = [{dy}, {dx}], pads = [{top}, {left}, {bottom}, {right}], kernel_shape = [{ky}, {kx}]"
        );
        let model = conv_for_tract(&x, f(&[4, 3, ky, kx], &w), &attrs);
        let has = |op| model.all_nodes().into_iter().any(|n| model.node(n).is(op));
        assert!(has("MatMulInteger") && !has("ConvInteger") && !has("Conv"), "{attrs}");
        let (oy, ox) =
            ((7 + top + bottom - dy * (ky - 1) - 1) / sy + 1, (6 + left + right - dx * (kx - 1) - 1) / sx + 1);
        let given = x.to_f32().unwrap();
        let at = |n: usize, c: usize, y: usize, x: usize| match (y.checked_sub(top), x.checked_sub(left)) {
            (Some(y), Some(x)) if y < 7 && x < 6 => given[((n * 3 + c) * 7 + y) * 6 + x],
            _ => 0.0,
        };
        let mut expected = Vec::new();
        for i in 0..2 * 4 * oy * ox {
            let (n, m, y, x) = (i / (4 * oy * ox), i / (oy * ox) % 4, i / ox % oy, i % ox);
            let terms = (0..3 * ky * kx).map(|k| {
                let (c, ty, tx) = (k / (ky * kx), k / kx % ky, k % kx);
                w[m * 3 * ky * kx + k] * at(n, c, y * sy + ty * dy, x * sx + tx * dx)
            });
            expected.push(terms.sum::<f32>());
        }
        let inputs = [("x".to_string(), x.clone())];
        let session = runtime::find("tract").unwrap().load(&model, &LoadOptions::for_inputs(&inputs)).unwrap();
        let y = session.run(&inputs).unwrap().remove(0).1;
        assert_eq!(y.shape(), [2, 4, oy, ox], "{attrs}");
        assert_eq!(y.to_f32().unwrap().to_vec(), expected, "{attrs}");
    }
}

#[test]
fn matmul_integer_with_the_scale_after_it() {
    let (x, weight) = rows();
    let case = Case::new(x).then("MatMulInteger", vec![weight, Tensor::scalar(128u8)]);
    let case = case.then("Cast", vec![]).attr("to", i64::from(DType::F32.code()));
    case.then("Mul", vec![f(&[2], &[0.1, 0.2])]).gives(&[0.4, -5.6, 0.8, -3.2]);
}

#[test]
fn dynamic_quantization_before_a_matmul() {
    let mut case = Case::new(f(&[1, 3], &[-1.0, 0.0, 1.55]));
    let x = case.last;
    let made = case.node(NewNode::new("DynamicQuantizeLinear").input(x), 3);
    let weight = case.constant(s8(&[3, 1], &[1, 2, 3]));
    let product = NewNode::new("MatMulInteger").input(made[0]).input(weight).input(made[2]);
    case.node(product, 1);
    case = case.then("Cast", vec![]).attr("to", i64::from(DType::F32.code()));
    let y = case.last;
    case.node(NewNode::new("Mul").input(y).input(made[1]), 1);
    case.gives(&[3.65]);
}

/// tract alone makes a table of what lies between the two, as if Softmax were elementwise.
#[test]
fn softmax_between_dequantize_and_quantize_is_no_table() {
    let x = u8_128(&[1, 4], &[0, 10, 20, 0]);
    let case = Case::new(x).then("DequantizeLinear", vec![scalar(0.1), Tensor::scalar(128u8)]);
    let case = case.then("Softmax", vec![]).then("QuantizeLinear", vec![scalar(1.0 / 255.0), Tensor::scalar(0u8)]);
    // e^0 : e^1 : e^2 : e^0 of 12.1073
    case.gives(&[21.0, 57.0, 156.0, 21.0]);
}
