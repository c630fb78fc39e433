//! What is cached: one file a kind, its type, its JSON, how lists filter, sort and merge. Pure.
