//! Models with made-up weights, as large as real ones: speed does not depend on what weights say.
#![allow(dead_code)]

use onnxpress::ir::{DType, GraphEdit, Model, NewNode, Place, Tensor, TensorType, Type, ValueId};

/// A graph built node by node; each node has one output.
struct Builder<'m> {
    edit: GraphEdit<'m>,
    seed: u64,
}

impl Builder<'_> {
    fn build(dims: &[usize], body: impl FnOnce(&mut Builder, ValueId) -> ValueId) -> Model {
        let mut model = Model::new(17);
        let mut builder = Builder { edit: GraphEdit::new(&mut model), seed: 1 };
        let main = builder.edit.main();
        let x = builder.edit.new_value("x", Some(Type::tensor(&TensorType::new(DType::F32, dims.iter().copied()))));
        builder.edit.add_graph_input(main, x);
        let y = body(&mut builder, x);
        builder.edit.set_declared(y, Some(Type::tensor(&TensorType { dtype: Some(DType::F32), shape: None })));
        builder.edit.add_graph_output(main, y);
        model
    }

    fn node(&mut self, node: NewNode) -> ValueId {
        let n = self.edit.all_nodes().len();
        let name = format!("node_{n}");
        let id = self.edit.insert(Place::End(self.edit.main()), node.name(&name).output(format!("{name}_out"), None));
        self.edit.node(id).output(0).unwrap()
    }

    fn op(&mut self, op_type: &str, inputs: &[ValueId]) -> ValueId {
        self.node(NewNode::new(op_type).inputs(inputs.iter().map(|v| Some(*v))))
    }

    fn constant(&mut self, tensor: Tensor) -> ValueId {
        let main = self.edit.main();
        self.edit.add_initializer(main, "c", tensor)
    }

    /// Weights of a bell-like distribution whose product with `terms` standard values has variance 1.
    fn weights(&mut self, dims: &[usize], terms: usize) -> ValueId {
        let scale = 2.0 * (3.0 / (4.0 * terms as f32)).sqrt();
        let state = &mut self.seed;
        let mut uniform = || {
            *state ^= *state << 13;
            *state ^= *state >> 7;
            *state ^= *state << 17;
            (*state >> 40) as f32 / (1u64 << 24) as f32 - 0.5
        };
        let values = (0..dims.iter().product()).map(|_| (uniform() + uniform() + uniform() + uniform()) * scale);
        let tensor = Tensor::from_vec(dims, values.collect());
        self.constant(tensor)
    }

    fn whole_numbers(&mut self, values: &[i64]) -> ValueId {
        self.constant(Tensor::from_vec([values.len()], values.to_vec()))
    }

    /// `x · W + b`, as exporters write a linear layer.
    fn linear(&mut self, x: ValueId, from: usize, to: usize) -> ValueId {
        let w = self.weights(&[from, to], from);
        let product = self.op("MatMul", &[x, w]);
        let b = self.weights(&[to], 1000);
        self.op("Add", &[product, b])
    }

    fn norm(&mut self, x: ValueId, width: usize) -> ValueId {
        let scale = self.constant(Tensor::from_vec([width], vec![1f32; width]));
        let shift = self.constant(Tensor::from_vec([width], vec![0f32; width]));
        self.op("LayerNormalization", &[x, scale, shift])
    }

    fn gelu(&mut self, x: ValueId) -> ValueId {
        let [root, one, half] = [2f32.sqrt(), 1.0, 0.5].map(|v| self.constant(Tensor::scalar(v)));
        let scaled = self.op("Div", &[x, root]);
        let erf = self.op("Erf", &[scaled]);
        let gate = self.op("Add", &[erf, one]);
        let product = self.op("Mul", &[x, gate]);
        self.op("Mul", &[product, half])
    }

    fn heads(&mut self, x: ValueId, width: usize, heads: usize, order: [i64; 4]) -> ValueId {
        let projected = self.linear(x, width, width);
        let dims = self.whole_numbers(&[0, -1, heads as i64, (width / heads) as i64]);
        let split = self.op("Reshape", &[projected, dims]);
        self.node(NewNode::new("Transpose").input(split).attr("perm", order.to_vec()))
    }

    /// A transformer block: attention, then two linear layers, each behind a normalization and beside a shortcut.
    fn block(&mut self, x: ValueId, width: usize, heads: usize) -> ValueId {
        let h = self.norm(x, width);
        let q = self.heads(h, width, heads, [0, 2, 1, 3]);
        let k = self.heads(h, width, heads, [0, 2, 3, 1]);
        let v = self.heads(h, width, heads, [0, 2, 1, 3]);
        let scores = self.op("MatMul", &[q, k]);
        let scale = self.constant(Tensor::scalar(((width / heads) as f32).powf(-0.5)));
        let scores = self.op("Mul", &[scores, scale]);
        let shares = self.op("Softmax", &[scores]);
        let mixed = self.op("MatMul", &[shares, v]);
        let mixed = self.node(NewNode::new("Transpose").input(mixed).attr("perm", vec![0i64, 2, 1, 3]));
        let dims = self.whole_numbers(&[0, -1, width as i64]);
        let mixed = self.op("Reshape", &[mixed, dims]);
        let out = self.linear(mixed, width, width);
        let x = self.op("Add", &[x, out]);
        let h = self.norm(x, width);
        let h = self.linear(h, width, 4 * width);
        let h = self.gelu(h);
        let out = self.linear(h, 4 * width, width);
        self.op("Add", &[x, out])
    }

    fn conv(&mut self, x: ValueId, from: usize, to: usize, (kernel, stride): (usize, usize)) -> ValueId {
        let w = self.weights(&[to, from, kernel, kernel], from * kernel * kernel / 2);
        let b = self.weights(&[to], 1000);
        let pad = (kernel / 2) as i64;
        let node = NewNode::new("Conv").input(x).input(w).input(b);
        let node = node.attr("kernel_shape", vec![kernel as i64; 2]).attr("strides", vec![stride as i64; 2]);
        self.node(node.attr("pads", vec![pad; 4]))
    }
}

/// 1024 → 4096 → 1024, batch 1.
pub fn mlp() -> Model {
    Builder::build(&[1, 1024], |b, x| {
        let (w1, b1) = (b.weights(&[1024, 4096], 1024), b.weights(&[4096], 1000));
        let h = b.op("Gemm", &[x, w1, b1]);
        let h = b.op("Relu", &[h]);
        let (w2, b2) = (b.weights(&[4096, 1024], 4096), b.weights(&[1024], 1000));
        b.op("Gemm", &[h, w2, b2])
    })
}

/// Four transformer blocks of width 384 over 128 tokens.
pub fn encoder() -> Model {
    Builder::build(&[1, 128, 384], |b, mut x| {
        for _ in 0..4 {
            x = b.block(x, 384, 6);
        }
        b.norm(x, 384)
    })
}

/// ResNet-18 for images of 224 × 224, BatchNormalization folded.
pub fn resnet18() -> Model {
    Builder::build(&[1, 3, 224, 224], |b, x| {
        let x = b.conv(x, 3, 64, (7, 2));
        let x = b.op("Relu", &[x]);
        let pool = NewNode::new("MaxPool").input(x).attr("kernel_shape", vec![3i64; 2]);
        let mut x = b.node(pool.attr("strides", vec![2i64; 2]).attr("pads", vec![1i64; 4]));
        let mut from = 64;
        for (to, stride) in [(64, 1), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1)] {
            let h = b.conv(x, from, to, (3, stride));
            let h = b.op("Relu", &[h]);
            let h = b.conv(h, to, to, (3, 1));
            let shortcut = if stride > 1 { b.conv(x, from, to, (1, stride)) } else { x };
            let sum = b.op("Add", &[h, shortcut]);
            x = b.op("Relu", &[sum]);
            from = to;
        }
        let x = b.op("GlobalAveragePool", &[x]);
        let x = b.op("Flatten", &[x]);
        let (w, bias) = (b.weights(&[512, 1000], 512), b.weights(&[1000], 1000));
        b.op("Gemm", &[x, w, bias])
    })
}

/// ViT-B/16: 86 million weights, 346 MB.
pub fn vit_b() -> Model {
    Builder::build(&[1, 3, 224, 224], |b, x| {
        let (w, bias) = (b.weights(&[768, 3, 16, 16], 768), b.weights(&[768], 1000));
        let patches = NewNode::new("Conv").input(x).input(w).input(bias);
        let patches = b.node(patches.attr("kernel_shape", vec![16i64; 2]).attr("strides", vec![16i64; 2]));
        let dims = b.whole_numbers(&[0, 768, -1]);
        let tokens = b.op("Reshape", &[patches, dims]);
        let tokens = b.node(NewNode::new("Transpose").input(tokens).attr("perm", vec![0i64, 2, 1]));
        let places = b.weights(&[1, 196, 768], 1000);
        let mut x = b.op("Add", &[tokens, places]);
        for _ in 0..12 {
            x = b.block(x, 768, 12);
        }
        let x = b.norm(x, 768);
        let mean = b.node(NewNode::new("ReduceMean").input(x).attr("axes", vec![1i64]).attr("keepdims", 0i64));
        b.linear(mean, 768, 1000)
    })
}
