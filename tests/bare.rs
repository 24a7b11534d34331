//! Models in tract as they are: without the preparation, which would simplify both of two models that are compared.

use std::panic::{AssertUnwindSafe, catch_unwind};

use onnxpress::ir::{DType, Model, Tensor};
use onnxpress::onnx;
use tract_onnx::prelude::{DatumType, Framework, InferenceFact, InferenceModelExt, IntoRunnable, IntoTValue, TValue};
use tract_onnx::tract_hir::internal::{IntoTensor, Tensor as TractTensor};

/// The outputs of `model` in its order, for the inputs that have no initializer in theirs.
pub fn run(model: &Model, inputs: &[Tensor]) -> Result<Vec<Tensor>, String> {
    let bytes = onnx::to_bytes(model).map_err(|e| e.to_string())?;
    catch_unwind(AssertUnwindSafe(|| attempt(&bytes, inputs))).unwrap_or_else(|_| Err("tract stopped".into()))
}

fn attempt(bytes: &[u8], inputs: &[Tensor]) -> Result<Vec<Tensor>, String> {
    let tract = tract_onnx::onnx().with_ignore_value_info(true).with_ignore_output_types(true);
    let mut plan = tract.model_for_read(&mut &*bytes).map_err(|e| format!("{e:#}"))?;
    let values: Vec<TractTensor> =
        inputs.iter().map(to_tract).collect::<Option<_>>().ok_or("no such dtype in tract")?;
    if plan.inputs.len() != values.len() {
        return Err(format!("{} inputs, not {}", plan.inputs.len(), values.len()));
    }
    for (i, value) in values.iter().enumerate() {
        let fact = InferenceFact::dt_shape(value.datum_type(), value.shape());
        plan = plan.with_input_fact(i, fact).map_err(|e| format!("{e:#}"))?;
    }
    let plan = plan.into_optimized().and_then(IntoRunnable::into_runnable).map_err(|e| format!("{e:#}"))?;
    let found = plan.run(values.into_iter().map(IntoTValue::into_tvalue).collect()).map_err(|e| format!("{e:#}"))?;
    found.into_iter().map(|v| from_tract(v).ok_or_else(|| "no such dtype here".to_string())).collect()
}

macro_rules! pairs {
    ($($dtype:ident $t:ty),*) => {
        fn to_tract(tensor: &Tensor) -> Option<TractTensor> {
            let shape = tensor.shape();
            match tensor.dtype() {
                $(DType::$dtype => TractTensor::from_shape(shape, &tensor.as_slice::<$t>()?).ok(),)*
                DType::Bool => {
                    let flags: Vec<bool> = tensor.bytes().iter().map(|b| *b != 0).collect();
                    TractTensor::from_shape(shape, &flags).ok()
                }
                _ => None,
            }
        }

        fn from_tract(value: TValue) -> Option<Tensor> {
            let mut tensor = value.into_tensor();
            if tensor.datum_type() == DatumType::TDim {
                tensor = tensor.cast_to::<i64>().ok()?.into_owned();
            }
            let shape = tensor.shape().to_vec();
            let view = tensor.try_as_plain_ram().ok()?;
            match tensor.datum_type() {
                $(DatumType::$dtype => Some(Tensor::from_vec(shape, view.as_slice::<$t>().ok()?.to_vec())),)*
                DatumType::Bool => {
                    let bytes: Vec<u8> = view.as_slice::<bool>().ok()?.iter().map(|b| u8::from(*b)).collect();
                    Tensor::from_bytes(DType::Bool, shape, bytes).ok()
                }
                DatumType::F16 => {
                    let values = view.as_slice::<half::f16>().ok()?.iter().map(|v| v.to_f64());
                    Tensor::from_floats(DType::F16, shape, values)
                }
                _ => None,
            }
        }
    };
}
pairs!(F32 f32, F64 f64, I64 i64, I32 i32, I16 i16, I8 i8, U64 u64, U32 u32, U16 u16, U8 u8);

/// Whether `found` is `expected`: dtype, shape, and numbers within `relative` of each and `absolute`; NaN is NaN.
pub fn is_close(found: &Tensor, expected: &Tensor, relative: f64, absolute: f64) -> bool {
    if (found.dtype(), found.shape()) != (expected.dtype(), expected.shape()) {
        return false;
    }
    let (Some(a), Some(b)) = (found.to_f64(), expected.to_f64()) else { return found.bytes() == expected.bytes() };
    a.iter()
        .zip(&b)
        .all(|(a, b)| a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= absolute + relative * b.abs())
}
