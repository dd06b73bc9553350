//! What several integration tests share.

pub(crate) mod fake_index;
pub(crate) mod http_wire;
pub(crate) mod rig;
