//! What a pipeline's settings mean, worked out once: preparation looks nothing up by name.

use crate::config::fault::SpecFault;
use crate::config::pipeline::PipelineSpec;

/// One pipeline, ready to prepare its events.
#[derive(Debug)]
pub struct Plan {
    /// How many geo pairs there are: the length of `Facts::geo`.
    pub geo_targets: Vec<Box<str>>,
}

impl Plan {
    /// # Errors
    /// Every fault of the settings, each with its key.
    pub fn compile(spec: &PipelineSpec) -> Result<Self, Vec<SpecFault>> {
        let geo_targets = spec.geo.iter().map(|pair| pair.into.as_str().into()).collect();
        Ok(Self { geo_targets })
    }
}
