//! What fetches: GitHub's client and a folder a source.
