//! Types made concrete: those of the inputs from the data, all others dropped.

use super::super::{LoadOptions, TensorTypeConcrete};
use crate::error::{Error, Result};
use crate::ir::{GraphEdit, TensorType, Type};

/// Makes constants of the inputs whose value is known: those given as constants, and those with a
/// default that no run overrides.
pub(super) fn freeze(edit: &mut GraphEdit, options: &LoadOptions) {
    let main = edit.main();
    for input in edit.graph(main).inputs().to_vec() {
        let name = edit.name(input);
        let fed = options.inputs.iter().any(|(n, _)| n == name);
        let default = edit.value(input).initializer();
        match (options.constants.get(name), default) {
            (Some(tensor), _) => edit.freeze_input(main, input, tensor.clone()),
            (None, Some(_)) if fed => edit.drop_default(main, input),
            (None, Some(tensor)) => edit.freeze_input(main, input, tensor.clone()),
            (None, None) => {}
        }
    }
}

/// Gives every input a concrete type; open dimensions that nothing decides become 1.
pub(super) fn concretize(edit: &mut GraphEdit, options: &LoadOptions) -> Result<Vec<(String, TensorTypeConcrete)>> {
    let mut inputs = Vec::new();
    for input in edit.user_inputs() {
        let name = edit.name(input).to_string();
        let declared = edit.tensor_type(input);
        let given = options.inputs.iter().find(|(n, _)| *n == name).map(|(_, ty)| ty.clone());
        let ty = match (given, declared.dtype, declared.shape) {
            (Some(ty), ..) => ty,
            (None, Some(dtype), Some(shape)) => {
                let dims = shape.iter().map(|d| d.known().map_or(1, |n| n as usize)).collect();
                TensorTypeConcrete { dtype, dims }
            }
            _ => return Err(Error::runtime(format!("input \"{name}\" has no type, and no data tells it"))),
        };
        let concrete = TensorType::new(ty.dtype, ty.dims.iter().copied());
        edit.set_declared(input, Some(Type::tensor(&concrete)));
        inputs.push((name, ty));
    }
    Ok(inputs)
}
