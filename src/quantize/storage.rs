//! How the integers of a weight lie in the file, and how they become what an operator reads.
//!
//! ```text
//! packed      W int4 ─► DequantizeLinear ─► MatMul               the runtime takes DequantizeLinear into the operator
//! folded      W int  ─► Cast(float) ─► [Sub z] ─► Mul s ─► Conv  weights alone, before other operators: runtimes fold it at load
//! cast        W int4 ─► Cast(int8) ─► DequantizeLinear ─► Conv   with quantized activations: folded at load, integer kernels after
//! wide        W int8                                            where the form or the target reads no less than 8 bits
//! ```
//!
//! For types of 8 bits packed is wide, and nothing is cast to them.

use super::options::{Format, QuantOptions};
use super::params::QType;
use super::plan::{QuantPlan, WeightPlan};
use super::weights::QuantizedWeight;
use super::write::{beside, dequantize, made};
use crate::error::Result;
use crate::ir::{DType, GraphEdit, GraphId, NewNode, Node, NodeId, Place, Shape, Tensor, TensorType, ValueId};
use crate::target::Preset;

/// How an operator gets at the floats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Form {
    /// By DequantizeLinear.
    Plain,
    /// By Cast and arithmetic.
    Folded,
    /// By DequantizeLinear of the integers cast to 8 bits.
    Cast,
}

/// The initializers of a weight: integers, scales, and zero points if it has any.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stored {
    form: Form,
    values: ValueId,
    scale: ValueId,
    zero_point: Option<ValueId>,
}

/// Whether integers below 8 bits lie packed in the file.
pub(super) fn is_packed(options: &QuantOptions, preset: &Preset) -> bool {
    preset.narrow_weights && matches!(options.effective_format(), Format::Qdq | Format::WeightOnly)
}

impl Form {
    /// Of the weight of `node`, whose input is quantized or not.
    pub fn of(plan: &QuantPlan, node: &Node, w: &WeightPlan, input: bool) -> Result<Form> {
        let preset = plan.options.preset()?;
        let as_it_is = w.block.is_some() || preset.takes_dequantize.contains(&node.op_type.as_str());
        let packed = w.dtype.is_narrow() && is_packed(&plan.options, preset);
        let multiplied = matches!(plan.options.effective_format(), Format::Integer | Format::Dynamic);
        Ok(match input {
            _ if plan.passing || multiplied => Form::Plain,
            true if packed => Form::Cast,
            // Not every runtime has DequantizeLinear in float16, and it is younger than the rest of the form.
            false if !as_it_is && (preset.folds_cast || w.floats != DType::F32) => Form::Folded,
            _ => Form::Plain,
        })
    }
}

impl Stored {
    /// Puts the initializers of `w` into `graph`. `rank` is that of the weight.
    pub fn put(
        edit: &mut GraphEdit,
        graph: GraphId,
        plan: &WeightPlan,
        w: &QuantizedWeight,
        form: Form,
    ) -> Result<Self> {
        let rank = w.values.rank();
        // Arithmetic broadcasts from the last axis on.
        let broadcast = |t: &Tensor| match plan.axis {
            Some(axis) if form == Form::Folded => {
                let mut shape = vec![1; rank];
                shape[axis] = t.len();
                t.reshaped(shape)
            }
            _ => Ok(t.clone()),
        };
        let name = &plan.name;
        let zero_point = match (&w.zero_point, form) {
            (Some(z), Form::Folded) => {
                let moves = z.to_f32().is_some_and(|z| z.iter().any(|z| *z != 0.0));
                z.as_floats(plan.floats).filter(|_| moves).map(|z| broadcast(&z)).transpose()?
            }
            // A zero point is of the type of the values.
            (Some(z), Form::Cast) => Some(widened(z).unwrap_or_else(|| z.clone())),
            (z, _) => z.clone(),
        };
        let scale = broadcast(&w.scale)?;
        Ok(Stored {
            form,
            values: edit.add_initializer(graph, &format!("{name}_quantized"), w.values.clone()),
            scale: edit.add_initializer(graph, &format!("{name}_scale"), scale),
            zero_point: zero_point.map(|z| edit.add_initializer(graph, &format!("{name}_zero_point"), z)),
        })
    }

    /// Where the nodes go that make floats of it for `reader`.
    pub fn place(&self, edit: &GraphEdit, reader: NodeId) -> Place {
        beside(edit, self.values, reader)
    }

    /// The nodes that make floats of it; the floats.
    pub fn floats(&self, edit: &mut GraphEdit, place: Place, plan: &WeightPlan) -> ValueId {
        let Stored { form, values, scale, zero_point } = *self;
        let (name, shape) = (&plan.name, edit.tensor_type(values).shape);
        let cast = |edit: &mut GraphEdit, to: DType| {
            let node = NewNode::cast(values, to).name(format!("{name}_Cast"));
            made(edit, place, node.output(format!("{name}_cast"), typed(to, &shape)))
        };
        let after = |edit: &GraphEdit, v: ValueId| edit.producer(v).map_or(place, Place::After);
        match form {
            Form::Plain => dequantize(edit, place, (values, scale, zero_point), name, plan.axis, plan.block),
            Form::Cast => {
                let wide = edit.constant(values).and_then(widened).map_or(DType::I8, |t| t.dtype());
                let values = cast(edit, wide);
                let place = after(edit, values);
                dequantize(edit, place, (values, scale, zero_point), name, plan.axis, plan.block)
            }
            Form::Folded => {
                let mut floats = cast(edit, plan.floats);
                for (op, other) in [("Sub", zero_point), ("Mul", Some(scale))] {
                    let Some(other) = other else { continue };
                    let node = NewNode::new(op).name(format!("{name}_{op}")).inputs([Some(floats), Some(other)]);
                    let place = after(edit, floats);
                    floats = made(edit, place, node.output(format!("{name}_floats"), typed(plan.floats, &shape)));
                }
                floats
            }
        }
    }
}

fn typed(dtype: DType, shape: &Option<Shape>) -> Option<TensorType> {
    Some(TensorType { dtype: Some(dtype), shape: shape.clone() })
}

/// The integers of a weight, none of which has more than 32 bits.
pub(super) fn integers(t: &Tensor) -> Option<Vec<i32>> {
    Some(t.to_i64()?.into_iter().map(|v| v as i32).collect())
}

/// Integers below 8 bits in 8.
fn widened(t: &Tensor) -> Option<Tensor> {
    let dtype = match t.dtype() {
        DType::I4 | DType::I2 => QType::S8,
        DType::U4 | DType::U2 => QType::U8,
        _ => return None,
    };
    Some(dtype.tensor(t.shape(), &integers(t)?))
}

/// The weight in 8 bits, if it is in less.
pub(super) fn wide(mut w: QuantizedWeight) -> QuantizedWeight {
    if let Some(values) = widened(&w.values) {
        w.values = values;
        w.zero_point = w.zero_point.map(|z| widened(&z).unwrap_or(z));
    }
    w
}
