//! What several integration tests share.

pub(crate) mod fake_index;
pub(crate) mod http_wire;
pub(crate) mod prepared;
pub(crate) mod memory;
pub(crate) mod ports;
pub(crate) mod rig;
pub(crate) mod strict_json;
