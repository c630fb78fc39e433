//! A GitHub simulator with state, limits and faults; it hands back its request log.
