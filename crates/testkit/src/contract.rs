//! The contract every store keeps, as one suite.
