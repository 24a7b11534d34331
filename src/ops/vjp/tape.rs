//! [`Tape`] and [`Var`]: nodes written as arithmetic on values whose shapes are known.
//!
//! ```text
//! dy * y * (1.0 - y)        Sub(1, y) ─► Mul(Mul(dy, y), ·)
//! ```
//!
//! Every node goes to the end of the main graph, with the shape of what it makes.

use std::cell::{Cell, Ref, RefCell};
use std::ops::{Add, Div, Mul, Neg, Sub};

use crate::ir::{Attr, DType, GraphEdit, Model, NewNode, Place, Tensor, TensorType, Type, ValueId};

/// A model whose main graph grows at its end.
pub struct Tape {
    model: RefCell<Model>,
    /// With which no name of the model begins.
    prefix: String,
    /// Numbers the values that are made.
    made: Cell<usize>,
    /// Whether many nodes are welcome where they run faster than few.
    pub long: bool,
}

/// A float32 value of a known shape, unless said otherwise.
#[derive(Clone, Copy)]
pub struct Var<'t> {
    tape: &'t Tape,
    /// In the model of the tape.
    pub id: ValueId,
}

impl Tape {
    /// Nodes are added to `model`; `long` where many small nodes run faster than few large ones.
    pub fn new(mut model: Model, long: bool) -> Self {
        let prefix = GraphEdit::new(&mut model).fresh_prefix("gradient_");
        Tape { model: RefCell::new(model), prefix, made: Cell::new(0), long }
    }

    /// A value of the model.
    pub fn var(&self, id: ValueId) -> Var<'_> {
        Var { tape: self, id }
    }

    /// The model as it stands.
    pub fn model(&self) -> Ref<'_, Model> {
        self.model.borrow()
    }

    /// The model with all nodes that were added.
    pub fn into_model(self) -> Model {
        self.model.into_inner()
    }

    /// A value under a new name, made by `attach`.
    fn make(&self, attach: impl FnOnce(&mut GraphEdit, ValueId)) -> Var<'_> {
        self.made.set(self.made.get() + 1);
        let mut model = self.model.borrow_mut();
        let mut edit = GraphEdit::new(&mut model);
        let id = edit.new_value(format!("{}{}", self.prefix, self.made.get()), None);
        attach(&mut edit, id);
        Var { tape: self, id }
    }

    /// A value's shape; empty where it is not known.
    fn dims(&self, id: ValueId) -> Vec<usize> {
        self.model().tensor_type(id).known_shape().unwrap_or_default()
    }

    /// A constant.
    pub fn constant(&self, tensor: Tensor) -> Var<'_> {
        self.make(|edit, value| edit.attach_initializer(edit.main(), value, tensor))
    }

    /// A float32 input of the main graph, of about this name.
    pub fn input(&self, hint: &str, dims: &[usize]) -> Var<'_> {
        let mut model = self.model.borrow_mut();
        let mut edit = GraphEdit::new(&mut model);
        let (main, id) = (edit.main(), edit.new_value_like(hint));
        edit.set_declared(id, Some(Type::tensor(&TensorType::new(DType::F32, dims.iter().copied()))));
        edit.add_graph_input(main, id);
        Var { tape: self, id }
    }

    /// A constant of one number.
    pub fn number(&self, value: f32) -> Var<'_> {
        self.constant(Tensor::scalar(value))
    }

    /// int64, along one axis.
    pub fn ints(&self, values: impl IntoIterator<Item = i64>) -> Var<'_> {
        let values: Vec<i64> = values.into_iter().collect();
        self.constant(Tensor::from_vec([values.len()], values))
    }

    /// A node of one output.
    pub fn node(&self, op_type: &str, inputs: &[Var], attrs: &[(&str, Attr)], ty: (DType, &[usize])) -> Var<'_> {
        let mut new = NewNode::new(op_type).inputs(inputs.iter().map(|v| Some(v.id)));
        for (attr, value) in attrs {
            new = new.attr(*attr, value.clone());
        }
        self.make(|edit, value| {
            edit.insert(Place::End(edit.main()), new.output_into(value));
            edit.set_inferred(value, Some(TensorType::new(ty.0, ty.1.iter().copied())));
        })
    }

    /// As [`Self::node`], of float32.
    pub fn float(&self, op_type: &str, inputs: &[Var], attrs: &[(&str, Attr)], dims: &[usize]) -> Var<'_> {
        self.node(op_type, inputs, attrs, (DType::F32, dims))
    }

    /// `on` where the boolean `condition` holds, else `off`.
    pub fn choose(&self, condition: Var, on: Var, off: Var) -> Var<'_> {
        let dims = broadcast(&condition.dims(), &broadcast(&on.dims(), &off.dims()));
        self.float("Where", &[condition, on, off], &[], &dims)
    }

    /// Joined along `axis`.
    pub fn concat<'t>(&'t self, parts: &[Var<'t>], axis: usize) -> Var<'t> {
        if let [one] = parts {
            return *one;
        }
        let mut dims = parts.first().map_or(Vec::new(), Var::dims);
        dims[axis] = parts.iter().map(|p| p.dims()[axis]).sum();
        self.float("Concat", parts, &[("axis", Attr::Int(axis as i64))], &dims)
    }
}

impl<'t> Var<'t> {
    /// Its sizes; empty where they are not known.
    pub fn dims(&self) -> Vec<usize> {
        self.tape.dims(self.id)
    }

    /// How many axes it has.
    pub fn rank(&self) -> usize {
        self.dims().len()
    }

    /// How many elements it has.
    pub fn count(&self) -> usize {
        self.dims().iter().product()
    }

    /// An operator of one input that keeps the shape.
    pub fn map(self, op_type: &str) -> Self {
        self.tape.float(op_type, &[self], &[], &self.dims())
    }

    fn with(self, op_type: &str, other: Self) -> Self {
        self.tape.float(op_type, &[self, other], &[], &broadcast(&self.dims(), &other.dims()))
    }

    /// To the power of `exponent`, element by element.
    pub fn pow(self, exponent: Self) -> Self {
        self.with("Pow", exponent)
    }

    /// As float32.
    pub fn float(self) -> Self {
        let dtype = self.tape.model().tensor_type(self.id).dtype;
        if dtype == Some(DType::F32) {
            return self;
        }
        self.tape.float("Cast", &[self], &[("to", Attr::Int(DType::F32.code().into()))], &self.dims())
    }

    fn compared(self, op_type: &str, other: Self) -> Self {
        let dims = broadcast(&self.dims(), &other.dims());
        self.tape.node(op_type, &[self, other], &[], (DType::Bool, &dims)).float()
    }

    /// 1 where it is above `bound`, else 0.
    pub fn above(self, bound: f32) -> Self {
        self.compared("Greater", self.tape.number(bound))
    }

    /// 1/x where x is above 0, else 0.
    pub fn inverse(self) -> Self {
        let above = self.above(0.0);
        above / (self + (1.0 - above))
    }

    /// 1 where both are equal, else 0.
    pub fn equals(self, other: Self) -> Self {
        self.compared("Equal", other)
    }

    /// The same elements in another shape.
    pub fn reshape(self, dims: &[usize]) -> Self {
        if self.dims() == dims {
            return self;
        }
        let target = self.tape.ints(dims.iter().map(|d| *d as i64));
        self.tape.float("Reshape", &[self, target], &[], dims)
    }

    /// Axis i of the result is axis `perm[i]` of this.
    pub fn transpose(self, perm: &[usize]) -> Self {
        if perm.iter().enumerate().all(|(i, p)| i == *p) {
            return self;
        }
        let dims = self.dims();
        let new: Vec<usize> = perm.iter().map(|p| dims[*p]).collect();
        let perm = perm.iter().map(|p| *p as i64).collect::<Vec<_>>();
        self.tape.float("Transpose", &[self], &[("perm", perm.into())], &new)
    }

    /// The last two axes swapped.
    pub fn transposed(self) -> Self {
        let rank = self.rank();
        let mut perm: Vec<usize> = (0..rank).collect();
        perm.swap(rank - 2, rank - 1);
        self.transpose(&perm)
    }

    /// The product of matrices, the axes before the last two broadcast.
    pub fn matmul(self, other: Self) -> Self {
        let (a, b) = (self.dims(), other.dims());
        let (ra, rb) = (a.len(), b.len());
        let mut dims = broadcast(&a[..ra - 2], &b[..rb - 2]);
        dims.extend([a[ra - 2], b[rb - 1]]);
        self.tape.float("MatMul", &[self, other], &[], &dims)
    }

    /// Summed over `axes`, which stay with size 1.
    pub fn sum(self, axes: &[usize]) -> Self {
        let mut dims = self.dims();
        if axes.iter().all(|a| dims[*a] == 1) {
            return self;
        }
        axes.iter().for_each(|a| dims[*a] = 1);
        let list = self.tape.ints(axes.iter().map(|a| *a as i64));
        self.tape.float("ReduceSum", &[self, list], &[("keepdims", Attr::Int(1))], &dims)
    }

    /// The mean over `axes`, which stay with size 1.
    pub fn mean(self, axes: &[usize]) -> Self {
        let dims = self.dims();
        let count: usize = axes.iter().map(|a| dims[*a]).product();
        self.sum(axes) * (1.0 / count as f32)
    }

    /// Summed over the axes along which a value of shape `dims` is repeated to have this one's.
    pub fn sum_to(self, dims: &[usize]) -> Self {
        let own = self.dims();
        let lead = own.len().saturating_sub(dims.len());
        let repeated = |i: &usize| *i < lead || (dims[*i - lead] == 1 && own[*i] != 1);
        let axes: Vec<usize> = (0..own.len()).filter(repeated).collect();
        let summed = if axes.is_empty() { self } else { self.sum(&axes) };
        summed.reshape(dims)
    }

    /// Repeated to this shape.
    pub fn expand(self, dims: &[usize]) -> Self {
        if self.dims() == dims {
            return self;
        }
        let target = self.tape.ints(dims.iter().map(|d| *d as i64));
        self.tape.float("Expand", &[self, target], &[], dims)
    }

    /// Zeros around it.
    pub fn pad(self, before: &[usize], after: &[usize]) -> Self {
        let mut dims = self.dims();
        if before.iter().chain(after).all(|p| *p == 0) {
            return self;
        }
        dims.iter_mut().zip(before.iter().zip(after)).for_each(|(d, (b, a))| *d += b + a);
        let pads = self.tape.ints(before.iter().chain(after).map(|p| *p as i64));
        self.tape.float("Pad", &[self, pads], &[], &dims)
    }

    /// Of each axis the elements `start`, `start + step`, …, `count` of them.
    pub fn slice(self, cuts: &[Cut]) -> Self {
        let dims = self.dims();
        let whole = |(cut, size): (&Cut, &usize)| *cut == Cut { start: 0, count: *size, step: 1 };
        let axes: Vec<usize> = (0..dims.len()).filter(|i| !whole((&cuts[*i], &dims[*i]))).collect();
        if axes.is_empty() {
            return self;
        }
        let list = |f: &dyn Fn(&Cut) -> usize| self.tape.ints(axes.iter().map(|i| f(&cuts[*i]) as i64));
        let (starts, ends) = (list(&|c| c.start), list(&Cut::end));
        let steps = list(&|c| c.step);
        let axes = self.tape.ints(axes.iter().map(|a| *a as i64));
        let counts: Vec<usize> = cuts.iter().map(|c| c.count).collect();
        self.tape.float("Slice", &[self, starts, ends, axes, steps], &[], &counts)
    }

    /// The transpose of [`Self::slice`] of a value of shape `dims`: zeros, and this at the places that were cut out.
    pub fn unslice(self, cuts: &[Cut], dims: &[usize]) -> Self {
        let mut spread = self;
        if cuts.iter().any(|c| c.step > 1) {
            let counts = self.dims();
            let apart: Vec<usize> = counts.iter().flat_map(|n| [*n, 1]).collect();
            let zeros: Vec<usize> = cuts.iter().flat_map(|c| [0, c.step - 1]).collect();
            let wide: Vec<usize> = counts.iter().zip(cuts).map(|(n, c)| n * c.step).collect();
            let tight = |c: &Cut| Cut { start: 0, count: c.end() - c.start, step: 1 };
            spread = self.reshape(&apart).pad(&vec![0; zeros.len()], &zeros).reshape(&wide);
            spread = spread.slice(&cuts.iter().map(tight).collect::<Vec<_>>());
        }
        let before: Vec<usize> = cuts.iter().map(|c| c.start).collect();
        let after: Vec<usize> = cuts.iter().zip(dims).map(|(c, d)| d - c.end()).collect();
        spread.pad(&before, &after)
    }

    /// The elements of one axis in the order of `indices`.
    pub fn gather(self, indices: impl IntoIterator<Item = usize>, axis: usize) -> Self {
        let indices = self.tape.ints(indices.into_iter().map(|i| i as i64));
        let mut dims = self.dims();
        dims[axis] = indices.count();
        self.tape.float("Gather", &[self, indices], &[("axis", Attr::Int(axis as i64))], &dims)
    }

    fn by(self, op_type: &str, number: f32) -> Self {
        let nothing = if ["Add", "Sub"].contains(&op_type) { 0.0 } else { 1.0 };
        if number == nothing {
            return self;
        }
        self.with(op_type, self.tape.number(number))
    }
}

/// Elements along one axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    pub start: usize,
    pub count: usize,
    pub step: usize,
}

impl Cut {
    /// All of an axis.
    pub fn whole(size: usize) -> Self {
        Cut { start: 0, count: size, step: 1 }
    }

    /// Behind the last element.
    fn end(&self) -> usize {
        self.count.checked_sub(1).map_or(self.start, |last| self.start + last * self.step + 1)
    }
}

/// Two shapes that fit, broadcast together.
fn broadcast(a: &[usize], b: &[usize]) -> Vec<usize> {
    let rank = a.len().max(b.len());
    let at = |s: &[usize], i: usize| (i + s.len()).checked_sub(rank).map_or(1, |i| s[i]);
    (0..rank).map(|i| if at(a, i) == 1 { at(b, i) } else { at(a, i) }).collect()
}

macro_rules! arithmetic {
    ($($of:ident $method:ident $op:literal),*) => {
        $(impl<'t> $of for Var<'t> {
            type Output = Self;

            fn $method(self, other: Self) -> Self {
                self.with($op, other)
            }
        }

        impl<'t> $of<f32> for Var<'t> {
            type Output = Self;

            fn $method(self, number: f32) -> Self {
                self.by($op, number)
            }
        }

        impl<'t> $of<Var<'t>> for f32 {
            type Output = Var<'t>;

            fn $method(self, other: Var<'t>) -> Var<'t> {
                other.tape.number(self).with($op, other)
            }
        })*
    };
}
arithmetic!(Add add "Add", Sub sub "Sub", Mul mul "Mul", Div div "Div");

impl Neg for Var<'_> {
    type Output = Self;

    fn neg(self) -> Self {
        self.map("Neg")
    }
}
