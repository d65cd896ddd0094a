//! Looking after what is stored: checking it, freeing space, taking a copy of it.
