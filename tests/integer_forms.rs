//! Integer forms in tract, each against numbers worked out by hand: what the quantizer writes rests on them.

use onnxpress::ir::{DType, GraphEdit, Model, NewNode, Place, Tensor, TensorType, Type, ValueId};
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
