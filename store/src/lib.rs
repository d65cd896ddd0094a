//! Everything of the mirror that survives a restart.
